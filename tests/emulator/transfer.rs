//! Export and import: an export can be imported, and an invalid file is refused as a whole.

use iamlua::emulator::{Emulator, Quota};
use iamlua::error::Kind;

use super::{Client, TRUST, options};

fn example() -> Client {
    Client::of(Emulator::in_memory(options()).expect("memory needs no file"))
}

fn export(client: &Client) -> String {
    let mut out = Vec::new();
    client.emulator.export(&mut out).expect("memory can be read");
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[test]
fn what_goes_out_comes_back() {
    let client = example();
    let own = "arn:aws:iam::123456789012:policy/team/own";
    let odd = format!(" {TRUST}\n");
    client.get("CreateRole", &[("RoleName", "Odd"), ("AssumeRolePolicyDocument", &odd)]);
    client.create_profile("Cased", "/odd/");
    client
        .get("AddRoleToInstanceProfile", &[("InstanceProfileName", "cased"), ("RoleName", "odd")]);
    client.emulator.set_quota(Quota::Roles, 77).expect("memory can be written");
    client.get(
        "CreatePolicy",
        &[("PolicyName", "own"), ("Path", "/team/"), ("PolicyDocument", &policy(" "))],
    );
    client.get("CreatePolicyVersion", &[("PolicyArn", own), ("PolicyDocument", &policy(""))]);
    client.get("CreatePolicyVersion", &[("PolicyArn", own), ("PolicyDocument", &policy(""))]);
    client.get("DeletePolicyVersion", &[("PolicyArn", own), ("VersionId", "v3")]);
    client.get("SetDefaultPolicyVersion", &[("PolicyArn", own), ("VersionId", "v2")]);
    for (name, space) in [("b", ""), ("a", " ")] {
        let document = ("PolicyDocument", &*policy(space));
        client.get("PutRolePolicy", &[("RoleName", "odd"), ("PolicyName", name), document]);
    }
    let exported = export(&client);

    let other = Client::of_empty_account();
    other.create_profile("overwritten", "/");
    let summary = other.emulator.import(exported.as_bytes()).expect("it is an export");
    assert_eq!(
        (summary.account_id.as_str(), summary.roles, summary.profiles),
        ("123456789012", 13, 25)
    );
    assert_eq!(export(&other), exported);
    assert_eq!(other.emulator.quotas().expect("readable").roles, 77);
    other.get("AttachRolePolicy", &[("RoleName", "Odd"), ("PolicyArn", own)]);
    let inline = other.get("ListRolePolicies", &[("RoleName", "Odd")]);
    let inline: Vec<_> = inline.members("PolicyNames").iter().map(|name| &*name.content).collect();
    assert_eq!(inline, ["b", "a"]);
    let version = [("PolicyArn", own), ("PolicyDocument", &*policy(""))];
    let version = other.get("CreatePolicyVersion", &version);
    assert_eq!(version.text("PolicyVersion/VersionId"), "v4", "v3 was there once");

    let file: serde_json::Value = serde_json::from_str(&exported).expect("JSON");
    let find = |section: &str, name: &str| {
        let entries = file[section].as_array().expect("a list");
        entries.iter().find(|entry| entry["name"] == name).expect("it is there").clone()
    };
    assert_eq!(
        find("roles", "Odd")["assume_role_policy"],
        odd.as_str(),
        "text that an object is not"
    );
    assert!(find("roles", "bastion")["assume_role_policy"].is_object());
    assert_eq!(find("profiles", "Cased")["role"], "Odd", "the role's name, not its key");
    assert_eq!(
        find("profiles", "Cased")["arn"],
        "arn:aws:iam::123456789012:instance-profile/odd/Cased"
    );
}

#[test]
fn little_is_enough_and_order_does_not_matter() {
    let client = Client::of_empty_account();
    let json = format!(
        r#"{{"account":{{"id":"000000000042"}},"profiles":[{{"name":"p","role":"R","tags":{{"a":"b"}}}}],
            "roles":[{{"name":"r","assume_role_policy":{TRUST},
            "attached_policies":["arn:aws:iam::aws:policy/MadeAfterThisProgram"]}}],
            "version":1,"format":"iamlua-account"}}"#
    );
    client.emulator.import(json.as_bytes()).expect("it is valid");
    assert_eq!(client.emulator.account_id().expect("readable"), "000000000042");
    let profile = client.get("GetInstanceProfile", &[("InstanceProfileName", "p")]);
    assert_eq!(profile.texts("InstanceProfile/Roles", "RoleName"), ["r"]);
    assert_eq!(profile.text("InstanceProfile/CreateDate"), "2026-01-02T03:04:05Z");
    assert_eq!(profile.text("InstanceProfile/Path"), "/");
    assert_eq!(client.get("GetCallerIdentity", &[]).text("Account"), "000000000042");
    let attached = client.get("ListAttachedRolePolicies", &[("RoleName", "r")]);
    assert_eq!(attached.texts("AttachedPolicies", "PolicyName"), ["MadeAfterThisProgram"]);
}

/// Policy with that text after its first brace.
fn policy(space: &str) -> String {
    format!(
        r#"{{{space}"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"s3:*","Resource":"*"}}]}}"#
    )
}

/// Earlier files have ARNs instead of objects, and a role may name a policy before its object.
#[test]
fn a_policy_may_be_an_arn() {
    let client = Client::of_empty_account();
    let [own, late] =
        ["own", "late"].map(|name| format!("arn:aws:iam::123456789012:policy/x/{name}"));
    let json = format!(
        r#"{{"format":"iamlua-account","version":1,
            "roles":[{{"name":"r","assume_role_policy":{TRUST},"attached_policies":["{own}","{late}"],
                       "inline_policies":{{"p":{}}}}}],
            "policies":["{own}","arn:aws:iam::aws:policy/MadeAfterThisProgram",
                        {{"name":"late","path":"/x/","arn":"{late}","document":{},"tags":{{"a":"b","A":"c"}}}}]}}"#,
        policy(""),
        policy("")
    );
    client.emulator.import(json.as_bytes()).expect("it is valid");
    let list = client.get("ListPolicies", &[("Scope", "Local"), ("OnlyAttached", "true")]);
    assert_eq!(list.texts("Policies", "PolicyName"), ["late", "own"]);
    client.get("GetPolicyVersion", &[("PolicyArn", &late), ("VersionId", "v1")]);
    let unknown = client.refused("GetPolicyVersion", &[("PolicyArn", &own), ("VersionId", "v1")]);
    assert_eq!(unknown.1, "NotImplemented");
    client.get("GetRolePolicy", &[("RoleName", "r"), ("PolicyName", "p")]);
    let made_after = ("PolicyArn", "arn:aws:iam::aws:policy/MadeAfterThisProgram");
    client.get("GetPolicy", &[made_after]);
    let first = export(&client);
    let other = Client::of_empty_account();
    other.emulator.import(first.as_bytes()).expect("it is an export");
    assert_eq!(export(&other), first);
    // Additions replace what has the same name.
    let document = policy(" ");
    let added = serde_json::json!({
        "format": "iamlua-account", "version": 1,
        "policies": [{"name": "OWN", "path": "/x/", "document": document}],
    });
    client.emulator.absorb(&added).expect("it is valid");
    let list = client.get("ListPolicies", &[("Scope", "Local")]);
    assert_eq!(list.texts("Policies", "PolicyName"), ["late", "OWN"]);
}

/// Asserts that each file, which has one error, is refused with that error, and changes nothing.
#[track_caller]
fn stay_out(files: &[(String, &str)]) {
    let client = example();
    let before = export(&client);
    for (json, message) in files {
        let error = client.emulator.import(json.as_bytes()).expect_err(json);
        assert_eq!((error.kind, error.message.as_str()), (Kind::Argument, *message), "{json}");
        assert_eq!(error.hints, ["nothing was imported; the account is as it was"], "{json}");
        assert!(export(&client) == before, "something of {json} got in");
    }
}

fn file(inside: &str) -> String {
    format!(r#"{{"format":"iamlua-account","version":1,{inside}}}"#)
}

fn profiles(entries: &str) -> String {
    file(&format!(r#""profiles":[{{"name":"good"}},{entries}]"#))
}

fn role(more: &str) -> String {
    file(&format!(r#""roles":[{{"name":"r","assume_role_policy":{TRUST},{more}}}]"#))
}

#[test]
fn wrong_profiles_stay_out() {
    let tags: Vec<_> = (0..51).map(|n| format!(r#""k{n}":"v""#)).collect();
    stay_out(&[
        (
            profiles(r#"{"name":"GOOD"}"#),
            "profiles[1].name: this name is there twice (names are unique ignoring case)",
        ),
        (profiles(r#"{"path":"/"}"#), "profiles[1].name: is missing"),
        (profiles(r#"{"name":7}"#), "profiles[1].name: must be a text, not a number"),
        (
            profiles(r#"{"name":"a/b"}"#),
            r"profiles[1].name: Member must satisfy regular expression pattern: [\w+=,.@-]*",
        ),
        (
            profiles(r#"{"name":"x","path":"/x"}"#),
            r"profiles[1].path: Member must satisfy regular expression pattern: (\u002F)|(\u002F[\u0021-\u007E]+\u002F)",
        ),
        (
            profiles(r#"{"name":"x","role":"ghost"}"#),
            "profiles[1].role: there is no role `ghost` among the roles",
        ),
        (
            profiles(r#"{"name":"x","rol":"r"}"#),
            "profiles[1].rol: is not a known key; did you mean `role`?",
        ),
        (
            profiles(
                r#"{"name":"x","id":"AIPA0000000000000000A"},{"name":"y","id":"AIPA0000000000000000A"}"#,
            ),
            "profiles[2].id: `AIPA0000000000000000A` is there twice",
        ),
        (
            profiles(r#"{"name":"x","create_date":"yesterday"}"#),
            "profiles[1].create_date: `yesterday` is not a date such as 2026-01-31T12:00:00Z",
        ),
        (
            profiles(r#"{"name":"x","arn":"arn:x"}"#),
            "profiles[1].arn: `arn:x` should be `arn:aws:iam::123456789012:instance-profile/x`",
        ),
        (
            profiles(r#"{"name":"x","tags":{"k":1}}"#),
            "profiles[1].tags.k: must be a text, not a number",
        ),
        (
            profiles(&format!(r#"{{"name":"x","tags":{{{}}}}}"#, tags.join(","))),
            "profiles[1].tags: 51 are more than 50",
        ),
        (profiles("7"), "profiles[1]: must be an object, not a number"),
    ]);
}

#[test]
fn wrong_roles_stay_out() {
    stay_out(&[
        (
            role(r#""tags":{"Dept":"a","dept":"b"}"#),
            "roles[0].tags.dept: is there twice (the keys of a role's tags ignore case)",
        ),
        (
            role(r#""attached_policies":["nope"]"#),
            "roles[0].attached_policies[0]: `nope` is not a managed policy's ARN",
        ),
        (
            role(r#""attached_policies":["arn:aws:iam::999999999999:policy/x"]"#),
            "roles[0].attached_policies[0]: `arn:aws:iam::999999999999:policy/x` is not in the account 123456789012",
        ),
        (
            role(r#""max_session_duration":60"#),
            "roles[0].max_session_duration: must be 3600 to 43200 seconds",
        ),
        (
            role(r#""last_used":{"date":"2026-01-01T00:00:00Z"}"#),
            "roles[0].last_used.region: is missing",
        ),
        (
            file(r#""roles":[{"name":"r","assume_role_policy":"{"}]"#),
            "roles[0].assume_role_policy: This policy contains invalid Json",
        ),
        (file(r#""roles":[{"name":"r"}]"#), "roles[0].assume_role_policy: is missing"),
    ]);
}

#[test]
fn wrong_policies_stay_out() {
    let policies = |entry: &str| file(&format!(r#""policies":[{entry}]"#));
    let document = policy("");
    let own = |more: &str| policies(&format!(r#"{{"name":"own",{more}}}"#));
    let versions = |list: &str| own(&format!(r#""versions":[{list}]"#));
    stay_out(&[
        (policies("7"), "policies[0]: must be an ARN, or an object with what is known of it"),
        (policies(r#""nope""#), "policies[0]: `nope` is not a managed policy's ARN"),
        (policies(r#"{"path":"/"}"#), "policies[0].name: is missing"),
        (
            own(r#""documents":{}"#),
            "policies[0].documents: is not a known key; did you mean `document`?",
        ),
        (
            own(r#""document":{"Version":"2012-10-17"}"#),
            "policies[0].document: Syntax errors in policy.",
        ),
        (
            own(&format!(r#""document":{document},"versions":[]"#)),
            "policies[0].document: must not be there beside `versions`, which have their own",
        ),
        (versions(""), "policies[0].versions: must be 1 to 5 versions"),
        (
            versions(r#"{"id":"1"}"#),
            "policies[0].versions[0].id: `1` is not the id of a version, such as v1",
        ),
        (
            versions(r#"{"id":"v2"},{"id":"v2"}"#),
            "policies[0].versions[1].id: must be higher than that of the version before",
        ),
        (
            own(r#""versions":[{"id":"v2"}],"default_version":"v1""#),
            "policies[0].default_version: there is no version v1",
        ),
        (
            own(r#""versions":[{"id":"v2"}],"last_version":"v1""#),
            "policies[0].last_version: must not be lower than the newest version, v2",
        ),
        (
            own(r#""arn":"arn:aws:iam::123456789012:policy/other""#),
            "policies[0].arn: `arn:aws:iam::123456789012:policy/other` should be `arn:aws:iam::123456789012:policy/own`",
        ),
        (
            policies(r#"{"name":"own"},{"name":"Own","path":"/x/"}"#),
            "policies[1].name: this name is there twice (names are unique ignoring case)",
        ),
        (
            policies(r#"{"name":"own"},"arn:aws:iam::123456789012:policy/x/own""#),
            "policies[1]: there is another policy with the name of `arn:aws:iam::123456789012:policy/x/own` (names are unique ignoring case)",
        ),
        (
            role(r#""inline_policies":{"a/b":{}}"#),
            r"roles[0].inline_policies.a/b: Member must satisfy regular expression pattern: [\w+=,.@-]*",
        ),
        (
            role(r#""inline_policies":{"p":{"Statement":[]}}"#),
            "roles[0].inline_policies.p: Syntax errors in policy.",
        ),
        (
            role(r#""inline_policies":["p"]"#),
            "roles[0].inline_policies: must be an object of policies, not a list",
        ),
    ]);
}

#[test]
fn wrong_files_stay_out() {
    stay_out(&[
        (
            file(r#""profiles":{}"#),
            "the account file cannot be used: invalid type: map, expected a list at line 1 column 51",
        ),
        (
            file(r#""account":{"quotas":{"profiles":1}},"profiles":[{"name":"a"},{"name":"b"}]"#),
            "profiles[1]: 2 are more than account.quotas.profiles, 1",
        ),
        (
            file(&format!(
                r#""account":{{"quotas":{{"policies_per_role":0}}}},"roles":[{{"name":"r","assume_role_policy":{TRUST},"attached_policies":["arn:aws:iam::aws:policy/ReadOnlyAccess"]}}]"#
            )),
            "roles[0].attached_policies: 1 are more than account.quotas.policies_per_role, 0",
        ),
        (
            file(r#""account":{"quotas":{"profile":1}}"#),
            "account.quotas.profile: is not a known key; did you mean `profiles`?",
        ),
        (file(r#""account":{"id":"12"}"#), "account.id: must be 12 digits"),
        (file(r#""profiles":[],"account":{},"profiles":[]"#), "profiles: is there twice"),
        (
            file(r#""profiles":[{"name":"a"}],"account":{}"#),
            "account: must come before the roles and profiles",
        ),
        (file(r#""profile":[]"#), "profile: is not a known key; did you mean `profiles`?"),
        (r#"{"format":"iamlua-account","version":2}"#.to_owned(), "version: must be 1, not 2"),
        (
            r#"{"format":"terraform","version":1}"#.to_owned(),
            "format: must be \"iamlua-account\", not \"terraform\"",
        ),
        (
            r#"{"profiles":[{"name":"a"}]}"#.to_owned(),
            "format: is missing: an account file has \"format\": \"iamlua-account\"",
        ),
        (
            profiles(r#"{"name":"x"}"#)[..60].to_owned(),
            "the account file cannot be used: EOF while parsing a string at line 1 column 60",
        ),
        (
            format!("{} x", profiles(r#"{"name":"x"}"#)),
            "the account file cannot be used: trailing characters at line 1 column 83",
        ),
        (
            "[]".to_owned(),
            "the account file cannot be used: invalid type: sequence, expected an account: an object with `format`, `version`, `account`, `roles`, `profiles` at line 1 column 1",
        ),
    ]);
}

#[test]
fn a_stream_that_breaks_leaves_everything_as_it_was() {
    struct Broken<'a>(&'a [u8]);
    impl std::io::Read for Broken<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(std::io::Error::other("the disk is gone")),
                count => Ok(count),
            }
        }
    }
    let client = example();
    let before = export(&client);
    let half = &before.as_bytes()[..before.len() / 2];
    let error = client.emulator.import(Broken(half)).expect_err("it broke");
    assert_eq!(error.kind, Kind::Io);
    assert!(error.message.contains("the disk is gone"), "{error}");
    assert!(export(&client) == before, "half an import got in");
}
