//! `iamlua runs`: the runs in the journal.

mod export;
mod list;
mod prune;
mod recover;
mod show;

use clap::{Parser, Subcommand};
use jiff::Timestamp;
use serde_json::Value;

use super::complete;
use super::options::OutputFormat;
use crate::error::{Error, Kind, Result};
use crate::session::journal::records::{RecordedChange, Run};

pub(super) use show::parameters;

/// `iamlua runs`.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RunsCommand {
    #[command(subcommand)]
    command: Option<RunsSubcommand>,
    #[command(flatten)]
    list: list::ListOptions,
}

#[derive(Debug, Subcommand)]
enum RunsSubcommand {
    /// List the latest runs that changed something.
    ///
    /// The time in an id is UTC. A narrow terminal leaves columns out; --output json has all.
    List(list::ListOptions),
    /// Show what a run changed, where, by whom, what failed, and what it left out.
    Show {
        /// Run: its id, a prefix or suffix of it, or `last`.
        #[arg(add = complete::runs(|_| true))]
        run: String,
        /// Show each change on its own line.
        #[arg(long)]
        full: bool,
        /// Format: table or json.
        #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Look up whether changes were made that a run has left in doubt.
    ///
    /// A change is in doubt when the run was killed or the answer of AWS was lost.
    Recover(Box<recover::RecoverCommand>),
    /// Write runs and their changes as JSON, one object a line.
    ///
    /// Each object has a `type`: `run`, `change` or `left_out`; those of a run follow it. What a
    /// run was given and has changed is in it, also tags and trust policies.
    Export(export::ExportCommand),
    /// Remove old runs from the journal.
    ///
    /// They can no longer be shown or undone. A run of which something is in doubt stays.
    Prune(prune::PruneCommand),
}

impl RunsCommand {
    /// Runs the command.
    pub fn execute(self) -> Result<u8> {
        match self.command {
            None => list::list(&self.list),
            Some(RunsSubcommand::List(options)) => list::list(&options),
            Some(RunsSubcommand::Show { run, full, output }) => show::show(&run, full, output),
            Some(RunsSubcommand::Recover(command)) => command.execute(),
            Some(RunsSubcommand::Export(command)) => command.execute(),
            Some(RunsSubcommand::Prune(command)) => command.execute(),
        }
    }
}

/// Time as ISO 8601 in UTC, in whole seconds.
fn date(milliseconds: i64) -> String {
    let at = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    Timestamp::from_second(at.as_second()).unwrap_or_default().to_string()
}

fn bug(error: &serde_json::Error) -> Error {
    Error::new(Kind::Bug, error.to_string())
}

/// Run as JSON, with times as text.
fn json_of(run: &Run) -> Result<Value> {
    let mut json = serde_json::to_value(run).map_err(|error| bug(&error))?;
    json["started"] = date(run.started).into();
    json["ended"] = run.ended.map(date).into();
    Ok(json)
}

/// Change of a run as JSON, with times as text.
fn json_of_change(change: &RecordedChange) -> Result<Value> {
    let mut json = serde_json::to_value(change).map_err(|error| bug(&error))?;
    json["started"] = date(change.started).into();
    json["ended"] = change.ended.map(date).into();
    Ok(json)
}

/// Command and script of a run: "run tag.lua", "undo 20261124-083533-417k7".
pub(super) fn what(run: &Run) -> String {
    let command = &run.command;
    match (&run.undoes, &run.script) {
        (Some(undone), _) => format!("{command} {undone}"),
        (None, Some(script)) => format!("{command} {}", shortened(script)),
        (None, None) => command.clone(),
    }
}

/// Start of a run, as text.
pub(super) fn started(run: &Run) -> String {
    date(run.started)
}

/// Path of a script, relative if it is below the current folder.
fn shortened(script: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    match std::path::Path::new(script).strip_prefix(here) {
        Ok(below) => below.display().to_string(),
        Err(_) => script.to_owned(),
    }
}

/// Extent of the undo of a run, as text.
const fn undone(run: &Run) -> Option<&'static str> {
    match (run.counts.undone, run.counts.standing) {
        (0, _) => None,
        (_, 0) => Some("undone"),
        _ => Some("partly undone"),
    }
}

/// Status of a run, as text, with the extent of its undo.
fn status(run: &Run) -> String {
    match undone(run) {
        None => run.status.name().to_owned(),
        Some(undone) => format!("{}, {undone}", run.status.name()),
    }
}

/// Output of all commands for a journal.
#[cfg(any(test, fuzzing))]
pub(crate) fn everything_shown(
    records: &crate::session::journal::records::Records,
) -> Result<String> {
    let runs = records.runs(1000)?;
    let mut text = list::to_table(&runs, None).text + &list::to_table(&runs, Some(80)).text;
    for run in &runs {
        let (changes, left_out) = (records.changes(&run.id)?, records.left_out(&run.id)?);
        for full in [false, true] {
            text.push_str(&show::describe(run, &changes, &left_out, full));
        }
        json_of(run)?;
        changes.iter().try_for_each(|change| json_of_change(change).map(drop))?;
    }
    Ok(text)
}
