//! Live status of the scheduler: its jobs, and its counts since it was started.

use crate::session::Mode;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::record::{Execution, JobStatus, Quota, Snapshot};
use super::scheduler::Known;

/// Live status of a scheduler. Clones share it.
#[derive(Clone, Debug)]
pub struct LiveStatus(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    /// All but the jobs.
    about: Snapshot,
    jobs: BTreeMap<PathBuf, JobStatus>,
}

impl LiveStatus {
    pub(super) fn new(started: Timestamp) -> Self {
        let about = Snapshot {
            now: started,
            last_iteration: Instant::now(),
            started,
            mode: None,
            account: None,
            jobs: Vec::new(),
            ended: BTreeMap::new(),
            seconds: BTreeMap::new(),
            changes: BTreeMap::new(),
            calls: BTreeMap::new(),
            throttled: 0,
            quota: None,
            is_ending: false,
        };
        Self(Arc::new(Mutex::new(Inner { about, jobs: BTreeMap::new() })))
    }

    /// Snapshot of the status; `now` is the time of the scheduler's clock.
    #[must_use]
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        let shown = self.locked();
        let mut jobs: Vec<_> = shown.jobs.values().cloned().collect();
        jobs.sort_by(|one, other| one.name.cmp(&other.name));
        Snapshot { now, jobs, ..shown.about.clone() }
    }

    /// Sets the quota and usage of the account.
    pub fn set_quota(&self, quota: Option<Quota>) {
        self.locked().about.quota = quota;
    }

    /// Sets the account of the jobs.
    pub fn set_account(&self, account: String) {
        self.locked().about.account = Some(account);
    }

    /// Records an iteration of the loop.
    pub(super) fn show(&self, now: Timestamp, is_ending: bool, mode: Mode) {
        let about = &mut self.locked().about;
        (about.now, about.last_iteration, about.is_ending) = (now, Instant::now(), is_ending);
        about.mode = Some(mode);
    }

    /// Updates a job, or removes it.
    pub(super) fn show_job(&self, path: &Path, known: Option<&Known>) {
        let jobs = &mut self.locked().jobs;
        match known {
            Some(known) => jobs.insert(path.to_owned(), status(path, known)),
            None => jobs.remove(path),
        };
    }

    pub(super) fn count(&self, execution: &Execution) {
        let shown = &mut self.locked().about;
        let job = execution.job.clone();
        if let Some(outcome) = execution.outcome {
            *shown.ended.entry((job.clone(), outcome)).or_default() += 1;
        }
        *shown.seconds.entry(job.clone()).or_default() += execution.seconds().unwrap_or_default();
        *shown.changes.entry(job).or_default() += execution.changes;
        for (action, n) in &execution.calls {
            *shown.calls.entry(action.clone()).or_default() += n;
        }
        shown.throttled += execution.throttled;
    }

    fn locked(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn status(path: &Path, known: &Known) -> JobStatus {
    let runbook = known.what.as_ref().ok();
    JobStatus {
        name: known.name.clone(),
        path: path.to_owned(),
        description: runbook.and_then(|runbook| runbook.description.clone()),
        timing: runbook.map(|runbook| runbook.job.timing.clone()),
        next: known.next,
        running: known.running.clone(),
        last: known.last.clone(),
        last_success: known.last_success,
        broken: known.what.as_ref().err().cloned(),
    }
}
