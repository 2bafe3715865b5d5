//! Tags between the Lua surface (a table) and the SDK (a list), for every resource that has them.

use std::collections::BTreeMap;

use aws_sdk_iam::types::Tag;

use super::snapshot::{Subject, same_key};
use crate::error::{Error, Kind, Result};
use crate::spec::{Args, Param, Type, Value, is_reserved_tag};

/// The most keys in one call, by the service model.
pub const KEYS_IN_A_CALL: usize = 50;

pub const TAGS: Param =
    Param::required("tags", Type::Tags, "The tags to set; other tags are unchanged.");
pub const NEW_TAGS: Param = Param::optional("tags", Type::Tags, "Its initial tags.");
pub const KEYS: Param = Param::required("keys", Type::TagKeys, "The keys of the tags to remove.");

/// The SDK's list from an argument; `None` if it was not given or is empty.
pub fn from_args(args: &Args) -> Result<Option<Vec<Tag>>> {
    let tags = args.tags("tags").unwrap_or_default();
    let list: Result<Vec<_>> = tags
        .into_iter()
        .map(|(key, value)| {
            let built = Tag::builder().key(key).value(value).build();
            built.map_err(|cause| Error::new(Kind::Bug, "a tag without key").caused_by(cause))
        })
        .collect();
    list.map(|list| (!list.is_empty()).then_some(list))
}

/// The table of a list.
pub fn to_value(tags: Vec<Tag>) -> Value {
    Value::Map(tags.into_iter().map(|tag| (tag.key, Value::Str(tag.value))).collect())
}

/// One page of tags as a list of `{ key=, value= }`.
pub fn to_list(tags: Vec<Tag>) -> Vec<Value> {
    let record =
        |tag: Tag| Value::record([("key", Value::Str(tag.key)), ("value", Value::Str(tag.value))]);
    tags.into_iter().map(record).collect()
}

/// The table of all entries of such pages.
pub fn map_of(entries: Vec<Value>) -> Value {
    let pair = |entry: Value| {
        let key = entry.field("key").as_str()?.to_owned();
        Some((key, entry.field("value").clone()))
    };
    Value::Map(entries.into_iter().filter_map(pair).collect())
}

/// Tags to set and keys to remove to get from one set of tags to another. Without `exact`,
/// nothing is removed. A key that differs only in its case is not removed from a role: setting it
/// replaces it.
pub fn difference(
    subject: Subject,
    have: &Value,
    want: &BTreeMap<String, String>,
    exact: bool,
) -> (BTreeMap<String, Value>, Vec<Value>) {
    let set = want
        .iter()
        .filter(|(key, value)| have.field(key).as_str() != Some(value))
        .map(|(key, value)| (key.clone(), Value::Str(value.clone())))
        .collect();
    let extra = match have {
        Value::Map(have) if exact => have
            .keys()
            .filter(|key| !want.keys().any(|wanted| same_key(wanted, key, subject)))
            .filter(|key| !is_reserved_tag(key))
            .map(|key| Value::Str(key.clone()))
            .collect(),
        _ => Vec::new(),
    };
    (set, extra)
}
