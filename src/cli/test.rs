//! `iamlua test`: test runner for scripts.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::options::duration;
use super::output::print;
use super::run::{self, GrantOptions};
use crate::app::signals;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::testing::report::{human, junit, tap};
use crate::testing::{self, FileReport, Interrupt, Report, TestSettings};

/// `iamlua test`.
#[derive(Debug, Parser)]
#[allow(clippy::doc_markdown, reason = "what is said of the options is the help")]
pub struct TestCommand {
    /// Test files, or folders searched recursively for `*_test.lua`.
    #[arg(default_value = ".", value_name = "PATH", add = super::complete::runbooks())]
    paths: Vec<PathBuf>,
    /// Run only tests whose full name ("tags › are set") contains this.
    #[arg(long, short, value_name = "TEXT")]
    filter: Option<String>,
    /// Number of files to run concurrently. Default: the number of processors.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Time limit of a test: 90s, 15m.
    #[arg(long, value_parser = some_time, default_value = "60s", value_name = "TIME")]
    timeout: Duration,
    /// Replication lag of reads, as on AWS: 2s. Tests can change it with `account.faults`.
    #[arg(long, value_parser = duration, default_value = "0s", value_name = "TIME")]
    lag: Duration,
    /// Output format: for people, TAP, or JUnit XML.
    #[arg(long, value_enum, default_value_t = ReportFormat::Human, value_name = "FORMAT")]
    output: ReportFormat,
    /// Write the results to this file, and the human-readable form to standard output. `-` is
    /// standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Show the output of passing tests too.
    #[arg(long)]
    show_output: bool,
    /// List tests without running them.
    #[arg(long, conflicts_with_all = ["output", "out", "show_output"])]
    list: bool,
    #[command(flatten)]
    grants: GrantOptions,
}

/// `--output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    Human,
    Tap,
    Junit,
}

/// Parses a duration that is more than zero and that can be waited for.
fn some_time(text: &str) -> std::result::Result<Duration, String> {
    const MAX_TIME: Duration = Duration::from_hours(365 * 24);
    match duration(text)? {
        Duration::ZERO => Err("no test can be done in no time; give it some, such as 60s".into()),
        time if time > MAX_TIME => Err("it is longer than a year".into()),
        time => Ok(time),
    }
}

fn cannot_write(out: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot write the results {}", out.display()), error)
}

impl TestCommand {
    /// Runs the tests.
    pub fn execute(self) -> Result<u8> {
        let defaults = TestSettings::default();
        let options = TestSettings {
            filter: self.filter.clone(),
            jobs: self.jobs.map_or(defaults.jobs, usize::from),
            timeout: self.timeout,
            list: self.list,
            reserved: run::reserved(),
            lag: self.lag,
            permissions: self.grants.permissions()?,
            ..defaults
        };
        let found = testing::find(&self.paths)?;
        // Standard output is the default destination.
        let this = Self { out: self.out.clone().filter(|out| !files::is_output(out)), ..self };
        this.run(&found, &options)
    }

    fn run(&self, found: &[PathBuf], options: &TestSettings) -> Result<u8> {
        if let Some(out) = &self.out {
            files::check_writable(out).map_err(|error| cannot_write(out, error))?;
        }
        let interrupt = Interrupt::default();
        let own = interrupt.clone();
        signals::tell_on_signals(move || own.stop())?;
        let shown = if self.out.is_some() { ReportFormat::Human } else { self.output };
        if shown == ReportFormat::Tap {
            print(tap::HEADER)?;
        }
        let mut points = 0;
        let report = testing::run(found, options, &interrupt, |file| {
            let text = self.file(shown, file, points);
            points += file.counts().all();
            print(&text).map(drop)
        })?;
        print(&self.end(shown, &report)?)?;
        if let Some(out) = &self.out {
            files::write_whole(out, self.whole(&report)?.as_bytes())
                .map_err(|error| cannot_write(out, error))?;
        }
        let counts = report.counts();
        if report.is_interrupted {
            return Err(Error::new(Kind::Interrupted, "interrupted"));
        } else if counts.all() == 0 {
            return Err(testing::nothing_found(&self.paths, self.filter.as_deref()));
        } else if counts.skipped == counts.all() {
            return Err(Error::new(Kind::Script, "no test was run: all of them are skipped"));
        }
        Ok(u8::from(counts.failed > 0))
    }

    fn file(&self, output: ReportFormat, file: &FileReport, points: usize) -> String {
        match output {
            ReportFormat::Human if self.list && file.failure.is_none() => human::list(file),
            ReportFormat::Human => human::file(file, self.show_output),
            ReportFormat::Tap => tap::file(file, points),
            ReportFormat::Junit => String::new(),
        }
    }

    fn end(&self, output: ReportFormat, report: &Report) -> Result<String> {
        match output {
            ReportFormat::Human if self.list || report.counts().all() == 0 => Ok(String::new()),
            ReportFormat::Human => Ok(human::summary(report)),
            ReportFormat::Tap => Ok(tap::end(report)),
            ReportFormat::Junit => junit::report(report),
        }
    }

    /// Whole report, for a file.
    fn whole(&self, report: &Report) -> Result<String> {
        let mut text =
            if self.output == ReportFormat::Tap { tap::HEADER.to_owned() } else { String::new() };
        let mut points = 0;
        for file in &report.files {
            text.push_str(&self.file(self.output, file, points));
            points += file.counts().all();
        }
        text.push_str(&self.end(self.output, report)?);
        Ok(anstream::adapter::strip_str(&text).to_string())
    }
}
