//! The data that describes a function of the Lua surface: name, AWS actions, parameters with AWS's own constraints, result,
//! effect, documentation and example. It also checks arguments against that description. Nothing here calls AWS or knows Lua;
//! bindings, documentation and stubs are derived from it on the floors above.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// A value between Lua and AWS, owned, so that it can cross threads.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Num(f64),
    /// Text.
    Str(String),
    /// An array.
    List(Vec<Self>),
    /// A table with keys that are known beforehand, in order.
    Record(Vec<(&'static str, Self)>),
    /// A table with keys of the user's own, such as tags.
    Map(BTreeMap<String, Self>),
    /// One page of a listing; boxed, to keep the other values small.
    Page(Box<Page>),
    /// Several results of one function.
    Multi(Vec<Self>),
    /// Something that Lua has and AWS has not; the text names its type.
    Foreign(&'static str),
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The entries of this page.
    pub items: Vec<Value>,
    /// Where the next page starts, if there is one.
    pub marker: Option<String>,
    /// Whether there is a next page.
    pub is_truncated: bool,
}

impl Value {
    /// A record without the fields that are `Nil`.
    #[must_use]
    pub fn record<const N: usize>(fields: [(&'static str, Self); N]) -> Self {
        let is_there = |(_, value): &(&str, Self)| !matches!(value, Self::Nil);
        let mut kept = Vec::with_capacity(fields.iter().filter(|field| is_there(field)).count());
        kept.extend(fields.into_iter().filter(is_there));
        Self::Record(kept)
    }

    /// A page of a listing.
    #[must_use]
    pub fn page(items: Vec<Self>, marker: Option<String>, is_truncated: bool) -> Self {
        Self::Page(Box::new(Page { items, marker, is_truncated }))
    }

    /// Text, or `Nil`.
    pub fn text(value: Option<impl Into<String>>) -> Self {
        value.map_or(Self::Nil, |value| Self::Str(value.into()))
    }

    /// The field of a record or map; `Nil` when it is not there.
    #[must_use]
    pub fn field(&self, name: &str) -> &Self {
        const NIL: &Value = &Value::Nil;
        match self {
            Self::Record(fields) => {
                fields.iter().find(|(key, _)| *key == name).map_or(NIL, |(_, value)| value)
            }
            Self::Map(map) => map.get(name).unwrap_or(NIL),
            _ => NIL,
        }
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(text) = self { Some(text) } else { None }
    }

    /// The name that Lua gives to the type of this value.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "boolean",
            Self::Int(_) | Self::Num(_) => "number",
            Self::Str(_) => "string",
            Self::List(_) | Self::Record(_) | Self::Map(_) | Self::Page(_) | Self::Multi(_) => {
                "table"
            }
            Self::Foreign(name) => name,
        }
    }

    fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Nil | Self::Foreign(_) => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => Json::from(*value),
            Self::Num(value) => Json::from(*value),
            Self::Str(value) => Json::from(value.as_str()),
            Self::List(items) | Self::Multi(items) => items.iter().map(Self::to_json).collect(),
            Self::Page(page) => page.items.iter().map(Self::to_json).collect(),
            Self::Record(fields) => {
                fields.iter().map(|(key, value)| ((*key).to_owned(), value.to_json())).collect()
            }
            Self::Map(map) => {
                map.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()
            }
        }
    }
}

/// What a parameter takes, with AWS's limits from the service model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// The name of a profile (at most 128 characters) or role (64): `[\w+=,.@-]+`.
    Name {
        /// The most characters.
        max: usize,
    },
    /// A path: `/` or `/…/`, at most 512 printable characters.
    Path,
    /// The beginning of a path: starts with `/`, at most 512 printable characters.
    PathPrefix,
    /// Where a page starts: text from an earlier page, 1 to 320 characters.
    Marker,
    /// An ARN, 20 to 2048 characters.
    Arn,
    /// Free text of a length.
    Text {
        /// The fewest characters.
        min: usize,
        /// The most characters.
        max: usize,
    },
    /// A whole number in a range, both ends included.
    Int {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// `true` or `false`.
    Bool,
    /// Tags: a table of key = "value", at most 50, keys of 1 to 128 and values of 0 to 256 characters.
    Tags,
    /// An array of tag keys.
    TagKeys,
    /// A policy document: a table or JSON text.
    Policy,
    /// A length of time: `"90s"`, `"15m"`, `"2h"`, `"7d"`, or a number of seconds. Becomes whole milliseconds.
    Duration,
}

impl Type {
    /// The type in the notation of the Lua language server.
    #[must_use]
    pub const fn lua(self) -> &'static str {
        match self {
            Self::Name { .. }
            | Self::Path
            | Self::PathPrefix
            | Self::Marker
            | Self::Arn
            | Self::Text { .. } => "string",
            Self::Int { .. } => "integer",
            Self::Bool => "boolean",
            Self::Tags => "table<string, string>",
            Self::TagKeys => "string[]",
            Self::Policy => "string|table",
            Self::Duration => "string|number",
        }
    }

    /// The limits in words, for documentation; empty when there are none.
    #[must_use]
    pub fn limits(self) -> String {
        match self {
            Self::Name { max } => format!("1-{max} characters of `[A-Za-z0-9_+=,.@-]`"),
            Self::Path => "`/` or `/…/`, at most 512 characters".into(),
            Self::PathPrefix => "begins with `/`, at most 512 characters".into(),
            Self::Marker => "1-320 characters".into(),
            Self::Arn => "20-2048 characters".into(),
            Self::Text { min, max } => format!("{min}-{max} characters"),
            Self::Int { min, max } => format!("{min}-{max}"),
            Self::Tags => "at most 50; keys 1-128, values 0-256 characters".into(),
            Self::TagKeys => "keys of 1-128 characters".into(),
            Self::Duration => "`\"90s\"`, `\"15m\"`, `\"2h\"`, `\"7d\"` or seconds".into(),
            Self::Bool | Self::Policy => String::new(),
        }
    }

    /// Checks a value and brings it into the form that the operation takes. The error says what is wrong, without the name.
    fn check(self, value: Value) -> std::result::Result<Value, String> {
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
            (Self::Text { min, max }, Value::Str(text)) => {
                check_length(&text, min, max).map(|()| Value::Str(text))
            }
            (Self::Int { min, max }, value) => check_int(&value, min, max),
            (Self::Bool, value @ Value::Bool(_)) => Ok(value),
            (Self::Tags, value) => check_tags(value),
            (Self::TagKeys, value) => check_tag_keys(value),
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
            _ => "a string",
        }
    }
}

/// A character that AWS allows in names: `[\w+=,.@-]`.
#[must_use]
pub fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)
}

fn check_length(text: &str, min: usize, max: usize) -> std::result::Result<(), String> {
    match text.chars().count() {
        0 if min > 0 => Err("must not be empty".into()),
        n if n < min => Err(format!("has {n} character{}; the least is {min}", plural(n))),
        n if n > max => Err(format!("has {n} characters; AWS allows at most {max}")),
        _ => Ok(()),
    }
}

/// `"s"` unless there is one.
#[must_use]
pub const fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

fn check_name(text: &str, max: usize) -> std::result::Result<(), String> {
    check_length(text, 1, max)?;
    let Some(bad) = text.chars().find(|c| !is_name_char(*c)) else { return Ok(()) };
    let mut message =
        format!("may have only letters, digits and _+=,.@- (AWS's rule), but {text:?} has {bad:?}");
    if bad == '/' {
        message.push_str("; a path is not part of the name");
    }
    Err(message)
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

fn is_tag_char(c: char) -> bool {
    // The model's class is `[\p{L}\p{Z}\p{N}_.:/=+\-@]`; these two methods are those categories, marks aside.
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

fn check_tag_key(key: &str) -> std::result::Result<(), String> {
    check_length(key, 1, 128).map_err(|why| format!("key {key:?} {why}"))?;
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

/// A length of time in seconds from text such as `250ms`, `90s`, `15m`, `2h`, `7d`, `2w` or `1h30m`.
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

/// A parameter of a function.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name in Lua, `snake_case`.
    pub name: &'static str,
    /// What it takes.
    pub ty: Type,
    /// Whether a call must give it.
    pub required: bool,
    /// One sentence about it.
    pub doc: &'static str,
}

impl Param {
    /// A parameter that a call must give.
    #[must_use]
    pub const fn required(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self { name, ty, required: true, doc }
    }

    /// A parameter that may be left out.
    #[must_use]
    pub const fn optional(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self { name, ty, required: false, doc }
    }
}

/// A field of a record that functions return.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in Lua.
    pub name: &'static str,
    /// Its type in the notation of the Lua language server.
    pub ty: &'static str,
    /// One sentence about it.
    pub doc: &'static str,
}

/// A kind of table that functions return.
#[derive(Debug)]
pub struct Record {
    /// Its name in documentation and stubs.
    pub name: &'static str,
    /// One sentence about it.
    pub doc: &'static str,
    /// Its fields in order.
    pub fields: &'static [Field],
}

/// What a function returns.
#[derive(Clone, Copy, Debug)]
pub enum Returns {
    /// Nothing.
    Nothing,
    /// One record.
    One(&'static Record),
    /// One record, or nil.
    Maybe(&'static Record),
    /// An array of records, all pages of it.
    All(&'static Record),
    /// One page of records.
    Page(&'static Record),
    /// An iterator over records.
    Each(&'static Record),
    /// An iterator over pages of records.
    Pages(&'static Record),
    /// A table of text by text: tags.
    Tags,
    /// One page of tags.
    TagPage,
    /// A record and an array that names what changed.
    Ensured(&'static Record),
    /// Another `iam`.
    Module,
}

/// An AWS service that an action belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// AWS Identity and Access Management.
    Iam,
    /// AWS Security Token Service.
    Sts,
}

impl Service {
    /// The prefix of the service's actions in IAM policies.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Iam => "iam",
            Self::Sts => "sts",
        }
    }
}

/// An AWS API action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Action {
    /// The service.
    pub service: Service,
    /// The action's name, such as `TagInstanceProfile`.
    pub name: &'static str,
}

impl Action {
    /// An IAM action.
    #[must_use]
    pub const fn iam(name: &'static str) -> Self {
        Self { service: Service::Iam, name }
    }

    /// An STS action.
    #[must_use]
    pub const fn sts(name: &'static str) -> Self {
        Self { service: Service::Sts, name }
    }

    /// The page of AWS's API reference.
    #[must_use]
    pub fn reference(self) -> String {
        let book = match self.service {
            Service::Iam => "IAM/latest/APIReference",
            Service::Sts => "STS/latest/APIReference",
        };
        format!("https://docs.aws.amazon.com/{book}/API_{}.html", self.name)
    }
}

/// Whether a function can change the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only reads.
    Read,
    /// It can change the account.
    Write,
}

/// A function of the Lua surface.
#[derive(Debug)]
pub struct Function {
    /// The table below `iam` that it lives in: `profiles`, `roles`, or `""` for `iam` itself.
    pub module: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// The AWS actions that it may call, the main one first.
    pub actions: &'static [Action],
    /// Whether it can change the account.
    pub effect: Effect,
    /// Its parameters.
    pub params: &'static [Param],
    /// The parameters that can be given by position, in order; the rest go in a table after them.
    pub positional: &'static [&'static str],
    /// What it returns.
    pub returns: Returns,
    /// What it does, in one sentence.
    pub doc: &'static str,
    /// What else is worth knowing: limits, errors, consequences. May be empty.
    pub long: &'static str,
    /// A piece of Lua that runs on the example account.
    pub example: &'static str,
}

impl Function {
    /// The name in a manifest's allow-list and in messages, such as `profiles.tag`.
    #[must_use]
    pub fn path(&self) -> String {
        if self.module.is_empty() {
            self.name.to_owned()
        } else {
            format!("{}.{}", self.module, self.name)
        }
    }

    /// The name that a script calls, such as `iam.profiles.tag`.
    #[must_use]
    pub fn lua_name(&self) -> String {
        format!("iam.{}", self.path())
    }

    /// How a call looks, such as `iam.profiles.tag(name, tags)`.
    #[must_use]
    pub fn signature(&self) -> String {
        let rest: Vec<_> = self
            .params
            .iter()
            .filter(|param| !self.positional.contains(&param.name))
            .map(|param| format!("{}=", param.name))
            .collect();
        let name = self.lua_name();
        match (self.positional.is_empty(), rest.is_empty()) {
            (true, true) => format!("{name}()"),
            (true, false) => format!("{name} {{ {} }}", rest.join(", ")),
            (false, true) => format!("{name}({})", self.positional.join(", ")),
            (false, false) => {
                format!("{name}({}, {{ {} }})", self.positional.join(", "), rest.join(", "))
            }
        }
    }

    /// The parameter of that name.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&'static Param> {
        self.params.iter().find(|param| param.name == name)
    }

    /// Checks the arguments of a call.
    ///
    /// # Errors
    /// An argument error that names the function and the parameter: an unknown one (with the nearest known), a missing one, one of the wrong type
    /// or outside of AWS's limits.
    pub fn check(&self, given: Vec<(String, Value)>) -> Result<Args> {
        let fail = |why: String| {
            Error::argument(format!("{}: {why}", self.lua_name()))
                .hint(format!("it is called as {}", self.signature()))
        };
        let mut args = Args::default();
        for (name, value) in given {
            if value == Value::Nil {
                continue;
            }
            let Some(param) = self.param(&name) else {
                let known = self.params.iter().map(|param| param.name);
                let mut why = format!("there is no parameter {name:?}");
                if let Some(near) = nearest(&name, known) {
                    why = format!("{why}; did you mean {near:?}?");
                }
                return Err(fail(why));
            };
            let value = param.ty.check(value).map_err(|why| fail(format!("{name} {why}")))?;
            args.0.push((param.name, value));
        }
        for param in self.params.iter().filter(|param| param.required) {
            if !args.has(param.name) {
                return Err(fail(format!("{} is missing", param.name)));
            }
        }
        Ok(args)
    }
}

/// The known word nearest to a mistyped one, if one is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            *distance <= 1 + candidate.len().min(word.len()) / 4 || candidate.starts_with(&word)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The arguments of a call, checked by [`Function::check`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args(Vec<(&'static str, Value)>);

impl Args {
    /// Arguments built inside the program, where the names are known to be right.
    #[must_use]
    pub fn of(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        Self(pairs.into_iter().filter(|(_, value)| *value != Value::Nil).collect())
    }

    /// Whether the call gave that one.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| *key == name)
    }

    /// The argument, if it was given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The text of an argument, if it was given.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).and_then(Value::as_str).map(str::to_owned)
    }

    /// A whole number, if it was given.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        if let Some(Value::Int(n)) = self.get(name) { Some(*n) } else { None }
    }

    /// `true` if it was given as `true`.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.get(name) == Some(&Value::Bool(true))
    }

    /// Tags in key order, if they were given.
    #[must_use]
    pub fn tags(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let Some(Value::Map(map)) = self.get(name) else { return None };
        Some(
            map.iter()
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
        )
    }

    /// An array of text; empty if it was not given.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Some(Value::List(items)) => {
                items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Sets an argument, in place of one of the same name.
    pub fn set(&mut self, name: &'static str, value: Value) {
        self.0.retain(|(key, _)| *key != name);
        self.0.push((name, value));
    }

    /// Takes an argument out.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(key, _)| *key == name)?;
        Some(self.0.remove(at).1)
    }
}
