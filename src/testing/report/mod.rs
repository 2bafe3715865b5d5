//! What became of tests, in words: for people, as TAP, as XML of `JUnit`. Each function makes text; whoever calls it writes it.

pub mod human;
pub mod junit;
pub mod tap;

use crate::escape;

/// Text with nothing in it that a terminal would obey; lines and tabs stay.
fn visible(text: &str) -> String {
    escape::visible_but(text.as_bytes(), |c| matches!(c, '\n' | '\t'))
}

/// Text with every line moved in by that; empty lines stay empty.
fn indented(text: &str, by: &str) -> String {
    let lines = text.lines().map(|line| match line {
        "" => "\n".to_owned(),
        line => format!("{by}{line}\n"),
    });
    lines.collect()
}
