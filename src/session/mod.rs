//! The gate: the one function through which every AWS operation passes, whoever calls it. The mode, the limits of a run and
//! the count of its calls live here and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::error::{Error, Kind, Result};
use crate::iam::client::{Clients, Connection};
use crate::iam::{self, Entry, Invoke, Pending, Run};
use crate::spec::{Action, Args};

/// What a run may do to the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Calls that change the account are refused.
    ReadOnly,
    /// Calls that change the account are made.
    Apply,
}

/// What a runbook's manifest allows.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The functions that it may call; all of them if it does not say.
    pub allow: Option<Vec<String>>,
    /// The most changes.
    pub max_changes: Option<u64>,
}

/// What the connections of one run share: mode, limits, counters.
#[derive(Debug)]
pub struct Session {
    mode: Mode,
    limits: Mutex<Checked>,
    changes: AtomicU64,
    calls: Mutex<BTreeMap<&'static str, u64>>,
}

/// Limits in the form that a call is held against.
#[derive(Debug, Default)]
struct Checked {
    actions: Option<BTreeSet<Action>>,
    max_changes: Option<u64>,
}

impl Session {
    /// A session without limits.
    #[must_use]
    pub fn new(mode: Mode) -> Arc<Self> {
        Arc::new(Self {
            mode,
            limits: Mutex::default(),
            changes: AtomicU64::new(0),
            calls: Mutex::default(),
        })
    }

    /// Sets the limits of the run.
    ///
    /// # Errors
    /// An argument error if `allow` names a function that there is not.
    pub fn limit(&self, limits: &Limits) -> Result<()> {
        let mut checked = Checked { actions: None, max_changes: limits.max_changes };
        if let Some(allow) = &limits.allow {
            let mut actions = BTreeSet::new();
            for path in allow {
                let path = path.strip_prefix("iam.").unwrap_or(path);
                let entry = iam::find(path).ok_or_else(|| unknown_function(path))?;
                actions.extend(entry.spec.actions);
            }
            checked.actions = Some(actions);
        }
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = checked;
        Ok(())
    }

    /// How many calls that change the account were let through.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// How many calls were let through, by AWS action.
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the runbook's manifest allows a function.
    ///
    /// # Errors
    /// A refusal that names the function.
    pub fn allows(&self, entry: &Entry) -> Result<()> {
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        if limits.actions.as_ref().is_none_or(|allowed| allowed.contains(&entry.spec.actions[0])) {
            return Ok(());
        }
        let refusal = format!("{} is not in the runbook's `allow` list", entry.spec.lua_name());
        Err(Error::new(Kind::Refused, refusal)
            .hint(format!("add {:?} to `allow` in the manifest", entry.spec.path())))
    }

    /// Lets a call through, or says why not.
    fn admit(&self, entry: &Entry) -> Result<()> {
        self.allows(entry)?;
        let name = entry.spec.lua_name();
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        if entry.writes() {
            if self.mode == Mode::ReadOnly {
                let refusal =
                    format!("{name} would change the account, and this run may only read");
                return Err(Error::new(Kind::Refused, refusal).hint(
                    "run it with --apply to let it write; without --aws it runs on the local account",
                ));
            }
            let max = limits.max_changes.unwrap_or(u64::MAX);
            let admitted = self
                .changes
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < max).then_some(n + 1));
            if admitted.is_err() {
                let refusal =
                    format!("{name} refused: the run has made its {max} changes (`max_changes`)");
                return Err(Error::new(Kind::Refused, refusal).hint(
                    "what was done stays done; raise `max_changes` in the manifest to go on",
                ));
            }
        }
        drop(limits);
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry(entry.spec.actions[0].name).or_default() += 1;
        Ok(())
    }
}

fn unknown_function(path: &str) -> Error {
    let known: Vec<_> = iam::registry().map(|entry| entry.spec.path()).collect();
    let near = crate::spec::nearest(path, known.iter().map(String::as_str));
    let error =
        Error::argument(format!("runbook: `allow` names {path:?}, which is no function of iam"));
    match near {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None => error.hint("it takes names such as \"profiles.list\" and \"profiles.tag\""),
    }
}

/// One connection's way to AWS. Cheap to clone.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    session: Arc<Session>,
    connection: Connection,
    clients: OnceCell<Clients>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("connection", &self.0.connection).finish_non_exhaustive()
    }
}

impl Gate {
    /// A gate to that connection.
    #[must_use]
    pub fn new(session: Arc<Session>, connection: Connection) -> Self {
        Self(Arc::new(Inner { session, connection, clients: OnceCell::new() }))
    }

    /// Where its calls go.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// What it shares with the other connections of the run.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.0.session
    }

    /// Carries out a function that a script called, in one call or several.
    #[must_use]
    pub fn perform(&self, entry: &'static Entry, args: Args) -> Pending {
        match entry.run {
            Run::Compose(compose) => compose(Arc::new(self.clone()), args),
            _ => self.invoke(entry, args),
        }
    }
}

impl Invoke for Gate {
    fn invoke(&self, entry: &'static Entry, args: Args) -> Pending {
        let Run::Call(call) = entry.run else {
            let message = format!("{} is not a single call", entry.spec.lua_name());
            return Box::pin(async { Err(Error::new(Kind::Bug, message)) });
        };
        let gate = Arc::clone(&self.0);
        Box::pin(async move {
            gate.session.admit(entry)?;
            let clients = gate.clients.get_or_try_init(|| gate.connection.clients()).await?;
            call(clients.clone(), args).await
        })
    }
}
