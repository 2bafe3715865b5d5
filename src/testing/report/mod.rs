//! What became of tests, in words: for people, as TAP, as XML of `JUnit`. Each function makes text; whoever calls it writes it.

pub mod human;
pub mod junit;
pub mod tap;

use std::fmt::Write;

/// Text with nothing in it that a terminal would obey; lines and tabs stay.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => visible.push(c),
            '\r' => visible.push_str("\\r"),
            '\0'..='\u{1f}' | '\u{7f}' => {
                let _ = write!(visible, "\\x{:02x}", u32::from(c));
            }
            // The other control characters, and marks that end lines or turn the direction of writing.
            '\u{80}'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(visible, "\\u{{{:x}}}", u32::from(c));
            }
            _ => visible.push(c),
        }
    }
    visible
}

/// Text with every line moved in by that; empty lines stay empty.
fn indented(text: &str, by: &str) -> String {
    let lines = text.lines().map(|line| match line {
        "" => "\n".to_owned(),
        line => format!("{by}{line}\n"),
    });
    lines.collect()
}
