//! Text on standard output, and how much fits into a line of it.

use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};

use crate::error::{Error, Kind, Result};
use crate::escape;
use crate::ui::terminal;

/// The widest that text is made: longer lines are hard to read.
const WIDEST: usize = 100;
/// The width where there is no terminal.
const USUAL: usize = 80;

/// Prints text for people, with styles where there is a terminal. Nothing in it but line ends, tabs
/// and colours acts on the terminal. A reader that has gone away needs no more.
pub(super) fn print(text: &str) -> Result<u8> {
    terminal::print(text).map(|()| 0)
}

/// Prints JSON text, whose strings hold nothing that acts on a terminal.
pub(super) fn print_json(text: &str) -> Result<u8> {
    terminal::print_bytes(escape::printable_json(text).as_bytes()).map(|()| 0)
}

/// Prints a table as CSV. Its cells are as they are, but for those that a terminal would obey.
pub(super) fn print_csv<H, R, C>(heads: H, rows: impl IntoIterator<Item = R>) -> Result<u8>
where
    H: IntoIterator<Item: AsRef<[u8]>>,
    R: IntoIterator<Item = C>,
    C: AsRef<[u8]>,
{
    let failed = |error: &dyn std::fmt::Display| Error::new(Kind::Bug, error.to_string());
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(heads).map_err(|error| failed(&error))?;
    for row in rows {
        csv.write_record(row).map_err(|error| failed(&error))?;
    }
    let text = csv.into_inner().map_err(|error| failed(&error))?;
    print_data(&text)
}

/// Prints what other programs read: unchanged, unless a terminal is there to obey it.
pub(super) fn print_data(bytes: &[u8]) -> Result<u8> {
    if io::stdout().is_terminal() {
        terminal::print_bytes(&escape::printable(bytes)).map(|()| 0)
    } else {
        terminal::print_bytes(bytes).map(|()| 0)
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
