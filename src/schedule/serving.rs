//! Status displays of a scheduler: the status page, with the executions of the store and the quota
//! of the account.

use std::collections::BTreeSet;
use std::future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::log::{Level, LogOrigin};
use super::record::Execution;
use super::status::{self, ChangeGroup, Changes, ExecutionHistory, Listen, Status};
use super::store::Store;
use super::{Show, quota};
use crate::app::plan_text::{self, ChangeText};
use crate::app::run::RunSettings;
use crate::error::{Kind, Result};
use crate::session::destination::{Destination, Places};
use crate::session::journal::ChangeOutcome;
use crate::session::journal::records::{RecordedChange, Records};
use crate::session::{Gate, Mode, Session, SessionConfig};
use crate::ui::format::{count, number};

/// Delay before the next attempt to identify the account.
const ACCOUNT_RETRY_DELAY: Duration = Duration::from_mins(1);

/// Upper bound on the failed or doubtful changes on the page of a run.
const MAX_LISTED_CHANGES: usize = 100;

/// Display that shows nothing.
#[must_use]
pub fn nothing() -> Show {
    Box::new(|_, _, _| Ok(()))
}

/// Serves the status page at an address, and refreshes the quota and usage of the account of these
/// options.
#[must_use]
pub fn page(listen: Listen, folder: PathBuf, options: &RunSettings) -> Show {
    // The calls share the account's rate control with those of the jobs.
    let rules = SessionConfig { mode: Mode::ReadOnly, ..options.rules.clone() };
    let against = options.against.clone();
    Box::new(move |live_status, runtime, log| {
        let listener = runtime.block_on(status::bind(listen, log))?;
        let shown = live_status.clone();
        let snapshot = move || shown.snapshot(Timestamp::now());
        let status = Arc::new(Status::new(snapshot, StoredHistory(folder.clone())));
        let to_log = log.clone();
        runtime.spawn(async move {
            // The server runs until the process ends.
            if let Err(error) = status::serve(status, listener, future::pending()).await {
                to_log.line(Level::Error, &LogOrigin::default(), &error.to_string(), &[]);
            }
        });
        let gate = Gate::new(Session::with(rules.clone()), against.connection());
        let updater = live_status.clone();
        let site = gate.clone();
        runtime.spawn(async move {
            loop {
                if let Ok(site) = site.site().await {
                    return updater.set_account(site.describe());
                }
                // The log has the same error from the jobs.
                tokio::time::sleep(ACCOUNT_RETRY_DELAY).await;
            }
        });
        let updater = live_status.clone();
        runtime.spawn(quota::poll(gate, log.clone(), move |quota| {
            updater.set_quota(Some(quota));
        }));
        Ok(())
    })
}

/// State folder. It is opened for each request, because requests are few.
struct StoredHistory(PathBuf);

impl ExecutionHistory for StoredHistory {
    fn executions(&self, path: &Path, most: u32) -> Result<Vec<Execution>> {
        let store = Store::open_existing(&self.0)?;
        let executions = store.map(|store| store.history(&path.display().to_string(), most));
        Ok(executions.transpose()?.unwrap_or_default())
    }

    fn execution(&self, run: &str) -> Result<Option<Execution>> {
        let execution = Store::open_existing(&self.0)?.map(|store| store.execution(run));
        Ok(execution.transpose()?.flatten())
    }

    fn changes(&self, run: &str) -> Result<Option<Changes>> {
        let Some(records) = Records::open(&self.0)? else { return Ok(None) };
        let known = match records.run(run) {
            Ok(known) => known,
            // A run without changes has no entry in the journal.
            Err(error) if error.kind == Kind::Usage => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(changes(&known.sites, &records.changes(&known.id)?)))
    }
}

/// Changes of a run, grouped as in `iamlua runs show`.
fn changes(sites: &[Destination], recorded: &[RecordedChange]) -> Changes {
    let places = Places::of(sites);
    let mut groups = Vec::new();
    for (name, is_meant) in [
        (
            "Done",
            (|change| change.outcome == Some(ChangeOutcome::Done)) as fn(&RecordedChange) -> bool,
        ),
        ("Failed", |change| change.outcome == Some(ChangeOutcome::Failed)),
        ("In doubt", RecordedChange::is_open),
    ] {
        let these: Vec<_> = recorded.iter().filter(|change| is_meant(change)).collect();
        let shown =
            these.iter().map(|change| ChangeText::recorded(change, places.account(change.site)));
        let shown: Vec<_> = shown.collect();
        let mut lines = Vec::new();
        if name == "Done" {
            lines = plan_text::lines(&shown, false);
        } else {
            for (change, shown) in these.iter().zip(&shown).take(MAX_LISTED_CHANGES) {
                lines.push(plan_text::line(shown));
                let why = change.error.iter().chain(&change.note);
                lines.extend(why.map(|why| format!("    {why}")));
            }
            let more = these.len().saturating_sub(MAX_LISTED_CHANGES) as u64;
            lines.extend((more > 0).then(|| format!("… {} more", number(more))));
        }
        if !these.is_empty() {
            let (all, accounts) = (count(these.len() as u64, "change"), plan_text::places(&shown));
            let plain = |line: String| anstream::adapter::strip_str(&line).to_string();
            let title = plain(format!("{name}: {all}{accounts}"));
            groups.push(ChangeGroup { title, lines: lines.into_iter().map(plain).collect() });
        }
    }
    let undone_by: BTreeSet<_> =
        recorded.iter().filter_map(|change| change.undone.clone()).collect();
    let is_standing = |change: &RecordedChange| {
        change.outcome == Some(ChangeOutcome::Done) && change.undone.is_none()
    };
    Changes {
        groups,
        stands: recorded.iter().any(is_standing),
        undone_by: undone_by.into_iter().collect(),
    }
}
