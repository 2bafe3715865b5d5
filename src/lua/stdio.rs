//! Standard files of a script, and its clock: C functions behind `io.write`, `io.read`, the lines
//! of files and `os.time`. What was printed is shown before a script waits for input.

// The Lua API is C. Every block states why it is sound.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io::{ErrorKind, IsTerminal};
use std::ptr;
use std::rc::Rc;
use std::slice;

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, MultiValue, UserData, Value as LuaValue};

use super::c_functions::type_error;
use super::cancel::Stop;
use super::host::Host;
use crate::error::{Error, Result};

/// Holder of the host for as long as a C function refers to it.
struct HostReference(#[allow(dead_code, reason = "it keeps the host alive")] Rc<Host>);

impl UserData for HostReference {}

/// C function of that name, with the values as its upvalues from the third on:
///
/// | name | upvalues |
/// | --- | --- |
/// | `print` | function that raises the failure |
/// | `write` | standard output, function that raises the failure, function for another output |
/// | `write_out`, `write_err` | file that is the first argument, function that raises the failure |
/// | `read` | `io.read` of Lua, Lua's standard input |
/// | `read_in` | file that is its first argument, `read` of Lua's files, Lua's standard input |
/// | `time` | function for a table |
/// | `next_line` | `read` and `close` of Lua's files, the file, closing at its end, formats |
///
/// # Errors
/// An unknown name.
pub(super) fn function(
    lua: &Lua,
    host: &Rc<Host>,
    name: &str,
    values: MultiValue,
) -> mlua::Result<Function> {
    let function: ffi::lua_CFunction = match name {
        "print" => print,
        "write" => write,
        "write_out" => write_out,
        "write_err" => write_err,
        "read" => read,
        "read_in" => read_in,
        "next_line" => next_line,
        "time" => time,
        other => return Err(mlua::Error::runtime(format!("there is no C function {other}"))),
    };
    let address =
        LuaValue::LightUserData(mlua::LightUserData(Rc::as_ptr(host).cast_mut().cast::<c_void>()));
    let holder = LuaValue::UserData(lua.create_userdata(HostReference(Rc::clone(host)))?);
    let mut upvalues = MultiValue::from_iter([address, holder]);
    upvalues.extend(values);
    let count = c_int::try_from(upvalues.len()).unwrap_or(c_int::MAX);
    if count > 255 {
        return Err(mlua::Error::runtime("too many arguments"));
    }
    // SAFETY: the upvalues are those that the function of that name has.
    unsafe { lua.exec_raw(upvalues, |state| ffi::lua_pushcclosure(state, function, count)) }
}

/// Host in the first upvalue of the running function.
///
/// # Safety
/// `state` must be that of a function of this file.
unsafe fn host<'a>(state: *mut lua_State) -> &'a Host {
    // SAFETY: the second upvalue keeps the host alive.
    unsafe { &*ffi::lua_touserdata(state, ffi::lua_upvalueindex(1)).cast::<Host>() }
}

/// Stream of a script's output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    /// Standard output, unchanged.
    Out,
    /// Standard output, harmless on a terminal.
    Printed,
    /// Standard error.
    Err,
}

impl Host {
    /// Writes one text; false if that failed, with the error stored.
    fn write_text(&self, stream: Stream, text: &[u8]) -> bool {
        let written = match stream {
            Stream::Err => {
                super::host::write_err(self, text);
                Ok(())
            }
            Stream::Out | Stream::Printed => self.check_output().and_then(|()| {
                let mut output = self.output.borrow_mut();
                let written = match stream {
                    Stream::Printed => output.print(text),
                    _ => output.write(text),
                };
                written.map_err(|error| {
                    if error.kind() == ErrorKind::BrokenPipe {
                        self.setup.borrow().canceller.stop(Stop::OutputClosed);
                    }
                    Error::io("cannot write to standard output", error)
                })
            }),
        };
        written.map_err(|error| *self.write_failure.borrow_mut() = Some(error)).is_ok()
    }

    /// Refuses output while the command line has an option that nothing has declared.
    pub(super) fn check_output(&self) -> Result<()> {
        let holds =
            self.setup.borrow().args.unclaimed.as_ref().is_some_and(|held| held.holds_output);
        if holds { self.check_arguments() } else { Ok(()) }
    }
}

/// Writes the arguments from `first` on. After a failure it calls the function in that upvalue,
/// which raises it.
///
/// # Safety
/// `state` must be that of a function of this file.
unsafe fn write_all(state: *mut lua_State, first: c_int, stream: Stream, raise: c_int) {
    // SAFETY: plain use of the Lua API within its stack discipline. Nothing of Rust is borrowed
    // when an error leaves this frame.
    unsafe {
        for at in first..=ffi::lua_gettop(state) {
            let mut length = 0;
            let bytes = ffi::luaL_checklstring(state, at, &raw mut length);
            let text = slice::from_raw_parts(bytes.cast::<u8>(), length);
            write_text(state, stream, text, raise);
        }
    }
}

/// Writes a text. After a failure it calls the function in that upvalue, which raises it.
///
/// # Safety
/// `state` must be that of a function of this file.
unsafe fn write_text(state: *mut lua_State, stream: Stream, text: &[u8], raise: c_int) {
    // SAFETY: calls a function of Lua. Nothing of Rust is borrowed when an error leaves this frame.
    unsafe {
        if !host(state).write_text(stream, text) {
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(raise));
            ffi::lua_call(state, 0, 0);
        }
    }
}

/// `io.write`.
unsafe extern "C-unwind" fn write(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline.
    unsafe {
        if host(state).is_output_redirected.get() {
            let count = ffi::lua_gettop(state);
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(5));
            ffi::lua_insert(state, 1);
            ffi::lua_call(state, count, ffi::LUA_MULTRET);
            return ffi::lua_gettop(state);
        }
        write_all(state, 1, Stream::Out, 4);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(3));
        1
    }
}

/// `print`.
unsafe extern "C-unwind" fn print(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline. Nothing of Rust is borrowed
    // when an error leaves this frame.
    unsafe {
        for at in 1..=ffi::lua_gettop(state) {
            let mut length = 0;
            let bytes = ffi::luaL_tolstring(state, at, &raw mut length);
            let text = slice::from_raw_parts(bytes.cast::<u8>(), length);
            if at > 1 {
                write_text(state, Stream::Printed, b"\t", 3);
            }
            write_text(state, Stream::Printed, text, 3);
            ffi::lua_pop(state, 1);
        }
        write_text(state, Stream::Printed, b"\n", 3);
        0
    }
}

/// Checks that the first argument is the file in that upvalue.
///
/// # Safety
/// `state` must be that of a function of this file.
unsafe fn check_file(state: *mut lua_State, upvalue: c_int) {
    // SAFETY: compares two values, or raises.
    unsafe {
        if ffi::lua_gettop(state) == 0
            || ffi::lua_rawequal(state, 1, ffi::lua_upvalueindex(upvalue)) == 0
        {
            type_error(state, 1, c"FILE*");
        }
    }
}

/// Method `write` of standard output.
unsafe extern "C-unwind" fn write_out(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline.
    unsafe {
        check_file(state, 3);
        write_all(state, 2, Stream::Out, 4);
        ffi::lua_settop(state, 1);
        1
    }
}

/// Method `write` of standard error.
unsafe extern "C-unwind" fn write_err(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline.
    unsafe {
        check_file(state, 3);
        write_all(state, 2, Stream::Err, 4);
        ffi::lua_settop(state, 1);
        1
    }
}

/// Shows what was printed, before the script waits for input.
///
/// # Safety
/// `state` must be that of a function of this file.
unsafe fn show_output(state: *mut lua_State) {
    // SAFETY: as its own contract says.
    let host = unsafe { host(state) };
    // A failure is reported by the next write.
    let _ = host.output.borrow_mut().flush();
}

/// Calls the function of Lua's library in that upvalue in this frame.
///
/// # Safety
/// The upvalue must be a C function without upvalues.
unsafe fn call_library(state: *mut lua_State, upvalue: c_int) -> c_int {
    // SAFETY: the function finds in this frame what it would find in one of its own.
    unsafe {
        match ffi::lua_tocfunction(state, ffi::lua_upvalueindex(upvalue)) {
            Some(function) => function(state),
            None => 0,
        }
    }
}

/// Notes the answer at a terminal: the first of so many results at the top of the stack.
///
/// # Safety
/// `state` must be that of a function of this file, with these results.
unsafe fn note_answer(state: *mut lua_State, results: c_int) {
    if !std::io::stdin().is_terminal() {
        return;
    }
    // SAFETY: looks at a value, and nothing of Rust is borrowed while Lua runs.
    unsafe {
        let is_line = results > 0 && ffi::lua_isnil(state, -results) == 0;
        host(state).output.borrow_mut().answered(is_line);
    }
}

/// `io.read`.
unsafe extern "C-unwind" fn read(state: *mut lua_State) -> c_int {
    // SAFETY: the third upvalue is a function of Lua's library, the fourth its standard input.
    unsafe {
        show_output(state);
        let results = call_library(state, 3);
        ffi::luaL_checkstack(state, 1, ptr::null());
        ffi::lua_getfield(state, ffi::LUA_REGISTRYINDEX, c"_IO_input".as_ptr());
        let is_standard = ffi::lua_rawequal(state, -1, ffi::lua_upvalueindex(4)) != 0;
        ffi::lua_pop(state, 1);
        if is_standard {
            note_answer(state, results);
        }
        results
    }
}

/// Method `read` of standard input.
unsafe extern "C-unwind" fn read_in(state: *mut lua_State) -> c_int {
    // SAFETY: the fourth upvalue is a function of Lua's library, the fifth its file.
    unsafe {
        check_file(state, 3);
        show_output(state);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(5));
        ffi::lua_replace(state, 1);
        let results = call_library(state, 4);
        note_answer(state, results);
        results
    }
}

/// `os.time`.
unsafe extern "C-unwind" fn time(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline.
    unsafe {
        if ffi::lua_isnoneornil(state, 1) != 0 {
            let milliseconds = host(state).setup.borrow().clock.milliseconds();
            ffi::lua_pushinteger(state, milliseconds.div_euclid(1000));
            return 1;
        }
        let count = ffi::lua_gettop(state);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(3));
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, count, ffi::LUA_MULTRET);
        ffi::lua_gettop(state)
    }
}

/// Iterator over the lines of a file.
unsafe extern "C-unwind" fn next_line(state: *mut lua_State) -> c_int {
    const FIRST_FORMAT: c_int = 7;
    // SAFETY: plain use of the Lua API within its stack discipline; the third and the fourth
    // upvalue are functions of Lua's library, the fifth is their file.
    unsafe {
        show_output(state);
        ffi::lua_settop(state, 0);
        ffi::luaL_checkstack(state, 255, c"too many arguments".as_ptr());
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(5));
        let mut format = FIRST_FORMAT;
        while ffi::lua_isnone(state, ffi::lua_upvalueindex(format)) == 0 {
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(format));
            format += 1;
        }
        let count = call_library(state, 3);
        if ffi::lua_toboolean(state, -count) != 0 {
            return count;
        }
        if count > 1 {
            let text = ffi::lua_tostring(state, -count + 1);
            return ffi::luaL_error(state, c"%s".as_ptr(), text);
        }
        if ffi::lua_toboolean(state, ffi::lua_upvalueindex(6)) != 0 {
            ffi::lua_settop(state, 0);
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(5));
            call_library(state, 4);
        }
        0
    }
}
