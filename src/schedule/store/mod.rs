//! Store of the scheduler, `schedule.db`: progress of each job, and its executions. Writes are
//! durable when a function returns. `due` decides what to write.

mod rows;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use self::rows::{
    EXECUTION, WITH_OUTPUT, close, entry, entry_of, execution_of, exists, insert, moment,
    path_text, put, take_over,
};
use super::due::{JobProgress, NextStep};
use super::record::Execution;
use crate::error::Result;
use crate::session::journal::new_id;
use crate::state::sqlite::DatabaseKind;

/// Kind of database; `iaLs` is its application id.
static SCHEDULE: DatabaseKind = DatabaseKind {
    name: "schedule",
    application_id: 0x6961_4c73,
    version: 1,
    schema: include_str!("schema.sql"),
    need: "no job begins without it",
    loss: "every job then counts from now on",
};

/// Number of executions that are kept per job.
pub const KEPT_EXECUTIONS: u32 = 100;
/// Number of executions above [`KEPT_EXECUTIONS`] before old ones are removed.
const SLACK: u32 = 20;

/// Store of the scheduler.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    shown: String,
}

/// Job to take over.
#[derive(Clone, Debug)]
pub struct Takeover {
    /// Path of the runbook.
    pub path: String,
    /// Name of the job.
    pub name: String,
    /// Timing of the job, as text.
    pub timing: String,
    /// Set if the job was removed before; its progress restarts.
    pub is_back: bool,
}

/// Result of starting an execution.
#[derive(Debug)]
pub enum Begun {
    /// Started, with that run id.
    Run(String),
    /// Not started: the progress has changed to this one.
    Stale(JobProgress),
}

impl Store {
    /// Path of the database in a state folder.
    #[must_use]
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("schedule.db")
    }

    /// Opens the store in a folder, and creates it if there is none.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = Self::path(folder);
        Ok(Self { connection: SCHEDULE.open(&path)?, shown: path.display().to_string() })
    }

    /// Opens the store in a folder for reading; `None` if there is none.
    ///
    /// # Errors
    /// If there is one that cannot be used.
    pub fn open_existing(folder: &Path) -> Result<Option<Self>> {
        let path = Self::path(folder);
        let shown = path.display().to_string();
        Ok(SCHEDULE.open_existing(&path)?.map(|connection| Self { connection, shown }))
    }

    /// Creates a store in memory.
    ///
    /// # Errors
    /// If `SQLite` fails.
    pub fn in_memory() -> Result<Self> {
        Ok(Self { connection: SCHEDULE.in_memory()?, shown: "the schedule in memory".into() })
    }

    /// Takes over jobs. The progress of a job that is new, or whose timing has changed, starts at
    /// `now`. Returns the progress of each.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn take_over(&mut self, jobs: &[Takeover], now: Timestamp) -> Result<Vec<JobProgress>> {
        self.change(|connection| jobs.iter().map(|job| take_over(connection, job, now)).collect())
    }

    /// Progress of a job.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn entry(&self, path: &str) -> Result<Option<JobProgress>> {
        self.read(|connection| entry(connection, path))
    }

    /// Known jobs, by path, with name and progress.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn jobs(&self) -> Result<Vec<(String, String, JobProgress)>> {
        self.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT timing, handled, free, due, attempt, failures, kills, again, path, name FROM job ORDER BY path",
            )?;
            let rows = statement.query_map([], |row| Ok((row.get(8)?, row.get(9)?, entry_of(row)?)))?;
            rows.collect()
        })
    }

    /// Records the start of an execution, if the progress of the job is still `from`, and sets the
    /// progress to `to`. Without either, the execution was started by an operator.
    ///
    /// # Errors
    /// If the store cannot be written; the execution must not start then.
    pub fn begin(
        &mut self,
        execution: &Execution,
        step: Option<(&JobProgress, &JobProgress)>,
    ) -> Result<Begun> {
        let path = path_text(execution);
        self.change(|connection| {
            if let Some((from, to)) = step {
                match entry(connection, &path)? {
                    Some(now) if now != *from => return Ok(Begun::Stale(now)),
                    _ => put(connection, &path, to)?,
                }
            }
            let run = loop {
                let run = new_id();
                // Two schedulers may create an id in the same millisecond.
                if !exists(connection, &run)? {
                    break run;
                }
            };
            insert(connection, &run, execution)?;
            Ok(Begun::Run(run))
        })
    }

    /// Records skipped due times, if the progress of the job is still `from`.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn skip(
        &mut self,
        execution: &Execution,
        from: &JobProgress,
        to: &JobProgress,
    ) -> Result<Begun> {
        let begun = self.begin(execution, Some((from, to)))?;
        if matches!(begun, Begun::Run(_)) {
            let _ = self.prune(&path_text(execution));
        }
        Ok(begun)
    }

    /// Sets the progress of a job to `to`, if it is still `from`. Returns the current progress.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn recount(
        &mut self,
        path: &str,
        from: &JobProgress,
        to: &JobProgress,
    ) -> Result<JobProgress> {
        self.change(|connection| match entry(connection, path)? {
            Some(now) if now != *from => Ok(now),
            _ => put(connection, path, to).map(|()| to.clone()),
        })
    }

    /// Records the end of an execution, and the progress of its job, which `decide` computes from
    /// the current one. `notifies`: a notification of the failure is to be sent.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn end(
        &mut self,
        execution: &Execution,
        notifies: bool,
        decide: impl Fn(&JobProgress) -> (JobProgress, NextStep),
    ) -> Result<(Option<JobProgress>, NextStep)> {
        let path = path_text(execution);
        let ended = self.change(|connection| {
            let (now, verdict) = match entry(connection, &path)? {
                Some(before) => {
                    let (after, verdict) = decide(&before);
                    put(connection, &path, &after)?;
                    (Some(after), verdict)
                }
                None => (None, NextStep::Over),
            };
            let pending = (verdict == NextStep::Failed && notifies).then_some(0);
            close(connection, execution, pending)?;
            Ok((now, verdict))
        })?;
        // The end is recorded. Old executions that could not be removed are removed the next time.
        let _ = self.prune(&path);
        Ok(ended)
    }

    /// Records that the notification of a failure was sent.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn mark_notified(&mut self, run: &str) -> Result<()> {
        self.change(|connection| {
            connection
                .execute("UPDATE execution SET notified = 1 WHERE run = ?1", [run])
                .map(|_| ())
        })
    }

    /// Failures whose notification is not sent yet, with their output.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn unnotified(&self) -> Result<Vec<Execution>> {
        self.executions(WITH_OUTPUT, "WHERE notified = 0 ORDER BY number", [])
    }

    /// Executions without an end: running, or killed.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn open_executions(&self) -> Result<Vec<Execution>> {
        self.executions(EXECUTION, "WHERE ended IS NULL ORDER BY number", [])
    }

    /// Last execution of a job that has ended.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn last(&self, path: &str) -> Result<Option<Execution>> {
        let sql = "WHERE path = ?1 AND ended IS NOT NULL ORDER BY number DESC LIMIT 1";
        Ok(self.executions(EXECUTION, sql, [path])?.pop())
    }

    /// End of the last successful execution of a job.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn last_success(&self, path: &str) -> Result<Option<Timestamp>> {
        let sql = "SELECT ended FROM execution WHERE path = ?1 AND outcome = 'done' ORDER BY number DESC LIMIT 1";
        let found = self.read(|connection| {
            connection.prepare_cached(sql)?.query_row([path], |row| moment(row, 0)).optional()
        })?;
        Ok(found.flatten())
    }

    /// Executions of a job, the latest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn history(&self, path: &str, most: u32) -> Result<Vec<Execution>> {
        let rest = "WHERE path = ?1 ORDER BY number DESC LIMIT ?2";
        self.executions(EXECUTION, rest, params![path, most])
    }

    /// Executions of all jobs, or of those with that name or path, the latest first.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn latest(&self, job: Option<&str>, most: u32) -> Result<Vec<Execution>> {
        let rest = "WHERE ?1 IS NULL OR job = ?1 OR path = ?1 ORDER BY number DESC LIMIT ?2";
        self.executions(EXECUTION, rest, params![job, most])
    }

    /// Executions whose run id begins or ends with `id`, the latest first; at most two.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn matching(&self, id: &str) -> Result<Vec<Execution>> {
        let rest = "WHERE substr(run, 1, length(?1)) = ?1 OR substr(run, -length(?1)) = ?1 ORDER BY number DESC LIMIT 2";
        self.executions(WITH_OUTPUT, rest, [id])
    }

    /// Names of all jobs that have run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn names(&self) -> Result<Vec<String>> {
        self.read(|connection| {
            let mut names = connection.prepare("SELECT DISTINCT job FROM execution")?;
            names.query_map([], |row| row.get(0))?.collect()
        })
    }

    /// Execution with that run id, with its output.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn execution(&self, run: &str) -> Result<Option<Execution>> {
        Ok(self.executions(WITH_OUTPUT, "WHERE run = ?1", [run])?.pop())
    }

    /// Number that changes when another process writes to the store.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn version(&self) -> Result<i64> {
        self.read(|connection| connection.query_row("PRAGMA data_version", [], |row| row.get(0)))
    }

    fn executions(
        &self,
        what: &str,
        rest: &str,
        with: impl rusqlite::Params,
    ) -> Result<Vec<Execution>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&format!("{what} {rest}"))?;
            let rows = statement.query_map(with, execution_of)?;
            rows.collect()
        })
    }

    /// Removes old executions of a job, in batches.
    fn prune(&mut self, path: &str) -> Result<()> {
        self.change(|connection| {
            let old: Option<i64> = connection
                .prepare_cached(
                    "SELECT number FROM execution WHERE path = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2",
                )?
                .query_row(params![path, KEPT_EXECUTIONS + SLACK], |row| row.get(0))
                .optional()?;
            if old.is_some() {
                let sql = "DELETE FROM execution WHERE path = ?1 AND ended IS NOT NULL AND notified IS NOT 0 AND number <= (
                    SELECT number FROM execution WHERE path = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)";
                connection.execute(sql, params![path, KEPT_EXECUTIONS])?;
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
