//! Functions that a host with more to offer than this one gives to a file of `stdlib/`: JSON in, JSON out, done at once or in the
//! background.

use std::rc::Rc;

use futures_util::future::BoxFuture;
use mlua::{Lua, MultiValue, Table, Value as LuaValue};
use serde_json::Value as Json;

use super::convert;
use super::host::Host;
use crate::error::{Error, Kind, Result};
use crate::spec::Value;

/// What is to be done with the arguments, at once.
pub type AtOnce = Box<dyn Fn(&[Json]) -> Result<Json>>;
/// What is to be done with the arguments in the background; the coroutine that called waits.
pub type Background = Box<dyn Fn(&[Json]) -> Result<BoxFuture<'static, Result<Json>>>>;

/// A function that is offered.
pub enum Offer {
    /// It returns what JSON has: arrays stay arrays also when they are empty, and `null` is `json.null`.
    AtOnce(AtOnce),
    /// It returns a handle, and what is waited for is plain tables: `null` is nil.
    Background(Background),
}

/// The table of what is offered. Each function returns `true, result` or `false, error`, as those of the host do.
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

/// Makes functions global; their errors are raised as those of the host's own are.
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
