//! Additional functions that an embedding module offers to a file of `stdlib/`: JSON in, JSON out,
//! executed at once or in the background.

use std::rc::Rc;

use futures_util::future::BoxFuture;
use mlua::{Lua, MultiValue, Table, Value as LuaValue};
use serde_json::Value as Json;

use super::convert;
use super::host::Host;
use crate::error::{Error, Kind, Result};
use crate::spec::Value;

/// Function that is executed at once.
pub type AtOnce = Box<dyn Fn(&[Json]) -> Result<Json>>;
/// Function that is executed in the background; the calling coroutine waits.
pub type Background = Box<dyn Fn(&[Json]) -> Result<BoxFuture<'static, Result<Json>>>>;

/// An offered function.
pub enum Offer {
    /// Returns JSON values: empty arrays stay arrays, and `null` is `json.null`.
    AtOnce(AtOnce),
    /// Returns a handle, which completes with plain tables: `null` is nil.
    Background(Background),
}

/// Table of the offered functions. Each returns `true, result` or `false, error`, as the fallible
/// host functions do.
pub(super) fn table(
    lua: &Lua,
    host: &Rc<Host>,
    offers: Vec<(&'static str, Offer)>,
) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, offer) in offers {
        let host = Rc::clone(host);
        let function = lua.create_function(move |lua, args: MultiValue| {
            match answer(lua, &host, &offer, &args) {
                Ok(value) => Ok((true, value)),
                Err(error) => Ok((false, LuaValue::Table(convert::error_to_lua(lua, &error)?))),
            }
        })?;
        table.raw_set(name, function)?;
    }
    Ok(table)
}

/// Raises the errors of functions, with the place of the call.
const RAISING: &str = "
local host, functions = ...
local settle = host.settle
for name, f in pairs(functions) do
  if rawget(_G, name) ~= nil then
    return name
  end
  rawset(_G, name, function(...)
    return settle(f(...))
  end)
end
";

/// Makes functions global. Their errors are raised like those of the host's own functions.
pub(super) fn define(lua: &Lua, host: &Rc<Host>, functions: Vec<(String, AtOnce)>) -> Result<()> {
    let table = lua.create_table().map_err(|error| bug(&error))?;
    for (name, function) in functions {
        let (host, offer) = (Rc::clone(host), Offer::AtOnce(function));
        let function = lua.create_function(move |lua, args: MultiValue| {
            match answer(lua, &host, &offer, &args) {
                Ok(value) => Ok((true, value)),
                Err(error) => Ok((false, LuaValue::Table(convert::error_to_lua(lua, &error)?))),
            }
        });
        function.and_then(|function| table.raw_set(name, function)).map_err(|error| bug(&error))?;
    }
    let own: Table = lua.named_registry_value("iamlua.host").map_err(|error| bug(&error))?;
    let chunk = lua.load(RAISING).set_name("=[iamlua:embedding]");
    let taken: Option<String> = chunk.call((own, table)).map_err(|error| bug(&error))?;
    match taken {
        None => Ok(()),
        Some(name) => Err(Error::usage(format!("scripts find something else by the name {name}"))
            .hint("give the function another name")),
    }
}

fn bug(error: &mlua::Error) -> Error {
    Error::new(Kind::Bug, error.to_string())
}

fn answer(lua: &Lua, host: &Rc<Host>, offer: &Offer, args: &MultiValue) -> Result<LuaValue> {
    let internal = |error: mlua::Error| Error::new(Kind::Bug, error.to_string());
    let args: Vec<Json> =
        args.iter().map(|arg| convert::json_from_lua(lua, arg)).collect::<Result<_>>()?;
    match offer {
        Offer::AtOnce(f) => convert::json_to_lua(lua, &f(&args)?).map_err(internal),
        Offer::Background(f) => {
            let call = f(&args)?;
            let call = async move { call.await.map(|json| Value::from(&json)) };
            host.driver.start(lua, false, call).map(LuaValue::UserData).map_err(internal)
        }
    }
}
