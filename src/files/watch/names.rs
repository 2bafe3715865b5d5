//! Which names in which folders decide what is at a path. They are looked up here as the system does it, one after the other, through
//! symbolic links too; nothing is listened to.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use notify::EventKind;
use notify::event::{AccessKind, AccessMode, ModifyKind};

use super::Changed;

/// A chain of links that is longer goes in a circle.
const MAX_LINKS: usize = 40;

/// What is followed.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) files: BTreeSet<PathBuf>,
    pub(super) folders: BTreeSet<PathBuf>,
}

/// What a change of a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Matter {
    /// It is on the way to what is followed: all of that may be other files now.
    Step,
    /// What is followed is there: these paths.
    End(Vec<PathBuf>),
}

/// In what way the names in a folder matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Listed {
    /// Which names there are.
    Names,
    /// The files whose names end in `.lua`.
    Scripts,
}

/// The names that matter. A name is the path of a real folder with a name behind it, as it is in an event.
#[derive(Debug, Default)]
pub(super) struct Names {
    matters: HashMap<OsString, Matter>,
    /// Real folders whose names matter, each with the paths by which it is followed.
    listed: HashMap<OsString, Vec<(Listed, PathBuf)>>,
    /// The real folders in which these names are.
    pub(super) folders: BTreeSet<PathBuf>,
}

/// An event that matters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) changed: Changed,
    /// The name that leads to something else now, if that is so.
    pub(super) renewed: Option<PathBuf>,
}

/// What is at a name.
#[derive(Clone, Debug)]
enum There {
    Folder,
    Link(PathBuf),
    File,
    Nothing,
}

impl Names {
    /// Looks up all names that decide what is there now.
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

    /// Goes along a path; returns the real folder that it leads to, if it is one.
    fn look_up(&mut self, path: &Path, known: &mut HashMap<PathBuf, There>) -> Option<PathBuf> {
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
            let there = known.entry(name.clone()).or_insert_with(|| There::at(&name));
            match there {
                There::Folder => at = name,
                There::Link(target) if links < MAX_LINKS => {
                    links += 1;
                    for step in steps(target).rev() {
                        ahead.push_front(step);
                    }
                }
                There::Link(_) | There::File | There::Nothing => return None,
            }
        }
        Some(at)
    }

    fn note(&mut self, name: &Path, given: &Path, is_end: bool) {
        let matter = self.matters.entry(name.as_os_str().to_owned());
        let matter = matter.or_insert(Matter::End(Vec::new()));
        match matter {
            Matter::Step => {}
            Matter::End(paths) if is_end => paths.push(given.to_owned()),
            Matter::End(_) => *matter = Matter::Step,
        }
    }

    /// What an event means; `None` if it does not matter, which costs two looks into a table.
    pub(super) fn hear(&self, event: &notify::Event) -> Option<Heard> {
        let renews = match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Data(_)) => false,
            EventKind::Access(_) => return None,
            _ => true,
        };
        let mut heard: Option<Heard> = None;
        for path in &event.paths {
            let Some(changed) = self.changed_by(path, renews) else { continue };
            let renewed = renews.then(|| path.clone());
            heard = Some(match heard {
                None => Heard { changed, renewed },
                // Of a move both names; where it matters which, each has an event of its own too.
                Some(before) => Heard {
                    changed: before.changed.and(changed),
                    renewed: before.renewed.or(renewed),
                },
            });
        }
        heard
    }

    fn changed_by(&self, path: &Path, renews: bool) -> Option<Changed> {
        let mut changed = match self.matters.get(path.as_os_str()) {
            Some(Matter::Step) => return renews.then_some(Changed::All),
            Some(Matter::End(paths)) => Some(Changed::Paths(paths.iter().cloned().collect())),
            None => None,
        };
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return changed };
        let listed = self.listed.get(folder.as_os_str());
        for (listed, given) in listed.into_iter().flatten() {
            let path = match listed {
                Listed::Scripts if is_script(path) => given.join(name),
                Listed::Names if renews => given.clone(),
                _ => continue,
            };
            let paths = Changed::Paths(BTreeSet::from([path]));
            changed = Some(changed.map_or(paths.clone(), |before| before.and(paths)));
        }
        changed
    }

    /// The folders that are reached by a name: they are others once it leads to something else.
    pub(super) fn below<'a>(
        folders: impl Iterator<Item = &'a PathBuf>,
        renewed: &HashSet<PathBuf>,
    ) -> Vec<PathBuf> {
        let is_below = |folder: &&PathBuf| folder.ancestors().any(|at| renewed.contains(at));
        folders.filter(is_below).cloned().collect()
    }
}

/// Whether a name is that of a script.
pub(super) fn is_script(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "lua")
}

/// The steps of a path, the root among them.
fn steps(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components()
        .filter(|step| !matches!(step, Component::CurDir | Component::Prefix(_)))
        .map(|step| OsStr::to_owned(step.as_os_str()))
}

impl There {
    fn at(name: &Path) -> Self {
        match name.symlink_metadata() {
            Ok(about) if about.is_dir() => Self::Folder,
            Ok(about) if about.is_symlink() => name.read_link().map_or(Self::Nothing, Self::Link),
            Ok(_) => Self::File,
            Err(_) => Self::Nothing,
        }
    }
}
