//! Tests of scripts: `iamlua test`. Files are found, read and run here, several at once, each test in a VM of its own on a fresh
//! account in memory; `report` writes down what became of them. What a test file finds is in `stdlib/testing.lua`.
//!
//! A test's VM is on a thread of its own, so that one that cannot be stopped, deep inside of one long operation of Lua's library, holds up
//! nothing: it is left behind.

mod captured;
mod file;
mod find;
mod offers;
pub mod report;
mod runbook;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::app::run;
use crate::error::{Error, Result};
use crate::lua::cancel::Stop;
use crate::lua::sandbox::Permissions;

pub use find::{find, nothing_found};
use world::World;

/// How tests are run.
#[derive(Clone, Debug)]
pub struct TestSettings {
    /// Only tests are run whose full name contains this.
    pub filter: Option<String>,
    /// How many files are run at once.
    pub jobs: usize,
    /// How long a test may take, with the reading of its file.
    pub timeout: Duration,
    /// Whether tests are only listed.
    pub list: bool,
    /// The most bytes of Lua values of one test.
    pub max_memory: usize,
    /// The names that parameters of runbooks cannot have.
    pub reserved: Vec<String>,
    /// Lag of reads behind writes in the account of a test, unless the test says
    /// otherwise.
    pub lag: Duration,
    /// What tests, and the runbooks that they run, may touch on this machine.
    pub permissions: Permissions,
}

impl Default for TestSettings {
    fn default() -> Self {
        Self {
            filter: None,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            timeout: Duration::from_mins(1),
            list: false,
            max_memory: 1 << 30,
            reserved: Vec::new(),
            lag: Duration::ZERO,
            permissions: Permissions::default(),
        }
    }
}

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestResult {
    /// It passed.
    Passed,
    /// It failed.
    Failed(Failure),
    /// It was not run, for this reason.
    Skipped(&'static str),
    /// It was only listed.
    Listed,
}

/// Why something failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// What failed; a difference is in lines that begin with `-` and `+`.
    pub message: String,
    /// Where in a script: `tag_test.lua:12`.
    pub place: Option<String>,
    /// What to do next.
    pub hints: Vec<String>,
    /// The traceback, of scripts only.
    pub traceback: Option<String>,
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The message in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut lines = self.message.lines();
        match (lines.next(), lines.next(), lines.next()) {
            // "expected …" and "got …"
            (Some(first), Some(second), None) => {
                let words: Vec<_> = second.split_whitespace().collect();
                format!("{}, {}", first.trim_end(), words.join(" "))
            }
            (first, ..) => first.unwrap_or_default().to_owned(),
        }
    }
}

impl From<Error> for Failure {
    fn from(mut error: Error) -> Self {
        let mut hints = std::mem::take(&mut error.hints);
        for hint in &mut hints {
            *hint = in_tests(std::mem::take(hint));
        }
        let traceback = error.traceback.take().map(String::from).filter(|text| !text.is_empty());
        let given = error.place.take().map(String::from);
        let mut message = error.to_string();
        // An error of Lua's own has its place in front; one without any happened where the traceback begins.
        let own = place_of(&message).map(str::to_owned);
        if let Some(own) = &own {
            message.drain(..own.len() + 2);
        }
        let innermost = traceback.as_deref().and_then(|text| place_of(text.trim_start()));
        let place = given.or(own).or_else(|| innermost.map(str::to_owned));
        Self { message, place, hints, traceback: traceback.filter(|text| text.lines().count() > 1) }
    }
}

/// A hint that names a flag of `iamlua run` which `iamlua test` has not, as a test needs it.
fn in_tests(hint: String) -> String {
    if let Some(flag) =
        hint.strip_prefix("allow it with ").filter(|flag| flag.starts_with("--allow-"))
    {
        let own = if flag.starts_with("--allow-read") || flag.starts_with("--allow-write") {
            "a test may read files beside it, and write in a folder of temp_folder; "
        } else {
            ""
        };
        format!("{own}allow it with `iamlua test {flag}`")
    } else if hint.contains("--max-memory") {
        "a test holds more than it may; iterate with each instead of collecting".into()
    } else {
        hint
    }
}

/// A hint of a runbook's error, with the option of `run_runbook` where it names a flag.
fn in_runbooks(hint: &str) -> String {
    let given = hint.strip_prefix("allow it with --allow-").and_then(|flag| flag.split_once('='));
    match given {
        Some((access, what)) => {
            format!("allow it with the option allow_{access} = {{ {what:?} }} of run_runbook")
        }
        None => hint.to_owned(),
    }
}

/// The place in front of a message: `tag.lua:12` of `tag.lua:12: no such thing`.
fn place_of(message: &str) -> Option<&str> {
    let end = message.find(": ")?;
    let (file, line) = message[..end].rsplit_once(':')?;
    let is_line = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    // What has a colon and a number in front may be an address.
    let is_lua = Path::new(file).extension().is_some_and(|ending| ending == "lua");
    let is_file = is_lua || file.starts_with("[iamlua:");
    (is_line && is_file && !file.contains('\n')).then(|| &message[..end])
}

/// A test and what became of it.
#[derive(Clone, Debug)]
pub struct Test {
    /// Its full name: `description › test`.
    pub name: String,
    /// Where it is defined: `tag_test.lua:12`.
    pub place: String,
    /// What became of it.
    pub verdict: TestResult,
    /// How long it took.
    pub took: Duration,
    /// What it has printed.
    pub output: String,
}

/// What became of the tests of a file.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// The file.
    pub path: PathBuf,
    /// Its tests, in the order in which it defines them; without those that the filter leaves out.
    pub tests: Vec<Test>,
    /// Why it could not be read, or not to its end.
    pub failure: Option<Failure>,
    /// What it has printed while it was read.
    pub output: String,
    /// How long all of it took.
    pub took: Duration,
}

/// So many tests, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: usize,
    /// Failed, files that could not be read included.
    pub failed: usize,
    /// Not run.
    pub skipped: usize,
    /// Only listed.
    pub listed: usize,
}

impl Counts {
    /// How many there are.
    #[must_use]
    pub fn all(self) -> usize {
        self.passed + self.failed + self.skipped + self.listed
    }
}

impl FileReport {
    /// What became of its tests.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts =
            Counts { failed: usize::from(self.failure.is_some()), ..Counts::default() };
        for test in &self.tests {
            *match test.verdict {
                TestResult::Passed => &mut counts.passed,
                TestResult::Failed(_) => &mut counts.failed,
                TestResult::Skipped(_) => &mut counts.skipped,
                TestResult::Listed => &mut counts.listed,
            } += 1;
        }
        counts
    }
}

/// What became of all tests.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The files, in the order in which they were given.
    pub files: Vec<FileReport>,
    /// How long all of it took.
    pub took: Duration,
    /// Whether it was ended before its end.
    pub is_interrupted: bool,
}

impl Report {
    /// What became of the tests.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.files.iter().map(FileReport::counts).fold(Counts::default(), |all, file| Counts {
            passed: all.passed + file.passed,
            failed: all.failed + file.failed,
            skipped: all.skipped + file.skipped,
            listed: all.listed + file.listed,
        })
    }
}

/// Ends tests that run, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<Interrupted>);

#[derive(Debug, Default)]
struct Interrupted {
    is_set: AtomicBool,
    worlds: Mutex<Vec<Weak<World>>>,
}

impl Interrupt {
    /// Ends the tests that run, and lets no other begin.
    pub fn stop(&self) {
        self.0.is_set.store(true, Ordering::SeqCst);
        let worlds = self.0.worlds.lock().unwrap_or_else(PoisonError::into_inner);
        for world in worlds.iter().filter_map(Weak::upgrade) {
            world.stop(Stop::Interrupted);
        }
    }

    fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::SeqCst)
    }

    /// A test begins, which may have to be ended.
    fn watch(&self, world: &Arc<World>) {
        let mut worlds = self.0.worlds.lock().unwrap_or_else(PoisonError::into_inner);
        worlds.retain(|world| world.strong_count() > 0);
        worlds.push(Arc::downgrade(world));
        drop(worlds);
        if self.is_set() {
            world.stop(Stop::Interrupted);
        }
    }
}

/// Runs the tests of files; `tell` hears of each file when it is done, in the order of the files, whichever ends first.
///
/// # Errors
/// If the system gives no threads.
pub fn run(
    files: &[PathBuf],
    options: &TestSettings,
    interrupt: &Interrupt,
    mut tell: impl FnMut(&FileReport) -> Result<()>,
) -> Result<Report> {
    let began = Instant::now();
    let jobs = options.jobs.clamp(1, files.len().max(1));
    // One for each job, each with one thread: calls then arrive in the order in which they were made, and get the same ids each time.
    let runtimes: Vec<_> = (0..jobs).map(|_| run::runtime()).collect::<Result<_>>()?;
    let next = AtomicUsize::new(0);
    let mut report = Report::default();
    std::thread::scope(|scope| {
        let (sender, done) = channel();
        for runtime in &runtimes {
            let (sender, next) = (sender.clone(), &next);
            let runtime = runtime.handle();
            scope.spawn(move || {
                while !interrupt.is_set() {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = files.get(at) else { break };
                    if sender.send((at, file::run(path, options, interrupt, runtime))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        for (at, file) in done {
            waiting.insert(at, file);
            while let Some(file) = waiting.remove(&report.files.len()) {
                tell(&file)?;
                report.files.push(file);
            }
        }
        // After an interrupt some may be missing before these.
        for file in waiting.into_values() {
            tell(&file)?;
            report.files.push(file);
        }
        Ok(())
    })?;
    runtimes.into_iter().for_each(Runtime::shutdown_background);
    report.took = began.elapsed();
    report.is_interrupted = interrupt.is_set();
    Ok(report)
}

/// How a file is called in messages: as it was given, without `./` in front.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::{Failure, place_of};
    use crate::error::{Error, Kind};

    #[test]
    fn the_place_of_a_failure_is_found_wherever_it_is() {
        assert_eq!(place_of("a/b_test.lua:12: no such thing"), Some("a/b_test.lua:12"));
        assert_eq!(place_of("no place: in this one"), None);
        assert_eq!(place_of("Error at http://x.y:80: nope"), None);
        let mut error = Error::new(Kind::Script, "assertion failed!");
        error.traceback = Some(
            "  a_test.lua:3: in upvalue 'f'\n  a_test.lua:7: in function <a_test.lua:6>".into(),
        );
        let failure = Failure::from(error);
        assert_eq!(failure.place.as_deref(), Some("a_test.lua:3"));
        assert_eq!(failure.message, "assertion failed!");
        let failure = Failure::from(Error::new(Kind::Script, "a_test.lua:5: attempt to call nil"));
        assert_eq!(failure.place.as_deref(), Some("a_test.lua:5"));
        assert_eq!(failure.message, "attempt to call nil");
    }
}
