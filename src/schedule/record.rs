//! What is known of jobs and of their executions: what is kept, and what the status page, the metrics and `--list` show.

use std::collections::BTreeMap;
use std::ops::Div as _;
use std::path::PathBuf;
use std::time::Instant;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::log::Origin;
use crate::cron::Timing;

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionOutcome {
    /// It did all of its work.
    Done,
    /// It failed, also in part.
    Failed,
    /// A guard has refused it: a limit, its allow-list, a protected profile.
    Refused,
    /// It took longer than it may.
    Timeout,
    /// The scheduler was told to end, and stopped it.
    Interrupted,
    /// The scheduler was killed while it ran.
    Killed,
    /// It was left out by rule, and did not run.
    Skipped,
}

impl ExecutionOutcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Done,
        Self::Failed,
        Self::Refused,
        Self::Timeout,
        Self::Interrupted,
        Self::Killed,
        Self::Skipped,
    ];

    /// Its name in the state, in logs and on the screen.
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

    /// The outcome of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}

/// One execution of a job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Execution {
    /// Its run, by the id that the journal has for it too if it changed something.
    pub run: String,
    /// The job's name.
    pub job: String,
    /// The path of its runbook.
    pub path: PathBuf,
    /// The moment for which it ran; none if a person ran it.
    pub due: Option<Timestamp>,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it ended; none while it goes on.
    pub outcome: Option<ExecutionOutcome>,
    /// The exit code that a process of its own would have had.
    pub exit_code: Option<u8>,
    /// What went wrong, or why it was left out.
    pub error: Option<String>,
    /// The account that it worked on, such as `AWS account 123456789012` or `the local account`.
    pub account: Option<String>,
    /// What it did with changes: `apply`, `plan` or `read-only`.
    pub mode: String,
    /// Number of changes that were made or planned.
    pub changes: u64,
    /// Number of changes that failed or are in doubt.
    pub failed: u64,
    /// The calls that were sent, by AWS action.
    pub calls: BTreeMap<String, u64>,
    /// How many of them were throttled.
    pub throttled: u64,
    /// What it printed, and its plan if it made one; the end of it, if it was much.
    #[serde(skip)]
    pub output: String,
}

impl Execution {
    /// One that begins.
    #[must_use]
    pub fn begun(
        path: PathBuf,
        job: String,
        due: Option<Timestamp>,
        attempt: u32,
        started: Timestamp,
        mode: String,
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

    /// Whose lines of the log are.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            job: Some(self.job.as_str().into()),
            run: Some(self.run.as_str().into()),
            account: self.account.as_deref().map(Into::into),
        }
    }

    /// How long it took, in seconds, once it has ended.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let time = self.ended?.duration_since(self.started);
        Some(time.as_secs_f64().max(0.0))
    }

    /// What the log says of it besides.
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
            field("mode", Some(self.mode.as_str().into()));
            field("changes", Some(self.changes.into()));
            field("failed", (self.failed > 0).then(|| self.failed.into()));
            field("throttled", (self.throttled > 0).then(|| self.throttled.into()));
        }
        fields
    }
}

/// One job, as it stands.
#[derive(Clone, Debug)]
pub struct JobStatus {
    /// Its name: that of its runbook's file without `.lua`, with as much of the path as tells it from others.
    pub name: String,
    /// The path of its runbook.
    pub path: PathBuf,
    /// What its runbook says that it does.
    pub description: Option<String>,
    /// When it is due; none if its runbook is broken.
    pub timing: Option<Timing>,
    /// When it runs next.
    pub next: Option<Timestamp>,
    /// What is going on.
    pub running: Option<Execution>,
    /// What went on last.
    pub last: Option<Execution>,
    /// When it last did all of its work, also before the scheduler was started.
    pub last_success: Option<Timestamp>,
    /// What is wrong with its runbook.
    pub broken: Option<String>,
}

impl JobStatus {
    /// Its last execution, if that has failed.
    #[must_use]
    pub fn failure(&self) -> Option<&Execution> {
        use ExecutionOutcome::{Failed, Killed, Refused, Timeout};
        let has_failed =
            |last: &&Execution| matches!(last.outcome, Some(Failed | Refused | Timeout | Killed));
        self.last.as_ref().filter(has_failed)
    }
}

/// How full an account is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The account.
    pub account: String,
    /// How many profiles there are.
    pub profiles: u64,
    /// How many there may be.
    pub quota: Option<u64>,
}

/// The scheduler, as it stands.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Now, by the scheduler's clock: when this was asked for.
    pub now: Timestamp,
    /// When the scheduler's loop last came round.
    pub came_round: Instant,
    /// When it was started.
    pub started: Timestamp,
    /// Mode of its jobs: `apply`, `plan` or `read-only`.
    pub mode: &'static str,
    /// The account that its jobs work on, once it is known.
    pub account: Option<String>,
    /// Its jobs, by name.
    pub jobs: Vec<JobStatus>,
    /// How many executions have ended since it was started, by job and outcome.
    pub ended: BTreeMap<(String, ExecutionOutcome), u64>,
    /// How long they took in all, in seconds, by job.
    pub seconds: BTreeMap<String, f64>,
    /// How many changes they made, by job.
    pub changes: BTreeMap<String, u64>,
    /// How many calls they sent, by AWS action.
    pub calls: BTreeMap<String, u64>,
    /// How many calls were throttled.
    pub throttled: u64,
    /// How full the account is, if it is known.
    pub quota: Option<Quota>,
    /// Whether the scheduler was told to end.
    pub is_ending: bool,
}
