//! Single rounds, differences of plans, and changes on AWS.

use rustix::process::Signal;

use super::Watching;
use crate::commands::Desk;
use crate::end_to_end::Ran;

#[test]
fn one_round_ends_with_the_worst_exit_code() {
    let desk = Desk::new();
    desk.write("good.lua", "print('good', ...)");
    desk.write("bad.lua", "os.exit(7)");
    desk.write("broken.lua", "error('x')");
    let ran = desk
        .run(&["watch", "good.lua", "--once", "--", "--flag", "word"])
        .ends(0, "good.lua: done");
    assert_eq!(ran.out, "good\t--flag\tword\n");
    desk.run(&["watch", "good.lua", "bad.lua", "broken.lua", "--once"])
        .ends(7, "bad.lua: ended with exit code 7");
    desk.run(&["watch", "broken.lua", "--once"]).ends(1, "broken.lua:1: x");
    desk.write("jobs/a.lua", "runbook { description = 'x', allow = {} } iam.profiles.list()");
    desk.run(&["watch", "jobs", "--once"]).ends(4, "profiles.list");
}

/// Saves a file repeatedly until the watcher has ended, with time for a run between the saves.
#[track_caller]
fn saves_until_it_ends(watching: &mut Watching, mut save: impl FnMut(&Watching)) {
    let has_ended = || {
        save(watching);
        std::thread::sleep(std::time::Duration::from_secs(1));
        watching.child.try_wait().expect("it is a child").is_some()
    };
    crate::patience::until(has_ended, || "it does not end".into());
}

#[test]
fn postponed_the_first_change_starts_it() {
    let desk = Desk::new();
    desk.write("m.lua", "return 1");
    desk.write(
        "a.lua",
        "local m = require 'm' runbook { description = 'x', allow = {} } print('ran', m)",
    );
    let mut watching = Watching::start(desk, &["a.lua", "--postpone", "--once"]);
    // The start of watching the module cannot be observed; the content differs each time.
    let mut n = 1;
    saves_until_it_ends(&mut watching, |watching| {
        n += 1;
        watching.write("m.lua", &format!("return {n}"));
    });
    assert_eq!(watching.ends_with_status().code(), Some(0));
    assert_eq!(watching.reasons("a.lua"), ["m.lua changed"]);
    watching.wait("ran\t", |watching| watching.out().starts_with("ran\t"));
    assert_eq!(watching.out().lines().count(), 1, "{}", watching.out());
}

#[test]
fn postponed_a_file_that_is_no_lua_is_not_the_first_change() {
    let desk = Desk::new();
    desk.write("jobs/compiled.lua", "\x1bLua");
    let mut watching = Watching::start(desk, &["jobs", "--postpone", "--once"]);
    // The start of watching the folder cannot be observed.
    let mut n = 0;
    saves_until_it_ends(&mut watching, |watching| {
        n += 1;
        let text = format!("runbook {{ description = 'x' }} print('ran', {n})");
        watching.write("jobs/new.lua", &text);
    });
    assert_eq!(watching.ends_with_status().code(), Some(0), "{}", watching.err());
    watching.wait("ran\t", |watching| watching.out().starts_with("ran\t"));
}

const PLANS: &str = "local owners = require 'owners'
    for _, name in ipairs { 'alpha', 'beta', 'delta' } do
      if owners[name] then iam.profiles.tag(name, { Owner = owners[name] }) end
    end";

#[test]
fn on_aws_it_plans_and_says_what_is_different_in_the_plan() {
    let aws = Desk::new();
    let endpoint = aws.serve();
    let before = aws.account();
    let desk = Desk::new();
    desk.write("a.lua", PLANS);
    desk.write("owners.lua", "return { alpha = 'ops', beta = 'ops' }");
    let watching = Watching::new(desk, &["a.lua", "--endpoint-url", &endpoint.url]);
    watching.has_run(1);
    let first = watching.err();
    assert!(first.contains("Plan for AWS account 123456789012 at http://"), "{first}");
    assert!(first.contains("  ~ tag profile alpha: Owner dev → ops\n"), "{first}");
    assert!(first.contains("Plan only. Add --apply to make these changes."), "{first}");
    watching.write("owners.lua", "-- the same\nreturn { alpha = 'ops', beta = 'ops' }");
    watching.has_run(2);
    watching.says("the plan is as before (2 changes)");
    watching.write("owners.lua", "return { beta = 'web', delta = 'ops' }");
    watching.has_run(3);
    watching.says(
        "what is different in the plan:\n\
         \x20 - tag profile alpha: Owner dev → ops\n\
         \x20 + tag profile delta: Owner (none) → ops\n\
         \x20 ~ tag profile beta: Owner dev → web, before: Owner dev → ops\n\
         the plan has 2 changes now\n",
    );
    // An incomplete plan is not compared with the next one.
    watching.write("owners.lua", "error('x')");
    watching.has_run(4);
    watching.says("the plan is incomplete, so it is not compared with the last one");
    watching.write("owners.lua", "return { beta = 'web', delta = 'ops' }");
    watching.has_run(5);
    assert!(watching.err().ends_with(&format!("{}\n", watching.ends()[4])), "{}", watching.err());
    assert_eq!(watching.err().matches("the plan is as before (2 changes)").count(), 2);
    assert_eq!(aws.account(), before, "nothing is written");
}

#[test]
fn on_the_local_account_it_applies_and_says_how_to_take_it_back() {
    let desk = Desk::new();
    desk.write("a.lua", "iam.profiles.tag('alpha', { Owner = 'ops' })");
    let watching = Watching::new(desk, &["a.lua"]);
    watching.has_run(1);
    watching.write("a.lua", "iam.profiles.tag('alpha', { Owner = 'web' })");
    watching.has_run(2);
    let runs = watching.desk.runs();
    assert_eq!(runs[0]["command"], "watch");
    for run in &runs[..2] {
        let id = run["id"].as_str().expect("an id");
        assert!(watching.err().contains(&format!("run {id}: 1 change")), "{}", watching.err());
    }
    assert_eq!(watching.desk.profile("alpha")["tags"]["Owner"], "web");
}

#[test]
fn where_nobody_can_be_asked_aws_is_written_to_only_with_yes_and_only_the_account_from_the_start() {
    let aws = Desk::new();
    let endpoint = aws.serve();
    let port = endpoint.url.rsplit(':').next().expect("a port").trim_end_matches('/').to_owned();
    let desk = Desk::new();
    desk.write("a.lua", "iam.profiles.tag('alpha', { Owner = 'ops' })");
    let args = ["a.lua", "--apply", "--endpoint-url", &endpoint.url];
    desk.run(&[&["watch"], &args[..]].concat()).ends(4, "--yes confirms it");
    assert_eq!(aws.profile("alpha")["tags"]["Owner"], "dev");
    let mut watching = Watching::new(desk, &[&args[..], &["--yes"]].concat());
    watching.has_run(1);
    assert_eq!(aws.profile("alpha")["tags"]["Owner"], "ops");
    // Another account is at that address now.
    drop(endpoint);
    let other = Desk::new();
    other.write("account.json", other.read("account.json").replace("123456789012", "999999999999"));
    other.run(&["account", "import", "account.json"]).ends(0, "");
    let _endpoint = other.serve_at(&port);
    watching.write("a.lua", "iam.profiles.tag('alpha', { Owner = 'web' })");
    watching.has_run(2);
    watching.says("the credentials are for AWS account 999999999999");
    watching.says("and AWS account 123456789012");
    assert_eq!(other.profile("alpha")["tags"]["Owner"], "dev");
    assert_eq!(watching.is_told(Signal::TERM).code(), Some(130));
}

#[test]
fn a_pipe_that_nobody_reads_ends_it() {
    let desk = Desk::new();
    desk.write("a.lua", "for i = 1, 100000 do print('line', i) end");
    let mut command = desk.command(&["watch", "a.lua"]);
    let mut child = command.spawn().expect("the program starts");
    drop(child.stdout.take());
    let ran = Ran::from(child.wait_with_output().expect("it ends"));
    ran.ends(0, "a.lua: done in");
}
