//! The journal: a write-ahead log of every call that changes an account, with the state before it.
//! `writer` is the thread that writes; `records` reads it back.

mod file;
pub mod identities;
pub mod records;
mod writer;

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::destination::Destination;
use crate::error::{Error, Kind, Result};
use crate::escape::visible;
use crate::iam::snapshot::{Snapshot, Subject};
use crate::redaction::HIDDEN;
use crate::state;
pub use file::{Claim, MemoryJournal};
use records::RecordedChange;
use writer::{Writer, WriterJob};

/// Location of a journal.
#[derive(Clone, Debug, Default)]
pub enum JournalLocation {
    /// In memory, lost with the session: for hosts that keep no state.
    #[default]
    Memory,
    /// In memory, shared by several runs.
    Shared(MemoryJournal),
    /// In `journal.db` of that folder.
    Folder(PathBuf),
    /// In the program's state folder, which is located at the first change.
    StateFolder,
}

/// Description of a run for later readers.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Id of the run, if it was given before its first change.
    pub run: Option<String>,
    /// The command, such as `run`.
    pub command: String,
    /// Path of the script, and the SHA-256 of its text in hexadecimal.
    pub script: Option<(String, String)>,
    /// Parameters, as JSON, without secrets.
    pub parameters: Option<serde_json::Value>,
    /// Id of the plan that it applies.
    pub plan: Option<String>,
    /// Id of the run that it undoes.
    pub undoes: Option<String>,
}

/// Outcome of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeOutcome {
    /// Succeeded.
    Done,
    /// Did not happen.
    Failed,
    /// Unknown yet: no answer arrived.
    InDoubt,
}

impl ChangeOutcome {
    /// Name in the journal and in output.
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

/// Status of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunStatus {
    /// In progress.
    Running,
    /// Succeeded.
    Done,
    /// Made only some of its changes.
    Partial,
    /// Failed.
    Failed,
    /// Interrupted by a person or by a signal.
    Interrupted,
    /// Refused to change anything.
    Refused,
    /// Stopped at its timeout.
    Timeout,
    /// Its process is gone, and recorded no end.
    Killed,
}

impl RunStatus {
    const ALL: [Self; 8] = [
        Self::Running,
        Self::Done,
        Self::Partial,
        Self::Failed,
        Self::Interrupted,
        Self::Refused,
        Self::Timeout,
        Self::Killed,
    ];

    /// Name in the journal and in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Killed => "killed",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// A change that is about to be sent.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Destination of the call.
    pub site: Destination,
    /// The AWS action.
    pub action: &'static str,
    /// Kind of the changed resource.
    pub subject: Subject,
    /// Name of the resource.
    pub name: String,
    /// Arguments, as JSON.
    pub arguments: serde_json::Value,
    /// State before the change.
    pub before: Option<Snapshot>,
    /// State after the change, if it succeeds.
    pub after: Option<Snapshot>,
    /// Number of the plan's change that it applies.
    pub plan_change: Option<u64>,
    /// Change of an earlier run that is undone once this one is done.
    pub undoes: Option<(String, u64)>,
}

/// Profile or role that a run has left unchanged, although it was to change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Destination>,
    /// Kind of the resource.
    pub subject: Subject,
    /// Name of the resource.
    pub name: String,
    /// AWS action, for a single change of a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Reason in words: "Owner was dev after the run and is now ops".
    pub reason: String,
}

impl LeftOut {
    /// Description in words, with its account unless these sites are all in one account.
    #[must_use]
    pub fn describe(&self, sites: &[Destination]) -> String {
        let Self { site, subject, name, action, reason } = self;
        let action = action.as_deref().map_or(String::new(), |action| visible(action) + " ");
        let is_one_of_several =
            |own: &Destination| sites.iter().any(|other| other.account_key() != own.account_key());
        let place = site.as_ref().filter(|own| is_one_of_several(own));
        let place = place.map_or(String::new(), |site| format!(" in {}", site.describe()));
        let (name, reason) = (visible(name), visible(reason));
        format!("{action}{} {name}{place}: {reason}", subject.name())
    }
}

/// Outcome of a change that was sent.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Number of the change, as [`Journal::intend`] returned it.
    pub number: u64,
    /// Outcome.
    pub outcome: ChangeOutcome,
    /// State after a successful change, if more is known than before, such as the id.
    pub after: Option<Option<Snapshot>>,
    /// Error of AWS, if it failed.
    pub error: Option<String>,
    /// Additional remark.
    pub note: Option<String>,
}

/// End of a run.
#[derive(Clone, Debug)]
pub struct RunEnd {
    /// Status that the run ends with.
    pub status: RunStatus,
    /// Error that ended it.
    pub error: Option<String>,
    /// Requests that were sent, by action.
    pub calls: serde_json::Value,
    /// Number of throttled requests.
    pub throttled: u32,
}

/// The journal of one run.
#[derive(Debug)]
pub struct Journal {
    place: JournalLocation,
    about: Mutex<About>,
    /// Values that must not be written.
    secrets: Mutex<Vec<String>>,
    opened: Mutex<Option<Opened>>,
    changes: AtomicU64,
    /// Mark of a run that has left something out.
    is_partial: AtomicBool,
}

#[derive(Debug)]
struct Opened {
    run: String,
    jobs: Sender<WriterJob>,
    sites: Vec<Destination>,
}

impl Journal {
    /// Creates a journal; nothing is opened before the first change.
    #[must_use]
    pub fn new(place: JournalLocation, about: About) -> Self {
        Self {
            place,
            about: Mutex::new(about),
            secrets: Mutex::default(),
            opened: Mutex::default(),
            changes: AtomicU64::new(0),
            is_partial: AtomicBool::new(false),
        }
    }

    /// Sets what is known only once the script runs: its parameters, and the values of secrets.
    pub fn set_parameters(&self, parameters: serde_json::Value, secrets: Vec<String>) {
        self.set_secrets(secrets);
        self.about.lock().unwrap_or_else(PoisonError::into_inner).parameters = Some(parameters);
    }

    /// Sets the values of secrets.
    pub fn set_secrets(&self, secrets: Vec<String>) {
        *self.secrets.lock().unwrap_or_else(PoisonError::into_inner) = secrets;
    }

    /// Text, such as an error message, without the secrets.
    pub fn without_secrets(&self, text: &str) -> String {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let secrets = secrets.iter().filter(|secret| !secret.is_empty());
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), HIDDEN))
    }

    /// Parameters of the script, as far as they are known.
    pub fn parameters(&self) -> Option<serde_json::Value> {
        self.about.lock().unwrap_or_else(PoisonError::into_inner).parameters.clone()
    }

    /// Id of the run, if it has made a change.
    pub fn run(&self) -> Option<String> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.as_ref().map(|opened| opened.run.clone())
    }

    /// Check for a run that undoes another one, and is no redo.
    pub fn is_undo(&self) -> bool {
        let about = self.about.lock().unwrap_or_else(PoisonError::into_inner);
        about.undoes.is_some() && about.command != "redo"
    }

    /// Writes the intent of a change and returns its number in the run. Once this returns, the
    /// intent is on the disk and the change may be sent.
    ///
    /// # Errors
    /// If it cannot be written: then the change must not be sent.
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
                let job = WriterJob::Site(site, Box::new(intent.site.clone()));
                opened.jobs.send(job).map_err(|_| gone())?;
            }
            let (reply, answer) = oneshot::channel();
            let job = WriterJob::Intend(Box::new((number, site, intent)), reply);
            opened.jobs.send(job).map_err(|_| gone())?;
            (answer, started)
        };
        if let Some(started) = started {
            let started = started.await.unwrap_or_else(|_| Err(gone()));
            if started.is_err() {
                // The run was not recorded; the next change tries again.
                *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            started?;
        }
        answer.await.unwrap_or_else(|_| Err(gone()))?;
        Ok(number)
    }

    /// Writes the outcome of a change. It reaches the disk with the next write, at the latest at
    /// the end of the run.
    pub fn settle(&self, mut settled: Settled) {
        settled.error = settled.error.map(|error| self.without_secrets(&error));
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened {
            // Sending fails only when the thread has ended; the change then stays open, which is
            // true.
            let _ = opened.jobs.send(WriterJob::Settle(Box::new(settled)));
        }
    }

    /// Marks changes of an earlier run as undone by this one, because none of their effects remain.
    /// Does nothing for a run without changes.
    pub fn mark_undone(&self, run: &str, changes: &[u64]) {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened {
            let _ = opened.jobs.send(WriterJob::Undone(run.to_owned(), changes.to_vec()));
        }
    }

    /// Records what the run leaves unchanged. Does nothing for a run without changes.
    pub fn leave_out(&self, left_out: Vec<LeftOut>) {
        if left_out.is_empty() {
            return;
        }
        self.is_partial.store(true, Ordering::Relaxed);
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened {
            let _ = opened.jobs.send(WriterJob::LeftOut(left_out));
        }
    }

    /// Check that the run has left something out.
    pub fn is_partial(&self) -> bool {
        self.is_partial.load(Ordering::Relaxed)
    }

    /// Changes so far, in order, with their outcomes.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub async fn recorded(&self) -> Result<Vec<RecordedChange>> {
        let answer = {
            let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(opened) = &*opened else { return Ok(Vec::new()) };
            let (reply, answer) = oneshot::channel();
            opened.jobs.send(WriterJob::Read(reply)).map_err(|_| gone())?;
            answer
        };
        let read = answer.await.map_err(|_| gone())?;
        read.map_err(|error| {
            Error::new(Kind::State, format!("the journal cannot be read: {error}")).caused_by(error)
        })
    }

    /// Destinations of the changes, by number.
    #[must_use]
    pub fn sites(&self) -> Vec<Destination> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.as_ref().map(|opened| opened.sites.clone()).unwrap_or_default()
    }

    /// Waits until everything is on the disk, for others to read.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn sync(&self) -> Result<()> {
        let answer = {
            let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(opened) = &*opened else { return Ok(()) };
            let (reply, answer) = oneshot::channel();
            opened.jobs.send(WriterJob::Sync(reply)).map_err(|_| gone())?;
            answer
        };
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Number of changes that were begun, which is the number of the last one.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Records the end of the run. Does nothing for a run without changes.
    ///
    /// # Errors
    /// If the outcomes of its changes cannot be written.
    pub async fn end(&self, mut end: RunEnd) -> Result<()> {
        end.error = end.error.map(|error| self.without_secrets(&error));
        let answer = {
            let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(opened) = &*opened else { return Ok(()) };
            let (reply, answer) = oneshot::channel();
            opened.jobs.send(WriterJob::End(Box::new(end), reply)).map_err(|_| gone())?;
            answer
        };
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    fn open(&self) -> Result<(Opened, oneshot::Receiver<Result<()>>)> {
        let about = self.about.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let wanted = Cell::new(about.run.clone());
        let id = || wanted.take().unwrap_or_else(new_id);
        let folder = match &self.place {
            JournalLocation::Memory | JournalLocation::Shared(_) => None,
            JournalLocation::Folder(folder) => Some(folder.clone()),
            JournalLocation::StateFolder => Some(state::folder()?),
        };
        let (connection, run, lock) = match (&folder, &self.place) {
            (Some(folder), _) => {
                let connection = file::open(folder)?;
                let (run, lock) = file::claim_run(folder, id)?;
                (connection, run, Some(Claim::File(lock)))
            }
            (None, JournalLocation::Shared(memory)) => {
                let connection = memory.connect()?;
                let (run, claim) = loop {
                    let run = id();
                    if let Some(claim) = memory.claim(run.clone()) {
                        break (run, claim);
                    }
                };
                (connection, run, Some(Claim::Memory(claim)))
            }
            (None, _) => (file::JOURNAL.in_memory()?, id(), None),
        };
        let (jobs, received) = channel();
        let shown = folder.map_or_else(
            || "the journal in memory".to_owned(),
            |folder| file::path(&folder).display().to_string(),
        );
        let writer = Writer { connection, run: run.clone(), shown, kept: Vec::new(), _lock: lock };
        std::thread::Builder::new()
            .name("iamlua-journal".into())
            .spawn(move || writer.work(&received))
            .map_err(|error| Error::io("cannot start the journal's thread", error))?;
        let (reply, answer) = oneshot::channel();
        jobs.send(WriterJob::Start(Box::new(about), reply)).map_err(|_| gone())?;
        Ok((Opened { run, jobs, sites: Vec::new() }, answer))
    }
}

fn gone() -> Error {
    Error::new(Kind::State, "the journal has ended, so nothing more is sent")
}

/// Id that sorts by time. `20261124-083533-417k7` is the date and time in UTC, the milliseconds,
/// and two random characters.
#[must_use]
pub fn new_id() -> String {
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

/// Check for the form of a plan's or a run's id.
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 64
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
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
