//! Options that several commands share: target, limits, output format. Defaults come from
//! `iamlua.toml`.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::builder::OsStringValueParser;
use clap::{Args, ValueEnum, ValueHint};

use super::{complete, trust};
use crate::app::run::{AwsTarget, TargetConfig};
use crate::aws::network::without_password;
use crate::config::{Config, DefaultMode, MaxChanges, Redirection, Target};
use crate::emulator::Faults;
use crate::error::{Error, Kind, Result};
use crate::lua::{Format, net};
use crate::session::destination::Destination;
use crate::session::journal::{About, JournalLocation};
use crate::session::{Gate, Mode, Session, SessionConfig};
use crate::spec;
use crate::ui::terminal;

/// Options for the target of calls.
#[derive(Args, Clone, Debug)]
pub struct TargetOptions {
    /// Use AWS instead of the local account.
    ///
    /// Scripts only plan there unless --apply is given.
    #[arg(long, help_heading = "Target")]
    aws: bool,
    /// Use the local account, whatever the configuration says.
    #[arg(long, hide_short_help = true, conflicts_with_all = ["aws", "profile", "role_arn", "endpoint_url"], help_heading = "Target")]
    local: bool,
    /// Profile of ~/.aws/config (implies --aws).
    #[arg(long, value_name = "NAME", add = complete::profiles(), help_heading = "Target")]
    profile: Option<String>,
    /// AWS region.
    #[arg(long, value_name = "REGION", add = complete::regions(), help_heading = "Target")]
    region: Option<String>,
    /// Role to assume (implies --aws).
    #[arg(long, hide_short_help = true, value_name = "ARN", value_parser = role_arn, help_heading = "Target")]
    role_arn: Option<String>,
    /// Endpoint to call instead of AWS's own (implies --aws).
    #[arg(long, hide_short_help = true, value_name = "URL", value_parser = url, help_heading = "Target")]
    endpoint_url: Option<String>,
    /// Fault injection on the local account: latency=20ms,lost=1%,…
    ///
    /// latency=20ms,throttle=50/100,error=1%,lost=1%,lag=2s,seed=7. Calls that always fail:
    /// deny=ec2:*@eu-west-1+batch (access denied), fail=… (500), choke=… (throttled), cut=…
    /// (connection lost). hold=… keeps calls waiting until `iamlua account release`.
    #[arg(long, hide_short_help = true, value_name = "LIST", value_parser = super::faults, help_heading = "Target")]
    faults: Option<Faults>,
    /// Configuration file to read instead of iamlua.toml.
    ///
    /// With '' the defaults in iamlua.toml are ignored, but its guards hold: account, mode,
    /// `max_changes` and protect.
    #[arg(long, hide_short_help = true, value_name = "FILE", value_parser = OsStringValueParser::new(), value_hint = ValueHint::FilePath, help_heading = "Target")]
    config: Option<OsString>,
}

/// Options for limits of changes.
#[derive(Args, Clone, Debug)]
pub struct LimitOptions {
    /// Maximum number of changes: 500, or 5% of profiles.
    ///
    /// A share is of all profiles of the account.
    #[arg(long, value_name = "N", help_heading = "Limits")]
    max_changes: Option<MaxChanges>,
    /// Change protected profiles too.
    ///
    /// Those have the tag iamlua:protected, or are named by `protect` in iamlua.toml.
    #[arg(long, hide_short_help = true, help_heading = "Limits")]
    override_protection: bool,
}

impl LimitOptions {
    /// Presence of a limit of changes.
    pub const fn has_limit(&self) -> bool {
        self.max_changes.is_some()
    }
}

/// `--output`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OutputFormat {
    /// Aligned columns for people.
    Table,
    /// One JSON value.
    Json,
    /// One JSON value a line.
    Jsonl,
    /// Comma-separated values.
    Csv,
}

impl From<OutputFormat> for Format {
    fn from(format: OutputFormat) -> Self {
        match format {
            OutputFormat::Table => Self::Table,
            OutputFormat::Json => Self::Json,
            OutputFormat::Jsonl => Self::Jsonl,
            OutputFormat::Csv => Self::Csv,
        }
    }
}

/// Parses a duration on the command line.
pub fn duration(text: &str) -> std::result::Result<Duration, String> {
    let seconds = spec::parse_duration(text)?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn url(text: &str) -> std::result::Result<String, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        Ok(text.to_owned())
    } else {
        Err("must begin with http:// or https://".into())
    }
}

fn role_arn(text: &str) -> std::result::Result<String, String> {
    spec::check_role_arn(text).map(|()| text.to_owned())
}

/// Target, with the configuration that applies to it.
#[derive(Debug)]
pub struct Resolved {
    /// Target of calls.
    pub against: TargetConfig,
    /// Defaults of the operator.
    pub config: Config,
    /// Set if the command line or the environment names the target.
    is_named: bool,
    /// Set if the configuration names AWS as the target.
    is_by_config: bool,
    options: AwsTarget,
    faults: Faults,
}

impl TargetOptions {
    /// Loads the configuration.
    pub fn config(&self) -> Result<Config> {
        Config::load(self.config.as_deref().map(Path::new))
    }

    /// Resolves the target: from the command line, then `IAMLUA_TARGET`, then the configuration.
    pub fn resolve(self) -> Result<Resolved> {
        let config = self.config()?;
        let by_variable = match std::env::var("IAMLUA_TARGET").as_deref() {
            Ok("aws") => Some(Target::Aws),
            Ok("local") => Some(Target::Local),
            Ok("") | Err(_) => None,
            Ok(other) => {
                return Err(Error::usage(format!("IAMLUA_TARGET is {other:?}"))
                    .hint("it must be \"aws\" or \"local\""));
            }
        };
        let named =
            self.profile.is_some() || self.role_arn.is_some() || self.endpoint_url.is_some();
        let by_options = if self.local {
            Some(Target::Local)
        } else {
            (self.aws || named).then_some(Target::Aws)
        };
        let implied =
            config.profile.is_some() || config.role_arn.is_some() || config.endpoint_url.is_some();
        let by_config = config.target.or(implied.then_some(Target::Aws));
        let target = by_options.or(by_variable).or(by_config).unwrap_or(Target::Local);
        let options = AwsTarget {
            profile: self.profile,
            region: self.region,
            role_arn: self.role_arn,
            endpoint_url: self.endpoint_url,
        };
        let faults = self.faults.clone().unwrap_or_default();
        let against = match target {
            Target::Local => TargetConfig::Local(faults.clone()),
            Target::Aws if self.faults.is_some() => {
                return Err(Error::usage(
                    "--faults are for the local account, and this run is against AWS",
                ));
            }
            Target::Aws => {
                // Profile and role come from one source: the command line or the file, never a mix.
                let is_someone = options.profile.is_some() || options.role_arn.is_some();
                let from_file = |value: &Option<String>| value.clone().filter(|_| !is_someone);
                TargetConfig::Aws(AwsTarget {
                    profile: options.profile.clone().or_else(|| from_file(&config.profile)),
                    region: options.region.clone().or_else(|| config.region.clone()),
                    role_arn: options.role_arn.clone().or_else(|| from_file(&config.role_arn)),
                    endpoint_url: options
                        .endpoint_url
                        .clone()
                        .or_else(|| config.endpoint_url.clone()),
                })
            }
        };
        let redirection = match &against {
            TargetConfig::Aws(aws) => {
                config.redirection.as_ref().and_then(|set| in_effect(set, aws))
            }
            TargetConfig::Local(_) => None,
        };
        if let Some(redirection) = &redirection {
            trust::check(redirection)?;
        }
        if let TargetConfig::Aws(aws) = &against {
            against.connection().check().map_err(|error| {
                let is_by_file = aws.profile.is_some() && options.profile.is_none();
                if is_by_file && error.message.starts_with("there is no profile") {
                    return error
                        .hint(format!("it is named by `profile` in {}", config.shown_files()));
                }
                error
            })?;
        }
        let is_named = by_options.or(by_variable).is_some();
        let is_by_config = target == Target::Aws && !is_named;
        if let Some(Redirection { file, .. }) = &redirection {
            let set = redirection.as_ref().map(Redirection::in_words).unwrap_or_default();
            terminal::say(&format!("note: {} sets {set}", file.display()));
        }
        Ok(Resolved { against, config, is_named, is_by_config, options, faults })
    }
}

/// Settings of a project that take effect: those without a replacement on the command line.
fn in_effect(set: &Redirection, aws: &AwsTarget) -> Option<Redirection> {
    let mut redirection = set.clone();
    redirection.settings.retain(|key, value| {
        let used = match key.as_str() {
            "profile" => &aws.profile,
            "role_arn" => &aws.role_arn,
            _ => &aws.endpoint_url,
        };
        used.as_ref() == Some(value)
    });
    Some(redirection).filter(|found| !found.settings.is_empty())
}

impl Resolved {
    /// Profile, region, role and endpoint from the command line.
    pub const fn named(&self) -> &AwsTarget {
        &self.options
    }

    /// Prints a notice if the configuration selects AWS.
    pub fn announce(&self) {
        if self.is_by_config {
            terminal::say(&format!("note: on AWS, by {}", self.config.shown_files()));
        }
    }

    /// Mode: from the command line, else from the configuration, else `apply` on the local account
    /// and `plan` on AWS.
    pub fn mode(&self, given: Option<Mode>) -> Mode {
        let by_config = self.config.mode.map(|mode| match mode {
            DefaultMode::Plan => Mode::Plan,
            DefaultMode::ReadOnly => Mode::ReadOnly,
        });
        let by_target = match self.against {
            TargetConfig::Local(_) => Mode::Apply,
            TargetConfig::Aws(_) => Mode::Plan,
        };
        given.or(by_config).unwrap_or(by_target)
    }

    /// Refuses a command that makes changes if the configuration is read-only.
    ///
    /// # Errors
    /// A refusal.
    pub fn refuse_if_read_only(&self) -> Result<()> {
        if self.config.mode == Some(DefaultMode::ReadOnly) {
            let refusal = "the configuration says `mode = \"read-only\"`, so nothing is changed";
            return Err(Error::new(Kind::Refused, refusal)
                .hint("change it, or name another file with --config"));
        }
        Ok(())
    }

    /// Session settings: limits from the command line, else from the configuration.
    pub fn rules(&self, mode: Mode, limits: &LimitOptions, about: About) -> SessionConfig {
        let by_config = self.config.max_changes.iter();
        let max_changes = match limits.max_changes {
            Some(max) => vec![(max, "--max-changes")],
            None => by_config.map(|max| (*max, "`max_changes` in iamlua.toml")).collect(),
        };
        SessionConfig {
            mode,
            max_changes,
            protect: self.config.protect.clone(),
            override_protection: limits.override_protection,
            accounts: self.config.accounts.clone(),
            journal: JournalLocation::StateFolder,
            about,
            ..SessionConfig::default()
        }
    }

    /// Presence of a destination on AWS among those of a plan or an earlier run, as
    /// [`gates`](Self::gates) reaches them.
    pub fn leads_to_aws(&self, sites: &[Destination]) -> bool {
        sites.iter().any(|site| match self.against {
            TargetConfig::Local(_) if self.is_named => false,
            TargetConfig::Aws(_) if self.is_named => true,
            _ => site.target == Target::Aws,
        })
    }

    /// Refuses destinations whose endpoint is neither of AWS nor named by this run. The plan may
    /// come from somebody else.
    ///
    /// # Errors
    /// A refusal that names the endpoint.
    pub fn check_endpoints(&self, sites: &[Destination]) -> Result<()> {
        let own = self.against.connection();
        for site in sites {
            let Some(url) = &site.endpoint_url else { continue };
            if self.leads_to_aws(std::slice::from_ref(site))
                && self.options.endpoint_url.is_none()
                && net::is_elsewhere(&own, url)?
            {
                let shown = without_password(url);
                let refusal = format!("the plan sends its calls to {shown}, and nothing here does");
                return Err(Error::new(Kind::Refused, refusal).hint(format!(
                    "name it with --endpoint-url {shown}, or approve the plan with --sha256"
                )));
            }
        }
        Ok(())
    }

    /// Gates to the destinations of a plan or an earlier run. Connection settings of the command
    /// line replace the recorded ones. The caller checks that the accounts are the recorded ones.
    pub fn gates(&self, session: &std::sync::Arc<Session>, sites: &[Destination]) -> Vec<Gate> {
        let local = TargetConfig::Local(self.faults.clone()).connection();
        sites
            .iter()
            .map(|site| {
                let connection = match (&self.against, site.target) {
                    (TargetConfig::Local(_), _) if self.is_named => local.clone(),
                    (TargetConfig::Aws(_), Target::Local) if self.is_named => {
                        self.against.connection()
                    }
                    (_, Target::Local) => local.clone(),
                    (_, Target::Aws) => {
                        let mut connection = site.connection(crate::aws::client::Backend::Aws);
                        let named = &self.options;
                        if let Some(profile) = &named.profile {
                            connection.profile = Some(profile.clone());
                            connection.roles.clear();
                        }
                        if let Some(role) = &named.role_arn {
                            connection.roles = vec![crate::aws::client::Role::new(role)];
                        }
                        connection.region = named.region.clone().or(connection.region);
                        connection.endpoint_url =
                            named.endpoint_url.clone().or(connection.endpoint_url);
                        connection
                    }
                };
                Gate::new(std::sync::Arc::clone(session), connection)
            })
            .collect()
    }
}
