//! One execution of one job: a thread with a VM of its own, what it prints on its way to the log, and what became of it. Whether and when it runs is
//! not decided here.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::job_set::{told, wait_until_settled};
use super::log::{Level, Log, Origin, Stream};
use super::record::{Execution, ExecutionOutcome};
use super::recovery;
use super::scheduler::{Start, due_words};
use crate::app::plan_text;
use crate::app::run::{self, RunEnv, RunOutcome, RunSettings, Running};
use crate::app::script::{Loaded, Script};
use crate::aws::client::Connection;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::files::read_set::ReadSet;
use crate::lua::Output;
use crate::lua::cancel::{Canceller, Stop};
use crate::session::plan::Plan;
use crate::session::{Gate, Mode, Notices, Session, SessionConfig};
use crate::ui::{format, terminal};

/// So much of what an execution printed is kept: the end of it.
const KEPT_OUTPUT: usize = 64 << 10;

/// An execution begins without the name of its account if that takes longer; its own timeout goes on from there.
const ACCOUNT_PATIENCE: Duration = Duration::from_secs(10);

/// An execution that was told to stop because its time is over is left behind if it has not stopped after that.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Calls of it in flight that may change the account are waited for that long.
const WRITE_PATIENCE: Duration = Duration::from_secs(90);

/// Is told of an execution that was left behind.
type Abandoned = Arc<dyn Fn(Execution) + Send + Sync>;

/// How executions run, as the command line and the configuration say.
pub struct RunConfig {
    /// Mode, limits, permissions.
    pub options: RunSettings,
    /// The way to the account.
    pub connection: Connection,
    /// The account in words, once it was reached.
    account: Mutex<Option<String>>,
}

impl RunConfig {
    /// The manner of these options.
    #[must_use]
    pub fn new(options: RunSettings) -> Self {
        let connection = options.against.connection();
        Self { options, connection, account: Mutex::default() }
    }
}

/// What carries executions out, for as many as there are. Clones are the same.
#[derive(Clone)]
pub struct Executor(Arc<Inside>, OutputMode);

/// Where people see what a runbook prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutputMode {
    /// In the log, line by line.
    InLog,
    /// Where `iamlua run` shows it.
    AsRun,
}

struct Inside {
    runtime: Handle,
    log: Log,
    /// The folder with the journal.
    folder: PathBuf,
    under_way: Mutex<Active>,
    /// Whether nothing more begins.
    ending: watch::Sender<bool>,
    /// Runs of which nobody can tell what became of them, and of which that was said.
    unclear: Mutex<BTreeSet<String>>,
}

#[derive(Default)]
struct Active {
    is_ending: bool,
    running: HashMap<String, Running>,
}

impl Executor {
    /// A workshop that settles what is in doubt by the journal in that folder.
    #[must_use]
    pub fn new(runtime: Handle, log: Log, folder: PathBuf) -> Self {
        let (under_way, unclear) = (Mutex::default(), Mutex::default());
        let ending = watch::Sender::new(false);
        Self(
            Arc::new(Inside { runtime, log, folder, under_way, ending, unclear }),
            OutputMode::InLog,
        )
    }

    /// The same, but what a runbook prints is shown where `iamlua run` shows it.
    #[must_use]
    pub fn shown_as_run(self) -> Self {
        Self(self.0, OutputMode::AsRun)
    }

    /// Executes on a thread of its own, which tells `ended` what became of it.
    pub fn start(
        &self,
        manner: Arc<RunConfig>,
        order: Start,
        ended: impl FnOnce(Execution) + Send + 'static,
    ) {
        let workshop = self.clone();
        let thread = std::thread::Builder::new().name("iamlua-job".into());
        let (ended, failed) = (Arc::new(Mutex::new(Some(ended))), order.execution.clone());
        let tell = Arc::clone(&ended);
        let begun = thread.spawn(move || {
            let tell_once = move |execution| {
                if let Some(ended) = locked(&tell).take() {
                    ended(execution);
                }
            };
            let tell_once = Arc::new(tell_once);
            let abandoned: Abandoned = tell_once.clone();
            let execution = workshop.execute_unless(&manner, &order, Some(&abandoned));
            tell_once(execution);
        });
        if let Err(error) = begun {
            let error = Error::io("cannot start a thread for it", error);
            if let Some(ended) = locked(&ended).take() {
                ended(with_result(failed, Err(error)));
            }
        }
    }

    /// Executes on this thread.
    #[must_use]
    pub fn execute(&self, manner: &RunConfig, order: &Start) -> Execution {
        self.execute_unless(manner, order, None)
    }

    /// The same; an execution whose time is over and that does not stop is left behind, so that its job can go on: its thread, and what it holds of
    /// memory and processor, is lost until the process ends. `abandoned` is told what became of it.
    fn execute_unless(
        &self,
        manner: &RunConfig,
        order: &Start,
        abandoned: Option<&Abandoned>,
    ) -> Execution {
        let run = order.execution.run.clone();
        let mut execution = order.execution.clone();
        // The others go on, whatever happens in one.
        let result = catch_unwind(AssertUnwindSafe(|| {
            self.attempt(manner, order, &mut execution, abandoned)
        }))
        .unwrap_or_else(|_| Err(Error::new(Kind::Bug, "the execution panicked")));
        locked(&self.0.under_way).running.remove(&run);
        with_result(execution, result)
    }

    /// Stops all that run, and lets none begin any more.
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
        manner: &RunConfig,
        order: &Start,
        execution: &mut Execution,
        abandoned: Option<&Abandoned>,
    ) -> Result<u8> {
        let (runtime, log) = (&self.0.runtime, &self.0.log);
        let _entered = runtime.enter();
        wait_until_settled(&execution.path);
        let loaded = Loaded::read(&Script::File(execution.path.clone()))?;
        let mut rules = manner.options.rules.clone();
        let about = &mut rules.about;
        (about.command, about.run) = ("schedule".into(), Some(execution.run.clone()));
        execution.account = self.account(manner, &rules);
        let origin = execution.origin();
        let text = match order.missed {
            0 => "begins".to_owned(),
            missed => format!("begins, late: {} missed", due_words(missed)),
        };
        if self.1 == OutputMode::InLog {
            log.line(Level::Info, &origin, &text, &execution.fields());
        }
        let tell = (log.clone(), origin.clone());
        rules.tell = Notices::to(move |text| tell.0.line(Level::Warn, &tell.1, text, &[]));
        self.settle(manner, &loaded.path(), &rules, &origin)?;
        let tail = Tail::default();
        let options = RunSettings { rules, ..manner.options.clone() };
        let around = RunEnv {
            runtime: runtime.clone(),
            connection: manner.connection.clone(),
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

    /// Leaves an execution behind whose time is over, and that does not stop.
    fn abandon_when_overdue(&self, running: &Running, abandoned: Abandoned, execution: Execution) {
        let runtime = self.0.runtime.clone();
        running.when_overdue(STOP_PATIENCE, move |late| {
            let began = Instant::now();
            while late.writes_in_flight() > 0 && began.elapsed() < WRITE_PATIENCE {
                std::thread::sleep(Duration::from_millis(100));
            }
            let session = late.session();
            let error = Error::new(
                Kind::Timeout,
                "its time is over and it does not stop: it was left behind, and lives on in this process",
            );
            // What it did until now; it cannot begin anything any more.
            let _ = runtime.block_on(session.end("timeout", Some(error.to_string())));
            let mut execution = execution.clone();
            execution.changes = session.changes();
            execution.failed = session.failed() + session.in_doubt();
            (execution.calls, execution.throttled) = (session.calls(), session.throttled());
            abandoned(with_result(execution, Err(error)));
        });
    }

    /// Where what a runbook prints goes.
    fn output(&self, origin: &Origin, tail: &Tail) -> Output {
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
        Output { out, err, by_line: false, is_terminal: false, is_pending: false }
    }

    /// Who takes the messages of `log`; none if they are printed.
    fn messages(&self, origin: &Origin, tail: &Tail) -> Option<crate::lua::Log> {
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

    /// The account that calls go to, in words; none if it cannot be reached, of which the first call of the run says why.
    fn account(&self, manner: &RunConfig, rules: &SessionConfig) -> Option<String> {
        let known = locked(&manner.account).clone();
        if known.is_some() {
            return known;
        }
        let about = SessionConfig { mode: Mode::ReadOnly, ..rules.clone() };
        let gate = Gate::new(Session::with(about), manner.connection.clone());
        let site = self.wait(async {
            let late = |_| Error::new(Kind::Timeout, "the account does not answer");
            tokio::time::timeout(ACCOUNT_PATIENCE, gate.site()).await.map_err(late)?
        });
        let found = site.ok().map(|site| site.describe())?;
        *locked(&manner.account) = Some(found.clone());
        Some(found)
    }

    /// Waits for something that comes before a script, unless nothing is to begin any more.
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

    /// Settles what earlier runs of the runbook have left in doubt.
    fn settle(
        &self,
        manner: &RunConfig,
        script: &str,
        rules: &SessionConfig,
        origin: &Origin,
    ) -> Result<()> {
        let unclear = locked(&self.0.unclear).clone();
        let rules = SessionConfig { mode: Mode::ReadOnly, ..rules.clone() };
        let settling =
            recovery::settle(&self.0.folder, script, &manner.connection, rules, &unclear);
        let found = self.wait(settling).map_err(|error| {
            let kind = error.kind;
            if kind == Kind::Interrupted {
                return error;
            }
            let error = told(&error);
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

/// Notes what an execution did.
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
        // Without its colours.
        let plan = anstream::adapter::strip_str(&plan_text::plan(plan, false)).to_string();
        output.push_str(&end_of(plan));
        output = end_of(output);
    }
    execution.output = session.journal().without_secrets(&output);
    if let Err(error) = &executed.result {
        execution.error = Some(session.journal().without_secrets(&told(error)));
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
            (outcome, error.kind.exit_code(), Some(told(&error)))
        }
    };
    let error = execution.error.clone().or(error);
    Execution { outcome: Some(outcome), exit_code: Some(exit_code), error, ..execution }
}

/// The last of what was printed.
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

/// The end of a text.
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

/// Writes to the log and to what is kept.
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
