//! `iamlua watch`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

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
    /// Scripts; or folders, whose runbooks run each on its own, those that come later too.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Run once nothing has changed for this time.
    #[arg(long, value_parser = duration, default_value = "50ms", value_name = "TIME", help_heading = "Watching")]
    debounce: Duration,
    /// What becomes of changes while the script runs: it runs once more afterwards, is stopped and
    /// runs again, or they are forgotten. Calls in flight are always finished.
    #[arg(long, value_enum, default_value_t = Busy::Queue, value_name = "HOW", help_heading = "Watching")]
    on_busy: Busy,
    /// Clear the screen before each run.
    #[arg(long, help_heading = "Watching")]
    clear: bool,
    /// Run nothing at the start; the first change starts it.
    #[arg(long, help_heading = "Watching")]
    postpone: bool,
    /// End after one round of runs, with the worst of their exit codes; with --postpone, after the
    /// first change.
    #[arg(long, help_heading = "Watching")]
    once: bool,
    #[command(flatten)]
    run: RunOptions,
    /// The arguments of each script.
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
