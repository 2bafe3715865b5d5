//! Completion at the cursor: names of variables, fields and methods in the VM, and, in a call of a
//! documented function, its parameters and their values, including names in the account. Nothing
//! here runs a script's code or waits for AWS.

use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::history::MemHistory;

use super::commands::{self, Argument, COMMANDS};
use super::parameters::{Parameter, ParameterValues, Parameters};
use crate::lua::tokens::{KEYWORDS, Token, TokenKind, tokens};
use crate::lua::{NameCompletion, Prompt};
use crate::session::names::{Names, Of};

/// Maximum number of the account's names that are offered at once.
const MAX_CANDIDATES: usize = 300;

/// Start of the word to complete, and its completions.
pub fn candidates(prompt: &Prompt, names: &Names, line: &str, pos: usize) -> (usize, Vec<Pair>) {
    let Some(before) = line.get(..pos) else { return (pos, Vec::new()) };
    if commands::is_command(before) {
        return for_command(prompt, names, before);
    }
    in_lua(prompt, names, before, line[pos..].chars().next())
}

fn for_command(prompt: &Prompt, names: &Names, before: &str) -> (usize, Vec<Pair>) {
    let start = before.len() - before.trim_start().len();
    let text = &before[start..];
    let Some(blank) = text.find(char::is_whitespace) else {
        let known = COMMANDS.iter().map(|command| command.name);
        return (start, known.filter(|name| name.starts_with(text)).map(pair).collect());
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == &text[..blank]) else {
        return (before.len(), Vec::new());
    };
    let at = before.len() - text[blank..].trim_start().len();
    match command.argument {
        Argument::None => (before.len(), Vec::new()),
        Argument::File => {
            let history = MemHistory::new();
            let context = rustyline::Context::new(&history);
            let files = FilenameCompleter::new().complete(before, before.len(), &context);
            files.unwrap_or((before.len(), Vec::new()))
        }
        Argument::Documented => {
            let word = &before[at..];
            let known = super::parameters::documented();
            (at, known.into_iter().filter(|name| name.starts_with(word)).map(pair).collect())
        }
        Argument::Code => {
            let (start, found) = in_lua(prompt, names, &before[at..], None);
            (at + start, found)
        }
    }
}

/// Call around the cursor.
#[derive(Debug, Default)]
struct CallAtCursor {
    /// Name of the function, with dots.
    function: String,
    /// Index of the argument by position, from 0.
    position: usize,
    /// In a table of arguments: the given keys, and the key whose value contains the cursor.
    table: Option<(Vec<String>, Option<String>)>,
}

/// Bracket that is open at the cursor.
struct Frame {
    /// Name of the called function, if the bracket opens a call or a table that is the only
    /// argument of one.
    function: Option<String>,
    is_table: bool,
    commas: usize,
    keys: Vec<String>,
    key: Option<String>,
}

fn in_lua(prompt: &Prompt, names: &Names, before: &str, after: Option<char>) -> (usize, Vec<Pair>) {
    let all = tokens(before);
    let nothing = (before.len(), Vec::new());
    let (last, earlier) = match all.split_last() {
        Some((last, earlier)) if last.at.end == before.len() => (Some(last), earlier),
        _ => (None, &all[..]),
    };
    match last.map(|last| last.kind) {
        Some(TokenKind::Comment { .. }) if !before.ends_with('\n') => nothing,
        Some(TokenKind::Number | TokenKind::Text { is_closed: true }) => nothing,
        Some(TokenKind::Text { is_closed: false }) => {
            // The token exists, because its kind does.
            let Some(text) = last else { return nothing };
            let quote = &before[text.at.start..=text.at.start];
            if quote == "[" {
                return nothing;
            }
            let start = text.at.start + 1;
            let Some(call) = call_at(before, earlier, true) else { return nothing };
            let Some(parameter) = parameter_of(prompt, &call) else { return nothing };
            (start, of_text(names, &parameter.values, &before[start..], quote, after))
        }
        Some(TokenKind::Name | TokenKind::Keyword) => {
            let Some(word) = last else { return nothing };
            (word.at.start, of_word(prompt, names, before, earlier, word.text(before)))
        }
        _ => (before.len(), of_word(prompt, names, before, &all, "")),
    }
}

/// Completions of a word that follows these tokens.
fn of_word(
    prompt: &Prompt,
    names: &Names,
    source: &str,
    before: &[Token],
    word: &str,
) -> Vec<Pair> {
    if let Some(last) = before.last()
        && (last.is(source, ".") || last.is(source, ":"))
    {
        let chain = chain_before(source, &before[..before.len() - 1]);
        let Some(chain) = chain else { return Vec::new() };
        let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
        let found = prompt.fields(&chain, last.is(source, ":"));
        return found.into_iter().filter(|found| found.name.starts_with(word)).map(field).collect();
    }
    let call = call_at(source, before, false);
    if let Some(call) = &call
        && let Some(parameters) = parameters_of(prompt, call)
    {
        let found = if let Some((given, None)) = &call.table {
            parameters
                .named
                .iter()
                .filter(|parameter| !given.contains(&parameter.name))
                .filter(|parameter| parameter.name.starts_with(word))
                .map(|parameter| Pair {
                    display: parameter.name.clone(),
                    replacement: format!("{} = ", parameter.name),
                })
                .collect()
        } else {
            let values = parameter_of(prompt, call).map(|parameter| parameter.values);
            values.map(|values| of_value(names, &values, word)).unwrap_or_default()
        };
        if !found.is_empty() {
            return found;
        }
    }
    if word.is_empty() && before.is_empty() {
        // A list of everything is no help, but the main modules are.
        return ["iam", "bulk", "report", "runbook"].into_iter().map(pair).collect();
    }
    let keywords = KEYWORDS.into_iter().filter(|keyword| keyword.starts_with(word));
    let mut found: Vec<Pair> = prompt
        .fields(&[], false)
        .into_iter()
        .filter(|found| found.name.starts_with(word))
        .map(field)
        .chain(keywords.filter(|_| !word.is_empty()).map(pair))
        .collect();
    found.sort_by(|a, b| a.replacement.cmp(&b.replacement));
    found
}

/// Completions of an unfinished text.
fn of_text(
    names: &Names,
    values: &ParameterValues,
    word: &str,
    quote: &str,
    after: Option<char>,
) -> Vec<Pair> {
    let found = match values {
        ParameterValues::Names(of) => names.beginning_with(*of, word, MAX_CANDIDATES).names,
        ParameterValues::Words(words) => {
            words.iter().filter(|known| known.starts_with(word)).cloned().collect()
        }
        ParameterValues::Bool | ParameterValues::Any => Vec::new(),
    };
    // A single match is complete, so the quote can be closed; a path may continue.
    let closes = found.len() == 1
        && !matches!(values, ParameterValues::Names(Of::Path))
        && after.is_none_or(|after| !quote.starts_with(after));
    found
        .into_iter()
        .map(|name| {
            let replacement = if closes { format!("{name}{quote}") } else { name.clone() };
            Pair { display: name, replacement }
        })
        .collect()
}

/// Completions of a value without a quotation mark.
fn of_value(names: &Names, values: &ParameterValues, word: &str) -> Vec<Pair> {
    match values {
        ParameterValues::Bool => ["true", "false"]
            .into_iter()
            .filter(|known| known.starts_with(word))
            .map(pair)
            .collect(),
        ParameterValues::Names(of) if word.is_empty() => names
            .beginning_with(*of, "", MAX_CANDIDATES)
            .names
            .into_iter()
            .map(|name| Pair { replacement: format!("\"{name}\""), display: name })
            .collect(),
        ParameterValues::Words(words) if word.is_empty() => words
            .iter()
            .map(|word| Pair { display: word.clone(), replacement: format!("\"{word}\"") })
            .collect(),
        _ => Vec::new(),
    }
}

fn parameters_of(prompt: &Prompt, call: &CallAtCursor) -> Option<Parameters> {
    Parameters::of(&call.function, call.position).or_else(|| {
        // `local p = iam.profiles` is an alias.
        let (table, name) = call.function.rsplit_once('.')?;
        let chain: Vec<&str> = table.split('.').collect();
        Parameters::of(&format!("{}.{name}", prompt.known_table(&chain)?), call.position)
    })
}

/// Parameter at the cursor.
fn parameter_of(prompt: &Prompt, call: &CallAtCursor) -> Option<Parameter> {
    let parameters = parameters_of(prompt, call)?;
    match &call.table {
        Some((_, Some(key))) => {
            parameters.named.into_iter().find(|parameter| parameter.name == *key)
        }
        Some((_, None)) => None,
        None => parameters.positional.into_iter().nth(call.position),
    }
}

/// Call that contains the end of the tokens. `in_text`: the cursor is in a text, which may itself
/// be the only argument of a call.
fn call_at(source: &str, before: &[Token], in_text: bool) -> Option<CallAtCursor> {
    if in_text
        && before.last().is_some_and(|last| last.kind == TokenKind::Name)
        && let Some(chain) = chain_before(source, before)
    {
        return Some(CallAtCursor { function: chain.join("."), ..CallAtCursor::default() });
    }
    let mut frames: Vec<Frame> = Vec::new();
    for (at, token) in before.iter().enumerate() {
        match token.kind {
            TokenKind::Open => {
                let is_call = !token.is(source, "[")
                    && at.checked_sub(1).is_some_and(|at| before[at].kind == TokenKind::Name);
                let function = is_call.then(|| chain_before(source, &before[..at])).flatten();
                frames.push(Frame {
                    function: function.map(|chain| chain.join(".")),
                    is_table: token.is(source, "{"),
                    commas: 0,
                    keys: Vec::new(),
                    key: None,
                });
            }
            TokenKind::Close => {
                frames.pop();
            }
            TokenKind::Sign => {
                let Some(frame) = frames.last_mut() else { continue };
                match token.text(source) {
                    "," | ";" => {
                        frame.commas += 1;
                        frame.keys.extend(frame.key.take());
                    }
                    "=" => {
                        let key = at.checked_sub(1).map(|at| &before[at]);
                        frame.key = key
                            .filter(|key| key.kind == TokenKind::Name)
                            .map(|key| key.text(source).to_owned());
                    }
                    _ => {}
                }
            }
            TokenKind::Keyword if token.is(source, "function") => {
                // A function body is code of its own.
                frames.push(Frame {
                    function: None,
                    is_table: false,
                    commas: 0,
                    keys: Vec::new(),
                    key: None,
                });
            }
            TokenKind::Keyword if token.is(source, "end") => {
                frames.pop();
            }
            _ => {}
        }
    }
    let inner = frames.pop()?;
    let table = inner.is_table.then_some((inner.keys, inner.key));
    if let Some(function) = inner.function {
        return Some(CallAtCursor { function, position: inner.commas, table });
    }
    // A table among other arguments.
    let outer = frames.pop().filter(|outer| inner.is_table && !outer.is_table)?;
    Some(CallAtCursor { function: outer.function?, position: outer.commas, table })
}

/// Dotted names that the tokens end with, such as `iam`, `profiles`; `None` if they follow
/// something else than a name.
fn chain_before(source: &str, before: &[Token]) -> Option<Vec<String>> {
    let mut chain = Vec::new();
    let mut at = before.len();
    loop {
        at = at.checked_sub(1)?;
        let token = &before[at];
        if token.kind != TokenKind::Name {
            return None;
        }
        chain.push(token.text(source).to_owned());
        match at.checked_sub(1).map(|at| &before[at]) {
            Some(dot) if dot.is(source, ".") => at -= 1,
            Some(colon) if colon.is(source, ":") => return None,
            _ => break,
        }
    }
    chain.reverse();
    Some(chain)
}

fn pair(word: impl Into<String>) -> Pair {
    let word = word.into();
    Pair { display: word.clone(), replacement: word }
}

fn field(found: NameCompletion) -> Pair {
    pair(found.name)
}
