//! Whether a text that stands where a profile or a role is named means this profile.

use std::sync::Arc;

/// A text that names a profile or a role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Named {
    /// An instance profile: by ARN, name or id.
    Profile(Box<str>),
    /// A role, by ARN or name: every profile that holds it is meant.
    Role(Box<str>),
}

impl Named {
    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Profile(text) | Self::Role(text) => text,
        }
    }
}

/// By what a reference means a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    /// Its ARN, with this path or another.
    Arn,
    /// Its unique id, `AIPA…`.
    Id,
    /// Its name.
    Name,
    /// The role that it holds.
    Role,
    /// A text with placeholders, or one that is none of AWS's, that may mean it.
    Pattern,
}

impl By {
    /// Its name in scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arn => "arn",
            Self::Id => "id",
            Self::Name => "name",
            Self::Role => "role",
            Self::Pattern => "pattern",
        }
    }
}

/// Which groups of references may mean a profile.
#[derive(Debug)]
pub(super) struct Index;

impl Index {
    pub(super) fn new(_account: &str, _partition: &str) -> Self {
        Self
    }

    pub(super) fn add(&mut self, _group: u32, _names: &Arc<[Named]>) {}
}
