//! Writer of the AWS Query protocol: XML, written straight into a string.

use std::borrow::Cow;
use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::partition;
use super::refusal::Refusal;

/// Characters that AWS percent-encodes in a policy document: all but those that RFC 3986 leaves
/// unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// XML fragment under construction.
#[derive(Debug, Default)]
pub(super) struct Xml(String);

impl Xml {
    /// `<name>value</name>`, with the value escaped.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.open(name);
        self.escaped(value);
        self.close(name);
    }

    /// `<name>value</name>` for a number or boolean, which needs no escaping.
    pub(super) fn plain(&mut self, name: &str, value: impl Display) {
        self.open(name);
        self.0.push_str(&value.to_string());
        self.close(name);
    }

    /// `<name>document</name>`, percent-encoded.
    pub(super) fn document(&mut self, name: &str, document: &str) {
        self.open(name);
        self.0.extend(utf8_percent_encode(document, RESERVED));
        self.close(name);
    }

    /// `<name>` … `</name>` around the output of `inside`; `<name/>` if it writes nothing.
    pub(super) fn within<E>(
        &mut self,
        name: &str,
        inside: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(name);
        let start = self.0.len();
        inside(self)?;
        if self.0.len() == start {
            self.0.truncate(start - 1);
            self.0.push_str("/>");
        } else {
            self.close(name);
        }
        Ok(())
    }

    /// Replaces the ARNs of `aws` by those of a partition.
    pub(super) fn translate(&mut self, partition: &str) {
        if let Cow::Owned(translated) = partition::swap(&self.0, partition) {
            self.0 = translated;
        }
    }

    /// Appends a fragment.
    pub(super) fn piece(&mut self, piece: &Self) {
        self.0.push_str(&piece.0);
    }

    fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// Appends a constant fragment, without escaping.
    pub(super) fn literal(&mut self, piece: &str) {
        self.0.push_str(piece);
    }

    fn escaped(&mut self, text: &str) {
        let is_plain =
            |byte: u8| (0x20..0x7f).contains(&byte) && !matches!(byte, b'&' | b'<' | b'>' | b'"');
        if text.bytes().all(is_plain) {
            self.0.push_str(text);
            return;
        }
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\r' => self.0.push_str("&#xD;"),
                '\t' | '\n' => self.0.push(letter),
                // XML 1.0 cannot represent these characters.
                letter
                    if letter.is_ascii_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') =>
                {
                    self.0.push('\u{fffd}');
                }
                letter => self.0.push(letter),
            }
        }
    }
}

/// Reply to a call that succeeded. A call without a result has no `…Result` element.
pub(super) fn success(namespace: &str, action: &str, result: &Xml, request_id: &str) -> String {
    let result = match result.0.as_str() {
        "" => String::new(),
        result => format!("<{action}Result>{result}</{action}Result>"),
    };
    format!(
        "<{action}Response xmlns=\"{namespace}\">{result}<ResponseMetadata>\
         <RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
    )
}

/// Reply to a call that was refused.
pub(super) fn failure(namespace: &str, refusal: &Refusal, request_id: &str) -> String {
    let mut error = Xml::default();
    error.text("Type", if refusal.status < 500 { "Sender" } else { "Receiver" });
    error.text("Code", refusal.code);
    error.text("Message", &refusal.message);
    format!(
        "<ErrorResponse xmlns=\"{namespace}\"><Error>{}</Error><RequestId>{request_id}</RequestId></ErrorResponse>",
        error.0
    )
}

const PROLOG: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// EC2's reply to a call that succeeded: the result is not wrapped, and the request id comes first.
pub(super) fn ec2_success(namespace: &str, action: &str, result: &Xml, request_id: &str) -> String {
    format!(
        "{PROLOG}<{action}Response xmlns=\"{namespace}\"><requestId>{request_id}</requestId>{}\
         </{action}Response>",
        result.0
    )
}

/// EC2's reply to a call that was refused.
pub(super) fn ec2_failure(refusal: &Refusal, request_id: &str) -> String {
    let mut error = Xml::default();
    error.text("Code", refusal.code);
    error.text("Message", &refusal.message);
    format!(
        "{PROLOG}<Response><Errors><Error>{}</Error></Errors><RequestID>{request_id}</RequestID>\
         </Response>",
        error.0
    )
}

#[cfg(test)]
mod tests {
    use super::Xml;

    #[test]
    fn text_is_escaped_and_documents_are_percent_encoded() {
        let mut xml = Xml::default();
        xml.text("A", "<&\"\u{1}é");
        xml.document("B", "{\"a b\": ~*'é}");
        xml.within("C", |_| Ok::<(), ()>(())).expect("nothing fails");
        assert_eq!(
            xml.0,
            "<A>&lt;&amp;&quot;\u{fffd}é</A><B>%7B%22a%20b%22%3A%20~%2A%27%C3%A9%7D</B><C/>"
        );
    }
}
