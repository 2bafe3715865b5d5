//! The state of the schedule, `schedule.db`: how far each job has come, and its executions. What is written here is on the disk when a function
//! returns, and survives a kill. What to write is decided in `due`.

mod rows;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use self::rows::{
    EXECUTION, WITH_OUTPUT, close, entry, entry_of, execution_of, exists, insert, moment,
    path_text, put, take_over,
};
use super::due::{Entry, NextStep};
use super::record::Execution;
use crate::error::Result;
use crate::session::journal::new_id;
use crate::state::sqlite::DatabaseKind;

/// `iaLs` is the number by which it is known for ours.
static SCHEDULE: DatabaseKind = DatabaseKind {
    name: "schedule",
    application_id: 0x6961_4c73,
    version: 1,
    schema: include_str!("schema.sql"),
    need: "no job begins without it",
    loss: "every job then counts from now on",
};

/// So many executions of a job are kept.
pub const KEPT: u32 = 100;
/// So many more may be there before the old ones are removed.
const SLACK: u32 = 20;

/// The state of the schedule.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    shown: String,
}

/// A job that is to be taken over.
#[derive(Clone, Debug)]
pub struct Takeover {
    /// The path of its runbook.
    pub path: String,
    /// Its name.
    pub name: String,
    /// Its timing in words.
    pub timing: String,
    /// Whether it was gone, and counts from now on again.
    pub is_back: bool,
}

/// Whether an execution could be begun.
#[derive(Debug)]
pub enum Begun {
    /// It was, with that id.
    Run(String),
    /// The job has gone on meanwhile, and stands here.
    Stale(Entry),
}

impl Store {
    /// The file in a state folder.
    #[must_use]
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("schedule.db")
    }

    /// Opens the state in a folder; the first use makes it.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = Self::path(folder);
        Ok(Self { connection: SCHEDULE.open(&path)?, shown: path.display().to_string() })
    }

    /// Opens the state in a folder for reading; `None` if there is none yet.
    ///
    /// # Errors
    /// If there is one that cannot be used.
    pub fn open_existing(folder: &Path) -> Result<Option<Self>> {
        let path = Self::path(folder);
        let shown = path.display().to_string();
        Ok(SCHEDULE.open_existing(&path)?.map(|connection| Self { connection, shown }))
    }

    /// A state that is gone with the process.
    ///
    /// # Errors
    /// If `SQLite` cannot work in memory.
    pub fn in_memory() -> Result<Self> {
        Ok(Self { connection: SCHEDULE.in_memory()?, shown: "the schedule in memory".into() })
    }

    /// Takes jobs over: one that is new, or whose timing is another than before, counts from now on. Returns how far each has come.
    ///
    /// # Errors
    /// If the state cannot be written.
    pub fn take_over(&mut self, jobs: &[Takeover], now: Timestamp) -> Result<Vec<Entry>> {
        self.change(|book| jobs.iter().map(|job| take_over(book, job, now)).collect())
    }

    /// How far a job has come.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn entry(&self, path: &str) -> Result<Option<Entry>> {
        self.read(|book| entry(book, path))
    }

    /// The jobs that are known, by path, with their names and how far they have come.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn jobs(&self) -> Result<Vec<(String, String, Entry)>> {
        self.read(|book| {
            let mut statement = book.prepare(
                "SELECT timing, handled, free, due, attempt, failures, kills, again, path, name FROM job ORDER BY path",
            )?;
            let rows = statement.query_map([], |row| Ok((row.get(8)?, row.get(9)?, entry_of(row)?)))?;
            rows.collect()
        })
    }

    /// Begins an execution, if the job stands where the decision to begin it was made: `from`. `to` is where it stands then. Without either it is
    /// for a person.
    ///
    /// # Errors
    /// If the state cannot be written; then nothing may begin.
    pub fn begin(
        &mut self,
        execution: &Execution,
        step: Option<(&Entry, &Entry)>,
    ) -> Result<Begun> {
        let path = path_text(execution);
        self.change(|book| {
            if let Some((from, to)) = step {
                match entry(book, &path)? {
                    Some(now) if now != *from => return Ok(Begun::Stale(now)),
                    _ => put(book, &path, to)?,
                }
            }
            let run = loop {
                let run = new_id();
                // Two schedulers may begin in the same millisecond.
                if !exists(book, &run)? {
                    break run;
                }
            };
            insert(book, &run, execution)?;
            Ok(Begun::Run(run))
        })
    }

    /// Writes down that moments were left out, if the job still stands at `from`; returns where it stands if not.
    ///
    /// # Errors
    /// If the state cannot be written.
    pub fn skip(&mut self, execution: &Execution, from: &Entry, to: &Entry) -> Result<Begun> {
        let begun = self.begin(execution, Some((from, to)))?;
        if matches!(begun, Begun::Run(_)) {
            let _ = self.prune(&path_text(execution));
        }
        Ok(begun)
    }

    /// Puts a job where it is to go on, if it stands at `from`; returns where it stands.
    ///
    /// # Errors
    /// If the state cannot be written.
    pub fn recount(&mut self, path: &str, from: &Entry, to: &Entry) -> Result<Entry> {
        self.change(|book| match entry(book, path)? {
            Some(now) if now != *from => Ok(now),
            _ => put(book, path, to).map(|()| to.clone()),
        })
    }

    /// Writes down how an execution has ended, and what follows for its job, as `decide` says: how far that has come before, to how far it has come
    /// now. `is_told`: there is somebody who is to be told of a failure.
    ///
    /// # Errors
    /// If the state cannot be written.
    pub fn end(
        &mut self,
        execution: &Execution,
        is_told: bool,
        decide: impl Fn(&Entry) -> (Entry, NextStep),
    ) -> Result<(Option<Entry>, NextStep)> {
        let path = path_text(execution);
        let ended = self.change(|book| {
            let (now, verdict) = match entry(book, &path)? {
                Some(before) => {
                    let (after, verdict) = decide(&before);
                    put(book, &path, &after)?;
                    (Some(after), verdict)
                }
                None => (None, NextStep::Over),
            };
            let notified = (verdict == NextStep::Failed && is_told).then_some(0);
            close(book, execution, notified)?;
            Ok((now, verdict))
        })?;
        // What is over is written; old ones that stay are removed the next time.
        let _ = self.prune(&path);
        Ok(ended)
    }

    /// Writes down that somebody was told of a failure.
    ///
    /// # Errors
    /// If the state cannot be written.
    pub fn told(&mut self, run: &str) -> Result<()> {
        self.change(|book| {
            book.execute("UPDATE execution SET notified = 1 WHERE run = ?1", [run]).map(|_| ())
        })
    }

    /// The failures that somebody is to be told of, with what they printed.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn untold(&self) -> Result<Vec<Execution>> {
        self.executions(WITH_OUTPUT, "WHERE notified = 0 ORDER BY number", [])
    }

    /// The executions that have not ended: they go on, or were killed.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn open_executions(&self) -> Result<Vec<Execution>> {
        self.executions(EXECUTION, "WHERE ended IS NULL ORDER BY number", [])
    }

    /// The last execution of a job that has ended.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn last(&self, path: &str) -> Result<Option<Execution>> {
        let sql = "WHERE path = ?1 AND ended IS NOT NULL ORDER BY number DESC LIMIT 1";
        Ok(self.executions(EXECUTION, sql, [path])?.pop())
    }

    /// When a job last did all of its work.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn last_success(&self, path: &str) -> Result<Option<Timestamp>> {
        let sql = "SELECT ended FROM execution WHERE path = ?1 AND outcome = 'done' ORDER BY number DESC LIMIT 1";
        let found = self.read(|book| {
            book.prepare_cached(sql)?.query_row([path], |row| moment(row, 0)).optional()
        })?;
        Ok(found.flatten())
    }

    /// The executions of a job, the latest first.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn history(&self, path: &str, most: u32) -> Result<Vec<Execution>> {
        let rest = "WHERE path = ?1 ORDER BY number DESC LIMIT ?2";
        self.executions(EXECUTION, rest, params![path, most])
    }

    /// The executions of all jobs, or of those of that name or path, the latest first.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn latest(&self, job: Option<&str>, most: u32) -> Result<Vec<Execution>> {
        let rest = "WHERE ?1 IS NULL OR job = ?1 OR path = ?1 ORDER BY number DESC LIMIT ?2";
        self.executions(EXECUTION, rest, params![job, most])
    }

    /// The executions whose run's id begins or ends with that, the latest first; not more than two.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn meant(&self, id: &str) -> Result<Vec<Execution>> {
        let rest = "WHERE substr(run, 1, length(?1)) = ?1 OR substr(run, -length(?1)) = ?1 ORDER BY number DESC LIMIT 2";
        self.executions(WITH_OUTPUT, rest, [id])
    }

    /// The names of all jobs that were run.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn names(&self) -> Result<Vec<String>> {
        self.read(|book| {
            let mut names = book.prepare("SELECT DISTINCT job FROM execution")?;
            names.query_map([], |row| row.get(0))?.collect()
        })
    }

    /// One execution, by its run, with what it printed.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn execution(&self, run: &str) -> Result<Option<Execution>> {
        Ok(self.executions(WITH_OUTPUT, "WHERE run = ?1", [run])?.pop())
    }

    /// A number that is another one when another process has changed the state.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub fn version(&self) -> Result<i64> {
        self.read(|book| book.query_row("PRAGMA data_version", [], |row| row.get(0)))
    }

    fn executions(
        &self,
        what: &str,
        rest: &str,
        with: impl rusqlite::Params,
    ) -> Result<Vec<Execution>> {
        self.read(|book| {
            let mut statement = book.prepare_cached(&format!("{what} {rest}"))?;
            let rows = statement.query_map(with, execution_of)?;
            rows.collect()
        })
    }

    /// Removes old executions of a job, now and then.
    fn prune(&mut self, path: &str) -> Result<()> {
        self.change(|book| {
            let old: Option<i64> = book
                .prepare_cached(
                    "SELECT number FROM execution WHERE path = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2",
                )?
                .query_row(params![path, KEPT + SLACK], |row| row.get(0))
                .optional()?;
            if old.is_some() {
                let sql = "DELETE FROM execution WHERE path = ?1 AND ended IS NOT NULL AND notified IS NOT 0 AND number <= (
                    SELECT number FROM execution WHERE path = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)";
                book.execute(sql, params![path, KEPT])?;
            }
            Ok(())
        })
    }

    fn read<T>(&self, look: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        look(&self.connection).map_err(|error| SCHEDULE.unusable(&self.shown, &error))
    }

    fn change<T>(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let attempt = || {
            let behavior = TransactionBehavior::Immediate;
            let transaction = self.connection.transaction_with_behavior(behavior)?;
            let changed = change(&transaction)?;
            transaction.commit()?;
            Ok(changed)
        };
        attempt().map_err(|error| SCHEDULE.unusable(&self.shown, &error))
    }
}
