//! Tables for terminals: aligned columns under a line of headings, which fit the terminal's width.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};
use textwrap::core::display_width;

/// Width to which a column that may be wrapped is narrowed at most.
const MIN_WIDTH: usize = 20;
/// Columns between two columns.
const GAP: usize = 2;

/// Column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Heading.
    pub head: String,
    /// Right alignment.
    pub is_right: bool,
    /// Minimum width to which its cells may be wrapped; `None` if they may not, because a name or
    /// a date that is broken in two cannot be copied.
    pub min_width: Option<usize>,
    /// Importance. Columns without any are left out before others are wrapped; of the rest, the
    /// least important goes first. Among equals that is the last one.
    pub importance: u8,
}

impl Column {
    /// Left-aligned column that may be wrapped and is as important as others.
    #[must_use]
    pub fn new(head: impl Into<String>) -> Self {
        Self { head: head.into(), is_right: false, min_width: Some(MIN_WIDTH), importance: 1 }
    }

    /// Right-aligned, as for numbers; not wrapped.
    #[must_use]
    pub fn right(self) -> Self {
        Self { is_right: true, min_width: None, ..self }
    }

    /// Not wrapped.
    #[must_use]
    pub fn whole(self) -> Self {
        Self { min_width: None, ..self }
    }

    /// Wrapped to this width at least.
    #[must_use]
    pub fn at_least(self, width: usize) -> Self {
        Self { min_width: Some(width), ..self }
    }

    /// With another importance.
    #[must_use]
    pub fn of_importance(self, importance: u8) -> Self {
        Self { importance, ..self }
    }
}

/// Formatted table.
#[derive(Debug)]
pub struct Rendered {
    /// Lines.
    pub text: String,
    /// Headings of the columns that the width left no room for.
    pub left_out: Vec<String>,
}

impl Rendered {
    /// Note about the columns that are left out, with the next step; `None` if there are none.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let columns = match &self.left_out[..] {
            [] => return None,
            [one] => format!("column {one} does"),
            several => format!("columns {} do", several.join(", ")),
        };
        Some(format!("note: the {columns} not fit this terminal; --output json has everything"))
    }
}

/// Formats a table. Without a width, which a pipe has not, nothing is wrapped or left out.
#[must_use]
pub fn render(columns: &[Column], rows: &[Vec<String>], width: Option<u16>) -> Rendered {
    let widths: Vec<_> = (columns.iter().enumerate())
        .map(|(at, column)| {
            let cells = rows.iter().filter_map(|row| row.get(at)).flat_map(|cell| cell.lines());
            let cells = cells.chain([column.head.as_str()]);
            cells.map(display_width).max().unwrap_or_default()
        })
        .collect();
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let Some(width) = width.map(usize::from) else {
        return Rendered { text: text(columns, rows, &shown, &widths), left_out: Vec::new() };
    };
    let gaps = |shown: &[usize]| GAP * shown.len().saturating_sub(1);
    let full = |shown: &[usize]| gaps(shown) + shown.iter().map(|at| widths[*at]).sum::<usize>();
    let narrow = |at: usize| match columns[at].min_width {
        Some(min) => widths[at].min(min.max(display_width(&columns[at].head))),
        None => widths[at],
    };
    let least = |shown: &[usize]| gaps(shown) + shown.iter().map(|at| narrow(*at)).sum::<usize>();
    while full(&shown) > width
        && let Some(at) = least_important(columns, &shown)
        && (columns[shown[at]].importance == 0 || least(&shown) > width)
    {
        shown.remove(at);
    }
    let mut fitted = widths.clone();
    let mut missing = full(&shown).saturating_sub(width);
    // The widest gives way first.
    while missing > 0 {
        let can_give = |at: &&usize| fitted[**at] > narrow(**at);
        let Some(at) = shown.iter().filter(can_give).max_by_key(|at| fitted[**at]) else { break };
        fitted[*at] -= 1;
        missing -= 1;
    }
    if let [only] = shown[..] {
        fitted[only] = fitted[only].min(width.max(1));
    }
    let left_out = (0..columns.len()).filter(|at| !shown.contains(at));
    let left_out = left_out.map(|at| columns[at].head.clone()).collect();
    Rendered { text: text(columns, rows, &shown, &fitted), left_out }
}

/// Position of the column to leave out next. The first column stays.
fn least_important(columns: &[Column], shown: &[usize]) -> Option<usize> {
    (1..shown.len()).rev().min_by_key(|at| columns[shown[*at]].importance)
}

fn text(columns: &[Column], rows: &[Vec<String>], shown: &[usize], widths: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::MAX);
    table.set_header(shown.iter().map(|at| columns[*at].head.as_str()));
    for row in rows {
        table.add_row(shown.iter().map(|at| row.get(*at).map_or("", String::as_str)));
    }
    let last = shown.len().saturating_sub(1);
    for (place, (column, at)) in table.column_iter_mut().zip(shown).enumerate() {
        let gap = if place == last { 0 } else { GAP };
        column.set_padding((0, u16::try_from(gap).unwrap_or_default()));
        let width = u16::try_from(widths[*at] + gap).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        if columns[*at].is_right {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    fn widest(text: &str) -> usize {
        text.lines().map(display_width).max().unwrap_or_default()
    }

    #[test]
    fn a_table_that_fits_is_not_touched() {
        let columns = [Column::new("NAME"), Column::new("N").right(), Column::new("WHY")];
        let rows = [cells(&["web", "1,000", "a reason"]), cells(&["日本", "2", ""])];
        let expected = "NAME      N  WHY\nweb   1,000  a reason\n日本      2\n";
        for width in [None, Some(21), Some(80)] {
            let rendered = render(&columns, &rows, width);
            assert_eq!(rendered.text, expected, "{width:?}");
            assert_eq!(rendered.note(), None);
        }
    }

    #[test]
    fn long_names_are_wrapped_and_columns_left_out_until_it_fits() {
        let name = "an-instance-profile-with-a-name-".repeat(4);
        let columns: Vec<_> = ["NAME", "ROLE", "PATH", "ARN", "CREATED"].map(Column::new).into();
        let row = cells(&[&name, &name[..60], "/a/long/path/", &name, "2026-11-28T22:35:02Z"]);
        for (width, left_out) in [
            (120, vec![]),
            (80, vec!["CREATED"]),
            (60, vec!["ARN", "CREATED"]),
            (30, vec!["ROLE", "PATH", "ARN", "CREATED"]),
            (10, vec!["ROLE", "PATH", "ARN", "CREATED"]),
        ] {
            let rendered = render(&columns, std::slice::from_ref(&row), Some(width));
            assert!(widest(&rendered.text) <= width.into(), "{width}: {}", rendered.text);
            assert_eq!(rendered.left_out, left_out, "{width}: {}", rendered.text);
            assert_eq!(rendered.note().is_some(), !left_out.is_empty());
        }
        let all = render(&columns, &[row], None);
        assert!(all.text.contains(&name) && all.left_out.is_empty(), "{}", all.text);
    }

    #[test]
    fn importance_says_what_goes_first() {
        let columns = [
            Column::new("RUN").whole(),
            Column::new("STARTED").whole().of_importance(0),
            Column::new("WHAT").at_least(12),
            Column::new("STATUS").whole().of_importance(3),
            Column::new("BY").whole().of_importance(2),
        ];
        let what = "run a/long/path/to/a/script.lua";
        let row = cells(&["20261128-223502-323t5", "2026-11-28", what, "done", "somebody"]);
        let left_out = |width| render(&columns, std::slice::from_ref(&row), Some(width)).left_out;
        assert_eq!(left_out(90), Vec::<String>::new());
        assert_eq!(left_out(80), ["STARTED"]);
        assert_eq!(left_out(60), ["STARTED"]);
        assert_eq!(left_out(50), ["STARTED", "WHAT"]);
        assert_eq!(left_out(36), ["STARTED", "WHAT", "BY"]);
    }
}
