//! The Lua VM: its environment, execution and cancellation of scripts, and conversion of their
//! failures to errors. AWS is reached only through the gate of the VM.

pub mod arguments;
mod base_library;
mod bind;
mod budget;
mod bulk;
mod c_functions;
pub mod cancel;
mod convert;
mod coroutines;
mod csv_text;
mod driver;
mod entry;
pub mod fakes;
mod folders;
mod host;
mod http;
mod manifest;
pub(crate) mod mistakes;
pub(crate) mod net;
mod offers;
mod open_beneath;
mod page;
pub mod processes;
mod prompt;
mod regexes;
pub mod sandbox;
pub mod scopes;
mod source;
mod stdio;
mod stoppable;
mod syntax;
pub mod tokens;
mod usage;

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use mlua::state::{GcGenParams, GcMode};
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
pub use manifest::{CatchUp, JobSpec, Manifest, OnFailure, Param};
pub use offers::{AtOnce, Background, Offer};
pub use prompt::{FoundKind, NameCompletion, Prompt};
use sandbox::Permissions;
pub use syntax::{SyntaxError, check as check_syntax};

/// Format of results.
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
    /// Name on the command line.
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

/// Output of a script.
#[allow(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Output {
    /// Results.
    pub out: Box<dyn Write>,
    /// Everything else.
    pub err: Box<dyn Write>,
    /// Moments at which results are flushed.
    pub buffering: Buffering,
    /// Presence of a screen behind the results, which shows progress bars too.
    pub is_on_screen: bool,
    /// Presence of a terminal behind the results, which interprets control sequences.
    pub is_terminal: bool,
    /// Presence of bytes that may not be flushed yet.
    pub is_pending: bool,
    /// Position after bytes that end no line.
    pub is_in_line: bool,
}

/// Moments at which output is flushed, besides the end of a run, a wait and a read of input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Buffering {
    /// When the buffer is full.
    #[default]
    Full,
    /// At the end of each line.
    Line,
    /// After each write.
    None,
}

impl Output {
    /// Buffered output, not to a terminal.
    #[must_use]
    pub fn new(out: Box<dyn Write>, err: Box<dyn Write>) -> Self {
        Self {
            out,
            err,
            buffering: Buffering::Full,
            is_on_screen: false,
            is_terminal: false,
            is_pending: false,
            is_in_line: false,
        }
    }

    /// Notes that a person has typed a line at the terminal, or else ended the input: Ctrl-D leaves
    /// the line of the question open.
    fn answered(&mut self, is_line: bool) {
        let is_open = std::mem::take(&mut self.is_in_line);
        if is_open && !is_line && self.is_terminal {
            // A failure is reported by the next write.
            let _ = self.write(b"\n").and_then(|()| self.flush());
        }
    }

    /// Writes the printed text of a script, in which only line ends, tabs and colours act on a
    /// terminal.
    fn print(&mut self, text: &[u8]) -> io::Result<()> {
        if self.is_terminal { self.write(&escape::printable(text)) } else { self.write(text) }
    }

    /// Writes bytes unchanged.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.is_pending = true;
        if let Some(last) = bytes.last() {
            self.is_in_line = *last != b'\n';
        }
        self.out.write_all(bytes)?;
        match self.buffering {
            Buffering::None => self.flush(),
            Buffering::Line if bytes.contains(&b'\n') => self.flush(),
            Buffering::Line | Buffering::Full => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.is_pending) {
            return Ok(());
        }
        // Progress bars are hidden only where the output is on the screen too.
        if self.is_on_screen { terminal::aside(|| self.out.flush()) } else { self.out.flush() }
    }
}

/// Asks a person to confirm a grant; `None` when there is nobody to ask.
pub type Confirm = Box<dyn Fn(&str) -> Option<bool>>;

/// Receiver of the messages of `log`, in place of standard error: severity, text, and fields by
/// name.
pub type Log = Box<dyn Fn(&str, &str, Vec<(String, serde_json::Value)>)>;

/// Receiver of a manifest; `None` until the script has declared it.
pub type Declared = Rc<RefCell<Option<Manifest>>>;

/// Configuration of a VM.
pub struct VmConfig {
    /// Gate to AWS.
    pub gate: Gate,
    /// Runtime of the calls.
    pub runtime: tokio::runtime::Handle,
    /// Canceller of the script.
    pub canceller: Canceller,
    /// Name of the script in messages.
    pub script: String,
    /// Folder in which `require` finds modules.
    pub folder: Option<PathBuf>,
    /// Arguments of the script.
    pub args: Arguments,
    /// Permissions of the script.
    pub permissions: Permissions,
    /// Maximum size of Lua values in bytes.
    pub max_memory: usize,
    /// Format of results.
    pub format: Format,
    /// Display of bulk work in progress.
    pub show: Show,
    /// Width of the terminal for results, in columns.
    pub width: Option<u16>,
    /// Names that a runbook's parameters cannot have, because the command line uses them.
    pub reserved: Vec<String>,
    /// Minimum severity of messages that `log` shows.
    pub log_level: &'static str,
    /// Asks a person to confirm a grant.
    pub confirm: Confirm,
    /// Clock of the script.
    pub clock: Clock,
    /// Presence of a standard input for the script; otherwise it is empty.
    pub has_input: bool,
    /// Record of the files that it reads.
    pub seen: ReadSet,
    /// Receiver of the messages of `log`, if not standard error.
    pub log: Option<Log>,
}

impl VmConfig {
    /// Stops the script after that time, unless the returned timer is dropped before.
    #[must_use]
    pub fn stop_after(&self, time: Duration, waker: Waker) -> Timer {
        let (canceller, session) = (self.canceller.clone(), Arc::clone(self.gate.session()));
        let (round, (timer, dropped)) = (canceller.round(), channel());
        // A separate thread keeps the time, even if all others are blocked.
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

/// Timeout of a script; dropping it cancels the timeout.
pub type Timer = Sender<()>;

/// End of a script without an error of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Ran to its end.
    Finished,
    /// Called `os.exit` with that code.
    Exit(u8),
    /// Lost the reader of its output.
    OutputClosed,
}

/// A Lua VM.
pub struct Vm {
    lua: Lua,
    host: Rc<Host>,
    main: Function,
    /// First value returned by the last call.
    returned: RefCell<Option<LuaValue>>,
}

impl Vm {
    /// VM with the complete environment of scripts.
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
        // SAFETY: `io`, `os`, `debug` and loading bytecode are unsafe in the hands of scripts; the
        // prelude replaces them before any script runs.
        #[allow(unsafe_code)]
        let lua = unsafe { Lua::unsafe_new_with(libraries, LuaOptions::default()) };
        // Everything that is created during setup is permanent.
        lua.gc_stop();
        let max_memory = setup.max_memory;
        let output = Rc::new(RefCell::new(output));
        let flushed = Rc::clone(&output);
        let before_sleep = Box::new(move || {
            // A failure is reported by the next write.
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
            manifest_receiver: RefCell::default(),
            opening: RefCell::default(),
            timers: RefCell::default(),
            is_output_redirected: Cell::default(),
            has_wrong_manifest: Cell::default(),
            write_failure: RefCell::default(),
            sources: RefCell::default(),
        });
        let main = prepare(&lua, &host)
            .map_err(|error| Error::new(Kind::Bug, format!("the prelude failed: {error}")))?;
        lua.gc_restart();
        // As in the program `lua`: most values of a script are short-lived.
        lua.gc_set_mode(GcMode::Generational(GcGenParams::default()));
        lua.set_memory_limit(max_memory)
            .map_err(|error| Error::new(Kind::Bug, error.to_string()))?;
        Ok(Self { lua, host, main, returned: RefCell::default() })
    }

    /// Runs a file of `stdlib/` that scripts cannot require, with additional host functions; its
    /// definitions are globals. Returns the function that the file returns.
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

    /// Makes `runbook { … }` store the manifest there and end the script.
    pub fn ask_for_manifest(&self, answer: Declared) {
        *self.host.manifest_receiver.borrow_mut() = Some(answer);
    }

    /// Waker of the VM, to be used after it was told to stop.
    #[must_use]
    pub fn waker(&self) -> Waker {
        self.host.driver.waker()
    }

    /// Stops the script after that time.
    pub fn stop_after(&self, time: Duration) {
        self.host.stop_after(time);
    }

    /// Runs a script with all of its tasks to its end.
    ///
    /// # Errors
    /// A syntax error with its line, an uncaught error of the script, an interrupt, or a timeout.
    pub fn run(&self, source: &[u8], name: &str) -> Result<Ending> {
        let chunk = syntax::load(&self.lua, source, name)?;
        self.host.sources.borrow_mut().keep(name, source);
        let args: MultiValue = {
            let setup = self.host.setup.borrow();
            let args = setup.args.words.iter().map(|arg| self.lua.create_string(arg));
            let args: mlua::Result<_> = args.map(|arg| arg.map(LuaValue::String)).collect();
            args.map_err(|error| lua_failure(&error))?
        };
        let ending = self.call(chunk, args);
        self.check_claimed(ending).and_then(|ending| self.with_failed_items(ending))
    }

    /// Value returned by the last run, as JSON; `None` if there is none, or if JSON cannot hold it.
    #[must_use]
    pub fn returned(&self) -> Option<serde_json::Value> {
        let value = self.returned.borrow_mut().take()?;
        convert::json_from_lua(&self.lua, &value).ok()
    }

    /// Makes functions of the embedding program global.
    ///
    /// # Errors
    /// If a name is taken in the environment of scripts.
    pub fn define(&self, functions: Vec<(String, offers::AtOnce)>) -> Result<()> {
        offers::define(&self.lua, &self.host, functions)
    }

    /// Ending of a script that has declared its options, or the error of an undeclared option.
    pub(crate) fn check_claimed(&self, ending: Result<Ending>) -> Result<Ending> {
        let from_outside =
            |error: &Error| matches!(error.kind, Kind::Interrupted | Kind::Timeout | Kind::Bug);
        let says_more = |error: &Error| {
            from_outside(error)
                || (self.host.has_wrong_manifest.get() && error.kind == Kind::Argument)
        };
        match self.host.check_arguments() {
            Err(error) if !ending.as_ref().is_err_and(says_more) => Err(error),
            _ => ending,
        }
    }

    /// Runs a function with all of its tasks to its end. Failed items of bulk work are left to the
    /// caller.
    ///
    /// # Errors
    /// An uncaught error of the function, an interrupt, or a timeout.
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

    /// Calls the first value with the others, and runs it and its tasks to their end. An uncaught
    /// error is also stored unchanged in `raised`.
    fn drive(&self, values: MultiValue, raised: &mut LuaValue) -> Result<Ending> {
        let main =
            self.lua.create_thread(self.main.clone()).map_err(|error| lua_failure(&error))?;
        let returned = self.host.driver.run(&self.lua, &main, values);
        let stop = self.host.setup.borrow().canceller.reason();
        if let Some(stop) = stop {
            self.report_stopped();
            if stop == Stop::TaskFailed {
                self.failed_task()?;
            }
            if let Some(failure) = self.host.driver.take_closing_failure() {
                *raised = failure;
                return Err(convert::error_from_lua(raised));
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

    /// Ending of a script, or the error of its failed items of bulk work.
    fn with_failed_items(&self, ending: Ending) -> Result<Ending> {
        match (ending, self.host.board.failure()) {
            (Ending::Finished, Some(failure)) => Err(failure),
            (ending, _) => Ok(ending),
        }
    }

    /// Reports the completed and remaining items of bulk work that was stopped.
    fn report_stopped(&self) {
        // Lua executes nothing any more, but its tables can be read.
        let names = self.under_way().unwrap_or_default();
        let mut output = self.host.output.borrow_mut();
        for text in self.host.board.stopped() {
            let _ = writeln!(output.err, "{text}");
        }
        if !names.is_empty() {
            let _ = writeln!(output.err, "under way when it was stopped: {}", names.join(", "));
        }
    }

    /// Names of the first items that were in progress.
    fn under_way(&self) -> mlua::Result<Vec<String>> {
        const MAX_NAMES: usize = 16;
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
                names.extend(name.filter(|_| names.len() < MAX_NAMES));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Error of a task that nobody has waited for, if there is one.
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

/// Error of a script that exceeded its timeout.
#[must_use]
pub fn timed_out() -> Error {
    Error::new(Kind::Timeout, "the run took longer than its timeout allows")
        .hint("give it more with --timeout, or `timeout` in the manifest")
}

/// Error of a failure that Lua code could not catch: out of memory, or a deadlock of all tasks.
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

    let source = stdlib::source("prelude.lua")
        .ok_or_else(|| mlua::Error::runtime("stdlib/prelude.lua is missing"))?;
    lua.load(&*source).set_name("=[iamlua:prelude]").call(table)
}
