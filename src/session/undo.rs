//! Taking a run back: the inverse of each of its changes, in reverse order, as a plan. It is made in a session that plans, so
//! that each inverse is tried on what the ones before it leave, and refused where the account has moved on.

use std::collections::{HashMap, HashSet};

use super::journal::Outcome;
use super::journal::records::{Recorded, Run};
use super::memory::Key;
use super::recover::describe;
use super::site::Places;
use super::{Gate, Origin};
use crate::error::{Error, Kind, Result};
use crate::iam;
use crate::iam::image::{Difference, Field, State, differences, steps};
use crate::spec::Value;

/// What planning an undo has found.
#[derive(Debug, Default)]
pub struct Undoing {
    /// What cannot be taken back, because the account has moved on: what, and why.
    pub conflicts: Vec<String>,
    /// What somebody has set back already.
    pub back: Vec<String>,
    /// What does not come back as it was.
    pub lost: Vec<String>,
    /// How many changes were taken back earlier.
    pub undone_before: u64,
    /// The changes of which nothing is left to take back: what the run has made and deleted itself, and what is back already.
    pub moot: Vec<u64>,
}

/// Plans the way back of a run's changes through gates of a session in plan mode; they lead to the run's sites. `only` names the profiles and roles to
/// which it is restricted; none for all.
///
/// # Errors
/// If AWS cannot be asked, or a guard refuses.
pub async fn plan(
    run: &Run,
    changes: &[Recorded],
    gates: &[Gate],
    only: &[String],
) -> Result<Undoing> {
    super::apply::note_earlier(gates, changes, Some).await;
    let places = Places::of(&run.sites);
    let what = |change: &Recorded| places.describe(change.site, change.subject, &change.name);
    let is_meant = |change: &Recorded| {
        let is_named =
            only.is_empty() || only.iter().any(|name| name.eq_ignore_ascii_case(&change.name));
        is_named && change.outcome == Some(Outcome::Done)
    };
    let mut undoing = Undoing { moot: moot(changes, &places, is_meant), ..Undoing::default() };
    // What nobody knows of is left as it is.
    let open = changes.iter().filter(|change| change.is_open());
    let mut given_up: HashSet<(usize, Key)> =
        open.map(|change| places.key(change.site, change.subject, &change.name)).collect();
    for change in changes.iter().rev() {
        let key = places.key(change.site, change.subject, &change.name);
        if !is_meant(change) || undoing.moot.contains(&change.number) {
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
        let mut lost = Vec::new();
        let taken = take_back(&run.id, change, gate, &mut lost).await;
        undoing.lost.extend(lost.into_iter().map(|note| match places.account(change.site) {
            Some(account) => format!("{}: {note}", account.describe()),
            None => note,
        }));
        match taken {
            Ok(Taken::Planned) => {}
            Ok(Taken::Nothing) => {
                undoing.moot.push(change.number);
                if !differences(&change.before, &change.after).is_empty() {
                    undoing.back.push(what(change));
                }
            }
            Ok(Taken::MovedOn(why)) => {
                undoing.conflicts.push(format!("{}: {why}", what(change)));
                given_up.insert(key);
            }
            Err(error) if matches!(error.kind, Kind::Aws | Kind::Protected) => {
                undoing.conflicts.push(format!("{}: {error}", what(change)));
                given_up.insert(key);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(undoing)
}

/// The changes of what a run has made and deleted again.
fn moot(
    changes: &[Recorded],
    places: &Places<'_>,
    is_meant: impl Fn(&Recorded) -> bool,
) -> Vec<u64> {
    let mut of: HashMap<(usize, Key), Vec<&Recorded>> = HashMap::new();
    for change in changes.iter().filter(|change| is_meant(change) && change.undone.is_none()) {
        let key = places.key(change.site, change.subject, &change.name);
        of.entry(key).or_default().push(change);
    }
    let cancel = |all: &Vec<&Recorded>| {
        all.first().is_some_and(|first| first.before.is_none())
            && all.last().is_some_and(|last| last.after.is_none())
    };
    let moot = of.into_values().filter(cancel).flatten().map(|change| change.number);
    moot.collect()
}

/// What came of planning the way back of one change.
enum Taken {
    /// It is planned.
    Planned,
    /// There is nothing to take back: it had no effect, or is back already.
    Nothing,
    /// The account has moved on, in words.
    MovedOn(String),
}

/// Plans the way back of one change.
async fn take_back(
    run: &str,
    change: &Recorded,
    gate: &Gate,
    lost: &mut Vec<String>,
) -> Result<Taken> {
    let with_policies = change.before.as_ref().is_some_and(|image| image.policies.is_some());
    let now = gate.planned_state(change.subject, &change.name, with_policies).await?;
    let from = match what_is_left(change, &now) {
        Ok(from) => from,
        Err(conflict) => return Ok(Taken::MovedOn(describe(&conflict))),
    };
    let (steps, not_back) = steps(change.subject, &from, &change.before);
    if steps.is_empty() {
        return Ok(Taken::Nothing);
    }
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
    Ok(Taken::Planned)
}

/// What of a change is still there to be taken back: its image after, but with those fields as before that are back already, as an undo leaves
/// them that was interrupted.
fn what_is_left(change: &Recorded, now: &State) -> std::result::Result<State, Vec<Difference>> {
    let (Some(before), Some(after), Some(_)) = (&change.before, &change.after, now) else {
        // The name must be free, whoever has taken it since; and what was made must be as it was made.
        let moved = differences(&change.after, now);
        return if moved.is_empty() { Ok(change.after.clone()) } else { Err(moved) };
    };
    let touched = differences(&change.before, &change.after);
    let from_before = differences(&change.before, now);
    let names = |list: &[Difference], field: &Field| list.iter().any(|one| one.field == *field);
    let (mut left, mut conflict) = (after.clone(), Vec::new());
    for moved in differences(&change.after, now) {
        if moved.field == Field::Id {
            return Err(vec![moved]);
        }
        if !names(&touched, &moved.field) {
            continue;
        }
        if names(&from_before, &moved.field) {
            conflict.push(moved);
        } else {
            left.take(&moved.field, before);
        }
    }
    if conflict.is_empty() { Ok(Some(left)) } else { Err(conflict) }
}
