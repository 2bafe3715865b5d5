//! Making one change: what was there is read, the intent is on the disk, the call is sent, and its outcome is found out and
//! written down, also when answers get lost. Every change is made once: when an attempt is repeated and AWS says that there
//! is nothing left to do, the account is asked whether our own first attempt did it.

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
use super::{Gate, Origin, reads, stopped};
use crate::error::{Error, Kind, Result};
use crate::iam::snapshot::{Effect, Snapshot, Subject, differences, verdict};
use crate::iam::{Entry, Write};
use crate::spec::{Args, Value};

/// How often a call whose answers all got lost is made anew, each time with the line's own repeats.
const ROUNDS: u32 = 4;
/// The pauses between looks at an account that does not show yet what AWS says it holds: IAM is eventually consistent.
const LOOKS: [u64; 5] = [0, 300, 1000, 2000, 4000];
/// A date in IAM has no fractions of a second, nor has a date in HTTP, and clocks drift.
const CLOCK_MARGIN: i64 = 3000;

/// The codes by which AWS says that something is not as it was thought to be.
const CONTRADICTIONS: [&str; 4] =
    ["NoSuchEntity", "EntityAlreadyExists", "LimitExceeded", "DeleteConflict"];

/// What is known of something after a call.
enum Evidence {
    /// Current state.
    Now(Box<Option<Snapshot>>),
    /// What was known before.
    AsBefore,
    /// Nothing.
    Nothing,
}

/// What became of a call.
enum Delivered {
    Done { value: Value, state: Box<Option<Snapshot>>, note: Option<&'static str> },
    Failed(Error),
    InDoubt(Error),
}

/// Makes a change.
pub(super) async fn execute(
    gate: &Gate,
    entry: &'static Entry,
    write: &'static Write,
    args: Args,
    origin: Origin,
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
        // Only now is it known that there is something to change.
        let mut admitted = gate.admit(entry).await?;
        // Whoever waits here has not begun.
        let turn = line.turn(entry, gate.closing()).await?;
        let number = session.journal.intend(intent).await?;
        admitted.begin();
        Ok(Some((line, turn, before, after, number, admitted)))
    };
    let Some((line, turn, before, after, number, mut admitted)) = prepared.await? else {
        session.spare();
        return Ok(Value::Nil);
    };
    let call =
        Call { gate, entry, write, args: &args, name: &name, before: &before, after: &after };
    let delivered = if gate.is_closed() {
        Delivered::Failed(stopped(entry))
    } else {
        call.make(line, turn).await
    };
    let mut settled =
        Settled { number, outcome: ChangeOutcome::Done, after: None, error: None, note: None };
    let (result, known) = match delivered {
        Delivered::Done { value, state, note } => {
            settled.note = note.map(str::to_owned);
            let state = *state;
            if state.is_some() {
                settled.after = Some(state.clone());
            }
            (Ok(value), Evidence::Now(Box::new(state.or_else(|| after.clone()))))
        }
        Delivered::Failed(error) => {
            admitted.refuse();
            settled.outcome = ChangeOutcome::Failed;
            settled.error = Some(error.to_string());
            // What this run knows stays known, unless AWS knows better.
            let doubted = CONTRADICTIONS.contains(&error.code());
            if let (Some(_), Ok(place)) = (call.contradicted(&error).await, gate.place().await) {
                session.recent.forget(&place, &key);
            }
            (Err(error), if doubted { Evidence::Nothing } else { Evidence::AsBefore })
        }
        Delivered::InDoubt(error) => {
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

/// A change that is being made.
struct Call<'a> {
    gate: &'a Gate,
    entry: &'static Entry,
    write: &'static Write,
    args: &'a Args,
    name: &'a str,
    before: &'a Option<Snapshot>,
    after: &'a Option<Snapshot>,
}

/// The attempts at a call that AWS refuses because it does not know yet what this process has
/// changed.
#[derive(Default)]
struct Late {
    attempts: u32,
}

impl Late {
    /// Delay before the next attempt; `None` if it is no use.
    async fn pause(&mut self, call: &Call<'_>, error: &Error) -> Option<Duration> {
        const FIRST: Duration = Duration::from_millis(250);
        const LONGEST: Duration = Duration::from_secs(4);
        let changed = call.contradicted(error).await?;
        let left = REFUSALS.checked_sub(changed.elapsed())?;
        if call.is_borne_out(error).await {
            return None;
        }
        self.attempts += 1;
        Some(FIRST.saturating_mul(1 << (self.attempts - 1).min(8)).min(LONGEST).min(left))
    }
}

/// What a look at the account has shown.
enum Probe {
    /// Our own call did it.
    Ours(Value, Box<Option<Snapshot>>),
    /// It did not happen, or somebody else did it.
    NotOurs,
    /// The account cannot be asked, or does not show yet what AWS said.
    Unknown,
}

const FOUND: &str = "an answer was lost; the account shows that it was done";

impl Call<'_> {
    async fn make(&self, line: &RetryingClient, turn: Permit) -> Delivered {
        let mut turn = Some(turn);
        let attempts = Arc::new(Attempts::default());
        let mut pause = Duration::from_millis(500);
        let mut late = Late::default();
        let (mut round, mut last) = (0, None);
        while round < ROUNDS {
            if round > 0 {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            let closing = self.gate.closing();
            let call = line.write(turn.take(), closing, self.entry, self.args);
            let error = match attempts.of(call).await {
                Ok(value) => {
                    let state = self.created(&value);
                    return Delivered::Done { value, state: Box::new(state), note: None };
                }
                Err(error) => error,
            };
            if !attempts.any_in_doubt() {
                if let Some(pause) = late.pause(self, &error).await {
                    tokio::select! {
                        () = self.gate.closing() => return Delivered::Failed(error),
                        () = tokio::time::sleep(pause) => {}
                    }
                    continue;
                }
                return Delivered::Failed(error);
            }
            round += 1;
            let answered = error.kind == Kind::Aws && !attempts.last_in_doubt();
            let is_repeat = answered && self.write.repeated == Some(error.code());
            match self.look(line, &attempts, is_repeat).await {
                Probe::Ours(value, state) => {
                    return Delivered::Done { value, state, note: Some(FOUND) };
                }
                Probe::NotOurs if answered => return Delivered::Failed(error),
                Probe::NotOurs | Probe::Unknown => {}
            }
            // A repeat that AWS answers tells the truth, even where what is read lags behind.
            if self.gate.is_closed() || is_repeat {
                return Delivered::InDoubt(error);
            }
            last = Some(error);
        }
        Delivered::InDoubt(last.unwrap_or_else(|| Error::new(Kind::Bug, "no attempt was made")))
    }

    /// When this process has made the change that AWS does not know of yet, if that is why it
    /// refuses this one: what was just made is not there, what was just deleted still is, and what
    /// was just taken out stands in the way.
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
            // A role that was just made is no principal yet.
            "MalformedPolicyDocument" if names("invalid principal") => {
                let document = self.args.text("assume_role_policy")?;
                let roles = super::overlay::roles_in(&document);
                let made = roles.iter().filter_map(|role| changed(Subject::Role, role, true));
                made.filter(|_| roles.iter().any(|role| names(role))).max()
            }
            _ => None,
        }
    }

    /// Check that a read supports the refusal, so that somebody else is behind it.
    async fn is_borne_out(&self, error: &Error) -> bool {
        let key = Key::new(self.write.subject, self.name);
        match (error.code(), self.write.subject) {
            ("EntityAlreadyExists", _) => {
                // With what this process has changed, the one that it has deleted is not there.
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

    /// What was created, with what only AWS knew before.
    fn created(&self, record: &Value) -> Option<Snapshot> {
        let (None, Some(after)) = (self.before, self.after) else { return None };
        let text = |name: &str| record.field(name).as_str().map(str::to_owned);
        Some(Snapshot { id: text("id"), create_date: text("create_date"), ..after.clone() })
    }

    /// Asks the account whether our own call did it. `is_repeat`: AWS has said that there is nothing left to do.
    async fn look(&self, line: &RetryingClient, attempts: &Attempts, is_repeat: bool) -> Probe {
        if is_repeat && !self.could_have_been_ours() {
            return Probe::NotOurs;
        }
        // Only where AWS contradicts what is read is it worth waiting for it to show.
        let looks = if is_repeat { &LOOKS[..] } else { &LOOKS[..1] };
        let mut seen = Probe::Unknown;
        for pause in looks {
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
                // What stands there instead of what we wanted to make is somebody else's.
                Effect::Drifted(_) if self.before.is_none() => return Probe::NotOurs,
                // AWS says that it is done, so that this is old, or not ours.
                Effect::NotHappened if is_repeat => seen = Probe::Unknown,
                Effect::NotHappened | Effect::Drifted(_) => seen = Probe::NotOurs,
            }
        }
        seen
    }

    /// Whether the call could have succeeded on what was there before; else AWS only says what was so before us.
    fn could_have_been_ours(&self) -> bool {
        match (self.before, self.after) {
            // What is there already cannot be made.
            (before, Some(_)) if self.write.repeated == Some("EntityAlreadyExists") => {
                before.is_none()
            }
            // A profile with a role takes no other.
            (Some(before), Some(after)) if after.role.is_some() => {
                before.role.is_none() || before.role == after.role && before != after
            }
            (before, after) => before.is_some() && !differences(before, after).is_empty(),
        }
    }

    /// What was created before our first attempt in doubt was sent is somebody else's, however alike.
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
