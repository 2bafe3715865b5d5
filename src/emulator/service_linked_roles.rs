//! Service-linked roles, which IAM creates for a service by rules of the service. Role names and
//! policies are in `service_linked_roles.txt`: service, role, policy, and `suffix` if the role may
//! have one. The table has the roles that `LocalStack` recorded on AWS (`test_iam.py`,
//! `TestIAMServiceRoles`), and roles of EC2 and EMR from their documentation.

use rusqlite::OptionalExtension;
use serde_json::json;

use super::call::Call;
use super::protected_roles::SERVICE_LINKED;
use super::read_txn::ReadTxn;
use super::records::Role;
use super::refusal::{ApiResult, Refusal};
use super::roles::{require_role, write_embedded_role};
use super::sequence::Sequence;
use super::write_txn::WriteTxn;
use super::xml::Xml;

const TABLE: &str = include_str!("service_linked_roles.txt");
const MAX_SESSION: i64 = 3600;

/// Rules of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Linked<'a> {
    service: &'a str,
    role: &'a str,
    policy: &'a str,
    takes_suffix: bool,
}

fn table() -> impl Iterator<Item = Linked<'static>> {
    TABLE.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (service, role, policy) = (words.next()?, words.next()?, words.next()?);
        Some(Linked { service, role, policy, takes_suffix: words.next() == Some("suffix") })
    })
}

pub(super) fn create(edit: &WriteTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let service = call.text("AWSServiceName");
    let linked = table().find(|linked| linked.service == service).ok_or_else(|| {
        // Our message: AWS's is not recorded.
        invalid(format!("The service {service} has no service-linked role that is known here."))
    })?;
    let name = match call.optional_text("CustomSuffix") {
        None => linked.role.to_owned(),
        Some(suffix) if linked.takes_suffix => format!("{}_{suffix}", linked.role),
        Some(_) => {
            return Err(invalid(format!("Custom suffix is not allowed for {service}")).into());
        }
    };
    if edit.find::<Role>(&name)?.is_some() {
        return Err(invalid(format!(
            "Service role name {name} has been taken in this account, please try a different suffix."
        ))
        .into());
    }
    let statement = json!({
        "Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole",
    });
    let mut policies = Sequence::default();
    policies.push(format!("arn:aws:iam::aws:policy{SERVICE_LINKED}{}", linked.policy));
    let role = Role {
        name,
        path: format!("{SERVICE_LINKED}{service}/"),
        id: edit.new_id::<Role>()?,
        created: edit.seconds(),
        trust: json!({"Version": "2012-10-17", "Statement": [statement]}).to_string(),
        description: call.optional_text("Description").map(str::to_owned),
        max_session: MAX_SESSION,
        boundary: None,
        last_used: None,
        policies,
        inline: Sequence::default(),
        tags: Sequence::default(),
    };
    edit.insert(&role)?;
    xml.within("Role", |xml| {
        write_embedded_role(xml, &edit.account, &role);
        Ok(())
    })
}

/// `DeleteServiceLinkedRole`. AWS deletes the role later, when no resource of its service needs it.
/// Here no resource does, and the role is deleted at once.
pub(super) fn delete(edit: &WriteTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let name = call.text("RoleName");
    let role = edit.find::<Role>(name)?.filter(Role::is_service_linked);
    let role = require_role(role, name)?;
    let task = format!("task{}{}/{}", role.path, role.name, edit.random.request_id());
    edit.connection
        .prepare_cached("INSERT INTO setting (name, value) VALUES (?1, 'SUCCEEDED')")?
        .execute([&task])?;
    edit.delete(&role)?;
    xml.text("DeletionTaskId", &task);
    Ok(())
}

pub(super) fn deletion_status(view: &ReadTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let task = call.text("DeletionTaskId");
    let status: Option<String> = view
        .connection
        .prepare_cached("SELECT value FROM setting WHERE name = ?1 AND name LIKE 'task/%'")?
        .query_row([task], |row| row.get(0))
        .optional()?;
    let status = status.ok_or_else(|| {
        let message = format!("The deletion task {task} cannot be found.");
        Refusal { status: 404, code: "NoSuchEntity", message }
    })?;
    xml.text("Status", &status);
    Ok(())
}

fn invalid(message: String) -> Refusal {
    Refusal { status: 400, code: "InvalidInput", message }
}

#[cfg(test)]
mod tests {
    use super::{TABLE, table};

    #[test]
    fn every_line_of_the_table_is_one_service() {
        let services: Vec<_> = table().map(|linked| linked.service).collect();
        assert_eq!(services.len(), TABLE.lines().count());
        assert!(services.len() > 70 && services.is_sorted_by(|one, other| one < other));
        for linked in table() {
            assert!(linked.role.starts_with("AWSServiceRoleFor"), "{linked:?}");
        }
        assert_eq!(table().filter(|linked| linked.takes_suffix).count(), 3);
    }
}
