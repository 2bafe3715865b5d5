//! History of entries in a small database that all REPLs share. Entries of several lines stay
//! whole, concurrent writes of two REPLs are both kept, and the size is limited.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, params};

use crate::error::{Error, Result};
use crate::state;
use crate::state::sqlite;

/// Maximum number of entries.
pub const MAX_ENTRIES: u32 = 10_000;
/// Maximum length of an entry in bytes; a longer one is data rather than code, and is not kept.
const MAX_ENTRY: usize = 64 << 10;
/// Time to wait for another process's lock (the busy timeout of `SQLite`).
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// History on the disk.
#[derive(Debug)]
pub struct History {
    connection: Connection,
    /// Id of the last entry that was read.
    seen: i64,
}

/// Path of the history: `$IAMLUA_HISTORY` (none if it is empty), else in the state folder.
///
/// # Errors
/// If there is no state folder.
pub fn place() -> Result<Option<PathBuf>> {
    match std::env::var_os("IAMLUA_HISTORY") {
        Some(place) if place.is_empty() => Ok(None),
        Some(place) => Ok(Some(place.into())),
        None => Ok(Some(state::folder()?.join("history.db"))),
    }
}

impl History {
    /// Opens the history, readable only for its owner.
    ///
    /// # Errors
    /// If the file cannot be created or used.
    pub fn open(path: &Path) -> Result<Self> {
        let unusable = |error: &dyn std::fmt::Display| {
            Error::new(
                crate::error::Kind::State,
                format!("cannot use the history {}: {error}", path.display()),
            )
            .hint("IAMLUA_HISTORY names another file; empty, it turns the history off")
        };
        restrict(path).map_err(|error| unusable(&error))?;
        let prepare = || -> rusqlite::Result<Self> {
            let connection = Connection::open(path)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            sqlite::use_write_ahead_log(&connection, BUSY_TIMEOUT)?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL)",
            )?;
            Ok(Self { connection, seen: 0 })
        };
        prepare().map_err(|error| unusable(&error))
    }

    /// Entries that were added since the last call, by this REPL or another, the oldest first. The
    /// first call returns the latest [`MAX_ENTRIES`].
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn news(&mut self) -> Result<Vec<String>> {
        let read = || -> rusqlite::Result<Vec<(i64, String)>> {
            let sql = "SELECT id, text FROM (SELECT id, text FROM entry WHERE id > ?1 ORDER BY id DESC LIMIT ?2) ORDER BY id";
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![self.seen, MAX_ENTRIES], |row| {
                // A text that is not UTF-8 was not written by a REPL.
                Ok((row.get(0)?, String::from_utf8_lossy(row.get_ref(1)?.as_bytes()?).into_owned()))
            })?;
            rows.collect()
        };
        let rows = read().map_err(|error| failed("read", &error))?;
        if let Some((last, _)) = rows.last() {
            self.seen = *last;
        }
        Ok(rows.into_iter().map(|(_, text)| text).collect())
    }

    /// Adds an entry, and drops the oldest ones beyond [`MAX_ENTRIES`].
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, text: &str) -> Result<()> {
        if text.len() > MAX_ENTRY {
            return Ok(());
        }
        let mut write = || -> rusqlite::Result<()> {
            let behavior = rusqlite::TransactionBehavior::Immediate;
            let transaction = self.connection.transaction_with_behavior(behavior)?;
            let last = "SELECT text FROM entry ORDER BY id DESC LIMIT 1";
            let last: Option<String> = transaction
                .query_row(last, [], |row| row.get(0))
                .map(Some)
                .or_else(|error| match error {
                    rusqlite::Error::QueryReturnedNoRows => Ok(None),
                    other => Err(other),
                })?;
            if last.as_deref() != Some(text) {
                transaction.execute("INSERT INTO entry (text) VALUES (?1)", [text])?;
                transaction.execute(
                    "DELETE FROM entry WHERE id <= (SELECT max(id) FROM entry) - ?1",
                    [MAX_ENTRIES],
                )?;
            }
            transaction.commit()
        };
        write().map_err(|error| failed("write", &error))
    }
}

fn failed(what: &str, error: &rusqlite::Error) -> Error {
    Error::new(crate::error::Kind::State, format!("cannot {what} the history: {error}"))
}

/// Creates the file if it is missing, and makes it private.
fn restrict(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn entries_of_several_prompts_are_kept_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("history.db");
        let mut one = History::open(&path).expect("a history");
        let mut other = History::open(&path).expect("the same");
        one.add("a = 1").expect("written");
        other.add("for i = 1, 2 do\n  print(i)\nend").expect("written");
        one.add("é \\ \"").expect("written");
        one.add("é \\ \"").expect("the same once more");
        let all = ["a = 1", "for i = 1, 2 do\n  print(i)\nend", "é \\ \""];
        assert_eq!(one.news().expect("read"), all);
        assert_eq!(other.news().expect("read"), all);
        assert!(one.news().expect("read").is_empty());
        other.add("b").expect("written");
        assert_eq!(one.news().expect("read"), ["b"]);
        let mode = path.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn many_at_once_lose_nothing_and_it_stays_bounded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("history.db");
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let path = path.clone();
                std::thread::spawn(move || {
                    let mut history = History::open(&path).expect("a history");
                    for n in 0..50 {
                        history.add(&format!("{writer} {n}")).expect("written");
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().expect("a writer");
        }
        let mut history = History::open(&path).expect("a history");
        assert_eq!(history.news().expect("read").len(), 200);
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000) INSERT INTO entry (text) SELECT 'x' || i FROM n";
        history.connection.execute_batch(fill).expect("filled");
        history.add("last").expect("written");
        let news = History::open(&path).expect("a history").news().expect("read");
        assert_eq!(
            (news.len(), news.last().map(String::as_str)),
            (MAX_ENTRIES as usize, Some("last"))
        );
        history.add(&"x".repeat(MAX_ENTRY + 1)).expect("left out");
        assert_eq!(
            History::open(&path).expect("a history").news().expect("read").last(),
            news.last()
        );
    }
}
