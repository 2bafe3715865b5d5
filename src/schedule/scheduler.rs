//! The scheduler without its clock, its threads and its files to watch: which jobs there are, which of them are to begin now, and what is written
//! down about them. `due` says what is to be done; here it is done, in an order in which a kill at any moment loses nothing and doubles nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::board::Board;
use super::book::{Begun, Book, Hold};
use super::due::{self, Entry, Next, Tries, Verdict};
use super::log::{Level, Log, Origin};
use super::record::{Execution, Outcome};
use super::roster::{Listed, Runbook, told};
use crate::clock::Clock;
use crate::error::Result;

/// However long nothing is due: so often the clock is looked at, which may have been set, or have stood while the machine slept.
const LOOK: SignedDuration = SignedDuration::from_secs(30);

/// When somebody else executes a job, or the state cannot be written, it is looked at again so soon.
const SOON: SignedDuration = SignedDuration::from_secs(2);

/// What carries executions out.
pub trait Runner {
    /// Begins one; [`Scheduler::ended`] is told of its end.
    fn start(&mut self, order: Order);

    /// What an execution does with changes now: `apply`, `plan` or `read-only`.
    fn mode(&self) -> &'static str;

    /// Tells whom the job names that an execution has failed for good; [`Scheduler::told`] is told when that is done.
    fn tell(&mut self, execution: Execution, runbook: Arc<Runbook>);
}

/// An execution that is to begin.
#[derive(Clone, Debug)]
pub struct Order {
    /// What is known of it.
    pub execution: Execution,
    /// Its job.
    pub runbook: Arc<Runbook>,
    /// How many missed moments it stands for.
    pub missed: u64,
}

/// A job as the scheduler knows it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) what: Result<Arc<Runbook>, String>,
    pub(super) entry: Option<Entry>,
    /// The moment that was seen in time, and waits for a place.
    seen: Option<Timestamp>,
    /// Nothing is to be done before.
    pub(super) look_at: Timestamp,
    /// Its execution, here or in another process.
    pub(super) running: Option<Execution>,
    pub(super) last: Option<Execution>,
    pub(super) last_success: Option<Timestamp>,
}

/// Where holds on jobs are taken.
#[derive(Clone, Debug)]
pub enum Holds {
    /// In a state folder, where other processes see them.
    Folder(PathBuf),
    /// Nowhere: there is nobody else.
    Alone,
}

impl Holds {
    fn take(&self, path: &str, what: &str) -> Result<Option<Hold>> {
        match self {
            Self::Folder(folder) => Hold::take(folder, path, what),
            Self::Alone => Ok(Some(Hold::alone())),
        }
    }
}

/// The scheduler.
pub struct Scheduler<R> {
    clock: Clock,
    book: Book,
    holds: Holds,
    log: Log,
    pub(super) runner: R,
    /// How many executions may go on at once.
    places: usize,
    pub(super) jobs: BTreeMap<PathBuf, Known>,
    /// What goes on here, by run.
    going: BTreeMap<String, (Order, Hold)>,
    /// Ends that could not be written yet.
    unwritten: Vec<(Order, Hold)>,
    telling: BTreeMap<String, Hold>,
    is_ending: bool,
    last_tick: Timestamp,
    version: i64,
    /// What could not be done last time, by job, so that it is said once.
    trouble: BTreeMap<String, String>,
    board: Board,
}

impl<R: Runner> Scheduler<R> {
    /// A scheduler without jobs.
    #[must_use]
    pub fn new(clock: Clock, book: Book, holds: Holds, log: Log, runner: R, places: usize) -> Self {
        let now = moment(&clock);
        Self {
            clock,
            book,
            holds,
            log,
            runner,
            places: places.max(1),
            jobs: BTreeMap::new(),
            going: BTreeMap::new(),
            unwritten: Vec::new(),
            telling: BTreeMap::new(),
            is_ending: false,
            last_tick: now,
            version: -1,
            trouble: BTreeMap::new(),
            board: Board::new(now),
        }
    }

    /// What others may look at while it works.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// What carries executions out.
    pub fn runner(&mut self) -> &mut R {
        &mut self.runner
    }

    /// How many executions go on here.
    #[must_use]
    pub fn going(&self) -> usize {
        self.going.len()
    }

    /// Takes the jobs over that there are now: new ones, changed ones, and those that are gone.
    pub fn take_over(&mut self, listed: Vec<Listed>) {
        let now = moment(&self.clock);
        let is_first = self.version < 0;
        let gone: Vec<_> = {
            let there: std::collections::BTreeSet<_> = listed.iter().map(|job| &job.path).collect();
            self.jobs.keys().filter(|path| !there.contains(path)).cloned().collect()
        };
        for path in gone {
            if let Some(known) = self.jobs.remove(&path) {
                self.say(Level::Info, &known.name, "is gone, and runs no more");
            }
        }
        for job in listed {
            let path = job.path.display().to_string();
            let before = self.jobs.remove(&job.path);
            self.announce(&job, before.as_ref(), is_first);
            let entry = match &job.what {
                Ok(runbook) => {
                    let timing = runbook.job.timing.words();
                    // One that was gone, and is there again, is new.
                    let is_back = before.is_none() && !is_first;
                    match self.book.take_over(&path, &job.name, &timing, now, is_back) {
                        Ok(entry) => Some(entry),
                        Err(error) => {
                            self.trouble(&job.name, "cannot be taken over", &told(&error));
                            None
                        }
                    }
                }
                Err(_) => self.book.entry(&path).unwrap_or_default(),
            };
            let known = match before {
                Some(known) => {
                    Known { name: job.name, what: job.what, entry, look_at: now, ..known }
                }
                None => Known {
                    name: job.name,
                    what: job.what,
                    entry,
                    seen: None,
                    look_at: now,
                    running: None,
                    last: self.book.last(&path).unwrap_or_default(),
                    last_success: self.book.last_success(&path).unwrap_or_default(),
                },
            };
            self.jobs.insert(job.path, known);
        }
        if is_first {
            self.version = 0;
            self.tell_what_is_untold();
        }
    }

    fn announce(&self, job: &Listed, before: Option<&Known>, is_first: bool) {
        match (&job.what, before.map(|known| &known.what)) {
            (what, Some(before)) if what == before => {}
            (Err(why), _) => {
                let path = [("path".to_owned(), job.path.display().to_string().into())];
                let origin = Origin::job(&job.name);
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
                self.say(level, &job.name, &format!("{is}: {timing}"));
            }
        }
    }

    /// Does what is due now. Returns when it should be called again, if nothing happens before.
    pub fn tick(&mut self) -> Timestamp {
        let now = moment(&self.clock);
        let went_back = now < self.last_tick;
        self.last_tick = now;
        self.write_unwritten();
        self.see_others();
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
        // Who has waited longest comes first.
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
        self.board.show(now, &self.jobs, self.is_ending);
        let latest = later(now, if self.unwritten.is_empty() { LOOK } else { SOON });
        if self.is_ending {
            return latest;
        }
        // Who waits for a place is looked at when one is free.
        let waiting = self
            .jobs
            .iter()
            .filter(|(path, known)| known.what.is_ok() && !without_place.contains(*path));
        let next = waiting.map(|(_, known)| known.look_at).min();
        next.map_or(latest, |next| next.min(latest)).max(now)
    }

    /// Looks whether a job is to begin, for which moment, and whether that is in time; everything short of that is done here.
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
                match self.book.take_over(&path, &name, &timing, now, false) {
                    Ok(entry) => self.stands(&path, entry),
                    Err(error) => {
                        self.trouble(&name, "cannot be taken over", &told(&error));
                        self.later(&path, later(now, SOON));
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
                    match self.book.recount(&text, &entry, &to) {
                        Ok(entry) => self.stands(&text, entry),
                        Err(error) => {
                            self.trouble(&name, "cannot go on", &told(&error));
                            self.later(&text, later(now, SOON));
                            return None;
                        }
                    }
                    self.say(
                        Level::Warn,
                        &name,
                        "the clock was set back by more than a day: it counts from now on",
                    );
                }
            }
        }
    }

    /// Leaves missed moments out; returns whether the job is to be considered again.
    fn skip(
        &mut self,
        path: &PathBuf,
        entry: &Entry,
        last: Timestamp,
        missed: u64,
        now: Timestamp,
    ) -> bool {
        let text = path.display().to_string();
        let Some(name) = self.jobs.get(path).map(|known| known.name.clone()) else { return false };
        let Some(hold) = self.hold(&text, &name, now) else { return false };
        let why = due_words(missed);
        let skipped = Execution {
            ended: Some(now),
            outcome: Some(Outcome::Skipped),
            error: Some(format!("{why} missed, and left out by catch_up = \"skip\"")),
            ..self.execution(path, &name, Some(last), 1, now)
        };
        let to = Entry { handled: last, ..entry.clone() };
        match self.book.skip(&skipped, entry, &to) {
            Ok(Begun::Run(run)) => {
                let skipped = Execution { run, ..skipped };
                self.tell_of(&skipped, Level::Warn, &format!("left out: {why} missed"));
                self.board.count(&skipped);
                if let Some(known) = self.jobs.get_mut(path) {
                    known.last = Some(skipped);
                }
                self.stands(&text, to);
            }
            Ok(Begun::Stale(now_at)) => self.stands(&text, now_at),
            Err(error) => {
                self.trouble(&name, "cannot go on", &told(&error));
                self.later(&text, later(now, SOON));
                return false;
            }
        }
        drop(hold);
        true
    }

    /// Begins what is due of a job: writes it down, and only then begins it.
    fn begin(&mut self, path: &PathBuf, now: Timestamp) {
        let text = path.display().to_string();
        let Some(known) = self.jobs.get(path) else { return };
        let name = known.name.clone();
        let Some(hold) = self.hold(&text, &name, now) else { return };
        // What was read before the job was held may be over, and so may be what was decided.
        let Some(known) = self.jobs.get_mut(path) else { return };
        let (Ok(runbook), Some(entry)) = (known.what.clone(), known.entry.clone()) else { return };
        if entry.timing != runbook.job.timing.words() {
            // Another scheduler has read a newer text of it; so will this one.
            known.look_at = later(now, SOON);
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
        let to = Entry { handled, tries: Some(tries), ..entry.clone() };
        let execution = self.execution(path, &name, Some(tries.due), tries.attempt, now);
        match self.book.begin(&execution, Some((&entry, &to))) {
            Ok(Begun::Run(run)) => {
                self.trouble.remove(&name);
                let execution = Execution { run, ..execution };
                self.stands(&text, to);
                if let Some(known) = self.jobs.get_mut(path) {
                    known.seen = None;
                    known.look_at = Timestamp::MAX;
                    known.running = Some(execution.clone());
                }
                let order = Order { execution, runbook, missed };
                self.going.insert(order.execution.run.clone(), (order.clone(), hold));
                self.runner.start(order);
            }
            Ok(Begun::Stale(now_at)) => self.stands(&text, now_at),
            Err(error) => {
                self.trouble(&name, "cannot begin", &told(&error));
                self.later(&text, later(now, SOON));
            }
        }
    }

    /// Takes a job, once nobody else has it, and closes what was killed there.
    fn hold(&mut self, path: &str, name: &str, now: Timestamp) -> Option<Hold> {
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

    /// Writes down of a job that is held here that what seems to go on was killed. Returns whether there was nothing of that.
    fn bury(&mut self, path: &str, now: Timestamp) -> bool {
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
                outcome: Some(Outcome::Killed),
                error: Some("the scheduler, or the machine, was killed while it ran".into()),
                ..execution
            };
            self.close(&Order { execution: killed, runbook, missed: 0 });
        }
        had_none
    }

    /// Looks at what other processes do with the jobs, and finds those that were killed.
    fn see_others(&mut self) {
        let now = self.last_tick;
        let looked = self.book.version().and_then(|version| {
            let open = self.book.open_executions()?;
            let entries = if version == self.version { None } else { Some(self.book.jobs()?) };
            Ok((version, open, entries))
        });
        let (version, open, entries) = match looked {
            Ok(looked) => looked,
            Err(error) => return self.trouble("", "the state cannot be read", &told(&error)),
        };
        self.version = version;
        for (path, _, entry) in entries.into_iter().flatten() {
            if let Some(known) = self.jobs.get_mut(&PathBuf::from(&path))
                && known.entry.as_ref() != Some(&entry)
            {
                (known.entry, known.look_at) = (Some(entry), now);
                known.last = self.book.last(&path).unwrap_or_default();
                known.last_success = self.book.last_success(&path).unwrap_or_default();
            }
        }
        let others: Vec<_> =
            open.into_iter().filter(|open| !self.going.contains_key(&open.run)).collect();
        for (path, known) in &mut self.jobs {
            let here = known.running.as_ref().is_some_and(|run| self.going.contains_key(&run.run));
            if !here {
                known.running = others.iter().find(|open| open.path == *path).cloned();
            }
        }
        for other in others {
            let Some(known) = self.jobs.get(&other.path) else { continue };
            if known.what.is_ok()
                && !self.unwritten.iter().any(|(order, _)| order.execution.run == other.run)
            {
                let (path, name) = (other.path.display().to_string(), known.name.clone());
                // Whoever can take the job sees that nobody executes it.
                let _ = self.hold(&path, &name, now);
            }
        }
    }

    /// Takes what became of an execution.
    pub fn ended(&mut self, execution: Execution) {
        let Some((order, hold)) = self.going.remove(&execution.run) else { return };
        let ended = execution.ended.unwrap_or_else(|| moment(&self.clock));
        let execution = Execution { ended: Some(ended), ..execution };
        self.board.count(&execution);
        let order = Order { execution, ..order };
        if !self.close(&order) {
            // Held until it is written: for others it goes on.
            self.unwritten.push((order, hold));
        }
    }

    fn write_unwritten(&mut self) {
        for (order, hold) in std::mem::take(&mut self.unwritten) {
            if !self.close(&order) {
                self.unwritten.push((order, hold));
            }
        }
    }

    /// Writes the end of an execution down, and says what follows. Returns whether it could be written.
    fn close(&mut self, order: &Order) -> bool {
        let Order { execution, runbook, .. } = order;
        let ended = execution.ended.unwrap_or(self.last_tick);
        let Some(outcome) = execution.outcome else { return true };
        let result = (outcome, execution.exit_code);
        let is_due = execution.due.is_some();
        let is_told = is_due && runbook.job.on_failure != crate::lua::OnFailure::default();
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
            known.entry = entry.or(known.entry.take());
            known.look_at = ended.min(self.last_tick);
            known.running = None;
            if outcome == Outcome::Done {
                known.last_success = Some(ended);
            }
            known.last = Some(Execution { output: String::new(), ..execution.clone() });
        }
        self.tell_end(execution, verdict, ended);
        if verdict == Verdict::Failed && is_told {
            self.tell(execution.clone(), Arc::clone(runbook));
        }
        true
    }

    fn tell_end(&self, execution: &Execution, verdict: Verdict, ended: Timestamp) {
        let Some(outcome) = execution.outcome else { return };
        let level = match (outcome, verdict) {
            (Outcome::Done | Outcome::Skipped, _) => Level::Info,
            (Outcome::Interrupted, _) | (_, Verdict::Again(_)) => Level::Warn,
            _ => Level::Error,
        };
        let mut text = outcome.name().to_owned();
        if let Some(error) = execution.error.as_ref().filter(|error| **error != text) {
            text = format!("{text}: {error}");
        }
        if let Verdict::Again(at) = verdict {
            text.push_str("; it is tried again");
            if at > ended {
                let _ = write!(text, " at {at:.0}");
            }
        }
        self.tell_of(execution, level, &text);
    }

    fn tell_what_is_untold(&mut self) {
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

    /// Tells of a failure, unless another scheduler does so right now.
    fn tell(&mut self, execution: Execution, runbook: Arc<Runbook>) {
        let path = execution.path.display().to_string();
        if let Ok(Some(hold)) = self.holds.take(&path, &format!("tell-{}", execution.run)) {
            self.telling.insert(execution.run.clone(), hold);
            self.runner.tell(execution, runbook);
        }
    }

    /// Somebody was told of a failure, or could not be told however often it was tried.
    pub fn told(&mut self, run: &str) {
        if let Err(error) = self.book.told(run) {
            self.trouble(run, "cannot be written", &told(&error));
        }
        self.telling.remove(run);
    }

    /// Lets nothing more begin.
    pub fn end(&mut self) {
        self.is_ending = true;
        self.board.show(moment(&self.clock), &self.jobs, true);
    }

    /// Whether everything is over that must be waited for at the end.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.going.is_empty() && self.unwritten.is_empty() && self.telling.is_empty()
    }

    fn execution(
        &self,
        path: &std::path::Path,
        name: &str,
        due: Option<Timestamp>,
        attempt: u32,
        now: Timestamp,
    ) -> Execution {
        let mode = self.runner.mode().to_owned();
        Execution::begun(path.to_owned(), name.to_owned(), due, attempt, now, mode)
    }

    fn stands(&mut self, path: &str, entry: Entry) {
        let now = self.last_tick;
        if let Some(known) = self.jobs.get_mut(&PathBuf::from(path)) {
            known.entry = Some(entry);
            known.look_at = now;
        }
    }

    fn later(&mut self, path: &str, at: Timestamp) {
        if let Some(known) = self.jobs.get_mut(&PathBuf::from(path)) {
            known.look_at = at;
        }
    }

    fn say(&self, level: Level, job: &str, text: &str) {
        self.log.line(level, &Origin::job(job), text, &[]);
    }

    /// Says what cannot be done, once.
    fn trouble(&mut self, job: &str, what: &str, why: &str) {
        let text = format!("{what}: {why}");
        if self.trouble.get(job) == Some(&text) {
            return;
        }
        let origin = if job.is_empty() { Origin::default() } else { Origin::job(job) };
        self.log.line(Level::Error, &origin, &text, &[]);
        self.trouble.insert(job.to_owned(), text);
    }

    fn tell_of(&self, execution: &Execution, level: Level, text: &str) {
        self.log.line(level, &execution.origin(), text, &execution.fields());
    }
}

/// Now, by a clock.
pub(super) fn moment(clock: &Clock) -> Timestamp {
    Timestamp::from_millisecond(clock.milliseconds()).unwrap_or_default()
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// So many due moments, in words.
pub(super) fn due_words(missed: u64) -> String {
    match missed {
        1 => "1 due moment was".into(),
        due::MOST_COUNTED.. => format!("{} due moments or more were", due::MOST_COUNTED),
        n => format!("{n} due moments were"),
    }
}
