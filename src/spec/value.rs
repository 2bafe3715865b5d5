//! Values between Lua and AWS, and the arguments of a call that are made of them.

use std::collections::BTreeMap;

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
    /// Start of the next page, if there is one.
    pub marker: Option<String>,
    /// True if there is a next page.
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

    /// The value as JSON; what Lua has and AWS has not becomes null.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
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

impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::Nil,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Self::Int(number),
                None => Self::Num(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Str(text.clone()),
            Json::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Json::Object(map) => {
                Self::Map(map.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect())
            }
        }
    }
}

/// The arguments of a call, checked by [`super::Function::check`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Args(Vec<(&'static str, Value)>);

impl Args {
    /// Arguments built inside the program, where the names are known to be right.
    #[must_use]
    pub fn of(pairs: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        Self(pairs.into_iter().filter(|(_, value)| *value != Value::Nil).collect())
    }

    /// The arguments as a JSON object.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.0.iter().map(|(name, value)| ((*name).to_owned(), value.to_json())).collect()
    }

    /// Check for an argument of the call.
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
