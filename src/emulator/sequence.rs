//! List whose items have permanent place numbers, so that a marker stays valid after other items
//! were added or removed. Tags and attached policies are stored this way, in insertion order.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Items with ascending place numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sequence<T> {
    last: u64,
    items: Vec<(u64, T)>,
}

impl<T> Default for Sequence<T> {
    fn default() -> Self {
        Self { last: 0, items: Vec::new() }
    }
}

impl<T> Sequence<T> {
    /// Sequence of items with known places, in order; `last` is the highest place ever used.
    pub(super) fn of_places(last: u64, items: Vec<(u64, T)>) -> Self {
        Self { last, items }
    }

    pub(super) fn push(&mut self, item: T) {
        self.last += 1;
        self.items.push((self.last, item));
    }

    /// Highest place ever used.
    pub(super) fn last_place(&self) -> u64 {
        self.last
    }

    /// Removes the item at a place.
    pub(super) fn remove(&mut self, place: u64) {
        self.items.retain(|(own, _)| *own != place);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|(_, item)| item)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.items.iter_mut().map(|(_, item)| item)
    }

    /// Items after a place, with their places.
    pub(super) fn after(&self, place: u64) -> impl Iterator<Item = (u64, &T)> {
        self.items.iter().filter(move |(own, _)| *own > place).map(|(own, item)| (*own, item))
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.items.retain(|(_, item)| keep(item));
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// Stored in a column as JSON; as the empty string if there never was an item.
impl<T: Serialize> rusqlite::ToSql for Sequence<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        if self.last == 0 {
            return Ok("".into());
        }
        let json = serde_json::to_string(self)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        Ok(json.into())
    }
}

impl<T: DeserializeOwned> FromSql for Sequence<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "" => Ok(Self::default()),
            json => serde_json::from_str(json).map_err(|error| FromSqlError::Other(error.into())),
        }
    }
}
