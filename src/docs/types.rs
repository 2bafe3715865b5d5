//! Types in the notation of the Lua language server: their end in a line, and their literals.

/// Splits a type from the text after it. `None` if the text does not begin with a type, or
/// continues without a space.
///
/// Shapes: `string`, `iam.Profile?`, `string[]`, `"a"|"b"`, `table<string, string>`, `{ name:
/// string }`, `(string|integer)[]`, `file*`, `fun(item: T): boolean?`, and unions of them.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let end = end_of_union(text, 0)?;
    let (ty, rest) = text.split_at(end);
    (rest.is_empty() || rest.starts_with(' ')).then(|| (ty, rest.trim()))
}

/// Literals of a union of nothing else, such as `"table"|"json"`; empty for every other type.
pub(super) fn literals(ty: &str) -> Vec<String> {
    let parts: Vec<_> = ty.trim_end_matches('?').split('|').map(str::trim).collect();
    let is_literal = |part: &&str| part.len() > 1 && part.starts_with('"') && part.ends_with('"');
    if parts.iter().all(is_literal) {
        parts.into_iter().map(|part| part.trim_matches('"').to_owned()).collect()
    } else {
        Vec::new()
    }
}

fn end_of_union(text: &str, from: usize) -> Option<usize> {
    let mut at = end_of_one(text, from)?;
    while text[at..].starts_with('|') {
        at = end_of_one(text, at + 1)?;
    }
    Some(at)
}

fn end_of_one(text: &str, from: usize) -> Option<usize> {
    let rest = &text[from..];
    let mut at = from;
    if let Some(inner) = rest.strip_prefix('"') {
        at += inner.find('"')? + 2;
    } else if rest.starts_with(['(', '{']) {
        at = end_of_group(text, from)?;
    } else if rest.starts_with("fun(") {
        at = end_of_group(text, from + "fun".len())?;
        if text[at..].starts_with(':') {
            let spaces = text[at + 1..].len() - text[at + 1..].trim_start().len();
            // The result type ends the type: in `fun(): T?` the question mark belongs to it.
            return end_of_union(text, at + 1 + spaces);
        }
    } else {
        let is_part = |c: char| c.is_alphanumeric() || "_.*".contains(c);
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        if length == 0 {
            return None;
        }
        at += length;
        if text[at..].starts_with('<') {
            at = end_of_group(text, at)?;
        }
    }
    loop {
        let rest = &text[at..];
        at += match rest {
            _ if rest.starts_with("[]") => 2,
            _ if rest.starts_with('?') => 1,
            _ => return Some(at),
        };
    }
}

/// End of the group that the bracket at `from` opens.
fn end_of_group(text: &str, from: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text[from..].char_indices() {
        match c {
            '(' | '{' | '<' => depth += 1,
            ')' | '}' | '>' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(from + at + 1);
        }
    }
    None
}

/// Parameters and result of a function type; the result is empty where there is none.
#[must_use]
pub fn function(ty: &str) -> Option<(Vec<(&str, &str)>, &str)> {
    let end = end_of_group(ty, "fun".len()).filter(|_| ty.starts_with("fun("))?;
    let mut params = Vec::new();
    let mut rest = ty["fun(".len()..end - 1].trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once(':').unwrap_or((rest, "any"));
        let end = end_of_union(after, after.len() - after.trim_start().len())?;
        params.push((name.trim(), after[..end].trim()));
        rest = after[end..].trim_start_matches([',', ' ']);
    }
    Some((params, ty[end..].trim_start_matches([':', ' '])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_ends_where_its_description_begins() {
        for (line, ty) in [
            ("string the name", "string"),
            ("integer? how many", "integer?"),
            ("\"left\"|\"right\" default: right", "\"left\"|\"right\""),
            ("(string|report.Column)[] what to show", "(string|report.Column)[]"),
            ("table<string, string|string[]>", "table<string, string|string[]>"),
            ("fun(row: table): any makes the value", "fun(row: table): any"),
            ("T[]|fun(): T? an array, or an iterator", "T[]|fun(): T?"),
            ("fun() called at the end", "fun()"),
            ("{ [integer]: iam.Tag } entries", "{ [integer]: iam.Tag }"),
            ("string|table<string, string|string[]>", "string|table<string, string|string[]>"),
        ] {
            assert_eq!(split(line), Some((ty, line[ty.len()..].trim())), "{line}");
        }
        for line in ["", "!", "table<string", "string, a name", "fun(", "\"open"] {
            assert_eq!(split(line), None, "{line}");
        }
    }

    #[test]
    fn literals_are_those_of_a_union_of_nothing_else() {
        assert_eq!(literals("\"a\"|\"b\""), ["a", "b"]);
        assert_eq!(literals("\"a\"|\"b\"?"), ["a", "b"]);
        assert!(literals("string|\"b\"").is_empty());
    }

    #[test]
    fn a_function_type_has_parameters_and_a_result() {
        assert_eq!(
            function("fun(rows: table[]|(fun(): table?), options?: report.Options)"),
            Some((vec![("rows", "table[]|(fun(): table?)"), ("options?", "report.Options")], ""))
        );
        assert_eq!(
            function("fun(manifest: runbook.Manifest): table<string, any>"),
            Some((vec![("manifest", "runbook.Manifest")], "table<string, any>"))
        );
        assert_eq!(function("fun(): any"), Some((vec![], "any")));
        assert_eq!(function("string"), None);
    }
}
