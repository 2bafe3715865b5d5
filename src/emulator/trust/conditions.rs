//! Conditions of policies. IAM User Guide, "IAM JSON policy elements: Condition operators" and
//! "Multivalued context keys". Operators for addresses and binary values are not supported, and
//! neither are keys of which the local account has no value, such as `aws:PrincipalOrgID` and
//! `aws:SourceIp`.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;
use wildmatch::WildMatch;

use super::one_or_many;

/// Value of a condition key in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Known {
    /// Values of the key.
    Values(Vec<String>),
    /// Key that the request does not have.
    Absent,
    /// Key whose value on AWS is not known here.
    NotUnderstood,
}

impl Known {
    pub(in crate::emulator) fn one(value: impl Into<String>) -> Self {
        Self::Values(vec![value.into()])
    }
}

impl From<Option<String>> for Known {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::Absent, Self::one)
    }
}

impl From<Vec<String>> for Known {
    fn from(values: Vec<String>) -> Self {
        if values.is_empty() { Self::Absent } else { Self::Values(values) }
    }
}

/// Evaluates a whole `Condition` element.
pub(super) fn hold(condition: &Value, keys: &dyn Fn(&str) -> Known) -> bool {
    let Some(operators) = condition.as_object() else { return false };
    operators.iter().all(|(operator, tested)| {
        let (Some(operator), Some(tested)) = (Operator::parse(operator), tested.as_object()) else {
            return false;
        };
        tested.iter().all(|(key, values)| {
            let known = keys(&key.to_ascii_lowercase());
            let values: Option<Vec<_>> =
                one_or_many(values).into_iter().map(|value| text(value, keys)).collect();
            values.is_some_and(|values| operator.holds(&known, &values))
        })
    })
}

/// Operator with its set prefix and suffix.
#[derive(Clone, Copy, Debug)]
struct Operator {
    set: Set,
    test: Test,
    is_negated: bool,
    if_exists: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// Single-valued key.
    Single,
    ForAnyValue,
    ForAllValues,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Equals,
    EqualsIgnoreCase,
    Like,
    Numeric(Comparison),
    Date(Comparison),
    Bool,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    fn parse(name: &str) -> Option<Self> {
        let (set, name) = match name.split_once(':') {
            None => (Set::Single, name),
            Some(("ForAnyValue", name)) => (Set::ForAnyValue, name),
            Some(("ForAllValues", name)) => (Set::ForAllValues, name),
            Some(_) => return None,
        };
        let (name, if_exists) =
            name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let compared = |name: &str| {
            Some(match name {
                "Equals" => (Comparison::Equal, false),
                "NotEquals" => (Comparison::Equal, true),
                "LessThan" => (Comparison::Less, false),
                "LessThanEquals" => (Comparison::LessOrEqual, false),
                "GreaterThan" => (Comparison::Greater, false),
                "GreaterThanEquals" => (Comparison::GreaterOrEqual, false),
                _ => return None,
            })
        };
        let (test, is_negated) = match name {
            "StringEquals" => (Test::Equals, false),
            "StringNotEquals" => (Test::Equals, true),
            "StringEqualsIgnoreCase" => (Test::EqualsIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Test::EqualsIgnoreCase, true),
            // Both kinds of ARN operators accept wildcards.
            "StringLike" | "ArnLike" | "ArnEquals" => (Test::Like, false),
            "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (Test::Like, true),
            "Bool" => (Test::Bool, false),
            "Null" => (Test::Null, false),
            _ => {
                if let Some(rest) = name.strip_prefix("Numeric") {
                    let (comparison, is_negated) = compared(rest)?;
                    (Test::Numeric(comparison), is_negated)
                } else {
                    let (comparison, is_negated) = compared(name.strip_prefix("Date")?)?;
                    (Test::Date(comparison), is_negated)
                }
            }
        };
        Some(Self { set, test, is_negated, if_exists })
    }

    fn holds(self, known: &Known, tested: &[String]) -> bool {
        let own = match known {
            Known::NotUnderstood => return false,
            Known::Absent if self.test == Test::Null => return is_among(tested, "true"),
            Known::Absent => {
                // ForAnyValue with a negated operator needs a value that meets it.
                let is_met = self.is_negated && self.set == Set::Single;
                return is_met || self.if_exists || self.set == Set::ForAllValues;
            }
            Known::Values(_) if self.test == Test::Null => return is_among(tested, "false"),
            Known::Values(own) => own,
        };
        let one = |own: &String| {
            let is_equal = tested.iter().any(|tested| self.test.holds(own, tested));
            is_equal != self.is_negated
        };
        match self.set {
            Set::Single | Set::ForAllValues => own.iter().all(one),
            Set::ForAnyValue => own.iter().any(one),
        }
    }
}

impl Test {
    fn holds(self, own: &str, tested: &str) -> bool {
        match self {
            Self::Equals => own == tested,
            Self::EqualsIgnoreCase => own.to_lowercase() == tested.to_lowercase(),
            Self::Like => WildMatch::new(tested).matches(own),
            Self::Bool => own.eq_ignore_ascii_case(tested),
            Self::Numeric(comparison) => {
                let numbers = (own.parse::<f64>(), tested.parse::<f64>());
                let (Ok(own), Ok(tested)) = numbers else { return false };
                own.partial_cmp(&tested).is_some_and(|order| comparison.holds(order))
            }
            Self::Date(comparison) => {
                let (Some(own), Some(tested)) = (moment(own), moment(tested)) else { return false };
                comparison.holds(own.cmp(&tested))
            }
            // The presence of the key has been checked before.
            Self::Null => false,
        }
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

fn is_among(values: &[String], wanted: &str) -> bool {
    values.iter().any(|value| value.eq_ignore_ascii_case(wanted))
}

/// Timestamp, written as a date or in seconds since 1970.
fn moment(text: &str) -> Option<Timestamp> {
    let seconds = || Timestamp::from_second(text.parse().ok()?).ok();
    text.parse().ok().or_else(seconds)
}

/// Value of a condition as text, with policy variables such as `${aws:userid}` replaced. None if a
/// variable has no single value.
fn text(value: &Value, keys: &dyn Fn(&str) -> Known) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    let mut filled = String::new();
    let mut rest = text.as_str();
    while let Some((before, variable)) = rest.split_once("${") {
        let (name, after) = variable.split_once('}')?;
        filled.push_str(before);
        match name {
            "*" | "?" | "$" => filled.push_str(name),
            name => match keys(&name.to_ascii_lowercase()) {
                Known::Values(values) if values.len() == 1 => filled.push_str(&values[0]),
                _ => return None,
            },
        }
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Known, hold};

    fn holds(condition: &str) -> bool {
        let condition: Value = serde_json::from_str(condition).expect("JSON");
        hold(&condition, &|key| match key {
            "one" => Known::one("Alice"),
            "number" => Known::one("42"),
            "date" => Known::one("2026-01-02T03:04:05Z"),
            "flag" => Known::one("true"),
            "many" => Known::Values(vec!["a".to_owned(), "b".to_owned()]),
            "absent" => Known::Absent,
            _ => Known::NotUnderstood,
        })
    }

    /// Each line is a rule of the IAM User Guide.
    #[test]
    fn operators_do_what_the_guide_says() {
        for (condition, expected) in [
            (r#"{"StringEquals":{"ONE":["Bob","Alice"]}}"#, true),
            (r#"{"StringEquals":{"one":"alice"}}"#, false),
            (r#"{"StringEqualsIgnoreCase":{"one":"alice"}}"#, true),
            (r#"{"StringNotEquals":{"one":["Bob","Alice"]}}"#, false),
            (r#"{"StringNotEquals":{"one":"Bob"}}"#, true),
            (r#"{"StringLike":{"one":"Al?c*"}}"#, true),
            (r#"{"StringNotLike":{"one":"Al?c*"}}"#, false),
            (r#"{"ArnLike":{"one":"A*"}}"#, true),
            (r#"{"NumericLessThan":{"number":"42.5"}}"#, true),
            (r#"{"NumericGreaterThanEquals":{"number":43}}"#, false),
            (r#"{"DateGreaterThan":{"date":"2025-12-31T00:00:00Z"}}"#, true),
            (r#"{"DateLessThan":{"date":"1767225600"}}"#, false),
            (r#"{"Bool":{"flag":true}}"#, true),
            (r#"{"Bool":{"flag":"false"}}"#, false),
            // Missing key.
            (r#"{"StringEquals":{"absent":"x"}}"#, false),
            (r#"{"StringNotEquals":{"absent":"x"}}"#, true),
            (r#"{"StringEqualsIfExists":{"absent":"x"}}"#, true),
            (r#"{"StringEqualsIfExists":{"one":"x"}}"#, false),
            (r#"{"Null":{"absent":"true"}}"#, true),
            (r#"{"Null":{"absent":"false"}}"#, false),
            (r#"{"Null":{"one":"false"}}"#, true),
            // Keys with several values.
            (r#"{"ForAnyValue:StringEquals":{"many":["b","c"]}}"#, true),
            (r#"{"ForAllValues:StringEquals":{"many":["b","c"]}}"#, false),
            (r#"{"ForAllValues:StringEquals":{"many":["a","b","c"]}}"#, true),
            (r#"{"ForAllValues:StringEquals":{"absent":"x"}}"#, true),
            (r#"{"ForAnyValue:StringEquals":{"absent":"x"}}"#, false),
            // All operators and keys must hold.
            (r#"{"StringEquals":{"one":"Alice","number":"1"}}"#, false),
            (r#"{"StringEquals":{"one":"Alice"},"Bool":{"flag":"true"}}"#, true),
            ("{}", true),
            // Policy variables.
            (r#"{"StringEquals":{"one":"${one}"}}"#, true),
            (r#"{"StringLike":{"one":"${absent}*"}}"#, false),
            (r#"{"StringEquals":{"one":"${*}"}}"#, false),
            // An operator or key that is not supported never matches.
            (r#"{"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}}"#, false),
            (r#"{"StringEqualsIfExists":{"aws:SourceIp":"10.0.0.1"}}"#, false),
            (r#"{"IpAddress":{"one":"10.0.0.0/8"}}"#, false),
            (r#"{"ForSomeValues:StringEquals":{"one":"Alice"}}"#, false),
        ] {
            assert_eq!(holds(condition), expected, "{condition}");
        }
    }
}
