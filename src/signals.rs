//! Ctrl-C and the request to end: the first lets what is under way finish, the second ends the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Error, Result};
use crate::lua::Waker;
use crate::lua::cancel::{Canceller, Stop};
use crate::screen::say;
use crate::session::Session;

/// For commands that end by themselves soon after they are told to: the first signal tells them, the second ends the process.
///
/// # Errors
/// If the system gives no signals or threads.
pub fn tell_on_signals(tell: impl FnOnce() + Send + 'static) -> Result<()> {
    let failed = |error| Error::io("cannot listen for signals", error);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (
            signal(SignalKind::interrupt()).map_err(failed)?,
            signal(SignalKind::terminate()).map_err(failed)?,
        )
    };
    let listen = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tell();
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130)
    };
    let thread = std::thread::Builder::new().name("iamlua-signals".into());
    thread.spawn(move || runtime.block_on(listen)).map_err(failed)?;
    Ok(())
}

/// For commands without a script: the first signal lets no further change begin, the second ends the process.
///
/// # Errors
/// If the system gives no signals.
pub fn close_on_signals(session: Arc<Session>) -> Result<()> {
    let failed = |error| Error::io("cannot listen for signals", error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        session.close();
        say("stopping: changes under way are being finished; again to end at once");
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130)
    });
    Ok(())
}

/// The first signal stops the script, which finishes its calls in flight; the second ends the process. On a thread of its own, so that it
/// is heard whatever the others wait for.
///
/// # Errors
/// If the system gives no signals or threads.
pub fn stop_on_signals(canceller: Canceller, waker: Waker, session: Arc<Session>) -> Result<()> {
    let failed = |error| Error::io("cannot listen for signals", error);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (
            signal(SignalKind::interrupt()).map_err(failed)?,
            signal(SignalKind::terminate()).map_err(failed)?,
        )
    };
    let listen = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        session.close();
        canceller.stop(Stop::Interrupted);
        waker.wake();
        tokio::select! {
            _ = interrupt.recv() => std::process::exit(130),
            _ = terminate.recv() => std::process::exit(130),
            () = tokio::time::sleep(Duration::from_millis(80)) => {}
        }
        if canceller.writes_in_flight() == 0 {
            // Still there: it waits for a person, or is deep inside of one long operation of Lua's library. Nothing is lost by ending it once
            // the outcomes are written down.
            let end = session.end("interrupted", Some("interrupted".into()));
            let _ = tokio::time::timeout(Duration::from_secs(5), end).await;
            say("error: interrupted");
            std::process::exit(130);
        }
        say("stopping: calls in flight are being finished; again to end at once");
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130)
    };
    let thread = std::thread::Builder::new().name("iamlua-signals".into());
    thread.spawn(move || runtime.block_on(listen)).map_err(failed)?;
    Ok(())
}
