//! Common functions for `SQLite` databases and the files of the state folder: opening,
//! identification by application id, and error messages.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::error::{Error, Kind, Result};
use crate::state;

/// Busy timeout: time to wait for the lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum size of a file that is checked for damage on every open for writing: 4 ms per MiB.
const MAX_ALWAYS_CHECKED: u64 = 4 << 20;
/// Time after which a larger file is checked again.
const CHECK_INTERVAL: Duration = Duration::from_hours(24);

/// Enables the write-ahead log. Unlike other statements, this one does not observe the busy
/// timeout.
///
/// # Errors
/// Those of `SQLite`; "busy" only after `patience`.
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

/// Kind of database in the state folder, with durable commits.
#[derive(Debug)]
pub struct DatabaseKind {
    /// Name: "journal".
    pub name: &'static str,
    /// Application id in the file's header.
    pub application_id: i64,
    /// Schema version.
    pub version: i64,
    /// Schema.
    pub schema: &'static str,
    /// End of a sentence about the need for the file: "nothing is changed without it".
    pub need: &'static str,
    /// Data that are lost if the file is moved away.
    pub loss: &'static str,
}

impl DatabaseKind {
    /// In-memory database, which is lost when the process ends.
    ///
    /// # Errors
    /// If `SQLite` cannot work in memory.
    pub fn in_memory(&self) -> Result<Connection> {
        let broken = |error| Error::new(Kind::Bug, "SQLite cannot work in memory").caused_by(error);
        let connection = Connection::open_in_memory().map_err(broken)?;
        connection.execute_batch(self.schema).map_err(broken)?;
        Ok(connection)
    }

    /// Opens a database for writing; the first use creates it.
    ///
    /// # Errors
    /// If it cannot be created or used.
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
        // The files that SQLite creates beside it get the same mode.
        state::close_database(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        if !self.is_empty(&shown, &connection)? {
            self.check(path, &shown, &connection)?;
        }
        use_write_ahead_log(&connection, BUSY_TIMEOUT).map_err(failed)?;
        // With FULL a commit is on the disk when it returns.
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        // Checked again under the lock: another process may have created it meanwhile.
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

    /// Opens an existing database for reading, and for writing if the file is writable; `None` if
    /// it does not exist.
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
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        if self.is_empty(&shown, &connection)? {
            return Ok(None);
        }
        connection.pragma_update(None, "cell_size_check", true).map_err(failed)?;
        if !read_only {
            connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        }
        Ok(Some(connection))
    }

    /// Checks for damage before anything is written. The check reads the whole file, so a large
    /// file is checked once a day.
    fn check(&self, path: &Path, shown: &str, connection: &Connection) -> Result<()> {
        let failed = |error| self.unusable(shown, &error);
        // Damage in a page that is read later is detected then.
        connection.pragma_update(None, "cell_size_check", true).map_err(failed)?;
        let mut mark = path.as_os_str().to_owned();
        mark.push(".checked");
        let mark = Path::new(&mark);
        let is_large = path.metadata().is_ok_and(|about| about.len() > MAX_ALWAYS_CHECKED);
        let is_checked = || {
            let checked = mark.metadata().and_then(|about| about.modified());
            checked.is_ok_and(|checked| checked.elapsed().is_ok_and(|since| since < CHECK_INTERVAL))
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
            // Without the mark the file is checked again the next time.
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

    /// True if the file is empty; an error if it is of another kind, or of a newer version.
    fn is_empty(&self, shown: &str, connection: &Connection) -> Result<bool> {
        let Self { name, version: known, .. } = self;
        // Both reads in one transaction, because another process may be creating the file.
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

    /// Error for a file that `SQLite` cannot use.
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
