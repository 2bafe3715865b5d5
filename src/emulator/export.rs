//! Export of the account as JSON: one role, profile or resource per line. Rows are streamed from
//! the file, so memory use does not depend on the account's size.

use std::io::Write;

use rusqlite::Connection;
use serde_json::{Map, Value, json};

use crate::error::Error;

use super::ChangeError;
use super::clock::iso8601;
use super::import_resources;
use super::partition;
use super::policies::record::{Policy, Version};
use super::read_txn::AccountRow;
use super::records::{Profile, Record, Role, Tag};
use super::regions;
use super::resources::{self, ResourceKind, ResourceScope};
use super::sequence::Sequence;

/// Format name in the file.
pub(super) const FORMAT: &str = "iamlua-account";
/// The only version of the format.
pub(super) const VERSION: u64 = 1;

/// Writes the account as this transaction sees it.
pub(super) fn write(connection: &Connection, out: &mut dyn Write) -> Result<(), ChangeError> {
    let account = AccountRow::load(connection)?;
    let mut lines = Lines { out, partition: account.partition.clone() };
    lines.text(&format!("{{\"format\":\"{FORMAT}\",\"version\":{VERSION},\n\"account\":"))?;
    let other_partition = (account.partition != partition::AWS).then_some(&account.partition);
    let mut header = json!({
        "id": account.id,
        "partition": other_partition,
        "alias": account.alias,
        "quotas": {
            "profiles": account.quotas.profiles,
            "roles": account.quotas.roles,
            "policies_per_role": account.quotas.policies_per_role,
        },
    });
    // The partition is omitted for `aws`, as in earlier versions of the format.
    if let (None, Value::Object(header)) = (other_partition, &mut header) {
        header.shift_remove("partition");
    }
    lines.json(&header)?;

    let sql = format!("SELECT {} FROM managed_policy ORDER BY path, key", Policy::COLUMNS);
    let mut statement = connection.prepare(&sql)?;
    let mut own = statement.query([])?;
    // The account's own policies are records; of AWS's other policies only the ARN is known.
    let mut statement = connection
        .prepare("SELECT arn FROM policy WHERE arn LIKE 'arn:aws:iam::aws:%' ORDER BY arn")?;
    let mut of_aws = statement.query([])?;
    lines.list("policies", || match own.next()? {
        Some(row) => Ok(Some(policy(&Policy::from_row(row)?, &account.id))),
        None => of_aws.next()?.map(|row| Ok(Value::String(row.get(0)?))).transpose(),
    })?;

    let sql = format!("SELECT {} FROM role ORDER BY path, key", Role::COLUMNS);
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    lines.list("roles", || match rows.next()? {
        Some(row) => {
            let mut one = Role::from_row(row)?;
            one.show(connection, &account)?;
            Ok(Some(role(&one, &account.id)))
        }
        None => Ok(None),
    })?;

    // A profile refers to its role by key; the file has the role's name.
    let mut statement = connection.prepare(
        "SELECT p.name, p.path, p.id, p.created, p.role, p.tags, role.name
         FROM profile AS p LEFT JOIN role ON role.key = p.role ORDER BY p.path, p.key",
    )?;
    let mut rows = statement.query([])?;
    lines.list("profiles", || match rows.next()? {
        Some(row) => {
            let role_name: Option<String> = row.get(6)?;
            Ok(Some(profile(&Profile::from_row(row)?, role_name.as_deref(), &account.id)))
        }
        None => Ok(None),
    })?;
    let regions = regions::stored(connection)?;
    if !regions.is_empty() {
        let regions = regions.into_iter().map(|region| (region.name, region.status.into()));
        lines.text(",\n\"regions\":")?;
        lines.json(&Value::Object(regions.collect()))?;
    }
    write_resources(connection, &mut lines)?;
    lines.text("}\n")?;
    lines.out.flush().map_err(cannot_write)?;
    Ok(())
}

fn write_resources(connection: &Connection, lines: &mut Lines<'_>) -> Result<(), ChangeError> {
    let mut separator = ",\n\"resources\":[\n";
    for kind in ResourceKind::imported() {
        let mut failure = None;
        resources::all(connection, kind, |resource| {
            let mut versions = Vec::new();
            if let Some(kind) = kind.row().versions {
                let (region, parent) = (resource.region.as_str(), resource.key.as_str());
                let place = ResourceScope { kind, region, parent };
                resources::scan(connection, place, "", |version| {
                    versions.push(version);
                    Ok(true)
                })?;
            }
            let create_date = iso8601(resource.created);
            let entry = import_resources::exported(kind, &resource, &versions, create_date);
            let written = lines.text(separator).and_then(|()| lines.json(&entry));
            separator = ",\n";
            failure = written.err();
            Ok(failure.is_none())
        })?;
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    // An account without resources has no such section, as in earlier versions of the format.
    if separator == ",\n" { lines.text("\n]") } else { Ok(()) }
}

fn role(role: &Role, account_id: &str) -> Value {
    let last_used = role.last_used.as_ref();
    let policies: Vec<_> = role.policies.iter().collect();
    let inline = role.inline.iter().map(|policy| (policy.name.clone(), document(&policy.document)));
    let inline: Map<_, _> = inline.collect();
    let mut entry = json!({
        "name": role.name,
        "path": role.path,
        "id": role.id,
        "arn": role.arn(account_id),
        "create_date": role.create_date(),
        "assume_role_policy": document(&role.trust),
        "description": role.description,
        "max_session_duration": role.max_session,
        "permissions_boundary": role.boundary,
        "last_used": last_used.map(|used| json!({"date": iso8601(used.at), "region": used.region})),
        "attached_policies": policies,
        "inline_policies": Some(inline).filter(|inline| !inline.is_empty()),
        "tags": tags(&role.tags),
    });
    drop_nulls(&mut entry);
    entry
}

fn policy(policy: &Policy, account_id: &str) -> Value {
    let version = |(number, version): (u64, &Version)| {
        let mut entry = json!({
            "id": format!("v{number}"),
            "create_date": iso8601(version.created),
            "document": version.document.as_deref().map(document),
        });
        drop_nulls(&mut entry);
        entry
    };
    let versions: Vec<_> = policy.versions.after(0).collect();
    let newest = versions.last().map_or(0, |(number, _)| *number);
    let last = Some(policy.versions.last_place()).filter(|last| *last > newest);
    let mut entry = json!({
        "name": policy.name,
        "path": policy.path,
        "id": policy.id,
        "arn": policy.arn(account_id),
        "create_date": iso8601(policy.created),
        "update_date": iso8601(policy.updated),
        "description": policy.description,
        "versions": versions.into_iter().map(version).collect::<Vec<_>>(),
        "default_version": format!("v{}", policy.default_version),
        "last_version": last.map(|last| format!("v{last}")),
        "tags": tags(&policy.tags),
    });
    drop_nulls(&mut entry);
    entry
}

fn profile(profile: &Profile, role_name: Option<&str>, account_id: &str) -> Value {
    let mut entry = json!({
        "name": profile.name,
        "path": profile.path,
        "id": profile.id,
        "arn": profile.arn(account_id),
        "create_date": profile.create_date(),
        "role": role_name,
        "tags": tags(&profile.tags),
    });
    drop_nulls(&mut entry);
    entry
}

/// Policy as a JSON object, for readability; as a string if the object would not reproduce the
/// exact text.
fn document(text: &str) -> Value {
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    parsed
        .filter(Value::is_object)
        .filter(|value| serde_json::to_string(value).is_ok_and(|json| json == text))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

fn tags(tags: &Sequence<Tag>) -> Value {
    let pairs = tags.iter().map(|tag| (tag.key.clone(), Value::String(tag.value.clone())));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn drop_nulls(entry: &mut Value) {
    if let Value::Object(fields) = entry {
        fields.retain(|_, value| !value.is_null());
    }
}

struct Lines<'a> {
    out: &'a mut dyn Write,
    /// Partition of the ARNs in the file.
    partition: String,
}

impl Lines<'_> {
    /// Writes a list of the items that `next` returns, until it returns `None`.
    fn list(
        &mut self,
        name: &str,
        mut next: impl FnMut() -> rusqlite::Result<Option<Value>>,
    ) -> Result<(), ChangeError> {
        self.text(&format!(",\n\"{name}\":["))?;
        let mut separator = "\n";
        while let Some(entry) = next()? {
            self.text(separator)?;
            self.json(&entry)?;
            separator = ",\n";
        }
        self.text("\n]")
    }

    fn json(&mut self, value: &Value) -> Result<(), ChangeError> {
        let mut translated = None;
        if self.partition != partition::AWS {
            partition::swap_json(translated.insert(value.clone()), &self.partition);
        }
        let written = serde_json::to_writer(&mut self.out, translated.as_ref().unwrap_or(value));
        Ok(written.map_err(|error| cannot_write(error.into()))?)
    }

    fn text(&mut self, text: &str) -> Result<(), ChangeError> {
        Ok(self.out.write_all(text.as_bytes()).map_err(cannot_write)?)
    }
}

fn cannot_write(error: std::io::Error) -> Error {
    Error::io("cannot write the export", error)
}
