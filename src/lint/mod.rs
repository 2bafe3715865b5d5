//! Checks of scripts that run nothing: syntax, names, arguments, manifests and allow-lists. What is
//! reported as an error is certain to fail; the rest are warnings.

mod analysis;
mod arguments;
mod findings;
mod manifest;
mod names;
mod project;
mod report;
mod suppression;
mod syntax;
mod types;

pub use findings::{Finding, Position, Rule, Severity};
pub use project::{Input, Settings, check, check_text, find};
pub use report::Report;
