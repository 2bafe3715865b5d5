//! Fuzz targets for network data: requests as the local account reads them, and answers as clients
//! read them.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use hyper::body::{Body, Bytes, Frame};
use tokio::runtime::{Builder, Runtime};

use super::{assert_error, first_line};
use crate::aws::client::{Backend, Clients, Connection};
use crate::emulator::{
    Answer, Clock, Contents, Emulator, EmulatorSettings, ManualClock, Reply, Request,
};
use crate::iam::snapshot::Snapshot;
use crate::iam::{self, Implementation};
use crate::session::Wire;
use crate::spec::Protocol;
use crate::spec::{Args, Value};
use crate::usage::extract::page;
use crate::usage::refusal;
use crate::usage::{Means, SOURCES, SourceCall};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}

/// Request to the local account: method and path, headers, an empty line, the body.
pub(super) fn wire(data: &[u8]) {
    thread_local! {
        static ACCOUNT: (Emulator, Runtime) = (example(), runtime());
    }
    let request = request(data);
    ACCOUNT.with(|(account, runtime)| {
        let answer = runtime.block_on(account.answer(request));
        let Answer::Reply(reply) = answer else { panic!("without faults there is an answer") };
        assert_readable(&reply);
        if reply.status == 200 {
            // A change must not be visible to the next case.
            account.reset(Contents::Example).expect("an account in memory");
        }
    });
}

fn example() -> Emulator {
    let at = "2026-11-24T17:00:00Z".parse().expect("a moment");
    let clock = Clock::Manual(ManualClock::new(at));
    Emulator::in_memory(EmulatorSettings { clock, seed: Some(1), ..EmulatorSettings::default() })
        .expect("memory")
}

fn request(data: &[u8]) -> Request {
    let (line, mut rest) = first_line(data);
    let mut words = line.split_whitespace();
    let mut request = Request::default();
    if let (Some(method), Some(path)) = (words.next(), words.next()) {
        (request.method, request.path) = (method.to_owned(), path.to_owned());
    }
    while !rest.is_empty() {
        let (line, after) = first_line(rest);
        rest = after;
        match line.split_once(": ") {
            Some(("Authorization", value)) => request.authorization = Some(value.to_owned()),
            Some(("X-Amz-Backend", value)) => request.target = Some(value.to_owned()),
            Some(_) => {}
            None => break,
        }
    }
    request.body = rest.to_vec();
    request
}

/// Checks that a client can read an answer of the local account.
fn assert_readable(reply: &Reply) {
    let Reply { status, body, content_type, request_id, .. } = reply;
    assert!(matches!(status, 200 | 400..=499), "{status}: {body}");
    assert!(!request_id.is_empty());
    if content_type.contains("json") {
        let read = serde_json::from_str::<serde_json::Value>(body);
        assert!(read.is_ok(), "{read:?}: {body}");
        return;
    }
    let mut reader = quick_xml::Reader::from_str(body);
    reader.config_mut().check_end_names = true;
    let mut depth = 0_u32;
    loop {
        use quick_xml::events::Event;
        match reader.read_event() {
            Ok(Event::Start(_)) => depth += 1,
            Ok(Event::End(_)) => depth -= 1,
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(error) => panic!("{error}: {body}"),
        }
    }
    assert_eq!(depth, 0, "{body}");
    let is_text = |c: char| c >= ' ' || matches!(c, '\n' | '\r' | '\t');
    assert!(body.chars().all(is_text), "XML cannot have such a character: {body:?}");
}

/// HTTP client with one fixed answer.
#[derive(Clone, Debug, Default)]
struct Canned(Arc<Mutex<(u16, Vec<u8>)>>);

impl HttpClient for Canned {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Canned {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let (status, body) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let status = status.try_into().map_err(|error| ConnectorError::user(Box::new(error)));
        HttpConnectorFuture::ready(status.map(|status| {
            let mut response = HttpResponse::new(status, SdkBody::from(body));
            response.headers_mut().insert("x-amzn-requestid", "8f7724cf");
            response
        }))
    }
}

/// Answer of IAM or STS as a client reads it: the name of a function and an HTTP status, a line
/// feed, the body.
pub(super) fn iam(data: &[u8]) {
    thread_local! {
        static CLIENT: OnceCell<(Canned, Clients, Runtime)> = const { OnceCell::new() };
    }
    let (line, body) = first_line(data);
    let (path, status) = line.split_once(' ').unwrap_or((&line, "200"));
    let status = status.parse().ok().filter(|status| (100..600).contains(status)).unwrap_or(200);
    let entry = iam::find(path).unwrap_or_else(|| iam::entry("profiles.get"));
    if !matches!(entry.run, Implementation::Read(..) | Implementation::Write(_)) {
        return;
    }
    let text = |text: &str| Value::Str(text.to_owned());
    let arguments = Args::of([
        ("name", text("web")),
        ("role", text("web")),
        ("policy_arn", text("arn:aws:iam::aws:policy/ReadOnlyAccess")),
        ("assume_role_policy", text("{}")),
        ("path", text("/")),
        ("description", text("d")),
        ("keys", Value::List(vec![text("Team")])),
    ]);
    CLIENT.with(|client| {
        let (canned, clients, runtime) = client.get_or_init(|| {
            let (canned, runtime) = (Canned::default(), runtime());
            let below = SharedHttpClient::new(canned.clone());
            let connection = Connection { target: Backend::local(below), ..Connection::default() };
            let wire = Wire::new(true);
            let clients = runtime.block_on(connection.clients(|client| wire.above(client)));
            (canned, clients.expect("clients"), runtime)
        });
        *canned.0.lock().unwrap_or_else(PoisonError::into_inner) = (status, body.to_vec());
        match runtime.block_on(entry.send(clients.clone(), arguments)) {
            Err(error) => assert_error(&error),
            Ok(value) => {
                serde_json::to_string(&value.to_json()).expect("JSON");
                if let Some(image) = Snapshot::of(&value) {
                    let json = serde_json::to_string(&image).expect("JSON");
                    let again: Snapshot = serde_json::from_str(&json).expect("what was written");
                    assert_eq!(serde_json::to_string(&again).expect("JSON"), json);
                }
            }
        }
    });
}

/// Body in several chunks.
struct Pieces(VecDeque<Bytes>);

impl Pieces {
    fn of(data: &[u8], size: usize) -> SdkBody {
        let pieces = data.chunks(size).map(Bytes::copy_from_slice).collect();
        SdkBody::from_body_1_x(Self(pieces))
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

/// XML answer of a service that may name profiles: the action, such as `ec2:DescribeInstances`, a
/// line feed, the body.
pub(super) fn usage_xml(data: &[u8]) {
    usage(data, true);
}

/// JSON answer of a service that may name profiles.
pub(super) fn usage_json(data: &[u8]) {
    usage(data, false);
}

fn usage(data: &[u8], is_xml: bool) {
    thread_local! {
        static RUNTIME: Runtime = runtime();
    }
    let (line, body) = first_line(data);
    let protocol = |step: &SourceCall| step.action.service.row().protocol;
    let steps = || {
        SOURCES.iter().flat_map(|source| source.steps).filter(|step| {
            matches!(protocol(step), Protocol::Ec2 { .. } | Protocol::Query { .. }) == is_xml
        })
    };
    let is_named = |step: &&SourceCall| {
        line == format!("{}:{}", step.action.service.prefix(), step.action.name)
    };
    let named = steps().find(is_named).or_else(|| steps().next());
    let step = named.expect("a step of each kind");
    let read = |body| RUNTIME.with(|runtime| runtime.block_on(page(protocol(step), step, body)));
    let whole = read(SdkBody::from(body.to_vec()));
    for size in [1, 7] {
        let pieces = read(Pieces::of(body, size));
        match (&whole, &pieces) {
            (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces),
            (Err(_), Err(_)) => {}
            _ => panic!("in one piece {whole:?}, in pieces of {size} {pieces:?}"),
        }
    }
    match whole {
        Err(error) => assert_error(&error),
        Ok(page) => {
            assert!(page.next.is_none_or(|token| !token.is_empty()));
            let means = [Means::Id, Means::Carry, Means::State, Means::Profile, Means::Role];
            for (record, means) in page.records.iter().flat_map(|r| means.map(|m| (r, m))) {
                let texts = record.of(step, means);
                assert!(texts.into_iter().all(|text| !text.is_empty() && text == text.trim()));
            }
        }
    }
}

/// Error answer of a service: the name of the service, optionally the header with the code, a line
/// feed, the body.
pub(super) fn usage_refusal(data: &[u8]) {
    let (line, body) = first_line(data);
    let (service, header) = line.split_once(' ').unwrap_or((&line, ""));
    let step = SOURCES
        .iter()
        .map(crate::usage::Source::last)
        .find(|step| step.action.service.prefix() == service)
        .unwrap_or_else(|| SOURCES[0].last());
    let header = Some(header).filter(|header| !header.is_empty());
    let error = refusal::of(step.action.service.row().protocol, header, body);
    // The text of an error is no longer than the answer, in any encoding.
    let length = error.code().map_or(0, str::len) + error.message().map_or(0, str::len);
    assert!(length <= 3 * data.len(), "{error:?}");
}
