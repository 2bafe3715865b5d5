//! The line to one account: each call waits for its turn, is sent, and is sent again for as long as
//! that may help. Whether it may be made at all, and what it does, is decided above.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Notices;
use super::account_limiter::{AccountLimiter, Lanes, Limiter, Permit};
use super::rate::Fate;
use crate::aws::client::Clients;
use crate::error::{Error, Kind, Result};
use crate::iam::Entry;
use crate::spec::{Args, Value};
use crate::ui::format::time;

/// A call whose failure passes is made so many times at most, unless `AWS_MAX_ATTEMPTS` says
/// otherwise.
const ATTEMPTS: u32 = 4;
/// The same for one that AWS could not make because of another one at the same time.
const ATTEMPTS_AMONG_OTHERS: u32 = 8;
/// The pause before the second attempt is at most so long, and twice as long before each further
/// one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A call that is throttled again and again says so that often.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What the lines of one run share.
#[derive(Debug)]
pub struct RetryStats {
    throttled: AtomicU64,
    /// When it was last said that calls still wait.
    told: Mutex<Option<Instant>>,
    tell: Notices,
    /// Notices that are given once.
    once: Mutex<HashSet<&'static str>>,
    closed: watch::Sender<bool>,
}

impl RetryStats {
    pub fn new(tell: Notices) -> Self {
        Self {
            throttled: AtomicU64::new(0),
            told: Mutex::default(),
            tell,
            once: Mutex::default(),
            closed: watch::Sender::new(false),
        }
    }

    /// Gives the operator a notice, the first time.
    pub fn tell_once(&self, notice: &'static str) {
        let is_new = self.once.lock().unwrap_or_else(PoisonError::into_inner).insert(notice);
        if is_new {
            self.tell.say(notice);
        }
    }

    /// How many calls were throttled, repeats included.
    pub fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }

    /// Lets no further change begin, or be made again.
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

    /// Counts a call that was throttled; says so, if it has tried in vain for long.
    fn throttle(&self, action: &str, began: Instant) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = told.map_or(began, |told| told.max(began)).elapsed();
        if quiet >= SILENCE {
            *told = Some(Instant::now());
            let tried = time(began.elapsed().as_secs_f64());
            self.tell.say(&format!(
                "note: AWS has throttled {action} for {tried}; it is being tried again"
            ));
        }
    }

    /// Waits until no further change may begin.
    pub async fn closing(&self) {
        // The sender lives as long as this does.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }
}

/// The way to one account.
#[derive(Debug)]
pub struct RetryingClient {
    clients: Clients,
    /// The account of the caller, once it is known.
    account: OnceLock<String>,
    lanes: Mutex<Arc<Lanes>>,
    effort: Arc<RetryStats>,
}

impl RetryingClient {
    /// A line on which calls go as fast as these lanes allow.
    pub fn new(clients: Clients, lanes: Arc<Lanes>, effort: Arc<RetryStats>) -> Self {
        Self { clients, account: OnceLock::new(), lanes: Mutex::new(lanes), effort }
    }

    /// The clients at its end.
    pub fn clients(&self) -> &Clients {
        &self.clients
    }

    /// Shares what is known of the account that it turned out to lead to.
    pub fn leads_to(&self, account: &str, rates: &AccountLimiter) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        *lanes = rates.known_as(account, &lanes);
    }

    /// Makes the call of an entry that reads.
    ///
    /// # Errors
    /// What AWS says, or that it says nothing.
    pub async fn read(&self, entry: &'static Entry, args: &Args) -> Result<Value> {
        let action = entry.action().name;
        let answer = self.make(action, || entry.send(self.clients.clone(), args.clone())).await?;
        self.check_account(action, &answer)?;
        Ok(answer)
    }

    /// Notes the account of the caller, which IAM must answer for from now on.
    pub fn is_of(&self, account: &str) {
        // Nothing changes it.
        let _ = self.account.set(account.to_owned());
    }

    /// Refuses an answer of IAM about another account than the caller's. STS and IAM may be reached
    /// at different endpoints, and credentials may be replaced while a run goes on.
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

    /// Waits for the turn of a call that changes something.
    ///
    /// # Errors
    /// If it is `closing` meanwhile: the run is being stopped.
    pub async fn turn(
        &self,
        entry: &'static Entry,
        closing: impl Future<Output = ()>,
    ) -> Result<Permit> {
        tokio::select! {
            biased;
            () = closing => Err(super::stopped(entry)),
            turn = self.lane(entry.action().name).enter() => Ok(turn),
        }
    }

    /// Makes the call of an entry that changes something, whose `turn` it may be already; once it
    /// is `closing` it is not made again.
    ///
    /// # Errors
    /// What AWS says, or that it says nothing, or that the run is being stopped.
    pub async fn write(
        &self,
        turn: Option<Permit>,
        closing: impl Future<Output = ()>,
        entry: &'static Entry,
        args: &Args,
    ) -> Result<Value> {
        let action = entry.action().name;
        let call = || entry.send(self.clients.clone(), args.clone());
        let lane = self.lane(action);
        let making = self.make_unless(turn, closing, (lane, action), call);
        let answer = making.await.unwrap_or_else(|| Err(super::stopped(entry)))?;
        self.check_account(action, &answer)?;
        Ok(answer)
    }

    /// Makes a call that only reads.
    ///
    /// # Errors
    /// What the last attempt says.
    pub async fn make<T, F>(&self, action: &'static str, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.make_in(self.lane(action), action, attempt).await
    }

    /// The same for a call that waits for its turn in a lane of its own: other services, and other
    /// regions, limit their calls apart.
    ///
    /// # Errors
    /// What the last attempt says.
    pub async fn make_in<T, F>(
        &self,
        lane: Arc<Limiter>,
        action: &'static str,
        attempt: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let never = std::future::pending::<()>();
        let made = self.make_unless(None, never, (lane, action), attempt).await;
        made.unwrap_or_else(|| Err(Error::new(Kind::Bug, "what never ends has ended")))
    }

    fn lane(&self, action: &'static str) -> Arc<Limiter> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).lane(action)
    }

    /// Makes a call, again and again; `None` if it was `stopped` before it was sent, or sent again.
    async fn make_unless<T, F>(
        &self,
        mut turn: Option<Permit>,
        stopped: impl Future<Output = ()>,
        (lane, action): (Arc<Limiter>, &'static str),
        attempt: impl Fn() -> F,
    ) -> Option<Result<T>>
    where
        F: Future<Output = Result<T>>,
    {
        let mut stopped = std::pin::pin!(stopped);
        let (mut attempts, mut failures, began) = (0, 0, Instant::now());
        let mut is_corrected = false;
        loop {
            let under_way = if let Some(turn) = turn.take() {
                turn
            } else {
                tokio::select! {
                    biased;
                    () = &mut stopped => return None,
                    turn = Arc::clone(&lane).enter() => turn,
                }
            };
            let clock = self.clients.info.clock.ahead();
            let answer = attempt().await;
            under_way.ended(fate(&answer));
            let error = match answer {
                Ok(value) => return Some(Ok(value)),
                Err(error) => error,
            };
            attempts += 1;
            let most = self.clients.max_attempts();
            if most.is_some_and(|most| attempts >= most) {
                return Some(Err(error));
            }
            // The answer has shown that it was signed by a wrong clock, which is right now.
            let is_refused = error.kind == Kind::Aws && !error.is_passing();
            if is_refused && clock != self.clients.info.clock.ahead() && !is_corrected {
                is_corrected = true;
                continue;
            }
            if error.is_throttling() {
                // The lane knows when to try again. AWS is not known to throttle one call for ever.
                self.effort.throttle(action, began);
                continue;
            }
            failures += 1;
            if !error.is_passing() || failures >= most.unwrap_or_else(|| attempts_for(&error)) {
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
    let is_among_others =
        ["ConcurrentModification", "EntityTemporarilyUnmodifiable"].contains(&error.code());
    if is_among_others { ATTEMPTS_AMONG_OTHERS } else { ATTEMPTS }
}

fn fate<T>(answer: &Result<T>) -> Fate {
    match answer {
        Ok(_) => Fate::Passed,
        Err(error) if error.is_throttling() => Fate::Throttled,
        Err(error) if error.kind == Kind::Aws => Fate::Passed,
        Err(_) => Fate::Unknown,
    }
}

/// Any length up to the longest one, so that those who failed together do not come back together.
fn pause(failures: u32) -> Duration {
    let most =
        FIRST_PAUSE.saturating_mul(1 << failures.clamp(1, 16).saturating_sub(1)).min(LONGEST_PAUSE);
    most.mul_f64(fastrand::f64())
}
