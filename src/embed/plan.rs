//! Plans and changes, as an embedding program sees them.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::app::plan_text;
use crate::error::{Error, Kind, Result};
use crate::session::destination::Destination;
use crate::session::journal::ChangeOutcome;
use crate::session::journal::records::RecordedChange;
use crate::session::plan;

/// Changes that a script would make, for somebody to approve. [`Host::apply`](crate::Host::apply)
/// makes them, and only them, where the account has not drifted since.
#[derive(Clone, Debug)]
pub struct Plan(pub(super) plan::Plan);

impl Plan {
    /// Id of the plan, by which the journal knows how much of it is done.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Changes in the order in which they are made.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        self.0.changes.iter().map(|change| Change::planned(change, &self.0.sites)).collect()
    }

    /// Absence of changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.changes.is_empty()
    }

    /// Error that ended the script before the plan was complete.
    #[must_use]
    pub fn incomplete(&self) -> Option<&str> {
        self.0.incomplete.as_deref()
    }

    /// Programs that the script would run and files that it would write, one line each. Applying
    /// the plan leaves them out.
    #[must_use]
    pub fn outside(&self) -> Vec<String> {
        let as_json = |action| serde_json::to_value(action).unwrap_or_default();
        self.0.outside.iter().map(|action| as_json(action).to_string()).collect()
    }

    /// Text of the plan as the program shows it, one block per change, without colours. With
    /// `full`, similar changes are not grouped.
    #[must_use]
    pub fn to_text(&self, full: bool) -> String {
        anstream::adapter::strip_str(&plan_text::plan(&self.0, full)).to_string()
    }

    /// Content of the plan file: JSON with a checksum. `iamlua show` and `iamlua apply` read it
    /// too.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn to_json(&self) -> Result<String> {
        self.0.to_file()
    }

    /// Reads what [`to_json`](Self::to_json) has made.
    ///
    /// # Errors
    /// [`Kind::Refused`] if it is no plan, was cut short or changed, or was made by a newer
    /// version.
    pub fn from_json(text: &str) -> Result<Self> {
        plan::Plan::from_file("the plan", text).map(Self)
    }

    /// Refuses a plan that must not be applied as it is.
    pub(super) fn check(&self) -> Result<()> {
        let refused = |what: String| Err(Error::new(Kind::Refused, what));
        if let Some(why) = &self.0.incomplete {
            return refused(format!("the plan is incomplete: its script failed: {why}"));
        }
        if let Some(why) = &self.0.exceeds {
            return refused(format!("the plan goes beyond the limit it was made under: {why}"));
        }
        Ok(())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_text(false).trim_end())
    }
}

/// Status of a [`Change`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChangeStatus {
    /// Planned, not made.
    Planned,
    /// Made.
    Done,
    /// Refused by AWS.
    Failed,
    /// Sent, without an answer.
    InDoubt,
}

/// Change of one instance profile or role, planned or made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// Number in the plan or run, from 1.
    pub number: u64,
    /// AWS action, such as `TagInstanceProfile`.
    pub action: String,
    /// Kind of the changed resource: `profile` or `role`.
    pub kind: String,
    /// Name of the profile or role.
    pub name: String,
    /// Account number, if it is known.
    pub account: Option<String>,
    /// Arguments, by the names that they have in Lua.
    pub arguments: Value,
    /// State before, `null` if there was nothing.
    pub before: Value,
    /// State after, `null` if nothing is left.
    pub after: Value,
    /// Status.
    pub status: ChangeStatus,
    /// Error of AWS, if the change has failed.
    pub error: Option<String>,
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn account(site: usize, sites: &[Destination]) -> Option<String> {
    sites.get(site).and_then(|site| site.account.clone())
}

impl Change {
    fn planned(change: &plan::Change, sites: &[Destination]) -> Self {
        Self {
            number: change.number,
            action: change.action.clone(),
            kind: change.subject.name().to_owned(),
            name: change.name.clone(),
            account: account(change.site, sites),
            arguments: change.arguments.clone(),
            before: json(&change.before),
            after: json(&change.after),
            status: ChangeStatus::Planned,
            error: None,
        }
    }

    pub(super) fn made(change: &RecordedChange, sites: &[Destination]) -> Self {
        Self {
            number: change.number,
            action: change.action.clone(),
            kind: change.subject.name().to_owned(),
            name: change.name.clone(),
            account: account(change.site, sites),
            arguments: change.arguments.clone(),
            before: json(&change.before),
            after: json(&change.after),
            status: match change.outcome {
                Some(ChangeOutcome::Done) => ChangeStatus::Done,
                Some(ChangeOutcome::Failed) => ChangeStatus::Failed,
                Some(ChangeOutcome::InDoubt) | None => ChangeStatus::InDoubt,
            },
            error: change.error.clone(),
        }
    }
}
