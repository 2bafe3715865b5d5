//! Regular expressions and globs of the standard library. Regular expressions take linear time; a
//! long text is searched on a thread of its own, so that the script can be stopped meanwhile.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use mlua::{Lua, MultiValue, Table, Value as LuaValue};
use regex::bytes::{CaptureLocations, Regex, RegexBuilder};
use tokio::sync::oneshot;
use wildmatch::WildMatch;

use super::budget::{self, MemoryBudget, Reservation};
use super::cancel::Canceller;
use super::convert;
use super::host::{Host, add, internal, text_arg};
use crate::error::{Error, Kind, Result};
use crate::escape;
use crate::spec::Value;

/// Maximum length of a pattern, in bytes.
const MAX_PATTERN: usize = 64 << 10;
/// Maximum length of a pattern in errors, in characters.
const SHOWN: usize = 200;
/// Maximum size of a compiled pattern, and of its cache, in bytes.
const MAX_COMPILED: usize = 1 << 20;
/// Maximum size of a text that is searched in place, in bytes: the worst pattern needs less than a
/// second for it.
const MAX_IN_PLACE: usize = 4 << 10;
/// Number of compiled patterns that are kept.
const KEPT: usize = 16;
/// Memory of a position in a result, in bytes.
const POSITION_BYTES: usize = 64;
/// Maximum length of the pattern of a glob, in bytes.
const MAX_GLOB: usize = 1 << 10;
/// Maximum length of a text that is compared with a glob, in bytes.
const MAX_GLOB_TEXT: usize = 64 << 10;

/// Recently used patterns, the latest last.
#[derive(Default)]
struct Compiled(VecDeque<(String, Regex)>);

impl Compiled {
    fn get(&mut self, pattern: &str) -> Result<Regex> {
        if let Some(at) = self.0.iter().position(|(known, _)| known == pattern)
            && let Some(found) = self.0.remove(at)
        {
            let regex = found.1.clone();
            self.0.push_back(found);
            return Ok(regex);
        }
        let regex = compile(pattern)?;
        self.0.push_back((pattern.to_owned(), regex.clone()));
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
        Ok(regex)
    }
}

/// Registers the host functions.
pub(super) fn functions(lua: &Lua, host: &Rc<Host>, fallible: &Table) -> mlua::Result<()> {
    let compiled = Rc::new(RefCell::new(Compiled::default()));
    // Arguments: text, pattern, maximum number of matches, name of the function in errors. The
    // result is a record, or a handle to wait for.
    add(lua, host, fallible, "regex_find", move |lua, host, args| {
        let name = text_arg(&args, 3, "name")?;
        let named = |mut error: Error| {
            error.message = format!("{name}: {}", error.message);
            error
        };
        find(lua, host, &args, &mut compiled.borrow_mut()).map_err(named)
    })?;
    add(lua, host, fallible, "glob_matches", |_, _, args| {
        let (text, pattern) = (text_arg(&args, 0, "text")?, text_arg(&args, 1, "the pattern")?);
        let ignores_case = args.get(2) == Some(&LuaValue::Boolean(true));
        glob_matches(&text, &pattern, ignores_case).map(LuaValue::Boolean)
    })
}

/// Comparison of a text with a glob, in which `*` is any text and `?` any character.
fn glob_matches(text: &str, pattern: &str, ignores_case: bool) -> Result<bool> {
    for (what, length, most) in
        [("pattern", pattern.len(), MAX_GLOB), ("text", text.len(), MAX_GLOB_TEXT)]
    {
        if length > most {
            let problem = format!("text.glob: the {what} has {length} bytes; at most {most} can");
            return Err(Error::argument(problem + " be compared"));
        }
    }
    let pattern = if ignores_case {
        WildMatch::new_case_insensitive(pattern)
    } else {
        WildMatch::new(pattern)
    };
    Ok(pattern.matches(text))
}

/// Compiled pattern.
fn compile(pattern: &str) -> Result<Regex> {
    let shown = || escape::visible(pattern.chars().take(SHOWN).collect::<String>());
    if pattern.len() > MAX_PATTERN {
        let most = MAX_PATTERN >> 10;
        return Err(Error::argument(format!("the pattern has more than {most} KiB")));
    }
    let regex =
        RegexBuilder::new(pattern).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build();
    match regex {
        Ok(regex) => Ok(regex),
        Err(regex::Error::CompiledTooBig(_)) => {
            let problem = format!("the pattern \"{}\" is too large", shown());
            Err(Error::argument(problem)
                .hint("repeat less in it: {1000} repeats what is before it"))
        }
        Err(error) => {
            let problem = match fault(pattern) {
                Some((what, at)) => format!(
                    "the pattern \"{}\" is not a regular expression: {what}, at character {at}",
                    shown()
                ),
                None => format!("the pattern \"{}\" cannot be used: {error}", shown()),
            };
            Err(Error::argument(problem)
                .hint("text.escape makes a pattern of text; text.split and find need no pattern"))
        }
    }
}

/// Fault of a pattern, and the number of the character where it is.
fn fault(pattern: &str) -> Option<(String, usize)> {
    let (what, offset) = match regex_syntax::Parser::new().parse(pattern).err()? {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span().start.offset),
        regex_syntax::Error::Translate(error) => {
            (error.kind().to_string(), error.span().start.offset)
        }
        _ => return None,
    };
    Some((what, pattern.get(..offset)?.chars().count() + 1))
}

fn find(
    lua: &Lua,
    host: &Rc<Host>,
    args: &MultiValue,
    compiled: &mut Compiled,
) -> Result<LuaValue> {
    let Some(LuaValue::String(text)) = args.front() else {
        return Err(Error::new(Kind::Bug, "no text"));
    };
    let pattern = text_arg(args, 1, "the pattern")?;
    let most = args.get(2).and_then(LuaValue::as_usize).unwrap_or(usize::MAX);
    let regex = compiled.get(&pattern)?;
    let canceller = host.setup.borrow().canceller.clone();
    let text = text.as_bytes();
    let search =
        Search { regex, most, positions: MemoryBudget::left(lua) / POSITION_BYTES, canceller };
    if text.len() <= MAX_IN_PLACE {
        let found = search.run(&text, MemoryBudget::reserve(lua, 0)?)?;
        return convert::to_lua(lua, &found).map_err(|error| internal(&error));
    }
    // The text, its copy in Lua's memory apart, and about as many positions as it has bytes.
    let reservation = MemoryBudget::reserve(lua, text.len())?;
    let text = text.to_vec();
    let (sender, result) = oneshot::channel();
    std::thread::Builder::new()
        .name("iamlua-regex".into())
        .spawn(move || {
            // The script may have ended.
            let found = search.run(&text, reservation);
            let _ = sender.send(found);
        })
        .map_err(|error| Error::io("cannot start a thread for the search", error))?;
    let gone = |_| Error::new(Kind::Bug, "the thread of the search ended in an unexpected way");
    let handle = host.driver.start(lua, false, async move { result.await.map_err(gone)? });
    handle.map(LuaValue::UserData).map_err(|error| internal(&error))
}

/// Search for matches in a text.
struct Search {
    regex: Regex,
    /// Maximum number of matches.
    most: usize,
    /// Maximum number of positions in the result.
    positions: usize,
    canceller: Canceller,
}

impl Search {
    /// Record of the matches: `names` has the names of the groups, empty for those without, and
    /// `at` the beginning and the end of each match and of each of its groups, as `string.sub`
    /// takes them. The beginning of a group that is not in the match is 0.
    fn run(&self, text: &[u8], mut held: Reservation) -> Result<Value> {
        let names = self.regex.capture_names().skip(1);
        let names = names.map(|name| Value::Str(name.unwrap_or_default().to_owned())).collect();
        let mut places = self.regex.capture_locations();
        let mut at = Vec::new();
        let (mut from, mut last_end) = (0, None);
        let mut found = 0;
        while found < self.most && from <= text.len() {
            if self.canceller.reason().is_some() {
                return Err(Error::new(Kind::Script, "stopped"));
            }
            let Some(next) = self.regex.captures_read_at(&mut places, text, from) else { break };
            let is_empty = next.start() == next.end();
            if is_empty && (last_end == Some(next.end()) || is_inside_character(text, next.end())) {
                from = next.end() + 1;
                continue;
            }
            from = next.end();
            last_end = Some(next.end());
            add_positions(&places, &mut at);
            let added = 2 * places.len() * POSITION_BYTES;
            if at.len() > self.positions || !held.grow(added) {
                return Err(budget::not_enough());
            }
            found += 1;
        }
        Ok(Value::Record(vec![("names", Value::List(names)), ("at", Value::List(at))]))
    }
}

/// Check for an offset between the bytes of a character.
fn is_inside_character(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80)
}

#[allow(clippy::cast_possible_wrap, reason = "a text has fewer than 2^63 bytes")]
fn add_positions(places: &CaptureLocations, at: &mut Vec<Value>) {
    for group in 0..places.len() {
        let (start, end) = places.get(group).map_or((0, 0), |(start, end)| (start + 1, end));
        at.extend([Value::Int(start as i64), Value::Int(end as i64)]);
    }
}
