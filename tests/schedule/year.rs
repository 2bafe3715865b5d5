//! A year with both changes of daylight saving time, in several time zones: each job runs exactly
//! at the due times of its expression.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use iamlua::clock::ManualClock;
use iamlua::cron::Timing;
use iamlua::schedule::record::ExecutionOutcome;
use iamlua::schedule::scheduler::Holds;
use iamlua::schedule::store::Store;
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use super::cron::{Expression, Walls};
use super::{Simulation, at, job, listed};

const ZONES: [&str; 5] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"];

/// Expressions for all zones, with hours at, before and after the clock changes of these zones.
const EXPRESSIONS: [&str; 8] = [
    "30 2 * * *",
    "0 3 * * *",
    "45 1-3 * * *",
    "10 2 * * 0",
    "0 12 * * 1-5",
    "0 0 1,15 * *",
    "59 23 31 12 *",
    "30 1 13 * 5",
];

/// Expressions for one zone each, because they are frequent. They follow local time.
const OFTEN: [(&str, &str); 4] = [
    ("*/40 */2 * * *", "Australia/Lord_Howe"),
    ("0 * * * *", "Europe/Berlin"),
    ("30 */2 * * *", "America/New_York"),
    ("5 0-23/3 * * *", "Europe/Berlin"),
];

/// The usual interval of half a minute would only make the test slow.
const CLOCK_CHECK_INTERVAL: SignedDuration = SignedDuration::from_mins(50);

#[test]
#[ignore = "it takes a minute in a debug build; .ci/run runs it"]
fn every_job_runs_exactly_when_its_expression_says() {
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2027-01-01T06:00:00Z"));
    let mut jobs = Vec::new();
    let mut expected = BTreeMap::new();
    let everywhere =
        ZONES.iter().flat_map(|zone| EXPRESSIONS.iter().map(move |text| (*text, *zone)));
    let walls: BTreeMap<_, _> =
        ZONES.map(|zone| (zone, Walls::of(&TimeZone::get(zone).expect("a zone"), from, to))).into();
    for (text, zone) in everywhere.chain(OFTEN) {
        let name = format!("{text} {zone}").replace(['/', '*', ' ', ','], "_");
        let timing = Timing::cron(text, Some(zone)).expect("an expression");
        let moments = Expression::parse(text).moments(&walls[zone]);
        assert!(!moments.is_empty(), "{text} in {zone}");
        assert!(expected.insert(name.clone(), moments).is_none(), "{name} is two");
        jobs.push(listed(&name, job(timing)));
    }
    for seconds in [5 * 3600, 36 * 3600] {
        let name = format!("every_{seconds}");
        let timing = Timing::every(Duration::from_secs(seconds)).expect("an interval");
        let seconds = seconds.cast_signed();
        let first = from.as_second().div_euclid(seconds) + 1;
        let last = to.as_second().div_euclid(seconds);
        let moments: BTreeSet<_> = (first..=last).map(|n| n * seconds).collect();
        expected.insert(name.clone(), moments);
        jobs.push(listed(&name, job(timing)));
    }
    let clock = ManualClock::new(from);
    let store = Store::in_memory().expect("a book");
    let mut world = Simulation::new(&clock, store, Holds::Alone, jobs, Some(CLOCK_CHECK_INTERVAL));
    let mut ran: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    let mut dice = fastrand::Rng::with_seed(1);
    loop {
        let (begun, wake) = world.turn();
        for start in begun {
            let execution = &start.execution;
            let due = execution.due.expect("a moment");
            assert_eq!((execution.started, start.missed, execution.attempt), (due, 0, 1));
            let moments = ran.entry(execution.job.clone()).or_default();
            assert!(moments.insert(due.as_second()), "{} ran twice for {due}", execution.job);
            world.ends(&start, Duration::from_millis(dice.u64(1..50_000)), ExecutionOutcome::Done);
        }
        let next = world.next(wake);
        if next > to {
            break;
        }
        world.go_to(next);
    }
    for (name, moments) in &expected {
        let ran = ran.remove(name).unwrap_or_default();
        let lost: Vec<_> = moments.difference(&ran).collect();
        let more: Vec<_> = ran.difference(moments).collect();
        assert!(lost.is_empty() && more.is_empty(), "{name}: lost {lost:?}, too many {more:?}");
    }
    assert!(ran.is_empty(), "{ran:?}");
}
