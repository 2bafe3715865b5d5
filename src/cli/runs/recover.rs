//! `iamlua runs recover`: lookup of the changes that a run has left in doubt.

use std::time::Duration;

use clap::Args;

use super::super::complete;
use super::super::options::{LimitOptions, TargetOptions, duration};
use crate::app::plan_text::{self, ChangeText};
use crate::app::run;
use crate::cli::output::print;
use crate::error::{Error, Kind, Result};
use crate::iam::snapshot::Effect;
use crate::session::apply::check_accounts;
use crate::session::destination::Places;
use crate::session::journal::records::{Records, no_run};
use crate::session::journal::{About, RunStatus};
use crate::session::recover::{self, describe};
use crate::session::{Mode, Session};
use crate::state;
use crate::ui::format::count;
use crate::ui::terminal;

#[derive(Args, Debug)]
pub struct RecoverCommand {
    /// Run: its id, a prefix or suffix of it, or `last`.
    #[arg(add = complete::runs(|run| run.counts.in_doubt > 0))]
    run: String,
    /// Age at which a change that the account does not show counts as not made (IAM is eventually
    /// consistent).
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = recover::PATIENCE)]
    settle_after: Duration,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    limits: LimitOptions,
}

impl RecoverCommand {
    /// Looks the changes up, and prints the findings.
    pub fn execute(self) -> Result<u8> {
        let records = Records::open(&state::folder()?)?.ok_or_else(|| no_run(&self.run))?;
        let earlier = records.run(&self.run)?;
        if earlier.counts.in_doubt == 0 && earlier.status != RunStatus::Running {
            records.close(&earlier.id)?;
            terminal::say(&format!("nothing of run {} is in doubt", earlier.id));
            return Ok(0);
        }
        let target = self.target.resolve()?;
        let runtime = run::runtime()?;
        let _entered = runtime.enter();
        let session = Session::with(target.rules(Mode::ReadOnly, &self.limits, About::default()));
        let gates = target.gates(&session, &earlier.sites);
        let findings = runtime.block_on(async {
            check_accounts(&earlier.sites, &gates).await?;
            recover::recover(&records, &earlier, &gates, self.settle_after).await
        });
        runtime.shutdown_background();
        let findings = findings?;
        let mut unclear = 0;
        let places = Places::of(&earlier.sites);
        for finding in &findings {
            let verdict = match &finding.verdict {
                Effect::Happened => "happened".to_owned(),
                Effect::NotHappened => "did not happen".to_owned(),
                Effect::Drifted(differences) => {
                    unclear += 1;
                    format!(
                        "cannot be told, because the account has changed since: {}",
                        describe(differences, "after the change")
                    )
                }
            };
            let change = &finding.change;
            let shown = ChangeText::recorded(change, places.account(change.site));
            print(&format!("{}: {verdict}\n", plan_text::line(&shown)))?;
        }
        if unclear > 0 {
            return Err(Error::new(
                Kind::State,
                format!("{} still in doubt", count(unclear, "change")),
            )
            .hint("look at the account, and decide what should be there"));
        }
        Ok(0)
    }
}
