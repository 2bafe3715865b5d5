//! Accounts of other partitions. The ARNs are those of the AWS General Reference, "Amazon Resource
//! Names", with the partitions of botocore's `partitions.json`.

use serde_json::{Value, json};

use super::{Client, TRUST};

const ROLE: &str = "RoleName";
const SESSION: (&str, &str) = ("RoleSessionName", "session");

fn account(partition: &str) -> Client {
    let arn = |rest: &str| format!("arn:{partition}:iam::{rest}");
    let statement = json!({"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"AWS": arn("123456789012:root")}});
    let account = json!({"format": "iamlua-account", "version": 1,
        "account": {"id": "123456789012", "partition": partition},
        "policies": [arn("123456789012:policy/own")],
        "roles": [{"name": "r", "arn": arn("123456789012:role/r"),
            "assume_role_policy": {"Version": "2012-10-17", "Statement": [statement]},
            "attached_policies": [arn("aws:policy/ReadOnlyAccess")],
            "permissions_boundary": arn("123456789012:policy/own")}],
        "profiles": [{"name": "p", "role": "r"}],
        "resources": [{"kind": "ecs.capacity_provider", "region": "us-east-1", "name": "c",
            "cluster": "main", "profile": "p"}]});
    let client = Client::of_empty_account();
    client.emulator.import(account.to_string().as_bytes()).expect("it is an account");
    client
}

#[test]
fn every_arn_is_of_the_accounts_partition() {
    for partition in ["aws", "aws-cn", "aws-us-gov", "aws-eusc"] {
        let client = account(partition);
        let start = format!("arn:{partition}:");
        let arn = |rest: &str| format!("{start}{rest}");
        let profile = client.get("GetInstanceProfile", &[("InstanceProfileName", "p")]);
        assert_eq!(
            profile.text("InstanceProfile/Arn"),
            arn("iam::123456789012:instance-profile/p")
        );
        let role = arn("iam::123456789012:role/r");
        assert_eq!(profile.text("InstanceProfile/Roles/member/Arn"), role);
        assert!(client.trust_of("r").contains(&arn("iam::123456789012:root")));
        let attached = client.get("ListAttachedRolePolicies", &[(ROLE, "r")]);
        let read_only = arn("iam::aws:policy/ReadOnlyAccess");
        assert_eq!(attached.texts("AttachedPolicies", "PolicyArn"), [read_only.as_str()]);
        client.get("DetachRolePolicy", &[(ROLE, "r"), ("PolicyArn", &read_only)]);
        client.get("AttachRolePolicy", &[(ROLE, "r"), ("PolicyArn", &read_only)]);
        let caller = client.get("GetCallerIdentity", &[]).text("Arn");
        assert_eq!(caller, arn("iam::123456789012:user/local-operator"));
        let assumed = client.get("AssumeRole", &[("RoleArn", &role), SESSION]);
        assert_eq!(
            assumed.text("AssumedRoleUser/Arn"),
            arn("sts::123456789012:assumed-role/r/session")
        );
        let mut export = Vec::new();
        client.emulator.export(&mut export).expect("memory can be read");
        let export = String::from_utf8(export).expect("UTF-8");
        let shown: Value = serde_json::from_str(&export).expect("JSON");
        assert_eq!(export.matches("arn:").count(), export.matches(&start).count(), "{export}");
        let other = (partition != "aws").then_some(partition);
        assert_eq!(shown["account"].get("partition").and_then(Value::as_str), other);
        let again = Client::of_empty_account();
        again.emulator.import(export.as_bytes()).expect("it comes back");
        let mut second = Vec::new();
        again.emulator.export(&mut second).expect("memory can be read");
        assert!(second == export.as_bytes(), "what goes out comes back");
    }
}

/// ARNs of other partitions name nothing here. The text of the refusal was recorded for
/// `AttachRolePolicy` with a string that is no policy ARN.
#[test]
fn arns_of_other_partitions_are_foreign() {
    let client = account("aws-us-gov");
    let foreign = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    let refused = client.refused("AttachRolePolicy", &[(ROLE, "r"), ("PolicyArn", foreign)]);
    let expected = (400, "ValidationError".to_owned(), format!("ARN {foreign} is not valid."));
    assert_eq!(refused, expected);
    let role = "arn:aws:iam::123456789012:role/r";
    let (_, code, message) = client.refused("AssumeRole", &[("RoleArn", role), SESSION]);
    assert_eq!(code, "AccessDenied");
    assert_eq!(
        message,
        format!(
            "User: arn:aws-us-gov:iam::123456789012:user/local-operator is not authorized to \
             perform: sts:AssumeRole on resource: {role}"
        )
    );
    let trust = TRUST.replace(
        r#"{"Service":"ec2.amazonaws.com"}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:root"}"#,
    );
    let parameters = [(ROLE, "new"), ("AssumeRolePolicyDocument", trust.as_str())];
    let (_, code, message) = client.refused("CreateRole", &parameters);
    assert_eq!(code, "MalformedPolicyDocument");
    assert!(message.ends_with(r#""AWS":"arn:aws:iam::123456789012:root""#), "{message}");
    // A string that is no ARN of the account is kept as it is.
    let tag = ("Tags.member.1.Value", "arn:aws:s3:::bucket");
    client.get("TagRole", &[(ROLE, "r"), ("Tags.member.1.Key", "a"), tag]);
    assert_eq!(client.get("ListRoleTags", &[(ROLE, "r")]).tags()["a"], tag.1);

    // A reset restores the partition `aws`.
    client.emulator.reset(iamlua::emulator::Contents::Empty).expect("memory can be written");
    let caller = client.get("GetCallerIdentity", &[]).text("Arn");
    assert_eq!(caller, "arn:aws:iam::123456789012:user/local-operator");
    let wrong = json!({"format": "iamlua-account", "version": 1,
        "account": {"id": "123456789012", "partition": "aws-moon"}});
    let error = client.emulator.import(wrong.to_string().as_bytes()).expect_err("there is none");
    assert!(error.message.contains("account.partition"), "{error}");
    assert!(error.message.contains("aws-us-gov"), "{error}");
}
