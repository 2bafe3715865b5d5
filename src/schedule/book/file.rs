//! The file of the schedule: opening it, or saying clearly why it cannot be used.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::error::{Error, Kind, Result};
use crate::sqlite::use_write_ahead_log;

/// `iaLs`, by which the file is known for ours.
const APPLICATION_ID: i64 = 0x6961_4c73;
const SCHEMA_VERSION: i64 = 1;
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens it; the first use makes it.
pub(super) fn open(path: &Path) -> Result<Connection> {
    let shown = path.display().to_string();
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
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
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
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
    Ok(connection)
}

/// Opens it for reading; `None` if it is not there.
pub(super) fn open_existing(path: &Path) -> Result<Option<Connection>> {
    if !path.exists() {
        return Ok(None);
    }
    let shown = path.display().to_string();
    let failed = |error| unusable(&shown, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    let is_empty = check_ours(&shown, &connection)?;
    Ok((!is_empty).then_some(connection))
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
pub(super) fn unusable(shown: &str, error: &rusqlite::Error) -> Error {
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
