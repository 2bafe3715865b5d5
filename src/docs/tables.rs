//! The table of functions in the README.

use std::fmt::Write;

use crate::iam::{self, Entry};

/// The table of functions for the README, as Markdown.
#[must_use]
pub fn function_table() -> String {
    let mut out = String::from("| Lua | AWS | what it does |\n| --- | --- | --- |\n");
    for Entry { spec, .. } in iam::registry() {
        let action = spec.actions[0];
        let more = if spec.actions.len() > 1 { " …" } else { "" };
        let _ = writeln!(
            out,
            "| `{}` | [{}]({}){more} | {} |",
            spec.signature(),
            action.name,
            action.reference(),
            spec.doc
        );
    }
    out
}
