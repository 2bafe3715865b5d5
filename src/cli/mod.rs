//! Command line: its definition, the dispatch to commands, and the one place where an error is
//! printed and becomes an exit code.

mod account;
mod apply;
mod complete;
mod doc;
mod executions;
mod init;
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
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::emulator::Faults;
use crate::error::{Error, Result};
use crate::ui::terminal;

#[cfg(any(test, fuzzing))]
pub(crate) use runs::everything_shown;

/// Lua scripts for AWS IAM instance profiles, on a local account inside or on AWS.
///
/// With neither a command nor -e it is a prompt at a terminal, and elsewhere runs the script on
/// standard input.
#[derive(Debug, Parser)]
#[command(name = "iamlua", version, max_term_width = 100, args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed, also in part; 2 wrong usage; 3 the plan has changes \
                        (with --detailed-exitcode); 4 refused by a guard; 70 a bug in iamlua; \
                        130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Run this piece of Lua.
    #[arg(short = 'e', long = "execute", value_name = "CODE")]
    code: Option<String>,
    /// At the prompt, use the keys of vi instead of those of Emacs.
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
    /// The output of the script goes to standard output: it is the result, also where it only
    /// plans.
    /// The plan, messages and progress go to standard error.
    Run(run::RunCommand),
    /// Run a script without changing anything, and list what it would change.
    ///
    /// The plan goes to standard output: it is the result, in the format of --output. What the
    /// script prints, messages and progress go to standard error.
    Plan(run::RunCommand),
    /// Show a saved plan: its changes, where it comes from, and the hash to approve it by.
    ///
    /// Nothing but the file is read.
    Show(show::ShowCommand),
    /// Carry out a plan: its changes and no other, if what they rest on is still so.
    ///
    /// The changes go where the plan was made, unless an option or `IAMLUA_TARGET` says otherwise.
    /// On AWS it shows the plan and asks first.
    Apply(apply::ApplyCommand),
    /// Undo a run.
    ///
    /// Shows the changes that undo it; --apply makes them. They go where the run went, unless an
    /// option or `IAMLUA_TARGET` says otherwise. What has changed since the run is left out.
    Undo(undo::UndoCommand),
    /// Undo an undo: make the changes again that it has undone.
    ///
    /// Shows the changes; --apply makes them.
    Redo(undo::RedoCommand),
    /// List, show, export and prune the runs that changed something.
    Runs(runs::RunsCommand),
    /// Run runbooks by themselves, at the moments that their manifests name.
    ///
    /// The scheduler runs until it is told to end. On AWS its jobs plan; with --apply they make
    /// their changes. docs/schedule.md has the rules.
    Schedule(Box<schedule::ScheduleCommand>),
    /// Run scripts again when they, or what they read, have changed.
    ///
    /// The dependencies of a script are what it looked at in its last run: itself, its modules, the
    /// files that it has read. Without --apply it only plans on AWS, and shows what is different in
    /// the plan each time; with it, it asks once which account that is.
    Watch(watch::WatchCommand),
    /// Run the tests of scripts.
    ///
    /// Each test runs on an account of its own, in memory; nothing else is touched.
    Test(test::TestCommand),
    /// Show which account and caller calls reach, and where credentials, region and network come
    /// from.
    ///
    /// The first thing to run when something is odd. It needs no permission.
    Whoami(whoami::WhoamiCommand),
    /// Accept the profile, role and endpoint that the iamlua.toml of a project sets.
    ///
    /// Such a file leads calls elsewhere, so it is asked about the first time, and when it has
    /// changed. Where nobody can be asked, runs are refused until this command accepts it.
    Trust(trust::TrustCommand),
    /// Print the least IAM policy that a runbook needs.
    Policy(policy::PolicyCommand),
    /// Look after the local account.
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Show what a script can name: functions, modules, records.
    ///
    /// The same is in docs/reference.md.
    Doc(doc::DocCommand),
    /// Make a working folder for runbooks.
    ///
    /// The folder gets a sample runbook with its tests, iamlua.toml with all defaults commented
    /// out, and declarations for editors with the Lua language server. What is there already is
    /// left alone, except for the declarations, which are written again.
    Init(init::InitCommand),
    /// Print the script that completes this command line in a shell.
    Completions(shell::CompletionsCommand),
    /// Print the manual page, or write those of all commands.
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
    clap_complete::CompleteEnv::with_factory(Cli::command).var(shell::ASKS).complete();
    let args: Vec<OsString> = std::env::args_os().collect();
    let outcome = parse(args).and_then(|cli| match cli {
        Some(cli) => execute(cli),
        None => Ok(0),
    });
    crate::ui::hidden_input::restore_terminal();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Without standard error, the message is lost.
            let _ = terminal::Messages::default().write_all(error.describe().as_bytes());
            ExitCode::from(error.kind.exit_code())
        }
    }
}

/// Parses the command line; `None` if help was requested and printed.
fn parse(args: Vec<OsString>) -> Result<Option<Cli>> {
    let parsed = Cli::try_parse_from(run::options_first(args));
    match parsed {
        Ok(cli) => Ok(Some(cli)),
        Err(error) if error.use_stderr() => {
            let text = error.to_string();
            let text = text.trim_end();
            Err(Error::usage(text.strip_prefix("error: ").unwrap_or(text)))
        }
        Err(help) => {
            // A closed standard output is no error.
            let _ = help.print();
            Ok(None)
        }
    }
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
