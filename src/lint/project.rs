//! Files that are checked together: discovery, the modules that they require, and the findings that
//! are certain when all of them are known.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::analysis::{Facts, analyze};
use super::findings::{Doubt, Draft, Finding, Lines, Rule, Severity};
use super::names::{Names, names};
use super::report::Report;
use super::suppression::Suppressions;
use super::syntax;
use crate::app::run::{self, Inspection};
use crate::app::script::{Loaded, Script};
use crate::error::{Error, Kind, Result};
use crate::lua::{self, SyntaxError, mistakes};
use crate::spec::nearest;

/// Suffix of the names of test files.
const TEST_SUFFIX: &str = "_test.lua";
/// Largest script whose names are checked. Larger ones are generated, and take much memory.
const MAX_BYTES: usize = 4 << 20;
/// Memory limit of the compilation of a script.
const MAX_MEMORY: usize = 1 << 30;
/// Time that the compilation of a script may take.
const TIME: Duration = Duration::from_secs(20);
/// Stack of the compilation, as of a main thread.
const COMPILER_STACK: usize = 8 << 20;
/// Largest number of modules that are read besides the files that are checked.
const MAX_MODULES: usize = 1_000;
/// Stack of the analysis, which follows the nesting of a script.
const STACK: usize = 256 << 20;

/// Script to check.
#[derive(Clone, Debug)]
pub enum Input {
    /// File.
    File(PathBuf),
    /// Standard input, and the path that it has in reports.
    Stdin(PathBuf),
}

/// Settings of a check.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Globals that the embedding program defines.
    pub globals: Vec<String>,
    /// Names of options of the program, which parameters of a runbook cannot have.
    pub reserved: Vec<String>,
}

/// Finds the scripts at paths, in the order of the paths.
///
/// A file is taken whatever its name. A folder stands for every `*.lua` in it at any depth, by
/// name. Hidden folders, `target` folders, links to folders and special files are left out.
///
/// # Errors
/// A usage error for a path that does not exist; an I/O error for an unreadable folder.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut found).map_err(|error| {
                Error::io(format!("cannot read the folder {}", path.display()), error)
            })?;
        } else if path.exists() {
            found.push(path.clone());
        } else {
            let message = format!("there is no file or folder {}", path.display());
            return Err(Error::usage(message));
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<std::io::Result<_>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        // Paths begin with the folder as it was named, and `.` says nothing.
        let path = path.strip_prefix(".").map(Path::to_owned).unwrap_or(path);
        if entry.file_type()?.is_dir() {
            if name != "target" && walk(&path, found).is_err() {
                // Reading it reports why.
                found.push(path);
            }
        } else if name.ends_with(".lua") && (path.is_file() || !path.exists()) {
            found.push(path);
        }
    }
    Ok(())
}

/// Checks scripts. Nothing in them runs.
///
/// # Errors
/// If standard input cannot be read, or the names that scripts have cannot be told.
pub fn check(inputs: &[Input], settings: &Settings) -> Result<Report> {
    let names = names()?;
    with_stack(|| {
        let mut project = Project::default();
        for input in inputs {
            project.read(names, input, settings)?;
        }
        project.check(names, settings)
    })
}

/// Checks the text of a script as a file of that name.
///
/// # Errors
/// If the names that scripts have cannot be told.
pub fn check_text(text: &[u8], name: &str) -> Result<Report> {
    let names = names()?;
    let settings = Settings::default();
    with_stack(|| {
        let mut project = Project::default();
        project.add(names, Path::new(name), Ok(text.to_vec()), true, &settings);
        project.check(names, &settings)
    })
}

/// Does the work on a thread with a large stack. The depth of a script is bounded by Lua, and so is
/// what its analysis takes of the stack.
fn with_stack(work: impl FnOnce() -> Result<Report> + Send) -> Result<Report> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("iamlua-check".into()).stack_size(STACK);
        let thread = thread
            .spawn_scoped(scope, work)
            .map_err(|error| Error::io("cannot start a thread for the check", error))?;
        thread.join().map_err(|_| Error::new(Kind::Bug, "the check ended in an unexpected way"))?
    })
}

/// A file and what is known of it.
#[derive(Default)]
struct File {
    /// Path, as it was named.
    path: PathBuf,
    /// Mark of a file that is checked, and not only followed.
    is_checked: bool,
    /// Text, with invalid UTF-8 replaced.
    source: String,
    facts: Facts,
    /// Files that it requires, by the names of the modules.
    modules: BTreeMap<String, usize>,
    /// Failure to follow all that it requires.
    is_open: bool,
}

/// Files by their real paths.
#[derive(Default)]
struct Project {
    files: Vec<File>,
    by_path: BTreeMap<PathBuf, usize>,
    /// Number of files that are only followed.
    followed: usize,
}

impl Project {
    /// Adds an input, unless it is there.
    fn read(&mut self, names: &'static Names, input: &Input, settings: &Settings) -> Result<()> {
        let (script, path) = match input {
            Input::File(path) => (Script::File(path.clone()), path),
            Input::Stdin(path) => (Script::Stdin, path),
        };
        let is_stdin = matches!(input, Input::Stdin(_));
        let real = path.canonicalize().ok().filter(|_| !is_stdin);
        if real.is_some_and(|real| self.by_path.contains_key(&real)) {
            return Ok(());
        }
        let source = match Loaded::read(&script) {
            Err(error) if is_stdin && error.kind == Kind::Io => return Err(error),
            loaded => loaded.map(|loaded| loaded.source),
        };
        self.add(names, path, source, true, settings);
        Ok(())
    }

    /// Follows what the files require, and reports.
    fn check(mut self, names: &'static Names, settings: &Settings) -> Result<Report> {
        let mut at = 0;
        while at < self.files.len() {
            self.follow(names, at, settings);
            at += 1;
        }
        let checked = self.files.iter().filter(|file| file.is_checked).count();
        let mut findings = self.findings(settings)?;
        findings.sort_by(|a, b| {
            (&a.path, a.start, a.severity, a.rule).cmp(&(&b.path, b.start, b.severity, b.rule))
        });
        Ok(Report { findings, files: checked })
    }

    /// Adds a file, and returns its number.
    fn add(
        &mut self,
        names: &'static Names,
        path: &Path,
        source: Result<Vec<u8>>,
        is_checked: bool,
        settings: &Settings,
    ) -> usize {
        let mut file = File { path: path.to_owned(), is_checked, ..File::default() };
        let is_test =
            path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(TEST_SUFFIX));
        match source {
            Err(error) => {
                let draft = Draft::error(Rule::Unreadable, 0..0, error.to_string());
                let hints: Vec<_> = error.hints.iter().map(String::as_str).collect();
                file.facts.drafts.push(draft.hint(hints.join("; ")));
                file.is_open = true;
            }
            Ok(bytes) => {
                let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
                file.source = String::from_utf8_lossy(text).into_owned();
                file.facts = facts_of(names, &file.source, text, is_test, settings);
            }
        }
        self.files.push(file);
        let number = self.files.len() - 1;
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.by_path.insert(real, number);
        number
    }

    /// Adds the modules that a file requires.
    fn follow(&mut self, names: &'static Names, number: usize, settings: &Settings) {
        let mut wanted: Vec<_> = self.files[number].facts.requires.clone();
        wanted.dedup_by(|a, b| a.module == b.module);
        let folders = folders_above(&self.files[number].path);
        for requirement in wanted {
            let found =
                folders.iter().find_map(|folder| module_file(names, folder, &requirement.module));
            let Some(path) = found else {
                if !requirement.is_optional {
                    let draft = missing(&folders, &requirement.module);
                    let draft = Draft { span: requirement.span, ..draft };
                    self.files[number].facts.drafts.push(draft);
                }
                continue;
            };
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            let known = self.by_path.get(&real).copied();
            let module = match known {
                Some(module) => module,
                None if self.followed >= MAX_MODULES => {
                    self.files[number].is_open = true;
                    continue;
                }
                None => {
                    self.followed += 1;
                    let source = Loaded::read(&Script::File(path.clone()));
                    self.add(names, &path, source.map(|loaded| loaded.source), false, settings)
                }
            };
            self.files[number].modules.insert(requirement.module, module);
        }
    }

    /// Files that run together, by their numbers: a file, what it requires, and what requires it.
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); self.files.len()];
        for (number, file) in self.files.iter().enumerate() {
            for module in file.modules.values() {
                neighbours[number].push(*module);
                neighbours[*module].push(number);
            }
        }
        let mut seen = vec![false; self.files.len()];
        let mut groups = Vec::new();
        for start in 0..self.files.len() {
            let (mut group, mut next) = (Vec::new(), vec![start]);
            while let Some(number) = next.pop() {
                if !std::mem::replace(&mut seen[number], true) {
                    group.push(number);
                    next.extend(&neighbours[number]);
                }
            }
            if !group.is_empty() {
                groups.push(group);
            }
        }
        groups
    }

    fn findings(&self, settings: &Settings) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for group in self.groups() {
            let shared = Shared::of(group.iter().map(|number| &self.files[*number]));
            let of_tests = self.modules_of_tests(&group);
            for number in group {
                let file = &self.files[number];
                if file.is_checked {
                    let is_of_test = of_tests.contains(&number);
                    let facts = (&shared, is_of_test);
                    self.findings_in(number, file, facts, settings, &mut findings)?;
                }
            }
        }
        Ok(findings)
    }

    /// Files of a group that a test file requires, directly or through others.
    fn modules_of_tests(&self, group: &[usize]) -> BTreeSet<usize> {
        let is_test = |number: &usize| {
            let name = self.files[*number].path.file_name();
            name.is_some_and(|name| name.to_string_lossy().ends_with(TEST_SUFFIX))
        };
        let mut next: Vec<usize> = group.iter().copied().filter(is_test).collect();
        let mut found = BTreeSet::new();
        while let Some(number) = next.pop() {
            if found.insert(number) {
                next.extend(self.files[number].modules.values());
            }
        }
        found
    }

    fn findings_in(
        &self,
        number: usize,
        file: &File,
        (shared, is_of_test): (&Shared, bool),
        settings: &Settings,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let mut drafts: Vec<Draft> = file.facts.drafts.clone();
        for used in &file.facts.module_uses {
            let module = file.modules.get(&used.module).map(|number| &self.files[*number].facts);
            let Some(exports) = module.and_then(|facts| facts.exports.as_ref()) else { continue };
            if !exports.contains(&used.field) {
                let message = format!("the module `{}` has no `{}`", used.module, used.field);
                let rule = Rule::UndefinedField;
                let draft = Draft::of(used.needs_value, rule, used.span.clone(), message);
                let near = nearest(&used.field, exports.iter().map(String::as_str));
                drafts.push(draft.near(near).unless(Doubt::Field(used.field.clone())));
            }
        }
        drafts.retain(|draft| {
            !draft.unless.iter().any(|doubt| match doubt {
                Doubt::Global(name) => shared.is_open || shared.globals.contains(name),
                Doubt::Replaced(name) => shared.globals.contains(name),
                Doubt::Field(name) => shared.fields.contains(name),
                Doubt::Table(name) => shared.handed_on.contains(name),
                Doubt::Test => is_of_test,
                Doubt::Tested(name) => file.facts.tested.contains(name),
            })
        });
        if let Some(manifest) = &file.facts.manifest {
            let is_iam_handed_on = shared.handed_on.iter().any(|table| table.starts_with("iam"));
            if !shared.is_open && !is_iam_handed_on {
                let (mentioned, library) = self.reached(number);
                drafts.extend(manifest.unused(&mentioned, library));
            }
            let is_wrong = drafts.iter().any(|draft| {
                draft.severity == Severity::Error
                    && manifest.span.start <= draft.span.start
                    && draft.span.end <= manifest.span.end
            });
            let text = manifest.text.clone().or_else(|| manifest.only_params());
            if let Some(text) = text.filter(|_| !is_wrong) {
                let error = refusal(&text, &settings.reserved)?;
                drafts.extend(error.map(|error| manifest.refused(&error.message, &error.hints)));
            }
        }
        let lines = Lines::of(&file.source);
        let suppressions = Suppressions::of(&file.source, &lines);
        drafts.retain(|draft| !suppressions.cover(draft.rule, lines.number(draft.span.start)));
        findings.extend(drafts.into_iter().map(|draft| located(file, &lines, draft)));
        Ok(())
    }

    /// Functions of `iam` that a file and its modules name, and whether a module of the library
    /// calls others.
    fn reached(&self, number: usize) -> (BTreeSet<&'static str>, bool) {
        let (mut next, mut seen) = (vec![number], BTreeSet::new());
        let (mut mentioned, mut by_library) = (BTreeSet::new(), false);
        while let Some(number) = next.pop() {
            if seen.insert(number) {
                let file = &self.files[number];
                mentioned.extend(&file.facts.mentioned);
                by_library |= file.facts.uses_iam_by_library;
                next.extend(file.modules.values());
            }
        }
        (mentioned, by_library)
    }
}

/// Facts about files that run together.
struct Shared {
    globals: BTreeSet<String>,
    fields: BTreeSet<String>,
    handed_on: BTreeSet<String>,
    is_open: bool,
}

impl Shared {
    fn of<'f>(files: impl Iterator<Item = &'f File>) -> Self {
        let mut shared = Self {
            globals: BTreeSet::new(),
            fields: BTreeSet::new(),
            handed_on: BTreeSet::new(),
            is_open: false,
        };
        for file in files {
            shared.globals.extend(file.facts.globals.iter().cloned());
            shared.fields.extend(file.facts.fields.iter().cloned());
            shared.handed_on.extend(file.facts.handed_on.iter().cloned());
            shared.is_open |= file.is_open || file.facts.is_open;
        }
        shared
    }
}

/// File of a module in the folder of a script.
fn module_file(names: &Names, folder: &Path, module: &str) -> Option<PathBuf> {
    let relative = module.replace('.', "/");
    let templates = names.templates.iter().map(|one| one.strip_prefix("./").unwrap_or(one));
    let mut paths = templates.map(|template| folder.join(template.replace('?', &relative)));
    paths.find(|path| path.is_file())
}

/// Folders in which a script may find its modules: its own and, for a module, those of the script
/// that requires it, up to the root of the project.
fn folders_above(path: &Path) -> Vec<PathBuf> {
    /// Files that only the root of a project has.
    const ROOTS: [&str; 3] = ["iamlua.toml", ".luarc.json", ".git"];
    /// Depth of modules in folders.
    const MOST: usize = 8;
    let own = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut folders = vec![own.clone()];
    let Ok(real) = own.canonicalize() else { return folders };
    let is_root = |folder: &Path| ROOTS.iter().any(|name| folder.join(name).exists());
    let within: Vec<_> = real.ancestors().take(MOST).collect();
    let root = within.iter().position(|folder| is_root(folder));
    let current = std::env::current_dir().and_then(std::fs::canonicalize);
    let current = current.ok().and_then(|current| within.iter().position(|at| *at == current));
    let last = root.or(current).unwrap_or_default();
    folders.extend(within[..=last].iter().skip(1).map(|folder| (*folder).to_owned()));
    folders
}

/// Finding for a module that is not there.
fn missing(folders: &[PathBuf], module: &str) -> Draft {
    let file = module.replace('.', "/");
    let message = format!("there is no module `{module}`: no {file}.lua is beside the script");
    let draft = Draft::error(Rule::ModuleNotFound, 0..0, message);
    let entries = folders.first().and_then(|folder| std::fs::read_dir(folder).ok());
    let files: Vec<String> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".lua")?.to_owned()))
        .collect();
    // A module may be put there by hand.
    draft
        .hint(mistakes::missing_module(module, &files))
        .unless(Doubt::Field(module.to_owned()))
        .unless(Doubt::Field("path".to_owned()))
        .unless(Doubt::Table("package".to_owned()))
        .unless(Doubt::Table("package.loaded".to_owned()))
        .unless(Doubt::Table("package.preload".to_owned()))
        .unless(Doubt::Table("package.searchers".to_owned()))
}

/// Error with which the runbook refuses a manifest of constants.
fn refusal(text: &str, reserved: &[String]) -> Result<Option<Error>> {
    let source = format!("runbook {text}").into_bytes();
    let loaded = Loaded { name: "manifest".into(), folder: ".".into(), is_file: false, source };
    let runtime = run::runtime()?;
    let inspection =
        Inspection { is_planned: true, reserved: reserved.to_vec(), ..Inspection::default() };
    let declared = run::inspect(loaded, runtime.handle(), inspection);
    runtime.shutdown_background();
    Ok(declared.err().filter(|error| error.kind == Kind::Argument))
}

/// Facts about a script, given its text and its bytes.
fn facts_of(
    names: &'static Names,
    source: &str,
    bytes: &[u8],
    is_test: bool,
    settings: &Settings,
) -> Facts {
    let mut facts = Facts { is_open: true, ..Facts::default() };
    let not_checked = |why: String| Draft::warning(Rule::NotChecked, 0..0, why);
    let Some(compiled) = compile(bytes) else {
        let message = "nothing was checked, because Lua takes too long to compile the file";
        facts.drafts.push(not_checked(message.to_owned()));
        return facts;
    };
    if let Err(error) = compiled {
        let lines = Lines::of(source);
        let number = error.line.unwrap_or(1).clamp(1, lines.count()) - 1;
        let line = lines.text(number);
        let start = lines.start(number);
        let at = line.char_indices().nth(error.column).map_or(line.len(), |(at, _)| at);
        let width = line[at..].chars().next().map_or(0, char::len_utf8);
        let span = start + at..start + at + width;
        let draft = Draft::error(Rule::SyntaxError, span, error.message);
        let draft = draft.hint(error.hint.unwrap_or_default());
        let is_too_deep = error.line.is_none() && draft.message.contains("overflow");
        facts.drafts.push(if is_too_deep {
            draft.hint("the script is nested too deeply: Lua allows about 200 levels")
        } else {
            draft
        });
        return facts;
    }
    if source.len() > MAX_BYTES {
        let most = MAX_BYTES >> 20;
        let message = format!("only the syntax was checked, because the file has over {most} MiB");
        facts.drafts.push(not_checked(message));
        return facts;
    }
    if let Some(tree) = syntax::parse(source) {
        return analyze(names, source, &tree, is_test, &settings.globals);
    }
    let message = "only the syntax was checked, because the parser does not know all of it";
    facts.drafts.push(not_checked(message.to_owned()));
    facts
}

/// Compiles a script, for at most [`TIME`]. The time of Lua's compiler is quadratic for some texts,
/// and nothing can stop it; its thread is left behind then.
fn compile(bytes: &[u8]) -> Option<std::result::Result<(), SyntaxError>> {
    let (answer, answered) = channel();
    let bytes = bytes.to_vec();
    let work = move || {
        let _ = answer.send(lua::check_syntax(&bytes, MAX_MEMORY));
    };
    std::thread::Builder::new().stack_size(COMPILER_STACK).spawn(work).ok()?;
    answered.recv_timeout(TIME).ok()
}

/// Finding with its positions.
fn located(file: &File, lines: &Lines, draft: Draft) -> Finding {
    let number = lines.number(draft.span.start);
    let start = lines.position(draft.span.start);
    let end = lines.position(draft.span.end.max(draft.span.start));
    Finding {
        path: file.path.clone(),
        start,
        end,
        line: lines.text(number).to_owned(),
        severity: draft.severity,
        rule: draft.rule,
        message: draft.message,
        hint: draft.hint,
    }
}
