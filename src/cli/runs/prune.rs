//! `iamlua runs prune`: removal of old runs from the journal.

use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::super::options::duration;
use super::date;
use crate::app::run;
use crate::error::{Error, Kind, Result};
use crate::session::journal::RunStatus;
use crate::session::journal::records::{Records, Run};
use crate::state;
use crate::ui::format::count;
use crate::ui::terminal;

#[derive(Args, Debug)]
pub struct PruneCommand {
    /// Age of the runs to remove, counted from their end, such as 400d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    older_than: Duration,
    /// Remove them without asking. Required where there is no terminal.
    #[arg(long, short = 'y')]
    yes: bool,
}

/// Time that lies `age` ago, in milliseconds since 1970.
pub fn before(age: Duration) -> Result<i64> {
    let too_long = |_| Error::usage("that is longer ago than time goes");
    let age = SignedDuration::try_from(age).map_err(too_long)?;
    let at = Timestamp::now().checked_sub(age).map_err(too_long)?;
    Ok(at.as_millisecond())
}

impl PruneCommand {
    /// Removes the runs, after a question.
    pub fn execute(&self) -> Result<u8> {
        let before = before(self.older_than)?;
        let Some(records) = Records::open(&state::folder()?)? else { return Ok(nothing()) };
        let is_settled = |run: &Run| run.counts.in_doubt == 0 && run.status != RunStatus::Running;
        let (old, kept): (Vec<_>, Vec<_>) =
            records.runs_before(before)?.into_iter().partition(is_settled);
        for run in kept.iter().filter(|run| run.counts.in_doubt > 0) {
            let id = &run.id;
            let changes = count(run.counts.in_doubt, "change");
            terminal::say(&format!(
                "run {id} stays: {changes} of it in doubt. Look them up with: iamlua runs recover {id}"
            ));
        }
        let (Some(first), Some(last)) = (old.first(), old.last()) else { return Ok(nothing()) };
        let changes: u64 = old.iter().map(|run| run.counts.done + run.counts.failed).sum();
        let what = format!(
            "{} with {}, from {} to {}",
            count(old.len() as u64, "run"),
            count(changes, "change"),
            date(first.started),
            date(last.started)
        );
        let question =
            format!("Remove {what} from the journal? They can then no longer be undone.");
        match run::confirm(&question, self.yes) {
            Some(true) => {}
            Some(false) => {
                return Err(Error::new(Kind::Refused, "not confirmed, so nothing was removed"));
            }
            None => {
                let refusal = format!("this removes {what}, and there is no terminal to ask at");
                return Err(Error::new(Kind::Refused, refusal).hint(
                    "--yes removes them without a question; `iamlua runs export` keeps a copy",
                ));
            }
        }
        let ids: Vec<_> = old.iter().map(|run| run.id.as_str()).collect();
        records.remove(&ids)?;
        terminal::say(&format!("removed {what}"));
        Ok(0)
    }
}

fn nothing() -> u8 {
    terminal::say("no run is that old");
    0
}
