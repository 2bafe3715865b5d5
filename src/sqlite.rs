//! What everything that is kept in `SQLite` needs.

use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

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
