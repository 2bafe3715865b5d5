//! Account as a whole: the example, the caller, assumed roles, the summary, and repeatability by a
//! seed.

use std::collections::BTreeSet;
use std::time::Duration;

use iamlua::emulator::{Clock, Contents, Emulator, EmulatorSettings, Quota};

use super::{Client, TRUST_ACCOUNT, options, stopped_clock};

#[test]
fn the_example_has_something_of_everything() {
    let client = Client::of(Emulator::in_memory(options()).expect("memory needs no file"));
    assert!(client.emulator.is_new());
    let profiles = client.get("ListInstanceProfiles", &[]);
    let profiles = profiles.members("InstanceProfiles");
    assert!((20..=30).contains(&profiles.len()), "{} profiles", profiles.len());
    let paths: BTreeSet<_> = profiles.iter().map(|profile| profile.text("Path")).collect();
    assert!(paths.len() >= 5, "{paths:?}");
    let orphans = profiles.iter().filter(|profile| profile.members("Roles").is_empty()).count();
    assert!((5..15).contains(&orphans), "{orphans} without a role");

    let dates: Vec<_> = profiles.iter().map(|profile| profile.text("CreateDate")).collect();
    assert!(dates.iter().all(|date| date.as_str() < "2026-01-01"), "at least two days old");
    assert!(dates.iter().any(|date| date.as_str() > "2025-12-25"), "one is new");
    assert!(dates.iter().any(|date| date.as_str() < "2021-02-01"), "one is five years old");

    let mut tags = BTreeSet::new();
    let mut untagged = 0;
    for profile in profiles {
        let name = profile.text("InstanceProfileName");
        let own = client.get("ListInstanceProfileTags", &[("InstanceProfileName", &name)]).tags();
        untagged += usize::from(own.is_empty());
        tags.extend(own.into_keys());
    }
    assert!(untagged >= 3, "{untagged} untagged");
    assert!(tags.contains("iamlua:protected"), "{tags:?}");

    let roles = client.get("ListRoles", &[]);
    for role in roles.texts("Roles", "RoleName") {
        let attached = client.get("ListAttachedRolePolicies", &[("RoleName", &role)]);
        assert!(!attached.members("AttachedPolicies").is_empty(), "{role} has no policy");
    }
    // Every AWS managed policy in it is known: the import would have kept unknown ones by their ARN
    // alone.
    let mut export = Vec::new();
    client.emulator.export(&mut export).expect("memory can be read");
    let export: serde_json::Value = serde_json::from_slice(&export).expect("JSON");
    let policies = export["policies"].as_array().expect("a list");
    assert!(policies.iter().all(serde_json::Value::is_object), "{policies:?}");
    let aliases = client.get("ListAccountAliases", &[]);
    assert_eq!(aliases.members("AccountAliases").len(), 1);
}

#[test]
fn the_same_seed_makes_the_same_account() {
    let export = |options: EmulatorSettings| {
        let emulator = Emulator::in_memory(options).expect("memory needs no file");
        let client = Client::of(emulator);
        client.create_profile("new", "/");
        let mut export = Vec::new();
        client.emulator.export(&mut export).expect("memory can be read");
        (export, client.ask("ListRoles", &[]).request_id)
    };
    assert!(export(options()) == export(options()), "one seed, two accounts");
    let other = EmulatorSettings { seed: Some(2), ..options() };
    assert!(export(options()) != export(other), "two seeds, one account");
}

#[test]
fn reset_puts_everything_back() {
    let client = Client::of(Emulator::in_memory(options()).expect("memory needs no file"));
    let count = || client.get("ListInstanceProfiles", &[]).members("InstanceProfiles").len();
    let example = count();
    client.create_profile("extra", "/");
    client.emulator.set_quota(Quota::Profiles, 7).expect("memory can be written");
    client.emulator.reset(Contents::Example).expect("memory can be written");
    assert_eq!(count(), example);
    assert_eq!(client.emulator.quotas().expect("readable").profiles, 1000);
    client.emulator.reset(Contents::Empty).expect("memory can be written");
    assert_eq!(count(), 0);
    assert!(client.get("ListRoles", &[]).members("Roles").is_empty());
    assert!(client.get("ListAccountAliases", &[]).members("AccountAliases").is_empty());
}

#[test]
fn the_summary_counts_what_is_there() {
    let client = Client::of_empty_account();
    client.create_profile("p", "/");
    client.create_profile("q", "/");
    client.create_role("r");
    client.get("DeleteInstanceProfile", &[("InstanceProfileName", "q")]);
    client.emulator.set_quota(Quota::PoliciesPerRole, 20).expect("memory can be written");
    let summary = client.get("GetAccountSummary", &[]);
    let entries = &summary.child("SummaryMap").expect("a map").children;
    let value = |key: &str| {
        let entry = entries.iter().find(|entry| entry.text("key") == key);
        entry.unwrap_or_else(|| panic!("no {key}")).text("value")
    };
    for (key, expected) in [
        ("InstanceProfiles", "1"),
        ("InstanceProfilesQuota", "1000"),
        ("Roles", "1"),
        ("RolesQuota", "1000"),
        ("AttachedPoliciesPerRoleQuota", "20"),
        ("AssumeRolePolicySizeQuota", "2048"),
        ("Groups", "0"),
    ] {
        assert_eq!(value(key), expected, "{key}");
    }
}

#[test]
fn any_key_is_the_operator_until_a_role_is_assumed() {
    let clock = stopped_clock();
    let client =
        Client::with_options(EmulatorSettings { clock: Clock::Manual(clock.clone()), ..options() });
    let operator = client.get("GetCallerIdentity", &[]);
    assert_eq!(operator.text("Arn"), "arn:aws:iam::123456789012:user/local-operator");
    assert_eq!(operator.text("Account"), "123456789012");
    let id = operator.text("UserId");
    assert!(id.starts_with("AIDA") && id.len() == 21, "{id}");

    client.create_trusting_role("deploy", TRUST_ACCOUNT);
    let role = ("RoleArn", "arn:aws:iam::123456789012:role/deploy");
    let session = ("RoleSessionName", "night.shift");
    let assumed = client.get("AssumeRole", &[role, session, ("DurationSeconds", "900")]);
    assert!(assumed.child("PackedPolicySize").is_none(), "no policy was given");
    assert_eq!(assumed.text("Credentials/Expiration"), "2026-01-02T03:19:05Z");
    assert_eq!(assumed.text("Credentials/SecretAccessKey").len(), 40);
    let key = assumed.text("Credentials/AccessKeyId");
    assert!(key.starts_with("ASIA") && key.len() == 20, "{key}");

    let worker = client.with_access_key(&key);
    let me = worker.get("GetCallerIdentity", &[]);
    let arn = "arn:aws:sts::123456789012:assumed-role/deploy/night.shift";
    assert_eq!(me.text("Arn"), arn);
    assert_eq!(me.text("UserId"), assumed.text("AssumedRoleUser/AssumedRoleId"));
    assert!(me.text("UserId").starts_with("AROA") && me.text("UserId").ends_with(":night.shift"));
    let used = client.get("GetRole", &[("RoleName", "deploy")]);
    assert_eq!(used.text("Role/RoleLastUsed/LastUsedDate"), "2026-01-02T03:04:05Z");

    // The denial names the assumed role.
    let ghost = ("RoleArn", "arn:aws:iam::123456789012:role/ghost");
    let (_, _, message) = worker.refused("AssumeRole", &[ghost, session]);
    assert!(message.starts_with(&format!("User: {arn} is not authorized")), "{message}");

    clock.advance(Duration::from_mins(15));
    assert_eq!(worker.refused("ListRoles", &[]).1, "ExpiredToken");
    let key = client.get("AssumeRole", &[role, session]).text("Credentials/AccessKeyId");
    let worker = client.with_access_key(&key);
    worker.get("ListRoles", &[]);
    client.get("DeleteRole", &[("RoleName", "deploy")]);
    assert_eq!(worker.refused("ListRoles", &[]).1, "InvalidClientTokenId");
    // Temporary credentials of another account are accepted like any key.
    client.with_access_key("ASIAQNZGKIQY56JQ7WML").get("ListRoles", &[]);
}
