//! The journal's file, and the locks that tell a live run from one that was killed.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::{Error, Kind, Result};
use crate::state;
use crate::state::sqlite::DatabaseKind;

/// `iaLj` is the application id of the journal in the header of the `SQLite` file.
pub(super) static JOURNAL: DatabaseKind = DatabaseKind {
    name: "journal",
    application_id: 0x6961_4c6a,
    version: 1,
    schema: concat!(include_str!("schema.sql"), include_str!("schema_additions.sql")),
    need: "nothing is changed without it",
    loss: "what it held can then not be undone",
};

/// Tables and indexes that journals of earlier versions lack.
const ADDITIONS: &str = include_str!("schema_additions.sql");

/// Journal in memory, shared by several runs. It ends with its last clone.
#[derive(Clone, Debug)]
pub struct MemoryJournal(Arc<Memory>);

#[derive(Debug)]
struct Memory {
    /// URI of the database, for further connections.
    uri: String,
    /// Claimed names: ids of runs in progress, and names of work.
    taken: Mutex<BTreeSet<String>>,
    /// Connection that keeps the database alive without any other.
    _keeper: Mutex<Connection>,
}

impl MemoryJournal {
    /// Creates an empty journal.
    ///
    /// # Errors
    /// If `SQLite` cannot work in memory.
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let uri = format!("file:/iamlua-journal-{number}?vfs=memdb");
        let keeper = connect(&uri).map_err(|error| unusable(&error))?;
        keeper.execute_batch(JOURNAL.schema).map_err(|error| unusable(&error))?;
        let (taken, keeper) = (Mutex::default(), Mutex::new(keeper));
        Ok(Self(Arc::new(Memory { uri, taken, _keeper: keeper })))
    }

    pub(super) fn connect(&self) -> Result<Connection> {
        connect(&self.0.uri).map_err(|error| unusable(&error))
    }

    /// Claims a name until the claim is dropped; `None` if it is taken.
    pub(super) fn claim(&self, name: String) -> Option<MemoryClaim> {
        let is_free = self.taken().insert(name.clone());
        is_free.then(|| MemoryClaim { journal: self.clone(), name })
    }

    pub(super) fn is_taken(&self, name: &str) -> bool {
        self.taken().contains(name)
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Claimed name in a [`MemoryJournal`].
#[derive(Debug)]
pub struct MemoryClaim {
    journal: MemoryJournal,
    name: String,
}

impl Drop for MemoryClaim {
    fn drop(&mut self) {
        self.journal.taken().remove(&self.name);
    }
}

/// Claim of a run in progress, or of work, until it is dropped.
#[derive(Debug)]
pub enum Claim {
    /// Lock of a file in the state folder.
    File(#[allow(dead_code, reason = "held for its lock")] File),
    /// Name in memory.
    Memory(#[allow(dead_code, reason = "held until it is dropped")] MemoryClaim),
}

fn connect(uri: &str) -> rusqlite::Result<Connection> {
    const PATIENCE: Duration = Duration::from_secs(30);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

fn unusable(error: &rusqlite::Error) -> Error {
    JOURNAL.unusable(IN_MEMORY, error)
}

/// Name of a journal in memory, in messages.
pub(super) const IN_MEMORY: &str = "in memory";

/// Opens the journal of a state folder for writing; the first use creates it.
pub(super) fn open(folder: &Path) -> Result<Connection> {
    let path = path(folder);
    let connection = JOURNAL.open(&path)?;
    connection
        .execute_batch(ADDITIONS)
        .map_err(|error| JOURNAL.unusable(&path.display().to_string(), &error))?;
    Ok(connection)
}

/// Opens the journal of a state folder for reading; `None` if there is none. A read-only journal is
/// read as if it had all tables.
pub(super) fn open_existing(folder: &Path) -> Result<Option<Connection>> {
    let path = path(folder);
    let Some(connection) = JOURNAL.open_existing(&path)? else { return Ok(None) };
    let added = connection.execute_batch(ADDITIONS).or_else(|error| {
        let is_read_only = error.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly);
        if !is_read_only {
            return Err(error);
        }
        let tables = ADDITIONS.split(';').filter(|sql| sql.contains("CREATE TABLE"));
        tables.map(|sql| sql.replace("CREATE TABLE", "CREATE TEMP TABLE")).try_for_each(|sql| {
            let name = sql.split_whitespace().skip_while(|word| *word != "EXISTS").nth(1);
            let exists = connection.table_exists(Some("main"), name.unwrap_or_default())?;
            if exists { Ok(()) } else { connection.execute_batch(&sql) }
        })
    });
    added.map_err(|error| JOURNAL.unusable(&path.display().to_string(), &error))?;
    Ok(Some(connection))
}

/// Path of the journal in a state folder.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("journal.db")
}

fn locks(folder: &Path) -> PathBuf {
    folder.join("running")
}

/// Claims an id for a run of this process, with the lock that shows that the run is alive.
pub(super) fn claim_run(folder: &Path, id: impl Fn() -> String) -> Result<(String, File)> {
    let locks = locks(folder);
    let failed = |error| Error::io(format!("cannot make a lock in {}", locks.display()), error);
    state::make_private(&locks).map_err(failed)?;
    sweep(folder);
    loop {
        let run = id();
        let path = locks.join(&run);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                file.lock().map_err(failed)?;
                // Another process may have removed the file in a sweep before it was locked.
                if path.exists() {
                    return Ok((run, file));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Claims work by name for this process, so that no other process does it concurrently. `what`
/// describes the work of the other process in the error.
pub(super) fn claim(folder: &Path, name: &str, what: &str) -> Result<File> {
    let locks = locks(folder);
    let failed = |error| Error::io(format!("cannot make a lock in {}", locks.display()), error);
    state::make_private(&locks).map_err(failed)?;
    let path = locks.join(name);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(_) => Err(Error::new(Kind::Refused, format!("another process is {what} right now"))
            .hint("wait for its end; `iamlua runs` shows how far it is")),
    }
}

/// Removes the locks of runs that have ended.
fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(locks(folder)) else { return };
    for entry in entries.flatten() {
        // A lock that cannot be opened stays; the next sweep tries again.
        if let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Check that the process of a run is still alive.
pub(super) fn is_running(folder: &Path, run: &str) -> bool {
    File::open(locks(folder).join(run)).is_ok_and(|file| file.try_lock_shared().is_err())
}

/// User and host that run this program.
pub(super) fn operator() -> String {
    // Not from variables: a scheduled job may lack them, and anybody can set them.
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    // From the system's own file, because the variables of a scheduled job may lack it.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty());
    let user = user.unwrap_or_else(|| format!("uid {uid}"));
    host.map_or(user.clone(), |host| format!("{user}@{host}"))
}
