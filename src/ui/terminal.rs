//! Standard error as people see it: messages, and bars below them that messages do not tear. Nothing else of the program draws.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anstyle::AnsiColor;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::error::{Error, Kind, Result};
use crate::escape;

static BARS: LazyLock<MultiProgress> =
    LazyLock::new(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
static SHOWN: AtomicUsize = AtomicUsize::new(0);

/// Who shows messages while somebody types, so that they do not tear the line.
static TYPING: Mutex<Option<Sender<String>>> = Mutex::new(None);

/// Reads what somebody types; what is said meanwhile goes to `messages`.
pub fn while_typing<T>(messages: &Sender<String>, read: impl FnOnce() -> T) -> T {
    let set = |to| *TYPING.lock().unwrap_or_else(PoisonError::into_inner) = to;
    set(Some(messages.clone()));
    let typed = read();
    set(None);
    typed
}

/// Messages as lines of JSON, because progress is.
static AS_EVENTS: AtomicBool = AtomicBool::new(false);

/// Makes every message a line of JSON from now on, so that a program that reads progress finds
/// nothing else between it.
pub fn speak_events() {
    AS_EVENTS.store(true, Ordering::SeqCst);
}

/// Check for messages that are lines of JSON.
#[must_use]
pub fn speaks_events() -> bool {
    AS_EVENTS.load(Ordering::SeqCst)
}

/// Standard error for messages, which are lines of JSON where progress is.
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
        // Progress is JSON already.
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
        // With no standard error there is nobody to tell.
        let _ = self.end_line();
    }
}

/// Prints text for people on standard output, with styles where there is a terminal. Nothing in it
/// but line ends, tabs and colours acts on the terminal. A reader that has gone away needs no more.
///
/// # Errors
/// If it cannot be written.
pub fn print(text: &str) -> Result<()> {
    let mut out = anstream::stdout();
    let text = escape::printable(text.as_bytes());
    written(out.write_all(&text).and_then(|()| out.flush()))
}

/// Prints bytes on standard output as they are. A reader that has gone away needs no more.
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

/// Shows text for people, with styles, on standard error. Nothing in it but line ends, tabs and
/// colours acts on the terminal.
pub fn show(text: &str) {
    let text = escape::printable(text.as_bytes());
    // With no standard error there is nobody to tell.
    let _ = if speaks_events() {
        Messages::default().write_all(&text)
    } else {
        anstream::stderr().write_all(&text)
    };
}

/// Says something to the person who runs the program. Other than `eprintln!` it does not panic when nobody can hear it.
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

/// Says what went wrong, in a program that goes on.
pub fn tell(error: &Error) {
    let red = AnsiColor::Red.on_default();
    let text = error.describe();
    if error.kind == Kind::Interrupted && io::stderr().is_terminal() {
        // After the `^C` of the terminal's.
        eprintln!();
    }
    let text = match text.strip_prefix("error:") {
        Some(rest) => format!("{red}error:{red:#}{rest}"),
        None => text,
    };
    aside(|| {
        // With no standard error there is nobody to tell.
        let _ = anstream::stderr().write_all(text.as_bytes());
    });
}

thread_local! {
    static IS_ASIDE: Cell<bool> = const { Cell::new(false) };
}

/// Writes to the terminal while no bar is in the way. Inside of itself it does nothing more.
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

/// Number of questions that read the terminal themselves.
static KEYBOARD: AtomicUsize = AtomicUsize::new(0);

/// Presence of a question that reads the terminal itself, whose keys are for nobody else.
#[must_use]
pub fn is_keyboard_taken() -> bool {
    KEYBOARD.load(Ordering::Acquire) > 0
}

/// Asks a person by reading the terminal. Nobody else reads keys meanwhile, and no bar is drawn.
pub fn with_keyboard<T>(ask: impl FnOnce() -> T) -> T {
    KEYBOARD.fetch_add(1, Ordering::AcqRel);
    let answer = without_bars(ask);
    KEYBOARD.fetch_sub(1, Ordering::AcqRel);
    answer
}

/// Asks a person. No bar is drawn until there is an answer, also none that begins meanwhile.
/// Messages still appear.
pub fn without_bars<T>(ask: impl FnOnce() -> T) -> T {
    // A bar that stays costs nothing but its looks.
    let _ = BARS.clear();
    BARS.set_draw_target(ProgressDrawTarget::hidden());
    let answer = ask();
    BARS.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
    answer
}

/// Whether bars can be drawn.
#[must_use]
pub fn can_draw() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    io::stderr().is_terminal() && !is_dumb
}

/// A bar on standard error, until it is dropped.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar for so many items, or for nobody knows how many.
    #[must_use]
    pub fn new(label: &str, total: Option<u64>) -> Self {
        SHOWN.fetch_add(1, Ordering::AcqRel);
        let bar = BARS.add(ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()));
        let shape = match total {
            Some(_) => "{prefix}: {human_pos} of {human_len} [{bar:24}] {msg}",
            None => "{spinner} {prefix}: {human_pos} {msg}",
        };
        // A template that is not one would show in every test that draws.
        let style = ProgressStyle::with_template(shape)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        bar.set_style(style);
        bar.set_prefix(label.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Shows how many are done, and some words.
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
