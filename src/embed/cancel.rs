//! Cancellation of what a host runs, from any thread.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Handle that cancels what a [`Host`](crate::Host) runs. Clones are handles of the same host; any
/// thread may use them.
///
/// ```
/// # fn main() -> iamlua::Result<()> {
/// use iamlua::{Host, Kind, Target};
///
/// let host = Host::builder().target(Target::in_memory()).build()?;
/// let cancel = host.cancel_handle();
/// std::thread::spawn(move || {
///     std::thread::sleep(std::time::Duration::from_millis(50));
///     cancel.cancel();
/// });
/// let outcome = host.run_code("while true do end", &[])?;
/// assert_eq!(outcome.error().map(|error| error.kind), Some(Kind::Interrupted));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct CancelHandle(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    is_cancelled: bool,
    next: u64,
    /// Actions that stop what is running.
    running: BTreeMap<u64, Box<dyn Fn() + Send>>,
}

impl CancelHandle {
    /// Stops everything that the host is running, and what it is told to run later, until
    /// [`reset`](Self::reset). No further change begins; calls in flight are finished, so that
    /// their outcome is known.
    pub fn cancel(&self) {
        let mut state = self.state();
        state.is_cancelled = true;
        for stop in state.running.values() {
            stop();
        }
    }

    /// Cancellation that no [`reset`](Self::reset) has ended.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state().is_cancelled
    }

    /// Lets the host run again after a cancellation.
    pub fn reset(&self) {
        self.state().is_cancelled = false;
    }

    /// Adds something that is running, until the guard is dropped. It is stopped at once if the
    /// host is cancelled already.
    pub(super) fn add(&self, stop: impl Fn() + Send + 'static) -> Registered {
        let mut state = self.state();
        if state.is_cancelled {
            stop();
        }
        let number = state.next;
        state.next += 1;
        state.running.insert(number, Box::new(stop));
        Registered { handle: self.clone(), number }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelHandle")
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// Something that is running, until it is dropped.
pub(super) struct Registered {
    handle: CancelHandle,
    number: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Dropped outside of the lock: it may hold a whole session.
        let stop = self.handle.state().running.remove(&self.number);
        drop(stop);
    }
}
