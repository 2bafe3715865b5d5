//! State of a job in the scheduler.

use std::sync::Arc;

use jiff::Timestamp;

use crate::schedule::due::{self, JobProgress};
use crate::schedule::job_set::Runbook;
use crate::schedule::record::Execution;

/// State of a job in the scheduler.
#[derive(Debug)]
pub(in crate::schedule) struct Known {
    pub(in crate::schedule) name: String,
    pub(in crate::schedule) what: Result<Arc<Runbook>, String>,
    pub(super) entry: Option<JobProgress>,
    /// Next start.
    pub(in crate::schedule) next: Option<Timestamp>,
    /// Set if the live status must be updated.
    pub(super) is_changed: bool,
    /// Due time that was reached on time and waits for a free slot.
    pub(super) seen: Option<Timestamp>,
    /// Time of the next check. Nothing is due before.
    pub(super) look_at: Timestamp,
    /// Running execution, in this process or another.
    pub(in crate::schedule) running: Option<Execution>,
    pub(in crate::schedule) last: Option<Execution>,
    pub(in crate::schedule) last_success: Option<Timestamp>,
}

impl Known {
    /// Sets the progress of the job, and the time of its next check.
    pub(super) fn set_progress(
        &mut self,
        path: &str,
        entry: Option<JobProgress>,
        look_at: Timestamp,
    ) {
        let runbook = self.what.as_ref().ok();
        self.next = runbook.zip(entry.as_ref()).and_then(|(runbook, entry)| {
            let again = entry.tries.and_then(|tries| tries.again);
            again.or_else(|| {
                let due = runbook.job.timing.after(entry.handled)?;
                Some(due::start(&runbook.job, path, due))
            })
        });
        (self.entry, self.look_at, self.is_changed) = (entry, look_at, true);
    }
}
