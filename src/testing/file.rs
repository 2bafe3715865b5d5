//! One test file: it is read to learn which tests it has, and read again for each of them, so that every test has a VM and an account
//! of its own. Tests of a file run one after the other.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::offers::{Definition, Definitions, Mode, offers};
use super::world::{Captured, Live, World};
use super::{Failure, FileReport, Interrupt, Options, Test, Verdict, shown};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::lua::cancel::{Canceller, Stop};
use crate::lua::sandbox::{Access, Permissions};
use crate::lua::{Ending, Format, Output, Setup, Show, Vm};
use crate::script::{Loaded, Script};
use crate::session::{Gate, Mode as Changes, Session};

/// How long a VM that was told to stop is waited for.
const GRACE: Duration = Duration::from_secs(5);
/// As much as the main thread of a program has.
const STACK: usize = 8 << 20;

/// What a VM's thread says.
enum Said {
    /// The file was read, and has these tests.
    Read(Vec<Definition>),
    /// It, or the test, has ended.
    Ended(Result<Ending>, Duration),
}

/// A file that was read in a VM, on a thread of its own, which waits for the number of the test to run.
struct Reading {
    world: Arc<World>,
    output: Captured,
    number: Sender<usize>,
    said: Receiver<Said>,
    began: Instant,
    timeout: Duration,
}

/// How a wait for a VM ended.
enum Waited {
    Said(Said),
    /// It took too long; whether it could be stopped.
    TooLong {
        was_stopped: bool,
    },
    Interrupted,
}

impl Reading {
    fn begin(
        path: &Path,
        options: &Options,
        runtime: &Handle,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let loaded = Loaded::read(&Script::File(path.to_owned()))?;
        let folder = loaded.folder.clone().unwrap_or_else(|| PathBuf::from("."));
        let world = World::new(folder, runtime.clone(), options)?;
        interrupt.watch(&world);
        let output = Captured::default();
        let ((number, asked), (say, said)) = (channel(), channel());
        let (own, kept) = (Arc::clone(&world), output.clone());
        std::thread::Builder::new()
            .name("iamlua-test".into())
            .stack_size(STACK)
            .spawn(move || {
                let began = Instant::now();
                if let Err(error) = work(&own, &loaded, kept, &asked, &say) {
                    let _ = say.send(Said::Ended(Err(error), began.elapsed()));
                }
            })
            .map_err(|error| Error::io("cannot start a thread for the test", error))?;
        let (began, timeout) = (Instant::now(), options.timeout);
        Ok(Self { world, output, number, said, began, timeout })
    }

    fn wait(&self) -> Waited {
        let left = self.timeout.saturating_sub(self.began.elapsed());
        let first = self.said.recv_timeout(left);
        let said = match first {
            Ok(said) => Some(said),
            Err(RecvTimeoutError::Timeout) => {
                self.world.stop(Stop::Timeout);
                let was_stopped = self.said.recv_timeout(GRACE).is_ok();
                return match self.world.stopped() {
                    Some(Stop::Interrupted) => Waited::Interrupted,
                    _ => Waited::TooLong { was_stopped },
                };
            }
            Err(RecvTimeoutError::Disconnected) => None,
        };
        match (self.world.stopped(), said) {
            (Some(Stop::Interrupted), _) => Waited::Interrupted,
            (_, Some(said)) => Waited::Said(said),
            (_, None) => Waited::Said(Said::Ended(
                Err(Error::new(Kind::Bug, "the thread of the test ended in an unexpected way")),
                self.began.elapsed(),
            )),
        }
    }
}

/// Reads the file, says which tests it has, and runs the one that is asked for.
fn work(
    world: &Arc<World>,
    loaded: &Loaded,
    output: Captured,
    asked: &Receiver<usize>,
    say: &Sender<Said>,
) -> Result<()> {
    let session = Session::new(Changes::Apply);
    let canceller = Canceller::default();
    let mut permissions = Permissions::default();
    permissions.allow(Access::Read, &world.folder.display().to_string())?;
    let name = shown(Path::new(&loaded.name));
    let setup = Setup {
        gate: Gate::new(Arc::clone(&session), world.connection()),
        runtime: world.runtime.clone(),
        canceller: canceller.clone(),
        script: name.clone(),
        folder: Some(world.folder.clone()),
        args: Vec::new(),
        permissions,
        max_memory: world.max_memory,
        format: Format::Table,
        show: Show::AtEnd,
        width: None,
        reserved: world.reserved.clone(),
        log_level: "info",
        confirm: Box::new(|_| None),
        clock: Clock::Held(world.clock.clone()),
    };
    let (out, err) = (Box::new(output.clone()), Box::new(output));
    let vm = Vm::new(setup, Output { out, err, by_line: false, is_pending: false })?;
    world.add(Live { canceller, waker: vm.waker(), session });
    let definitions = Definitions::default();
    let run = vm.extend("testing.lua", offers(world, &definitions))?;
    match vm.run(&loaded.source, &name)? {
        Ending::Finished => {}
        other => return Err(ended(other)),
    }
    let known = Rc::unwrap_or_clone(definitions).into_inner();
    let _ = say.send(Said::Read(known));
    // Nobody asks when there is nothing to run.
    let Ok(number) = asked.recv() else { return Ok(()) };
    let began = Instant::now();
    let ending = vm.call(run, number + 1);
    let took = began.elapsed();
    let ending = match ending {
        Ok(Ending::Finished) => Ok(Ending::Finished),
        Ok(other) => Err(ended(other)),
        Err(error) => Err(error),
    };
    let _ = say.send(Said::Ended(ending, took));
    Ok(())
}

/// The error of a test that ends the program.
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
    options: &Options,
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
    let read_anew = || Reading::begin(path, options, runtime, interrupt);
    match read(read_anew(), &mut report.output) {
        Ok(Some((first, definitions))) => {
            if definitions.is_empty() {
                report.failure = Some(
                    Failure::new("there is no test in it")
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

/// Waits for the file to be read; `None` if it was interrupted.
fn read(
    reading: Result<Reading>,
    output: &mut String,
) -> Result<Option<(Reading, Vec<Definition>)>, Failure> {
    let reading = reading?;
    let waited = reading.wait();
    output.push_str(&reading.output.take());
    match waited {
        Waited::Said(Said::Read(definitions)) => Ok(Some((reading, definitions))),
        Waited::Said(Said::Ended(Err(error), _)) => Err(error.into()),
        Waited::Said(Said::Ended(Ok(ending), _)) => Err(ended(ending).into()),
        Waited::TooLong { was_stopped } => {
            Err(too_long(" to read the file", reading.timeout, was_stopped))
        }
        Waited::Interrupted => Ok(None),
    }
}

fn too_long(what: &str, timeout: Duration, was_stopped: bool) -> Failure {
    let time = crate::words::time(timeout.as_secs_f64());
    let failure = Failure::new(format!("it took longer than {time}{what}"));
    if was_stopped {
        failure.hint("give it more time with --timeout")
    } else {
        failure.hint("it could not be stopped, because it is inside of one long operation, and was left behind")
    }
}

/// Runs the tests that are to be run; those that an interrupt leaves out are missing.
fn run_all(
    first: Reading,
    definitions: &[Definition],
    options: &Options,
    begin: impl Fn() -> Result<Reading>,
) -> Vec<Test> {
    let has_only = definitions.iter().any(|test| test.mode == Mode::Only);
    let mut first = Some(first);
    let mut tests = Vec::new();
    for (number, definition) in definitions.iter().enumerate() {
        if options.filter.as_ref().is_some_and(|part| !definition.name.contains(part)) {
            continue;
        }
        let verdict = match definition.mode {
            _ if options.list => Some(Verdict::Listed),
            Mode::Skip => Some(Verdict::Skipped("it.skip")),
            Mode::Run if has_only => Some(Verdict::Skipped("another is it.only")),
            Mode::Run | Mode::Only => None,
        };
        let mut test = Test {
            name: definition.name.clone(),
            place: definition.place.clone(),
            verdict: Verdict::Passed,
            took: Duration::ZERO,
            output: String::new(),
        };
        if let Some(verdict) = verdict {
            test.verdict = verdict;
        } else {
            let reading = match first.take() {
                Some(reading) => Ok(Some(reading)),
                None => again(begin(), definitions),
            };
            match reading {
                Ok(Some(reading)) => match one(&reading, number, &mut test) {
                    Some(verdict) => test.verdict = verdict,
                    None => break,
                },
                Ok(None) => break,
                Err(failure) => test.verdict = Verdict::Failed(failure),
            }
        }
        tests.push(test);
    }
    tests
}

/// Reads the file anew.
fn again(reading: Result<Reading>, definitions: &[Definition]) -> Result<Option<Reading>, Failure> {
    let Some((reading, found)) = read(reading, &mut String::new())? else { return Ok(None) };
    if found != definitions {
        return Err(Failure::new("the file does not define the same tests each time it is read")
            .hint("which tests there are must not depend on chance, on the account, or on what ran before"));
    }
    Ok(Some(reading))
}

/// A failure that has no place of its own happened somewhere in the test.
fn failure_of(test: &Test, mut failure: Failure) -> Failure {
    failure.place.get_or_insert_with(|| test.place.clone());
    failure
}

/// Runs one test; `None` if it was interrupted.
fn one(reading: &Reading, number: usize, test: &mut Test) -> Option<Verdict> {
    let began = Instant::now();
    // The thread being gone shows in what it says.
    let _ = reading.number.send(number);
    let waited = reading.wait();
    test.took = began.elapsed();
    test.output = reading.output.take();
    match waited {
        Waited::Said(Said::Ended(Ok(_), took)) => {
            test.took = took;
            Some(Verdict::Passed)
        }
        Waited::Said(Said::Ended(Err(error), took)) => {
            test.took = took;
            Some(Verdict::Failed(failure_of(test, error.into())))
        }
        Waited::Said(Said::Read(_)) => {
            Some(Verdict::Failed(Failure::new("the file was read twice by one thread")))
        }
        Waited::TooLong { was_stopped } => {
            let failure = too_long("", reading.timeout, was_stopped);
            Some(Verdict::Failed(failure_of(test, failure)))
        }
        Waited::Interrupted => None,
    }
}
