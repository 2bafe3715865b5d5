//! A place that calls go to, as the journal and plan files name it: enough to find the way back there.

use serde::{Deserialize, Serialize};

use super::memory::Key;
use crate::aws::client::{Connection, Role, Target};
use crate::aws::network::without_password;
use crate::iam::image::Subject;

/// A place that calls go to, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Who answers.
    pub target: SiteTarget,
    /// The account's 12 digits; none where an endpoint does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The ARN of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The profile of `~/.aws/config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The AWS region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The endpoint, instead of AWS's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// The roles that were assumed, one with the credentials of the one before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<SiteRole>,
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SiteTarget {
    /// The local account.
    Local,
    /// AWS, or what an endpoint URL names.
    Aws,
}

/// A role that was assumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteRole {
    /// Its ARN.
    pub arn: String,
    /// What its owner asks for; AWS does not treat it as a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The name of the session.
    pub session_name: String,
}

impl Site {
    /// The place that a connection leads to.
    #[must_use]
    pub fn of(connection: &Connection, account: Option<String>, caller: Option<String>) -> Self {
        Self {
            target: match connection.target {
                Target::Local(_) => SiteTarget::Local,
                Target::Aws => SiteTarget::Aws,
            },
            account,
            caller,
            profile: connection.profile.clone(),
            region: connection.region.clone(),
            endpoint_url: connection.endpoint_url.as_deref().map(without_password),
            roles: connection
                .roles
                .iter()
                .map(|role| SiteRole {
                    arn: role.arn.clone(),
                    external_id: role.external_id.clone(),
                    session_name: role.session_name.clone(),
                })
                .collect(),
        }
    }

    /// The connection that leads there.
    #[must_use]
    pub fn connection(&self, target: Target) -> Connection {
        Connection {
            target,
            profile: self.profile.clone(),
            region: self.region.clone(),
            endpoint_url: self.endpoint_url.clone(),
            roles: self
                .roles
                .iter()
                .map(|role| Role {
                    arn: role.arn.clone(),
                    external_id: role.external_id.clone(),
                    session_name: role.session_name.clone(),
                })
                .collect(),
        }
    }

    /// Whether both lead to the same account, by whichever way and as whomever.
    #[must_use]
    pub fn is_same_account(&self, other: &Self) -> bool {
        self.target == other.target && self.account == other.account
    }

    /// Where it is, in words: "the local account" or "AWS account 123456789012 at http://…".
    #[must_use]
    pub fn describe(&self) -> String {
        let account = self.account.as_deref().unwrap_or("(unknown)");
        match self.target {
            SiteTarget::Local => format!("the local account {account}"),
            SiteTarget::Aws => match &self.endpoint_url {
                Some(url) => format!("AWS account {account} at {url}"),
                None => format!("AWS account {account}"),
            },
        }
    }
}

impl Site {
    /// The same in two words: "local 123456789012", "aws 123456789012".
    #[must_use]
    pub fn short(&self) -> String {
        let account = self.account.as_deref().unwrap_or("(unknown)");
        match self.target {
            SiteTarget::Local => format!("local {account}"),
            SiteTarget::Aws => format!("aws {account}"),
        }
    }
}

/// Which sites lead to the same account: what is done through one of them is done to what the others show.
#[derive(Debug)]
pub(super) struct Places(Vec<usize>);

impl Places {
    pub(super) fn of(sites: &[Site]) -> Self {
        let is_same = |one: &Site, other: &Site| {
            one.is_same_account(other) && one.endpoint_url == other.endpoint_url
        };
        let first =
            |site: &Site| sites.iter().position(|other| is_same(other, site)).unwrap_or_default();
        Self(sites.iter().map(first).collect())
    }

    /// A profile or role, wherever it is, by the site through which it was reached.
    pub(super) fn key(&self, site: usize, subject: Subject, name: &str) -> (usize, Key) {
        (self.0.get(site).copied().unwrap_or(site), Key::new(subject, name))
    }
}
