//! Discovery of test files.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// Suffix of the names of test files.
pub(super) const SUFFIX: &str = "_test.lua";

/// Finds the test files at paths, in the order of the paths.
///
/// A file is taken whatever its name. A folder stands for every `*_test.lua` in it at any depth, by
/// name. Hidden folders, `target` folders, links to folders and special files are left out. An
/// unreadable subfolder is in the result, and fails in its turn.
///
/// # Errors
/// A usage error for a path that does not exist or is no Lua file; an I/O error for an unreadable
/// folder of `paths`.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        let shown = path.display();
        if path.is_dir() {
            walk(path, &mut found).map_err(|error| cannot_read(path, error))?;
        } else if !path.exists() {
            return Err(Error::usage(format!("there is no file or folder {shown}")));
        } else if path.extension().is_none_or(|extension| extension != "lua") {
            return Err(Error::usage(format!("{shown} is no Lua file"))
                .hint("name files that end in .lua, or folders"));
        } else if !path.is_file() {
            return Err(Error::usage(format!("{shown} is no file, but a pipe or a device")));
        } else {
            found.push(path.clone());
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    Ok(found)
}

/// Error for an unreadable folder.
pub(super) fn cannot_read(folder: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot read the folder {}", folder.display()), error)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            if name != "target" && walk(&path, found).is_err() {
                found.push(path);
            }
        } else if name.ends_with(SUFFIX) && (path.is_file() || !path.exists()) {
            found.push(path);
        }
    }
    Ok(())
}

/// Error for paths without tests.
#[must_use]
pub fn nothing_found(paths: &[PathBuf], filter: Option<&str>) -> Error {
    if let Some(filter) = filter {
        let message = format!("there is no test whose name has {filter:?} in it");
        return Error::new(Kind::Script, message).hint("`iamlua test --list` lists them");
    }
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    Error::new(Kind::Script, format!("there is no test in {}", paths.join(", ")))
        .hint(format!("tests are in files whose name ends with {SUFFIX}; or name a file itself"))
}
