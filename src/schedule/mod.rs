//! The scheduler: runbooks that run themselves, at the moments that their manifests name. This is its loop; what is decided in it is decided in
//! `due`, what is done about that in `scheduler`.

pub mod board;
pub mod book;
pub mod due;
pub mod failure;
pub mod hold;
pub mod listing;
pub mod log;
mod lookout;
pub mod quota;
pub mod record;
pub mod roster;
pub mod scheduler;
mod settling;
pub mod showing;
pub mod single;
pub mod status;
pub mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use board::LiveStatus;
use book::Store;
use log::{Level, Log, Origin};
use lookout::Reloader;
use record::Execution;
use roster::{Asking, JobSet, Listed, Runbook, told};
use scheduler::{Holds, Runner, Scheduler, Start};
use worker::{Executor, RunConfig};

use crate::app::run;
use crate::app::run::RunSettings;
use crate::app::signals::{self, Heard};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::ui::{format, terminal};

/// However long nothing happens on the scheduler's own clock: so long it sleeps at most, because the machine's clock may be set meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// So long is waited at the end for what goes on in the background to be given up.
const LAST: Duration = Duration::from_secs(1);

/// Shows others what the scheduler does, for as long as the process lives; returns an error if it cannot.
pub type Show = Box<dyn Fn(&LiveStatus, &Handle, &Log) -> Result<()>>;

/// What a scheduler is started with.
pub struct Settings {
    /// The runbooks, and the folders with runbooks.
    pub paths: Vec<PathBuf>,
    /// How many executions may go on at once.
    pub places: usize,
    /// How long those that go on may take to end, once the scheduler is told to.
    pub grace: Duration,
    /// How they run.
    pub options: RunSettings,
    /// Finds out anew how they run.
    pub reread: Box<dyn Fn() -> Result<RunSettings>>,
    /// The state folder.
    pub folder: PathBuf,
    /// Where it says what it does.
    pub log: Log,
    /// Shows others what the scheduler does.
    pub show: Show,
}

/// What the loop hears.
enum Event {
    Ended(Box<Execution>),
    Told(String),
    Jobs(Vec<Listed>),
    Signal(Heard),
}

/// What carries executions out for the loop.
struct ThreadRunner {
    manner: Arc<RunConfig>,
    workshop: Executor,
    events: Sender<Event>,
    runtime: Handle,
    log: Log,
}

impl Runner for ThreadRunner {
    fn start(&mut self, order: Start) {
        let events = self.events.clone();
        self.workshop.start(Arc::clone(&self.manner), order, move |execution| {
            // Without a loop the process has ended.
            let _ = events.send(Event::Ended(Box::new(execution)));
        });
    }

    fn mode(&self) -> &'static str {
        self.manner.options.rules.mode.name()
    }

    fn tell(&mut self, execution: Execution, runbook: Arc<Runbook>) {
        let (events, log) = (self.events.clone(), self.log.clone());
        self.runtime.spawn(async move {
            let whom = &runbook.job.on_failure;
            // Who cannot be told after all tries is not told at the next start either: that is in the log.
            failure::tell(whom, &execution, &log, &failure::PAUSES).await;
            let _ = events.send(Event::Told(execution.run));
        });
    }
}

/// Schedules until it is told to end.
///
/// # Errors
/// If it cannot begin, or what runs does not end in time.
pub fn run(settings: &Settings) -> Result<u8> {
    let runtime = run::runtime()?;
    let (events, heard) = channel();
    let log = settings.log.clone();
    // What other parts say for people is a line of the log too.
    let (said, says) = channel::<String>();
    let to_log = log.clone();
    let listens = move || {
        for text in says {
            to_log.line(Level::Info, &Origin::default(), text.trim_end(), &[]);
        }
    };
    std::thread::Builder::new()
        .name("iamlua-notes".into())
        .spawn(listens)
        .map_err(|error| Error::io("cannot start a thread", error))?;
    let handle = runtime.handle().clone();
    let result = terminal::while_typing(&said, || work(settings, &handle, events, &heard));
    // Programs that are being told of a failure are killed with what they have started; they are told anew at the next start.
    runtime.shutdown_timeout(LAST);
    if result.is_ok() {
        log.line(Level::Info, &Origin::default(), "ended", &[]);
    }
    result
}

fn work(
    settings: &Settings,
    runtime: &Handle,
    events: Sender<Event>,
    heard: &Receiver<Event>,
) -> Result<u8> {
    let log = &settings.log;
    let book = Store::open(&settings.folder)?;
    let asking = Asking {
        permissions: settings.options.permissions.clone(),
        is_planned: settings.options.rules.plans_outside(),
        runtime: runtime.clone(),
    };
    let mut roster = JobSet::new(&settings.paths)?.waiting(roster::SHORT);
    roster.look(&asking, Duration::ZERO);
    // One that does not come to its manifest holds no job up.
    while roster.is_asking() && roster.jobs().iter().all(|job| job.what.is_err()) {
        roster.look(&asking, Duration::ZERO);
    }
    let jobs = roster.jobs();
    if jobs.iter().all(|job| job.what.is_err()) {
        return Err(no_job(&settings.paths, &jobs));
    }
    let broken = jobs.iter().filter(|job| job.what.is_err()).count();
    let mode = settings.options.rules.mode.name();
    let text = format!(
        "iamlua {} schedules {}",
        env!("CARGO_PKG_VERSION"),
        format::count((jobs.len() - broken) as u64, "job")
    );
    let mut fields = vec![("mode".to_owned(), mode.into())];
    if broken > 0 {
        fields.push(("broken".into(), broken.into()));
    }
    log.line(Level::Info, &Origin::default(), &text, &fields);
    let workshop = Executor::new(runtime.clone(), log.clone(), settings.folder.clone());
    let crew = ThreadRunner {
        manner: Arc::new(RunConfig::new(settings.options.clone())),
        workshop: workshop.clone(),
        events: events.clone(),
        runtime: runtime.clone(),
        log: log.clone(),
    };
    let holds = Holds::Folder(settings.folder.clone());
    let mut scheduler =
        Scheduler::new(Clock::Real, book, holds, log.clone(), crew, settings.places);
    (settings.show)(scheduler.board(), runtime, log)?;
    let to_loop = events.clone();
    signals::tell_each_signal(move |signal| {
        let _ = to_loop.send(Event::Signal(signal));
    })?;
    scheduler.take_over(jobs);
    let paths = roster.paths().to_vec();
    let lookout = Reloader::start(paths, roster, asking.clone(), move |jobs| {
        let _ = events.send(Event::Jobs(jobs));
    })?;
    let mut deadline = None;
    loop {
        let wake = scheduler.tick();
        if deadline.is_some() && scheduler.is_idle() {
            return Ok(0);
        }
        let mut sleep = until(wake);
        if let Some(deadline) = deadline {
            sleep = sleep.min(Instant::saturating_duration_since(&deadline, Instant::now()));
        }
        let mut event = heard.recv_timeout(sleep);
        if deadline.is_some_and(|deadline| deadline <= Instant::now())
            && matches!(event, Err(RecvTimeoutError::Timeout))
        {
            return over(&scheduler, settings.grace);
        }
        // Whatever else came meanwhile, before it is decided again what is to be done.
        while let Ok(event_now) = event {
            match event_now {
                Event::Ended(execution) => scheduler.ended(*execution),
                Event::Told(run) => scheduler.told(&run),
                Event::Jobs(jobs) => scheduler.take_over(jobs),
                Event::Signal(Heard::Reread) => {
                    reread(settings, &mut scheduler, &lookout, &asking);
                }
                Event::Signal(Heard::End) => {
                    scheduler.end();
                    workshop.stop();
                    deadline = Some(Instant::now() + settings.grace);
                    let going = scheduler.going() as u64;
                    let text = match going {
                        0 => "told to end".to_owned(),
                        n => format!(
                            "told to end: {} being stopped, calls in flight are finished; again to end at once",
                            if n == 1 {
                                "1 execution is".into()
                            } else {
                                format!("{n} executions are")
                            }
                        ),
                    };
                    log.line(Level::Info, &Origin::default(), &text, &[]);
                }
            }
            event = heard.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
    }
}

/// Error for paths at which there is nothing to schedule.
fn no_job(paths: &[PathBuf], found: &[Listed]) -> Error {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    let paths = paths.join(", ");
    if found.is_empty() {
        return Error::usage(format!("there is no job in {paths}"))
            .hint("a job is a runbook with `schedule` or `every` in its manifest");
    }
    let broken = found.iter().filter_map(|job| Some((&job.name, job.what.as_ref().err()?)));
    let error = Error::usage(format!("every job in {paths} is broken"));
    broken.fold(error, |error, (name, why)| error.hint(format!("{name}: {why}")))
}

/// How long it is until a moment, on the machine's clock.
fn until(wake: jiff::Timestamp) -> Duration {
    let left = wake.duration_since(jiff::Timestamp::now());
    // Not a millisecond too early, for which it would turn round.
    let left = Duration::try_from(left).unwrap_or_default();
    left.min(LONGEST_SLEEP)
}

fn over(scheduler: &Scheduler<ThreadRunner>, grace: Duration) -> Result<u8> {
    let unwritten = scheduler.unwritten() as u64;
    if scheduler.going() == 0 && unwritten > 0 {
        let ends = format::count(unwritten, "execution");
        return Err(Error::new(Kind::State, format!("the end of {ends} could not be written"))
            .hint("the next start takes what has no end for killed, and runs it again"));
    }
    if scheduler.going() == 0 {
        // Whoever was not told of a failure yet is told at the next start.
        return Ok(0);
    }
    let going = format::count(scheduler.going() as u64, "execution");
    let grace = crate::cron::spelled(grace);
    Err(Error::new(Kind::Timeout, format!("{going} did not end within {grace}"))
        .hint("the next start settles what they left in doubt, and so does `iamlua runs recover`"))
}

/// Takes the configuration and all runbooks over anew.
fn reread(
    settings: &Settings,
    scheduler: &mut Scheduler<ThreadRunner>,
    lookout: &Reloader,
    asking: &Asking,
) {
    let log = &settings.log;
    let options = match (settings.reread)() {
        Ok(options) => options,
        Err(error) => {
            let text = format!("cannot be read anew, so all stays as it is: {}", told(&error));
            log.line(Level::Error, &Origin::default(), &text, &[]);
            return;
        }
    };
    log.line(Level::Info, &Origin::default(), "told to read anew", &[]);
    let rates = scheduler.runner().manner.options.rules.rates.clone();
    let rules = crate::session::SessionConfig { rates, ..options.rules.clone() };
    let options = RunSettings { rules, ..options };
    let asking = Asking {
        permissions: options.permissions.clone(),
        is_planned: options.rules.plans_outside(),
        ..asking.clone()
    };
    scheduler.runner().manner = Arc::new(RunConfig::new(options));
    lookout.reread(asking);
}
