//! State folder of the program: `$IAMLUA_HOME`, else `$XDG_STATE_HOME/iamlua` (if that is
//! absolute), else `~/.local/state/iamlua`. Only its owner has access. A folder that others can
//! write to is refused.

pub(crate) mod sqlite;

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// State folder, which is created if it does not exist.
///
/// # Errors
/// If there is no home directory, or the folder cannot be created.
pub fn folder() -> Result<PathBuf> {
    let folder = path()?;
    make(&folder)?;
    check(&folder)?;
    Ok(folder)
}

/// State folder, if it exists. Nothing is created.
///
/// # Errors
/// If there is no home directory, or others could write to the folder.
pub fn existing_folder() -> Result<Option<PathBuf>> {
    let folder = path()?;
    if !folder.is_dir() {
        return Ok(None);
    }
    check(&folder)?;
    Ok(Some(folder))
}

fn path() -> Result<PathBuf> {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The specification declares relative paths invalid.
    let base = |name| variable(name).filter(|folder| folder.is_absolute());
    variable("IAMLUA_HOME")
        .or_else(|| base("XDG_STATE_HOME").map(|state| state.join("iamlua")))
        .or_else(|| variable("HOME").map(|home| home.join(".local/state/iamlua")))
        .ok_or_else(|| {
            Error::new(
                Kind::State,
                "there is no home directory to keep the local account and the journal in",
            )
            .hint("set IAMLUA_HOME to a folder that you can write to")
        })
}

fn make(folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        Error::io(format!("cannot make the state folder {}", folder.display()), error)
            .hint("set IAMLUA_HOME to a folder that you can write to")
    })
}

/// Refuses a folder in which others could place a forged journal or account. A folder of root is
/// accepted, because root has access to everything anyway.
fn check(folder: &Path) -> Result<()> {
    let Ok(about) = folder.metadata() else { return Ok(()) };
    let user = rustix::process::geteuid().as_raw();
    match unsafe_for(user, about.uid(), about.gid(), about.mode(), is_own_group) {
        None => Ok(()),
        Some(problem) => Err(problem.error(folder, user, about.uid())),
    }
}

/// Reason not to trust a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    /// Owner that is neither the user nor root.
    Stranger,
    /// Write permission for others.
    Writable,
}

fn unsafe_for(
    user: u32,
    owner: u32,
    group: u32,
    mode: u32,
    is_own_group: impl Fn(u32, u32) -> bool,
) -> Option<Problem> {
    if owner != user && owner != 0 {
        return Some(Problem::Stranger);
    }
    let by_group = mode & 0o020 != 0 && !is_own_group(user, group);
    (mode & 0o002 != 0 || by_group).then_some(Problem::Writable)
}

impl Problem {
    fn error(self, folder: &Path, user: u32, owner: u32) -> Error {
        let shown = folder.display();
        let path = folder.to_string_lossy();
        let quoted = shlex::try_quote(&path).unwrap_or_else(|_| path.clone());
        let other = "or set IAMLUA_HOME to a folder of your own";
        let (what, hint) = match self {
            Self::Stranger => (
                format!("belongs to another user (uid {owner}, and you are uid {user})"),
                format!("if you trust what is in it: `sudo chown -R {user} {quoted}`; {other}"),
            ),
            Self::Writable if owner == user => (
                "can be written to by others".to_owned(),
                format!("if you trust what is in it: `chmod go-w {quoted}`; {other}"),
            ),
            Self::Writable => {
                let below = folder.join("iamlua");
                (
                    "can be written to by others".to_owned(),
                    format!("set IAMLUA_HOME to a folder in it that is yours: {}", below.display()),
                )
            }
        };
        Error::new(Kind::State, format!("the state folder {shown} {what}")).hint(hint)
    }
}

/// Check for a user private group: it has the number of its user, and no other member.
fn is_own_group(user: u32, group: u32) -> bool {
    if user != group {
        return false;
    }
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    has_no_other(&read("/etc/passwd"), &read("/etc/group"), user)
}

/// Check that a group has no member but the user of the same number.
fn has_no_other(passwd: &str, groups: &str, number: u32) -> bool {
    let number = number.to_string();
    let mut own = None;
    for line in passwd.lines() {
        let fields: Vec<_> = line.split(':').collect();
        let [name, _, user, group, ..] = fields[..] else { continue };
        if user == number {
            own = Some(name);
        } else if group == number {
            return false;
        }
    }
    let members = groups.lines().filter_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        (fields.get(2) == Some(&&*number)).then(|| fields.get(3).copied().unwrap_or_default())
    });
    members.flat_map(|names| names.split(',')).all(|name| name.is_empty() || Some(name) == own)
}

/// Creates a folder accessible only to its owner, whatever the umask is. The permissions of an
/// existing one are restricted.
///
/// # Errors
/// Any I/O error of creating it.
pub fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    close(folder);
    Ok(())
}

/// Removes the permissions of others from a file or folder of the state, if it belongs to this
/// user.
pub fn close(path: &Path) {
    let Ok(about) = path.metadata() else { return };
    if about.mode() & 0o077 != 0 && about.uid() == rustix::process::geteuid().as_raw() {
        let mode = Permissions::from_mode(about.mode() & 0o7700);
        // A file system without modes cannot keep secrets anyway.
        let _ = std::fs::set_permissions(path, mode);
    }
}

/// Removes the permissions of others from a database and the files beside it.
pub fn close_database(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        close(Path::new(&name));
    }
}

/// File of the local account.
///
/// # Errors
/// As [`folder`].
pub fn local_account() -> Result<PathBuf> {
    Ok(folder()?.join("local.db"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_can_write_to_is_not_trusted() {
        let own = |user, group| user == group;
        for (user, owner, group, mode, problem) in [
            (1000, 1000, 1000, 0o700, None),
            (1000, 1000, 1000, 0o755, None),
            // User private group, as with umask 002, and for volumes of Kubernetes.
            (1000, 1000, 1000, 0o775, None),
            (65532, 0, 65532, 0o2775, None),
            (1000, 1000, 100, 0o755, None),
            (1000, 1000, 100, 0o775, Some(Problem::Writable)),
            (1000, 1000, 1000, 0o777, Some(Problem::Writable)),
            (1000, 1000, 1000, 0o1777, Some(Problem::Writable)),
            (1000, 1000, 1000, 0o702, Some(Problem::Writable)),
            (1000, 0, 0, 0o755, None),
            (1000, 0, 0, 0o1777, Some(Problem::Writable)),
            (1000, 0, 0, 0o775, Some(Problem::Writable)),
            (1000, 1001, 1001, 0o700, Some(Problem::Stranger)),
            (1000, 1001, 1000, 0o770, Some(Problem::Stranger)),
            (0, 1000, 1000, 0o700, Some(Problem::Stranger)),
            (0, 0, 0, 0o770, None),
        ] {
            let found = unsafe_for(user, owner, group, mode, own);
            assert_eq!(found, problem, "{user} {owner}:{group} {mode:o}");
        }
        let folder = Path::new("/srv/a b");
        let said = |problem: Problem, owner| problem.error(folder, 1000, owner).describe();
        let said_of_stranger = said(Problem::Stranger, 1001);
        assert!(said_of_stranger.contains("chown -R 1000 '/srv/a b'"), "{said_of_stranger}");
        let said_of_own = said(Problem::Writable, 1000);
        assert!(said_of_own.contains("`chmod go-w '/srv/a b'`"), "{said_of_own}");
        let said_of_roots = said(Problem::Writable, 0);
        assert!(said_of_roots.contains("/srv/a b/iamlua"), "{said_of_roots}");
    }

    #[test]
    fn a_group_is_ones_own_if_nobody_else_is_in_it() {
        let passwd = "root:x:0:0::/root:/bin/sh\njo:x:1000:1000::/home/jo:/bin/sh\n";
        for (more, group, is_own) in [
            ("", "jo:x:1000:", true),
            ("", "jo:x:1000:jo", true),
            ("", "", true),
            ("", "jo:x:1000:jo,al", false),
            ("", "jo:x:1000:al", false),
            ("al:x:1001:1000::/:/bin/sh\n", "jo:x:1000:", false),
            ("", "other:x:1001:al", true),
        ] {
            let passwd = format!("{passwd}{more}");
            assert_eq!(has_no_other(&passwd, group, 1000), is_own, "{more} {group}");
        }
    }
}
