//! Recovery before a run: settles the changes that earlier runs of the runbook left in doubt,
//! because they were killed or a response was lost. It uses only the connection of the runbook.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::aws::client::{Backend, Connection};
use crate::error::{Kind, Result};
use crate::iam::snapshot::Effect;
use crate::session::apply::check_accounts;
use crate::session::destination::{Destination, Places};
use crate::session::journal::records::{RecordedChange, Records, Run};
use crate::session::recover::{self, describe};
use crate::session::{Gate, Session, SessionConfig};
use crate::spec;
use crate::ui::format::count;

/// Result of settling an earlier run.
#[derive(Debug)]
pub struct Settled {
    /// Id of that run.
    pub run: String,
    /// Set if nothing of it is in doubt any more.
    pub is_clear: bool,
    /// Description for the log.
    pub text: String,
}

/// Settles the runs of a script that a connection can reach, except those in `unclear`.
///
/// # Errors
/// If the journal or the account cannot be read.
pub async fn settle(
    folder: &Path,
    script: &str,
    connection: &Connection,
    rules: SessionConfig,
    unclear: &BTreeSet<String>,
) -> Result<Vec<Settled>> {
    let mut found = Vec::new();
    for run in open_runs(folder, script)? {
        if unclear.contains(&run.id) {
            continue;
        }
        if run.counts.in_doubt == 0 {
            close(folder, &run)?;
            continue;
        }
        let ways: Option<Vec<_>> =
            run.sites.iter().map(|site| connection_to(connection, site)).collect();
        let Some(ways) = ways else {
            found.push(left(&run, "it went another way than this scheduler's calls"));
            continue;
        };
        let session = Session::with(rules.clone());
        let gates: Vec<_> = ways
            .into_iter()
            .map(|connection_to| Gate::new(Arc::clone(&session), connection_to))
            .collect();
        match Box::pin(check_accounts(&run.sites, &gates)).await {
            Err(error) if error.kind == Kind::Refused => {
                found.push(left(&run, &error.to_string()));
                continue;
            }
            checked => checked?,
        }
        let patience = spec::parse_duration(recover::PATIENCE).unwrap_or(10.0);
        let patience = std::time::Duration::from_secs_f64(patience);
        // The journal is opened again, because it must not stay open during the waits.
        let findings = recover_one(folder, &run, &gates, patience).await?;
        if !findings.is_empty() {
            found.push(findings_of(&run, &findings));
        }
    }
    Ok(found)
}

fn open_runs(folder: &Path, script: &str) -> Result<Vec<Run>> {
    match Records::open(folder)? {
        Some(records) => records.unsettled_runs(script),
        None => Ok(Vec::new()),
    }
}

/// Records the end of a run that was killed and left nothing in doubt.
fn close(folder: &Path, run: &Run) -> Result<()> {
    match Records::open(folder)? {
        Some(records) => records.close(&run.id),
        None => Ok(()),
    }
}

async fn recover_one(
    folder: &Path,
    run: &Run,
    gates: &[Gate],
    patience: std::time::Duration,
) -> Result<Vec<recover::Finding>> {
    match Records::open(folder)? {
        Some(records) => recover::recover(&records, run, gates, patience).await,
        None => Ok(Vec::new()),
    }
}

fn left(run: &Run, why: &str) -> Settled {
    let doubt = count(run.counts.in_doubt, "change");
    let text = format!(
        "{doubt} of run {} cannot be settled: {why}; `iamlua runs recover {}` looks",
        run.id, run.id
    );
    Settled { run: run.id.clone(), is_clear: false, text }
}

fn findings_of(run: &Run, findings: &[recover::Finding]) -> Settled {
    let mut happened = 0;
    let mut unclear = Vec::new();
    let places = Places::of(&run.sites);
    for finding in findings {
        match &finding.verdict {
            Effect::Happened => happened += 1,
            Effect::NotHappened => {}
            Effect::Drifted(differences) => {
                let RecordedChange { name, site, .. } = &finding.change;
                let place = places.suffix(*site);
                unclear
                    .push(format!("{name}{place}: {}", describe(differences, "after the change")));
            }
        }
    }
    let all = count(findings.len() as u64, "change");
    let mut text =
        format!("settled what run {} left in doubt: {happened} of {all} happened", run.id);
    if !unclear.is_empty() {
        text = format!(
            "{} of run {} cannot be told, because the account has changed since: {}",
            count(unclear.len() as u64, "change"),
            run.id,
            unclear.join("; ")
        );
    }
    Settled { run: run.id.clone(), is_clear: unclear.is_empty(), text }
}

/// Connection to a destination, if `connection` leads there: with the same credentials and the same
/// endpoint.
fn connection_to(connection: &Connection, site: &Destination) -> Option<Connection> {
    let own = Destination::of(connection, None, None);
    let is_same = own.target == site.target
        && own.profile == site.profile
        && own.endpoint_url == site.endpoint_url;
    if !is_same {
        return None;
    }
    if matches!(connection.target, Backend::Local(_)) {
        return Some(connection.clone());
    }
    let roles = site.connection(Backend::Aws).roles;
    let region = site.region.clone().or_else(|| connection.region.clone());
    Some(Connection { region, roles, ..connection.clone() })
}
