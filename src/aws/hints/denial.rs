//! Parser of AWS's "access denied" messages: the denied action and resource, the kind of policy,
//! and the person who can change it. The formats are those of "Troubleshoot access denied error
//! messages" in the IAM User Guide, with the additions of EC2 (an encoded message) and of Access
//! Troubleshooter (an id).

use super::Refusal;

/// Kind of policy, as the messages name it.
struct PolicyKind {
    /// Names in AWS's messages, in lower case.
    names: &'static [&'static str],
    /// Subject of a sentence about an explicit deny.
    denies: &'static str,
    /// Subject of a sentence about a missing allow.
    lacks: &'static str,
    /// Person who can change the policy.
    change: &'static str,
}

const ORGANIZATION: &str = "nobody in this account can allow it: an administrator of the \
                            organization changes that policy or exempts the account or the caller";

const KINDS: [PolicyKind; 8] = [
    PolicyKind {
        names: &["service control policy"],
        denies: "a service control policy (SCP) of the organization",
        lacks: "no service control policy (SCP) of the organization allows",
        change: ORGANIZATION,
    },
    PolicyKind {
        names: &["resource control policy"],
        denies: "a resource control policy (RCP) of the organization",
        lacks: "no resource control policy (RCP) of the organization allows",
        change: ORGANIZATION,
    },
    PolicyKind {
        names: &["permissions boundary"],
        denies: "the permissions boundary of the caller",
        lacks: "the permissions boundary of the caller does not allow",
        change: "the caller's other policies cannot go beyond it: whoever set the boundary on the \
                 user or role changes it",
    },
    PolicyKind {
        names: &["session policy", "sessions policy"],
        denies: "the session policy of the caller's session",
        lacks: "the session policy of the caller's session does not allow",
        change: "it was passed when the session was made, and narrows the role: make a session \
                 with a wider one, or with none",
    },
    PolicyKind {
        names: &["identity-based policy"],
        denies: "an identity-based policy of the caller (of the user, its groups or the role)",
        lacks: "no identity-based policy of the caller (of the user, its groups or the role) \
                allows",
        change: "whoever administers the caller changes its policies; `iamlua policy SCRIPT` \
                 prints the least one for a runbook",
    },
    PolicyKind {
        names: &["resource-based policy"],
        denies: "the policy of the resource itself",
        lacks: "the policy of the resource itself does not allow",
        change: "the owner of the resource changes it",
    },
    PolicyKind {
        names: &["vpc endpoint policy"],
        denies: "the policy of the VPC endpoint that the call goes through",
        lacks: "the policy of the VPC endpoint that the call goes through does not allow",
        change: "the owner of the VPC endpoint changes it; a call that goes another way does not \
                 meet it",
    },
    PolicyKind {
        names: &["role trust policy"],
        denies: "the trust policy of the role",
        lacks: "the trust policy of the role does not allow",
        change: "the owner of the role changes it: it must name the caller, and may ask for an \
                 external ID (external_id) or MFA",
    },
];

/// Parsed denial.
struct Denial<'a> {
    /// Denied action, such as `iam:PassRole`; it may differ from the action that was called.
    action: Option<&'a str>,
    /// Resource of the denied action.
    resource: Option<&'a str>,
    /// Explicit deny, as opposed to a missing allow.
    is_explicit: bool,
    /// Kind of policy.
    kind: Option<&'static PolicyKind>,
    /// ARN of the policy.
    policy: Option<&'a str>,
    /// Presence of an encoded message for `sts:DecodeAuthorizationMessage`.
    is_encoded: bool,
    /// Id for `GetRequestAuthorizationDetails`.
    authorization: Option<&'a str>,
}

impl<'a> Denial<'a> {
    fn parse(message: &'a str) -> Self {
        // As long as the message in bytes, so that positions are valid in both.
        let lower = message.to_ascii_lowercase();
        let after = |words: &str| lower.find(words).map(|at| at + words.len());
        let explicit = after("with an explicit deny");
        let encoded = after("encoded authorization failure message");
        let reason = explicit.or_else(|| after("because no "));
        let named = reason.and_then(|at| {
            let end = encoded.unwrap_or(lower.len()).max(at);
            let (end, kind) = kind(&lower[at..end])?;
            Some((at + end, kind))
        });
        Self {
            // EC2 begins with "not authorized to perform this operation".
            action: after("not authorized to perform: ")
                .or_else(|| after("not authorized to perform "))
                .and_then(|at| word(&message[at..]))
                .filter(|word| word.contains(':')),
            resource: after("on resource: ").and_then(|at| resource(&message[at..], &lower[at..])),
            is_explicit: explicit.is_some(),
            kind: named.map(|(_, kind)| kind),
            policy: named.filter(|_| explicit.is_some()).and_then(|(at, _)| policy(&message[at..])),
            is_encoded: encoded.is_some(),
            authorization: after("authorization id: ").and_then(|at| word(&message[at..])),
        }
    }
}

/// First word, without surrounding punctuation.
fn word(text: &str) -> Option<&str> {
    let word = text.split_whitespace().next()?.trim_matches(['"', '.', ',', ':', '(', ')']);
    (!word.is_empty()).then_some(word)
}

/// Resource at the beginning of a text. Some services put words before its ARN, or have no ARN:
/// "policy arn:aws:…", "role web".
fn resource<'a>(text: &'a str, lower: &str) -> Option<&'a str> {
    let reasons = [" with an explicit deny", " because "];
    let end = reasons.into_iter().filter_map(|words| lower.find(words)).min();
    let phrase = &text[..end.unwrap_or(text.len())];
    match phrase.find("arn:") {
        Some(arn) => word(&phrase[arn..]),
        None if end.is_some() => Some(phrase.trim().trim_matches('"')),
        None => word(phrase),
    }
}

/// Kind of policy in a reason in lower case, and the end of its name. In a chain ("transitively
/// through") the last policy is the one that denies.
fn kind(reason: &str) -> Option<(usize, &'static PolicyKind)> {
    let from = reason.find("transitively through").unwrap_or_default();
    let named = KINDS.iter().flat_map(|kind| {
        kind.names.iter().filter_map(move |name| {
            let start = from + reason[from..].find(name)?;
            Some((start + name.len(), kind))
        })
    });
    named.min_by_key(|(end, _)| *end)
}

/// ARN of the policy that was just named. The next sentence may contain other ARNs.
fn policy(text: &str) -> Option<&str> {
    let sentence = text.split(". ").next()?;
    word(&sentence[sentence.find("arn:")?..])
}

/// Next steps after a denial.
pub(super) fn hints(refusal: &Refusal<'_>) -> Vec<String> {
    let denial = Denial::parse(refusal.message);
    let action = denial.action.unwrap_or(refusal.action);
    let is = |name: &str| action.eq_ignore_ascii_case(name);
    let is_assume = is("sts:AssumeRole") || is("AssumeRole");
    let what = denial
        .resource
        .map_or_else(|| action.to_owned(), |resource| format!("{action} on {resource}"));
    let mut hints = Vec::new();
    if is("iam:PassRole") {
        let role = denial.resource.unwrap_or("the role");
        hints.push(format!(
            "whoever gives a role to an instance profile or an instance needs iam:PassRole on it: \
             {role}"
        ));
    }
    match denial.kind {
        Some(kind) => {
            hints.push(match (denial.is_explicit, denial.policy) {
                (true, Some(policy)) => {
                    format!("{} denies {what} explicitly: {policy}", kind.denies)
                }
                (true, None) => format!("{} denies {what} explicitly", kind.denies),
                (false, _) => format!("{} {what}", kind.lacks),
            });
            hints.push(kind.change.to_owned());
        }
        None if denial.is_explicit => hints.push(format!(
            "a policy denies {what} explicitly, and AWS does not say which: one of the caller, its \
             permissions boundary, a session policy, the resource's, or an SCP or RCP of the \
             organization; an allow elsewhere does not help"
        )),
        None if is_assume => hints.push(
            "AWS does not say why: the role may not exist, its trust policy may not name the \
             caller or may ask for an external ID (external_id) or MFA, or no policy of the caller \
             allows sts:AssumeRole on it"
                .to_owned(),
        ),
        None => hints.push(format!("the caller needs the permission for {what}")),
    }
    if is("sts:TagSession") || is("sts:SetSourceIdentity") {
        hints.push(format!(
            "the role's trust policy must allow {action} beside sts:AssumeRole, and so must a \
             policy of the caller"
        ));
    }
    if denial.is_encoded {
        hints.push(
            "`aws sts decode-authorization-message --encoded-message TEXT` says what was \
             evaluated; it needs sts:DecodeAuthorizationMessage"
                .to_owned(),
        );
    }
    if let Some(id) = denial.authorization {
        hints.push(format!(
            "`aws iam-toolbox get-request-authorization-details --authorization-id {id}` shows \
             what was evaluated, for a day"
        ));
    }
    if !refusal.message.contains("User: ") {
        hints.push("`iamlua whoami` shows who the caller is".to_owned());
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::Denial;

    /// Action, resource, kind and policy ARN, and whether the deny is explicit.
    fn parsed(message: &str) -> (&str, &str, &str, &str, bool) {
        let denial = Denial::parse(message);
        (
            denial.action.unwrap_or(""),
            denial.resource.unwrap_or(""),
            denial.kind.map_or("", |kind| kind.names[0]),
            denial.policy.unwrap_or(""),
            denial.is_explicit,
        )
    }

    #[test]
    fn the_parts_of_a_denial_are_found_in_every_form() {
        // IAM User Guide, "Troubleshoot access denied error messages".
        assert_eq!(
            parsed(
                "User: arn:aws:iam::777788889999:user/John is not authorized to perform: codecommit:ListRepositories because no service control policy allows the codecommit:ListRepositories action"
            ),
            ("codecommit:ListRepositories", "", "service control policy", "", false)
        );
        assert_eq!(
            parsed(
                "User: arn:aws:sts::111122223333:assumed-role/role-name/role-session-name is not authorized to perform: SNS:Publish on resource: arn:aws:sns:us-east-1:444455556666:role-name-2 with an explicit deny in a VPC endpoint policy transitively through a service control policy"
            ),
            (
                "SNS:Publish",
                "arn:aws:sns:us-east-1:444455556666:role-name-2",
                "service control policy",
                "",
                true
            )
        );
        // S3 quotes the resource.
        assert_eq!(
            parsed(
                "User: arn:aws:sts::112233445566:assumed-role/a/b is not authorized to perform: s3:PutObject on resource: \"arn:aws:s3:::test/x.txt\" with an explicit deny in a resource control policy"
            ),
            ("s3:PutObject", "arn:aws:s3:::test/x.txt", "resource control policy", "", true)
        );
        // IAM's older format of a resource, and the newer one of the policy.
        assert_eq!(
            parsed(
                "User: arn:aws:iam::767397689800:user/dev is not authorized to perform: iam:CreatePolicyVersion on resource: policy arn:aws:iam::767397689800:policy/tools with an explicit deny in a permissions boundary: arn:aws:iam::767397689800:policy/DeveloperBoundary"
            ),
            (
                "iam:CreatePolicyVersion",
                "arn:aws:iam::767397689800:policy/tools",
                "permissions boundary",
                "arn:aws:iam::767397689800:policy/DeveloperBoundary",
                true
            )
        );
        assert_eq!(
            parsed(
                "User: arn:aws:iam::921234892411:user/adam is not authorized to perform: iam:ListAttachedUserPolicies on resource: user adam because no permissions boundary allows the iam:ListAttachedUserPolicies action"
            ),
            ("iam:ListAttachedUserPolicies", "user adam", "permissions boundary", "", false)
        );
        // EC2: the encoded message comes last, and belongs to nothing before it.
        assert_eq!(
            parsed(
                "You are not authorized to perform this operation. User: arn:aws:iam::548387266019:user/g06 is not authorized to perform: ec2:RunInstances on resource: arn:aws:ec2:ap-southeast-1:548387266019:instance/* with an explicit deny in a permissions boundary: arn:aws:iam::548387266019:policy/umak-lab-boundary. Encoded authorization failure message: TsSPw6o1OBveASmxo6bSNLV6K-d5VlQUVqR"
            ),
            (
                "ec2:RunInstances",
                "arn:aws:ec2:ap-southeast-1:548387266019:instance/*",
                "permissions boundary",
                "arn:aws:iam::548387266019:policy/umak-lab-boundary",
                true
            )
        );
        // Without reason or resource; without a colon.
        assert_eq!(
            parsed(
                "User: arn:aws:iam::1:user/x is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::1:role/r"
            ),
            ("sts:AssumeRole", "arn:aws:iam::1:role/r", "", "", false)
        );
        assert_eq!(parsed("Not authorized to perform sts:AssumeRole").0, "sts:AssumeRole");
        assert_eq!(
            parsed("You are not authorized to perform this operation."),
            ("", "", "", "", false)
        );
        for odd in ["", "not authorized to perform", "with an explicit deny", "on resource: ", "é"]
        {
            parsed(odd);
        }
    }
}
