//! The scripts that are watched, what each has seen in its last run, and what of that is different now.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::compared::Remembered;
use super::worker::shown;
use crate::app::script::{Loaded, Script};
use crate::error::{Error, Result};
use crate::files::read_set::{Fingerprint, ReadSet};
use crate::files::watch::{Changed, is_script};
use crate::session::plan::Plan;
use crate::spec;

/// So many files are named as the reason of a run.
const MOST_NAMED: usize = 3;

/// A script that is watched.
#[derive(Debug)]
pub(super) struct Watched {
    /// Where it is, as it was given.
    pub(super) path: PathBuf,
    /// The same from the root.
    at: PathBuf,
    /// Whether it is watched because it is in a folder, so that it runs only if it is a runbook.
    pub(super) is_of_folder: bool,
    /// The files that its last run has looked at, with what was there.
    pub(super) saw: BTreeMap<PathBuf, Fingerprint>,
    /// Shared by the lists of all its runs.
    pub(super) seen: ReadSet,
    /// Whether it was there when it was last looked for.
    is_gone: bool,
    /// Whether it is no runbook.
    pub(super) is_left_alone: bool,
    /// Its last whole plan.
    pub(super) plan: Option<Plan>,
    /// What its last run has left behind, and the one before.
    pub(super) runs: (Option<Remembered>, Option<Remembered>),
}

/// What has become of a script's files.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that matters.
    None,
    /// It must run, for that reason.
    Runs(String),
    /// It is gone.
    Gone,
    /// It is back, as it was.
    Back,
}

impl Watched {
    fn new(path: PathBuf, is_of_folder: bool) -> Self {
        let at = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        Self {
            saw: BTreeMap::from([(at.clone(), Fingerprint::of(&at))]),
            path,
            at,
            is_of_folder,
            seen: ReadSet::default(),
            is_gone: false,
            is_left_alone: false,
            plan: None,
            runs: (None, None),
        }
    }

    /// Its name in messages.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Looks at what may have changed of what it has seen.
    pub(super) fn news(&mut self, changed: &Changed, sights: &mut Sights) -> News {
        if *sights.of(&self.at) == Fingerprint::Nothing {
            return if std::mem::replace(&mut self.is_gone, true) {
                News::None
            } else {
                News::Gone
            };
        }
        let is_back = std::mem::take(&mut self.is_gone);
        // What else has changed while it was gone was not looked at.
        let changed = if is_back { &Changed::All } else { changed };
        match differences(&self.saw, changed, sights) {
            Some(why) => News::Runs(why),
            None if is_back => News::Back,
            None => News::None,
        }
    }

    /// Takes what is there now for what it has seen.
    pub(super) fn takes_what_is_there(&mut self) {
        for (path, sight) in &mut self.saw {
            *sight = Fingerprint::of(path);
        }
    }

    /// Keeps what a run has left behind.
    pub(super) fn remember(&mut self, run: Remembered) {
        self.runs.1 = self.runs.0.replace(run);
    }
}

/// What is at paths, each looked at once.
#[derive(Debug, Default)]
pub(super) struct Sights(BTreeMap<PathBuf, Fingerprint>);

impl Sights {
    fn of(&mut self, path: &Path) -> &Fingerprint {
        self.0.entry(path.to_owned()).or_insert_with_key(|path| Fingerprint::of(path))
    }
}

/// What differs from what was seen, in words; `None` if nothing does.
pub(super) fn differences(
    saw: &BTreeMap<PathBuf, Fingerprint>,
    changed: &Changed,
    sights: &mut Sights,
) -> Option<String> {
    let may_have = |path: &Path| match changed {
        Changed::All => true,
        Changed::Paths(paths) => paths.contains(path),
    };
    let mut words: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut more = 0_u64;
    for (path, before) in saw.iter().filter(|(path, _)| may_have(path)) {
        let now = sights.of(path);
        if now == before {
            continue;
        }
        let word = match (before, now) {
            (Fingerprint::Nothing, _) => "is there now",
            (_, Fingerprint::Nothing) => "is gone",
            _ => "changed",
        };
        if words.values().map(Vec::len).sum::<usize>() < MOST_NAMED {
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

/// All that is watched.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) all: Vec<Watched>,
    /// The folders whose runbooks are watched, as they were given.
    pub(super) folders: Vec<PathBuf>,
}

impl Scripts {
    /// The scripts and folders that paths name.
    ///
    /// # Errors
    /// A usage error for a path where there is nothing that could be watched.
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
                    // What is no script now should be known before anybody waits for it.
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

    /// Looks for scripts in the folders that were not there before. Hidden files and tests are left out.
    pub(super) fn find_new(&mut self) -> Vec<usize> {
        let mut found = Vec::new();
        for folder in &self.folders {
            // One that is gone may come back.
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

    /// All files that the scripts depend on, and the folders.
    pub(super) fn followed(&self) -> (BTreeSet<PathBuf>, BTreeSet<PathBuf>) {
        let files = self.all.iter().flat_map(|watched| watched.saw.keys()).cloned().collect();
        let absolute = |path: &PathBuf| std::path::absolute(path).ok();
        (files, self.folders.iter().filter_map(absolute).collect())
    }

    /// The folders in which there is no runbook.
    pub(super) fn empty_folders(&self) -> Vec<String> {
        let is_empty = |folder: &&PathBuf| {
            !self.all.iter().any(|watched| {
                watched.is_of_folder
                    && !watched.is_left_alone
                    && watched.path.parent() == Some(folder)
            })
        };
        self.folders.iter().filter(is_empty).map(|folder| folder.display().to_string()).collect()
    }
}

/// The error for a path where there is nothing.
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
