//! Source of a script's text, and the errors of reading it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::app::run::quoted;
use crate::error::{Error, Kind, Result};
use crate::session::plan::Plan;
use crate::spec;

/// Maximum size in bytes, above that of any script that a person wrote.
const MAX_SCRIPT: u64 = 32 << 20;

/// Source of a script.
#[derive(Clone, Debug)]
pub enum Script {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// The command line.
    Code(String),
}

/// Text of a script, and its origin.
pub struct Loaded {
    /// Name in messages.
    pub name: String,
    /// Folder in which `require` finds modules.
    pub folder: PathBuf,
    /// Presence of a file with the text.
    pub is_file: bool,
    /// Text of the script.
    pub source: Vec<u8>,
}

impl Loaded {
    /// Path by which it can be found later.
    #[must_use]
    pub fn path(&self) -> String {
        if !self.is_file {
            return self.name.clone();
        }
        std::path::absolute(&self.name)
            .map_or_else(|_| self.name.clone(), |path| path.display().to_string())
    }

    /// Reads a script.
    ///
    /// # Errors
    /// If it does not exist, cannot be read, or is not text.
    pub fn read(script: &Script) -> Result<Self> {
        let (name, folder, source) = match script {
            Script::Code(code) => {
                ("(command line)".to_owned(), PathBuf::from("."), code.clone().into_bytes())
            }
            Script::Stdin => {
                let mut source = Vec::new();
                let read = io::stdin().lock().take(MAX_SCRIPT + 1).read_to_end(&mut source);
                read.map_err(|error| {
                    Error::io("cannot read the script from standard input", error)
                })?;
                ("(standard input)".to_owned(), PathBuf::from("."), source)
            }
            Script::File(path) => {
                let folder = match path.parent() {
                    Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
                    _ => PathBuf::from("."),
                };
                (path.display().to_string(), folder, read_file(path)?)
            }
        };
        if source.len() as u64 > MAX_SCRIPT {
            return Err(too_large(&name));
        }
        if source.starts_with(b"\x1bLua") {
            return Err(Error::new(
                Kind::Script,
                format!("{name} is compiled Lua, which is not run: bytecode can break the VM"),
            )
            .hint("run the source"));
        }
        if source.iter().take(8192).any(|byte| *byte == 0) {
            return Err(Error::new(
                Kind::Script,
                format!("{name} is a binary file, not a Lua script"),
            ));
        }
        if Plan::is_file(&source) {
            let (what, word) = match script {
                Script::File(_) => (name.as_str(), quoted(&name)),
                Script::Stdin | Script::Code(_) => ("this", "-".to_owned()),
            };
            return Err(Error::usage(format!("{what} is a plan, not a script")).hint(format!(
                "show it with `iamlua show {word}`, apply it with `iamlua apply {word}`"
            )));
        }
        Ok(Self { name, folder, is_file: matches!(script, Script::File(_)), source })
    }
}

fn too_large(name: &str) -> Error {
    Error::new(
        Kind::Script,
        format!("{name} is larger than {} MiB, the most for a script", MAX_SCRIPT >> 20),
    )
    .hint("keep data in files of its own, and read them with --allow-read")
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let meta = path.metadata().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let missing = Error::new(Kind::Usage, format!("there is no script {shown}"));
            match similar(path) {
                Some(near) => missing.hint(format!("did you mean {}?", near.display())),
                None => missing,
            }
        }
        _ => Error::io(format!("cannot read the script {shown}"), error),
    })?;
    if meta.is_dir() {
        return Err(Error::usage(format!("{shown} is a folder, not a script"))
            .hint(format!("name a script in it, such as {}", path.join("NAME.lua").display())));
    }
    if meta.len() > MAX_SCRIPT {
        return Err(too_large(&shown.to_string()));
    }
    // A device may have no end.
    let read = std::fs::File::open(path).and_then(|file| {
        let mut source = Vec::new();
        file.take(MAX_SCRIPT + 1).read_to_end(&mut source).map(|_| source)
    });
    read.map_err(|error| Error::io(format!("cannot read the script {shown}"), error))
}

/// File beside it with a similar name.
fn similar(path: &Path) -> Option<PathBuf> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<_> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "lua"))
        .collect();
    let wanted = path.file_name()?.to_str()?;
    let near = spec::nearest(wanted, names.iter().map(String::as_str))?;
    Some(path.with_file_name(near))
}
