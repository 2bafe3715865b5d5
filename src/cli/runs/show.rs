//! `iamlua runs show`: a run with its changes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::super::executions::not_in_the_journal;
use super::super::options::OutputFormat;
use super::{bug, date, json_of, json_of_change, status, what};
use crate::app::plan_text::{self, ChangeText};
use crate::cli::output::{print, print_json};
use crate::error::{Error, Result};
use crate::escape::{visible, visible_but};
use crate::session::destination::Places;
use crate::session::journal::records::{RecordedChange, Records, Run, no_run};
use crate::session::journal::{ChangeOutcome, LeftOut};
use crate::state;
use crate::ui::format::count;

/// Prints a run.
pub fn show(id: &str, full: bool, output: OutputFormat) -> Result<u8> {
    let missing = |error| not_in_the_journal(id, error);
    let records = Records::open(&state::folder()?)?.ok_or_else(|| missing(no_run(id)))?;
    let run = records.run(id).map_err(missing)?;
    let (changes, left_out) = (records.changes(&run.id)?, records.left_out(&run.id)?);
    if matches!(output, OutputFormat::Csv) {
        return Err(Error::usage("a run is shown as a table or as JSON"));
    }
    if !matches!(output, OutputFormat::Table) {
        let mut json = json_of(&run)?;
        let changes: Vec<_> = changes.iter().map(json_of_change).collect::<Result<_>>()?;
        json["changes"] = changes.into();
        json["left_out"] = serde_json::to_value(&left_out).map_err(|error| bug(&error))?;
        return print_json(&format!("{json:#}\n"));
    }
    print(&describe(&run, &changes, &left_out, full))
}

pub(super) fn describe(
    run: &Run,
    changes: &[RecordedChange],
    left_out: &[LeftOut],
    full: bool,
) -> String {
    let mut text = format!("run {}: {}\n", visible(&run.id), visible(status(run)));
    let mut field = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<11}{}", visible_but(value.as_bytes(), |c| c == '\n'));
    };
    field("what", what(run));
    if let (Some(script), Some(hash)) = (&run.script, &run.script_sha256) {
        field("script", format!("{script}, sha256 {hash}"));
    }
    if let Some(shown) = run.parameters.as_ref().and_then(parameters) {
        field("parameters", shown);
    }
    if let Some(plan) = &run.plan {
        field("plan", plan.clone());
    }
    for site in &run.sites {
        let caller = site.caller.as_deref().unwrap_or("an unknown caller");
        field("account", format!("{} as {caller}", site.describe()));
    }
    if run.command == "schedule" {
        field("printed", format!("`iamlua schedule show {}`", run.id));
    }
    field("operator", format!("{}, {}", run.operator, run.program));
    let took = run.ended.map_or(String::new(), |ended| {
        let time = Duration::from_millis(
            u64::try_from(ended.saturating_sub(run.started)).unwrap_or_default(),
        );
        format!(", took {time:.1?}")
    });
    field("started", format!("{}{took}", date(run.started)));
    if let Some(serde_json::Value::Object(calls)) = &run.calls {
        let calls: Vec<_> = calls.iter().map(|(action, n)| format!("{action} {n}")).collect();
        let throttled =
            run.throttled.filter(|n| *n > 0).map_or(String::new(), |n| format!("; {n} throttled"));
        field("calls", format!("{}{throttled}", calls.join(", ")));
    }
    if let Some(error) = &run.error {
        field("error", error.clone());
    }
    let undone: BTreeSet<_> = changes.iter().filter_map(|change| change.undone.as_ref()).collect();
    for by in undone {
        field("undone by", by.clone());
    }
    let places = Places::of(&run.sites);
    for (title, outcome) in [
        ("done", Some(ChangeOutcome::Done)),
        ("failed", Some(ChangeOutcome::Failed)),
        ("in doubt", None),
    ] {
        let these: Vec<_> = changes
            .iter()
            .filter(|change| match outcome {
                Some(outcome) => change.outcome == Some(outcome),
                None => change.is_open(),
            })
            .collect();
        if these.is_empty() {
            continue;
        }
        let shown: Vec<_> = (these.iter())
            .map(|change| ChangeText::recorded(change, places.account(change.site)))
            .collect();
        let (all, accounts) = (count(these.len() as u64, "change"), plan_text::places(&shown));
        let _ = writeln!(text, "\n{title}: {all}{accounts}");
        if outcome == Some(ChangeOutcome::Done) {
            for line in plan_text::lines(&shown, full) {
                let _ = writeln!(text, "  {line}");
            }
            continue;
        }
        for (change, shown) in these.iter().zip(shown) {
            let _ = writeln!(text, "  {}", plan_text::line(&shown));
            for why in change.error.iter().chain(&change.note) {
                let _ = writeln!(text, "      {}", visible_but(why.as_bytes(), |c| c == '\n'));
            }
        }
    }
    if !left_out.is_empty() {
        let _ = writeln!(text, "\nleft out: {}", left_out.len());
    }
    for left_out in left_out {
        let _ = writeln!(text, "  {}", left_out.describe(&run.sites));
    }
    text
}

/// Parameters of a script as text: `owner=ops days=30`; `None` if there are none.
pub fn parameters(parameters: &serde_json::Value) -> Option<String> {
    let parameters = parameters.as_object().filter(|parameters| !parameters.is_empty())?;
    let plain =
        |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown = parameters.iter().map(|(name, value)| format!("{name}={}", plain(value)));
    Some(shown.collect::<Vec<_>>().join(" "))
}
