//! Functions of Lua's basic library for scripts: `setmetatable` and `xpcall`. A script gets no
//! finalizers, which run where it cannot be stopped, and the program's own metatables are behind
//! stand-ins. A message handler is not called for a stop.

// The Lua API is C. Every block states why it is sound.
#![allow(unsafe_code)]

use std::ffi::c_int;

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, Table};

use super::c_functions::type_error;
use super::cancel;

/// `setmetatable` for scripts. `slow` is called for the global table, and for a metatable that has
/// one itself, such as a stand-in.
pub(super) fn setmetatable(lua: &Lua, globals: Table, slow: Function) -> mlua::Result<Function> {
    // SAFETY: the three upvalues that `set_metatable` has are set right here.
    unsafe {
        lua.exec_raw((globals, slow, "__gc"), |state| {
            ffi::lua_pushcclosure(state, set_metatable, 3);
        })
    }
}

/// `xpcall` for scripts.
pub(super) fn xpcall(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: the two upvalues that `protected_call` has are set right here.
    unsafe {
        lua.exec_raw((), |state| {
            ffi::lua_pushnil(state);
            ffi::lua_pushnil(state);
            ffi::lua_pushcclosure(state, protected_call, 2);
        })
    }
}

/// `setmetatable`. Its upvalues are the global table, the function for special tables, and the name
/// of the finalizer.
unsafe extern "C-unwind" fn set_metatable(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline. Errors do not return.
    unsafe {
        let kind = ffi::lua_type(state, 2);
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        if kind != ffi::LUA_TNIL && kind != ffi::LUA_TTABLE {
            return type_error(state, 2, c"nil or table");
        }
        ffi::lua_settop(state, 2);
        let mut is_special = ffi::lua_rawequal(state, 1, ffi::lua_upvalueindex(1)) != 0;
        if kind == ffi::LUA_TTABLE {
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(3));
            if ffi::lua_rawget(state, 2) != ffi::LUA_TNIL {
                return ffi::luaL_error(
                    state,
                    c"finalizers (__gc) are not available in scripts; use __close".as_ptr(),
                );
            }
            is_special |= ffi::lua_getmetatable(state, 2) != 0;
            ffi::lua_settop(state, 2);
        }
        if ffi::luaL_getmetafield(state, 1, c"__metatable".as_ptr()) != ffi::LUA_TNIL {
            return ffi::luaL_error(state, c"cannot change a protected metatable".as_ptr());
        }
        if is_special {
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2));
            ffi::lua_insert(state, 1);
            ffi::lua_call(state, 2, 1);
            return 1;
        }
        ffi::lua_setmetatable(state, 1);
        1
    }
}

/// `xpcall`. Its upvalues are the last message handler and the function around it.
unsafe extern "C-unwind" fn protected_call(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline, as in Lua's own `xpcall`.
    unsafe {
        let count = ffi::lua_gettop(state);
        ffi::luaL_checktype(state, 2, ffi::LUA_TFUNCTION);
        if ffi::lua_rawequal(state, 2, ffi::lua_upvalueindex(1)) == 0 {
            ffi::lua_pushvalue(state, 2);
            ffi::lua_pushcclosure(state, handle, 1);
            ffi::lua_replace(state, ffi::lua_upvalueindex(2));
            ffi::lua_pushvalue(state, 2);
            ffi::lua_replace(state, ffi::lua_upvalueindex(1));
        }
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2));
        ffi::lua_replace(state, 2);
        ffi::lua_pushboolean(state, 1);
        ffi::lua_pushvalue(state, 1);
        ffi::lua_rotate(state, 3, 2);
        let status = ffi::lua_pcallk(state, count - 2, ffi::LUA_MULTRET, 2, 2, Some(finish_call));
        finish_call(state, status, 2)
    }
}

/// Results of `xpcall`, of which the lowest `below` values on the stack are none.
unsafe extern "C-unwind" fn finish_call(
    state: *mut lua_State,
    status: c_int,
    below: ffi::lua_KContext,
) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline.
    unsafe {
        if status != ffi::LUA_OK && status != ffi::LUA_YIELD {
            ffi::lua_pushboolean(state, 0);
            ffi::lua_pushvalue(state, -2);
            return 2;
        }
        ffi::lua_gettop(state) - c_int::try_from(below).unwrap_or(0)
    }
}

/// Message handler around that of a script, which is its upvalue. Lua runs handlers without hooks,
/// so a script could not be stopped in one.
unsafe extern "C-unwind" fn handle(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline.
    unsafe {
        if ffi::lua_touserdata(state, 1) == cancel::stopped().0 {
            return 1;
        }
        ffi::lua_settop(state, 1);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, 1, 1);
        1
    }
}
