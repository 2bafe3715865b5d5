//! STS: permission to assume a role, by trust policy and credentials.
//!
//! Texts come from `LocalStack`'s recordings of AWS
//! (`tests/aws/services/sts/test_sts.snapshot.json`), from botocore's `sts/2011-06-15` model, the
//! IAM User Guide and public reports, each where it is used.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use iamlua::emulator::{Answer, Clock, EmulatorSettings};

use super::{Client, Element, TRUST, TRUST_ACCOUNT, options, request, stopped_clock};

const OPERATOR: &str = "arn:aws:iam::123456789012:user/local-operator";
const SESSION: (&str, &str) = ("RoleSessionName", "session");

fn arn(role: &str) -> String {
    format!("arn:aws:iam::123456789012:role/{role}")
}

/// Trust policy of one statement, with an action that any allowed principal may use.
fn allowing(inside: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole",{inside}}}]}}"#
    )
}

/// Assumes a role with that trust policy; returns the refusal, if there is one.
fn assume(
    client: &Client,
    trust: &str,
    more: &[(&str, &str)],
) -> Result<Element, (String, String)> {
    let known = client.ask("GetRole", &[("RoleName", "target")]).status == 200;
    if known {
        client.get("UpdateAssumeRolePolicy", &[("RoleName", "target"), ("PolicyDocument", trust)]);
    } else {
        client.create_trusting_role("target", trust);
    }
    let target = arn("target");
    let parameters = [&[("RoleArn", target.as_str()), SESSION], more].concat();
    let reply = client.ask("AssumeRole", &parameters);
    let response = Element::parse(&reply.body);
    match response.child("AssumeRoleResult") {
        Some(result) => Ok(result.clone()),
        None => Err((response.text("Error/Code"), response.text("Error/Message"))),
    }
}

fn may_not(caller: &str, action: &str) -> (String, String) {
    let message = format!(
        "User: {caller} is not authorized to perform: {action} on resource: {}",
        arn("target")
    );
    ("AccessDenied".to_owned(), message)
}

#[test]
fn the_trust_policy_decides_who_comes_in() {
    let client = Client::of_empty_account();
    let root = r#""Principal":{"AWS":"arn:aws:iam::123456789012:root"}"#;
    for inside in [
        r#""Principal":"*""#,
        r#""Principal":{"AWS":"*"}"#,
        r#""Principal":{"AWS":"123456789012"}"#,
        root,
        r#""Principal":{"AWS":"arn:aws:iam::123456789012:user/local-operator"}"#,
        r#""Principal":{"AWS":["arn:aws:iam::210987654321:root","arn:aws:iam::123456789012:root"]}"#,
        r#""Principal":{"Service":"ec2.amazonaws.com","AWS":"123456789012"}"#,
        &format!(r#"{root},"Condition":{{"Bool":{{"aws:SecureTransport":"true"}}}}"#),
        &format!(r#"{root},"Condition":{{"StringLike":{{"sts:RoleSessionName":"sess*"}}}}"#),
        &format!(r#"{root},"Condition":{{"Null":{{"aws:MultiFactorAuthPresent":"true"}}}}"#),
        &format!(r#"{root},"Condition":{{"ArnEquals":{{"aws:PrincipalArn":"{OPERATOR}"}}}}"#),
        &format!(r#"{root},"Condition":{{"StringEquals":{{"aws:username":"local-operator"}}}}"#),
    ] {
        let assumed = assume(&client, &allowing(inside), &[]);
        assert!(assumed.is_ok(), "{inside}: {assumed:?}");
    }
    for inside in [
        r#""Principal":{"Service":"ec2.amazonaws.com"}"#,
        r#""Principal":{"AWS":"210987654321"}"#,
        r#""Principal":{"AWS":"arn:aws:iam::123456789012:user/somebody-else"}"#,
        r#""Principal":{"Federated":"arn:aws:iam::123456789012:saml-provider/x"}"#,
        &format!(r#"{root},"Condition":{{"Bool":{{"aws:MultiFactorAuthPresent":"true"}}}}"#),
        // Organizations are not emulated, so these conditions cannot be evaluated.
        &format!(r#"{root},"Condition":{{"StringEquals":{{"aws:PrincipalOrgID":"o-x"}}}}"#),
        &format!(r#"{root},"Condition":{{"StringNotEquals":{{"aws:PrincipalOrgID":"o-x"}}}}"#),
    ] {
        let assumed = assume(&client, &allowing(inside), &[]);
        assert_eq!(assumed.expect_err(inside), may_not(OPERATOR, "sts:AssumeRole"));
    }
    // Text of an explicit deny: IAM User Guide, "Troubleshoot access denied error messages".
    let denying = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole",{root}}},{{"Effect":"Deny","Action":"sts:AssumeRole",{root}}}]}}"#
    );
    let (code, message) = assume(&client, &denying, &[]).expect_err("it is denied");
    assert_eq!(code, "AccessDenied");
    assert!(message.ends_with(" with an explicit deny in the role trust policy"), "{message}");
}

#[test]
fn an_external_id_must_be_the_right_one() {
    let client = Client::of_empty_account();
    let trust = allowing(
        r#""Principal":{"AWS":"123456789012"},"Condition":{"StringEquals":{"sts:ExternalId":"Unique-1"}}"#,
    );
    for wrong in [&[][..], &[("ExternalId", "unique-1")]] {
        let refused = assume(&client, &trust, wrong).expect_err("it is not the right one");
        assert_eq!(refused, may_not(OPERATOR, "sts:AssumeRole"));
    }
    assume(&client, &trust, &[("ExternalId", "Unique-1")]).expect("it is the right one");
}

/// Texts of wrong MFA: public reports, such as getsentry and aws-vault issues.
#[test]
fn mfa_counts_in_the_request_and_in_a_session() {
    let client = Client::of_empty_account();
    let trust = allowing(
        r#""Principal":{"AWS":"123456789012"},"Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#,
    );
    let device = [("SerialNumber", "arn:aws:iam::123456789012:mfa/me"), ("TokenCode", "123456")];
    assert_eq!(
        assume(&client, &trust, &[]).expect_err("no MFA"),
        may_not(OPERATOR, "sts:AssumeRole")
    );
    let (code, message) = assume(&client, &trust, &device[..1]).expect_err("no code");
    assert_eq!(code, "AccessDenied");
    assert!(
        message.starts_with("MultiFactorAuthentication failed, must provide both"),
        "{message}"
    );
    assume(&client, &trust, &device).expect("with MFA");

    let plain = client.with_credentials_of(&client.get("GetSessionToken", &[]));
    let strong = client.with_credentials_of(&client.get("GetSessionToken", &device));
    for one in [&plain, &strong] {
        assert_eq!(one.get("GetCallerIdentity", &[]).text("Arn"), OPERATOR);
        // Session credentials cannot create session credentials.
        let (status, code, message) = one.refused("GetSessionToken", &[]);
        assert_eq!((status, code.as_str()), (403, "AccessDenied"));
        assert_eq!(message, "Cannot call GetSessionToken with session credentials");
    }
    // IAM requires MFA for such credentials. IAM User Guide, "Compare AWS STS credentials".
    assert_eq!(plain.refused("ListRoles", &[]).1, "InvalidClientTokenId");
    strong.get("ListRoles", &[]);
    let target = arn("target");
    let parameters = [("RoleArn", target.as_str()), SESSION];
    assert_eq!(plain.refused("AssumeRole", &parameters).1, "AccessDenied");
    let worker = strong.with_credentials_of(&strong.get("AssumeRole", &parameters));
    // The next session inherits the MFA of this one, and has no device of its own.
    let worker_parameters = [&parameters[..], &device].concat();
    let (_, code, message) = worker.refused("AssumeRole", &worker_parameters);
    assert_eq!(code, "AccessDenied");
    assert!(message.contains("unable to validate MFA code"), "{message}");
    worker.get("AssumeRole", &parameters);
}

#[test]
fn session_credentials_live_as_long_as_they_are_asked_for() {
    let clock = stopped_clock();
    let client =
        Client::with_options(EmulatorSettings { clock: Clock::Manual(clock.clone()), ..options() });
    let token = client.get("GetSessionToken", &[]);
    assert_eq!(token.text("Credentials/Expiration"), "2026-01-02T15:04:05Z");
    let short = client.get("GetSessionToken", &[("DurationSeconds", "900")]);
    let (_, code, message) = client.refused("GetSessionToken", &[("DurationSeconds", "129601")]);
    assert_eq!(code, "ValidationError");
    assert!(message.contains("less than or equal to 129600"), "{message}");
    let user = client.with_credentials_of(&short);
    user.get("GetCallerIdentity", &[]);
    clock.advance(Duration::from_mins(15));
    assert_eq!(user.refused("GetCallerIdentity", &[]).1, "ExpiredToken");
}

/// The principal of a role is the role, not its name: IAM User Guide, "AWS JSON policy elements:
/// Principal".
#[test]
fn a_chain_goes_from_role_to_role() {
    let client = Client::of_empty_account();
    client.create_trusting_role("first", TRUST_ACCOUNT);
    let first = arn("first");
    let enter = || {
        let parameters = [("RoleArn", first.as_str()), ("RoleSessionName", "one")];
        client.with_credentials_of(&client.get("AssumeRole", &parameters))
    };
    let worker = enter();
    let by_role = allowing(&format!(r#""Principal":{{"AWS":"{first}"}}"#));
    assume(&client, &by_role, &[]).expect_err("the user is not the role");
    assume(&worker, &by_role, &[]).expect("the role is");
    let by_session = |name: &str| {
        let session = format!("arn:aws:sts::123456789012:assumed-role/first/{name}");
        allowing(&format!(r#""Principal":{{"AWS":"{session}"}}"#))
    };
    assume(&worker, &by_session("one"), &[]).expect("the session is named");
    let caller = "arn:aws:sts::123456789012:assumed-role/first/one";
    let refused = assume(&worker, &by_session("two"), &[]).expect_err("another one is");
    assert_eq!(refused, may_not(caller, "sts:AssumeRole"));

    // Limit of a chain: IAM User Guide, "Role chaining".
    client.get("UpdateRole", &[("RoleName", "target"), ("MaxSessionDuration", "7200")]);
    let long = [("DurationSeconds", "3601")];
    assume(&client, TRUST_ACCOUNT, &long).expect("a user may");
    let (code, message) = assume(&worker, TRUST_ACCOUNT, &long).expect_err("a chain may not");
    assert_eq!(code, "ValidationError");
    assert_eq!(
        message,
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role \
         chaining."
    );

    // A role that is created again is another principal.
    assume(&worker, &by_role, &[]).expect("the role is there");
    client.get("DeleteRole", &[("RoleName", "first")]);
    client.create_trusting_role("first", TRUST_ACCOUNT);
    let worker = enter();
    let target = arn("target");
    let (_, code, _) = worker.refused("AssumeRole", &[("RoleArn", &target), SESSION]);
    assert_eq!(code, "AccessDenied");
}

/// Recorded: `TestSTSAssumeRoleTagging`.
#[test]
fn session_tags_are_checked_and_passed_on() {
    let client = Client::of_empty_account();
    let tag = |number: usize, key: &'static str, value: &'static str| -> [(&str, &str); 2] {
        let name = |field| &*format!("Tags.member.{number}.{field}").leak();
        [(name("Key"), key), (name("Value"), value)]
    };
    let transitive = |key: &'static str| [("TransitiveTagKeys.member.1", key)];
    let refused = |client: &Client, more: &[(&str, &str)]| {
        let (code, message) = assume(client, TRUST_ACCOUNT, more).expect_err("it is refused");
        assert_eq!(code, "InvalidParameterValue");
        message
    };
    let one = tag(1, "SessionTag1", "SessionValue1");
    assert_eq!(
        refused(&client, &[&one[..], &transitive("InvalidKey")].concat()),
        "The specified transitive tag key must be included in the requested tags."
    );
    assert_eq!(
        refused(&client, &[one, tag(2, "sessiontag1", "SessionValue2")].concat()),
        "Duplicate tag keys found. Please note that Tag keys are case insensitive."
    );
    let passed_on = [&one[..], &transitive("sessiontag1")].concat();
    let assumed = assume(&client, TRUST_ACCOUNT, &passed_on).expect("it is fine");
    assert!(assumed.child("PackedPolicySize").is_some());
    let worker = client.with_credentials_of(&assumed);
    for key in ["SessionTag1", "sessiontag1"] {
        assert_eq!(
            refused(&worker, &tag(1, key, "SessionValue2")),
            "One of the specified transitive tag keys can't be set because it conflicts with a \
             transitive tag key from the calling session."
        );
    }

    // Tags need their own permission, also transitive ones.
    let untagged = allowing(r#""Principal":{"AWS":"123456789012"}"#);
    let caller = "arn:aws:sts::123456789012:assumed-role/target/session";
    let message = assume(&client, &untagged, &one).expect_err("no sts:TagSession");
    assert_eq!(message, may_not(OPERATOR, "sts:TagSession"));
    let message = assume(&worker, &untagged, &[]).expect_err("no sts:TagSession");
    assert_eq!(message, may_not(caller, "sts:TagSession"));

    // A condition sees the tag of the session, and the next session inherits it.
    let by_tag = TRUST_ACCOUNT.replace(
        r#""Principal""#,
        r#""Condition":{"StringEquals":{"aws:PrincipalTag/sessiontag1":"SessionValue1"}},"Principal""#,
    );
    assume(&client, &by_tag, &[]).expect_err("a user has no session tags");
    let next = worker.with_credentials_of(&assume(&worker, &by_tag, &[]).expect("it has the tag"));
    assume(&next, &by_tag, &[]).expect("it is passed on again");
    let by_request = TRUST_ACCOUNT.replace(
        r#""Principal""#,
        r#""Condition":{"StringEquals":{"aws:RequestTag/a":"b"},"ForAllValues:StringEquals":{"aws:TagKeys":["a"]}},"Principal""#,
    );
    assume(&client, &by_request, &tag(1, "a", "b")).expect("the request has that tag");
    let two = [tag(1, "a", "b"), tag(2, "c", "d")].concat();
    assume(&client, &by_request, &two).expect_err("and no other one");
}

#[test]
fn a_source_identity_stays_for_the_whole_chain() {
    let client = Client::of_empty_account();
    let identity = [("SourceIdentity", "alice")];
    let without = allowing(r#""Principal":{"AWS":"123456789012"}"#);
    let refused = assume(&client, &without, &identity).expect_err("it needs a permission");
    assert_eq!(refused, may_not(OPERATOR, "sts:SetSourceIdentity"));
    let assumed = assume(&client, TRUST_ACCOUNT, &identity).expect("it has one");
    assert_eq!(assumed.text("SourceIdentity"), "alice");
    let worker = client.with_credentials_of(&assumed);
    let next = assume(&worker, TRUST_ACCOUNT, &[]).expect("it is kept");
    assert_eq!(next.text("SourceIdentity"), "alice");
    let (_, message) = assume(&worker, TRUST_ACCOUNT, &[("SourceIdentity", "bob")])
        .expect_err("it cannot be changed");
    assert_eq!(message, "The source identity is already set for this assume role session");
    let by_identity = TRUST_ACCOUNT.replace(
        r#""Principal""#,
        r#""Condition":{"StringEquals":{"aws:SourceIdentity":"alice"}},"Principal""#,
    );
    assume(&worker, &by_identity, &[]).expect("a condition sees it");
    assume(&client, &by_identity, &[]).expect_err("the user has none");
}

/// The name of a role is case-sensitive in an ARN: IAM User Guide, "Create a role to give
/// permissions to an IAM user".
#[test]
fn the_arn_of_a_role_knows_case_and_its_name_alone_does_not() {
    let client = Client::of_empty_account();
    client.create_trusting_role("Deploy", TRUST_ACCOUNT);
    let (right, wrong) = (arn("Deploy"), arn("deploy"));
    client.get("AssumeRole", &[("RoleArn", &right), SESSION]);
    assert_eq!(client.refused("AssumeRole", &[("RoleArn", &wrong), SESSION]).1, "AccessDenied");
    // Recorded: `test_sts_invalid_parameters`.
    for invalid in [
        "nothing-valid-in-here",
        "arn::b:::something/test-role",
        "arn:a::::something/test-role",
        "arn:a:::something/test-role",
        "arn:a:a::aaaaaaaaaa:",
    ] {
        let (_, code, message) = client.refused("AssumeRole", &[("RoleArn", invalid), SESSION]);
        assert_eq!(
            (code, message),
            ("ValidationError".to_owned(), format!("{invalid} is invalid"))
        );
    }
    // Ansible's `amazon.aws`, target `sts_assume_role`: the ARN is not resolved before.
    for unknown in ["arn:aws:iam::123456789:role/non-existing-role", "arn:aws:s3:::bucket/Deploy"] {
        assert_eq!(
            client.refused("AssumeRole", &[("RoleArn", unknown), SESSION]).1,
            "AccessDenied"
        );
    }
    // The same target: a session policy must be valid.
    for policy in ["invalid policy", "{}"] {
        let parameters = [("RoleArn", right.as_str()), SESSION, ("Policy", policy)];
        assert_eq!(client.refused("AssumeRole", &parameters).1, "MalformedPolicyDocument");
    }
    client.get("DeleteRole", &[("RoleName", "DEPLOY")]);
}

const ISSUER: &str = "https://token.actions.githubusercontent.com";
const GITHUB: &str = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com";

fn jwt(claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"alg":"RS256","typ":"JWT"}"#), part(claims), part("signature"))
}

/// Sends a request without credentials, as SDKs do.
fn with_token(client: &Client, role: &str, token: &str) -> Element {
    let role = arn(role);
    let parameters = [("RoleArn", role.as_str()), SESSION, ("WebIdentityToken", token)];
    let mut request = request("", "AssumeRoleWithWebIdentity", &parameters);
    request.authorization = None;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    match runtime.block_on(client.emulator.answer(request)) {
        Answer::Reply(reply) => Element::parse(&reply.body),
        Answer::Lost | Answer::Cut(_) => panic!("the answer got lost"),
    }
}

/// Texts: public reports (aws-sdk-java-v2 issue 5709 for the expired token, AWS's Cognito
/// documentation for the malformed one). Response: EKS and SPIRE documentation.
#[test]
fn a_web_identity_is_let_in_by_issuer_audience_and_subject() {
    let client = Client::of_empty_account();
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Federated":"{GITHUB}"}},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{{"StringEquals":{{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"}},"StringLike":{{"token.actions.githubusercontent.com:sub":"repo:acme/*"}}}}}}]}}"#
    );
    client.create_trusting_role("ci", &trust);
    client.create_role("ec2-only");
    let token = |issuer: &str, audience: &str, subject: &str, expires: i64| {
        jwt(&format!(
            r#"{{"iss":"{issuer}","aud":"{audience}","sub":"{subject}","exp":{expires},"iat":1767322000}}"#
        ))
    };
    let (audience, subject, later) = ("sts.amazonaws.com", "repo:acme/web", 1_767_330_000);
    let good = token(ISSUER, audience, subject, later);
    let response = with_token(&client, "ci", &good);
    let result = response.child("AssumeRoleWithWebIdentityResult").expect("a result");
    for (name, value) in [
        ("SubjectFromWebIdentityToken", subject),
        ("Audience", audience),
        ("Provider", GITHUB),
        ("AssumedRoleUser/Arn", "arn:aws:sts::123456789012:assumed-role/ci/session"),
        ("Credentials/Expiration", "2026-01-02T04:04:05Z"),
    ] {
        assert_eq!(result.text(name), value, "{name}");
    }
    let worker = client.with_credentials_of(result);
    assert!(worker.get("GetCallerIdentity", &[]).text("Arn").ends_with("/ci/session"));

    let refused = |role: &str, token: &str| {
        let response = with_token(&client, role, token);
        (response.text("Error/Code"), response.text("Error/Message"))
    };
    let denied = (
        "AccessDenied".to_owned(),
        "Not authorized to perform sts:AssumeRoleWithWebIdentity".to_owned(),
    );
    for wrong in [
        token("https://gitlab.com", audience, subject, later),
        token(ISSUER, "somebody-else", subject, later),
        token(ISSUER, audience, "repo:other/web", later),
    ] {
        assert_eq!(refused("ci", &wrong), denied);
    }
    assert_eq!(refused("ec2-only", &good), denied);
    assert_eq!(refused("nobody", &good), denied);

    let (code, message) = refused("ci", &token(ISSUER, audience, subject, 1_767_323_000));
    assert_eq!(code, "ExpiredTokenException");
    assert_eq!(
        message,
        "Token expired: current date/time 1767323045 must be before the expiration date/time \
         1767323000"
    );
    for malformed in ["token", "a.b.c", &good.replace('.', ""), &jwt("[]"), &jwt("{}")] {
        let (code, message) = refused("ci", malformed);
        assert_eq!(code, "InvalidIdentityToken", "{malformed}");
        assert!(message.starts_with("The ID Token provided is not a valid JWT."), "{message}");
    }
    // A token does not authorize AssumeRole, which still needs a signature.
    let target = arn("ci");
    assert_eq!(client.refused("AssumeRole", &[("RoleArn", &target), SESSION]).1, "AccessDenied");
}

#[test]
fn a_role_for_a_service_cannot_be_assumed_by_hand() {
    let client = Client::of_empty_account();
    assert_eq!(
        assume(&client, TRUST, &[]).expect_err("only EC2 may"),
        may_not(OPERATOR, "sts:AssumeRole")
    );
    let role = client.get("GetRole", &[("RoleName", "target")]);
    assert!(role.child("Role/RoleLastUsed/LastUsedDate").is_none(), "it was not used");
}
