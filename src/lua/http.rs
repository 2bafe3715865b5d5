//! Requests of a script to web servers: `http` of the standard library. They go to allowed hosts
//! alone, also after a redirect, by the proxies and certificates of the calls to AWS.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;
use mlua::{Lua, MultiValue, Table, UserData, Value as LuaValue};
use url::Url;

use super::budget::{self, MAX_READ, MemoryBudget, Reservation};
use super::fakes::FakeAnswer;
use super::host::{Host, add, handle_arg, internal, planned, text_arg};
use super::sandbox::{Access, Permissions};
use crate::aws::network::{Network, NetworkError, USER_AGENT};
use crate::error::{Error, Kind, Result};
use crate::spec::Value;

/// Maximum number of redirects that are followed.
const MAX_REDIRECTS: usize = 5;
/// Maximum length of an address, in bytes.
const MAX_URL: usize = 16 << 10;
/// Maximum size of all headers of a request, in bytes.
const MAX_HEADERS: usize = 64 << 10;
/// Maximum length of a part of an address that is shown: a longer one may be a secret.
const MAX_SHOWN_PART: usize = 16;
/// Headers that the client itself sets.
const OWN_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Headers that are sent to another host after a redirect too.
const HARMLESS_HEADERS: [&str; 3] = ["accept", "accept-language", "user-agent"];

/// Body of an answer, which a script takes when the answer is there.
#[derive(Clone, Default)]
struct Body(Arc<Mutex<Received>>);

/// Bytes of an answer, which count as memory of the script.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    reservation: Option<Reservation>,
}

impl UserData for Body {}

impl Body {
    fn received(&self) -> MutexGuard<'_, Received> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers the host functions.
pub(super) fn functions(lua: &Lua, host: &Rc<Host>, fallible: &Table) -> mlua::Result<()> {
    let network = RefCell::new(None);
    // Arguments: name of the function, method, address, names and values of the query and of the
    // headers, each one after the other, body, seconds, and true if the script has a replacement
    // under a plan. The result is nil if nothing is sent, or a handle to wait for and the body.
    add(lua, host, fallible, "http_start", move |lua, host, args| {
        host.check_arguments()?;
        let request = Request::read(lua, &args)?;
        let setup = host.setup.borrow();
        check_host(&setup.permissions, &request.url)?;
        let session = setup.gate.session();
        let has_replacement = args.get(7) == Some(&LuaValue::Boolean(true));
        if session.plans_outside() && (has_replacement || !request.is_read()) {
            if !request.is_read() {
                // A planned request is held in memory until the end.
                MemoryBudget::check(lua, 1)?;
                let url = session.journal().without_secrets(&shown(&request.url));
                let bytes = request.body.as_ref().map_or(0, Vec::len) as u64;
                planned(&setup).request(request.method, url, bytes);
            }
            return Ok(LuaValue::Nil);
        }
        let mut known = network.borrow_mut();
        let network = match &*known {
            Some(network) => Network::clone(network),
            None => known.insert(setup.gate.connection().network()?).clone(),
        };
        let body = Body::default();
        let to = body.clone();
        let permissions = setup.permissions.clone();
        // Not awaited when the script stops: it changes nothing in the account.
        let handle = host.driver.start(lua, false, async move {
            let timeout = request.timeout;
            let place = shown(&request.url);
            let name = request.name.clone();
            let answer = tokio::time::timeout(timeout, request.send(&network, &permissions)).await;
            let answer = answer.unwrap_or_else(|_| {
                let problem = format!("{name}: {place} has not answered within {timeout:?}");
                Err(Error::new(Kind::Connection, problem)
                    .hint("timeout = … waits longer; it is in seconds"))
            })?;
            *to.received() = answer.body;
            Ok(Value::Record(vec![
                ("status", Value::Int(answer.status.into())),
                ("url", Value::Str(answer.url)),
                ("headers", Value::Map(answer.headers)),
            ]))
        });
        let started = handle.and_then(|handle| {
            let started = lua.create_table()?;
            started.raw_set("handle", handle)?;
            started.raw_set("body", lua.create_userdata(body)?)?;
            Ok(LuaValue::Table(started))
        });
        started.map_err(|error| internal(&error))
    })?;
    add(lua, host, fallible, "http_body", |lua, _, args| {
        let body = handle_arg(&args, 0)?.borrow::<Body>().map_err(|error| internal(&error))?;
        let received = std::mem::take(&mut *body.received());
        lua.create_string(received.bytes).map(LuaValue::String).map_err(|error| internal(&error))
    })
}

/// Address without its possible secrets: user name, query, and long parts of its path.
fn shown(url: &Url) -> String {
    let mut text = format!("{}://{}", url.scheme(), place_of(url));
    for part in url.path_segments().into_iter().flatten() {
        let is_secret = part.len() > MAX_SHOWN_PART;
        text.extend(["/", if is_secret { "…" } else { part }]);
    }
    if url.query().is_some() {
        text.push_str("?…");
    }
    text
}

/// Host, and its port if it is not the default.
fn place_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Refuses a host that was not allowed.
fn check_host(permissions: &Permissions, url: &Url) -> Result<()> {
    let host = url.host_str().unwrap_or_default();
    if permissions.covers_host(host, url.port_or_known_default().unwrap_or_default()) {
        return Ok(());
    }
    let place = place_of(url);
    let refusal = format!("the script may not send requests to {place}");
    Err(Error::new(Kind::Permission, refusal)
        .hint(format!("allow it with {}", Access::Net.flag(&place))))
}

/// Check for a token of HTTP, such as a method or the name of a header.
fn is_token(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.len() <= 256 && text.chars().all(is_plain)
}

/// Request of a script.
struct Request {
    /// Name of the function, for errors.
    name: String,
    method: String,
    url: Url,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    timeout: Duration,
    /// Maximum size of the answer.
    most: usize,
    /// Memory for the answer.
    reservation: Option<Reservation>,
}

/// Answer of a server.
struct Answer {
    status: u16,
    url: String,
    headers: BTreeMap<String, Value>,
    body: Received,
}

impl Request {
    fn read(lua: &Lua, args: &MultiValue) -> Result<Self> {
        let name = text_arg(args, 0, "name")?;
        let refused = |why: String| Error::argument(format!("{name}: {why}"));
        let method = text_arg(args, 1, &format!("{name}: the method"))?.to_ascii_uppercase();
        if !is_token(&method) || method == "CONNECT" {
            return Err(refused(format!("there is no method {method:?}")));
        }
        let given = text_arg(args, 2, &format!("{name}: the address"))?;
        let mut url = parse(&given).map_err(refused)?;
        let pairs = |at: usize| match args.get(at) {
            Some(LuaValue::Table(pairs)) => pairs.sequence_values::<String>().collect(),
            _ => Ok(Vec::new()),
        };
        let not_text = |what: &str| refused(format!("the {what} must be UTF-8"));
        let query: Vec<String> = pairs(3).map_err(|_| not_text("query"))?;
        if !query.is_empty() {
            let mut target = url.query_pairs_mut();
            target.extend_pairs(query.chunks_exact(2).map(|pair| (&pair[0], &pair[1])));
        }
        if url.as_str().len() > MAX_URL {
            return Err(refused(format!("the address has more than {} KiB", MAX_URL >> 10)));
        }
        let mut headers = Vec::new();
        let mut size = 0;
        for pair in pairs(4).map_err(|_| not_text("headers"))?.chunks_exact(2) {
            let (key, value) = (pair[0].to_ascii_lowercase(), pair[1].trim().to_owned());
            if !is_token(&key) {
                return Err(refused(format!("there is no header {:?}", pair[0])));
            } else if OWN_HEADERS.contains(&&*key) {
                return Err(refused(format!("the header {key} is set by iamlua itself")));
            } else if value.contains(|c: char| c.is_ascii_control() && c != '\t') {
                // Not shown: it may be a secret.
                return Err(refused(format!("the header {key} has a control character")));
            }
            size += key.len() + value.len();
            headers.push((key, value));
        }
        if size > MAX_HEADERS {
            return Err(refused(format!("the headers have more than {} KiB", MAX_HEADERS >> 10)));
        }
        let body = match args.get(5) {
            Some(LuaValue::String(body)) => {
                MemoryBudget::check(lua, 2 * body.as_bytes().len())?;
                Some(body.as_bytes().to_vec())
            }
            _ => None,
        };
        let seconds = args.get(6).and_then(LuaValue::as_f64).unwrap_or_default();
        let timeout = Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|timeout| !timeout.is_zero())
            .ok_or_else(|| refused("timeout must be a time above zero".into()))?;
        let most = MAX_READ.min(MemoryBudget::left(lua) / 2);
        let reservation = Some(MemoryBudget::reserve(lua, body.as_ref().map_or(0, Vec::len))?);
        Ok(Self { name, method, url, headers, body, timeout, most, reservation })
    }

    /// Check for a method that changes nothing.
    fn is_read(&self) -> bool {
        matches!(&*self.method, "GET" | "HEAD")
    }

    fn error(&self, kind: Kind, why: &str) -> Error {
        Error::new(kind, format!("{}: {why}", self.name))
    }

    /// Sends it, and follows redirects of a read.
    async fn send(mut self, network: &Network, permissions: &Permissions) -> Result<Answer> {
        for _ in 0..=MAX_REDIRECTS {
            check_host(permissions, &self.url)?;
            let answer = self.send_once(network, permissions).await?;
            let is_redirect = matches!(answer.status, 301 | 302 | 303 | 307 | 308);
            let Some(Value::Str(to)) = answer.headers.get("location") else { return Ok(answer) };
            if !is_redirect || !self.is_read() {
                return Ok(answer);
            }
            self.redirect(to)?;
        }
        let why = format!("{} redirects more than {MAX_REDIRECTS} times", shown(&self.url));
        Err(self.error(Kind::Connection, &why))
    }

    /// Goes to the address of a redirect.
    fn redirect(&mut self, to: &str) -> Result<()> {
        let from = shown(&self.url);
        let next = self.url.join(to).ok().filter(|_| to.len() <= MAX_URL);
        let next = next.and_then(|next| parse(next.as_str()).ok());
        let Some(next) = next else {
            let why = format!("{from} redirects to an address that cannot be used");
            return Err(self.error(Kind::Connection, &why));
        };
        if self.url.scheme() == "https" && next.scheme() != "https" {
            let why = format!("{from} redirects to {}, which is not encrypted", shown(&next));
            return Err(self.error(Kind::Permission, &why));
        }
        if self.url.origin() != next.origin() {
            self.headers.retain(|(key, _)| HARMLESS_HEADERS.contains(&&**key));
        }
        self.url = next;
        Ok(())
    }

    async fn send_once(&mut self, network: &Network, permissions: &Permissions) -> Result<Answer> {
        if let Some(fakes) = &permissions.fakes {
            let body = self.body.as_deref();
            let fake = fakes.request(&self.method, &self.url, &self.headers, body)?;
            if let Some(FakeAnswer { status, headers, body, error }) = fake {
                if let Some(error) = error {
                    return Err(self.error(Kind::Connection, &error));
                }
                let headers = headers
                    .into_iter()
                    .map(|(key, value)| (key.to_ascii_lowercase(), Value::Str(value)));
                let (url, body) = (self.url.to_string(), body.into_bytes());
                let body = Received { bytes: body, reservation: None };
                return Ok(Answer { status, url, headers: headers.collect(), body });
            }
        }
        let answer = network.send(self.request()?).await.map_err(|error| self.no_answer(&error))?;
        let status = answer.status().as_u16();
        let mut headers = BTreeMap::new();
        for (key, value) in answer.headers().iter_bytes() {
            let value = String::from_utf8_lossy(value).into_owned();
            match headers.entry(key.to_owned()).or_insert(Value::Str(String::new())) {
                Value::Str(known) if known.is_empty() => *known = value,
                Value::Str(known) => known.extend([", ", &value]),
                _ => {}
            }
        }
        let (mut incoming, mut body) = (answer.into_body(), Received::default());
        body.reservation = self.reservation.take();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| {
                let why = format!("the answer of {} was cut off: {error}", shown(&self.url));
                self.error(Kind::Connection, &why)
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if body.bytes.len() + data.len() > self.most {
                let (place, most) = (shown(&self.url), self.most >> 20);
                let why = format!("the answer of {place} is larger than {most} MiB");
                return Err(self.error(Kind::Connection, &why));
            }
            // Twice: here, and as a text of Lua.
            if body.reservation.as_mut().is_some_and(|held| !held.grow(2 * data.len())) {
                return Err(budget::not_enough());
            }
            body.bytes.extend_from_slice(&data);
        }
        Ok(Answer { status, url: self.url.to_string(), headers, body })
    }

    fn request(&self) -> Result<HttpRequest> {
        let wrong = |error: &dyn std::fmt::Display| self.error(Kind::Argument, &error.to_string());
        let body = self.body.clone();
        let length = body.as_ref().map(Vec::len);
        let mut request = HttpRequest::new(body.map_or_else(SdkBody::empty, SdkBody::from));
        request.set_method(&self.method).map_err(|error| wrong(&error))?;
        let mut url = self.url.clone();
        url.set_fragment(None);
        request
            .set_uri(url.as_str())
            .map_err(|_| wrong(&format!("{} cannot be used", shown(&self.url))))?;
        let headers = request.headers_mut();
        headers.insert("user-agent", USER_AGENT);
        if length.is_some() || !self.is_read() {
            headers.insert("content-length", length.unwrap_or_default().to_string());
        }
        for (key, value) in &self.headers {
            let set = headers.try_insert(key.clone(), value.clone());
            set.map_err(|_| wrong(&format!("the header {key} cannot be used")))?;
        }
        Ok(request)
    }

    fn no_answer(&self, error: &NetworkError) -> Error {
        let why = format!("no answer from {}: {}", error.place(), error.cause());
        let mut told = self.error(Kind::Connection, &why);
        for hint in error.hints() {
            let is_of_aws = hint.contains("--region");
            told = told.hint(if is_of_aws { "check the address and the network" } else { hint });
        }
        told
    }
}

/// Parses an address of a web server.
fn parse(given: &str) -> std::result::Result<Url, String> {
    let url = if given.len() > MAX_URL { None } else { Url::parse(given).ok() };
    let Some(url) = url.filter(Url::has_host) else {
        return Err("the address must be like https://example.com/path".into());
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the address must begin with https:// or http://".into());
    } else if !url.username().is_empty() || url.password().is_some() {
        return Err("the address has a user name or password; use the header Authorization".into());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_of(url: &str) -> String {
        shown(&parse(url).expect("an address"))
    }

    #[test]
    fn secrets_of_an_address_are_not_shown() {
        for (url, text) in [
            ("https://h/a/b?token=x#y", "https://h/a/b?…"),
            ("https://h:8443", "https://h:8443/"),
            (
                "https://hooks.example.com/services/T024BE7LD/B1/XxYyZzXxYyZz0123456789",
                "https://hooks.example.com/services/T024BE7LD/B1/…",
            ),
            ("http://[::1]:80/x", "http://[::1]/x"),
        ] {
            assert_eq!(shown_of(url), text);
        }
    }

    #[test]
    fn only_addresses_of_web_servers_are_taken() {
        for url in [
            "",
            "x",
            "/x",
            "ftp://h/",
            "file:///etc/passwd",
            "https://",
            "https://u@h/",
            "https://u:p@h/",
            "javascript:x",
            "http://a b/",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
        // Other ways to write the same host are that host.
        for (url, host) in [
            ("http://2130706433/", "127.0.0.1"),
            ("http://0x7f.1/", "127.0.0.1"),
            ("https://EXAMPLE.com\\@evil.example/", "example.com"),
            ("https://b\u{fc}cher.example/", "xn--bcher-kva.example"),
        ] {
            assert_eq!(parse(url).expect("an address").host_str(), Some(host), "{url}");
        }
    }

    #[test]
    fn a_redirect_loses_secrets_and_never_encryption() {
        let request = |url: &str| Request {
            name: "http.get".into(),
            method: "GET".into(),
            url: parse(url).expect("an address"),
            headers: vec![
                ("authorization".into(), "x".into()),
                ("x-api-key".into(), "x".into()),
                ("accept".into(), "text/csv".into()),
            ],
            body: None,
            timeout: Duration::from_secs(1),
            most: 1,
            reservation: None,
        };
        for (from, to, kept) in [
            ("https://a/x", "/y", 3),
            ("https://a/x", "https://a:443/y", 3),
            ("https://a/x", "https://b/y", 1),
            ("https://a/x", "//b/y", 1),
            ("https://a/x", "https://a:444/", 1),
            ("http://a/x", "https://a/", 1),
        ] {
            let mut request = request(from);
            request.redirect(to).expect(to);
            assert_eq!(request.headers.len(), kept, "{from} {to}");
        }
        for to in ["http://a/y", "ftp://a/", "javascript:x", "https://u:p@a/", "https://"] {
            assert!(request("https://a/x").redirect(to).is_err(), "{to}");
        }
    }
}
