//! Reader of the journal: runs, their changes, and open changes, which it can settle.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::Value as Json;

use super::writer::settle;
use super::{ChangeOutcome, Claim, LeftOut, MemoryJournal, Settled, file, is_id};
use crate::error::{Error, Kind, Result};
use crate::iam::snapshot::{Snapshot, Subject};
use crate::session::destination::Destination;
use crate::session::journal::RunStatus;
use crate::session::recent::SETTLING;

/// The journal of a state folder, or one in memory.
#[derive(Debug)]
pub struct Records {
    place: Place,
    connection: Connection,
}

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    Memory(MemoryJournal),
}

impl Place {
    fn shown(&self) -> String {
        match self {
            Self::Folder(folder) => file::path(folder).display().to_string(),
            Self::Memory(_) => file::IN_MEMORY.to_owned(),
        }
    }

    fn is_running(&self, run: &str) -> bool {
        match self {
            Self::Folder(folder) => file::is_running(folder, run),
            Self::Memory(memory) => memory.is_taken(run),
        }
    }
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Id of the run.
    pub id: String,
    /// Status.
    pub status: RunStatus,
    /// The command, such as `run`.
    pub command: String,
    /// Start, in milliseconds since 1970.
    pub started: i64,
    /// End, in milliseconds since 1970.
    pub ended: Option<i64>,
    /// Path of the script.
    pub script: Option<String>,
    /// SHA-256 of the script's text.
    pub script_sha256: Option<String>,
    /// Parameters of the script.
    pub parameters: Option<Json>,
    /// User and host that ran it.
    pub operator: String,
    /// Program and version.
    pub program: String,
    /// Id of the plan that it applied.
    pub plan: Option<String>,
    /// Id of the run that it undid.
    pub undoes: Option<String>,
    /// Error that ended it.
    pub error: Option<String>,
    /// Requests that it sent, by action.
    pub calls: Option<Json>,
    /// Number of throttled requests.
    pub throttled: Option<u32>,
    /// Destinations of its changes, by number.
    pub sites: Vec<Destination>,
    /// Numbers of its changes, by outcome.
    pub counts: ChangeCounts,
}

/// Numbers of changes, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChangeCounts {
    /// Done.
    pub done: u64,
    /// Failed.
    pub failed: u64,
    /// Sent, without a known outcome.
    pub in_doubt: u64,
    /// Done, and undone since.
    pub undone: u64,
    /// Done, not undone, and with an effect.
    pub standing: u64,
}

/// A change of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedChange {
    /// Number in the run.
    pub number: u64,
    /// Index of its destination in [`Run::sites`].
    pub site: usize,
    /// The AWS action.
    pub action: String,
    /// Kind of the changed resource.
    pub subject: Subject,
    /// Name of the resource.
    pub name: String,
    /// Arguments of the call.
    pub arguments: Json,
    /// State before the change.
    pub before: Option<Snapshot>,
    /// State after the change.
    pub after: Option<Snapshot>,
    /// Start, in milliseconds since 1970.
    pub started: i64,
    /// Time at which its outcome was known, in milliseconds since 1970.
    pub ended: Option<i64>,
    /// Outcome; none while unknown.
    pub outcome: Option<ChangeOutcome>,
    /// Error of AWS, if it failed.
    pub error: Option<String>,
    /// Additional remark.
    pub note: Option<String>,
    /// Number of the plan's change that it applied.
    pub plan_change: Option<u64>,
    /// Id of the run that undid it.
    pub undone: Option<String>,
}

impl RecordedChange {
    /// Check that the outcome is still unknown.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.outcome, None | Some(ChangeOutcome::InDoubt))
    }
}

const RUN: &str = "SELECT id, status, command, started, ended, script, script_sha256, parameters, operator, program, plan, undoes,
    error, calls, throttled FROM run LEFT JOIN run_order ON run_order.run = id";
/// Order of runs: those of earlier versions first, by their ids.
const ORDER: &str = "ORDER BY run_order.number, id";
const LATEST_FIRST: &str = "ORDER BY run_order.number DESC, id DESC";
const CHANGE: &str = "SELECT number, site, action, subject, name, arguments, before, after, started, ended, outcome, error, note,
    plan_change, undone FROM change";

impl Records {
    /// Opens the journal of a state folder; `None` if nothing was ever changed.
    ///
    /// # Errors
    /// If the journal cannot be used.
    pub fn open(folder: &Path) -> Result<Option<Self>> {
        let connection = file::open_existing(folder)?;
        let place = || Place::Folder(folder.to_owned());
        Ok(connection.map(|connection| Self { place: place(), connection }))
    }

    /// Opens a journal in memory.
    ///
    /// # Errors
    /// If `SQLite` has no memory.
    pub fn in_memory(journal: &MemoryJournal) -> Result<Self> {
        let connection = journal.connect()?;
        Ok(Self { place: Place::Memory(journal.clone()), connection })
    }

    /// Latest runs, the latest first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn runs(&self, most: usize) -> Result<Vec<Run>> {
        self.query(&format!("{RUN} {LATEST_FIRST} LIMIT ?1"), [most.cast_signed()])
    }

    /// Last run that is not an undo and has changes that stand or are in doubt.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn last_to_undo(&self) -> Result<Option<Run>> {
        self.last_that_stands("undoes IS NULL")
    }

    /// Last undo that has changes that stand or are in doubt.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn last_to_redo(&self) -> Result<Option<Run>> {
        self.last_that_stands("undoes IS NOT NULL AND command IS NOT 'redo'")
    }

    fn last_that_stands(&self, condition: &str) -> Result<Option<Run>> {
        let sql = format!(
            "{RUN} WHERE {condition} AND EXISTS (SELECT 1 FROM change WHERE change.run = run.id
                AND (outcome IS NULL OR outcome = 'in doubt'
                    OR outcome = 'done' AND undone IS NULL AND before IS NOT after))
             {LATEST_FIRST} LIMIT 1"
        );
        Ok(self.query(&sql, [])?.pop())
    }

    /// Profiles and roles that a run has left unchanged, although it was to change them.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn left_out(&self, run: &str) -> Result<Vec<LeftOut>> {
        let texts: Vec<String> = self.read(|connection| {
            let sql = "SELECT left_out FROM left_out WHERE run = ?1 ORDER BY number";
            let mut statement = connection.prepare(sql)?;
            let rows = statement.query_map([run], |row| row.get(0))?;
            rows.collect()
        })?;
        texts
            .iter()
            .map(|text| serde_json::from_str(text).map_err(|error| damaged(run, &error)))
            .collect()
    }

    /// Runs that ended before a moment in milliseconds since 1970 (or began before it, if they did
    /// not end); the earliest first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn runs_before(&self, moment: i64) -> Result<Vec<Run>> {
        self.query(&format!("{RUN} WHERE coalesce(ended, started) < ?1 {ORDER}"), [moment])
    }

    /// Removes runs with their changes, and shrinks the file.
    ///
    /// # Errors
    /// If the journal cannot be written; then no run is removed.
    pub fn remove(&self, runs: &[&str]) -> Result<()> {
        const RUN_TABLES: [(&str, &str); 5] = [
            ("change", "run"),
            ("site", "run"),
            ("left_out", "run"),
            ("run_order", "run"),
            ("run", "id"),
        ];
        self.read(|connection| {
            let transaction = connection.unchecked_transaction()?;
            for (table, column) in RUN_TABLES {
                let sql = format!("DELETE FROM {table} WHERE {column} = ?1");
                let mut statement = transaction.prepare(&sql)?;
                for run in runs {
                    statement.execute([run])?;
                }
            }
            transaction.commit()
        })?;
        // While another process uses the file it keeps its size; the free pages are used again.
        let _ = self.connection.execute_batch("VACUUM");
        Ok(())
    }

    /// Runs that have applied a plan, the earliest first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn runs_of_plan(&self, plan: &str) -> Result<Vec<Run>> {
        self.query(&format!("{RUN} WHERE plan = ?1 {ORDER}"), [plan])
    }

    /// Runs that have undone changes of a run, the earliest first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn runs_that_undo(&self, run: &str) -> Result<Vec<Run>> {
        self.query(&format!("{RUN} WHERE undoes = ?1 {ORDER}"), [run])
    }

    /// Runs of a script, by its path, that were killed or have changes in doubt, the earliest
    /// first. Runs in progress are excluded.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn unsettled_runs(&self, script: &str) -> Result<Vec<Run>> {
        let open = "EXISTS (SELECT 1 FROM change WHERE change.run = run.id AND (outcome IS NULL OR outcome = 'in doubt'))";
        let sql = format!("{RUN} WHERE script = ?1 AND (status IS NULL OR {open}) {ORDER}");
        let mut runs = self.query(&sql, [script])?;
        runs.retain(|run| run.status != RunStatus::Running);
        Ok(runs)
    }

    /// Run with that id, or whose id begins or ends with it; `last` is the latest run.
    ///
    /// # Errors
    /// If no run matches, or several do.
    pub fn run(&self, id: &str) -> Result<Run> {
        let mut found = if id == "last" {
            self.runs(1)?
        } else {
            let exact = self.query(&format!("{RUN} WHERE id = ?1"), [id])?;
            if exact.is_empty() && id.len() >= 3 {
                let sql = format!(
                    "{RUN} WHERE substr(id, 1, length(?1)) = ?1 OR substr(id, -length(?1)) = ?1 {LATEST_FIRST} LIMIT 3"
                );
                self.query(&sql, [id])?
            } else {
                exact
            }
        };
        if found.len() > 1 {
            let ids: Vec<_> = found.iter().map(|run| run.id.as_str()).collect();
            return Err(Error::usage(format!("{id:?} is more than one run"))
                .hint(format!("name one of them whole: {}", ids.join(", "))));
        }
        found.pop().ok_or_else(|| no_run(id))
    }

    /// Changes of a run, in order.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn changes(&self, run: &str) -> Result<Vec<RecordedChange>> {
        self.read(|connection| changes(connection, run))
    }

    /// Changes of all runs that are so recent that AWS may not show them, in order.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn recent_changes(&self) -> Result<Vec<(Destination, RecordedChange)>> {
        let age = i64::try_from(SETTLING.as_millis()).unwrap_or(i64::MAX);
        let since = Timestamp::now().as_millisecond().saturating_sub(age);
        let runs = self.query(&format!("{RUN} WHERE ended IS NULL OR ended >= ?1"), [since])?;
        let mut recent = Vec::new();
        for run in runs {
            for change in self.changes(&run.id)? {
                let is_recent = change.ended.is_some_and(|ended| ended >= since);
                if is_recent
                    && change.outcome == Some(ChangeOutcome::Done)
                    && let Some(site) = run.sites.get(change.site)
                {
                    recent.push((site.clone(), change));
                }
            }
        }
        recent.sort_by_key(|(_, change)| change.ended);
        Ok(recent)
    }

    /// Writes the outcome of an open change.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn settle(&self, run: &str, settled: &Settled) -> Result<()> {
        self.read(|connection| settle(connection, run, settled, Timestamp::now().as_millisecond()))
    }

    /// Records that a run was killed, once none of its changes is open.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn close(&self, run: &str) -> Result<()> {
        self.read(|connection| {
            let sql = "UPDATE run SET status = 'killed' WHERE id = ?1 AND status IS NULL";
            connection.execute(sql, [run]).map(|_| ())
        })
    }

    pub(super) fn read<T>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        look(&self.connection).map_err(|error| file::JOURNAL.unusable(&self.place.shown(), &error))
    }

    fn query(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<Run>> {
        let mut runs: Vec<Run> = self.read(|connection| {
            let mut statement = connection.prepare(sql)?;
            let rows = statement.query_map(parameters, run_of)?;
            rows.collect()
        })?;
        // Ids of runs are used as file names.
        if let Some(run) = runs.iter().find(|run| !is_id(&run.id)) {
            let message = format!("the journal is damaged: {:?} is no id of a run", run.id);
            return Err(Error::new(Kind::State, message));
        }
        for run in &mut runs {
            run.sites = self.sites(&run.id)?;
            run.counts = self.counts(&run.id)?;
            if run.status == RunStatus::Running && !self.place.is_running(&run.id) {
                run.status = RunStatus::Killed;
            }
        }
        Ok(runs)
    }

    fn sites(&self, run: &str) -> Result<Vec<Destination>> {
        let texts: Vec<String> = self.read(|connection| {
            let mut statement =
                connection.prepare("SELECT site FROM site WHERE run = ?1 ORDER BY number")?;
            let rows = statement.query_map([run], |row| row.get(0))?;
            rows.collect()
        })?;
        texts
            .iter()
            .map(|text| serde_json::from_str(text).map_err(|error| damaged(run, &error)))
            .collect()
    }

    fn counts(&self, run: &str) -> Result<ChangeCounts> {
        let sql = "SELECT coalesce(sum(outcome = 'done'), 0), coalesce(sum(outcome = 'failed'), 0),
             coalesce(sum(outcome IS NULL OR outcome = 'in doubt'), 0), count(undone),
             coalesce(sum(outcome = 'done' AND undone IS NULL AND before IS NOT after), 0) FROM change WHERE run = ?1";
        let counts = self.read(|connection| {
            connection
                .query_row(sql, params![run], |row| {
                    let count = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
                    Ok(ChangeCounts {
                        done: count(0)?,
                        failed: count(1)?,
                        in_doubt: count(2)?,
                        undone: count(3)?,
                        standing: count(4)?,
                    })
                })
                .optional()
        })?;
        Ok(counts.unwrap_or_default())
    }
}

/// Changes of a run, in order.
pub(super) fn changes(connection: &Connection, run: &str) -> rusqlite::Result<Vec<RecordedChange>> {
    let mut statement = connection.prepare(&format!("{CHANGE} WHERE run = ?1 ORDER BY number"))?;
    let rows = statement.query_map([run], change_of)?;
    rows.collect()
}

/// Claims a plan for this process, for as long as the returned file is held.
///
/// # Errors
/// If another process has claimed it, or the lock cannot be made.
pub fn claim_plan(folder: &Path, plan: &str) -> Result<std::fs::File> {
    file::claim(folder, &format!("plan-{plan}"), &format!("carrying out plan {plan}"))
}

/// Claims the undo of a run for this process, for as long as the returned file is held.
///
/// # Errors
/// If another process has claimed it, or the lock cannot be made.
pub fn claim_undo(folder: &Path, run: &str) -> Result<std::fs::File> {
    file::claim(folder, &format!("undo-{run}"), &format!("undoing run {run}"))
}

/// Claims a plan or the undo of a run, by `name`, in a journal in memory.
///
/// # Errors
/// If another thread has it.
pub fn claim_in_memory(journal: &MemoryJournal, name: &str) -> Result<Claim> {
    journal.claim(name.to_owned()).map(Claim::Memory).ok_or_else(|| {
        Error::new(Kind::Refused, format!("another thread works on {name} right now"))
            .hint("wait for its end")
    })
}

fn damaged(run: &str, error: &serde_json::Error) -> Error {
    Error::new(Kind::State, format!("run {run}: the journal is damaged: {error}"))
}

/// Error for an id that no run has.
#[must_use]
pub fn no_run(id: &str) -> Error {
    Error::usage(format!("there is no run {id:?}")).hint("`iamlua runs` lists them")
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(at)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, error.into())
    })
}

fn run_of(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: row.get(0)?,
        status: match row.get::<_, Option<String>>(1)? {
            Some(name) => status_of(1, &name)?,
            None => RunStatus::Running,
        },
        command: row.get(2)?,
        started: row.get(3)?,
        ended: row.get(4)?,
        script: row.get(5)?,
        script_sha256: row.get(6)?,
        parameters: json(row, 7)?,
        operator: row.get(8)?,
        program: row.get(9)?,
        plan: row.get(10)?,
        undoes: row.get(11)?,
        error: row.get(12)?,
        calls: json(row, 13)?,
        throttled: row.get(14)?,
        sites: Vec::new(),
        counts: ChangeCounts::default(),
    })
}

/// Status of the name in a column.
///
/// # Errors
/// If it is unknown.
fn status_of(column: usize, name: &str) -> rusqlite::Result<RunStatus> {
    RunStatus::from_name(name).ok_or_else(|| unknown(column, "status of a run", name))
}

fn unknown(column: usize, what: &str, name: &str) -> rusqlite::Error {
    let why = format!("there is no {what} {name:?}");
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, why.into())
}

/// Subject of the name in a column.
///
/// # Errors
/// If it is unknown.
fn subject_of(column: usize, name: &str) -> rusqlite::Result<Subject> {
    Subject::from_name(name).ok_or_else(|| unknown(column, "kind of subject", name))
}

fn change_of(row: &Row<'_>) -> rusqlite::Result<RecordedChange> {
    let subject: String = row.get(3)?;
    let outcome: Option<String> = row.get(10)?;
    Ok(RecordedChange {
        number: row.get::<_, i64>(0)?.cast_unsigned(),
        site: row.get::<_, u32>(1)? as usize,
        action: row.get(2)?,
        subject: subject_of(3, &subject)?,
        name: row.get(4)?,
        arguments: json(row, 5)?.unwrap_or_default(),
        before: json::<Snapshot>(row, 6)?,
        after: json::<Snapshot>(row, 7)?,
        started: row.get(8)?,
        ended: row.get(9)?,
        outcome: outcome.as_deref().and_then(ChangeOutcome::from_name),
        error: row.get(11)?,
        note: row.get(12)?,
        plan_change: row.get::<_, Option<i64>>(13)?.map(i64::cast_unsigned),
        undone: row.get(14)?,
    })
}
