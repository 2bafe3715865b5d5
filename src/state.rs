//! Folder of the program's state: `$IAMLUA_HOME`, else `$XDG_STATE_HOME/iamlua` (if that is
//! absolute), else `~/.local/state/iamlua`, for its owner only.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// The folder, which is made if it is not there.
///
/// # Errors
/// If there is no home directory, or the folder cannot be made.
pub fn folder() -> Result<PathBuf> {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // A relative one is invalid, by the specification.
    let base = |name| variable(name).filter(|folder| folder.is_absolute());
    let folder = variable("IAMLUA_HOME")
        .or_else(|| base("XDG_STATE_HOME").map(|state| state.join("iamlua")))
        .or_else(|| variable("HOME").map(|home| home.join(".local/state/iamlua")))
        .ok_or_else(|| {
            Error::new(
                Kind::State,
                "there is no home directory to keep the local account and the journal in",
            )
            .hint("set IAMLUA_HOME to a folder that you can write to")
        })?;
    make(&folder)?;
    Ok(folder)
}

fn make(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        Error::io(format!("cannot make the state folder {}", folder.display()), error)
            .hint("set IAMLUA_HOME to a folder that you can write to")
    })
}

/// The file of the local account.
///
/// # Errors
/// As [`folder`].
pub fn local_account() -> Result<PathBuf> {
    Ok(folder()?.join("local.db"))
}
