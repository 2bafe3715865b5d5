//! Clocks. Everything that depends on the time uses this module: the functions of scripts, and the
//! dates, lag and token bucket of the local account. Tests can stop and advance the clock.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Source of the time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    Real,
    /// Clock that stands still until it is advanced.
    Manual(ManualClock),
    /// Clock whose date stands still until it is set, while waits take real time.
    Held(HeldClock),
}

/// Clock that stands still until it is advanced; clones share it.
#[derive(Clone, Debug)]
pub struct ManualClock {
    milliseconds: Arc<AtomicI64>,
}

impl ManualClock {
    /// Clock stopped at a time (at millisecond precision).
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self { milliseconds: Arc::new(AtomicI64::new(at.as_millisecond())) }
    }

    /// Advances the clock.
    pub fn advance(&self, by: Duration) {
        self.milliseconds.fetch_add(milliseconds(by), Ordering::SeqCst);
    }
}

/// Clock for tests of scripts; clones share it.
///
/// The date stands still, so that tests can predict it. It changes only when it is set or a script
/// sleeps. Waits for a lagging write or an empty token bucket use the time of the machine, so that
/// they end. Advancing the clock shortens them too.
#[derive(Clone, Debug)]
pub struct HeldClock(Arc<Held>);

#[derive(Debug)]
struct Held {
    /// Date, in milliseconds since 1970.
    shown: AtomicI64,
    /// Total time by which the date was advanced.
    moved: AtomicI64,
    /// Additional time that has passed for waits.
    waited: AtomicI64,
    /// Initial date.
    origin: i64,
    started: Instant,
}

impl HeldClock {
    /// Clock that shows a time (at millisecond precision).
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        let origin = at.as_millisecond();
        let (shown, moved) = (AtomicI64::new(origin), AtomicI64::new(0));
        let waited = AtomicI64::new(0);
        Self(Arc::new(Held { shown, moved, waited, origin, started: Instant::now() }))
    }

    /// Date, in milliseconds since 1970.
    #[must_use]
    pub fn milliseconds(&self) -> i64 {
        self.0.shown.load(Ordering::SeqCst)
    }

    /// Sets the date, to a later or an earlier one.
    pub fn set(&self, at: Timestamp) {
        let before = self.0.shown.swap(at.as_millisecond(), Ordering::SeqCst);
        let on = at.as_millisecond().saturating_sub(before);
        self.0.moved.fetch_add(on.max(0), Ordering::SeqCst);
    }

    /// Lets time pass at once for waits; the date does not change.
    pub fn let_pass(&self, time: Duration) {
        self.0.waited.fetch_add(milliseconds(time), Ordering::SeqCst);
    }

    /// Time that has passed for waits: real time, and the time by which the clock was advanced.
    fn passed(&self) -> Duration {
        let moved = u64::try_from(self.0.moved.load(Ordering::SeqCst)).unwrap_or_default();
        self.0.started.elapsed() + Duration::from_millis(moved)
    }
}

impl Clock {
    /// Date, in milliseconds since 1970.
    #[must_use]
    pub fn milliseconds(&self) -> i64 {
        match self {
            Self::Real => Timestamp::now().as_millisecond(),
            Self::Manual(clock) => clock.milliseconds.load(Ordering::SeqCst),
            Self::Held(clock) => clock.milliseconds(),
        }
    }

    /// Time for waits, in milliseconds since 1970.
    #[must_use]
    pub fn passing(&self) -> i64 {
        match self {
            Self::Real | Self::Manual(_) => self.milliseconds(),
            Self::Held(clock) => {
                let passed = milliseconds(clock.passed());
                let waited = clock.0.waited.load(Ordering::SeqCst);
                clock.0.origin.saturating_add(passed).saturating_add(waited)
            }
        }
    }

    /// Monotonic reading, for measuring durations.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        match self {
            Self::Real => START.get_or_init(Instant::now).elapsed(),
            Self::Manual(clock) => Duration::from_millis(
                u64::try_from(clock.milliseconds.load(Ordering::SeqCst)).unwrap_or_default(),
            ),
            Self::Held(clock) => clock.passed(),
        }
    }

    /// Waits until a duration has passed for waits. Advancing the clock shortens it.
    pub async fn passes(self, time: Duration) {
        const POLL_INTERVAL: Duration = Duration::from_millis(10);
        if let Self::Real = self {
            return tokio::time::sleep(time).await;
        }
        let end = self.elapsed().saturating_add(time);
        loop {
            let left = end.saturating_sub(self.elapsed());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(POLL_INTERVAL)).await;
        }
    }

    /// Sleeps in real time. A held date advances by the same duration, once for all concurrent
    /// sleepers.
    pub async fn sleep(self, time: Duration) {
        let until = self.milliseconds().saturating_add(milliseconds(time));
        tokio::time::sleep(time).await;
        if let Self::Held(clock) = self {
            clock.0.shown.fetch_max(until, Ordering::SeqCst);
        }
    }
}

/// Duration in whole milliseconds; saturates at 73 million years.
#[must_use]
pub fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::{Clock, HeldClock};
    use jiff::Timestamp;
    use std::time::Duration;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a moment")
    }

    #[tokio::test]
    async fn a_clock_that_is_moved_on_ends_the_wait_for_time_to_pass() {
        let held = HeldClock::new(at(1000));
        let waits = tokio::spawn(Clock::Held(held.clone()).passes(Duration::from_hours(1)));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(!waits.is_finished());
        // The wait may begin later.
        while !waits.is_finished() {
            held.set(at(held.milliseconds() / 1000 + 3600));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[test]
    fn a_held_date_stands_and_those_who_wait_see_time_pass() {
        let held = HeldClock::new(at(1000));
        let clock = Clock::Held(held.clone());
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(clock.milliseconds(), 1_000_000);
        assert!(clock.passing() >= 1_000_005 && clock.elapsed() >= Duration::from_millis(5));
        held.set(at(1060));
        assert_eq!(clock.milliseconds(), 1_060_000);
        let passing = clock.passing();
        assert!(passing >= 1_060_005);
        let elapsed = clock.elapsed();
        held.let_pass(Duration::from_mins(1));
        assert_eq!(clock.milliseconds(), 1_060_000);
        assert!(clock.passing() >= passing + 60_000);
        assert!(clock.elapsed() < elapsed + Duration::from_mins(1));
        held.set(at(10));
        assert_eq!(clock.milliseconds(), 10_000);
        assert!(clock.passing() >= passing, "what was waited for stays so");
    }
}
