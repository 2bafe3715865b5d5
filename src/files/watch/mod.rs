//! Following files by name: whoever follows a path is told when something else may be there, however that came about: a save in place,
//! by renaming, by deleting and creating, a link that leads elsewhere, a folder on the way that was moved or replaced. Only told: what is
//! there, and whether it differs, is for the listener to look at.
//!
//! Every real folder in which a name of a path is looked up is listened to, and no folder below. Events about other names cost two looks into
//! a table.

mod names;
mod polled;

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
use polled::PollState;

/// Where the system tells of no changes, files are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// After an event that does not matter the next ones are waited for so long, and then heard together: in a storm of them it is the waking up that costs.
const REST: Duration = Duration::from_millis(5);
/// So long events are heard between two rests: enough for far more than come during one.
const AWAKE: Duration = Duration::from_millis(1);

/// What may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// These paths, each as it is followed; of a followed folder the folder with a name behind it.
    Paths(BTreeSet<PathBuf>),
    /// Anything.
    All,
}

impl Changed {
    /// This and that.
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

/// Follows files until it is dropped.
#[derive(Debug)]
pub struct PathWatcher {
    orders: Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told.
#[derive(Debug)]
enum Command {
    /// What to follow from now on, and whom to tell that it is followed.
    Follow(Wanted, Sender<()>),
    /// An event that matters.
    Heard(Heard),
    /// Events were lost.
    Lost,
    /// The end.
    End,
}

impl PathWatcher {
    /// Follows nothing yet. `on_change` is called on a thread of its own.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn new(on_change: impl Fn(Changed) + Send + 'static) -> Result<Self> {
        Self::start(true, on_change)
    }

    /// The same, with a look every second instead of events.
    ///
    /// # Errors
    /// If the system gives no thread.
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

    /// Follows these files and folders from now on, and nothing else. A file need not be there; one that is a folder changes with the names in it.
    /// Of `folders` the files in them whose names end in `.lua` are followed, not deeper.
    ///
    /// What changed before this returns is not told: look at them afterwards.
    pub fn follow(&mut self, files: BTreeSet<PathBuf>, folders: BTreeSet<PathBuf>) {
        let (done, is_done) = channel();
        if self.orders.send(Command::Follow(Wanted { files, folders }, done)).is_ok() {
            // Without an answer the thread has ended, which it does not before it is told to.
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

/// How changes are noticed.
enum Backend {
    /// The system tells. With the folders that are listened to.
    Listening(RecommendedWatcher, HashSet<PathBuf>),
    /// It does not.
    Looking(PollState),
}

/// What the thread has.
struct Follower {
    wanted: Wanted,
    /// The names that matter, for those who hear events.
    names: Arc<Mutex<Arc<Names>>>,
    /// `None` until something is followed.
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
            // What came in the meantime is one change.
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
                // Who does not wait any more need not be told.
                let _ = done.send(());
            }
            // Now, and not before: what happens from here on is heard in all folders.
            if let Some(changed) = changed {
                on_change(changed);
            }
        }
    }

    /// Listens where the names are looked up now. `renewed` are those that lead to something else than before.
    fn listen(&mut self, renewed: &HashSet<PathBuf>) {
        let ears = self.ears.take().unwrap_or_else(|| self.open());
        let Backend::Listening(mut watcher, mut heard) = ears else {
            self.ears = Some(Backend::Looking(PollState::of(&self.wanted)));
            return;
        };
        for folder in Names::below(heard.iter(), renewed) {
            heard.remove(&folder);
            // It may be gone, and is then not listened to any more.
            let _ = watcher.unwatch(&folder);
        }
        let mut passed_over = HashSet::new();
        // What is looked up while it changes is looked up again, now that the change is heard; whatever changes later is heard too.
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
                // Nobody listens any more at the end.
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
        // Of files that are open, for systems that open those that they listen to.
        ErrorKind::Io(error) => matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)),
        _ => false,
    }
}

/// Whether a path is that of a script, by its name.
#[must_use]
pub fn is_script(path: &Path) -> bool {
    names::is_script(path)
}

#[cfg(test)]
mod tests;
