//! Scan of all sources in all regions, with concurrent calls. A failure in one place is a gap there
//! and does not affect others. Only a failure that every call would have ends the scan.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::caller::NO_SUCH_HOST;
use super::endpoint;
use super::extract::{ExtractedRecord, RecordPage};
use super::findings::{CheckOutcome, Gap, GapCause, Reason, Region, RegionState, Scan, ScanScope};
use super::matching::Mention;
use super::source::{Means, Source, SourceCall};
use super::sources::{REGIONS, SOURCES};
use crate::aws::hints::{self, Cause, Refusal};
use crate::aws::is_region;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::spec::nearest;

/// Maximum number of records of one page that are followed at once.
const MAX_CONCURRENT_RECORDS: usize = 16;

/// Transport of a scan's calls.
pub trait Transport: Send + Sync {
    /// Account that the connection belongs to.
    fn whereabouts(&self) -> BoxFuture<'static, Result<Whereabouts>>;

    /// Fetches one page, with retries as long as they may help and `patience` lasts. `carried` are
    /// the values of the records of the previous steps, `token` is the page token.
    fn look(
        &self,
        step: &'static SourceCall,
        region: &str,
        carried: &[String],
        token: Option<&str>,
        patience: Patience,
    ) -> BoxFuture<'static, Result<RecordPage>>;
}

/// Time limit for the retries of a call.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Duration of the limit.
    pub time: Duration,
    /// Clock that measures it.
    pub clock: Clock,
}

/// Account and region of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// Account number of 12 digits.
    pub account: String,
    /// Partition of the account.
    pub partition: String,
    /// Region of the connection, which can list the others.
    pub region: String,
}

/// Progress reporter of a scan.
pub trait Watch: Send + Sync {
    /// Reports the number of checks, before they begin.
    fn begins(&self, checks: usize);
    /// Reports the end of a check, with the cause of a gap if it is one.
    fn checked(&self, gap: Option<&GapCause>);
}

/// Parameters of a scan.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Regions; all enabled regions if `None`.
    pub regions: Option<Vec<String>>,
    /// Sources.
    pub sources: Vec<&'static Source>,
    /// See [`ScanScope::role_unused_for`].
    pub role_unused_for: Duration,
    /// Maximum number of concurrent calls.
    pub concurrency: usize,
    /// Time limit for the retries of a call.
    pub patience: Duration,
}

impl Default for Asking {
    fn default() -> Self {
        Self {
            regions: None,
            sources: SOURCES.iter().collect(),
            role_unused_for: Duration::from_hours(90 * 24),
            concurrency: 16,
            patience: Duration::from_mins(5),
        }
    }
}

/// Runs a scan.
///
/// # Errors
/// If the account or its regions cannot be determined, a requested region does not exist, or the
/// credentials are invalid.
pub async fn scan(
    look: Arc<dyn Transport>,
    asking: Asking,
    watch: Arc<dyn Watch>,
    clock: Clock,
) -> Result<Scan> {
    let whereabouts = look.whereabouts().await?;
    let started = now(&clock);
    let patience = Patience { time: asking.patience, clock: clock.clone() };
    let page = look.look(&REGIONS, &whereabouts.region, &[], None, patience).await;
    let page = page.map_err(|error| {
        error.hint(
            "without ec2:DescribeRegions nobody can say in which regions a profile may be used",
        )
    })?;
    let (regions, not_enabled) = regions(&page, asking.regions.as_deref())?;
    let asked = regions.iter().filter(|region| region.standing == RegionState::Asked);
    let asked: Vec<String> = asked.map(|region| region.name.clone()).collect();
    let mut scan = Scan::new(ScanScope {
        account: whereabouts.account,
        partition: whereabouts.partition,
        started,
        role_unused_for: asking.role_unused_for,
        regions,
        sources: asking.sources.iter().map(|source| source.name.to_owned()).collect(),
    });
    for region in not_enabled {
        let region = Some(region.into());
        scan.miss(Gap { source: None, region, why: Reason::NotEnabled.into() });
    }
    watch.begins(asked.len() * asking.sources.len());
    let scan_state = Arc::new(ScanState {
        look,
        scan: Mutex::new(scan),
        places: Semaphore::new(asking.concurrency.max(1)),
        patience: asking.patience,
        clock,
    });
    // Ordered by source, then region: calls to different regions do not wait for each other.
    let mut checks = Vec::new();
    for source in asking.sources {
        for region in &asked {
            checks.push(check(Arc::clone(&scan_state), Arc::clone(&watch), source, region.clone()));
        }
    }
    let at_once = checks.len().max(1);
    stream::iter(checks).buffer_unordered(at_once).try_collect::<()>().await?;
    let scan_state = Arc::try_unwrap(scan_state)
        .map_err(|_| Error::new(Kind::Bug, "a scan goes on after its end"))?;
    let mut scan = scan_state.scan.into_inner().unwrap_or_else(PoisonError::into_inner);
    scan.end(now(&scan_state.clock));
    Ok(scan)
}

fn check(
    scan_state: Arc<ScanState>,
    watch: Arc<dyn Watch>,
    source: &'static Source,
    region: String,
) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let gap = scan_state.check(source, &region).await?;
        watch.checked(gap.as_ref());
        Ok(())
    })
}

fn now(clock: &Clock) -> Timestamp {
    Timestamp::from_millisecond(clock.milliseconds()).unwrap_or_default()
}

/// Regions of the partition, and the `wanted` regions that are not enabled.
fn regions(page: &RecordPage, wanted: Option<&[String]>) -> Result<(Vec<Region>, Vec<String>)> {
    let (mut regions, mut not_enabled) = (Vec::new(), Vec::new());
    for record in &page.records {
        let text = |means| record.of(&REGIONS, means).next();
        let Some(name) = text(Means::Id) else { continue };
        // Region names become parts of host names.
        if !is_region(name) {
            let message = format!("DescribeRegions names {name:?}, which is no region");
            return Err(Error::new(Kind::Connection, message)
                .hint("no service was asked; `iamlua whoami` shows the endpoints of the calls"));
        }
        let is_wanted = wanted.is_none_or(|wanted| wanted.iter().any(|wanted| wanted == name));
        let standing = match (text(Means::State), is_wanted) {
            (Some("not-opted-in"), _) => {
                if is_wanted && wanted.is_some() {
                    not_enabled.push(name.to_owned());
                }
                RegionState::NotEnabled
            }
            (_, true) => RegionState::Asked,
            (_, false) => RegionState::NotAsked,
        };
        regions.push(Region { name: name.to_owned(), standing });
    }
    if regions.is_empty() {
        let message = "DescribeRegions: AWS knows of no region, which cannot be";
        return Err(Error::new(Kind::Connection, message));
    }
    let names = || regions.iter().map(|region| region.name.as_str());
    for wanted in wanted.unwrap_or_default() {
        if !names().any(|name| name == wanted) {
            let error = Error::argument(format!("there is no region {wanted:?}"));
            return Err(match nearest(wanted, names()) {
                Some(near) => error.hint(format!("did you mean {near:?}?")),
                None => error.hint(format!("there is {}", names().collect::<Vec<_>>().join(", "))),
            });
        }
    }
    regions.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((regions, not_enabled))
}

/// State shared by the checks of a scan.
struct ScanState {
    look: Arc<dyn Transport>,
    scan: Mutex<Scan>,
    places: Semaphore,
    patience: Duration,
    clock: Clock,
}

/// Known properties of a resource before its last call: the parts of its id, its state, and values
/// for further calls.
#[derive(Clone, Default)]
struct ResourceContext {
    id: Vec<String>,
    state: String,
    carried: Vec<String>,
}

impl ResourceContext {
    /// Context extended by a record.
    fn and(&self, step: &SourceCall, record: &ExtractedRecord) -> Self {
        let mut known = self.clone();
        known.id.extend(record.of(step, Means::Id).map(str::to_owned));
        known.carried.extend(record.of(step, Means::Carry).map(str::to_owned));
        if let Some(state) = record.of(step, Means::State).next() {
            state.clone_into(&mut known.state);
        }
        known
    }
}

impl ScanState {
    /// Checks a source in a region, and records the result.
    async fn check(
        self: &Arc<Self>,
        source: &'static Source,
        region: &str,
    ) -> Result<Option<GapCause>> {
        let outcome = match self.follow(source, region, 0, ResourceContext::default()).await {
            Ok(resources) => (resources, CheckOutcome::Whole),
            Err(error) if is_everywhere(&error) => return Err(error),
            Err(error) if is_not_offered(source, region, &error) => (0, CheckOutcome::NotOffered),
            Err(error) => (0, CheckOutcome::Gap(why(&error))),
        };
        let gap = if let CheckOutcome::Gap(why) = &outcome.1 { Some(why.clone()) } else { None };
        self.scan().checked(source.name, region, now(&self.clock), outcome.0, outcome.1);
        Ok(gap)
    }

    /// Makes the call of one step for all pages, and those of the following steps for each record.
    /// Returns the number of resources.
    fn follow<'a>(
        self: &'a Arc<Self>,
        source: &'static Source,
        region: &'a str,
        number: usize,
        known: ResourceContext,
    ) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let step = &source.steps[number];
            let is_last = number + 1 == source.steps.len();
            let (mut token, mut resources) = (None, 0);
            let (mut tokens, mut answers, mut strangers) = (HashSet::new(), 0_u64, 0_u64);
            loop {
                let mut page = match self.page(step, region, &known.carried, token.as_deref()).await
                {
                    Err(error) if number > 0 && step.gone.contains(&error.code()) => break,
                    page => page?,
                };
                // An endpoint that ignores parameters may return other records as well, which are
                // dropped.
                let all = page.records.len() as u64;
                page.records.retain(|record| record.is_about(step, &known.carried));
                answers += page.records.len() as u64;
                strangers += all - page.records.len() as u64;
                let records = page.records.iter().map(|record| (record, known.and(step, record)));
                if is_last {
                    resources += page.records.len() as u64;
                    let mut scan = self.scan();
                    for (record, known) in
                        records.filter(|(_, known)| may_use_profile(source, known))
                    {
                        let names = names(step, record);
                        scan.add(source.name, region, &known.id.join("/"), &known.state, names);
                    }
                } else {
                    let known: Vec<_> = records.map(|(_, known)| known).collect();
                    let alive = known.into_iter().filter(|known| may_use_profile(source, known));
                    let followed =
                        alive.map(|known| self.follow(source, region, number + 1, known));
                    resources += stream::iter(followed)
                        .buffer_unordered(MAX_CONCURRENT_RECORDS)
                        .try_fold(0, |all, some| std::future::ready(Ok(all + some)))
                        .await?;
                }
                token = page.next;
                match &token {
                    None => break,
                    Some(next) if tokens.insert(next.clone()) => {}
                    Some(_) => {
                        let message =
                            format!("{}: AWS sends the same page again", step.action.name);
                        return Err(Error::new(Kind::Connection, message)
                            .hint("check the endpoint (--endpoint-url): AWS does not answer so"));
                    }
                }
            }
            if answers == 0 && strangers > 0 {
                let message = format!("{}: the answer is about something else", step.action.name);
                return Err(Error::new(Kind::Connection, message)
                    .hint("check the endpoint (--endpoint-url): AWS does not answer so"));
            }
            Ok(resources)
        })
    }

    async fn page(
        &self,
        step: &'static SourceCall,
        region: &str,
        carried: &[String],
        token: Option<&str>,
    ) -> Result<RecordPage> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        let patience = Patience { time: self.patience, clock: self.clock.clone() };
        self.look.look(step, region, carried, token, patience).await
    }

    fn scan(&self) -> std::sync::MutexGuard<'_, Scan> {
        self.scan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// True if a resource, as far as it is known, can still use a profile.
fn may_use_profile(source: &Source, known: &ResourceContext) -> bool {
    !source.steps.iter().any(|step| step.over.contains(&known.state.as_str()))
}

/// Mentions in a record.
fn names<'a>(
    step: &'a SourceCall,
    record: &'a ExtractedRecord,
) -> impl Iterator<Item = Mention> + 'a {
    let profiles = record.of(step, Means::Profile).map(|text| Mention::Profile(text.into()));
    let roles = record.of(step, Means::Role).map(|text| Mention::Role(text.into()));
    profiles.chain(roles)
}

/// True if every other call would fail in the same way.
#[must_use]
pub fn is_everywhere(error: &Error) -> bool {
    matches!(error.kind, Kind::Credentials | Kind::Refused | Kind::Interrupted | Kind::Bug)
        || matches!(cause(error), Some(Cause::Expired | Cause::Secret | Cause::Clock))
}

fn cause(error: &Error) -> Option<Cause> {
    let aws = error.aws.as_ref()?;
    let (action, code, message) = (&*aws.operation, &*aws.code, &*error.message);
    hints::cause(&Refusal { action, code, message })
}

/// True if an error means that the service does not exist in the region: its host name does not
/// exist, and the region is not one in which the service is known to exist.
fn is_not_offered(source: &Source, region: &str, error: &Error) -> bool {
    error.code() == NO_SUCH_HOST && !endpoint::is_known_in(source.steps[0].action.service, region)
}

/// Cause of a gap for an error.
#[must_use]
pub fn why(error: &Error) -> GapCause {
    let code = error.code();
    let reason = if error.is_throttling() {
        Reason::Throttled
    } else if matches!(cause(error), Some(Cause::Denied | Cause::Key | Cause::Region)) {
        Reason::Denied
    } else if error.aws.as_ref().is_some_and(|aws| aws.is_cut_off) {
        Reason::CutOff
    } else {
        Reason::Failed
    };
    GapCause { reason, code: code.to_owned(), message: error.message.clone() }
}

#[cfg(test)]
mod tests;
