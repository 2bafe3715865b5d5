//! Sections `regions` and `resources` of an account file.

use std::collections::BTreeMap;

use rusqlite::params;
use serde_json::{Map, Value, json};

use super::ChangeError;
use super::constraints;
use super::faults::closest;
use super::import::{ImportObject, check, kind_of, wrong};
use super::records::{self, Profile};
use super::regions::{self, STATUSES};
use super::resources::{self, Resource, ResourceKind, ResourceScope, number_of};
use super::synthetic::Synthetic;
use super::write_txn::WriteTxn;

/// State of the import of resources, until the whole file has been read.
#[derive(Debug, Default)]
pub(super) struct Resources {
    pub(super) count: u64,
    /// Number of the first resource in each region.
    regions: BTreeMap<String, u64>,
}

/// Reads the section `regions`.
pub(super) fn import_regions(
    edit: &WriteTxn<'_>,
    value: Value,
    adds: bool,
) -> Result<(), ChangeError> {
    let Value::Object(fields) = value else {
        return Err(wrong("regions", format!("must be an object, not {}", kind_of(&value))));
    };
    if adds {
        regions::write_defaults(edit.connection)?;
    }
    for (name, status) in fields {
        let place = format!("regions.{name}");
        check_region(&place, &name)?;
        let known = STATUSES.into_iter().find(|known| status == *known);
        let known = known.ok_or_else(|| {
            let shown = status
                .as_str()
                .map_or_else(|| kind_of(&status).to_owned(), |text| format!("`{text}`"));
            wrong(&place, format!("must be one of {}, not {shown}", STATUSES.join(", ")))
        })?;
        regions::set(edit.connection, &name, known)?;
    }
    Ok(())
}

fn check_region(place: &str, name: &str) -> Result<(), ChangeError> {
    let parts: Vec<_> = name.split('-').collect();
    let letters = |part: &&str| {
        !part.is_empty()
            && part.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    if parts.len() >= 3 && name.len() <= 32 && parts.iter().all(letters) {
        return Ok(());
    }
    Err(wrong(place, format!("`{name}` is not a region such as eu-central-1")))
}

impl Resources {
    /// Reads one entry of the section `resources`.
    pub(super) fn import(
        &mut self,
        edit: &WriteTxn<'_>,
        number: u64,
        value: Value,
        replaces: bool,
    ) -> Result<(), ChangeError> {
        let mut entry = ImportObject::new(format!("resources[{number}]"), value)?;
        let kind = kind(&mut entry)?;
        let region = entry.text("region")?;
        let region = region.ok_or_else(|| wrong(&entry.at("region"), "is missing"))?;
        check_region(&entry.at("region"), &region)?;
        self.regions.entry(region.clone()).or_insert(number);
        let created = entry.date("create_date")?.unwrap_or_else(|| edit.seconds());
        let mut resource = Resource { region, created, ..Resource::default() };
        let mut known = vec!["kind", "region", "create_date"];
        if let Some(key) = kind.row().state_key {
            resource.state = Some(state(&mut entry, kind, key)?);
            known.push(key);
        }
        let versions = (kind.row().describe)(&mut entry, &mut resource)?;
        known.extend(kind.row().fields);
        entry.finish(&known)?;
        let place = format!("resources[{number}]");
        complete(edit, kind, number, &place, &mut resource, replaces)?;
        resource.store(edit.connection, kind)?;
        if let Some(kind) = kind.row().versions {
            for mut version in versions {
                version.region.clone_from(&resource.region);
                version.parent.clone_from(&resource.key);
                version.created = resource.created;
                version.store(edit.connection, kind)?;
            }
        }
        self.count += 1;
        Ok(())
    }

    /// Checks that need the whole file: existence of the regions, and resolution of profile names.
    pub(super) fn finish(self, edit: &WriteTxn<'_>, account_id: &str) -> Result<u64, ChangeError> {
        let known = regions::all(edit.connection)?;
        let unknown = self
            .regions
            .iter()
            .filter(|(name, _)| !known.iter().any(|region| region.name == **name))
            .min_by_key(|(_, number)| **number);
        if let Some((name, number)) = unknown {
            let message = match closest(name, known.iter().map(|region| region.name.as_str())) {
                Some(resolve_profile) => {
                    format!("there is no region `{name}`; did you mean `{resolve_profile}`?")
                }
                None => format!("there is no region `{name}` among the regions"),
            };
            return Err(wrong(&format!("resources[{number}].region"), message));
        }
        if self.count > 0 {
            name_profiles(edit, account_id)?;
        }
        Ok(self.count)
    }
}

fn kind(entry: &mut ImportObject) -> Result<ResourceKind, ChangeError> {
    let place = entry.at("kind");
    let name = entry.text("kind")?.ok_or_else(|| wrong(&place, "is missing"))?;
    let known = ResourceKind::imported().find(|kind| kind.name() == name);
    known.ok_or_else(|| {
        let names: Vec<_> = ResourceKind::imported().map(ResourceKind::name).collect();
        let suggestion = match closest(&name, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("the kinds are {}", names.join(", ")),
        };
        wrong(&place, format!("there is no kind `{name}`; {suggestion}"))
    })
}

fn state(entry: &mut ImportObject, kind: ResourceKind, key: &str) -> Result<String, ChangeError> {
    let states = kind.states();
    let Some(state) = entry.text(key)? else { return Ok(states[0].to_owned()) };
    // RDS has about fifty states, and adds more.
    if states.len() > 1 && !states.contains(&state.as_str()) {
        let message = format!("must be one of {}, not `{state}`", states.join(", "));
        return Err(wrong(&entry.at(key), message));
    }
    Ok(state)
}

/// Reads name and profile of a kind whose name identifies it.
pub(super) fn named_with_profile(
    entry: &mut ImportObject,
    resource: &mut Resource,
) -> Result<Vec<Resource>, ChangeError> {
    resource.key = entry.required_text("name")?;
    resource.profile = entry.short_text("profile")?;
    Ok(Vec::new())
}

/// Reads id and profile of a kind whose id identifies it.
pub(super) fn with_id_and_profile(
    entry: &mut ImportObject,
    resource: &mut Resource,
) -> Result<Vec<Resource>, ChangeError> {
    id(entry, resource)?;
    resource.profile = entry.short_text("profile")?;
    Ok(Vec::new())
}

/// Reads the optional id.
pub(super) fn id(entry: &mut ImportObject, resource: &mut Resource) -> Result<(), ChangeError> {
    resource.key = entry.short_text("id")?.unwrap_or_default();
    Ok(())
}

/// Profile name or ARN, for fields that AWS resolves.
pub(super) fn exact_profile(entry: &mut ImportObject) -> Result<Option<String>, ChangeError> {
    let Some(profile) = entry.short_text("profile")? else { return Ok(None) };
    let place = entry.at("profile");
    if profile.starts_with("arn:") {
        if arn_parts(&profile).is_none() {
            return Err(wrong(&place, format!("`{profile}` is not an instance profile's ARN")));
        }
    } else {
        check(&place, &profile, &constraints::PROFILE_NAME)?;
    }
    Ok(Some(profile))
}

/// Account, path and name in an instance profile's ARN.
fn arn_parts(arn: &str) -> Option<(&str, &str, &str)> {
    let (account, resource) = arn.strip_prefix("arn:aws:iam::")?.split_once(':')?;
    let numbered = account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit());
    let path_and_name = resource.strip_prefix("instance-profile")?;
    let (path, name) = path_and_name.split_at(path_and_name.rfind('/')? + 1);
    (numbered && !name.is_empty()).then_some((account, path, name))
}

/// Generates a missing id, and refuses duplicates.
fn complete(
    edit: &WriteTxn<'_>,
    kind: ResourceKind,
    number: u64,
    place: &str,
    resource: &mut Resource,
    replaces: bool,
) -> Result<(), ChangeError> {
    let connection = edit.connection;
    let region = resource.region.clone();
    let same = |key: &str| {
        ResourceScope { kind, region: &region, parent: &resource.parent }.key_is_taken(edit, key)
    };
    let has_unique_names = kind.row().has_unique_names;
    let named = match &resource.name {
        Some(name) if has_unique_names => resources::named(connection, kind, &region, name)?,
        // Names of EMR clusters need not be unique; those of environments may be reused after
        // termination.
        Some(_) | None => Vec::new(),
    };
    if resource.key.is_empty() {
        let name = resource.name.clone().unwrap_or_default();
        let mut salt = if has_unique_names { 0 } else { number };
        resource.key = loop {
            let synthetic = Synthetic::of(&[kind.name(), &region, &name, &salt.to_string()]);
            let id = new_id(kind, synthetic);
            let is_own = named.iter().any(|known| known.key == id);
            if (is_own && replaces) || !same(&id)? {
                break id;
            }
            salt = salt.wrapping_add(1 << 32);
        };
    }
    let taken = ResourceScope { kind, region: &region, parent: &resource.parent }
        .key_is_taken(edit, &resource.key)?;
    let key_name =
        if resource.name.is_some() || kind.row().new_id.is_some() { "id" } else { "name" };
    if !replaces && taken {
        let message = format!("`{}` is there twice in {region}", resource.key);
        return Err(wrong(&format!("{place}.{key_name}"), message));
    }
    if !replaces && !named.is_empty() {
        let name = resource.name();
        let message = format!("`{name}` is there twice in {region}");
        return Err(wrong(&format!("{place}.name"), message));
    }
    let gone =
        named.iter().map(|known| known.key.clone()).chain(taken.then(|| resource.key.clone()));
    for key in gone {
        resources::delete(
            connection,
            ResourceScope { kind, region: &region, parent: &resource.parent },
            &key,
        )?;
    }
    Ok(())
}

impl ResourceScope<'_> {
    fn key_is_taken(self, edit: &WriteTxn<'_>, key: &str) -> rusqlite::Result<bool> {
        Ok(resources::find(edit.connection, self, key)?.is_some())
    }
}

/// Synthetic id in the format of the kind.
fn new_id(kind: ResourceKind, synthetic: Synthetic) -> String {
    match kind.row().new_id {
        Some(new_id) => new_id(synthetic),
        None => synthetic.hex(16),
    }
}

/// Resolves profile names to ARNs and ids where AWS does. Profiles of another account keep their
/// ARN and get an id.
fn name_profiles(edit: &WriteTxn<'_>, account_id: &str) -> Result<(), ChangeError> {
    let connection = edit.connection;
    let kinds = ResourceKind::imported().filter(|kind| kind.row().answers_arn);
    let kinds: Vec<_> = kinds.map(|kind| format!("'{}'", kind.name())).collect();
    let open = format!(
        "kind IN ({}) AND profile IS NOT NULL
             AND (profile_id IS NULL OR substr(profile, 1, 4) <> 'arn:')",
        kinds.join(", ")
    );
    connection.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS meant
             (said TEXT PRIMARY KEY, arn TEXT NOT NULL, id TEXT NOT NULL) WITHOUT ROWID;
         DELETE FROM meant;",
    )?;
    let mut statement =
        connection.prepare(&format!("SELECT DISTINCT profile FROM resource WHERE {open}"))?;
    let mut insert = connection.prepare("INSERT INTO meant (said, arn, id) VALUES (?1, ?2, ?3)")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let profile: String = row.get(0)?;
        let (arn, id) = resolve_profile(edit, account_id, &profile)?;
        insert.execute(params![profile, arn, id])?;
    }
    connection.execute_batch(&format!(
        "UPDATE resource SET profile = meant.arn, profile_id = coalesce(profile_id, meant.id)
         FROM meant WHERE profile = meant.said AND {open};
         DELETE FROM meant;"
    ))?;
    Ok(())
}

/// ARN and id of a profile; the id is synthetic if the profile does not exist.
fn resolve_profile(
    edit: &WriteTxn<'_>,
    account_id: &str,
    profile: &str,
) -> rusqlite::Result<(String, String)> {
    let parts = arn_parts(profile);
    let name = match parts {
        None => profile,
        Some((account, _, name)) if account == account_id => name,
        Some(_) => "",
    };
    let known: Option<Profile> = records::find(edit.connection, &records::key(name))?;
    let arn = match (&known, parts) {
        (_, Some(_)) => profile.to_owned(),
        (Some(known), None) => known.arn(account_id),
        (None, None) => format!("arn:aws:iam::{account_id}:instance-profile/{profile}"),
    };
    let known = known.filter(|known| known.arn(account_id) == arn);
    let id = known.map_or_else(
        || format!("AIPA{}", Synthetic::of(&["instance-profile", &arn]).capitals(17)),
        |known| known.id,
    );
    Ok((arn, id))
}

/// Resource in the form of an account file.
pub(super) fn exported(
    kind: ResourceKind,
    resource: &Resource,
    versions: &[Resource],
    create_date: String,
) -> Value {
    let mut entry = Map::new();
    let mut put = |name: &str, value: Value| {
        entry.insert(name.to_owned(), value);
    };
    put("kind", kind.name().into());
    put("region", resource.region.as_str().into());
    match &resource.name {
        Some(name) => {
            put("id", resource.key.as_str().into());
            put("name", name.as_str().into());
        }
        None if kind.row().new_id.is_some() => put("id", resource.key.as_str().into()),
        None => put("name", resource.key.as_str().into()),
    }
    if !resource.parent.is_empty() {
        put("cluster", resource.parent.as_str().into());
    }
    if let (Some(key), Some(state)) = (kind.row().state_key, &resource.state) {
        put(key, state.as_str().into());
    }
    put("create_date", create_date.into());
    for (name, value) in &resource.more {
        match (kind.row().versions, name.as_str()) {
            (Some(_), "latest") => {}
            (Some(_), "default") => put("default_version", value.clone()),
            _ => put(name, value.clone()),
        }
    }
    if let Some(profile) = &resource.profile {
        put("profile", profile.as_str().into());
    }
    if let Some(id) = resource.profile_id.as_deref().filter(|_| kind.row().shows_profile_id) {
        put("profile_id", id.into());
    }
    if kind.row().versions.is_some() {
        let version = |version: &Resource| {
            let mut entry = json!({"number": number_of(version)});
            if let Some(profile) = &version.profile {
                entry["profile"] = profile.as_str().into();
            }
            entry
        };
        put("versions", versions.iter().map(version).collect());
    }
    Value::Object(entry)
}
