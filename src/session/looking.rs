//! The calls of a scan: looks at other services and other regions of the account that a gate leads to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::site::Site;
use super::{Gate, wire};
use crate::error::{AwsDetail, Error, Kind, Result};
use crate::iam;
use crate::usage::{self, Look, Page, Step, Whereabouts};
use crate::words::time;

impl Look for Gate {
    fn whereabouts(&self) -> BoxFuture<'static, Result<Whereabouts>> {
        let gate = self.clone();
        Box::pin(async move {
            gate.session().allows(iam::entry("usage.scan"))?;
            let identity = gate.identity().await?.clone();
            let line = gate.line().await?;
            let account = identity.account.ok_or_else(|| {
                Error::new(Kind::Aws, "the endpoint does not say which account this is")
            })?;
            // `arn:aws-cn:sts::…`
            let partition = identity.arn.as_deref().and_then(|arn| arn.split(':').nth(1));
            let region = line.clients().config.region();
            Ok(Whereabouts {
                account,
                partition: partition.unwrap_or("aws").to_owned(),
                region: region.map_or_else(|| "us-east-1".to_owned(), ToString::to_string),
            })
        })
    }

    fn look(
        &self,
        step: &'static Step,
        region: &str,
        carried: &[String],
        token: Option<&str>,
        patience: Duration,
    ) -> BoxFuture<'static, Result<Page>> {
        let (gate, region) = (self.clone(), region.to_owned());
        let (carried, token) = (carried.to_vec(), token.map(str::to_owned));
        Box::pin(async move {
            let session = gate.session();
            session.allows(iam::entry("usage.scan"))?;
            let line = gate.line().await?;
            let account = gate.identity().await?.account.clone();
            let site = Site::of(&gate.0.connection, account, None).describe();
            let service = step.action.service.prefix();
            let lanes = session.rates.of(&format!("{site} {service} {region}"));
            let is_throttled = Arc::new(AtomicBool::new(false));
            let attempt = || {
                let noted = Arc::clone(&is_throttled);
                let config = &line.clients().config;
                let fetched = usage::fetch(config, step, &region, &carried, token.as_deref());
                let looked = wire::looking(step.action, fetched);
                async move {
                    let answer = looked.await;
                    let throttled = answer.as_ref().is_err_and(Error::is_throttling);
                    noted.store(throttled, Ordering::Relaxed);
                    answer
                }
            };
            let action = step.action.name;
            let made = line.make_in(lanes.lane(action), action, attempt);
            let made = tokio::time::timeout(patience, Box::pin(made)).await;
            made.unwrap_or_else(|_| {
                Err(given_up(action, patience, is_throttled.load(Ordering::Relaxed)))
            })
        })
    }
}

/// The error of a call that nobody waits for any longer.
fn given_up(action: &str, patience: Duration, is_throttled: bool) -> Error {
    let waited = time(patience.as_secs_f64());
    let (what, code) = if is_throttled {
        ("AWS has throttled it all the time", "Throttling")
    } else {
        ("no answer", "")
    };
    let mut error = Error::new(Kind::Timeout, format!("{action}: {what}, for {waited}"))
        .hint("give calls more time with `timeout`");
    error.aws = Some(Box::new(AwsDetail {
        code: code.to_owned(),
        operation: action.to_owned(),
        ..AwsDetail::default()
    }));
    error
}
