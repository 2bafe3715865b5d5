//! The thread that runs scripts, one after the other, each in a VM of its own. It shows what a run prints while it goes on; what it came to is
//! reported, for others to show.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::Happened;
use crate::app::run::{self, RunEnv, RunOutcome, RunSettings};
use crate::app::script::{Loaded, Script};
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::files::read_set::{Fingerprint, ReadSet};
use crate::lua::Confirm;
use crate::lua::cancel::Canceller;
use crate::ui::terminal::say;

/// The most bytes of what a run prints that are kept for comparing.
const MOST_KEPT: usize = 1 << 20;

/// A script that is to run.
#[derive(Debug)]
pub(super) struct Job {
    /// Which of the scripts it is.
    pub(super) script: usize,
    /// Where it is.
    pub(super) path: PathBuf,
    /// Whether it runs only if it is a runbook.
    pub(super) must_be_runbook: bool,
    /// Whether it only says which files it looks at before its manifest.
    pub(super) only_looks: bool,
    /// Why it runs.
    pub(super) why: String,
    /// Which files it looks at.
    pub(super) seen: ReadSet,
}

/// What a job has come to.
#[derive(Debug)]
pub(super) enum JobOutcome {
    /// It ran.
    Ran(Box<RunOutcome>),
    /// It could not be run.
    Failed(Error),
    /// It is no runbook, and was left alone.
    NoRunbook,
    /// It was only looked at.
    LookedAt,
}

/// The end of a job.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) script: usize,
    pub(super) outcome: JobOutcome,
    /// What it has printed.
    pub(super) output: String,
    /// Whether nobody reads what is printed.
    pub(super) is_closed: bool,
    /// The files it has looked at, with what was there.
    pub(super) saw: BTreeMap<PathBuf, Fingerprint>,
    pub(super) took: Duration,
}

/// What all jobs have in common.
pub(super) struct Worker {
    pub(super) options: RunSettings,
    pub(super) args: Vec<String>,
    /// Whether the screen is cleared before each run.
    pub(super) clears: bool,
    /// Whether there is somebody to ask.
    pub(super) can_ask: bool,
    pub(super) runtime: Handle,
    /// The questions that were answered with yes, which are not asked again.
    pub(super) allowed: Arc<Mutex<BTreeSet<String>>>,
    pub(super) happened: Sender<Happened>,
}

impl Worker {
    /// Starts the thread; it ends when nobody can send it jobs any more.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(super) fn start(self) -> Result<Sender<Job>> {
        let (jobs, received) = channel();
        let thread = std::thread::Builder::new().name("iamlua-runs".into());
        thread
            .spawn(move || self.work(&received))
            .map_err(|error| Error::io("cannot start a thread that runs scripts", error))?;
        Ok(jobs)
    }

    fn work(&self, jobs: &Receiver<Job>) {
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
                saw: job.seen.all(),
                took: began.elapsed(),
            };
            if self.happened.send(Happened::Ended(Box::new(ended))).is_err() {
                return;
            }
        }
    }

    fn carry_out(&self, job: &Job, kept: &CapturedOutput) -> Result<JobOutcome> {
        let loaded = match Loaded::read(&Script::File(job.path.clone())) {
            Ok(loaded) => loaded,
            Err(error) => {
                job.seen.read(&job.path);
                // It is reported when it runs.
                return if job.only_looks { Ok(JobOutcome::LookedAt) } else { Err(error) };
            }
        };
        job.seen.found(&job.path, Fingerprint::content(&loaded.source));
        if job.must_be_runbook || job.only_looks {
            if !names_runbook(&loaded.source) {
                return Ok(JobOutcome::NoRunbook);
            }
            let copy = Loaded {
                name: loaded.name.clone(),
                folder: loaded.folder.clone(),
                source: loaded.source.clone(),
            };
            let permissions = self.options.permissions.clone();
            let is_planned = self.options.rules.plans_outside();
            let seen = job.seen.clone();
            let declared = run::declared_by(copy, permissions, is_planned, &self.runtime, seen);
            if job.only_looks {
                return Ok(JobOutcome::LookedAt);
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

    fn run(&self, loaded: Loaded, job: &Job, kept: &CapturedOutput) -> Result<RunOutcome> {
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
            // Without anybody to hear of it, nobody can stop it; then the program is ending anyway.
            let _ = self.happened.send(Happened::Began(running));
            Ok(())
        };
        run::execute(loaded, &self.args, &self.options, around, began)
    }

    /// Questions of scripts are answered by who reads the keys.
    fn confirm(&self) -> Confirm {
        if self.options.yes || !self.can_ask {
            return Box::new(|_| None);
        }
        let (happened, allowed) = (self.happened.clone(), Arc::clone(&self.allowed));
        Box::new(move |question| {
            let allowed = || allowed.lock().unwrap_or_else(PoisonError::into_inner);
            if allowed().contains(question) {
                return Some(true);
            }
            let (answer, answered) = channel();
            happened.send(Happened::Asked(question.to_owned(), answer)).ok()?;
            let yes = answered.recv().ok()?;
            if yes {
                allowed().insert(question.to_owned());
            }
            Some(yes)
        })
    }
}

/// Whether a script has the word in it that makes a runbook.
fn names_runbook(source: &[u8]) -> bool {
    source.windows(b"runbook".len()).any(|word| word == b"runbook")
}

fn clear_screen() {
    let clear = b"\x1b[H\x1b[2J";
    // Who has closed it sees nothing anyway.
    if io::stdout().is_terminal() {
        let _ = io::stdout().write_all(clear).and_then(|()| io::stdout().flush());
    } else if io::stderr().is_terminal() {
        let _ = io::stderr().write_all(clear);
    }
}

/// What a run has printed; clones are hands on the same.
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

/// Writes what is printed where it belongs, and keeps its beginning.
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
        let room = MOST_KEPT.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..written.min(room)]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.to.flush();
        self.noting(flushed)
    }
}

/// A path as people see it: from the current folder, if it is below.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
