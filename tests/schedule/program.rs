//! `iamlua schedule` as a process: runs, messages, records and refusals.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::end_to_end::{Home, Ran};
use crate::patience::{Heard, until, until_some};

/// Running scheduler, with its output.
pub(super) struct Daemon {
    pub(super) child: Child,
    said: Heard,
}

impl Daemon {
    pub(super) fn start(home: &Home, args: &[&str]) -> Self {
        Self::spawn(&mut command(home, args))
    }

    pub(super) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::null()).spawn().expect("the program starts");
        let said = Heard::from(child.stderr.take().expect("a pipe"));
        Self { child, said }
    }

    pub(super) fn said(&self) -> String {
        // Complete lines only.
        let said = self.said.text();
        said[..said.rfind('\n').map_or(0, |at| at + 1)].to_owned()
    }

    /// Waits until it has printed a text that many times.
    #[track_caller]
    pub(super) fn says(&self, text: &str, times: usize) {
        until(
            || self.said().matches(text).count() >= times,
            || format!("{text:?} is not {times} times in\n{}", self.said()),
        );
    }

    /// Number of its threads of that name.
    pub(super) fn threads(&self, name: &str) -> usize {
        let tasks = format!("/proc/{}/task", self.child.id());
        let tasks = std::fs::read_dir(tasks).expect("it is alive").flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|comm| comm.trim_end() == name).count()
    }

    pub(super) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for the end.
    #[track_caller]
    pub(super) fn ends(&mut self, code: i32) {
        let (child, said) = (&mut self.child, &self.said);
        let look = || child.try_wait().expect("it can be waited for");
        let status = until_some(look, || format!("it does not end:\n{}", said.text()));
        assert_eq!(status.code(), Some(code), "{}", said.all());
        said.all();
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ended");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn command(home: &Home, args: &[&str]) -> Command {
    let mut command = home.command(&[&["schedule"], args].concat());
    command.current_dir(home.path("."));
    command
}

/// Schedule whose previous and next due times are months away, whenever the test runs.
pub(super) fn far() -> String {
    let month = TimeZone::UTC.to_datetime(jiff::Timestamp::now()).month();
    format!("schedule = '0 0 1 {} *'", (month + 5) % 12 + 1)
}

pub(super) fn run(home: &Home, args: &[&str]) -> Ran {
    Ran::from(command(home, args).output().expect("the program starts"))
}

pub(super) fn list(home: &Home) -> Vec<Value> {
    let listed = run(home, &["--list", "--output", "json"]).ends(0, "");
    serde_json::from_str(&listed.out).expect("JSON")
}

pub(super) fn home() -> Home {
    let home = Home::new();
    std::fs::create_dir(home.path("jobs")).expect("a folder");
    home.run(&["account", "reset", "--empty"]).ends(0, "");
    home
}

/// Names of the profiles in the local account.
pub(super) fn profiles(home: &Home) -> Vec<String> {
    let code = "for profile in iam.profiles.each() do print(profile.name) end";
    let ran = home.run(&["-e", code]).ends(0, "");
    ran.out.lines().map(str::to_owned).collect()
}

#[test]
fn jobs_run_and_what_became_of_them_is_kept() {
    let home = home();
    home.write("jobs/make.lua", "runbook { every = '1s' } local n = 'made-' .. #iam.profiles.list() iam.profiles.create(n) print('made', n)");
    home.write(
        "jobs/fails.lua",
        "runbook { every = '1s' } log.warn('soon', { n = 1 }) error('no luck')",
    );
    home.write("jobs/module.lua", "return { no = 'job' }");
    let mut daemon = Daemon::start(&home, &["jobs", "--log-format", "json"]);
    daemon.says("made\\tmade-2", 1);
    daemon.says("no luck", 3);
    // Each has an execution that has ended by itself.
    let has_ended = |job: &Value, outcome: &str| job["last"]["outcome"] == outcome;
    let jobs = until_some(
        || {
            let jobs = list(&home);
            (has_ended(&jobs[0], "failed") && has_ended(&jobs[1], "done")).then_some(jobs)
        },
        || daemon.said(),
    );
    daemon.signal("-TERM");
    daemon.ends(0);
    let lines: Vec<Value> = daemon
        .said()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
        .collect();
    let of = |job: &str, text: &str| {
        let found = lines.iter().find(|line| line["job"] == job && line["message"] == text);
        found.unwrap_or_else(|| panic!("{text:?} of {job} is not in {lines:#?}")).clone()
    };
    let made = of("make", "made\tmade-0");
    assert_eq!((made["stream"].as_str(), made["level"].as_str()), (Some("out"), Some("info")));
    assert_eq!(made["account"], "the local account 123456789012");
    let warned = of("fails", "soon");
    assert_eq!((warned["level"].as_str(), warned["n"].as_i64()), (Some("warn"), Some(1)));
    assert!(lines.iter().all(|line| line["job"] != "module"), "{lines:#?}");
    let done = lines.iter().find(|line| line["job"] == "make" && line["outcome"] == "done");
    let run = done.expect("one is done")["run"].as_str().expect("a run").to_owned();
    // The journal has the same id.
    let shown = home.run(&["runs", "show", &run, "--output", "json"]).ends(0, "");
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!(
        (shown["command"].as_str(), shown["counts"]["done"].as_u64()),
        (Some("schedule"), Some(1))
    );
    assert_eq!(jobs.len(), 2, "{jobs:?}");
    assert_eq!((jobs[0]["job"].as_str(), jobs[1]["job"].as_str()), (Some("fails"), Some("make")));
    assert_eq!(jobs[0]["last"]["outcome"], "failed");
    assert!(jobs[0]["last"]["error"].as_str().expect("why").contains("no luck"), "{jobs:?}");
    assert_eq!(
        (jobs[1]["last"]["changes"].as_u64(), jobs[1]["schedule"].as_str()),
        (Some(1), Some("every 1s"))
    );
    let table = run_list(&home);
    assert!(table.lines().next().is_some_and(|heads| heads.starts_with("JOB ")), "{table}");
    assert_eq!(table.lines().count(), 3, "{table}");
}

fn run_list(home: &Home) -> String {
    run(home, &["--list"]).ends(0, "").out
}

#[test]
fn runbooks_are_taken_over_while_it_runs_and_a_broken_one_does_not_hold_up_the_others() {
    let home = home();
    home.write("jobs/stays.lua", "runbook { every = '1s' } print('I stay')");
    home.write("jobs/goes.lua", "runbook { every = '1h' }");
    home.write("jobs/breaks.lua", "runbook { every = '1h' }");
    let mut daemon = Daemon::start(&home, &["jobs"]);
    daemon.says("schedules 3 jobs", 1);
    home.write("jobs/comes.lua", "runbook { every = '1s' } print('I came')");
    daemon.says("I came", 1);
    home.write("jobs/breaks.lua", "runbook { every = '0s' }");
    daemon.says("[breaks] is broken: ", 1);
    assert!(daemon.said().contains("at least a second"), "{}", daemon.said());
    home.write("jobs/breaks.lua", "runbook { every = '1s' } print('whole')");
    daemon.says("[breaks] is whole again: every 1s", 1);
    daemon.says("whole stream=out", 1);
    std::fs::remove_file(home.path("jobs/goes.lua")).expect("it is there");
    daemon.says("[goes] is gone", 1);
    // As editors save: a new file under the old name.
    home.write("jobs/new", "runbook { every = '1s' } print('I changed')");
    std::fs::rename(home.path("jobs/new"), home.path("jobs/stays.lua")).expect("it is there");
    daemon.says("I changed", 1);
    let stayed = daemon.said().matches("I stay stream=out").count();
    daemon.says("I changed", 3);
    assert_eq!(daemon.said().matches("I stay stream=out").count(), stayed, "the old text is gone");
    daemon.signal("-INT");
    daemon.ends(0);
}

#[test]
fn what_cannot_be_read_as_a_file_holds_nobody_up() {
    let home = home();
    home.write("jobs/works.lua", "runbook { every = '1s' } print('I work')");
    home.write("jobs/spins.lua", "while true do end runbook { every = '1s' }");
    let pipe = home.path("jobs/pipe.lua");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let mut daemon = Daemon::start(&home, &["jobs"]);
    daemon.says("[spins] is broken: it does not come to its manifest", 1);
    daemon.says("I work stream=out", 2);
    daemon.signal("-TERM");
    daemon.ends(0);
    assert!(!daemon.said().contains("pipe"), "{}", daemon.said());
    let wanted = "pipe is broken: it is no file, but a pipe or a device";
    run(&home, &["--dry-run", "jobs/pipe.lua"]).ends(1, wanted);
}

#[test]
fn a_runbook_that_hangs_before_its_manifest_delays_no_other() {
    let home = home();
    home.write("jobs/a.lua", "while true do end runbook { every = '1s' }");
    home.write("jobs/b.lua", "while true do end runbook { every = '1s' }");
    home.write("jobs/works.lua", "runbook { every = '1s' } print('I work')");
    let mut daemon = Daemon::start(&home, &["jobs"]);
    let said = |text: &str| daemon.said().find(text);
    daemon.says("I work stream=out", 1);
    daemon.says("[a] is broken: it does not come to its manifest", 1);
    daemon.says("[b] is broken: it does not come to its manifest", 1);
    let (works, hangs) = (said("I work stream=out"), said("does not come to its manifest"));
    assert!(works < hangs, "{}", daemon.said());
    // A later file does not wait for one that hangs either.
    home.write("jobs/b.lua", "while true do end runbook { every = '2s' }");
    home.write("jobs/later.lua", "runbook { every = '1s' } print('I am later')");
    daemon.says("I am later stream=out", 1);
    assert_eq!(daemon.said().matches("[b] is broken").count(), 1, "{}", daemon.said());
    daemon.signal("-TERM");
    daemon.ends(0);
}

#[test]
fn without_a_job_that_could_run_there_is_nothing_to_schedule() {
    let home = home();
    run(&home, &["jobs"]).ends(2, "there is no job in jobs");
    home.write("jobs/other.lua", "return { no = 'job' }");
    run(&home, &["jobs"]).ends(2, "a job is a runbook with `schedule` or `every`");
    home.write(
        "jobs/wants.lua",
        "runbook { every = '1h', params = { owner = { required = true } } }",
    );
    for paths in [&["jobs"][..], &["jobs/wants.lua", "jobs/other.lua"]] {
        let ran = run(&home, paths).ends(2, "wants: it cannot run without --owner");
        assert!(ran.err.contains("is broken"), "{ran:?}");
    }
}

#[test]
fn what_a_job_lacks_is_said_before_it_is_due() {
    let home = home();
    home.write(
        "jobs/wants.lua",
        "runbook { every = '1h', params = { owner = { required = true } } }",
    );
    home.write("jobs/reads.lua", "runbook { every = '1h', permissions = { read = { '/etc' } } }");
    home.write(
        "jobs/tells.lua",
        "runbook { every = '1h', on_failure = { command = { 'mail', 'ops' } } }",
    );
    home.write("jobs/other.lua", "runbook { description = 'no job' }");
    home.write("jobs/works.lua", "runbook { every = '1h' }");
    let daemon = Daemon::start(&home, &["jobs"]);
    daemon.says("[wants] is broken: it cannot run without --owner", 1);
    daemon.says("[reads] is broken: it wants more than it was granted: start iamlua schedule with --allow-read=/etc", 1);
    daemon.says("[tells] is broken: on_failure.command runs mail", 1);
    daemon.says("--allow-run=mail", 1);
    assert!(!daemon.said().contains("[other]"), "{}", daemon.said());
    drop(daemon);
    let dry = run(&home, &["--dry-run", "jobs"]).ends(1, "wants is broken");
    assert!(!dry.out.contains("wants"), "{dry:?}");
    run(&home, &["jobs/other.lua", "--dry-run"]).ends(1, "neither schedule nor every");
    run(&home, &["jbos"]).ends(2, "did you mean jobs?");
    run(&home, &[]).ends(2, "name runbooks or folders");
}

#[test]
fn a_dry_run_says_what_would_run_when_and_runs_nothing() {
    let home = home();
    home.write(
        "jobs/nightly.lua",
        // A time zone without daylight saving time, so that each day has one such time.
        "runbook { schedule = '30 2 * * *', timezone = 'Asia/Kolkata' }",
    );
    home.write("jobs/often.lua", "runbook { every = '6h' }");
    home.write("jobs/spread.lua", "runbook { every = '1d', jitter = '30m' }");
    let ran = run(&home, &["--dry-run", "jobs", "--until", "2d", "--output", "json"]).ends(0, "");
    let coming: Vec<Value> = serde_json::from_str(&ran.out).expect("JSON");
    let count = |job: &str| coming.iter().filter(|coming| coming["job"] == job).count();
    assert_eq!((count("nightly"), count("often")), (2, 8), "{coming:?}");
    assert!((1..=2).contains(&count("spread")), "{coming:?}");
    for spread in coming.iter().filter(|coming| coming["job"] == "spread") {
        assert!(spread["due"].as_str().expect("a moment").ends_with("T00:00:00Z"), "{spread}");
        assert!(spread["when"].as_str().expect("a moment").contains("T00:"), "{spread}");
    }
    let again = run(&home, &["--dry-run", "jobs", "--until", "2d", "--output", "csv"]).ends(0, "");
    assert_eq!(again.out.lines().next(), Some("WHEN,JOB,DUE,WHY"));
    assert!(again.out.contains("02:30:00 IST"), "in its own zone: {}", again.out);
    assert!(!home.path("state/schedule.db").exists(), "nothing is written down");
}

#[test]
fn a_job_can_be_run_now_but_not_twice_at_once() {
    let home = home();
    home.write("jobs/slow.lua", "runbook { every = '1h' } print('up') io.stdout:flush() if iam.profiles.find('quick') == nil then time.sleep('1h') end");
    home.write(
        "jobs/quick.lua",
        "runbook { schedule = '@yearly' } iam.profiles.create('quick') print('hello')",
    );
    run(&home, &["run", "quikc", "jobs"]).ends(2, "did you mean quick?");
    let ran = run(&home, &["run", "quick", "jobs"]).ends(0, "quick: done in");
    assert_eq!(ran.out, "hello\n");
    assert_eq!(profiles(&home), ["quick"]);
    run(&home, &["run", "quick", "jobs"]).ends(1, "EntityAlreadyExists");
    home.run(&["-e", "iam.profiles.delete('quick')"]).ends(0, "");
    let mut child = command(&home, &["run", "slow", "jobs"]).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("it speaks");
    run(&home, &["run", "slow", "jobs"]).ends(4, "slow is running elsewhere (run ");
    let listed = run(&home, &["--list", "jobs", "--output", "json"]).ends(0, "");
    let jobs: Vec<Value> = serde_json::from_str(&listed.out).expect("JSON");
    assert!(jobs[1]["running"]["run"].is_string() && jobs[0]["running"].is_null(), "{jobs:?}");
    child.kill().expect("it can be killed");
    child.wait().expect("it ended");
    let listed = run(&home, &["--list", "jobs", "--output", "json"]).ends(0, "");
    let jobs: Vec<Value> = serde_json::from_str(&listed.out).expect("JSON");
    assert!(jobs[1]["running"].is_null(), "{jobs:?}");
    home.run(&["-e", "iam.profiles.create('quick')"]).ends(0, "");
    run(&home, &["run", "slow", "jobs"]).ends(0, "slow: done");
}

#[test]
fn a_job_that_fails_when_it_is_run_now_is_tried_again_and_told() {
    let home = home();
    let told = "on_failure = { command = { 'sh', '-c', 'cat >> told; echo >> told' } }";
    home.write(
        "jobs/fails.lua",
        format!(
            "runbook {{ every = '1h', retries = 2, retry_delay = 0.1, {told} }} error('no luck')"
        ),
    );
    home.write(
        "jobs/third.lua",
        format!(
            "runbook {{ every = '1h', retries = 2, retry_delay = 0.1, {told} }}
             local n = #iam.profiles.list() + 1
             iam.profiles.create('try-' .. n) if n < 3 then error('try ' .. n) end"
        ),
    );
    let failures = || -> Vec<Value> {
        let text = std::fs::read_to_string(home.path("told")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let ran = run(&home, &["run", "third", "jobs", "--allow-run=sh"]).ends(0, "third: done");
    assert_eq!(ran.err.matches("third: it is tried again in 100ms").count(), 1, "{ran:?}");
    assert_eq!(profiles(&home).len(), 3);
    assert!(failures().is_empty());
    let ran = run(&home, &["run", "fails", "jobs", "--allow-run=sh"]).ends(1, "of the failure");
    assert_eq!(ran.err.matches("fails: failed in").count(), 3, "{ran:?}");
    let once = ["run", "fails", "jobs", "--allow-run=sh", "--no-retry"];
    let ran = run(&home, &once).ends(1, "of the failure");
    assert_eq!(ran.err.matches("fails: failed in").count(), 1, "{ran:?}");
    let failures = failures();
    let attempts: Vec<_> = failures.iter().map(|failure| failure["attempt"].as_u64()).collect();
    assert_eq!(attempts, [Some(3), Some(1)]);
    assert!(failures[0]["error"].as_str().is_some_and(|error| error.contains("no luck")));
}

#[test]
fn failures_are_tried_again_and_timeouts_too_but_not_refusals() {
    let home = home();
    let job = |name: &str, manifest: &str, code: &str| {
        let text = format!("runbook {{ {}, retry_delay = '1s', {manifest} }} {code}", far());
        home.write(&format!("jobs/{name}.lua"), text);
    };
    let third = "local n = #iam.profiles.list() + 1
         iam.profiles.create('try-' .. n) if n < 3 then error('try ' .. n) end";
    job("third", "retries = 5", third);
    job("slow", "retries = 1, timeout = '1s'", "time.sleep('1h')");
    job("refused", "retries = 5, allow = { 'profiles.list' }", "iam.roles.list()");
    // They are due at once, because their last due times are long ago and had no execution.
    seen_long_ago(&home, &["third", "slow", "refused"]);
    let mut daemon = Daemon::start(&home, &["jobs"]);
    daemon.says("[third ", 1);
    until(|| daemon.said().contains("attempt=3"), || daemon.said());
    daemon.says("outcome=done", 1);
    daemon.says("outcome=timeout", 2);
    daemon.says("outcome=refused", 1);
    daemon.signal("-TERM");
    daemon.ends(0);
    let said = daemon.said();
    assert!(said.contains("try 1; it is tried again at "), "{said}");
    assert_eq!(said.matches("outcome=refused").count(), 1, "{said}");
    let jobs = list(&home);
    assert_eq!(
        (jobs[2]["last"]["outcome"].as_str(), jobs[2]["last"]["attempt"].as_u64()),
        (Some("done"), Some(3))
    );
    assert_eq!(
        (jobs[1]["last"]["outcome"].as_str(), jobs[1]["last"]["attempt"].as_u64()),
        (Some("timeout"), Some(2))
    );
    assert_eq!(
        (jobs[0]["last"]["outcome"].as_str(), jobs[0]["last"]["exit_code"].as_u64()),
        (Some("refused"), Some(4))
    );
}

/// Makes jobs known, with a last due time in the year before and a month to spare.
pub(super) fn seen_long_ago(home: &Home, jobs: &[&str]) {
    let mut daemon = Daemon::start(home, &["jobs"]);
    daemon.says("schedules", 1);
    until(|| list(home).len() >= jobs.len(), || daemon.said());
    daemon.kill();
    let store = rusqlite::Connection::open(home.path("state/schedule.db")).expect("the state");
    let changed = store.execute(
        "UPDATE job SET handled = handled - 400 * 86400000, free = free - 400 * 86400000",
        [],
    );
    assert!(changed.expect("the state") >= jobs.len());
}

#[test]
fn a_state_that_cannot_be_used_is_said_and_nothing_runs_without_it() {
    let home = home();
    home.write("jobs/one.lua", "runbook { every = '1s' } iam.profiles.create('one')");
    home.write("state/schedule.db", "this is no database");
    run(&home, &["jobs"]).ends(1, "is damaged");
    run(&home, &["run", "one", "jobs"]).ends(1, "is damaged");
    std::fs::remove_file(home.path("state/schedule.db")).expect("it is there");
    let store = rusqlite::Connection::open(home.path("state/schedule.db")).expect("a file");
    store.execute_batch("PRAGMA application_id = 7; CREATE TABLE t (x)").expect("a table");
    run(&home, &["jobs"]).ends(1, "a database of another program");
    store
        .execute_batch("PRAGMA application_id = 0x69614c73; PRAGMA user_version = 99")
        .expect("it");
    run(&home, &["--list"]).ends(1, "made by a newer iamlua");
    assert!(profiles(&home).is_empty());
}

#[test]
fn on_aws_a_job_plans_and_says_that_nothing_was_changed() {
    let home = home();
    home.write("jobs/tag.lua", "runbook { schedule = '@yearly' } iam.profiles.create('planned')");
    let mut serve = home.command(&["account", "serve", "--port", "0"]);
    let mut serve = serve.stderr(Stdio::null()).spawn().expect("the endpoint starts");
    let mut url = String::new();
    BufReader::new(serve.stdout.take().expect("a pipe")).read_line(&mut url).expect("a URL");
    let with = |args: &[&str]| {
        let mut command = command(&home, &[args, &["--endpoint-url", url.trim()]].concat());
        command.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", "any");
        Ran::from(command.output().expect("the program starts"))
    };
    with(&["run", "tag", "jobs"]).ends(0, "Plan only. Add --apply to make these changes.");
    assert!(profiles(&home).is_empty());
    with(&["run", "tag", "jobs", "--apply"]).ends(0, "1 change");
    assert_eq!(profiles(&home), ["planned"]);
    let _ = serve.kill();
    let _ = serve.wait();
}
