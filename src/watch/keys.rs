//! The keyboard: keys as they are pressed, and the terminal as it was at the end.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::ui::terminal;

/// The terminal as it was before.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// In the background nobody presses keys; it is looked so often whether that is over.
const BACKGROUND: Duration = Duration::from_millis(500);

/// The same while a question is open.
const QUESTION: Duration = Duration::from_millis(50);

/// Reads keys until it is dropped, and then puts the terminal back.
#[derive(Debug)]
pub(super) struct Keys(());

impl Keys {
    /// Tells of every key, on a thread of its own. `None` if standard input is no terminal.
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

impl Drop for Keys {
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
        // A thread that waits in a read would take the first key of an answer.
        if !is_pressed() || terminal::is_keyboard_taken() {
            continue;
        }
        // Without the buffer of the standard library, of which the system knows nothing.
        match rustix::io::read(std::io::stdin(), &mut key) {
            Ok(1..) => tell(char::from(key[0])),
            Err(Errno::INTR) => {}
            // The terminal is gone.
            Ok(0) | Err(_) => return,
        }
    }
}

/// Waits a while for a key. A terminal that is gone counts as pressed, so that the read says so.
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

/// Makes the terminal hand out each key at once, without showing it; Ctrl-C stays what it is. In the background a process that changes its
/// terminal is stopped, so that this must wait.
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
    // A terminal that is gone hands out nothing.
    let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &modes);
}

/// Puts the terminal back as it was, for good.
pub(super) fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before.filter(|_| is_in_foreground()) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
    }
}
