//! Cancellation of a script: Ctrl-C, a timeout, `os.exit`. Ordinary Lua pays nothing for it,
//! because no hook is installed until a script must stop.
//!
//! A hook belongs to one coroutine. The chain of coroutines that are running right now (each
//! resumed by the one before) is therefore kept in an array that a signal handler can read. To
//! stop, a signal is sent to the thread of the VM; its handler sets a hook on every coroutine of
//! the chain, as the `lua` program does for Ctrl-C. From then on the hook raises at every
//! instruction, so `pcall` cannot keep a script alive.

// The Lua API is C, and so is signal handling. Every block states why it is sound.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::c_int;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};
use std::time::Duration;

use mlua::LightUserData;
use mlua::ffi::{self, lua_Debug, lua_State};

/// Reason for stopping a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C, or a request to end the process.
    Interrupted,
    /// Timeout of the script.
    Timeout,
    /// Call of `os.exit`, with that code.
    Exit(u8),
    /// Loss of the reader of its output.
    OutputClosed,
    /// Failure of a task that nobody can wait for.
    TaskFailed,
}

/// Maximum depth of the chain. Lua allows 200 nested C calls (`LUAI_MAXCCALLS`), and each resume is
/// one.
const MAX_DEPTH: usize = 256;

/// Number of Lua instructions between two checks of a canceller that polls.
const POLL_INTERVAL: c_int = 10_000;

/// Coroutines that are running right now on one thread.
struct CoroutineChain {
    /// Check for a stop in a count hook, instead of receiving a signal.
    polls: bool,
    depth: AtomicUsize,
    states: [AtomicPtr<lua_State>; MAX_DEPTH],
    stopping: AtomicBool,
}

thread_local! {
    static CHAIN: Cell<*const CoroutineChain> = const { Cell::new(null()) };
}

/// Signal that interrupts the VM's thread. It is ignored by default, so a late one does no harm.
const SIGNAL: c_int = libc::SIGURG;

/// Stops one VM, from any thread. Cheap to clone.
#[derive(Clone)]
pub struct Canceller(Arc<Shared>);

struct Shared {
    chain: CoroutineChain,
    reason: Mutex<Option<Stop>>,
    /// Number of times that it was prepared for another run of its VM.
    round: AtomicUsize,
    /// Calls in flight that may change the account.
    writes: AtomicUsize,
    /// Thread of the VM, while it runs.
    thread: Mutex<Option<Thread>>,
    /// Wakes background work that ends with the script.
    stopped: tokio::sync::Notify,
    overdue: Mutex<Option<Overdue>>,
}

/// Action for a script that has not stopped some time after its timeout.
#[derive(Clone)]
pub struct Overdue {
    /// Delay after the timeout.
    pub after: Duration,
    /// Action.
    pub act: Arc<dyn Fn() + Send + Sync>,
}

/// Interval of further signals to a script that waits in a system call, such as for a pipe, until
/// it has stopped: a signal that arrives right before the wait begins is lost.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(20);

/// Id of a thread.
#[derive(Clone, Copy)]
struct Thread(libc::pthread_t);

// SAFETY: POSIX lets any thread use the id of another that is alive; that it is a pointer in some C
// libraries, such as musl, does not matter.
unsafe impl Send for Thread {}

impl Default for Canceller {
    fn default() -> Self {
        Self::new(false)
    }
}

impl Canceller {
    /// Canceller without a signal handler, for programs that handle signals themselves. Lua checks
    /// for a stop every few thousand instructions. A system call, such as a read of a pipe, is not
    /// interrupted.
    #[must_use]
    pub fn polling() -> Self {
        Self::new(true)
    }

    fn new(polls: bool) -> Self {
        Self(Arc::new(Shared {
            chain: CoroutineChain {
                polls,
                depth: AtomicUsize::new(0),
                states: [const { AtomicPtr::new(null_mut()) }; MAX_DEPTH],
                stopping: AtomicBool::new(false),
            },
            reason: Mutex::new(None),
            round: AtomicUsize::new(0),
            writes: AtomicUsize::new(0),
            thread: Mutex::new(None),
            stopped: tokio::sync::Notify::new(),
            overdue: Mutex::new(None),
        }))
    }
}

/// A [`Canceller`] that does not keep anything alive.
#[derive(Clone)]
pub struct WeakCanceller(Weak<Shared>);

impl WeakCanceller {
    /// The canceller, if its run still holds it.
    #[must_use]
    pub fn upgrade(&self) -> Option<Canceller> {
        self.0.upgrade().map(Canceller)
    }
}

impl Canceller {
    /// Weak reference to this canceller.
    #[must_use]
    pub fn downgrade(&self) -> WeakCanceller {
        WeakCanceller(Arc::downgrade(&self.0))
    }

    /// Stops the script. The first reason counts.
    pub fn stop(&self, reason: Stop) {
        self.0.reason.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        let was_stopping = self.0.chain.stopping.swap(true, Ordering::SeqCst);
        self.0.stopped.notify_waiters();
        if self.interrupt() && !was_stopping {
            let (canceller, round) = (self.clone(), self.round());
            // Without the thread the script is interrupted only once.
            let _ = std::thread::Builder::new().name("iamlua-stop".into()).spawn(move || {
                loop {
                    std::thread::sleep(SIGNAL_INTERVAL);
                    let is_stopping = canceller.0.chain.stopping.load(Ordering::SeqCst);
                    if !is_stopping || canceller.round() != round || !canceller.interrupt() {
                        return;
                    }
                }
            });
        }
    }

    /// Interrupts the VM's thread; false if there is none, or it polls.
    fn interrupt(&self) -> bool {
        let thread = self.0.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if self.0.chain.polls {
            // SAFETY: `pthread_self` cannot fail, and ids of live threads can be compared.
            if thread.is_some_and(
                |Thread(own)| unsafe { libc::pthread_equal(own, libc::pthread_self()) } != 0,
            ) {
                // The script itself, as in `os.exit`: it must not reach its next instruction.
                on_signal(SIGNAL);
            }
            return false;
        }
        if let Some(Thread(thread)) = *thread {
            // SAFETY: the id is taken out under this lock before the VM leaves the thread, so the
            // thread is alive.
            unsafe { libc::pthread_kill(thread, SIGNAL) };
        }
        thread.is_some()
    }

    /// Waits until the script must stop.
    pub async fn stopped(&self) {
        loop {
            let mut stopped = std::pin::pin!(self.0.stopped.notified());
            stopped.as_mut().enable();
            if self.reason().is_some() {
                return;
            }
            stopped.await;
        }
    }

    /// Sets the action for a script that does not stop after its timeout.
    pub fn when_overdue(&self, overdue: Overdue) {
        *self.0.overdue.lock().unwrap_or_else(PoisonError::into_inner) = Some(overdue);
    }

    /// Waits for a script that was told to stop, and runs the action if it does not.
    pub(super) fn watch_for_overdue(&self, round: usize) {
        let overdue = self.0.overdue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(overdue) = overdue else { return };
        std::thread::sleep(overdue.after);
        if self.is_running() && self.round() == round {
            (overdue.act)();
        }
    }

    /// Reason for stopping the script, if it must stop.
    #[must_use]
    pub fn reason(&self) -> Option<Stop> {
        if !self.0.chain.stopping.load(Ordering::SeqCst) {
            return None;
        }
        *self.0.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prepares for another run of the VM, whether or not the last one was stopped. Must not be
    /// called during a run.
    pub(super) fn rearm(&self) {
        self.0.round.fetch_add(1, Ordering::SeqCst);
        self.0.chain.stopping.store(false, Ordering::SeqCst);
        *self.0.reason.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.writes.store(0, Ordering::SeqCst);
    }

    /// Number of the VM's run: a stop of one run must not affect the next.
    #[must_use]
    pub fn round(&self) -> usize {
        self.0.round.load(Ordering::SeqCst)
    }

    /// Check that the VM is running.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.0.thread.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Number of calls in flight that may change the account: while there are none, ending the
    /// process loses nothing.
    #[must_use]
    pub fn writes_in_flight(&self) -> usize {
        self.0.writes.load(Ordering::SeqCst)
    }

    pub(super) fn write_started(&self) {
        self.0.writes.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn write_ended(&self) {
        self.0.writes.fetch_sub(1, Ordering::SeqCst);
    }

    /// Makes the calling thread the one that runs the VM, until the guard is dropped.
    pub(super) fn attach(&self) -> Attached<'_> {
        if !self.0.chain.polls {
            install_handler();
        }
        let before = CHAIN.replace(&raw const self.0.chain);
        // SAFETY: `pthread_self` cannot fail.
        let thread = unsafe { libc::pthread_self() };
        *self.0.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(Thread(thread));
        Attached { canceller: self, before }
    }
}

/// Guard during which the VM runs on this thread.
pub(super) struct Attached<'a> {
    canceller: &'a Canceller,
    before: *const CoroutineChain,
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        *self.canceller.0.thread.lock().unwrap_or_else(PoisonError::into_inner) = None;
        CHAIN.set(self.before);
    }
}

/// A coroutine that is being resumed from Rust, until the guard is dropped.
pub(super) struct Entered(usize);

impl Entered {
    /// Records that `state` is about to be resumed on this thread.
    pub(super) fn new(state: *mut lua_State) -> Self {
        // SAFETY: the pointer in `CHAIN` is valid while the thread is attached, and `state` is that
        // of a live coroutine.
        Self(unsafe { enter(state) })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        leave(self.0);
    }
}

/// Pushes a coroutine on the chain and returns the depth before.
///
/// # Safety
/// `state` must be a live coroutine of the VM that this thread runs.
pub(super) unsafe fn enter(state: *mut lua_State) -> usize {
    // SAFETY: `attach` keeps the chain alive as long as the pointer is set.
    let Some(chain) = (unsafe { CHAIN.get().as_ref() }) else { return 0 };
    let depth = chain.depth.load(Ordering::Relaxed);
    if let Some(slot) = chain.states.get(depth) {
        // The state before the depth, because the handler may run in between.
        slot.store(state, Ordering::SeqCst);
        chain.depth.store(depth + 1, Ordering::SeqCst);
    }
    if chain.stopping.load(Ordering::SeqCst) {
        // SAFETY: the state is live and this thread runs it.
        unsafe { ffi::lua_sethook(state, Some(raise), ffi::LUA_MASKCOUNT, 1) };
    } else if chain.polls {
        // SAFETY: as above.
        unsafe { ffi::lua_sethook(state, Some(poll), ffi::LUA_MASKCOUNT, POLL_INTERVAL) };
    }
    depth
}

/// Pops coroutines off the chain, down to a depth.
pub(super) fn leave(depth: usize) {
    // SAFETY: as in `enter`.
    if let Some(chain) = unsafe { CHAIN.get().as_ref() } {
        chain.depth.store(depth, Ordering::SeqCst);
    }
}

/// Hook of a script that must stop.
unsafe extern "C-unwind" fn raise(state: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: Lua calls hooks where raising is allowed, with `LUA_MINSTACK` slots free.
    unsafe {
        ffi::lua_pushlightuserdata(state, stopped().0);
        ffi::lua_error(state);
    }
}

/// Hook of a script whose canceller polls.
unsafe extern "C-unwind" fn poll(state: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: the chain is alive while the thread is attached; for the rest as in `raise`.
    unsafe {
        let is_stopping =
            CHAIN.get().as_ref().is_some_and(|chain| chain.stopping.load(Ordering::SeqCst));
        if is_stopping {
            ffi::lua_sethook(state, Some(raise), ffi::LUA_MASKCOUNT, 1);
            ffi::lua_pushlightuserdata(state, stopped().0);
            ffi::lua_error(state);
        }
    }
}

/// Source of the address that the hook raises as a value: it needs no memory.
static STOPPED: u8 = 0;

/// Value that the hook raises. Lua runs message handlers with hooks switched off, so that `xpcall`
/// must not run one for it.
pub(super) fn stopped() -> LightUserData {
    LightUserData((&raw const STOPPED).cast_mut().cast())
}

/// Sets the hook on every coroutine that is running on this thread.
extern "C" fn on_signal(_: c_int) {
    // SAFETY: `CHAIN` is a constant-initialised thread-local without a destructor, so reading it
    // here allocates nothing. The handler runs on the thread that runs the states, which is where
    // Lua documents `lua_sethook` as safe to call asynchronously.
    unsafe {
        let Some(chain) = CHAIN.get().as_ref() else { return };
        if !chain.stopping.load(Ordering::SeqCst) {
            return;
        }
        let depth = chain.depth.load(Ordering::SeqCst).min(MAX_DEPTH);
        for slot in &chain.states[..depth] {
            let state = slot.load(Ordering::SeqCst);
            if !state.is_null() {
                ffi::lua_sethook(state, Some(raise), ffi::LUA_MASKCOUNT, 1);
            }
        }
    }
}

/// Check for a process that ignores hang-ups, as under `nohup`.
#[must_use]
pub fn ignores_hang_up() -> bool {
    // SAFETY: a zeroed `sigaction` is valid, and without a new action the call only reads.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGHUP, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

fn install_handler() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: a zeroed `sigaction` is valid; the handler is async-signal-safe as argued there.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            // Not restarted: a system call that the script waits in ends with an error.
            action.sa_flags = 0;
            libc::sigemptyset(&raw mut action.sa_mask);
            libc::sigaction(SIGNAL, &raw const action, null_mut());
        }
    });
}
