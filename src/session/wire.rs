//! Layer between the HTTP client of a connection and the SDK. It counts requests, refuses writes in
//! a run that may not write, and records for each attempt of a call whether it may have reached AWS
//! without an answer.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use crate::aws::errors::ORIGINAL_STATUS;
use crate::iam;
use crate::spec::{Action, Service};

/// Read timeout for the rest of a response body.
const READ_TIMEOUT: Duration = Duration::from_mins(1);

/// Maximum size of a response body in bytes; a thousand profiles take about one in thirty of it.
const MAX_BODY: usize = 64 << 20;

/// Callback that receives the marker of the next page.
pub type Ahead = Arc<dyn Fn(&str) + Send + Sync>;

tokio::task_local! {
    /// Callback for the next page's marker, called before the current page is parsed.
    static PREFETCH: Ahead;
    /// Outcomes of the attempts of this task's call.
    static ATTEMPTS: Arc<Attempts>;
    /// Action of this task's call, for services whose requests do not name it as those to IAM and
    /// STS do.
    static ACTION: Action;
}

/// Calls a read-only action of another service. The response body is not collected here: its reader
/// detects a truncated one.
pub async fn with_action<T>(action: Action, call: impl Future<Output = T>) -> T {
    ACTION.scope(action, call).await
}

/// Fetches a page of a listing. As soon as its bytes have arrived, and before they are parsed,
/// `ahead` receives the marker of the next page, if there is one.
pub async fn prefetch_next_page<T>(ahead: Ahead, call: impl Future<Output = T>) -> T {
    PREFETCH.scope(ahead, call).await
}

/// Marker in the bytes of a page; `None` if there is none, or only the parser can decode it.
fn marker(page: &[u8]) -> Option<&str> {
    // The marker is near the end or the beginning.
    const SEARCH_BYTES: usize = 2048;
    let (first, last) =
        (&page[..page.len().min(SEARCH_BYTES)], &page[page.len().saturating_sub(SEARCH_BYTES)..]);
    [last, first].into_iter().find_map(|part| {
        let text = between(part, b"<Marker>", b"</Marker>")?;
        std::str::from_utf8(text).ok().filter(|text| !text.is_empty() && !text.contains(['&', '<']))
    })
}

fn between<'a>(text: &'a [u8], begin: &[u8], end: &[u8]) -> Option<&'a [u8]> {
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|part| part == what);
    let rest = &text[find(text, begin)? + begin.len()..];
    Some(&rest[..find(rest, end)?])
}

/// Outcomes of the attempts of one call.
#[derive(Debug, Default)]
pub struct Attempts {
    doubts: AtomicU32,
    is_last_in_doubt: AtomicBool,
    /// Time at which the first attempt in doubt was sent, by the server's clock; 0 for none.
    first_doubt: AtomicI64,
}

impl Attempts {
    /// Runs a call whose attempts are recorded here.
    pub async fn of<T>(self: &Arc<Self>, call: impl Future<Output = T>) -> T {
        ATTEMPTS.scope(Arc::clone(self), call).await
    }

    /// Check for an attempt that may have succeeded although no conclusive answer arrived.
    pub fn any_in_doubt(&self) -> bool {
        self.doubts.load(Ordering::SeqCst) > 0
    }

    /// Check that the last attempt is in doubt.
    pub fn last_in_doubt(&self) -> bool {
        self.is_last_in_doubt.load(Ordering::SeqCst)
    }

    /// Time at which the first attempt in doubt was sent: milliseconds since 1970 by the server's
    /// clock.
    pub fn first_in_doubt(&self) -> Option<i64> {
        Some(self.first_doubt.load(Ordering::SeqCst)).filter(|at| *at != 0)
    }

    fn note(&self, fate: AttemptOutcome, sent: i64) {
        self.is_last_in_doubt.store(fate == AttemptOutcome::InDoubt, Ordering::SeqCst);
        if fate == AttemptOutcome::InDoubt {
            self.doubts.fetch_add(1, Ordering::SeqCst);
            let _ = self.first_doubt.compare_exchange(0, sent, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
}

/// Outcome of an attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AttemptOutcome {
    /// AWS has answered: done, or not done.
    Settled,
    /// Possibly done.
    InDoubt,
}

/// State that the connections of one run share.
#[derive(Debug)]
pub struct Wire {
    may_write: AtomicBool,
    sent: Mutex<BTreeMap<String, u64>>,
    /// Lead of the server's clock over ours, in milliseconds.
    ahead: AtomicI64,
}

impl Wire {
    /// Creates the layer; without permission to write, only actions that the registry knows as
    /// reads pass.
    pub fn new(may_write: bool) -> Arc<Self> {
        Arc::new(Self {
            may_write: AtomicBool::new(may_write),
            sent: Mutex::default(),
            ahead: AtomicI64::new(0),
        })
    }

    /// Sets whether actions that the registry does not know as reads may pass from now on.
    pub fn allow_writes(&self, may_write: bool) {
        self.may_write.store(may_write, Ordering::SeqCst);
    }

    /// Number of requests sent by action (`GetRole`, `ec2:DescribeInstances`), retries included.
    pub fn sent(&self) -> BTreeMap<String, u64> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Time by the server's clock, as far as it is known, in milliseconds since 1970.
    pub fn server_time(&self) -> i64 {
        Timestamp::now().as_millisecond().saturating_add(self.ahead.load(Ordering::Relaxed))
    }

    /// Wraps an HTTP client with this layer.
    pub fn above(self: &Arc<Self>, client: SharedHttpClient) -> SharedHttpClient {
        SharedHttpClient::new(Layer { wire: Arc::clone(self), below: client })
    }

    fn admit(&self, service: &str, action: &str) -> Result<(), ConnectorError> {
        if !self.may_write.load(Ordering::SeqCst) && !iam::is_read(service, action) {
            return Err(ConnectorError::user(
                format!("{action} was stopped: this run may only read").into(),
            ));
        }
        // Other services have actions with the same names.
        let is_usual = [Service::IAM, Service::STS].iter().any(|usual| usual.prefix() == service);
        let name =
            if is_usual { Cow::Borrowed(action) } else { format!("{service}:{action}").into() };
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        match sent.get_mut(&*name) {
            Some(count) => *count += 1,
            None => {
                sent.insert(name.into_owned(), 1);
            }
        }
        Ok(())
    }

    fn look_at(&self, response: &HttpResponse) {
        let date = response.headers().get("date");
        let date = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
        if let Some(date) = date {
            let ahead = date.as_millisecond() - Timestamp::now().as_millisecond();
            self.ahead.store(ahead, Ordering::Relaxed);
        }
    }
}

struct Layer {
    wire: Arc<Wire>,
    below: SharedHttpClient,
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").field("below", &self.below).finish_non_exhaustive()
    }
}

impl HttpClient for Layer {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let below = self.below.http_connector(settings, components);
        SharedHttpConnector::new(Connector { wire: Arc::clone(&self.wire), below })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.below.connector_metadata()
    }
}

#[derive(Debug)]
struct Connector {
    wire: Arc<Wire>,
    below: SharedHttpConnector,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if let Ok(action) = ACTION.try_with(|action| *action) {
            return match self.wire.admit(action.service.prefix(), action.name) {
                Ok(()) => self.below.call(request),
                Err(refusal) => HttpConnectorFuture::ready(Err(refusal)),
            };
        }
        let (service, action) = action_of(&request);
        if let Err(refusal) = self.wire.admit(service, &action) {
            return HttpConnectorFuture::ready(Err(refusal));
        }
        let sent = self.wire.server_time();
        let attempts = ATTEMPTS.try_with(Arc::clone).ok();
        // Dropping this future early, as a timeout of the SDK does, leaves the attempt in doubt.
        let mut noted = attempts.map(|attempts| AttemptRecord {
            attempts,
            sent,
            fate: AttemptOutcome::InDoubt,
        });
        let (wire, answer) = (Arc::clone(&self.wire), self.below.call(request));
        HttpConnectorFuture::new(async move {
            let outcome = match answer.await {
                Ok(response) => collect_body(response).await,
                Err(error) => Err(error),
            };
            let fate = match &outcome {
                Ok(response) => {
                    wire.look_at(response);
                    let _ = PREFETCH.try_with(|ahead| {
                        let body =
                            response.body().bytes().filter(|_| response.status().is_success());
                        if let Some(marker) = body.and_then(marker) {
                            ahead(marker);
                        }
                    });
                    // A server error may follow a completed change.
                    let settled = response.status().as_u16() < 500;
                    if settled { AttemptOutcome::Settled } else { AttemptOutcome::InDoubt }
                }
                Err(error) if was_not_sent(error) => AttemptOutcome::Settled,
                Err(_) => AttemptOutcome::InDoubt,
            };
            if let Some(noted) = &mut noted {
                noted.fate = fate;
            }
            outcome
        })
    }
}

/// Records the outcome of an attempt when it is dropped.
struct AttemptRecord {
    attempts: Arc<Attempts>,
    sent: i64,
    fate: AttemptOutcome,
}

impl Drop for AttemptRecord {
    fn drop(&mut self) {
        self.attempts.note(self.fate, self.sent);
    }
}

/// Service and action of a request of the AWS Query protocol.
fn action_of(request: &HttpRequest) -> (&'static str, String) {
    let form = request.body().bytes().unwrap_or_default();
    let (mut action, mut service) = (String::new(), Service::IAM);
    for (key, value) in form_urlencoded::parse(form) {
        match &*key {
            "Action" => action = value.into_owned(),
            "Version" if Service::STS.version() == Some(&*value) => service = Service::STS,
            _ => {}
        }
        // The SDK writes these two first.
        if !action.is_empty() && key == "Version" {
            break;
        }
    }
    (service.prefix(), action)
}

/// Response with its whole body, so that a truncated one is an error.
async fn collect_body(response: HttpResponse) -> Result<HttpResponse, ConnectorError> {
    if response.body().bytes().is_some() {
        let is_contradiction = response.status().is_success()
            && response.body().bytes().is_some_and(is_error_document);
        return Ok(if is_contradiction { into_server_error(response) } else { response });
    }
    let (status, headers) = (response.status(), response.headers().clone());
    let body = Limited::new(response.into_body(), MAX_BODY);
    let body = tokio::time::timeout(READ_TIMEOUT, body.collect())
        .await
        .map_err(|late| ConnectorError::timeout(late.into()))?
        .map_err(ConnectorError::io)?;
    let body = body.to_bytes();
    let is_contradiction = status.is_success() && is_error_document(&body);
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    *response.headers_mut() = headers;
    Ok(if is_contradiction { into_server_error(response) } else { response })
}

/// Check for the error document of AWS in a body.
fn is_error_document(body: &[u8]) -> bool {
    const SEARCH_BYTES: usize = 1024;
    let text = String::from_utf8_lossy(&body[..body.len().min(SEARCH_BYTES)]);
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    // Declarations that may precede the root.
    while let Some(after) = rest.strip_prefix("<?").or_else(|| rest.strip_prefix("<!")) {
        let Some(end) = after.find('>') else { return false };
        rest = after[end + 1..].trim_start();
    }
    ["<ErrorResponse", "<Error>", "<Response><Errors>"].iter().any(|root| rest.starts_with(root))
}

/// Turns a successful response with an error document into a server error.
fn into_server_error(response: HttpResponse) -> HttpResponse {
    let Ok(failed) = StatusCode::try_from(500) else { return response };
    let (status, mut headers) = (response.status().as_u16(), response.headers().clone());
    headers.insert(ORIGINAL_STATUS, status.to_string());
    let mut contradicted = HttpResponse::new(failed, response.into_body());
    *contradicted.headers_mut() = headers;
    contradicted
}

/// Check that a failed request has certainly not reached a server: no connection was made.
fn was_not_sent(error: &ConnectorError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let causes = std::iter::from_fn(move || {
        let now = cause?;
        cause = now.source();
        Some(now)
    });
    let mut causes = causes.take(16);
    error.is_user()
        || causes.any(|cause| {
            cause
                .downcast_ref::<hyper_util::client::legacy::Error>()
                .is_some_and(hyper_util::client::legacy::Error::is_connect)
                || cause.to_string().starts_with("HTTP connect timeout")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::client::{Backend, Connection};
    use crate::emulator::{Emulator, EmulatorSettings};

    /// Below the gate, for any owner of a client.
    #[tokio::test]
    async fn a_wire_that_may_not_write_stops_what_the_registry_does_not_know_as_a_read() {
        let account = Emulator::in_memory(EmulatorSettings::default()).expect("memory");
        let connection =
            Connection { target: Backend::local(account.http_client()), ..Connection::default() };
        for (may_write, sent) in [(false, 0), (true, 1)] {
            let wire = Wire::new(may_write);
            let above = Arc::clone(&wire);
            let clients = connection.clients(move |client| above.above(client)).await;
            let iam = clients.expect("clients").iam;
            iam.get_role().role_name("worker").send().await.expect("a read");
            let tried = iam.delete_instance_profile().instance_profile_name("ci-sandbox").send();
            assert_eq!(tried.await.is_ok(), may_write);
            // An unknown action, or one of another service, is no read either.
            let unknown = iam.list_groups().send().await;
            assert!(unknown.is_err());
            let counts = wire.sent();
            assert_eq!(counts["GetRole"], 1);
            assert_eq!(counts.get("DeleteInstanceProfile").copied().unwrap_or_default(), sent);
            assert_eq!(counts.contains_key("ListGroups"), may_write);
        }
    }

    #[test]
    fn the_marker_of_a_page_is_found_at_either_end_and_only_as_it_stands() {
        let page =
            |before: &str, after: &str| format!("{before}{}{after}", "<member/>".repeat(5000));
        let of = |text: String| marker(text.as_bytes()).map(str::to_owned);
        let end = "<IsTruncated>true</IsTruncated><Marker>abc==</Marker></ListRolesResult>";
        assert_eq!(of(page("<R>", end)).as_deref(), Some("abc=="));
        assert_eq!(of(page("<R><Marker>abc</Marker>", "</R>")).as_deref(), Some("abc"));
        assert_eq!(of(page("<R>", "<IsTruncated>false</IsTruncated>")), None);
        // Escaped text is left to the parser.
        assert_eq!(of(page("<R>", "<Marker>a&amp;b</Marker>")), None);
        assert_eq!(of(page("<R>", "<Marker></Marker>")), None);
        assert_eq!(of(page("<R>", "<Marker>cut of")), None);
    }
}
