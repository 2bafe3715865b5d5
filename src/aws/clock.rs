//! The clock that requests are signed by: this machine's, corrected by the server's date where the
//! two differ by more than AWS tolerates.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;

/// Differences up to this are left alone: AWS takes signatures that are up to five minutes old.
const TOLERATED: i64 = 4 * 60 * 1000;

/// A clock that is corrected by answers; shared by all that sign for one connection.
#[derive(Clone, Debug, Default)]
pub struct CorrectedClock(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Lead of the server's clock in milliseconds.
    ahead: AtomicI64,
    told: AtomicBool,
}

impl CorrectedClock {
    /// The clock of all connections of this process to one place, so that each difference is found
    /// and said once.
    #[must_use]
    pub fn shared(place: &str) -> Self {
        static CLOCKS: LazyLock<Mutex<HashMap<String, CorrectedClock>>> =
            LazyLock::new(Mutex::default);
        let mut clocks = CLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
        clocks.entry(place.to_owned()).or_default().clone()
    }

    /// A clock of one connection alone, which tells nobody of a difference.
    #[must_use]
    pub fn quiet() -> Self {
        let clock = Self::default();
        clock.0.told.store(true, Ordering::Relaxed);
        clock
    }

    /// Lead of the server's clock over this machine's in milliseconds; 0 if it is tolerable.
    #[must_use]
    pub fn ahead(&self) -> i64 {
        self.0.ahead.load(Ordering::Relaxed)
    }

    /// Records the server's time at an answer. Returns a note for the operator, the first time that
    /// the two clocks differ.
    #[must_use]
    pub fn observe(&self, server: SystemTime, here: SystemTime) -> Option<String> {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let ahead = match server.duration_since(here) {
            Ok(ahead) => millis(ahead),
            Err(behind) => -millis(behind.duration()),
        };
        let is_skewed = ahead.abs() > TOLERATED;
        self.0.ahead.store(if is_skewed { ahead } else { 0 }, Ordering::Relaxed);
        if !is_skewed || self.0.told.swap(true, Ordering::Relaxed) {
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

/// A moment as the SDK has it.
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
        let told = clock.observe(here + minutes(90), here).expect("a note");
        assert!(told.contains("1h 30m behind"), "{told}");
        assert_eq!(clock.ahead(), 90 * 60 * 1000);
        assert_eq!(clock.observe(here - minutes(10), here), None, "it was said");
        assert_eq!(clock.ahead(), -10 * 60 * 1000);
        assert_eq!(clock.observe(here, here), None);
        assert_eq!(clock.ahead(), 0, "somebody has corrected the clock");
    }
}
