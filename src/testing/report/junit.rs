//! Test results as `JUnit` XML, in the form that Jenkins and GitLab read: a suite per file, a case
//! per test, `failure` for a failed test, `error` for a file that could not be loaded. The
//! strictest of the readers is the xUnit plugin of Jenkins, which has a schema, `junit-10.xsd`.

use std::fmt::Write as _;
use std::time::Duration;

use quick_xml::Writer;
use quick_xml::escape::escape;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesDecl, BytesText, Event};
use quick_xml::name::QName;

use crate::error::{Error, Result};
use crate::testing::{FileReport, Report, TestCounts, TestFailure, TestResult};

/// Report of all files.
///
/// # Errors
/// None that a caller could cause.
pub fn report(report: &Report) -> Result<String> {
    let failed = |error| Error::io("cannot write XML", error);
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None))).map_err(failed)?;
    let counts = report.counts();
    let errors = report.files.iter().filter(|file| file.failure.is_some()).count();
    writer
        .create_element("testsuites")
        .with_attribute(("name", "iamlua test"))
        // The outermost element has no number of skipped tests.
        .with_attributes(
            numbers(counts, errors, report.took).iter().filter(|n| n.0 != "skipped").map(pair),
        )
        .write_inner_content(|writer| {
            let mut files = report.files.iter().filter(|file| file.counts().all() > 0);
            files.try_for_each(|file| suite(writer, file))
        })
        .map_err(failed)?;
    let mut text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    text.push('\n');
    Ok(text)
}

type Numbers = [(&'static str, String); 5];

fn pair<'a>((name, value): &'a (&'static str, String)) -> (&'a str, &'a str) {
    (name, value)
}

fn seconds(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64())
}

fn numbers(counts: TestCounts, errors: usize, took: Duration) -> Numbers {
    [
        ("tests", counts.all().to_string()),
        ("failures", (counts.failed - errors).to_string()),
        ("errors", errors.to_string()),
        ("skipped", counts.skipped.to_string()),
        ("time", seconds(took)),
    ]
}

fn suite(writer: &mut Writer<Vec<u8>>, file: &FileReport) -> std::io::Result<()> {
    let name = file.path.display().to_string();
    let errors = usize::from(file.failure.is_some());
    writer
        .create_element("testsuite")
        .with_attribute(("name", &*legal(&name)))
        .with_attributes(numbers(file.counts(), errors, file.took).iter().map(pair))
        .with_attribute(("file", &*legal(&name)))
        .write_inner_content(|writer| {
            if let Some(failure) = &file.failure {
                let read =
                    Case { file: &name, name: "the file", took: file.took, output: &file.output };
                read.write(writer, Some(("error", failure)), None)?;
            }
            for test in &file.tests {
                let case =
                    Case { file: &name, name: &test.name, took: test.took, output: &test.output };
                match &test.verdict {
                    TestResult::Passed | TestResult::Listed => case.write(writer, None, None)?,
                    TestResult::Skipped(why) => case.write(writer, None, Some(why))?,
                    TestResult::Failed(failure) => {
                        case.write(writer, Some(("failure", failure)), None)?;
                    }
                }
            }
            Ok(())
        })?;
    Ok(())
}

struct Case<'a> {
    file: &'a str,
    name: &'a str,
    took: Duration,
    output: &'a str,
}

impl Case<'_> {
    fn write(
        &self,
        writer: &mut Writer<Vec<u8>>,
        failure: Option<(&str, &TestFailure)>,
        skipped: Option<&str>,
    ) -> std::io::Result<()> {
        let class = self.file.strip_suffix(".lua").unwrap_or(self.file).replace('/', ".");
        writer
            .create_element("testcase")
            .with_attribute(("classname", &*legal(&class)))
            .with_attribute(("name", &*legal(self.name)))
            .with_attribute(("time", &*seconds(self.took)))
            .write_inner_content(|writer| {
                if let Some((element, failure)) = failure {
                    let text = match &failure.place {
                        Some(place) => format!("{place}: {}", details(failure)),
                        None => details(failure),
                    };
                    writer
                        .create_element(element)
                        .with_attribute(Attribute {
                            key: QName("message"),
                            value: whole(&failure.message).into(),
                        })
                        .with_attribute(("type", element))
                        .write_text_content(BytesText::new(&legal(&text)))?;
                }
                if let Some(why) = skipped {
                    writer
                        .create_element("skipped")
                        .with_attribute(("message", why))
                        .write_empty()?;
                }
                if !self.output.is_empty() {
                    writer
                        .create_element("system-out")
                        .write_text_content(BytesText::new(&legal(self.output)))?;
                }
                Ok(())
            })?;
        Ok(())
    }
}

/// Details of a failure, with traceback and hints.
pub(super) fn details(failure: &TestFailure) -> String {
    let mut text = failure.message.clone();
    if let Some(traceback) = &failure.traceback {
        let _ = write!(text, "\n{traceback}");
    }
    for hint in &failure.hints {
        let _ = match hint.strip_prefix('\n') {
            Some(block) => write!(text, "\n{block}"),
            None => write!(text, "\nhint: {hint}"),
        };
    }
    text
}

/// Text as the value of an attribute that keeps its lines.
fn whole(text: &str) -> String {
    escape(legal(text)).replace('\n', "&#10;").replace('\t', "&#9;")
}

/// Text without the characters that XML excludes, even escaped (XML 1.0, 2.2).
fn legal(text: &str) -> String {
    let is_legal = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if is_legal(c) { c } else { '\u{fffd}' }).collect()
}
