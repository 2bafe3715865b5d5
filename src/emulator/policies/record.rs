//! Record of a customer managed policy, with its versions.

use rusqlite::{Connection, Row, named_params};
use serde::{Deserialize, Serialize};

use super::super::records::{Record, Tag, key};
use super::super::sequence::Sequence;
use super::super::write_txn::Counted;

/// Inline policy of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::emulator) struct InlinePolicy {
    pub(in crate::emulator) name: String,
    /// Document, as it was given.
    pub(in crate::emulator) document: String,
}

/// Version of a managed policy. Its number is its place in the sequence of versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::emulator) struct Version {
    /// Creation time, in seconds since 1970.
    pub(in crate::emulator) created: i64,
    /// Document, as it was given; `None` for a policy that an import only named by ARN.
    pub(in crate::emulator) document: Option<String>,
}

/// Customer managed policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::emulator) struct Policy {
    pub(in crate::emulator) name: String,
    pub(in crate::emulator) path: String,
    pub(in crate::emulator) id: String,
    /// Creation time, in seconds since 1970.
    pub(in crate::emulator) created: i64,
    /// Creation time of the newest version, in seconds since 1970.
    pub(in crate::emulator) updated: i64,
    pub(in crate::emulator) description: Option<String>,
    /// Number of the default version.
    pub(in crate::emulator) default_version: u64,
    pub(in crate::emulator) versions: Sequence<Version>,
    pub(in crate::emulator) tags: Sequence<Tag>,
}

impl Policy {
    pub(in crate::emulator) fn arn(&self, account_id: &str) -> String {
        format!("arn:aws:iam::{account_id}:policy{}{}", self.path, self.name)
    }

    /// Version with a number.
    pub(super) fn version(&self, number: u64) -> Option<&Version> {
        self.versions
            .after(number.checked_sub(1)?)
            .find_map(|(own, version)| (own == number).then_some(version))
    }
}

impl Record for Policy {
    const TABLE: &'static str = "managed_policy";
    const COLUMNS: &'static str =
        "name, path, id, created, updated, description, default_version, versions, tags";
    const LISTED_COLUMNS: &'static str =
        "name, path, id, created, updated, NULL, default_version, '', ''";

    fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn role(&self) -> Option<&str> {
        None
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            name: row.get(0)?,
            path: row.get(1)?,
            id: row.get(2)?,
            created: row.get(3)?,
            updated: row.get(4)?,
            description: row.get(5)?,
            default_version: row.get::<_, i64>(6)?.cast_unsigned(),
            versions: row.get(7)?,
            tags: row.get(8)?,
        })
    }

    fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(
            "INSERT OR REPLACE INTO managed_policy (path, key, name, id, created, updated,
                 description, default_version, versions, tags)
             VALUES (:path, :key, :name, :id, :created, :updated,
                 :description, :default_version, :versions, :tags)",
        )?;
        statement.execute(named_params! {
            ":path": self.path, ":key": key(&self.name), ":name": self.name, ":id": self.id,
            ":created": self.created, ":updated": self.updated,
            ":description": self.description,
            ":default_version": self.default_version.cast_signed(),
            ":versions": self.versions, ":tags": self.tags,
        })?;
        Ok(())
    }
}

impl Counted for Policy {
    const ID_PREFIX: &'static str = "ANPA";
    const COUNT: Option<&'static str> = None;
}
