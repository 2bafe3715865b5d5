//! The account as a plan sees it. Reads are answered by AWS, with the planned changes applied to
//! the fields that they change. What a plan changes is first copied into an emulator, and the
//! change is made there by the same calls, so that it succeeds or fails as on AWS.

mod listing;
mod read;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;

use indexmap::IndexSet;
use serde_json::json;
use tokio::sync::OnceCell;

use super::plan::Change;
use super::read_cache::Key;
use super::{ChangeOrigin, Gate, locked, reads};
use crate::aws::Environment;
use crate::aws::client::{Backend, Clients, Connection};
use crate::emulator::{Contents, Emulator, EmulatorSettings, Quota, is_partition};
use crate::error::{Error, Result};
use crate::iam::snapshot::{Snapshot, Subject};
use crate::iam::{self, AccountCounts, Entry, Identity, Markers, Trail, Write};
use crate::spec::{Args, Value};

pub use listing::Listings;

/// Placeholder of a value that only AWS can make.
pub const UNKNOWN: &str = "(known after apply)";

/// Planned state of one account.
#[derive(Debug)]
pub struct Overlay {
    emulator: Emulator,
    clients: Clients,
    counts: OnceCell<Option<AccountCounts>>,
    /// Managed policies about which AWS was asked, by ARN.
    policies: tokio::sync::Mutex<HashSet<String>>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Number of planned changes.
    changes: u64,
    /// Ids of roles that are planned to be deleted, by their ARNs.
    deleted: BTreeMap<String, String>,
    /// Copied profiles and roles.
    copies: HashMap<Key, Copy>,
    /// Roles in the emulator, including those that only a profile's copy brought in.
    roles: HashSet<String>,
    /// The ids that AWS has made; all others are of the emulator's making.
    ids: HashSet<String>,
}

/// Filter of a listing.
struct Filter {
    prefix: Option<String>,
    role: Option<String>,
}

/// A profile or role that was copied, or its absence.
#[derive(Debug)]
struct Copy {
    /// As it really is.
    base: Option<Snapshot>,
    /// As it is planned.
    now: Option<Snapshot>,
    /// Number of planned changes after the last one of it.
    changed: u64,
    /// Names of a role's inline policies, as far as they were asked for.
    inline: Vec<String>,
}

impl Copy {
    /// Check for something that the plan creates, also in the place of one that it deletes.
    fn is_created(&self) -> bool {
        match (&self.base, &self.now) {
            (None, Some(_)) => true,
            (Some(base), Some(now)) => base.id.is_some() && now.id.is_none(),
            (_, None) => false,
        }
    }
}

impl Overlay {
    /// Nothing planned yet, in the account and partition of that caller.
    pub async fn new(identity: &Identity) -> Result<Self> {
        let emulator = Emulator::in_memory(EmulatorSettings::default())?;
        emulator.reset(Contents::Empty)?;
        // The account's own quotas are asked for before the first change that they may refuse.
        let quotas =
            json!({ "profiles": u32::MAX, "roles": u32::MAX, "policies_per_role": u32::MAX });
        let mut about = json!({ "quotas": quotas });
        if let Some(account) = &identity.account {
            about["id"] = account.as_str().into();
        }
        if let Some(partition) = identity.partition().filter(|name| is_partition(name)) {
            about["partition"] = partition.into();
        }
        emulator.absorb(&json!({ "format": "iamlua-account", "version": 1, "account": about }))?;
        let connection = Connection {
            target: Backend::local(emulator.http_client()),
            environment: Some(Environment::default()),
            ..Connection::default()
        };
        let clients = connection.clients(|client| client).await?;
        Ok(Self {
            emulator,
            clients,
            counts: OnceCell::new(),
            policies: tokio::sync::Mutex::default(),
            inner: Mutex::default(),
        })
    }

    /// Plans a change: makes it in the emulator, and notes it.
    pub async fn write(
        &self,
        gate: &Gate,
        entry: &'static Entry,
        write: &'static Write,
        args: Args,
        origin: ChangeOrigin,
    ) -> Result<Value> {
        let session = gate.session();
        let name = args.text("name").unwrap_or_default();
        let key = Key::new(write.subject, &name);
        self.copy_what_it_rests_on(gate, &key, &name, &args).await?;
        let _turn = session.turns.take(&key).await;
        let before = self.copy(gate, &key, &name, write.needs_policies).await?;
        session.protection.check(write.subject, &name, &before)?;
        let after = (write.after)(&args, before.clone());
        if write.is_so_already(&before, &after) {
            session.spare();
            return Ok(Value::Nil);
        }
        Box::pin(gate.check_role(write.subject, &before)).await?;
        let policies = |state: &Option<Snapshot>| {
            let policies = state.as_ref().and_then(|image| image.policies.as_ref());
            policies.map_or(0, IndexSet::len)
        };
        let attaches = policies(&after) > policies(&before);
        if (before.is_none() && after.is_some()) || attaches {
            self.set_quotas(gate, write.subject).await?;
        }
        if after.is_none() && before.is_some() {
            if write.subject.is_held_by_profiles() {
                self.copy_a_profile_with(gate, &name).await?;
            }
            if write.subject.has_inline_policies() {
                self.copy_inline_policies(gate, &key, &name).await?;
            }
        }
        let mut admitted = gate.admit(entry).await?;
        // A call that AWS would refuse leaves the limit as it is.
        let answer = entry.send(self.clients.clone(), args.clone()).await;
        let answer = answer.map_err(without_request)?;
        let kept = self.as_kept(write.subject, &before, after.clone()).await?;
        let gone = before.clone().filter(|_| write.subject.is_principal() && after.is_none());
        let change = Change {
            number: 0,
            site: 0,
            action: entry.action().name.to_owned(),
            subject: write.subject,
            name,
            arguments: args.to_json(),
            before: before.map(Snapshot::bare),
            after: after.map(Snapshot::bare),
            undoes: origin.undoes,
        };
        {
            let mut inner = locked(&self.inner);
            inner.changes += 1;
            let changed = inner.changes;
            if let Some(copy) = inner.copies.get_mut(&key) {
                copy.now = kept;
                copy.changed = changed;
            }
            if let Some(image) = &gone {
                Self::turn_into_id(&mut inner, gate, image);
            }
        }
        let site = gate.site().await?;
        admitted.begin();
        session.recorder.record(site, change);
        Ok(self.shown(answer))
    }

    /// Lets the trust policies that name a role name it by its id, as AWS does once it is deleted.
    fn turn_into_id(inner: &mut Inner, gate: &Gate, role: &Snapshot) {
        let identity = gate.0.identity.get();
        let account = identity.and_then(|identity| identity.account.as_deref());
        let (Some(id), Some(account)) = (&role.id, account) else { return };
        let partition = identity.and_then(Identity::partition).unwrap_or("aws");
        let arn = format!("arn:{partition}:iam::{account}:role{}{}", role.path, role.name);
        inner.deleted.insert(arn, id.clone());
        let mut copies = std::mem::take(&mut inner.copies);
        for image in copies.values_mut().filter_map(|copy| copy.now.as_mut()) {
            if let Some(policy) = &mut image.assume_role_policy {
                *policy = inner.with_ids(policy);
            }
        }
        inner.copies = copies;
    }

    /// A state with the trust policy in the form in which AWS keeps it, and with the role by its
    /// own name.
    async fn as_kept(
        &self,
        subject: Subject,
        before: &Option<Snapshot>,
        after: Option<Snapshot>,
    ) -> Result<Option<Snapshot>> {
        let values = |state: &Option<Snapshot>| {
            let image = state.as_ref();
            image.map(|image| (image.assume_role_policy.clone(), image.role.clone()))
        };
        let Some(image) = &after else { return Ok(after) };
        if values(before) == values(&after) {
            return Ok(after);
        }
        let record = self.planned_record(subject, &image.name).await?;
        let text = |field: &str| record.field(field).as_str().map(str::to_owned);
        let (policy, role) = (text("assume_role_policy"), text("role"));
        Ok(after.map(|image| Snapshot { assume_role_policy: policy, role, ..image }))
    }

    /// The state of a profile or role as it is planned, after it was copied if it was not yet.
    async fn copy(
        &self,
        gate: &Gate,
        key: &Key,
        name: &str,
        with_policies: bool,
    ) -> Result<Option<Snapshot>> {
        if let Some(now) = self.now(key) {
            let needs_more =
                with_policies && now.as_ref().is_some_and(|image| image.policies.is_none());
            if !needs_more {
                return Ok(now);
            }
            let arns = reads::policies(gate.line().await?, name).await?;
            let base = locked(&self.inner).copies.get(key).and_then(|copy| copy.base.clone());
            let read =
                Snapshot { policies: Some(arns.into_iter().collect()), ..base.unwrap_or_default() };
            let policies =
                gate.completed_state(key, Some(read)).await.and_then(|image| image.policies);
            let state = now.map(|image| Snapshot { policies, ..image });
            self.absorb(key.subject, &state, &self.inline(key))?;
            let mut inner = locked(&self.inner);
            if let Some(copy) = inner.copies.get_mut(key) {
                copy.now.clone_from(&state);
                if let (Some(base), Some(image)) = (&mut copy.base, &state) {
                    base.policies.clone_from(&image.policies);
                }
            }
            return Ok(state);
        }
        let state = gate.before(key, name, with_policies).await?;
        self.absorb(key.subject, &state, &[])?;
        let mut inner = locked(&self.inner);
        let (base, mut now) = (state.clone(), state);
        if let Some(policy) = now.as_mut().and_then(|image| image.assume_role_policy.as_mut()) {
            *policy = inner.with_ids(policy);
        }
        let copy = Copy { base, now: now.clone(), changed: 0, inline: Vec::new() };
        inner.copies.insert(key.clone(), copy);
        Ok(now)
    }

    fn inline(&self, key: &Key) -> Vec<String> {
        let inner = locked(&self.inner);
        inner.copies.get(key).map(|copy| copy.inline.clone()).unwrap_or_default()
    }

    /// Planned state of a profile or role.
    pub async fn state(
        &self,
        gate: &Gate,
        key: &Key,
        name: &str,
        with_policies: bool,
    ) -> Result<Option<Snapshot>> {
        let _turn = gate.session().turns.take(key).await;
        self.copy(gate, key, name, with_policies).await
    }

    /// Check for a profile or role that was copied, or its absence.
    pub fn has(&self, key: &Key) -> bool {
        locked(&self.inner).copies.contains_key(key)
    }

    fn now(&self, key: &Key) -> Option<Option<Snapshot>> {
        locked(&self.inner).copies.get(key).map(|copy| copy.now.clone())
    }

    /// Puts something into the emulator as it is.
    fn absorb(&self, subject: Subject, state: &Option<Snapshot>, inline: &[String]) -> Result<()> {
        let Some(image) = state else { return Ok(()) };
        let mut inner = locked(&self.inner);
        let mut contents = json!({ "format": "iamlua-account", "version": 1 });
        match subject {
            Subject::Role => {
                inner.roles.insert(image.name.to_ascii_lowercase());
                contents["roles"] = json!([role_json(image, inline)]);
            }
            Subject::Profile => {
                if let Some(role) = &image.role
                    && inner.roles.insert(role.to_ascii_lowercase())
                {
                    let stand_in = stand_in(role, image.role_record.as_deref());
                    inner.ids.extend(stand_in.id.clone());
                    contents["roles"] = json!([role_json(&stand_in, &[])]);
                }
                contents["profiles"] = json!([{
                    "name": image.name, "path": image.path, "id": image.id, "create_date": image.create_date,
                    "role": image.role, "tags": image.tags,
                }]);
            }
        }
        inner.ids.extend(image.id.clone());
        self.emulator.absorb(&contents)
    }

    /// Copies the other entities that the result of a call depends on: the role it adds, the roles
    /// that a trust policy names, a policy of the account's own.
    async fn copy_what_it_rests_on(
        &self,
        gate: &Gate,
        subject: &Key,
        name: &str,
        args: &Args,
    ) -> Result<()> {
        if let Some(role) = args.text("role") {
            // A role that is in the profile came with it.
            let profile = {
                let _turn = gate.session().turns.take(subject).await;
                self.copy(gate, subject, name, false).await?
            };
            let has_it = profile
                .is_some_and(|image| image.role.is_some_and(|own| own.eq_ignore_ascii_case(&role)));
            if !has_it {
                self.copy_role(gate, &role).await?;
            }
        }
        if let Some(document) = args.text("assume_role_policy") {
            for role in roles_in(&document) {
                self.copy_role(gate, &role).await?;
            }
        }
        for name in ["policy_arn", "permissions_boundary"] {
            if let Some(arn) = args.text(name) {
                self.copy_policy(gate, &arn).await?;
            }
        }
        Ok(())
    }

    /// Makes a managed policy known to the emulator, if AWS has it.
    async fn copy_policy(&self, gate: &Gate, arn: &str) -> Result<()> {
        let mut asked = self.policies.lock().await;
        if asked.contains(arn) || !self.emulator.lacks_policy(arn)? {
            return Ok(());
        }
        let line = gate.line().await?;
        if line.make(iam::GET_POLICY.name, || iam::has_policy(line.clients(), arn)).await? {
            let contents = json!({ "format": "iamlua-account", "version": 1, "policies": [arn] });
            // One of another account is refused by the call itself.
            let _ = self.emulator.absorb(&contents);
        }
        asked.insert(arn.to_owned());
        Ok(())
    }

    /// A role that has inline policies cannot be deleted.
    async fn copy_inline_policies(&self, gate: &Gate, key: &Key, name: &str) -> Result<()> {
        let is_created = locked(&self.inner).copies.get(key).is_none_or(Copy::is_created);
        if is_created {
            return Ok(());
        }
        let line = gate.line().await?;
        let (mut found, mut marker, mut trail) = (Vec::new(), None, Trail::default());
        loop {
            let call = || iam::inline_policies(line.clients(), name, marker.clone());
            let (names, next) = line.make(iam::LIST_ROLE_POLICIES.name, call).await?;
            found.extend(names);
            let Some(next) = next else { break };
            trail.go(iam::LIST_ROLE_POLICIES.name, &next)?;
            marker = Some(next);
        }
        if found.is_empty() {
            return Ok(());
        }
        let now = {
            let mut inner = locked(&self.inner);
            let Some(copy) = inner.copies.get_mut(key) else { return Ok(()) };
            copy.inline.clone_from(&found);
            copy.now.clone()
        };
        self.absorb(key.subject, &now, &found)
    }

    async fn copy_role(&self, gate: &Gate, name: &str) -> Result<()> {
        let key = Key::new(Subject::Role, name);
        let _turn = gate.session().turns.take(&key).await;
        match self.copy(gate, &key, name, false).await {
            // Who may not read roles may still be allowed to pass them.
            Err(error) if error.code().starts_with("AccessDenied") => {
                let image = stand_in(name, None);
                locked(&self.inner).roles.insert(key.name);
                self.emulator.absorb(&json!({
                    "format": "iamlua-account", "version": 1, "roles": [role_json(&image, &[])],
                }))
            }
            other => other.map(|_| ()),
        }
    }

    /// Copies a profile with the role, for the plan to refuse the role's deletion as AWS does, also
    /// where the plan has not read the profile.
    async fn copy_a_profile_with(&self, gate: &Gate, role: &str) -> Result<()> {
        let mut args = Args::of([("role", Value::Str(role.to_owned()))]);
        let mut markers = Markers::default();
        loop {
            let entry = iam::entry("profiles.list_for_role");
            let page = match gate.read_really(entry, args.clone()).await {
                // Who may not read them may still be allowed to delete the role.
                Err(error)
                    if error.code() == "NoSuchEntity"
                        || error.code().starts_with("AccessDenied") =>
                {
                    return Ok(());
                }
                other => other?,
            };
            let Value::Page(page) = page else { return Ok(()) };
            for profile in &page.items {
                let name = profile.field("name").as_str().unwrap_or_default();
                let key = Key::new(Subject::Profile, name);
                if self.now(&key).is_none() {
                    let _turn = gate.session().turns.take(&key).await;
                    self.copy(gate, &key, name, false).await?;
                    return Ok(());
                }
            }
            match markers.after(&page)? {
                Some(marker) => args.set("marker", Value::Str(marker)),
                None => return Ok(()),
            }
        }
    }

    /// Makes the emulator as full as the account, with the account's quotas.
    async fn set_quotas(&self, gate: &Gate, subject: Subject) -> Result<()> {
        let Some(counts) = self.counts.get_or_try_init(|| gate.counts()).await? else {
            return Ok(());
        };
        let number = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
        if let Some(policies) = counts.policies_per_role {
            self.emulator.set_quota(Quota::PoliciesPerRole, number(policies))?;
        }
        let (count, most, quota) = match subject {
            Subject::Profile => (counts.profiles, counts.profiles_quota, Quota::Profiles),
            Subject::Role => (counts.roles, counts.roles_quota, Quota::Roles),
        };
        let (Some(count), Some(most)) = (count, most) else { return Ok(()) };
        self.emulator.set_quota(quota, number(most))?;
        self.emulator.set_count(quota, number(count.saturating_add(self.surplus(subject))))
    }

    /// Planned increase of the number of profiles or roles.
    fn surplus(&self, subject: Subject) -> i64 {
        let inner = locked(&self.inner);
        let copies = inner.copies.iter().filter(|(key, _)| key.subject == subject);
        copies.map(|(_, copy)| i64::from(copy.now.is_some()) - i64::from(copy.base.is_some())).sum()
    }

    /// An answer of the emulator's without what only AWS can make.
    fn shown(&self, answer: Value) -> Value {
        fn walk(value: &mut Value, ids: &HashSet<String>) {
            match value {
                Value::Record(fields) => {
                    for (name, value) in fields {
                        match value {
                            Value::Str(id) if *name == "id" && !ids.contains(id) => {
                                UNKNOWN.clone_into(id);
                            }
                            value => walk(value, ids),
                        }
                    }
                }
                Value::List(items) => items.iter_mut().for_each(|item| walk(item, ids)),
                Value::Page(page) => page.items.iter_mut().for_each(|item| walk(item, ids)),
                _ => {}
            }
        }
        let mut answer = answer;
        walk(&mut answer, &locked(&self.inner).ids);
        answer
    }
}

/// An error of a call that was not sent.
fn without_request(mut error: Error) -> Error {
    if let Some(aws) = &mut error.aws {
        aws.request_id = None;
    }
    error
}

/// A role of which only the name is known, or what a profile's record shows of it.
fn stand_in(name: &str, record: Option<&Value>) -> Snapshot {
    const NOBODY: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let text =
        |field: &str| record.and_then(|record| record.field(field).as_str()).map(str::to_owned);
    Snapshot {
        name: text("name").unwrap_or_else(|| name.to_owned()),
        path: text("path").unwrap_or_else(|| "/".into()),
        id: text("id"),
        create_date: text("create_date"),
        assume_role_policy: text("assume_role_policy").or_else(|| Some(NOBODY.into())),
        ..Snapshot::default()
    }
}

/// A role in the form that the emulator absorbs.
fn role_json(image: &Snapshot, inline: &[String]) -> serde_json::Value {
    let inline: serde_json::Map<_, _> =
        inline.iter().map(|name| (name.clone(), json!({}))).collect();
    json!({
        "name": image.name, "path": image.path, "id": image.id, "create_date": image.create_date,
        "assume_role_policy": image.assume_role_policy, "description": image.description,
        "max_session_duration": image.max_session_duration,
        "permissions_boundary": image.permissions_boundary,
        "attached_policies": image.policies, "inline_policies": inline, "tags": image.tags,
    })
}

/// The names of the roles that a trust policy names as principals.
pub(super) fn roles_in(document: &str) -> Vec<String> {
    fn walk(value: &serde_json::Value, names: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) => {
                if let Some((_, path)) = text.split_once(":role/")
                    && text.starts_with("arn:")
                {
                    names.extend(path.rsplit('/').next().map(str::to_owned));
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, names)),
            serde_json::Value::Object(map) => map.values().for_each(|item| walk(item, names)),
            _ => {}
        }
    }
    let mut names = Vec::new();
    if let Ok(document) = serde_json::from_str(document) {
        walk(&document, &mut names);
    }
    names
}
