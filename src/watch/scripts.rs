//! Watched scripts: the fingerprints of each last run, and the changes since.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::comparison::RunResults;
use super::worker::shown;
use crate::app::script::{Loaded, Script};
use crate::error::{Error, Result};
use crate::files::read_set::{Fingerprint, ReadSet};
use crate::files::watch::{Changed, is_script};
use crate::session::plan::Plan;
use crate::spec;

/// Upper bound on the files that are named as the reason of a run.
const MAX_NAMED: usize = 3;

/// Watched script.
#[derive(Debug)]
pub(super) struct Watched {
    /// Path, as it was given.
    pub(super) path: PathBuf,
    /// Absolute path.
    at: PathBuf,
    /// Set if it was found in a folder. It then runs only if it is a runbook.
    pub(super) is_of_folder: bool,
    /// Files that its last run has read, with their fingerprints.
    pub(super) fingerprints: BTreeMap<PathBuf, Fingerprint>,
    /// Read set that all of its runs share.
    pub(super) seen: ReadSet,
    /// Set if the file did not exist at the last check.
    is_gone: bool,
    /// Set if it is no runbook.
    pub(super) is_skipped: bool,
    /// Plan of its last complete run.
    pub(super) plan: Option<Plan>,
    /// Results of the last run, and of the one before.
    pub(super) runs: (Option<RunResults>, Option<RunResults>),
}

/// Result of checking the dependencies of a script.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DependencyState {
    /// No relevant change.
    None,
    /// Must run, for that reason.
    Runs(String),
    /// Script was removed.
    Gone,
    /// Script is back, unchanged.
    Back,
}

impl Watched {
    fn new(path: PathBuf, is_of_folder: bool) -> Self {
        let at = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        Self {
            fingerprints: BTreeMap::from([(at.clone(), Fingerprint::of(&at))]),
            path,
            at,
            is_of_folder,
            seen: ReadSet::default(),
            is_gone: false,
            is_skipped: false,
            plan: None,
            runs: (None, None),
        }
    }

    /// Name in messages.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Checks possible changes against the fingerprints of the last run.
    pub(super) fn check_dependencies(
        &mut self,
        changed: &Changed,
        cache: &mut FingerprintCache,
    ) -> DependencyState {
        if *cache.of(&self.at) == Fingerprint::Nothing {
            return if std::mem::replace(&mut self.is_gone, true) {
                DependencyState::None
            } else {
                DependencyState::Gone
            };
        }
        let is_back = std::mem::take(&mut self.is_gone);
        // Changes while it was removed were not checked.
        let changed = if is_back { &Changed::All } else { changed };
        match differences(&self.fingerprints, changed, cache) {
            Some(why) => DependencyState::Runs(why),
            None if is_back => DependencyState::Back,
            None => DependencyState::None,
        }
    }

    /// Updates the fingerprints to the current files.
    pub(super) fn accept_current(&mut self) {
        for (path, sight) in &mut self.fingerprints {
            *sight = Fingerprint::of(path);
        }
    }

    /// Keeps the results of a run.
    pub(super) fn remember(&mut self, run: RunResults) {
        self.runs.1 = self.runs.0.replace(run);
    }
}

/// Cache of fingerprints, each taken once.
#[derive(Debug, Default)]
pub(super) struct FingerprintCache(BTreeMap<PathBuf, Fingerprint>);

impl FingerprintCache {
    fn of(&mut self, path: &Path) -> &Fingerprint {
        self.0.entry(path.to_owned()).or_insert_with_key(|path| Fingerprint::of(path))
    }
}

/// Describes the files that differ from their fingerprints; `None` if none does.
pub(super) fn differences(
    fingerprints: &BTreeMap<PathBuf, Fingerprint>,
    changed: &Changed,
    cache: &mut FingerprintCache,
) -> Option<String> {
    let may_have = |path: &Path| match changed {
        Changed::All => true,
        Changed::Paths(paths) => paths.contains(path),
    };
    let mut words: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut more = 0_u64;
    for (path, before) in fingerprints.iter().filter(|(path, _)| may_have(path)) {
        let now = cache.of(path);
        if now == before {
            continue;
        }
        let word = match (before, now) {
            (Fingerprint::Nothing, _) => "is there now",
            (_, Fingerprint::Nothing) => "is gone",
            _ => "changed",
        };
        if words.values().map(Vec::len).sum::<usize>() < MAX_NAMED {
            words.entry(word).or_default().push(shown(path));
        } else {
            more += 1;
        }
    }
    if words.is_empty() {
        return None;
    }
    let mut text: Vec<_> = words
        .into_iter()
        .map(|(word, paths)| match (word, paths.len()) {
            ("is gone", 2..) => format!("{} are gone", paths.join(" and ")),
            ("is there now", 2..) => format!("{} are there now", paths.join(" and ")),
            _ => format!("{} {word}", paths.join(" and ")),
        })
        .collect();
    if more > 0 {
        text.push(format!("and {more} more"));
    }
    Some(text.join(", "))
}

/// All watched scripts and folders.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) all: Vec<Watched>,
    /// Folders whose runbooks are watched, as they were given.
    pub(super) folders: Vec<PathBuf>,
}

impl Scripts {
    /// Finds the scripts and folders at paths.
    ///
    /// # Errors
    /// A usage error for a path without a script or folder.
    pub(super) fn of(paths: &[PathBuf]) -> Result<Self> {
        let mut scripts = Self { all: Vec::new(), folders: Vec::new() };
        for path in paths {
            match path.metadata() {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(missing(path));
                }
                Err(error) => {
                    return Err(Error::io(format!("cannot watch {}", path.display()), error));
                }
                Ok(about) if about.is_dir() => {
                    std::fs::read_dir(path).map_err(|error| {
                        Error::io(format!("cannot read the folder {}", path.display()), error)
                    })?;
                    if !scripts.folders.contains(path) {
                        scripts.folders.push(path.clone());
                    }
                }
                Ok(about) if !about.is_file() => {
                    let wrong = format!("{} is no file, but a pipe or a device", path.display());
                    return Err(Error::usage(wrong).hint("name scripts, or folders of them"));
                }
                Ok(_) => {
                    // An invalid script is reported before the watch starts.
                    Loaded::read(&Script::File(path.clone()))?;
                    scripts.add(path.clone(), false);
                }
            }
        }
        Ok(scripts)
    }

    fn add(&mut self, path: PathBuf, is_of_folder: bool) -> Option<usize> {
        let new = Watched::new(path, is_of_folder);
        if self.all.iter().any(|watched| watched.at == new.at) {
            return None;
        }
        self.all.push(new);
        Some(self.all.len() - 1)
    }

    /// Finds new scripts in the folders, except hidden files and tests.
    pub(super) fn find_new(&mut self) -> Vec<usize> {
        let mut found = Vec::new();
        for folder in &self.folders {
            // A removed folder may come back.
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
            paths.retain(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                is_script(path) && !name.starts_with('.') && !name.ends_with("_test.lua")
            });
            paths.retain(|path| path.is_file());
            paths.sort_unstable();
            found.extend(paths);
        }
        found.into_iter().filter_map(|path| self.add(path, true)).collect()
    }

    /// Dependencies of all scripts, and the folders.
    pub(super) fn followed(&self) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
        let files =
            self.all.iter().flat_map(|watched| watched.fingerprints.keys()).cloned().collect();
        let absolute = |path: &PathBuf| std::path::absolute(path).ok();
        (files, self.folders.iter().filter_map(absolute).collect())
    }

    /// Folders without a runbook.
    pub(super) fn empty_folders(&self) -> Vec<String> {
        let is_empty = |folder: &&PathBuf| {
            !self.all.iter().any(|watched| {
                watched.is_of_folder && !watched.is_skipped && watched.path.parent() == Some(folder)
            })
        };
        self.folders.iter().filter(is_empty).map(|folder| folder.display().to_string()).collect()
    }
}

/// Error for a path where nothing exists.
fn missing(path: &Path) -> Error {
    let error = Error::usage(format!("there is no script or folder {}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new(".")));
    let names: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| is_script(&entry.path()) || entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let wanted = path.file_name().unwrap_or_default().to_string_lossy();
    match spec::nearest(&wanted, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean {}?", path.with_file_name(near).display())),
        None => error,
    }
}
