//! HTTP/1.1 server for the account on a loopback port, for any AWS client. It has the same handler
//! as in process. It only listens on loopback, because callers are not authenticated.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, DATE, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::error::{Error, Result};
use crate::http_server::{AllowedHost, Connections, Misaddressed, Slot, check_host};

use super::truncated_body::TruncatedBody;
use super::{Answer, Emulator, Request};

/// Maximum size of a body. The largest valid one has a trust policy of 128 KiB, percent-encoded.
const MAX_BODY: usize = 1 << 20;
/// Maximum size of a head; a session token fits with room to spare.
const MAX_HEAD: usize = 64 << 10;
/// Timeout for the head of a request, from the end of the previous one, and again for its body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of connections. One more replaces an idle one.
const MAX_CONNECTIONS: usize = 256;
/// Time that a shutdown waits for calls in progress.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Listens on a port of 127.0.0.1; 0 picks a free one.
///
/// # Errors
/// `Kind::Io` if the port is taken.
pub async fn bind(port: u16) -> Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|error| {
        let taken = error.kind() == io::ErrorKind::AddrInUse;
        let error = Error::io(format!("cannot listen on {address}"), error);
        if taken {
            error.hint("choose another port with --port, or 0 for a free one")
        } else {
            error
        }
    })
}

/// Settings of a server.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Accepted host names, besides those of this machine.
    pub hosts: Vec<AllowedHost>,
    /// Time that a shutdown waits for calls in progress.
    pub farewell: Duration,
    /// Timeout for the rest of a request that has begun.
    pub request: Duration,
    /// Maximum number of connections.
    pub connections: usize,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            farewell: SHUTDOWN_GRACE,
            request: REQUEST_TIMEOUT,
            connections: MAX_CONNECTIONS,
        }
    }
}

/// Serves the account until `shutdown` completes. Calls in progress then have a few seconds to
/// finish.
///
/// # Errors
/// `Kind::Usage` if the listener is not on a loopback address; `Kind::Io` if it breaks.
pub async fn serve(
    emulator: Emulator,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    serve_with(emulator, listener, shutdown, Serving::default()).await
}

/// Serves the account with settings other than the default.
///
/// # Errors
/// As those of [`serve`].
pub async fn serve_with(
    emulator: Emulator,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
    serving: Serving,
) -> Result<()> {
    let broken = |error| Error::io("cannot serve the local account", error);
    let address = listener.local_addr().map_err(broken)?;
    if !address.ip().is_loopback() {
        let message = format!("the local account is not served on {address}");
        return Err(Error::usage(message).hint(
            "anybody who can reach it may change it, so only loopback is allowed: 127.0.0.1",
        ));
    }
    let (stop, stopping) = watch::channel(());
    // Every connection holds a sender; the receiver ends when the last one is dropped.
    let (alive, mut all_gone) = mpsc::channel::<Infallible>(1);
    tokio::pin!(shutdown);
    let (farewell, places) = (serving.farewell, Connections::new(serving.connections));
    let serving = Arc::new(serving);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (emulator, stopping) = (emulator.clone(), stopping.clone());
                    let (alive, place) = (alive.clone(), places.take());
                    let serving = Arc::clone(&serving);
                    tokio::spawn(async move {
                        handle_connection(emulator, stream, stopping, &serving, &place).await;
                        drop(alive);
                    });
                }
                // A connection that broke before it was accepted does not stop the server. Neither
                // does a shortage of file descriptors, which takes a moment to pass.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    }
    drop((listener, alive));
    // Fails only if no connection is left.
    let _ = stop.send(());
    let _ = tokio::time::timeout(farewell, all_gone.recv()).await;
    Ok(())
}

async fn handle_connection(
    emulator: Emulator,
    stream: TcpStream,
    mut stopping: watch::Receiver<()>,
    serving: &Serving,
    place: &Slot,
) {
    // Small answers must not be delayed by Nagle's algorithm.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(&emulator, request, serving, place));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(serving.request)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // An error of the connection concerns only its client.
    let stopped = tokio::select! {
        _ = connection.as_mut() => false,
        () = place.displaced() => false,
        _ = stopping.changed() => true,
    };
    if stopped {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// Answers one HTTP request. After an error hyper closes the connection without an answer.
async fn answer(
    emulator: &Emulator,
    request: hyper::Request<Incoming>,
    serving: &Serving,
    place: &Slot,
) -> io::Result<Response<TruncatedBody>> {
    match check_host(&request, &serving.hosts) {
        Ok(()) => {}
        Err(Misaddressed::Unclear) => {
            return Ok(error_response(
                StatusCode::BAD_REQUEST,
                "the request must have one header Host",
            ));
        }
        Err(Misaddressed::Stranger) => {
            return Ok(error_response(StatusCode::MISDIRECTED_REQUEST, UNKNOWN_HOST));
        }
    }
    let header = |name: &str| {
        let value = request.headers().get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let (authorization, target) = (header(AUTHORIZATION.as_str()), header("x-amz-target"));
    let method = request.method().as_str().to_owned();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let body = match *request.method() {
        Method::GET => Vec::new(),
        Method::POST => {
            let body = Limited::new(request.into_body(), MAX_BODY).collect();
            match tokio::time::timeout(serving.request, body).await {
                Ok(Ok(body)) => body.to_bytes().to_vec(),
                Ok(Err(error)) if error.is::<LengthLimitError>() => {
                    let text = format!("a request has {MAX_BODY} bytes at most");
                    return Ok(error_response(StatusCode::PAYLOAD_TOO_LARGE, text));
                }
                Ok(Err(_)) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Err(_) => {
                    let text = "the rest of the request did not come";
                    return Ok(error_response(StatusCode::REQUEST_TIMEOUT, text));
                }
            }
        }
        _ => {
            let text = "this server answers GET and POST";
            return Ok(error_response(StatusCode::METHOD_NOT_ALLOWED, text));
        }
    };
    let _answering = place.answering();
    let request = Request { method, path, target, authorization, body };
    let (mut reply, body): (_, fn(String) -> TruncatedBody) = match emulator.answer(request).await {
        Answer::Reply(reply) => (reply, TruncatedBody::whole),
        Answer::Cut(reply) => (reply, TruncatedBody::of),
        Answer::Lost => return Err(io::ErrorKind::ConnectionAborted.into()),
    };
    let mut response = Response::new(body(std::mem::take(&mut reply.body)));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    if let Ok(date) = HeaderValue::from_str(&emulator.date()) {
        headers.insert(DATE, date);
    }
    if let Ok(request_id) = HeaderValue::from_str(&reply.request_id) {
        headers.insert("x-amzn-requestid", request_id);
    }
    if let Some(error_type) = reply.error_type {
        headers.insert("x-amzn-errortype", HeaderValue::from_static(error_type));
    }
    Ok(response)
}

/// Answer to a request for an unknown host name.
const UNKNOWN_HOST: &str = "this account is answered only by a name of this machine, such as 127.0.0.1 \
     or localhost; `account serve --allow-host NAME` allows another";

/// Answer to a malformed request, after which the connection is closed.
fn error_response(status: StatusCode, text: impl Into<String>) -> Response<TruncatedBody> {
    let mut response = Response::new(TruncatedBody::whole(text.into() + "\n"));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
