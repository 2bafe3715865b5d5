//! Reads of an account in which something is planned.

use super::{Copy, Filter, Inner, Overlay};
use crate::error::{Error, Kind, Result};
use crate::iam::snapshot::{Difference, Field, Snapshot, Subject, differences, patched};
use crate::iam::{self, Entry, Reads};
use crate::session::read_cache::Key;
use crate::session::{Gate, locked};
use crate::spec::{Args, Value};

/// Fields that the entries of a listing leave out.
const NOT_LISTED: [&str; 4] = ["tags", "permissions_boundary", "last_used", "last_used_region"];

impl Overlay {
    /// Reads from AWS, with what is planned in it.
    pub async fn read(&self, gate: &Gate, entry: &'static Entry, args: Args) -> Result<Value> {
        let Some(reads) = entry.reads() else {
            return Err(Error::new(Kind::Bug, format!("{} is no read", entry.spec.path())));
        };
        let key = |subject| Key::new(subject, &args.text("name").unwrap_or_default());
        match reads {
            Reads::One(subject) => {
                let key = key(subject);
                self.record(gate, entry, args, &key).await
            }
            Reads::Page(subject) => self.listing(gate, entry, args, subject).await,
            Reads::Tags(subject) | Reads::Policies(subject) => {
                let key = key(subject);
                self.values(gate, entry, args, (&key, reads.are_policies())).await
            }
            Reads::Account => Ok(self.counted(gate.read_really(entry, args).await?)),
        }
    }

    async fn record(
        &self,
        gate: &Gate,
        entry: &'static Entry,
        args: Args,
        key: &Key,
    ) -> Result<Value> {
        let copied = {
            let inner = locked(&self.inner);
            let copy = inner.copies.get(key);
            copy.map(|copy| (copy.base.clone(), copy.now.clone(), copy.is_created()))
        };
        let (base, now) = match copied {
            None => (None, None),
            Some((base, now, false)) if now.is_some() => (base, now),
            // There is none, or it is only planned.
            Some(_) => return Ok(self.shown(entry.send(self.clients.clone(), args).await?)),
        };
        let record = gate.read_really(entry, args).await?;
        self.patched(record, &base, &now).await
    }

    /// A record from AWS with the planned changes of what it shows.
    pub(super) async fn patched(
        &self,
        record: Value,
        base: &Option<Snapshot>,
        now: &Option<Snapshot>,
    ) -> Result<Value> {
        let found = differences(base, now);
        if found.is_empty() {
            return Ok(self.with_trust_policies(record));
        }
        let has_other_role = found.iter().any(|found| found.field == Field::Role);
        let roles = match now {
            Some(image) if has_other_role => {
                let planned = self.planned_record(Subject::Profile, &image.name).await?;
                Some(planned.field("roles").clone())
            }
            _ => None,
        };
        Ok(self.with_trust_policies(patched(record, &found, roles.as_ref())))
    }

    /// The emulator's record of something.
    pub(super) async fn planned_record(&self, subject: Subject, name: &str) -> Result<Value> {
        let args = Args::of([("name", Value::Str(name.to_owned()))]);
        let entry = iam::entry(subject.functions().get);
        Ok(self.shown(entry.send(self.clients.clone(), args).await?))
    }

    /// The emulator's record of something, as an entry of a listing.
    pub(super) async fn planned_entry(&self, subject: Subject, name: &str) -> Result<Value> {
        let Value::Record(mut fields) = self.planned_record(subject, name).await? else {
            return Err(Error::new(Kind::Bug, format!("{name} has no record")));
        };
        fields.retain(|(name, _)| !NOT_LISTED.contains(name));
        Ok(Value::Record(fields))
    }

    /// A record with the planned trust policies, of itself or of the roles in it.
    pub(super) fn with_trust_policies(&self, mut record: Value) -> Value {
        let inner = locked(&self.inner);
        if record.field("assume_role_policy") != &Value::Nil {
            record = inner.with_trust_policy(record);
        }
        let Value::Record(fields) = &mut record else { return record };
        let roles = fields.iter_mut().find(|(name, _)| *name == "roles");
        if let Some((_, Value::List(roles))) = roles {
            for role in roles {
                *role = inner.with_trust_policy(std::mem::replace(role, Value::Nil));
            }
        }
        record
    }

    /// The account's record with what is planned counted in.
    fn counted(&self, mut record: Value) -> Value {
        let (profiles, roles) = (self.surplus(Subject::Profile), self.surplus(Subject::Role));
        if let Value::Record(fields) = &mut record {
            for (name, value) in fields {
                match (*name, value) {
                    ("profiles", Value::Int(n)) => *n += profiles,
                    ("roles", Value::Int(n)) => *n += roles,
                    _ => {}
                }
            }
        }
        record
    }

    /// A page of tags or policies: of those in the emulator once they were copied.
    async fn values(
        &self,
        gate: &Gate,
        entry: &'static Entry,
        args: Args,
        (key, of_policies): (&Key, bool),
    ) -> Result<Value> {
        let is_copied = self
            .now(key)
            .is_some_and(|now| !of_policies || now.is_none_or(|image| image.policies.is_some()));
        let marker = args.text("marker");
        let cursor = marker.as_deref().and_then(|marker| gate.cursor(entry, marker));
        if !is_copied || (marker.is_some() && cursor.is_none()) {
            let answer = gate.read_really(entry, args).await?;
            gate.note_page(entry, marker.as_deref(), &answer);
            return Ok(answer);
        }
        let mut whole = Args::of([
            ("name", Value::Str(args.text("name").unwrap_or_default())),
            ("max_items", Value::Int(1000)),
        ]);
        if let Some(prefix) = args.text("path_prefix") {
            whole.set("path_prefix", Value::Str(prefix));
        }
        let answer = entry.send(self.clients.clone(), whole).await?;
        let Value::Page(page) = answer else { return Ok(answer) };
        let seen = cursor.map(|cursor| cursor.seen).unwrap_or_default();
        Ok(gate.page_of(entry, &args, seen, page.items))
    }
}

impl Inner {
    /// A role's record with its planned trust policy.
    fn with_trust_policy(&self, record: Value) -> Value {
        let key = Key::new(Subject::Role, record.field("name").as_str().unwrap_or_default());
        if let Some(Copy { base: Some(base), now: Some(now), .. }) = self.copies.get(&key) {
            let mut found = differences(&Some(base.clone()), &Some(now.clone()));
            found.retain(|found| found.field == Field::TrustPolicy);
            if !found.is_empty() {
                return patched(record, &found, None);
            }
        }
        let Some(policy) = record.field("assume_role_policy").as_str() else { return record };
        let to = self.with_ids(policy);
        if to == policy {
            return record;
        }
        let found = Difference { field: Field::TrustPolicy, from: None, to: Some(to) };
        patched(record, &[found], None)
    }

    /// A trust policy as AWS shows it once the roles are deleted that the plan deletes: by their
    /// ids.
    pub(super) fn with_ids(&self, policy: &str) -> String {
        self.deleted.iter().fold(policy.to_owned(), |policy, (arn, id)| {
            policy.replace(&format!("\"{arn}\""), &format!("\"{id}\""))
        })
    }
}

/// Key of a tag, or ARN of a policy.
pub(super) fn id_of(item: &Value) -> &str {
    ["key", "arn", "name"].into_iter().find_map(|id| item.field(id).as_str()).unwrap_or_default()
}

/// Entries that a call wants in a page; 100 unless it says otherwise (service model, `MaxItems`).
pub(super) fn page_size(args: &Args) -> usize {
    args.int("max_items").and_then(|n| usize::try_from(n).ok()).unwrap_or(100)
}

impl Filter {
    pub(super) fn matches(&self, state: &Option<Snapshot>) -> bool {
        state.as_ref().is_some_and(|image| {
            let has_role = |role: &String| {
                image.role.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(role))
            };
            self.prefix.as_ref().is_none_or(|prefix| image.path.starts_with(prefix.as_str()))
                && self.role.as_ref().is_none_or(has_role)
        })
    }
}
