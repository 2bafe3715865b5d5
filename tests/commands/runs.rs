//! `iamlua runs`: description of a run, and removal of old ones.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::{Desk, WORK};

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

/// Leaves the changes of the latest run in doubt, as a lost response does.
fn doubt(desk: &Desk) {
    let journal = rusqlite::Connection::open(desk.path("state/journal.db")).expect("the journal");
    let sql = "UPDATE change SET outcome = 'in doubt' WHERE run = (SELECT max(id) FROM run)";
    assert!(journal.execute(sql, []).expect("it is written") > 0);
}

#[test]
fn failed_changes_are_counted_and_shown_as_what_was_tried() {
    let desk = Desk::new();
    let code = "iam.profiles.create('new') pcall(iam.profiles.create, 'alpha')
        pcall(iam.profiles.tag, 'nobody', { A = '1' }) iam.profiles.delete('nobody')";
    let ran = desk.run(&["-e", code]).ends(1, "NoSuchEntity");
    let id = desk.last_id();
    has(&ran.err, &[&format!("run {id}: 1 change, 3 failed. Preview the undo with: iamlua undo")]);
    let shown = desk.run(&["runs", "show", "last"]).ends(0, "").out;
    has(
        &shown,
        &[
            &format!("run {id}: partial\n"),
            "done: 1 change\n  + create profile new: path /",
            "failed: 3 changes\n  + create profile alpha\n      EntityAlreadyExists",
            "\n  ~ tag profile nobody\n      NoSuchEntity",
            "\n  - delete profile nobody\n      NoSuchEntity",
        ],
    );
    desk.run(&["-e", "iam.profiles.delete('nobody')"])
        .ends(1, "no change made, 1 failed. Details:");
    assert_eq!(desk.last()["status"], "failed");
    desk.does("iam.profiles.tag('beta', { A = '1' })");
    doubt(&desk);
    let counts = desk.last()["counts"].clone();
    assert_eq!((&counts["failed"], &counts["in_doubt"]), (&json!(0), &json!(1)), "{counts}");
    let listed = desk.run(&["runs"]).ends(0, "").out;
    has(&listed, &["CHANGES  FAILED  DOUBT  STATUS"]);
}

#[test]
fn what_was_left_out_is_listed_with_its_reason() {
    let desk = Desk::new();
    desk.does(WORK);
    let run = desk.last_id();
    desk.does("iam.profiles.tag('alpha', { Owner = 'third' })");
    let reason = "Owner was ops after the run and is now third";
    let json = desk.run(&["undo", &run, "--output", "json"]);
    let plan: Value = serde_json::from_str(&json.out).expect("a plan");
    assert_eq!(plan["left_out"][0]["name"], "alpha", "{plan}");
    desk.run(&["undo", &run, "-o", "undo.json"]).ends(4, reason);
    let shown = desk.run(&["show", "undo.json"]).ends(0, "").out;
    has(&shown, &["left out: profile alpha: tag Owner was ops after the run"]);
    let markdown = desk.run(&["show", "undo.json", "--markdown"]).ends(0, "").out;
    has(&markdown, &["**Left out:**", "profile alpha"]);
    desk.run(&["undo", &run, "--apply"]).ends(4, reason);
    let undo = desk.last();
    assert_eq!(undo["status"], "partial");
    assert_eq!(undo["left_out"][0]["subject"], "profile", "{undo}");
    let shown = desk.run(&["runs", "show", "last"]).ends(0, "").out;
    has(&shown, &["left out: 1\n  profile alpha: tag Owner was ops", "what       undo 2"]);
    has(&desk.run(&["runs", "show", &run]).ends(0, "").out, &["done, partly undone"]);

    desk.plans("iam.profiles.tag('delta', { A = '1' }) iam.profiles.tag('gamma', { A = '1' })");
    desk.does("iam.profiles.tag('delta', { B = '1' })");
    desk.run(&["apply", "plan.json", "--skip-drifted"]).ends(4, "1 done, 1 left out");
    let run = desk.last();
    assert_eq!(
        (&run["status"], &run["left_out"][0]["action"]),
        (&json!("partial"), &json!("TagInstanceProfile"))
    );
    let shown = desk.run(&["runs", "show", "last"]).ends(0, "").out;
    has(&shown, &["  TagInstanceProfile profile delta: tag B was none when planned and is now 1"]);
}

#[test]
fn an_undo_can_be_restricted_to_a_profile_or_a_role_of_one_name() {
    for (only, profile, role) in
        [("both", false, false), ("profile/both", false, true), ("role/both", true, false)]
    {
        let desk = Desk::new();
        desk.does(
            "iam.profiles.create('both')
            iam.roles.create { name = 'both', assume_role_policy = policy.trust('ec2.amazonaws.com') }",
        );
        desk.run(&["undo", "last", "--only", only, "--apply"]).ends(0, "");
        let account = desk.account();
        let roles = account["roles"].as_array().expect("roles");
        assert_eq!(desk.profile("both") != Value::Null, profile, "{only}");
        assert_eq!(roles.iter().any(|role| role["name"] == "both"), role, "{only}");
    }
    let desk = Desk::new();
    desk.does("iam.profiles.create('own')");
    for only in ["role/own", "policy/own", "profile/", "other"] {
        desk.run(&["undo", "last", "--only", only]).ends(2, "changed nothing named");
    }
}

#[test]
fn old_runs_can_be_removed_and_exported_before() {
    let desk = Desk::new();
    desk.run(&["runs", "export"]).ends(0, "");
    desk.run(&["runs", "prune", "--older-than", "1s"]).ends(0, "no run is that old");
    desk.does("iam.profiles.tag('alpha', { Secret = 'tea' }) iam.profiles.create('one')");
    desk.does("iam.profiles.create('two')");
    let runs = desk.runs();
    desk.run(&["runs", "prune", "--older-than", "400d"]).ends(0, "no run is that old");

    let all = desk.run(&["runs", "export"]).ends(0, "").out;
    let lines: Vec<Value> =
        all.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let types: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap_or("")).collect();
    assert_eq!(types, ["run", "change", "change", "run", "change"]);
    assert_eq!(lines[1]["run"], runs[1]["id"]);
    assert_eq!(lines[1]["after"]["tags"]["Secret"], "tea");
    let id = runs[0]["id"].as_str().expect("an id");
    assert_eq!(desk.run(&["runs", "export", id]).ends(0, "").out.lines().count(), 2);
    desk.run(&["runs", "export", "20200101-000000-000aa"]).ends(2, "there is no run");
    desk.run(&["runs", "export", "--older-than", "0s", "-o", "runs.jsonl"])
        .ends(0, "2 runs written to runs.jsonl");
    assert_eq!(desk.read("runs.jsonl"), all);
    let mode = desk.path("runs.jsonl").metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let refused = desk.run(&["runs", "prune", "--older-than", "0s"]);
    refused.ends(4, "removes 2 runs with 3 changes").ends(4, "no terminal to ask at");
    assert_eq!(desk.runs().len(), 2);
    desk.run(&["runs", "prune", "--older-than", "0s", "--yes"]).ends(0, "removed 2 runs");
    assert!(desk.runs().is_empty());
    desk.run(&["runs", "show", id]).ends(2, "there is no run");
    desk.run(&["undo", "last"]).ends(0, "no run left to undo");
    desk.does("iam.profiles.create('three')");
    desk.run(&["undo", "last", "--apply"]).ends(0, "1 done");
}

#[test]
fn the_last_run_is_the_one_that_began_last_whatever_the_clock_says() {
    let desk = Desk::new();
    desk.does("iam.profiles.create('one')");
    let journal = rusqlite::Connection::open(desk.path("state/journal.db")).expect("the journal");
    // As if the clock had been a century ahead.
    for (table, column) in [("run", "id"), ("run_order", "run"), ("change", "run"), ("site", "run")]
    {
        let sql = format!("UPDATE {table} SET {column} = '2126' || substr({column}, 5)");
        journal.execute(&sql, []).expect("it is written");
    }
    drop(journal);
    desk.does("iam.profiles.create('two')");
    let undo = desk.run(&["undo", "last", "--apply"]).ends(0, "1 done");
    assert!(undo.out.contains("delete profile two"), "{undo:?}");
    assert_eq!(desk.last()["command"], "undo");
    desk.run(&["undo", "last", "--apply"]).ends(0, "1 done");
    assert_eq!(desk.profile("one"), Value::Null);
}

#[test]
fn what_is_in_doubt_is_not_removed() {
    let desk = Desk::new();
    desk.does("iam.profiles.tag('alpha', { A = '1' })");
    doubt(&desk);
    let run = desk.last_id();
    desk.run(&["runs", "prune", "--older-than", "0s", "--yes"])
        .ends(0, &format!("run {run} stays: 1 change of it in doubt"));
    assert_eq!(desk.last_id(), run);
    desk.run(&["runs", "recover", &run, "--settle-after", "0s"]).ends(0, "");
    desk.run(&["runs", "prune", "--older-than", "0s", "--yes"]).ends(0, "removed 1 run");
}

#[test]
fn a_run_that_turns_out_to_have_changed_nothing_is_passed_over_by_its_preview_too() {
    let desk = Desk::new();
    desk.does("iam.profiles.create('first')");
    let first = desk.last_id();
    desk.does("iam.profiles.tag('alpha', { A = '1' })");
    doubt(&desk);
    // As if the changes had not been made.
    let journal = rusqlite::Connection::open(desk.path("state/journal.db")).expect("the journal");
    let sql = "UPDATE change SET ended = NULL WHERE run = (SELECT max(id) FROM run)";
    journal.execute(sql, []).expect("it is written");
    drop(journal);
    let reset = "iam.profiles.untag('alpha', { 'A' })";
    desk.does(reset);
    let journal = rusqlite::Connection::open(desk.path("state/journal.db")).expect("the journal");
    for table in ["change", "site", "run_order"] {
        let sql = format!("DELETE FROM {table} WHERE run = (SELECT max(id) FROM run)");
        journal.execute(&sql, []).expect("it is written");
    }
    journal.execute("DELETE FROM run WHERE id = (SELECT max(id) FROM run)", []).expect("a run");
    drop(journal);
    for apply in [&[][..], &["--apply"]] {
        let undo = [&["undo", "last", "--settle-after", "0s"][..], apply].concat();
        desk.run(&undo).ends(0, &format!("undo of run {first}: run (command line)"));
    }
    assert_eq!(desk.profile("first"), Value::Null);
}

#[test]
fn a_journal_of_an_earlier_version_is_read_and_added_to() {
    let desk = Desk::new();
    desk.does(WORK);
    let run = desk.last_id();
    let journal = rusqlite::Connection::open(desk.path("state/journal.db")).expect("the journal");
    journal
        .execute_batch("DROP TABLE left_out; DROP TABLE run_order; DROP INDEX change_name")
        .expect("an older one");
    drop(journal);
    // Also without permission to write.
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    let file = desk.path("state/journal.db");
    std::fs::set_permissions(&file, mode(0o400)).expect("read-only");
    assert_eq!(desk.last()["left_out"], json!([]));
    std::fs::set_permissions(&file, mode(0o600)).expect("writable");
    assert_eq!(desk.last()["left_out"], json!([]));
    desk.run(&["runs", "export"]).ends(0, "");
    desk.does("iam.profiles.tag('alpha', { Owner = 'third' })");
    desk.run(&["undo", &run, "--apply"]).ends(4, "1 left out");
    assert_eq!(desk.last()["left_out"][0]["name"], "alpha");
}

#[test]
fn a_plan_beyond_the_limit_is_whole_and_says_that_apply_would_refuse_it() {
    let desk = Desk::new();
    desk.write("work.lua", WORK);
    let plan = ["plan", "work.lua", "-o", "plan.json", "--max-changes", "2"];
    let planned = desk.run(&plan).ends(4, "apply would refuse this plan: it makes 6 changes");
    has(&planned.out, &["Plan: 1 to create, 3 to change, 1 to delete (6 calls to make)"]);
    let shown = desk.run(&["show", "plan.json"]).ends(0, "").out;
    assert!(!shown.contains("incomplete"), "{shown}");
    assert!(shown.contains("Beyond its limit: it makes 6 changes, and the run may make 2 changes"));
    desk.run(&["apply", "plan.json"]).ends(4, "goes beyond the limit it was made under");
    desk.run(&["apply", "plan.json", "--max-changes", "2"]).ends(4, "nothing was done");
    desk.run(&["apply", "plan.json", "--max-changes", "6"]).ends(0, "6 done");
    let undo = desk.run(&["undo", "last", "--max-changes", "2"]);
    let undo = undo.ends(4, "it makes 5 changes, and the run may make 2 changes");
    has(&undo.out, &["(5 calls to make)"]);
    // A failed script is reported differently.
    desk.write("work.lua", "iam.profiles.create('one') iam.profiles.create('two') iam.profiles.create('three') error('it broke')");
    let broken = desk.run(&plan).ends(1, "it broke");
    has(&broken.out, &["The plan is incomplete", "Beyond its limit: it makes 3 changes"]);
    let again = desk.run(&["plan", "work.lua"]).ends(1, "it broke");
    assert_eq!(format!("{}{}", again.out, again.err).matches("it broke").count(), 1, "{again:?}");
}

#[test]
fn a_trust_policy_is_shown_where_it_is_set_and_replaced() {
    let desk = Desk::new();
    desk.write(
        "work.lua",
        "iam.roles.create { name = 'made', assume_role_policy = policy.trust('ec2.amazonaws.com') }
        iam.roles.set_assume_role_policy('web', policy.trust('ecs-tasks.amazonaws.com'))",
    );
    let planned = desk.run(&["plan", "work.lua"]).ends(0, "").out;
    has(
        &planned,
        &[
            "+ create role made: path /, id (known after apply)\n        trust policy {\n",
            "\"Service\": \"ec2.amazonaws.com\"\n",
            "~ set trust policy of role web: trust policy replaced\n",
            "        -         \"Service\": \"ec2.amazonaws.com\"\n",
            "        +         \"Service\": \"ecs-tasks.amazonaws.com\"\n",
        ],
    );
    // The order of keys makes no difference.
    let lines = planned.lines().map(str::trim_start);
    let differing = lines.filter(|line| line.starts_with("- ") || line.starts_with("+  "));
    assert_eq!(differing.count(), 2, "{planned}");
    desk.run(&["run", "work.lua", "--apply"]).ends(0, "2 changes");
    has(&desk.run(&["runs", "show", "last"]).out, &["+         \"Service\": \"ecs-tasks"]);
}
