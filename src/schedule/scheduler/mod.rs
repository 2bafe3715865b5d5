//! Scheduler without clock, threads and file watching: decides which jobs start, and records them.
//!
//! `due` has the rules. The order of writes is such that a kill at any moment loses no execution
//! and repeats none.

mod ends;
mod known;
mod others;
mod takeover;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

pub(in crate::schedule) use self::known::Known;
use crate::clock::Clock;
use crate::error::Result;
use crate::schedule::due::{self, JobProgress, Next, Tries};
use crate::schedule::job_lock::JobLock;
use crate::schedule::job_set::{Runbook, one_line};
use crate::schedule::live_status::LiveStatus;
use crate::schedule::log::{Level, Log, LogOrigin};
use crate::schedule::record::{Execution, ExecutionOutcome};
use crate::schedule::store::{Begun, Store, Takeover};
use crate::session::Mode;

/// Interval of clock checks while nothing is due: the clock may be set, or the machine may have
/// slept.
const CLOCK_CHECK_INTERVAL: SignedDuration = SignedDuration::from_secs(30);

/// Delay before the next check of a job that another process runs, or after the state could not be
/// written.
const RETRY_INTERVAL: SignedDuration = SignedDuration::from_secs(2);

/// Runner of executions.
pub trait Runner {
    /// Starts an execution; [`Scheduler::ended`] receives its end.
    fn start(&mut self, start: Start);

    /// Mode of executions now: `apply`, `plan` or `read-only`.
    fn mode(&self) -> Mode;

    /// Sends the notifications of a final failure; [`Scheduler::notified`] receives the end of
    /// that.
    fn tell(&mut self, execution: Execution, runbook: Arc<Runbook>);
}

/// Execution to start.
#[derive(Clone, Debug)]
pub struct Start {
    /// Record of the execution.
    pub execution: Execution,
    /// Runbook of the job.
    pub runbook: Arc<Runbook>,
    /// Number of missed due times that the execution stands for.
    pub missed: u64,
}

/// Location of the job locks.
#[derive(Clone, Debug)]
pub enum Holds {
    /// State folder, shared with other processes.
    Folder(PathBuf),
    /// None: there are no other processes.
    Alone,
}

impl Holds {
    fn take(&self, path: &str, what: &str) -> Result<Option<JobLock>> {
        match self {
            Self::Folder(folder) => JobLock::take(folder, path, what),
            Self::Alone => Ok(Some(JobLock::alone())),
        }
    }
}

/// The scheduler.
pub struct Scheduler<R> {
    clock: Clock,
    store: Store,
    holds: Holds,
    log: Log,
    pub(in crate::schedule) runner: R,
    /// Upper bound on concurrent executions.
    places: usize,
    pub(in crate::schedule) jobs: BTreeMap<PathBuf, Known>,
    /// Running executions of this process, by run id.
    going: BTreeMap<String, (Start, JobLock)>,
    /// Executions whose end could not be recorded yet.
    unwritten: Vec<(Start, JobLock)>,
    notifying: BTreeMap<String, JobLock>,
    is_ending: bool,
    look: SignedDuration,
    last_tick: Timestamp,
    version: i64,
    /// Set if other processes have open executions.
    has_others: bool,
    /// Last error of each job, so that it is logged once.
    last_errors: BTreeMap<String, String>,
    live_status: LiveStatus,
}

impl<R: Runner> Scheduler<R> {
    /// Creates a scheduler without jobs.
    #[must_use]
    pub fn new(
        clock: Clock,
        store: Store,
        holds: Holds,
        log: Log,
        runner: R,
        places: usize,
    ) -> Self {
        let now = moment(&clock);
        Self {
            clock,
            store,
            holds,
            log,
            runner,
            places: places.max(1),
            jobs: BTreeMap::new(),
            going: BTreeMap::new(),
            unwritten: Vec::new(),
            notifying: BTreeMap::new(),
            is_ending: false,
            look: CLOCK_CHECK_INTERVAL,
            last_tick: now,
            version: -1,
            has_others: true,
            last_errors: BTreeMap::new(),
            live_status: LiveStatus::new(now),
        }
    }

    /// Sets the interval of clock checks, for clocks that are never set.
    #[must_use]
    pub fn looking_every(self, time: SignedDuration) -> Self {
        Self { look: time, ..self }
    }

    /// Live status.
    #[must_use]
    pub fn live_status(&self) -> &LiveStatus {
        &self.live_status
    }

    /// Runner of the executions.
    pub fn runner(&mut self) -> &mut R {
        &mut self.runner
    }

    /// Number of running executions of this process.
    #[must_use]
    pub fn going(&self) -> usize {
        self.going.len()
    }

    /// Number of executions whose end is not recorded yet.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        self.unwritten.len()
    }

    /// Starts what is due now. Returns the time of the next call, if no event comes before.
    pub fn tick(&mut self) -> Timestamp {
        let now = moment(&self.clock);
        let went_back = now < self.last_tick;
        self.last_tick = now;
        self.write_unwritten();
        self.check_other_processes();
        let mut ready = Vec::new();
        for (path, known) in &mut self.jobs {
            if went_back {
                known.look_at = now;
            }
            if known.look_at <= now && known.what.is_ok() && !self.is_ending {
                ready.push(path.clone());
            }
        }
        let mut starts = Vec::new();
        for path in ready {
            if let Some(start) = self.consider(&path, now) {
                starts.push((start, path));
            }
        }
        // The longest wait comes first.
        starts.sort();
        let mut without_place = std::collections::BTreeSet::new();
        for ((due, is_in_time), path) in starts {
            if self.going.len() < self.places {
                self.begin(&path, now);
            } else if let Some(known) = self.jobs.get_mut(&path) {
                known.seen = is_in_time.then_some(due).or(known.seen);
                without_place.insert(path);
            }
        }
        self.show(now);
        let latest = later(now, if self.unwritten.is_empty() { self.look } else { RETRY_INTERVAL });
        if self.is_ending {
            return latest;
        }
        // A job without a free slot is checked when a slot becomes free.
        let waiting = self
            .jobs
            .iter()
            .filter(|(path, known)| known.what.is_ok() && !without_place.contains(*path));
        let next = waiting.map(|(_, known)| known.look_at).min();
        next.map_or(latest, |next| next.min(latest)).max(now)
    }

    fn show(&mut self, now: Timestamp) {
        for (path, known) in &mut self.jobs {
            if std::mem::take(&mut known.is_changed) {
                self.live_status.show_job(path, Some(known));
            }
        }
        self.live_status.show(now, self.is_ending, self.runner.mode());
    }

    /// Returns the due time of a job that must start, and whether it is on time. All other steps
    /// are taken here.
    fn consider(&mut self, path: &PathBuf, now: Timestamp) -> Option<(Timestamp, bool)> {
        loop {
            let known = self.jobs.get_mut(path)?;
            let Ok(runbook) = &known.what else { return None };
            let runbook = Arc::clone(runbook);
            if known.running.as_ref().is_some_and(|running| self.going.contains_key(&running.run)) {
                known.look_at = Timestamp::MAX;
                return None;
            }
            let Some(entry) = known.entry.clone() else {
                let (path, name) = (path.display().to_string(), known.name.clone());
                let timing = runbook.job.timing.words();
                let job =
                    Takeover { path: path.clone(), name: name.clone(), timing, is_back: false };
                match self.store.take_over(&[job], now) {
                    Ok(entries) => {
                        for entry in entries {
                            self.set_progress(&path, entry);
                        }
                    }
                    Err(error) => {
                        self.log_once(&name, "cannot be taken over", &one_line(&error));
                        self.postpone(&path, later(now, RETRY_INTERVAL));
                        return None;
                    }
                }
                continue;
            };
            let text = path.display().to_string();
            match due::next(&runbook.job, &text, &entry, known.seen, now) {
                Next::Wait(at) => {
                    known.seen = None;
                    known.look_at = at.unwrap_or(Timestamp::MAX);
                    return None;
                }
                Next::Start { due, missed } => return Some((due, missed == 0)),
                Next::Again(tries) => return Some((tries.due, false)),
                Next::Skip { last, missed } => {
                    if !self.skip(path, &entry, last, missed, now) {
                        return None;
                    }
                }
                Next::Recount(to) => {
                    let name = known.name.clone();
                    match self.store.recount(&text, &entry, &to) {
                        Ok(entry) => self.set_progress(&text, entry),
                        Err(error) => {
                            self.log_once(&name, "cannot go on", &one_line(&error));
                            self.postpone(&text, later(now, RETRY_INTERVAL));
                            return None;
                        }
                    }
                    self.log_line(
                        Level::Warn,
                        &name,
                        "the clock was set back by more than a day: it counts from now on",
                    );
                }
            }
        }
    }

    /// Skips missed due times. Returns true if the job must be checked again.
    fn skip(
        &mut self,
        path: &PathBuf,
        entry: &JobProgress,
        last: Timestamp,
        missed: u64,
        now: Timestamp,
    ) -> bool {
        let text = path.display().to_string();
        let Some(name) = self.jobs.get(path).map(|known| known.name.clone()) else { return false };
        let Some(lock) = self.take_lock(&text, &name, now) else { return false };
        let why = due_text(missed);
        let skipped = Execution {
            ended: Some(now),
            outcome: Some(ExecutionOutcome::Skipped),
            error: Some(format!("{why} missed, and left out by catch_up = \"skip\"")),
            ..self.execution(path, &name, Some(last), 1, now)
        };
        let to = JobProgress { handled: last, ..entry.clone() };
        match self.store.skip(&skipped, entry, &to) {
            Ok(Begun::Run(run)) => {
                let skipped = Execution { run, ..skipped };
                self.log_execution(&skipped, Level::Warn, &format!("left out: {why} missed"));
                self.live_status.count(&skipped);
                if let Some(known) = self.jobs.get_mut(path) {
                    known.last = Some(skipped);
                }
                self.set_progress(&text, to);
            }
            Ok(Begun::Stale(now_at)) => self.set_progress(&text, now_at),
            Err(error) => {
                self.log_once(&name, "cannot go on", &one_line(&error));
                self.postpone(&text, later(now, RETRY_INTERVAL));
                return false;
            }
        }
        drop(lock);
        true
    }

    /// Starts the execution that is due: first the record, then the start.
    fn begin(&mut self, path: &PathBuf, now: Timestamp) {
        let text = path.display().to_string();
        let Some(known) = self.jobs.get(path) else { return };
        let name = known.name.clone();
        let Some(lock) = self.take_lock(&text, &name, now) else { return };
        // The decision is repeated, because the progress may have changed before the lock was
        // taken.
        let Some(known) = self.jobs.get_mut(path) else { return };
        let (Ok(runbook), Some(entry)) = (known.what.clone(), known.entry.clone()) else { return };
        if entry.timing != runbook.job.timing.words() {
            // Another scheduler has read a newer manifest; this one will read it soon.
            known.look_at = later(now, RETRY_INTERVAL);
            return;
        }
        let (tries, handled, missed) = match due::next(&runbook.job, &text, &entry, known.seen, now)
        {
            Next::Start { due, missed } => {
                let first = Tries { due, attempt: 1, failures: 0, kills: 0, again: None };
                (first, due, missed)
            }
            Next::Again(tries) => {
                let next = Tries { attempt: tries.attempt + 1, again: None, ..tries };
                (next, entry.handled, 0)
            }
            _ => return,
        };
        let to = JobProgress { handled, tries: Some(tries), ..entry.clone() };
        let execution = self.execution(path, &name, Some(tries.due), tries.attempt, now);
        match self.store.begin(&execution, Some((&entry, &to))) {
            Ok(Begun::Run(run)) => {
                self.last_errors.remove(&name);
                let execution = Execution { run, ..execution };
                self.set_progress(&text, to);
                if let Some(known) = self.jobs.get_mut(path) {
                    known.seen = None;
                    known.look_at = Timestamp::MAX;
                    known.running = Some(execution.clone());
                }
                let start = Start { execution, runbook, missed };
                self.going.insert(start.execution.run.clone(), (start.clone(), lock));
                self.runner.start(start);
            }
            Ok(Begun::Stale(now_at)) => self.set_progress(&text, now_at),
            Err(error) => {
                self.log_once(&name, "cannot begin", &one_line(&error));
                self.postpone(&text, later(now, RETRY_INTERVAL));
            }
        }
    }

    /// Starts no more executions.
    pub fn end(&mut self) {
        self.is_ending = true;
        self.live_status.show(moment(&self.clock), true, self.runner.mode());
    }

    /// Returns true if nothing is left to wait for at shutdown.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.going.is_empty() && self.unwritten.is_empty() && self.notifying.is_empty()
    }

    fn execution(
        &self,
        path: &std::path::Path,
        name: &str,
        due: Option<Timestamp>,
        attempt: u32,
        now: Timestamp,
    ) -> Execution {
        let mode = self.runner.mode();
        Execution::begun(path.to_owned(), name.to_owned(), due, attempt, now, mode)
    }

    fn set_progress(&mut self, path: &str, entry: JobProgress) {
        let now = self.last_tick;
        if let Some(known) = self.jobs.get_mut(&PathBuf::from(path)) {
            known.set_progress(path, Some(entry), now);
        }
    }

    fn postpone(&mut self, path: &str, at: Timestamp) {
        if let Some(known) = self.jobs.get_mut(&PathBuf::from(path)) {
            known.look_at = at;
        }
    }

    fn log_line(&self, level: Level, job: &str, text: &str) {
        self.log.line(level, &LogOrigin::job(job), text, &[]);
    }

    /// Logs an error, unless it repeats the last one of the job.
    fn log_once(&mut self, job: &str, what: &str, why: &str) {
        let text = format!("{what}: {why}");
        if self.last_errors.get(job) == Some(&text) {
            return;
        }
        let origin = if job.is_empty() { LogOrigin::default() } else { LogOrigin::job(job) };
        self.log.line(Level::Error, &origin, &text, &[]);
        self.last_errors.insert(job.to_owned(), text);
    }

    fn log_execution(&self, execution: &Execution, level: Level, text: &str) {
        self.log.line(level, &execution.origin(), text, &execution.fields());
    }
}

/// Current time of a clock.
pub(in crate::schedule) fn moment(clock: &Clock) -> Timestamp {
    Timestamp::from_millisecond(clock.milliseconds()).unwrap_or_default()
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// Number of due times, as text.
pub(in crate::schedule) fn due_text(missed: u64) -> String {
    match missed {
        1 => "1 due moment was".into(),
        due::MAX_COUNTED.. => format!("{} due moments or more were", due::MAX_COUNTED),
        n => format!("{n} due moments were"),
    }
}
