//! Programs that a script runs. Each has a process group of its own, so that its children end with
//! it.

use std::collections::BTreeSet;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::budget::MAX_READ;
use super::cancel::Canceller;
use crate::error::{Error, Kind, Result};
use crate::spec::Value;

/// Time between asking a program to end and killing it.
const KILL_DELAY: Duration = Duration::from_secs(2);

/// Process groups that are running.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<i32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills the programs of all scripts, because the process ends.
pub fn kill_all() {
    for group in running().iter().copied().filter_map(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Process group of a program; processes that still run when it is dropped are killed.
struct ProcessGroup(Pid);

impl ProcessGroup {
    fn of(child: &Child) -> Option<Self> {
        let group = child.id().and_then(|id| i32::try_from(id).ok())?;
        running().insert(group);
        Pid::from_raw(group).map(Self)
    }

    fn tell(&self, signal: Signal) {
        // The group may have ended.
        let _ = kill_process_group(self.0, signal);
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // Under the lock: the number of a group that has left the set may have been reused, and
        // must not be killed.
        let mut running = running();
        self.tell(Signal::KILL);
        running.remove(&self.0.as_raw_nonzero().get());
    }
}

/// Runs a program and waits until it ends or the script must stop.
///
/// # Errors
/// If it cannot be started, prints too much, or the script must stop.
pub async fn run(
    program: String,
    args: Vec<String>,
    input: Option<Vec<u8>>,
    canceller: Canceller,
) -> Result<Value> {
    let failed = |error| Error::io(format!("cannot run {program}"), error);
    let mut command = Command::new(&program);
    command.args(&args).process_group(0).kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().map_err(failed)?;
    let group = ProcessGroup::of(&child);
    let ran = tokio::select! {
        ran = to_the_end(&mut child, input) => ran.map_err(failed)?,
        () = canceller.stopped() => {
            if let Some(group) = &group {
                group.tell(Signal::TERM);
            }
            let _ = tokio::time::timeout(KILL_DELAY, child.wait()).await;
            drop(group);
            let ended = format!("{program} was ended, because the run is being stopped");
            return Err(Error::new(Kind::Interrupted, ended));
        }
    };
    // Background processes that it has left continue, as in a shell.
    if let Some(group) = group {
        running().remove(&group.0.as_raw_nonzero().get());
        std::mem::forget(group);
    }
    let Ran { status, out, err } = ran;
    let text = |bytes: Vec<u8>| Value::Str(String::from_utf8_lossy(&bytes).into_owned());
    Ok(Value::Record(vec![
        ("code", status.code().map_or(Value::Nil, |code| Value::Int(code.into()))),
        ("ok", Value::Bool(status.success())),
        ("stdout", text(out)),
        ("stderr", text(err)),
    ]))
}

struct Ran {
    status: ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
}

async fn to_the_end(child: &mut Child, input: Option<Vec<u8>>) -> io::Result<Ran> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A program that does not read all of its input is not an error.
            let _ = stdin.write_all(&input).await;
        }
        Ok(())
    };
    let ended = child.wait();
    let (status, out, err, ()) = tokio::try_join!(ended, all(stdout), all(stderr), feed)?;
    Ok(Ran { status, out, err })
}

async fn all(from: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(MAX_READ as u64 + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() > MAX_READ {
        return Err(io::Error::other("it prints more than 64 MiB; let it write into a file"));
    }
    Ok(bytes)
}
