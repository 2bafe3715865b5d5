//! Rate-limited, retrying calls to one account. Permission for a call, and its meaning, are decided
//! in the layers above.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Notices;
use super::account_limiter::{AccountLimiter, ActionLimiters, Limiter, Permit};
use super::rate::CallResult;
use crate::aws::client::Clients;
use crate::error::{Error, Kind, Result};
use crate::iam::Entry;
use crate::spec::{Args, Value};
use crate::ui::format::time;

/// Maximum number of attempts at a call whose failure is transient, unless `AWS_MAX_ATTEMPTS` sets
/// another.
const MAX_ATTEMPTS: u32 = 4;
/// Maximum number of attempts at a call that AWS refused because of a concurrent one.
const MAX_CONFLICT_ATTEMPTS: u32 = 8;
/// Upper bound on the pause before the second attempt; it doubles with each further attempt.
const BASE_DELAY: Duration = Duration::from_millis(200);
/// Interval of the notices about a call that is throttled again and again.
const NOTICE_INTERVAL: Duration = Duration::from_secs(30);
/// Upper bound on any pause.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// Statistics and state that the clients of one run share.
#[derive(Debug)]
pub struct RetryStats {
    throttled: AtomicU64,
    /// Time of the last notice that calls still wait.
    last_notice: Mutex<Option<Instant>>,
    tell: Notices,
    /// Notices that were given and are given only once.
    given_once: Mutex<HashSet<&'static str>>,
    closed: watch::Sender<bool>,
}

impl RetryStats {
    pub fn new(tell: Notices) -> Self {
        Self {
            throttled: AtomicU64::new(0),
            last_notice: Mutex::default(),
            tell,
            given_once: Mutex::default(),
            closed: watch::Sender::new(false),
        }
    }

    /// Gives the operator a notice, the first time only.
    pub fn tell_once(&self, notice: &'static str) {
        let is_new = self.given_once.lock().unwrap_or_else(PoisonError::into_inner).insert(notice);
        if is_new {
            self.tell.say(notice);
        }
    }

    /// Number of throttled requests, retries included.
    pub fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }

    /// Stops changes from beginning or being retried.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Lets changes begin again.
    pub fn open(&self) {
        self.closed.send_replace(false);
    }

    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Counts a throttled call; gives a notice if it has been retried for long.
    fn throttle(&self, action: &str, began: Instant) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
        let mut last_notice = self.last_notice.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = last_notice.map_or(began, |last_notice| last_notice.max(began)).elapsed();
        if quiet >= NOTICE_INTERVAL {
            *last_notice = Some(Instant::now());
            let tried = time(began.elapsed().as_secs_f64());
            self.tell.say(&format!(
                "note: AWS has throttled {action} for {tried}; it is being tried again"
            ));
        }
    }

    /// Waits until no further change may begin.
    pub async fn closing(&self) {
        // The sender lives as long as this object.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }
}

/// Client of one account.
#[derive(Debug)]
pub struct RetryingClient {
    clients: Clients,
    /// Account of the caller, once it is known.
    account: OnceLock<String>,
    limiters: Mutex<Arc<ActionLimiters>>,
    stats: Arc<RetryStats>,
}

impl RetryingClient {
    /// Client whose calls are limited by these limiters.
    pub fn new(clients: Clients, limiters: Arc<ActionLimiters>, stats: Arc<RetryStats>) -> Self {
        Self { clients, account: OnceLock::new(), limiters: Mutex::new(limiters), stats }
    }

    /// SDK clients beneath it.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Switches to the shared limiters of the account, once it is known.
    pub fn leads_to(&self, account: &str, rates: &AccountLimiter) {
        let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        *limiters = rates.known_as(account, &limiters);
    }

    /// Makes the call of an entry that reads.
    ///
    /// # Errors
    /// The error of AWS, or of no answer.
    pub async fn read(&self, entry: &'static Entry, args: &Args) -> Result<Value> {
        let action = entry.action().name;
        let answer = self.make(action, || entry.send(self.clients.clone(), args.clone())).await?;
        self.check_account(action, &answer)?;
        Ok(answer)
    }

    /// Records the account of the caller, which IAM must answer for from now on.
    pub fn is_of(&self, account: &str) {
        // The account of a client never changes.
        let _ = self.account.set(account.to_owned());
    }

    /// Refuses an answer of IAM about another account than the caller's. STS and IAM may have
    /// different endpoints, and credentials may be replaced during a run.
    fn check_account(&self, action: &str, answer: &Value) -> Result<()> {
        let Some(account) = self.account.get() else { return Ok(()) };
        let record = match answer {
            Value::Page(page) => page.items.first(),
            other => Some(other),
        };
        let arn = record.and_then(|record| record.field("arn").as_str().map(str::to_owned));
        let owner = arn.as_deref().and_then(|arn| arn.split(':').nth(4));
        let is_other = owner.is_some_and(|owner| owner != account && owner.len() == 12);
        if !is_other {
            return Ok(());
        }
        let message = format!(
            "{action}: IAM answers for account {}, and the credentials are of account {account}",
            owner.unwrap_or_default()
        );
        Err(Error::new(Kind::Refused, message)
            .hint("`iamlua whoami` shows the endpoints of IAM and STS, and the credentials"))
    }

    /// Waits for the permit of a call that changes something.
    ///
    /// # Errors
    /// If `closing` completes first: the run is being stopped.
    pub async fn permit(
        &self,
        entry: &'static Entry,
        closing: impl Future<Output = ()>,
    ) -> Result<Permit> {
        tokio::select! {
            biased;
            () = closing => Err(super::stopped(entry)),
            permit = self.limiter(entry.action().name).enter() => Ok(permit),
        }
    }

    /// Makes the call of an entry that changes something, with a permit if it has one already. Once
    /// `closing` completes, the call is not retried.
    ///
    /// # Errors
    /// The error of AWS, of no answer, or of the run being stopped.
    pub async fn write(
        &self,
        permit: Option<Permit>,
        closing: impl Future<Output = ()>,
        entry: &'static Entry,
        args: &Args,
    ) -> Result<Value> {
        let action = entry.action().name;
        let call = || entry.send(self.clients.clone(), args.clone());
        let limiter = self.limiter(action);
        let making = self.make_unless(permit, closing, (limiter, action), call);
        let answer = making.await.unwrap_or_else(|| Err(super::stopped(entry)))?;
        self.check_account(action, &answer)?;
        Ok(answer)
    }

    /// Makes a call that only reads.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub async fn make<T, F>(&self, action: &'static str, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.make_in(self.limiter(action), action, attempt).await
    }

    /// Makes a call that only reads, under a given limiter: AWS limits other services and other
    /// regions separately.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub async fn make_in<T, F>(
        &self,
        limiter: Arc<Limiter>,
        action: &'static str,
        attempt: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let never = std::future::pending::<()>();
        let made = self.make_unless(None, never, (limiter, action), attempt).await;
        made.unwrap_or_else(|| Err(Error::new(Kind::Bug, "what never ends has ended")))
    }

    fn limiter(&self, action: &'static str) -> Arc<Limiter> {
        self.limiters.lock().unwrap_or_else(PoisonError::into_inner).limiter(action)
    }

    /// Makes a call with retries; `None` if `stopped` completed before an attempt was sent.
    async fn make_unless<T, F>(
        &self,
        mut permit: Option<Permit>,
        stopped: impl Future<Output = ()>,
        (limiter, action): (Arc<Limiter>, &'static str),
        attempt: impl Fn() -> F,
    ) -> Option<Result<T>>
    where
        F: Future<Output = Result<T>>,
    {
        let mut stopped = std::pin::pin!(stopped);
        let (mut attempts, mut failures, began) = (0, 0, Instant::now());
        let mut is_corrected = false;
        loop {
            let in_flight = if let Some(permit) = permit.take() {
                permit
            } else {
                tokio::select! {
                    biased;
                    () = &mut stopped => return None,
                    permit = Arc::clone(&limiter).enter() => permit,
                }
            };
            let clock = self.clients.info.clock.ahead();
            let answer = attempt().await;
            in_flight.ended(fate(&answer));
            let error = match answer {
                Ok(value) => return Some(Ok(value)),
                Err(error) => error,
            };
            attempts += 1;
            let max = self.clients.max_attempts();
            if max.is_some_and(|max| attempts >= max) {
                return Some(Err(error));
            }
            // The answer has shown that the signing clock was wrong; it is corrected now.
            let is_refused = error.kind == Kind::Aws && !error.is_passing();
            if is_refused && clock != self.clients.info.clock.ahead() && !is_corrected {
                is_corrected = true;
                continue;
            }
            if error.is_throttling() {
                // The limiter knows when to try again. AWS does not throttle one call for ever.
                self.stats.throttle(action, began);
                continue;
            }
            failures += 1;
            if !error.is_passing() || failures >= max.unwrap_or_else(|| attempts_for(&error)) {
                return Some(Err(error));
            }
            tokio::select! {
                () = &mut stopped => return None,
                () = tokio::time::sleep(pause(failures)) => {}
            }
        }
    }
}

fn attempts_for(error: &Error) -> u32 {
    let is_conflict =
        ["ConcurrentModification", "EntityTemporarilyUnmodifiable"].contains(&error.code());
    if is_conflict { MAX_CONFLICT_ATTEMPTS } else { MAX_ATTEMPTS }
}

fn fate<T>(answer: &Result<T>) -> CallResult {
    match answer {
        Ok(_) => CallResult::Passed,
        Err(error) if error.is_throttling() => CallResult::Throttled,
        Err(error) if error.kind == Kind::Aws => CallResult::Passed,
        Err(_) => CallResult::Unknown,
    }
}

/// Random pause up to the upper bound (full jitter), so that calls that failed together are not
/// retried together.
fn pause(failures: u32) -> Duration {
    let max =
        BASE_DELAY.saturating_mul(1 << failures.clamp(1, 16).saturating_sub(1)).min(MAX_DELAY);
    max.mul_f64(fastrand::f64())
}
