//! Test file: loaded once to list its tests, and once for each test, so that every test has its own
//! VM and account. Tests of a file run one after the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::account::{RunningVm, TestContext};
use super::captured::Captured;
use super::find::SUFFIX;
use super::offers::{Definition, Definitions, Mode, offers};
use super::{FileReport, Interrupt, Test, TestFailure, TestResult, TestSettings, shown};
use crate::app::script::{Loaded, Script};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::lua::arguments::Arguments;
use crate::lua::cancel::{Canceller, Stop};
use crate::lua::tokens::{Token, TokenKind, tokens};
use crate::lua::{Ending, Format, Output, Show, Vm, VmConfig};
use crate::session::{Gate, Mode as Changes, Session};

/// Time to wait for a VM that was stopped.
const GRACE: Duration = Duration::from_secs(5);
/// Time to wait for a stopped VM after an interrupt.
const INTERRUPT_GRACE: Duration = Duration::from_secs(1);
/// Interval of checks for an interrupt.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Stack size, as of a main thread.
const STACK_SIZE: usize = 8 << 20;

/// Request to the thread of a VM that has loaded the file.
enum VmRequest {
    /// List the tests.
    List,
    /// Run the test with that number and name, of that many.
    Run(usize, String, usize),
}

/// Message of the thread of a VM.
enum Message {
    /// List of the tests.
    Listed(Vec<Definition>),
    /// End of loading, or of the test.
    Ended(Result<Ending>, Duration),
}

/// File loaded in a VM, on its own thread, which then waits for requests.
struct LoadedFile {
    context: Arc<TestContext>,
    output: Captured,
    ask: Sender<VmRequest>,
    message: Receiver<Message>,
    began: Instant,
    timeout: Duration,
}

/// Result of waiting for a VM.
enum WaitResult {
    Message(Message),
    /// Timeout, and whether the VM could be stopped.
    TooLong {
        was_stopped: bool,
    },
    Interrupted,
}

impl LoadedFile {
    fn begin(
        path: &Path,
        options: &TestSettings,
        runtime: &Handle,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let loaded = Loaded::read(&Script::File(path.to_owned()))?;
        let folder = loaded.folder.clone();
        let context = TestContext::new(folder, runtime.clone(), options)?;
        interrupt.watch(&context);
        let output = Captured::of_test();
        let ((ask, request), (say, message)) = (channel(), channel());
        let (own, kept) = (Arc::clone(&context), output.clone());
        std::thread::Builder::new()
            .name("iamlua-test".into())
            .stack_size(STACK_SIZE)
            .spawn(move || {
                let began = Instant::now();
                if let Err(error) = work(&own, &loaded, &kept, &request, &say) {
                    let _ = say.send(Message::Ended(Err(error), began.elapsed()));
                }
            })
            .map_err(|error| Error::io("cannot start a thread for the test", error))?;
        let (began, timeout) = (Instant::now(), options.timeout);
        Ok(Self { context, output, ask, message, began, timeout })
    }

    /// Sends a request, and waits for the answer.
    fn wait_for(&self, request: VmRequest) -> WaitResult {
        // A missing thread shows in the answer.
        let _ = self.ask.send(request);
        let message = loop {
            let left = self.timeout.saturating_sub(self.began.elapsed());
            match self.message.recv_timeout(left.min(POLL_INTERVAL)) {
                Ok(message) => break Some(message),
                Err(RecvTimeoutError::Disconnected) => break None,
                Err(RecvTimeoutError::Timeout) if self.is_interrupted() => {
                    // The VM stops at once, unless it is inside a long operation; its thread is
                    // then abandoned.
                    let _ = self.message.recv_timeout(INTERRUPT_GRACE);
                    return WaitResult::Interrupted;
                }
                Err(RecvTimeoutError::Timeout) if left > POLL_INTERVAL => {}
                Err(RecvTimeoutError::Timeout) => return self.handle_timeout(),
            }
        };
        match (self.context.stopped(), message) {
            (Some(Stop::Interrupted), _) => WaitResult::Interrupted,
            (_, Some(message)) => WaitResult::Message(message),
            (_, None) => WaitResult::Message(Message::Ended(
                Err(Error::new(Kind::Bug, "the thread of the test ended in an unexpected way")),
                self.began.elapsed(),
            )),
        }
    }

    fn is_interrupted(&self) -> bool {
        self.context.stopped() == Some(Stop::Interrupted)
    }

    /// Handles a timeout.
    fn handle_timeout(&self) -> WaitResult {
        self.context.stop(Stop::Timeout);
        let was_stopped = self.message.recv_timeout(GRACE).is_ok();
        if self.is_interrupted() {
            WaitResult::Interrupted
        } else {
            WaitResult::TooLong { was_stopped }
        }
    }
}

impl Drop for LoadedFile {
    fn drop(&mut self) {
        // The thread may still be working, and the end of the program does not wait for it.
        self.context.end();
    }
}

/// Loads the file, and handles requests.
fn work(
    context: &Arc<TestContext>,
    loaded: &Loaded,
    output: &Captured,
    request: &Receiver<VmRequest>,
    say: &Sender<Message>,
) -> Result<()> {
    let session = Session::new(Changes::Apply);
    let canceller = Canceller::default();
    let name = shown(Path::new(&loaded.name));
    let setup = VmConfig {
        gate: Gate::new(Arc::clone(&session), context.connection()),
        runtime: context.runtime.clone(),
        canceller: canceller.clone(),
        script: name.clone(),
        folder: Some(context.folder.clone()),
        args: Arguments::default(),
        permissions: context.real(),
        max_memory: context.max_memory,
        format: Format::Table,
        show: Show::AtEnd,
        width: None,
        reserved: context.reserved.clone(),
        log_level: "info",
        confirm: Box::new(|_| None),
        clock: Clock::Held(context.clock.clone()),
        has_input: false,
        seen: crate::files::read_set::ReadSet::default(),
        log: None,
    };
    let (out, err) = (Box::new(output.clone()), Box::new(output.clone()));
    let vm = Vm::new(setup, Output::new(out, err))?;
    context.add(RunningVm { canceller, waker: vm.waker(), session });
    let definitions = Definitions::default();
    let call = vm.extend("testing.lua", offers(context, &definitions))?;
    match vm.run(&loaded.source, &name)? {
        Ending::Finished => {}
        other => return Err(ended(other)),
    }
    // Without tests to run, the sender is dropped.
    while let Ok(request) = request.recv() {
        match request {
            VmRequest::List => {
                vm.call(call.clone(), ())?;
                let _ = say.send(Message::Listed(definitions.take()));
            }
            VmRequest::Run(number, name, count) => {
                // Output while the file is loaded belongs to no test.
                output.take();
                let began = Instant::now();
                let ending = match vm.call(call.clone(), (number + 1, name, count)) {
                    Ok(Ending::Finished) => Ok(Ending::Finished),
                    Ok(other) => Err(ended(other)),
                    Err(error) => Err(error),
                };
                let _ = say.send(Message::Ended(ending, began.elapsed()));
            }
        }
    }
    Ok(())
}

/// Error of a test that ends the program.
fn ended(ending: Ending) -> Error {
    let what = match ending {
        Ending::Exit(code) => format!("os.exit({code}) was called"),
        other => format!("it ended early: {other:?}"),
    };
    Error::new(Kind::Script, what)
        .hint("run_runbook runs a script that ends so, and returns its code")
}

/// Runs the tests of a file.
pub(super) fn run(
    path: &Path,
    options: &TestSettings,
    interrupt: &Interrupt,
    runtime: &Handle,
) -> FileReport {
    let began = Instant::now();
    let mut report = FileReport {
        path: PathBuf::from(shown(path)),
        tests: Vec::new(),
        failure: None,
        output: String::new(),
        took: Duration::ZERO,
    };
    // Every other path that was found ends in .lua.
    let is_folder = path.is_dir() || path.extension().is_none_or(|ending| ending != "lua");
    if let Some(error) = is_folder.then(|| std::fs::read_dir(path).err()).flatten() {
        report.failure = Some(super::find::cannot_read(path, error).into());
        return report;
    }
    if is_runbook(path) {
        let name = shown(path);
        let tests = path.with_extension("").display().to_string() + SUFFIX;
        report.failure = Some(
            TestFailure::new("it is a runbook, and has no test")
                .hint(format!("its tests belong into {}", shown(Path::new(&tests))))
                .hint(format!("`iamlua run {name}` runs it on the local account")),
        );
        return report;
    }
    let read_anew = || LoadedFile::begin(path, options, runtime, interrupt);
    match list(read_anew(), &mut report.output) {
        Ok(Some((first, definitions))) => {
            if definitions.is_empty() {
                report.failure = Some(
                    TestFailure::new("there is no test in it")
                        .hint("a test is it(\"what it does\", function() … end)"),
                );
            }
            report.tests = run_all(first, &definitions, options, read_anew);
        }
        Ok(None) => {}
        Err(failure) => report.failure = Some(failure),
    }
    report.took = began.elapsed();
    report
}

/// Check for a script that declares a runbook and names no function of tests. A file `*_test.lua`
/// is none.
fn is_runbook(path: &Path) -> bool {
    const OF_TESTS: [&str; 3] = ["it", "describe", "run_runbook"];
    let is_test = path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(SUFFIX));
    // A pipe can be read once.
    if is_test || !path.is_file() {
        return false;
    }
    let Ok(loaded) = Loaded::read(&Script::File(path.to_owned())) else { return false };
    let source = String::from_utf8_lossy(&loaded.source);
    let tokens = tokens(&source);
    let has = |name: &str| {
        let is_it = |token: &Token| token.kind == TokenKind::Name && token.text(&source) == name;
        tokens.iter().any(is_it)
    };
    has("runbook") && !OF_TESTS.into_iter().any(has)
}

/// Loads the file, and lists its tests; `None` if it was interrupted.
fn list(
    reading: Result<LoadedFile>,
    output: &mut String,
) -> Result<Option<(LoadedFile, Vec<Definition>)>, TestFailure> {
    let reading = reading?;
    let waited = reading.wait_for(VmRequest::List);
    output.push_str(&reading.output.take());
    match waited {
        WaitResult::Message(Message::Listed(definitions)) => Ok(Some((reading, definitions))),
        WaitResult::Message(Message::Ended(Err(error), _)) => Err(error.into()),
        WaitResult::Message(Message::Ended(Ok(ending), _)) => Err(ended(ending).into()),
        WaitResult::TooLong { was_stopped } => {
            Err(too_long(" to read the file", reading.timeout, was_stopped))
        }
        WaitResult::Interrupted => Ok(None),
    }
}

fn too_long(what: &str, timeout: Duration, was_stopped: bool) -> TestFailure {
    let time = crate::ui::format::time(timeout.as_secs_f64());
    let failure = TestFailure::new(format!("it took longer than {time}{what}"));
    if was_stopped {
        failure.hint("give it more time with --timeout")
    } else {
        failure.hint("it could not be stopped, because it is inside of one long operation, and was left behind")
    }
}

/// Runs the selected tests. Tests after an interrupt are missing from the result.
fn run_all(
    first: LoadedFile,
    definitions: &[Definition],
    options: &TestSettings,
    begin: impl Fn() -> Result<LoadedFile>,
) -> Vec<Test> {
    let is_meant =
        |test: &Definition| options.filter.as_ref().is_none_or(|part| test.name.contains(part));
    let has_only = definitions.iter().any(|test| test.mode == Mode::Only && is_meant(test));
    let mut first = Some(first);
    let mut tests = Vec::new();
    for (number, definition) in definitions.iter().enumerate() {
        if !is_meant(definition) {
            continue;
        }
        let verdict = match definition.mode {
            _ if options.list => Some(TestResult::Listed),
            Mode::Skip => Some(TestResult::Skipped("it.skip")),
            Mode::Run if has_only => Some(TestResult::Skipped("another is it.only")),
            Mode::Run | Mode::Only => None,
        };
        let mut test = Test {
            name: definition.name.clone(),
            place: definition.place.clone(),
            verdict: TestResult::Passed,
            took: Duration::ZERO,
            output: String::new(),
        };
        if let Some(verdict) = verdict {
            test.verdict = verdict;
        } else {
            let request = VmRequest::Run(number, definition.name.clone(), definitions.len());
            let reading = first.take().map_or_else(&begin, Ok);
            test.verdict = match reading.map(|reading| one(&reading, request, &mut test)) {
                Ok(Some(verdict)) => verdict,
                Ok(None) => break,
                Err(error) => TestResult::Failed(error.into()),
            };
        }
        tests.push(test);
    }
    tests
}

/// Sets the place of the test for a failure without a place.
fn failure_of(test: &Test, mut failure: TestFailure) -> TestFailure {
    failure.place.get_or_insert_with(|| test.place.clone());
    failure
}

/// Runs one test; `None` if it was interrupted.
fn one(reading: &LoadedFile, request: VmRequest, test: &mut Test) -> Option<TestResult> {
    let waited = reading.wait_for(request);
    test.output = reading.output.take();
    test.took = reading.began.elapsed();
    let failure = match waited {
        WaitResult::Message(Message::Ended(ending, took)) => {
            test.took = took;
            match ending {
                Ok(_) => return Some(TestResult::Passed),
                Err(error) => error.into(),
            }
        }
        WaitResult::Message(Message::Listed(_)) => {
            TestFailure::new("the test was mistaken for the list of tests")
        }
        WaitResult::TooLong { was_stopped } => too_long("", reading.timeout, was_stopped),
        WaitResult::Interrupted => return None,
    };
    Some(TestResult::Failed(failure_of(test, failure)))
}
