//! Sessions that outlive one script, as in the REPL. The mode changes, the plan is applied or
//! forgotten, and the session continues after an interrupt.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use futures_util::StreamExt;

use super::names::Names;
use super::plan::Change;
use super::{ChangeOrigin, Gate, Mode, Session, locked};
use crate::error::{Error, Kind, Result};
use crate::iam::snapshot::Subject;

impl Session {
    /// Changes the treatment of calls that would change the account. The plan stays, so apply or
    /// forget it before.
    pub fn switch(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
        self.wire.allow_writes(mode == Mode::Apply);
    }

    /// Forgets the plan and everything that was read: others may have changed it.
    pub async fn forget_plan(&self) {
        let planned = self.recorder.clear();
        self.bounds.uncount(planned);
        self.overlays.lock().await.clear();
        self.has_overlays.store(false, Ordering::SeqCst);
        self.forget_read();
    }

    /// Forgets everything that was read, because something else has changed the account.
    pub fn forget_read(&self) {
        self.memory.clear();
    }

    /// Prepares for the next entry of the REPL: lets changes begin again after an interrupt, and
    /// forgets what the last entry has read and its manifest's limits. Much can happen to the
    /// account between two entries of a person.
    pub fn reopen(&self) {
        self.stats.open();
        self.forget_read();
        self.bounds.lift_manifest();
        locked(&self.refusal).take();
    }

    /// Caches the names that calls show from now on.
    pub fn keep_names(&self, names: Names) {
        // The first cache stays, because the completer holds it.
        let _ = self.names.set(names);
    }
}

/// Plans earlier planned changes again, in order and on the current state; the gates reach their
/// destinations. The states that they rest on are prefetched concurrently. Returns for each change
/// whether it can still be made.
pub async fn plan_again(gates: &[Gate], changes: &[Change]) -> Vec<Result<()>> {
    const MAX_CONCURRENT: usize = 16;
    let mut rests_on = BTreeSet::new();
    for change in changes {
        let with_policies = change.before.as_ref().is_some_and(|image| image.policies.is_some());
        rests_on.insert((change.site, change.subject, change.name.clone(), with_policies));
        if let Some(role) = change.arguments["role"].as_str() {
            rests_on.insert((change.site, Subject::Role, role.to_owned(), false));
        }
    }
    let read = rests_on.iter().filter_map(|(site, subject, name, with_policies)| {
        gates.get(*site).map(|gate| gate.planned_state(*subject, name, *with_policies))
    });
    // A failed read is reported with the change that rests on it.
    futures_util::stream::iter(read).buffer_unordered(MAX_CONCURRENT).for_each(|_| async {}).await;
    let mut planned = Vec::new();
    for change in changes {
        planned.push(match gates.get(change.site) {
            Some(gate) => gate.plan_one_again(change).await,
            None => Err(Error::new(Kind::Bug, "a change that goes nowhere")),
        });
    }
    planned
}

impl Gate {
    async fn plan_one_again(&self, change: &Change) -> Result<()> {
        let (entry, write, args) = change.call()?;
        self.write(entry, write, args, ChangeOrigin::default()).await.map(|_| ())
    }

    /// The account's 12 digits, and its alias if there is one and the caller may see it.
    ///
    /// # Errors
    /// If AWS cannot be reached.
    pub async fn account(&self) -> Result<(Option<String>, Option<String>)> {
        let line = self.line().await?;
        let account = self.identity().await?.account.clone();
        let alias = line
            .make(crate::iam::LIST_ACCOUNT_ALIASES.name, || crate::iam::alias(line.clients()))
            .await;
        // Optional, because it is only for display and the caller may lack permission.
        let alias = alias.or_else(|error: Error| match error.kind {
            Kind::Aws => Ok(None),
            _ => Err(error),
        })?;
        Ok((account, alias))
    }
}
