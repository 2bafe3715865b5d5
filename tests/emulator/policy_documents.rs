//! Permissions policies that IAM accepts, and the texts for those that it refuses. The rows are
//! AWS's responses to `CreatePolicy` in `TestPolicyDocumentValidity` of `LocalStack`'s recorded
//! suite (`test_iam_policies.py`, February 2026): all 78 refusals, and those of the 51 accepted
//! documents that are not examples of a guide.

use serde_json::{Value, json};

use super::Client;

const SYNTAX: &str = "Syntax errors in policy.";
const LEGACY: &str = "The policy failed legacy parsing";
const VERSION: &str = "Policy document must be version 2012-10-17 or greater.";

/// Changes to a valid statement (null removes a key), and AWS's refusal of the policy with each.
const WRONG_STATEMENTS: &[(&str, &str)] = &[
    (r#"{"Extra field":"value"}"#, SYNTAX),
    (r#"{"Effect":"invalid"}"#, SYNTAX),
    (
        r#"{"Action":"invalid"}"#,
        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
    ),
    (
        r#"{"NotAction":"","Action":null}"#,
        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
    ),
    (r#"{"Action":"a a:ListBucket"}"#, "Vendor a a is not valid"),
    (r#"{"Action":"s3:List:Bucket"}"#, "Actions/Condition can contain only one colon."),
    (
        r#"{"Resource":"invalid resource"}"#,
        r#"Resource invalid resource must be in ARN format or "*"."#,
    ),
    (
        r#"{"Action":"s:3:ListBucket","Resource":"sdfsadf"}"#,
        r#"Resource sdfsadf must be in ARN format or "*"."#,
    ),
    (r#"{"Resource":["adf"]}"#, r#"Resource adf must be in ARN format or "*"."#),
    (r#"{"Resource":""}"#, r#"Resource  must be in ARN format or "*"."#),
    (
        r#"{"NotAction":"s3s:ListBucket","Resource":"a:bsdfdsafsad","Action":null}"#,
        r#"Partition "bsdfdsafsad" is not valid for resource "arn:bsdfdsafsad:*:*:*:*"."#,
    ),
    (
        r#"{"NotAction":"s3s:ListBucket","Resource":"a:b:cadfsdf","Action":null}"#,
        r#"Partition "b" is not valid for resource "arn:b:cadfsdf:*:*:*"."#,
    ),
    (
        r#"{"NotAction":"s3s:ListBucket","Resource":"a:b:c:d:e:f:g:h","Action":null}"#,
        r#"Partition "b" is not valid for resource "arn:b:c:d:e:f:g:h"."#,
    ),
    (
        r#"{"Resource":"aws:s3:::example_bucket"}"#,
        r#"Partition "s3" is not valid for resource "arn:s3:::example_bucket:*"."#,
    ),
    (
        r#"{"Resource":["arn:error:s3:::example_bucket","arn:error:s3::example_bucket"]}"#,
        r#"Partition "error" is not valid for resource "arn:error:s3:::example_bucket"."#,
    ),
    (r#"{"Resource":null}"#, "Policy statement must contain resources."),
    (r#"{"Resource":[]}"#, "Policy statement must contain resources."),
    (r#"{"Action":"invalid","Resource":null}"#, "Policy statement must contain resources."),
    (r#"{"Action":null}"#, "Policy statement must contain actions."),
    (r#"{"Effect":null}"#, SYNTAX),
    (r#"{"Action":null,"Resource":null}"#, "Policy statement must contain actions."),
    (r#"{"Action":[]}"#, "Policy statement must contain actions."),
    (
        r#"{"Resource":"arn:aws:iam:::example_bucket"}"#,
        r#"IAM resource path must either be "*", root, or start with user/, federated-user/, role/, group/, instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/."#,
    ),
    (r#"{"Resource":"arn:aws:s3::example_bucket"}"#, LEGACY),
    (r#"{"Resource":"arn:aws:s3::example_bucket","Action":null}"#, LEGACY),
    (
        r#"{"Resource":"arn:aws"}"#,
        "Resource vendor must be fully qualified and cannot contain regexes.",
    ),
    (r#"{"Resource":{"a":"arn:aws:s3:::example_bucket"}}"#, SYNTAX),
    (r#"{"Effect":"Deny","Resource":["adfdf",{}]}"#, SYNTAX),
    (r#"{"NotAction":"s3:ListBucket","NotResource":[],"Action":null}"#, SYNTAX),
    (r#"{"Effect":"Deny","Action":[[]]}"#, SYNTAX),
    (r#"{"NotAction":"s3s:ListBucket","Action":[]}"#, SYNTAX),
    (r#"{"Action":{}}"#, SYNTAX),
    (r#"{"Condition":[]}"#, SYNTAX),
    (r#"{"Condition":"a"}"#, SYNTAX),
    (r#"{"Condition":{"a":"b"}}"#, SYNTAX),
    (r#"{"Condition":{"DateGreaterThan":"b"}}"#, SYNTAX),
    (r#"{"Condition":{"DateGreaterThan":[]}}"#, SYNTAX),
    (r#"{"Condition":{"DateGreaterThan":{"a":{}}}}"#, SYNTAX),
    (r#"{"Condition":{"DateGreaterThan":{"a":{}}},"Action":null}"#, SYNTAX),
    (r#"{"Condition":{"x":{"a":"1"}}}"#, SYNTAX),
    (r#"{"Condition":{"ForAnyValue::StringEqualsIfExists":{"a":"asf"}}}"#, SYNTAX),
    (r#"{"Condition":[{"ForAllValues:StringEquals":{"aws:TagKeys":"Department"}}]}"#, SYNTAX),
    (
        r#"{"Resource":"arn:aws:iam:us-east-1::example_bucket"}"#,
        "IAM resource arn:aws:iam:us-east-1::example_bucket cannot contain region information.",
    ),
    (
        r#"{"Resource":"arn:aws:s3:us-east-1::example_bucket"}"#,
        "Resource arn:aws:s3:us-east-1::example_bucket can not contain region information.",
    ),
    (r#"{"Sid":{}}"#, SYNTAX),
    (r#"{"Sid":[]}"#, SYNTAX),
    (r#"{"NotAction":"s3:ListBucket","Action":"iam:dsf"}"#, SYNTAX),
    (r#"{"NotResource":"*"}"#, SYNTAX),
    (r#"{"Effect":"denY"}"#, LEGACY),
    (r#"{"Condition":{"DateGreaterThan":{"a":"sdfdsf"}}}"#, LEGACY),
    (r#"{"Condition":{"DateGreaterThan":{"a":"sdfdsf"}},"Action":null,"Resource":null}"#, LEGACY),
    (
        r#"{"NotAction":"s3:ListBucket","Resource":"arn:aws::::example_bucket","Action":null}"#,
        LEGACY,
    ),
    (
        r#"{"Effect":"allow","Resource":"arn:aws:s3:us-east-1::example_bucket","Action":null}"#,
        LEGACY,
    ),
    (r#"{"NotResource":"arn:aws:s3::example_bucket","Resource":null}"#, LEGACY),
    (r#"{"Condition":{"DateLessThanEquals":{"a":"234-13"}}}"#, LEGACY),
    (r#"{"Condition":{"DateLessThanEquals":{"a":"2016-12-13t2:00:00.593194+1"}}}"#, LEGACY),
    (r#"{"Condition":{"DateLessThanEquals":{"a":"2016-12-13t2:00:00.1999999999+10:59"}}}"#, LEGACY),
    (r#"{"Condition":{"DateLessThan":{"a":"9223372036854775808"}}}"#, LEGACY),
    (
        r#"{"Resource":"arn:error:s3:::example_bucket","Condition":{"DateGreaterThan":{"a":"sdfdsf"}}}"#,
        LEGACY,
    ),
    (r#"{"Resource":"arn:aws::fdsasf"}"#, LEGACY),
];

/// Whole policies, and AWS's refusals of them.
const WRONG_POLICIES: &[(&str, &str)] = &[
    ("This is not a json document", SYNTAX),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"}}"#,
        VERSION,
    ),
    (
        r#"{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"}}"#,
        VERSION,
    ),
    (
        r#"{"Version":"2013-10-17","Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"}}"#,
        SYNTAX,
    ),
    (r#"{"Version":"2012-10-17"}"#, SYNTAX),
    (r#"{"Version":"2012-10-17","Statement":["afd"]}"#, SYNTAX),
    (
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"},"Extra field":"value"}"#,
        SYNTAX,
    ),
    (
        r#"{"Version":"2012-10-17","Id":["cd3a324d2343d942772346-34234234423404-4c2242343242349d1642ee"],"Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"}}"#,
        SYNTAX,
    ),
    (
        r#"{"Version":"2012-10-17","Id":{},"Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"}}"#,
        SYNTAX,
    ),
    (
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3s:ListBucket","Resource":"arn:aws:s3:::example_bucket"},{"Effect":"Allow","Action":"s:3s:ListBucket","Resource":"arn:aws:s3:::example_bucket"}]}"#,
        "Actions/Condition can contain only one colon.",
    ),
    (
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"EnableDisableHongKong","Effect":"Allow","Action":["account:EnableRegion","account:DisableRegion"],"Resource":"","Condition":{"StringEquals":{"account:TargetRegion":"ap-east-1"}}},{"Sid":"ViewConsole","Effect":"Allow","Action":["aws-portal:ViewAccount","account:ListRegions"],"Resource":""}]}"#,
        r#"Resource  must be in ARN format or "*"."#,
    ),
    (r#"{"Version":"2012-10-17","Statement":[]}"#, SYNTAX),
    (
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny"},{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"}]}"#,
        "Policy statement must contain actions.",
    ),
    (
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"sdf","Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"},{"Sid":"sdf","Effect":"Allow"}]}"#,
        "Statement IDs (SID) in a single policy must be unique.",
    ),
    (
        r#"{"Statement":[{"Sid":"sdf","Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"},{"Sid":"sdf","Effect":"Allow"}]}"#,
        VERSION,
    ),
    (
        r#"{"Statement":{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket","Condition":{"DateGreaterThan":{"a":"sdfdsf"}}}}"#,
        VERSION,
    ),
    (
        r#"{"Statement":{"Effect":"denY","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"}}"#,
        VERSION,
    ),
    (
        r#"{"Version":"2012-10-17","Statement":[{"Sid":"sdf","Effect":"aLLow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"},{"Sid":"sdf","Effect":"Allow"}]}"#,
        LEGACY,
    ),
];

/// Changes to a valid statement that AWS accepts.
const FINE_STATEMENTS: &[&str] = &[
    r#"{"Resource":["arn:aws:s3:::example_bucket"]}"#,
    r#"{"Action":"iam: asdf safdsf af "}"#,
    r#"{"Resource":["arn:aws:s3:::example_bucket","*"]}"#,
    r#"{"Action":"*"}"#,
    r#"{"Action":"service-prefix:action-name","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":"2017-07-01T00:00:00Z"},"DateLessThan":{"aws:CurrentTime":"2017-12-31T23:59:59Z"}}}"#,
    r#"{"Action":"fsx:ListBucket"}"#,
    r#"{"Resource":"arn:aws:iam:::user/example_bucket"}"#,
    r#"{"Resource":"arn:aws:s33:::example_bucket"}"#,
    r#"{"Resource":"arn:aws:fdsasf"}"#,
    r#"{"Condition":{}}"#,
    r#"{"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":"Department"}}}"#,
    r#"{"Resource":"arn:aws:cloudwatch:us-east-1::example_bucket"}"#,
    r#"{"Resource":"arn:aws:ec2:us-east-1::example_bucket"}"#,
    r#"{"Resource":"arn:aws:invalid-service:::example_bucket"}"#,
    r#"{"Resource":"arn:aws:invalid-service:us-east-1::example_bucket"}"#,
    r#"{"Condition":{"DateGreaterThan":{"aws:CurrentTime":"2017-07-01T00:00:00Z"},"DateLessThan":{"aws:CurrentTime":"2017-12-31T23:59:59Z"}}}"#,
    r#"{"Condition":{"DateGreaterThan":{}}}"#,
    r#"{"Condition":{"DateGreaterThan":{"a":[]}}}"#,
    r#"{"Condition":{"a":{}}}"#,
    r#"{"Sid":"dsfsdfsdfsdfsdfsadfsd"}"#,
    r#"{"NotAction":"s3:ListBucket","Action":null}"#,
    r#"{"Effect":"Deny","Action":"s3:*","NotResource":["arn:aws:s3:::HRBucket/Payroll","arn:aws:s3:::HRBucket/Payroll/*"],"Resource":null}"#,
    r#"{"Action":"aaaaaadsfdsafsadfsadfaaaaa:ListBucket"}"#,
    r#"{"Action":"s3-s:ListBucket"}"#,
    r#"{"Action":"s3.s:ListBucket"}"#,
    r#"{"NotAction":"s3:ListBucket","NotResource":"*","Action":null,"Resource":null}"#,
    r#"{"Condition":{"DateGreaterThan":{"a":"01T"}}}"#,
    r#"{"Condition":{"x":{},"y":{}}}"#,
    r#"{"Condition":{"StringEqualsIfExists":{"a":"asf"}}}"#,
    r#"{"Condition":{"ForAnyValue:StringEqualsIfExists":{"a":"asf"}}}"#,
    r#"{"Condition":{"DateLessThanEquals":{"a":"2019-07-01T13:20:15Z"}}}"#,
    r#"{"Condition":{"DateLessThanEquals":{"a":"2016-12-13T21:20:37.593194+00:00"}}}"#,
    r#"{"Condition":{"DateLessThanEquals":{"a":"2016-12-13t2:00:00.593194+23"}}}"#,
    r#"{"Condition":{"DateLessThan":{"a":"-292275054"}}}"#,
];

/// Whole policies that AWS accepts.
const FINE_POLICIES: &[&str] = &[
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"}]}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"ConsoleDisplay","Effect":"Allow","Action":["iam:GetRole","iam:GetUser","iam:ListRoles","iam:ListRoleTags","iam:ListUsers","iam:ListUserTags"],"Resource":"*"},{"Sid":"AddTag","Effect":"Allow","Action":["iam:TagUser","iam:TagRole"],"Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/CostCenter":["A-123","B-456"]},"ForAllValues:StringEquals":{"aws:TagKeys":"CostCenter"}}}]}"#,
    r#"{"Version":"2012-10-17","Id":"sdfsdfsdf","Statement":{"Effect":"Allow","NotAction":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"}}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"sdf","Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"},{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::example_bucket"}]}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ec2:AttachVolume","ec2:DetachVolume"],"Resource":["arn:aws:ec2:*:*:volume/*","arn:aws:ec2:*:*:instance/*"],"Condition":{"ArnEquals":{"ec2:SourceInstanceARN":"arn:aws:ec2:*:*:instance/instance-id"}}}]}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ec2:AttachVolume","ec2:DetachVolume"],"Resource":"arn:aws:ec2:*:*:instance/*","Condition":{"StringEquals":{"ec2:ResourceTag/Department":"Development"}}},{"Effect":"Allow","Action":["ec2:AttachVolume","ec2:DetachVolume"],"Resource":"arn:aws:ec2:*:*:volume/*","Condition":{"StringEquals":{"ec2:ResourceTag/VolumeUser":"${aws:username}"}}}]}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"StartStopIfTags","Effect":"Allow","Action":["ec2:StartInstances","ec2:StopInstances","ec2:DescribeTags"],"Resource":"arn:aws:ec2:region:account-id:instance/*","Condition":{"StringEquals":{"ec2:ResourceTag/Project":"DataAnalytics","aws:PrincipalTag/Department":"Data"}}}]}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:ListAllMyBuckets","s3:GetBucketLocation"],"Resource":"*"},{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::bucket-name","Condition":{"StringLike":{"s3:prefix":["","home/","home/${aws:userid}/*"]}}},{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::bucket-name/home/${aws:userid}","arn:aws:s3:::bucket-name/home/${aws:userid}/*"]}]}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Action":"ec2:*","Resource":"*","Effect":"Allow","Condition":{"StringEquals":{"ec2:Region":"region"}}}]}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"rds:*","Resource":["arn:aws:rds:region:*:*"]},{"Effect":"Allow","Action":["rds:Describe*"],"Resource":["*"]}]}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"","Effect":"Allow","Action":"rds:*","Resource":["arn:aws:rds:region:*:*"]},{"Sid":"","Effect":"Allow","Action":["rds:Describe*"],"Resource":["*"]}]}"#,
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"","Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:us-west-2:123456789012:accesspoint/my-access-point","arn:aws:s3:us-west-2:123456789012:accesspoint/my-access-point/object/*"]}]}"#,
];

/// Policy with a change to a valid statement.
fn policy_with(change: &str) -> String {
    let mut statement = json!({
        "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::example_bucket",
    });
    let change: Value = serde_json::from_str(change).expect("a change is JSON");
    for (key, value) in change.as_object().expect("a change is an object") {
        let fields = statement.as_object_mut().expect("a statement is an object");
        match value {
            Value::Null => fields.shift_remove(key),
            value => fields.insert(key.clone(), value.clone()),
        };
    }
    json!({"Version": "2012-10-17", "Statement": statement}).to_string()
}

#[track_caller]
fn refused(client: &Client, document: &str, message: &str) {
    let parameters = [("PolicyName", "p"), ("PolicyDocument", document)];
    let refused = client.refused("CreatePolicy", &parameters);
    let expected = (400, "MalformedPolicyDocument".to_owned(), message.to_owned());
    assert_eq!(refused, expected, "{document}");
}

#[test]
fn wrong_policies_are_refused_in_the_words_of_aws() {
    let client = Client::of_empty_account();
    for (change, message) in WRONG_STATEMENTS {
        refused(&client, &policy_with(change), message);
    }
    for (document, message) in WRONG_POLICIES {
        refused(&client, document, message);
    }
    assert_eq!(WRONG_STATEMENTS.len() + WRONG_POLICIES.len(), 78, "all that were recorded");
}

/// From reports of users, with their texts: a policy with a principal, and an id with a hyphen.
#[test]
fn principals_and_odd_ids_are_refused() {
    let client = Client::of_empty_account();
    for principal in ["Principal", "NotPrincipal"] {
        let change =
            format!(r#"{{"{principal}":{{"Service":"ec2.amazonaws.com"}},"Resource":null}}"#);
        let message = "Policy document should not specify a principal.";
        refused(&client, &policy_with(&change), message);
    }
    let message = "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the \
                   regular expression [0-9A-Za-z]*";
    refused(&client, &policy_with(r#"{"Sid":"read-only"}"#), message);
}

#[test]
fn what_aws_takes_is_taken() {
    let client = Client::of_empty_account();
    let changed = FINE_STATEMENTS.iter().map(|change| policy_with(change));
    let whole = FINE_POLICIES.iter().map(|policy| (*policy).to_owned());
    for (number, document) in changed.chain(whole).enumerate() {
        let name = format!("p{number}");
        let parameters = [("PolicyName", &*name), ("PolicyDocument", &*document)];
        let created = client.get("CreatePolicy", &parameters);
        assert_eq!(created.text("Policy/PolicyName"), name);
    }
}

/// Inline policies have the same rules, except that they need no version: the old one is valid for
/// them.
#[test]
fn inline_policies_are_checked_too() {
    let client = Client::of_empty_account();
    client.create_role("r");
    let put = |document: &str| {
        let parameters = [("RoleName", "r"), ("PolicyName", "p"), ("PolicyDocument", document)];
        let reply = client.ask("PutRolePolicy", &parameters);
        let error = super::Element::parse(&reply.body);
        error.child("Error/Message").map(|message| message.content.clone())
    };
    for (change, message) in WRONG_STATEMENTS {
        assert_eq!(put(&policy_with(change)).as_deref(), Some(*message), "{change}");
    }
    for change in FINE_STATEMENTS {
        assert_eq!(put(&policy_with(change)), None, "{change}");
        let old = policy_with(change).replace("2012-10-17", "2008-10-17");
        assert_eq!(put(&old), None, "{old}");
    }
}
