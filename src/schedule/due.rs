//! Scheduling rules: the next step of a job, and the consequences of the end of an execution.
//!
//! Pure functions. They read no clock, no file and no database, so tests simulate a year in
//! seconds. `docs/schedule.md` describes the same rules.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::record::ExecutionOutcome;
use crate::clock::milliseconds;
use crate::lua::{CatchUp, JobSpec};

/// Delay after which a due time counts as missed.
pub const MISSED_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// Distance by which a handled due time may lie in the future before the clock is taken to have
/// been wrong.
const MAX_CLOCK_ERROR: SignedDuration = SignedDuration::from_hours(24);

/// Upper bound on the delay between two attempts.
const MAX_DELAY: Duration = Duration::from_hours(1);

/// Number of times that one due time may be killed or interrupted before it counts as failed.
const MAX_KILLS: u32 = 3;

/// Upper bound on the number of missed due times that are counted.
pub const MAX_COUNTED: u64 = 1000;

/// Progress of a job, as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobProgress {
    /// Timing of the job, as text. A changed timing restarts the progress.
    pub timing: String,
    /// Last due time that was handled. All before it are done.
    pub handled: Timestamp,
    /// End of its last execution. Due times before it were missed while the job was busy.
    pub free: Timestamp,
    /// Attempts for the due time that was started and is not finished.
    pub tries: Option<Tries>,
}

impl JobProgress {
    /// Progress of a new job: due times count from `now`.
    #[must_use]
    pub fn new(timing: String, now: Timestamp) -> Self {
        Self { timing, handled: now, free: now, tries: None }
    }
}

/// Attempts for one due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// Due time.
    pub due: Timestamp,
    /// Number of attempts that were started.
    pub attempt: u32,
    /// Number of attempts that failed.
    pub failures: u32,
    /// Number of attempts that were killed or interrupted.
    pub kills: u32,
    /// Start of the next attempt; `None` while one is running.
    pub again: Option<Timestamp>,
}

/// Next step of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Start an execution.
    Start {
        /// Due time of the execution.
        due: Timestamp,
        /// Number of missed due times that the execution stands for, its own included; 0 if it is
        /// on time.
        missed: u64,
    },
    /// Start the next attempt for the same due time.
    Again(Tries),
    /// Skip missed due times.
    Skip {
        /// Last of them.
        last: Timestamp,
        /// Number of them.
        missed: u64,
    },
    /// Do nothing until that time; `None`: never.
    Wait(Option<Timestamp>),
    /// Continue from this progress: the clock was set back by more than a day.
    Recount(JobProgress),
}

/// Returns the next step of a job that is not running. `seen` is a due time that was reached on
/// time and waits for a free slot.
#[must_use]
pub fn next(
    job: &JobSpec,
    path: &str,
    entry: &JobProgress,
    seen: Option<Timestamp>,
    now: Timestamp,
) -> Next {
    if entry.handled > after(now, MAX_CLOCK_ERROR) {
        let tries = entry.tries.map(|tries| Tries { again: Some(now), ..tries });
        let free = entry.free.min(now);
        return Next::Recount(JobProgress { handled: now, free, tries, ..entry.clone() });
    }
    if let Some(tries) = entry.tries {
        let again = tries.again.unwrap_or(now);
        return if again <= now { Next::Again(tries) } else { Next::Wait(Some(again)) };
    }
    let Some(first) = job.timing.after(entry.handled) else { return Next::Wait(None) };
    let starts = start(job, path, first);
    if starts > now {
        return Next::Wait(Some(starts));
    }
    let missed_before = entry.free.max(after(now, -MISSED_AFTER));
    if seen == Some(first) || starts >= missed_before {
        return Next::Start { due: first, missed: 0 };
    }
    let last = last_missed(job, path, first, missed_before);
    let missed = count(job, entry.handled, last);
    match job.catch_up {
        CatchUp::Once => Next::Start { due: last, missed },
        CatchUp::Skip => Next::Skip { last, missed },
    }
}

/// Start of a job for a due time: the due time plus its jitter. The jitter is a hash of path and
/// due time, so every scheduler computes the same.
#[must_use]
pub fn start(job: &JobSpec, path: &str, due: Timestamp) -> Timestamp {
    let jitter = u64::try_from(job.jitter.as_millis()).unwrap_or(u64::MAX);
    if jitter == 0 {
        return due;
    }
    let hash = Sha256::digest(format!("{path}\n{}", due.as_millisecond()));
    let chance = hash.iter().take(8).fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    after(due, SignedDuration::from_millis((chance % jitter).cast_signed()))
}

/// Last due time, from `first` on, whose start lies before `before`.
fn last_missed(job: &JobSpec, path: &str, first: Timestamp, before: Timestamp) -> Timestamp {
    // Searches windows of growing length before `before` first, so that a year of minutes is not
    // iterated.
    const WINDOWS: [i64; 5] = [1, 60, 24 * 60, 32 * 24 * 60, 366 * 24 * 60];
    let is_missed = |due: &Timestamp| start(job, path, *due) < before;
    let near = WINDOWS.iter().find_map(|minutes| {
        let from = after(before, SignedDuration::from_mins(-minutes));
        job.timing.after(from.max(first)).filter(|due| from > first && is_missed(due))
    });
    let mut last = near.unwrap_or(first);
    while let Some(due) = job.timing.after(last).filter(is_missed) {
        last = due;
    }
    last
}

/// Number of due times after `handled`, up to `last`; at most [`MAX_COUNTED`].
fn count(job: &JobSpec, handled: Timestamp, last: Timestamp) -> u64 {
    let (mut at, mut n) = (handled, 0);
    while n < MAX_COUNTED {
        match job.timing.after(at).filter(|due| *due <= last) {
            Some(due) => (at, n) = (due, n + 1),
            None => break,
        }
    }
    n
}

/// Consequence of the end of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// None.
    Over,
    /// Another attempt at that time.
    Again(Timestamp),
    /// Final failure.
    Failed,
}

/// Progress of a job after an execution, and the consequence. An execution without a due time,
/// which an operator started, is not retried.
#[must_use]
pub fn ended(
    job: &JobSpec,
    entry: &JobProgress,
    is_for_a_moment: bool,
    (outcome, exit_code): (ExecutionOutcome, Option<u8>),
    now: Timestamp,
) -> (JobProgress, NextStep) {
    let entry = JobProgress { free: now, ..entry.clone() };
    let has_failed = !matches!(outcome, ExecutionOutcome::Done | ExecutionOutcome::Skipped);
    let Some(mut tries) = entry.tries.filter(|_| is_for_a_moment) else {
        return (entry, if has_failed { NextStep::Failed } else { NextStep::Over });
    };
    let again = match outcome {
        ExecutionOutcome::Done | ExecutionOutcome::Skipped | ExecutionOutcome::Refused => None,
        ExecutionOutcome::Failed | ExecutionOutcome::Timeout => {
            tries.failures += 1;
            retry_delay(job, tries.failures, outcome, exit_code)
                .map(|delay| after(now, SignedDuration::from_millis(milliseconds(delay))))
        }
        ExecutionOutcome::Interrupted | ExecutionOutcome::Killed => {
            tries.kills += 1;
            (job.catch_up == CatchUp::Once && tries.kills < MAX_KILLS).then_some(now)
        }
    };
    tries.again = again;
    let verdict = match again {
        Some(at) => NextStep::Again(at),
        None if has_failed => NextStep::Failed,
        None => NextStep::Over,
    };
    (JobProgress { tries: again.map(|_| tries), ..entry }, verdict)
}

/// Delay before the next attempt after that many failures; `None` if there is none.
#[must_use]
pub fn retry_delay(
    job: &JobSpec,
    failures: u32,
    outcome: ExecutionOutcome,
    exit_code: Option<u8>,
) -> Option<Duration> {
    // A usage error and a refusal would repeat.
    let may_pass = matches!(outcome, ExecutionOutcome::Failed | ExecutionOutcome::Timeout)
        && !matches!(exit_code, Some(2 | 4));
    let delay = job.retry_delay.saturating_mul(1 << failures.saturating_sub(1).min(20));
    (may_pass && failures <= job.retries).then(|| delay.min(MAX_DELAY))
}

fn after(moment: Timestamp, time: SignedDuration) -> Timestamp {
    moment.saturating_add(time).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::{JobProgress, Next, NextStep, Tries, ended, next, start};
    use crate::cron::Timing;
    use crate::lua::{CatchUp, JobSpec, OnFailure};
    use crate::schedule::record::ExecutionOutcome;

    fn job(every: u64) -> JobSpec {
        JobSpec {
            timing: Timing::every(Duration::from_secs(every)).expect("an interval"),
            jitter: Duration::ZERO,
            catch_up: CatchUp::Once,
            retries: 0,
            retry_delay: Duration::from_secs(10),
            on_failure: OnFailure::default(),
        }
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-24T{text}Z").parse().expect("a moment")
    }

    fn entry(handled: &str, free: &str) -> JobProgress {
        JobProgress { free: at(free), ..JobProgress::new("every".into(), at(handled)) }
    }

    #[test]
    fn a_moment_is_in_time_for_a_minute_and_missed_after_it() {
        let (job, entry) = (job(3600), entry("10:00:00", "10:00:07"));
        let what = |now: &str| next(&job, "p", &entry, None, at(now));
        assert_eq!(what("10:59:59"), Next::Wait(Some(at("11:00:00"))));
        for now in ["11:00:00", "11:01:00"] {
            assert_eq!(what(now), Next::Start { due: at("11:00:00"), missed: 0 }, "{now}");
        }
        assert_eq!(what("11:01:01"), Next::Start { due: at("11:00:00"), missed: 1 });
        assert_eq!(what("13:30:00"), Next::Start { due: at("13:00:00"), missed: 3 });
        let waits = next(&job, "p", &entry, Some(at("11:00:00")), at("11:40:00"));
        assert_eq!(waits, Next::Start { due: at("11:00:00"), missed: 0 }, "it waited for a place");
    }

    #[test]
    fn what_came_while_it_ran_is_missed_and_what_came_after_is_not() {
        let mut job = job(10);
        let entry = entry("10:00:00", "10:00:25");
        let now = at("10:00:31");
        assert_eq!(
            next(&job, "p", &entry, None, now),
            Next::Start { due: at("10:00:20"), missed: 2 }
        );
        job.catch_up = CatchUp::Skip;
        assert_eq!(
            next(&job, "p", &entry, None, now),
            Next::Skip { last: at("10:00:20"), missed: 2 }
        );
        let skipped = JobProgress { handled: at("10:00:20"), ..entry };
        assert_eq!(
            next(&job, "p", &skipped, None, now),
            Next::Start { due: at("10:00:30"), missed: 0 }
        );
    }

    #[test]
    fn a_year_of_seconds_is_caught_up_without_walking_through_it() {
        let job = job(1);
        let long_ago =
            JobProgress::new("every".into(), "2025-11-24T00:00:00Z".parse().expect("it is"));
        let next = next(&job, "p", &long_ago, None, at("10:00:00"));
        assert_eq!(next, Next::Start { due: at("09:58:59"), missed: super::MAX_COUNTED });
    }

    #[test]
    fn a_clock_that_goes_back_does_nothing_twice_and_one_that_was_wrong_is_forgotten() {
        let job = job(60);
        let ahead = entry("11:00:00", "11:00:01");
        assert_eq!(next(&job, "p", &ahead, None, at("10:00:00")), Next::Wait(Some(at("11:01:00"))));
        let wrong =
            JobProgress::new("every".into(), "2036-01-01T00:00:00Z".parse().expect("a moment"));
        let Next::Recount(entry) = next(&job, "p", &wrong, None, at("10:00:00")) else {
            panic!("a clock that was ten years ahead was wrong");
        };
        assert_eq!((entry.handled, entry.free), (at("10:00:00"), at("10:00:00")));
    }

    #[test]
    fn jitter_is_the_same_each_time_and_not_the_same_for_all() {
        let job = JobSpec { jitter: Duration::from_mins(10), ..job(3600) };
        let delays: std::collections::BTreeSet<_> = (0..50)
            .map(|n| {
                let path = format!("/jobs/{n}.lua");
                let begins = start(&job, &path, at("10:00:00"));
                assert_eq!(begins, start(&job, &path, at("10:00:00")));
                assert!(begins >= at("10:00:00") && begins < at("10:10:00"));
                begins
            })
            .collect();
        assert!(delays.len() > 45, "{}", delays.len());
    }

    #[test]
    fn tries_grow_apart_and_end() {
        let job = JobSpec { retries: 2, ..job(3600) };
        let mut now = at("10:00:00");
        let tries = Tries { due: at("10:00:00"), attempt: 1, failures: 0, kills: 0, again: None };
        let mut entry = JobProgress { tries: Some(tries), ..entry("10:00:00", "09:00:00") };
        let mut pauses = Vec::new();
        loop {
            let (after, verdict) =
                ended(&job, &entry, true, (ExecutionOutcome::Failed, Some(1)), now);
            entry = after;
            let NextStep::Again(again) = verdict else {
                assert_eq!((verdict, entry.tries), (NextStep::Failed, None));
                break;
            };
            pauses.push((again - now).as_secs());
            assert_eq!(next(&job, "p", &entry, None, now), Next::Wait(Some(again)));
            now = again;
        }
        assert_eq!(pauses, [10, 20]);
        for code in [2, 4] {
            let entry = JobProgress { tries: Some(tries), ..entry.clone() };
            let (_, verdict) =
                ended(&job, &entry, true, (ExecutionOutcome::Failed, Some(code)), now);
            assert_eq!(verdict, NextStep::Failed, "exit code {code} would come again");
        }
    }

    #[test]
    fn what_was_killed_begins_again_unless_it_is_to_be_left_out_or_dies_each_time() {
        let mut job = job(3600);
        let tries = Tries { due: at("10:00:00"), attempt: 1, failures: 0, kills: 0, again: None };
        let mut entry = JobProgress { tries: Some(tries), ..entry("10:00:00", "09:00:00") };
        let now = at("10:05:00");
        for kill in 1..=3 {
            let (after, verdict) = ended(&job, &entry, true, (ExecutionOutcome::Killed, None), now);
            let wanted = if kill < 3 { NextStep::Again(now) } else { NextStep::Failed };
            assert_eq!(verdict, wanted, "kill {kill}");
            entry.tries = after.tries.or(entry.tries);
        }
        job.catch_up = CatchUp::Skip;
        entry.tries = Some(tries);
        let (_, verdict) =
            ended(&job, &entry, true, (ExecutionOutcome::Interrupted, Some(130)), now);
        assert_eq!(verdict, NextStep::Failed);
    }
}
