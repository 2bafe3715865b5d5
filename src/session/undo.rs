//! Taking a run back: the inverse of each of its changes, in reverse order, as a plan. It is made in a session that plans, so
//! that each inverse is tried on what the ones before it leave, and refused where the account has moved on.

use std::collections::HashSet;

use super::journal::Outcome;
use super::journal::records::Recorded;
use super::memory::Key;
use super::recover::describe;
use super::{Gate, Origin};
use crate::error::{Error, Kind, Result};
use crate::iam;
use crate::iam::image::{Verdict, differences, steps, verdict};
use crate::spec::Value;

/// What planning an undo has found.
#[derive(Debug, Default)]
pub struct Undoing {
    /// What cannot be taken back, because the account has moved on: what, and why.
    pub conflicts: Vec<String>,
    /// What does not come back as it was.
    pub lost: Vec<String>,
    /// How many changes were taken back earlier.
    pub undone_before: u64,
}

/// Plans the way back of a run's changes through gates of a session in plan mode; they lead to the run's sites. `only` names the profiles and roles to
/// which it is restricted; none for all.
///
/// # Errors
/// If AWS cannot be asked, or a guard refuses.
pub async fn plan(
    run: &str,
    changes: &[Recorded],
    gates: &[Gate],
    only: &[String],
) -> Result<Undoing> {
    let mut undoing = Undoing::default();
    let mut given_up: HashSet<(usize, Key)> = HashSet::new();
    for change in changes.iter().rev() {
        let key = (change.site, Key::new(change.subject, &change.name));
        let is_meant =
            only.is_empty() || only.iter().any(|name| name.eq_ignore_ascii_case(&change.name));
        if !is_meant || change.outcome != Some(Outcome::Done) {
            continue;
        }
        if change.undone.is_some() {
            undoing.undone_before += 1;
            continue;
        }
        if given_up.contains(&key) {
            continue;
        }
        let gate = gates
            .get(change.site)
            .ok_or_else(|| Error::new(Kind::Bug, "a change that went nowhere"))?;
        match take_back(run, change, gate, &mut undoing.lost).await {
            Ok(None) => {}
            Ok(Some(why)) => {
                undoing.conflicts.push(format!("{} {}: {why}", change.subject.name(), change.name));
                given_up.insert(key);
            }
            Err(error) if error.kind == Kind::Aws => {
                undoing.conflicts.push(format!(
                    "{} {}: {error}",
                    change.subject.name(),
                    change.name
                ));
                given_up.insert(key);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(undoing)
}

/// Plans the way back of one change; says why not, if the account has moved on.
async fn take_back(
    run: &str,
    change: &Recorded,
    gate: &Gate,
    lost: &mut Vec<String>,
) -> Result<Option<String>> {
    let with_policies = change.before.as_ref().is_some_and(|image| image.policies.is_some());
    let now = gate.planned_state(change.subject, &change.name, with_policies).await?;
    let conflict = match (&change.after, &now) {
        // The name must be free, whoever has taken it since.
        (None, Some(_)) => differences(&change.after, &now),
        _ => match verdict(&change.before, &change.after, &now) {
            Verdict::Happened => Vec::new(),
            Verdict::NotHappened => differences(&change.after, &now),
            Verdict::MovedOn(moved) => moved,
        },
    };
    if !conflict.is_empty() {
        return Ok(Some(describe(&conflict)));
    }
    let (steps, not_back) = steps(change.subject, &change.after, &change.before);
    lost.extend(not_back);
    let end = steps.len().saturating_sub(1);
    for (at, (action, args)) in steps.into_iter().enumerate() {
        let (entry, write) = iam::write(action)
            .ok_or_else(|| Error::new(Kind::Bug, format!("there is no action {action}")))?;
        let Value::Map(given) = Value::from(&args.to_json()) else { continue };
        let args = entry.spec.check(given.into_iter().collect())?;
        let undoes = (at == end).then(|| (run.to_owned(), change.number));
        gate.write(entry, write, args, Origin { plan_change: None, undoes }).await?;
    }
    Ok(None)
}
