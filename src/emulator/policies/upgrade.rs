//! Migration of account files of earlier versions. Roles get a column, policies known only by ARN
//! become records, and the index of policy usage is filled.

use rusqlite::{Connection, params};

use super::super::managed_policies;
use super::super::records::{self, Record, Role};
use super::super::sequence::Sequence;
use super::super::synthetic::Synthetic;
use super::record::{Policy, Version};
use super::usage;

const ADD_COLUMN: &str = "ALTER TABLE role ADD COLUMN inline_policies TEXT NOT NULL DEFAULT ''";
/// Migration of a read-only file: a temporary view that shadows the table for reads.
const ADD_COLUMN_FOR_READS: &str =
    "CREATE TEMP VIEW role AS SELECT *, '' AS inline_policies FROM main.role";

/// First file version with policies.
const VERSION: i64 = 3;

/// Fills the new tables of a file of an earlier version (0 for a new file).
pub(in crate::emulator) fn fill(version: i64, connection: &Connection) -> rusqlite::Result<()> {
    if version >= VERSION {
        return Ok(());
    }
    connection.execute_batch(ADD_COLUMN)?;
    copy(connection)
}

/// Fills temporary tables for reads of a file that cannot be written.
pub(in crate::emulator) fn fill_for_reads(
    version: i64,
    connection: &Connection,
) -> rusqlite::Result<()> {
    // A file of version 0 has no tables.
    if !(1..VERSION).contains(&version) {
        return Ok(());
    }
    connection.execute_batch(ADD_COLUMN_FOR_READS)?;
    copy(connection)
}

fn copy(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT arn FROM policy")?;
    let arns: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let account_id: Option<String> = {
        let mut statement = connection.prepare("SELECT id FROM account")?;
        let mut rows = statement.query([])?;
        rows.next()?.map(|row| row.get(0)).transpose()?
    };
    for arn in arns {
        let Some(policy) = managed_policies::split(&arn) else { continue };
        if Some(policy.owner) == account_id.as_deref() {
            let record = unknown(&arn, policy.path, policy.name, 0);
            // Duplicate names, which only files of earlier versions can have, are stored once.
            if records::find::<Policy>(connection, &records::key(policy.name))?.is_none() {
                record.store(connection)?;
            }
        }
    }
    let own = format!("arn:aws:iam::{}:%", account_id.unwrap_or_default());
    // In a read-only file the ARNs stay in place; nothing reads them there.
    if !connection.is_readonly("main")? {
        connection.execute("DELETE FROM policy WHERE arn LIKE ?1", params![own])?;
    }
    let sql =
        format!("SELECT {} FROM role WHERE policies <> '' OR boundary IS NOT NULL", Role::COLUMNS);
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        usage::index(connection, &Role::from_row(row)?, true)?;
    }
    Ok(())
}

/// Policy known only by ARN: it has one version, with an unknown document.
pub(in crate::emulator) fn unknown(arn: &str, path: &str, name: &str, created: i64) -> Policy {
    let mut versions = Sequence::default();
    versions.push(Version { created, document: None });
    Policy {
        name: name.to_owned(),
        path: path.to_owned(),
        id: id(arn),
        created,
        updated: created,
        description: None,
        default_version: 1,
        versions,
        tags: Sequence::default(),
    }
}

/// Generated id of a policy known only by ARN, the same one every time.
pub(in crate::emulator) fn id(arn: &str) -> String {
    format!("ANPA{}", Synthetic::of(&["policy", arn]).capitals(17))
}
