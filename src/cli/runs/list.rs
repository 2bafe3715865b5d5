//! `iamlua runs` and `iamlua runs list`: a table of the latest runs.

use clap::Args;

use super::super::options::OutputFormat;
use super::{date, json_of, undone, what};
use crate::app::run;
use crate::cli::output::{print_csv, print_json, print_table};
use crate::config::Target;
use crate::error::Result;
use crate::escape::visible;
use crate::session::destination::short_accounts;
use crate::session::journal::records::{Records, Run};
use crate::state;
use crate::ui::format::{count, number};
use crate::ui::table::{self, Column, Rendered};
use crate::ui::terminal;

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
        OutputFormat::Table => print_table(&to_table(&runs, run::terminal_width())),
    }
}

fn csv(runs: &[Run]) -> Result<u8> {
    let columns = columns();
    let rows = runs.iter().map(|run| columns.each_ref().map(|column| (column.cell)(run)));
    print_csv(columns.each_ref().map(|column| column.layout.head.clone()), rows)
}

/// Column of the table: its cells, and their layout.
struct RunColumn {
    cell: fn(&Run) -> String,
    layout: Column,
}

/// Columns. The id of a run has its start, so the time is left out first.
fn columns() -> [RunColumn; 9] {
    let column = |head: &str, cell: fn(&Run) -> String| RunColumn {
        cell,
        layout: Column::new(head).whole().of_importance(3),
    };
    let optional = |head: &str, cell: fn(&Run) -> String| RunColumn {
        cell,
        layout: Column::new(head).whole().of_importance(0),
    };
    let numbers = |head: &str, cell: fn(&Run) -> String| RunColumn {
        cell,
        layout: Column::new(head).right().of_importance(2),
    };
    [
        column("RUN", |run| visible(&run.id)),
        optional("STARTED", |run| date(run.started)),
        RunColumn {
            cell: |run| visible(what(run)),
            layout: Column::new("WHAT").at_least(12).of_importance(4),
        },
        RunColumn {
            cell: |run| short_accounts(&run.sites),
            layout: Column::new("WHERE").whole().of_importance(1),
        },
        optional("BY", |run| visible(&run.operator)),
        numbers("CHANGES", |run| number(run.counts.done)),
        numbers("FAILED", |run| number(run.counts.failed)),
        numbers("DOUBT", |run| number(run.counts.in_doubt)),
        column("STATUS", |run| undone(run).unwrap_or(run.status.name()).to_owned()),
    ]
}

/// Account id, or a text for the local account.
fn account(run: &Run) -> String {
    let is_local = |target| matches!(target, Target::Local);
    match run.sites.as_slice() {
        [site] if is_local(site.target) => "local".into(),
        [site] => site.account.as_deref().map_or_else(|| "(unknown)".into(), visible),
        sites => count(sites.len() as u64, "account"),
    }
}

/// Table that fits the terminal.
pub(super) fn to_table(runs: &[Run], width: Option<u16>) -> Rendered {
    let counts = |of: fn(&Run) -> u64| runs.iter().any(|run| of(run) > 0);
    let mut columns: Vec<_> = columns().into();
    columns.retain(|column| match &*column.layout.head {
        "FAILED" => counts(|run| run.counts.failed),
        "DOUBT" => counts(|run| run.counts.in_doubt),
        _ => true,
    });
    let rendered = render(&columns, runs, width);
    if rendered.left_out.is_empty() {
        return rendered;
    }
    // Where there is little room, the id of an account has to do.
    for column in &mut columns {
        if column.layout.head == "WHERE" {
            column.cell = account;
        }
    }
    render(&columns, runs, width)
}

fn render(columns: &[RunColumn], runs: &[Run], width: Option<u16>) -> Rendered {
    let row = |run: &Run| columns.iter().map(|column| (column.cell)(run)).collect();
    let rows: Vec<Vec<_>> = runs.iter().map(row).collect();
    let layout: Vec<_> = columns.iter().map(|column| column.layout.clone()).collect();
    table::render(&layout, &rows, width)
}

#[cfg(test)]
mod tests {
    use textwrap::core::display_width;

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
        let text = to_table(std::slice::from_ref(&plain), Some(80)).text;
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
        for width in [80, 60] {
            let narrow = to_table(&both, Some(width));
            for line in narrow.text.lines() {
                assert!(display_width(line) <= width.into(), "{line}");
            }
            assert!(narrow.left_out.contains(&"STARTED".to_owned()), "{narrow:?}");
            assert!(narrow.text.contains("20261128-223502-571en"), "{narrow:?}");
        }
        let wide = to_table(&both, None).text;
        assert!(
            wide.contains("aws 123456789012") && wide.contains("1970-01-01T00:00:00Z"),
            "{wide}"
        );
        assert!(wide.contains("クリーンアップ.lua") && wide.contains("DOUBT"), "{wide}");
    }
}
