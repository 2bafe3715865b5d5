//! One run of one script: its target, its plan, and the exit code of its end.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use tokio::runtime::{Handle, Runtime};

use crate::app::script::{Loaded, Script};
use crate::app::{plan_text, signals};
use crate::aws::client::{Backend, Connection, OpenLocal, Role};
use crate::clock::Clock;
use crate::emulator::{self, Emulator, Faults};
use crate::error::{Error, Kind, Result};
use crate::escape;
use crate::files::read_set::ReadSet;
use crate::lua::arguments::Arguments;
use crate::lua::cancel::{Canceller, Overdue, Stop};
use crate::lua::sandbox::Permissions;
use crate::lua::{
    AtOnce, Buffering, Confirm, Ending, Format, Log, Manifest, Output, Show, Vm, VmConfig, Waker,
    calls_text, throttled_text,
};
use crate::session::journal::RunStatus;
use crate::session::plan::{Plan, sha256};
use crate::session::{Gate, Mode, Session, SessionConfig};
use crate::signature::{self, SigningKey};
use crate::ui::format;
use crate::ui::terminal::{self, say};
use crate::{files, redaction, state};

/// Target of a script.
#[derive(Clone, Debug)]
pub enum TargetConfig {
    /// The local account, with fault injection.
    Local(Faults),
    /// AWS, or another endpoint.
    Aws(AwsTarget),
}

/// Connection settings for AWS.
#[derive(Clone, Debug, Default)]
pub struct AwsTarget {
    /// Profile of `~/.aws/config`.
    pub profile: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Role to assume.
    pub role_arn: Option<String>,
    /// Endpoint, in place of AWS's own.
    pub endpoint_url: Option<String>,
}

/// Settings of a run.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// Target of the calls.
    pub against: TargetConfig,
    /// Configuration of the session.
    pub rules: SessionConfig,
    /// Treatment of the plan, if the run only plans.
    pub planning: Planning,
    /// Permissions on this machine.
    pub permissions: Permissions,
    /// Maximum size of Lua values in bytes.
    pub max_memory: usize,
    /// Timeout of the run.
    pub timeout: Option<Duration>,
    /// Format of results.
    pub format: Format,
    /// Display of bulk work in progress.
    pub show: Show,
    /// Report calls, throttling and time at the end.
    pub stats: bool,
    /// Answer every question with yes, except those about permissions.
    pub yes: bool,
    /// Minimum severity of messages that `log` shows.
    pub log_level: &'static str,
    /// Names that a runbook's parameters cannot have.
    pub reserved: Vec<String>,
}

/// Treatment of a plan.
#[derive(Clone, Debug, Default)]
pub struct Planning {
    /// Treat the plan as the result of the command: then it goes to standard output, and the
    /// script's output to standard error.
    pub is_result: bool,
    /// File to keep it in.
    pub file: Option<PathBuf>,
    /// Key that signs the file.
    pub signing_key: Option<Arc<SigningKey>>,
    /// Give every change a line of its own.
    pub full: bool,
    /// End with exit code 3 if the plan has changes.
    pub detailed_exit_code: bool,
}

/// Remark after a plan that is not the result of the command.
pub const PLAN_ONLY: &str = "Plan only. Add --apply to make these changes.";

/// Exit code for a plan with changes, if requested.
pub const HAS_CHANGES: u8 = 3;

/// Background runtime of all network and SDK work.
///
/// # Errors
/// If no thread can be started.
pub fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        // One thread suffices for the rates that AWS allows, and leaves a core of two to the
        // script.
        .worker_threads(1)
        .thread_name("iamlua-io")
        .enable_all()
        .build()
        .map_err(|error| Error::io("cannot start the background threads", error))
}

/// Opens the local account, and reports the creation of the example account.
///
/// # Errors
/// If there is no folder for it, or its file cannot be used.
pub fn open_local(faults: Faults) -> Result<Emulator> {
    let path = state::local_account()?;
    let options = emulator::EmulatorSettings { faults, ..emulator::EmulatorSettings::default() };
    let local = Emulator::open(&path, options)?;
    if local.is_new() {
        say(&format!(
            "note: made a local example account in {} (`iamlua account reset --empty` makes it an empty one)",
            path.display()
        ));
    }
    Ok(local)
}

impl TargetConfig {
    /// Connection to the target.
    #[must_use]
    pub fn connection(&self) -> Connection {
        match self {
            Self::Local(faults) => Connection {
                target: Backend::Local(open_once(faults.clone())),
                ..Connection::default()
            },
            Self::Aws(aws) => Connection {
                target: Backend::Aws,
                profile: aws.profile.clone(),
                region: aws.region.clone(),
                endpoint_url: aws.endpoint_url.clone(),
                roles: aws.role_arn.iter().map(Role::new).collect(),
                environment: None,
            },
        }
    }
}

/// Opens the local account at the first call, so that a script without calls leaves nothing behind.
/// The connections of a run share it.
fn open_once(faults: Faults) -> OpenLocal {
    let opened: Mutex<Option<SharedHttpClient>> = Mutex::new(None);
    Arc::new(move || {
        let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*opened {
            return Ok(client.clone());
        }
        let client = open_local(faults.clone())?.http_client();
        Ok(opened.insert(client).clone())
    })
}

/// Environment of one run: output, prompts, cancellation. `iamlua run` uses that of the process; a
/// process with many runs gives each its own.
pub struct RunEnv {
    /// Runtime of the calls.
    pub runtime: Handle,
    /// Connection to the account.
    pub connection: Connection,
    /// Canceller of the script.
    pub canceller: Canceller,
    /// Output of the script.
    pub output: Output,
    /// Asks a person to confirm a grant.
    pub confirm: Confirm,
    /// Width of the terminal for results, in columns.
    pub width: Option<u16>,
    /// Pass standard input to the script.
    pub has_input: bool,
    /// Record of the files that it reads.
    pub seen: ReadSet,
    /// Receiver of the messages of `log`, if not standard error.
    pub log: Option<Log>,
    /// Clock of the script.
    pub clock: Clock,
    /// Functions of the embedding program, by their names.
    pub functions: Vec<(String, AtOnce)>,
}

/// Run in progress, for code that may have to stop it.
#[derive(Clone)]
pub struct Running {
    canceller: Canceller,
    waker: Waker,
    session: Arc<Session>,
}

impl Running {
    /// Stops further changes from beginning, and stops the script; calls in flight are finished.
    pub fn stop(&self, why: Stop) {
        self.session.close();
        self.canceller.stop(why);
        self.waker.wake();
    }

    /// Sets the action for a run that has not stopped that long after its timeout.
    pub fn when_overdue(&self, after: Duration, act: impl Fn(&Self) + Send + Sync + 'static) {
        // The canceller holds the action, so a strong reference to the run would keep both alive
        // for ever.
        let (canceller, session) = (self.canceller.downgrade(), Arc::downgrade(&self.session));
        let waker = self.waker.clone();
        let act = move || {
            if let (Some(canceller), Some(session)) = (canceller.upgrade(), session.upgrade()) {
                act(&Self { canceller, waker: waker.clone(), session });
            }
        };
        self.canceller.when_overdue(Overdue { after, act: Arc::new(act) });
    }

    /// Number of calls in flight that may change the account.
    #[must_use]
    pub fn writes_in_flight(&self) -> usize {
        self.canceller.writes_in_flight()
    }

    /// Session of the run.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }
}

/// Outcome of one run.
#[derive(Debug)]
pub struct RunOutcome {
    /// Exit code, or the error that ended the run.
    pub result: Result<u8>,
    /// Session of the run.
    pub session: Arc<Session>,
    /// Path of the script, and the SHA-256 of its text.
    pub origin: (String, String),
    /// Value returned by the script, if JSON can hold it.
    pub returned: Option<serde_json::Value>,
}

impl RunOutcome {
    /// Plan of the run.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let parameters = self.session.journal().parameters();
        let (origin, incomplete) = (Some(self.origin.clone()), self.incomplete());
        let plan = self.session.recorder().plan(origin, parameters, None, incomplete);
        Plan { exceeds: self.session.exceeded(), ..plan }
    }

    /// Plan of the run, moved out of the session.
    fn take_plan(&self) -> Plan {
        let parameters = self.session.journal().parameters();
        let (origin, incomplete) = (Some(self.origin.clone()), self.incomplete());
        let plan = self.session.recorder().take_plan(origin, parameters, incomplete);
        Plan { exceeds: self.session.exceeded(), ..plan }
    }

    /// Reason why the plan is incomplete, if it is.
    fn incomplete(&self) -> Option<String> {
        match &self.result {
            Ok(0) => None,
            // A plan that exceeds a limit is complete.
            Err(error)
                if error.kind == Kind::Refused
                    && self.session.exceeded().is_some()
                    && self.session.refusal().as_ref() == Some(&error.message) =>
            {
                None
            }
            Ok(code) => Some(format!("the script ended with exit code {code}")),
            Err(error) => Some(self.session.journal().without_secrets(&error.to_string())),
        }
    }
}

/// Executes a script once, on this thread; `began` is called before its first instruction.
///
/// # Errors
/// If the VM cannot be created, or `began` fails. The error that ends the script is in the outcome.
pub fn execute(
    loaded: Loaded,
    args: &[String],
    options: &RunSettings,
    environment: RunEnv,
    began: impl FnOnce(Running) -> Result<()>,
) -> Result<RunOutcome> {
    let runtime = environment.runtime.clone();
    let _entered = runtime.enter();
    let origin = (loaded.path(), sha256(&loaded.source));
    let mut rules = options.rules.clone();
    rules.about.script = Some(origin.clone());
    let (shown, secrets) = redaction::without_secrets(args);
    if !shown.is_empty() {
        rules.about.parameters = Some(serde_json::json!({ "arguments": shown }));
    }
    let args = Arguments::of(args, &loaded.source, &loaded.name, &options.reserved)?;
    let session = Session::with(rules);
    session.journal().set_secrets(redaction::recognizable(secrets));
    let gate = Gate::new(Arc::clone(&session), environment.connection);
    gate.warm_up();
    let canceller = environment.canceller;
    let setup = VmConfig {
        gate,
        runtime: environment.runtime,
        canceller: canceller.clone(),
        script: loaded.name.clone(),
        folder: Some(loaded.folder),
        args,
        permissions: options.permissions.clone(),
        max_memory: options.max_memory,
        // The format then applies to the plan, and the script's output is for people.
        format: if options.planning.is_result { Format::Table } else { options.format },
        show: options.show,
        width: environment.width,
        reserved: options.reserved.clone(),
        log_level: options.log_level,
        confirm: environment.confirm,
        clock: environment.clock,
        has_input: environment.has_input,
        seen: environment.seen,
        log: environment.log,
    };
    let vm = Vm::new(setup, environment.output)?;
    vm.define(environment.functions)?;
    if let Some(timeout) = options.timeout {
        vm.stop_after(timeout);
    }
    began(Running { canceller, waker: vm.waker(), session: Arc::clone(&session) })?;
    let ending = vm.run(&loaded.source, &loaded.name);
    let returned = vm.returned();
    // The VM first: it holds handles of calls that the runtime still knows.
    drop(vm);
    session.recorder().outside().finish();
    let result = outcome(ending, &session, options.planning.file.is_some());
    let result = match runtime.block_on(end(&session, &result)) {
        Ok(()) => result,
        // The error that ended the run has priority over one of the journal.
        Err(error) if result.is_err() && session.journal().run().is_none() => {
            let _ = error;
            result
        }
        Err(error) => Err(error.hint(
            "not all of what became of the changes is in the journal: `iamlua runs recover` looks",
        )),
    };
    Ok(RunOutcome { result, session, origin, returned })
}

/// Runs a script and returns the exit code.
///
/// # Errors
/// The error that ends it: the script cannot be read, the account cannot be opened, or an uncaught
/// error.
pub fn run(script: &Script, args: &[String], options: &RunSettings) -> Result<u8> {
    let began = Instant::now();
    let loaded = Loaded::read(script)?;
    let runtime = runtime()?;
    let yes = options.yes;
    let environment = RunEnv {
        runtime: runtime.handle().clone(),
        connection: options.against.connection(),
        canceller: Canceller::default(),
        output: output(options.planning.is_result),
        confirm: Box::new(move |question| if yes { None } else { confirm(question, false) }),
        width: terminal_width(),
        has_input: true,
        seen: ReadSet::default(),
        log: None,
        clock: Clock::Real,
        functions: Vec::new(),
    };
    let executed = execute(loaded, args, options, environment, signals::stop_on_signals)?;
    runtime.shutdown_background();
    if options.stats {
        tell_stats(&executed.session, began);
    }
    if executed.session.mode() == Mode::Plan {
        return show_plan(executed, &options.planning, options.format);
    }
    tell_changes(&executed.session);
    executed.result
}

/// Output of a script.
pub(crate) fn output(to_stderr: bool) -> Output {
    let by_line = !to_stderr && io::stdout().is_terminal();
    let is_terminal = if to_stderr { io::stderr().is_terminal() } else { by_line };
    let out: Box<dyn Write> = if to_stderr {
        Box::new(terminal::Messages::default())
    } else {
        Box::new(io::BufWriter::with_capacity(64 << 10, io::stdout()))
    };
    let err = Box::new(terminal::Messages::default());
    let buffering = if by_line { Buffering::Line } else { Buffering::Full };
    Output { is_on_screen: by_line, is_terminal, buffering, ..Output::new(out, err) }
}

/// Refusal of a plan that exceeds its limit.
#[must_use]
pub fn over_limit(why: &str) -> Error {
    let refusal = format!("apply would refuse this plan: {why}");
    Error::new(Kind::Refused, refusal)
        .hint("plan fewer changes, or raise the limit: `apply --max-changes` holds instead of it")
}

/// Exit code or error of a script's ending. `keeps_plan` marks a plan that is kept and must be
/// complete.
///
/// # Errors
/// The error that ended the script, or the refusal of a guard.
pub fn outcome(ending: Result<Ending>, session: &Session, keeps_plan: bool) -> Result<u8> {
    let changes = session.changes();
    let is_plan = session.mode() == Mode::Plan;
    if let (Ok(Ending::Finished | Ending::Exit(0)), Some(why)) = (&ending, session.exceeded()) {
        return Err(over_limit(&why));
    }
    // A script that has caught the refusal has not done all of its work.
    if let (Ok(Ending::Finished | Ending::Exit(_)), Some(refusal)) = (&ending, session.refusal()) {
        let done = if is_plan { "planned" } else { "done" };
        let error = Error::new(Kind::Refused, refusal);
        return Err(match session.made() {
            0 => error,
            n => error.hint(format!("{} {done} before that", format::count(n, "change"))),
        });
    }
    match ending {
        Ok(Ending::Finished) => Ok(0),
        Ok(Ending::Exit(code)) => Ok(code),
        // As with other programs in a pipe: the reader has seen enough.
        Ok(Ending::OutputClosed) if changes == 0 && !keeps_plan => Ok(0),
        Ok(Ending::OutputClosed) if is_plan => Err(Error::new(
            Kind::Io,
            "nobody reads the output any more, so the script was stopped before its end",
        )
        .hint("`iamlua plan` does not mix what the script prints with the plan")),
        Ok(Ending::OutputClosed) => {
            let stopped = format!(
                "nobody reads the output any more; the run stopped after {}",
                calls(changes)
            );
            Err(Error::new(Kind::Io, stopped))
        }
        Err(error)
            if matches!(error.kind, Kind::Interrupted | Kind::Timeout)
                && session.made() > 0
                && !is_plan =>
        {
            let made = format::count(session.made(), "change");
            Err(error.hint(format!("{made} made before that; calls in flight were finished")))
        }
        Err(error) => Err(error),
    }
}

/// Records the end of a run.
///
/// # Errors
/// If the journal cannot be written.
pub async fn end(session: &Session, result: &Result<u8>) -> Result<()> {
    let has_made_some = session.made() > 0;
    let (status, error) = match result {
        Ok(0) if session.journal().is_partial() => (RunStatus::Partial, None),
        Ok(0) => (RunStatus::Done, None),
        Ok(code) => {
            let status = if has_made_some { RunStatus::Partial } else { RunStatus::Failed };
            (status, Some(format!("exit code {code}")))
        }
        Err(error) => {
            let status = match error.kind {
                Kind::Interrupted => RunStatus::Interrupted,
                Kind::Timeout => RunStatus::Timeout,
                _ if has_made_some => RunStatus::Partial,
                Kind::Refused | Kind::Protected | Kind::Permission => RunStatus::Refused,
                _ => RunStatus::Failed,
            };
            (status, Some(error.to_string()))
        }
    };
    session.end(status, error).await
}

/// Reports the calls and the duration of a run.
pub(crate) fn tell_stats(session: &Session, began: Instant) {
    let calls = session.calls();
    let all: u64 = calls.values().sum();
    let by_action = if all > 0 { format!(": {}", calls_text(&calls)) } else { String::new() };
    let throttled = throttled_text(session, session.throttled());
    let spared = match session.noop_writes() {
        0 => String::new(),
        n => format!("; {} not sent, because all was so already", format::count(n, "change")),
    };
    let took = format::time(began.elapsed().as_secs_f64());
    say(&format!("{} in {took}{by_action}{throttled}{spared}", format::count(all, "call")));
}

/// Reports the changes of a run, and the command that undoes them.
pub fn tell_changes(session: &Session) {
    let Some(run) = session.journal().run() else { return };
    let (made, failed, in_doubt) = (session.made(), session.failed(), session.in_doubt());
    let mut text = match made {
        0 => format!("run {run}: no change made"),
        made => format!("run {run}: {}", format::count(made, "change")),
    };
    for (n, what) in [(failed, "failed"), (in_doubt, "in doubt")] {
        if n > 0 {
            let _ = write!(text, ", {} {what}", format::number(n));
        }
    }
    let next = match session.journal().is_undo() {
        _ if in_doubt > 0 => format!("Look them up with: iamlua runs recover {run}"),
        _ if made == 0 => format!("Details: iamlua runs show {run}"),
        true => format!("Preview the redo with: iamlua redo {run}"),
        false => format!("Preview the undo with: iamlua undo {run}"),
    };
    say(&format!("{text}. {next}"));
}

/// Shows a plan, and keeps it if requested.
fn show_plan(executed: RunOutcome, planning: &Planning, format: Format) -> Result<u8> {
    let mut plan = executed.take_plan();
    let result = executed.result;
    if planning.is_result || !plan.is_empty() {
        let why = plan.incomplete.clone();
        // The error itself is reported at the end.
        if result.is_err() && format == Format::Table && why.is_some() {
            plan.incomplete = Some(String::new());
        }
        print_plan(&plan, planning, format)?;
        plan.incomplete = why;
    }
    let was_stopped = matches!(&result, Err(error) if error.kind == Kind::Interrupted);
    if let Some(file) = planning.file.as_ref().filter(|_| !was_stopped) {
        match (keep_plan(&plan, file, planning.signing_key.as_deref()), &result) {
            (Err(error), Err(_)) => say(&format!("note: {error}")),
            (kept, _) => kept?,
        }
    }
    let code = result?;
    if !planning.is_result && !plan.is_empty() {
        say(PLAN_ONLY);
    }
    Ok(if code == 0 && planning.detailed_exit_code && !plan.changes.is_empty() {
        HAS_CHANGES
    } else {
        code
    })
}

/// Refusal of `--output csv` for a plan.
#[must_use]
pub fn no_csv() -> Error {
    Error::usage("a plan is written as a table, as JSON or as JSON lines, not as CSV")
        .hint("--output jsonl has one change a line")
}

/// Prints a plan: to standard output if it is the result, else to standard error.
///
/// # Errors
/// If it cannot be written there.
pub fn print_plan(plan: &Plan, planning: &Planning, format: Format) -> Result<()> {
    // The file is the result then.
    let is_aside = planning.file.as_deref().is_some_and(files::is_output);
    if !planning.is_result || is_aside {
        terminal::show(&plan_text::plan(plan, planning.full));
        return Ok(());
    }
    let text = match format {
        Format::Table => return terminal::print(&plan_text::plan(plan, planning.full)),
        Format::Csv => return Err(no_csv()),
        // The checksum of a plan file covers its exact bytes.
        Format::Json => plan.to_file()?,
        Format::Jsonl => {
            let changes = plan.changes.iter().map(serde_json::to_string);
            let outside = plan.outside.iter().map(serde_json::to_string);
            changes.chain(outside).try_fold(String::new(), |text, line| {
                let line = line.map_err(|error| Error::new(Kind::Bug, error.to_string()))?;
                Ok(text + &line + "\n")
            })?
        }
    };
    terminal::print_bytes(escape::printable_json(&text).as_bytes())
}

/// Writes a plan file, and its signature beside it if there is a key; `-` is standard output.
///
/// # Errors
/// If they cannot be written; an existing file is then untouched.
pub fn keep_plan(plan: &Plan, file: &Path, signing_key: Option<&SigningKey>) -> Result<()> {
    if signing_key.is_some() && files::is_output(file) {
        return Err(Error::usage("--sign needs a file beside which the signature is written")
            .hint("name a file with -o"));
    }
    let content = plan.to_file()?;
    let failed = |error| Error::io(format!("cannot write the plan {}", file.display()), error);
    files::write_private(file, content.as_bytes()).map_err(failed)?;
    if files::is_output(file) {
        return Ok(());
    }
    if let Some(key) = signing_key {
        let path = signature::beside(file);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        files::write_whole(&path, key.sign(content.as_bytes(), &name)?.as_bytes()).map_err(
            |error| Error::io(format!("cannot write the signature {}", path.display()), error),
        )?;
        let word = quoted(&path.display().to_string());
        say(&format!("signed with the key {}: {word}", key.id()));
    }
    let word = quoted(&file.display().to_string());
    say(&match &plan.incomplete {
        None if plan.exceeds.is_some() => {
            format!("kept in {word}; `iamlua show {word}` shows it. It goes beyond its limit")
        }
        None => format!(
            "kept in {word}; `iamlua show {word}` shows it, `iamlua apply {word}` makes the changes"
        ),
        Some(_) => format!(
            "kept in {word}, incomplete; `iamlua apply {word} --allow-incomplete` makes the changes that it has"
        ),
    });
    Ok(())
}

/// Word in shell syntax.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._=+:@%,-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Manifest of a runbook. Runs the script only up to its manifest.
///
/// # Errors
/// If the script cannot be read, fails before its manifest, or has none.
pub fn manifest(script: &Script) -> Result<Manifest> {
    let loaded = Loaded::read(script)?;
    let name = loaded.name.clone();
    let runtime = runtime()?;
    let declared = declared(loaded, Permissions::default(), false, runtime.handle());
    runtime.shutdown_background();
    declared?.ok_or_else(|| {
        Error::new(Kind::Script, format!("{name} has no manifest"))
            .hint("a script declares itself with `runbook { allow = { … } }`")
    })
}

/// Manifest of a script that was read, with these permissions; `None` if the script ends without
/// one. If `is_planned`, it runs no programs and writes no files.
///
/// # Errors
/// If it fails before its manifest.
pub fn declared(
    loaded: Loaded,
    permissions: Permissions,
    is_planned: bool,
    runtime: &Handle,
) -> Result<Option<Manifest>> {
    declared_by(loaded, permissions, is_planned, runtime, ReadSet::default())
}

/// Maximum time until a script declares its manifest.
const MANIFEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Manifest of a script that was read; records the files that the script reads before its manifest.
///
/// # Errors
/// If it fails before its manifest.
pub fn declared_by(
    loaded: Loaded,
    permissions: Permissions,
    is_planned: bool,
    runtime: &Handle,
    seen: ReadSet,
) -> Result<Option<Manifest>> {
    let inspection = Inspection { permissions, is_planned, seen, ..Inspection::default() };
    inspect(loaded, runtime, inspection)
}

/// Environment of a script that runs up to its manifest.
pub struct Inspection {
    /// Permissions of the script.
    pub permissions: Permissions,
    /// Run no programs and write no files.
    pub is_planned: bool,
    /// Record of the files that it reads.
    pub seen: ReadSet,
    /// Output of the script.
    pub output: Output,
    /// Receiver of the messages of `log`, if not standard error.
    pub log: Option<Log>,
    /// Names of options that parameters cannot have.
    pub reserved: Vec<String>,
    /// Maximum time until the manifest.
    pub timeout: Duration,
    /// Memory limit, in bytes.
    pub max_memory: usize,
}

impl Default for Inspection {
    fn default() -> Self {
        Self {
            permissions: Permissions::default(),
            is_planned: false,
            seen: ReadSet::default(),
            output: output(true),
            log: None,
            reserved: Vec::new(),
            timeout: MANIFEST_TIMEOUT,
            max_memory: 256 << 20,
        }
    }
}

/// Manifest of a script that was read; `None` if the script ends without one.
///
/// # Errors
/// If it fails before its manifest.
pub fn inspect(
    loaded: Loaded,
    runtime: &Handle,
    inspection: Inspection,
) -> Result<Option<Manifest>> {
    let _entered = runtime.enter();
    let nowhere: OpenLocal = Arc::new(|| {
        Err(Error::new(Kind::Refused, "the script calls iam before it declares itself")
            .hint("`runbook { … }` must be the first thing that it does"))
    });
    let connection = Connection { target: Backend::Local(nowhere), ..Connection::default() };
    let declared = Rc::new(RefCell::new(None));
    let mode = if inspection.is_planned { Mode::Plan } else { Mode::ReadOnly };
    let setup = VmConfig {
        gate: Gate::new(Session::new(mode), connection),
        runtime: runtime.clone(),
        canceller: Canceller::default(),
        script: loaded.name.clone(),
        folder: Some(loaded.folder),
        args: Arguments::default(),
        permissions: inspection.permissions,
        max_memory: inspection.max_memory,
        format: Format::Table,
        show: Show::Nothing,
        width: None,
        reserved: inspection.reserved,
        log_level: "error",
        confirm: Box::new(|_| None),
        clock: Clock::Real,
        has_input: false,
        seen: inspection.seen,
        log: inspection.log,
    };
    let vm = Vm::new(setup, inspection.output)?;
    vm.ask_for_manifest(Rc::clone(&declared));
    vm.stop_after(inspection.timeout);
    vm.run(&loaded.source, &loaded.name)?;
    drop(vm);
    Ok(declared.take())
}

/// Number of calls that change the account.
fn calls(n: u64) -> String {
    let change = if n == 1 { "call that changes" } else { "calls that change" };
    format!("{} {change} the account", format::number(n))
}

/// Width of standard output, if it is a terminal.
#[must_use]
pub fn terminal_width() -> Option<u16> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0)
}

/// Check for a person to ask.
#[must_use]
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a yes-or-no question at the terminal; no is the default. `None` if there is nobody to ask.
#[must_use]
pub fn confirm(question: &str, yes: bool) -> Option<bool> {
    if yes {
        return Some(true);
    }
    if !can_ask() {
        return None;
    }
    // A question that cannot be shown is answered with no.
    let question = format!("{question} [y/N] ");
    io::stderr().write_all(&escape::printable(question.as_bytes())).ok()?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if !answer.ends_with('\n') {
        // Ctrl-D does not end the line of the question.
        io::stderr().write_all(b"\n").ok()?;
    }
    read.ok()?;
    Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
