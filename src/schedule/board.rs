//! The scheduler as others see it while it works: its jobs as they stand, and what was counted since it was started.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use super::due;
use super::record::{Execution, JobStatus, Quota, Snapshot};
use super::scheduler::Known;

/// What others look at; clones are the same one.
#[derive(Clone, Debug)]
pub struct Board(Arc<Mutex<Snapshot>>);

impl Board {
    pub(super) fn new(started: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Snapshot {
            now: started,
            came_round: Instant::now(),
            started,
            jobs: Vec::new(),
            ended: BTreeMap::new(),
            seconds: BTreeMap::new(),
            changes: BTreeMap::new(),
            calls: BTreeMap::new(),
            throttled: 0,
            quota: None,
            is_ending: false,
        })))
    }

    /// The scheduler, as it stands; `now` is the time of its clock.
    #[must_use]
    pub fn snapshot(&self, now: Timestamp) -> Snapshot {
        Snapshot { now, ..self.locked().clone() }
    }

    /// Says how full the account is.
    pub fn set_quota(&self, quota: Option<Quota>) {
        self.locked().quota = quota;
    }

    pub(super) fn show(&self, now: Timestamp, jobs: &BTreeMap<PathBuf, Known>, is_ending: bool) {
        let mut jobs: Vec<_> = jobs.iter().map(|(path, known)| status(path, known)).collect();
        jobs.sort_by(|one, other| one.name.cmp(&other.name));
        let mut shown = self.locked();
        (shown.now, shown.came_round) = (now, Instant::now());
        (shown.jobs, shown.is_ending) = (jobs, is_ending);
    }

    pub(super) fn count(&self, execution: &Execution) {
        let mut shown = self.locked();
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

    fn locked(&self) -> MutexGuard<'_, Snapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn status(path: &std::path::Path, known: &Known) -> JobStatus {
    let runbook = known.what.as_ref().ok();
    let next = runbook.zip(known.entry.as_ref()).and_then(|(runbook, entry)| {
        let again = entry.tries.and_then(|tries| tries.again);
        again.or_else(|| {
            let due = runbook.job.timing.after(entry.handled)?;
            Some(due::start(&runbook.job, &path.display().to_string(), due))
        })
    });
    JobStatus {
        name: known.name.clone(),
        path: path.to_owned(),
        description: runbook.and_then(|runbook| runbook.description.clone()),
        timing: runbook.map(|runbook| runbook.job.timing.clone()),
        next,
        running: known.running.clone(),
        last: known.last.clone(),
        last_success: known.last_success,
        broken: known.what.as_ref().err().cloned(),
    }
}
