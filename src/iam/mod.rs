//! The registry: every function of the Lua surface, one file per resource, specification and SDK
//! call side by side. It owns the conversion of AWS answers into tables of the Lua surface, and of
//! SDK errors into ours. It does not decide whether a call may be made: that is the gate's
//! (`session`).

mod account;
mod documents;

mod pages;
mod profiles;
mod roles;
pub mod snapshot;
mod tags;
mod usage;

use std::collections::HashSet;
use std::error::Error as StdError;
use std::ops::Deref;
use std::sync::Arc;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::future::BoxFuture;

use crate::aws::client::Clients;
use crate::aws::from_call;
use crate::error::{Error, Kind, Result};
use crate::spec::{Action, Args, Effect, Function, Page, Type, Value};
use snapshot::{Snapshot, Subject};

pub use account::{
    ACCOUNT, AccountCounts, GET_ACCOUNT_SUMMARY, GET_CALLER_IDENTITY, GET_POLICY, Identity,
    LIST_ACCOUNT_ALIASES, LIST_ROLE_POLICIES, alias, counts, credentials_end, has_policy, identity,
    inline_policies,
};
pub use profiles::PROFILE;
pub use roles::{GET_ROLE, POLICY, ROLE, UPDATE_ASSUME_ROLE_POLICY, path_and_name};

/// The answer to a call that is under way.
pub type Pending = BoxFuture<'static, Result<Value>>;

/// Function that completes an entry of a listing.
pub type Enrich = fn(Arc<dyn Invoke>, Value) -> Pending;

/// The way by which a function that is made of several calls makes each of them.
pub trait Invoke: Send + Sync {
    /// Makes one call. `entry` must be a [`Implementation::Read`] or a [`Implementation::Write`].
    fn invoke(&self, entry: &'static Entry, args: Args) -> Pending;

    /// A way for the rest of an operation in progress. Its calls are made even if the run is told
    /// to stop meanwhile.
    fn finishing(&self) -> Arc<dyn Invoke>;

    /// A way whose reads are answered as AWS shows things, without what this process has just
    /// changed.
    fn as_shown(&self) -> Arc<dyn Invoke>;

    /// Check that a record is no older than the changes of this process.
    fn is_shown(&self, subject: Subject, record: &Value) -> BoxFuture<'static, bool>;
}

/// Makes the SDK's call.
pub type SdkCall = fn(Sdk, Args) -> Pending;

/// One call of an entry: the clients, and the action by which its errors name it.
#[derive(Debug)]
pub struct Sdk {
    clients: Clients,
    action: &'static str,
    effect: Effect,
}

impl Deref for Sdk {
    type Target = Clients;

    fn deref(&self) -> &Clients {
        &self.clients
    }
}

impl Sdk {
    const fn clients(&self) -> &Clients {
        &self.clients
    }

    const fn action(&self) -> &'static str {
        self.action
    }

    /// Our error for the failed call.
    fn failed<E>(&self, error: SdkError<E, HttpResponse>) -> Error
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        from_call(self.action, self.effect, error)
    }

    /// A page of a listing as AWS has answered it, whose entries have been held against the
    /// filters of the call.
    ///
    /// # Errors
    /// A connection error if there is no way on although there are more pages.
    fn paged(
        &self,
        args: &Args,
        items: Vec<Value>,
        marker: Option<String>,
        is_truncated: bool,
    ) -> Result<Value> {
        let why = match &marker {
            // To say that this was all would be untrue.
            None if is_truncated => "the endpoint says that there are more pages, but not where",
            // The same page for ever.
            Some(marker) if is_truncated && args.text("marker").as_ref() == Some(marker) => {
                REPEATED
            }
            _ => return Ok(Value::page(items, marker, is_truncated)),
        };
        Err(Error::new(Kind::Connection, format!("{}: {why}", self.action))
            .hint("check the endpoint (--endpoint-url): AWS does not answer so"))
    }
}

/// An action that changes the account: the call, and its effect on its subject. Plans, the journal,
/// undo and retries after a lost answer are derived from it.
#[derive(Debug)]
pub struct Write {
    /// The subject: the profile or role in the argument `name`.
    pub subject: Subject,
    /// The effect, in words that precede "profile web".
    pub words: &'static str,
    /// The call.
    pub call: SdkCall,
    /// The state after it, if it succeeds, from its arguments and the state before.
    pub after: fn(&Args, Option<Snapshot>) -> Option<Snapshot>,
    /// The code with which AWS answers a repetition of the same call; `None` if it then succeeds
    /// again.
    pub repeated: Option<&'static str>,
    /// True if the attached policies of a role belong to the state that it changes.
    pub needs_policies: bool,
    /// The parameter without whose values there is nothing to send.
    pub idle_without: Option<&'static str>,
    /// True if the caller also needs `iam:PassRole` for the role in the argument `role`.
    pub passes_role: bool,
}

impl Write {
    /// Check for nothing to send, such as no tags to set.
    #[must_use]
    pub fn is_idle(&self, args: &Args) -> bool {
        self.idle_without.is_some_and(|name| args.tags(name).is_none_or(|values| values.is_empty()))
    }

    /// Check for an action that creates its subject.
    #[must_use]
    pub fn creates(&self) -> bool {
        (self.after)(&Args::default(), None).is_some()
    }

    /// Check for an action that deletes its subject.
    #[must_use]
    pub fn deletes(&self) -> bool {
        (self.after)(&Args::default(), Some(snapshot::Snapshot::default())).is_none()
    }

    /// Check for a call that would succeed and change nothing, because the state is already
    /// reached.
    #[must_use]
    pub fn is_so_already(&self, before: &Option<Snapshot>, after: &Option<Snapshot>) -> bool {
        self.repeated.is_none()
            && before.is_some()
            && snapshot::differences(before, after).is_empty()
    }
}

/// Subject of an action that only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The profile or role in the argument `name`.
    One(Subject),
    /// A page of profiles or roles.
    Page(Subject),
    /// A page of the tags of the profile or role in the argument `name`.
    Tags(Subject),
    /// A page of the policies that are attached to what the argument `name` names.
    Policies(Subject),
    /// The account.
    Account,
}

impl Reads {
    /// Check for a listing of records, in the order of path and name.
    #[must_use]
    pub const fn are_records(self) -> bool {
        match self {
            Self::Page(_) => true,
            Self::One(_) | Self::Tags(_) | Self::Policies(_) | Self::Account => false,
        }
    }

    /// Check for a listing of values that is sorted by their keys.
    #[must_use]
    pub const fn are_sorted(self) -> bool {
        match self {
            Self::Tags(_) => true,
            Self::One(_) | Self::Page(_) | Self::Policies(_) | Self::Account => false,
        }
    }

    /// Check for a listing of attached policies.
    #[must_use]
    pub const fn are_policies(self) -> bool {
        match self {
            Self::Policies(_) => true,
            Self::One(_) | Self::Page(_) | Self::Tags(_) | Self::Account => false,
        }
    }

    /// Kind of the things whose names an answer has.
    #[must_use]
    pub const fn subject(self) -> Option<Subject> {
        match self {
            Self::One(subject)
            | Self::Page(subject)
            | Self::Tags(subject)
            | Self::Policies(subject) => Some(subject),
            Self::Account => None,
        }
    }
}

/// Implementation of a function.
pub enum Implementation {
    /// An action that only reads.
    Read(Reads, SdkCall),
    /// An action that changes the account.
    Write(Write),
    /// Several actions, each of which goes through the gate.
    Compose(fn(Arc<dyn Invoke>, Args) -> Pending),
    /// All pages of a listing, one by one.
    Iterate(Iterate),
    /// Carried out by the Lua floor itself, because it makes Lua values of its own: another `iam`.
    Host,
}

/// Iterator over all pages of a listing.
pub struct Iterate {
    /// The path of the function that fetches one page.
    pub page: &'static str,
    /// Unit of the iteration: entries, or whole pages.
    pub by: Stride,
    /// Loads what a listing leaves out, for one entry (`with_tags`).
    pub enrich: Option<Enrich>,
}

/// Unit of an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stride {
    /// One entry at a time.
    Item,
    /// One page at a time.
    Page,
}

/// A function of the Lua surface and its implementation.
pub struct Entry {
    /// The specification.
    pub spec: Function,
    /// The implementation.
    pub run: Implementation,
}

impl Entry {
    /// Reads that only a plan makes, to be refused where AWS would refuse.
    pub fn plan_reads(&self) -> impl Iterator<Item = Action> {
        let takes_policy = self.spec.params.iter().any(|param| param.ty == Type::PolicyArn);
        let deletes_role = match &self.run {
            Implementation::Write(write) if write.deletes() => write.subject.has_inline_policies(),
            _ => false,
        };
        let of = |is_read: bool, action| is_read.then_some(action);
        of(self.writes() && takes_policy, GET_POLICY)
            .into_iter()
            .chain(of(deletes_role, LIST_ROLE_POLICIES))
    }

    /// The action of its single call.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.spec.actions[0]
    }

    /// Makes its single call. An entry that is made of several has none: an error.
    #[must_use]
    pub fn send(&self, clients: Clients, args: Args) -> Pending {
        let sdk = Sdk { clients, action: self.action().name, effect: self.spec.effect };
        match &self.run {
            Implementation::Read(_, call) => call(sdk, args),
            Implementation::Write(write) => (write.call)(sdk, args),
            Implementation::Compose(_) | Implementation::Iterate(_) | Implementation::Host => {
                let error = self.no_single_call();
                Box::pin(async { Err(error) })
            }
        }
    }

    /// The error of an attempt to make its single call where it has none.
    #[must_use]
    pub fn no_single_call(&self) -> Error {
        Error::new(Kind::Bug, format!("{} is not a single call", self.spec.lua_name()))
    }

    /// Data that it reads, if it is a single call that reads.
    #[must_use]
    pub const fn reads(&self) -> Option<Reads> {
        match self.run {
            Implementation::Read(reads, _) => Some(reads),
            Implementation::Write(_)
            | Implementation::Compose(_)
            | Implementation::Iterate(_)
            | Implementation::Host => None,
        }
    }

    /// Check for a function that can change the account.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.spec.effect == Effect::Write
    }
}

/// Every function, in the order of the documentation.
pub fn registry() -> impl Iterator<Item = &'static Entry> {
    profiles::ENTRIES.iter().chain(roles::ENTRIES).chain(account::ENTRIES).chain(usage::ENTRIES)
}

/// The function of that path, such as `profiles.tag`.
#[must_use]
pub fn find(path: &str) -> Option<&'static Entry> {
    let (module, name) = path.split_once('.').unwrap_or(("", path));
    registry().find(|entry| entry.spec.module == module && entry.spec.name == name)
}

/// The function that makes the single call of an action that changes the account, such as
/// `TagInstanceProfile`.
#[must_use]
pub fn write(action: &str) -> Option<(&'static Entry, &'static Write)> {
    registry().chain([&profiles::DELETE, &roles::UPDATE]).find_map(|entry| match &entry.run {
        Implementation::Write(write) if entry.action().name == action => Some((entry, write)),
        _ => None,
    })
}

/// Check for an action that is known to only read. `iam` and `sts` are the services.
#[must_use]
pub fn is_read(service: &str, action: &str) -> bool {
    registry()
        .filter(|entry| !entry.writes())
        .flat_map(|entry| entry.spec.actions)
        .chain(&[GET_POLICY, LIST_ROLE_POLICIES])
        .any(|known| known.name == action && known.service.prefix() == service)
}

/// A function that is known to be there.
///
/// # Panics
/// If it is not: a test calls every path that the program names.
#[must_use]
pub fn entry(path: &'static str) -> &'static Entry {
    find(path).unwrap_or_else(|| panic!("there is no function {path} in the registry"))
}

/// Makes one call by its path.
async fn call(via: &Arc<dyn Invoke>, path: &'static str, args: Args) -> Result<Value> {
    via.invoke(entry(path), args).await
}

/// Makes one call by its path. The result is `Nil` where the entity does not exist.
async fn call_if_there(via: &Arc<dyn Invoke>, path: &'static str, args: Args) -> Result<Value> {
    match call(via, path, args).await {
        Err(error) if error.code() == "NoSuchEntity" => Ok(Value::Nil),
        other => other,
    }
}

const REPEATED: &str = "the endpoint gives the same marker again, which leads nowhere";

/// The way through the pages of a listing, on which no marker may come twice.
#[derive(Debug, Default)]
pub struct Markers(HashSet<String>);

impl Markers {
    /// The marker of the page after this one; `None` after the last one.
    ///
    /// # Errors
    /// If it was there before: the pages would never end.
    pub fn after(&mut self, page: &Page) -> Result<Option<String>> {
        let Some(marker) = page.marker.clone().filter(|_| page.is_truncated) else {
            return Ok(None);
        };
        if !self.0.insert(marker.clone()) {
            return Err(repeated(None));
        }
        Ok(Some(marker))
    }
}

/// The way through the pages of a listing that keeps few markers: the one that it compares with
/// moves on after 1, 2, 4, 8 pages and so on, so that each circle ends (Brent).
#[derive(Clone, Debug, Default)]
pub struct Trail {
    kept: Option<String>,
    pages: u64,
    most: u64,
}

impl Trail {
    /// Goes on to the page with that marker.
    ///
    /// # Errors
    /// If the way has gone in a circle.
    pub fn go(&mut self, action: &str, marker: &str) -> Result<()> {
        if self.kept.as_deref() == Some(marker) {
            return Err(repeated(Some(action)));
        }
        if self.pages >= self.most {
            self.kept = Some(marker.to_owned());
            (self.pages, self.most) = (0, (self.most * 2).max(1));
        }
        self.pages += 1;
        Ok(())
    }
}

fn repeated(action: Option<&str>) -> Error {
    let action = action.map_or_else(String::new, |action| format!("{action}: "));
    Error::new(Kind::Connection, format!("{action}{REPEATED}"))
        .hint("check the endpoint (--endpoint-url): AWS does not answer so")
}

/// The entries of all pages of a listing.
async fn call_all(via: &Arc<dyn Invoke>, path: &'static str, mut args: Args) -> Result<Vec<Value>> {
    let (mut all, mut markers) = (Vec::new(), Markers::default());
    loop {
        let Value::Page(page) = call(via, path, args.clone()).await? else { return Ok(all) };
        let next = markers.after(&page)?;
        all.extend(page.items);
        match next {
            Some(marker) => args.set("marker", Value::Str(marker)),
            None => return Ok(all),
        }
    }
}

/// A date of the Lua surface: ISO 8601, UTC, whole seconds. It is formatted by hand, because each
/// entry of a listing has two.
fn date(at: aws_smithy_types::DateTime) -> Value {
    let Ok(at) = jiff::Timestamp::from_second(at.secs()) else { return Value::Nil };
    let at = jiff::tz::Offset::UTC.to_datetime(at);
    let Ok(year) = u16::try_from(at.year()) else { return Value::Str(format!("{at}Z")) };
    let mut text = *b"0000-00-00T00:00:00Z";
    let mut write = |from: usize, digits: usize, mut n: u16| {
        for digit in text[from..from + digits].iter_mut().rev() {
            *digit = b'0' + u8::try_from(n % 10).unwrap_or_default();
            n /= 10;
        }
    };
    write(0, 4, year);
    for (from, n) in
        [(5, at.month()), (8, at.day()), (11, at.hour()), (14, at.minute()), (17, at.second())]
    {
        write(from, 2, n.unsigned_abs().into());
    }
    Value::Str(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_circle_of_markers_ends() {
        for (before, length) in [(0, 1), (0, 2), (0, 3), (1, 1), (5, 7), (100, 3), (3, 100)] {
            let mut trail = Trail::default();
            let way =
                |page: u64| if page < before { page } else { before + (page - before) % length };
            let ends = (0..3 * (before + length) + 3)
                .find(|page| trail.go("ListRoles", &way(*page).to_string()).is_err());
            assert!(ends.is_some_and(|page| page >= before + length), "{before} {length} {ends:?}");
        }
        let mut trail = Trail::default();
        assert!((0..10_000).all(|page| trail.go("ListRoles", &page.to_string()).is_ok()));
    }

    #[test]
    fn a_date_is_written_as_it_is_everywhere() {
        for seconds in
            [0, 1, 951_782_399, 1_767_322_800, 4_102_444_799, 253_402_207_200, -1, -62_167_219_200]
        {
            let at = jiff::Timestamp::from_second(seconds).expect("a date");
            assert_eq!(
                date(aws_smithy_types::DateTime::from_secs(seconds)),
                Value::Str(at.to_string())
            );
        }
    }
}
