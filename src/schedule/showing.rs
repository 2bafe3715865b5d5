//! What a scheduler shows while it works: its board and its book on the status page, and how full the account is on its board.

use std::future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::book::Book;
use super::log::{Level, Origin};
use super::record::Execution;
use super::status::{self, History, Listen, Status};
use super::{Show, quota};
use crate::error::Result;
use crate::run::Options;
use crate::session::{Gate, Mode, Rules, Session};

/// Shows nothing.
#[must_use]
pub fn nothing() -> Show {
    Box::new(|_, _, _| Ok(()))
}

/// Serves the status page at an address, and asks from time to time how full the account is that these options lead to.
#[must_use]
pub fn page(listen: Listen, folder: PathBuf, options: &Options) -> Show {
    // The calls share the account's rate control with those of the jobs.
    let rules = Rules { mode: Mode::ReadOnly, ..options.rules.clone() };
    let against = options.against.clone();
    Box::new(move |board, runtime, log| {
        let listener = runtime.block_on(status::bind(listen, log))?;
        let shown = board.clone();
        let snapshot = move || shown.snapshot(Timestamp::now());
        let status = Arc::new(Status::new(snapshot, Kept(folder.clone())));
        let to_log = log.clone();
        runtime.spawn(async move {
            // It is there until the process ends.
            if let Err(error) = status::serve(status, listener, future::pending()).await {
                to_log.line(Level::Error, &Origin::default(), &error.to_string(), &[]);
            }
        });
        let gate = Gate::new(Session::with(rules.clone()), against.connection());
        let told = board.clone();
        runtime.spawn(quota::follow(gate, log.clone(), move |quota| told.set_quota(Some(quota))));
        Ok(())
    })
}

/// The state folder, opened anew for each question: those who look at pages are few.
struct Kept(PathBuf);

impl History for Kept {
    fn executions(&self, path: &Path, most: u32) -> Result<Vec<Execution>> {
        let book = Book::open_existing(&self.0)?;
        let executions = book.map(|book| book.history(&path.display().to_string(), most));
        Ok(executions.transpose()?.unwrap_or_default())
    }

    fn execution(&self, run: &str) -> Result<Option<Execution>> {
        let execution = Book::open_existing(&self.0)?.map(|book| book.execution(run));
        Ok(execution.transpose()?.flatten())
    }
}
