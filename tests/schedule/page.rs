//! Status page of a running scheduler: its mode and account, failures, and the changes of a run.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::program::{Daemon, home, list, run};
use crate::patience::until;

/// Page at a path.
fn page(daemon: &Daemon, path: &str) -> String {
    daemon.says("the status page is up", 1);
    let said = daemon.said();
    let (_, rest) = said.split_once("http://").expect("its address");
    let (address, _) = rest.split_once('/').expect("its address");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_page_has_the_failing_jobs_the_mode_and_the_account_on_top_and_the_changes_of_a_run() {
    let home = home();
    home.write(
        "jobs/make.lua",
        "runbook { schedule = '@yearly' } for i = 1, 8 do iam.profiles.create('made-' .. i) end
         iam.profiles.tag('made-1', { Why = 'so' })
         pcall(iam.profiles.create, 'made-1')",
    );
    home.write("jobs/fails.lua", "runbook { schedule = '@yearly' } error('no luck <b>today</b>')");
    run(&home, &["run", "make", "jobs"]).ends(0, "make: done");
    run(&home, &["run", "fails", "jobs"]).ends(1, "no luck");
    let mut daemon = Daemon::start(&home, &["jobs", "--listen", "127.0.0.1:0"]);
    let mut top = String::new();
    until(
        || {
            top = page(&daemon, "/");
            top.contains("<dt>Account</dt><dd>the local account 123456789012")
                && top.contains("2 jobs, 1 failing, 0 running")
        },
        || daemon.said(),
    );
    for wanted in ["<strong>apply</strong>", "no luck &lt;b&gt;"] {
        assert!(top.contains(wanted), "{wanted}\n{top}");
    }
    let at = |text: &str| top.find(text).unwrap_or_else(|| panic!("{text}\n{top}"));
    assert!(at("<dt>Mode</dt>") < at("<h2>Failing jobs</h2>"));
    assert!(at("<h2>Failing jobs</h2>") < at("<h2>Jobs</h2>"));
    let jobs = list(&home);
    let made = jobs.iter().find(|job| job["job"] == "make").expect("a job");
    let id = made["last"]["run"].as_str().expect("a run");
    let shown = page(&daemon, &format!("/runs/{id}"));
    for wanted in [
        "<h3>Done: 9 changes</h3>",
        "<h3>Failed: 1 change</h3>",
        "Why (none) → so",
        "EntityAlreadyExists",
        "previews the undo",
    ] {
        assert!(shown.contains(wanted), "{wanted}\n{shown}");
    }
    // As `iamlua runs show` has them, without colours.
    let told = home.run(&["runs", "show", id]).ends(0, "");
    let lines: Vec<_> = told.out.lines().filter(|line| line.starts_with("  + ")).collect();
    assert!(!lines.is_empty(), "{told:?}");
    for line in lines {
        assert!(shown.contains(line.trim()), "{line}\n{shown}");
    }
    assert!(!shown.contains("\\x1b") && !shown.contains("<b>"), "{shown}");
    home.run(&["undo", id, "--apply"]).ends(0, "8 done");
    let shown = page(&daemon, &format!("/runs/{id}"));
    assert!(shown.contains("Undone by run") && !shown.contains("previews the undo"), "{shown}");
    daemon.signal("-TERM");
    daemon.ends(0);
}

#[test]
fn a_run_that_only_planned_says_where_its_plan_is() {
    let home = home();
    home.write("jobs/make.lua", "runbook { schedule = '@yearly' } iam.profiles.create('planned')");
    run(&home, &["run", "make", "jobs", "--plan"]).ends(0, "Plan only.");
    let daemon = Daemon::start(&home, &["jobs", "--plan", "--listen", "127.0.0.1:0"]);
    let mode = "<strong>plan</strong>: jobs plan their changes";
    until(|| page(&daemon, "/").contains(mode), || daemon.said());
    let jobs = list(&home);
    let id = jobs[0]["last"]["run"].as_str().expect("a run");
    let shown = page(&daemon, &format!("/runs/{id}"));
    assert!(shown.contains("The plan is at the end of the output."), "{shown}");
    assert!(shown.contains("+ create profile planned") && !shown.contains("\\x1b"), "{shown}");
}
