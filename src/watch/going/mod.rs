//! The watcher while it goes on: what it waits for, and what it does about what has happened.

mod pressed;
mod told;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::scripts::{News, Scripts, Sights, differences};
use super::worker::{Ended, Job, JobOutcome};
use super::{Happened, OnBusy, WatchSettings, keys};
use crate::app::run::Running;
use crate::app::signals::Request;
use crate::error::{Error, Kind, Result};
use crate::files::read_set::ReadSet;
use crate::files::watch::{Changed, PathWatcher};
use crate::lua::cancel::Stop;
use crate::ui::terminal::{say, tell};

/// A script that is told to stop does so within that time, unless it has calls in flight or is deep inside of one operation of Lua's library.
const STOPS_WITHIN: Duration = Duration::from_millis(80);
/// While a script runs that may be started anew, it is looked so often which files it depends on by now.
const RUN_LOOKS: Duration = Duration::from_millis(500);

/// What a watcher has.
pub(in crate::watch) struct Watch {
    options: WatchSettings,
    scripts: Scripts,
    following: PathWatcher,
    /// What is followed.
    followed: (BTreeSet<PathBuf>, BTreeSet<PathBuf>),
    jobs: Sender<Job>,
    has_keys: bool,
    /// The scripts that are to run, each with the reason.
    queue: VecDeque<(usize, String)>,
    /// Those that are only to be looked at.
    unknown: VecDeque<usize>,
    current: Option<Current>,
    /// What may have changed since it was looked at, and when it is looked at.
    changed: Option<Changed>,
    look_at: Option<Instant>,
    is_paused: bool,
    /// What it ends with, once what runs has ended.
    ends: Option<u8>,
    /// The question that waits for an answer.
    asked: Option<Sender<bool>>,
    /// The script that ran last.
    last: Option<usize>,
    /// The scripts that are no runbooks, of which nothing was said yet.
    left_alone: Vec<String>,
    /// Whether it was said which folders are empty.
    has_told_empty: bool,
    runs: u64,
    worst: u8,
}

/// What the worker is doing.
struct Current {
    script: usize,
    seen: ReadSet,
    running: Option<Running>,
    /// Why it must run again, if it was stopped for that.
    restarts: Option<String>,
    /// When it is told that it does not stop at once.
    waits_until: Option<Instant>,
}

impl Watch {
    pub(in crate::watch) fn new(
        options: WatchSettings,
        scripts: Scripts,
        following: PathWatcher,
        jobs: Sender<Job>,
        has_keys: bool,
    ) -> Self {
        Self {
            options,
            scripts,
            following,
            followed: (BTreeSet::new(), BTreeSet::new()),
            jobs,
            has_keys,
            queue: VecDeque::new(),
            unknown: VecDeque::new(),
            current: None,
            changed: None,
            look_at: None,
            is_paused: false,
            ends: None,
            asked: None,
            last: None,
            left_alone: Vec::new(),
            has_told_empty: false,
            runs: 0,
            worst: 0,
        }
    }

    /// Works to the end; returns the exit code.
    pub(in crate::watch) fn work(
        mut self,
        hears: &Receiver<Happened>,
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
            let happened = match self.next_moment() {
                None => hears.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => hears.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match happened {
                Ok(Happened::Changed(changed)) => self.note(changed),
                Ok(Happened::Key(key)) => self.press(key),
                Ok(Happened::Asked(question, answer)) => self.ask(&question, answer),
                Ok(Happened::Began(running)) => self.began(running),
                Ok(Happened::Ended(ended)) => self.ended(*ended),
                Ok(Happened::Request(Request::GoOn)) => keys::hand_out_keys(),
                Ok(Happened::Request(Request::End)) => self.end(130),
                Err(RecvTimeoutError::Timeout) => self.keep_time(runtime),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(Kind::Bug, "the threads of the watcher have ended"));
                }
            }
        }
    }

    /// Gives the worker something to do, if it has nothing.
    fn start_next(&mut self) {
        if self.current.is_some() || self.is_paused || self.ends.is_some() {
            return;
        }
        let (script, why, only_looks) = match self.unknown.pop_front() {
            Some(script) => (script, String::new(), true),
            None => match self.queue.pop_front() {
                Some((script, why)) => (script, why, false),
                None => return self.rest(),
            },
        };
        let watched = &self.scripts.all[script];
        let seen = self.scripts.all[script].seen.again();
        let job = Job {
            script,
            path: watched.path.clone(),
            must_be_runbook: watched.is_of_folder,
            only_looks,
            why: format!("{}: {why}", watched.name()),
            seen: seen.clone(),
        };
        self.current =
            Some(Current { script, seen, running: None, restarts: None, waits_until: None });
        // A worker that has ended is noticed where its reports are missing.
        let _ = self.jobs.send(job);
    }

    /// Whether it has come to its end, and with what.
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

    /// When there is something to do, if nothing happens.
    fn next_moment(&self) -> Option<Instant> {
        let look = self.look_at.filter(|_| !self.is_paused);
        let stop = self.current.as_ref().and_then(|current| current.waits_until);
        let depends = self.current.as_ref().filter(|_| self.options.on_busy == OnBusy::Restart);
        let depends = depends.map(|_| Instant::now() + RUN_LOOKS);
        [look, stop, depends].into_iter().flatten().min()
    }

    fn keep_time(&mut self, runtime: &Handle) {
        let now = Instant::now();
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.waits_until.is_some_and(|at| at <= now))
        {
            self.does_not_stop(runtime);
        }
        if !self.is_paused && self.look_at.is_some_and(|at| at <= now) {
            self.look();
        }
        if self.options.on_busy == OnBusy::Restart && self.current.is_some() {
            self.follow();
        }
    }

    /// Notes that something may have changed; it is looked at once nothing more changes.
    fn note(&mut self, changed: Changed) {
        self.changed = Some(match self.changed.take() {
            None => changed,
            Some(before) => before.and(changed),
        });
        self.look_at = Some(Instant::now() + self.options.debounce);
    }

    /// Looks at what may have changed, and lets run what has seen something else.
    fn look(&mut self) {
        self.look_at = None;
        let Some(changed) = self.changed.take() else { return };
        let mut sights = Sights::default();
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
                let saw = if restarts { current.seen.all() } else { BTreeMap::new() };
                if let Some(why) = differences(&saw, &Changed::All, &mut sights) {
                    current.restarts = Some(why);
                    self.asked = None;
                    stop(current);
                    current.waits_until = Some(Instant::now() + STOPS_WITHIN);
                }
                // Otherwise it is looked at when it has ended.
                continue;
            }
            let watched = &mut self.scripts.all[script];
            let is_known = !watched.is_left_alone;
            match watched.news(&changed, &mut sights) {
                News::Runs(why) => self.queue.push_back((script, why)),
                News::Gone if is_known => {
                    say(&format!("{}: is gone; it runs when it is back", watched.name()));
                }
                News::Back if is_known => {
                    say(&format!("{}: is back, as it was", watched.name()));
                }
                News::None | News::Gone | News::Back => {}
            }
        }
        self.follow();
    }

    /// Follows what the scripts depend on by now.
    fn follow(&mut self) {
        let (mut files, folders) = self.scripts.followed();
        if let Some(current) = &self.current {
            files.extend(current.seen.all().into_keys());
        }
        if (&files, &folders) == (&self.followed.0, &self.followed.1) {
            return;
        }
        let new: BTreeSet<_> = files.difference(&self.followed.0).cloned().collect();
        self.following.follow(files.clone(), folders.clone());
        self.followed = (files, folders);
        // What changed before it was followed was not told.
        self.note(Changed::Paths(new));
    }

    fn began(&mut self, running: Running) {
        let Some(current) = &mut self.current else { return };
        current.running = Some(running);
        if current.restarts.is_some() || self.ends.is_some() {
            stop(current);
            current.waits_until = Some(Instant::now() + STOPS_WITHIN);
        }
    }

    /// Ends with that exit code, as soon as nothing runs any more.
    fn end(&mut self, code: u8) {
        self.asked = None;
        if let Some(current) = &mut self.current {
            stop(current);
            current.waits_until = Some(Instant::now() + STOPS_WITHIN);
        }
        if self.ends.is_some() && self.current.is_some() {
            keys::restore();
            std::process::exit(i32::from(self.ends.unwrap_or(code)));
        }
        self.ends.get_or_insert(code);
    }

    /// What was told to stop is still there.
    fn does_not_stop(&mut self, runtime: &Handle) {
        let Some(current) = &mut self.current else { return };
        current.waits_until = None;
        if self.ends.is_none() {
            // It runs again, and is waited for.
            if current.running.as_ref().is_some_and(|running| running.writes_in_flight() > 0) {
                let name = self.scripts.all[current.script].name();
                say(&format!("{name} is being stopped: calls in flight are being finished"));
            }
            return;
        }
        let Some(running) = &current.running else {
            // It has not begun.
            keys::restore();
            std::process::exit(i32::from(self.ends.unwrap_or(130)));
        };
        if running.writes_in_flight() > 0 {
            say("stopping: calls in flight are being finished; again to end at once");
            return;
        }
        // It waits for somebody, or is deep inside of one long operation of Lua's library. Nothing is lost by ending it once the outcomes are
        // written down.
        let end = running.session().end("interrupted", Some("interrupted".into()));
        let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), end).await });
        let code = self.ends.unwrap_or(130);
        if code == 130 {
            say("error: interrupted");
        }
        keys::restore();
        std::process::exit(i32::from(code));
    }

    fn ended(&mut self, ended: Ended) {
        let Some(current) = self.current.take() else { return };
        // An answer that comes now is nobody's any more.
        self.asked = None;
        let script = ended.script;
        let watched = &mut self.scripts.all[script];
        watched.saw = ended.saw;
        if self.options.on_busy == OnBusy::Ignore {
            watched.takes_what_is_there();
        }
        match ended.outcome {
            JobOutcome::LookedAt => {}
            JobOutcome::NoRunbook => {
                if !std::mem::replace(&mut watched.is_left_alone, watched.is_of_folder)
                    && watched.is_of_folder
                {
                    self.left_alone.push(watched.name());
                }
            }
            JobOutcome::Failed(error) => {
                watched.is_left_alone = false;
                tell(&error);
                self.tell_end(script, Err(&error), ended.took, current.restarts.as_deref());
            }
            JobOutcome::Ran(executed) => {
                watched.is_left_alone = false;
                self.ran(script, &executed, ended.output, ended.took, current.restarts.as_deref());
            }
        }
        if let Some(why) = current.restarts {
            self.queue.push_front((script, why));
        }
        if ended.is_closed && self.ends.is_none() {
            // Like other programs in a pipe: whoever reads has seen enough.
            self.ends = Some(self.worst);
        }
        self.follow();
        // What has changed while it ran, also of what is followed for long.
        let saw = self.scripts.all[script].saw.keys().cloned().collect();
        self.note(Changed::Paths(saw));
    }
}

/// Lets no further change begin, and stops the script.
fn stop(current: &Current) {
    if let Some(running) = &current.running {
        running.stop(Stop::Interrupted);
    }
}
