//! Items made from the documentation comments of `stdlib/`.

use std::collections::{HashMap, HashSet};

use super::comments::{self, Comment, Declaration, Subject, Tagged};
use super::item::{Item, ItemKind, ParamDoc, ReturnDoc};
use super::{markdown, types};
use crate::stdlib;

/// The file with the globals of plain Lua that are different in scripts, and the module that they are shown as.
const GLOBALS: (&str, &str) = ("prelude", "lua");

/// Every item of every file, and what is wrong with the comments, as `file.lua:line: why`.
pub(super) fn items() -> (Vec<Item>, Vec<String>) {
    let (mut items, mut problems) = (Vec::new(), Vec::new());
    let modules = stdlib::modules().into_iter().map(|name| (name, name));
    for (file, module) in modules.chain([GLOBALS]) {
        let path = format!("{file}.lua");
        let source = stdlib::source(&path).unwrap_or_default();
        let mut reader = Reader::new(module, file == GLOBALS.0);
        reader.read(&source);
        items.append(&mut reader.items);
        problems.extend(reader.problems.iter().map(|(line, why)| format!("{path}:{line}: {why}")));
    }
    (items, problems)
}

/// Reads one file.
struct Reader<'a> {
    module: &'a str,
    /// Whether it defines globals instead of returning a module.
    is_globals: bool,
    /// The class that a local variable is.
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
            Subject::Local(name) => {
                self.locals.insert(name.clone());
                match comment {
                    Some(comment) if comment.class.is_some() => {
                        let class = self.class(comment)?;
                        self.classes.insert(name.clone(), class);
                        Ok(())
                    }
                    Some(_) => Err(format!("no script can reach the local {name}; write -- there")),
                    None => Ok(()),
                }
            }
            Subject::LocalFunction(name, params) if name == self.module => {
                self.function(name.clone(), name, comment, Some(params))
            }
            Subject::LocalFunction(name, _) => {
                self.locals.insert(name.clone());
                match comment {
                    Some(_) => Err(format!("no script can reach the local {name}; write -- there")),
                    None => Ok(()),
                }
            }
            Subject::Function { table, is_method, name, params } => {
                match self.public_name(table, name, if *is_method { ":" } else { "." }) {
                    Some(full) => {
                        let signature = if *is_method {
                            let class = full.rsplit(['.', ':']).nth(1).unwrap_or_default();
                            format!("{}:{name}", class.to_lowercase())
                        } else {
                            full.clone()
                        };
                        self.function(full, &signature, comment, Some(params))
                    }
                    None => private(comment, name),
                }
            }
            Subject::Value { table, name } => match self.public_name(table, name, ".") {
                Some(full) => self.value(full, comment),
                None => private(comment, name),
            },
            Subject::Table(name) if self.is_globals => {
                let comment =
                    comment.ok_or_else(|| format!("the global table {name} has no description"))?;
                let mut item = Item::new(name, ItemKind::Module, name);
                describe(&mut item, comment)?;
                self.items.push(item);
                Ok(())
            }
            Subject::Table(name) => Err(format!("{name} is a global that the module sets")),
            Subject::Nothing | Subject::Other => match comment {
                Some(comment) if comment.class.is_some() => self.class(comment).map(|_| ()),
                Some(comment) if comment.alias.is_some() => self.alias(comment),
                Some(_) => {
                    Err("the comment documents nothing: what it is about must follow".into())
                }
                None => Ok(()),
            },
        }
    }

    /// The name by which a script reaches it; `None` if none can.
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
        // The registry documents this one.
        match (table, name) {
            ("", "iam") | ("host", _) => None,
            ("", name) => Some(name.to_owned()),
            (table, name) => Some(format!("{table}.{name}")),
        }
    }

    /// The module that an item of that name is listed under.
    fn home(&self, name: &str) -> String {
        match name.split_once(['.', ':']) {
            Some((table, _)) if self.is_globals => table.to_owned(),
            _ => self.module.to_owned(),
        }
    }

    fn function(
        &mut self,
        name: String,
        called: &str,
        comment: Option<&Comment>,
        declared: Option<&[String]>,
    ) -> Result<(), String> {
        let comment = comment.ok_or_else(|| format!("{name} has no documentation"))?;
        only(comment, &["text", "param", "return", "overload", "generic"])?;
        if let Some(declared) = declared {
            let documented: Vec<_> = comment.params.iter().map(|param| &param.name).collect();
            if documented != declared.iter().collect::<Vec<_>>() {
                return Err(format!(
                    "{name} takes ({}), but documents ({})",
                    declared.join(", "),
                    documented.into_iter().cloned().collect::<Vec<_>>().join(", ")
                ));
            }
        }
        let module = self.home(&name);
        let mut item = Item::new(name, ItemKind::Function, module);
        describe(&mut item, comment)?;
        if item.summary.is_empty() {
            return Err(format!("{} has no description", item.name));
        }
        item.params = comment.params.iter().map(|param| described(param, true)).collect();
        item.returns = comment
            .returns
            .iter()
            .map(|one| ReturnDoc {
                ty: one.ty.clone(),
                name: one.name.clone(),
                doc: one.doc.clone(),
            })
            .collect();
        item.signature = call(called, &item.params);
        item.generics = comment.generics.clone().unwrap_or_default();
        item.overloads.clone_from(&comment.overloads);
        self.items.push(item);
        Ok(())
    }

    fn value(&mut self, name: String, comment: Option<&Comment>) -> Result<(), String> {
        let Some(comment) = comment else {
            // A field of the class says more than the line that sets it; an alias of a method needs no words.
            let is_known = self.items.iter().any(|item| item.name == name)
                || self.items.iter().any(|item| {
                    name.strip_prefix(&item.name)
                        .and_then(|rest| rest.strip_prefix('.'))
                        .is_some_and(|rest| item.fields.iter().any(|field| field.name == rest))
                });
            return if is_known { Ok(()) } else { Err(format!("{name} has no documentation")) };
        };
        let Some(ty) = &comment.ty else {
            return self.function(name.clone(), &name, Some(comment), None);
        };
        only(comment, &["text", "type"])?;
        let module = self.home(&name);
        let mut item = Item::new(name, ItemKind::Value, module);
        describe(&mut item, comment)?;
        item.ty.clone_from(ty);
        item.values = types::literals(ty);
        self.items.push(item);
        Ok(())
    }

    fn class(&mut self, comment: &Comment) -> Result<String, String> {
        only(comment, &["text", "class", "field", "overload"])?;
        let (name, parent, doc) = comment.class.clone().ok_or("there is no class")?;
        let kind = if name == self.module { ItemKind::Module } else { ItemKind::Class };
        if kind == ItemKind::Class && !name.starts_with(&format!("{}.", self.module)) {
            return Err(format!("the class {name} does not begin with {}.", self.module));
        }
        let mut item = Item::new(&name, kind, self.module);
        describe(&mut item, comment)?;
        if item.summary.is_empty() {
            item.summary = doc;
        }
        if kind == ItemKind::Module && item.summary.is_empty() {
            return Err(format!("the module {name} has no description"));
        }
        item.ty = parent.unwrap_or_default();
        item.fields = comment.fields.iter().map(|field| described(field, false)).collect();
        item.overloads.clone_from(&comment.overloads);
        if kind == ItemKind::Module {
            make_callable(&mut item);
        }
        let values = if kind == ItemKind::Module { values_of(&item) } else { Vec::new() };
        self.items.push(item);
        self.items.extend(values);
        Ok(name)
    }

    fn alias(&mut self, comment: &Comment) -> Result<(), String> {
        only(comment, &["text", "alias"])?;
        let (name, ty) = comment.alias.clone().ok_or("there is no alias")?;
        let mut item = Item::new(name, ItemKind::Alias, self.module);
        describe(&mut item, comment)?;
        item.values = types::literals(&ty);
        item.ty = ty;
        self.items.push(item);
        Ok(())
    }
}

/// Takes the first overload of a module for the way it is called.
fn make_callable(module: &mut Item) {
    let Some(ty) = module.overloads.first().cloned() else { return };
    let Some((params, result)) = types::function(&ty) else { return };
    let parameter = |(name, ty): (&str, &str)| {
        let bare = name.trim_end_matches('?');
        let is_optional = bare != name;
        described(
            &Tagged { name: bare.into(), ty: ty.into(), is_optional, doc: String::new() },
            true,
        )
    };
    module.params = params.into_iter().map(parameter).collect();
    if !result.is_empty() {
        module.returns = vec![ReturnDoc { ty: result.into(), ..ReturnDoc::default() }];
    }
    module.signature = call(&module.name, &module.params);
}

/// The fields of a module are values that a script can name.
fn values_of(module: &Item) -> Vec<Item> {
    let value = |field: &ParamDoc| {
        let name = format!("{}.{}", module.name, field.name);
        let mut item = Item::new(name, ItemKind::Value, &module.name);
        let (summary, text) = markdown::first_sentence(&field.doc);
        summary.clone_into(&mut item.summary);
        text.clone_into(&mut item.text);
        item.ty.clone_from(&field.ty);
        item.values.clone_from(&field.values);
        item
    };
    module.fields.iter().map(value).collect()
}

fn private(comment: Option<&Comment>, name: &str) -> Result<(), String> {
    match comment {
        Some(_) => Err(format!("no script can reach {name}; write -- there")),
        None => Ok(()),
    }
}

/// Says what a comment has that does not belong to what it documents.
fn only(comment: &Comment, allowed: &[&str]) -> Result<(), String> {
    let parts = [
        ("class", comment.class.is_some()),
        ("alias", comment.alias.is_some()),
        ("field", !comment.fields.is_empty()),
        ("param", !comment.params.is_empty()),
        ("return", !comment.returns.is_empty()),
        ("overload", !comment.overloads.is_empty()),
        ("generic", comment.generics.is_some()),
        ("type", comment.ty.is_some()),
    ];
    match parts.into_iter().find(|(part, is_there)| *is_there && !allowed.contains(part)) {
        Some((part, _)) => Err(format!("@{part} does not belong to what follows")),
        None => Ok(()),
    }
}

fn describe(item: &mut Item, comment: &Comment) -> Result<(), String> {
    let parts = markdown::parts(&comment.text)?;
    item.summary = parts.summary;
    item.text = parts.text;
    item.examples = parts.examples;
    Ok(())
}

fn described(one: &Tagged, is_positional: bool) -> ParamDoc {
    ParamDoc {
        name: one.name.clone(),
        ty: one.ty.clone(),
        is_optional: one.is_optional,
        is_positional,
        doc: one.doc.clone(),
        limits: String::new(),
        values: types::literals(&one.ty),
    }
}

fn call(name: &str, params: &[ParamDoc]) -> String {
    let params: Vec<_> = params
        .iter()
        .map(|param| format!("{}{}", param.name, if param.is_optional { "?" } else { "" }))
        .collect();
    format!("{name}({})", params.join(", "))
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
            ("--- Ten.\nlocal TEN = 10\n", "6: no script can reach the local TEN"),
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
}
