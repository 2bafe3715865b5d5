//! Updates of a role's description, session duration and permissions boundary.

use super::call::Call;
use super::managed_policies::{self, ArnKind};
use super::protected_roles;
use super::records::{Record, Role};
use super::refusal::{ApiResult, Refusal};
use super::roles::{require_role, write_described_role};
use super::write_txn::WriteTxn;
use super::xml::Xml;

/// `UpdateRole`. Missing parameters leave their fields unchanged.
pub(super) fn update(edit: &WriteTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let mut role = role(edit, call)?;
    let duration = call.optional_number("MaxSessionDuration");
    // The description of a service-linked role can be changed. IAM User Guide, "Edit a
    // service-linked role description".
    if duration.is_some() || !role.is_service_linked() {
        protected_roles::check(&role)?;
    }
    if let Some(description) = call.optional_text("Description") {
        role.description = Some(description.to_owned());
    }
    role.max_session = duration.unwrap_or(role.max_session);
    edit.update(&role)?;
    // The result element is empty, but clients look for it.
    xml.literal("\n");
    Ok(())
}

/// `UpdateRoleDescription`. It returns the role without its session duration and last use (recorded
/// by `LocalStack`: `test_iam_roles.py`, `test_update_role`).
pub(super) fn update_description(
    edit: &WriteTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let mut role = role(edit, call)?;
    if !role.is_service_linked() {
        protected_roles::check(&role)?;
    }
    role.description = Some(call.text("Description").to_owned());
    edit.update(&role)?;
    role.show(edit.connection, &edit.account)?;
    xml.within("Role", |xml| write_described_role(xml, &edit.account, &role))
}

pub(super) fn put_boundary(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let mut role = role(edit, call)?;
    protected_roles::check(&role)?;
    let arn = call.text("PermissionsBoundary");
    check_boundary(edit, arn)?;
    role.boundary = Some(arn.to_owned());
    Ok(edit.update(&role)?)
}

/// `DeleteRolePermissionsBoundary`. A role without a boundary is not an error.
pub(super) fn delete_boundary(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let mut role = role(edit, call)?;
    protected_roles::check(&role)?;
    role.boundary = None;
    Ok(edit.update(&role)?)
}

/// Refuses policies that cannot be a boundary. The messages are those of `LocalStack`'s
/// `test_role_permissions_boundary_errors`, which is validated against AWS.
pub(super) fn check_boundary(edit: &WriteTxn<'_>, arn: &str) -> ApiResult<()> {
    match managed_policies::classify(edit.connection, &edit.account.id, arn)? {
        ArnKind::NotAnArn => Err(invalid_boundary(arn).into()),
        ArnKind::Unknown => Err(Refusal::boundary_not_attachable(arn).into()),
        ArnKind::Attachable | ArnKind::ServiceRoleOnly => Ok(()),
    }
}

fn invalid_boundary(arn: &str) -> Refusal {
    let message = format!("ARN {arn} is not valid.");
    Refusal { status: 400, code: "InvalidInput", message }
}

fn role(edit: &WriteTxn<'_>, call: &Call<'_>) -> ApiResult<Role> {
    let name = call.text("RoleName");
    Ok(require_role(edit.find(name)?, name)?)
}
