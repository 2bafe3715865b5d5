//! Unique ids of what was made again. AWS gives a new id to a profile or role that an undo makes
//! again. The journal knows which one it replaces.

use std::collections::HashMap;

use super::records::Records;
use crate::error::Result;
use crate::iam::image::{Image, State};

/// Ids that stand for the same profile or role, because an undo or a plan made it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities {
    /// By id, an older one; the oldest has none.
    older: HashMap<String, String>,
}

impl Identities {
    /// Ids in pairs, the older one first.
    #[must_use]
    pub fn of(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut identities = Self::default();
        for (one, other) in pairs {
            let (one, other) =
                (identities.oldest(&one).to_owned(), identities.oldest(&other).to_owned());
            if one != other {
                identities.older.insert(other, one);
            }
        }
        identities
    }

    fn oldest<'a>(&'a self, id: &'a str) -> &'a str {
        let mut id = id;
        while let Some(older) = self.older.get(id) {
            id = older;
        }
        id
    }

    /// A state with the oldest id of what it is.
    #[must_use]
    pub fn known_as(&self, state: &State) -> State {
        let image = state.clone()?;
        let id = image.id.as_deref().map(|id| self.oldest(id).to_owned());
        Some(Image { id, ..image })
    }
}

impl Records {
    /// Ids of what undos and plans have made again.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn identities(&self) -> Result<Identities> {
        // What an undo makes again is what the undone change has deleted. What a plan makes that is
        // applied again after its undo is what its first run has made.
        let pairs = self.id_pairs(
            "SELECT deleted.before ->> '$.id', made.after ->> '$.id'
             FROM run JOIN change AS made ON made.run = run.id
             JOIN change AS deleted
                 ON deleted.run = made.undoes_run AND deleted.number = made.undoes_change
             WHERE run.undoes IS NOT NULL AND made.before IS NULL AND made.outcome = 'done'
                 AND deleted.after IS NULL
             UNION ALL
             SELECT first.after ->> '$.id', again.after ->> '$.id'
             FROM run AS earlier
             JOIN run AS later ON later.plan = earlier.plan AND later.id > earlier.id
             JOIN change AS first ON first.run = earlier.id
             JOIN change AS again
                 ON again.run = later.id AND again.plan_change = first.plan_change
             WHERE earlier.plan IS NOT NULL AND first.before IS NULL AND again.before IS NULL
                 AND first.outcome = 'done' AND again.outcome = 'done'",
        )?;
        Ok(Identities::of(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known_as(identities: &Identities, id: &str) -> String {
        let image = Image { id: Some(id.to_owned()), ..Image::default() };
        identities.known_as(&Some(image)).and_then(|image| image.id).expect("an id")
    }

    #[test]
    fn what_was_made_again_several_times_is_one() {
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        let pairs =
            [pair("C", "D"), pair("A", "B"), pair("B", "C"), pair("D", "A"), pair("X", "X")];
        let identities = Identities::of(pairs);
        let all: Vec<_> = ["A", "B", "C", "D"].iter().map(|id| known_as(&identities, id)).collect();
        assert!(all.iter().all(|id| *id == all[0]), "{all:?}");
        assert_eq!(known_as(&identities, "X"), "X");
        assert_eq!(known_as(&identities, "Z"), "Z");
    }
}
