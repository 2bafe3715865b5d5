//! Unique ids of recreated profiles and roles. AWS gives a new id to a profile or role that an undo
//! recreates. The journal knows which id it replaces.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::{Connection, params};

use super::records::Records;
use crate::error::Result;
use crate::iam::snapshot::Snapshot;
use crate::session::destination::Destination;

/// Ids of the same profile or role, after an undo or a plan has recreated it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities {
    /// Next older id by id; the oldest has none.
    older: HashMap<String, String>,
    /// ARNs of roles by their ids. A trust policy names a role by its id once the role was deleted.
    principals: BTreeMap<String, String>,
}

/// ARN of a role, in the partition of the caller.
fn role_arn(site: &Destination, account: &str, Snapshot { path, name, .. }: &Snapshot) -> String {
    let partition = site.caller.as_deref().and_then(|arn| arn.split(':').nth(1));
    format!("arn:{}:iam::{account}:role{path}{name}", partition.unwrap_or("aws"))
}

/// ARN of the role that a state belongs to.
#[must_use]
pub fn arn_of(site: &Destination, state: &Option<Snapshot>) -> Option<String> {
    Some(role_arn(site, site.account.as_deref()?, state.as_ref()?))
}

impl Identities {
    /// Identities from pairs of ids, the older one first.
    #[must_use]
    pub fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut identities = Self::default();
        for (one, other) in pairs {
            let (one, other) =
                (identities.oldest(&one).to_owned(), identities.oldest(&other).to_owned());
            if one != other {
                identities.older.insert(other, one);
            }
        }
        identities
    }

    fn oldest<'a>(&'a self, id: &'a str) -> &'a str {
        let mut id = id;
        while let Some(older) = self.older.get(id) {
            id = older;
        }
        id
    }

    /// Identities, extended by the ids of roles as principals.
    #[must_use]
    pub fn with_roles<'a>(
        &self,
        states: impl Iterator<Item = (&'a Destination, &'a Option<Snapshot>)>,
    ) -> Self {
        let mut identities = self.clone();
        for (site, state) in states {
            let Some(image) = state else { continue };
            let (Some(id), Some(account)) = (&image.id, &site.account) else { continue };
            if image.assume_role_policy.is_none() {
                continue;
            }
            identities.principals.insert(id.clone(), role_arn(site, account, image));
        }
        // A policy may contain any of the ids that a role has had.
        let mut arns = HashMap::new();
        for (id, arn) in &identities.principals {
            arns.insert(identities.oldest(id).to_owned(), arn.clone());
        }
        for id in self.older.iter().flat_map(|(id, older)| [id, older]) {
            if let Some(arn) = arns.get(self.oldest(id)) {
                identities.principals.insert(id.clone(), arn.clone());
            }
        }
        identities
    }

    /// State with the oldest id of its resource, and with the ARNs of the roles that it trusts.
    #[must_use]
    pub fn known_as(&self, state: &Option<Snapshot>) -> Option<Snapshot> {
        let image = state.clone()?;
        let id = image.id.as_deref().map(|id| self.oldest(id).to_owned());
        let assume_role_policy = image.assume_role_policy.map(|policy| self.with_arns(policy));
        Some(Snapshot { id, assume_role_policy, ..image })
    }

    /// Identities, restricted to these ARNs as principals.
    #[must_use]
    pub fn of_roles(&self, arns: &HashSet<String>) -> Self {
        let principals = self.principals.iter().filter(|(_, arn)| arns.contains(*arn));
        let principals = principals.map(|(id, arn)| (id.clone(), arn.clone())).collect();
        Self { principals, ..Self::default() }
    }

    /// Trust policy, with the ids of roles replaced by their ARNs.
    #[must_use]
    pub fn with_arns(&self, policy: String) -> String {
        if !policy.contains("\"AROA") {
            return policy;
        }
        self.principals.iter().fold(policy, |policy, (id, arn)| {
            policy.replace(&format!("\"{id}\""), &format!("\"{arn}\""))
        })
    }
}

/// First and last state of a profile or role in a run, by id.
#[derive(Clone, Debug, Default)]
struct Ends {
    first: Option<String>,
    last: Option<String>,
    /// Path and name, to tell whether it was restored in place.
    first_place: Option<String>,
    last_place: Option<String>,
    was_absent: bool,
    is_undone: bool,
}

/// Account, kind and lower-case name of a profile or role.
type Name = (Option<String>, String, String);

impl Records {
    /// Ids of what undos and plans have recreated.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn identities(&self) -> Result<Identities> {
        let pairs = self.read(|connection| {
            let mut pairs = again(connection)?;
            let sql = "SELECT id, undoes FROM run LEFT JOIN run_order ON run = id
                 WHERE undoes IS NOT NULL ORDER BY number, id";
            let mut statement = connection.prepare(sql)?;
            let undos = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let mut known: HashMap<String, HashMap<Name, Ends>> = HashMap::new();
            for undo in undos {
                let (undo, undone): (String, String) = undo?;
                if !known.contains_key(&undone) {
                    let ends = ends(connection, &undone)?;
                    // Deleted and recreated by the run, and restored in place.
                    pairs.extend(
                        ends.values()
                            .filter(|ends| ends.is_undone && ends.was_absent)
                            .filter(|ends| ends.first_place == ends.last_place)
                            .filter_map(|ends| ends.first.clone().zip(ends.last.clone())),
                    );
                    known.insert(undone.clone(), ends);
                }
                for (name, id, first) in made(connection, &undo)? {
                    let known = known[&undone].get(&name).and_then(|ends| ends.first.clone());
                    pairs.extend(first.or(known).map(|first| (first, id)));
                }
            }
            Ok(pairs)
        })?;
        Ok(Identities::of(pairs))
    }

    /// Ids of what undos have deleted.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn deleted_by_undos(&self) -> Result<HashSet<String>> {
        self.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT change.before ->> '$.id' FROM run JOIN change ON change.run = run.id
                 WHERE run.undoes IS NOT NULL AND change.after IS NULL AND change.outcome = 'done'
                     AND change.before IS NOT NULL",
            )?;
            let ids = statement.query_map([], |row| row.get::<_, Option<String>>(0))?;
            ids.filter_map(Result::transpose).collect()
        })
    }
}

/// Ids of what a plan creates when it is applied again after its undo, each with the id from its
/// first run.
fn again(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare(
        "SELECT first.after ->> '$.id', again.after ->> '$.id'
         FROM run AS earlier
         JOIN run AS later ON later.plan = earlier.plan AND later.id > earlier.id
         JOIN change AS first ON first.run = earlier.id
         JOIN change AS again ON again.run = later.id AND again.number = (
             SELECT min(number) FROM change AS other
             WHERE other.run = later.id AND other.plan_change = first.plan_change)
         WHERE earlier.plan IS NOT NULL AND first.before IS NULL AND again.before IS NULL
             AND first.outcome = 'done' AND again.outcome = 'done'",
    )?;
    let pairs = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let pairs: Vec<(Option<String>, Option<String>)> = pairs.collect::<Result<_, _>>()?;
    Ok(pairs.into_iter().filter_map(|(one, other)| one.zip(other)).collect())
}

/// Names and ids of what an undo has created, with the id before the first undone change. The id is
/// missing if the undo was interrupted before it was known.
fn made(
    connection: &Connection,
    run: &str,
) -> rusqlite::Result<Vec<(Name, String, Option<String>)>> {
    let mut statement = connection.prepare_cached(
        "SELECT site.site ->> '$.account', made.subject, lower(made.name), made.after ->> '$.id',
             (SELECT undone.before ->> '$.id' FROM change AS this JOIN change AS undone
                  ON undone.run = this.undoes_run AND undone.number = this.undoes_change
              WHERE this.run = made.run AND this.site = made.site
                  AND this.subject = made.subject AND this.name = made.name COLLATE NOCASE
                  AND this.number >= made.number AND this.outcome = 'done'
              ORDER BY this.number LIMIT 1)
         FROM change AS made JOIN site ON site.run = made.run AND site.number = made.site
         WHERE made.run = ?1 AND made.before IS NULL AND made.after IS NOT NULL
             AND made.outcome = 'done'",
    )?;
    let rows = statement.query_map(params![run], |row| {
        let name = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((name, row.get::<_, Option<String>>(3)?, row.get(4)?))
    })?;
    let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
    Ok(rows.into_iter().filter_map(|(name, id, first)| Some((name, id?, first))).collect())
}

/// First and last states of the resources that a run has changed.
fn ends(connection: &Connection, run: &str) -> rusqlite::Result<HashMap<Name, Ends>> {
    let mut statement = connection.prepare_cached(
        "SELECT site.site ->> '$.account', subject, lower(name), before ->> '$.id',
             after ->> '$.id', after IS NULL, undone IS NOT NULL,
             (before ->> '$.path') || (before ->> '$.name'),
             (after ->> '$.path') || (after ->> '$.name')
         FROM change JOIN site ON site.run = change.run AND site.number = change.site
         WHERE change.run = ?1 AND outcome = 'done' ORDER BY change.number",
    )?;
    let mut rows = statement.query(params![run])?;
    let mut all: HashMap<Name, Ends> = HashMap::new();
    while let Some(row) = rows.next()? {
        let name = (row.get(0)?, row.get(1)?, row.get(2)?);
        let first: Option<String> = row.get(3)?;
        let ends = all.entry(name).or_default();
        if ends.first.is_none() {
            (ends.first, ends.first_place) = (first, row.get(7)?);
        }
        ends.last_place = row.get(8)?;
        ends.last = row.get(4)?;
        ends.was_absent |= row.get::<_, bool>(5)?;
        ends.is_undone |= row.get::<_, bool>(6)?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known_as(identities: &Identities, id: &str) -> String {
        let image = Snapshot { id: Some(id.to_owned()), ..Snapshot::default() };
        identities.known_as(&Some(image)).and_then(|image| image.id).expect("an id")
    }

    #[test]
    fn what_was_made_again_several_times_is_one() {
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        let pairs =
            [pair("C", "D"), pair("A", "B"), pair("B", "C"), pair("D", "A"), pair("X", "X")];
        let identities = Identities::of(pairs);
        let all: Vec<_> = ["A", "B", "C", "D"].iter().map(|id| known_as(&identities, id)).collect();
        assert!(all.iter().all(|id| *id == all[0]), "{all:?}");
        assert_eq!(known_as(&identities, "X"), "X");
        assert_eq!(known_as(&identities, "Z"), "Z");
    }
}
