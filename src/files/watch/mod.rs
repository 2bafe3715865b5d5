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
use names::{Names, RelevantEvent, Wanted};
use polling::PollState;

/// Interval of polling, where the system reports no changes.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Pause after an irrelevant event, after which the next ones are handled together. In a flood of
/// events, waking up is the main cost.
const PAUSE: Duration = Duration::from_millis(5);
/// Maximum time of handling events between two pauses, enough for far more events than arrive
/// during one.
const MAX_BURST: Duration = Duration::from_millis(1);

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
    commands: Sender<BackendCommand>,
    thread: Option<JoinHandle<()>>,
}

/// Message to the watcher's thread.
#[derive(Debug)]
enum BackendCommand {
    /// New set of watched paths, and the channel that confirms it.
    Follow(Wanted, Sender<()>),
    /// Relevant event.
    Event(RelevantEvent),
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
    pub fn polling(on_change: impl Fn(Changed) + Send + 'static) -> Result<Self> {
        Self::start(false, on_change)
    }

    fn start(with_events: bool, on_change: impl Fn(Changed) + Send + 'static) -> Result<Self> {
        let (commands, received) = channel();
        let mut watch_thread = WatchThread {
            wanted: Wanted::default(),
            names: Arc::default(),
            backend: if with_events { None } else { Some(Backend::Polling(PollState::default())) },
            commands: commands.clone(),
        };
        let thread = std::thread::Builder::new().name("iamlua-following".into());
        let thread = thread
            .spawn(move || watch_thread.work(&received, &on_change))
            .map_err(|error| Error::io("cannot start a thread that follows files", error))?;
        Ok(Self { commands, thread: Some(thread) })
    }

    /// Replaces the watched files and folders. A file need not exist; a folder among `files`
    /// changes with the names in it. In `folders`, the files whose names end in `.lua` are watched,
    /// without subfolders.
    ///
    /// Changes before this returns are not reported: read the files afterwards.
    pub fn follow(&mut self, files: BTreeSet<PathBuf>, folders: BTreeSet<PathBuf>) {
        let (done, is_done) = channel();
        if self.commands.send(BackendCommand::Follow(Wanted { files, folders }, done)).is_ok() {
            // Without an answer the thread has ended, which happens only after `Command::End`.
            let _ = is_done.recv();
        }
    }
}

impl Drop for PathWatcher {
    fn drop(&mut self) {
        let _ = self.commands.send(BackendCommand::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Source of changes.
enum Backend {
    /// Events of the system, with the watched folders.
    Events(RecommendedWatcher, HashSet<PathBuf>),
    /// Polling.
    Polling(PollState),
}

/// State of the thread.
struct WatchThread {
    wanted: Wanted,
    /// Relevant names, shared with the event handler.
    names: Arc<Mutex<Arc<Names>>>,
    /// `None` until a path is watched.
    backend: Option<Backend>,
    commands: Sender<BackendCommand>,
}

impl WatchThread {
    fn work(&mut self, received: &Receiver<BackendCommand>, on_change: &impl Fn(Changed)) {
        loop {
            let first = match &mut self.backend {
                Some(Backend::Polling(file_states)) => match received.recv_timeout(POLL_INTERVAL) {
                    Err(RecvTimeoutError::Timeout) => {
                        if let Some(changed) = file_states.poll(&self.wanted) {
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
            let mut retargeted = HashSet::new();
            let mut waiting = Vec::new();
            // Queued messages are handled as one change.
            for command in std::iter::once(first).chain(received.try_iter()) {
                let more = match command {
                    BackendCommand::End => return,
                    BackendCommand::Follow(wanted, done) => {
                        self.wanted = wanted;
                        waiting.push(done);
                        continue;
                    }
                    BackendCommand::Event(heard) => {
                        retargeted.extend(heard.retargeted);
                        heard.changed
                    }
                    BackendCommand::Lost => {
                        retargeted.insert(PathBuf::from("/"));
                        Changed::All
                    }
                };
                changed = Some(changed.map_or(more.clone(), |before| before.and(more)));
            }
            if !waiting.is_empty() || !retargeted.is_empty() {
                self.listen(&retargeted);
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

    /// Watches the folders in which names are looked up now. `retargeted` are the names with a new
    /// target.
    fn listen(&mut self, retargeted: &HashSet<PathBuf>) {
        let backend = self.backend.take().unwrap_or_else(|| self.open());
        let Backend::Events(mut watcher, mut folders) = backend else {
            self.backend = Some(Backend::Polling(PollState::of(&self.wanted)));
            return;
        };
        for folder in Names::below(folders.iter(), retargeted) {
            folders.remove(&folder);
            // A deleted folder is not watched any more.
            let _ = watcher.unwatch(&folder);
        }
        let mut unwatchable = HashSet::new();
        // Names that change during a lookup are looked up again, because their folders are watched
        // by then. Later changes are reported as events.
        loop {
            let names = Arc::new(Names::of(&self.wanted));
            *self.names.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&names);
            let is_new =
                |folder: &&PathBuf| !folders.contains(*folder) && !unwatchable.contains(*folder);
            let new: Vec<_> = names.folders.iter().filter(is_new).cloned().collect();
            if new.is_empty() {
                for folder in folders.extract_if(|folder| !names.folders.contains(folder)) {
                    let _ = watcher.unwatch(&folder);
                }
                break;
            }
            for folder in new {
                match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                    Ok(()) => folders.insert(folder),
                    Err(error) if is_limit_reached(&error) => {
                        self.backend = Some(self.fall_back_to_polling());
                        return;
                    }
                    Err(_) => unwatchable.insert(folder),
                };
            }
        }
        self.backend = Some(Backend::Events(watcher, folders));
    }

    fn open(&self) -> Backend {
        let (commands, names) = (self.commands.clone(), Arc::clone(&self.names));
        let mut last_pause = Instant::now();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let command = match event {
                Ok(event) if event.need_rescan() => Some(BackendCommand::Lost),
                Ok(event) => {
                    let names = Arc::clone(&names.lock().unwrap_or_else(PoisonError::into_inner));
                    let heard = names.classify(&event).map(BackendCommand::Event);
                    let is_noise = heard.is_none() && !matches!(event.kind, EventKind::Access(_));
                    if is_noise && last_pause.elapsed() > MAX_BURST {
                        std::thread::sleep(PAUSE);
                        last_pause = Instant::now();
                    }
                    heard
                }
                Err(_) => Some(BackendCommand::Lost),
            };
            if let Some(command) = command {
                // At shutdown there is no receiver.
                let _ = commands.send(command);
            }
        });
        match watcher {
            Ok(watcher) => Backend::Events(watcher, HashSet::new()),
            Err(_) => self.fall_back_to_polling(),
        }
    }

    fn fall_back_to_polling(&self) -> Backend {
        say(
            "note: the system has no room for listening to more folders (on Linux, fs.inotify.max_user_watches and \
             max_user_instances), so files are looked at every second",
        );
        Backend::Polling(PollState::of(&self.wanted))
    }
}

fn is_limit_reached(error: &notify::Error) -> bool {
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
