//! `iamlua undo`: undoes a run.

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
use crate::session::{Mode, Session};
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
            return outcome(&undoing, 0, "what is listed above is");
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
            return outcome(&undoing, code, "the rest can be undone; what is listed above is");
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
        outcome(&undoing, code, "the rest was undone; what is listed above is")
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

/// Exit code of an undo, or the refusal that says how much was left out.
fn outcome(undoing: &Undoing, code: u8, rest: &str) -> Result<u8> {
    match undoing.left_out.len() as u64 {
        0 => Ok(code),
        n => Err(Error::new(
            Kind::Refused,
            format!("{} left as it is: {rest} not undone", count(n, "profile or role")),
        )),
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
    settled.map(|_| ())
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
    let identities = records.identities()?;
    let runtime = run::runtime()?;
    let _entered = runtime.enter();
    let session = Session::with(target.rules(Mode::Plan, limits, About::default()));
    signals::close_on_signals(Arc::clone(&session))?;
    let gates = target.gates(&session, &earlier.sites);
    let undoing = runtime.block_on(async {
        check_accounts(&earlier.sites, &gates).await?;
        undo::plan(earlier, changes, &gates, only, &identities).await
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
    for back in &undoing.back {
        screen::say(&format!("undone already: {back}"));
    }
    for lost in &undoing.lost {
        screen::say(&format!("note: {lost}"));
    }
}
