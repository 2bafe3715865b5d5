//! `iamlua schedule`: scheduled runbooks.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};

use super::complete;
use super::executions::{HistoryCommand, ShowCommand};
use super::options::{LimitOptions, OutputFormat, TargetOptions, duration};
use super::output::{print_csv, print_json, print_table};
use super::run::{GrantOptions, LogLevel, ModeOptions, bytes, reserved};
use crate::app::run::{self, Planning, RunSettings};
use crate::error::{Error, Result};
use crate::lua::sandbox::Permissions;
use crate::lua::{Format, Show};
use crate::schedule::job_set::{Asking, JobSet, Listed};
use crate::schedule::listing::{self, List};
use crate::schedule::log::{self, Log};
use crate::schedule::status::Listen;
use crate::schedule::store::Store;
use crate::schedule::{Settings, run_now, serving};
use crate::session::SessionConfig;
use crate::session::journal::About;
use crate::state;
use crate::ui::table::{self, Column};
use crate::ui::terminal;

/// `iamlua schedule`.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ScheduleCommand {
    #[command(subcommand)]
    command: Option<ScheduleSubcommand>,
    /// List jobs with their next run and last outcome.
    ///
    /// Without PATH, all jobs known in the state folder.
    #[arg(long)]
    list: bool,
    /// List upcoming runs without running anything.
    #[arg(long, conflicts_with = "list")]
    dry_run: bool,
    /// Time span that --dry-run covers.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "24h", requires = "dry_run")]
    until: Duration,
    /// Output format of --list and --dry-run.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT", help_heading = "Output")]
    output: OutputFormat,
    /// Maximum number of concurrent jobs.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Limits")]
    jobs: u16,
    /// Grace period for running jobs at shutdown.
    #[arg(long, hide_short_help = true, value_name = "TIME", value_parser = duration, default_value = "25s", help_heading = "Limits")]
    grace: Duration,
    /// Log format.
    #[arg(long, hide_short_help = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT", help_heading = "Output")]
    log_format: LogFormat,
    /// Serve a status page and metrics at this address.
    ///
    /// The page, /metrics (Prometheus) and /healthz, at an address such as 127.0.0.1:9464.
    #[arg(long, value_name = "ADDRESS", help_heading = "Output")]
    listen: Option<Listen>,
    #[command(flatten)]
    options: JobOptions,
    /// Runbooks, or folders of runbooks.
    #[arg(value_name = "PATH", add = complete::runbooks())]
    paths: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum ScheduleSubcommand {
    /// Run one job now, whether or not it is due.
    ///
    /// Retries and `on_failure` work as in the scheduler.
    Run(Box<RunNowCommand>),
    /// List past executions and their outcomes.
    History(HistoryCommand),
    /// Show one execution: its changes and its output.
    Show(ShowCommand),
}

#[derive(Args, Debug)]
struct RunNowCommand {
    #[command(flatten)]
    options: JobOptions,
    /// Output format.
    #[arg(long, value_enum, default_value_t = OutputFormat::Table, value_name = "FORMAT", help_heading = "Output")]
    output: OutputFormat,
    /// Try only once, whatever `retries` in the manifest says.
    #[arg(long, help_heading = "Mode")]
    no_retry: bool,
    /// Job name or path.
    #[arg(add = complete::jobs())]
    name: String,
    /// Runbooks or folders to look in. Default: the jobs known in the state folder.
    #[arg(value_name = "PATH", add = complete::runbooks())]
    paths: Vec<PathBuf>,
}

/// Options of executions.
#[derive(Args, Clone, Debug)]
struct JobOptions {
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    limits: LimitOptions,
    #[command(flatten)]
    mode: ModeOptions,
    /// Answer yes to every question.
    ///
    /// Permissions still need their --allow-… flags.
    #[arg(long, short = 'y', help_heading = "Mode")]
    yes: bool,
    /// Minimum severity of messages, of jobs and of the scheduler.
    #[arg(long, hide_short_help = true, value_enum, default_value_t = LogLevel::Info, value_name = "LEVEL", help_heading = "Output")]
    log_level: LogLevel,
    /// Time limit of an execution: 90s, 15m, 2h.
    #[arg(long, value_parser = duration, value_name = "TIME", help_heading = "Limits")]
    timeout: Option<Duration>,
    /// Memory limit of an execution: 512M, 2G.
    #[arg(long, hide_short_help = true, value_parser = bytes, default_value = "1G", value_name = "SIZE", help_heading = "Limits")]
    max_memory: usize,
    #[command(flatten)]
    grants: GrantOptions,
    /// Run programs and write files even in plan mode, instead of listing them.
    #[arg(long, hide_short_help = true, help_heading = "Permissions")]
    plan_runs_programs: bool,
}

/// `--log-format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl JobOptions {
    fn resolve(&self, format: OutputFormat) -> Result<RunSettings> {
        let target = self.target.clone().resolve()?;
        target.announce();
        let about = About { command: "schedule".into(), ..About::default() };
        Ok(RunSettings {
            rules: SessionConfig {
                plan_runs_programs: self.plan_runs_programs,
                ..target.rules(target.mode(self.mode.given()), &self.limits, about)
            },
            planning: Planning::default(),
            permissions: self.grants.permissions()?,
            max_memory: self.max_memory,
            timeout: self.timeout.or(target.config.timeout),
            against: target.against,
            format: Format::from(format),
            show: Show::AtEnd,
            stats: false,
            yes: self.yes,
            log_level: self.log_level.name(),
            reserved: reserved(),
        })
    }

    fn log(&self, format: LogFormat) -> Log {
        let format = match format {
            LogFormat::Text => log::Format::Text,
            LogFormat::Json => log::Format::Json,
        };
        Log::new(format, self.log_level.level(), Box::new(io::stderr()))
    }
}

impl ScheduleCommand {
    /// Runs the command.
    pub fn execute(self) -> Result<u8> {
        match self.command {
            Some(ScheduleSubcommand::Run(command)) => return command.execute(),
            Some(ScheduleSubcommand::History(command)) => return command.execute(),
            Some(ScheduleSubcommand::Show(command)) => return command.execute(),
            None => {}
        }
        if self.list || self.dry_run {
            return self.look();
        }
        if self.paths.is_empty() {
            return Err(Error::usage("nothing is named that could be scheduled").hint(
                "name runbooks or folders with runbooks: `iamlua schedule jobs/`; `--list` shows what the state folder knows",
            ));
        }
        let options = self.options.clone();
        let (folder, resolved) = (state::folder()?, options.resolve(OutputFormat::Table)?);
        let show = match self.listen {
            Some(listen) => serving::page(listen, folder.clone(), &resolved),
            None => serving::nothing(),
        };
        crate::schedule::run(&Settings {
            paths: self.paths,
            places: self.jobs.into(),
            grace: self.grace,
            options: resolved,
            log: options.log(self.log_format),
            reread: Box::new(move || options.resolve(OutputFormat::Table)),
            folder,
            show,
        })
    }

    fn look(&self) -> Result<u8> {
        let folder = state::folder()?;
        let jobs = find(&self.paths, &folder, self.options.grants.permissions()?, false)?;
        let now = Timestamp::now();
        let list = if self.list {
            listing::jobs(&jobs, &folder, now)?
        } else {
            let until = SignedDuration::try_from(self.until).unwrap_or(SignedDuration::MAX);
            let until = now.saturating_add(until).unwrap_or(Timestamp::MAX);
            listing::dry_run(&jobs, &folder, now, until)?
        };
        if jobs.is_empty() {
            terminal::say(
                "there are no jobs: a job is a runbook with `schedule` or `every` in its manifest",
            );
        }
        show(&list, self.output)?;
        for (job, why) in &list.broken {
            terminal::say(&format!("{job} is broken: {why}"));
        }
        if list.is_cut {
            terminal::say("there is more; a shorter --until shows less");
        }
        Ok(u8::from(self.dry_run && !list.broken.is_empty()))
    }
}

impl RunNowCommand {
    fn execute(self) -> Result<u8> {
        let folder = state::folder()?;
        let options = self.options.resolve(self.output)?;
        let is_planned = options.rules.plans_outside();
        let jobs = find(&self.paths, &folder, options.permissions.clone(), is_planned)?;
        let (job, runbook) = run_now::find(&jobs, &self.name)?;
        let log = self.options.log(LogFormat::Text);
        run_now::run(job, &runbook, options, &folder, &log, !self.no_retry)
    }
}

/// Finds the jobs at these paths; without paths, those in the state folder.
fn find(
    paths: &[PathBuf],
    folder: &Path,
    permissions: Permissions,
    is_planned: bool,
) -> Result<Vec<Listed>> {
    let mut roster = if paths.is_empty() {
        let known = Store::open_existing(folder)?.map(|store| store.jobs()).transpose()?;
        let known = known.unwrap_or_default().into_iter().map(|(path, ..)| PathBuf::from(path));
        // A removed file is no job.
        JobSet::of_known(known.filter(|path| path.exists()).collect())
    } else {
        JobSet::new(paths)?
    };
    let runtime = run::runtime()?;
    let asking = Asking { permissions, is_planned, runtime: runtime.handle().clone() };
    roster.look(&asking, Duration::ZERO);
    runtime.shutdown_background();
    Ok(roster.jobs())
}

/// Column of a list by its heading. Times are left out first: the id of a run has its start.
fn column(head: &str) -> Column {
    let column = Column::new(head);
    match head {
        "STARTED" | "TOOK" | "LAST" | "DUE" => column.whole().of_importance(0),
        "CHANGES" => column.right().of_importance(1),
        "ERROR" | "WHY" => column.of_importance(2),
        "OUTCOME" => column.at_least(9).of_importance(3),
        "JOB" => column.at_least(12).of_importance(4),
        "SCHEDULE" => column.at_least(12).of_importance(2),
        _ => column.whole().of_importance(3),
    }
}

/// Prints a list.
pub(super) fn show(list: &List, output: OutputFormat) -> Result<u8> {
    match output {
        OutputFormat::Json => {
            print_json(&format!("{:#}\n", serde_json::Value::from(list.records.clone())))
        }
        OutputFormat::Jsonl => {
            let lines: Vec<_> = list.records.iter().map(ToString::to_string).collect();
            print_json(&lines.iter().flat_map(|line| [line, "\n"]).collect::<String>())
        }
        OutputFormat::Csv => print_csv(&list.heads, &list.rows),
        OutputFormat::Table if list.rows.is_empty() => Ok(0),
        OutputFormat::Table => {
            let columns: Vec<_> = list.heads.iter().map(|head| column(head)).collect();
            print_table(&table::render(&columns, &list.rows, run::terminal_width()))
        }
    }
}
