//! Shell completion of values: runs, jobs, profiles, regions, files, and the flags of a runbook.
//!
//! A completer only reads. It has no way to report an error: whatever cannot be read has no values.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};

use super::runs::{started, what};
use super::{run, undo};
use crate::app;
use crate::app::script::{Loaded, Script};
use crate::aws;
use crate::escape::visible;
use crate::lua::{Manifest, Output, Param};
use crate::schedule::record::Execution;
use crate::schedule::store::Store;
use crate::session::journal::records::{RecordedChange, Records, Run};
use crate::session::plan::Plan;
use crate::{docs, state, usage};

/// Upper bound on the number of values.
const MAX_VALUES: usize = 100;
/// Number of runs among which those that fit are looked for.
const MAX_RUNS: usize = 1000;
/// Upper bound on the size of a script whose flags are completed.
const MAX_SCRIPT: u64 = 1 << 20;
/// Memory limit of such a script.
const MAX_MEMORY: usize = 64 << 20;
/// Time limit of such a script. An operation that the VM cannot stop ends with the process, a
/// little later.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(1);

/// Journal of the state folder, if there is one.
fn records() -> Option<Records> {
    Records::open(&state::existing_folder().ok()??).ok()?
}

/// Records of the scheduler, if there are any.
fn store() -> Option<Store> {
    Store::open_existing(&state::existing_folder().ok()??).ok()?
}

/// Completer for ids of runs in the journal, the latest first, and `last`. `fits` selects the runs
/// of which the command can make use.
pub fn runs(fits: fn(&Run) -> bool) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let Some(records) = records() else { return last_and(current, []) };
        let mut found = records.runs(MAX_RUNS).unwrap_or_default();
        found.retain(fits);
        let describe = |run: Run| {
            let help = format!("{}, {}, {}", what(&run), started(&run), run.status.name());
            (run.id, help)
        };
        last_and(current, found.into_iter().map(describe))
    })
}

/// Completer for ids of executions of jobs, the latest first, and `last`.
pub fn executions() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let most = u32::try_from(MAX_VALUES).unwrap_or(u32::MAX);
        let found = store().and_then(|store| store.latest(None, most).ok()).unwrap_or_default();
        let describe = |execution: Execution| {
            let outcome = execution.outcome.map_or("not ended", |outcome| outcome.name());
            let help = format!("{}, {:.0}, {outcome}", execution.job, execution.started);
            (execution.run, help)
        };
        last_and(current, found.into_iter().map(describe))
    })
}

/// Completer for `--only`: the profiles and roles that the run on the command line has changed.
/// Without a run there, it is the latest one.
pub fn changed_names() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let changes = changes_of_named_run().unwrap_or_default();
        let mut names: BTreeMap<String, u64> = BTreeMap::new();
        // `profile/` and `role/` tell two of one name apart.
        let is_qualified = current.to_str().is_some_and(|current| current.contains('/'));
        let kinds = |name: &str| {
            let mut of_it = changes.iter().filter(|change| change.name == name);
            let first = of_it.next().map(|change| change.subject);
            of_it.any(|change| Some(change.subject) != first)
        };
        for change in &changes {
            let qualified = format!("{}/{}", change.subject.name(), change.name);
            let is_needed = is_qualified || kinds(&change.name);
            let name = if is_needed { qualified } else { change.name.clone() };
            *names.entry(name).or_default() += 1;
        }
        let help = |(name, n)| (name, crate::ui::format::count(n, "change"));
        candidates(current, names.into_iter().map(help))
    })
}

/// Changes of the run that the command line names and that are not undone.
fn changes_of_named_run() -> Option<Vec<RecordedChange>> {
    let words = words_before();
    let command = super::command();
    let verb = words.get(1)?.to_str()?;
    let command = command.find_subcommand(verb)?;
    let id = run::first_positional(command, &words[2..]);
    let id = id.as_ref().map_or(Some("last"), |id| id.to_str())?;
    let records = records()?;
    let run = undo::named(verb, id, &records).ok()??;
    let mut changes = records.changes(&run.id).ok()?;
    changes.retain(|change| change.undone.is_none());
    Some(changes)
}

/// Completer for names of jobs that have run.
pub fn past_jobs() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let names = store().and_then(|store| store.names().ok()).unwrap_or_default().into_iter();
        candidates(current, names.map(|name| (name, String::new())))
    })
}

/// Completer for a job to run: the jobs that the state folder knows, then runbooks.
pub fn jobs() -> ArgValueCompleter {
    let paths = runbook_paths();
    ArgValueCompleter::new(move |current: &OsStr| {
        let known = store().and_then(|store| store.jobs().ok()).unwrap_or_default();
        let known = known.into_iter().filter(|(path, ..)| Path::new(path).exists());
        let mut found = candidates(current, known.map(|(path, name, _)| (name, path)));
        found.extend(plain(paths.complete(current)));
        found
    })
}

/// Completer for profiles of the shared configuration files.
pub fn profiles() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let found = aws::configured_profiles().unwrap_or_default().into_iter();
        candidates(current, found.map(|(name, region)| (name, region.unwrap_or_default())))
    })
}

/// Completer for regions.
pub fn regions() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let mut names: Vec<_> = usage::known_regions().collect();
        names.sort_unstable();
        candidates(current, names.into_iter().map(|name| (name.to_owned(), String::new())))
    })
}

/// Completer for names of the documentation.
pub fn documented() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let items = docs::items().iter();
        candidates(current, items.map(|item| (item.name.clone(), item.summary.clone())))
    })
}

fn runbook_paths() -> PathCompleter {
    PathCompleter::any().filter(|path| path.extension() == Some(OsStr::new("lua")))
}

/// Completer for Lua files, then folders.
pub fn runbooks() -> ArgValueCompleter {
    let paths = runbook_paths();
    ArgValueCompleter::new(move |current: &OsStr| plain(paths.complete(current)))
}

/// Completer for plan files, then folders.
pub fn plans() -> ArgValueCompleter {
    let paths = PathCompleter::any().filter(is_plan);
    ArgValueCompleter::new(move |current: &OsStr| plain(paths.complete(current)))
}

/// Check for a plan by the first bytes of a file.
fn is_plan(path: &Path) -> bool {
    let mut head = Vec::new();
    // A pipe would keep the shell waiting.
    path.is_file()
        && File::open(path).and_then(|file| file.take(256).read_to_end(&mut head)).is_ok()
        && Plan::is_file(&head)
}

/// Values that begin with the typed text, with descriptions; `last` is the first.
fn last_and(
    current: &OsStr,
    found: impl IntoIterator<Item = (String, String)>,
) -> Vec<CompletionCandidate> {
    let last = ("last".to_owned(), "the latest".to_owned());
    candidates(current, std::iter::once(last).chain(found.into_iter().take(MAX_VALUES)))
}

/// Values that begin with the typed text, in this order, with descriptions.
fn candidates(
    current: &OsStr,
    found: impl IntoIterator<Item = (String, String)>,
) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let fit = found.into_iter().filter(|(value, _)| value.starts_with(current));
    let candidate = |(at, (value, help)): (usize, (String, String))| {
        let help = visible(help.lines().next().unwrap_or_default());
        CompletionCandidate::new(value)
            .help((!help.is_empty()).then(|| help.into()))
            .display_order(Some(at))
    };
    plain(fit.enumerate().map(candidate).collect())
}

/// Values that a shell can show: control characters would act on the terminal, or end the value.
fn plain(mut found: Vec<CompletionCandidate>) -> Vec<CompletionCandidate> {
    found.retain(|candidate| is_shown_as_is(candidate.get_value()));
    found
}

fn is_shown_as_is(value: &OsStr) -> bool {
    value.to_str().is_some_and(|value| visible(value) == value)
}

/// Words of the command line before the one that is completed, as the shell's script hands them
/// over.
fn words_before() -> Vec<OsString> {
    let mut words: Vec<_> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let index = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse().ok());
    // Fish and PowerShell complete the last word.
    words.truncate(index.unwrap_or_else(|| words.len().saturating_sub(1)));
    words
}

/// Command line for completion: `run` and `plan` also have the flags of the runbook that the typed
/// command names.
pub fn command() -> Command {
    let command = super::command();
    let words = words_before();
    let Some(name @ ("run" | "plan")) = words.get(1).and_then(|word| word.to_str()) else {
        return command;
    };
    let Some(script) = run::script_in(&words) else { return command };
    let params = manifest(&script).map(|manifest| manifest.params).unwrap_or_default();
    let is_empty = std::env::args_os().nth(words.len() + 2).is_none_or(|word| word.is_empty());
    command.mut_subcommand(name, |run| with_params(&run, &params, is_empty))
}

/// Copy of a command with the flags of a runbook, which come first. `is_empty`: nothing of the word
/// is typed, so that only the runbook's own flags are offered.
fn with_params(run: &Command, params: &[Param], is_empty: bool) -> Command {
    let mut flags = Vec::new();
    for param in params {
        let is_taken = |arg: &Arg| arg.get_long() == Some(&*param.flag);
        if !run.get_arguments().any(is_taken) && !["help", "version"].contains(&&*param.flag) {
            flags.extend(args_of(param));
        }
    }
    let hides = is_empty && !flags.is_empty();
    let has_flags = !params.is_empty();
    let own = run.get_arguments().cloned().map(|arg| match arg.get_id().as_str() {
        "args" if !has_flags => arg.add(ArgValueCompleter::new(PathCompleter::any())),
        _ if arg.is_positional() => arg,
        _ if hides => arg.hide(true),
        _ => arg,
    });
    Command::new(run.get_name().to_owned()).args(flags).args(own)
}

/// Flags of a parameter: a boolean that is on by default has one to turn it off.
fn args_of(param: &Param) -> Vec<Arg> {
    let flag = |name: String| {
        let help = param.help.as_deref().map(|help| visible(help.lines().next().unwrap_or("")));
        let arg = Arg::new(format!("runbook:{name}")).long(name).help_heading("Runbook");
        match help {
            Some(help) => arg.help(help),
            None => arg,
        }
    };
    let arg = flag(param.flag.clone());
    match &*param.kind {
        "boolean" if param.is_on => {
            let off = flag(format!("no-{}", param.flag)).action(ArgAction::SetTrue);
            vec![off, arg.action(ArgAction::SetTrue).hide(true)]
        }
        "boolean" => vec![arg.action(ArgAction::SetTrue)],
        kind => {
            let arg = arg.num_args(1).action(ArgAction::Append).allow_hyphen_values(true);
            let choices = param.choices.iter().filter(|choice| is_shown_as_is(OsStr::new(choice)));
            let choices: Vec<_> = choices.cloned().collect();
            vec![match kind {
                "file" | "new_file" => arg.value_hint(ValueHint::FilePath),
                _ if choices.is_empty() => arg,
                _ => arg.value_parser(PossibleValuesParser::new(choices)),
            }]
        }
    }
}

/// Manifest of the script at a path. The script has no permissions, prints nothing, and is given
/// up after a short time.
fn manifest(script: &Path) -> Option<Manifest> {
    let path = match script.strip_prefix("~") {
        Ok(below) => std::env::home_dir()?.join(below),
        Err(_) => script.to_owned(),
    };
    let about = path.metadata().ok()?;
    if !about.is_file() || about.len() > MAX_SCRIPT {
        return None;
    }
    let (found, finds) = channel();
    let find = move || {
        let _ = found.send(declared(path));
    };
    std::thread::Builder::new().spawn(find).ok()?;
    finds.recv_timeout(SCRIPT_TIMEOUT + SCRIPT_TIMEOUT / 2).ok().flatten()
}

fn declared(path: PathBuf) -> Option<Manifest> {
    let loaded = Loaded::read(&Script::File(path)).ok()?;
    let runtime = app::run::runtime().ok()?;
    let sink = || Box::new(io::sink());
    let inspection = app::run::Inspection {
        output: Output::new(sink(), sink()),
        log: Some(Box::new(|_, _, _| {})),
        timeout: SCRIPT_TIMEOUT,
        max_memory: MAX_MEMORY,
        is_planned: true,
        ..app::run::Inspection::default()
    };
    let declared = app::run::inspect(loaded, runtime.handle(), inspection);
    runtime.shutdown_background();
    declared.ok().flatten()
}
