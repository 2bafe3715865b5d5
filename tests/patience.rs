//! Waits for events, all with one deadline that is far enough away for a busy machine.

use std::io::Read;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use iamlua::emulator::{Emulator, EmulatorSettings};
use rustix::process::{Pid, Signal, kill_process};

/// Deadline of every wait. A working test is far from it, so reaching it means a hang.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// Interval of polling.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Waits until a condition holds, and fails with `why` if it never does.
#[track_caller]
pub(crate) fn until(mut is_so: impl FnMut() -> bool, why: impl FnOnce() -> String) {
    until_some(|| is_so().then_some(()), why);
}

/// Waits for a value, and returns it.
#[track_caller]
pub(crate) fn until_some<T>(
    mut look: impl FnMut() -> Option<T>,
    why: impl FnOnce() -> String,
) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{}", why());
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Running program, killed when a test fails.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(Some(command.spawn().expect("the program starts")))
    }

    /// Captures standard error.
    pub(crate) fn err(&mut self) -> Heard {
        Heard::from(self.stderr.take().expect("a pipe"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self), signal).expect("it runs");
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn ends(mut self) -> Output {
        let child = &mut *self;
        until(|| child.try_wait().expect("a child").is_some(), || "it hangs".into());
        self.0.take().expect("it is there").wait_with_output().expect("it has ended")
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.0.as_ref().expect("it is there until its end")
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().expect("it is there until its end")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Output of a program on a pipe, collected while it runs.
#[derive(Clone)]
pub(crate) struct Heard {
    text: Arc<Mutex<String>>,
    is_over: Arc<AtomicBool>,
}

impl Heard {
    pub(crate) fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let heard = Self { text: Arc::default(), is_over: Arc::default() };
        let shared = heard.clone();
        std::thread::spawn(move || {
            let (mut buffer, mut bytes) = (vec![0; 64 << 10], Vec::new());
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                bytes.extend_from_slice(&buffer[..n]);
                let whole = String::from_utf8_lossy(&bytes).into_owned();
                *shared.text.lock().expect("nobody fails while it is held") = whole;
            }
            shared.is_over.store(true, Ordering::SeqCst);
        });
        heard
    }

    pub(crate) fn text(&self) -> String {
        self.text.lock().expect("nobody fails while it is held").clone()
    }

    /// Waits until the program has written a text.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) {
        until(|| self.text().contains(text), || format!("{text:?} is not in\n{}", self.text()));
    }

    /// Waits until the program has closed the pipe, and returns everything.
    #[track_caller]
    pub(crate) fn all(&self) -> String {
        until(
            || self.is_over.load(Ordering::SeqCst),
            || format!("it goes on after\n{}", self.text()),
        );
        self.text()
    }
}

/// Calls that the fault `hold` keeps waiting in the account of a state folder.
pub(crate) struct Gatekeeper {
    file: PathBuf,
}

impl Gatekeeper {
    pub(crate) fn of(state: &Path) -> Self {
        Self { file: state.join("local.db") }
    }

    fn account(&self) -> Emulator {
        Emulator::open(&self.file, EmulatorSettings::default()).expect("the local account")
    }

    /// Waits until at least that many calls are held, and returns them.
    #[track_caller]
    pub(crate) fn holds(&self, calls: usize) -> Vec<String> {
        until(|| self.file.exists(), || "there is no account".into());
        let account = self.account();
        let held = || account.held_calls().expect("the account can be read");
        until_some(
            || Some(held()).filter(|held| held.len() >= calls),
            || format!("{:?} are held, and not {calls}", held()),
        )
    }

    /// Releases the held calls, and returns them.
    pub(crate) fn releases(&self) -> Vec<String> {
        self.account().release_calls().expect("the account can be written")
    }

    /// Waits until calls are held, and releases them, that many times.
    #[track_caller]
    pub(crate) fn passes(&self, times: usize) {
        for _ in 0..times {
            self.holds(1);
            self.releases();
        }
    }

    /// Releases all calls from now on, until the result is dropped.
    pub(crate) fn opens(&self) -> Open {
        let (account, is_over) = (self.account(), Arc::new(AtomicBool::new(false)));
        let ends = Arc::clone(&is_over);
        let releasing = std::thread::spawn(move || {
            while !ends.load(Ordering::SeqCst) {
                if !account.held_calls().expect("the account can be read").is_empty() {
                    account.release_calls().expect("the account can be written");
                }
                std::thread::sleep(POLL_INTERVAL);
            }
        });
        Open { is_over, releasing: Some(releasing) }
    }
}

/// Guard of [`Gatekeeper::opens`].
pub(crate) struct Open {
    is_over: Arc<AtomicBool>,
    releasing: Option<JoinHandle<()>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(releasing) = self.releasing.take() {
            let _ = releasing.join();
        }
    }
}
