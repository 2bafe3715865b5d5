//! `iamlua apply`: applies a plan file after its approval.

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Runtime;

use super::complete;
use super::options::{LimitOptions, Resolved, TargetOptions, duration};
use super::plan_file::{Approval, PlanFile};
use crate::app::apply::{Report, carry_out as carry_out_in};
use crate::app::{plan_text, run, signals};
use crate::error::{Error, Kind, Result};
use crate::session::apply::ApplyOptions;
use crate::session::journal::About;
use crate::session::journal::records::{Records, claim_plan, claim_undo};
use crate::session::plan::Plan;
use crate::session::recover::PATIENCE;
use crate::session::{Mode, Session};
use crate::state;
use crate::ui::format::count;
use crate::ui::terminal;

/// `iamlua apply`.
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Parser)]
pub struct ApplyCommand {
    /// Plan file made by `iamlua plan -o`, or `-` for standard input.
    #[arg(add = complete::plans())]
    plan: std::path::PathBuf,
    #[command(flatten)]
    approval: Approval,
    /// Apply without asking. Required on AWS where there is no terminal.
    #[arg(long, short = 'y')]
    yes: bool,
    /// Show each change on its own line before asking, instead of grouping similar ones.
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    limits: LimitOptions,
    /// Skip changes that have drifted, instead of stopping.
    ///
    /// These are changes whose profile or role has changed since the plan was made, and changes
    /// that depend on them.
    #[arg(long)]
    skip_drifted: bool,
    #[command(flatten)]
    settle: SettleOptions,
    /// Apply an incomplete plan (its script failed part-way).
    #[arg(long)]
    allow_incomplete: bool,
}

/// Settling of changes that an interrupted run has left in doubt.
#[derive(Debug, clap::Args)]
pub struct SettleOptions {
    /// Time for the changes of an interrupted run to appear.
    ///
    /// A change of it that the account does not show counts as not made from this age on.
    #[arg(long, hide_short_help = true, value_name = "TIME", value_parser = duration, default_value = PATIENCE)]
    settle_after: Duration,
}

impl SettleOptions {
    /// Age from which a change that the account does not show counts as not made.
    pub const fn patience(&self) -> Duration {
        self.settle_after
    }
}

impl ApplyCommand {
    /// Applies the plan.
    pub fn execute(self) -> Result<u8> {
        let file = PlanFile::read(&self.plan)?;
        self.approval.check_hash(&file)?;
        let target = self.target.resolve()?;
        self.approval.check_signature(&file, &target.config.require_signature)?;
        let plan = file.plan()?;
        if let Some(why) = plan.incomplete.as_ref().filter(|_| !self.allow_incomplete) {
            return Err(Error::new(
                Kind::Refused,
                format!("the plan is incomplete: its script failed: {why}"),
            )
            .hint("correct the script and plan again, or make the changes that it has with --allow-incomplete"));
        }
        if let Some(why) = plan.exceeds.as_ref().filter(|_| !self.limits.has_limit()) {
            let refusal = format!("the plan goes beyond the limit it was made under: {why}");
            return Err(Error::new(Kind::Refused, refusal)
                .hint("plan fewer changes, or give --max-changes here, which holds instead"));
        }
        let _ours_alone = match &plan.undoes {
            Some(run) => Some(claim_undo(&state::folder()?, run)?),
            None => None,
        };
        target.refuse_if_read_only()?;
        // Without `--yes`, a person sees the endpoint in the question; an approver has seen it in
        // the plan.
        if self.yes && !self.approval.is_given(&target.config.require_signature) {
            target.check_endpoints(&plan.sites)?;
        }
        if !plan.changes.is_empty() && target.leads_to_aws(&plan.sites) {
            ask(&plan, self.yes, self.full)?;
        }
        let about = About {
            run: None,
            command: "apply".into(),
            script: plan.script.clone(),
            parameters: plan.parameters.clone(),
            plan: Some(plan.id.clone()),
            undoes: plan.undoes.clone(),
        };
        let yes = if self.yes { " --yes" } else { "" };
        let again = format!("iamlua apply {}{yes}", file.word());
        if !plan.outside.is_empty() {
            let are = if plan.outside.len() == 1 { "is" } else { "are" };
            terminal::say(&format!(
                "{} of the plan {are} not part of apply: run the script with --apply to have them",
                plan_text::outside_count(&plan.outside)
            ));
        }
        let options =
            ApplyOptions { skip_drifted: self.skip_drifted, patience: self.settle.patience() };
        let runtime = run::runtime()?;
        let result = apply_plan(&runtime, &plan, &target, &self.limits, options, about, &again);
        runtime.shutdown_background();
        result
    }
}

/// Shows a plan for AWS, and asks for confirmation.
fn ask(plan: &Plan, yes: bool, full: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    let changes = count(plan.changes.len() as u64, "change");
    if run::can_ask() {
        // Without standard error, nobody can be asked.
        terminal::show(&plan_text::plan(plan, full));
    }
    let these = if plan.changes.len() == 1 { "this" } else { "these" };
    match run::confirm(&format!("Make {these} {changes}?"), false) {
        Some(true) => Ok(()),
        Some(false) => Err(Error::new(Kind::Refused, "not confirmed, so nothing was changed")),
        None => Err(Error::new(
            Kind::Refused,
            format!("the plan makes {changes} on AWS, and there is no terminal to ask at"),
        )
        .hint("review it with `iamlua show PLAN`; --yes makes the changes without a question")),
    }
}

/// Applies a plan, and reports the result. `again` is the command that continues after an
/// interruption.
pub fn apply_plan(
    runtime: &Runtime,
    plan: &Plan,
    target: &Resolved,
    limits: &LimitOptions,
    options: ApplyOptions,
    about: About,
    again: &str,
) -> Result<u8> {
    target.refuse_if_read_only()?;
    let folder = state::folder()?;
    let _ours_alone = claim_plan(&folder, &plan.id)?;
    let _entered = runtime.enter();
    let session = Session::with(target.rules(Mode::Apply, limits, about));
    signals::close_on_signals(Arc::clone(&session))?;
    let gates = target.gates(&session, &plan.sites);
    let records = Records::open(&folder)?;
    let report = Report::on_terminal(again);
    let work = carry_out_in(plan, &session, &gates, records.as_ref(), options, &report);
    let result = runtime.block_on(work);
    run::tell_changes(&session);
    result
}
