//! The journal: every call that changes an account is written here, with what was there before, and is on the disk before it
//! is sent. One thread writes; what arrives while it writes goes to the disk together. Reading it back is `records`.

mod file;
pub mod records;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::site::Site;
use crate::error::{Error, Kind, Result};
use crate::iam::image::{State, Subject};
use crate::state;

/// Where a journal is kept.
#[derive(Clone, Debug, Default)]
pub enum Place {
    /// In memory, gone with the session: for hosts that keep no state.
    #[default]
    Memory,
    /// In that folder, in `journal.db`.
    Folder(PathBuf),
    /// In the program's state folder, which is looked for at the first change.
    StateFolder,
}

/// What a run is, for those who were not there.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The command, such as `run`.
    pub command: String,
    /// The script's path, and the SHA-256 of its text in hexadecimal.
    pub script: Option<(String, String)>,
    /// Its parameters, as JSON, without secrets.
    pub parameters: Option<serde_json::Value>,
    /// The plan that it carries out.
    pub plan: Option<String>,
    /// The run that it undoes.
    pub undoes: Option<String>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It has happened.
    Done,
    /// It has not happened.
    Failed,
    /// Nobody knows yet: no answer came.
    InDoubt,
}

impl Outcome {
    /// Its name in the journal and on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::InDoubt => "in doubt",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Done, Self::Failed, Self::InDoubt].into_iter().find(|known| known.name() == name)
    }
}

/// A change that is about to be sent.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Where it goes.
    pub site: Site,
    /// The AWS action.
    pub action: &'static str,
    /// What it is about.
    pub subject: Subject,
    /// The name of that.
    pub name: String,
    /// Its arguments, as JSON.
    pub arguments: serde_json::Value,
    /// What was there before.
    pub before: State,
    /// What will be there if it succeeds.
    pub after: State,
    /// Which change of a plan it carries out.
    pub plan_change: Option<u64>,
    /// The change of an earlier run that is taken back once this one is done.
    pub undoes: Option<(String, u64)>,
}

/// What became of a change that was sent.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The change, by the number that [`Journal::intend`] gave.
    pub number: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// What is there now, if it succeeded and more is known than before, such as the id.
    pub after: Option<State>,
    /// What AWS said, if it failed.
    pub error: Option<String>,
    /// What is worth knowing besides.
    pub note: Option<String>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct End {
    /// `done`, `failed`, `interrupted`, `refused`, `timeout`.
    pub status: &'static str,
    /// The error that ended it.
    pub error: Option<String>,
    /// The requests that were sent, by action.
    pub calls: serde_json::Value,
    /// How many of them were throttled.
    pub throttled: u32,
}

/// The journal of one run.
#[derive(Debug)]
pub struct Journal {
    place: Place,
    about: Mutex<About>,
    /// Values that must not be written down.
    secrets: Mutex<Vec<String>>,
    opened: Mutex<Option<Opened>>,
    changes: AtomicU64,
}

#[derive(Debug)]
struct Opened {
    run: String,
    jobs: Sender<Job>,
    sites: Vec<Site>,
    /// Held for as long as the run lives: that is how others see that it does. The next run removes its file.
    _lock: Option<std::fs::File>,
}

type Reply = oneshot::Sender<Result<()>>;

enum Job {
    Start(Box<About>, Reply),
    Intend(Box<(u64, usize, Intent)>, Reply),
    Site(usize, Box<Site>),
    Settle(Box<Settled>),
    Undone(String, Vec<u64>),
    End(Box<End>, Reply),
}

impl Job {
    /// Who waits for it to be on the disk.
    fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Start(_, reply) | Self::Intend(_, reply) | Self::End(_, reply) => Some(reply),
            Self::Site(..) | Self::Settle(_) | Self::Undone(..) => None,
        }
    }
}

impl Journal {
    /// A journal; nothing is opened before the first change.
    #[must_use]
    pub fn new(place: Place, about: About) -> Self {
        Self {
            place,
            about: Mutex::new(about),
            secrets: Mutex::default(),
            opened: Mutex::default(),
            changes: AtomicU64::new(0),
        }
    }

    /// Says what is only known once the script runs: its parameters, and which values are secrets.
    pub fn set_parameters(&self, parameters: serde_json::Value, secrets: Vec<String>) {
        *self.secrets.lock().unwrap_or_else(PoisonError::into_inner) = secrets;
        self.about.lock().unwrap_or_else(PoisonError::into_inner).parameters = Some(parameters);
    }

    /// A text, such as an error's, without the secrets.
    pub fn without_secrets(&self, text: &str) -> String {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "(secret)"))
    }

    /// The script's parameters, as far as they are known.
    pub fn parameters(&self) -> Option<serde_json::Value> {
        self.about.lock().unwrap_or_else(PoisonError::into_inner).parameters.clone()
    }

    /// The id of the run, if it has made a change.
    pub fn run(&self) -> Option<String> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.as_ref().map(|opened| opened.run.clone())
    }

    /// Writes a change down; when this returns, it is on the disk, and may be sent. Returns its number in the run.
    ///
    /// # Errors
    /// If it cannot be written: then it must not be sent.
    pub async fn intend(&self, intent: Intent) -> Result<u64> {
        let number = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, started) = {
            let mut guard = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            let mut started = None;
            if guard.is_none() {
                let (opened, answer) = self.open()?;
                *guard = Some(opened);
                started = Some(answer);
            }
            let Some(opened) = guard.as_mut() else { return Err(gone()) };
            let known = opened.sites.iter().position(|site| *site == intent.site);
            let site = known.unwrap_or(opened.sites.len());
            if known.is_none() {
                opened.sites.push(intent.site.clone());
                let job = Job::Site(site, Box::new(intent.site.clone()));
                opened.jobs.send(job).map_err(|_| gone())?;
            }
            let (reply, answer) = oneshot::channel();
            let job = Job::Intend(Box::new((number, site, intent)), reply);
            opened.jobs.send(job).map_err(|_| gone())?;
            (answer, started)
        };
        if let Some(started) = started {
            let started = started.await.unwrap_or_else(|_| Err(gone()));
            if started.is_err() {
                // There is no such run; the next change tries again.
                *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            started?;
        }
        answer.await.unwrap_or_else(|_| Err(gone()))?;
        Ok(number)
    }

    /// Writes down what became of a change. It reaches the disk with what comes next, and at the end of the run at the latest.
    pub fn settle(&self, mut settled: Settled) {
        settled.error = settled.error.map(|error| self.without_secrets(&error));
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened {
            // Fails only when the thread is gone; the change then stays open, which is the truth.
            let _ = opened.jobs.send(Job::Settle(Box::new(settled)));
        }
    }

    /// Writes down that changes of an earlier run are taken back by this one, because nothing of them is left. Does nothing for a run without
    /// changes.
    pub fn mark_undone(&self, run: &str, changes: &[u64]) {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened {
            let _ = opened.jobs.send(Job::Undone(run.to_owned(), changes.to_vec()));
        }
    }

    /// Writes down how the run ended. Does nothing for a run without changes.
    ///
    /// # Errors
    /// If what became of its changes cannot be written.
    pub async fn end(&self, mut end: End) -> Result<()> {
        end.error = end.error.map(|error| self.without_secrets(&error));
        let answer = {
            let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(opened) = &*opened else { return Ok(()) };
            let (reply, answer) = oneshot::channel();
            opened.jobs.send(Job::End(Box::new(end), reply)).map_err(|_| gone())?;
            answer
        };
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    fn open(&self) -> Result<(Opened, oneshot::Receiver<Result<()>>)> {
        let about = self.about.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let folder = match &self.place {
            Place::Memory => None,
            Place::Folder(folder) => Some(folder.clone()),
            Place::StateFolder => Some(state::folder()?),
        };
        let (connection, run, lock) = match &folder {
            None => (file::in_memory()?, new_id(), None),
            Some(folder) => {
                let connection = file::open(folder)?;
                let (run, lock) = file::claim(folder, new_id)?;
                (connection, run, Some(lock))
            }
        };
        let (jobs, received) = channel();
        let shown = folder.map_or_else(
            || "the journal in memory".to_owned(),
            |folder| file::path(&folder).display().to_string(),
        );
        let writer = Writer { connection, run: run.clone(), shown, kept: Vec::new() };
        std::thread::Builder::new()
            .name("iamlua-journal".into())
            .spawn(move || writer.work(&received))
            .map_err(|error| Error::io("cannot start the journal's thread", error))?;
        let (reply, answer) = oneshot::channel();
        jobs.send(Job::Start(Box::new(about), reply)).map_err(|_| gone())?;
        Ok((Opened { run, jobs, sites: Vec::new(), _lock: lock }, answer))
    }
}

fn gone() -> Error {
    Error::new(Kind::State, "the journal has ended, so nothing more is sent")
}

/// An id that sorts by time: `20261124-083533-417k7` is the date and time in UTC, milliseconds, and two letters by chance.
pub(super) fn new_id() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let now = Timestamp::now();
    let mut chance = std::hash::BuildHasher::hash_one(
        &std::hash::RandomState::new(),
        (now.as_nanosecond(), std::process::id()),
    );
    let mut letter = || {
        let at = usize::try_from(chance % 32).unwrap_or_default();
        chance /= 32;
        char::from(LETTERS[at])
    };
    let date = now.strftime("%Y%m%d-%H%M%S");
    let millis = now.as_millisecond().rem_euclid(1000);
    format!("{date}-{millis:03}{}{}", letter(), letter())
}

/// The thread that writes.
struct Writer {
    connection: Connection,
    run: String,
    /// What the file is called in messages.
    shown: String,
    /// Outcomes that could not be written yet.
    kept: Vec<Job>,
}

impl Writer {
    fn work(mut self, jobs: &Receiver<Job>) {
        /// More at once would only make the first wait.
        const MOST: usize = 512;
        /// Outcomes, for which nobody waits, wait for so long for something to go to the disk with.
        const IDLE: Duration = Duration::from_millis(10);
        while let Ok(first) = jobs.recv() {
            let mut batch = std::mem::take(&mut self.kept);
            batch.push(first);
            let idle_from = Instant::now();
            while batch.iter().all(|job| job.reply().is_none()) && batch.len() < MOST {
                match jobs.recv_timeout(IDLE.saturating_sub(idle_from.elapsed())) {
                    Ok(job) => batch.push(job),
                    Err(_) => break,
                }
            }
            batch.extend(jobs.try_iter().take(MOST));
            let written = self.write(&batch);
            for job in batch {
                let reply = match job {
                    Job::Settle(_) | Job::Undone(..) | Job::Site(..) => {
                        if written.is_err() {
                            self.kept.push(job);
                        }
                        continue;
                    }
                    Job::Start(_, reply) | Job::Intend(_, reply) | Job::End(_, reply) => reply,
                };
                let answer = match &written {
                    Ok(()) => Ok(()),
                    Err(error) => Err(self.unusable(error)),
                };
                // Whoever asked may have been stopped meanwhile.
                let _ = reply.send(answer);
            }
        }
    }

    fn unusable(&self, error: &rusqlite::Error) -> Error {
        file::unusable(&self.shown, error).hint("nothing was sent that is not in it")
    }

    fn write(&mut self, batch: &[Job]) -> rusqlite::Result<()> {
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for job in batch {
            write_job(&transaction, &self.run, job)?;
        }
        transaction.commit()
    }
}

fn write_job(connection: &Connection, run: &str, job: &Job) -> rusqlite::Result<()> {
    let now = Timestamp::now().as_millisecond();
    let json = |value: &serde_json::Value| value.to_string();
    match job {
        Job::Start(about, _) => {
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
        }
        Job::Site(number, site) => {
            connection.execute(
                "INSERT OR IGNORE INTO site (run, number, site) VALUES (?1, ?2, ?3)",
                params![run, i64::try_from(*number).unwrap_or(i64::MAX), to_json(site)?],
            )?;
        }
        Job::Intend(intent, _) => {
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
        Job::Settle(settled) => settle(connection, run, settled, now)?,
        Job::Undone(undone, changes) => {
            let sql = "UPDATE change SET undone = ?1 WHERE run = ?2 AND number = ?3";
            for change in changes {
                let number = change.cast_signed();
                connection.prepare_cached(sql)?.execute(params![run, undone, number])?;
            }
        }
        Job::End(end, _) => {
            connection.execute(
                "UPDATE run SET ended = ?2, status = ?3, error = ?4, calls = ?5, throttled = ?6 WHERE id = ?1",
                params![run, now, end.status, end.error, json(&end.calls), end.throttled],
            )?;
        }
    }
    Ok(())
}

/// Writes what became of a change of a run.
fn settle(connection: &Connection, run: &str, settled: &Settled, now: i64) -> rusqlite::Result<()> {
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
    if settled.outcome == Outcome::Done {
        // What this one takes back is undone; and what that one had taken back stands again.
        let stands = "UPDATE change SET undone = NULL WHERE (run, number) =
             (SELECT undone.undoes_run, undone.undoes_change FROM change AS undone
              JOIN change AS this ON this.undoes_run = undone.run AND this.undoes_change = undone.number
              WHERE this.run = ?1 AND this.number = ?2)";
        connection.prepare_cached(stands)?.execute(params![run, number])?;
        let sql = "UPDATE change SET undone = ?1 WHERE (run, number) =
             (SELECT undoes_run, undoes_change FROM change WHERE run = ?1 AND number = ?2)";
        connection.prepare_cached(sql)?.execute(params![run, number])?;
    }
    Ok(())
}

fn to_json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn image_json(state: &State) -> rusqlite::Result<Option<String>> {
    state.as_ref().map(to_json).transpose()
}

#[cfg(test)]
mod tests {
    use super::new_id;

    #[test]
    fn ids_sort_by_time() {
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(new_id());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert!(ids.is_sorted(), "{ids:?}");
        assert_eq!(ids[0].len(), "20261124-083533-417k7".len());
    }
}
