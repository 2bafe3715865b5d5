//! Polling of files, for systems that report no changes.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Changed;
use super::names::{Wanted, is_script};

/// Coarsest timestamp resolution of a file system.
const TICK: Duration = Duration::from_secs(1);

/// Metadata that identify the state of a file, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    place: (u64, u64),
    size: u64,
    changed: (i64, i64),
    /// True if the file changed so recently that it may change again without new metadata.
    is_fresh: bool,
}

/// Metadata of all watched files.
#[derive(Debug, Default)]
pub(super) struct PollState(BTreeMap<PathBuf, Option<FileState>>);

impl PollState {
    /// Reads the metadata of all watched files.
    pub(super) fn of(wanted: &Wanted) -> Self {
        let mut file_states = BTreeMap::new();
        for path in &wanted.files {
            file_states.insert(path.clone(), file_state(path));
        }
        let scripts = wanted.folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
        for path in scripts.flatten().flatten().map(|entry| entry.path()) {
            if is_script(&path) {
                let file_state = file_state(&path);
                file_states.insert(path, file_state);
            }
        }
        Self(file_states)
    }

    /// Reads the metadata again; returns the changes.
    pub(super) fn poll(&mut self, wanted: &Wanted) -> Option<Changed> {
        let now = Self::of(wanted);
        let before = std::mem::replace(self, now);
        let is_same = |path: &&PathBuf| {
            let (before, now) = (before.0.get(*path), self.0.get(*path));
            before == now
                && !before.copied().flatten().is_some_and(|file_state| file_state.is_fresh)
        };
        let all = self.0.keys().chain(before.0.keys());
        let changed: BTreeSet<_> = all.filter(|path| !is_same(path)).cloned().collect();
        (!changed.is_empty()).then_some(Changed::Paths(changed))
    }
}

fn file_state(path: &Path) -> Option<FileState> {
    let about = path.metadata().ok()?;
    let changed = (about.ctime(), about.ctime_nsec());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since =
        u64::try_from(changed.0).map_or(now, |at| now.saturating_sub(Duration::from_secs(at)));
    Some(FileState {
        place: (about.dev(), about.ino()),
        size: about.size(),
        changed,
        is_fresh: since < TICK * 2,
    })
}
