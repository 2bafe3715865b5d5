//! Ends of executions: records, retries and notifications.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Runner, Scheduler, Start, moment};
use crate::lua::OnFailure;
use crate::schedule::due::{self, Entry, NextStep};
use crate::schedule::job_set::{Runbook, told};
use crate::schedule::log::Level;
use crate::schedule::record::{Execution, ExecutionOutcome};

impl<R: Runner> Scheduler<R> {
    /// Handles the end of an execution.
    pub fn ended(&mut self, execution: Execution) {
        let Some((order, hold)) = self.going.remove(&execution.run) else { return };
        let ended = execution.ended.unwrap_or_else(|| moment(&self.clock));
        let execution = Execution { ended: Some(ended), ..execution };
        self.board.count(&execution);
        let order = Start { execution, ..order };
        if !self.close(&order) {
            // The lock is held until the end is recorded: for other processes the job is still
            // running.
            self.unwritten.push((order, hold));
        }
    }

    pub(super) fn write_unwritten(&mut self) {
        for (order, hold) in std::mem::take(&mut self.unwritten) {
            if !self.close(&order) {
                self.unwritten.push((order, hold));
            }
        }
    }

    /// Records the end of an execution, and logs the consequence. Returns true if it could be
    /// recorded.
    pub(super) fn close(&mut self, order: &Start) -> bool {
        let Start { execution, runbook, .. } = order;
        let ended = execution.ended.unwrap_or(self.last_tick);
        let Some(outcome) = execution.outcome else { return true };
        let result = (outcome, execution.exit_code);
        let is_due = execution.due.is_some();
        let is_told = is_due && runbook.job.on_failure != OnFailure::default();
        let decide = |entry: &Entry| due::ended(&runbook.job, entry, is_due, result, ended);
        let (entry, verdict) = match self.book.end(execution, is_told, decide) {
            Ok(ended) => ended,
            Err(error) => {
                let why = told(&error);
                self.trouble(&execution.job, "what became of it cannot be written", &why);
                return false;
            }
        };
        self.trouble.remove(&execution.job);
        if let Some(known) = self.jobs.get_mut(&execution.path) {
            let path = execution.path.display().to_string();
            let entry = entry.or(known.entry.take());
            known.stands(&path, entry, ended.min(self.last_tick));
            known.running = None;
            if outcome == ExecutionOutcome::Done {
                known.last_success = Some(ended);
            }
            known.last = Some(Execution { output: String::new(), ..execution.clone() });
        }
        self.tell_end(execution, verdict, ended);
        if verdict == NextStep::Failed && is_told {
            self.tell(execution.clone(), Arc::clone(runbook));
        }
        true
    }

    pub(super) fn tell_end(&self, execution: &Execution, verdict: NextStep, ended: Timestamp) {
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
        self.tell_of(execution, level, &text);
    }

    pub(super) fn tell_what_is_untold(&mut self) {
        let untold = match self.book.untold() {
            Ok(untold) => untold,
            Err(error) => return self.trouble("", "the state cannot be read", &told(&error)),
        };
        for execution in untold {
            let known = self.jobs.get(&execution.path);
            if let Some(runbook) = known.and_then(|known| known.what.as_ref().ok()).cloned() {
                self.tell(execution, runbook);
            }
        }
    }

    /// Sends the notification of a failure, unless another scheduler is sending it.
    pub(super) fn tell(&mut self, execution: Execution, runbook: Arc<Runbook>) {
        let path = execution.path.display().to_string();
        if let Ok(Some(hold)) = self.holds.take(&path, &format!("tell-{}", execution.run)) {
            self.telling.insert(execution.run.clone(), hold);
            self.runner.tell(execution, runbook);
        }
    }

    /// Handles the end of a notification, whether or not it arrived.
    pub fn told(&mut self, run: &str) {
        if let Err(error) = self.book.told(run) {
            self.trouble(run, "cannot be written", &told(&error));
        }
        self.telling.remove(run);
    }
}
