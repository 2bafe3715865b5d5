//! Reader of `stdlib/`: the declarations that a script can reach, by their public names.

use std::collections::{HashMap, HashSet};

use super::comments::{self, Comment, Declaration, Documented};
use super::document;
use super::item::{Item, ItemKind};
use crate::stdlib;

/// Files that define globals, and the modules under which these are documented.
const GLOBALS: [(&str, &str); 2] = [("prelude", "lua"), ("testing", "testing")];

/// Items of all files, and problems of the comments, as `file.lua:line: why`.
pub(super) fn items() -> (Vec<Item>, Vec<String>) {
    let (mut items, mut problems) = (Vec::new(), Vec::new());
    let modules = stdlib::modules().into_iter().map(|name| (name, name, false));
    let globals = GLOBALS.into_iter().map(|(file, module)| (file, module, true));
    for (file, module, is_globals) in modules.chain(globals) {
        let path = format!("{file}.lua");
        let source = stdlib::source(&path).unwrap_or_default();
        let mut reader = Reader::new(module, is_globals);
        reader.read(&source);
        items.append(&mut reader.items);
        problems.extend(reader.problems.iter().map(|(line, why)| format!("{path}:{line}: {why}")));
    }
    (items, problems)
}

/// Reader of one file.
struct Reader<'a> {
    module: &'a str,
    /// Mark of a file that defines globals instead of returning a module.
    is_globals: bool,
    /// Classes by the variable that holds them.
    classes: HashMap<String, String>,
    locals: HashSet<String>,
    items: Vec<Item>,
    problems: Vec<(usize, String)>,
}

impl<'a> Reader<'a> {
    fn new(module: &'a str, is_globals: bool) -> Self {
        Self {
            module,
            is_globals,
            classes: HashMap::new(),
            locals: HashSet::new(),
            items: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn read(&mut self, source: &str) {
        let file = comments::read(source);
        self.problems = file.problems;
        for declared in &file.declarations {
            if let Err(why) = self.take(declared) {
                self.problems.push((declared.line, why));
            }
        }
        let last = source.lines().count();
        let own = self.items.iter().filter(|item| item.name == self.module).count();
        if own != 1 {
            let why = format!("the module {} is documented {own} times, not once", self.module);
            self.problems.push((last, why));
        }
        let returned = file.returned.unwrap_or_default();
        let is_returned = returned == self.module
            || self.classes.get(&returned).is_some_and(|class| class == self.module);
        if !self.is_globals && !is_returned {
            self.problems.push((last, format!("it does not return the module {}", self.module)));
        }
    }

    fn take(&mut self, declared: &Declaration) -> Result<(), String> {
        let comment = declared.comment.as_ref();
        match &declared.subject {
            Documented::LocalFunction(name, params) if name == self.module => {
                let item = document::function(name, name, comment, Some(params), self.module)?;
                self.items.push(item);
                Ok(())
            }
            Documented::Local(name) | Documented::LocalFunction(name, _) => {
                self.local(name, comment)
            }
            Documented::Function { table, is_method, name, params } => {
                let mark = if *is_method { ":" } else { "." };
                let Some(full) = self.public_name(table, name, mark) else {
                    return private(name, comment);
                };
                let called = if *is_method {
                    let class = full.rsplit(['.', ':']).nth(1).unwrap_or_default();
                    format!("{}:{name}", class.to_lowercase())
                } else {
                    full.clone()
                };
                self.items.push(document::function(
                    &full,
                    &called,
                    comment,
                    Some(params),
                    self.module,
                )?);
                Ok(())
            }
            Documented::Value { table, name } => match comment {
                Some(comment) if comment.class.is_some() && table.is_empty() => {
                    self.global(name, comment)
                }
                _ => self.value(table, name, comment),
            },
            Documented::Table(name) => match comment {
                Some(comment) => self.global(name, comment),
                None if self.is_globals && self.locals.contains(name) => Ok(()),
                None => Err(format!("the global table {name} has no description")),
            },
            Documented::Nothing | Documented::Other => match comment {
                Some(comment) => self.alone(comment),
                None => Ok(()),
            },
        }
    }

    fn local(&mut self, name: &str, comment: Option<&Comment>) -> Result<(), String> {
        self.locals.insert(name.to_owned());
        match comment {
            Some(comment) if comment.class.is_some() => {
                let class = self.class(comment, None)?;
                self.classes.insert(name.to_owned(), class);
                Ok(())
            }
            comment => private(name, comment),
        }
    }

    /// Global table: a module, unless its class has another name.
    fn global(&mut self, name: &str, comment: &Comment) -> Result<(), String> {
        if !self.is_globals {
            return Err(format!("the module sets the global {name}"));
        }
        if comment.class.is_some() {
            let class = self.class(comment, Some(name))?;
            self.classes.insert(name.to_owned(), class);
        } else {
            self.items.push(document::table(name, comment, self.module)?);
        }
        Ok(())
    }

    fn value(&mut self, table: &str, name: &str, comment: Option<&Comment>) -> Result<(), String> {
        let Some(full) = self.public_name(table, name, ".") else { return private(name, comment) };
        if let Some(comment) = comment {
            self.items.push(document::value(&full, comment, self.module)?);
        } else if !self.items.iter().any(|item| item.name == full) {
            // A field of the class is better documentation than the line that sets it.
            return Err(format!("{full} has no documentation"));
        }
        Ok(())
    }

    /// Comment without a declaration below it.
    fn alone(&mut self, comment: &Comment) -> Result<(), String> {
        if comment.class.is_some() {
            self.class(comment, None)?;
        } else if comment.alias.is_some() {
            self.items.push(document::alias(comment, self.module)?);
        } else if self.is_globals && self.items.is_empty() {
            // The first comment of such a file documents the whole file.
            self.items.push(document::table(self.module, comment, self.module)?);
        } else {
            return Err("the comment documents nothing: what it is about must follow".into());
        }
        Ok(())
    }

    /// Class; returns its name. It is a module if it has the name of the file, or of the global
    /// that holds it.
    fn class(&mut self, comment: &Comment, global: Option<&str>) -> Result<String, String> {
        let (name, ..) = comment.class.as_ref().ok_or("there is no class")?;
        let kind = if name == self.module || global == Some(name) {
            ItemKind::Module
        } else {
            ItemKind::Class
        };
        let is_right = self.is_globals
            || kind == ItemKind::Module
            || name.strip_prefix(self.module).is_some_and(|rest| rest.starts_with('.'));
        if !is_right {
            return Err(format!("the class {name} does not begin with {}.", self.module));
        }
        self.items.extend(document::class(comment, kind, self.module)?);
        Ok(name.clone())
    }

    /// Name by which a script reaches a declaration; `None` if none can.
    fn public_name(&self, table: &str, name: &str, mark: &str) -> Option<String> {
        if name.starts_with("__") {
            return None;
        }
        if let Some(class) = self.classes.get(table) {
            return Some(format!("{class}{mark}{name}"));
        }
        let variable = if table.is_empty() { name } else { table };
        if !self.is_globals || self.locals.contains(variable) {
            return None;
        }
        match (table, name) {
            // The registry documents the first; no script can reach the second.
            ("", "iam") | ("host", _) => None,
            ("", name) => Some(name.to_owned()),
            (table, name) => Some(format!("{table}.{name}")),
        }
    }
}

fn private(name: &str, comment: Option<&Comment>) -> Result<(), String> {
    match comment {
        Some(_) => Err(format!("no script can reach {name}; write -- there")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> (Vec<Item>, Vec<String>) {
        let mut reader = Reader::new("shop", false);
        reader.read(source);
        let problems = reader.problems.into_iter().map(|(line, why)| format!("{line}: {why}"));
        (reader.items, problems.collect())
    }

    const HEAD: &str = "--- Buys things.\n---@class shop\nlocal shop = {}\n\n";

    #[test]
    fn a_public_function_without_documentation_is_a_problem() {
        let (_, problems) = read(&format!("{HEAD}function shop.buy(what)\nend\nreturn shop"));
        assert_eq!(problems, ["5: shop.buy has no documentation"]);
        let (_, problems) = read(&format!("{HEAD}shop.buy = buy\nreturn shop"));
        assert_eq!(problems, ["5: shop.buy has no documentation"]);
    }

    #[test]
    fn parameters_that_do_not_match_the_function_are_a_problem() {
        let (_, problems) = read(&format!(
            "{HEAD}--- Buys.\n---@param that string\nfunction shop.buy(what)\nend\nreturn shop"
        ));
        assert_eq!(problems, ["7: shop.buy takes (what), but documents (that)"]);
    }

    #[test]
    fn a_comment_that_documents_nothing_a_script_can_reach_is_a_problem() {
        for (source, why) in [
            ("--- Ten.\nlocal TEN = 10\n", "6: no script can reach TEN"),
            ("--- Lost.\n\n", "5: the comment documents nothing"),
            ("--- A.\n---@class other.Thing\n\n", "does not begin with shop."),
            ("---@alias shop.Kind string\n---@type string\n\n", "@type does not belong"),
        ] {
            let (_, problems) = read(&format!("{HEAD}{source}return shop"));
            assert!(problems.len() == 1 && problems[0].contains(why), "{source}: {problems:?}");
        }
        let (_, problems) = read(&format!("{HEAD}return other"));
        assert_eq!(problems, ["5: it does not return the module shop"]);
        let (_, problems) = read("return shop");
        assert_eq!(problems, ["1: the module shop is documented 0 times, not once"]);
    }

    #[test]
    fn a_module_that_can_be_called_has_the_parameters_of_its_overload() {
        let (items, problems) = read(
            "--- Buys. All of it.\n---@class shop\n---@field open boolean whether it is open\n\
             ---@overload fun(what: string, options?: shop.Options): integer\nlocal shop = {}\n\
             shop.open = true\nreturn setmetatable(shop, {",
        );
        assert!(problems.is_empty(), "{problems:?}");
        let names: Vec<_> = items.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names, ["shop", "shop.open"]);
        assert_eq!(items[0].signature, "shop(what, options?)");
        assert_eq!(items[0].returns[0].ty, "integer");
        assert_eq!((items[0].summary.as_str(), items[0].text.as_str()), ("Buys.", "All of it."));
        assert!(items[0].is_callable());
    }

    #[test]
    fn methods_are_found_by_the_class_of_their_table() {
        let (items, problems) = read(&format!(
            "{HEAD}---@class shop.Cart\nlocal Cart = {{}}\nCart.__index = Cart\n\
             --- Empties it.\nfunction Cart:clear()\nend\nreturn shop"
        ));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(items[2].name, "shop.Cart:clear", "{items:?}");
        assert_eq!(items[2].signature, "cart:clear()");
        assert!(items[2].is_method());
    }

    #[test]
    fn globals_are_documented_where_they_are_set() {
        let mut reader = Reader::new("lua", true);
        reader.read(
            "local private\n--- All of them.\n\n--- Prints.\n---@param ... any\nfunction print(...)\nend\n\
             --- Files.\nio = {\n  --- Opens.\n  ---@param path string\n  open = open,\n}\n\
             --- It.\n---@class it\n---@overload fun(name: string)\nit = setmetatable({}, {\n})\n\
             --- Skips.\nfunction it.skip()\nend\nprivate = {}\nstring.dump = nil\n",
        );
        assert!(reader.problems.is_empty(), "{:?}", reader.problems);
        let named: Vec<_> = reader.items.iter().map(|item| item.signature.as_str()).collect();
        assert_eq!(named, ["lua", "print(...)", "io", "io.open(path)", "it(name)", "it.skip()"]);
        reader.read("function quiet()\nend\nos = {\n  exit = exit,\n}");
        let why: Vec<_> = reader.problems.iter().map(|(_, why)| why.as_str()).collect();
        assert_eq!(
            why,
            [
                "quiet has no documentation",
                "the global table os has no description",
                "os.exit has no documentation"
            ]
        );
    }
}
