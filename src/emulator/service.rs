//! Supported services and their protocols. Besides IAM and STS they are the services whose
//! resources may reference an instance profile; those are read-only.

use super::services::SERVICES;

/// A service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service(&'static ServiceRow);

/// Row of a service. Services other than IAM and STS have it in their own files.
#[derive(Debug)]
pub(super) struct ServiceRow {
    /// Name in a request's credential scope, which is also the permission prefix.
    pub(super) name: &'static str,
    pub(super) protocol: Protocol,
    /// Status, code and message of a throttled call.
    pub(super) throttled: (u16, &'static str, &'static str),
    /// Status, code and message for an invalid pagination token.
    pub(super) invalid_token: (u16, &'static str, &'static str),
    /// Error code for an invalid parameter value.
    pub(super) invalid_value: &'static str,
    /// Error code for an internal failure.
    pub(super) failure: &'static str,
    /// True for a regional service.
    pub(super) is_regional: bool,
}

/// Protocol of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Query protocol: form in, XML out.
    Query { version: &'static str, namespace: &'static str },
    /// EC2's variant of the Query protocol: lists are numbered without `member`, results are not
    /// wrapped, errors have another format.
    Ec2 { version: &'static str, namespace: &'static str },
    /// JSON 1.1. Every request is a POST to `/`. The header `X-Amz-Target` names the action, after
    /// this prefix.
    Json { target: &'static str },
    /// REST with JSON bodies.
    RestJson,
}

impl Service {
    pub(super) const IAM: Self = Self::of(&ServiceRow {
        name: "iam",
        protocol: Protocol::Query {
            version: "2010-05-08",
            namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
        },
        ..QUERY
    });
    pub(super) const STS: Self = Self::of(&ServiceRow {
        name: "sts",
        protocol: Protocol::Query {
            version: "2011-06-15",
            namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
        },
        ..QUERY
    });

    pub(super) const fn of(row: &'static ServiceRow) -> Self {
        Self(row)
    }

    pub(super) const fn row(self) -> &'static ServiceRow {
        self.0
    }

    pub(super) fn all() -> impl Iterator<Item = Self> {
        let own = [Self::IAM, Self::STS].into_iter();
        own.chain(SERVICES.iter().map(|table| table.service))
    }

    /// Name in a request's credential scope, which is also the permission prefix.
    pub(super) const fn name(self) -> &'static str {
        self.0.name
    }

    pub(super) const fn protocol(self) -> Protocol {
        self.0.protocol
    }

    /// API version of the service, if its requests have one.
    pub(super) const fn version(self) -> Option<&'static str> {
        match self.protocol() {
            Protocol::Query { version, .. } | Protocol::Ec2 { version, .. } => Some(version),
            Protocol::Json { .. } | Protocol::RestJson => None,
        }
    }

    /// True for a regional service.
    pub(super) const fn is_regional(self) -> bool {
        self.0.is_regional
    }

    /// Service in the credential scope, otherwise IAM or STS by the API version.
    pub(super) fn of_request(scope: Option<&str>, version: Option<&str>) -> Option<Self> {
        let named = Self::all().find(|service| scope == Some(service.name()));
        let either = [Self::IAM, Self::STS];
        named.or_else(|| {
            either.into_iter().find(|service| version.is_some() && version == service.version())
        })
    }
}

/// Common fields of IAM and STS.
const QUERY: ServiceRow = ServiceRow {
    name: "",
    protocol: Protocol::RestJson,
    throttled: (400, "Throttling", "Rate exceeded"),
    invalid_token: (400, "ValidationError", "Invalid Marker."),
    invalid_value: "ValidationError",
    failure: "ServiceFailure",
    is_regional: false,
};

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Service {}
