//! Resources that may reference an instance profile, and their rows: instances, launch templates
//! and other kinds. They are only created by an import; no call creates, changes or deletes one.

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use serde_json::{Map, Value};

use super::ChangeError;
use super::import::ImportObject;
use super::import_resources::named_with_profile;
use super::services::SERVICES;
use super::synthetic::Synthetic;

/// Kind of resource. The file of its service has its row.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResourceKind(&'static KindRow);

/// Row of a kind, in the file of its service.
#[derive(Debug)]
pub(super) struct KindRow {
    /// Name in account files and in the table.
    pub(super) name: &'static str,
    /// Possible states; the first is the default. There is only one if AWS has no closed list.
    pub(super) states: &'static [&'static str],
    /// Field name of AWS for the state.
    pub(super) state_key: Option<&'static str>,
    /// Synthetic id in the format of the kind; `None` if a name identifies the resource.
    pub(super) new_id: Option<fn(Synthetic) -> String>,
    /// Fields in an account file besides region and state.
    pub(super) fields: &'static [&'static str],
    /// Reads these fields; returns the versions of a launch template.
    pub(super) describe: fn(&mut ImportObject, &mut Resource) -> Result<Vec<Resource>, ChangeError>,
    /// Kind of its versions, whose `parent` is its id. Imports have them inside it.
    pub(super) versions: Option<ResourceKind>,
    /// True if names are unique in a region, although ids identify the resources.
    pub(super) has_unique_names: bool,
    /// True if AWS always returns the profile's ARN, in whatever form it was given.
    pub(super) answers_arn: bool,
    /// True if an account file has the id of the profile.
    pub(super) shows_profile_id: bool,
}

impl KindRow {
    /// Kind whose name identifies it, with a profile.
    pub(super) const NAMED: Self = Self {
        name: "",
        states: &[],
        state_key: None,
        new_id: None,
        fields: &["name", "profile"],
        describe: named_with_profile,
        versions: None,
        has_unique_names: false,
        answers_arn: false,
        shows_profile_id: true,
    };
}

impl ResourceKind {
    pub(super) const fn of(row: &'static KindRow) -> Self {
        Self(row)
    }

    pub(super) const fn row(self) -> &'static KindRow {
        self.0
    }

    /// Kinds that are entries of their own in an account file.
    pub(super) fn imported() -> impl Iterator<Item = Self> {
        SERVICES.iter().flat_map(|service| service.kinds).copied()
    }

    /// Name in account files and in the table.
    pub(super) const fn name(self) -> &'static str {
        self.0.name
    }

    /// Possible states; the first is the default.
    pub(super) const fn states(self) -> &'static [&'static str] {
        self.0.states
    }
}

/// A resource.
#[derive(Clone, Debug, Default)]
pub(super) struct Resource {
    pub(super) region: String,
    /// Cluster or launch template that it belongs to, for kinds that have one.
    pub(super) parent: String,
    /// Id or name, unique within kind, region and parent.
    pub(super) key: String,
    /// Name, for a kind whose key is an id.
    pub(super) name: Option<String>,
    pub(super) state: Option<String>,
    /// Creation time, in seconds since 1970.
    pub(super) created: i64,
    /// Instance profile, by name or ARN; after the import always the ARN if
    /// [`KindRow::answers_arn`].
    pub(super) profile: Option<String>,
    pub(super) profile_id: Option<String>,
    /// Fields specific to the kind.
    pub(super) more: Map<String, Value>,
}

const COLUMNS: &str = "region, parent, key, name, state, created, profile, profile_id, more";

impl Resource {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            region: row.get(0)?,
            parent: row.get(1)?,
            key: row.get(2)?,
            name: row.get(3)?,
            state: row.get(4)?,
            created: row.get(5)?,
            profile: row.get(6)?,
            profile_id: row.get(7)?,
            more: more(row.get_ref(8)?.as_str()?)?,
        })
    }

    /// String field specific to the kind.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.more.get(name).and_then(Value::as_str)
    }

    /// State, for a kind that has states.
    pub(super) fn state(&self) -> &str {
        self.state.as_deref().unwrap_or_default()
    }

    /// Name, or the key if there is none.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.key)
    }

    /// Writes the row; replaces one with the same key.
    pub(super) fn store(
        &self,
        connection: &Connection,
        kind: ResourceKind,
    ) -> rusqlite::Result<()> {
        let more = if self.more.is_empty() {
            String::new()
        } else {
            serde_json::to_string(&self.more)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?
        };
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO resource
                 (kind, region, parent, key, name, state, created, profile, profile_id, more)
             VALUES (:kind, :region, :parent, :key, :name, :state, :created, :profile,
                 :profile_id, :more)",
        )?;
        statement.execute(named_params! {
            ":kind": kind.name(), ":region": self.region, ":parent": self.parent,
            ":key": self.key, ":name": self.name, ":state": self.state,
            ":created": self.created, ":profile": self.profile,
            ":profile_id": self.profile_id, ":more": more,
        })?;
        Ok(())
    }
}

fn more(json: &str) -> rusqlite::Result<Map<String, Value>> {
    if json.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(json).map_err(|error| {
        let text = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(8, text, error.into())
    })
}

/// Version number as a key. The keys sort in the order of the numbers.
pub(super) fn version_key(number: i64) -> String {
    format!("{number:019}")
}

/// Number of a version.
pub(super) fn number_of(version: &Resource) -> i64 {
    version.key.parse().unwrap_or_default()
}

/// Scope of a list of resources.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResourceScope<'a> {
    pub(super) kind: ResourceKind,
    pub(super) region: &'a str,
    pub(super) parent: &'a str,
}

/// Resource with a key.
pub(super) fn find(
    connection: &Connection,
    place: ResourceScope<'_>,
    key: &str,
) -> rusqlite::Result<Option<Resource>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM resource
         WHERE kind = ?1 AND region = ?2 AND parent = ?3 AND key = ?4"
    );
    let keys = params![place.kind.name(), place.region, place.parent, key];
    connection.prepare_cached(&sql)?.query_row(keys, Resource::from_row).optional()
}

/// Resources with a name.
pub(super) fn named(
    connection: &Connection,
    kind: ResourceKind,
    region: &str,
    name: &str,
) -> rusqlite::Result<Vec<Resource>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM resource INDEXED BY resource_name
         WHERE kind = ?1 AND region = ?2 AND name = ?3 ORDER BY parent, key"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![kind.name(), region, name], Resource::from_row)?;
    rows.collect()
}

/// Visits the resources after a key, in key order, until `each` returns false.
pub(super) fn scan(
    connection: &Connection,
    place: ResourceScope<'_>,
    after: &str,
    mut each: impl FnMut(Resource) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&scan_sql())?;
    let keys = params![place.kind.name(), place.region, place.parent, after];
    let mut rows = statement.query(keys)?;
    while let Some(row) = rows.next()? {
        if !each(Resource::from_row(row)?)? {
            break;
        }
    }
    Ok(())
}

fn scan_sql() -> String {
    format!(
        "SELECT {COLUMNS} FROM resource
         WHERE kind = ?1 AND region = ?2 AND parent = ?3 AND key > ?4 ORDER BY key"
    )
}

/// Parents of the resources of a kind, after a given one. Each takes one seek.
pub(super) fn parents(
    connection: &Connection,
    kind: ResourceKind,
    region: &str,
    after: &str,
    limit: usize,
) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(PARENT_SQL)?;
    let mut parents: Vec<String> = Vec::new();
    while parents.len() < limit {
        let after = parents.last().map_or(after, String::as_str);
        let next = statement
            .query_row(params![kind.name(), region, after], |row| row.get(0))
            .optional()?;
        let Some(next) = next else { break };
        parents.push(next);
    }
    Ok(parents)
}

const PARENT_SQL: &str = "SELECT parent FROM resource
     WHERE kind = ?1 AND region = ?2 AND parent > ?3 ORDER BY parent LIMIT 1";

/// Check for an empty scope.
pub(super) fn is_empty(
    connection: &Connection,
    place: ResourceScope<'_>,
) -> rusqlite::Result<bool> {
    let mut empty = true;
    scan(connection, place, "", |_| {
        empty = false;
        Ok(false)
    })?;
    Ok(empty)
}

/// Visits all resources of a kind, in the order of region, parent and key, until `each` returns
/// false.
pub(super) fn all(
    connection: &Connection,
    kind: ResourceKind,
    mut each: impl FnMut(Resource) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let sql =
        format!("SELECT {COLUMNS} FROM resource WHERE kind = ?1 ORDER BY region, parent, key");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([kind.name()])?;
    while let Some(row) = rows.next()? {
        if !each(Resource::from_row(row)?)? {
            break;
        }
    }
    Ok(())
}

/// Deletes a resource and its children.
pub(super) fn delete(
    connection: &Connection,
    place: ResourceScope<'_>,
    key: &str,
) -> rusqlite::Result<()> {
    let ResourceScope { kind, region, parent } = place;
    connection
        .prepare_cached(
            "DELETE FROM resource WHERE kind = ?1 AND region = ?2 AND parent = ?3 AND key = ?4",
        )?
        .execute(params![kind.name(), region, parent, key])?;
    if let Some(versions) = kind.row().versions {
        connection
            .prepare_cached("DELETE FROM resource WHERE kind = ?1 AND region = ?2 AND parent = ?3")?
            .execute(params![versions.name(), region, key])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{PARENT_SQL, scan_sql};

    #[test]
    fn a_page_is_a_seek_and_never_a_scan_or_a_sort() {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(include_str!("schema_2.sql")).expect("it is SQL");
        for sql in [scan_sql(), PARENT_SQL.to_owned()] {
            let mut statement =
                connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("it is SQL");
            let none = vec!["x"; statement.parameter_count()];
            let steps: Vec<String> = statement
                .query_map(rusqlite::params_from_iter(none), |row| row.get(3))
                .and_then(Iterator::collect)
                .expect("a plan");
            assert!(
                steps.len() == 1 && steps[0].starts_with("SEARCH") && steps[0].contains('>'),
                "{sql}: {steps:?}"
            );
        }
    }
}
