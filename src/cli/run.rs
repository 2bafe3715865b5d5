//! `iamlua run`, `iamlua plan`, `iamlua -e` and a script on standard input.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args, CommandFactory, Parser, ValueEnum};

use super::complete;
use super::options::{LimitOptions, OutputFormat, TargetOptions, duration};
use crate::app::run::{self, Planning, RunSettings};
use crate::app::script::Script;
use crate::config::DefaultMode;
use crate::error::{Error, Result};
use crate::files;
use crate::lua::Show;
use crate::lua::sandbox::{Access, Permissions};
use crate::repl;
use crate::schedule::log::Level;
use crate::session::journal::About;
use crate::session::{Mode, SessionConfig};
use crate::signature::SigningKey;
use crate::ui::terminal;

/// `iamlua run`.
#[derive(Debug, Parser)]
#[command(name = "run")]
pub struct RunCommand {
    #[command(flatten)]
    options: RunOptions,
    /// Script, or `-` for standard input.
    #[arg(add = complete::runbooks())]
    script: PathBuf,
    /// The script's own arguments; `iamlua run SCRIPT --help` lists them.
    ///
    /// Options of iamlua are understood here too, and others that a runbook does not declare are an
    /// error; what comes after `--` is the script's alone.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// Options of all commands that run a script.
#[derive(Args, Debug)]
pub struct RunOptions {
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    mode: ModeOptions,
    #[command(flatten)]
    host: HostOptions,
}

/// Options for the mode.
#[derive(Args, Clone, Debug)]
#[group(multiple = false)]
pub struct ModeOptions {
    /// Make the changes (default on the local account).
    #[arg(long, help_heading = "Mode")]
    apply: bool,
    /// Run the script and list what it would change (default on AWS).
    #[arg(long, help_heading = "Mode")]
    plan: bool,
    /// Refuse every call that changes the account.
    #[arg(long, help_heading = "Mode")]
    read_only: bool,
}

impl ModeOptions {
    pub fn given(&self) -> Option<Mode> {
        let modes =
            [(self.apply, Mode::Apply), (self.plan, Mode::Plan), (self.read_only, Mode::ReadOnly)];
        modes.into_iter().find(|(given, _)| *given).map(|(_, mode)| mode)
    }
}

/// Options for the plan.
#[derive(Args, Debug)]
pub struct PlanOptions {
    /// Save the plan to this file for `iamlua apply`.
    ///
    /// With `-` it goes to standard output, and its text to standard error.
    #[arg(long, short, value_name = "FILE", help_heading = "Plan")]
    out: Option<PathBuf>,
    /// Sign the plan file with this minisign secret key.
    ///
    /// The signature is written to FILE.minisig.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "KEY",
        requires = "out",
        help_heading = "Plan"
    )]
    sign: Option<PathBuf>,
    /// Show each change on its own line instead of grouping similar ones.
    #[arg(long, hide_short_help = true, help_heading = "Plan")]
    full: bool,
    /// Exit with 3 if the plan changes the account.
    #[arg(long, hide_short_help = true, help_heading = "Plan")]
    detailed_exitcode: bool,
}

impl PlanOptions {
    fn is_given(&self) -> bool {
        self.out.is_some() || self.full || self.detailed_exitcode
    }

    /// Plan settings of the run. The password of an encrypted key is asked for here, before the
    /// run.
    pub fn planning(self, is_result: bool) -> Result<Planning> {
        let key = self.sign.as_deref().map(SigningKey::read).transpose()?;
        Ok(Planning {
            is_result,
            file: self.out,
            signing_key: key.map(Arc::new),
            full: self.full,
            detailed_exit_code: self.detailed_exitcode,
        })
    }
}

/// Options for the environment of a script.
#[derive(Args, Debug)]
struct HostOptions {
    #[command(flatten)]
    plan: PlanOptions,
    /// Answer yes to every question.
    ///
    /// Permissions still need their --allow-… flags.
    #[arg(long, short = 'y', help_heading = "Mode")]
    yes: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT", help_heading = "Output")]
    output: OutputFormat,
    /// Progress of bulk work.
    ///
    /// By default it is a bar on a terminal, elsewhere lines, or events with --output jsonl. With
    /// events all of standard error is JSON, one object a line: messages too.
    #[arg(long, hide_short_help = true, value_enum, default_value_t = Progress::Auto, value_name = "HOW", help_heading = "Output")]
    progress: Progress,
    /// Print statistics at the end: calls by operation, throttled calls, elapsed time.
    #[arg(long, hide_short_help = true, help_heading = "Output")]
    stats: bool,
    /// Minimum severity of `log` messages.
    #[arg(long, hide_short_help = true, value_enum, default_value_t = LogLevel::Info, value_name = "LEVEL", help_heading = "Output")]
    log_level: LogLevel,
    /// Time limit of the script: 90s, 15m, 2h.
    #[arg(long, value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    timeout: Option<Duration>,
    /// Memory limit of the script: 512M, 2G.
    #[arg(long, hide_short_help = true, value_parser = bytes, default_value = "1G", value_name = "SIZE", help_heading = "Limits")]
    max_memory: usize,
    #[command(flatten)]
    grants: GrantOptions,
    /// Run programs, write files and send requests even in plan mode, instead of listing them.
    #[arg(long, hide_short_help = true, help_heading = "Permissions")]
    plan_runs_programs: bool,
}

/// Options for permissions of a script on this machine.
#[derive(Args, Clone, Debug)]
#[allow(clippy::struct_field_names, reason = "the flags are called so")]
pub struct GrantOptions {
    /// Allow reading files: below DIR, or everywhere.
    #[arg(long, hide_short_help = true, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "", action = ArgAction::Append, help_heading = "Permissions")]
    allow_read: Vec<String>,
    /// Allow writing files: below DIR, or everywhere.
    #[arg(long, hide_short_help = true, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "", action = ArgAction::Append, help_heading = "Permissions")]
    allow_write: Vec<String>,
    /// Allow reading the environment variable NAME, or all of them.
    #[arg(long, hide_short_help = true, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "", action = ArgAction::Append, help_heading = "Permissions")]
    allow_env: Vec<String>,
    /// Allow running PROGRAM, or any program.
    #[arg(long, hide_short_help = true, value_name = "PROGRAM", num_args = 0..=1, require_equals = true, default_missing_value = "", action = ArgAction::Append, help_heading = "Permissions")]
    allow_run: Vec<String>,
    /// Allow reaching HOST, HOST:PORT, or any host.
    ///
    /// Needed for `http`, `iam.connect` and `on_failure.webhook`. Calls to AWS's hosts and the
    /// run's own endpoint need no permission.
    #[arg(long, hide_short_help = true, value_name = "HOST", num_args = 0..=1, require_equals = true, default_missing_value = "", action = ArgAction::Append, help_heading = "Permissions")]
    allow_net: Vec<String>,
}

/// `--progress`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Progress {
    Auto,
    Bar,
    Lines,
    Events,
    None,
}

impl Progress {
    fn show(self, output: OutputFormat) -> Show {
        match self {
            Self::Auto if matches!(output, OutputFormat::Jsonl) && !terminal::can_draw() => {
                Show::Events
            }
            Self::Auto | Self::Bar if terminal::can_draw() => Show::Bar,
            Self::Auto | Self::Bar | Self::Lines => Show::Lines,
            Self::Events => Show::Events,
            Self::None => Show::Nothing,
        }
    }
}

/// `--log-level`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogLevel {
    /// All.
    Debug,
    /// Normal progress.
    Info,
    /// Problems that do not stop the script.
    Warn,
    /// Failures.
    Error,
}

impl LogLevel {
    pub const fn level(self) -> Level {
        match self {
            Self::Debug => Level::Debug,
            Self::Info => Level::Info,
            Self::Warn => Level::Warn,
            Self::Error => Level::Error,
        }
    }

    pub const fn name(self) -> &'static str {
        self.level().name()
    }
}

/// Parses a size on the command line.
pub fn bytes(text: &str) -> std::result::Result<usize, String> {
    let wrong = || format!("must be a size such as 512M or 2G, got {text:?}");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize = text[..digits].parse().map_err(|_| wrong())?;
    let shift =
        match text[digits..].to_ascii_uppercase().trim_end_matches("IB").trim_end_matches('B') {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            _ => return Err(wrong()),
        };
    let size = number.checked_mul(1 << shift).ok_or_else(wrong)?;
    // Less memory does not hold the embedded modules.
    if size < 4 << 20 { Err(format!("must be at least 4M, got {text}")) } else { Ok(size) }
}

impl GrantOptions {
    /// Permissions for the sandbox.
    pub fn permissions(&self) -> Result<Permissions> {
        let mut permissions = Permissions::default();
        for access in Access::ALL {
            let grants = match access {
                Access::Read => &self.allow_read,
                Access::Write => &self.allow_write,
                Access::Env => &self.allow_env,
                Access::Run => &self.allow_run,
                Access::Net => &self.allow_net,
            };
            for what in grants {
                permissions.allow(access, what)?;
            }
        }
        Ok(permissions)
    }
}

impl RunOptions {
    /// Resolves the settings of a run. `command` is its name in the journal. `planning` applies if
    /// the mode is to plan; a given mode takes precedence.
    pub fn resolve(
        self,
        command: &str,
        mode: Option<Mode>,
        is_result: bool,
    ) -> Result<RunSettings> {
        let show = self.host.progress.show(self.host.output);
        if show == Show::Events {
            terminal::speak_events();
        }
        let target = self.target.resolve()?;
        target.announce();
        let mode = target.mode(mode.or_else(|| self.mode.given()));
        let plan = &self.host.plan;
        if mode != Mode::Plan && (plan.out.is_some() || plan.detailed_exitcode) {
            let flag = if plan.out.is_some() { "--out" } else { "--detailed-exitcode" };
            return Err(Error::usage(format!(
                "{flag} is for a plan, and this run makes its changes"
            ))
            .hint("`iamlua plan SCRIPT`, or --plan, makes a plan"));
        }
        if !is_result && plan.out.as_deref().is_some_and(files::is_output) {
            return Err(Error::usage(
                "--out - writes the plan to standard output, which has what the script prints",
            )
            .hint("`iamlua plan SCRIPT -o -` prints the plan alone"));
        }
        if is_result && matches!(self.host.output, OutputFormat::Csv) {
            return Err(run::no_csv());
        }
        let about = About { command: command.into(), ..About::default() };
        let permissions = self.host.grants.permissions()?;
        let reserved = reserved();
        let HostOptions { plan, yes, output, stats, log_level, timeout, max_memory, .. } =
            self.host;
        Ok(RunSettings {
            rules: SessionConfig {
                plan_runs_programs: self.host.plan_runs_programs,
                ..target.rules(mode, &self.limits, about)
            },
            planning: plan.planning(is_result)?,
            permissions,
            max_memory,
            timeout: timeout.or(target.config.timeout),
            against: target.against,
            format: output.into(),
            show,
            stats,
            yes,
            log_level: log_level.name(),
            reserved,
        })
    }
}

impl RunOptions {
    /// Refuses options for a single plan, in a command that makes several or none.
    pub fn refuse_plan_file(&self) -> Result<()> {
        let PlanOptions { out, detailed_exitcode, .. } = &self.host.plan;
        if out.is_some() || *detailed_exitcode {
            let flag = if out.is_some() { "--out" } else { "--detailed-exitcode" };
            return Err(Error::usage(format!("{flag} is for one plan"))
                .hint("`iamlua plan SCRIPT` makes one"));
        }
        Ok(())
    }

    /// Starts the prompt.
    fn prompt(self, vi: bool) -> Result<u8> {
        if self.host.plan.is_given() {
            return Err(Error::usage(
                "--out, --full and --detailed-exitcode are for a script's plan",
            )
            .hint("at the prompt, `.changes FILE` keeps what is planned"));
        }
        let config = self.target.config()?;
        let is_read_only = config.mode == Some(DefaultMode::ReadOnly);
        let is_read_only_by_config = is_read_only && self.mode.given() != Some(Mode::Apply);
        let run = self.resolve("prompt", None, false)?;
        repl::run(repl::ReplSettings { run, vi, is_read_only_by_config })
    }
}

/// Names of the options of iamlua, which parameters of a runbook cannot have.
pub fn reserved() -> Vec<String> {
    let run = RunCommand::command();
    run.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

impl RunCommand {
    /// Runs the script.
    pub fn execute(self) -> Result<u8> {
        let script =
            if self.script.as_os_str() == "-" { Script::Stdin } else { Script::File(self.script) };
        run::run(&script, &self.args, &self.options.resolve("run", None, false)?)
    }

    /// Runs the script in plan mode, with the text of the plan as the result.
    pub fn plan(self) -> Result<u8> {
        let given = self.options.mode.given();
        if let Some(mode) = given.filter(|mode| *mode != Mode::Plan) {
            let flag = if mode == Mode::Apply { "--apply" } else { "--read-only" };
            return Err(Error::usage(format!("{flag} makes no sense for `iamlua plan`"))
                .hint("`iamlua run SCRIPT --apply` makes the changes, `iamlua apply FILE` those of a plan"));
        }
        let script =
            if self.script.as_os_str() == "-" { Script::Stdin } else { Script::File(self.script) };
        run::run(&script, &self.args, &self.options.resolve("plan", Some(Mode::Plan), true)?)
    }
}

/// Runs without a command: `-e CODE`, or standard input; on a terminal, the prompt. `vi` selects
/// its key bindings.
pub fn default(code: Option<String>, options: RunOptions, vi: bool) -> Result<u8> {
    let script = match code {
        Some(code) => Script::Code(code),
        None if std::io::stdin().is_terminal() => return options.prompt(vi),
        None => Script::Stdin,
    };
    run::run(&script, &[], &options.resolve("run", None, false)?)
}

/// Moves options of iamlua from the arguments of the script to the front of the script, so that
/// `iamlua run SCRIPT … --apply` equals `iamlua run --apply SCRIPT …`. All other arguments stay,
/// also `--help`, and everything after `--`.
pub fn options_first(args: Vec<OsString>) -> Vec<OsString> {
    if args.get(1).is_none_or(|word| word != "run" && word != "plan") {
        return args;
    }
    let Some((options, script, rest)) = parts(&args[2..]) else { return args };
    let mut sorted = args[..2].to_vec();
    sorted.extend(options);
    sorted.extend(["--".into(), script]);
    sorted.extend(rest);
    sorted
}

/// Script among the words of a command line; `None` if it has none yet.
pub fn script_in(words: &[OsString]) -> Option<PathBuf> {
    let (_, script, _) = parts(words.get(2..)?)?;
    (script != "-").then(|| script.into())
}

/// First positional argument of a command among the words after its name.
pub fn first_positional(command: &clap::Command, words: &[OsString]) -> Option<OsString> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match option_of(command, &word.to_string_lossy()) {
            Some(true) => drop(words.next()),
            Some(false) => {}
            None if word.to_string_lossy().starts_with('-') => {}
            None => return Some(word.clone()),
        }
    }
    None
}

/// Options of iamlua, the script, and all other words after it. `None` if there is no script, or an
/// option that iamlua does not know before it.
fn parts(args: &[OsString]) -> Option<(Vec<OsString>, OsString, Vec<OsString>)> {
    let run = RunCommand::command();
    let (mut options, mut script, mut rest) = (Vec::new(), None, Vec::new());
    let mut words = args.iter().cloned();
    while let Some(word) = words.next() {
        if word == "--" {
            if script.is_none() {
                script = words.next();
            }
            // The script receives `--` too, and all arguments after it.
            rest.push(word);
            rest.extend(words);
            break;
        }
        match option_of(&run, &word.to_string_lossy()) {
            Some(takes_next) => {
                options.push(word);
                if takes_next {
                    options.extend(words.next());
                }
            }
            None if script.is_some() => rest.push(word),
            // Clap handles an unknown option, or `--help`.
            None if word != "-" && word.to_string_lossy().starts_with('-') => return None,
            None => script = Some(word),
        }
    }
    script.map(|script| (options, script, rest))
}

/// Checks for an option of a command. `Some(true)`: its value is the next word.
fn option_of(run: &clap::Command, word: &str) -> Option<bool> {
    let (name, has_value) = match word.split_once('=') {
        Some((name, _)) => (name, true),
        None => (word, false),
    };
    let option = run.get_arguments().find(|arg| {
        arg.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long))
            || arg
                .get_short()
                .is_some_and(|short| word.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4])))
    })?;
    if option.get_id() == "help" {
        return None;
    }
    let takes_value = option.get_action().takes_values() && !option.is_require_equals_set();
    Some(takes_value && !has_value)
}
