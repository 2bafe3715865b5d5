//! Paginated lists: nothing is repeated or left out, whatever changes between two pages.

use std::collections::BTreeSet;

use iamlua::emulator::{Emulator, EmulatorSettings};

use super::{Client, TRUST, options};

const PROFILE: &str = "InstanceProfileName";

/// Account with that many profiles, `p00000` and on, over some paths. Every third has the role
/// `worker`.
fn populous(count: usize) -> Client {
    let client = Client::with_options(options());
    fill(&client.emulator, count);
    client
}

fn fill(emulator: &Emulator, count: usize) {
    let paths = ["/", "/team/", "/team/a/", "/team-b/", "/zone/"];
    let profiles: Vec<_> = (0..count)
        .map(|number| {
            let role = if number % 3 == 0 { r#","role":"worker""# } else { "" };
            let path = paths[number % paths.len()];
            format!(r#"{{"name":"p{number:05}","path":"{path}"{role}}}"#)
        })
        .collect();
    let json = format!(
        r#"{{"format":"iamlua-account","version":1,"account":{{"quotas":{{"profiles":100000}}}},
            "roles":[{{"name":"worker","assume_role_policy":{TRUST}}}],"profiles":[{}]}}"#,
        profiles.join(",")
    );
    emulator.import(json.as_bytes()).expect("the account is valid");
}

/// Reads all pages of a list; `between` is called after each, with its names.
fn walk(
    client: &Client,
    action: &str,
    parameters: &[(&str, &str)],
    (list, name): (&str, &str),
    mut between: impl FnMut(&[String]),
) -> Vec<String> {
    let mut all = Vec::new();
    let mut marker: Option<String> = None;
    loop {
        let mut parameters = parameters.to_vec();
        parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let page = client.get(action, &parameters);
        let names = page.texts(list, name);
        between(&names);
        all.extend(names);
        marker = page.child("Marker").map(|marker| marker.content.clone());
        assert_eq!(page.text("IsTruncated"), marker.is_some().to_string());
        if marker.is_none() {
            return all;
        }
    }
}

const PROFILES: (&str, &str) = ("InstanceProfiles", PROFILE);

#[test]
fn twenty_thousand_profiles_come_once_each() {
    let client = populous(20_000);
    let mut pages = 0;
    let all = walk(&client, "ListInstanceProfiles", &[("MaxItems", "1000")], PROFILES, |names| {
        assert_eq!(names.len(), 1000);
        pages += 1;
    });
    assert_eq!(pages, 20, "a full last page is known to be the last");
    let distinct: BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (20_000, 20_000));

    // A prefix is plain text: it needs no slash at its end, and pages after a marker keep to it.
    for (prefix, expected) in [
        ("/", 20_000),
        ("/team", 12_000),
        ("/team/", 8_000),
        ("/team/a/", 4_000),
        ("/t", 12_000),
        ("/nothing", 0),
    ] {
        let parameters = [("PathPrefix", prefix), ("MaxItems", "999")];
        let found = walk(&client, "ListInstanceProfiles", &parameters, PROFILES, |_| {});
        assert_eq!(found.len(), expected, "{prefix}");
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), expected, "{prefix}");
    }
    let parameters = [("RoleName", "worker"), ("MaxItems", "500")];
    let of_role = walk(&client, "ListInstanceProfilesForRole", &parameters, PROFILES, |_| {});
    assert_eq!(of_role.iter().collect::<BTreeSet<_>>().len(), 6_667);
    assert_eq!(of_role.len(), 6_667);
    let default = client.get("ListInstanceProfiles", &[]);
    assert_eq!(default.members("InstanceProfiles").len(), 100, "100 unless asked for others");
}

#[test]
fn what_stays_is_shown_once_while_others_come_and_go() {
    let client = populous(1_000);
    let stays: BTreeSet<String> =
        (0..1_000).filter(|n| n % 4 != 0).map(|n| format!("p{n:05}")).collect();
    let mut made = 0;
    let mut gone = BTreeSet::new();
    let all = walk(&client, "ListInstanceProfiles", &[("MaxItems", "37")], PROFILES, |names| {
        // Deletes names of this page, so that the marker often points at a deleted one, and later
        // names.
        let later = format!("p{:05}", (made * 53) % 1_000);
        for name in names.iter().chain([&later]) {
            if !stays.contains(name) && gone.insert(name.clone()) {
                client.ask(
                    "RemoveRoleFromInstanceProfile",
                    &[(PROFILE, name), ("RoleName", "worker")],
                );
                client.get("DeleteInstanceProfile", &[(PROFILE, name)]);
            }
        }
        for path in ["/", "/team/", "/zone/", "/new/"] {
            made += 1;
            client.create_profile(&format!("x{made:04}"), path);
        }
    });
    let shown: BTreeSet<_> = all.iter().cloned().collect();
    assert_eq!(shown.len(), all.len(), "something was shown twice");
    assert!(shown.is_superset(&stays), "missing: {:?}", stays.difference(&shown));
}

#[test]
fn a_marker_outlives_the_only_profile_of_its_path() {
    let client = Client::of_empty_account();
    let longest = format!("/{}/", "x".repeat(510));
    let name = "n".repeat(128);
    client.create_profile(&name, &longest);
    client.create_profile("z", "/z/");
    let parameters = [("MaxItems", "1")];
    let marker = client.get("ListInstanceProfiles", &parameters).text("Marker");
    assert!(marker.len() <= 320, "{} characters", marker.len());
    assert!(marker.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    client.get("DeleteInstanceProfile", &[(PROFILE, &name)]);
    let rest = client.get("ListInstanceProfiles", &[("Marker", &marker)]);
    assert_eq!(rest.texts("InstanceProfiles", PROFILE), ["z"]);
}

#[test]
fn a_marker_is_good_for_its_own_list_only() {
    let client = populous(10);
    let marker = client.get("ListInstanceProfiles", &[("MaxItems", "3")]).text("Marker");
    let marker = marker.as_str();
    let other = Client::with_options(EmulatorSettings { seed: Some(99), ..options() });
    fill(&other.emulator, 10);
    let tampered = format!("A{}", &marker[1..]);
    for (client, action, parameters) in [
        (&client, "ListInstanceProfiles", vec![("Marker", marker), ("PathPrefix", "/team/")]),
        (&client, "ListInstanceProfilesForRole", vec![("Marker", marker), ("RoleName", "worker")]),
        (&client, "ListRoles", vec![("Marker", marker)]),
        (&client, "ListRoleTags", vec![("Marker", marker), ("RoleName", "worker")]),
        (&client, "ListInstanceProfileTags", vec![("Marker", marker), (PROFILE, "p00001")]),
        (&client, "ListAttachedRolePolicies", vec![("Marker", marker), ("RoleName", "worker")]),
        (&client, "ListAccountAliases", vec![("Marker", marker)]),
        (&client, "ListInstanceProfiles", vec![("Marker", "garbage")]),
        (&client, "ListInstanceProfiles", vec![("Marker", tampered.as_str())]),
        (&other, "ListInstanceProfiles", vec![("Marker", marker)]),
    ] {
        let refused = client.refused(action, &parameters);
        let expected = (400, "ValidationError".to_owned(), "Invalid Marker.".to_owned());
        assert_eq!(refused, expected, "{action} {parameters:?}");
    }
}

#[test]
fn tags_and_policies_page_too() {
    let client = Client::of_empty_account();
    client.create_profile("p", "/");
    client.create_role("r");
    for number in 1..=9 {
        let tag = [("Tags.member.1.Key", &*format!("k{number}")), ("Tags.member.1.Value", "v")];
        client.get("TagInstanceProfile", &[(PROFILE, "p"), tag[0], tag[1]]);
        client.get("TagRole", &[("RoleName", "r"), tag[0], tag[1]]);
    }
    let profile = [(PROFILE, "p"), ("MaxItems", "4")];
    let keys = walk(&client, "ListInstanceProfileTags", &profile, ("Tags", "Key"), |keys| {
        // Deletes the tag that the marker points at, changes one that was returned, and adds one.
        let last = keys.last().expect("a tag");
        client.get("UntagInstanceProfile", &[(PROFILE, "p"), ("TagKeys.member.1", last)]);
        let tag = [("Tags.member.1.Key", keys[0].as_str()), ("Tags.member.1.Value", "new")];
        client.get("TagInstanceProfile", &[(PROFILE, "p"), tag[0], tag[1]]);
    });
    assert_eq!(keys, (1..=9).map(|number| format!("k{number}")).collect::<Vec<_>>());

    let role = [("RoleName", "r"), ("MaxItems", "2")];
    let keys = walk(&client, "ListRoleTags", &role, ("Tags", "Key"), |_| {});
    assert_eq!(keys.len(), 9);

    let policies =
        ["ReadOnlyAccess", "AmazonS3ReadOnlyAccess", "SecurityAudit", "job-function/Billing"];
    for name in policies {
        let arn = format!("arn:aws:iam::aws:policy/{name}");
        client.get("AttachRolePolicy", &[("RoleName", "r"), ("PolicyArn", &arn)]);
    }
    let names = walk(
        &client,
        "ListAttachedRolePolicies",
        &[("RoleName", "r"), ("MaxItems", "1")],
        ("AttachedPolicies", "PolicyName"),
        |_| {},
    );
    assert_eq!(names, ["ReadOnlyAccess", "AmazonS3ReadOnlyAccess", "SecurityAudit", "Billing"]);
}
