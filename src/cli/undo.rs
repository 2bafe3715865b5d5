//! `iamlua undo` and `iamlua redo`: undo of a run, and of an undo.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Parser};
use tokio::runtime::Runtime;

use super::apply::{self, SettleOptions};
use super::complete;
use super::options::{LimitOptions, OutputFormat, Resolved, TargetOptions};
use super::run::PlanOptions;
use super::runs::what;
use crate::app::run;
use crate::app::signals;
use crate::error::{Error, Kind, Result};
use crate::session::apply::{ApplyOptions, check_accounts};
use crate::session::journal::records::{RecordedChange, Records, Run, claim_undo, no_run};
use crate::session::journal::{About, RunStatus};
use crate::session::plan::Plan;
use crate::session::recover;
use crate::session::undo::{self, UndoPlan};
use crate::session::{Gate, Mode, Session};
use crate::state;
use crate::ui::format::count;
use crate::ui::terminal;

/// `iamlua undo`.
#[derive(Debug, Parser)]
pub struct UndoCommand {
    /// Run to undo: its id, a prefix or suffix of it, or `last`.
    ///
    /// `last` is the latest run that is neither an undo nor undone.
    #[arg(add = complete::runs(can_undo))]
    run: String,
    #[command(flatten)]
    options: UndoOptions,
}

/// `iamlua redo`.
#[derive(Debug, Parser)]
pub struct RedoCommand {
    /// Undo to revert: the id of the undo or of the run it undid, a prefix or suffix, or `last`.
    #[arg(add = complete::runs(can_redo))]
    run: String,
    #[command(flatten)]
    options: UndoOptions,
}

/// Options of an undo and a redo.
#[derive(Args, Debug)]
struct UndoOptions {
    /// Make the changes.
    ///
    /// Without it they are only shown.
    #[arg(long)]
    apply: bool,
    /// Accepted as in `apply`.
    ///
    /// With --apply no question is asked.
    #[arg(long, short = 'y')]
    yes: bool,
    /// Only this profile or role: web, profile/web, role/web.
    ///
    /// `web` stands for both kinds, `profile/web` or `role/web` for one. Repeatable.
    #[arg(long, value_name = "NAME", add = complete::changed_names())]
    only: Vec<String>,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    settle: SettleOptions,
    /// Output format of the plan.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
}

/// Kind of undo, with its name in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Undo,
    Redo,
}

impl Verb {
    const fn name(self) -> &'static str {
        match self {
            Self::Undo => "undo",
            Self::Redo => "redo",
        }
    }
}

impl UndoCommand {
    /// Shows the undo, and makes it with `--apply`.
    pub fn execute(self) -> Result<u8> {
        self.options.execute(Verb::Undo, &self.run)
    }
}

impl RedoCommand {
    /// Shows the changes that an undo has undone, and makes them again with `--apply`.
    pub fn execute(self) -> Result<u8> {
        self.options.execute(Verb::Redo, &self.run)
    }
}

/// Exit code of `undo last` and `redo last` if no run is left, after a message.
fn nothing(verb: Verb) -> u8 {
    let verb = verb.name();
    terminal::say(&format!("there is no run left to {verb}; `iamlua runs` lists all runs"));
    0
}

/// Finds an undo by its own run, or by the run that it has undone.
fn undo_of(records: &Records, run: Run) -> Result<Run> {
    if run.undoes.is_some() {
        return Ok(run);
    }
    let mut undos = records.runs_that_undo(&run.id)?;
    undos.retain(|undo| undo.counts.standing > 0 || undo.counts.in_doubt > 0);
    match (undos.pop(), undos.is_empty()) {
        (Some(undo), true) => Ok(undo),
        (Some(undo), false) => {
            let ids: Vec<_> = undos.iter().chain([&undo]).map(|undo| undo.id.as_str()).collect();
            Err(Error::usage(format!("run {} was undone in several runs", run.id))
                .hint(format!("name one of them: {}", ids.join(", "))))
        }
        (None, _) => Err(Error::usage(format!("run {} was not undone", run.id))
            .hint("`iamlua runs` lists the runs and what was undone")),
    }
}

/// Check for changes that an undo could take back.
const fn has_changes(run: &Run) -> bool {
    run.counts.standing > 0 || run.counts.in_doubt > 0
}

/// Check for a run to undo.
fn can_undo(run: &Run) -> bool {
    run.command != Verb::Undo.name() && has_changes(run)
}

/// Check for an undo to revert.
fn can_redo(run: &Run) -> bool {
    run.undoes.is_some() && run.command != Verb::Redo.name() && has_changes(run)
}

/// Run that the argument of a command, `undo` or `redo`, names; `None` if `last` names none.
pub(super) fn named(command: &str, id: &str, records: &Records) -> Result<Option<Run>> {
    let verb = if command == Verb::Redo.name() { Verb::Redo } else { Verb::Undo };
    match (id, verb) {
        ("last", _) => last(verb, records),
        (id, Verb::Undo) => records.run(id).map(Some),
        (id, Verb::Redo) => undo_of(records, records.run(id)?).map(Some),
    }
}

/// Run that `last` stands for; `None` if there is none.
fn last(verb: Verb, records: &Records) -> Result<Option<Run>> {
    match verb {
        Verb::Undo => records.last_to_undo(),
        Verb::Redo => records.last_to_redo(),
    }
}

/// Locks the undo of a run for this process, if it is to be made.
fn claim(is_made: bool, folder: &Path, run: &Run) -> Result<Option<File>> {
    if run.status == RunStatus::Running {
        return Err(Error::new(Kind::Refused, format!("run {} is still running", run.id))
            .hint("wait for its end, or stop it"));
    }
    is_made.then(|| claim_undo(folder, &run.id)).transpose()
}

impl UndoOptions {
    fn execute(self, verb: Verb, meant: &str) -> Result<u8> {
        let runtime = run::runtime()?;
        let result = self.execute_on(&runtime, verb, meant);
        runtime.shutdown_background();
        result
    }

    fn execute_on(self, runtime: &Runtime, verb: Verb, meant: &str) -> Result<u8> {
        let _ = self.yes;
        let folder = state::folder()?;
        let Some(records) = Records::open(&folder)? else {
            return if meant == "last" { Ok(nothing(verb)) } else { Err(no_run(meant)) };
        };
        let records = &records;
        let Some(mut earlier) = named(verb.name(), meant, records)? else {
            return Ok(nothing(verb));
        };
        let mut ours_alone = claim(self.apply, &folder, &earlier)?;
        let target = self.target.resolve()?;
        let mut settled = BTreeSet::new();
        loop {
            let mut unsettled = records.runs_that_undo(&earlier.id)?;
            unsettled.push(earlier.clone());
            for run in unsettled {
                let patience = self.settle.patience();
                settle(runtime, records, &run, &target, &self.limits, patience)?;
            }
            settled.insert(earlier.id.clone());
            if meant != "last" {
                break;
            }
            // Settling may show that nothing was changed; `last` is then another run.
            match last(verb, records)? {
                None => return Ok(nothing(verb)),
                Some(run) if settled.contains(&run.id) => break,
                Some(run) => {
                    ours_alone = claim(self.apply, &folder, &run)?;
                    earlier = run;
                }
            }
        }
        let _ours_alone = ours_alone;
        let again = command(verb, &earlier.id, &self.only);
        let earlier = records.run(&earlier.id)?;
        let changes = records.changes(&earlier.id)?;
        check_names(&earlier, &changes, &self.only)?;
        let (plan, undoing, refusal) =
            plan_undo(runtime, records, &earlier, &changes, &target, &self.limits, &self.only)?;
        terminal::say(&format!("{} of run {}: {}", verb.name(), earlier.id, what(&earlier)));
        explain(&earlier, &undoing);
        if plan.changes.is_empty() {
            nothing_left(verb, &earlier, &undoing);
            if !matches!(self.output, OutputFormat::Table) {
                let planning = run::Planning { is_result: true, ..run::Planning::default() };
                run::print_plan(&plan, &planning, self.output.into())?;
            }
            return outcome(&undoing, 0, "");
        }
        let planning = self.plan.planning(true)?;
        if matches!(self.output, OutputFormat::Table) {
            // Changes that are left out were listed above.
            let shown = Plan { left_out: Vec::new(), ..plan.clone() };
            run::print_plan(&shown, &planning, self.output.into())?;
        } else {
            run::print_plan(&plan, &planning, self.output.into())?;
        }
        let _ = std::io::stdout().flush();
        if let Some(file) = &planning.file {
            run::keep_plan(&plan, file, planning.signing_key.as_deref())?;
        }
        if !self.apply {
            let what = match verb {
                Verb::Undo => "Undo it",
                Verb::Redo => "Make the changes again",
            };
            terminal::say(&format!("Plan only. {what} with: {again}"));
            if let Some(why) = refusal {
                return Err(run::over_limit(&why));
            }
            let code = if planning.detailed_exit_code { run::HAS_CHANGES } else { 0 };
            return outcome(&undoing, code, "; the rest can be undone");
        }
        let about = About {
            run: None,
            command: verb.name().into(),
            script: plan.script.clone(),
            parameters: plan.parameters.clone(),
            plan: Some(plan.id.clone()),
            undoes: Some(earlier.id.clone()),
        };
        let options = ApplyOptions { skip_drifted: true, patience: self.settle.patience() };
        let code =
            apply::apply_plan(runtime, &plan, &target, &self.limits, options, about, &again)?;
        if let Some(first) = first_part(records, &earlier)? {
            terminal::say(&format!(
                "run {first} made the first part of the same plan: iamlua undo {first} undoes that"
            ));
        }
        let rest = match verb {
            Verb::Undo => "; the rest was undone",
            Verb::Redo => "; the rest was made again",
        };
        outcome(&undoing, code, rest)
    }
}

/// Prints the reason why a run has nothing to undo.
fn nothing_left(verb: Verb, earlier: &Run, undoing: &UndoPlan) {
    let verb = verb.name();
    terminal::say(&if !undoing.left_out.is_empty() {
        format!("nothing else is left to {verb}")
    } else if undoing.undone_before > 0 {
        format!("there is nothing left to {verb}: run {} was undone before", earlier.id)
    } else {
        format!("there is nothing to {verb}")
    });
}

/// Command that makes the changes that this one shows.
fn command(verb: Verb, run: &str, only: &[String]) -> String {
    let mut command = format!("iamlua {} {run}", verb.name());
    for name in only {
        command.push_str(" --only ");
        command.push_str(&run::quoted(name));
    }
    command + " --apply"
}

/// Exit code of an undo, or a refusal with the number of changes left out. `rest` describes the
/// others.
fn outcome(undoing: &UndoPlan, code: u8, rest: &str) -> Result<u8> {
    match undoing.left_out.len() {
        0 => Ok(code),
        n => Err(Error::new(Kind::Refused, format!("{n} left out, listed above{rest}"))),
    }
}

/// Run of the previous part of the same plan, if its changes are still in place.
fn first_part(records: &Records, run: &Run) -> Result<Option<String>> {
    let Some(plan) = &run.plan else { return Ok(None) };
    let all = records.runs_of_plan(plan)?;
    let earlier = all.into_iter().take_while(|other| other.id != run.id);
    Ok(earlier.filter(|other| other.counts.standing > 0).last().map(|other| other.id))
}

/// Checks that the run has changed the named profiles and roles.
fn check_names(earlier: &Run, changes: &[RecordedChange], only: &[String]) -> Result<()> {
    let has = |name: &String| changes.iter().any(|change| undo::is_of(name, change));
    match only.iter().find(|name| !has(name)) {
        None => Ok(()),
        Some(unknown) => {
            Err(Error::usage(format!("run {} changed nothing named {unknown}", earlier.id))
                .hint(format!("`iamlua runs show {}` lists what it changed", earlier.id)))
        }
    }
}

/// Settles the changes that an interrupted run has left in doubt.
fn settle(
    runtime: &Runtime,
    records: &Records,
    run: &Run,
    target: &Resolved,
    limits: &LimitOptions,
    patience: Duration,
) -> Result<()> {
    if run.counts.in_doubt == 0 {
        return Ok(());
    }
    let session = Session::with(target.rules(Mode::ReadOnly, limits, About::default()));
    let gates = target.gates(&session, &run.sites);
    let settled = runtime.block_on(async {
        check_accounts(&run.sites, &gates).await?;
        recover::recover(records, run, &gates, patience).await
    });
    match settled {
        Ok(found) => {
            let settled = count(found.len() as u64, "change");
            terminal::say(&format!("run {}: looked up {settled} that were in doubt", run.id));
            Ok(())
        }
        // Changes that stay in doubt are left out.
        Err(error) if error.kind == Kind::Connection => {
            terminal::say(&format!("note: {error}"));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Unreachable destinations of a run, among those of the undo.
async fn unreachable(
    run: &Run,
    changes: &[RecordedChange],
    gates: &[Gate],
    options: &undo::UndoSettings,
) -> Result<HashMap<usize, String>> {
    let mut found = HashMap::new();
    let mut first = None;
    let meant = changes.iter().filter(|change| options.is_meant(change) && change.undone.is_none());
    let sites: BTreeSet<usize> = meant.map(|change| change.site).collect();
    for at in &sites {
        let (Some(site), Some(gate)) = (run.sites.get(*at), gates.get(*at)) else { continue };
        let checked = check_accounts(std::slice::from_ref(site), std::slice::from_ref(gate)).await;
        match checked {
            Err(error) if error.kind == Kind::Connection => {
                found.insert(*at, error.to_string());
                first.get_or_insert(error);
            }
            other => other?,
        }
    }
    match first {
        Some(error) if found.len() == sites.len() => Err(error),
        _ => Ok(found),
    }
}

/// Plans the undo of a run.
fn plan_undo(
    runtime: &Runtime,
    records: &Records,
    earlier: &Run,
    changes: &[RecordedChange],
    target: &Resolved,
    limits: &LimitOptions,
    only: &[String],
) -> Result<(Plan, UndoPlan, Option<String>)> {
    let mut options =
        undo::UndoSettings { only: only.to_vec(), ..undo::UndoSettings::of(records)? };
    let _entered = runtime.enter();
    let session = Session::with(target.rules(Mode::Plan, limits, About::default()));
    signals::close_on_signals(Arc::clone(&session))?;
    let gates = target.gates(&session, &earlier.sites);
    let undoing = runtime.block_on(async {
        options.unreachable = unreachable(earlier, changes, &gates, &options).await?;
        undo::plan(earlier, changes, &gates, &options).await
    });
    let undoing = undoing?;
    let plan = session.recorder().plan(
        earlier.script.clone().zip(earlier.script_sha256.clone()),
        earlier.parameters.clone(),
        Some(earlier.id.clone()),
        None,
    );
    let (moot, left_out) = (undoing.moot.clone(), undoing.left_out.clone());
    let exceeds = session.exceeded();
    Ok((Plan { moot, left_out, exceeds: exceeds.clone(), ..plan }, undoing, exceeds))
}

fn explain(earlier: &Run, undoing: &UndoPlan) {
    for left_out in &undoing.left_out {
        terminal::say(&format!("left out: {}", left_out.describe(&earlier.sites)));
    }
    let mut back = undoing.back.clone();
    back.dedup();
    for back in back {
        terminal::say(&format!("undone already: {back}"));
    }
    for lost in &undoing.lost {
        terminal::say(&format!("note: {lost}"));
    }
}
