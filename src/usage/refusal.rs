//! Parsing of error replies: the place of code and message in each protocol.

use aws_smithy_types::error::metadata::ErrorMetadata;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use serde_json::Value;

use super::request::Protocol;

/// Code and message of a reply, if it has them. `header` is `x-amzn-ErrorType`.
pub fn of(protocol: Protocol, header: Option<&str>, body: &[u8]) -> ErrorMetadata {
    let (code, message) = match protocol {
        Protocol::Ec2 { .. } | Protocol::Query { .. } => in_xml(body),
        Protocol::Json { .. } | Protocol::Rest => in_json(header, body),
    };
    let mut error = ErrorMetadata::builder();
    if let Some(code) = code {
        error = error.code(code);
    }
    if let Some(message) = message {
        error = error.message(message);
    }
    error.build()
}

/// First `<Code>` and `<Message>`, which are children of `<Error>`.
fn in_xml(body: &[u8]) -> (Option<String>, Option<String>) {
    let (mut code, mut message) = (None, None);
    let mut reader = Reader::from_reader(body);
    let (mut bytes, mut text) = (Vec::new(), String::new());
    loop {
        bytes.clear();
        match reader.read_event_into(&mut bytes) {
            Ok(Event::Start(_)) => text.clear(),
            Ok(Event::Text(part)) => text.push_str(&part.xml10_content()),
            Ok(Event::GeneralRef(entity)) => {
                let letter = entity.resolve_char_ref().ok().flatten();
                text.extend(letter);
                text.push_str(resolve_predefined_entity(&entity).unwrap_or_default());
            }
            Ok(Event::End(end)) => {
                let said = match end.local_name().as_ref() {
                    "Code" => &mut code,
                    "Message" => &mut message,
                    _ => continue,
                };
                said.get_or_insert_with(|| text.trim().to_owned());
            }
            Ok(Event::Eof) | Err(_) => return (code, message),
            Ok(_) => {}
        }
    }
}

/// Code in the header or in `__type`: `aws.ecs#AccessDeniedException`, or followed by `:http://…`.
fn in_json(header: Option<&str>, body: &[u8]) -> (Option<String>, Option<String>) {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |names: &[&str]| names.iter().find_map(|name| json[*name].as_str());
    let code = header.or_else(|| text(&["__type", "code", "Code"]));
    let code = code.map(|code| {
        let code = code.split(':').next().unwrap_or(code);
        code.rsplit('#').next().unwrap_or(code).to_owned()
    });
    (code, text(&["message", "Message", "errorMessage"]).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_message_are_found_in_every_protocol() {
        let ec2 = Protocol::of(crate::spec::Service::Ec2);
        let query = Protocol::of(crate::spec::Service::Rds);
        let json = Protocol::of(crate::spec::Service::Ecs);
        for (protocol, header, body, code, message) in [
            (
                ec2,
                None,
                "<?xml version=\"1.0\"?>\n<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are &quot;not&quot; authorized</Message></Error></Errors><RequestID>1</RequestID></Response>",
                "UnauthorizedOperation",
                "You are \"not\" authorized",
            ),
            (
                query,
                None,
                "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>",
                "AccessDenied",
                "no",
            ),
            (
                json,
                None,
                r#"{"__type":"AccessDeniedException","Message":"no"}"#,
                "AccessDeniedException",
                "no",
            ),
            (
                json,
                Some("com.amazon#ResourceNotFoundException:http://internal/"),
                r#"{"message":"no"}"#,
                "ResourceNotFoundException",
                "no",
            ),
        ] {
            let error = of(protocol, header, body.as_bytes());
            assert_eq!((error.code(), error.message()), (Some(code), Some(message)));
        }
        assert_eq!(of(ec2, None, b"<html>").code(), None);
        assert_eq!(of(json, None, b"<html>").code(), None);
    }
}
