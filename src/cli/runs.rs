//! `iamlua runs`: what was changed, by whom, and how it went.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use super::executions::not_in_the_journal;
use super::options::{LimitOptions, OutputFormat, TargetOptions, duration};
use crate::error::{Error, Kind, Result};
use crate::iam::image::Verdict;
use crate::plan_text::{self, Shown};
use crate::session::apply::check_accounts;
use crate::session::journal::records::{Recorded, Records, Run, no_run};
use crate::session::journal::{About, Outcome};
use crate::session::recover::{self, describe};
use crate::session::site::{Places, short_accounts};
use crate::session::{Mode, Session};
use crate::words::{count, number, visible_but};
use crate::{run, screen, state, table};

/// `iamlua runs`.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub struct RunsCommand {
    #[command(subcommand)]
    command: Option<RunsSubcommand>,
    #[command(flatten)]
    list: ListOptions,
}

#[derive(Debug, Subcommand)]
enum RunsSubcommand {
    /// List the latest runs that changed something.
    List(ListOptions),
    /// Show what a run changed, where, by whom, and what failed.
    Show {
        /// The run, by its id, the beginning or end of that, or `last`.
        run: String,
        /// Show every change in a line of its own.
        #[arg(long)]
        full: bool,
        /// How it is written: table or json.
        #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
        output: OutputFormat,
    },
    /// Find out whether the changes happened that a run left in doubt: it was killed, or answers got lost.
    Recover(Box<RecoverCommand>),
}

#[derive(Args, Debug)]
struct ListOptions {
    /// So many, the latest first.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How they are written.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
}

#[derive(Args, Debug)]
struct RecoverCommand {
    /// The run, by its id, the beginning or end of that, or `last`.
    run: String,
    /// How old a change must be before it counts that the account does not show it: IAM is eventually consistent.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = recover::PATIENCE)]
    settle_after: Duration,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    limits: LimitOptions,
}

impl RunsCommand {
    /// Carries the command out.
    pub fn execute(self) -> Result<u8> {
        match self.command {
            None => list(&self.list),
            Some(RunsSubcommand::List(options)) => list(&options),
            Some(RunsSubcommand::Show { run, full, output }) => show(&run, full, output),
            Some(RunsSubcommand::Recover(command)) => command.execute(),
        }
    }
}

fn date(milliseconds: i64) -> String {
    let at = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    Timestamp::from_second(at.as_second()).unwrap_or_default().to_string()
}

fn json_of(run: &Run) -> Result<serde_json::Value> {
    let mut json =
        serde_json::to_value(run).map_err(|error| Error::new(Kind::Bug, error.to_string()))?;
    json["started"] = date(run.started).into();
    json["ended"] = run.ended.map(date).into();
    Ok(json)
}

fn print(text: &str) -> Result<u8> {
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to standard output", error))
        }
        _ => Ok(0),
    }
}

fn list(options: &ListOptions) -> Result<u8> {
    let records = Records::open(&state::folder()?)?;
    let runs = match &records {
        Some(records) => records.runs(options.limit as usize)?,
        None => Vec::new(),
    };
    match options.output {
        OutputFormat::Json => {
            let all: Vec<_> = runs.iter().map(json_of).collect::<Result<_>>()?;
            print(&format!("{:#}\n", serde_json::Value::from(all)))
        }
        OutputFormat::Jsonl => {
            let lines: Result<String> =
                runs.iter().map(|run| Ok(format!("{}\n", json_of(run)?))).collect();
            print(&lines?)
        }
        OutputFormat::Table | OutputFormat::Csv => {
            if runs.is_empty() {
                screen::say("nothing was changed yet");
                return Ok(0);
            }
            let heads =
                ["RUN", "STARTED", "WHAT", "WHERE", "BY", "CHANGES", "STATUS"].map(String::from);
            let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
            if matches!(options.output, OutputFormat::Csv) {
                let mut csv = csv::Writer::from_writer(Vec::new());
                let failed = |error: csv::Error| Error::new(Kind::Bug, error.to_string());
                csv.write_record(&heads).map_err(failed)?;
                for row in &rows {
                    csv.write_record(row).map_err(failed)?;
                }
                let text =
                    csv.into_inner().map_err(|error| Error::new(Kind::Bug, error.to_string()))?;
                return print(&String::from_utf8_lossy(&text));
            }
            let right = [false, false, false, false, false, true, false];
            print(&table::render(&heads, &rows, &right, run::terminal_width()))
        }
    }
}

fn row(run: &Run) -> Vec<String> {
    let mut status = run.status.clone();
    if run.counts.in_doubt > 0 && run.status != "running" {
        let _ = write!(status, ", {} in doubt", run.counts.in_doubt);
    }
    if run.counts.undone > 0 {
        status.push_str(if run.counts.standing == 0 { ", undone" } else { ", undone in part" });
    }
    let mut changes = number(run.counts.done);
    if run.counts.failed > 0 {
        let _ = write!(changes, ", {} failed", number(run.counts.failed));
    }
    vec![
        run.id.clone(),
        date(run.started),
        what(run),
        short_accounts(&run.sites),
        run.operator.clone(),
        changes,
        status,
    ]
}

fn what(run: &Run) -> String {
    match (&run.undoes, &run.script) {
        (Some(undone), _) => format!("undo {undone}"),
        (None, Some(script)) => format!("{} {}", run.command, shortened(script)),
        (None, None) => run.command.clone(),
    }
}

/// A script's path as one would type it here.
fn shortened(script: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    match std::path::Path::new(script).strip_prefix(here) {
        Ok(below) => below.display().to_string(),
        Err(_) => script.to_owned(),
    }
}

fn show(id: &str, full: bool, output: OutputFormat) -> Result<u8> {
    let missing = |error| not_in_the_journal(id, error);
    let records = Records::open(&state::folder()?)?.ok_or_else(|| missing(no_run(id)))?;
    let run = records.run(id).map_err(missing)?;
    let changes = records.changes(&run.id)?;
    if matches!(output, OutputFormat::Csv) {
        return Err(Error::usage("a run is shown as a table or as JSON"));
    }
    if !matches!(output, OutputFormat::Table) {
        let mut json = json_of(&run)?;
        json["changes"] = serde_json::to_value(&changes)
            .map_err(|error| Error::new(Kind::Bug, error.to_string()))?;
        for change in json["changes"].as_array_mut().into_iter().flatten() {
            for moment in ["started", "ended"] {
                change[moment] = change[moment].as_i64().map(date).into();
            }
        }
        return print(&format!("{json:#}\n"));
    }
    print(&describe_run(&run, &changes, full))
}

fn describe_run(run: &Run, changes: &[Recorded], full: bool) -> String {
    let mut text = format!("run {}: {}\n", run.id, run.status);
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
        let time = Duration::from_millis(u64::try_from(ended - run.started).unwrap_or_default());
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
    let undone: std::collections::BTreeSet<_> =
        changes.iter().filter_map(|change| change.undone.as_ref()).collect();
    for by in undone {
        field("undone by", by.clone());
    }
    let places = Places::of(&run.sites);
    for (title, outcome) in
        [("done", Some(Outcome::Done)), ("failed", Some(Outcome::Failed)), ("in doubt", None)]
    {
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
            .map(|change| Shown::recorded(change, places.account(change.site)))
            .collect();
        let (all, accounts) = (count(these.len() as u64, "change"), plan_text::places(&shown));
        let _ = writeln!(text, "\n{title}: {all}{accounts}");
        if outcome == Some(Outcome::Done) {
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
    text
}

/// Parameters of a script in words: `owner=ops days=30`; `None` if there are none.
pub(super) fn parameters(parameters: &serde_json::Value) -> Option<String> {
    let parameters = parameters.as_object().filter(|parameters| !parameters.is_empty())?;
    let plain =
        |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown = parameters.iter().map(|(name, value)| format!("{name}={}", plain(value)));
    Some(shown.collect::<Vec<_>>().join(" "))
}

impl RecoverCommand {
    fn execute(self) -> Result<u8> {
        let records = Records::open(&state::folder()?)?.ok_or_else(|| no_run(&self.run))?;
        let earlier = records.run(&self.run)?;
        if earlier.counts.in_doubt == 0 && earlier.status != "running" {
            records.close(&earlier.id)?;
            screen::say(&format!("nothing of run {} is in doubt", earlier.id));
            return Ok(0);
        }
        let target = self.target.resolve()?;
        let runtime = run::runtime()?;
        let _entered = runtime.enter();
        let session = Session::with(target.rules(Mode::ReadOnly, &self.limits, About::default()));
        let gates = target.gates(&session, &earlier.sites);
        let findings = runtime.block_on(async {
            check_accounts(&earlier.sites, &gates).await?;
            recover::recover(&records, &earlier, &gates, self.settle_after).await
        });
        runtime.shutdown_background();
        let findings = findings?;
        let mut unclear = 0;
        let places = Places::of(&earlier.sites);
        for finding in &findings {
            let verdict = match &finding.verdict {
                Verdict::Happened => "happened".to_owned(),
                Verdict::NotHappened => "did not happen".to_owned(),
                Verdict::MovedOn(differences) => {
                    unclear += 1;
                    format!(
                        "cannot be told, because the account has changed since: {}",
                        describe(differences, "after the change")
                    )
                }
            };
            let change = &finding.change;
            let shown = Shown::recorded(change, places.account(change.site));
            print(&format!("{}: {verdict}\n", plan_text::line(&shown)))?;
        }
        if unclear > 0 {
            return Err(Error::new(
                Kind::State,
                format!("{} still in doubt", count(unclear, "change")),
            )
            .hint("look at the account, and decide what should be there"));
        }
        Ok(0)
    }
}
