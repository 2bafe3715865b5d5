//! Completion of answers that predate the recent changes of this process (see `recent`): single
//! records, pages of listings, and the snapshots that changes rest on. Nothing waits here, and an
//! up-to-date answer costs nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::read_cache::Key;
use super::recent::{Freshness, PageChain, PageRead, SeenValues, StateHistory};
use super::{Gate, reads};
use crate::error::{AwsDetail, Error, Kind, Result};
use crate::iam::snapshot::{Field, Snapshot, Subject, differences, patched};
use crate::iam::{self, Entry, Identity, Reads, path_and_name};
use crate::spec::{Args, Page, Value};

/// Entries in a page, unless the call sets another number (service model, `MaxItems`).
const PAGE: usize = 100;

/// A read whose answer may need completion.
pub struct PendingRead {
    place: Arc<str>,
    what: ReadSubject,
    began: Instant,
    page: Option<PageRead>,
}

/// Subject of a read.
enum ReadSubject {
    /// One profile or role.
    Record(Key),
    /// A listing of profiles or roles.
    Listing(Subject, Filter),
    /// The tags of a profile or role.
    Tags(Key),
    /// The policies attached to a role.
    Policies(Key, Filter),
}

/// Filter of a listing.
struct Filter {
    prefix: Option<String>,
    role: Option<String>,
}

impl Filter {
    fn of(args: &Args) -> Self {
        Self { prefix: args.text("path_prefix"), role: args.text("role") }
    }

    fn takes(&self, image: &Snapshot) -> bool {
        let has_role =
            |role: &String| image.role.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(role));
        self.takes_path(&image.path) && self.role.as_ref().is_none_or(has_role)
    }

    fn takes_path(&self, path: &str) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| path.starts_with(prefix.as_str()))
    }
}

impl ReadSubject {
    fn of(entry: &Entry, args: &Args) -> Option<Self> {
        let reads = entry.reads()?;
        let key = |subject| Key::new(subject, &args.text("name").unwrap_or_default());
        match reads {
            Reads::One(subject) => Some(Self::Record(key(subject))),
            Reads::Page(subject) => Some(Self::Listing(subject, Filter::of(args))),
            Reads::Tags(subject) => Some(Self::Tags(key(subject))),
            Reads::Policies(subject) => Some(Self::Policies(key(subject), Filter::of(args))),
            Reads::Account => None,
        }
    }

    /// Recent changes of the values that a listing contains.
    fn values(&self, history: &StateHistory) -> BTreeMap<String, SeenValues> {
        match self {
            Self::Tags(_) => history.tags(),
            Self::Policies(..) => history.policies(),
            Self::Record(_) | Self::Listing(..) => BTreeMap::new(),
        }
    }

    /// Field that identifies an entry.
    const fn id(&self) -> &'static str {
        if matches!(self, Self::Policies(..)) { "arn" } else { "key" }
    }

    /// Field with the value of an entry.
    const fn value(&self) -> &'static str {
        if matches!(self, Self::Policies(..)) { "arn" } else { "value" }
    }

    /// Entry of a listing; `None` if the value does not belong there.
    fn entry(&self, id: &str, value: &str) -> Option<Value> {
        let text = |text: &str| Value::Str(text.to_owned());
        match self {
            Self::Tags(_) => Some(Value::record([("key", text(id)), ("value", text(value))])),
            Self::Policies(_, filter) => {
                let (path, name) = path_and_name(id);
                let record = || Value::record([("name", text(name)), ("arn", text(id))]);
                filter.takes_path(&path).then(record)
            }
            Self::Record(_) | Self::Listing(..) => None,
        }
    }
}

impl Gate {
    /// Key of this connection's account in the recent changes; `None` if there are no recent
    /// changes in any account.
    async fn place_of_changes(&self) -> Option<Arc<str>> {
        if self.session().recent.is_empty() {
            return None;
        }
        self.place().await.ok()
    }

    /// Key of this connection's account in the recent changes. Calls AWS once.
    pub(super) async fn place(&self) -> Result<Arc<str>> {
        let account = &self.identity().await?.account;
        let describe = || self.site_as(account.clone(), None).describe().into();
        Ok(Arc::clone(self.0.place.get_or_init(describe)))
    }

    /// Prepares a read whose answer may need completion; `None` if no recent change can be in it.
    pub(super) async fn reading(&self, entry: &Entry, args: &Args) -> Option<PendingRead> {
        let place = self.place_of_changes().await?;
        let what = ReadSubject::of(entry, args)?;
        let is_page = !matches!(what, ReadSubject::Record(_));
        let page = is_page.then(|| self.session().recent.begin_page());
        Some(PendingRead { place, what, began: Instant::now(), page })
    }

    /// End of a listing that did not fit into its last page.
    pub(super) fn rest_of_listing(&self, args: &Args) -> Option<Value> {
        let rest = self.session().recent.rest(&args.text("marker")?)?;
        Some(self.paged(rest, args))
    }

    /// Page with the number of entries that the call asks for, followed by the rest.
    fn paged(&self, mut items: Vec<Value>, args: &Args) -> Value {
        let most = args.int("max_items").and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE);
        if items.len() <= most {
            return Value::page(items, None, false);
        }
        let rest = items.split_off(most);
        let marker = self.session().recent.keep_rest(rest);
        Value::page(items, Some(marker), true)
    }

    /// Answer to a read, completed with the recent changes of this process.
    pub(super) fn completed<'a>(
        &'a self,
        reading: &'a PendingRead,
        entry: &'static Entry,
        args: &'a Args,
        answer: Result<Value>,
    ) -> BoxFuture<'a, Result<Value>> {
        async move {
            let action = entry.action().name;
            match &reading.what {
                ReadSubject::Record(key) => {
                    let name = args.text("name").unwrap_or_default();
                    self.completed_record(&reading.place, key, (&name, action), answer).await
                }
                ReadSubject::Listing(subject, filter) => {
                    let role = filter.role.as_ref();
                    let key = role.map(|role| Key::new(Subject::Role, role));
                    let is_made = |key: &Key| self.is_there(&reading.place, key);
                    let is_deleted = |key: &Key| {
                        let history = self.session().recent.history(&reading.place, key);
                        history.is_some_and(|history| history.last().is_none())
                    };
                    let page = match answer {
                        // A role that was just created is in no profile except those that it was
                        // just added to.
                        Err(error)
                            if error.code() == "NoSuchEntity"
                                && key.as_ref().is_some_and(is_made) =>
                        {
                            Page::default()
                        }
                        Ok(Value::Page(_)) if key.as_ref().is_some_and(is_deleted) => {
                            let name = role.cloned().unwrap_or_default();
                            return Err(no_such_entity(Subject::Role, &name, action));
                        }
                        Ok(Value::Page(page)) => *page,
                        other => return other,
                    };
                    self.completed_listing(reading, *subject, filter, args, page).await
                }
                ReadSubject::Tags(key) | ReadSubject::Policies(key, _) => {
                    self.completed_values(reading, key, action, args, answer).await
                }
            }
        }
        .boxed()
    }

    /// Check for a resource that was just created and that AWS does not show.
    fn is_there(&self, place: &str, key: &Key) -> bool {
        matches!(self.session().recent.compare(place, key, &None), Freshness::Stale(Some(_)))
    }

    /// Check that a record of AWS is no older than the changes of this process.
    pub(super) async fn is_shown(&self, subject: Subject, record: &Value) -> bool {
        let Some(place) = self.place_of_changes().await else { return true };
        let Some(image) = Snapshot::of(record) else { return true };
        let key = Key::new(subject, &image.name);
        self.session().recent.compare(&place, &key, &Some(image)) == Freshness::Current
    }

    /// A state that was read, completed with the recent changes of this process.
    pub(super) async fn completed_state(
        &self,
        key: &Key,
        state: Option<Snapshot>,
    ) -> Option<Snapshot> {
        let Some(place) = self.place_of_changes().await else { return state };
        match self.session().recent.compare(&place, key, &state) {
            Freshness::Current | Freshness::Unsettled => state,
            Freshness::Stale(now) => now,
        }
    }

    /// Check for a state that predates a recent change of this process or an earlier run.
    pub(super) async fn is_unsettled(&self, key: &Key, state: &Option<Snapshot>) -> bool {
        let Some(place) = self.place_of_changes().await else { return false };
        self.session().recent.is_unsettled(&place, key, state)
    }

    /// Check for a state that predates a recent change of an earlier run.
    pub(super) async fn is_unsettled_by_others(&self, key: &Key, state: &Option<Snapshot>) -> bool {
        let Some(place) = self.place_of_changes().await else { return false };
        self.session().recent.compare(&place, key, state) == Freshness::Unsettled
    }

    /// Forgets the changes of a resource if AWS shows that somebody has set it back.
    pub(super) async fn believe(&self, key: &Key, state: &Option<Snapshot>) {
        let Some(place) = self.place_of_changes().await else { return };
        let recent = &self.session().recent;
        if matches!(recent.compare(&place, key, state), Freshness::Stale(_)) {
            recent.forget(&place, key);
        }
    }

    async fn completed_record(
        &self,
        place: &str,
        key: &Key,
        (name, action): (&str, &'static str),
        answer: Result<Value>,
    ) -> Result<Value> {
        let shown = match &answer {
            Ok(record) => Snapshot::of(record),
            Err(error) if error.code() == "NoSuchEntity" => None,
            Err(_) => return answer,
        };
        let record = match (self.session().recent.compare(place, key, &shown), shown) {
            (Freshness::Current | Freshness::Unsettled, _) => answer?,
            (Freshness::Stale(None), _) => return Err(no_such_entity(key.subject, name, action)),
            (Freshness::Stale(Some(now)), Some(shown)) if Field::Id.is_same(&shown, &now) => {
                self.with_fields(place, answer?, &shown, &now).await
            }
            (Freshness::Stale(Some(now)), _) => self.record_of(place, key.subject, &now).await,
        };
        Ok(self.with_trust_policies(place, record))
    }

    /// Record, with the fields in which two snapshots differ taken from the second.
    async fn with_fields(
        &self,
        place: &str,
        record: Value,
        shown: &Snapshot,
        now: &Snapshot,
    ) -> Value {
        let found = differences(&Some(shown.clone()), &Some(now.clone()));
        let has_other_role = found.iter().any(|found| found.field == Field::Role);
        let roles = if has_other_role { Some(self.roles_of(place, now).await) } else { None };
        patched(record, &found, roles.as_ref())
    }

    /// Record of a resource that AWS does not show yet.
    async fn record_of(&self, place: &str, subject: Subject, image: &Snapshot) -> Value {
        let text = |text: &str| Value::Str(text.to_owned());
        let common = [
            ("name", text(&image.name)),
            ("path", text(&image.path)),
            ("id", Value::text(image.id.clone())),
            ("arn", self.arn(subject, image)),
            ("create_date", Value::text(image.create_date.clone())),
        ];
        let own = match subject {
            Subject::Profile => vec![
                ("roles", self.roles_of(place, image).await),
                ("role", Value::text(image.role.clone())),
            ],
            Subject::Role => vec![
                ("assume_role_policy", Value::text(image.assume_role_policy.clone())),
                ("description", Value::text(image.description.clone())),
                ("max_session_duration", image.max_session_duration.map_or(Value::Nil, Value::Int)),
                ("permissions_boundary", Value::text(image.permissions_boundary.clone())),
            ],
        };
        let fields = common.into_iter().chain(own).chain([("tags", tags_of(image))]);
        Value::Record(fields.filter(|(_, value)| *value != Value::Nil).collect())
    }

    /// ARN of a resource, in the partition of the caller.
    fn arn(&self, subject: Subject, image: &Snapshot) -> Value {
        let kind = subject.arn_kind();
        let identity = self.0.identity.get();
        let account = identity.and_then(|identity| identity.account.as_deref());
        let partition = identity.and_then(Identity::partition).unwrap_or("aws");
        let Some(account) = account else { return Value::Nil };
        let Snapshot { path, name, .. } = image;
        Value::Str(format!("arn:{partition}:iam::{account}:{kind}{path}{name}"))
    }

    /// Roles in a profile, each with the fields that a profile shows.
    fn roles_of<'a>(&'a self, place: &'a str, profile: &'a Snapshot) -> BoxFuture<'a, Value> {
        const ROLE_FIELDS: [&str; 6] =
            ["name", "path", "id", "arn", "create_date", "assume_role_policy"];
        async move {
            let Some(role) = &profile.role else { return Value::List(Vec::new()) };
            let name = Value::Str(role.clone());
            let args = Args::of([("name", name.clone())]);
            let read = async {
                reads::call(self.line().await?, Subject::Role.functions().get, args).await
            };
            let key = Key::new(Subject::Role, role);
            let read = read.await;
            let mut record =
                match self.completed_record(place, &key, (role, iam::GET_ROLE.name), read).await {
                    Ok(record) => record,
                    // Permission to add a role to a profile does not imply permission to read it.
                    Err(_) => Value::record([("name", name)]),
                };
            if let Value::Record(fields) = &mut record {
                fields.retain(|(name, _)| ROLE_FIELDS.contains(name));
            }
            Value::List(vec![record])
        }
        .boxed()
    }

    /// Record, with the trust policies of its roles as this process has set them.
    fn with_trust_policies(&self, place: &str, mut record: Value) -> Value {
        let Value::Record(fields) = &mut record else { return record };
        let roles = fields.iter_mut().find(|(name, _)| *name == "roles");
        let Some((_, Value::List(roles))) = roles else { return record };
        for role in roles {
            let name = role.field("name").as_str().unwrap_or_default();
            let key = Key::new(Subject::Role, name);
            let Some(history) = self.session().recent.history(place, &key) else { continue };
            let Some(last) = history.last() else { continue };
            // A profile's record shows only these fields of the role.
            let shown = Snapshot {
                assume_role_policy: role.field("assume_role_policy").as_str().map(str::to_owned),
                id: role.field("id").as_str().map(str::to_owned),
                ..last.clone()
            };
            let Freshness::Stale(Some(now)) = history.compare(&Some(shown)) else { continue };
            let Value::Record(fields) = role else { continue };
            let policy = fields.iter_mut().find(|(name, _)| *name == "assume_role_policy");
            if let Some((_, policy)) = policy {
                *policy = Value::text(now.assume_role_policy);
            }
        }
        record
    }

    /// Page of profiles or roles. Stale entries are replaced, entries that no longer belong there
    /// are removed, and the last page gains the entries that all pages lack.
    async fn completed_listing(
        &self,
        reading: &PendingRead,
        subject: Subject,
        filter: &Filter,
        args: &Args,
        page: Page,
    ) -> Result<Value> {
        let PendingRead { place, began, .. } = reading;
        let recent = &self.session().recent;
        let mut items = Vec::with_capacity(page.items.len());
        let mut seen = HashSet::new();
        for item in page.items {
            let name = item.field("name").as_str().unwrap_or_default();
            let key = Key::new(subject, name);
            let Some(history) = recent.history(place, &key) else {
                items.push(self.with_trust_policies(place, item));
                continue;
            };
            let shown = listed_image(&item, history.last().as_ref());
            let item = match (recent.compare(place, &key, &shown), shown) {
                (Freshness::Current | Freshness::Unsettled, _) => item,
                (Freshness::Stale(Some(now)), Some(shown)) if filter.takes(&now) => {
                    if Field::Id.is_same(&shown, &now) {
                        self.with_fields(place, item, &shown, &now).await
                    } else {
                        listed(self.record_of(place, subject, &now).await)
                    }
                }
                (Freshness::Stale(_), _) => continue,
            };
            seen.insert(key.name);
            items.push(self.with_trust_policies(place, item));
        }
        let page = Page { items, ..page };
        let new_to = |began| {
            let new = recent.new_to(place, subject, began, |image| filter.takes(image));
            new.into_iter().map(|(key, image)| (key.name, image)).collect::<BTreeMap<_, _>>()
        };
        let missing = match self.missing(reading, args, &page, seen, new_to(*began)).await {
            Missing::No => return Ok(Value::Page(Box::new(page))),
            Missing::Behind(missing) => missing,
        };
        let mut items = page.items;
        for image in missing.into_values() {
            items.push(listed(self.record_of(place, subject, &image).await));
        }
        Ok(self.paged(items, args))
    }

    /// Page of tags or policies, completed in the same way.
    async fn completed_values(
        &self,
        reading: &PendingRead,
        key: &Key,
        action: &'static str,
        args: &Args,
        answer: Result<Value>,
    ) -> Result<Value> {
        let recent = &self.session().recent;
        let Some(history) = recent.history(&reading.place, key) else { return answer };
        let page = match answer {
            Ok(Value::Page(_)) if history.last().is_none() => {
                let name = args.text("name").unwrap_or_default();
                return Err(no_such_entity(key.subject, &name, action));
            }
            Ok(Value::Page(page)) => *page,
            Err(error) if error.code() == "NoSuchEntity" && self.is_there(&reading.place, key) => {
                Page::default()
            }
            other => return other,
        };
        let what = &reading.what;
        let values = what.values(&history);
        let (mut items, mut seen) = (Vec::with_capacity(page.items.len()), HashSet::new());
        for item in page.items {
            let id = item.field(what.id()).as_str().unwrap_or_default().to_owned();
            let Some(changed) = values.get(&id) else {
                items.push(item);
                continue;
            };
            if changed.is_stale(item.field(what.value()).as_str()) {
                items.extend(changed.last.as_ref().and_then(|last| what.entry(&id, last)));
            } else {
                items.push(item);
            }
            seen.insert(id);
        }
        let page = Page { items, ..page };
        let is_new =
            |(_, values): &(String, SeenValues)| values.is_new() && history.at() <= reading.began;
        let new = values.into_iter().filter(is_new).collect();
        match self.missing(reading, args, &page, seen, new).await {
            Missing::No => Ok(Value::Page(Box::new(page))),
            Missing::Behind(missing) => {
                let mut items = page.items;
                let missing = missing.iter();
                let entry =
                    |(id, values): (&String, &SeenValues)| what.entry(id, values.last.as_ref()?);
                items.extend(missing.filter_map(entry));
                Ok(self.paged(items, args))
            }
        }
    }

    /// New entries that no page of a listing has shown, if this is the last page. Changes after the
    /// first request are excluded, so that a script that creates something for each entry
    /// terminates.
    async fn missing<T>(
        &self,
        reading: &PendingRead,
        args: &Args,
        page: &Page,
        seen: HashSet<String>,
        mut new: BTreeMap<String, T>,
    ) -> Missing<T> {
        let PendingRead { place, what, began, page: own } = reading;
        let recent = &self.session().recent;
        let id = |marker: &str| {
            let about = match what {
                ReadSubject::Record(key) | ReadSubject::Tags(key) => format!("tags {key:?}"),
                ReadSubject::Policies(key, _) => format!("policies {key:?}"),
                ReadSubject::Listing(subject, filter) => {
                    format!("{subject:?} {:?} {:?}", filter.prefix, filter.role)
                }
            };
            format!("{place} {about} {marker}")
        };
        let mut chain = match (args.text("marker"), own) {
            (Some(marker), Some(own)) => match recent.chain(own, &id(&marker)).await {
                Some(chain) => chain,
                None => return Missing::No,
            },
            _ if new.is_empty() => return Missing::No,
            _ => PageChain { began: *began, seen: HashSet::new() },
        };
        chain.seen.extend(seen);
        if page.is_truncated {
            if let Some(marker) = &page.marker {
                recent.keep_chain(id(marker), chain);
            }
            return Missing::No;
        }
        if chain.began < *began
            && let ReadSubject::Listing(subject, filter) = what
        {
            let old = recent.new_to(place, *subject, chain.began, |image| filter.takes(image));
            let old: HashSet<_> = old.into_keys().map(|key| key.name).collect();
            new.retain(|id, _| old.contains(id));
        }
        new.retain(|id, _| !chain.seen.contains(id));
        if new.is_empty() { Missing::No } else { Missing::Behind(new) }
    }
}

/// Entries that a listing lacks.
enum Missing<T> {
    /// None on this page.
    No,
    /// Entries that belong after its last one.
    Behind(BTreeMap<String, T>),
}

/// Snapshot of an entry of a listing. Fields that listings leave out (tags; for roles, the
/// permissions boundary) are taken from the known snapshot.
fn listed_image(item: &Value, known: Option<&Snapshot>) -> Option<Snapshot> {
    let Value::Record(fields) = item else { return None };
    let mut fields: HashMap<_, _> = fields.iter().cloned().collect();
    if let Some(known) = known {
        fields.entry("tags").or_insert_with(|| tags_of(known));
        fields
            .entry("permissions_boundary")
            .or_insert_with(|| Value::text(known.permissions_boundary.clone()));
    }
    fields.entry("tags").or_insert_with(|| Value::Map(BTreeMap::new()));
    Snapshot::of(&Value::Record(fields.into_iter().collect()))
}

/// Record, with the fields that listings have.
fn listed(record: Value) -> Value {
    let Value::Record(mut fields) = record else { return record };
    fields.retain(|(name, _)| !["tags", "permissions_boundary"].contains(name));
    Value::Record(fields)
}

fn tags_of(image: &Snapshot) -> Value {
    let tags = image.tags.iter();
    Value::Map(tags.map(|(key, value)| (key.clone(), Value::Str(value.clone()))).collect())
}

/// AWS's error for a resource that this process has just deleted.
fn no_such_entity(subject: Subject, name: &str, action: &'static str) -> Error {
    let message = match subject {
        Subject::Profile => format!("Instance Profile {name} cannot be found"),
        Subject::Role => format!("The role with name {name} cannot be found"),
    };
    let mut error = Error::new(Kind::Aws, message);
    error.aws = Some(Box::new(AwsDetail {
        code: "NoSuchEntity".to_owned(),
        operation: action.to_owned(),
        status: Some(404),
        request_id: None,
        retryable: false,
        is_cut_off: false,
    }));
    error
}
