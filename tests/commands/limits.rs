//! Limits and protection.

use super::{Desk, TAG_ALL};

/// Number of profiles that [`TAG_ALL`] has tagged.
fn tagged(desk: &Desk) -> usize {
    let account = desk.account();
    let profiles = account["profiles"].as_array().expect("a list");
    profiles.iter().filter(|profile| profile["tags"]["All"] == "1").count()
}

#[test]
fn no_more_is_changed_than_the_strictest_limit_allows() {
    let runbook = |max: &str| {
        format!(
            "runbook {{ description = 'x', allow = {{ 'profiles.tag' }}, max_changes = {max} }} {TAG_ALL}"
        )
    };
    let cases = [
        (TAG_ALL.to_owned(), &["--max-changes", "2"][..], "", 2, "--max-changes"),
        (TAG_ALL.to_owned(), &["--max-changes", "0"], "", 0, "--max-changes"),
        (TAG_ALL.to_owned(), &["--max-changes", "50%"], "", 2, "50% of 4 profiles"),
        (TAG_ALL.to_owned(), &["--max-changes", "10%"], "", 0, "10% of 4 profiles"),
        (runbook("3"), &[], "", 3, "manifest"),
        (runbook("'25%'"), &[], "", 1, "25% of 4 profiles"),
        (runbook("3"), &["--max-changes", "1"], "", 1, "--max-changes"),
        (runbook("3"), &["--max-changes", "100"], "", 3, "manifest"),
        (runbook("3"), &["--max-changes", "100%"], "", 3, "manifest"),
        (TAG_ALL.to_owned(), &[], "max_changes = 1", 1, "max_changes"),
        (runbook("3"), &[], "max_changes = 2", 2, "iamlua.toml"),
        (TAG_ALL.to_owned(), &["--max-changes", "3"], "max_changes = 1", 3, "--max-changes"),
    ];
    for (code, options, config, most, why) in cases {
        let desk = Desk::new();
        desk.write("tag.lua", &code);
        desk.write("iamlua.toml", config);
        let run = [&["run", "tag.lua"][..], options].concat();
        // The script catches the refusals; the run is refused nevertheless.
        desk.run(&run).ends(4, why);
        assert_eq!(tagged(&desk), most, "{code} {options:?} {config}");
        if most > 0 {
            assert_eq!(desk.last()["status"], "partial");
            assert_eq!(desk.last()["changes"].as_array().map(Vec::len), Some(most));
        } else {
            assert!(desk.runs().is_empty(), "what is refused is not recorded as a change");
        }
    }
    let desk = Desk::new();
    desk.run(&["--max-changes", "4", "-e", TAG_ALL]).ends(0, "4 changes");
    desk.run(&["--max-changes", "lots", "-e", TAG_ALL]).ends(2, "must be a whole number");
    desk.run(&["--max-changes", "101%", "-e", TAG_ALL]).ends(2, "must be a whole number");
}

#[test]
fn limits_hold_for_plans_and_what_is_done_with_them() {
    let desk = Desk::new();
    let before = desk.account();
    desk.run(&["--plan", "--max-changes", "2", "-e", TAG_ALL]).ends(4, "may make 2 changes");
    assert_eq!(desk.account(), before);
    desk.plans(TAG_ALL);
    desk.run(&["apply", "plan.json", "--max-changes", "3"]).ends(4, "may make 3 changes");
    assert_eq!(tagged(&desk), 0, "half of a plan is not begun");
    desk.run(&["apply", "plan.json"]).ends(0, "4 done");
    desk.does(TAG_ALL);
    desk.does("for _, name in ipairs { 'alpha', 'beta', 'gamma', 'delta' } do iam.profiles.untag(name, { 'All' }) end");
    desk.run(&["undo", "last", "--apply", "--max-changes", "1"]).ends(4, "may make 1 change");
    assert!(tagged(&desk) <= 1);
}

#[test]
fn what_is_protected_is_not_changed_on_any_way() {
    let by_tag = "iam.profiles.tag('gamma', { ['iamlua:protected'] = '' }) iam.profiles.tag('delta', { ['iamlua:protected'] = 'because' })";
    for (tag, config) in [(by_tag, ""), ("", "protect = [\"gam*\", \"?elta\"]")] {
        let desk = Desk::new();
        if !tag.is_empty() {
            desk.does(tag);
        }
        desk.write("iamlua.toml", config);
        let endpoint = desk.serve();
        let before = desk.account();
        for code in [
            "iam.profiles.tag('gamma', { A = '1' })",
            "iam.profiles.tag('GAMMA', { A = '1' })",
            "iam.profiles.untag('gamma', { 'Owner' })",
            "iam.profiles.untag('gamma', { 'iamlua:protected' })",
            "iam.profiles.tag('gamma', { ['iamlua:protected'] = 'other' })",
            "iam.profiles.add_role('delta', 'db')",
            "iam.profiles.remove_role('gamma', 'web')",
            "iam.profiles.delete('delta')",
            "iam.profiles.delete('gamma', { detach = true })",
            "iam.profiles.ensure { name = 'gamma', role = 'db' }",
            "for profile in iam.profiles.each {} do iam.profiles.get(profile.name) end iam.profiles.tag('gamma', { A = '1' })",
        ] {
            let on_aws = ["--endpoint-url", &endpoint.url, "--apply", "-e", code];
            for args in [&["-e", code][..], &["--plan", "-e", code], &on_aws] {
                let refused = desk.run(args).ends(4, "is protected by");
                assert!(refused.err.contains("--override-protection"), "{code}: {refused:?}");
            }
            let caught = format!("local _, err = try(function() {code} end) print(err.kind)");
            assert_eq!(desk.run(&["-e", &caught]).ends(0, "").out, "protected\n", "{code}");
            assert_eq!(desk.account(), before, "{code}");
        }
        desk.run(&["-e", "iam.profiles.tag('alpha', { A = '1' })"]).ends(0, "");
        let lifted =
            "iam.profiles.delete('gamma', { detach = true }) iam.profiles.add_role('delta', 'db')";
        desk.run(&["--override-protection", "-e", lifted]).ends(0, "3 changes");
        assert_eq!(desk.profile("delta")["role"], "db");
    }
}

#[test]
fn the_role_in_a_protected_profile_is_protected() {
    let read_only = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let by_tag = "iam.profiles.tag('gamma', { ['iamlua:protected'] = '' })";
    for (tag, config) in [(by_tag, ""), ("", "protect = [\"gam*\"]")] {
        let desk = Desk::new();
        desk.does(&format!(
            "iam.roles.tag('web', {{ Own = '1' }}) iam.roles.attach_policy('web', '{read_only}') {tag}
            for _, role in ipairs {{ 'web', 'db' }} do
              iam.roles.set_permissions_boundary(role, '{read_only}')
            end"
        ));
        desk.write("iamlua.toml", config);
        let endpoint = desk.serve();
        let before = desk.account();
        for change in [
            "tag(ROLE, { A = '1' })",
            "untag(ROLE, { 'Own' })",
            "attach_policy(ROLE, 'arn:aws:iam::aws:policy/IAMReadOnlyAccess')",
            "detach_policy(ROLE, 'arn:aws:iam::aws:policy/ReadOnlyAccess')",
            "set_assume_role_policy(ROLE, policy.trust('ecs-tasks.amazonaws.com'))",
            "update(ROLE, { description = 'mine' })",
            "set_permissions_boundary(ROLE, 'arn:aws:iam::aws:policy/IAMReadOnlyAccess')",
            "remove_permissions_boundary(ROLE)",
            "delete(ROLE)",
            "ensure { name = ROLE, assume_role_policy = policy.trust('ecs.amazonaws.com') }",
        ] {
            let code = format!("local ROLE = 'WEB' iam.roles.{change}");
            let on_aws = ["--endpoint-url", &endpoint.url, "--apply", "-e", &code];
            for args in [&["-e", &code][..], &["--plan", "-e", &code], &on_aws] {
                let refused =
                    desk.run(args).ends(4, "role web is in a protected profile: profile gamma is");
                assert!(refused.err.contains("--override-protection"), "{code}: {refused:?}");
            }
            assert_eq!(desk.account(), before, "{code}");
        }
        desk.run(&["-e", "iam.roles.tag('db', { A = '1' })"]).ends(0, "1 change");
        let lifted = ["--override-protection", "-e", "iam.roles.tag('web', { A = '1' })"];
        desk.run(&lifted).ends(0, "1 change");
        // Also for an undo, and for a caller that cannot read the profiles of the role.
        desk.run(&["undo", "last", "--apply"]).ends(4, "role web is in a protected profile");
        let denied = ["--faults", "deny=iam:ListInstanceProfilesForRole", "-e"];
        desk.run(&[&denied[..], &["iam.roles.tag('db', { A = '2' })"]].concat())
            .ends(4, "role db may be in a protected profile: AccessDenied")
            .ends(4, "allow iam:ListInstanceProfilesForRole");
    }
}

#[test]
fn what_is_protected_since_is_not_changed_by_a_plan_or_an_undo() {
    let desk = Desk::new();
    desk.plans(
        "iam.profiles.tag('alpha', { Owner = 'ops' }) iam.profiles.tag('gamma', { Owner = 'ops' })",
    );
    desk.write("iamlua.toml", "protect = [\"gamma\"]");
    desk.run(&["apply", "plan.json"]).ends(4, "profile gamma is protected");
    assert_eq!(desk.profile("gamma")["tags"]["Owner"], "dev");
    desk.run(&["apply", "plan.json", "--override-protection"]).ends(0, "1 done, 1 done before");
    assert_eq!(desk.profile("gamma")["tags"]["Owner"], "ops");
    desk.run(&["undo", "last", "--apply"]).ends(4, "profile gamma is protected");
    assert_eq!(desk.profile("gamma")["tags"]["Owner"], "ops");
    desk.run(&["undo", "last", "--apply", "--override-protection"]).ends(0, "1 done");
    assert_eq!(desk.profile("gamma")["tags"]["Owner"], "dev");
}
