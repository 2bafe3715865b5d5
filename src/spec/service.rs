//! AWS services: one row for each, with everything that depends on the service.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// An AWS service that an action belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Service(&'static ServiceRow);

/// What is known of a service.
#[derive(Debug)]
pub struct ServiceRow {
    /// The prefix of its actions in IAM policies, which is also its name in signatures.
    pub prefix: &'static str,
    /// The folder of its API reference on AWS's documentation site.
    pub reference: &'static str,
    /// How it is spoken to. It decides where a refusal has code and message, too.
    pub protocol: Protocol,
    /// The name of its hosts before the region.
    pub host: &'static str,
    /// The same with validated cryptography (FIPS 140), in AWS's first partition.
    pub fips: &'static str,
    /// Whether its usual hosts in `us-gov-` regions are those with FIPS.
    pub has_fips_in_govcloud: bool,
    /// The id in AWS's configuration files and in `AWS_ENDPOINT_URL_…`.
    pub id: &'static str,
    /// Whether it also answers at a host without a region.
    pub is_global: bool,
    /// The regions in which it is known to be; none if it is everywhere.
    pub known_in: &'static [&'static [&'static str]],
}

/// How a service is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// EC2's dialect of the query protocol: a form, answered by XML.
    Ec2 {
        /// The version of the API.
        version: &'static str,
    },
    /// The query protocol: a form, answered by XML.
    Query {
        /// The version of the API.
        version: &'static str,
    },
    /// JSON 1.1 with the action in a header.
    Json {
        /// What stands before the action there.
        target: &'static str,
    },
    /// JSON, with the action in method and path.
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

    /// The service of that row.
    #[must_use]
    pub const fn of(row: &'static ServiceRow) -> Self {
        Self(row)
    }

    /// What is known of it.
    #[must_use]
    pub const fn row(self) -> &'static ServiceRow {
        self.0
    }

    /// The version of its API, where requests say one.
    #[must_use]
    pub const fn version(self) -> Option<&'static str> {
        match self.0.protocol {
            Protocol::Ec2 { version } | Protocol::Query { version } => Some(version),
            Protocol::Json { .. } | Protocol::Rest => None,
        }
    }

    /// The prefix of the service's actions in IAM policies.
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
