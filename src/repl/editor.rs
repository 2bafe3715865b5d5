//! Line editor: keys, colours, hints and completion, on top of rustyline. The completions come from
//! `complete`, and the completeness of an entry from Lua.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt::Write;
use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

use anstyle::{AnsiColor, Style};
use rustyline::completion::{Completer, Pair};
use rustyline::config::{Behavior, BellStyle};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter};
use rustyline::history::{MemHistory, SearchDirection};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, CompletionType, ConditionalEventHandler, Config, Context, EditMode, Event, EventContext,
    EventHandler, ExternalPrinter, Helper, KeyCode, KeyEvent, Modifiers, RepeatCount,
};

use super::{commands, complete, history};
use crate::error::{Error, Result};
use crate::lua::Prompt;
use crate::lua::tokens::{Token, TokenKind, tokens};
use crate::session::names::Names;
use crate::ui::terminal;

/// Maximum length of a text that is coloured and compared with earlier entries; a longer one is
/// data rather than code.
const MAX_COLORED: usize = 4 << 10;
/// Number of candidates above which they are shown only after a confirmation.
const CONFIRM_ABOVE: usize = 100;

/// Line editor of the REPL.
pub struct Editor {
    inner: rustyline::Editor<Typing, MemHistory>,
    /// Mark of an empty line when Ctrl-C was pressed.
    was_empty: Arc<AtomicBool>,
    /// Messages to be shown during editing; none where the terminal cannot show them above the
    /// line.
    messages: Option<Sender<String>>,
}

/// Result of reading an entry.
pub enum Typed {
    /// An entry.
    Entry(String),
    /// Ctrl-C: the line was discarded.
    Cleared,
    /// Ctrl-C on an empty line.
    Interrupted,
    /// Ctrl-D, or the end of the input.
    End,
}

impl Editor {
    /// Editor of entries in Lua.
    ///
    /// # Errors
    /// If the terminal cannot be used.
    pub fn new(prompt: Rc<Prompt>, names: Names, vi: bool) -> Result<Self> {
        let config = Config::builder()
            .edit_mode(if vi { EditMode::Vi } else { EditMode::Emacs })
            .completion_type(CompletionType::List)
            .completion_prompt_limit(CONFIRM_ABOVE)
            .bell_style(BellStyle::None)
            .auto_add_history(false)
            .behavior(if std::io::stdout().is_terminal() {
                Behavior::Stdio
            } else {
                // Results go elsewhere; the entry is edited on the terminal.
                Behavior::PreferTerm
            });
        let config = config
            .max_history_size(history::MAX_ENTRIES as usize)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(|error| unusable(&error))?
            .build();
        let history = MemHistory::with_config(&config);
        let mut inner =
            rustyline::Editor::with_history(config, history).map_err(|error| unusable(&error))?;
        inner.set_helper(Some(Typing {
            prompt,
            names,
            is_submitted: Cell::new(false),
            line: RefCell::default(),
        }));
        let was_empty = Arc::new(AtomicBool::new(false));
        let on_interrupt = OnInterrupt(Arc::clone(&was_empty));
        inner.bind_sequence(KeyEvent::ctrl('C'), EventHandler::Conditional(Box::new(on_interrupt)));
        inner.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), Cmd::Newline);
        keep_panics_quiet();
        let messages = inner.create_external_printer().ok().map(show_messages);
        Ok(Self { inner, was_empty, messages })
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn read(&mut self, prompt: &(String, String)) -> Result<Typed> {
        let mut typed = self.read_from(prompt, "");
        // The valid part of the line is kept.
        while let Ok(None) = typed {
            terminal::tell(&Error::usage("what was typed is not UTF-8"));
            let before = self.inner.helper().map(|typing| typing.line.take()).unwrap_or_default();
            typed = self.read_from(prompt, &before);
        }
        typed.map(|typed| typed.unwrap_or(Typed::End))
    }

    /// Reads an entry with an initial text; `None` if it is not UTF-8.
    fn read_from(&mut self, prompt: &(String, String), before: &str) -> Result<Option<Typed>> {
        let Self { inner, messages, .. } = self;
        let mut read = || {
            // More lines than a screen can count make rustyline panic; it restores the terminal
            // while unwinding.
            IS_READING.set(true);
            let read = || inner.readline_with_initial(prompt, (before, ""));
            let read = catch_unwind(AssertUnwindSafe(read));
            IS_READING.set(false);
            read
        };
        let typed = match messages {
            Some(messages) => terminal::while_typing(messages, read),
            None => read(),
        };
        let Ok(typed) = typed else {
            terminal::tell(
                &Error::usage("that is too long to be edited")
                    .hint(".load FILE runs what is in a file"),
            );
            return Ok(Some(Typed::Cleared));
        };
        match typed {
            Ok(text) => Ok(Some(Typed::Entry(text))),
            Err(ReadlineError::Eof) => Ok(Some(Typed::End)),
            Err(ReadlineError::Interrupted) if self.was_empty.load(Ordering::Relaxed) => {
                Ok(Some(Typed::Interrupted))
            }
            Err(ReadlineError::Interrupted) => Ok(Some(Typed::Cleared)),
            Err(ReadlineError::Io(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                Ok(None)
            }
            Err(error) => Err(unusable(&error)),
        }
    }

    /// Adds an entry to the recallable history.
    pub fn remember(&mut self, text: &str) {
        // Fails only for a full history, which then drops the oldest entry.
        let _ = self.inner.add_history_entry(text);
    }
}

thread_local! {
    /// Mark of a thread inside of the line editor.
    static IS_READING: Cell<bool> = const { Cell::new(false) };
}

/// Silences panics of the line editor, which are reported to the person by us; other panics are
/// unchanged.
fn keep_panics_quiet() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !IS_READING.get() {
            before(panic);
        }
    }));
}

/// Shows messages above the line, on a separate thread, so that a sender does not wait for the
/// person who types.
fn show_messages(mut printer: impl ExternalPrinter + Send + 'static) -> Sender<String> {
    let (sender, messages) = channel::<String>();
    // Without the thread nothing is shown, which the sender notices.
    let _ = std::thread::Builder::new().name("iamlua-messages".into()).spawn(move || {
        while let Ok(message) = messages.recv() {
            if printer.print(message).is_err() {
                break;
            }
        }
    });
    sender
}

fn unusable(error: &ReadlineError) -> Error {
    Error::new(crate::error::Kind::Io, format!("cannot read from the terminal: {error}"))
}

/// Answer to a yes-or-no question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// Yes.
    Yes,
    /// Anything else.
    No,
    /// Ctrl-C.
    Interrupted,
}

/// Asks a yes-or-no question at the terminal; no is the default. `None` where there is no terminal.
pub fn ask(question: &str) -> Option<Confirmation> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    let config = Config::builder().auto_add_history(false).build();
    let mut editor = rustyline::Editor::<(), _>::with_history(config, MemHistory::new()).ok()?;
    Some(match editor.readline(&format!("{question} [y/N] ")) {
        Ok(answer) if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") => {
            Confirmation::Yes
        }
        Err(ReadlineError::Interrupted) => Confirmation::Interrupted,
        _ => Confirmation::No,
    })
}

/// Function that restores the current state of the terminal.
pub fn restore_terminal() -> Box<dyn Fn() + Send + Sync> {
    let before = rustix::termios::tcgetattr(std::io::stdin()).ok();
    Box::new(move || {
        if let Some(before) = &before {
            let now = rustix::termios::OptionalActions::Now;
            // A terminal that is gone needs no restoring.
            let _ = rustix::termios::tcsetattr(std::io::stdin(), now, before);
        }
    })
}

/// Records an empty line when Ctrl-C is pressed.
struct OnInterrupt(Arc<AtomicBool>);

impl ConditionalEventHandler for OnInterrupt {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        self.0.store(context.line().is_empty(), Ordering::Relaxed);
        Some(Cmd::Interrupt)
    }
}

/// Helper of rustyline.
struct Typing {
    prompt: Rc<Prompt>,
    names: Names,
    /// Mark of the final drawing of the line, without highlights at the cursor.
    is_submitted: Cell<bool>,
    /// Text of the line so far.
    line: RefCell<String>,
}

impl Helper for Typing {}

impl Validator for Typing {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let is_whole = text.trim().is_empty()
            || commands::is_command(text)
            || !self.prompt.is_incomplete(text);
        Ok(if is_whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Completer for Typing {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(complete::candidates(&self.prompt, &self.names, line, pos))
    }
}

/// Rest of an earlier entry.
struct Earlier(String);

impl Hint for Earlier {
    fn display(&self) -> &str {
        // The first line identifies the entry.
        self.0.lines().next().unwrap_or_default()
    }

    fn completion(&self) -> Option<&str> {
        Some(&self.0)
    }
}

impl Hinter for Typing {
    type Hint = Earlier;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<Earlier> {
        line.clone_into(&mut self.line.borrow_mut());
        if line.trim().is_empty() || pos < line.len() || line.len() > MAX_COLORED {
            return None;
        }
        let last = context.history_index().min(context.history().len()).checked_sub(1)?;
        let found = context.history().starts_with(line, last, SearchDirection::Reverse).ok()??;
        (found.entry.len() > line.len()).then(|| Earlier(found.entry[line.len()..].to_owned()))
    }
}

const KEYWORD: Style = AnsiColor::Magenta.on_default();
const TEXT: Style = AnsiColor::Green.on_default();
const NUMBER: Style = AnsiColor::Cyan.on_default();
const COMMENT: Style = Style::new().dimmed();
const COMMAND: Style = AnsiColor::Blue.on_default();
const MATCH: Style = Style::new().bold().underline();
const WRONG: Style = AnsiColor::Red.on_default();

impl Highlighter for Typing {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        if line.is_empty() || line.len() > MAX_COLORED {
            return Cow::Borrowed(line);
        }
        let cursor = (!self.is_submitted.get()).then_some(pos);
        Cow::Owned(colored(line, cursor))
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        _default: bool,
    ) -> Cow<'b, str> {
        Cow::Borrowed(prompt)
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("{COMMENT}{hint}{COMMENT:#}"))
    }

    fn highlight_char(&self, line: &str, _pos: usize, kind: CmdKind) -> bool {
        self.is_submitted.set(kind == CmdKind::ForcedRefresh);
        line.len() <= MAX_COLORED
    }
}

/// Line in colours, with the bracket at the cursor and its partner marked.
pub fn colored(line: &str, cursor: Option<usize>) -> String {
    if commands::is_command(line) {
        let end = line.trim_start().find(char::is_whitespace);
        let end = end.map_or(line.len(), |end| end + line.len() - line.trim_start().len());
        return format!("{COMMAND}{}{COMMAND:#}{}", &line[..end], &line[end..]);
    }
    let all = tokens(line);
    let brackets = Brackets::of(line, &all, cursor);
    let mut out = String::with_capacity(line.len() * 2);
    let mut end = 0;
    for (at, token) in all.iter().enumerate() {
        out.push_str(&line[end..token.at.start]);
        end = token.at.end;
        let text = token.text(line);
        let style = match token.kind {
            TokenKind::Keyword => Some(KEYWORD),
            TokenKind::Text { .. } => Some(TEXT),
            TokenKind::Number => Some(NUMBER),
            TokenKind::Comment { .. } => Some(COMMENT),
            TokenKind::Open | TokenKind::Close if brackets.marked.contains(&at) => Some(MATCH),
            TokenKind::Close if brackets.wrong.contains(&at) => Some(WRONG),
            _ => None,
        };
        match style {
            // A style that spans several lines is repeated on each, because each may be drawn by
            // itself.
            Some(style) => {
                for (number, part) in text.split('\n').enumerate() {
                    if number > 0 {
                        out.push('\n');
                    }
                    let _ = write!(out, "{style}{part}{style:#}");
                }
            }
            None => out.push_str(text),
        }
    }
    out.push_str(&line[end..]);
    out
}

/// Brackets to be highlighted, by their tokens.
#[derive(Debug, Default, PartialEq, Eq)]
struct Brackets {
    /// Bracket at the cursor, and its partner.
    marked: Vec<usize>,
    /// Closing brackets without a matching opening bracket.
    wrong: Vec<usize>,
}

impl Brackets {
    fn of(line: &str, all: &[Token], cursor: Option<usize>) -> Self {
        let mut found = Self::default();
        let mut open: Vec<usize> = Vec::new();
        // The bracket under the cursor, or else the one before it.
        let at_cursor = |token: &Token| {
            cursor.is_some_and(|cursor| token.at.start == cursor || token.at.end == cursor)
        };
        for (at, token) in all.iter().enumerate() {
            match token.kind {
                TokenKind::Open => open.push(at),
                TokenKind::Close => {
                    let partner = open.pop();
                    let fits = partner.is_some_and(|partner| {
                        matches!(
                            (all[partner].text(line), token.text(line)),
                            ("(", ")") | ("[", "]") | ("{", "}")
                        )
                    });
                    match partner {
                        Some(partner) if fits => {
                            if at_cursor(token) || at_cursor(&all[partner]) {
                                found.marked = vec![partner, at];
                            }
                        }
                        _ => found.wrong.push(at),
                    }
                }
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_matched_outside_of_text_and_comments() {
        let brackets = |line: &str, cursor| {
            let found = Brackets::of(line, &tokens(line), Some(cursor));
            let all = tokens(line);
            let place =
                |list: Vec<usize>| list.into_iter().map(|at| all[at].at.start).collect::<Vec<_>>();
            (place(found.marked), place(found.wrong))
        };
        assert_eq!(brackets("f(')', {1})", 11), (vec![1, 10], vec![]));
        assert_eq!(brackets("f(')', {1})", 7), (vec![7, 9], vec![]));
        assert_eq!(brackets("f(1]", 0), (vec![], vec![3]));
        assert_eq!(brackets("-- (\n)", 0), (vec![], vec![5]));
    }

    #[test]
    fn colours_change_nothing_but_the_looks() {
        for line in ["local x = 'é' -- ü", ".help me", "f([[a\nb]], 0x1p-3)", "'open", "}}", " . x"]
        {
            let plain = anstream::adapter::strip_str(&colored(line, Some(1))).to_string();
            assert_eq!(plain, line);
        }
        assert!(colored("local x", None).contains(&format!("{KEYWORD}local")));
        assert!(colored("x = [[a\nb]]", None).contains(&format!("{TEXT}b]]")));
    }
}
