//! A call: action, caller, and typed access to its parameters. The parameters have been validated
//! against the action's row in the table, so the accessors do not check them again.

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Map, Value};

use super::actions::Action;
use super::form::Form;
use super::marker::{Point, Seal};
use super::random::session_account;
use super::read_txn::{AccountRow, position};
use super::records::{self, Position, Tag};
use super::refusal::{ApiResult, Refusal};
use super::service::Service;
use super::sessions::Context;
use super::xml::Xml;

/// Credential scope in a request's `Authorization` header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credential<'a> {
    pub(super) access_key: &'a str,
    pub(super) region: Option<&'a str>,
    pub(super) service: Option<&'a str>,
}

impl<'a> Credential<'a> {
    /// Credential of an unsigned request.
    pub(super) const NONE: Self = Self { access_key: "", region: None, service: None };

    /// Parses `AWS4-… Credential=KEY/DATE/REGION/SERVICE/aws4_request, …`. The signature is not
    /// verified.
    pub(super) fn parse(header: &'a str) -> Option<Self> {
        let (_, rest) = header.split_once("Credential=")?;
        let scope = rest.split([',', ' ']).next()?;
        let mut parts = scope.split('/');
        let access_key = parts.next().filter(|key| !key.is_empty())?;
        let rest: Vec<_> = parts.collect();
        // Parsed from the end, because the asymmetric form has no region.
        let (region, service) = match rest.as_slice() {
            [_, region, service, _] => (Some(*region), Some(*service)),
            [_, service, _] => (None, Some(*service)),
            _ => (None, None),
        };
        Some(Self { access_key, region, service })
    }
}

/// Name and unique id of the account's own user.
pub(super) const OPERATOR_NAME: &str = "local-operator";
pub(super) const OPERATOR_ID: &str = "AIDALOCALOPERATOR2345";

/// Caller of an action.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// The account's own user. Every access key that does not belong to a session stands for it.
    Operator,
    /// Session of an assumed role.
    Session { role_id: String, role_name: String, name: String },
}

impl Caller {
    /// Caller and session context for an access key. A session's key is refused once the session or
    /// its role is gone.
    pub(super) fn of(
        access_key: &str,
        service: Service,
        account: &AccountRow,
        now: i64,
        connection: &Connection,
    ) -> ApiResult<(Self, Context)> {
        if session_account(access_key).as_deref() != Some(&account.id) {
            return Ok((Self::Operator, Context::default()));
        }
        let session = connection
            .prepare_cached(
                "SELECT session.role_id, session.role_name, session.name, session.expires,
                     role.path, role.name, session_context.context
                 FROM session
                 LEFT JOIN role ON role.id = session.role_id
                 LEFT JOIN session_context ON session_context.access_key = session.access_key
                 WHERE session.access_key = ?1",
            )?
            .query_row([access_key], |row| {
                let role_id: String = row.get(0)?;
                let path: Option<String> = row.get(4)?;
                let current_name: Option<String> = row.get(5)?;
                let context: Option<String> = row.get(6)?;
                let context = context.and_then(|json| serde_json::from_str(&json).ok());
                let mut context: Context = context.unwrap_or_default();
                context.issued = context.issued.or(Some(0));
                context.role_arn = path
                    .zip(current_name)
                    .map(|(path, name)| format!("{}role{path}{name}", account.iam_arn_start()));
                let is_known = role_id.is_empty() || context.role_arn.is_some();
                let caller = if role_id.is_empty() {
                    Self::Operator
                } else {
                    Self::Session { role_id, role_name: row.get(1)?, name: row.get(2)? }
                };
                let expires: i64 = row.get(3)?;
                Ok(is_known.then_some((caller, context, expires)))
            })
            .optional()?
            .flatten();
        let (caller, context, expires) =
            session.ok_or_else(|| Refusal::unknown_credentials(service))?;
        if expires * 1000 <= now {
            return Err(Refusal::expired_credentials(service).into());
        }
        // Credentials from GetSessionToken may call IAM only if they were issued with MFA. IAM User
        // Guide, "Compare AWS STS credentials".
        let is_user = matches!(caller, Self::Operator);
        if is_user && service == Service::IAM && context.mfa.is_none() {
            return Err(Refusal::unknown_credentials(service).into());
        }
        Ok((caller, context))
    }

    pub(super) fn arn(&self, account: &AccountRow) -> String {
        match self {
            Self::Operator => format!("{}user/{OPERATOR_NAME}", account.iam_arn_start()),
            Self::Session { role_name, name, .. } => account.assumed_role_arn(role_name, name),
        }
    }

    pub(super) fn user_id(&self) -> String {
        match self {
            Self::Operator => OPERATOR_ID.to_owned(),
            Self::Session { role_id, name, .. } => format!("{role_id}:{name}"),
        }
    }
}

/// A call with valid parameters.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) action: &'static Action,
    /// Form parameters; empty for protocols without a form.
    pub(super) form: &'a Form,
    /// Fields of the JSON body, path and query; empty for protocols without JSON.
    pub(super) json: &'a Map<String, Value>,
    pub(super) caller: Caller,
    /// Context of the caller's credentials.
    pub(super) context: Context,
    pub(super) region: &'a str,
}

impl<'a> Call<'a> {
    /// Required parameter.
    pub(super) fn text(&self, name: &str) -> &'a str {
        self.form.get(name).unwrap_or_else(|| {
            unreachable!("{} is carried out without its {name}", self.action.name)
        })
    }

    /// Optional parameter.
    pub(super) fn optional_text(&self, name: &str) -> Option<&'a str> {
        self.form.get(name)
    }

    /// Optional number.
    pub(super) fn optional_number(&self, name: &str) -> Option<i64> {
        self.form.get(name)?.parse().ok()
    }

    /// Value of a boolean parameter; false if it is missing.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.form.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// String in the JSON.
    pub(super) fn json_text(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        match self.json.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Refusal::unreadable_value(name, "a text")),
        }
    }

    /// Integer in the JSON; in a query it is a string.
    pub(super) fn json_number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let number = match self.json.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.parse().ok(),
            Some(value) => value.as_i64(),
        };
        number.map(Some).ok_or_else(|| Refusal::unreadable_value(name, "a whole number"))
    }

    /// List of strings in the JSON; empty if it is missing.
    pub(super) fn json_texts(&self, name: &str) -> Result<Vec<&'a str>, Refusal> {
        let wrong = || Refusal::unreadable_value(name, "a list of texts");
        match self.json.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(values)) => {
                values.iter().map(|value| value.as_str().ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    /// Timestamp in the JSON, in whole seconds since 1970.
    pub(super) fn json_moment(&self, name: &str) -> Result<Option<i64>, Refusal> {
        match self.json.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let seconds = value.as_f64().map(f64::floor);
                #[allow(clippy::cast_possible_truncation, reason = "a cast ends at the bounds")]
                let seconds = seconds.map(|seconds| seconds as i64);
                seconds.map(Some).ok_or_else(|| Refusal::unreadable_value(name, "a moment"))
            }
        }
    }

    /// Tags in the parameter `Tags`; empty if it is missing.
    pub(super) fn tags(&self) -> Vec<Tag> {
        let members = self.form.list("Tags").unwrap_or_default();
        let tag = |member: &super::form::Member<'_>| Tag {
            key: member.field("Key").unwrap_or_default().to_owned(),
            value: member.field("Value").unwrap_or_default().to_owned(),
        };
        members.iter().map(tag).collect()
    }

    /// Keys in the parameter `TagKeys`.
    pub(super) fn tag_keys(&self) -> Vec<&'a str> {
        let members = self.form.list("TagKeys").unwrap_or_default();
        members.iter().filter_map(|member| member.field("")).collect()
    }

    /// Requested page of the list identified by `scope`.
    pub(super) fn page<'b>(&'b self, account: &AccountRow, scope: &'b str) -> PageRequest<'b> {
        let limit = self.optional_number("MaxItems").unwrap_or(100);
        PageRequest {
            seal: Seal { salt: account.salt, action: self.action.name, scope },
            marker: self.optional_text("Marker"),
            limit: usize::try_from(limit).unwrap_or(100),
        }
    }
}

/// Page that a call requests.
#[derive(Debug)]
pub(super) struct PageRequest<'a> {
    seal: Seal<'a>,
    marker: Option<&'a str>,
    pub(super) limit: usize,
}

impl PageRequest<'_> {
    /// Start position in a list of records.
    pub(super) fn position(&self, connection: &Connection) -> ApiResult<Position> {
        let Some(point) = self.point()? else { return Ok(Position::default()) };
        let path = records::numbered_path(connection, point.number)?;
        let path = path.ok_or_else(Refusal::invalid_marker)?;
        Ok(Position { path, key: point.key })
    }

    /// Start place in a sequence.
    pub(super) fn place(&self) -> ApiResult<u64> {
        Ok(self.point()?.map_or(0, |point| point.number))
    }

    /// Start position as the marker stores it.
    pub(super) fn point(&self) -> ApiResult<Option<Point>> {
        let Some(marker) = self.marker else { return Ok(None) };
        Ok(Some(self.seal.open(marker).ok_or_else(Refusal::invalid_marker)?))
    }

    /// Truncates the records to the page and writes its end. The caller has read one record beyond
    /// the page, if there are more.
    pub(super) fn finish_records<R: records::Record>(
        &self,
        connection: &Connection,
        found: &mut Vec<R>,
    ) -> ApiResult<Xml> {
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let last = found.last().filter(|_| more).map(position);
        let point = match last {
            None => None,
            Some(last) => {
                let number = records::path_number(connection, &last.path)?;
                let number = number.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
                Some(Point { number, key: last.key })
            }
        };
        Ok(self.end(point.as_ref()))
    }

    /// Truncates the items of a sequence to the page; returns the page's end.
    pub(super) fn finish_items<T>(&self, found: &mut Vec<(u64, T)>) -> Xml {
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let last = found.last().filter(|_| more);
        self.end(last.map(|(number, _)| Point { number: *number, key: String::new() }).as_ref())
    }

    /// Truncates tags, sorted by key, to the page; returns the page's end.
    pub(super) fn finish_tags(&self, found: &mut Vec<(u64, &Tag)>) -> Xml {
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let last = found.last().filter(|_| more);
        let point = last.map(|(number, tag)| Point { number: *number, key: tag.key.clone() });
        self.end(point.as_ref())
    }

    /// End of the page: `IsTruncated`, and the marker of the next page if `point` is given.
    pub(super) fn end(&self, point: Option<&Point>) -> Xml {
        let mut xml = Xml::default();
        xml.plain("IsTruncated", point.is_some());
        if let Some(point) = point {
            xml.text("Marker", &self.seal.close(point));
        }
        xml
    }
}

#[cfg(test)]
mod tests {
    use super::Credential;

    #[test]
    fn the_credential_is_found_in_both_kinds_of_header() {
        let header = "AWS4-HMAC-SHA256 Credential=AKID/20260101/eu-west-1/sts/aws4_request, \
                      SignedHeaders=host, Signature=00";
        let credential = Credential::parse(header).expect("a credential");
        assert_eq!(credential.access_key, "AKID");
        assert_eq!((credential.region, credential.service), (Some("eu-west-1"), Some("sts")));

        let header = "AWS4-ECDSA-P256-SHA256 Credential=AKID/20260101/iam/aws4_request,Signature=0";
        let credential = Credential::parse(header).expect("a credential");
        assert_eq!((credential.region, credential.service), (None, Some("iam")));

        for header in ["", "Bearer x", "AWS4-HMAC-SHA256 Credential=, Signature=0"] {
            assert!(Credential::parse(header).is_none(), "{header}");
        }
    }
}
