//! Import of the account from JSON: read as a stream, entry by entry, in one transaction. Entries
//! are checked against the same constraints as requests, and errors name the place in the file.

use std::collections::HashSet;
use std::fmt;
use std::io::Read;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::{Error, Kind};

use super::ChangeError;
use super::constraints::{self, Rule};
use super::export::{FORMAT, VERSION};
use super::faults::closest;
use super::import_resources::{self, Resources};
use super::managed_policies::{self, ArnKind};
use super::partition;
use super::policies;
use super::policies::record::Policy;
use super::read_txn::{AccountRow, Quotas};
use super::records::{self, LastUsed, Profile, Role, Tag};
use super::refusal::CallFailure;
use super::sequence::Sequence;
use super::tags::MAX_TAGS;
use super::trust::{self, stored};
use super::write_txn::{Counted, WriteTxn};

/// Summary of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportSummary {
    /// Account number.
    pub account_id: String,
    /// Number of roles now in the account.
    pub roles: u64,
    /// Number of instance profiles now in the account.
    pub profiles: u64,
    /// Number of other resources imported, such as instances and launch templates.
    pub resources: u64,
}

const SECTIONS: [&str; 8] =
    ["format", "version", "account", "policies", "roles", "profiles", "regions", "resources"];
const DEFAULT_MAX_SESSION: i64 = 3600;

/// Replaces the account's contents by those in the JSON.
pub(super) fn replace(edit: &WriteTxn<'_>, json: impl Read) -> Result<ImportSummary, ChangeError> {
    edit.clear()?;
    run(Import::new(edit)?, json)
}

/// Adds the entries in the JSON to the account; entries of the same name are replaced.
pub(super) fn absorb(edit: &WriteTxn<'_>, json: &Value) -> Result<(), ChangeError> {
    remove::<Policy>(edit, &json["policies"])?;
    remove::<Role>(edit, &json["roles"])?;
    remove::<Profile>(edit, &json["profiles"])?;
    let mut import = Import::new(edit)?;
    import.adds = true;
    run(import, json.to_string().as_bytes()).map(|_| ())
}

fn remove<R: Counted>(edit: &WriteTxn<'_>, entries: &Value) -> Result<(), ChangeError> {
    for entry in entries.as_array().into_iter().flatten() {
        let known = entry["name"].as_str().map(|name| edit.find::<R>(name)).transpose()?;
        if let Some(known) = known.flatten() {
            edit.delete(&known)?;
        }
    }
    Ok(())
}

fn run(mut import: Import<'_>, json: impl Read) -> Result<ImportSummary, ChangeError> {
    let edit = import.edit;
    // First reference to each role. References are checked at the end, because roles may follow
    // profiles.
    edit.connection.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS wanted (role TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID;
         DELETE FROM wanted;",
    )?;
    let mut stream = serde_json::Deserializer::from_reader(json);
    let read = (&mut stream).deserialize_map(&mut import).and_then(|()| stream.end());
    if let Some(failure) = import.failure.take() {
        return Err(in_file_partition(failure, &import.partition));
    }
    read.map_err(|error| match error.io_error_kind() {
        Some(_) => Error::io("cannot read the account file", error.into()),
        None => refused(Error::argument(format!("the account file cannot be used: {error}"))),
    })?;
    let (partition, finished) = (import.partition.clone(), import.finish());
    finished.map_err(|failure| in_file_partition(failure, &partition))
}

/// Translates an error's ARNs to the partition of the file.
fn in_file_partition(mut failure: ChangeError, partition: &str) -> ChangeError {
    if let ChangeError::Reported(error) = &mut failure {
        error.message = partition::swap(&error.message, partition).into_owned();
    }
    failure
}

/// Import in progress.
struct Import<'a> {
    edit: &'a WriteTxn<'a>,
    account_id: String,
    /// Partition of the ARNs in the file.
    partition: String,
    quotas: Quotas,
    seen: Vec<&'static str>,
    roles: u64,
    profiles: u64,
    /// Highest number of policies of one role, and the number of that role in the file.
    most_policies: (usize, u64),
    /// Policies that have only been named by ARN so far.
    named_policies: HashSet<String>,
    resources: Resources,
    /// Addition to an account, instead of its replacement. Trust policies have been accepted by AWS
    /// then, and are not validated. Resources of the same id or name are replaced.
    adds: bool,
    /// Error to report, which serde's error type cannot carry.
    failure: Option<ChangeError>,
}

impl<'a> Import<'a> {
    fn new(edit: &'a WriteTxn<'a>) -> Result<Self, ChangeError> {
        let account = AccountRow::load(edit.connection)?;
        Ok(Self {
            edit,
            account_id: account.id,
            partition: account.partition,
            quotas: account.quotas,
            seen: Vec::new(),
            roles: 0,
            profiles: 0,
            most_policies: (0, 0),
            named_policies: HashSet::new(),
            resources: Resources::default(),
            adds: false,
            failure: None,
        })
    }

    fn account(&mut self, value: Value) -> Result<(), ChangeError> {
        if self.roles + self.profiles > 0 {
            return Err(wrong("account", "must come before the roles and profiles"));
        }
        let mut account = ImportObject::new("account".to_owned(), value)?;
        if let Some(id) = account.text("id")? {
            if id.len() != 12 || !id.bytes().all(|digit| digit.is_ascii_digit()) {
                return Err(wrong("account.id", "must be 12 digits"));
            }
            self.account_id = id;
        }
        self.partition = match account.text("partition")? {
            None => partition::AWS.to_owned(),
            Some(name) if partition::ALL.contains(&name.as_str()) => name,
            Some(name) => {
                let message = format!("`{name}` must be one of {}", partition::ALL.join(", "));
                return Err(wrong("account.partition", message));
            }
        };
        self.edit.connection.execute(
            "INSERT OR REPLACE INTO setting (name, value) VALUES ('partition', ?1)",
            [&self.partition],
        )?;
        let alias = account.text("alias")?;
        if let Some(quotas) = account.take("quotas") {
            let mut quotas = ImportObject::new("account.quotas".to_owned(), quotas)?;
            for (name, quota) in [
                ("profiles", &mut self.quotas.profiles),
                ("roles", &mut self.quotas.roles),
                ("policies_per_role", &mut self.quotas.policies_per_role),
            ] {
                if let Some(value) = quotas.number(name)? {
                    *quota = u32::try_from(value)
                        .map_err(|_| wrong(&quotas.at(name), "must be a whole number from 0"))?;
                }
            }
            quotas.finish(&["profiles", "roles", "policies_per_role"])?;
        }
        account.finish(&["id", "partition", "alias", "quotas"])?;
        let Quotas { profiles, roles, policies_per_role } = self.quotas;
        self.edit.connection.execute(
            "UPDATE account SET id = ?1, alias = ?2, profiles_quota = ?3, roles_quota = ?4,
                 policies_per_role_quota = ?5",
            params![self.account_id, alias, profiles, roles, policies_per_role],
        )?;
        Ok(())
    }

    fn policy(&mut self, number: u64, value: Value) -> Result<(), ChangeError> {
        let place = format!("policies[{number}]");
        if let Value::String(arn) = &value {
            return self.keep_policy(&place, arn);
        }
        if !value.is_object() {
            return Err(wrong(&place, "must be an ARN, or an object with what is known of it"));
        }
        // A role may have named it before.
        let known =
            value["name"].as_str().map(|name| self.edit.find::<Policy>(name)).transpose()?;
        let known = known.flatten().map(|known| (known.arn(&self.account_id), known));
        let known = known.filter(|(arn, _)| self.named_policies.remove(arn));
        if let Some((_, known)) = &known {
            self.edit.delete(known)?;
        }
        let mut entry = ImportObject::new(place, value)?;
        let policy = policies::import::policy(self.edit, &mut entry, !self.adds)?;
        let arn = policy.arn(&self.account_id);
        check_arn(&mut entry, &arn)?;
        check_free(&entry, known.is_none_or(|(known, _)| known == arn))?;
        check_free(&entry, self.edit.find::<Policy>(&policy.name)?.is_none())?;
        entry.finish(&policies::import::KEYS)?;
        Ok(self.edit.insert(&policy)?)
    }

    fn keep_policy(&mut self, place: &str, arn: &str) -> Result<(), ChangeError> {
        let connection = self.edit.connection;
        let policy = managed_policies::split(arn);
        let policy =
            policy.ok_or_else(|| wrong(place, format!("`{arn}` is not a managed policy's ARN")))?;
        if policy.owner != "aws" && policy.owner != self.account_id {
            let message = format!("`{arn}` is not in the account {}", self.account_id);
            return Err(wrong(place, message));
        }
        if managed_policies::classify(connection, &self.account_id, arn)? != ArnKind::Unknown {
            return Ok(());
        }
        if policy.owner == "aws" {
            return Ok(managed_policies::keep(connection, arn)?);
        }
        if self.edit.find::<Policy>(policy.name)?.is_some() {
            let message = format!("there is another policy with the name of `{arn}`");
            return Err(wrong(place, format!("{message} (names are unique ignoring case)")));
        }
        let created = self.edit.seconds();
        let record = policies::upgrade::unknown(arn, policy.path, policy.name, created);
        self.edit.insert(&record)?;
        self.named_policies.insert(arn.to_owned());
        Ok(())
    }

    fn role(&mut self, number: u64, value: Value) -> Result<(), ChangeError> {
        let mut entry = ImportObject::new(format!("roles[{number}]"), value)?;
        let name = entry.required("name", &constraints::ROLE_NAME)?;
        let path = entry.held_to("path", &constraints::PATH)?.unwrap_or_else(|| "/".to_owned());
        let id = self.id::<Role>(&mut entry)?;
        let max_session = entry.number("max_session_duration")?.unwrap_or(DEFAULT_MAX_SESSION);
        if !(3600..=43200).contains(&max_session) {
            let place = entry.at("max_session_duration");
            return Err(wrong(&place, "must be 3600 to 43200 seconds"));
        }
        let role = Role {
            created: self.create_date(&mut entry)?,
            trust: self.trust_policy(&mut entry)?,
            description: entry.held_to("description", &constraints::ROLE_DESCRIPTION)?,
            max_session,
            boundary: entry.text("permissions_boundary")?,
            last_used: last_used(&mut entry)?,
            policies: self.attached_policies(&mut entry, number)?,
            inline: policies::import::inline(&mut entry, !self.adds)?,
            tags: tags(&mut entry, str::to_lowercase)?,
            name,
            path,
            id,
        };
        if let Some(arn) = &role.boundary {
            self.keep_policy(&entry.at("permissions_boundary"), arn)?;
        }
        check_arn(&mut entry, &role.arn(&self.account_id))?;
        check_free(&entry, self.edit.find::<Role>(&role.name)?.is_none())?;
        entry.finish(&[
            "name",
            "path",
            "id",
            "arn",
            "create_date",
            "assume_role_policy",
            "description",
            "max_session_duration",
            "permissions_boundary",
            "last_used",
            "attached_policies",
            "inline_policies",
            "tags",
        ])?;
        self.edit.insert(&role)?;
        self.roles += 1;
        Ok(())
    }

    fn profile(&mut self, number: u64, value: Value) -> Result<(), ChangeError> {
        let mut entry = ImportObject::new(format!("profiles[{number}]"), value)?;
        let name = entry.required("name", &constraints::PROFILE_NAME)?;
        let path = entry.held_to("path", &constraints::PATH)?.unwrap_or_else(|| "/".to_owned());
        let id = self.id::<Profile>(&mut entry)?;
        let role = entry.text("role")?.map(|role| records::key(&role));
        let created = self.create_date(&mut entry)?;
        let tags = tags(&mut entry, str::to_owned)?;
        let profile = Profile { name, path, id, created, role, tags };
        check_arn(&mut entry, &profile.arn(&self.account_id))?;
        check_free(&entry, self.edit.find::<Profile>(&profile.name)?.is_none())?;
        entry.finish(&["name", "path", "id", "arn", "create_date", "role", "tags"])?;
        if let Some(role) = &profile.role {
            let sql = "INSERT OR IGNORE INTO wanted (role, number) VALUES (?1, ?2)";
            let number = number.cast_signed();
            self.edit.connection.prepare_cached(sql)?.execute(params![role, number])?;
        }
        self.edit.insert(&profile)?;
        self.profiles += 1;
        Ok(())
    }

    fn resource(&mut self, number: u64, value: Value) -> Result<(), ChangeError> {
        self.resources.import(self.edit, number, value, self.adds)
    }

    /// Checks that need the whole file.
    fn finish(self) -> Result<ImportSummary, ChangeError> {
        for section in ["format", "version"] {
            if !self.seen.contains(&section) {
                let message = format!("is missing: an account file has \"format\": \"{FORMAT}\"");
                return Err(wrong(section, message));
            }
        }
        let connection = self.edit.connection;
        let unknown: Option<(String, i64)> = connection
            .query_row(
                "SELECT role, number FROM wanted WHERE role NOT IN (SELECT key FROM role)
                 ORDER BY number LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        if let Some((role, number)) = unknown {
            let message = format!("there is no role `{role}` among the roles");
            return Err(wrong(&format!("profiles[{number}].role"), message));
        }
        if !self.adds {
            self.check_quotas()?;
            self.resolve_trust_policies()?;
        }
        let Self { edit, account_id, roles, profiles, .. } = self;
        let resources = self.resources.finish(edit, &account_id)?;
        Ok(ImportSummary { account_id, roles, profiles, resources })
    }

    fn check_quotas(&self) -> Result<(), ChangeError> {
        for (what, count, quota) in [
            ("profiles", self.profiles, self.quotas.profiles),
            ("roles", self.roles, self.quotas.roles),
        ] {
            if count > u64::from(quota) {
                let message = format!("{count} are more than account.quotas.{what}, {quota}");
                return Err(wrong(&format!("{what}[{quota}]"), message));
            }
        }
        let (most, number) = self.most_policies;
        let quota = self.quotas.policies_per_role;
        if u32::try_from(most).unwrap_or(u32::MAX) > quota {
            let message = format!("{most} are more than account.quotas.policies_per_role, {quota}");
            return Err(wrong(&format!("roles[{number}].attached_policies"), message));
        }
        Ok(())
    }

    fn id<R: Counted>(&self, entry: &mut ImportObject) -> Result<String, ChangeError> {
        let Some(id) = entry.held_to("id", &constraints::ID)? else {
            return Ok(self.edit.new_id::<R>()?);
        };
        if records::has_id::<R>(self.edit.connection, &id)? {
            return Err(wrong(&entry.at("id"), format!("`{id}` is there twice")));
        }
        Ok(id)
    }

    /// Trust policy in its stored form. In an addition it was read from AWS and is not changed.
    fn trust_policy(&self, entry: &mut ImportObject) -> Result<String, ChangeError> {
        let place = entry.at("assume_role_policy");
        let document = trust_policy(entry, !self.adds)?;
        if self.adds { Ok(document) } else { self.keep_trust(&place, &document) }
    }

    fn keep_trust(&self, place: &str, document: &str) -> Result<String, ChangeError> {
        let account = AccountRow { id: self.account_id.clone(), ..self.edit.account.clone() };
        let roles = stored::Roles::MayBeMissing;
        stored::keep(self.edit.connection, &account, document, roles).map_err(|failure| {
            match failure {
                CallFailure::Storage(error) => error.into(),
                CallFailure::Refused(refusal) => wrong(place, refusal.message),
            }
        })
    }

    /// Replaces role ARNs in trust policies by role ids, now that all roles are known.
    fn resolve_trust_policies(&self) -> Result<(), ChangeError> {
        let connection = self.edit.connection;
        let mut naming_roles =
            connection.prepare("SELECT key, trust FROM role WHERE trust LIKE '%:role/%'")?;
        let found = naming_roles
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(String, String)>>>()?;
        let mut update = connection.prepare("UPDATE role SET trust = ?2 WHERE key = ?1")?;
        for (key, trust) in found {
            let kept = self.keep_trust("roles", &trust)?;
            update.execute([key, kept])?;
        }
        Ok(())
    }

    fn create_date(&self, entry: &mut ImportObject) -> Result<i64, ChangeError> {
        Ok(entry.date("create_date")?.unwrap_or_else(|| self.edit.seconds()))
    }

    fn attached_policies(
        &mut self,
        entry: &mut ImportObject,
        number: u64,
    ) -> Result<Sequence<String>, ChangeError> {
        let mut policies = Sequence::default();
        let place = entry.at("attached_policies");
        let arns = match entry.take("attached_policies") {
            None => Vec::new(),
            Some(Value::Array(arns)) => arns,
            Some(_) => return Err(wrong(&place, "must be a list of ARNs")),
        };
        for (index, arn) in arns.into_iter().enumerate() {
            let place = format!("{place}[{index}]");
            let Value::String(arn) = arn else { return Err(wrong(&place, "must be an ARN")) };
            self.keep_policy(&place, &arn)?;
            if policies.iter().any(|earlier| *earlier == arn) {
                return Err(wrong(&place, format!("`{arn}` is there twice")));
            }
            policies.push(arn);
        }
        if policies.len() > self.most_policies.0 {
            self.most_policies = (policies.len(), number);
        }
        Ok(policies)
    }
}

/// JSON object in the file, with its place. Reading a field removes it, so that unknown fields
/// remain.
pub(super) struct ImportObject {
    place: String,
    fields: Map<String, Value>,
}

impl ImportObject {
    pub(super) fn new(place: String, value: Value) -> Result<Self, ChangeError> {
        match value {
            Value::Object(fields) => Ok(Self { place, fields }),
            other => Err(wrong(&place, format!("must be an object, not {}", kind_of(&other)))),
        }
    }

    pub(super) fn at(&self, name: &str) -> String {
        format!("{}.{name}", self.place)
    }

    /// Removes and returns the value of a key; null counts as missing.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.swap_remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, ChangeError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => {
                Err(wrong(&self.at(name), format!("must be a text, not {}", kind_of(&other))))
            }
        }
    }

    pub(super) fn held_to(
        &mut self,
        name: &str,
        rule: &Rule,
    ) -> Result<Option<String>, ChangeError> {
        let text = self.text(name)?;
        if let Some(text) = &text {
            check(&self.at(name), text, rule)?;
        }
        Ok(text)
    }

    pub(super) fn required(&mut self, name: &str, rule: &Rule) -> Result<String, ChangeError> {
        self.held_to(name, rule)?.ok_or_else(|| wrong(&self.at(name), "is missing"))
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<i64>, ChangeError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_i64();
        let what = || format!("must be a whole number, not {}", kind_of(&value));
        Ok(Some(number.ok_or_else(|| wrong(&self.at(name), what()))?))
    }

    /// String of 1 to 1600 characters, the longest that any service accepts for a profile.
    pub(super) fn short_text(&mut self, name: &str) -> Result<Option<String>, ChangeError> {
        let text = self.text(name)?;
        if text.as_ref().is_some_and(|text| text.is_empty() || text.chars().count() > 1600) {
            return Err(wrong(&self.at(name), "must have 1 to 1600 letters"));
        }
        Ok(text)
    }

    /// Required string of 1 to 1600 characters.
    pub(super) fn required_text(&mut self, name: &str) -> Result<String, ChangeError> {
        self.short_text(name)?.ok_or_else(|| wrong(&self.at(name), "is missing"))
    }

    /// List of strings of 1 to 1600 characters.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, ChangeError> {
        let place = self.at(name);
        let values = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(values)) => values,
            Some(other) => {
                return Err(wrong(
                    &place,
                    format!("must be a list of texts, not {}", kind_of(&other)),
                ));
            }
        };
        let text = |(index, value)| match value {
            Value::String(text) if !text.is_empty() => Ok(text),
            other => {
                let message = format!("must be a text, not {}", kind_of(&other));
                Err(wrong(&format!("{place}[{index}]"), message))
            }
        };
        values.into_iter().enumerate().map(text).collect()
    }

    /// Date, in seconds since 1970.
    pub(super) fn date(&mut self, name: &str) -> Result<Option<i64>, ChangeError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let date: Timestamp = text.parse().map_err(|_| {
            let message = format!("`{text}` is not a date such as 2026-01-31T12:00:00Z");
            wrong(&self.at(name), message)
        })?;
        Ok(Some(date.as_second()))
    }

    /// Refuses unknown fields.
    pub(super) fn finish(self, known: &[&str]) -> Result<(), ChangeError> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(key) => Err(unknown_key(&self.at(key), key, known)),
        }
    }
}

pub(super) fn tags(
    entry: &mut ImportObject,
    same: impl Fn(&str) -> String,
) -> Result<Sequence<Tag>, ChangeError> {
    let place = entry.at("tags");
    let fields = match entry.take("tags") {
        None => return Ok(Sequence::default()),
        Some(Value::Object(fields)) => fields,
        Some(other) => {
            let message = format!("must be an object of texts, not {}", kind_of(&other));
            return Err(wrong(&place, message));
        }
    };
    if fields.len() > MAX_TAGS {
        let message = format!("{} are more than {MAX_TAGS}", fields.len());
        return Err(wrong(&place, message));
    }
    let mut tags = Sequence::default();
    for (key, value) in fields {
        let place = format!("{place}.{key}");
        let Value::String(value) = value else {
            return Err(wrong(&place, format!("must be a text, not {}", kind_of(&value))));
        };
        check(&place, &key, &constraints::TAG_KEY)?;
        check(&place, &value, &constraints::TAG_VALUE)?;
        if tags.iter().any(|earlier: &Tag| same(&earlier.key) == same(&key)) {
            return Err(wrong(&place, "is there twice (the keys of a role's tags ignore case)"));
        }
        tags.push(Tag { key, value });
    }
    Ok(tags)
}

/// Text of a policy, which may be given as an object.
pub(super) fn policy_document(place: &str, value: Value) -> Result<String, ChangeError> {
    let document = match value {
        Value::String(text) => text,
        object @ Value::Object(_) => object.to_string(),
        other => return Err(wrong(place, format!("must be a policy, not {}", kind_of(&other)))),
    };
    check(place, &document, &constraints::POLICY_DOCUMENT)?;
    Ok(document)
}

fn trust_policy(entry: &mut ImportObject, is_held: bool) -> Result<String, ChangeError> {
    let place = entry.at("assume_role_policy");
    let value = entry.take("assume_role_policy").ok_or_else(|| wrong(&place, "is missing"))?;
    let document = policy_document(&place, value)?;
    if is_held {
        trust::check(&document).map_err(|refusal| wrong(&place, refusal.message))?;
    }
    Ok(document)
}

fn last_used(entry: &mut ImportObject) -> Result<Option<LastUsed>, ChangeError> {
    let place = entry.at("last_used");
    let Some(value) = entry.take("last_used") else { return Ok(None) };
    let mut used = ImportObject::new(place, value)?;
    let at = used.date("date")?.ok_or_else(|| wrong(&used.at("date"), "is missing"))?;
    let region = used.text("region")?.ok_or_else(|| wrong(&used.at("region"), "is missing"))?;
    used.finish(&["date", "region"])?;
    Ok(Some(LastUsed { at, region }))
}

fn check_free(entry: &ImportObject, free: bool) -> Result<(), ChangeError> {
    if free {
        return Ok(());
    }
    let message = "this name is there twice (names are unique ignoring case)";
    Err(wrong(&entry.at("name"), message))
}

fn expect(place: &str, value: &Value, right: &Value) -> Result<(), ChangeError> {
    if value == right {
        return Ok(());
    }
    Err(wrong(place, format!("must be {right}, not {value}")))
}

fn check_arn(entry: &mut ImportObject, right: &str) -> Result<(), ChangeError> {
    match entry.text("arn")? {
        Some(arn) if arn != right => {
            Err(wrong(&entry.at("arn"), format!("`{arn}` should be `{right}`")))
        }
        _ => Ok(()),
    }
}

pub(super) fn check(place: &str, text: &str, rule: &Rule) -> Result<(), ChangeError> {
    let violated = rule.violated(text);
    if violated.is_empty() { Ok(()) } else { Err(wrong(place, violated.join("; "))) }
}

pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

pub(super) fn wrong(place: &str, message: impl fmt::Display) -> ChangeError {
    refused(Error::new(Kind::Argument, format!("{place}: {message}"))).into()
}

fn refused(error: Error) -> Error {
    error.hint("nothing was imported; the account is as it was")
}

fn unknown_key(place: &str, key: &str, known: &[&str]) -> ChangeError {
    let meant = match closest(key, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("the keys are {}", known.join(", ")),
    };
    wrong(place, format!("is not a known key; {meant}"))
}

// Stream deserializers. Serde's errors cannot carry ours, so ours is stored in `Import::failure`
// and serde is stopped with an empty one.

impl<'de> Visitor<'de> for &mut Import<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an account: an object with `format`, `version`, `account`, `roles`, `profiles`",
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let known = SECTIONS.into_iter().find(|section| *section == key);
            let done = match known {
                Some(section) if self.seen.contains(&section) => {
                    Err(wrong(section, "is there twice"))
                }
                Some("policies") => {
                    map.next_value_seed(Section { import: self, each: Import::policy })?;
                    Ok(())
                }
                Some("roles") => {
                    map.next_value_seed(Section { import: self, each: Import::role })?;
                    Ok(())
                }
                Some("profiles") => {
                    map.next_value_seed(Section { import: self, each: Import::profile })?;
                    Ok(())
                }
                Some("resources") => {
                    map.next_value_seed(Section { import: self, each: Import::resource })?;
                    Ok(())
                }
                Some("regions") => {
                    import_resources::import_regions(self.edit, map.next_value()?, self.adds)
                }
                Some("format") => expect("format", &map.next_value()?, &Value::from(FORMAT)),
                Some("version") => expect("version", &map.next_value()?, &Value::from(VERSION)),
                Some("account") => self.account(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    Err(unknown_key(&key, &key, &SECTIONS))
                }
            };
            self.seen.extend(known);
            stop_at(&mut self.failure, done)?;
        }
        Ok(())
    }
}

/// List whose entries are imported one by one.
struct Section<'a, 'b> {
    import: &'a mut Import<'b>,
    each: fn(&mut Import<'b>, u64, Value) -> Result<(), ChangeError>,
}

impl<'de> DeserializeSeed<'de> for Section<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Section<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(mut value) = list.next_element()? {
            partition::swap_json(&mut value, &self.import.partition);
            let done = (self.each)(self.import, number, value);
            stop_at(&mut self.import.failure, done)?;
            number += 1;
        }
        Ok(())
    }
}

fn stop_at<E: serde::de::Error>(
    failure: &mut Option<ChangeError>,
    done: Result<(), ChangeError>,
) -> Result<(), E> {
    done.map_err(|found| {
        *failure = Some(found);
        E::custom("the import stopped")
    })
}
