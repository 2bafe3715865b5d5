//! Ends of executions: records, retries and notifications.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Runner, Scheduler, Start, moment};
use crate::lua::OnFailure;
use crate::schedule::due::{self, JobProgress, NextStep};
use crate::schedule::job_set::{Runbook, one_line};
use crate::schedule::log::Level;
use crate::schedule::record::{Execution, ExecutionOutcome};

impl<R: Runner> Scheduler<R> {
    /// Handles the end of an execution.
    pub fn ended(&mut self, execution: Execution) {
        let Some((start, lock)) = self.going.remove(&execution.run) else { return };
        let ended = execution.ended.unwrap_or_else(|| moment(&self.clock));
        let execution = Execution { ended: Some(ended), ..execution };
        self.live_status.count(&execution);
        let start = Start { execution, ..start };
        if !self.close(&start) {
            // The lock is held until the end is recorded: for other processes the job is still
            // running.
            self.unwritten.push((start, lock));
        }
    }

    pub(super) fn write_unwritten(&mut self) {
        for (start, lock) in std::mem::take(&mut self.unwritten) {
            if !self.close(&start) {
                self.unwritten.push((start, lock));
            }
        }
    }

    /// Records the end of an execution, and logs the consequence. Returns true if it could be
    /// recorded.
    pub(super) fn close(&mut self, start: &Start) -> bool {
        let Start { execution, runbook, .. } = start;
        let ended = execution.ended.unwrap_or(self.last_tick);
        let Some(outcome) = execution.outcome else { return true };
        let result = (outcome, execution.exit_code);
        let is_due = execution.due.is_some();
        let notifies = is_due && runbook.job.on_failure != OnFailure::default();
        let decide = |entry: &JobProgress| due::ended(&runbook.job, entry, is_due, result, ended);
        let (entry, verdict) = match self.store.end(execution, notifies, decide) {
            Ok(ended) => ended,
            Err(error) => {
                let why = one_line(&error);
                self.log_once(&execution.job, "what became of it cannot be written", &why);
                return false;
            }
        };
        self.last_errors.remove(&execution.job);
        if let Some(known) = self.jobs.get_mut(&execution.path) {
            let path = execution.path.display().to_string();
            let entry = entry.or(known.entry.take());
            known.set_progress(&path, entry, ended.min(self.last_tick));
            known.running = None;
            if outcome == ExecutionOutcome::Done {
                known.last_success = Some(ended);
            }
            known.last = Some(Execution { output: String::new(), ..execution.clone() });
        }
        self.log_end(execution, verdict, ended);
        if verdict == NextStep::Failed && notifies {
            self.tell(execution.clone(), Arc::clone(runbook));
        }
        true
    }

    pub(super) fn log_end(&self, execution: &Execution, verdict: NextStep, ended: Timestamp) {
        let Some(outcome) = execution.outcome else { return };
        let level = match (outcome, verdict) {
            (ExecutionOutcome::Done | ExecutionOutcome::Skipped, _) => Level::Info,
            (ExecutionOutcome::Interrupted, _) | (_, NextStep::Again(_)) => Level::Warn,
            _ => Level::Error,
        };
        let mut text = outcome.name().to_owned();
        if let Some(error) = execution.error.as_ref().filter(|error| **error != text) {
            text = format!("{text}: {error}");
        }
        if let NextStep::Again(at) = verdict {
            text.push_str("; it is tried again");
            if at > ended {
                let _ = write!(text, " at {at:.0}");
            }
        }
        self.log_execution(execution, level, &text);
    }

    pub(super) fn notify_pending(&mut self) {
        let pending = match self.store.unnotified() {
            Ok(pending) => pending,
            Err(error) => return self.log_once("", "the state cannot be read", &one_line(&error)),
        };
        for execution in pending {
            let known = self.jobs.get(&execution.path);
            if let Some(runbook) = known.and_then(|known| known.what.as_ref().ok()).cloned() {
                self.tell(execution, runbook);
            }
        }
    }

    /// Sends the notification of a failure, unless another scheduler is sending it.
    pub(super) fn tell(&mut self, execution: Execution, runbook: Arc<Runbook>) {
        let path = execution.path.display().to_string();
        if let Ok(Some(lock)) = self.holds.take(&path, &format!("tell-{}", execution.run)) {
            self.notifying.insert(execution.run.clone(), lock);
            self.runner.tell(execution, runbook);
        }
    }

    /// Handles the end of a notification, whether or not it arrived.
    pub fn notified(&mut self, run: &str) {
        if let Err(error) = self.store.mark_notified(run) {
            self.log_once(run, "cannot be written", &one_line(&error));
        }
        self.notifying.remove(run);
    }
}
