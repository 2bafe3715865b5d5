//! Functions of the Lua API that the bindings lack, for C functions of this program.

// The Lua API is C. Every block states why it is sound.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};

/// Raises the error of an argument of the wrong type, as `luaL_typeerror` does.
///
/// # Safety
/// `state` must be that of the running C function.
pub(super) unsafe fn type_error(state: *mut lua_State, at: c_int, expected: &CStr) -> c_int {
    // SAFETY: reads an argument; the strings stay on the stack until the error is raised.
    unsafe {
        let got = match ffi::luaL_getmetafield(state, at, c"__name".as_ptr()) {
            ffi::LUA_TSTRING => ffi::lua_tostring(state, -1),
            _ if ffi::lua_isnone(state, at) != 0 => c"no value".as_ptr(),
            _ if ffi::lua_type(state, at) == ffi::LUA_TLIGHTUSERDATA => c"light userdata".as_ptr(),
            _ => ffi::lua_typename(state, ffi::lua_type(state, at)),
        };
        let text =
            ffi::lua_pushfstring(state, c"%s expected, got %s".as_ptr(), expected.as_ptr(), got);
        ffi::luaL_argerror(state, at, text)
    }
}
