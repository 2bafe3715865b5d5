//! Undo of a run: the inverse of its net effect on each profile and role, as a plan. It is made in
//! a session that plans, so that each inverse is tried on what the ones before it leave. What has
//! changed since is left as it is, and with it what rests on it.

mod net_changes;
mod order;

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt;

use super::destination::{Destination, Places};
use super::journal::identities::{Identities, arn_of};
use super::journal::records::{RecordedChange, Records, Run};
use super::journal::{ChangeOutcome, LeftOut};
use super::read_cache::Key;
use super::recover::describe;
use super::{ChangeOrigin, Gate};
use crate::error::{Error, Kind, Result};
use crate::iam::snapshot::{Snapshot, Subject, steps};
use crate::iam::{self, Entry, Markers, Write};

use crate::spec::{Action, Args, Value};
use net_changes::{Inverse, Net};
use order::{Inverted, Part};

/// Findings of the plan of an undo.
#[derive(Debug, Default)]
pub struct UndoPlan {
    /// Profiles and roles that are left as they are.
    pub left_out: Vec<LeftOut>,
    /// Profiles and roles that somebody has set back already, once for each change.
    pub back: Vec<String>,
    /// Notes on what does not come back as it was.
    pub lost: Vec<String>,
    /// Number of changes that were undone earlier.
    pub undone_before: u64,
    /// Changes of which nothing is left to undo: of what the run has made and deleted itself, and
    /// those without effect.
    pub moot: Vec<u64>,
}

/// Bounds of an undo, and what the journal knows besides the run.
#[derive(Clone, Debug, Default)]
pub struct UndoSettings {
    /// Names of the profiles and roles to which it is restricted, such as `web`, `profile/web` or
    /// `role/web`; none for all.
    pub only: Vec<String>,
    /// Ids of what was made again.
    pub identities: Identities,
    /// Changes that any run has made just now; AWS may not show them yet.
    pub recent: Vec<(Destination, RecordedChange)>,
    /// Ids of what undos have deleted.
    pub deleted: HashSet<String>,
    /// Sites of the run that cannot be reached, with the reason.
    pub unreachable: HashMap<usize, String>,
}

impl UndoSettings {
    /// Options for all changes of a run.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn of(records: &Records) -> Result<Self> {
        let (identities, recent) = (records.identities()?, records.recent_changes()?);
        Ok(Self { identities, recent, deleted: records.deleted_by_undos()?, ..Self::default() })
    }

    fn names(&self, change: &RecordedChange) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| is_of(only, change))
    }

    /// Check for a change that the undo is about.
    #[must_use]
    pub fn is_meant(&self, change: &RecordedChange) -> bool {
        self.names(change) && change.outcome == Some(ChangeOutcome::Done)
    }
}

/// Check for a change of what such a name means: `web`, `profile/web` or `role/web`.
#[must_use]
pub fn is_of(only: &str, change: &RecordedChange) -> bool {
    let name = match only.split_once('/') {
        Some((kind, name)) if kind == change.subject.name() => name,
        Some(_) => return false,
        None => only,
    };
    name.eq_ignore_ascii_case(&change.name)
}

/// Plans the undo of a run's changes through gates of a session in plan mode; they lead to the
/// run's sites. A profile or role of which one change cannot be undone is left as it is.
///
/// # Errors
/// If AWS cannot be asked, or a guard refuses.
pub async fn plan(
    run: &Run,
    changes: &[RecordedChange],
    gates: &[Gate],
    options: &UndoSettings,
) -> Result<UndoPlan> {
    let reachable = |site: &Destination| {
        let at = run.sites.iter().position(|own| own.is_same_account(site))?;
        (!options.unreachable.contains_key(&at)).then_some(at)
    };
    check_steps(run, changes, options)?;
    super::apply::note_recent(gates, &options.recent, reachable).await;
    let mut left_out = Excluded::default();
    let mut told = Vec::new();
    loop {
        let mut attempt = Attempt {
            run,
            places: Places::of(&run.sites),
            options,
            identities: options.identities.with_roles(states(run, changes)),
            is_torn: false,
            left_out: left_out.clone(),
            undoing: UndoPlan { left_out: told.clone(), ..UndoPlan::default() },
        };
        attempt.make(changes, gates).await?;
        if !attempt.is_torn {
            return Ok(attempt.undoing);
        }
        // Again, without what turned out to be left out when some of it was planned already.
        left_out = attempt.left_out;
        told = attempt.undoing.left_out;
        if let Some(gate) = gates.first() {
            gate.session().forget_plan().await;
        }
    }
}

/// One attempt at the plan of an undo.
struct Attempt<'a> {
    run: &'a Run,
    places: Places<'a>,
    options: &'a UndoSettings,
    identities: Identities,
    /// Something is planned of what is left out.
    is_torn: bool,
    left_out: Excluded,
    undoing: UndoPlan,
}

impl Attempt<'_> {
    fn leave_out(
        &mut self,
        (site, subject, name): (usize, Subject, &str),
        absent: bool,
        why: &str,
    ) {
        let key = self.places.key(site, subject, name);
        if self.left_out.add(key, absent) {
            self.undoing.left_out.push(LeftOut {
                site: self.run.sites.get(site).cloned(),
                subject,
                name: name.to_owned(),
                action: None,
                reason: why.to_owned(),
            });
        }
    }

    async fn make(&mut self, changes: &[RecordedChange], gates: &[Gate]) -> Result<()> {
        // What nobody knows of is left as it is.
        for change in changes.iter().filter(|change| change.is_open()) {
            if self.options.names(change) {
                let subject = (change.site, change.subject, change.name.as_str());
                let why = format!("it is not known whether {} has happened", change.action);
                self.leave_out(subject, change.after.is_none(), &why);
            }
        }
        let meant = || changes.iter().filter(|change| self.options.is_meant(change));
        self.undoing.undone_before =
            meant().filter(|change| change.undone.is_some()).count() as u64;
        let key_of =
            |change: &RecordedChange| self.places.key(change.site, change.subject, &change.name);
        let standing = meant().filter(|change| change.undone.is_none());
        let nets = net_changes::of(standing, key_of, &self.identities);
        let nets: Vec<Net> = nets.into_iter().filter(|net| self.is_reachable(net)).collect();
        let (nets, inverted) = self.inverted(nets, gates).await?;
        self.add(&nets, &inverted, gates).await
    }

    /// Leaves out what is left out already, and what cannot be reached.
    fn is_reachable(&mut self, net: &Net) -> bool {
        if self.left_out.has(&self.places.key(net.site, net.subject, &net.name)) {
            return false;
        }
        let Some(why) = self.options.unreachable.get(&net.site) else { return true };
        self.leave_out((net.site, net.subject, &net.name), net.after.is_none(), why);
        false
    }

    /// The inverses that are to be made.
    async fn inverted(
        &mut self,
        nets: Vec<Net>,
        gates: &[Gate],
    ) -> Result<(Vec<Net>, Vec<Inverted>)> {
        const AT_ONCE: usize = 16;
        let read = nets.iter().map(|net| async move {
            let gate = gates
                .get(net.site)
                .ok_or_else(|| Error::new(Kind::Bug, "a change that went nowhere"))?;
            gate.planned_state(net.subject, &net.name, net.has_policies()).await
        });
        let states: Vec<Result<Option<Snapshot>>> =
            futures_util::stream::iter(read).buffered(AT_ONCE).collect().await;
        let (mut kept, mut inverted) = (Vec::new(), Vec::new());
        for (net, now) in nets.into_iter().zip(states) {
            let subject = (net.site, net.subject, net.name.as_str());
            let now = match now {
                Ok(now) => now,
                Err(error) if matches!(error.kind, Kind::Aws | Kind::Protected) => {
                    self.leave_out(subject, net.after.is_none(), &error.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            let known = self.identities.known_as(&now);
            match net.inverse(&known, &self.options.deleted) {
                Inverse::Moot => self.undoing.moot.extend(&net.numbers),
                // It may be made again by an undo of what has set it back.
                Inverse::Done => {
                    let what = self.places.describe(net.site, net.subject, &net.name);
                    self.undoing.back.push(what);
                }
                Inverse::Drifted(found) => {
                    let why = describe(&found, "after the run");
                    self.leave_out(subject, net.after.is_none(), &why);
                }
                Inverse::To(to) => {
                    let key = self.places.key(net.site, net.subject, &net.name);
                    inverted.push(Inverted { key, from: now, to });
                    kept.push(net);
                }
            }
        }
        Ok((kept, inverted))
    }

    /// Plans the inverses in their order.
    async fn add(&mut self, nets: &[Net], inverted: &[Inverted], gates: &[Gate]) -> Result<()> {
        let mut begun = HashSet::new();
        for part in order::parts(inverted) {
            let net = &nets[part.inverse];
            let subject = (net.site, net.subject, net.name.as_str());
            if self.left_out.has(&inverted[part.inverse].key) {
                continue;
            }
            let lacks = |role: &String| {
                self.left_out.lacks(&self.places.key(net.site, Subject::Role, role))
            };
            let absent = roles_of(&part.to).into_iter().find(lacks);
            let planned = match absent {
                Some(role) => Err(Error::new(Kind::Aws, format!("role {role} is not made again"))),
                None => self.plan_part(net, &part, gates).await,
            };
            match planned {
                Ok(()) => {
                    begun.insert(part.inverse);
                }
                Err(error) if matches!(error.kind, Kind::Aws | Kind::Protected) => {
                    self.is_torn |= begun.contains(&part.inverse);
                    let absent = net.after.is_none();
                    self.leave_out(subject, absent, &error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        let made = begun.iter().map(|at| (&nets[*at], &inverted[*at]));
        let made = made.filter(|(net, inverted)| {
            net.subject.is_principal() && inverted.from.is_none() && inverted.to.is_some()
        });
        let mut arns: HashMap<usize, HashSet<String>> = HashMap::new();
        for (net, inverted) in made {
            let arn = self.run.sites.get(net.site).and_then(|site| arn_of(site, &inverted.to));
            arns.entry(net.site).or_default().extend(arn);
        }
        for (site, arns) in arns {
            self.restore_trust(&gates[site], &arns).await?;
        }
        Ok(())
    }

    /// Lets roles trust the roles again that are made again. AWS has put the id of a role that was
    /// deleted in the place of its ARN.
    async fn restore_trust(&self, gate: &Gate, made: &HashSet<String>) -> Result<()> {
        let identities = self.identities.of_roles(made);
        let entry = iam::entry(Subject::Role.functions().list);
        let mut args = Args::of([("max_items", Value::Int(1000))]);
        let mut markers = Markers::default();
        loop {
            let page = match gate.read(entry, args.clone()).await {
                Ok(Value::Page(page)) => page,
                // Who may not list roles has the note that they are others.
                Err(error) if error.code().starts_with("AccessDenied") => return Ok(()),
                Ok(_) => return Ok(()),
                Err(error) => return Err(error),
            };
            for role in &page.items {
                let text = |field| role.field(field).as_str().unwrap_or_default().to_owned();
                let policy = text("assume_role_policy");
                let restored = identities.with_arns(policy.clone());
                if restored == policy {
                    continue;
                }
                let name = ("name", Value::Str(text("name")));
                let args = Args::of([name, ("assume_role_policy", Value::Str(restored))]);
                let (entry, write) = step_of(iam::UPDATE_ASSUME_ROLE_POLICY)?;
                // One that AWS refuses holds up nothing else.
                match gate.write(entry, write, args, ChangeOrigin::default()).await {
                    Err(error) if error.kind != Kind::Aws => return Err(error),
                    _ => {}
                }
            }
            match markers.after(&page)? {
                Some(marker) => args.set("marker", Value::Str(marker)),
                None => return Ok(()),
            }
        }
    }

    async fn plan_part(&mut self, net: &Net, part: &Part, gates: &[Gate]) -> Result<()> {
        let (steps, lost) = match (&part.from, &part.to) {
            (Some(from), Some(to)) if order::is_other(from, to) => {
                let (mut all, _) = steps(net.subject, &part.from, &None);
                let (made, lost) = steps(net.subject, &None, &part.to);
                all.extend(made);
                (all, lost)
            }
            _ => steps(net.subject, &part.from, &part.to),
        };
        let account = self.places.account(net.site);
        self.undoing.lost.extend(lost.into_iter().map(|note| match account {
            Some(account) => format!("{}: {note}", account.describe()),
            None => note,
        }));
        let end = steps.len().saturating_sub(1);
        for (at, (action, args)) in steps.into_iter().enumerate() {
            let (entry, write) = step_of(action)?;
            let Value::Map(given) = Value::from(&args.to_json()) else {
                return Err(Error::new(Kind::Bug, format!("{} has no arguments", action.name)));
            };
            let args = entry.spec.check(given.into_iter().collect())?;
            // With it all later changes of the same are undone.
            let number = net.numbers.first().filter(|_| at == end && part.is_last);
            let undoes = number.map(|number| (self.run.id.clone(), *number));
            let origin = ChangeOrigin { plan_change: None, undoes };
            gates[net.site].write(entry, write, args, origin).await.inspect_err(|_| {
                // What was planned of it must not stay.
                self.is_torn |= at > 0;
            })?;
        }
        Ok(())
    }
}

/// Check that the action of each change is known.
///
/// # Errors
/// If one is unknown, because it may have changed more than the states in the journal show.
fn check_steps(run: &Run, changes: &[RecordedChange], options: &UndoSettings) -> Result<()> {
    let mut meant =
        changes.iter().filter(|change| options.is_meant(change) && change.undone.is_none());
    let Some(unknown) = meant.find(|change| iam::write(&change.action).is_none()) else {
        return Ok(());
    };
    let RecordedChange { number, action, .. } = unknown;
    let message = format!("change {number} of run {} is of the unknown action {action}", run.id);
    Err(Error::new(Kind::State, message)
        .hint(format!("undo it with the program that made it: {}", run.program)))
}

/// Registry entry of a step.
///
/// # Errors
/// If there is none; a step is never skipped.
fn step_of(action: Action) -> Result<(&'static Entry, &'static Write)> {
    iam::write(action.name)
        .ok_or_else(|| Error::new(Kind::Bug, format!("there is no action {}", action.name)))
}

/// Profiles and roles that a plan leaves out.
#[derive(Clone, Debug, Default)]
pub(super) struct Excluded {
    all: HashSet<(usize, Key)>,
    /// Those of them that were to be made.
    absent: HashSet<(usize, Key)>,
}

impl Excluded {
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

/// States of a run's changes, each with its site.
fn states<'a>(
    run: &'a Run,
    changes: &'a [RecordedChange],
) -> impl Iterator<Item = (&'a Destination, &'a Option<Snapshot>)> {
    changes.iter().flat_map(|change| {
        let site = run.sites.get(change.site);
        let both = [&change.before, &change.after].into_iter();
        both.filter_map(move |state| Some((site?, state)))
    })
}

/// Roles that a state names: the role in a profile, the principals of a trust policy.
fn roles_of(state: &Option<Snapshot>) -> Vec<String> {
    let Some(image) = state else { return Vec::new() };
    let policy = image.assume_role_policy.as_deref();
    let named = policy.map(super::overlay::roles_in).unwrap_or_default();
    image.role.clone().into_iter().chain(named).collect()
}
