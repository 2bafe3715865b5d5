//! `iamlua undo`: takes a run back.

use std::io::Write;
use std::sync::Arc;

use clap::Parser;

use super::apply::{self, HowOptions};
use super::options::{LimitOptions, OutputFormat, TargetOptions};
use super::run::PlanOptions;
use crate::error::{Error, Kind, Result};
use crate::run;
use crate::session::apply::check_accounts;
use crate::session::journal::About;
use crate::session::journal::records::{Records, no_run};
use crate::session::plan::Plan;
use crate::session::undo::{self, Undoing};
use crate::session::{Mode, Session};
use crate::state;

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
        if earlier.counts.in_doubt > 0 {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "nobody knows of {} of run {} whether they happened",
                    crate::plan_text::count(earlier.counts.in_doubt, "change"),
                    earlier.id
                ),
            )
            .hint(format!("`iamlua runs recover {}` finds out", earlier.id)));
        }
        let changes = records.changes(&earlier.id)?;
        if let Some(unknown) = self
            .only
            .iter()
            .find(|name| !changes.iter().any(|change| change.name.eq_ignore_ascii_case(name)))
        {
            return Err(Error::usage(format!(
                "run {} changed nothing named {unknown}",
                earlier.id
            ))
            .hint(format!("`iamlua runs show {}` lists what it changed", earlier.id)));
        }
        let target = self.target.resolve()?;
        let (plan, undoing) = {
            let runtime = run::runtime()?;
            let _entered = runtime.enter();
            let session = Session::with(target.rules(Mode::Plan, &self.limits, About::default()));
            run::close_on_signals(Arc::clone(&session))?;
            let gates = target.gates(&session, &earlier.sites);
            let undoing = runtime.block_on(async {
                let as_it_was = Plan {
                    sites: earlier.sites.clone(),
                    ..session.recorder().plan(None, None, None, None)
                };
                check_accounts(&as_it_was, &gates).await?;
                undo::plan(&earlier.id, &changes, &gates, &self.only).await
            })?;
            let plan = Plan {
                moot: undoing.moot.clone(),
                ..session.recorder().plan(
                    earlier.script.clone().zip(earlier.script_sha256.clone()),
                    earlier.parameters.clone(),
                    Some(earlier.id.clone()),
                    None,
                )
            };
            runtime.shutdown_background();
            (plan, undoing)
        };
        explain(&undoing);
        if !undoing.conflicts.is_empty() && !self.how.skip_drifted() {
            return Err(Error::new(
                Kind::Refused,
                format!("run {} cannot be taken back as it is: the account has moved on since", earlier.id),
            )
            .hint("nothing was changed; --skip-drifted leaves such changes as they are, --only NAME takes back a part"));
        }
        if plan.changes.is_empty() {
            run::say(if undoing.undone_before > 0 {
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
            run::say(&format!("nothing was changed: `iamlua undo {} --apply` does it", earlier.id));
            return Ok(if planning.detailed_exit_code { run::HAS_CHANGES } else { 0 });
        }
        let about = About {
            command: "undo".into(),
            script: plan.script.clone(),
            parameters: plan.parameters.clone(),
            plan: Some(plan.id.clone()),
            undoes: Some(earlier.id),
        };
        apply::carry_out(&plan, &target, &self.limits, &self.how, about)
    }
}

fn explain(undoing: &Undoing) {
    for conflict in &undoing.conflicts {
        run::say(&format!("moved on: {conflict}"));
    }
    for lost in &undoing.lost {
        run::say(&format!("note: {lost}"));
    }
}
