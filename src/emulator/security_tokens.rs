//! The two STS actions. Nobody's permissions are evaluated: whoever calls may assume every role of the account, and no
//! role of another one.

use rusqlite::params;

use super::call::{Call, Caller};
use super::clock::iso8601;
use super::edit::Edit;
use super::records::{LastUsed, Role};
use super::refusal::{Outcome, Refusal};
use super::view::View;
use super::xml::Xml;

/// What a session policy may weigh: AWS packs it into the token and answers with the share that it takes.
const PACKED_POLICY_CHARACTERS: usize = 2048;
const DEFAULT_DURATION: i64 = 3600;

/// `GetCallerIdentity`, which cannot fail.
#[allow(clippy::unnecessary_wraps, reason = "the table of actions has one type for all")]
pub(super) fn caller_identity(view: &View<'_>, call: &Call<'_>, xml: &mut Xml) -> Outcome<()> {
    xml.text("Arn", &call.caller.arn(&view.account.id));
    xml.text("UserId", &call.caller.user_id());
    xml.text("Account", &view.account.id);
    Ok(())
}

/// `AssumeRole`: the credentials it gives are good for every later call, until they expire or the role is deleted.
pub(super) fn assume_role(edit: &Edit<'_>, call: &Call<'_>, xml: &mut Xml) -> Outcome<()> {
    let arn = call.text("RoleArn");
    let name = role_name(arn).ok_or_else(|| Refusal::validation(format!("{arn} is invalid")))?;
    let account_id = &edit.account.id;
    let role: Option<Role> = edit.find(name)?;
    let role = role.filter(|role| role.arn(account_id) == arn);
    let denied = || Refusal::may_not_assume(&call.caller.arn(account_id), arn);
    let mut role = role.ok_or_else(denied)?;
    let duration = call.optional_number("DurationSeconds").unwrap_or(DEFAULT_DURATION);
    check_duration(duration, &role, &call.caller)?;

    let session = call.text("RoleSessionName");
    let access_key = new_access_key(edit)?;
    let expires = edit.seconds() + duration;
    edit.connection
        .prepare_cached(
            "INSERT INTO session (access_key, role_id, role_name, name, expires)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![access_key, role.id, role.name, session, expires])?;
    let region = call.region.to_owned();
    role.last_used = Some(LastUsed { at: edit.seconds(), region });
    edit.update(&role)?;

    xml.within("AssumedRoleUser", |xml| {
        xml.text("AssumedRoleId", &format!("{}:{session}", role.id));
        let role = &role.name;
        xml.text("Arn", &format!("arn:aws:sts::{account_id}:assumed-role/{role}/{session}"));
        Ok::<(), super::refusal::Failure>(())
    })?;
    xml.within("Credentials", |xml| {
        xml.text("AccessKeyId", &access_key);
        xml.text("SecretAccessKey", &edit.random.secret());
        xml.text("SessionToken", &edit.random.session_token());
        xml.text("Expiration", &iso8601(expires));
        Ok::<(), super::refusal::Failure>(())
    })?;
    if let Some(identity) = call.optional_text("SourceIdentity") {
        xml.text("SourceIdentity", identity);
    }
    if let Some(policy) = call.optional_text("Policy") {
        let share = (policy.chars().count() * 100).div_ceil(PACKED_POLICY_CHARACTERS);
        xml.plain("PackedPolicySize", share.min(100));
    }
    Ok(())
}

/// A key that no session has: two processes with one seed would otherwise make the same.
fn new_access_key(edit: &Edit<'_>) -> Outcome<String> {
    let sql = "SELECT 1 FROM session WHERE access_key = ?1";
    let mut known = edit.connection.prepare_cached(sql)?;
    loop {
        let access_key = edit.random.session_key(&edit.account.id);
        if !known.exists([&access_key])? {
            return Ok(access_key);
        }
    }
}

fn check_duration(duration: i64, role: &Role, caller: &Caller) -> Result<(), Refusal> {
    if duration > role.max_session {
        return Err(Refusal::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    if matches!(caller, Caller::Session { .. }) && duration > 3600 {
        return Err(Refusal::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
             role chaining.",
        ));
    }
    Ok(())
}

/// The name in a role's ARN; `None` if it is not a role's ARN.
fn role_name(arn: &str) -> Option<&str> {
    let (account, resource) = arn.strip_prefix("arn:aws:iam::")?.split_once(':')?;
    let numbered = account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit());
    let name = resource.strip_prefix("role/")?.rsplit('/').next()?;
    (numbered && !name.is_empty()).then_some(name)
}
