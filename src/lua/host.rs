//! Host functions for the prelude and the modules of `stdlib/`. Scripts do not see this table.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::{AnyUserData, Function, Lua, LuaString, MultiValue, Table, Thread, Value as LuaValue};

use super::arguments;
use super::base_library;
use super::bind::{self, Connected, Pager};
use super::budget::{self, MAX_READ, MemoryBudget};
use super::bulk::{ItemOutcome, ProgressBoard, Tallied};
use super::cancel::{self, Stop};
use super::convert;
use super::coroutines;
use super::driver::{self, Driver};
use super::fakes::Fakes;
use super::manifest;
use super::mistakes::{self, Sources};
use super::net;
use super::open_beneath::Beneath;
use super::sandbox::{self, Access};
use super::{
    Buffering, Declared, Output, Timer, VmConfig, csv_text, folders, http, page, processes,
    regexes, source, stdio, stoppable, syntax, usage,
};
use crate::error::{Error, Kind, Result};
use crate::escape;
use crate::files::read_set::Fingerprint;
use crate::iam::{self, Entry, Implementation, Stride};
use crate::session::outside::{self, OpenMode, Recorder};
use crate::spec::{self, Returns, Value};
use crate::stdlib;
use crate::ui::table::{self, Column};
use crate::ui::terminal;

/// State that the host functions share.
pub(super) struct Host {
    pub setup: RefCell<VmConfig>,
    pub driver: Driver,
    pub output: Rc<RefCell<Output>>,
    pub board: Arc<ProgressBoard>,
    /// Receiver of the manifest, if the script runs only to declare it.
    pub manifest_receiver: RefCell<Option<Declared>>,
    /// The file that is being opened.
    pub opening: RefCell<Option<OwnedFd>>,
    /// Timers that stop the script; they end with it.
    pub timers: RefCell<Vec<Timer>>,
    /// Presence of another default output than standard output.
    pub is_output_redirected: Cell<bool>,
    /// Failure of the script's manifest, which says more than that its options are not declared.
    pub has_wrong_manifest: Cell<bool>,
    /// Error of the last failed write of a C function.
    pub write_failure: RefCell<Option<Error>>,
    /// Texts of the chunks that scripts consist of, for hints.
    pub sources: RefCell<Sources>,
}

impl Host {
    /// Refuses actions with effects while the command line has an option that nothing has declared.
    ///
    /// # Errors
    /// A usage error.
    pub fn check_arguments(&self) -> Result<()> {
        let setup = self.setup.borrow();
        setup.args.unclaimed.as_ref().map_or(Ok(()), |unclaimed| Err(unclaimed.error()))
    }

    /// Stops the script after that time.
    pub fn stop_after(&self, time: Duration) {
        let timer = self.setup.borrow().stop_after(time, self.driver.waker());
        self.timers.borrow_mut().push(timer);
    }
}

/// Table of the host functions.
///
/// Functions below `fallible` return `true, results…` or `false, error`; the prelude raises the
/// errors.
pub(super) fn table(lua: &Lua, host: &Rc<Host>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let fallible = lua.create_table()?;
    table.set("marker", driver::marker())?;
    table.set("exit_marker", driver::exit_marker())?;
    table.set("stopped", cancel::stopped())?;
    let shared = Rc::clone(host);
    let mode =
        lua.create_function(move |_, ()| Ok(shared.setup.borrow().gate.session().mode().name()))?;
    table.set("mode", mode)?;
    table.set("entries", entries(lua)?)?;
    calls(lua, host, &table, &fallible)?;
    waiting(lua, host, &table)?;
    bulk(lua, host, &table)?;
    text(lua, host, &table, &fallible)?;
    files(lua, host, &fallible)?;
    outside(lua, host, &table, &fallible)?;
    modules(lua, host, &table, &fallible)?;
    stoppable::functions(lua, &table, &host.setup.borrow().canceller)?;
    usage::functions(lua, host, &table, &fallible)?;
    csv_text::functions(lua, host, &table, &fallible)?;
    regexes::functions(lua, host, &fallible)?;
    http::functions(lua, host, &fallible)?;
    table.set("fallible", fallible)?;
    Ok(table)
}

/// Registers a function that can fail.
pub(super) fn add<F>(
    lua: &Lua,
    host: &Rc<Host>,
    table: &Table,
    name: &str,
    function: F,
) -> mlua::Result<()>
where
    F: Fn(&Lua, &Rc<Host>, MultiValue) -> Result<LuaValue> + 'static,
{
    let host = Rc::clone(host);
    let function =
        lua.create_function(move |lua, args: MultiValue| match function(lua, &host, args) {
            Ok(value) => Ok((true, value)),
            Err(error) => Ok((false, LuaValue::Table(convert::error_to_lua(lua, &error)?))),
        })?;
    table.set(name, function)
}

/// Error of mlua itself: out of memory, or a bug.
pub(super) fn internal(error: &mlua::Error) -> Error {
    match error {
        mlua::Error::MemoryError(message) => Error::new(Kind::Script, message.clone()),
        other => Error::new(Kind::Bug, other.to_string()),
    }
}

pub(super) fn text_arg(args: &MultiValue, at: usize, what: &str) -> Result<String> {
    match args.get(at) {
        Some(LuaValue::String(text)) => match text.to_str() {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(Error::argument(format!("{what} is not UTF-8"))),
        },
        other => {
            let got = other.map_or("nothing", LuaValue::type_name);
            Err(Error::argument(format!("{what} must be a string, got {got}")))
        }
    }
}

pub(super) fn handle_arg(args: &MultiValue, at: usize) -> Result<&AnyUserData> {
    let handle = args.get(at).and_then(LuaValue::as_userdata);
    handle.ok_or_else(|| Error::new(Kind::Bug, "no handle"))
}

/// Functions of the registry, from which the prelude builds `iam`.
fn entries(lua: &Lua) -> mlua::Result<Table> {
    let list = lua.create_table()?;
    for entry in iam::registry() {
        let item = lua.create_table()?;
        item.set("module", entry.spec.module)?;
        item.set("name", entry.spec.name)?;
        item.set("path", entry.spec.path())?;
        let kind = match &entry.run {
            Implementation::Read(..) | Implementation::Write(_) | Implementation::Compose(_) => {
                "call"
            }
            Implementation::Iterate(iterate) if iterate.by == Stride::Page => "pages",
            Implementation::Iterate(_) => "items",
            Implementation::Host if matches!(entry.spec.returns, Returns::Scan) => "scan",
            Implementation::Host => "connect",
        };
        item.set("kind", kind)?;
        list.push(item)?;
    }
    Ok(list)
}

pub(super) fn entry_arg(args: &mut MultiValue) -> Result<(crate::session::Gate, &'static Entry)> {
    let bug = || Error::new(Kind::Bug, "the prelude called a function wrongly");
    let gate = args.pop_front().ok_or_else(bug)?;
    let gate =
        gate.as_userdata().ok_or_else(bug)?.borrow::<Connected>().map_err(|_| bug())?.0.clone();
    let path = args.pop_front().ok_or_else(bug)?;
    let path = path.as_string().ok_or_else(bug)?.to_str().map_err(|_| bug())?.to_owned();
    Ok((gate, iam::find(&path).ok_or_else(bug)?))
}

pub(super) fn userdata<T: mlua::UserData + 'static>(lua: &Lua, value: T) -> Result<LuaValue> {
    lua.create_userdata(value).map(LuaValue::UserData).map_err(|error| internal(&error))
}

/// AWS calls: start one, open a listing and fetch its pages, open another connection.
fn calls(lua: &Lua, host: &Rc<Host>, table: &Table, fallible: &Table) -> mlua::Result<()> {
    table.set("gate", lua.create_userdata(Connected(host.setup.borrow().gate.clone()))?)?;
    add(lua, host, fallible, "start", |lua, host, mut args| {
        host.check_arguments()?;
        let (gate, entry) = entry_arg(&mut args)?;
        let args = bind::arguments(entry, args)?;
        if entry.writes() {
            // A planned change is held in memory until the end.
            MemoryBudget::check(lua, 1)?;
        }
        let call = gate.perform(entry, args);
        let is_silent = matches!(entry.spec.returns, Returns::Nothing);
        let call = async move {
            // No value at all, rather than nil, so that the REPL shows nothing.
            call.await.map(|value| if is_silent { Value::Multi(Vec::new()) } else { value })
        };
        let handle = host.driver.start(lua, entry.writes(), call);
        handle.map(LuaValue::UserData).map_err(|error| internal(&error))
    })?;
    add(lua, host, fallible, "open", |lua, host, mut args| {
        host.check_arguments()?;
        let (gate, entry) = entry_arg(&mut args)?;
        let args = bind::arguments(entry, args)?;
        userdata(lua, Pager::open(gate, entry, args)?)
    })?;
    add(lua, host, fallible, "fetch", |lua, host, args| {
        let pager =
            handle_arg(&args, 0)?.borrow::<Pager>().map_err(|error| internal(&error))?.clone();
        let handle = host.driver.start(lua, false, pager.fetch());
        handle.map(LuaValue::UserData).map_err(|error| internal(&error))
    })?;
    add(lua, host, fallible, "connect", |lua, host, mut args| {
        let (gate, entry) = entry_arg(&mut args)?;
        let args = bind::arguments(entry, args)?;
        gate.session().allows(entry)?;
        let other = bind::connect(&gate, &args)?;
        let setup = host.setup.borrow();
        net::check(setup.gate.connection(), other.connection(), &setup.permissions)?;
        userdata(lua, Connected(other))
    })
}

/// Handles, tasks, time.
fn waiting(lua: &Lua, host: &Rc<Host>, table: &Table) -> mlua::Result<()> {
    let shared = Rc::clone(host);
    let take =
        lua.create_function(move |lua, handle: AnyUserData| match Driver::take(&handle)? {
            Ok(value) => {
                let mut values = convert::to_lua_multi(lua, &value)?;
                shared.driver.discard(value);
                values.push_front(LuaValue::Boolean(true));
                Ok(values)
            }
            Err(error) => Ok(MultiValue::from_iter([
                LuaValue::Boolean(false),
                LuaValue::Table(convert::error_to_lua(lua, &error)?),
            ])),
        })?;
    table.set("take", take)?;
    let ready = lua.create_function(|_, handle: AnyUserData| Driver::is_ready(&handle))?;
    table.set("ready", ready)?;
    let shared = Rc::clone(host);
    let block =
        lua.create_function(move |lua, handle: AnyUserData| shared.driver.block(lua, &handle))?;
    // Lua's own, for waiting in coroutines that are the driver's.
    let coroutine: Table = lua.globals().get("coroutine")?;
    for name in ["yield", "isyieldable"] {
        table.set(name, coroutine.get::<Function>(name)?)?;
    }
    let shared = Rc::clone(host);
    let exit = lua.create_function(move |_, code: u8| {
        shared.setup.borrow().canceller.stop(Stop::Exit(code));
        Ok(())
    })?;
    coroutines::install(lua, &coroutine, block.clone(), exit.clone())?;
    table.set("exit", exit)?;
    table.set("block", block)?;
    let shared = Rc::clone(host);
    let spawn = lua.create_function(move |lua, (thread, args): (Thread, MultiValue)| {
        shared.driver.spawn(lua, thread, args)
    })?;
    table.set("spawn", spawn)?;
    let shared = Rc::clone(host);
    let finish =
        lua.create_function(move |_, handle: AnyUserData| shared.driver.finish(&handle))?;
    table.set("finish", finish)?;
    let shared = Rc::clone(host);
    let sleep = lua.create_function(move |lua, seconds: f64| {
        let time = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let sleep = shared.setup.borrow().clock.clone().sleep(time);
        shared.driver.start(lua, false, async move {
            sleep.await;
            Ok(Value::Nil)
        })
    })?;
    table.set("sleep", sleep)?;
    let shared = Rc::clone(host);
    let now = lua.create_function(move |_, ()| Ok(shared.setup.borrow().clock.milliseconds()))?;
    table.set("now", now)?;
    let shared = Rc::clone(host);
    let end_by_task = lua.create_function(move |_, ()| {
        shared.setup.borrow().canceller.stop(Stop::TaskFailed);
        Ok(())
    })?;
    table.set("end_by_task", end_by_task)
}

/// Bulk work: latches, and the outcomes of items.
fn bulk(lua: &Lua, host: &Rc<Host>, table: &Table) -> mlua::Result<()> {
    // Items in progress are kept here by tally, so that an interrupted run can name them.
    table.set("works", lua.create_table()?)?;
    let shared = Rc::clone(host);
    table.set("latch", lua.create_function(move |lua, ()| shared.driver.latch(lua))?)?;
    let shared = Rc::clone(host);
    let release =
        lua.create_function(move |_, latch: AnyUserData| shared.driver.release(&latch))?;
    table.set("release", release)?;
    let shared = Rc::clone(host);
    let rest = lua.create_function(move |_, begins: bool| {
        shared.driver.set_idle(begins);
        Ok(())
    })?;
    table.set("rest", rest)?;
    let shared = Rc::clone(host);
    let throttled =
        lua.create_function(move |_, ()| Ok(shared.setup.borrow().gate.session().throttled()))?;
    table.set("throttled", throttled)?;
    let shared = Rc::clone(host);
    let tally =
        lua.create_function(move |lua, (label, total, is_inner): (String, Option<u64>, bool)| {
            lua.create_userdata(Tallied(shared.board.begin(label, total, is_inner)))
        })?;
    table.set("tally", tally)?;
    let count = |outcome| {
        lua.create_function(move |_, tally: AnyUserData| {
            tally.borrow::<Tallied>()?.0.count(outcome);
            Ok(())
        })
    };
    table.set("count_begun", count(ItemOutcome::Begun)?)?;
    table.set("count_done", count(ItemOutcome::Done)?)?;
    table.set("count_failed", count(ItemOutcome::Failed)?)?;
    table.set("count_skipped", count(ItemOutcome::Skipped)?)?;
    let shared = Rc::clone(host);
    let end = lua.create_function(
        move |_, (tally, failures, skips): (AnyUserData, Option<String>, String)| {
            let tally = Arc::clone(&tally.borrow::<Tallied>()?.0);
            Ok(shared.board.end(&tally, failures.as_deref(), &skips))
        },
    )?;
    table.set("tally_end", end)
}

/// Writes texts to standard output.
fn write(
    host: &Host,
    texts: &MultiValue,
    write: fn(&mut Output, &[u8]) -> std::io::Result<()>,
) -> Result<LuaValue> {
    host.check_output()?;
    let mut output = host.output.borrow_mut();
    for value in texts {
        let LuaValue::String(text) = value else {
            return Err(Error::argument(format!("cannot write a {}", value.type_name())));
        };
        if let Err(error) = write(&mut output, &text.as_bytes()) {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                host.setup.borrow().canceller.stop(Stop::OutputClosed);
            }
            return Err(Error::io("cannot write to standard output", error));
        }
    }
    Ok(LuaValue::Nil)
}

/// Writes to standard error, after flushing what was printed before.
pub(super) fn write_err(host: &Host, text: &[u8]) {
    let mut output = host.output.borrow_mut();
    terminal::aside(|| {
        // A message that cannot be written must not end the script.
        let _ = output.flush();
        let _ = output.err.write_all(text);
    });
}

/// Output, JSON, tables.
fn text(lua: &Lua, host: &Rc<Host>, table: &Table, fallible: &Table) -> mlua::Result<()> {
    table.set("format", host.setup.borrow().format.name())?;
    add(lua, host, fallible, "print", |_, host, args| write(host, &args, Output::print))?;
    add(lua, host, fallible, "write", |_, host, args| write(host, &args, Output::write))?;
    standard_files(lua, host, table, fallible)?;
    let shared = Rc::clone(host);
    let print_err = move |_: &Lua, text: LuaString| {
        write_err(&shared, &escape::printable(&text.as_bytes()));
        Ok(())
    };
    table.set("print_err", lua.create_function(print_err)?)?;
    let shared = Rc::clone(host);
    let raw = move |_: &Lua, text: LuaString| {
        write_err(&shared, &text.as_bytes());
        Ok(())
    };
    table.set("write_err", lua.create_function(raw)?)?;
    add(lua, host, fallible, "json_decode", |lua, _, args| {
        let text = text_arg(&args, 0, "json.decode: the text")?;
        convert::json_text_to_lua(lua, &text).map_err(|error| {
            let what = error.to_string();
            if what.contains(budget::NOT_ENOUGH) {
                return budget::not_enough();
            }
            Error::argument(format!("json.decode: {what}")).hint("the text must be one JSON value")
        })
    })?;
    add(lua, host, fallible, "json_encode", |lua, _, args| {
        let json = convert::json_from_lua(lua, args.front().unwrap_or(&LuaValue::Nil))?;
        let pretty = args.get(1) == Some(&LuaValue::Boolean(true));
        let text =
            if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
        let text = text.map_err(|error| Error::argument(format!("json.encode: {error}")))?;
        lua.create_string(text).map(LuaValue::String).map_err(|error| internal(&error))
    })?;
    let visible = lua.create_function(|lua, text: LuaString| {
        if escape::is_plain(&text.as_bytes()) {
            return Ok(text);
        }
        // An escape sequence is longer than the character that it represents.
        let size = text.as_bytes().len() * "\\u{e0fff}".len();
        MemoryBudget::check(lua, size).map_err(mlua::Error::external)?;
        lua.create_string(escape::visible(text.as_bytes()))
    })?;
    table.set("visible", visible)?;
    table.set("number", lua.create_function(|_, n: u64| Ok(crate::ui::format::number(n)))?)?;
    let shared = Rc::clone(host);
    let render = lua.create_function(
        move |lua, (heads, rows, right): (Vec<String>, Vec<Vec<LuaString>>, Vec<bool>)| {
            MemoryBudget::check(lua, table_bytes(&heads, &rows)).map_err(mlua::Error::external)?;
            let rows: Vec<Vec<String>> = rows
                .iter()
                .map(|row| row.iter().map(LuaString::to_string_lossy).collect())
                .collect();
            let column = |(head, is_right): (String, Option<&bool>)| match is_right {
                Some(true) => Column::new(head).right(),
                _ => Column::new(head),
            };
            let rights = right.iter().map(Some).chain(std::iter::repeat(None));
            let columns: Vec<_> = heads.into_iter().zip(rights).map(column).collect();
            let width = shared.setup.borrow().width;
            let table = table::render(&columns, &rows, width);
            let note = table.note();
            Ok((table.text, note))
        },
    )?;
    table.set("render_table", render)?;
    let shared = Rc::clone(host);
    let width = lua.create_function(move |_, ()| Ok(shared.setup.borrow().width))?;
    table.set("width", width)?;
    let escape = lua.create_function(|lua, text: LuaString| page::escape(lua, &text))?;
    table.set("html_escape", escape)?;
    table.set("html_framed", lua.create_function(page::framed_markup)?)?;
    table.set("html_page", lua.create_function(page::document)?)
}

/// Standard files, and `setmetatable`.
fn standard_files(lua: &Lua, host: &Rc<Host>, table: &Table, fallible: &Table) -> mlua::Result<()> {
    let shared = Rc::clone(host);
    let c_function = lua.create_function(move |lua, mut args: MultiValue| {
        let name =
            args.pop_front().and_then(|name| name.as_string().map(LuaString::to_string_lossy));
        stdio::function(lua, &shared, &name.unwrap_or_default(), args)
    })?;
    table.set("c_function", c_function)?;
    let set = lua.create_function(|lua, (globals, slow): (Table, Function)| {
        base_library::setmetatable(lua, globals, slow)
    })?;
    table.set("setmetatable", set)?;
    table.set("xpcall", base_library::xpcall(lua)?)?;
    // SAFETY: pushes one value. A file that the script sees is only compared.
    #[allow(unsafe_code)]
    let file = lua.create_function(|lua, ()| unsafe {
        lua.exec_raw::<LuaValue>((), |state| {
            mlua::ffi::lua_newuserdatauv(state, 1, 0);
        })
    })?;
    table.set("new_file", file)?;
    let shared = Rc::clone(host);
    let redirect = lua.create_function(move |_, is_redirected: bool| {
        shared.is_output_redirected.set(is_redirected);
        Ok(())
    })?;
    table.set("redirect_output", redirect)?;
    let shared = Rc::clone(host);
    let buffer = lua.create_function(move |_, mode: String| {
        shared.output.borrow_mut().buffering = match mode.as_str() {
            "no" => Buffering::None,
            "line" => Buffering::Line,
            _ => Buffering::Full,
        };
        Ok(())
    })?;
    table.set("set_buffering", buffer)?;
    add(lua, host, fallible, "flush", |_, host, _| {
        let flushed = host.output.borrow_mut().flush();
        flushed.map_err(|error| {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                host.setup.borrow().canceller.stop(Stop::OutputClosed);
            }
            Error::io("cannot write to standard output", error)
        })?;
        Ok(LuaValue::Nil)
    })?;
    let shared = Rc::clone(host);
    let wrong = lua.create_function(move |_, is_wrong: bool| {
        shared.has_wrong_manifest.set(is_wrong);
        Ok(())
    })?;
    table.set("set_wrong_manifest", wrong)?;
    add(lua, host, fallible, "raise_write_failure", |_, host, _| {
        host.write_failure.borrow_mut().take().map_or(Ok(LuaValue::Nil), Err)
    })
}

/// Approximate memory for rendering a table: every cell is as wide as the widest of its column.
fn table_bytes(heads: &[String], rows: &[Vec<LuaString>]) -> usize {
    const CELL_BYTES: usize = 200;
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.as_bytes().len());
        cells.chain(heads.get(column).map(String::len)).max().unwrap_or(0)
    };
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let row: usize = (0..columns).map(|column| CELL_BYTES + 2 * width(column)).sum();
    row.saturating_mul(rows.len())
}

/// Planned programs and files of the run.
pub(super) fn planned(setup: &VmConfig) -> &Recorder {
    setup.gate.session().recorder().outside()
}

/// Path of the content that a script reads: of the planned file under a plan, else of the file
/// itself.
pub(super) fn to_read(setup: &VmConfig, given: &str) -> Result<Beneath> {
    let path = setup.permissions.path(Access::Read, given)?;
    if let Some(fakes) = hiding(setup, Access::Read, &path) {
        let path = fakes.to_read(planned(setup), &path, given)?;
        return Ok(Beneath { path, base: None });
    }
    let content = planned(setup)
        .planned(&path)
        .map_err(|error| Error::io(format!("cannot read {given}"), error))?;
    if content.is_none() {
        setup.seen.read(Path::new(given));
    }
    Ok(match content {
        Some(path) => Beneath { path, base: None },
        None => Beneath { base: setup.permissions.base(Access::Read, &path), path },
    })
}

/// Fake machine of a test, if it hides the file of a path.
pub(super) fn hiding<'a>(setup: &'a VmConfig, access: Access, path: &Path) -> Option<&'a Fakes> {
    setup.permissions.fakes.as_ref().filter(|fakes| fakes.hides(access, path))
}

/// Check for a write to that path, which resolves to `path`, that is only planned.
pub(super) fn is_planned(setup: &VmConfig, given: &str, path: &Path) -> bool {
    let is_stream = || {
        let named = std::path::absolute(given);
        outside::is_stream(path) || named.is_ok_and(|named| outside::is_stream(&named))
    };
    let is_apart =
        setup.gate.session().plans_outside() || hiding(setup, Access::Write, path).is_some();
    is_apart && !is_stream()
}

/// Writes a whole file, or plans the write; a new file gets the mode. A write to standard output
/// goes to the script's output.
pub(super) fn write_file(
    host: &Host,
    given: &str,
    mode: u32,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    host.check_arguments()?;
    let setup = &host.setup.borrow();
    let path = setup.permissions.path(Access::Write, given)?;
    let failed = |error| Error::io(format!("cannot write {given}"), error);
    if outside::is_output(&path) {
        let mut content = Vec::new();
        write(&mut content).map_err(failed)?;
        return host.output.borrow_mut().write(&content).map_err(failed);
    }
    if is_planned(setup, given, &path) {
        let shown = setup.gate.session().journal().without_secrets(given);
        let is_on_disk = hiding(setup, Access::Write, &path).is_none();
        return planned(setup).write(&path, &shown, is_on_disk, write).map_err(failed);
    }
    let base = setup.permissions.base(Access::Write, &path);
    let must_stop = || setup.canceller.reason().is_some();
    Beneath { path, base }.write_whole(mode, &must_stop, write).map_err(failed)?;
    setup.seen.written(Path::new(given));
    Ok(())
}

/// Opens a file for writing under a plan. Returns the path to open in its place, nil to open the
/// file itself, or a table with the message and the code that plain Lua returns.
fn plan_file(lua: &Lua, setup: &VmConfig, given: &str, mode: &str) -> Result<LuaValue> {
    let path = setup.permissions.path(Access::Write, given)?;
    if !is_planned(setup, given, &path) {
        return Ok(LuaValue::Nil);
    }
    let mode = OpenMode {
        must_exist: mode.starts_with('r'),
        truncates: mode.starts_with('w'),
        reads: mode.contains('+'),
    };
    let shown = setup.gate.session().journal().without_secrets(given);
    let fakes = hiding(setup, Access::Write, &path);
    let ready = fakes.map_or(Ok(()), |fakes| fakes.before_write(planned(setup), &path));
    let open = || planned(setup).open(&path, &shown, fakes.is_none(), mode);
    let opened = match ready.and_then(|()| open()) {
        Ok(content) => {
            lua.create_string(content.as_os_str().as_encoded_bytes()).map(LuaValue::String)
        }
        Err(error) => return refusal_table(lua, &error),
    };
    opened.map_err(|error| internal(&error))
}

/// Return value of `io.open` for a system error: a table with the message and the code that plain
/// Lua returns.
fn refusal_table(lua: &Lua, error: &std::io::Error) -> Result<LuaValue> {
    let text = error.to_string();
    let code = error.raw_os_error();
    let plain = code.and_then(|code| text.strip_suffix(&format!(" (os error {code})")));
    let refused = lua.create_table().and_then(|refused| {
        refused.set("problem", plain.unwrap_or(&text))?;
        refused.set("code", code.unwrap_or(libc::EIO))?;
        Ok(LuaValue::Table(refused))
    });
    refused.map_err(|error| internal(&error))
}

/// Path by which Lua's library opens a file: that of an open handle, so that nobody can replace the
/// file by a link before it is opened.
fn name_for_lua(host: &Host, path: &Beneath, makes: bool) -> std::io::Result<PathBuf> {
    const HANDLES: &str = "/proc/self/fd";
    if path.base.is_none() || !Path::new(HANDLES).is_dir() {
        return Ok(path.path.clone());
    }
    let handle = path.handle(makes)?;
    let name = Path::new(HANDLES).join(handle.as_raw_fd().to_string());
    *host.opening.borrow_mut() = Some(handle);
    Ok(name)
}

fn access_arg(args: &MultiValue, at: usize) -> Result<Access> {
    let name = text_arg(args, at, "access")?;
    Access::ALL
        .into_iter()
        .find(|access| access.name() == name)
        .ok_or_else(|| Error::argument(format!("there is no permission {name:?}")))
}

fn string(lua: &Lua, bytes: impl AsRef<[u8]>) -> Result<LuaValue> {
    lua.create_string(bytes).map(LuaValue::String).map_err(|error| internal(&error))
}

/// Reading, writing and listing files.
fn files(lua: &Lua, host: &Rc<Host>, fallible: &Table) -> mlua::Result<()> {
    add(lua, host, fallible, "resolve", |lua, host, args| {
        let access = access_arg(&args, 0)?;
        let given = text_arg(&args, 1, "the path")?;
        let setup = host.setup.borrow();
        let path = if access == Access::Read {
            to_read(&setup, &given)?
        } else {
            host.check_arguments()?;
            let path = setup.permissions.path(access, &given)?;
            if is_planned(&setup, &given, &path) {
                return string(lua, path.as_os_str().as_encoded_bytes());
            }
            setup.seen.written(Path::new(&given));
            Beneath { base: setup.permissions.base(access, &path), path }
        };
        let name = match name_for_lua(host, &path, args.get(2) == Some(&LuaValue::Boolean(true))) {
            Ok(name) => name,
            Err(error) => return refusal_table(lua, &error),
        };
        string(lua, name.as_os_str().as_encoded_bytes())
    })?;
    add(lua, host, fallible, "plan_file", |lua, host, args| {
        let given = text_arg(&args, 0, "the path")?;
        let mode = text_arg(&args, 1, "the mode")?;
        plan_file(lua, &host.setup.borrow(), &given, &mode)
    })?;
    add(lua, host, fallible, "fs_read", |lua, host, args| {
        let given = text_arg(&args, 0, "fs.read: the path")?;
        let setup = host.setup.borrow();
        let path = to_read(&setup, &given)?;
        let most = MAX_READ.min(MemoryBudget::left(lua) / 2);
        let content = source::whole(&path, most, &setup.canceller);
        string(lua, content.map_err(|error| Error::io(format!("cannot read {given}"), error))?)
    })?;
    add(lua, host, fallible, "fs_write", |_, host, args| {
        let given = text_arg(&args, 0, "fs.write: the path")?;
        host.setup.borrow().permissions.path(Access::Write, &given)?;
        let Some(LuaValue::String(content)) = args.get(1) else {
            return Err(Error::argument("fs.write: the content must be a string"));
        };
        write_file(host, &given, crate::files::USUAL, |out| out.write_all(&content.as_bytes()))?;
        Ok(LuaValue::Nil)
    })?;
    folders::functions(lua, host, fallible)
}

/// Environment, programs, and the grants of a manifest.
fn outside(lua: &Lua, host: &Rc<Host>, table: &Table, fallible: &Table) -> mlua::Result<()> {
    add(lua, host, fallible, "getenv", |lua, host, args| {
        let name = text_arg(&args, 0, "os.getenv: the name")?;
        host.setup.borrow().permissions.name(Access::Env, &name)?;
        let fakes = host.setup.borrow().permissions.fakes.clone();
        if let Some(fakes) = fakes.filter(|fakes| fakes.hides_variable(&name)) {
            return fakes.variable(&name).map_or(Ok(LuaValue::Nil), |value| string(lua, value));
        }
        std::env::var_os(&name)
            .map_or(Ok(LuaValue::Nil), |value| string(lua, value.as_encoded_bytes()))
    })?;
    add(lua, host, fallible, "run_program", |lua, host, args| {
        host.check_arguments()?;
        let program = text_arg(&args, 0, "process.run: the program")?;
        host.setup.borrow().permissions.name(Access::Run, &program)?;
        let mut rest = Vec::new();
        if let Some(LuaValue::Table(list)) = args.get(1) {
            for item in list.sequence_values::<String>() {
                rest.push(item.map_err(|_| {
                    Error::argument("process.run: every argument must be a string")
                })?);
            }
        }
        let setup = host.setup.borrow();
        let session = setup.gate.session();
        let fakes = setup.permissions.fakes.as_ref();
        if session.plans_outside() {
            if !fakes.is_some_and(|fakes| fakes.hides_program(&program)) {
                outside::check_program(&program, &rest)
                    .map_err(|error| Error::io(format!("cannot run {program}"), error))?;
            }
            let shown = |word: &String| session.journal().without_secrets(word);
            // A planned program is held in memory until the end.
            MemoryBudget::check(lua, 1)?;
            planned(&setup).run(shown(&program), rest.iter().map(shown).collect());
            return Ok(LuaValue::Nil);
        }
        let input = args.get(2).and_then(LuaValue::as_string).map(|text| text.as_bytes().to_vec());
        let made_up = match fakes {
            Some(fakes) => fakes.run(&program, &rest, input.as_deref())?,
            None => None,
        };
        let handle = if let Some(end) = made_up {
            host.driver.start(lua, true, async move { Ok(end) })
        } else {
            let running = processes::run(program, rest, input, setup.canceller.clone());
            host.driver.start(lua, true, running)
        };
        handle.map(LuaValue::UserData).map_err(|error| internal(&error))
    })?;
    add(lua, host, fallible, "is_granted", |_, host, args| {
        let access = access_arg(&args, 0)?;
        let what = text_arg(&args, 1, "the permission")?;
        Ok(LuaValue::Boolean(host.setup.borrow().permissions.covers(access, &what)))
    })?;
    // Writing to a pipe or device loses nothing. A dangling link counts as an existing name.
    add(lua, host, fallible, "is_folder", |_, host, args| {
        let given = text_arg(&args, 0, "the path")?;
        let path = Path::new(&given);
        let resolved = sandbox::resolve(path).unwrap_or_else(|_| path.to_owned());
        // A fake machine has every folder.
        let is_fake = hiding(&host.setup.borrow(), Access::Write, &resolved).is_some();
        Ok(LuaValue::Boolean(is_fake || path.is_dir()))
    })?;
    add(lua, host, fallible, "is_file", |_, host, args| {
        let given = text_arg(&args, 0, "the path")?;
        let path = Path::new(&given);
        let is_other =
            |path: &Path| path.metadata().is_ok_and(|about| !about.is_file() && !about.is_dir());
        let is_stream = std::path::absolute(path).is_ok_and(|path| outside::is_stream(&path));
        let setup = host.setup.borrow();
        let resolved = sandbox::resolve(path).unwrap_or_else(|_| path.to_owned());
        if let Some(fakes) = hiding(&setup, Access::Write, &resolved) {
            return Ok(LuaValue::Boolean(fakes.has_file(planned(&setup), &resolved)));
        }
        let is_there = path.symlink_metadata().is_ok() && !is_stream && !is_other(path);
        // `iamlua watch` runs a script repeatedly.
        let is_taken = is_there && !setup.seen.has_made(path);
        Ok(LuaValue::Boolean(is_taken))
    })?;
    add(lua, host, fallible, "grant", |_, host, args| {
        let access = access_arg(&args, 0)?;
        let what = text_arg(&args, 1, "the permission")?;
        host.setup.borrow_mut().permissions.allow(access, &what)?;
        Ok(LuaValue::Nil)
    })?;
    let shared = Rc::clone(host);
    let confirm = lua.create_function(move |_, question: String| {
        let _ = shared.output.borrow_mut().flush();
        Ok(terminal::without_bars(|| (shared.setup.borrow().confirm)(&question)))
    })?;
    table.set("confirm", confirm)
}

/// `require`, the script's arguments, and the fields of its manifest.
fn modules(lua: &Lua, host: &Rc<Host>, table: &Table, fallible: &Table) -> mlua::Result<()> {
    {
        let setup = host.setup.borrow();
        table.set("args", setup.args.words.clone())?;
        table.set("script", setup.script.as_str())?;
        table.set("reserved", setup.reserved.clone())?;
        table.set("log_level", setup.log_level)?;
        table.set("has_input", setup.has_input)?;
        table.set("modules", stdlib::modules())?;
        table.set("loaded", lua.named_registry_value::<Table>("_LOADED")?)?;
        table.set("has_log", setup.log.is_some())?;
    }
    add(lua, host, fallible, "log", |lua, host, args| {
        let (level, message) = (text_arg(&args, 0, "level")?, text_arg(&args, 1, "message")?);
        let mut fields = Vec::new();
        if let Some(LuaValue::Table(given)) = args.get(2) {
            for field in given.pairs::<String, LuaValue>() {
                let (name, value) = field.map_err(|error| internal(&error))?;
                // A value that JSON cannot represent, such as a function, is shown as text.
                let shown = || value.to_string().map(serde_json::Value::from).unwrap_or_default();
                let value = convert::json_from_lua(lua, &value).unwrap_or_else(|_| shown());
                fields.push((name, value));
            }
        }
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(log) = &host.setup.borrow().log {
            log(&level, &message, fields);
        }
        Ok(LuaValue::Nil)
    })?;
    let stdlib_source = lua.create_function(|_, name: String| {
        Ok(stdlib::source(&format!("{name}.lua")).map(std::borrow::Cow::into_owned))
    })?;
    table.set("stdlib_source", stdlib_source)?;
    add(lua, host, fallible, "find_module", |lua, host, args| {
        let name = text_arg(&args, 0, "require: the name")?;
        let templates = text_arg(&args, 1, "package.path")?;
        let found = find_module(&name, &templates, &host.setup.borrow())?;
        let Some((path, source)) = found else { return Ok(LuaValue::Nil) };
        let path = path.display().to_string();
        host.sources.borrow_mut().keep(&path, &source);
        let chunk = syntax::load(lua, &source, &path)?;
        let module = lua.create_table().map_err(|error| internal(&error))?;
        let set = module.set("path", path).and_then(|()| module.set("chunk", chunk));
        set.map_err(|error| internal(&error))?;
        Ok(LuaValue::Table(module))
    })?;
    hints(lua, host, table)?;
    // The second argument is the name of the duration in errors.
    add(lua, host, fallible, "seconds", |_, _, args| {
        let what = match args.get(1) {
            Some(LuaValue::String(text)) => text.to_string_lossy(),
            _ => "the duration".to_owned(),
        };
        let seconds = match args.front() {
            Some(LuaValue::String(text)) => spec::parse_duration(&text.to_string_lossy())
                .map_err(|why| Error::argument(format!("{what} {why}")))?,
            Some(LuaValue::Number(n)) => *n,
            #[allow(
                clippy::cast_precision_loss,
                reason = "a duration of 2^53 seconds is long enough"
            )]
            Some(LuaValue::Integer(n)) => *n as f64,
            _ => {
                return Err(Error::argument(format!(
                    "{what} must be text such as \"90d\" or a number of seconds"
                )));
            }
        };
        Ok(LuaValue::Number(seconds))
    })?;
    manifest::functions(lua, host, fallible)?;
    let suggests =
        lua.create_function(|_, name: String| Ok(crate::redaction::suggests_secret(&name)))?;
    table.set("suggests_secret", suggests)?;
    let shared = Rc::clone(host);
    let without = lua.create_function(move |lua, text: LuaString| {
        let text = text.to_string_lossy();
        lua.create_string(shared.setup.borrow().gate.session().journal().without_secrets(&text))
    })?;
    table.set("without_secrets", without)?;
    let option = lua.create_function(|_, (word, known): (String, Vec<String>)| {
        Ok(arguments::similar(&word, known.iter().map(String::as_str)))
    })?;
    table.set("similar_option", option)?;
    let near = lua.create_function(|_, (word, known): (String, Vec<String>)| {
        Ok(spec::nearest(&word, known.iter().map(String::as_str)).map(str::to_owned))
    })?;
    table.set("nearest", near)?;
    let matches = lua.create_function(|_, (pattern, text): (String, String)| {
        // Anchored: a pattern of a parameter describes the whole value.
        let regex = regex::Regex::new(&format!("^(?:{pattern})$"));
        Ok(regex.map(|regex| regex.is_match(&text)).ok())
    })?;
    table.set("matches", matches)
}

/// Hints for common mistakes.
fn hints(lua: &Lua, host: &Rc<Host>, table: &Table) -> mlua::Result<()> {
    let shared = Rc::clone(host);
    let hint = move |_: &Lua, given: (LuaString, LuaString, usize, Table, Table)| {
        let (problem, chunk, line, globals, pristine) = given;
        let place = (&*chunk.to_string_lossy(), line);
        let problem = problem.to_string_lossy();
        Ok(shared.sources.borrow_mut().hint(&problem, place, &globals, &pristine))
    };
    table.set("hint_for", lua.create_function(hint)?)?;
    let missing = |_: &Lua, (module, name, fields): (String, String, Table)| {
        Ok(mistakes::missing_field(&module, &name, &mistakes::names_in(&fields)))
    };
    table.set("missing_field", lua.create_function(missing)?)?;
    let module =
        |_: &Lua, name: LuaString| Ok(mistakes::missing_module(&name.to_string_lossy(), &[]));
    table.set("missing_module", lua.create_function(module)?)
}

/// Maximum length of a path in bytes.
const MAX_PATH: usize = 4096;
/// Maximum size of a module in bytes, as for a script.
const MAX_MODULE: u64 = 32 << 20;

/// File of a module: the first that exists of those that the templates of `package.path` give in
/// the script's folder. A file outside of it needs permission to read.
fn find_module(
    name: &str,
    templates: &str,
    setup: &VmConfig,
) -> Result<Option<(PathBuf, Vec<u8>)>> {
    let part_is_plain = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
    };
    if !name.split('.').all(part_is_plain) {
        return Err(Error::argument(format!("require: {name:?} is not a module name")).hint(
            "it takes names such as \"tags\" or \"lib.tags\", without slashes and \".lua\"",
        ));
    }
    let Some(folder) = setup.folder.as_deref() else { return Ok(None) };
    let relative = name.replace('.', "/");
    let mut outside = None;
    for template in templates.split(';').filter(|template| template.contains('?')) {
        if setup.canceller.reason().is_some() {
            return Err(Error::new(Kind::Script, "stopped"));
        }
        let template = template.strip_prefix("./").unwrap_or(template);
        let marks = template.matches('?').count();
        if template.len() + marks.saturating_mul(relative.len()) > MAX_PATH {
            continue;
        }
        let path = folder.join(template.replace('?', &relative));
        let leads_out = path.strip_prefix(folder).map_or(true, |inner| {
            inner.components().any(|part| !matches!(part, Component::Normal(_)))
        });
        if leads_out {
            // Nothing is said about a file that the script may not read.
            let is_allowed = sandbox::resolve(&path)
                .is_ok_and(|real| setup.permissions.covers_path(Access::Read, &real));
            if !is_allowed {
                outside = path.parent().map(Path::to_owned).or(outside);
                continue;
            }
        }
        let content = sandbox::resolve(&path).and_then(|path| planned(setup).planned(&path));
        let content = content.ok().flatten();
        if content.is_none() && !path.is_file() {
            // A file that is created here later will be this module.
            setup.seen.read(&path);
            continue;
        }
        let failed =
            |error| Error::io(format!("require {name:?}: cannot read {}", path.display()), error);
        let (real, base) =
            (sandbox::resolve(&path).map_err(failed)?, folder.canonicalize().map_err(failed)?);
        if !real.starts_with(&base) && !setup.permissions.covers_path(Access::Read, &real) {
            let refusal =
                format!("require {name:?}: {} leads out of the script's folder", path.display());
            let folder = real.parent().unwrap_or(&real).display().to_string();
            return Err(Error::new(Kind::Permission, refusal)
                .hint(format!("allow it with {}", Access::Read.flag(&folder))));
        }
        let file = File::open(content.as_ref().unwrap_or(&real)).map_err(failed)?;
        let mut source = Vec::new();
        file.take(MAX_MODULE + 1).read_to_end(&mut source).map_err(failed)?;
        if source.len() as u64 > MAX_MODULE {
            let problem = format!(
                "require {name:?}: {} is larger than {} MiB, the most for a module",
                path.display(),
                MAX_MODULE >> 20
            );
            return Err(Error::new(Kind::Script, problem));
        }
        if content.is_none() {
            setup.seen.found(&path, Fingerprint::content(&source));
        }
        return Ok(Some((path, source)));
    }
    match outside {
        Some(folder) => {
            let problem = format!("require {name:?}: it is not in the script's folder");
            let folder = folder.display().to_string();
            Err(Error::new(Kind::Permission, problem).hint(format!(
                "package.path names {folder} too: allow it with {}",
                Access::Read.flag(&folder)
            )))
        }
        None => Ok(None),
    }
}
