//! What time the local account thinks it is. Everything that depends on time (dates, session expiry, lag, the
//! throttle's bucket) asks here, so that a test can stop the clock and move it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

/// Where the time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    Real,
    /// A clock that stands still until it is moved.
    Manual(ManualClock),
}

/// A clock that stands still until it is moved; clones are hands on the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock {
    milliseconds: Arc<AtomicI64>,
}

impl ManualClock {
    /// A clock that stands at that moment (at millisecond precision).
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self { milliseconds: Arc::new(AtomicI64::new(at.as_millisecond())) }
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.milliseconds.fetch_add(milliseconds(by), Ordering::SeqCst);
    }
}

impl Clock {
    /// The time now, in milliseconds since 1970.
    pub(super) fn milliseconds(&self) -> i64 {
        match self {
            Self::Real => Timestamp::now().as_millisecond(),
            Self::Manual(clock) => clock.milliseconds.load(Ordering::SeqCst),
        }
    }

    /// A reading that never goes back, for measuring how long something took.
    pub(super) fn elapsed(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        match self {
            Self::Real => START.get_or_init(Instant::now).elapsed(),
            Self::Manual(clock) => Duration::from_millis(
                u64::try_from(clock.milliseconds.load(Ordering::SeqCst)).unwrap_or_default(),
            ),
        }
    }
}

/// A duration in whole milliseconds; one of more than 292 million years is cut to that.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// A moment in seconds since 1970 as AWS writes it: ISO 8601, second precision, `Z`.
pub(super) fn iso8601(seconds: i64) -> String {
    // Every stored second came from a `Timestamp`, so it is in range; the fallback only keeps this total.
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// A moment in milliseconds since 1970 as HTTP writes it (RFC 9110).
pub(super) fn http_date(milliseconds: i64) -> String {
    let at = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    // Fails only for years before 0, which no clock shows.
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default()
}
