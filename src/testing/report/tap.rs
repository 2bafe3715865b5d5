//! Test results in the Test Anything Protocol, version 13
//! (<https://testanything.org/tap-version-13-specification.html>): one test point per test,
//! failures in YAML blocks, the plan at the end.
//!
//! Consumers of version 14 accept version 13, but not the other way round. Version 13 has no
//! escapes, so a sign that either takes for more than text is written in its full-width form.

use std::fmt::Write;

use super::indented;
use crate::testing::{FileReport, Report, TestFailure, TestResult};

/// First line.
pub const HEADER: &str = "TAP version 13\n";

/// Test points of a file; `before` is the number of earlier ones.
#[must_use]
pub fn file(report: &FileReport, before: usize) -> String {
    let mut text = String::new();
    let mut number = before;
    let mut point = |text: &mut String, word: &str, name: &str, directive: &str| {
        number += 1;
        let _ = writeln!(text, "{word} {number} - {}{directive}", description(name));
    };
    let file = report.path.display();
    if let Some(failure) = &report.failure {
        point(&mut text, "not ok", &file.to_string(), "");
        text.push_str(&diagnostics(failure, report.took.as_secs_f64(), &report.output));
    }
    for test in &report.tests {
        let name = format!("{file} › {}", test.name);
        match &test.verdict {
            TestResult::Passed | TestResult::Listed => point(&mut text, "ok", &name, ""),
            TestResult::Skipped(why) => point(&mut text, "ok", &name, &format!(" # SKIP {why}")),
            TestResult::Failed(failure) => {
                point(&mut text, "not ok", &name, "");
                text.push_str(&diagnostics(failure, test.took.as_secs_f64(), &test.output));
            }
        }
    }
    text
}

/// Plan, or the reason for the abort.
#[must_use]
pub fn end(report: &Report) -> String {
    let all = report.counts().all();
    match (report.is_interrupted, all) {
        (true, _) => "Bail out! interrupted\n".into(),
        (false, 0) => "1..0 # SKIP no test was found\n".into(),
        (false, all) => format!("1..{all}\n"),
    }
}

/// Name in one line. A `#` would begin a directive, and a `{` at the end a subtest.
fn description(name: &str) -> String {
    let one_line = name.split(['\n', '\r']).collect::<Vec<_>>().join(" ");
    let text = one_line.replace('#', "\u{ff03}");
    match text.trim_end().strip_suffix('{') {
        Some(start) => format!("{start}\u{ff5b}"),
        None => text,
    }
}

fn diagnostics(failure: &TestFailure, seconds: f64, output: &str) -> String {
    let mut yaml = format!("message: {}\nseverity: fail\n", quoted(&failure.summary()));
    if let Some((file, line)) = failure.place.as_deref().and_then(|place| place.rsplit_once(':')) {
        let _ = write!(yaml, "at:\n  file: {}\n  line: {line}\n", quoted(file));
    }
    let _ = writeln!(yaml, "duration_ms: {:.3}", seconds * 1e3);
    let details = super::junit::details(failure);
    for (name, text) in [("details", details.as_str()), ("output", output)] {
        if !text.is_empty() {
            let _ = writeln!(yaml, "{name}: {}", quoted(text));
        }
    }
    format!("  ---\n{}  ...\n", indented(&yaml, "  "))
}

/// Text as a YAML string in double quotes, which has the syntax of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
