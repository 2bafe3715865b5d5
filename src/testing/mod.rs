//! Test runner of `iamlua test`. Several files run at once. Each test has its own VM, and a fresh
//! account in memory. `report` formats the results; `stdlib/testing.lua` is the Lua side.
//!
//! The VM of a test has its own thread. A thread that cannot be stopped, because it is inside a
//! long operation of Lua's library, is abandoned and delays nothing.

mod account;
mod captured;
mod file;
mod find;
mod offers;
pub mod report;
mod runbook;

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

use account::TestContext;
pub use find::{find, nothing_found};

/// Settings of a test run.
#[derive(Clone, Debug)]
pub struct TestSettings {
    /// Filter: only tests whose full name contains this are run.
    pub filter: Option<String>,
    /// Number of files that run at once.
    pub jobs: usize,
    /// Time limit of a test, including the loading of its file.
    pub timeout: Duration,
    /// Lists the tests instead of running them.
    pub list: bool,
    /// Memory limit of one test, in bytes.
    pub max_memory: usize,
    /// Names that parameters of runbooks cannot have.
    pub reserved: Vec<String>,
    /// Default lag of reads behind writes in the account of a test.
    pub lag: Duration,
    /// Permissions of tests and their runbooks on this machine.
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

/// Result of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestResult {
    /// Passed.
    Passed,
    /// Failed.
    Failed(TestFailure),
    /// Skipped, for this reason.
    Skipped(&'static str),
    /// Listed, without running.
    Listed,
}

/// Failure of a test or a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestFailure {
    /// Message. A difference is in lines that begin with `-` and `+`.
    pub message: String,
    /// Place in a script: `tag_test.lua:12`.
    pub place: Option<String>,
    /// Next steps.
    pub hints: Vec<String>,
    /// Traceback, of scripts only.
    pub traceback: Option<String>,
}

impl TestFailure {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Message in one line.
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

impl From<Error> for TestFailure {
    fn from(mut error: Error) -> Self {
        let mut hints = std::mem::take(&mut error.hints);
        for hint in &mut hints {
            *hint = in_tests(std::mem::take(hint));
        }
        let traceback = error.traceback.take().map(String::from).filter(|text| !text.is_empty());
        let given = error.place.take().map(String::from);
        let mut message = error.to_string();
        // Errors of Lua begin with their place. Others have the place where the traceback begins.
        let own = place_of(&message).map(str::to_owned);
        if let Some(own) = &own {
            message.drain(..own.len() + 2);
        }
        let innermost = traceback.as_deref().and_then(|text| place_of(text.trim_start()));
        let place = given.or(own).or_else(|| innermost.map(str::to_owned));
        Self { message, place, hints, traceback: traceback.filter(|text| text.lines().count() > 1) }
    }
}

/// Replaces a flag of `iamlua run` that `iamlua test` lacks, in a hint, by its equivalent for
/// tests.
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

/// Replaces a flag in a hint of a runbook's error by the option of `run_runbook`.
fn in_runbooks(hint: &str) -> String {
    let given = hint.strip_prefix("allow it with --allow-").and_then(|flag| flag.split_once('='));
    match given {
        Some((access, what)) => {
            format!("allow it with the option allow_{access} = {{ {what:?} }} of run_runbook")
        }
        None => hint.to_owned(),
    }
}

/// Place at the start of a message: `tag.lua:12` of `tag.lua:12: no such thing`.
fn place_of(message: &str) -> Option<&str> {
    let end = message.find(": ")?;
    let (file, line) = message[..end].rsplit_once(':')?;
    let is_line = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
    // A host with a port has the same form.
    let is_lua = Path::new(file).extension().is_some_and(|ending| ending == "lua");
    let is_file = is_lua || file.starts_with("[iamlua:");
    (is_line && is_file && !file.contains('\n')).then(|| &message[..end])
}

/// Test with its result.
#[derive(Clone, Debug)]
pub struct Test {
    /// Full name: `description › test`.
    pub name: String,
    /// Place of its definition: `tag_test.lua:12`.
    pub place: String,
    /// Result.
    pub verdict: TestResult,
    /// Duration.
    pub took: Duration,
    /// Output.
    pub output: String,
}

/// Results of the tests of a file.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// Path of the file.
    pub path: PathBuf,
    /// Tests in the order of their definition, without those that the filter leaves out.
    pub tests: Vec<Test>,
    /// Failure that prevented loading the whole file.
    pub failure: Option<TestFailure>,
    /// Output while it was loaded.
    pub output: String,
    /// Total duration.
    pub took: Duration,
}

/// Number of tests by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestCounts {
    /// Passed.
    pub passed: usize,
    /// Failed, including files that could not be loaded.
    pub failed: usize,
    /// Skipped.
    pub skipped: usize,
    /// Listed.
    pub listed: usize,
}

impl TestCounts {
    /// Total number.
    #[must_use]
    pub fn all(self) -> usize {
        self.passed + self.failed + self.skipped + self.listed
    }
}

impl FileReport {
    /// Number of tests by result.
    #[must_use]
    pub fn counts(&self) -> TestCounts {
        let mut counts =
            TestCounts { failed: usize::from(self.failure.is_some()), ..TestCounts::default() };
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

/// Results of all tests.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Files, in the order in which they were given.
    pub files: Vec<FileReport>,
    /// Total duration.
    pub took: Duration,
    /// Set if it was interrupted.
    pub is_interrupted: bool,
}

impl Report {
    /// Number of tests by result.
    #[must_use]
    pub fn counts(&self) -> TestCounts {
        self.files.iter().map(FileReport::counts).fold(TestCounts::default(), |all, file| {
            TestCounts {
                passed: all.passed + file.passed,
                failed: all.failed + file.failed,
                skipped: all.skipped + file.skipped,
                listed: all.listed + file.listed,
            }
        })
    }
}

/// Handle that stops running tests, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<Interrupted>);

#[derive(Debug, Default)]
struct Interrupted {
    is_set: AtomicBool,
    contexts: Mutex<Vec<Weak<TestContext>>>,
}

impl Interrupt {
    /// Stops the running tests, and starts no more.
    pub fn stop(&self) {
        self.0.is_set.store(true, Ordering::SeqCst);
        let contexts = self.0.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        for context in contexts.iter().filter_map(Weak::upgrade) {
            context.stop(Stop::Interrupted);
        }
    }

    fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::SeqCst)
    }

    /// Registers a test, so that an interrupt stops it.
    fn watch(&self, context: &Arc<TestContext>) {
        let mut contexts = self.0.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        contexts.retain(|context| context.strong_count() > 0);
        contexts.push(Arc::downgrade(context));
        drop(contexts);
        if self.is_set() {
            context.stop(Stop::Interrupted);
        }
    }
}

/// Runs the tests of files. `tell` receives each finished file, in the order of `files`.
///
/// # Errors
/// If threads cannot be started.
pub fn run(
    files: &[PathBuf],
    options: &TestSettings,
    interrupt: &Interrupt,
    mut tell: impl FnMut(&FileReport) -> Result<()>,
) -> Result<Report> {
    let began = Instant::now();
    let jobs = options.jobs.clamp(1, files.len().max(1));
    // One runtime with one thread per job: calls arrive in the order in which they were made, and
    // so get the same ids in every run.
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
        // After an interrupt, earlier files may be missing.
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

/// Path of a file in messages: as it was given, without a leading `./`.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::{TestFailure, place_of};
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
        let failure = TestFailure::from(error);
        assert_eq!(failure.place.as_deref(), Some("a_test.lua:3"));
        assert_eq!(failure.message, "assertion failed!");
        let failure =
            TestFailure::from(Error::new(Kind::Script, "a_test.lua:5: attempt to call nil"));
        assert_eq!(failure.place.as_deref(), Some("a_test.lua:5"));
        assert_eq!(failure.message, "attempt to call nil");
    }
}
