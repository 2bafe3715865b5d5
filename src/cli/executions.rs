//! `iamlua schedule history` and `iamlua schedule show`: executions of jobs, and their output.

use std::fmt::Write;
use std::time::Duration;

use clap::Parser;
use jiff::Timestamp;
use serde_json::Value;

use super::options::OutputFormat;
use super::output::{print, print_json};
use super::schedule::show as show_list;
use crate::error::{Error, Kind, Result};
use crate::escape::{visible, visible_but};
use crate::schedule::listing::List;
use crate::schedule::record::Execution;
use crate::schedule::store::Store;
use crate::session::Mode;
use crate::state;
use crate::ui::format::{count, number, time};
use crate::ui::terminal;

/// `iamlua schedule history`.
#[derive(Debug, Parser)]
pub struct HistoryCommand {
    /// Job name or path. Default: all jobs.
    #[arg(add = super::complete::past_jobs())]
    name: Option<String>,
    /// Maximum number of executions, the latest first.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Output format.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
}

/// `iamlua schedule show`.
#[derive(Debug, Parser)]
pub struct ShowCommand {
    /// Execution: the id of its run, a prefix or suffix of it, or `last`.
    #[arg(add = super::complete::executions())]
    run: String,
    /// Output format: table or json.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
}

impl HistoryCommand {
    /// Runs the command.
    pub fn execute(&self) -> Result<u8> {
        let executions = latest(self.name.as_deref(), self.limit)?;
        let mut list = List {
            heads: vec!["RUN", "JOB", "STARTED", "TOOK", "OUTCOME", "CHANGES", "ERROR"],
            ..List::default()
        };
        for execution in &executions {
            list.rows.push(row(execution));
            list.records.push(json(execution)?);
        }
        if list.rows.is_empty() {
            terminal::say("nothing was run yet");
        }
        show_list(&list, self.output)
    }
}

/// Latest executions of a job, or of all jobs.
pub(super) fn latest(name: Option<&str>, most: u32) -> Result<Vec<Execution>> {
    let Some(store) = Store::open_existing(&state::folder()?)? else { return Ok(Vec::new()) };
    let Some(name) = name else { return store.latest(None, most) };
    let mut found = store.latest(Some(name), most)?;
    if found.is_empty()
        && let Ok(path) = std::fs::canonicalize(name)
    {
        found = store.latest(Some(&path.display().to_string()), most)?;
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let names = store.names()?;
    let error = Error::usage(format!("no job {name:?} was run"));
    Err(match crate::spec::nearest(name, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint("`iamlua schedule history` lists what was run"),
    })
}

fn json(execution: &Execution) -> Result<Value> {
    serde_json::to_value(execution).map_err(|error| Error::new(Kind::Bug, error.to_string()))
}

fn row(execution: &Execution) -> Vec<String> {
    let error = execution.error.as_deref().unwrap_or_default();
    vec![
        execution.run.clone(),
        visible(&execution.job),
        date(execution.started),
        took(execution).unwrap_or_default(),
        outcome(execution),
        changes(execution),
        visible(error.lines().next().unwrap_or_default()),
    ]
}

fn date(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

fn took(execution: &Execution) -> Option<String> {
    let took = execution.ended?.duration_since(execution.started);
    Some(time(Duration::try_from(took).unwrap_or_default().as_secs_f64()))
}

fn outcome(execution: &Execution) -> String {
    let outcome = execution.outcome.map_or("not ended", |outcome| outcome.name());
    match execution.attempt {
        1 => outcome.to_owned(),
        n => format!("{outcome} (try {n})"),
    }
}

fn changes(execution: &Execution) -> String {
    let planned = if execution.mode == Mode::Plan { " planned" } else { "" };
    let mut text = format!("{}{planned}", number(execution.changes));
    if execution.failed > 0 {
        let _ = write!(text, ", {} failed", number(execution.failed));
    }
    text
}

impl ShowCommand {
    /// Runs the command.
    pub fn execute(&self) -> Result<u8> {
        let execution = self.find()?;
        match self.output {
            OutputFormat::Csv => Err(Error::usage("an execution is shown as a table or as JSON")),
            OutputFormat::Table => print(&describe(&execution)),
            OutputFormat::Json | OutputFormat::Jsonl => {
                let mut record = json(&execution)?;
                record["output"] = execution.output.into();
                print_json(&format!("{record:#}\n"))
            }
        }
    }

    fn find(&self) -> Result<Execution> {
        let mut found = matching(&self.run)?;
        match (found.pop(), found.pop()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(Error::usage(format!("no job has run as {:?}", self.run))
                .hint("`iamlua schedule history` lists what has run")),
            (Some(_), Some(_)) => {
                Err(Error::usage(format!("{:?} is more than one execution", self.run))
                    .hint("give more of its id; `iamlua schedule history` lists them"))
            }
        }
    }
}

/// Executions that match an id, a part of it, or `last`; at most two.
fn matching(id: &str) -> Result<Vec<Execution>> {
    let Some(store) = Store::open_existing(&state::folder()?)? else { return Ok(Vec::new()) };
    match id {
        "last" => {
            let last = store.latest(None, 1)?.pop();
            let last = last.map(|last| store.execution(&last.run)).transpose()?;
            Ok(last.flatten().into_iter().collect())
        }
        "" => Ok(Vec::new()),
        id => store.matching(id),
    }
}

/// Error for a run that the journal lacks, with a hint if it is an execution of a job.
pub(super) fn not_in_the_journal(id: &str, error: Error) -> Error {
    match matching(id).as_deref() {
        Ok([one]) => {
            let why = match (one.mode, one.changes + one.failed) {
                (Mode::Apply, 1..) => {
                    "is not in the journal any more: it was removed by `runs prune`"
                }
                _ => "changed nothing",
            };
            Error::usage(format!("run {} of the job {} {why}", one.run, one.job))
                .hint(format!("`iamlua schedule show {}` shows what it printed", one.run))
        }
        _ => error,
    }
}

/// Output of a script without terminal control characters.
fn as_text(text: &str) -> String {
    visible_but(text.as_bytes(), |c| c == '\n' || c == '\t')
}

fn describe(execution: &Execution) -> String {
    let mut text = format!("{}: {}\n", execution.run, outcome(execution));
    let mut field = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<11}{value}");
    };
    field("job", visible(format!("{} ({})", execution.job, execution.path.display())));
    field("due", execution.due.map_or_else(|| "when a person ran it".to_owned(), date));
    let took = took(execution).map_or(String::new(), |took| format!(", took {took}"));
    field("started", format!("{}{took}", date(execution.started)));
    if let Some(account) = &execution.account {
        field("account", format!("{account}, mode {}", execution.mode.name()));
    }
    let hint = match (execution.mode, execution.changes) {
        (Mode::Apply, 1..) => format!("; `iamlua runs show {}` has them", execution.run),
        _ => String::new(),
    };
    field("changes", format!("{}{hint}", changes(execution)));
    if !execution.calls.is_empty() {
        let calls = crate::lua::calls_text(&execution.calls);
        let throttled = match execution.throttled {
            0 => String::new(),
            n => format!("; {} throttled", number(n)),
        };
        field("calls", format!("{calls}{throttled}"));
    }
    if let Some(error) = &execution.error {
        field("error", as_text(error));
    }
    if execution.output.is_empty() {
        return text;
    }
    let lines = count(execution.output.lines().count() as u64, "line");
    let _ = write!(text, "\nprinted: {lines}\n{}", as_text(&execution.output));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
