//! Permissions policies: inline policies of roles, and managed policies with their versions. They
//! are not evaluated; documents are checked against IAM's grammar when they are saved.

pub(super) mod document;
pub(super) mod import;
pub(super) mod inline;
pub(super) mod listing;
pub(super) mod managed;
pub(super) mod record;
pub(super) mod upgrade;
pub(super) mod usage;
pub(super) mod versions;
