//! From the answer to a call to the records in it. An answer is read once, from its beginning to its end, and only what the table of sources
//! names is kept: a page of a thousand instances is megabytes, of which some bytes matter. What is not whole, or not the answer to
//! this call, is an error and never an empty page.

mod json;
mod xml;

use aws_smithy_types::body::SdkBody;

use super::request::Protocol;
use super::source::{Field, Means, SourceCall};
use crate::error::{AwsDetail, Error, Kind, Result};

/// A page of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The records on it, those of [`SourceCall::only`] if it has any.
    pub records: Vec<Record>,
    /// The token for the next page; none in the last one.
    pub next: Option<String>,
}

/// What was read of one record: for each field of its step the texts that stood there. A list has several, what is missing none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(Vec<Vec<String>>);

impl Record {
    /// The texts of the fields with that meaning, in the order of the table.
    pub fn of<'a>(&'a self, step: &'a SourceCall, means: Means) -> impl Iterator<Item = &'a str> {
        let is_meant = move |(field, _): &(&Field, &Vec<String>)| field.means == means;
        let texts = step.fields.iter().zip(&self.0).filter(is_meant);
        texts.flat_map(|(_, texts)| texts.iter().map(String::as_str))
    }

    /// Check that it belongs to the answer to a call that was made for what the steps before have
    /// given.
    #[must_use]
    pub fn is_about(&self, step: &SourceCall, carried: &[String]) -> bool {
        step.fields.iter().zip(&self.0).all(|(field, texts)| match field.means {
            Means::Echo(number) => texts.iter().all(|text| carried.get(number) == Some(text)),
            _ => true,
        })
    }
}

/// Reads the body of an answer that says yes.
///
/// # Errors
/// [`Kind::Connection`], which may pass, if it breaks off, or is no answer to this call.
pub async fn page(protocol: Protocol, step: &SourceCall, body: SdkBody) -> Result<Page> {
    let mut reading = Reading::new(step);
    let read = match protocol {
        Protocol::Ec2 { .. } | Protocol::Query { .. } => xml::read(body, &mut reading).await,
        Protocol::Json { .. } | Protocol::Rest => json::read(body, &mut reading).await,
    };
    read.and_then(|()| reading.finish()).map_err(|why| unusable(step, &why))
}

/// The error of an answer that cannot be used. It may be another one the next time.
fn unusable(step: &SourceCall, why: &str) -> Error {
    let action = step.action.name;
    let mut error = Error::new(Kind::Connection, format!("{action}: {why}"))
        .hint("check what stands between here and AWS, and the endpoint (--endpoint-url)");
    error.aws = Some(Box::new(AwsDetail {
        operation: action.to_owned(),
        retryable: true,
        ..AwsDetail::default()
    }));
    error
}

/// An answer that is being read, told of what it consists of as it comes.
struct Reading<'a> {
    step: &'a SourceCall,
    /// Where the reader is: names joined by dots, those that lists have for their elements left out.
    path: String,
    record: Option<Record>,
    /// Of the record: what of [`SourceCall::only`] was seen.
    matched: usize,
    is_answer: bool,
    /// Whether any record says anything.
    has_said: bool,
    page: Page,
}

impl<'a> Reading<'a> {
    fn new(step: &'a SourceCall) -> Self {
        Self {
            step,
            path: String::new(),
            record: None,
            matched: 0,
            is_answer: false,
            has_said: false,
            page: Page::default(),
        }
    }

    /// Goes into something with a name; [`leave`](Self::leave) with what is returned goes out again.
    fn enter(&mut self, name: &str) -> usize {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        self.is_answer = self.is_answer || self.is_at_answer();
        before
    }

    /// Whether this is what makes an answer one to this call. A list in a list is not there while the outer one is empty.
    fn is_at_answer(&self) -> bool {
        self.step.records.split('.').next() == Some(&self.path)
    }

    /// Takes note that nothing is at this place, though it has a name.
    fn nothing(&mut self) {
        if self.is_at_answer() {
            self.is_answer = false;
        }
    }

    /// Whether something to be kept may be at this place, or in it.
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

    /// Whether what comes next, at this place, is a record.
    fn is_at_record(&self) -> bool {
        self.record.is_none() && self.path == self.step.records
    }

    fn begin_record(&mut self) {
        self.record = Some(Record(vec![Vec::new(); self.step.fields.len()]));
        self.matched = 0;
    }

    fn end_record(&mut self) {
        let matches = self.matched == self.step.only.len();
        self.page.records.extend(self.record.take().filter(|_| matches));
    }

    /// Takes a text at this place.
    fn text(&mut self, text: &str) {
        let Some(record) = &mut self.record else {
            let token = self.step.paging.filter(|paging| paging.answer == self.path);
            if token.is_some() && !text.is_empty() {
                self.page.next = Some(text.to_owned());
            }
            return;
        };
        self.has_said |= !text.is_empty();
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

    fn finish(self) -> Result<Page, String> {
        // An answer without pages is about something that was asked for by name, and that is there.
        if self.is_answer && (self.has_said || self.step.paging.is_some()) {
            return Ok(self.page);
        }
        Err(format!("the answer has no {}, so that it is none of AWS's", self.step.records))
    }
}

/// What of the path to a place in a record is below the record.
fn path_in_record<'a>(step: &SourceCall, path: &'a str) -> &'a str {
    let path = path.get(step.records.len()..).unwrap_or_default();
    path.strip_prefix('.').unwrap_or(path)
}

/// Whether a path is another one, or goes on from there.
fn is_within(path: &str, outer: &str) -> bool {
    let rest = path.strip_prefix(outer);
    rest.is_some_and(|rest| outer.is_empty() || rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests;
