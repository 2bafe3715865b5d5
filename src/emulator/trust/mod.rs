//! Trust policies: validation when one is saved, the stored form ([`stored`]), and the evaluation
//! when a caller assumes the role ([`evaluation`]).

pub(super) mod conditions;
pub(super) mod evaluation;
pub(super) mod stored;

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// Size quota of a trust policy, in characters other than white space.
pub(super) const MAX_CHARACTERS: usize = 2048;

const TOP_KEYS: [&str; 3] = ["Version", "Id", "Statement"];
const VERSIONS: [&str; 2] = ["2008-10-17", "2012-10-17"];
const STATEMENT_KEYS: [&str; 7] =
    ["Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Condition"];
const ACTIONS: [&str; 5] = [
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:setsourceidentity",
    "sts:tagsession",
];
const SERVICE_DOMAINS: [&str; 4] =
    [".amazonaws.com", ".amazonaws.com.cn", ".amazon.com", ".aws.internal"];

/// Checks the form of a trust policy. Its `AWS` principals are checked where they are resolved, in
/// [`stored`].
pub(super) fn check(document: &str) -> Result<(), Refusal> {
    let policy: Value = serde_json::from_str(document)
        .map_err(|_| Refusal::malformed_policy("This policy contains invalid Json"))?;
    let size = document.chars().filter(|letter| !letter.is_whitespace()).count();
    if size > MAX_CHARACTERS {
        return Err(Refusal::quota("ACLSizePerRole", MAX_CHARACTERS));
    }
    let policy = policy.as_object().ok_or_else(syntax)?;
    if policy.keys().any(|key| !TOP_KEYS.contains(&key.as_str())) {
        return Err(syntax());
    }
    if let Some(version) = policy.get("Version")
        && !version.as_str().is_some_and(|version| VERSIONS.contains(&version))
    {
        return Err(syntax());
    }
    let statements = one_or_many(policy.get("Statement").ok_or_else(syntax)?);
    if statements.is_empty() {
        return Err(syntax());
    }
    for statement in statements {
        check_statement(statement.as_object().ok_or_else(syntax)?)?;
    }
    Ok(())
}

fn check_statement(statement: &Map<String, Value>) -> Result<(), Refusal> {
    for field in ["Resource", "NotResource"] {
        if statement.contains_key(field) {
            return Err(Refusal::malformed_policy(format!("Has prohibited field {field}")));
        }
    }
    if statement.keys().any(|key| !STATEMENT_KEYS.contains(&key.as_str())) {
        return Err(syntax());
    }
    match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow" | "Deny") => {}
        _ => return Err(syntax()),
    }
    let actions = statement.get("Action").or_else(|| statement.get("NotAction"));
    let actions = actions.ok_or_else(|| missing("Action"))?;
    for action in one_or_many(actions) {
        if !is_assume_role(action.as_str().ok_or_else(syntax)?) {
            return Err(Refusal::malformed_policy(
                "AssumeRole policy may only specify STS AssumeRole actions.",
            ));
        }
    }
    let principal = statement.get("Principal").or_else(|| statement.get("NotPrincipal"));
    match principal.ok_or_else(|| missing("Principal"))? {
        Value::String(everybody) if everybody == "*" => Ok(()),
        Value::Object(kinds) => check_principals(kinds),
        _ => Err(syntax()),
    }
}

/// Check for an action of STS that trust policies may have, or a pattern of such actions.
fn is_assume_role(action: &str) -> bool {
    let action = action.to_ascii_lowercase();
    ACTIONS.contains(&action.as_str())
        || (action.starts_with("sts:") && action.contains(['*', '?']))
        || action == "*"
}

fn check_principals(kinds: &Map<String, Value>) -> Result<(), Refusal> {
    let mut any = false;
    for (kind, named) in kinds {
        for name in one_or_many(named) {
            let name = name.as_str().ok_or_else(syntax)?;
            any = true;
            match kind.as_str() {
                "Service" => {
                    if !SERVICE_DOMAINS.iter().any(|domain| name.ends_with(domain)) {
                        return Err(unknown_principal("SERVICE", name));
                    }
                }
                "AWS" | "Federated" | "CanonicalUser" => {}
                _ => return Err(syntax()),
            }
        }
    }
    if any {
        return Ok(());
    }
    Err(Refusal::malformed_policy(
        "Invalid principal in policy: com.amazon.balsa.error.InvalidPolicyException: \
         The passed in policy has a statement with no principals!",
    ))
}

/// Refusal of a principal that does not exist.
pub(super) fn unknown_principal(kind: &str, name: &str) -> Refusal {
    Refusal::malformed_policy(format!("Invalid principal in policy: \"{kind}\":\"{name}\""))
}

fn syntax() -> Refusal {
    Refusal::malformed_policy("Syntax errors in policy.")
}

fn missing(field: &str) -> Refusal {
    Refusal::malformed_policy(format!("Missing required field {field}"))
}

fn one_or_many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    }
}
