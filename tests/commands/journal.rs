//! `iamlua runs`: records of runs, and failures to write them.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::json;

use super::{Desk, WORK, outcomes};
use crate::end_to_end::Ran;

#[test]
fn a_run_can_be_explained_by_someone_who_was_not_there() {
    let desk = Desk::new();
    desk.run(&["runs"]).ends(0, "no run has changed anything yet");
    desk.run(&["runs", "show", "last"]).ends(2, "there is no run");
    let script = r#"
        local p = runbook { description = "Tags.", params = { owner = { required = true }, count = { default = 3 } },
            allow = { "profiles.tag", "profiles.get" } }
        iam.profiles.tag("alpha", { Owner = p.owner })
        iam.profiles.get("beta")
        iam.profiles.tag("nobody", { Owner = p.owner })
    "#;
    desk.write("tag.lua", script);
    desk.run(&["run", "tag.lua", "--owner", "ops"]).ends(1, "NoSuchEntity");
    let run = desk.last();
    let sum = Command::new("sha256sum").arg(desk.0.path("tag.lua")).output().expect("sha256sum");
    let sum = String::from_utf8_lossy(&sum.stdout)[..64].to_owned();
    assert_eq!(run["command"], "run");
    assert!(run["script"].as_str().is_some_and(|path| path.ends_with("tag.lua")), "{run}");
    assert_eq!(run["script_sha256"], json!(sum));
    assert_eq!(run["parameters"], json!({ "owner": "ops", "count": 3 }));
    assert_eq!(run["status"], "partial");
    assert!(run["error"].as_str().is_some_and(|error| error.contains("NoSuchEntity")), "{run}");
    assert_eq!(run["sites"][0]["account"], "123456789012");
    assert_eq!(run["sites"][0]["caller"], "arn:aws:iam::123456789012:user/local-operator");
    assert!(run["operator"].as_str().is_some_and(|operator| operator.contains('@')), "{run}");
    assert!(run["program"].as_str().is_some_and(|program| program.starts_with("iamlua ")));
    assert_eq!(run["calls"]["TagInstanceProfile"], 2);
    assert_eq!(outcomes(&run), ["done", "failed"]);
    assert_eq!(run["changes"][0]["before"]["tags"]["Owner"], "dev");
    assert_eq!(run["changes"][0]["after"]["tags"]["Owner"], "ops");
    let shown = desk.run(&["runs", "show", "last"]).ends(0, "").out;
    for part in [
        "tag.lua",
        &sum,
        "owner=ops",
        "the local account 123456789012",
        "TagInstanceProfile 2",
        "Owner dev → ops",
        "NoSuchEntity",
    ] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    let listed = desk.run(&["runs"]).ends(0, "").out;
    assert!(listed.contains("run tag.lua") && listed.contains("partial"), "{listed}");
    let csv = desk.run(&["runs", "list", "--output", "csv"]).ends(0, "").out;
    assert!(csv.starts_with("RUN,STARTED,"), "{csv}");
    // Reads and plans are not recorded as runs.
    desk.run(&["-e", "iam.profiles.get('alpha')"]).ends(0, "");
    desk.run(&["--plan", "-e", WORK]).ends(0, "");
    assert_eq!(desk.runs().len(), 1);
}

#[test]
fn no_secret_is_in_the_journal() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    let script = r#"
        local p = runbook { description = "Uses a password.", allow = { "profiles.create", "profiles.delete" },
            params = { password = { type = "string", required = true, secret = true }, user = { default = "bob" } } }
        assert(p.password:find("^hunter"))
        iam.profiles.create("secretive")
        iam.profiles.delete("secretive")
    "#;
    desk.write("secret.lua", script);
    let run = ["run", "secret.lua", "--apply", "--endpoint-url", &endpoint.url];
    for given in [&["--password", "hunter2-secret"][..], &["--password=hunter2-secret"]] {
        let mut command = desk.command(&[&run[..], given].concat());
        command.env("AWS_SESSION_TOKEN", "the-session-token");
        Ran::from(command.output().expect("it starts")).ends(0, "2 changes");
    }
    desk.write("plain.lua", "iam.profiles.tag('alpha', { Seen = '1' })");
    let secrets = ["--api-token=hunter2-secret", "--password", "hunter2-secret"];
    desk.run(&[&["run", "plain.lua", "--"][..], &secrets].concat()).ends(0, "");
    let shown = desk.run(&["runs", "show", &desk.last_id(), "--output", "json"]).ends(0, "").out;
    let journal = desk.journal();
    assert!(journal.contains("secret.lua") && journal.contains("bob"), "it is the journal");
    for secret in ["hunter2", "the-secret-access-key", "the-session-token"] {
        assert!(!journal.contains(secret) && !shown.contains(secret), "{secret} is in the journal");
    }
    let plan = ["plan", "secret.lua", "--password", "hunter2-secret", "-o", "plan.json"];
    desk.run(&plan).ends(0, "");
    assert!(!desk.read("plan.json").contains("hunter2"), "nor is it in a plan");
}

#[test]
fn no_secret_is_in_a_recorded_error() {
    let desk = Desk::new();
    let script = r#"
        local p = runbook { description = "Uses a password.", allow = { "profiles.create" },
            params = { password = { type = "string", required = true, secret = true } } }
        iam.profiles.create("secretive")
        error("cannot log in with " .. p.password)
    "#;
    desk.write("secret.lua", script);
    desk.run(&["run", "secret.lua", "--password", "hunter2-secret"]).ends(1, "");
    assert!(!desk.journal().contains("hunter2"));
}

#[test]
fn nothing_is_changed_without_a_journal() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    desk.does("iam.profiles.tag('delta', { Mark = '1' })");
    desk.plans(WORK);
    let journal = desk.0.path("state/journal.db");
    let ours = std::fs::read(&journal).expect("a journal");
    let other_program = {
        let path = desk.0.path("other.db");
        let other = rusqlite::Connection::open(&path).expect("a database");
        other.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)").expect("SQL");
        drop(other);
        std::fs::read(path).expect("a database")
    };
    let before = desk.account();
    let text =
        "this is a text file that is long enough to be read as the header of a database".repeat(2);
    for (content, mode, why) in [
        (ours.clone(), 0o444, "is read-only"),
        (other_program, 0o600, "of another program"),
        (text.into_bytes(), 0o600, "journal.db"),
    ] {
        for beside in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(desk.0.path(&format!("state/journal.db{beside}")));
        }
        std::fs::write(&journal, &content).expect("a file");
        std::fs::set_permissions(&journal, PermissionsExt::from_mode(mode)).expect("it is ours");
        let create = "iam.profiles.create('unrecorded')";
        for refused in [
            desk.run(&["-e", create]),
            desk.run(&["--endpoint-url", &endpoint.url, "--apply", "-e", create]),
            desk.run(&["apply", "plan.json"]),
        ] {
            assert!(refused.err.contains("hint:"), "{refused:?}");
            refused.ends(1, why);
        }
        assert_eq!(desk.account(), before, "{why}");
        // Reads need no journal.
        assert_eq!(
            desk.run(&["-e", "print(iam.profiles.get('alpha').name)"]).ends(0, "").out,
            "alpha\n"
        );
        desk.run(&["plan", "work.lua"]).ends(0, "");
        std::fs::set_permissions(&journal, PermissionsExt::from_mode(0o600)).expect("it is ours");
    }
}

#[test]
fn a_read_only_journal_can_still_be_read() {
    let desk = Desk::new();
    desk.does(WORK);
    let journal = desk.0.path("state/journal.db");
    std::fs::set_permissions(&journal, PermissionsExt::from_mode(0o444)).expect("it is ours");
    assert_eq!(desk.runs().len(), 1);
    let before = desk.account();
    desk.run(&["undo", "last"]).ends(0, "Plan only.");
    desk.run(&["undo", "last", "--apply"]).ends(1, "is read-only");
    assert_eq!(desk.account(), before);
}

#[test]
fn without_a_place_for_a_journal_reading_works_and_writing_does_not() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    let homeless = |args: &[&str]| {
        let mut command = desk.command(&[&["--endpoint-url", &endpoint.url], args].concat());
        command.env_remove("HOME").env_remove("IAMLUA_HOME").env_remove("XDG_CONFIG_HOME");
        Ran::from(command.output().expect("it starts"))
    };
    let before = desk.account();
    let read = homeless(&["-e", "print(iam.profiles.get('alpha').name)"]).ends(0, "");
    assert_eq!(read.out, "alpha\n");
    homeless(&["-e", WORK]).ends(0, "Plan only.");
    homeless(&["--apply", "-e", WORK]).ends(1, "set IAMLUA_HOME");
    assert_eq!(desk.account(), before);
}

#[test]
fn two_processes_at_once_are_both_in_the_journal() {
    let desk = Desk::new();
    desk.has_a_journal();
    let code = |n: u32| {
        format!(
            "print('up') for i = 1, 25 do iam.profiles.create('p{n}-' .. i) iam.profiles.tag('p{n}-' .. i, {{ N = '{n}' }}) end"
        )
    };
    let children: Vec<_> =
        (0..3).map(|n| desk.command(&["-e", &code(n)]).spawn().expect("it starts")).collect();
    for child in children {
        Ran::from(child.wait_with_output().expect("it ends")).ends(0, "50 changes");
    }
    let mut runs = desk.runs();
    assert_eq!(runs.pop().expect("the first")["counts"]["failed"], 1);
    assert_eq!(runs.len(), 3);
    let ids: BTreeSet<_> = runs.iter().filter_map(|run| run["id"].as_str()).collect();
    assert_eq!(ids.len(), 3);
    for run in &runs {
        assert_eq!((&run["status"], &run["counts"]["done"]), (&json!("done"), &json!(50)), "{run}");
    }
    // Each run can be undone on its own.
    let first = runs[2]["id"].as_str().expect("an id");
    desk.run(&["undo", first, "--apply"]).ends(0, "25 done");
    assert_eq!(desk.account()["profiles"].as_array().map(Vec::len), Some(4 + 50));
}

#[test]
fn the_script_of_a_run_can_be_found_later() {
    let desk = Desk::new();
    desk.write("sub/tag.lua", "iam.profiles.tag('alpha', { Owner = 'ops' })");
    desk.run(&["run", "sub/tag.lua"]).ends(0, "");
    let script = desk.last()["script"].as_str().expect("a path").to_owned();
    assert!(std::path::Path::new(&script).is_absolute(), "{script}");
}

#[test]
fn without_a_place_for_a_journal_it_speaks_of_the_journal() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    let write = ["--endpoint-url", &endpoint.url, "--apply", "-e", WORK];
    let mut command = desk.command(&write);
    command.env_remove("HOME").env_remove("IAMLUA_HOME").env_remove("XDG_CONFIG_HOME");
    Ran::from(command.output().expect("it starts")).ends(1, "journal");
}

#[test]
fn a_journal_that_is_just_being_made_is_no_foreign_database() {
    for _ in 0..40 {
        let desk = Desk::new();
        let mut writer =
            desk.command(&["-e", "iam.profiles.create('a')"]).spawn().expect("it starts");
        while writer.try_wait().expect("a child").is_none() {
            desk.run(&["runs"]).ends(0, "");
        }
        Ran::from(writer.wait_with_output().expect("it ended")).ends(0, "1 change");
    }
}
