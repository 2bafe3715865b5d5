//! Successful responses, element by element.

use super::{Client, Element, TRUST};

const PROFILE: &str = "InstanceProfileName";
const ROLE: &str = "RoleName";
const TAG: [(&str, &str); 2] =
    [("Tags.member.1.Key", "Team"), ("Tags.member.1.Value", "web/ops @é")];

const PROFILE_KEYS: [&str; 6] =
    ["Arn", "CreateDate", "InstanceProfileId", "InstanceProfileName", "Path", "Roles"];
const ROLE_KEYS: [&str; 6] =
    ["Arn", "AssumeRolePolicyDocument", "CreateDate", "Path", "RoleId", "RoleName"];

fn keys(base: &[&'static str], more: &[&'static str]) -> Vec<&'static str> {
    let mut keys = [base, more].concat();
    keys.sort_unstable();
    keys
}

fn is_id(id: &str, prefix: &str) -> bool {
    let rest = id.strip_prefix(prefix).unwrap_or_default();
    rest.len() == 17 && rest.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b))
}

#[test]
fn a_profile_and_when_it_shows_tags() {
    let client = Client::of_empty_account();
    let bare = client.get("CreateInstanceProfile", &[(PROFILE, "bare")]);
    let bare = bare.child("InstanceProfile").expect("a profile");
    assert_eq!(bare.keys(), PROFILE_KEYS, "no Tags unless some were given");
    assert_eq!(bare.text("Path"), "/");
    assert_eq!(bare.text("Arn"), "arn:aws:iam::123456789012:instance-profile/bare");
    assert_eq!(bare.text("CreateDate"), "2026-01-02T03:04:05Z");
    assert!(is_id(&bare.text("InstanceProfileId"), "AIPA"), "{bare:?}");

    let parameters = [(PROFILE, "Tagged"), ("Path", "/a/b/"), TAG[0], TAG[1]];
    let tagged = client.get("CreateInstanceProfile", &parameters);
    let tagged = tagged.child("InstanceProfile").expect("a profile");
    assert_eq!(tagged.keys(), keys(&PROFILE_KEYS, &["Tags"]));
    assert_eq!(tagged.text("Arn"), "arn:aws:iam::123456789012:instance-profile/a/b/Tagged");
    assert_eq!(tagged.tags(), [("Team".to_owned(), "web/ops @é".to_owned())].into());

    let got = client.get("GetInstanceProfile", &[(PROFILE, "bare")]);
    let got = got.child("InstanceProfile").expect("a profile");
    assert_eq!(got.keys(), keys(&PROFILE_KEYS, &["Tags"]), "Get has Tags also when there are none");
    assert!(got.tags().is_empty());

    let list = client.get("ListInstanceProfiles", &[]);
    assert_eq!(list.keys(), ["InstanceProfiles", "IsTruncated"], "a Marker only while truncated");
    assert_eq!(list.text("IsTruncated"), "false");
    assert_eq!(list.texts("InstanceProfiles", PROFILE), ["bare", "Tagged"]);
    for profile in list.members("InstanceProfiles") {
        assert_eq!(profile.keys(), PROFILE_KEYS, "List never has Tags");
    }
}

#[test]
fn a_role_and_what_each_answer_leaves_out() {
    let client = Client::of_empty_account();
    let parameters = [
        (ROLE, "full"),
        ("Path", "/x/"),
        ("AssumeRolePolicyDocument", TRUST),
        ("Description", "says <b>&\"\r\n"),
        ("MaxSessionDuration", "7200"),
        ("PermissionsBoundary", "arn:aws:iam::aws:policy/ReadOnlyAccess"),
        TAG[0],
        TAG[1],
    ];
    let created = client.get("CreateRole", &parameters);
    let created = created.child("Role").expect("a role");
    assert_eq!(created.keys(), keys(&ROLE_KEYS, &["PermissionsBoundary", "Tags"]));
    assert_eq!(created.text("Arn"), "arn:aws:iam::123456789012:role/x/full");
    assert!(is_id(&created.text("RoleId"), "AROA"), "{created:?}");

    client.create_role("plain");
    let plain = client.get("GetRole", &[(ROLE, "plain")]);
    let plain = plain.child("Role").expect("a role");
    assert_eq!(plain.keys(), keys(&ROLE_KEYS, &["MaxSessionDuration", "RoleLastUsed"]));
    assert_eq!(plain.text("MaxSessionDuration"), "3600");
    assert!(plain.child("RoleLastUsed").is_some_and(|used| used.children.is_empty()));

    let full = client.get("GetRole", &[(ROLE, "full")]);
    let full = full.child("Role").expect("a role");
    let more = ["Description", "MaxSessionDuration", "PermissionsBoundary", "RoleLastUsed", "Tags"];
    assert_eq!(full.keys(), keys(&ROLE_KEYS, &more));
    assert_eq!(full.text("Description"), "says <b>&\"\r\n");
    assert_eq!(full.text("PermissionsBoundary/PermissionsBoundaryType"), "Policy");

    let list = client.get("ListRoles", &[("PathPrefix", "/x")]);
    let [listed] = list.members("Roles") else { panic!("not one role: {list:?}") };
    assert_eq!(listed.keys(), keys(&ROLE_KEYS, &["Description", "MaxSessionDuration"]));
}

#[test]
fn the_role_in_a_profile_has_six_elements_and_an_encoded_document() {
    let client = Client::of_empty_account();
    client.create_profile("p", "/");
    let document = TRUST.replace("\"Version\"", " \"Version\"").replace("\":", "\" : ");
    client
        .get("CreateRole", &[(ROLE, "r"), ("AssumeRolePolicyDocument", &document), TAG[0], TAG[1]]);
    let added = client.ask("AddRoleToInstanceProfile", &[(PROFILE, "p"), (ROLE, "r")]);
    let added = Element::parse(&added.body);
    assert_eq!(added.keys(), ["ResponseMetadata"], "an answer without a result has no Result");
    for (action, parameter, list) in [
        ("GetInstanceProfile", (PROFILE, "P"), "InstanceProfile/Roles"),
        ("ListInstanceProfilesForRole", (ROLE, "R"), "InstanceProfiles/member/Roles"),
    ] {
        let result = client.get(action, &[parameter]);
        let [role] = result.members(list) else { panic!("not one role: {result:?}") };
        assert_eq!(role.keys(), ROLE_KEYS);
        let encoded = role.text("AssumeRolePolicyDocument");
        assert!(
            encoded.starts_with("%7B%20%22Version%22%20%3A%20%222012-10-17%22%2C"),
            "{encoded}"
        );
        let decoded = percent_encoding::percent_decode_str(&encoded).decode_utf8_lossy();
        assert_eq!(decoded, document);
    }
    client.get("RemoveRoleFromInstanceProfile", &[(PROFILE, "p"), (ROLE, "r")]);
    let result = client.get("GetInstanceProfile", &[(PROFILE, "p")]);
    assert!(result.members("InstanceProfile/Roles").is_empty());
    assert!(
        client
            .get("ListInstanceProfilesForRole", &[(ROLE, "r")])
            .members("InstanceProfiles")
            .is_empty()
    );
}

#[test]
fn envelopes_and_namespaces() {
    let client = Client::of_empty_account();
    let reply = client.ask("ListRoles", &[]);
    let response = Element::parse(&reply.body);
    assert_eq!(response.name, "ListRolesResponse");
    assert_eq!(response.attributes, "xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"");
    assert_eq!(response.text("ResponseMetadata/RequestId"), reply.request_id);

    let identity = Element::parse(&client.ask("GetCallerIdentity", &[]).body);
    assert_eq!(identity.attributes, "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"");

    let reply = client.ask("GetRole", &[(ROLE, "nope")]);
    let error = Element::parse(&reply.body);
    assert_eq!(error.name, "ErrorResponse");
    assert_eq!(error.keys(), ["Error", "RequestId"]);
    assert_eq!(error.child("Error").expect("an error").keys(), ["Code", "Message", "Type"]);
    assert_eq!(error.text("RequestId"), reply.request_id);
}

#[test]
fn tags_of_profiles_know_case_and_those_of_roles_do_not() {
    let client = Client::of_empty_account();
    client.create_profile("p", "/");
    client.create_role("r");
    let tag = |key: &'static str, value: &'static str| {
        [("Tags.member.1.Key", key), ("Tags.member.1.Value", value)]
    };
    for (action, name) in [("TagInstanceProfile", (PROFILE, "p")), ("TagRole", (ROLE, "r"))] {
        for [key, value] in [tag("Dept", "1"), tag("dept", "2"), tag("other", "")] {
            client.get(action, &[name, key, value]);
        }
    }
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let of_profile = client.get("ListInstanceProfileTags", &[(PROFILE, "p")]).tags();
    assert_eq!(of_profile, map(&[("Dept", "1"), ("dept", "2"), ("other", "")]));
    let of_role = client.get("ListRoleTags", &[(ROLE, "r")]).tags();
    assert_eq!(of_role, map(&[("dept", "2"), ("other", "")]));

    // A missing key is ignored, and an empty list is a list.
    let gone = [("TagKeys.member.1", "DEPT"), ("TagKeys.member.2", "never")];
    client.get("UntagInstanceProfile", &[(PROFILE, "p"), gone[0], gone[1]]);
    client.get("UntagRole", &[(ROLE, "r"), gone[0], gone[1]]);
    client.get("TagRole", &[(ROLE, "r"), ("Tags", "")]);
    assert_eq!(client.get("ListInstanceProfileTags", &[(PROFILE, "p")]).tags(), of_profile);
    assert_eq!(client.get("ListRoleTags", &[(ROLE, "r")]).tags(), map(&[("other", "")]));
}

#[test]
fn policies_are_attached_once_and_listed_by_path() {
    let client = Client::of_empty_account();
    client.create_role("r");
    let s3 = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    let batch = "arn:aws:iam::aws:policy/service-role/AWSBatchServiceRole";
    for arn in [s3, batch, s3] {
        client.get("AttachRolePolicy", &[(ROLE, "r"), ("PolicyArn", arn)]);
    }
    let list = |more: &[(&str, &str)]| {
        let result = client.get("ListAttachedRolePolicies", &[&[(ROLE, "r")], more].concat());
        result.texts("AttachedPolicies", "PolicyName")
    };
    assert_eq!(list(&[]), ["AmazonS3ReadOnlyAccess", "AWSBatchServiceRole"]);
    assert_eq!(list(&[("PathPrefix", "/service-role/")]), ["AWSBatchServiceRole"]);
    client.get("DetachRolePolicy", &[(ROLE, "r"), ("PolicyArn", s3)]);
    assert_eq!(list(&[]), ["AWSBatchServiceRole"]);
}

#[test]
fn a_profile_made_again_is_another_one() {
    let client = Client::of_empty_account();
    let id = || {
        let result = client.get("CreateInstanceProfile", &[(PROFILE, "p")]);
        client.get("DeleteInstanceProfile", &[(PROFILE, "p")]);
        result.text("InstanceProfile/InstanceProfileId")
    };
    assert_ne!(id(), id());
}
