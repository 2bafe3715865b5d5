//! Formats of test results: for people, TAP, and `JUnit` XML. The functions return text; the caller
//! writes it.

pub mod human;
pub mod junit;
pub mod tap;

use crate::escape;

/// Text without terminal control characters, except line feeds and tabs.
fn visible(text: &str) -> String {
    escape::visible_but(text.as_bytes(), |c| matches!(c, '\n' | '\t'))
}

/// Text with every line indented, except empty lines.
fn indented(text: &str, by: &str) -> String {
    let lines = text.lines().map(|line| match line {
        "" => "\n".to_owned(),
        line => format!("{by}{line}\n"),
    });
    lines.collect()
}
