//! Programs, files and folders of a plan: what a script would run and create outside of the
//! account.
//!
//! Nothing of it is executed. A planned file exists in a private temporary folder, where later
//! reads of the same run find it. The folder is removed with the run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{Access, access};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::locked;

/// An action outside of the account that a plan lists and does not do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Outside {
    /// A program that would run.
    Run {
        /// Name or path, as the script gives it.
        program: String,
        /// Arguments of the program.
        arguments: Vec<String>,
    },
    /// A file that would be written.
    Write {
        /// Path, as the script gives it.
        path: String,
        /// Size afterwards.
        bytes: u64,
    },
    /// A folder that would be created, with those that it is in.
    Mkdir {
        /// Path, as the script gives it.
        path: String,
    },
    /// A request to a server that would be sent.
    Request {
        /// Method, such as `POST`.
        method: String,
        /// Address, without its possible secrets.
        url: String,
        /// Size of the body.
        bytes: u64,
    },
}

/// Paths of the operator's own output, which a plan writes as a run does.
const STREAMS: [&str; 5] = ["/dev/stdout", "/dev/stderr", "/dev/null", "/dev/fd/1", "/dev/fd/2"];
/// Folder for temporary files where the usual one cannot be written, as in many containers.
const SHARED_MEMORY: &str = "/dev/shm";
/// Memory of an action, besides its texts.
const ACTION_BYTES: usize = 64;
/// Start of the name of the temporary folder.
const PREFIX: &str = "iamlua-plan-";

/// Check for the operator's standard output or error, or the null device.
#[must_use]
pub fn is_stream(path: &Path) -> bool {
    STREAMS.iter().any(|stream| path == Path::new(stream))
}

/// Check for the operator's standard output.
#[must_use]
pub fn is_output(path: &Path) -> bool {
    path == Path::new("/dev/stdout") || path == Path::new("/dev/fd/1")
}

/// Mode of an opened file, as in C: `r+`, `w`, `w+`, `a`, `a+`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenMode {
    /// Existence of the file before: `r+`.
    pub must_exist: bool,
    /// Removal of what was in it: `w`, `w+`.
    pub truncates: bool,
    /// Permission to read the file too: those with `+`.
    pub reads: bool,
}

/// Recorder of the programs and files of a plan, and the planned files themselves.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<RecordedActions>);

#[derive(Debug, Default)]
struct RecordedActions {
    actions: Vec<Outside>,
    /// Planned files by their resolved paths.
    files: BTreeMap<PathBuf, Planned>,
    /// Planned folders by their resolved paths, with those that they are in.
    folders: BTreeSet<PathBuf>,
    folder: Option<TempDir>,
    /// Number of contents made so far, for their names.
    contents: u64,
    /// Approximate memory of the actions, in bytes.
    bytes: usize,
}

#[derive(Debug)]
struct Planned {
    /// Index of its action; none for a file that was only provided.
    action: Option<usize>,
    /// File with its content.
    content: PathBuf,
    /// A pipe or device, of which nothing can be read back.
    is_special: bool,
}

impl Recorder {
    /// Records a program that would run.
    pub fn run(&self, program: String, arguments: Vec<String>) {
        let bytes = arguments.iter().map(|argument| argument.len() + ACTION_BYTES).sum::<usize>();
        let bytes = program.len() + bytes;
        locked(&self.0).add(Outside::Run { program, arguments }, bytes);
    }

    /// Records a request that would be sent.
    pub fn request(&self, method: String, url: String, bytes: u64) {
        let size = method.len() + url.len();
        locked(&self.0).add(Outside::Request { method, url, bytes }, size);
    }

    /// File with the content of a planned file; `None` if nothing is planned there.
    ///
    /// # Errors
    /// If the path leads through a planned file as if that were a folder.
    pub fn planned(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let recorded = locked(&self.0);
        recorded.check_parents(path)?;
        if recorded.folders.contains(path) {
            return Err(Errno::ISDIR.into());
        }
        let planned = recorded.files.get(path).filter(|planned| !planned.is_special);
        Ok(planned.map(|planned| planned.content.clone()))
    }

    /// Provides a file that the script finds there, in place of the disk's.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn provide(&self, path: &Path, text: &[u8]) -> io::Result<()> {
        let mut recorded = locked(&self.0);
        if recorded.files.contains_key(path) {
            return Ok(());
        }
        let content = recorded.new_content()?;
        std::fs::write(&content, text)?;
        let planned = Planned { action: None, content, is_special: false };
        recorded.files.insert(path.to_owned(), planned);
        Ok(())
    }

    /// Plans a folder, with those that it is in. Unless it `is_on_disk`, the disk is ignored.
    ///
    /// # Errors
    /// Those of creating it, as far as they can be known before.
    pub fn mkdir(&self, path: &Path, shown: &str, is_on_disk: bool) -> io::Result<()> {
        let mut recorded = locked(&self.0);
        recorded.check_parents(path)?;
        if recorded.files.contains_key(path) {
            return Err(Errno::NOTDIR.into());
        }
        let mut missing = Vec::new();
        for folder in path.ancestors() {
            if recorded.folders.contains(folder) {
                break;
            }
            let about = if is_on_disk { folder.metadata() } else { Err(Errno::NOENT.into()) };
            match about {
                Ok(there) if !there.is_dir() => return Err(Errno::NOTDIR.into()),
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::NotFound => missing.push(folder),
                Err(error) => return Err(error),
            }
        }
        if let Some(topmost) = missing.last()
            && is_on_disk
        {
            recorded.check_folder(topmost)?;
        }
        if missing.is_empty() {
            return Ok(());
        }
        recorded.folders.extend(missing.into_iter().map(Path::to_owned));
        recorded.add(Outside::Mkdir { path: shown.to_owned() }, 3 * shown.len());
        Ok(())
    }

    /// Check for a planned folder.
    #[must_use]
    pub fn has_folder(&self, path: &Path) -> bool {
        locked(&self.0).folders.contains(path)
    }

    /// Path at which there is no file.
    ///
    /// # Errors
    /// If there is no temporary folder.
    pub fn nothing(&self) -> io::Result<PathBuf> {
        locked(&self.0).new_content()
    }

    /// Planned files, by the paths that the script gives, with their contents.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let recorded = locked(&self.0);
        let written = recorded.files.values().filter_map(|planned| {
            let Outside::Write { path, .. } = recorded.actions.get(planned.action?)? else {
                return None;
            };
            Some((path.clone(), std::fs::read(&planned.content).unwrap_or_default()))
        });
        written.collect()
    }

    /// Names of a folder's entries, from those on the disk: with the planned files, without the
    /// temporary folder of this recorder.
    #[must_use]
    pub fn names_in(&self, folder: &Path, on_disk: Vec<String>) -> Vec<String> {
        let recorded = locked(&self.0);
        let own = recorded.folder.as_ref().map(TempDir::path);
        let mut names = on_disk;
        names.retain(|name| own != Some(&folder.join(name)));
        for path in &recorded.folders {
            if path.parent() == Some(folder) {
                names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        for (path, planned) in &recorded.files {
            if path.parent() == Some(folder) && !planned.is_special {
                names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Plans a complete write of a file. `shown` is its path in the plan. Unless it `is_on_disk`,
    /// the file on the disk is ignored.
    ///
    /// # Errors
    /// Those of the write itself, as far as they can be known before it; and if there is no room
    /// for the content.
    pub fn write(
        &self,
        path: &Path,
        shown: &str,
        is_on_disk: bool,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut recorded = locked(&self.0);
        recorded.check_parents(path)?;
        if recorded.folders.contains(path) {
            return Err(Errno::ISDIR.into());
        }
        let is_special = match path.metadata() {
            _ if !is_on_disk => false,
            Ok(there) if there.is_dir() => return Err(Errno::ISDIR.into()),
            Ok(there) if !there.is_file() => {
                access(path, Access::WRITE_OK)?;
                true
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            // A file is replaced by one that is created beside it.
            _ => {
                recorded.check_folder(path)?;
                false
            }
        };
        // New content: a reader of the old content keeps it, as on the disk.
        let content = recorded.new_content()?;
        let mut out = io::BufWriter::new(File::create(&content)?);
        write(&mut out)?;
        out.flush()?;
        recorded.plan(path, shown, content, is_special);
        Ok(())
    }

    /// Plans that a file is opened for writing; returns the file to open in its place. `shown` is
    /// its path in the plan. Unless it `is_on_disk`, the file on the disk is ignored.
    ///
    /// # Errors
    /// Those of opening the file itself.
    pub fn open(
        &self,
        path: &Path,
        shown: &str,
        is_on_disk: bool,
        mode: OpenMode,
    ) -> io::Result<PathBuf> {
        let mut recorded = locked(&self.0);
        recorded.check_parents(path)?;
        if recorded.folders.contains(path) {
            return Err(Errno::ISDIR.into());
        }
        if let Some(planned) = recorded.files.get(path) {
            let (content, is_special) = (planned.content.clone(), planned.is_special);
            recorded.plan(path, shown, content.clone(), is_special);
            return Ok(content);
        }
        let nowhere = || Err(ErrorKind::NotFound.into());
        let about = if is_on_disk { path.metadata() } else { nowhere() };
        let (is_file, is_special) = match &about {
            Ok(there) if there.is_dir() => return Err(Errno::ISDIR.into()),
            Ok(there) => (there.is_file(), !there.is_file()),
            Err(_) => (false, false),
        };
        match about {
            Ok(_) if is_special => access(path, Access::WRITE_OK)?,
            // Neither makes nor changes anything.
            Ok(_) => drop(File::options().write(true).read(mode.reads).open(path)?),
            Err(error) if error.kind() == ErrorKind::NotFound && !mode.must_exist => {
                if is_on_disk {
                    recorded.check_folder(path)?;
                }
            }
            Err(_) if !is_on_disk => return Err(Errno::NOENT.into()),
            Err(error) => return Err(error),
        }
        let content = recorded.new_content()?;
        // A write-only file has no content that a script could read back.
        if !is_file || mode.truncates || std::fs::copy(path, &content).is_err() {
            File::create(&content)?;
        }
        recorded.plan(path, shown, content.clone(), is_special);
        Ok(content)
    }

    /// Approximate memory of the recorded actions, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        locked(&self.0).bytes
    }

    /// Recorded programs and files, in order; files with their sizes.
    #[must_use]
    pub fn actions(&self) -> Vec<Outside> {
        let mut recorded = locked(&self.0);
        recorded.measure();
        recorded.actions.clone()
    }

    /// Removes the temporary files, once the script has ended; the record stays.
    pub fn finish(&self) {
        let mut recorded = locked(&self.0);
        recorded.measure();
        recorded.files.clear();
        recorded.folders.clear();
        recorded.folder = None;
    }

    /// Forgets the record and the planned files; returns what was recorded.
    pub fn clear(&self) -> Vec<Outside> {
        std::mem::take(&mut *locked(&self.0)).actions
    }
}

impl RecordedActions {
    fn add(&mut self, action: Outside, bytes: usize) {
        self.bytes += bytes + ACTION_BYTES;
        self.actions.push(action);
    }

    fn check_parents(&self, path: &Path) -> io::Result<()> {
        let is_file = |parent: &Path| self.files.contains_key(parent);
        if !self.files.is_empty() && path.ancestors().skip(1).any(is_file) {
            return Err(Errno::NOTDIR.into());
        }
        Ok(())
    }

    /// Checks that an entry could be created in its folder.
    fn check_folder(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        if self.folders.contains(folder) {
            return Ok(());
        }
        if !folder.metadata()?.is_dir() {
            return Err(Errno::NOTDIR.into());
        }
        Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
    }

    fn new_content(&mut self) -> io::Result<PathBuf> {
        let folder = self.folder.take().map_or_else(new_folder, Ok)?;
        self.contents += 1;
        let content = folder.path().join(self.contents.to_string());
        self.folder = Some(folder);
        Ok(content)
    }

    fn plan(&mut self, path: &Path, shown: &str, content: PathBuf, is_special: bool) {
        let next = self.actions.len();
        let action = self.files.get(path).and_then(|planned| planned.action).unwrap_or(next);
        if action == next {
            self.add(Outside::Write { path: shown.to_owned(), bytes: 0 }, 3 * shown.len());
        }
        let action = Some(action);
        self.files.insert(path.to_owned(), Planned { action, content, is_special });
    }

    fn measure(&mut self) {
        for planned in self.files.values() {
            let action = planned.action.and_then(|action| self.actions.get_mut(action));
            if let Some(Outside::Write { bytes, .. }) = action {
                *bytes = planned.content.metadata().map_or(0, |about| about.len());
            }
        }
    }
}

/// Temporary folder for the contents of planned files.
fn new_folder() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    builder.tempdir().or_else(|error| {
        builder.tempdir_in(SHARED_MEMORY).map_err(|_| {
            let why = format!("no temporary folder for files of the plan: {error}");
            io::Error::new(error.kind(), why)
        })
    })
}

/// Checks that a program could be started, with the system's rules: a path as it is, a name in the
/// folders of `PATH`.
///
/// # Errors
/// The error of starting it.
pub fn check_program(program: &str, arguments: &[String]) -> io::Result<()> {
    if program.contains('\0') || arguments.iter().any(|argument| argument.contains('\0')) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "nul byte found in provided data"));
    }
    let check = |path: &Path| -> io::Result<()> {
        let about = path.metadata()?;
        if about.is_dir() {
            return Err(Errno::ACCESS.into());
        }
        Ok(access(path, Access::EXEC_OK)?)
    };
    if program.contains('/') {
        return check(Path::new(program));
    }
    let mut problem = Errno::NOENT.into();
    if program.is_empty() {
        return Err(problem);
    }
    let folders = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    for folder in std::env::split_paths(&folders) {
        match check(&folder.join(program)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => problem = error,
            _ => {}
        }
    }
    Err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: OpenMode = OpenMode { must_exist: false, truncates: true, reads: false };
    const APPEND: OpenMode = OpenMode { must_exist: false, truncates: false, reads: false };
    const UPDATE: OpenMode = OpenMode { must_exist: true, truncates: false, reads: true };

    #[test]
    fn a_planned_file_is_read_back_and_the_disk_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        std::fs::write(&old, "before").expect("a file");
        let recorder = Recorder::default();
        recorder.write(&new, "new", true, |out| out.write_all(b"planned")).expect("it is planned");
        let content = recorder.open(&old, "old", true, APPEND).expect("it is planned");
        assert_eq!(std::fs::read_to_string(&content).expect("a copy"), "before");
        std::fs::write(&content, "before and after").expect("a planned file");
        assert_eq!(recorder.open(&old, "./old", true, UPDATE).expect("the same"), content);
        let names = recorder.names_in(folder.path(), vec!["old".into()]);
        assert_eq!(names, ["new", "old"]);
        let inside = recorder.planned(&new.join("child")).expect_err("a file is no folder");
        assert_eq!(inside.kind(), ErrorKind::NotADirectory);
        let listed = [("new", 7), ("old", 16)]
            .map(|(path, bytes)| Outside::Write { path: path.into(), bytes });
        assert_eq!(recorder.actions(), listed);
        recorder.finish();
        assert_eq!(recorder.actions(), listed, "the sizes stay");
        assert!(!content.exists() && !new.exists());
        assert_eq!(std::fs::read_to_string(&old).expect("the file"), "before");
    }

    #[test]
    fn a_planned_folder_is_found_and_takes_files() {
        let home = tempfile::tempdir().expect("a folder");
        let recorder = Recorder::default();
        let deep = home.path().join("a/b");
        recorder.mkdir(&deep, "a/b", true).expect("it is planned");
        recorder.mkdir(&home.path().join("a"), "a", true).expect("it is there already");
        recorder.mkdir(home.path(), ".", true).expect("it is there already");
        assert!(recorder.has_folder(&deep) && !deep.exists());
        recorder.write(&deep.join("x"), "a/b/x", true, |out| out.write_all(b"1")).expect("a file");
        assert_eq!(recorder.names_in(&deep, Vec::new()), ["x"]);
        assert_eq!(recorder.names_in(home.path(), Vec::new()), ["a"]);
        let error = recorder.mkdir(&deep.join("x/y"), "", true).expect_err("a file is no folder");
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        let error = recorder.mkdir(&deep.join("x"), "", true).expect_err("a file is there");
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        let error = recorder.write(&deep, "", true, |_| Ok(())).expect_err("it is a folder");
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
        assert_eq!(recorder.planned(&deep).expect_err("it").kind(), ErrorKind::IsADirectory);
        let listed = [
            Outside::Mkdir { path: "a/b".into() },
            Outside::Write { path: "a/b/x".into(), bytes: 1 },
        ];
        assert_eq!(recorder.actions(), listed);
    }

    #[test]
    fn errors_are_those_of_a_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let recorder = Recorder::default();
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("a file");
        let cases = [
            (folder.path().to_owned(), WRITE, ErrorKind::IsADirectory),
            (folder.path().join("missing/file"), WRITE, ErrorKind::NotFound),
            (folder.path().join("missing"), UPDATE, ErrorKind::NotFound),
            (file.join("child"), APPEND, ErrorKind::NotADirectory),
            (folder.path().join("x".repeat(300)), WRITE, ErrorKind::InvalidFilename),
        ];
        for (path, mode, kind) in cases {
            let error =
                recorder.open(&path, "shown", true, mode).expect_err("it cannot be written");
            assert_eq!(error.kind(), kind, "{} {mode:?}", path.display());
        }
        assert!(recorder.actions().is_empty());
    }

    #[test]
    fn a_program_that_cannot_be_started_is_found_out() {
        let none = Vec::new();
        check_program("sh", &none).expect("a name on the path");
        check_program("/bin/sh", &none).expect("a path");
        for (program, kind) in [
            ("iamlua-no-such-program", ErrorKind::NotFound),
            ("/no/such/program", ErrorKind::NotFound),
            ("", ErrorKind::NotFound),
            ("/tmp", ErrorKind::PermissionDenied),
            ("a\0b", ErrorKind::InvalidInput),
        ] {
            assert_eq!(check_program(program, &none).expect_err(program).kind(), kind);
        }
    }
}
