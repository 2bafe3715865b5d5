//! The Lua VM: what a script finds in it, how it runs, how it is stopped, and how its failures come back as our errors. AWS is
//! reached only through the gate that it is given.

pub mod arguments;
mod bind;
mod budget;
mod bulk;
pub mod cancel;
mod convert;
mod driver;
mod entry;
pub mod fakes;
mod host;
mod manifest;
pub(crate) mod net;
mod offers;
mod open_beneath;
pub mod processes;
mod prompt;
pub mod sandbox;
pub mod scopes;
mod source;
mod stoppable;
mod syntax;
pub mod tokens;
mod usage;

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use mlua::{Function, IntoLuaMulti, Lua, LuaOptions, MultiValue, StdLib, Table, Value as LuaValue};

use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::escape;
use crate::files::read_set::ReadSet;
use crate::session::Gate;
use crate::stdlib;
use crate::ui::terminal;
use arguments::Arguments;
use budget::MemoryBudget;
use bulk::ProgressBoard;
pub use bulk::{Show, calls_text, throttled_text};
use cancel::{Canceller, Stop};
use driver::Driver;
pub use driver::Waker;
pub use entry::without_locals;
use host::Host;
pub use manifest::{CatchUp, Job, Manifest, OnFailure};
pub use offers::{AtOnce, Background, Offer};
pub use prompt::{Found, FoundKind, Prompt};
use sandbox::Permissions;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON array.
    Json,
    /// One JSON value a line.
    Jsonl,
    /// Comma-separated values with a line of headings.
    Csv,
}

impl Format {
    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

/// Where a script's output goes.
pub struct Output {
    /// Results.
    pub out: Box<dyn Write>,
    /// Everything else.
    pub err: Box<dyn Write>,
    /// Whether each line of results should be seen at once: there is a person at a terminal.
    pub by_line: bool,
    /// Presence of a terminal behind the results, which obeys what it is sent.
    pub is_terminal: bool,
    /// Whether something was written that may not be seen yet.
    pub is_pending: bool,
}

impl Output {
    /// Writes what a script prints, of which nothing but line ends, tabs and colours acts on a
    /// terminal.
    fn print(&mut self, text: &[u8]) -> io::Result<()> {
        if self.is_terminal { self.write(&escape::printable(text)) } else { self.write(text) }
    }

    /// Writes bytes as they are.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.is_pending = true;
        self.out.write_all(bytes)?;
        if self.by_line && bytes.ends_with(b"\n") { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.is_pending) {
            return Ok(());
        }
        // Bars are in the way only where what is written is on the screen too.
        if self.by_line { terminal::aside(|| self.out.flush()) } else { self.out.flush() }
    }
}

/// Asks a person whether something may be granted; `None` when there is nobody to ask.
pub type Confirm = Box<dyn Fn(&str) -> Option<bool>>;

/// Takes the messages of `log` instead of standard error: how severe one is, its text, and its fields by name.
pub type Log = Box<dyn Fn(&str, &str, Vec<(String, serde_json::Value)>)>;

/// Where a manifest goes; `None` until the script has declared itself.
pub type Declared = Rc<RefCell<Option<Manifest>>>;

/// What a VM is made with.
pub struct VmConfig {
    /// The way to AWS.
    pub gate: Gate,
    /// Where calls run.
    pub runtime: tokio::runtime::Handle,
    /// What stops the script.
    pub canceller: Canceller,
    /// The script's name in messages.
    pub script: String,
    /// The folder whose modules `require` finds.
    pub folder: Option<PathBuf>,
    /// The script's own arguments.
    pub args: Arguments,
    /// What the script may touch.
    pub permissions: Permissions,
    /// The most bytes of Lua values.
    pub max_memory: usize,
    /// How results are written.
    pub format: Format,
    /// How bulk work is shown while it goes on.
    pub show: Show,
    /// The width of the terminal that results are shown on, in columns.
    pub width: Option<u16>,
    /// The names that a runbook's parameters cannot have, because the command line has them.
    pub reserved: Vec<String>,
    /// The least severe messages that `log` shows.
    pub log_level: &'static str,
    /// Asks a person.
    pub confirm: Confirm,
    /// What time it is for the script.
    pub clock: Clock,
    /// Whether there is a standard input for the script; else it is empty.
    pub has_input: bool,
    /// Which files it looks at.
    pub seen: ReadSet,
    /// Who takes the messages of `log`, if not standard error.
    pub log: Option<Log>,
}

impl VmConfig {
    /// Stops the script after that time, unless what is returned is dropped before.
    #[must_use]
    pub fn stop_after(&self, time: Duration, waker: Waker) -> Timer {
        let (canceller, session) = (self.canceller.clone(), Arc::clone(self.gate.session()));
        let (round, (timer, dropped)) = (canceller.round(), channel());
        // A thread of its own keeps the time, whatever the others wait for.
        std::thread::spawn(move || {
            let is_over = dropped.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
            if is_over && canceller.round() == round {
                session.close();
                canceller.stop(Stop::Timeout);
                waker.wake();
                canceller.watch_for_overdue(round);
            }
        });
        timer
    }
}

/// Keeps the time of a script that may not take longer, as long as it lives.
pub type Timer = Sender<()>;

/// How a script ended without an error of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It ran to its end.
    Finished,
    /// It called `os.exit` with that code.
    Exit(u8),
    /// Nobody reads its output any more.
    OutputClosed,
}

/// A Lua VM.
pub struct Vm {
    lua: Lua,
    host: Rc<Host>,
    main: Function,
    /// First value that the last call has returned.
    returned: RefCell<Option<LuaValue>>,
}

impl Vm {
    /// A VM with everything that scripts find in it.
    ///
    /// # Errors
    /// A bug in the embedded Lua files, or a memory limit that is too small for them.
    pub fn new(setup: VmConfig, output: Output) -> Result<Self> {
        let libraries = StdLib::COROUTINE
            | StdLib::TABLE
            | StdLib::STRING
            | StdLib::UTF8
            | StdLib::MATH
            | StdLib::OS
            | StdLib::IO
            | StdLib::DEBUG;
        // SAFETY: `io`, `os`, `debug` and loading bytecode are unsafe in the hands of scripts; the prelude replaces them before any script runs.
        #[allow(unsafe_code)]
        let lua = unsafe { Lua::unsafe_new_with(libraries, LuaOptions::default()) };
        // What is made now stays.
        lua.gc_stop();
        let max_memory = setup.max_memory;
        let output = Rc::new(RefCell::new(output));
        let flushed = Rc::clone(&output);
        let before_sleep = Box::new(move || {
            // A failure shows at the next write.
            let _ = flushed.borrow_mut().flush();
        });
        let driver = Driver::new(setup.runtime.clone(), setup.canceller.clone(), before_sleep);
        let board = ProgressBoard::new(setup.show, Arc::clone(setup.gate.session()));
        let session = Arc::clone(setup.gate.session());
        lua.set_app_data(MemoryBudget::new(max_memory, session, setup.canceller.clone()));
        let setup = RefCell::new(setup);
        let host = Rc::new(Host {
            setup,
            driver,
            output,
            board,
            asked: RefCell::default(),
            opening: RefCell::default(),
            timers: RefCell::default(),
        });
        let main = prepare(&lua, &host)
            .map_err(|error| Error::new(Kind::Bug, format!("the prelude failed: {error}")))?;
        lua.gc_restart();
        lua.set_memory_limit(max_memory)
            .map_err(|error| Error::new(Kind::Bug, error.to_string()))?;
        Ok(Self { lua, host, main, returned: RefCell::default() })
    }

    /// Runs a file of `stdlib/` that scripts do not find, with functions of the host's own; what it defines are globals. Returns what it
    /// returns, which is a function.
    ///
    /// # Errors
    /// A bug in the file.
    pub fn extend(&self, file: &str, offers: Vec<(&'static str, Offer)>) -> Result<Function> {
        let bug = |why: String| Error::new(Kind::Bug, format!("stdlib/{file}: {why}"));
        let source = stdlib::source(file).ok_or_else(|| bug("it is missing".into()))?;
        let name = format!("=[iamlua:{}]", file.trim_end_matches(".lua"));
        let run = || {
            let host: Table = self.lua.named_registry_value("iamlua.host")?;
            let offers = offers::table(&self.lua, &self.host, offers)?;
            self.lua.load(&*source).set_name(name).call((host, offers))
        };
        run().map_err(|error: mlua::Error| bug(error.to_string()))
    }

    /// Makes `runbook { … }` say what it allows, there, and end the script.
    pub fn ask_for_manifest(&self, answer: Declared) {
        *self.host.asked.borrow_mut() = Some(answer);
    }

    /// What wakes the VM after it was told to stop while it waits.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.host.driver.waker()
    }

    /// Stops the script after that time.
    pub fn stop_after(&self, time: Duration) {
        self.host.stop_after(time);
    }

    /// Runs a script to its end, with all of its tasks.
    ///
    /// # Errors
    /// A syntax error with its line, what the script raised and did not catch, an interrupt, or a timeout.
    pub fn run(&self, source: &[u8], name: &str) -> Result<Ending> {
        let chunk = syntax::load(&self.lua, source, name)?;
        let args: MultiValue = {
            let setup = self.host.setup.borrow();
            let args = setup.args.words.iter().map(|arg| self.lua.create_string(arg));
            let args: mlua::Result<_> = args.map(|arg| arg.map(LuaValue::String)).collect();
            args.map_err(|error| lua_failure(&error))?
        };
        let ending = self.call(chunk, args);
        self.check_claimed(ending).and_then(|ending| self.with_failed_items(ending))
    }

    /// Value that the last run has returned, as JSON; `None` if it returned nothing, or something
    /// that JSON cannot hold.
    #[must_use]
    pub fn returned(&self) -> Option<serde_json::Value> {
        let value = self.returned.borrow_mut().take()?;
        convert::json_from_lua(&self.lua, &value).ok()
    }

    /// Makes functions of the embedding program global.
    ///
    /// # Errors
    /// If a script finds something else by that name.
    pub fn define(&self, functions: Vec<(String, offers::AtOnce)>) -> Result<()> {
        offers::define(&self.lua, &self.host, functions)
    }

    /// The end of a script that has declared its options, or the error that it has not.
    pub(crate) fn check_claimed(&self, ending: Result<Ending>) -> Result<Ending> {
        let from_outside =
            |error: &Error| matches!(error.kind, Kind::Interrupted | Kind::Timeout | Kind::Bug);
        match self.host.check_arguments() {
            Err(error) if !ending.as_ref().is_err_and(from_outside) => Err(error),
            _ => ending,
        }
    }

    /// Runs a function to its end, with all of its tasks. Items of bulk work that have failed are its own affair.
    ///
    /// # Errors
    /// What it raised and did not catch, an interrupt, or a timeout.
    pub fn call(&self, function: Function, args: impl IntoLuaMulti) -> Result<Ending> {
        let mut values = args.into_lua_multi(&self.lua).map_err(|error| lua_failure(&error))?;
        values.push_front(LuaValue::Function(function));
        let ending = self.drive(values, &mut LuaValue::Nil);
        let flushed = self.host.output.borrow_mut().flush();
        match (ending, flushed) {
            (Ok(ending), Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                let _ = ending;
                Err(Error::io("cannot write to standard output", error))
            }
            (ending, _) => ending,
        }
    }

    /// Calls the first of the values with the others, and runs it and its tasks to their end. What it raises is also in `raised`, as it is.
    fn drive(&self, values: MultiValue, raised: &mut LuaValue) -> Result<Ending> {
        let main =
            self.lua.create_thread(self.main.clone()).map_err(|error| lua_failure(&error))?;
        let returned = self.host.driver.run(&main, values);
        let stop = self.host.setup.borrow().canceller.reason();
        if let Some(stop) = stop {
            self.tell_what_was_stopped();
            if stop == Stop::TaskFailed {
                self.failed_task()?;
            }
            return stopped(stop);
        }
        let returned = returned.map_err(|error| lua_failure(&error))?;
        let values = returned.unwrap_or_default();
        if values.front() != Some(&LuaValue::Boolean(true)) {
            *raised = values.get(1).cloned().unwrap_or(LuaValue::Nil);
            return Err(convert::error_from_lua(raised));
        }
        *self.returned.borrow_mut() = values.get(1).cloned();
        self.failed_task()
    }

    /// How a script has ended, in which bulk work may have failed.
    fn with_failed_items(&self, ending: Ending) -> Result<Ending> {
        match (ending, self.host.board.failure()) {
            (Ending::Finished, Some(failure)) => Err(failure),
            (ending, _) => Ok(ending),
        }
    }

    /// Says what is done and what is not of bulk work that was stopped.
    fn tell_what_was_stopped(&self) {
        // Lua runs nothing any more; its tables can be read.
        let names = self.under_way().unwrap_or_default();
        let mut output = self.host.output.borrow_mut();
        for text in self.host.board.stopped() {
            let _ = writeln!(output.err, "{text}");
        }
        if !names.is_empty() {
            let _ = writeln!(output.err, "under way when it was stopped: {}", names.join(", "));
        }
    }

    /// The names of the first items that were under way.
    fn under_way(&self) -> mlua::Result<Vec<String>> {
        const MOST: usize = 16;
        let host: Table = self.lua.named_registry_value("iamlua.host")?;
        let mut names = Vec::new();
        for work in host.raw_get::<Table>("works")?.pairs::<LuaValue, Table>() {
            let (_, work) = work?;
            for item in work.raw_get::<Table>("under_way")?.pairs::<LuaValue, LuaValue>() {
                let name = match item?.1 {
                    LuaValue::String(name) => Some(name.to_string_lossy()),
                    LuaValue::Table(item) => item.raw_get("name").ok(),
                    _ => None,
                };
                names.extend(name.filter(|_| names.len() < MOST));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The error of a task that nobody waited for, if there is one.
    fn failed_task(&self) -> Result<Ending> {
        let failed: mlua::Result<Option<LuaValue>> = self
            .lua
            .named_registry_value::<Table>("iamlua.host")
            .and_then(|host| host.raw_get::<Option<Table>>("failed"))
            .and_then(|task| {
                task.map(|task| task.raw_get::<Table>("result")?.raw_get(2)).transpose()
            });
        match failed {
            Ok(Some(error)) => Err(convert::error_from_lua(&error)),
            _ => Ok(Ending::Finished),
        }
    }
}

fn stopped(stop: Stop) -> Result<Ending> {
    match stop {
        Stop::Exit(code) => Ok(Ending::Exit(code)),
        Stop::OutputClosed => Ok(Ending::OutputClosed),
        Stop::TaskFailed => Err(Error::new(Kind::Script, "a task has failed")),
        Stop::Interrupted => Err(Error::new(Kind::Interrupted, "interrupted")),
        Stop::Timeout => Err(timed_out()),
    }
}

/// The error of a script that took too long.
#[must_use]
pub fn timed_out() -> Error {
    Error::new(Kind::Timeout, "the run took longer than its timeout allows")
        .hint("give it more with --timeout, or `timeout` in the manifest")
}

/// A failure that Lua code could not catch: out of memory, or all tasks waiting for each other.
fn lua_failure(error: &mlua::Error) -> Error {
    match error {
        mlua::Error::MemoryError(_) => budget::not_enough(),
        mlua::Error::RuntimeError(message) => Error::new(Kind::Script, message.clone()),
        other => Error::new(Kind::Bug, other.to_string()),
    }
}

/// Runs the prelude; returns the function that runs chunks.
fn prepare(lua: &Lua, host: &Rc<Host>) -> mlua::Result<Function> {
    let error_meta = lua.create_table()?;
    lua.set_named_registry_value(convert::ERROR_META, &error_meta)?;
    let array_meta = lua.create_table()?;
    array_meta.set("__name", "array")?;
    lua.set_named_registry_value(convert::ARRAY_META, &array_meta)?;
    let null = LuaValue::LightUserData(mlua::LightUserData(std::ptr::null_mut()));
    lua.set_named_registry_value(convert::NULL, &null)?;

    let table = host::table(lua, host)?;
    table.set("error_meta", error_meta)?;
    table.set("array_meta", array_meta)?;
    table.set("null", null)?;
    lua.set_named_registry_value("iamlua.host", &table)?;

    let coroutine: Table = lua.globals().get("coroutine")?;
    let tracked = |native: Function| -> mlua::Result<Function> {
        // SAFETY: the function follows Lua's protocol for C functions, and its only upvalue is set right here.
        #[allow(unsafe_code)]
        unsafe {
            lua.exec_raw(native, |state| mlua::ffi::lua_pushcclosure(state, cancel::tracked, 1))
        }
    };
    let (resume, close) = (tracked(coroutine.get("resume")?)?, tracked(coroutine.get("close")?)?);
    let source = stdlib::source("prelude.lua")
        .ok_or_else(|| mlua::Error::runtime("stdlib/prelude.lua is missing"))?;
    lua.load(&*source).set_name("=[iamlua:prelude]").call((table, resume, close))
}
