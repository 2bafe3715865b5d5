//! `iamlua undo`: undo of runs.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::{Desk, WORK, json_of};

#[test]
fn undo_shows_the_way_back_and_goes_it_when_told() {
    let desk = Desk::new();
    let before = desk.account();
    desk.does(WORK);
    let after = desk.account();
    let shown = desk.run(&["undo", "last"]).ends(0, "Plan only.");
    assert!(shown.out.contains("~ tag profile alpha: Owner ops → dev"), "{shown:?}");
    assert!(shown.out.contains("- delete profile epsilon"), "{shown:?}");
    assert!(shown.err.contains("profile beta is created again: it gets a new id"), "{shown:?}");
    assert_eq!(desk.account(), after);
    desk.run(&["undo", "last", "--detailed-exitcode"]).ends(3, "");
    let run = desk.last_id();
    desk.run(&["undo", "last", "--apply"]).ends(0, "5 done");
    assert_eq!(desk.account(), before);
    let runs = desk.runs();
    assert_eq!((&runs[0]["command"], &runs[0]["undoes"]), (&json!("undo"), &json!(run)));
    assert_eq!(runs[1]["counts"]["undone"], 6);
    assert!(desk.run(&["runs"]).out.contains("undone"));
    desk.run(&["undo", &run]).ends(0, "undone before");
    desk.run(&["undo", &run, "--apply"]).ends(0, "undone before");
    assert_eq!(desk.runs().len(), 2);

    // Neither an undo nor an undone run is the last run to undo.
    desk.run(&["undo", "last", "--apply"]).ends(0, "there is no run left to undo");
    let again = desk.run(&["redo", "last"]).ends(0, "Make the changes again with: iamlua redo");
    assert!(again.out.contains("~ tag profile alpha: Owner dev → ops"), "{again:?}");
    desk.run(&["redo", "last", "--apply"]).ends(0, "5 done");
    let redo = desk.last();
    assert_eq!(redo["command"], "redo");
    let undone = |desk: &Desk, at: usize| desk.runs()[at]["counts"]["undone"].clone();
    assert_eq!((undone(&desk, 1), undone(&desk, 2)), (json!(5), json!(0)));
    // An undo of the redo undoes the run again.
    desk.run(&["undo", redo["id"].as_str().expect("an id"), "--apply"]).ends(0, "5 done");
    assert_eq!(desk.account(), before);
    assert_eq!(
        (undone(&desk, 1), undone(&desk, 2), undone(&desk, 3)),
        (json!(5), json!(0), json!(6))
    );
    desk.run(&["undo", "last"]).ends(0, "there is no run left to undo");
    desk.run(&["redo", "last", "--apply"]).ends(0, "5 done");
    assert_eq!(desk.account(), after);
    desk.run(&["undo", "last", "--apply"]).ends(0, "5 done");
    assert_eq!(desk.account(), before);
}

#[test]
fn what_was_redone_can_be_undone_again() {
    let desk = Desk::new();
    desk.plans("iam.profiles.tag('alpha', { Owner = 'ops' })");
    desk.run(&["apply", "plan.json"]).ends(0, "1 done");
    let run = desk.last_id();
    desk.run(&["undo", &run, "--apply"]).ends(0, "1 done");
    desk.run(&["redo", &run, "--apply"]).ends(0, "1 done");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "ops");
    desk.run(&["apply", "plan.json"]).ends(0, "1 done before");
    assert_eq!(desk.runs()[2]["counts"]["undone"], 0);
    desk.run(&["undo", &run, "--apply"]).ends(0, "1 done");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "dev");
}

#[test]
fn undo_brings_every_kind_of_change_back() {
    let cases = [
        "iam.profiles.create { name = 'new', path = '/a/b/', tags = { A = '1' } } iam.profiles.add_role('new', 'db')",
        "iam.profiles.delete('gamma', { detach = true })",
        "iam.profiles.tag('alpha', { Owner = 'ops', Other = '' }) iam.profiles.tag('ALPHA', { Owner = 'x' })",
        "iam.profiles.untag('gamma', { 'Owner', 'Nothing' })",
        "iam.profiles.add_role('delta', 'web')",
        "iam.profiles.remove_role('gamma', 'web') iam.profiles.add_role('gamma', 'db')",
        "iam.profiles.ensure { name = 'gamma', role = 'db', tags = { B = '2' }, exact_tags = true }",
        "iam.profiles.delete('beta') iam.profiles.create('beta') iam.profiles.delete('beta')",
        "iam.profiles.create('short') iam.profiles.delete('short')",
        "iam.roles.delete('db')",
        "iam.roles.tag('web', { A = '1' }) iam.roles.attach_policy('web', 'arn:aws:iam::aws:policy/ReadOnlyAccess')",
        "local read = iam.roles.get('web')
         iam.roles.create { name = 'made', path = '/svc/', description = 'd', tags = { K = 'v' }, assume_role_policy = read.assume_role_policy }
         iam.roles.attach_policy('made', 'arn:aws:iam::aws:policy/ReadOnlyAccess')
         iam.roles.untag('made', { 'K' })
         iam.profiles.add_role('delta', 'made')",
        "iam.roles.attach_policy('db', 'arn:aws:iam::aws:policy/ReadOnlyAccess')
         iam.roles.detach_policy('db', 'arn:aws:iam::aws:policy/ReadOnlyAccess')
         iam.roles.tag('db', { Gone = 'soon' }) iam.roles.delete('db')",
    ];
    for code in cases {
        let desk = Desk::new();
        let before = desk.account();
        desk.does(code);
        let after = desk.account();
        desk.run(&["undo", "last", "--apply"]).ends(0, "");
        assert_eq!(desk.account(), before, "undo of {code}");
        desk.run(&["redo", "last", "--apply"]).ends(0, "");
        assert_eq!(desk.account(), after, "undo of the undo of {code}");
    }
}

#[test]
fn undo_leaves_what_has_changed_since_and_undoes_the_rest() {
    let cases = [
        (
            "iam.profiles.tag('alpha', { Owner = 'third' })",
            "profile alpha: tag Owner was ops after the run and is now third",
        ),
        (
            "iam.profiles.delete('alpha')",
            "profile alpha: it was there after the run and is not now",
        ),
        ("iam.profiles.add_role('epsilon', 'web')", "profile epsilon"),
        ("iam.profiles.create('beta')", "profile beta: it was not there after the run and is now"),
    ];
    for (meanwhile, conflict) in cases {
        let desk = Desk::new();
        desk.does(WORK);
        let run = desk.last_id();
        desk.does(meanwhile);
        let moved = desk.account();
        for apply in [&[][..], &["--apply"]] {
            assert_eq!(desk.account(), moved, "{meanwhile}");
            let conflict = format!("left out: {conflict}");
            let left = desk.run(&[&["undo", &run][..], apply].concat()).ends(4, &conflict);
            assert!(left.err.contains("1 left out, listed above"), "{left:?}");
        }
        assert_eq!(desk.profile("gamma")["role"], "web", "{meanwhile}");
        assert_eq!(desk.profile("delta")["role"], Value::Null, "{meanwhile}");
        let again = desk.run(&["undo", &run, "--apply"]).ends(4, conflict);
        assert!(again.err.contains("nothing else is left to undo"), "{again:?}");
    }
}

#[test]
fn what_somebody_has_set_back_already_is_no_conflict() {
    let desk = Desk::new();
    let before = desk.account();
    desk.does(WORK);
    let run = desk.last_id();
    desk.does("iam.profiles.remove_role('delta', 'db')");
    desk.run(&["undo", &run, "--apply"]).ends(0, "undone already: profile delta");
    assert_eq!(desk.account(), before);
    desk.run(&["undo", &run]).ends(0, "was undone before");
}

#[test]
fn a_run_that_was_undone_in_part_says_so() {
    let desk = Desk::new();
    desk.does(WORK);
    let run = desk.last_id();
    desk.does("iam.profiles.tag('alpha', { Owner = 'third' })");
    let left = desk.run(&["undo", &run, "--apply"]).ends(4, "profile alpha: ");
    assert!(left.err.contains("4 done"), "{left:?}");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "third");
    assert_eq!(desk.profile("beta")["tags"]["Owner"], "dev");
    assert_eq!(desk.profile("epsilon"), Value::Null);
    assert!(desk.run(&["runs"]).out.contains("partly undone"));
}

#[test]
fn one_call_that_is_refused_holds_up_nothing_else() {
    let desk = Desk::new();
    let before = desk.account();
    desk.does(WORK);
    let run = desk.last_id();
    let denied = "deny=iam:AddRoleToInstanceProfile";
    let failed = desk.run(&["undo", &run, "--apply", "--faults", denied]).ends(1, "1 failed");
    assert!(failed.err.contains("4 done"), "{failed:?}");
    assert!(failed.err.contains("failed: AddRoleToInstanceProfile profile gamma"), "{failed:?}");
    assert_eq!(desk.profile("gamma")["role"], Value::Null);
    desk.run(&["undo", &run, "--apply"]).ends(0, "1 done");
    assert_eq!(desk.account(), before);
}

#[test]
fn what_was_made_again_can_still_be_undone() {
    let desk = Desk::new();
    let before = desk.account();
    desk.does("iam.profiles.tag('gamma', { Owner = 'ops' })");
    let first = desk.last_id();
    desk.does("iam.profiles.delete('gamma', { detach = true })");
    let second = desk.last_id();
    desk.run(&["undo", &second, "--apply"]).ends(0, "2 done");
    desk.run(&["undo", &first, "--apply"]).ends(0, "1 done");
    assert_eq!(desk.account(), before);
    // Undos can be redone too, the last one first.
    desk.run(&["redo", "last", "--apply"]).ends(0, "1 done");
    desk.run(&["undo", desk.runs()[2]["id"].as_str().expect("an id"), "--apply"]).ends(0, "2 done");
    assert_eq!(desk.profile("gamma"), Value::Null);
}

#[test]
fn a_plan_can_be_applied_again_after_its_undo() {
    let desk = Desk::new();
    desk.plans(
        "iam.profiles.tag('gamma', { A = '1' }) iam.profiles.delete('gamma', { detach = true })
        iam.profiles.create('new') iam.profiles.tag('new', { B = '2' })",
    );
    desk.run(&["apply", "plan.json"]).ends(0, "5 done");
    let after = desk.account();
    for _ in 0..2 {
        desk.run(&["undo", "last", "--apply"]).ends(0, "3 done");
        assert_eq!(desk.account(), Desk::new().account());
        desk.run(&["apply", "plan.json"]).ends(0, "5 done");
        assert_eq!(desk.account(), after);
    }
}

#[test]
fn a_plan_that_an_interruption_has_split_is_undone_run_by_run() {
    let desk = Desk::new();
    let before = desk.account();
    desk.plans(
        "iam.profiles.remove_role('gamma', 'web') iam.profiles.delete('gamma')
        iam.profiles.create('new')",
    );
    desk.run(&["apply", "plan.json", "--faults", "deny=iam:DeleteInstanceProfile"])
        .ends(1, "failed");
    let first = desk.last_id();
    desk.run(&["apply", "plan.json"]).ends(0, "2 done, 1 done before");
    desk.run(&["undo", "last", "--apply"]).ends(0, &format!("iamlua undo {first}"));
    desk.run(&["undo", &first, "--apply"]).ends(0, "1 done");
    assert_eq!(desk.account(), before);
}

#[test]
fn undo_of_a_part() {
    let desk = Desk::new();
    desk.does(WORK);
    let run = desk.last_id();
    desk.run(&["undo", &run, "--only", "nobody"]).ends(2, "changed nothing named nobody");
    let part =
        desk.run(&["undo", &run, "--only", "ALPHA", "--only", "beta", "--apply"]).ends(0, "2 done");
    assert!(!part.out.contains("epsilon"), "{part:?}");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "dev");
    assert_eq!(desk.profile("beta")["tags"]["Owner"], "dev");
    assert_eq!(desk.profile("epsilon")["name"], "epsilon");
    desk.run(&["undo", &run, "--only", "alpha"]).ends(0, "undone before");
    desk.run(&["undo", &run, "--apply"]).ends(0, "3 done");
    assert_eq!(desk.account(), Desk::new().account());
}

#[test]
fn the_hint_after_showing_a_part_is_for_that_part() {
    let desk = Desk::new();
    desk.does(WORK);
    desk.run(&["undo", "last", "--only", "alpha"]).ends(0, "--only alpha --apply");
}

#[test]
fn the_hint_after_a_failed_undo_is_about_undo() {
    let desk = Desk::new();
    desk.does("iam.profiles.delete('gamma', { detach = true })");
    let journal = desk.0.path("state/journal.db");
    std::fs::set_permissions(&journal, PermissionsExt::from_mode(0o444)).expect("it is ours");
    let failed = desk.run(&["undo", "last", "--apply"]).ends(1, "is read-only");
    assert!(!failed.err.contains("`iamlua apply`"), "{failed:?}");
}

#[test]
fn a_run_is_named_by_either_end_of_its_id() {
    let desk = Desk::new();
    for n in 0..2 {
        desk.does(&format!("iam.profiles.create('named-{n}')"));
    }
    let (last, first) = (desk.last_id(), desk.runs()[1]["id"].as_str().expect("an id").to_owned());
    for name in [&first[..], &first[first.len() - 5..], &first[..first.len() - 1]] {
        let shown = desk.run(&["runs", "show", name]).ends(0, "");
        assert!(shown.out.starts_with(&format!("run {first}")), "{name}: {shown:?}");
    }
    assert!(desk.run(&["runs", "show", "last"]).out.starts_with(&format!("run {last}")));
    let both = desk.run(&["undo", &first[..8]]).ends(2, "more than one run");
    assert!(both.err.contains(&first) && both.err.contains(&last), "{both:?}");
    for unknown in ["zzzzzzz", "z", ""] {
        desk.run(&["undo", unknown]).ends(2, "`iamlua runs` lists them");
        desk.run(&["runs", "show", unknown]).ends(2, "there is no run");
        desk.run(&["runs", "recover", unknown]).ends(2, "there is no run");
    }
}

#[test]
fn an_undo_can_be_kept_as_a_plan() {
    let desk = Desk::new();
    let before = desk.account();
    desk.does(WORK);
    desk.run(&["undo", "last", "-o", "undo.json"]).ends(0, "kept in undo.json");
    desk.run(&["apply", "undo.json"]).ends(0, "5 done");
    assert_eq!(desk.account(), before);
    assert_eq!(desk.runs()[1]["counts"]["undone"], 6);
    desk.run(&["apply", "undo.json"]).ends(0, "5 done before");
    let json = desk.run(&["redo", "last", "--output", "json"]).ends(0, "");
    assert_eq!(json_of(&json.out)["format"], "iamlua-plan");
}

#[test]
fn a_run_that_changed_nothing_needs_no_undo() {
    let desk = Desk::new();
    desk.run(&["-e", "iam.profiles.create('alpha')"]).ends(1, "EntityAlreadyExists");
    desk.run(&["undo", &desk.last_id(), "--apply"]).ends(0, "nothing to undo");
    desk.run(&["undo", "last", "--apply"]).ends(0, "no run left to undo");
}

#[test]
fn two_undos_of_one_run_at_once_exclude_each_other() {
    let desk = Desk::new();
    desk.does("iam.profiles.tag('alpha', { Owner = 'ops' })");
    let run = desk.last_id();
    let lock = std::fs::File::create(desk.0.path(&format!("state/running/undo-{run}")));
    let lock = lock.expect("a lock");
    lock.lock().expect("nobody has it");
    desk.run(&["undo", &run]).ends(0, "Plan only.");
    desk.run(&["undo", &run, "--apply"]).ends(4, "another process is undoing run");
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "ops");
    drop(lock);
    desk.run(&["undo", &run, "--apply"]).ends(0, "1 done");
}

#[test]
fn what_somebody_else_has_set_back_can_be_undone_once_it_is_made_again() {
    let desk = Desk::new();
    let before = desk.account();
    desk.does("iam.profiles.tag('alpha', { A = '1' }) iam.profiles.tag('beta', { A = '1' })");
    let first = desk.last_id();
    desk.does("iam.profiles.untag('alpha', { 'A' })");
    let second = desk.last_id();
    desk.run(&["undo", &first, "--apply"]).ends(0, "undone already: profile alpha");
    desk.run(&["undo", &second, "--apply"]).ends(0, "1 done");
    assert_eq!(desk.profile("alpha")["tags"]["A"], "1");
    desk.run(&["undo", &first, "--apply"]).ends(0, "1 done");
    assert_eq!(desk.account(), before);
}

#[test]
fn a_role_that_cannot_be_deleted_keeps_its_policies() {
    let desk = Desk::new();
    desk.does(
        "iam.roles.create { name = 'made', assume_role_policy = policy.trust('ec2.amazonaws.com') }
        iam.roles.attach_policy('made', 'arn:aws:iam::aws:policy/ReadOnlyAccess')
        iam.profiles.create('own')",
    );
    let run = desk.last_id();
    desk.does("iam.profiles.add_role('delta', 'made')");
    let left = desk.run(&["undo", &run, "--apply"]).ends(4, "left out: role made: DeleteConflict");
    assert!(!left.err.contains("request"), "{left:?}");
    let account = desk.account();
    let roles = account["roles"].as_array().expect("roles");
    let made = roles.iter().find(|role| role["name"] == "made").expect("the role");
    assert_eq!(made["attached_policies"], json!(["arn:aws:iam::aws:policy/ReadOnlyAccess"]));
    assert_eq!(desk.profile("own"), Value::Null);
}

#[test]
fn what_a_run_has_done_and_taken_back_itself_does_not_stand_in_the_way() {
    let trust = "local ec2 = policy.trust('ec2.amazonaws.com')
        local function trusting(role)
          return { Version = '2012-10-17', Statement = { { Effect = 'Allow', Action = 'sts:AssumeRole',
            Principal = { AWS = 'arn:aws:iam::123456789012:role/' .. role } } } }
        end\n";
    for code in [
        // A role that exists only for a while.
        "iam.profiles.remove_role('gamma', 'web') iam.roles.create('tmp', { assume_role_policy = ec2 })
         iam.profiles.add_role('gamma', 'tmp') iam.profiles.remove_role('gamma', 'tmp')
         iam.roles.delete('tmp') iam.profiles.add_role('gamma', 'web')",
        "iam.profiles.remove_role('gamma', 'web') iam.roles.create('tmp', { assume_role_policy = ec2 })
         iam.profiles.add_role('gamma', 'tmp') iam.profiles.remove_role('gamma', 'tmp')
         iam.roles.delete('tmp')",
        "iam.roles.create('tmp', { assume_role_policy = ec2 }) iam.profiles.create('new')
         iam.profiles.add_role('new', 'tmp') iam.profiles.remove_role('new', 'tmp')
         iam.roles.delete('tmp')",
        "iam.roles.create('tmp', { assume_role_policy = ec2 })
         iam.roles.set_assume_role_policy('db', trusting('tmp'))
         iam.roles.set_assume_role_policy('db', ec2) iam.roles.delete('tmp')",
        // Trust policies that name roles.
        "iam.roles.create('tmp', { assume_role_policy = ec2 })
         iam.roles.set_assume_role_policy('db', trusting('tmp'))",
        "iam.roles.create('one', { assume_role_policy = ec2 })
         iam.roles.create('two', { path = '/m/', assume_role_policy = trusting('one') })
         iam.roles.delete('one') iam.roles.create('one', { path = '/n/', assume_role_policy = ec2 })
         iam.roles.set_assume_role_policy('two', trusting('n/one'))",
        // Deleted and created again, with another path and another case of the name.
        "iam.profiles.delete('beta') iam.profiles.create('BETA', { path = '/else/' })
         iam.profiles.add_role('beta', 'db')",
    ] {
        let desk = Desk::new();
        let before = desk.account();
        desk.does(&format!("{trust}{code}"));
        let after = desk.account();
        let denied = "deny=iam:UpdateAssumeRolePolicy+iam:AddRoleToInstanceProfile";
        let _ = desk.run(&["undo", "last", "--apply", "--faults", denied]);
        let run = desk.runs().iter().find(|run| run["undoes"].is_null()).expect("the run")["id"].clone();
        let run = run.as_str().expect("an id");
        desk.run(&["undo", run, "--apply"]).ends(0, "");
        assert_eq!(desk.account(), before, "undo of {code}");
        if desk.runs().len() > 1 && desk.runs().iter().all(|run| run["status"] == "done") {
            desk.run(&["redo", "last", "--apply"]).ends(0, "");
            assert_eq!(desk.account(), after, "undo of the undo of {code}");
        }
    }
}

#[test]
fn a_role_that_trusts_itself_comes_back() {
    let desk = Desk::new();
    let trusting = "{ Version = '2012-10-17', Statement = { { Effect = 'Allow',
        Action = 'sts:AssumeRole', Principal = { AWS = 'arn:aws:iam::123456789012:role/db' } } } }";
    desk.does(&format!("iam.roles.set_assume_role_policy('db', {trusting})"));
    let before = desk.account();
    desk.does("iam.profiles.add_role('delta', 'db') iam.profiles.remove_role('delta', 'db') iam.roles.delete('db')");
    desk.run(&["undo", "last", "--apply"]).ends(0, "2 done");
    assert_eq!(desk.account(), before);
}

#[test]
fn fields_of_one_call_are_restored_one_by_one() {
    for (code, meanwhile, field, value) in [
        (
            "iam.roles.update('db', { description = 'mine' })",
            "iam.roles.update('db', { max_session_duration = 7200 })",
            "max_session_duration",
            json!(7200),
        ),
        (
            "iam.roles.update('db', { max_session_duration = 7200 })",
            "iam.roles.update('db', { description = 'theirs' })",
            "description",
            json!("theirs"),
        ),
        (
            "iam.roles.tag('db', { Team = 'x' }) iam.roles.untag('db', { 'Team' }) iam.roles.tag('db', { Team = 'y' })",
            "iam.roles.tag('db', { team = 'others' })",
            "tags",
            json!({ "team": "others" }),
        ),
    ] {
        let desk = Desk::new();
        desk.does(code);
        let run = desk.last_id();
        desk.does(meanwhile);
        let _ = desk.run(&["undo", &run, "--apply"]);
        let account = desk.account();
        let roles = account["roles"].as_array().expect("roles");
        let role = roles.iter().find(|role| role["name"] == "db").expect("the role");
        assert_eq!(role[field], value, "{code}");
    }
}

#[test]
fn plans_of_one_undo_exclude_each_other() {
    let desk = Desk::new();
    desk.does("iam.profiles.tag('alpha', { Owner = 'ops' })");
    let run = desk.last_id();
    for file in ["a.json", "b.json"] {
        desk.run(&["undo", &run, "-o", file]).ends(0, "kept in");
    }
    let lock = std::fs::File::create(desk.0.path(&format!("state/running/undo-{run}")));
    let lock = lock.expect("a lock");
    lock.lock().expect("nobody has it");
    desk.run(&["apply", "a.json"]).ends(4, "another process is undoing run");
    drop(lock);
    desk.run(&["apply", "a.json"]).ends(0, "1 done");
    desk.run(&["apply", "a.json"]).ends(0, "1 done before");
    desk.run(&["apply", "b.json"]).ends(4, "since this plan was made");
}
