//! Calls held by the fault `hold`. They are listed in the account's file, so that any process can
//! see and release them.

use std::time::Duration;

use rusqlite::Connection;
use rustix::process::{Pid, test_kill_process};

use super::store::Store;

/// Poll interval.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A held call. Dropping it removes it from the list.
#[derive(Debug)]
pub(super) struct Held<'a> {
    store: &'a Store,
    name: String,
}

impl<'a> Held<'a> {
    /// Adds a call to the list; `id` is unique to it.
    pub(super) fn new(store: &'a Store, id: &str, call: &str) -> rusqlite::Result<Self> {
        let name = format!("held/{}/{id}", std::process::id());
        store.write(|connection| {
            let sql = "INSERT INTO setting (name, value) VALUES (?1, ?2)";
            connection.prepare_cached(sql)?.execute([&name, call])
        })?;
        Ok(Self { store, name })
    }

    /// Waits until the call has been removed from the list, or `is_over` returns true.
    pub(super) async fn wait(&self, is_over: impl Fn() -> bool) -> rusqlite::Result<()> {
        while !is_over() && self.is_listed()? {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    fn is_listed(&self) -> rusqlite::Result<bool> {
        self.store.read(|connection| {
            let sql = "SELECT count(*) FROM setting WHERE name = ?1";
            connection.prepare_cached(sql)?.query_row([&self.name], |row| row.get(0))
        })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // After an error the call stays on the list until its process ends.
        let _ = self.store.write(|connection| {
            let sql = "DELETE FROM setting WHERE name = ?1";
            connection.prepare_cached(sql)?.execute([&self.name])
        });
    }
}

/// Held calls of live processes, such as `iam:CreateInstanceProfile@us-east-1`.
pub(super) fn calls(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name, value FROM setting WHERE name LIKE 'held/%' ORDER BY value, name";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows: Vec<(String, String)> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(rows.into_iter().filter(|(name, _)| is_alive(name)).map(|(_, call)| call).collect())
}

fn is_alive(name: &str) -> bool {
    let id = name.split('/').nth(1).and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
    id.is_some_and(|id| test_kill_process(id) != Err(rustix::io::Errno::SRCH))
}

/// Releases all held calls.
pub(super) fn release(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM setting WHERE name LIKE 'held/%'", [])?;
    Ok(())
}
