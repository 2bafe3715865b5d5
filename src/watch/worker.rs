//! Worker thread: runs scripts one after the other, each in its own VM. Output is shown during the
//! run; the result is reported to the event loop.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::WatchEvent;
use crate::app::run::{self, RunEnv, RunOutcome, RunSettings};
use crate::app::script::{Loaded, Script};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::files::read_set::{Fingerprint, ReadSet};
use crate::lua::Confirm;
use crate::lua::cancel::Canceller;
use crate::ui::terminal::say;

/// Upper bound on the bytes of output that are kept for comparison.
const MAX_KEPT: usize = 1 << 20;

/// Script to run.
#[derive(Debug)]
pub(super) struct ScriptJob {
    /// Index of the script.
    pub(super) script: usize,
    /// Path.
    pub(super) path: PathBuf,
    /// Set if it runs only as a runbook.
    pub(super) must_be_runbook: bool,
    /// Set if only the files that it reads before its manifest are recorded.
    pub(super) only_dependencies: bool,
    /// Reason of the run.
    pub(super) why: String,
    /// Recorder of the files that it reads.
    pub(super) seen: ReadSet,
}

/// Result of a job.
#[derive(Debug)]
pub(super) enum JobOutcome {
    /// Ran.
    Ran(Box<RunOutcome>),
    /// Could not be run.
    Failed(Error),
    /// Skipped, because it is no runbook.
    NoRunbook,
    /// Only its dependencies were recorded.
    DependenciesOnly,
}

/// End of a job.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) script: usize,
    pub(super) outcome: JobOutcome,
    /// Output.
    pub(super) output: String,
    /// Set if the reader of standard output has closed it.
    pub(super) is_closed: bool,
    /// Files that it has read, with their fingerprints.
    pub(super) fingerprints: BTreeMap<PathBuf, Fingerprint>,
    pub(super) took: Duration,
}

/// State that all jobs share.
pub(super) struct Worker {
    pub(super) options: RunSettings,
    pub(super) args: Vec<String>,
    /// Clears the screen before each run.
    pub(super) clears: bool,
    /// Set if questions can be answered.
    pub(super) can_ask: bool,
    pub(super) runtime: Handle,
    /// Questions that were answered with yes, and are not asked again.
    pub(super) allowed: Arc<Mutex<BTreeSet<String>>>,
    pub(super) events: Sender<WatchEvent>,
}

impl Worker {
    /// Starts the thread. It ends when all senders are dropped.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(self) -> Result<Sender<ScriptJob>> {
        let (jobs, received) = channel();
        let thread = std::thread::Builder::new().name("iamlua-runs".into());
        thread
            .spawn(move || self.work(&received))
            .map_err(|error| Error::io("cannot start a thread that runs scripts", error))?;
        Ok(jobs)
    }

    fn work(&self, jobs: &Receiver<ScriptJob>) {
        for job in jobs {
            let (began, kept) = (Instant::now(), CapturedOutput::default());
            let tried = catch_unwind(AssertUnwindSafe(|| self.carry_out(&job, &kept)));
            let outcome = match tried {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => JobOutcome::Failed(error),
                Err(_) => JobOutcome::Failed(Error::new(Kind::Bug, "the run has panicked")),
            };
            let ended = Ended {
                script: job.script,
                outcome,
                output: kept.take(),
                is_closed: kept.is_closed.load(Ordering::SeqCst),
                fingerprints: job.seen.all(),
                took: began.elapsed(),
            };
            if self.events.send(WatchEvent::Ended(Box::new(ended))).is_err() {
                return;
            }
        }
    }

    fn carry_out(&self, job: &ScriptJob, kept: &CapturedOutput) -> Result<JobOutcome> {
        let loaded = match Loaded::read(&Script::File(job.path.clone())) {
            Ok(loaded) => loaded,
            Err(error) => {
                job.seen.read(&job.path);
                // The error is reported when the script runs.
                return if job.only_dependencies {
                    Ok(JobOutcome::DependenciesOnly)
                } else {
                    Err(error)
                };
            }
        };
        job.seen.found(&job.path, Fingerprint::content(&loaded.source));
        if job.must_be_runbook || job.only_dependencies {
            if !names_runbook(&loaded.source) {
                return Ok(JobOutcome::NoRunbook);
            }
            let copy = Loaded {
                is_file: loaded.is_file,
                name: loaded.name.clone(),
                folder: loaded.folder.clone(),
                source: loaded.source.clone(),
            };
            let permissions = self.options.permissions.clone();
            let is_planned = self.options.rules.plans_outside();
            let seen = job.seen.clone();
            let declared = run::declared_by(copy, permissions, is_planned, &self.runtime, seen);
            if job.only_dependencies {
                return Ok(JobOutcome::DependenciesOnly);
            }
            if declared?.is_none() {
                return Ok(JobOutcome::NoRunbook);
            }
        }
        if self.clears {
            clear_screen();
        }
        say(&job.why);
        let executed = self.run(loaded, job, kept)?;
        Ok(JobOutcome::Ran(Box::new(executed)))
    }

    fn run(&self, loaded: Loaded, job: &ScriptJob, kept: &CapturedOutput) -> Result<RunOutcome> {
        let mut output = run::output(false);
        output.out = Box::new(Tee { to: output.out, kept: kept.clone() });
        let around = RunEnv {
            runtime: self.runtime.clone(),
            connection: self.options.against.connection(),
            canceller: Canceller::default(),
            output,
            confirm: self.confirm(),
            width: run::terminal_width(),
            has_input: false,
            seen: job.seen.clone(),
            log: None,
            clock: Clock::Real,
            functions: Vec::new(),
        };
        let began = |running| {
            // Sending fails only while the program is ending.
            let _ = self.events.send(WatchEvent::Began(running));
            Ok(())
        };
        run::execute(loaded, &self.args, &self.options, around, began)
    }

    /// Prompt for questions of scripts, answered by keys.
    fn confirm(&self) -> Confirm {
        if self.options.yes || !self.can_ask {
            return Box::new(|_| None);
        }
        let (events, allowed) = (self.events.clone(), Arc::clone(&self.allowed));
        Box::new(move |question| {
            let allowed = || allowed.lock().unwrap_or_else(PoisonError::into_inner);
            if allowed().contains(question) {
                return Some(true);
            }
            let (answer, answered) = channel();
            events.send(WatchEvent::Asked(question.to_owned(), answer)).ok()?;
            let yes = answered.recv().ok()?;
            if yes {
                allowed().insert(question.to_owned());
            }
            Some(yes)
        })
    }
}

/// Returns true if the source has the word `runbook`.
fn names_runbook(source: &[u8]) -> bool {
    source.windows(b"runbook".len()).any(|word| word == b"runbook")
}

fn clear_screen() {
    let clear = b"\x1b[H\x1b[2J";
    // A closed standard output needs no clearing.
    if io::stdout().is_terminal() {
        let _ = io::stdout().write_all(clear).and_then(|()| io::stdout().flush());
    } else if io::stderr().is_terminal() {
        let _ = io::stderr().write_all(clear);
    }
}

/// Output of a run. Clones share it.
#[derive(Clone, Default)]
struct CapturedOutput {
    bytes: Arc<Mutex<Vec<u8>>>,
    is_closed: Arc<AtomicBool>,
}

impl CapturedOutput {
    fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Writer to an output stream that also keeps the beginning.
struct Tee {
    to: Box<dyn Write>,
    kept: CapturedOutput,
}

impl Tee {
    fn noting<T>(&self, written: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &written
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            self.kept.is_closed.store(true, Ordering::SeqCst);
        }
        written
    }
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes);
        let written = self.noting(written)?;
        let mut kept = self.kept.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_KEPT.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..written.min(room)]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.to.flush();
        self.noting(flushed)
    }
}

/// Path for messages: relative, if it is below the current folder.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
