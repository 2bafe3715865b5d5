//! HTTP server of the status page: connections, time limits and security headers. Read-only.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::{Status, StatusResponse};
use crate::error::{Error, Result};
use crate::http_server::{Connections, Misaddressed, Slot, check_host};
use crate::schedule::log::{Level, Log, LogOrigin};
use crate::ui::html::POLICY;

/// Upper bound on connections. A further one replaces an idle one.
const MAX_CONNECTIONS: usize = 64;
/// Time limit for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Upper bound on the bytes of the head of a request; more than browsers send.
const MAX_HEAD: usize = 16 << 10;
/// Lifetime of a connection.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(30);

/// `--listen`: address of the status page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl FromStr for Listen {
    type Err = String;

    /// Parses `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`, or a port of 127.0.0.1.
    fn from_str(text: &str) -> Result<Self, String> {
        let local = |port: &str| port.parse().ok().map(|n: u16| (Ipv4Addr::LOCALHOST, n).into());
        let address = text.parse().ok();
        let address = address.or_else(|| local(text.strip_prefix("localhost:").unwrap_or(text)));
        address.map(Self).ok_or_else(|| {
            format!("must be an address with a port, such as 127.0.0.1:9464, got {text:?}")
        })
    }
}

/// Listens at an address, and logs it. Port 0 takes a free one.
///
/// # Errors
/// `Kind::Io` if the port is taken or the address does not belong to this machine.
pub async fn bind(listen: Listen, log: &Log) -> Result<TcpListener> {
    let address = listen.0;
    let bound = TcpListener::bind(address).await.and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    let (listener, address) = bound.map_err(|error| {
        let kind = error.kind();
        let error = Error::io(format!("cannot listen on {address}"), error);
        match kind {
            io::ErrorKind::AddrInUse => {
                error.hint("another program listens there: choose another port with --listen, or 0 for a free one")
            }
            io::ErrorKind::AddrNotAvailable => {
                error.hint("it must be an address of this machine, such as 127.0.0.1")
            }
            _ => error,
        }
    })?;
    let origin = LogOrigin::default();
    let fields = [("address".to_owned(), format!("http://{address}/").into())];
    log.line(Level::Info, &origin, "the status page is up", &fields);
    if !address.ip().is_loopback() {
        let text = "anybody who can reach the status page can read it: it asks for no password";
        log.line(Level::Warn, &origin, text, &fields);
    }
    Ok(listener)
}

/// Serves the pages until `shutdown` is ready.
///
/// # Errors
/// `Kind::Io` if the listener fails.
pub async fn serve(
    status: Arc<Status>,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let broken = |error| Error::io("cannot serve the status page", error);
    let is_loopback = listener.local_addr().map_err(broken)?.ip().is_loopback();
    let places = Connections::new(MAX_CONNECTIONS);
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let status = Arc::clone(&status);
                    tokio::spawn(converse(status, stream, is_loopback, places.take()));
                }
                // A connection that broke before it was accepted is no reason to stop. A lack of
                // file descriptors passes after a while.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::select! {
        () = shutdown => Ok(()),
        () = accept => Ok(()),
    }
}

async fn converse(status: Arc<Status>, stream: TcpStream, is_loopback: bool, place: Slot) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| respond(&status, request, is_loopback, &place));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // An error of a connection concerns only its client.
    tokio::select! {
        _ = tokio::time::timeout(CONNECTION_LIFETIME, connection) => {}
        () = place.displaced() => {}
    }
}

/// Content security policy of every answer. No page may frame these.
static HEADER: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!("{}; frame-ancestors 'none'", *POLICY);
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

async fn respond(
    status: &Arc<Status>,
    request: Request<Incoming>,
    is_loopback: bool,
    place: &Slot,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let answer = if let Some(answer) = refusal(&request, is_loopback) {
        answer
    } else if request.uri().path() == "/healthz" {
        // Health probes do not wait for pages.
        status.health()
    } else {
        let (path, query) = (request.uri().path().to_owned(), request.uri().query());
        let is_live = query == Some("live");
        // Bounds the memory for pages. Rendering may wait for the disk.
        let _permit = status.renders.acquire().await;
        let _answering = place.answering();
        let making = Arc::clone(status);
        let answer = tokio::task::spawn_blocking(move || making.answer(&path, is_live)).await;
        answer.unwrap_or_else(|_| {
            StatusResponse::text(StatusCode::INTERNAL_SERVER_ERROR, "that page cannot be made")
        })
    };
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.kind));
    headers.insert(CONTENT_SECURITY_POLICY, HEADER.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    Ok(response)
}

/// Reason not to answer a request. A page on a loopback address is for this machine alone.
fn refusal(request: &Request<Incoming>, is_loopback: bool) -> Option<StatusResponse> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let text = "this server only answers GET and HEAD";
        return Some(StatusResponse::text(StatusCode::METHOD_NOT_ALLOWED, text));
    }
    match check_host(request, &[]) {
        Err(Misaddressed::Unclear) => {
            let text = "the request must have one header Host";
            Some(StatusResponse::text(StatusCode::BAD_REQUEST, text))
        }
        Err(Misaddressed::Stranger) if is_loopback => {
            let text =
                "this server answers only by a name of this machine: 127.0.0.1, [::1] or localhost";
            Some(StatusResponse::text(StatusCode::MISDIRECTED_REQUEST, text))
        }
        _ => None,
    }
}
