//! Evaluation of trust policies: the decision of a policy on a principal. Only the trust policy is
//! evaluated. The permissions of callers are not: in the local account they may do everything.
//!
//! The rules are those of the IAM User Guide, "Policy evaluation logic" and "AWS JSON policy
//! elements". A statement with an unsupported condition never matches, whatever its effect.

use serde_json::{Map, Value};
use wildmatch::WildMatch;

use super::conditions::{self, Known};
use super::one_or_many;

/// Request to assume a role, for evaluation.
pub(in crate::emulator) struct TrustRequest<'a> {
    /// Action, such as `sts:AssumeRole`.
    pub(in crate::emulator) action: &'a str,
    pub(in crate::emulator) principal: &'a Principal,
    /// Value of a condition key, whose name is in lower case.
    pub(in crate::emulator) keys: &'a dyn Fn(&str) -> Known,
}

/// Requesting principal, by every name that a policy may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Principal {
    /// User or session: its own ARN and id, those of its role, and those of its account.
    Aws(Vec<String>),
    /// Holder of an identity provider's token, by the provider.
    Federated(String),
}

/// Result of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Decision {
    Allowed,
    /// No statement allows the request.
    NotAllowed,
    /// A statement denies the request.
    Denied,
}

/// Evaluates a trust policy.
pub(in crate::emulator) fn decide(policy: &str, asked: &TrustRequest<'_>) -> Decision {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = policy.get("Statement").map(one_or_many).unwrap_or_default();
    let matching =
        statements.into_iter().filter_map(Value::as_object).filter(|one| matches(one, asked));
    let effects: Vec<_> = matching.filter_map(|one| one.get("Effect")?.as_str()).collect();
    if effects.contains(&"Deny") {
        Decision::Denied
    } else if effects.contains(&"Allow") {
        Decision::Allowed
    } else {
        Decision::NotAllowed
    }
}

fn matches(statement: &Map<String, Value>, asked: &TrustRequest<'_>) -> bool {
    let names_action = |field: &str| {
        let patterns = one_or_many(statement.get(field)?);
        Some(patterns.into_iter().filter_map(Value::as_str).any(|pattern| {
            let pattern = pattern.to_ascii_lowercase();
            WildMatch::new(&pattern).matches(&asked.action.to_ascii_lowercase())
        }))
    };
    let action = names_action("Action").or_else(|| Some(!names_action("NotAction")?));
    let names_principal = |field: &str| Some(asked.principal.is_named_by(statement.get(field)?));
    let principal =
        names_principal("Principal").or_else(|| Some(!names_principal("NotPrincipal")?));
    action == Some(true)
        && principal == Some(true)
        && statement.get("Condition").is_none_or(|all| conditions::hold(all, asked.keys))
}

impl Principal {
    /// Match of a `Principal` element with this principal.
    fn is_named_by(&self, element: &Value) -> bool {
        let Value::Object(kinds) = element else { return element == "*" };
        let named = |kind: &str| {
            let names = kinds.get(kind).map(one_or_many).unwrap_or_default();
            names.into_iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        match self {
            Self::Aws(own) => named("AWS").iter().any(|name| name == "*" || own.contains(name)),
            Self::Federated(provider) => named("Federated").contains(provider),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::conditions::Known;
    use super::{Decision, Principal, TrustRequest, decide};

    fn decided(statements: &str, action: &str) -> Decision {
        let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
        let own = ["arn:aws:iam::123456789012:user/u", "arn:aws:iam::123456789012:root"];
        let principal = Principal::Aws(own.map(str::to_owned).to_vec());
        let keys = |key: &str| match key {
            "sts:externalid" => Known::one("secret"),
            "aws:multifactorauthpresent" => Known::Absent,
            _ => Known::NotUnderstood,
        };
        decide(&policy, &TrustRequest { action, principal: &principal, keys: &keys })
    }

    #[test]
    fn a_statement_matches_by_principal_action_and_condition() {
        let root = r#""Principal":{"AWS":"arn:aws:iam::123456789012:root"}"#;
        for (inside, decision) in [
            (r#""Principal":"*","Action":"sts:AssumeRole""#.to_owned(), Decision::Allowed),
            (r#""Principal":{"AWS":"*"},"Action":"*""#.to_owned(), Decision::Allowed),
            (format!(r#"{root},"Action":["sts:TagSession","STS:assumerole"]"#), Decision::Allowed),
            (format!(r#"{root},"Action":"sts:Assume*""#), Decision::Allowed),
            (format!(r#"{root},"Action":"sts:TagSession""#), Decision::NotAllowed),
            (format!(r#"{root},"NotAction":"sts:TagSession""#), Decision::Allowed),
            (
                r#""Principal":{"Service":"ec2.amazonaws.com"},"Action":"*""#.to_owned(),
                Decision::NotAllowed,
            ),
            (
                r#""Principal":{"Federated":"arn:aws:iam::123456789012:user/u"},"Action":"*""#
                    .to_owned(),
                Decision::NotAllowed,
            ),
            (
                r#""NotPrincipal":{"AWS":"arn:aws:iam::123456789012:user/u"},"Action":"*""#
                    .to_owned(),
                Decision::NotAllowed,
            ),
            (
                format!(
                    r#"{root},"Action":"*","Condition":{{"StringEquals":{{"sts:ExternalId":"secret"}}}}"#
                ),
                Decision::Allowed,
            ),
            (
                format!(
                    r#"{root},"Action":"*","Condition":{{"StringEquals":{{"aws:PrincipalOrgID":"o-1"}}}}"#
                ),
                Decision::NotAllowed,
            ),
        ] {
            let statement = format!(r#"{{"Effect":"Allow",{inside}}}"#);
            assert_eq!(decided(&statement, "sts:AssumeRole"), decision, "{inside}");
        }
    }

    #[test]
    fn a_deny_counts_more_than_any_allow() {
        let allow = r#"{"Effect":"Allow","Principal":"*","Action":"sts:*"}"#;
        let deny = r#"{"Effect":"Deny","Principal":{"AWS":"*"},"Action":"sts:TagSession"}"#;
        let both = format!("{allow},{deny}");
        assert_eq!(decided(&both, "sts:AssumeRole"), Decision::Allowed);
        assert_eq!(decided(&both, "sts:TagSession"), Decision::Denied);
        // Denial of all principals without MFA, an example of the IAM User Guide.
        let no_mfa = r#"{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole","Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}"#;
        assert_eq!(decided(&format!("{allow},{no_mfa}"), "sts:AssumeRole"), Decision::Denied);
    }
}
