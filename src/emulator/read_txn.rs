//! Read transactions. A read sees the current state. With a lag it sees the account as it was that
//! long ago, computed from the current state and the `past` table, so that lists and single records
//! are consistent.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, OptionalExtension, params};

use super::records::{self, Position, Record, RecordScope};

/// The account's row.
#[derive(Clone, Debug)]
pub(super) struct AccountRow {
    pub(super) id: String,
    /// Partition of its ARNs in requests and answers. Stored ARNs are in `aws`.
    pub(super) partition: String,
    pub(super) alias: Option<String>,
    pub(super) salt: u64,
    pub(super) profiles: i64,
    pub(super) roles: i64,
    pub(super) quotas: Quotas,
}

/// Quotas of the account, set by [`Emulator::set_quota`](super::Emulator::set_quota).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Instance profiles in the account; default 1,000.
    pub profiles: u32,
    /// Roles in the account; default 1,000.
    pub roles: u32,
    /// Managed policies attached to one role; default 10.
    pub policies_per_role: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { profiles: 1000, roles: 1000, policies_per_role: 10 }
    }
}

impl AccountRow {
    /// Prefix of the ARNs of the account's IAM resources.
    pub(super) fn iam_arn_start(&self) -> String {
        format!("arn:aws:iam::{}:", self.id)
    }

    /// ARN of the account itself, as used in trust policies.
    pub(super) fn root_arn(&self) -> String {
        format!("{}root", self.iam_arn_start())
    }

    /// ARN of a session of a role.
    pub(super) fn assumed_role_arn(&self, role: &str, session: &str) -> String {
        format!("arn:aws:sts::{}:assumed-role/{role}/{session}", self.id)
    }

    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached(
            "SELECT id, alias, salt, profiles, roles, profiles_quota, roles_quota,
                 policies_per_role_quota,
                 coalesce((SELECT value FROM setting WHERE name = 'partition'), 'aws')
             FROM account",
        )?;
        statement.query_row([], |row| {
            Ok(Self {
                id: row.get(0)?,
                alias: row.get(1)?,
                salt: row.get::<_, i64>(2)?.cast_unsigned(),
                profiles: row.get(3)?,
                roles: row.get(4)?,
                quotas: Quotas {
                    profiles: row.get(5)?,
                    roles: row.get(6)?,
                    policies_per_role: row.get(7)?,
                },
                partition: row.get(8)?,
            })
        })
    }
}

/// The account as a read sees it.
#[derive(Debug)]
pub(super) struct ReadTxn<'a> {
    pub(super) connection: &'a Connection,
    pub(super) account: AccountRow,
    /// Time of a lagging read, in milliseconds since 1970. Writes with a later `until` are not
    /// visible yet.
    pub(super) read_time: Option<i64>,
}

impl ReadTxn<'_> {
    /// Record with a name, ignoring case.
    pub(super) fn find<R: Record>(&self, name: &str) -> rusqlite::Result<Option<R>> {
        let key = records::key(name);
        if let Some(now) = self.read_time {
            let seen: Option<Option<String>> = self
                .connection
                .prepare_cached(
                    "SELECT record FROM past WHERE kind = ?1 AND key = ?2 AND until > ?3
                     ORDER BY number LIMIT 1",
                )?
                .query_row(params![R::TABLE, key, now], |row| row.get(0))
                .optional()?;
            if let Some(record) = seen {
                let record = record.map(|json| from_json(&json)).transpose()?;
                return record.map(|record| self.shown(record)).transpose();
            }
        }
        let record = records::find(self.connection, &key)?;
        record.map(|record| self.shown(record)).transpose()
    }

    fn shown<R: Record>(&self, mut record: R) -> rusqlite::Result<R> {
        record.show(self.connection, &self.account)?;
        Ok(record)
    }

    /// Up to `limit` records after a position in a list, sorted by path and key.
    pub(super) fn page<R: Record>(
        &self,
        scope: RecordScope<'_>,
        from: &Position,
        limit: usize,
    ) -> rusqlite::Result<Vec<R>> {
        let past = self.past::<R>()?;
        let mut page = Vec::new();
        if limit > 0 {
            records::scan(self.connection, scope, from, |record: R| {
                if past.is_empty() || !past.contains_key(&records::key(record.name())) {
                    page.push(record);
                }
                page.len() < limit
            })?;
        }
        if !past.is_empty() {
            let seen = past.into_values().flatten();
            page.extend(seen.filter(|record| scope.contains(record) && position(record) > *from));
            page.sort_by_cached_key(position);
            page.truncate(limit);
        }
        page.into_iter().map(|record| self.shown(record)).collect()
    }

    /// Number of records of a kind; `truth` is the number in the current state.
    pub(super) fn count<R: Record>(&self, truth: i64) -> rusqlite::Result<i64> {
        let mut count = truth;
        for (key, seen) in self.past::<R>()? {
            count += i64::from(seen.is_some());
            count -= i64::from(records::find::<R>(self.connection, &key)?.is_some());
        }
        Ok(count)
    }

    /// Records that this read sees in an earlier state, by key; `None` for a record that did not
    /// exist. Only the oldest state that is still visible counts.
    pub(super) fn past<R: Record>(&self) -> rusqlite::Result<HashMap<String, Option<R>>> {
        let mut past = HashMap::new();
        let Some(now) = self.read_time else { return Ok(past) };
        let mut statement = self.connection.prepare_cached(
            "SELECT key, record FROM past WHERE kind = ?1 AND until > ?2 ORDER BY number",
        )?;
        let mut rows = statement.query(params![R::TABLE, now])?;
        while let Some(row) = rows.next()? {
            if let Entry::Vacant(unseen) = past.entry(row.get(0)?) {
                let json: Option<String> = row.get(1)?;
                unseen.insert(json.map(|json| from_json(&json)).transpose()?);
            }
        }
        Ok(past)
    }
}

/// Position of a record in lists.
pub(super) fn position<R: Record>(record: &R) -> Position {
    Position { path: record.path().to_owned(), key: records::key(record.name()) }
}

fn from_json<R: Record>(json: &str) -> rusqlite::Result<R> {
    serde_json::from_str(json).map_err(|error| {
        let text = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(0, text, error.into())
    })
}
