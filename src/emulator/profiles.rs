//! The ten instance-profile actions. Profile names are unique ignoring case, so lookups ignore case
//! too; no recording shows whether AWS does the same.

use std::collections::HashMap;

use super::call::Call;
use super::protected_roles;
use super::read_txn::{AccountRow, ReadTxn};
use super::records::{Profile, RecordScope, Role, key};
use super::refusal::{ApiResult, Refusal};
use super::roles::{self, require_role, write_embedded_role};
use super::sequence::Sequence;
use super::tags::{self, KeyCase};
use super::write_txn::WriteTxn;
use super::xml::Xml;

const KEYS: KeyCase = KeyCase::ByCase;

/// Presence of `<Tags>` in an answer.
#[derive(Clone, Copy)]
enum ShowTags {
    Always,
    IfAny,
    Never,
}

pub(super) fn create(edit: &WriteTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let name = call.text("InstanceProfileName");
    let mut tags = Sequence::default();
    tags::add(&mut tags, call.tags(), KEYS)?;
    if edit.find::<Profile>(name)?.is_some() {
        return Err(Refusal::profile_exists(name).into());
    }
    let quota = edit.account.quotas.profiles;
    if edit.account.profiles >= i64::from(quota) {
        return Err(Refusal::quota("InstanceProfilesPerAccount", quota).into());
    }
    let profile = Profile {
        name: name.to_owned(),
        path: call.optional_text("Path").unwrap_or("/").to_owned(),
        id: edit.new_id::<Profile>()?,
        created: edit.seconds(),
        role: None,
        tags,
    };
    edit.insert(&profile)?;
    xml.within("InstanceProfile", |xml| write(xml, &edit.account, &profile, None, ShowTags::IfAny))
}

pub(super) fn get(view: &ReadTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let profile = require(view.find(call.text("InstanceProfileName"))?, call)?;
    let role = role_of(view, &profile)?;
    xml.within("InstanceProfile", |xml| {
        write(xml, &view.account, &profile, role.as_ref(), ShowTags::Always)
    })
}

pub(super) fn list(view: &ReadTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let prefix = call.optional_text("PathPrefix").unwrap_or("/");
    write_page(view, call, xml, RecordScope::Prefix(prefix), prefix)
}

pub(super) fn list_for_role(view: &ReadTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let name = call.text("RoleName");
    require_role(view.find(name)?, name)?;
    let role = key(name);
    write_page(view, call, xml, RecordScope::Role(&role), &role)
}

pub(super) fn add_role(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let mut profile = require(edit.find(call.text("InstanceProfileName"))?, call)?;
    let role = require_role(edit.find(call.text("RoleName"))?, call.text("RoleName"))?;
    protected_roles::check(&role)?;
    if profile.role.is_some() {
        return Err(Refusal::quota("InstanceSessionsPerInstanceProfile", 1).into());
    }
    profile.role = Some(key(&role.name));
    Ok(edit.update(&profile)?)
}

pub(super) fn remove_role(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let name = call.text("RoleName");
    // The role is checked first, as recorded by Cloud Custodian (placebo/test_iam_role_delete).
    let role = require_role(edit.find(name)?, name)?;
    let mut profile = require(edit.find(call.text("InstanceProfileName"))?, call)?;
    protected_roles::check(&role)?;
    if profile.role.as_deref() != Some(key(name).as_str()) {
        return Err(Refusal::role_not_in_profile(name, call.text("InstanceProfileName")).into());
    }
    profile.role = None;
    Ok(edit.update(&profile)?)
}

pub(super) fn delete(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let profile: Profile = require(edit.find(call.text("InstanceProfileName"))?, call)?;
    if profile.role.is_some() {
        return Err(Refusal::delete_conflict(roles::IN_A_PROFILE).into());
    }
    Ok(edit.delete(&profile)?)
}

pub(super) fn tag(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let mut profile: Profile = require(edit.find(call.text("InstanceProfileName"))?, call)?;
    tags::add(&mut profile.tags, call.tags(), KEYS)?;
    Ok(edit.update(&profile)?)
}

pub(super) fn untag(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let mut profile: Profile = require(edit.find(call.text("InstanceProfileName"))?, call)?;
    tags::remove(&mut profile.tags, &call.tag_keys(), KEYS);
    Ok(edit.update(&profile)?)
}

pub(super) fn list_tags(view: &ReadTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let profile = require(view.find(call.text("InstanceProfileName"))?, call)?;
    tags::write_page(xml, &profile.tags, &call.page(&view.account, &profile.id))
}

fn require(found: Option<Profile>, call: &Call<'_>) -> Result<Profile, Refusal> {
    found.ok_or_else(|| Refusal::no_profile(call.text("InstanceProfileName")))
}

fn role_of(view: &ReadTxn<'_>, profile: &Profile) -> ApiResult<Option<Role>> {
    match &profile.role {
        Some(role) => Ok(view.find(role)?),
        None => Ok(None),
    }
}

fn write_page(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
    scope: RecordScope<'_>,
    seal: &str,
) -> ApiResult<()> {
    let page = call.page(&view.account, seal);
    let from = page.position(view.connection)?;
    let mut found: Vec<Profile> = view.page(scope, &from, page.limit + 1)?;
    let end = page.finish_records(view.connection, &mut found)?;
    // Each role is read once per page, as many profiles may share it.
    let mut seen: HashMap<String, Option<Role>> = HashMap::new();
    xml.within("InstanceProfiles", |xml| {
        found.iter().try_for_each(|profile| {
            if let Some(role) = &profile.role
                && !seen.contains_key(role)
            {
                seen.insert(role.clone(), role_of(view, profile)?);
            }
            let role = profile.role.as_ref().and_then(|role| seen.get(role)?.as_ref());
            xml.within("member", |xml| write(xml, &view.account, profile, role, ShowTags::Never))
        })
    })?;
    xml.piece(&end);
    Ok(())
}

fn write(
    xml: &mut Xml,
    account: &AccountRow,
    profile: &Profile,
    role: Option<&Role>,
    show_tags: ShowTags,
) -> ApiResult<()> {
    xml.text("Path", &profile.path);
    xml.text("InstanceProfileName", &profile.name);
    xml.text("InstanceProfileId", &profile.id);
    xml.text("Arn", &profile.arn(&account.id));
    xml.text("CreateDate", &profile.create_date());
    xml.within("Roles", |xml| {
        role.map_or(Ok(()), |role| {
            xml.within("member", |xml| {
                write_embedded_role(xml, account, role);
                Ok::<(), super::refusal::CallFailure>(())
            })
        })
    })?;
    match show_tags {
        ShowTags::Never => Ok(()),
        ShowTags::IfAny if profile.tags.is_empty() => Ok(()),
        ShowTags::IfAny | ShowTags::Always => tags::write(xml, profile.tags.iter()),
    }
}
