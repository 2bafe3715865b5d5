//! Limits common to the servers of this program: accepted host names of a server on loopback, and a
//! maximum number of connections. Idle connections give way to new ones.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{Request, Version};
use tokio::sync::Notify;

/// Accepted host name besides those of this machine: `name`, or `.name` for that name and its
/// subdomains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost(String);

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("must be a host name such as account.test or .test, got {text:?}");
        let name = text.strip_prefix('.').unwrap_or(text);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
            return Err(wrong());
        }
        Ok(Self(text.trim_end_matches('.').to_ascii_lowercase()))
    }
}

impl AllowedHost {
    fn allows(&self, name: &str) -> bool {
        match self.0.strip_prefix('.') {
            Some(parent) => name == parent || name.ends_with(&self.0),
            None => name == self.0,
        }
    }
}

/// Reason to refuse a request by its host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misaddressed {
    /// No host name, or several.
    Unclear,
    /// Host name that is neither this machine's nor accepted.
    Stranger,
}

/// Checks the host name in a request to a server on loopback. Otherwise a web page whose name
/// resolves to loopback could reach the server through the user's browser (DNS rebinding).
///
/// # Errors
/// Any name but `localhost`, its subdomains, loopback addresses and accepted names.
pub fn check_host<B>(request: &Request<B>, allowed: &[AllowedHost]) -> Result<(), Misaddressed> {
    let mut given = request.headers().get_all(HOST).iter();
    let header = given.next();
    if given.next().is_some() {
        return Err(Misaddressed::Unclear);
    }
    let header = header.map(|host| host.to_str().unwrap_or("?"));
    match request.uri().authority().map(Authority::as_str).or(header) {
        None if request.version() >= Version::HTTP_11 => Err(Misaddressed::Unclear),
        Some(host) if !is_allowed(host, allowed) => Err(Misaddressed::Stranger),
        _ => Ok(()),
    }
}

/// Check of the host in `host[:port]`.
fn is_allowed(host: &str, allowed: &[AllowedHost]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if host.contains('@') {
        return false;
    }
    let name = authority.host().to_ascii_lowercase();
    // No public name ends in this one (RFC 6761).
    name == "localhost"
        || name.ends_with(".localhost")
        || name.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        || allowed.iter().any(|allowed| allowed.allows(&name))
}

/// Connection limit. A connection beyond it displaces the one that has been idle longest. One with
/// a request in progress is displaced only if none is idle.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Table>);

#[derive(Debug)]
struct Table {
    most: usize,
    taken: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    moment: u64,
    connections: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    is_answered: bool,
    /// Time of the last change.
    since: u64,
    displaced: Arc<Notify>,
}

/// Slot of a connection, which is free again when this is dropped.
#[derive(Debug)]
pub struct Slot {
    places: Connections,
    id: u64,
    displaced: Arc<Notify>,
}

/// Guard of a request in progress on a connection.
#[derive(Debug)]
pub struct Answering<'a>(&'a Slot);

impl Connections {
    /// Limit with a number of slots.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Table { most, taken: Mutex::default() }))
    }

    /// Takes a slot at once.
    #[must_use]
    pub fn take(&self) -> Slot {
        let mut taken = self.taken();
        if taken.connections.len() >= self.0.most {
            let longest_idle = taken.connections.iter();
            let longest_idle =
                longest_idle.min_by_key(|(_, other)| (other.is_answered, other.since));
            if let Some(id) = longest_idle.map(|(id, _)| *id)
                && let Some(other) = taken.connections.remove(&id)
            {
                other.displaced.notify_one();
            }
        }
        taken.moment += 1;
        let (id, displaced) = (taken.moment, Arc::new(Notify::new()));
        let connection =
            Connection { is_answered: false, since: id, displaced: Arc::clone(&displaced) };
        taken.connections.insert(id, connection);
        Slot { places: self.clone(), id, displaced }
    }

    fn taken(&self) -> MutexGuard<'_, Slots> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Completes once another connection has taken this slot.
    pub async fn displaced(&self) {
        self.displaced.notified().await;
    }

    /// Marks the connection as having a request in progress.
    #[must_use]
    pub fn answering(&self) -> Answering<'_> {
        self.mark(true);
        Answering(self)
    }

    fn mark(&self, is_answered: bool) {
        let mut taken = self.places.taken();
        taken.moment += 1;
        let moment = taken.moment;
        if let Some(connection) = taken.connections.get_mut(&self.id) {
            (connection.is_answered, connection.since) = (is_answered, moment);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.places.taken().connections.remove(&self.id);
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.mark(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_and_allowed_ones_are_answered() {
        let allowed: Vec<AllowedHost> =
            ["Account.Test", ".example.com"].map(|text| text.parse().expect("a name")).into();
        for (host, is_ok) in [
            ("localhost", true),
            ("LOCALHOST:7100", true),
            ("iam.localhost:7100", true),
            ("127.0.0.1:7100", true),
            ("127.9.9.9", true),
            ("[::1]:7100", true),
            ("account.test", true),
            ("account.test:7100", true),
            ("a.account.test", false),
            ("example.com", true),
            ("a.b.example.com:1", true),
            ("badexample.com", false),
            ("evil.test", false),
            ("localhost.evil.test", false),
            ("notlocalhost", false),
            ("127.0.0.1.evil.test", false),
            ("127.1", false),
            ("2130706433", false),
            ("0.0.0.0", false),
            ("[::]", false),
            ("10.0.0.1", false),
            ("iam.amazonaws.com", false),
            ("user@localhost", false),
            ("localhost@evil.test", false),
            ("localhost evil", false),
            ("localhost/", false),
            ("", false),
            ("\u{f6}localhost", false),
        ] {
            assert_eq!(is_allowed(host, &allowed), is_ok, "{host}");
        }
        for wrong in ["", ".", "..a", "a b", "http://a", "a:1", "*.a"] {
            assert!(wrong.parse::<AllowedHost>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_one_that_was_idle_longest_makes_way() {
        let places = Connections::new(2);
        let (first, second) = (places.take(), places.take());
        let answering = first.answering();
        let third = places.take();
        let ids = || places.taken().connections.keys().copied().collect::<Vec<_>>();
        assert_eq!(ids(), [first.id, third.id], "{}", second.id);
        drop(answering);
        // Its last activity is later than that of the third one.
        let fourth = places.take();
        assert_eq!(ids(), [first.id, fourth.id]);
        drop((first, second, third, fourth));
        assert!(ids().is_empty());
    }
}
