//! Targets of a host: an account in memory or in a file, or AWS.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::aws::Environment;
use crate::aws::client::{self, Backend, Connection, Role};
use crate::clock::HeldClock;
use crate::emulator::{Contents, Emulator, EmulatorSettings};
use crate::error::{Error, Result};

/// Account that the calls of a host's scripts reach.
#[derive(Clone, Debug)]
pub struct Target(TargetKind);

#[derive(Clone, Debug)]
enum TargetKind {
    Memory(Contents),
    File(PathBuf),
    Aws(AwsConfig),
}

impl Target {
    /// Emulated account in memory with the example data: some two dozen instance profiles with
    /// their roles. Each host has its own; it is gone with the host.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(TargetKind::Memory(Contents::Example))
    }

    /// Emulated account in memory without profiles and roles.
    #[must_use]
    pub fn in_memory_empty() -> Self {
        Self(TargetKind::Memory(Contents::Empty))
    }

    /// Emulated account in an `SQLite` file. The first use makes the file, with the example data.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(TargetKind::File(path.into()))
    }

    /// AWS.
    #[must_use]
    pub fn aws(config: AwsConfig) -> Self {
        Self(TargetKind::Aws(config))
    }

    /// Connection that leads to the account.
    pub(super) fn connection(&self, clock: &Clock) -> Result<Connection> {
        let settings =
            || EmulatorSettings { clock: clock.0.clone(), ..EmulatorSettings::default() };
        let local = |account: &Emulator| Connection {
            target: Backend::local(account.http_client()),
            environment: Some(Environment::default()),
            ..Connection::default()
        };
        match &self.0 {
            TargetKind::Memory(contents) => {
                let account = Emulator::in_memory(settings())?;
                if *contents == Contents::Empty {
                    account.reset(Contents::Empty)?;
                }
                Ok(local(&account))
            }
            TargetKind::File(path) => Ok(local(&Emulator::open(path, settings())?)),
            TargetKind::Aws(config) => {
                let connection = config.connection();
                connection.check()?;
                Ok(connection)
            }
        }
    }
}

/// Identity and endpoint of calls to AWS.
///
/// [`AwsConfig::new`] reads no environment variable and no file: credentials are those that
/// [`credentials`](Self::credentials) gives, else those of the instance metadata service.
/// [`AwsConfig::from_environment`] finds everything as the AWS CLI does.
#[derive(Clone, Default)]
pub struct AwsConfig {
    is_from_environment: bool,
    profile: Option<String>,
    region: Option<String>,
    role_arn: Option<String>,
    endpoint_url: Option<String>,
    variables: BTreeMap<&'static str, String>,
}

impl AwsConfig {
    /// Configuration that has nothing but what is set on it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Configuration of the AWS CLI: `AWS_*` variables, `~/.aws/config` and `~/.aws/credentials`,
    /// proxies, container and instance credentials.
    #[must_use]
    pub fn from_environment() -> Self {
        Self { is_from_environment: true, ..Self::default() }
    }

    /// Sets the profile of `~/.aws/config`. It is looked up only
    /// [from the environment](Self::from_environment).
    #[must_use]
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.profile = Some(name.into());
        self
    }

    /// Sets the region; the default is `us-east-1`.
    #[must_use]
    pub fn region(mut self, name: impl Into<String>) -> Self {
        self.region = Some(name.into());
        self
    }

    /// Sets a role that is assumed with the credentials.
    #[must_use]
    pub fn role_arn(mut self, arn: impl Into<String>) -> Self {
        self.role_arn = Some(arn.into());
        self
    }

    /// Sets the endpoint of all services, in place of AWS's own.
    #[must_use]
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint_url = Some(url.into());
        self
    }

    /// Sets the access key, with the session token of temporary credentials.
    #[must_use]
    pub fn credentials(
        mut self,
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
        session_token: Option<String>,
    ) -> Self {
        self.variables.insert("AWS_ACCESS_KEY_ID", access_key_id.into());
        self.variables.insert("AWS_SECRET_ACCESS_KEY", secret_access_key.into());
        match session_token {
            Some(token) => self.variables.insert("AWS_SESSION_TOKEN", token),
            None => self.variables.remove("AWS_SESSION_TOKEN"),
        };
        self
    }

    fn environment(&self) -> Environment {
        let (variables, reads) = (self.variables.clone(), self.is_from_environment);
        let process = Environment::of_process();
        Environment::from_fn(move |name| {
            let given = variables.get(name).cloned();
            if reads {
                return given.or_else(|| process.get(name));
            }
            match name {
                // An empty value counts as no home folder, and hides that of the user database.
                "HOME" => Some(String::new()),
                "AWS_CONFIG_FILE" | "AWS_SHARED_CREDENTIALS_FILE" => Some("/dev/null".into()),
                _ => given,
            }
        })
    }

    fn connection(&self) -> Connection {
        Connection {
            target: client::Backend::Aws,
            profile: self.profile.clone(),
            region: self.region.clone(),
            endpoint_url: self.endpoint_url.clone(),
            roles: self.role_arn.iter().map(Role::new).collect(),
            environment: Some(self.environment()),
        }
    }
}

impl fmt::Debug for AwsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Secrets are left out.
        f.debug_struct("AwsConfig")
            .field("is_from_environment", &self.is_from_environment)
            .field("profile", &self.profile)
            .field("region", &self.region)
            .field("role_arn", &self.role_arn)
            .finish_non_exhaustive()
    }
}

/// Clock of a host: the time that its scripts see, and the dates in an emulated account. Clones
/// are hands of the same clock.
///
/// ```
/// # fn main() -> iamlua::Result<()> {
/// use std::time::{Duration, UNIX_EPOCH};
/// use iamlua::{Clock, Host, Target};
///
/// let clock = Clock::fixed(UNIX_EPOCH + Duration::from_secs(1_800_000_000));
/// let host = Host::builder().target(Target::in_memory()).clock(clock).build()?;
/// let outcome = host.run_code("return os.time()", &[])?;
/// assert_eq!(outcome.value(), Some(&1_800_000_000.into()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(pub(super) crate::clock::Clock);

impl Clock {
    /// Clock of the machine, which is the default.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Clock whose date stands still, but for [`set`](Self::set) and for what scripts sleep.
    #[must_use]
    pub fn fixed(at: SystemTime) -> Self {
        let at = Timestamp::try_from(at).unwrap_or_default();
        Self(crate::clock::Clock::Held(HeldClock::new(at)))
    }

    /// Sets the date of a fixed clock.
    ///
    /// # Errors
    /// [`Kind::Argument`](crate::Kind::Argument) for the clock of the machine, or a date that is
    /// out of range.
    pub fn set(&self, at: SystemTime) -> Result<()> {
        let crate::clock::Clock::Held(clock) = &self.0 else {
            return Err(Error::argument("the clock of the machine is not set by a host")
                .hint("make the host with Clock::fixed"));
        };
        let at = Timestamp::try_from(at)
            .map_err(|error| Error::argument(format!("the date is out of range: {error}")))?;
        clock.set(at);
        Ok(())
    }
}
