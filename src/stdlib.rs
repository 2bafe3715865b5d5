//! Lua files that are part of the program. Debug builds read them from the source folder, so that
//! changes to them need no rebuild.

use std::borrow::Cow;

use include_dir::{Dir, include_dir};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/stdlib");

/// Source of a file of `stdlib/`, by its path there.
#[must_use]
pub fn source(path: &str) -> Option<Cow<'static, str>> {
    #[cfg(debug_assertions)]
    {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
        if let Ok(text) = std::fs::read_to_string(folder.join(path)) {
            return Some(Cow::Owned(text));
        }
    }
    FILES.get_file(path)?.contents_utf8().map(Cow::Borrowed)
}

/// Documented fields of a class of a module, in order; empty if there is no such class.
#[must_use]
pub fn fields(path: &str, class: &str) -> Vec<String> {
    let source = source(path).unwrap_or_default();
    let mut lines = source.lines();
    lines.by_ref().find(|line| {
        let name = line.strip_prefix("---@class ");
        name.map(|name| name.strip_prefix("(exact) ").unwrap_or(name)) == Some(class)
    });
    let fields = lines.map_while(|line| line.strip_prefix("---@field "));
    fields.filter_map(|field| field.split(['?', ' ']).next()).map(str::to_owned).collect()
}

/// Files that are not modules: the prelude and its parts, and a module that only test files find.
const NO_MODULES: [&str; 3] = ["prelude", "stoppable", "testing"];

/// Modules that `require` finds, sorted.
#[must_use]
pub fn modules() -> Vec<&'static str> {
    let stem = |file: &'static include_dir::File<'static>| file.path().file_stem()?.to_str();
    let mut names: Vec<_> =
        FILES.files().filter_map(stem).filter(|name| !NO_MODULES.contains(name)).collect();
    names.sort_unstable();
    names
}
