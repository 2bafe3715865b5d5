//! `iamlua apply`: carries out a plan file.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use super::options::{LimitOptions, Resolved, TargetOptions, duration, read_plan};
use crate::error::{Error, Kind, Result};
use crate::lua::throttled_text;
use crate::session::apply::{self, Options, Summary};
use crate::session::journal::About;
use crate::session::journal::records::{Records, claim_plan};
use crate::session::plan::Plan;
use crate::session::recover::PATIENCE;
use crate::session::site::Site;
use crate::session::{Mode, Session};
use crate::words::{count, number};
use crate::{run, screen};
use crate::{signals, state};

/// `iamlua apply`.
#[derive(Debug, Parser)]
pub struct ApplyCommand {
    /// The plan, as `iamlua plan -o` made it, or `-` for standard input.
    plan: PathBuf,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    how: HowOptions,
    /// Carry out a plan whose script did not run to its end.
    #[arg(long)]
    allow_incomplete: bool,
}

/// How a plan is carried out.
#[derive(Debug, clap::Args)]
pub struct HowOptions {
    /// Leave out changes whose profile or role is not as it was when the plan was made, instead of stopping there.
    #[arg(long)]
    skip_drifted: bool,
    /// How old a change of an interrupted try must be before it counts that the account does not show it.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = PATIENCE)]
    settle_after: Duration,
}

impl HowOptions {
    /// How old a change must be before it counts that the account does not show it.
    pub const fn patience(&self) -> Duration {
        self.settle_after
    }

    /// Whether what has changed is left out.
    pub const fn skip_drifted(&self) -> bool {
        self.skip_drifted
    }
}

impl ApplyCommand {
    /// Carries the plan out.
    pub fn execute(self) -> Result<u8> {
        let plan = read_plan(&self.plan)?;
        if let Some(why) = plan.incomplete.as_ref().filter(|_| !self.allow_incomplete) {
            return Err(Error::new(
                Kind::Refused,
                format!("the plan is not whole, because its script failed: {why}"),
            )
            .hint("mend the script and plan again, or carry out what there is with --allow-incomplete"));
        }
        let target = self.target.resolve()?;
        let about = About {
            command: "apply".into(),
            script: plan.script.clone(),
            parameters: plan.parameters.clone(),
            plan: Some(plan.id.clone()),
            undoes: plan.undoes.clone(),
        };
        let again = format!("iamlua apply {}", run::quoted(&self.plan.display().to_string()));
        carry_out(&plan, &target, &self.limits, &self.how, about, &again)
    }
}

/// Carries out a plan, and says what came of it; `again` is the command that goes on where this one has stopped.
pub fn carry_out(
    plan: &Plan,
    target: &Resolved,
    limits: &LimitOptions,
    how: &HowOptions,
    about: About,
    again: &str,
) -> Result<u8> {
    target.refuse_if_read_only()?;
    let folder = state::folder()?;
    let _ours_alone = claim_plan(&folder, &plan.id)?;
    let runtime = run::runtime()?;
    let _entered = runtime.enter();
    let session = Session::with(target.rules(Mode::Apply, limits, about));
    signals::close_on_signals(Arc::clone(&session))?;
    let gates = target.gates(&session, &plan.sites);
    let result = runtime.block_on(async {
        apply::check_accounts(&plan.sites, &gates).await?;
        let records = Records::open(&folder)?;
        let options = Options { skip_drifted: how.skip_drifted, patience: how.settle_after };
        let done = apply::done_before(records.as_ref(), plan, &gates, options).await?;
        if let Some(gate) = gates.first() {
            gate.admits((plan.changes.len() - done.len()) as u64).await?;
        }
        announce(plan, &done);
        let total = plan.changes.len() as u64;
        let mut told = std::time::Instant::now();
        let bar = screen::can_draw().then(|| screen::Bar::new("apply", Some(total)));
        let summary = apply::apply(plan, &session, &gates, &done, options, |behind| {
            if let Some(bar) = &bar {
                let throttled = throttled_text(&session, session.throttled());
                bar.show(behind, throttled.trim_start_matches("; ").to_owned());
            } else if told.elapsed() > Duration::from_secs(5) {
                told = std::time::Instant::now();
                screen::say(&format!("{} of {} changes", number(behind), number(total)));
            }
        })
        .await;
        drop(bar);
        let result = conclude(plan, summary, again);
        match run::end(&session, &result).await {
            Ok(()) => result,
            Err(error) => Err(error),
        }
    });
    runtime.shutdown_background();
    run::tell_changes(&session);
    result
}

fn announce(plan: &Plan, done: &BTreeSet<u64>) {
    let places: BTreeSet<_> = plan.sites.iter().map(Site::describe).collect();
    let places = places.into_iter().collect::<Vec<_>>().join(" and ");
    let left = plan.changes.len() - done.len();
    if plan.changes.is_empty() {
        screen::say("the plan has no changes");
        return;
    }
    if left == 0 {
        screen::say(&format!("nothing is left to do: {} done before", number(done.len() as u64)));
        return;
    }
    let earlier = match done.len() as u64 {
        0 => String::new(),
        n => format!("; {} done before", number(n)),
    };
    screen::say(&format!("{} to {}{earlier}", count(left as u64, "change"), places));
}

fn conclude(plan: &Plan, summary: Summary, again: &str) -> Result<u8> {
    let mut words = vec![format!("{} done", number(summary.done))];
    for (count, what) in [
        (summary.earlier, "done before"),
        (summary.skipped.len() as u64, "left out"),
        (summary.failed.len() as u64, "failed"),
        (summary.left, "not begun"),
    ] {
        if count > 0 {
            words.push(format!("{} {what}", number(count)));
        }
    }
    for (change, why) in &summary.skipped {
        screen::say(&format!(
            "left out: {} {} {}: {why}",
            change.action,
            change.subject.name(),
            change.name
        ));
    }
    for (change, error) in &summary.failed {
        screen::say(&format!(
            "failed: {} {} {}: {error}",
            change.action,
            change.subject.name(),
            change.name
        ));
    }
    if summary.earlier < plan.changes.len() as u64 {
        screen::say(&words.join(", "));
    }
    match summary.stopped {
        Some(error) if matches!(error.kind, Kind::Refused | Kind::Protected) => Err(error),
        Some(error) => Err(error.hint(format!("`{again}` again does what is left"))),
        None if !summary.skipped.is_empty() => Err(Error::new(
            Kind::Refused,
            format!(
                "{} left out because the account has moved on",
                count(summary.skipped.len() as u64, "change")
            ),
        )),
        None => Ok(0),
    }
}
