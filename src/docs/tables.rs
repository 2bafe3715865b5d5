//! Tables for the documentation: the functions of `iam`, and the actions of the local account.

use std::fmt::Write;

use crate::emulator;
use crate::iam::{self, Entry};

/// Table of the functions of `iam`, as Markdown.
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

/// Table of the actions of the local account, by service, as Markdown.
#[must_use]
pub fn action_table() -> String {
    let mut services: Vec<(&str, Vec<&str>)> = Vec::new();
    for (service, action) in emulator::actions() {
        match services.iter_mut().find(|(known, _)| *known == service) {
            Some((_, actions)) => actions.push(action),
            None => services.push((service, vec![action])),
        }
    }
    let mut out = String::from("| service | actions |\n| --- | --- |\n");
    for (service, mut actions) in services {
        actions.sort_unstable();
        let actions: Vec<_> = actions.iter().map(|action| format!("`{action}`")).collect();
        let _ = writeln!(out, "| `{service}` | {} |", actions.join(", "));
    }
    out
}
