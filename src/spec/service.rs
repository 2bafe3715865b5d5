//! AWS services: one row per service, with all that is specific to it.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// AWS service of an action.
#[derive(Clone, Copy, Debug)]
pub struct Service(&'static ServiceRow);

/// Row of a service.
#[derive(Debug)]
pub struct ServiceRow {
    /// Prefix of its actions in IAM policies, and signing name.
    pub prefix: &'static str,
    /// Folder of its API reference on AWS's documentation site.
    pub reference: &'static str,
    /// Protocol, which also determines where an error has code and message.
    pub protocol: Protocol,
    /// Host name before the region.
    pub host: &'static str,
    /// Host name before the region with FIPS 140, in AWS's first partition.
    pub fips: &'static str,
    /// True if its ordinary hosts in `us-gov-` regions support FIPS.
    pub has_fips_in_govcloud: bool,
    /// Id in AWS's configuration files and in `AWS_ENDPOINT_URL_…`.
    pub id: &'static str,
    /// True if it also has a host without a region.
    pub is_global: bool,
    /// Regions in which it is known to exist; empty if it exists everywhere.
    pub known_in: &'static [&'static [&'static str]],
}

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

impl Service {
    /// AWS Identity and Access Management.
    pub const IAM: Self = Self::of(&ServiceRow {
        prefix: "iam",
        reference: "IAM/latest/APIReference",
        protocol: Protocol::Query { version: "2010-05-08" },
        host: "iam",
        fips: "iam-fips",
        has_fips_in_govcloud: true,
        id: "IAM",
        is_global: true,
        known_in: &[],
    });

    /// AWS Security Token Service.
    pub const STS: Self = Self::of(&ServiceRow {
        prefix: "sts",
        reference: "STS/latest/APIReference",
        protocol: Protocol::Query { version: "2011-06-15" },
        host: "sts",
        fips: "sts-fips",
        has_fips_in_govcloud: true,
        id: "STS",
        is_global: true,
        known_in: &[],
    });

    /// Service of a row.
    #[must_use]
    pub const fn of(row: &'static ServiceRow) -> Self {
        Self(row)
    }

    /// Row of the service.
    #[must_use]
    pub const fn row(self) -> &'static ServiceRow {
        self.0
    }

    /// API version, if requests have one.
    #[must_use]
    pub const fn version(self) -> Option<&'static str> {
        match self.0.protocol {
            Protocol::Ec2 { version } | Protocol::Query { version } => Some(version),
            Protocol::Json { .. } | Protocol::Rest => None,
        }
    }

    /// Prefix of its actions in IAM policies.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        self.0.prefix
    }
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        self.prefix() == other.prefix()
    }
}

impl Eq for Service {}

impl Hash for Service {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.prefix().hash(state);
    }
}

impl PartialOrd for Service {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Service {
    fn cmp(&self, other: &Self) -> Ordering {
        self.prefix().cmp(other.prefix())
    }
}
