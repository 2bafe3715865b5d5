//! End of the scheduler: SIGTERM, SIGHUP, and kills, after which nothing is lost and nothing is
//! repeated.

use std::time::Duration;

use super::program::{Daemon, far, home, list, profiles, seen_long_ago};
use crate::end_to_end::Home;
use crate::patience::until;

/// Creates a profile for each of its steps.
const STEPS: &str = "for n = 1, 5 do
    if not iam.profiles.find('step-' .. n) then iam.profiles.create('step-' .. n) end end print('all steps')";

/// Writes a job that is due once.
fn write_job(home: &Home, name: &str, code: &str) {
    home.write(&format!("jobs/{name}.lua"), format!("runbook {{ {} }} {code}", far()));
}

#[test]
fn told_to_end_it_finishes_calls_in_flight_and_goes_on_at_the_next_start() {
    let home = home();
    write_job(&home, "steps", STEPS);
    seen_long_ago(&home, &["steps"]);
    let held = ["jobs", "--faults", "hold=iam:CreateInstanceProfile", "--grace", "1h"];
    let mut daemon = Daemon::start(&home, &held);
    daemon.says("begins, late: ", 1);
    // Killed in the middle of its calls.
    let gate = home.gatekeeper();
    gate.passes(1);
    gate.holds(1);
    daemon.signal("-TERM");
    daemon.says("told to end", 1);
    gate.releases();
    daemon.ends(0);
    assert_eq!(profiles(&home).len(), 2);
    let said = daemon.said();
    assert!(said.contains("told to end: 1 execution is being stopped"), "{said}");
    assert!(said.contains("outcome=interrupted") && !said.contains("all steps"), "{said}");
    let runs = home.run(&["runs", "--output", "json"]).ends(0, "");
    let runs: Vec<serde_json::Value> = serde_json::from_str(&runs.out).expect("JSON");
    assert_eq!(
        (runs[0]["counts"]["in_doubt"].as_u64(), runs[0]["status"].as_str()),
        (Some(0), Some("interrupted"))
    );
    let mut daemon = Daemon::start(&home, &["jobs"]);
    daemon.says("attempt=2", 2);
    daemon.says("outcome=done", 1);
    daemon.signal("-TERM");
    daemon.ends(0);
    assert_eq!(profiles(&home).len(), 5);
    assert_eq!(list(&home)[0]["last"]["outcome"], "done");
}

/// Starts a scheduler whose only job has a call in flight that does not end.
fn daemon_with_a_call_in_flight(home: &Home, grace: &str) -> Daemon {
    write_job(home, "stuck", "print('stuck') iam.profiles.create('stuck')");
    seen_long_ago(home, &["stuck"]);
    let held = ["jobs", "--faults", "hold=iam:CreateInstanceProfile", "--grace", grace];
    let daemon = Daemon::start(home, &held);
    daemon.says("stuck stream=out", 1);
    home.gatekeeper().holds(1);
    daemon
}

#[test]
fn what_does_not_end_in_time_is_said() {
    let home = home();
    let mut daemon = daemon_with_a_call_in_flight(&home, "500ms");
    daemon.signal("-TERM");
    daemon.ends(1);
    daemon.says("1 execution did not end within 500ms", 1);
    daemon.says("hint: the next start settles", 1);
}

#[test]
fn an_execution_that_has_ended_keeps_no_thread() {
    let home = home();
    home.write("jobs/tag.lua", "runbook { every = '1s' } iam.profiles.find('x')");
    let mut daemon = Daemon::start(&home, &["jobs"]);
    daemon.says("outcome=done", 4);
    // That of the fourth may still be going.
    until(
        || daemon.threads("iamlua-journal") <= 1,
        || format!("{} journals are open", daemon.threads("iamlua-journal")),
    );
    daemon.signal("-TERM");
    daemon.ends(0);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let home = home();
    let mut daemon = daemon_with_a_call_in_flight(&home, "1h");
    daemon.signal("-INT");
    daemon.says("told to end", 1);
    daemon.signal("-INT");
    daemon.ends(130);
}

/// Expression that takes Lua's own library years.
const ENDLESS: &str = "print('stuck') local _ = (('a'):rep(200)):find(('a*'):rep(60) .. 'b')";

#[test]
fn an_endless_call_of_the_library_ends_with_its_job() {
    let home = home();
    write_job(&home, "stuck", ENDLESS);
    seen_long_ago(&home, &["stuck"]);
    let mut daemon = Daemon::start(&home, &["jobs", "--grace", "1h"]);
    daemon.says("stuck stream=out", 1);
    daemon.signal("-TERM");
    daemon.ends(0);
    daemon.says("outcome=interrupted", 1);
}

#[test]
fn told_to_read_anew_it_takes_the_configuration_and_keeps_the_old_one_if_it_is_broken() {
    let home = home();
    home.write(
        "jobs/make.lua",
        "runbook { every = '1s' } iam.profiles.create('p-' .. #iam.profiles.list())",
    );
    home.write("iamlua.toml", "mode = \"read-only\"\n");
    let mut daemon = Daemon::start(&home, &["jobs"]);
    daemon.says("outcome=refused", 1);
    home.write("iamlua.toml", "mode = \n");
    daemon.signal("-HUP");
    daemon.says("cannot be read anew, so all stays as it is", 1);
    daemon.says("mode=read-only", 3);
    assert!(profiles(&home).is_empty());
    home.write("iamlua.toml", "");
    daemon.signal("-HUP");
    daemon.says("told to read anew", 1);
    daemon.says("outcome=done", 1);
    daemon.signal("-TERM");
    daemon.ends(0);
    assert!(!profiles(&home).is_empty());
}

#[test]
fn two_of_them_on_one_state_run_no_job_twice() {
    let home = home();
    // A name that exists already fails: two executions for one due time would show.
    home.write(
        "jobs/count.lua",
        "runbook { every = '1s' } local n = #iam.profiles.list { max_items = 1000 } time.sleep('300ms') iam.profiles.create('n-' .. n)",
    );
    let mut one = Daemon::start(&home, &["jobs"]);
    let mut other = Daemon::start(&home, &["jobs"]);
    until(|| profiles(&home).len() >= 6, || format!("{}\n{}", one.said(), other.said()));
    for daemon in [&mut one, &mut other] {
        daemon.signal("-TERM");
        daemon.ends(0);
        assert!(!daemon.said().contains("outcome=failed"), "{}", daemon.said());
    }
    let mut dues: Vec<_> = [one.said(), other.said()]
        .iter()
        .flat_map(|said| said.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.contains("outcome=done"))
        .filter_map(|line| line.split(" due=").nth(1)?.split(' ').next().map(str::to_owned))
        .collect();
    let all = dues.len();
    dues.sort();
    dues.dedup();
    assert_eq!(dues.len(), all, "a moment was done twice");
}

#[test]
fn an_end_that_cannot_be_written_is_not_passed_over_in_silence() {
    let home = home();
    home.write("jobs/ends.lua", "runbook { every = '1s' } print('it works') time.sleep('1h')");
    let mut daemon = Daemon::start(&home, &["jobs", "--grace", "1s"]);
    daemon.says("it works", 1);
    let state = rusqlite::Connection::open(home.path("state/schedule.db")).expect("the state");
    state.busy_timeout(Duration::from_mins(1)).expect("it waits");
    state
        .execute_batch("ALTER TABLE execution RENAME TO away")
        .expect("there is no such table now");
    daemon.signal("-TERM");
    daemon.ends(1);
    assert!(
        daemon.said().contains("the end of 1 execution could not be written"),
        "{}",
        daemon.said()
    );
}

#[test]
fn killed_at_any_moment_it_does_each_moment_to_its_end_and_settles_what_is_in_doubt() {
    let home = home();
    home.write(
        "jobs/steps.lua",
        "runbook { every = '1s' } for n = 1, 3 do iam.profiles.ensure { name = 'step-' .. n, tags = { At = tostring(time.now()) } } end",
    );
    let mut dice = fastrand::Rng::with_seed(11);
    let mut last = String::new();
    for _ in 0..6 {
        let mut daemon = Daemon::start(&home, &["jobs", "--faults", "hold=iam"]);
        let gate = home.gatekeeper();
        gate.passes(dice.usize(0..12));
        // With a call in flight, or at any other time.
        if last.is_empty() || dice.bool() {
            gate.holds(1);
        }
        daemon.kill();
        last = daemon.said();
    }
    let mut daemon = Daemon::start(&home, &["jobs"]);
    daemon.says("outcome=done", 2);
    daemon.signal("-TERM");
    daemon.ends(0);
    let store = rusqlite::Connection::open(home.path("state/schedule.db")).expect("the state");
    let number =
        |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert!(number("SELECT count(*) FROM execution WHERE outcome = 'killed'") > 0, "{last}");
    assert_eq!(number("SELECT count(*) FROM execution WHERE ended IS NULL"), 0);
    // Done once: no due time has two executions that ran to their end.
    let twice = "SELECT count(*) FROM (SELECT due FROM execution WHERE outcome = 'done' GROUP BY due HAVING count(*) > 1)";
    assert_eq!(number(twice), 0);
    // Every due time that was started is done, except after three kills.
    let undone = "SELECT count(*) FROM (SELECT due FROM execution GROUP BY due HAVING sum(outcome = 'done') = 0 AND count(*) < 3
        AND due < (SELECT max(due) FROM execution))";
    assert_eq!(number(undone), 0, "{last}\n{}", daemon.said());
    let journal = rusqlite::Connection::open(home.path("state/journal.db")).expect("the journal");
    let open = "SELECT count(*) FROM change WHERE outcome IS NULL OR outcome = 'in doubt'";
    assert_eq!(journal.query_row(open, [], |row| row.get::<_, i64>(0)).expect("a number"), 0);
}

#[test]
fn who_is_being_told_of_a_failure_ends_with_it_and_is_told_anew() {
    let home = home();
    write_job(&home, "fails", "");
    seen_long_ago(&home, &["fails"]);
    let tells = "on_failure = { command = { 'sh', '-c', 'echo $$ >> told; sleep 600 & wait' } }";
    let text = format!("runbook {{ {}, {tells} }} error('no')", far());
    home.write("jobs/fails.lua", text);
    let args = ["jobs", "--allow-run=sh", "--grace", "100ms"];
    let told = || -> Vec<String> {
        let told = std::fs::read_to_string(home.path("told")).unwrap_or_default();
        told.split_inclusive('\n')
            .filter_map(|line| Some(line.strip_suffix('\n')?.into()))
            .collect()
    };
    for times in 1..=2 {
        let mut daemon = Daemon::start(&home, &args);
        until(|| told().len() == times, || daemon.said());
        daemon.signal("-TERM");
        daemon.ends(0);
        let group = format!("-{}", told()[times - 1]);
        let is_there = || {
            let mut kill = std::process::Command::new("kill");
            kill.args(["-0", "--", &group]).stderr(std::process::Stdio::null());
            kill.status().expect("kill runs").success()
        };
        until(|| !is_there(), || format!("the group {group} goes on"));
    }
}
