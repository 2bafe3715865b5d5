//! `iamlua undo`: undoes a run.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use super::apply::{self, SettleOptions};
use super::options::{LimitOptions, OutputFormat, Resolved, TargetOptions};
use super::run::PlanOptions;
use crate::error::{Error, Kind, Result};
use crate::session::apply::{Options, check_accounts};
use crate::session::journal::About;
use crate::session::journal::records::{Recorded, Records, Run, claim_undo, no_run};
use crate::session::plan::Plan;
use crate::session::recover;
use crate::session::undo::{self, Undoing};
use crate::session::{Gate, Mode, Session};
use crate::words::count;
use crate::{run, screen};
use crate::{signals, state};

/// `iamlua undo`.
#[derive(Debug, Parser)]
pub struct UndoCommand {
    /// The run, by its id, the beginning or end of that, or `last`.
    run: String,
    /// Make the undo; without this it is only shown.
    #[arg(long)]
    apply: bool,
    /// Taken as `apply` takes it; an undo with --apply asks no question.
    #[arg(long, short = 'y')]
    yes: bool,
    /// Undo only the changes of this profile or role; can be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    settle: SettleOptions,
    /// How the plan is written.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
}

impl UndoCommand {
    /// Shows the undo, and makes it with `--apply`.
    pub fn execute(self) -> Result<u8> {
        let _ = self.yes;
        let folder = state::folder()?;
        let records = Records::open(&folder)?.ok_or_else(|| no_run(&self.run))?;
        let earlier = records.run(&self.run)?;
        if earlier.status == "running" {
            return Err(Error::new(Kind::Refused, format!("run {} is still going", earlier.id))
                .hint("wait for its end, or stop it"));
        }
        let _ours_alone = if self.apply { Some(claim_undo(&folder, &earlier.id)?) } else { None };
        let again = self.command(&earlier.id);
        let target = self.target.resolve()?;
        let mut unsettled = records.runs_that_undo(&earlier.id)?;
        unsettled.push(earlier.clone());
        for run in unsettled {
            settle(&records, &run, &target, &self.limits, self.settle.patience())?;
        }
        let earlier = records.run(&earlier.id)?;
        let changes = records.changes(&earlier.id)?;
        check_names(&earlier, &changes, &self.only)?;
        let (plan, undoing) =
            plan_undo(&records, &earlier, &changes, &target, &self.limits, &self.only)?;
        explain(&undoing);
        if plan.changes.is_empty() {
            screen::say(if !undoing.left_out.is_empty() {
                "nothing else is left to undo"
            } else if undoing.undone_before > 0 {
                "there is nothing left to undo: it was undone before"
            } else {
                "there is nothing to undo"
            });
            return outcome(&undoing, 0, "");
        }
        let planning = self.plan.planning(true)?;
        run::print_plan(&plan, &planning, self.output.into())?;
        let _ = std::io::stdout().flush();
        if let Some(file) = &planning.file {
            run::keep_plan(&plan, file, planning.signing_key.as_deref())?;
        }
        if !self.apply {
            screen::say(&format!("Plan only. Undo it with: {again}"));
            let code = if planning.detailed_exit_code { run::HAS_CHANGES } else { 0 };
            return outcome(&undoing, code, "; the rest can be undone");
        }
        let about = About {
            run: None,
            command: "undo".into(),
            script: plan.script.clone(),
            parameters: plan.parameters.clone(),
            plan: Some(plan.id.clone()),
            undoes: Some(earlier.id.clone()),
        };
        let options = Options { skip_drifted: true, patience: self.settle.patience() };
        let code = apply::carry_out(&plan, &target, &self.limits, options, about, &again)?;
        if let Some(first) = first_part(&records, &earlier)? {
            screen::say(&format!(
                "run {first} made the first part of the same plan: iamlua undo {first} undoes that"
            ));
        }
        outcome(&undoing, code, "; the rest was undone")
    }

    /// The command that undoes what this one shows.
    fn command(&self, run: &str) -> String {
        let mut command = format!("iamlua undo {run}");
        for name in &self.only {
            command.push_str(" --only ");
            command.push_str(&run::quoted(name));
        }
        command + " --apply"
    }
}

/// Exit code of an undo, or the refusal that says how much was left out. `rest` says what becomes
/// of the others.
fn outcome(undoing: &Undoing, code: u8, rest: &str) -> Result<u8> {
    match undoing.left_out.len() {
        0 => Ok(code),
        n => Err(Error::new(Kind::Refused, format!("{n} left out, listed above{rest}"))),
    }
}

/// The run that made the part of a plan before that of this one, if it stands.
fn first_part(records: &Records, run: &Run) -> Result<Option<String>> {
    let Some(plan) = &run.plan else { return Ok(None) };
    let mut earlier = records.runs_of_plan(plan)?;
    earlier.retain(|other| other.id < run.id && other.counts.standing > 0);
    Ok(earlier.pop().map(|other| other.id))
}

/// Checks that the run has changed what is named.
fn check_names(earlier: &Run, changes: &[Recorded], only: &[String]) -> Result<()> {
    let has = |name: &String| changes.iter().any(|change| change.name.eq_ignore_ascii_case(name));
    match only.iter().find(|name| !has(name)) {
        None => Ok(()),
        Some(unknown) => {
            Err(Error::usage(format!("run {} changed nothing named {unknown}", earlier.id))
                .hint(format!("`iamlua runs show {}` lists what it changed", earlier.id)))
        }
    }
}

/// Settles what a run has left in doubt that was interrupted.
fn settle(
    records: &Records,
    run: &Run,
    target: &Resolved,
    limits: &LimitOptions,
    patience: Duration,
) -> Result<()> {
    if run.counts.in_doubt == 0 {
        return Ok(());
    }
    let runtime = run::runtime()?;
    let session = Session::with(target.rules(Mode::ReadOnly, limits, About::default()));
    let gates = target.gates(&session, &run.sites);
    let settled = runtime.block_on(async {
        check_accounts(&run.sites, &gates).await?;
        recover::recover(records, run, &gates, patience).await
    });
    runtime.shutdown_background();
    match settled {
        Ok(found) => {
            let settled = count(found.len() as u64, "change");
            screen::say(&format!("run {}: looked up {settled} that were in doubt", run.id));
            Ok(())
        }
        // What stays in doubt is left out.
        Err(error) if error.kind == Kind::Connection => {
            screen::say(&format!("note: {error}"));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Sites of a run that cannot be reached, of those that the undo is about.
async fn unreachable(
    run: &Run,
    changes: &[Recorded],
    gates: &[Gate],
    options: &undo::Options,
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
    records: &Records,
    earlier: &Run,
    changes: &[Recorded],
    target: &Resolved,
    limits: &LimitOptions,
    only: &[String],
) -> Result<(Plan, Undoing)> {
    let mut options = undo::Options { only: only.to_vec(), ..undo::Options::of(records)? };
    let runtime = run::runtime()?;
    let _entered = runtime.enter();
    let session = Session::with(target.rules(Mode::Plan, limits, About::default()));
    signals::close_on_signals(Arc::clone(&session))?;
    let gates = target.gates(&session, &earlier.sites);
    let undoing = runtime.block_on(async {
        options.unreachable = unreachable(earlier, changes, &gates, &options).await?;
        undo::plan(earlier, changes, &gates, &options).await
    });
    runtime.shutdown_background();
    let undoing = undoing?;
    let plan = session.recorder().plan(
        earlier.script.clone().zip(earlier.script_sha256.clone()),
        earlier.parameters.clone(),
        Some(earlier.id.clone()),
        None,
    );
    Ok((Plan { moot: undoing.moot.clone(), ..plan }, undoing))
}

fn explain(undoing: &Undoing) {
    for left_out in &undoing.left_out {
        screen::say(&format!("left out: {left_out}"));
    }
    let mut back = undoing.back.clone();
    back.dedup();
    for back in back {
        screen::say(&format!("undone already: {back}"));
    }
    for lost in &undoing.lost {
        screen::say(&format!("note: {lost}"));
    }
}
