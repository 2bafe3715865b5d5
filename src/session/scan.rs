//! Calls of a usage scan to other services and regions of a gate's account.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Gate, locked, wire};
use crate::aws::DEFAULT_REGION;
use crate::error::{AwsDetail, Error, Kind, Result};
use crate::iam;
use crate::ui::format;
use crate::usage::{self, Patience, RecordPage, SourceCall, Transport, Whereabouts};

impl Transport for Gate {
    fn whereabouts(&self) -> BoxFuture<'static, Result<Whereabouts>> {
        let gate = self.clone();
        Box::pin(async move {
            gate.session().allows(iam::entry("usage.scan"))?;
            let identity = gate.identity().await?.clone();
            let line = gate.line().await?;
            let account = identity.account.clone().ok_or_else(|| {
                Error::new(Kind::Aws, "the endpoint does not say which account this is")
            })?;
            let partition = identity.partition().unwrap_or("aws").to_owned();
            let region = line.clients().config.region();
            Ok(Whereabouts {
                account,
                partition,
                region: region.map_or_else(|| DEFAULT_REGION.to_owned(), ToString::to_string),
            })
        })
    }

    fn look(
        &self,
        step: &'static SourceCall,
        region: &str,
        carried: &[String],
        token: Option<&str>,
        patience: Patience,
    ) -> BoxFuture<'static, Result<RecordPage>> {
        let (gate, region) = (self.clone(), region.to_owned());
        let (carried, token) = (carried.to_vec(), token.map(str::to_owned));
        Box::pin(async move {
            let session = gate.session();
            session.allows(iam::entry("usage.scan"))?;
            let line = gate.line().await?;
            let account = gate.identity().await?.account.clone();
            let site = gate.site_as(account, None).describe();
            let service = step.action.service.prefix();
            let limiters = session.rates.of(&format!("{site} {service} {region}"));
            let last = Arc::new(Mutex::new(None));
            let attempt = || {
                let last = Arc::clone(&last);
                let config = &line.clients().config;
                let fetched = usage::fetch(config, step, &region, &carried, token.as_deref());
                let looked = wire::with_action(step.action, fetched);
                async move {
                    let answer = looked.await;
                    if let Err(error) = &answer {
                        *locked(&last) = Some((error.message.clone(), error.aws.clone()));
                    }
                    answer
                }
            };
            let action = step.action.name;
            let made = line.make_in(limiters.limiter(action), action, attempt);
            let Patience { time, clock } = patience;
            tokio::select! {
                biased;
                made = Box::pin(made) => made,
                () = clock.passes(time) => Err(given_up(action, time, locked(&last).take())),
            }
        })
    }
}

/// Error of a call whose deadline has passed; `last` is the error of its last completed attempt.
fn given_up(
    action: &str,
    waited: Duration,
    last: Option<(String, Option<Box<AwsDetail>>)>,
) -> Error {
    let waited = format::time(waited.as_secs_f64());
    let (said, aws) = last.unwrap_or_else(|| (format!("{action}: no answer"), None));
    let mut error = Error::new(Kind::Timeout, format!("{said}, for {waited}"))
        .hint("give calls more time with `timeout`");
    error.aws = aws;
    error
}
