//! The local account: an emulator of AWS IAM and the STS calls that go with it, stored in one
//! `SQLite` file. It also answers calls of other services about resources that may reference an
//! instance profile. It speaks the services' own protocols. [`Emulator::http_client`] plugs it into
//! the SDK's clients; any other client reaches it through [`serve()`].
//!
//! It answers as AWS does, with AWS's messages, as far as those are known; `iam-semantics.md` has
//! the details. Of all policies only trust policies are evaluated: the operator may do everything,
//! except assume any role.
//!
//! This module shares no code with `iam/`, which makes the calls: a common helper would hide a
//! misunderstanding of the API on both sides.

mod account;
mod actions;
mod authorization;
mod call;
mod clock;
mod constraints;
mod example;
mod export;
mod fault_targets;
mod faults;
mod form;
mod held;
mod http_client;
mod import;
mod import_resources;
mod managed_policies;
mod marker;
mod partition;
mod policies;
mod profiles;
mod protected_roles;
mod random;
mod read_txn;
mod records;
mod refusal;
mod regions;
mod reply;
mod resources;
mod role_updates;
mod roles;
mod routing;
mod security_tokens;
mod sequence;
mod serve;
mod service;
mod service_linked_roles;
mod services;
mod sessions;
mod store;
mod synthetic;
mod tags;
mod truncated_body;
mod trust;
mod users;
mod web_identity;
mod write_txn;
mod xml;

use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rusqlite::Connection;

use crate::clock::milliseconds;
use crate::error::{Error, Result};

use actions::Handler;
use faults::FaultState;
use random::Random;
use read_txn::{AccountRow, ReadTxn};
use refusal::{ApiResult, CallFailure, Refusal};
use reply::Content;
use routing::Routed;
use service::Service;
use store::{Age, Store};
use write_txn::WriteTxn;
use xml::Xml;

pub use crate::clock::{Clock, HeldClock, ManualClock};
pub use actions::actions;
pub use fault_targets::Targets;
pub use faults::{Faults, Throttle};
pub use import::ImportSummary;
pub use read_txn::Quotas;
pub use serve::{Serving, bind, serve, serve_with};

/// Number of every new account, used in AWS's own examples.
const ACCOUNT_ID: &str = "123456789012";

/// Handle to an open local account. Clones share the account and may be used from any thread.
#[derive(Clone, Debug)]
pub struct Emulator {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    age: Age,
    clock: Clock,
    seed: Option<u64>,
    random: Random,
    fault_state: RwLock<Arc<FaultState>>,
}

/// Options for opening an account; they are not stored in the file. The default is the system
/// clock, random ids and no faults.
#[derive(Clone, Debug, Default)]
pub struct EmulatorSettings {
    /// Source of the time.
    pub clock: Clock,
    /// Seed for reproducible ids, keys and request ids.
    pub seed: Option<u64>,
    /// Injected faults.
    pub faults: Faults,
}

/// Contents of an account after a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Example account: about two dozen profiles, their roles, and resources that use some of them.
    Example,
    /// Empty account.
    Empty,
}

/// Check for the name of a known partition.
#[must_use]
pub fn is_partition(name: &str) -> bool {
    partition::ALL.contains(&name)
}

/// Quota that can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Instance profiles in the account.
    Profiles,
    /// Roles in the account.
    Roles,
    /// Managed policies attached to one role.
    PoliciesPerRole,
}

/// Request without its transport. The default is an empty POST to `/`.
#[derive(Clone, Debug)]
pub struct Request {
    /// HTTP method.
    pub method: String,
    /// Path, with the query if there is one.
    pub path: String,
    /// `X-Amz-Target` header, which names the action in the JSON 1.1 protocol.
    pub target: Option<String>,
    /// `Authorization` header. It has the access key of the caller, the service and the region. The
    /// signature is not verified.
    pub authorization: Option<String>,
    /// Body: a form, such as `Action=GetRole&Version=2010-05-08&RoleName=x`, or JSON. For a GET the
    /// form is the query.
    pub body: Vec<u8>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            target: None,
            authorization: None,
            body: Vec::new(),
        }
    }
}

/// Outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Reply, either success or an error.
    Reply(Reply),
    /// Fault `lost`: the request was executed, but no reply is sent.
    Lost,
    /// Fault `cut`: the reply is sent, but the connection breaks off in the middle of its body.
    Cut(Reply),
}

/// Reply to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Request id, for the header `x-amzn-RequestId`; XML bodies also contain it.
    pub request_id: String,
    /// Value of the header `Content-Type`.
    pub content_type: &'static str,
    /// Value of the header `x-amzn-ErrorType`, in which some protocols carry the error code.
    pub error_type: Option<&'static str>,
    /// Body: XML or JSON.
    pub body: String,
}

impl Emulator {
    /// Opens the account in a file. The first use creates the file with the example account.
    ///
    /// # Errors
    /// `Kind::State` or `Kind::Io` if the file cannot be used: it is damaged, of a newer version,
    /// of another program, or cannot be created. A read-only file can be opened, and refuses every
    /// change.
    pub fn open(path: &Path, options: EmulatorSettings) -> Result<Self> {
        let (clock, random) = (options.clock.clone(), Random::new(options.seed));
        let populate = |connection: &Connection| seed(connection, &clock, &random);
        let (store, age) = Store::open(path, populate)?;
        Ok(Self::new(store, age, random, options))
    }

    /// Creates an in-memory example account, which is lost when the process ends.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn in_memory(options: EmulatorSettings) -> Result<Self> {
        let (clock, random) = (options.clock.clone(), Random::new(options.seed));
        let store = Store::in_memory(|connection| seed(connection, &clock, &random))?;
        Ok(Self::new(store, Age::New, random, options))
    }

    fn new(store: Store, age: Age, random: Random, options: EmulatorSettings) -> Self {
        let fault_state = FaultState::new(options.faults, options.seed, &options.clock);
        let fault_state = RwLock::new(Arc::new(fault_state));
        let shared =
            Shared { store, age, clock: options.clock, seed: options.seed, random, fault_state };
        Self { shared: Arc::new(shared) }
    }

    /// True if opening the account created it.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.shared.age == Age::New
    }

    /// Account number.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be read.
    pub fn account_id(&self) -> Result<String> {
        Ok(self.account()?.id)
    }

    /// Quotas of the account.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be read.
    pub fn quotas(&self) -> Result<Quotas> {
        Ok(self.account()?.quotas)
    }

    /// Current usage of the quotas; for policies per role, the highest number on one role.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be read.
    pub fn held(&self) -> Result<Quotas> {
        let account = self.account()?;
        let most = self.shared.store.read(|connection| {
            let sql = "SELECT coalesce(max(count), 0) FROM
                (SELECT count(*) AS count FROM attachment WHERE usage = 'policy' GROUP BY role)";
            Ok::<i64, ChangeError>(connection.query_row(sql, [], |row| row.get(0))?)
        });
        let most = most.map_err(|failure| self.explain(failure))?;
        let amount = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Quotas {
            profiles: amount(account.profiles),
            roles: amount(account.roles),
            policies_per_role: amount(most),
        })
    }

    /// Sets a quota, for every process that uses the account. A quota below the current usage only
    /// prevents new entities.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be written.
    pub fn set_quota(&self, quota: Quota, value: u32) -> Result<()> {
        let column = match quota {
            Quota::Profiles => "profiles_quota",
            Quota::Roles => "roles_quota",
            Quota::PoliciesPerRole => "policies_per_role_quota",
        };
        self.change(|edit| {
            edit.connection.execute(&format!("UPDATE account SET {column} = ?1"), [value])?;
            Ok(())
        })
    }

    /// Check for a managed policy ARN that is neither of the account nor a known policy of AWS.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be read.
    pub fn lacks_policy(&self, arn: &str) -> Result<bool> {
        let found = self.shared.store.read(|connection| {
            let account = AccountRow::load(connection)?;
            let arn = partition::swap(arn, &account.partition);
            let kind = managed_policies::classify(connection, &account.id, &arn)?;
            Ok::<_, ChangeError>(kind == managed_policies::ArnKind::Unknown)
        });
        found.map_err(|failure| self.explain(failure))
    }

    /// Overrides the account's count of profiles or roles, so that it can stand in for a larger
    /// account.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be written.
    pub fn set_count(&self, quota: Quota, count: u32) -> Result<()> {
        let column = match quota {
            Quota::Profiles => "profiles",
            Quota::Roles => "roles",
            Quota::PoliciesPerRole => return Ok(()),
        };
        self.change(|edit| {
            edit.connection.execute(&format!("UPDATE account SET {column} = ?1"), [count])?;
            Ok(())
        })
    }

    /// Deletes everything in the account. The default quotas and account number are restored.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be written.
    pub fn reset(&self, contents: Contents) -> Result<()> {
        self.change(|edit| {
            edit.clear()?;
            let Quotas { profiles, roles, policies_per_role } = Quotas::default();
            edit.connection.execute("DELETE FROM setting WHERE name = 'partition'", [])?;
            edit.connection.execute(
                "UPDATE account SET id = ?1, profiles_quota = ?2, roles_quota = ?3,
                     policies_per_role_quota = ?4",
                (ACCOUNT_ID, profiles, roles, policies_per_role),
            )?;
            match contents {
                Contents::Empty => Ok(()),
                Contents::Example => Ok(example::fill(edit)?),
            }
        })
    }

    /// Changes the injected faults and refills the token bucket. Calls in progress end with the old
    /// faults. Held calls go on, unless the new faults hold them too.
    pub fn set_faults(&self, faults: Faults) {
        let fault_state = Arc::new(FaultState::new(faults, self.shared.seed, &self.shared.clock));
        *self.shared.fault_state.write().unwrap_or_else(PoisonError::into_inner) = fault_state;
    }

    /// Calls held by the fault `hold`, in any process that uses the account, such as
    /// `iam:CreateInstanceProfile@us-east-1`.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be read.
    pub fn held_calls(&self) -> Result<Vec<String>> {
        let calls = self.shared.store.read(|connection| Ok(held::calls(connection)?));
        calls.map_err(|failure| self.explain(failure))
    }

    /// Releases the calls now held by the fault `hold`, in any process, and returns them. Later
    /// calls are held as before.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be written.
    pub fn release_calls(&self) -> Result<Vec<String>> {
        self.change(|edit| {
            let calls = held::calls(edit.connection)?;
            held::release(edit.connection)?;
            Ok(calls)
        })
    }

    fn fault_state(&self) -> Arc<FaultState> {
        Arc::clone(&self.shared.fault_state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes the whole account as JSON, one entity per line, in the format that
    /// [`import`](Self::import) reads. The export is a consistent snapshot. Its memory use does not
    /// depend on the number of profiles.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be read, `Kind::Io` if `out` cannot be written.
    pub fn export(&self, out: &mut dyn Write) -> Result<()> {
        let done = self.shared.store.read(|connection| export::write(connection, out));
        done.map_err(|failure| self.explain(failure))
    }

    /// Replaces the contents of the account by those in the JSON. An error leaves the account
    /// unchanged. The JSON is read as a stream, so it may be of any size.
    ///
    /// ```json
    /// {"format": "iamlua-account", "version": 1,
    ///  "account": {"id": "123456789012", "partition": "aws", "alias": "acme",
    ///              "quotas": {"profiles": 1000, "roles": 1000, "policies_per_role": 10}},
    ///  "policies": [{"name": "own", "path": "/team/", "id": "ANPA…", "create_date": "…",
    ///                "update_date": "…", "description": "…", "default_version": "v1",
    ///                "versions": [{"id": "v1", "create_date": "…", "document": {}}],
    ///                "tags": {"Team": "web"}},
    ///               "arn:aws:iam::aws:policy/NewerThanThisProgram"],
    ///  "roles": [{"name": "web", "path": "/", "id": "AROA…",
    ///             "create_date": "2026-01-02T03:04:05Z",
    ///             "assume_role_policy": {"Version": "2012-10-17", "Statement": []},
    ///             "description": "…", "max_session_duration": 3600,
    ///             "permissions_boundary": "arn:…", "last_used": {"date": "…", "region": "…"},
    ///             "attached_policies": ["arn:…"],
    ///             "inline_policies": {"logs": {"Version": "2012-10-17", "Statement": []}},
    ///             "tags": {"Team": "web"}}],
    ///  "profiles": [{"name": "web", "path": "/", "id": "AIPA…", "create_date": "…", "role": "web",
    ///                "tags": {}}],
    ///  "regions": {"us-east-1": "opt-in-not-required", "eu-south-1": "opted-in",
    ///              "af-south-1": "not-opted-in"},
    ///  "resources": [{"kind": "ec2.instance", "region": "us-east-1", "id": "i-…",
    ///                 "state": "running", "create_date": "…", "profile": "web"}]}
    /// ```
    ///
    /// Required are only `format`, `version`, the names, a role's `assume_role_policy` and the bold
    /// keys below. `arn` is optional, and must be right if it is given. A policy that is only named
    /// by its ARN, in `policies` or by a role, exists afterwards, with an unknown document.
    ///
    /// `regions` lists all regions of the account. Without that section they are AWS's, and regions
    /// that require opt-in are not enabled. A region that is not enabled answers no calls. A region
    /// that every account has answers calls even if the list omits it, so that some region can
    /// always list the others.
    ///
    /// `resources` lists resources that may reference an instance profile. Each has **`kind`**,
    /// **`region`**, optionally `create_date`, and the keys of its kind (defaults in parentheses):
    ///
    /// - `ec2.instance`: `id`, `state` (`running`), `profile`, `profile_id`
    /// - `ec2.association`: `id`, `instance_id`, `state` (`associated`), **`profile`**,
    ///   `profile_id`
    /// - `ec2.launch_template`: `id`, **`name`**, `versions`: a list of `{"number": …, "profile":
    ///   …}` (one without a profile), `default_version` (the first)
    /// - `ec2.spot_fleet`: `id`, `state` (`active`), `profiles`: a list, one per launch
    ///   specification
    /// - `ec2.spot_request`: `id`, `state` (`open`), `profile`
    /// - `autoscaling.launch_configuration`: **`name`**, `profile`
    /// - `batch.compute_environment`: **`name`**, `status` (`VALID`), `profile`
    /// - `ecs.capacity_provider`: **`name`**, **`cluster`**, `status` (`ACTIVE`), `profile`
    /// - `imagebuilder.infrastructure_configuration`: **`name`**, `profile`
    /// - `emr.cluster`: `id`, **`name`**, `state` (`RUNNING`), `profile`
    /// - `elasticbeanstalk.environment`: `id`, **`name`**, `application` (its name), `status`
    ///   (`Ready`), `profile`
    /// - `eks.node_group`: **`name`**, **`cluster`**, `status` (`ACTIVE`), **`role`**,
    ///   `launch_template` (its id or name)
    /// - `rds.instance`: `id`, `status` (`available`), `profile`
    ///
    /// A `profile` is a name or an ARN, possibly of another account, and is returned as it was
    /// given. Instances, associations and capacity providers are the exception, because AWS always
    /// returns ARNs there: a name stands for the account's profile of that name, or for a deleted
    /// one. `profile_id` is for an instance that was started with an earlier profile of the same
    /// name. Missing ids are generated, the same ones every time.
    ///
    /// # Errors
    /// `Kind::Argument` if the JSON is wrong, with the place (`profiles[17].name`); `Kind::State`
    /// if the file cannot be written.
    pub fn import(&self, json: impl Read) -> Result<ImportSummary> {
        self.change(|edit| import::replace(edit, BufReader::new(json)))
    }

    /// Adds roles, profiles, policies, regions and resources to the account, in the format that
    /// [`import`](Self::import) reads. Entries of the same name are replaced; resources are
    /// replaced if kind, region and id or name are the same. Everything else stays.
    ///
    /// # Errors
    /// As those of [`import`](Self::import).
    pub fn absorb(&self, json: &serde_json::Value) -> Result<()> {
        self.change(|edit| import::absorb(edit, json))
    }

    /// Time of the account as an HTTP date, for the header `Date`.
    #[must_use]
    pub fn date(&self) -> String {
        clock::http_date(self.shared.clock.milliseconds())
    }

    /// The account as an HTTP client, for the configuration of the SDK's IAM and STS clients.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        http_client::shared_client(self.clone())
    }

    /// Answers one request. Only the faults `hold` and `latency` make this wait. Otherwise it takes
    /// some microseconds, or milliseconds for a page of a thousand resources.
    pub async fn answer(&self, request: Request) -> Answer {
        match self.hold(&request).await {
            Some(answer) => answer,
            None => self.answer_unheld(request).await,
        }
    }

    /// Waits while the fault `hold` applies to the request. Returns an answer only on an error of
    /// the file.
    async fn hold(&self, request: &Request) -> Option<Answer> {
        if self.fault_state().faults.hold.is_empty() {
            return None;
        }
        // Malformed requests are refused later.
        let routed = Routed::of(request).ok()?;
        let (service, action, region) = (routed.service(), routed.action.name, routed.region());
        let is_over = || !self.fault_state().faults.hold.contain(service, action, region);
        if is_over() {
            return None;
        }
        let request_id = self.shared.random.request_id();
        let call = format!("{}:{action}@{region}", service.name());
        let waited = match held::Held::new(&self.shared.store, &request_id, &call) {
            Ok(held) => held.wait(is_over).await,
            Err(error) => Err(error),
        };
        let refusal = self.refusal(service, waited.err()?.into());
        Some(Answer::Reply(reply::failure(service, &refusal, request_id)))
    }

    /// Answers a request that is not held, or no longer.
    async fn answer_unheld(&self, request: Request) -> Answer {
        let shared = &*self.shared;
        let request_id = shared.random.request_id();
        let routed = match Routed::of(&request) {
            Ok(routed) => routed,
            Err((service, refusal)) => {
                return Answer::Reply(reply::failure(service, &refusal, request_id));
            }
        };
        let (service, action) = (routed.service(), routed.action.name);
        let failed = |failure| {
            let refusal = self.refusal(service, failure);
            Answer::Reply(reply::failure(service, &refusal, request_id.clone()))
        };
        if let Err(failure) = self.check_region(&routed) {
            return failed(failure);
        }
        let fault_state = self.fault_state();
        let is_among = |targets: &Targets| targets.contain(service, action, routed.region());
        let faults = &fault_state.faults;
        if is_among(&faults.choke) || fault_state.throttles(&shared.clock) {
            return failed(Refusal::throttled(service).into());
        }
        if faults.latency > Duration::ZERO {
            tokio::time::sleep(faults.latency).await;
        }
        if is_among(&faults.deny) {
            return failed(self.denied(&routed));
        }
        if is_among(&faults.fail) || fault_state.fails() {
            return failed(Refusal::unknown_failure(service).into());
        }
        let lost = fault_state.loses();
        let outcome = self.carry_out(&routed);
        if lost {
            return Answer::Lost;
        }
        match outcome {
            Ok(content) => {
                let reply = reply::success(service, action, &content, request_id);
                if is_among(&faults.cut) { Answer::Cut(reply) } else { Answer::Reply(reply) }
            }
            Err(failure) => failed(failure),
        }
    }

    /// Error reply for a failure.
    fn refusal(&self, service: Service, failure: CallFailure) -> Refusal {
        match failure {
            CallFailure::Refused(refusal) => refusal,
            CallFailure::Storage(error) => {
                let error = self.shared.store.unusable(error);
                let hints = error.hints.join("; ");
                Refusal::service_failure(service, format!("{error} ({hints})"))
            }
        }
    }

    /// Refuses calls to a region that is not enabled. Such a region does not recognise the caller.
    fn check_region(&self, routed: &Routed<'_>) -> ApiResult<()> {
        let service = routed.service();
        let is_enabled = !service.is_regional()
            || self
                .shared
                .store
                .read(|connection| regions::is_enabled(connection, routed.region()))?;
        if is_enabled { Ok(()) } else { Err(Refusal::region_disabled(service).into()) }
    }

    fn denied(&self, routed: &Routed<'_>) -> CallFailure {
        let Shared { store, clock, .. } = &*self.shared;
        let caller = store.read(|connection| {
            let account = AccountRow::load(connection)?;
            let (caller, _) = routed.caller(&account, clock.milliseconds(), connection)?;
            Ok(partition::swap(&caller.arn(&account), &account.partition).into_owned())
        });
        match caller {
            Ok(caller) => Refusal::denied(routed.service(), &caller, routed.action.name).into(),
            Err(failure) => failure,
        }
    }

    fn carry_out(&self, routed: &Routed<'_>) -> ApiResult<Content> {
        let Shared { store, clock, random, .. } = &*self.shared;
        let now = clock.milliseconds();
        match routed.action.run {
            Handler::Read(run) => store.read(|connection| {
                let account = AccountRow::load(connection)?;
                outside(&account.partition.clone(), || {
                    let call = routed.call(&account, now, connection)?;
                    let read_time = self.lag().map(|_| clock.passing());
                    let mut xml = Xml::default();
                    run(&ReadTxn { connection, account, read_time }, &call, &mut xml)?;
                    Ok(Content::Xml(xml))
                })
            }),
            Handler::ReadJson(run) => store.read(|connection| {
                let account = AccountRow::load(connection)?;
                outside(&account.partition.clone(), || {
                    let call = routed.call(&account, now, connection)?;
                    let json = run(&ReadTxn { connection, account, read_time: None }, &call)?;
                    Ok(Content::Json(json))
                })
            }),
            Handler::Write(_) if store.read_only().is_some() => {
                Err(Refusal::read_only(&store.to_string()).into())
            }
            Handler::Write(run) => store.write(|connection| {
                let account = AccountRow::load(connection)?;
                outside(&account.partition.clone(), || {
                    let call = routed.call(&account, now, connection)?;
                    let visible_from = self.lag().map(|lag| clock.passing().saturating_add(lag));
                    let mut xml = Xml::default();
                    run(
                        &WriteTxn { connection, account, now, visible_from, random },
                        &call,
                        &mut xml,
                    )?;
                    Ok(Content::Xml(xml))
                })
            }),
        }
    }

    /// Lag in milliseconds, if there is one.
    fn lag(&self) -> Option<i64> {
        let lag = self.fault_state().faults.lag;
        (lag > Duration::ZERO).then(|| milliseconds(lag))
    }

    fn account(&self) -> Result<AccountRow> {
        let store = &self.shared.store;
        store.read(AccountRow::load).map_err(|error| store.unusable(error))
    }

    /// Changes the account directly, outside of any call. Such changes are visible at once, despite
    /// a lag.
    fn change<T>(&self, change: impl FnOnce(&WriteTxn<'_>) -> Result<T, ChangeError>) -> Result<T> {
        let Shared { store, clock, random, .. } = &*self.shared;
        if let Some(error) = store.read_only() {
            return Err(error);
        }
        let done = store.write(|connection| {
            let account = AccountRow::load(connection)?;
            let now = clock.milliseconds();
            change(&WriteTxn { connection, account, now, visible_from: None, random })
        });
        done.map_err(|failure| self.explain(failure))
    }

    fn explain(&self, failure: ChangeError) -> Error {
        match failure {
            ChangeError::Reported(error) => error,
            ChangeError::Storage(error) => self.shared.store.unusable(error),
        }
    }
}

/// Result of a call, with the ARNs of the account's partition.
fn outside(partition: &str, answer: impl FnOnce() -> ApiResult<Content>) -> ApiResult<Content> {
    match answer() {
        Ok(mut content) => {
            content.translate(partition);
            Ok(content)
        }
        Err(CallFailure::Refused(mut refusal)) => {
            refusal.message = partition::swap(&refusal.message, partition).into_owned();
            Err(refusal.into())
        }
        Err(failure) => Err(failure),
    }
}

/// Failure of a direct change: an error with its message, or a file error, which gets its message
/// from the store.
enum ChangeError {
    Reported(Error),
    Storage(rusqlite::Error),
}

impl From<Error> for ChangeError {
    fn from(error: Error) -> Self {
        Self::Reported(error)
    }
}

impl From<rusqlite::Error> for ChangeError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error)
    }
}

/// Creates the example account in an empty file.
fn seed(connection: &Connection, clock: &Clock, random: &Random) -> Result<()> {
    let quotas = Quotas::default();
    let result = (|| {
        connection.execute(
            "INSERT INTO account (one, id, salt, profiles_quota, roles_quota,
                 policies_per_role_quota) VALUES (1, ?1, ?2, ?3, ?4, ?5)",
            (
                ACCOUNT_ID,
                random.bits().cast_signed(),
                quotas.profiles,
                quotas.roles,
                quotas.policies_per_role,
            ),
        )?;
        let account = AccountRow::load(connection)?;
        let now = clock.milliseconds();
        example::fill(&WriteTxn { connection, account, now, visible_from: None, random })
    })();
    result.map_err(|failure| match failure {
        ChangeError::Reported(error) => error,
        ChangeError::Storage(error) => {
            let message = format!("the example account could not be written: {error}");
            Error::new(crate::error::Kind::State, message).caused_by(error)
        }
    })
}
