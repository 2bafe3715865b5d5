//! Sections `regions` and `resources` of an account file.

use std::collections::BTreeMap;

use rusqlite::params;
use serde_json::{Map, Value, json};

use super::ChangeError;
use super::constraints;
use super::faults::closest;
use super::import::{Entry, check, kind_of, wrong};
use super::records::{self, Profile};
use super::regions::{self, STATUSES};
use super::resources::{self, Kind, Resource, ResourceScope, number_of, version_key};
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
        let mut entry = Entry::new(format!("resources[{number}]"), value)?;
        let kind = kind(&mut entry)?;
        let region = entry.text("region")?;
        let region = region.ok_or_else(|| wrong(&entry.at("region"), "is missing"))?;
        check_region(&entry.at("region"), &region)?;
        self.regions.entry(region.clone()).or_insert(number);
        let created = entry.date("create_date")?.unwrap_or_else(|| edit.seconds());
        let mut resource = Resource { region, created, ..Resource::default() };
        let mut known = vec!["kind", "region", "create_date"];
        let state_key = state_key(kind);
        if let Some(key) = state_key {
            resource.state = Some(state(&mut entry, kind, key)?);
            known.push(key);
        }
        let versions = describe(&mut entry, kind, &mut resource, &mut known)?;
        entry.finish(&known)?;
        let place = format!("resources[{number}]");
        complete(edit, kind, number, &place, &mut resource, replaces)?;
        resource.store(edit.connection, kind)?;
        for mut version in versions {
            version.region.clone_from(&resource.region);
            version.parent.clone_from(&resource.key);
            version.created = resource.created;
            version.store(edit.connection, Kind::LaunchTemplateVersion)?;
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

fn kind(entry: &mut Entry) -> Result<Kind, ChangeError> {
    let place = entry.at("kind");
    let name = entry.text("kind")?.ok_or_else(|| wrong(&place, "is missing"))?;
    let known = Kind::IMPORTED.into_iter().find(|kind| kind.name() == name);
    known.ok_or_else(|| {
        let names = Kind::IMPORTED.map(Kind::name);
        let resolve_profile = match closest(&name, names) {
            Some(resolve_profile) => format!("did you mean `{resolve_profile}`?"),
            None => format!("the kinds are {}", names.join(", ")),
        };
        wrong(&place, format!("there is no kind `{name}`; {resolve_profile}"))
    })
}

/// Field name of AWS for the state of a kind.
pub(super) const fn state_key(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Instance
        | Kind::Association
        | Kind::SpotFleet
        | Kind::SpotRequest
        | Kind::EmrCluster => Some("state"),
        Kind::ComputeEnvironment
        | Kind::CapacityProvider
        | Kind::BeanstalkEnvironment
        | Kind::NodeGroup
        | Kind::DbInstance => Some("status"),
        Kind::LaunchTemplate
        | Kind::LaunchTemplateVersion
        | Kind::LaunchConfiguration
        | Kind::InfrastructureConfiguration => None,
    }
}

fn state(entry: &mut Entry, kind: Kind, key: &str) -> Result<String, ChangeError> {
    let states = kind.states();
    let Some(state) = entry.text(key)? else { return Ok(states[0].to_owned()) };
    // RDS has about fifty states, and adds more.
    if states.len() > 1 && !states.contains(&state.as_str()) {
        let message = format!("must be one of {}, not `{state}`", states.join(", "));
        return Err(wrong(&entry.at(key), message));
    }
    Ok(state)
}

/// Reads the fields specific to the kind; returns the versions of a launch template.
fn describe(
    entry: &mut Entry,
    kind: Kind,
    resource: &mut Resource,
    known: &mut Vec<&'static str>,
) -> Result<Vec<Resource>, ChangeError> {
    let mut versions = Vec::new();
    match kind {
        Kind::Instance => {
            known.extend(["id", "profile", "profile_id"]);
            id(entry, resource)?;
            resource.profile = exact_profile(entry)?;
            resource.profile_id = entry.held_to("profile_id", &constraints::ID)?;
        }
        Kind::Association => {
            known.extend(["id", "instance_id", "profile", "profile_id"]);
            id(entry, resource)?;
            let instance = entry.short_text("instance_id")?;
            if let Some(instance) = instance {
                resource.more.insert("instance_id".to_owned(), instance.into());
            }
            resource.profile = exact_profile(entry)?;
            resource.profile_id = entry.held_to("profile_id", &constraints::ID)?;
            if resource.profile.is_none() {
                return Err(wrong(&entry.at("profile"), "is missing"));
            }
        }
        Kind::LaunchTemplate | Kind::LaunchTemplateVersion => {
            known.extend(["id", "name", "versions", "default_version"]);
            id(entry, resource)?;
            resource.name = Some(entry.required_text("name")?);
            versions = self::versions(entry)?;
            let numbers: Vec<_> = versions.iter().map(number_of).collect();
            let latest = numbers.iter().max().copied().unwrap_or(1);
            let default = entry.number("default_version")?.unwrap_or(numbers[0]);
            if !numbers.contains(&default) {
                let message = format!("there is no version {default} among the versions");
                return Err(wrong(&entry.at("default_version"), message));
            }
            resource.more.insert("latest".to_owned(), latest.into());
            resource.more.insert("default".to_owned(), default.into());
        }
        Kind::SpotFleet => {
            known.extend(["id", "profiles"]);
            id(entry, resource)?;
            let profiles = entry.texts("profiles")?;
            resource.more.insert("profiles".to_owned(), json!(profiles));
        }
        Kind::SpotRequest | Kind::DbInstance => {
            known.extend(["id", "profile"]);
            id(entry, resource)?;
            resource.profile = entry.short_text("profile")?;
        }
        Kind::LaunchConfiguration
        | Kind::ComputeEnvironment
        | Kind::InfrastructureConfiguration => {
            known.extend(["name", "profile"]);
            resource.key = entry.required_text("name")?;
            resource.profile = entry.short_text("profile")?;
        }
        Kind::CapacityProvider => {
            known.extend(["name", "cluster", "profile"]);
            resource.key = entry.required_text("name")?;
            resource.parent = entry.required_text("cluster")?;
            resource.profile = exact_profile(entry)?;
        }
        Kind::EmrCluster => {
            known.extend(["id", "name", "profile"]);
            id(entry, resource)?;
            resource.name = Some(entry.required_text("name")?);
            resource.profile = entry.short_text("profile")?;
        }
        Kind::BeanstalkEnvironment => {
            known.extend(["id", "name", "application", "profile"]);
            id(entry, resource)?;
            let name = entry.required_text("name")?;
            let application = entry.short_text("application")?.unwrap_or_else(|| name.clone());
            resource.more.insert("application".to_owned(), application.into());
            resource.name = Some(name);
            resource.profile = entry.short_text("profile")?;
        }
        Kind::NodeGroup => {
            known.extend(["name", "cluster", "role", "launch_template"]);
            resource.key = entry.required_text("name")?;
            resource.parent = entry.required_text("cluster")?;
            let role = entry.required_text("role")?;
            resource.more.insert("role".to_owned(), role.into());
            if let Some(template) = entry.short_text("launch_template")? {
                resource.more.insert("launch_template".to_owned(), template.into());
            }
        }
    }
    Ok(versions)
}

fn id(entry: &mut Entry, resource: &mut Resource) -> Result<(), ChangeError> {
    resource.key = entry.short_text("id")?.unwrap_or_default();
    Ok(())
}

/// Profile name or ARN, for fields that AWS resolves.
fn exact_profile(entry: &mut Entry) -> Result<Option<String>, ChangeError> {
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

fn versions(entry: &mut Entry) -> Result<Vec<Resource>, ChangeError> {
    let place = entry.at("versions");
    let entries = match entry.take("versions") {
        None => vec![json!({})],
        Some(Value::Array(entries)) if !entries.is_empty() => entries,
        Some(Value::Array(_)) => return Err(wrong(&place, "must have one entry at least")),
        Some(other) => {
            return Err(wrong(&place, format!("must be a list, not {}", kind_of(&other))));
        }
    };
    let mut versions: Vec<Resource> = Vec::new();
    for (index, value) in entries.into_iter().enumerate() {
        let mut entry = Entry::new(format!("{place}[{index}]"), value)?;
        let last = versions.last().map_or(0, number_of);
        let number = entry.number("number")?.unwrap_or(last + 1);
        if number <= last {
            let message = format!("must be more than {last}: numbers only grow");
            return Err(wrong(&entry.at("number"), message));
        }
        let profile = entry.short_text("profile")?;
        entry.finish(&["number", "profile"])?;
        versions.push(Resource { key: version_key(number), profile, ..Resource::default() });
    }
    Ok(versions)
}

/// Generates a missing id, and refuses duplicates.
fn complete(
    edit: &WriteTxn<'_>,
    kind: Kind,
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
    let named = match (kind, &resource.name) {
        // Names of EMR clusters need not be unique; those of environments may be reused after
        // termination.
        (Kind::LaunchTemplate, Some(name)) => resources::named(connection, kind, &region, name)?,
        _ => Vec::new(),
    };
    if resource.key.is_empty() {
        let name = resource.name.clone().unwrap_or_default();
        let mut salt = if kind == Kind::LaunchTemplate { 0 } else { number };
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
    let key_name = if resource.name.is_some() || has_id(kind) { "id" } else { "name" };
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

const fn has_id(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::LaunchConfiguration
            | Kind::ComputeEnvironment
            | Kind::CapacityProvider
            | Kind::InfrastructureConfiguration
            | Kind::NodeGroup
    )
}

/// Synthetic id in the format of the kind.
fn new_id(kind: Kind, synthetic: Synthetic) -> String {
    match kind {
        Kind::Instance => format!("i-0{}", synthetic.hex(16)),
        Kind::Association => format!("iip-assoc-0{}", synthetic.hex(16)),
        Kind::LaunchTemplate => format!("lt-0{}", synthetic.hex(16)),
        Kind::SpotFleet => format!("sfr-{}", synthetic.uuid()),
        Kind::SpotRequest => format!("sir-{}", synthetic.hex(8)),
        Kind::EmrCluster => format!("j-{}", synthetic.capitals(13)),
        Kind::BeanstalkEnvironment => format!("e-{}", synthetic.capitals(10).to_lowercase()),
        Kind::DbInstance => format!("db-{}", synthetic.hex(12)),
        _ => synthetic.hex(16),
    }
}

/// Resolves profile names to ARNs and ids where AWS does. Profiles of another account keep their
/// ARN and get an id.
fn name_profiles(edit: &WriteTxn<'_>, account_id: &str) -> Result<(), ChangeError> {
    let connection = edit.connection;
    let kinds = Kind::IMPORTED.into_iter().filter(|kind| kind.answers_arn());
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
    kind: Kind,
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
        None if has_id(kind) => put("id", resource.key.as_str().into()),
        None => put("name", resource.key.as_str().into()),
    }
    if !resource.parent.is_empty() {
        put("cluster", resource.parent.as_str().into());
    }
    if let (Some(key), Some(state)) = (state_key(kind), &resource.state) {
        put(key, state.as_str().into());
    }
    put("create_date", create_date.into());
    for (name, value) in &resource.more {
        match (kind, name.as_str()) {
            (Kind::LaunchTemplate, "latest") => {}
            (Kind::LaunchTemplate, "default") => put("default_version", value.clone()),
            _ => put(name, value.clone()),
        }
    }
    if let Some(profile) = &resource.profile {
        put("profile", profile.as_str().into());
    }
    if let Some(id) = resource.profile_id.as_deref().filter(|_| kind != Kind::CapacityProvider) {
        put("profile_id", id.into());
    }
    if kind == Kind::LaunchTemplate {
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
