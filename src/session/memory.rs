//! What a run has just read: the images of profiles and roles, for a while and only so many of them. A change that finds its
//! before-image here costs no call of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::iam::image::{State, Subject};

/// For so long what was read counts as what is there.
pub const TTL: Duration = Duration::from_mins(2);
/// So many are kept: several pages of a listing with tags, some megabytes.
const MOST: usize = 4096;

/// A profile or role of a run, by name; names ignore case.
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

/// One thing that was read through one connection.
#[derive(Debug)]
struct Entry {
    connection: u64,
    at: Instant,
    state: State,
}

/// What was read, by all connections of a run.
#[derive(Debug, Default)]
pub struct ReadCache(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<Key, Vec<Entry>>,
    order: VecDeque<Key>,
}

impl ReadCache {
    /// Keeps what was read through a connection.
    pub fn keep(&self, connection: u64, key: Key, state: State) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = Entry { connection, at: Instant::now(), state };
        let Inner { known: all, order } = &mut *inner;
        if let Some(list) = all.get_mut(&key) {
            list.retain(|other| other.connection != connection);
            list.push(known);
            return;
        }
        order.push_back(key.clone());
        all.insert(key, vec![known]);
        if order.len() > MOST
            && let Some(oldest) = order.pop_front()
        {
            all.remove(&oldest);
        }
    }

    /// Keeps what a change has made, and forgets what other connections have read of it: they may lead to the same account.
    pub fn replace(&self, connection: u64, key: &Key, state: State) {
        self.forget(key);
        self.keep(connection, key.clone(), state);
    }

    /// Forgets something, because nobody knows what is there now.
    pub fn forget(&self, key: &Key) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = inner.known.get_mut(key) {
            list.clear();
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Inner::default();
    }

    /// What was read through a connection, if that was just now.
    pub fn fresh(&self, connection: u64, key: &Key) -> Option<State> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = inner.known.get(key)?.iter().find(|known| known.connection == connection)?;
        (known.at.elapsed() < TTL).then(|| known.state.clone())
    }
}

/// One change at a time for each profile and role: the image before one is the image after the other.
#[derive(Debug, Default)]
pub struct KeyedLocks(Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>);

impl KeyedLocks {
    /// Waits until nobody else changes that one.
    pub async fn take(&self, key: &Key) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if turns.len() > MOST {
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
