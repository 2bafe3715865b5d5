//! Listings of `iamlua schedule --list` (jobs) and `--dry-run` (upcoming executions). Both are
//! read-only.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::due::{self, JobProgress, Next};
use super::job_lock::JobLock;
use super::job_set::{Listed, Runbook};
use super::record::Execution;
use super::scheduler::due_text;
use super::store::Store;
use crate::error::Result;
use crate::session::Mode;

/// Upper bound on the rows of a dry run.
const MAX_ROWS: usize = 10_000;

/// Listing, as text and as JSON records.
#[derive(Debug, Default)]
pub struct List {
    /// Column headings.
    pub heads: Vec<&'static str>,
    /// Rows, as text.
    pub rows: Vec<Vec<String>>,
    /// Rows, as JSON.
    pub records: Vec<Value>,
    /// Broken jobs, with the reasons.
    pub broken: Vec<(String, String)>,
    /// Set if rows were left out.
    pub is_cut: bool,
}

/// Lists the jobs, by name.
///
/// # Errors
/// If the state cannot be read.
pub fn jobs(listed: &[Listed], folder: &Path, now: Timestamp) -> Result<List> {
    let store = Store::open_existing(folder)?;
    let mut open = BTreeMap::new();
    for execution in store.as_ref().map(Store::open_executions).transpose()?.unwrap_or_default() {
        // An execution whose job lock is free was killed.
        let path = execution.path.display().to_string();
        if JobLock::is_held(folder, &path) {
            open.insert(execution.path.clone(), execution);
        }
    }
    let mut shown = List {
        heads: vec!["JOB", "SCHEDULE", "NEXT", "LAST", "OUTCOME", "CHANGES"],
        ..List::default()
    };
    let mut sorted: Vec<_> = listed.iter().collect();
    sorted.sort_by(|one, other| one.name.cmp(&other.name));
    for job in sorted {
        let path = job.path.display().to_string();
        let entry = match &store {
            Some(store) => store.entry(&path)?,
            None => None,
        };
        let last = match &store {
            Some(store) => store.last(&path)?,
            None => None,
        };
        let runbook = job.what.as_ref().ok();
        let next = runbook.and_then(|runbook| {
            coming(runbook, &path, entry.as_ref(), now).next().map(|coming| coming.at)
        });
        let running = open.get(&job.path);
        shown.rows.push(row(job, next, running, last.as_ref(), now));
        shown.records.push(json!({
            "job": job.name,
            "path": job.path,
            "description": runbook.and_then(|runbook| runbook.description.clone()),
            "schedule": runbook.map(|runbook| runbook.job.timing.words()),
            "next": next,
            "running": running,
            "last": last,
            "broken": job.what.as_ref().err(),
        }));
        if let Err(why) = &job.what {
            shown.broken.push((job.name.clone(), why.clone()));
        }
    }
    Ok(shown)
}

fn row(
    job: &Listed,
    next: Option<Timestamp>,
    running: Option<&Execution>,
    last: Option<&Execution>,
    now: Timestamp,
) -> Vec<String> {
    let runbook = job.what.as_ref().ok();
    let zone = |at| runbook.map_or_else(|| date(at, None), |runbook| date(at, Some(runbook)));
    let next = match (running, next) {
        (Some(_), _) => "running".to_owned(),
        (None, Some(next)) if next <= now => "now".to_owned(),
        (None, next) => next.map_or_else(String::new, zone),
    };
    let outcome = last.and_then(|last| last.outcome);
    let changes = last.map_or_else(String::new, |last| {
        let planned = if last.mode == Mode::Plan { " planned" } else { "" };
        format!("{}{planned}", crate::ui::format::number(last.changes))
    });
    vec![
        job.name.clone(),
        runbook.map_or_else(|| "(broken)".to_owned(), |runbook| runbook.job.timing.words()),
        next,
        last.map_or_else(String::new, |last| zone(last.started)),
        outcome.map_or_else(String::new, |outcome| outcome.name().to_owned()),
        changes,
    ]
}

/// Time in the time zone of a job.
fn date(at: Timestamp, runbook: Option<&Runbook>) -> String {
    let zone = runbook.map_or(jiff::tz::TimeZone::UTC, |runbook| runbook.job.timing.zone());
    at.to_zoned_datetime(zone).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// Lists the executions from now until `until`.
///
/// # Errors
/// If the state cannot be read.
pub fn dry_run(listed: &[Listed], folder: &Path, now: Timestamp, until: Timestamp) -> Result<List> {
    let store = Store::open_existing(folder)?;
    let mut list = List { heads: vec!["WHEN", "JOB", "DUE", "WHY"], ..List::default() };
    let mut all = Vec::new();
    for job in listed {
        let runbook = match &job.what {
            Ok(runbook) => runbook,
            Err(why) => {
                list.broken.push((job.name.clone(), why.clone()));
                continue;
            }
        };
        let path = job.path.display().to_string();
        let entry = match &store {
            Some(store) => store.entry(&path)?,
            None => None,
        };
        let coming = coming(runbook, &path, entry.as_ref(), now);
        for (n, coming) in coming.take_while(|coming| coming.at <= until).enumerate() {
            if n == MAX_ROWS {
                list.is_cut = true;
                break;
            }
            all.push((coming, job, runbook));
        }
    }
    all.sort_by(|(one, job, _), (other, other_job, _)| {
        (one.at, &job.name).cmp(&(other.at, &other_job.name))
    });
    list.is_cut |= all.len() > MAX_ROWS;
    all.truncate(MAX_ROWS);
    for (coming, job, runbook) in all {
        let when = date(coming.at, Some(runbook));
        let due =
            if coming.due == coming.at { String::new() } else { date(coming.due, Some(runbook)) };
        list.rows.push(vec![when, job.name.clone(), due, coming.why.clone()]);
        list.records.push(json!({
            "when": coming.at,
            "job": job.name,
            "due": coming.due,
            "why": (!coming.why.is_empty()).then_some(coming.why),
        }));
    }
    Ok(list)
}

/// Upcoming execution.
#[derive(Debug)]
struct Coming {
    at: Timestamp,
    due: Timestamp,
    /// Reason, if it is not simply due.
    why: String,
}

/// Upcoming executions of a job by the rules of the scheduler, as if each took no time.
fn coming<'a>(
    runbook: &'a Runbook,
    path: &'a str,
    entry: Option<&JobProgress>,
    now: Timestamp,
) -> impl Iterator<Item = Coming> + 'a {
    let timing = runbook.job.timing.words();
    // The same progress as after a takeover by the scheduler.
    let mut entry = match entry {
        Some(entry) if entry.timing == timing => entry.clone(),
        Some(entry) => JobProgress { timing, handled: entry.handled.max(now), ..entry.clone() },
        None => JobProgress::new(timing, now),
    };
    let mut at = now;
    std::iter::from_fn(move || {
        loop {
            match due::next(&runbook.job, path, &entry, None, at) {
                Next::Wait(next) => at = next?,
                Next::Recount(to) => entry = to,
                Next::Skip { last, .. } => entry.handled = last,
                Next::Again(tries) => {
                    entry.tries = None;
                    let why = format!("try {}", tries.attempt + 1);
                    return Some(Coming { at, due: tries.due, why });
                }
                Next::Start { due, missed } => {
                    entry.handled = due;
                    entry.free = at;
                    let why = if missed > 0 {
                        format!("{} missed", due_text(missed))
                    } else {
                        String::new()
                    };
                    return Some(Coming { at, due, why });
                }
            }
        }
    })
}
