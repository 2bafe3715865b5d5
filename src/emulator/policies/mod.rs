//! Policies of permissions: those inline in roles, and managed ones with their versions. None is
//! evaluated; a document is held to the grammar that IAM demands when it is saved.

pub(super) mod document;
pub(super) mod import;
pub(super) mod inline;
pub(super) mod listing;
pub(super) mod managed;
pub(super) mod record;
pub(super) mod upgrade;
pub(super) mod usage;
pub(super) mod versions;
