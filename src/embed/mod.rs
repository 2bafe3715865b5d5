//! The public API: a host that runs scripts inside of another program.

mod builder;
mod cancel;
mod outcome;
mod output;
mod plan;
mod target;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::{Handle, Runtime};

use crate::app::apply::{self, Report};
use crate::app::run::{self, Planning, RunEnv, RunOutcome, RunSettings, TargetConfig};
use crate::app::script::{Loaded, Script};
use crate::aws::client::{Backend, Connection};
use crate::aws::network::without_password;
use crate::clock;
use crate::config::MaxChanges;
use crate::emulator::Faults;
use crate::error::{Error, Kind, Result};
use crate::files::read_set::ReadSet;
use crate::lua::cancel::{Canceller, Stop};
use crate::lua::sandbox::Permissions;
use crate::lua::tokens::tokens;
use crate::lua::{self, AtOnce, Format, Show, net};
use crate::session::apply::{ApplyOptions, check_accounts};
use crate::session::destination::Destination;
use crate::session::journal::records::{
    Records, Run, claim_in_memory, claim_plan, claim_undo, no_run,
};
use crate::session::journal::{About, Claim, JournalLocation, RunStatus};
use crate::session::undo::{self, UndoSettings};
use crate::session::{
    AccountLimiter, Gate, Mode, Notices, RecentChanges, Session, SessionConfig, recover,
};
use crate::ui::format::count;

pub use builder::HostBuilder;
pub use cancel::CancelHandle;
pub use outcome::Outcome;
pub use plan::{Change, ChangeStatus, Plan};
pub use target::{AwsConfig, Clock, Target};

use output::{SharedWriter, Sink};

/// Stack of the thread that runs a script: that of a program's main thread.
const STACK: usize = 8 << 20;

/// Age from which on it counts that the account does not show a change.
const PATIENCE: Duration = Duration::from_secs(10);

type Function = Arc<dyn Fn(&[Value]) -> Result<Value> + Send + Sync>;

/// Scripting host: it runs Lua scripts that read and change instance profiles and roles of one
/// account, under the settings of its [builder](HostBuilder).
///
/// # Threads and async code
///
/// A host is `Send` and `Sync`, and its clones are handles of the same one. Every method blocks
/// until its work is done; scripts of one host may run at the same time on several threads. The
/// work itself is done on a thread of its own, and calls to AWS on the host's tokio runtime, or on
/// [one that it is given](HostBuilder::runtime). So a host works without a tokio runtime and inside
/// of one. Async code calls it in [`tokio::task::spawn_blocking`]: a direct call does not panic,
/// but holds up its worker thread for as long as the script runs.
///
/// # Isolation
///
/// A host installs no signal handler, reads no environment variable, and writes neither to the
/// standard streams of the process nor to a state folder. Two hosts in one process share no
/// account, journal, output or setting; they share caches that make no difference (pools of
/// connections to the same endpoint, and credentials of the same source). What a script may touch
/// is what [permissions](HostBuilder::allow) give it: a program that it runs, for example, has the
/// environment of the process.
#[derive(Clone)]
pub struct Host(Arc<Shared>);

struct Shared {
    connection: Connection,
    runtime: Io,
    mode: Mode,
    permissions: Permissions,
    max_memory: usize,
    timeout: Option<Duration>,
    format: Format,
    log_level: &'static str,
    max_changes: Option<u64>,
    protect: Vec<String>,
    accounts: Vec<String>,
    journal: JournalLocation,
    clock: clock::Clock,
    stdout: Option<SharedWriter>,
    stderr: Option<SharedWriter>,
    max_output: usize,
    functions: Mutex<BTreeMap<String, Function>>,
    cancel: CancelHandle,
    rates: AccountLimiter,
    recent: RecentChanges,
}

/// Runtime of all calls.
enum Io {
    Own(Option<Runtime>),
    Given(Handle),
}

impl Io {
    fn handle(&self) -> Result<Handle> {
        match self {
            Self::Own(Some(runtime)) => Ok(runtime.handle().clone()),
            Self::Own(None) => Err(Error::new(Kind::Bug, "the host has ended")),
            Self::Given(handle) => Ok(handle.clone()),
        }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        // Waiting for its threads is not allowed in async code, where a host may be dropped.
        if let Self::Own(runtime) = self
            && let Some(runtime) = runtime.take()
        {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("connection", &self.0.connection)
            .field("mode", &self.0.mode)
            .field("journal", &self.0.journal)
            .finish_non_exhaustive()
    }
}

/// Output of one run.
struct Captured {
    out: Sink,
    err: Sink,
}

impl Host {
    /// Settings of a new host.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// Makes a function global in scripts that are run from now on. Its arguments and its result
    /// are JSON: `nil` is `null`, and a table is an array or an object. It runs on the thread of
    /// the script, in every [mode](Mode), and no task of the script runs meanwhile. An error that
    /// it returns is raised at the place of the call, and a script can catch it.
    ///
    /// ```
    /// # fn main() -> iamlua::Result<()> {
    /// use iamlua::{Error, Host, Kind, Target};
    ///
    /// let host = Host::builder().target(Target::in_memory()).build()?;
    /// host.function("double", |args| match args {
    ///     [number] if number.is_i64() => Ok((2 * number.as_i64().unwrap_or(0)).into()),
    ///     _ => Err(Error::new(Kind::Argument, "double takes a whole number")),
    /// })?;
    /// let outcome = host.run_code("return double(21)", &[])?;
    /// assert_eq!(outcome.value(), Some(&42.into()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Kind::Usage`] for a name that is no Lua name. A name by which scripts find something else,
    /// such as `iam`, is an error of [`run_script`](Self::run_script).
    pub fn function(
        &self,
        name: &str,
        function: impl Fn(&[Value]) -> Result<Value> + Send + Sync + 'static,
    ) -> Result<()> {
        let is_name = match &tokens(name)[..] {
            [token] => token.kind == lua::tokens::TokenKind::Name && token.text(name) == name,
            _ => false,
        };
        if !is_name {
            return Err(Error::usage(format!("{name:?} is no name of a Lua function"))
                .hint("names have letters, digits and _, and are no keyword"));
        }
        self.functions().insert(name.to_owned(), Arc::new(function));
        Ok(())
    }

    fn functions(&self) -> MutexGuard<'_, BTreeMap<String, Function>> {
        self.0.functions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a script file with these arguments, as `iamlua run` does: a runbook's parameters are
    /// options such as `--days 30`. `require` finds modules beside the script. A relative path is
    /// looked up in the current folder of the process.
    ///
    /// # Errors
    /// If the script cannot be read, or the VM cannot be made. What the script itself does wrong is
    /// in the [outcome](Outcome::error).
    pub fn run_script<S: AsRef<str>>(&self, path: impl AsRef<Path>, args: &[S]) -> Result<Outcome> {
        self.run(Loaded::read(&Script::File(path.as_ref().to_owned()))?, args)
    }

    /// Runs Lua code, of which messages speak as `(code)`. `require` finds only the modules of
    /// iamlua.
    ///
    /// # Errors
    /// As [`run_script`](Self::run_script).
    pub fn run_code(&self, code: &str, args: &[&str]) -> Result<Outcome> {
        let loaded = Loaded::read(&Script::Code(code.to_owned()))?;
        self.run(Loaded { name: "(code)".to_owned(), ..loaded }, args)
    }

    fn run<S: AsRef<str>>(&self, loaded: Loaded, args: &[S]) -> Result<Outcome> {
        let args: Vec<String> = args.iter().map(|arg| arg.as_ref().to_owned()).collect();
        on_thread(|| self.execute(loaded, &args))
    }

    /// Makes the changes of a plan that the embedding program has approved, whatever the host's
    /// mode for scripts is, except [`Mode::ReadOnly`]. A change is made only if its profile or role
    /// is as the plan has found it; the first one that is not stops it. What an earlier try has
    /// made, by the journal, is not made again.
    ///
    /// # Errors
    /// [`Kind::Refused`] for a plan that is incomplete or beyond its limit, for a read-only host,
    /// and for an endpoint that the host does not use. What stops it later is in the
    /// [outcome](Outcome::error).
    pub fn apply(&self, plan: &Plan) -> Result<Outcome> {
        self.refuse_if_read_only()?;
        plan.check()?;
        on_thread(|| {
            let about = About { command: "apply".into(), ..About::default() };
            self.carry_out(plan, about, false, &[])
        })
    }

    /// Plans the undo of a run, for review before [`undo`](Self::undo). Nothing is changed.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the journal has no such run, or several. What AWS says.
    pub fn plan_undo(&self, run_id: &str) -> Result<Plan> {
        on_thread(|| {
            let captured = self.captured();
            self.undo_of(run_id, &captured).map(|(plan, _)| plan)
        })
    }

    /// Takes back what a run has changed, as far as the account is as the run has left it. What
    /// has changed since is left as it is, and the outcome then has an error that says so.
    ///
    /// # Errors
    /// [`Kind::Usage`] if the journal has no such run, or several; [`Kind::Refused`] for a
    /// read-only host. What AWS says before anything is changed.
    pub fn undo(&self, run_id: &str) -> Result<Outcome> {
        self.refuse_if_read_only()?;
        on_thread(|| {
            let captured = self.captured();
            let (plan, run) = self.undo_of(run_id, &captured)?;
            let left_out = plan.0.left_out.len();
            let about = About { command: "undo".into(), undoes: Some(run), ..About::default() };
            let notices = [captured.err.text()];
            let mut outcome = self.carry_out(&plan, about, true, &notices)?;
            if left_out > 0 && outcome.is_success() {
                let what = format!("{left_out} left out; the rest was undone");
                outcome.result = Err(Error::new(Kind::Refused, what));
            }
            Ok(outcome)
        })
    }

    /// Handle by which other threads cancel what this host runs.
    #[must_use]
    pub fn cancel_handle(&self) -> CancelHandle {
        self.0.cancel.clone()
    }

    /// Mode of scripts.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.0.mode
    }

    fn refuse_if_read_only(&self) -> Result<()> {
        if self.0.mode == Mode::ReadOnly {
            return Err(Error::new(Kind::Refused, "the host is read-only, so nothing is changed")
                .hint("build it with Mode::Plan or Mode::Apply"));
        }
        Ok(())
    }

    fn captured(&self) -> Captured {
        Captured {
            out: Sink::new(self.0.stdout.as_ref(), self.0.max_output),
            err: Sink::new(self.0.stderr.as_ref(), self.0.max_output),
        }
    }

    /// Rules of a session.
    fn rules(&self, mode: Mode, about: About, err: &Sink) -> SessionConfig {
        let own = &self.0;
        let err = err.clone();
        SessionConfig {
            mode,
            max_changes: own
                .max_changes
                .map(|max| (MaxChanges::Count(max), "`max_changes` of the host"))
                .into_iter()
                .collect(),
            protect: own.protect.clone(),
            accounts: own.accounts.clone(),
            journal: own.journal.clone(),
            about,
            rates: own.rates.clone(),
            recent: own.recent.clone(),
            tell: Notices::to(move |text| err.say(text)),
            ..SessionConfig::default()
        }
    }

    fn execute(&self, loaded: Loaded, args: &[String]) -> Result<Outcome> {
        let own = &self.0;
        let captured = self.captured();
        let about = About { command: "run".into(), ..About::default() };
        let settings = RunSettings {
            against: TargetConfig::Local(Faults::default()),
            rules: self.rules(own.mode, about, &captured.err),
            planning: Planning::default(),
            permissions: own.permissions.clone(),
            max_memory: own.max_memory,
            timeout: own.timeout,
            format: own.format,
            show: Show::AtEnd,
            stats: false,
            yes: false,
            log_level: own.log_level,
            reserved: Vec::new(),
        };
        let env = RunEnv {
            runtime: own.runtime.handle()?,
            connection: own.connection.clone(),
            canceller: Canceller::polling(),
            output: lua::Output::new(
                Box::new(captured.out.clone()),
                Box::new(captured.err.clone()),
            ),
            confirm: Box::new(|_| None),
            width: None,
            has_input: false,
            seen: ReadSet::default(),
            log: None,
            clock: own.clock.clone(),
            functions: self.functions().iter().map(offer).collect(),
        };
        let mut registered = None;
        let began = |running: run::Running| {
            registered = Some(own.cancel.add(move || running.stop(Stop::Interrupted)));
            Ok(())
        };
        let executed = run::execute(loaded, args, &settings, env, began);
        drop(registered);
        self.outcome(executed?, &captured)
    }

    fn outcome(&self, executed: RunOutcome, captured: &Captured) -> Result<Outcome> {
        let session = &executed.session;
        let plan = (session.mode() == Mode::Plan).then(|| Plan(executed.plan()));
        let changes = self.changes(session)?;
        Ok(Outcome {
            stdout: captured.out.text(),
            stderr: captured.err.text(),
            value: executed.returned,
            plan,
            changes,
            run_id: session.journal().run(),
            result: executed.result,
        })
    }

    fn changes(&self, session: &Session) -> Result<Vec<Change>> {
        let recorded = self.0.runtime.handle()?.block_on(session.journal().recorded())?;
        let sites = session.journal().sites();
        Ok(recorded.iter().map(|change| Change::made(change, &sites)).collect())
    }

    fn records(&self) -> Result<Option<Records>> {
        match &self.0.journal {
            JournalLocation::Shared(journal) => Records::in_memory(journal).map(Some),
            JournalLocation::Folder(folder) => Records::open(folder),
            JournalLocation::Memory | JournalLocation::StateFolder => Ok(None),
        }
    }

    /// Claims a plan or the undo of a run, so that no other thread works on it at the same time.
    fn claim(&self, plan: &plan::Plan) -> Result<Vec<Claim>> {
        let (id, undoes) = (&plan.0.id, &plan.0.undoes);
        let mut claims = Vec::new();
        match &self.0.journal {
            JournalLocation::Shared(journal) => {
                claims.push(claim_in_memory(journal, &format!("plan {id}"))?);
                if let Some(run) = undoes {
                    claims.push(claim_in_memory(journal, &format!("the undo of run {run}"))?);
                }
            }
            JournalLocation::Folder(folder) => {
                claims.push(Claim::File(claim_plan(folder, id)?));
                if let Some(run) = undoes {
                    claims.push(Claim::File(claim_undo(folder, run)?));
                }
            }
            JournalLocation::Memory | JournalLocation::StateFolder => {}
        }
        Ok(claims)
    }

    /// Gates to the destinations of a plan or run, with the credentials of this host.
    fn gates(&self, session: &Arc<Session>, sites: &[Destination]) -> Result<Vec<Gate>> {
        let own = &self.0.connection;
        let gate = |site: &Destination| {
            if matches!(own.target, Backend::Local(_)) {
                return Ok(Gate::new(Arc::clone(session), own.clone()));
            }
            let mut connection = site.connection(Backend::Aws);
            connection.environment.clone_from(&own.environment);
            if let Some(url) = &site.endpoint_url {
                if own.endpoint_url.as_deref().map(without_password).as_ref() == Some(url) {
                    connection.endpoint_url.clone_from(&own.endpoint_url);
                } else if net::is_elsewhere(own, url)? {
                    let what = format!("the plan sends its calls to {url}, and the host does not");
                    return Err(Error::new(Kind::Refused, what)
                        .hint("set this endpoint in the AwsConfig of the host"));
                }
            }
            Ok(Gate::new(Arc::clone(session), connection))
        };
        sites.iter().map(gate).collect()
    }

    /// Applies a plan. `notices` are earlier messages for the same outcome.
    fn carry_out(
        &self,
        plan: &Plan,
        about: About,
        skip_drifted: bool,
        notices: &[String],
    ) -> Result<Outcome> {
        let captured = self.captured();
        for text in notices.iter().filter(|text| !text.is_empty()) {
            captured.err.say(text.trim_end());
        }
        let _claims = self.claim(plan)?;
        let runtime = self.0.runtime.handle()?;
        let _entered = runtime.enter();
        let records = self.records()?;
        let about = About {
            script: plan.0.script.clone(),
            parameters: plan.0.parameters.clone(),
            plan: Some(plan.0.id.clone()),
            undoes: plan.0.undoes.clone(),
            ..about
        };
        let session = Session::with(self.rules(Mode::Apply, about, &captured.err));
        let gates = self.gates(&session, &plan.0.sites)?;
        let stopped = Arc::clone(&session);
        let registered = self.0.cancel.add(move || stopped.close());
        let say = |text: &str| captured.err.say(text);
        let report = Report { say: &say, has_bar: false, again: "Host::apply" };
        let options = ApplyOptions { skip_drifted, patience: PATIENCE };
        let work = apply::carry_out(&plan.0, &session, &gates, records.as_ref(), options, &report);
        let result = runtime.block_on(work);
        drop(registered);
        let changes = self.changes(&session)?;
        Ok(Outcome {
            result,
            stdout: captured.out.text(),
            stderr: captured.err.text(),
            value: None,
            plan: None,
            changes,
            run_id: session.journal().run(),
        })
    }

    /// Plan of the undo of a run, and the run's whole id.
    fn undo_of(&self, id: &str, captured: &Captured) -> Result<(Plan, String)> {
        let records = self.records()?.ok_or_else(|| no_run(id))?;
        let mut run = records.run(id)?;
        if run.status == RunStatus::Running {
            return Err(Error::new(Kind::Refused, format!("run {} is still running", run.id))
                .hint("wait for its end, or cancel it"));
        }
        let runtime = self.0.runtime.handle()?;
        let _entered = runtime.enter();
        if run.counts.in_doubt > 0 {
            runtime.block_on(self.settle(&records, &run, captured))?;
            run = records.run(&run.id)?;
        }
        let session = Session::with(self.rules(Mode::Plan, About::default(), &captured.err));
        let stopped = Arc::clone(&session);
        let registered = self.0.cancel.add(move || stopped.close());
        let gates = self.gates(&session, &run.sites)?;
        let changes = records.changes(&run.id)?;
        let undoing = runtime.block_on(async {
            check_accounts(&run.sites, &gates).await?;
            undo::plan(&run, &changes, &gates, &UndoSettings::of(&records)?).await
        })?;
        drop(registered);
        for left_out in &undoing.left_out {
            captured.err.say(&format!("left out: {}", left_out.describe(&run.sites)));
        }
        for lost in &undoing.lost {
            captured.err.say(&format!("note: {lost}"));
        }
        let script = run.script.clone().zip(run.script_sha256.clone());
        let plan =
            session.recorder().plan(script, run.parameters.clone(), Some(run.id.clone()), None);
        let plan = crate::session::plan::Plan {
            moot: undoing.moot,
            left_out: undoing.left_out,
            exceeds: session.exceeded(),
            ..plan
        };
        Ok((Plan(plan), run.id))
    }

    /// Settles the changes that a run has left in doubt.
    async fn settle(&self, records: &Records, run: &Run, captured: &Captured) -> Result<()> {
        let session = Session::with(self.rules(Mode::ReadOnly, About::default(), &captured.err));
        let gates = self.gates(&session, &run.sites)?;
        check_accounts(&run.sites, &gates).await?;
        let found = recover::recover(records, run, &gates, PATIENCE).await?;
        let settled = count(found.len() as u64, "change");
        captured.err.say(&format!("run {}: looked up {settled} that were in doubt", run.id));
        Ok(())
    }
}

/// Does work on a thread that is in no async context, with the stack that scripts need.
fn on_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("iamlua-host".into())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .map_err(|error| Error::io("cannot start a thread for the script", error))?;
        thread
            .join()
            .unwrap_or_else(|_| Err(Error::new(Kind::Bug, "the thread of the script has panicked")))
    })
}

/// Converts a function for the VM. A panic becomes an error of the script.
fn offer((name, function): (&String, &Function)) -> (String, AtOnce) {
    let (name, function) = (name.clone(), Arc::clone(function));
    let shown = name.clone();
    let call = move |args: &[Value]| {
        let call = std::panic::AssertUnwindSafe(|| function(args));
        std::panic::catch_unwind(call).unwrap_or_else(|_| {
            Err(Error::new(Kind::Script, format!("the function {shown} of the host panicked")))
        })
    };
    (name, Box::new(call))
}

/// Place of the journal of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Journal {
    /// In memory, where it grows: the host can undo its runs as long as it lives.
    #[default]
    Memory,
    /// In that folder, which is made if need be. Hosts and processes can share it; it is what
    /// `iamlua undo` reads with `IAMLUA_HOME`.
    Folder(PathBuf),
}
