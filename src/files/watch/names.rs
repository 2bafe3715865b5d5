//! Names that determine the target of a path, with their folders. They are resolved as the system
//! does it, component by component, including symbolic links. This module does not watch anything.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use notify::EventKind;
use notify::event::{AccessKind, AccessMode, ModifyKind};

use super::Changed;

/// Maximum length of a chain of links; longer ones are cyclic.
const MAX_LINKS: usize = 40;

/// Watched files and folders.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) files: BTreeSet<PathBuf>,
    pub(super) folders: BTreeSet<PathBuf>,
}

/// Effect of a change of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NameEffect {
    /// Component of watched paths: all of them may refer to other files now.
    Step,
    /// Target of these watched paths.
    End(Vec<PathBuf>),
}

/// Relevant changes in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Listed {
    /// Names in the folder.
    Names,
    /// Files whose names end in `.lua`.
    Scripts,
}

/// Relevant names. A name is the path of a real folder followed by a file name, as in events.
#[derive(Debug, Default)]
pub(super) struct Names {
    effects: HashMap<OsString, NameEffect>,
    /// Real folders whose contents are relevant, each with the paths by which it is watched.
    listed: HashMap<OsString, Vec<(Listed, PathBuf)>>,
    /// Real folders that contain the names.
    pub(super) folders: BTreeSet<PathBuf>,
}

/// Relevant event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RelevantEvent {
    pub(super) changed: Changed,
    /// Name that has a new target, if any.
    pub(super) retargeted: Option<PathBuf>,
}

/// File type at a name.
#[derive(Clone, Debug)]
enum FileKind {
    Folder,
    Link(PathBuf),
    File,
    Nothing,
}

impl Names {
    /// Resolves all names that determine the watched files.
    pub(super) fn of(wanted: &Wanted) -> Self {
        let mut names = Self::default();
        let mut known = HashMap::new();
        for file in &wanted.files {
            if let Some(folder) = names.look_up(file, &mut known) {
                names.list(folder, Listed::Names, file);
            }
        }
        for given in &wanted.folders {
            if let Some(folder) = names.look_up(given, &mut known) {
                names.list(folder, Listed::Scripts, given);
            }
        }
        names
    }

    fn list(&mut self, folder: PathBuf, listed: Listed, given: &Path) {
        self.folders.insert(folder.clone());
        self.listed.entry(folder.into_os_string()).or_default().push((listed, given.to_owned()));
    }

    /// Resolves a path; returns its real folder, if it is one.
    fn look_up(&mut self, path: &Path, known: &mut HashMap<PathBuf, FileKind>) -> Option<PathBuf> {
        let mut at = PathBuf::from("/");
        let whole = std::path::absolute(path).ok()?;
        let mut ahead: VecDeque<OsString> = steps(&whole).collect();
        let mut links = 0;
        while let Some(step) = ahead.pop_front() {
            if step == "/" {
                at = PathBuf::from("/");
                continue;
            } else if step == ".." {
                at.pop();
                continue;
            }
            if !self.folders.contains(&at) {
                self.folders.insert(at.clone());
            }
            let name = at.join(step);
            self.note(&name, path, ahead.is_empty());
            let there = known.entry(name.clone()).or_insert_with(|| FileKind::at(&name));
            match there {
                FileKind::Folder => at = name,
                FileKind::Link(target) if links < MAX_LINKS => {
                    links += 1;
                    for step in steps(target).rev() {
                        ahead.push_front(step);
                    }
                }
                FileKind::Link(_) | FileKind::File | FileKind::Nothing => return None,
            }
        }
        Some(at)
    }

    fn note(&mut self, name: &Path, given: &Path, is_end: bool) {
        let effect = self.effects.entry(name.as_os_str().to_owned());
        let effect = effect.or_insert(NameEffect::End(Vec::new()));
        match effect {
            NameEffect::Step => {}
            NameEffect::End(paths) if is_end => paths.push(given.to_owned()),
            NameEffect::End(_) => *effect = NameEffect::Step,
        }
    }

    /// Effect of an event; `None` if it is irrelevant, which costs two hash table lookups.
    pub(super) fn classify(&self, event: &notify::Event) -> Option<RelevantEvent> {
        let retargets = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Data(_)) => false,
            EventKind::Access(_) => return None,
            _ => true,
        };
        let mut heard: Option<RelevantEvent> = None;
        for path in &event.paths {
            let Some(changed) = self.changed_by(path, retargets) else { continue };
            let retargeted = retargets.then(|| path.clone());
            heard = Some(match heard {
                None => RelevantEvent { changed, retargeted },
                // A rename has both names; where the order matters, each also has an event of its
                // own.
                Some(before) => RelevantEvent {
                    changed: before.changed.and(changed),
                    retargeted: before.retargeted.or(retargeted),
                },
            });
        }
        heard
    }

    fn changed_by(&self, path: &Path, retargets: bool) -> Option<Changed> {
        let mut changed = match self.effects.get(path.as_os_str()) {
            Some(NameEffect::Step) => return retargets.then_some(Changed::All),
            Some(NameEffect::End(paths)) => Some(Changed::Paths(paths.iter().cloned().collect())),
            None => None,
        };
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return changed };
        let listed = self.listed.get(folder.as_os_str());
        for (listed, given) in listed.into_iter().flatten() {
            let path = match listed {
                Listed::Scripts if is_script(path) => given.join(name),
                Listed::Names if retargets => given.clone(),
                _ => continue,
            };
            let paths = Changed::Paths(BTreeSet::from([path]));
            changed = Some(changed.map_or(paths.clone(), |before| before.and(paths)));
        }
        changed
    }

    /// Folders that are reached through a name. They change when its target changes.
    pub(super) fn below<'a>(
        folders: impl Iterator<Item = &'a PathBuf>,
        retargeted: &HashSet<PathBuf>,
    ) -> Vec<PathBuf> {
        let is_below = |folder: &&PathBuf| folder.ancestors().any(|at| retargeted.contains(at));
        folders.filter(is_below).cloned().collect()
    }
}

/// Check for the name of a script.
pub(super) fn is_script(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "lua")
}

/// Components of a path, including the root.
fn steps(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components()
        .filter(|step| !matches!(step, Component::CurDir | Component::Prefix(_)))
        .map(|step| OsStr::to_owned(step.as_os_str()))
}

impl FileKind {
    fn at(name: &Path) -> Self {
        match name.symlink_metadata() {
            Ok(about) if about.is_dir() => Self::Folder,
            Ok(about) if about.is_symlink() => name.read_link().map_or(Self::Nothing, Self::Link),
            Ok(_) => Self::File,
            Err(_) => Self::Nothing,
        }
    }
}
