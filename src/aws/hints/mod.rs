//! Table of AWS's error replies: the cause and the next step for each code and message. Codes are
//! those of the service models and of AWS's "Common error types". Messages are AWS's own, from
//! documentation and public reports. `tests/refusals.rs` names the source of each.
//!
//! The table makes no calls and does not know the connection. Hints follow from the reply alone.

mod denial;

use jiff::civil::DateTime;

use crate::error;
use crate::ui::format::count;

/// Hint of every error about credentials.
pub const WHOAMI: &str =
    "`iamlua whoami` shows which credentials are used and where they come from";

/// Error reply of AWS.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// Action that was called, such as `DeleteRole`.
    pub action: &'a str,
    /// AWS's code, such as `DeleteConflict`.
    pub code: &'a str,
    /// AWS's message.
    pub message: &'a str,
}

/// Category of the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Denied by a policy, or by the state of the account.
    Denied,
    /// Access key not accepted by this endpoint.
    Key,
    /// Expired session.
    Expired,
    /// Secret key that does not match the access key.
    Secret,
    /// Wrong clock on this machine.
    Clock,
    /// Region not enabled, or not the one that the call was signed for.
    Region,
    /// Concurrent change of the same entity, or too many calls.
    Busy,
    /// Conflict with the state of the account.
    Conflict,
    /// Exceeded quota.
    Quota,
    /// Invalid argument.
    Input,
    /// Failure of AWS itself.
    Service,
}

/// Row of the table. It matches if the code is one of `codes`, the action is one of `actions` and
/// the message contains all of `texts`. An empty list matches everything.
struct Row {
    codes: &'static [&'static str],
    actions: &'static [&'static str],
    texts: &'static [&'static str],
    cause: Cause,
    hints: Hints,
}

/// Next steps, one sentence each.
enum Hints {
    Fixed(&'static [&'static str]),
    Made(fn(&Refusal<'_>) -> Vec<String>),
}

use Hints::{Fixed, Made};

/// Codes of denied calls; some services have their own.
const DENIED: &[&str] = &[
    "AccessDenied",
    "UnauthorizedOperation",
    "NotAuthorized",
    "AuthorizationError",
    "Forbidden",
    "UnauthorizedAccess",
];

/// Codes of a wrong signature.
const SIGNATURE: &[&str] = &["SignatureDoesNotMatch", "InvalidSignature"];

/// Rows; the first match wins.
static TABLE: &[Row] = &[
    // Clock. STS and IAM report it in the message of a signature error, EC2 by a code of its own.
    Row {
        codes: &[],
        actions: &[],
        texts: &["Signature expired: "],
        cause: Cause::Clock,
        hints: Made(skew),
    },
    Row {
        codes: &[],
        actions: &[],
        texts: &["Signature not yet current: "],
        cause: Cause::Clock,
        hints: Made(skew),
    },
    Row {
        codes: &["RequestTimeTooSkewed", "RequestInTheFuture"],
        actions: &[],
        texts: &[],
        cause: Cause::Clock,
        hints: Made(skew),
    },
    Row {
        codes: &["RequestExpired"],
        actions: &[],
        texts: &[],
        cause: Cause::Expired,
        hints: Fixed(&[
            "the session has expired, or the clock of this machine is wrong: compare it with the \
             real time, then sign in again",
            WHOAMI,
        ]),
    },
    // Credentials.
    Row {
        codes: &["ExpiredToken"],
        actions: &[],
        texts: &[],
        cause: Cause::Expired,
        hints: Fixed(&[
            "the session has expired: sign in again (for SSO: `aws sso login`)",
            WHOAMI,
        ]),
    },
    Row {
        codes: SIGNATURE,
        actions: &[],
        texts: &["Credential should be scoped to a valid region"],
        cause: Cause::Region,
        hints: Fixed(&[
            "the call was signed for another region than that of the endpoint: name the \
             endpoint's with --region",
        ]),
    },
    Row {
        codes: SIGNATURE,
        actions: &[],
        texts: &["Credential should be scoped to correct service"],
        cause: Cause::Input,
        hints: Fixed(&[
            "the endpoint is one of another AWS service: check --endpoint-url and the \
             AWS_ENDPOINT_URL variables",
        ]),
    },
    Row {
        codes: SIGNATURE,
        actions: &[],
        texts: &[],
        cause: Cause::Secret,
        hints: Fixed(&[
            "AWS knows the access key, but the secret key is not the one that belongs to it: copy \
             it again, with all of its / and +; a proxy that changes calls has the same effect",
            WHOAMI,
        ]),
    },
    Row {
        codes: &[
            "InvalidClientTokenId",
            "UnrecognizedClient",
            "InvalidAccessKeyId",
            "InvalidToken",
        ],
        actions: &[],
        texts: &[],
        cause: Cause::Key,
        hints: Fixed(&[
            "AWS does not accept this access key: it is deleted or inactive, belongs to another \
             partition (--region says which one is asked), or is temporary (ASIA…) and its \
             AWS_SESSION_TOKEN is missing",
            "a region that is not enabled for the account answers the same",
            WHOAMI,
        ]),
    },
    Row {
        codes: &["AuthFailure"],
        actions: &[],
        texts: &["validate the provided access credentials"],
        cause: Cause::Key,
        hints: Fixed(&[
            "EC2 says so for three causes: the access key or its secret is wrong, the region is \
             not enabled for the account, or the clock of this machine is wrong by some minutes",
            WHOAMI,
        ]),
    },
    Row {
        codes: &["AuthFailure", "MissingAuthenticationToken", "IncompleteSignature"],
        actions: &[],
        texts: &[],
        cause: Cause::Key,
        hints: Fixed(&[WHOAMI]),
    },
    // Regions and accounts.
    Row {
        codes: &["RegionDisabled"],
        actions: &[],
        texts: &[],
        cause: Cause::Region,
        hints: Fixed(&[
            "name a region in which STS is active with --region, or let an administrator of the \
             account activate it there (IAM, Account settings)",
        ]),
    },
    Row {
        codes: &["OptInRequired", "SubscriptionRequired"],
        actions: &[],
        texts: &[],
        cause: Cause::Region,
        hints: Fixed(&[
            "the account's sign-up is not complete, or the region is not enabled for it: an \
             administrator of the account finishes the one or enables the other \
             (`aws account enable-region`)",
        ]),
    },
    Row {
        codes: &["Blocked", "PendingVerification", "AccountProblem"],
        actions: &[],
        texts: &[],
        cause: Cause::Denied,
        hints: Fixed(&["AWS holds the account back as a whole: its owner asks AWS Support"]),
    },
    // Roles that cannot be assumed.
    Row {
        codes: DENIED,
        actions: &[],
        texts: &["MultiFactorAuthentication failed", "invalid MFA one time pass code"],
        cause: Cause::Denied,
        hints: Fixed(&[
            "the MFA code was wrong, or has been used before: each works once, so wait for the \
             device's next",
        ]),
    },
    Row {
        codes: DENIED,
        actions: &[],
        texts: &["MultiFactorAuthentication failed", "unable to validate MFA code"],
        cause: Cause::Denied,
        hints: Fixed(&["mfa_serial must be the ARN of the caller's own MFA device \
             (arn:aws:iam::ACCOUNT:mfa/DEVICE), not of the user: `aws iam \
             list-mfa-devices` shows it"]),
    },
    Row {
        codes: DENIED,
        actions: &[],
        texts: &["MultiFactorAuthentication failed"],
        cause: Cause::Denied,
        hints: Fixed(&["the role asks for MFA: set mfa_serial in the profile of ~/.aws/config"]),
    },
    Row {
        codes: DENIED,
        actions: &[],
        texts: &["Roles may not be assumed by root accounts"],
        cause: Cause::Denied,
        hints: Fixed(&[
            "these are the credentials of the account's root user, which can assume no role: use \
             those of a user or a role",
            WHOAMI,
        ]),
    },
    Row {
        codes: &["ValidationError"],
        actions: &[],
        texts: &["exceeds the MaxSessionDuration set for this role"],
        cause: Cause::Input,
        hints: Fixed(&[
            "lower duration_seconds in the profile of ~/.aws/config, or raise the role's maximum \
             session duration (one hour unless it was set)",
        ]),
    },
    Row {
        codes: &["ValidationError"],
        actions: &[],
        texts: &["exceeds the 1 hour session limit for roles assumed by role chaining"],
        cause: Cause::Input,
        hints: Fixed(&[
            "a role that is assumed with the credentials of another role lasts one hour at most: \
             set duration_seconds to 3600 or less",
        ]),
    },
    Row {
        codes: &["ValidationError"],
        actions: &["AssumeRole"],
        texts: &["is invalid"],
        cause: Cause::Input,
        hints: Fixed(&["the ARN of a role is arn:PARTITION:iam::ACCOUNT:role/NAME"]),
    },
    Row {
        codes: DENIED,
        actions: &[],
        texts: &[],
        cause: Cause::Denied,
        hints: Made(denial::hints),
    },
    // Conflicts with the state of the account.
    Row {
        codes: &["DeleteConflict"],
        actions: &["DeleteInstanceProfile"],
        texts: &[],
        cause: Cause::Conflict,
        hints: Fixed(&["iam.profiles.delete(name, { detach = true }) removes the role first"]),
    },
    Row {
        codes: &["DeleteConflict"],
        actions: &[],
        texts: &["must detach all policies first"],
        cause: Cause::Conflict,
        hints: Fixed(&[
            "managed policies are attached to it: iam.roles.attached_policies(name) lists them, \
             iam.roles.detach_policy(name, arn) detaches one",
        ]),
    },
    Row {
        codes: &["DeleteConflict"],
        actions: &[],
        texts: &["must delete policies first"],
        cause: Cause::Conflict,
        hints: Fixed(&["it has inline policies, which are deleted, not detached: `aws iam \
             list-role-policies` lists them, `aws iam delete-role-policy` deletes one"]),
    },
    Row {
        codes: &["DeleteConflict"],
        actions: &["DeleteRole"],
        texts: &["must remove roles from instance profile first"],
        cause: Cause::Conflict,
        hints: Fixed(&[
            "it is in instance profiles: iam.profiles.each_for_role(role) lists them, \
             iam.profiles.remove_role(profile, role) takes it out of one",
        ]),
    },
    Row {
        codes: &["DeleteConflict"],
        actions: &["DeleteRole"],
        texts: &[],
        cause: Cause::Conflict,
        hints: Fixed(&[
            "detach its managed policies, delete its inline policies and remove it from its \
             instance profiles first",
        ]),
    },
    Row {
        codes: &["UnmodifiableEntity"],
        actions: &[],
        texts: &[],
        cause: Cause::Conflict,
        hints: Made(unmodifiable),
    },
    Row {
        codes: &["EntityTemporarilyUnmodifiable"],
        actions: &[],
        texts: &[],
        cause: Cause::Busy,
        hints: Fixed(&[
            "it was made or deleted a moment ago, and AWS is not done with that: try again in some \
             minutes",
        ]),
    },
    Row {
        codes: &["ConcurrentModification"],
        actions: &[],
        texts: &[],
        cause: Cause::Busy,
        hints: Fixed(&[
            "something else kept changing it at the same time, and the call was tried again for a \
             while: find out what, or run again later",
        ]),
    },
    Row {
        codes: error::THROTTLING,
        actions: &[],
        texts: &[],
        cause: Cause::Busy,
        hints: Fixed(&[
            "AWS_MAX_ATTEMPTS or AWS_RETRY_MODE says when to give up: without them the call waits \
             for its turn",
        ]),
    },
    // Quotas.
    Row {
        codes: &["LimitExceeded"],
        actions: &[],
        texts: &[],
        cause: Cause::Quota,
        hints: Made(quota),
    },
    // Policies and their ARNs.
    Row {
        codes: &["NoSuchEntity"],
        actions: &[],
        texts: &["Scope ARN: ", "does not exist or is not attachable"],
        cause: Cause::Input,
        hints: Fixed(&[
            "there is no policy of that ARN to be the permissions boundary: it must be a managed \
             policy of the same account or one of AWS's own (…:iam::aws:policy/NAME)",
        ]),
    },
    Row {
        codes: &["NoSuchEntity"],
        actions: &[],
        texts: &["Policy ", "does not exist or is not attachable"],
        cause: Cause::Input,
        hints: Fixed(&[
            "check the policy's path and name, with upper and lower case: it must be a managed \
             policy of the same account or one of AWS's own (…:iam::aws:policy/NAME, some of them \
             …:policy/service-role/NAME)",
        ]),
    },
    Row {
        codes: &["ValidationError", "InvalidInput"],
        actions: &[],
        texts: &["ARN ", " is not valid"],
        cause: Cause::Input,
        hints: Fixed(POLICY_ARN),
    },
    Row {
        codes: &["ValidationError", "InvalidInput"],
        actions: &[],
        texts: &["Scope ARN"],
        cause: Cause::Input,
        hints: Fixed(POLICY_ARN),
    },
    Row {
        codes: &["ValidationError", "InvalidInput"],
        actions: &[],
        texts: &["Invalid ARN partition"],
        cause: Cause::Input,
        hints: Fixed(POLICY_ARN),
    },
    Row {
        codes: &["PolicyNotAttachable"],
        actions: &[],
        texts: &[],
        cause: Cause::Input,
        hints: Fixed(&[
            "policies under aws-service-role/ are for the service-linked roles of their services \
             alone: attach a policy without that path",
        ]),
    },
    Row {
        codes: &["MalformedPolicyDocument"],
        actions: &[],
        texts: &["Invalid principal in policy", "\"SERVICE\":"],
        cause: Cause::Input,
        hints: Fixed(&[
            "AWS knows no service of that name: check the spelling, such as ec2.amazonaws.com",
        ]),
    },
    Row {
        codes: &["MalformedPolicyDocument"],
        actions: &[],
        texts: &["Invalid principal in policy"],
        cause: Cause::Input,
        hints: Fixed(&[
            "the user, role or account that the policy names must exist, in the same partition, \
             and be named without wildcards; one that was just made is known after some seconds",
        ]),
    },
    Row {
        codes: &["MalformedPolicyDocument"],
        actions: &[],
        texts: &["Partition ", "is not valid for resource"],
        cause: Cause::Input,
        hints: Fixed(&[
            "the ARNs in the policy must be of the account's own partition: `iam.account().arn` \
             begins with it",
        ]),
    },
    Row {
        codes: &["MalformedPolicyDocument"],
        actions: &["CreateRole", "UpdateAssumeRolePolicy"],
        texts: &["Has prohibited field Resource"],
        cause: Cause::Input,
        hints: Fixed(&[
            "a trust policy says who may assume the role and names no Resource: policy.trust makes \
             one",
        ]),
    },
    // AWS itself.
    Row {
        codes: &["ServiceFailure", "InternalFailure", "InternalError", "ServiceUnavailable"],
        actions: &[],
        texts: &[],
        cause: Cause::Service,
        hints: Fixed(&["AWS itself has failed, and the call was tried again: run again later; \
             https://health.aws.amazon.com says what is known"]),
    },
    Row {
        codes: &["InvalidAction"],
        actions: &[],
        texts: &[],
        cause: Cause::Input,
        hints: Fixed(&["the endpoint does not offer this action: check --endpoint-url and the \
             AWS_ENDPOINT_URL variables"]),
    },
];

const POLICY_ARN: &[&str] =
    &["the ARN of a policy is arn:PARTITION:iam::ACCOUNT:policy/NAME, with `aws` as ACCOUNT for \
     AWS's own, and PARTITION is that of this account (aws, aws-cn, aws-us-gov, aws-eusc): \
     `iam.account().arn` begins with it"];

/// Next steps after an error reply, one sentence each; none if AWS's message is sufficient.
#[must_use]
pub fn hints(refusal: &Refusal<'_>) -> Vec<String> {
    match row(refusal).map(|row| &row.hints) {
        Some(Fixed(hints)) => hints.iter().map(|hint| (*hint).to_owned()).collect(),
        Some(Made(make)) => make(refusal),
        None => Vec::new(),
    }
}

/// Category of the cause, if the table has a row.
#[must_use]
pub fn cause(refusal: &Refusal<'_>) -> Option<Cause> {
    row(refusal).map(|row| row.cause)
}

fn row(refusal: &Refusal<'_>) -> Option<&'static Row> {
    let any = |list: &[&str], matches: &dyn Fn(&str) -> bool| {
        list.is_empty() || list.iter().any(|entry| matches(entry))
    };
    // Services with a JSON protocol append this suffix to their codes.
    let bare = refusal.code.strip_suffix("Exception").unwrap_or(refusal.code);
    TABLE.iter().find(|row| {
        any(row.codes, &|code| code == refusal.code || code == bare)
            && any(row.actions, &|action| action == refusal.action)
            && row.texts.iter().all(|text| refusal.message.contains(text))
    })
}

/// Hint about the machine's clock, with the difference if AWS's message has both times.
fn skew(refusal: &Refusal<'_>) -> Vec<String> {
    let said: Vec<DateTime> = refusal
        .message
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.len() == 16)
        .filter_map(|word| DateTime::strptime("%Y%m%dT%H%M%SZ", word).ok())
        .collect();
    // "Signature expired: OURS is now earlier than LIMIT (AWS'S - 15 min.)"
    let wrong = match said[..] {
        [ours, _, theirs] => {
            let seconds = theirs.duration_since(ours).as_secs();
            let minutes = seconds.unsigned_abs() / 60;
            let length = match minutes {
                ..120 => count(minutes, "minute"),
                120..2880 => count(minutes / 60, "hour"),
                _ => count(minutes / 1440, "day"),
            };
            format!("about {length} {}", if seconds > 0 { "slow" } else { "fast" })
        }
        _ => "wrong".to_owned(),
    };
    vec![format!("the clock of this machine is {wrong}: set it, best by NTP, and run again")]
}

/// Hint about a role that only AWS changes: the owning service, and possible alternatives.
fn unmodifiable(refusal: &Refusal<'_>) -> Vec<String> {
    let name = refusal.message.split('\'').nth(1).unwrap_or_default();
    let hint = if let Some(service) = name.strip_prefix("AWSServiceRoleFor") {
        format!(
            "it is the service-linked role of {service}, which alone changes it; once {service} \
             has no use for it, `aws iam delete-service-linked-role --role-name {name}` \
             (iam:DeleteServiceLinkedRole) deletes it"
        )
    } else if let Some(rest) = name.strip_prefix("AWSReservedSSO_") {
        let set = rest.rsplit_once('_').map_or(rest, |(set, _)| set);
        format!(
            "IAM Identity Center made this role and alone changes it: change or unassign the \
             permission set {set} there, in the organization's management account"
        )
    } else {
        "an AWS service made it and alone changes it: its path names the service".to_owned()
    };
    vec![hint]
}

/// Next steps after an exceeded quota.
fn quota(refusal: &Refusal<'_>) -> Vec<String> {
    let name = refusal.message.split("Cannot exceed quota for ").nth(1).unwrap_or_default();
    let raise_quota =
        |name: &str| format!("or have the quota {name:?} of IAM raised in Service Quotas");
    let hint = match name.split(':').next().unwrap_or_default() {
        "InstanceSessionsPerInstanceProfile" => {
            "an instance profile holds one role, and AWS raises that for nobody: \
             iam.profiles.remove_role takes the one in it out"
                .to_owned()
        }
        "InstanceProfilesPerAccount" => format!(
            "delete instance profiles that nothing uses (iam.usage.scan finds them), {}",
            raise_quota("Instance profiles per account")
        ),
        "RolesPerAccount" => {
            format!("delete roles that nothing uses, {}", raise_quota("Roles per account"))
        }
        "PoliciesPerRole" | "AttachedPoliciesPerRole" => format!(
            "detach managed policies from the role or merge some into one, {} (from 10 to at most \
             20)",
            raise_quota("Managed policies per role")
        ),
        "ACLSizePerRole" => format!(
            "the trust policy is too long, white space not counted: name fewer principals in it, \
             {}",
            raise_quota("Role trust policy length")
        ),
        _ if refusal.message.contains("number of tags") => {
            "it would have more than 50 tags, the most that AWS allows on one: remove some first"
                .to_owned()
        }
        _ if refusal.message.contains("Maximum policy size") => {
            "the role's inline policies are too long together, and AWS raises that for nobody: \
             move some into managed policies"
                .to_owned()
        }
        _ => "Service Quotas shows the quotas of IAM, and which of them can be raised".to_owned(),
    };
    vec![hint]
}

#[cfg(test)]
mod tests {
    use super::{Cause, Refusal, TABLE, cause, hints, row};

    fn refusal<'a>(code: &'a str, message: &'a str) -> Refusal<'a> {
        Refusal { action: "GetRole", code, message }
    }

    #[test]
    fn a_code_is_known_with_and_without_its_ending() {
        for (code, expected) in [
            ("ExpiredToken", Cause::Expired),
            ("ExpiredTokenException", Cause::Expired),
            ("UnrecognizedClientException", Cause::Key),
            ("InvalidSignatureException", Cause::Secret),
            ("AccessDeniedException", Cause::Denied),
            ("ThrottlingException", Cause::Busy),
            ("RequestLimitExceeded", Cause::Busy),
        ] {
            assert_eq!(cause(&refusal(code, "")), Some(expected), "{code}");
        }
        assert_eq!(cause(&refusal("Unheard", "")), None);
        assert!(
            hints(&refusal("NoSuchEntity", "The role with name x cannot be found.")).is_empty()
        );
    }

    #[test]
    fn every_row_can_be_met() {
        for at in TABLE {
            let message = at.texts.join(" ");
            let code = at.codes.first().copied().unwrap_or("Any");
            let action = at.actions.first().copied().unwrap_or("Any");
            let met = row(&Refusal { action, code, message: &message }).expect("a row");
            assert!(std::ptr::eq(met, at), "another row hides {code} {message:?} of {action}");
        }
    }

    #[test]
    fn a_skewed_clock_is_said_by_how_much() {
        // aws/aws-cli issue 6676; the reverse case by the same rule.
        for (message, expected) in [
            (
                "Signature expired: 20220127T001427Z is now earlier than 20220127T014428Z (20220127T015928Z - 15 min.)",
                "about 105 minutes slow",
            ),
            (
                "Signature not yet current: 20210502T183640Z is still later than 20210502T175140Z (20210502T173640Z + 15 min.)",
                "about 60 minutes fast",
            ),
            (
                "Signature expired: 20170721T074556Z is now earlier than 20170722T022954Z (20170722T023454Z - 5 min.)",
                "about 18 hours slow",
            ),
            ("Signature expired: some time ago", "is wrong:"),
        ] {
            let said = hints(&refusal("SignatureDoesNotMatch", message)).concat();
            assert!(said.contains(expected), "{said}");
        }
    }
}
