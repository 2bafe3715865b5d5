//! Entries of the REPL: completeness, values, and locals that persist in the next entry.
//!
//! A local of a chunk ends with the chunk. A `local` at the top level of an entry is therefore not
//! declared: the word is blanked out, and the name becomes a variable of the REPL, which is not a
//! global either. The entry's environment is a table of these variables in front of the globals. A
//! function of one entry thus sees what a later entry assigns, as it would in one script. A local
//! with `<close>` stays a local, and is closed at the end of its entry. In the entry that declares
//! it, a name refers to the local from the beginning on.

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, Table};

use super::syntax;
use super::tokens::{Token, TokenKind, tokens};
use crate::error::Result;

/// Name of the chunk in messages.
pub const NAME: &str = "(prompt)";

/// A compiled entry.
pub struct CompiledEntry {
    /// Compiled chunk.
    pub chunk: Function,
    /// Locals that it declares.
    pub locals: Vec<String>,
}

/// Result of reading a text.
pub enum Read {
    /// A complete entry.
    Whole(CompiledEntry),
    /// A text that needs more lines.
    Incomplete,
}

/// Compiles an entry, with `environment` for its free names.
///
/// # Errors
/// A syntax error, with its line and column.
pub fn read(lua: &Lua, text: &str, environment: &Table) -> Result<Read> {
    // Lua 5.3 and earlier had `= value` for this.
    let expression = text.trim_start().strip_prefix('=').filter(|rest| !rest.starts_with('='));
    let as_expression = format!("return {}", expression.unwrap_or(text));
    let is_open_expression = match compile(lua, &as_expression, environment) {
        Ok(chunk) => return Ok(Read::Whole(CompiledEntry { chunk, locals: vec![] })),
        Err(mlua::Error::SyntaxError { incomplete_input, .. }) => incomplete_input,
        Err(_) => false,
    };
    if has_open_quote(text) {
        // Lua reports an unfinished text here, but no further line can close the quote.
        let chunk = syntax::load(lua, text.as_bytes(), NAME)?;
        return Ok(Read::Whole(CompiledEntry { chunk, locals: vec![] }));
    }
    let (statements, locals) = keep_locals(text);
    match compile(lua, &statements, environment) {
        Ok(chunk) => Ok(Read::Whole(CompiledEntry { chunk, locals })),
        Err(mlua::Error::SyntaxError { incomplete_input: true, .. }) => Ok(Read::Incomplete),
        Err(_) if is_open_expression => Ok(Read::Incomplete),
        Err(_) => {
            // Errors refer to the text as it was typed.
            let chunk = syntax::load(lua, text.as_bytes(), NAME)?;
            Ok(Read::Whole(CompiledEntry { chunk, locals: vec![] }))
        }
    }
}

/// Check for a quoted text without an end on its line, and without a backslash that would continue
/// it on the next.
fn has_open_quote(text: &str) -> bool {
    let all = tokens(text);
    let Some(last) = all.last() else { return false };
    let word = last.text(text);
    let goes_on = word.ends_with('\\') || word.trim_end().ends_with("\\z");
    last.kind == TokenKind::Text { is_closed: false } && !word.starts_with('[') && !goes_on
}

fn compile(lua: &Lua, text: &str, environment: &Table) -> mlua::Result<Function> {
    let chunk = lua.load(text).set_name(format!("={NAME}")).set_mode(ChunkMode::Text);
    chunk.set_environment(environment.clone()).into_function()
}

/// Text without top-level `local`, and the names that were declared so.
fn keep_locals(text: &str) -> (String, Vec<String>) {
    assigning(text, true, |_| true)
}

/// Text whose top-level declarations are turned into assignments, if one of their names is meant.
#[must_use]
pub fn without_locals(text: &str, is_meant: impl Fn(&str) -> bool) -> String {
    assigning(text, false, |names| names.iter().any(|name| is_meant(name))).0
}

/// Text with assignments in place of the matching declarations, and all names that were declared
/// so. If `keeps_places`, everything else keeps its line and column.
fn assigning(
    text: &str,
    keeps_places: bool,
    is_meant: impl Fn(&[String]) -> bool,
) -> (String, Vec<String>) {
    let all: Vec<Token> = tokens(text)
        .into_iter()
        .filter(|token| !matches!(token.kind, TokenKind::Comment { .. }))
        .collect();
    let mut out = text.to_owned();
    let mut locals = Vec::new();
    // Applied from the end, so that no edit shifts the position of another.
    let mut edits: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    let (mut depth, mut loops) = (0_usize, 0_usize);
    let mut at = 0;
    while let Some(token) = all.get(at) {
        let word = token.text(text);
        match token.kind {
            TokenKind::Open => depth += 1,
            TokenKind::Close => depth = depth.saturating_sub(1),
            TokenKind::Keyword => match word {
                // `while … do` and `for … do` open one block with two words.
                "while" | "for" => {
                    depth += 1;
                    loops += 1;
                }
                "do" if loops > 0 => loops -= 1,
                "do" | "function" | "if" | "repeat" => depth += 1,
                "end" | "until" => depth = depth.saturating_sub(1),
                "local" if depth == 0 => {
                    let declared = declaration(text, &all, at);
                    if let Some(declared) = declared.filter(|d| is_meant(&d.names)) {
                        edits.push((token.at.clone(), " ".repeat(word.len())));
                        edits.extend(declared.edits);
                        locals.extend(declared.names);
                    }
                }
                _ => {}
            },
            _ => {}
        }
        at += 1;
    }
    edits.sort_by_key(|(range, _)| range.start);
    for (mut range, mut replacement) in edits.into_iter().rev() {
        if !keeps_places && replacement.trim().is_empty() {
            // `local` is removed with the following white space, an attribute with the preceding.
            if text[range.clone()].starts_with('<') {
                range.start = text[..range.start].trim_end().len();
            } else {
                range.end = text.len() - text[range.end..].trim_start().len();
            }
            replacement.clear();
        }
        out.replace_range(range, &replacement);
    }
    (out, locals)
}

/// Declaration that can become an assignment.
struct Declaration {
    names: Vec<String>,
    edits: Vec<(std::ops::Range<usize>, String)>,
}

/// Parses the declaration at the token `local`; `None` if it must stay one.
fn declaration(text: &str, all: &[Token], at: usize) -> Option<Declaration> {
    let token = |at: usize| all.get(at);
    let is = |at: usize, word: &str| token(at).is_some_and(|token| token.is(text, word));
    let name = |at: usize| {
        token(at)
            .filter(|token| token.kind == TokenKind::Name)
            .map(|token| token.text(text).to_owned())
    };
    if is(at + 1, "function") {
        return Some(Declaration { names: vec![name(at + 2)?], edits: Vec::new() });
    }
    let mut declared = Declaration { names: Vec::new(), edits: Vec::new() };
    let mut at = at + 1;
    loop {
        declared.names.push(name(at)?);
        at += 1;
        if is(at, "<") {
            if !is(at + 1, "const") || !is(at + 2, ">") {
                return None;
            }
            let range = token(at)?.at.start..token(at + 2)?.at.end;
            let blank = text[range.clone()].chars().map(|c| if c == '\n' { c } else { ' ' });
            declared.edits.push((range, blank.collect()));
            at += 3;
        }
        if !is(at, ",") {
            break;
        }
        at += 1;
    }
    if !is(at, "=") {
        let end = token(at - 1)?.at.end;
        declared.edits.push((end..end, " = nil".into()));
    }
    Some(declared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str) -> (String, String) {
        let (text, locals) = keep_locals(text);
        (text, locals.join(" "))
    }

    #[test]
    fn a_declaration_becomes_an_assignment_where_that_is_meant() {
        for (text, made) in [
            ("local x = 1", "x = 1"),
            ("y() local x", "y() x = nil"),
            ("local y, x = f()", "y, x = f()"),
            ("local function x() local x end", "function x() local x end"),
            ("local X <const>, x <const> = 5, 6", "X, x = 5, 6"),
            ("local y = 1; local x = 2", "local y = 1; x = 2"),
            ("do local x = 1 end", "do local x = 1 end"),
        ] {
            assert_eq!(without_locals(text, |name| name == "x"), made, "{text}");
        }
    }

    #[test]
    fn a_quote_that_no_line_can_close_is_known() {
        for text in ["'abc", "print(\"abc", "x = 1 .. 'a' .. 'b", "'a\\'"] {
            assert!(has_open_quote(text), "{text}");
        }
        for text in ["'abc'", "[[abc", "'a\\", "'a\\z", "'a\\z\n  ", "-- it's", "'a' -- 'b"] {
            assert!(!has_open_quote(text), "{text}");
        }
    }

    #[test]
    fn locals_outside_of_blocks_become_variables_of_the_prompt() {
        for (text, made, names) in [
            ("local x = 1", "      x = 1", "x"),
            ("local x", "      x = nil", "x"),
            ("local a, b = f()", "      a, b = f()", "a b"),
            ("local a, b; c = 1", "      a, b = nil; c = 1", "a b"),
            ("local function f() local y = 1 end", "      function f() local y = 1 end", "f"),
            ("local X <const> = 5", "      X         = 5", "X"),
            ("local X <const>", "      X         = nil", "X"),
            ("do local x = 1 end", "do local x = 1 end", ""),
            (
                "for i = 1, 2 do local x = i end local y",
                "for i = 1, 2 do local x = i end       y = nil",
                "y",
            ),
            ("while f() do local x end local y", "while f() do local x end       y = nil", "y"),
            ("if a then local x else local y end", "if a then local x else local y end", ""),
            ("repeat local x until x local y", "repeat local x until x       y = nil", "y"),
            ("f(function() local x end) local y = 1", "f(function() local x end)       y = 1", "y"),
            ("local f <close> = g()", "local f <close> = g()", ""),
            ("local a <const>, b <close> = g()", "local a <const>, b <close> = g()", ""),
            ("s = 'local x' -- local y", "s = 'local x' -- local y", ""),
            ("local", "local", ""),
            ("local 1", "local 1", ""),
        ] {
            assert_eq!(kept(text), (made.to_owned(), names.to_owned()), "{text}");
        }
    }
}
