//! Check that an argument is what its parameter takes: AWS's own limits, checked before anything is
//! sent.

use std::collections::BTreeMap;

use super::{Type, Value};

impl Type {
    /// Checks a value and brings it into the form that the operation takes. The error says what is
    /// wrong, without the name.
    pub(crate) fn check(self, value: Value) -> std::result::Result<Value, String> {
        match (self, value) {
            (Self::Name { max }, Value::Str(text)) => {
                check_name(&text, max).map(|()| Value::Str(text))
            }
            (Self::Path, Value::Str(text)) => {
                check_path(&text)?;
                if text.ends_with('/') {
                    Ok(Value::Str(text))
                } else {
                    Err(format!("must begin and end with \"/\"; did you mean \"{text}/\"?"))
                }
            }
            (Self::PathPrefix, Value::Str(text)) => check_path(&text).map(|()| Value::Str(text)),
            (Self::Marker, Value::Str(text)) => {
                check_length(&text, 1, 320).map(|()| Value::Str(text))
            }
            (Self::Arn, Value::Str(text)) => {
                check_length(&text, 20, 2048)?;
                if text.starts_with("arn:") {
                    Ok(Value::Str(text))
                } else {
                    Err(format!(
                        "must be an ARN such as \"arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess\", got {text:?}"
                    ))
                }
            }
            (Self::RoleArn, Value::Str(text)) => check_role_arn(&text).map(|()| Value::Str(text)),
            (Self::PolicyArn, Value::Str(text)) => {
                check_policy_arn(&text).map(|()| Value::Str(text))
            }
            (Self::PolicyArns, value) => check_policy_arns(value),
            (Self::Text { min, max }, Value::Str(text)) => {
                check_length(&text, min, max).map(|()| Value::Str(text))
            }
            (Self::Int { min, max }, value) => check_int(&value, min, max),
            (Self::Bool, value @ Value::Bool(_)) => Ok(value),
            (Self::Tags, value) => check_tags(value),
            (Self::TagKeys, value) => check_tag_keys(value),
            (Self::Texts, value) => check_texts(value),
            (Self::Policy, Value::Str(text)) => Ok(Value::Str(text)),
            (Self::Policy, value @ (Value::List(_) | Value::Map(_))) => {
                Ok(Value::Str(value.to_json().to_string()))
            }
            (Self::Duration, value) => check_duration(&value),
            (_, value) => Err(format!("must be {}, got {}", self.article(), value.type_name())),
        }
    }

    const fn article(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Policy => "a table or JSON text",
            Self::Texts => "a string or an array of strings",
            _ => "a string",
        }
    }
}

/// A character that AWS allows in names: `[\w+=,.@-]`.
fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)
}

fn check_length(text: &str, min: usize, max: usize) -> std::result::Result<(), String> {
    match text.chars().count() {
        0 if min > 0 => Err("must not be empty".into()),
        n if n < min => Err(format!("has only {n}; the least is {min} characters")),
        n if n > max => Err(format!("has {n} characters; AWS allows at most {max}")),
        _ => Ok(()),
    }
}

fn check_name(text: &str, max: usize) -> std::result::Result<(), String> {
    check_length(text, 1, max)?;
    let Some(bad) = text.chars().find(|c| !is_name_char(*c)) else { return Ok(()) };
    if text.starts_with("arn:") {
        let name = text.rsplit(['/', ':']).next().unwrap_or_default();
        return Err(format!("must be a name and not an ARN, got {text:?}; write {name:?}"));
    }
    let mut message =
        format!("may have only letters, digits and _+=,.@- (AWS's rule), but {text:?} has {bad:?}");
    if bad == '/' {
        message.push_str("; a path is not part of the name");
    }
    Err(message)
}

/// Check for the partition of an ARN: `aws`, or `aws-` with the name of another.
fn is_partition(text: &str) -> bool {
    let is_name = |rest: &str| {
        let is_part = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        !rest.is_empty() && rest.bytes().all(is_part)
    };
    text == "aws" || text.strip_prefix("aws-").is_some_and(is_name)
}

/// Check for the id of an account.
fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit())
}

/// The check of a role's ARN: `arn:PARTITION:iam::ACCOUNT:role/NAME`, with or without a path before
/// the name. Every place that takes such an ARN calls it, so that a mistyped one reaches no call.
///
/// # Errors
/// A sentence that says what it must be, without the name of the argument.
pub fn check_role_arn(text: &str) -> std::result::Result<(), String> {
    let mistake = |what: &str| {
        Err(format!(
            "must be the ARN of a role, such as \"arn:aws:iam::123456789012:role/deploy\", got \
             {text:?}{what}"
        ))
    };
    let mut parts = text.splitn(6, ':');
    let mut part = || parts.next().unwrap_or_default();
    let (arn, partition, service, region, account, resource) =
        (part(), part(), part(), part(), part(), part());
    if arn != "arn" {
        return mistake("; a name alone does not say in which account the role is");
    }
    if service == "sts" && resource.starts_with("assumed-role/") {
        return mistake(", which is a session of a role: name the role itself");
    }
    if resource.starts_with("instance-profile/") {
        return mistake(", which is an instance profile: name the role in it");
    }
    let Some(path) = resource.strip_prefix("role/") else { return mistake("") };
    if !is_partition(partition) || service != "iam" || !region.is_empty() {
        return mistake("");
    }
    if !is_account(account) {
        return mistake(", and an account has 12 digits");
    }
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    if folders.len() > 510 || !folders.bytes().all(|c| (b'!'..=b'~').contains(&c)) {
        return mistake(", and that is no path");
    }
    check_name(name, 64).map_err(|why| format!("must be the ARN of a role, whose name {why}"))
}

/// The ARN of a managed policy: partition and account as AWS has them, path and name by the
/// patterns `policyPathType` and `policyNameType` of the service model.
fn check_policy_arn(text: &str) -> std::result::Result<(), String> {
    check_length(text, 20, 2048)?;
    let wrong = || {
        format!(
            "must be the ARN of a policy such as \
             \"arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess\", got {text:?}"
        )
    };
    let mut parts = text.splitn(6, ':');
    let mut part = || parts.next().unwrap_or_default();
    let (arn, partition, service) = (part(), part(), part());
    let (region, account, resource) = (part(), part(), part());
    let is_owner = account == "aws" || is_account(account);
    let is_of_iam = service == "iam" && region.is_empty() && is_owner;
    let path_and_name = resource
        .strip_prefix("policy/")
        .filter(|_| arn == "arn" && is_partition(partition) && is_of_iam);
    let Some(path_and_name) = path_and_name else { return Err(wrong()) };
    if let Some(bad) = path_and_name.chars().find(|c| !is_name_char(*c) && *c != '/') {
        return Err(format!("{text:?} has {bad:?}, which no ARN of a policy has"));
    }
    let (path, name) = path_and_name.rsplit_once('/').unwrap_or(("", path_and_name));
    if name.is_empty() || path_and_name.starts_with('/') || path.contains("//") {
        return Err(wrong());
    }
    check_length(name, 1, 128).map_err(|why| format!("{text:?}: the name of the policy {why}"))
}

fn check_policy_arns(value: Value) -> std::result::Result<Value, String> {
    let items = match value {
        Value::List(items) => items,
        Value::Map(map) if map.is_empty() => Vec::new(),
        Value::Str(arn) => return Err(format!("must be an array of ARNs; write {{ {arn:?} }}")),
        other => return Err(format!("must be an array of ARNs, got {}", other.type_name())),
    };
    for item in &items {
        match item {
            Value::Str(arn) => check_policy_arn(arn)?,
            other => {
                return Err(format!("must be an array of ARNs, got a {} in it", other.type_name()));
            }
        }
    }
    Ok(Value::List(items))
}

fn check_path(text: &str) -> std::result::Result<(), String> {
    check_length(text, 1, 512)?;
    if !text.starts_with('/') {
        return Err(format!("must begin with \"/\"; did you mean \"/{text}\"?"));
    }
    match text.chars().find(|c| !('\u{21}'..='\u{7e}').contains(c)) {
        Some(bad) => Err(format!("may have only printable ASCII characters, but it has {bad:?}")),
        None => Ok(()),
    }
}

fn check_int(value: &Value, min: i64, max: i64) -> std::result::Result<Value, String> {
    match value {
        Value::Int(n) if (min..=max).contains(n) => Ok(Value::Int(*n)),
        Value::Int(n) => Err(format!("must be from {min} to {max}, got {n}")),
        Value::Num(n) => Err(format!("must be a whole number, got {n}")),
        other => Err(format!("must be a whole number, got {}", other.type_name())),
    }
}

fn check_texts(value: Value) -> std::result::Result<Value, String> {
    let list = match value {
        Value::Str(_) => vec![value],
        Value::List(list) => list,
        other => {
            return Err(format!("must be {}, got {}", Type::Texts.article(), other.type_name()));
        }
    };
    if list.is_empty() {
        return Err("must not be empty: leave it out for all".into());
    }
    match list.iter().find(|item| item.as_str().is_none_or(str::is_empty)) {
        Some(Value::Str(_)) => Err("has an empty text in it".into()),
        Some(other) => {
            Err(format!("must have only strings in it, but it has {}", other.type_name()))
        }
        None => Ok(Value::List(list)),
    }
}

fn is_tag_char(c: char) -> bool {
    // The model's class is `[\p{L}\p{Z}\p{N}_.:/=+\-@]`; these two methods are those categories,
    // marks aside.
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

/// Check for a tag of AWS's own: it can be read, but AWS lets nobody set or remove it. The prefix
/// is reserved in any case (AWS General Reference, "Tag naming limits and requirements").
#[must_use]
pub fn is_reserved_tag(key: &str) -> bool {
    key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"))
}

fn check_tag_key(key: &str) -> std::result::Result<(), String> {
    check_length(key, 1, 128).map_err(|why| format!("key {key:?} {why}"))?;
    if is_reserved_tag(key) {
        return Err(format!(
            "key {key:?} is reserved: tags whose keys begin with \"aws:\" can be read, but only \
             AWS sets and removes them"
        ));
    }
    match key.chars().find(|c| !is_tag_char(*c)) {
        Some(bad) => {
            Err(format!("key {key:?} has {bad:?}; AWS allows letters, digits, spaces and _.:/=+-@"))
        }
        None => Ok(()),
    }
}

fn check_tags(value: Value) -> std::result::Result<Value, String> {
    let map = match value {
        Value::Map(map) => map,
        Value::List(items) if items.is_empty() => BTreeMap::new(),
        Value::List(_) => {
            return Err(
                "must be a table of Key = \"value\", got an array; write { Owner = \"ops\" }"
                    .into(),
            );
        }
        other => {
            return Err(format!("must be a table of Key = \"value\", got {}", other.type_name()));
        }
    };
    if map.len() > 50 {
        return Err(format!("has {} tags; AWS allows at most 50 on one resource", map.len()));
    }
    for (key, value) in &map {
        check_tag_key(key)?;
        let text = match value {
            Value::Str(text) => text,
            Value::Int(n) => {
                return Err(format!("value of {key:?} must be a string; write \"{n}\""));
            }
            other => {
                return Err(format!(
                    "value of {key:?} must be a string, got {}",
                    other.type_name()
                ));
            }
        };
        check_length(text, 0, 256).map_err(|why| format!("value of {key:?} {why}"))?;
        if let Some(bad) = text.chars().find(|c| !is_tag_char(*c)) {
            return Err(format!(
                "value of {key:?} has {bad:?}; AWS allows letters, digits, spaces and _.:/=+-@"
            ));
        }
    }
    Ok(Value::Map(map))
}

fn check_tag_keys(value: Value) -> std::result::Result<Value, String> {
    let items = match value {
        Value::List(items) => items,
        Value::Map(_) => {
            return Err("must be an array of keys; write { \"Owner\", \"Team\" }".into());
        }
        Value::Str(key) => return Err(format!("must be an array of keys; write {{ {key:?} }}")),
        other => return Err(format!("must be an array of keys, got {}", other.type_name())),
    };
    if items.is_empty() {
        return Err("must name at least one key".into());
    }
    for item in &items {
        match item {
            Value::Str(key) => check_tag_key(key)?,
            other => {
                return Err(format!(
                    "must be an array of strings, got a {} in it",
                    other.type_name()
                ));
            }
        }
    }
    Ok(Value::List(items))
}

fn check_duration(value: &Value) -> std::result::Result<Value, String> {
    #[allow(clippy::cast_possible_truncation, reason = "range-checked first")]
    let millis = |seconds: f64| match seconds {
        s if s.is_finite() && (0.0..=1e12).contains(&s) => {
            Ok(Value::Int((s * 1000.0).round() as i64))
        }
        _ => Err("must not be negative or endless".to_owned()),
    };
    match value {
        #[allow(clippy::cast_precision_loss, reason = "range-checked by `millis`")]
        Value::Int(n) => millis(*n as f64),
        Value::Num(n) => millis(*n),
        Value::Str(text) => millis(parse_duration(text)?),
        other => Err(format!("must be a duration such as \"90s\", got {}", other.type_name())),
    }
}

/// A length of time in seconds from text such as `250ms`, `90s`, `15m`, `2h`, `7d`, `2w` or
/// `1h30m`.
///
/// # Errors
/// A sentence that says what the text should look like.
pub fn parse_duration(text: &str) -> std::result::Result<f64, String> {
    let wrong =
        || format!("must be a duration such as \"90s\", \"15m\", \"2h\" or \"7d\", got {text:?}");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            _ => return Err(wrong()),
        };
        total += number * unit;
        rest = &rest[letters..];
    }
    Ok(total)
}
