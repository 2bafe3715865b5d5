//! Clock for signing requests: the machine's clock, corrected by the server's date if the
//! difference exceeds AWS's tolerance.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;

/// Maximum uncorrected difference, in milliseconds. AWS accepts signatures up to five minutes old.
const TOLERANCE: i64 = 4 * 60 * 1000;

/// Clock corrected by the answers of the server, shared by all signers of one connection.
#[derive(Clone, Debug, Default)]
pub struct CorrectedClock(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Lead of the server's clock, in milliseconds.
    ahead: AtomicI64,
    is_reported: AtomicBool,
}

impl CorrectedClock {
    /// Clock of all connections of this process to one endpoint, so that each difference is
    /// detected and reported once.
    #[must_use]
    pub fn shared(place: &str) -> Self {
        static CLOCKS: LazyLock<Mutex<HashMap<String, CorrectedClock>>> =
            LazyLock::new(Mutex::default);
        let mut clocks = CLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.entry(place.to_owned()).or_default().clone()
    }

    /// Clock of a single connection, which reports no difference.
    #[must_use]
    pub fn quiet() -> Self {
        let clock = Self::default();
        clock.0.is_reported.store(true, Ordering::Relaxed);
        clock
    }

    /// Lead of the server's clock over the machine's, in milliseconds; 0 within the tolerance.
    #[must_use]
    pub fn ahead(&self) -> i64 {
        self.0.ahead.load(Ordering::Relaxed)
    }

    /// Records the server's time in an answer. Returns a notice for the operator when a difference
    /// is first detected.
    #[must_use]
    pub fn observe(&self, server: SystemTime, here: SystemTime) -> Option<String> {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let ahead = match server.duration_since(here) {
            Ok(ahead) => millis(ahead),
            Err(behind) => -millis(behind.duration()),
        };
        let is_skewed = ahead.abs() > TOLERANCE;
        self.0.ahead.store(if is_skewed { ahead } else { 0 }, Ordering::Relaxed);
        if !is_skewed || self.0.is_reported.swap(true, Ordering::Relaxed) {
            return None;
        }
        let direction = if ahead > 0 { "behind" } else { "ahead of" };
        let by = crate::ui::format::time(Duration::from_millis(ahead.unsigned_abs()).as_secs_f64());
        Some(format!(
            "note: this machine's clock is {by} {direction} AWS's; requests are signed by AWS's time. \
             Correct the clock (for example `timedatectl set-ntp true`)."
        ))
    }
}

impl TimeSource for CorrectedClock {
    fn now(&self) -> SystemTime {
        let (now, ahead) = (SystemTime::now(), self.ahead());
        let by = Duration::from_millis(ahead.unsigned_abs());
        let corrected = if ahead < 0 { now.checked_sub(by) } else { now.checked_add(by) };
        corrected.unwrap_or(now)
    }
}

/// Converts a timestamp to the SDK's type.
#[must_use]
pub fn system_time(at: jiff::Timestamp) -> SystemTime {
    let millis = at.as_millisecond();
    let length = Duration::from_millis(millis.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let at = if millis < 0 { epoch.checked_sub(length) } else { epoch.checked_add(length) };
    at.unwrap_or(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_that_aws_refuses_is_corrected_and_said_once() {
        let clock = CorrectedClock::default();
        let here = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let minutes = |n: u64| Duration::from_mins(n);
        assert_eq!(clock.observe(here + minutes(3), here), None);
        assert_eq!(clock.ahead(), 0);
        let notice = clock.observe(here + minutes(90), here).expect("a note");
        assert!(notice.contains("1h 30m behind"), "{notice}");
        assert_eq!(clock.ahead(), 90 * 60 * 1000);
        assert_eq!(clock.observe(here - minutes(10), here), None, "it was said");
        assert_eq!(clock.ahead(), -10 * 60 * 1000);
        assert_eq!(clock.observe(here, here), None);
        assert_eq!(clock.ahead(), 0, "somebody has corrected the clock");
    }
}
