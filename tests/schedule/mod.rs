//! Scheduler: its rules with a simulated clock, and the program as a process.

mod cron;
mod discovery;
mod page;
mod program;
mod restarts;
mod signals;
mod year;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use iamlua::Mode;
use iamlua::clock::{Clock, ManualClock};
use iamlua::cron::Timing;
use iamlua::lua::{CatchUp, JobSpec, OnFailure};
use iamlua::schedule::job_set::{Listed, Runbook};
use iamlua::schedule::log::{Format, Level, Log};
use iamlua::schedule::record::{Execution, ExecutionOutcome};
use iamlua::schedule::scheduler::{Holds, Runner, Scheduler, Start};
use iamlua::schedule::store::Store;
use jiff::{SignedDuration, Timestamp};

/// Job with that timing, without retries.
fn job(timing: Timing) -> JobSpec {
    JobSpec {
        timing,
        jitter: Duration::ZERO,
        catch_up: CatchUp::Once,
        retries: 0,
        retry_delay: Duration::from_mins(1),
        on_failure: OnFailure::default(),
    }
}

fn listed(name: &str, job: JobSpec) -> Listed {
    let path = PathBuf::from(format!("/jobs/{name}.lua"));
    let runbook = Runbook { description: None, job };
    Listed { path, name: name.to_owned(), what: Ok(Arc::new(runbook)) }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

/// Runner that records executions, and runs nothing.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<Start>>>);

impl Runner for Notes {
    fn start(&mut self, start: Start) {
        self.0.lock().expect("nobody panicked").push(start);
    }

    fn mode(&self) -> Mode {
        Mode::Apply
    }

    fn tell(&mut self, _: Execution, _: Arc<Runbook>) {}
}

/// Scheduler with a simulated clock that jumps from event to event.
struct Simulation {
    clock: ManualClock,
    scheduler: Scheduler<Notes>,
    notes: Notes,
    /// Running executions, by the time of their end.
    going: BTreeMap<(Timestamp, String), (Execution, ExecutionOutcome)>,
}

impl Simulation {
    fn new(
        clock: &ManualClock,
        store: Store,
        holds: Holds,
        jobs: Vec<Listed>,
        look: Option<SignedDuration>,
    ) -> Self {
        let log = Log::new(Format::Text, Level::Error, Box::new(io::sink()));
        let notes = Notes::default();
        let place = Clock::Manual(clock.clone());
        let mut scheduler = Scheduler::new(place, store, holds, log, notes.clone(), 1000);
        if let Some(look) = look {
            scheduler = scheduler.looking_every(look);
        }
        scheduler.take_over(jobs);
        Self { clock: clock.clone(), scheduler, notes, going: BTreeMap::new() }
    }

    fn now(&self) -> Timestamp {
        let now = Clock::Manual(self.clock.clone()).milliseconds();
        Timestamp::from_millisecond(now).expect("a moment")
    }

    /// Runs a tick; returns the executions that were started, and the time of the next tick.
    fn turn(&mut self) -> (Vec<Start>, Timestamp) {
        let wake = self.scheduler.tick();
        let begun = std::mem::take(&mut *self.notes.0.lock().expect("nobody panicked"));
        (begun, wake)
    }

    /// Time of the next event, if the next tick is at `wake`.
    fn next(&self, wake: Timestamp) -> Timestamp {
        self.going.keys().next().map_or(wake, |(ends, _)| wake.min(*ends))
    }

    fn ends(&mut self, start: &Start, after: Duration, outcome: ExecutionOutcome) {
        let at = self.now() + after;
        let execution = start.execution.clone();
        self.going.insert((at, execution.run.clone()), (execution, outcome));
    }

    /// Sets the clock to that time, and ends the executions that end until then.
    fn go_to(&mut self, at: Timestamp) {
        let by = Duration::try_from(at - self.now()).unwrap_or_default();
        self.clock.advance(by);
        while let Some(first) = self.going.first_entry()
            && first.key().0 <= at
        {
            let (execution, outcome) = first.remove();
            let exit_code = Some(u8::from(outcome != ExecutionOutcome::Done));
            self.scheduler.ended(Execution {
                ended: Some(at),
                outcome: Some(outcome),
                exit_code,
                ..execution
            });
        }
    }
}
