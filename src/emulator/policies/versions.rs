//! Versions of managed policies.

use super::super::call::Call;
use super::super::clock::iso8601;
use super::super::read_txn::ReadTxn;
use super::super::refusal::{ApiResult, CallFailure, Refusal};
use super::super::write_txn::WriteTxn;
use super::super::xml::Xml;
use super::managed::{self, ListedPolicy};
use super::record::{Policy, Version};

/// Quota for versions per policy.
pub(in crate::emulator) const MAX_VERSIONS: usize = 5;

pub(in crate::emulator) fn create(
    edit: &WriteTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let (arn, document) = (call.text("PolicyArn"), call.text("PolicyDocument"));
    let policy = managed::find_own(edit, call, "update")?;
    let mut policy = policy.ok_or_else(|| Refusal::policy_not_attachable(arn))?;
    managed::check_document(document)?;
    if policy.versions.len() >= MAX_VERSIONS {
        return Err(Refusal::too_many_versions(MAX_VERSIONS).into());
    }
    let created = edit.seconds();
    let version = Version { created, document: Some(document.to_owned()) };
    policy.versions.push(version.clone());
    let number = policy.versions.last_place();
    policy.updated = created;
    if call.flag("SetAsDefault") {
        policy.default_version = number;
    }
    edit.update(&policy)?;
    xml.within("PolicyVersion", |xml| {
        write(xml, number, &version, number == policy.default_version);
        Ok(())
    })
}

pub(in crate::emulator) fn get(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let (arn, id) = (call.text("PolicyArn"), call.text("VersionId"));
    let none = || Refusal::no_policy_version(arn, id);
    let policy = match managed::find(view, arn)?.ok_or_else(none)? {
        ListedPolicy::Own(policy) => policy,
        ListedPolicy::Aws(_) => return Err(Refusal::unknown_document(arn).into()),
    };
    let (number, version) = require(&policy, arn, id)?;
    let document = version.document.as_ref().ok_or_else(|| Refusal::unknown_document(arn))?;
    xml.within("PolicyVersion", |xml| {
        xml.document("Document", document);
        write(xml, number, version, number == policy.default_version);
        Ok(())
    })
}

/// `ListPolicyVersions`. The newest version comes first, as recorded
/// (`test_policy_version_set_default` of `LocalStack`'s suite). Of AWS's policies only the default
/// version is known.
pub(in crate::emulator) fn list(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let arn = call.text("PolicyArn");
    let policy = managed::find(view, arn)?.ok_or_else(|| Refusal::policy_not_attachable(arn))?;
    let page = call.page(&view.account, arn);
    let after = page.place()?;
    let policy = match policy {
        ListedPolicy::Own(policy) => policy,
        ListedPolicy::Aws(policy) => {
            xml.within("Versions", |xml| {
                xml.within("member", |xml| {
                    xml.text("VersionId", policy.version);
                    xml.plain("IsDefaultVersion", true);
                    xml.text("CreateDate", policy.updated);
                    Ok::<(), CallFailure>(())
                })
            })?;
            xml.piece(&page.finish_items::<()>(&mut Vec::new()));
            return Ok(());
        }
    };
    let mut found: Vec<_> = policy.versions.after(0).collect();
    found.reverse();
    found.retain(|(number, _)| after == 0 || *number < after);
    let end = page.finish_items(&mut found);
    xml.within("Versions", |xml| {
        found.iter().try_for_each(|(number, version)| {
            xml.within("member", |xml| {
                write(xml, *number, version, *number == policy.default_version);
                Ok::<(), CallFailure>(())
            })
        })
    })?;
    xml.piece(&end);
    Ok(())
}

pub(in crate::emulator) fn delete(
    edit: &WriteTxn<'_>,
    call: &Call<'_>,
    _: &mut Xml,
) -> ApiResult<()> {
    let (arn, id) = (call.text("PolicyArn"), call.text("VersionId"));
    let policy = managed::find_own(edit, call, "delete policy versions for")?;
    let mut policy = policy.ok_or_else(|| Refusal::no_policy_version(arn, id))?;
    let (number, _) = require(&policy, arn, id)?;
    if number == policy.default_version {
        return Err(Refusal::default_version().into());
    }
    policy.versions.remove(number);
    Ok(edit.update(&policy)?)
}

pub(in crate::emulator) fn set_default(
    edit: &WriteTxn<'_>,
    call: &Call<'_>,
    _: &mut Xml,
) -> ApiResult<()> {
    let (arn, id) = (call.text("PolicyArn"), call.text("VersionId"));
    let policy = managed::find_own(edit, call, "update")?;
    let mut policy = policy.ok_or_else(|| Refusal::no_policy_version(arn, id))?;
    policy.default_version = require(&policy, arn, id)?.0;
    Ok(edit.update(&policy)?)
}

/// Number and version for a version id; refused if there is none.
fn require<'a>(policy: &'a Policy, arn: &str, id: &str) -> Result<(u64, &'a Version), Refusal> {
    let number = id.strip_prefix('v').and_then(|number| number.parse().ok());
    let found = number.and_then(|number| Some((number, policy.version(number)?)));
    found.ok_or_else(|| Refusal::no_policy_version(arn, id))
}

fn write(xml: &mut Xml, number: u64, version: &Version, is_default: bool) {
    xml.text("VersionId", &format!("v{number}"));
    xml.plain("IsDefaultVersion", is_default);
    xml.text("CreateDate", &iso8601(version.created));
}
