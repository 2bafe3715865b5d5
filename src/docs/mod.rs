//! Documentation, generated from the registry of `iam` and the comments of `stdlib/`: one list of
//! all items that a script can name. The stubs for editors, the reference, and the pages of the
//! REPL and `iamlua doc` are generated from it. The generated files are committed; a test fails
//! when they differ.

mod comments;
mod document;
mod item;
mod library;
mod markdown;
mod records;
mod reference;
mod registry;
mod search;
mod stub;
mod tables;
mod text;
mod types;

use std::sync::LazyLock;

pub use item::{Example, Item, ItemKind, ParamDoc, ReturnDoc};
pub use reference::{anchor, reference};
pub use search::{SearchResult, find};
pub use stub::stubs;
pub use tables::{action_table, function_table};
pub use text::{to_lines, to_text};
pub use types::function as function_type;

static ITEMS: LazyLock<(Vec<Item>, Vec<String>)> = LazyLock::new(|| {
    let (library, problems) = library::items();
    let mut items = registry::items();
    items.extend(library);
    (items, problems)
});

/// All items that a script can name, in the order of the documentation: `iam`, the modules by name,
/// the globals of plain Lua.
#[must_use]
pub fn items() -> &'static [Item] {
    &ITEMS.0
}

/// Problems of the comments of `stdlib/`, as `file.lua:line: why`. A test requires that there are
/// none, so only a debug build with a changed `stdlib/` can have any.
#[must_use]
pub fn problems() -> &'static [String] {
    &ITEMS.1
}

/// Item with exactly that name.
#[must_use]
pub fn item(name: &str) -> Option<&'static Item> {
    items().iter().find(|item| item.name == name)
}

/// Members of a module or a class, in the order of the documentation: `iam.profiles` is in `iam`,
/// `io` in `lua`, `io.open` in `io`.
pub fn members(of: &str) -> impl Iterator<Item = &'static Item> {
    items().iter().filter(move |item| item.name != of && home(item) == of)
}

/// Parent of an item: the prefix of its name, else its module.
fn home(of: &Item) -> &str {
    match of.name.rsplit_once(['.', ':']) {
        Some((table, _)) if item(table).is_some() => table,
        _ => &of.module,
    }
}

/// Modules, in the order of the documentation. They include `try`, which is a function, and `lua`,
/// which is no table: the globals of plain Lua that are different in scripts.
pub fn modules() -> impl Iterator<Item = &'static Item> {
    items().iter().filter(|item| item.name == item.module)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{iam, stdlib};

    #[test]
    fn the_comments_of_the_standard_library_are_understood() {
        assert!(problems().is_empty(), "\n{}", problems().join("\n"));
    }

    /// Prints the time that the list takes to build: `cargo test --lib docs -- --ignored
    /// --nocapture`.
    #[test]
    #[ignore = "it proves nothing, it only tells times"]
    fn how_long_the_list_takes_to_make() {
        let start = std::time::Instant::now();
        let (library, _) = library::items();
        let count = library.len() + registry::items().len();
        println!("{count} items in {:?}", start.elapsed());
    }

    #[test]
    fn everything_is_there_once_with_a_description() {
        let mut seen = BTreeSet::new();
        for item in items() {
            assert!(seen.insert(&item.name), "{} is there twice", item.name);
            assert!(
                item.kind == ItemKind::Class && !item.fields.is_empty()
                    || item.kind == ItemKind::Alias
                    || item.summary.ends_with('.')
                    || (item.kind == ItemKind::Value && !item.summary.is_empty()),
                "{}: {:?}",
                item.name,
                item.summary
            );
        }
        for name in stdlib::modules().into_iter().chain(["iam", "iam.profiles", "lua", "io"]) {
            assert!(seen.contains(&name.to_owned()), "{name} is missing");
        }
        for entry in iam::registry() {
            assert!(seen.contains(&entry.spec.lua_name()), "{} is missing", entry.spec.lua_name());
        }
    }
}
