//! Webhook: posts a failure as JSON to a URL. The URL may be a secret, so messages show only its
//! host.

use std::error::Error as _;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use hyper::Uri;

use crate::error::{Error, Result};

/// Time limit for the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// URL of a webhook.
pub(super) struct Webhook {
    /// Host, in brackets if it is an IPv6 address.
    pub host: String,
    pub port: u16,
    is_secure: bool,
    address: Uri,
}

impl Webhook {
    /// Parses a URL.
    pub fn parse(address: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::argument(format!("on_failure.webhook {what}"))
                .hint("it must be an address such as https://hooks.example.com/services/…")
        };
        let address: Uri = address.parse().map_err(|_| wrong("is no address"))?;
        let is_secure = match address.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("must begin with \"https://\" or \"http://\"")),
        };
        if address.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("has a user name or password, which is not supported"));
        }
        let Some(host) = address.host().filter(|host| !host.is_empty()) else {
            return Err(wrong("names no host"));
        };
        let host = host.to_ascii_lowercase();
        let port = address.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        Ok(Self { host, port, is_secure, address })
    }

    /// Part of the URL that may be shown: the host, and the port unless it is the default.
    pub fn place(&self) -> String {
        let usual = if self.is_secure { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Posts a failure once. A status of 2xx is success. Proxies come from the environment:
    /// `HTTPS_PROXY`, `NO_PROXY`.
    pub async fn post(&self, body: Vec<u8>) -> Result<(), String> {
        let mut request = HttpRequest::new(SdkBody::from(body.clone()));
        let address = self.address.to_string();
        request.set_method("POST").map_err(|error| error.to_string())?;
        request.set_uri(address.as_str()).map_err(|_| "the address cannot be used")?;
        let headers = request.headers_mut();
        headers.insert("content-type", "application/json");
        headers.insert("content-length", body.len().to_string());
        headers.insert("user-agent", concat!("iamlua/", env!("CARGO_PKG_VERSION")));
        let answer = tokio::time::timeout(TIMEOUT, self.connector().call(request)).await;
        match answer {
            Err(_) => Err(format!("there was no answer within {TIMEOUT:?}")),
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(format!("the answer was {}", answer.status())),
            Ok(Err(error)) => {
                // The outermost errors are generic; the cause is at the end of the chain.
                let mut text = error.to_string();
                let mut source = error.source();
                while let Some(deeper) = source {
                    text = deeper.to_string();
                    source = deeper.source();
                }
                Err(text.replace(&address, &self.place()))
            }
        }
    }

    fn connector(&self) -> Connector {
        let is_loopback = self.host == "localhost"
            || self
                .host
                .trim_matches(['[', ']'])
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        let proxy = if is_loopback { ProxyConfig::disabled() } else { ProxyConfig::from_env() };
        // Failures are rare, so connections are not pooled.
        let builder = Connector::builder().pool_max_idle_per_host(0).proxy_config(proxy);
        if self.is_secure {
            builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build()
        } else {
            builder.build_http()
        }
    }
}
