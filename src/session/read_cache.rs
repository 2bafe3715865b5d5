//! Snapshots of profiles and roles that a run has recently read, limited in time and number. A
//! change whose before-snapshot is cached needs no read of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::iam::snapshot::{Snapshot, Subject};

/// Time for which a cached snapshot counts as current.
pub const TTL: Duration = Duration::from_mins(2);
/// Maximum number of snapshots: several pages of a listing with tags, some megabytes.
const MAX_ENTRIES: usize = 4096;

/// Key of a profile or role; names ignore case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub subject: Subject,
    pub name: String,
}

impl Key {
    pub fn new(subject: Subject, name: &str) -> Self {
        Self { subject, name: name.to_ascii_lowercase() }
    }
}

/// Snapshot that was read through one connection.
#[derive(Debug)]
struct CachedRead {
    connection: u64,
    at: Instant,
    state: Option<Snapshot>,
}

/// Cache for all connections of a run.
#[derive(Debug, Default)]
pub struct ReadCache(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<Key, Vec<CachedRead>>,
    order: VecDeque<Key>,
}

impl ReadCache {
    /// Stores a state that was read through a connection.
    pub fn keep(&self, connection: u64, key: Key, state: Option<Snapshot>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = CachedRead { connection, at: Instant::now(), state };
        let Inner { known: all, order } = &mut *inner;
        if let Some(list) = all.get_mut(&key) {
            list.retain(|other| other.connection != connection);
            list.push(known);
            return;
        }
        order.push_back(key.clone());
        all.insert(key, vec![known]);
        if order.len() > MAX_ENTRIES
            && let Some(oldest) = order.pop_front()
        {
            all.remove(&oldest);
        }
    }

    /// Stores the state after a change, and drops the entries of other connections: they may reach
    /// the same account.
    pub fn replace(&self, connection: u64, key: &Key, state: Option<Snapshot>) {
        self.forget(key);
        self.keep(connection, key.clone(), state);
    }

    /// Drops a resource, because its state is unknown.
    pub fn forget(&self, key: &Key) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = inner.known.get_mut(key) {
            list.clear();
        }
    }

    /// Drops everything.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Inner::default();
    }

    /// State that was read through a connection, if it is fresh.
    pub fn fresh(&self, connection: u64, key: &Key) -> Option<Option<Snapshot>> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = inner.known.get(key)?.iter().find(|known| known.connection == connection)?;
        (known.at.elapsed() < TTL).then(|| known.state.clone())
    }
}

/// Locks that serialize the changes of each profile and role: the snapshot before one change is the
/// snapshot after the previous.
#[derive(Debug, Default)]
pub struct KeyedLocks(Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>);

impl KeyedLocks {
    /// Waits for the lock of a resource.
    pub async fn take(&self, key: &Key) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if turns.len() > MAX_ENTRIES {
                turns.retain(|_, turn| turn.strong_count() > 0);
            }
            turns.get(key).and_then(Weak::upgrade).unwrap_or_else(|| {
                let turn = Arc::default();
                turns.insert(key.clone(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }
}
