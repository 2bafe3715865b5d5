//! Network hosts that a script may send its calls to: those of the run itself, AWS's own, and
//! granted ones.

use hyper::Uri;

use super::sandbox::{Access, Permissions};
use crate::aws::Setting;
use crate::aws::client::{Backend, Connection};
use crate::aws::network::without_password;
use crate::error::{Error, Kind, Result};
use crate::usage::endpoint;

/// Scheme, host and port of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HostPort {
    is_secure: bool,
    /// In brackets if it is an IPv6 address.
    host: String,
    port: u16,
}

impl HostPort {
    fn of(url: &str) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        let is_secure = match url.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = url.host().filter(|host| !host.is_empty())?.to_ascii_lowercase();
        let port = url.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        Some(Self { is_secure, host, port })
    }

    fn is_aws(&self) -> bool {
        self.is_secure && self.port == 443 && endpoint::is_aws(&self.host)
    }

    /// Form of `--allow-net`: the host, and the port if it is not the default.
    fn shown(&self) -> String {
        let usual = if self.is_secure { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// Endpoints that a connection sets, by its address, variables or profile. All others are AWS's
/// own.
fn endpoints(connection: &Connection) -> Result<Vec<Setting<String>>> {
    if matches!(connection.target, Backend::Local(_)) {
        return Ok(Vec::new());
    }
    let settings = connection.settings()?;
    if let Some(url) = &settings.endpoint_url {
        return Ok(vec![Setting::new(url.clone(), crate::aws::SettingOrigin::Given)]);
    }
    Ok(endpoint::service_ids().filter_map(|id| settings.configured_endpoint(id)).collect())
}

/// Check for an endpoint that is neither AWS's own nor used by the run itself.
///
/// # Errors
/// If the settings of the run cannot be read.
pub(crate) fn is_elsewhere(own: &Connection, url: &str) -> Result<bool> {
    let Some(place) = HostPort::of(url) else { return Ok(true) };
    let is_own = |setting: &Setting<String>| HostPort::of(&setting.value).as_ref() == Some(&place);
    Ok(!place.is_aws() && !endpoints(own)?.iter().any(is_own))
}

/// Refuses a script's other connection to a host that was not granted.
///
/// # Errors
/// A permission error that names the flag.
pub(super) fn check(own: &Connection, other: &Connection, granted: &Permissions) -> Result<()> {
    let others = endpoints(other)?;
    if others.is_empty() {
        return Ok(());
    }
    let own: Vec<_> = endpoints(own)?.iter().filter_map(|url| HostPort::of(&url.value)).collect();
    for endpoint in others {
        let Some(place) = HostPort::of(&endpoint.value) else {
            let message =
                format!("iam.connect: {:?} is no address", without_password(&endpoint.value));
            return Err(Error::argument(message)
                .hint("it is written like https://iam.example.com or http://127.0.0.1:7100"));
        };
        if own.contains(&place) || place.is_aws() || granted.covers_host(&place.host, place.port) {
            continue;
        }
        let shown = place.shown();
        let by = match endpoint.origin {
            crate::aws::SettingOrigin::Given => String::new(),
            origin => format!(" ({origin})"),
        };
        return Err(Error::new(
            Kind::Permission,
            format!("the script may not have its calls sent to {shown}{by}"),
        )
        .hint(format!("allow it with {}", Access::Net.flag(&shown))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_who_answers_and_not_what_it_looks_like() {
        for (url, host) in [
            ("https://sts.amazonaws.com@evil.example/", "evil.example"),
            ("https://evil.example/sts.amazonaws.com", "evil.example"),
            ("https://evil.example?sts.amazonaws.com", "evil.example"),
            ("https://evil.example#@sts.amazonaws.com", "evil.example"),
            ("https://EVIL.example:443", "evil.example"),
        ] {
            assert_eq!(HostPort::of(url).map(|place| place.host).as_deref(), Some(host), "{url}");
        }
        for url in ["ftp://h", "https://", "//h", "h", "https://evil.example\\@h", "https://a b"] {
            assert_eq!(HostPort::of(url), None, "{url}");
        }
    }

    #[test]
    fn only_names_of_services_are_those_of_aws() {
        for url in [
            "https://iam.amazonaws.com",
            "https://sts.eu-central-1.amazonaws.com",
            "https://ec2.us-gov-west-1.amazonaws.com/",
            "https://iam.us-gov.amazonaws.com",
            "https://sts.cn-north-1.amazonaws.com.cn",
            "https://iam.global.api.aws",
            "https://sts-fips.us-east-1.amazonaws.com:443",
            "https://fips.eks.us-east-2.amazonaws.com",
        ] {
            assert!(HostPort::of(url).is_some_and(|place| place.is_aws()), "{url}");
        }
        for url in [
            "http://iam.amazonaws.com",
            "https://iam.amazonaws.com:8443",
            "https://iam.s3.amazonaws.com",
            "https://ec2.s3-website.amazonaws.com",
            "https://iam.amazonaws.com.evil.example",
            "https://eviliam.amazonaws.com",
            "https://iam.eu-central-1.evil.example",
            "https://x.execute-api.us-east-1.amazonaws.com",
            "https://ec2-1-2-3-4.compute-1.amazonaws.com",
            "https://sts.us-east-1.elb.amazonaws.com",
            "https://evil.sts.us-east-1.amazonaws.com",
            "https://iam.amazonaws.com.",
            "https://sts.execute-api-1.amazonaws.com",
            "https://127.0.0.1",
        ] {
            assert!(!HostPort::of(url).is_some_and(|place| place.is_aws()), "{url}");
        }
    }
}
