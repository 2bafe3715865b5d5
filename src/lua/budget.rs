//! What a script may cost on this side of Lua: the memory that `--max-memory` allows counts both sides, and what takes long here looks
//! whether the script must stop.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::sync::Arc;

use mlua::Lua;

use super::cancel::Canceller;
use crate::error::{Error, Kind, Result};
use crate::session::Session;

/// The most bytes that a script reads at once: a file, or what a program prints.
pub const LARGEST_READ: usize = 64 << 20;

/// What the error of a script says that holds too much.
pub const NOT_ENOUGH: &str = "not enough memory";
/// What it can do.
pub const HINT: &str =
    "the script holds more than --max-memory allows; iterate with each instead of collecting";

/// The memory of a VM, on both sides.
pub struct MemoryBudget {
    max: usize,
    session: Arc<Session>,
    canceller: Canceller,
}

impl MemoryBudget {
    /// The memory of a VM that may have so much.
    pub fn new(max: usize, session: Arc<Session>, canceller: Canceller) -> Self {
        Self { max, session, canceller }
    }

    /// So many bytes are left, when what the run has planned is counted too.
    pub fn left(lua: &Lua) -> usize {
        let memory = lua.app_data_ref::<Self>();
        memory.map_or(usize::MAX, |memory| {
            memory.max.saturating_sub(lua.used_memory() + memory.session.held_bytes())
        })
    }

    /// Refuses what needs more than is left.
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

/// The error of a script that holds too much.
pub fn not_enough() -> Error {
    Error::new(Kind::Script, NOT_ENOUGH).hint(HINT)
}

/// So many values are more than anybody writes at once; tables that are in several others count each time.
const MOST_VALUES: u32 = 1_000_000;

/// A walk through a value: what it may cost, and the tables that are open.
pub struct Walk<'a> {
    lua: &'a Lua,
    left: Cell<usize>,
    steps: Cell<u32>,
    open: RefCell<Vec<*const c_void>>,
}

impl<'a> Walk<'a> {
    /// A walk that may take all of the memory that is left.
    pub fn new(lua: &'a Lua) -> Self {
        let left = Cell::new(MemoryBudget::left(lua));
        Self { lua, left, steps: Cell::new(0), open: RefCell::default() }
    }

    /// Counts a value that takes so many bytes.
    ///
    /// # Errors
    /// If there are not so many left, or the script must stop.
    pub fn count(&self, bytes: usize) -> Result<()> {
        const OFTEN: u32 = 1 << 12;
        let steps = self.steps.get().saturating_add(1);
        self.steps.set(steps);
        if steps.is_multiple_of(OFTEN) && MemoryBudget::must_stop(self.lua) {
            return Err(Error::new(Kind::Script, "stopped"));
        }
        self.left.set(self.left.get().checked_sub(bytes).ok_or_else(not_enough)?);
        Ok(())
    }

    /// Counts a value that is written.
    ///
    /// # Errors
    /// As [`count`](Self::count), and if there were too many.
    pub fn count_value(&self, bytes: usize) -> Result<()> {
        self.count(bytes)?;
        if self.steps.get() > MOST_VALUES {
            let refusal = "there are more than 1,000,000 values in it, or a table that is in several others again and again";
            return Err(Error::argument(refusal));
        }
        Ok(())
    }

    /// Opens a table; false if it is open already, so that it holds itself.
    pub fn enter(&self, table: *const c_void) -> bool {
        let mut open = self.open.borrow_mut();
        if open.contains(&table) {
            return false;
        }
        open.push(table);
        true
    }

    /// Closes the table that was opened last.
    pub fn leave(&self) {
        self.open.borrow_mut().pop();
    }
}
