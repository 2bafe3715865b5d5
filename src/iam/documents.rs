//! Comparison of policy documents as IAM keeps them: two texts are the same if IAM makes the same
//! of them. Every comparison in the program is this one.
//!
//! The rules, and where they come from. *Equivalence* is `hashicorp/awspolicyequivalence`, the
//! comparison of Terraform's AWS provider with its suite of cases from real accounts; *Elements*
//! and *Grammar* are the pages of the IAM User Guide (`reference_policies_elements_…`,
//! `reference_policies_grammar`).
//!
//! - White space and the order of keys mean nothing (JSON).
//! - `"a"` is `["a"]`, and one statement alone is a list of it (Grammar; Equivalence "One-length
//!   lists", "Single Statement vs []Statement").
//! - The order of values, and a value that is there twice, mean nothing (Elements; Equivalence
//!   "Principal order not important").
//! - The order of statements means nothing (Equivalence "Multiple Statements, Equivalent").
//! - No `Version` is `2008-10-17` (Elements, Version).
//! - An empty `Sid` or `Id` is none (Equivalence, whose fields are `omitempty`).
//! - Service prefix and name of an action ignore case (Elements, Action).
//! - Names of condition keys ignore case (Elements, Condition).
//! - Numbers and booleans in conditions are their text (Grammar; Equivalence "Boolean condition …",
//!   "Numeric condition …").
//! - `"210987654321"` is `"arn:PARTITION:iam::210987654321:root"` (Elements, Principal; Equivalence
//!   "Principal with string root IAM user matches account ID").
//! - An empty list of principals, or of conditions, is none (Equivalence "Empty Principal and
//!   missing Principal have the same effect").
//!
//! What IAM does not ignore is different here too: the case of `Effect`, of `Sid`, of resources, of
//! principals and of values, and of the elements' own names. Equivalence ignores that of `Effect`;
//! IAM refuses `allow` (Elements, Effect: "case sensitive"), so that no role has it. `"*"` as
//! principal is not `{ "AWS": "*" }`: in a trust policy the first admits federated users too
//! (Terraform's `aws_iam_policy_document`, note on principals; Equivalence tells them apart). A
//! number with more digits than a computer's keeps is only the same as itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Number, Value};

/// Equality of two policy documents as IAM keeps them. What is no JSON is the same only as itself.
pub fn same_policy(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    match (serde_json::from_str(a), serde_json::from_str(b)) {
        (Ok(one), Ok(other)) if is_exact(a, &one) && is_exact(b, &other) => {
            normal_document(one) == normal_document(other)
        }
        _ => false,
    }
}

/// Check that no number of a document has lost a digit when it was read.
fn is_exact(text: &str, document: &Value) -> bool {
    match document {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            is_written(text, &number_text(number))
        }
        Value::Array(items) => items.iter().all(|item| is_exact(text, item)),
        Value::Object(fields) => fields.values().all(|value| is_exact(text, value)),
        _ => true,
    }
}

/// Check that a text has a number with exactly these digits.
fn is_written(text: &str, number: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    text.match_indices(number).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + number.len()..]);
        !before.ends_with(is_digit) && !after.starts_with(is_digit)
    })
}

const DEFAULT_VERSION: &str = "2008-10-17";

fn normal_document(document: Value) -> Value {
    let Value::Object(mut elements) = document else { return document };
    elements.entry("Version").or_insert_with(|| DEFAULT_VERSION.into());
    elements
        .into_iter()
        .filter(|(name, value)| !(name == "Id" && is_empty(value)))
        .map(|(name, value)| {
            let value = match name.as_str() {
                "Statement" => set(listed(value).into_iter().map(normal_statement)),
                _ => value,
            };
            (name, value)
        })
        .collect()
}

fn normal_statement(statement: Value) -> Value {
    let Value::Object(elements) = statement else { return statement };
    elements
        .into_iter()
        .filter_map(|(name, value)| {
            let value = match name.as_str() {
                "Action" | "NotAction" => set(listed(value).into_iter().map(lower)),
                "Resource" | "NotResource" => set(listed(value).into_iter()),
                "Principal" | "NotPrincipal" => principals(value)?,
                "Condition" => conditions(value)?,
                "Sid" if is_empty(&value) => return None,
                _ => value,
            };
            Some((name, value))
        })
        .collect()
}

/// The principals by their kind; `None` for no principal at all.
fn principals(value: Value) -> Option<Value> {
    let kinds = match value {
        Value::Object(kinds) => kinds,
        other => return Some(other),
    };
    let kinds: Map<_, _> = kinds
        .into_iter()
        .map(|(kind, named)| {
            let is_aws = kind == "AWS";
            let named = listed(named).into_iter();
            (kind, set(named.map(|name| if is_aws { account(name) } else { name })))
        })
        .filter(|(_, named)| !is_empty(named))
        .collect();
    (!kinds.is_empty()).then_some(Value::Object(kinds))
}

/// The number of an account instead of the ARN of its root; every other principal as it is.
fn account(principal: Value) -> Value {
    let root = principal.as_str().and_then(|text| {
        let mut parts = text.strip_prefix("arn:")?.split(':');
        let (_, service, region) = (parts.next()?, parts.next()?, parts.next()?);
        let (account, resource) = (parts.next()?, parts.next()?);
        let is_root = service == "iam" && region.is_empty() && resource == "root";
        let is_number = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        (is_root && is_number && parts.next().is_none()).then(|| account.to_owned())
    });
    root.map_or(principal, Value::String)
}

/// The conditions by operator and key; `None` for none.
fn conditions(value: Value) -> Option<Value> {
    let Value::Object(operators) = value else { return Some(value) };
    if operators.is_empty() {
        return None;
    }
    let of_operator = |tests: Value| match tests {
        Value::Object(tests) => {
            let names: BTreeSet<_> = tests.keys().map(|key| key.to_lowercase()).collect();
            // Two keys of one name are not made one: which of them counts is not documented.
            let is_plain = names.len() == tests.len();
            tests
                .into_iter()
                .map(|(key, values)| {
                    let key = if is_plain { key.to_lowercase() } else { key };
                    (key, set(listed(values).into_iter().map(text)))
                })
                .collect()
        }
        other => other,
    };
    Some(operators.into_iter().map(|(name, tests)| (name, of_operator(tests))).collect())
}

/// A number or a boolean as its text.
fn text(value: Value) -> Value {
    match value {
        Value::Bool(value) => value.to_string().into(),
        Value::Number(number) => number_text(&number).into(),
        other => other,
    }
}

/// `100` for 100.0 too.
fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(value) if !number.is_i64() && !number.is_u64() => value.to_string(),
        _ => number.to_string(),
    }
}

fn lower(value: Value) -> Value {
    match value {
        Value::String(text) => text.to_lowercase().into(),
        other => other,
    }
}

fn listed(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        value => vec![value],
    }
}

/// Values in an order of their own, each once.
fn set(values: impl Iterator<Item = Value>) -> Value {
    let by_text: BTreeMap<_, _> = values.map(|value| (value.to_string(), value)).collect();
    Value::Array(by_text.into_values().collect())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::same_policy;

    /// A trust policy whose one statement has these elements besides its effect.
    fn with(elements: &str) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",{elements}}}]}}"#)
    }

    /// The cases of `aws_policy_equivalence_test.go` that are about trust policies or about
    /// elements that these have, and those of AWS's pages, by their names there.
    #[test]
    #[allow(clippy::too_many_lines, reason = "it is a table")]
    fn documents_of_which_iam_makes_the_same_are_the_same() {
        let ec2 = r#""Principal":{"Service":"ec2.amazonaws.com"}"#;
        let account = |aws: &str| with(&format!(r#""Action":"sts:AssumeRole","Principal":{aws}"#));
        let condition = |tests: &str| {
            with(&format!(r#""Action":"sts:AssumeRole",{ec2},"Condition":{{{tests}}}"#))
        };
        let plain = with(&format!(r#""Action":"sts:AssumeRole",{ec2}"#));
        for (what, one, other) in [
            (
                "Action block as single item array versus string",
                plain.clone(),
                with(&format!(r#""Action":["sts:AssumeRole"],{ec2}"#)),
            ),
            (
                "Principal in single item array versus string",
                plain.clone(),
                with(r#""Principal":{"Service":["ec2.amazonaws.com"]},"Action":"sts:AssumeRole""#),
            ),
            ("Single Statement vs []Statement", plain.clone(), plain.replace(['[', ']'], "")),
            (
                "Elements, Action: prefix and name ignore case",
                plain.clone(),
                with(&format!(r#""Action":"STS:assumerole",{ec2}"#)),
            ),
            (
                "Order of actions, and one twice",
                with(&format!(r#""Action":["sts:TagSession","sts:AssumeRole"],{ec2}"#)),
                with(&format!(
                    r#""Action":["sts:AssumeRole","sts:TagSession","sts:AssumeRole"],{ec2}"#
                )),
            ),
            (
                "An empty Sid is none",
                plain.clone(),
                with(&format!(r#""Sid":"","Action":"sts:AssumeRole",{ec2}"#)),
            ),
            (
                "Principal with map string root IAM user matches account ID",
                account(r#"{"AWS":"210987654321"}"#),
                account(r#"{"AWS":"arn:aws:iam::210987654321:root"}"#),
            ),
            (
                "The same in another partition",
                account(r#"{"AWS":"210987654321"}"#),
                account(r#"{"AWS":["arn:aws-us-gov:iam::210987654321:root"]}"#),
            ),
            (
                "Principal with map array multiple root IAM user matches account ID",
                account(r#"{"AWS":["333333333333","210987654321"]}"#),
                account(
                    r#"{"AWS":["arn:aws:iam::210987654321:root","arn:aws:iam::333333333333:root"]}"#,
                ),
            ),
            (
                "Principal order not important",
                account(r#"{"AWS":["arn:aws:iam::1:role/a","arn:aws:iam::1:role/b"]}"#),
                account(r#"{"AWS":["arn:aws:iam::1:role/b","arn:aws:iam::1:role/a"]}"#),
            ),
            (
                "Empty Principals sets of different types have the same effect",
                account(r#"{"AWS":[]}"#),
                account(r#"{"Federated":[]}"#),
            ),
            (
                "Empty Principal and missing Principal have the same effect",
                account(r#"{"AWS":[]}"#),
                with(r#""Action":"sts:AssumeRole""#),
            ),
            (
                "Boolean condition with and without quotes on single value",
                condition(r#""Bool":{"aws:MultiFactorAuthPresent":true}"#),
                condition(r#""Bool":{"aws:MultiFactorAuthPresent":"true"}"#),
            ),
            (
                "Numeric condition with and without quotes on array of values",
                condition(r#""NumericEquals":{"aws:MultiFactorAuthAge":[100.01, 200]}"#),
                condition(r#""NumericEquals":{"aws:MultiFactorAuthAge":["200","100.01"]}"#),
            ),
            (
                "Condition in single string instead of array",
                condition(r#""StringEquals":{"sts:ExternalId":["x"]}"#),
                condition(r#""StringEquals":{"sts:ExternalId":"x"}"#),
            ),
            (
                "Elements, Condition: names of keys ignore case",
                condition(r#""StringEquals":{"aws:SourceIP":"x","sts:externalid":"y"}"#),
                condition(r#""StringEquals":{"sts:ExternalId":"y","AWS:SourceIp":"x"}"#),
            ),
            ("No condition", plain.clone(), condition("")),
            (
                "Elements, Version: the default",
                plain.replace("2012-10-17", "2008-10-17"),
                plain.replace(r#""Version":"2012-10-17","#, ""),
            ),
        ] {
            assert!(same_policy(&one, &other), "{what}: {one} {other}");
            assert!(same_policy(&other, &one), "{what}");
        }
    }

    #[test]
    fn documents_of_which_iam_makes_others_are_others() {
        let plain =
            with(r#""Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::1:role/a"}"#);
        for (what, with) in [
            ("\"Allow\"", "\"Deny\""),
            ("\"Allow\"", "\"allow\""),
            ("2012-10-17", "2008-10-17"),
            ("AssumeRole", "TagSession"),
            ("Action", "NotAction"),
            ("Principal", "NotPrincipal"),
            ("role/a", "role/A"),
            ("role/a", "root"),
            ("\"AWS\"", "\"Federated\""),
            ("\"Effect\"", "\"Sid\":\"x\",\"Effect\""),
            ("\"Effect\"", "\"Condition\":{\"Bool\":{\"aws:x\":\"true\"}},\"Effect\""),
        ] {
            let other = plain.replace(what, with);
            assert!(plain != other && !same_policy(&plain, &other), "{what} -> {with}");
        }
        let principal =
            |what: &str| with(&format!(r#""Action":"sts:AssumeRole","Principal":{what}"#));
        assert!(!same_policy(&principal(r#""*""#), &principal(r#"{"AWS":"*"}"#)));
        let id = |number: &str| {
            with(&format!(r#""Condition":{{"StringEquals":{{"sts:ExternalId":{number}}}}}"#))
        };
        for (one, other) in [
            ("100000000000000000001", "100000000000000000002"),
            ("123456789012345678901234567890", r#""123456789012345680000000000000""#),
            ("0.1", "0.1000000000000000001"),
            ("1e3", r#""1000""#),
        ] {
            assert!(!same_policy(&id(one), &id(other)), "{one} {other}");
        }
        let root = r#"{"Statement":{"Principal":{"AWS":"arn:aws:iam::210987654321:root"}}}"#;
        assert!(!same_policy(root, &root.replace("210987654321", "333333333333")));
        assert!(!same_policy(
            root,
            &root.replace("arn:aws:iam::210987654321:root", "333333333333")
        ));
        assert!(!same_policy(root, &root.replace(":iam:", ":sts:")));
        assert!(!same_policy(&plain, "not JSON"));
        assert!(same_policy("not JSON", "not JSON"));
    }
}
