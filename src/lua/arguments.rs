//! Command-line words for a script, and the check for misspelt options: a word that begins with `-`
//! and precedes a lone `--` must be an option that a manifest declares.

use super::tokens::{TokenKind as Token, tokens};
use crate::error::{Error, Result};
use crate::spec;

/// Command-line words for a script.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// The words, without the lone `--`.
    pub words: Vec<String>,
    /// An option among them that nothing has declared so far.
    pub(super) unclaimed: Option<Unclaimed>,
}

/// An option that only a manifest can declare.
#[derive(Clone, Debug)]
pub(super) struct Unclaimed {
    /// Message of the error, if the script has no manifest.
    message: String,
    /// Hints of the error.
    hints: Vec<String>,
    /// Mark of a script that must not print before its manifest either, because its text does not
    /// name one.
    pub holds_output: bool,
}

impl Unclaimed {
    /// Error of a script that has no manifest.
    pub fn error(&self) -> Error {
        self.hints.iter().fold(Error::usage(self.message.clone()), Error::hint)
    }
}

/// Names that other programs use for a dry run, which is a plan in iamlua.
const DRY_RUN_OPTIONS: [&str; 9] = [
    "--dry-run",
    "--dryrun",
    "--dry",
    "--noop",
    "--no-op",
    "--what-if",
    "--whatif",
    "--simulate",
    "--check",
];

/// Explanation of `--plan`, for who looks for a dry run.
pub(crate) const PLAN: &str =
    "--plan lists the changes and makes none; on AWS every run does, unless --apply is given";

/// Names that other programs use for options, with those that iamlua has.
const OTHER_NAMES: [(&[&str], &str); 11] = [
    (&["--format", "--fmt", "--out-format", "--output-format"], "--output"),
    (&["--json"], "--output json"),
    (&["--jsonl", "--ndjson"], "--output jsonl"),
    (&["--csv"], "--output csv"),
    (&["--verbose", "--debug", "-v", "-vv"], "--log-level debug"),
    (&["--quiet", "--silent", "-q"], "--log-level error"),
    (&["--force", "--auto-approve", "--assume-yes", "--no-confirm"], "--yes"),
    (&["--execute", "--no-dry-run", "--commit", "--doit"], "--apply"),
    (&["--endpoint"], "--endpoint-url"),
    (&["--role", "--assume-role"], "--role-arn"),
    (&["--max-time", "--time-limit"], "--timeout"),
];

impl Arguments {
    /// Words without a check, because only the script can interpret them.
    #[must_use]
    pub fn unchecked(words: Vec<String>) -> Self {
        Self { words, unclaimed: None }
    }

    /// Words for a script; those after a lone `--` are the script's alone. `known` are the long
    /// options of iamlua.
    ///
    /// # Errors
    /// A usage error if the script has no manifest and the words include an option.
    pub fn of(given: &[String], source: &[u8], name: &str, known: &[String]) -> Result<Self> {
        let separator = given.iter().position(|word| word == "--");
        let before = &given[..separator.unwrap_or(given.len())];
        let words = without_separator(given);
        let Some(option) = before.iter().find(|word| is_option(word)) else {
            return Ok(Self::unchecked(words));
        };
        let (message, hints) = unknown(option, name, known);
        let source = String::from_utf8_lossy(source);
        let is_named = names(&source, "runbook");
        let unclaimed = Unclaimed { message, hints, holds_output: !is_named };
        if !is_named && !names(&source, "require") {
            return Err(unclaimed.error());
        }
        Ok(Self { words, unclaimed: Some(unclaimed) })
    }

    /// Records that the script has a manifest, which knows its options.
    pub(super) fn claim(&mut self) {
        self.unclaimed = None;
    }
}

/// Words without the first lone `--`.
#[must_use]
pub fn without_separator(words: &[String]) -> Vec<String> {
    match words.iter().position(|word| word == "--") {
        Some(at) => [&words[..at], &words[at + 1..]].concat(),
        None => words.to_vec(),
    }
}

/// Check for a word that looks like an option. A negative number does not.
fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word.parse::<f64>().is_err()
}

/// Check for a script that contains a word as a name or as a text.
fn names(source: &str, word: &str) -> bool {
    source.contains(word)
        && tokens(source).iter().any(|token| {
            !matches!(token.kind, Token::Comment { .. }) && token.text(source).contains(word)
        })
}

/// Most similar option among the `known` ones, which begin with `--`; one that other programs call
/// so first.
pub(crate) fn similar<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let name = word.split_once('=').map_or(word, |(name, _)| name);
    let mut known = known.into_iter().peekable();
    known.peek()?;
    let all: Vec<&str> = known.collect();
    if all.contains(&"--plan") && DRY_RUN_OPTIONS.contains(&name.to_lowercase().as_str()) {
        return Some("--plan".into());
    }
    let other = OTHER_NAMES.iter().find(|(names, _)| names.contains(&name));
    if let Some((_, own)) = other
        && own.split(' ').next().is_some_and(|option| all.contains(&option))
    {
        return Some((*own).to_owned());
    }
    // `-apply` means `--apply`.
    let name = format!("--{}", name.trim_start_matches('-'));
    let near = if name.len() > 4 { spec::nearest(&name, all) } else { None };
    near.map(str::to_owned)
}

/// Check for a name that other programs have for a dry run.
pub(crate) fn is_dry_run(option: &str) -> bool {
    DRY_RUN_OPTIONS.contains(&option.to_lowercase().as_str())
}

fn unknown(option: &str, script: &str, known: &[String]) -> (String, Vec<String>) {
    let name = option.split_once('=').map_or(option, |(name, _)| name).escape_debug().to_string();
    let message =
        format!("there is no option {name}: neither iamlua has it, nor does {script} declare it");
    let flags: Vec<_> = known.iter().map(|name| format!("--{name}")).collect();
    let near = similar(option, flags.iter().map(String::as_str));
    let mut hints: Vec<_> = near.iter().map(|near| format!("did you mean {near}?")).collect();
    if near.as_deref() == Some("--plan") {
        hints.push(PLAN.into());
    }
    hints.push(
        "what stands after a lone `--` is passed to the script; a script that reads its options \
         itself says so with `runbook { args = true }`"
            .into(),
    );
    (message, hints)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str], source: &str) -> Result<Arguments> {
        let known = ["plan", "max-changes", "read-only", "apply"].map(str::to_owned);
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        Arguments::of(&words, source.as_bytes(), "x.lua", &known)
    }

    #[test]
    fn an_option_that_nobody_declares_is_an_error() {
        for (option, near) in [
            ("--dry-run", "--plan"),
            ("--max-chnages=1", "--max-changes"),
            ("--red-only", "--read-only"),
            ("-apply", "--apply"),
            ("--no-dry-run", "--apply"),
            ("--Read-Only", "--read-only"),
        ] {
            let error = of(&["web", option], "print(...)").expect_err(option);
            assert_eq!(error.kind.exit_code(), 2);
            assert_eq!(error.hints[0], format!("did you mean {near}?"), "{option}");
        }
        for option in ["-x", "-n", "--", "--x=1"] {
            let refused = of(&["--", option], "print(...)");
            assert!(refused.is_ok(), "{option} stands after a lone --");
        }
        assert!(of(&["-x"], "-- runbook\nprint(...)").is_err(), "a comment declares nothing");
        assert!(of(&["web", "-", "-1", "-0.5", ""], "print(...)").is_ok());
        let words = of(&["a", "--", "-b", "--"], "").expect("words").words;
        assert_eq!(words, ["a", "-b", "--"]);
    }

    #[test]
    fn a_manifest_may_come_from_elsewhere() {
        let held = |source| of(&["--x"], source).expect("a manifest may follow").unclaimed;
        assert!(!held("runbook { }").expect("held").holds_output);
        assert!(!held("require('runbook') { }").expect("held").holds_output);
        assert!(held("require('common')").expect("held").holds_output);
        assert!(of(&["x"], "require('common')").expect("words").unclaimed.is_none());
    }
}
