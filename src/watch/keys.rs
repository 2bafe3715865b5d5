//! Keyboard: single keys, and the terminal modes.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::ui::terminal;

/// Terminal modes before the start.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Interval of checks while the process is in the background.
const BACKGROUND: Duration = Duration::from_millis(500);

/// Interval of checks while a question is open.
const QUESTION: Duration = Duration::from_millis(50);

/// Reader of keys. Dropping it restores the terminal.
#[derive(Debug)]
pub(super) struct KeyReader(());

impl KeyReader {
    /// Passes every key to `tell`, on its own thread. `None` if standard input is no terminal.
    pub(super) fn read(tell: impl Fn(char) + Send + 'static) -> Option<Self> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        let before = tcgetattr(std::io::stdin()).ok()?;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let keys = Self(());
        hand_out_keys();
        let thread = std::thread::Builder::new().name("iamlua-keys".into());
        thread.spawn(move || read(&tell)).ok()?;
        Some(keys)
    }
}

impl Drop for KeyReader {
    fn drop(&mut self) {
        restore();
    }
}

fn read(tell: &impl Fn(char)) {
    let mut key = [0];
    loop {
        if !is_in_foreground() {
            std::thread::sleep(BACKGROUND);
            continue;
        }
        if terminal::is_keyboard_taken() {
            std::thread::sleep(QUESTION);
            continue;
        }
        hand_out_keys();
        // A blocking read would take the first key of an answer.
        if !is_pressed() || terminal::is_keyboard_taken() {
            continue;
        }
        // Unbuffered, because a buffered byte would be invisible to `poll`.
        match rustix::io::read(std::io::stdin(), &mut key) {
            Ok(1..) => tell(char::from(key[0])),
            Err(Errno::INTR) => {}
            // The terminal is closed.
            Ok(0) | Err(_) => return,
        }
    }
}

/// Waits a while for a key. A closed terminal counts as a key, so that the read reports it.
fn is_pressed() -> bool {
    let stdin = std::io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    !matches!(poll(&mut fds, Some(&timeout)), Ok(0) | Err(Errno::INTR))
}

fn is_in_foreground() -> bool {
    let own = rustix::process::getpgrp();
    rustix::termios::tcgetpgrp(std::io::stdin()).is_ok_and(|group| group == own)
}

/// Sets the terminal to single keys without echo. Ctrl-C still sends a signal. A background process
/// that changes its terminal is stopped, so this waits for the foreground.
pub(super) fn hand_out_keys() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(before) = &*before else { return };
    if !is_in_foreground() {
        return;
    }
    let mut modes = before.clone();
    modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    // Failure means that the terminal is closed.
    let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &modes);
}

/// Restores the terminal modes, for good.
pub(super) fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before.filter(|_| is_in_foreground()) {
        // Failure means that the terminal is closed.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
    }
}
