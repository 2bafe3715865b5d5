//! `iamlua watch`: runs scripts again when what they depend on has changed. Events only make it look; what a script has seen in its last run
//! decides. One thread runs scripts, one after the other; here files, keys and the time are kept.

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
use crate::app::signals::{self, Request};
use crate::error::{Error, Kind, Result};
use crate::files::watch::{Changed, PathWatcher};
use crate::session::journal;
use crate::session::{Gate, Mode, Session, SessionConfig};
use event_loop::Watch;
use keys::Keys;
use scripts::Scripts;
use worker::{Ended, Worker};

/// How scripts are watched.
#[derive(Debug)]
pub struct WatchSettings {
    /// How they run.
    pub run: run::RunSettings,
    /// The scripts, and folders of runbooks.
    pub paths: Vec<PathBuf>,
    /// The arguments of each script.
    pub args: Vec<String>,
    /// How long nothing may change before a script runs.
    pub debounce: Duration,
    /// What becomes of changes while a script runs.
    pub on_busy: OnBusy,
    /// Whether the screen is cleared before each run.
    pub clear: bool,
    /// Whether nothing runs at the start.
    pub postpone: bool,
    /// Whether it ends after one round of runs.
    pub once: bool,
}

/// What becomes of changes to what a script depends on, while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBusy {
    /// It runs once more afterwards.
    Queue,
    /// It is stopped, which lets calls in flight end, and runs again.
    Restart,
    /// They are forgotten.
    Ignore,
}

/// What the watcher hears of.
enum Happened {
    /// Files may have changed.
    Changed(Changed),
    /// A key was pressed.
    Key(char),
    /// A script asks a question.
    Asked(String, Sender<bool>),
    /// A run has begun.
    Began(Running),
    /// A job has ended.
    Ended(Box<Ended>),
    /// A signal.
    Request(Request),
}

/// Watches until it is told to end, or there is nothing more to do; returns the exit code.
///
/// # Errors
/// A path where there is nothing to watch, an account that is not confirmed, no threads; or an interrupt.
pub fn run(mut options: WatchSettings) -> Result<u8> {
    let scripts = Scripts::of(&options.paths)?;
    let runtime = run::runtime()?;
    confirm_account(&mut options.run, &runtime)?;
    let (happened, hears) = channel();
    let tell = happened.clone();
    let following = PathWatcher::new(move |changed| {
        // At the end nobody wants to know.
        let _ = tell.send(Happened::Changed(changed));
    })?;
    let tell = happened.clone();
    let tell_request = move |request| {
        let _ = tell.send(Happened::Request(request));
    };
    signals::tell_requests(tell_request, keys::restore)?;
    let tell = happened.clone();
    let keys = Keys::read(move |key| {
        let _ = tell.send(Happened::Key(key));
    });
    let worker = Worker {
        options: options.run.clone(),
        args: std::mem::take(&mut options.args),
        clears: options.clear,
        can_ask: keys.is_some() && std::io::IsTerminal::is_terminal(&std::io::stderr()),
        runtime: runtime.handle().clone(),
        allowed: Arc::default(),
        happened,
    };
    let jobs = worker.start()?;
    let watch = Watch::new(options, scripts, following, jobs, keys.is_some());
    let result = watch.work(&hears, runtime.handle());
    drop(keys);
    runtime.shutdown_background();
    result
}

/// Asks once which account it is that is written to, where that is not the local one. Runs that lead to another are refused from then on.
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
