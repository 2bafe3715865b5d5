//! `run_runbook`: runs a script in its own VM and session on the account of a test, as `iamlua run`
//! would.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::sync::oneshot;

use super::account::{RunningVm, TestContext};
use super::captured::Captured;
use crate::app::plan_text::{self, ChangeText};
use crate::app::run;
use crate::app::script::{Loaded, Script};
use crate::clock::Clock;
use crate::config::MaxChanges;
use crate::error::{Error, Kind, Result};
use crate::lua::arguments::Arguments;
use crate::lua::cancel::Canceller;
use crate::lua::sandbox::{Access, Permissions};
use crate::lua::{Format, Output, Show, Vm, VmConfig};
use crate::session::destination::Places;
use crate::session::journal::About;
use crate::session::plan::sha256;
use crate::session::{Gate, Mode, Session, SessionConfig};

/// Run that a test requests.
pub(super) struct RunRequest {
    loaded: Loaded,
    args: Vec<String>,
    mode: Mode,
    format: Format,
    max_changes: Option<MaxChanges>,
    timeout: Option<Duration>,
    confirm: bool,
    permissions: Permissions,
}

fn one_of<T: Copy>(option: &str, given: &Json, known: &[(&str, T)], default: T) -> Result<T> {
    match given {
        Json::Null => Ok(default),
        Json::String(word) if known.iter().any(|(name, _)| name == word) => {
            Ok(known.iter().find(|(name, _)| name == word).map_or(default, |(_, value)| *value))
        }
        other => {
            let names: Vec<_> = known.iter().map(|(name, _)| format!("{name:?}")).collect();
            Err(Error::argument(format!(
                "run_runbook: {option} must be one of {}, got {other}",
                names.join(", ")
            )))
        }
    }
}

fn texts(list: &Json) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str)
}

impl RunRequest {
    /// Reads the path, the arguments, and the options.
    ///
    /// # Errors
    /// An argument error for invalid values; an error of the file if it cannot be read.
    pub fn read(context: &TestContext, args: &[Json]) -> Result<Self> {
        let nothing = Json::Null;
        let mut given = args.iter().chain(std::iter::repeat(&nothing));
        let mut next = || given.next().unwrap_or(&nothing);
        let (path, words, options) = (next(), next(), next());
        let path = context.find(path.as_str().unwrap_or_default());
        let loaded = Loaded::read(&Script::File(path)).map_err(|mut error| {
            // The mistake is in the test, not on the command line.
            error.kind = if error.kind == Kind::Usage { Kind::Argument } else { error.kind };
            error.message = format!("run_runbook: {}", error.message);
            error.hint("the file is looked for beside the test file, then in the current folder")
        })?;
        let modes = [("apply", Mode::Apply), ("plan", Mode::Plan), ("read-only", Mode::ReadOnly)];
        let formats = [Format::Table, Format::Json, Format::Jsonl, Format::Csv];
        let formats = formats.map(|format| (format.name(), format));
        let max_changes = options["max_changes"].as_str().map(|text| {
            text.parse().map_err(|why| Error::argument(format!("run_runbook: max_changes {why}")))
        });
        let timeout = options["timeout"].as_f64().map(|seconds| {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| Error::argument("run_runbook: timeout is out of range"))
        });
        let mut permissions = Permissions::within(context.fakes());
        for access in Access::ALL {
            for what in texts(&options[format!("allow_{}", access.name())]) {
                match access {
                    Access::Read | Access::Write => {
                        permissions.allow(access, &context.find(what).display().to_string())?;
                    }
                    Access::Env | Access::Run | Access::Net => permissions.allow(access, what)?,
                }
            }
        }
        Ok(Self {
            loaded,
            args: texts(words).map(str::to_owned).collect(),
            mode: one_of("mode", &options["mode"], &modes, Mode::Apply)?,
            format: one_of("output", &options["output"], &formats, Format::Table)?,
            max_changes: max_changes.transpose()?,
            timeout: timeout.transpose()?,
            confirm: options["confirm"].as_bool().unwrap_or(true),
            permissions,
        })
    }
}

/// Runs it on its own thread, and returns its result.
///
/// # Errors
/// If the thread cannot be started, or its journal cannot be read.
pub(super) async fn run(context: Arc<TestContext>, request: RunRequest) -> Result<Json> {
    context.settle();
    let own = Arc::clone(&context);
    let (sender, result) = oneshot::channel();
    std::thread::Builder::new()
        .name("iamlua-runbook".into())
        .stack_size(8 << 20)
        .spawn(move || {
            // The test may have ended.
            let _ = sender.send(run_script(&context, request));
        })
        .map_err(|error| Error::io("cannot start a thread for the runbook", error))?;
    let gone = |_| Error::new(Kind::Bug, "the thread of the runbook ended in an unexpected way");
    let ran = result.await.map_err(gone)?;
    own.settle();
    ran
}

fn run_script(context: &TestContext, request: RunRequest) -> Result<Json> {
    let RunRequest { loaded, args, mode, format, max_changes, timeout, confirm, permissions } =
        request;
    let origin = (loaded.path(), sha256(&loaded.source));
    let given = Arguments::of(&args, &loaded.source, &loaded.name, &context.reserved);
    let (args, refused) = match given {
        Ok(args) => (args, None),
        Err(error) => (Arguments::default(), Some(error)),
    };
    let about = About { command: "run".into(), script: Some(origin.clone()), ..About::default() };
    let session = Session::with(SessionConfig {
        mode,
        max_changes: max_changes.map(|max| (max, "--max-changes")).into_iter().collect(),
        about,
        ..SessionConfig::default()
    });
    let canceller = Canceller::default();
    let fakes = permissions.fakes.clone();
    let setup = VmConfig {
        gate: Gate::new(Arc::clone(&session), context.connection()),
        runtime: context.runtime.clone(),
        canceller: canceller.clone(),
        script: loaded.name.clone(),
        folder: Some(loaded.folder),
        args,
        permissions,
        max_memory: context.max_memory,
        format,
        show: if format == Format::Jsonl { Show::Events } else { Show::AtEnd },
        width: None,
        reserved: context.reserved.clone(),
        log_level: "info",
        confirm: Box::new(move |_| Some(confirm)),
        clock: Clock::Held(context.clock.clone()),
        has_input: false,
        seen: crate::files::read_set::ReadSet::default(),
        log: None,
    };
    let (out, mut err) = (Captured::results(), Captured::notes());
    let output = Output::new(Box::new(out.clone()), Box::new(err.clone()));
    let vm = Vm::new(setup, output)?;
    context.add(RunningVm { canceller, waker: vm.waker(), session: Arc::clone(&session) });
    if let Some(timeout) = timeout {
        vm.stop_after(timeout);
    }
    let ending = refused.map_or_else(|| vm.run(&loaded.source, &loaded.name), Err);
    drop(vm);
    let outside = session.recorder().outside();
    let files: serde_json::Map<_, _> = outside
        .contents()
        .into_iter()
        .map(|(path, bytes)| (path, String::from_utf8_lossy(&bytes).into_owned().into()))
        .collect();
    let listed = if session.plans_outside() { outside.actions() } else { Vec::new() };
    outside.finish();
    let result = run::outcome(ending, &session, false);
    context.runtime.block_on(run::end(&session, &result))?;
    let changes = changes(context, &session, origin, &result, &mut err)?;
    if let Err(error) = &result {
        let _ = err.write_all(error.describe().as_bytes());
    }
    Ok(json!({
        "code": result.as_ref().map_or_else(|error| error.kind.exit_code(), |code| *code),
        "stdout": out.take(),
        "stderr": err.take(),
        "changes": changes,
        "outside": listed,
        "processes": fakes.map(|fakes| fakes.ran()).unwrap_or_default(),
        "files": files,
        "calls": session.calls(),
        "error": result.err().map(|error| error_table(&error)),
    }))
}

/// Changes that were made or planned. A plan is also added to the notes.
fn changes(
    context: &TestContext,
    session: &Session,
    origin: (String, String),
    result: &Result<u8>,
    err: &mut impl Write,
) -> Result<Vec<Json>> {
    if session.mode() != Mode::Plan {
        let changes = context.runtime.block_on(session.journal().recorded())?;
        let sites = session.journal().sites();
        let places = Places::of(&sites);
        let made = changes.iter().map(|change| {
            let shown = ChangeText::recorded(change, places.account(change.site));
            with_text(serde_json::to_value(change), &shown)
        });
        return made.collect();
    }
    let incomplete =
        result.as_ref().err().map(|error| session.journal().without_secrets(&error.to_string()));
    let plan =
        session.recorder().plan(Some(origin), session.journal().parameters(), None, incomplete);
    if !plan.is_empty() {
        let text = plan_text::plan(&plan, false);
        let _ = write!(err, "{}", anstream::adapter::strip_str(&text));
        if result.is_ok() {
            let _ = writeln!(err, "{}", run::PLAN_ONLY);
        }
    }
    let places = Places::of(&plan.sites);
    plan.changes
        .iter()
        .map(|change| {
            let shown = ChangeText::planned(change, places.account(change.site));
            let mut json = with_text(serde_json::to_value(change), &shown)?;
            json["outcome"] = "planned".into();
            Ok(json)
        })
        .collect()
}

/// Change with its text, without the values that differ in each run.
fn with_text(json: serde_json::Result<Json>, shown: &ChangeText<'_>) -> Result<Json> {
    let mut json = json.map_err(|error| Error::new(Kind::Bug, error.to_string()))?;
    if let Some(fields) = json.as_object_mut() {
        fields.retain(|name, _| !["site", "started", "ended"].contains(&name.as_str()));
    }
    let text = plan_text::line(shown);
    json["text"] = anstream::adapter::strip_str(&text).to_string().into();
    Ok(json)
}

/// Error as scripts see it.
fn error_table(error: &Error) -> Json {
    let aws = error.aws.as_deref();
    let hints: Vec<_> = error.hints.iter().map(|hint| super::in_runbooks(hint)).collect();
    json!({
        "kind": error.kind.name(),
        "message": error.message,
        "where": error.place,
        "hint": (!hints.is_empty()).then(|| hints.join("\n")),
        "traceback": error.traceback,
        "code": aws.map(|aws| &aws.code).filter(|code| !code.is_empty()),
        "operation": aws.map(|aws| &aws.operation),
        "status": aws.and_then(|aws| aws.status),
        "request_id": aws.and_then(|aws| aws.request_id.as_ref()),
        "retryable": error.is_passing(),
    })
}
