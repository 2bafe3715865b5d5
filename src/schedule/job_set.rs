//! Set of jobs: the runbooks in the paths of the command line, and their manifests. A refresh reads
//! only files that have changed.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;

use super::failure;
use crate::app::run;
use crate::app::script::{Loaded, Script};
use crate::error::{Error, Kind, Result};
use crate::lua::JobSpec;
use crate::lua::sandbox::Permissions;
use crate::lua::scopes::parse;
use crate::lua::tokens::{Token, TokenKind as token, tokens};
use crate::spec;

/// Time without changes after which a changed file is read, so that no half-written file is read.
pub const SETTLED: Duration = Duration::from_millis(300);

/// Upper bound on the number of manifests that are read at once.
const MAX_CONCURRENT_READS: usize = 32;

/// Time after which a runbook counts as broken if its manifest cannot be read and it cannot be
/// stopped; longer than the time limit for its manifest.
const MANIFEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Time to wait for manifests where all must be known. The time limit of a single manifest is much
/// shorter.
const LONG_WAIT: Duration = Duration::from_mins(1);

/// Time to wait for manifests where a slow one must not delay the others.
pub const SHORT_WAIT: Duration = Duration::from_millis(500);

const NO_MANIFEST: &str =
    "it does not come to its manifest: runbook { … } must be the first thing that it does";

/// Kind of file at a path.
#[derive(Clone, Debug, PartialEq)]
pub enum FileKind {
    /// Runbook with a schedule.
    Job(Arc<Runbook>),
    /// Runbook that cannot run, with the reason.
    Broken(String),
    /// Any other file.
    Other,
}

/// Runbook with a schedule.
#[derive(Clone, Debug, PartialEq)]
pub struct Runbook {
    /// Description in its manifest.
    pub description: Option<String>,
    /// Schedule, retries and notifications.
    pub job: JobSpec,
}

/// Job, or a broken runbook.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Absolute path of the runbook, with symbolic links as they are.
    pub path: PathBuf,
    /// Name of the job.
    pub name: String,
    /// The runbook, or the reason why it is broken.
    pub what: Result<Arc<Runbook>, String>,
}

/// Settings for reading manifests.
#[derive(Clone)]
pub struct Asking {
    /// Permissions of a runbook while its manifest is read, and when it runs.
    pub permissions: Permissions,
    /// Set if runbooks run no programs and write no files, because they are planned.
    pub is_planned: bool,
    /// Runtime for their calls.
    pub runtime: Handle,
}

/// File identity and version: equal stamps mean an unchanged file.
type Stamp = Option<(u64, u64, u64, i64, i64, i64)>;

/// Stamp that no file has, for one that must be read.
const UNREAD: Stamp = Some((u64::MAX, 0, 0, 0, 0, 0));

/// Result of a refresh.
#[derive(Clone, Copy, Debug)]
pub struct Refresh {
    /// Set if the jobs have changed.
    pub has_changed: bool,
    /// Set if a file is still changing, and another refresh is due soon.
    pub is_changing: bool,
}

#[derive(Debug)]
struct Candidate {
    stamp: Stamp,
    what: FileKind,
    /// Stamp of a newer version, and the time of the refresh that found it first.
    changed: Option<(Stamp, Duration)>,
}

/// Manifest of a file, with the stamp of the version that was read.
type ManifestRead = (PathBuf, Stamp, FileKind);

/// Manifests that are being read, each on its own thread.
struct Asked {
    answers: (Sender<ManifestRead>, Receiver<ManifestRead>),
    /// Manifests that are not read yet, with their start.
    waiting: BTreeMap<PathBuf, (Stamp, Instant)>,
    threads: usize,
    /// Time after which a manifest is given up.
    hanging: Duration,
}

impl Asked {
    fn new() -> Self {
        Self { answers: channel(), waiting: BTreeMap::new(), threads: 0, hanging: MANIFEST_TIMEOUT }
    }

    /// Starts reading these manifests, and returns all that are finished within `patience`, also of
    /// earlier calls.
    fn ask(
        &mut self,
        wanted: Vec<(PathBuf, Stamp, bool)>,
        manifest_settings: &Asking,
        patience: Duration,
    ) -> Vec<ManifestRead> {
        let end = Instant::now() + patience;
        let mut wanted = wanted.into_iter();
        let mut came = Vec::new();
        loop {
            while self.threads < MAX_CONCURRENT_READS
                && let Some((path, stamp, is_named)) = wanted.next()
            {
                self.start(path, stamp, is_named, manifest_settings);
            }
            came.extend(self.give_up());
            let first = self.waiting.values().map(|(_, since)| *since + self.hanging).min();
            let Some(first) = first else { return came };
            let left = end.min(first).saturating_duration_since(Instant::now());
            let Ok((path, stamp, what)) = self.answers.1.recv_timeout(left) else {
                if Instant::now() >= end {
                    return came;
                }
                continue;
            };
            self.threads = self.threads.saturating_sub(1);
            if self.is_asked(&path, stamp) {
                self.waiting.remove(&path);
                came.push((path, stamp, what));
            }
        }
    }

    /// Returns true if the manifest of that version is being read.
    fn is_asked(&self, path: &Path, stamp: Stamp) -> bool {
        self.waiting.get(path).is_some_and(|(asked, _)| *asked == stamp)
    }

    /// Gives up runbooks that do not finish, such as one in a long `string.find`. Their threads
    /// keep running.
    fn give_up(&mut self) -> Vec<ManifestRead> {
        let is_over = |since: &Instant| since.elapsed() >= self.hanging;
        let over = self.waiting.iter().filter(|(_, (_, since))| is_over(since));
        let over: Vec<_> = over
            .map(|(path, (stamp, _))| (path.clone(), *stamp, FileKind::Broken(NO_MANIFEST.into())))
            .collect();
        for (path, ..) in &over {
            self.waiting.remove(path);
        }
        over
    }

    fn start(&mut self, path: PathBuf, stamp: Stamp, is_named: bool, manifest_settings: &Asking) {
        self.waiting.insert(path.clone(), (stamp, Instant::now()));
        self.threads += 1;
        let (manifest_settings, answers) = (manifest_settings.clone(), self.answers.0.clone());
        let asked = path.clone();
        let work = move || {
            let what = ask(&asked, stamp, is_named, &manifest_settings);
            // The job set may be dropped by then.
            let _ = answers.send((asked, stamp, what));
        };
        let thread = std::thread::Builder::new().name("iamlua-manifest".into());
        if let Err(error) = thread.spawn(work) {
            let error = Error::io("cannot start a thread that reads it", error);
            let _ = self.answers.0.send((path, stamp, FileKind::Broken(one_line(&error))));
        }
    }
}

/// Set of the files that may be jobs.
pub struct JobSet {
    paths: Vec<PathBuf>,
    seen: BTreeMap<PathBuf, Candidate>,
    /// Set after the first refresh. Files that the first one finds are not new.
    has_looked: bool,
    asked: Asked,
    patience: Duration,
}

impl JobSet {
    /// Creates a set of these files, and of the runbooks in these folders.
    ///
    /// # Errors
    /// If a path does not exist.
    pub fn new(paths: &[PathBuf]) -> Result<Self> {
        let mut all = Vec::new();
        for path in paths {
            if !path.exists() {
                return Err(missing(path));
            }
            let path = identity(path)?;
            if !all.contains(&path) {
                all.push(path);
            }
        }
        Ok(Self::of_known(all))
    }

    /// Creates a set of files that were jobs before, and may not exist any more.
    #[must_use]
    pub fn of_known(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            seen: BTreeMap::new(),
            has_looked: false,
            asked: Asked::new(),
            patience: LONG_WAIT,
        }
    }

    /// Sets the time that a refresh waits for manifests. The next refresh returns the later ones.
    #[must_use]
    pub fn waiting(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Returns true while manifests are being read.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        !self.asked.waiting.is_empty()
    }

    /// Files and folders of the set.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Refreshes the set. `now` is a monotonic time.
    pub fn look(&mut self, manifest_settings: &Asking, now: Duration) -> Refresh {
        let is_first = !std::mem::replace(&mut self.has_looked, true);
        let mut there = BTreeMap::new();
        let (mut has_changed, mut is_changing) = (false, false);
        let mut wanted = Vec::new();
        for path in &self.paths {
            if path.is_dir() {
                // The folder may have replaced a file that was a job.
                let before = self.seen.remove(path);
                has_changed |= before.is_some_and(|seen| seen.what != FileKind::Other);
                for file in runbooks_in(path) {
                    there.entry(file).or_insert(false);
                }
            } else {
                there.insert(path.clone(), true);
            }
        }
        for known in self.seen.keys() {
            there.entry(known.clone()).or_insert(false);
        }
        for (path, is_named) in there {
            let stamp = stamp(&path);
            let seen = self.seen.entry(path.clone()).or_insert_with(|| Candidate {
                stamp: UNREAD,
                what: FileKind::Other,
                changed: Some((stamp, now)),
            });
            if seen.stamp == stamp {
                seen.changed = None;
                continue;
            }
            if self.asked.is_asked(&path, stamp) {
                continue;
            }
            let since = match seen.changed {
                Some((same, since)) if same == stamp => since,
                _ => now,
            };
            if !is_first && now.saturating_sub(since) < SETTLED {
                seen.changed = Some((stamp, since));
                is_changing = true;
                continue;
            }
            wanted.push((path, stamp, is_named));
        }
        for (path, stamp, what) in self.asked.ask(wanted, manifest_settings, self.patience) {
            let Some(seen) = self.seen.get_mut(&path) else { continue };
            has_changed |= what != seen.what;
            *seen = Candidate { stamp, what, changed: None };
        }
        is_changing |= self.is_asking();
        self.seen.retain(|path, seen| {
            seen.stamp.is_some() || seen.changed.is_some() || self.paths.contains(path)
        });
        Refresh { has_changed, is_changing }
    }

    /// Marks all files as unread, so that the next refresh reads them.
    pub fn forget(&mut self) {
        for seen in self.seen.values_mut() {
            seen.stamp = UNREAD;
            seen.changed = None;
        }
        self.asked.waiting.clear();
    }

    /// Jobs and broken runbooks, by path.
    #[must_use]
    pub fn jobs(&self) -> Vec<Listed> {
        let listed: Vec<_> = self
            .seen
            .iter()
            .filter_map(|(path, seen)| match &seen.what {
                FileKind::Job(runbook) => Some((path, Ok(Arc::clone(runbook)))),
                FileKind::Broken(why) => Some((path, Err(why.clone()))),
                FileKind::Other => None,
            })
            .collect();
        let paths: Vec<_> = listed.iter().map(|(path, _)| path.as_path()).collect();
        let names = names(&paths);
        let jobs = listed.into_iter().zip(names);
        jobs.map(|((path, what), name)| Listed { path: path.clone(), name, what }).collect()
    }
}

/// Absolute path that identifies a job. Symbolic links are kept, so that a job stays the same when
/// a link is switched to a new version.
fn identity(path: &Path) -> Result<PathBuf> {
    let failed = |error| Error::io(format!("cannot look at {}", path.display()), error);
    let path = std::path::absolute(path).map_err(failed)?;
    let parts: Vec<_> = path.components().collect();
    // The component before `..` can only be resolved by following links.
    let Some(last_up) = parts.iter().rposition(|part| *part == Component::ParentDir) else {
        return Ok(path);
    };
    let before: PathBuf = parts[..=last_up].iter().collect();
    let rest: PathBuf = parts[last_up + 1..].iter().collect();
    let before = before.canonicalize().map_err(failed)?;
    Ok(if rest.as_os_str().is_empty() { before } else { before.join(rest) })
}

fn missing(path: &Path) -> Error {
    let error = Error::usage(format!("there is no runbook or folder {}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let names: Vec<String> = std::fs::read_dir(folder.unwrap_or(Path::new(".")))
        .map(|all| all.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
        .unwrap_or_default();
    let wanted = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    match spec::nearest(wanted, names.iter().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean {}?", path.with_file_name(near).display())),
        None => error,
    }
}

/// Suffix of the names of test files, which are not jobs.
const TESTS: &str = "_test.lua";

/// Files in a folder that may be runbooks.
fn runbooks_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name());
    let is_lua = |name: &std::ffi::OsString| {
        let name = name.to_string_lossy();
        name.ends_with(".lua") && !name.ends_with(TESTS) && !name.starts_with('.')
    };
    names.filter(is_lua).map(|name| folder.join(name)).collect()
}

fn stamp(path: &Path) -> Stamp {
    let about: Metadata = path.metadata().ok().filter(|about| !about.is_dir())?;
    Some((about.dev(), about.ino(), about.size(), about.mtime(), about.mtime_nsec(), about.ctime()))
}

/// Reads the kind of file at a path. A path on the command line must be a job; a folder may hold
/// other files.
fn ask(path: &Path, stamp: Stamp, is_named: bool, manifest_settings: &Asking) -> FileKind {
    if stamp.is_none() {
        return if is_named { FileKind::Broken("it is gone".into()) } else { FileKind::Other };
    }
    if path.to_str().is_none() {
        return FileKind::Broken("its name is no UTF-8: give it another name".into());
    }
    let no_job = |why: &str| {
        if is_named { FileKind::Broken(why.to_owned()) } else { FileKind::Other }
    };
    // Reading from a pipe would block.
    if !path.is_file() {
        return no_job("it is no file, but a pipe or a device");
    }
    let loaded = match Loaded::read(&Script::File(path.to_owned())) {
        Ok(loaded) => loaded,
        Err(error) => return FileKind::Broken(one_line(&error)),
    };
    // A module without a manifest is not run.
    let mention = mention(&loaded.source);
    if mention == Mention::None {
        return no_job(
            "it does not declare itself: a job begins with runbook { schedule = \"0 3 * * *\", … }",
        );
    }
    // A possible module must not write files or start programs while its manifest is read.
    let is_planned = manifest_settings.is_planned || mention == Mention::InFunctions;
    let permissions = manifest_settings.permissions.clone();
    let declared = match run::declared(loaded, permissions, is_planned, &manifest_settings.runtime)
    {
        // A script that calls iam first may not be a runbook.
        Err(error) if error.kind == Kind::Refused => return no_job(&one_line(&error)),
        Err(error) if error.kind == Kind::Timeout => {
            return FileKind::Broken(NO_MANIFEST.into());
        }
        Err(error) => return FileKind::Broken(one_line(&error)),
        Ok(None) => return no_job("it does not call runbook { … }, so it says no schedule"),
        Ok(Some(manifest)) => manifest,
    };
    let Some(job) = declared.job else {
        return no_job("its manifest has neither schedule nor every, so it is never due");
    };
    if !declared.required.is_empty() {
        return FileKind::Broken(format!(
            "it cannot run without {}: give its parameters defaults",
            declared.required.join(", ")
        ));
    }
    let missing: Vec<_> = declared
        .permissions
        .iter()
        .filter(|(access, what)| !manifest_settings.permissions.covers(*access, what))
        .map(|(access, what)| access.flag(what))
        .collect();
    if !missing.is_empty() {
        return FileKind::Broken(format!(
            "it wants more than it was granted: start iamlua schedule with {}",
            missing.join(" ")
        ));
    }
    if let Err(error) = failure::check(&job.on_failure, &manifest_settings.permissions) {
        return FileKind::Broken(one_line(&error));
    }
    FileKind::Job(Arc::new(Runbook { description: declared.description, job }))
}

/// Waits until a file is unchanged for [`SETTLED`], so that no half-written file runs. Gives up on
/// a file that changes all the time.
pub(super) fn wait_until_settled(path: &Path) {
    for _ in 0..10 {
        let changed = path.metadata().and_then(|about| about.modified()).ok();
        let age = changed.and_then(|at| SystemTime::now().duration_since(at).ok());
        match age.and_then(|age| SETTLED.checked_sub(age)).filter(|left| !left.is_zero()) {
            Some(left) => std::thread::sleep(left),
            None => return,
        }
    }
}

/// Use of the word `runbook` in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mention {
    /// None, or only in comments, strings and field names.
    None,
    /// Only in function bodies.
    InFunctions,
    /// In the main chunk, which may call it at once.
    Direct,
}

/// Finds the use of `runbook` in a file, by its source, without running it.
fn mention(source: &[u8]) -> Mention {
    const WORD: &str = "runbook";
    let source = String::from_utf8_lossy(source);
    if !source.contains(WORD) {
        return Mention::None;
    }
    let text = source.trim_start_matches('\u{feff}');
    let text = match text.strip_prefix('#') {
        Some(rest) => rest.find('\n').map_or("", |end| &rest[end..]),
        None => text,
    };
    let all = tokens(text);
    let is_text = |token: &Token| match token.kind {
        // The name in a `require`.
        token::Text { is_closed } => {
            !is_closed || token.text(text).trim_matches(['"', '\'', '[', ']', '=']) == WORD
        }
        token::Comment { is_closed } => !is_closed,
        _ => false,
    };
    let Some(chunk) = parse(text).filter(|_| !all.iter().any(is_text)) else {
        // Invalid source: Lua reports the syntax error.
        return Mention::Direct;
    };
    let is_field = all.iter().any(|token| token.is(text, WORD))
        && chunk.names().any(|name| ["_G", "_ENV"].contains(&name.text.as_str()));
    let named = chunk.names().filter(|name| name.text == WORD && !name.is_assigned);
    let named: Vec<_> = named.map(|name| name.in_function).collect();
    match named.as_slice() {
        _ if is_field => Mention::Direct,
        [] => Mention::None,
        named if named.iter().all(|in_function| *in_function) => Mention::InFunctions,
        _ => Mention::Direct,
    }
}

/// Error with its hints, in one line.
pub(super) fn one_line(error: &Error) -> String {
    let hints = error.hints.iter().filter(|hint| !hint.starts_with('\n'));
    hints.fold(error.to_string(), |text, hint| format!("{text}; {hint}"))
}

/// Names of jobs: the file name, with as many folders as make it unique.
fn names(paths: &[&Path]) -> Vec<String> {
    let name = |path: &Path, folders: usize| {
        let stem = path.with_extension("");
        let parts: Vec<_> = stem
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        parts[parts.len().saturating_sub(folders + 1)..].join("/")
    };
    let mut folders = vec![0; paths.len()];
    loop {
        let names: Vec<_> =
            paths.iter().zip(&folders).map(|(path, folders)| name(path, *folders)).collect();
        let mut counts = BTreeMap::new();
        for name in &names {
            *counts.entry(name.as_str()).or_insert(0) += 1;
        }
        let mut grew = false;
        for (at, path) in paths.iter().enumerate() {
            if counts[names[at].as_str()] > 1 && folders[at] < path.components().count() {
                folders[at] += 1;
                grew = true;
            }
        }
        if !grew {
            return names;
        }
    }
}

#[cfg(test)]
mod tests;
