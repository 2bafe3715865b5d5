//! Event loop of the watcher.

mod prompts;
mod report;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::scripts::{DependencyState, FingerprintCache, Scripts, differences};
use super::worker::{Ended, JobOutcome, ScriptJob};
use super::{OnBusy, WatchEvent, WatchSettings, keys};
use crate::app::run::Running;
use crate::app::signals::ProcessSignal;
use crate::error::{Error, Kind, Result};
use crate::files::read_set::ReadSet;
use crate::files::watch::{Changed, PathWatcher};
use crate::lua::cancel::Stop;
use crate::session::journal::RunStatus;
use crate::ui::terminal::{say, tell};

/// Time in which a script normally stops, unless it has calls in flight or is inside a long
/// operation of Lua's library.
const STOP_TIMEOUT: Duration = Duration::from_millis(80);
/// Interval of checks for new dependencies of a running script that changes may restart.
const DEPENDENCY_INTERVAL: Duration = Duration::from_millis(500);

/// State of the watcher.
pub(in crate::watch) struct Watch {
    options: WatchSettings,
    scripts: Scripts,
    watcher: PathWatcher,
    /// Watched files and folders.
    followed: (BTreeSet<PathBuf>, BTreeSet<PathBuf>),
    jobs: Sender<ScriptJob>,
    has_keys: bool,
    /// Indexes of the scripts to run, each with the reason.
    queue: VecDeque<(usize, String)>,
    /// Indexes of the scripts whose dependencies are not known yet.
    unknown: VecDeque<usize>,
    current: Option<Current>,
    /// Paths that may have changed since the last check.
    changed: Option<Changed>,
    check_at: Option<Instant>,
    is_paused: bool,
    /// Exit code, once the watcher is to end.
    ends: Option<u8>,
    /// Sender for the answer to the open question.
    asked: Option<Sender<bool>>,
    /// Index of the script that ran last.
    last: Option<usize>,
    /// Scripts without a manifest that are not reported yet.
    skipped: Vec<String>,
    /// Set once empty folders were reported.
    has_reported_empty: bool,
    runs: u64,
    worst: u8,
}

/// Current job of the worker.
struct Current {
    script: usize,
    seen: ReadSet,
    running: Option<Running>,
    /// Reason to run again, if it was stopped for that.
    restarts: Option<String>,
    /// Deadline for stopping, after which a notice is shown.
    waits_until: Option<Instant>,
}

impl Watch {
    pub(in crate::watch) fn new(
        options: WatchSettings,
        scripts: Scripts,
        watcher: PathWatcher,
        jobs: Sender<ScriptJob>,
        has_keys: bool,
    ) -> Self {
        Self {
            options,
            scripts,
            watcher,
            followed: (BTreeSet::new(), BTreeSet::new()),
            jobs,
            has_keys,
            queue: VecDeque::new(),
            unknown: VecDeque::new(),
            current: None,
            changed: None,
            check_at: None,
            is_paused: false,
            ends: None,
            asked: None,
            last: None,
            skipped: Vec::new(),
            has_reported_empty: false,
            runs: 0,
            worst: 0,
        }
    }

    /// Runs the loop to its end. Returns the exit code.
    pub(in crate::watch) fn work(
        mut self,
        hears: &Receiver<WatchEvent>,
        runtime: &Handle,
    ) -> Result<u8> {
        self.scripts.find_new();
        let all = 0..self.scripts.all.len();
        if self.options.postpone {
            self.unknown.extend(all);
        } else {
            self.queue.extend(all.map(|script| (script, "first run".to_owned())));
        }
        self.follow();
        self.greet();
        loop {
            self.start_next();
            if let Some(result) = self.is_over() {
                return result;
            }
            let event = match self.next_moment() {
                None => hears.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => hears.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match event {
                Ok(WatchEvent::Changed(changed)) => self.record_changes(changed),
                Ok(WatchEvent::Key(key)) => self.press(key),
                Ok(WatchEvent::Asked(question, answer)) => self.ask(&question, answer),
                Ok(WatchEvent::Began(running)) => self.began(running),
                Ok(WatchEvent::Ended(ended)) => self.ended(*ended),
                Ok(WatchEvent::Request(ProcessSignal::GoOn)) => keys::hand_out_keys(),
                Ok(WatchEvent::Request(ProcessSignal::End)) => self.end(130),
                Err(RecvTimeoutError::Timeout) => self.run_timers(runtime),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(Kind::Bug, "the threads of the watcher have ended"));
                }
            }
        }
    }

    /// Starts the next job, if the worker is idle.
    fn start_next(&mut self) {
        if self.current.is_some() || self.is_paused || self.ends.is_some() {
            return;
        }
        let (script, why, only_dependencies) = match self.unknown.pop_front() {
            Some(script) => (script, String::new(), true),
            None => match self.queue.pop_front() {
                Some((script, why)) => (script, why, false),
                None => return self.show_held_back(),
            },
        };
        let watched = &self.scripts.all[script];
        let seen = self.scripts.all[script].seen.again();
        let job = ScriptJob {
            script,
            path: watched.path.clone(),
            must_be_runbook: watched.is_of_folder,
            only_dependencies,
            why: format!("{}: {why}", watched.name()),
            seen: seen.clone(),
        };
        self.current =
            Some(Current { script, seen, running: None, restarts: None, waits_until: None });
        // A worker that has ended is detected by its closed channel.
        let _ = self.jobs.send(job);
    }

    /// Result of the watcher, once it has ended.
    fn is_over(&self) -> Option<Result<u8>> {
        if self.current.is_some() {
            return None;
        }
        match self.ends {
            Some(130) => return Some(Err(Error::new(Kind::Interrupted, "interrupted"))),
            Some(code) => return Some(Ok(code)),
            None => {}
        }
        if !self.options.once || !self.queue.is_empty() || self.is_paused {
            return None;
        }
        if self.runs > 0 {
            return Some(Ok(self.worst));
        }
        let waits = self.options.postpone || !self.unknown.is_empty();
        (!waits).then(|| {
            let folders = self.scripts.empty_folders().join(", ");
            Err(Error::new(Kind::Script, format!("there is no runbook in {folders}"))
                .hint("a script declares itself with `runbook { … }`"))
        })
    }

    /// Time of the next timer.
    fn next_moment(&self) -> Option<Instant> {
        let check = self.check_at.filter(|_| !self.is_paused);
        let stop = self.current.as_ref().and_then(|current| current.waits_until);
        let depends = self.current.as_ref().filter(|_| self.options.on_busy == OnBusy::Restart);
        let depends = depends.map(|_| Instant::now() + DEPENDENCY_INTERVAL);
        [check, stop, depends].into_iter().flatten().min()
    }

    fn run_timers(&mut self, runtime: &Handle) {
        let now = Instant::now();
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.waits_until.is_some_and(|at| at <= now))
        {
            self.handle_overdue(runtime);
        }
        if !self.is_paused && self.check_at.is_some_and(|at| at <= now) {
            self.check_changes();
        }
        if self.options.on_busy == OnBusy::Restart && self.current.is_some() {
            self.follow();
        }
    }

    /// Records possible changes. They are checked once nothing more changes.
    fn record_changes(&mut self, changed: Changed) {
        self.changed = Some(match self.changed.take() {
            None => changed,
            Some(before) => before.and(changed),
        });
        self.check_at = Some(Instant::now() + self.options.debounce);
    }

    /// Checks possible changes, and queues the scripts whose dependencies have changed.
    fn check_changes(&mut self) {
        self.check_at = None;
        let Some(changed) = self.changed.take() else { return };
        let mut cache = FingerprintCache::default();
        for script in self.scripts.find_new() {
            self.queue.push_back((script, "is new".into()));
        }
        for script in 0..self.scripts.all.len() {
            if self.queue.iter().any(|(queued, _)| *queued == script) {
                continue;
            }
            if let Some(current) = self.current.as_mut().filter(|current| current.script == script)
            {
                let restarts =
                    self.options.on_busy == OnBusy::Restart && current.restarts.is_none();
                let fingerprints = if restarts { current.seen.all() } else { BTreeMap::new() };
                if let Some(why) = differences(&fingerprints, &Changed::All, &mut cache) {
                    current.restarts = Some(why);
                    self.asked = None;
                    stop(current);
                    current.waits_until = Some(Instant::now() + STOP_TIMEOUT);
                }
                // A running script is checked when it has ended.
                continue;
            }
            let watched = &mut self.scripts.all[script];
            let is_known = !watched.is_skipped;
            match watched.check_dependencies(&changed, &mut cache) {
                DependencyState::Runs(why) => self.queue.push_back((script, why)),
                DependencyState::Gone if is_known => {
                    say(&format!("{}: is gone; it runs when it is back", watched.name()));
                }
                DependencyState::Back if is_known => {
                    say(&format!("{}: is back, as it was", watched.name()));
                }
                DependencyState::None | DependencyState::Gone | DependencyState::Back => {}
            }
        }
        self.follow();
    }

    /// Updates the watched paths to the current dependencies of the scripts.
    fn follow(&mut self) {
        let (mut files, folders) = self.scripts.followed();
        if let Some(current) = &self.current {
            files.extend(current.seen.all().into_keys());
        }
        if (&files, &folders) == (&self.followed.0, &self.followed.1) {
            return;
        }
        let new: BTreeSet<_> = files.difference(&self.followed.0).cloned().collect();
        self.watcher.follow(files.clone(), folders.clone());
        self.followed = (files, folders);
        // Changes before a path was watched caused no event.
        self.record_changes(Changed::Paths(new));
    }

    fn began(&mut self, running: Running) {
        let Some(current) = &mut self.current else { return };
        current.running = Some(running);
        if current.restarts.is_some() || self.ends.is_some() {
            stop(current);
            current.waits_until = Some(Instant::now() + STOP_TIMEOUT);
        }
    }

    /// Ends with that exit code, once nothing is running.
    fn end(&mut self, code: u8) {
        self.asked = None;
        if let Some(current) = &mut self.current {
            stop(current);
            current.waits_until = Some(Instant::now() + STOP_TIMEOUT);
        }
        if self.ends.is_some() && self.current.is_some() {
            keys::restore();
            std::process::exit(i32::from(self.ends.unwrap_or(code)));
        }
        self.ends.get_or_insert(code);
    }

    /// Handles a script that has not stopped in time.
    fn handle_overdue(&mut self, runtime: &Handle) {
        let Some(current) = &mut self.current else { return };
        current.waits_until = None;
        if self.ends.is_none() {
            // The script runs again after its end, so only a notice is shown.
            if current.running.as_ref().is_some_and(|running| running.writes_in_flight() > 0) {
                let name = self.scripts.all[current.script].name();
                say(&format!("{name} is being stopped: calls in flight are being finished"));
            }
            return;
        }
        let Some(running) = &current.running else {
            // The script has not started.
            keys::restore();
            std::process::exit(i32::from(self.ends.unwrap_or(130)));
        };
        if running.writes_in_flight() > 0 {
            say("stopping: calls in flight are being finished; again to end at once");
            return;
        }
        // The script waits for input or is inside a long operation of Lua's library. Exiting loses
        // nothing once the outcomes of its calls are recorded.
        let end = running.session().end(RunStatus::Interrupted, Some("interrupted".into()));
        let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), end).await });
        let code = self.ends.unwrap_or(130);
        if code == 130 {
            tell(&Error::new(Kind::Interrupted, "interrupted"));
        }
        keys::restore();
        std::process::exit(i32::from(code));
    }

    fn ended(&mut self, ended: Ended) {
        let Some(current) = self.current.take() else { return };
        // The question of the ended script has no receiver any more.
        self.asked = None;
        let script = ended.script;
        let watched = &mut self.scripts.all[script];
        watched.fingerprints = ended.fingerprints;
        if self.options.on_busy == OnBusy::Ignore {
            watched.accept_current();
        }
        match ended.outcome {
            JobOutcome::DependenciesOnly => {}
            JobOutcome::NoRunbook => {
                if !std::mem::replace(&mut watched.is_skipped, watched.is_of_folder)
                    && watched.is_of_folder
                {
                    self.skipped.push(watched.name());
                }
            }
            JobOutcome::Failed(error) => {
                watched.is_skipped = false;
                tell(&error);
                self.tell_end(script, Err(&error), ended.took, current.restarts.as_deref());
            }
            JobOutcome::Ran(executed) => {
                watched.is_skipped = false;
                self.show_result(
                    script,
                    &executed,
                    ended.output,
                    ended.took,
                    current.restarts.as_deref(),
                );
            }
        }
        if let Some(why) = current.restarts {
            self.queue.push_front((script, why));
        }
        if ended.is_closed && self.ends.is_none() {
            // The reader of standard output has closed the pipe.
            self.ends = Some(self.worst);
        }
        self.follow();
        // Checks what has changed during the run, also paths that were watched before.
        let paths = self.scripts.all[script].fingerprints.keys().cloned().collect();
        self.record_changes(Changed::Paths(paths));
    }
}

/// Stops the script, and starts no more changes.
fn stop(current: &Current) {
    if let Some(running) = &current.running {
        running.stop(Stop::Interrupted);
    }
}
