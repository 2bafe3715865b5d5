//! Conversion of values between Lua and Rust: arguments, results, errors and JSON.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fmt;

use mlua::{Lua, MultiValue, Table, Value as LuaValue, ffi};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::budget::Walk;
use crate::error::{AwsDetail, Error, Kind, Result};
use crate::spec::Value;

/// Maximum nesting of tables, deeper than any document of AWS.
const MAX_NESTING: usize = 100;
/// Maximum number of values in the arguments of a call, more than any AWS call takes.
const MAX_VALUES: usize = 100_000;
/// Maximum size of the texts in the arguments of a call, in bytes.
const MAX_TEXT: usize = 16 << 20;

/// Remaining limits for the arguments of a call, and the enclosing tables.
struct Remaining {
    values: usize,
    text: usize,
    open: Vec<*const c_void>,
}

/// Registry key of the metatable that marks errors, set by the prelude.
pub const ERROR_META: &str = "iamlua.error";
/// Registry key of the metatable that marks a table as a JSON array, even if empty.
pub const ARRAY_META: &str = "iamlua.array";
/// Registry key of `json.null`.
pub const NULL: &str = "iamlua.null";

/// Result as Lua values; only [`Value::Multi`] yields more than one.
pub fn to_lua_multi(lua: &Lua, value: &Value) -> mlua::Result<MultiValue> {
    match value {
        Value::Multi(values) => values.iter().map(|value| to_lua(lua, value)).collect(),
        one => Ok(MultiValue::from_iter([to_lua(lua, one)?])),
    }
}

/// Value as a Lua value.
///
/// Builds the value on the Lua stack in one protected call, instead of one for each field, because
/// pages of a thousand profiles pass here.
pub fn to_lua(lua: &Lua, value: &Value) -> mlua::Result<LuaValue> {
    // SAFETY: `push` leaves exactly one value on the stack. Lua may leave it by a long jump when
    // memory runs out, which is sound because neither `push` nor this closure owns anything: they
    // only borrow `value`, which lives in a frame outside of the protected call.
    #[allow(unsafe_code)]
    unsafe {
        lua.exec_raw((), |state| push_all(state, value))
    }
}

/// Maximum number of shared fields; a profile and its role have fewer.
const MAX_FIELDS: usize = 24;

/// Lua strings that the records of a listing share: the names of their fields, and values that
/// repeat in successive records, such as paths and trust policies. Each is created once in Lua;
/// creating it again would dominate the cost. They stay on the Lua stack.
struct SharedStrings<'a> {
    /// Stack index of the first one.
    base: i32,
    fields: [LastField<'a>; MAX_FIELDS],
    count: usize,
}

#[derive(Clone, Copy)]
struct LastField<'a> {
    /// Nesting depth of the record that has the field.
    depth: u8,
    name: &'static str,
    last: Option<&'a str>,
}

impl<'a> SharedStrings<'a> {
    fn new(base: i32) -> Self {
        Self { base, fields: [LastField { depth: 0, name: "", last: None }; MAX_FIELDS], count: 0 }
    }

    /// Pushes the name of a field; returns its slot, if it has one.
    ///
    /// # Safety
    /// As [`push`].
    #[allow(unsafe_code)]
    unsafe fn push_name(
        &mut self,
        state: *mut ffi::lua_State,
        depth: u8,
        name: &'static str,
    ) -> Option<usize> {
        let is_same =
            |field: &LastField<'_>| field.depth == depth && std::ptr::eq(field.name, name);
        let place = self.fields[..self.count].iter().position(is_same);
        // SAFETY: the slots from `base` on were filled by `push_all`, two for each field.
        unsafe {
            if let Some(place) = place {
                ffi::lua_pushvalue(state, self.slot(place));
                return Some(place);
            }
            push_text(state, name);
            if self.count == MAX_FIELDS {
                return None;
            }
            self.fields[self.count] = LastField { depth, name, last: None };
            ffi::lua_copy(state, -1, self.slot(self.count));
            self.count += 1;
            Some(self.count - 1)
        }
    }

    /// Pushes the value of the field in a slot.
    ///
    /// # Safety
    /// As [`push`].
    #[allow(unsafe_code)]
    unsafe fn push_text(&mut self, state: *mut ffi::lua_State, place: usize, text: &'a str) {
        // SAFETY: as in `push_name`.
        unsafe {
            if self.fields[place].last == Some(text) {
                ffi::lua_pushvalue(state, self.slot(place) + 1);
            } else {
                push_text(state, text);
                ffi::lua_copy(state, -1, self.slot(place) + 1);
                self.fields[place].last = Some(text);
            }
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "there are few")]
    fn slot(&self, place: usize) -> i32 {
        self.base + 1 + 2 * place as i32
    }
}

/// Pushes a value, with the shared strings of its records below it while they are needed.
///
/// # Safety
/// Must run in a protected call of the VM whose state it gets.
#[allow(unsafe_code)]
unsafe fn push_all(state: *mut ffi::lua_State, value: &Value) {
    // SAFETY: the slots are asked for; what is left at the end is the one value.
    unsafe {
        let base = ffi::lua_gettop(state);
        let slots = if matches!(value, Value::Page(_)) { 2 * MAX_FIELDS } else { 0 };
        ffi::luaL_checkstack(state, size_hint(slots) + 4, std::ptr::null());
        ffi::lua_settop(state, base + size_hint(slots));
        let mut common = SharedStrings::new(base);
        push(state, value, if slots > 0 { Some(&mut common) } else { None }, 0);
        if slots > 0 {
            ffi::lua_replace(state, base + 1);
            ffi::lua_settop(state, base + 1);
        }
    }
}

/// Pushes a value. Owns nothing that would have to be dropped.
///
/// # Safety
/// Must run in a protected call of the VM whose state it gets.
#[allow(unsafe_code)]
unsafe fn push<'a>(
    state: *mut ffi::lua_State,
    value: &'a Value,
    mut common: Option<&mut SharedStrings<'a>>,
    depth: u8,
) {
    // SAFETY: four slots are asked for at each level, which is what a level uses; lengths fit
    // because the values fit in memory.
    unsafe {
        ffi::luaL_checkstack(state, 4, std::ptr::null());
        match value {
            Value::Nil | Value::Foreign(_) => ffi::lua_pushnil(state),
            Value::Bool(value) => ffi::lua_pushboolean(state, (*value).into()),
            Value::Int(value) => ffi::lua_pushinteger(state, *value),
            Value::Num(value) => ffi::lua_pushnumber(state, *value),
            Value::Str(text) => push_text(state, text),
            Value::List(items) | Value::Multi(items) => push_array(state, items, 0, common, depth),
            Value::Record(fields) => {
                ffi::lua_createtable(state, 0, size_hint(fields.len()));
                for (name, value) in fields {
                    let place = if let Some(common) = common.as_deref_mut() {
                        common.push_name(state, depth, name)
                    } else {
                        push_text(state, name);
                        None
                    };
                    match (value, common.as_deref_mut(), place) {
                        (Value::Str(text), Some(common), Some(place)) => {
                            common.push_text(state, place, text);
                        }
                        (value, common, _) => push(state, value, common, depth + 1),
                    }
                    ffi::lua_rawset(state, -3);
                }
            }
            Value::Map(map) => {
                ffi::lua_createtable(state, 0, size_hint(map.len()));
                for (key, value) in map {
                    push_text(state, key);
                    push(state, value, None, depth + 1);
                    ffi::lua_rawset(state, -3);
                }
            }
            Value::Page(page) => {
                push_array(state, &page.items, 2, common, depth);
                push_text(state, "is_truncated");
                ffi::lua_pushboolean(state, page.is_truncated.into());
                ffi::lua_rawset(state, -3);
                if let Some(marker) = &page.marker {
                    push_text(state, "marker");
                    push_text(state, marker);
                    ffi::lua_rawset(state, -3);
                }
            }
        }
    }
}

/// # Safety
/// As [`push`].
#[allow(unsafe_code)]
unsafe fn push_text(state: *mut ffi::lua_State, text: &str) {
    // SAFETY: pointer and length are those of a string slice; Lua copies it.
    unsafe { ffi::lua_pushlstring(state, text.as_ptr().cast(), text.len()) };
}

/// # Safety
/// As [`push`].
#[allow(unsafe_code)]
unsafe fn push_array<'a>(
    state: *mut ffi::lua_State,
    items: &'a [Value],
    fields: i32,
    mut common: Option<&mut SharedStrings<'a>>,
    depth: u8,
) {
    // SAFETY: as in `push`.
    unsafe {
        ffi::lua_createtable(state, size_hint(items.len()), fields);
        for (at, item) in (1..).zip(items) {
            push(state, item, common.as_deref_mut(), depth);
            ffi::lua_rawseti(state, -2, at);
        }
    }
}

/// Size hint for Lua; a wrong one only costs time.
fn size_hint(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(0)
}

/// Lua value as an argument. A value that AWS cannot use becomes [`Value::Foreign`], which the
/// check that follows refuses.
pub fn from_lua(value: &LuaValue) -> Value {
    from_lua_nested(value, &mut Remaining { values: MAX_VALUES, text: MAX_TEXT, open: Vec::new() })
}

fn from_lua_nested(value: &LuaValue, remaining: &mut Remaining) -> Value {
    if remaining.open.len() > MAX_NESTING {
        return Value::Foreign("table nested too deeply");
    }
    let Some(values) = remaining.values.checked_sub(1) else {
        return Value::Foreign("table with more than 100,000 values in it");
    };
    remaining.values = values;
    match value {
        LuaValue::Nil => Value::Nil,
        LuaValue::Boolean(value) => Value::Bool(*value),
        LuaValue::Integer(value) => Value::Int(*value),
        LuaValue::Number(value) => Value::Num(*value),
        LuaValue::String(text) => match text.to_str() {
            Ok(text) => match remaining.text.checked_sub(text.len()) {
                Some(rest) => {
                    remaining.text = rest;
                    Value::Str(text.to_owned())
                }
                None => Value::Foreign("value with more than 16 MiB of text"),
            },
            Err(_) => Value::Foreign("string that is not UTF-8"),
        },
        LuaValue::Table(table) => {
            if remaining.open.contains(&table.to_pointer()) {
                return Value::Foreign("table that holds itself");
            }
            remaining.open.push(table.to_pointer());
            let value = from_table(table, remaining);
            remaining.open.pop();
            value
        }
        LuaValue::Function(_) => Value::Foreign("function"),
        LuaValue::Thread(_) => Value::Foreign("coroutine"),
        _ => Value::Foreign("userdata"),
    }
}

/// Table as an argument. An invalid element is returned in place of the table, so that the rest is
/// not traversed.
fn from_table(table: &Table, remaining: &mut Remaining) -> Value {
    let length = table.raw_len();
    if length > remaining.values {
        return Value::Foreign("table with more than 100,000 values in it");
    }
    let mut map = BTreeMap::new();
    let mut items = Vec::with_capacity(length);
    for pair in table.pairs::<LuaValue, LuaValue>() {
        match pair {
            Ok((LuaValue::Integer(at), _)) if at >= 1 && at.unsigned_abs() <= length as u64 => {}
            Ok((LuaValue::String(key), value)) => {
                let Ok(key) = key.to_str() else {
                    return Value::Foreign("table with a key that is not UTF-8");
                };
                let value = match from_lua_nested(&value, remaining) {
                    Value::Foreign(what) if ends_traversal(what) => return Value::Foreign(what),
                    value => value,
                };
                map.insert(key.to_owned(), value);
            }
            _ => return Value::Foreign("table with keys that are not strings"),
        }
    }
    if length == 0 {
        return Value::Map(map);
    }
    if !map.is_empty() {
        return Value::Foreign("table that is an array and a map at once");
    }
    for at in 1..=length {
        match table.raw_get::<LuaValue>(at) {
            Ok(value) => match from_lua_nested(&value, remaining) {
                Value::Foreign(what) if ends_traversal(what) => return Value::Foreign(what),
                value => items.push(value),
            },
            Err(_) => return Value::Foreign("table"),
        }
    }
    Value::List(items)
}

/// Check for a description after which the enclosing value need not be traversed further.
fn ends_traversal(what: &str) -> bool {
    what.starts_with("table nested") || what.contains(" more than ") || what.ends_with(" itself")
}

/// Error as the table that a script catches.
pub fn error_to_lua(lua: &Lua, error: &Error) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("kind", error.kind.name())?;
    table.raw_set("message", error.message.as_str())?;
    if !error.hints.is_empty() {
        table.raw_set("hint", error.hints.join("\n"))?;
    }
    table.raw_set("retryable", false)?;
    if let Some(aws) = &error.aws {
        if !aws.code.is_empty() {
            table.raw_set("code", aws.code.as_str())?;
        }
        table.raw_set("operation", aws.operation.as_str())?;
        table.raw_set("status", aws.status)?;
        table.raw_set("request_id", aws.request_id.as_deref())?;
        table.raw_set("retryable", aws.retryable)?;
    }
    table.set_metatable(Some(lua.named_registry_value(ERROR_META)?))?;
    Ok(table)
}

/// Uncaught error, which the prelude has converted to the form of [`error_to_lua`].
pub fn error_from_lua(value: &LuaValue) -> Error {
    let LuaValue::Table(table) = value else {
        return Error::new(
            Kind::Script,
            format!("the script raised a value of type {}", value.type_name()),
        );
    };
    let text = |key: &str| {
        let value: mlua::Result<Option<mlua::LuaString>> = table.raw_get(key);
        value.ok().flatten().map(|text| text.to_string_lossy())
    };
    let kind = text("kind").and_then(|kind| Kind::from_name(&kind)).unwrap_or(Kind::Script);
    let message = text("message").unwrap_or_else(|| "the script raised a table".into());
    // A string error already begins with its position, and a usage error has none in the script.
    let place = text("where").filter(|place| !message.starts_with(place) && kind != Kind::Usage);
    let mut error = Error::new(kind, message);
    error.place = place.map(String::into_boxed_str);
    for line in text("hint").iter().flat_map(|hint| hint.lines()).filter(|line| !line.is_empty()) {
        match error.hints.last_mut() {
            // Lines of a block, such as that of a syntax error, are indented.
            Some(block) if line.starts_with("  ") && block.starts_with('\n') => {
                block.extend(["\n", line]);
            }
            _ if line.starts_with("  ") => error.hints.push(format!("\n{line}")),
            _ => error.hints.push(line.to_owned()),
        }
    }
    error.traceback = text("traceback").map(String::into_boxed_str);
    if let Some(operation) = text("operation") {
        error.aws = Some(Box::new(AwsDetail {
            code: text("code").unwrap_or_default(),
            operation,
            status: table.raw_get("status").ok(),
            request_id: text("request_id"),
            retryable: table.raw_get("retryable").unwrap_or(false),
            is_cut_off: false,
        }));
    }
    error
}

/// JSON as a Lua value. Objects become tables, arrays become tables that stay arrays when they are
/// written again, and `null` becomes `json.null`.
pub fn json_to_lua(lua: &Lua, json: &Json) -> mlua::Result<LuaValue> {
    Ok(match json {
        Json::Null => lua.named_registry_value(NULL)?,
        Json::Bool(value) => LuaValue::Boolean(*value),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => LuaValue::Integer(whole),
            None => LuaValue::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => LuaValue::String(lua.create_string(text)?),
        Json::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for (at, item) in items.iter().enumerate() {
                table.raw_seti(at + 1, json_to_lua(lua, item)?)?;
            }
            table.set_metatable(Some(lua.named_registry_value(ARRAY_META)?))?;
            LuaValue::Table(table)
        }
        Json::Object(map) => {
            let table = lua.create_table_with_capacity(0, map.len())?;
            for (key, value) in map {
                table.raw_set(key.as_str(), json_to_lua(lua, value)?)?;
            }
            LuaValue::Table(table)
        }
    })
}

/// JSON text as a Lua value, as from [`json_to_lua`]. No intermediate value is built in Rust, so
/// that the memory counts as the script's.
///
/// # Errors
/// The syntax error with its position, or that the script holds too much.
pub fn json_text_to_lua(lua: &Lua, text: &str) -> serde_json::Result<LuaValue> {
    let null = lua.named_registry_value(NULL).map_err(serde::de::Error::custom)?;
    let array = lua.named_registry_value(ARRAY_META).map_err(serde::de::Error::custom)?;
    let walk = Walk::new(lua);
    let mut json = serde_json::Deserializer::from_str(text);
    let value = InLua { lua, null: &null, array: &array, walk: &walk }.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// Deserializer that builds Lua values.
#[derive(Clone, Copy)]
struct InLua<'a> {
    lua: &'a Lua,
    null: &'a LuaValue,
    array: &'a Table,
    walk: &'a Walk<'a>,
}

impl<'de> DeserializeSeed<'de> for InLua<'_> {
    type Value = LuaValue;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<LuaValue, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for InLua<'_> {
    type Value = LuaValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<LuaValue, E> {
        Ok(self.null.clone())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<LuaValue, E> {
        Ok(LuaValue::Boolean(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<LuaValue, E> {
        Ok(LuaValue::Integer(value))
    }

    #[allow(clippy::cast_precision_loss, reason = "Lua has no larger whole numbers")]
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<LuaValue, E> {
        Ok(i64::try_from(value).map_or(LuaValue::Number(value as f64), LuaValue::Integer))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<LuaValue, E> {
        Ok(LuaValue::Number(value))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<LuaValue, E> {
        self.lua.create_string(text).map(LuaValue::String).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<LuaValue, A::Error> {
        let make = serde::de::Error::custom::<mlua::Error>;
        let table = self.lua.create_table().map_err(make)?;
        let mut at = 0;
        while let Some(item) = items.next_element_seed(self)? {
            self.walk.count(0).map_err(|error| serde::de::Error::custom(error.message))?;
            at += 1;
            table.raw_seti(at, item).map_err(make)?;
        }
        table.set_metatable(Some(self.array.clone())).map_err(make)?;
        Ok(LuaValue::Table(table))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<LuaValue, A::Error> {
        let make = serde::de::Error::custom::<mlua::Error>;
        let table = self.lua.create_table().map_err(make)?;
        while let Some(key) = fields.next_key::<std::borrow::Cow<'de, str>>()? {
            self.walk.count(0).map_err(|error| serde::de::Error::custom(error.message))?;
            let value = fields.next_value_seed(self)?;
            table.raw_set(&*key, value).map_err(make)?;
        }
        Ok(LuaValue::Table(table))
    }
}

/// Lua value as JSON. A table with values at 1…n, or marked by `json.array`, is an array; any other
/// is an object with sorted keys.
///
/// # Errors
/// An argument error for values that JSON lacks: functions, mixed tables, NaN, text that is not
/// UTF-8, cyclic tables.
pub fn json_from_lua(lua: &Lua, value: &LuaValue) -> Result<Json> {
    json_nested(lua, value, &Walk::new(lua), 0)
}

/// Approximate size in bytes of a value, and of a named value.
const VALUE_BYTES: usize = 40;
const NAMED_BYTES: usize = 120;

fn json_nested(lua: &Lua, value: &LuaValue, walk: &Walk<'_>, depth: usize) -> Result<Json> {
    let refuse = |what: &str| Err(Error::argument(format!("JSON has no {what}")));
    if depth > MAX_NESTING {
        return refuse("tables nested this deep");
    }
    walk.count_value(VALUE_BYTES)?;
    match value {
        LuaValue::Nil => Ok(Json::Null),
        LuaValue::Boolean(value) => Ok(Json::Bool(*value)),
        LuaValue::Integer(value) => Ok(Json::from(*value)),
        LuaValue::Number(value) if value.is_finite() => Ok(Json::from(*value)),
        LuaValue::Number(_) => refuse("NaN and no infinity"),
        LuaValue::String(text) => match text.to_str() {
            // Counted twice: as a value, and in the text that is built from it.
            Ok(text) => walk.count(2 * text.len()).map(|()| Json::from(&*text)),
            Err(_) => refuse("text that is not UTF-8"),
        },
        LuaValue::LightUserData(_)
            if lua.named_registry_value::<LuaValue>(NULL).is_ok_and(|null| null == *value) =>
        {
            Ok(Json::Null)
        }
        LuaValue::Table(table) => {
            if !walk.enter(table.to_pointer()) {
                return refuse("table that holds itself");
            }
            let json = json_table(lua, table, walk, depth);
            walk.leave();
            json
        }
        other => refuse(&format!("{}s", other.type_name())),
    }
}

fn json_table(lua: &Lua, table: &Table, walk: &Walk<'_>, depth: usize) -> Result<Json> {
    let lua_error = |error: mlua::Error| Error::argument(error.to_string());
    let length = table.raw_len();
    let marked = table.metatable().is_some_and(|meta| {
        lua.named_registry_value::<Table>(ARRAY_META).is_ok_and(|array| array == meta)
    });
    // Arrays that count their items in `n`, such as results of `bulk.map`, can have holes.
    let counted: Option<i64> = table.raw_get("n").unwrap_or_default();
    let counted = counted.and_then(|n| usize::try_from(n).ok()).filter(|n| *n >= length);
    if length > 0 || marked {
        let mut count = 0;
        let whole = counted.unwrap_or(length);
        for pair in table.pairs::<LuaValue, LuaValue>() {
            let (key, _) = pair.map_err(lua_error)?;
            match key {
                LuaValue::Integer(at) if at >= 1 && at.unsigned_abs() <= whole as u64 => {
                    count += 1;
                }
                LuaValue::String(key) if key == "n" && counted.is_some() => {}
                // A page of a listing is an array with the position of the next page.
                LuaValue::String(key) if key == "marker" || key == "is_truncated" => {}
                _ => {
                    return Err(Error::argument(
                        "JSON has no table that is an array and a map at once",
                    ));
                }
            }
        }
        if counted.is_none() && count != length {
            return Err(Error::argument("JSON has no array with holes; put json.null there"));
        }
        return (1..=whole)
            .map(|at| {
                let item: LuaValue = table.raw_get(at).map_err(lua_error)?;
                json_nested(lua, &item, walk, depth + 1)
            })
            .collect();
    }
    let mut map = BTreeMap::new();
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (key, value) = pair.map_err(lua_error)?;
        let key = match &key {
            LuaValue::String(key) => key
                .to_str()
                .map_err(|_| Error::argument("JSON has no keys that are not UTF-8"))?
                .to_owned(),
            LuaValue::Integer(key) => key.to_string(),
            other => {
                return Err(Error::argument(format!(
                    "JSON has no keys of type {}",
                    other.type_name()
                )));
            }
        };
        walk.count(NAMED_BYTES + 2 * key.len())?;
        map.insert(key, json_nested(lua, &value, walk, depth + 1)?);
    }
    Ok(Json::Object(map.into_iter().collect()))
}
