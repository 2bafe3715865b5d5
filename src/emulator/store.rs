//! The `SQLite` file: opening it, or an error that says why it cannot be used, and its
//! transactions. There is one connection for writes and one per concurrent read. An in-memory
//! account has one connection for all.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::error::{Error, Kind, Result};
use crate::state::sqlite::use_write_ahead_log;

use super::policies::upgrade;

/// `iaLu`, the application id in the file's header.
const APPLICATION_ID: i64 = 0x6961_4c75;
const SCHEMA_VERSION: i64 = 4;
/// Tables of version 1.
const SCHEMA_1: &str = include_str!("schema.sql");
/// Schema changes of later versions.
const ADDITIONS: [(i64, &str); 3] = [
    (2, include_str!("schema_2.sql")),
    (3, include_str!("schema_3.sql")),
    (4, include_str!("schema_4.sql")),
];
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Database of an account.
#[derive(Debug)]
pub(super) struct Store {
    place: Location,
    // Dropped in this order: the last connection merges the log into the file, and readers cannot.
    readers: Mutex<Vec<Connection>>,
    writer: Mutex<Connection>,
}

#[derive(Clone, Debug)]
enum Location {
    Memory,
    File(PathBuf),
    ReadOnlyFile { path: PathBuf, how: ReadMode },
}

/// Mode of opening a file that cannot be written.
#[derive(Clone, Copy, Debug)]
enum ReadMode {
    /// Another process may be writing to it.
    Shared,
    /// The folder cannot be written either, so `SQLite` cannot create its lock files. No process
    /// may be writing.
    Immutable,
}

/// Existence of the file before it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    New,
    Old,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Location::Memory => f.write_str("The local account in memory"),
            Location::File(path) | Location::ReadOnlyFile { path, .. } => {
                write!(f, "The local account {}", path.display())
            }
        }
    }
}

impl Store {
    /// Opens a file. A missing or empty file is created, and `populate` fills it in the same
    /// transaction, so that an interrupted first use leaves nothing behind.
    pub(super) fn open(
        path: &Path,
        populate: impl FnOnce(&Connection) -> Result<()>,
    ) -> Result<(Self, Age)> {
        let writable = prepare_file(path)?;
        if writable {
            match Self::open_writable(path, populate) {
                Err(OpenError::ReadOnly) => {}
                Err(OpenError::Failed(error)) => return Err(error),
                Ok(opened) => return Ok(opened),
            }
        }
        Ok((Self::open_read_only(path)?, Age::Old))
    }

    /// In-memory account, which is lost when the process ends.
    pub(super) fn in_memory(populate: impl FnOnce(&Connection) -> Result<()>) -> Result<Self> {
        let broken = |error| Error::new(Kind::Bug, "SQLite cannot work in memory").caused_by(error);
        let mut writer = Connection::open_in_memory().map_err(broken)?;
        let transaction = writer.transaction().map_err(broken)?;
        transaction.execute_batch(SCHEMA_1).map_err(broken)?;
        for (_, schema) in ADDITIONS {
            transaction.execute_batch(schema).map_err(broken)?;
        }
        upgrade::fill(0, &transaction).map_err(broken)?;
        populate(&transaction)?;
        transaction.commit().map_err(broken)?;
        Ok(Self::new(Location::Memory, writer))
    }

    fn new(place: Location, writer: Connection) -> Self {
        Self { place, readers: Mutex::default(), writer: Mutex::new(writer) }
    }

    fn open_writable(
        path: &Path,
        populate: impl FnOnce(&Connection) -> Result<()>,
    ) -> Result<(Self, Age), OpenError> {
        let failed = |error| OpenError::of(path, error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut writer = Connection::open_with_flags(path, flags).map_err(failed)?;
        configure(&writer).map_err(failed)?;
        check_ours(path, &writer).map_err(OpenError::Failed)?;
        use_write_ahead_log(&writer, BUSY_TIMEOUT).map_err(failed)?;
        let transaction =
            writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        // Checked again under the lock: another process may have created the account meanwhile.
        let age = check_ours(path, &transaction).map_err(OpenError::Failed)?;
        if age == Age::New {
            transaction.execute_batch(SCHEMA_1).map_err(failed)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        }
        let version = version(&transaction).map_err(failed)?;
        for (number, schema) in ADDITIONS {
            if version < number {
                transaction.execute_batch(schema).map_err(failed)?;
                transaction.pragma_update(None, "user_version", number).map_err(failed)?;
            }
        }
        upgrade::fill(version, &transaction).map_err(failed)?;
        if age == Age::New {
            populate(&transaction).map_err(OpenError::Failed)?;
        }
        transaction.commit().map_err(failed)?;
        Ok((Self::new(Location::File(path.to_owned()), writer), age))
    }

    fn open_read_only(path: &Path) -> Result<Self> {
        let mut refused = None;
        for how in [ReadMode::Shared, ReadMode::Immutable] {
            let place = Location::ReadOnlyFile { path: path.to_owned(), how };
            // An immutable connection would miss the contents of a log beside the file.
            if matches!(how, ReadMode::Immutable) && has_unmerged_log(path) {
                break;
            }
            match reading_connection(&place).and_then(|reader| {
                reader.query_row("SELECT count(*) FROM sqlite_schema", [], |row| {
                    row.get::<_, i64>(0)
                })?;
                Ok(reader)
            }) {
                Ok(reader) if check_ours(path, &reader)? == Age::Old => {
                    return Ok(Self::new(place, reader));
                }
                Ok(_) => {
                    let message = format!(
                        "the local account {} is empty, and it cannot be filled because it is \
                         read-only",
                        path.display()
                    );
                    return Err(Error::new(Kind::State, message).hint(writable_hint(path)));
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(unusable(path, refused.unwrap_or(rusqlite::Error::InvalidQuery)))
    }

    /// Error for a file that cannot be written, if this is one.
    pub(super) fn read_only(&self) -> Option<Error> {
        let Location::ReadOnlyFile { path, .. } = &self.place else { return None };
        let message =
            format!("the local account {} is read-only and cannot be changed", path.display());
        Some(Error::new(Kind::State, message).hint(writable_hint(path)))
    }

    /// Runs `look` in a read transaction.
    pub(super) fn read<T, E: From<rusqlite::Error>>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        if matches!(self.place, Location::Memory) {
            let connection = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            return look(&connection);
        }
        let known = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match known {
            Some(reader) => reader,
            None => reading_connection(&self.place)?,
        };
        let transaction = reader.transaction()?;
        let result = look(&transaction);
        // There is nothing to roll back; dropping the transaction ends the read.
        drop(transaction);
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        result
    }

    /// Runs `change` in a write transaction, which excludes writers in all processes. An error
    /// rolls it back.
    pub(super) fn write<T, E: From<rusqlite::Error>>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction: Transaction<'_> =
            writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = change(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Error for a failure of the file after it was opened.
    pub(super) fn unusable(&self, error: rusqlite::Error) -> Error {
        match &self.place {
            Location::Memory => {
                Error::new(Kind::State, format!("{self} failed: {error}")).caused_by(error)
            }
            Location::File(path) | Location::ReadOnlyFile { path, .. } => unusable(path, error),
        }
    }
}

/// Reason that a file could not be opened for writing.
enum OpenError {
    /// The file may still be readable.
    ReadOnly,
    Failed(Error),
}

impl OpenError {
    fn of(path: &Path, error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::ReadOnly
            }
            _ => Self::Failed(unusable(path, error)),
        }
    }
}

/// Creates the file and its folders if needed, accessible only to their owner. Returns true if the
/// file can be written.
fn prepare_file(path: &Path) -> Result<bool> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
            let what = format!("cannot make the folder {} for the local account", folder.display());
            Error::io(what, error).hint("set IAMLUA_HOME to a folder that you can write")
        })?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => {
            let what = format!("cannot make the local account {}", path.display());
            return Err(Error::io(what, error)
                .hint("make its folder writable, or set IAMLUA_HOME to one that is"));
        }
    }
    let about = fs::metadata(path).map_err(|error| {
        Error::io(format!("cannot use the local account {}", path.display()), error)
    })?;
    if !about.is_file() {
        let message = format!("the local account {} is not a file", path.display());
        return Err(Error::new(Kind::State, message)
            .hint("move it away, or set IAMLUA_HOME to another folder"));
    }
    crate::state::close_database(path);
    Ok(!about.permissions().readonly())
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    // NORMAL with a write-ahead log: a killed process loses nothing; a power failure may lose the
    // last transactions.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Negative values are in KiB.
    connection.pragma_update(None, "cache_size", -4096)?;
    connection.pragma_update(None, "journal_size_limit", 16 << 20)
}

fn reading_connection(place: &Location) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match place {
        Location::Memory => Connection::open_in_memory()?,
        Location::File(path) | Location::ReadOnlyFile { path, how: ReadMode::Shared } => {
            Connection::open_with_flags(path, flags)?
        }
        Location::ReadOnlyFile { path, how: ReadMode::Immutable } => {
            let path = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
            let uri = format!("file:{path}?immutable=1");
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?
        }
    };
    configure(&connection)?;
    // A read-only file of an earlier version is not migrated; its later tables are empty.
    if matches!(place, Location::ReadOnlyFile { .. }) {
        let version = version(&connection)?;
        for (number, schema) in ADDITIONS {
            if (1..number).contains(&version) {
                let schema = schema.replace("CREATE TABLE", "CREATE TEMP TABLE");
                connection.execute_batch(&schema)?;
            }
        }
        upgrade::fill_for_reads(version, &connection)?;
    }
    Ok(connection)
}

fn has_unmerged_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).is_ok_and(|about| about.len() > 0)
}

/// Schema version of the file; 0 for a file without tables.
fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Check for a new file or an account; anything else is an error.
fn check_ours(path: &Path, connection: &Connection) -> Result<Age> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let failed = |error| unusable(path, error);
    let application = number("PRAGMA application_id").map_err(failed)?;
    let version = version(connection).map_err(failed)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(failed)?;
    if application == 0 && version == 0 && tables == 0 {
        return Ok(Age::New);
    }
    let path = path.display();
    if application != APPLICATION_ID {
        let message = format!("{path} is a database of another program, not a local account");
        return Err(Error::new(Kind::State, message).hint("move it away, or name another file"));
    }
    if version > SCHEMA_VERSION {
        let message = format!(
            "the local account {path} was made by a newer iamlua (its version is {version}, this \
             program knows {SCHEMA_VERSION})"
        );
        return Err(Error::new(Kind::State, message)
            .hint("use the newer iamlua, or export the account there and import it here"));
    }
    number("SELECT profiles FROM account").map_err(failed)?;
    Ok(Age::Old)
}

/// Error for a file that `SQLite` cannot use.
fn unusable(path: &Path, error: rusqlite::Error) -> Error {
    let shown = path.display();
    let again = format!(
        "move it away (`mv {shown} {shown}.broken`) to start with a new example account; \
         `iamlua account import` brings an export back"
    );
    let (what, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => ("is not a local account", again),
        Some(ErrorCode::DatabaseCorrupt) => ("is damaged", again),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            ("is in use by another process", "wait for it to finish and try again".to_owned())
        }
        Some(ErrorCode::DiskFull) => {
            ("cannot be written", "make room on the disk and try again".to_owned())
        }
        Some(ErrorCode::SystemIoFailure) => {
            ("cannot be used", "see whether the disk is full or broken, and try again".to_owned())
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            ("cannot be opened", writable_hint(path))
        }
        _ => ("cannot be used", again),
    };
    Error::new(Kind::State, format!("the local account {shown} {what}: {error}"))
        .hint(hint)
        .caused_by(error)
}

fn writable_hint(path: &Path) -> String {
    format!(
        "make it and its folder writable (`chmod u+w {}`), or set IAMLUA_HOME to another folder",
        path.display()
    )
}
