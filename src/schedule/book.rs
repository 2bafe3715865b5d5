//! The state of the schedule, `schedule.db`: how far each job has come, and its executions. What is written here is on the disk when a function
//! returns, and survives a kill. What to write is decided in `due`.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior,
    params,
};
use sha2::{Digest, Sha256};

use super::due::{Entry, Tries, Verdict};
use super::record::{Execution, Outcome};
use crate::error::{Error, Kind, Result};
use crate::session::journal::new_id;
use crate::sqlite::use_write_ahead_log;

/// `iaLs`, by which the file is known for ours.
const APPLICATION_ID: i64 = 0x6961_4c73;
const SCHEMA_VERSION: i64 = 1;
const PATIENCE: Duration = Duration::from_secs(30);

/// So many executions of a job are kept.
pub const KEPT: u32 = 100;
/// So many more may be there before the old ones are removed.
const SLACK: u32 = 20;

/// An execution, without what it printed, which may be much.
const EXECUTION: &str = "SELECT run, path, job, due, attempt, started, ended, outcome, exit_code, error, account, mode, changes, failed, calls,
    throttled, '' FROM execution";
/// An execution with what it printed.
const WITH_OUTPUT: &str = "SELECT run, path, job, due, attempt, started, ended, outcome, exit_code, error, account, mode, changes, failed, calls,
    throttled, output FROM execution";

/// The state of the schedule.
#[derive(Debug)]
pub struct Book {
    connection: Connection,
    shown: String,
}

/// Whether an execution could be begun.
#[derive(Debug)]
pub enum Begun {
    /// It was, with that id.
    Run(String),
    /// The job has gone on meanwhile, and stands here.
    Stale(Entry),
}

impl Book {
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
        let shown = path.display().to_string();
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(Error::io(format!("cannot make the schedule {shown}"), error)
                    .hint("set IAMLUA_HOME to a folder that you can write to"));
            }
        }
        if path.metadata().is_ok_and(|about| about.permissions().readonly()) {
            let refusal = format!("the schedule {shown} is read-only");
            return Err(Error::new(Kind::State, refusal).hint(format!(
                "make it writable (`chmod u+w {shown}`), or set IAMLUA_HOME to another folder"
            )));
        }
        let failed = |error| unusable(&shown, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        check_ours(&shown, &connection)?;
        use_write_ahead_log(&connection, PATIENCE).map_err(failed)?;
        // With FULL a commit is on the disk when it returns.
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        // Asked again under the lock: another process may have made it meanwhile.
        if check_ours(&shown, &transaction)? {
            transaction.execute_batch(include_str!("schema.sql")).map_err(failed)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        Ok(Self { connection, shown })
    }

    /// Opens the state in a folder for reading; `None` if there is none yet.
    ///
    /// # Errors
    /// If there is one that cannot be used.
    pub fn open_existing(folder: &Path) -> Result<Option<Self>> {
        let path = Self::path(folder);
        if !path.exists() {
            return Ok(None);
        }
        let shown = path.display().to_string();
        let failed = |error| unusable(&shown, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        let is_empty = check_ours(&shown, &connection)?;
        Ok((!is_empty).then_some(Self { connection, shown }))
    }

    /// A state that is gone with the process.
    ///
    /// # Errors
    /// If `SQLite` cannot work in memory.
    pub fn in_memory() -> Result<Self> {
        let broken = |error| Error::new(Kind::Bug, "SQLite cannot work in memory").caused_by(error);
        let connection = Connection::open_in_memory().map_err(broken)?;
        connection.execute_batch(include_str!("schema.sql")).map_err(broken)?;
        Ok(Self { connection, shown: "the schedule in memory".into() })
    }

    /// Takes a job over: one that is new, or whose timing is another than before, counts from now on. Returns how far it has come.
    ///
    /// # Errors
    /// If the state cannot be written.
    pub fn take_over(
        &mut self,
        path: &str,
        name: &str,
        timing: &str,
        now: Timestamp,
        is_back: bool,
    ) -> Result<Entry> {
        self.change(|book| {
            let known = entry(book, path)?;
            let entry = match known {
                None => Entry::new(timing.to_owned(), now),
                Some(known) if known.timing == timing && !is_back => known,
                Some(known) => {
                    let handled = known.handled.max(now);
                    Entry { timing: timing.to_owned(), handled, ..known }
                }
            };
            let sql =
                "INSERT INTO job (path, name, timing, handled, free) VALUES (?1, ?2, ?3, ?4, ?5)
                ON CONFLICT (path) DO UPDATE SET name = ?2, timing = ?3, handled = ?4";
            let (handled, free) = (ms(entry.handled), ms(entry.free));
            book.execute(sql, params![path, name, timing, handled, free])?;
            Ok(entry)
        })
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
        decide: impl Fn(&Entry) -> (Entry, Verdict),
    ) -> Result<(Option<Entry>, Verdict)> {
        let path = path_text(execution);
        let ended = self.change(|book| {
            let (now, verdict) = match entry(book, &path)? {
                Some(before) => {
                    let (after, verdict) = decide(&before);
                    put(book, &path, &after)?;
                    (Some(after), verdict)
                }
                None => (None, Verdict::Over),
            };
            let notified = (verdict == Verdict::Failed && is_told).then_some(0);
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
        look(&self.connection).map_err(|error| unusable(&self.shown, &error))
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
        attempt().map_err(|error| unusable(&self.shown, &error))
    }
}

fn ms(moment: Timestamp) -> i64 {
    moment.as_millisecond()
}

fn path_text(execution: &Execution) -> String {
    execution.path.display().to_string()
}

fn entry(book: &Connection, path: &str) -> rusqlite::Result<Option<Entry>> {
    let sql = "SELECT timing, handled, free, due, attempt, failures, kills, again FROM job WHERE path = ?1";
    book.prepare_cached(sql)?.query_row([path], entry_of).optional()
}

fn moment(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    let stored: Option<i64> = row.get(at)?;
    Ok(stored.map(|stored| Timestamp::from_millisecond(stored).unwrap_or_default()))
}

fn entry_of(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let tries = match moment(row, 3)? {
        Some(due) => Some(Tries {
            due,
            attempt: row.get(4)?,
            failures: row.get(5)?,
            kills: row.get(6)?,
            again: moment(row, 7)?,
        }),
        None => None,
    };
    Ok(Entry {
        timing: row.get(0)?,
        handled: moment(row, 1)?.unwrap_or_default(),
        free: moment(row, 2)?.unwrap_or_default(),
        tries,
    })
}

fn put(book: &Connection, path: &str, entry: &Entry) -> rusqlite::Result<()> {
    let sql = "UPDATE job SET handled = ?2, free = ?3, due = ?4, attempt = ?5, failures = ?6, kills = ?7, again = ?8 WHERE path = ?1";
    let tries = entry.tries;
    book.prepare_cached(sql)?.execute(params![
        path,
        ms(entry.handled),
        ms(entry.free),
        tries.map(|tries| ms(tries.due)),
        tries.map(|tries| tries.attempt),
        tries.map(|tries| tries.failures),
        tries.map(|tries| tries.kills),
        tries.and_then(|tries| tries.again).map(ms),
    ])?;
    Ok(())
}

fn exists(book: &Connection, run: &str) -> rusqlite::Result<bool> {
    book.prepare_cached("SELECT 1 FROM execution WHERE run = ?1")?.exists([run])
}

fn insert(book: &Connection, run: &str, execution: &Execution) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO execution (run, path, job, due, attempt, started, ended, outcome, error, mode)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    book.prepare_cached(sql)?.execute(params![
        run,
        path_text(execution),
        execution.job,
        execution.due.map(ms),
        execution.attempt,
        ms(execution.started),
        execution.ended.map(ms),
        execution.outcome.map(Outcome::name),
        execution.error,
        execution.mode,
    ])?;
    Ok(())
}

fn close(book: &Connection, execution: &Execution, notified: Option<i64>) -> rusqlite::Result<()> {
    let sql = "UPDATE execution SET ended = ?2, outcome = ?3, exit_code = ?4, error = ?5, account = ?6, mode = ?7, changes = ?8, failed = ?9,
        calls = ?10, throttled = ?11, output = ?12, notified = ?13 WHERE run = ?1";
    book.prepare_cached(sql)?.execute(params![
        execution.run,
        execution.ended.map(ms),
        execution.outcome.map(Outcome::name),
        execution.exit_code,
        execution.error,
        execution.account,
        execution.mode,
        execution.changes.cast_signed(),
        execution.failed.cast_signed(),
        serde_json::to_string(&execution.calls).unwrap_or_default(),
        execution.throttled.cast_signed(),
        execution.output,
        notified,
    ])?;
    Ok(())
}

fn execution_of(row: &Row<'_>) -> rusqlite::Result<Execution> {
    let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
    let outcome: Option<String> = row.get(7)?;
    Ok(Execution {
        run: row.get(0)?,
        path: PathBuf::from(row.get::<_, String>(1)?),
        job: row.get(2)?,
        due: moment(row, 3)?,
        attempt: row.get(4)?,
        started: moment(row, 5)?.unwrap_or_default(),
        ended: moment(row, 6)?,
        outcome: outcome.as_deref().and_then(Outcome::from_name),
        exit_code: row.get(8)?,
        error: row.get(9)?,
        account: row.get(10)?,
        mode: row.get(11)?,
        changes: number(12)?,
        failed: number(13)?,
        calls: serde_json::from_str(&row.get::<_, String>(14)?).unwrap_or_default(),
        throttled: number(15)?,
        output: row.get(16)?,
    })
}

/// Whether the file is still empty; an error if it is not ours, or of a newer version.
fn check_ours(shown: &str, connection: &Connection) -> Result<bool> {
    // One look at one moment: another process may be making it.
    let _moment = if connection.is_autocommit() {
        Some(connection.unchecked_transaction().map_err(|error| unusable(shown, &error))?)
    } else {
        None
    };
    let number = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .map_err(|error| unusable(shown, &error))
    };
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if application == 0 && version == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(true);
    }
    if application != APPLICATION_ID {
        let message = format!("{shown} is a database of another program, not a schedule");
        return Err(Error::new(Kind::State, message).hint("move it away"));
    }
    if version > SCHEMA_VERSION {
        let message = format!(
            "the schedule {shown} was made by a newer iamlua (its version is {version}, this program knows {SCHEMA_VERSION})"
        );
        return Err(Error::new(Kind::State, message).hint("use the newer iamlua"));
    }
    Ok(false)
}

/// The words for a state that `SQLite` cannot use.
fn unusable(shown: &str, error: &rusqlite::Error) -> Error {
    let (what, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => (
            "is damaged",
            format!(
                "move it away (`mv {shown} {shown}.broken`); every job then counts from now on"
            ),
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ("is in use by another process", "wait for it to finish and try again".to_owned())
        }
        Some(ErrorCode::DiskFull) => ("cannot be written", "make room on the disk".to_owned()),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => (
            "cannot be opened",
            "make it and its folder writable, or set IAMLUA_HOME to another folder".to_owned(),
        ),
        _ => ("cannot be used", "see whether the disk is full or broken".to_owned()),
    };
    Error::new(Kind::State, format!("the schedule {shown} {what}: {error}")).hint(hint)
}

/// A job that is held for as long as this lives, so that no other process and nobody else in this one executes it. A process that is killed lets
/// go of it.
#[derive(Debug)]
pub struct Hold {
    _file: Option<File>,
}

impl Hold {
    /// Takes a job; `None` if somebody else has it. `what` tells holds for different purposes apart.
    ///
    /// # Errors
    /// If there is no place for the lock.
    pub fn take(folder: &Path, path: &str, what: &str) -> Result<Option<Self>> {
        let locks = folder.join("jobs");
        let failed = |error| {
            Error::io(format!("cannot make a lock in {}", locks.display()), error)
                .hint("make the state folder writable, or set IAMLUA_HOME to another folder")
        };
        std::fs::create_dir_all(&locks).map_err(failed)?;
        let file = Self::file(folder, path, what);
        // It stays there: one that is removed while others open it would be two.
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file);
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: Some(file) })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Whether somebody executes a job right now.
    #[must_use]
    pub fn is_held(folder: &Path, path: &str) -> bool {
        let file = File::open(Self::file(folder, path, "run"));
        file.is_ok_and(|file| file.try_lock_shared().is_err())
    }

    fn file(folder: &Path, path: &str, what: &str) -> PathBuf {
        let hash = Sha256::digest(path);
        let number =
            hash.iter().take(12).fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
        folder.join("jobs").join(format!("{number:024x}-{what}"))
    }

    /// A hold where there is nobody else.
    #[must_use]
    pub fn alone() -> Self {
        Self { _file: None }
    }
}
