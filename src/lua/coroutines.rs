//! Lua's `coroutine` library for coroutines that wait for the driver.
//!
//! A coroutine waits by yielding [`marker`](super::driver::marker) and a handle. The function that
//! resumed it passes both on, up to the driver, or waits in place where Lua cannot yield. The
//! values stay on the stack of the coroutine meanwhile, so that it is known to wait. To a script it
//! is in the middle of a call. A coroutine that the driver resumes directly is a task; its script
//! sees the main coroutine of a program.

// The Lua API is C. Every block states why it is sound.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, Table, Thread, Value as LuaValue};

use super::c_functions::type_error;
use super::cancel;
use super::driver;

/// Source of the address under which the registry holds the function that waits in place.
static BLOCK: u8 = 0;
/// Source of the address under which the registry holds the function that ends the script.
static EXIT: u8 = 1;

/// Content of the extra space of a coroutine that the driver resumes.
const OWNED: usize = 1;

/// Replaces the functions of the table `coroutine`. `block` waits for a handle in place, `exit`
/// ends the script with a code.
pub(super) fn install(
    lua: &Lua,
    library: &Table,
    block: Function,
    exit: Function,
) -> mlua::Result<()> {
    // SAFETY: a state is created with a copy of the main state's extra space, which nothing else
    // uses. The functions follow Lua's protocol, and find `block` and `exit` in the registry.
    unsafe {
        lua.exec_raw::<()>((), |state| {
            ffi::lua_rawgeti(state, ffi::LUA_REGISTRYINDEX, ffi::LUA_RIDX_MAINTHREAD);
            set_mark(ffi::lua_tothread(state, -1), 0);
            set_mark(state, 0);
            ffi::lua_pop(state, 1);
        })?;
        lua.exec_raw::<()>((block, exit), |state| {
            ffi::lua_rawsetp(state, ffi::LUA_REGISTRYINDEX, (&raw const EXIT).cast());
            ffi::lua_rawsetp(state, ffi::LUA_REGISTRYINDEX, (&raw const BLOCK).cast());
        })?;
        for (name, function) in [
            ("close", close as ffi::lua_CFunction),
            ("isyieldable", isyieldable),
            ("resume", resume),
            ("running", running),
            ("status", status),
            ("wrap", wrap),
            ("yield", yield_),
        ] {
            library.set(name, lua.create_c_function(function)?)?;
        }
    }
    Ok(())
}

/// Makes a coroutine one that only the driver resumes.
pub(super) fn own(thread: &Thread) {
    // SAFETY: the state is live while the thread is.
    unsafe { set_mark(thread.state(), OWNED) };
}

/// Check for a coroutine that has yielded and is not being closed.
pub(super) fn is_suspended(thread: &Thread) -> bool {
    // SAFETY: the state is live while the thread is.
    unsafe { ffi::lua_status(thread.state()) == ffi::LUA_YIELD }
}

/// Closes the variables with `<close>` of a suspended coroutine. Returns the error of one of them,
/// or nil.
pub(super) fn close_thread(lua: &Lua, thread: &Thread) -> mlua::Result<LuaValue> {
    // SAFETY: the coroutine is the only argument, and does not run.
    unsafe {
        lua.exec_raw(thread.clone(), |state| {
            let co = ffi::lua_tothread(state, -1);
            if ffi::lua_closethread(co, state) == ffi::LUA_OK {
                ffi::lua_pushnil(state);
            } else {
                ffi::lua_xmove(co, state, 1);
            }
            ffi::lua_remove(state, -2);
        })
    }
}

/// Writes the extra space of a state.
///
/// # Safety
/// `state` must be live.
unsafe fn set_mark(state: *mut lua_State, mark: usize) {
    // SAFETY: the extra space has the size of a pointer and lies before the state, aligned to it.
    unsafe { ffi::lua_getextraspace(state).cast::<usize>().write(mark) };
}

/// Check for a coroutine that only the driver resumes.
///
/// # Safety
/// `state` must be live.
unsafe fn is_owned(state: *mut lua_State) -> bool {
    // SAFETY: as in `set_mark`; every state has an initialised extra space.
    unsafe { ffi::lua_getextraspace(state).cast::<usize>().read() == OWNED }
}

/// Check for a suspended coroutine that waits for the driver.
///
/// # Safety
/// `state` must be live.
unsafe fn is_waiting(state: *mut lua_State) -> bool {
    // SAFETY: reads the two topmost values if there are two.
    unsafe {
        ffi::lua_status(state) == ffi::LUA_YIELD
            && ffi::lua_gettop(state) >= 2
            && ffi::lua_type(state, -2) == ffi::LUA_TLIGHTUSERDATA
            && driver::is_marker(ffi::lua_touserdata(state, -2))
    }
}

/// The coroutine in that argument; raises if it is another value.
///
/// # Safety
/// `state` must be that of the running function.
unsafe fn thread_argument(state: *mut lua_State, at: c_int) -> *mut lua_State {
    // SAFETY: reads an argument; `luaL_argerror` does not return.
    unsafe {
        let co = ffi::lua_tothread(state, at);
        if co.is_null() {
            type_error(state, at, c"coroutine");
        }
        co
    }
}

/// Outcome of resuming a coroutine.
#[derive(Clone, Copy)]
enum Advance {
    /// Number of values that it has yielded or returned, which are on the stack.
    Values(c_int),
    /// Error, which is on the stack: raised by it, or that it cannot be resumed.
    Failed,
    /// Wait for the driver; marker and handle are on the stack.
    Waits,
}

/// Pushes the message of a coroutine that cannot be resumed.
///
/// # Safety
/// `state` must be that of the running function.
unsafe fn refusal(state: *mut lua_State, message: &CStr) -> Advance {
    // SAFETY: a C function has `LUA_MINSTACK` slots free.
    unsafe { ffi::lua_pushstring(state, message.as_ptr()) };
    Advance::Failed
}

/// Resumes `co` with the topmost `count` values of `state`, until it yields values of the script.
///
/// # Safety
/// `state` must be that of the running function.
unsafe fn advance(state: *mut lua_State, co: *mut lua_State, mut count: c_int) -> Advance {
    // SAFETY: plain use of the Lua API within its stack discipline. `lua_resume` catches every
    // error of the coroutine, so that the chain is always restored.
    unsafe {
        if ffi::lua_checkstack(co, count.max(2)) == 0 {
            return refusal(state, c"too many arguments to resume");
        }
        ffi::lua_xmove(state, co, count);
        loop {
            let mut values = 0;
            let depth = cancel::enter(co);
            let status = ffi::lua_resume(co, state, count, &raw mut values);
            cancel::leave(depth);
            if status != ffi::LUA_OK && status != ffi::LUA_YIELD {
                ffi::lua_xmove(co, state, 1);
                return Advance::Failed;
            }
            if !is_waiting(co) {
                if ffi::lua_checkstack(state, values + 1) == 0 {
                    ffi::lua_pop(co, values);
                    return refusal(state, c"too many results to resume");
                }
                ffi::lua_xmove(co, state, values);
                return Advance::Values(values);
            }
            ffi::luaL_checkstack(state, 4, c"too many nested calls".as_ptr());
            if ffi::lua_isyieldable(state) != 0 {
                for at in [-2, -2] {
                    ffi::lua_pushvalue(co, at);
                }
                ffi::lua_xmove(co, state, 2);
                return Advance::Waits;
            }
            let is_exit = ffi::lua_touserdata(co, -2) == driver::exit_marker().0;
            let function = if is_exit { &raw const EXIT } else { &raw const BLOCK };
            ffi::lua_rawgetp(state, ffi::LUA_REGISTRYINDEX, function.cast());
            ffi::lua_pushvalue(co, -1);
            ffi::lua_xmove(co, state, 1);
            ffi::lua_call(state, 1, 0);
            if is_exit {
                // The stop arrives before the next instruction of Lua.
                ffi::lua_pushlightuserdata(state, cancel::stopped().0);
                ffi::lua_error(state);
            }
            count = 0;
        }
    }
}

/// Yields the two topmost values, and continues with that function once it is resumed.
///
/// # Safety
/// `state` must be that of the running function.
unsafe fn pass_on(state: *mut lua_State, continuation: ffi::lua_KFunction) -> c_int {
    unsafe extern "C-unwind" fn yield_all(state: *mut lua_State) -> c_int {
        // SAFETY: yields all arguments.
        unsafe { ffi::lua_yieldk(state, ffi::lua_gettop(state), 0, None) }
    }
    // SAFETY: plain use of the Lua API within its stack discipline. The yield is in a frame of its
    // own, because mlua clears the frame in which a coroutine has yielded.
    unsafe {
        ffi::lua_pushcfunction(state, yield_all);
        ffi::lua_insert(state, -3);
        ffi::lua_callk(state, 2, 0, 0, Some(continuation));
        continuation(state, ffi::LUA_OK, 0)
    }
}

/// Check that a suspended coroutine is the driver's to resume.
///
/// # Safety
/// `co` must be live.
unsafe fn is_of_driver(co: *mut lua_State) -> bool {
    // SAFETY: as its own contract says.
    unsafe { is_owned(co) || is_waiting(co) }
}

/// `coroutine.resume`.
unsafe extern "C-unwind" fn resume(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline.
    unsafe {
        let co = thread_argument(state, 1);
        let outcome = if co != state && is_of_driver(co) {
            refusal(state, c"cannot resume non-suspended coroutine")
        } else {
            advance(state, co, ffi::lua_gettop(state) - 1)
        };
        finish_resume(state, outcome)
    }
}

/// Continuation of `coroutine.resume` after the wait of its coroutine.
unsafe extern "C-unwind" fn resume_again(
    state: *mut lua_State,
    _: c_int,
    _: ffi::lua_KContext,
) -> c_int {
    // SAFETY: the coroutine is still the first value on the stack.
    unsafe {
        ffi::lua_settop(state, 1);
        let outcome = advance(state, ffi::lua_tothread(state, 1), 0);
        finish_resume(state, outcome)
    }
}

/// Results of `coroutine.resume`.
///
/// # Safety
/// `state` must be that of the running function.
unsafe fn finish_resume(state: *mut lua_State, outcome: Advance) -> c_int {
    // SAFETY: inserts one value below the results, for which `advance` has left room.
    unsafe {
        let (is_success, values) = match outcome {
            Advance::Values(values) => (1, values),
            Advance::Failed => (0, 1),
            Advance::Waits => return pass_on(state, resume_again),
        };
        ffi::lua_pushboolean(state, is_success);
        ffi::lua_insert(state, -(values + 1));
        values + 1
    }
}

/// `coroutine.wrap`.
unsafe extern "C-unwind" fn wrap(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
        let co = ffi::lua_newthread(state);
        ffi::lua_pushvalue(state, 1);
        ffi::lua_xmove(state, co, 1);
        ffi::lua_pushcclosure(state, call, 1);
        1
    }
}

/// Function that `coroutine.wrap` returns. Its upvalue is the coroutine.
unsafe extern "C-unwind" fn call(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalue is a coroutine.
    unsafe {
        let co = ffi::lua_tothread(state, ffi::lua_upvalueindex(1));
        let outcome = if is_waiting(co) {
            refusal(state, c"cannot resume non-suspended coroutine")
        } else {
            advance(state, co, ffi::lua_gettop(state))
        };
        finish_call(state, co, outcome)
    }
}

/// Continuation of the function that `coroutine.wrap` returns, after the wait of its coroutine.
unsafe extern "C-unwind" fn call_again(
    state: *mut lua_State,
    _: c_int,
    _: ffi::lua_KContext,
) -> c_int {
    // SAFETY: the upvalue is a coroutine.
    unsafe {
        ffi::lua_settop(state, 0);
        let co = ffi::lua_tothread(state, ffi::lua_upvalueindex(1));
        let outcome = advance(state, co, 0);
        finish_call(state, co, outcome)
    }
}

/// Results of the function that `coroutine.wrap` returns, or its error with the position of the
/// call.
///
/// # Safety
/// `state` must be that of the running function.
unsafe fn finish_call(state: *mut lua_State, co: *mut lua_State, outcome: Advance) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline. `lua_error` does not return.
    unsafe {
        match outcome {
            Advance::Values(values) => return values,
            Advance::Waits => return pass_on(state, call_again),
            Advance::Failed => {}
        }
        let status = ffi::lua_status(co);
        if status != ffi::LUA_OK && status != ffi::LUA_YIELD {
            // Its variables with `<close>` are closed, which can replace the error.
            let depth = cancel::enter(co);
            ffi::lua_closethread(co, state);
            cancel::leave(depth);
            ffi::lua_xmove(co, state, 1);
        }
        if status != ffi::LUA_ERRMEM && ffi::lua_type(state, -1) == ffi::LUA_TSTRING {
            ffi::luaL_where(state, 1);
            ffi::lua_insert(state, -2);
            ffi::lua_concat(state, 2);
        }
        ffi::lua_error(state)
    }
}

/// Status of a coroutine for a script.
///
/// # Safety
/// Both states must be live, and `state` that of the running function.
unsafe fn status_of(state: *mut lua_State, co: *mut lua_State) -> &'static CStr {
    // SAFETY: reads only. A zeroed `lua_Debug` is valid, and is not read.
    unsafe {
        if co == state {
            return c"running";
        }
        match ffi::lua_status(co) {
            ffi::LUA_YIELD if is_of_driver(co) => c"normal",
            ffi::LUA_YIELD => c"suspended",
            ffi::LUA_OK => {
                let mut frame: ffi::lua_Debug = std::mem::zeroed();
                if ffi::lua_getstack(co, 0, &raw mut frame) != 0 {
                    c"normal"
                } else if ffi::lua_gettop(co) == 0 {
                    c"dead"
                } else if is_owned(co) {
                    c"normal"
                } else {
                    c"suspended"
                }
            }
            _ => c"dead",
        }
    }
}

/// `coroutine.status`.
unsafe extern "C-unwind" fn status(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline.
    unsafe {
        let co = thread_argument(state, 1);
        ffi::lua_pushstring(state, status_of(state, co).as_ptr());
        1
    }
}

/// `coroutine.close`.
unsafe extern "C-unwind" fn close(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline. `lua_closethread` catches every
    // error, so that the chain is always restored.
    unsafe {
        let co = thread_argument(state, 1);
        let status = status_of(state, co);
        if status != c"suspended" && status != c"dead" {
            return ffi::luaL_error(
                state,
                c"cannot close a %s coroutine".as_ptr(),
                status.as_ptr(),
            );
        }
        let depth = cancel::enter(co);
        let outcome = ffi::lua_closethread(co, state);
        cancel::leave(depth);
        if outcome == ffi::LUA_OK {
            ffi::lua_pushboolean(state, 1);
            return 1;
        }
        ffi::lua_pushboolean(state, 0);
        ffi::lua_xmove(co, state, 1);
        2
    }
}

/// `coroutine.yield`.
unsafe extern "C-unwind" fn yield_(state: *mut lua_State) -> c_int {
    // SAFETY: yields all arguments, or raises.
    unsafe {
        if is_owned(state) {
            return ffi::luaL_error(state, c"attempt to yield from outside a coroutine".as_ptr());
        }
        ffi::lua_yieldk(state, ffi::lua_gettop(state), 0, None)
    }
}

/// `coroutine.isyieldable`.
unsafe extern "C-unwind" fn isyieldable(state: *mut lua_State) -> c_int {
    // SAFETY: plain use of the Lua API within its stack discipline.
    unsafe {
        let given = ffi::lua_tothread(state, 1);
        let co = if given.is_null() { state } else { given };
        ffi::lua_pushboolean(state, c_int::from(!is_owned(co) && ffi::lua_isyieldable(co) != 0));
        1
    }
}

/// `coroutine.running`.
unsafe extern "C-unwind" fn running(state: *mut lua_State) -> c_int {
    // SAFETY: pushes two values.
    unsafe {
        ffi::lua_pushthread(state);
        ffi::lua_pushboolean(state, c_int::from(is_owned(state)));
        2
    }
}
