//! Trust policies as IAM stores them, which may differ from the request. Each test names the
//! sources of its rules.

use serde_json::{Value, json};

use super::{Client, TRUST};

const ROLE: &str = "RoleName";

fn policy(principal: &Value) -> String {
    let statement = json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

/// Saves a policy with that principal; returns the principal that is read.
fn kept(client: &Client, principal: &Value) -> Value {
    let parameters = [(ROLE, "r"), ("PolicyDocument", &policy(principal))];
    client.get("UpdateAssumeRolePolicy", &parameters);
    principal_of(client, "r")
}

fn principal_of(client: &Client, role: &str) -> Value {
    let read: Value = serde_json::from_str(&client.trust_of(role)).expect("JSON");
    read["Statement"][0]["Principal"].clone()
}

/// IAM User Guide, "AWS JSON policy elements: Principal"; hashicorp/awspolicyequivalence.
/// `CreateRole` repeats the request: `LocalStack`'s `test_sts.snapshot.json`, `test_assume_role`.
#[test]
fn an_account_number_is_kept_as_the_accounts_arn() {
    let client = Client::of_empty_account();
    let sent = policy(&json!({"AWS": "210987654321"}));
    let created = client.get("CreateRole", &[(ROLE, "r"), ("AssumeRolePolicyDocument", &sent)]);
    let echo = created.text("Role/AssumeRolePolicyDocument");
    assert_eq!(percent_encoding::percent_decode_str(&echo).decode_utf8_lossy(), sent);
    assert_eq!(principal_of(&client, "r"), json!({"AWS": "arn:aws:iam::210987654321:root"}));
    assert_eq!(
        kept(&client, &json!({"AWS": ["210987654321"]})),
        json!({"AWS": "arn:aws:iam::210987654321:root"})
    );
    // The two forms of one account are one principal.
    assert_eq!(
        kept(&client, &json!({"AWS": ["210987654321", "arn:aws:iam::210987654321:root"]})),
        json!({"AWS": "arn:aws:iam::210987654321:root"})
    );
    // A policy without changes keeps its white space.
    let spacious = TRUST.replace("\":", "\" : ");
    client.get("UpdateAssumeRolePolicy", &[(ROLE, "r"), ("PolicyDocument", &spacious)]);
    assert_eq!(client.trust_of("r"), spacious);
}

/// Lists of one: hashicorp/awspolicyequivalence, terraform-provider-aws issue 28835. Order: ACK's
/// community issue 2875, crossplane-contrib/provider-aws issue 792.
#[test]
fn lists_and_conditions_come_back_in_an_order_of_their_own() {
    let client = Client::of_empty_account();
    client.create_role("r");
    assert_eq!(
        kept(&client, &json!({"Service": ["ec2.amazonaws.com"]})),
        json!({"Service": "ec2.amazonaws.com"})
    );
    assert_eq!(
        kept(&client, &json!({"Service": ["ec2.amazonaws.com", "eks.amazonaws.com"]})),
        json!({"Service": ["eks.amazonaws.com", "ec2.amazonaws.com"]})
    );
    let statement = json!({"Effect": "Allow", "Action": ["sts:AssumeRoleWithWebIdentity"],
        "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/example.com"},
        "Condition": {"StringEquals": {"example.com:aud": ["sts.amazonaws.com"], "example.com:sub": ["b", "a"]}}});
    let sent = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    client.get("UpdateAssumeRolePolicy", &[(ROLE, "r"), ("PolicyDocument", &sent)]);
    assert!(
        client.trust_of("r").contains(
            r#""Condition":{"StringEquals":{"example.com:sub":["b","a"],"example.com:aud":"sts.amazonaws.com"}}"#
        ),
        "{}",
        client.trust_of("r")
    );
    assert!(client.trust_of("r").contains(r#""Action":["sts:AssumeRoleWithWebIdentity"]"#));
}

/// IAM User Guide, "AWS JSON policy elements: Principal": the ARN of a role is transformed to its
/// unique id, and shown as such when the role is deleted.
#[test]
fn a_role_is_kept_by_its_id() {
    let client = Client::of_empty_account();
    client.create_role("r");
    client.create_role("trusted");
    let arn = "arn:aws:iam::123456789012:role/trusted";
    let id = client.get("GetRole", &[(ROLE, "trusted")]).text("Role/RoleId");
    assert_eq!(kept(&client, &json!({"AWS": arn})), json!({"AWS": arn}));
    // The id of an existing role is read as its ARN.
    assert_eq!(kept(&client, &json!({"AWS": [id]})), json!({"AWS": arn}));
    let shown_in_lists = client.get("ListRoles", &[]);
    let documents = shown_in_lists.texts("Roles", "AssumeRolePolicyDocument").concat();
    assert!(documents.contains("trusted") && !documents.contains(&id), "{documents}");

    client.get("DeleteRole", &[(ROLE, "trusted")]);
    assert_eq!(principal_of(&client, "r"), json!({"AWS": id}));
    client.create_role("trusted");
    assert_eq!(principal_of(&client, "r"), json!({"AWS": id}), "another role has that name now");
    // An unknown id cannot be saved again.
    let document = policy(&json!({"AWS": id}));
    let parameters = [(ROLE, "r"), ("PolicyDocument", document.as_str())];
    let (_, code, message) = client.refused("UpdateAssumeRolePolicy", &parameters);
    assert_eq!(code, "MalformedPolicyDocument");
    assert_eq!(message, format!("Invalid principal in policy: \"AWS\":\"{id}\""));
}

/// IAM User Guide, the same page: no wildcards within a name, no groups. The text was recorded.
#[test]
fn what_is_no_principal_is_refused() {
    let client = Client::of_empty_account();
    client.create_role("Named");
    for name in [
        "nobody",
        "12345678901",
        "arn:aws:iam::123456789012:group/admins",
        "arn:aws:iam::123456789012:role/*",
        "arn:aws:iam::210987654321:user/*",
        "arn:aws:iam::123456789012:role/named",
        "arn:aws:iam::123456789012:role/path/Named",
        "arn:aws:iam::12345:root",
        "arn:aws:s3:::bucket",
        "arn:aws-cn:iam::123456789012:root",
        "AROAXXXXXXXXXXXXXXXXX",
        "",
    ] {
        let document = policy(&json!({"AWS": ["*", name]}));
        let parameters = [(ROLE, "new"), ("AssumeRolePolicyDocument", document.as_str())];
        let (status, code, message) = client.refused("CreateRole", &parameters);
        assert_eq!((status, code.as_str()), (400, "MalformedPolicyDocument"), "{name}");
        assert_eq!(message, format!("Invalid principal in policy: \"AWS\":\"{name}\""));
    }
    for name in [
        "*",
        "123456789012",
        "arn:aws:iam::123456789012:role/Named",
        "arn:aws:iam::210987654321:role/of/another/account",
        "arn:aws:iam::210987654321:user/u",
        "arn:aws:sts::123456789012:assumed-role/Named/session",
        "arn:aws:sts::123456789012:federated-user/u",
    ] {
        kept_by_new_role(&client, name);
    }
}

fn kept_by_new_role(client: &Client, name: &str) {
    let document = policy(&json!({"AWS": name}));
    client.get("CreateRole", &[(ROLE, "new"), ("AssumeRolePolicyDocument", &document)]);
    client.get("DeleteRole", &[(ROLE, "new")]);
}

#[test]
fn an_import_may_name_roles_that_come_later() {
    let client = Client::of_empty_account();
    let role = |name: &str, principal: Value| {
        let document: Value = serde_json::from_str(&policy(&principal)).expect("JSON");
        json!({"name": name, "assume_role_policy": document})
    };
    let arn = "arn:aws:iam::123456789012:role/later";
    let gone = "AROA2222222222222222X";
    let account = json!({"format": "iamlua-account", "version": 1, "roles": [
        role("r", json!({"AWS": arn})),
        role("by-number", json!({"AWS": "210987654321"})),
        role("by-id", json!({"AWS": gone})),
        role("later", json!({"Service": "ec2.amazonaws.com"})),
    ]});
    client.emulator.import(account.to_string().as_bytes()).expect("it is an account");
    assert_eq!(principal_of(&client, "r"), json!({"AWS": arn}));
    assert_eq!(
        principal_of(&client, "by-number"),
        json!({"AWS": "arn:aws:iam::210987654321:root"})
    );
    assert_eq!(principal_of(&client, "by-id"), json!({"AWS": gone}));
    let mut export = Vec::new();
    client.emulator.export(&mut export).expect("memory can be read");
    let export = String::from_utf8(export).expect("UTF-8");
    assert!(export.contains(&format!(r#""Principal":{{"AWS":"{arn}"}}"#)), "{export}");
    // The role was stored, not its name.
    client.get("DeleteRole", &[(ROLE, "later")]);
    assert_ne!(principal_of(&client, "r"), json!({"AWS": arn}));
}
