//! Watcher of paths. It reports that a path may have changed, in whatever way: by a write in place,
//! a rename, a deletion and creation, a link with another target, or a folder on the path that was
//! moved or replaced. The listener compares the content.
//!
//! Every real folder in which a component of a path is looked up is watched, without its
//! subfolders. Events about other names cost two hash table lookups.

mod names;
mod polling;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::error::{Error, Result};
use crate::ui::terminal::say;
use names::{Heard, Names, Wanted};
use polling::PollState;

/// Interval of polling, where the system reports no changes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Pause after an irrelevant event, after which the next ones are handled together. In a flood of
/// events, waking up is the main cost.
const REST: Duration = Duration::from_millis(5);
/// Maximum time of handling events between two pauses, enough for far more events than arrive
/// during one.
const AWAKE: Duration = Duration::from_millis(1);

/// Possible changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Changed paths, each as it is watched; for a watched folder, paths of files in it.
    Paths(BTreeSet<PathBuf>),
    /// Possibly everything.
    All,
}

impl Changed {
    /// Union of two changes.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Paths(mut paths), Self::Paths(more)) => {
                paths.extend(more);
                Self::Paths(paths)
            }
            _ => Self::All,
        }
    }
}

/// Watches paths until it is dropped.
#[derive(Debug)]
pub struct PathWatcher {
    orders: Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

/// Message to the watcher's thread.
#[derive(Debug)]
enum Command {
    /// New set of watched paths, and the channel that confirms it.
    Follow(Wanted, Sender<()>),
    /// Relevant event.
    Heard(Heard),
    /// Lost events.
    Lost,
    /// End of the thread.
    End,
}

impl PathWatcher {
    /// Watcher without paths. `on_change` is called on a thread of its own.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub fn new(on_change: impl Fn(Changed) + Send + 'static) -> Result<Self> {
        Self::start(true, on_change)
    }

    /// Watcher that polls every second instead of receiving events.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub fn by_looking(on_change: impl Fn(Changed) + Send + 'static) -> Result<Self> {
        Self::start(false, on_change)
    }

    fn start(hears: bool, on_change: impl Fn(Changed) + Send + 'static) -> Result<Self> {
        let (orders, received) = channel();
        let mut follower = Follower {
            wanted: Wanted::default(),
            names: Arc::default(),
            ears: if hears { None } else { Some(Backend::Looking(PollState::default())) },
            orders: orders.clone(),
        };
        let thread = std::thread::Builder::new().name("iamlua-following".into());
        let thread = thread
            .spawn(move || follower.work(&received, &on_change))
            .map_err(|error| Error::io("cannot start a thread that follows files", error))?;
        Ok(Self { orders, thread: Some(thread) })
    }

    /// Replaces the watched files and folders. A file need not exist; a folder among `files`
    /// changes with the names in it. In `folders`, the files whose names end in `.lua` are watched,
    /// without subfolders.
    ///
    /// Changes before this returns are not reported: read the files afterwards.
    pub fn follow(&mut self, files: BTreeSet<PathBuf>, folders: BTreeSet<PathBuf>) {
        let (done, is_done) = channel();
        if self.orders.send(Command::Follow(Wanted { files, folders }, done)).is_ok() {
            // Without an answer the thread has ended, which does not happen before it is told to.
            let _ = is_done.recv();
        }
    }
}

impl Drop for PathWatcher {
    fn drop(&mut self) {
        let _ = self.orders.send(Command::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Source of changes.
enum Backend {
    /// Events of the system, with the watched folders.
    Listening(RecommendedWatcher, HashSet<PathBuf>),
    /// Polling.
    Looking(PollState),
}

/// State of the thread.
struct Follower {
    wanted: Wanted,
    /// Relevant names, shared with the event handler.
    names: Arc<Mutex<Arc<Names>>>,
    /// `None` until a path is watched.
    ears: Option<Backend>,
    orders: Sender<Command>,
}

impl Follower {
    fn work(&mut self, received: &Receiver<Command>, on_change: &impl Fn(Changed)) {
        loop {
            let first = match &mut self.ears {
                Some(Backend::Looking(marks)) => match received.recv_timeout(LOOK_EVERY) {
                    Err(RecvTimeoutError::Timeout) => {
                        if let Some(changed) = marks.look(&self.wanted) {
                            on_change(changed);
                        }
                        continue;
                    }
                    first => first.ok(),
                },
                _ => received.recv().ok(),
            };
            let Some(first) = first else { return };
            let mut changed: Option<Changed> = None;
            let mut renewed = HashSet::new();
            let mut waiting = Vec::new();
            // Queued messages are handled as one change.
            for order in std::iter::once(first).chain(received.try_iter()) {
                let more = match order {
                    Command::End => return,
                    Command::Follow(wanted, done) => {
                        self.wanted = wanted;
                        waiting.push(done);
                        continue;
                    }
                    Command::Heard(heard) => {
                        renewed.extend(heard.renewed);
                        heard.changed
                    }
                    Command::Lost => {
                        renewed.insert(PathBuf::from("/"));
                        Changed::All
                    }
                };
                changed = Some(changed.map_or(more.clone(), |before| before.and(more)));
            }
            if !waiting.is_empty() || !renewed.is_empty() {
                self.listen(&renewed);
            }
            for done in waiting {
                // The caller may have stopped waiting.
                let _ = done.send(());
            }
            // Reported only now: later events are received from all folders.
            if let Some(changed) = changed {
                on_change(changed);
            }
        }
    }

    /// Watches the folders in which names are looked up now. `renewed` are the names with a new
    /// target.
    fn listen(&mut self, renewed: &HashSet<PathBuf>) {
        let ears = self.ears.take().unwrap_or_else(|| self.open());
        let Backend::Listening(mut watcher, mut heard) = ears else {
            self.ears = Some(Backend::Looking(PollState::of(&self.wanted)));
            return;
        };
        for folder in Names::below(heard.iter(), renewed) {
            heard.remove(&folder);
            // A deleted folder is not watched any more.
            let _ = watcher.unwatch(&folder);
        }
        let mut passed_over = HashSet::new();
        // Names that change during a lookup are looked up again, because their folders are watched
        // by then. Later changes are reported as events.
        loop {
            let names = Arc::new(Names::of(&self.wanted));
            *self.names.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&names);
            let is_new =
                |folder: &&PathBuf| !heard.contains(*folder) && !passed_over.contains(*folder);
            let new: Vec<_> = names.folders.iter().filter(is_new).cloned().collect();
            if new.is_empty() {
                for folder in heard.extract_if(|folder| !names.folders.contains(folder)) {
                    let _ = watcher.unwatch(&folder);
                }
                break;
            }
            for folder in new {
                match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                    Ok(()) => heard.insert(folder),
                    Err(error) if is_used_up(&error) => {
                        self.ears = Some(self.look_instead());
                        return;
                    }
                    Err(_) => passed_over.insert(folder),
                };
            }
        }
        self.ears = Some(Backend::Listening(watcher, heard));
    }

    fn open(&self) -> Backend {
        let (orders, names) = (self.orders.clone(), Arc::clone(&self.names));
        let mut rested = Instant::now();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let order = match event {
                Ok(event) if event.need_rescan() => Some(Command::Lost),
                Ok(event) => {
                    let names = Arc::clone(&names.lock().unwrap_or_else(PoisonError::into_inner));
                    let heard = names.hear(&event).map(Command::Heard);
                    let is_noise = heard.is_none() && !matches!(event.kind, EventKind::Access(_));
                    if is_noise && rested.elapsed() > AWAKE {
                        std::thread::sleep(REST);
                        rested = Instant::now();
                    }
                    heard
                }
                Err(_) => Some(Command::Lost),
            };
            if let Some(order) = order {
                // At shutdown there is no receiver.
                let _ = orders.send(order);
            }
        });
        match watcher {
            Ok(watcher) => Backend::Listening(watcher, HashSet::new()),
            Err(_) => self.look_instead(),
        }
    }

    fn look_instead(&self) -> Backend {
        say(
            "note: the system has no room for listening to more folders (on Linux, fs.inotify.max_user_watches and \
             max_user_instances), so files are looked at every second",
        );
        Backend::Looking(PollState::of(&self.wanted))
    }
}

fn is_used_up(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::MaxFilesWatch => true,
        // Limit on open files, for systems that open the files they watch.
        ErrorKind::Io(error) => matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)),
        _ => false,
    }
}

/// Check for the name of a script.
#[must_use]
pub fn is_script(path: &Path) -> bool {
    names::is_script(path)
}

#[cfg(test)]
mod tests;
