//! Command line: its definition, the dispatch to commands, and the one place where an error is
//! printed and becomes an exit code.

mod account;
mod apply;
mod check;
mod complete;
mod doc;
mod executions;
mod init;
mod mistakes;
mod options;
mod output;
mod plan_file;
mod policy;
mod run;
mod runs;
mod schedule;
mod shell;
mod show;
mod test;
mod trust;
mod undo;
mod watch;
mod whoami;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::builder::Styles;
use clap::{CommandFactory, Parser, Subcommand};

use crate::emulator::Faults;
use crate::error::{Error, Kind, Result};
use crate::ui::terminal;

#[cfg(any(test, fuzzing))]
pub(crate) use runs::everything_shown;

/// Lua scripts for AWS IAM instance profiles, on a local account inside or on AWS.
///
/// `iamlua FILE.lua` is `iamlua run FILE.lua`. Without a command, a file and -e it opens a prompt
/// at a terminal, and otherwise runs the script on standard input.
#[derive(Debug, Parser)]
#[command(
    name = "iamlua",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    styles = styles()
)]
#[command(
    // The options of `run`, which the prompt and -e have too, are for --help.
    mut_args(|arg| {
        let is_of_run = arg.get_help_heading().is_some();
        arg.hide_short_help(is_of_run)
    }),
    after_help = "-e and the prompt take the options of `iamlua run` too.",
    after_long_help = "Exit codes: 0 done; 1 failed, also in part; 2 wrong usage; 3 the plan has \
                       changes (with --detailed-exitcode); 4 refused by a guard; 70 a bug in \
                       iamlua; 130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Run this Lua code.
    #[arg(short = 'e', long = "execute", value_name = "CODE")]
    code: Option<String>,
    /// Use vi key bindings at the prompt instead of Emacs ones.
    #[arg(long, conflicts_with = "code")]
    vi: bool,
    #[command(flatten)]
    run: run::RunOptions,
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
enum Command {
    /// Run a script.
    ///
    /// The script's output goes to standard output, in plan mode too. The plan, messages and
    /// progress go to standard error.
    Run(run::RunCommand),
    /// Run a script in plan mode: list its changes, make none.
    ///
    /// The plan goes to standard output, in the format of --output. The script's output, messages
    /// and progress go to standard error.
    Plan(run::RunCommand),
    /// Show a saved plan, its origin and the hash to approve.
    ///
    /// Only the file is read.
    Show(show::ShowCommand),
    /// Apply a saved plan, and only it, if the account has not drifted.
    ///
    /// The changes go to the account that the plan was made for, unless an option or
    /// `IAMLUA_TARGET` says otherwise. On AWS the plan is shown, and you are asked first.
    Apply(apply::ApplyCommand),
    /// Undo a run.
    ///
    /// Previews the undo; --apply makes it. It goes to the account of the run, unless an option or
    /// `IAMLUA_TARGET` says otherwise. What has changed since the run is skipped.
    Undo(undo::UndoCommand),
    /// Revert an undo.
    ///
    /// Previews the changes; --apply makes them.
    Redo(undo::RedoCommand),
    /// List, show, export and prune recorded runs.
    Runs(runs::RunsCommand),
    /// Run runbooks on the schedules in their manifests.
    ///
    /// The scheduler runs until SIGTERM or SIGINT. On AWS its jobs only plan unless --apply is
    /// given. See docs/schedule.md.
    Schedule(Box<schedule::ScheduleCommand>),
    /// Rerun scripts when they, or the files they read, change.
    ///
    /// A script depends on what it read in its last run: itself, its modules, its data files. On
    /// AWS it only plans unless --apply is given, and shows how the plan has changed; with --apply
    /// you confirm the account once.
    Watch(watch::WatchCommand),
    /// Check scripts without running them.
    ///
    /// Finds syntax errors, misspelt names and options, wrong manifests and allow-lists. Errors are
    /// certain to fail at run time; warnings are most likely mistakes. Exit codes: 0 no errors, 1
    /// errors, 2 wrong usage. Columns are counted in characters. See docs/check.md.
    Check(check::CheckCommand),
    /// Run Lua tests.
    ///
    /// Each test has its own in-memory account; nothing else is touched.
    Test(test::TestCommand),
    /// Show the account, the caller, and the origin of settings.
    ///
    /// The settings are credentials, region, endpoints and network. Run it first when something is
    /// odd. It needs no permission.
    Whoami(whoami::WhoamiCommand),
    /// Trust the target that a project's iamlua.toml sets.
    ///
    /// A file that sets profile, role or endpoint redirects calls, so you are asked the first time
    /// it is used, and when it changes. Without a terminal, runs are refused until this command
    /// trusts it.
    Trust(trust::TrustCommand),
    /// Print the least-privilege IAM policy of a runbook.
    Policy(policy::PolicyCommand),
    /// Manage the local account.
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Show documentation of functions, modules and records.
    ///
    /// docs/reference.md has the same.
    Doc(doc::DocCommand),
    /// Create a project folder for runbooks.
    ///
    /// Writes a sample runbook with tests, a commented iamlua.toml, and declarations for the Lua
    /// language server. Existing files are kept, except for the declarations, which are updated.
    Init(init::InitCommand),
    /// Print the shell completion script.
    ///
    /// Commands, options and values are completed: runs, jobs, profiles, regions, plan files, and
    /// the flags of a runbook. For these the runbook runs up to its manifest, without permissions,
    /// with no output, and for at most a second.
    Completions(shell::CompletionsCommand),
    /// Print the manual page, or write the pages of all commands.
    Man(shell::ManCommand),
}

/// Parses `--faults`. Error and hints become one text, because clap prints nothing else.
fn faults(text: &str) -> std::result::Result<Faults, String> {
    text.parse().map_err(|error: Error| {
        let hints = error.hints.iter().map(|hint| format!("; {hint}"));
        format!("{error}{}", hints.collect::<String>())
    })
}

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    // A request for shell completion ends the process here.
    clap_complete::CompleteEnv::with_factory(complete::command)
        .var(shell::COMPLETE_VARIABLE)
        .complete();
    let args: Vec<OsString> = std::env::args_os().collect();
    let cli = match parse(args.clone()) {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    let outcome = execute(cli);
    crate::ui::hidden_input::restore_terminal();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let error = mistakes::explain_run(error, &args);
            terminal::tell(&error);
            ExitCode::from(error.kind.exit_code())
        }
    }
}

/// Parses the command line. If there is nothing to run, help or an error was printed, and the exit
/// code is returned.
fn parse(args: Vec<OsString>) -> std::result::Result<Cli, u8> {
    let command = command();
    let args = run::options_first(mistakes::script_first(args, &command));
    Cli::try_parse_from(&args).map_err(|mut error| {
        if error.use_stderr() {
            mistakes::explain(&mut error, &args, &command);
            let text = error.render().ansi().to_string();
            terminal::show(&format!("{}\n", text.trim_end()));
            return Kind::Usage.exit_code();
        }
        // A closed standard output is no error.
        let _ = error.print();
        0
    })
}

/// Definition of the command line.
fn command() -> clap::Command {
    Cli::command()
}

/// Styles of help and of errors of the command line, with the headings of all other errors.
fn styles() -> Styles {
    Styles::styled().error(terminal::ERROR).valid(terminal::HINT)
}

fn execute(cli: Cli) -> Result<u8> {
    match cli.command {
        Some(Command::Run(command)) => command.execute(),
        Some(Command::Plan(command)) => command.plan(),
        Some(Command::Show(command)) => command.execute(),
        Some(Command::Apply(command)) => command.execute(),
        Some(Command::Undo(command)) => command.execute(),
        Some(Command::Redo(command)) => command.execute(),
        Some(Command::Runs(command)) => command.execute(),
        Some(Command::Schedule(command)) => command.execute(),
        Some(Command::Watch(command)) => command.execute(),
        Some(Command::Check(command)) => command.execute(),
        Some(Command::Test(command)) => command.execute(),
        Some(Command::Whoami(command)) => command.execute(),
        Some(Command::Trust(command)) => command.execute(),
        Some(Command::Policy(command)) => command.execute(),
        Some(Command::Account(command)) => command.execute(),
        Some(Command::Doc(command)) => command.execute(),
        Some(Command::Init(command)) => command.execute(),
        Some(Command::Completions(command)) => command.execute(),
        Some(Command::Man(command)) => command.execute(Cli::command()),
        None => run::default(cli.code, cli.run, cli.vi),
    }
}
