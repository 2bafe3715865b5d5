//! Compilation of a script, with syntax errors that show the line and the column.

use std::borrow::Cow;

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua};
use textwrap::core::display_width;

use super::mistakes::{self, MAX_SOURCE, SyntaxProblem};
use crate::error::{Error, Kind, Result};

/// Compiles a script. Skips a byte-order mark and a first line that starts with `#`, as the `lua`
/// program does.
///
/// # Errors
/// A script error with the line, its text, a caret under the offending token, and a hint for a
/// common mistake.
pub fn load(lua: &Lua, source: &[u8], name: &str) -> Result<Function> {
    let source = without_first_line(source);
    compile(lua, &source, name).map_err(|message| explain(lua, &source, name, &message))
}

/// Script without a byte-order mark, and with a first line that starts with `#` as a comment.
fn without_first_line(source: &[u8]) -> Cow<'_, [u8]> {
    let source = source.strip_prefix(b"\xef\xbb\xbf").unwrap_or(source);
    if source.starts_with(b"#") {
        // The line stays as a comment, so that line numbers are unchanged.
        let mut text = b"--".to_vec();
        text.extend_from_slice(&source[1..]);
        Cow::Owned(text)
    } else {
        Cow::Borrowed(source)
    }
}

fn compile(lua: &Lua, source: &[u8], name: &str) -> std::result::Result<Function, String> {
    let chunk = lua.load(source).set_name(format!("@{name}")).set_mode(ChunkMode::Text);
    chunk.into_function().map_err(|error| match error {
        mlua::Error::SyntaxError { message, .. } => message,
        other => other.to_string(),
    })
}

/// Syntax error of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Line, from 1; `None` if Lua gives none.
    pub line: Option<usize>,
    /// Column in characters, from 0. Invalid UTF-8 counts as if it was replaced.
    pub column: usize,
    /// Message, without the position.
    pub message: String,
    /// Next step, for a common mistake.
    pub hint: Option<String>,
}

/// Checks that Lua compiles a script, within a memory limit in bytes.
///
/// # Errors
/// The syntax error.
pub fn check(source: &[u8], max_memory: usize) -> std::result::Result<(), SyntaxError> {
    const NAME: &str = "script";
    let failed = |error: mlua::Error| SyntaxError {
        line: None,
        column: 0,
        message: error.to_string(),
        hint: None,
    };
    let lua = Lua::new_with(mlua::StdLib::NONE, mlua::LuaOptions::default()).map_err(failed)?;
    lua.set_memory_limit(max_memory).map_err(failed)?;
    let source = without_first_line(source);
    let Err(message) = compile(&lua, &source, NAME) else { return Ok(()) };
    let Some((number, token)) = parse(&message, NAME) else {
        let message = message.lines().next().unwrap_or_default();
        let message = message.strip_prefix("runtime error: ").unwrap_or(message).to_owned();
        return Err(SyntaxError { line: None, column: 0, message, hint: None });
    };
    let line = line_of(&source, number).unwrap_or_default();
    let offset = token.and_then(|token| column(&lua, &source, NAME, number, token, &message));
    let before = offset.and_then(|at| line.get(..at)).unwrap_or(line.trim_ascii_end());
    let column = String::from_utf8_lossy(before).chars().count();
    let hint = mistake(&lua, &source, NAME, &message, (number, offset));
    let place = format!("{NAME}:{number}: ");
    let message = message.strip_prefix(&place).unwrap_or(&message).to_owned();
    Err(SyntaxError { line: Some(number), column, message, hint })
}

fn line_of(source: &[u8], number: usize) -> Option<&[u8]> {
    source.split(|byte| *byte == b'\n').nth(number.saturating_sub(1))
}

fn explain(lua: &Lua, source: &[u8], name: &str, message: &str) -> Error {
    let error = Error::new(Kind::Script, message.to_owned());
    let Some((number, token)) = parse(message, name) else { return error };
    let Some(line) = line_of(source, number) else { return error };
    let on_screen = |text: &[u8]| String::from_utf8_lossy(text).replace('\t', " ");
    let shown = on_screen(line.trim_ascii_end());
    let column = token.and_then(|token| column(lua, source, name, number, token, message));
    let mistake = mistake(lua, source, name, message, (number, column));
    let before = column.and_then(|at| line.get(..at)).map(on_screen);
    let column = display_width(before.as_deref().unwrap_or(&shown));
    let gutter = number.to_string();
    let blank = " ".repeat(gutter.len());
    let caret = " ".repeat(column);
    let error = error.hint(format!("\n  {gutter} | {shown}\n  {blank} | {caret}^"));
    mistake.into_iter().fold(error, Error::hint)
}

/// Hint for the mistake behind a syntax error. Without a column it is at the end of its line.
fn mistake(
    lua: &Lua,
    source: &[u8],
    name: &str,
    message: &str,
    (number, column): (usize, Option<usize>),
) -> Option<String> {
    let source = std::str::from_utf8(source).ok().filter(|text| text.len() <= MAX_SOURCE)?;
    let start: usize =
        source.split_inclusive('\n').take(number.saturating_sub(1)).map(str::len).sum();
    let line = source[start..].split('\n').next().unwrap_or_default();
    let place = start + column.unwrap_or(line.len());
    let compile = |text: &str| {
        let message = compile(lua, text.as_bytes(), name).err()?;
        Some(parse(&message, name).map_or(1, |(line, _)| line))
    };
    mistakes::syntax_hint(&SyntaxProblem { source, message, place, compile: &compile })
}

/// Line of a syntax error and the offending token: `name:LINE: … near 'TOKEN'`.
fn parse<'a>(message: &'a str, name: &str) -> Option<(usize, Option<&'a str>)> {
    let at = message
        .find(':')
        .filter(|_| message.starts_with(name))
        .map_or_else(|| message.find(':'), |_| Some(name.len()))?;
    let rest = message[at..].strip_prefix(':')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    let number = rest[..digits].parse().ok()?;
    let token = rest.rfind(" near '").and_then(|at| rest[at + 7..].strip_suffix('\''));
    Some((number, token.filter(|token| *token != "<eof>")))
}

/// Byte that Lua shows by its number, as in `<\\195>`.
fn byte_of(token: &str) -> Option<u8> {
    token.strip_prefix("<\\")?.strip_suffix('>')?.parse().ok()
}

/// Offset of the token in its line: its first occurrence after which the truncated text gives the
/// same error.
fn column(
    lua: &Lua,
    source: &[u8],
    name: &str,
    number: usize,
    token: &str,
    message: &str,
) -> Option<usize> {
    let start: usize = source
        .split_inclusive(|byte| *byte == b'\n')
        .take(number.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let line_end =
        source[start..].iter().position(|byte| *byte == b'\n').map_or(source.len(), |n| start + n);
    let line = &source[start..line_end];
    let byte = byte_of(token).map(|byte| [byte]);
    let token = byte.as_ref().map_or(token.as_bytes(), <[u8; 1]>::as_slice);
    let places: Vec<_> = memchr::memmem::find_iter(line, token).collect();
    let complains = |at: usize| {
        let cut = &source[..start + at + token.len()];
        compile(lua, cut, name).is_err_and(|again| again == message)
    };
    // All occurrences from the right one on give the error, so a binary search suffices.
    let first = places.partition_point(|at| !complains(*at));
    let at = places.get(first).filter(|at| complains(**at))?;
    Some(*at)
}

#[cfg(test)]
mod tests {
    use mlua::Lua;

    use super::load;

    #[test]
    fn the_place_of_an_error_is_found_among_many_that_look_alike() {
        let lua = Lua::new();
        // A compilation for each occurrence would take minutes.
        for (text, column) in [
            ("a a", 2),
            (&format!("{}a a", "a=a ".repeat(50_000)), 200_002),
            // A wide character takes two columns, an accent of its own none.
            ("x = '\u{65e5}\u{672c}' a", 12),
            ("x = 'e\u{301}' a", 9),
            // Lua shows the first byte of a letter beyond ASCII by its number.
            ("local x = gr\u{f6}\u{df}e", 12),
        ] {
            let error = load(&lua, text.as_bytes(), "a.lua").expect_err("no Lua");
            let caret = error.hints[0].lines().last().expect("a line of the caret");
            assert_eq!(caret.len(), "    | ".len() + column + 1, "{}", error.message);
        }
    }
}
