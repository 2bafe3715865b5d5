//! `iamlua whoami`: account and caller that calls reach, and the origin of credentials, region and
//! network settings.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::{Map, Value as Json};

use super::options::{Resolved, TargetOptions};
use super::output::{print, print_json};
use crate::app::run;
use crate::aws::client::{Backend, ConnectionInfo};
use crate::aws::{Setting, SettingOrigin, Settings};
use crate::error::{Error, Kind, Result};
use crate::escape;
use crate::iam::{Identity, alias, identity};
use crate::session::{Gate, Mode, Session};

/// `iamlua whoami`.
#[derive(Args, Debug)]
pub struct WhoamiCommand {
    #[command(flatten)]
    target: TargetOptions,
    /// Format of the answer.
    #[arg(long, value_enum, default_value_t = WhoamiFormat::Table, value_name = "FORMAT", help_heading = "Output")]
    output: WhoamiFormat,
}

/// `--output` of this command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WhoamiFormat {
    /// A line for each answer, with its origin.
    Table,
    /// One JSON object.
    Json,
}

/// Row of the answer: name, value and origin.
struct Row {
    /// Name in text.
    name: &'static str,
    /// Name in JSON.
    key: &'static str,
    value: Option<String>,
    origin: Option<String>,
    /// Text for a missing value.
    absent: &'static str,
}

impl WhoamiCommand {
    /// Prints the answer.
    pub fn execute(self) -> Result<u8> {
        let output = self.output;
        self.answer()
            .map_err(|mut error| {
                // The hint would name this command.
                error.hints.retain(|hint| !hint.contains("`iamlua whoami`"));
                error
            })
            .inspect_err(|error| {
                // JSON output includes the error.
                if output == WhoamiFormat::Json && error.kind == Kind::Configuration {
                    let _ = print_json(&format!("{}\n", json(&[], Some(error))));
                }
            })
    }

    fn answer(self) -> Result<u8> {
        let target = self.target.resolve()?;
        let connection = target.against.connection();
        let is_local = matches!(connection.target, Backend::Local(_));
        let runtime = run::runtime()?;
        let gate = Gate::new(Session::new(Mode::ReadOnly), connection);
        let (info, caller) = runtime.block_on(async {
            let info = gate.connection_info().await?;
            let caller = async {
                let caller = gate.ask(crate::iam::GET_CALLER_IDENTITY.name, identity).await?;
                // The caller may lack the permission to see it.
                let alias =
                    gate.ask(crate::iam::LIST_ACCOUNT_ALIASES.name, alias).await.ok().flatten();
                Ok((caller, alias, gate.credentials_end().await))
            };
            Ok::<_, Error>((info, caller.await))
        })?;
        runtime.shutdown_background();
        let mut rows = vec![Row {
            name: "target",
            key: "target",
            value: Some(if is_local { "local" } else { "aws" }.into()),
            origin: None,
            absent: "",
        }];
        rows.extend(caller_rows(caller.as_ref().ok()));
        rows.extend(settings_rows(&target, &info));
        let _ = match self.output {
            WhoamiFormat::Table => print(&text(&rows))?,
            WhoamiFormat::Json => print_json(&format!("{}\n", json(&rows, caller.as_ref().err())))?,
        };
        if let Ok((caller, ..)) = &caller
            && !is_local
            && !target.config.accounts.is_empty()
            && caller.account.as_ref().is_none_or(|id| !target.config.accounts.contains(id))
        {
            crate::ui::terminal::say(&format!(
                "note: runs are refused here: `account` in iamlua.toml is {}",
                target.config.accounts.join(", ")
            ));
        }
        if is_local && self.output == WhoamiFormat::Table {
            crate::ui::terminal::say(
                "note: this is the local account; --aws or --profile NAME asks AWS",
            );
        }
        caller.map(|_| 0)
    }
}

fn caller_rows(caller: Option<&(Identity, Option<String>, Option<SystemTime>)>) -> Vec<Row> {
    let row = |name, key, value| Row { name, key, value, origin: None, absent: "unknown" };
    let identity = caller.map(|(identity, ..)| identity);
    let alias = caller.and_then(|(_, alias, _)| alias.clone());
    let end = caller.and_then(|(.., end)| *end);
    let mut rows = vec![
        row("account", "account", identity.and_then(|identity| identity.account.clone())),
        row("alias", "alias", alias),
        row("caller", "arn", identity.and_then(|identity| identity.arn.clone())),
        row("user id", "user_id", identity.and_then(|identity| identity.user_id.clone())),
        row("valid until", "credentials_expiration", end.map(end_text)),
    ];
    if caller.is_some() {
        rows[1].absent = "none";
        rows[4].absent = "does not expire";
    }
    rows
}

fn end_text(end: SystemTime) -> String {
    let seconds = end.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let at = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.map(|at| at.to_string()).unwrap_or_default()
}

/// Origin of a setting of the connection.
fn given(flag: &str, is_flag: bool, key: &str, files: &[PathBuf]) -> String {
    if is_flag {
        return flag.to_owned();
    }
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    format!("{key} in {}", files.join(" or "))
}

fn settings_rows(target: &Resolved, info: &ConnectionInfo) -> Vec<Row> {
    let credentials = Row {
        name: "credentials",
        key: "credentials",
        value: Some(info.credentials.clone()),
        origin: None,
        absent: "none",
    };
    let Some(settings) = info.settings.as_deref() else { return vec![credentials] };
    let files = &target.config.files;
    let named = target.named();
    let origin = |origin: &SettingOrigin, flag: &str, is_flag: bool, key: &str| match origin {
        SettingOrigin::Given => given(flag, is_flag, key, files),
        other => other.to_string(),
    };
    let region = settings.region.as_ref();
    let mut rows = vec![
        credentials,
        Row {
            name: "profile",
            key: "profile",
            value: Some(settings.profile.value.clone()),
            origin: Some(origin(
                &settings.profile.origin,
                "--profile",
                named.profile.is_some(),
                "profile",
            )),
            absent: "none",
        },
        Row {
            name: "region",
            key: "region",
            value: Some(
                region.map_or(crate::aws::DEFAULT_REGION, |region| &region.value).to_owned(),
            ),
            origin: Some(region.map_or_else(
                || "default; IAM is the same in every region".into(),
                |region| origin(&region.origin, "--region", named.region.is_some(), "region"),
            )),
            absent: "none",
        },
    ];
    rows.extend(endpoint_rows(settings, || {
        given("--endpoint-url", named.endpoint_url.is_some(), "endpoint_url", files)
    }));
    rows.extend(network_rows(settings));
    rows
}

fn endpoint_rows(settings: &Settings, given: impl Fn() -> String) -> Vec<Row> {
    let row = |name, key, service| {
        let setting = match &settings.endpoint_url {
            Some(url) => Some((url.clone(), given())),
            None => settings
                .configured_endpoint(service)
                .map(|setting| (setting.value, setting.origin.to_string())),
        };
        let (value, origin) = setting.unzip();
        let value = value.map(|url| crate::aws::network::without_password(&url));
        Row { name, key, value, origin, absent: "AWS's own" }
    };
    let flag = |name, key, value: bool| Row {
        name,
        key,
        value: Some(if value { "yes" } else { "no" }.into()),
        origin: None,
        absent: "no",
    };
    let mut rows = vec![
        row("IAM endpoint", "iam_endpoint", "IAM"),
        row("STS endpoint", "sts_endpoint", "STS"),
    ];
    if settings.use_fips {
        rows.push(flag("FIPS", "use_fips", true));
    }
    if settings.use_dual_stack {
        rows.push(flag("dual-stack", "use_dual_stack", true));
    }
    rows
}

fn network_rows(settings: &Settings) -> Vec<Row> {
    let network = &settings.network;
    let shown = |name, key, setting: Option<Setting<String>>, absent| {
        let (value, origin) =
            setting.map(|setting| (setting.value, setting.origin.to_string())).unzip();
        Row { name, key, value, origin, absent }
    };
    let proxy = network.https_proxy.as_ref();
    let proxy = proxy.map(|proxy| Setting::new(proxy.value.shown(), proxy.origin.clone()));
    let bundle = network
        .ca_bundle
        .as_ref()
        .map(|bundle| Setting::new(bundle.value.path.display().to_string(), bundle.origin.clone()));
    let mut rows = vec![shown("proxy", "proxy", proxy, "none")];
    if let Some(proxy) = &network.http_proxy {
        let setting = Setting::new(proxy.value.shown(), proxy.origin.clone());
        rows.push(shown("proxy for http:", "http_proxy", Some(setting), "none"));
    }
    if network.no_proxy.is_some() {
        rows.push(shown("not proxied", "no_proxy", network.no_proxy.clone(), "none"));
    }
    rows.push(shown("CA bundle", "ca_bundle", bundle, "the system's"));
    rows
}

fn text(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    let line = |row: &Row| {
        let value = row.value.as_deref().unwrap_or(row.absent);
        let origin = row.origin.as_ref().filter(|_| row.value.is_some());
        let origin = origin.map(|origin| format!("  ({origin})")).unwrap_or_default();
        format!("{:width$}  {}\n", row.name, escape::visible(format!("{value}{origin}")))
    };
    rows.iter().map(line).collect()
}

fn json(rows: &[Row], error: Option<&Error>) -> Json {
    let mut object = Map::new();
    for row in rows {
        let value = row.value.clone().map_or(Json::Null, Json::from);
        object.insert(row.key.into(), value);
        if let Some(origin) = &row.origin {
            object.insert(format!("{}_origin", row.key), origin.clone().into());
        }
    }
    if let Some(error) = error {
        object.insert("error".into(), error.to_string().into());
        object.insert("error_kind".into(), error.kind.name().into());
        object.insert("hints".into(), error.hints.clone().into());
    }
    Json::Object(object)
}
