//! `iamlua show`: a saved plan, for its approval.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Parser;

use super::complete;
use super::options::OutputFormat;
use super::output;
use super::plan_file::PlanFile;
use super::runs::parameters;
use crate::app::run::{self, Planning};
use crate::app::{plan_markdown, plan_text};
use crate::error::{Error, Result};
use crate::escape::visible;
use crate::session::plan::Plan;

/// `iamlua show`.
#[derive(Debug, Parser)]
pub struct ShowCommand {
    /// Plan file made by `iamlua plan -o`, or `-` for standard input.
    #[arg(add = complete::plans())]
    plan: PathBuf,
    /// Show each change on its own line instead of grouping similar ones.
    #[arg(long)]
    full: bool,
    /// Print Markdown, for a pull request.
    #[arg(long, conflicts_with = "output")]
    markdown: bool,
    /// Format: table, json, or jsonl for a change a line.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT")]
    output: OutputFormat,
}

impl ShowCommand {
    /// Shows the plan.
    pub fn execute(self) -> Result<u8> {
        let file = PlanFile::read(&self.plan)?;
        let plan = file.plan()?;
        if self.markdown {
            return output::print(&plan_markdown::plan(&plan, &file.sha256(), self.full));
        }
        match self.output {
            OutputFormat::Csv => Err(Error::usage("a plan is shown as a table or as JSON")
                .hint("--output json, or jsonl for a change a line")),
            OutputFormat::Table => output::print(&text(&file, &plan, self.full)),
            OutputFormat::Json | OutputFormat::Jsonl => {
                let planning = Planning { is_result: true, ..Planning::default() };
                run::print_plan(&plan, &planning, self.output.into()).map(|()| 0)
            }
        }
    }
}

/// Text of the plan, with its origin.
fn text(file: &PlanFile, plan: &Plan, full: bool) -> String {
    let mut text = format!("plan {}\n", visible(&plan.id));
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<11}{}", visible(value));
    };
    field("file", &file.name());
    field("sha256", &file.sha256());
    field("created", &plan.created);
    if let Some((script, hash)) = &plan.script {
        let first: String = hash.chars().take(12).collect();
        field("script", &format!("{script}, sha256 {first}"));
    }
    if let Some(shown) = plan.parameters.as_ref().and_then(parameters) {
        field("parameters", &shown);
    }
    if let Some(scanned) = plan.scanned {
        field("usage scan", &scanned.to_string());
    }
    if let Some(run) = &plan.undoes {
        field("undoes", &format!("run {run}"));
    }
    if plan.incomplete.is_some() {
        field("incomplete", "the script did not run to its end");
    }
    text + "\n" + &plan_text::plan(plan, full)
}
