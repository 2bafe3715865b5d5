//! Prompt at the controlling terminal without echo, for an MFA code or the password of a key. The
//! input is not logged or stored.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// Original state of the terminal during a prompt.
static ORIGINAL_MODES: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// Opens the terminal of this process, even if standard input is something else.
///
/// # Errors
/// If there is none.
pub fn open_terminal() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

/// Restores the terminal's echo if a prompt is open while the process ends.
pub fn restore_terminal() {
    if let Some((terminal, before)) =
        ORIGINAL_MODES.lock().unwrap_or_else(PoisonError::into_inner).take()
    {
        let _ = tcsetattr(&terminal, OptionalActions::Flush, &before);
    }
}

/// Reads a line key by key, without echo. Keys for signals are read as characters, so that no
/// signal can leave the terminal without echo.
///
/// # Errors
/// [`io::ErrorKind::Interrupted`] after Ctrl-C, [`io::ErrorKind::UnexpectedEof`] after Ctrl-D, and
/// errors of the terminal.
pub fn read_line(terminal: &mut File, question: &str) -> io::Result<String> {
    loop {
        let before = tcgetattr(&*terminal)?;
        let mut hidden = before.clone();
        hidden.local_modes -=
            LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        *ORIGINAL_MODES.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((terminal.try_clone()?, before));
        let typed = tcsetattr(&*terminal, OptionalActions::Flush, &hidden)
            .map_err(io::Error::from)
            // Echo is off before the prompt, because the answer may be typed at once.
            .and_then(|()| write!(terminal, "{question}"))
            .and_then(|()| read_keys(terminal));
        restore_terminal();
        // Keys for signals have their usual effect once the terminal is restored.
        let signal = match typed? {
            Typed::Line(line) => return Ok(String::from_utf8_lossy(&line).into_owned()),
            Typed::Interrupt => Signal::INT,
            Typed::Suspend => Signal::TSTP,
        };
        let _ = kill_process(getpid(), signal);
        if signal == Signal::INT {
            return Err(io::ErrorKind::Interrupted.into());
        }
    }
}

/// Line, or key for a signal.
enum Typed {
    Line(Vec<u8>),
    Interrupt,
    Suspend,
}

fn read_keys(terminal: &mut File) -> io::Result<Typed> {
    let mut typed = Vec::new();
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
            8 | 127 => erase(&mut typed),
            // Ctrl-U.
            21 => typed.clear(),
            byte if byte >= b' ' => typed.push(byte),
            _ => {}
        }
    }
}

/// Removes the last character, which may be several bytes of UTF-8.
fn erase(typed: &mut Vec<u8>) {
    while let Some(byte) = typed.pop() {
        if byte & 0xc0 != 0x80 {
            return;
        }
    }
}
