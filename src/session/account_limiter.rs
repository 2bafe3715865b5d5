//! Rate limiters of all accounts that a process reaches. Measurements of one run apply to every run
//! that shares these limiters.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::rate::{CallResult, TokenBucketEstimator, Wait};

/// Limiters of all accounts; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct AccountLimiter(Arc<Mutex<HashMap<String, Arc<ActionLimiters>>>>);

impl AccountLimiter {
    /// Limiters of an account. `whose` is any text that identifies the account, or the connection
    /// to it while the account is unknown.
    pub(super) fn of(&self, whose: &str) -> Arc<ActionLimiters> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(accounts.entry(whose.to_owned()).or_default())
    }

    /// Limiters of an account that has only now become known: those of another connection to it,
    /// else `so_far`.
    pub(super) fn known_as(
        &self,
        whose: &str,
        so_far: &Arc<ActionLimiters>,
    ) -> Arc<ActionLimiters> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(accounts.entry(whose.to_owned()).or_insert_with(|| Arc::clone(so_far)))
    }

    /// Measured rates in calls per second, by AWS action; the lowest, where several accounts were
    /// throttled.
    #[must_use]
    pub fn measured(&self) -> BTreeMap<&'static str, f64> {
        let accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = BTreeMap::new();
        for limiters in accounts.values() {
            for (action, limiter) in
                limiters.0.lock().unwrap_or_else(PoisonError::into_inner).iter()
            {
                if let Some(rate) = limiter.rate().measured() {
                    all.entry(*action)
                        .and_modify(|lowest: &mut f64| *lowest = lowest.min(rate))
                        .or_insert(rate);
                }
            }
        }
        all
    }
}

/// Limiters of one account. Each action has its own limiter, because AWS limits some actions
/// separately and does not document which. Actions that share a bucket converge to shares of it.
#[derive(Debug, Default)]
pub struct ActionLimiters(Mutex<HashMap<&'static str, Arc<Limiter>>>);

impl ActionLimiters {
    pub(super) fn limiter(&self, action: &'static str) -> Arc<Limiter> {
        let mut limiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(limiters.entry(action).or_default())
    }
}

/// Limiter of the calls of one action, in first-come order.
#[derive(Debug, Default)]
pub struct Limiter {
    rate: Mutex<TokenBucketEstimator>,
    /// Lock of the first call in the queue.
    front: tokio::sync::Mutex<()>,
    changed: Notify,
}

impl Limiter {
    /// Waits for a permit; the call is in flight until the permit is dropped.
    pub(super) async fn enter(self: Arc<Self>) -> Permit {
        let front = self.front.lock().await;
        let sent = loop {
            let now = seconds();
            let wait = match self.rate().admit(now) {
                Ok(()) => break now,
                Err(wait) => wait,
            };
            match wait {
                Wait::Until(at) => {
                    tokio::time::sleep(Duration::from_secs_f64((at - now).max(0.0))).await;
                }
                Wait::Change => self.changed.notified().await,
            }
        };
        drop(front);
        Permit { limiter: self, sent, fate: CallResult::Unknown }
    }

    fn rate(&self) -> std::sync::MutexGuard<'_, TokenBucketEstimator> {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Permit of a call in flight.
#[derive(Debug)]
pub struct Permit {
    limiter: Arc<Limiter>,
    sent: f64,
    fate: CallResult,
}

impl Permit {
    /// Records the outcome of the call.
    pub(super) fn ended(mut self, fate: CallResult) {
        self.fate = fate;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.rate().settle(seconds(), self.sent, self.fate);
        self.limiter.changed.notify_one();
    }
}

/// Seconds since the first call of this function.
fn seconds() -> f64 {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    FIRST.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ways_to_one_account_share_what_is_known_of_it() {
        let rates = AccountLimiter::default();
        let (one, other) = (rates.of("profile a"), rates.of("profile b"));
        assert!(!Arc::ptr_eq(&one, &other));
        let account = rates.known_as("AWS account 123456789012", &one);
        assert!(Arc::ptr_eq(&account, &one));
        assert!(Arc::ptr_eq(&rates.known_as("AWS account 123456789012", &other), &one));
        assert!(!Arc::ptr_eq(&rates.known_as("AWS account 210987654321", &other), &one));
    }

    #[tokio::test]
    async fn a_lane_lets_no_more_calls_go_than_the_rate_allows() {
        let limiter = ActionLimiters::default().limiter("GetRole");
        let mut under_way = Vec::new();
        for _ in 0..16 {
            under_way.push(Arc::clone(&limiter).enter().await);
        }
        let next = tokio::spawn(Arc::clone(&limiter).enter());
        tokio::task::yield_now().await;
        assert!(!next.is_finished());
        for call in under_way {
            call.ended(CallResult::Passed);
        }
        drop(next.await.expect("it goes on"));
    }
}
