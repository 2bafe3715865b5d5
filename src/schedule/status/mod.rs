//! Status page: HTML (`/`, `/jobs/NAME`, `/runs/ID`), Prometheus metrics (`/metrics`) and a health
//! check (`/healthz`). Read-only.

mod metrics;
mod moments;
mod pages;
mod server;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::Semaphore;

pub use self::server::{Listen, bind, serve};
use super::record::{Execution, Snapshot};
use crate::error::Result;
use crate::ui::html::HtmlPage;

/// Time without an iteration of the loop after which the scheduler counts as unhealthy. The loop
/// runs at least twice a minute.
const LOOP_TIMEOUT: Duration = Duration::from_mins(2);

/// Upper bound on pages that are rendered at once.
const MAX_RENDERS: usize = 2;

/// Number of executions on the page of a job.
const MAX_EXECUTIONS: u32 = 100;

/// Execution history.
pub trait ExecutionHistory: Send + Sync {
    /// Last executions of a job, the newest first, without output.
    ///
    /// # Errors
    /// If the state cannot be read.
    fn executions(&self, path: &Path, most: u32) -> Result<Vec<Execution>>;

    /// One execution, with its output.
    ///
    /// # Errors
    /// If the state cannot be read.
    fn execution(&self, run: &str) -> Result<Option<Execution>>;

    /// Changes of a run in the journal; `None` if it has none.
    ///
    /// # Errors
    /// If the journal cannot be read.
    fn changes(&self, run: &str) -> Result<Option<Changes>>;
}

/// Changes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Changes that are done, failed or in doubt.
    pub groups: Vec<ChangeGroup>,
    /// Presence of changes that were made and not undone.
    pub stands: bool,
    /// Runs that have undone some of them.
    pub undone_by: Vec<String>,
}

/// Changes with the same outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeGroup {
    /// Outcome, and number of changes.
    pub title: String,
    /// Changes, as text.
    pub lines: Vec<String>,
}

/// Sources of the pages.
pub struct Status {
    snapshot: Box<dyn Fn() -> Snapshot + Send + Sync>,
    history: Box<dyn ExecutionHistory>,
    /// Permits for rendering pages.
    renders: Semaphore,
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status").finish_non_exhaustive()
    }
}

/// HTTP answer.
#[derive(Debug)]
struct StatusResponse {
    status: StatusCode,
    kind: &'static str,
    body: String,
}

impl StatusResponse {
    fn text(status: StatusCode, text: &str) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: format!("{text}\n") }
    }

    fn page(status: StatusCode, page: HtmlPage) -> Self {
        Self { status, kind: "text/html; charset=utf-8", body: page.document() }
    }

    fn missing(what: &str) -> Self {
        Self::page(StatusCode::NOT_FOUND, pages::problem("Not found", what))
    }
}

impl Status {
    /// Creates the sources: a snapshot of the scheduler for each request, and the execution
    /// history.
    #[must_use]
    pub fn new(
        snapshot: impl Fn() -> Snapshot + Send + Sync + 'static,
        history: impl ExecutionHistory + 'static,
    ) -> Self {
        let renders = Semaphore::new(MAX_RENDERS);
        Self { snapshot: Box::new(snapshot), history: Box::new(history), renders }
    }

    fn health(&self) -> StatusResponse {
        health(&(self.snapshot)())
    }

    fn answer(&self, path: &str, is_live: bool) -> StatusResponse {
        let now = (self.snapshot)();
        match path {
            "/" => StatusResponse::page(StatusCode::OK, pages::overview(&now, is_live)),
            "/metrics" => match metrics::text(now) {
                Ok(body) => {
                    StatusResponse { status: StatusCode::OK, kind: metrics::CONTENT_TYPE, body }
                }
                Err(_) => {
                    StatusResponse::text(StatusCode::INTERNAL_SERVER_ERROR, "cannot be written")
                }
            },
            _ => self.inner_page(path, &now, is_live).unwrap_or_else(|error| {
                let page = pages::problem("The state cannot be read", &error.describe());
                StatusResponse::page(StatusCode::INTERNAL_SERVER_ERROR, page)
            }),
        }
    }

    fn inner_page(&self, path: &str, now: &Snapshot, is_live: bool) -> Result<StatusResponse> {
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        if let Some(name) = decoded.strip_prefix("/jobs/") {
            let Some(job) = now.jobs.iter().find(|job| job.name == name) else {
                return Ok(StatusResponse::missing(
                    "No job has this name. It may have been renamed or removed: see the list of all jobs.",
                ));
            };
            let executions = self.history.executions(&job.path, MAX_EXECUTIONS)?;
            return Ok(StatusResponse::page(
                StatusCode::OK,
                pages::job(job, &executions, now, is_live),
            ));
        }
        if let Some(run) = decoded.strip_prefix("/runs/") {
            let running = now.jobs.iter().filter_map(|job| job.running.as_ref());
            let mut running = running.filter(|execution| execution.run == run);
            let execution = self.history.execution(run)?.or_else(|| running.next().cloned());
            return Ok(match execution {
                Some(execution) => {
                    let changes = self.history.changes(&execution.run)?;
                    let page = pages::execution(&execution, changes.as_ref(), now, is_live);
                    StatusResponse::page(StatusCode::OK, page)
                }
                None => StatusResponse::missing(&format!(
                    "No run {run} in the history, which has the last executions of each job. \
                     If it made changes, `iamlua runs show {run}` lists them."
                )),
            });
        }
        Ok(StatusResponse::missing("No such page. The list of all jobs leads to every page."))
    }
}

/// Health of the scheduler itself. Broken or failing jobs do not count: a restart would not help
/// them.
fn health(now: &Snapshot) -> StatusResponse {
    if now.is_ending {
        return StatusResponse::text(StatusCode::SERVICE_UNAVAILABLE, "the scheduler is ending");
    }
    let age = now.last_iteration.elapsed();
    if age > LOOP_TIMEOUT {
        let text = format!("the scheduler's loop has not come round for {} s", age.as_secs());
        return StatusResponse::text(StatusCode::SERVICE_UNAVAILABLE, &text);
    }
    StatusResponse::text(StatusCode::OK, "ok")
}

#[cfg(test)]
mod tests;
