//! Customer managed policies, and the reads of single managed policies of AWS.

use std::cmp::Ordering;

use super::super::call::Call;
use super::super::clock::iso8601;
use super::super::managed_policies::{self, Shipped};
use super::super::marker::Point;
use super::super::read_txn::{AccountRow, ReadTxn};
use super::super::records::Tag;
use super::super::refusal::{ApiResult, CallFailure, Refusal};
use super::super::sequence::Sequence;
use super::super::tags::{self, KeyCase};
use super::super::write_txn::WriteTxn;
use super::super::xml::Xml;
use super::document::{self, Kind};
use super::record::{Policy, Version};
use super::upgrade;
use super::usage::{self, PolicyUsageCounts, Users};

/// Quota for one document, in characters other than white space.
pub(in crate::emulator) const MAX_CHARACTERS: usize = 6144;
/// Quota for customer managed policies in an account.
pub(in crate::emulator) const MAX_POLICIES: i64 = 1500;

/// Tag keys of policies are case-sensitive, as recorded (`test_policy_tag_lifecycle` of
/// `LocalStack`'s suite).
const KEYS: KeyCase = KeyCase::ByCase;

/// Managed policy to write into an answer.
#[derive(Debug)]
pub(super) enum ListedPolicy {
    Own(Policy),
    Aws(Shipped),
}

/// Amount of detail in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// Answer of `CreatePolicy`: tags if there are any.
    Created,
    /// Answer of `GetPolicy`: description and tags.
    Whole,
    /// Entry of a list.
    Listed,
}

pub(in crate::emulator) fn create(
    edit: &WriteTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let (name, document) = (call.text("PolicyName"), call.text("PolicyDocument"));
    let mut tags = Sequence::default();
    tags::add(&mut tags, call.tags(), KEYS)?;
    check_document(document)?;
    if edit.find::<Policy>(name)?.is_some() {
        return Err(Refusal::policy_exists(name).into());
    }
    let count: i64 = edit
        .connection
        .prepare_cached("SELECT count(*) FROM managed_policy")?
        .query_row([], |row| row.get(0))?;
    if count >= MAX_POLICIES {
        return Err(Refusal::quota("PoliciesPerAccount", MAX_POLICIES).into());
    }
    let created = edit.seconds();
    let mut versions = Sequence::default();
    versions.push(Version { created, document: Some(document.to_owned()) });
    let policy = Policy {
        name: name.to_owned(),
        path: call.optional_text("Path").unwrap_or("/").to_owned(),
        id: edit.new_id::<Policy>()?,
        created,
        updated: created,
        description: call.optional_text("Description").map(str::to_owned),
        default_version: 1,
        versions,
        tags,
    };
    edit.insert(&policy)?;
    let counts = usage::count(edit.connection, &policy.arn(&edit.account.id))?;
    xml.within("Policy", |xml| {
        write(xml, &edit.account, &ListedPolicy::Own(policy), counts, Detail::Created)
    })
}

/// `GetPolicy`. The message for a missing policy differs between AWS's policies and the account's
/// own, as recorded in Cloud Custodian's tests (`iam.GetPolicy_1.json` of
/// `test_iam_instance_profile_set_policy_nosuchentity` and of `test_iam_policy_delete`).
pub(in crate::emulator) fn get(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let arn = call.text("PolicyArn");
    let is_of_aws = managed_policies::split(arn).is_some_and(|policy| policy.owner == "aws");
    let policy = find(view, arn)?.ok_or_else(|| {
        if is_of_aws {
            Refusal::policy_not_attached(arn)
        } else {
            Refusal::policy_not_attachable(arn)
        }
    })?;
    let counts = Users::of(view)?.count(arn)?;
    xml.within("Policy", |xml| write(xml, &view.account, &policy, counts, Detail::Whole))
}

pub(in crate::emulator) fn delete(
    edit: &WriteTxn<'_>,
    call: &Call<'_>,
    _: &mut Xml,
) -> ApiResult<()> {
    let arn = call.text("PolicyArn");
    let policy = find_own(edit, call, "delete")?;
    let policy = policy.ok_or_else(|| Refusal::policy_not_attached(arn))?;
    // AWS has the same message if the policy is only a boundary (gruntwork-io/cloud-nuke, issue
    // 972).
    if usage::count(edit.connection, arn)? != PolicyUsageCounts::default() {
        return Err(Refusal::policy_attached().into());
    }
    if policy.versions.len() > 1 {
        return Err(Refusal::policy_has_versions().into());
    }
    Ok(edit.delete(&policy)?)
}

pub(in crate::emulator) fn tag(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let arn = call.text("PolicyArn");
    let policy = find_own(edit, call, "update")?;
    let mut policy = policy.ok_or_else(|| Refusal::policy_not_attached(arn))?;
    tags::add(&mut policy.tags, call.tags(), KEYS)?;
    Ok(edit.update(&policy)?)
}

pub(in crate::emulator) fn untag(
    edit: &WriteTxn<'_>,
    call: &Call<'_>,
    _: &mut Xml,
) -> ApiResult<()> {
    let arn = call.text("PolicyArn");
    let policy = find_own(edit, call, "update")?;
    let mut policy = policy.ok_or_else(|| Refusal::policy_not_attached(arn))?;
    tags::remove(&mut policy.tags, &call.tag_keys(), KEYS);
    Ok(edit.update(&policy)?)
}

pub(in crate::emulator) fn list_tags(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let arn = call.text("PolicyArn");
    let policy = find(view, arn)?.ok_or_else(|| Refusal::policy_not_attached(arn))?;
    let page = call.page(&view.account, arn);
    let start = page.point()?;
    let mut found: Vec<(Point, &Tag)> = match &policy {
        ListedPolicy::Own(policy) => policy.tags.iter().map(|tag| (tag_point(tag), tag)).collect(),
        ListedPolicy::Aws(_) => Vec::new(),
    };
    found.sort_by(|(one, _), (other, _)| in_order(one, other));
    found.retain(|(point, _)| start.as_ref().is_none_or(|start| in_order(point, start).is_gt()));
    let more = found.len() > page.limit;
    found.truncate(page.limit);
    let end = page.end(found.last().filter(|_| more).map(|(point, _)| point));
    tags::write(xml, found.iter().map(|(_, tag)| *tag))?;
    xml.piece(&end);
    Ok(())
}

/// Position of a tag in the list. Short keys come first, as recorded (`test_policy_tag_order` of
/// `LocalStack`'s suite).
fn tag_point(tag: &Tag) -> Point {
    Point { number: tag.key.chars().count() as u64, key: tag.key.clone() }
}

fn in_order(one: &Point, other: &Point) -> Ordering {
    (one.number, &one.key).cmp(&(other.number, &other.key))
}

/// Checks the document of a managed policy.
pub(super) fn check_document(document: &str) -> Result<(), Refusal> {
    document::check(document, Kind::Managed)?;
    if document::size(document) > MAX_CHARACTERS {
        return Err(Refusal::quota("PolicySize", MAX_CHARACTERS));
    }
    Ok(())
}

/// Policy with an ARN.
pub(super) fn find(view: &ReadTxn<'_>, arn: &str) -> ApiResult<Option<ListedPolicy>> {
    let Some(policy) = managed_policies::split(arn) else {
        return Err(Refusal::invalid_arn(arn).into());
    };
    if policy.owner == "aws" {
        return Ok(managed_policies::shipped(view.connection, arn)?.map(ListedPolicy::Aws));
    }
    let found: Option<Policy> = view.find(policy.name)?;
    Ok(found.filter(|policy| policy.arn(&view.account.id) == arn).map(ListedPolicy::Own))
}

/// The account's own policy that a write refers to. `what` is the operation in AWS's message for
/// policies of AWS (`test_aws_managed_policy_errors` of `LocalStack`'s suite has those for
/// deletions and `SetDefaultPolicyVersion`).
pub(super) fn find_own(
    edit: &WriteTxn<'_>,
    call: &Call<'_>,
    what: &str,
) -> ApiResult<Option<Policy>> {
    let arn = call.text("PolicyArn");
    let Some(policy) = managed_policies::split(arn) else {
        return Err(Refusal::invalid_arn(arn).into());
    };
    if policy.owner != edit.account.id {
        return Err(Refusal::foreign_policy(what).into());
    }
    let found: Option<Policy> = edit.find(policy.name)?;
    Ok(found.filter(|policy| policy.arn(&edit.account.id) == arn))
}

impl ListedPolicy {
    pub(super) fn arn(&self, account: &AccountRow) -> String {
        match self {
            Self::Own(policy) => policy.arn(&account.id),
            Self::Aws(policy) => policy.arn(),
        }
    }
}

/// Writes a policy into an answer.
pub(super) fn write(
    xml: &mut Xml,
    account: &AccountRow,
    policy: &ListedPolicy,
    counts: PolicyUsageCounts,
    detail: Detail,
) -> ApiResult<()> {
    let arn = policy.arn(account);
    let (name, path, id, version) = match policy {
        ListedPolicy::Own(own) => (
            own.name.as_str(),
            own.path.clone(),
            own.id.clone(),
            format!("v{}", own.default_version),
        ),
        ListedPolicy::Aws(aws) => {
            (aws.name(), aws.path(), upgrade::id(&arn), aws.version.to_owned())
        }
    };
    xml.text("PolicyName", name);
    xml.text("PolicyId", &id);
    xml.text("Arn", &arn);
    xml.text("Path", &path);
    xml.text("DefaultVersionId", &version);
    xml.plain("AttachmentCount", counts.attached);
    xml.plain("PermissionsBoundaryUsageCount", counts.boundaries);
    xml.plain("IsAttachable", true);
    match policy {
        ListedPolicy::Own(own) => {
            if let Some(description) = own.description.as_ref().filter(|_| detail == Detail::Whole)
            {
                xml.text("Description", description);
            }
            xml.text("CreateDate", &iso8601(own.created));
            xml.text("UpdateDate", &iso8601(own.updated));
        }
        ListedPolicy::Aws(aws) => {
            xml.text("CreateDate", aws.created);
            xml.text("UpdateDate", aws.updated);
        }
    }
    let none = Sequence::<Tag>::default();
    let tags = match policy {
        ListedPolicy::Own(own) => &own.tags,
        ListedPolicy::Aws(_) => &none,
    };
    match detail {
        Detail::Whole => tags::write(xml, tags.iter()),
        Detail::Created if !tags.is_empty() => tags::write(xml, tags.iter()),
        Detail::Created | Detail::Listed => Ok::<(), CallFailure>(()),
    }
}
