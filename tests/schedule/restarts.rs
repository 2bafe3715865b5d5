//! Kills, downtimes, changes of the clock, and two schedulers on one state: due times are skipped
//! only by rule, and none is executed twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use iamlua::clock::ManualClock;
use iamlua::cron::Timing;
use iamlua::lua::{CatchUp, JobSpec};
use iamlua::schedule::job_set::Listed;
use iamlua::schedule::record::ExecutionOutcome;
use iamlua::schedule::scheduler::Holds;
use iamlua::schedule::store::Store;
use jiff::{SignedDuration, Timestamp};

use super::{Simulation, at, job, listed};

fn jobs() -> Vec<Listed> {
    let every = |minutes| Timing::every(Duration::from_mins(minutes)).expect("an interval");
    let cron = |text| Timing::cron(text, Some("Europe/Berlin")).expect("an expression");
    let skips = |timing| JobSpec { catch_up: CatchUp::Skip, ..job(timing) };
    vec![
        listed("often", job(every(15))),
        listed("often-skips", skips(every(15))),
        listed("nightly", job(cron("30 2 * * *"))),
        listed("hourly-skips", skips(cron("5 * * * *"))),
        listed("jittered", JobSpec { jitter: Duration::from_mins(20), ..job(every(60)) }),
        listed("again", JobSpec { retries: 2, ..job(every(45)) }),
    ]
}

fn world(clock: &ManualClock, folder: &Path) -> Simulation {
    let store = Store::open(folder).expect("a book");
    Simulation::new(clock, store, Holds::Folder(folder.to_owned()), jobs(), None)
}

/// Executions for the due times of one job.
#[derive(Default)]
struct Account {
    /// Attempts for each due time.
    tries: BTreeMap<Timestamp, Vec<u32>>,
    /// Number of due times that they stand for.
    stood_for: u64,
    ended: BTreeMap<Timestamp, u32>,
}

/// Simulates days with random kills, downtimes of minutes to hours, and changes of the clock.
fn days(seed: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dice = fastrand::Rng::with_seed(seed);
    let (from, to) = (at("2026-10-24T18:00:00Z"), at("2026-10-25T20:00:00Z"));
    let clock = ManualClock::new(from);
    let mut sim = world(&clock, folder.path());
    let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
    // A repeated hour is executed once.
    let mut back = Some(at("2026-10-25T12:17:23Z"));
    while sim.now() < to {
        let (begun, wake) = sim.turn();
        for start in begun {
            let execution = &start.execution;
            let account = accounts.entry(execution.job.clone()).or_default();
            let due = execution.due.expect("a moment");
            account.tries.entry(due).or_default().push(execution.attempt);
            if execution.attempt == 1 {
                account.stood_for += start.missed.max(1);
            }
            let (time, outcome) = match dice.u8(0..10) {
                0 if execution.job == "again" => (Duration::from_secs(5), ExecutionOutcome::Failed),
                0 => (Duration::from_mins(dice.u64(20..50)), ExecutionOutcome::Done),
                _ => (Duration::from_secs(dice.u64(1..120)), ExecutionOutcome::Done),
            };
            if outcome == ExecutionOutcome::Done {
                *account.ended.entry(due).or_default() += 0;
            }
            sim.ends(&start, time, outcome);
        }
        if back.is_some_and(|back| back <= sim.now()) {
            back = None;
            // The clock is set back: nothing runs again.
            drop(sim);
            let now = at("2026-10-25T11:17:23Z");
            let clock = ManualClock::new(now);
            sim = world(&clock, folder.path());
            continue;
        }
        if dice.u8(0..60) == 0 {
            // Killed without a message, while the clock continues.
            let now = sim.now();
            drop(sim);
            let down = Duration::from_secs(dice.u64(1..7200));
            let clock = ManualClock::new(now + SignedDuration::try_from(down).expect("short"));
            sim = world(&clock, folder.path());
            continue;
        }
        let next = sim.next(wake);
        sim.go_to(next);
    }
    check(seed, folder.path(), &accounts, from);
}

/// Compares the executions with the store and the timings.
fn check(seed: u64, folder: &Path, accounts: &BTreeMap<String, Account>, from: Timestamp) {
    let store = Store::open(folder).expect("a book");
    let mut kills = 0;
    for Listed { path, name, what } in jobs() {
        let job = &what.expect("a runbook").job;
        let account = &accounts[&name];
        let entry = store.entry(&path.display().to_string()).expect("a book").expect("a job");
        let mut moments = BTreeSet::new();
        let mut moment = from;
        while let Some(due) = job.timing.after(moment).filter(|due| *due <= entry.handled) {
            moments.insert(due);
            moment = due;
        }
        let mut skipped = 0;
        // None of them is removed yet.
        for execution in store.history(&path.display().to_string(), 10_000).expect("a book") {
            match execution.outcome {
                Some(ExecutionOutcome::Skipped) => {
                    let words = execution.error.expect("how many");
                    let number = words.split(' ').next().expect("a word");
                    skipped += number.parse::<u64>().expect("a number");
                }
                Some(ExecutionOutcome::Killed) => kills += 1,
                _ => {}
            }
        }
        // Each due time was executed, covered by a later one, or skipped, and none twice.
        assert_eq!(
            account.stood_for + skipped,
            moments.len() as u64,
            "{name} with seed {seed}: {} stood for, {skipped} left out",
            account.stood_for
        );
        for (due, tries) in &account.tries {
            assert!(moments.contains(due), "{name} ran for {due}, which is no moment of it");
            let in_order: Vec<_> = (1..=u32::try_from(tries.len()).expect("few")).collect();
            assert_eq!(*tries, in_order, "{name} for {due} with seed {seed}");
            assert!(job.catch_up == CatchUp::Once || tries.len() == 1, "{name} ran again");
        }
        assert_eq!(skipped > 0, job.catch_up == CatchUp::Skip, "{name} with seed {seed}");
    }
    assert!(kills > 0, "seed {seed} killed nothing that ran");
}

#[test]
fn no_moment_is_lost_but_by_rule_and_none_is_done_twice() {
    let seeds = std::env::var("IAMLUA_TEST_SEEDS").ok().and_then(|text| text.parse().ok());
    for seed in 0..seeds.unwrap_or(2) {
        days(seed);
    }
}

#[test]
fn two_schedulers_on_one_state_do_each_moment_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (at("2026-11-24T00:00:00Z"), at("2026-11-24T12:00:00Z"));
    let clock = ManualClock::new(from);
    let mut pair = [world(&clock, folder.path()), world(&clock, folder.path())];
    let mut dice = fastrand::Rng::with_seed(5);
    let mut done: BTreeMap<(String, Timestamp), u32> = BTreeMap::new();
    let mut by = [0, 0];
    while pair[0].now() < to {
        let first = dice.usize(0..2);
        let mut wakes = Timestamp::MAX;
        for at in [first, 1 - first] {
            let (begun, wake) = pair[at].turn();
            wakes = wakes.min(wake);
            for start in begun {
                by[at] += 1;
                let execution = &start.execution;
                let due = execution.due.expect("a moment");
                *done.entry((execution.job.clone(), due)).or_default() += 1;
                pair[at].ends(
                    &start,
                    Duration::from_secs(dice.u64(1..1500)),
                    ExecutionOutcome::Done,
                );
            }
        }
        let next = pair.iter().map(|sim| sim.next(wakes)).min().expect("two");
        // Both have the same clock, which the first one moves.
        for sim in &mut pair {
            sim.go_to(next);
        }
    }
    let twice: Vec<_> = done.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(by[0] > 10 && by[1] > 10, "both have worked: {by:?}");
    let moments = (1..=48).map(|n| from + SignedDuration::from_mins(15 * n));
    let store = Store::open(folder.path()).expect("a book");
    let handled = store.entry("/jobs/often.lua").expect("a book").expect("a job").handled;
    let done = moments.filter(|due| done.contains_key(&("often".to_owned(), *due))).count();
    // It runs for up to 25 minutes, so every other due time may be missed.
    assert!(done >= 24, "{done} of 48");
    assert!(handled >= to - SignedDuration::from_mins(30), "{handled}");
}
