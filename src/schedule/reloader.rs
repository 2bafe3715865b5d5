//! Thread that watches the files, and passes the jobs to the scheduler when they change. Manifests
//! are read here, so that a slow one delays nothing else.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::job_set::{Asking, JobSet, Listed};
use crate::error::{Error, Result};
use crate::files::watch::PathWatcher;

/// Interval of refreshes, even without an event of the file system.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// Interval while a file is changing.
const CHANGING_INTERVAL: Duration = Duration::from_millis(100);

enum ReloadCommand {
    Look,
    Reread(Box<Asking>),
}

/// Handle to the thread.
#[derive(Clone)]
pub struct Reloader(Sender<ReloadCommand>);

impl Reloader {
    /// Starts watching the files of a job set. `tell` receives the jobs when they have changed.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(
        paths: Vec<PathBuf>,
        job_set: JobSet,
        manifest_settings: Asking,
        tell: impl Fn(Vec<Listed>) + Send + 'static,
    ) -> Result<Self> {
        let (orders, received) = channel();
        let heard = orders.clone();
        let mut following = PathWatcher::new(move |_| {
            // Sending fails only if the thread has ended.
            let _ = heard.send(ReloadCommand::Look);
        })?;
        let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
        for path in paths {
            if path.is_dir() {
                folders.insert(path);
            } else {
                files.insert(path);
            }
        }
        let thread = std::thread::Builder::new().name("iamlua-lookout".into());
        let work = move || {
            following.follow(files, folders);
            work(&received, job_set, manifest_settings, &tell);
            drop(following);
        };
        thread
            .spawn(work)
            .map_err(|error| Error::io("cannot start a thread that looks at files", error))?;
        Ok(Self(orders))
    }

    /// Reads all files again, with these permissions.
    pub fn reread(&self, manifest_settings: Asking) {
        // The thread lives as long as the process.
        let _ = self.0.send(ReloadCommand::Reread(Box::new(manifest_settings)));
    }
}

fn work(
    orders: &Receiver<ReloadCommand>,
    mut job_set: JobSet,
    mut manifest_settings: Asking,
    tell: &impl Fn(Vec<Listed>),
) {
    let began = Instant::now();
    // The first refresh finds changes since the set was created.
    let mut wait = Duration::ZERO;
    loop {
        match orders.recv_timeout(wait) {
            Ok(ReloadCommand::Reread(with)) => {
                manifest_settings = *with;
                job_set.forget();
            }
            Ok(ReloadCommand::Look) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let looked = job_set.look(&manifest_settings, began.elapsed());
        if looked.has_changed {
            tell(job_set.jobs());
        }
        wait = if looked.is_changing { CHANGING_INTERVAL } else { REFRESH_INTERVAL };
    }
}
