//! Failure notification by a program. It runs in its own process group, so that its children end
//! with it, and is killed at its timeout.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::escape::visible_but;
use crate::schedule::record::{Execution, ExecutionOutcome};

/// Time limit of the program.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Time to wait for the rest of its output if a child process still holds the pipe open.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(200);
/// Bytes of its output that are kept for its error message: the end of it.
const MAX_OUTPUT: usize = 1 << 10;
/// Upper bound on the bytes of an error in its environment. Its standard input has the whole error.
const MAX_ERROR: usize = 4 << 10;

/// Process group of the program. Dropping it kills the processes that still run.
struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // The group may be empty already.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Runs the program, and returns the reason if it fails.
pub(super) async fn run(
    words: &[String],
    execution: &Execution,
    body: &[u8],
) -> Result<(), String> {
    run_for(words, execution, body, TIMEOUT).await
}

pub(super) async fn run_for(
    words: &[String],
    execution: &Execution,
    body: &[u8],
    patience: Duration,
) -> Result<(), String> {
    let (program, rest) = words.split_first().ok_or("on_failure.command names no program")?;
    let mut command = Command::new(program);
    command.args(rest).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let error = execution.error.as_deref().unwrap_or_default();
    let end = (0..=error.len().min(MAX_ERROR)).rev().find(|at| error.is_char_boundary(*at));
    // A NUL byte would end the variable.
    let error = visible_but(&error.as_bytes()[..end.unwrap_or(0)], |c| c == '\n' || c == '\t');
    command.env("IAMLUA_JOB", &execution.job).env("IAMLUA_RUN", &execution.run);
    command.env("IAMLUA_OUTCOME", execution.outcome.map_or("failed", ExecutionOutcome::name));
    command.env("IAMLUA_ERROR", error);
    let mut child = command.spawn().map_err(|error| format!("it cannot be run: {error}"))?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let group = ProcessGroup(pid);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read all of its input is not an error.
            let _ = stdin.write_all(body).await;
        }
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let status = {
        let talk = async { tokio::join!(feed, tail(stdout, &mut out), tail(stderr, &mut err)) };
        tokio::pin!(talk);
        let whole = async {
            let mut is_said = false;
            let status = tokio::select! {
                status = child.wait() => status,
                _ = &mut talk => {
                    is_said = true;
                    child.wait().await
                }
            };
            if !is_said {
                let _ = tokio::time::timeout(OUTPUT_TIMEOUT, &mut talk).await;
            }
            status
        };
        tokio::time::timeout(patience, whole).await
    };
    drop(group);
    let said = if err.is_empty() { out } else { err };
    let said = match String::from_utf8_lossy(&said).trim() {
        "" => String::new(),
        text => format!("; it said: {text}"),
    };
    match status {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("it ended with {status}{said}")),
        Ok(Err(error)) => Err(format!("it cannot be waited for: {error}")),
        Err(_) => Err(format!("it was killed, because it took longer than {patience:?}{said}")),
    }
}

/// Reads a stream to its end, and keeps the last bytes.
async fn tail(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..n]);
        let surplus = kept.len().saturating_sub(MAX_OUTPUT);
        kept.drain(..surplus);
    }
}
