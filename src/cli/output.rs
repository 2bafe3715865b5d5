//! Standard output: printing, and the line width.

use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};

use crate::error::{Error, Kind, Result};
use crate::escape;
use crate::ui::table::Rendered;
use crate::ui::terminal;

/// Upper bound on the line width; longer lines are hard to read.
const MAX_WIDTH: usize = 100;
/// Line width without a terminal.
const DEFAULT_WIDTH: usize = 80;

/// Prints text for people, with styles if there is a terminal. Control characters other than line
/// feeds, tabs and colours are made visible. A closed standard output is no error.
pub(super) fn print(text: &str) -> Result<u8> {
    terminal::print(text).map(|()| 0)
}

/// Prints a table, and a note on standard error if columns are left out.
pub(super) fn print_table(table: &Rendered) -> Result<u8> {
    terminal::print(&table.text)?;
    if let Some(note) = table.note() {
        terminal::say(&note);
    }
    Ok(0)
}

/// Prints JSON text, with control characters escaped in its strings.
pub(super) fn print_json(text: &str) -> Result<u8> {
    terminal::print_bytes(escape::printable_json(text).as_bytes()).map(|()| 0)
}

/// Prints a table as CSV. Cells are unchanged, except for terminal control characters.
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

/// Prints data for other programs: unchanged, unless standard output is a terminal.
pub(super) fn print_data(bytes: &[u8]) -> Result<u8> {
    if io::stdout().is_terminal() {
        terminal::print_bytes(&escape::printable(bytes)).map(|()| 0)
    } else {
        terminal::print_bytes(bytes).map(|()| 0)
    }
}

/// Width that text is wrapped to, in columns.
pub(super) fn width() -> usize {
    let out = io::stdout();
    let columns = terminal_size::terminal_size_of(&out).map(|(width, _)| usize::from(width.0));
    columns.filter(|_| out.is_terminal()).map_or(DEFAULT_WIDTH, |columns| columns.min(MAX_WIDTH))
}

/// Support of colours on standard output: a terminal, without `NO_COLOR` and similar settings.
pub(super) fn is_styled() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}
