//! The upgrade of account files of earlier versions: the roles get a column, the policies of which
//! only the ARN is known become records, and the index of their users is filled.

use rusqlite::{Connection, params};

use super::super::managed_policies;
use super::super::records::{self, Record, Role};
use super::super::sequence::Sequence;
use super::super::synthetic::MadeUp;
use super::record::{Policy, Version};
use super::usage;

const ADD_COLUMN: &str = "ALTER TABLE role ADD COLUMN inline_policies TEXT NOT NULL DEFAULT ''";
/// For a file that cannot be written: reads find this in the place of the table.
const ADD_COLUMN_FOR_READS: &str =
    "CREATE TEMP VIEW role AS SELECT *, '' AS inline_policies FROM main.role";

/// The version of the file that has policies.
const VERSION: i64 = 3;

/// Fills a file that was of that version (0 for a new one) and now has all tables.
pub(in crate::emulator) fn fill(version: i64, connection: &Connection) -> rusqlite::Result<()> {
    if version >= VERSION {
        return Ok(());
    }
    connection.execute_batch(ADD_COLUMN)?;
    copy(connection)
}

/// The same beside a file that cannot be written, in temporary tables.
pub(in crate::emulator) fn fill_for_reads(
    version: i64,
    connection: &Connection,
) -> rusqlite::Result<()> {
    // A file of version 0 has no tables at all.
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
            // A name that is there twice, which only files of earlier versions can have, is kept
            // once.
            if records::find::<Policy>(connection, &records::key(policy.name))?.is_none() {
                record.store(connection)?;
            }
        }
    }
    let own = format!("arn:aws:iam::{}:%", account_id.unwrap_or_default());
    // In a file that cannot be written the ARNs stay where they are; nothing reads them there.
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

/// A policy of which only the ARN is known: it has one version, with a document that nobody said.
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

/// An id for a policy of which none was said, the same one every time.
pub(in crate::emulator) fn id(arn: &str) -> String {
    format!("ANPA{}", MadeUp::of(&["policy", arn]).capitals(17))
}
