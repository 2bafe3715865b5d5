//! Proxies, `NO_PROXY` and trust store, as botocore reads them from environment variables and the
//! profile. All requests are sent by the HTTP client of this module. It adds this program to the
//! user agent, observes the server's clock, and adds host and proxy to errors.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_smithy_http_client::Connector as SmithyConnector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::clock::{CorrectedClock, system_time};
use super::environment::Environment;
use super::settings::{Setting, SettingOrigin};
use super::shared_config::Profile;
use crate::error::{Error, Kind, Result};
use crate::ui::terminal;

/// Name of this program in the user agent, and so in `CloudTrail`.
pub const USER_AGENT: &str = concat!("iamlua/", env!("CARGO_PKG_VERSION"));

/// Proxies and trust store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Network {
    /// Proxy for `http:` addresses.
    pub http_proxy: Option<Setting<Proxy>>,
    /// Proxy for `https:` addresses.
    pub https_proxy: Option<Setting<Proxy>>,
    /// Hosts that are reached without a proxy.
    pub no_proxy: Option<Setting<String>>,
    /// Trusted certificates, instead of the system's.
    pub ca_bundle: Option<Setting<CaBundle>>,
}

/// Address of a proxy, which may contain a password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy(String);

impl Proxy {
    /// Address without user name and password.
    #[must_use]
    pub fn shown(&self) -> String {
        without_password(&self.0)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// File of certificates.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CaBundle {
    /// Path, as it was given.
    pub path: PathBuf,
    pem: Arc<Vec<u8>>,
}

impl fmt::Debug for CaBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// Removes possible secrets from a URL: user name, password and query.
#[must_use]
pub fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let path = &path[..path.find(['?', '#']).unwrap_or(path.len())];
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

impl Network {
    /// Reads environment variables and the profile.
    ///
    /// # Errors
    /// A configuration error for a malformed proxy address, and for a bundle that cannot be read.
    pub fn resolve(environment: &Environment, profile: &Profile) -> Result<Self> {
        let bundle = environment
            .filled("AWS_CA_BUNDLE")
            .map(|path| Setting::new(path, SettingOrigin::Variable("AWS_CA_BUNDLE".into())))
            .or_else(|| profile.filled("ca_bundle").cloned())
            .or_else(|| {
                let path = environment.filled("REQUESTS_CA_BUNDLE")?;
                Some(Setting::new(path, SettingOrigin::Variable("REQUESTS_CA_BUNDLE".into())))
            });
        // In a CGI script, `HTTP_PROXY` is a header of the client's request.
        let is_cgi = environment.get("REQUEST_METHOD").is_some();
        Ok(Self {
            http_proxy: proxy(environment, "http_proxy", !is_cgi)?,
            https_proxy: proxy(environment, "https_proxy", true)?,
            no_proxy: by_case(environment, "no_proxy", true),
            ca_bundle: bundle.map(ca_bundle).transpose()?,
        })
    }

    /// Proxy for an address, if it is not reached directly.
    #[must_use]
    pub fn proxy_for(&self, uri: &Uri) -> Option<&Setting<Proxy>> {
        let proxy = match uri.scheme_str() {
            Some("https") => &self.https_proxy,
            _ => &self.http_proxy,
        };
        proxy.as_ref().filter(|_| !self.bypasses(uri))
    }

    /// Match of an address with `NO_PROXY`. Besides the rules of Python's `proxy_bypass` (names and
    /// their subdomains, with or without a port) it supports the networks of curl and Go, such as
    /// `10.0.0.0/8`.
    fn bypasses(&self, uri: &Uri) -> bool {
        let Some(rules) = self.no_proxy.as_ref().map(|rules| &*rules.value) else { return false };
        let Some(host) = uri.host() else { return false };
        if rules.trim() == "*" {
            return true;
        }
        let host = host.to_ascii_lowercase();
        let with_port = uri.port_u16().map(|port| format!("{host}:{port}"));
        let is_named = rules.split(',').any(|rule| {
            let rule = rule.trim().trim_start_matches('.').to_ascii_lowercase();
            !rule.is_empty()
                && [Some(&host), with_port.as_ref()].into_iter().flatten().any(|name| {
                    name.strip_suffix(&rule)
                        .is_some_and(|before| before.is_empty() || before.ends_with('.'))
                })
        });
        is_named
            || Matcher::builder().all("http://proxy").no(rules).build().intercept(uri).is_none()
    }

    /// Loads the trust store in advance, because a first connection needs it and it takes a while.
    pub fn warm_up(&self, settings: &HttpConnectorSettings) {
        let pools = pools(self);
        let route = Route { is_secure: true, proxy: None };
        let _ = pools.connector(&route, settings, None);
    }

    /// HTTP client for one connection. `endpoints` are the configured addresses and their origins.
    #[must_use]
    pub fn client(
        &self,
        clock: CorrectedClock,
        endpoints: Vec<Setting<String>>,
    ) -> SharedHttpClient {
        let endpoints = Arc::new(endpoints);
        SharedHttpClient::new(Client { pools: pools(self), clock, endpoints, is_direct: false })
    }

    /// Sends a request of a script, without anything of the SDK: no redirects, no retries.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn send(
        &self,
        request: HttpRequest,
    ) -> std::result::Result<HttpResponse, NetworkError> {
        let uri: Uri = request.uri().parse().unwrap_or_default();
        let proxy = self.proxy_for(&uri);
        let route = Route {
            is_secure: uri.scheme_str() == Some("https"),
            proxy: proxy.map(|setting| setting.value.clone()),
        };
        let via = proxy.map(via);
        let place = RequestTarget { host: host_of(&uri), origin: None, via };
        if self.ca_bundle.is_none() && route.uses_tls() && !*HAS_SYSTEM_ROOTS {
            return Err(NetworkError { place, source: NO_ROOTS.into() });
        }
        let connector =
            pools(self).connector(&route, &HttpConnectorSettings::builder().build(), None);
        match connector.call(request).await {
            Ok(response) if response.status().as_u16() == 407 && place.via.is_some() => {
                Err(NetworkError { place, source: PROXY_REFUSES.into() })
            }
            Ok(response) => Ok(response),
            Err(error) => Err(NetworkError { place, source: Box::new(error) }),
        }
    }

    /// HTTP client without a proxy, for instance metadata. A proxy would answer with its own
    /// credentials.
    #[must_use]
    pub fn direct_client(&self, clock: CorrectedClock) -> SharedHttpClient {
        let endpoints = Arc::default();
        SharedHttpClient::new(Client { pools: pools(self), clock, endpoints, is_direct: true })
    }
}

/// Variable whose name may be in lower or upper case. As in Python, lower case wins, even if empty.
fn by_case(environment: &Environment, name: &str, with_upper: bool) -> Option<Setting<String>> {
    let upper = name.to_ascii_uppercase();
    let (name, value) = match environment.get(name) {
        Some(value) => (name.to_owned(), Some(value)),
        None if with_upper => (upper.clone(), environment.get(&upper)),
        None => return None,
    };
    let value = value.filter(|value| !value.trim().is_empty())?;
    Some(Setting::new(value, SettingOrigin::Variable(name)))
}

fn proxy(
    environment: &Environment,
    name: &str,
    with_upper: bool,
) -> Result<Option<Setting<Proxy>>> {
    let Some(setting) = by_case(environment, name, with_upper) else { return Ok(None) };
    let text = setting.value.trim();
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    // A user name without a password is not sent, as in botocore.
    let has_password =
        url.split_once('@').is_some_and(|(before, _)| before.matches(':').count() > 1);
    let url = if has_password { url } else { without_password(&url) };
    let made =
        if name == "https_proxy" { ProxyConfig::https(&*url) } else { ProxyConfig::http(&*url) };
    made.map_err(|_| {
        let shown = without_password(&url);
        Error::new(
            Kind::Configuration,
            format!("{} is no address of a proxy: {shown:?}", setting.origin),
        )
        .hint(
            "it is written like http://proxy.example.com:3128, with NAME:PASSWORD@ before the \
             host if it wants them",
        )
    })?;
    Ok(Some(Setting::new(Proxy(url), setting.origin)))
}

fn ca_bundle(setting: Setting<String>) -> Result<Setting<CaBundle>> {
    let Setting { value, origin } = setting;
    let wrong = |why: String| {
        let name = if matches!(origin, SettingOrigin::File { .. }) { "ca_bundle in " } else { "" };
        let message = format!("the certificates {value} ({name}{origin}) cannot be used: {why}");
        Error::new(Kind::Configuration, message)
            .hint("it must be a file of certificates in PEM form, such as the one of your company's proxy")
    };
    let pem = std::fs::read(&value).map_err(|error| wrong(error.to_string()))?;
    // The HTTP client accepts only usable certificates.
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("there is none in it".into()));
    }
    Ok(Setting::new(CaBundle { path: value.into(), pem: Arc::new(pem) }, origin))
}

/// Scheme and proxy of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Route {
    is_secure: bool,
    proxy: Option<Proxy>,
}

impl Route {
    /// True if the destination or the proxy is reached by TLS.
    fn uses_tls(&self) -> bool {
        self.is_secure || self.proxy.as_ref().is_some_and(|Proxy(url)| url.starts_with("https:"))
    }
}

/// True if the system has CA certificates, in its usual places or those that `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name.
static HAS_SYSTEM_ROOTS: LazyLock<bool> =
    LazyLock::new(|| !rustls_native_certs::load_native_certs().certs.is_empty());

/// Cause of the error without CA certificates.
const NO_ROOTS: &str = "this system has no CA certificates to check the certificate of a server";

/// Cause of the error behind a proxy that wants a password.
const PROXY_REFUSES: &str = "it answers 407 Proxy Authentication Required";

/// Name of a proxy in errors, with the origin of its address.
fn via(proxy: &Setting<Proxy>) -> String {
    format!("the proxy {} ({})", proxy.value.shown(), proxy.origin)
}

/// Route, connect timeout and read timeout.
type ConnectorKey = (Route, Option<Duration>, Option<Duration>);

/// Connection pools of all clients with the same network settings, by route and timeouts.
#[derive(Debug)]
struct Pools {
    network: Network,
    connectors: Mutex<HashMap<ConnectorKey, SharedHttpConnector>>,
}

/// Pools for network settings, one per process, so that connections and the trust store are shared.
fn pools(network: &Network) -> Arc<Pools> {
    static POOLS: LazyLock<Mutex<HashMap<Network, Arc<Pools>>>> = LazyLock::new(Mutex::default);
    let mut all = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || Pools { network: network.clone(), connectors: Mutex::default() };
    Arc::clone(all.entry(network.clone()).or_insert_with(|| Arc::new(make())))
}

impl Pools {
    fn connector(
        &self,
        route: &Route,
        settings: &HttpConnectorSettings,
        components: Option<&RuntimeComponents>,
    ) -> SharedHttpConnector {
        let key = (route.clone(), settings.connect_timeout(), settings.read_timeout());
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = connectors.get(&key) {
            return known.clone();
        }
        let mut builder = SmithyConnector::builder().connector_settings(settings.clone());
        builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        builder.set_proxy_config(route.proxy.as_ref().and_then(|Proxy(url)| {
            // The address was validated when it was read.
            let url = url.as_str();
            if route.is_secure { ProxyConfig::https(url) } else { ProxyConfig::http(url) }.ok()
        }));
        let connector = if route.uses_tls() {
            builder
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(self.tls_context())
                .build()
        } else {
            builder.build_http()
        };
        connectors.entry(key).or_insert(SharedHttpConnector::new(connector)).clone()
    }

    fn tls_context(&self) -> TlsContext {
        let Some(bundle) = &self.network.ca_bundle else { return TlsContext::default() };
        let store = TrustStore::empty()
            .with_native_roots(false)
            .with_pem_certificate(bundle.value.pem.as_slice());
        TlsContext::builder().with_trust_store(store).build().unwrap_or_default()
    }
}

#[derive(Clone, Debug)]
struct Client {
    pools: Arc<Pools>,
    clock: CorrectedClock,
    endpoints: Arc<Vec<Setting<String>>>,
    is_direct: bool,
}

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            client: self.clone(),
            settings: settings.clone(),
            components: components.clone(),
        })
    }
}

#[derive(Debug)]
struct Connector {
    client: Client,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
}

impl HttpConnector for Connector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        add_user_agent(&mut request);
        let Ok(uri) = request.uri().parse::<Uri>() else {
            let message = format!("{:?} is no address", without_password(request.uri()));
            return HttpConnectorFuture::ready(Err(ConnectorError::user(message.into())));
        };
        let Client { pools, clock, endpoints, is_direct } = &self.client;
        let proxy = if *is_direct { None } else { pools.network.proxy_for(&uri) };
        let route = Route {
            is_secure: uri.scheme_str() == Some("https"),
            proxy: proxy.map(|setting| setting.value.clone()),
        };
        let via = proxy.map(via);
        let origin = endpoints
            .iter()
            .find(|endpoint| request.uri().starts_with(&*endpoint.value))
            .map(|endpoint| endpoint.origin.to_string());
        let place = RequestTarget { host: host_of(&uri), origin, via };
        let needs_system_roots = pools.network.ca_bundle.is_none() && route.uses_tls();
        if needs_system_roots && !*HAS_SYSTEM_ROOTS {
            // The same again, however often it is tried.
            let error = Box::new(NetworkError { place, source: NO_ROOTS.into() });
            return HttpConnectorFuture::ready(Err(ConnectorError::user(error)));
        }
        let is_signed = request.headers().get("authorization").is_some();
        let sent = SystemTime::now();
        let answer = pools.connector(&route, &self.settings, Some(&self.components)).call(request);
        let clock = clock.clone();
        HttpConnectorFuture::new(async move {
            match answer.await {
                Ok(response) if response.status().as_u16() == 407 && place.via.is_some() => {
                    let source = PROXY_REFUSES.into();
                    Err(ConnectorError::other(Box::new(NetworkError { place, source }), None))
                }
                Ok(response) => {
                    if is_signed {
                        observe(&clock, &response, sent);
                    }
                    Ok(response.map(bounded))
                }
                Err(error) => Err(with_destination(error, place)),
            }
        })
    }
}

/// Maximum size of an answer, in bytes. Those of AWS are much smaller.
const MAX_ANSWER: usize = 64 << 20;

/// Body that fails once it exceeds the maximum size.
fn bounded(body: SdkBody) -> SdkBody {
    let named = |error: Box<dyn StdError + Send + Sync>| -> Box<dyn StdError + Send + Sync> {
        if !error.is::<LengthLimitError>() {
            return error;
        }
        format!("the answer is larger than {} MiB", MAX_ANSWER >> 20).into()
    };
    SdkBody::from_body_1_x(Limited::new(body, MAX_ANSWER).map_err(named))
}

/// Adds this program to the user agent, before the SDK.
fn add_user_agent(request: &mut HttpRequest) {
    let headers = request.headers_mut();
    let named = match headers.get("user-agent") {
        Some(agent) if agent.starts_with(USER_AGENT) => return,
        Some(agent) => format!("{USER_AGENT} {agent}"),
        None => USER_AGENT.to_owned(),
    };
    headers.insert("user-agent", named);
}

/// Compares the server's clock with the machine's at the middle of the call.
fn observe(clock: &CorrectedClock, response: &HttpResponse, sent: SystemTime) {
    let date = response.headers().get("date");
    let date =
        date.and_then(|date| jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok());
    let Some(date) = date else { return };
    let took = sent.elapsed().unwrap_or_default();
    if let Some(note) = clock.observe(system_time(date), sent + took / 2) {
        terminal::say(&note);
    }
}

fn host_of(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Destination of a request.
#[derive(Debug)]
struct RequestTarget {
    host: String,
    origin: Option<String>,
    via: Option<String>,
}

/// Error of a request without an answer, with its host and proxy.
#[derive(Debug)]
pub struct NetworkError {
    place: RequestTarget,
    source: Box<dyn StdError + Send + Sync>,
}

impl NetworkError {
    /// Host with the origin of its configuration, and proxy.
    #[must_use]
    pub fn place(&self) -> String {
        let RequestTarget { host, origin, via } = &self.place;
        let origin = origin.as_ref().map(|origin| format!(" ({origin})")).unwrap_or_default();
        let via = via.as_ref().map(|via| format!(" through {via}")).unwrap_or_default();
        format!("{host}{origin}{via}")
    }

    /// True if the request went through a proxy.
    #[must_use]
    pub fn is_proxied(&self) -> bool {
        self.place.via.is_some()
    }

    /// Root cause, in plain words.
    #[must_use]
    pub fn cause(&self) -> String {
        let cause = self.deepest();
        let plain = match &*cause {
            text if text.contains("UnknownIssuer") => {
                "the certificate is signed by an authority that is not trusted"
            }
            text if text.contains("InvalidContentType") => "the port does not speak TLS",
            text if text.contains("proxy authorization required") => {
                "the proxy refuses the name and password, or wants some (407)"
            }
            _ => return cause,
        };
        plain.to_owned()
    }

    fn deepest(&self) -> String {
        let mut cause: &(dyn StdError + 'static) = &*self.source;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        cause.to_string()
    }

    /// Next steps, by the cause.
    #[must_use]
    pub fn hints(&self) -> Vec<&'static str> {
        let cause = self.deepest();
        if cause == NO_ROOTS {
            return vec![
                "install the package ca-certificates, or name a file of CA certificates in PEM \
                 form with AWS_CA_BUNDLE or SSL_CERT_FILE",
            ];
        }
        if cause.contains("UnknownIssuer") {
            return vec![
                "if a proxy of your company opens TLS connections, name its certificates with \
                 AWS_CA_BUNDLE or ca_bundle",
            ];
        }
        if cause.contains("certificate") {
            return vec!["check the name of the host in the endpoint's address"];
        }
        if cause.contains("InvalidContentType") {
            return vec!["check the address: is it http:// instead of https://?"];
        }
        if cause.contains("407") || cause.contains("authorization required") {
            return vec![
                "name and password of a proxy stand in its address: \
                 http://NAME:PASSWORD@host:port, with special characters percent-encoded",
            ];
        }
        if self.is_proxied() {
            return vec!["check the proxy; NO_PROXY names hosts that are reached without it"];
        }
        if self.place.origin.is_some() {
            return vec!["check the network and the endpoint"];
        }
        vec!["check the network and the region (--region)", "behind a proxy, set HTTPS_PROXY"]
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

impl StdError for NetworkError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

/// Adds the destination of the request to an error.
fn with_destination(error: ConnectorError, place: RequestTarget) -> ConnectorError {
    if error.is_user() {
        return error;
    }
    let (is_timeout, is_io, other) = (error.is_timeout(), error.is_io(), error.as_other());
    let error = Box::new(NetworkError { place, source: Box::new(error) });
    if is_timeout {
        ConnectorError::timeout(error)
    } else if is_io {
        ConnectorError::io(error)
    } else {
        ConnectorError::other(error, other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(variables: &[(&'static str, &'static str)]) -> Result<Network> {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        let environment =
            Environment::from_fn(move |name| variables.get(name).map(|value| (*value).to_owned()));
        Network::resolve(&environment, &Profile::default())
    }

    fn proxy_of(variables: &[(&'static str, &'static str)], url: &'static str) -> Option<String> {
        let network = network(variables).expect("a network");
        let proxy = network.proxy_for(&Uri::from_static(url))?;
        Some(format!("{} by {}", proxy.value.shown(), proxy.origin))
    }

    /// The right column is the result of Python's `urllib.request.getproxies` and `proxy_bypass`,
    /// which botocore calls.
    #[test]
    fn proxies_are_found_as_python_finds_them() {
        const IAM: &str = "https://iam.amazonaws.com/";
        let both = [("HTTPS_PROXY", "http://u:p@a:1"), ("https_proxy", "http://b:2")];
        assert_eq!(proxy_of(&both, IAM).as_deref(), Some("http://b:2 by https_proxy"));
        assert_eq!(proxy_of(&both[..1], IAM).as_deref(), Some("http://a:1 by HTTPS_PROXY"));
        assert_eq!(proxy_of(&both, "http://x/"), None, "https_proxy is not for http:");
        let emptied = [("HTTPS_PROXY", "http://a:1"), ("https_proxy", "")];
        assert_eq!(proxy_of(&emptied, IAM), None);
        assert_eq!(proxy_of(&[("ALL_PROXY", "http://a:1")], IAM), None);
        assert_eq!(
            proxy_of(&[("HTTP_PROXY", "a:1")], "http://x/").as_deref(),
            Some("http://a:1 by HTTP_PROXY")
        );
        assert_eq!(
            proxy_of(&[("HTTP_PROXY", "a:1"), ("REQUEST_METHOD", "GET")], "http://x/"),
            None
        );
        assert!(network(&[("HTTPS_PROXY", "socks5://a:1")]).is_err());
        assert!(network(&[("HTTPS_PROXY", "http://")]).is_err());
        for (no_proxy, url, is_direct) in [
            ("*", "https://10.0.0.1/", true),
            ("amazonaws.com", IAM, true),
            (".amazonaws.com", IAM, true),
            ("zonaws.com", IAM, false),
            ("IAM.amazonaws.com", IAM, true),
            ("x, iam.amazonaws.com", IAM, true),
            ("localhost:7100", "https://localhost:7100/", true),
            ("localhost:7101", "https://localhost:7100/", false),
            ("localhost", "https://localhost:7100/", true),
            ("10.0.0.0/8", "https://10.1.2.3/", true),
            ("10.0.0.0/8", "https://11.1.2.3/", false),
            ("", IAM, false),
        ] {
            let network = network(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", no_proxy)]);
            let found =
                network.expect("a network").proxy_for(&url.parse().expect("a URL")).is_none();
            assert_eq!(found, is_direct, "{no_proxy} {url}");
        }
    }

    #[test]
    fn a_bundle_that_cannot_be_used_says_where_it_is_named() {
        let missing = network(&[("AWS_CA_BUNDLE", "/nowhere/ca.pem")]).expect_err("missing");
        assert!(
            missing.message.starts_with(
                "the certificates /nowhere/ca.pem (AWS_CA_BUNDLE) cannot be used: No such file"
            ),
            "{missing}"
        );
        let empty = tempfile::NamedTempFile::new().expect("a file");
        let path: &'static str = Box::leak(empty.path().display().to_string().into_boxed_str());
        let none = network(&[("REQUESTS_CA_BUNDLE", path)]).expect_err("no certificates");
        assert!(none.message.ends_with("there is none in it"), "{none}");
    }
}
