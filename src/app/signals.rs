//! Ctrl-C, termination requests and hang-ups: the first one lets work in flight finish, the second
//! ends the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::run::Running;
use crate::error::{Error, Kind, Result};
use crate::lua::cancel::{self, Canceller, Stop};
use crate::lua::{self, Waker, processes};
use crate::session::Session;
use crate::session::journal::RunStatus;
use crate::ui::terminal::{say, tell};

/// Time after which a script that has not stopped is known to wait for a person, or to be in one
/// long operation.
const STOP_GRACE: Duration = Duration::from_millis(80);
/// Time to wait for calls in flight after the timeout of a script.
const WRITE_TIMEOUT: Duration = Duration::from_secs(90);

/// Signals for Ctrl-C, termination requests and hang-ups.
struct Requests {
    interrupt: Signal,
    terminate: Signal,
    hang_up: HangUp,
}

impl Requests {
    fn listen() -> Result<Self> {
        Self::with(HangUp::listen()?)
    }

    /// Signals for programs that treat a hang-up differently.
    fn without_hang_up() -> Result<Self> {
        Self::with(HangUp(None))
    }

    fn with(hang_up: HangUp) -> Result<Self> {
        Ok(Self {
            interrupt: listen_for(SignalKind::interrupt())?,
            terminate: listen_for(SignalKind::terminate())?,
            hang_up,
        })
    }

    /// Waits for the next signal of any kind.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = self.hang_up.heard() => {}
        }
    }
}

/// Hang-up of the terminal. The system and the shell may both signal it, so it counts once. A
/// process that ignores it, as under `nohup`, continues to do so.
struct HangUp(Option<Signal>);

impl HangUp {
    fn listen() -> Result<Self> {
        if cancel::ignores_hang_up() {
            return Ok(Self(None));
        }
        listen_for(SignalKind::hangup()).map(|signal| Self(Some(signal)))
    }

    async fn heard(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
                self.0 = None;
            }
            None => std::future::pending().await,
        }
    }
}

fn listen_for(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(failed)
}

/// Ends the process at once, with the terminal restored.
fn leave() -> ! {
    leave_with(130)
}

fn leave_with(code: i32) -> ! {
    crate::ui::hidden_input::restore_terminal();
    processes::kill_all();
    std::process::exit(code)
}

fn failed(error: std::io::Error) -> Error {
    Error::io("cannot listen for signals", error)
}

/// Receives signals on a separate thread, even if all others are blocked. `listen` is called inside
/// of the runtime that delivers signals.
fn on_a_thread<F>(listen: impl FnOnce() -> Result<F>) -> Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let heard = {
        let _entered = runtime.enter();
        listen()?
    };
    let thread = std::thread::Builder::new().name("iamlua-signals".into());
    thread.spawn(move || runtime.block_on(heard)).map_err(failed)?;
    Ok(())
}

/// Handler for commands that end soon after a request: the first signal calls `tell`, the second
/// ends the process.
///
/// # Errors
/// If no signal handler or thread can be installed.
pub fn tell_on_signals(tell: impl FnOnce() + Send + 'static) -> Result<()> {
    on_a_thread(|| {
        let mut requests = Requests::listen()?;
        Ok(async move {
            requests.next().await;
            tell();
            requests.next().await;
            leave()
        })
    })
}

/// Signal for a program that runs until it is terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Terminate.
    End,
    /// Reload files.
    Reread,
}

/// Handler for programs that run until they are terminated: `tell` receives each signal, but a
/// second termination request ends the process.
///
/// # Errors
/// If no signal handler or thread can be installed.
pub fn tell_each_signal(tell: impl Fn(Heard) + Send + 'static) -> Result<()> {
    on_a_thread(|| {
        let mut requests = Requests::without_hang_up()?;
        let mut hang_up = listen_for(SignalKind::hangup())?;
        Ok(async move {
            let mut is_ending = false;
            loop {
                let heard = tokio::select! {
                    () = requests.next() => Heard::End,
                    _ = hang_up.recv() => Heard::Reread,
                };
                if heard == Heard::End && std::mem::replace(&mut is_ending, true) {
                    leave();
                }
                tell(heard);
            }
        })
    })
}

/// Handler for commands without a script: the first signal stops further changes from beginning,
/// the second ends the process.
///
/// # Errors
/// If no signal handler can be installed.
pub fn close_on_signals(session: Arc<Session>) -> Result<()> {
    let mut requests = Requests::listen()?;
    tokio::spawn(async move {
        requests.next().await;
        session.close();
        say("stopping: changes under way are being finished; again to end at once");
        requests.next().await;
        leave()
    });
    Ok(())
}

/// Handler for scripts: the first signal stops the script, which finishes its calls in flight; the
/// second ends the process. Runs on a separate thread, so that signals are received even if all
/// others are blocked.
///
/// # Errors
/// If no signal handler or thread can be installed.
pub fn stop_on_signals(running: Running) -> Result<()> {
    let runtime = tokio::runtime::Handle::current();
    // The same after a timeout.
    running.when_overdue(STOP_GRACE, move |late| {
        let began = Instant::now();
        while late.writes_in_flight() > 0 && began.elapsed() < WRITE_TIMEOUT {
            std::thread::sleep(STOP_GRACE);
        }
        let error = lua::timed_out();
        let end = late.session().end(RunStatus::Timeout, Some(error.to_string()));
        let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), end).await });
        tell(&error);
        leave_with(error.kind.exit_code().into());
    });
    on_a_thread(|| {
        let mut requests = Requests::listen()?;
        Ok(async move {
            requests.next().await;
            running.stop(Stop::Interrupted);
            tokio::select! {
                () = requests.next() => leave(),
                () = tokio::time::sleep(STOP_GRACE) => {}
            }
            if running.writes_in_flight() == 0 {
                // Still running: it waits for a person, or is in one long operation of Lua's
                // library. Nothing is lost by ending it once the outcomes are recorded.
                let end = running.session().end(RunStatus::Interrupted, Some("interrupted".into()));
                let _ = tokio::time::timeout(Duration::from_secs(5), end).await;
                tell(&Error::new(Kind::Interrupted, "interrupted"));
                leave();
            }
            say("stopping: calls in flight are being finished; again to end at once");
            requests.next().await;
            leave()
        })
    })
}

/// Handler for a program that continues afterwards, such as the REPL: Ctrl-C and termination
/// requests stop only the running script or the changes in progress.
pub struct Interrupts {
    canceller: Canceller,
    waker: Waker,
    session: Arc<Session>,
    /// Session of changes in progress, besides scripts.
    work: Mutex<Option<Arc<Session>>>,
    /// Termination request received.
    ending: AtomicBool,
    /// Restores the terminal before the process ends abruptly.
    restore: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Interrupts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interrupts").finish_non_exhaustive()
    }
}

impl Interrupts {
    /// Starts to listen, on a separate thread.
    ///
    /// # Errors
    /// If no signal handler or thread can be installed.
    pub fn listen(
        canceller: Canceller,
        waker: Waker,
        session: Arc<Session>,
        restore: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Arc<Self>> {
        let interrupts = Arc::new(Self {
            canceller,
            waker,
            session,
            work: Mutex::default(),
            ending: AtomicBool::new(false),
            restore,
        });
        let shared = Arc::clone(&interrupts);
        on_a_thread(|| {
            let requests = Requests::listen()?;
            Ok(shared.receive(requests))
        })?;
        Ok(interrupts)
    }

    async fn receive(self: Arc<Self>, mut requests: Requests) {
        // Work that the last signal stopped, which may not have ended yet.
        let mut stopped = None;
        let mut idle = 0;
        loop {
            let ends = tokio::select! {
                _ = requests.interrupt.recv() => false,
                _ = requests.terminate.recv() => true,
                () = requests.hang_up.heard() => true,
            };
            let now = self.under_way();
            if ends {
                self.ending.store(true, Ordering::SeqCst);
            }
            idle = if now.is_some() { 0 } else { idle + 1 };
            if (now.is_some() && now == stopped) || (ends && now.is_none()) || idle > 1 {
                self.leave().await;
            }
            stopped = now;
            if now.is_none() {
                say("(Ctrl-C again leaves)");
            } else {
                self.stop();
                tokio::time::sleep(Duration::from_millis(80)).await;
                if self.under_way() == now {
                    let is_idle = self.locked().is_none() && self.canceller.writes_in_flight() == 0;
                    if ends && is_idle {
                        self.leave().await;
                    }
                    self.tell();
                }
            }
        }
    }

    /// Check that a termination request arrived while something ran.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Makes a session the one whose changes are stopped, until the end of `work`.
    pub fn during<T>(&self, session: &Arc<Session>, work: impl FnOnce() -> T) -> T {
        *self.locked() = Some(Arc::clone(session));
        let done = work();
        *self.locked() = None;
        done
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Option<Arc<Session>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Identity of the running work, to tell it from earlier work.
    fn under_way(&self) -> Option<usize> {
        if let Some(session) = &*self.locked() {
            return Some(Arc::as_ptr(session) as usize);
        }
        self.canceller.is_running().then(|| self.canceller.round())
    }

    fn stop(&self) {
        if let Some(session) = &*self.locked() {
            session.close();
            return;
        }
        self.session.close();
        self.canceller.stop(Stop::Interrupted);
        self.waker.wake();
    }

    fn tell(&self) {
        let finishes = self.locked().is_some() || self.canceller.writes_in_flight() > 0;
        say(if finishes {
            "stopping: calls in flight are being finished; again to end at once"
        } else {
            // In one long operation of Lua's library, or waiting for a person.
            "stopping, but it does not stop yet; again to end iamlua"
        });
    }

    /// Ends the process, once the known outcomes are recorded.
    async fn leave(&self) -> ! {
        let end = self.session.end(RunStatus::Interrupted, Some("interrupted".into()));
        let _ = tokio::time::timeout(Duration::from_secs(5), end).await;
        (self.restore)();
        leave()
    }
}

/// Signal for a program that continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessSignal {
    /// Ctrl-C or a termination request.
    End,
    /// Continuation after the process was suspended.
    GoOn,
}

/// Calls `tell` for each signal, on a separate thread. A second termination request ends the
/// process, after `restore` has restored the terminal.
///
/// # Errors
/// If no signal handler or thread can be installed.
pub fn tell_requests(
    tell: impl Fn(ProcessSignal) + Send + 'static,
    restore: impl Fn() + Send + 'static,
) -> Result<()> {
    on_a_thread(|| {
        let mut requests = Requests::listen()?;
        let mut go_on = listen_for(SignalKind::from_raw(libc::SIGCONT))?;
        Ok(async move {
            let mut is_ending = false;
            loop {
                tokio::select! {
                    () = requests.next() => {}
                    _ = go_on.recv() => {
                        tell(ProcessSignal::GoOn);
                        continue;
                    }
                }
                if is_ending {
                    restore();
                    leave()
                }
                is_ending = true;
                tell(ProcessSignal::End);
            }
        })
    })
}
