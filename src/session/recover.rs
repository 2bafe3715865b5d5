//! Settling what is in doubt: changes that were sent by a run that was killed, or whose answers all got lost. The account is
//! read, and shows whether each has happened.

use std::time::Duration;

use jiff::Timestamp;

use super::journal::records::{Recorded, Records, Run};
use super::journal::{ChangeOutcome, Settled};
use super::site::Places;
use super::{Gate, reading};
use crate::error::{Error, Kind, Result};
use crate::iam::image::{Difference, Effect, State, verdict};

/// So old a change must be, unless the operator says otherwise, before it counts that the account does not show it: IAM is eventually
/// consistent.
pub const PATIENCE: &str = "10s";

/// An open change, and what was found.
#[derive(Debug)]
pub struct Finding {
    /// The change.
    pub change: Recorded,
    /// What the account shows.
    pub verdict: Effect,
}

/// Settles every open change of a run; `gates` lead to its sites. Returns what was found.
///
/// # Errors
/// If the run is still going, or the account or the journal cannot be read.
pub async fn recover(
    records: &Records,
    run: &Run,
    gates: &[Gate],
    patience: Duration,
) -> Result<Vec<Finding>> {
    if run.status == "running" {
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
        // What the run itself has read before its next change to the same one tells more than what is there now.
        let key = |change: &Recorded| places.key(change.site, change.subject, &change.name);
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
    if findings.iter().all(|finding| !matches!(finding.verdict, Effect::MovedOn(_))) {
        records.close(&run.id)?;
    }
    Ok(findings)
}

async fn look(gate: &Gate, change: &Recorded, patience: Duration) -> Result<(Effect, State)> {
    let line = gate.line().await?;
    let with_policies = [&change.before, &change.after]
        .into_iter()
        .any(|state| state.as_ref().is_some_and(|image| image.policies.is_some()));
    let with_policies = with_policies && change.before.is_some();
    let patience = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
    loop {
        let (_, now) = reading::read(line, change.subject, &change.name, with_policies).await?;
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

fn settled(change: &Recorded, verdict: &Effect, seen: State) -> Settled {
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
        Effect::MovedOn(differences) => {
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
            crate::iam::image::Field::Existence if difference.to.is_none() => {
                format!("it was there {when} and is not now")
            }
            crate::iam::image::Field::Existence => format!("it was not there {when} and is now"),
            crate::iam::image::Field::Id => format!("it was another one {when}: it has a new id"),
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
