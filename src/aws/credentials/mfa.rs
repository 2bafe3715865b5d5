//! The question for the code of an MFA device: at the controlling terminal, without an echo, and
//! nowhere else. The code goes into one request, and into no log or history.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::error::{Error, Kind, Result};
use crate::screen;

/// The terminal as it was, while a question is open.
static BEFORE: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// Asks for the code of a device.
///
/// # Errors
/// If there is no terminal, or nobody answers there.
pub async fn ask(serial: String, role: String) -> Result<String> {
    let asked =
        tokio::task::spawn_blocking(move || screen::with_keyboard(|| ask_now(&serial, &role)));
    asked.await.map_err(|error| Error::new(Kind::Bug, format!("the question ended: {error}")))?
}

/// Gives the terminal its echo back if a question was open when the process began to end.
pub fn restore_terminal() {
    if let Some((terminal, before)) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = tcsetattr(&terminal, OptionalActions::Flush, &before);
    }
}

/// A code is asked for that often before it counts as an error.
const TRIES: usize = 3;

fn ask_now(serial: &str, role: &str) -> Result<String> {
    let mut terminal =
        OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|_| {
            let message = format!(
                "the role {role} needs a code of the MFA device {serial}, and there is no \
                 terminal to ask at"
            );
            Error::new(Kind::Credentials, message).hint(
                "run it at a terminal; for jobs use credentials that need no code, such as a \
                 role of the machine",
            )
        })?;
    let question = format!("MFA code for {}: ", crate::words::visible(serial));
    for _ in 0..TRIES {
        let typed = read_hidden(&mut terminal, &question);
        let _ = writeln!(terminal);
        let code = typed.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => Error::new(Kind::Interrupted, "interrupted"),
            io::ErrorKind::UnexpectedEof => Error::new(Kind::Credentials, "no MFA code was given"),
            _ => Error::io("cannot read the MFA code", error),
        })?;
        let code = code.trim();
        if code.len() == 6 && code.bytes().all(|c| c.is_ascii_digit()) {
            return Ok(code.to_owned());
        }
        let _ = writeln!(terminal, "It has six digits.");
    }
    Err(Error::new(Kind::Credentials, "no MFA code was given: it is six digits"))
}

/// Reads a line key by key, without an echo. Keys that would send signals arrive as such, so that
/// the terminal is never left without its echo.
fn read_hidden(terminal: &mut File, question: &str) -> io::Result<String> {
    loop {
        let before = tcgetattr(&*terminal)?;
        let mut hidden = before.clone();
        hidden.local_modes -=
            LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((terminal.try_clone()?, before));
        let typed = tcsetattr(&*terminal, OptionalActions::Flush, &hidden)
            .map_err(io::Error::from)
            // A code that is typed at once must not be shown.
            .and_then(|()| write!(terminal, "{question}"))
            .and_then(|()| read_keys(terminal));
        restore_terminal();
        // The keys that send signals mean what they always mean, once the terminal is as it was.
        let signal = match typed? {
            Typed::Line(line) => return Ok(line),
            Typed::Interrupt => Signal::INT,
            Typed::Suspend => Signal::TSTP,
        };
        let _ = kill_process(getpid(), signal);
        if signal == Signal::INT {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
}

/// A line, or a key that sends a signal.
enum Typed {
    Line(String),
    Interrupt,
    Suspend,
}

fn read_keys(terminal: &mut File) -> io::Result<Typed> {
    let mut typed = String::new();
    let mut key = [0];
    loop {
        match terminal.read(&mut key) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
        }
        match key[0] {
            b'\r' | b'\n' => return Ok(Typed::Line(typed)),
            // Ctrl-C and Ctrl-\.
            3 | 28 => return Ok(Typed::Interrupt),
            // Ctrl-Z.
            26 => return Ok(Typed::Suspend),
            // Ctrl-D.
            4 => return Err(io::ErrorKind::UnexpectedEof.into()),
            8 | 127 => {
                typed.pop();
            }
            // Ctrl-U.
            21 => typed.clear(),
            c if c.is_ascii_graphic() => typed.push(char::from(c)),
            _ => {}
        }
    }
}
