//! Choice of the credential source, by botocore's rules (`credentials.py`), from environment
//! variables and files, before any call.
//!
//! It deviates where botocore would go on with credentials that the user did not choose; here that
//! is an error. An incomplete key pair is refused in every place. A profile with incomplete
//! credentials (a role without a source, a misspelt property) never falls back to a container or to
//! instance metadata. `source_identity` is read, which botocore does not support.

mod legacy;
mod mfa;
mod provider;
mod sso;

use std::fmt;
use std::path::PathBuf;

use super::environment::Environment;
use super::settings::{Setting, SettingOrigin};
use super::shared_config::{Profile, Properties, SharedConfig};
use crate::error::{Error, Kind, Result};
use crate::spec;

pub use provider::{Assume, ContainerToken, Context, instance_region, provider};

/// Source of credentials.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// Static keys in environment variables or a file.
    Keys(StaticKeys),
    /// Role assumed with other credentials.
    AssumeRole(Box<AssumeRole>),
    /// Role assumed with an identity provider's token.
    WebIdentity(WebIdentity),
    /// IAM Identity Center.
    Sso(Sso),
    /// Console session of `aws login`.
    Login {
        /// ARN of the session.
        session: Setting<String>,
        /// Profile that selects it.
        profile: String,
    },
    /// Program that prints keys.
    Process(Setting<String>),
    /// Endpoint of a container.
    Container {
        /// Variable that selects it.
        variable: String,
    },
    /// Metadata service of the EC2 instance.
    InstanceMetadata {
        /// Address of the service, if not the default.
        endpoint: Option<Setting<String>>,
        /// Use of the service's IPv6 address.
        is_ipv6: bool,
    },
    /// No source: instance metadata is disabled.
    None {
        /// Profile that was searched.
        profile: String,
    },
}

/// Static keys.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StaticKeys {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token.
    pub session_token: Option<String>,
    /// Expiration: text of `AWS_CREDENTIAL_EXPIRATION`.
    pub expiration: Option<String>,
    /// Origin of the keys.
    pub origin: SettingOrigin,
}

/// Role to assume.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AssumeRole {
    /// ARN of the role.
    pub role_arn: Setting<String>,
    /// Session name.
    pub session_name: Option<String>,
    /// External id that the role's owner requires.
    pub external_id: Option<String>,
    /// Session duration in seconds.
    pub duration_seconds: Option<i32>,
    /// Serial number or ARN of the MFA device.
    pub mfa_serial: Option<String>,
    /// Source identity of the session.
    pub source_identity: Option<String>,
    /// Profile that configures the role.
    pub profile: String,
    /// Credentials that assume the role.
    pub source: Source,
}

/// Role to assume with an identity provider's token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebIdentity {
    /// ARN of the role.
    pub role_arn: Setting<String>,
    /// File with the token.
    pub token_file: Setting<PathBuf>,
    /// Session name.
    pub session_name: Option<String>,
}

/// Role of IAM Identity Center.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Sso {
    /// Account.
    pub account_id: String,
    /// Role of the permission set.
    pub role_name: String,
    /// URL of the portal.
    pub start_url: String,
    /// Region of Identity Center.
    pub region: String,
    /// `sso-session` section, if the profile refers to one.
    pub session_name: Option<String>,
    /// Profile.
    pub profile: String,
    /// Property that selects Identity Center.
    pub origin: SettingOrigin,
}

impl Source {
    /// True if a person must enter an MFA code.
    #[must_use]
    pub fn asks_person(&self) -> bool {
        match self {
            Self::AssumeRole(role) => role.mfa_serial.is_some() || role.source.asks_person(),
            _ => false,
        }
    }

    /// Description of the source, without secrets: "keys in /home/jo/.aws/config:3".
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Keys(keys) => match &keys.origin {
                SettingOrigin::Variable(name) => format!("keys in the environment ({name})"),
                origin => format!("keys in {origin}"),
            },
            Self::AssumeRole(role) => {
                format!(
                    "role {} of profile {} ({}), assumed with {}",
                    role.role_arn.value,
                    role.profile,
                    role.role_arn.origin,
                    role.source.describe()
                )
            }
            Self::WebIdentity(web) => {
                format!(
                    "role {} ({}), assumed with the web identity token in {} ({})",
                    web.role_arn.value,
                    web.role_arn.origin,
                    web.token_file.value.display(),
                    web.token_file.origin
                )
            }
            Self::Sso(sso) => {
                let session = sso.session_name.as_deref().unwrap_or(&sso.start_url);
                format!(
                    "IAM Identity Center: {} in account {}, session {session} ({})",
                    sso.role_name, sso.account_id, sso.origin
                )
            }
            Self::Login { session, .. } => {
                format!("`aws login` session {} ({})", session.value, session.origin)
            }
            // The arguments may contain secrets.
            Self::Process(command) => format!("credential_process ({})", command.origin),
            Self::Container { variable, .. } => format!("container credentials ({variable})"),
            Self::InstanceMetadata { endpoint: Some(endpoint), .. } => {
                format!("instance metadata at {} ({})", endpoint.value, endpoint.origin)
            }
            Self::InstanceMetadata { .. } => "instance metadata (no other source was found)".into(),
            Self::None { .. } => "none".into(),
        }
    }
}

/// Formats the description, so that secrets never reach a log.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// Resolves the source for a profile. `is_explicit` means that the profile was named by a flag,
/// `iamlua.toml` or a script; keys in the environment are ignored then.
///
/// # Errors
/// A configuration error for incomplete credentials and for circular references.
pub fn resolve(
    files: &SharedConfig,
    environment: &Environment,
    named: &Setting<String>,
    is_explicit: bool,
) -> Result<Source> {
    let chain = CredentialChain { files, environment };
    let name = &*named.value;
    if !is_explicit && let Some(keys) = chain.environment_keys()? {
        return Ok(Source::Keys(keys));
    }
    let empty = Profile::default();
    let profile = files.profile(name).unwrap_or(&empty);
    if takes_role(profile) {
        return chain.assumed(name, profile, &mut vec![name.to_owned()]);
    }
    let found = chain.of_profile(name, profile, !is_explicit);
    if let Some(source) = found.map_err(|error| with_near_miss(error, profile))? {
        return Ok(source);
    }
    refuse_partial_credentials(name, profile)?;
    if let Some(keys) = legacy::keys(environment)? {
        check_key_id(&keys)?;
        return Ok(Source::Keys(keys));
    }
    if let Some(source) = chain.container() {
        return Ok(source);
    }
    Ok(chain.instance_metadata(name, profile))
}

/// Check for a profile whose role is assumed with other credentials.
fn takes_role(profile: &Profile) -> bool {
    profile.has("role_arn") && !profile.has("web_identity_token_file")
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(Kind::Configuration, message)
}

struct CredentialChain<'a> {
    files: &'a SharedConfig,
    environment: &'a Environment,
}

impl CredentialChain<'_> {
    fn environment_keys(&self) -> Result<Option<StaticKeys>> {
        const ID: &str = "AWS_ACCESS_KEY_ID";
        const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
        let (id, secret) = (self.environment.filled(ID), self.environment.filled(SECRET));
        let half = |there: &str, missing: &str| {
            wrong(format!(
                "an access key in the environment is incomplete: {there} is set, {missing} is not"
            ))
            .hint(format!("set {missing} too, unset {there}, or name a profile with --profile"))
        };
        match (id, secret) {
            (Some(access_key_id), Some(secret_access_key)) => {
                let tokens = ["AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"];
                let keys = StaticKeys {
                    access_key_id,
                    secret_access_key,
                    session_token: self.environment.first(&tokens).map(|(_, token)| token),
                    expiration: self.environment.filled("AWS_CREDENTIAL_EXPIRATION"),
                    origin: SettingOrigin::Variable(ID.into()),
                };
                check_key_id(&keys)?;
                Ok(Some(keys))
            }
            (Some(_), None) => Err(half(ID, SECRET)),
            (None, Some(_)) => Err(half(SECRET, ID)),
            (None, None) => Ok(None),
        }
    }

    /// Role of a profile. `visited` are the profiles of the chain so far, including this one.
    fn assumed(&self, name: &str, profile: &Profile, visited: &mut Vec<String>) -> Result<Source> {
        let role = self.role(name, profile, visited);
        role.map_err(|error| with_near_miss(error, profile))
    }

    fn role(&self, name: &str, profile: &Profile, visited: &mut Vec<String>) -> Result<Source> {
        let text = |property: &str| profile.filled(property).map(|setting| setting.value.clone());
        let Some(role_arn) = profile.get("role_arn").cloned() else {
            return Err(wrong(format!("the profile {name:?} has no role_arn")));
        };
        check_role_arn(name, &role_arn)?;
        let at = &role_arn.origin;
        let source = match (profile.get("source_profile"), profile.get("credential_source")) {
            (Some(_), Some(_)) => {
                return Err(wrong(format!(
                    "the profile {name:?} has both source_profile and credential_source ({at})"
                ))
                .hint("keep the one whose credentials are to assume the role"));
            }
            (None, None) => {
                return Err(wrong(format!(
                    "the profile {name:?} has a role_arn, but neither source_profile nor credential_source ({at})"
                ))
                .hint("add the one whose credentials are to assume the role: source_profile = NAME, or credential_source = Environment"));
            }
            (None, Some(source)) => self.named_source(name, source)?,
            (Some(source), None) => self.source_profile(name, source, visited)?,
        };
        let duration_seconds = match profile.filled("duration_seconds") {
            None => None,
            Some(setting) => Some(duration(name, setting)?),
        };
        if let Some(empty) = profile.get("external_id").filter(|id| id.value.is_empty()) {
            return Err(wrong(format!(
                "external_id of the profile {name:?} is empty ({})",
                empty.origin
            ))
            .hint("write the id that the role's owner gave, or remove the line"));
        }
        Ok(Source::AssumeRole(Box::new(AssumeRole {
            role_arn,
            session_name: text("role_session_name"),
            external_id: text("external_id"),
            duration_seconds,
            mfa_serial: text("mfa_serial"),
            source_identity: text("source_identity"),
            profile: name.to_owned(),
            source,
        })))
    }

    /// Source selected by `credential_source`.
    fn named_source(&self, name: &str, source: &Setting<String>) -> Result<Source> {
        let missing = |what: &str| {
            wrong(format!(
                "the profile {name:?} says credential_source = {} ({}), and {what}",
                source.value, source.origin
            ))
        };
        match &*source.value {
            "Environment" => self.environment_keys()?.map(Source::Keys).ok_or_else(|| {
                missing("there are no keys in the environment")
                    .hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
            }),
            "EcsContainer" => self.container().ok_or_else(|| {
                missing("this is no container with credentials").hint(
                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or AWS_CONTAINER_CREDENTIALS_FULL_URI is set in one",
                )
            }),
            "Ec2InstanceMetadata" => {
                let profile = self.files.profile(name).cloned().unwrap_or_default();
                match self.instance_metadata(name, &profile) {
                    Source::None { .. } => {
                        Err(missing("AWS_EC2_METADATA_DISABLED switches instance metadata off"))
                    }
                    found => Ok(found),
                }
            }
            _ => Err(missing("there is no such source")
                .hint("it must be Environment, Ec2InstanceMetadata or EcsContainer")),
        }
    }

    /// Credentials of the profile in `source_profile`.
    fn source_profile(
        &self,
        parent: &str,
        source: &Setting<String>,
        visited: &mut Vec<String>,
    ) -> Result<Source> {
        let name = &*source.value;
        let Some(profile) = self.files.profile(name) else {
            return Err(wrong(format!(
                "the profile {parent:?} names the source_profile {name:?} ({}), which does not exist",
                source.origin
            ))
            .hint(self.files.suggestion(name)));
        };
        let has_keys = profile.has("aws_access_key_id") || profile.has("aws_secret_access_key");
        let is_itself = name == parent;
        if visited.iter().any(|seen| seen == name) && !(is_itself && has_keys) {
            let chain = visited.iter().map(String::as_str).chain([name]).collect::<Vec<_>>();
            return Err(wrong(format!(
                "the source profiles form a loop: {} ({})",
                chain.join(" -> "),
                source.origin
            ))
            .hint("the last of them must have credentials of its own"));
        }
        if visited.len() >= MAX_PROFILES {
            return Err(wrong(format!(
                "more than {MAX_PROFILES} profiles are each the source_profile of the next ({})",
                source.origin
            )));
        }
        visited.push(name.to_owned());
        if takes_role(profile) && !has_keys {
            return self.assumed(name, profile, visited);
        }
        if let Some(found) = self.of_profile(name, profile, false)? {
            return Ok(found);
        }
        refuse_partial_credentials(name, profile)?;
        let at = profile.origin.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default();
        Err(wrong(format!(
            "the profile {name:?}{at} is the source_profile of {parent:?}, and has no credentials"
        ))
        .hint(format!("add keys to it, or name another source_profile in {}", source.origin)))
    }

    /// Source selected by the properties of one profile, in botocore's order.
    fn of_profile(
        &self,
        name: &str,
        profile: &Profile,
        with_variables: bool,
    ) -> Result<Option<Source>> {
        if let Some(web) = self.web_identity(name, profile, with_variables)? {
            return Ok(Some(Source::WebIdentity(web)));
        }
        if let Some(sso) = self.sso(name, profile)? {
            return Ok(Some(Source::Sso(sso)));
        }
        if let Some(keys) = static_keys(name, profile.in_credentials.as_ref())? {
            return Ok(Some(Source::Keys(keys)));
        }
        if let Some(session) = profile.get("login_session") {
            let folder = self.environment.get("AWS_LOGIN_CACHE_DIRECTORY");
            if let Some(folder) = folder.filter(|folder| folder.starts_with('~')) {
                // The SDK would not expand it.
                return Err(wrong(format!("AWS_LOGIN_CACHE_DIRECTORY is {folder:?}"))
                    .hint("write the path in full"));
            }
            let (session, profile) = (session.clone(), name.to_owned());
            return Ok(Some(Source::Login { session, profile }));
        }
        if let Some(command) = profile.get("credential_process") {
            return Ok(Some(Source::Process(command.clone())));
        }
        Ok(static_keys(name, profile.in_config.as_ref())?.map(Source::Keys))
    }

    fn web_identity(
        &self,
        name: &str,
        profile: &Profile,
        with_variables: bool,
    ) -> Result<Option<WebIdentity>> {
        let setting = |variable: &str, property: &str| {
            let by_variable = with_variables.then(|| self.environment.get(variable)).flatten();
            let by_variable = by_variable
                .map(|value| Setting::new(value, SettingOrigin::Variable(variable.into())));
            by_variable.or_else(|| profile.get(property).cloned())
        };
        let token_file = setting("AWS_WEB_IDENTITY_TOKEN_FILE", "web_identity_token_file");
        let Some(token_file) = token_file.filter(|file| !file.value.is_empty()) else {
            return Ok(None);
        };
        let role_arn = setting("AWS_ROLE_ARN", "role_arn").filter(|arn| !arn.value.is_empty());
        let Some(role_arn) = role_arn else {
            return Err(wrong(format!(
                "there is a web identity token ({}), but no role to assume with it",
                token_file.origin
            ))
            .hint(format!("set AWS_ROLE_ARN, or role_arn in the profile {name:?}")));
        };
        check_role_arn(name, &role_arn)?;
        Ok(Some(WebIdentity {
            role_arn,
            token_file: Setting::new(token_file.value.into(), token_file.origin),
            session_name: setting("AWS_ROLE_SESSION_NAME", "role_session_name")
                .map(|name| name.value),
        }))
    }

    fn sso(&self, name: &str, profile: &Profile) -> Result<Option<Sso>> {
        let Some(first) = profile.get("sso_account_id").or_else(|| profile.get("sso_role_name"))
        else {
            return Ok(None);
        };
        let origin = first.origin.clone();
        let mut all = profile.merged.clone();
        let session_name = all.get("sso_session").cloned();
        if let Some(session) = &session_name {
            let Some(section) = self.files.sso_session(&session.value) else {
                return Err(wrong(format!(
                    "the profile {name:?} names the sso_session {:?} ({}), and there is no section [sso-session {}]",
                    session.value, session.origin, session.value
                ))
                .hint("`aws configure sso-session` makes it"));
            };
            for (key, value) in section {
                match all.get(key) {
                    Some(own) if own.value != value.value => {
                        return Err(wrong(format!(
                            "{key} is {:?} in the profile ({}) and {:?} in the sso-session ({})",
                            own.value, own.origin, value.value, value.origin
                        ))
                        .hint("remove it from the profile"));
                    }
                    _ => {
                        all.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        let missing: Vec<&str> =
            REQUIRED.into_iter().filter(|name| !all.contains_key(*name)).collect();
        if !missing.is_empty() {
            return Err(wrong(format!(
                "the profile {name:?} uses IAM Identity Center ({origin}), but lacks {}",
                missing.join(" and ")
            ))
            .hint("`aws configure sso` asks for all of it"));
        }
        let text =
            |name: &str| all.get(name).map(|setting| setting.value.clone()).unwrap_or_default();
        Ok(Some(Sso {
            account_id: text("sso_account_id"),
            role_name: text("sso_role_name"),
            start_url: text("sso_start_url"),
            region: text("sso_region"),
            session_name: session_name.map(|session| session.value),
            profile: name.to_owned(),
            origin,
        }))
    }

    fn container(&self) -> Option<Source> {
        let names =
            ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
        let variable = names.into_iter().find(|name| self.environment.get(name).is_some())?;
        Some(Source::Container { variable: variable.to_owned() })
    }

    fn instance_metadata(&self, name: &str, profile: &Profile) -> Source {
        let disabled = self.environment.get("AWS_EC2_METADATA_DISABLED");
        if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Source::None { profile: name.to_owned() };
        }
        let setting = |variable: &str, property: &str| {
            let by_variable = self
                .environment
                .filled(variable)
                .map(|value| Setting::new(value, SettingOrigin::Variable(variable.into())));
            by_variable.or_else(|| profile.filled(property).cloned())
        };
        let mode =
            setting("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode");
        Source::InstanceMetadata {
            endpoint: setting("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint"),
            is_ipv6: mode.is_some_and(|mode| mode.value.eq_ignore_ascii_case("ipv6")),
        }
    }
}

/// Session duration. AWS accepts 15 minutes to 12 hours.
fn duration(name: &str, setting: &Setting<String>) -> Result<i32> {
    let seconds =
        setting.value.parse().ok().filter(|_| setting.value.bytes().all(|c| c.is_ascii_digit()));
    seconds.filter(|seconds| (900..=43_200).contains(seconds)).ok_or_else(|| {
        wrong(format!(
            "duration_seconds of the profile {name:?} is {:?} ({})",
            setting.value, setting.origin
        ))
        .hint("it must be a whole number of seconds from 900 to 43200, such as 3600")
    })
}

/// Refuses a malformed access key id, such as one followed by a comment.
fn check_key_id(keys: &StaticKeys) -> Result<()> {
    let is_id = keys.access_key_id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    if is_id {
        return Ok(());
    }
    let name = match &keys.origin {
        SettingOrigin::Variable(name) => name,
        _ => "aws_access_key_id",
    };
    let hint = match &keys.origin {
        SettingOrigin::Variable(_) => "it has letters and digits only: look for blanks and quotes",
        _ => "it has letters and digits only; a comment must stand in a line of its own",
    };
    let at = match &keys.origin {
        SettingOrigin::Variable(_) => String::new(),
        origin => format!(" ({origin})"),
    };
    Err(wrong(format!("{name} is not an access key ID: {:?}{at}", keys.access_key_id)).hint(hint))
}

/// Keys of a profile in one file.
fn static_keys(name: &str, section: Option<&Properties>) -> Result<Option<StaticKeys>> {
    const ID: &str = "aws_access_key_id";
    const SECRET: &str = "aws_secret_access_key";
    let Some(section) = section else { return Ok(None) };
    match (section.get(ID), section.get(SECRET)) {
        (Some(id), Some(secret)) => {
            let both = [(ID, id), (SECRET, secret)];
            if let Some((property, setting)) = both.iter().find(|(_, key)| key.value.is_empty()) {
                let at = &setting.origin;
                return Err(wrong(format!("{property} of the profile {name:?} is empty ({at})")));
            }
            let token =
                section.get("aws_security_token").or_else(|| section.get("aws_session_token"));
            let token = token.map(|token| token.value.clone());
            let keys = StaticKeys {
                access_key_id: id.value.clone(),
                secret_access_key: secret.value.clone(),
                session_token: token.filter(|token| !token.is_empty()),
                expiration: None,
                origin: id.origin.clone(),
            };
            check_key_id(&keys).map_err(|error| error.hint(format!("the profile is {name:?}")))?;
            Ok(Some(keys))
        }
        (Some(id), None) => Err(wrong(format!(
            "the access key of the profile {name:?} ({}) is incomplete: {SECRET} is missing",
            id.origin
        ))
        .hint("add it, or remove the other half")),
        (None, Some(secret)) => Err(wrong(format!(
            "the access key of the profile {name:?} ({}) is incomplete: {ID} is missing",
            secret.origin
        ))
        .hint("add it, or remove the other half")),
        (None, None) => Ok(None),
    }
}

/// Required properties of an Identity Center profile.
const REQUIRED: [&str; 4] = ["sso_role_name", "sso_account_id", "sso_start_url", "sso_region"];

/// Maximum length of a chain of source profiles. AWS allows role chaining, but real chains have two
/// or three profiles.
const MAX_PROFILES: usize = 20;

/// Properties that select credentials.
const CREDENTIAL_PROPERTIES: [&str; 20] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "role_arn",
    "source_profile",
    "credential_source",
    "credential_process",
    "external_id",
    "mfa_serial",
    "role_session_name",
    "duration_seconds",
    "source_identity",
    "web_identity_token_file",
    "login_session",
    "sso_account_id",
    "sso_role_name",
    "sso_start_url",
    "sso_region",
    "sso_session",
    "sso_registration_scopes",
];

/// Properties unrelated to credentials, which must not be mistaken for misspelt ones.
const OTHER_PROPERTIES: [&str; 16] = [
    "aws_account_id",
    "ca_bundle",
    "cli_pager",
    "defaults_mode",
    "endpoint_url",
    "max_attempts",
    "metadata_service_timeout",
    "mfa_process",
    "output",
    "parameter_validation",
    "region",
    "retry_mode",
    "services",
    "sdk_ua_app_id",
    "sigv4a_signing_region_set",
    "tcp_keepalive",
];

/// Credential property equal or similar to a name, with the edit distance.
fn nearest(property: &str) -> Option<(usize, &'static str)> {
    if OTHER_PROPERTIES.contains(&property) {
        return None;
    }
    let near = CREDENTIAL_PROPERTIES
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(known, property), known))
        .min();
    near.filter(|(distance, _)| *distance <= 4)
}

/// Adds a probably misspelt property of a profile to an error about that profile.
fn with_near_miss(mut error: Error, profile: &Profile) -> Error {
    let misspelt = profile.merged.iter().find_map(|(property, setting)| {
        let (distance, known) = nearest(property)?;
        // If the correctly spelt property is also present, this one is not a misspelling of it.
        let is_meant = (1..=2).contains(&distance) && !profile.has(known);
        is_meant.then(|| format!("{property} ({}): did you mean {known}?", setting.origin))
    });
    if let Some(misspelt) = misspelt.filter(|hint| !error.hints.contains(hint)) {
        error.hints.insert(0, misspelt);
    }
    error
}

/// Refuses a profile without credentials that has some properties of credentials, perhaps misspelt.
/// Its author did not mean the credentials of the machine.
fn refuse_partial_credentials(name: &str, profile: &Profile) -> Result<()> {
    for (property, setting) in &profile.merged {
        let Some((distance, known)) = nearest(property) else { continue };
        let at = &setting.origin;
        if distance > 0 {
            return Err(wrong(format!(
                "the profile {name:?} has no credentials: {property} ({at}) is not known"
            ))
            .hint(format!("did you mean {known}?")));
        }
        let (lacks, hint) = match known {
            // These would have been resolved.
            "role_arn" | "aws_access_key_id" | "aws_secret_access_key" => continue,
            "aws_session_token" => ("key pair", "add aws_access_key_id and aws_secret_access_key"),
            "sso_start_url" | "sso_region" | "sso_session" | "sso_registration_scopes" => (
                "account and role",
                "add sso_account_id and sso_role_name; `aws configure sso` asks for them",
            ),
            _ => ("role_arn", "add role_arn = ARN"),
        };
        return Err(wrong(format!(
            "the profile {name:?} has {property} ({at}), but no {lacks}, and so no credentials"
        ))
        .hint(hint));
    }
    Ok(())
}

/// Refuses a malformed role ARN before it is sent.
fn check_role_arn(name: &str, arn: &Setting<String>) -> Result<()> {
    spec::check_role_arn(&arn.value).map_err(|why| {
        let what = match &arn.origin {
            SettingOrigin::Variable(variable) => variable.clone(),
            _ => format!("role_arn of the profile {name:?}"),
        };
        wrong(format!("{what} {why} ({})", arn.origin))
    })
}
