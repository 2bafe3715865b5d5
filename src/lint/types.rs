//! Types of the documentation, in the notation of the Lua language server, held against values.

use std::borrow::Cow;

use crate::docs::{self, ItemKind};

/// Value as far as it is certain.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape<'s> {
    Nil,
    Boolean,
    Integer,
    Float,
    /// Text; `None` if its content is not known.
    Text(Option<&'s str>),
    Table,
    Function,
    Unknown,
}

impl Shape<'_> {
    /// Name of its type in Lua.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Boolean => "a boolean",
            Self::Integer | Self::Float => "a number",
            Self::Text(_) => "a string",
            Self::Table => "a table",
            Self::Function => "a function",
            Self::Unknown => "a value",
        }
    }
}

/// Members of a union.
pub(super) fn union(ty: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut is_text, mut start) = (0_i32, false, 0);
    // The result of a function type takes the rest of the union.
    let mut in_result = false;
    for (at, c) in ty.char_indices() {
        match c {
            '"' => is_text = !is_text,
            _ if is_text => {}
            '(' | '{' | '<' => depth += 1,
            ')' | '}' | '>' => depth -= 1,
            ':' if depth == 0 => in_result = true,
            '|' if depth == 0 && !in_result => {
                parts.push(ty[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(ty[start..].trim());
    parts
}

/// Type without the question mark of an optional one.
pub(super) fn required(ty: &str) -> &str {
    if ty.starts_with("fun(") { ty } else { ty.trim_end_matches('?') }
}

/// Type without brackets around the whole of it.
fn bare(ty: &str) -> Cow<'_, str> {
    match ty.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
        Some(inner) if !inner.contains(['(', ')']) || inner.starts_with("fun(") => inner.into(),
        _ => ty.into(),
    }
}

/// Check that a type may hold a value. A type that is not understood holds every value.
pub(super) fn accepts(ty: &str, shape: &Shape) -> bool {
    if *shape == Shape::Unknown {
        return true;
    }
    let is_optional = !ty.starts_with("fun(") && ty.ends_with('?');
    (is_optional && *shape == Shape::Nil)
        || union(required(ty)).into_iter().any(|part| accepts_one(&bare(part), shape))
}

fn accepts_one(ty: &str, shape: &Shape) -> bool {
    if let Some(literal) = ty.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return match shape {
            Shape::Text(Some(text)) => *text == literal,
            Shape::Text(None) => true,
            _ => false,
        };
    }
    if ty.starts_with("fun(") {
        return *shape == Shape::Function;
    }
    if ty.ends_with('?') || union(ty).len() > 1 {
        return accepts(ty, shape);
    }
    if ty.ends_with("[]") || ty.starts_with("table<") || ty.starts_with('{') {
        return *shape == Shape::Table;
    }
    match ty {
        "nil" => *shape == Shape::Nil,
        "boolean" | "true" | "false" => *shape == Shape::Boolean,
        // A float with an integral value is an integer too.
        "integer" | "number" => matches!(shape, Shape::Integer | Shape::Float),
        "string" => matches!(shape, Shape::Text(_)),
        "table" => *shape == Shape::Table,
        "function" => *shape == Shape::Function,
        "thread" | "userdata" | "lightuserdata" | "file*" => false,
        _ => match docs::item(ty) {
            Some(item) if item.kind == ItemKind::Alias => accepts(&item.ty, shape),
            Some(item) if item.kind == ItemKind::Class => match shape {
                Shape::Function => !item.overloads.is_empty(),
                shape => *shape == Shape::Table,
            },
            _ => true,
        },
    }
}

/// Text literals that a type lists, those of its aliases too.
pub(super) fn literals(ty: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for part in union(required(ty)) {
        if let Some(text) = part.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            found.push(text);
        } else if let Some(item) = docs::item(part).filter(|item| item.kind == ItemKind::Alias) {
            found.extend(literals(&item.ty));
        }
    }
    found
}

/// Class that a table of that type is; `None` if it is of none or may be of several.
pub(super) fn class_of(ty: &str) -> Option<&'static docs::Item> {
    let mut classes = union(required(ty))
        .into_iter()
        .filter_map(|part| docs::item(required(part)).filter(|item| item.kind == ItemKind::Class));
    let is_other_table = union(required(ty)).into_iter().any(|part| {
        part == "table" || part == "any" || part.starts_with("table<") || part.starts_with('{')
    });
    let class = classes.next()?;
    (classes.next().is_none() && !is_other_table).then_some(class)
}

/// Type of the values of a table type: of an array for positions, or of a map for names.
pub(super) fn values_of(ty: &str, is_array: bool) -> Option<Cow<'_, str>> {
    let mut found = union(required(ty)).into_iter().filter_map(|part| {
        if is_array {
            part.strip_suffix("[]").map(bare)
        } else {
            let inner = part.strip_prefix("table<string,")?.strip_suffix('>')?;
            Some(inner.trim().into())
        }
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// Check for a type whose values are functions.
pub(super) fn is_function(ty: &str) -> bool {
    ty.starts_with("fun(") && union(ty).len() == 1
}

/// Type of the entries of a class that is an array too: a page of a listing.
pub(super) fn entries_of(ty: &str) -> Option<&'static str> {
    class_of(ty)?.ty.strip_prefix("{ [integer]: ")?.strip_suffix(" }")
}

/// Type in words: `"a"|"b"` as a list, everything else as it is written.
pub(super) fn words(ty: &str) -> String {
    let texts = literals(ty);
    if texts.len() > 1 && texts.len() == union(required(ty)).len() {
        return format!("one of {}", texts.join(", "));
    }
    let parts: Vec<_> = union(required(ty))
        .into_iter()
        .map(|part| match part {
            "string" => "a string",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "table" => "a table",
            "function" => "a function",
            part if part.starts_with("fun(") => "a function",
            part if part.ends_with("[]") => "an array",
            part if part.starts_with("table<") || part.starts_with('{') => "a table",
            part if docs::item(part).is_some_and(|item| item.kind == ItemKind::Class) => "a table",
            part => part,
        })
        .collect();
    let mut unique: Vec<&str> = Vec::new();
    for part in parts {
        if !unique.contains(&part) {
            unique.push(part);
        }
    }
    unique.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_is_split_outside_of_brackets_texts_and_results() {
        assert_eq!(union("string|number"), ["string", "number"]);
        assert_eq!(union("\"a|b\"|c"), ["\"a|b\"", "c"]);
        assert_eq!(union("table<string, a|b>|c[]"), ["table<string, a|b>", "c[]"]);
        assert_eq!(union("T[]|fun(): T?|nil"), ["T[]", "fun(): T?|nil"]);
        assert_eq!(union("table[]|(fun(): table?)"), ["table[]", "(fun(): table?)"]);
    }

    #[test]
    fn a_value_is_held_against_every_member_of_a_type() {
        for (ty, shape, is_accepted) in [
            ("string?", Shape::Nil, true),
            ("string", Shape::Nil, false),
            ("string|number", Shape::Float, true),
            ("string|number", Shape::Boolean, false),
            ("\"a\"|\"b\"", Shape::Text(Some("c")), false),
            ("\"a\"|\"b\"", Shape::Text(None), true),
            ("report.Format", Shape::Text(Some("cvs")), false),
            ("(string|report.Column)[]", Shape::Table, true),
            ("(string|report.Column)[]", Shape::Text(None), false),
            ("table[]|(fun(): table?)", Shape::Function, true),
            ("bulk.Options", Shape::Integer, false),
            ("bulk.Options", Shape::Table, true),
            ("T", Shape::Integer, true),
            ("integer", Shape::Text(Some("5")), false),
        ] {
            assert_eq!(accepts(ty, &shape), is_accepted, "{ty} and {shape:?}");
        }
        assert_eq!(values_of("runbook.Param[]", true).as_deref(), Some("runbook.Param"));
        assert_eq!(
            values_of("table<string, runbook.Param>", false).as_deref(),
            Some("runbook.Param")
        );
        assert_eq!(
            values_of("(string|report.Column)[]", true).as_deref(),
            Some("string|report.Column")
        );
        assert_eq!(
            class_of("policy.Statement|policy.Statement[]").map(|item| &*item.name),
            Some("policy.Statement")
        );
    }
}
