//! Hints for errors that Lua raises while a script runs.

use super::code::Code;
use super::{
    LIBRARIES, foreign_global, meant_global, missing_function, missing_record_field,
    missing_text_method, words,
};

/// Error of Lua, and what is known about it.
pub(super) struct Raised<'a> {
    /// Message, without its position.
    pub problem: &'a str,
    /// Text around its position, if it is known.
    pub code: Option<Code<'a>>,
    /// Names of all globals.
    pub globals: Vec<String>,
    /// Functions of a library of Lua, by its name.
    pub library: &'a dyn Fn(&str) -> Option<Vec<String>>,
}

/// Variable in a message: `field 'name'`.
#[derive(Clone, Copy)]
struct Variable<'a> {
    kind: &'a str,
    name: &'a str,
}

/// Hint for an error, if it is a known mistake.
pub(super) fn hint(raised: &Raised<'_>) -> Option<String> {
    let problem = raised.problem;
    if let Some(rest) = problem.strip_prefix("attempt to ") {
        let (what, variable) = with_variable(rest);
        return attempt(raised, what, variable);
    }
    if let Some(rest) = problem.strip_prefix("bad argument #") {
        return argument(raised, rest);
    }
    if problem.starts_with("bad 'for' ") && problem.contains("number expected, got ") {
        let is_length =
            ["length", "size", "len", "count", "n"].iter().any(|field| raised.has(&[".", field]));
        let is_table = problem.ends_with("got table)");
        return Some(if is_length || is_table {
            "#list is the length of a list: for i = 1, #list do".into()
        } else {
            "both ends of the loop must be numbers; tonumber(text) makes one of a text".into()
        });
    }
    None
}

/// Message, and the variable in parentheses at its end.
fn with_variable(text: &str) -> (&str, Option<Variable<'_>>) {
    let parts = || {
        let (what, variable) = text.strip_suffix("')")?.split_once(" (")?;
        let (kind, name) = variable.split_once(" '")?;
        Some((what, Variable { kind, name }))
    };
    match parts() {
        Some((what, variable)) => (what, Some(variable)),
        None => (text, None),
    }
}

fn attempt(raised: &Raised<'_>, what: &str, variable: Option<Variable<'_>>) -> Option<String> {
    match what {
        "call a nil value" => variable.and_then(|variable| call_nil(raised, variable)),
        "call a table value" => Some(call_table(raised, variable?)?),
        "call a string value" | "call a number value" | "call a boolean value" => {
            let Variable { kind: "field", name } = variable? else { return None };
            Some(format!("{name} is a value, not a function: write it without ()"))
        }
        "index a number value" => {
            let name = variable?.name;
            let (variables, iterator) = raised.code.as_ref()?.loop_of(name)?;
            let is_it = variables == [name] && matches!(iterator.as_str(), "ipairs" | "pairs");
            let index = if iterator == "ipairs" { "_" } else { "key" };
            is_it.then(|| {
                format!("{iterator} gives two values: for {index}, {name} in {iterator}(…) do")
            })
        }
        "index a function value" => index_function(raised, variable),
        "get length of a function value" => Some(words::LENGTH_OF_FUNCTION.into()),
        "compare two table values" => Some(
            "tables have no order: compare a field of them, such as table.sort(list, function(a, \
             b) return a.name < b.name end)"
                .into(),
        ),
        "concatenate a table value" => {
            let Variable { name, .. } = variable?;
            Some(format!("{name} is a table: join a field of it, or inspect({name})"))
        }
        "concatenate a function value" => {
            let Variable { name, .. } = variable?;
            Some(format!("{name} is a function: call it, with ()"))
        }
        "concatenate a boolean value" => Some("tostring(x) makes text of a truth value".into()),
        _ if what.ends_with(" a nil value") => nil(raised, what, variable),
        _ if what.contains(" 'string'") => Some(text_arithmetic(what)),
        _ if what.starts_with("compare ") => compare(what),
        _ => None,
    }
}

/// Hint for an operator on a text: `add a 'string' with a 'string'`.
fn text_arithmetic(what: &str) -> String {
    const NUMBER: &str = words::NUMBER_OF_TEXT;
    if what.starts_with("add ") {
        format!("{}; {NUMBER}", words::ADDED_TEXTS)
    } else if what.starts_with("mod ") {
        format!("string.format(\"%d of %d\", a, b) puts values into a text; {NUMBER}")
    } else {
        NUMBER.into()
    }
}

fn compare(what: &str) -> Option<String> {
    let (a, b) = what.strip_prefix("compare ")?.split_once(" with ")?;
    match (a, b) {
        ("number", "string") | ("string", "number") => Some(words::NUMBER_OF_TEXT.into()),
        ("nil", "string") | ("string", "nil") => {
            Some("one of the two has no value; (x or \"\") gives it one".into())
        }
        ("nil", "number") | ("number", "nil") => {
            Some("one of the two has no value; (x or 0) gives it one".into())
        }
        _ => None,
    }
}

fn call_nil(raised: &Raised<'_>, Variable { kind, name }: Variable<'_>) -> Option<String> {
    match kind {
        "global" => Some(global(raised, name, true)),
        "field" => {
            let base = raised.base_of(name, ".");
            let library = base.as_deref().filter(|base| LIBRARIES.contains(base));
            if let Some(library) = library {
                return Some(raised.of_library(library, name));
            }
            let of = base.as_deref().unwrap_or("the table");
            if let Some(advice) = words::advice(words::TEXT_METHODS, name) {
                return Some(format!("{of} has no {name}; {advice}"));
            }
            let base = base?;
            Some(format!("{base} has no field {name}; print(inspect({base})) shows what it has"))
        }
        "method" => {
            let advice = missing_text_method(name)?;
            Some(format!("there is no such method; {advice}"))
        }
        "local" | "upvalue" => value_of(raised, name)
            .or_else(|| Some(format!("{name} has no value here, so it cannot be called"))),
        _ => None,
    }
}

fn call_table(raised: &Raised<'_>, Variable { kind, name }: Variable<'_>) -> Option<String> {
    if kind == "for iterator" {
        return Some(if raised.has(&[".", "list", "("]) || raised.has(&[".", "list", "{"]) {
            words::LOOP_OVER_PAGE.into()
        } else {
            words::LOOP_OVER_TABLE.into()
        });
    }
    let is_module = kind == "field" && matches!(name, "profiles" | "roles");
    is_module.then(|| {
        format!(
            "iam.{name} is a module: iam.{name}.each() goes through all, iam.{name}.get(name) \
                 returns one"
        )
    })
}

fn index_function(raised: &Raised<'_>, variable: Option<Variable<'_>>) -> Option<String> {
    let Some(Variable { kind, name }) = variable else {
        return raised.has(&["ipairs", "("]).then(|| words::IPAIRS_OF_ITERATOR.to_owned());
    };
    if kind == "global" && name == "try" {
        return Some(words::TRY.into());
    }
    if kind == "global" && name == "_" {
        return Some(
            "_ is an iterator here: for x in _ do goes through it; iam.profiles.list() returns a \
             list"
                .into(),
        );
    }
    if let Some((_, iterator)) = raised.code.as_ref().and_then(|code| code.loop_of(name))
        && matches!(iterator.rsplit_once('.'), Some((_, "each" | "pages")))
        && matches!(kind, "local")
    {
        return Some(format!("{iterator} must be called: for {name} in {iterator}() do"));
    }
    None
}

/// Hint for a use of nil other than a call.
fn nil(raised: &Raised<'_>, what: &str, variable: Option<Variable<'_>>) -> Option<String> {
    let joins = what.starts_with("concatenate ");
    let Some(Variable { kind, name }) = variable else {
        if joins {
            return Some("(x or \"\") gives nil a text; tostring(x) shows it".to_owned());
        }
        // `ipairs(….InstanceProfiles)`
        if raised.has(&["ipairs", "("])
            && let Some(advice) = raised.outer_answer()
        {
            return Some(advice);
        }
        let function = raised.code.as_ref()?.indexed_call()?;
        let (_, case) = words::RETURN_NIL.iter().find(|(known, _)| *known == function)?;
        return Some(format!("{case}; keep the result in a local, and test it first"));
    };
    let specific = match kind {
        "global" => Some(global(raised, name, false)),
        "field" => field(raised, name),
        "local" | "upvalue" => value_of(raised, name),
        _ => None,
    };
    specific.or_else(|| {
        let is_named =
            matches!(kind, "field" | "local" | "upvalue") && !matches!(name, "?" | "integer index");
        let name = if is_named { name } else { "the value" };
        Some(match what.split(' ').next() {
            Some("concatenate") => {
                format!("{name} has no value here; (x or \"\") gives a text in its place")
            }
            Some("index") => {
                format!("{name} has no value here; test it first: if x then … end")
            }
            _ => format!("{name} has no value here; (x or 0) gives a number in its place"),
        })
    })
}

/// Hint for a global without a value.
fn global(raised: &Raised<'_>, name: &str, is_called: bool) -> String {
    if let Some(line) = raised.code.as_ref().and_then(|code| code.local_function_below(name)) {
        return format!("`local function {name}` stands below, in line {line}: move it up");
    }
    let before_text = raised.code.as_ref().is_some_and(|code| code.touches_text(name));
    if let Some(advice) = foreign_global(name, is_called, before_text) {
        return format!("there is no {name}; {advice}");
    }
    // A variable of the script whose name is misspelt.
    let mut known = raised.globals.clone();
    known.extend(raised.code.iter().flat_map(Code::declared));
    if let Some(meant) = meant_global(name, &known, is_called) {
        return format!("did you mean {meant}?");
    }
    if !is_called {
        return format!("nothing has given {name} a value before this line");
    }
    format!("nothing defines {name} before this line; `iamlua doc {name}` searches what there is")
}

/// Hint for a field without a value.
fn field(raised: &Raised<'_>, name: &str) -> Option<String> {
    if let Some(advice) = missing_record_field(name) {
        return Some(advice);
    }
    match name {
        "tags" => Some(words::WITHOUT_TAGS.into()),
        "role" => Some(
            "a profile without a role has no role field: (profile.role or \"none\"), or test it \
             first"
                .into(),
        ),
        "?" | "integer index" if raised.has(&["[", "0", "]"]) => {
            Some("the first element of a list is list[1]; Lua counts from 1".into())
        }
        "?" | "integer index" if raised.has(&["arg", "["]) => Some(
            "arg has the words after the script; none was given there. `runbook { params = … }` \
             names and checks them"
                .into(),
        ),
        _ => None,
    }
}

/// Hint for a local without a value, from the statement that gave it one.
fn value_of(raised: &Raised<'_>, name: &str) -> Option<String> {
    let code = raised.code.as_ref()?;
    if let Some((variables, iterator)) = code.loop_of(name) {
        let is_listing = matches!(iterator.rsplit_once('.'), Some((_, "each" | "pages")));
        return (is_listing && variables.first() != Some(&name)).then(|| {
            format!("{iterator} gives one value each time: for {name} in {iterator}() do")
        });
    }
    let function = code.assigned_from(name)?;
    let (_, case) = words::RETURN_NIL.iter().find(|(known, _)| *known == function)?;
    Some(format!("{case}; test {name} first"))
}

/// Hint for a wrong argument of a function of Lua's library: `1 to 'upper' (string expected, …)`.
fn argument(raised: &Raised<'_>, rest: &str) -> Option<String> {
    let (number, rest) = rest.split_once(" to '")?;
    let (function, rest) = rest.split_once("' (")?;
    let got = rest.strip_suffix(')')?.rsplit_once("got ")?.1;
    let strings = (raised.library)("string").unwrap_or_default();
    if number == "1" && got == "no value" && strings.iter().any(|name| name == function) {
        let base = match raised.base_of(function, ".") {
            Some(base) if base == "string" => return None,
            Some(base) => base,
            // `("x").upper()`
            None if raised.has(&[".", function, "("]) => "(…)".into(),
            None => return None,
        };
        return Some(format!("a method is called with `:`: {base}:{function}()"));
    }
    match (function, got) {
        ("for iterator" | "pairs" | "ipairs" | "next", "nil") if raised.has(&[".", "tags"]) => {
            Some(words::WITHOUT_TAGS.into())
        }
        ("for iterator" | "pairs" | "ipairs" | "next", "nil") => {
            let empty = || "the table has no value here; (x or {}) gives an empty one".to_owned();
            Some(raised.outer_answer().unwrap_or_else(empty))
        }
        ("for iterator" | "pairs" | "ipairs", "function") => {
            Some("an iterator stands in the loop itself: for p in iam.profiles.each() do".into())
        }
        _ => None,
    }
}

impl Raised<'_> {
    fn has(&self, words: &[&str]) -> bool {
        self.code.as_ref().is_some_and(|code| code.has(words))
    }

    /// Table that a field of the failing line is read from: a path of names.
    fn base_of(&self, field: &str, dot: &str) -> Option<String> {
        let code = self.code.as_ref()?;
        let base = code.base_of(field, dot)?;
        let first = base.split('.').next()?;
        // A local of the name is another thing than the library.
        (!LIBRARIES.contains(&first) || !code.shadows(first)).then_some(base)
    }

    /// Advice for an outer element of an answer of AWS in the failing line.
    fn outer_answer(&self) -> Option<String> {
        let outer = words::AWS_ANSWERS.iter().find(|name| self.has(&[".", name]))?;
        missing_record_field(outer)
    }

    /// Hint for a function that a library of Lua does not have.
    fn of_library(&self, library: &str, name: &str) -> String {
        let missing = format!("{library} has no function {name}");
        let functions = (self.library)(library).unwrap_or_default();
        match missing_function(library, name, &functions) {
            Some(advice) => format!("{missing}; {advice}"),
            None => format!("{missing}; `iamlua doc {name}` searches what there is"),
        }
    }
}
