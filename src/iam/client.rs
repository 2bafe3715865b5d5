//! How the SDK's clients are made: credentials, region, endpoint and the HTTP client below them. Above the HTTP client nothing
//! knows whether it is AWS or the local account that answers.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use futures_util::FutureExt;

use crate::error::{Error, Result};

/// The clients of one connection; cheap to clone.
#[derive(Clone, Debug)]
pub struct Clients {
    /// IAM.
    pub iam: aws_sdk_iam::Client,
    /// STS.
    pub sts: aws_sdk_sts::Client,
    /// What they are made from, for calls to other services.
    pub config: SdkConfig,
    /// How often a call may be made, if the user has said so; throttled ones count too then.
    pub max_attempts: Option<u32>,
}

/// Where calls go, and with whose credentials. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Who answers.
    pub target: Target,
    /// The profile of `~/.aws/config`.
    pub profile: Option<String>,
    /// The AWS region.
    pub region: Option<String>,
    /// The endpoint, instead of AWS's own.
    pub endpoint_url: Option<String>,
    /// The roles to assume, one with the credentials of the one before.
    pub roles: Vec<Role>,
}

/// A role to assume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What its owner asks for, if anything.
    pub external_id: Option<String>,
    /// The name of the session in the audit log.
    pub session_name: String,
}

impl Role {
    /// A role assumed under the name of this program.
    #[must_use]
    pub fn new(arn: impl Into<String>) -> Self {
        Self { arn: arn.into(), external_id: None, session_name: "iamlua".into() }
    }
}

/// Who answers.
#[derive(Clone, Default)]
pub enum Target {
    /// AWS, or what an endpoint URL names.
    #[default]
    Aws,
    /// A local account, reached through its HTTP client.
    Local(OpenLocal),
}

/// Opens the local account; called at the first call that goes there.
pub type OpenLocal = Arc<dyn Fn() -> Result<SharedHttpClient> + Send + Sync>;

impl Target {
    /// A local account that is open already.
    #[must_use]
    pub fn local(client: SharedHttpClient) -> Self {
        Self::Local(Arc::new(move || Ok(client.clone())))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "Aws",
            Self::Local(_) => "Local",
        })
    }
}

/// IAM is one service for the whole partition, so the region decides only the partition.
pub const DEFAULT_REGION: &str = "us-east-1";

impl Connection {
    /// The clients, with `above` putting its layer above the HTTP client of the two services; where credentials come from has none.
    /// Resolves the configuration, but makes no call: credentials are looked for at the first one.
    ///
    /// # Errors
    /// If the local account cannot be opened.
    pub async fn clients(
        &self,
        above: impl Fn(SharedHttpClient) -> SharedHttpClient,
    ) -> Result<Clients> {
        let by_variable = attempts_by_variable()?;
        let mut config = self.base(by_variable).await?;
        for role in &self.roles {
            let mut builder = AssumeRoleProvider::builder(&role.arn)
                .session_name(&role.session_name)
                .configure(&config);
            if let Some(id) = &role.external_id {
                builder = builder.external_id(id);
            }
            let provider = match config.credentials_provider() {
                Some(base) => builder.build_from_provider(base).await,
                None => builder.build().await,
            };
            let provider = SharedCredentialsProvider::new(provider);
            config = config.into_builder().credentials_provider(provider).build();
        }
        let max_attempts = by_variable.or_else(|| attempts_by_file(config.retry_config()));
        // Whoever makes a call knows better than the SDK when it is worth making again.
        let mut builder = config.to_builder().retry_config(RetryConfig::disabled());
        if let Some(client) = config.http_client() {
            builder = builder.http_client(above(client));
        }
        let config = builder.build();
        Ok(Clients {
            iam: aws_sdk_iam::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            config,
            max_attempts,
        })
    }

    async fn base(&self, max_attempts: Option<u32>) -> Result<SdkConfig> {
        let region = self.region.clone().map(Region::new);
        match &self.target {
            // Built by hand: the local account reads no file of AWS's.
            Target::Local(open) => Ok(SdkConfig::builder()
                .behavior_version(BehaviorVersion::latest())
                .http_client(open()?)
                .region(region.unwrap_or(Region::from_static(DEFAULT_REGION)))
                .credentials_provider(SharedCredentialsProvider::new(local_credentials()))
                .timeout_config(timeouts())
                .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
                .time_source(SharedTimeSource::new(SystemTimeSource::new()))
                .build()),
            Target::Aws => {
                let mut loader = aws_config::defaults(BehaviorVersion::latest())
                    .http_client(http())
                    .timeout_config(timeouts());
                if let Some(profile) = &self.profile {
                    loader = loader.profile_name(profile);
                }
                if let Some(region) = region {
                    loader = loader.region(region);
                }
                if let Some(url) = &self.endpoint_url {
                    loader = loader.endpoint_url(url);
                }
                if let Some(attempts) = max_attempts {
                    let retries = RetryConfig::standard().with_max_attempts(attempts);
                    loader = loader.retry_config(retries);
                }
                // What is wrong in the files makes the SDK panic, which says what and where.
                let load = AssertUnwindSafe(loader.load()).catch_unwind().await;
                let config = load.map_err(|_| {
                    Error::usage("the AWS SDK cannot use its configuration files: see above")
                        .hint("correct ~/.aws/config, or name another file with AWS_CONFIG_FILE")
                })?;
                if !config.endpoint_url().is_some_and(|url| url.starts_with("http:")) {
                    // It will be needed, and takes a while.
                    tokio::task::spawn_blocking(https);
                }
                if config.region().is_some() {
                    return Ok(config);
                }
                Ok(config.into_builder().region(Region::from_static(DEFAULT_REGION)).build())
            }
        }
    }
}

/// The local account knows every caller; the SDK signs with something all the same.
fn local_credentials() -> Credentials {
    Credentials::new("AKIAIAMLUALOCAL00000", "local", None, None, "local account")
}

/// An endpoint that says nothing must not hold a run up for ever; these are the times of AWS's own tools.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_mins(1))
        .build()
}

/// How often a call may be made, if `AWS_MAX_ATTEMPTS` or `AWS_RETRY_MODE` say so. The SDK would panic where they are wrong, and does not know
/// `legacy`, which other tools of AWS's do.
fn attempts_by_variable() -> Result<Option<u32>> {
    let said = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let wrong = |name: &str, value: &str, must: &str| {
        Error::usage(format!("{name} is {value:?}")).hint(format!("it must be {must}"))
    };
    let by_mode = match said("AWS_RETRY_MODE").as_deref() {
        None => None,
        Some("standard" | "adaptive") => Some(3),
        Some("legacy") => Some(5),
        Some(other) => {
            let must = "\"standard\", \"adaptive\" or \"legacy\"";
            return Err(wrong("AWS_RETRY_MODE", other, must));
        }
    };
    match said("AWS_MAX_ATTEMPTS") {
        None => Ok(by_mode),
        Some(text) => match text.trim().parse() {
            Ok(attempts) if attempts > 0 => Ok(Some(attempts)),
            _ => Err(wrong("AWS_MAX_ATTEMPTS", &text, "a whole number from 1 on")),
        },
    }
}

/// The same by `~/.aws/config`: both modes mean three attempts, whatever the failure. `retry_mode = standard` with three attempts is what the SDK
/// takes for its default, and cannot be told from nothing.
fn attempts_by_file(config: Option<&RetryConfig>) -> Option<u32> {
    let default = RetryConfig::standard();
    let config = config?;
    let is_said =
        config.mode() != default.mode() || config.max_attempts() != default.max_attempts();
    is_said.then(|| config.max_attempts())
}

/// One client for the process, so that connections and the trust store are shared. The trust store takes some milliseconds to read, so it is
/// read when the first connection needs it.
fn http() -> SharedHttpClient {
    static CLIENT: OnceLock<SharedHttpClient> = OnceLock::new();
    CLIENT
        .get_or_init(|| {
            let plain = aws_smithy_http_client::Builder::new().build_http();
            SharedHttpClient::new(ByScheme { plain })
        })
        .clone()
}

fn https() -> &'static SharedHttpClient {
    static CLIENT: OnceLock<SharedHttpClient> = OnceLock::new();
    CLIENT.get_or_init(|| {
        aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https()
    })
}

/// Goes by HTTPS where an address says so, else by plain HTTP.
#[derive(Debug)]
struct ByScheme {
    plain: SharedHttpClient,
}

impl HttpClient for ByScheme {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            plain: self.plain.http_connector(settings, components),
            tls: OnceLock::new(),
            settings: settings.clone(),
            components: components.clone(),
        })
    }
}

#[derive(Debug)]
struct Connector {
    plain: SharedHttpConnector,
    tls: OnceLock<SharedHttpConnector>,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if request.uri().starts_with("http:") {
            return self.plain.call(request);
        }
        let tls = self.tls.get_or_init(|| https().http_connector(&self.settings, &self.components));
        tls.call(request)
    }
}
