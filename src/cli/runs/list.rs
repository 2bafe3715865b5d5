//! `iamlua runs` and `iamlua runs list`: a table of the latest runs.

use clap::Args;
use textwrap::core::display_width;

use super::super::options::OutputFormat;
use super::{date, json_of, undone, what};
use crate::app::run;
use crate::cli::output::{print, print_csv, print_json};
use crate::config::Target;
use crate::error::Result;
use crate::escape::visible;
use crate::session::destination::short_accounts;
use crate::session::journal::records::{Records, Run};
use crate::state;
use crate::ui::format::{count, number};
use crate::ui::{table, terminal};

#[derive(Args, Debug)]
pub struct ListOptions {
    /// Number of runs, the latest first.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Format of the list.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
}

/// Prints the list.
pub fn list(options: &ListOptions) -> Result<u8> {
    let records = Records::open(&state::folder()?)?;
    let runs = match &records {
        Some(records) => records.runs(options.limit as usize)?,
        None => Vec::new(),
    };
    match options.output {
        OutputFormat::Json => {
            let all: Vec<_> = runs.iter().map(json_of).collect::<Result<_>>()?;
            print_json(&format!("{:#}\n", serde_json::Value::from(all)))
        }
        OutputFormat::Jsonl => {
            let lines: Result<String> =
                runs.iter().map(|run| Ok(format!("{}\n", json_of(run)?))).collect();
            print_json(&lines?)
        }
        OutputFormat::Csv => csv(&runs),
        OutputFormat::Table if runs.is_empty() => {
            terminal::say("no run has changed anything yet");
            Ok(0)
        }
        OutputFormat::Table => print(&to_table(&runs, run::terminal_width())),
    }
}

fn csv(runs: &[Run]) -> Result<u8> {
    let rows = runs.iter().map(|run| COLUMNS.map(|column| (column.cell)(run)));
    print_csv(COLUMNS.map(|column| column.head), rows)
}

/// Column of the table.
#[derive(Clone, Copy)]
struct Column {
    head: &'static str,
    cell: fn(&Run) -> String,
    is_number: bool,
}

const fn column(head: &'static str, cell: fn(&Run) -> String) -> Column {
    Column { head, cell, is_number: false }
}

const fn numbers(head: &'static str, cell: fn(&Run) -> String) -> Column {
    Column { head, cell, is_number: true }
}

const WHAT: &str = "WHAT";

const COLUMNS: [Column; 9] = [
    column("RUN", |run| visible(&run.id)),
    column("STARTED", |run| date(run.started)),
    column(WHAT, |run| visible(what(run))),
    column("WHERE", |run| short_accounts(&run.sites)),
    column("BY", |run| visible(&run.operator)),
    numbers("CHANGES", |run| number(run.counts.done)),
    numbers("FAILED", |run| number(run.counts.failed)),
    numbers("DOUBT", |run| number(run.counts.in_doubt)),
    column("STATUS", |run| undone(run).unwrap_or(run.status.name()).to_owned()),
];

/// Account id, or a text for the local account.
fn account(run: &Run) -> String {
    let is_local = |target| matches!(target, Target::Local);
    match run.sites.as_slice() {
        [site] if is_local(site.target) => "local".into(),
        [site] => site.account.as_deref().map_or_else(|| "(unknown)".into(), visible),
        sites => count(sites.len() as u64, "account"),
    }
}

/// Text of at most `most` columns, cut with an ellipsis.
fn cut(text: &str, most: usize) -> String {
    if display_width(text) <= most {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        if display_width(&short) + display_width(c.encode_utf8(&mut [0; 4])) >= most {
            break;
        }
        short.push(c);
    }
    short + "…"
}

/// Table that fits the terminal. Columns that do not fit are left out, the least important first.
pub(super) fn to_table(runs: &[Run], width: Option<u16>) -> String {
    /// Minimum width of the description of a run.
    const MIN_WIDTH: usize = 12;
    let counts = |of: fn(&Run) -> u64| runs.iter().any(|run| of(run) > 0);
    let mut columns = COLUMNS.to_vec();
    columns.retain(|column| match column.head {
        "FAILED" => counts(|run| run.counts.failed),
        "DOUBT" => counts(|run| run.counts.in_doubt),
        _ => true,
    });
    let Some(width) = width.map(usize::from) else { return render(&columns, runs, usize::MAX) };
    let widest = |column: &Column| {
        let cells = runs.iter().map(|run| display_width(&(column.cell)(run)));
        cells.chain([column.head.len()]).max().unwrap_or_default()
    };
    let needed = |columns: &[Column]| {
        columns.iter().map(|column| widest(column) + 2).sum::<usize>().saturating_sub(2)
    };
    for dispensable in ["STARTED", "BY"] {
        if needed(&columns) > width {
            columns.retain(|column| column.head != dispensable);
        }
    }
    if needed(&columns) > width {
        for column in &mut columns {
            if column.head == "WHERE" {
                column.cell = account;
            }
        }
    }
    let what = columns.iter().find(|column| column.head == WHAT).map_or(0, widest);
    if needed(&columns) > width + what.saturating_sub(MIN_WIDTH) {
        columns.retain(|column| column.head != "WHERE");
    }
    let too_wide = needed(&columns).saturating_sub(width);
    render(&columns, runs, what.saturating_sub(too_wide).max(MIN_WIDTH))
}

fn render(columns: &[Column], runs: &[Run], what: usize) -> String {
    let heads: Vec<_> = columns.iter().map(|column| column.head.to_owned()).collect();
    let right: Vec<_> = columns.iter().map(|column| column.is_number).collect();
    let cell = |run: &Run, column: &Column| match column.head {
        WHAT => cut(&(column.cell)(run), what),
        _ => (column.cell)(run),
    };
    let rows: Vec<Vec<_>> =
        runs.iter().map(|run| columns.iter().map(|column| cell(run, column)).collect()).collect();
    table::render(&heads, &rows, &right, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::journal::RunStatus;
    use crate::session::journal::records::ChangeCounts;

    fn run(id: &str, script: &str, status: RunStatus, counts: ChangeCounts) -> Run {
        let site = serde_json::json!({ "target": "aws", "account": "123456789012" });
        Run {
            id: id.into(),
            status,
            command: "run".into(),
            started: 0,
            ended: Some(1),
            script: Some(script.into()),
            script_sha256: None,
            parameters: None,
            operator: "somebody@a-host-with-a-long-name.example.com".into(),
            program: "iamlua".into(),
            plan: None,
            undoes: None,
            error: None,
            calls: None,
            throttled: None,
            sites: vec![serde_json::from_value(site).expect("a site")],
            counts,
        }
    }

    #[test]
    fn the_table_fits_a_terminal_of_80_columns() {
        let counts =
            ChangeCounts { done: 1_000, undone: 500, standing: 500, ..ChangeCounts::default() };
        let plain = run("20261128-223502-323t5", "scripts/tag.lua", RunStatus::Done, counts);
        let text = to_table(std::slice::from_ref(&plain), Some(80));
        assert_eq!(
            text,
            "RUN                    WHAT                 WHERE         CHANGES  STATUS\n\
             20261128-223502-323t5  run scripts/tag.lua  123456789012    1,000  partly undone\n"
        );
        let counts = ChangeCounts { failed: 2, in_doubt: 1, ..counts };
        let long = run(
            "20261128-223502-571en",
            "/srv/日本/クリーンアップ.lua",
            RunStatus::Partial,
            counts,
        );
        let both = [plain, long];
        for line in to_table(&both, Some(80)).lines() {
            assert!(display_width(line) <= 80, "{line}");
        }
        let wide = to_table(&both, None);
        assert!(
            wide.contains("aws 123456789012") && wide.contains("1970-01-01T00:00:00Z"),
            "{wide}"
        );
        assert!(wide.contains("クリーンアップ.lua") && wide.contains("DOUBT"), "{wide}");
    }
}
