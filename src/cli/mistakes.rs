//! Command lines that are nearly right: a script in place of a command, and names of commands and
//! options that other programs have.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::run;
use crate::app::run::quoted;
use crate::error::{Error, Kind};
use crate::lua::arguments::{self, PLAN};
use crate::lua::sandbox::Access;

/// Commands of other programs, with those that iamlua has.
const OTHER_COMMANDS: [(&[&str], &str); 9] = [
    (&["lint", "luacheck", "validate", "verify", "vet"], "check"),
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

/// Options of other programs for one command, with what to do.
const OTHER_OPTIONS: [(&str, &[&str], &str); 5] = [
    ("check", &["--sarif"], "did you mean '--output sarif'?"),
    (
        "check",
        &["-q", "--quiet", "--silent", "-s"],
        "only findings are printed, and the exit code is 1 if one is an error",
    ),
    (
        "check",
        &["--fix", "--write", "-w"],
        "iamlua check changes no files; many findings say what to write",
    ),
    ("test", &["--junit", "--junit-xml"], "did you mean '--output junit'?"),
    ("test", &["--tap"], "did you mean '--output tap'?"),
];

/// Arguments that are required, with how to find their values.
const REQUIRED: [(&[&str], &str, &str); 3] = [
    (
        &["undo", "redo", "runs"],
        "<RUN>",
        "`last` is the latest run; `iamlua runs` lists all of them",
    ),
    (
        &["schedule"],
        "<RUN>",
        "`last` is the latest run; `iamlua schedule history` lists all of them",
    ),
    (&["apply", "show"], "<PLAN>", "`iamlua plan SCRIPT -o FILE` makes a plan"),
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
        ErrorKind::InvalidSubcommand => of_command(error, args),
        ErrorKind::UnknownArgument => of_option(error, args, command),
        ErrorKind::ArgumentConflict => of_conflict(error, args),
        ErrorKind::MissingRequiredArgument => of_missing(error, args),
        _ => {}
    }
}

/// Adds a hint to the error of a command where a value of `--allow-…` stands after a blank, and was
/// taken for a script or for an argument of one.
pub fn explain_run(mut error: Error, args: &[OsString]) -> Error {
    if error.kind != Kind::Usage {
        return error;
    }
    let is_named = |word: &str| {
        let words = error.message.split_whitespace();
        let mut words = words.map(|word| word.trim_end_matches([',', ':']));
        words.any(|other| other == word) || error.message.contains(&format!("{word:?}"))
    };
    if let Some(advice) = advice_for_grant(args, is_named) {
        error.hints = vec![advice];
    }
    error
}

/// Advice for a word behind a permission without a value, if it is the one that is meant.
fn advice_for_grant(args: &[OsString], is_meant: impl Fn(&str) -> bool) -> Option<String> {
    let words: Vec<_> = args.iter().take_while(|arg| *arg != "--").collect();
    words.windows(2).find_map(|pair| {
        let (flag, word) = (pair[0].to_str()?, pair[1].to_str()?);
        let is_grant = Access::ALL.iter().any(|access| access.flag("") == format!("{flag}="));
        let word = (is_grant && !word.starts_with('-') && is_meant(word)).then(|| quoted(word))?;
        Some(format!("write {flag}={word}; a word after a blank is another argument"))
    })
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

fn of_missing(error: &mut clap::Error, args: &[OsString]) {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else { return };
    let advice = REQUIRED.iter().find(|(commands, name, _)| {
        let is_command = |arg: &OsString| commands.iter().any(|command| arg == command);
        missing.iter().any(|other| other == name) && args.get(1).is_some_and(is_command)
    });
    if let Some((_, _, advice)) = advice {
        tip(error, &[(*advice).to_owned()]);
    }
}

/// A word after `-e CODE --allow-…` is taken for a command.
fn of_conflict(error: &mut clap::Error, args: &[OsString]) {
    let Some(word) = given(error, ContextKind::InvalidSubcommand) else { return };
    if let Some(advice) = advice_for_grant(args, |other| other == word) {
        tip(error, &[advice]);
    }
}

fn of_command(error: &mut clap::Error, args: &[OsString]) {
    let Some(word) = given(error, ContextKind::InvalidSubcommand) else { return };
    if let Some(advice) = advice_for_grant(args, |other| other == word) {
        error.remove(ContextKind::SuggestedSubcommand);
        return tip(error, &[advice]);
    }
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
    if let Some(advice) = advice_for_grant(args, |other| other == option) {
        error.remove(ContextKind::SuggestedArg);
        return tip(error, &[advice]);
    }
    if option.starts_with('-') {
        // No command here takes a value that begins so.
        error.remove(ContextKind::Suggested);
    }
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
    let of_other = OTHER_OPTIONS
        .iter()
        .find(|(own, names, _)| *own == command.get_name() && names.contains(&name));
    if let Some((_, _, advice)) = of_other {
        error.remove(ContextKind::SuggestedArg);
        return tip(error, &[(*advice).to_owned()]);
    }
    let takes_code = matches!(command.get_name(), "iamlua" | "run");
    if takes_code && matches!(name, "-c" | "--code" | "--command" | "--eval") {
        error.remove(ContextKind::SuggestedArg);
        return tip(error, &["`iamlua -e CODE` runs code".to_owned()]);
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
