//! `iam.account` and `iam.connect`: where calls go and who makes them.

use std::time::SystemTime;

use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_iam::types::SummaryKeyType;

use super::{Entry, Implementation, Reads, date};
use crate::aws::client::Clients;
use crate::aws::from_sdk;
use crate::aws::network::without_password;
use crate::error::{Error, Result};
use crate::spec::{Action, Effect, Field, Function, Param, Record, Returns, Type, Value};

/// The call that says who the caller is.
pub const GET_CALLER_IDENTITY: Action = Action::sts("GetCallerIdentity");
/// The call that counts what is in the account.
pub const GET_ACCOUNT_SUMMARY: Action = Action::iam("GetAccountSummary");
/// The call that reads the account's alias.
pub const LIST_ACCOUNT_ALIASES: Action = Action::iam("ListAccountAliases");
/// Read by which a plan knows that there is a policy.
pub const GET_POLICY: Action = Action::iam("GetPolicy");
/// Read by which a plan knows that a role cannot be deleted.
pub const LIST_ROLE_POLICIES: Action = Action::role("ListRolePolicies");
const ASSUME_ROLE: Action = Action::sts("AssumeRole");

/// The account as scripts see it.
pub static ACCOUNT: Record = Record {
    name: "iam.Account",
    doc: "Account of the connection, and its caller.",
    fields: &[
        Field { name: "id", ty: "string", doc: "The account's 12 digits." },
        Field {
            name: "arn",
            ty: "string",
            doc: "The ARN of the caller: a user or an assumed role.",
        },
        Field { name: "user_id", ty: "string", doc: "The unique id of the caller." },
        Field {
            name: "alias",
            ty: "string?",
            doc: "The account's alias; nil without one, or if the caller may not see it.",
        },
        Field {
            name: "profiles",
            ty: "integer?",
            doc: "Number of instance profiles; nil if the caller may not see it.",
        },
        Field {
            name: "profiles_quota",
            ty: "integer?",
            doc: "Quota of instance profiles: 1,000 unless AWS raised it.",
        },
        Field { name: "roles", ty: "integer?", doc: "Number of roles." },
        Field { name: "roles_quota", ty: "integer?", doc: "Quota of roles." },
        Field {
            name: "credentials",
            ty: "string",
            doc: "Source of the credentials, with file and line, or variable; never a secret.",
        },
        Field {
            name: "credentials_expiration",
            ty: "string?",
            doc: "Expiration of the credentials: ISO 8601, UTC; nil without one.",
        },
        Field { name: "region", ty: "string", doc: "The region of the connection." },
        Field {
            name: "endpoint_url",
            ty: "string?",
            doc: "The endpoint of IAM; nil if it is AWS's own.",
        },
        Field {
            name: "proxy",
            ty: "string?",
            doc: "The proxy of `https:` addresses, without its password; nil if there is none.",
        },
        Field {
            name: "ca_bundle",
            ty: "string?",
            doc: "The file of trusted certificates; nil if they are the system's.",
        },
    ],
};

/// The functions of `iam` itself.
pub static ENTRIES: &[Entry] = &[
    Entry {
        spec: Function {
            module: "",
            name: "account",
            actions: &[GET_CALLER_IDENTITY, GET_ACCOUNT_SUMMARY, LIST_ACCOUNT_ALIASES],
            effect: Effect::Read,
            params: &[],
            positional: &[],
            returns: Returns::One(&ACCOUNT),
            doc: "Returns the account, the caller, and the use of the quotas.",
            long: "The caller's identity needs no permission. Other fields that the caller may \
                   not see are nil.",
            example: r#"
local account = iam.account()
assert(account.id:match("^%d+$") and account.profiles <= account.profiles_quota)"#,
        },
        run: Implementation::Read(Reads::Account, |sdk, _| {
            Box::pin(async move {
                let clients = sdk.clients();
                let (caller, counts, alias) =
                    tokio::join!(identity(clients), counts(clients), alias(clients));
                let (caller, counts, alias) = (caller?, counts?, if_allowed(alias)?.flatten());
                let count = |pick: fn(&AccountCounts) -> Option<i64>| {
                    counts.as_ref().and_then(pick).map_or(Value::Nil, Value::Int)
                };
                let settings = clients.info.settings.as_deref();
                let network = settings.map(|settings| &settings.network);
                let end = credentials_end(clients).await;
                let endpoint = settings.and_then(|settings| {
                    let own = || Some(settings.configured_endpoint("IAM")?.value);
                    settings.endpoint_url.clone().or_else(own)
                });
                let region = clients.config.region().map(ToString::to_string);
                let proxy = network.and_then(|network| network.https_proxy.as_ref());
                let bundle = network.and_then(|network| network.ca_bundle.as_ref());
                Ok(Value::record([
                    ("id", Value::text(caller.account)),
                    ("arn", Value::text(caller.arn)),
                    ("user_id", Value::text(caller.user_id)),
                    ("alias", Value::text(alias)),
                    ("profiles", count(|counts| counts.profiles)),
                    ("profiles_quota", count(|counts| counts.profiles_quota)),
                    ("roles", count(|counts| counts.roles)),
                    ("roles_quota", count(|counts| counts.roles_quota)),
                    ("credentials", Value::Str(clients.info.credentials.clone())),
                    ("credentials_expiration", end.map_or(Value::Nil, |end| date(end.into()))),
                    ("region", Value::text(region)),
                    ("endpoint_url", Value::text(endpoint.as_deref().map(without_password))),
                    ("proxy", Value::text(proxy.map(|proxy| proxy.value.shown()))),
                    (
                        "ca_bundle",
                        Value::text(bundle.map(|bundle| bundle.value.path.display().to_string())),
                    ),
                ]))
            })
        }),
    },
    Entry {
        spec: Function {
            module: "",
            name: "connect",
            actions: &[ASSUME_ROLE],
            effect: Effect::Read,
            params: &[
                Param::optional(
                    "profile",
                    Type::Text { min: 1, max: 255 },
                    "Profile of ~/.aws/config for credentials and region.",
                ),
                Param::optional("region", Type::Text { min: 1, max: 64 }, "The AWS region."),
                Param::optional(
                    "role_arn",
                    Type::RoleArn,
                    "Role to assume with the selected credentials.",
                ),
                Param::optional(
                    "external_id",
                    Type::Text { min: 2, max: 1224 },
                    "External id that the role's trust policy requires, if any.",
                ),
                Param::optional(
                    "session_name",
                    Type::Text { min: 2, max: 64 },
                    "Name of the session in the audit log. Default `iamlua`.",
                ),
                Param::optional(
                    "endpoint_url",
                    Type::Text { min: 8, max: 2048 },
                    "Endpoint that replaces AWS's.",
                ),
            ],
            positional: &[],
            returns: Returns::Module,
            doc: "Returns another `iam`, for another account or caller.",
            long: "Options that are left out are taken from this `iam`. The run's mode and \
                   limits apply there too. The role is assumed at the first call. On the local \
                   account `profile` and `endpoint_url` are refused, because they lead out of \
                   it. An endpoint other than AWS's own or the run's, set by `endpoint_url` or \
                   by the profile, needs `--allow-net=HOST`, also under a plan.",
            example: r#"
local other = iam.connect { role_arn = iam.roles.get("reporting").arn }
assert(other.account().arn:match(":assumed%-role/reporting/iamlua$"))"#,
        },
        run: Implementation::Host,
    },
];

/// Caller and account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The account's 12 digits; none where an endpoint does not say.
    pub account: Option<String>,
    /// The caller's ARN.
    pub arn: Option<String>,
    /// The caller's unique id.
    pub user_id: Option<String>,
}

impl Identity {
    /// The partition of the caller's ARN, such as `aws-cn`.
    #[must_use]
    pub fn partition(&self) -> Option<&str> {
        self.arn.as_deref()?.split(':').nth(1)
    }
}

/// Asks who calls; that needs no permission.
///
/// # Errors
/// If no answer comes, or the credentials are refused.
pub async fn identity(clients: &Clients) -> Result<Identity> {
    // On the heap, as all calls of the SDK's: they take kilobytes, and add up where they stand in
    // each other.
    let caller = Box::pin(clients.sts.get_caller_identity().send()).await;
    let caller = caller.map_err(|error| from_sdk(GET_CALLER_IDENTITY.name, error))?;
    Ok(Identity { account: caller.account, arn: caller.arn, user_id: caller.user_id })
}

/// End of a connection's credentials; `None` if they do not end, or there are none. They are those
/// that the calls before were signed with.
pub async fn credentials_end(clients: &Clients) -> Option<SystemTime> {
    let provider = clients.config.credentials_provider()?;
    provider.provide_credentials().await.ok()?.expiry()
}

/// The account's alias, if it has one.
///
/// # Errors
/// What AWS says; not everybody may see it.
pub async fn alias(clients: &Clients) -> Result<Option<String>> {
    let aliases = Box::pin(clients.iam.list_account_aliases().send()).await;
    let aliases = aliases.map_err(|error| from_sdk(LIST_ACCOUNT_ALIASES.name, error))?;
    Ok(aliases.account_aliases.into_iter().next())
}

/// Numbers of entities in the account, and its quotas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountCounts {
    /// Instance profiles.
    pub profiles: Option<i64>,
    /// Quota of instance profiles.
    pub profiles_quota: Option<i64>,
    /// Roles.
    pub roles: Option<i64>,
    /// Quota of roles.
    pub roles_quota: Option<i64>,
    /// Quota of managed policies per role.
    pub policies_per_role: Option<i64>,
}

/// Asks how much there is; `None` if the caller may not see it.
///
/// # Errors
/// Every other failure.
pub async fn counts(clients: &Clients) -> Result<Option<AccountCounts>> {
    let summary = Box::pin(clients.iam.get_account_summary().send()).await;
    let summary = if_allowed(summary.map_err(|error| from_sdk(GET_ACCOUNT_SUMMARY.name, error)))?;
    Ok(summary.map(|out| {
        let map = out.summary_map.unwrap_or_default();
        let count = |key: &str| map.get(&SummaryKeyType::from(key)).map(|n| i64::from(*n));
        AccountCounts {
            profiles: count("InstanceProfiles"),
            profiles_quota: count("InstanceProfilesQuota"),
            roles: count("Roles"),
            roles_quota: count("RolesQuota"),
            policies_per_role: count("AttachedPoliciesPerRoleQuota"),
        }
    }))
}

/// Existence of a managed policy; assumed where the caller may not see it.
///
/// # Errors
/// Every other failure.
pub async fn has_policy(clients: &Clients, arn: &str) -> Result<bool> {
    let found = Box::pin(clients.iam.get_policy().policy_arn(arn).send()).await;
    match found.map_err(|error| from_sdk(GET_POLICY.name, error)) {
        Err(error) if error.code() == "NoSuchEntity" => Ok(false),
        other => if_allowed(other).map(|_| true),
    }
}

/// One page of the names of a role's inline policies, and the marker of the next one. No names
/// where the caller may not see them or there is no such role.
///
/// # Errors
/// Every other failure.
pub async fn inline_policies(
    clients: &Clients,
    role: &str,
    marker: Option<String>,
) -> Result<(Vec<String>, Option<String>)> {
    let call = clients.iam.list_role_policies().role_name(role).set_marker(marker);
    let page = Box::pin(call.send()).await;
    match page.map_err(|error| from_sdk(LIST_ROLE_POLICIES.name, error)) {
        Err(error) if error.code() == "NoSuchEntity" => Ok((Vec::new(), None)),
        other => Ok(if_allowed(other)?.map_or_else(Default::default, |page| {
            let marker = page.marker.filter(|_| page.is_truncated);
            (page.policy_names, marker)
        })),
    }
}

/// Nothing instead of an error where the caller lacks the permission.
fn if_allowed<T>(answer: Result<T, Error>) -> Result<Option<T>> {
    match answer {
        Ok(out) => Ok(Some(out)),
        Err(error) if error.code().starts_with("AccessDenied") => Ok(None),
        Err(error) => Err(error),
    }
}
