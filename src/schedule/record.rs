//! Records of jobs and executions: for the store, the status page, the metrics and `--list`.

use std::collections::BTreeMap;
use std::ops::Div as _;
use std::path::PathBuf;
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::log::LogOrigin;
use crate::cron::Timing;
use crate::session::Mode;

/// Outcome of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionOutcome {
    /// All of its work is done.
    Done,
    /// Some or all of its work failed.
    Failed,
    /// Refused by a guard: a limit, its allow-list, a protected profile.
    Refused,
    /// Stopped at its timeout.
    Timeout,
    /// Stopped by the shutdown of the scheduler.
    Interrupted,
    /// Ended by the death of the scheduler.
    Killed,
    /// Skipped by `catch_up`, without running.
    Skipped,
}

impl ExecutionOutcome {
    /// All outcomes.
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::Failed,
        Self::Refused,
        Self::Timeout,
        Self::Interrupted,
        Self::Killed,
        Self::Skipped,
    ];

    /// Name in the store, in logs and in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::Killed => "killed",
            Self::Skipped => "skipped",
        }
    }

    /// Outcome with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// One execution of a job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Execution {
    /// Run id, the same as in the journal.
    pub run: String,
    /// Name of the job.
    pub job: String,
    /// Path of the runbook.
    pub path: PathBuf,
    /// Due time; none if an operator started it.
    pub due: Option<Timestamp>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Start.
    pub started: Timestamp,
    /// End.
    pub ended: Option<Timestamp>,
    /// Outcome; none while it is running.
    pub outcome: Option<ExecutionOutcome>,
    /// Exit code, as of a process.
    pub exit_code: Option<u8>,
    /// Error, or the reason for skipping it.
    pub error: Option<String>,
    /// Account, such as `AWS account 123456789012` or `the local account`.
    pub account: Option<String>,
    /// Mode.
    pub mode: Mode,
    /// Number of changes that were made or planned.
    pub changes: u64,
    /// Number of changes that failed or are in doubt.
    pub failed: u64,
    /// Number of calls, by AWS action.
    pub calls: BTreeMap<String, u64>,
    /// Number of throttled calls.
    pub throttled: u64,
    /// Last part of its output, and of its plan if it made one.
    #[serde(skip)]
    pub output: String,
}

impl Execution {
    /// Record of an execution that starts.
    #[must_use]
    pub fn begun(
        path: PathBuf,
        job: String,
        due: Option<Timestamp>,
        attempt: u32,
        started: Timestamp,
        mode: Mode,
    ) -> Self {
        Self {
            run: String::new(),
            job,
            path,
            due,
            attempt,
            started,
            ended: None,
            outcome: None,
            exit_code: None,
            error: None,
            account: None,
            mode,
            changes: 0,
            failed: 0,
            calls: BTreeMap::new(),
            throttled: 0,
            output: String::new(),
        }
    }

    /// Origin of its log lines.
    #[must_use]
    pub fn origin(&self) -> LogOrigin {
        LogOrigin {
            job: Some(self.job.as_str().into()),
            run: Some(self.run.as_str().into()),
            account: self.account.as_deref().map(Into::into),
        }
    }

    /// Duration in seconds, once it has ended.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let time = self.ended?.duration_since(self.started);
        Some(time.as_secs_f64().max(0.0))
    }

    /// Additional fields of its log lines.
    #[must_use]
    pub fn fields(&self) -> Vec<(String, Value)> {
        let mut fields = Vec::new();
        let mut field = |name: &str, value: Option<Value>| {
            fields.extend(value.map(|value| (name.to_owned(), value)));
        };
        field("outcome", self.outcome.map(|outcome| outcome.name().into()));
        field("due", self.due.map(|due| format!("{due:.0}").into()));
        field("attempt", (self.attempt > 1).then(|| self.attempt.into()));
        if self.outcome.is_some_and(|outcome| outcome != ExecutionOutcome::Skipped) {
            field(
                "seconds",
                self.seconds().map(|seconds| (seconds * 1000.0).round().div(1000.0).into()),
            );
            field("exit_code", self.exit_code.map(Into::into));
            field("mode", Some(self.mode.name().into()));
            field("changes", Some(self.changes.into()));
            field("failed", (self.failed > 0).then(|| self.failed.into()));
            field("throttled", (self.throttled > 0).then(|| self.throttled.into()));
        }
        fields
    }
}

/// Status of one job.
#[derive(Clone, Debug)]
pub struct JobStatus {
    /// Name: the file name of the runbook without `.lua`, with as many folders as make it unique.
    pub name: String,
    /// Path of the runbook.
    pub path: PathBuf,
    /// Description in the manifest.
    pub description: Option<String>,
    /// Schedule; none if the runbook is broken.
    pub timing: Option<Timing>,
    /// Next start.
    pub next: Option<Timestamp>,
    /// Running execution.
    pub running: Option<Execution>,
    /// Last execution.
    pub last: Option<Execution>,
    /// End of the last successful execution, also before the scheduler was started.
    pub last_success: Option<Timestamp>,
    /// Reason why the runbook is broken.
    pub broken: Option<String>,
}

impl JobStatus {
    /// Last execution, if it failed.
    #[must_use]
    pub fn failure(&self) -> Option<&Execution> {
        use ExecutionOutcome::{Failed, Killed, Refused, Timeout};
        let has_failed =
            |last: &&Execution| matches!(last.outcome, Some(Failed | Refused | Timeout | Killed));
        self.last.as_ref().filter(has_failed)
    }
}

/// Quota and usage of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Account.
    pub account: String,
    /// Number of profiles.
    pub profiles: u64,
    /// Quota of profiles.
    pub quota: Option<u64>,
}

/// Snapshot of the scheduler.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Time of the snapshot, by the scheduler's clock.
    pub now: Timestamp,
    /// Time of the last iteration of the loop.
    pub last_iteration: Instant,
    /// Start of the scheduler.
    pub started: Timestamp,
    /// Mode of its jobs.
    pub mode: Option<Mode>,
    /// Account of its jobs, once it is known.
    pub account: Option<String>,
    /// Its jobs, by name.
    pub jobs: Vec<JobStatus>,
    /// Number of executions that have ended, by job and outcome.
    pub ended: BTreeMap<(String, ExecutionOutcome), u64>,
    /// Total duration in seconds, by job.
    pub seconds: BTreeMap<String, f64>,
    /// Number of changes, by job.
    pub changes: BTreeMap<String, u64>,
    /// Number of calls, by AWS action.
    pub calls: BTreeMap<String, u64>,
    /// Number of throttled calls.
    pub throttled: u64,
    /// Quota and usage of the account, if known.
    pub quota: Option<Quota>,
    /// Set once the scheduler was told to end.
    pub is_ending: bool,
}
