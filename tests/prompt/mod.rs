//! Prompt at a pseudo-terminal: keys in, a screen out.

mod account;
mod keys;
mod saving;
mod screens;
mod values;

use crate::end_to_end::Home;
use crate::patience::until;
use crate::terminal::Terminal;

/// Prompt on the example account.
struct Seat {
    home: Home,
    terminal: Terminal,
}

impl Seat {
    fn new() -> Self {
        Self::with(&[], 40, 100, |_| {})
    }

    fn with(
        args: &[&str],
        rows: u16,
        columns: u16,
        prepare: impl FnOnce(&mut std::process::Command),
    ) -> Self {
        Self::at(Home::new(), args, rows, columns, prepare)
    }

    /// Starts a prompt in a home that had one before.
    fn at(
        home: Home,
        args: &[&str],
        rows: u16,
        columns: u16,
        prepare: impl FnOnce(&mut std::process::Command),
    ) -> Self {
        let mut command = home.command(args);
        command.env("TERM", "xterm-256color").env("HOME", home.path("."));
        prepare(&mut command);
        let terminal = Terminal::start(&mut command, rows, columns);
        terminal.until("> ");
        let mut seat = Self { home, terminal };
        if !command
            .get_envs()
            .any(|(name, value)| name == "TERM" && value.is_some_and(|value| value == "dumb"))
        {
            // The name of the account may appear a moment later.
            let is_known = || {
                let is_known = seat.screen().contains("acme-");
                if !is_known {
                    seat.keys("\r");
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                is_known
            };
            until(is_known, || "the account does not say who it is".into());
            if !args.contains(&"--vi") {
                seat.clear();
            }
        }
        seat
    }
}

impl Seat {
    /// Waits until the names in the account are known, which are read in the background. Roles come
    /// last.
    #[track_caller]
    fn knows_names(&mut self) {
        self.clear();
        let is_completed = || {
            self.keys("\x15iam.roles.get('web-frontend-st\t");
            std::thread::sleep(std::time::Duration::from_millis(50));
            self.screen().contains("web-frontend-staging'")
        };
        until(is_completed, || "the name is not completed".into());
        self.keys("\x15");
        self.until_line(HERE);
    }
}

impl std::ops::Deref for Seat {
    type Target = Terminal;

    fn deref(&self) -> &Terminal {
        &self.terminal
    }
}

impl std::ops::DerefMut for Seat {
    fn deref_mut(&mut self) -> &mut Terminal {
        &mut self.terminal
    }
}

/// Prompt text on the example account.
const HERE: &str = "local acme-example APPLY> ";
