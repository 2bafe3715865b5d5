//! Pseudo-terminal with the program at its other end, and a screen as a person would see it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::patience::{until, until_some};

/// Both ends of a new terminal.
pub(crate) fn pair(rows: u16, columns: u16) -> (File, File) {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(ours.as_fd()).expect("a terminal");
    unlockpt(ours.as_fd()).expect("a terminal");
    let name = ptsname(ours.as_fd(), Vec::new()).expect("its name");
    let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its other end");
    let size =
        rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&ours, size).expect("a size");
    (File::from(ours), File::from(theirs))
}

/// Program at a terminal.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    seen: Arc<Mutex<Seen>>,
    reader: JoinHandle<()>,
}

fn cells(n: u16) -> std::num::NonZero<u16> {
    std::num::NonZero::new(n).expect("a screen has some")
}

/// Output that has arrived.
struct Seen {
    screen: vt100::Parser,
    bytes: Vec<u8>,
}

impl Terminal {
    /// Starts a command with a terminal of that size as its controlling terminal: Ctrl-C is a
    /// signal while no editor reads keys.
    pub(crate) fn start(command: &mut Command, rows: u16, columns: u16) -> Self {
        let (ours, theirs) = pair(rows, columns);
        let end = || theirs.try_clone().expect("a handle");
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: only two system calls between fork and exec.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(|| {
                rustix::process::setsid()?;
                rustix::process::ioctl_tiocsctty(std::io::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().expect("the program starts");
        // The command holds its own file descriptors, which would keep the terminal open.
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        drop(theirs);
        let seen = Arc::new(Mutex::new(Seen {
            screen: vt100::Parser::new(cells(rows), cells(columns), 10_000),
            bytes: Vec::new(),
        }));
        let (mut reader, shared) = (ours.try_clone().expect("a handle"), Arc::clone(&seen));
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                let mut seen = shared.lock().expect("the reader alone holds it for long");
                seen.screen.process(&buffer[..n]);
                seen.bytes.extend_from_slice(&buffer[..n]);
            }
        });
        Self { child, keyboard: ours, seen, reader }
    }

    /// Presses keys.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.bytes(keys.as_bytes());
    }

    /// Sends bytes that need not be text.
    pub(crate) fn bytes(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("the terminal is there");
    }

    /// Clears the screen (Ctrl-L), enters a line, and waits until the screen shows that text and
    /// the next prompt or question.
    #[track_caller]
    pub(crate) fn enter(&mut self, line: &str, shows: &str) -> String {
        self.clear();
        self.keys(&format!("{line}\r"));
        self.wait(shows, |screen| {
            let last = screen.trim_end().lines().last().unwrap_or_default();
            screen.contains(shows)
                && screen.trim_end().lines().count() > 1
                && (last.ends_with('>') || last.ends_with("[y/N]"))
        })
    }

    /// Clears the screen, and so waits until keys are read again; all that follows is new.
    #[track_caller]
    pub(crate) fn clear(&mut self) {
        // A key that is pressed before the program reads keys can be lost.
        let mut again = Instant::now();
        let is_clear = || {
            let is_clear = self.screen().trim_end().lines().count() == 1 && !self.is_canonical();
            if !is_clear && Instant::now() >= again {
                (&self.keyboard).write_all(b"\x0c").expect("the terminal is there");
                again = Instant::now() + Duration::from_millis(500);
            }
            is_clear
        };
        until(is_clear, || format!("no keys are read:\n{}", self.screen()));
    }

    /// Content of the screen, without blank lines at its end.
    pub(crate) fn screen(&self) -> String {
        self.seen.lock().expect("no reader has failed").screen.screen().contents()
    }

    /// Column of the cursor.
    pub(crate) fn column(&self) -> u16 {
        self.seen.lock().expect("no reader has failed").screen.screen().cursor_position().1
    }

    /// All output, with its escape sequences.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("no reader has failed").bytes).into_owned()
    }

    /// Waits until the screen shows that text; returns the screen.
    #[track_caller]
    pub(crate) fn until(&self, text: &str) -> String {
        self.wait(text, |screen| screen.contains(text))
    }

    /// Waits until the last line is that text.
    #[track_caller]
    pub(crate) fn until_line(&self, text: &str) -> String {
        self.wait(text, |screen| {
            screen.lines().last().is_some_and(|line| line.trim_end() == text.trim_end())
        })
    }

    /// Waits for a condition of the screen.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        until_some(
            || Some(self.screen()).filter(|screen| is_there(screen)),
            || format!("{what:?} did not appear:\n{}", self.screen()),
        )
    }

    /// Waits until the program has ended.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let seen = &self.seen;
        until_some(
            || child.try_wait().expect("it is a child"),
            || {
                let seen = seen.lock().expect("no reader has failed");
                format!("it has not ended:\n{}", seen.screen.screen().contents())
            },
        )
    }

    /// Exit status, if the program has ended and all of its output has arrived.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("it is a child");
        status.filter(|_| self.reader.is_finished())
    }

    /// Echo of keys, which is off while a secret is asked for.
    pub(crate) fn echoes(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.keyboard).expect("a terminal").local_modes;
        modes.contains(rustix::termios::LocalModes::ECHO)
    }

    /// Resizes the terminal, and tells the program.
    pub(crate) fn resize(&mut self, rows: u16, columns: u16) {
        let size =
            rustix::termios::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.keyboard, size).expect("a size");
        let mut seen = self.seen.lock().expect("no reader has failed");
        seen.screen.screen_mut().set_size(cells(rows), cells(columns));
    }

    /// Returns true in canonical mode, which is set when no editor reads keys.
    pub(crate) fn is_canonical(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.keyboard).expect("a terminal").local_modes;
        modes.contains(rustix::termios::LocalModes::ICANON)
    }

    /// Sets canonical mode, as a shell does.
    pub(crate) fn be_canonical(&self) {
        let mut modes = rustix::termios::tcgetattr(&self.keyboard).expect("a terminal");
        modes.local_modes.insert(rustix::termios::LocalModes::ICANON);
        let now = rustix::termios::OptionalActions::Now;
        rustix::termios::tcsetattr(&self.keyboard, now, &modes).expect("a terminal");
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
