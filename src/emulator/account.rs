//! Actions on the account as a whole.

use super::call::Call;
use super::policies::record::Policy;
use super::policies::{inline, managed, versions};
use super::read_txn::ReadTxn;
use super::records::{self, Profile, Role};
use super::refusal::ApiResult;
use super::trust;
use super::xml::Xml;

/// `GetAccountSummary`. Counts the entities that the account can hold and reports zero for all
/// others. Quotas that cannot be set here are AWS's defaults.
pub(super) fn summary(view: &ReadTxn<'_>, _: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let (policies, policy_versions) = count_policies(view)?;
    let quotas = view.account.quotas;
    let quota = |most: usize| i64::try_from(most).unwrap_or(i64::MAX);
    let entries = [
        ("AccessKeysPerUserQuota", 2),
        ("AccountAccessKeysPresent", 0),
        ("AccountMFAEnabled", 0),
        ("AccountPasswordPresent", 0),
        ("AccountSigningCertificatesPresent", 0),
        ("AssumeRolePolicySizeQuota", quota(trust::MAX_CHARACTERS)),
        ("AttachedPoliciesPerGroupQuota", 10),
        ("AttachedPoliciesPerRoleQuota", i64::from(quotas.policies_per_role)),
        ("AttachedPoliciesPerUserQuota", 10),
        ("GlobalEndpointTokenVersion", 1),
        ("GroupPolicySizeQuota", 5120),
        ("Groups", 0),
        ("GroupsPerUserQuota", 10),
        ("GroupsQuota", 300),
        ("InstanceProfiles", view.count::<Profile>(view.account.profiles)?),
        ("InstanceProfilesQuota", i64::from(quotas.profiles)),
        ("MFADevices", 0),
        ("MFADevicesInUse", 0),
        ("Policies", policies),
        ("PoliciesQuota", managed::MAX_POLICIES),
        ("PolicySizeQuota", quota(managed::MAX_CHARACTERS)),
        ("PolicyVersionsInUse", policy_versions),
        ("PolicyVersionsInUseQuota", 10_000),
        ("Providers", 0),
        ("RolePolicySizeQuota", quota(inline::MAX_CHARACTERS)),
        ("Roles", view.count::<Role>(view.account.roles)?),
        ("RolesQuota", i64::from(quotas.roles)),
        ("ServerCertificates", 0),
        ("ServerCertificatesQuota", 20),
        ("SigningCertificatesPerUserQuota", 2),
        ("UserPolicySizeQuota", 2048),
        // The operator.
        ("Users", 1),
        ("UsersQuota", 5000),
        ("VersionsPerPolicyQuota", quota(versions::MAX_VERSIONS)),
    ];
    xml.within("SummaryMap", |xml| {
        entries.iter().try_for_each(|(key, value)| {
            xml.within("entry", |xml| {
                xml.text("key", key);
                xml.plain("value", value);
                Ok(())
            })
        })
    })
}

/// Counts the customer managed policies and all their versions, as this read sees them.
fn count_policies(view: &ReadTxn<'_>) -> rusqlite::Result<(i64, i64)> {
    let (policies, mut versions): (i64, i64) = view
        .connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(json_array_length(versions, '$.items')), 0)
             FROM managed_policy",
        )?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (key, seen) in view.past::<Policy>()? {
        let count = |policy: Option<Policy>| {
            let count = policy.map_or(0, |policy| policy.versions.len());
            i64::try_from(count).unwrap_or(i64::MAX)
        };
        versions += count(seen) - count(records::find(view.connection, &key)?);
    }
    Ok((view.count::<Policy>(policies)?, versions))
}

/// `ListAccountAliases`. An account has at most one alias, so there is no second page and no valid
/// marker.
pub(super) fn aliases(view: &ReadTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let page = call.page(&view.account, "");
    page.place()?;
    xml.within("AccountAliases", |xml| {
        if let Some(alias) = &view.account.alias {
            xml.text("member", alias);
        }
        Ok::<(), super::refusal::CallFailure>(())
    })?;
    xml.piece(&page.finish_items::<()>(&mut Vec::new()));
    Ok(())
}
