//! Reading the journal: the runs, their changes, and what is still open; and settling what was open.

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
    /// Its id.
    pub id: String,
    /// `running`, `done`, `partial` when it made some changes and not all that it was to make,
    /// `failed`, `interrupted`, `refused`, `timeout`, or `killed` when its process is gone and did
    /// not say how.
    pub status: String,
    /// The command, such as `run`.
    pub command: String,
    /// When it began, in milliseconds since 1970.
    pub started: i64,
    /// When it ended, likewise.
    pub ended: Option<i64>,
    /// The script's path.
    pub script: Option<String>,
    /// The SHA-256 of its text.
    pub script_sha256: Option<String>,
    /// Its parameters.
    pub parameters: Option<Json>,
    /// Who ran it, and on which machine.
    pub operator: String,
    /// The program and its version.
    pub program: String,
    /// The plan that it carried out.
    pub plan: Option<String>,
    /// The run that it undid.
    pub undoes: Option<String>,
    /// The error that ended it.
    pub error: Option<String>,
    /// The requests that it sent, by action.
    pub calls: Option<Json>,
    /// How many of them were throttled.
    pub throttled: Option<u32>,
    /// Where its changes went, by number.
    pub sites: Vec<Destination>,
    /// How many changes it began, by what became of them.
    pub counts: Counts,
}

/// How many changes, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Done.
    pub done: u64,
    /// Failed.
    pub failed: u64,
    /// Sent, and nobody knows.
    pub in_doubt: u64,
    /// Done, and undone since.
    pub undone: u64,
    /// Done, not undone, and of an effect.
    pub standing: u64,
}

/// A change of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// Its number in the run.
    pub number: u64,
    /// Where it went: a place in [`Run::sites`].
    pub site: usize,
    /// The AWS action.
    pub action: String,
    /// What it was about.
    pub subject: Subject,
    /// The name of that.
    pub name: String,
    /// Its arguments.
    pub arguments: Json,
    /// What was there before.
    pub before: Option<Snapshot>,
    /// What it leaves there.
    pub after: Option<Snapshot>,
    /// When it began, in milliseconds since 1970.
    pub started: i64,
    /// When its outcome was known, likewise.
    pub ended: Option<i64>,
    /// What became of it; none while nobody knows.
    pub outcome: Option<ChangeOutcome>,
    /// What AWS said, if it failed.
    pub error: Option<String>,
    /// What is worth knowing besides.
    pub note: Option<String>,
    /// Which change of a plan it carried out.
    pub plan_change: Option<u64>,
    /// The run that undid it.
    pub undone: Option<String>,
}

impl Recorded {
    /// Whether nobody knows yet what became of it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.outcome, None | Some(ChangeOutcome::InDoubt))
    }
}

const RUN: &str = "SELECT id, status, command, started, ended, script, script_sha256, parameters, operator, program, plan, undoes,
    error, calls, throttled FROM run LEFT JOIN run_order ON run_order.run = id";
/// Order of runs: those of earlier versions come first, by their ids.
const ORDER: &str = "ORDER BY run_order.number, id";
const LATEST_FIRST: &str = "ORDER BY run_order.number DESC, id DESC";
const CHANGE: &str = "SELECT number, site, action, subject, name, arguments, before, after, started, ended, outcome, error, note,
    plan_change, undone FROM change";

impl Records {
    /// Opens the journal of a state folder; `None` if nothing was ever changed.
    ///
    /// # Errors
    /// If there is one that cannot be used.
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

    /// The latest runs, the latest first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn runs(&self, most: usize) -> Result<Vec<Run>> {
        self.query(&format!("{RUN} {LATEST_FIRST} LIMIT ?1"), [most.cast_signed()])
    }

    /// The last run that is not an undo and of which something stands or is in doubt.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn last_to_undo(&self) -> Result<Option<Run>> {
        self.last_that_stands("undoes IS NULL")
    }

    /// The last undo of which something stands or is in doubt.
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

    /// Profiles and roles that a run has left as they are, although it was to change them.
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

    /// The runs that ended, or began if they did not end, before a moment in milliseconds since
    /// 1970; the earliest first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn runs_before(&self, moment: i64) -> Result<Vec<Run>> {
        self.query(&format!("{RUN} WHERE coalesce(ended, started) < ?1 {ORDER}"), [moment])
    }

    /// Removes runs with their changes, and gives their room in the file back.
    ///
    /// # Errors
    /// If the journal cannot be written; then none is removed.
    pub fn remove(&self, runs: &[&str]) -> Result<()> {
        const OF_A_RUN: [(&str, &str); 5] = [
            ("change", "run"),
            ("site", "run"),
            ("left_out", "run"),
            ("run_order", "run"),
            ("run", "id"),
        ];
        self.read(|connection| {
            let transaction = connection.unchecked_transaction()?;
            for (table, column) in OF_A_RUN {
                let sql = format!("DELETE FROM {table} WHERE {column} = ?1");
                let mut statement = transaction.prepare(&sql)?;
                for run in runs {
                    statement.execute([run])?;
                }
            }
            transaction.commit()
        })?;
        // While another process uses the file it stays as large as it is; the room is used again.
        let _ = self.connection.execute_batch("VACUUM");
        Ok(())
    }

    /// The runs that have carried out a plan, the earliest first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn runs_of_plan(&self, plan: &str) -> Result<Vec<Run>> {
        self.query(&format!("{RUN} WHERE plan = ?1 {ORDER}"), [plan])
    }

    /// The runs that have taken back changes of a run, the earliest first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn runs_that_undo(&self, run: &str) -> Result<Vec<Run>> {
        self.query(&format!("{RUN} WHERE undoes = ?1 {ORDER}"), [run])
    }

    /// The runs of a script, by its path, of which something is in doubt or that were killed, the earliest first; without those that go on.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn unsettled_runs(&self, script: &str) -> Result<Vec<Run>> {
        let open = "EXISTS (SELECT 1 FROM change WHERE change.run = run.id AND (outcome IS NULL OR outcome = 'in doubt'))";
        let sql = format!("{RUN} WHERE script = ?1 AND (status IS NULL OR {open}) {ORDER}");
        let mut runs = self.query(&sql, [script])?;
        runs.retain(|run| run.status != "running");
        Ok(runs)
    }

    /// The run of that id, or of which that is the beginning or the end; `last` is the latest.
    ///
    /// # Errors
    /// If there is none, or several.
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

    /// The changes of a run, in order.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn changes(&self, run: &str) -> Result<Vec<Recorded>> {
        self.read(|connection| changes(connection, run))
    }

    /// Changes of all runs that were made so lately that AWS may not show them, in order.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn recent_changes(&self) -> Result<Vec<(Destination, Recorded)>> {
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

    /// Writes down what became of an open change.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub fn settle(&self, run: &str, settled: &Settled) -> Result<()> {
        self.read(|connection| settle(connection, run, settled, Timestamp::now().as_millisecond()))
    }

    /// Writes down that a run was killed, once nothing of it is open.
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
        // They name files.
        if let Some(run) = runs.iter().find(|run| !is_id(&run.id)) {
            let message = format!("the journal is damaged: {:?} is no id of a run", run.id);
            return Err(Error::new(Kind::State, message));
        }
        for run in &mut runs {
            run.sites = self.sites(&run.id)?;
            run.counts = self.counts(&run.id)?;
            if run.status.is_empty() {
                let lives = self.place.is_running(&run.id);
                if lives { "running" } else { "killed" }.clone_into(&mut run.status);
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

    fn counts(&self, run: &str) -> Result<Counts> {
        let sql = "SELECT coalesce(sum(outcome = 'done'), 0), coalesce(sum(outcome = 'failed'), 0),
             coalesce(sum(outcome IS NULL OR outcome = 'in doubt'), 0), count(undone),
             coalesce(sum(outcome = 'done' AND undone IS NULL AND before IS NOT after), 0) FROM change WHERE run = ?1";
        let counts = self.read(|connection| {
            connection
                .query_row(sql, params![run], |row| {
                    let count = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
                    Ok(Counts {
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

/// The changes of a run, in order.
pub(super) fn changes(connection: &Connection, run: &str) -> rusqlite::Result<Vec<Recorded>> {
    let mut statement = connection.prepare(&format!("{CHANGE} WHERE run = ?1 ORDER BY number"))?;
    let rows = statement.query_map([run], change_of)?;
    rows.collect()
}

/// Takes a plan for this process, for as long as the file is held.
///
/// # Errors
/// If another process has it, or there is no place for the lock.
pub fn claim_plan(folder: &Path, plan: &str) -> Result<std::fs::File> {
    file::claim(folder, &format!("plan-{plan}"), &format!("carrying out plan {plan}"))
}

/// Takes the undo of a run for this process, for as long as the file is held.
///
/// # Errors
/// If another process has it, or there is no place for the lock.
pub fn claim_undo(folder: &Path, run: &str) -> Result<std::fs::File> {
    file::claim(folder, &format!("undo-{run}"), &format!("undoing run {run}"))
}

/// Takes a plan or the undo of a run, by `name`, in a journal in memory.
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

/// The error for an id that no run has.
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
        status: row.get::<_, Option<String>>(1)?.unwrap_or_default(),
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
        counts: Counts::default(),
    })
}

fn change_of(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let subject: String = row.get(3)?;
    let outcome: Option<String> = row.get(10)?;
    Ok(Recorded {
        number: row.get::<_, i64>(0)?.cast_unsigned(),
        site: row.get::<_, u32>(1)? as usize,
        action: row.get(2)?,
        subject: if subject == Subject::Role.name() { Subject::Role } else { Subject::Profile },
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
