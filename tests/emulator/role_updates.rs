//! Changes of roles, and roles that only AWS changes.

use serde_json::json;

use super::{Client, TRUST};

const ROLE: &str = "RoleName";
const READ_ONLY: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";

/// Recorded by `LocalStack`: `tests/aws/services/iam/test_iam_roles.py`, `test_update_role`.
#[test]
fn a_description_and_a_session_duration_are_changed() {
    let client = Client::of_empty_account();
    client.create_role("r");
    let reply = client.ask("UpdateRole", &[(ROLE, "r"), ("MaxSessionDuration", "7200")]);
    // botocore looks for the element of the result, even if it is empty.
    assert!(reply.body.contains("<UpdateRoleResult>"), "{}", reply.body);
    client.get("UpdateRole", &[(ROLE, "R"), ("Description", "updated")]);
    let role = client.get("GetRole", &[(ROLE, "r")]);
    assert_eq!(role.text("Role/Description"), "updated");
    assert_eq!(role.text("Role/MaxSessionDuration"), "7200", "what is not given stays");

    let answer = client.get("UpdateRoleDescription", &[(ROLE, "r"), ("Description", "again")]);
    assert_eq!(
        answer.child("Role").expect("a role").keys(),
        [
            "Arn",
            "AssumeRolePolicyDocument",
            "CreateDate",
            "Description",
            "Path",
            "RoleId",
            "RoleName"
        ]
    );
    assert_eq!(answer.text("Role/Description"), "again");
    let (status, code, message) =
        client.refused("UpdateRole", &[(ROLE, "nope"), ("Description", "x")]);
    assert_eq!((status, code.as_str()), (404, "NoSuchEntity"));
    assert_eq!(message, "The role with name nope cannot be found.");
    let long = [(ROLE, "r"), ("MaxSessionDuration", "43201")];
    assert_eq!(client.refused("UpdateRole", &long).1, "ValidationError");
}

/// Recorded by `LocalStack`: `test_iam_roles.py`, `TestRolePermissionsBoundary`.
#[test]
fn a_boundary_is_put_and_taken_away() {
    let client = Client::of_empty_account();
    client.create_role("r");
    let boundary = || {
        let role = client.get("GetRole", &[(ROLE, "r")]);
        role.child("Role/PermissionsBoundary/PermissionsBoundaryArn").map(|arn| arn.content.clone())
    };
    client.get("PutRolePermissionsBoundary", &[(ROLE, "r"), ("PermissionsBoundary", READ_ONLY)]);
    assert_eq!(boundary().as_deref(), Some(READ_ONLY));
    let roles = client.get("ListRoles", &[]);
    assert!(roles.members("Roles")[0].child("PermissionsBoundary").is_none());
    client.get("DeleteRolePermissionsBoundary", &[(ROLE, "r")]);
    assert_eq!(boundary(), None);

    let invalid = "arn:aws:iam::123456789012:not_a_policy/invalid";
    let unknown = "arn:aws:iam::123456789012:policy/nonexistent-policy";
    for (arn, status, code, message) in [
        (invalid, 400, "InvalidInput", format!("ARN {invalid} is not valid.")),
        (
            unknown,
            404,
            "NoSuchEntity",
            format!("Scope ARN: {unknown} does not exist or is not attachable."),
        ),
    ] {
        let expected = (status, code.to_owned(), message);
        let parameters = [(ROLE, "r"), ("PermissionsBoundary", arn)];
        assert_eq!(client.refused("PutRolePermissionsBoundary", &parameters), expected);
        let parameters =
            [(ROLE, "new"), ("PermissionsBoundary", arn), ("AssumeRolePolicyDocument", TRUST)];
        assert_eq!(client.refused("CreateRole", &parameters), expected);
    }
    let parameters = [(ROLE, "nope"), ("PermissionsBoundary", READ_ONLY)];
    assert_eq!(client.refused("PutRolePermissionsBoundary", &parameters).1, "NoSuchEntity");
}

/// Text: rebuy-de/aws-nuke issues 331 and 441, gruntwork-io/cloud-nuke issue 880. Actions: those
/// with `UnmodifiableEntityException` in botocore's `iam/2010-05-08` model.
#[test]
fn service_linked_and_reserved_roles_are_not_changed() {
    let client = Client::of_empty_account();
    let trust = |principal| json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]});
    let roles = ["AWSServiceRoleForSupport", "AWSReservedSSO_Admin_0123456789abcdef"];
    let account = json!({"format": "iamlua-account", "version": 1,
        "roles": [
            {"name": roles[0], "path": "/aws-service-role/support.amazonaws.com/",
             "assume_role_policy": trust(json!({"Service": "support.amazonaws.com"})),
             "attached_policies": ["arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy"]},
            {"name": roles[1], "path": "/aws-reserved/sso.amazonaws.com/eu-west-1/",
             "assume_role_policy": trust(json!({"Service": "sso.amazonaws.com"}))},
        ],
        "profiles": [{"name": "p"}]});
    client.emulator.import(account.to_string().as_bytes()).expect("it is an account");
    for name in roles {
        let role = (ROLE, name);
        let profile = ("InstanceProfileName", "p");
        for (action, parameters) in [
            ("AddRoleToInstanceProfile", vec![role, profile]),
            ("RemoveRoleFromInstanceProfile", vec![role, profile]),
            ("AttachRolePolicy", vec![role, ("PolicyArn", READ_ONLY)]),
            ("DetachRolePolicy", vec![role, ("PolicyArn", READ_ONLY)]),
            ("UpdateAssumeRolePolicy", vec![role, ("PolicyDocument", TRUST)]),
            ("UpdateRole", vec![role, ("MaxSessionDuration", "7200")]),
            ("PutRolePermissionsBoundary", vec![role, ("PermissionsBoundary", READ_ONLY)]),
            ("DeleteRolePermissionsBoundary", vec![role]),
            ("DeleteRole", vec![role]),
        ] {
            let expected = (
                400,
                "UnmodifiableEntity".to_owned(),
                format!(
                    "Cannot perform the operation on the protected role '{name}' - this role is only \
                     modifiable by AWS"
                ),
            );
            assert_eq!(client.refused(action, &parameters), expected, "{action}");
        }
        // Reads work, and the model lists no such refusal for tags.
        client.get("GetRole", &[role]);
        client.get("TagRole", &[role, ("Tags.member.1.Key", "a"), ("Tags.member.1.Value", "b")]);
        client.get("UntagRole", &[role, ("TagKeys.member.1", "a")]);
    }
    // IAM User Guide, "Edit a service-linked role description".
    client.get("UpdateRole", &[(ROLE, roles[0]), ("Description", "ours")]);
    client.get("UpdateRoleDescription", &[(ROLE, roles[0]), ("Description", "ours")]);
    let parameters = [(ROLE, roles[1]), ("Description", "ours")];
    assert_eq!(client.refused("UpdateRole", &parameters).1, "UnmodifiableEntity");
    assert_eq!(client.refused("UpdateRoleDescription", &parameters).1, "UnmodifiableEntity");
}

/// Recorded by `LocalStack`: `tests/aws/services/iam/test_iam.py`, `TestIAMServiceRoles`.
#[test]
fn a_service_linked_role_comes_and_goes_by_its_own_actions() {
    let client = Client::of_empty_account();
    let service = ("AWSServiceName", "batch.amazonaws.com");
    let created = client.get("CreateServiceLinkedRole", &[service, ("Description", "ours")]);
    assert_eq!(created.text("Role/Path"), "/aws-service-role/batch.amazonaws.com/");
    let role = (ROLE, "AWSServiceRoleForBatch");
    let read = client.get("GetRole", &[role]);
    assert_eq!(read.text("Role/MaxSessionDuration"), "3600");
    assert_eq!(read.text("Role/Description"), "ours");
    assert_eq!(
        client.trust_of(role.1),
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"batch.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#
    );
    let attached = client.get("ListAttachedRolePolicies", &[role]);
    assert_eq!(
        attached.texts("AttachedPolicies", "PolicyArn"),
        ["arn:aws:iam::aws:policy/aws-service-role/BatchServiceRolePolicy"]
    );
    let refused = |parameters: &[(&str, &str)]| {
        let (status, code, message) = client.refused("CreateServiceLinkedRole", parameters);
        assert_eq!((status, code.as_str()), (400, "InvalidInput"));
        message
    };
    assert_eq!(
        refused(&[service]),
        "Service role name AWSServiceRoleForBatch has been taken in this account, please try a \
         different suffix."
    );
    let suffix = ("CustomSuffix", "testsuffix");
    assert_eq!(
        refused(&[("AWSServiceName", "rds.amazonaws.com"), suffix]),
        "Custom suffix is not allowed for rds.amazonaws.com"
    );
    refused(&[("AWSServiceName", "nothing.amazonaws.com")]);
    client
        .get("CreateServiceLinkedRole", &[("AWSServiceName", "autoscaling.amazonaws.com"), suffix]);
    client.get("GetRole", &[(ROLE, "AWSServiceRoleForAutoScaling_testsuffix")]);

    assert_eq!(client.refused("DeleteRole", &[role]).1, "UnmodifiableEntity");
    let task = client.get("DeleteServiceLinkedRole", &[role]).text("DeletionTaskId");
    let start = "task/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch/";
    assert_eq!(task.strip_prefix(start).map(str::len), Some(36), "{task}");
    let status = client.get("GetServiceLinkedRoleDeletionStatus", &[("DeletionTaskId", &task)]);
    assert_eq!(status.text("Status"), "SUCCEEDED");
    assert_eq!(client.refused("GetRole", &[role]).1, "NoSuchEntity");
    assert_eq!(client.refused("DeleteServiceLinkedRole", &[role]).1, "NoSuchEntity");
    client.create_role("ordinary");
    let ordinary = [(ROLE, "ordinary")];
    assert_eq!(client.refused("DeleteServiceLinkedRole", &ordinary).1, "NoSuchEntity");
    let unknown = [("DeletionTaskId", "task/nothing")];
    assert_eq!(client.refused("GetServiceLinkedRoleDeletionStatus", &unknown).1, "NoSuchEntity");
}
