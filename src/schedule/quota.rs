//! Quota and usage of the account, for the status page and the metrics, refreshed periodically.

use std::time::Duration;

use super::log::{Level, Log, LogOrigin};
use super::record::Quota;
use crate::error::Result;
use crate::session::Gate;

/// Interval of the refresh.
const INTERVAL: Duration = Duration::from_mins(5);

/// Reads quota and usage periodically, and passes them on, until the future is dropped or the
/// account denies access. A series of errors is logged once.
pub async fn poll(gate: Gate, log: Log, on_quota: impl Fn(Quota)) {
    let mut last_error = None;
    loop {
        match ask(&gate).await {
            Ok(Some(quota)) => {
                last_error = None;
                on_quota(quota);
            }
            Ok(None) => {
                let text = "the number of instance profiles is not shown: iam:GetAccountSummary is not allowed";
                log.line(Level::Info, &LogOrigin::default(), text, &[]);
                return;
            }
            Err(error) => {
                let why = error.to_string();
                if last_error.as_ref() != Some(&why) {
                    let fields = [("why".to_owned(), why.clone().into())];
                    let text = "cannot ask how many instance profiles there are";
                    log.line(Level::Warn, &LogOrigin::default(), text, &fields);
                    last_error = Some(why);
                }
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Reads quota and usage; `None` if the caller has no permission.
///
/// # Errors
/// If the account does not answer.
pub async fn ask(gate: &Gate) -> Result<Option<Quota>> {
    let Some(counts) = gate.counts().await? else { return Ok(None) };
    let number = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
    let Some(profiles) = number(counts.profiles) else { return Ok(None) };
    let account = gate.site().await?.describe();
    Ok(Some(Quota { account, profiles, quota: number(counts.profiles_quota) }))
}

#[cfg(test)]
mod tests {
    use super::ask;
    use crate::aws::client::{Backend, Connection};
    use crate::emulator::Emulator;
    use crate::session::{Gate, Session, SessionConfig};

    #[test]
    fn an_account_says_how_full_it_is() {
        let runtime = crate::app::run::runtime().expect("a runtime");
        let local =
            Emulator::in_memory(crate::emulator::EmulatorSettings::default()).expect("an account");
        let connection =
            Connection { target: Backend::local(local.http_client()), ..Connection::default() };
        let gate = Gate::new(Session::with(SessionConfig::default()), connection);
        let quota = runtime.block_on(ask(&gate)).expect("it answers").expect("it tells");
        assert_eq!((quota.profiles, quota.quota), (24, Some(1000)));
        assert!(!quota.account.is_empty());
    }
}
