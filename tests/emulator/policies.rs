//! Inline and managed policies: responses, refusals, and their relation to roles. Texts and shapes
//! are from `LocalStack`'s recordings of AWS (`test_iam_policies`, `test_iam_managed_policies` and
//! `test_iam_roles`, February 2026) unless another source is named.

use std::time::Duration;

use iamlua::emulator::{Clock, Contents, Emulator, EmulatorSettings, Quota};

use super::{Client, Element, TRUST, options, stopped_clock};

const ROLE: (&str, &str) = ("RoleName", "r");
const ARN: &str = "arn:aws:iam::123456789012:policy/own";
const READ_ONLY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";
const DOCUMENT: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b"}]}"#;
const OTHER: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:Describe*","Resource":"*"}]}"#;

/// Fields of a managed policy in lists and in the response of `CreatePolicy`.
const KEYS: [&str; 10] = [
    "Arn",
    "AttachmentCount",
    "CreateDate",
    "DefaultVersionId",
    "IsAttachable",
    "Path",
    "PermissionsBoundaryUsageCount",
    "PolicyId",
    "PolicyName",
    "UpdateDate",
];

fn create(client: &Client, name: &str) -> Element {
    let created = client.get("CreatePolicy", &[("PolicyName", name), ("PolicyDocument", DOCUMENT)]);
    created.child("Policy").expect("a policy").clone()
}

fn put(client: &Client, name: &str, document: &str) {
    client.get("PutRolePolicy", &[ROLE, ("PolicyName", name), ("PolicyDocument", document)]);
}

fn inline_names(client: &Client) -> Vec<String> {
    let list = client.get("ListRolePolicies", &[ROLE]);
    list.members("PolicyNames").iter().map(|name| name.content.clone()).collect()
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Counts of a policy: attachments, and uses as a boundary.
fn counts(client: &Client, arn: &str) -> (String, String) {
    let policy = client.get("GetPolicy", &[("PolicyArn", arn)]);
    let count = |name: &str| policy.text(&format!("Policy/{name}"));
    (count("AttachmentCount"), count("PermissionsBoundaryUsageCount"))
}

fn names(client: &Client, parameters: &[(&str, &str)]) -> Vec<String> {
    client.get("ListPolicies", parameters).texts("Policies", "PolicyName")
}

/// Call, with status, code and message of its refusal.
type Case<'a> = (&'a str, Parameters<'a>, u16, &'a str, &'a str);
type Parameters<'a> = &'a [(&'a str, &'a str)];

#[track_caller]
fn check(client: &Client, cases: &[Case<'_>]) {
    for (action, parameters, status, code, message) in cases {
        let refused = client.refused(action, parameters);
        let expected = (*status, (*code).to_owned(), (*message).to_owned());
        assert_eq!(refused, expected, "{action} {parameters:?}");
    }
}

#[test]
fn inline_policies_come_and_go() {
    let client = Client::of_empty_account();
    client.create_role("r");
    assert!(inline_names(&client).is_empty());
    let spaced = DOCUMENT.replace("\":", "\" : ");
    let reply =
        client.ask("PutRolePolicy", &[ROLE, ("PolicyName", "one"), ("PolicyDocument", &spaced)]);
    assert_eq!(Element::parse(&reply.body).keys(), ["ResponseMetadata"]);
    put(&client, "two", DOCUMENT);
    assert_eq!(inline_names(&client), ["one", "two"]);

    let got = client.get("GetRolePolicy", &[("RoleName", "R"), ("PolicyName", "one")]);
    assert_eq!(got.keys(), ["PolicyDocument", "PolicyName", "RoleName"]);
    assert_eq!((got.text("RoleName"), got.text("PolicyName")), ("r".into(), "one".into()));
    let document = got.text("PolicyDocument");
    assert!(document.starts_with("%7B%22Version%22%20%3A%20%222012-10-17%22%2C"), "{document}");
    assert_eq!(decoded(&document), spaced, "the text is kept as it was given");

    // A second put replaces the first, in the same position.
    put(&client, "one", OTHER);
    assert_eq!(inline_names(&client), ["one", "two"]);
    let got = client.get("GetRolePolicy", &[ROLE, ("PolicyName", "one")]);
    assert_eq!(decoded(&got.text("PolicyDocument")), OTHER);

    client.get("DeleteRolePolicy", &[ROLE, ("PolicyName", "one")]);
    assert_eq!(inline_names(&client), ["two"]);
    let gone = "The role policy with name one cannot be found.";
    let no_role = "The role with name nope cannot be found.";
    let nope = ("RoleName", "nope");
    let one = ("PolicyName", "one");
    check(
        &client,
        &[
            ("GetRolePolicy", &[ROLE, one], 404, "NoSuchEntity", gone),
            ("DeleteRolePolicy", &[ROLE, one], 404, "NoSuchEntity", gone),
            ("GetRolePolicy", &[nope, one], 404, "NoSuchEntity", no_role),
            ("DeleteRolePolicy", &[nope, one], 404, "NoSuchEntity", no_role),
            ("ListRolePolicies", &[nope], 404, "NoSuchEntity", no_role),
            (
                "PutRolePolicy",
                &[nope, one, ("PolicyDocument", DOCUMENT)],
                404,
                "NoSuchEntity",
                no_role,
            ),
            (
                "PutRolePolicy",
                &[ROLE, ("PolicyName", "a/b"), ("PolicyDocument", DOCUMENT)],
                400,
                "ValidationError",
                "The specified value for policyName is invalid. It must contain only alphanumeric \
             characters and/or the following: +=,.@_-",
            ),
            (
                "DeleteRole",
                &[ROLE],
                409,
                "DeleteConflict",
                "Cannot delete entity, must delete policies first.",
            ),
        ],
    );
    client.get("DeleteRolePolicy", &[ROLE, ("PolicyName", "two")]);
    client.get("DeleteRole", &[ROLE]);
}

/// Text: many public reports, such as aws-amplify/amplify-cli issue 1699.
#[test]
fn all_inline_policies_of_a_role_share_one_quota() {
    let client = Client::of_empty_account();
    client.create_role("r");
    // White space does not count.
    let large = |characters: usize| {
        let fixed = DOCUMENT.len() - "arn:aws:s3:::b".len();
        let bucket = format!("arn:aws:s3:::{}", "b".repeat(characters - fixed - 13));
        DOCUMENT.replace("arn:aws:s3:::b", &bucket).replace(',', " ,\n")
    };
    put(&client, "one", &large(5_000));
    put(&client, "two", &large(5_240));
    check(
        &client,
        &[(
            "PutRolePolicy",
            &[ROLE, ("PolicyName", "two"), ("PolicyDocument", &large(5_241))],
            409,
            "LimitExceeded",
            "Maximum policy size of 10240 bytes exceeded for role r",
        )],
    );
    let got = client.get("GetRolePolicy", &[ROLE, ("PolicyName", "two")]);
    assert_eq!(decoded(&got.text("PolicyDocument")), large(5_240), "it is as it was");
}

#[test]
fn inline_policies_page() {
    let client = Client::of_empty_account();
    client.create_role("r");
    for number in 1..=5 {
        put(&client, &format!("p{number}"), DOCUMENT);
    }
    let mut all = Vec::new();
    let mut marker: Option<String> = None;
    loop {
        let mut parameters = vec![ROLE, ("MaxItems", "2")];
        parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
        let page = client.get("ListRolePolicies", &parameters);
        all.extend(page.members("PolicyNames").iter().map(|name| name.content.clone()));
        // Deletes the name that the marker points at.
        let last = all.last().expect("a name").clone();
        client.get("DeleteRolePolicy", &[ROLE, ("PolicyName", &last)]);
        marker = page.child("Marker").map(|marker| marker.content.clone());
        assert_eq!(page.text("IsTruncated"), marker.is_some().to_string());
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(all, ["p1", "p2", "p3", "p4", "p5"]);
}

#[test]
fn a_managed_policy_and_what_each_answer_leaves_out() {
    let client = Client::of_empty_account();
    let tag = [("Tags.member.1.Key", "Team"), ("Tags.member.1.Value", "web")];
    let created = client.get(
        "CreatePolicy",
        &[
            ("PolicyName", "own"),
            ("Path", "/team/a/"),
            ("Description", "says <b>"),
            ("PolicyDocument", DOCUMENT),
            tag[0],
            tag[1],
        ],
    );
    let created = created.child("Policy").expect("a policy");
    let mut with_tags = KEYS.to_vec();
    with_tags.insert(8, "Tags");
    with_tags.sort_unstable();
    assert_eq!(created.keys(), with_tags, "no Description, and Tags only if some were given");
    let arn = created.text("Arn");
    assert_eq!(arn, "arn:aws:iam::123456789012:policy/team/a/own");
    let id = created.text("PolicyId");
    assert!(id.starts_with("ANPA") && id.len() == 21, "{id}");
    assert_eq!(created.text("DefaultVersionId"), "v1");
    assert_eq!(created.text("IsAttachable"), "true");
    assert_eq!(created.text("UpdateDate"), "2026-01-02T03:04:05Z");

    let plain = create(&client, "plain");
    assert_eq!(plain.keys(), KEYS);

    let got = client.get("GetPolicy", &[("PolicyArn", &arn)]);
    let got = got.child("Policy").expect("a policy");
    let mut whole = with_tags.clone();
    whole.push("Description");
    whole.sort_unstable();
    assert_eq!(got.keys(), whole);
    assert_eq!(got.text("Description"), "says <b>");
    assert_eq!(got.tags().len(), 1);
    let got = client.get("GetPolicy", &[("PolicyArn", &plain.text("Arn"))]);
    let got = got.child("Policy").expect("a policy");
    assert_eq!(got.keys(), with_tags, "Get has Tags also when there are none");

    let list = client.get("ListPolicies", &[("Scope", "Local")]);
    assert_eq!(list.keys(), ["IsTruncated", "Policies"]);
    assert_eq!(list.texts("Policies", "PolicyName"), ["plain", "own"]);
    for policy in list.members("Policies") {
        assert_eq!(policy.keys(), KEYS);
    }
    let version = client.get("GetPolicyVersion", &[("PolicyArn", &arn), ("VersionId", "v1")]);
    let version = version.child("PolicyVersion").expect("a version");
    assert_eq!(version.keys(), ["CreateDate", "Document", "IsDefaultVersion", "VersionId"]);
    assert_eq!(decoded(&version.text("Document")), DOCUMENT);
    client.get("DeletePolicy", &[("PolicyArn", &arn)]);
    assert_eq!(names(&client, &[("Scope", "Local")]), ["plain"]);
}

#[test]
fn names_of_policies_are_unique_ignoring_case_and_paths() {
    let client = Client::of_empty_account();
    create(&client, "own");
    let document = ("PolicyDocument", DOCUMENT);
    let path = "The specified value for path is invalid. It must begin and end with / and contain \
                only alphanumeric characters and/or / characters.";
    check(
        &client,
        &[
            (
                "CreatePolicy",
                &[("PolicyName", "own"), document],
                409,
                "EntityAlreadyExists",
                "A policy called own already exists. Duplicate names are not allowed.",
            ),
            (
                "CreatePolicy",
                &[("PolicyName", "Own"), ("Path", "/x/"), document],
                409,
                "EntityAlreadyExists",
                "A policy called Own already exists. Duplicate names are not allowed.",
            ),
            (
                "CreatePolicy",
                &[("PolicyName", "x"), ("Path", "x"), document],
                400,
                "ValidationError",
                path,
            ),
        ],
    );
    let large = DOCUMENT.replace(":::b", &format!(":::{}", "b".repeat(6_144)));
    check(
        &client,
        &[(
            "CreatePolicy",
            &[("PolicyName", "large"), ("PolicyDocument", &large)],
            409,
            "LimitExceeded",
            "Cannot exceed quota for PolicySize: 6144",
        )],
    );
}

#[test]
fn policies_that_are_not_there() {
    let client = Client::of_empty_account();
    client.create_role("r");
    let arn = ("PolicyArn", ARN);
    let v1 = ("VersionId", "v1");
    let tag = [("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")];
    let no = (404, "NoSuchEntity");
    let not_found = format!("Policy {ARN} was not found.");
    let not_attachable = format!("Policy {ARN} does not exist or is not attachable.");
    let no_version = format!("Policy {ARN} version v1 does not exist or is not attachable.");
    let cases: [(&str, Parameters<'_>, &str); 10] = [
        ("GetPolicy", &[arn], &not_attachable),
        ("DeletePolicy", &[arn], &not_found),
        ("TagPolicy", &[arn, tag[0], tag[1]], &not_found),
        ("UntagPolicy", &[arn, ("TagKeys.member.1", "k")], &not_found),
        ("ListPolicyTags", &[arn], &not_found),
        ("GetPolicyVersion", &[arn, v1], &no_version),
        ("SetDefaultPolicyVersion", &[arn, v1], &no_version),
        ("DeletePolicyVersion", &[arn, v1], &no_version),
        ("ListEntitiesForPolicy", &[arn], &not_attachable),
        ("AttachRolePolicy", &[ROLE, arn], &not_attachable),
    ];
    for (action, parameters, message) in cases {
        check(&client, &[(action, parameters, no.0, no.1, message)]);
    }
    let ghost = "arn:aws:iam::aws:policy/NoSuchPolicyAnywhere";
    let message = format!("Policy {ghost} was not found.");
    check(&client, &[("GetPolicy", &[("PolicyArn", ghost)], no.0, no.1, &message)]);
    // An ARN has a path and a name, in the same case, in the same account.
    create(&client, "own");
    for arn in [
        "arn:aws:iam::123456789012:policy/OWN",
        "arn:aws:iam::123456789012:policy/x/own",
        "arn:aws:iam::210987654321:policy/own",
    ] {
        let refused = client.refused("AttachRolePolicy", &[ROLE, ("PolicyArn", arn)]);
        let message = format!("Policy {arn} does not exist or is not attachable.");
        assert_eq!(refused, (404, "NoSuchEntity".to_owned(), message));
    }
    let bad = "ARN this-is-no-policy-arn is not valid.";
    let malformed = [("PolicyArn", "this-is-no-policy-arn")];
    for action in ["GetPolicy", "DeletePolicy", "ListEntitiesForPolicy", "ListPolicyVersions"] {
        check(&client, &[(action, &malformed, 400, "ValidationError", bad)]);
    }
}

#[test]
fn versions_are_numbered_for_good() {
    let client = Client::of_empty_account();
    create(&client, "own");
    let arn = ("PolicyArn", ARN);
    let add = |more: &[(&str, &str)]| {
        let parameters = [&[arn, ("PolicyDocument", OTHER)], more].concat();
        let version = client.get("CreatePolicyVersion", &parameters);
        let version = version.child("PolicyVersion").expect("a version").clone();
        assert_eq!(version.keys(), ["CreateDate", "IsDefaultVersion", "VersionId"]);
        (version.text("VersionId"), version.text("IsDefaultVersion"))
    };
    let list = || {
        let list = client.get("ListPolicyVersions", &[arn]);
        let versions = list.members("Versions").iter().map(|version| {
            assert_eq!(version.keys(), ["CreateDate", "IsDefaultVersion", "VersionId"]);
            let star = if version.text("IsDefaultVersion") == "true" { "*" } else { "" };
            format!("{}{star}", version.text("VersionId"))
        });
        versions.collect::<Vec<_>>()
    };
    assert_eq!(add(&[]), ("v2".to_owned(), "false".to_owned()));
    assert_eq!(add(&[("SetAsDefault", "true")]), ("v3".to_owned(), "true".to_owned()));
    assert_eq!(list(), ["v3*", "v2", "v1"], "the newest comes first");
    client.get("SetDefaultPolicyVersion", &[arn, ("VersionId", "v1")]);
    assert_eq!(list(), ["v3", "v2", "v1*"]);
    add(&[]);
    add(&[("SetAsDefault", "false")]);
    let (first, second) = {
        let page = client.get("ListPolicyVersions", &[arn, ("MaxItems", "3")]);
        let marker = page.text("Marker");
        let rest = client.get("ListPolicyVersions", &[arn, ("Marker", &marker)]);
        (page.texts("Versions", "VersionId"), rest.texts("Versions", "VersionId"))
    };
    assert_eq!((first.join(" "), second.join(" ")), ("v5 v4 v3".into(), "v2 v1".into()));
    let nine = format!("Policy {ARN} version v9 does not exist or is not attachable.");
    let pattern = r"1 validation error detected: Value at 'versionId' failed to satisfy constraint: Member must satisfy regular expression pattern: v[1-9][0-9]*(\.[A-Za-z0-9-]*)?";
    check(
        &client,
        &[
            (
                "CreatePolicyVersion",
                &[arn, ("PolicyDocument", OTHER)],
                409,
                "LimitExceeded",
                "A managed policy can have up to 5 versions. Before you create a new version, you must \
             delete an existing version.",
            ),
            (
                "DeletePolicyVersion",
                &[arn, ("VersionId", "v1")],
                409,
                "DeleteConflict",
                "Cannot delete the default version of a policy.",
            ),
            ("GetPolicyVersion", &[arn, ("VersionId", "v9")], 404, "NoSuchEntity", &nine),
            ("DeletePolicyVersion", &[arn, ("VersionId", "v9")], 404, "NoSuchEntity", &nine),
            ("SetDefaultPolicyVersion", &[arn, ("VersionId", "v9")], 404, "NoSuchEntity", &nine),
            ("GetPolicyVersion", &[arn, ("VersionId", "wrong")], 400, "ValidationError", pattern),
            (
                "CreatePolicyVersion",
                &[arn, ("PolicyDocument", "{")],
                400,
                "MalformedPolicyDocument",
                "Syntax errors in policy.",
            ),
            // Text: the first issue of aws-nuke.
            (
                "DeletePolicy",
                &[arn],
                409,
                "DeleteConflict",
                "This policy has more than one version. Before you delete a policy, you must delete \
             the policy's versions. The default version is deleted with the policy.",
            ),
        ],
    );
    client.get("DeletePolicyVersion", &[arn, ("VersionId", "v5")]);
    assert_eq!(add(&[]).0, "v6", "a number is not given twice");
    for version in ["v6", "v4", "v3", "v2"] {
        client.get("DeletePolicyVersion", &[arn, ("VersionId", version)]);
    }
    client.get("DeletePolicy", &[arn]);
}

#[test]
fn a_policy_in_use_stays() {
    let client = Client::of_empty_account();
    client.create_role("r");
    create(&client, "own");
    let arn = ("PolicyArn", ARN);
    client.get(
        "CreateRole",
        &[
            ("RoleName", "bounded"),
            ("AssumeRolePolicyDocument", TRUST),
            ("PermissionsBoundary", ARN),
        ],
    );
    client.get("AttachRolePolicy", &[ROLE, arn]);
    assert_eq!(counts(&client, ARN), ("1".into(), "1".into()));
    let conflict = "Cannot delete a policy attached to entities.";
    check(&client, &[("DeletePolicy", &[arn], 409, "DeleteConflict", conflict)]);
    client.get("DetachRolePolicy", &[ROLE, arn]);
    assert_eq!(counts(&client, ARN), ("0".into(), "1".into()));
    check(&client, &[("DeletePolicy", &[arn], 409, "DeleteConflict", conflict)]);
    client.get("DeleteRole", &[("RoleName", "bounded")]);
    assert_eq!(counts(&client, ARN), ("0".into(), "0".into()));
    client.get("DeletePolicy", &[arn]);
}

#[test]
fn those_who_use_a_policy_are_listed() {
    let client = Client::of_empty_account();
    create(&client, "own");
    for (name, path) in [("c", "/"), ("b", "/team/"), ("a", "/team/")] {
        let parameters = [
            ("RoleName", name),
            ("Path", path),
            ("AssumeRolePolicyDocument", TRUST),
            ("PermissionsBoundary", if name == "c" { ARN } else { READ_ONLY }),
        ];
        client.get("CreateRole", &parameters);
        client.get("AttachRolePolicy", &[("RoleName", name), ("PolicyArn", ARN)]);
    }
    let roles = |more: &[(&str, &str)]| {
        let parameters = [&[("PolicyArn", ARN)], more].concat();
        let list = client.get("ListEntitiesForPolicy", &parameters);
        let lists = ["IsTruncated", "PolicyGroups", "PolicyRoles", "PolicyUsers"];
        assert_eq!(list.keys(), lists);
        assert!(list.members("PolicyGroups").is_empty() && list.members("PolicyUsers").is_empty());
        for role in list.members("PolicyRoles") {
            assert_eq!(role.keys(), ["RoleId", "RoleName"]);
        }
        list.texts("PolicyRoles", "RoleName").join(" ")
    };
    assert_eq!(roles(&[]), "c a b");
    assert_eq!(roles(&[("EntityFilter", "Role")]), "c a b");
    assert_eq!(roles(&[("PathPrefix", "/team/")]), "a b");
    assert_eq!(roles(&[("PolicyUsageFilter", "PermissionsBoundary")]), "c");
    assert_eq!(roles(&[("PolicyUsageFilter", "PermissionsPolicy")]), "c a b");
    for none in ["User", "Group", "LocalManagedPolicy", "AWSManagedPolicy"] {
        assert_eq!(roles(&[("EntityFilter", none)]), "", "{none}");
    }
    let page = client.get("ListEntitiesForPolicy", &[("PolicyArn", ARN), ("MaxItems", "2")]);
    assert_eq!(page.texts("PolicyRoles", "RoleName"), ["c", "a"]);
    let marker = page.text("Marker");
    assert_eq!(roles(&[("Marker", &marker)]), "b");
    let (_, code, message) =
        client.refused("ListEntitiesForPolicy", &[("PolicyArn", ARN), ("EntityFilter", "Robot")]);
    assert_eq!(code, "ValidationError");
    assert!(
        message.contains(
            "'entityFilter' failed to satisfy constraint: Member must satisfy enum value set: ["
        ),
        "{message}"
    );
}

#[test]
fn the_tags_of_policies_know_case() {
    let client = Client::of_empty_account();
    create(&client, "own");
    let arn = ("PolicyArn", ARN);
    let tags = || client.get("ListPolicyTags", &[arn]).texts("Tags", "Key").join(" ");
    let member = |number: usize, key: &str| {
        [
            (format!("Tags.member.{number}.Key"), key.to_owned()),
            (format!("Tags.member.{number}.Value"), "v".to_owned()),
        ]
    };
    let keys = ["abc", "b", "z", "a", "A"];
    let pairs: Vec<_> = (1..).zip(keys).flat_map(|(number, key)| member(number, key)).collect();
    let mut parameters = vec![arn];
    parameters.extend(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    client.get("TagPolicy", &parameters);
    assert_eq!(tags(), "A a b z abc", "short keys come first");
    let page = client.get("ListPolicyTags", &[arn, ("MaxItems", "3")]);
    let marker = page.text("Marker");
    let rest = client.get("ListPolicyTags", &[arn, ("Marker", &marker)]);
    assert_eq!(page.texts("Tags", "Key"), ["A", "a", "b"]);
    assert_eq!(rest.texts("Tags", "Key"), ["z", "abc"]);
    client.get("UntagPolicy", &[arn, ("TagKeys.member.1", "a"), ("TagKeys.member.2", "no")]);
    assert_eq!(tags(), "A b z abc");
    let twice = [
        arn,
        ("Tags.member.1.Key", "k"),
        ("Tags.member.1.Value", ""),
        ("Tags.member.2.Key", "k"),
        ("Tags.member.2.Value", ""),
    ];
    check(&client, &[("TagPolicy", &twice, 400, "InvalidInput", "Duplicate tag keys found.")]);
}

#[test]
fn policies_of_aws_are_read_and_never_written() {
    let client = Client::of_empty_account();
    let arn = "arn:aws:iam::aws:policy/job-function/SystemAdministrator";
    let got = client.get("GetPolicy", &[("PolicyArn", arn)]);
    let got = got.child("Policy").expect("a policy");
    assert_eq!(got.text("Path"), "/job-function/");
    assert_eq!(got.text("PolicyName"), "SystemAdministrator");
    assert_eq!(got.text("IsAttachable"), "true");
    assert!(got.members("Tags").is_empty());
    let id = got.text("PolicyId");
    assert!(id.starts_with("ANPA") && id.len() == 21, "{id}");
    let versions = client.get("ListPolicyVersions", &[("PolicyArn", arn)]);
    assert_eq!(versions.texts("Versions", "VersionId"), [got.text("DefaultVersionId")]);
    assert!(client.get("ListPolicyTags", &[("PolicyArn", arn)]).members("Tags").is_empty());

    let policy = ("PolicyArn", arn);
    let v1 = ("VersionId", "v1");
    let denied = (403, "AccessDenied");
    let update = "Cannot update policies outside your own account.";
    let tag = [("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")];
    check(
        &client,
        &[
            (
                "DeletePolicy",
                &[policy],
                denied.0,
                denied.1,
                "Cannot delete policies outside your own account.",
            ),
            (
                "DeletePolicyVersion",
                &[policy, v1],
                denied.0,
                denied.1,
                "Cannot delete policy versions for policies outside your own account.",
            ),
            ("SetDefaultPolicyVersion", &[policy, v1], denied.0, denied.1, update),
            // These two are not recorded.
            (
                "CreatePolicyVersion",
                &[policy, ("PolicyDocument", DOCUMENT)],
                denied.0,
                denied.1,
                update,
            ),
            ("TagPolicy", &[policy, tag[0], tag[1]], denied.0, denied.1, update),
            // An unknown version is reported with an error that no client retries.
            (
                "GetPolicyVersion",
                &[policy, v1],
                501,
                "NotImplemented",
                "The local account does not know the document of \
             arn:aws:iam::aws:policy/job-function/SystemAdministrator. It keeps the documents of \
             customer managed policies that were created in it or imported with a document.",
            ),
        ],
    );
}

#[test]
fn lists_of_policies_are_filtered_and_paged() {
    let client = Client::of_empty_account();
    for name in ["one", "two", "three"] {
        create(&client, name);
    }
    let three = "arn:aws:iam::123456789012:policy/three";
    client.create_role("r");
    client.get("AttachRolePolicy", &[ROLE, ("PolicyArn", three)]);
    client.get("AttachRolePolicy", &[ROLE, ("PolicyArn", READ_ONLY)]);
    client.get(
        "CreateRole",
        &[
            ("RoleName", "bounded"),
            ("AssumeRolePolicyDocument", TRUST),
            ("PermissionsBoundary", "arn:aws:iam::123456789012:policy/one"),
        ],
    );

    assert_eq!(names(&client, &[("Scope", "Local")]), ["one", "three", "two"]);
    let oldest = names(&client, &[("Scope", "AWS"), ("MaxItems", "3")]);
    assert_eq!(oldest, ["AdministratorAccess", "PowerUserAccess", "ReadOnlyAccess"]);
    let first = names(&client, &[("MaxItems", "5")]);
    assert_eq!(first, ["one", "three", "two", "AdministratorAccess", "PowerUserAccess"]);
    assert_eq!(names(&client, &[("OnlyAttached", "true")]), ["three", "ReadOnlyAccess"]);
    assert_eq!(names(&client, &[("OnlyAttached", "true"), ("Scope", "Local")]), ["three"]);
    assert_eq!(names(&client, &[("PolicyUsageFilter", "PermissionsBoundary")]), ["one"]);
    let permissions = [("PolicyUsageFilter", "PermissionsPolicy"), ("Scope", "Local")];
    assert_eq!(names(&client, &permissions), ["three", "two"]);
    let functions = names(&client, &[("PathPrefix", "/job-function/")]);
    assert!(functions.contains(&"SystemAdministrator".to_owned()) && functions.len() < 30);

    // Every policy is listed once, also where the account's own policies end and those of AWS
    // begin.
    for size in ["1", "2", "3", "4", "100", "1000"] {
        let mut all = Vec::new();
        let mut marker: Option<String> = None;
        while all.len() < 8 || (size.len() > 2 && marker.is_some()) {
            let mut parameters = vec![("MaxItems", size)];
            parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
            let page = client.get("ListPolicies", &parameters);
            all.extend(page.texts("Policies", "Arn"));
            marker = page.child("Marker").map(|marker| marker.content.clone());
        }
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{size}");
        assert!(all[2].ends_with("/two") && all[3].ends_with("/AdministratorAccess"), "{size}");
        assert!(size.len() < 3 || all.len() > 1_500, "{}", all.len());
    }
    let marker = client.get("ListPolicies", &[("MaxItems", "1")]).text("Marker");
    for parameters in [
        [("Marker", marker.as_str()), ("Scope", "Local")],
        [("Marker", marker.as_str()), ("OnlyAttached", "true")],
    ] {
        let refused = client.refused("ListPolicies", &parameters);
        assert_eq!(refused.2, "Invalid Marker.", "{parameters:?}");
    }
    let (status, code, _) = client.refused("ListPolicies", &[("OnlyAttached", "perhaps")]);
    assert_eq!((status, code.as_str()), (400, "MalformedInput"));
    let (_, code, message) = client.refused("ListPolicies", &[("Scope", "Mine")]);
    assert_eq!(code, "ValidationError");
    assert!(message.contains("Value at 'scope' failed to satisfy constraint"), "{message}");
}

#[test]
fn the_summary_counts_policies_and_versions() {
    let client = Client::of_empty_account();
    let value = |key: &str| {
        let summary = client.get("GetAccountSummary", &[]);
        let entries = summary.child("SummaryMap").expect("a map").children.clone();
        let entry = entries.iter().find(|entry| entry.text("key") == key).cloned();
        entry.unwrap_or_else(|| panic!("no {key}")).text("value")
    };
    create(&client, "own");
    create(&client, "two");
    client.get("CreatePolicyVersion", &[("PolicyArn", ARN), ("PolicyDocument", OTHER)]);
    assert_eq!((value("Policies"), value("PolicyVersionsInUse")), ("2".into(), "3".into()));
    client.get("DeletePolicy", &[("PolicyArn", "arn:aws:iam::123456789012:policy/two")]);
    assert_eq!((value("Policies"), value("PolicyVersionsInUse")), ("1".into(), "2".into()));
}

#[test]
fn policies_lag_like_everything_else() {
    let clock = stopped_clock();
    let faults = "lag=2s".parse().expect("the faults are well written");
    let client = Client::with_options(EmulatorSettings {
        clock: Clock::Manual(clock.clone()),
        faults,
        ..options()
    });
    let later = |milliseconds| clock.advance(Duration::from_millis(milliseconds));
    client.create_role("r");
    later(2_000);

    create(&client, "own");
    put(&client, "inline", DOCUMENT);
    assert!(names(&client, &[("Scope", "Local")]).is_empty());
    assert_eq!(client.refused("GetPolicy", &[("PolicyArn", ARN)]).0, 404);
    assert!(inline_names(&client).is_empty());
    // A write sees the current state.
    client.get("AttachRolePolicy", &[ROLE, ("PolicyArn", ARN)]);
    assert_eq!(client.refused("DeleteRole", &[ROLE]).1, "DeleteConflict");
    later(1_999);
    assert!(inline_names(&client).is_empty());
    later(1);
    assert_eq!(inline_names(&client), ["inline"]);
    assert_eq!(names(&client, &[("Scope", "Local")]), ["own"]);
    assert_eq!(counts(&client, ARN).0, "1");

    // A count agrees with the roles that the same read would see.
    client.get("DetachRolePolicy", &[ROLE, ("PolicyArn", ARN)]);
    let users = || {
        let list = client.get("ListEntitiesForPolicy", &[("PolicyArn", ARN)]);
        list.texts("PolicyRoles", "RoleName").len()
    };
    assert_eq!((counts(&client, ARN).0.as_str(), users()), ("1", 1));
    assert_eq!(names(&client, &[("Scope", "Local"), ("OnlyAttached", "true")]), ["own"]);
    client.get("DeletePolicy", &[("PolicyArn", ARN)]);
    assert_eq!(counts(&client, ARN).0, "1", "it is still seen, with its role");
    later(2_000);
    assert_eq!(client.refused("GetPolicy", &[("PolicyArn", ARN)]).0, 404);
    client.get("AttachRolePolicy", &[ROLE, ("PolicyArn", READ_ONLY)]);
    assert_eq!(counts(&client, READ_ONLY).0, "0");
    later(2_000);
    assert_eq!(counts(&client, READ_ONLY).0, "1");
}

#[test]
fn faults_and_quotas_hold_for_policies_too() {
    let faults = "deny=iam:*RolePolicy".parse().expect("the faults are well written");
    let client = Client::with_options(EmulatorSettings { faults, ..options() });
    client.create_role("r");
    let parameters = [ROLE, ("PolicyName", "p"), ("PolicyDocument", DOCUMENT)];
    assert_eq!(client.refused("PutRolePolicy", &parameters).1, "AccessDenied");
    create(&client, "own");

    let client = Client::of_empty_account();
    client.create_role("r");
    create(&client, "own");
    client.emulator.set_quota(Quota::PoliciesPerRole, 0).expect("memory can be written");
    let attach = [ROLE, ("PolicyArn", ARN)];
    let message = "Cannot exceed quota for PoliciesPerRole: 0";
    check(&client, &[("AttachRolePolicy", &attach, 409, "LimitExceeded", message)]);
}

/// The text of this quota is not recorded; it has the form of all others.
#[test]
fn an_account_has_at_most_1500_policies() {
    let client = Client::of_empty_account();
    let policies: Vec<_> = (0..1_500)
        .map(|number| format!(r#"{{"name":"p{number}","document":{DOCUMENT}}}"#))
        .collect();
    let json =
        format!(r#"{{"format":"iamlua-account","version":1,"policies":[{}]}}"#, policies.join(","));
    client.emulator.import(json.as_bytes()).expect("the account is valid");
    check(
        &client,
        &[(
            "CreatePolicy",
            &[("PolicyName", "one-more"), ("PolicyDocument", DOCUMENT)],
            409,
            "LimitExceeded",
            "Cannot exceed quota for PoliciesPerAccount: 1500",
        )],
    );
}

#[test]
fn the_operator_is_a_user() {
    let client = Client::of_empty_account();
    let me = client.get("GetUser", &[]);
    let me = me.child("User").expect("a user");
    assert_eq!(me.keys(), ["Arn", "CreateDate", "Path", "UserId", "UserName"]);
    let identity = client.get("GetCallerIdentity", &[]);
    assert_eq!(
        (me.text("Arn"), me.text("UserId")),
        (identity.text("Arn"), identity.text("UserId"))
    );
    let named = client.get("GetUser", &[("UserName", "Local-Operator")]);
    assert_eq!(named.text("User/UserName"), "local-operator");
    let users = client.get("ListUsers", &[]);
    assert_eq!(users.texts("Users", "UserName"), ["local-operator"]);
    assert!(client.get("ListUsers", &[("PathPrefix", "/x/")]).members("Users").is_empty());
    check(
        &client,
        &[(
            "GetUser",
            &[("UserName", "nope")],
            404,
            "NoSuchEntity",
            "The user with name nope cannot be found.",
        )],
    );

    // Recorded for DeleteAccessKey (test_access_key_errors). GetUser determines the caller in the
    // same way.
    let anybody = TRUST.replace(
        r#"{"Service":"ec2.amazonaws.com"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:root"}"#,
    );
    client.get("CreateRole", &[("RoleName", "r"), ("AssumeRolePolicyDocument", &anybody)]);
    let role = ("RoleArn", "arn:aws:iam::123456789012:role/r");
    let session = client.get("AssumeRole", &[role, ("RoleSessionName", "session")]);
    let worker = client.with_access_key(&session.text("Credentials/AccessKeyId"));
    check(
        &worker,
        &[(
            "GetUser",
            &[],
            400,
            "ValidationError",
            "Must specify userName when calling with non-User credentials",
        )],
    );
    worker.get("GetUser", &[("UserName", "local-operator")]);
}

#[test]
fn the_example_has_policies_of_its_own() {
    let client = Client::of(Emulator::in_memory(options()).expect("memory needs no file"));
    let own = client.get("ListPolicies", &[("Scope", "Local")]);
    let own = own.members("Policies");
    assert!(!own.is_empty());
    for policy in own {
        let arn = policy.text("Arn");
        assert_ne!(policy.text("AttachmentCount"), "0", "{arn}");
        let version = [("PolicyArn", arn.as_str()), ("VersionId", "v1")];
        client.get("GetPolicyVersion", &version);
    }
    let roles = client.get("ListRoles", &[]).texts("Roles", "RoleName");
    let inline = roles.iter().filter(|role| {
        let list = client.get("ListRolePolicies", &[("RoleName", role)]);
        !list.members("PolicyNames").is_empty()
    });
    assert!(inline.count() > 0, "no role has an inline policy");
    client.emulator.reset(Contents::Empty).expect("memory can be written");
    assert!(names(&client, &[("Scope", "Local")]).is_empty());
    assert!(names(&client, &[("OnlyAttached", "true")]).is_empty());
}
