//! Estimator of the rate limit of one kind of call. AWS limits each account by token buckets whose
//! rate and size are not published, so they are measured: calls are unlimited until the first is
//! throttled, and from then on paced by the measured rate.
//!
//! A throttled call is a measurement: at that moment the bucket was empty. The calls that pass
//! between two such moments are what the bucket was refilled with, so their number divided by the
//! time is its rate, at any pace. Going slower for a while loses nothing, because the bucket keeps
//! unused tokens. The pace therefore begins a little below the measured rate, and rises until the
//! bucket is empty again. That happens once in some hundred calls, and measures anew. When the rate
//! falls, calls are throttled in quick succession. Then nothing is sent for a moment, and the
//! refilled tokens are counted.
//!
//! Pure arithmetic on a clock that the caller provides: seconds since any moment. Nothing here
//! waits.

/// Initial limit on concurrent calls; it grows with every call that passes, until one is throttled.
const FIRST_WINDOW: f64 = 16.0;
/// Growth of the limit with every call that passes.
const GROWTH: f64 = 0.5;
/// Pause after the first throttled call, in seconds; it doubles while a pause yields too few
/// tokens.
const FIRST_PAUSE: f64 = 0.1;
/// Upper bound on the pause, in seconds.
const MAX_PAUSE: f64 = 5.0;
/// Minimum number of calls between two throttled ones for a measurement after a pause.
const MIN_SAMPLE: u32 = 5;
/// Minimum number of calls between two throttled ones at a steady pace; with fewer, the rate has
/// fallen.
const STEADY_SAMPLE: u32 = 8;
/// Maximum number of calls in a cycle, which bounds the share of calls that are throttled in order
/// to measure.
const MAX_CYCLE: f64 = 200.0;
/// Minimum number of calls in a cycle; a coarse measurement is soon repeated.
const MIN_CYCLE: f64 = 30.0;
/// Growth of a cycle over the one that was measured.
const CYCLE_GROWTH: f64 = 6.0;
/// Maximum duration of a cycle in seconds, so that a slow bucket is also measured anew.
const CYCLE_TIME: f64 = 40.0;
/// Pace during a cycle, as a share of the measured rate; the saved tokens are used when the cycle
/// ends.
const CYCLE_SHARE: f64 = 0.98;
/// Factor by which the pace rises with every call after the end of a cycle, until the bucket is
/// empty again.
const RISE: f64 = 1.01;
/// Maximum pace, as a share of the measured rate. A higher rate is found in later cycles.
const MAX_SHARE: f64 = 8.0;
/// Minimum rate, in calls per second, for accounts whose capacity is used up by others.
const MIN_RATE: f64 = 0.2;
/// Maximum rate: practically unlimited.
const MAX_RATE: f64 = 1e6;
/// Delay in seconds up to which a late call, and those that it held up, may go at once.
const MAX_DELAY: f64 = 0.05;

/// Estimate of one token bucket from the outcomes of calls, and admission of the next call.
#[derive(Clone, Debug)]
pub struct TokenBucketEstimator {
    phase: Phase,
    /// Maximum number of concurrent calls while there is no pace.
    window: f64,
    under_way: u32,
    /// Send time of the call that found the bucket empty.
    emptied: f64,
    /// Time at which that was known. The throttling of a call that was sent before it is no news.
    noticed: f64,
    /// Number of passed calls that were sent since `emptied`.
    passed: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// No call was throttled yet.
    Free,
    /// A pause of that length, until that time; afterwards the bucket is emptied in order to
    /// measure.
    Measuring { pause: f64, until: f64 },
    /// Paced calls.
    Paced(Pace),
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace {
    /// Measured rate, in calls per second.
    rate: f64,
    /// Number of calls until the next measurement.
    cycle: f64,
    /// Pace as a share of the rate.
    share: f64,
    /// Earliest time of the next call.
    next: f64,
    /// Rate of the last measurement by a whole cycle or a pause.
    sure: f64,
}

/// Condition that a call must wait for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wait {
    /// A time.
    Until(f64),
    /// The end of another call.
    Change,
}

/// Outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// Not throttled, with any other result.
    Passed,
    /// Throttled.
    Throttled,
    /// No answer arrived.
    Unknown,
}

impl Default for TokenBucketEstimator {
    fn default() -> Self {
        Self {
            phase: Phase::Free,
            window: FIRST_WINDOW,
            under_way: 0,
            emptied: 0.0,
            noticed: f64::NEG_INFINITY,
            passed: 0,
        }
    }
}

impl TokenBucketEstimator {
    /// Admits a call now, or returns the condition to wait for.
    ///
    /// # Errors
    /// The condition to wait for before asking again.
    pub fn admit(&mut self, now: f64) -> Result<(), Wait> {
        let is_room = f64::from(self.under_way) < self.window.floor();
        match &mut self.phase {
            Phase::Measuring { until, .. } if now < *until => return Err(Wait::Until(*until)),
            Phase::Free | Phase::Measuring { .. } if !is_room => return Err(Wait::Change),
            Phase::Free | Phase::Measuring { .. } => {}
            Phase::Paced(pace) => {
                if now < pace.next {
                    return Err(Wait::Until(pace.next));
                }
                if f64::from(self.passed) >= pace.cycle || now - self.emptied >= CYCLE_TIME {
                    pace.share = (pace.share * RISE).min(MAX_SHARE);
                }
                pace.next = pace.next.max(now - MAX_DELAY) + 1.0 / (pace.rate * pace.share);
            }
        }
        self.under_way += 1;
        Ok(())
    }

    /// Records the outcome of a call that was admitted at `sent`.
    pub fn settle(&mut self, now: f64, sent: f64, fate: CallResult) {
        self.under_way = self.under_way.saturating_sub(1);
        match fate {
            CallResult::Passed => {
                if sent > self.emptied {
                    self.passed = self.passed.saturating_add(1);
                }
                if !matches!(self.phase, Phase::Paced(_)) {
                    self.window = (self.window + GROWTH).min(f64::from(u16::MAX));
                }
            }
            CallResult::Throttled if sent > self.noticed => self.throttled(now, sent),
            CallResult::Throttled | CallResult::Unknown => {}
        }
    }

    /// Last measured rate, in calls per second; `None` before the first measurement.
    pub fn measured(&self) -> Option<f64> {
        match self.phase {
            Phase::Paced(pace) => Some(pace.rate),
            Phase::Free | Phase::Measuring { .. } => None,
        }
    }

    fn throttled(&mut self, now: f64, sent: f64) {
        let (passed, time) = (self.passed, sent - self.emptied);
        self.noticed = now;
        // The bucket held a fraction of a call at either end.
        let rate = ((f64::from(passed) - 0.5) / time).clamp(MIN_RATE, MAX_RATE);
        let pace = |cycle: f64, sure| {
            Phase::Paced(Pace { rate, cycle, share: CYCLE_SHARE, next: now + 1.0 / rate, sure })
        };
        let long = (f64::from(passed) * CYCLE_GROWTH).clamp(MIN_CYCLE, MAX_CYCLE);
        match self.phase {
            Phase::Free => self.measure_after(FIRST_PAUSE, now),
            // Calls that have passed stay counted: the bucket was empty at the beginning as it is
            // now.
            Phase::Measuring { pause, .. } if passed < MIN_SAMPLE => {
                self.measure_after((pause * 2.0).min(MAX_PAUSE), now);
                return;
            }
            Phase::Measuring { .. } => self.phase = pace(long, rate),
            Phase::Paced(old) if f64::from(passed) >= old.cycle || time >= CYCLE_TIME => {
                self.phase = pace(long, rate);
            }
            // Earlier than expected: the rate has fallen, or the throttling has other causes than
            // the rate.
            Phase::Paced(old) if passed < STEADY_SAMPLE || rate < old.sure / 2.0 => {
                let pause = f64::from(MIN_SAMPLE) / old.rate;
                self.measure_after(pause.clamp(FIRST_PAUSE, MAX_PAUSE), now);
            }
            Phase::Paced(old) => self.phase = pace(f64::from(passed), old.sure),
        }
        self.emptied = sent;
        self.passed = 0;
    }

    fn measure_after(&mut self, pause: f64, now: f64) {
        self.window = 1.0;
        self.phase = Phase::Measuring { pause, until: now + pause };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    /// Token bucket as AWS is believed to use it, with a rate that may change.
    struct Bucket {
        rates: Vec<(f64, f64)>,
        burst: f64,
        tokens: f64,
        at: f64,
    }

    impl Bucket {
        fn new(rates: &[(f64, f64)], burst: f64) -> Self {
            Self { rates: rates.to_vec(), burst, tokens: burst, at: 0.0 }
        }

        fn take(&mut self, now: f64) -> bool {
            while self.at < now {
                let rate =
                    self.rates.iter().rev().find(|(from, _)| *from <= self.at).map_or(0.0, |r| r.1);
                let change = self.rates.iter().map(|(from, _)| *from).find(|from| *from > self.at);
                let until = change.map_or(now, |change| change.min(now));
                self.tokens = (self.tokens + (until - self.at) * rate).min(self.burst);
                self.at = until;
            }
            let is_there = self.tokens >= 1.0;
            if is_there {
                self.tokens -= 1.0;
            }
            is_there
        }

        /// Minimum time for a number of calls.
        fn ideal(&self, calls: f64) -> f64 {
            let mut left = calls - self.burst;
            let mut time = 0.0;
            for (at, (from, rate)) in self.rates.iter().enumerate() {
                let until = self.rates.get(at + 1).map_or(f64::INFINITY, |next| next.0);
                let most = (until - from) * rate;
                if left <= most {
                    return time + left.max(0.0) / rate;
                }
                left -= most;
                time = until;
            }
            time
        }
    }

    #[derive(Debug)]
    struct Outcome {
        time: f64,
        throttled: u32,
        passed: u32,
    }

    /// Simulates many workers that retry throttled calls. Latencies vary by a fifth,
    /// deterministically.
    fn simulate(bucket: &mut Bucket, calls: u32, workers: u32, latency: f64) -> Outcome {
        #[derive(PartialEq)]
        struct At(f64);
        impl Eq for At {}
        impl PartialOrd for At {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for At {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.0.total_cmp(&other.0)
            }
        }
        let mut rate = TokenBucketEstimator::default();
        let mut now = 0.0;
        let mut dice = 1_u64;
        let mut jitter = || {
            dice = dice
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            #[allow(clippy::cast_precision_loss, reason = "31 bits fit")]
            let share = (dice >> 33) as f64 / f64::from(1_u32 << 31);
            latency * (0.9 + 0.2 * share)
        };
        // (time, 0 = arrives at the server / 1 = answer, when it was sent, whether it passed)
        let mut events: BinaryHeap<Reverse<(At, u8, At, bool)>> = BinaryHeap::new();
        let (mut waiting, mut to_begin) = (workers.min(calls), calls - workers.min(calls));
        let mut out = Outcome { time: 0.0, throttled: 0, passed: 0 };
        while out.passed < calls {
            let mut wake = None;
            while waiting > 0 {
                match rate.admit(now) {
                    Ok(()) => {
                        waiting -= 1;
                        events.push(Reverse((At(now + jitter() / 2.0), 0, At(now), false)));
                    }
                    Err(Wait::Until(at)) => {
                        wake = Some(at);
                        break;
                    }
                    Err(Wait::Change) => break,
                }
            }
            let next = events.peek().map(|Reverse((at, ..))| at.0);
            match (next, wake) {
                (Some(next), wake) if wake.is_none_or(|wake| next <= wake) => {
                    let Some(Reverse((at, kind, sent, passed))) = events.pop() else { continue };
                    now = at.0;
                    if kind == 0 {
                        let passed = bucket.take(now);
                        events.push(Reverse((At(now + jitter() / 2.0), 1, sent, passed)));
                    } else if passed {
                        rate.settle(now, sent.0, CallResult::Passed);
                        out.passed += 1;
                        if to_begin > 0 {
                            to_begin -= 1;
                            waiting += 1;
                        }
                    } else {
                        rate.settle(now, sent.0, CallResult::Throttled);
                        out.throttled += 1;
                        waiting += 1;
                    }
                }
                // Timers are late by up to a millisecond.
                (_, Some(wake)) => now = wake + 0.0005,
                (_, None) => unreachable!("somebody waits for nothing"),
            }
            assert!(now < 1e5, "it hangs: {rate:?}");
        }
        out.time = now;
        out
    }

    #[test]
    fn finds_the_rate_of_a_bucket_and_keeps_to_it() {
        for (rate, burst) in [(5.0, 10.0), (20.0, 40.0), (50.0, 100.0), (200.0, 400.0)] {
            for latency in [0.0004, 0.005, 0.02, 0.08] {
                for (workers, most) in [(8, 0.021), (16, 0.045)] {
                    let mut bucket = Bucket::new(&[(0.0, rate)], burst);
                    let calls = if rate < 100.0 { 1000 } else { 2000 };
                    // Bound by the number of workers.
                    let bound = f64::from(calls) / f64::from(workers) * latency;
                    let ideal = bucket.ideal(f64::from(calls)).max(bound);
                    let out = simulate(&mut bucket, calls, workers, latency);
                    let share = f64::from(out.throttled) / f64::from(out.passed + out.throttled);
                    let ratio = out.time / ideal;
                    let case = format!(
                        "{rate}/s+{burst}, {latency} s, {workers}: {ratio:.3} x ideal, {share:.3}, {out:?}"
                    );
                    assert!(ratio < 1.05 && share < most, "{case}");
                }
            }
        }
    }

    #[test]
    fn follows_a_rate_that_changes() {
        for (first, second) in
            [(100.0, 50.0), (50.0, 100.0), (20.0, 10.0), (20.0, 40.0), (200.0, 20.0)]
        {
            for latency in [0.0004, 0.02, 0.08] {
                let mut bucket = Bucket::new(&[(0.0, first), (10.0, second)], 100.0);
                let calls = 100.0 + 10.0 * first + 10.0 * second;
                let ideal = bucket.ideal(calls);
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a few thousand"
                )]
                let out = simulate(&mut bucket, calls as u32, 16, latency);
                let ratio = out.time / ideal;
                let case = format!(
                    "{first} to {second}, {latency} s: {ratio:.3} x ideal of {ideal}, {out:?}"
                );
                assert!(ratio < 1.15, "{case}");
            }
        }
    }

    #[test]
    fn goes_on_where_calls_are_throttled_for_no_reason() {
        // One in ten, at any pace.
        let mut rate = TokenBucketEstimator::default();
        let mut now = 0.0;
        let (mut passed, mut dice) = (0, 1_u64);
        while passed < 2000 {
            match rate.admit(now) {
                Ok(()) => {
                    dice = dice
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let fate = if (dice >> 33) % 10 == 0 {
                        CallResult::Throttled
                    } else {
                        CallResult::Passed
                    };
                    passed += u32::from(fate == CallResult::Passed);
                    rate.settle(now + 0.01, now, fate);
                    now += 0.01;
                }
                Err(Wait::Until(at)) => now = at,
                Err(Wait::Change) => unreachable!("nothing is under way"),
            }
        }
        // 2,000 sequential calls take 20 s without throttling.
        assert!(now < 400.0, "{now} {rate:?}");
    }
}
