//! `iamlua undo`: takes a run back.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use super::apply::{self, HowOptions};
use super::options::{LimitOptions, OutputFormat, Resolved, TargetOptions};
use super::run::PlanOptions;
use crate::error::{Error, Kind, Result};
use crate::session::apply::check_accounts;
use crate::session::journal::About;
use crate::session::journal::records::{Recorded, Records, Run, no_run};
use crate::session::plan::Plan;
use crate::session::recover;
use crate::session::site::Places;
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
    /// Do it; without this the way back is only shown.
    #[arg(long)]
    apply: bool,
    /// Take back only the changes of this profile or role; can be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    how: HowOptions,
    /// How the plan is written.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
}

impl UndoCommand {
    /// Shows the way back, and goes it with `--apply`.
    pub fn execute(self) -> Result<u8> {
        let records = Records::open(&state::folder()?)?.ok_or_else(|| no_run(&self.run))?;
        let earlier = records.run(&self.run)?;
        if earlier.status == "running" {
            return Err(Error::new(Kind::Refused, format!("run {} is still going", earlier.id))
                .hint("wait for its end, or stop it"));
        }
        let again = self.command(&earlier.id);
        let target = self.target.resolve()?;
        settle_earlier_tries(&records, &earlier, &target, &self.limits, self.how.patience())?;
        let changes = records.changes(&earlier.id)?;
        check(&earlier, &changes, &self.only, self.how.skip_drifted())?;
        let (plan, undoing) = way_back(&earlier, &changes, &target, &self.limits, &self.only)?;
        explain(&undoing);
        if !undoing.conflicts.is_empty() && !self.how.skip_drifted() {
            return Err(Error::new(
                Kind::Refused,
                format!("run {} cannot be taken back as it is: the account has moved on since", earlier.id),
            )
            .hint("nothing was changed; --skip-drifted leaves such changes as they are, --only NAME takes back a part"));
        }
        if plan.changes.is_empty() {
            screen::say(if undoing.undone_before > 0 {
                "there is nothing left to take back: it was undone before"
            } else {
                "there is nothing to take back"
            });
            return Ok(0);
        }
        let planning = self.plan.planning(true);
        run::print_plan(&plan, &planning, self.output.into())?;
        let _ = std::io::stdout().flush();
        if let Some(file) = &planning.file {
            run::keep_plan(&plan, file)?;
        }
        if !self.apply {
            screen::say(&format!("nothing was changed: `{again}` does it"));
            return Ok(if planning.detailed_exit_code { run::HAS_CHANGES } else { 0 });
        }
        let about = About {
            run: None,
            command: "undo".into(),
            script: plan.script.clone(),
            parameters: plan.parameters.clone(),
            plan: Some(plan.id.clone()),
            undoes: Some(earlier.id),
        };
        let code = apply::carry_out(&plan, &target, &self.limits, &self.how, about, &again)?;
        if undoing.conflicts.is_empty() {
            return Ok(code);
        }
        let left = count(undoing.conflicts.len() as u64, "conflict");
        Err(Error::new(Kind::Refused, format!("not all was taken back: {left}, listed above")))
    }

    /// The command that takes back what this one shows.
    fn command(&self, run: &str) -> String {
        let mut command = format!("iamlua undo {run}");
        for name in &self.only {
            command.push_str(" --only ");
            command.push_str(&run::quoted(name));
        }
        if self.how.skip_drifted() {
            command.push_str(" --skip-drifted");
        }
        command + " --apply"
    }
}

/// Whether the run has changed what is named, and it is known what became of that.
fn check(earlier: &Run, changes: &[Recorded], only: &[String], skip_drifted: bool) -> Result<()> {
    let has = |name: &String| changes.iter().any(|change| change.name.eq_ignore_ascii_case(name));
    if let Some(unknown) = only.iter().find(|name| !has(name)) {
        return Err(Error::usage(format!("run {} changed nothing named {unknown}", earlier.id))
            .hint(format!("`iamlua runs show {}` lists what it changed", earlier.id)));
    }
    let is_meant =
        |name: &str| only.is_empty() || only.iter().any(|only| only.eq_ignore_ascii_case(name));
    let places = Places::of(&earlier.sites);
    let mut open: Vec<_> = changes
        .iter()
        .filter(|change| change.is_open() && is_meant(&change.name))
        .map(|change| places.describe(change.site, change.subject, &change.name))
        .collect();
    open.dedup();
    if open.is_empty() || skip_drifted {
        return Ok(());
    }
    let unknown = format!(
        "nobody knows whether all changes of run {} have happened: {}",
        earlier.id,
        some(&open)
    );
    Err(Error::new(Kind::Refused, unknown).hint(format!(
        "`iamlua runs recover {}` finds out; --skip-drifted leaves these as they are, --only NAME takes back a part",
        earlier.id
    )))
}

/// Settles what an undo of the same run has left in doubt that was interrupted.
fn settle_earlier_tries(
    records: &Records,
    earlier: &Run,
    target: &Resolved,
    limits: &LimitOptions,
    patience: Duration,
) -> Result<()> {
    for again in records.runs_that_undo(&earlier.id)? {
        if again.counts.in_doubt == 0 {
            continue;
        }
        let runtime = run::runtime()?;
        let session = Session::with(target.rules(Mode::ReadOnly, limits, About::default()));
        let gates = target.gates(&session, &again.sites);
        let settled = runtime.block_on(async {
            check_accounts(&again.sites, &gates).await?;
            recover::recover(records, &again, &gates, patience).await
        });
        runtime.shutdown_background();
        settled?;
    }
    Ok(())
}

/// Plans the way back of a run.
fn way_back(
    earlier: &Run,
    changes: &[Recorded],
    target: &Resolved,
    limits: &LimitOptions,
    only: &[String],
) -> Result<(Plan, Undoing)> {
    let runtime = run::runtime()?;
    let _entered = runtime.enter();
    let session = Session::with(target.rules(Mode::Plan, limits, About::default()));
    signals::close_on_signals(Arc::clone(&session))?;
    let gates = target.gates(&session, &earlier.sites);
    let undoing = runtime.block_on(async {
        check_accounts(&earlier.sites, &gates).await?;
        undo::plan(earlier, changes, &gates, only).await
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

/// The first names of a list, and how many more there are.
fn some(names: &[String]) -> String {
    const MOST: usize = 5;
    let shown = names.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn explain(undoing: &Undoing) {
    for conflict in &undoing.conflicts {
        screen::say(&format!("moved on: {conflict}"));
    }
    for back in &undoing.back {
        screen::say(&format!("back already: {back}"));
    }
    for lost in &undoing.lost {
        screen::say(&format!("note: {lost}"));
    }
}
