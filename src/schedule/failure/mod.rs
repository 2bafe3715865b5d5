//! Failure notifications: `on_failure` of a manifest. A program gets the failure on its standard
//! input, a webhook as the body of a request. Either needs a permission, and neither delays the
//! scheduler.

mod command;
mod webhook;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use self::webhook::Webhook;
use super::log::{Level, Log, LogOrigin};
use super::record::{Execution, ExecutionOutcome};
use crate::cron::spelled;
use crate::error::{Error, Kind, Result};
use crate::lua::OnFailure;
use crate::lua::sandbox::{Access, Permissions};
use crate::session::Mode;

/// Delays between attempts.
pub const PAUSES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// Bytes of a job's output in its failure notification.
const MAX_OUTPUT: usize = 4 << 10;

/// Checks that the operator has granted the permissions that `on_failure` needs.
///
/// # Errors
/// A permission error that names the flag, or a description of what is wrong with the address.
/// Errors name only the host of an address, because the rest may be a secret.
pub fn check(on_failure: &OnFailure, permissions: &Permissions) -> Result<()> {
    if let Some(program) = on_failure.command.first()
        && !permissions.covers(Access::Run, program)
    {
        let message = format!("on_failure.command runs {program}, and that was not granted");
        return Err(Error::new(Kind::Permission, message)
            .hint(format!("allow it with {}", Access::Run.flag(program))));
    }
    if let Some(address) = &on_failure.webhook {
        let webhook = Webhook::parse(address)?;
        if !permissions.covers_host(&webhook.host, webhook.port) {
            let place = webhook.place();
            let message = format!("on_failure.webhook goes to {place}, and that was not granted");
            return Err(Error::new(Kind::Permission, message)
                .hint(format!("allow it with {}", Access::Net.flag(&place))));
        }
    }
    Ok(())
}

/// Body of a failure notification.
#[derive(Debug, Serialize)]
struct FailureNotice<'a> {
    /// Summary in one line, in the field that chat webhooks display.
    text: String,
    job: &'a str,
    run: &'a str,
    path: &'a Path,
    due: Option<Timestamp>,
    attempt: u32,
    started: Timestamp,
    ended: Option<Timestamp>,
    outcome: Option<ExecutionOutcome>,
    exit_code: Option<u8>,
    error: Option<&'a str>,
    account: Option<&'a str>,
    mode: Mode,
    changes: u64,
    failed: u64,
    output: &'a str,
    host: String,
    version: &'static str,
}

impl<'a> FailureNotice<'a> {
    fn of(execution: &'a Execution) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let job = &execution.job;
        let how = execution.outcome.map_or("failed", ExecutionOutcome::name);
        let why = execution.error.as_deref().unwrap_or_default();
        let why = why.lines().next().map(|line| format!(": {line}")).unwrap_or_default();
        let whole = &execution.output;
        let start = whole.len().saturating_sub(MAX_OUTPUT);
        let start = (start..=whole.len()).find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
        Self {
            text: format!("{job} on {host}: {how}{why} (run {})", execution.run),
            job,
            run: &execution.run,
            path: &execution.path,
            due: execution.due,
            attempt: execution.attempt,
            started: execution.started,
            ended: execution.ended,
            outcome: execution.outcome,
            exit_code: execution.exit_code,
            error: execution.error.as_deref(),
            account: execution.account.as_deref(),
            mode: execution.mode,
            changes: execution.changes,
            failed: execution.failed,
            output: &whole[start..],
            host,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// Sends the notifications of a failure, with further attempts after these delays. Returns true if
/// all arrived; errors are logged. Dropping the future kills the program.
pub async fn tell(
    on_failure: &OnFailure,
    execution: &Execution,
    log: &Log,
    pauses: &[Duration],
) -> bool {
    let body = match serde_json::to_vec(&FailureNotice::of(execution)) {
        Ok(body) => body,
        // A path that is not UTF-8 has no form in JSON.
        Err(error) => {
            let origin = origin(execution);
            log.line(Level::Error, &origin, &format!("cannot tell of the failure: {error}"), &[]);
            return false;
        }
    };
    let program = async {
        let Some(program) = on_failure.command.first() else { return true };
        let to = format!("the program {program}");
        let attempt = || command::run(&on_failure.command, execution, &body);
        retry(attempt, &to, execution, log, pauses).await
    };
    let web = async {
        let Some(address) = &on_failure.webhook else { return true };
        let webhook = Webhook::parse(address);
        let to = webhook
            .as_ref()
            .map_or("the webhook".into(), |webhook| format!("the webhook at {}", webhook.place()));
        let attempt = || async {
            let webhook = webhook.as_ref().map_err(ToString::to_string)?;
            webhook.post(body.clone()).await
        };
        retry(attempt, &to, execution, log, pauses).await
    };
    let (told, posted) = tokio::join!(program, web);
    told && posted
}

fn origin(execution: &Execution) -> LogOrigin {
    LogOrigin {
        job: Some(execution.job.as_str().into()),
        run: Some(execution.run.as_str().into()),
        account: execution.account.as_deref().map(Into::into),
    }
}

/// Repeats an attempt until it succeeds or no delay is left.
async fn retry<F: Future<Output = Result<(), String>>>(
    attempt: impl Fn() -> F,
    to: &str,
    execution: &Execution,
    log: &Log,
    pauses: &[Duration],
) -> bool {
    let origin = origin(execution);
    let mut pauses = pauses.iter();
    loop {
        let why = match attempt().await {
            Ok(()) => {
                log.line(Level::Info, &origin, &format!("told {to} of the failure"), &[]);
                return true;
            }
            Err(why) => why,
        };
        let mut fields = vec![("why".to_owned(), Value::from(why))];
        let Some(pause) = pauses.next() else {
            let message = format!("could not tell {to} of the failure, and gave up");
            log.line(Level::Error, &origin, &message, &fields);
            return false;
        };
        fields.push(("again_in".into(), spelled(*pause).into()));
        let message = format!("could not tell {to} of the failure");
        log.line(Level::Warn, &origin, &message, &fields);
        tokio::time::sleep(*pause).await;
    }
}

#[cfg(test)]
mod tests;
