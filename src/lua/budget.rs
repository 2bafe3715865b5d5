//! Budget of a script on the Rust side: `--max-memory` limits the memory of both sides, and long
//! operations check for a stop.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlua::Lua;

use super::cancel::Canceller;
use crate::error::{Error, Kind, Result};
use crate::session::Session;

/// Maximum size in bytes of one read of a script: a file, or the output of a program.
pub const MAX_READ: usize = 64 << 20;

/// Message for a script that holds too much.
pub const NOT_ENOUGH: &str = "not enough memory";
/// Hint for a script that holds too much.
pub const HINT: &str =
    "the script holds more than --max-memory allows; iterate with each instead of collecting";

/// Memory limit of a VM, for both sides.
pub struct MemoryBudget {
    max: usize,
    session: Arc<Session>,
    canceller: Canceller,
    /// Bytes that calls in progress hold.
    reserved: Arc<AtomicUsize>,
}

/// Bytes that a call in progress holds, until this is dropped.
pub struct Reservation {
    reserved: Arc<AtomicUsize>,
    bytes: usize,
    /// Maximum of all reservations together.
    most: usize,
}

impl Reservation {
    /// Reserves more; false if too little is left.
    pub fn grow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.reserved.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.most
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.reserved.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl MemoryBudget {
    /// Memory limit of that many bytes.
    pub fn new(max: usize, session: Arc<Session>, canceller: Canceller) -> Self {
        Self { max, session, canceller, reserved: Arc::default() }
    }

    /// Reserves bytes for a call in progress, which can reserve more on other threads.
    ///
    /// # Errors
    /// The error of a script that holds too much.
    pub fn reserve(lua: &Lua, bytes: usize) -> Result<Reservation> {
        Self::check(lua, bytes)?;
        let left = Self::left(lua);
        let memory = lua.app_data_ref::<Self>();
        let reserved = memory.map(|memory| Arc::clone(&memory.reserved)).unwrap_or_default();
        let most = left.saturating_add(reserved.load(Ordering::Relaxed));
        reserved.fetch_add(bytes, Ordering::Relaxed);
        Ok(Reservation { reserved, bytes, most })
    }

    /// Number of bytes that are left; the recorded plan and calls in progress count as used.
    pub fn left(lua: &Lua) -> usize {
        let memory = lua.app_data_ref::<Self>();
        memory.map_or(usize::MAX, |memory| {
            let reserved = memory.reserved.load(Ordering::Relaxed);
            memory.max.saturating_sub(lua.used_memory() + memory.session.held_bytes() + reserved)
        })
    }

    /// Refuses an operation that needs more than is left.
    ///
    /// # Errors
    /// The error of a script that holds too much.
    pub fn check(lua: &Lua, bytes: usize) -> Result<()> {
        if bytes > Self::left(lua) { Err(not_enough()) } else { Ok(()) }
    }

    fn must_stop(lua: &Lua) -> bool {
        let memory = lua.app_data_ref::<Self>();
        memory.is_some_and(|memory| memory.canceller.reason().is_some())
    }
}

/// Error of a script that holds too much.
pub fn not_enough() -> Error {
    Error::new(Kind::Script, NOT_ENOUGH).hint(HINT)
}

/// Maximum number of values in one written value; shared tables count each time.
const MAX_VALUES: u32 = 1_000_000;

/// Traversal of a value: its remaining budget, and the enclosing tables.
pub struct Walk<'a> {
    lua: &'a Lua,
    left: Cell<usize>,
    steps: Cell<u32>,
    open: RefCell<Vec<*const c_void>>,
}

impl<'a> Walk<'a> {
    /// Traversal with all of the remaining memory as its budget.
    pub fn new(lua: &'a Lua) -> Self {
        let left = Cell::new(MemoryBudget::left(lua));
        Self { lua, left, steps: Cell::new(0), open: RefCell::default() }
    }

    /// Counts a value of that many bytes.
    ///
    /// # Errors
    /// If fewer bytes are left, or the script must stop.
    pub fn count(&self, bytes: usize) -> Result<()> {
        const CHECK_INTERVAL: u32 = 1 << 12;
        let steps = self.steps.get().saturating_add(1);
        self.steps.set(steps);
        if steps.is_multiple_of(CHECK_INTERVAL) && MemoryBudget::must_stop(self.lua) {
            return Err(Error::new(Kind::Script, "stopped"));
        }
        self.left.set(self.left.get().checked_sub(bytes).ok_or_else(not_enough)?);
        Ok(())
    }

    /// Counts a value that is written.
    ///
    /// # Errors
    /// As [`count`](Self::count), and if there are too many values.
    pub fn count_value(&self, bytes: usize) -> Result<()> {
        self.count(bytes)?;
        if self.steps.get() > MAX_VALUES {
            let refusal = "there are more than 1,000,000 values in it, or a table that is in several others again and again";
            return Err(Error::argument(refusal));
        }
        Ok(())
    }

    /// Enters a table; false if it is entered already, so that it contains itself.
    pub fn enter(&self, table: *const c_void) -> bool {
        let mut open = self.open.borrow_mut();
        if open.contains(&table) {
            return false;
        }
        open.push(table);
        true
    }

    /// Leaves the table that was entered last.
    pub fn leave(&self) {
        self.open.borrow_mut().pop();
    }
}
