//! Entries of the REPL, with the outcomes of their changes.

use std::collections::BTreeSet;

use super::changes::{Mark, UndoUnit};
use super::saving::{EntryStatus, SavedEntry};
use crate::session::journal::ChangeOutcome;
use crate::session::journal::records::RecordedChange;
use crate::session::plan::{Change, Plan};

/// Entries, the latest last.
#[derive(Debug, Default)]
pub struct Entries(Vec<Made>);

/// Entry with the changes that it has planned or made.
#[derive(Debug)]
struct Made {
    entry: SavedEntry,
    /// Changes that it has planned, by index in the plan: a half-open range.
    planned: Option<(usize, usize)>,
    /// Changes that it has made, by number in the run of the REPL: the first is excluded.
    changed: Option<(u64, u64)>,
    /// Run that has applied its planned changes, with their numbers in the plan.
    committed: Option<(String, BTreeSet<u64>)>,
}

impl Made {
    /// Ends the planned changes, and sets the fate of an entry that stood.
    fn end(&mut self, fate: EntryStatus) {
        self.planned = None;
        if self.entry.fate == EntryStatus::Stands {
            self.entry.fate = fate;
        }
    }
}

impl Entries {
    /// Adds an entry that has run between these two marks.
    pub fn push(&mut self, entry: SavedEntry, before: Mark, after: Mark) {
        let planned = (before.planned, after.planned);
        let changed = (before.changed, after.changed);
        let new = usize::try_from(changed.1.saturating_sub(changed.0)).unwrap_or(usize::MAX);
        let entry = SavedEntry { changes: planned.1.saturating_sub(planned.0) + new, ..entry };
        self.0.push(Made {
            entry,
            planned: (planned.1 > planned.0).then_some(planned),
            changed: (changed.1 > changed.0).then_some(changed),
            committed: None,
        });
    }

    /// Entries with their current fates. `changes` returns the journal's changes of a run.
    pub fn standing(
        &self,
        changes: impl Fn(&EntryRun<'_>) -> Option<Vec<RecordedChange>>,
    ) -> Vec<SavedEntry> {
        let is_gone = |change: &RecordedChange| {
            change.undone.is_some() || change.outcome == Some(ChangeOutcome::Failed)
        };
        let mut entries = Vec::new();
        for made in &self.0 {
            let mut entry = made.entry.clone();
            let run = match (&made.committed, made.changed) {
                (Some((run, _)), _) => Some(EntryRun::Committed(run)),
                (None, Some(_)) => Some(EntryRun::Own),
                (None, None) => None,
            };
            // Changes that are still planned are not in the journal.
            let recorded = run.filter(|_| made.planned.is_none()).and_then(|run| changes(&run));
            let recorded = recorded.as_deref();
            let is_meant = |change: &&RecordedChange| match (&made.committed, made.changed) {
                (Some((_, numbers)), _) => {
                    change.plan_change.is_some_and(|number| numbers.contains(&number))
                }
                (None, Some((after, last))) => change.number > after && change.number <= last,
                (None, None) => false,
            };
            if let Some(changes) = recorded {
                let own = changes.iter().filter(is_meant);
                let (all, stand) = (own.clone().count(), own.filter(|c| !is_gone(c)).count());
                if entry.fate == EntryStatus::Stands && all > 0 && stand == 0 {
                    entry.fate = EntryStatus::Undone;
                } else if entry.fate == EntryStatus::Failed {
                    entry.changes = stand;
                }
            }
            entries.push(entry);
        }
        entries
    }

    /// Marks planned changes as discarded.
    pub fn discard(&mut self) {
        for made in self.0.iter_mut().filter(|made| made.planned.is_some()) {
            made.end(EntryStatus::Discarded);
        }
    }

    /// Marks a step as undone, or as made again.
    pub fn set_fate(&mut self, step: &UndoUnit, fate: EntryStatus) {
        for made in &mut self.0 {
            let is_meant = match step {
                UndoUnit::Planned(from) => made.planned.is_some_and(|(first, _)| first >= *from),
                UndoUnit::Changed(after, last) => {
                    made.changed.is_some_and(|(first, end)| first >= *after && end <= *last)
                }
                UndoUnit::Committed(run) => {
                    made.committed.as_ref().is_some_and(|(committed, _)| committed == run)
                }
            };
            match (is_meant, fate) {
                (true, EntryStatus::Stands) if made.entry.fate == EntryStatus::Undone => {
                    made.entry.fate = fate;
                }
                (true, EntryStatus::Stands) | (false, _) => {}
                (true, fate) => made.end(fate),
            }
        }
    }

    /// Marks planned changes as made by a run, except those that are left and planned anew.
    pub fn commit(&mut self, run: &str, plan: &Plan, left: &[Change]) {
        let left: BTreeSet<_> = left.iter().map(|change| change.number).collect();
        for made in &mut self.0 {
            let Some((first, end)) = made.planned else { continue };
            let own = plan.changes.iter().take(end).skip(first);
            let numbers: BTreeSet<_> = own.map(|change| change.number).collect();
            if numbers.iter().all(|number| left.contains(number)) {
                // Only undoable together from now on.
                made.planned = Some((0, left.len()));
            } else {
                made.planned = None;
                made.committed = Some((run.to_owned(), numbers));
            }
        }
    }
}

/// Run in which entries have made their changes.
#[derive(Debug)]
pub enum EntryRun<'r> {
    /// Run of the REPL itself.
    Own,
    /// Run of a commit.
    Committed(&'r str),
}
