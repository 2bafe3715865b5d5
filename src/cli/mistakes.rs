//! Command lines that are nearly right: a script in place of a command, and names of commands and
//! options that other programs have.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::run;
use crate::lua::arguments::{self, PLAN};

/// Commands of other programs, with those that iamlua has.
const OTHER_COMMANDS: [(&[&str], &str); 8] = [
    (&["exec", "execute", "start", "lua", "launch", "do"], "run"),
    (&["dry-run", "dryrun", "preview", "diff"], "plan"),
    (&["rollback", "revert"], "undo"),
    (&["history", "log", "logs", "journal"], "runs"),
    (&["docs"], "doc"),
    (&["new", "create"], "init"),
    (&["cron", "daemon", "scheduler"], "schedule"),
    (&["tests"], "test"),
];

/// Words of other programs that are no command here, with what to do.
const OTHER_WORDS: [(&[&str], &str); 5] = [
    (&["version"], "`iamlua --version` shows the version"),
    (
        &["repl", "shell", "console", "prompt", "interactive"],
        "`iamlua` without a command opens the prompt, at a terminal",
    ),
    (
        &["list", "ls", "profiles", "get"],
        "a script lists profiles: iamlua -e 'report(iam.profiles.each())'",
    ),
    (&["serve", "reset", "import", "export"], "the local account has it: `iamlua account --help`"),
    (&["destroy", "delete"], "a script deletes profiles; `iamlua undo RUN` undoes a run"),
];

/// Inserts `run` before a script that stands where a command belongs: a `.lua` file, or a path.
pub fn script_first(mut args: Vec<OsString>, command: &clap::Command) -> Vec<OsString> {
    let words = args.get(1..).unwrap_or_default();
    let Some(word) = run::first_positional(command, words) else { return args };
    let is_command =
        word == "help" || word.to_str().is_some_and(|word| command.find_subcommand(word).is_some());
    let runs_code = words.iter().take_while(|other| **other != word).any(|other| {
        other.to_str().is_some_and(|other| other.starts_with("-e") || other.starts_with("--exec"))
    });
    // The system names a script that begins with `#!` by its path.
    let is_path = word.to_str().is_some_and(|word| word.contains('/'));
    let is_script = is_path || Path::new(&word).extension().is_some_and(|end| end == "lua");
    if is_script && !is_command && !runs_code {
        args.insert(1, "run".into());
    }
    args
}

/// Adds what is meant to an error of the command line.
pub fn explain(error: &mut clap::Error, args: &[OsString], command: &clap::Command) {
    match error.kind() {
        ErrorKind::InvalidSubcommand => of_command(error),
        ErrorKind::UnknownArgument => of_option(error, args, command),
        _ => {}
    }
}

fn given(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    }
}

fn tip(error: &mut clap::Error, tips: &[String]) {
    let tips = tips.iter().map(StyledStr::from).collect();
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
}

fn of_command(error: &mut clap::Error) {
    let Some(word) = given(error, ContextKind::InvalidSubcommand) else { return };
    let other = OTHER_COMMANDS.iter().find(|(names, _)| names.contains(&word.as_str()));
    if let Some((_, own)) = other {
        let own = ContextValue::Strings(vec![(*own).to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, own);
        return;
    }
    if let Some((_, advice)) = OTHER_WORDS.iter().find(|(names, _)| names.contains(&word.as_str()))
    {
        error.remove(ContextKind::SuggestedSubcommand);
        tip(error, &[(*advice).to_owned()]);
    }
}

fn of_option(error: &mut clap::Error, args: &[OsString], command: &clap::Command) {
    let Some(option) = given(error, ContextKind::InvalidArg) else { return };
    let mut command = command;
    for word in args.iter().skip(1).filter_map(|word| word.to_str()) {
        match command.find_subcommand(word) {
            Some(inner) => command = inner,
            None if word.starts_with('-') => {}
            None => break,
        }
    }
    let known: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    let flags: Vec<_> = known.iter().map(|name| format!("--{name}")).collect();
    let name = option.split_once('=').map_or(option.as_str(), |(name, _)| name);
    let has = |flag: &str| flags.iter().any(|known| known == flag);
    if arguments::is_dry_run(name) && !has("--plan") && has("--apply") {
        error.remove(ContextKind::SuggestedArg);
        return tip(error, &["without --apply nothing is changed".to_owned()]);
    }
    if name == "-v" && command.get_name() == "iamlua" {
        return tip(error, &["did you mean '--version'?".to_owned()]);
    }
    if matches!(name, "-f" | "--file" | "--script") {
        error.remove(ContextKind::SuggestedArg);
        return tip(error, &["a script is named without an option: iamlua run SCRIPT".to_owned()]);
    }
    let near = arguments::similar(name, flags.iter().map(String::as_str));
    let mut tips: Vec<_> = near.iter().map(|near| format!("did you mean '{near}'?")).collect();
    if near.as_deref() == Some("--plan") {
        tips.push(PLAN.to_owned());
    }
    if !tips.is_empty() {
        error.remove(ContextKind::SuggestedArg);
        tip(error, &tips);
    }
}
