//! Grammar check of a permissions policy when it is saved. The messages and their precedence were
//! recorded on AWS for 78 invalid and 51 valid documents (`TestPolicyDocumentValidity` of
//! `LocalStack`'s suite, February 2026). Documents that no recording covers are accepted.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::super::refusal::Refusal;

/// Kind of policy that a document belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Kind {
    /// Managed policy. It must have version 2012-10-17.
    Managed,
    /// Inline policy. It may omit the version, or have the old one.
    Inline,
}

const TOP_KEYS: [&str; 4] = ["Version", "Id", "Statement", "Conditions"];
const VERSIONS: [&str; 2] = ["2008-10-17", "2012-10-17"];
const STATEMENT_KEYS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];
const EFFECTS: [&str; 2] = ["Allow", "Deny"];
const OPERATORS: [&str; 27] = [
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
    "NumericEquals",
    "NumericNotEquals",
    "NumericLessThan",
    "NumericLessThanEquals",
    "NumericGreaterThan",
    "NumericGreaterThanEquals",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
    "Bool",
    "BinaryEquals",
    "IpAddress",
    "NotIpAddress",
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "Null",
];
const PARTITIONS: [&str; 8] =
    ["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"];
const IAM_PATHS: &str = "user/, federated-user/, role/, group/, instance-profile/, mfa/, \
                         server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, \
                         report/, access-report/";
/// Range of years of the date library that IAM uses.
const YEARS: std::ops::RangeInclusive<i64> = -292_275_054..=292_278_993;

/// Size of a policy as AWS's quotas count it: without white space.
pub(in crate::emulator) fn size(document: &str) -> usize {
    document.chars().filter(|letter| !letter.is_whitespace()).count()
}

/// Checks a policy.
pub(in crate::emulator) fn check(document: &str, kind: Kind) -> Result<(), Refusal> {
    let policy: Value = serde_json::from_str(document).map_err(|_| syntax())?;
    let policy = policy.as_object().ok_or_else(syntax)?;
    let statements = read_statements(policy).ok_or_else(syntax)?;
    if kind == Kind::Managed && policy.get("Version") != Some(&Value::from(VERSIONS[1])) {
        return Err(malformed("Policy document must be version 2012-10-17 or greater."));
    }
    if statements
        .iter()
        .any(|one| one.contains_key("Principal") || one.contains_key("NotPrincipal"))
    {
        return Err(malformed("Policy document should not specify a principal."));
    }
    if !statements.iter().all(|statement| passes_first_legacy_parsing(statement)) {
        return Err(legacy());
    }
    let wrong_resource = check_resources(&statements)?;
    check_ids(&statements)?;
    if !statements.iter().all(|statement| has_any(statement, ["Action", "NotAction"])) {
        return Err(malformed("Policy statement must contain actions."));
    }
    if let Some(words) = wrong_resource {
        return Err(malformed(words));
    }
    if !statements.iter().all(|statement| has_any(statement, ["Resource", "NotResource"])) {
        return Err(malformed("Policy statement must contain resources."));
    }
    for key in ["Action", "NotAction"] {
        for action in statements.iter().flat_map(|statement| texts(statement, key)) {
            check_action(action)?;
        }
    }
    Ok(())
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::malformed_policy(message)
}

fn syntax() -> Refusal {
    malformed("Syntax errors in policy.")
}

fn legacy() -> Refusal {
    malformed("The policy failed legacy parsing")
}

/// Statements of a policy in which all types are right; otherwise `None`.
fn read_statements(policy: &Map<String, Value>) -> Option<Vec<&Map<String, Value>>> {
    let fine = policy.iter().all(|(key, value)| match key.as_str() {
        "Version" => value.as_str().is_some_and(|version| VERSIONS.contains(&version)),
        "Id" => value.is_string(),
        key => TOP_KEYS.contains(&key),
    });
    let statements: Vec<_> = match policy.get("Statement")? {
        Value::Array(statements) => {
            statements.iter().map(Value::as_object).collect::<Option<_>>()?
        }
        statement => vec![statement.as_object()?],
    };
    let fine = fine && !statements.is_empty();
    (fine && statements.iter().all(|statement| is_statement(statement))).then_some(statements)
}

fn is_statement(statement: &Map<String, Value>) -> bool {
    let both = |one, other| statement.contains_key(one) && statement.contains_key(other);
    let is_effect = |effect: &str| EFFECTS.iter().any(|known| known.eq_ignore_ascii_case(effect));
    statement.keys().all(|key| STATEMENT_KEYS.contains(&key.as_str()))
        && !both("Action", "NotAction")
        && !both("Resource", "NotResource")
        && statement.get("Effect").and_then(Value::as_str).is_some_and(is_effect)
        && ["Action", "NotAction", "Resource", "NotResource"]
            .iter()
            .all(|key| statement.get(*key).is_none_or(is_text_or_texts))
        && statement.get("Condition").is_none_or(is_condition)
        && statement.get("Sid").is_none_or(Value::is_string)
}

/// Check for a string or a list of strings. A null in the list is accepted: Moto's suite has such a
/// policy, and reports that AWS ignores the null.
fn is_text_or_texts(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(members) => {
            members.iter().all(|member| member.is_string() || member.is_null())
        }
        _ => false,
    }
}

/// Check of a condition. An unknown operator is accepted if it compares nothing.
fn is_condition(condition: &Value) -> bool {
    let is_plain = |value: &Value| value.is_string() || value.is_boolean() || value.is_number();
    let is_compared = |value: &Value| match value {
        Value::Array(values) => values.iter().all(is_plain),
        value => is_plain(value),
    };
    condition.as_object().is_some_and(|operators| {
        operators.iter().all(|(operator, keys)| {
            keys.as_object().is_some_and(|keys| {
                keys.values().all(is_compared)
                    && (keys.is_empty() || OPERATORS.contains(&bare_operator(operator)))
            })
        })
    })
}

/// Operator without its set prefix and `IfExists` suffix.
fn bare_operator(operator: &str) -> &str {
    let operator = ["ForAnyValue:", "ForAllValues:"]
        .iter()
        .find_map(|prefix| operator.strip_prefix(prefix))
        .unwrap_or(operator);
    operator.strip_suffix("IfExists").unwrap_or(operator)
}

/// Check of IAM's legacy parser, which reads the policy a second time. It accepts effects in one
/// spelling only, and parses dates.
fn passes_first_legacy_parsing(statement: &Map<String, Value>) -> bool {
    let effect = statement.get("Effect").and_then(Value::as_str).unwrap_or_default();
    let conditions = statement.get("Condition").and_then(Value::as_object);
    EFFECTS.contains(&effect)
        && conditions.into_iter().flatten().all(|(operator, keys)| {
            let dates = keys.as_object().into_iter().flatten().map(|(_, value)| value);
            !bare_operator(operator).starts_with("Date") || dates.flat_map(one_or_many).all(is_date)
        })
}

fn one_or_many(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    }
}

/// Check for seconds since 1970, or a date and time in which only the year is required.
fn is_date(value: &Value) -> bool {
    let Value::String(text) = value else { return value.is_number() };
    let text = text.to_ascii_lowercase();
    if !text.contains(['t', '-']) {
        return text.parse::<i64>().is_ok_and(|seconds| seconds >= 0);
    }
    let (date, time) = text.split_once('t').unwrap_or((&text, ""));
    let (before_christ, date) = date.strip_prefix('-').map_or((false, date), |date| (true, date));
    let mut parts = date.split('-');
    let year = parts.next().and_then(whole).map(|year| if before_christ { -year } else { year });
    let month = parts.next().is_none_or(|month| is_within(month, 1, 12));
    let day = parts.next().is_none_or(|day| is_within(day, 1, 31));
    let year = year.is_some_and(|year| YEARS.contains(&year));
    year && month && day && parts.next().is_none() && is_time(time)
}

fn is_time(time: &str) -> bool {
    let (clock, is_zone) = match time.find(['z', '+', '-']) {
        None => (time, true),
        Some(at) => (&time[..at], is_zone(&time[at..])),
    };
    if clock.is_empty() {
        return is_zone;
    }
    let mut parts = clock.split(':');
    let hour = parts.next().is_some_and(|hour| is_within(hour, 0, 23));
    let minute = parts.next().is_none_or(|minute| is_within(minute, 0, 59));
    let second = parts.next().is_none_or(|second| {
        let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
        is_within(second, 0, 59) && is_within(fraction, 0, 999_999_999)
    });
    is_zone && hour && minute && second && parts.next().is_none()
}

fn is_zone(zone: &str) -> bool {
    let Some(offset) = zone.strip_prefix(['+', '-']) else { return zone == "z" };
    let (hours, minutes) = offset.split_once(':').unwrap_or((offset, "00"));
    let is_pair = |text: &str, most| text.len() == 2 && is_within(text, 0, most);
    is_pair(hours, 23) && is_pair(minutes, 59)
}

fn whole(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

fn is_within(text: &str, least: i64, most: i64) -> bool {
    whole(text).is_some_and(|number| (least..=most).contains(&number))
}

/// Checks the resources. A bad resource is reported after bad actions, except if the legacy parser
/// rejects it.
fn check_resources(statements: &[&Map<String, Value>]) -> Result<Option<String>, Refusal> {
    let mut wrong = None;
    for statement in statements {
        for key in ["Resource", "NotResource"] {
            for resource in texts(statement, key).filter(|resource| *resource != "*") {
                wrong = wrong.or_else(|| wrong_resource(resource));
                if wrong.is_none() && !passes_legacy_parsing(resource) {
                    return Err(legacy());
                }
            }
        }
    }
    Ok(wrong)
}

/// Message for a resource that is not an ARN, or not one of its service.
fn wrong_resource(resource: &str) -> Option<String> {
    let Some((_, rest)) = resource.split_once(':') else {
        return Some(format!("Resource {resource} must be in ARN format or \"*\"."));
    };
    let (partition, rest) =
        rest.split_once(':').map_or((rest, None), |(partition, rest)| (partition, Some(rest)));
    if partition != "*" && !PARTITIONS.contains(&partition) {
        // Missing parts of the resource are shown as `*`.
        let parts: Vec<_> = rest.into_iter().flat_map(|rest| rest.splitn(4, ':')).collect();
        let part = |number: usize| parts.get(number).copied().unwrap_or("*");
        return Some(format!(
            "Partition \"{partition}\" is not valid for resource \"arn:{partition}:{}:{}:{}:{}\".",
            part(0),
            part(1),
            part(2),
            part(3)
        ));
    }
    let Some(rest) = rest else {
        let words = "Resource vendor must be fully qualified and cannot contain regexes.";
        return Some(words.to_owned());
    };
    let mut parts = rest.splitn(4, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (service, region, account, id) = (next(), next(), next(), next());
    let has_region = !region.is_empty() && region != "*";
    match service {
        "iam" if has_region => {
            Some(format!("IAM resource {resource} cannot contain region information."))
        }
        // Some resources of S3 are regional, such as access points. All of those have an account.
        "s3" if has_region && account.is_empty() && !id.is_empty() => {
            Some(format!("Resource {resource} can not contain region information."))
        }
        "iam" => {
            let is_path = |path: &str| id.starts_with(path);
            let fine = id == "root" || id.starts_with('*') || IAM_PATHS.split(", ").any(is_path);
            (!fine).then(|| {
                format!("IAM resource path must either be \"*\", root, or start with {IAM_PATHS}.")
            })
        }
        _ => None,
    }
}

fn passes_legacy_parsing(resource: &str) -> bool {
    let complete = resource.matches(':').count() >= 5 || !resource.contains("::");
    complete && resource.split(':').nth(2).is_some_and(|service| !service.is_empty())
}

fn check_ids(statements: &[&Map<String, Value>]) -> Result<(), Refusal> {
    let ids = statements.iter().filter_map(|statement| statement.get("Sid")?.as_str());
    let ids: Vec<_> = ids.filter(|id| !id.is_empty()).collect();
    if ids.iter().any(|id| !id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return Err(malformed(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the \
             regular expression [0-9A-Za-z]*",
        ));
    }
    let distinct: HashSet<_> = ids.iter().collect();
    if distinct.len() < ids.len() {
        return Err(malformed("Statement IDs (SID) in a single policy must be unique."));
    }
    Ok(())
}

/// Check that one of two keys is present, with any value.
fn has_any(statement: &Map<String, Value>, keys: [&str; 2]) -> bool {
    keys.iter().any(|key| match statement.get(*key) {
        None => false,
        Some(Value::Array(members)) => !members.is_empty(),
        Some(_) => true,
    })
}

fn texts<'a>(
    statement: &'a Map<String, Value>,
    key: &str,
) -> impl Iterator<Item = &'a str> + use<'a> {
    statement.get(key).into_iter().flat_map(one_or_many).filter_map(Value::as_str)
}

fn check_action(action: &str) -> Result<(), Refusal> {
    let vendor = match action.split(':').collect::<Vec<_>>().as_slice() {
        ["*"] => return Ok(()),
        [_] => {
            return Err(malformed(
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
            ));
        }
        [vendor, _] => *vendor,
        _ => return Err(malformed("Actions/Condition can contain only one colon.")),
    };
    let is_vendor = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    if vendor != "*" && !vendor.bytes().all(is_vendor) {
        return Err(malformed(format!("Vendor {vendor} is not valid")));
    }
    Ok(())
}
