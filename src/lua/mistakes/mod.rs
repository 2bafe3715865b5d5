//! Hints for common mistakes in scripts: habits of other languages, misspelt names, AWS's names of
//! fields. A hint is given only where the text of the error and of the script leave no doubt.

mod code;
mod runtime;
mod syntax;
mod words;

use std::collections::BTreeMap;

use mlua::{Table, Value as LuaValue};

use crate::{iam, spec, stdlib};
pub(super) use syntax::{SyntaxProblem, hint as syntax_hint};
pub use words::{
    ADDED_TEXTS, IPAIRS_OF_ITERATOR, LENGTH_OF_FUNCTION, LOOP_OVER_PAGE, LOOP_OVER_TABLE,
    NUMBER_OF_TEXT, TRY, WITHOUT_TAGS,
};

/// Libraries of Lua. They are not strict, because scripts test for functions of other versions.
const LIBRARIES: [&str; 8] = ["string", "table", "math", "utf8", "os", "io", "coroutine", "debug"];

/// Upper bound on the text in which a mistake is searched for.
pub(super) const MAX_SOURCE: usize = 256 << 10;
/// Upper bound on the texts that are kept of a VM.
const MAX_KEPT: usize = 4 << 20;
/// Upper bound on the message of an error, and on the names that it is compared with.
const MAX_PROBLEM: usize = 400;
const MAX_NAMES: usize = 1000;

/// Texts of the loaded chunks, and the hint for the last error.
#[derive(Default)]
pub(super) struct Sources {
    by_name: BTreeMap<String, String>,
    size: usize,
    last: Option<(Place, Option<String>)>,
}

/// Chunk, line and message of an error.
type Place = (String, usize, String);

impl Sources {
    /// Keeps the text of a chunk, unless it is large.
    pub fn keep(&mut self, name: &str, source: &[u8]) {
        self.last = None;
        if let Some(before) = self.by_name.remove(name) {
            self.size -= before.len();
        }
        let text = std::str::from_utf8(source).ok();
        let small = |text: &&str| text.len() <= MAX_SOURCE && self.size + text.len() <= MAX_KEPT;
        if let Some(text) = text.filter(small) {
            self.size += text.len();
            self.by_name.insert(name.to_owned(), text.to_owned());
        }
    }

    /// Hint for an error of Lua: `chunk` as `debug.getinfo` names it, `line` 0 if it is unknown.
    /// `globals` are those of scripts, `pristine` those before any script ran.
    pub fn hint(
        &mut self,
        problem: &str,
        (chunk, line): (&str, usize),
        globals: &Table,
        pristine: &Table,
    ) -> Option<String> {
        if problem.len() > MAX_PROBLEM {
            return None;
        }
        let place = (chunk.to_owned(), line, problem.to_owned());
        // A loop that goes on after each failure meets the same error again and again.
        if let Some((last, hint)) = &self.last
            && *last == place
        {
            return hint.clone();
        }
        let name = chunk.strip_prefix(['@', '=']);
        let source = name.filter(|_| line > 0).and_then(|name| self.by_name.get(name));
        let mut known = names_in(globals);
        known.extend(stdlib::modules().into_iter().map(str::to_owned));
        let hint = runtime::hint(&runtime::Raised {
            problem,
            code: source.map(|source| code::Code::new(source, line)),
            globals: known,
            library: &|name| pristine.raw_get(name).map(|library| names_in(&library)).ok(),
        });
        self.last = Some((place, hint.clone()));
        hint
    }
}

/// Keys of a table that are names.
pub(super) fn names_in(table: &Table) -> Vec<String> {
    let names = table.pairs::<LuaValue, LuaValue>().take(MAX_NAMES).flatten();
    let names = names.filter_map(|(key, _)| match key {
        LuaValue::String(key) => key.to_str().ok().map(|key| key.to_owned()),
        _ => None,
    });
    names.filter(|name| name.len() <= 40).collect()
}

/// Advice for a global of other languages that scripts do not have. `before_text` is the mark of
/// one that touches a text, as in `f"…"`.
pub fn foreign_global(name: &str, is_called: bool, before_text: bool) -> Option<&'static str> {
    let prefix = if before_text { words::advice(words::TEXT_PREFIXES, name) } else { None };
    let function = || words::advice(words::FUNCTIONS, name).filter(|_| is_called);
    prefix
        .or_else(function)
        .or_else(|| words::advice(words::VALUES, name))
        .or_else(|| words::advice(words::GLOBALS, name))
}

/// Check for a value of another language, such as `None`, which is always nil here.
pub fn is_foreign_value(name: &str) -> bool {
    words::advice(words::VALUES, name).is_some()
}

/// Name that is meant by a global that there is not.
pub fn meant_global(name: &str, known: &[String], is_called: bool) -> Option<String> {
    if let Some(near) = near(name, known) {
        return Some(near.to_owned());
    }
    if matches!(name, "profiles" | "roles") {
        return Some(format!("iam.{name}"));
    }
    let module = module_with(name, None).filter(|_| is_called)?;
    Some(format!("{module}.{name}"))
}

/// Advice for a method that texts do not have.
pub fn missing_text_method(name: &str) -> Option<String> {
    let advice = words::advice(words::TEXT_METHODS, name).map(str::to_owned);
    advice.or_else(|| {
        let module = module_with(name, Some("string"))?;
        Some(format!("did you mean {module}.{name}?"))
    })
}

/// Advice for a function that a library of Lua does not have.
fn missing_function(library: &str, name: &str, functions: &[String]) -> Option<String> {
    let mut known = words::LIBRARY_FIELDS.iter();
    let known = known.find(|((of, names), _)| *of == library && names.contains(&name));
    if let Some((_, advice)) = known {
        return Some((*advice).to_owned());
    }
    if let Some(module) = module_with(name, Some(library)) {
        return Some(format!("did you mean {module}.{name}?"));
    }
    near(name, functions).map(|near| format!("did you mean {library}.{near}?"))
}

/// Advice for a field that a record of AWS does not have.
pub fn missing_record_field(name: &str) -> Option<String> {
    if let Some(own) = words::advice(words::AWS_FIELDS, name) {
        return Some(format!("{name} is AWS's name; a profile or role has it as {own}"));
    }
    if !words::AWS_ANSWERS.contains(&name) {
        return None;
    }
    Some(if name.ends_with('s') {
        format!("the page is the list itself, without an outer {name}")
    } else {
        format!("the result is the record itself, without an outer {name}")
    })
}

/// Hint for a missing field of a module of the program, or of a library of Lua: the function that
/// is meant.
pub fn missing_field(module: &str, name: &str, fields: &[String]) -> Option<String> {
    if LIBRARIES.contains(&module) {
        return missing_function(module, name, fields);
    }
    let of_other_languages = words::MODULE_FIELDS.iter().find(|(of, ..)| *of == (module, name));
    if let Some((_, advice)) = of_other_languages {
        return Some((*advice).to_owned());
    }
    let near = near(name, fields).map(|near| format!("did you mean {module}.{near}?"));
    let is_iam = module.split('.').next() == Some("iam");
    near.or_else(|| of_action(name).filter(|_| is_iam).map(|own| format!("it is {own}")))
}

/// Function for an AWS action, as AWS or its SDKs spell it: `ListInstanceProfiles`,
/// `list_instance_profiles`.
fn of_action(name: &str) -> Option<String> {
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let name = plain(name);
    let mut entries = iam::registry();
    let entry = entries.find(|entry| {
        let mut actions = entry.spec.actions.iter();
        actions.any(|action| plain(action.name) == name)
    });
    entry.map(|entry| entry.spec.lua_name())
}

/// Hint for `require` of a module that there is not. `files` are the names of those beside the
/// script.
pub fn missing_module(name: &str, files: &[String]) -> String {
    if let Some(name) = name.strip_suffix(".lua") {
        return format!("a module is named without \".lua\": require({name:?})");
    }
    if let Some(advice) = words::advice(words::MODULES, name) {
        return advice.to_owned();
    }
    let modules = stdlib::modules();
    let known = modules.iter().copied().chain(files.iter().map(String::as_str));
    if let Some(near) = spec::nearest(name, known).filter(|_| name.len() > 2) {
        return format!("did you mean {near:?}?");
    }
    "modules are files beside the script, and those of iamlua, which `iamlua doc` lists; LuaRocks \
     is not searched"
        .into()
}

/// Known name that is similar. Short names are similar to too many.
fn near<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let known = known.iter().map(String::as_str).filter(|known| known.len() > 2);
    if name.len() < 3 { None } else { spec::nearest(name, known) }
}

/// Module of the program with a function of that name, among those that stand in for a library of
/// Lua, or among all.
fn module_with(name: &str, library: Option<&str>) -> Option<&'static str> {
    let is_like = |module: &str| match library {
        None => true,
        Some("string") => module == "text",
        Some("os") => matches!(module, "env" | "fs" | "process" | "time"),
        Some("io") => module == "fs",
        Some(_) => false,
    };
    let defines = |module: &&str| {
        if !is_like(module) {
            return false;
        }
        let source = stdlib::source(&format!("{module}.lua")).unwrap_or_default();
        source.contains(&format!("\nfunction {module}.{name}("))
    };
    stdlib::modules().into_iter().find(defines)
}

#[cfg(test)]
mod tests {
    use mlua::Lua;

    use super::super::syntax;
    use super::{code, of_action, runtime};

    #[test]
    fn actions_of_aws_are_known_by_all_of_their_names() {
        for name in ["ListInstanceProfiles", "list_instance_profiles", "listInstanceProfiles"] {
            assert_eq!(of_action(name).as_deref(), Some("iam.profiles.list"), "{name}");
        }
        assert_eq!(of_action("TagRole").as_deref(), Some("iam.roles.tag"));
        assert_eq!(of_action("ListBuckets"), None);
    }

    #[test]
    fn no_text_is_too_strange_for_a_hint() {
        const PIECES: [&str; 46] = [
            "a", "b", "iam", ".", ":", ",", "=", "==", "!", "+", "-", "--", "//", "..", "?", "#",
            "(", ")", "{", "}", "[", "]", "if", "then", "else", "end", "for", "in", "do", "local",
            "function", "return", "continue", "elif", "'", "\"", "é", "\n", "\n", " ", " ", " ",
            "1", "tags", "each", "[[",
        ];
        const PROBLEMS: [&str; 12] = [
            "attempt to call a nil value (global 'a')",
            "attempt to call a nil value (field 'b')",
            "attempt to call a nil value (method 'a')",
            "attempt to call a table value (for iterator 'for iterator')",
            "attempt to index a nil value (local 'a')",
            "attempt to index a number value (local 'b')",
            "attempt to index a function value (local 'a')",
            "attempt to concatenate a nil value (field 'tags')",
            "attempt to compare nil with number",
            "bad argument #1 to 'upper' (string expected, got no value)",
            "bad argument #1 to 'for iterator' (table expected, got nil)",
            "bad 'for' limit (number expected, got nil)",
        ];
        let lua = Lua::new();
        let mut random = fastrand::Rng::with_seed(11);
        let mut hints = 0;
        for _ in 0..3_000 {
            let length = random.usize(0..25);
            let source: String =
                (0..length).map(|_| PIECES[random.usize(0..PIECES.len())]).collect();
            for problem in PROBLEMS {
                let hint = runtime::hint(&runtime::Raised {
                    problem,
                    code: Some(code::Code::new(&source, random.usize(1..5))),
                    globals: vec!["print".into()],
                    library: &|_| Some(vec!["upper".into()]),
                });
                hints += usize::from(hint.is_some());
            }
            if let Err(error) = syntax::load(&lua, source.as_bytes(), "a.lua") {
                hints += usize::from(error.hints.len() > 1);
            }
        }
        assert!(hints > 1_000, "{hints}");
    }
}
