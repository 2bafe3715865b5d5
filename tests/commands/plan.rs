//! `iamlua plan`, and `run` where it plans.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use super::{Desk, WORK, json_of};
use crate::end_to_end::Ran;

#[test]
fn a_plan_is_the_result_and_what_the_script_says_is_not() {
    let desk = Desk::new();
    let before = desk.account();
    desk.write("work.lua", format!("print('the script speaks')\n{WORK}"));
    let planned = desk.run(&["plan", "work.lua"]).ends(0, "the script speaks");
    assert!(!planned.out.contains("the script speaks"), "{planned:?}");
    for line in [
        "Plan for the local account 123456789012",
        "~ tag profile alpha: Owner dev → ops",
        "~ untag profile beta: Owner dev → (none)",
        "~ remove role from profile gamma: role web → (none)",
        "~ add role to profile delta: role (none) → db",
        "+ create profile epsilon: path /new/, tags Team=core, id (known after apply)",
        "- delete profile beta: path /ec2/",
        "Plan: 1 to create, 3 to change, 1 to delete (6 calls to make)",
    ] {
        assert!(planned.out.contains(line), "{line:?} is not in {}", planned.out);
    }
    assert!(!planned.out.contains('\u{1b}'), "no colours where there is no terminal");
    assert_eq!(desk.account(), before);
    assert!(desk.runs().is_empty(), "a plan is no run that changed something");
}

#[test]
fn a_plan_as_json_is_what_the_plan_file_holds() {
    let desk = Desk::new();
    desk.plans(WORK);
    let printed = desk.run(&["plan", "work.lua", "--output", "json"]).ends(0, "");
    let (mut kept, mut printed) = (json_of(&desk.read("plan.json")), json_of(&printed.out));
    assert_eq!((&kept["format"], &kept["version"]), (&json!("iamlua-plan"), &json!(1)));
    assert_eq!(kept["changes"].as_array().map(Vec::len), Some(6));
    assert_ne!(kept["id"], printed["id"]);
    for own in ["id", "created", "checksum"] {
        assert!(kept[own].is_string() && printed[own].is_string(), "{own}");
        kept[own].take();
        printed[own].take();
    }
    assert_eq!(kept, printed);
    let lines = desk.run(&["plan", "work.lua", "--output", "jsonl"]).ends(0, "");
    let lines: Vec<_> = lines.out.lines().map(json_of).collect();
    assert_eq!(kept["changes"], json!(lines));
}

#[test]
fn the_exit_code_of_a_plan_tells_whether_it_has_changes_if_asked() {
    let desk = Desk::new();
    desk.write("work.lua", WORK);
    desk.write("idle.lua", "for profile in iam.profiles.each {} do print(profile.name) end");
    desk.run(&["plan", "work.lua"]).ends(0, "");
    desk.run(&["plan", "work.lua", "--detailed-exitcode"]).ends(3, "");
    let idle = desk.run(&["plan", "idle.lua", "--detailed-exitcode"]).ends(0, "");
    assert!(idle.out.contains("nothing to change"), "{idle:?}");
    desk.run(&["--plan", "--detailed-exitcode", "-e", WORK]).ends(3, "Plan only.");
    desk.write("fails.lua", format!("{WORK} error('no')"));
    desk.run(&["plan", "fails.lua", "--detailed-exitcode"]).ends(1, "no");
    desk.run(&["plan", "work.lua", "--apply"]).ends(2, "makes no sense");
}

#[test]
fn many_alike_are_one_line_unless_all_are_asked_for() {
    let desk = Desk::new();
    desk.write("many.lua", "for i = 1, 60 do iam.profiles.create('many-' .. i) end");
    let folded = desk.run(&["plan", "many.lua"]).ends(0, "");
    assert!(
        folded.out.contains("+ create 60 profiles: path /  many-1, many-2, many-3 and 57 more")
    );
    let full = desk.run(&["plan", "many.lua", "--full"]).ends(0, "");
    assert_eq!(full.out.matches("+ create profile many-").count(), 60, "{full:?}");
}

#[test]
fn a_plan_reads_its_own_writes() {
    let desk = Desk::new();
    let before = desk.account();
    let code = r#"
        local function code(...) return select(2, try(...)).code end
        local function names(options)
            local found = {}
            for profile in iam.profiles.each(options or {}) do table.insert(found, profile.name) end
            table.sort(found)
            return table.concat(found, " ")
        end
        local made = iam.profiles.create { name = "epsilon", path = "/new/", tags = { Team = "core" } }
        assert(made.id == "(known after apply)", made.id)
        local read = iam.profiles.get("epsilon")
        assert(read.id == "(known after apply)" and read.path == "/new/" and read.tags.Team == "core")
        assert(iam.profiles.wait("epsilon").name == "epsilon")
        assert(code(iam.profiles.create, "EPSILON") == "EntityAlreadyExists")
        assert(names() == "alpha beta delta epsilon gamma", names())
        assert(names { path_prefix = "/new/" } == "epsilon")

        iam.profiles.tag("alpha", { Owner = "ops", Extra = "1" })
        iam.profiles.untag("alpha", { "Extra" })
        assert(iam.profiles.get("alpha").tags.Owner == "ops" and iam.profiles.tags("alpha").Extra == nil)

        assert(code(iam.profiles.add_role, "gamma", "db") == "LimitExceeded")
        assert(code(iam.profiles.add_role, "delta", "nobody") == "NoSuchEntity")
        assert(code(iam.profiles.delete, "gamma") == "DeleteConflict")
        assert(code(iam.profiles.remove_role, "delta", "web") == "NoSuchEntity")
        iam.profiles.add_role("delta", "web")
        local with_web = {}
        for profile in iam.profiles.each_for_role("web") do table.insert(with_web, profile.name) end
        table.sort(with_web)
        assert(table.concat(with_web, " ") == "delta gamma", table.concat(with_web, " "))
        assert(code(iam.roles.delete, "web") == "DeleteConflict")

        iam.profiles.delete("beta")
        assert(iam.profiles.find("beta") == nil and code(iam.profiles.tag, "beta", { A = "1" }) == "NoSuchEntity")
        iam.profiles.delete("gamma", { detach = true })
        assert(names() == "alpha delta epsilon", names())
        assert(iam.account().profiles == 3, iam.account().profiles)
        print("all as on AWS")
    "#;
    desk.write("reads.lua", code);
    desk.run(&["plan", "reads.lua"]).ends(0, "all as on AWS");
    let at_once =
        desk.run(&["--plan", "-e", code]).ends(0, "Plan only. Add --apply to make these changes.");
    assert_eq!(
        at_once.out, "all as on AWS\n",
        "a run's output is the script's, also when it plans"
    );
    let endpoint = desk.serve();
    let afar =
        desk.run(&["run", "reads.lua", "--endpoint-url", &endpoint.url]).ends(0, "Plan for AWS");
    assert_eq!(afar.out, "all as on AWS\n");
    assert_eq!(desk.account(), before);
}

#[test]
fn on_aws_a_run_is_a_plan_unless_told_to_apply() {
    let desk = Desk::new();
    let endpoint = desk.serve();
    let before = desk.account();
    desk.write("work.lua", format!("print('the script speaks')\n{WORK}"));
    let on_aws = ["run", "work.lua", "--endpoint-url", &endpoint.url];
    let planned =
        desk.run(&on_aws).ends(0, "Plan for AWS account 123456789012 at http://127.0.0.1");
    assert_eq!(planned.out, "the script speaks\n");
    assert!(planned.err.contains("~ tag profile alpha: Owner dev → ops"), "{planned:?}");
    assert!(planned.err.contains("--apply"), "{planned:?}");
    assert_eq!(desk.account(), before);
    let applied = desk
        .run(&[&on_aws[..], &["--apply"]].concat())
        .ends(0, "6 changes. Preview the undo with: iamlua undo");
    assert_eq!(applied.out, "the script speaks\n");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "ops");
    assert_eq!(desk.profile("beta"), Value::Null);
}

#[test]
fn a_plan_knows_that_a_role_with_policies_cannot_be_deleted() {
    let desk = Desk::new();
    desk.does("iam.roles.attach_policy('db', 'arn:aws:iam::aws:policy/ReadOnlyAccess')");
    let code = "print((select(2, try(iam.roles.delete, 'db')) or {}).code)";
    for mode in ["--plan", "--apply"] {
        assert_eq!(desk.run(&[mode, "-e", code]).ends(0, "").out, "DeleteConflict\n", "{mode}");
    }
}

#[test]
fn a_plan_is_refused_in_the_words_of_aws() {
    let desk = Desk::new();
    desk.run(&["account", "quota", "profiles=5"]).ends(0, "");
    let code =
        "iam.profiles.create('one') print(select(2, try(iam.profiles.create, 'two')).message)";
    let planned = desk.run(&["--plan", "-e", code]).ends(0, "").out;
    assert_eq!(planned, desk.run(&["--apply", "-e", code]).ends(0, "").out);
}

#[test]
fn the_lines_of_a_plan_stand_in_the_order_of_its_calls() {
    let desk = Desk::new();
    let code = "iam.profiles.create('one') iam.profiles.delete('one') iam.profiles.create('one')";
    desk.write("again.lua", code);
    let planned = desk.run(&["plan", "again.lua"]).ends(0, "");
    let signs: String =
        planned.out.lines().filter_map(|line| line.strip_prefix("  ")?.chars().next()).collect();
    assert_eq!(signs, "+-+", "{planned:?}");
}

#[test]
fn half_a_plan_is_not_printed_like_a_whole_one() {
    let desk = Desk::new();
    desk.write("fails.lua", "error('before anything')");
    let planned = desk.run(&["plan", "fails.lua"]).ends(1, "before anything");
    assert!(!planned.out.contains("nothing to change"), "{planned:?}");
}

#[test]
fn one_of_plan_and_script_is_the_result_and_the_other_is_told_aside() {
    let desk = Desk::new();
    desk.write("work.lua", "print('printed') report { { a = 1 } } iam.profiles.create('new')");
    let planned = desk.run(&["plan", "work.lua"]).ends(0, "printed");
    assert!(planned.out.contains("new") && !planned.out.contains("printed"), "{planned:?}");
    let ran = desk.run(&["run", "work.lua", "--plan"]).ends(0, "Plan only.");
    assert!(ran.out.starts_with("printed\n") && !ran.out.contains("new"), "{ran:?}");
    for (args, wants_text) in [
        (&["plan", "work.lua", "--output", "json"][..], false),
        (&["plan", "work.lua", "-o", "-"], true),
        (&["plan", "work.lua", "-o", "/dev/stdout", "--output", "jsonl"], true),
    ] {
        let planned = desk.run(args).ends(0, "printed");
        let plan: serde_json::Value = serde_json::from_str(&planned.out).expect("JSON alone");
        assert_eq!(plan["changes"].as_array().expect("changes").len(), 1, "{planned:?}");
        assert_eq!(planned.err.contains("Plan: "), wants_text, "{planned:?}");
    }
    assert!(!desk.path("-").exists());
    let piped = desk.run(&["plan", "work.lua", "-o", "-"]).ends(0, "").out;
    desk.write("plan.json", piped);
    desk.run(&["apply", "plan.json"]).ends(0, "");
    desk.run(&["run", "work.lua", "--plan", "-o", "-"]).ends(2, "iamlua plan SCRIPT -o -");
}

#[test]
fn a_format_that_a_plan_has_not_is_refused_before_the_script_runs() {
    let desk = Desk::new();
    desk.write("work.lua", "print('ran') iam.profiles.create('new')");
    let refused = desk.run(&["plan", "work.lua", "--output", "csv"]).ends(2, "not as CSV");
    assert!(!refused.err.contains("ran\n") && refused.out.is_empty(), "{refused:?}");
    // With `run`, it is the format of the script's results.
    desk.run(&["run", "work.lua", "--plan", "--output", "csv"]).ends(0, "Plan only.");
}

#[test]
fn what_says_what_is_in_an_account_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    desk.write("work.lua", "iam.profiles.create('new')");
    desk.run(&["plan", "work.lua", "-o", "plan.json"]).ends(0, "");
    desk.run(&["account", "export", "export.json"]).ends(0, "");
    let save = "usage.scan({}):save('scan.json')";
    desk.run(&["--allow-write=.", "-e", save]).ends(0, "");
    let mode = |name: &str| {
        let about = desk.path(name).metadata().expect("a file");
        about.permissions().mode() & 0o777
    };
    for name in ["plan.json", "export.json", "scan.json"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    // The mode of a shared file is kept.
    let shared = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(desk.path("plan.json"), shared).expect("it is ours");
    desk.run(&["plan", "work.lua", "-o", "plan.json"]).ends(0, "");
    assert_eq!(mode("plan.json"), 0o640);
    let exported = desk.run(&["account", "export", "-"]).ends(0, "").out;
    assert_eq!(exported, desk.read("export.json"));
    assert!(!desk.path("-").exists());
}

#[test]
fn a_plan_that_ends_because_nobody_reads_is_not_a_whole_one() {
    let desk = Desk::new();
    desk.write(
        "talks.lua",
        "iam.profiles.create('early') for i = 1, 100000 do print(('line %d'):format(i)) end iam.profiles.create('late')",
    );
    let mut child = desk
        .command(&["run", "talks.lua", "--plan", "-o", "plan.json"])
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.read_line(&mut line).expect("it speaks");
    drop(out);
    let ran = Ran::from(child.wait_with_output().expect("it ends"));
    let ran = ran.ends(1, "stopped before its end");
    assert!(ran.err.contains("incomplete"), "{ran:?}");
    desk.run(&["apply", "plan.json"]).ends(4, "incomplete");
}

/// Role with recent use, in a profile that is otherwise unused.
const QUIET: &str = r#"{"format":"iamlua-account","version":1,"account":{"id":"123456789012"},
    "roles":[{"name":"quiet-role","create_date":"2023-01-01T00:00:00Z",
        "last_used":{"date":"2026-11-27T14:12:01Z","region":"eu-west-1"},
        "assume_role_policy":{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
            "Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}}],
    "profiles":[{"name":"quiet","create_date":"2023-01-01T00:00:00Z","role":"quiet-role"}]}"#;

#[test]
fn a_planned_change_of_a_role_does_not_make_its_profile_unused() {
    let desk = Desk::new();
    desk.write("quiet.json", QUIET);
    desk.run(&["account", "import", "quiet.json"]).ends(0, "1 profile");
    desk.write(
        "orphan.lua",
        "for profile in iam.profiles.each() do
            if profile.role then iam.roles.tag(profile.role, { ReviewedBy = 'ops' }) end
            local verdict = usage.scan{}:verdict(profile)
            print(verdict.verdict)
            if verdict.verdict == 'unused' then iam.profiles.delete(profile.name, { detach = true }) end
        end",
    );
    let planned = desk.run(&["plan", "orphan.lua"]).ends(0, "");
    assert!(planned.out.contains("~ tag role quiet-role"), "{planned:?}");
    assert!(planned.out.contains("1 to change, 0 to delete (1 call to make)"), "{planned:?}");
    assert!(!planned.err.contains("unused"), "{planned:?}");
}

#[test]
fn a_folded_group_says_how_many_values_are_new_and_how_many_are_replaced() {
    let desk = Desk::new();
    desk.does("for n = 1, 8 do iam.profiles.create { name = 'many-' .. n, tags = n < 6 and { Owner = 'dev' } or nil } end");
    desk.does("for n = 1, 7 do iam.roles.create { name = 'role-' .. n, assume_role_policy = policy.trust('ec2.amazonaws.com') } end");
    desk.write(
        "group.lua",
        "for n = 1, 8 do iam.profiles.tag('many-' .. n, { Owner = 'ops' }) end
         for n = 1, 7 do
            iam.roles.attach_policy('role-' .. n, 'arn:aws:iam::aws:policy/ReadOnlyAccess')
            iam.roles.set_assume_role_policy('role-' .. n, policy.trust('ssm.amazonaws.com'))
         end
         for n = 1, 8 do iam.profiles.untag('many-' .. n, { 'Owner' }) end",
    );
    let plan = desk.run(&["plan", "group.lua"]).ends(0, "");
    for line in [
        "~ tag 8 profiles: Owner → ops: 3 new, 5 replace a value  many-1, many-2, many-3 and 5 more",
        "~ attach policy to 7 roles: policy arn:aws:iam::aws:policy/ReadOnlyAccess  role-1,",
        "~ set trust policy of 7 roles: trust policy replaced  role-1,",
        "~ untag 8 profiles: Owner removed  many-1,",
        "; --full lists each",
    ] {
        assert!(plan.out.contains(line), "{line:?} is not in {}", plan.out);
    }
    let full = desk.run(&["plan", "group.lua", "--full"]).ends(0, "").out;
    assert!(!full.contains("--full") && full.lines().count() > 30, "{full}");
}
