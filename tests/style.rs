//! Style of comments: lines of at most 100 columns, and doc comments that open with a noun or verb.

use std::fs;
use std::path::{Path, PathBuf};

use crate::registry::root;

const WIDTH: usize = 100;
/// First words of doc comments that describe their item only indirectly.
const INDIRECT: [&str; 12] = [
    "What", "Who", "Whom", "Whether", "How", "So", "That", "Where", "Which", "However", "It", "Why",
];
const FOLDERS: [&str; 8] =
    ["src", "tests", "stdlib", "scripts", "template", "examples", "benches", "fuzz"];

/// Markers of a language: of comments, and of doc comments.
struct Markers {
    comment: &'static str,
    doc: &'static [&'static str],
}

fn markers_of(path: &Path) -> Option<Markers> {
    match path.extension()?.to_str()? {
        "rs" => Some(Markers { comment: "//", doc: &["///", "//!"] }),
        "lua" => Some(Markers { comment: "--", doc: &["---"] }),
        "toml" => Some(Markers { comment: "#", doc: &[] }),
        _ => None,
    }
}

/// Adds the files of a folder, without those that a build has made.
fn add_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let is_built = path.ends_with("target") || path.ends_with("corpus");
        if !path.is_dir() {
            found.push(path);
        } else if !is_built {
            add_files(&path, found);
        }
    }
}

/// Comments of the project's files: path, number of the line, line, and its markers.
fn check(mut look: impl FnMut(&str, &[&str], usize, &Markers)) {
    let mut files = vec![root().join("Cargo.toml")];
    for folder in FOLDERS {
        add_files(&root().join(folder), &mut files);
    }
    files.sort();
    let mut seen = 0;
    for path in files {
        let Some(markers) = markers_of(&path) else { continue };
        let text = fs::read_to_string(&path).expect("a text");
        let shown = path.strip_prefix(root()).expect("a file of the project");
        let lines: Vec<_> = text.lines().collect();
        for at in 0..lines.len() {
            if lines[at].trim_start().starts_with(markers.comment) {
                seen += 1;
                look(&shown.display().to_string(), &lines, at, &markers);
            }
        }
    }
    assert!(seen > 5000, "only {seen} lines of comments");
}

/// Text of a doc comment; `None` for another line.
fn doc<'a>(line: &'a str, markers: &Markers) -> Option<&'a str> {
    let line = line.trim_start();
    markers.doc.iter().find_map(|mark| line.strip_prefix(mark)).map(str::trim)
}

#[test]
fn comments_have_at_most_100_columns() {
    let mut long = Vec::new();
    check(|path, lines, at, markers| {
        let line = lines[at];
        // A URL cannot be broken.
        let words = line.trim_start().trim_start_matches(markers.comment).trim();
        let words = words.trim_start_matches("- ");
        let is_url = words.starts_with("http") && !words.contains(' ');
        if line.chars().count() > WIDTH && !is_url {
            long.push(format!("{path}:{}", at + 1));
        }
    });
    assert!(long.is_empty(), "{} lines are too long:\n{}", long.len(), long.join("\n"));
}

#[test]
fn doc_comments_open_with_a_noun_or_a_verb() {
    let mut indirect = Vec::new();
    check(|path, lines, at, markers| {
        let Some(text) = doc(lines[at], markers) else { return };
        let is_first = at == 0 || doc(lines[at - 1], markers).is_none();
        let word: String = text.chars().take_while(|c| c.is_alphanumeric()).collect();
        if is_first && INDIRECT.contains(&word.as_str()) {
            indirect.push(format!("{path}:{}: {text}", at + 1));
        }
    });
    assert!(indirect.is_empty(), "{}:\n{}", indirect.len(), indirect.join("\n"));
}
