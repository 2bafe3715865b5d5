//! Fuzzing: the readers of untrusted bytes, each behind one function that takes any bytes and
//! checks invariants. The folder `fuzz/` has a binary for each, which libFuzzer drives. The tests
//! here run them on the seeds in `fuzz/seeds/` and on mutations of these.
//!
//! This module is not in the program: it is compiled for tests and with `--cfg fuzzing`.

mod answers;
mod files;
mod lua;
mod scripts;
#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::escape::acts;

/// Fuzz target: a reader of bytes.
#[derive(Clone, Copy, Debug)]
pub struct FuzzTarget {
    /// Name of the target, its seeds and its binary.
    pub name: &'static str,
    /// Reads the bytes, and panics if an invariant does not hold.
    pub run: fn(&[u8]),
    /// Number of cases that take about as long as one case of the slowest target.
    pub share: u32,
}

/// All targets.
pub const TARGETS: [FuzzTarget; 15] = [
    FuzzTarget { name: "account", run: files::account, share: 6 },
    FuzzTarget { name: "aws_config", run: files::aws_config, share: 100 },
    FuzzTarget { name: "check", run: scripts::check, share: 4 },
    FuzzTarget { name: "config", run: files::config, share: 80 },
    FuzzTarget { name: "cron", run: scripts::cron, share: 40 },
    FuzzTarget { name: "iam_answer", run: answers::iam, share: 4 },
    FuzzTarget { name: "journal", run: files::journal, share: 1 },
    FuzzTarget { name: "lua", run: lua::text, share: 4 },
    FuzzTarget { name: "manifest", run: scripts::manifest, share: 1 },
    FuzzTarget { name: "plan", run: files::plan, share: 15 },
    FuzzTarget { name: "scan", run: files::scan, share: 12 },
    FuzzTarget { name: "usage_json", run: answers::usage_json, share: 10 },
    FuzzTarget { name: "usage_refusal", run: answers::usage_refusal, share: 100 },
    FuzzTarget { name: "usage_xml", run: answers::usage_xml, share: 4 },
    FuzzTarget { name: "wire", run: answers::wire, share: 2 },
];

/// Runs a target.
///
/// # Panics
/// If an invariant does not hold, or there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("there is no target {name}")).run)(data);
}

/// Checks that a text has no control characters except line feeds.
fn assert_plain(text: &str) {
    let found = text.chars().find(|c| acts(*c) && *c != '\n');
    assert!(found.is_none(), "{found:?} is in {text:?}");
}

/// Checks that a text has no control characters except line feeds and styles.
fn assert_styled(text: &str) {
    assert_plain(&without_styles(text));
}

/// Text without the sequences that set a style.
fn without_styles(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        if let Some(rest) = rest.strip_prefix('m') {
            plain.push_str(rest);
        } else {
            plain.push_str("\x1b[");
            plain.push_str(part);
        }
    }
    plain
}

/// Checks that an error has a text, which is safe for a terminal.
fn assert_error(error: &Error) {
    assert!(!error.message.is_empty(), "an error without a text: {error:?}");
    // Tracebacks contain tabs.
    assert_plain(&error.describe().replace('\t', " "));
    assert_ne!(error.kind, crate::error::Kind::Bug, "{error:?}");
}

/// First line of the data, and the data after it.
fn first_line(data: &[u8]) -> (String, &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let line = String::from_utf8_lossy(&data[..end]).into_owned();
    (line, data.get(end + 1..).unwrap_or_default())
}
