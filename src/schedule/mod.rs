//! Scheduler: runs runbooks on the schedules in their manifests. This file has its event loop;
//! `due` has the rules, `scheduler` applies them.

pub mod due;
pub mod executor;
pub mod failure;
pub mod job_lock;
pub mod job_set;
pub mod listing;
pub mod live_status;
pub mod log;
pub mod quota;
pub mod record;
mod recovery;
mod reloader;
pub mod run_now;
pub mod scheduler;
pub mod serving;
pub mod status;
pub mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use executor::{Executor, RunConfig};
use job_set::{Asking, JobSet, Listed, Runbook, one_line};
use live_status::LiveStatus;
use log::{Level, Log, LogOrigin};
use record::Execution;
use reloader::Reloader;
use scheduler::{Holds, Runner, Scheduler, Start};
use store::Store;

use crate::app::run;
use crate::app::run::RunSettings;
use crate::app::signals::{self, Heard};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::session::Mode;
use crate::ui::{format, terminal};

/// Upper bound on one sleep, so that a change of the system clock is noticed.
const MAX_SLEEP: Duration = Duration::from_secs(30);

/// Time to wait at the end for background tasks.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Starter of a status display, such as the status page.
pub type Show = Box<dyn Fn(&LiveStatus, &Handle, &Log) -> Result<()>>;

/// Settings of a scheduler.
pub struct Settings {
    /// Runbooks, and folders with runbooks.
    pub paths: Vec<PathBuf>,
    /// Upper bound on concurrent executions.
    pub places: usize,
    /// Time that running executions have to end at shutdown.
    pub grace: Duration,
    /// Settings of the executions.
    pub options: RunSettings,
    /// Reads the settings of the executions again.
    pub reread: Box<dyn Fn() -> Result<RunSettings>>,
    /// State folder.
    pub folder: PathBuf,
    /// Log of the scheduler.
    pub log: Log,
    /// Starter of the status display.
    pub show: Show,
}

/// Event for the loop.
enum ScheduleEvent {
    Ended(Box<Execution>),
    Notified(String),
    Jobs(Vec<Listed>),
    Signal(Heard),
}

/// Runner that executes jobs on threads.
struct ThreadRunner {
    config: Arc<RunConfig>,
    executor: Executor,
    events: Sender<ScheduleEvent>,
    runtime: Handle,
    log: Log,
}

impl Runner for ThreadRunner {
    fn start(&mut self, start: Start) {
        let events = self.events.clone();
        self.executor.start(Arc::clone(&self.config), start, move |execution| {
            // Without the loop the process is ending.
            let _ = events.send(ScheduleEvent::Ended(Box::new(execution)));
        });
    }

    fn mode(&self) -> Mode {
        self.config.options.rules.mode
    }

    fn tell(&mut self, execution: Execution, runbook: Arc<Runbook>) {
        let (events, log) = (self.events.clone(), self.log.clone());
        self.runtime.spawn(async move {
            let whom = &runbook.job.on_failure;
            // A notification that failed after all attempts is in the log, and is not repeated at
            // the next start.
            failure::tell(whom, &execution, &log, &failure::PAUSES).await;
            let _ = events.send(ScheduleEvent::Notified(execution.run));
        });
    }
}

/// Runs the scheduler until it is told to end.
///
/// # Errors
/// If it cannot start, or an execution does not end within the grace period.
pub fn run(settings: &Settings) -> Result<u8> {
    let runtime = run::runtime()?;
    let (events, heard) = channel();
    let log = settings.log.clone();
    // Notices of other modules go to the log too.
    let (said, says) = channel::<String>();
    let to_log = log.clone();
    let listens = move || {
        for text in says {
            let text = anstream::adapter::strip_str(text.trim_end()).to_string();
            to_log.line(Level::Info, &LogOrigin::default(), &text, &[]);
        }
    };
    std::thread::Builder::new()
        .name("iamlua-notes".into())
        .spawn(listens)
        .map_err(|error| Error::io("cannot start a thread", error))?;
    let handle = runtime.handle().clone();
    let result = terminal::while_typing(&said, || work(settings, &handle, events, &heard));
    // Notification programs are killed with their children. The next start sends these
    // notifications again.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    if result.is_ok() {
        log.line(Level::Info, &LogOrigin::default(), "ended", &[]);
    }
    result
}

fn work(
    settings: &Settings,
    runtime: &Handle,
    events: Sender<ScheduleEvent>,
    heard: &Receiver<ScheduleEvent>,
) -> Result<u8> {
    let log = &settings.log;
    let store = Store::open(&settings.folder)?;
    let manifest_settings = Asking {
        permissions: settings.options.permissions.clone(),
        is_planned: settings.options.rules.plans_outside(),
        runtime: runtime.clone(),
    };
    let mut job_set = JobSet::new(&settings.paths)?.waiting(job_set::SHORT_WAIT);
    job_set.look(&manifest_settings, Duration::ZERO);
    // A runbook that never reaches its manifest must not delay the others.
    while job_set.is_asking() && job_set.jobs().iter().all(|job| job.what.is_err()) {
        job_set.look(&manifest_settings, Duration::ZERO);
    }
    let jobs = job_set.jobs();
    if jobs.iter().all(|job| job.what.is_err()) {
        return Err(no_job(&settings.paths, &jobs));
    }
    let broken = jobs.iter().filter(|job| job.what.is_err()).count();
    let mode = settings.options.rules.mode;
    let text = format!(
        "iamlua {} schedules {}",
        env!("CARGO_PKG_VERSION"),
        format::count((jobs.len() - broken) as u64, "job")
    );
    let mut fields = vec![("mode".to_owned(), mode.name().into())];
    if broken > 0 {
        fields.push(("broken".into(), broken.into()));
    }
    log.line(Level::Info, &LogOrigin::default(), &text, &fields);
    let executor = Executor::new(runtime.clone(), log.clone(), settings.folder.clone());
    let runner = ThreadRunner {
        config: Arc::new(RunConfig::new(settings.options.clone())),
        executor: executor.clone(),
        events: events.clone(),
        runtime: runtime.clone(),
        log: log.clone(),
    };
    let holds = Holds::Folder(settings.folder.clone());
    let mut scheduler =
        Scheduler::new(Clock::Real, store, holds, log.clone(), runner, settings.places);
    (settings.show)(scheduler.live_status(), runtime, log)?;
    let to_loop = events.clone();
    signals::tell_each_signal(move |signal| {
        let _ = to_loop.send(ScheduleEvent::Signal(signal));
    })?;
    scheduler.take_over(jobs);
    let paths = job_set.paths().to_vec();
    let reloader = Reloader::start(paths, job_set, manifest_settings.clone(), move |jobs| {
        let _ = events.send(ScheduleEvent::Jobs(jobs));
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
        // Handles all waiting events before the next tick.
        while let Ok(event_now) = event {
            match event_now {
                ScheduleEvent::Ended(execution) => scheduler.ended(*execution),
                ScheduleEvent::Notified(run) => scheduler.notified(&run),
                ScheduleEvent::Jobs(jobs) => scheduler.take_over(jobs),
                ScheduleEvent::Signal(Heard::Reread) => {
                    reread(settings, &mut scheduler, &reloader, &manifest_settings);
                }
                ScheduleEvent::Signal(Heard::End) => {
                    scheduler.end();
                    executor.stop();
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
                    log.line(Level::Info, &LogOrigin::default(), &text, &[]);
                }
            }
            event = heard.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
    }
}

/// Error for paths without a job that can be scheduled.
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

/// Time from now until `wake`, by the system clock.
fn until(wake: jiff::Timestamp) -> Duration {
    let left = wake.duration_since(jiff::Timestamp::now());
    // Waking a millisecond early would only repeat the loop.
    let left = Duration::try_from(left).unwrap_or_default();
    left.min(MAX_SLEEP)
}

fn over(scheduler: &Scheduler<ThreadRunner>, grace: Duration) -> Result<u8> {
    let unwritten = scheduler.unwritten() as u64;
    if scheduler.going() == 0 && unwritten > 0 {
        let ends = format::count(unwritten, "execution");
        return Err(Error::new(Kind::State, format!("the end of {ends} could not be written"))
            .hint("the next start takes what has no end for killed, and runs it again"));
    }
    if scheduler.going() == 0 {
        // The next start sends the remaining notifications.
        return Ok(0);
    }
    let going = format::count(scheduler.going() as u64, "execution");
    let grace = crate::cron::spelled(grace);
    Err(Error::new(Kind::Timeout, format!("{going} did not end within {grace}"))
        .hint("the next start settles what they left in doubt, and so does `iamlua runs recover`"))
}

/// Reloads the configuration and all runbooks.
fn reread(
    settings: &Settings,
    scheduler: &mut Scheduler<ThreadRunner>,
    reloader: &Reloader,
    manifest_settings: &Asking,
) {
    let log = &settings.log;
    let options = match (settings.reread)() {
        Ok(options) => options,
        Err(error) => {
            let text = format!("cannot be read anew, so all stays as it is: {}", one_line(&error));
            log.line(Level::Error, &LogOrigin::default(), &text, &[]);
            return;
        }
    };
    log.line(Level::Info, &LogOrigin::default(), "told to read anew", &[]);
    let rates = scheduler.runner().config.options.rules.rates.clone();
    let rules = crate::session::SessionConfig { rates, ..options.rules.clone() };
    let options = RunSettings { rules, ..options };
    let manifest_settings = Asking {
        permissions: options.permissions.clone(),
        is_planned: options.rules.plans_outside(),
        ..manifest_settings.clone()
    };
    scheduler.runner().config = Arc::new(RunConfig::new(options));
    reloader.reread(manifest_settings);
}
