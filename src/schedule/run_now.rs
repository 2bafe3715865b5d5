//! Execution of one job on demand, in the foreground, whether or not it is due.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::due;
use super::executor::{Executor, RunConfig};
use super::failure;
use super::job_lock::JobLock;
use super::job_set::{Listed, Runbook};
use super::log::Log;
use super::record::{Execution, ExecutionOutcome};
use super::scheduler::Start;
use super::store::{Begun, Store};
use crate::app::run::{self, RunSettings};
use crate::app::signals;
use crate::cron::spelled;
use crate::error::{Error, Kind, Result};
use crate::lua::OnFailure;
use crate::spec;
use crate::ui::terminal::say;

/// Time to wait for another process that takes the lock of a job briefly, without executing it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Finds the job with that name or path.
///
/// # Errors
/// If there is none, or it is broken.
pub fn find<'a>(jobs: &'a [Listed], wanted: &str) -> Result<(&'a Listed, Arc<Runbook>)> {
    let path = std::path::absolute(wanted).unwrap_or_default();
    let mut found = jobs.iter().filter(|job| job.name == wanted || job.path == path);
    let Some(job) = found.next() else {
        let error = Error::usage(format!("there is no job {wanted:?}"));
        let names = jobs.iter().map(|job| job.name.as_str());
        return Err(match spec::nearest(wanted, names) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error
                .hint("`iamlua schedule --list` shows those that are known, and PATH names others"),
        });
    };
    match &job.what {
        Ok(runbook) => Ok((job, Arc::clone(runbook))),
        Err(why) => Err(Error::new(Kind::Script, format!("{} is broken: {why}", job.name))),
    }
}

/// Executes a job now, and records the execution. Returns its exit code.
///
/// With `retries`, a failure is retried as the manifest says. A final failure is notified, unless
/// it was interrupted.
///
/// # Errors
/// If the job is running elsewhere, or the state cannot be written.
pub fn run(
    job: &Listed,
    runbook: &Arc<Runbook>,
    options: RunSettings,
    folder: &Path,
    log: &Log,
    retries: bool,
) -> Result<u8> {
    let mut store = Store::open(folder)?;
    let path = job.path.display().to_string();
    let _lock = take_lock(folder, &path, job, &store)?;
    close_killed(&mut store, &path, runbook)?;
    let runtime = run::runtime()?;
    let executor =
        Executor::new(runtime.handle().clone(), log.clone(), folder.to_owned()).shown_as_run();
    let (stop, stopped) = channel();
    let running = executor.clone();
    signals::tell_on_signals(move || {
        running.stop();
        // Nothing receives after the last attempt.
        let _ = stop.send(());
        say("stopping: calls in flight are being finished; again to end at once");
    })?;
    let config = RunConfig::new(options);
    let mut attempt = 1;
    let (execution, notifies) = loop {
        let start = begin(&mut store, job, runbook, &config, attempt)?;
        let execution = executor.execute(&config, &start);
        let ended = Timestamp::now();
        let execution = Execution { ended: Some(ended), ..execution };
        let outcome = execution.outcome.unwrap_or(ExecutionOutcome::Failed);
        let result = (outcome, execution.exit_code);
        let delay = due::retry_delay(&runbook.job, attempt, outcome, execution.exit_code)
            .filter(|_| retries);
        let has_failed = !matches!(
            outcome,
            ExecutionOutcome::Done | ExecutionOutcome::Skipped | ExecutionOutcome::Interrupted
        );
        let notifies =
            has_failed && delay.is_none() && runbook.job.on_failure != OnFailure::default();
        store.end(&execution, notifies, |entry| {
            due::ended(&runbook.job, entry, false, result, ended)
        })?;
        print_end(&execution, outcome);
        let Some(delay) = delay else { break (execution, notifies) };
        say(&format!("{}: it is tried again in {}", job.name, spelled(delay)));
        if stopped.recv_timeout(delay).is_ok() {
            break (execution, false);
        }
        attempt += 1;
    };
    if notifies
        && let Some(_lock) = JobLock::take(folder, &path, &format!("tell-{}", execution.run))?
    {
        let notifying = failure::tell(&runbook.job.on_failure, &execution, log, &failure::PAUSES);
        runtime.block_on(notifying);
        store.mark_notified(&execution.run)?;
    }
    runtime.shutdown_background();
    Ok(execution.exit_code.unwrap_or(1))
}

/// Records the start of an execution without a due time.
fn begin(
    store: &mut Store,
    job: &Listed,
    runbook: &Arc<Runbook>,
    config: &RunConfig,
    attempt: u32,
) -> Result<Start> {
    let mode = config.options.rules.mode;
    let now = Timestamp::now();
    let execution = Execution::begun(job.path.clone(), job.name.clone(), None, attempt, now, mode);
    let Begun::Run(run) = store.begin(&execution, None)? else {
        return Err(Error::new(Kind::Bug, "an execution for a person depends on nothing"));
    };
    let execution = Execution { run, ..execution };
    Ok(Start { execution, runbook: Arc::clone(runbook), missed: 0 })
}

fn print_end(execution: &Execution, outcome: ExecutionOutcome) {
    if let Some(error) = &execution.error {
        say(&format!("error: {error}"));
    }
    let seconds = execution.seconds().unwrap_or_default();
    let changes = crate::ui::format::count(execution.changes, "change");
    say(&format!(
        "{}: {} in {}, {changes} (run {})",
        execution.job,
        outcome.name(),
        crate::ui::format::time(seconds),
        execution.run
    ));
}

fn take_lock(folder: &Path, path: &str, job: &Listed, store: &Store) -> Result<JobLock> {
    let began = Instant::now();
    loop {
        if let Some(lock) = JobLock::take(folder, path, "run")? {
            return Ok(lock);
        }
        if began.elapsed() > LOCK_TIMEOUT {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let open = store.open_executions()?.into_iter().find(|open| open.path == job.path);
    let since = open
        .map_or_else(String::new, |open| format!(" (run {}, since {:.0})", open.run, open.started));
    Err(Error::new(Kind::Refused, format!("{} is running elsewhere{since}", job.name))
        .hint("wait for its end; `iamlua schedule --list` shows it"))
}

/// Records open executions as killed. The scheduler retries their due times.
fn close_killed(store: &mut Store, path: &str, runbook: &Runbook) -> Result<()> {
    for open in store.open_executions()? {
        if open.path.as_os_str() != path {
            continue;
        }
        let now = Timestamp::now();
        let is_due = open.due.is_some();
        let killed = Execution {
            ended: Some(now),
            outcome: Some(ExecutionOutcome::Killed),
            error: Some("the scheduler, or the machine, was killed while it ran".into()),
            ..open
        };
        let notifies = is_due && runbook.job.on_failure != OnFailure::default();
        let result = (ExecutionOutcome::Killed, None);
        store
            .end(&killed, notifies, |entry| due::ended(&runbook.job, entry, is_due, result, now))?;
    }
    Ok(())
}
