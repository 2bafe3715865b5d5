//! Envelope of every answer, in the protocol of its service.

use serde_json::{Value, json};

use super::Reply;
use super::partition;
use super::refusal::Refusal;
use super::service::{Protocol, Service};
use super::xml::{self, Xml};

/// Result of an action.
#[derive(Debug)]
pub(super) enum Content {
    Xml(Xml),
    Json(Value),
}

impl Content {
    /// Replaces the ARNs of `aws` by those of a partition.
    pub(super) fn translate(&mut self, partition: &str) {
        match self {
            Self::Xml(xml) => xml.translate(partition),
            Self::Json(json) => partition::swap_json(json, partition),
        }
    }
}

/// Reply to a call that succeeded.
pub(super) fn success(
    service: Service,
    action: &str,
    content: &Content,
    request_id: String,
) -> Reply {
    let body = match (content, service.protocol()) {
        (Content::Json(json), _) => json.to_string(),
        (Content::Xml(xml), Protocol::Ec2 { namespace, .. }) => {
            xml::ec2_success(namespace, action, xml, &request_id)
        }
        (Content::Xml(xml), Protocol::Query { namespace, .. }) => {
            xml::success(namespace, action, xml, &request_id)
        }
        (Content::Xml(_), Protocol::Json { .. } | Protocol::RestJson) => {
            unreachable!("the table gives the actions of these services functions that make JSON")
        }
    };
    let content_type = content_type(service);
    Reply { status: 200, request_id, content_type, error_type: None, body }
}

/// Reply to a call that was refused.
pub(super) fn failure(service: Service, refusal: &Refusal, request_id: String) -> Reply {
    let Refusal { status, code, message } = refusal;
    let mut error_type = None;
    let body = match service.protocol() {
        Protocol::Query { namespace, .. } => xml::failure(namespace, refusal, &request_id),
        Protocol::Ec2 { .. } => xml::ec2_failure(refusal, &request_id),
        Protocol::Json { .. } => json!({"__type": code, "message": message}).to_string(),
        Protocol::RestJson => {
            error_type = Some(*code);
            json!({"message": message}).to_string()
        }
    };
    let content_type = content_type(service);
    Reply { status: *status, request_id, content_type, error_type, body }
}

const fn content_type(service: Service) -> &'static str {
    match service.protocol() {
        Protocol::Query { .. } => "text/xml",
        Protocol::Ec2 { .. } => "text/xml;charset=UTF-8",
        Protocol::Json { .. } => "application/x-amz-json-1.1",
        Protocol::RestJson => "application/json",
    }
}
