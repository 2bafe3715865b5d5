//! Ctrl-C, the request to end and a closed terminal: the first lets what is under way finish, the
//! second ends the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::run::Running;
use crate::error::{Error, Result};
use crate::lua::cancel::{self, Canceller, Stop};
use crate::lua::{self, Waker, children};
use crate::session::Session;
use crate::ui::terminal::say;

/// A script that has not stopped after that time waits for a person, or is deep inside of one long operation.
const SOON: Duration = Duration::from_millis(80);
/// Calls in flight are waited for that long when the time of a script is over.
const PATIENCE: Duration = Duration::from_secs(90);

/// Ctrl-C, the request to end and a closed terminal, as they are heard.
struct Requests {
    interrupt: Signal,
    terminate: Signal,
    hang_up: HangUp,
}

impl Requests {
    fn listen() -> Result<Self> {
        Self::with(HangUp::listen()?)
    }

    /// Requests for programs to which a closed terminal means something else.
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

    /// Waits for the next one, whichever it is.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = self.hang_up.heard() => {}
        }
    }
}

/// Closed terminal. System and shell may both tell of it, so that it is heard once; a process that
/// ignores it, as under `nohup`, goes on doing so.
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

/// Ends the process at once, with the terminal as it was.
fn leave() -> ! {
    leave_with(130)
}

fn leave_with(code: i32) -> ! {
    crate::ui::hidden_input::restore_terminal();
    children::kill_all();
    std::process::exit(code)
}

fn failed(error: std::io::Error) -> Error {
    Error::io("cannot listen for signals", error)
}

/// Hears signals on a thread of its own, whatever the others wait for. `listen` is called where they can be listened for.
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

/// For commands that end by themselves soon after they are told to: the first signal tells them, the second ends the process.
///
/// # Errors
/// If the system gives no signals or threads.
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

/// What a program that runs until it is told to end hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is to end.
    End,
    /// It is to read its files anew.
    Reread,
}

/// For programs that run until they are told to end: `tell` hears of each signal that means something to them, but that a second one that means the
/// end ends the process.
///
/// # Errors
/// If the system gives no signals or threads.
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

/// For commands without a script: the first signal lets no further change begin, the second ends the process.
///
/// # Errors
/// If the system gives no signals.
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

/// The first signal stops the script, which finishes its calls in flight; the second ends the process. On a thread of its own, so that it
/// is heard whatever the others wait for.
///
/// # Errors
/// If the system gives no signals or threads.
pub fn stop_on_signals(running: Running) -> Result<()> {
    let runtime = tokio::runtime::Handle::current();
    // The same when its time is over.
    running.when_overdue(SOON, move |late| {
        let began = Instant::now();
        while late.writes_in_flight() > 0 && began.elapsed() < PATIENCE {
            std::thread::sleep(SOON);
        }
        let error = lua::timed_out();
        let end = late.session().end("timeout", Some(error.to_string()));
        let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), end).await });
        say(error.describe().trim_end());
        leave_with(error.kind.exit_code().into());
    });
    on_a_thread(|| {
        let mut requests = Requests::listen()?;
        Ok(async move {
            requests.next().await;
            running.stop(Stop::Interrupted);
            tokio::select! {
                () = requests.next() => leave(),
                () = tokio::time::sleep(SOON) => {}
            }
            if running.writes_in_flight() == 0 {
                // Still there: it waits for a person, or is deep inside of one long operation of Lua's library. Nothing is lost by ending it once
                // the outcomes are written down.
                let end = running.session().end("interrupted", Some("interrupted".into()));
                let _ = tokio::time::timeout(Duration::from_secs(5), end).await;
                say("error: interrupted");
                leave();
            }
            say("stopping: calls in flight are being finished; again to end at once");
            requests.next().await;
            leave()
        })
    })
}

/// What Ctrl-C and the request to end stop in a program that goes on afterwards: the script that is running, or what is being carried out. Only
/// what is running is stopped.
pub struct Interrupts {
    canceller: Canceller,
    waker: Waker,
    session: Arc<Session>,
    /// What is being carried out besides scripts.
    work: Mutex<Option<Arc<Session>>>,
    /// Whether the program was told to end.
    ending: AtomicBool,
    /// Puts the terminal back as it was, before the program ends in the middle.
    restore: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Interrupts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interrupts").finish_non_exhaustive()
    }
}

impl Interrupts {
    /// Listens from now on, on a thread of its own.
    ///
    /// # Errors
    /// If the system gives no signals or threads.
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
            Ok(shared.hear(requests))
        })?;
        Ok(interrupts)
    }

    async fn hear(self: Arc<Self>, mut requests: Requests) {
        // What the last signal stopped, which may not have ended yet.
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

    /// Whether the program was told to end while something ran.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Makes that session the one whose changes are stopped, until the end of `work`.
    pub fn during<T>(&self, session: &Arc<Session>, work: impl FnOnce() -> T) -> T {
        *self.locked() = Some(Arc::clone(session));
        let done = work();
        *self.locked() = None;
        done
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Option<Arc<Session>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is running, told from what ran before.
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
            // Deep inside of one long operation of Lua's library, or waiting for a person.
            "stopping, but it does not stop yet; again to end iamlua"
        });
    }

    /// Ends the program, once what is known is written down.
    async fn leave(&self) -> ! {
        let end = self.session.end("interrupted", Some("interrupted".into()));
        let _ = tokio::time::timeout(Duration::from_secs(5), end).await;
        (self.restore)();
        leave()
    }
}

/// What a program that goes on is told by signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// To end: Ctrl-C, or the request to end.
    End,
    /// It was stopped, and goes on.
    GoOn,
}

/// Tells of requests, on a thread of its own. The second one to end ends the process, after `restore` has put the terminal back.
///
/// # Errors
/// If the system gives no signals or threads.
pub fn tell_requests(
    tell: impl Fn(Request) + Send + 'static,
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
                        tell(Request::GoOn);
                        continue;
                    }
                }
                if is_ending {
                    restore();
                    leave()
                }
                is_ending = true;
                tell(Request::End);
            }
        })
    })
}
