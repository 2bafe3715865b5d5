//! Refusals of AWS that were observed: status, code and text.

use iamlua::emulator::{Answer, Quota, Request, actions};

use super::{Client, Element, TRUST, TRUST_ACCOUNT, request};

const PROFILE: &str = "InstanceProfileName";
const ROLE: &str = "RoleName";
const S3: &str = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";

/// Account in which profile `joined` has role `inside`; profile `alone` and role `free` have
/// nothing; role `busy` has a policy.
fn furnished() -> Client {
    let client = Client::of_empty_account();
    client.create_profile("joined", "/");
    client.create_profile("alone", "/");
    for role in ["inside", "free", "busy"] {
        client.create_role(role);
    }
    client.get("AddRoleToInstanceProfile", &[(PROFILE, "joined"), (ROLE, "inside")]);
    client.get("AttachRolePolicy", &[(ROLE, "busy"), ("PolicyArn", S3)]);
    client
}

struct Case {
    action: &'static str,
    parameters: Vec<(&'static str, &'static str)>,
    status: u16,
    code: &'static str,
    message: &'static str,
}

fn case(
    action: &'static str,
    parameters: &[(&'static str, &'static str)],
    (status, code): (u16, &'static str),
    message: &'static str,
) -> Case {
    Case { action, parameters: parameters.to_vec(), status, code, message }
}

#[track_caller]
fn check(client: &Client, cases: &[Case]) {
    for Case { action, parameters, status, code, message } in cases {
        let (got_status, got_code, got_message) = client.refused(action, parameters);
        assert_eq!(
            (got_status, got_code.as_str(), got_message.as_str()),
            (*status, *code, *message),
            "{action} {parameters:?}"
        );
    }
}

#[test]
fn what_is_not_there() {
    let no = (404, "NoSuchEntity");
    let no_profile = "Instance Profile nope cannot be found.";
    let no_role = "The role with name nope cannot be found.";
    let tags = [("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")];
    let keys = ("TagKeys.member.1", "k");
    let profile = (PROFILE, "nope");
    let role = (ROLE, "nope");
    let arn = ("PolicyArn", S3);
    check(
        &furnished(),
        &[
            case("GetInstanceProfile", &[profile], no, no_profile),
            case("DeleteInstanceProfile", &[profile], no, no_profile),
            case("TagInstanceProfile", &[profile, tags[0], tags[1]], no, no_profile),
            case("UntagInstanceProfile", &[profile, keys], no, no_profile),
            case("ListInstanceProfileTags", &[profile], no, no_profile),
            case("AddRoleToInstanceProfile", &[profile, (ROLE, "free")], no, no_profile),
            case("AddRoleToInstanceProfile", &[(PROFILE, "alone"), role], no, no_role),
            case("RemoveRoleFromInstanceProfile", &[profile, (ROLE, "free")], no, no_profile),
            case("RemoveRoleFromInstanceProfile", &[(PROFILE, "alone"), role], no, no_role),
            case(
                "RemoveRoleFromInstanceProfile",
                &[(PROFILE, "joined"), (ROLE, "free")],
                no,
                "Role free in Instance Profile joined cannot be found.",
            ),
            case("RemoveRoleFromInstanceProfile", &[profile, role], no, no_role),
            case("ListInstanceProfilesForRole", &[role], no, no_role),
            case("GetRole", &[role], no, no_role),
            case("DeleteRole", &[role], no, no_role),
            case("TagRole", &[role, tags[0], tags[1]], no, no_role),
            case("UntagRole", &[role, keys], no, no_role),
            case("ListRoleTags", &[role], no, no_role),
            case("ListAttachedRolePolicies", &[role], no, no_role),
            case("AttachRolePolicy", &[role, arn], no, no_role),
            case("DetachRolePolicy", &[role, arn], no, no_role),
            case("UpdateAssumeRolePolicy", &[role, ("PolicyDocument", TRUST)], no, no_role),
            case(
                "AttachRolePolicy",
                &[(ROLE, "free"), ("PolicyArn", "arn:aws:iam::aws:policy/NoSuchPolicyAnywhere")],
                no,
                "Policy arn:aws:iam::aws:policy/NoSuchPolicyAnywhere does not exist or is not \
                 attachable.",
            ),
            case(
                "DetachRolePolicy",
                &[(ROLE, "free"), arn],
                no,
                "Policy arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess was not found.",
            ),
        ],
    );
}

#[test]
fn what_is_there_already_or_in_use() {
    let exists = (409, "EntityAlreadyExists");
    let conflict = (409, "DeleteConflict");
    let limit = (409, "LimitExceeded");
    let one_role = "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1";
    let join = "Cannot delete entity, must remove roles from instance profile first.";
    check(
        &furnished(),
        &[
            case(
                "CreateInstanceProfile",
                &[(PROFILE, "alone")],
                exists,
                "Instance Profile alone already exists.",
            ),
            case(
                "CreateInstanceProfile",
                &[(PROFILE, "ALONE"), ("Path", "/elsewhere/")],
                exists,
                "Instance Profile ALONE already exists.",
            ),
            case(
                "CreateRole",
                &[(ROLE, "Free"), ("AssumeRolePolicyDocument", TRUST)],
                exists,
                "Role with name Free already exists.",
            ),
            case("DeleteInstanceProfile", &[(PROFILE, "joined")], conflict, join),
            case("DeleteRole", &[(ROLE, "inside")], conflict, join),
            case(
                "DeleteRole",
                &[(ROLE, "busy")],
                conflict,
                "Cannot delete entity, must detach all policies first.",
            ),
            case(
                "AddRoleToInstanceProfile",
                &[(PROFILE, "joined"), (ROLE, "free")],
                limit,
                one_role,
            ),
            case(
                "AddRoleToInstanceProfile",
                &[(PROFILE, "joined"), (ROLE, "inside")],
                limit,
                one_role,
            ),
        ],
    );
}

#[test]
fn quotas_are_named_with_their_limit() {
    let client = furnished();
    for (quota, value) in [(Quota::Profiles, 2), (Quota::Roles, 3), (Quota::PoliciesPerRole, 1)] {
        client.emulator.set_quota(quota, value).expect("memory can be written");
    }
    let limit = (409, "LimitExceeded");
    let large = format!(
        r#"{{"Version":"2012-10-17","Id":"{}","Statement":[{{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}]}}"#,
        "x".repeat(2048)
    );
    check(
        &client,
        &[
            case(
                "CreateInstanceProfile",
                &[(PROFILE, "third")],
                limit,
                "Cannot exceed quota for InstanceProfilesPerAccount: 2",
            ),
            case(
                "CreateRole",
                &[(ROLE, "fourth"), ("AssumeRolePolicyDocument", TRUST)],
                limit,
                "Cannot exceed quota for RolesPerAccount: 3",
            ),
            case(
                "AttachRolePolicy",
                &[(ROLE, "busy"), ("PolicyArn", "arn:aws:iam::aws:policy/ReadOnlyAccess")],
                limit,
                "Cannot exceed quota for PoliciesPerRole: 1",
            ),
        ],
    );
    // Attaching an attached policy again changes nothing.
    client.get("AttachRolePolicy", &[(ROLE, "busy"), ("PolicyArn", S3)]);
    let parameters = [(ROLE, "free"), ("PolicyDocument", large.as_str())];
    let (_, _, message) = client.refused("UpdateAssumeRolePolicy", &parameters);
    assert_eq!(message, "Cannot exceed quota for ACLSizePerRole: 2048");
    // White space does not count.
    let spacious = TRUST.replace(',', &format!(",{}", " \n".repeat(2000)));
    client.get("UpdateAssumeRolePolicy", &[(ROLE, "free"), ("PolicyDocument", &spacious)]);
}

#[test]
fn a_new_account_has_the_default_quotas() {
    let client = Client::of_empty_account();
    for number in 0..1000 {
        client.create_profile(&format!("p{number}"), "/");
    }
    let (_, _, message) = client.refused("CreateInstanceProfile", &[(PROFILE, "p1000")]);
    assert_eq!(message, "Cannot exceed quota for InstanceProfilesPerAccount: 1000");
    // Deleting makes room.
    client.get("DeleteInstanceProfile", &[(PROFILE, "p7")]);
    client.create_profile("p1000", "/");
}

#[test]
fn names_paths_and_numbers_are_held_to_the_service_model() {
    let bad = (400, "ValidationError");
    let words = "The specified value for roleName is invalid. It must contain only alphanumeric \
                 characters and/or the following: +=,.@_-";
    let path = "The specified value for path is invalid. It must begin and end with / and contain \
                only alphanumeric characters and/or / characters.";
    let prefix = "The specified value for pathPrefix is invalid. It must begin with the / character \
                  and contain only alphanumeric characters and/or / characters.";
    let null = "1 validation error detected: Value at 'instanceProfileName' failed to satisfy \
                constraint: Member must not be null";
    let long = "1 validation error detected: Value at 'instanceProfileName' failed to satisfy \
                constraint: Member must have length less than or equal to 128";
    let two = "2 validation errors detected: Value at 'marker' failed to satisfy constraint: Member \
               must have length less than or equal to 320; Value at 'maxItems' failed to satisfy \
               constraint: Member must have value greater than or equal to 1";
    let long_name: &'static str = "x".repeat(129).leak();
    let long_marker: &'static str = "x".repeat(321).leak();
    let long_prefix: &'static str = "x".repeat(513).leak();
    // A path may have 1 + 510 + 1 characters, and no more.
    let longest: &'static str = format!("/{}/", "x".repeat(510)).leak();
    let too_long: &'static str = format!("/{}/", "x".repeat(511)).leak();
    let client = furnished();
    check(
        &client,
        &[
            case("GetRole", &[(ROLE, "a/b")], bad, words),
            case("GetRole", &[(ROLE, "grün")], bad, words),
            case("GetInstanceProfile", &[], bad, null),
            case("GetInstanceProfile", &[(PROFILE, long_name)], bad, long),
            case("CreateInstanceProfile", &[(PROFILE, "x"), ("Path", "no")], bad, path),
            case("CreateInstanceProfile", &[(PROFILE, "x"), ("Path", "//")], bad, path),
            case("CreateInstanceProfile", &[(PROFILE, "x"), ("Path", "/a b/")], bad, path),
            case(
                "CreateInstanceProfile",
                &[(PROFILE, "x"), ("Path", too_long)],
                bad,
                "1 validation error detected: Value at 'path' failed to satisfy constraint: Member \
                 must have length less than or equal to 512",
            ),
            case("ListInstanceProfiles", &[("PathPrefix", "no")], bad, prefix),
            case("ListInstanceProfiles", &[("PathPrefix", long_prefix)], bad, prefix),
            case("ListInstanceProfiles", &[("Marker", long_marker), ("MaxItems", "0")], bad, two),
            case(
                "CreateRole",
                &[
                    (ROLE, "x"),
                    ("AssumeRolePolicyDocument", TRUST),
                    ("MaxSessionDuration", "3599"),
                    ("Description", "\u{80}"),
                    ("PermissionsBoundary", "arn"),
                ],
                bad,
                r"3 validation errors detected: Value at 'description' failed to satisfy constraint: Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*; Value at 'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600; Value at 'permissionsBoundary' failed to satisfy constraint: Member must have length greater than or equal to 20",
            ),
            case(
                "AttachRolePolicy",
                &[(ROLE, "free"), ("PolicyArn", "this-is-no-policy-arn")],
                bad,
                "ARN this-is-no-policy-arn is not valid.",
            ),
        ],
    );
    client.create_profile("y", longest);
    client.create_profile(&long_name[1..], "/");
}

#[test]
fn tags_are_held_to_the_service_model() {
    let bad = (400, "ValidationError");
    let duplicate = (400, "InvalidInput");
    let member = |number: usize| -> [(&'static str, &'static str); 2] {
        let name = |field| &*format!("Tags.member.{number}.{field}").leak();
        [(name("Key"), format!("key{number}").leak()), (name("Value"), "v")]
    };
    let many: Vec<_> = (1..=51).flat_map(member).collect();
    let with = |name: (&'static str, &'static str), tags: &[(&'static str, &'static str)]| {
        [&[name], tags].concat()
    };
    let profile = (PROFILE, "alone");
    let role = (ROLE, "free");
    let keys: Vec<_> =
        (1..=51).map(|number| (&*format!("TagKeys.member.{number}").leak(), "k")).collect();
    let cased = [
        ("Tags.member.1.Key", "Dept"),
        ("Tags.member.1.Value", "a"),
        ("Tags.member.2.Key", "dept"),
        ("Tags.member.2.Value", "b"),
    ];
    let same = [
        ("Tags.member.1.Key", "dept"),
        ("Tags.member.1.Value", "a"),
        ("Tags.member.2.Key", "dept"),
        ("Tags.member.2.Value", "b"),
    ];
    let too_many = "1 validation error detected: Value at 'tags' failed to satisfy constraint: \
                    Member must have length less than or equal to 50";
    let client = furnished();
    check(
        &client,
        &[
            case("TagInstanceProfile", &with(profile, &many), bad, too_many),
            case("CreateInstanceProfile", &with((PROFILE, "x"), &many), bad, too_many),
            case("TagRole", &with(role, &many), bad, too_many),
            case(
                "UntagInstanceProfile",
                &with(profile, &keys),
                bad,
                "1 validation error detected: Value at 'tagKeys' failed to satisfy constraint: \
                 Member must have length less than or equal to 50",
            ),
            case(
                "UntagRole",
                &with(role, &[("TagKeys.member.1", "fine"), ("TagKeys.member.2", "bad!")]),
                bad,
                r"1 validation error detected: Value at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+, Member must not be null]",
            ),
            case(
                "TagInstanceProfile",
                &with(
                    profile,
                    &[
                        ("Tags.member.1.Key", "fine"),
                        ("Tags.member.1.Value", "fine"),
                        ("Tags.member.2.Key", ""),
                        ("Tags.member.2.Value", "bad*"),
                    ],
                ),
                bad,
                r"3 validation errors detected: Value at 'tags.2.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1; Value at 'tags.2.member.key' failed to satisfy constraint: Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+; Value at 'tags.2.member.value' failed to satisfy constraint: Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*",
            ),
            case(
                "TagInstanceProfile",
                &with(profile, &same),
                duplicate,
                "Duplicate tag keys found.",
            ),
            case(
                "TagRole",
                &with(role, &cased),
                duplicate,
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ),
        ],
    );
    // 50 tags are the limit, in any characters. One of the 50 may change.
    client.get("TagInstanceProfile", &with(profile, &many[..100]));
    client.get(
        "TagInstanceProfile",
        &with(profile, &[("Tags.member.1.Key", "key1"), ("Tags.member.1.Value", "çà 日本")]),
    );
    check(
        &client,
        &[case(
            "TagInstanceProfile",
            &with(profile, &cased),
            (409, "LimitExceeded"),
            "The number of tags has reached the maximum limit.",
        )],
    );
    assert_eq!(client.get("ListInstanceProfileTags", &[profile]).tags().len(), 50);
}

#[test]
fn trust_policies_are_checked() {
    let statement = |inside: &str| -> &'static str {
        format!(r#"{{"Version":"2012-10-17","Statement":[{{{inside}}}]}}"#).leak()
    };
    let bad = (400, "MalformedPolicyDocument");
    let cases: Vec<Case> = [
        ("{\"Version\"", "This policy contains invalid Json"),
        ("   ", "This policy contains invalid Json"),
        (
            statement(
                r#""Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*""#,
            ),
            "Has prohibited field Resource",
        ),
        (
            statement(r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject""#),
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (
            statement(r#""Effect":"Allow","Principal":{"AWS":[]},"Action":"sts:AssumeRole""#),
            "Invalid principal in policy: com.amazon.balsa.error.InvalidPolicyException: The \
             passed in policy has a statement with no principals!",
        ),
        (
            statement(
                r#""Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/ghost"},"Action":"sts:AssumeRole""#,
            ),
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::123456789012:role/ghost\"",
        ),
        ("null", "Syntax errors in policy."),
    ]
    .into_iter()
    .flat_map(|(document, message)| {
        [
            case("UpdateAssumeRolePolicy", &[(ROLE, "free"), ("PolicyDocument", document)], bad, message),
            case("CreateRole", &[(ROLE, "new"), ("AssumeRolePolicyDocument", document)], bad, message),
        ]
    })
    .collect();
    let client = furnished();
    check(&client, &cases);
    for fine in [
        statement(
            r#""Effect":"Deny","Principal":{"AWS":["123456789012","arn:aws:iam::123456789012:role/inside"]},"Action":["sts:AssumeRole","sts:TagSession"]"#,
        ),
        statement(
            r#""Sid":"x","Effect":"Allow","Principal":{"Federated":"cognito-identity.amazonaws.com"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{}"#,
        ),
    ] {
        client.get("UpdateAssumeRolePolicy", &[(ROLE, "free"), ("PolicyDocument", fine)]);
    }
}

#[test]
fn sts_repeats_the_value_and_denies_what_is_not_there() {
    let me = "arn:aws:iam::123456789012:user/local-operator";
    let session = ("RoleSessionName", "session");
    let bad = (400, "ValidationError");
    let denied = (403, "AccessDenied");
    let ghost = "arn:aws:iam::123456789012:role/ghost";
    let foreign = "arn:aws:iam::210987654321:role/inside";
    let message = |arn: &str| -> &'static str {
        format!("User: {me} is not authorized to perform: sts:AssumeRole on resource: {arn}").leak()
    };
    let client = furnished();
    let trust = [(ROLE, "inside"), ("PolicyDocument", TRUST_ACCOUNT)];
    client.get("UpdateAssumeRolePolicy", &trust);
    check(
        &client,
        &[
            case("AssumeRole", &[("RoleArn", ghost), session], denied, message(ghost)),
            case("AssumeRole", &[("RoleArn", foreign), session], denied, message(foreign)),
            case(
                "AssumeRole",
                &[("RoleArn", "malformed-malformed-malformed"), session],
                bad,
                "malformed-malformed-malformed is invalid",
            ),
            case(
                "AssumeRole",
                &[
                    ("RoleArn", "arn:aws:iam::123456789012:role/inside"),
                    ("RoleSessionName", "x"),
                    ("DurationSeconds", "899"),
                ],
                bad,
                "2 validation errors detected: Value 'x' at 'roleSessionName' failed to satisfy \
                 constraint: Member must have length greater than or equal to 2; Value '899' at \
                 'durationSeconds' failed to satisfy constraint: Member must have value greater \
                 than or equal to 900",
            ),
            case(
                "AssumeRole",
                &[
                    ("RoleArn", "arn:aws:iam::123456789012:role/inside"),
                    session,
                    ("DurationSeconds", "3601"),
                ],
                bad,
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            ),
        ],
    );
}

#[test]
fn requests_that_name_no_action_of_ours() {
    let client = Client::of_empty_account();
    let ask = |authorization: Option<&str>, form: &str| {
        let authorization = authorization.map(str::to_owned);
        let request =
            Request { authorization, body: form.as_bytes().to_vec(), ..Request::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let Answer::Reply(reply) = runtime.block_on(client.emulator.answer(request)) else {
            panic!("the answer to {form} got lost");
        };
        let error = Element::parse(&reply.body);
        assert_eq!(error.text("Error/Type"), "Sender");
        (reply.status, error.text("Error/Code"), error.text("Error/Message"))
    };
    let header = request("AKIAIOSFODNN7EXAMPLE", "GetRole", &[]).authorization;
    let header = header.as_deref();
    let unknown = |action: &str, version: &str| {
        let message = format!("Could not find operation {action} for version {version}");
        (400, "InvalidAction".to_owned(), message)
    };
    assert_eq!(ask(header, "Action=Nope&Version=2010-05-08"), unknown("Nope", "2010-05-08"));
    assert_eq!(ask(header, "Action=GetRole&Version=2009-01-01"), unknown("GetRole", "2009-01-01"));
    assert_eq!(ask(header, "Action=GetRole").1, "InvalidAction");
    // An STS action is unknown to IAM.
    assert_eq!(ask(header, "Action=AssumeRole&Version=2010-05-08").1, "InvalidAction");
    assert_eq!(ask(header, "").1, "MissingAction");
    assert_eq!(ask(header, "{\"Action\": \"GetRole\"}").1, "MissingAction");
    assert_eq!(ask(None, "Action=GetRole&Version=2010-05-08").1, "MissingAuthenticationToken");
    assert_eq!(ask(Some("Bearer x"), "Action=GetRole&Version=2010-05-08").0, 403);
    // Text of a request is escaped in the response.
    assert_eq!(
        ask(header, "Action=%3Cb%3E%26%00&Version=2010-05-08").2,
        "Could not find operation <b>&\u{fffd} for version 2010-05-08"
    );
}

/// Cloud Custodian's `iam-role` policies ask Lambda and ECS on the way.
#[test]
fn a_request_for_another_service_gets_that_kind_of_error() {
    let client = Client::of_empty_account();
    let ask = |service: &str, request: Request| {
        let scope = format!("AKID/20260102/us-east-1/{service}/aws4_request");
        let authorization = Some(format!("AWS4-HMAC-SHA256 Credential={scope}, Signature=00"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let request = Request { authorization, ..request };
        match runtime.block_on(client.emulator.answer(request)) {
            Answer::Reply(reply) => reply,
            Answer::Lost | Answer::Cut(_) => panic!("the answer got lost"),
        }
    };
    let form = |text: &str| Request { body: text.as_bytes().to_vec(), ..Request::default() };
    let at = |method: &str, path: &str| Request {
        method: method.to_owned(),
        path: path.to_owned(),
        ..Request::default()
    };
    let targeted = |target: &str| Request { target: Some(target.to_owned()), ..Request::default() };

    // Terraform's AWS provider looks for these words of EC2.
    let ec2 = ask("ec2", form("Action=DescribeNothing&Version=2016-11-15"));
    assert_eq!(ec2.status, 400);
    let error = Element::parse(ec2.body.split_once('\n').expect("a prolog").1);
    assert_eq!(error.text("Errors/Error/Code"), "InvalidAction");
    assert_eq!(
        error.text("Errors/Error/Message"),
        "The action DescribeNothing is not valid for this web service."
    );
    // An IAM action that is sent to STS, and one of a service that is not implemented.
    for (service, body) in [
        ("sts", "Action=ListRoles&Version=2010-05-08"),
        ("autoscaling", "Action=ListRoles&Version=2011-01-01"),
        ("sns", "Action=ListTopics&Version=2010-03-31"),
    ] {
        let reply = ask(service, form(body));
        let error = Element::parse(&reply.body);
        assert_eq!((reply.status, error.text("Error/Code").as_str()), (400, "InvalidAction"));
        assert!(error.text("Error/Message").starts_with("Could not find operation "));
    }
    for (service, target) in [
        ("ecs", "AmazonEC2ContainerServiceV20141113.DescribeClusters"),
        ("elasticmapreduce", "ElasticMapReduce.Nothing"),
        ("dynamodb", "DynamoDB_20120810.ListTables"),
    ] {
        let reply = ask(service, targeted(target));
        let body: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
        assert_eq!((reply.status, &body["__type"]), (400, &"UnknownOperationException".into()));
    }
    for (service, method, path) in [
        ("eks", "GET", "/clusters/c/addons"),
        ("batch", "POST", "/v1/describejobqueues"),
        ("lambda", "GET", "/2015-03-31/functions/"),
    ] {
        let reply = ask(service, at(method, path));
        assert_eq!((reply.status, reply.error_type), (404, Some("UnknownOperationException")));
        serde_json::from_str::<serde_json::Value>(&reply.body).expect("JSON");
    }
}

#[test]
fn every_action_answers_and_none_fails_without_its_parameters() {
    let client = furnished();
    let names: Vec<_> = actions().collect();
    assert!(names.contains(&("iam", "GetInstanceProfile")), "{names:?}");
    assert!(names.contains(&("sts", "AssumeRole")), "{names:?}");
    for (service, action) in names {
        // The other services have their own protocols: see `services.rs`.
        if !matches!(service, "iam" | "sts") {
            continue;
        }
        let reply = client.ask(action, &[]);
        let null = reply.body.contains("Member must not be null");
        let fine = if reply.status == 200 { !null } else { reply.status == 400 && null };
        assert!(fine, "{action}: {} {}", reply.status, reply.body);
        assert!(reply.body.contains(&reply.request_id), "{action} does not say its request id");
    }
    // Equal requests have different request ids, in the format of AWS.
    let [one, other] = [(); 2].map(|()| client.ask("ListRoles", &[]).request_id);
    assert_ne!(one, other);
    assert_eq!((one.len(), one.matches('-').count()), (36, 4));
}
