//! Regions of the account and their opt-in status. Unless an import says otherwise, they are AWS's
//! own, and regions that require opt-in are not enabled.

use rusqlite::{Connection, OptionalExtension, params};

/// Opt-in statuses, in EC2's terms; the first two are enabled.
pub(super) const STATUSES: [&str; 3] = ["opt-in-not-required", "opted-in", "not-opted-in"];

/// Regions that every account has.
const ALWAYS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// Regions that require opt-in.
const ON_DEMAND: [&str; 17] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-south-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-west-1",
    "eu-central-2",
    "eu-south-1",
    "eu-south-2",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
];

/// Region and its opt-in status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) name: String,
    pub(super) status: String,
}

impl Region {
    pub(super) fn is_enabled(&self) -> bool {
        self.status != STATUSES[2]
    }
}

fn by_default() -> impl Iterator<Item = (&'static str, &'static str)> {
    let always = ALWAYS.into_iter().map(|name| (name, STATUSES[0]));
    always.chain(ON_DEMAND.into_iter().map(|name| (name, STATUSES[2])))
}

/// All regions, by name.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Region>> {
    let mut regions = stored(connection)?;
    if regions.is_empty() {
        regions.extend(
            by_default()
                .map(|(name, status)| Region { name: name.to_owned(), status: status.to_owned() }),
        );
        regions.sort_by(|one, other| one.name.cmp(&other.name));
    }
    Ok(regions)
}

/// Regions that an import has set, by name.
pub(super) fn stored(connection: &Connection) -> rusqlite::Result<Vec<Region>> {
    let mut statement =
        connection.prepare_cached("SELECT name, status FROM region ORDER BY name")?;
    let rows =
        statement.query_map([], |row| Ok(Region { name: row.get(0)?, status: row.get(1)? }))?;
    rows.collect()
}

/// Check that calls to a region are answered. A region that every account has answers calls even if
/// an import omitted it, so that some region can always list the others.
pub(super) fn is_enabled(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let status: Option<String> = connection
        .prepare_cached("SELECT status FROM region WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(match status {
        Some(status) => status != STATUSES[2],
        None => ALWAYS.contains(&name),
    })
}

/// Stores AWS's own regions, so that single ones can be changed; no effect if there is a list.
pub(super) fn write_defaults(connection: &Connection) -> rusqlite::Result<()> {
    if stored(connection)?.is_empty() {
        for (name, status) in by_default() {
            set(connection, name, status)?;
        }
    }
    Ok(())
}

/// Adds a region, or changes its status.
pub(super) fn set(connection: &Connection, name: &str, status: &str) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO region (name, status) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![name, status])?;
    Ok(())
}
