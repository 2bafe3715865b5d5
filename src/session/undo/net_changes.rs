//! Net effect of a run on one profile or role, and its inverse.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::order::{NOBODY, is_other};
use crate::iam::snapshot::{Difference, Field, Snapshot, Subject, differences};
use crate::session::journal::identities::Identities;
use crate::session::journal::records::RecordedChange;
use crate::session::read_cache::Key;

/// Net effect of a run on one profile or role.
#[derive(Clone, Debug)]
pub struct Net {
    /// Site through which it was reached first.
    pub site: usize,
    /// Kind of its subject.
    pub subject: Subject,
    /// Name of its subject.
    pub name: String,
    /// Numbers of the changes, in order.
    pub numbers: Vec<u64>,
    /// State before, in the fields that the run has changed since others last did.
    pub before: Option<Snapshot>,
    /// State that the run has left.
    pub after: Option<Snapshot>,
    /// Fields that it has changed of what is there before and after.
    fields: BTreeSet<Field>,
    /// Deletion in between.
    was_absent: bool,
}

/// Inverse of a net effect.
#[allow(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
#[derive(Clone, Debug, PartialEq)]
pub enum Inverse {
    /// The effect is none.
    Moot,
    /// Somebody has made it already.
    Done,
    /// Something else has changed since.
    Drifted(Vec<Difference>),
    /// Change from what is there now to this.
    To(Option<Snapshot>),
}

/// Net effects of changes that stand, the latest first. `key_of` tells their subjects apart.
pub fn of<'a>(
    changes: impl Iterator<Item = &'a RecordedChange>,
    key_of: impl Fn(&RecordedChange) -> (usize, Key),
    identities: &Identities,
) -> Vec<Net> {
    let mut at: HashMap<(usize, Key), usize> = HashMap::new();
    let mut nets: Vec<Net> = Vec::new();
    for change in changes {
        let index = *at.entry(key_of(change)).or_insert(nets.len());
        if index == nets.len() {
            nets.push(Net {
                site: change.site,
                subject: change.subject,
                name: change.name.clone(),
                numbers: Vec::new(),
                before: identities.known_as(&change.before),
                after: identities.known_as(&change.before),
                fields: BTreeSet::new(),
                was_absent: false,
            });
        }
        nets[index].add(change, identities);
    }
    nets.sort_by_key(|net| std::cmp::Reverse(net.numbers.last().copied()));
    nets
}

impl Net {
    fn add(&mut self, change: &RecordedChange, identities: &Identities) {
        let before = identities.known_as(&change.before);
        let mut after = identities.known_as(&change.after);
        self.numbers.push(change.number);
        if let (Some(origin), Some(found)) = (&mut self.before, &before) {
            // What others have set in between is what the run has changed last.
            for foreign in differences(&self.after, &before) {
                if self.fields.contains(&foreign.field) {
                    origin.take(&foreign.field, found);
                }
            }
            if after.is_some() {
                for changed in differences(&before, &after) {
                    if self.fields.insert(changed.field.clone()) {
                        origin.take(&changed.field, found);
                    }
                }
            }
        }
        self.was_absent |= after.is_none();
        // A change that has not looked at the policies leaves them as they were.
        if let (Some(image), Some(known)) = (&mut after, &self.after)
            && image.policies.is_none()
        {
            image.policies.clone_from(&known.policies);
        }
        self.after = after;
    }

    /// Check for the policies of a role in it.
    pub fn has_policies(&self) -> bool {
        let has =
            |state: &Option<Snapshot>| state.as_ref().is_some_and(|image| image.policies.is_some());
        has(&self.before) || has(&self.after)
    }

    /// Inverse of it, by what is there now. `deleted` are ids of what undos have deleted.
    pub fn inverse(&self, now: &Option<Snapshot>, deleted: &HashSet<String>) -> Inverse {
        match (&self.before, &self.after) {
            (None, None) => Inverse::Moot,
            (None, Some(_)) => match now {
                None => Inverse::Done,
                Some(_) => self.deletion(now),
            },
            (Some(before), None) => match now {
                None => Inverse::To(self.before.clone()),
                Some(image) if Field::Id.is_same(image, before) => self.rest_of_creation(now),
                Some(_) => Inverse::Drifted(differences(&self.after, now)),
            },
            (Some(before), Some(after)) => {
                let is_replaced = self.was_absent && is_other(before, after);
                match now {
                    Some(image) if is_replaced && Field::Id.is_same(image, before) => {
                        self.rest_of_creation(now)
                    }
                    // Deleted and made again in one go.
                    Some(_) if is_replaced => match self.deletion(now) {
                        Inverse::To(_) => Inverse::To(self.before.clone()),
                        other => other,
                    },
                    None if is_replaced && self.is_deleted_by_undo(deleted) => {
                        Inverse::To(self.before.clone())
                    }
                    _ => self.restoration(now),
                }
            }
        }
    }

    /// Check for an undo that was interrupted between deletion and creation.
    fn is_deleted_by_undo(&self, deleted: &HashSet<String>) -> bool {
        let id = self.after.as_ref().and_then(|image| image.id.as_ref());
        id.is_some_and(|id| deleted.contains(id))
    }

    /// Deletion of what the run has made, unless it is not as the run has left it. An undo that was
    /// interrupted may have emptied it.
    fn deletion(&self, now: &Option<Snapshot>) -> Inverse {
        let drifted: Vec<_> = differences(&self.after, now)
            .into_iter()
            .filter(|found| {
                let may_be_gone = matches!(found.field, Field::Role | Field::Policy(_));
                !may_be_gone || found.to.is_some()
            })
            .collect();
        if drifted.is_empty() { Inverse::To(None) } else { Inverse::Drifted(drifted) }
    }

    /// Rest of what an undo was about to make again when it was interrupted.
    fn rest_of_creation(&self, now: &Option<Snapshot>) -> Inverse {
        let missing = differences(now, &self.before);
        let is_ours = |found: &Difference| match found.field {
            Field::Role | Field::Policy(_) => found.from.is_none(),
            Field::TrustPolicy => found.from.as_deref() == Some(NOBODY),
            Field::Tag(ref key) => crate::spec::is_reserved_tag(key),
            _ => false,
        };
        let others: Vec<_> = missing.iter().filter(|found| !is_ours(found)).cloned().collect();
        if !others.is_empty() {
            let turned = others.into_iter();
            let turned = turned.map(|found| Difference { from: found.to, to: found.from, ..found });
            return Inverse::Drifted(turned.collect());
        }
        let rest = missing.iter().any(|found| !matches!(found.field, Field::Tag(_)));
        if rest { Inverse::To(self.before.clone()) } else { Inverse::Moot }
    }

    /// Restoration of the fields that the run has changed.
    fn restoration(&self, now: &Option<Snapshot>) -> Inverse {
        let (Some(before), Some(after), Some(image)) = (&self.before, &self.after, now) else {
            return Inverse::Drifted(differences(&self.after, now));
        };
        if !Field::Id.is_same(after, image) {
            let found = differences(&self.after, now).into_iter();
            return Inverse::Drifted(found.filter(|found| found.field == Field::Id).collect());
        }
        let mut fields = self.fields.clone();
        if self.was_absent {
            // It was deleted and made again: everything may differ.
            let all = differences(&self.before, &self.after).into_iter();
            fields.extend(all.map(|found| found.field).filter(|field| *field != Field::Id));
        }
        let is_same = |field: &Field, one, other| self.is_same(field, one, other);
        fields.retain(|field| !is_same(field, before, after));
        if fields.is_empty() {
            return Inverse::Moot;
        }
        let (mut target, mut drifted, mut is_left) = (image.clone(), Vec::new(), false);
        for field in &fields {
            if is_same(field, image, after) {
                target.take(field, before);
                is_left = true;
            } else if !is_same(field, image, before) {
                let (from, to) = (field.of(after), self.value(field, image));
                drifted.push(Difference { field: field.clone(), from, to });
            }
        }
        match (drifted.is_empty(), is_left) {
            (false, _) => Inverse::Drifted(drifted),
            (true, true) => Inverse::To(Some(target)),
            (true, false) => Inverse::Done,
        }
    }

    /// Equality in a field. The keys of a role's tags ignore case.
    fn is_same(&self, field: &Field, one: &Snapshot, other: &Snapshot) -> bool {
        match field {
            Field::Tag(_) => self.value(field, one) == self.value(field, other),
            field => field.is_same(one, other),
        }
    }

    /// Value of a field; of a role's tag also the case of its key, if it is another one.
    fn value(&self, field: &Field, image: &Snapshot) -> Option<String> {
        let Field::Tag(key) = field else { return field.of(image) };
        if self.subject.has_tag_keys_with_case() {
            return field.of(image);
        }
        if let Some(value) = image.tags.get(key) {
            return Some(value.clone());
        }
        let mut tags = image.tags.iter();
        let other = tags.find(|(other, _)| other.to_lowercase() == key.to_lowercase());
        // After the run its own key in another case is the same tag under another name.
        other.map(|(other, value)| format!("{other}={value}"))
    }
}
