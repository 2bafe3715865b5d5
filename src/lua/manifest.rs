//! Manifest of a runbook: the parts that others than the runbook need, and the host functions that
//! receive it.

use std::rc::Rc;
use std::time::Duration;

use mlua::{Lua, Table, Value as LuaValue};

use super::convert;
use super::host::{Host, add, internal, text_arg};
use super::sandbox::Access;
use crate::config::MaxChanges;
use crate::cron::Timing;
use crate::error::{Error, Result};
use crate::redaction;
use crate::session::ManifestLimits;
use crate::stdlib;

/// Manifest of a runbook, as far as others than the runbook need it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// Description of the runbook.
    pub description: Option<String>,
    /// Functions that it may call; none if unset.
    pub allow: Option<Vec<String>>,
    /// Presence of a limit of changes as a share of the account's profiles.
    pub has_share: bool,
    /// Flags that it cannot run without.
    pub required: Vec<String>,
    /// Parameters, in the order of its help.
    pub params: Vec<Param>,
    /// Permissions that it requests besides AWS.
    pub permissions: Vec<(Access, String)>,
    /// Schedule, if it is a job.
    pub job: Option<JobSpec>,
}

/// Parameter of a runbook, as far as shell completion needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// Name of its flag, without the dashes.
    pub flag: String,
    /// Name of its type, such as `file`.
    pub kind: String,
    /// Text of its help.
    pub help: Option<String>,
    /// True for a boolean whose default is true.
    pub is_on: bool,
    /// Permitted values, as they are written on the command line; empty if there is no such list.
    pub choices: Vec<String>,
}

/// Default delay before a job is retried.
const RETRY_DELAY: Duration = Duration::from_mins(1);

/// Schedule of a runbook.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSpec {
    /// Times at which it is due.
    pub timing: Timing,
    /// Upper bound on its random delay.
    pub jitter: Duration,
    /// Treatment of missed times.
    pub catch_up: CatchUp,
    /// Number of retries after a failure.
    pub retries: u32,
    /// Delay before the first retry; it doubles with each further one.
    pub retry_delay: Duration,
    /// Action when all retries have failed.
    pub on_failure: OnFailure,
}

/// `catch_up`: treatment of times at which a job could not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUp {
    /// One run for all missed times.
    #[default]
    Once,
    /// No run.
    Skip,
}

/// `on_failure`: notification of a failed job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnFailure {
    /// A program with its arguments.
    pub command: Vec<String>,
    /// URL to which the failure is posted as JSON.
    pub webhook: Option<String>,
}

/// Host functions with which a runbook declares itself.
pub(super) fn functions(lua: &Lua, host: &Rc<Host>, fallible: &Table) -> mlua::Result<()> {
    add(lua, host, fallible, "declare", |_, host, args| {
        host.setup.borrow_mut().args.claim();
        let manifest_receiver = host.manifest_receiver.borrow();
        if let (Some(answer), Some(LuaValue::Table(given))) = (&*manifest_receiver, args.front()) {
            *answer.borrow_mut() = Some(read(given)?);
        }
        Ok(LuaValue::Boolean(manifest_receiver.is_some()))
    })?;
    add(lua, host, fallible, "fields_of", |lua, _, args| {
        let class = text_arg(&args, 0, "the class")?;
        let fields = stdlib::fields("runbook.lua", &class);
        let fields = lua.create_sequence_from(fields).map_err(|error| internal(&error))?;
        Ok(LuaValue::Table(fields))
    })?;
    add(lua, host, fallible, "check_job", |_, _, args| {
        if let Some(LuaValue::Table(job)) = args.front() {
            timing(job)?;
        }
        Ok(LuaValue::Nil)
    })?;
    add(lua, host, fallible, "parameters", |lua, host, args| {
        let values = convert::json_from_lua(lua, args.front().unwrap_or(&LuaValue::Nil))?;
        let texts = |at: usize| match args.get(at) {
            Some(LuaValue::Table(list)) => list.sequence_values::<String>().flatten().collect(),
            _ => Vec::new(),
        };
        let (mut secrets, suspected, plain): (Vec<_>, Vec<_>, Vec<_>) =
            (texts(1), texts(2), texts(3));
        let mut found = suspected;
        let values = match values {
            serde_json::Value::Object(values) => values
                .into_iter()
                .map(|(name, value)| {
                    if plain.contains(&name) {
                        return (name, value);
                    }
                    (name, redaction::without_secrets_in(value, &mut found))
                })
                .collect(),
            other => other,
        };
        secrets.extend(redaction::recognizable(found));
        host.setup.borrow().gate.session().journal().set_parameters(values, secrets);
        Ok(LuaValue::Nil)
    })?;
    add(lua, host, fallible, "limit", |_, host, args| {
        let mut limits = ManifestLimits::default();
        if let Some(LuaValue::Table(allow)) = args.front() {
            limits.allow = Some(names_of(allow)?);
        }
        limits.max_changes = match args.get(1) {
            Some(LuaValue::Integer(n)) => Some(MaxChanges::Count(
                u64::try_from(*n)
                    .map_err(|_| Error::argument("runbook: `max_changes` must not be negative"))?,
            )),
            Some(LuaValue::String(text)) => Some(
                text.to_string_lossy()
                    .parse()
                    .map_err(|why| Error::argument(format!("runbook: `max_changes` {why}")))?,
            ),
            Some(LuaValue::Nil) | None => None,
            Some(_) => {
                return Err(Error::argument(
                    "runbook: `max_changes` must be a whole number or a share such as \"5%\"",
                ));
            }
        };
        host.setup.borrow().gate.session().limit(&limits)?;
        if let Some(LuaValue::Number(seconds)) = args.get(2) {
            let time = Duration::try_from_secs_f64(*seconds)
                .map_err(|_| Error::argument("runbook: `timeout` is out of range"))?;
            host.stop_after(time);
        }
        Ok(LuaValue::Nil)
    })?;
    Ok(())
}

fn names_of(allow: &Table) -> Result<Vec<String>> {
    let names: mlua::Result<Vec<String>> = allow.sequence_values().collect();
    names.map_err(|_| Error::argument("runbook: `allow` must be an array of strings"))
}

/// Field of a manifest that the prelude has checked.
fn field<T: mlua::FromLua>(table: &Table, name: &str) -> Result<T> {
    table.raw_get(name).map_err(|error| internal(&error))
}

fn read(given: &Table) -> Result<Manifest> {
    let mut permissions = Vec::new();
    for wanted in field::<Vec<Table>>(given, "permissions")? {
        let kind: String = field(&wanted, "kind")?;
        let access = Access::ALL.into_iter().find(|access| access.name() == kind);
        permissions.extend(access.zip(Some(field(&wanted, "what")?)));
    }
    let job: Option<Table> = field(given, "job")?;
    Ok(Manifest {
        description: field(given, "description")?,
        allow: field::<Option<Table>>(given, "allow")?.as_ref().map(names_of).transpose()?,
        has_share: matches!(field(given, "max_changes")?, LuaValue::String(_)),
        required: field(given, "required")?,
        params: params_of(given)?,
        permissions,
        job: job.as_ref().map(job_of).transpose()?,
    })
}

fn params_of(given: &Table) -> Result<Vec<Param>> {
    let (params, names) = (field::<Table>(given, "params")?, field::<Vec<String>>(given, "names")?);
    let param = |name: &String| {
        let given: Table = field(&params, name)?;
        let choices: Option<Vec<LuaValue>> = field(&given, "choices")?;
        let choices = choices.unwrap_or_default();
        let choices: mlua::Result<_> = choices.iter().map(LuaValue::to_string).collect();
        Ok(Param {
            flag: field::<String>(&given, "flag")?.trim_start_matches('-').to_owned(),
            kind: field(&given, "type")?,
            help: field(&given, "help")?,
            is_on: matches!(field(&given, "default")?, LuaValue::Boolean(true)),
            choices: choices.map_err(|error| internal(&error))?,
        })
    };
    names.iter().map(param).collect()
}

fn job_of(given: &Table) -> Result<JobSpec> {
    let catch_up: Option<String> = field(given, "catch_up")?;
    Ok(JobSpec {
        timing: timing(given)?,
        jitter: seconds(given, "jitter")?.unwrap_or_default(),
        catch_up: if catch_up.as_deref() == Some("skip") { CatchUp::Skip } else { CatchUp::Once },
        retries: field::<Option<u32>>(given, "retries")?.unwrap_or(0),
        retry_delay: seconds(given, "retry_delay")?.unwrap_or(RETRY_DELAY),
        on_failure: on_failure_of(&field(given, "on_failure")?)?,
    })
}

fn on_failure_of(given: &Table) -> Result<OnFailure> {
    Ok(OnFailure {
        command: field::<Option<Vec<String>>>(given, "command")?.unwrap_or_default(),
        webhook: field(given, "webhook")?,
    })
}

fn timing(job: &Table) -> Result<Timing> {
    let wrong = |why: String| Error::argument(format!("runbook: {why}"));
    if let Some(every) = seconds(job, "every")? {
        return Timing::every(every).map_err(wrong);
    }
    let (text, zone) =
        (field::<String>(job, "schedule")?, field::<Option<String>>(job, "timezone")?);
    Timing::cron(&text, zone.as_deref()).map_err(wrong)
}

fn seconds(given: &Table, name: &str) -> Result<Option<Duration>> {
    let seconds: Option<f64> = field(given, name)?;
    let time = seconds.map(Duration::try_from_secs_f64).transpose();
    time.map_err(|_| Error::argument(format!("runbook: {name} is out of range")))
}
