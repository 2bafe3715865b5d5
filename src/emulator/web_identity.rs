//! `AssumeRoleWithWebIdentity`. The token's form, its expiry and the trust policy are checked. Its
//! signature is not verified, because no keys are known. The identity provider need not be created
//! first: a trust policy that names it is enough. Session tags in tokens are ignored.
//!
//! Messages are those of public reports. The answer is as in the EKS and SPIRE documentation, where
//! `Provider` is the ARN of the account's identity provider.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::authorization::RoleAssumption;
use super::call::Call;
use super::read_txn::AccountRow;
use super::refusal::{ApiResult, Refusal};
use super::security_tokens::{check_session_policy, denied, packed_size, role_of, use_role};
use super::sessions::{self, Context, Holder};
use super::trust::evaluation::Decision;
use super::write_txn::WriteTxn;
use super::xml::Xml;

/// Providers that trust policies name without an ARN. IAM User Guide, "AWS JSON policy elements:
/// Principal".
const BUILT_IN: [&str; 2] = ["accounts.google.com", "cognito-identity.amazonaws.com"];
const DEFAULT_DURATION: i64 = 3600;

/// Claims of an identity provider's token.
#[derive(Debug)]
pub(super) struct Token {
    /// Issuer without `https://`, which prefixes its condition keys.
    pub(super) issuer: String,
    /// Name of the provider in trust policies.
    pub(super) provider: String,
    subject: String,
    audience: String,
    /// Expiry, in seconds since 1970.
    expires: i64,
    claims: Map<String, Value>,
}

impl Token {
    /// Parses a JSON Web Token (RFC 7519).
    fn read(token: &str, account: &AccountRow) -> Result<Self, Refusal> {
        let claims = claims(token).ok_or_else(malformed)?;
        let text = |name: &str| claims.get(name)?.as_str().map(str::to_owned);
        let issuer = text("iss").ok_or_else(malformed)?;
        let issuer = issuer.strip_prefix("https://").unwrap_or(&issuer).trim_end_matches('/');
        let provider = if BUILT_IN.contains(&issuer) {
            issuer.to_owned()
        } else {
            format!("{}oidc-provider/{issuer}", account.iam_arn_start())
        };
        let audiences = texts(claims.get("aud"));
        // With several audiences the authorized party is the one that counts.
        let audience = if audiences.len() == 1 { None } else { text("azp") };
        let audience = audience.or_else(|| audiences.first().cloned());
        let expires = claims.get("exp").and_then(Value::as_f64).ok_or_else(malformed)?;
        #[allow(clippy::cast_possible_truncation, reason = "a cast ends at the bounds")]
        let expires = expires as i64;
        Ok(Self {
            issuer: issuer.to_owned(),
            provider,
            subject: text("sub").ok_or_else(malformed)?,
            audience: audience.ok_or_else(malformed)?,
            expires,
            claims,
        })
    }

    /// Values of a claim that conditions may test.
    pub(super) fn claim(&self, name: &str) -> Vec<String> {
        match name {
            "aud" => vec![self.audience.clone()],
            "sub" => vec![self.subject.clone()],
            "oaud" => texts(self.claims.get("aud")),
            "amr" | "azp" | "email" => texts(self.claims.get(name)),
            _ => Vec::new(),
        }
    }
}

pub(super) fn assume_role(edit: &WriteTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let arn = call.text("RoleArn");
    let role = role_of(edit, arn)?;
    check_session_policy(call)?;
    let token = Token::read(call.text("WebIdentityToken"), &edit.account)?;
    let now = edit.seconds();
    if token.expires <= now {
        let message = format!(
            "Token expired: current date/time {now} must be before the expiration date/time {}",
            token.expires
        );
        return Err(Refusal { status: 400, code: "ExpiredTokenException", message }.into());
    }
    let may_not = || denied("Not authorized to perform sts:AssumeRoleWithWebIdentity");
    let mut role = role.ok_or_else(may_not)?;
    let request = RoleAssumption {
        edit,
        call,
        role: &role,
        calling_role: None,
        tags: &[],
        mfa: None,
        token: Some(&token),
    };
    if request.decide("sts:AssumeRoleWithWebIdentity") != Decision::Allowed {
        return Err(may_not().into());
    }
    let duration = call.optional_number("DurationSeconds").unwrap_or(DEFAULT_DURATION);
    if duration > role.max_session {
        return Err(Refusal::validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )
        .into());
    }
    let packed = packed_size(call, &[])?;
    let context = Context {
        issued: Some(now),
        federated_provider: Some(token.provider.clone()),
        ..Context::default()
    };
    use_role(edit, call, &mut role)?;
    let session = call.text("RoleSessionName");
    xml.text("SubjectFromWebIdentityToken", &token.subject);
    xml.text("Audience", &token.audience);
    sessions::write_assumed_role(xml, &edit.account, &role, session)?;
    sessions::issue_credentials(edit, xml, Holder::Role(&role, session), duration, &context)?;
    xml.text("Provider", &token.provider);
    if let Some(size) = packed {
        xml.plain("PackedPolicySize", size);
    }
    Ok(())
}

/// Claims of a token whose three parts are well-formed.
fn claims(token: &str) -> Option<Map<String, Value>> {
    let parts: Vec<_> = token.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { return None };
    let object = |part: &str| -> Option<Map<String, Value>> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let is_signed = object(header)?.get("alg")?.is_string() && !signature.is_empty();
    if is_signed { object(claims) } else { None }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let values = match value {
        Some(Value::Array(values)) => values.iter().collect(),
        Some(value) => vec![value],
        None => Vec::new(),
    };
    values.into_iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn malformed() -> Refusal {
    let message = "The ID Token provided is not a valid JWT. (You may see this error if you sent an \
                   Access Token)";
    Refusal { status: 400, code: "InvalidIdentityToken", message: message.to_owned() }
}
