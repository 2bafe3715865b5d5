//! Extraction of records from the answer to a call. An answer is read once, from beginning to end,
//! and only the fields in the table of sources are kept: a page of a thousand instances is
//! megabytes, of which a few bytes matter. A truncated answer, or one to another call, is an error
//! and never an empty page.

mod json;
mod xml;

use aws_smithy_types::body::SdkBody;

use super::source::{Means, SourceCall, SourceField};
use crate::error::{AwsDetail, Error, Kind, Result};
use crate::spec::Protocol;

/// Page of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RecordPage {
    /// Records on the page, filtered by [`SourceCall::only`] if it has any conditions.
    pub records: Vec<ExtractedRecord>,
    /// Token of the next page; none on the last one.
    pub next: Option<String>,
}

/// Texts of one record, for each field of its step. A list has several texts, a missing field none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtractedRecord(Vec<Vec<String>>);

impl ExtractedRecord {
    /// Texts of the fields with a meaning, in the order of the table.
    pub fn of<'a>(&'a self, step: &'a SourceCall, means: Means) -> impl Iterator<Item = &'a str> {
        let is_meant = move |(field, _): &(&SourceField, &Vec<String>)| field.means == means;
        let texts = step.fields.iter().zip(&self.0).filter(is_meant);
        texts.flat_map(|(_, texts)| texts.iter().map(String::as_str))
    }

    /// Check that the record answers a call that was made for the values of the previous steps.
    #[must_use]
    pub fn is_about(&self, step: &SourceCall, carried: &[String]) -> bool {
        step.fields.iter().zip(&self.0).all(|(field, texts)| match field.means {
            Means::Echo(number) => texts.iter().all(|text| carried.get(number) == Some(text)),
            _ => true,
        })
    }
}

/// Reads the body of a successful answer.
///
/// # Errors
/// [`Kind::Connection`], which is transient, if the body is truncated or does not answer this call.
pub async fn page(protocol: Protocol, step: &SourceCall, body: SdkBody) -> Result<RecordPage> {
    let mut reading = ExtractState::new(step);
    let read = match protocol {
        Protocol::Ec2 { .. } | Protocol::Query { .. } => xml::read(body, &mut reading).await,
        Protocol::Json { .. } | Protocol::Rest => json::read(body, &mut reading).await,
    };
    read.and_then(|()| reading.finish()).map_err(|flaw| unusable(step, flaw))
}

/// Flaw of an answer, with a message.
enum Flaw {
    /// Truncated.
    CutOff(String),
    /// Not an answer to this call, or unreadable.
    Unusable(String),
}

/// Error for an answer that cannot be used. A retry may get another one.
fn unusable(step: &SourceCall, flaw: Flaw) -> Error {
    let action = step.action.name;
    let (why, is_cut_off) = match flaw {
        Flaw::CutOff(why) => (why, true),
        Flaw::Unusable(why) => (why, false),
    };
    let mut error = Error::new(Kind::Connection, format!("{action}: {why}"))
        .hint("check what stands between here and AWS, and the endpoint (--endpoint-url)");
    error.aws = Some(Box::new(AwsDetail {
        operation: action.to_owned(),
        retryable: true,
        is_cut_off,
        ..AwsDetail::default()
    }));
    error
}

/// State of reading an answer; the parsers report its parts.
struct ExtractState<'a> {
    step: &'a SourceCall,
    /// Current path: names joined by dots, without the names of list elements.
    path: String,
    record: Option<ExtractedRecord>,
    /// Conditions of [`SourceCall::only`] that the record has met.
    matched: usize,
    is_answer: bool,
    /// True if any record has a text.
    has_text: bool,
    page: RecordPage,
}

impl<'a> ExtractState<'a> {
    fn new(step: &'a SourceCall) -> Self {
        Self {
            step,
            path: String::new(),
            record: None,
            matched: 0,
            is_answer: false,
            has_text: false,
            page: RecordPage::default(),
        }
    }

    /// Enters a named element. [`leave`](Self::leave) with the result returns to the outer one.
    fn enter(&mut self, name: &str) -> usize {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        self.is_answer = self.is_answer || self.is_at_answer();
        before
    }

    /// True at the element that identifies the answer to a call. A list in a list is missing if the
    /// outer list is empty.
    fn is_at_answer(&self) -> bool {
        self.step.records.split('.').next() == Some(&self.path)
    }

    /// Records that the element at this path is empty.
    fn nothing(&mut self) {
        if self.is_at_answer() {
            self.is_answer = false;
        }
    }

    /// True if this path, or one below it, may have a text to keep.
    fn is_wanted(&self) -> bool {
        if self.record.is_none() {
            let token = self.step.paging.map(|paging| paging.answer);
            return token.is_some_and(|token| is_within(token, &self.path))
                || is_within(self.step.records, &self.path);
        }
        let fields = self.step.fields.iter().map(|field| field.path);
        let mut wanted = fields.chain(self.step.only.iter().map(|(path, _)| *path));
        let here = path_in_record(self.step, &self.path);
        wanted.any(|wanted| is_within(wanted, here))
    }

    fn leave(&mut self, before: usize) {
        self.path.truncate(before);
    }

    /// True if the next element at this path is a record.
    fn is_at_record(&self) -> bool {
        self.record.is_none() && self.path == self.step.records
    }

    fn begin_record(&mut self) {
        self.record = Some(ExtractedRecord(vec![Vec::new(); self.step.fields.len()]));
        self.matched = 0;
    }

    fn end_record(&mut self) {
        let matches = self.matched == self.step.only.len();
        self.page.records.extend(self.record.take().filter(|_| matches));
    }

    /// Reports a text at this path.
    fn text(&mut self, text: &str) {
        let Some(record) = &mut self.record else {
            let token = self.step.paging.filter(|paging| paging.answer == self.path);
            if token.is_some() && !text.is_empty() {
                self.page.next = Some(text.to_owned());
            }
            return;
        };
        self.has_text |= !text.is_empty();
        let path = path_in_record(self.step, &self.path);
        if self.step.only.contains(&(path, text)) {
            self.matched += 1;
        }
        for (field, texts) in self.step.fields.iter().zip(&mut record.0) {
            if field.path == path && !text.is_empty() {
                texts.push(text.to_owned());
            }
        }
    }

    fn finish(self) -> Result<RecordPage, Flaw> {
        // An answer without pages is about a resource that was requested by name, and must contain
        // it.
        if self.is_answer && (self.has_text || self.step.paging.is_some()) {
            return Ok(self.page);
        }
        let records = self.step.records;
        Err(Flaw::Unusable(format!("the answer has no {records}, so that it is none of AWS's")))
    }
}

/// Part of a path in a record that is below the record.
fn path_in_record<'a>(step: &SourceCall, path: &'a str) -> &'a str {
    let path = path.get(step.records.len()..).unwrap_or_default();
    path.strip_prefix('.').unwrap_or(path)
}

/// True if a path equals another one, or is below it.
fn is_within(path: &str, outer: &str) -> bool {
    let rest = path.strip_prefix(outer);
    rest.is_some_and(|rest| outer.is_empty() || rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests;
