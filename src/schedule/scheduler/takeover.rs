//! Takeover of jobs: the current set, with the progress of each.

use std::collections::{BTreeMap, BTreeSet};

use super::{Known, Runner, Scheduler, moment};
use crate::schedule::job_set::{Listed, one_line};
use crate::schedule::log::{Level, LogOrigin};
use crate::schedule::store::Takeover;

impl<R: Runner> Scheduler<R> {
    /// Takes over the current set of jobs: new, changed and removed ones.
    pub fn take_over(&mut self, listed: Vec<Listed>) {
        let now = moment(&self.clock);
        let is_first = self.version < 0;
        let gone: Vec<_> = {
            let there: BTreeSet<_> = listed.iter().map(|job| &job.path).collect();
            self.jobs.keys().filter(|path| !there.contains(path)).cloned().collect()
        };
        for path in gone {
            if let Some(known) = self.jobs.remove(&path) {
                self.live_status.show_job(&path, None);
                let text = match known.what {
                    Ok(_) => "is gone, and runs no more",
                    Err(_) => "is no broken job any more",
                };
                self.log_line(Level::Info, &known.name, text);
            }
        }
        let taken: Vec<_> = listed
            .iter()
            .filter_map(|job| {
                let runbook = job.what.as_ref().ok()?;
                // A job that was removed and is back counts as new.
                let is_back = !is_first && !self.jobs.contains_key(&job.path);
                Some(Takeover {
                    path: job.path.display().to_string(),
                    name: job.name.clone(),
                    timing: runbook.job.timing.words(),
                    is_back,
                })
            })
            .collect();
        // One transaction for all: each commit waits for the disk.
        let entries = self.store.take_over(&taken, now).unwrap_or_else(|error| {
            self.log_once("", "the jobs cannot be taken over", &one_line(&error));
            Vec::new()
        });
        let paths = taken.into_iter().map(|job| job.path);
        let mut entries: BTreeMap<_, _> = paths.zip(entries).collect();
        for job in listed {
            let path = job.path.display().to_string();
            let before = self.jobs.remove(&job.path);
            self.announce(&job, before.as_ref(), is_first);
            let entry = match &job.what {
                Ok(_) => entries.remove(&path),
                Err(_) => self.store.entry(&path).unwrap_or_default(),
            };
            let mut known = match before {
                Some(known) => Known { name: job.name, what: job.what, ..known },
                None => Known {
                    name: job.name,
                    what: job.what,
                    entry: None,
                    next: None,
                    is_changed: true,
                    seen: None,
                    look_at: now,
                    running: None,
                    last: self.store.last(&path).unwrap_or_default(),
                    last_success: self.store.last_success(&path).unwrap_or_default(),
                },
            };
            known.set_progress(&path, entry, now);
            self.jobs.insert(job.path, known);
        }
        if is_first {
            self.version = 0;
            self.notify_pending();
        }
    }

    pub(super) fn announce(&self, job: &Listed, before: Option<&Known>, is_first: bool) {
        match (&job.what, before.map(|known| &known.what)) {
            (what, Some(before)) if what == before => {}
            (Err(why), _) => {
                let path = [("path".to_owned(), job.path.display().to_string().into())];
                let origin = LogOrigin::job(&job.name);
                self.log.line(Level::Error, &origin, &format!("is broken: {why}"), &path);
            }
            (Ok(runbook), before) => {
                let level = if is_first { Level::Debug } else { Level::Info };
                let is = match before {
                    None => "is there",
                    Some(Err(_)) => "is whole again",
                    Some(Ok(_)) => "has changed",
                };
                let timing = runbook.job.timing.words();
                self.log_line(level, &job.name, &format!("{is}: {timing}"));
            }
        }
    }
}
