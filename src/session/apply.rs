//! Application of a plan: its changes and no others, each only if the state that it rests on has
//! not drifted. Changes that an earlier attempt has made are not made again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;

use super::destination::{Destination, Places};
use super::journal::ChangeOutcome;
use super::journal::identities::Identities;
use super::journal::records::{RecordedChange, Records};
use super::plan::{Change, Plan};
use super::read_cache::{Key, TTL};
use super::recent::SETTLING;
use super::recover::{self, describe};
use super::undo::Excluded;
use super::{ChangeOrigin, Gate, Session};
use crate::error::{Error, Kind, Result};
use crate::iam::snapshot::{Effect, Snapshot, Subject, differences};
use crate::session::journal::RunStatus;

/// Maximum number of independent changes that are made concurrently.
const MAX_CONCURRENT: usize = 16;

/// Result of applying a plan.
#[derive(Debug, Default)]
pub struct Summary {
    /// Changes that this run has made.
    pub done: u64,
    /// Changes that an earlier run had made.
    pub earlier: u64,
    /// Changes that were left out because the state that they rest on has changed, with the
    /// differences.
    pub skipped: Vec<(Change, String)>,
    /// Changes that failed.
    pub failed: Vec<(Change, Error)>,
    /// Changes that were not begun.
    pub left: u64,
    /// Error that stopped it before its end.
    pub stopped: Option<Error>,
}

/// Options of applying a plan.
#[derive(Clone, Copy, Debug)]
pub struct ApplyOptions {
    /// Continue with the other changes where the state that one rests on has changed.
    pub skip_drifted: bool,
    /// Minimum age of an earlier attempt's change before its absence from the account counts.
    pub patience: Duration,
}

/// Checks that the gates reach the accounts that a plan or a run names.
///
/// # Errors
/// If one reaches another account, or AWS cannot be reached.
pub async fn check_accounts(sites: &[Destination], gates: &[Gate]) -> Result<()> {
    for (site, gate) in sites.iter().zip(gates) {
        let reached = gate.site().await?;
        if !reached.is_same_account(site) {
            return Err(Error::new(
                Kind::Refused,
                format!("it was made for {}, and this is {}", site.describe(), reached.describe()),
            )
            .hint("choose the right --profile or --role-arn, or do it again for this account"));
        }
    }
    Ok(())
}

/// Work of earlier runs.
#[derive(Clone, Debug, Default)]
pub struct Earlier {
    /// Changes of the plan that they have made and that stand.
    pub done: BTreeSet<u64>,
    /// Ids of recreated resources.
    pub identities: Identities,
}

/// Changes of a plan that earlier runs have made. Their open changes are settled first.
///
/// # Errors
/// If such a run is still in progress, or a change cannot be settled.
pub async fn done_before(
    records: Option<&Records>,
    plan: &Plan,
    gates: &[Gate],
    options: ApplyOptions,
) -> Result<Earlier> {
    let Some(records) = records else { return Ok(Earlier::default()) };
    let mut done = BTreeSet::new();
    if let Some(undone) = &plan.undoes {
        check_undo(records, plan, undone)?;
    }
    for run in records.runs_of_plan(&plan.id)? {
        if run.status == RunStatus::Running {
            return Err(Error::new(
                Kind::Refused,
                format!("run {} is carrying out this plan right now", run.id),
            )
            .hint("wait for its end"));
        }
        if run.counts.in_doubt > 0 {
            let gates: Option<Vec<_>> = run
                .sites
                .iter()
                .map(|site| {
                    let at = plan.sites.iter().position(|planned| planned.is_same_account(site))?;
                    gates.get(at).cloned()
                })
                .collect();
            let gates = gates.ok_or_else(|| {
                Error::new(
                    Kind::Bug,
                    format!("run {} went to another account than its plan", run.id),
                )
            })?;
            let found = recover::recover(records, &run, &gates, options.patience).await?;
            // With --skip-drifted an undecidable change is left out, because the state that it
            // rests on has changed.
            let unclear =
                found.iter().find(|finding| matches!(finding.verdict, Effect::Drifted(_)));
            if let Some(finding) = unclear.filter(|_| !options.skip_drifted) {
                return Err(Error::new(
                    Kind::Refused,
                    format!(
                        "it cannot be told whether run {} has made its change of {}: the account \
                         has changed since",
                        run.id,
                        Places::of(&run.sites).describe(
                            finding.change.site,
                            finding.change.subject,
                            &finding.change.name
                        )
                    ),
                )
                .hint(format!("`iamlua runs show {}` has the details; make a new plan, or leave such changes out with --skip-drifted", run.id)));
            }
        }
        for change in records.changes(&run.id)? {
            if let (Some(number), Some(ChangeOutcome::Done), None) =
                (change.plan_change, change.outcome, &change.undone)
            {
                done.insert(number);
            }
        }
    }
    let known: HashSet<_> = plan.changes.iter().map(|change| change.number).collect();
    done.retain(|number| known.contains(number));
    let gate_of = |site: &Destination| plan.sites.iter().position(|own| own.is_same_account(site));
    note_recent(gates, &records.recent_changes()?, gate_of).await;
    let states = plan.changes.iter().flat_map(|change| {
        let site = plan.sites.get(change.site);
        [&change.before, &change.after].into_iter().filter_map(move |state| Some((site?, state)))
    });
    Ok(Earlier { done, identities: records.identities()?.with_roles(states) })
}

/// Refuses the plan of an undo if another undo has since undone some of the same changes.
fn check_undo(records: &Records, plan: &Plan, undone: &str) -> Result<()> {
    let own: HashSet<_> = records.runs_of_plan(&plan.id)?.into_iter().map(|run| run.id).collect();
    let meant: HashSet<_> =
        plan.changes.iter().filter_map(|change| change.undoes.clone()).collect();
    for change in records.changes(undone)? {
        if let Some(other) = change.undone.filter(|other| !own.contains(other))
            && meant.contains(&(undone.to_owned(), change.number))
        {
            return Err(Error::new(
                Kind::Refused,
                format!("run {undone} was undone by run {other} since this plan was made"),
            )
            .hint(format!("`iamlua undo {undone}` shows what is left of it")));
        }
    }
    Ok(())
}

/// Records the recent changes of all runs, which AWS may not show yet. `gate_of` returns the gate
/// that reaches the account of a destination.
pub(super) async fn note_recent(
    gates: &[Gate],
    changes: &[(Destination, RecordedChange)],
    gate_of: impl Fn(&Destination) -> Option<usize>,
) {
    let now = Timestamp::now().as_millisecond();
    let mut noted = Vec::new();
    for (site, change) in changes {
        let Some(gate) = gate_of(site).and_then(|at| gates.get(at)) else { continue };
        let ended = change.ended.unwrap_or(change.started);
        let ago = Duration::from_millis(u64::try_from(now - ended).unwrap_or_default());
        if ago < SETTLING
            && let Ok(place) = gate.place().await
        {
            let key = Key::new(change.subject, &change.name);
            noted.push((place, key, &change.before, &change.after, ago));
        }
    }
    if let Some(gate) = gates.first() {
        gate.session().recent.note_earlier(noted);
    }
}

/// Applies a plan. `progress` receives the number of processed changes.
pub async fn apply(
    plan: &Plan,
    session: &Arc<Session>,
    gates: &[Gate],
    earlier: &Earlier,
    options: ApplyOptions,
    mut progress: impl FnMut(u64),
) -> Summary {
    let places = Places::of(&plan.sites);
    let mut work = Work {
        session: Arc::clone(session),
        gates,
        places: &places,
        options,
        // An undo restores as much as possible.
        goes_on: plan.undoes.is_some(),
        identities: &earlier.identities,
        ours: HashMap::new(),
        left_out: Excluded::default(),
        held: HashSet::new(),
        summary: Summary::default(),
    };
    let pending: Vec<&Change> =
        plan.changes.iter().filter(|change| !earlier.done.contains(&change.number)).collect();
    work.summary.earlier = plan.changes.len() as u64 - pending.len() as u64;
    let mut windows = Vec::new();
    let mut rest = &pending[..];
    while !rest.is_empty() {
        let (first, later) = rest.split_at(window(&places, rest));
        windows.push(first);
        rest = later;
    }
    let none = HashSet::new();
    let mut checked = match windows.first() {
        Some(first) => work.check(first, &none).await,
        None => Vec::new(),
    };
    let mut behind = work.summary.earlier;
    for (at, window) in windows.iter().enumerate() {
        if session.is_closed() {
            work.summary.stopped = Some(Error::new(Kind::Interrupted, "interrupted"));
            break;
        }
        let to_make = work.ready_changes(window, checked);
        // The state for the next window is read while this one is made. Resources that this window
        // changes need no reading.
        let next = windows.get(at + 1).filter(|_| work.summary.stopped.is_none());
        let under_way = to_make.iter().map(|change| key_of(&places, change)).collect();
        let (made, next_checked) = tokio::join!(
            join_all(to_make.iter().map(|change| work.make(change))),
            work.check(next.map_or(&[][..], |next| next), &under_way)
        );
        checked = next_checked;
        work.note(to_make, made);
        if work.summary.stopped.is_some() {
            break;
        }
        behind += window.len() as u64;
        progress(behind);
    }
    if let (None, Some(run)) = (&work.summary.stopped, &plan.undoes) {
        session.journal.mark_undone(run, &plan.moot);
    }
    let summary = &mut work.summary;
    let begun = summary.done + summary.failed.len() as u64 + summary.skipped.len() as u64;
    summary.left = pending.len() as u64 - begun;
    work.summary
}

/// Length of the next window: the leading changes that do not rest on each other.
fn window(places: &Places<'_>, pending: &[&Change]) -> usize {
    let (mut written, mut read) = (HashSet::new(), HashSet::new());
    let mut deletes = false;
    for (count, change) in pending.iter().take(MAX_CONCURRENT).enumerate() {
        let key = key_of(places, change);
        let rests_on: Vec<_> = named_roles(change)
            .into_iter()
            .map(|role| places.key(change.site, Subject::Role, &role))
            .filter(|other| *other != key)
            .collect();
        // A creation after a deletion may need the quota that the deletion frees.
        let needs_room = change.before.is_none() && deletes;
        if written.contains(&key)
            || read.contains(&key)
            || needs_room
            || rests_on.iter().any(|other| written.contains(other))
        {
            return count;
        }
        deletes |= change.after.is_none();
        written.insert(key);
        read.extend(rests_on);
    }
    pending.len().min(MAX_CONCURRENT)
}

/// Roles that a change names besides its own resource.
fn named_roles(change: &Change) -> Vec<String> {
    let role = change.arguments["role"].as_str().map(str::to_owned);
    let document = change.arguments["assume_role_policy"].as_str();
    role.into_iter().chain(document.map(super::overlay::roles_in).unwrap_or_default()).collect()
}

struct Work<'a> {
    session: Arc<Session>,
    gates: &'a [Gate],
    places: &'a Places<'a>,
    options: ApplyOptions,
    /// Continue with other profiles and roles where one fails or has drifted.
    goes_on: bool,
    identities: &'a Identities,
    /// Resources that this run has changed, and the times: the account may not show the changes
    /// yet.
    ours: HashMap<(usize, Key), Instant>,
    /// Resources of which a change was left out or failed: no further change of the plan is made to
    /// these.
    left_out: Excluded,
    /// Roles that are still in profiles because the change that removes them was left out.
    held: HashSet<(usize, Key)>,
    summary: Summary,
}

impl Work<'_> {
    /// Changes of a window that are to be made, according to the checks. Where a check stops the
    /// plan, the changes before it are still made.
    fn ready_changes<'c>(
        &mut self,
        window: &[&'c Change],
        checked: Vec<Result<Option<String>>>,
    ) -> Vec<&'c Change> {
        let mut to_make = Vec::new();
        for (change, checked) in window.iter().zip(checked) {
            let moved = match self.missing(change) {
                Some(why) => Ok(Some(why)),
                None => checked,
            };
            match moved {
                Ok(None) => to_make.push(*change),
                Ok(Some(why)) if self.options.skip_drifted || self.goes_on => {
                    self.leave_out(change);
                    self.summary.skipped.push(((*change).clone(), why));
                }
                Err(error) if self.goes_on && is_of_one(&error) => {
                    self.leave_out(change);
                    self.summary.failed.push(((*change).clone(), error));
                }
                Ok(Some(why)) => {
                    self.summary.stopped = Some(drifted(self.places, change, &why));
                    break;
                }
                Err(error) => {
                    self.summary.stopped = Some(error);
                    break;
                }
            }
        }
        to_make
    }

    /// Reason why a change cannot be made after an earlier one was left out.
    fn missing(&self, change: &Change) -> Option<String> {
        let key = key_of(self.places, change);
        if self.left_out.has(&key) {
            return Some("an earlier change of it was left out".to_owned());
        }
        if change.after.is_none() && self.held.contains(&key) {
            return Some("it is still in a profile whose change was left out".to_owned());
        }
        let role = named_roles(change)
            .into_iter()
            .find(|role| self.left_out.lacks(&self.places.key(change.site, Subject::Role, role)));
        role.map(|role| format!("role {role} was not made"))
    }

    /// Records that a change is not made, for the changes that rest on it.
    fn leave_out(&mut self, change: &Change) {
        self.left_out.add(key_of(self.places, change), change.before.is_none());
        let role = |state: &Option<Snapshot>| state.as_ref().and_then(|image| image.role.clone());
        if let Some(role) = role(&change.before)
            && change.subject.holds_roles()
        {
            self.held.insert(self.places.key(change.site, Subject::Role, &role));
        }
    }

    /// Records the outcomes of changes. A failure stops the plan, unless it continues after
    /// failures.
    fn note(&mut self, changes: Vec<&Change>, made: Vec<Result<()>>) {
        for (change, made) in changes.into_iter().zip(made) {
            match made {
                Ok(()) => {
                    self.summary.done += 1;
                    self.ours.insert(key_of(self.places, change), Instant::now());
                }
                // Not begun, and so still to be made.
                Err(error) if error.kind == Kind::Interrupted => {
                    let interrupted = Error::new(Kind::Interrupted, "interrupted");
                    self.summary.stopped.get_or_insert(interrupted);
                }
                Err(error) if self.goes_on && is_of_one(&error) => {
                    self.leave_out(change);
                    self.summary.failed.push((change.clone(), error));
                }
                Err(error)
                    if matches!(error.kind, Kind::State | Kind::Refused | Kind::Protected) =>
                {
                    self.summary.stopped.get_or_insert(error);
                }
                Err(error) => self.summary.failed.push((change.clone(), error)),
            }
        }
        if self.goes_on && self.summary.failed.iter().all(|(_, error)| is_of_one(error)) {
            return;
        }
        let Summary { failed, stopped, .. } = &mut self.summary;
        if let (None, Some((change, error))) = (&stopped, failed.first()) {
            let Change { number, action, name, .. } = change;
            let place = self.places.suffix(change.site);
            let why = format!("change {number} ({action} {name}{place}) failed: {error}");
            let mut error_of_plan = Error::new(Kind::Aws, why);
            error_of_plan.hints.clone_from(&error.hints);
            *stopped = Some(error_of_plan);
        }
    }

    /// Drift, in words, of the state that each change of a window rests on. `under_way` is being
    /// changed by this run.
    async fn check(
        &self,
        window: &[&Change],
        under_way: &HashSet<(usize, Key)>,
    ) -> Vec<Result<Option<String>>> {
        join_all(window.iter().map(|change| self.check_one(change, under_way))).await
    }

    async fn check_one(
        &self,
        change: &Change,
        under_way: &HashSet<(usize, Key)>,
    ) -> Result<Option<String>> {
        let key = key_of(self.places, change);
        // The result of this run's own recent change is known, even where the account does not show
        // it yet.
        if under_way.contains(&key) || self.ours.get(&key).is_some_and(|at| at.elapsed() < TTL) {
            return Ok(None);
        }
        let gate = &self.gates[change.site];
        let with_policies = change.before.as_ref().is_some_and(|image| image.policies.is_some());
        let now = gate.now(&key.1, &change.name, with_policies).await?;
        let known_as = |state: &Option<Snapshot>| self.identities.known_as(state);
        let moved = differences(&known_as(&change.before), &known_as(&now));
        self.session.memory.keep(gate.0.number, key.1, now);
        Ok((!moved.is_empty()).then(|| describe(&moved, "when planned")))
    }

    async fn make(&self, change: &Change) -> Result<()> {
        let (entry, write, args) = change.call()?;
        let origin =
            ChangeOrigin { plan_change: Some(change.number), undoes: change.undoes.clone() };
        self.gates[change.site].write(entry, write, args, origin).await.map(|_| ())
    }
}

/// Check for an error that concerns only one profile or role: others may still be changed.
fn is_of_one(error: &Error) -> bool {
    // Rejected credentials fail for all.
    const CREDENTIAL_ERRORS: [&str; 6] = [
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidToken",
    ];
    match error.kind {
        Kind::Aws => !CREDENTIAL_ERRORS.contains(&error.code()),
        Kind::Protected => true,
        _ => false,
    }
}

fn key_of(places: &Places<'_>, change: &Change) -> (usize, Key) {
    places.key(change.site, change.subject, &change.name)
}

fn drifted(places: &Places<'_>, change: &Change, why: &str) -> Error {
    let what = places.describe(change.site, change.subject, &change.name);
    Error::new(Kind::Refused, format!("{what} is not as it was when the plan was made: {why}"))
    .hint(
        "nothing after it was done; make a new plan, or leave such changes out with --skip-drifted",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn change(number: u64, action: &str, name: &str, arguments: serde_json::Value) -> Change {
        let subject = if action.ends_with("Role") { Subject::Role } else { Subject::Profile };
        let image = crate::iam::snapshot::Snapshot { name: name.into(), ..Default::default() };
        let deletes = action.starts_with("Delete");
        let creates = action.starts_with("Create");
        Change {
            number,
            site: 0,
            action: action.into(),
            subject,
            name: name.into(),
            arguments,
            before: (!creates).then(|| image.clone()),
            after: (!deletes).then_some(image),
            undoes: None,
        }
    }

    #[test]
    fn what_rests_on_another_change_waits_for_it() {
        let tag = |name: &str| change(1, "TagInstanceProfile", name, json!({}));
        let add = |name: &str, role: &str| {
            change(1, "AddRoleToInstanceProfileX", name, json!({ "role": role }))
        };
        let make_role = |name: &str| change(1, "CreateRole", name, json!({}));
        let lengths = |changes: &[Change]| {
            let changes: Vec<_> = changes.iter().collect();
            let mut at = 0;
            let mut lengths = Vec::new();
            while at < changes.len() {
                let length = window(&Places::of([]), &changes[at..]);
                lengths.push(length);
                at += length;
            }
            lengths
        };
        assert_eq!(lengths(&[tag("a"), tag("b"), tag("A"), tag("c")]), [2, 2]);
        assert_eq!(lengths(&[make_role("r"), add("p", "r"), add("q", "R")]), [1, 2]);
        assert_eq!(lengths(&[add("p", "r"), change(1, "DeleteRole", "r", json!({}))]), [1, 1]);
        let (delete, create) = (
            change(1, "DeleteInstanceProfile", "a", json!({})),
            change(1, "CreateInstanceProfile", "b", json!({})),
        );
        assert_eq!(lengths(&[delete, create]), [1, 1]);
        let many: Vec<_> = (0..40).map(|n| tag(&format!("p{n}"))).collect();
        assert_eq!(lengths(&many), [16, 16, 8]);
    }
}
