//! Credentials of IAM Identity Center, by the token that `aws sso login` stores in
//! `~/.aws/sso/cache`. The rules are those of botocore's `SSOTokenProvider` and
//! `SSOCredentialFetcher`: a token of an `sso-session` is refreshed when it is about to expire, one
//! of the older kind is not, and an expired one is never used.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_async::time::TimeSource;
use serde_json::{Map, Value as Json};
use sha1::{Digest, Sha1};

use super::Sso;
use super::provider::{Context, failed};
use crate::aws::clock::system_time;
use crate::aws::from_sdk;
use crate::error::{Error, Kind, Result};
use crate::files;

/// Remaining validity below which a token is refreshed.
const REFRESH_BEFORE: Duration = Duration::from_mins(15);

/// Credentials of a role of Identity Center.
///
/// # Errors
/// If there is no login session, or Identity Center refuses.
pub async fn credentials(sso: &Sso, context: &Context) -> Result<Credentials> {
    // Calls to Identity Center are unsigned, and go to its own region.
    let region = Region::new(sso.region.clone());
    let config = context.config.to_builder().region(region).build();
    let sign_in = |error: Error| {
        let profile = super::provider::quoted(&sso.profile);
        error.hint(format!("sign in: `aws sso login --profile {profile}`"))
    };
    let token = token(sso, context, &config).await.map_err(sign_in)?;
    let client = aws_sdk_sso::Client::new(&config);
    let call = client
        .get_role_credentials()
        .role_name(&sso.role_name)
        .account_id(&sso.account_id)
        .access_token(token);
    let answer = Box::pin(call.send()).await.map_err(|error| {
        let error = from_sdk("GetRoleCredentials", error);
        let is_expired = error.code() == "UnauthorizedException";
        let error = error.hint(format!("the profile is {} ({})", sso.profile, sso.origin));
        if is_expired { sign_in(error) } else { error }
    })?;
    let none =
        || Error::new(Kind::Connection, "GetRoleCredentials: the answer has no credentials in it");
    let made = answer.role_credentials.ok_or_else(none)?;
    let (Some(id), Some(secret)) = (made.access_key_id, made.secret_access_key) else {
        return Err(none());
    };
    let expiry = u64::try_from(made.expiration)
        .ok()
        .filter(|at| *at > 0)
        .map(|at| SystemTime::UNIX_EPOCH + Duration::from_millis(at));
    Ok(Credentials::new(id, secret, made.session_token, expiry, "Identity Center"))
}

/// Access token, refreshed if needed.
async fn token(sso: &Sso, context: &Context, config: &SdkConfig) -> Result<String> {
    let key = sso.session_name.as_ref().unwrap_or(&sso.start_url);
    let path = cache_file(context.home.as_deref(), key);
    let what =
        |why: &str| failed(format!("the IAM Identity Center session {key} ({}) {why}", sso.origin));
    let cached = read(&path).map_err(|why| what(&why))?;
    let text = |name: &str| cached.get(name).and_then(Json::as_str);
    let (Some(token), Some(expires)) = (text("accessToken"), text("expiresAt")) else {
        return Err(what(&format!("has no usable token in {}", path.display())));
    };
    let Some(end) = date(expires) else {
        return Err(what(&format!("has a token without a date in {}", path.display())));
    };
    let now = context.clock.now();
    if sso.session_name.is_some() && end < now + REFRESH_BEFORE {
        let registered = text("registrationExpiresAt").and_then(date);
        if let (Some(id), Some(secret), Some(refresh), true) = (
            text("clientId"),
            text("clientSecret"),
            text("refreshToken"),
            registered.is_some_and(|end| end > now),
        ) {
            let client = aws_sdk_ssooidc::Client::new(config);
            let call = client
                .create_token()
                .grant_type("refresh_token")
                .client_id(id)
                .client_secret(secret)
                .refresh_token(refresh);
            match Box::pin(call.send()).await {
                Ok(answer) => {
                    if let Some(fresh) = answer.access_token {
                        let end = now
                            + Duration::from_secs(u64::try_from(answer.expires_in).unwrap_or(0));
                        save(&path, &cached, &fresh, end, answer.refresh_token);
                        return Ok(fresh);
                    }
                }
                // A refusal of Identity Center counts only once the token has expired. A missing
                // answer counts at once, as in botocore.
                Err(error) if error.as_service_error().is_some() => {}
                Err(error) => return Err(from_sdk("CreateToken", error)),
            }
        }
    }
    if end <= now {
        return Err(what(&format!("expired at {expires}")));
    }
    Ok(token.to_owned())
}

/// Token file of a session.
fn cache_file(home: Option<&Path>, key: &str) -> PathBuf {
    let mut name = String::new();
    for byte in Sha1::digest(key) {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    home.unwrap_or(Path::new("~")).join(".aws/sso/cache").join(name + ".json")
}

fn read(path: &Path) -> std::result::Result<Map<String, Json>, String> {
    let bytes = std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "has no token: nobody has signed in".to_owned(),
        _ => format!("has a token that cannot be read: {}: {error}", path.display()),
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|_| format!("has a token file that is no JSON: {}", path.display()))
}

/// Parses a date of the cache. Old files have `UTC` as the zone.
fn date(text: &str) -> Option<SystemTime> {
    let text = text.strip_suffix("UTC").map_or_else(|| text.to_owned(), |text| format!("{text}Z"));
    text.parse().ok().map(system_time)
}

/// Saves a refreshed token, also for the AWS CLI. If the cache cannot be written, the next use
/// refreshes again.
fn save(
    path: &Path,
    cached: &Map<String, Json>,
    token: &str,
    end: SystemTime,
    refresh: Option<String>,
) {
    let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let end = i64::try_from(end).ok().and_then(|end| jiff::Timestamp::from_second(end).ok());
    let Some(end) = end else { return };
    let mut fresh = cached.clone();
    fresh.insert("accessToken".into(), token.into());
    fresh.insert("expiresAt".into(), end.to_string().into());
    match refresh {
        Some(refresh) => fresh.insert("refreshToken".into(), refresh.into()),
        None => fresh.remove("refreshToken"),
    };
    // The file exists, so its permissions are kept.
    let _ = files::write_private(path, Json::Object(fresh).to_string().as_bytes());
}
