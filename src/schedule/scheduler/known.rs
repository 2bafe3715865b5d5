//! A job as the scheduler knows it while it works.

use std::sync::Arc;

use jiff::Timestamp;

use crate::schedule::due::{self, Entry};
use crate::schedule::job_set::Runbook;
use crate::schedule::record::Execution;

/// A job as the scheduler knows it.
#[derive(Debug)]
pub(in crate::schedule) struct Known {
    pub(in crate::schedule) name: String,
    pub(in crate::schedule) what: Result<Arc<Runbook>, String>,
    pub(super) entry: Option<Entry>,
    /// When it begins next.
    pub(in crate::schedule) next: Option<Timestamp>,
    /// Whether others see it as it was.
    pub(super) is_changed: bool,
    /// The moment that was seen in time, and waits for a place.
    pub(super) seen: Option<Timestamp>,
    /// Nothing is to be done before.
    pub(super) look_at: Timestamp,
    /// Its execution, here or in another process.
    pub(in crate::schedule) running: Option<Execution>,
    pub(in crate::schedule) last: Option<Execution>,
    pub(in crate::schedule) last_success: Option<Timestamp>,
}

impl Known {
    /// Puts it where it stands; it is looked at again from that moment on.
    pub(super) fn stands(&mut self, path: &str, entry: Option<Entry>, look_at: Timestamp) {
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
