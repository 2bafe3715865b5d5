//! Messages and progress bars on standard error. Bars are drawn below the messages. No other module
//! writes to the terminal.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::{Error, Kind, Result};
use crate::escape;

static BARS: LazyLock<MultiProgress> =
    LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
static SHOWN: AtomicUsize = AtomicUsize::new(0);

/// Receiver of messages while a person types, so that they do not interrupt the line.
static TYPING: Mutex<Option<Sender<String>>> = Mutex::new(None);

/// Reads input; messages during the prompt go to `messages`.
pub fn while_typing<T>(messages: &Sender<String>, read: impl FnOnce() -> T) -> T {
    let set = |to| *TYPING.lock().unwrap_or_else(PoisonError::into_inner) = to;
    set(Some(messages.clone()));
    let typed = read();
    set(None);
    typed
}

/// Messages as JSON lines, used with progress as JSON lines.
static AS_EVENTS: AtomicBool = AtomicBool::new(false);

/// Switches all messages to JSON lines, so that a reader of progress finds nothing else.
pub fn speak_events() {
    AS_EVENTS.store(true, Ordering::SeqCst);
}

/// Check for messages as JSON lines.
#[must_use]
pub fn speaks_events() -> bool {
    AS_EVENTS.load(Ordering::SeqCst)
}

/// Standard error for messages. They are JSON lines if progress is.
#[derive(Debug, Default)]
pub struct Messages(Vec<u8>);

impl Messages {
    fn end_line(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.0);
        let line = String::from_utf8_lossy(&line);
        let line = anstream::adapter::strip_str(line.trim_end()).to_string();
        if line.is_empty() {
            return Ok(());
        }
        // Progress events are JSON already.
        let is_event = serde_json::from_str::<serde_json::Map<_, _>>(&line).is_ok();
        let event = serde_json::json!({ "event": "message", "text": &line });
        let event = if is_event { line } else { event.to_string() };
        io::stderr().write_all((escape::printable_json(&event).into_owned() + "\n").as_bytes())
    }
}

impl Write for Messages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !speaks_events() {
            return io::stderr().write(bytes);
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.0.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line()?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        // Errors are ignored: standard error may be closed.
        let _ = self.end_line();
    }
}

/// Prints text on standard output, with styles if it is a terminal. Control characters other than
/// line ends, tabs and colours are escaped. A closed pipe is not an error.
///
/// # Errors
/// If it cannot be written.
pub fn print(text: &str) -> Result<()> {
    let mut out = anstream::stdout();
    let text = escape::printable(text.as_bytes());
    written(out.write_all(&text).and_then(|()| out.flush()))
}

/// Prints bytes on standard output, unchanged. A closed pipe is not an error.
///
/// # Errors
/// If they cannot be written.
pub fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout();
    written(out.write_all(bytes).and_then(|()| out.flush()))
}

fn written(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to standard output", error))
        }
        _ => Ok(()),
    }
}

/// Prints text with styles on standard error. Control characters other than line ends, tabs and
/// colours are escaped.
pub fn show(text: &str) {
    show_unescaped(&escape::printable(text.as_bytes()));
}

fn show_unescaped(text: &[u8]) {
    // Errors are ignored: standard error may be closed.
    let _ = if speaks_events() {
        Messages::default().write_all(text)
    } else {
        anstream::stderr().write_all(text)
    };
}

/// Prints a message on standard error. Unlike `eprintln!`, it does not panic if that is closed.
pub fn say(text: &str) {
    let text = format!("{text}\n");
    let text = escape::printable(text.as_bytes());
    if let Some(messages) = &*TYPING.lock().unwrap_or_else(PoisonError::into_inner)
        && messages.send(String::from_utf8_lossy(&text).into_owned()).is_ok()
    {
        return;
    }
    aside(|| {
        let _ = Messages::default().write_all(&text);
    });
}

/// Style of `error:` in messages, as clap has it by default.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Style of `hint:` in messages, as clap has it for its `tip:` by default.
pub const HINT: Style = AnsiColor::Green.on_default();

/// Error as text with styles, for a stream that removes them where they are not wanted.
fn with_styles(error: &Error) -> String {
    const HEADINGS: [(&str, Style); 2] = [("error:", ERROR), ("hint:", HINT)];
    let mut text = String::new();
    for (at, line) in error.describe().split_inclusive('\n').enumerate() {
        // `error:` opens only the first line; elsewhere it is part of the message.
        let headings = if at == 0 { &HEADINGS[..] } else { &HEADINGS[1..] };
        let found = headings.iter().find_map(|(heading, style)| {
            line.strip_prefix(heading).map(|rest| (heading, style, rest))
        });
        match found {
            Some((heading, style, rest)) => {
                let _ = write!(text, "{style}{heading}{style:#}{rest}");
            }
            None => text.push_str(line),
        }
    }
    text
}

/// Prints an error on standard error. All errors of the program that a person sees come here, so
/// that they look like those of the command line's parser.
pub fn tell(error: &Error) {
    if error.kind == Kind::Interrupted && !speaks_events() && io::stderr().is_terminal() {
        // After the terminal's `^C`.
        show_unescaped(b"\n");
    }
    let text = with_styles(error);
    if let Some(messages) = &*TYPING.lock().unwrap_or_else(PoisonError::into_inner)
        && messages.send(for_stderr(&text)).is_ok()
    {
        return;
    }
    aside(|| show_unescaped(text.as_bytes()));
}

/// Text with the styles that standard error takes.
fn for_stderr(text: &str) -> String {
    match anstream::AutoStream::choice(&io::stderr()) {
        anstream::ColorChoice::Never => anstream::adapter::strip_str(text).to_string(),
        _ => text.to_owned(),
    }
}

thread_local! {
    static IS_ASIDE: Cell<bool> = const { Cell::new(false) };
}

/// Writes to the terminal while the bars are hidden. Nested calls have no further effect.
pub fn aside<T>(write: impl FnOnce() -> T) -> T {
    if SHOWN.load(Ordering::Acquire) == 0 || IS_ASIDE.get() {
        return write();
    }
    let write = || {
        IS_ASIDE.set(true);
        let written = write();
        IS_ASIDE.set(false);
        written
    };
    BARS.suspend(write)
}

/// Number of open prompts that read the terminal.
static KEYBOARD: AtomicUsize = AtomicUsize::new(0);

/// Check for an open prompt that reads the terminal, whose keys no one else may read.
#[must_use]
pub fn is_keyboard_taken() -> bool {
    KEYBOARD.load(Ordering::Acquire) > 0
}

/// Runs a prompt that reads the terminal. No other code reads keys meanwhile, and no bar is drawn.
pub fn with_keyboard<T>(ask: impl FnOnce() -> T) -> T {
    KEYBOARD.fetch_add(1, Ordering::AcqRel);
    let answer = without_bars(ask);
    KEYBOARD.fetch_sub(1, Ordering::AcqRel);
    answer
}

/// Runs a prompt. No bar is drawn until there is an answer, not even a new one. Messages still
/// appear.
pub fn without_bars<T>(ask: impl FnOnce() -> T) -> T {
    // A bar that cannot be cleared is only a matter of appearance.
    let _ = BARS.clear();
    BARS.set_draw_target(ProgressDrawTarget::hidden());
    let answer = ask();
    BARS.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    answer
}

/// Check that bars can be drawn.
#[must_use]
pub fn can_draw() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    io::stderr().is_terminal() && !is_dumb
}

/// Progress bar on standard error, until it is dropped.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// Bar for a number of items; `None` if the number is unknown.
    #[must_use]
    pub fn new(label: &str, total: Option<u64>) -> Self {
        SHOWN.fetch_add(1, Ordering::AcqRel);
        let bar = BARS.add(ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()));
        let shape = match total {
            Some(_) => "{prefix}: {human_pos} of {human_len} [{bar:24}] {msg}",
            None => "{spinner} {prefix}: {human_pos} {msg}",
        };
        // An invalid template would show in every test that draws.
        let style = ProgressStyle::with_template(shape)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        bar.set_style(style);
        bar.set_prefix(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Shows the number of finished items, and a message.
    pub fn show(&self, done: u64, words: String) {
        self.0.set_message(words);
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        BARS.remove(&self.0);
        SHOWN.fetch_sub(1, Ordering::AcqRel);
    }
}
