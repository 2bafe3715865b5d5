//! Context of a caller's credentials: MFA, session tags and source identity. Long-term keys have
//! none.

use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::clock::iso8601;
use super::read_txn::AccountRow;
use super::records::{Role, Tag};
use super::refusal::{ApiResult, CallFailure};
use super::write_txn::WriteTxn;
use super::xml::Xml;

/// Context of one session. The default is that of a long-term key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Context {
    /// Issue time of the credentials, in seconds since 1970. None for a long-term key.
    pub(super) issued: Option<i64>,
    /// Time of MFA, in seconds since 1970.
    pub(super) mfa: Option<i64>,
    /// Session tags, including those inherited from the calling session.
    pub(super) tags: Vec<Tag>,
    /// Keys of the transitive tags, which the next session inherits.
    pub(super) transitive: Vec<String>,
    pub(super) source_identity: Option<String>,
    /// Identity provider whose token was given instead of credentials.
    #[serde(default)]
    pub(super) federated_provider: Option<String>,
    /// ARN of the assumed role, as it is now.
    #[serde(skip)]
    pub(super) role_arn: Option<String>,
}

impl Context {
    /// Session tags that a session started by this one inherits.
    pub(super) fn inherited(&self) -> Vec<Tag> {
        let is_transitive =
            |tag: &&Tag| self.transitive.iter().any(|key| key.eq_ignore_ascii_case(&tag.key));
        self.tags.iter().filter(is_transitive).cloned().collect()
    }
}

/// Owner of new credentials.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holder<'a> {
    /// Calling user.
    User,
    /// Role, with a session name.
    Role(&'a Role, &'a str),
}

/// Writes `<Credentials>` with credentials that are valid for a number of seconds.
pub(super) fn issue_credentials(
    edit: &WriteTxn<'_>,
    xml: &mut Xml,
    holder: Holder<'_>,
    duration: i64,
    context: &Context,
) -> ApiResult<()> {
    let access_key = new_access_key(edit)?;
    let expires = edit.seconds() + duration;
    // The session of a user has no role.
    let (role_id, role_name, name) = match holder {
        Holder::User => ("", "", ""),
        Holder::Role(role, session) => (role.id.as_str(), role.name.as_str(), session),
    };
    edit.connection
        .prepare_cached(
            "INSERT INTO session (access_key, role_id, role_name, name, expires)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![access_key, role_id, role_name, name, expires])?;
    let context = serde_json::to_string(context)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    edit.connection
        .prepare_cached("INSERT INTO session_context (access_key, context) VALUES (?1, ?2)")?
        .execute(params![access_key, context])?;
    xml.within("Credentials", |xml| {
        xml.text("AccessKeyId", &access_key);
        xml.text("SecretAccessKey", &edit.random.secret());
        xml.text("SessionToken", &edit.random.session_token());
        xml.text("Expiration", &iso8601(expires));
        Ok(())
    })
}

/// Writes `<AssumedRoleUser>`.
pub(super) fn write_assumed_role(
    xml: &mut Xml,
    account: &AccountRow,
    role: &Role,
    session: &str,
) -> ApiResult<()> {
    xml.within("AssumedRoleUser", |xml| {
        xml.text("AssumedRoleId", &format!("{}:{session}", role.id));
        xml.text("Arn", &account.assumed_role_arn(&role.name, session));
        Ok::<(), CallFailure>(())
    })
}

/// Unused access key. Two processes with the same seed generate the same keys.
fn new_access_key(edit: &WriteTxn<'_>) -> ApiResult<String> {
    let sql = "SELECT 1 FROM session WHERE access_key = ?1";
    let mut known = edit.connection.prepare_cached(sql)?;
    loop {
        let access_key = edit.random.session_key(&edit.account.id);
        if !known.exists([&access_key])? {
            return Ok(access_key);
        }
    }
}
