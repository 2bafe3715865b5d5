//! Parser of the documentation comments of a Lua file: text after `---`, and the annotations of the
//! Lua language server that `stdlib/` uses. It is strict: an unknown construct is a problem with
//! its line, and a test requires `stdlib/` to have none.

use super::types;

/// Mark of `@class` for tables without other fields.
const EXACT: &str = "(exact) ";

/// Parameter, field or result of an annotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tagged {
    /// Name; may be empty for a result.
    pub name: String,
    /// Type.
    pub ty: String,
    /// Permission to leave it out.
    pub is_optional: bool,
    /// Description.
    pub doc: String,
}

/// Block of lines that begin with `---`.
#[derive(Clone, Debug, Default)]
pub(super) struct Comment {
    /// Lines of text, without `---`.
    pub text: Vec<String>,
    /// `@class`: its name, its base class, and its description.
    pub class: Option<(String, Option<String>, String)>,
    /// `@class (exact)`: a table of the class has no other fields.
    pub is_exact: bool,
    /// `@alias`: its name and type.
    pub alias: Option<(String, String)>,
    /// `@field`.
    pub fields: Vec<Tagged>,
    /// `@param`.
    pub params: Vec<Tagged>,
    /// `@return`.
    pub returns: Vec<Tagged>,
    /// `@overload`: function types.
    pub overloads: Vec<String>,
    /// `@generic`, as it stands there.
    pub generics: Option<String>,
    /// `@type`.
    pub ty: Option<String>,
}

/// Declaration below a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Documented {
    /// None: the comment stands alone.
    Nothing,
    /// `local name = …`
    Local(String),
    /// `local function name(…)`
    LocalFunction(String, Vec<String>),
    /// `function name(…)`, `function table.name(…)`, `function table:name(…)`
    Function {
        /// Table that contains it; empty for a global.
        table: String,
        /// Mark of a method.
        is_method: bool,
        /// Name of the function.
        name: String,
        /// Parameters of the function.
        params: Vec<String>,
    },
    /// `table.name = …`, or a global's `name = …` with an empty table.
    Value {
        /// Table that contains it; empty for a global.
        table: String,
        /// Name of the value.
        name: String,
    },
    /// `name = {`: a global table whose members follow, each on a line of its own.
    Table(String),
    /// A line of the file that declares nothing.
    Other,
}

/// Declaration in a file, and the comment above it.
#[derive(Clone, Debug)]
pub(super) struct Declaration {
    /// Line of the declaration, or the first line of a comment that stands alone, counted from 1.
    pub line: usize,
    /// Comment above it.
    pub comment: Option<Comment>,
    /// Declared item.
    pub subject: Documented,
}

/// Parsed file.
#[derive(Debug, Default)]
pub(super) struct File {
    /// Declarations, in order.
    pub declarations: Vec<Declaration>,
    /// Variable that the file returns at its end.
    pub returned: Option<String>,
    /// Problems: the line, and the reason.
    pub problems: Vec<(usize, String)>,
}

/// Parses a file.
pub(super) fn read(source: &str) -> File {
    let mut file = File::default();
    let mut block: Option<(usize, Comment)> = None;
    // Global table whose braces enclose the line.
    let mut table: Option<String> = None;
    for (line, number) in source.lines().zip(1..) {
        let trimmed = line.trim_start();
        if trimmed.starts_with("---") && !trimmed.starts_with("----") {
            let (_, comment) = block.get_or_insert_with(|| (number, Comment::default()));
            if let Err(why) = comment.add(&trimmed["---".len()..]) {
                file.problems.push((number, why));
            }
            continue;
        }
        let subject = match &table {
            Some(name) => member_of(name, line),
            None => subject_of(line),
        };
        if line.starts_with('}') {
            table = None;
        } else if let Documented::Table(name) = &subject {
            table = Some(name.clone());
        }
        if let Some(name) = returned_by(line) {
            file.returned = Some(name);
        }
        let comment = block.take();
        if comment.is_none() && matches!(subject, Documented::Nothing | Documented::Other) {
            continue;
        }
        let line = match (&comment, &subject) {
            (Some((first, _)), Documented::Nothing) => *first,
            _ => number,
        };
        file.declarations.push(Declaration {
            line,
            comment: comment.map(|(_, comment)| comment),
            subject,
        });
    }
    if let Some((line, comment)) = block {
        let subject = Documented::Nothing;
        file.declarations.push(Declaration { line, comment: Some(comment), subject });
    }
    file
}

impl Comment {
    /// Parses one line, without its `---`.
    fn add(&mut self, line: &str) -> Result<(), String> {
        let Some(annotation) = line.strip_prefix('@') else {
            if self.has_annotations() {
                return Err("text after an annotation belongs before it".into());
            }
            self.text.push(line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned());
            return Ok(());
        };
        let (word, rest) = annotation.split_once(' ').unwrap_or((annotation, ""));
        let rest = rest.trim();
        match word {
            "class" => self.set_class(rest)?,
            "alias" => {
                let (name, ty) = rest.split_once(' ').ok_or("@alias needs a name and a type")?;
                whole_type(ty)?;
                if self.alias.replace((name.to_owned(), ty.to_owned())).is_some() {
                    return Err("two aliases in one comment".into());
                }
            }
            "field" => self.fields.push(named(rest)?),
            "param" => self.params.push(named(rest)?),
            "return" => self.returns.push(result(rest)?),
            "overload" => {
                whole_type(rest)?;
                types::function(rest).ok_or_else(|| format!("{rest} is no function type"))?;
                self.overloads.push(rest.to_owned());
            }
            "generic" => {
                let is_right = rest.split(',').all(|one| {
                    let (name, bound) = one.split_once(':').unwrap_or((one, "any"));
                    is_name(name.trim()) && whole_type(bound.trim()).is_ok()
                });
                if !is_right {
                    return Err(format!("@generic {rest} names no types"));
                }
                self.generics = Some(rest.to_owned());
            }
            "type" => {
                whole_type(rest)?;
                self.ty = Some(rest.to_owned());
            }
            _ => return Err(format!("the annotation @{word} is not known here")),
        }
        Ok(())
    }

    fn set_class(&mut self, rest: &str) -> Result<(), String> {
        let is_exact = rest.starts_with(EXACT);
        let rest = rest.strip_prefix(EXACT).unwrap_or(rest);
        let end = rest.find([' ', ':']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        if !name.split('.').all(is_name) {
            return Err(format!("@class {name:?} is no name"));
        }
        let (parent, doc) = match rest.strip_prefix(':') {
            Some(rest) => {
                let (parent, doc) =
                    types::split(rest.trim_start()).ok_or("what does the class extend?")?;
                (Some(parent.to_owned()), doc)
            }
            None => (None, rest.trim()),
        };
        if self.class.replace((name.to_owned(), parent, doc.to_owned())).is_some() {
            return Err("two classes in one comment".into());
        }
        self.is_exact = is_exact;
        Ok(())
    }

    fn has_annotations(&self) -> bool {
        self.class.is_some()
            || self.alias.is_some()
            || self.generics.is_some()
            || self.ty.is_some()
            || !(self.fields.is_empty() && self.params.is_empty())
            || !(self.returns.is_empty() && self.overloads.is_empty())
    }
}

fn whole_type(text: &str) -> Result<(), String> {
    match types::split(text) {
        Some((_, "")) => Ok(()),
        _ => Err(format!("{text:?} is no type")),
    }
}

/// `name? type text`
fn named(rest: &str) -> Result<Tagged, String> {
    let (name, rest) = rest.split_once(' ').ok_or("a name and a type belong here")?;
    let bare = name.trim_end_matches('?');
    if !is_name(bare) && bare != "..." {
        return Err(format!("{name:?} is no name"));
    }
    let (ty, doc) =
        types::split(rest.trim_start()).ok_or_else(|| format!("{rest:?} begins with no type"))?;
    Ok(Tagged {
        name: bare.to_owned(),
        ty: ty.to_owned(),
        is_optional: bare != name,
        doc: doc.to_owned(),
    })
}

/// `type name text`
fn result(rest: &str) -> Result<Tagged, String> {
    let (ty, rest) = types::split(rest).ok_or_else(|| format!("{rest:?} begins with no type"))?;
    let (name, doc) = rest.split_once(' ').unwrap_or((rest, ""));
    if !name.is_empty() && !is_name(name) && name != "..." {
        return Err(format!("{name:?} is no name of a result: write `@return type name text`"));
    }
    Ok(Tagged {
        name: name.to_owned(),
        ty: ty.to_owned(),
        is_optional: false,
        doc: doc.trim().to_owned(),
    })
}

/// Check for a Lua name.
pub(super) fn is_name(text: &str) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(is_start) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn subject_of(line: &str) -> Documented {
    if line.trim().is_empty() {
        Documented::Nothing
    } else if let Some(rest) = line.strip_prefix("local function ") {
        head_of(rest).map_or(Documented::Other, |(name, params)| {
            Documented::LocalFunction(name.to_owned(), params)
        })
    } else if let Some(rest) = line.strip_prefix("local ") {
        let name = rest.split([' ', ',', '=']).next().unwrap_or_default();
        Documented::Local(name.to_owned())
    } else if let Some(rest) = line.strip_prefix("function ") {
        let Some((name, params)) = head_of(rest) else { return Documented::Other };
        let (table, name) = name.rsplit_once(['.', ':']).unwrap_or(("", name));
        Documented::Function {
            table: without_globals(table).to_owned(),
            is_method: rest[table.len()..].starts_with(':'),
            name: name.to_owned(),
            params,
        }
    } else if let Some((name, value)) = line.split_once(" = ") {
        let (table, name) = name.rsplit_once('.').unwrap_or(("", name));
        // Removal of a global, which needs no documentation.
        let is_removed = value == "nil";
        if is_removed
            || !is_name(name)
            || !table.split('.').all(|part| part.is_empty() || is_name(part))
        {
            Documented::Other
        } else if table.is_empty() && value == "{" {
            Documented::Table(name.to_owned())
        } else {
            Documented::Value { table: without_globals(table).to_owned(), name: name.to_owned() }
        }
    } else {
        Documented::Other
    }
}

fn without_globals(table: &str) -> &str {
    if table == "_G" { "" } else { table }
}

/// Line between the braces of a global table.
fn member_of(table: &str, line: &str) -> Documented {
    let Some((name, value)) = line.strip_prefix("  ").and_then(|line| line.split_once(" = "))
    else {
        return Documented::Other;
    };
    if !is_name(name) {
        return Documented::Other;
    }
    let (table, name) = (table.to_owned(), name.to_owned());
    match value.strip_prefix("function").and_then(head_of) {
        Some((_, params)) => Documented::Function { table, is_method: false, name, params },
        None => Documented::Value { table, name },
    }
}

/// Name and parameters of `name(a, b)`.
fn head_of(text: &str) -> Option<(&str, Vec<String>)> {
    let (name, rest) = text.split_once('(')?;
    let (params, _) = rest.split_once(')')?;
    let params = params.split(',').map(str::trim).filter(|param| !param.is_empty());
    Some((name, params.map(str::to_owned).collect()))
}

/// Variable in `return name` or `return setmetatable(name, …)`.
fn returned_by(line: &str) -> Option<String> {
    let value = line.strip_prefix("return ")?;
    let value = value.strip_prefix("setmetatable(").unwrap_or(value);
    let name = value.split(',').next().unwrap_or_default().trim();
    is_name(name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(source: &str) -> Vec<(usize, String)> {
        read(source).problems
    }

    #[test]
    fn a_function_has_its_text_and_its_annotations() {
        let file = read(
            "\
--- Does it.
---
--- ```lua
--- shop.buy(\"milk\")
--- ```
---@generic T: table
---@param what string the thing
---@param options? { now: boolean } how
---@return integer? price in cents
---@return string
function shop.buy(what, options)
end
",
        );
        assert!(file.problems.is_empty(), "{:?}", file.problems);
        let [declared] = &file.declarations[..] else { panic!("{:?}", file.declarations) };
        let comment = declared.comment.as_ref().expect("a comment");
        assert_eq!(comment.text, ["Does it.", "", "```lua", "shop.buy(\"milk\")", "```"]);
        assert_eq!(comment.generics.as_deref(), Some("T: table"));
        assert!(comment.params[1].is_optional);
        assert_eq!(comment.params[1].ty, "{ now: boolean }");
        assert_eq!(comment.returns[0].name, "price");
        assert_eq!(comment.returns[0].doc, "in cents");
        assert_eq!(comment.returns[1].name, "");
        assert_eq!(declared.line, 11);
        let Documented::Function { table, name, params, is_method } = &declared.subject else {
            panic!("{:?}", declared.subject)
        };
        assert_eq!((table.as_str(), name.as_str(), *is_method), ("shop", "buy", false));
        assert_eq!(params[..], ["what", "options"]);
    }

    #[test]
    fn what_is_not_understood_is_a_problem_with_its_line() {
        for (source, why) in [
            ("---@see other", "@see is not known"),
            ("--- Text.\n---@param name", "a name and a type"),
            ("---@param name !", "no type"),
            ("---@field a.b string", "no name"),
            ("---@return table<string", "no type"),
            ("---@return string! x", "no type"),
            ("---@return string (in cents)", "no name of a result"),
            ("---@class a\n---@class b", "two classes"),
            ("---@class a-b", "no name"),
            ("---@alias x", "name and a type"),
            ("---@overload string", "no function type"),
            ("---@class a\n--- late", "text after an annotation"),
            ("---@generic", "names no types"),
        ] {
            let found = problems(source);
            let [(line, problem)] = &found[..] else { panic!("{source}: {found:?}") };
            assert!(problem.contains(why), "{source}: {problem}");
            assert_eq!(*line, source.lines().count(), "{source}");
        }
    }

    #[test]
    fn rulers_and_ordinary_comments_are_no_documentation() {
        let file = read("------------------- Part\n-- Why.\nlocal x = 1\nx.y = 2\n");
        let subjects: Vec<_> = file.declarations.iter().map(|one| &one.subject).collect();
        assert!(file.declarations.iter().all(|one| one.comment.is_none()));
        assert_eq!(subjects.len(), 2, "{subjects:?}");
    }

    #[test]
    fn members_of_a_global_table_are_declared_in_it() {
        let file = read(
            "\
io = {
  --- Opens it.
  open = open,
  write = function(...)
    local x = 1
  end,
}
function _G.print(...) end
return setmetatable(io, {
",
        );
        let subjects: Vec<_> = file
            .declarations
            .iter()
            .filter_map(|one| match &one.subject {
                Documented::Function { table, name, .. } | Documented::Value { table, name } => {
                    Some((table.as_str(), name.as_str(), one.comment.is_some()))
                }
                _ => None,
            })
            .collect();
        assert_eq!(subjects, [("io", "open", true), ("io", "write", false), ("", "print", false)]);
        assert_eq!(file.returned.as_deref(), Some("io"));
    }
}
