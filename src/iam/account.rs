//! `iam.account` and `iam.connect`: where calls go and who makes them.

use aws_sdk_iam::types::SummaryKeyType;

use super::fault::from_sdk;
use super::{Entry, Run};
use crate::error::{Error, Result};
use crate::spec::{Action, Effect, Field, Function, Param, Record, Returns, Type, Value};

/// The account as scripts see it.
pub static ACCOUNT: Record = Record {
    name: "iam.Account",
    doc: "The account that calls go to, and who makes them.",
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
            doc: "The account's alias, if it has one and the caller may see it.",
        },
        Field {
            name: "profiles",
            ty: "integer?",
            doc: "How many instance profiles there are; nil if the caller may not see it.",
        },
        Field {
            name: "profiles_quota",
            ty: "integer?",
            doc: "How many there may be: 1,000 unless AWS raised it.",
        },
        Field { name: "roles", ty: "integer?", doc: "How many roles there are." },
        Field { name: "roles_quota", ty: "integer?", doc: "How many there may be." },
    ],
};

/// The functions of `iam` itself.
pub static ENTRIES: &[Entry] = &[
    Entry {
        spec: Function {
            module: "",
            name: "account",
            actions: &[
                Action::sts("GetCallerIdentity"),
                Action::iam("GetAccountSummary"),
                Action::iam("ListAccountAliases"),
            ],
            effect: Effect::Read,
            params: &[],
            positional: &[],
            returns: Returns::One(&ACCOUNT),
            doc: "Says which account this is, who the caller is, and how much of the quota of profiles is used.",
            long: "The caller's identity needs no permission. What the caller may not see of the rest is nil.",
            example: r#"
local account = iam.account()
assert(account.id:match("^%d+$") and account.profiles <= account.profiles_quota)"#,
        },
        run: Run::Call(|clients, _| {
            Box::pin(async move {
                let (caller, summary, aliases) = tokio::join!(
                    clients.sts.get_caller_identity().send(),
                    clients.iam.get_account_summary().send(),
                    clients.iam.list_account_aliases().send(),
                );
                let caller = caller.map_err(|error| from_sdk("GetCallerIdentity", error))?;
                let summary =
                    if_allowed(summary.map_err(|error| from_sdk("GetAccountSummary", error)))?
                        .and_then(|out| out.summary_map)
                        .unwrap_or_default();
                let aliases =
                    if_allowed(aliases.map_err(|error| from_sdk("ListAccountAliases", error)))?
                        .map(|out| out.account_aliases)
                        .unwrap_or_default();
                let count = |key: &str| {
                    let count = summary.get(&SummaryKeyType::from(key));
                    count.map_or(Value::Nil, |count| Value::Int((*count).into()))
                };
                Ok(Value::record([
                    ("id", Value::text(caller.account)),
                    ("arn", Value::text(caller.arn)),
                    ("user_id", Value::text(caller.user_id)),
                    ("alias", Value::text(aliases.into_iter().next())),
                    ("profiles", count("InstanceProfiles")),
                    ("profiles_quota", count("InstanceProfilesQuota")),
                    ("roles", count("Roles")),
                    ("roles_quota", count("RolesQuota")),
                ]))
            })
        }),
    },
    Entry {
        spec: Function {
            module: "",
            name: "connect",
            actions: &[Action::sts("AssumeRole")],
            effect: Effect::Read,
            params: &[
                Param::optional(
                    "profile",
                    Type::Text { min: 1, max: 255 },
                    "The profile of ~/.aws/config whose credentials and region to use.",
                ),
                Param::optional("region", Type::Text { min: 1, max: 64 }, "The AWS region."),
                Param::optional(
                    "role_arn",
                    Type::Arn,
                    "The role to assume, with the credentials found.",
                ),
                Param::optional(
                    "external_id",
                    Type::Text { min: 2, max: 1224 },
                    "What the role's owner asks for, if anything.",
                ),
                Param::optional(
                    "session_name",
                    Type::Text { min: 2, max: 64 },
                    "The name of the session in the audit log. Default `iamlua`.",
                ),
                Param::optional(
                    "endpoint_url",
                    Type::Text { min: 8, max: 2048 },
                    "Where to send the calls instead of AWS.",
                ),
            ],
            positional: &[],
            returns: Returns::Module,
            doc: "Returns another `iam`, for another account or caller.",
            long: "What is not named is as in this one. The run's mode and limits hold there too. The role is assumed at the first call.",
            example: r#"
local other = iam.connect { role_arn = iam.roles.get("web-frontend").arn }
assert(other.account().arn:match(":assumed%-role/web%-frontend/iamlua$"))"#,
        },
        run: Run::Host,
    },
];

/// Nothing instead of an error where the caller lacks the permission.
fn if_allowed<T>(answer: Result<T, Error>) -> Result<Option<T>> {
    match answer {
        Ok(out) => Ok(Some(out)),
        Err(error) if error.code().starts_with("AccessDenied") => Ok(None),
        Err(error) => Err(error),
    }
}
