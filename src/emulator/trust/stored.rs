//! Stored form of trust policies. The policy that is read differs from the one that was sent:
//!
//! - An account number becomes the ARN of that account. IAM User Guide, "AWS JSON policy elements:
//!   Principal"; hashicorp/awspolicyequivalence, `stringPrincipalsEqual`.
//! - A role's ARN is stored as the role's unique id. It is read as the ARN while that role exists,
//!   and as the id afterwards. A new role of the same name is another principal. IAM User Guide,
//!   the same page, "IAM role principals".
//! - A list of one principal, or of one value of a condition, becomes that value.
//!   hashicorp/awspolicyequivalence, `PoliciesAreEquivalent`; terraform-provider-aws issue 28835.
//! - Several principals of a kind, and the keys of a condition, are returned in an order of IAM's
//!   own. IAM documents none; here it is the reverse alphabetical one, as in
//!   aws-controllers-k8s/community issue 2875.
//!
//! Everything else is returned as it was sent. White space is kept unless something else changes.
//! The answer to `CreateRole` repeats the policy as it was sent (recorded by `LocalStack`:
//! `test_sts.py`, `test_assume_role`).

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Map, Value};

use super::super::call::{OPERATOR_ID, OPERATOR_NAME};
use super::super::read_txn::AccountRow;
use super::super::records::key;
use super::super::refusal::ApiResult;
use super::unknown_principal;

/// Treatment of principals that name roles of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Roles {
    /// The roles must exist.
    MustExist,
    /// Missing roles are kept as ARNs until they are created.
    MayBeMissing,
}

/// Stored form of a policy that [`check`](super::check) has accepted.
pub(in crate::emulator) fn keep(
    connection: &Connection,
    account: &AccountRow,
    document: &str,
    roles: Roles,
) -> ApiResult<String> {
    let Ok(Value::Object(mut policy)) = serde_json::from_str(document) else {
        return Ok(document.to_owned());
    };
    let before = Value::Object(policy.clone()).to_string();
    for statement in statements(&mut policy) {
        for field in ["Principal", "NotPrincipal"] {
            let Some(Value::Object(kinds)) = statement.get_mut(field) else { continue };
            for (kind, named) in kinds {
                if kind == "AWS" {
                    resolve(connection, account, named, roles)?;
                }
                normalize(named);
            }
        }
        if let Some(Value::Object(operators)) = statement.get_mut("Condition") {
            for tested in operators.values_mut() {
                let Value::Object(tested) = tested else { continue };
                tested.values_mut().for_each(collapse);
                reorder(tested);
            }
        }
    }
    // Equality of maps ignores order, equality of texts does not.
    let after = Value::Object(policy).to_string();
    Ok(if after == before { document.to_owned() } else { after })
}

/// Policy as reads show it. Ids of existing roles are replaced by their ARNs.
pub(in crate::emulator) fn shown(
    connection: &Connection,
    account: &AccountRow,
    kept: &str,
) -> rusqlite::Result<String> {
    // Most policies name no role.
    if !kept.contains("\"AROA") {
        return Ok(kept.to_owned());
    }
    let Ok(Value::Object(mut policy)) = serde_json::from_str(kept) else {
        return Ok(kept.to_owned());
    };
    for statement in statements(&mut policy) {
        for field in ["Principal", "NotPrincipal"] {
            let named = statement.get_mut(field).and_then(|element| element.get_mut("AWS"));
            let Some(named) = named else { continue };
            for name in texts_mut(named) {
                if let Some(arn) = arn_of(connection, account, name)? {
                    *name = arn;
                }
            }
            normalize(named);
        }
    }
    Ok(Value::Object(policy).to_string())
}

fn statements(policy: &mut Map<String, Value>) -> Vec<&mut Map<String, Value>> {
    match policy.get_mut("Statement") {
        Some(Value::Array(statements)) => {
            statements.iter_mut().filter_map(Value::as_object_mut).collect()
        }
        Some(Value::Object(statement)) => vec![statement],
        _ => Vec::new(),
    }
}

fn texts_mut(value: &mut Value) -> Vec<&mut String> {
    let values = match value {
        Value::Array(values) => values.iter_mut().collect(),
        value => vec![value],
    };
    values
        .into_iter()
        .filter_map(|value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
        .collect()
}

/// Replaces each `AWS` principal by its stored form.
fn resolve(
    connection: &Connection,
    account: &AccountRow,
    named: &mut Value,
    roles: Roles,
) -> ApiResult<()> {
    for name in texts_mut(named) {
        let own = account.iam_arn_start();
        if is_account_number(name) {
            *name = format!("arn:aws:iam::{name}:root");
        } else if let Some(role) = name.strip_prefix(&format!("{own}role/")) {
            match role_id(connection, role)? {
                Some(id) => *name = id,
                None if roles == Roles::MayBeMissing => {}
                None => return Err(unknown_principal("AWS", name).into()),
            }
        } else if name == OPERATOR_ID {
            *name = format!("{own}user/{OPERATOR_NAME}");
        } else if is_unique_id(name) {
            let is_known = arn_of(connection, account, name)?.is_some();
            if !is_known && roles == Roles::MustExist {
                return Err(unknown_principal("AWS", name).into());
            }
        } else if name != "*" && !is_principal_arn(name) && roles == Roles::MustExist {
            return Err(unknown_principal("AWS", name).into());
        }
    }
    Ok(())
}

/// Unique id of the role with a name and a path, which has no first slash.
fn role_id(
    connection: &Connection,
    path_and_name: &str,
) -> Result<Option<String>, rusqlite::Error> {
    let (path, name) = path_and_name.rsplit_once('/').unwrap_or(("", path_and_name));
    let path = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
    connection
        .prepare_cached("SELECT id FROM role WHERE key = ?1 AND path = ?2 AND name = ?3")?
        .query_row((key(name), path, name), |row| row.get(0))
        .optional()
}

/// ARN of the role with a unique id.
fn arn_of(
    connection: &Connection,
    account: &AccountRow,
    id: &str,
) -> rusqlite::Result<Option<String>> {
    let found: Option<(String, String)> = connection
        .prepare_cached("SELECT path, name FROM role WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.map(|(path, name)| format!("{}role{path}{name}", account.iam_arn_start())))
}

fn is_account_number(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|digit| digit.is_ascii_digit())
}

/// Check for a unique id of a role or a user.
fn is_unique_id(name: &str) -> bool {
    let rest = name.strip_prefix("AROA").or_else(|| name.strip_prefix("AIDA"));
    rest.is_some_and(|rest| {
        rest.len() >= 12 && rest.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    })
}

/// Check for the ARN of an account, user, role or session in this partition. Names cannot have
/// wildcards, and a group is no principal. IAM User Guide, "AWS JSON policy elements: Principal".
fn is_principal_arn(name: &str) -> bool {
    let Some((service, rest)) =
        name.strip_prefix("arn:aws:").and_then(|rest| rest.split_once("::"))
    else {
        return false;
    };
    let Some((number, resource)) = rest.split_once(':') else { return false };
    let named = |prefix: &str| {
        resource
            .strip_prefix(prefix)
            .is_some_and(|name| !name.is_empty() && !name.contains(['*', '?']))
    };
    is_account_number(number)
        && match service {
            "iam" => resource == "root" || named("user/") || named("role/"),
            "sts" => named("assumed-role/") || named("federated-user/"),
            _ => false,
        }
}

/// Normalises the values of a kind of principals to the returned form and order.
fn normalize(named: &mut Value) {
    if let Value::Array(names) = named {
        names.sort_by(|one, other| other.as_str().cmp(&one.as_str()));
        names.dedup();
    }
    collapse(named);
}

/// Replaces a list of one by its value.
fn collapse(value: &mut Value) {
    if let Value::Array(values) = value
        && values.len() == 1
        && !values[0].is_array()
    {
        *value = values.remove(0);
    }
}

fn reorder(tested: &mut Map<String, Value>) {
    let mut entries: Vec<_> = std::mem::take(tested).into_iter().collect();
    entries.sort_by(|(one, _), (other, _)| other.cmp(one));
    tested.extend(entries);
}
