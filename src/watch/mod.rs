//! `iamlua watch`: runs scripts again when their dependencies have changed.
//!
//! Events only cause a check. The fingerprints of the last run decide. One thread runs the scripts,
//! one after the other; the event loop handles files, keys and timers.

mod comparison;
mod event_loop;
mod keys;
mod scripts;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::app::account::PromptAccount;
use crate::app::run::{self, Running, TargetConfig};
use crate::app::signals::{self, ProcessSignal};
use crate::error::{Error, Kind, Result};
use crate::files::watch::{Changed, PathWatcher};
use crate::session::journal;
use crate::session::{Gate, Mode, Session, SessionConfig};
use event_loop::Watch;
use keys::KeyReader;
use scripts::Scripts;
use worker::{Ended, Worker};

/// Settings of the watcher.
#[derive(Debug)]
pub struct WatchSettings {
    /// Settings of the runs.
    pub run: run::RunSettings,
    /// Scripts, and folders with runbooks.
    pub paths: Vec<PathBuf>,
    /// Arguments of each script.
    pub args: Vec<String>,
    /// Time without changes before a script runs.
    pub debounce: Duration,
    /// Handling of changes while a script runs.
    pub on_busy: OnBusy,
    /// Clears the screen before each run.
    pub clear: bool,
    /// Skips the runs at the start.
    pub postpone: bool,
    /// Ends after one round of runs.
    pub once: bool,
}

/// Handling of changes to the dependencies of a running script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBusy {
    /// Runs the script once more afterwards.
    Queue,
    /// Stops the script, lets calls in flight finish, and runs it again.
    Restart,
    /// Ignores the changes.
    Ignore,
}

/// Event for the watcher.
enum WatchEvent {
    /// Files may have changed.
    Changed(Changed),
    /// Key was pressed.
    Key(char),
    /// Question of a script.
    Asked(String, Sender<bool>),
    /// Start of a run.
    Began(Running),
    /// End of a job.
    Ended(Box<Ended>),
    /// Request of a signal.
    Request(ProcessSignal),
}

/// Watches until the end is requested, or nothing is left to do. Returns the exit code.
///
/// # Errors
/// A path without scripts, an account that is not confirmed, a failure to start threads, or an
/// interrupt.
pub fn run(mut options: WatchSettings) -> Result<u8> {
    let scripts = Scripts::of(&options.paths)?;
    let runtime = run::runtime()?;
    confirm_account(&mut options.run, &runtime)?;
    let (events, hears) = channel();
    let tell = events.clone();
    let watcher = PathWatcher::new(move |changed| {
        // The receiver is gone at the end.
        let _ = tell.send(WatchEvent::Changed(changed));
    })?;
    let tell = events.clone();
    let tell_request = move |request| {
        let _ = tell.send(WatchEvent::Request(request));
    };
    signals::tell_requests(tell_request, keys::restore)?;
    let tell = events.clone();
    let keys = KeyReader::read(move |key| {
        let _ = tell.send(WatchEvent::Key(key));
    });
    let worker = Worker {
        options: options.run.clone(),
        args: std::mem::take(&mut options.args),
        clears: options.clear,
        can_ask: keys.is_some() && std::io::IsTerminal::is_terminal(&std::io::stderr()),
        runtime: runtime.handle().clone(),
        allowed: Arc::default(),
        events,
    };
    let jobs = worker.start()?;
    let watch = Watch::new(options, scripts, watcher, jobs, keys.is_some());
    let result = watch.work(&hears, runtime.handle());
    drop(keys);
    runtime.shutdown_background();
    result
}

/// Asks once to confirm the account that is written to, unless it is the local one. Runs that reach
/// another account are refused from then on.
fn confirm_account(options: &mut run::RunSettings, runtime: &Runtime) -> Result<()> {
    if matches!(options.against, TargetConfig::Local(_)) || options.rules.mode != Mode::Apply {
        return Ok(());
    }
    let unconfirmed = || {
        Error::new(Kind::Refused, "changes on AWS are made only in an account that was confirmed")
            .hint("--yes confirms it, where there is nobody to ask; without --apply scripts only plan")
    };
    if !options.yes && !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        return Err(unconfirmed());
    }
    let rules = SessionConfig {
        mode: Mode::ReadOnly,
        journal: journal::JournalLocation::Memory,
        ..options.rules.clone()
    };
    let gate = Gate::new(Session::with(rules), options.against.connection());
    let place = runtime.block_on(PromptAccount::of(&options.against, &gate))?;
    let question = format!("Make changes from now on in {}?", place.describe());
    match run::confirm(&question, options.yes) {
        Some(true) => {}
        Some(false) => return Err(Error::new(Kind::Refused, "nothing was changed")),
        None => return Err(unconfirmed()),
    }
    options.rules.confirmed = Some(runtime.block_on(gate.site())?);
    Ok(())
}
