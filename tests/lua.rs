//! Runs every file of `tests/lua/` in process, on the emulator, and every test in it on a fresh example account.
//!
//! A file finds three more globals: `test(name, function)`; `run_script(path, args, files, before)`, which runs a script of the project
//! in a VM of its own on the same account and returns `code`, `stdout` and `stderr` (`files` are written to a folder that takes the
//! place of `{dir}` in `path` and `args`; `before` is Lua that runs first); and `account` with `reset`, `export` and `import`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use iamlua::emulator::{Contents, Emulator, Options};
use iamlua::error::{Error, Result};
use iamlua::iam::client::{Connection, Target};
use iamlua::lua::cancel::Canceller;
use iamlua::lua::sandbox::Permissions;
use iamlua::lua::{Ending, Format, Output, Setup, Show, Vm};
use iamlua::session::{Gate, Mode, Session};
use mlua::Function;

/// An account, a session on it, and a runtime: what a VM of a test is made with.
#[derive(Clone)]
pub struct Bench {
    pub account: Emulator,
    pub session: Arc<Session>,
    pub permissions: Permissions,
    pub runtime: Arc<tokio::runtime::Runtime>,
}

/// What a script did.
pub struct Ran {
    pub result: Result<Ending>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn code(&self) -> u8 {
        match &self.result {
            Ok(Ending::Exit(code)) => *code,
            Ok(_) => 0,
            Err(error) => error.kind.exit_code(),
        }
    }
}

#[derive(Clone, Default)]
struct Captured(Rc<RefCell<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Bench {
    /// A fresh example account.
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self {
            account: Emulator::in_memory(options).expect("an account in memory"),
            session: Session::new(Mode::Apply),
            permissions: Permissions::default(),
            runtime: Arc::new(runtime.expect("a runtime")),
        }
    }

    /// Runs Lua text as a script of that name.
    pub fn run(&self, source: &str, name: &str) -> Ran {
        self.run_with(source, name, Vec::new(), Format::Table, |_| Ok(()))
    }

    /// Runs Lua text with arguments, in a VM to which `prepare` may add.
    pub fn run_with(
        &self,
        source: &str,
        name: &str,
        args: Vec<String>,
        format: Format,
        prepare: impl FnOnce(&Vm) -> Result<()>,
    ) -> Ran {
        let connection = Connection {
            target: Target::local(self.account.http_client()),
            ..Connection::default()
        };
        self.run_through(connection, source, name, args, format, prepare)
    }

    /// The same, through a connection to the account.
    pub fn run_through(
        &self,
        connection: Connection,
        source: &str,
        name: &str,
        args: Vec<String>,
        format: Format,
        prepare: impl FnOnce(&Vm) -> Result<()>,
    ) -> Ran {
        let (out, err) = (Captured::default(), Captured::default());
        let setup = Setup {
            gate: Gate::new(Arc::clone(&self.session), connection),
            runtime: self.runtime.handle().clone(),
            canceller: Canceller::default(),
            script: name.to_owned(),
            folder: Path::new(name).parent().map(Path::to_owned),
            args,
            permissions: self.permissions.clone(),
            max_memory: 256 << 20,
            format,
            show: Show::Lines,
            width: None,
            reserved: vec!["output".into(), "apply".into()],
            log_level: "info",
            confirm: Box::new(|_| None),
            clock: iamlua::clock::Clock::Real,
        };
        let output = Output {
            out: Box::new(out.clone()),
            err: Box::new(err.clone()),
            by_line: false,
            is_pending: false,
        };
        let result = Vm::new(setup, output).and_then(|vm| {
            prepare(&vm)?;
            vm.run(source.as_bytes(), name)
        });
        Ran { result, stdout: out.text(), stderr: err.text() }
    }

    /// What the account holds, as its export has it.
    pub fn export(&self) -> String {
        let mut json = Vec::new();
        self.account.export(&mut json).expect("an export");
        String::from_utf8(json).expect("JSON is UTF-8")
    }
}

/// The tests that ran, each with what failed.
type Results = Rc<RefCell<Vec<(String, Option<String>)>>>;

/// What `run_script` gives back.
type Outcome = (u8, String, String);

/// Runs a script of the project on the same account.
fn run_script(
    bench: &Bench,
    path: &str,
    args: &[String],
    files: HashMap<String, String>,
    before: Option<String>,
) -> mlua::Result<Outcome> {
    let folder = tempfile::tempdir()?;
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content)?;
    }
    let place = folder.path().display().to_string();
    let mut format = Format::Table;
    let mut rest = Vec::new();
    for arg in args {
        match arg.strip_prefix("--output=") {
            Some("json") => format = Format::Json,
            Some("jsonl") => format = Format::Jsonl,
            Some("csv") => format = Format::Csv,
            _ => rest.push(arg.replace("{dir}", &place)),
        }
    }
    let path = path.replace("{dir}", &place);
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
    let source = std::fs::read_to_string(&full)
        .map_err(|error| mlua::Error::runtime(format!("{}: {error}", full.display())))?;
    let source = before.map_or(source.clone(), |before| format!("{before} {source}"));
    // A runbook's limits are its own, so it gets a session of its own.
    let own = Bench { session: Session::new(Mode::Apply), ..bench.clone() };
    let mut ran = own.run_with(&source, &path, rest, format, |_| Ok(()));
    if let Err(error) = &ran.result {
        ran.stderr.push_str(&error.describe());
    }
    Ok((ran.code(), ran.stdout, ran.stderr))
}

/// The globals of a test file, in terms of what [`equip`] defines.
const HARNESS: &str = r#"
account = {
  reset = function(contents) harness_reset(contents == "empty") end,
  export = function() return json.decode(harness_export()) end,
  import = function(table) harness_import(json.encode(table)) end,
}

function run_script(path, args, files, before)
  local code, stdout, stderr = harness_run(path, args or {}, files or {}, before)
  return { code = code, stdout = stdout, stderr = stderr }
end

function test(name, f)
  account.reset("example")
  local ok, err = xpcall(f, function(e)
    return tostring(e) .. "\n" .. (type(e) == "table" and e.traceback or debug.traceback())
  end)
  harness_done(name, not ok and err or nil)
end
"#;

fn equip(vm: &Vm, bench: &Bench, results: &Results) -> Result<()> {
    let external = |error: Error| mlua::Error::runtime(error.describe());
    let account = bench.account.clone();
    vm.define(
        "harness_reset",
        Function::wrap(move |empty: bool| -> mlua::Result<()> {
            let contents = if empty { Contents::Empty } else { Contents::Example };
            account.reset(contents).map_err(external)
        }),
    )?;
    let own = bench.clone();
    vm.define(
        "harness_export",
        Function::wrap(move || -> mlua::Result<String> { Ok(own.export()) }),
    )?;
    let account = bench.account.clone();
    vm.define(
        "harness_import",
        Function::wrap(move |json: String| -> mlua::Result<()> {
            account.import(json.as_bytes()).map(|_| ()).map_err(external)
        }),
    )?;
    let own = bench.clone();
    vm.define(
        "harness_run",
        Function::wrap(
            move |path: String,
                  args: Vec<String>,
                  files: HashMap<String, String>,
                  before: Option<String>| {
                run_script(&own, &path, &args, files, before)
            },
        ),
    )?;
    let results = Results::clone(results);
    vm.define(
        "harness_done",
        Function::wrap(move |name: String, failure: Option<String>| -> mlua::Result<()> {
            results.borrow_mut().push((name, failure));
            Ok(())
        }),
    )?;
    vm.run(HARNESS.as_bytes(), "harness").map(|_| ())
}

#[test]
fn every_lua_test_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lua");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("tests/lua")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "lua"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let (mut ran, mut failed) = (0, Vec::new());
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let bench = Bench::new();
        let results = Results::default();
        let source = std::fs::read_to_string(&path).expect("a test file");
        let shown = format!("tests/lua/{name}");
        let outcome = bench
            .run_with(&source, &shown, Vec::new(), Format::Table, |vm| equip(vm, &bench, &results));
        if let Err(error) = &outcome.result {
            failed.push(format!("{name}: {}", error.describe()));
        }
        let results = results.borrow();
        if results.is_empty() {
            failed.push(format!("{name}: it has no test"));
        }
        for (test, failure) in results.iter() {
            ran += 1;
            failed.extend(failure.as_ref().map(|why| format!("{name}: {test}: {why}")));
        }
    }
    println!("{ran} Lua tests");
    assert!(
        failed.is_empty(),
        "{} of {ran} Lua tests failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
}
