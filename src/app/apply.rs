//! Application of a plan, with its display: the plan, the progress, and the result.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::app::run;
use crate::error::{Error, Kind, Result};
use crate::lua::throttled_text;
use crate::session::apply::{self, ApplyOptions, Summary};
use crate::session::destination::{
    AccountKey, Destination, Places, account_lines, describe_accounts,
};
use crate::session::journal::LeftOut;
use crate::session::journal::records::Records;
use crate::session::plan::{Change, Plan};
use crate::session::{Gate, Session};
use crate::ui::format::{count, number};
use crate::ui::terminal;

/// Interval of progress lines, where there is no bar.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Receiver of the messages of an application.
pub struct Report<'a> {
    /// Prints a line for people.
    pub say: &'a dyn Fn(&str),
    /// Draw a progress bar on the terminal.
    pub has_bar: bool,
    /// Command that continues after a stop.
    pub again: &'a str,
}

impl Report<'_> {
    /// Report on the terminal.
    #[must_use]
    pub fn on_terminal(again: &str) -> Report<'_> {
        Report { say: &terminal::say, has_bar: terminal::can_draw(), again }
    }

    fn say(&self, text: &str) {
        (self.say)(text);
    }
}

/// Applies a plan through gates of an applying session, which reach its destinations, and reports
/// the result. Changes that earlier runs have made, according to the records, are not made again.
///
/// # Errors
/// The error that stopped it before its end, or the changes that were left out.
pub async fn carry_out(
    plan: &Plan,
    session: &Arc<Session>,
    gates: &[Gate],
    records: Option<&Records>,
    options: ApplyOptions,
    report: &Report<'_>,
) -> Result<u8> {
    apply::check_accounts(&plan.sites, gates).await?;
    let earlier = apply::done_before(records, plan, gates, options).await?;
    let done = &earlier.done;
    if done.len() < plan.changes.len() {
        plan.check_scan(Timestamp::now())?;
    }
    if let Some(gate) = gates.first() {
        gate.admits((plan.changes.len() - done.len()) as u64).await?;
    }
    announce(plan, done, report);
    let total = plan.changes.len() as u64;
    let mut told = Instant::now();
    let bar = report.has_bar.then(|| terminal::Bar::new("apply", Some(total)));
    let summary = apply::apply(plan, session, gates, &earlier, options, |behind| {
        if let Some(bar) = &bar {
            let throttled = throttled_text(session, session.throttled());
            bar.show(behind, throttled.trim_start_matches("; ").to_owned());
        } else if told.elapsed() > LINE_INTERVAL {
            told = Instant::now();
            report.say(&format!("{} of {} changes", number(behind), number(total)));
        }
    })
    .await;
    drop(bar);
    session.journal().leave_out(left_out(plan, &summary));
    let result = conclude(plan, summary, report);
    match run::end(session, &result).await {
        Ok(()) => result,
        Err(error) => Err(error),
    }
}

fn announce(plan: &Plan, done: &BTreeSet<u64>, report: &Report<'_>) {
    let left = plan.changes.len() - done.len();
    if plan.changes.is_empty() {
        report.say("the plan has no changes");
        return;
    }
    if left == 0 {
        report.say(&format!("nothing is left to do: {} done before", number(done.len() as u64)));
        return;
    }
    let earlier = match done.len() as u64 {
        0 => String::new(),
        n => format!("; {} done before", number(n)),
    };
    let left = count(left as u64, "change");
    let accounts = by_account(plan, done);
    if accounts.len() < 2 {
        let account = describe_accounts(accounts.into_values().map(|(site, _)| site));
        report.say(&format!("{left} to {account}{earlier}"));
        return;
    }
    report.say(&format!("{left} to {}{earlier}", count(accounts.len() as u64, "account")));
    for line in account_lines(&accounts, |changes| count(*changes, "change")) {
        report.say(&format!("  {line}"));
    }
}

/// Number of remaining changes by account.
fn by_account<'a>(
    plan: &'a Plan,
    done: &BTreeSet<u64>,
) -> BTreeMap<AccountKey<'a>, (&'a Destination, u64)> {
    let mut accounts = BTreeMap::new();
    for change in plan.changes.iter().filter(|change| !done.contains(&change.number)) {
        if let Some(site) = plan.sites.get(change.site) {
            accounts.entry(site.account_key()).or_insert((site, 0)).1 += 1;
        }
    }
    accounts
}

/// Profiles, roles and single changes that are left unchanged.
fn left_out(plan: &Plan, summary: &Summary) -> Vec<LeftOut> {
    let skipped = summary.skipped.iter().map(|(change, reason)| LeftOut {
        site: plan.sites.get(change.site).cloned(),
        subject: change.subject,
        name: change.name.clone(),
        action: Some(change.action.clone()),
        reason: reason.clone(),
    });
    plan.left_out.iter().cloned().chain(skipped).collect()
}

fn conclude(plan: &Plan, summary: Summary, report: &Report<'_>) -> Result<u8> {
    let again = report.again;
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
    let places = Places::of(&plan.sites);
    let what = |change: &Change| {
        let subject = places.describe(change.site, change.subject, &change.name);
        format!("{} {subject}", change.action)
    };
    for (change, why) in &summary.skipped {
        report.say(&format!("left out: {}: {why}", what(change)));
    }
    for (change, error) in &summary.failed {
        report.say(&format!("failed: {}: {error}", what(change)));
    }
    if summary.earlier < plan.changes.len() as u64 {
        report.say(&words.join(", "));
    }
    match summary.stopped {
        Some(error) if matches!(error.kind, Kind::Refused | Kind::Protected) => Err(error),
        Some(error) => Err(error.hint(format!("`{again}` again does what is left"))),
        None if !summary.failed.is_empty() => {
            let failed = count(summary.failed.len() as u64, "change");
            let rest = if summary.done > 0 { "; the rest was done" } else { "" };
            Err(Error::new(Kind::Aws, format!("{failed} failed, listed above{rest}"))
                .hint(format!("`{again}` again does what is left")))
        }
        None if !summary.skipped.is_empty() => Err(Error::new(
            Kind::Refused,
            format!(
                "{} left out, listed above: what they rest on has changed since the plan",
                count(summary.skipped.len() as u64, "change")
            ),
        )),
        None => Ok(0),
    }
}
