//! Which managed policies there are. Those that AWS ships are a list of names (`managed_policies.txt`: path and name, one a
//! line, sorted); others exist if an import brought them along. Their documents are not kept: nothing is evaluated.

use std::sync::LazyLock;

use rusqlite::Connection;

static SHIPPED: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("managed_policies.txt").lines().collect());

/// The parts of a managed policy's ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PolicyArn<'a> {
    /// The account, or `aws`.
    pub(super) owner: &'a str,
    /// Begins and ends with `/`.
    pub(super) path: &'a str,
    pub(super) name: &'a str,
}

/// What can be done with an ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is not the ARN of a managed policy.
    NotAnArn,
    /// There is no such policy.
    Unknown,
    /// Only AWS itself attaches it, to a service-linked role.
    ServiceRoleOnly,
    /// It can be attached to a role.
    Attachable,
}

/// Takes the ARN of a managed policy apart; `None` if it is not one.
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

/// What can be done with that ARN in that account.
pub(super) fn standing(
    connection: &Connection,
    account_id: &str,
    arn: &str,
) -> rusqlite::Result<Standing> {
    let Some(policy) = split(arn) else { return Ok(Standing::NotAnArn) };
    let name = arn.strip_prefix("arn:aws:iam::aws:policy/");
    let shipped = name.is_some_and(|name| SHIPPED.binary_search(&name).is_ok());
    let here = policy.owner == "aws" || policy.owner == account_id;
    let known = shipped || (here && is_kept(connection, arn)?);
    Ok(match policy {
        _ if !known => Standing::Unknown,
        PolicyArn { owner: "aws", path, .. } if path.starts_with("/aws-service-role/") => {
            Standing::ServiceRoleOnly
        }
        _ => Standing::Attachable,
    })
}

/// Makes a policy exist that AWS does not ship.
pub(super) fn keep(connection: &Connection, arn: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("INSERT OR IGNORE INTO policy (arn) VALUES (?1)")?.execute([arn])?;
    Ok(())
}

fn is_kept(connection: &Connection, arn: &str) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM policy WHERE arn = ?1")?.exists([arn])
}

#[cfg(test)]
mod tests {
    use super::{PolicyArn, SHIPPED, split};

    #[test]
    fn the_list_is_sorted_and_every_line_makes_an_arn() {
        assert!(SHIPPED.len() > 1000, "only {} policies", SHIPPED.len());
        assert!(SHIPPED.is_sorted_by(|a, b| a < b), "the list is not sorted or has duplicates");
        for line in SHIPPED.iter() {
            assert!(split(&format!("arn:aws:iam::aws:policy/{line}")).is_some(), "{line}");
        }
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
