//! Shell completion of values from the state folder.

use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::runs::what;
use crate::escape::visible;
use crate::schedule::record::Execution;
use crate::session::journal::records::{Records, Run};
use crate::state;

/// Upper bound on the number of values.
const MAX_VALUES: u32 = 100;

/// Completer for ids of runs in the journal, the latest first, and `last`.
pub fn runs() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let describe =
            |run: Run| (run.id.clone(), visible(format!("{}, {}", what(&run), run.status.name())));
        candidates(current, latest_runs().into_iter().map(describe))
    })
}

/// Latest runs; none if the journal is missing or cannot be read.
fn latest_runs() -> Vec<Run> {
    let records = state::folder().and_then(|folder| Records::open(&folder));
    let Ok(Some(records)) = records else { return Vec::new() };
    records.runs(MAX_VALUES as usize).unwrap_or_default()
}

/// Completer for ids of executions of jobs, the latest first, and `last`.
pub fn executions() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let found = super::executions::latest(None, MAX_VALUES).unwrap_or_default();
        let describe = |Execution { run, job, .. }: Execution| (run, job);
        candidates(current, found.into_iter().map(describe))
    })
}

/// `last`, and ids that begin with the typed text, with descriptions.
fn candidates(
    current: &OsStr,
    found: impl Iterator<Item = (String, String)>,
) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let last = ("last".to_owned(), "the latest".to_owned());
    let fit = std::iter::once(last).chain(found).filter(|(id, _)| id.starts_with(current));
    let candidate = |(at, (id, help)): (usize, (String, String))| {
        CompletionCandidate::new(id).help(Some(help.into())).display_order(Some(at))
    };
    fit.enumerate().map(candidate).collect()
}
