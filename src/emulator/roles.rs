//! Role actions that a working instance profile needs. Role names are looked up ignoring case, like
//! those of profiles.

use super::call::Call;
use super::clock::iso8601;
use super::managed_policies::{self, ArnKind};
use super::protected_roles;
use super::read_txn::{AccountRow, ReadTxn};
use super::records::{RecordScope, Role};
use super::refusal::{ApiResult, Refusal};
use super::role_updates;
use super::sequence::Sequence;
use super::tags::{self, KeyCase};
use super::trust::{self, stored};
use super::write_txn::WriteTxn;
use super::xml::Xml;

/// Step that must precede the deletion of a profile with a role, or of a role in a profile.
pub(super) const IN_A_PROFILE: &str = "remove roles from instance profile";

const KEYS: KeyCase = KeyCase::IgnoringCase;
const DEFAULT_MAX_SESSION: i64 = 3600;

pub(super) fn create(edit: &WriteTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let name = call.text("RoleName");
    let trust = call.text("AssumeRolePolicyDocument");
    let boundary = call.optional_text("PermissionsBoundary");
    let mut tags = Sequence::default();
    tags::add(&mut tags, call.tags(), KEYS)?;
    let kept_trust = keep_trust(edit, trust)?;
    if let Some(arn) = boundary {
        role_updates::check_boundary(edit, arn)?;
    }
    if edit.find::<Role>(name)?.is_some() {
        return Err(Refusal::role_exists(name).into());
    }
    let quota = edit.account.quotas.roles;
    if edit.account.roles >= i64::from(quota) {
        return Err(Refusal::quota("RolesPerAccount", quota).into());
    }
    let mut role = Role {
        name: name.to_owned(),
        path: call.optional_text("Path").unwrap_or("/").to_owned(),
        id: edit.new_id::<Role>()?,
        created: edit.seconds(),
        trust: kept_trust,
        description: call.optional_text("Description").map(str::to_owned),
        max_session: call.optional_number("MaxSessionDuration").unwrap_or(DEFAULT_MAX_SESSION),
        boundary: boundary.map(str::to_owned),
        last_used: None,
        policies: Sequence::default(),
        inline: Sequence::default(),
        tags,
    };
    edit.insert(&role)?;
    // The answer repeats the policy as it was sent.
    trust.clone_into(&mut role.trust);
    xml.within("Role", |xml| {
        write_embedded_role(xml, &edit.account, &role);
        write_boundary(xml, &role)?;
        write_tags_if_any(xml, &role)
    })
}

pub(super) fn get(view: &ReadTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let role = require(view.find(call.text("RoleName"))?, call)?;
    xml.within("Role", |xml| {
        write_listed(xml, &view.account, &role);
        write_boundary(xml, &role)?;
        write_tags_if_any(xml, &role)?;
        xml.within("RoleLastUsed", |xml| {
            if let Some(used) = &role.last_used {
                xml.text("LastUsedDate", &iso8601(used.at));
                xml.text("Region", &used.region);
            }
            Ok(())
        })
    })
}

pub(super) fn list(view: &ReadTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let prefix = call.optional_text("PathPrefix").unwrap_or("/");
    let page = call.page(&view.account, prefix);
    let from = page.position(view.connection)?;
    let mut found: Vec<Role> = view.page(RecordScope::Prefix(prefix), &from, page.limit + 1)?;
    let end = page.finish_records(view.connection, &mut found)?;
    xml.within("Roles", |xml| {
        found.iter().try_for_each(|role| {
            xml.within("member", |xml| {
                write_listed(xml, &view.account, role);
                Ok::<(), super::refusal::CallFailure>(())
            })
        })
    })?;
    xml.piece(&end);
    Ok(())
}

pub(super) fn delete(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let role: Role = require(edit.find(call.text("RoleName"))?, call)?;
    protected_roles::check(&role)?;
    if edit.is_in_a_profile(&role)? {
        return Err(Refusal::delete_conflict(IN_A_PROFILE).into());
    }
    if !role.policies.is_empty() {
        return Err(Refusal::delete_conflict("detach all policies").into());
    }
    if !role.inline.is_empty() {
        return Err(Refusal::delete_conflict("delete policies").into());
    }
    Ok(edit.delete(&role)?)
}

pub(super) fn tag(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let mut role: Role = require(edit.find(call.text("RoleName"))?, call)?;
    tags::add(&mut role.tags, call.tags(), KEYS)?;
    Ok(edit.update(&role)?)
}

pub(super) fn untag(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let mut role: Role = require(edit.find(call.text("RoleName"))?, call)?;
    tags::remove(&mut role.tags, &call.tag_keys(), KEYS);
    Ok(edit.update(&role)?)
}

pub(super) fn list_tags(view: &ReadTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let role = require(view.find(call.text("RoleName"))?, call)?;
    tags::write_page(xml, &role.tags, &call.page(&view.account, &role.id))
}

pub(super) fn attach_policy(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let mut role: Role = require(edit.find(call.text("RoleName"))?, call)?;
    protected_roles::check(&role)?;
    let arn = call.text("PolicyArn");
    match managed_policies::classify(edit.connection, &edit.account.id, arn)? {
        ArnKind::NotAnArn => return Err(Refusal::invalid_arn(arn).into()),
        ArnKind::Unknown => return Err(Refusal::policy_not_attachable(arn).into()),
        ArnKind::ServiceRoleOnly => return Err(Refusal::service_role_policy().into()),
        ArnKind::Attachable => {}
    }
    if role.policies.iter().any(|attached| attached == arn) {
        return Ok(());
    }
    let quota = edit.account.quotas.policies_per_role;
    if role.policies.len() >= usize::try_from(quota).unwrap_or(usize::MAX) {
        return Err(Refusal::quota("PoliciesPerRole", quota).into());
    }
    role.policies.push(arn.to_owned());
    Ok(edit.update(&role)?)
}

pub(super) fn detach_policy(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let mut role: Role = require(edit.find(call.text("RoleName"))?, call)?;
    protected_roles::check(&role)?;
    let arn = call.text("PolicyArn");
    if managed_policies::split(arn).is_none() {
        return Err(Refusal::invalid_arn(arn).into());
    }
    let before = role.policies.len();
    role.policies.retain(|attached| attached != arn);
    if role.policies.len() == before {
        return Err(Refusal::policy_not_attached(arn).into());
    }
    Ok(edit.update(&role)?)
}

pub(super) fn list_attached_policies(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let role = require(view.find(call.text("RoleName"))?, call)?;
    let prefix = call.optional_text("PathPrefix").unwrap_or("/");
    let seal = format!("{}{prefix}", role.id);
    let page = call.page(&view.account, &seal);
    let mut found: Vec<_> = role
        .policies
        .after(page.place()?)
        .filter_map(|(place, arn)| Some((place, (arn, managed_policies::split(arn)?))))
        .filter(|(_, (_, policy))| policy.path.starts_with(prefix))
        .take(page.limit + 1)
        .collect();
    let end = page.finish_items(&mut found);
    xml.within("AttachedPolicies", |xml| {
        found.iter().try_for_each(|(_, (arn, policy))| {
            xml.within("member", |xml| {
                xml.text("PolicyName", policy.name);
                xml.text("PolicyArn", arn);
                Ok::<(), super::refusal::CallFailure>(())
            })
        })
    })?;
    xml.piece(&end);
    Ok(())
}

pub(super) fn update_trust(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let mut role: Role = require(edit.find(call.text("RoleName"))?, call)?;
    protected_roles::check(&role)?;
    role.trust = keep_trust(edit, call.text("PolicyDocument"))?;
    Ok(edit.update(&role)?)
}

/// Validates a trust policy; returns its stored form.
fn keep_trust(edit: &WriteTxn<'_>, document: &str) -> ApiResult<String> {
    trust::check(document)?;
    stored::keep(edit.connection, &edit.account, document, stored::Roles::MustExist)
}

fn require(found: Option<Role>, call: &Call<'_>) -> Result<Role, Refusal> {
    require_role(found, call.text("RoleName"))
}

/// Role that was found; an error if there is none.
pub(super) fn require_role(found: Option<Role>, name: &str) -> Result<Role, Refusal> {
    found.ok_or_else(|| Refusal::no_role(name))
}

/// Writes the fields of a role that all answers have, also inside a profile.
pub(super) fn write_embedded_role(xml: &mut Xml, account: &AccountRow, role: &Role) {
    xml.text("Path", &role.path);
    xml.text("RoleName", &role.name);
    xml.text("RoleId", &role.id);
    xml.text("Arn", &role.arn(&account.id));
    xml.text("CreateDate", &role.create_date());
    xml.document("AssumeRolePolicyDocument", &role.trust);
}

/// Writes the fields of a role in lists.
fn write_listed(xml: &mut Xml, account: &AccountRow, role: &Role) {
    write_embedded_role(xml, account, role);
    if let Some(description) = &role.description {
        xml.text("Description", description);
    }
    xml.plain("MaxSessionDuration", role.max_session);
}

/// Writes the fields of a role in the answer to a changed description.
pub(super) fn write_described_role(
    xml: &mut Xml,
    account: &AccountRow,
    role: &Role,
) -> ApiResult<()> {
    write_embedded_role(xml, account, role);
    if let Some(description) = &role.description {
        xml.text("Description", description);
    }
    write_boundary(xml, role)?;
    write_tags_if_any(xml, role)
}

fn write_boundary(xml: &mut Xml, role: &Role) -> ApiResult<()> {
    let Some(arn) = &role.boundary else { return Ok(()) };
    xml.within("PermissionsBoundary", |xml| {
        xml.text("PermissionsBoundaryType", "Policy");
        xml.text("PermissionsBoundaryArn", arn);
        Ok(())
    })
}

fn write_tags_if_any(xml: &mut Xml, role: &Role) -> ApiResult<()> {
    if role.tags.is_empty() { Ok(()) } else { tags::write(xml, role.tags.iter()) }
}
