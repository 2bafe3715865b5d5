//! Execution of one change: reads the state before it, writes the intent to the disk, sends the
//! call, and determines and records the outcome, even when answers are lost. Every change is made
//! once: when a retry is answered with an error because there is nothing left to do, the account is
//! read to find out whether our own first attempt succeeded.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indexmap::IndexSet;
use jiff::Timestamp;

use super::account_limiter::Permit;
use super::journal::{ChangeOutcome, Intent, Settled};
use super::read_cache::Key;
use super::recent::REFUSALS;
use super::retrying_client::RetryingClient;
use super::wire::Attempts;
use super::{ChangeOrigin, Gate, reads, stopped};
use crate::error::{Error, Kind, Result};
use crate::iam::snapshot::{Effect, Snapshot, Subject, differences, verdict};
use crate::iam::{Entry, Write};
use crate::spec::{Args, Value};

/// Maximum number of rounds for a call whose answers were all lost; each round has the client's own
/// retries.
const MAX_ROUNDS: u32 = 4;
/// Delays in milliseconds between probes of an account that does not show yet what AWS has said:
/// IAM is eventually consistent.
const PROBE_DELAYS: [u64; 5] = [0, 300, 1000, 2000, 4000];
/// Tolerance in milliseconds for comparing dates: dates in IAM and HTTP have whole seconds, and
/// clocks drift.
const CLOCK_MARGIN: i64 = 3000;

/// Error codes by which AWS contradicts the expected state.
const CONTRADICTIONS: [&str; 4] =
    ["NoSuchEntity", "EntityAlreadyExists", "LimitExceeded", "DeleteConflict"];

/// Knowledge of a resource's state after a call.
enum Evidence {
    /// Current state.
    Now(Box<Option<Snapshot>>),
    /// State as known before.
    AsBefore,
    /// Unknown state.
    Nothing,
}

/// Outcome of a call.
enum CallOutcome {
    Done { value: Value, state: Box<Option<Snapshot>>, note: Option<&'static str> },
    Failed(Error),
    InDoubt(Error),
}

/// Executes a change.
pub(super) async fn execute(
    gate: &Gate,
    entry: &'static Entry,
    write: &'static Write,
    args: Args,
    origin: ChangeOrigin,
) -> Result<Value> {
    let session = gate.session();
    let name = args.text("name").unwrap_or_default();
    let key = Key::new(write.subject, &name);
    let _turn = session.turns.take(&key).await;
    let prepared = async {
        let site = gate.site().await?;
        let before = gate.before(&key, &name, write.needs_policies).await?;
        session.protection.check(write.subject, &name, &before)?;
        if gate.is_closed() {
            return Err(stopped(entry));
        }
        let after = (write.after)(&args, before.clone());
        if write.is_so_already(&before, &after) {
            return Ok(None);
        }
        Box::pin(gate.check_role(write.subject, &before)).await?;
        let intent = Intent {
            site,
            action: entry.spec.actions[0].name,
            subject: write.subject,
            name: name.clone(),
            arguments: args.to_json(),
            before: before.clone(),
            after: after.clone(),
            plan_change: origin.plan_change,
            undoes: origin.undoes,
        };
        let line = gate.line().await?;
        // Admitted only now that there is something to change.
        let mut admitted = gate.admit(entry).await?;
        // A change that waits for its permit has not begun.
        let permit = line.permit(entry, gate.closing()).await?;
        let number = session.journal.intend(intent).await?;
        admitted.begin();
        Ok(Some((line, permit, before, after, number, admitted)))
    };
    let Some((line, permit, before, after, number, mut admitted)) = prepared.await? else {
        session.spare();
        return Ok(Value::Nil);
    };
    let call =
        WriteCall { gate, entry, write, args: &args, name: &name, before: &before, after: &after };
    let delivered = if gate.is_closed() {
        CallOutcome::Failed(stopped(entry))
    } else {
        call.make(line, permit).await
    };
    let mut settled =
        Settled { number, outcome: ChangeOutcome::Done, after: None, error: None, note: None };
    let (result, known) = match delivered {
        CallOutcome::Done { value, state, note } => {
            settled.note = note.map(str::to_owned);
            let state = *state;
            if state.is_some() {
                settled.after = Some(state.clone());
            }
            (Ok(value), Evidence::Now(Box::new(state.or_else(|| after.clone()))))
        }
        CallOutcome::Failed(error) => {
            admitted.refuse();
            settled.outcome = ChangeOutcome::Failed;
            settled.error = Some(error.to_string());
            // The cached state stays, unless AWS contradicts it.
            let doubted = CONTRADICTIONS.contains(&error.code());
            if let (Some(_), Ok(place)) = (call.contradicted(&error).await, gate.place().await) {
                session.recent.forget(&place, &key);
            }
            (Err(error), if doubted { Evidence::Nothing } else { Evidence::AsBefore })
        }
        CallOutcome::InDoubt(error) => {
            settled.outcome = ChangeOutcome::InDoubt;
            settled.error = Some(error.to_string());
            let run = session.journal.run().unwrap_or_default();
            let hint =
                format!("whether it happened is in doubt: `iamlua runs recover {run}` looks");
            (Err(error.hint(hint)), Evidence::Nothing)
        }
    };
    match settled.outcome {
        ChangeOutcome::Done => 0,
        ChangeOutcome::Failed => session.failed.fetch_add(1, Ordering::Relaxed),
        ChangeOutcome::InDoubt => session.in_doubt.fetch_add(1, Ordering::Relaxed),
    };
    session.journal.settle(settled);
    match known {
        Evidence::Now(state) => {
            if let Ok(place) = gate.place().await {
                session.recent.note(&place, &key, &before, &state);
            }
            session.memory.replace(gate.0.number, &key, *state);
        }
        Evidence::AsBefore => {}
        Evidence::Nothing => session.memory.forget(&key),
    }
    result
}

/// A change in progress.
struct WriteCall<'a> {
    gate: &'a Gate,
    entry: &'static Entry,
    write: &'static Write,
    args: &'a Args,
    name: &'a str,
    before: &'a Option<Snapshot>,
    after: &'a Option<Snapshot>,
}

/// Retries of a call that AWS refuses because a recent change of this process has not propagated.
#[derive(Default)]
struct PropagationRetry {
    attempts: u32,
}

impl PropagationRetry {
    /// Delay before the next attempt; `None` if a retry is no use.
    async fn pause(&mut self, call: &WriteCall<'_>, error: &Error) -> Option<Duration> {
        const BASE_DELAY: Duration = Duration::from_millis(250);
        const MAX_DELAY: Duration = Duration::from_secs(4);
        let changed = call.contradicted(error).await?;
        let left = REFUSALS.checked_sub(changed.elapsed())?;
        if call.is_confirmed(error).await {
            return None;
        }
        self.attempts += 1;
        Some(BASE_DELAY.saturating_mul(1 << (self.attempts - 1).min(8)).min(MAX_DELAY).min(left))
    }
}

/// Result of a probe of the account.
enum Probe {
    /// Our own call succeeded.
    Ours(Value, Box<Option<Snapshot>>),
    /// Not made, or made by somebody else.
    NotOurs,
    /// The account cannot be read, or does not show yet what AWS has said.
    Unknown,
}

const FOUND_BY_PROBE: &str = "an answer was lost; the account shows that it was done";

impl WriteCall<'_> {
    async fn make(&self, line: &RetryingClient, permit: Permit) -> CallOutcome {
        let mut permit = Some(permit);
        let attempts = Arc::new(Attempts::default());
        let mut pause = Duration::from_millis(500);
        let mut propagation = PropagationRetry::default();
        let (mut round, mut last) = (0, None);
        while round < MAX_ROUNDS {
            if round > 0 {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            let closing = self.gate.closing();
            let call = line.write(permit.take(), closing, self.entry, self.args);
            let error = match attempts.of(call).await {
                Ok(value) => {
                    let state = self.created(&value);
                    return CallOutcome::Done { value, state: Box::new(state), note: None };
                }
                Err(error) => error,
            };
            if !attempts.any_in_doubt() {
                if let Some(pause) = propagation.pause(self, &error).await {
                    tokio::select! {
                        () = self.gate.closing() => return CallOutcome::Failed(error),
                        () = tokio::time::sleep(pause) => {}
                    }
                    continue;
                }
                return CallOutcome::Failed(error);
            }
            round += 1;
            let answered = error.kind == Kind::Aws && !attempts.last_in_doubt();
            let is_repeat = answered && self.write.repeated == Some(error.code());
            match self.probe(line, &attempts, is_repeat).await {
                Probe::Ours(value, state) => {
                    return CallOutcome::Done { value, state, note: Some(FOUND_BY_PROBE) };
                }
                Probe::NotOurs if answered => return CallOutcome::Failed(error),
                Probe::NotOurs | Probe::Unknown => {}
            }
            // AWS's answer to a repeat is true, even where reads lag behind.
            if self.gate.is_closed() || is_repeat {
                return CallOutcome::InDoubt(error);
            }
            last = Some(error);
        }
        CallOutcome::InDoubt(last.unwrap_or_else(|| Error::new(Kind::Bug, "no attempt was made")))
    }

    /// Time of the recent change of this process that has not propagated and is the cause of this
    /// refusal: a created resource is missing, a deleted one still exists, or a removed one blocks
    /// the change.
    async fn contradicted(&self, error: &Error) -> Option<Instant> {
        let recent = &self.gate.session().recent;
        if error.kind != Kind::Aws || recent.is_empty() {
            return None;
        }
        let place = self.gate.place().await.ok()?;
        let changed = |subject: Subject, name: &str, is_there: bool| {
            let history = recent.history(&place, &Key::new(subject, name))?;
            (history.last().is_some() == is_there).then(|| history.at())
        };
        let (subject, said) = (self.write.subject, error.message.to_lowercase());
        let names = |what: &str| said.contains(&what.to_lowercase());
        match error.code() {
            "NoSuchEntity" => {
                let role = self.args.text("role");
                let is_of_role = |role: &String| names(&format!("role with name {role} "));
                if let Some(role) = role.filter(is_of_role) {
                    return changed(Subject::Role, &role, true);
                }
                let policy = self.args.text("policy_arn").filter(|arn| names(arn));
                if let Some(arn) = policy {
                    let policies = self.before.as_ref().and_then(|image| image.policies.as_ref());
                    let is_ours = policies.is_some_and(|policies| policies.contains(&arn));
                    return changed(subject, self.name, true).filter(|_| is_ours);
                }
                changed(subject, self.name, true).filter(|_| names(self.name))
            }
            "EntityAlreadyExists" => changed(subject, self.name, false),
            "LimitExceeded" if self.args.has("role") => {
                let is_free = self.before.as_ref().is_some_and(|image| image.role.is_none());
                changed(subject, self.name, true).filter(|_| is_free)
            }
            "DeleteConflict" => {
                let image = self.before.as_ref()?;
                let is_empty =
                    image.role.is_none() && image.policies.as_ref().is_none_or(IndexSet::is_empty);
                let freed =
                    recent.freed(&place, self.name).filter(|_| subject.is_held_by_profiles());
                freed.max(changed(subject, self.name, true)).filter(|_| is_empty)
            }
            // A role that was just created is no principal yet.
            "MalformedPolicyDocument" if names("invalid principal") => {
                let document = self.args.text("assume_role_policy")?;
                let roles = super::overlay::roles_in(&document);
                let made = roles.iter().filter_map(|role| changed(Subject::Role, role, true));
                made.filter(|_| roles.iter().any(|role| names(role))).max()
            }
            _ => None,
        }
    }

    /// Check that a read confirms the refusal, which means that somebody else has caused it.
    async fn is_confirmed(&self, error: &Error) -> bool {
        let key = Key::new(self.write.subject, self.name);
        match (error.code(), self.write.subject) {
            ("EntityAlreadyExists", _) => {
                // The read includes the changes of this process, so that what it has deleted is
                // absent.
                matches!(self.gate.current(&key, self.name, false).await, Ok(Some(_)))
            }
            ("LimitExceeded" | "DeleteConflict", Subject::Profile) => {
                let now = self.gate.current(&key, self.name, false).await;
                now.is_ok_and(|now| now.is_none_or(|image| image.role.is_some()))
            }
            ("DeleteConflict", Subject::Role) => {
                let args = Args::of([("role", Value::Str(self.name.to_owned()))]);
                let entry = crate::iam::entry("profiles.list_for_role");
                let page = self.gate.read_really(entry, args).await;
                matches!(page, Ok(Value::Page(page)) if !page.items.is_empty())
            }
            (_, Subject::Profile | Subject::Role) => false,
        }
    }

    /// Snapshot of a created resource, with the fields that AWS assigns.
    fn created(&self, record: &Value) -> Option<Snapshot> {
        let (None, Some(after)) = (self.before, self.after) else { return None };
        let text = |name: &str| record.field(name).as_str().map(str::to_owned);
        Some(Snapshot { id: text("id"), create_date: text("create_date"), ..after.clone() })
    }

    /// Probes the account for the effect of our own call. `is_repeat`: AWS has said that there is
    /// nothing left to do.
    async fn probe(&self, line: &RetryingClient, attempts: &Attempts, is_repeat: bool) -> Probe {
        if is_repeat && !self.could_succeed() {
            return Probe::NotOurs;
        }
        // Waiting for propagation pays only where AWS contradicts the read.
        let delays = if is_repeat { &PROBE_DELAYS[..] } else { &PROBE_DELAYS[..1] };
        let mut seen = Probe::Unknown;
        for pause in delays {
            tokio::time::sleep(Duration::from_millis(*pause)).await;
            let Ok((value, now)) =
                reads::read(line, self.write.subject, self.name, self.write.needs_policies).await
            else {
                continue;
            };
            match verdict(self.before, self.after, &now) {
                Effect::Happened if self.is_of_our_time(&now, attempts) => {
                    let created = self.created(&value);
                    let value = if created.is_some() { value } else { Value::Nil };
                    return Probe::Ours(value, Box::new(created));
                }
                Effect::Happened => return Probe::NotOurs,
                // A different resource in place of ours was created by somebody else.
                Effect::Drifted(_) if self.before.is_none() => return Probe::NotOurs,
                // AWS says that it is done, so this state is stale or not ours.
                Effect::NotHappened if is_repeat => seen = Probe::Unknown,
                Effect::NotHappened | Effect::Drifted(_) => seen = Probe::NotOurs,
            }
        }
        seen
    }

    /// Check that the call could have succeeded on the state before it; otherwise AWS's error
    /// describes that earlier state.
    fn could_succeed(&self) -> bool {
        match (self.before, self.after) {
            // An existing resource cannot be created.
            (before, Some(_)) if self.write.repeated == Some("EntityAlreadyExists") => {
                before.is_none()
            }
            // A profile with a role accepts no other.
            (Some(before), Some(after)) if after.role.is_some() => {
                before.role.is_none() || before.role == after.role && before != after
            }
            (before, after) => before.is_some() && !differences(before, after).is_empty(),
        }
    }

    /// Check that a resource was created after our first attempt in doubt. An earlier one is
    /// somebody else's, even if it is equal.
    fn is_of_our_time(&self, now: &Option<Snapshot>, attempts: &Attempts) -> bool {
        if self.before.is_some() {
            return true;
        }
        let created = now.as_ref().and_then(|image| image.create_date.as_deref());
        let created = created.and_then(|date| date.parse::<Timestamp>().ok());
        match (created, attempts.first_in_doubt()) {
            (Some(created), Some(sent)) => created.as_millisecond() >= sent - CLOCK_MARGIN,
            _ => true,
        }
    }
}
