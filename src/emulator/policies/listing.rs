//! `ListPolicies` and `ListEntitiesForPolicy`.

use super::super::call::{Call, PageRequest};
use super::super::managed_policies;
use super::super::marker::Point;
use super::super::read_txn::{ReadTxn, position};
use super::super::records::{self, Position, RecordScope};
use super::super::refusal::{ApiResult, CallFailure, Refusal};
use super::super::xml::Xml;
use super::managed::{self, Detail, ListedPolicy};
use super::record::Policy;
use super::usage::{PolicyUsageCounts, Usage, Users};

/// Filters of `ListPolicies`.
#[derive(Debug)]
struct Filter<'a> {
    only_attached: bool,
    usage: Option<&'a str>,
    users: Users<'a>,
}

impl Filter<'_> {
    /// Usage counts of a policy; `None` if the filters exclude it.
    fn admit(&self, arn: &str) -> rusqlite::Result<Option<PolicyUsageCounts>> {
        let counts = self.users.count(arn)?;
        let is_boundary_only = counts.boundaries > 0 && counts.attached == 0;
        let usage = match Usage::of_filter(self.usage) {
            [Usage::Boundary] => counts.boundaries > 0,
            [Usage::Permissions] => !is_boundary_only,
            _ => true,
        };
        let attached = !self.only_attached || counts.attached > 0;
        Ok((usage && attached).then_some(counts))
    }
}

/// `ListPolicies`. The account's own policies come first, by path and name, then those of AWS in
/// order of creation, as recorded on AWS (`test_list_policies_scope_aws` of `LocalStack`'s suite).
pub(in crate::emulator) fn policies(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let scope = call.optional_text("Scope").unwrap_or("All");
    let prefix = call.optional_text("PathPrefix").unwrap_or("/");
    let filter = Filter {
        only_attached: call.flag("OnlyAttached"),
        usage: call.optional_text("PolicyUsageFilter"),
        users: Users::of(view)?,
    };
    let seal = format!("{scope} {} {:?} {prefix}", filter.only_attached, filter.usage);
    let page = call.page(&view.account, &seal);
    let point = page.point()?;
    let mut found: Vec<(ListedPolicy, PolicyUsageCounts, Point)> = Vec::new();
    // Markers in the records have a key; markers behind them have none.
    let behind = point.as_ref().filter(|point| point.key.is_empty()).map(|point| point.number);
    if scope != "AWS" && behind.is_none() {
        own(view, &page, prefix, &filter, &mut found)?;
    }
    if scope != "Local" && found.len() <= page.limit {
        let all = managed_policies::listed(view.connection)?;
        let skipped = usize::try_from(behind.unwrap_or(0)).unwrap_or(usize::MAX);
        for (number, policy) in (1..).zip(all).skip(skipped) {
            if found.len() > page.limit {
                break;
            }
            if policy.path().starts_with(prefix)
                && let Some(counts) = filter.admit(&policy.arn())?
            {
                let point = Point { number, key: String::new() };
                found.push((ListedPolicy::Aws(policy), counts, point));
            }
        }
    }
    let more = found.len() > page.limit;
    found.truncate(page.limit);
    let last = found.last().filter(|_| more).map(|(.., point)| point);
    let end = page.end(last);
    xml.within("Policies", |xml| {
        found.iter().try_for_each(|(policy, counts, _)| {
            xml.within("member", |xml| {
                managed::write(xml, &view.account, policy, *counts, Detail::Listed)
            })
        })
    })?;
    xml.piece(&end);
    Ok(())
}

/// Reads the account's own policies on a page, and one more if there is one.
fn own(
    view: &ReadTxn<'_>,
    page: &PageRequest<'_>,
    prefix: &str,
    filter: &Filter<'_>,
    found: &mut Vec<(ListedPolicy, PolicyUsageCounts, Point)>,
) -> ApiResult<()> {
    let mut from = page.position(view.connection)?;
    loop {
        let wanted = page.limit + 1 - found.len();
        let batch: Vec<Policy> = view.page(RecordScope::Prefix(prefix), &from, wanted)?;
        let is_last = batch.len() < wanted;
        if let Some(last) = batch.last() {
            from = position(last);
        }
        for policy in batch {
            if let Some(counts) = filter.admit(&policy.arn(&view.account.id))? {
                let point = point(view, position(&policy))?;
                found.push((ListedPolicy::Own(policy), counts, point));
            }
        }
        if is_last || found.len() > page.limit {
            return Ok(());
        }
    }
}

/// Position in the form that a marker stores.
fn point(view: &ReadTxn<'_>, position: Position) -> ApiResult<Point> {
    let number = records::path_number(view.connection, &position.path)?;
    let number = number.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(Point { number, key: position.key })
}

/// `ListEntitiesForPolicy`. Only roles are listed: the account has no groups and its user has no
/// policies. The filters `LocalManagedPolicy` and `AWSManagedPolicy` match nothing, as recorded.
pub(in crate::emulator) fn entities(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let arn = call.text("PolicyArn");
    if managed::find(view, arn)?.is_none() {
        return Err(Refusal::policy_not_attachable(arn).into());
    }
    let prefix = call.optional_text("PathPrefix").unwrap_or("/");
    let kinds = call.optional_text("EntityFilter");
    let usage = call.optional_text("PolicyUsageFilter");
    let seal = format!("{arn} {kinds:?} {usage:?} {prefix}");
    let page = call.page(&view.account, &seal);
    let from = page.position(view.connection)?;
    let mut roles = if kinds.is_none_or(|kind| kind == "Role") {
        let usages = Usage::of_filter(usage);
        Users::of(view)?.page(arn, usages, prefix, &from, page.limit + 1)?
    } else {
        Vec::new()
    };
    let more = roles.len() > page.limit;
    roles.truncate(page.limit);
    let last = roles.last().filter(|_| more).map(|role| point(view, role.position.clone()));
    let end = page.end(last.transpose()?.as_ref());
    xml.within("PolicyGroups", |_| Ok::<(), CallFailure>(()))?;
    xml.within("PolicyUsers", |_| Ok::<(), CallFailure>(()))?;
    xml.within("PolicyRoles", |xml| {
        roles.iter().try_for_each(|role| {
            xml.within("member", |xml| {
                xml.text("RoleName", &role.name);
                xml.text("RoleId", &role.id);
                Ok::<(), CallFailure>(())
            })
        })
    })?;
    xml.piece(&end);
    Ok(())
}
