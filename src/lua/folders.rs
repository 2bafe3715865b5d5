//! Folders of the standard library: `fs.exists`, `fs.list`, `fs.mkdir` and `fs.glob`, within the
//! permissions, and on the planned files and folders of the run.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use mlua::{Lua, Table, Value as LuaValue};
use wildmatch::WildMatch;

use super::VmConfig;
use super::budget::MemoryBudget;
use super::host::{Host, add, hiding, internal, is_planned, planned, text_arg, to_read};
use super::open_beneath::Beneath;
use super::sandbox::{self, Access};
use crate::error::{Error, Kind, Result};

/// Maximum length of a pattern of paths, in bytes.
const MAX_PATTERN: usize = 1 << 12;
/// Memory of a path that a search remembers, besides its text.
const PATH_BYTES: usize = 100;

/// Registers the host functions.
pub(super) fn functions(lua: &Lua, host: &Rc<Host>, fallible: &Table) -> mlua::Result<()> {
    add(lua, host, fallible, "fs_list", |lua, host, args| {
        let given = text_arg(&args, 0, "fs.list: the path")?;
        let names = names_in(&host.setup.borrow(), &given)?;
        lua.create_sequence_from(names).map(LuaValue::Table).map_err(|error| internal(&error))
    })?;
    add(lua, host, fallible, "fs_exists", |_, host, args| {
        let given = text_arg(&args, 0, "fs.exists: the path")?;
        exists(&host.setup.borrow(), &given).map(LuaValue::Boolean)
    })?;
    add(lua, host, fallible, "fs_mkdir", |lua, host, args| {
        let given = text_arg(&args, 0, "fs.mkdir: the path")?;
        host.check_arguments()?;
        // A planned folder is held in memory until the end.
        MemoryBudget::check(lua, 1)?;
        mkdir(&host.setup.borrow(), &given)?;
        Ok(LuaValue::Nil)
    })?;
    add(lua, host, fallible, "fs_glob", |lua, host, args| {
        let pattern = text_arg(&args, 0, "fs.glob: the pattern")?;
        let paths = Search::new(lua, &host.setup.borrow(), &pattern)?.run()?;
        lua.create_sequence_from(paths).map(LuaValue::Table).map_err(|error| internal(&error))
    })
}

/// Names in a folder, sorted.
fn names_in(setup: &VmConfig, given: &str) -> Result<Vec<String>> {
    let listed = setup.permissions.path(Access::Read, given)?;
    let is_planned = planned(setup).has_folder(&listed);
    if let Some(fakes) = hiding(setup, Access::Read, &listed) {
        let names = fakes.names_in(planned(setup), &listed, given);
        return if is_planned { Ok(names.unwrap_or_default()) } else { names };
    }
    if is_planned {
        return Ok(planned(setup).names_in(&listed, Vec::new()));
    }
    let path = to_read(setup, given)?;
    let failed = |error| Error::io(format!("cannot list {given}"), error);
    let names = path.names().map_err(failed)?;
    Ok(planned(setup).names_in(&path.path, names))
}

/// Check for a file, folder or anything else at a path.
fn exists(setup: &VmConfig, given: &str) -> Result<bool> {
    let resolved = sandbox::resolve(Path::new(given));
    if resolved.is_err_and(|error| is_missing(&error)) {
        // Below a file: only who may look at the file learns that.
        let over = Path::new(given).ancestors().skip(1);
        let over = over.map(|path| if path == Path::new("") { Path::new(".") } else { path });
        let mut there = over.filter(|path| sandbox::resolve(path).is_ok()).filter_map(Path::to_str);
        setup.permissions.path(Access::Read, there.next().unwrap_or("/"))?;
        return Ok(false);
    }
    let path = setup.permissions.path(Access::Read, given)?;
    if planned(setup).has_folder(&path) {
        return Ok(true);
    }
    let failed = |error| Error::io(format!("cannot look at {given}"), error);
    match planned(setup).planned(&path) {
        Ok(Some(_)) => return Ok(true),
        Ok(None) => {}
        Err(error) if is_missing(&error) => return Ok(false),
        Err(error) => return Err(failed(error)),
    }
    if let Some(fakes) = hiding(setup, Access::Read, &path) {
        let has_names = || fakes.names_in(planned(setup), &path, given).is_ok();
        return Ok(fakes.has_file(planned(setup), &path) || has_names());
    }
    setup.seen.read(Path::new(given));
    let base = setup.permissions.base(Access::Read, &path);
    is_there(&Beneath { path, base }).map_err(failed)
}

/// Check for an error that says that there is nothing at a path.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn is_there(path: &Beneath) -> io::Result<bool> {
    match path.handle(false) {
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        // The root of the file system, which has no name.
        Err(error) if error.kind() == ErrorKind::IsADirectory => Ok(true),
        Err(error) => Err(error),
    }
}

/// Creates a folder and those that it is in, or plans that.
fn mkdir(setup: &VmConfig, given: &str) -> Result<()> {
    let path = setup.permissions.path(Access::Write, given)?;
    let failed = |error| Error::io(format!("cannot create the folder {given}"), error);
    if is_planned(setup, given, &path) {
        let shown = setup.gate.session().journal().without_secrets(given);
        let is_on_disk = hiding(setup, Access::Write, &path).is_none();
        return planned(setup).mkdir(&path, &shown, is_on_disk).map_err(failed);
    }
    let base = setup.permissions.base(Access::Write, &path);
    Beneath { path, base }.make_folders().map_err(failed)?;
    setup.seen.written(Path::new(given));
    Ok(())
}

/// Part of a pattern between two slashes.
enum Part {
    /// A name.
    Name(String),
    /// A name with `*` or `?`; the flag says that it may begin with a dot.
    Glob(WildMatch, bool),
    /// `**`: any number of folders.
    Folders,
}

/// Search for the paths that match a pattern.
struct Search<'a> {
    lua: &'a Lua,
    setup: &'a VmConfig,
    parts: Vec<Part>,
    /// Folder where the search begins, with a slash at its end; empty for the current folder.
    start: String,
    /// Places that were searched: a path, and the number of its next part.
    seen: HashSet<(String, usize)>,
    found: Vec<String>,
    bytes: usize,
}

impl<'a> Search<'a> {
    fn new(lua: &'a Lua, setup: &'a VmConfig, pattern: &str) -> Result<Self> {
        let refused = |why: &str| Err(Error::argument(format!("fs.glob: the pattern {why}")));
        if pattern.is_empty() {
            return refused("is empty");
        } else if pattern.len() > MAX_PATTERN {
            return refused(&format!("has more than {MAX_PATTERN} bytes"));
        }
        let is_glob = |part: &&str| part.contains(['*', '?']);
        let mut names = pattern.split('/').filter(|part| !part.is_empty()).peekable();
        let mut start = if pattern.starts_with('/') { "/".to_owned() } else { String::new() };
        // The last part is never of the start, so that it is looked for.
        let rest: Vec<_> = {
            let mut rest = Vec::new();
            while let Some(part) = names.next() {
                if rest.is_empty() && !is_glob(&part) && names.peek().is_some() {
                    start.extend([part, "/"]);
                } else {
                    rest.push(part);
                }
            }
            rest
        };
        let parts = rest.into_iter().map(|part| match part {
            "**" => Part::Folders,
            _ if is_glob(&part) => Part::Glob(WildMatch::new(part), part.starts_with('.')),
            _ => Part::Name(part.to_owned()),
        });
        let (seen, found) = (HashSet::new(), Vec::new());
        Ok(Self { lua, setup, parts: parts.collect(), start, seen, found, bytes: 0 })
    }

    /// Paths, sorted.
    fn run(mut self) -> Result<Vec<String>> {
        let start = if self.start.is_empty() { "." } else { &self.start };
        // Without a permission for the folder this is a refusal, and not an empty result.
        let resolved = match self.setup.permissions.path(Access::Read, start) {
            // There is a file in place of a folder.
            Err(error) if error.kind == Kind::Io => return Ok(Vec::new()),
            resolved => resolved?,
        };
        if self.parts.is_empty() {
            return Ok(vec![self.start]);
        }
        let mut open = vec![(self.start.clone(), resolved, 0)];
        while let Some((folder, resolved, at)) = open.pop() {
            if self.setup.canceller.reason().is_some() {
                return Err(Error::new(Kind::Script, "stopped"));
            }
            if !self.seen.insert((folder.clone(), at)) {
                continue;
            }
            self.count(folder.len())?;
            self.look_into(&folder, &resolved, at, &mut open)?;
        }
        self.found.sort_unstable();
        self.found.dedup();
        Ok(self.found)
    }

    /// Counts the memory of a path.
    fn count(&mut self, length: usize) -> Result<()> {
        self.bytes += length + PATH_BYTES;
        MemoryBudget::check(self.lua, self.bytes)
    }

    /// Looks for the part `at` in a folder; adds the folders in which the search goes on to `open`.
    fn look_into(
        &mut self,
        folder: &str,
        resolved: &Path,
        at: usize,
        open: &mut Vec<(String, PathBuf, usize)>,
    ) -> Result<()> {
        let is_last = at + 1 == self.parts.len();
        if let Part::Name(name) = &self.parts[at] {
            let path = format!("{folder}{name}");
            self.go_on(path, at, is_last, open)?;
            return Ok(());
        }
        let names = self.names(folder);
        if let Part::Folders = self.parts[at] {
            // No folder at all; the last part stands for every file and folder below.
            if !is_last {
                open.push((folder.to_owned(), resolved.to_owned(), at + 1));
            }
            for name in names.into_iter().filter(|name| !name.starts_with('.')) {
                let path = format!("{folder}{name}");
                if is_last {
                    self.count(path.len())?;
                    self.found.push(path.clone());
                }
                // Links could lead in a circle.
                let inner = self.setup.permissions.path(Access::Read, &path);
                if let Ok(inner) = inner
                    && inner == resolved.join(&name)
                    && self.is_folder(&path, &inner)
                {
                    open.push((path + "/", inner, at));
                }
            }
            return Ok(());
        }
        for name in names {
            let Part::Glob(glob, with_dot) = &self.parts[at] else { continue };
            if (*with_dot || !name.starts_with('.')) && glob.matches(&name) {
                self.go_on(format!("{folder}{name}"), at, is_last, open)?;
            }
        }
        Ok(())
    }

    /// Takes a path that matches so far.
    fn go_on(
        &mut self,
        path: String,
        at: usize,
        is_last: bool,
        open: &mut Vec<(String, PathBuf, usize)>,
    ) -> Result<()> {
        // What is outside of the permissions does not match.
        let Ok(resolved) = self.setup.permissions.path(Access::Read, &path) else { return Ok(()) };
        if !is_last {
            if self.is_folder(&path, &resolved) {
                open.push((path + "/", resolved, at + 1));
            }
        } else if exists(self.setup, &path).unwrap_or(false) {
            self.count(path.len())?;
            self.found.push(path);
        }
        Ok(())
    }

    /// Names in a folder; none if it cannot be read.
    fn names(&self, folder: &str) -> Vec<String> {
        names_in(self.setup, if folder.is_empty() { "." } else { folder }).unwrap_or_default()
    }

    fn is_folder(&self, given: &str, path: &Path) -> bool {
        if planned(self.setup).has_folder(path) {
            return true;
        }
        match hiding(self.setup, Access::Read, path) {
            Some(fakes) => {
                !fakes.has_file(planned(self.setup), path)
                    && fakes.names_in(planned(self.setup), path, given).is_ok()
            }
            None => path.is_dir(),
        }
    }
}
