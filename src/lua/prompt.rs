//! VM of the REPL, which runs one entry after another: shared variables, results of entries, and
//! names for completion.

use std::collections::BTreeSet;
use std::time::Duration;

use mlua::{Function, IntoLua, MultiValue, Table, Value as LuaValue};

use super::arguments::Arguments;
use super::entry::{self, CompiledEntry, Read};
use super::{Ending, Vm, lua_failure, syntax};
use crate::error::{Error, Kind, Result};
use crate::stdlib;

/// VM with the variables of the REPL.
pub struct Prompt {
    vm: Vm,
    /// Timeout of an entry.
    timeout: Option<Duration>,
    environment: Table,
    /// Locals of earlier entries.
    variables: Table,
    run: Function,
    more: Function,
    declare: Function,
    set_error: Function,
    reset: Function,
    load_all: Function,
    /// State that these functions share.
    made: Table,
}

/// Values of variables, to be compared with later ones.
#[derive(Debug)]
pub struct PromptValues(Vec<(String, LuaValue)>);

/// A completion of a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameCompletion {
    /// Name to complete to.
    pub name: String,
    /// Kind of its value.
    pub kind: FoundKind,
}

/// Kind of a field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoundKind {
    /// A function, or another callable value.
    Function,
    /// A table.
    Table,
    /// Any other value.
    Value,
}

impl Prompt {
    /// REPL in a fresh VM, with a timeout for each entry.
    ///
    /// # Errors
    /// A bug in the embedded Lua files.
    pub fn new(vm: Vm, timeout: Option<Duration>) -> Result<Self> {
        let bug = |error: mlua::Error| Error::new(Kind::Bug, format!("the prompt failed: {error}"));
        let host: Table = vm.lua.named_registry_value("iamlua.host").map_err(bug)?;
        let load: Function = host.get("load_prompt").map_err(bug)?;
        let made: Table = load.call(()).map_err(bug)?;
        let function = |name: &str| made.get::<Function>(name).map_err(bug);
        Ok(Self {
            environment: made.get("environment").map_err(bug)?,
            variables: made.get("variables").map_err(bug)?,
            run: function("run")?,
            more: function("more")?,
            declare: function("declare")?,
            set_error: function("set_error")?,
            reset: host.get("reset").map_err(bug)?,
            load_all: host.get("load_all").map_err(bug)?,
            vm,
            timeout,
            made,
        })
    }

    /// Waker of the VM, to be used after it was told to stop.
    #[must_use]
    pub fn waker(&self) -> super::Waker {
        self.vm.waker()
    }

    /// Check that a text needs more lines.
    #[must_use]
    pub fn is_incomplete(&self, text: &str) -> bool {
        matches!(entry::read(&self.vm.lua, text, &self.environment), Ok(Read::Incomplete))
    }

    /// Check that a text is a statement in a script; a lone expression is not.
    #[must_use]
    pub fn is_statement(&self, text: &str) -> bool {
        self.vm.lua.load(text).set_mode(mlua::chunk::ChunkMode::Text).into_function().is_ok()
    }

    /// Checks that a text compiles as a script.
    ///
    /// # Errors
    /// A syntax error, with its line and column.
    pub fn check(&self, text: &str, name: &str) -> Result<()> {
        syntax::load(&self.vm.lua, text.as_bytes(), name).map(|_| ())
    }

    /// Runs an entry, and shows its results on a screen of that many lines and columns.
    ///
    /// # Errors
    /// A syntax error, an uncaught error, an interrupt, or a timeout. The REPL can continue after
    /// each of them.
    pub fn enter(&self, text: &str, screen: (u16, u16)) -> Result<Ending> {
        let Read::Whole(CompiledEntry { chunk, locals }) =
            entry::read(&self.vm.lua, text, &self.environment)?
        else {
            return Err(Error::new(Kind::Script, "there must be more of it"));
        };
        self.vm.host.sources.borrow_mut().keep(entry::NAME, text.as_bytes());
        for name in locals {
            self.declare.call::<()>(name).map_err(|error| lua_failure(&error))?;
        }
        self.run(&self.run, screen, [LuaValue::Function(chunk)])
    }

    /// Runs the text of a file, with arguments. Its locals are its own; its globals stay.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    pub fn load(
        &self,
        source: &[u8],
        name: &str,
        args: &[String],
        screen: (u16, u16),
    ) -> Result<Ending> {
        let lua = &self.vm.lua;
        let args = {
            let setup = self.vm.host.setup.borrow();
            Arguments::of(args, source, name, &setup.reserved)?
        };
        let chunk = syntax::load(lua, source, name)?;
        self.vm.host.sources.borrow_mut().keep(name, source);
        let words = || args.words.iter().map(|arg| arg.as_str().into_lua(lua));
        let mut values = vec![LuaValue::Function(chunk)];
        let mut prepare = || -> mlua::Result<()> {
            for word in words() {
                values.push(word?);
            }
            // A runbook reads its flags from here.
            let host: Table = lua.named_registry_value("iamlua.host")?;
            host.set("args", args.words.clone())?;
            host.set("script", name)?;
            let arg = lua.create_sequence_from(args.words.clone())?;
            arg.set(0, name)?;
            lua.globals().raw_set("arg", arg)
        };
        prepare().map_err(|error| lua_failure(&error))?;
        let folder = std::path::Path::new(name).parent().map(std::path::Path::to_owned);
        let before = std::mem::replace(&mut self.vm.host.setup.borrow_mut().folder, folder);
        self.vm.host.setup.borrow_mut().args = args;
        let ending = self.run(&self.run, screen, values);
        let ending = self.vm.check_claimed(ending);
        let mut setup = self.vm.host.setup.borrow_mut();
        (setup.folder, setup.args) = (before, Arguments::default());
        ending
    }

    /// Number of values that the last entry has returned.
    #[must_use]
    pub fn shown(&self) -> usize {
        self.made.raw_get("shown").unwrap_or_default()
    }

    /// Values of these variables and globals.
    #[must_use]
    pub fn values(&self, names: impl IntoIterator<Item = String>) -> PromptValues {
        PromptValues(names.into_iter().map(|name| (name.clone(), self.value(&name))).collect())
    }

    /// Values of all globals.
    #[must_use]
    pub fn globals(&self) -> PromptValues {
        let globals = self.vm.lua.globals();
        PromptValues(globals.pairs::<String, LuaValue>().flatten().collect())
    }

    /// Names whose values have changed; `is_all` includes new globals.
    #[must_use]
    pub fn changed(&self, before: &PromptValues, is_all: bool) -> Vec<String> {
        let known = before.0.iter().filter(|(name, value)| self.value(name) != *value);
        let mut names: Vec<_> = known.map(|(name, _)| name.clone()).collect();
        if is_all {
            let known: BTreeSet<_> = before.0.iter().map(|(name, _)| name.as_str()).collect();
            let now = self.globals().0.into_iter().map(|(name, _)| name);
            names.extend(now.filter(|name| !known.contains(name.as_str())));
        }
        names
    }

    /// Check for a global of that name, or a module that is loaded on first use.
    #[must_use]
    pub fn is_global(&self, name: &str) -> bool {
        let global: LuaValue = self.vm.lua.globals().raw_get(name).unwrap_or(LuaValue::Nil);
        global != LuaValue::Nil || stdlib::modules().contains(&name)
    }

    /// Check for a variable or global of that name with a value.
    #[must_use]
    pub fn is_defined(&self, name: &str) -> bool {
        self.value(name) != LuaValue::Nil || self.is_global(name)
    }

    fn value(&self, name: &str) -> LuaValue {
        self.value_of(&[name]).unwrap_or(LuaValue::Nil)
    }

    /// Shows the results that did not fit on the screen.
    ///
    /// # Errors
    /// As [`enter`](Self::enter).
    pub fn more(&self, screen: (u16, u16)) -> Result<Ending> {
        self.run(&self.more, screen, [])
    }

    fn run(
        &self,
        function: &Function,
        (rows, columns): (u16, u16),
        args: impl IntoIterator<Item = LuaValue>,
    ) -> Result<Ending> {
        let host = &self.vm.host;
        host.driver.reset();
        host.board.reset();
        {
            let mut setup = host.setup.borrow_mut();
            setup.width = Some(columns);
            setup.canceller.rearm();
            setup.gate.session().reopen();
        }
        host.timers.borrow_mut().clear();
        if let Some(timeout) = self.timeout {
            host.stop_after(timeout);
        }
        self.reset.call::<()>(()).map_err(|error| lua_failure(&error))?;
        let mut values = MultiValue::new();
        values.push_back(LuaValue::Function(function.clone()));
        values.push_back(LuaValue::Integer(rows.into()));
        values.push_back(LuaValue::Integer(columns.into()));
        values.extend(args);
        // The grants of a runbook apply to that runbook only, as its allow-list does.
        let permissions = host.setup.borrow().permissions.clone();
        let mut raised = LuaValue::Nil;
        let ending = self.vm.drive(values, &mut raised);
        host.setup.borrow_mut().permissions = permissions;
        let ending = ending.and_then(|ending| self.vm.with_failed_items(ending));
        let flushed = self.vm.host.output.borrow_mut().flush();
        if ending.is_err() {
            self.set_error.call::<()>(raised).map_err(|error| lua_failure(&error))?;
        }
        flushed.map_err(|error| Error::io("cannot write to standard output", error))?;
        ending
    }

    /// Fields of the value that a chain of names leads to, such as `iam.profiles`. Runs no code of
    /// scripts: metamethods are not called. An empty chain means the variables and globals;
    /// `are_methods` selects callable fields.
    #[must_use]
    pub fn fields(&self, chain: &[&str], are_methods: bool) -> Vec<NameCompletion> {
        // The modules of the standard library are loaded on first use.
        if self.load_all.call::<()>(()).is_err() {
            return Vec::new();
        }
        let globals = self.vm.lua.globals();
        let mut found = Vec::new();
        match chain.first() {
            None => {
                collect(&self.variables, &mut found);
                collect(&globals, &mut found);
                found.extend(
                    stdlib::modules().into_iter().map(|name| NameCompletion {
                        name: name.to_owned(),
                        kind: FoundKind::Table,
                    }),
                );
            }
            Some(_) => {
                if let Some(value) = self.value_of(chain) {
                    self.fields_of(&value, &mut found);
                }
            }
        }
        found.sort();
        found.dedup_by(|a, b| a.name == b.name);
        if are_methods {
            found.retain(|found| found.kind == FoundKind::Function);
        }
        found
    }

    /// Name of the built-in table that a chain of names leads to, such as `iam.profiles` after
    /// `local p = iam.profiles`.
    #[must_use]
    pub fn known_table(&self, chain: &[&str]) -> Option<String> {
        const KNOWN: [&[&str]; 3] = [&["iam", "profiles"], &["iam", "roles"], &["iam"]];
        let LuaValue::Table(table) = self.value_of(chain)? else { return None };
        let modules = stdlib::modules();
        let modules: Vec<[&str; 1]> = modules.iter().map(|module| [*module]).collect();
        KNOWN.into_iter().chain(modules.iter().map(<[&str; 1]>::as_slice)).find_map(|known| {
            let LuaValue::Table(other) = self.value_of(known)? else { return None };
            (table.to_pointer() == other.to_pointer()).then(|| known.join("."))
        })
    }

    /// Value that a chain of names leads to, by existing fields.
    fn value_of(&self, chain: &[&str]) -> Option<LuaValue> {
        let (first, rest) = chain.split_first()?;
        let own = self.variables.raw_get(*first).ok().filter(|value| *value != LuaValue::Nil);
        let first = own.or_else(|| self.vm.lua.globals().raw_get(*first).ok())?;
        rest.iter().try_fold(first, |value, name| raw_field(&value, name))
    }

    fn fields_of(&self, value: &LuaValue, found: &mut Vec<NameCompletion>) {
        match value {
            LuaValue::Table(table) => {
                collect(table, found);
                // Methods are found where `__index` is a table; the length of such a chain is
                // limited.
                let mut table = table.clone();
                for _ in 0..8 {
                    let inner = table.metatable().and_then(|meta| meta.raw_get("__index").ok());
                    let Some(LuaValue::Table(inner)) = inner else { return };
                    collect(&inner, found);
                    table = inner;
                }
            }
            LuaValue::String(_) => {
                if let Ok(LuaValue::Table(string)) = self.vm.lua.globals().raw_get("string") {
                    collect(&string, found);
                }
            }
            _ => {}
        }
    }
}

fn raw_field(value: &LuaValue, name: &str) -> Option<LuaValue> {
    let LuaValue::Table(table) = value else { return None };
    match table.raw_get(name) {
        Ok(LuaValue::Nil) | Err(_) => {
            let index = table.metatable()?.raw_get("__index").ok()?;
            let LuaValue::Table(index) = index else { return None };
            index.raw_get(name).ok()
        }
        Ok(value) => Some(value),
    }
}

/// Collects the fields that are names, up to a limit: a table of a million tags is not traversed.
fn collect(table: &Table, found: &mut Vec<NameCompletion>) {
    const MAX_FIELDS: usize = 10_000;
    for pair in table.pairs::<LuaValue, LuaValue>().take(MAX_FIELDS) {
        let Ok((LuaValue::String(name), value)) = pair else { continue };
        let Ok(name) = name.to_str().map(|name| name.to_owned()) else { continue };
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && !super::tokens::KEYWORDS.contains(&name.as_str());
        if is_name && !name.is_empty() {
            found.push(NameCompletion { name, kind: kind_of(&value) });
        }
    }
}

fn kind_of(value: &LuaValue) -> FoundKind {
    match value {
        LuaValue::Function(_) => FoundKind::Function,
        LuaValue::Table(table) => {
            let call = table.metatable().and_then(|meta| meta.raw_get::<LuaValue>("__call").ok());
            match call {
                Some(LuaValue::Function(_)) => FoundKind::Function,
                _ => FoundKind::Table,
            }
        }
        _ => FoundKind::Value,
    }
}
