//! State of an instance profile or a role at one moment, and the differences of two such moments.
//! From that alone follow the words of a plan, whether a change has happened, whether the account
//! has moved on, and how a change is taken back.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexSet;
use serde::{Deserialize, Serialize};

use super::documents::same_policy;
use super::{profiles, roles};
use crate::spec::{Action, Args, Value, is_reserved_tag};

/// Subject of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// An instance profile.
    Profile,
    /// A role.
    Role,
}

impl Subject {
    /// All of them.
    pub const ALL: [Self; 2] = {
        let all = [Self::Profile, Self::Role];
        // None is forgotten: a new last one does not compile here.
        match all[all.len() - 1] {
            Self::Profile | Self::Role => assert!(all.len() == Self::Role as usize + 1),
        }
        all
    };

    /// The word for one of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Role => "role",
        }
    }

    /// The subject of that [`name`](Self::name); `None` for an unknown one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| subject.name() == name)
    }

    /// The word for it in an ARN.
    #[must_use]
    pub const fn arn_kind(self) -> &'static str {
        match self {
            Self::Profile => "instance-profile",
            Self::Role => "role",
        }
    }

    /// The paths of the functions that every subject has.
    #[must_use]
    pub const fn functions(self) -> Functions {
        match self {
            Self::Profile => Functions {
                get: "profiles.get",
                list: "profiles.list",
                create: "profiles.create",
                tag: "profiles.tag",
                untag: "profiles.untag",
            },
            Self::Role => Functions {
                get: "roles.get",
                list: "roles.list",
                create: "roles.create",
                tag: "roles.tag",
                untag: "roles.untag",
            },
        }
    }

    /// The actions of the changes that every subject has.
    #[must_use]
    pub const fn actions(self) -> Actions {
        match self {
            Self::Profile => Actions {
                create: profiles::CREATE_INSTANCE_PROFILE,
                delete: profiles::DELETE_INSTANCE_PROFILE,
                tag: profiles::TAG_INSTANCE_PROFILE,
                untag: profiles::UNTAG_INSTANCE_PROFILE,
            },
            Self::Role => Actions {
                create: roles::CREATE_ROLE,
                delete: roles::DELETE_ROLE,
                tag: roles::TAG_ROLE,
                untag: roles::UNTAG_ROLE,
            },
        }
    }

    /// Check for one that can have inline policies, with which AWS does not delete it.
    #[must_use]
    pub const fn has_inline_policies(self) -> bool {
        match self {
            Self::Profile => false,
            Self::Role => true,
        }
    }

    /// Check for one that profiles hold: it cannot be deleted while one does, and is protected
    /// where that is.
    #[must_use]
    pub const fn is_held_by_profiles(self) -> bool {
        match self {
            Self::Profile => false,
            Self::Role => true,
        }
    }

    /// Check for one that holds roles.
    #[must_use]
    pub const fn holds_roles(self) -> bool {
        match self {
            Self::Profile => true,
            Self::Role => false,
        }
    }

    /// Check for one whose use a scan finds out.
    #[must_use]
    pub const fn is_scanned(self) -> bool {
        match self {
            Self::Profile => true,
            Self::Role => false,
        }
    }

    /// Check for one that trust policies name as a principal.
    #[must_use]
    pub const fn is_principal(self) -> bool {
        match self {
            Self::Profile => false,
            Self::Role => true,
        }
    }

    /// Check for one that the configuration and a tag protect.
    #[must_use]
    pub const fn can_be_protected(self) -> bool {
        match self {
            Self::Profile => true,
            Self::Role => false,
        }
    }

    /// Check for one of which a listing with tags shows all that a snapshot has.
    #[must_use]
    pub const fn is_whole_in_listings(self) -> bool {
        match self {
            Self::Profile => true,
            // The boundary is missing.
            Self::Role => false,
        }
    }

    /// Check for one whose tags keep their keys where they differ only in case.
    #[must_use]
    pub const fn has_tag_keys_with_case(self) -> bool {
        match self {
            Self::Profile => true,
            Self::Role => false,
        }
    }
}

/// Paths of the functions that every subject has.
#[derive(Clone, Copy, Debug)]
pub struct Functions {
    /// Reads one.
    pub get: &'static str,
    /// Reads a page of all.
    pub list: &'static str,
    /// Creates one.
    pub create: &'static str,
    /// Sets tags.
    pub tag: &'static str,
    /// Removes tags.
    pub untag: &'static str,
}

/// Actions of the changes that every subject has.
#[derive(Clone, Copy, Debug)]
pub struct Actions {
    /// Creates one.
    pub create: Action,
    /// Deletes one.
    pub delete: Action,
    /// Sets tags.
    pub tag: Action,
    /// Removes tags.
    pub untag: Action,
}

/// An instance profile or a role as it is at one moment, without what only AWS can change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its unique id; none while it is only planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Date of creation: ISO 8601, UTC, seconds; none while it is only planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_date: Option<String>,
    /// A profile's role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The record of that role, as it was read with the profile; not part of the image.
    #[serde(skip)]
    pub role_record: Option<Box<Value>>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// A role's trust policy: JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_role_policy: Option<String>,
    /// A role's description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A role's longest session, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_session_duration: Option<i64>,
    /// The ARN of a role's permissions boundary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions_boundary: Option<String>,
    /// The ARNs of a role's attached policies, in AWS's order; none where they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<IndexSet<String>>,
}

impl Snapshot {
    /// Snapshot after a call that creates its subject.
    #[must_use]
    pub fn new(args: &Args) -> Self {
        let is_role = args.has("assume_role_policy");
        Self {
            name: args.text("name").unwrap_or_default(),
            path: args.text("path").unwrap_or_else(|| "/".into()),
            tags: args.tags("tags").unwrap_or_default(),
            assume_role_policy: args.text("assume_role_policy"),
            description: described(args.text("description")),
            max_session_duration: is_role.then(|| args.int("max_session_duration").unwrap_or(3600)),
            permissions_boundary: args.text("permissions_boundary"),
            policies: is_role.then(IndexSet::new),
            ..Self::default()
        }
    }

    /// The image of a record that `get` returned; `None` if it is no record, or one without tags,
    /// as listings have them.
    #[must_use]
    pub fn of(record: &Value) -> Option<Snapshot> {
        let text = |name: &str| record.field(name).as_str().map(str::to_owned);
        let Value::Map(tags) = record.field("tags") else { return None };
        let tags =
            tags.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
        let number = |name: &str| match record.field(name) {
            Value::Int(n) => Some(*n),
            _ => None,
        };
        Some(Self {
            name: text("name")?,
            path: text("path")?,
            id: text("id"),
            create_date: text("create_date"),
            role: text("role"),
            role_record: match record.field("roles") {
                Value::List(roles) => roles.first().map(|role| Box::new(role.clone())),
                _ => None,
            },
            tags: tags.collect(),
            assume_role_policy: text("assume_role_policy"),
            description: described(text("description")),
            max_session_duration: number("max_session_duration"),
            permissions_boundary: text("permissions_boundary"),
            policies: None,
        })
    }

    /// Snapshot without fields that do not belong to the state.
    #[must_use]
    pub fn bare(self) -> Self {
        Self { role_record: None, ..self }
    }

    /// Takes one field over from another image of it.
    pub fn take(&mut self, field: &Field, other: &Self) {
        match field {
            Field::Existence | Field::Id => {}
            Field::Path => self.path.clone_from(&other.path),
            Field::Role => self.role.clone_from(&other.role),
            Field::Tag(key) => match other.tags.get(key) {
                Some(value) => {
                    self.tags.insert(key.clone(), value.clone());
                }
                None => {
                    self.tags.remove(key);
                }
            },
            Field::TrustPolicy => self.assume_role_policy.clone_from(&other.assume_role_policy),
            Field::Description => self.description.clone_from(&other.description),
            Field::MaxSessionDuration => self.max_session_duration = other.max_session_duration,
            Field::PermissionsBoundary => {
                self.permissions_boundary.clone_from(&other.permissions_boundary);
            }
            Field::Policy(arn) => {
                let policies = self.policies.get_or_insert_default();
                if other.policies.as_ref().is_some_and(|policies| policies.contains(arn)) {
                    policies.insert(arn.clone());
                } else {
                    policies.shift_remove(arn);
                }
            }
        }
    }

    /// Snapshot with the tags of a call. The keys of a role's tags ignore case.
    #[must_use]
    pub fn tagged(mut self, args: &Args, subject: Subject) -> Self {
        for (key, value) in args.tags("tags").unwrap_or_default() {
            match self.tags.keys().find(|known| same_key(known, &key, subject)).cloned() {
                Some(known) if known != key => {
                    self.tags.remove(&known);
                }
                _ => {}
            }
            self.tags.insert(key, value);
        }
        self
    }

    /// Snapshot without the tags that a call removes.
    #[must_use]
    pub fn untagged(mut self, args: &Args, subject: Subject) -> Self {
        let gone = args.texts("keys");
        self.tags.retain(|known, _| !gone.iter().any(|key| same_key(known, key, subject)));
        self
    }

    /// Snapshot with the policy of a call attached.
    #[must_use]
    pub fn attached(mut self, args: &Args) -> Self {
        self.policies.get_or_insert_default().extend(args.text("policy_arn"));
        self
    }

    /// Snapshot with the policy of a call detached.
    #[must_use]
    pub fn detached(mut self, args: &Args) -> Self {
        let arn = args.text("policy_arn").unwrap_or_default();
        if let Some(policies) = &mut self.policies {
            policies.shift_remove(&arn);
        }
        self
    }
}

/// A description as an image has it: AWS takes an empty one for none.
pub(super) fn described(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// Equality of two tag keys: those of roles ignore case.
pub(super) fn same_key(one: &str, other: &str, subject: Subject) -> bool {
    if subject.has_tag_keys_with_case() {
        one == other
    } else {
        one.to_lowercase() == other.to_lowercase()
    }
}

/// Something that two moments differ in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Existence.
    Existence,
    /// Its unique id: it was deleted and made again.
    Id,
    /// Its path.
    Path,
    /// The role in it.
    Role,
    /// The tag of that key.
    Tag(String),
    /// The trust policy.
    TrustPolicy,
    /// The description.
    Description,
    /// The longest session.
    MaxSessionDuration,
    /// The permissions boundary.
    PermissionsBoundary,
    /// Attachment of the policy of that ARN.
    Policy(String),
}

impl Field {
    /// Its name in plans and refusals.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Existence => "existence".into(),
            Self::Id => "id".into(),
            Self::Path => "path".into(),
            Self::Role => "role".into(),
            Self::Tag(key) => format!("tag {key}"),
            Self::TrustPolicy => "trust policy".into(),
            Self::Description => "description".into(),
            Self::MaxSessionDuration => "max session duration".into(),
            Self::PermissionsBoundary => "permissions boundary".into(),
            Self::Policy(arn) => format!("policy {arn}"),
        }
    }

    /// Its value in an image; `None` for its absence.
    #[must_use]
    pub fn of(&self, image: &Snapshot) -> Option<String> {
        match self {
            Self::Existence => Some(image.name.clone()),
            Self::Id => image.id.clone(),
            Self::Path => Some(image.path.clone()),
            Self::Role => image.role.clone(),
            Self::Tag(key) => image.tags.get(key).cloned(),
            Self::TrustPolicy => image.assume_role_policy.clone(),
            // An earlier version kept an empty one in journals and plan files.
            Self::Description => described(image.description.clone()),
            Self::MaxSessionDuration => image.max_session_duration.map(|n| n.to_string()),
            Self::PermissionsBoundary => image.permissions_boundary.clone(),
            Self::Policy(arn) => image.policies.as_ref().and_then(|all| all.get(arn)).cloned(),
        }
    }

    /// Equality of two images in it, as AWS compares. What one of them does not know
    /// counts as the same.
    #[must_use]
    pub fn is_same(&self, a: &Snapshot, b: &Snapshot) -> bool {
        match (self, self.of(a), self.of(b)) {
            (Self::Id | Self::TrustPolicy, one, other) if one.is_none() || other.is_none() => true,
            (Self::Policy(_), ..) if a.policies.is_none() || b.policies.is_none() => true,
            (Self::Role, Some(one), Some(other)) => one.eq_ignore_ascii_case(&other),
            (Self::TrustPolicy, Some(one), Some(other)) => same_policy(&one, &other),
            (_, one, other) => one == other,
        }
    }
}

/// One thing that two moments differ in; `None` is its absence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field.
    pub field: Field,
    /// The value before.
    pub from: Option<String>,
    /// The value after.
    pub to: Option<String>,
}

/// Differences between two moments. Ids and policies are compared where both know them. Where one
/// of the two does not exist, that is the only difference.
#[must_use]
pub fn differences(from: &Option<Snapshot>, to: &Option<Snapshot>) -> Vec<Difference> {
    let (a, b) = match (from, to) {
        (None, None) => return Vec::new(),
        (Some(a), Some(b)) => (a, b),
        _ => {
            let there = |state: &Option<Snapshot>| state.as_ref().map(|image| image.name.clone());
            return vec![Difference { field: Field::Existence, from: there(from), to: there(to) }];
        }
    };
    let mut fields = vec![Field::Id, Field::Path, Field::Role];
    let keys: BTreeSet<_> = a.tags.keys().chain(b.tags.keys()).cloned().collect();
    fields.extend(keys.into_iter().map(Field::Tag));
    fields.extend([
        Field::TrustPolicy,
        Field::Description,
        Field::MaxSessionDuration,
        Field::PermissionsBoundary,
    ]);
    if let (Some(one), Some(other)) = (&a.policies, &b.policies) {
        fields.extend(one.symmetric_difference(other).cloned().map(Field::Policy));
    }
    let found = fields.into_iter().filter(|field| !field.is_same(a, b)).map(|field| {
        let (from, to) = (field.of(a), field.of(b));
        Difference { field, from, to }
    });
    found.collect()
}

/// A record with some differences applied, as a read shows them. Fields that a listing leaves out
/// stay out. `roles` are the records of a profile's new role.
#[must_use]
pub fn patched(record: Value, found: &[Difference], roles: Option<&Value>) -> Value {
    let Value::Record(mut fields) = record else { return record };
    for Difference { field, to, .. } in found {
        let text = Value::text(to.clone());
        match field {
            Field::Role => {
                set(&mut fields, "role", text);
                if let Some(roles) = roles {
                    set(&mut fields, "roles", roles.clone());
                }
            }
            Field::Tag(key) => {
                let tags = fields.iter_mut().find(|(name, _)| *name == "tags");
                if let Some((_, Value::Map(tags))) = tags {
                    match to {
                        Some(value) => tags.insert(key.clone(), Value::Str(value.clone())),
                        None => tags.remove(key),
                    };
                }
            }
            Field::TrustPolicy => set(&mut fields, "assume_role_policy", text),
            Field::Description => set(&mut fields, "description", text),
            Field::MaxSessionDuration => {
                let seconds = to.as_ref().and_then(|seconds| seconds.parse().ok());
                let seconds = seconds.map_or(Value::Nil, Value::Int);
                set(&mut fields, "max_session_duration", seconds);
            }
            // Only a record with tags is one that shows the boundary.
            Field::PermissionsBoundary if fields.iter().any(|(name, _)| *name == "tags") => {
                set(&mut fields, "permissions_boundary", text);
            }
            Field::PermissionsBoundary
            | Field::Existence
            | Field::Id
            | Field::Path
            | Field::Policy(_) => {}
        }
    }
    Value::Record(fields)
}

/// Sets a field of a record in its place; `Nil` removes it.
fn set(fields: &mut Vec<(&'static str, Value)>, name: &'static str, value: Value) {
    match fields.iter_mut().find(|(own, _)| *own == name) {
        _ if value == Value::Nil => fields.retain(|(own, _)| *own != name),
        Some((_, own)) => *own = value,
        None => fields.push((name, value)),
    }
}

/// Effect of a change that an account shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The change has happened.
    Happened,
    /// The change has not happened: everything is as before.
    NotHappened,
    /// Something else has happened: what is there differs like this from what the change would have
    /// left.
    Drifted(Vec<Difference>),
}

/// Verdict on a change from `before` to `after`: if it has happened, going by what is there `now`.
/// Only what the change touches is looked at.
#[must_use]
pub fn verdict(
    before: &Option<Snapshot>,
    after: &Option<Snapshot>,
    now: &Option<Snapshot>,
) -> Effect {
    if before.is_none() && after.is_none() {
        // What is not there cannot be changed: AWS has refused it.
        return Effect::NotHappened;
    }
    let from_after = differences(after, now);
    if from_after.is_empty() {
        return Effect::Happened;
    }
    let touched = differences(before, after);
    let is_touched = |field: &Field| touched.iter().any(|difference| difference.field == *field);
    match (before, after, now) {
        // Deleted, and somebody has made another of that name since.
        (Some(old), None, Some(new))
            if old.id.is_some() && new.id.is_some() && old.id != new.id =>
        {
            Effect::Happened
        }
        (Some(_), None, Some(_)) | (None, Some(_), None) => Effect::NotHappened,
        (Some(_), Some(_), Some(_)) => {
            let same_one = !from_after.iter().any(|difference| difference.field == Field::Id);
            let wrong: Vec<_> = from_after
                .into_iter()
                .filter(|difference| is_touched(&difference.field) || !same_one)
                .collect();
            if wrong.is_empty() {
                return Effect::Happened;
            }
            let still_old = differences(before, now);
            let is_as_before =
                |field: &Field| !still_old.iter().any(|difference| difference.field == *field);
            if same_one && touched.iter().all(|difference| is_as_before(&difference.field)) {
                Effect::NotHappened
            } else {
                Effect::Drifted(wrong)
            }
        }
        _ => Effect::Drifted(from_after),
    }
}

/// One call on the way from one state to another: the AWS action and its arguments.
pub type PlannedCall = (Action, Args);

/// The calls that bring something from one state to another, and what they cannot bring about.
#[must_use]
pub fn steps(
    subject: Subject,
    from: &Option<Snapshot>,
    to: &Option<Snapshot>,
) -> (Vec<PlannedCall>, Vec<String>) {
    let mut steps = Vec::new();
    let mut lost = Vec::new();
    let blank;
    let from = match (from, to) {
        (None, None) => return (steps, lost),
        (Some(from), Some(_)) => from,
        (Some(from), None) => {
            let name = Args::of([("name", Value::Str(from.name.clone()))]);
            blank = Snapshot { role: None, policies: Some(IndexSet::new()), ..from.clone() };
            // What it holds goes first, as AWS demands.
            change(&mut steps, &mut lost, subject, from, &blank);
            steps.push((subject.actions().delete, name));
            return (steps, lost);
        }
        (None, Some(to)) => {
            steps.push(create(subject, to));
            for key in to.tags.keys().filter(|key| is_reserved_tag(key)) {
                lost.push(reserved(subject, to, key));
            }
            blank = Snapshot { role: None, policies: Some(IndexSet::new()), ..to.clone() };
            lost.push(match subject {
                Subject::Profile => format!(
                    "profile {} is created again: it gets a new id, and instances that had the old one are not associated with it",
                    to.name
                ),
                Subject::Role => format!(
                    "role {} is created again: it gets a new id, and policies elsewhere that name it as a principal no longer mean it",
                    to.name
                ),
            });
            &blank
        }
    };
    if let Some(to) = to {
        change(&mut steps, &mut lost, subject, from, to);
    }
    (steps, lost)
}

fn create(subject: Subject, image: &Snapshot) -> PlannedCall {
    let text = |value: &Option<String>| Value::text(value.clone());
    let tags = image.tags.iter().filter(|(key, _)| !is_reserved_tag(key));
    let tags: BTreeMap<_, _> =
        tags.map(|(key, value)| (key.clone(), Value::Str(value.clone()))).collect();
    let mut args = Args::of([
        ("name", Value::Str(image.name.clone())),
        ("path", Value::Str(image.path.clone())),
        ("tags", if tags.is_empty() { Value::Nil } else { Value::Map(tags) }),
    ]);
    let own = match subject {
        Subject::Profile => Vec::new(),
        Subject::Role => vec![
            ("assume_role_policy", text(&image.assume_role_policy)),
            ("description", text(&image.description)),
            ("max_session_duration", image.max_session_duration.map_or(Value::Nil, Value::Int)),
            ("permissions_boundary", text(&image.permissions_boundary)),
        ],
    };
    for (name, value) in own.into_iter().filter(|(_, value)| *value != Value::Nil) {
        args.set(name, value);
    }
    (subject.actions().create, args)
}

/// The note that a tag cannot be brought back.
fn reserved(subject: Subject, image: &Snapshot, key: &str) -> String {
    let (subject, name) = (subject.name(), &image.name);
    format!("the tag {key} of {subject} {name} is AWS's own, and only AWS can set it")
}

/// The calls that change something that is there before and after.
fn change(
    steps: &mut Vec<PlannedCall>,
    lost: &mut Vec<String>,
    subject: Subject,
    from: &Snapshot,
    to: &Snapshot,
) {
    let call =
        |more: (&'static str, Value)| Args::of([("name", Value::Str(to.name.clone())), more]);
    let actions = subject.actions();
    let (mut set, mut gone) = (BTreeMap::new(), Vec::new());
    let (mut later, mut is_updated) = (Vec::new(), false);
    for difference in differences(&Some(from.clone()), &Some(to.clone())) {
        match (difference.field, difference.from, difference.to) {
            (Field::Tag(key), ..) if is_reserved_tag(&key) => {
                lost.push(reserved(subject, to, &key));
            }
            (Field::Tag(key), _, Some(value)) => {
                set.insert(key, Value::Str(value));
            }
            (Field::Tag(key), _, None) => gone.push(Value::Str(key)),
            (Field::Role, old, new) => {
                let pair = |role| call(("role", Value::Str(role)));
                later.extend(
                    old.map(|role| (profiles::REMOVE_ROLE_FROM_INSTANCE_PROFILE, pair(role))),
                );
                later.extend(new.map(|role| (profiles::ADD_ROLE_TO_INSTANCE_PROFILE, pair(role))));
            }
            (Field::TrustPolicy, _, Some(policy)) => later.push((
                roles::UPDATE_ASSUME_ROLE_POLICY,
                call(("assume_role_policy", Value::Str(policy))),
            )),
            (Field::Description | Field::MaxSessionDuration, ..) => is_updated = true,
            (Field::PermissionsBoundary, _, Some(arn)) => later.push((
                roles::PUT_ROLE_PERMISSIONS_BOUNDARY,
                call(("permissions_boundary", Value::Str(arn))),
            )),
            (Field::PermissionsBoundary, _, None) => later.push((
                roles::DELETE_ROLE_PERMISSIONS_BOUNDARY,
                Args::of([("name", Value::Str(to.name.clone()))]),
            )),
            (Field::Policy(arn), old, _) => {
                let action = if old.is_some() {
                    roles::DETACH_ROLE_POLICY
                } else {
                    roles::ATTACH_ROLE_POLICY
                };
                later.push((action, call(("policy_arn", Value::Str(arn)))));
            }
            (Field::Id | Field::Existence, ..) => {}
            (field, old, _) => lost.push(format!(
                "the {} of {} {} cannot be set back to {}",
                field.name(),
                subject.name(),
                to.name,
                old.unwrap_or_else(|| "nothing".into())
            )),
        }
    }
    if is_updated {
        let mut args =
            call(("description", Value::Str(to.description.clone().unwrap_or_default())));
        args.set("max_session_duration", Value::Int(to.max_session_duration.unwrap_or(3600)));
        later.push((roles::UPDATE_ROLE, args));
    }
    // A tag whose key differs only in case is replaced.
    gone.retain(|key| {
        let key = key.as_str().unwrap_or_default();
        !set.keys().any(|new: &String| same_key(new, key, subject))
    });
    // Removing first keeps a full resource within its 50 tags.
    if !gone.is_empty() {
        steps.push((actions.untag, call(("keys", Value::List(gone)))));
    }
    if !set.is_empty() {
        steps.push((actions.tag, call(("tags", Value::Map(set)))));
    }
    steps.extend(later);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(role: Option<&str>, tags: &[(&str, &str)]) -> Snapshot {
        Snapshot {
            name: "web".into(),
            path: "/ec2/".into(),
            id: Some("AIPA1".into()),
            role: role.map(str::to_owned),
            tags: tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Snapshot::default()
        }
    }

    fn actions(from: &Option<Snapshot>, to: &Option<Snapshot>) -> Vec<&'static str> {
        steps(Subject::Profile, from, to).0.into_iter().map(|(action, _)| action.name).collect()
    }

    #[test]
    fn the_way_back_is_made_of_what_differs() {
        let full = Some(profile(Some("r"), &[("A", "1"), ("B", "2")]));
        let bare = Some(profile(None, &[("A", "3")]));
        assert_eq!(actions(&bare, &full), ["TagInstanceProfile", "AddRoleToInstanceProfile"]);
        assert_eq!(
            actions(&full, &bare),
            ["UntagInstanceProfile", "TagInstanceProfile", "RemoveRoleFromInstanceProfile"]
        );
        assert_eq!(
            actions(&full, &None),
            ["RemoveRoleFromInstanceProfile", "DeleteInstanceProfile"]
        );
        assert_eq!(actions(&None, &full), ["CreateInstanceProfile", "AddRoleToInstanceProfile"]);
        assert_eq!(actions(&full, &full), [""; 0]);
        assert!(steps(Subject::Profile, &None, &full).1[0].contains("new id"));
    }

    #[test]
    fn what_a_change_does_not_touch_does_not_speak_against_it() {
        let before = Some(profile(None, &[("A", "1")]));
        let after = Some(profile(None, &[("A", "2")]));
        let with_more = |a: &str| Some(profile(Some("r"), &[("A", a), ("Z", "9")]));
        assert_eq!(verdict(&before, &after, &after), Effect::Happened);
        assert_eq!(verdict(&before, &after, &before), Effect::NotHappened);
        assert_eq!(verdict(&before, &after, &with_more("2")), Effect::Happened);
        assert_eq!(verdict(&before, &after, &with_more("1")), Effect::NotHappened);
        assert!(matches!(verdict(&before, &after, &with_more("7")), Effect::Drifted(_)));
        assert!(matches!(verdict(&before, &after, &None), Effect::Drifted(_)));
    }

    #[test]
    fn nothing_has_happened_to_what_was_not_there() {
        let there = Some(profile(None, &[]));
        assert_eq!(verdict(&None, &None, &None), Effect::NotHappened);
        assert_eq!(verdict(&None, &None, &there), Effect::NotHappened);
    }

    #[test]
    fn a_profile_made_again_is_another_one() {
        let old = Some(profile(None, &[]));
        let new = Some(Snapshot { id: Some("AIPA2".into()), ..profile(None, &[]) });
        assert_eq!(verdict(&old, &None, &new), Effect::Happened);
        assert_eq!(verdict(&old, &None, &old), Effect::NotHappened);
        let tagged = Some(profile(None, &[("A", "1")]));
        assert!(matches!(verdict(&old, &tagged, &new), Effect::Drifted(_)));
    }

    #[test]
    fn description_longest_session_and_boundary_of_a_role_come_back() {
        let role = |description: Option<&str>, seconds, boundary: Option<&str>| {
            Some(Snapshot {
                description: description.map(str::to_owned),
                max_session_duration: Some(seconds),
                permissions_boundary: boundary.map(str::to_owned),
                assume_role_policy: Some("{}".into()),
                ..profile(None, &[])
            })
        };
        let of = |from: &Option<Snapshot>, to: &Option<Snapshot>| {
            let (steps, lost) = steps(Subject::Role, from, to);
            assert!(lost.is_empty(), "{lost:?}");
            steps
        };
        let (plain, full) = (role(None, 3600, None), role(Some("x"), 7200, Some("p")));
        let there = of(&plain, &full);
        assert_eq!(
            there.iter().map(|(action, _)| action.name).collect::<Vec<_>>(),
            ["PutRolePermissionsBoundary", "UpdateRole"]
        );
        assert_eq!(there[0].1.text("permissions_boundary").as_deref(), Some("p"));
        // AWS takes what is not sent for its default, so that both are.
        let back = of(&role(Some("x"), 7200, Some("p")), &role(Some("x"), 3600, None));
        assert_eq!(back[0].0.name, "DeleteRolePermissionsBoundary");
        assert_eq!(back[1].0.name, "UpdateRole");
        assert_eq!(back[1].1.text("description").as_deref(), Some("x"));
        assert_eq!(back[1].1.int("max_session_duration"), Some(3600));
        assert_eq!(of(&full, &plain)[1].1.text("description").as_deref(), Some(""));
    }

    #[test]
    fn tags_of_awss_own_are_said_to_be_lost_and_never_sent() {
        let stacked = Some(profile(None, &[("aws:cloudformation:stack-name", "s"), ("A", "1")]));
        let (made, lost) = steps(Subject::Profile, &None, &stacked);
        assert_eq!(made[0].1.tags("tags").expect("tags").len(), 1);
        assert!(lost.iter().any(|note| note.contains("aws:cloudformation:stack-name")), "{lost:?}");
        let (changed, lost) = steps(Subject::Profile, &stacked, &Some(profile(None, &[])));
        let keys: Vec<_> = changed.iter().flat_map(|(_, args)| args.texts("keys")).collect();
        assert_eq!((keys, lost.len()), (vec!["A".to_owned()], 1));
    }

    #[test]
    fn the_keys_of_a_roles_tags_ignore_case() {
        let tags = |key: &str| Value::Map([(key.to_owned(), Value::Str("x".into()))].into());
        let args = Args::of([("tags", tags("dept"))]);
        let image = profile(None, &[("Dept", "y")]);
        assert_eq!(image.clone().tagged(&args, Subject::Role).tags.len(), 1);
        assert_eq!(image.tagged(&args, Subject::Profile).tags.len(), 2);
    }
}
