//! Refusals of AWS as users see them: an endpoint answers calls of the program with AWS's own codes
//! and texts, and the hint of each must be right.
//!
//! The source of each text stands above its row: "guide" is "Troubleshoot access denied error
//! messages" of the IAM User Guide, `owner/name#123` an issue or pull request on GitHub, "model"
//! the service model (botocore).

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use iamlua::emulator::{Emulator, EmulatorSettings, bind, serve};

use crate::end_to_end::{Home, Ran};

/// Refused call.
struct Row {
    /// Lua code of the call.
    call: &'static str,
    /// Refused action.
    action: &'static str,
    status: u16,
    code: &'static str,
    message: &'static str,
    /// Texts of the hint.
    says: &'static [&'static str],
    /// Texts that the hint must not have.
    hides: &'static [&'static str],
}

const GET: &str = "iam.roles.get('worker')";
const ADD: &str = "iam.profiles.add_role('web-1', 'worker')";
const CREATE: &str = "iam.profiles.create('new')";
const MAKE: &str =
    "iam.roles.create('new', { assume_role_policy = policy.trust('ec2.amazonaws.com') })";
const DELETE: &str = "iam.roles.delete('worker')";
const REMOVE: &str = "iam.profiles.delete('worker')";
const ATTACH: &str =
    "iam.roles.attach_policy('worker', 'arn:aws:iam::aws:policy/AmazonRDSFullAccess')";
const TAG: &str = "iam.profiles.tag('worker', { Owner = 'ops' })";
const SCAN: &str = "iam.usage.scan()";
const ASSUME: &str =
    "iam.connect { role_arn = 'arn:aws:iam::123456789012:role/deploy' }.roles.get('worker')";

const WHOAMI: &str = "`iamlua whoami` shows which credentials are used and where they come from";

/// Row for a denial with that text.
const fn denied(
    call: &'static str,
    action: &'static str,
    message: &'static str,
    says: &'static [&'static str],
    hides: &'static [&'static str],
) -> Row {
    Row { call, action, status: 403, code: "AccessDenied", message, says, hides }
}

/// Row for a read that is refused with a code.
const fn read(
    status: u16,
    code: &'static str,
    message: &'static str,
    says: &'static [&'static str],
) -> Row {
    Row { call: GET, action: "GetRole", status, code, message, says, hides: &[] }
}

const ROWS: &[Row] = &[
    // hashicorp-education/learn-consul-get-started-vms#9
    denied(
        ADD,
        "AddRoleToInstanceProfile",
        "User: arn:aws:iam::123456789012:user/aws2029-i is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/learn-consul because no identity-based policy allows the iam:PassRole action",
        &[
            "needs iam:PassRole on it: arn:aws:iam::123456789012:role/learn-consul",
            "no identity-based policy of the caller",
            "allows iam:PassRole on arn:aws:iam::123456789012:role/learn-consul",
            "iamlua policy SCRIPT",
        ],
        &["AddRoleToInstanceProfile"],
    ),
    // ministryofjustice/aws-root-account#977: an SCP, which AWS's text does not name.
    denied(
        ADD,
        "AddRoleToInstanceProfile",
        "User: arn:aws:sts::505974653433:assumed-role/ModernisationPlatformAccess/aws-go-sdk is not authorized to perform: iam:PassRole on resource: arn:aws:iam::505974653433:role/chatBot-channel-role with an explicit deny",
        &["iam:PassRole", "role/chatBot-channel-role", "AWS does not say which"],
        &["AddRoleToInstanceProfile", "no identity-based policy"],
    ),
    // The form before reasons were added: mozilla-iam/cis#33
    denied(
        ADD,
        "AddRoleToInstanceProfile",
        "User: arn:aws:sts::656532927350:assumed-role/CISDeveloper/nemo is not authorized to perform: iam:PassRole on resource: arn:aws:iam::656532927350:role/CISLambda",
        &["needs iam:PassRole on it: arn:aws:iam::656532927350:role/CISLambda"],
        &["AddRoleToInstanceProfile"],
    ),
    // The wording of the guide (service control policy, explicit) for this action.
    denied(
        CREATE,
        "CreateInstanceProfile",
        "User: arn:aws:iam::777788889999:user/John is not authorized to perform: iam:CreateInstanceProfile on resource: arn:aws:iam::777788889999:instance-profile/new with an explicit deny in a service control policy",
        &[
            "a service control policy (SCP) of the organization denies iam:CreateInstanceProfile",
            "nobody in this account can allow it",
        ],
        &["needs the permission"],
    ),
    // The same with the policy's ARN, as in newer texts (reported in public about SQS).
    denied(
        CREATE,
        "CreateInstanceProfile",
        "User: arn:aws:sts::173078698674:assumed-role/dev/x is not authorized to perform: iam:CreateInstanceProfile on resource: arn:aws:iam::173078698674:instance-profile/new with an explicit deny in a service control policy: arn:aws:organizations::052343574110:policy/o-y3vn941x7j/service_control_policy/p-kfhxcsd9",
        &[
            "(SCP) of the organization denies",
            "explicitly: arn:aws:organizations::052343574110:policy/o-y3vn941x7j/service_control_policy/p-kfhxcsd9",
        ],
        &[],
    ),
    // guide (service control policy, implicit)
    denied(
        CREATE,
        "CreateInstanceProfile",
        "User: arn:aws:iam::777788889999:user/John is not authorized to perform: iam:CreateInstanceProfile because no service control policy allows the iam:CreateInstanceProfile action",
        &["no service control policy (SCP) of the organization allows iam:CreateInstanceProfile"],
        &["explicitly"],
    ),
    // guide (resource control policy, explicit)
    denied(
        TAG,
        "TagInstanceProfile",
        "User: arn:aws:iam::123456789012:user/John is not authorized to perform: iam:TagInstanceProfile on resource: arn:aws:iam::123456789012:instance-profile/worker with an explicit deny in a resource control policy",
        &["a resource control policy (RCP) of the organization denies iam:TagInstanceProfile"],
        &["SCP"],
    ),
    // guide (permissions boundary, explicit), with the ARN as in newer texts
    denied(
        MAKE,
        "CreateRole",
        "User: arn:aws:sts::111111111111:assumed-role/test-role/ralphie is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::111111111111:role/new with an explicit deny in a permissions boundary: arn:aws:iam::111111111111:policy/test-boundary",
        &[
            "the permissions boundary of the caller denies iam:CreateRole on arn:aws:iam::111111111111:role/new explicitly: arn:aws:iam::111111111111:policy/test-boundary",
            "cannot go beyond it",
        ],
        &["organization"],
    ),
    // guide (permissions boundary, implicit)
    denied(
        MAKE,
        "CreateRole",
        "User: arn:aws:iam::123456789012:user/John is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::123456789012:role/new because no permissions boundary allows the iam:CreateRole action",
        &["the permissions boundary of the caller does not allow iam:CreateRole"],
        &["explicitly"],
    ),
    // guide (session policies, implicit)
    denied(
        GET,
        "GetRole",
        "User: arn:aws:iam::123456789012:user/John is not authorized to perform: iam:GetRole because no session policy allows the iam:GetRole action",
        &["the session policy of the caller's session does not allow iam:GetRole"],
        &[],
    ),
    // guide (session policies, explicit; the plural is the guide's)
    denied(
        GET,
        "GetRole",
        "User: arn:aws:iam::123456789012:user/John is not authorized to perform: iam:GetRole on resource: role worker with an explicit deny in a sessions policy",
        &[
            "the session policy of the caller's session denies iam:GetRole on role worker explicitly",
        ],
        &[],
    ),
    denied(
        GET,
        "GetRole",
        "User: arn:aws:iam::123456789012:user/John is not authorized to perform: iam:GetRole on resource: role worker with an explicit deny in a session policy",
        &[
            "the session policy of the caller's session denies iam:GetRole on role worker explicitly",
        ],
        &[],
    ),
    // guide (identity-based policies, implicit and explicit)
    denied(
        GET,
        "GetRole",
        "User: arn:aws:iam::123456789012:role/HR is not authorized to perform: iam:GetRole because no identity-based policy allows the iam:GetRole action",
        &["no identity-based policy of the caller", "allows iam:GetRole", "iamlua policy SCRIPT"],
        &["explicitly"],
    ),
    denied(
        GET,
        "GetRole",
        "User: arn:aws:iam::123456789012:role/HR is not authorized to perform: iam:GetRole on resource: role worker with an explicit deny in an identity-based policy",
        &["an identity-based policy of the caller", "denies iam:GetRole on role worker explicitly"],
        &[],
    ),
    // guide (resource-based policies)
    denied(
        GET,
        "GetRole",
        "User: arn:aws:iam::123456789012:user/John is not authorized to perform: iam:GetRole because no resource-based policy allows the iam:GetRole action",
        &["the policy of the resource itself does not allow iam:GetRole"],
        &[],
    ),
    denied(
        GET,
        "GetRole",
        "User: arn:aws:iam::123456789012:user/John is not authorized to perform: iam:GetRole on resource: role worker with an explicit deny in a resource-based policy",
        &["the policy of the resource itself denies iam:GetRole"],
        &[],
    ),
    // guide (VPC endpoint policies)
    denied(
        GET,
        "GetRole",
        "User: arn:aws:iam::123456789012:user/John is not authorized to perform: iam:GetRole because no VPC endpoint policy allows the iam:GetRole action",
        &["the policy of the VPC endpoint that the call goes through does not allow iam:GetRole"],
        &[],
    ),
    denied(
        GET,
        "GetRole",
        "User: arn:aws:iam::123456789012:user/John is not authorized to perform: iam:GetRole on resource: role worker with an explicit deny in a VPC endpoint policy",
        &["the policy of the VPC endpoint that the call goes through denies iam:GetRole"],
        &[],
    ),
    denied(
        GET,
        "GetRole",
        "User: arn:aws:sts::111122223333:assumed-role/role-name/session is not authorized to perform: iam:GetRole on resource: role worker with an explicit deny in a VPC endpoint policy transitively through a service control policy",
        &["a service control policy (SCP) of the organization denies iam:GetRole"],
        &["VPC"],
    ),
    // "Troubleshoot access denied error messages with authorization ID" of the IAM User Guide
    denied(
        CREATE,
        "CreateInstanceProfile",
        "User: arn:aws:iam::123456789012:user/janedoe is not authorized to perform: iam:CreateInstanceProfile on resource: arn:aws:iam::123456789012:instance-profile/my-instance-profile with an explicit deny in an identity-based policy: arn:aws:iam::123456789012:policy/ExampleDenyPolicy. Go to https://us-east-1.console.aws.amazon.com/iam/home?region=us-east-1#/authorization-details/EXAMPLE1a2b3c4d5e6f7g8h9i0j for complete details, or call the GetRequestAuthorizationDetails API with the following authorization id: EXAMPLE1a2b3c4d5e6f7g8h9i0j",
        &[
            "explicitly: arn:aws:iam::123456789012:policy/ExampleDenyPolicy",
            "get-request-authorization-details --authorization-id EXAMPLE1a2b3c4d5e6f7g8h9i0j`",
        ],
        &["ExampleDenyPolicy."],
    ),
    // EC2 encodes the reason (its text: hashicorp/terraform-provider-aws#1976)
    Row {
        call: SCAN,
        action: "DescribeRegions",
        status: 403,
        code: "UnauthorizedOperation",
        message: "You are not authorized to perform this operation. Encoded authorization failure message: PNDOV1oGibO7Rp9Xrnj4T2SVrqi0oHwSQfN3GCWY",
        says: &[
            "the caller needs the permission for DescribeRegions",
            "aws sts decode-authorization-message",
            "`iamlua whoami` shows who the caller is",
        ],
        hides: &[],
    },
    // Current text of EC2, as many public reports quote it
    Row {
        call: SCAN,
        action: "DescribeRegions",
        status: 403,
        code: "UnauthorizedOperation",
        message: "You are not authorized to perform this operation. User: arn:aws:sts::734500048898:assumed-role/qt_dev-developer/x is not authorized to perform: ec2:DescribeRegions with an explicit deny in a session policy. Encoded authorization failure message: TsSPw6o1OBveASmxo6bSNLV6K",
        says: &[
            "the session policy",
            "denies ec2:DescribeRegions explicitly",
            "decode-authorization-message",
        ],
        hides: &[],
    },
    // cloud-custodian/cloud-custodian#6109 (inline) and ansible/ansible#62278
    Row {
        call: DELETE,
        action: "DeleteRole",
        status: 409,
        code: "DeleteConflict",
        message: "Cannot delete entity, must delete policies first.",
        says: &["inline policies", "delete-role-policy"],
        hides: &["detach_policy"],
    },
    // Recorded on AWS: an attached managed policy
    Row {
        call: DELETE,
        action: "DeleteRole",
        status: 409,
        code: "DeleteConflict",
        message: "Cannot delete entity, must detach all policies first.",
        says: &["managed policies are attached", "iam.roles.detach_policy"],
        hides: &["inline"],
    },
    // Recorded on AWS, for both
    Row {
        call: DELETE,
        action: "DeleteRole",
        status: 409,
        code: "DeleteConflict",
        message: "Cannot delete entity, must remove roles from instance profile first.",
        says: &["iam.profiles.each_for_role", "iam.profiles.remove_role"],
        hides: &["polic"],
    },
    Row {
        call: REMOVE,
        action: "DeleteInstanceProfile",
        status: 409,
        code: "DeleteConflict",
        message: "Cannot delete entity, must remove roles from instance profile first.",
        says: &["iam.profiles.delete(name, { detach = true })"],
        hides: &["each_for_role"],
    },
    // getmoto/moto#6404
    Row {
        call: ADD,
        action: "AddRoleToInstanceProfile",
        status: 409,
        code: "LimitExceeded",
        message: "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
        says: &["holds one role", "iam.profiles.remove_role"],
        hides: &["Service Quotas"],
    },
    // aws/karpenter-provider-aws#8838
    Row {
        call: CREATE,
        action: "CreateInstanceProfile",
        status: 409,
        code: "LimitExceeded",
        message: "Cannot exceed quota for InstanceProfilesPerAccount: 1000",
        says: &["iam.usage.scan", "\"Instance profiles per account\"", "Service Quotas"],
        hides: &["role"],
    },
    // A public log of an acceptance test of the MongoDB Atlas provider, on AWS
    Row {
        call: MAKE,
        action: "CreateRole",
        status: 409,
        code: "LimitExceeded",
        message: "Cannot exceed quota for RolesPerAccount: 1500",
        says: &["delete roles that nothing uses", "\"Roles per account\""],
        hides: &["profile"],
    },
    // aws/eks-hybrid#741; at most 20: AWS's knowledge center, "iam-increase-policy-size"
    Row {
        call: ATTACH,
        action: "AttachRolePolicy",
        status: 409,
        code: "LimitExceeded",
        message: "Cannot exceed quota for PoliciesPerRole: 10",
        says: &["detach managed policies", "\"Managed policies per role\"", "at most 20"],
        hides: &["inline"],
    },
    // kubeflow/dashboard#29
    Row {
        call: MAKE,
        action: "CreateRole",
        status: 409,
        code: "LimitExceeded",
        message: "Cannot exceed quota for ACLSizePerRole: 2048",
        says: &["the trust policy is too long", "\"Role trust policy length\""],
        hides: &[],
    },
    // Recorded on AWS for users
    Row {
        call: TAG,
        action: "TagInstanceProfile",
        status: 409,
        code: "LimitExceeded",
        message: "The number of tags has reached the maximum limit.",
        says: &["more than 50 tags"],
        hides: &["Service Quotas"],
    },
    // gruntwork-io/cloud-nuke#880
    Row {
        call: DELETE,
        action: "DeleteRole",
        status: 400,
        code: "UnmodifiableEntity",
        message: "Cannot perform the operation on the protected role 'AWSServiceRoleForSupport' - this role is only modifiable by AWS",
        says: &[
            "the service-linked role of Support",
            "iam:DeleteServiceLinkedRole",
            "--role-name AWSServiceRoleForSupport",
        ],
        hides: &["Identity Center"],
    },
    // rebuy-de/aws-nuke#441
    Row {
        call: DELETE,
        action: "DeleteRole",
        status: 400,
        code: "UnmodifiableEntity",
        message: "Cannot perform the operation on the protected role 'AWSReservedSSO_AdministratorAccess_9a45132a4fc687f4' - this role is only modifiable by AWS",
        says: &["IAM Identity Center", "permission set AdministratorAccess there"],
        hides: &["delete-service-linked-role"],
    },
    // aws/aws-cli#6676
    read(
        403,
        "SignatureDoesNotMatch",
        "Signature expired: 20220127T001427Z is now earlier than 20220127T014428Z (20220127T015928Z - 15 min.)",
        &["the clock of this machine is about 105 minutes slow"],
    ),
    // The form of the AWS SDK's own tests for Signature Version 4
    read(
        403,
        "SignatureDoesNotMatch",
        "Signature not yet current: 20210502T183640Z is still later than 20210502T175140Z (20210502T173640Z + 15 min.)",
        &["the clock of this machine is about 60 minutes fast"],
    ),
    // Amazon S3's "Error responses", and AWS's "Common error types" for the next
    read(
        403,
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        &["the clock of this machine is wrong"],
    ),
    read(
        400,
        "RequestExpired",
        "Request has expired.",
        &["the session has expired, or the clock of this machine is wrong", WHOAMI],
    ),
    // AWS's knowledge center, "security token included in the request is expired"
    read(
        403,
        "ExpiredToken",
        "The security token included in the request is expired",
        &["sign in again", "aws sso login", WHOAMI],
    ),
    // AWS's "Troubleshoot Signature Version 4 signing"
    read(
        403,
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
        &["knows the access key, but the secret key is not the one", WHOAMI],
    ),
    read(
        403,
        "SignatureDoesNotMatch",
        "Credential should be scoped to a valid region. ",
        &["another region than that of the endpoint", "--region"],
    ),
    // aws/aws-sdk-ruby#2850 (a region that is not enabled), hashicorp/terraform-provider-aws#25281
    read(
        403,
        "InvalidClientTokenId",
        "The security token included in the request is invalid",
        &["deleted or inactive", "another partition", "AWS_SESSION_TOKEN", "not enabled", WHOAMI],
    ),
    // turbot/steampipe-plugin-aws#75 (not enabled),
    // hashicorp/terraform-provider-aws#1102 (the clock)
    Row {
        call: SCAN,
        action: "DescribeRegions",
        status: 401,
        code: "AuthFailure",
        message: "AWS was not able to validate the provided access credentials",
        says: &["access key or its secret is wrong", "not enabled", "clock", WHOAMI],
        hides: &[],
    },
    // Appliscale/cloud-security-audit#24
    Row {
        call: SCAN,
        action: "DescribeRegions",
        status: 401,
        code: "OptInRequired",
        message: "You are not subscribed to this service. Please go to http://aws.amazon.com to subscribe.",
        says: &["sign-up is not complete", "region is not enabled"],
        hides: &["permission"],
    },
    // AWS's text for a region in which STS is off, as many public reports quote it
    Row {
        call: ASSUME,
        action: "AssumeRole",
        status: 403,
        code: "RegionDisabledException",
        message: "STS is not activated in this region for account:123456789012. Your account administrator can activate STS in this region using the IAM Console.",
        says: &["a region in which STS is active", "--region"],
        hides: &[],
    },
    // guide (role trust policies)
    denied(
        ASSUME,
        "AssumeRole",
        "User: arn:aws:iam::123456789012:user/John is not authorized to perform: sts:AssumeRole because no role trust policy allows the sts:AssumeRole action",
        &["the trust policy of the role does not allow sts:AssumeRole", "external_id", "MFA"],
        &["AWS does not say"],
    ),
    denied(
        ASSUME,
        "AssumeRole",
        "User: arn:aws:iam::777788889999:user/John is not authorized to perform: sts:AssumeRole with an explicit deny in the role trust policy",
        &["the trust policy of the role denies sts:AssumeRole explicitly"],
        &[],
    ),
    // Recorded on AWS: a role that does not exist, or that trusts somebody else
    denied(
        ASSUME,
        "AssumeRole",
        "User: arn:aws:iam::123456789012:user/developers is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/deploy",
        &["the role may not exist", "external_id", "MFA", "allows sts:AssumeRole"],
        &["whoami"],
    ),
    // Netflix/security_monkey#530: the older text
    denied(
        ASSUME,
        "AssumeRole",
        "Not authorized to perform sts:AssumeRole",
        &["the role may not exist", "`iamlua whoami` shows who the caller is"],
        &[],
    ),
    // AWS's texts for MFA, as many public reports and clients quote them
    denied(
        ASSUME,
        "AssumeRole",
        "MultiFactorAuthentication failed with invalid MFA one time pass code. ",
        &["the MFA code was wrong, or has been used before"],
        &["permission"],
    ),
    denied(
        ASSUME,
        "AssumeRole",
        "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.",
        &["mfa_serial must be the ARN of the caller's own MFA device"],
        &["permission"],
    ),
    denied(
        ASSUME,
        "AssumeRole",
        "Roles may not be assumed by root accounts.",
        &["root user", WHOAMI],
        &["permission"],
    ),
    // cloudposse/terraform-aws-service-control-policies#66
    Row {
        call: ASSUME,
        action: "AssumeRole",
        status: 400,
        code: "ValidationError",
        message: "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        says: &["duration_seconds", "maximum session duration"],
        hides: &[],
    },
    // aws-vault's documentation
    Row {
        call: ASSUME,
        action: "AssumeRole",
        status: 400,
        code: "ValidationError",
        message: "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        says: &["one hour at most", "3600"],
        hides: &[],
    },
    // Recorded on AWS
    Row {
        call: ASSUME,
        action: "AssumeRole",
        status: 400,
        code: "ValidationError",
        message: "arn:aws:iam::123456789012:rolle/deploy is invalid",
        says: &["arn:PARTITION:iam::ACCOUNT:role/NAME"],
        hides: &[],
    },
    // Recorded on AWS
    Row {
        call: ATTACH,
        action: "AttachRolePolicy",
        status: 400,
        code: "ValidationError",
        message: "ARN arn:aws-eusc:iam::aws:policy/AmazonSSMManagedInstanceCore is not valid.",
        says: &["PARTITION is that of this account", "aws-eusc", "iam.account().arn"],
        hides: &[],
    },
    // cattle-ops/terraform-aws-gitlab-runner#1273, runs-on/runs-on#518
    Row {
        call: ATTACH,
        action: "AttachRolePolicy",
        status: 400,
        code: "ValidationError",
        message: "Invalid ARN partition",
        says: &["PARTITION is that of this account"],
        hides: &[],
    },
    // aws/aws-cdk#3379
    Row {
        call: ATTACH,
        action: "AttachRolePolicy",
        status: 404,
        code: "NoSuchEntity",
        message: "Policy arn:aws:iam::aws:policy/MyManagedPolicy does not exist or is not attachable.",
        says: &["the policy's path and name", "service-role"],
        hides: &["boundary"],
    },
    // openshift/rosa's test plans
    Row {
        call: MAKE,
        action: "CreateRole",
        status: 404,
        code: "NoSuchEntity",
        message: "Scope ARN: arn:aws:iam::301721915996:policy/xuelinop does not exist or is not attachable.",
        says: &["to be the permissions boundary"],
        hides: &[],
    },
    // aws/aws-cdk#6131
    Row {
        call: ATTACH,
        action: "AttachRolePolicy",
        status: 400,
        code: "PolicyNotAttachable",
        message: "Cannot attach a Service Role Policy to a Customer Role.",
        says: &["aws-service-role/", "service-linked roles"],
        hides: &[],
    },
    // AWS's texts, as public reports of CloudFormation, Terraform and Pulumi users quote them
    Row {
        call: MAKE,
        action: "CreateRole",
        status: 400,
        code: "MalformedPolicyDocument",
        message: "Invalid principal in policy: \"AWS\":\"arn:aws:iam::104506445608:role/admin\"",
        says: &["must exist", "after some seconds"],
        hides: &["service of that name"],
    },
    Row {
        call: MAKE,
        action: "CreateRole",
        status: 400,
        code: "MalformedPolicyDocument",
        message: "Invalid principal in policy: \"SERVICE\":\"codepipeiine.amazonaws.com\"",
        says: &["AWS knows no service of that name"],
        hides: &[],
    },
    // terraform-aws-modules/terraform-aws-iam#224
    Row {
        call: MAKE,
        action: "CreateRole",
        status: 400,
        code: "MalformedPolicyDocument",
        message: "Partition \"aws\" is not valid for resource \"arn:aws:ec2:*:123456789012:subnet/*\".",
        says: &["of the account's own partition"],
        hides: &[],
    },
    // model: the documentation of each
    Row {
        call: TAG,
        action: "TagInstanceProfile",
        status: 409,
        code: "ConcurrentModification",
        message: "The request was rejected because multiple requests to change this object were submitted simultaneously. Wait a few minutes and submit your request again.",
        says: &["something else kept changing it"],
        hides: &[],
    },
    Row {
        call: TAG,
        action: "TagInstanceProfile",
        status: 409,
        code: "EntityTemporarilyUnmodifiable",
        message: "The request was rejected because it referenced an entity that is temporarily unmodifiable, such as a user name that was deleted and then recreated.",
        says: &["try again in some minutes"],
        hides: &[],
    },
    read(
        500,
        "ServiceFailure",
        "The request processing has failed because of an unknown error, exception or failure.",
        &["AWS itself has failed"],
    ),
    read(400, "Throttling", "Rate exceeded", &["AWS_MAX_ATTEMPTS"]),
    read(
        400,
        "InvalidAction",
        "Could not find operation GetRole for version 2010-05-08",
        &["the endpoint does not offer this action"],
    ),
];

/// Reads one HTTP message: its head, and the body that the head announces. `None` at the end.
fn message(stream: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().expect("a length"))
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// Endpoint in front of an account. Reading the profile `row-N` selects that row, whose action is
/// then refused; all other requests reach the account. Returns its address and the count of
/// requests.
fn endpoint(account: SocketAddr) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    let (row, asked) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (row, count) = (Arc::clone(&row), Arc::clone(&count));
            std::thread::spawn(move || converse(stream, account, &row, &count));
        }
    });
    (url, asked)
}

fn converse(mut stream: TcpStream, account: SocketAddr, row: &AtomicUsize, count: &AtomicUsize) {
    let mut requests = BufReader::new(stream.try_clone().expect("a socket"));
    while let Some((head, body)) = message(&mut requests) {
        count.fetch_add(1, Ordering::SeqCst);
        let form = String::from_utf8_lossy(&body);
        let parameter = |name: &str| {
            form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let action = parameter("Action").unwrap_or_default();
        let turned = parameter("InstanceProfileName").and_then(|name| name.strip_prefix("row-"));
        if let Some(number) = turned {
            row.store(number.parse().expect("a number"), Ordering::SeqCst);
        }
        let refused = ROWS.get(row.load(Ordering::SeqCst)).filter(|row| row.action == action);
        let answer = match refused {
            Some(row) if turned.is_none() => refusal(row).into_bytes(),
            _ => {
                let mut account = TcpStream::connect(account).expect("the account listens");
                account.write_all(&[head.as_bytes(), &body].concat()).expect("it reads");
                let (head, body) = message(&mut BufReader::new(account)).expect("an answer");
                [head.into_bytes(), body].concat()
            }
        };
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn refusal(row: &Row) -> String {
    let text = row.message.replace('&', "&amp;").replace('<', "&lt;");
    let (code, status) = (row.code, row.status);
    let body = if row.action.starts_with("Describe") {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{text}</Message></Error></Errors><RequestID>5b48c718</RequestID></Response>"
        )
    } else {
        format!(
            "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error><RequestId>9d5f627e</RequestId></ErrorResponse>"
        )
    };
    format!(
        "HTTP/1.1 {status} No\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Runtime that serves an example account, and its address.
fn account() -> (tokio::runtime::Runtime, SocketAddr) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let account = Emulator::in_memory(EmulatorSettings::default()).expect("an account in memory");
    let listener = runtime.block_on(bind(0)).expect("a port");
    let address = listener.local_addr().expect("it listens");
    runtime.spawn(serve(account, listener, std::future::pending()));
    (runtime, address)
}

fn run(home: &Home, args: &[&str]) -> Ran {
    let mut command = home.command(args);
    command
        .current_dir(home.path("."))
        .env("HOME", home.path("home"))
        .env("AWS_ACCESS_KEY_ID", "AKIAOPERATOR")
        .env("AWS_SECRET_ACCESS_KEY", "the-secret-access-key")
        .env("AWS_MAX_ATTEMPTS", "1");
    Ran::from(command.output().expect("the program starts"))
}

#[test]
fn each_refusal_of_aws_has_a_hint_that_is_right() {
    let (_runtime, address) = account();
    let (url, _) = endpoint(address);
    let home = Home::new();
    let mut script = String::from(
        "local function row(n, call)\n  iam.profiles.find('row-' .. n)\n  \
         local ok, err = pcall(call)\n  \
         print(json.encode(ok and { n = n } or { n = n, code = err.code, hint = err.hint }))\nend\n",
    );
    for (number, row) in ROWS.iter().enumerate() {
        let _ = writeln!(script, "row({number}, function() return {} end)", row.call);
    }
    home.write("calls.lua", script);
    let ran = run(&home, &["run", "calls.lua", "--apply", "--endpoint-url", &url]).ends(0, "");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), ROWS.len(), "{ran:?}");
    let mut wrong = Vec::new();
    for (row, line) in ROWS.iter().zip(lines) {
        let said: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let hint = said["hint"].as_str().unwrap_or_default();
        let is_right = said["code"] == row.code
            && row.says.iter().all(|words| hint.contains(words))
            && !row.hides.iter().any(|words| hint.contains(words));
        if !is_right {
            wrong.push(format!(
                "{}: {}\n  says {line}\n  wants {:?}",
                row.code, row.message, row.says
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_malformed_role_arn_reaches_no_call() {
    let (_runtime, address) = account();
    let (url, asked) = endpoint(address);
    let home = Home::new();
    for (arn, why) in [
        ("deploy", "a name alone does not say in which account"),
        ("arn:aws:iam::12345:role/deploy", "an account has 12 digits"),
        ("arn:aws:iam::123456789012:rolle/deploy", "must be the ARN of a role"),
        ("arn:aws:iam:eu-west-1:123456789012:role/deploy", "must be the ARN of a role"),
        ("arn:aws:sts::123456789012:assumed-role/deploy/me", "a session of a role"),
        ("arn:aws:iam::123456789012:instance-profile/deploy", "name the role in it"),
        ("arn:aws:iam::123456789012:role/de ploy", "may have only letters"),
        ("arn:aws:iam::123456789012:role/ops/", "must not be empty"),
        ("arn:azure:iam::123456789012:role/deploy", "must be the ARN of a role"),
    ] {
        let call = format!("iam.connect {{ role_arn = {arn:?} }}.account()");
        let ran = run(&home, &["--endpoint-url", &url, "-e", &call]).ends(1, "role_arn must be");
        assert!(ran.err.contains(why), "{ran:?}");
        let by_flag = ["--endpoint-url", &url, "--role-arn", arn, "-e", "iam.account()"];
        run(&home, &by_flag).ends(2, "--role-arn").ends(2, why);
        home.write("other.toml", format!("role_arn = {arn:?}\nendpoint_url = {url:?}\n"));
        run(&home, &["--config", "other.toml", "-e", "iam.account()"]).ends(2, why);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "a call was made");
    for arn in [
        "arn:aws:iam::123456789012:role/deploy",
        "arn:aws-us-gov:iam::123456789012:role/ops/deploy",
        "arn:aws-cn:iam::123456789012:role/deploy",
        "arn:aws-eusc:iam::123456789012:role/deploy",
    ] {
        let by_flag = ["--endpoint-url", &url, "--role-arn", arn, "-e", "iam.account()"];
        let ran = run(&home, &by_flag);
        assert_ne!(ran.code, Some(2), "{ran:?}");
    }
    assert_ne!(asked.load(Ordering::SeqCst), 0, "a right one is asked for");
}
