//! Resolution of settings: flags, then environment variables, then the profile in AWS's files. Each
//! setting has its origin, for `iamlua whoami` and for errors.

use std::fmt;
use std::path::PathBuf;

use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use super::credentials::{self, ContainerToken, Source};
use super::environment::Environment;
use super::network::Network;
use super::shared_config::{Profile, SharedConfig};
use crate::error::{Error, Kind, Result};

/// Origin of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SettingOrigin {
    /// Command line, `iamlua.toml` or `iam.connect`.
    Given,
    /// Environment variable.
    Variable(String),
    /// Line of a file.
    File {
        /// Path of the file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// Default value.
    Default,
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("by a flag, iamlua.toml or iam.connect"),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Value with its origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Setting<T> {
    /// Value.
    pub value: T,
    /// Origin of the value.
    pub origin: SettingOrigin,
}

impl<T> Setting<T> {
    /// Setting with an origin.
    pub const fn new(value: T, origin: SettingOrigin) -> Self {
        Self { value, origin }
    }
}

/// Explicit settings; the others are resolved.
#[derive(Clone, Debug, Default)]
pub struct ExplicitSettings {
    /// Profile. It takes precedence over keys in the environment.
    pub profile: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Endpoint of all services.
    pub endpoint_url: Option<String>,
}

/// Credentials, region, endpoints and network of a connection, before any call.
#[derive(Debug)]
pub struct Settings {
    /// Name of the profile; the default is `default`.
    pub profile: Setting<String>,
    /// Region, if one is configured.
    pub region: Option<Setting<String>>,
    /// Endpoint given for all services.
    pub endpoint_url: Option<String>,
    /// Use of FIPS 140 endpoints.
    pub use_fips: bool,
    /// Use of dual-stack endpoints, which support IPv6.
    pub use_dual_stack: bool,
    /// Number of attempts per call, if configured.
    pub max_attempts: Option<u32>,
    /// Proxies and trust store.
    pub network: Network,
    /// Attempts and timeout of instance metadata.
    pub metadata: Metadata,
    /// Source of the credentials.
    pub credentials: Source,
    /// Home folder.
    pub home: Option<PathBuf>,
    /// Token for the container's endpoint.
    pub container_token: ContainerToken,
    /// Endpoints in the environment and the files.
    endpoints: Endpoints,
    /// Path of the configuration file.
    config_path: PathBuf,
}

/// Attempts and timeout of instance metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Number of attempts.
    pub attempts: u32,
    /// Timeout of each attempt.
    pub timeout: std::time::Duration,
}

/// Endpoints in the environment and the files.
#[derive(Debug, Default)]
struct Endpoints {
    ignored: bool,
    environment: Environment,
    services: std::collections::BTreeMap<String, super::shared_config::Properties>,
    profile: Option<Setting<String>>,
}

impl Default for Environment {
    fn default() -> Self {
        Self::from_fn(|_| None)
    }
}

impl Settings {
    /// Resolves the settings. Reads environment variables and files; makes no call.
    ///
    /// # Errors
    /// A configuration error: a profile that does not exist, a file that cannot be read, incomplete
    /// credentials.
    pub fn resolve(request: &ExplicitSettings, environment: Environment) -> Result<Self> {
        let files = SharedConfig::load(&environment)?;
        let named = named_profile(request, &environment);
        let is_explicit = request.profile.is_some();
        let profile = match &named {
            Some(named) => Some(find(&files, named)?),
            None => files.profile("default"),
        };
        let empty = Profile::default();
        let profile = profile.unwrap_or(&empty);
        let name = named.unwrap_or_else(|| Setting::new("default".into(), SettingOrigin::Default));
        let region = region(request, &environment, profile)?;
        let flag = |variable: &str, property: &str| {
            let value = environment
                .get(variable)
                .or_else(|| profile.get(property).map(|setting| setting.value.clone()));
            value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
        };
        let ignored =
            flag("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls");
        let services = services(&files, profile, &environment, ignored)?;
        let (use_fips, use_dual_stack) = (
            flag("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
            flag("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
        );
        let max_attempts = max_attempts(&environment, profile)?;
        let network = Network::resolve(&environment, profile)?;
        let metadata = metadata(&environment, profile)?;
        let credentials = credentials::resolve(&files, &environment, &name, is_explicit)?;
        let home = environment.home();
        let container_token = ContainerToken {
            file: environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
            text: environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        };
        let endpoints = Endpoints {
            ignored,
            services,
            profile: profile.filled("endpoint_url").cloned(),
            environment,
        };
        Ok(Self {
            profile: name,
            region,
            endpoint_url: request.endpoint_url.clone(),
            use_fips,
            use_dual_stack,
            max_attempts,
            network,
            metadata,
            credentials,
            home,
            container_token,
            endpoints,
            config_path: files.config_path,
        })
    }

    /// Number of attempts per call by the environment variables alone, for the local account, which
    /// reads none of AWS's files.
    ///
    /// # Errors
    /// A configuration error for an invalid value.
    pub fn attempts_by_variable(environment: &Environment) -> Result<Option<u32>> {
        max_attempts(environment, &Profile::default())
    }

    /// Configured endpoint of a service, such as `IAM` or `Auto Scaling`. It applies if no endpoint
    /// was given for all services.
    #[must_use]
    pub fn configured_endpoint(&self, service_id: &str) -> Option<Setting<String>> {
        let endpoints = &self.endpoints;
        if endpoints.ignored {
            return None;
        }
        let id = service_id.to_lowercase().replace([' ', '-'], "_");
        let own = format!("AWS_ENDPOINT_URL_{}", id.to_uppercase());
        let by_variable = endpoints.environment.first(&[&own, "AWS_ENDPOINT_URL"]);
        if let Some((name, value)) = by_variable {
            return Some(Setting::new(value, SettingOrigin::Variable(name.to_owned())));
        }
        let service = endpoints.services.get(&id).and_then(|service| service.get("endpoint_url"));
        let service = service.filter(|setting| !setting.value.is_empty());
        service.or(endpoints.profile.as_ref()).cloned()
    }

    /// Key of the settings that credentials depend on besides their source: region, endpoints,
    /// network.
    #[must_use]
    pub fn credentials_key(&self) -> String {
        let sts = self.configured_endpoint("STS").map(|setting| setting.value);
        format!(
            "{:?} {sts:?} {} {} {:?}",
            self.region.as_ref().map(|region| &region.value),
            self.use_fips,
            self.use_dual_stack,
            self.network
        )
    }

    /// Path of the configuration file.
    #[must_use]
    pub fn config_path(&self) -> &std::path::Path {
        &self.config_path
    }
}

/// Endpoints, in the form that the SDK's clients look up.
#[derive(Clone, Debug)]
pub struct ServiceEndpoints(pub std::sync::Arc<Settings>);

impl LoadServiceConfig for ServiceEndpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        if key.profile() != "endpoint_url" {
            return None;
        }
        self.0.configured_endpoint(key.service_id()).map(|setting| setting.value)
    }
}

/// Selected profile, with its origin. `AWS_PROFILE` wins over `AWS_DEFAULT_PROFILE`, as in version
/// 2 of the CLI. An empty variable selects a profile with an empty name, as in the CLI.
fn named_profile(request: &ExplicitSettings, environment: &Environment) -> Option<Setting<String>> {
    if let Some(name) = &request.profile {
        return Some(Setting::new(name.clone(), SettingOrigin::Given));
    }
    ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"].into_iter().find_map(|variable| {
        let name = environment.get(variable)?;
        Some(Setting::new(name, SettingOrigin::Variable(variable.into())))
    })
}

fn find<'a>(files: &'a SharedConfig, named: &Setting<String>) -> Result<&'a Profile> {
    if let Some(profile) = files.profile(&named.value) {
        return Ok(profile);
    }
    let by = match &named.origin {
        SettingOrigin::Variable(name) => format!(" (named by {name})"),
        _ => String::new(),
    };
    let places = format!("{} or {}", files.config_path.display(), files.credentials_path.display());
    let message = match &named.origin {
        SettingOrigin::Variable(name) if named.value.is_empty() => {
            format!("{name} is set, but to nothing, and there is no such profile")
        }
        _ => format!("there is no profile {:?} in {places}{by}", named.value),
    };
    let error = Error::new(Kind::Configuration, message);
    let error = match files.near(&named.value) {
        Some(near) if !named.value.is_empty() => error.hint(format!("did you mean {near:?}?")),
        _ => error,
    };
    Err(error.hint(files.suggestion("")))
}

/// Region: `--region`, `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile.
fn region(
    request: &ExplicitSettings,
    environment: &Environment,
    profile: &Profile,
) -> Result<Option<Setting<String>>> {
    let by_variable = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|variable| {
        Some(Setting::new(environment.get(variable)?, SettingOrigin::Variable(variable.into())))
    });
    let given = request.region.clone().map(|region| Setting::new(region, SettingOrigin::Given));
    let Some(region) = given.or(by_variable).or_else(|| profile.get("region").cloned()) else {
        return refuse_misspelt_region(profile).map(|()| None);
    };
    if is_region(&region.value) {
        return Ok(Some(region));
    }
    let message = format!("{:?} is no region ({})", region.value, region.origin);
    let hint = "a region is written like eu-central-1, without quotes or a comment behind it";
    Err(Error::new(Kind::Configuration, message).hint(hint))
}

/// Refuses a misspelt `region`. Without it calls would go to another partition or region.
fn refuse_misspelt_region(profile: &Profile) -> Result<()> {
    let misspelt = profile
        .merged
        .iter()
        .find(|(property, _)| (1..=2).contains(&strsim::damerau_levenshtein("region", property)));
    match misspelt {
        None => Ok(()),
        Some((property, setting)) => {
            let message = format!("{property} ({}) is not known", setting.origin);
            Err(Error::new(Kind::Configuration, message).hint("did you mean region?"))
        }
    }
}

/// Check of a region's format. Regions become parts of host names, so other text could redirect
/// calls.
pub fn is_region(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// `services` section that the profile refers to.
fn services(
    files: &SharedConfig,
    profile: &Profile,
    environment: &Environment,
    ignored: bool,
) -> Result<std::collections::BTreeMap<String, super::shared_config::Properties>> {
    let Some(name) = profile.get("services").filter(|_| !ignored) else {
        return Ok(std::collections::BTreeMap::new());
    };
    match files.services(&name.value) {
        Some(services) => Ok(services.clone()),
        // The section would have no effect.
        None if environment.filled("AWS_ENDPOINT_URL").is_some() => {
            Ok(std::collections::BTreeMap::new())
        }
        None => {
            let message = format!(
                "{} names the services {:?}, and {} has no section [services {}]",
                name.origin,
                name.value,
                files.config_path.display(),
                name.value
            );
            Err(Error::new(Kind::Configuration, message)
                .hint("add the section, or remove the line"))
        }
    }
}

/// Number of attempts by environment variables or the profile. `standard` and `adaptive` mean
/// three; `legacy`, a mode of older tools, means five.
fn max_attempts(environment: &Environment, profile: &Profile) -> Result<Option<u32>> {
    let said = |variable: &str, property: &str| {
        let by_variable = environment
            .filled(variable)
            .map(|value| Setting::new(value, SettingOrigin::Variable(variable.into())));
        by_variable.or_else(|| profile.filled(property).cloned())
    };
    let wrong = |name: &str, setting: &Setting<String>, must: &str| {
        let message = match &setting.origin {
            SettingOrigin::Variable(variable) => format!("{variable} is {:?}", setting.value),
            origin => format!("{name} is {:?} ({origin})", setting.value),
        };
        Error::new(Kind::Configuration, message).hint(format!("it must be {must}"))
    };
    let by_mode = match said("AWS_RETRY_MODE", "retry_mode") {
        None => None,
        Some(mode) => match mode.value.trim() {
            "standard" | "adaptive" => Some(3),
            "legacy" => Some(5),
            _ => {
                let must = "\"standard\", \"adaptive\" or \"legacy\"";
                return Err(wrong("retry_mode", &mode, must));
            }
        },
    };
    match said("AWS_MAX_ATTEMPTS", "max_attempts") {
        None => Ok(by_mode),
        Some(text) => match text.value.trim().parse() {
            Ok(attempts) if attempts > 0 => Ok(Some(attempts)),
            _ => Err(wrong("max_attempts", &text, "a whole number from 1 on")),
        },
    }
}

/// Attempts and timeout for instance metadata; the default is one attempt of one second, as in
/// botocore.
fn metadata(environment: &Environment, profile: &Profile) -> Result<Metadata> {
    let number = |variable: &str, property: &str| {
        let by_variable = environment
            .filled(variable)
            .map(|value| Setting::new(value, SettingOrigin::Variable(variable.into())));
        let Some(setting) = by_variable.or_else(|| profile.filled(property).cloned()) else {
            return Ok(1);
        };
        setting.value.trim().parse::<u32>().ok().filter(|n| (1..=3600).contains(n)).ok_or_else(
            || {
                let message = format!("{property} is {:?} ({})", setting.value, setting.origin);
                Error::new(Kind::Configuration, message).hint("it must be a whole number from 1 on")
            },
        )
    };
    let attempts = number("AWS_METADATA_SERVICE_NUM_ATTEMPTS", "metadata_service_num_attempts")?;
    let timeout = number("AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout")?;
    Ok(Metadata { attempts, timeout: std::time::Duration::from_secs(timeout.into()) })
}
