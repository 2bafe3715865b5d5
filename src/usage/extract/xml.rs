//! Streaming parser of the query protocols, which answer XML.

use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use super::{ExtractState, Flaw};

/// Open element.
enum Open {
    /// Element with a name that counts; the length of the path before it.
    Named(usize),
    /// Wrapper: the answer, its result, or an element of a list.
    Wrap,
    /// Record.
    Record,
}

/// Names of list elements; RDS has its own names, but only for records.
const ELEMENTS: [&str; 2] = ["item", "member"];

/// Message for a malformed answer.
fn why(error: &quick_xml::Error) -> Flaw {
    match error {
        quick_xml::Error::Io(error) => Flaw::CutOff(format!("the answer breaks off: {error}")),
        quick_xml::Error::Syntax(error) => Flaw::CutOff(format!("the answer breaks off: {error}")),
        error => Flaw::Unusable(format!("the answer cannot be read: {error}")),
    }
}

/// Reads a document and reports its parts to `reading`.
///
/// # Errors
/// A message, if it is truncated, not well-formed, or the answer to another call.
pub(super) async fn read(body: SdkBody, reading: &mut ExtractState<'_>) -> Result<(), Flaw> {
    let action = reading.step.action.name;
    let mut reader = Reader::from_reader(ByteStream::new(body).into_async_read());
    reader.config_mut().expand_empty_elements = true;
    let (mut bytes, mut open, mut text) = (Vec::new(), Vec::new(), String::new());
    let mut is_leaf = false;
    // Number of open elements within the outermost one that is skipped; most of an answer is
    // skipped.
    let mut skipped = 0_usize;
    loop {
        bytes.clear();
        let event = reader.read_event_into_async(&mut bytes).await;
        match event.map_err(|error| why(&error))? {
            Event::Start(_) if skipped > 0 => skipped += 1,
            Event::End(_) if skipped > 1 => skipped -= 1,
            Event::Eof if !open.is_empty() => {
                return Err(Flaw::CutOff("the answer breaks off".into()));
            }
            Event::Eof => return Ok(()),
            Event::Start(start) => {
                let name = start.local_name();
                let name = name.as_ref();
                let is_wrap = match open.len() {
                    0 if name.strip_suffix("Response") != Some(action) => {
                        let why = format!("the answer is <{name}>, so that it is none of AWS's");
                        return Err(Flaw::Unusable(why));
                    }
                    0 => true,
                    1 => name.strip_suffix("Result") == Some(action),
                    _ => false,
                };
                open.push(if is_wrap {
                    Open::Wrap
                } else if reading.is_at_record() {
                    reading.begin_record();
                    Open::Record
                } else if ELEMENTS.contains(&name) {
                    Open::Wrap
                } else {
                    Open::Named(reading.enter(name))
                });
                text.clear();
                is_leaf = reading.is_wanted();
                skipped = usize::from(!is_leaf);
            }
            Event::End(_) => {
                skipped = 0;
                if std::mem::take(&mut is_leaf) {
                    reading.text(text.trim());
                }
                match open.pop() {
                    Some(Open::Named(before)) => reading.leave(before),
                    Some(Open::Record) => reading.end_record(),
                    Some(Open::Wrap) | None => {}
                }
            }
            _ if skipped > 0 => {}
            Event::Text(part) => text.push_str(&part.xml10_content()),
            Event::CData(part) => text.push_str(&part.xml10_content()),
            Event::GeneralRef(entity) => {
                if let Ok(Some(letter)) = entity.resolve_char_ref() {
                    text.push(letter);
                } else if let Some(letters) = resolve_predefined_entity(&entity) {
                    text.push_str(letters);
                } else {
                    let why = "the answer has an entity that nobody knows".into();
                    return Err(Flaw::Unusable(why));
                }
            }
            _ => {}
        }
    }
}
