//! Execution of one job: a thread with its own VM, output to the log, and the outcome. The decision
//! to run it is made elsewhere.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::job_set::{one_line, wait_until_settled};
use super::log::{Level, Log, LogOrigin, Stream};
use super::record::{Execution, ExecutionOutcome};
use super::recovery;
use super::scheduler::{Start, due_text};
use crate::app::plan_text;
use crate::app::run::{self, RunEnv, RunOutcome, RunSettings, Running};
use crate::app::script::{Loaded, Script};
use crate::aws::client::Connection;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::files::read_set::ReadSet;
use crate::lua::Output;
use crate::lua::cancel::{Canceller, Stop};
use crate::session::journal::RunStatus;
use crate::session::plan::Plan;
use crate::session::{Gate, Mode, Notices, Session, SessionConfig};
use crate::ui::{format, terminal};

/// Bytes of output of an execution that are kept: the end of it.
const KEPT_OUTPUT: usize = 64 << 10;

/// Time limit for resolving the account's name before an execution, which then starts without it.
/// The timeout of the execution is separate.
const ACCOUNT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time that an execution has to stop after its timeout, before its thread is abandoned.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Time to wait for its write calls in flight.
const WRITE_TIMEOUT: Duration = Duration::from_secs(90);

/// Callback for an execution that was abandoned.
type Abandoned = Arc<dyn Fn(Execution) + Send + Sync>;

/// Configuration of executions, from the command line and the configuration file.
pub struct RunConfig {
    /// Mode, limits and permissions.
    pub options: RunSettings,
    /// Connection to the account.
    pub connection: Connection,
    /// Description of the account, once it was reached.
    account: Mutex<Option<String>>,
}

impl RunConfig {
    /// Creates the configuration from these options.
    #[must_use]
    pub fn new(options: RunSettings) -> Self {
        let connection = options.against.connection();
        Self { options, connection, account: Mutex::default() }
    }
}

/// Executor of jobs. Clones share state.
#[derive(Clone)]
pub struct Executor(Arc<Inside>, OutputMode);

/// Destination of the output of a runbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutputMode {
    /// The log, line by line.
    InLog,
    /// Standard output and standard error, as with `iamlua run`.
    AsRun,
}

struct Inside {
    runtime: Handle,
    log: Log,
    /// State folder, with the journal.
    folder: PathBuf,
    under_way: Mutex<Active>,
    /// Set once no more executions may start.
    ending: watch::Sender<bool>,
    /// Runs whose outcome is unknown and that were reported already.
    unclear: Mutex<BTreeSet<String>>,
}

#[derive(Default)]
struct Active {
    is_ending: bool,
    running: HashMap<String, Running>,
}

impl Executor {
    /// Creates an executor that settles changes in doubt with the journal in that folder.
    #[must_use]
    pub fn new(runtime: Handle, log: Log, folder: PathBuf) -> Self {
        let (under_way, unclear) = (Mutex::default(), Mutex::default());
        let ending = watch::Sender::new(false);
        Self(
            Arc::new(Inside { runtime, log, folder, under_way, ending, unclear }),
            OutputMode::InLog,
        )
    }

    /// Sends the output of runbooks to standard output and standard error.
    #[must_use]
    pub fn shown_as_run(self) -> Self {
        Self(self.0, OutputMode::AsRun)
    }

    /// Executes on a new thread, which passes the result to `ended`.
    pub fn start(
        &self,
        config: Arc<RunConfig>,
        start: Start,
        ended: impl FnOnce(Execution) + Send + 'static,
    ) {
        let executor = self.clone();
        let thread = std::thread::Builder::new().name("iamlua-job".into());
        let (ended, failed) = (Arc::new(Mutex::new(Some(ended))), start.execution.clone());
        let tell = Arc::clone(&ended);
        let begun = thread.spawn(move || {
            let tell_once = move |execution| {
                if let Some(ended) = locked(&tell).take() {
                    ended(execution);
                }
            };
            let tell_once = Arc::new(tell_once);
            let abandoned: Abandoned = tell_once.clone();
            let execution = executor.execute_unless(&config, &start, Some(&abandoned));
            tell_once(execution);
        });
        if let Err(error) = begun {
            let error = Error::io("cannot start a thread for it", error);
            if let Some(ended) = locked(&ended).take() {
                ended(with_result(failed, Err(error)));
            }
        }
    }

    /// Executes on the current thread.
    #[must_use]
    pub fn execute(&self, config: &RunConfig, start: &Start) -> Execution {
        self.execute_unless(config, start, None)
    }

    /// Executes on the current thread. An execution that does not stop after its timeout is
    /// abandoned, so that its job can continue: its thread and memory are lost until the process
    /// ends. `abandoned` receives its record.
    fn execute_unless(
        &self,
        config: &RunConfig,
        start: &Start,
        abandoned: Option<&Abandoned>,
    ) -> Execution {
        let run = start.execution.run.clone();
        let mut execution = start.execution.clone();
        // A panic must not stop the other executions.
        let result = catch_unwind(AssertUnwindSafe(|| {
            self.attempt(config, start, &mut execution, abandoned)
        }))
        .unwrap_or_else(|_| Err(Error::new(Kind::Bug, "the execution panicked")));
        locked(&self.0.under_way).running.remove(&run);
        with_result(execution, result)
    }

    /// Stops all executions, and starts no more.
    pub fn stop(&self) {
        let mut under_way = locked(&self.0.under_way);
        under_way.is_ending = true;
        self.0.ending.send_replace(true);
        for running in under_way.running.values() {
            running.stop(Stop::Interrupted);
        }
    }

    fn attempt(
        &self,
        config: &RunConfig,
        start: &Start,
        execution: &mut Execution,
        abandoned: Option<&Abandoned>,
    ) -> Result<u8> {
        let (runtime, log) = (&self.0.runtime, &self.0.log);
        let _entered = runtime.enter();
        wait_until_settled(&execution.path);
        let loaded = Loaded::read(&Script::File(execution.path.clone()))?;
        let mut rules = config.options.rules.clone();
        let about = &mut rules.about;
        (about.command, about.run) = ("schedule".into(), Some(execution.run.clone()));
        execution.account = self.account(config, &rules);
        let origin = execution.origin();
        let text = match start.missed {
            0 => "begins".to_owned(),
            missed => format!("begins, late: {} missed", due_text(missed)),
        };
        if self.1 == OutputMode::InLog {
            log.line(Level::Info, &origin, &text, &execution.fields());
        }
        let tell = (log.clone(), origin.clone());
        rules.tell = Notices::to(move |text| tell.0.line(Level::Warn, &tell.1, text, &[]));
        self.settle(config, &loaded.path(), &rules, &origin)?;
        let tail = Tail::default();
        let options = RunSettings { rules, ..config.options.clone() };
        let around = RunEnv {
            runtime: runtime.clone(),
            connection: config.connection.clone(),
            canceller: Canceller::default(),
            output: self.output(&origin, &tail),
            confirm: Box::new(|_| None),
            width: None,
            has_input: false,
            seen: ReadSet::default(),
            log: self.messages(&origin, &tail),
            clock: Clock::Real,
            functions: Vec::new(),
        };
        let run_id = execution.run.clone();
        let left = abandoned.map(|abandoned| (Arc::clone(abandoned), execution.clone()));
        let began = |running: Running| {
            if let Some((abandoned, execution)) = left {
                self.abandon_when_overdue(&running, abandoned, execution);
            }
            let mut under_way = locked(&self.0.under_way);
            if under_way.is_ending {
                running.stop(Stop::Interrupted);
            }
            under_way.running.insert(run_id, running);
            Ok(())
        };
        let executed = run::execute(loaded, &[], &options, around, began)?;
        let is_plan = executed.session.mode() == Mode::Plan;
        let plan = is_plan.then(|| executed.plan()).filter(|plan| !plan.is_empty());
        note(execution, &executed, plan.as_ref(), &tail);
        if let Some(plan) = &plan {
            match self.1 {
                OutputMode::InLog => log.line(Level::Info, &origin, run::PLAN_ONLY, &[]),
                OutputMode::AsRun => {
                    run::print_plan(plan, &options.planning, options.format)?;
                    terminal::say(run::PLAN_ONLY);
                }
            }
        }
        executed.result
    }

    /// Abandons an execution that does not stop after its timeout.
    fn abandon_when_overdue(&self, running: &Running, abandoned: Abandoned, execution: Execution) {
        let runtime = self.0.runtime.clone();
        running.when_overdue(STOP_TIMEOUT, move |late| {
            let began = Instant::now();
            while late.writes_in_flight() > 0 && began.elapsed() < WRITE_TIMEOUT {
                std::thread::sleep(Duration::from_millis(100));
            }
            let session = late.session();
            let error = Error::new(
                Kind::Timeout,
                "its time is over and it does not stop: it was left behind, and lives on in this process",
            );
            // The record up to now; the session accepts no more calls.
            let _ = runtime.block_on(session.end(RunStatus::Timeout, Some(error.to_string())));
            let mut execution = execution.clone();
            execution.changes = session.changes();
            execution.failed = session.failed() + session.in_doubt();
            (execution.calls, execution.throttled) = (session.calls(), session.throttled());
            abandoned(with_result(execution, Err(error)));
        });
    }

    /// Output streams of a runbook.
    fn output(&self, origin: &LogOrigin, tail: &Tail) -> Output {
        let (out, err): (Box<dyn Write>, Box<dyn Write>) = match self.1 {
            OutputMode::InLog => {
                let to = |stream| self.0.log.writer(Level::Info, origin.clone(), stream);
                let both = |stream| Box::new(Both(to(stream), tail.clone()));
                (both(Stream::Out), both(Stream::Err))
            }
            OutputMode::AsRun => (
                Box::new(Both(io::stdout(), tail.clone())),
                Box::new(Both(io::stderr(), tail.clone())),
            ),
        };
        Output::new(out, err)
    }

    /// Receiver of the messages of `log`; `None` if they are printed.
    fn messages(&self, origin: &LogOrigin, tail: &Tail) -> Option<crate::lua::Log> {
        if self.1 == OutputMode::AsRun {
            return None;
        }
        let (log, origin, tail) = (self.0.log.clone(), origin.clone(), tail.clone());
        Some(Box::new(move |level, text, fields| {
            let mut line = format!("{level}: {text}");
            for (name, value) in &fields {
                let _ = std::fmt::Write::write_fmt(&mut line, format_args!(" {name}={value}"));
            }
            tail.push(format!("{line}\n").as_bytes());
            let level = Level::from_name(level).unwrap_or(Level::Info);
            log.line(level, &origin, text, &fields);
        }))
    }

    /// Description of the account; `None` if it is unreachable. The first call of the run then
    /// reports the error.
    fn account(&self, config: &RunConfig, rules: &SessionConfig) -> Option<String> {
        let known = locked(&config.account).clone();
        if known.is_some() {
            return known;
        }
        let about = SessionConfig { mode: Mode::ReadOnly, ..rules.clone() };
        let gate = Gate::new(Session::with(about), config.connection.clone());
        let site = self.wait(async {
            let late = |_| Error::new(Kind::Timeout, "the account does not answer");
            tokio::time::timeout(ACCOUNT_TIMEOUT, gate.site()).await.map_err(late)?
        });
        let found = site.ok().map(|site| site.describe())?;
        *locked(&config.account) = Some(found.clone());
        Some(found)
    }

    /// Waits for preparatory work, unless the executor is stopped.
    fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut ending = self.0.ending.subscribe();
        self.0.runtime.block_on(async {
            tokio::select! {
                done = work => done,
                _ = ending.wait_for(|ending| *ending) => {
                    Err(Error::new(Kind::Interrupted, "interrupted"))
                }
            }
        })
    }

    /// Settles the changes that earlier runs of the runbook left in doubt.
    fn settle(
        &self,
        config: &RunConfig,
        script: &str,
        rules: &SessionConfig,
        origin: &LogOrigin,
    ) -> Result<()> {
        let unclear = locked(&self.0.unclear).clone();
        let rules = SessionConfig { mode: Mode::ReadOnly, ..rules.clone() };
        let settling =
            recovery::settle(&self.0.folder, script, &config.connection, rules, &unclear);
        let found = self.wait(settling).map_err(|error| {
            let kind = error.kind;
            if kind == Kind::Interrupted {
                return error;
            }
            let error = one_line(&error);
            Error::new(
                kind,
                format!("what an earlier run left in doubt cannot be settled: {error}"),
            )
        })?;
        for settled in found {
            let level = if settled.is_clear { Level::Info } else { Level::Warn };
            self.0.log.line(
                level,
                origin,
                &settled.text,
                &[("earlier".into(), settled.run.clone().into())],
            );
            if !settled.is_clear {
                locked(&self.0.unclear).insert(settled.run);
            }
        }
        Ok(())
    }
}

/// Records the counts, the output and the error of an execution.
fn note(execution: &mut Execution, executed: &RunOutcome, plan: Option<&Plan>, tail: &Tail) {
    let session = &executed.session;
    execution.changes = session.made();
    execution.failed = session.failed() + session.in_doubt();
    (execution.calls, execution.throttled) = (session.calls(), session.throttled());
    let mut output = tail.text();
    if let Some(plan) = plan {
        if !output.is_empty() && !output.ends_with('\n') {
            output.push('\n');
        }
        // The stored output has no colours.
        let plan = anstream::adapter::strip_str(&plan_text::plan(plan, false)).to_string();
        output.push_str(&end_of(plan));
        output = end_of(output);
    }
    execution.output = session.journal().without_secrets(&output);
    if let Err(error) = &executed.result {
        execution.error = Some(session.journal().without_secrets(&one_line(error)));
    }
}

fn with_result(execution: Execution, result: Result<u8>) -> Execution {
    let (outcome, exit_code, error) = match result {
        Ok(0) => (ExecutionOutcome::Done, 0, None),
        Ok(code) => {
            (ExecutionOutcome::Failed, code, Some(format!("it ended with exit code {code}")))
        }
        Err(error) => {
            let outcome = match error.kind {
                Kind::Refused | Kind::Protected | Kind::Permission => ExecutionOutcome::Refused,
                Kind::Timeout => ExecutionOutcome::Timeout,
                Kind::Interrupted => ExecutionOutcome::Interrupted,
                _ => ExecutionOutcome::Failed,
            };
            (outcome, error.kind.exit_code(), Some(one_line(&error)))
        }
    };
    let error = execution.error.clone().or(error);
    Execution { outcome: Some(outcome), exit_code: Some(exit_code), error, ..execution }
}

/// Last part of the output of an execution.
#[derive(Clone, Default)]
struct Tail(Arc<Mutex<(Vec<u8>, u64)>>);

impl Tail {
    fn push(&self, bytes: &[u8]) {
        let (kept, lost) = &mut *locked(&self.0);
        kept.extend_from_slice(bytes);
        if kept.len() > 2 * KEPT_OUTPUT {
            let over = kept.len() - KEPT_OUTPUT;
            kept.drain(..over);
            *lost += over as u64;
        }
    }

    fn text(&self) -> String {
        let (kept, lost) = &*locked(&self.0);
        let over = kept.len().saturating_sub(KEPT_OUTPUT);
        let text = String::from_utf8_lossy(&kept[over..]).into_owned();
        match lost + over as u64 {
            0 => text,
            lost => format!("… ({} bytes before this)\n{text}", format::number(lost)),
        }
    }
}

/// Last [`KEPT_OUTPUT`] bytes of a text.
fn end_of(text: String) -> String {
    if text.len() <= KEPT_OUTPUT {
        return text;
    }
    let mut from = text.len() - KEPT_OUTPUT;
    while !text.is_char_boundary(from) {
        from += 1;
    }
    format!("… ({} bytes before this)\n{}", format::number(from as u64), &text[from..])
}

/// Writer to a stream and to the kept output.
struct Both<W>(W, Tail);

impl<W: Write> Write for Both<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.push(bytes);
        self.0.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
