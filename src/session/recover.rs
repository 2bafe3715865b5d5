//! Recovery of changes in doubt: they were sent by a run that was killed, or all their answers were
//! lost. The account is read to determine whether each has happened.

use std::time::Duration;

use jiff::Timestamp;

use super::destination::Places;
use super::journal::records::{RecordedChange, Records, Run};
use super::journal::{ChangeOutcome, Settled};
use super::{Gate, reads};
use crate::error::{Error, Kind, Result};
use crate::iam::snapshot::{Difference, Effect, Snapshot, verdict};
use crate::session::journal::RunStatus;

/// Minimum age of a change, by default, before its absence from the account counts: IAM is
/// eventually consistent.
pub const PATIENCE: &str = "10s";

/// An open change, and its effect in the account.
#[derive(Debug)]
pub struct Finding {
    /// The open change.
    pub change: RecordedChange,
    /// Effect that the account shows.
    pub verdict: Effect,
}

/// Settles every open change of a run, and returns the findings; `gates` reach its destinations.
///
/// # Errors
/// If the run is still in progress, or the account or the journal cannot be read.
pub async fn recover(
    records: &Records,
    run: &Run,
    gates: &[Gate],
    patience: Duration,
) -> Result<Vec<Finding>> {
    if run.status == RunStatus::Running {
        return Err(Error::new(Kind::Refused, format!("run {} is still running", run.id))
            .hint("wait for its end, or stop it"));
    }
    let changes = records.changes(&run.id)?;
    let places = Places::of(&run.sites);
    let mut findings = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        if !change.is_open() {
            continue;
        }
        // The run's own read before its next change of the same resource is better evidence than
        // the current state.
        let key = |change: &RecordedChange| places.key(change.site, change.subject, &change.name);
        let later = changes[at + 1..].iter().find(|later| key(later) == key(change));
        let gate = gates
            .get(change.site)
            .ok_or_else(|| Error::new(Kind::Bug, "a change that went nowhere"))?;
        let (verdict, seen) = match later {
            Some(later) => {
                let seen = later.before.clone();
                (verdict(&change.before, &change.after, &seen), seen)
            }
            None => look(gate, change, patience).await?,
        };
        records.settle(&run.id, &settled(change, &verdict, seen))?;
        findings.push(Finding { change: change.clone(), verdict });
    }
    if findings.iter().all(|finding| !matches!(finding.verdict, Effect::Drifted(_))) {
        records.close(&run.id)?;
    }
    Ok(findings)
}

async fn look(
    gate: &Gate,
    change: &RecordedChange,
    patience: Duration,
) -> Result<(Effect, Option<Snapshot>)> {
    let line = gate.line().await?;
    let with_policies = [&change.before, &change.after]
        .into_iter()
        .any(|state| state.as_ref().is_some_and(|image| image.policies.is_some()));
    let with_policies = with_policies && change.before.is_some();
    let patience = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
    loop {
        let (_, now) = reads::read(line, change.subject, &change.name, with_policies).await?;
        let verdict = verdict(&change.before, &change.after, &now);
        let age = Timestamp::now().as_millisecond().saturating_sub(change.started);
        let left = patience.saturating_sub(age);
        if verdict != Effect::NotHappened || left <= 0 {
            return Ok((verdict, now));
        }
        let pause = u64::try_from(left.clamp(1, 1000)).unwrap_or(1000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

fn settled(change: &RecordedChange, verdict: &Effect, seen: Option<Snapshot>) -> Settled {
    let mut settled = Settled {
        number: change.number,
        outcome: ChangeOutcome::Done,
        after: None,
        error: change.error.clone(),
        note: None,
    };
    match verdict {
        Effect::Happened => {
            settled.note = Some("settled later: the account shows that it was done".into());
            settled.error = None;
            if change.before.is_none() && seen.is_some() {
                settled.after = Some(seen);
            }
        }
        Effect::NotHappened => {
            settled.outcome = ChangeOutcome::Failed;
            settled.note = Some("settled later: the account shows that it was not done".into());
        }
        Effect::Drifted(differences) => {
            settled.outcome = ChangeOutcome::InDoubt;
            settled.note = Some(format!(
                "the account has changed since, so that it cannot be told: {}",
                describe(differences, "after the change")
            ));
        }
    }
    settled
}

/// Differences in words: `role was none when planned and is now web`.
#[must_use]
pub fn describe(differences: &[Difference], when: &str) -> String {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
    let words: Vec<_> = differences
        .iter()
        .map(|difference| match difference.field {
            crate::iam::snapshot::Field::Existence if difference.to.is_none() => {
                format!("it was there {when} and is not now")
            }
            crate::iam::snapshot::Field::Existence => format!("it was not there {when} and is now"),
            crate::iam::snapshot::Field::Id => {
                format!("it was another one {when}: it has a new id")
            }
            _ => format!(
                "{} was {} {when} and is now {}",
                difference.field.name(),
                shown(&difference.from),
                shown(&difference.to)
            ),
        })
        .collect();
    words.join("; ")
}
