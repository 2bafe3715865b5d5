//! `iamlua run`, `iamlua -e` and a script on standard input.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, CommandFactory, Parser, ValueEnum};

use crate::emulator::Faults;
use crate::error::{Error, Result};
use crate::lua::Format;
use crate::lua::sandbox::{Access, Permissions};
use crate::run::{self, Against, AwsTarget, Options, Script};
use crate::session::Mode;
use crate::spec;

/// `iamlua run`.
#[derive(Debug, Parser)]
#[command(name = "run")]
pub struct RunCommand {
    #[command(flatten)]
    options: RunOptions,
    /// The script, or `-` for standard input.
    script: PathBuf,
    /// The script's own arguments; `iamlua run SCRIPT --help` lists those of a runbook. Options of iamlua are understood here
    /// too; what comes after `--` is the script's alone.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// The options of everything that runs a script.
#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct RunOptions {
    /// Run against AWS instead of the local account. Reads only, unless --apply is given.
    #[arg(long, help_heading = "Target")]
    aws: bool,
    /// The profile of ~/.aws/config to use (implies --aws).
    #[arg(long, value_name = "NAME", help_heading = "Target")]
    profile: Option<String>,
    /// The AWS region.
    #[arg(long, value_name = "REGION", help_heading = "Target")]
    region: Option<String>,
    /// The role to assume (implies --aws).
    #[arg(long, value_name = "ARN", help_heading = "Target")]
    role_arn: Option<String>,
    /// Where to send the calls instead of AWS (implies --aws).
    #[arg(long, value_name = "URL", value_parser = url, help_heading = "Target")]
    endpoint_url: Option<String>,
    /// Bad weather on the local account: latency=20ms,throttle=50/100,error=1%,lost=1%,lag=2s,seed=7.
    #[arg(long, value_name = "LIST", value_parser = super::faults, help_heading = "Target")]
    faults: Option<Faults>,
    /// Let the script change the account. On the local account that is the default.
    #[arg(long, conflicts_with = "read_only", help_heading = "Mode")]
    apply: bool,
    /// Refuse every call that would change the account.
    #[arg(long, help_heading = "Mode")]
    read_only: bool,
    /// Answer every question with yes.
    #[arg(long, short = 'y', help_heading = "Mode")]
    yes: bool,
    /// How results are written.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT", help_heading = "Output")]
    output: OutputFormat,
    /// The least severe messages of `log` that are shown.
    #[arg(long, value_enum, default_value_t = LogLevel::Info, value_name = "LEVEL", help_heading = "Output")]
    log_level: LogLevel,
    /// Stop the script after this time: 90s, 15m, 2h.
    #[arg(long, value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    timeout: Option<Duration>,
    /// The most memory for Lua values: 512M, 2G.
    #[arg(long, value_parser = bytes, default_value = "1G", value_name = "SIZE", help_heading = "Limits")]
    max_memory: usize,
    /// Let the script read files, below DIR or all.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "", action = ArgAction::Append, help_heading = "Permissions")]
    allow_read: Vec<String>,
    /// Let the script write files, below DIR or all.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, default_missing_value = "", action = ArgAction::Append, help_heading = "Permissions")]
    allow_write: Vec<String>,
    /// Let the script read the environment variable NAME, or all.
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "", action = ArgAction::Append, help_heading = "Permissions")]
    allow_env: Vec<String>,
    /// Let the script run PROGRAM, or all.
    #[arg(long, value_name = "PROGRAM", num_args = 0..=1, require_equals = true, default_missing_value = "", action = ArgAction::Append, help_heading = "Permissions")]
    allow_run: Vec<String>,
}

/// `--output`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum OutputFormat {
    /// Aligned columns for people.
    Table,
    /// One JSON array.
    Json,
    /// One JSON value a line.
    Jsonl,
    /// Comma-separated values.
    Csv,
}

impl From<OutputFormat> for Format {
    fn from(format: OutputFormat) -> Self {
        match format {
            OutputFormat::Table => Self::Table,
            OutputFormat::Json => Self::Json,
            OutputFormat::Jsonl => Self::Jsonl,
            OutputFormat::Csv => Self::Csv,
        }
    }
}

/// `--log-level`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

fn duration(text: &str) -> std::result::Result<Duration, String> {
    let seconds = spec::parse_duration(text)?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn url(text: &str) -> std::result::Result<String, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        Ok(text.to_owned())
    } else {
        Err("must begin with http:// or https://".into())
    }
}

fn bytes(text: &str) -> std::result::Result<usize, String> {
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
    // Below that not even the embedded modules fit.
    if size < 4 << 20 { Err(format!("must be at least 4M, got {text}")) } else { Ok(size) }
}

impl RunOptions {
    fn against(&self) -> Result<Against> {
        let by_variable = match std::env::var("IAMLUA_TARGET").as_deref() {
            Ok("aws") => true,
            Ok("local" | "") | Err(_) => false,
            Ok(other) => {
                return Err(Error::usage(format!("IAMLUA_TARGET is {other:?}"))
                    .hint("it must be \"aws\" or \"local\""));
            }
        };
        let named =
            self.profile.is_some() || self.role_arn.is_some() || self.endpoint_url.is_some();
        if !(self.aws || by_variable || named) {
            return Ok(Against::Local(self.faults.clone().unwrap_or_default()));
        }
        if self.faults.is_some() {
            return Err(Error::usage(
                "--faults are for the local account, and this run is against AWS",
            ));
        }
        Ok(Against::Aws(AwsTarget {
            profile: self.profile.clone(),
            region: self.region.clone(),
            role_arn: self.role_arn.clone(),
            endpoint_url: self.endpoint_url.clone(),
        }))
    }

    fn permissions(&self) -> Result<Permissions> {
        let mut permissions = Permissions::default();
        for access in Access::ALL {
            let grants = match access {
                Access::Read => &self.allow_read,
                Access::Write => &self.allow_write,
                Access::Env => &self.allow_env,
                Access::Run => &self.allow_run,
            };
            for what in grants {
                permissions.allow(access, what)?;
            }
        }
        Ok(permissions)
    }

    fn resolve(self) -> Result<Options> {
        let against = self.against()?;
        // Nothing is written to AWS unless the user said so.
        let may_write = self.apply || matches!(against, Against::Local(_));
        Ok(Options {
            mode: if may_write && !self.read_only { Mode::Apply } else { Mode::ReadOnly },
            permissions: self.permissions()?,
            against,
            max_memory: self.max_memory,
            timeout: self.timeout,
            format: self.output.into(),
            yes: self.yes,
            log_level: self.log_level.name(),
            reserved: RunCommand::command()
                .get_arguments()
                .filter_map(|arg| arg.get_long().map(str::to_owned))
                .collect(),
        })
    }
}

impl RunCommand {
    /// Runs the script.
    pub fn execute(self) -> Result<u8> {
        let script =
            if self.script.as_os_str() == "-" { Script::Stdin } else { Script::File(self.script) };
        run::run(&script, self.args, self.options.resolve()?)
    }
}

/// Without a command: `-e CODE`, or standard input; at a terminal, where neither is, the help.
pub fn default(
    code: Option<String>,
    options: RunOptions,
    help: impl FnOnce() -> String,
) -> Result<u8> {
    let script = match code {
        Some(code) => Script::Code(code),
        None if std::io::stdin().is_terminal() => {
            return Err(Error::usage(format!("there is nothing to run\n\n{}", help().trim_end())));
        }
        None => Script::Stdin,
    };
    run::run(&script, Vec::new(), options.resolve()?)
}

/// `iamlua run SCRIPT … --apply` means the same as `iamlua run --apply SCRIPT …`: moves options of iamlua that stand among the
/// script's arguments before the script. All else is the script's, `--help` too, and so is everything after `--`.
pub fn options_first(args: Vec<OsString>) -> Vec<OsString> {
    if args.get(1).is_none_or(|word| word != "run") {
        return args;
    }
    let run = RunCommand::command();
    let (mut options, mut script, mut rest) = (Vec::new(), None, Vec::new());
    let mut words = args[2..].iter().cloned();
    while let Some(word) = words.next() {
        if word == "--" {
            if script.is_none() {
                script = words.next();
            }
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
            // An option that is not known, or `--help`: clap says so.
            None if word != "-" && word.to_string_lossy().starts_with('-') => return args,
            None => script = Some(word),
        }
    }
    let Some(script) = script else { return args };
    let mut sorted = args[..2].to_vec();
    sorted.extend(options);
    sorted.extend(["--".into(), script]);
    sorted.extend(rest);
    sorted
}

/// Whether a word is an option of `run`, and if so, whether its value is the next word.
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
