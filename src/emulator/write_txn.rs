//! Write transactions. A write sees and changes the current state. It also maintains the account's
//! counts, the paths that markers need and the earlier states that lagging reads still see. It runs
//! in one database transaction.

use rusqlite::{Connection, params};

use super::random::Random;
use super::read_txn::AccountRow;
use super::records::{self, Profile, Record, Role};

/// The account as a write sees and changes it.
#[derive(Debug)]
pub(super) struct WriteTxn<'a> {
    pub(super) connection: &'a Connection,
    pub(super) account: AccountRow,
    /// Time of the write, in milliseconds since 1970.
    pub(super) now: i64,
    /// Time until which lagging reads see the earlier state; `None` without a lag.
    pub(super) visible_from: Option<i64>,
    pub(super) random: &'a Random,
}

/// Kind of record with a count in the account's row and ids of its own.
pub(super) trait Counted: Record {
    const ID_PREFIX: &'static str;
    /// Count column of the account's row; none for a kind whose rows are few enough to count.
    const COUNT: Option<&'static str>;
}

impl Counted for Profile {
    const ID_PREFIX: &'static str = "AIPA";
    const COUNT: Option<&'static str> = Some("profiles");
}

impl Counted for Role {
    const ID_PREFIX: &'static str = "AROA";
    const COUNT: Option<&'static str> = Some("roles");
}

impl WriteTxn<'_> {
    /// Time in whole seconds since 1970.
    pub(super) fn seconds(&self) -> i64 {
        self.now.div_euclid(1000)
    }

    /// Record with a name, ignoring case.
    pub(super) fn find<R: Record>(&self, name: &str) -> rusqlite::Result<Option<R>> {
        records::find(self.connection, &records::key(name))
    }

    /// Unused id. Two processes with the same seed generate the same ids.
    pub(super) fn new_id<R: Counted>(&self) -> rusqlite::Result<String> {
        loop {
            let id = self.random.entity_id(R::ID_PREFIX);
            if !records::has_id::<R>(self.connection, &id)? {
                return Ok(id);
            }
        }
    }

    /// Inserts a record whose name is free.
    pub(super) fn insert<R: Counted>(&self, record: &R) -> rusqlite::Result<()> {
        self.keep_for_lagging_reads::<R>(record.name())?;
        records::remember_path(self.connection, record.path())?;
        record.store(self.connection)?;
        record.index(self.connection, true)?;
        self.count::<R>(1)
    }

    /// Replaces the record with the same path and name.
    pub(super) fn update<R: Record>(&self, record: &R) -> rusqlite::Result<()> {
        self.keep_for_lagging_reads::<R>(record.name())?;
        record.store(self.connection)?;
        record.index(self.connection, true)
    }

    /// Deletes an existing record.
    pub(super) fn delete<R: Counted>(&self, record: &R) -> rusqlite::Result<()> {
        self.keep_for_lagging_reads::<R>(record.name())?;
        records::delete::<R>(self.connection, &records::key(record.name()))?;
        record.index(self.connection, false)?;
        self.count::<R>(-1)
    }

    /// Check for a profile that contains the role.
    pub(super) fn is_in_a_profile(&self, role: &Role) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached("SELECT 1 FROM profile WHERE role = ?1")?
            .exists([records::key(&role.name)])
    }

    /// Empties the account, including the states that only lagging reads see. Sessions are kept, so
    /// that credentials of a deleted role are recognised. Paths are kept for the markers.
    pub(super) fn clear(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch(
            "DELETE FROM profile; DELETE FROM role; DELETE FROM policy; DELETE FROM past;
             DELETE FROM managed_policy; DELETE FROM attachment;
             DELETE FROM region; DELETE FROM resource;
             UPDATE account SET alias = NULL, profiles = 0, roles = 0;",
        )
    }

    fn count<R: Counted>(&self, change: i64) -> rusqlite::Result<()> {
        let Some(column) = R::COUNT else { return Ok(()) };
        let sql = format!("UPDATE account SET {column} = {column} + ?1");
        self.connection.prepare_cached(&sql)?.execute([change])?;
        Ok(())
    }

    fn keep_for_lagging_reads<R: Record>(&self, name: &str) -> rusqlite::Result<()> {
        let Some(until) = self.visible_from else { return Ok(()) };
        let key = records::key(name);
        let before: Option<R> = records::find(self.connection, &key)?;
        let before = before
            .map(|record| serde_json::to_string(&record))
            .transpose()
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        self.connection
            .prepare_cached("DELETE FROM past WHERE until <= ?1")?
            .execute([self.now])?;
        self.connection
            .prepare_cached("INSERT INTO past (kind, key, until, record) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![R::TABLE, key, until, before])?;
        Ok(())
    }
}
