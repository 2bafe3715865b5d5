//! Rows of the tables of the store.

use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Takeover;
use crate::schedule::due::{JobProgress, Tries};
use crate::schedule::record::{Execution, ExecutionOutcome};
use crate::session::Mode;

/// Query of an execution without its output, which may be large.
pub(super) const EXECUTION: &str = "SELECT run, path, job, due, attempt, started, ended, outcome, exit_code, error, account, mode, changes, failed, calls,
    throttled, '' FROM execution";
/// Query of an execution with its output.
pub(super) const WITH_OUTPUT: &str = "SELECT run, path, job, due, attempt, started, ended, outcome, exit_code, error, account, mode, changes, failed, calls,
    throttled, output FROM execution";

pub(super) fn ms(moment: Timestamp) -> i64 {
    moment.as_millisecond()
}

pub(super) fn path_text(execution: &Execution) -> String {
    execution.path.display().to_string()
}

pub(super) fn entry(connection: &Connection, path: &str) -> rusqlite::Result<Option<JobProgress>> {
    let sql = "SELECT timing, handled, free, due, attempt, failures, kills, again FROM job WHERE path = ?1";
    connection.prepare_cached(sql)?.query_row([path], entry_of).optional()
}

pub(super) fn moment(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    let stored: Option<i64> = row.get(at)?;
    Ok(stored.map(|stored| Timestamp::from_millisecond(stored).unwrap_or_default()))
}

pub(super) fn entry_of(row: &Row<'_>) -> rusqlite::Result<JobProgress> {
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
    Ok(JobProgress {
        timing: row.get(0)?,
        handled: moment(row, 1)?.unwrap_or_default(),
        free: moment(row, 2)?.unwrap_or_default(),
        tries,
    })
}

pub(super) fn put(
    connection: &Connection,
    path: &str,
    entry: &JobProgress,
) -> rusqlite::Result<()> {
    let sql = "UPDATE job SET handled = ?2, free = ?3, due = ?4, attempt = ?5, failures = ?6, kills = ?7, again = ?8 WHERE path = ?1";
    let tries = entry.tries;
    connection.prepare_cached(sql)?.execute(params![
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

pub(super) fn exists(connection: &Connection, run: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM execution WHERE run = ?1")?.exists([run])
}

pub(super) fn insert(
    connection: &Connection,
    run: &str,
    execution: &Execution,
) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO execution (run, path, job, due, attempt, started, ended, outcome, error, mode)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    connection.prepare_cached(sql)?.execute(params![
        run,
        path_text(execution),
        execution.job,
        execution.due.map(ms),
        execution.attempt,
        ms(execution.started),
        execution.ended.map(ms),
        execution.outcome.map(ExecutionOutcome::name),
        execution.error,
        execution.mode.name(),
    ])?;
    Ok(())
}

pub(super) fn close(
    connection: &Connection,
    execution: &Execution,
    notified: Option<i64>,
) -> rusqlite::Result<()> {
    let sql = "UPDATE execution SET ended = ?2, outcome = ?3, exit_code = ?4, error = ?5, account = ?6, mode = ?7, changes = ?8, failed = ?9,
        calls = ?10, throttled = ?11, output = ?12, notified = ?13 WHERE run = ?1";
    connection.prepare_cached(sql)?.execute(params![
        execution.run,
        execution.ended.map(ms),
        execution.outcome.map(ExecutionOutcome::name),
        execution.exit_code,
        execution.error,
        execution.account,
        execution.mode.name(),
        execution.changes.cast_signed(),
        execution.failed.cast_signed(),
        serde_json::to_string(&execution.calls).unwrap_or_default(),
        execution.throttled.cast_signed(),
        execution.output,
        notified,
    ])?;
    Ok(())
}

pub(super) fn execution_of(row: &Row<'_>) -> rusqlite::Result<Execution> {
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
        outcome: outcome.as_deref().and_then(ExecutionOutcome::from_name),
        exit_code: row.get(8)?,
        error: row.get(9)?,
        account: row.get(10)?,
        mode: mode_of(11, &row.get::<_, String>(11)?)?,
        changes: number(12)?,
        failed: number(13)?,
        calls: serde_json::from_str(&row.get::<_, String>(14)?).unwrap_or_default(),
        throttled: number(15)?,
        output: row.get(16)?,
    })
}

/// Mode of the name in a column.
fn mode_of(column: usize, name: &str) -> rusqlite::Result<Mode> {
    Mode::from_name(name).ok_or_else(|| {
        let why = format!("there is no mode {name:?}");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why.into())
    })
}

pub(super) fn take_over(
    connection: &Connection,
    job: &Takeover,
    now: Timestamp,
) -> rusqlite::Result<JobProgress> {
    let known = entry(connection, &job.path)?;
    let entry = match known {
        None => JobProgress::new(job.timing.clone(), now),
        Some(known) if known.timing == job.timing && !job.is_back => known,
        Some(known) => {
            let handled = known.handled.max(now);
            JobProgress { timing: job.timing.clone(), handled, ..known }
        }
    };
    let sql = "INSERT INTO job (path, name, timing, handled, free) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (path) DO UPDATE SET name = ?2, timing = ?3, handled = ?4
        WHERE name != ?2 OR timing != ?3 OR handled != ?4";
    let (handled, free) = (ms(entry.handled), ms(entry.free));
    connection.prepare_cached(sql)?.execute(params![
        job.path,
        job.name,
        entry.timing,
        handled,
        free
    ])?;
    Ok(entry)
}
