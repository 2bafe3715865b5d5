//! Carrying out a plan: its changes and no other, each only if what it rests on is still so. What an earlier try has done is not
//! done again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::journal::Outcome;
use super::journal::records::Records;
use super::memory::{FRESH, Key};
use super::plan::{Change, Plan};
use super::recover::{self, describe};
use super::{Gate, Origin, Session, reading};
use crate::error::{Error, Kind, Result};
use crate::iam::image::{Difference, State, Subject, Verdict, differences};

/// So many changes that do not rest on each other are made at once.
const AT_ONCE: usize = 16;

/// What came of carrying out a plan.
#[derive(Debug, Default)]
pub struct Summary {
    /// Changes that this run has made.
    pub done: u64,
    /// Changes that an earlier run had made.
    pub earlier: u64,
    /// Changes that were left out because what they rest on has changed, with what differs.
    pub skipped: Vec<(Change, String)>,
    /// Changes that failed.
    pub failed: Vec<(Change, Error)>,
    /// Changes that were not begun.
    pub left: u64,
    /// Why it stopped before its end, if it did.
    pub stopped: Option<Error>,
}

/// How a plan is carried out.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Go on with the rest where what a change rests on has changed.
    pub skip_drifted: bool,
    /// How old a change of an earlier try must be before it counts that the account does not show it.
    pub patience: Duration,
}

/// Checks that the gates lead to the accounts of the plan.
///
/// # Errors
/// If one leads elsewhere, or AWS cannot be asked.
pub async fn check_accounts(plan: &Plan, gates: &[Gate]) -> Result<()> {
    for (site, gate) in plan.sites.iter().zip(gates) {
        let reached = gate.site().await?;
        if reached.target != site.target || reached.account != site.account {
            return Err(Error::new(
                Kind::Refused,
                format!(
                    "the plan was made for {}, and this is {}",
                    site.describe(),
                    reached.describe()
                ),
            )
            .hint("choose the right --profile or --role-arn, or make a plan for this account"));
        }
    }
    Ok(())
}

/// What earlier runs have done of a plan, by change. What they left open is settled first.
///
/// # Errors
/// If a run of it is still going, or something of it cannot be settled.
pub async fn done_before(
    records: Option<&Records>,
    plan: &Plan,
    gates: &[Gate],
    patience: Duration,
) -> Result<BTreeSet<u64>> {
    let mut done = BTreeSet::new();
    let Some(records) = records else { return Ok(done) };
    for run in records.runs_of_plan(&plan.id)? {
        if run.status == "running" {
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
                    let at = plan.sites.iter().position(|planned| {
                        planned.target == site.target && planned.account == site.account
                    })?;
                    gates.get(at).cloned()
                })
                .collect();
            let gates = gates.ok_or_else(|| {
                Error::new(
                    Kind::Bug,
                    format!("run {} went to another account than its plan", run.id),
                )
            })?;
            let found = recover::recover(records, &run, &gates, patience).await?;
            if let Some(finding) =
                found.iter().find(|finding| matches!(finding.verdict, Verdict::MovedOn(_)))
            {
                return Err(Error::new(
                    Kind::Refused,
                    format!(
                        "nobody can tell whether run {} has made its change of {} {}: the account has moved on",
                        run.id,
                        finding.change.subject.name(),
                        finding.change.name
                    ),
                )
                .hint(format!("`iamlua runs show {}` has the details; make a new plan", run.id)));
            }
        }
        for change in records.changes(&run.id)? {
            if let (Some(number), Some(Outcome::Done), None) =
                (change.plan_change, change.outcome, &change.undone)
            {
                done.insert(number);
            }
        }
    }
    Ok(done)
}

/// Carries a plan out. `progress` is told how many changes are behind.
pub async fn apply(
    plan: &Plan,
    session: &Arc<Session>,
    gates: &[Gate],
    done: &BTreeSet<u64>,
    options: Options,
    mut progress: impl FnMut(u64),
) -> Summary {
    let mut work = Work {
        session: Arc::clone(session),
        gates,
        options,
        ours: HashMap::new(),
        given_up: HashSet::new(),
        summary: Summary::default(),
    };
    let pending: Vec<&Change> =
        plan.changes.iter().filter(|change| !done.contains(&change.number)).collect();
    work.summary.earlier = plan.changes.len() as u64 - pending.len() as u64;
    let mut at = 0;
    while at < pending.len() {
        let window = window(&pending[at..]);
        if session.is_closed() {
            let stopped = Error::new(Kind::Interrupted, "interrupted");
            work.summary.stopped.get_or_insert(stopped);
        }
        if work.summary.stopped.is_none() {
            work.carry_out(&pending[at..at + window]).await;
        }
        if work.summary.stopped.is_some() {
            let behind = work.summary.done
                + work.summary.failed.len() as u64
                + work.summary.skipped.len() as u64;
            work.summary.left = pending.len() as u64 - behind;
            break;
        }
        at += window;
        progress(work.summary.earlier + at as u64);
    }
    work.summary
}

/// How many of the next changes do not rest on each other.
fn window(pending: &[&Change]) -> usize {
    let (mut written, mut read) = (HashSet::new(), HashSet::new());
    let mut deletes = false;
    for (count, change) in pending.iter().take(AT_ONCE).enumerate() {
        let key = (change.site, Key::new(change.subject, &change.name));
        let rests_on: Vec<_> = named_roles(change)
            .into_iter()
            .map(|role| (change.site, Key::new(Subject::Role, &role)))
            .filter(|other| *other != key)
            .collect();
        // What is made after a deletion may need the room that it leaves.
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
    pending.len().min(AT_ONCE)
}

/// The roles that a change names besides what it is about.
fn named_roles(change: &Change) -> Vec<String> {
    let role = change.arguments["role"].as_str().map(str::to_owned);
    let document = change.arguments["assume_role_policy"].as_str();
    role.into_iter().chain(document.map(super::overlay::roles_in).unwrap_or_default()).collect()
}

struct Work<'a> {
    session: Arc<Session>,
    gates: &'a [Gate],
    options: Options,
    /// What this run has changed, and when: the account may not show it yet.
    ours: HashMap<(usize, Key), Instant>,
    /// What no further change of the plan is made to.
    given_up: HashSet<(usize, Key)>,
    summary: Summary,
}

impl Work<'_> {
    async fn carry_out(&mut self, window: &[&Change]) {
        let checks = window.iter().map(|change| self.check(change));
        let checked = join_all(checks).await;
        let mut to_make = Vec::new();
        for (change, checked) in window.iter().zip(checked) {
            match checked {
                Ok(None) => to_make.push(*change),
                Ok(Some(why)) if self.options.skip_drifted => {
                    self.given_up.insert(key_of(change));
                    self.summary.skipped.push(((*change).clone(), why));
                }
                Ok(Some(why)) => {
                    self.summary.stopped = Some(drifted(change, &why));
                    break;
                }
                Err(error) => {
                    self.summary.stopped = Some(error);
                    break;
                }
            }
        }
        let made = join_all(to_make.iter().map(|change| self.make(change))).await;
        for (change, made) in to_make.into_iter().zip(made) {
            match made {
                Ok(()) => {
                    self.summary.done += 1;
                    self.ours.insert(key_of(change), Instant::now());
                }
                // Not begun: it is still to do.
                Err(error) if matches!(error.kind, Kind::Interrupted | Kind::State) => {
                    self.summary.stopped.get_or_insert(error);
                }
                Err(error) if matches!(error.kind, Kind::Refused | Kind::Protected) => {
                    self.summary.stopped.get_or_insert(error);
                }
                Err(error) => self.summary.failed.push((change.clone(), error)),
            }
        }
        if self.summary.stopped.is_none()
            && let Some((change, error)) = self.summary.failed.last()
        {
            let why = format!(
                "change {} ({} {}) failed: {error}",
                change.number, change.action, change.name
            );
            let mut stopped = Error::new(Kind::Aws, why);
            stopped.hints.clone_from(&error.hints);
            self.summary.stopped = Some(stopped);
        }
    }

    /// What of that which a change rests on is not so any more, in words.
    async fn check(&self, change: &Change) -> Result<Option<String>> {
        let key = key_of(change);
        if self.given_up.contains(&key) {
            return Ok(Some("an earlier change of it was left out".into()));
        }
        // What this run has just made of it is known, also where the account does not show it yet.
        if self.ours.get(&key).is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(None);
        }
        let gate = &self.gates[change.site];
        let with_policies = change.before.as_ref().is_some_and(|image| image.policies.is_some());
        let clients = gate.clients().await?;
        let (_, now) = reading::read(clients, change.subject, &change.name, with_policies).await?;
        let moved = moved(&change.before, &now);
        self.session.memory.keep(gate.0.number, key.1, now);
        Ok((!moved.is_empty()).then(|| describe(&moved)))
    }

    async fn make(&self, change: &Change) -> Result<()> {
        let (entry, write, args) = change.call()?;
        let origin = Origin { plan_change: Some(change.number), undoes: change.undoes.clone() };
        self.gates[change.site].write(entry, write, args, origin).await.map(|_| ())
    }
}

fn moved(planned: &State, now: &State) -> Vec<Difference> {
    differences(planned, now)
}

fn key_of(change: &Change) -> (usize, Key) {
    (change.site, Key::new(change.subject, &change.name))
}

fn drifted(change: &Change, why: &str) -> Error {
    Error::new(
        Kind::Refused,
        format!(
            "{} {} is not as it was when the plan was made: {why}",
            change.subject.name(),
            change.name
        ),
    )
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
        let image = crate::iam::image::Image { name: name.into(), ..Default::default() };
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
                let length = window(&changes[at..]);
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
