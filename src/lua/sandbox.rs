//! Access of a script to files, environment variables and programs: none, unless granted. Paths are
//! resolved before they are compared, so neither `..` nor a symbolic link leads out of a granted
//! folder. Network hosts are granted here too: those that `iam.connect` may reach, and those that
//! are notified of failed jobs.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::fakes::Fakes;
use crate::error::{Error, Kind, Result};
use crate::session::outside;

/// Kind of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Reading files and folders.
    Read,
    /// Writing files.
    Write,
    /// Reading environment variables.
    Env,
    /// Running programs.
    Run,
    /// Sending calls to a network host, or notifying it of a failed job.
    Net,
}

impl Access {
    /// All kinds, in the order of the manual.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Env, Self::Run, Self::Net];

    /// Name in a manifest and a flag: `read`, `write`, `env`, `run`, `net`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Env => "env",
            Self::Run => "run",
            Self::Net => "net",
        }
    }

    /// Flag that grants it.
    #[must_use]
    pub fn flag(self, what: &str) -> String {
        format!("--allow-{}={what}", self.name())
    }

    const fn is_path(self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }
}

/// Grants of one kind.
#[derive(Clone, Debug, Default)]
struct Grant {
    everything: bool,
    paths: Vec<PathBuf>,
    names: BTreeSet<String>,
}

/// Permissions of a script.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    /// Fake machine for a runbook under test.
    pub fakes: Option<Fakes>,
    read: Grant,
    write: Grant,
    env: Grant,
    run: Grant,
    net: Grant,
}

impl Permissions {
    /// No permissions, on a fake machine.
    #[must_use]
    pub fn within(fakes: Fakes) -> Self {
        Self { fakes: Some(fakes), ..Self::default() }
    }

    const fn grant(&self, access: Access) -> &Grant {
        match access {
            Access::Read => &self.read,
            Access::Write => &self.write,
            Access::Env => &self.env,
            Access::Run => &self.run,
            Access::Net => &self.net,
        }
    }

    const fn grant_mut(&mut self, access: Access) -> &mut Grant {
        match access {
            Access::Read => &mut self.read,
            Access::Write => &mut self.write,
            Access::Env => &mut self.env,
            Access::Run => &mut self.run,
            Access::Net => &mut self.net,
        }
    }

    /// Grants one name or path, or everything of a kind if `what` is empty.
    ///
    /// # Errors
    /// If a path cannot be resolved, or a host is given as an address.
    pub fn allow(&mut self, access: Access, what: &str) -> Result<()> {
        let grant = self.grant_mut(access);
        if what.is_empty() {
            grant.everything = true;
        } else if access.is_path() {
            let path = resolve(Path::new(what))
                .map_err(|source| Error::io(format!("{}: {what}", access.flag(what)), source))?;
            grant.paths.push(path);
        } else if access == Access::Net {
            if what.contains(['/', '@', '?', '#']) {
                return Err(Error::usage("--allow-net takes a host, not an address").hint(
                    "such as --allow-net=hooks.example.com, or HOST:PORT for one port of it",
                ));
            }
            grant.names.insert(what.to_ascii_lowercase());
        } else {
            grant.names.insert(what.to_owned());
        }
        Ok(())
    }

    /// Check for an existing grant.
    #[must_use]
    pub fn covers(&self, access: Access, what: &str) -> bool {
        let grant = self.grant(access);
        if grant.everything {
            return true;
        }
        if access == Access::Net {
            let what = what.to_ascii_lowercase();
            // A grant of a host covers all of its ports.
            let host = what.rsplit_once(':').map_or(what.as_str(), |(host, _)| host);
            return grant.names.contains(&what) || grant.names.contains(host);
        } else if !access.is_path() {
            return grant.names.contains(what);
        }
        resolve(Path::new(what))
            .is_ok_and(|path| grant.paths.iter().any(|dir| path.starts_with(dir)))
    }

    /// Check for a grant that covers a resolved path.
    #[must_use]
    pub fn covers_path(&self, access: Access, path: &Path) -> bool {
        let grant = self.grant(access);
        grant.everything || grant.paths.iter().any(|dir| path.starts_with(dir))
    }

    /// Check for a grant that covers a network host at that port.
    #[must_use]
    pub fn covers_host(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        self.covers(Access::Net, &host) || self.covers(Access::Net, &format!("{host}:{port}"))
    }

    /// Resolved path of a file that a script wants to read or write.
    ///
    /// # Errors
    /// A permission error that names the flag, or an I/O error if the path cannot be resolved.
    pub fn path(&self, access: Access, path: &str) -> Result<PathBuf> {
        let resolved = resolve(Path::new(path))
            .map_err(|source| Error::io(format!("cannot {} {path}", access.name()), source))?;
        let grant = self.grant(access);
        if grant.everything || grant.paths.iter().any(|dir| resolved.starts_with(dir)) {
            return Ok(resolved);
        }
        let folder = if resolved.is_dir() { Some(resolved.as_path()) } else { resolved.parent() };
        let folder = folder.unwrap_or(Path::new("/")).display().to_string();
        Err(refuse(access, &format!("{} {path}", access.name()), &folder))
    }

    /// Granted folder or file that contains a resolved path; `None` if everything is granted, or
    /// the path is a stream of the process.
    #[must_use]
    pub fn base(&self, access: Access, resolved: &Path) -> Option<PathBuf> {
        let grant = self.grant(access);
        if grant.everything || outside::is_stream(resolved) {
            return None;
        }
        let over = grant.paths.iter().filter(|dir| resolved.starts_with(dir));
        over.max_by_key(|dir| dir.as_os_str().len()).cloned()
    }

    /// Checks that a script may read that variable or run that program.
    ///
    /// # Errors
    /// A permission error that names the flag.
    pub fn name(&self, access: Access, name: &str) -> Result<()> {
        if self.covers(access, name) {
            return Ok(());
        }
        let what = match access {
            Access::Env => format!("read the environment variable {name}"),
            _ => format!("run {name}"),
        };
        Err(refuse(access, &what, name))
    }
}

fn refuse(access: Access, what: &str, grant: &str) -> Error {
    Error::new(Kind::Permission, format!("the script may not {what}"))
        .hint(format!("allow it with {}", access.flag(grant)))
}

/// Absolute path without symbolic links and `..`; the last components need not exist yet.
pub(crate) fn resolve(path: &Path) -> std::io::Result<PathBuf> {
    let mut base = std::path::absolute(path)?;
    // Streams refer to pipes without a path, or to files that a redirection has already opened.
    if outside::is_stream(&base) {
        return Ok(base);
    }
    let mut rest = Vec::new();
    loop {
        match base.canonicalize() {
            Ok(real) => {
                return Ok(rest.into_iter().rev().fold(real, |path, part| path.join(part)));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // A dangling link would be followed by whoever creates the file, so it is no plain
                // missing name.
                if base.is_symlink() {
                    return Err(std::io::Error::other("it is a symbolic link to nowhere"));
                }
                match base.components().next_back() {
                    Some(Component::Normal(part)) => rest.push(part.to_owned()),
                    // `missing/..` has no meaning on a file system.
                    _ => return Err(error),
                }
                base.pop();
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_dots_nor_links_lead_out() {
        let home = tempfile::tempdir().expect("a temporary folder");
        let inside = home.path().join("in");
        std::fs::create_dir_all(inside.join("deep")).expect("a folder");
        std::fs::write(home.path().join("secret"), "x").expect("a file");
        std::os::unix::fs::symlink(home.path(), inside.join("link")).expect("a link");
        std::os::unix::fs::symlink(home.path().join("nowhere"), inside.join("dangling"))
            .expect("a link");
        let mut permissions = Permissions::default();
        permissions.allow(Access::Read, inside.to_str().expect("UTF-8")).expect("granted");
        let can = |name: &str| {
            permissions
                .path(Access::Read, inside.join(name).to_str().expect("UTF-8"))
                .map_err(|e| e.kind)
        };
        assert!(can("file").is_ok());
        assert!(can("deep/new/file").is_ok());
        assert!(can("deep/../file").is_ok());
        assert_eq!(can("../secret").unwrap_err(), Kind::Permission);
        assert_eq!(can("link/secret").unwrap_err(), Kind::Permission);
        assert_eq!(can("deep/../../secret").unwrap_err(), Kind::Permission);
        assert_eq!(can("dangling").unwrap_err(), Kind::Io);
        assert!(can("missing/../../secret").is_err());
        let sibling = format!("{}-sibling", inside.display());
        assert_eq!(permissions.path(Access::Read, &sibling).unwrap_err().kind, Kind::Permission);
    }
}
