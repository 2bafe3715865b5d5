//! The journal's file: opening it, or saying clearly why it cannot be used; and the locks by which a run that lives is told
//! from one that was killed.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::error::{Error, Kind, Result};
use crate::sqlite::use_write_ahead_log;

/// `iaLj`, by which the file is known for ours.
const APPLICATION_ID: i64 = 0x6961_4c6a;
const SCHEMA_VERSION: i64 = 1;
const PATIENCE: Duration = Duration::from_secs(30);

/// The file in a state folder.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("journal.db")
}

fn locks(folder: &Path) -> PathBuf {
    folder.join("running")
}

pub(super) fn in_memory() -> Result<Connection> {
    let broken = |error| Error::new(Kind::Bug, "SQLite cannot work in memory").caused_by(error);
    let connection = Connection::open_in_memory().map_err(broken)?;
    connection.execute_batch(include_str!("schema.sql")).map_err(broken)?;
    Ok(connection)
}

/// Opens the journal of a state folder for writing; the first use makes it.
pub(super) fn open(folder: &Path) -> Result<Connection> {
    let path = path(folder);
    let shown = path.display().to_string();
    let failed = |error| unusable(&shown, &error);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(Error::io(format!("cannot make the journal {shown}"), error)
                .hint("nothing is changed without a journal; set IAMLUA_HOME to a folder that you can write to"));
        }
    }
    if path.metadata().is_ok_and(|about| about.permissions().readonly()) {
        let refusal =
            format!("the journal {shown} is read-only, and nothing is changed without it");
        return Err(Error::new(Kind::State, refusal).hint(format!(
            "make it writable (`chmod u+w {shown}`), or set IAMLUA_HOME to another folder"
        )));
    }
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
    Ok(connection)
}

/// Opens the journal for reading what is in it, and for settling what is open; `None` if there is none yet.
pub(super) fn open_existing(folder: &Path) -> Result<Option<Connection>> {
    let path = path(folder);
    if !path.exists() {
        return Ok(None);
    }
    let shown = path.display().to_string();
    let failed = |error| unusable(&shown, &error);
    let read_only = path.metadata().is_ok_and(|about| about.permissions().readonly());
    let flags = if read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    let connection = Connection::open_with_flags(&path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    if check_ours(&shown, &connection)? {
        return Ok(None);
    }
    if !read_only {
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    }
    Ok(Some(connection))
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
        let message = format!("{shown} is a database of another program, not a journal");
        return Err(Error::new(Kind::State, message).hint("move it away"));
    }
    if version > SCHEMA_VERSION {
        let message = format!(
            "the journal {shown} was made by a newer iamlua (its version is {version}, this program knows {SCHEMA_VERSION})"
        );
        return Err(Error::new(Kind::State, message).hint("use the newer iamlua"));
    }
    Ok(false)
}

/// The words for a journal that `SQLite` cannot use.
pub(super) fn unusable(shown: &str, error: &rusqlite::Error) -> Error {
    let (what, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => (
            "is damaged",
            format!(
                "move it away (`mv {shown} {shown}.broken`); what it held can then not be undone"
            ),
        ),
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
        _ => ("cannot be used", "see whether the disk is full or broken, and try again".to_owned()),
    };
    Error::new(Kind::State, format!("the journal {shown} {what}: {error}")).hint(hint)
}

/// Takes an id for a run of this process, with the lock that shows that it lives.
pub(super) fn claim(folder: &Path, id: impl Fn() -> String) -> Result<(String, File)> {
    let locks = locks(folder);
    let failed = |error| Error::io(format!("cannot make a lock in {}", locks.display()), error);
    std::fs::create_dir_all(&locks).map_err(failed)?;
    sweep(folder);
    loop {
        let run = id();
        let path = locks.join(&run);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                file.lock().map_err(failed)?;
                // Another process that tidied up may have removed it before it was locked.
                if path.exists() {
                    return Ok((run, file));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Takes a plan for this process, so that no other carries it out at the same time.
pub(super) fn claim_plan(folder: &Path, plan: &str) -> Result<File> {
    let locks = locks(folder);
    let failed = |error| Error::io(format!("cannot make a lock in {}", locks.display()), error);
    std::fs::create_dir_all(&locks).map_err(failed)?;
    let path = locks.join(format!("plan-{plan}"));
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(Error::new(
            Kind::Refused,
            format!("another process is carrying out plan {plan} right now"),
        )
        .hint("wait for its end; `iamlua runs` shows how far it is")),
    }
}

/// Removes the locks of runs that are over.
fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(locks(folder)) else { return };
    for entry in entries.flatten() {
        // One that cannot be looked at stays, which only means that somebody looks again.
        if let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Whether the process of a run is still alive.
pub(super) fn is_running(folder: &Path, run: &str) -> bool {
    File::open(locks(folder).join(run)).is_ok_and(|file| file.try_lock_shared().is_err())
}

/// Who runs this program, and where.
pub(super) fn operator() -> String {
    // Not by the variables, which a job may lack and anybody can set.
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    // The system's own file, because the variables of a job may not say it.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty());
    let user = user.unwrap_or_else(|| format!("uid {uid}"));
    host.map_or(user.clone(), |host| format!("{user}@{host}"))
}
