//! Policies in an account file.

use serde_json::Value;

use super::super::ChangeError;
use super::super::constraints;
use super::super::import::{self, ImportObject, kind_of, policy_document, wrong};
use super::super::records;
use super::super::sequence::Sequence;
use super::super::write_txn::WriteTxn;
use super::document::{self, Kind};
use super::inline::MAX_CHARACTERS as MAX_INLINE_CHARACTERS;
use super::managed::MAX_CHARACTERS;
use super::record::{InlinePolicy, Policy, Version};
use super::upgrade;
use super::versions::MAX_VERSIONS;

/// Keys of a customer managed policy.
pub(in crate::emulator) const KEYS: [&str; 12] = [
    "name",
    "path",
    "id",
    "arn",
    "create_date",
    "update_date",
    "description",
    "document",
    "versions",
    "default_version",
    "last_version",
    "tags",
];

/// Inline policies of a role: an object of names and documents.
pub(in crate::emulator) fn inline(
    entry: &mut ImportObject,
    is_held: bool,
) -> Result<Sequence<InlinePolicy>, ChangeError> {
    let place = entry.at("inline_policies");
    let fields = match entry.take("inline_policies") {
        None => return Ok(Sequence::default()),
        Some(Value::Object(fields)) => fields,
        Some(other) => {
            let message = format!("must be an object of policies, not {}", kind_of(&other));
            return Err(wrong(&place, message));
        }
    };
    let mut policies = Sequence::default();
    let mut size = 0;
    for (name, value) in fields {
        let own_place = format!("{place}.{name}");
        import::check(&own_place, &name, &constraints::POLICY_NAME)?;
        let document = policy_document(&own_place, value)?;
        if is_held {
            document::check(&document, Kind::Inline)
                .map_err(|refusal| wrong(&own_place, refusal.message))?;
        }
        size += document::size(&document);
        policies.push(InlinePolicy { name, document });
    }
    if is_held && size > MAX_INLINE_CHARACTERS {
        let message = format!("{size} characters are more than {MAX_INLINE_CHARACTERS}");
        return Err(wrong(&place, message));
    }
    Ok(policies)
}

/// Customer managed policy. `arn` and keys that are not in [`KEYS`] are left in the entry.
pub(in crate::emulator) fn policy(
    edit: &WriteTxn<'_>,
    entry: &mut ImportObject,
    is_held: bool,
) -> Result<Policy, ChangeError> {
    let name = entry.required("name", &constraints::POLICY_NAME)?;
    let path = entry.held_to("path", &constraints::POLICY_PATH)?;
    let path = path.unwrap_or_else(|| "/".to_owned());
    let id = entry.held_to("id", &constraints::ID)?;
    let created = entry.date("create_date")?.unwrap_or_else(|| edit.seconds());
    let versions = versions(entry, created, is_held)?;
    let newest = versions.after(0).last().map(|(number, version)| (number, version.created));
    let (newest, newest_created) = newest.unwrap_or((1, created));
    let default_version = version_number(entry, "default_version")?.unwrap_or(newest);
    if versions.after(0).all(|(number, _)| number != default_version) {
        let message = format!("there is no version v{default_version}");
        return Err(wrong(&entry.at("default_version"), message));
    }
    let mut policy = Policy {
        id: String::new(),
        created,
        updated: entry.date("update_date")?.unwrap_or(newest_created),
        description: entry.held_to("description", &constraints::POLICY_DESCRIPTION)?,
        default_version,
        versions,
        tags: import::tags(entry, str::to_owned)?,
        name,
        path,
    };
    policy.id = id.unwrap_or_else(|| upgrade::id(&policy.arn(&edit.account.id)));
    if records::has_id::<Policy>(edit.connection, &policy.id)? {
        return Err(wrong(&entry.at("id"), format!("`{}` is there twice", policy.id)));
    }
    Ok(policy)
}

/// Versions of a policy: a list, or the document of the only version.
fn versions(
    entry: &mut ImportObject,
    created: i64,
    is_held: bool,
) -> Result<Sequence<Version>, ChangeError> {
    let place = entry.at("versions");
    let document = entry.take("document");
    let list = match entry.take("versions") {
        None => {
            let document = document.map(|value| document_of(&entry.at("document"), value, is_held));
            let version = Version { created, document: document.transpose()? };
            return with_last(entry, vec![(1, version)]);
        }
        Some(_) if document.is_some() => {
            let message = "must not be there beside `versions`, which have their own";
            return Err(wrong(&entry.at("document"), message));
        }
        Some(Value::Array(list)) => list,
        Some(other) => {
            let message = format!("must be a list of versions, not {}", kind_of(&other));
            return Err(wrong(&place, message));
        }
    };
    if list.is_empty() || list.len() > MAX_VERSIONS {
        return Err(wrong(&place, format!("must be 1 to {MAX_VERSIONS} versions")));
    }
    let mut versions: Vec<(u64, Version)> = Vec::new();
    for (index, value) in list.into_iter().enumerate() {
        let mut version = ImportObject::new(format!("{place}[{index}]"), value)?;
        let number = version_number(&mut version, "id")?;
        let number = number.ok_or_else(|| wrong(&version.at("id"), "is missing"))?;
        if versions.last().is_some_and(|(earlier, _)| *earlier >= number) {
            return Err(wrong(&version.at("id"), "must be higher than that of the version before"));
        }
        let created = version.date("create_date")?.unwrap_or(created);
        let place = version.at("document");
        let document = version.take("document");
        let document = document.map(|value| document_of(&place, value, is_held)).transpose()?;
        version.finish(&["id", "create_date", "document"])?;
        versions.push((number, Version { created, document }));
    }
    with_last(entry, versions)
}

/// Versions, with the highest number ever used.
fn with_last(
    entry: &mut ImportObject,
    versions: Vec<(u64, Version)>,
) -> Result<Sequence<Version>, ChangeError> {
    let newest = versions.last().map_or(0, |(number, _)| *number);
    let last = version_number(entry, "last_version")?.unwrap_or(newest);
    if last < newest {
        let message = format!("must not be lower than the newest version, v{newest}");
        return Err(wrong(&entry.at("last_version"), message));
    }
    Ok(Sequence::of_places(last, versions))
}

fn document_of(place: &str, value: Value, is_held: bool) -> Result<String, ChangeError> {
    let document = policy_document(place, value)?;
    if is_held {
        document::check(&document, Kind::Managed)
            .map_err(|refusal| wrong(place, refusal.message))?;
        let size = document::size(&document);
        if size > MAX_CHARACTERS {
            let message = format!("{size} characters are more than {MAX_CHARACTERS}");
            return Err(wrong(place, message));
        }
    }
    Ok(document)
}

/// Number in a version id such as `v12`.
fn version_number(entry: &mut ImportObject, name: &str) -> Result<Option<u64>, ChangeError> {
    let Some(id) = entry.text(name)? else { return Ok(None) };
    let digits = id.strip_prefix('v').filter(|digits| !digits.starts_with(['0', '+']));
    // The numbers are stored as signed integers.
    let number =
        digits.and_then(|digits| digits.parse().ok()).filter(|n| i64::try_from(*n).is_ok());
    let message = || format!("`{id}` is not the id of a version, such as v1");
    Ok(Some(number.ok_or_else(|| wrong(&entry.at(name), message()))?))
}
