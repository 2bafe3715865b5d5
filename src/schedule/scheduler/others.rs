//! Other processes with the same jobs: their locks, and executions of killed processes.

use std::path::PathBuf;

use jiff::Timestamp;

use super::{RETRY_INTERVAL, Runner, Scheduler, Start, later};
use crate::schedule::job_lock::JobLock;
use crate::schedule::job_set::one_line;
use crate::schedule::record::{Execution, ExecutionOutcome};

impl<R: Runner> Scheduler<R> {
    /// Takes the lock of a job if it is free, and closes its killed executions.
    pub(super) fn take_lock(&mut self, path: &str, name: &str, now: Timestamp) -> Option<JobLock> {
        match self.holds.take(path, "run") {
            Ok(Some(lock)) => {
                if self.close_killed(path, now) {
                    Some(lock)
                } else {
                    None
                }
            }
            Ok(None) => {
                self.postpone(path, later(now, RETRY_INTERVAL));
                None
            }
            Err(error) => {
                self.log_once(name, "cannot begin", &one_line(&error));
                self.postpone(path, later(now, RETRY_INTERVAL));
                None
            }
        }
    }

    /// Records the open executions of a locked job as killed. Returns true if there were none.
    pub(super) fn close_killed(&mut self, path: &str, now: Timestamp) -> bool {
        let dead = match self.store.open_executions() {
            Ok(open) => open.into_iter().filter(|open| open.path.as_os_str() == path),
            Err(error) => {
                self.log_once(path, "cannot be looked at", &one_line(&error));
                return false;
            }
        };
        let mut had_none = true;
        for execution in dead {
            had_none = false;
            let known = self.jobs.get(&execution.path);
            let Some(runbook) = known.and_then(|known| known.what.as_ref().ok()).cloned() else {
                return false;
            };
            let killed = Execution {
                ended: Some(now),
                outcome: Some(ExecutionOutcome::Killed),
                error: Some("the scheduler, or the machine, was killed while it ran".into()),
                ..execution
            };
            self.close(&Start { execution: killed, runbook, missed: 0 });
        }
        had_none
    }

    /// Checks the executions of other processes, and finds killed ones.
    pub(super) fn check_other_processes(&mut self) {
        let now = self.last_tick;
        let looked = self.store.version().and_then(|version| {
            if version == self.version && !self.has_others {
                return Ok(None);
            }
            Ok(Some((version, self.store.open_executions()?, self.store.jobs()?)))
        });
        let (version, open, entries) = match looked {
            Ok(Some(looked)) => looked,
            Ok(None) => return,
            Err(error) => return self.log_once("", "the state cannot be read", &one_line(&error)),
        };
        self.version = version;
        for (path, _, entry) in entries {
            if let Some(known) = self.jobs.get_mut(&PathBuf::from(&path))
                && known.entry.as_ref() != Some(&entry)
            {
                known.set_progress(&path, Some(entry), now);
                known.last = self.store.last(&path).unwrap_or_default();
                known.last_success = self.store.last_success(&path).unwrap_or_default();
            }
        }
        let others: Vec<_> =
            open.into_iter().filter(|open| !self.going.contains_key(&open.run)).collect();
        self.has_others = !others.is_empty();
        for (path, known) in &mut self.jobs {
            let here = known.running.as_ref().is_some_and(|run| self.going.contains_key(&run.run));
            let there = others.iter().find(|open| open.path == *path);
            if !here && known.running.as_ref() != there {
                (known.running, known.is_changed) = (there.cloned(), true);
            }
        }
        for other in others {
            let Some(known) = self.jobs.get(&other.path) else { continue };
            if known.what.is_ok()
                && !self.unwritten.iter().any(|(start, _)| start.execution.run == other.run)
            {
                let (path, name) = (other.path.display().to_string(), known.name.clone());
                // A free lock shows that the job is not running.
                let _ = self.take_lock(&path, &name, now);
            }
        }
    }
}
