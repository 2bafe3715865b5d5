//! Tables for terminals: aligned columns under a line of headings, cut to the terminal's width.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

/// Formats a table. `right` marks right-aligned columns; `width` is the terminal's, in columns, if
/// there is one.
#[must_use]
pub fn render(
    heads: &[String],
    rows: &[Vec<String>],
    right: &[bool],
    width: Option<u16>,
) -> String {
    const MIN_WIDTH: u16 = 20;
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(heads.iter().map(String::as_str));
    for row in rows {
        table.add_row(row);
    }
    // Only the widest column is shortened, and only to a minimum, because a name or date that is
    // broken in two cannot be copied. If that is not enough, the terminal wraps the lines.
    let last = heads.len().saturating_sub(1);
    let widths = table.column_max_content_widths();
    let widest = (0..heads.len()).max_by_key(|at| widths.get(*at));
    let others: u16 =
        (0..heads.len()).filter(|at| Some(*at) != widest).map(|at| widths[at] + 2).sum();
    let narrow = width.filter(|width| *width >= others.saturating_add(MIN_WIDTH));
    match narrow {
        Some(width) => table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if at == last { 0 } else { 2 }));
        if narrow.is_some() && Some(at) == widest {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(MIN_WIDTH)));
        } else {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if right.get(at) == Some(&true) {
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
