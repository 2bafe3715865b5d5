//! Reports of findings: text for people, JSON, and SARIF 2.1.0 for code scanning.

use std::fmt::Write;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value as Json, json};

use super::findings::{Finding, Rule, Severity};
use crate::escape;
use crate::ui::terminal::{ERROR, HINT};

/// Style of `warning:`.
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Largest number of columns of a line that is shown.
const WIDTH: usize = 100;
/// Characters of a path that a URI writes as `%XX`.
const IN_URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b':');

/// Result of a check.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Findings, by file and position.
    pub findings: Vec<Finding>,
    /// Number of files that were checked.
    pub files: usize,
}

impl Report {
    /// Number of findings of that severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Report for people, with styles.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            write_finding(&mut text, finding);
            text.push('\n');
        }
        let _ = writeln!(text, "{}", self.summary());
        text
    }

    /// Number of findings and files, in words.
    fn summary(&self) -> String {
        let number = |count: usize, one: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {one}s"),
        };
        let files = number(self.files, "file");
        let (errors, warnings) = (self.count(Severity::Error), self.count(Severity::Warning));
        match (errors, warnings) {
            (0, 0) => format!("no findings in {files}"),
            (errors, 0) => format!("{} in {files}", number(errors, "error")),
            (0, warnings) => format!("{} in {files}", number(warnings, "warning")),
            (errors, warnings) => format!(
                "{} and {} in {files}",
                number(errors, "error"),
                number(warnings, "warning")
            ),
        }
    }

    /// Array of findings.
    #[must_use]
    pub fn json(&self) -> String {
        let finding = |one: &Finding| {
            json!({
                "path": one.path.to_string_lossy(),
                "line": one.start.line,
                "column": one.start.column,
                "end_line": one.end.line,
                "end_column": one.end.column,
                "severity": one.severity.name(),
                "rule": one.rule.name(),
                "message": one.message,
                "hint": Some(&one.hint).filter(|hint| !hint.is_empty()),
            })
        };
        let findings: Vec<_> = self.findings.iter().map(finding).collect();
        format!("{:#}\n", Json::Array(findings))
    }

    /// SARIF 2.1.0.
    #[must_use]
    pub fn sarif(&self) -> String {
        let rules: Vec<_> = Rule::ALL
            .iter()
            .map(|rule| {
                json!({
                    "id": rule.name(),
                    "shortDescription": { "text": rule.text() },
                    "help": { "text": format!("docs/check.md describes the rule {}.", rule.name()) },
                })
            })
            .collect();
        let results: Vec<_> = self.findings.iter().map(sarif_result).collect();
        let log = json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": {
                    "driver": {
                        "name": "iamlua",
                        "version": env!("CARGO_PKG_VERSION"),
                        "rules": rules,
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": results,
            }],
        });
        format!("{log:#}\n")
    }
}

fn sarif_result(finding: &Finding) -> Json {
    let index = Rule::ALL.iter().position(|rule| *rule == finding.rule);
    let text = if finding.hint.is_empty() {
        finding.message.clone()
    } else {
        format!("{} ({})", finding.message, finding.hint)
    };
    json!({
        "ruleId": finding.rule.name(),
        "ruleIndex": index,
        "level": finding.severity.name(),
        "message": { "text": text },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": uri(&finding.path) },
                "region": {
                    "startLine": finding.start.line,
                    "startColumn": finding.start.column,
                    "endLine": finding.end.line,
                    "endColumn": finding.end.column,
                },
            }
        }],
    })
}

/// Path as a URI reference, relative if the path is.
fn uri(path: &Path) -> String {
    let text = path.to_string_lossy();
    let encoded = utf8_percent_encode(&text, IN_URI).to_string();
    if path.is_absolute() { format!("file://{encoded}") } else { encoded }
}

fn write_finding(text: &mut String, finding: &Finding) {
    let style = match finding.severity {
        Severity::Error => ERROR,
        Severity::Warning => WARNING,
    };
    let plain = |text: &str| escape::visible(text);
    let _ = writeln!(
        text,
        "{style}{}:{style:#} {}:{}:{}: {} [{}]",
        finding.severity.name(),
        plain(&finding.path.to_string_lossy()),
        finding.start.line,
        finding.start.column,
        plain(&finding.message),
        finding.rule.name(),
    );
    if !finding.line.trim().is_empty() {
        let (line, before, width) = excerpt(finding);
        let gutter = finding.start.line.to_string();
        let blank = " ".repeat(gutter.len());
        let _ = writeln!(text, "  {gutter} | {line}");
        let carets = "^".repeat(width);
        let _ = writeln!(text, "  {blank} | {}{style}{carets}{style:#}", " ".repeat(before));
    }
    if !finding.hint.is_empty() {
        let _ = writeln!(text, "{HINT}hint:{HINT:#} {}", plain(&finding.hint));
    }
}

/// The part of the line that is shown, the columns before what is marked, and those that are.
fn excerpt(finding: &Finding) -> (String, usize, usize) {
    let chars: Vec<char> = finding.line.chars().collect();
    let start = (finding.start.column - 1).min(chars.len());
    let end = if finding.end.line == finding.start.line {
        (finding.end.column - 1).clamp(start, chars.len())
    } else {
        chars.len()
    };
    // Indentation says nothing here, and a long line is cut around the position.
    let indent = chars.iter().take(start).take_while(|c| c.is_whitespace()).count();
    let from = if start - indent > WIDTH * 3 / 4 { start - WIDTH / 2 } else { indent };
    let to = (from + WIDTH).min(chars.len());
    let shown = |part: &[char]| {
        let text: String = part.iter().map(|c| if *c == '\t' { ' ' } else { *c }).collect();
        escape::visible(&text)
    };
    let columns = |part: &[char]| textwrap::core::display_width(&shown(part));
    let (head, tail) = (from > indent, to < chars.len());
    let line = format!(
        "{}{}{}",
        if head { "…" } else { "" },
        shown(&chars[from..to]).trim_end(),
        if tail { "…" } else { "" }
    );
    let before = columns(&chars[from..start.min(to)]) + usize::from(head);
    let width = columns(&chars[start.min(to)..end.min(to).max(start.min(to))]).max(1);
    (line, before, width)
}
