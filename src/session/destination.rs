//! Destination of calls, as the journal and plan files record it: enough to connect to it again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::read_cache::Key;
use crate::aws::client::{Backend, Connection, Role};
use crate::aws::network::without_password;
use crate::config::Target;
use crate::escape;
use crate::iam::snapshot::Subject;
use crate::ui::format;

/// Maximum number of accounts that a list names.
const MAX_NAMED: usize = 5;

/// Account, endpoint and caller of calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Local account or AWS.
    pub target: Target,
    /// The account's 12 digits; none if the endpoint does not report them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// ARN of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// Profile of `~/.aws/config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// AWS region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Endpoint, in place of AWS's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// Assumed roles, each with the credentials of the one before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<DestinationRole>,
}

/// An assumed role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestinationRole {
    /// ARN of the role.
    pub arn: String,
    /// External id that the role's owner asks for; AWS does not treat it as a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Name of the session.
    pub session_name: String,
}

impl Destination {
    /// Destination of a connection.
    #[must_use]
    pub fn of(connection: &Connection, account: Option<String>, caller: Option<String>) -> Self {
        Self {
            target: match connection.target {
                Backend::Local(_) => Target::Local,
                Backend::Aws => Target::Aws,
            },
            account,
            caller,
            profile: connection.profile.clone(),
            region: connection.region.clone(),
            endpoint_url: connection.endpoint_url.as_deref().map(without_password),
            roles: connection
                .roles
                .iter()
                .map(|role| DestinationRole {
                    arn: role.arn.clone(),
                    external_id: role.external_id.clone(),
                    session_name: role.session_name.clone(),
                })
                .collect(),
        }
    }

    /// Connection to the destination.
    #[must_use]
    pub fn connection(&self, target: Backend) -> Connection {
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
            environment: None,
        }
    }

    /// Check that both are in the same account, by any connection and as any caller.
    #[must_use]
    pub fn is_same_account(&self, other: &Self) -> bool {
        self.target == other.target && self.account == other.account
    }

    /// Description in words: "the local account" or "AWS account 123456789012 at http://…".
    #[must_use]
    pub fn describe(&self) -> String {
        let account = escape::visible(self.account.as_deref().unwrap_or("(unknown)"));
        match self.target {
            Target::Local => format!("the local account {account}"),
            Target::Aws => match &self.endpoint_url {
                Some(url) => format!("AWS account {account} at {}", escape::visible(url)),
                None => format!("AWS account {account}"),
            },
        }
    }
}

impl Destination {
    /// Description in two words: "local 123456789012", "aws 123456789012".
    #[must_use]
    pub fn short(&self) -> String {
        let account = escape::visible(self.account.as_deref().unwrap_or("(unknown)"));
        match self.target {
            Target::Local => format!("local {account}"),
            Target::Aws => format!("aws {account}"),
        }
    }

    /// Identity of the account: equal for all destinations in it.
    #[must_use]
    pub fn account_key(&self) -> AccountKey<'_> {
        AccountKey {
            target: self.target,
            account: self.account.as_deref(),
            endpoint_url: self.endpoint_url.as_deref(),
        }
    }
}

/// Account of a destination, independent of connection and caller. Ordered as lists name accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey<'a> {
    target: Target,
    account: Option<&'a str>,
    endpoint_url: Option<&'a str>,
}

/// Words of a list of accounts: for one, for several, and after the numbers.
type Heads = (&'static str, &'static str, String);

/// Accounts of destinations in words, each once: "AWS accounts 111122223333 and 444455556666". Long
/// lists are cut.
#[must_use]
pub fn describe_accounts<'a>(sites: impl IntoIterator<Item = &'a Destination>) -> String {
    list_accounts(sites, |site| match (site.target, &site.endpoint_url) {
        (Target::Local, _) => ("the local account", "the local accounts", String::new()),
        (Target::Aws, None) => ("AWS account", "AWS accounts", String::new()),
        (Target::Aws, Some(url)) => {
            ("AWS account", "AWS accounts", format!(" at {}", escape::visible(url)))
        }
    })
}

/// Accounts of destinations in few words: "aws 111122223333 and 444455556666".
#[must_use]
pub fn short_accounts<'a>(sites: impl IntoIterator<Item = &'a Destination>) -> String {
    list_accounts(sites, |site| match site.target {
        Target::Local => ("local", "local", String::new()),
        Target::Aws => ("aws", "aws", String::new()),
    })
}

fn list_accounts<'a>(
    sites: impl IntoIterator<Item = &'a Destination>,
    heads: impl Fn(&Destination) -> Heads,
) -> String {
    let accounts: BTreeMap<_, _> =
        sites.into_iter().map(|site| (site.account_key(), site)).collect();
    let accounts: BTreeSet<_> = accounts
        .into_values()
        .map(|site| (site.account.as_deref().unwrap_or("(unknown)"), heads(site)))
        .collect();
    let mut groups: Vec<(&Heads, Vec<String>)> = Vec::new();
    for (account, heads) in accounts.iter().take(MAX_NAMED) {
        match groups.iter_mut().find(|(known, _)| *known == heads) {
            Some((_, group)) => group.push(escape::visible(account)),
            None => groups.push((heads, vec![escape::visible(account)])),
        }
    }
    let mut more = match accounts.len().saturating_sub(MAX_NAMED) {
        0 => None,
        more => Some(format!("{} more", format::number(more as u64))),
    };
    if let [(_, group)] = &mut groups[..] {
        group.extend(more.take());
    }
    let groups = groups.into_iter().map(|((one, several, tail), accounts)| {
        let head = if accounts.len() == 1 { one } else { several };
        format!("{head} {}{tail}", format::list(&accounts))
    });
    format::list(&groups.chain(more).collect::<Vec<_>>())
}

/// Lines with a text for each account. Long lists are cut.
#[must_use]
pub fn account_lines<T>(
    accounts: &BTreeMap<AccountKey<'_>, (&Destination, T)>,
    text: impl Fn(&T) -> String,
) -> Vec<String> {
    let first = accounts.values().take(MAX_NAMED);
    let mut lines: Vec<_> =
        first.map(|(site, of_it)| format!("{}: {}", site.describe(), text(of_it))).collect();
    let more = accounts.len().saturating_sub(MAX_NAMED) as u64;
    if more > 0 {
        lines.push(format!("and {}", format::count(more, "more account")));
    }
    lines
}

/// Accounts of a plan's or a run's destinations. A change through one destination is visible
/// through all others of the same account.
#[derive(Clone, Debug)]
pub struct Places<'a> {
    sites: Vec<&'a Destination>,
    /// Index of the first destination of the same account, for each destination.
    first: Vec<usize>,
    are_several: bool,
}

impl<'a> Places<'a> {
    /// Accounts of destinations.
    #[must_use]
    pub fn of(sites: impl IntoIterator<Item = &'a Destination>) -> Self {
        let sites: Vec<_> = sites.into_iter().collect();
        let mut known = HashMap::new();
        let first: Vec<_> = (sites.iter().enumerate())
            .map(|(at, site)| *known.entry(site.account_key()).or_insert(at))
            .collect();
        let are_several = known.len() > 1;
        Self { sites, first, are_several }
    }

    /// Key of a profile or role in its account, by the destination through which it was reached.
    pub(super) fn key(&self, site: usize, subject: Subject, name: &str) -> (usize, Key) {
        (self.number(site), Key::new(subject, name))
    }

    /// Number of the account of a destination.
    #[must_use]
    pub fn number(&self, site: usize) -> usize {
        self.first.get(site).copied().unwrap_or(site)
    }

    /// First destination of the same account; `None` if there is only one account, so that it need
    /// not be named.
    #[must_use]
    pub fn account(&self, site: usize) -> Option<&'a Destination> {
        self.sites.get(self.number(site)).copied().filter(|_| self.are_several)
    }

    /// " in AWS account 123456789012" for a destination; empty if there is only one account.
    #[must_use]
    pub fn suffix(&self, site: usize) -> String {
        let account = self.account(site);
        account.map_or(String::new(), |account| format!(" in {}", account.describe()))
    }

    /// Profile or role in words: "profile web", with its account where there are several.
    #[must_use]
    pub fn describe(&self, site: usize, subject: Subject, name: &str) -> String {
        format!("{} {name}{}", subject.name(), self.suffix(site))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(account: &str, endpoint_url: Option<&str>) -> Destination {
        serde_json::from_value(serde_json::json!({
            "target": "aws", "account": account, "endpoint_url": endpoint_url,
        }))
        .expect("a site")
    }

    #[test]
    fn a_list_of_accounts_names_each_once_and_the_first_ones_of_many() {
        let sites: Vec<_> = (1..=7).map(|n| site(&n.to_string(), None)).collect();
        let listed = |range: std::ops::Range<usize>| describe_accounts(&sites[range]);
        assert_eq!(listed(0..0), "");
        assert_eq!(listed(0..1), sites[0].describe());
        assert_eq!(listed(0..3), "AWS accounts 1, 2 and 3");
        assert_eq!(listed(0..5), "AWS accounts 1, 2, 3, 4 and 5");
        assert_eq!(listed(0..7), "AWS accounts 1, 2, 3, 4, 5 and 2 more");
        assert_eq!(short_accounts(&sites), "aws 1, 2, 3, 4, 5 and 2 more");
        let ways = [&sites[1], &sites[0], &sites[1]];
        assert_eq!(describe_accounts(ways), "AWS accounts 1 and 2");
        let elsewhere = [site("2", Some("http://b")), site("2", Some("http://a"))];
        let all = sites[..2].iter().chain(&elsewhere);
        assert_eq!(
            describe_accounts(all),
            "AWS accounts 1 and 2, AWS account 2 at http://a and AWS account 2 at http://b"
        );
        assert_eq!(short_accounts(&elsewhere), "aws 2");
        let local = Destination { target: Target::Local, ..site("1", None) };
        assert_eq!(describe_accounts([&local]), local.describe());
        assert_eq!(short_accounts([&local]), local.short());
    }

    #[test]
    fn sites_of_one_account_are_one_place() {
        let sites = [site("1", None), site("2", None), site("1", None), site("1", Some("x"))];
        let as_somebody = Destination { caller: Some("arn".into()), ..sites[0].clone() };
        let places = Places::of(sites.iter().chain([&as_somebody]));
        assert_eq!((0..5).map(|at| places.number(at)).collect::<Vec<_>>(), [0, 1, 0, 3, 0]);
        assert_eq!(places.suffix(4), " in AWS account 1");
        assert_eq!(Places::of([&sites[0], &as_somebody]).suffix(1), "");
    }
}
