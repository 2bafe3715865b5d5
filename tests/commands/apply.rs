//! `iamlua apply`: makes the changes of the plan and no other.

use iamlua::session::plan::Plan;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{ACCOUNT, Desk, WORK, hash_of};

/// A plan of yesterday depends on the use of yesterday.
#[test]
fn apply_deletes_nothing_by_a_scan_that_is_too_old() {
    let desk = Desk::new();
    desk.plans("usage.scan {} iam.profiles.delete('beta')");
    let made = Plan::from_file("plan.json", &desk.read("plan.json")).expect("a plan");
    let scanned = made.scanned.expect("the plan says when the scan was");
    assert!(Timestamp::now().duration_since(scanned) < SignedDuration::from_mins(10));
    let keep = |hours| {
        let scanned = Some(scanned - SignedDuration::from_hours(hours));
        let plan = Plan { scanned, ..made.clone() };
        desk.write("plan.json", plan.to_file().expect("a plan is JSON"));
    };
    keep(30);
    let refused = desk.run(&["apply", "plan.json"]).ends(4, "by a scan that was made 30 hours ago");
    assert!(refused.err.contains("may be 6 hours old"), "{refused:?}");
    assert_eq!(desk.profile("beta")["name"], "beta");
    keep(5);
    desk.run(&["apply", "plan.json"]).ends(0, "1 done");

    // Tags that depend on a scan are not refused.
    desk.plans("usage.scan {} iam.profiles.tag('alpha', { Owner = 'ops' })");
    let tags = Plan::from_file("plan.json", &desk.read("plan.json")).expect("a plan");
    let scanned = tags.scanned.map(|at| at - SignedDuration::from_hours(30));
    desk.write("plan.json", Plan { scanned, ..tags }.to_file().expect("a plan is JSON"));
    desk.run(&["apply", "plan.json"]).ends(0, "1 done");
}

#[test]
fn apply_does_what_was_planned_and_nothing_twice() {
    let desk = Desk::new();
    // A script depends on what it finds; a plan does not.
    desk.plans("for profile in iam.profiles.each { path_prefix = '/ec2/' } do iam.profiles.tag(profile.name, { Owner = 'ops' }) end");
    desk.does("iam.profiles.create { name = 'late', path = '/ec2/' }");
    desk.write("work.lua", "error('the script is not run again')");
    let applied = desk.run(&["apply", "plan.json"]).ends(0, "2 done");
    assert!(applied.err.contains("2 changes to the local account 123456789012"), "{applied:?}");
    for (name, owner) in [("alpha", json!("ops")), ("beta", json!("ops")), ("late", Value::Null)] {
        assert_eq!(desk.profile(name)["tags"]["Owner"], owner, "{name}");
    }
    let runs = desk.runs().len();
    desk.run(&["apply", "plan.json"]).ends(0, "2 done before");
    assert_eq!(desk.runs().len(), runs, "nothing was changed, so there is nothing to record");
}

#[test]
fn apply_gives_the_state_that_the_script_gives() {
    let (planned, direct) = (Desk::new(), Desk::new());
    planned.plans(WORK);
    planned.run(&["apply", "plan.json"]).ends(0, "6 done");
    direct.does(WORK);
    assert_eq!(planned.account(), direct.account());
}

#[test]
fn apply_stops_at_what_is_not_as_it_was() {
    let cases = [
        (
            "iam.profiles.tag('beta', { Owner = 'other' })",
            "tag Owner was dev when planned and is now other",
        ),
        (
            "iam.profiles.untag('beta', { 'Owner' })",
            "tag Owner was dev when planned and is now none",
        ),
        ("iam.profiles.add_role('beta', 'db')", "role was none when planned and is now db"),
        ("iam.profiles.delete('beta')", "it was there when planned and is not now"),
        (
            "iam.profiles.delete('beta') iam.profiles.create { name = 'beta', path = '/ec2/', tags = { Owner = 'dev' } }",
            "it was another one when planned: it has a new id",
        ),
        (
            "iam.profiles.delete('beta') iam.profiles.create { name = 'beta', tags = { Owner = 'dev' } }",
            "path was /ec2/ when planned and is now /",
        ),
    ];
    for (meanwhile, difference) in cases {
        let desk = Desk::new();
        desk.plans(
            "for _, name in ipairs { 'alpha', 'beta', 'gamma' } do iam.profiles.tag(name, { Owner = 'ops' }) end
             iam.profiles.create('epsilon')",
        );
        desk.does(meanwhile);
        let (moved, runs) = (desk.profile("beta"), desk.runs().len());
        let refused = desk.run(&["apply", "plan.json"]).ends(4, difference);
        assert!(refused.err.contains("profile beta") && refused.err.contains("--skip-drifted"));
        assert!(refused.err.contains("1 done, 3 not begun"), "{meanwhile}: {refused:?}");
        assert_eq!(desk.profile("alpha")["tags"]["Owner"], "ops", "{meanwhile}");
        assert_eq!(desk.profile("beta"), moved, "{meanwhile}");
        assert_eq!(desk.profile("gamma")["tags"]["Owner"], "dev", "{meanwhile}");
        assert_eq!(desk.profile("epsilon"), Value::Null, "{meanwhile}");
        assert_eq!((desk.runs().len(), &desk.runs()[0]["status"]), (runs + 1, &json!("partial")));

        let rest = desk.run(&["apply", "plan.json", "--skip-drifted"]).ends(4, difference);
        assert!(rest.err.contains("2 done, 1 done before, 1 left out"), "{meanwhile}: {rest:?}");
        assert_eq!(desk.profile("beta"), moved, "{meanwhile}");
        assert_eq!(desk.profile("gamma")["tags"]["Owner"], "ops", "{meanwhile}");
        assert_eq!(desk.profile("epsilon")["name"], "epsilon", "{meanwhile}");
    }
}

#[test]
fn apply_does_not_make_what_somebody_else_has_made() {
    let desk = Desk::new();
    desk.plans("iam.profiles.create('epsilon') iam.profiles.tag('epsilon', { Owner = 'ops' })");
    desk.does("iam.profiles.create('epsilon')");
    desk.run(&["apply", "plan.json"]).ends(4, "it was not there when planned and is now");
    let rest = desk.run(&["apply", "plan.json", "--skip-drifted"]).ends(4, "0 done, 2 left out");
    assert!(rest.err.contains("an earlier change of it was left out"), "{rest:?}");
    assert_eq!(desk.profile("epsilon")["tags"], json!({}));
}

#[test]
fn a_file_that_is_not_a_whole_plan_is_refused() {
    let desk = Desk::new();
    desk.plans(WORK);
    let whole = desk.read("plan.json");
    let before = desk.account();
    let cases = [
        (whole.replace("\"ops\"", "\"evil\""), "was changed after it was made"),
        (whole.replace("\"alpha\"", "\"delta\""), "was changed after it was made"),
        (whole[..whole.len() / 2].to_owned(), "is cut short"),
        (String::new(), "is cut short"),
        (whole.replace("\"version\": 1", "\"version\": 2"), "was made by a newer iamlua"),
        ("once upon a time".to_owned(), "is not a plan"),
        ("[1, 2]".to_owned(), "is not a plan"),
        (ACCOUNT.to_owned(), "is not a plan"),
        (format!("{whole}{{}}"), "is not a plan"),
    ];
    for (content, why) in cases {
        desk.write("broken.json", &content);
        let refused = desk.run(&["apply", "broken.json"]).ends(4, why);
        assert!(
            refused.err.contains("broken.json") && refused.err.contains("hint:"),
            "{refused:?}"
        );
    }
    desk.run(&["apply", "work.lua"]).ends(4, "work.lua is a script, not a plan");
    desk.run(&["apply", "no-such-plan.json"]).ends(2, "no-such-plan.json");
    assert_eq!(desk.account(), before);
    assert!(desk.runs().is_empty());
}

#[test]
fn a_plan_is_for_the_account_that_it_was_made_for() {
    let desk = Desk::new();
    desk.plans(WORK);
    let endpoint = desk.serve();
    let elsewhere = ["apply", "plan.json", "--yes", "--endpoint-url", &endpoint.url];
    let refused = desk.run(&elsewhere).ends(4, "was made for the local account 123456789012");
    assert!(refused.err.contains("this is AWS account 123456789012"), "{refused:?}");
    desk.run(&["plan", "work.lua", "--endpoint-url", &endpoint.url, "-o", "aws.json"]).ends(0, "");
    desk.run(&["apply", "aws.json", "--local"]).ends(4, "this is the local account");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "dev");
    drop(endpoint);

    desk.write("other.json", ACCOUNT.replace("123456789012", "999999999999"));
    desk.run(&["account", "import", "other.json"]).ends(0, "account 999999999999");
    let before = desk.account();
    let refused = desk.run(&["apply", "plan.json"]).ends(4, "the local account 999999999999");
    assert!(refused.err.contains("made for the local account 123456789012"));
    assert_eq!(desk.account(), before);
    assert!(desk.runs().is_empty());
}

#[test]
fn a_plan_for_an_endpoint_finds_its_way_back_there() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    desk.write("work.lua", WORK);
    desk.run(&["plan", "work.lua", "--endpoint-url", &endpoint.url, "-o", "plan.json"]).ends(0, "");
    // A plan can come from somebody else, with its endpoint.
    desk.run(&["apply", "plan.json", "--yes"])
        .ends(4, "the plan sends its calls to http://127.0.0.1");
    let hash = hash_of(&desk.path("plan.json"));
    let apply = ["apply", "plan.json", "--yes", "--sha256", &hash];
    desk.run(&apply).ends(0, "6 changes to AWS account 123456789012 at http://");
    desk.run(&apply).ends(0, "6 done before");
    assert_eq!(desk.last()["sites"][0]["endpoint_url"], json!(endpoint.url));
    desk.run(&["undo", "last", "--apply"]).ends(0, "5 done");
    let fresh = Desk::new();
    assert_eq!(desk.account(), fresh.account());
    drop(endpoint);
    desk.run(&["redo", "last"]).ends(1, "no answer");
}

#[test]
fn half_a_plan_is_not_carried_out_unless_that_is_meant() {
    let desk = Desk::new();
    desk.write("half.lua", "iam.profiles.tag('alpha', { Owner = 'ops' }) error('then it broke')");
    let planned = desk.run(&["plan", "half.lua", "--output", "json"]).ends(1, "then it broke");
    desk.write("plan.json", planned.out);
    let refused = desk.run(&["apply", "plan.json"]).ends(4, "then it broke");
    assert!(refused.err.contains("--allow-incomplete"), "{refused:?}");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "dev");
    desk.run(&["apply", "plan.json", "--allow-incomplete"]).ends(0, "1 done");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "ops");
}

#[test]
fn half_a_plan_is_kept_too_or_it_is_said_that_it_is_not() {
    let desk = Desk::new();
    desk.write("plan.json", "an older plan");
    desk.write("half.lua", "iam.profiles.tag('alpha', { Owner = 'ops' }) error('then it broke')");
    let planned = desk.run(&["plan", "half.lua", "-o", "plan.json"]).ends(1, "then it broke");
    assert!(planned.err.contains("plan.json"), "{planned:?}");
}

#[test]
fn half_a_plan_is_not_praised() {
    let desk = Desk::new();
    desk.write("half.lua", "iam.profiles.tag('alpha', { Owner = 'ops' }) os.exit(3)");
    let planned = desk.run(&["plan", "half.lua", "-o", "plan.json"]).ends(3, "kept in plan.json");
    assert!(planned.err.contains("--allow-incomplete"), "{planned:?}");
}

#[test]
fn a_run_that_applies_keeps_no_plan_and_says_so() {
    let desk = Desk::new();
    desk.write("work.lua", WORK);
    let before = desk.account();
    for option in [&["-o", "plan.json"][..], &["--detailed-exitcode"]] {
        desk.run(&[&["run", "work.lua"][..], option].concat()).ends(2, "--plan");
    }
    assert_eq!(desk.account(), before);
}

#[test]
fn a_change_that_fails_ends_the_apply_and_can_be_tried_again() {
    let desk = Desk::new();
    desk.plans("iam.profiles.tag('alpha', { Owner = 'ops' }) iam.profiles.add_role('delta', 'db')");
    desk.does("iam.roles.delete('db')");
    desk.run(&["apply", "plan.json"]).ends(1, "NoSuchEntity: The role").ends(1, "1 done, 1 failed");
    let failed = desk.last();
    assert_eq!((&failed["status"], &failed["counts"]["failed"]), (&json!("partial"), &json!(1)));
    let shown = desk.run(&["runs", "show", "last"]).ends(0, "");
    assert!(shown.out.contains("failed: 1 change") && shown.out.contains("NoSuchEntity"));
    let trust = r#"{ Version = "2012-10-17", Statement = { { Effect = "Allow", Principal = { Service = "ec2.amazonaws.com" }, Action = "sts:AssumeRole" } } }"#;
    desk.does(&format!("iam.roles.create {{ name = 'db', assume_role_policy = {trust} }}"));
    desk.run(&["apply", "plan.json"]).ends(0, "1 done, 1 done before");
    assert_eq!(desk.profile("delta")["role"], "db");
}

#[test]
fn one_plan_is_carried_out_by_one_process_at_a_time() {
    let desk = Desk::new();
    desk.has_a_journal();
    desk.plans("for _, name in ipairs { 'alpha', 'beta', 'gamma' } do iam.profiles.tag(name, { Owner = 'ops' }) end");
    let both: Vec<_> = (0..2)
        .map(|_| desk.command(&["apply", "plan.json", "--faults", "latency=100ms"]).spawn())
        .map(|child| child.expect("it starts"))
        .collect();
    for child in both {
        child.wait_with_output().expect("it ends");
    }
    let made: u64 = desk.runs().iter().filter_map(|run| run["counts"]["done"].as_u64()).sum();
    assert_eq!(made, 3, "each change is made once");
}

#[test]
fn what_rests_on_a_change_that_is_left_out_is_left_out_too() {
    let desk = Desk::new();
    desk.plans(
        "iam.roles.create { name = 'made', assume_role_policy = policy.trust('ec2.amazonaws.com') }
         iam.profiles.add_role('delta', 'made')
         iam.profiles.remove_role('gamma', 'web')
         iam.roles.delete('web')
         iam.profiles.tag('alpha', { Owner = 'ops' })",
    );
    // Somebody creates another role with that name, and uses gamma for something else.
    desk.does("iam.roles.create { name = 'made', path = '/x/', assume_role_policy = policy.trust('ec2.amazonaws.com') }
         iam.profiles.tag('gamma', { Owner = 'else' })");
    let applied = desk.run(&["apply", "plan.json", "--skip-drifted"]).ends(4, "1 done, 4 left out");
    for line in [
        "left out: CreateRole role made: it was not there when planned and is now",
        "left out: AddRoleToInstanceProfile profile delta: role made was not made",
        "left out: RemoveRoleFromInstanceProfile profile gamma: tag Owner was dev when planned and is now else",
        "left out: DeleteRole role web: it is still in a profile whose change was left out",
    ] {
        assert!(applied.err.contains(line), "{line:?} is not in {}", applied.err);
    }
    assert_eq!(desk.profile("delta")["role"], serde_json::Value::Null);
    assert_eq!(desk.profile("gamma")["role"], "web");
}
