//! The gate: the one function through which every AWS operation passes. Modes, limits, protection,
//! the plan overlay, the journal and undo live here and nowhere else.

mod account_limiter;
pub mod apply;
mod complete;
pub mod destination;
pub mod journal;
mod limits;
pub mod names;
pub mod outside;
mod overlay;
pub mod plan;
mod rate;
mod read_cache;
mod reads;
mod recent;
pub mod recover;
mod replan;
mod retrying_client;
mod scan;
pub mod undo;
mod wire;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use crate::aws::client::{Backend, Clients, Connection, ConnectionInfo};
use crate::config::MaxChanges;
use crate::error::{Error, Kind, Result};
use crate::iam::snapshot::{Snapshot, Subject};
use crate::iam::{
    self, AccountCounts, Entry, Identity, Implementation, Invoke, Markers, Pending, Reads, Write,
};
use crate::session::journal::RunStatus;
use crate::spec::{Args, Value};
use crate::ui::terminal;

use destination::Destination;
use journal::{About, Journal, JournalLocation};
use limits::{Admitted, Limits, Protection};
use names::Names;
use overlay::{Listings, Overlay};
use plan::Recorder;
use read_cache::{Key, KeyedLocks, ReadCache};
use retrying_client::{RetryStats, RetryingClient};
pub(crate) use wire::Wire;

pub use account_limiter::AccountLimiter;
pub use limits::{ManifestLimits, PROTECTED, allowed};
pub use recent::RecentChanges;
pub use replan::plan_again;
pub use wire::prefetch_next_page;

/// Treatment of calls that would change the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Mode {
    /// Refuses them.
    ReadOnly,
    /// Records them, and shows the script an account in which they have happened.
    Plan,
    /// Sends them.
    Apply,
}

impl Mode {
    /// All modes, the most cautious first.
    pub const ALL: [Self; 3] = [Self::ReadOnly, Self::Plan, Self::Apply];

    /// Mode of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Name in the configuration and in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Plan => "plan",
            Self::Apply => "apply",
        }
    }
}

/// Configuration of a session. The default reads only and keeps its journal in memory.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Treatment of calls that would change the account.
    pub mode: Mode,
    /// Run programs and write files during a plan, instead of listing them.
    pub plan_runs_programs: bool,
    /// Limits on the number of changes, each with its source; the strictest applies.
    pub max_changes: Vec<(MaxChanges, &'static str)>,
    /// Names of profiles that are never changed, as patterns with `*` and `?`.
    pub protect: Vec<String>,
    /// Permission to change what is protected.
    pub override_protection: bool,
    /// AWS accounts that the run may touch; any if empty.
    pub accounts: Vec<String>,
    /// Destination that a person has confirmed. Calls with the same settings must reach the same
    /// account.
    pub confirmed: Option<Destination>,
    /// Location of the journal.
    pub journal: JournalLocation,
    /// Description of the run for the journal.
    pub about: About,
    /// Limiters of all accounts, shared by concurrent runs.
    pub rates: AccountLimiter,
    /// Recent changes, which AWS may not show yet; shared by successive runs of a process.
    pub recent: RecentChanges,
    /// Sink of notices for the operator.
    pub tell: Notices,
}

impl SessionConfig {
    /// Check that programs and files are listed, and not run or written.
    #[must_use]
    pub fn plans_outside(&self) -> bool {
        self.mode == Mode::Plan && !self.plan_runs_programs
    }
}

/// Sink of notices for the operator; standard error by default.
#[derive(Clone)]
pub struct Notices(Arc<dyn Fn(&str) + Send + Sync>);

impl Notices {
    /// Sink that calls a function.
    #[must_use]
    pub fn to(hears: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hears))
    }

    fn say(&self, text: &str) {
        (self.0)(text);
    }
}

impl Default for Notices {
    fn default() -> Self {
        Self::to(terminal::say)
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tell")
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            mode: Mode::ReadOnly,
            plan_runs_programs: false,
            max_changes: Vec::new(),
            protect: Vec::new(),
            override_protection: false,
            accounts: Vec::new(),
            confirmed: None,
            journal: JournalLocation::Memory,
            about: About::default(),
            rates: AccountLimiter::default(),
            recent: RecentChanges::default(),
            tell: Notices::default(),
        }
    }
}

/// State that the connections of one run share.
#[derive(Debug)]
pub struct Session {
    /// A [`Mode`]; the REPL can change it.
    mode: AtomicU8,
    plan_runs_programs: bool,
    bounds: Limits,
    protection: Protection,
    accounts: Vec<String>,
    confirmed: Option<Destination>,
    wire: Arc<Wire>,
    stats: Arc<RetryStats>,
    rates: AccountLimiter,
    recent: RecentChanges,
    memory: ReadCache,
    turns: KeyedLocks,
    journal: Journal,
    recorder: Recorder,
    /// Overlays by account; connections to one account share one.
    overlays: tokio::sync::Mutex<HashMap<Arc<str>, Arc<Overlay>>>,
    has_overlays: AtomicBool,
    failed: AtomicU64,
    in_doubt: AtomicU64,
    noop_writes: AtomicU64,
    refusal: Mutex<Option<String>>,
    connections: AtomicU64,
    /// Cache of the names that calls show, for completion.
    names: OnceLock<Names>,
    /// Positions of the listings that a plan is reading.
    listings: Listings,
}

impl Session {
    /// Session without limits, whose journal is in memory.
    #[must_use]
    pub fn new(mode: Mode) -> Arc<Self> {
        Self::with(SessionConfig { mode, ..SessionConfig::default() })
    }

    /// Session with this configuration.
    #[must_use]
    pub fn with(rules: SessionConfig) -> Arc<Self> {
        let bounds = Limits::default();
        for (max, source) in rules.max_changes {
            bounds.limit(max, source);
        }
        Arc::new(Self {
            mode: AtomicU8::new(rules.mode as u8),
            plan_runs_programs: rules.plan_runs_programs,
            bounds,
            protection: Protection::new(&rules.protect, rules.override_protection),
            accounts: rules.accounts,
            confirmed: rules.confirmed,
            wire: Wire::new(rules.mode == Mode::Apply),
            stats: Arc::new(RetryStats::new(rules.tell)),
            rates: rules.rates,
            recent: rules.recent,
            memory: ReadCache::default(),
            turns: KeyedLocks::default(),
            journal: Journal::new(rules.journal, rules.about),
            recorder: Recorder::default(),
            overlays: tokio::sync::Mutex::default(),
            has_overlays: AtomicBool::new(false),
            failed: AtomicU64::new(0),
            in_doubt: AtomicU64::new(0),
            noop_writes: AtomicU64::new(0),
            refusal: Mutex::default(),
            connections: AtomicU64::new(0),
            names: OnceLock::new(),
            listings: Listings::default(),
        })
    }

    /// Treatment of calls that would change the account.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self.mode.load(Ordering::SeqCst) {
            mode if mode == Mode::Apply as u8 => Mode::Apply,
            mode if mode == Mode::Plan as u8 => Mode::Plan,
            _ => Mode::ReadOnly,
        }
    }

    /// Check that programs and files are listed, and not run or written.
    #[must_use]
    pub fn plans_outside(&self) -> bool {
        self.mode() == Mode::Plan && !self.plan_runs_programs
    }

    /// Sets the limits of the runbook's manifest.
    ///
    /// # Errors
    /// An argument error if `allow` names an unknown function.
    pub fn limit(&self, limits: &ManifestLimits) -> Result<()> {
        self.bounds.manifest(limits)
    }

    /// Checks that the runbook's manifest allows a function.
    ///
    /// # Errors
    /// A refusal that names the function.
    pub fn allows(&self, entry: &Entry) -> Result<()> {
        self.bounds.allows(entry)
    }

    /// Number of changes that were begun or planned. Changes that AWS has refused count, except in
    /// a plan.
    pub fn changes(&self) -> u64 {
        self.bounds.begun()
    }

    /// Number of changes that have failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Number of changes in doubt: no answer arrived.
    pub fn in_doubt(&self) -> u64 {
        self.in_doubt.load(Ordering::Relaxed)
    }

    /// Number of changes that were made or planned.
    pub fn made(&self) -> u64 {
        self.changes().saturating_sub(self.failed() + self.in_doubt())
    }

    /// Number of changes that were skipped because the account was already as wanted.
    pub fn noop_writes(&self) -> u64 {
        self.noop_writes.load(Ordering::Relaxed)
    }

    /// Counts a skipped change.
    fn spare(&self) {
        self.noop_writes.fetch_add(1, Ordering::Relaxed);
    }

    /// Refusal that kept the run from its task, even if the script has caught it: the limit of
    /// changes was reached, a plan exceeds it, or the account is not the configured one.
    pub fn refusal(&self) -> Option<String> {
        let reached = self.bounds.reached().or_else(|| locked(&self.refusal).clone());
        reached
            .or_else(|| self.exceeded().map(|why| format!("apply would refuse this plan: {why}")))
    }

    /// Limit that the plan exceeds, in words: "it makes 6 changes, and the run may make 2".
    pub fn exceeded(&self) -> Option<String> {
        self.bounds.exceeded()
    }

    /// Number of requests sent, retries included, by AWS action.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.wire.sent()
    }

    /// Number of throttled requests.
    pub fn throttled(&self) -> u64 {
        self.stats.throttled()
    }

    /// Limiters of all accounts.
    #[must_use]
    pub fn rates(&self) -> &AccountLimiter {
        &self.rates
    }

    /// Approximate size of the recorded plan in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.recorder.held_bytes()
    }

    /// Journal of the run.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Recorder of the plan.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Forgets what was read and changed, because the account was changed by hand or time has
    /// passed.
    pub fn forget_changes(&self) {
        self.memory.clear();
        self.recent.clear();
    }

    /// Stops further changes from beginning; those in flight are finished.
    pub fn close(&self) {
        self.stats.close();
    }

    fn is_closed(&self) -> bool {
        self.stats.is_closed()
    }

    /// Records the end of the run in the journal, after its last change.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub async fn end(&self, status: RunStatus, error: Option<String>) -> Result<()> {
        let end = journal::RunEnd {
            status,
            error,
            calls: self
                .calls()
                .into_iter()
                .map(|(action, n)| (action, serde_json::Value::from(n)))
                .collect(),
            throttled: u32::try_from(self.throttled()).unwrap_or(u32::MAX),
        };
        self.journal.end(end).await
    }
}

/// Gate of one connection to AWS. Cheap to clone.
#[derive(Clone)]
pub struct Gate(Arc<Inner>, OnShutdown, Answers);

/// Source of the answers to a gate's reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// AWS's answers, completed with the recent changes of this process.
    Completed,
    /// AWS's answers, unchanged.
    AsShown,
}

/// Treatment of a gate's changes when the run is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnShutdown {
    /// No further change begins.
    WithTheRun,
    /// Changes begin all the same, because they complete what was begun.
    WhenDone,
}

struct Inner {
    /// Number of the connection in the run.
    number: u64,
    session: Arc<Session>,
    connection: Connection,
    line: OnceCell<RetryingClient>,
    identity: OnceCell<Identity>,
    /// The account, as the recent changes key it.
    place: OnceLock<Arc<str>>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("connection", &self.0.connection).finish_non_exhaustive()
    }
}

/// Reason for a change, besides the call of a script.
#[derive(Clone, Debug, Default)]
pub struct ChangeOrigin {
    /// Number of the plan's change that this one applies.
    pub plan_change: Option<u64>,
    /// Change of an earlier run that is undone once this one, the last step of its undo, is done.
    pub undoes: Option<(String, u64)>,
}

impl Gate {
    /// Gate to a connection.
    #[must_use]
    pub fn new(session: Arc<Session>, connection: Connection) -> Self {
        let number = session.connections.fetch_add(1, Ordering::Relaxed);
        let inner = Inner {
            number,
            session,
            connection,
            line: OnceCell::new(),
            identity: OnceCell::new(),
            place: OnceLock::new(),
        };
        Self(Arc::new(inner), OnShutdown::WithTheRun, Answers::Completed)
    }

    /// Check that no further change may begin here.
    fn is_closed(&self) -> bool {
        self.1 == OnShutdown::WithTheRun && self.0.session.is_closed()
    }

    /// Waits until no further change may begin here.
    async fn closing(&self) {
        match self.1 {
            OnShutdown::WithTheRun => self.0.session.stats.closing().await,
            OnShutdown::WhenDone => std::future::pending().await,
        }
    }

    /// Connection of the gate.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// State shared with the other connections of the run.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.0.session
    }

    /// Prepares for the first call, where that takes a while: reads AWS's configuration files.
    pub fn warm_up(&self) {
        if matches!(self.0.connection.target, Backend::Aws) {
            let gate = self.clone();
            // The first call reports the error.
            tokio::spawn(async move { gate.bare_line().await.map(|_| ()) });
        }
    }

    /// Executes a function that a script called, in one AWS call or several.
    #[must_use]
    pub fn perform(&self, entry: &'static Entry, args: Args) -> Pending {
        match entry.run {
            Implementation::Compose(compose) => compose(Arc::new(self.clone()), args),
            _ => self.invoke(entry, args),
        }
    }

    /// Caches an entry of a listing with tags, as the snapshot before a change that may follow.
    pub fn remember(&self, subject: Subject, record: &Value) {
        let Some(image) = Snapshot::of(record) else { return };
        // A listing contains fewer fields of a role than a snapshot needs.
        if self.0.session.mode() != Mode::ReadOnly && subject.is_whole_in_listings() {
            let key = Key::new(subject, &image.name);
            self.0.session.memory.keep(self.0.number, key, Some(image));
        }
    }

    /// Destination and caller, as the journal records them. Calls AWS once.
    ///
    /// # Errors
    /// If AWS cannot be reached.
    pub async fn site(&self) -> Result<Destination> {
        let identity = self.identity().await?;
        Ok(self.site_as(identity.account.clone(), identity.arn.clone()))
    }

    /// Destination of this connection, with that account and caller. Includes a general endpoint
    /// from variables or a profile, so that an undo reaches the same account.
    pub(crate) fn site_as(&self, account: Option<String>, caller: Option<String>) -> Destination {
        let mut destination = Destination::of(&self.0.connection, account, caller);
        if destination.endpoint_url.is_none() {
            let info = self.0.line.get().map(|line| Arc::clone(&line.clients().info));
            destination.endpoint_url = info.and_then(|info| info.common_endpoint());
        }
        destination
    }

    async fn bare_line(&self) -> Result<&RetryingClient> {
        let session = &self.0.session;
        let open = async {
            let wire = &session.wire;
            let clients = self.0.connection.clients(move |client| wire.above(client));
            let limiters =
                session.rates.of(&format!("{:?}", Destination::of(&self.0.connection, None, None)));
            Ok(RetryingClient::new(Box::pin(clients).await?, limiters, Arc::clone(&session.stats)))
        };
        self.0.line.get_or_try_init(|| open).await
    }

    async fn identity(&self) -> Result<&Identity> {
        let ask = async {
            let line = self.bare_line().await?;
            let identity =
                line.make(iam::GET_CALLER_IDENTITY.name, || iam::identity(line.clients())).await?;
            self.check_account(&identity)?;
            let destination = self.site_as(identity.account.clone(), None);
            if let Some(account) = &identity.account {
                line.is_of(account);
                line.leads_to(&destination.describe(), &self.0.session.rates);
            }
            Ok(identity)
        };
        self.0.identity.get_or_try_init(|| ask).await
    }

    /// Checks that the reached account is one that the configuration allows. The local account has
    /// no such check.
    fn check_account(&self, identity: &Identity) -> Result<()> {
        self.check_confirmed(identity)?;
        let guard = &self.0.session.accounts;
        if guard.is_empty() || matches!(self.0.connection.target, Backend::Local(_)) {
            return Ok(());
        }
        if identity.account.as_ref().is_some_and(|account| guard.contains(account)) {
            return Ok(());
        }
        let reached = identity.account.as_deref().unwrap_or("an unknown account");
        let refusal = format!(
            "the credentials are for account {reached}, and this configuration is for {}",
            guard.join(", ")
        );
        locked(&self.0.session.refusal).get_or_insert_with(|| refusal.clone());
        Err(Error::new(Kind::Refused, refusal)
            .hint("choose the right --profile or --role-arn, or change `account` in iamlua.toml"))
    }

    /// Checks that the confirmed settings still reach the account that was confirmed.
    fn check_confirmed(&self, identity: &Identity) -> Result<()> {
        let Some(confirmed) = &self.0.session.confirmed else { return Ok(()) };
        let reached = self.site_as(identity.account.clone(), None);
        let is_same_way = Destination { account: None, ..reached.clone() }
            == Destination { account: None, caller: None, ..confirmed.clone() };
        if !is_same_way || reached.account == confirmed.account {
            return Ok(());
        }
        let refusal = format!(
            "the credentials are for {} now, and {} was confirmed",
            reached.describe(),
            confirmed.describe()
        );
        locked(&self.0.session.refusal).get_or_insert_with(|| refusal.clone());
        Err(Error::new(Kind::Refused, refusal).hint("start it anew to confirm another account"))
    }

    /// The client, once it is known that this account may be touched.
    async fn line(&self) -> Result<&RetryingClient> {
        if !self.0.session.accounts.is_empty() || self.0.session.confirmed.is_some() {
            self.identity().await?;
        }
        self.bare_line().await
    }

    /// Credentials, clock and settings of the connection. Makes no call.
    ///
    /// # Errors
    /// If the configuration cannot be used.
    pub async fn connection_info(&self) -> Result<Arc<ConnectionInfo>> {
        Ok(Arc::clone(&self.bare_line().await?.clients().info))
    }

    /// End of the connection's credentials; `None` if they have none.
    pub async fn credentials_end(&self) -> Option<std::time::SystemTime> {
        let line = self.bare_line().await.ok()?;
        iam::credentials_end(line.clients()).await
    }

    /// Makes a read that no script named, in the account that the connection reaches.
    ///
    /// # Errors
    /// The error of AWS.
    pub async fn ask<'a, T, F>(
        &'a self,
        action: &'static str,
        call: impl Fn(&'a Clients) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let line = self.bare_line().await?;
        line.make(action, || call(line.clients())).await
    }

    /// Numbers of resources in the account; `None` if the caller may not see them.
    ///
    /// # Errors
    /// The error of AWS.
    pub async fn counts(&self) -> Result<Option<AccountCounts>> {
        let line = self.line().await?;
        line.make(iam::GET_ACCOUNT_SUMMARY.name, || iam::counts(line.clients())).await
    }

    /// Overlay of the account that this connection reaches; `None` if nothing is planned there.
    async fn planned(&self) -> Result<Option<Arc<Overlay>>> {
        let session = &self.0.session;
        if !session.has_overlays.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let place = self.place().await?;
        Ok(session.overlays.lock().await.get(&place).cloned())
    }

    async fn overlay(&self) -> Result<Arc<Overlay>> {
        let session = &self.0.session;
        let place = self.place().await?;
        let mut overlays = session.overlays.lock().await;
        if let Some(overlay) = overlays.get(&place) {
            return Ok(Arc::clone(overlay));
        }
        let overlay = Arc::new(Box::pin(Overlay::new(self.identity().await?)).await?);
        overlays.insert(place, Arc::clone(&overlay));
        session.has_overlays.store(true, Ordering::SeqCst);
        Ok(overlay)
    }

    async fn read(&self, entry: &'static Entry, args: Args) -> Result<Value> {
        self.0.session.allows(entry)?;
        if let Some(overlay) = self.planned().await? {
            return Box::pin(overlay.read(self, entry, args)).await;
        }
        let marker = args.text("marker");
        let answer = self.read_really(entry, args).await?;
        if self.0.session.mode() == Mode::Plan {
            self.note_page(entry, marker.as_deref(), &answer);
        }
        Ok(answer)
    }

    /// Reads from AWS, without the overlay of a plan.
    async fn read_really(&self, entry: &'static Entry, args: Args) -> Result<Value> {
        if let Some(rest) = self.rest_of_listing(&args) {
            return Ok(rest);
        }
        let session = &self.0.session;
        let line = self.line().await?;
        let reading = self.reading(entry, &args).await;
        let is_kept = session.mode() != Mode::ReadOnly;
        let key = match entry.reads() {
            Some(Reads::One(subject)) if is_kept => {
                Some(Key::new(subject, &args.text("name").unwrap_or_default()))
            }
            // A page has fewer fields than a snapshot needs.
            Some(
                Reads::One(_)
                | Reads::Page(_)
                | Reads::Tags(_)
                | Reads::Policies(_)
                | Reads::Account,
            )
            | None => None,
        };
        let answer = line.read(entry, &args).await;
        let answer = match &reading {
            Some(reading) if self.2 == Answers::Completed => {
                self.completed(reading, entry, &args, answer).await
            }
            _ => answer,
        };
        if let Some(key) = key {
            match &answer {
                Ok(record) => session.memory.keep(self.0.number, key, Snapshot::of(record)),
                Err(error) if error.code() == "NoSuchEntity" => {
                    session.memory.keep(self.0.number, key, None);
                }
                Err(_) => {}
            }
        }
        answer
    }

    /// Snapshot before a change: from the cache if fresh, else read now.
    async fn before(&self, key: &Key, name: &str, with_policies: bool) -> Result<Option<Snapshot>> {
        let known = self.0.session.memory.fresh(self.0.number, key);
        if let Some(state) = known
            && (!with_policies || state.as_ref().is_none_or(|image| image.policies.is_some()))
        {
            // A read that overlapped with a change may have cached the state before it.
            return Ok(self.completed_state(key, state).await);
        }
        self.current(key, name, with_policies).await.map_err(|error| {
            if error.code().starts_with("AccessDenied") {
                error.hint("what is there must be read before it is changed, so that the change can be undone")
            } else {
                error
            }
        })
    }

    /// Current state of a profile or role: AWS's answer, completed with the recent changes of this
    /// process.
    async fn current(
        &self,
        key: &Key,
        name: &str,
        with_policies: bool,
    ) -> Result<Option<Snapshot>> {
        let line = self.line().await?;
        loop {
            let (_, state) = reads::read(line, key.subject, name, with_policies).await?;
            if !self.is_unsettled_by_others(key, &state).await {
                return Ok(self.completed_state(key, state).await);
            }
            self.wait_for_aws().await;
        }
    }

    /// Current state for a decision. An answer that predates our own change is asked for again for
    /// some seconds. A difference that remains after that is a change by somebody else.
    async fn now(&self, key: &Key, name: &str, with_policies: bool) -> Result<Option<Snapshot>> {
        let line = self.line().await?;
        loop {
            let (_, state) = reads::read(line, key.subject, name, with_policies).await?;
            if !self.is_unsettled(key, &state).await {
                self.believe(key, &state).await;
                return Ok(state);
            }
            self.wait_for_aws().await;
        }
    }

    /// Waits before AWS is asked again for a change that it does not show yet.
    async fn wait_for_aws(&self) {
        const PAUSE: Duration = Duration::from_millis(500);
        self.0
            .session
            .stats
            .tell_once("AWS does not show a change of the last seconds yet; waiting for it");
        tokio::time::sleep(PAUSE).await;
    }

    /// Number of profiles in the account, if the caller may know it.
    async fn count(&self) -> Result<Option<u64>> {
        Ok(self
            .counts()
            .await?
            .and_then(|counts| counts.profiles)
            .and_then(|n| u64::try_from(n).ok()))
    }

    /// Admits one change, or refuses it because the limit is reached or the run is being stopped.
    async fn admit(&self, entry: &Entry) -> Result<Admitted<'_>> {
        let session = &self.0.session;
        let (bounds, is_plan) = (&session.bounds, session.mode() == Mode::Plan);
        tokio::select! {
            biased;
            () = self.closing() => Err(stopped(entry)),
            admitted = Box::pin(bounds.admit(entry, is_plan, self.count())) => admitted,
        }
    }

    /// Checks that the limit of the run allows that number of changes.
    ///
    /// # Errors
    /// A refusal.
    pub async fn admits(&self, changes: u64) -> Result<()> {
        Box::pin(self.0.session.bounds.admits(changes, self.count())).await
    }

    /// State of a profile or role, with the planned changes.
    async fn planned_state(
        &self,
        subject: Subject,
        name: &str,
        with_policies: bool,
    ) -> Result<Option<Snapshot>> {
        let key = Key::new(subject, name);
        let overlay = self.overlay().await?;
        if !overlay.has(&key) {
            let now = self.now(&key, name, with_policies).await?;
            self.0.session.memory.keep(self.0.number, key.clone(), now);
        }
        overlay.state(self, &key, name, with_policies).await
    }

    /// Checks that a role is in no protected profile, as far as this run and AWS know.
    ///
    /// # Errors
    /// A refusal that names the profile, or says that the profiles cannot be read.
    async fn check_role(&self, subject: Subject, role: &Option<Snapshot>) -> Result<()> {
        let protection = &self.0.session.protection;
        let Some(role) = role.as_ref().filter(|_| subject.is_held_by_profiles()) else {
            return Ok(());
        };
        if protection.is_lifted() {
            return Ok(());
        }
        let refuse = |error: Error| {
            if error.kind == Kind::Protected {
                let message = format!("role {} is in a protected profile: {error}", role.name);
                return Error { message, ..error };
            }
            if error.code().starts_with("AccessDenied") {
                let what = format!("role {} may be in a protected profile: {error}", role.name);
                return Error::new(Kind::Protected, what).hint(
                    "allow iam:ListInstanceProfilesForRole and iam:GetInstanceProfile, \
                     or lift the protection with --override-protection",
                );
            }
            error
        };
        for profile in self.profiles_of(&role.name).await.map_err(refuse)? {
            protection.check(Subject::Profile, &profile, &None).map_err(refuse)?;
            let key = Key::new(Subject::Profile, &profile);
            let state = match self.planned().await? {
                Some(overlay) => overlay.state(self, &key, &profile, false).await,
                None => self.before(&key, &profile, false).await,
            };
            let state = state.map_err(refuse)?;
            protection.check(Subject::Profile, &profile, &state).map_err(refuse)?;
        }
        Ok(())
    }

    /// Names of the profiles that contain a role, with the planned changes.
    async fn profiles_of(&self, role: &str) -> Result<Vec<String>> {
        let entry = iam::entry("profiles.list_for_role");
        let overlay = self.planned().await?;
        let role = Value::Str(role.to_owned());
        let mut args = Args::of([("role", role), ("max_items", Value::Int(1000))]);
        let (mut names, mut markers) = (Vec::new(), Markers::default());
        loop {
            let answer = match &overlay {
                Some(overlay) => overlay.read(self, entry, args.clone()).await,
                None => self.read_really(entry, args.clone()).await,
            };
            let page = match answer {
                Ok(Value::Page(page)) => page,
                // A role that does not exist is in no profile.
                Err(error) if error.code() == "NoSuchEntity" => return Ok(names),
                Ok(_) => return Ok(names),
                Err(error) => return Err(error),
            };
            let name = |item: &Value| item.field("name").as_str().map(str::to_owned);
            names.extend(page.items.iter().filter_map(name));
            match markers.after(&page)? {
                Some(marker) => args.set("marker", Value::Str(marker)),
                None => return Ok(names),
            }
        }
    }

    /// Makes, plans or refuses a change.
    ///
    /// # Errors
    /// The error of AWS or of the gate.
    pub async fn write(
        &self,
        entry: &'static Entry,
        write: &'static Write,
        args: Args,
        origin: ChangeOrigin,
    ) -> Result<Value> {
        let session = &self.0.session;
        session.allows(entry)?;
        let name = args.text("name").unwrap_or_default();
        if session.mode() == Mode::ReadOnly {
            let refusal = format!(
                "{} would change the account, and this run may only read",
                entry.spec.lua_name()
            );
            return Err(Error::new(Kind::Refused, refusal).hint(
                "run it without --read-only, or without `mode = \"read-only\"` in iamlua.toml",
            ));
        }
        if write.is_idle(&args) {
            return Ok(Value::Nil);
        }
        if self.is_closed() {
            return Err(stopped(entry));
        }
        session.protection.check(write.subject, &name, &None)?;
        if session.mode() == Mode::Plan {
            let overlay = self.overlay().await?;
            Box::pin(overlay.write(self, entry, write, args, origin)).await
        } else {
            Box::pin(write::execute(self, entry, write, args, origin)).await
        }
    }
}

/// Error of a change that did not begin because the run is being stopped.
fn stopped(entry: &Entry) -> Error {
    Error::new(
        Kind::Interrupted,
        format!("{} was not begun: the run is being stopped", entry.spec.lua_name()),
    )
}

impl Invoke for Gate {
    fn finishing(&self) -> Arc<dyn Invoke> {
        Arc::new(Self(Arc::clone(&self.0), OnShutdown::WhenDone, self.2))
    }

    fn as_shown(&self) -> Arc<dyn Invoke> {
        Arc::new(Self(Arc::clone(&self.0), self.1, Answers::AsShown))
    }

    fn is_shown(&self, subject: Subject, record: &Value) -> BoxFuture<'static, bool> {
        let (gate, record) = (self.clone(), record.clone());
        Box::pin(async move { gate.is_shown(subject, &record).await })
    }

    fn invoke(&self, entry: &'static Entry, args: Args) -> Pending {
        let gate = self.clone();
        let session = Arc::clone(self.session());
        // Names of other accounts are of no use for completion.
        let learner = session.names.get().filter(|_| self.0.number == 0).cloned();
        let name = learner.as_ref().and_then(|_| args.text("name"));
        let learn = move |answer: Result<Value>| {
            if let (Some(names), Ok(answer)) = (learner, &answer) {
                names.learn(entry, name.as_deref(), answer);
            }
            answer
        };
        match &entry.run {
            Implementation::Read(..) => {
                Box::pin(async move { learn(gate.read(entry, args).await) })
            }
            Implementation::Write(write) => Box::pin(async move {
                learn(gate.write(entry, write, args, ChangeOrigin::default()).await)
            }),
            Implementation::Compose(_) | Implementation::Iterate(_) | Implementation::Host => {
                let error = entry.no_single_call();
                Box::pin(async { Err(error) })
            }
        }
    }
}

/// Value of a lock, even if poisoned: this module leaves no update half done.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
