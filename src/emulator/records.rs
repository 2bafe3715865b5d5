//! Records and their rows: instance profiles and roles. This module reads and writes the current
//! state. `read_txn.rs` implements lagging reads, `write_txn.rs` the rules of writes.

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::clock::iso8601;
use super::policies::record::InlinePolicy;
use super::policies::usage;
use super::read_txn::AccountRow;
use super::sequence::Sequence;
use super::trust::stored;

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: String,
}

/// An instance profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) id: String,
    /// Creation time, in seconds since 1970.
    pub(super) created: i64,
    /// [`key`] of the role.
    pub(super) role: Option<String>,
    pub(super) tags: Sequence<Tag>,
}

/// A role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) id: String,
    /// Creation time, in seconds since 1970.
    pub(super) created: i64,
    /// Trust policy, in the form of [`stored`].
    pub(super) trust: String,
    pub(super) description: Option<String>,
    /// Maximum session duration, in seconds.
    pub(super) max_session: i64,
    pub(super) boundary: Option<String>,
    pub(super) last_used: Option<LastUsed>,
    /// ARNs of the attached policies.
    pub(super) policies: Sequence<String>,
    #[serde(default)]
    pub(super) inline: Sequence<InlinePolicy>,
    pub(super) tags: Sequence<Tag>,
}

/// Time and region of the last use of a role's credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastUsed {
    /// Seconds since 1970.
    pub(super) at: i64,
    pub(super) region: String,
}

impl Profile {
    pub(super) fn arn(&self, account_id: &str) -> String {
        format!("arn:aws:iam::{account_id}:instance-profile{}{}", self.path, self.name)
    }

    pub(super) fn create_date(&self) -> String {
        iso8601(self.created)
    }
}

impl Role {
    pub(super) fn arn(&self, account_id: &str) -> String {
        format!("arn:aws:iam::{account_id}:role{}{}", self.path, self.name)
    }

    pub(super) fn create_date(&self) -> String {
        iso8601(self.created)
    }
}

/// Key of a name. Names are unique and looked up ignoring case, so all spellings have the same key.
pub(super) fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Kind of record with a table of its own, sorted by path and key.
pub(super) trait Record: Clone + Serialize + DeserializeOwned {
    const TABLE: &'static str;
    /// Columns that [`Record::from_row`] reads.
    const COLUMNS: &'static str;
    /// Columns for lists, with empty values for fields that no list shows.
    const LISTED_COLUMNS: &'static str;

    fn name(&self) -> &str;
    fn path(&self) -> &str;
    /// Key of the role, for a kind that has one.
    fn role(&self) -> Option<&str>;
    /// Updates indexes after the record was stored or deleted.
    fn index(&self, _: &Connection, _is_there: bool) -> rusqlite::Result<()> {
        Ok(())
    }
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self>;
    /// Writes the row; replaces one with the same path and key.
    fn store(&self, connection: &Connection) -> rusqlite::Result<()>;

    /// Replaces stored values by those that reads show.
    ///
    /// # Errors
    /// Those of the file.
    fn show(&mut self, _: &Connection, _: &AccountRow) -> rusqlite::Result<()> {
        Ok(())
    }
}

impl Record for Profile {
    const TABLE: &'static str = "profile";
    const COLUMNS: &'static str = "name, path, id, created, role, tags";
    const LISTED_COLUMNS: &'static str = "name, path, id, created, role, ''";

    fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: row.get(0)?,
            path: row.get(1)?,
            id: row.get(2)?,
            created: row.get(3)?,
            role: row.get(4)?,
            tags: row.get(5)?,
        })
    }

    fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO profile (path, key, name, id, created, role, tags)
             VALUES (:path, :key, :name, :id, :created, :role, :tags)",
        )?;
        statement.execute(named_params! {
            ":path": self.path, ":key": key(&self.name), ":name": self.name, ":id": self.id,
            ":created": self.created, ":role": self.role, ":tags": self.tags,
        })?;
        Ok(())
    }
}

impl Record for Role {
    const TABLE: &'static str = "role";
    const COLUMNS: &'static str = "name, path, id, created, trust, description, max_session, \
                                   boundary, last_used, last_used_region, policies, tags, \
                                   inline_policies";
    const LISTED_COLUMNS: &'static str = "name, path, id, created, trust, description, \
                                          max_session, NULL, NULL, NULL, '', '', ''";

    fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn role(&self) -> Option<&str> {
        None
    }

    fn index(&self, connection: &Connection, is_there: bool) -> rusqlite::Result<()> {
        usage::index(connection, self, is_there)
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let used: Option<i64> = row.get(8)?;
        let region: Option<String> = row.get(9)?;
        Ok(Self {
            name: row.get(0)?,
            path: row.get(1)?,
            id: row.get(2)?,
            created: row.get(3)?,
            trust: row.get(4)?,
            description: row.get(5)?,
            max_session: row.get(6)?,
            boundary: row.get(7)?,
            last_used: used.map(|at| LastUsed { at, region: region.unwrap_or_default() }),
            policies: row.get(10)?,
            inline: row.get(12)?,
            tags: row.get(11)?,
        })
    }

    fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO role (path, key, name, id, created, trust, description,
                 max_session, boundary, last_used, last_used_region, policies, tags,
                 inline_policies)
             VALUES (:path, :key, :name, :id, :created, :trust, :description,
                 :max_session, :boundary, :last_used, :last_used_region, :policies, :tags,
                 :inline)",
        )?;
        statement.execute(named_params! {
            ":path": self.path, ":key": key(&self.name), ":name": self.name, ":id": self.id,
            ":created": self.created, ":trust": self.trust, ":description": self.description,
            ":max_session": self.max_session, ":boundary": self.boundary,
            ":last_used": self.last_used.as_ref().map(|used| used.at),
            ":last_used_region": self.last_used.as_ref().map(|used| &used.region),
            ":policies": self.policies, ":tags": self.tags, ":inline": self.inline,
        })?;
        Ok(())
    }

    fn show(&mut self, connection: &Connection, account: &AccountRow) -> rusqlite::Result<()> {
        self.trust = stored::shown(connection, account, &self.trust)?;
        Ok(())
    }
}

/// Scope of a list.
#[derive(Clone, Copy, Debug)]
pub(super) enum RecordScope<'a> {
    /// Records whose path has this prefix.
    Prefix(&'a str),
    /// Profiles that contain the role with this key.
    Role(&'a str),
}

impl RecordScope<'_> {
    pub(super) fn contains(&self, record: &impl Record) -> bool {
        match self {
            Self::Prefix(prefix) => record.path().starts_with(prefix),
            Self::Role(key) => record.role() == Some(key),
        }
    }
}

/// Position in a list: after the record with this path and key, which need not exist any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) path: String,
    pub(super) key: String,
}

/// Record with a key.
pub(super) fn find<R: Record>(connection: &Connection, key: &str) -> rusqlite::Result<Option<R>> {
    let sql = format!("SELECT {} FROM {} WHERE key = ?1", R::COLUMNS, R::TABLE);
    connection.prepare_cached(&sql)?.query_row([key], R::from_row).optional()
}

/// Check for a record with an id.
pub(super) fn has_id<R: Record>(connection: &Connection, id: &str) -> rusqlite::Result<bool> {
    let sql = format!("SELECT 1 FROM {} WHERE id = ?1", R::TABLE);
    connection.prepare_cached(&sql)?.exists([id])
}

/// Visits a list from a position on, sorted by path and key, until `visit` returns false. The start
/// is a seek in the table's own order, so that all pages take the same time.
pub(super) fn scan<R: Record>(
    connection: &Connection,
    scope: RecordScope<'_>,
    from: &Position,
    mut visit: impl FnMut(R) -> bool,
) -> rusqlite::Result<()> {
    let (condition, bound) = match scope {
        // Nothing sorts before the empty key, and no path contains a greater character than the
        // last code point.
        RecordScope::Prefix(prefix) => ("path < ?3", format!("{prefix}\u{10ffff}")),
        RecordScope::Role(key) => ("role = ?3", key.to_owned()),
    };
    let start = match scope {
        RecordScope::Prefix(prefix) if from.path.as_str() < prefix => prefix,
        _ => from.path.as_str(),
    };
    let sql = format!(
        "SELECT {} FROM {} WHERE (path, key) > (?1, ?2) AND {condition} ORDER BY path, key",
        R::LISTED_COLUMNS,
        R::TABLE
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query((start, &from.key, bound))?;
    while let Some(row) = rows.next()? {
        if !visit(R::from_row(row)?) {
            break;
        }
    }
    Ok(())
}

/// Deletes the record with a key.
pub(super) fn delete<R: Record>(connection: &Connection, key: &str) -> rusqlite::Result<()> {
    let sql = format!("DELETE FROM {} WHERE key = ?1", R::TABLE);
    connection.prepare_cached(&sql)?.execute([key])?;
    Ok(())
}

/// Number of a path, which markers store. Paths are never deleted, so that a marker outlives the
/// last record of its path.
pub(super) fn path_number(connection: &Connection, path: &str) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = connection
        .prepare_cached("SELECT id FROM path WHERE path = ?1")?
        .query_row([path], |row| row.get(0))
        .optional()?;
    Ok(number.map(i64::cast_unsigned))
}

/// Path with a number.
pub(super) fn numbered_path(
    connection: &Connection,
    number: u64,
) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT path FROM path WHERE id = ?1")?
        .query_row([number.cast_signed()], |row| row.get(0))
        .optional()
}

/// Stores a path.
pub(super) fn remember_path(connection: &Connection, path: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT OR IGNORE INTO path (path) VALUES (?1)")?.execute([path])?;
    Ok(())
}
