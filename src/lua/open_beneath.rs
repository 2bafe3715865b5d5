//! Files below a granted folder: opened component by component from a handle on that folder, so
//! that no symbolic link leads out of it, whenever it was created. The path was resolved before, so
//! a link in it was put there since.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// A resolved path, and the granted folder or file that it is below; unrestricted, if there is
/// none.
#[derive(Debug)]
pub struct Beneath {
    /// The path.
    pub path: PathBuf,
    /// Granted folder or file.
    pub base: Option<PathBuf>,
}

/// Flag of a handle that only identifies a file, where the system has one.
#[cfg(target_os = "linux")]
const HANDLE: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const HANDLE: OFlags = OFlags::RDONLY;

/// Repeats interrupted calls, unless `must_stop` returns true.
fn retry_interrupted<T>(
    must_stop: &dyn Fn() -> bool,
    call: impl Fn() -> rustix::io::Result<T>,
) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) if !must_stop() => {}
            // The system's message for a link speaks of too many links, which would mislead.
            Err(Errno::LOOP) => return Err(io::Error::other("it has become a symbolic link")),
            done => return Ok(done?),
        }
    }
}

impl Beneath {
    /// Handle on its folder, and its name there.
    fn folder(&self) -> io::Result<(OwnedFd, &OsStr)> {
        let none = || io::Error::from(io::ErrorKind::IsADirectory);
        let name = self.path.file_name().ok_or_else(none)?;
        let parent = self.path.parent().ok_or_else(none)?;
        let root = match &self.base {
            Some(base) if *base != self.path => base.as_path(),
            _ => parent,
        };
        let folder = OFlags::DIRECTORY | OFlags::CLOEXEC | HANDLE;
        let mut handle = rustix::fs::open(root, folder, Mode::empty())?;
        for part in parent.strip_prefix(root).into_iter().flat_map(Path::components) {
            let Component::Normal(part) = part else { continue };
            handle = retry_interrupted(&|| false, || {
                rustix::fs::openat(&handle, part, folder | OFlags::NOFOLLOW, Mode::empty())
            })?;
        }
        Ok((handle, name))
    }

    /// Opens the path.
    ///
    /// # Errors
    /// Any I/O error, or an interrupt of the script.
    pub fn open(&self, flags: OFlags, must_stop: &dyn Fn() -> bool) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let new = Mode::from_raw_mode(0o666);
        if self.base.is_none() {
            return retry_interrupted(must_stop, || rustix::fs::open(&self.path, flags, new));
        }
        if self.base.as_deref() == Some(&*self.path) && self.path.is_dir() {
            let flags = flags | OFlags::NOFOLLOW;
            return retry_interrupted(must_stop, || rustix::fs::open(&self.path, flags, new));
        }
        let (folder, name) = self.folder()?;
        retry_interrupted(must_stop, || {
            rustix::fs::openat(&folder, name, flags | OFlags::NOFOLLOW, new)
        })
    }

    /// Handle on the file, for a caller that opens it by the handle's path, which stays valid
    /// whatever happens to the original path. Creates a missing file if `makes`.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn handle(&self, makes: bool) -> io::Result<OwnedFd> {
        let never = || false;
        for _ in 0..8 {
            match self.open(HANDLE, &never) {
                Err(error) if makes && error.kind() == io::ErrorKind::NotFound => {}
                done => return done,
            }
            let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
            match self.open(new, &never) {
                // Another process has created it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                done => return done,
            }
        }
        Err(io::Error::other("it comes and goes"))
    }

    /// Creates the folder, and those that it is in; it may be there already.
    ///
    /// # Errors
    /// Any I/O error, such as a file in its place.
    pub fn make_folders(&self) -> io::Result<()> {
        let Some(base) = &self.base else {
            // A file there is not a folder: the system says that something exists.
            return std::fs::create_dir_all(&self.path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Errno::NOTDIR.into(),
                _ => error,
            });
        };
        let root = if base.is_dir() { base } else { base.parent().unwrap_or(base) };
        let folder = OFlags::DIRECTORY | OFlags::CLOEXEC | HANDLE;
        let mut handle = rustix::fs::open(root, folder, Mode::empty())?;
        for part in self.path.strip_prefix(root).into_iter().flat_map(Path::components) {
            let Component::Normal(part) = part else { continue };
            let inner = || {
                let flags = folder | OFlags::NOFOLLOW;
                retry_interrupted(&|| false, || {
                    rustix::fs::openat(&handle, part, flags, Mode::empty())
                })
            };
            handle = match inner() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    match rustix::fs::mkdirat(&handle, part, Mode::from_raw_mode(0o777)) {
                        // Another process may have created it.
                        Ok(()) | Err(Errno::EXIST) => inner()?,
                        Err(error) => return Err(error.into()),
                    }
                }
                opened => opened?,
            };
        }
        Ok(())
    }

    /// Names in a folder.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let folder = self.open(OFlags::RDONLY | OFlags::DIRECTORY, &|| false)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            if name != "." && name != ".." {
                names.push(name.into_owned());
            }
        }
        Ok(names)
    }

    /// Replaces the content of a file by the output of `write`, as
    /// [`crate::files::write_whole_with`] does.
    ///
    /// # Errors
    /// Any I/O error, including those of `write`; the old file is then untouched.
    pub fn write_whole(
        &self,
        mode: u32,
        must_stop: &dyn Fn() -> bool,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.base.is_none() {
            if self.path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir()) {
                let file = self.open(OFlags::WRONLY, must_stop)?;
                return write_in_place(&file, must_stop, write);
            }
            return crate::files::write_whole_with(&self.path, mode, write);
        }
        let (folder, name) = self.folder()?;
        let there = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Some(there),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        let kind = there.as_ref().map(|there| FileType::from_raw_mode(there.st_mode));
        match kind {
            None | Some(FileType::RegularFile) => {}
            Some(FileType::Directory) => return Err(Errno::ISDIR.into()),
            Some(_) => {
                let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = retry_interrupted(must_stop, || {
                    rustix::fs::openat(&folder, name, flags, Mode::empty())
                })?;
                return write_in_place(&file, must_stop, write);
            }
        }
        let temporary = format!(".iamlua-{:016x}", fastrand::u64(..));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, &*temporary, flags, Mode::from_raw_mode(mode as _))?;
        let written = || -> io::Result<()> {
            if let Some(there) = &there {
                rustix::fs::fchmod(file.as_fd(), Mode::from_raw_mode(there.st_mode))?;
            }
            let mut out = io::BufWriter::new(std::fs::File::from(file));
            write(&mut out)?;
            let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            Ok(rustix::fs::renameat(&folder, &*temporary, &folder, name)?)
        };
        written().inspect_err(|_| {
            let _ = rustix::fs::unlinkat(&folder, &*temporary, AtFlags::empty());
        })
    }
}

/// Writes to a pipe or device, which may have no reader.
fn write_in_place(
    file: &OwnedFd,
    must_stop: &dyn Fn() -> bool,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = io::BufWriter::new(InPlace { file, must_stop });
    write(&mut out)?;
    let written = out.flush();
    // The remainder after a failure is not written again.
    let _ = out.into_parts();
    written
}

struct InPlace<'a> {
    file: &'a OwnedFd,
    must_stop: &'a dyn Fn() -> bool,
}

impl Write for InPlace<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match rustix::io::write(self.file, bytes) {
            // The standard library would retry for ever.
            Err(Errno::INTR) if (self.must_stop)() => Err(io::Error::other("interrupted")),
            done => Ok(done?),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// An attacker's replacement between the check of a path and its use.
    #[test]
    fn a_link_that_was_put_there_since_leads_nowhere() {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path().canonicalize().expect("a path");
        let (inside, outside) = (home.join("in"), home.join("out"));
        for folder in [&inside.join("deep"), &outside] {
            std::fs::create_dir_all(folder).expect("a folder");
            std::fs::write(folder.join("file"), "content").expect("a file");
        }
        let beneath = |path: &str| Beneath { path: inside.join(path), base: Some(inside.clone()) };
        let read = |file: &Beneath| file.open(OFlags::RDONLY, &|| false);
        let write =
            |file: &Beneath| file.write_whole(0o644, &|| false, |out| out.write_all(b"new"));
        let file = beneath("deep/file");
        read(&file).expect("a file");
        write(&file).expect("it is written");
        assert_eq!(beneath("deep").names().expect("names"), ["file"]);
        // The file becomes a link.
        std::fs::remove_file(inside.join("deep/file")).expect("it goes");
        symlink(outside.join("file"), inside.join("deep/file")).expect("a link");
        assert!(read(&file).is_err() && write(&file).is_err());
        assert_eq!(std::fs::read_to_string(outside.join("file")).expect("a file"), "content");
        assert!(inside.join("deep/file").is_symlink());
        // The folder becomes one.
        std::fs::rename(inside.join("deep"), inside.join("away")).expect("it moves");
        symlink(&outside, inside.join("deep")).expect("a link");
        assert!(read(&file).is_err() && write(&file).is_err() && file.handle(true).is_err());
        assert!(beneath("deep").names().is_err());
        assert!(beneath("deep/new").handle(true).is_err());
        assert!(beneath("deep/a/b").make_folders().is_err());
        assert_eq!(std::fs::read_dir(&outside).expect("a folder").count(), 1);
        assert_eq!(std::fs::read_to_string(outside.join("file")).expect("a file"), "content");
    }

    #[test]
    fn what_is_not_there_is_made_below_the_folder() {
        let home = tempfile::tempdir().expect("a folder");
        let home = home.path().canonicalize().expect("a path");
        let new = Beneath { path: home.join("new"), base: Some(home.clone()) };
        assert_eq!(new.handle(false).expect_err("none").kind(), io::ErrorKind::NotFound);
        drop(new.handle(true).expect("it is made"));
        assert!(home.join("new").is_file());
        let folder = Beneath { path: home.join("a/b"), base: Some(home.clone()) };
        folder.make_folders().expect("it is made");
        folder.make_folders().expect("it is there");
        assert!(home.join("a/b").is_dir());
        let granted = Beneath { path: home.join("c/d"), base: Some(home.join("c")) };
        granted.make_folders().expect("it is made");
        let file = Beneath { path: home.join("new/x"), base: Some(home.clone()) };
        let refused = file.make_folders().expect_err("a file is no folder");
        assert_eq!(refused.kind(), io::ErrorKind::NotADirectory);
        let own = Beneath { path: home.join("own"), base: Some(home.join("own")) };
        own.write_whole(0o600, &|| false, |out| out.write_all(b"x")).expect("it is written");
        assert_eq!(std::fs::read(home.join("own")).expect("a file"), b"x");
    }
}
