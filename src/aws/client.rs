//! Construction of the SDK's clients: credentials, region, endpoint, and the HTTP client below
//! them. The layers above the HTTP client do not know whether AWS or the local account answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_iam::config::IdentityCache;
use aws_sdk_iam::config::SharedIdentityCache;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient};

use super::credentials::{self, Assume, Context};
use super::network::{Network, without_password};
use super::shared_config::Profile;
use super::{
    CorrectedClock, DEFAULT_REGION, Environment, ExplicitSettings, ServiceEndpoints, Setting,
    SettingOrigin, Settings,
};
use crate::error::{Error, Kind, Result};

/// Clients of one connection; cheap to clone.
#[derive(Clone, Debug)]
pub struct Clients {
    /// IAM client.
    pub iam: aws_sdk_iam::Client,
    /// STS client.
    pub sts: aws_sdk_sts::Client,
    /// Shared configuration, for calls to other services.
    pub config: SdkConfig,
    /// Credentials, clock and settings of the connection.
    pub info: Arc<ConnectionInfo>,
}

impl Clients {
    /// Configured number of attempts per call, throttled ones included.
    #[must_use]
    pub fn max_attempts(&self) -> Option<u32> {
        self.info.max_attempts
    }
}

/// Credentials, clock and settings of a connection.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// Source of the credentials, without secrets.
    pub credentials: String,
    /// Clock for signing requests.
    pub clock: CorrectedClock,
    /// Configured number of attempts per call.
    pub max_attempts: Option<u32>,
    /// Settings of AWS; none on the local account.
    pub settings: Option<Arc<Settings>>,
}

impl ConnectionInfo {
    /// Endpoint for IAM and STS alike, from the environment or a profile.
    #[must_use]
    pub fn common_endpoint(&self) -> Option<String> {
        let settings = self.settings.as_ref()?;
        let (iam, sts) =
            (settings.configured_endpoint("IAM")?, settings.configured_endpoint("STS")?);
        (iam.value == sts.value).then(|| without_password(&iam.value))
    }
}

/// Target and identity of calls, as they were specified. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// AWS or the local account.
    pub target: Backend,
    /// Profile in `~/.aws/config`.
    pub profile: Option<String>,
    /// AWS region.
    pub region: Option<String>,
    /// Endpoint, instead of AWS's own.
    pub endpoint_url: Option<String>,
    /// Chain of roles to assume, each with the credentials of the previous one.
    pub roles: Vec<Role>,
    /// Source of the variables in settings; the default is the process.
    pub environment: Option<Environment>,
}

/// Role to assume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// ARN of the role.
    pub arn: String,
    /// External id that the role's owner requires.
    pub external_id: Option<String>,
    /// Session name, which appears in the audit log.
    pub session_name: String,
}

impl Role {
    /// Role with this program's name as the session name.
    #[must_use]
    pub fn new(arn: impl Into<String>) -> Self {
        Self { arn: arn.into(), external_id: None, session_name: "iamlua".into() }
    }
}

/// AWS or the local account.
#[derive(Clone, Default)]
pub enum Backend {
    /// AWS, or the endpoint URL.
    #[default]
    Aws,
    /// Local account, reached through its HTTP client.
    Local(OpenLocal),
}

/// Function that opens the local account, called before the first call to it.
pub type OpenLocal = Arc<dyn Fn() -> Result<SharedHttpClient> + Send + Sync>;

impl Backend {
    /// Local account that is already open.
    #[must_use]
    pub fn local(client: SharedHttpClient) -> Self {
        Self::Local(Arc::new(move || Ok(client.clone())))
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "Aws",
            Self::Local(_) => "Local",
        })
    }
}

impl Connection {
    fn environment(&self) -> Environment {
        self.environment.clone().unwrap_or_else(Environment::of_process)
    }

    /// Resolves the settings: profile, credentials, region, network. Reads environment variables
    /// and AWS's files; makes no call.
    ///
    /// # Errors
    /// A configuration error, such as for a profile that does not exist.
    pub fn settings(&self) -> Result<Settings> {
        let request = ExplicitSettings {
            profile: self.profile.clone(),
            region: self.region.clone(),
            endpoint_url: self.endpoint_url.clone(),
        };
        Settings::resolve(&request, self.environment())
    }

    /// Proxies and certificates of requests that are not for AWS: those of the connection. Beside
    /// the local account these are the environment's.
    ///
    /// # Errors
    /// A configuration error.
    pub fn network(&self) -> Result<Network> {
        match self.target {
            Backend::Aws => Ok(self.settings()?.network),
            Backend::Local(_) => Network::resolve(&self.environment(), &Profile::default()),
        }
    }

    /// Checks the configuration of the connection, before it is used.
    ///
    /// # Errors
    /// A configuration error, such as for a profile that does not exist.
    pub fn check(&self) -> Result<()> {
        match self.target {
            Backend::Local(_) => Ok(()),
            Backend::Aws => self.settings().map(|_| ()),
        }
    }

    /// Builds the clients. `above` adds a layer above the HTTP client of IAM and STS; calls that
    /// fetch credentials bypass it. Makes no call to AWS: credentials are fetched by the first
    /// call.
    ///
    /// # Errors
    /// If the local account cannot be opened, or the configuration cannot be used.
    pub async fn clients(
        &self,
        above: impl Fn(SharedHttpClient) -> SharedHttpClient,
    ) -> Result<Clients> {
        let (mut config, mut info) = match &self.target {
            Backend::Local(open) => self.local(open)?,
            Backend::Aws => {
                let connection = self.clone();
                // Blocking: files are read, and certificates parsed.
                let settings = tokio::task::spawn_blocking(move || connection.settings()).await;
                let settings = settings.map_err(|error| {
                    Error::new(Kind::Bug, format!("the settings were not read: {error}"))
                })??;
                self.aws(Arc::new(settings)).await?
            }
        };
        for role in &self.roles {
            let assume = Assume {
                role_arn: role.arn.clone(),
                session_name: role.session_name.clone(),
                external_id: role.external_id.clone(),
                config: config.clone(),
                clock: info.clock.clone(),
            };
            let provider = assume.provider();
            config = config.into_builder().credentials_provider(provider).build();
            info.credentials = format!("role {}, assumed with {}", role.arn, info.credentials);
        }
        // The caller decides about retries, not the SDK.
        let mut builder = config
            .to_builder()
            .retry_config(RetryConfig::disabled())
            .identity_cache(identity_cache());
        if let Some(client) = config.http_client() {
            builder = builder.http_client(above(client));
        }
        let config = builder.build();
        Ok(Clients {
            iam: aws_sdk_iam::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
            config,
            info: Arc::new(info),
        })
    }

    /// Configuration of the local account. AWS's files are ignored, and of its environment
    /// variables only those about attempts are read.
    fn local(&self, open: &OpenLocal) -> Result<(SdkConfig, ConnectionInfo)> {
        let region = self.region.clone().map(Region::new);
        let config = base()
            .http_client(open()?)
            .region(region.unwrap_or(Region::from_static(DEFAULT_REGION)))
            .credentials_provider(SharedCredentialsProvider::new(local_credentials()))
            .identity_cache(identity_cache())
            .time_source(SystemTimeSource::new())
            .build();
        let info = ConnectionInfo {
            credentials: "the local account".into(),
            clock: CorrectedClock::default(),
            max_attempts: Settings::attempts_by_variable(&self.environment())?,
            settings: None,
        };
        Ok((config, info))
    }

    async fn aws(&self, settings: Arc<Settings>) -> Result<(SdkConfig, ConnectionInfo)> {
        let endpoint = |service| {
            settings.endpoint_url.clone().map_or_else(
                || settings.configured_endpoint(service),
                |url| Some(Setting::new(url, SettingOrigin::Given)),
            )
        };
        let endpoints: Vec<_> = ["IAM", "STS"].into_iter().filter_map(endpoint).collect();
        for endpoint in &endpoints {
            check_url(endpoint)?;
        }
        let network = &settings.network;
        let places = endpoints.iter().map(|endpoint| &*endpoint.value).collect::<Vec<_>>();
        let clock = if self.environment.is_some() {
            CorrectedClock::quiet()
        } else {
            CorrectedClock::shared(&places.join(" "))
        };
        let region = settings.region.as_ref().map_or(DEFAULT_REGION, |region| &region.value);
        if endpoints.iter().all(|endpoint| !endpoint.value.starts_with("http:")) {
            // Loaded in the background, because it takes a while and will be needed.
            let network = network.clone();
            let timeouts = HttpConnectorSettings::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(READ_TIMEOUT)
                .build();
            tokio::task::spawn_blocking(move || network.warm_up(&timeouts));
        }
        let without_credentials = base()
            .http_client(network.client(clock.clone(), endpoints))
            .region(Region::new(region.to_owned()))
            .use_fips(settings.use_fips)
            .use_dual_stack(settings.use_dual_stack)
            .service_config(ServiceEndpoints(Arc::clone(&settings)))
            .time_source(clock.clone())
            .retry_config(RetryConfig::standard())
            .build();
        let mut context = Context {
            config: without_credentials.clone(),
            direct: network.direct_client(clock.clone()),
            clock: clock.clone(),
            metadata_attempts: settings.metadata.attempts,
            metadata_timeout: settings.metadata.timeout,
            home: settings.home.clone(),
            container_token: settings.container_token.clone(),
            key: settings.credentials_key(),
        };
        let mut builder = without_credentials.into_builder();
        if settings.region.is_none()
            && let Some(region) =
                credentials::instance_region(&settings.credentials, &context).await
        {
            let region = Region::new(region);
            context.config = context.config.to_builder().region(region.clone()).build();
            builder = builder.region(region);
        }
        builder = builder
            .credentials_provider(credentials::provider(&settings.credentials, &context))
            .identity_cache(identity_cache());
        // As in the CLI, the endpoint applies to the calls of the run, not to those that fetch
        // credentials.
        if let Some(url) = &settings.endpoint_url {
            builder = builder.endpoint_url(url);
            builder.insert_origin("endpoint_url", aws_types::origin::Origin::shared_config());
        }
        let info = ConnectionInfo {
            credentials: settings.credentials.describe(),
            clock,
            max_attempts: settings.max_attempts,
            settings: Some(Arc::clone(&settings)),
        };
        Ok((builder.build(), info))
    }
}

/// Settings common to all configurations.
fn base() -> aws_types::sdk_config::Builder {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .timeout_config(timeouts())
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        // The clock is already corrected.
        .disable_clock_skew_correction(true)
}

/// Credentials cache for all clients of a connection. Its timeout leaves time for MFA prompts and
/// credential programs.
fn identity_cache() -> SharedIdentityCache {
    IdentityCache::lazy().load_timeout(Duration::from_mins(10)).build()
}

/// Credentials for the local account, which accepts any.
fn local_credentials() -> Credentials {
    Credentials::new("AKIAIAMLUALOCAL00000", "local", None, None, "local account")
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// Timeouts of the AWS CLI.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build()
}

fn check_url(endpoint: &Setting<String>) -> Result<()> {
    let url = &endpoint.value;
    let is_url = (url.starts_with("http://") || url.starts_with("https://"))
        && url.parse::<hyper::Uri>().is_ok_and(|uri| uri.host().is_some());
    if is_url {
        return Ok(());
    }
    let shown = without_password(url);
    let message = format!("the endpoint {shown:?} ({}) is no address", endpoint.origin);
    Err(Error::new(Kind::Configuration, message)
        .hint("it is written like https://iam.example.com or http://127.0.0.1:7100"))
}
