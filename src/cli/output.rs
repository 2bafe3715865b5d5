//! Text on standard output, and how much fits into a line of it.

use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use crate::error::{Error, Result};

/// The widest that text is made: longer lines are hard to read.
const WIDEST: usize = 100;
/// The width where there is no terminal.
const USUAL: usize = 80;

/// Writes it; a reader that has gone away needs no more.
pub(super) fn print(text: &str) -> Result<u8> {
    print_bytes(text.as_bytes())
}

/// The same for text with ANSI styles, which are left out where there is no terminal.
pub(super) fn print_styled(text: &str) -> Result<u8> {
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to standard output", error))
        }
        _ => Ok(0),
    }
}

/// The same for what may be no text.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<u8> {
    let mut out = io::stdout();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to standard output", error))
        }
        _ => Ok(0),
    }
}

/// How many columns text is wrapped to.
pub(super) fn width() -> usize {
    let out = io::stdout();
    let columns = terminal_size::terminal_size_of(&out).map(|(width, _)| usize::from(width.0));
    columns.filter(|_| out.is_terminal()).map_or(USUAL, |columns| columns.min(WIDEST))
}

/// Whether standard output takes colour: it is a terminal, and nothing such as `NO_COLOR` speaks against it.
pub(super) fn is_styled() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}
