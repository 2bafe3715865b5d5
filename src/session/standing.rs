//! What a session needs that outlives one script: a prompt's. Its mode changes, its plan is made or forgotten, and after an
//! interrupt it goes on.

use std::sync::atomic::Ordering;

use super::names::Names;
use super::plan::Change;
use super::{Gate, Mode, Origin, Session, locked};
use crate::error::{Error, Result};

impl Session {
    /// Changes what it does with calls that would change the account. What is planned stays planned, so it should be made or forgotten before.
    pub fn switch(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
        self.wire.allow_writes(mode == Mode::Apply);
    }

    /// Forgets what is planned, and what was read: others may have changed it.
    pub async fn forget_plan(&self) {
        let planned = self.recorder.clear();
        self.bounds.uncount(planned);
        self.overlays.lock().await.clear();
        self.has_overlays.store(false, Ordering::SeqCst);
        self.forget_read();
    }

    /// Forgets what was read, because something else has changed the account.
    pub fn forget_read(&self) {
        self.memory.clear();
    }

    /// Gets ready for the next entry: lets changes begin again after an interrupt, and forgets what the last one has read and what its manifest
    /// allowed. Between two entries of a person's much can happen to the account.
    pub fn reopen(&self) {
        self.effort.open();
        self.forget_read();
        self.bounds.lift_manifest();
        locked(&self.refusal).take();
    }

    /// Keeps the names that calls show from now on.
    pub fn keep_names(&self, names: Names) {
        // The first ones stay: whoever completes names holds them.
        let _ = self.names.set(names);
    }
}

impl Gate {
    /// Plans a change again that was planned before, on what is there now.
    ///
    /// # Errors
    /// What AWS would say, or the gate: the account may have moved on.
    pub async fn plan_again(&self, change: &Change) -> Result<()> {
        let (entry, write, args) = change.call()?;
        self.write(entry, write, args, Origin::default()).await.map(|_| ())
    }

    /// The account's 12 digits, and its alias if it has one and the caller may see it.
    ///
    /// # Errors
    /// If AWS cannot be asked.
    pub async fn account(&self) -> Result<(Option<String>, Option<String>)> {
        let line = self.line().await?;
        let account = self.identity().await?.account.clone();
        let alias = line.make("ListAccountAliases", || crate::iam::alias(line.clients())).await;
        // Not everybody may see it, and it is only for show.
        let alias = alias.or_else(|error: Error| match error.kind {
            crate::error::Kind::Aws => Ok(None),
            _ => Err(error),
        })?;
        Ok((account, alias))
    }
}
