//! The REPL: reads an entry, runs it, shows its results, and continues after errors. Execution of
//! Lua is in `lua`, changes of the account in `session`.

mod changes;
pub mod commands;
mod complete;
mod editor;
mod entries;
mod history;
mod parameters;
mod saving;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::app::run::{self, TargetConfig};
use crate::app::signals::Interrupts;
use crate::clock::Clock;
use crate::error::{Error, Kind, Result};
use crate::lua::arguments::Arguments;
use crate::lua::cancel::{Canceller, Stop};
use crate::lua::{Ending, Prompt, Vm, VmConfig, calls_text};
use crate::session::names::Names;
use crate::session::{Gate, Mode, Session, SessionConfig};
use crate::ui::format;
use crate::ui::terminal::{say, tell};
use crate::{redaction, state};

use crate::app::account::PromptAccount;
#[cfg(any(test, fuzzing))]
pub(crate) use {complete::candidates, editor::colored, saving::defined};

use changes::UndoUnit;
use editor::{Confirmation, Editor, Typed};
use entries::Entries;
use history::History;
use saving::{EntryStatus, SavedEntry};

/// Time that the first prompt waits for the identification of the local account.
const LOCAL_TIMEOUT: Duration = Duration::from_millis(20);
/// Time to wait if the local account must be created first.
const FIRST_TIMEOUT: Duration = Duration::from_secs(5);
/// Time to wait for a person to enter the code of an MFA device.
const MFA_TIMEOUT: Duration = Duration::from_mins(10);

/// Settings of a REPL.
#[derive(Debug)]
pub struct ReplSettings {
    /// Target of its entries, and their permissions.
    pub run: run::RunSettings,
    /// Vi key bindings instead of Emacs.
    pub vi: bool,
    /// Configuration that never allows changes.
    pub is_read_only_by_config: bool,
}

/// State of a REPL.
struct Repl {
    runtime: Runtime,
    prompt: Rc<Prompt>,
    session: Arc<Session>,
    gate: Gate,
    rules: SessionConfig,
    is_read_only_by_config: bool,
    interrupts: Arc<Interrupts>,
    account: PromptAccount,
    /// Need for a code that a person enters before there are credentials.
    asks_person: bool,
    history: Option<History>,
    names: Names,
    /// Steps that can be undone, the latest last.
    steps: Vec<UndoUnit>,
    /// Undone steps, each with the run of its undo, the latest last.
    undone: Vec<(UndoUnit, String)>,
    /// Entries so far, for `.save`.
    entries: Entries,
    is_timed: bool,
}

/// Action after an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Read the next entry.
    Entry,
    /// End with that exit code.
    Leave(u8),
}

/// Runs a REPL to its end; returns the exit code.
///
/// # Errors
/// If the terminal cannot be used, or no thread can be started.
pub fn run(options: ReplSettings) -> Result<u8> {
    let runtime = run::runtime()?;
    let handle = runtime.handle().clone();
    let _entered = handle.enter();
    let vi = options.vi;
    let mut repl = Repl::new(runtime, options)?;
    let result = repl.work(vi);
    let planned = repl.session.recorder().len();
    if planned > 0 {
        say(&format!("{} forgotten", format::count(planned as u64, "planned change")));
        repl.runtime.block_on(repl.session.forget_plan());
    }
    repl.session.recorder().outside().clear();
    let Repl { runtime, prompt, session, .. } = repl;
    // The VM first: it holds handles of calls that the runtime still knows.
    drop(prompt);
    let ended = runtime.block_on(run::end(&session, &result));
    runtime.shutdown_background();
    run::tell_changes(&session);
    ended.and(result)
}

impl Repl {
    fn new(runtime: Runtime, options: ReplSettings) -> Result<Self> {
        let ReplSettings { run: options, vi: _, is_read_only_by_config } = options;
        let session = Session::with(options.rules.clone());
        let gate = Gate::new(Arc::clone(&session), options.against.connection());
        let names = Names::default();
        session.keep_names(names.clone());
        let account = PromptAccount::new(&options.against);
        let asks_person = match options.against {
            TargetConfig::Local(_) => false,
            TargetConfig::Aws(_) => {
                let settings = gate.connection().settings();
                settings.is_ok_and(|settings| settings.credentials.asks_person())
            }
        };
        let gathered = names.clone();
        account.ask(gate.clone(), move |gate| async move {
            // The first prompt has priority.
            tokio::time::sleep(LOCAL_TIMEOUT * 2).await;
            // Optional, because the caller may lack permission to list.
            let _ = gate.gather_names(&gathered).await;
        });
        let canceller = Canceller::default();
        let asker = canceller.clone();
        let setup = VmConfig {
            gate: gate.clone(),
            runtime: runtime.handle().clone(),
            canceller: canceller.clone(),
            script: "(prompt)".into(),
            folder: Some(".".into()),
            args: Arguments::default(),
            permissions: options.permissions,
            max_memory: options.max_memory,
            format: options.format,
            show: options.show,
            width: run::terminal_width(),
            reserved: options.reserved,
            log_level: options.log_level,
            confirm: Box::new(move |question| {
                if options.yes {
                    return None;
                }
                let answer = editor::ask(question)?;
                if answer == Confirmation::Interrupted {
                    // Stops the running script, and not only the question.
                    asker.stop(Stop::Interrupted);
                }
                Some(answer == Confirmation::Yes)
            }),
            clock: Clock::Real,
            has_input: true,
            seen: crate::files::read_set::ReadSet::default(),
            log: None,
        };
        let prompt = Rc::new(Prompt::new(Vm::new(setup, run::output(false))?, options.timeout)?);
        let interrupts = Interrupts::listen(
            canceller,
            prompt.waker(),
            Arc::clone(&session),
            editor::restore_terminal(),
        )?;
        let history = history::place()
            .and_then(|place| place.map(|place| History::open(&place)).transpose())
            .unwrap_or_else(|error| {
                say(&format!("note: {error}; what is typed is not kept"));
                None
            });
        Ok(Self {
            runtime,
            prompt,
            session,
            gate,
            rules: options.rules,
            is_read_only_by_config,
            interrupts,
            account,
            asks_person,
            history,
            names,
            steps: Vec::new(),
            undone: Vec::new(),
            entries: Entries::default(),
            is_timed: options.stats,
        })
    }

    /// Reads and runs entries until one of them, or the person, ends the REPL.
    fn work(&mut self, vi: bool) -> Result<u8> {
        let mut editor = Editor::new(Rc::clone(&self.prompt), self.names.clone(), vi)?;
        self.share_history(&mut editor);
        if self.account.is_local() {
            let is_new = state::local_account().is_ok_and(|file| !file.exists());
            self.account.wait(if is_new { FIRST_TIMEOUT } else { LOCAL_TIMEOUT });
        } else if self.asks_person {
            // Two questions at one terminal would take each other's keys.
            self.account.wait(MFA_TIMEOUT);
        }
        self.greet();
        // Set after Ctrl-C or Ctrl-D has warned; the next one ends the REPL.
        let mut is_warned = false;
        loop {
            let planned = self.session.recorder().len();
            let prompt = self.account.prompt(self.session.mode(), planned, screen_size().1);
            match editor.read(&prompt)? {
                Typed::Entry(text) => {
                    is_warned = false;
                    if let Next::Leave(code) = self.take(&text, &mut editor) {
                        return Ok(code);
                    }
                }
                Typed::Cleared => is_warned = false,
                Typed::Interrupted if is_warned => return Ok(0),
                Typed::Interrupted => {
                    is_warned = true;
                    say("(Ctrl-C again, or Ctrl-D, leaves)");
                }
                Typed::End if planned > 0 && !is_warned && std::io::stdin().is_terminal() => {
                    is_warned = true;
                    let planned = format::count(planned as u64, "planned change");
                    say(&format!(
                        "{planned} will be forgotten: .commit makes them, Ctrl-D again leaves"
                    ));
                }
                Typed::End => return Ok(0),
            }
            if self.interrupts.is_ending() {
                return Err(Error::new(Kind::Interrupted, "interrupted"));
            }
        }
    }

    /// Shows the account and the mode.
    fn greet(&self) {
        let mode = match self.session.mode() {
            Mode::Apply => "changes are made",
            Mode::Plan => "changes are planned, .commit makes them",
            Mode::ReadOnly => "changes are refused",
        };
        say(&format!(
            "iamlua {}, Lua 5.4, on {}; {mode}. Tab completes, .help lists the commands.",
            env!("CARGO_PKG_VERSION"),
            self.account.describe()
        ));
    }

    /// Adds the history of other REPLs to the editor.
    fn share_history(&mut self, editor: &mut Editor) {
        let Some(history) = &mut self.history else { return };
        match history.news() {
            Ok(news) => news.iter().for_each(|text| editor.remember(text)),
            Err(error) => {
                say(&format!("note: {error}"));
                self.history = None;
            }
        }
    }

    /// Keeps an entry in the history. An entry that begins with a space is not kept, and one with a
    /// secret only in this REPL.
    fn keep(&mut self, text: &str, editor: &mut Editor) {
        if text.starts_with(' ') {
            return;
        }
        match &mut self.history {
            // Recallable here, but not on the disk.
            _ if redaction::has_secret(text) => editor.remember(text),
            None => editor.remember(text),
            Some(history) => {
                if let Err(error) = history.add(text) {
                    say(&format!("note: {error}"));
                    editor.remember(text);
                } else {
                    self.share_history(editor);
                }
            }
        }
    }

    /// Runs an entry or a command, and reports its error.
    fn take(&mut self, text: &str, editor: &mut Editor) -> Next {
        if text.trim().is_empty() {
            return Next::Entry;
        }
        self.keep(text.trim_end(), editor);
        let (began, calls) = (Instant::now(), self.session.calls());
        let done = if commands::is_command(text) {
            self.command(text)
        } else {
            self.plain_word(text).unwrap_or_else(|| self.enter(text))
        };
        if self.is_timed {
            self.report_time(began, &calls);
        }
        done.unwrap_or_else(|error| {
            tell(&error);
            Next::Entry
        })
    }

    /// Runs an entry of Lua.
    fn enter(&mut self, text: &str) -> Result<Next> {
        let before = self.mark();
        let values = self.prompt.values(saving::defined(text));
        let ending = self.prompt.enter(text, screen_size());
        self.note_step(before);
        let entry = SavedEntry { text: text.to_owned(), ..SavedEntry::default() };
        let entry = if ending.is_ok() {
            SavedEntry { values: self.prompt.shown(), ..entry }
        } else {
            let defined = self.prompt.changed(&values, false);
            SavedEntry { fate: EntryStatus::Failed, defined, ..entry }
        };
        self.entries.push(entry, before, self.mark());
        ending.map(Self::after)
    }

    /// Action after an entry with this ending.
    fn after(ending: Ending) -> Next {
        match ending {
            Ending::Finished => Next::Entry,
            Ending::Exit(code) => Next::Leave(code),
            Ending::OutputClosed => Next::Leave(0),
        }
    }

    /// Reports the duration of an entry, and its calls.
    fn report_time(&self, began: Instant, before: &BTreeMap<String, u64>) {
        let took = format::time(began.elapsed().as_secs_f64());
        let mut calls = self.session.calls();
        for (action, n) in before {
            if let Some(now) = calls.get_mut(action) {
                *now -= n;
            }
        }
        calls.retain(|_, n| *n > 0);
        let all: u64 = calls.values().sum();
        let by_action = if all > 0 { format!(": {}", calls_text(&calls)) } else { String::new() };
        say(&format!("{took}; {}{by_action}", format::count(all, "call")));
    }
}

/// Rows and columns of the terminal; defaults where there is none.
fn screen_size() -> (u16, u16) {
    let size = terminal_size::terminal_size_of(std::io::stdout())
        .or_else(|| terminal_size::terminal_size_of(std::io::stdin()));
    let (columns, rows) = size.map_or((80, 24), |(columns, rows)| (columns.0, rows.0));
    // A terminal of unknown size reports 0.
    (if rows == 0 { 24 } else { rows }, if columns == 0 { 80 } else { columns })
}
