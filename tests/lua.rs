//! Runs every `*_test.lua` of `tests/lua/`, as `iamlua test tests/lua --allow-read=scripts` does,
//! and provides a VM on an account in memory for tests in Rust.

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use iamlua::aws::client::{Backend, Connection};
use iamlua::emulator::{Emulator, EmulatorSettings};
use iamlua::error::Result;
use iamlua::lua::cancel::Canceller;
use iamlua::lua::sandbox::{Access, Permissions};
use iamlua::lua::{Ending, Format, Output, Show, Vm, VmConfig};
use iamlua::session::{Gate, Mode, Session};
use iamlua::testing;
use iamlua::testing::report::human;

use crate::patience::PATIENCE;

/// Account, session and runtime for the VM of a test.
#[derive(Clone)]
pub struct Bench {
    pub account: Emulator,
    pub session: Arc<Session>,
    pub permissions: Permissions,
    pub runtime: Arc<tokio::runtime::Runtime>,
    /// Time limit of a script.
    pub timeout: Option<Duration>,
}

/// Result of a script.
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
    /// Creates a fresh example account.
    pub fn new() -> Self {
        Self::with(EmulatorSettings::default())
    }

    pub fn with(options: EmulatorSettings) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Self {
            account: Emulator::in_memory(options).expect("an account in memory"),
            session: Session::new(Mode::Apply),
            permissions: Permissions::default(),
            runtime: Arc::new(runtime.expect("a runtime")),
            timeout: None,
        }
    }

    /// Runs Lua code as a script with that name.
    pub fn run(&self, source: &str, name: &str) -> Ran {
        self.run_with(source, name, Vec::new(), Format::Table)
    }

    /// Runs Lua code with arguments.
    pub fn run_with(&self, source: &str, name: &str, args: Vec<String>, format: Format) -> Ran {
        let connection = Connection {
            target: Backend::local(self.account.http_client()),
            ..Connection::default()
        };
        self.run_through(connection, source, name, args, format)
    }

    /// Runs Lua code through a connection to the account.
    pub fn run_through(
        &self,
        connection: Connection,
        source: &str,
        name: &str,
        args: Vec<String>,
        format: Format,
    ) -> Ran {
        let (out, err) = (Captured::default(), Captured::default());
        let setup = VmConfig {
            gate: Gate::new(Arc::clone(&self.session), connection),
            runtime: self.runtime.handle().clone(),
            canceller: Canceller::default(),
            script: name.to_owned(),
            folder: Path::new(name).parent().map(Path::to_owned),
            args: iamlua::lua::arguments::Arguments::unchecked(args),
            permissions: self.permissions.clone(),
            max_memory: 256 << 20,
            format,
            show: Show::Lines,
            width: None,
            reserved: vec!["output".into(), "apply".into()],
            log_level: "info",
            confirm: Box::new(|_| None),
            clock: iamlua::clock::Clock::Real,
            has_input: true,
            seen: iamlua::files::read_set::ReadSet::default(),
            log: None,
        };
        let output = Output::new(Box::new(out.clone()), Box::new(err.clone()));
        let result = Vm::new(setup, output).and_then(|vm| {
            if let Some(timeout) = self.timeout {
                vm.stop_after(timeout);
            }
            vm.run(source.as_bytes(), name)
        });
        Ran { result, stdout: out.text(), stderr: err.text() }
    }

    /// Content of the account, as an export.
    pub fn export(&self) -> String {
        let mut json = Vec::new();
        self.account.export(&mut json).expect("an export");
        String::from_utf8(json).expect("JSON is UTF-8")
    }
}

/// Runs every Lua test; fails with those that have failed.
fn run_all(lag: Duration) {
    let folder = PathBuf::from("tests/lua");
    let files = testing::find(std::slice::from_ref(&folder)).expect("tests/lua");
    // Option names of the command line, as far as a test needs them.
    let reserved = vec!["output".into(), "apply".into()];
    let timeout = PATIENCE * 2;
    let mut permissions = Permissions::default();
    // Some tests run a script of the project with code before it.
    permissions.allow(Access::Read, "scripts").expect("a folder");
    let options = testing::TestSettings {
        reserved,
        lag,
        timeout,
        permissions,
        ..testing::TestSettings::default()
    };
    let mut told = String::new();
    let report = testing::run(&files, &options, &testing::Interrupt::default(), |file| {
        if file.counts().failed > 0 {
            told.push_str(&human::file(file, false));
        }
        Ok(())
    });
    let report = report.expect("the tests run");
    let counts = report.counts();
    println!("{} Lua tests", counts.all());
    assert!(counts.passed > 100 && counts.failed == 0 && counts.skipped == 0, "{counts:?}\n{told}");
}

#[test]
fn every_lua_test_passes() {
    run_all(Duration::ZERO);
}

/// Runs all Lua tests with all scripts on accounts that are as eventually consistent as IAM.
#[test]
fn every_lua_test_passes_where_reads_lag_behind() {
    run_all(Duration::from_secs(2));
}
