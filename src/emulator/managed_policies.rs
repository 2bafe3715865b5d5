//! Known managed policies. Those of AWS are listed in `managed_policies.txt`; an import may name
//! more. The account's own policies are records. Documents of AWS's policies are not stored.

use std::sync::LazyLock;

use rusqlite::Connection;

use super::records;

/// One policy per line, sorted: path and name. Most lines have the default version, the creation
/// date of the policy, and the creation date of that version.
static SHIPPED: LazyLock<Vec<Shipped>> =
    LazyLock::new(|| include_str!("managed_policies.txt").lines().map(Shipped::of_line).collect());

/// Indexes of the shipped policies in the order in which AWS created them.
static BY_AGE: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let mut order: Vec<_> = (0..SHIPPED.len()).collect();
    order.sort_by_key(|place| (SHIPPED[*place].created, *place));
    order
});

const PREFIX: &str = "arn:aws:iam::aws:policy/";
/// Date of AWS policies of which only the name is known, later than all known dates.
const UNKNOWN_DATE: &str = "2026-08-22T00:00:00Z";

/// A managed policy of AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shipped {
    path_and_name: std::borrow::Cow<'static, str>,
    /// Default version, such as `v12`.
    pub(super) version: &'static str,
    /// Creation date of the policy.
    pub(super) created: &'static str,
    /// Creation date of the default version.
    pub(super) updated: &'static str,
}

impl Shipped {
    fn of_line(line: &'static str) -> Self {
        let mut fields = line.split(' ');
        let path_and_name = fields.next().unwrap_or_default().into();
        let version = fields.next().unwrap_or("v1");
        let created = fields.next().unwrap_or(UNKNOWN_DATE);
        let updated = fields.next().unwrap_or(created);
        Self { path_and_name, version, created, updated }
    }

    /// Policy of which only the name is known.
    fn named(path_and_name: String) -> Self {
        Self { path_and_name: path_and_name.into(), ..Self::of_line("") }
    }

    pub(super) fn arn(&self) -> String {
        format!("{PREFIX}{}", self.path_and_name)
    }

    pub(super) fn name(&self) -> &str {
        self.path_and_name.rsplit('/').next().unwrap_or_default()
    }

    /// Path, which begins and ends with `/`.
    pub(super) fn path(&self) -> String {
        let end = self.path_and_name.rfind('/').map_or(0, |slash| slash + 1);
        format!("/{}", &self.path_and_name[..end])
    }
}

/// AWS managed policy with an ARN.
pub(super) fn shipped(connection: &Connection, arn: &str) -> rusqlite::Result<Option<Shipped>> {
    let Some(name) = arn.strip_prefix(PREFIX) else { return Ok(None) };
    let place = SHIPPED.binary_search_by(|policy| policy.path_and_name.as_ref().cmp(name));
    if let Ok(place) = place {
        return Ok(Some(SHIPPED[place].clone()));
    }
    Ok(is_kept(connection, arn)?.then(|| Shipped::named(name.to_owned())))
}

/// All managed policies of AWS, oldest first.
pub(super) fn listed(
    connection: &Connection,
) -> rusqlite::Result<impl Iterator<Item = Shipped> + use<>> {
    let mut statement = connection.prepare_cached("SELECT arn FROM policy ORDER BY arn")?;
    let kept: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let kept = kept.into_iter().filter_map(|arn| arn.strip_prefix(PREFIX).map(str::to_owned));
    let shipped = BY_AGE.iter().map(|place| SHIPPED[*place].clone());
    Ok(shipped.chain(kept.map(Shipped::named)))
}

/// Parts of a managed policy's ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PolicyArn<'a> {
    /// Account number, or `aws`.
    pub(super) owner: &'a str,
    /// Begins and ends with `/`.
    pub(super) path: &'a str,
    pub(super) name: &'a str,
}

/// Permitted use of an ARN as a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArnKind {
    /// Not the ARN of a managed policy.
    NotAnArn,
    /// No such policy.
    Unknown,
    /// Attached only by AWS itself, to a service-linked role.
    ServiceRoleOnly,
    /// Attachable to any role.
    Attachable,
}

/// Splits the ARN of a managed policy; `None` if it is not one.
pub(super) fn split(arn: &str) -> Option<PolicyArn<'_>> {
    let (owner, resource) = arn.strip_prefix("arn:aws:iam::")?.split_once(':')?;
    let numbered = owner.len() == 12 && owner.bytes().all(|b| b.is_ascii_digit());
    let path_and_name = resource.strip_prefix("policy").filter(|rest| rest.starts_with('/'))?;
    let (path, name) = path_and_name.split_at(path_and_name.rfind('/')? + 1);
    let named = !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
    let walked = path.bytes().all(|b| (0x21..=0x7e).contains(&b));
    ((owner == "aws" || numbered) && named && walked).then_some(PolicyArn { owner, path, name })
}

/// Classifies a policy ARN in an account.
pub(super) fn classify(
    connection: &Connection,
    account_id: &str,
    arn: &str,
) -> rusqlite::Result<ArnKind> {
    let Some(policy) = split(arn) else { return Ok(ArnKind::NotAnArn) };
    let known = if policy.owner == "aws" {
        shipped(connection, arn)?.is_some()
    } else {
        policy.owner == account_id && is_own(connection, policy)?
    };
    Ok(match policy {
        _ if !known => ArnKind::Unknown,
        PolicyArn { owner: "aws", path, .. } if path.starts_with("/aws-service-role/") => {
            ArnKind::ServiceRoleOnly
        }
        _ => ArnKind::Attachable,
    })
}

/// Records an AWS policy that is not in the list.
pub(super) fn keep(connection: &Connection, arn: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT OR IGNORE INTO policy (arn) VALUES (?1)")?.execute([arn])?;
    Ok(())
}

fn is_own(connection: &Connection, policy: PolicyArn<'_>) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM managed_policy WHERE key = ?1 AND path = ?2 AND name = ?3")?
        .exists([&records::key(policy.name), policy.path, policy.name])
}

fn is_kept(connection: &Connection, arn: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM policy WHERE arn = ?1")?.exists([arn])
}

#[cfg(test)]
mod tests {
    use super::{BY_AGE, PolicyArn, SHIPPED, Shipped, split};

    #[test]
    fn the_list_is_sorted_and_every_line_makes_an_arn() {
        assert!(SHIPPED.len() > 1000, "only {} policies", SHIPPED.len());
        let in_order = |a: &Shipped, b: &Shipped| a.path_and_name < b.path_and_name;
        assert!(SHIPPED.is_sorted_by(in_order), "the list is not sorted or has duplicates");
        for policy in SHIPPED.iter() {
            let arn = policy.arn();
            let parts = split(&arn).unwrap_or_else(|| panic!("{arn}"));
            assert_eq!((parts.name, parts.path), (policy.name(), policy.path().as_str()));
            let version = policy.version.strip_prefix('v').and_then(|v| v.parse::<u32>().ok());
            assert!(version.is_some_and(|version| version > 0), "{policy:?}");
            for date in [policy.created, policy.updated] {
                assert!(date.parse::<jiff::Timestamp>().is_ok(), "{policy:?}");
            }
            assert!(policy.created <= policy.updated, "{policy:?}");
        }
    }

    /// Default versions at the head of AWS's own answer, as recorded in February 2026
    /// (`test_list_policies_scope_aws` of `LocalStack`'s suite): v1, v12, v178, v7, v14. The third
    /// has grown since.
    #[test]
    fn the_oldest_policies_come_first() {
        let oldest: Vec<_> = BY_AGE.iter().take(5).map(|place| &SHIPPED[*place]).collect();
        let versions: Vec<_> = oldest.iter().map(|policy| policy.version).collect();
        assert_eq!(oldest[0].name(), "AdministratorAccess");
        assert_eq!(oldest[3].name(), "AWSCloudFormationReadOnlyAccess");
        assert_eq!(versions, ["v1", "v12", "v182", "v7", "v14"]);
    }

    #[test]
    fn an_arn_is_taken_apart() {
        let arn = "arn:aws:iam::123456789012:policy/team/a/read_only";
        let policy = PolicyArn { owner: "123456789012", path: "/team/a/", name: "read_only" };
        assert_eq!(split(arn), Some(policy));
        for bad in [
            "arn:aws:iam::aws:role/x",
            "arn:aws:iam::aws:policy",
            "arn:aws:iam::aws:policyx",
            "arn:aws:iam::aws:policy/",
            "arn:aws:iam::12345:policy/x",
            "arn:aws:s3:::policy/x",
            "not an arn at all, really",
        ] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }
}
