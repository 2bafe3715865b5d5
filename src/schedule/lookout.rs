//! The thread that looks after the files: it tells the scheduler which jobs there are whenever that changes. A manifest is asked here, so that a
//! runbook that never gets to its own holds nobody up.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::roster::{Asking, JobSet, Listed};
use crate::error::{Error, Result};
use crate::files::watch::PathWatcher;

/// Files are looked at so often, whether or not a change was heard of.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// And so often while one of them is changing.
const AGAIN: Duration = Duration::from_millis(100);

enum Command {
    Look,
    Reread(Box<Asking>),
}

/// A hand on the thread.
#[derive(Clone)]
pub struct Reloader(Sender<Command>);

impl Reloader {
    /// Looks after the files of a roster from now on; `tell` is told of the jobs when they are others.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        paths: Vec<PathBuf>,
        roster: JobSet,
        asking: Asking,
        tell: impl Fn(Vec<Listed>) + Send + 'static,
    ) -> Result<Self> {
        let (orders, received) = channel();
        let heard = orders.clone();
        let mut following = PathWatcher::new(move |_| {
            // Without a thread that looks there is nothing to look for.
            let _ = heard.send(Command::Look);
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
            work(&received, roster, asking, &tell);
            drop(following);
        };
        thread
            .spawn(work)
            .map_err(|error| Error::io("cannot start a thread that looks at files", error))?;
        Ok(Self(orders))
    }

    /// Reads all files anew, under these permissions.
    pub fn reread(&self, asking: Asking) {
        // It ends with the process.
        let _ = self.0.send(Command::Reread(Box::new(asking)));
    }
}

fn work(
    orders: &Receiver<Command>,
    mut roster: JobSet,
    mut asking: Asking,
    tell: &impl Fn(Vec<Listed>),
) {
    let began = Instant::now();
    // What has changed since the roster was made is found by the first look.
    let mut wait = Duration::ZERO;
    loop {
        match orders.recv_timeout(wait) {
            Ok(Command::Reread(with)) => {
                asking = *with;
                roster.forget();
            }
            Ok(Command::Look) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let looked = roster.look(&asking, began.elapsed());
        if looked.has_changed {
            tell(roster.jobs());
        }
        wait = if looked.is_changing { AGAIN } else { LOOK_EVERY };
    }
}
