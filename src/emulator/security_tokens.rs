//! Actions of STS for callers with credentials. A role's trust policy decides who may assume it;
//! the caller's own policies are not evaluated.
//!
//! Refusals of session tags were recorded by `LocalStack` (`test_sts.py`,
//! `TestSTSAssumeRoleTagging`).

use serde_json::Value;

use super::authorization::RoleAssumption;
use super::call::{Call, Caller};
use super::read_txn::ReadTxn;
use super::records::{LastUsed, Role, Tag};
use super::refusal::{ApiResult, Refusal};
use super::sessions::{self, Context, Holder};
use super::trust::evaluation::Decision;
use super::write_txn::WriteTxn;
use super::xml::Xml;

/// Size limit of session policy and session tags together. AWS packs them into the token and
/// answers with the share of the limit that they take.
const MAX_PACKED_CHARACTERS: usize = 2048;
const DEFAULT_DURATION: i64 = 3600;
/// Default duration of `GetSessionToken`.
const DEFAULT_TOKEN_DURATION: i64 = 43_200;
const MAX_CHAINED_DURATION: i64 = 3600;

/// `GetCallerIdentity`. It never fails.
#[allow(clippy::unnecessary_wraps, reason = "the table of actions has one type for all")]
pub(super) fn caller_identity(view: &ReadTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    xml.text("Arn", &call.caller.arn(&view.account));
    xml.text("UserId", &call.caller.user_id());
    xml.text("Account", &view.account.id);
    Ok(())
}

/// `GetSessionToken`: credentials of the calling user, with the time of MFA if it was used.
pub(super) fn session_token(edit: &WriteTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    if call.context.issued.is_some() {
        return Err(denied("Cannot call GetSessionToken with session credentials").into());
    }
    let mfa = mfa(edit, call)?;
    let context = Context { issued: Some(edit.seconds()), mfa, ..Context::default() };
    let duration = call.optional_number("DurationSeconds").unwrap_or(DEFAULT_TOKEN_DURATION);
    sessions::issue_credentials(edit, xml, Holder::User, duration, &context)
}

/// `AssumeRole`. The credentials are valid until they expire or the role is deleted.
pub(super) fn assume_role(edit: &WriteTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let arn = call.text("RoleArn");
    let role = role_of(edit, arn)?;
    check_session_policy(call)?;
    let new_tags = call.tags();
    let new_transitive = check_tags(call, &new_tags)?;
    let source_identity = source_identity(call)?;
    let mfa = mfa(edit, call)?.or(call.context.mfa);
    let may_not = |action: &str, note: &str| {
        Refusal::may_not_assume(&call.caller.arn(&edit.account), action, arn, note)
    };
    let mut role = role.ok_or_else(|| may_not("sts:AssumeRole", ""))?;

    let calling_role = match &call.caller {
        Caller::Operator => None,
        Caller::Session { role_name, .. } => edit.find::<Role>(role_name)?,
    };
    let inherited = call.context.inherited();
    let mut needed = vec!["sts:AssumeRole"];
    if !new_tags.is_empty() || !inherited.is_empty() {
        needed.push("sts:TagSession");
    }
    if source_identity.is_some() {
        needed.push("sts:SetSourceIdentity");
    }
    let request = RoleAssumption {
        edit,
        call,
        role: &role,
        calling_role: calling_role.as_ref(),
        tags: &new_tags,
        mfa,
        token: None,
    };
    for action in needed {
        match request.decide(action) {
            Decision::Allowed => {}
            Decision::NotAllowed => return Err(may_not(action, "").into()),
            // IAM User Guide, "Troubleshoot access denied error messages".
            Decision::Denied => {
                return Err(
                    may_not(action, " with an explicit deny in the role trust policy").into()
                );
            }
        }
    }
    let duration = call.optional_number("DurationSeconds").unwrap_or(DEFAULT_DURATION);
    check_duration(duration, &role, &call.caller)?;

    let packed = packed_size(call, &new_tags)?;
    let tags = inherited.into_iter().chain(new_tags).collect();
    let transitive = call.context.transitive.iter().cloned().chain(new_transitive).collect();
    let context = Context {
        issued: Some(edit.seconds()),
        mfa,
        tags,
        transitive,
        source_identity: source_identity.clone(),
        ..Context::default()
    };
    use_role(edit, call, &mut role)?;
    let session = call.text("RoleSessionName");
    sessions::write_assumed_role(xml, &edit.account, &role, session)?;
    sessions::issue_credentials(edit, xml, Holder::Role(&role, session), duration, &context)?;
    if let Some(identity) = source_identity {
        xml.text("SourceIdentity", &identity);
    }
    if let Some(size) = packed {
        xml.plain("PackedPolicySize", size);
    }
    Ok(())
}

/// Records the use of a role, with the current time.
pub(super) fn use_role(edit: &WriteTxn<'_>, call: &Call<'_>, role: &mut Role) -> ApiResult<()> {
    role.last_used = Some(LastUsed { at: edit.seconds(), region: call.region.to_owned() });
    Ok(edit.update(role)?)
}

/// Role with an ARN, if it is one of the account. A malformed ARN is refused; the kind of entity is
/// not checked then (recorded by `LocalStack`: `test_sts_invalid_parameters`; Ansible's
/// `amazon.aws`, target `sts_assume_role`).
///
/// Names in ARNs are case-sensitive. IAM User Guide, "Create a role to give permissions to an IAM
/// user": "When a role name is used in a policy or as part of an ARN, the role name is case
/// sensitive".
pub(super) fn role_of(edit: &WriteTxn<'_>, arn: &str) -> ApiResult<Option<Role>> {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let is_arn = matches!(
        parts.as_slice(),
        ["arn", partition, service, _, _, resource]
            if ![partition, service, resource].iter().any(|part| part.is_empty())
    );
    if !is_arn {
        return Err(Refusal::validation(format!("{arn} is invalid")).into());
    }
    let name = arn.rsplit('/').next().unwrap_or_default();
    Ok(edit.find::<Role>(name)?.filter(|role| role.arn(&edit.account.id) == arn))
}

/// Refuses an invalid session policy. Only the code is certain. The message is that of Hadoop's S3A
/// documentation.
pub(super) fn check_session_policy(call: &Call<'_>) -> Result<(), Refusal> {
    let Some(policy) = call.optional_text("Policy") else { return Ok(()) };
    let policy: Option<Value> = serde_json::from_str(policy).ok();
    if policy.is_some_and(|policy| policy.get("Statement").is_some()) {
        return Ok(());
    }
    Err(Refusal::malformed_policy("The policy is not in the valid JSON format."))
}

/// Share of the size limit that the session policy and the new tags take, in percent, if there are
/// any. AWS's packing is not known: a character counts as a byte.
pub(super) fn packed_size(call: &Call<'_>, tags: &[Tag]) -> Result<Option<usize>, Refusal> {
    let policy = call.optional_text("Policy");
    if policy.is_none() && tags.is_empty() {
        return Ok(None);
    }
    let tags: usize =
        tags.iter().map(|tag| tag.key.chars().count() + tag.value.chars().count()).sum();
    let characters = policy.map_or(0, |policy| policy.chars().count()) + tags;
    let share = (characters * 100).div_ceil(MAX_PACKED_CHARACTERS);
    if share <= 100 {
        return Ok(Some(share));
    }
    let message =
        format!("Packed policy consumes {share}% of allotted space, please use smaller policy.");
    Err(Refusal { status: 400, code: "PackedPolicyTooLarge", message })
}

/// Checks the tags of a request; returns the transitive keys.
fn check_tags(call: &Call<'_>, tags: &[Tag]) -> Result<Vec<String>, Refusal> {
    let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
    for (number, tag) in tags.iter().enumerate() {
        if tags[..number].iter().any(|earlier| same(&earlier.key, &tag.key)) {
            return Err(invalid_parameter(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        if same(tag.key.get(..4).unwrap_or_default(), "aws:") {
            let message = Refusal::reserved_tag_key().message;
            return Err(invalid_parameter(message));
        }
        if call.context.transitive.iter().any(|key| same(key, &tag.key)) {
            return Err(invalid_parameter(
                "One of the specified transitive tag keys can't be set because it conflicts with a \
                 transitive tag key from the calling session.",
            ));
        }
    }
    let transitive = call.form.list("TransitiveTagKeys").unwrap_or_default();
    transitive
        .iter()
        .filter_map(|member| member.field(""))
        .map(|key| {
            let tag = tags.iter().find(|tag| same(&tag.key, key));
            tag.map(|tag| tag.key.clone()).ok_or_else(|| {
                invalid_parameter(
                    "The specified transitive tag key must be included in the requested tags.",
                )
            })
        })
        .collect()
}

/// Source identity of the new session. The source identity of a session cannot be changed: the
/// message was reported publicly, the code is that of similar errors.
fn source_identity(call: &Call<'_>) -> Result<Option<String>, Refusal> {
    let inherited = &call.context.source_identity;
    match call.optional_text("SourceIdentity") {
        Some(_) if inherited.is_some() => Err(invalid_parameter(
            "The source identity is already set for this assume role session",
        )),
        Some(new) => Ok(Some(new.to_owned())),
        None => Ok(inherited.clone()),
    }
}

/// Time of MFA, if the request has a code. Any device and any code are accepted.
fn mfa(edit: &WriteTxn<'_>, call: &Call<'_>) -> Result<Option<i64>, Refusal> {
    match (call.optional_text("SerialNumber"), call.optional_text("TokenCode")) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) if matches!(call.caller, Caller::Operator) => Ok(Some(edit.seconds())),
        // Roles have no MFA device.
        (Some(_), Some(_)) => Err(denied(
            "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA \
             serial number is valid and associated with this user.",
        )),
        _ => Err(denied(
            "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass \
             code.",
        )),
    }
}

/// Checks the session duration. Messages: public reports; IAM User Guide, "Role chaining".
fn check_duration(duration: i64, role: &Role, caller: &Caller) -> Result<(), Refusal> {
    if duration > role.max_session {
        return Err(Refusal::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    let is_chained = matches!(caller, Caller::Session { .. });
    if is_chained && duration > MAX_CHAINED_DURATION {
        return Err(Refusal::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining.",
        ));
    }
    Ok(())
}

fn invalid_parameter(message: impl Into<String>) -> Refusal {
    Refusal { status: 400, code: "InvalidParameterValue", message: message.into() }
}

pub(super) fn denied(message: impl Into<String>) -> Refusal {
    Refusal { status: 403, code: "AccessDenied", message: message.into() }
}
