//! Test results for people: a line per file, details of failures, and a summary. The text has ANSI
//! styles, which the caller strips if there is no terminal.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::{indented, visible};
use crate::testing::{FileReport, Report, Test, TestCounts, TestFailure, TestResult};
use crate::ui::format::{number, time};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const ASIDE: Style = AnsiColor::Yellow.on_default();
const STRONG: Style = Style::new().bold();

fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

fn words_of(counts: TestCounts) -> String {
    let parts = [
        (counts.passed, "passed", GOOD),
        (counts.failed, "failed", BAD),
        (counts.skipped, "skipped", ASIDE),
        (counts.listed, "listed", GOOD),
    ];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(n, ..)| *n > 0)
        .map(|(n, word, style)| styled(style, &format!("{} {word}", number(n as u64))))
        .collect();
    if parts.is_empty() { "no tests".into() } else { parts.join(", ") }
}

/// Report of a file: its line, and its failures. `shows_output` adds the output of passed tests.
#[must_use]
pub fn file(report: &FileReport, shows_output: bool) -> String {
    let counts = report.counts();
    if counts.all() == 0 {
        return String::new();
    }
    let sign = if counts.failed > 0 { styled(BAD, "✗") } else { styled(GOOD, "✓") };
    let mut text = format!("{sign} {}  {}\n", report.path.display(), words_of(counts));
    let mut details = String::new();
    if let Some(failure) = &report.failure {
        add_failure(&mut details, "the file", failure, &report.output);
    } else if shows_output {
        add_output(&mut details, "while the file was read", &report.output);
    }
    for test in &report.tests {
        match &test.verdict {
            TestResult::Failed(failure) => {
                add_failure(&mut details, &test.name, failure, &test.output);
            }
            _ if shows_output => add_output(&mut details, &test.name, &test.output),
            _ => {}
        }
    }
    if !details.is_empty() {
        let _ = write!(text, "\n{details}");
    }
    text
}

fn add_output(text: &mut String, what: &str, output: &str) {
    if !output.is_empty() {
        let _ = write!(
            text,
            "  {}\n    printed:\n{}\n",
            styled(STRONG, what),
            indented(&visible(output), "      ")
        );
    }
}

fn add_failure(text: &mut String, name: &str, failure: &TestFailure, output: &str) {
    let _ = writeln!(text, "  {} {}", styled(BAD, "✗"), styled(STRONG, name));
    if let Some(place) = &failure.place {
        let _ = writeln!(text, "    {place}");
    }
    for line in visible(&failure.message).lines() {
        let line = match line.as_bytes().first_chunk() {
            Some(b"- ") => styled(BAD, line),
            Some(b"+ ") => styled(GOOD, line),
            _ => line.to_owned(),
        };
        text.push_str(&indented(&line, "    "));
    }
    if let Some(traceback) = &failure.traceback {
        let _ = write!(text, "    traceback:\n{}", indented(&visible(traceback), "    "));
    }
    for hint in &failure.hints {
        match hint.strip_prefix('\n') {
            Some(block) => text.push_str(&indented(&visible(block), "    ")),
            None => text.push_str(&indented(&format!("hint: {}", visible(hint)), "    ")),
        }
    }
    if !output.is_empty() {
        let _ = write!(text, "    printed:\n{}", indented(&visible(output), "      "));
    }
    text.push('\n');
}

/// Summary in the last line.
#[must_use]
pub fn summary(report: &Report) -> String {
    let counts = report.counts();
    let interrupted = if report.is_interrupted { "interrupted: " } else { "" };
    format!("{interrupted}{} in {}\n", words_of(counts), time(report.took.as_secs_f64()))
}

/// List of the tests of a file, each with its place.
#[must_use]
pub fn list(report: &FileReport) -> String {
    let line = |test: &Test| format!("{}: {}\n", test.place, test.name);
    report.tests.iter().map(line).collect()
}
