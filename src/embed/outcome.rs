//! Outcome of a run.

use serde_json::Value;

use super::plan::{Change, Plan};
use crate::error::{Error, Result};

/// Outcome of a script, or of applying or undoing changes. A script that fails has an outcome too;
/// [`into_result`](Self::into_result) makes an error of it.
#[must_use = "a run may have failed: see `error`, or use `into_result`"]
#[derive(Debug)]
pub struct Outcome {
    pub(super) result: Result<u8>,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) value: Option<Value>,
    pub(super) plan: Option<Plan>,
    pub(super) changes: Vec<Change>,
    pub(super) run_id: Option<String>,
}

impl Outcome {
    /// Exit code that `iamlua run` would end with: 0, the script's own `os.exit`, or that of the
    /// error's [kind](crate::Kind::exit_code).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.result.as_ref().map_or_else(|error| error.kind.exit_code(), |code| *code)
    }

    /// Error that ended it.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.result.as_ref().err()
    }

    /// End without an error and with exit code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.result, Ok(0))
    }

    /// Returns the outcome, or the error that ended it. A script that calls `os.exit` has no error.
    ///
    /// # Errors
    /// Error that ended it.
    pub fn into_result(mut self) -> Result<Self> {
        match std::mem::replace(&mut self.result, Ok(0)) {
            Ok(code) => {
                self.result = Ok(code);
                Ok(self)
            }
            Err(error) => Err(error),
        }
    }

    /// Standard output of the script; empty if the host writes it
    /// [elsewhere](crate::HostBuilder::stdout).
    #[must_use]
    pub fn stdout(&self) -> &str {
        &self.stdout
    }

    /// Messages of the script's `log`, notices and progress; empty if the host writes them
    /// [elsewhere](crate::HostBuilder::stderr).
    #[must_use]
    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    /// Value that the script returned, the first of several. `None` if it returned nothing, failed,
    /// or returned something that JSON cannot hold, such as a function.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }

    /// Plan of a script that ran with [`Mode::Plan`](crate::Mode::Plan), also an empty one.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Changes that were begun, in order. A plan has its [own](Plan::changes).
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Id of the run in the journal, for [`Host::undo`](crate::Host::undo); `None` if nothing was
    /// changed.
    #[must_use]
    pub fn run_id(&self) -> Option<&str> {
        self.run_id.as_deref()
    }
}
