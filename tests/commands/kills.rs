//! Killed runs, and their recovery.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::Desk;
use crate::patience::{Running, until};

/// Starts a bulk job, and kills it once that many profiles have been reported.
fn kill_after(desk: &Desk, args: &[&str], lines: usize) {
    let mut child = desk.command(args).stderr(Stdio::null()).spawn().expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    for _ in 0..lines {
        out.read_line(&mut line).expect("it speaks");
    }
    child.kill().expect("it can be killed");
    child.wait().expect("it ended");
}

/// Asserts that journal and account agree on each profile of a run.
fn agree(desk: &Desk) {
    let account = desk.account();
    let there: BTreeSet<_> = account["profiles"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|profile| profile["name"].as_str().filter(|name| name.starts_with("bulk")))
        .map(|name| (name.to_owned(), is_tagged(&account, name)))
        .collect();
    let run = desk.last();
    let mut told = std::collections::BTreeMap::new();
    for change in run["changes"].as_array().expect("a list") {
        let name = change["name"].as_str().expect("a name").to_owned();
        match (change["outcome"].as_str(), change["action"].as_str()) {
            (Some("done"), Some("CreateInstanceProfile")) => {
                told.entry(name).or_insert(false);
            }
            (Some("done"), Some("TagInstanceProfile")) => {
                told.insert(name, true);
            }
            (Some("failed"), _) => {}
            other => panic!("{other:?} after recovery: {change}"),
        }
    }
    assert_eq!(there, told.into_iter().collect::<BTreeSet<_>>());
}

fn is_tagged(account: &Value, name: &str) -> bool {
    let profiles = account["profiles"].as_array().expect("a list");
    profiles.iter().any(|profile| profile["name"] == name && profile["tags"]["Bulk"] == "1")
}

#[test]
fn after_a_kill_at_any_moment_the_journal_tells_the_truth() {
    let code = "
        local tasks = {}
        for worker = 1, 4 do
            tasks[worker] = task.spawn(function()
                for i = 1, 1500 do
                    local name = ('bulk-%d-%d'):format(worker, i)
                    print(name) io.stdout:flush()
                    iam.profiles.create(name)
                    iam.profiles.tag(name, { Bulk = '1' })
                end
            end)
        end
        for worker = 1, 4 do tasks[worker]:wait() end
    ";
    let mut open = 0;
    for kill in 0..12 {
        let desk = Desk::new();
        desk.write("bulk.lua", code);
        let weather = format!("latency={}ms", 1 + kill % 4);
        kill_after(&desk, &["run", "bulk.lua", "--faults", &weather], 6 + kill * 4);
        let run = desk.last();
        assert_eq!(run["status"], "killed", "{run}");
        let in_doubt = run["counts"]["in_doubt"].as_u64().expect("a number");
        open += in_doubt;
        if kill % 2 == 0 {
            // An undo settles them too.
            desk.run(&["undo", "last", "--settle-after", "0s"]).ends(0, "");
        } else {
            let recover = ["runs", "recover", "last", "--settle-after", "0s"];
            let recovered = desk.run(&recover).ends(0, "");
            assert_eq!(recovered.out.lines().count() as u64, in_doubt, "{recovered:?}");
        }
        assert_eq!(desk.last()["counts"]["in_doubt"], 0);
        agree(&desk);
        desk.run(&["runs", "recover", "last"]).ends(0, "nothing of run");
        desk.run(&["undo", "last", "--apply"]).ends(0, "");
        assert_eq!(desk.account(), Desk::new().account());
    }
    assert!(open > 0, "at least one kill hit a change in flight");
}

#[test]
fn an_apply_that_was_killed_does_the_rest_when_started_again() {
    for kill in 1..4_u64 {
        let desk = Desk::new();
        desk.has_a_journal();
        desk.plans("for i = 1, 120 do iam.profiles.create { name = 'bulk-' .. i, tags = { Bulk = '1' } } end");
        let mut child = desk
            .command(&["apply", "plan.json", "--faults", "latency=20ms"])
            .spawn()
            .expect("it starts");
        // Waits for a number of changes in the journal, not for a fixed time.
        let is_made = |run: &Value| run["counts"]["done"].as_u64() >= Some(kill * 20);
        let are_made = || desk.runs().first().is_some_and(is_made);
        until(are_made, || "it makes no changes".into());
        child.kill().expect("it can be killed");
        child.wait().expect("it ended");
        desk.run(&["apply", "plan.json", "--settle-after", "0s"]).ends(0, "done before");
        let made: u64 = desk.runs().iter().filter_map(|run| run["counts"]["done"].as_u64()).sum();
        assert_eq!(made, 120, "each was made once");
        assert_eq!(desk.account()["profiles"].as_array().map(Vec::len), Some(124));
        desk.run(&["apply", "plan.json"]).ends(0, "120 done before");
    }
}

#[test]
fn an_undo_that_was_killed_does_the_rest_when_started_again() {
    for kill in 1..4_u64 {
        let desk = Desk::new();
        desk.has_a_journal();
        desk.does("for i = 1, 60 do iam.profiles.create { name = 'bulk-' .. i, tags = { Old = '1', Stay = '1' } } end");
        let before = desk.account();
        desk.does("for i = 1, 60 do iam.profiles.untag('bulk-' .. i, { 'Old' }) iam.profiles.ensure { name = 'bulk-' .. i, tags = { New = '1', Stay = '2' } } end");
        let run = desk.last_id();
        let mut child = desk
            .command(&["undo", &run, "--apply", "--faults", "latency=20ms"])
            .spawn()
            .expect("it starts");
        let are_made = || {
            let last = &desk.runs()[0];
            last["undoes"] == run && last["counts"]["done"].as_u64() >= Some(kill * 20)
        };
        until(are_made, || "it makes no changes".into());
        child.kill().expect("it can be killed");
        child.wait().expect("it ended");
        desk.run(&["undo", &run, "--apply", "--settle-after", "0s"]).ends(0, "done");
        assert_eq!(desk.account(), before);
        desk.run(&["undo", &run]).ends(0, "was undone before");
    }
}

#[test]
fn a_run_that_is_still_going_is_left_alone() {
    let desk = Desk::new();
    let code = "iam.profiles.create('early') print('up') io.stdout:flush() time.sleep('1h')";
    let mut child = desk.command(&["-e", code]).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("it speaks");
    assert_eq!(desk.runs()[0]["status"], "running");
    desk.run(&["undo", "last", "--apply"]).ends(4, "is still running");
    desk.run(&["runs", "recover", "last"]).ends(4, "is still running");
    child.kill().expect("it can be killed");
    child.wait().expect("it ended");
    assert_eq!(desk.runs()[0]["status"], "killed");
    // Its outcome may not have reached the disk.
    desk.run(&["runs", "recover", "last", "--settle-after", "0s"]).ends(0, "");
    desk.run(&["undo", "last", "--apply"]).ends(0, "1 done");
    assert_eq!(desk.profile("early"), Value::Null);
}

/// Kills a run while a change is in flight, so that its outcome is unknown, after `done` other
/// changes.
fn leaves_in_doubt(desk: &Desk, code: &str, done: u64) {
    desk.has_a_journal();
    let faults = "hold=iam:TagInstanceProfile";
    let mut child = Running::start(&mut desk.command(&["-e", code, "--faults", faults]));
    let gate = desk.gatekeeper();
    gate.passes(usize::try_from(done).expect("a few"));
    gate.holds(1);
    let is_there = |run: &Value| run["counts"]["done"] == done && run["counts"]["in_doubt"] == 1;
    let are_there = || desk.runs().first().is_some_and(is_there);
    until(are_there, || format!("{:?}", desk.runs().first()));
    child.kill().expect("it can be killed");
    child.wait().expect("it ended");
}

#[test]
fn what_nobody_can_tell_is_not_guessed() {
    let desk = Desk::new();
    leaves_in_doubt(&desk, "iam.profiles.tag('alpha', { Owner = 'ops' })", 0);
    let run = desk.last_id();
    desk.does("iam.profiles.tag('alpha', { Owner = 'third' })");
    let recover = ["runs", "recover", &run, "--settle-after", "0s"];
    let told = desk.run(&recover).ends(1, "1 change still in doubt");
    assert!(told.out.contains("tag Owner was ops after the change and is now third"), "{told:?}");
    assert_eq!(desk.runs()[1]["counts"]["in_doubt"], 1);
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "third");
}

#[test]
fn what_nobody_can_tell_does_not_bar_the_rest() {
    let desk = Desk::new();
    let code = "for _, name in ipairs { 'beta', 'alpha' } do iam.profiles.tag(name, { Owner = 'ops' }) end";
    leaves_in_doubt(&desk, code, 1);
    let run = desk.last_id();
    desk.does("iam.profiles.tag('alpha', { Owner = 'third' })");
    desk.run(&["runs", "recover", &run, "--settle-after", "0s"]).ends(1, "still in doubt");
    desk.run(&["undo", &run]).ends(4, "alpha");
    desk.run(&["undo", &run, "--only", "beta", "--apply"]).ends(0, "1 done");
    assert_eq!(desk.profile("beta")["tags"]["Owner"], "dev");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "third");
}
