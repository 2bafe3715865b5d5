//! Other processes with the same jobs: their locks, and executions of killed processes.

use std::path::PathBuf;

use jiff::Timestamp;

use super::{Runner, SOON, Scheduler, Start, later};
use crate::schedule::job_lock::JobLock;
use crate::schedule::job_set::told;
use crate::schedule::record::{Execution, ExecutionOutcome};

impl<R: Runner> Scheduler<R> {
    /// Takes the lock of a job if it is free, and closes its killed executions.
    pub(super) fn hold(&mut self, path: &str, name: &str, now: Timestamp) -> Option<JobLock> {
        match self.holds.take(path, "run") {
            Ok(Some(hold)) => {
                if self.bury(path, now) {
                    Some(hold)
                } else {
                    None
                }
            }
            Ok(None) => {
                self.later(path, later(now, SOON));
                None
            }
            Err(error) => {
                self.trouble(name, "cannot begin", &told(&error));
                self.later(path, later(now, SOON));
                None
            }
        }
    }

    /// Records the open executions of a locked job as killed. Returns true if there were none.
    pub(super) fn bury(&mut self, path: &str, now: Timestamp) -> bool {
        let dead = match self.book.open_executions() {
            Ok(open) => open.into_iter().filter(|open| open.path.as_os_str() == path),
            Err(error) => {
                self.trouble(path, "cannot be looked at", &told(&error));
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
    pub(super) fn see_others(&mut self) {
        let now = self.last_tick;
        let looked = self.book.version().and_then(|version| {
            if version == self.version && !self.has_others {
                return Ok(None);
            }
            Ok(Some((version, self.book.open_executions()?, self.book.jobs()?)))
        });
        let (version, open, entries) = match looked {
            Ok(Some(looked)) => looked,
            Ok(None) => return,
            Err(error) => return self.trouble("", "the state cannot be read", &told(&error)),
        };
        self.version = version;
        for (path, _, entry) in entries {
            if let Some(known) = self.jobs.get_mut(&PathBuf::from(&path))
                && known.entry.as_ref() != Some(&entry)
            {
                known.stands(&path, Some(entry), now);
                known.last = self.book.last(&path).unwrap_or_default();
                known.last_success = self.book.last_success(&path).unwrap_or_default();
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
                && !self.unwritten.iter().any(|(order, _)| order.execution.run == other.run)
            {
                let (path, name) = (other.path.display().to_string(), known.name.clone());
                // A free lock shows that the job is not running.
                let _ = self.hold(&path, &name, now);
            }
        }
    }
}
