//! Construction of requests from entries of the table, in the protocol of the service.

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::source::{Given, Route, SourceCall};
use crate::error::{Error, Kind, Result};
use crate::spec::Service;

/// Protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// EC2's variant of the query protocol: a form, answered by XML.
    Ec2 {
        /// API version.
        version: &'static str,
    },
    /// Query protocol: a form, answered by XML.
    Query {
        /// API version.
        version: &'static str,
    },
    /// JSON 1.1, with the action in a header.
    Json {
        /// Prefix of the action in the header.
        target: &'static str,
    },
    /// REST with JSON: the action is in method and path.
    Rest,
}

impl Protocol {
    /// The protocol of a service.
    pub const fn of(service: Service) -> Self {
        match service {
            Service::Ec2 => Self::Ec2 { version: "2016-11-15" },
            Service::Iam => Self::Query { version: "2010-05-08" },
            Service::Sts => Self::Query { version: "2011-06-15" },
            Service::AutoScaling => Self::Query { version: "2011-01-01" },
            Service::ElasticBeanstalk => Self::Query { version: "2010-12-01" },
            Service::Rds => Self::Query { version: "2014-10-31" },
            Service::Ecs => Self::Json { target: "AmazonEC2ContainerServiceV20141113" },
            Service::Emr => Self::Json { target: "ElasticMapReduce" },
            Service::Batch | Service::ImageBuilder | Service::Eks => Self::Rest,
        }
    }
}

/// Characters of a path that are percent-encoded: all but the unreserved ones.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Request for a page. `carried` are the values of the records of the previous steps, `token` is
/// the page token.
///
/// # Errors
/// If the table and the records of the previous steps do not match.
pub fn request(step: &SourceCall, carried: &[String], token: Option<&str>) -> Result<HttpRequest> {
    let given = |given: &Given| -> Result<Value> {
        Ok(match given {
            Given::Text(text) => Value::from(*text),
            Given::Bool(value) => Value::from(*value),
            Given::Texts(texts) => Value::from(texts.to_vec()),
            Given::Carried(number) => Value::from(at(step, carried, *number)?),
        })
    };
    let mut parameters = Map::new();
    for (name, value) in step.parameters {
        parameters.insert((*name).to_owned(), given(value)?);
    }
    if let Some(paging) = step.paging {
        if let Some((name, size)) = paging.size {
            parameters.insert(name.to_owned(), size.into());
        }
        if let Some(token) = token {
            parameters.insert(paging.ask.to_owned(), token.into());
        }
    }
    let (path, is_get) = match step.route {
        Route::Root => ("/".to_owned(), false),
        Route::Post(path) => (path.to_owned(), false),
        Route::Get(path) => (filled(step, path, carried)?, true),
    };
    let (kind, body) = match Protocol::of(step.action.service) {
        Protocol::Ec2 { version } => (FORM, form(step, version, &parameters, "")),
        Protocol::Query { version } => (FORM, form(step, version, &parameters, "member.")),
        Protocol::Json { .. } => {
            ("application/x-amz-json-1.1", Value::Object(parameters.clone()).to_string())
        }
        Protocol::Rest if is_get => ("application/json", String::new()),
        Protocol::Rest => ("application/json", Value::Object(parameters.clone()).to_string()),
    };
    let uri = if is_get && !parameters.is_empty() {
        format!("{path}?{}", pairs(&parameters, "").finish())
    } else {
        path
    };
    let bug = |why: &dyn std::fmt::Display| {
        Error::new(Kind::Bug, format!("{} makes no request: {why}", step.action.name))
    };
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method(if is_get { "GET" } else { "POST" }).map_err(|error| bug(&error))?;
    request.set_uri(uri).map_err(|error| bug(&error))?;
    let headers = request.headers_mut();
    headers.insert("user-agent", concat!("iamlua/", env!("CARGO_PKG_VERSION")));
    if !is_get {
        headers.insert("content-type", kind);
    }
    if let Protocol::Json { target } = Protocol::of(step.action.service) {
        headers.insert("x-amz-target", format!("{target}.{}", step.action.name));
    }
    Ok(request)
}

const FORM: &str = "application/x-www-form-urlencoded";

fn at<'a>(step: &SourceCall, carried: &'a [String], number: usize) -> Result<&'a str> {
    carried.get(number).map(String::as_str).ok_or_else(|| {
        let message =
            format!("{} cannot be called: the answer before it names nothing", step.action.name);
        Error::new(Kind::Connection, message)
    })
}

/// Path with its placeholders replaced by carried values.
fn filled(step: &SourceCall, path: &str, carried: &[String]) -> Result<String> {
    let mut filled = String::new();
    let mut number = 0;
    for part in path.split_inclusive('}') {
        match part.split_once('{') {
            None => filled.push_str(part),
            Some((before, _)) => {
                filled.push_str(before);
                filled.extend(utf8_percent_encode(at(step, carried, number)?, PLAIN));
                number += 1;
            }
        }
    }
    Ok(filled)
}

fn form(
    step: &SourceCall,
    version: &str,
    parameters: &Map<String, Value>,
    element: &str,
) -> String {
    let mut form = pairs(parameters, element);
    form.append_pair("Action", step.action.name).append_pair("Version", version);
    form.finish()
}

/// Form parameters; lists are numbered, with `element` before the number.
fn pairs(
    parameters: &Map<String, Value>,
    element: &str,
) -> form_urlencoded::Serializer<'static, String> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        match value {
            Value::String(text) => form.append_pair(name, text),
            Value::Array(list) => {
                for (number, text) in (1..).zip(list.iter().filter_map(Value::as_str)) {
                    form.append_pair(&format!("{name}.{element}{number}"), text);
                }
                &mut form
            }
            other => form.append_pair(name, &other.to_string()),
        };
    }
    form
}
