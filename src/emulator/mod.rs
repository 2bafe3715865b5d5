//! The local account: an emulator of AWS IAM (and the two STS calls that go with it) inside the
//! program, kept in one `SQLite` file; and of what other services say about resources that may name
//! an instance profile. It speaks their own protocols and has no idea who asks: the SDK's clients
//! are plugged into it by [`Emulator::http_client`], any other client reaches it through
//! [`serve()`].
//!
//! It answers what AWS answers, in AWS's words, as far as those are known; `iam-semantics.md` says
//! how they are. It evaluates no permissions but trust policies: the operator may do everything,
//! except assume any role.
//!
//! This room shares nothing with `iam/`, where the calls are made: a common helper would hide a
//! common misunderstanding.

mod account;
mod actions;
mod authorization;
mod call;
mod clock;
mod constraints;
mod edit;
mod example;
mod export;
mod faults;
mod form;
mod held;
mod http_client;
mod import;
mod import_resources;
mod made_up;
mod managed_policies;
mod marker;
mod partition;
mod policies;
mod profiles;
mod protected_roles;
mod random;
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
mod tags;
mod targets;
mod torn;
mod trust;
mod users;
mod view;
mod web_identity;
mod xml;

use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use rusqlite::Connection;

use crate::clock::milliseconds;
use crate::error::{Error, Result};

use actions::Run;
use edit::WriteTxn;
use faults::Weather;
use random::Random;
use refusal::{ApiResult, Failure, Refusal};
use reply::Content;
use routing::Routed;
use service::Service;
use store::{Age, Store};
use view::{Account, ReadTxn};
use xml::Xml;

pub use crate::clock::{Clock, HeldClock, ManualClock};
pub use actions::actions;
pub use faults::{Faults, Throttle};
pub use import::ImportSummary;
pub use serve::{Serving, bind, serve, serve_with};
pub use targets::Targets;
pub use view::Quotas;

/// The number of every new account, which AWS uses in its own examples.
const ACCOUNT_ID: &str = "123456789012";

/// A local account that is open. Clones are handles to the same one; use it from as many threads as
/// you like.
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
    weather: RwLock<Arc<Weather>>,
}

/// Options of opening an account; they are not kept in the file. The default is the
/// machine's clock, ids that differ every time, and no faults.
#[derive(Clone, Debug, Default)]
pub struct EmulatorSettings {
    /// Where the time comes from.
    pub clock: Clock,
    /// Makes every id, key and request id the same every time.
    pub seed: Option<u64>,
    /// Bad weather on purpose.
    pub faults: Faults,
}

/// What an account holds after a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// The example: some two dozen profiles, the roles in them, and what uses some of them.
    Example,
    /// Nothing.
    Empty,
}

/// Check for a partition of which an account can be.
#[must_use]
pub fn is_partition(name: &str) -> bool {
    partition::ALL.contains(&name)
}

/// A quota that can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// Instance profiles in the account.
    Profiles,
    /// Roles in the account.
    Roles,
    /// Managed policies attached to one role.
    PoliciesPerRole,
}

/// One request, freed of its transport. The default is an empty POST to `/`.
#[derive(Clone, Debug)]
pub struct Request {
    /// The HTTP method.
    pub method: String,
    /// The path, with the query if there is one.
    pub path: String,
    /// The `X-Amz-Target` header, which says what is wanted where the protocol is JSON 1.1.
    pub target: Option<String>,
    /// The `Authorization` header. The access key in it says who calls, the rest which service and
    /// region are meant; its signature is not checked.
    pub authorization: Option<String>,
    /// The body: a form, such as `Action=GetRole&Version=2010-05-08&RoleName=x`, or JSON. For a GET
    /// the form is the query.
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

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An answer, be it of success or failure.
    Reply(Reply),
    /// The fault `lost`: the request was carried out, but no answer comes back.
    Lost,
    /// The fault `cut`: this answer comes back, but the connection breaks off in the middle of its
    /// body.
    Cut(Reply),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The request id, for the header `x-amzn-RequestId`; in XML it stands in the body, too.
    pub request_id: String,
    /// For the header `Content-Type`.
    pub content_type: &'static str,
    /// For the header `x-amzn-ErrorType`, which is where some protocols have the code of an error.
    pub error_type: Option<&'static str>,
    /// The body: XML or JSON.
    pub body: String,
}

impl Emulator {
    /// Opens the account in that file. The first use makes the file and the example account in it.
    ///
    /// # Errors
    /// `Kind::State` or `Kind::Io` if the file cannot be used: it is damaged, of a newer version,
    /// of another program, or cannot be made. A file that can only be read opens, and refuses every
    /// change.
    pub fn open(path: &Path, options: EmulatorSettings) -> Result<Self> {
        let (clock, random) = (options.clock.clone(), Random::new(options.seed));
        let furnish = |connection: &Connection| furnish(connection, &clock, &random);
        let (store, age) = Store::open(path, furnish)?;
        Ok(Self::new(store, age, random, options))
    }

    /// Makes an example account that is gone with the process.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn in_memory(options: EmulatorSettings) -> Result<Self> {
        let (clock, random) = (options.clock.clone(), Random::new(options.seed));
        let store = Store::in_memory(|connection| furnish(connection, &clock, &random))?;
        Ok(Self::new(store, Age::New, random, options))
    }

    fn new(store: Store, age: Age, random: Random, options: EmulatorSettings) -> Self {
        let weather = Weather::new(options.faults, options.seed, &options.clock);
        let weather = RwLock::new(Arc::new(weather));
        let shared =
            Shared { store, age, clock: options.clock, seed: options.seed, random, weather };
        Self { shared: Arc::new(shared) }
    }

    /// Whether this use made the account.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.shared.age == Age::New
    }

    /// The account's number.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be read.
    pub fn account_id(&self) -> Result<String> {
        Ok(self.account()?.id)
    }

    /// The account's quotas.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be read.
    pub fn quotas(&self) -> Result<Quotas> {
        Ok(self.account()?.quotas)
    }

    /// Amounts that the account holds of what has a quota; of policies that of the role with most.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be read.
    pub fn held(&self) -> Result<Quotas> {
        let account = self.account()?;
        let most = self.shared.store.read(|connection| {
            let sql = "SELECT coalesce(max(count), 0) FROM
                (SELECT count(*) AS count FROM attachment WHERE usage = 'policy' GROUP BY role)";
            Ok::<i64, Trouble>(connection.query_row(sql, [], |row| row.get(0))?)
        });
        let most = most.map_err(|trouble| self.explain(trouble))?;
        let amount = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Quotas {
            profiles: amount(account.profiles),
            roles: amount(account.roles),
            policies_per_role: amount(most),
        })
    }

    /// Sets a quota, for every process that uses the account from now on. One below what the
    /// account already holds only keeps more from being made.
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

    /// Check for the ARN of a managed policy that is neither the account's nor known as AWS's.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be read.
    pub fn lacks_policy(&self, arn: &str) -> Result<bool> {
        let found = self.shared.store.read(|connection| {
            let account = Account::load(connection)?;
            let arn = partition::swap(arn, &account.partition);
            let standing = managed_policies::standing(connection, &account.id, &arn)?;
            Ok::<_, Trouble>(standing == managed_policies::ArnKind::Unknown)
        });
        found.map_err(|trouble| self.explain(trouble))
    }

    /// Makes the account count so many profiles or roles, whatever it holds, for an emulator that
    /// stands for a larger account.
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

    /// Throws away everything in the account and begins anew, with AWS's default quotas and the
    /// first account number.
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

    /// Changes the weather, with a full token bucket; calls under way end in the old one. Those
    /// that are held go on, unless the new weather holds them too.
    pub fn set_faults(&self, faults: Faults) {
        let weather = Arc::new(Weather::new(faults, self.shared.seed, &self.shared.clock));
        *self.shared.weather.write().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// The calls that the fault `hold` keeps waiting now, in any process that uses the account,
    /// such as `iam:CreateInstanceProfile@us-east-1`.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be read.
    pub fn held_calls(&self) -> Result<Vec<String>> {
        let calls = self.shared.store.read(|connection| Ok(held::calls(connection)?));
        calls.map_err(|trouble| self.explain(trouble))
    }

    /// Lets the calls go that the fault `hold` keeps waiting now, in any process, and returns them.
    /// Later calls are held as before.
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

    fn weather(&self) -> Arc<Weather> {
        Arc::clone(&self.shared.weather.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes the whole account as JSON, one thing a line, in the form that
    /// [`import`](Self::import) reads. It is the account at one moment, and takes no more memory
    /// for a million profiles than for one.
    ///
    /// # Errors
    /// `Kind::State` if the file cannot be read, `Kind::Io` if `out` cannot be written.
    pub fn export(&self, out: &mut dyn Write) -> Result<()> {
        let done = self.shared.store.read(|connection| export::write(connection, out));
        done.map_err(|trouble| self.explain(trouble))
    }

    /// Replaces everything in the account by what that JSON says: all of it or, if anything is
    /// wrong with it, nothing. It is read as a stream, so it may be of any size.
    ///
    /// ```json
    /// {"format": "iamlua-account", "version": 1,
    ///  "account": {"id": "123456789012", "partition": "aws", "alias": "acme",
    ///              "quotas": {"profiles": 1000, "roles": 1000, "policies_per_role": 10}},
    ///  "policies": [{"name": "own", "path": "/team/", "id": "ANPA…", "create_date": "…", "update_date": "…",
    ///                "description": "…", "versions": [{"id": "v1", "create_date": "…", "document": {}}],
    ///                "default_version": "v1", "tags": {"Team": "web"}},
    ///               "arn:aws:iam::aws:policy/NewerThanThisProgram"],
    ///  "roles": [{"name": "web", "path": "/", "id": "AROA…", "create_date": "2026-01-02T03:04:05Z",
    ///             "assume_role_policy": {"Version": "2012-10-17", "Statement": []},
    ///             "description": "…", "max_session_duration": 3600, "permissions_boundary": "arn:…",
    ///             "last_used": {"date": "…", "region": "…"}, "attached_policies": ["arn:…"],
    ///             "inline_policies": {"logs": {"Version": "2012-10-17", "Statement": []}}, "tags": {"Team": "web"}}],
    ///  "profiles": [{"name": "web", "path": "/", "id": "AIPA…", "create_date": "…", "role": "web",
    ///                "tags": {}}],
    ///  "regions": {"us-east-1": "opt-in-not-required", "eu-south-1": "opted-in",
    ///              "af-south-1": "not-opted-in"},
    ///  "resources": [{"kind": "ec2.instance", "region": "us-east-1", "id": "i-…", "state": "running",
    ///                 "create_date": "…", "profile": "web"}]}
    /// ```
    ///
    /// Only `format`, `version`, the names, a role's `assume_role_policy` and what is bold below
    /// are needed; `arn` may be there and must then be right. A policy that is only named by its
    /// ARN, in `policies` or by a role, exists from then on, with a document that is not known.
    ///
    /// `regions` are all the regions that the account has. Without that section they are AWS's, of
    /// which those that must be opted in to are not. A region that is not enabled answers no calls;
    /// one that is left out answers if no account can be without it, so that there is always one to
    /// ask.
    ///
    /// `resources` are what may name an instance profile. Each has **`kind`**, **`region`**,
    /// perhaps `create_date`, and:
    ///
    /// | kind | keys (what is meant if it is not there) |
    /// | --- | --- |
    /// | `ec2.instance` | `id`, `state` (`running`), `profile`, `profile_id` |
    /// | `ec2.association` | `id`, `instance_id`, `state` (`associated`), **`profile`**, `profile_id` |
    /// | `ec2.launch_template` | `id`, **`name`**, `versions`: a list of `{"number": …, "profile": …}` (one without a profile), `default_version` (the first) |
    /// | `ec2.spot_fleet` | `id`, `state` (`active`), `profiles`: a list, each for one launch specification |
    /// | `ec2.spot_request` | `id`, `state` (`open`), `profile` |
    /// | `autoscaling.launch_configuration` | **`name`**, `profile` |
    /// | `batch.compute_environment` | **`name`**, `status` (`VALID`), `profile` |
    /// | `ecs.capacity_provider` | **`name`**, **`cluster`**, `status` (`ACTIVE`), `profile` |
    /// | `imagebuilder.infrastructure_configuration` | **`name`**, `profile` |
    /// | `emr.cluster` | `id`, **`name`**, `state` (`RUNNING`), `profile` |
    /// | `elasticbeanstalk.environment` | `id`, **`name`**, `application` (its name), `status` (`Ready`), `profile` |
    /// | `eks.node_group` | **`name`**, **`cluster`**, `status` (`ACTIVE`), **`role`**, `launch_template` (its id or name) |
    /// | `rds.instance` | `id`, `status` (`available`), `profile` |
    ///
    /// A `profile` is a name or an ARN, also of another account, and comes back as it was given,
    /// except where AWS only ever answers an ARN: for instances, associations and capacity
    /// providers a name stands for the account's profile of that name, or for one that is gone.
    /// `profile_id` is for an instance that was started with an earlier profile of the same name.
    /// Ids that are not there are made up, the same ones every time.
    ///
    /// # Errors
    /// `Kind::Argument` if the JSON is wrong, with the place (`profiles[17].name`); `Kind::State`
    /// if the file cannot be written.
    pub fn import(&self, json: impl Read) -> Result<ImportSummary> {
        self.change(|edit| import::replace(edit, BufReader::new(json)))
    }

    /// Adds roles, profiles, policies, regions and resources to the account, in the form that
    /// [`import`](Self::import) reads; what has the same name, or for resources the same kind,
    /// region and id or name, is replaced, all else stays.
    ///
    /// # Errors
    /// As those of [`import`](Self::import).
    pub fn absorb(&self, json: &serde_json::Value) -> Result<()> {
        self.change(|edit| import::absorb(edit, json))
    }

    /// The time of the account as HTTP writes it, for the header `Date`.
    #[must_use]
    pub fn date(&self) -> String {
        clock::http_date(self.shared.clock.milliseconds())
    }

    /// The account as an HTTP client, to be set on the configuration of the SDK's IAM and STS
    /// clients.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        http_client::plug(self.clone())
    }

    /// Answers one request. This waits only for the faults `hold` and `latency`; everything else
    /// takes some microseconds, or milliseconds for a page of a thousand resources.
    pub async fn answer(&self, request: Request) -> Answer {
        match self.hold(&request).await {
            Some(answer) => answer,
            None => self.answer_unheld(request).await,
        }
    }

    /// Waits while the fault `hold` is about that request. An answer comes only of trouble with the
    /// file.
    async fn hold(&self, request: &Request) -> Option<Answer> {
        if self.weather().faults.hold.is_empty() {
            return None;
        }
        // What is no call is refused later.
        let routed = Routed::of(request).ok()?;
        let (service, action, region) = (routed.service(), routed.action.name, routed.region());
        let is_over = || !self.weather().faults.hold.contain(service, action, region);
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

    /// The same for a request that is not held, or not any more.
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
        let weather = self.weather();
        let is_among = |targets: &Targets| targets.contain(service, action, routed.region());
        let faults = &weather.faults;
        if is_among(&faults.choke) || weather.throttles(&shared.clock) {
            return failed(Refusal::throttled(service).into());
        }
        if faults.latency > Duration::ZERO {
            tokio::time::sleep(faults.latency).await;
        }
        if is_among(&faults.deny) {
            return failed(self.denied(&routed));
        }
        if is_among(&faults.fail) || weather.fails() {
            return failed(Refusal::unknown_failure(service).into());
        }
        let lost = weather.loses();
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

    /// What the caller is told of a failure.
    fn refusal(&self, service: Service, failure: Failure) -> Refusal {
        match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Storage(error) => {
                let error = self.shared.store.unusable(error);
                let hints = error.hints.join("; ");
                Refusal::service_failure(service, format!("{error} ({hints})"))
            }
        }
    }

    /// A region that is not enabled does not even know the caller.
    fn check_region(&self, routed: &Routed<'_>) -> ApiResult<()> {
        let service = routed.service();
        let is_enabled = !service.is_regional()
            || self
                .shared
                .store
                .read(|connection| regions::is_enabled(connection, routed.region()))?;
        if is_enabled { Ok(()) } else { Err(Refusal::region_disabled(service).into()) }
    }

    fn denied(&self, routed: &Routed<'_>) -> Failure {
        let Shared { store, clock, .. } = &*self.shared;
        let caller = store.read(|connection| {
            let account = Account::load(connection)?;
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
            Run::Read(run) => store.read(|connection| {
                let account = Account::load(connection)?;
                outside(&account.partition.clone(), || {
                    let call = routed.call(&account, now, connection)?;
                    let lags_at = self.lag().map(|_| clock.passing());
                    let mut xml = Xml::default();
                    run(&ReadTxn { connection, account, lags_at }, &call, &mut xml)?;
                    Ok(Content::Xml(xml))
                })
            }),
            Run::Show(run) => store.read(|connection| {
                let account = Account::load(connection)?;
                outside(&account.partition.clone(), || {
                    let call = routed.call(&account, now, connection)?;
                    let json = run(&ReadTxn { connection, account, lags_at: None }, &call)?;
                    Ok(Content::Json(json))
                })
            }),
            Run::Write(_) if store.read_only().is_some() => {
                Err(Refusal::read_only(&store.to_string()).into())
            }
            Run::Write(run) => store.write(|connection| {
                let account = Account::load(connection)?;
                outside(&account.partition.clone(), || {
                    let call = routed.call(&account, now, connection)?;
                    let seen_from = self.lag().map(|lag| clock.passing().saturating_add(lag));
                    let mut xml = Xml::default();
                    run(
                        &WriteTxn { connection, account, now, seen_from, random },
                        &call,
                        &mut xml,
                    )?;
                    Ok(Content::Xml(xml))
                })
            }),
        }
    }

    /// The lag in milliseconds, if there is one.
    fn lag(&self) -> Option<i64> {
        let lag = self.weather().faults.lag;
        (lag > Duration::ZERO).then(|| milliseconds(lag))
    }

    fn account(&self) -> Result<Account> {
        let store = &self.shared.store;
        store.read(Account::load).map_err(|error| store.unusable(error))
    }

    /// Changes the account by hand, as no caller could. Such changes do not lag.
    fn change<T>(&self, change: impl FnOnce(&WriteTxn<'_>) -> Result<T, Trouble>) -> Result<T> {
        let Shared { store, clock, random, .. } = &*self.shared;
        if let Some(error) = store.read_only() {
            return Err(error);
        }
        let done = store.write(|connection| {
            let account = Account::load(connection)?;
            let now = clock.milliseconds();
            change(&WriteTxn { connection, account, now, seen_from: None, random })
        });
        done.map_err(|trouble| self.explain(trouble))
    }

    fn explain(&self, trouble: Trouble) -> Error {
        match trouble {
            Trouble::Told(error) => error,
            Trouble::Storage(error) => self.shared.store.unusable(error),
        }
    }
}

/// Answer to a call, with the ARNs of the account's partition.
fn outside(partition: &str, answer: impl FnOnce() -> ApiResult<Content>) -> ApiResult<Content> {
    match answer() {
        Ok(mut content) => {
            content.translate(partition);
            Ok(content)
        }
        Err(Failure::Refused(mut refusal)) => {
            refusal.message = partition::swap(&refusal.message, partition).into_owned();
            Err(refusal.into())
        }
        Err(failure) => Err(failure),
    }
}

/// Failure of a change by hand: an error that has its words, or trouble with the file that gets
/// them from the store.
enum Trouble {
    Told(Error),
    Storage(rusqlite::Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error)
    }
}

/// Makes the example account in an empty file.
fn furnish(connection: &Connection, clock: &Clock, random: &Random) -> Result<()> {
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
        let account = Account::load(connection)?;
        let now = clock.milliseconds();
        example::fill(&WriteTxn { connection, account, now, seen_from: None, random })
    })();
    result.map_err(|trouble| match trouble {
        Trouble::Told(error) => error,
        Trouble::Storage(error) => {
            let message = format!("the example account could not be written: {error}");
            Error::new(crate::error::Kind::State, message).caused_by(error)
        }
    })
}
