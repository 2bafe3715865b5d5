//! What everything that is kept in `SQLite` needs, and the files of the state folder: how one is opened, how it is known for ours, and what is
//! said when it cannot be used.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::error::{Error, Kind, Result};
use crate::state;

/// So long others who use a file are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A file of so many bytes is looked at for damage whenever it is opened for writing: 4 ms a MiB.
const SMALL: u64 = 4 << 20;
/// So long a larger file is taken to be as it was when it was looked at.
const CHECKED: Duration = Duration::from_hours(24);

/// Turns the write-ahead log on. Unlike everything else this does not wait for others by itself.
///
/// # Errors
/// Those of `SQLite`; "busy" only after that time.
pub fn use_write_ahead_log(connection: &Connection, patience: Duration) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < patience =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

/// A kind of file in the state folder in which what is committed is on the disk.
#[derive(Debug)]
pub struct DatabaseKind {
    /// What it is called: "journal".
    pub name: &'static str,
    /// The number by which it is known for ours.
    pub application_id: i64,
    /// The version of its tables.
    pub version: i64,
    /// Its tables.
    pub schema: &'static str,
    /// What does not go without it, in words that end a sentence: "nothing is changed without it".
    pub need: &'static str,
    /// What is lost if it is moved away.
    pub loss: &'static str,
}

impl DatabaseKind {
    /// One that is gone with the process.
    ///
    /// # Errors
    /// If `SQLite` cannot work in memory.
    pub fn in_memory(&self) -> Result<Connection> {
        let broken = |error| Error::new(Kind::Bug, "SQLite cannot work in memory").caused_by(error);
        let connection = Connection::open_in_memory().map_err(broken)?;
        connection.execute_batch(self.schema).map_err(broken)?;
        Ok(connection)
    }

    /// Opens one for writing; the first use makes it.
    ///
    /// # Errors
    /// If it cannot be made or used.
    pub fn open(&self, path: &Path) -> Result<Connection> {
        let (name, need) = (self.name, self.need);
        let shown = path.display().to_string();
        let failed = |error| self.unusable(&shown, &error);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(Error::io(format!("cannot make the {name} {shown}"), error)
                    .hint(format!("{need}; set IAMLUA_HOME to a folder that you can write to")));
            }
        }
        if path.metadata().is_ok_and(|about| about.permissions().readonly()) {
            let refusal = format!("the {name} {shown} is read-only, and {need}");
            return Err(Error::new(Kind::State, refusal).hint(format!(
                "make it writable (`chmod u+w {shown}`), or set IAMLUA_HOME to another folder"
            )));
        }
        // Files that SQLite makes beside it get the same mode.
        state::close_database(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        if !self.is_empty(&shown, &connection)? {
            self.check(path, &shown, &connection)?;
        }
        use_write_ahead_log(&connection, PATIENCE).map_err(failed)?;
        // With FULL a commit is on the disk when it returns.
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        // Asked again under the lock: another process may have made it meanwhile.
        if self.is_empty(&shown, &transaction)? {
            transaction.execute_batch(self.schema).map_err(failed)?;
            transaction
                .pragma_update(None, "application_id", self.application_id)
                .map_err(failed)?;
            transaction.pragma_update(None, "user_version", self.version).map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        Ok(connection)
    }

    /// Opens one for reading what is in it, and for changing that if the file may be written; `None` if there is none yet.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn open_existing(&self, path: &Path) -> Result<Option<Connection>> {
        if !path.exists() {
            return Ok(None);
        }
        let shown = path.display().to_string();
        let failed = |error| self.unusable(&shown, &error);
        state::close_database(path);
        let read_only = path.metadata().is_ok_and(|about| about.permissions().readonly());
        let flags = if read_only {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        } else {
            OpenFlags::SQLITE_OPEN_READ_WRITE
        };
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        if self.is_empty(&shown, &connection)? {
            return Ok(None);
        }
        connection.pragma_update(None, "cell_size_check", true).map_err(failed)?;
        if !read_only {
            connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        }
        Ok(Some(connection))
    }

    /// Looks for damage before anything is written. That reads the whole file, so a large one is
    /// looked at once a day.
    fn check(&self, path: &Path, shown: &str, connection: &Connection) -> Result<()> {
        let failed = |error| self.unusable(shown, &error);
        // Damage of a page that is read later is noticed then.
        connection.pragma_update(None, "cell_size_check", true).map_err(failed)?;
        let mut mark = path.as_os_str().to_owned();
        mark.push(".checked");
        let mark = Path::new(&mark);
        let is_large = path.metadata().is_ok_and(|about| about.len() > SMALL);
        let is_checked = || {
            let checked = mark.metadata().and_then(|about| about.modified());
            checked.is_ok_and(|checked| checked.elapsed().is_ok_and(|since| since < CHECKED))
        };
        if is_large && is_checked() {
            return Ok(());
        }
        let found: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if found != "ok" {
            let message = format!("the {} {shown} is damaged: {found}", self.name);
            return Err(Error::new(Kind::State, message).hint(self.damaged(shown)));
        }
        if is_large {
            // Without the mark it is looked at again the next time.
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let opened = options.open(mark);
            let _ = opened.and_then(|file| file.set_modified(std::time::SystemTime::now()));
        }
        Ok(())
    }

    fn damaged(&self, shown: &str) -> String {
        format!("move it away (`mv {shown} {shown}.broken`); {}", self.loss)
    }

    /// Whether a file is still empty; an error if it is not of this kind, or of a newer version.
    fn is_empty(&self, shown: &str, connection: &Connection) -> Result<bool> {
        let Self { name, version: known, .. } = self;
        // One look at one moment: another process may be making it.
        let _moment = if connection.is_autocommit() {
            Some(connection.unchecked_transaction().map_err(|error| self.unusable(shown, &error))?)
        } else {
            None
        };
        let number = |sql: &str| {
            connection
                .query_row(sql, [], |row| row.get::<_, i64>(0))
                .map_err(|error| self.unusable(shown, &error))
        };
        let application = number("PRAGMA application_id")?;
        let version = number("PRAGMA user_version")?;
        if application == 0 && version == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0 {
            return Ok(true);
        }
        if application != self.application_id {
            let message = format!("{shown} is a database of another program, not a {name}");
            return Err(Error::new(Kind::State, message).hint("move it away"));
        }
        if version > *known {
            let message = format!(
                "the {name} {shown} was made by a newer iamlua (its version is {version}, this program knows {known})"
            );
            return Err(Error::new(Kind::State, message).hint("use the newer iamlua"));
        }
        Ok(false)
    }

    /// The words for a file that `SQLite` cannot use.
    pub fn unusable(&self, shown: &str, error: &rusqlite::Error) -> Error {
        let (what, hint) = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                ("is damaged", self.damaged(shown))
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                ("is in use by another process", "wait for it to finish and try again".to_owned())
            }
            Some(ErrorCode::DiskFull) => {
                ("cannot be written", "make room on the disk and try again".to_owned())
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => (
                "cannot be opened",
                "make it and its folder writable, or set IAMLUA_HOME to another folder".to_owned(),
            ),
            _ => (
                "cannot be used",
                "see whether the disk is full or broken, and try again".to_owned(),
            ),
        };
        Error::new(Kind::State, format!("the {} {shown} {what}: {error}", self.name)).hint(hint)
    }
}
