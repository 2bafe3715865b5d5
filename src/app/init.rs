//! Working folder for runbooks: the files that `iamlua init` creates, and those that it keeps.
//! Files of people are never replaced; the declarations for editors are generated anew each time.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::{docs, files};

/// Folder of the declarations, below the working folder.
pub const META: &str = ".iamlua/meta";

/// Files by their path in the working folder.
const FILES: [(&str, &str); 5] = [
    ("runbooks/tag_owner.lua", include_str!("../../template/runbooks/tag_owner.lua")),
    ("runbooks/tag_owner_test.lua", include_str!("../../template/runbooks/tag_owner_test.lua")),
    ("iamlua.toml", include_str!("../../template/iamlua.toml")),
    (".luarc.json", include_str!("../../template/luarc.json")),
    (".gitignore", include_str!("../../template/gitignore")),
];

/// Result of creating the folder.
#[derive(Debug, Default)]
pub struct Made {
    /// Files that were written, by their path in the folder.
    pub written: Vec<PathBuf>,
    /// Files that already existed.
    pub kept: Vec<PathBuf>,
    /// Number of declarations for editors that were written.
    pub stubs: usize,
    /// Existing settings file for editors that does not name the declarations.
    pub needs_library: bool,
}

/// Creates the folder, if need be, and the files that are missing in it.
///
/// # Errors
/// An error that names an obstacle; nothing is written then. An I/O error that names the folder or
/// file; earlier writes stay.
pub fn make(folder: &Path) -> Result<Made> {
    if folder.is_file() {
        let what = format!("{} is a file, not a folder", folder.display());
        return Err(Error::new(Kind::Io, what).hint("name another folder, or none for this one"));
    }
    check_obstacles(folder)?;
    let mut made = Made::default();
    for (name, content) in FILES {
        let path = folder.join(name);
        // A dangling link may be somebody's too.
        if path.symlink_metadata().is_ok() {
            made.needs_library |= name == ".luarc.json" && !names_library(&path);
            made.kept.push(name.into());
        } else {
            write(&path, content)?;
            made.written.push(name.into());
        }
    }
    for (name, content) in docs::stubs() {
        write(&folder.join(META).join(name), &content)?;
        made.stubs += 1;
    }
    Ok(made)
}

/// Checks for obstacles before anything is written, so that no folder is left half made.
fn check_obstacles(folder: &Path) -> Result<()> {
    let obstacle = |path: &Path, what: &str| {
        let message = format!("{} is {what}, so nothing was made", path.display());
        Err(Error::new(Kind::Io, message)
            .hint("move it away or remove it, or name another folder, and run `iamlua init` again"))
    };
    for (name, _) in FILES {
        if folder.join(name).is_dir() {
            return obstacle(&folder.join(name), "a folder, where a file belongs");
        }
    }
    for name in ["runbooks", ".iamlua", META] {
        let path = folder.join(name);
        let Ok(found) = path.symlink_metadata() else { continue };
        if found.is_symlink() && !path.exists() {
            return obstacle(&path, "a link that leads nowhere, where a folder belongs");
        }
        if !path.is_dir() {
            return obstacle(&path, "a file, where a folder belongs");
        }
        // Declarations replace existing files, and the target of a link may be somebody's.
        if found.is_symlink() && name != "runbooks" && !is_within(&path, folder) {
            return obstacle(&path, "a link to another place, and its files would be replaced");
        }
    }
    Ok(())
}

/// Check that a path is inside the folder, after resolving all links.
fn is_within(path: &Path, folder: &Path) -> bool {
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(path), Ok(folder)) => path.starts_with(folder),
        _ => false,
    }
}

fn names_library(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains(META))
}

fn write(path: &Path, content: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|error| {
        Error::io(format!("cannot make the folder {}", folder.display()), error)
    })?;
    files::write_whole(path, content.as_bytes())
        .map_err(|error| Error::io(format!("cannot write {}", path.display()), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn load(text: &str) -> Result<Config> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("iamlua.toml");
        std::fs::write(&path, text).expect("a file");
        Config::load(Some(&path))
    }

    #[test]
    fn every_default_in_the_configuration_can_be_set() {
        let (_, text) = FILES.iter().find(|(name, _)| *name == "iamlua.toml").expect("a file");
        let set: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| {
                let key = line.split(" = ").next().unwrap_or_default();
                line.contains(" = ") && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            })
            .collect();
        let nothing = load(text).expect("all of it is commented out");
        assert!(nothing.target.is_none() && nothing.protect.is_empty());
        for line in &set {
            load(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        let all = load(&set.join("\n")).expect("all of them at once");
        assert!(all.target.is_some() && all.profile.is_some() && all.region.is_some());
        assert!(all.role_arn.is_some() && all.endpoint_url.is_some() && all.mode.is_some());
        assert!(!all.max_changes.is_empty() && all.timeout.is_some());
        assert!(!all.accounts.is_empty() && !all.protect.is_empty());
    }
}
