//! `iamlua policy`.

use std::collections::BTreeSet;

use iamlua::spec::Action;
use iamlua::usage::ACTIONS;
use serde_json::Value;

use super::{Desk, json_of};

/// Actions that a policy allows.
fn actions(policy: &str) -> BTreeSet<String> {
    let policy = json_of(policy);
    assert_eq!(policy["Version"], "2012-10-17");
    let statements = policy["Statement"].as_array().expect("a list");
    let of = |statement: &Value| {
        assert_eq!(statement["Effect"], "Allow");
        statement["Action"].as_array().expect("a list").clone()
    };
    statements.iter().flat_map(of).map(|action| action.as_str().expect("text").to_owned()).collect()
}

/// Actions of a scan and its verdicts.
fn looks() -> BTreeSet<String> {
    let name = |action: &Action| format!("{}:{}", action.service.prefix(), action.name);
    let of_verdicts = ["iam:GetInstanceProfile", "iam:GetRole"].map(str::to_owned);
    ACTIONS.iter().map(name).chain(of_verdicts).collect()
}

#[test]
fn the_policy_of_a_scan_names_every_call_that_it_makes() {
    let desk = Desk::new();
    desk.write(
        "scan.lua",
        "runbook { description = 'scan', allow = { 'usage.scan' } }\nprint(usage.scan({}).complete)",
    );
    let policy = desk.run(&["policy", "scan.lua"]).ends(0, "");
    assert_eq!(actions(&policy.out), looks());
    let policy = json_of(&policy.out);
    let references =
        policy["Statement"].as_array().into_iter().flatten().find(|one| one["Sid"] == "References");
    let references = references.expect("a statement for the other services");
    assert_eq!(references["Resource"], "*");
    let listed: Vec<_> =
        references["Action"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for action in
        ["ec2:DescribeInstances", "eks:ListNodegroups", "elasticmapreduce:DescribeCluster"]
    {
        assert!(listed.contains(&action), "{listed:?}");
    }
    assert!(listed.is_sorted() && !listed.iter().any(|action| action.starts_with("iam:")));
    assert_eq!(desk.run(&["run", "scan.lua"]).ends(0, "").out, "true\n");
}

#[test]
fn the_policy_of_each_runbook_has_what_it_needs() {
    let desk = Desk::new();
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
    let mut seen = 0;
    for entry in std::fs::read_dir(scripts).expect("the scripts").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "lua") {
            continue;
        }
        seen += 1;
        let policy = desk.run(&["policy", path.to_str().expect("UTF-8")]).ends(0, "");
        let actions = actions(&policy.out);
        let is_known = |action: &String| action.starts_with("iam:") || looks().contains(action);
        assert!(actions.iter().all(is_known), "{path:?}: {actions:?}");
        let needed: &[&str] = match path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("") {
            "inventory" | "untagged" => &["ListInstanceProfiles", "GetInstanceProfile"],
            "bulk_tag" => &["ListInstanceProfiles", "GetInstanceProfile", "TagInstanceProfile"],
            "cleanup_orphans" => {
                &["ListInstanceProfiles", "GetInstanceProfile", "DeleteInstanceProfile"]
            }
            "ensure" => &[
                "GetInstanceProfile",
                "CreateInstanceProfile",
                "TagInstanceProfile",
                "UntagInstanceProfile",
                "AddRoleToInstanceProfile",
                "RemoveRoleFromInstanceProfile",
                "GetRole",
                "PassRole",
            ],
            "swap_role" => &[
                "ListInstanceProfilesForRole",
                "GetInstanceProfile",
                "GetRole",
                "AddRoleToInstanceProfile",
                "RemoveRoleFromInstanceProfile",
                "PassRole",
            ],
            // A new script needs no entry here, only a policy.
            _ => &[],
        };
        for action in needed {
            assert!(actions.contains(&format!("iam:{action}")), "{path:?} lacks {action}");
        }
        if path.ends_with("inventory.lua") || path.ends_with("untagged.lua") {
            let reads = actions
                .iter()
                .all(|action| action.starts_with("iam:Get") || action.starts_with("iam:List"));
            assert!(reads, "{path:?} only reads: {actions:?}");
        }
        let account = ["policy", path.to_str().expect("UTF-8"), "--account", "123456789012"];
        let narrow = desk.run(&account).ends(0, "");
        assert!(!narrow.out.contains("iam::*:"), "{narrow:?}");
    }
    assert!(seen >= 6, "the scripts are there");
}

#[test]
fn a_script_that_does_not_say_what_it_may_call_has_no_policy() {
    let desk = Desk::new();
    for (code, why) in [
        ("print(1)", "has no manifest"),
        ("runbook { description = 'x' }", "does not say what it may call"),
        ("runbook { description = 'x', allow = {} }", "needs no policy"),
        (
            "runbook { description = 'x', allow = { 'profiles.lst' } }",
            "did you mean \"profiles.list\"?",
        ),
        ("error('early')", "early"),
    ] {
        desk.write("script.lua", code);
        desk.run(&["policy", "script.lua"]).ends(1, why);
    }
    desk.write(
        "early.lua",
        "iam.profiles.list() runbook { description = 'x', allow = { 'profiles.list' } }",
    );
    desk.run(&["policy", "early.lua"]).ends(4, "before it declares itself");
    desk.run(&["policy", "nothing.lua"]).ends(2, "there is no script");
    desk.run(&["policy", "early.lua", "--account", "12"]).ends(2, "12 digits");
    assert!(desk.runs().is_empty());
}

#[test]
fn the_policy_allows_what_the_limit_needs() {
    let desk = Desk::new();
    desk.write(
        "share.lua",
        "runbook { description = 'x', allow = { 'profiles.tag' }, max_changes = '5%' }",
    );
    let policy = desk.run(&["policy", "share.lua"]).ends(0, "");
    assert!(actions(&policy.out).contains("iam:GetAccountSummary"), "{policy:?}");
}
