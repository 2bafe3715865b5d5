//! Detection of names that suggest a secret, and redaction of their values in texts.
//!
//! The rule considers the words of a name: `dbPassword`, `X-Auth-Token` and `api_key` have two or
//! three each. A name suggests a secret in these cases:
//!
//! - One of its words is, or ends in, `password`, `passwd`, `passphrase`, `secret`, `token`,
//!   `credential` or one of their plurals.
//! - One of its words is `auth`, `authorization`, `bearer` or `pwd`.
//! - One of its words is `key`, or ends in it like `apikey`, unless the word before describes a key
//!   that identifies or sorts: `partition_key`, `sort-key`, `public_key`.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Minimum length in bytes of a value that is also redacted in other texts, such as errors. A
/// shorter one would match everywhere.
const MIN_RECOGNIZABLE: usize = 4;

/// Values to redact in other texts.
#[must_use]
pub fn recognizable(mut values: Vec<String>) -> Vec<String> {
    values.retain(|value| value.len() >= MIN_RECOGNIZABLE && value != HIDDEN);
    values
}

/// Replacement of a secret.
pub const HIDDEN: &str = "(secret)";

/// Word endings that suggest a secret.
const SECRET_ENDINGS: [&str; 12] = [
    "password",
    "passwords",
    "passwd",
    "passphrase",
    "passphrases",
    "passcode",
    "secret",
    "secrets",
    "token",
    "tokens",
    "credential",
    "credentials",
];
/// Words that suggest a secret.
const SECRET_WORDS: [&str; 9] =
    ["auth", "oauth", "xauth", "authorization", "bearer", "pwd", "creds", "cred", "pat"];
/// Words before `key` that describe a key that is not secret.
const PLAIN_KEYS: [&str; 25] = [
    "partition",
    "sort",
    "primary",
    "foreign",
    "hash",
    "range",
    "public",
    "pub",
    "index",
    "map",
    "tag",
    "tags",
    "group",
    "row",
    "order",
    "object",
    "item",
    "lookup",
    "unique",
    "cache",
    "s3",
    "json",
    "yaml",
    "condition",
    "context",
];
/// Prefixes of `key` in one word, such as `apikey`, that describe a secret key.
const SECRET_KEYS: [&str; 12] = [
    "api",
    "access",
    "secret",
    "private",
    "signing",
    "ssh",
    "auth",
    "encryption",
    "master",
    "app",
    "license",
    "account",
];

/// Check for a name that suggests a secret.
#[must_use]
pub fn suggests_secret(name: &str) -> bool {
    let words = words_of(name);
    words.iter().enumerate().any(|(at, word)| {
        if SECRET_ENDINGS.iter().any(|end| word.ends_with(end))
            || SECRET_WORDS.contains(&word.as_str())
        {
            return true;
        }
        let Some(before) = word.strip_suffix("keys").or_else(|| word.strip_suffix("key")) else {
            return false;
        };
        if before.is_empty() {
            let previous = at.checked_sub(1).map(|at| words[at].as_str());
            return previous.is_none_or(|word| !PLAIN_KEYS.contains(&word));
        }
        SECRET_KEYS.iter().any(|kind| before.ends_with(kind))
    })
}

/// Words of a name in lower case: `X-Auth_tokenValue` has four.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let letters: Vec<char> = name.chars().collect();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| letters[at]);
        let after = letters.get(at + 1);
        // In `APIKey` the second word begins at `K`.
        let is_hump = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if !letter.is_alphanumeric() || is_hump {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphanumeric(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Name, separator and value: in a query, a header, JSON, a connection string.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let name = r"(?P<name>[A-Za-z0-9_.-]+)";
    let between = r#"(?P<between>["']?[ \t\r\n]*[=:][ \t\r\n]*)"#;
    let value = r#"(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|(?:(?:[Bb]earer|[Bb]asic|BEARER|BASIC) +)?[^ \t\r\n&;,"'}]+)"#;
    Regex::new(&format!("{name}{between}{value}")).ok()
});
/// User name and password in a URL.
static USER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^ \t\r\n/?#]+)@").ok()
});

/// Quotation mark around a value, and the text inside.
fn inside(value: &str) -> Option<(char, &str)> {
    let quote = value.chars().next().filter(|first| ['"', '\''].contains(first))?;
    Some((quote, value.strip_prefix(quote)?.strip_suffix(quote)?))
}

/// Redacts the values of names that suggest a secret, and the user names and passwords of URLs. The
/// values are added to `found`.
fn without_named(text: &str, found: &mut Vec<String>) -> String {
    let Some((named, user)) = NAMED.as_ref().zip(USER.as_ref()) else { return HIDDEN.to_owned() };
    let text = user.replace_all(text, |user: &Captures<'_>| {
        if let Some((_, password)) = user["user"].split_once(':') {
            found.push(password.to_owned());
        }
        format!("{}{HIDDEN}@", &user["scheme"])
    });
    let text = named.replace_all(&text, |pair: &Captures<'_>| {
        let value = &pair["value"];
        // `https://…` is not a name with a value.
        if value == HIDDEN {
            return pair[0].to_owned();
        } else if let Some(rest) = value.strip_prefix("//") {
            let rest = without_named(rest, found);
            return format!("{}{}//{rest}", &pair["name"], &pair["between"]);
        } else if !suggests_secret(&pair["name"]) {
            return match inside(value) {
                Some((quote, inner)) => {
                    let inner = without_named(inner, found);
                    format!("{}{}{quote}{inner}{quote}", &pair["name"], &pair["between"])
                }
                None => pair[0].to_owned(),
            };
        }
        let plain = value.trim_matches(['"', '\'']);
        found.push(plain.rsplit(' ').next().unwrap_or(plain).to_owned());
        format!("{}{}{HIDDEN}", &pair["name"], &pair["between"])
    });
    text.into_owned()
}

/// Redacts a command line; also returns the redacted values. These are the values of options and
/// words whose names suggest a secret, after `=`, after `:` or as the next word.
#[must_use]
pub fn without_secrets(words: &[String]) -> (Vec<String>, Vec<String>) {
    let mut found = Vec::new();
    let mut is_next_hidden = false;
    let shown = words.iter().map(|word| {
        if std::mem::take(&mut is_next_hidden) && !word.starts_with("--") {
            found.push(word.clone());
            return HIDDEN.to_owned();
        }
        let is_name = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        match word.split_once('=') {
            // The whole rest of the word, which may contain any character.
            Some((name, value)) if name.chars().all(is_name) && suggests_secret(name) => {
                found.push(value.to_owned());
                format!("{name}={HIDDEN}")
            }
            None if word.chars().all(is_name) && suggests_secret(word) => {
                is_next_hidden = true;
                word.clone()
            }
            _ => without_named(word, &mut found),
        }
    });
    let shown = shown.collect();
    (shown, found)
}

/// Redacts the value of a parameter whose own name does not suggest a secret: named values in its
/// texts, and values of keys that suggest a secret.
#[must_use]
pub fn without_secrets_in(value: serde_json::Value, found: &mut Vec<String>) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => without_named(&text, found).into(),
        Value::Array(items) => {
            items.into_iter().map(|item| without_secrets_in(item, found)).collect()
        }
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) if suggests_secret(&name) => {
                    found.push(text);
                    (name, HIDDEN.into())
                }
                value => (name, without_secrets_in(value, found)),
            })
            .collect(),
        value => value,
    }
}

/// Check for Lua code with the literal of a secret: one that is assigned to, compared with, or
/// passed by a name that suggests a secret, or a URL with a password.
#[must_use]
pub fn has_secret(code: &str) -> bool {
    if code.trim_start().starts_with('.') {
        let words: Vec<_> = code.split_whitespace().map(str::to_owned).collect();
        return !without_secrets(&words).1.is_empty();
    }
    let is_text = |value: &str| value.starts_with(['"', '\'', '[']);
    let named = NAMED.as_ref().is_some_and(|named| {
        named.captures_iter(code).any(|pair| {
            let is_assigned = pair["between"].contains('=');
            let is_secret =
                suggests_secret(&pair["name"]) && (!is_assigned || is_text(&pair["value"]));
            is_secret || inside(&pair["value"]).is_some_and(|(_, inner)| has_secret(inner))
        })
    });
    let mut found = Vec::new();
    named || (code.contains("://") && without_named(code, &mut found).contains("://(secret)@"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_judged_by_its_words() {
        for name in [
            "password",
            "PASSWORD",
            "db_password",
            "dbPassword",
            "DBPASSWORD",
            "passwd",
            "token",
            "X-Auth-Token",
            "--github-token",
            "accessToken",
            "secret",
            "client_secret",
            "Secrets",
            "key",
            "api_key",
            "--API-KEY",
            "apikey",
            "APIKey",
            "secretKey",
            "ssh-key",
            "auth",
            "basic_auth",
            "authorization",
            "credential",
            "aws_credentials",
            "passphrase",
            "pwd",
            "key_value",
            "signing.key",
            "tokens",
            "kms_key_id",
        ] {
            assert!(suggests_secret(name), "{name}");
        }
        for name in [
            "partition_key",
            "sortKey",
            "primary-key",
            "public_key",
            "monkey",
            "keyboard",
            "author",
            "authors",
            "tokenizer",
            "path",
            "owner",
            "secretary",
            "hockey",
            "tag_keys",
            "turkey",
            "",
            "-",
            "--",
            "passenger",
            "keystone",
            "require",
        ] {
            assert!(!suggests_secret(name), "{name}");
        }
    }

    #[test]
    fn the_values_of_words_are_hidden() {
        let hidden = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            let (shown, found) = without_secrets(&words);
            assert!(!shown.iter().any(|word| word.contains("s3cr3t")), "{shown:?}");
            assert!(found.iter().any(|value| value.contains("s3cr3t")), "{found:?}");
            shown.join(" ")
        };
        for (words, shown) in [
            (&["--Password", "s3cr3t", "x"][..], "--Password (secret) x"),
            (&["--token=s3cr3t=="], "--token=(secret)"),
            (&["password", "s3cr3t"], "password (secret)"),
            (&["PASSWORD=s3cr3t"], "PASSWORD=(secret)"),
            (&["--api_key", "-s3cr3t"], "--api_key (secret)"),
            (&["-H", "X-Auth-Token: s3cr3t"], "-H X-Auth-Token: (secret)"),
            (&["Authorization: Bearer s3cr3t"], "Authorization: (secret)"),
            (&["https://me:s3cr3t@h/x"], "https://(secret)@h/x"),
            (&["https://h/x?token=s3cr3t"], "https://h/x?token=(secret)"),
            (&["https://h/x?a=1&token=s3cr3t&b=2"], "https://h/x?a=1&token=(secret)&b=2"),
            (&[r#"{"password": "s3cr3t", "a": 1}"#], r#"{"password": (secret), "a": 1}"#),
            (&["host=h;password=s3cr3t;port=1"], "host=h;password=(secret);port=1"),
        ] {
            assert_eq!(hidden(words), shown);
        }
        let plain = ["--path", "/ec2/", "partition_key=a", "https://h/x?a=1", "a:b", "--", "x"];
        let plain = plain.map(str::to_owned);
        assert_eq!(without_secrets(&plain), (plain.to_vec(), Vec::new()));
    }

    #[test]
    fn an_entry_with_a_secret_is_known() {
        for code in [
            "token = 's3cr3t'",
            "local dbPassword=\"s3cr3t\"",
            "f { api_key = 's3cr3t' }",
            "iam.connect { endpoint_url = 'https://me:s3cr3t@h' }",
            "x = '{\"password\": \"s3cr3t\"}'",
            ".load x.lua --password s3cr3t",
        ] {
            assert!(has_secret(code), "{code}");
        }
        for code in
            ["token = nil", "p.token == x", "key = profile.name", "for key, v in pairs(t) do"]
        {
            assert!(!has_secret(code), "{code}");
        }
    }
}
