//! The thread that writes the journal. Jobs that arrive during a write are committed together
//! (group commit). Outcomes, which nobody waits for, are committed with the next job.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use tokio::sync::oneshot;

use super::records::{RecordedChange, changes};
use super::{About, ChangeOutcome, Intent, LeftOut, RunEnd, Settled, file};
use crate::error::{Error, Result};
use crate::iam::snapshot::Snapshot;
use crate::session::destination::Destination;

pub(super) type Reply = oneshot::Sender<Result<()>>;

/// Work for the writer.
pub(super) enum WriterJob {
    Start(Box<About>, Reply),
    Intend(Box<(u64, usize, Intent)>, Reply),
    Site(usize, Box<Destination>),
    Settle(Box<Settled>),
    Undone(String, Vec<u64>),
    LeftOut(Vec<LeftOut>),
    End(Box<RunEnd>, Reply),
    /// Request for the recorded changes; not a write.
    Read(oneshot::Sender<rusqlite::Result<Vec<RecordedChange>>>),
    /// Request for a commit of everything before it.
    Sync(Reply),
}

impl WriterJob {
    /// Check that nobody waits for the job.
    fn can_wait(&self) -> bool {
        self.reply().is_none() && !matches!(self, Self::Read(_))
    }

    /// Reply channel of a sender that waits for the commit.
    fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Start(_, reply)
            | Self::Intend(_, reply)
            | Self::End(_, reply)
            | Self::Sync(reply) => Some(reply),
            Self::Site(..)
            | Self::Settle(_)
            | Self::Undone(..)
            | Self::LeftOut(_)
            | Self::Read(_) => None,
        }
    }
}

/// The thread that writes.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) run: String,
    /// Name of the file in messages.
    pub(super) shown: String,
    /// Outcomes that are not written yet.
    pub(super) kept: Vec<WriterJob>,
    /// Claim that shows others that the run is alive, held until the last job is written. The next
    /// run removes the file of a lock.
    pub(super) _lock: Option<file::Claim>,
}

impl Writer {
    /// Writes until all senders are dropped.
    pub(super) fn work(mut self, jobs: &Receiver<WriterJob>) {
        /// Maximum size of a batch; a larger one would delay its first job.
        const MAX_BATCH: usize = 512;
        /// Time for which outcomes wait for another job to be committed with.
        const COMMIT_DELAY: Duration = Duration::from_millis(10);
        while let Ok(first) = jobs.recv() {
            let mut batch = std::mem::take(&mut self.kept);
            batch.push(first);
            let idle_from = Instant::now();
            while batch.iter().all(WriterJob::can_wait) && batch.len() < MAX_BATCH {
                match jobs.recv_timeout(COMMIT_DELAY.saturating_sub(idle_from.elapsed())) {
                    Ok(job) => batch.push(job),
                    Err(_) => break,
                }
            }
            batch.extend(jobs.try_iter().take(MAX_BATCH));
            let (questions, batch): (Vec<_>, Vec<_>) =
                batch.into_iter().partition(|job| matches!(job, WriterJob::Read(_)));
            let written = self.write(&batch);
            for job in batch {
                let reply = match job {
                    WriterJob::Settle(_)
                    | WriterJob::Undone(..)
                    | WriterJob::LeftOut(_)
                    | WriterJob::Site(..)
                    | WriterJob::Read(_) => {
                        if written.is_err() {
                            self.kept.push(job);
                        }
                        continue;
                    }
                    WriterJob::Start(_, reply)
                    | WriterJob::Intend(_, reply)
                    | WriterJob::End(_, reply)
                    | WriterJob::Sync(reply) => reply,
                };
                let answer = match &written {
                    Ok(()) => Ok(()),
                    Err(error) => Err(self.unusable(error)),
                };
                // The waiting task may have been cancelled.
                let _ = reply.send(answer);
            }
            for question in questions {
                if let WriterJob::Read(reply) = question {
                    let _ = reply.send(changes(&self.connection, &self.run));
                }
            }
        }
    }

    fn unusable(&self, error: &rusqlite::Error) -> Error {
        file::JOURNAL.unusable(&self.shown, error).hint("nothing was sent that is not in it")
    }

    fn write(&mut self, batch: &[WriterJob]) -> rusqlite::Result<()> {
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for job in batch {
            write_job(&transaction, &self.run, job)?;
        }
        transaction.commit()
    }
}

fn write_job(connection: &Connection, run: &str, job: &WriterJob) -> rusqlite::Result<()> {
    let now = Timestamp::now().as_millisecond();
    let json = |value: &serde_json::Value| value.to_string();
    match job {
        WriterJob::Sync(_) | WriterJob::Read(_) => {}
        WriterJob::Start(about, _) => {
            let (script, hash) = about.script.clone().unzip();
            connection.execute(
                "INSERT INTO run (id, started, command, script, script_sha256, parameters, operator, program, plan, undoes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    run,
                    now,
                    about.command,
                    script,
                    hash,
                    about.parameters.as_ref().map(json),
                    file::operator(),
                    concat!("iamlua ", env!("CARGO_PKG_VERSION")),
                    about.plan,
                    about.undoes,
                ],
            )?;
            connection.execute("INSERT INTO run_order (run) VALUES (?1)", [run])?;
        }
        WriterJob::Site(number, site) => {
            connection.execute(
                "INSERT OR IGNORE INTO site (run, number, site) VALUES (?1, ?2, ?3)",
                params![run, i64::try_from(*number).unwrap_or(i64::MAX), to_json(site)?],
            )?;
        }
        WriterJob::Intend(intent, _) => {
            let (number, site, intent) = &**intent;
            let (undoes_run, undoes_change) = intent.undoes.clone().unzip();
            let sql = "INSERT INTO change (run, number, site, action, subject, name, arguments, before, after, started, plan_change,
                 undoes_run, undoes_change) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
            connection.prepare_cached(sql)?.execute(params![
                run,
                number.cast_signed(),
                i64::try_from(*site).unwrap_or(i64::MAX),
                intent.action,
                intent.subject.name(),
                intent.name,
                json(&intent.arguments),
                image_json(&intent.before)?,
                image_json(&intent.after)?,
                now,
                intent.plan_change.map(u64::cast_signed),
                undoes_run,
                undoes_change.map(u64::cast_signed),
            ])?;
        }
        WriterJob::Settle(settled) => settle(connection, run, settled, now)?,
        WriterJob::Undone(undone, changes) => {
            let sql = "UPDATE change SET undone = ?1 WHERE run = ?2 AND number = ?3";
            for change in changes {
                let number = change.cast_signed();
                connection.prepare_cached(sql)?.execute(params![run, undone, number])?;
            }
        }
        WriterJob::LeftOut(all) => {
            let sql = "INSERT OR REPLACE INTO left_out (run, number, left_out) VALUES (?1, ?2, ?3)";
            for (number, left_out) in (1_i64..).zip(all) {
                connection.prepare_cached(sql)?.execute(params![
                    run,
                    number,
                    to_json(left_out)?
                ])?;
            }
        }
        WriterJob::End(end, _) => {
            connection.execute(
                "UPDATE run SET ended = ?2, status = ?3, error = ?4, calls = ?5, throttled = ?6 WHERE id = ?1",
                params![run, now, end.status.name(), end.error, json(&end.calls), end.throttled],
            )?;
        }
    }
    Ok(())
}

/// Writes the outcome of a change of a run.
pub(super) fn settle(
    connection: &Connection,
    run: &str,
    settled: &Settled,
    now: i64,
) -> rusqlite::Result<()> {
    let sql = "UPDATE change SET ended = ?3, outcome = ?4, error = ?5, note = coalesce(?6, note) WHERE run = ?1 AND number = ?2";
    let number = settled.number.cast_signed();
    connection.prepare_cached(sql)?.execute(params![
        run,
        number,
        now,
        settled.outcome.name(),
        settled.error,
        settled.note
    ])?;
    if let Some(after) = &settled.after {
        connection
            .prepare_cached("UPDATE change SET after = ?3 WHERE run = ?1 AND number = ?2")?
            .execute(params![run, number, image_json(after)?])?;
    }
    if settled.outcome == ChangeOutcome::Done {
        mark_undone(connection, run, number)?;
    }
    Ok(())
}

/// Target of a change that undoes: the run, and the site, kind and name of the resource.
struct Undone {
    run: String,
    site: i64,
    subject: String,
    name: String,
    /// Number of the change that it names.
    number: i64,
}

/// Changes of a run to the same profile or role as an [`Undone`].
const SAME_RESOURCE: &str = "run = ?2 AND subject = ?4 AND name = ?5 COLLATE NOCASE
     AND site IN (
         SELECT other.number FROM site AS other JOIN site AS own
             ON own.run = other.run AND own.number = ?3
         WHERE other.run = ?2
             AND (other.site ->> '$.account') IS (own.site ->> '$.account')
             AND (other.site ->> '$.endpoint_url') IS (own.site ->> '$.endpoint_url'))";

fn undone_by(connection: &Connection, run: &str, number: i64) -> rusqlite::Result<Option<Undone>> {
    let sql = "SELECT undone.run, undone.site, undone.subject, undone.name, undone.number
         FROM change AS this JOIN change AS undone
             ON undone.run = this.undoes_run AND undone.number = this.undoes_change
         WHERE this.run = ?1 AND this.number = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let row = |row: &rusqlite::Row<'_>| {
        let [run, subject, name] = [row.get(0)?, row.get(2)?, row.get(3)?];
        Ok(Undone { run, site: row.get(1)?, subject, name, number: row.get(4)? })
    };
    statement.query_row(params![run, number], row).optional()
}

/// Marks what a change undoes: the named change, and all later ones of the same profile or role in
/// that run. Changes that these had undone stand again, recursively.
fn mark_undone(connection: &Connection, run: &str, number: i64) -> rusqlite::Result<()> {
    let Some(undone) = undone_by(connection, run, number)? else { return Ok(()) };
    mark(connection, run, &undone, false)
}

/// Marks the changes of an [`Undone`] as undone by a run, or as standing again after that run was
/// undone; then the changes that they undo, recursively.
fn mark(connection: &Connection, by: &str, undone: &Undone, stands: bool) -> rusqlite::Result<()> {
    let Undone { run, site, subject, name, number } = undone;
    let same = params![by, run, site, subject, name];
    if stands {
        let sql = format!("UPDATE change SET undone = NULL WHERE {SAME_RESOURCE} AND undone = ?1");
        connection.prepare_cached(&sql)?.execute(same)?;
    } else {
        let sql = format!(
            "UPDATE change SET undone = ?1 WHERE {SAME_RESOURCE} AND outcome = 'done'
                 AND undone IS NULL AND number >= ?6"
        );
        let parameters = params![by, run, site, subject, name, number];
        connection.prepare_cached(&sql)?.execute(parameters)?;
    }
    let sql = format!(
        "SELECT number FROM change WHERE {SAME_RESOURCE} AND undoes_change IS NOT NULL
             AND outcome = 'done' AND ?1 = ?1"
    );
    let numbers: Vec<i64> = connection
        .prepare_cached(&sql)?
        .query_map(same, |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for number in numbers {
        if let Some(earlier) = undone_by(connection, run, number)? {
            mark(connection, run, &earlier, !stands)?;
        }
    }
    Ok(())
}

fn to_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn image_json(state: &Option<Snapshot>) -> rusqlite::Result<Option<String>> {
    state.as_ref().map(to_json).transpose()
}
