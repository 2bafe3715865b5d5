//! The actions about the account as a whole.

use super::call::Call;
use super::records::{Profile, Role};
use super::refusal::Outcome;
use super::trust;
use super::view::View;
use super::xml::Xml;

/// `GetAccountSummary`: what there is in the account is counted; what the local account never has is zero; the quotas of
/// such things are AWS's defaults.
pub(super) fn summary(view: &View<'_>, _: &Call<'_>, xml: &mut Xml) -> Outcome<()> {
    let policies: i64 = view
        .connection
        .prepare_cached("SELECT count(*) FROM policy WHERE arn NOT LIKE 'arn:aws:iam::aws:%'")?
        .query_row([], |row| row.get(0))?;
    let quotas = view.account.quotas;
    let trust_quota = i64::try_from(trust::MOST_CHARACTERS).unwrap_or(i64::MAX);
    let entries = [
        ("AccessKeysPerUserQuota", 2),
        ("AccountAccessKeysPresent", 0),
        ("AccountMFAEnabled", 0),
        ("AccountPasswordPresent", 0),
        ("AccountSigningCertificatesPresent", 0),
        ("AssumeRolePolicySizeQuota", trust_quota),
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
        ("PoliciesQuota", 1500),
        ("PolicySizeQuota", 6144),
        // A policy that only import knows of has one version.
        ("PolicyVersionsInUse", policies),
        ("PolicyVersionsInUseQuota", 10_000),
        ("Providers", 0),
        ("RolePolicySizeQuota", 10_240),
        ("Roles", view.count::<Role>(view.account.roles)?),
        ("RolesQuota", i64::from(quotas.roles)),
        ("ServerCertificates", 0),
        ("ServerCertificatesQuota", 20),
        ("SigningCertificatesPerUserQuota", 2),
        ("UserPolicySizeQuota", 2048),
        // The operator.
        ("Users", 1),
        ("UsersQuota", 5000),
        ("VersionsPerPolicyQuota", 5),
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

/// `ListAccountAliases`: an account has one alias at most, so there is no second page and no valid marker.
pub(super) fn aliases(view: &View<'_>, call: &Call<'_>, xml: &mut Xml) -> Outcome<()> {
    let page = call.page(&view.account, "");
    page.place()?;
    xml.within("AccountAliases", |xml| {
        if let Some(alias) = &view.account.alias {
            xml.text("member", alias);
        }
        Ok::<(), super::refusal::Failure>(())
    })?;
    xml.piece(&page.finish_items::<()>(&mut Vec::new()));
    Ok(())
}
