//! Values between Lua and the rest of the program: arguments out, results and errors in, JSON both ways.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fmt;

use mlua::{Lua, MultiValue, Table, Value as LuaValue, ffi};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::budget::Walk;
use crate::error::{AwsDetail, Error, Kind, Result};
use crate::spec::Value;

/// Tables in tables, deeper than any document of AWS's.
const MAX_NESTING: usize = 100;
/// So many values are more than any call of AWS's takes.
const MOST_VALUES: usize = 100_000;
/// So are so many bytes of text.
const MOST_TEXT: usize = 16 << 20;

/// What is left for the arguments of a call, and the tables that are open.
struct Left {
    values: usize,
    text: usize,
    open: Vec<*const c_void>,
}

/// The key of the metatable that marks errors, set by the prelude.
pub const ERROR_META: &str = "iamlua.error";
/// The key of the metatable that marks a table as a JSON array, also when it is empty.
pub const ARRAY_META: &str = "iamlua.array";
/// The name under which `json.null` is found.
pub const NULL: &str = "iamlua.null";

/// A result as Lua values; only [`Value::Multi`] makes more than one.
pub fn to_lua_multi(lua: &Lua, value: &Value) -> mlua::Result<MultiValue> {
    match value {
        Value::Multi(values) => values.iter().map(|value| to_lua(lua, value)).collect(),
        one => Ok(MultiValue::from_iter([to_lua(lua, one)?])),
    }
}

/// A value as a Lua value.
///
/// Pages of a thousand profiles pass here, so it builds them on the Lua stack in one protected call, instead of one for each field.
pub fn to_lua(lua: &Lua, value: &Value) -> mlua::Result<LuaValue> {
    // SAFETY: `push` leaves exactly one value on the stack. Lua may leave it by a long jump when memory runs out, which is sound because neither
    // `push` nor this closure owns anything: they only borrow `value`, which lives in a frame outside of the protected call.
    #[allow(unsafe_code)]
    unsafe {
        lua.exec_raw((), |state| push_all(state, value))
    }
}

/// The fields of a profile and of the role in it are fewer.
const MOST_FIELDS: usize = 24;

/// What the records of a listing have in common: the names of their fields, and values that several have one after the other, such as paths
/// and trust policies. Each is made once for Lua; making it again would cost more than all the rest. They wait on the Lua stack.
struct Common<'a> {
    /// Where on the stack they are.
    base: i32,
    fields: [Field<'a>; MOST_FIELDS],
    count: usize,
}

#[derive(Clone, Copy)]
struct Field<'a> {
    /// Whether it is one of a record in another.
    depth: u8,
    name: &'static str,
    last: Option<&'a str>,
}

impl<'a> Common<'a> {
    fn new(base: i32) -> Self {
        Self { base, fields: [Field { depth: 0, name: "", last: None }; MOST_FIELDS], count: 0 }
    }

    /// Pushes the name of a field; returns its place, if it has one.
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
        let is_same = |field: &Field<'_>| field.depth == depth && std::ptr::eq(field.name, name);
        let place = self.fields[..self.count].iter().position(is_same);
        // SAFETY: the slots from `base` on were filled by `push_all`, two for each field.
        unsafe {
            if let Some(place) = place {
                ffi::lua_pushvalue(state, self.slot(place));
                return Some(place);
            }
            push_text(state, name);
            if self.count == MOST_FIELDS {
                return None;
            }
            self.fields[self.count] = Field { depth, name, last: None };
            ffi::lua_copy(state, -1, self.slot(self.count));
            self.count += 1;
            Some(self.count - 1)
        }
    }

    /// Pushes the value of the field at a place.
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

/// Pushes a value, with what its records have in common below it while that is needed.
///
/// # Safety
/// Must run in a protected call of the VM whose state it gets.
#[allow(unsafe_code)]
unsafe fn push_all(state: *mut ffi::lua_State, value: &Value) {
    // SAFETY: the slots are asked for; what is left at the end is the one value.
    unsafe {
        let base = ffi::lua_gettop(state);
        let slots = if matches!(value, Value::Page(_)) { 2 * MOST_FIELDS } else { 0 };
        ffi::luaL_checkstack(state, size_hint(slots) + 4, std::ptr::null());
        ffi::lua_settop(state, base + size_hint(slots));
        let mut common = Common::new(base);
        push(state, value, if slots > 0 { Some(&mut common) } else { None }, 0);
        if slots > 0 {
            ffi::lua_replace(state, base + 1);
            ffi::lua_settop(state, base + 1);
        }
    }
}

/// Pushes a value. It owns nothing that would have to be dropped.
///
/// # Safety
/// Must run in a protected call of the VM whose state it gets.
#[allow(unsafe_code)]
unsafe fn push<'a>(
    state: *mut ffi::lua_State,
    value: &'a Value,
    mut common: Option<&mut Common<'a>>,
    depth: u8,
) {
    // SAFETY: four slots are asked for at each level, which is what a level uses; lengths fit because the values fit in memory.
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
    mut common: Option<&mut Common<'a>>,
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

/// A length for Lua to plan with; a wrong one only costs time.
fn size_hint(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(0)
}

/// A Lua value as an argument. What AWS has no use for becomes [`Value::Foreign`] and is refused by the check that follows.
pub fn from_lua(value: &LuaValue) -> Value {
    from_lua_nested(value, &mut Left { values: MOST_VALUES, text: MOST_TEXT, open: Vec::new() })
}

fn from_lua_nested(value: &LuaValue, left: &mut Left) -> Value {
    if left.open.len() > MAX_NESTING {
        return Value::Foreign("table nested too deeply");
    }
    let Some(values) = left.values.checked_sub(1) else {
        return Value::Foreign("table with more than 100,000 values in it");
    };
    left.values = values;
    match value {
        LuaValue::Nil => Value::Nil,
        LuaValue::Boolean(value) => Value::Bool(*value),
        LuaValue::Integer(value) => Value::Int(*value),
        LuaValue::Number(value) => Value::Num(*value),
        LuaValue::String(text) => match text.to_str() {
            Ok(text) => match left.text.checked_sub(text.len()) {
                Some(rest) => {
                    left.text = rest;
                    Value::Str(text.to_owned())
                }
                None => Value::Foreign("value with more than 16 MiB of text"),
            },
            Err(_) => Value::Foreign("string that is not UTF-8"),
        },
        LuaValue::Table(table) => {
            if left.open.contains(&table.to_pointer()) {
                return Value::Foreign("table that holds itself");
            }
            left.open.push(table.to_pointer());
            let value = from_table(table, left);
            left.open.pop();
            value
        }
        LuaValue::Function(_) => Value::Foreign("function"),
        LuaValue::Thread(_) => Value::Foreign("coroutine"),
        _ => Value::Foreign("userdata"),
    }
}

/// A table; what is in it that is no argument stands for all of it, so that no more of it is gone through.
fn from_table(table: &Table, left: &mut Left) -> Value {
    let length = table.raw_len();
    if length > left.values {
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
                let value = match from_lua_nested(&value, left) {
                    Value::Foreign(what) if is_endless(what) => return Value::Foreign(what),
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
            Ok(value) => match from_lua_nested(&value, left) {
                Value::Foreign(what) if is_endless(what) => return Value::Foreign(what),
                value => items.push(value),
            },
            Err(_) => return Value::Foreign("table"),
        }
    }
    Value::List(items)
}

/// Whether the rest of what a value is in need not be looked at.
fn is_endless(what: &str) -> bool {
    what.starts_with("table nested") || what.contains(" more than ") || what.ends_with(" itself")
}

/// An error as the table that a script catches.
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

/// An uncaught error that the prelude has brought into the form of [`error_to_lua`].
pub fn error_from_lua(value: &LuaValue) -> Error {
    let LuaValue::Table(table) = value else {
        return Error::new(Kind::Script, format!("the script raised a {}", value.type_name()));
    };
    let text = |key: &str| {
        let value: mlua::Result<Option<mlua::LuaString>> = table.raw_get(key);
        value.ok().flatten().map(|text| text.to_string_lossy())
    };
    let kind = text("kind").and_then(|kind| Kind::from_name(&kind)).unwrap_or(Kind::Script);
    let message = text("message").unwrap_or_else(|| "the script raised a table".into());
    // A string error carries its position in front already, and a wrong command line has none in the script.
    let place = text("where").filter(|place| !message.starts_with(place) && kind != Kind::Usage);
    let mut error = Error::new(kind, message);
    error.place = place.map(String::into_boxed_str);
    error.hints.extend(text("hint").iter().flat_map(|hint| hint.lines()).map(str::to_owned));
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

/// Lua from JSON. Objects become tables, arrays tables that stay arrays when they are written again, `null` becomes `json.null`.
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

/// Lua from the text of JSON, as [`json_to_lua`] makes it. Nothing of it is made on this side, so that what it takes is the script's.
///
/// # Errors
/// What is wrong with the text and where, or that the script holds too much.
pub fn json_text_to_lua(lua: &Lua, text: &str) -> serde_json::Result<LuaValue> {
    let null = lua.named_registry_value(NULL).map_err(serde::de::Error::custom)?;
    let array = lua.named_registry_value(ARRAY_META).map_err(serde::de::Error::custom)?;
    let walk = Walk::new(lua);
    let mut json = serde_json::Deserializer::from_str(text);
    let value = InLua { lua, null: &null, array: &array, walk: &walk }.deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

/// Makes Lua values of what a reader of JSON finds.
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

/// JSON from Lua. A table with values at 1…n, or marked by `json.array`, is an array; any other is an object with its keys sorted.
///
/// # Errors
/// An argument error for what JSON has not: functions, mixed tables, NaN, text that is not UTF-8, tables in themselves.
pub fn json_from_lua(lua: &Lua, value: &LuaValue) -> Result<Json> {
    json_nested(lua, value, &Walk::new(lua), 0)
}

/// About as many bytes as a value takes, and one that has a name.
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
            // Once as a value, and once in the text that is made of it.
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
    if length > 0 || marked {
        let mut count = 0;
        for pair in table.pairs::<LuaValue, LuaValue>() {
            let (key, _) = pair.map_err(lua_error)?;
            match key {
                LuaValue::Integer(at) if at >= 1 && at.unsigned_abs() <= length as u64 => {
                    count += 1;
                }
                // A page of a listing is an array that carries where to go on.
                LuaValue::String(key) if key == "marker" || key == "is_truncated" => {}
                _ => {
                    return Err(Error::argument(
                        "JSON has no table that is an array and a map at once",
                    ));
                }
            }
        }
        if count != length {
            return Err(Error::argument("JSON has no array with holes; put json.null there"));
        }
        return (1..=length)
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
