//! Prompt for the code of an MFA device. It is shown at the controlling terminal only, without
//! echo. The code is sent in one request, and is not logged or stored.

use std::io::{self, Write};

use crate::error::{Error, Kind, Result};
use crate::ui::{hidden_input, terminal};

/// Asks for the code of a device.
///
/// # Errors
/// If there is no terminal, or no answer.
pub async fn ask(serial: String, role: String) -> Result<String> {
    let asked =
        tokio::task::spawn_blocking(move || terminal::with_keyboard(|| ask_now(&serial, &role)));
    asked.await.map_err(|error| Error::new(Kind::Bug, format!("the question ended: {error}")))?
}

/// Number of attempts to enter a code.
const TRIES: usize = 3;

fn ask_now(serial: &str, role: &str) -> Result<String> {
    let mut terminal = hidden_input::open_terminal().map_err(|_| {
        let message = format!(
            "the role {role} needs a code of the MFA device {serial}, and there is no terminal to \
             ask at"
        );
        Error::new(Kind::Credentials, message).hint(
            "run it at a terminal; for jobs use credentials that need no code, such as a role of \
             the machine",
        )
    })?;
    let question = format!("MFA code for {}: ", crate::escape::visible(serial));
    for _ in 0..TRIES {
        let typed = hidden_input::read_line(&mut terminal, &question);
        let _ = writeln!(terminal);
        let code = typed.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => Error::new(Kind::Interrupted, "interrupted"),
            io::ErrorKind::UnexpectedEof => Error::new(Kind::Credentials, "no MFA code was given"),
            _ => Error::io("cannot read the MFA code", error),
        })?;
        let code: String = code.chars().filter(char::is_ascii_graphic).collect();
        if code.len() == 6 && code.bytes().all(|c| c.is_ascii_digit()) {
            return Ok(code);
        }
        let _ = writeln!(terminal, "It has six digits.");
    }
    Err(Error::new(Kind::Credentials, "no MFA code was given: it is six digits"))
}
