//! `.save`: a script with the effect of the entries that stand.
//!
//! Entries that failed, were undone, or whose planned changes were discarded are left out. A
//! definition in one of them is kept if a later entry uses it and if running it changes nothing. An
//! entry that uses a missing definition is left out too, as a comment. The rest is rewritten to
//! mean in one script what it has meant in the REPL: `_` is set where a later entry uses it, values
//! are printed, and the locals of one entry are visible in the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::iam::{self, Implementation, Stride};
use crate::lua::scopes::{Chunk, Statement, parse};
use crate::lua::without_locals;
use crate::ui::format::count;

/// Maximum number of locals that a saved script declares. Lua allows 200, of which loops need some.
const MAX_LOCALS: usize = 150;

/// Functions and modules that change nothing.
const READ_ONLY: [&str; 19] = [
    "arn", "inspect", "ipairs", "json", "math", "next", "os.date", "os.time", "pairs", "policy",
    "rawget", "rawlen", "select", "string", "time.now", "tonumber", "tostring", "type", "utf8",
];

/// Entry of the REPL.
#[derive(Clone, Debug, Default)]
pub struct SavedEntry {
    /// Text, or the command that has loaded a script.
    pub text: String,
    /// Script that it has loaded.
    pub loaded: Option<LoadedScript>,
    /// Number of values that it has shown.
    pub values: usize,
    /// Number of changes that it has planned or made.
    pub changes: usize,
    /// Outcome of the entry.
    pub fate: EntryStatus,
    /// Names that it has assigned, where its text does not determine them: it has failed, or has
    /// loaded a script.
    pub defined: Vec<String>,
}

/// Script that was loaded.
#[derive(Clone, Debug)]
pub struct LoadedScript {
    /// Name in messages.
    pub name: String,
    /// Text at that time.
    pub source: String,
    /// Arguments of the script.
    pub args: Vec<String>,
}

/// Fate of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntryStatus {
    /// Changes that stand.
    #[default]
    Stands,
    /// An error or an interrupt.
    Failed,
    /// Undone changes.
    Undone,
    /// Discarded planned changes.
    Discarded,
}

/// Reason for leaving an entry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A failed entry.
    Failed,
    /// An undone entry.
    Undone,
    /// Discarded planned changes.
    Discarded,
    /// Use of a name whose definition is left out.
    Needs,
    /// Use of `_error`, which does not exist in scripts.
    UsesError,
    /// Load of a runbook, which reads its own command line.
    Runbook,
}

impl Reason {
    fn describe(self, n: usize) -> String {
        let (be, needs) = if n == 1 { ("was", "needs") } else { ("were", "need") };
        match self {
            Self::Failed => format!("{n} that failed"),
            Self::Undone => format!("{n} that {be} undone"),
            Self::Discarded => format!("{n} that {be} discarded"),
            Self::Needs => format!("{n} that {needs} one of these"),
            Self::UsesError => format!("{n} with `_error`"),
            Self::Runbook => format!("{n} that loaded a runbook"),
        }
    }
}

/// Queries about Lua that a script depends on.
pub struct Lua<'l> {
    /// Check that a text compiles as a script.
    pub compiles: &'l dyn Fn(&str) -> bool,
    /// Presence of a global.
    pub is_global: &'l dyn Fn(&str) -> bool,
}

/// Script made of entries.
#[derive(Debug)]
pub struct Script {
    /// Text of the script, without a heading.
    pub text: String,
    /// Number of entries in the script.
    pub saved: usize,
    /// Number of entries that are left out, by reason.
    pub left_out: BTreeMap<Reason, usize>,
}

impl Script {
    /// Entries that are left out, in words; empty if there are none.
    #[must_use]
    pub fn left_out(&self) -> String {
        let parts: Vec<_> = self.left_out.iter().map(|(reason, n)| reason.describe(*n)).collect();
        parts.join(", ")
    }

    /// Entries in the script, in words.
    #[must_use]
    pub fn saved(&self) -> String {
        let what = count(self.saved as u64, "entry");
        if self.saved == 1 { what } else { what.replace("entrys", "entries") }
    }
}

/// Names that a text defines for later entries.
#[must_use]
pub fn defined(text: &str) -> BTreeSet<String> {
    let chunk = parse(text).unwrap_or_default();
    chunk.defined().map(str::to_owned).collect()
}

/// Script of these entries.
#[must_use]
pub fn script(entries: &[SavedEntry], lua: &Lua<'_>) -> Script {
    let selected = Selection::of(entries, lua);
    let pieces = selected.pieces();
    let text = Text::of(&pieces, lua, false).write();
    let text = if (lua.compiles)(&text) {
        text
    } else {
        // For example, a constant that a later entry assigns to.
        Text::of(&pieces, lua, true).write()
    };
    let mut left_out = BTreeMap::new();
    for reason in selected.reasons.iter().flatten() {
        *left_out.entry(*reason).or_default() += 1;
    }
    let saved = selected.reasons.iter().filter(|reason| reason.is_none()).count();
    Script { text, saved, left_out }
}

/// Kind of a piece of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Statements,
    /// An expression.
    Value,
    /// Statements with a top-level `return`.
    Returning,
    /// Script that was loaded.
    Loaded,
    /// Entries that are written as a comment.
    Comment,
}

/// Parsed entry.
struct Parsed {
    code: String,
    form: Form,
    chunk: Chunk,
}

impl Parsed {
    fn of(entry: &SavedEntry, lua: &Lua<'_>) -> Self {
        if entry.loaded.is_some() {
            return Self { code: String::new(), form: Form::Loaded, chunk: Chunk::default() };
        }
        let code = entry.text.trim();
        let expression = code.strip_prefix('=').filter(|rest| !rest.starts_with('='));
        let expression = expression.unwrap_or(code);
        let as_return = format!("return {expression}");
        if (lua.compiles)(&as_return) {
            let chunk = parse(&as_return).unwrap_or_default();
            return Self { code: expression.trim().to_owned(), form: Form::Value, chunk };
        }
        let chunk = parse(code).unwrap_or_default();
        let returns = chunk.statements.iter().any(|statement| statement.returns);
        let form = if returns { Form::Returning } else { Form::Statements };
        Self { code: code.to_owned(), form, chunk }
    }
}

/// Entries of a script, and the kept parts of the others.
struct Selection<'e> {
    entries: &'e [SavedEntry],
    parsed: Vec<Parsed>,
    reasons: Vec<Option<Reason>>,
    /// Statements that are kept of entries that are left out.
    kept: Vec<BTreeSet<usize>>,
    /// Entries that must set `_`.
    sets_last: Vec<bool>,
    /// Names whose definitions are left out, by the index of their entry.
    missing: BTreeMap<String, usize>,
    /// Names that the functions under a name use when they are called.
    bodies: BTreeMap<String, BTreeSet<String>>,
}

impl<'e> Selection<'e> {
    fn of(entries: &'e [SavedEntry], lua: &Lua<'_>) -> Self {
        let parsed: Vec<_> = entries.iter().map(|entry| Parsed::of(entry, lua)).collect();
        let reasons = entries.iter().map(|entry| match entry.fate {
            EntryStatus::Failed => Some(Reason::Failed),
            EntryStatus::Undone => Some(Reason::Undone),
            EntryStatus::Discarded => Some(Reason::Discarded),
            EntryStatus::Stands => {
                let is_runbook = |loaded: &LoadedScript| loaded.source.contains("runbook");
                entry.loaded.as_ref().is_some_and(is_runbook).then_some(Reason::Runbook)
            }
        });
        let mut selection = Self {
            reasons: reasons.collect(),
            kept: vec![BTreeSet::new(); entries.len()],
            sets_last: vec![false; entries.len()],
            missing: BTreeMap::new(),
            bodies: BTreeMap::new(),
            entries,
            parsed,
        };
        let mut has_own_error = false;
        for at in 0..entries.len() {
            let names = &selection.parsed[at].chunk;
            let uses_error = names.names().any(|name| name.text == "_error" && !name.is_assigned);
            if selection.reasons[at].is_none() && uses_error && !has_own_error {
                selection.reasons[at] = Some(Reason::UsesError);
            }
            has_own_error |= names.defined().any(|name| name == "_error");
            selection.take(at);
        }
        selection.find_last();
        selection
    }

    /// Names that an entry has defined.
    fn defined(&self, at: usize) -> Vec<String> {
        let entry = &self.entries[at];
        let mut names: Vec<_> = if entry.fate == EntryStatus::Failed || entry.loaded.is_some() {
            entry.defined.clone()
        } else {
            self.parsed[at].chunk.defined().map(str::to_owned).collect()
        };
        names.extend((entry.values > 0).then(|| "_".to_owned()));
        names
    }

    /// Selects an entry, or records the reason for leaving it out.
    fn take(&mut self, at: usize) {
        if self.reasons[at].is_none() {
            for name in self.needed(at) {
                let Some(definer) = self.missing.get(&name).copied() else { continue };
                let Some(kept) = self.keepable(definer, &name) else {
                    self.reasons[at] = Some(Reason::Needs);
                    break;
                };
                for (entry, statement) in kept {
                    self.kept[entry].insert(statement);
                    let statement = &self.parsed[entry].chunk.statements[statement];
                    for name in statement.defined() {
                        self.missing.remove(name);
                    }
                }
            }
        }
        let defined = self.defined(at);
        if self.reasons[at].is_some() {
            self.missing.extend(defined.into_iter().map(|name| (name, at)));
            return;
        }
        for name in defined {
            self.missing.remove(&name);
        }
        for statement in &self.parsed[at].chunk.statements {
            let later = statement.names.iter().filter(|name| name.in_function);
            let later: BTreeSet<_> = later.map(|name| name.text.clone()).collect();
            for name in statement.defined() {
                self.bodies.insert(name.to_owned(), later.clone());
            }
        }
    }

    /// Names that an entry needs when it runs, including those of functions that it names.
    fn needed(&self, at: usize) -> BTreeSet<String> {
        let mut needed = BTreeSet::new();
        let mut open: Vec<String> = Vec::new();
        for statement in &self.parsed[at].chunk.statements {
            let is_later = statement.is_definition && !statement.calls_now;
            let read = statement.names.iter().filter(|name| {
                !(name.is_assigned && !name.in_function || is_later && name.in_function)
            });
            open.extend(read.map(|name| name.text.clone()));
        }
        while let Some(name) = open.pop() {
            open.extend(self.bodies.get(&name).into_iter().flatten().cloned());
            if !needed.insert(name) {
                // Functions may use each other.
                open.retain(|name| !needed.contains(name));
            }
        }
        needed
    }

    /// Statements that define a name in an entry that is left out, with the statements that they
    /// need; `None` if they cannot be kept without the rest of the entry.
    fn keepable(&self, at: usize, name: &str) -> Option<Vec<(usize, usize)>> {
        let statements = &self.parsed[at].chunk.statements;
        if self.parsed[at].form == Form::Value {
            return None;
        }
        let mut defining =
            (statements.iter().enumerate()).filter(|(_, s)| s.defined().any(|it| it == name));
        let (number, statement) = defining.next()?;
        let changes_nothing = self.entries[at].changes == 0 || only_reads(statement);
        if defining.next().is_some()
            || !statement.is_definition
            || statement.has_close
            || statement.has_label
            || !changes_nothing
        {
            return None;
        }
        let mut kept = vec![(at, number)];
        for used in statement.names.iter().filter(|used| !used.is_assigned && used.text != name) {
            let Some(&definer) = self.missing.get(&used.text) else { continue };
            let is_before = definer < at
                || statements[..number].iter().any(|s| s.defined().any(|it| it == used.text));
            if is_before {
                kept.extend(self.keepable(definer, &used.text)?);
            }
        }
        Some(kept)
    }

    /// Finds the entries whose value a later one uses as `_`.
    fn find_last(&mut self) {
        for at in 0..self.entries.len() {
            let statements = &self.parsed[at].chunk.statements;
            let mut is_own = false;
            for statement in statements {
                if self.reasons[at].is_none() {
                    let mut uses = statement.names.iter().filter(|name| name.text == "_");
                    if uses.clone().any(|name| name.in_function) {
                        // A function may run at any time.
                        for (sets, entry) in self.sets_last.iter_mut().zip(self.entries) {
                            *sets |= entry.values > 0;
                        }
                    } else if uses.any(|name| !name.is_assigned)
                        && let Some(setter) = (0..at).rev().find(|k| self.entries[*k].values > 0)
                    {
                        self.sets_last[setter] = true;
                    }
                }
                is_own |= statement.locals.iter().any(|name| name == "_");
            }
            if is_own {
                // From here on `_` is a local like any other.
                return;
            }
        }
    }

    /// Pieces of the script.
    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (at, entry) in self.entries.iter().enumerate() {
            let parsed = &self.parsed[at];
            let piece = |code: String, form, chunk| Piece {
                code,
                form,
                chunk,
                sets_last: self.sets_last[at],
                shows: entry.values > 0,
                changes: entry.changes > 0,
                loaded: None,
            };
            let Some(reason) = self.reasons[at] else {
                let chunk = parsed.chunk.clone();
                let loaded = entry.loaded.clone();
                let code = if loaded.is_some() { &entry.text } else { &parsed.code };
                pieces.push(Piece { loaded, ..piece(code.clone(), parsed.form, chunk) });
                continue;
            };
            let why = match (reason, entry.changes as u64) {
                (Reason::Failed, 1..) => {
                    let changes = count(entry.changes as u64, "change");
                    format!("Left out, because it failed after {changes}:")
                }
                (Reason::Needs, _) => {
                    "Left out, because it needs what an entry that is left out has defined:".into()
                }
                (Reason::UsesError, _) => "Left out, because it needs `_error`:".into(),
                (Reason::Runbook, _) => "Left out, because a runbook reads its own flags:".into(),
                _ => String::new(),
            };
            if !why.is_empty() {
                let code = format!("{why}\n{}", entry.text.trim());
                pieces.push(piece(code, Form::Comment, Chunk::default()));
            }
            if !self.kept[at].is_empty() {
                let of = |number: &usize| &parsed.code[parsed.chunk.statements[*number].at.clone()];
                let code: Vec<_> = self.kept[at].iter().map(of).collect();
                let code = code.join("\n");
                let chunk = parse(&code).unwrap_or_default();
                pieces.push(piece(code, Form::Statements, chunk));
            }
        }
        pieces
    }
}

/// Check that a definition changes nothing when it runs, as far as its text shows.
fn only_reads(statement: &Statement) -> bool {
    let reads = |call: &String| {
        let is_known = READ_ONLY.iter().any(|known| {
            let rest = call.strip_prefix(known);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        let operation = call.strip_prefix("iam.").and_then(iam::find);
        is_known || operation.is_some_and(|operation| !operation.writes())
    };
    !statement.calls_now || statement.calls.iter().all(reads)
}

/// Check for the call of an iterator over entries of the account.
fn is_listing(code: &str) -> bool {
    let chunk = parse(code).unwrap_or_default();
    let mut calls = chunk.statements.iter().flat_map(|statement| &statement.calls);
    let (Some(path), None) = (calls.next(), calls.next()) else { return false };
    let operation = path.strip_prefix("iam.").and_then(iam::find);
    operation.is_some_and(
        |operation| matches!(&operation.run, Implementation::Iterate(iterate) if iterate.by == Stride::Item),
    )
}

/// Piece of a script.
#[derive(Clone, Debug)]
struct Piece {
    code: String,
    form: Form,
    chunk: Chunk,
    sets_last: bool,
    shows: bool,
    changes: bool,
    loaded: Option<LoadedScript>,
}

impl Piece {
    /// Need for a function or block around it.
    fn is_wrapped(&self) -> bool {
        self.form == Form::Returning
            || self.chunk.statements.iter().any(|s| s.has_label || s.has_close)
    }

    fn mentions(&self, name: &str) -> bool {
        self.chunk.names().any(|used| used.text == name)
            || self.chunk.defined().any(|defined| defined == name)
    }
}

/// Script that is being written.
struct Text<'p> {
    pieces: &'p [Piece],
    /// Locals that are declared before the first entry that names them, and only assigned by their
    /// own entries.
    early: BTreeSet<String>,
    /// Locals beyond Lua's limit, which become globals.
    global: BTreeSet<String>,
    /// Name of the function that prints values.
    show: &'static str,
    is_global: &'p dyn Fn(&str) -> bool,
}

impl<'p> Text<'p> {
    fn of(pieces: &'p [Piece], lua: &Lua<'p>, are_all_early: bool) -> Self {
        let mut declared: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
        for (at, piece) in pieces.iter().enumerate() {
            for (number, statement) in piece.chunk.statements.iter().enumerate() {
                for name in statement.locals.iter().filter(|_| !statement.has_close) {
                    declared.entry(name).or_default().push((at, number));
                }
            }
        }
        let count: usize = declared.values().map(Vec::len).sum();
        let is_early = |name: &str, places: &[(usize, usize)]| {
            are_all_early
                || count > MAX_LOCALS
                || places.iter().any(|place| pieces[place.0].is_wrapped())
                || is_seen_early(pieces, name, places)
        };
        let mut early: BTreeSet<String> = (declared.iter())
            .filter(|(name, places)| is_early(name, places))
            .map(|(name, _)| (*name).to_owned())
            .collect();
        // Names that are declared together are assigned together.
        loop {
            let before = early.len();
            for statement in pieces.iter().flat_map(|piece| &piece.chunk.statements) {
                if statement.locals.iter().any(|name| early.contains(name)) {
                    early.extend(statement.locals.iter().cloned());
                }
            }
            if early.len() == before {
                break;
            }
        }
        let global = early.iter().skip(MAX_LOCALS).cloned().collect();
        let is_free = |name: &&str| !pieces.iter().any(|piece| piece.mentions(name));
        let show = ["show", "show_value", "show_values_of_entries"].into_iter().find(is_free);
        let show = show.unwrap_or("_show");
        Self { pieces, early, global, show, is_global: lua.is_global }
    }

    fn write(&self) -> String {
        let mut text = String::new();
        let mut declared = BTreeSet::new();
        // A function may read `_` before it is first set, or have seen it as a global.
        let mut is_last_declared = self
            .pieces
            .iter()
            .flat_map(|piece| piece.chunk.names())
            .any(|name| name.text == "_" && name.in_function);
        for piece in self.pieces {
            text.push('\n');
            self.declare(piece, &mut declared, &mut text);
            is_last_declared |= declared.contains("_");
            let set = match (piece.sets_last, is_last_declared) {
                (false, _) => "",
                (true, true) => "_ = ",
                (true, false) => "local _ = ",
            };
            is_last_declared |= piece.sets_last && !matches!(piece.form, Form::Statements);
            self.write_piece(piece, set, &mut text);
        }
        let show = self.show;
        if text.contains(&format!("{show}(")) {
            text.insert_str(0, &format!("\n{}", SHOW.replace("NAME", show)));
        }
        text
    }

    /// Writes the declarations that must precede a piece.
    fn declare(&self, piece: &Piece, declared: &mut BTreeSet<String>, text: &mut String) {
        let mut plain = Vec::new();
        for name in self.early.difference(&self.global) {
            if piece.mentions(name) && declared.insert(name.clone()) {
                if (self.is_global)(name) {
                    let _ = writeln!(text, "local {name} = {name}");
                } else {
                    plain.push(name.as_str());
                }
            }
        }
        if !plain.is_empty() {
            let _ = writeln!(text, "local {}", plain.join(", "));
        }
    }

    fn write_piece(&self, piece: &Piece, set: &str, text: &mut String) {
        let show = self.show;
        let code = without_locals(&piece.code, |name| self.early.contains(name));
        let is_call = || {
            let chunk = parse(&piece.code).unwrap_or_default();
            matches!(chunk.statements.as_slice(), [one] if one.calls_now && !one.is_definition)
        };
        match piece.form {
            Form::Comment => {
                for line in piece.code.lines() {
                    let _ = writeln!(text, "-- {line}");
                }
            }
            Form::Loaded => write_loaded(piece, text),
            Form::Statements if piece.is_wrapped() => {
                let _ = writeln!(text, "do\n{code}\nend");
            }
            Form::Returning => {
                let call = format!("(function(...)\n{code}\nend)(...)");
                let _ = match (piece.shows, set) {
                    (true, _) => writeln!(text, "{set}{show}({call})"),
                    (false, _) => writeln!(text, ";{call}"),
                };
            }
            // A change is reported by the plan.
            Form::Value if (piece.changes || !piece.shows) && is_call() => {
                let begin = if set.is_empty() && code.starts_with('(') { ";" } else { "" };
                let _ = writeln!(text, "{set}{begin}{code}");
            }
            // The REPL shows the first entries of an iterator.
            Form::Value if set.is_empty() && is_listing(&code) && is_call() => {
                let _ = writeln!(text, "report({code})");
            }
            Form::Value if code.contains("--") || code.contains('\n') => {
                let _ = writeln!(text, "{set}{show}(\n{code}\n)");
            }
            Form::Value => {
                let _ = writeln!(text, "{set}{show}({code})");
            }
            Form::Statements => {
                // Otherwise it could be parsed as the arguments of the preceding expression.
                let begin = if code.starts_with('(') { ";" } else { "" };
                let _ = writeln!(text, "{begin}{code}");
            }
        }
    }
}

/// Prints values as the REPL does, and returns them.
const SHOW: &str = r##"local function NAME(...)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    local first = type(value) == "table" and value[1]
    local is_row = type(first) == "table" and not getmetatable(first)
    if is_row and type(next(first)) == "string" then
      report(value)
    else
      print(inspect(value))
    end
  end
  return ...
end
"##;

/// Writes a loaded script, with its arguments.
fn write_loaded(piece: &Piece, text: &mut String) {
    let Some(loaded) = &piece.loaded else { return };
    let mut level = String::new();
    while loaded.source.contains(&format!("]{level}]")) {
        level.push('=');
    }
    // Lua's `load` does not skip a first line for the shell.
    let source = loaded.source.trim_start_matches('\u{feff}');
    let mark = if source.starts_with('#') { "--" } else { "" };
    let args: Vec<_> = loaded.args.iter().map(|arg| quoted(arg)).collect();
    let name = quoted(&format!("@{}", loaded.name));
    let _ = writeln!(
        text,
        "-- {}\nassert(load([{level}[\n{mark}{source}\n]{level}], {name}))({})",
        piece.code,
        args.join(", ")
    );
}

/// Quoted text in Lua's syntax.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{}\"", escaped.replace('\r', "\\r"))
}

/// Check that a local, declared at these places, would be a different variable in a script than in
/// the REPL, where all entries share it.
fn is_seen_early(pieces: &[Piece], name: &str, places: &[(usize, usize)]) -> bool {
    let (Some(&first), Some(&last)) = (places.first(), places.last()) else { return false };
    for (at, piece) in pieces.iter().enumerate().take(last.0 + 1) {
        for (number, statement) in piece.chunk.statements.iter().enumerate() {
            let place = (at, number);
            if place > last {
                break;
            }
            let uses = statement.names.iter().filter(|used| used.text == name);
            let declares_function = piece.code[..].get(statement.at.clone()).is_some_and(|code| {
                let rest = code.strip_prefix("local").unwrap_or_default();
                rest.trim_start().starts_with("function")
            });
            // A function may keep the variable of an earlier declaration.
            let is_own = place == last && declares_function;
            if !is_own && uses.clone().any(|used| used.in_function) {
                return true;
            }
            // In the entry that declares it, a name refers to the local from the beginning on.
            let is_before = at == first.0 && place < first;
            if is_before && uses.clone().any(|used| used.is_assigned) {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests;
