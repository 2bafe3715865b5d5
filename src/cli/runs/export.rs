//! `iamlua runs export`: runs as JSON lines, for an archive or another program.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::super::complete;
use super::super::options::duration;
use super::prune::before;
use super::{json_of, json_of_change};
use crate::error::{Error, Kind, Result};
use crate::escape;
use crate::session::journal::records::{Records, Run, no_run};
use crate::ui::format::count;
use crate::ui::terminal;
use crate::{files, state};

#[derive(Args, Debug)]
pub struct ExportCommand {
    /// Ids of the runs. Default: all.
    #[arg(add = complete::runs(|_| true))]
    runs: Vec<String>,
    /// Only runs that ended longer ago than this, such as 400d.
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "runs")]
    older_than: Option<Duration>,
    /// File to write; `-` is standard output. A new file is readable by its owner only.
    #[arg(long, short = 'o', value_name = "FILE", default_value = "-")]
    out: PathBuf,
}

impl ExportCommand {
    /// Writes the lines.
    pub fn execute(&self) -> Result<u8> {
        let records = Records::open(&state::folder()?)?;
        let runs = match &records {
            Some(records) => self.selected(records)?,
            None if self.runs.is_empty() => Vec::new(),
            None => return Err(no_run(&self.runs[0])),
        };
        let mut failure = None;
        let written = files::write_whole_with(&self.out, files::PRIVATE, |out| {
            for run in &runs {
                let lines = match &records {
                    Some(records) => lines(records, run),
                    None => Ok(String::new()),
                };
                match lines {
                    Ok(lines) => out.write_all(lines.as_bytes())?,
                    Err(error) => {
                        failure = Some(error);
                        return Err(std::io::ErrorKind::InvalidData.into());
                    }
                }
            }
            Ok(())
        });
        match (failure, written) {
            (Some(error), _) => return Err(error),
            (None, Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(0),
            (None, Err(error)) => {
                return Err(Error::io(format!("cannot write {}", self.out.display()), error));
            }
            (None, Ok(())) => {}
        }
        if !files::is_output(&self.out) {
            let word = crate::app::run::quoted(&self.out.display().to_string());
            terminal::say(&format!("{} written to {word}", count(runs.len() as u64, "run")));
        }
        Ok(0)
    }

    /// Selected runs, the earliest first.
    fn selected(&self, records: &Records) -> Result<Vec<Run>> {
        if self.runs.is_empty() {
            return match self.older_than {
                Some(age) => records.runs_before(before(age)?),
                None => records.runs_before(i64::MAX),
            };
        }
        let mut runs: Vec<Run> =
            self.runs.iter().map(|id| records.run(id)).collect::<Result<_>>()?;
        runs.sort_by(|one, other| one.id.cmp(&other.id));
        runs.dedup_by(|one, other| one.id == other.id);
        Ok(runs)
    }
}

fn lines(records: &Records, run: &Run) -> Result<String> {
    let mut lines = String::new();
    let mut push = |kind: &str, value: serde_json::Value| -> Result<()> {
        let mut line = serde_json::Map::from_iter([("type".to_owned(), kind.into())]);
        if kind != "run" {
            line.insert("run".into(), run.id.clone().into());
        }
        let serde_json::Value::Object(fields) = value else {
            return Err(Error::new(Kind::Bug, format!("a {kind} is no object")));
        };
        line.extend(fields);
        lines.push_str(&escape::printable_json(&serde_json::Value::Object(line).to_string()));
        lines.push('\n');
        Ok(())
    };
    push("run", json_of(run)?)?;
    for change in records.changes(&run.id)? {
        push("change", json_of_change(&change)?)?;
    }
    for left_out in records.left_out(&run.id)? {
        push("left_out", json!(left_out))?;
    }
    Ok(lines)
}
