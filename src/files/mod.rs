//! Atomic replacement of files: the content is written to a temporary file in the same folder,
//! which is then renamed. A crash or a full disk leaves either the old file or the new one.
//! Symbolic links are followed and kept. Pipes, devices and other special files are written in
//! place.

pub mod read_set;
pub mod watch;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Maximum length of a chain of links; longer ones are cyclic.
const MAX_LINKS: usize = 40;

/// Check for standard output as the output file of a command: `-`, or its device.
#[must_use]
pub fn is_output(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1"].iter().any(|output| path == Path::new(output))
}

/// Mode of a new file with data of an account: only the owner has access.
pub const PRIVATE: u32 = 0o600;

/// Mode of other new files.
pub const USUAL: u32 = 0o644;

/// Replaces the content of a file. Standard output is written in place.
///
/// # Errors
/// Any I/O error; the old file is then unchanged.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    write_whole_with(path, USUAL, |out| out.write_all(content))
}

/// Replaces the content of a file; a new file is accessible only to its owner.
///
/// # Errors
/// Those of [`write_whole`].
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    write_whole_with(path, PRIVATE, |out| out.write_all(content))
}

/// Replaces the content of a file with the output of `write`. A new file gets the mode, less the
/// umask; an existing one keeps its own.
///
/// # Errors
/// Any I/O error, also of `write`; the old file is then unchanged.
pub fn write_whole_with(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    if is_output(path) {
        let mut out = io::BufWriter::new(io::stdout().lock());
        write(&mut out)?;
        return out.flush();
    }
    let path = &target(path)?;
    if path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        let mut out = io::BufWriter::new(File::options().write(true).open(path)?);
        write(&mut out)?;
        return out.flush();
    }
    let file = new_beside(path, mode)?;
    // Not through the wrapper, whose errors name the temporary file.
    let mut out = io::BufWriter::new(file.as_file());
    write(&mut out)?;
    out.flush()?;
    drop(out);
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Checks that a file can be written, without writing it.
///
/// # Errors
/// The reason that it cannot.
pub fn check_writable(path: &Path) -> io::Result<()> {
    if is_output(path) {
        return Ok(());
    }
    let path = &target(path)?;
    match path.metadata() {
        Ok(there) if there.is_dir() => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        Ok(there) if !there.is_file() => Ok(()),
        _ => new_beside(path, PRIVATE).map(drop),
    }
}

/// New temporary file in the folder of a file, with the mode of that file if it exists. An error
/// does not name the temporary file, which the operator knows nothing of.
fn new_beside(path: &Path, mode: u32) -> io::Result<NamedTempFile<File>> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        options.mode(path.metadata().map_or(mode, |old| old.permissions().mode() & 0o7777));
    }
    let mut code = None;
    let created = tempfile::Builder::new().make_in(folder_of(path), |path| {
        options.open(path).inspect_err(|error| code = error.raw_os_error())
    });
    created.map_err(|error| code.map_or(error, io::Error::from_raw_os_error))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Target of a chain of links, which need not exist.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(next) = std::fs::read_link(&path) else { return Ok(path) };
        path = path.parent().unwrap_or_else(|| Path::new("")).join(next);
    }
    Err(io::Error::other("its links lead in a circle"))
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::write_whole;

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, new) = (folder.path().join("file"), folder.path().join("new"));
        std::fs::write(&file, "old").expect("a file");
        for (link, target, to) in [("a", "file", &file), ("b", "a", &file), ("c", "new", &new)] {
            let link = folder.path().join(link);
            symlink(target, &link).expect("a link");
            write_whole(&link, link.as_os_str().as_encoded_bytes()).expect("it is written");
            assert!(link.is_symlink() && !to.is_symlink());
            let content = std::fs::read(to).expect("the file");
            assert_eq!(content, link.as_os_str().as_encoded_bytes());
        }
        let circle = folder.path().join("circle");
        symlink("circle", &circle).expect("a link");
        let error = write_whole(&circle, b"x").expect_err("nowhere to write");
        assert!(error.to_string().contains("in a circle"), "{error}");
    }

    #[test]
    fn an_error_does_not_name_the_temporary_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("missing/plan.json");
        let errors = [write_whole(&file, b"x"), super::check_writable(&file)];
        for error in errors.map(|result| result.expect_err("there is no such folder")) {
            assert_eq!(error.to_string(), "No such file or directory (os error 2)");
        }
        let failing = |out: &mut dyn std::io::Write| {
            out.write_all(b"half")?;
            Err(std::io::Error::from_raw_os_error(28))
        };
        let error = super::write_whole_with(&folder.path().join("new"), super::USUAL, failing);
        assert_eq!(error.map_err(|error| error.raw_os_error()), Err(Some(28)));
        assert_eq!(folder.path().read_dir().expect("a folder").count(), 0);
    }

    #[test]
    fn a_pipe_stays_a_pipe() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        let (own, mut text) = (pipe.clone(), String::new());
        let writer = std::thread::spawn(move || write_whole(&own, b"through the pipe"));
        let mut reader = std::fs::File::open(&pipe).expect("a pipe");
        reader.read_to_string(&mut text).expect("text");
        writer.join().expect("no panic").expect("it is written");
        assert_eq!(text, "through the pipe");
        assert!(!pipe.metadata().expect("it is there").is_file());
    }
}
