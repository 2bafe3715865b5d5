//! `iamlua watch`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::complete;
use super::options::duration;
use super::run::RunOptions;
use crate::error::Result;
use crate::watch::{self, OnBusy, WatchSettings};

/// `iamlua watch`.
#[derive(Debug, Parser)]
#[command(mut_arg("out", |arg| arg.hide(true)), mut_arg("detailed_exitcode", |arg| arg.hide(true)))]
#[command(
    after_help = "At a terminal: r runs all again, p pauses or goes on, d shows what is different from the last run, q quits."
)]
pub struct WatchCommand {
    /// Scripts, or folders of runbooks. Runbooks added later are picked up.
    #[arg(value_name = "PATH", required = true, add = complete::runbooks())]
    paths: Vec<PathBuf>,
    /// Quiet period after the last change before a run.
    #[arg(long, hide_short_help = true, value_parser = duration, default_value = "50ms", value_name = "TIME", help_heading = "Watching")]
    debounce: Duration,
    /// Reaction to a change during a run.
    ///
    /// `queue` runs once more afterwards. Calls in flight are always finished.
    #[arg(long, value_enum, default_value_t = Busy::Queue, value_name = "HOW", help_heading = "Watching")]
    on_busy: Busy,
    /// Clear the screen before each run.
    #[arg(long, help_heading = "Watching")]
    clear: bool,
    /// Wait for the first change before running.
    #[arg(long, help_heading = "Watching")]
    postpone: bool,
    /// Exit after one round of runs.
    ///
    /// The exit code is the highest of them. With --postpone it is the round of the first change.
    #[arg(long, help_heading = "Watching")]
    once: bool,
    #[command(flatten)]
    run: RunOptions,
    /// Arguments of each script.
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// `--on-busy`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Busy {
    Queue,
    Restart,
    Ignore,
}

impl WatchCommand {
    /// Watches until the end is requested.
    pub fn execute(self) -> Result<u8> {
        self.run.refuse_plan_file()?;
        watch::run(WatchSettings {
            run: self.run.resolve("watch", None, false)?,
            paths: self.paths,
            // A leading `--` marks all of them as arguments of the script.
            args: std::iter::once("--".to_owned()).chain(self.args).collect(),
            debounce: self.debounce,
            on_busy: match self.on_busy {
                Busy::Queue => OnBusy::Queue,
                Busy::Restart => OnBusy::Restart,
                Busy::Ignore => OnBusy::Ignore,
            },
            clear: self.clear,
            postpone: self.postpone,
            once: self.once,
        })
    }
}
