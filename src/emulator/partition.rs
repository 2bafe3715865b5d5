//! Accounts of partitions other than `aws`, such as `aws-cn`. An account is stored as if it were in
//! the partition `aws`. ARNs are translated at the borders, in requests, files and answers, so that
//! actions need not know about partitions.
//!
//! The translation swaps the two partitions, so it is its own inverse. An ARN of `aws` is foreign
//! in an account of `aws-cn`, and the other way round.

use std::borrow::Cow;

use serde_json::Value;

/// Partition that needs no translation.
pub(super) const AWS: &str = "aws";
/// Known partitions: those of botocore's `partitions.json`.
pub(super) const ALL: [&str; 8] =
    [AWS, "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"];

/// Swaps the ARNs of a partition with those of `aws`, also inside percent-encoded documents.
pub(super) fn swap<'a>(text: &'a str, partition: &str) -> Cow<'a, str> {
    if partition == AWS || !text.contains("arn") {
        return Cow::Borrowed(text);
    }
    let mut swapped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("arn") {
        let (before, found) = rest.split_at(at + "arn".len());
        swapped.push_str(before);
        rest = found;
        for separator in [":", "%3A"] {
            let Some(after) = rest.strip_prefix(separator) else { continue };
            for (from, to) in [(partition, AWS), (AWS, partition)] {
                let after = after.strip_prefix(from);
                if let Some(after) = after.filter(|after| after.starts_with(separator)) {
                    swapped.push_str(separator);
                    swapped.push_str(to);
                    rest = after;
                    break;
                }
            }
        }
    }
    swapped.push_str(rest);
    Cow::Owned(swapped)
}

/// Swaps the ARNs in every string of a JSON value.
pub(super) fn swap_json(value: &mut Value, partition: &str) {
    if partition == AWS {
        return;
    }
    match value {
        Value::String(text) => *text = swap(text, partition).into_owned(),
        Value::Array(values) => {
            for value in values {
                swap_json(value, partition);
            }
        }
        Value::Object(fields) => {
            for value in fields.values_mut() {
                swap_json(value, partition);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::swap;

    #[test]
    fn two_partitions_change_places_and_nothing_else_changes() {
        for (text, swapped) in [
            ("arn:aws-cn:iam::1:role/x", "arn:aws:iam::1:role/x"),
            ("arn:aws:iam::1:role/x", "arn:aws-cn:iam::1:role/x"),
            ("arn:aws-us-gov:iam::1:role/x", "arn:aws-us-gov:iam::1:role/x"),
            (
                "{\"AWS\":\"arn:aws-cn:iam::1:root\"} arn:aws:",
                "{\"AWS\":\"arn:aws:iam::1:root\"} arn:aws-cn:",
            ),
            ("%22arn%3Aaws-cn%3Aiam%3A%3A1", "%22arn%3Aaws%3Aiam%3A%3A1"),
            ("learn: arn:aws", "learn: arn:aws"),
            ("arn:awsome:", "arn:awsome:"),
            ("", ""),
        ] {
            assert_eq!(swap(text, "aws-cn"), swapped);
            assert_eq!(swap(swapped, "aws-cn"), text);
            assert_eq!(swap(text, "aws"), text);
        }
    }
}
