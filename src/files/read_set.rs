//! Files that a run has read, with their fingerprints. The next run of the same script depends on
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Maximum size of a hashed file; larger ones are compared by size and modification time.
const MAX_HASHED: u64 = 64 << 20;

/// Fingerprint of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// Missing, or unreadable.
    Nothing,
    /// File, with the SHA-256 of its content.
    File([u8; 32]),
    /// Large file: size, and modification time in nanoseconds since 1970.
    Large(u64, u128),
    /// Folder, with the SHA-256 of the names in it.
    Folder([u8; 32]),
    /// Pipe, device or other file that cannot be compared.
    Other,
}

impl Fingerprint {
    /// Takes the fingerprint of a path; links are followed.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let Ok(about) = path.metadata() else { return Self::Nothing };
        if about.is_dir() {
            return Self::folder(path);
        }
        if !about.is_file() {
            return Self::Other;
        }
        if about.len() > MAX_HASHED {
            let changed = about.modified().ok();
            let since = changed.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
            return Self::Large(about.len(), since.map_or(0, |since| since.as_nanos()));
        }
        let Ok(file) = std::fs::File::open(path) else { return Self::Nothing };
        let mut content = Vec::new();
        match file.take(MAX_HASHED).read_to_end(&mut content) {
            Ok(_) => Self::content(&content),
            Err(_) => Self::Nothing,
        }
    }

    /// Fingerprint of a file with this content.
    #[must_use]
    pub fn content(content: &[u8]) -> Self {
        Self::File(Sha256::digest(content).into())
    }

    fn folder(path: &Path) -> Self {
        let Ok(entries) = std::fs::read_dir(path) else { return Self::Nothing };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort_unstable();
        let mut hash = Sha256::new();
        for name in names {
            hash.update(name.as_encoded_bytes());
            hash.update([0]);
        }
        Self::Folder(hash.finalize().into())
    }
}

/// Files read by one run; clones share the list.
#[derive(Clone, Debug, Default)]
pub struct ReadSet {
    notes: Arc<Mutex<BTreeMap<PathBuf, RecordedFile>>>,
    /// Files written by this run and those before it.
    made: Arc<Mutex<BTreeSet<PathBuf>>>,
}

#[derive(Clone, Debug)]
struct RecordedFile {
    fingerprint: Fingerprint,
    /// True if the run itself has written the file. The final content counts then.
    is_written: bool,
}

impl ReadSet {
    /// Records a file that the run is about to read. The first fingerprint counts: if the file
    /// changes later, the run may have read either version.
    pub fn read(&self, path: &Path) {
        let Ok(path) = std::path::absolute(path) else { return };
        if !self.notes().contains_key(&path) {
            let fingerprint = Fingerprint::of(&path);
            self.note(path, fingerprint);
        }
    }

    /// Records a file that the run has read.
    pub fn found(&self, path: &Path, fingerprint: Fingerprint) {
        if let Ok(path) = std::path::absolute(path) {
            self.note(path, fingerprint);
        }
    }

    /// Records a file that the run writes.
    pub fn written(&self, path: &Path) {
        let Ok(path) = std::path::absolute(path) else { return };
        if let Some(noted) = self.notes().get_mut(&path) {
            noted.is_written = true;
        }
        self.made().insert(path);
    }

    /// Empty set for the next run of the same script, which knows the files written before.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { notes: Arc::default(), made: Arc::clone(&self.made) }
    }

    /// Check for a file that this run, or one before it, has written.
    #[must_use]
    pub fn has_made(&self, path: &Path) -> bool {
        std::path::absolute(path).is_ok_and(|path| self.made().contains(&path))
    }

    /// Paths with their fingerprints. To be called after the run, because files that the run has
    /// written are read now.
    #[must_use]
    pub fn all(&self) -> BTreeMap<PathBuf, Fingerprint> {
        let notes = self.notes().clone();
        let fingerprint = |path: &Path, noted: RecordedFile| {
            if noted.is_written { Fingerprint::of(path) } else { noted.fingerprint }
        };
        notes.into_iter().map(|(path, noted)| (path.clone(), fingerprint(&path, noted))).collect()
    }

    fn note(&self, path: PathBuf, fingerprint: Fingerprint) {
        self.notes().entry(path).or_insert(RecordedFile { fingerprint, is_written: false });
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, RecordedFile>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self) -> std::sync::MutexGuard<'_, BTreeSet<PathBuf>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fingerprint, ReadSet};

    #[test]
    fn the_first_look_counts_unless_the_run_writes_there_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let (read, written) = (folder.path().join("read"), folder.path().join("written"));
        std::fs::write(&read, "one").expect("a file");
        std::fs::write(&written, "one").expect("a file");
        let seen = ReadSet::default();
        seen.read(&read);
        seen.read(&written);
        seen.written(&written);
        std::fs::write(&read, "two").expect("a file");
        std::fs::write(&written, "two").expect("a file");
        seen.read(&read);
        let all = seen.all();
        assert_eq!(all[&read], Fingerprint::content(b"one"));
        assert_eq!(all[&written], Fingerprint::content(b"two"));
    }

    #[test]
    fn what_is_not_there_is_seen_too_and_a_folder_by_its_names() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Fingerprint::of(&folder.path().join("none")), Fingerprint::Nothing);
        let before = Fingerprint::of(folder.path());
        std::fs::write(folder.path().join("a"), "x").expect("a file");
        let with_one = Fingerprint::of(folder.path());
        assert_ne!(before, with_one);
        std::fs::write(folder.path().join("a"), "y").expect("a file");
        assert_eq!(Fingerprint::of(folder.path()), with_one);
    }
}
