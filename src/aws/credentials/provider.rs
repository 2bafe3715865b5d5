//! Providers that fetch the credentials of a source. The SDK's own providers are used for Identity
//! Center, `aws login`, containers and instance metadata. STS and programs are called directly, for
//! features of the AWS CLI that the SDK lacks (MFA, `source_identity`, `duration_seconds`, commands
//! without a shell).

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_config::SdkConfig;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::login::LoginCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use futures_util::future::BoxFuture;
use serde_json::Value as Json;
use tokio::io::AsyncReadExt;

use super::{AssumeRole, Source, StaticKeys, WebIdentity, mfa};
use crate::aws::clock::{CorrectedClock, system_time};
use crate::aws::from_sdk;
use crate::aws::network::NetworkError;
use crate::aws::settings::Setting;
use crate::error::{Error, Kind, Result};

/// Default session name.
const SESSION_NAME: &str = "iamlua";
/// Remaining validity below which credentials are renewed.
const RENEW_BEFORE: Duration = Duration::from_mins(5);
/// Minimum remaining validity of credentials that stay in use because renewal failed.
const LAST_USE_BEFORE: Duration = Duration::from_secs(30);

/// Hint when no source has credentials.
const SIGN_IN: &str = "name a profile with --profile or AWS_PROFILE, sign in with `aws sso login`, \
                       or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
/// Hint about the local account.
const LOCAL: &str = "without --aws the script runs on the local account, which needs none";
/// Time for which a failure is returned to other callers without another attempt.
const FAILURE_TTL: Duration = Duration::from_secs(1);

/// Context for fetching credentials.
#[derive(Clone, Debug)]
pub struct Context {
    /// Region, endpoints, HTTP client and clock of calls to STS; without credentials.
    pub config: SdkConfig,
    /// HTTP client without a proxy, for local addresses.
    pub direct: SharedHttpClient,
    /// Clock for signing.
    pub clock: CorrectedClock,
    /// Number of attempts for instance metadata.
    pub metadata_attempts: u32,
    /// Timeout of each attempt.
    pub metadata_timeout: Duration,
    /// Home folder, which contains the session caches.
    pub home: Option<PathBuf>,
    /// Token for the container's endpoint.
    pub container_token: ContainerToken,
    /// Key that identifies this context.
    pub key: String,
}

/// Token that a container's endpoint requires.
#[derive(Clone, Debug, Default)]
pub struct ContainerToken {
    /// File with the token: `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`.
    pub file: Option<String>,
    /// Token itself: `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
    pub text: Option<String>,
}

/// Provider for a source. Providers of the same source in one process share their credentials, so
/// that a code is requested once, and a role is assumed once.
#[must_use]
pub fn provider(source: &Source, context: &Context) -> SharedCredentialsProvider {
    let Source::Process(command) = source else { return shared(source, context) };
    // A program may return keys of another account next time, so each connection calls it anew.
    let fetcher = ProcessKeys {
        command: command.clone(),
        context: context.clone(),
        account: tokio::sync::OnceCell::new(),
    };
    SharedCredentialsProvider::new(Cached::new(fetcher, context.clock.clone()))
}

/// Provider shared by all connections of this process.
fn shared(source: &Source, context: &Context) -> SharedCredentialsProvider {
    type Providers = Mutex<HashMap<(Source, String), SharedCredentialsProvider>>;
    static PROVIDERS: LazyLock<Providers> = LazyLock::new(Mutex::default);
    let key = (source.clone(), context.key.clone());
    let mut providers = PROVIDERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = providers.get(&key) {
        return known.clone();
    }
    let fetch = Fetch { source: source.clone(), context: context.clone() };
    let made = SharedCredentialsProvider::new(Cached::new(fetch, context.clock.clone()));
    providers.insert(key, made.clone());
    made
}

/// Source whose credentials are fetched.
trait Fetcher: std::fmt::Debug + Send + Sync {
    fn fetch(&self) -> BoxFuture<'_, Result<Credentials>>;
}

#[derive(Debug)]
struct Fetch {
    source: Source,
    context: Context,
}

impl Fetcher for Fetch {
    fn fetch(&self) -> BoxFuture<'_, Result<Credentials>> {
        Box::pin(async move {
            match &self.source {
                Source::Keys(keys) => static_keys(keys, &self.context.clock),
                Source::AssumeRole(role) => assume_role(role, &self.context).await,
                Source::WebIdentity(web) => web_identity(web, &self.context).await,
                Source::Sso(sso) => super::sso::credentials(sso, &self.context).await,
                Source::Login { session, profile } => login(session, profile, &self.context).await,
                Source::Process(command) => process(command, &self.context.clock).await,
                Source::Container { .. } => container(&self.context).await,
                Source::InstanceMetadata { endpoint, is_ipv6 } => {
                    let endpoint = endpoint.as_ref().map(|setting| &*setting.value);
                    instance_metadata(endpoint, *is_ipv6, &self.context).await
                }
                Source::None { profile } => Err(none_found(profile)),
            }
        })
    }
}

/// Keys printed by a program. All must belong to one account, so that consecutive calls cannot
/// reach two.
#[derive(Debug)]
struct ProcessKeys {
    command: Setting<String>,
    context: Context,
    /// Account of the first temporary keys.
    account: tokio::sync::OnceCell<Option<String>>,
}

impl Fetcher for ProcessKeys {
    fn fetch(&self) -> BoxFuture<'_, Result<Credentials>> {
        Box::pin(async move {
            let keys = process(&self.command, &self.context.clock).await?;
            // Keys without expiration are fetched once.
            if keys.expiry().is_none() {
                return Ok(keys);
            }
            check(&keys)?;
            let own = account_of(&keys, &self.context).await?;
            let first = self.account.get_or_init(|| async { own.clone() }).await;
            if *first == own {
                return Ok(keys);
            }
            let shown = |account: &Option<String>| account.clone().unwrap_or("unknown".into());
            let message = format!(
                "credential_process ({}) began with account {} and now gives keys of account {}",
                self.command.origin,
                shown(first),
                shown(&own)
            );
            Err(Error::new(Kind::Refused, message)
                .hint("start it anew to work in the other account"))
        })
    }
}

/// Account that keys belong to.
async fn account_of(keys: &Credentials, context: &Context) -> Result<Option<String>> {
    let provider = SharedCredentialsProvider::new(keys.clone());
    let config = context.config.to_builder().credentials_provider(provider).build();
    let sts = aws_sdk_sts::Client::new(&config);
    let call = || async {
        let answer = Box::pin(sts.get_caller_identity().send()).await;
        answer.map_err(|error| from_sdk("GetCallerIdentity", error))
    };
    Ok(signed(&context.clock, call).await?.account)
}

/// Makes a signed call. Repeats it if the answer has shown that the machine's clock is wrong.
async fn signed<T, F>(clock: &CorrectedClock, call: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let before = clock.ahead();
    match call().await {
        Err(error) if error.kind == Kind::Aws && clock.ahead() != before => call().await,
        answer => answer,
    }
}

/// Refuses keys that are not valid in a header.
fn check(keys: &Credentials) -> Result<()> {
    let is_id = |text: &str| text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    let is_token = |text: &str| text.bytes().all(|c| c.is_ascii_graphic());
    let wrong = if !is_id(keys.access_key_id()) || keys.access_key_id().is_empty() {
        "the access key ID"
    } else if !keys.session_token().is_none_or(is_token) {
        "the session token"
    } else if keys.secret_access_key().contains(['\r', '\n']) {
        "the secret access key"
    } else {
        return Ok(());
    };
    Err(failed(format!("{wrong} has characters that none has, such as a blank or a line end")))
}

/// Credentials of a fetcher, cached until they are about to expire.
#[derive(Debug)]
struct Cached<F> {
    fetcher: F,
    clock: CorrectedClock,
    state: tokio::sync::Mutex<CredentialState>,
}

#[derive(Debug, Default)]
struct CredentialState {
    credentials: Option<Credentials>,
    /// Last failure, and its time.
    failed: Option<(Instant, Error)>,
}

impl<F: Fetcher> Cached<F> {
    fn new(fetcher: F, clock: CorrectedClock) -> Self {
        Self { fetcher, clock, state: tokio::sync::Mutex::default() }
    }

    /// Check that credentials are valid for at least a duration.
    fn valid_for(&self, credentials: &Credentials, time: Duration) -> bool {
        credentials.expiry().is_none_or(|end| end > self.clock.now() + time)
    }

    async fn get(&self) -> Result<Credentials> {
        let began = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(known) = &state.credentials
            && self.valid_for(known, RENEW_BEFORE)
        {
            return Ok(known.clone());
        }
        // Concurrent callers get the same failure, so that no code is requested again.
        if let Some((at, error)) = &state.failed
            && (*at >= began || at.elapsed() < FAILURE_TTL)
        {
            return Err(error.copied());
        }
        let fetched = self.fetcher.fetch().await;
        match fetched.and_then(|fresh| check(&fresh).map(|()| fresh)) {
            Ok(fresh) => {
                state.failed = None;
                Ok(state.credentials.insert(fresh).clone())
            }
            Err(error) => {
                let known = state.credentials.clone();
                if let Some(known) = known.filter(|known| self.valid_for(known, LAST_USE_BEFORE)) {
                    return Ok(known);
                }
                // Transient errors are retried by the caller.
                if !error.is_passing() {
                    state.failed = Some((Instant::now(), error.copied()));
                }
                Err(error)
            }
        }
    }
}

impl<F: Fetcher> ProvideCredentials for Cached<F> {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            self.get().await.map_err(CredentialsError::provider_error)
        })
    }
}

/// Role specified by a script or a flag, assumed with the credentials of `config`.
#[derive(Debug)]
pub struct Assume {
    /// ARN of the role.
    pub role_arn: String,
    /// Session name.
    pub session_name: String,
    /// External id that the role's owner requires.
    pub external_id: Option<String>,
    /// Region, endpoint, HTTP client and credentials of the call.
    pub config: SdkConfig,
    /// Clock for signing the call.
    pub clock: CorrectedClock,
}

impl Assume {
    /// Converts it to a provider.
    #[must_use]
    pub fn provider(self) -> SharedCredentialsProvider {
        let clock = self.clock.clone();
        SharedCredentialsProvider::new(Cached::new(self, clock))
    }
}

impl Fetcher for Assume {
    fn fetch(&self) -> BoxFuture<'_, Result<Credentials>> {
        let sts = aws_sdk_sts::Client::new(&self.config);
        let call = sts
            .assume_role()
            .role_arn(&self.role_arn)
            .role_session_name(&self.session_name)
            .set_external_id(self.external_id.clone());
        Box::pin(async move {
            let call = || async {
                let answer = Box::pin(call.clone().send()).await;
                answer.map_err(|error| from_sdk("AssumeRole", error))
            };
            session(signed(&self.clock, call).await?.credentials, "AssumeRole")
        })
    }
}

/// Error for credentials that could not be fetched.
pub(super) fn failed(message: impl Into<String>) -> Error {
    Error::new(Kind::Credentials, message)
}

fn none_found(profile: &str) -> Error {
    failed(format!(
        "no AWS credentials were found: neither in the environment nor in the profile {profile:?}"
    ))
    .hint(SIGN_IN)
    .hint(LOCAL)
}

fn static_keys(keys: &StaticKeys, clock: &CorrectedClock) -> Result<Credentials> {
    let expiry = match &keys.expiration {
        None => None,
        Some(text) => {
            let at: jiff::Timestamp = text.parse().map_err(|_| {
                Error::new(
                    Kind::Configuration,
                    format!("AWS_CREDENTIAL_EXPIRATION is no date: {text:?}"),
                )
                .hint("it is written like 2026-01-31T12:00:00Z")
            })?;
            let at = system_time(at);
            if at <= clock.now() {
                return Err(failed(format!("the keys in the environment expired at {text}"))
                    .hint("sign in again, or name a profile with --profile"));
            }
            Some(at)
        }
    };
    Ok(Credentials::new(
        &keys.access_key_id,
        &keys.secret_access_key,
        keys.session_token.clone(),
        expiry,
        "keys",
    ))
}

/// Credentials of a session created by STS.
fn session(
    credentials: Option<aws_sdk_sts::types::Credentials>,
    action: &str,
) -> Result<Credentials> {
    let made = credentials.ok_or_else(|| {
        Error::new(Kind::Connection, format!("{action}: the answer has no credentials in it"))
    })?;
    let expiry = SystemTime::try_from(made.expiration).ok();
    Ok(Credentials::new(
        made.access_key_id,
        made.secret_access_key,
        Some(made.session_token),
        expiry,
        "STS",
    ))
}

async fn assume_role(role: &AssumeRole, context: &Context) -> Result<Credentials> {
    let source = shared(&role.source, context);
    let code = match &role.mfa_serial {
        None => None,
        Some(serial) => {
            // The source is checked first, so that a code is not wasted if it has no credentials.
            source.provide_credentials().await.map_err(|error| own_error(&error))?;
            Some(mfa::ask(serial.clone(), role.role_arn.value.clone()).await?)
        }
    };
    let config = context.config.to_builder().credentials_provider(source).build();
    let sts = aws_sdk_sts::Client::new(&config);
    let call = sts
        .assume_role()
        .role_arn(&role.role_arn.value)
        .role_session_name(role.session_name.as_deref().unwrap_or(SESSION_NAME))
        .set_external_id(role.external_id.clone())
        .set_duration_seconds(role.duration_seconds)
        .set_serial_number(role.mfa_serial.clone())
        .set_token_code(code)
        .set_source_identity(role.source_identity.clone());
    let call = || async {
        let answer = Box::pin(call.clone().send()).await;
        answer.map_err(|error| from_sdk("AssumeRole", error))
    };
    let answer = signed(&context.clock, call).await.map_err(|error| {
        error.hint(format!("assumed for profile {} ({})", role.profile, role.role_arn.origin))
    })?;
    session(answer.credentials, "AssumeRole")
}

async fn web_identity(web: &WebIdentity, context: &Context) -> Result<Credentials> {
    let path = &web.token_file.value;
    let token = tokio::fs::read_to_string(path).await.map_err(|error| {
        failed(format!(
            "cannot read the web identity token {} ({}): {error}",
            path.display(),
            web.token_file.origin
        ))
        .caused_by(error)
    })?;
    let sts = aws_sdk_sts::Client::new(&context.config);
    let call = sts
        .assume_role_with_web_identity()
        .role_arn(&web.role_arn.value)
        .role_session_name(web.session_name.as_deref().unwrap_or(SESSION_NAME))
        .web_identity_token(token);
    let answer = Box::pin(call.send())
        .await
        .map_err(|error| from_sdk("AssumeRoleWithWebIdentity", error))?;
    session(answer.credentials, "AssumeRoleWithWebIdentity")
}

/// Settings for the SDK's own providers.
fn sdk_settings(context: &Context, client: SharedHttpClient) -> ProviderConfig {
    let mut settings = ProviderConfig::without_region()
        .with_http_client(client)
        .with_time_source(context.clock.clone())
        .with_region(context.config.region().cloned())
        .with_use_fips(context.config.use_fips())
        .with_use_dual_stack(context.config.use_dual_stack());
    if let Some(sleep) = context.config.sleep_impl() {
        settings = settings.with_sleep_impl(sleep);
    }
    settings
}

/// HTTP client with the configured proxy, if there is one.
fn default_client(context: &Context) -> SharedHttpClient {
    context.config.http_client().unwrap_or_else(|| context.direct.clone())
}

async fn login(session: &Setting<String>, profile: &str, context: &Context) -> Result<Credentials> {
    let settings = sdk_settings(context, default_client(context));
    let builder = LoginCredentialsProvider::builder(&session.value).configure(&settings);
    builder.build().provide_credentials().await.map_err(|error| {
        let Setting { value, origin } = session;
        let what = format!("the `aws login` session {value} ({origin}) gives no credentials");
        // The SDK reports a missing session as a configuration error.
        Error { kind: Kind::Credentials, ..refused(&error, &what) }
            .hint(format!("sign in: `aws login --profile {}`", quoted(profile)))
    })
}

/// Profile name, quoted for a shell.
pub(super) fn quoted(name: &str) -> String {
    shlex::try_quote(name).map_or_else(|_| name.to_owned(), std::borrow::Cow::into_owned)
}

async fn container(context: &Context) -> Result<Credentials> {
    check_container_token(&context.container_token)?;
    let settings = sdk_settings(context, context.direct.clone());
    let provider = EcsCredentialsProvider::builder().configure(&settings).build();
    provider.provide_credentials().await.map_err(|error| {
        refused(&error, "the container's endpoint gives no credentials").hint(
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or AWS_CONTAINER_CREDENTIALS_FULL_URI names it",
        )
    })
}

/// Refuses a token that is not valid in a header, with the name of the variable or file.
fn check_container_token(token: &ContainerToken) -> Result<()> {
    let (name, text) = match (&token.file, &token.text) {
        (Some(path), _) => {
            let name = format!("{path} (AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)");
            let text = std::fs::read_to_string(path).map_err(|error| {
                failed(format!("cannot read the container's token {name}: {error}"))
                    .caused_by(error)
            })?;
            (name, text)
        }
        (None, Some(text)) => ("AWS_CONTAINER_AUTHORIZATION_TOKEN".to_owned(), text.clone()),
        (None, None) => return Ok(()),
    };
    if text.contains(['\r', '\n']) {
        return Err(failed(format!("the container's token in {name} has a line end in it"))
            .hint("write it without one, as `printf %s TOKEN` does"));
    }
    Ok(())
}

/// Region of the instance, for connections without a configured region; `None` if the metadata has
/// none.
pub async fn instance_region(source: &Source, context: &Context) -> Option<String> {
    let mut source = source;
    while let Source::AssumeRole(role) = source {
        source = &role.source;
    }
    // For other sources the query would only take time: the region of IAM merely selects the
    // partition.
    let Source::InstanceMetadata { endpoint, is_ipv6 } = source else { return None };
    let endpoint = endpoint.as_ref().map(|setting| &*setting.value);
    let client = metadata_client(endpoint, *is_ipv6, context).ok()?;
    let region = client.get("/latest/meta-data/placement/region").await.ok()?;
    let region = region.as_ref().trim();
    crate::aws::settings::is_region(region).then(|| region.to_owned())
}

fn metadata_client(
    endpoint: Option<&str>,
    is_ipv6: bool,
    context: &Context,
) -> Result<imds::Client> {
    let usual = if is_ipv6 { "http://[fd00:ec2::254]" } else { "http://169.254.169.254" };
    let timeout = context.metadata_timeout;
    // With an explicit address the SDK does not look for one in its files.
    let builder = imds::Client::builder()
        .configure(&sdk_settings(context, context.direct.clone()))
        .max_attempts(context.metadata_attempts)
        .connect_timeout(timeout)
        .read_timeout(timeout)
        .operation_attempt_timeout(timeout)
        .operation_timeout(timeout.saturating_mul(context.metadata_attempts + 1))
        .endpoint(endpoint.unwrap_or(usual))
        .map_err(|error| {
            let message = format!("the address of instance metadata cannot be used: {error}");
            Error::new(Kind::Configuration, message)
        })?;
    Ok(builder.build())
}

async fn instance_metadata(
    endpoint: Option<&str>,
    is_ipv6: bool,
    context: &Context,
) -> Result<Credentials> {
    let client = metadata_client(endpoint, is_ipv6, context)?;
    let provider = ImdsCredentialsProvider::builder()
        .configure(&sdk_settings(context, context.direct.clone()))
        .imds_client(client)
        .build();
    provider.provide_credentials().await.map_err(|error| {
        let what = match endpoint {
            None => "no AWS credentials were found: neither in the environment nor in a profile, and there is no instance metadata",
            Some(_) => "no AWS credentials were found, and instance metadata gives none",
        };
        refused(&error, what)
            .hint(SIGN_IN)
            .hint(LOCAL)
    })
}

/// Converts an error of one of the SDK's providers, with its cause.
fn refused(error: &CredentialsError, what: &str) -> Error {
    let mut network = None;
    let mut last = String::new();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        network = network.or_else(|| error.downcast_ref::<NetworkError>());
        last = error.to_string();
        cause = error.source();
    }
    let kind = match error {
        CredentialsError::InvalidConfiguration(_) => Kind::Configuration,
        _ => Kind::Credentials,
    };
    // The outermost causes only say that something failed.
    match network {
        None => Error::new(kind, format!("{what}: {last}")),
        Some(network) => {
            let mut error =
                Error::new(kind, format!("{what}: no answer from {}: {last}", network.place()));
            error.hints.extend(network.hints().into_iter().map(str::to_owned));
            error
        }
    }
}

/// Extracts our own error from one of the SDK's.
fn own_error(error: &CredentialsError) -> Error {
    let ours = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>());
    ours.map_or_else(|| refused(error, "there are no credentials"), Error::copied)
}

/// Maximum output of a credential program, in bytes.
const MAX_OUTPUT: usize = 1 << 20;

/// Reads the output of a program, up to slightly more than the maximum.
async fn read_limited(from: Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let most = u64::try_from(MAX_OUTPUT + 1).unwrap_or(u64::MAX);
        from.take(most).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Runs a credential program, without a shell, as botocore does.
async fn process(command: &Setting<String>, clock: &CorrectedClock) -> Result<Credentials> {
    let what = |why: &str| failed(format!("credential_process ({}) {why}", command.origin));
    let words = shlex::split(&command.value).filter(|words| !words.is_empty());
    let Some((program, arguments)) = words.as_deref().and_then(<[String]>::split_first) else {
        return Err(what("is no command line"));
    };
    // A pipe on stdin belongs to the script, not to the program.
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdin());
    let cannot_run =
        |error: std::io::Error| what(&format!("cannot run {program}: {error}")).caused_by(error);
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(if is_terminal { Stdio::inherit() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot_run)?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (printed, said) =
        tokio::try_join!(read_limited(out), read_limited(err)).map_err(cannot_run)?;
    if printed.len() > MAX_OUTPUT || said.len() > MAX_OUTPUT {
        return Err(what("prints more than a megabyte"));
    }
    let status = child.wait().await.map_err(cannot_run)?;
    if !status.success() {
        const MAX_STDERR: usize = 500;
        let said = String::from_utf8_lossy(&said);
        let said: String = crate::escape::visible(said.trim()).chars().take(MAX_STDERR).collect();
        let why = if said.is_empty() { String::new() } else { format!(": {said}") };
        return Err(what(&format!("failed ({status}){why}")));
    }
    // The output has secrets, so no part of it is shown.
    let json: Json = serde_json::from_slice(&printed).map_err(|error| {
        what(&format!("does not print JSON: line {}", error.line()))
            .hint("it must print one object with Version, AccessKeyId and SecretAccessKey")
    })?;
    if json.get("Version") != Some(&Json::from(1)) {
        // A value that is not a number may be a misplaced secret.
        let version = json.get("Version").filter(|version| version.is_number());
        let version = version.map_or_else(|| "unknown".into(), ToString::to_string);
        return Err(what(&format!("prints keys of version {version}: \"Version\" must be 1")));
    }
    let text = |name: &str| json.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
    let needed = |name: &str| text(name).ok_or_else(|| what(&format!("prints no {name}")));
    let (id, secret) = (needed("AccessKeyId")?, needed("SecretAccessKey")?);
    let expiry = match text("Expiration") {
        None => None,
        Some(at) => {
            let end: jiff::Timestamp =
                at.parse().map_err(|_| what("prints an Expiration that is no date"))?;
            let end = system_time(end);
            if end <= clock.now() {
                return Err(what(&format!("prints keys that expired at {at}"))
                    .hint("sign in again where it gets its keys"));
            }
            Some(end)
        }
    };
    let token = text("SessionToken").map(str::to_owned);
    Ok(Credentials::new(id, secret, token, expiry, "credential_process"))
}
