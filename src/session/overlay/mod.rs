//! The account as a plan sees it: reads are real, and what was planned shows in them. What a plan changes is copied into an
//! emulator first, and the change is made there, by the same calls, so that it succeeds or fails as on AWS.

mod view;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use serde_json::json;
use tokio::sync::OnceCell;

use super::memory::Key;
use super::plan::Change;
use super::{Gate, Origin, locked, reading};
use crate::aws::client::{Clients, Connection, Target};
use crate::emulator::{Contents, Emulator, Options, Quota};
use crate::error::Result;
use crate::iam::image::{Image, State, Subject};
use crate::iam::{Counts, Entry, Markers, Write};
use crate::spec::{Args, Value};

/// What stands for a value that only AWS can make.
pub const UNKNOWN: &str = "(known after apply)";

/// How many managed policies a role may have, unless the account's quota says otherwise.
const DEFAULT_POLICIES: usize = 10;

/// What is planned in one account.
#[derive(Debug)]
pub struct Overlay {
    emulator: Emulator,
    clients: Clients,
    counts: OnceCell<Option<Counts>>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// What was copied.
    copies: HashMap<Key, Copy>,
    /// The roles that are in the emulator, also those that are there only because a profile has them.
    roles: HashSet<String>,
    /// The ids that AWS has made; all others are of the emulator's making.
    ids: HashSet<String>,
}

/// A profile or role that was copied, or its absence.
#[derive(Debug)]
struct Copy {
    /// As it really is.
    base: State,
    /// As it is planned.
    now: State,
    /// How many were copied before it.
    order: u64,
}

impl Overlay {
    /// Nothing planned yet, in an account of that number.
    pub async fn new(account: Option<&str>) -> Result<Self> {
        let emulator = Emulator::in_memory(Options::default())?;
        emulator.reset(Contents::Empty)?;
        let quotas = json!({
            "profiles": u32::MAX, "roles": u32::MAX, "policies_per_role": DEFAULT_POLICIES,
        });
        let mut about = json!({ "quotas": quotas });
        if let Some(account) = account {
            about["id"] = account.into();
        }
        emulator.absorb(&json!({ "format": "iamlua-account", "version": 1, "account": about }))?;
        let connection =
            Connection { target: Target::local(emulator.http_client()), ..Connection::default() };
        let clients = connection.clients(|client| client).await?;
        Ok(Self { emulator, clients, counts: OnceCell::new(), inner: Mutex::default() })
    }

    /// Plans a change: makes it in the emulator, and notes it.
    pub async fn write(
        &self,
        gate: &Gate,
        entry: &'static Entry,
        write: &'static Write,
        args: Args,
        origin: Origin,
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
        let policies = after.as_ref().and_then(|image| image.policies.as_ref());
        let attaches_many = policies.is_some_and(|policies| policies.len() > DEFAULT_POLICIES);
        if (before.is_none() && after.is_some()) || attaches_many {
            self.set_quota(gate, write.subject).await?;
        }
        if after.is_none() && write.subject == Subject::Role {
            self.copy_a_profile_with(gate, &name).await?;
        }
        let mut admitted = gate.admit(entry).await?;
        // A call that AWS would refuse leaves the limit as it is.
        let answer = (write.call)(self.clients.clone(), args.clone()).await?;
        let change = Change {
            number: 0,
            site: 0,
            action: entry.spec.actions[0].name.to_owned(),
            subject: write.subject,
            name,
            arguments: args.to_json(),
            before: before.map(Image::bare),
            after: after.clone().map(Image::bare),
            undoes: origin.undoes,
        };
        if let Some(copy) = locked(&self.inner).copies.get_mut(&key) {
            copy.now = after;
        }
        let site = gate.site().await?;
        admitted.begin();
        session.recorder.record(site, change);
        Ok(self.shown(answer))
    }

    /// The state of a profile or role as it is planned, after it was copied if it was not yet.
    async fn copy(&self, gate: &Gate, key: &Key, name: &str, with_policies: bool) -> Result<State> {
        if let Some(now) = self.now(key) {
            let needs_more =
                with_policies && now.as_ref().is_some_and(|image| image.policies.is_none());
            if !needs_more {
                return Ok(now);
            }
            let arns = reading::policies(gate.line().await?, name).await?;
            let base = locked(&self.inner).copies.get(key).and_then(|copy| copy.base.clone());
            let read =
                Image { policies: Some(arns.into_iter().collect()), ..base.unwrap_or_default() };
            let policies =
                gate.completed_state(key, Some(read)).await.and_then(|image| image.policies);
            let state = now.map(|image| Image { policies, ..image });
            self.absorb(key.subject, &state)?;
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
        self.absorb(key.subject, &state)?;
        let mut inner = locked(&self.inner);
        let order = inner.copies.len() as u64;
        inner.copies.insert(key.clone(), Copy { base: state.clone(), now: state.clone(), order });
        Ok(state)
    }

    /// What is planned to be there of a profile or role.
    pub async fn state(
        &self,
        gate: &Gate,
        key: &Key,
        name: &str,
        with_policies: bool,
    ) -> Result<State> {
        let _turn = gate.session().turns.take(key).await;
        self.copy(gate, key, name, with_policies).await
    }

    fn now(&self, key: &Key) -> Option<State> {
        locked(&self.inner).copies.get(key).map(|copy| copy.now.clone())
    }

    /// Puts something into the emulator as it is.
    fn absorb(&self, subject: Subject, state: &State) -> Result<()> {
        let Some(image) = state else { return Ok(()) };
        let mut inner = locked(&self.inner);
        let mut contents = json!({ "format": "iamlua-account", "version": 1 });
        match subject {
            Subject::Role => {
                inner.roles.insert(image.name.to_ascii_lowercase());
                contents["roles"] = json!([role_json(image)]);
            }
            Subject::Profile => {
                if let Some(role) = &image.role
                    && inner.roles.insert(role.to_ascii_lowercase())
                {
                    let stand_in = stand_in(role, image.role_record.as_deref());
                    inner.ids.extend(stand_in.id.clone());
                    contents["roles"] = json!([role_json(&stand_in)]);
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

    /// Copies what else the emulator must know for a call to succeed or fail as on AWS: the role it puts in, the roles that a
    /// trust policy names, a policy of the account's own.
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
        let is_aws = matches!(gate.connection().target, Target::Aws);
        for name in ["policy_arn", "permissions_boundary"] {
            let Some(arn) = args.text(name) else { continue };
            // The local account knows its policies, and so does its emulator; what AWS has beyond those cannot be looked up.
            if is_aws || !arn.contains("::aws:") {
                let contents =
                    json!({ "format": "iamlua-account", "version": 1, "policies": [arn] });
                // One that is malformed is refused by the call itself.
                let _ = self.emulator.absorb(&contents);
            }
        }
        Ok(())
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
                    "format": "iamlua-account", "version": 1, "roles": [role_json(&image)],
                }))
            }
            other => other.map(|_| ()),
        }
    }

    /// A role that is in a profile cannot be deleted, also not where the plan has not met the profile.
    async fn copy_a_profile_with(&self, gate: &Gate, role: &str) -> Result<()> {
        let mut args = Args::of([("role", Value::Str(role.to_owned()))]);
        let mut markers = Markers::default();
        loop {
            let (entry, call) = reading::read_of("profiles.list_for_role");
            let page = match gate.read_really(entry, call, args.clone()).await {
                Err(error) if error.code() == "NoSuchEntity" => return Ok(()),
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

    /// Makes the emulator as full as the account.
    async fn set_quota(&self, gate: &Gate, subject: Subject) -> Result<()> {
        let Some(counts) = self.counts.get_or_try_init(|| gate.counts()).await? else {
            return Ok(());
        };
        let (count, most, quota) = match subject {
            Subject::Profile => (counts.profiles, counts.profiles_quota, Quota::Profiles),
            Subject::Role => (counts.roles, counts.roles_quota, Quota::Roles),
        };
        let (Some(count), Some(most)) = (count, most) else { return Ok(()) };
        let number = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
        self.emulator.set_quota(quota, number(most))?;
        self.emulator.set_count(quota, number(count.saturating_add(self.surplus(subject))))?;
        if let Some(policies) = counts.policies_per_role {
            self.emulator.set_quota(Quota::PoliciesPerRole, number(policies))?;
        }
        Ok(())
    }

    /// How many more there will be than there are.
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

/// A role of which only the name is known, or what a profile's record shows of it.
fn stand_in(name: &str, record: Option<&Value>) -> Image {
    const NOBODY: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let text =
        |field: &str| record.and_then(|record| record.field(field).as_str()).map(str::to_owned);
    Image {
        name: text("name").unwrap_or_else(|| name.to_owned()),
        path: text("path").unwrap_or_else(|| "/".into()),
        id: text("id"),
        create_date: text("create_date"),
        assume_role_policy: text("assume_role_policy").or_else(|| Some(NOBODY.into())),
        ..Image::default()
    }
}

/// A role in the form that the emulator absorbs.
fn role_json(image: &Image) -> serde_json::Value {
    // The emulator knows one partition, and would not take the policies of another.
    let is_known = |arn: &&String| arn.starts_with("arn:aws:");
    let boundary = image.permissions_boundary.as_ref().filter(is_known);
    let policies = image.policies.as_ref();
    let policies = policies.map(|arns| arns.iter().filter(is_known).collect::<Vec<_>>());
    json!({
        "name": image.name, "path": image.path, "id": image.id, "create_date": image.create_date,
        "assume_role_policy": image.assume_role_policy, "description": image.description,
        "max_session_duration": image.max_session_duration, "permissions_boundary": boundary,
        "attached_policies": policies, "tags": image.tags,
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
