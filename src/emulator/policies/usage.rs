//! Usage of managed policies: an index over the roles, updated with every write of a role. Counting
//! or listing the users of a policy does not scan all roles.

use rusqlite::{Connection, params};

use super::super::read_txn::{ReadTxn, position};
use super::super::records::{self, Position, Role, key};

/// Kind of use of a managed policy by a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    /// Attached policy.
    Permissions,
    /// Permissions boundary.
    Boundary,
}

impl Usage {
    const ALL: [Self; 2] = [Self::Permissions, Self::Boundary];

    const fn column(self) -> &'static str {
        match self {
            Self::Permissions => "policy",
            Self::Boundary => "boundary",
        }
    }

    /// Usages that a `PolicyUsageFilter` includes.
    pub(super) const fn of_filter(filter: Option<&str>) -> &'static [Self] {
        const PERMISSIONS: [Usage; 1] = [Usage::Permissions];
        const BOUNDARY: [Usage; 1] = [Usage::Boundary];
        match filter {
            None => &Self::ALL,
            Some(filter) if filter.len() == "PermissionsPolicy".len() => &PERMISSIONS,
            Some(_) => &BOUNDARY,
        }
    }

    fn is_by(self, role: &Role, arn: &str) -> bool {
        match self {
            Self::Permissions => role.policies.iter().any(|attached| attached == arn),
            Self::Boundary => role.boundary.as_deref() == Some(arn),
        }
    }
}

/// Number of roles that use a managed policy, by usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PolicyUsageCounts {
    pub(super) attached: i64,
    pub(super) boundaries: i64,
}

/// Updates the index for a role that was written or deleted.
pub(in crate::emulator) fn index(
    connection: &Connection,
    role: &Role,
    is_there: bool,
) -> rusqlite::Result<()> {
    let role_key = key(&role.name);
    let mut indexed: Vec<(String, String)> = connection
        .prepare_cached("SELECT policy, usage FROM attachment WHERE role = ?1")?
        .query_map([&role_key], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let attached = role.policies.iter().map(|arn| (arn, Usage::Permissions));
    let bounding = role.boundary.iter().map(|arn| (arn, Usage::Boundary));
    for (arn, usage) in attached.chain(bounding).filter(|_| is_there) {
        let usage = usage.column();
        let known = indexed.iter().position(|(policy, known)| policy == arn && known == usage);
        if let Some(known) = known {
            indexed.swap_remove(known);
            continue;
        }
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO attachment (policy, path, role, usage)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![arn, role.path, role_key, usage])?;
    }
    for (policy, usage) in indexed {
        connection
            .prepare_cached(
                "DELETE FROM attachment WHERE policy = ?1 AND role = ?2 AND usage = ?3",
            )?
            .execute(params![policy, role_key, usage])?;
    }
    Ok(())
}

/// Counts the roles that use a policy in the current state.
pub(super) fn count(connection: &Connection, arn: &str) -> rusqlite::Result<PolicyUsageCounts> {
    let mut counts = PolicyUsageCounts::default();
    let mut statement = connection.prepare_cached(
        "SELECT usage, count(*) FROM attachment WHERE policy = ?1 GROUP BY usage",
    )?;
    let mut rows = statement.query([arn])?;
    while let Some(row) = rows.next()? {
        let usage: String = row.get(0)?;
        let count = row.get(1)?;
        if usage == Usage::Permissions.column() {
            counts.attached = count;
        } else {
            counts.boundaries = count;
        }
    }
    Ok(counts)
}

/// Roles that a lagging read sees in an earlier state, so that counts and lists match that state.
#[derive(Debug)]
pub(super) struct Users<'a> {
    view: &'a ReadTxn<'a>,
    /// By key: the state that is seen, and the current state.
    lagging: Vec<(String, Option<Role>, Option<Role>)>,
}

/// Role that uses a policy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) position: Position,
    pub(super) name: String,
    pub(super) id: String,
}

impl<'a> Users<'a> {
    pub(super) fn of(view: &'a ReadTxn<'a>) -> rusqlite::Result<Self> {
        let past = view.past::<Role>()?.into_iter();
        let lagging = past.map(|(key, seen)| {
            let truth = records::find(view.connection, &key)?;
            Ok((key, seen, truth))
        });
        Ok(Self { view, lagging: lagging.collect::<rusqlite::Result<_>>()? })
    }

    /// Counts the roles that use a policy, as this read sees them.
    pub(super) fn count(&self, arn: &str) -> rusqlite::Result<PolicyUsageCounts> {
        let mut counts = count(self.view.connection, arn)?;
        for (_, seen, truth) in &self.lagging {
            let change = |usage: Usage| {
                let is_by = |role: &Option<Role>| {
                    i64::from(role.as_ref().is_some_and(|role| usage.is_by(role, arn)))
                };
                is_by(seen) - is_by(truth)
            };
            counts.attached += change(Usage::Permissions);
            counts.boundaries += change(Usage::Boundary);
        }
        Ok(counts)
    }

    /// Up to `limit` roles after a position, by path and key, that use a policy in one of the given
    /// ways, as this read sees them.
    pub(super) fn page(
        &self,
        arn: &str,
        usages: &[Usage],
        prefix: &str,
        from: &Position,
        limit: usize,
    ) -> rusqlite::Result<Vec<User>> {
        let mut statement = self.view.connection.prepare_cached(
            "SELECT DISTINCT role.path, role.key, role.name, role.id
             FROM attachment JOIN role ON role.key = attachment.role
             WHERE attachment.policy = ?1 AND (attachment.path, attachment.role) > (?2, ?3)
                 AND attachment.path < ?4 AND attachment.usage IN (?5, ?6)
             ORDER BY attachment.path, attachment.role",
        )?;
        let start = if from.path.as_str() < prefix { prefix } else { from.path.as_str() };
        let first = usages.first().map(|usage| usage.column());
        let last = usages.last().map(|usage| usage.column());
        // No path contains a greater character than the last code point.
        let end = format!("{prefix}\u{10ffff}");
        let mut rows = statement.query(params![arn, start, from.key, end, first, last])?;
        let mut users = Vec::new();
        while let Some(row) = rows.next()?.filter(|_| users.len() < limit) {
            let position = Position { path: row.get(0)?, key: row.get(1)? };
            if !self.lagging.iter().any(|(key, ..)| *key == position.key) {
                users.push(User { position, name: row.get(2)?, id: row.get(3)? });
            }
        }
        let seen = self.lagging.iter().filter_map(|(_, seen, _)| seen.as_ref());
        let lagging = seen.filter(|role| {
            role.path.starts_with(prefix) && usages.iter().any(|usage| usage.is_by(role, arn))
        });
        users.extend(lagging.map(|role| User {
            position: position(role),
            name: role.name.clone(),
            id: role.id.clone(),
        }));
        users.retain(|user| user.position > *from);
        users.sort_by(|one, other| one.position.cmp(&other.position));
        users.truncate(limit);
        Ok(users)
    }
}
