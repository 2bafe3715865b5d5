//! Undo of a run: the inverse of each of its changes, in reverse order, as a plan. It is made in a
//! session that plans, so that each inverse is tried on what the ones before it leave. What has
//! changed since is left as it is, and with it what rests on it.

use std::collections::{HashMap, HashSet};

use super::journal::Outcome;
use super::journal::identities::Identities;
use super::journal::records::{Recorded, Run};
use super::memory::Key;
use super::recover::describe;
use super::site::Places;
use super::{Gate, Origin};
use crate::error::{Error, Kind, Result};
use crate::iam;
use crate::iam::image::{Difference, Field, State, Subject, differences, steps};
use crate::spec::Value;

/// What planning an undo has found.
#[derive(Debug, Default)]
pub struct Undoing {
    /// Profiles and roles that are left as they are, with the reason.
    pub left_out: Vec<String>,
    /// What somebody has set back already.
    pub back: Vec<String>,
    /// What does not come back as it was.
    pub lost: Vec<String>,
    /// How many changes were taken back earlier.
    pub undone_before: u64,
    /// The changes of which nothing is left to take back: what the run has made and deleted itself, and what is back already.
    pub moot: Vec<u64>,
}

/// Plans the undo of a run's changes through gates of a session in plan mode; they lead to the
/// run's sites. `only` names the profiles and roles to which it is restricted; none for all.
///
/// # Errors
/// If AWS cannot be asked, or a guard refuses.
pub async fn plan(
    run: &Run,
    changes: &[Recorded],
    gates: &[Gate],
    only: &[String],
    identities: &Identities,
) -> Result<Undoing> {
    super::apply::note_earlier(gates, changes, Some).await;
    let places = Places::of(&run.sites);
    let what = |change: &Recorded| places.describe(change.site, change.subject, &change.name);
    let is_named = |change: &Recorded| {
        only.is_empty() || only.iter().any(|name| name.eq_ignore_ascii_case(&change.name))
    };
    let is_meant = |change: &Recorded| is_named(change) && change.outcome == Some(Outcome::Done);
    let mut undoing = Undoing { moot: moot(changes, &places, is_meant), ..Undoing::default() };
    let mut left_out = LeftOut::default();
    // What nobody knows of is left as it is.
    for change in changes.iter().filter(|change| change.is_open()) {
        let key = places.key(change.site, change.subject, &change.name);
        if left_out.add(key, change.before.is_some() && change.after.is_none()) && is_named(change)
        {
            undoing.left_out.push(format!(
                "{}: it is not known whether {} has happened",
                what(change),
                change.action
            ));
        }
    }
    for change in changes.iter().rev() {
        let key = places.key(change.site, change.subject, &change.name);
        if !is_meant(change) || undoing.moot.contains(&change.number) {
            continue;
        }
        if change.undone.is_some() {
            undoing.undone_before += 1;
            continue;
        }
        if left_out.has(&key) {
            continue;
        }
        let gate = gates
            .get(change.site)
            .ok_or_else(|| Error::new(Kind::Bug, "a change that went nowhere"))?;
        let mut lost = Vec::new();
        let absent = roles_of_inverse(change)
            .into_iter()
            .find(|role| left_out.lacks(&places.key(change.site, Subject::Role, role)));
        let taken = match absent {
            Some(role) => Ok(Taken::Drifted(format!("role {role} is not made again"))),
            None => take_back(&run.id, change, gate, identities, &mut lost).await,
        };
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
            Ok(Taken::Drifted(why)) => {
                undoing.left_out.push(format!("{}: {why}", what(change)));
                left_out.add(key, change.after.is_none());
            }
            Err(error) if matches!(error.kind, Kind::Aws | Kind::Protected) => {
                undoing.left_out.push(format!("{}: {error}", what(change)));
                left_out.add(key, change.after.is_none());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(undoing)
}

/// Profiles and roles that a plan leaves out.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    all: HashSet<(usize, Key)>,
    /// Those of them that were to be made.
    absent: HashSet<(usize, Key)>,
}

impl LeftOut {
    /// Adds one; `true` if it is new.
    pub(super) fn add(&mut self, key: (usize, Key), was_to_be_made: bool) -> bool {
        if was_to_be_made {
            self.absent.insert(key.clone());
        }
        self.all.insert(key)
    }

    /// Check for one that is left out.
    pub(super) fn has(&self, key: &(usize, Key)) -> bool {
        self.all.contains(key)
    }

    /// Check for one that was to be made and is not.
    pub(super) fn lacks(&self, key: &(usize, Key)) -> bool {
        self.absent.contains(key)
    }
}

/// Roles that the inverse of a change names besides its subject.
fn roles_of_inverse(change: &Recorded) -> Vec<String> {
    let Some(before) = &change.before else { return Vec::new() };
    let policy = before.assume_role_policy.as_deref();
    let named = policy.map(super::overlay::roles_in).unwrap_or_default();
    before.role.clone().into_iter().chain(named).collect()
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
    /// Changes since then, in words.
    Drifted(String),
}

/// Plans the way back of one change.
async fn take_back(
    run: &str,
    change: &Recorded,
    gate: &Gate,
    identities: &Identities,
    lost: &mut Vec<String>,
) -> Result<Taken> {
    let has_policies = |state: &State| state.as_ref().is_some_and(|image| image.policies.is_some());
    let with_policies = has_policies(&change.before) || has_policies(&change.after);
    let now = gate.planned_state(change.subject, &change.name, with_policies).await?;
    let from = match what_is_left(change, &now, identities) {
        Ok(from) => from,
        Err(conflict) => return Ok(Taken::Drifted(describe(&conflict))),
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
        let Value::Map(given) = Value::from(&args.to_json()) else {
            return Err(Error::new(Kind::Bug, format!("{action} has no arguments")));
        };
        let args = entry.spec.check(given.into_iter().collect())?;
        let undoes = (at == end).then(|| (run.to_owned(), change.number));
        gate.write(entry, write, args, Origin { plan_change: None, undoes }).await?;
    }
    Ok(Taken::Planned)
}

/// What of a change is still there to be taken back: its image after, but with those fields as before that are back already, as an undo leaves
/// them that was interrupted.
fn what_is_left(
    change: &Recorded,
    now: &State,
    identities: &Identities,
) -> std::result::Result<State, Vec<Difference>> {
    let known_as = |state: &State| identities.known_as(state);
    let (before, after, now) = (known_as(&change.before), known_as(&change.after), known_as(now));
    let (Some(old), Some(new), Some(_)) = (&before, &after, &now) else {
        // The name must be free, whoever has taken it since; and what was made must be as it was made.
        let moved = differences(&after, &now);
        return if moved.is_empty() { Ok(change.after.clone()) } else { Err(moved) };
    };
    let touched = differences(&before, &after);
    let from_before = differences(&before, &now);
    let names = |list: &[Difference], field: &Field| list.iter().any(|one| one.field == *field);
    let (mut left, mut conflict) = (new.clone(), Vec::new());
    for moved in differences(&after, &now) {
        if moved.field == Field::Id {
            return Err(vec![moved]);
        }
        if !names(&touched, &moved.field) {
            continue;
        }
        if names(&from_before, &moved.field) {
            conflict.push(moved);
        } else {
            left.take(&moved.field, old);
        }
    }
    if conflict.is_empty() { Ok(Some(left)) } else { Err(conflict) }
}
