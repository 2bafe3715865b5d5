//! Documentation of one item that a script can name.

use crate::spec::{Action, Effect};

/// Kind of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A function.
    Function,
    /// A table of functions; some can be called themselves.
    Module,
    /// A kind of table: a record that functions return, or the options that they take.
    Class,
    /// A named type.
    Alias,
    /// Any other value.
    Value,
}

impl ItemKind {
    /// Word for the kind.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Module => "module",
            Self::Class => "class",
            Self::Alias => "alias",
            Self::Value => "value",
        }
    }
}

/// A parameter of a function, or a field of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamDoc {
    /// Name; `...` for any number of arguments.
    pub name: String,
    /// Type in the notation of the Lua language server.
    pub ty: String,
    /// Permission to leave it out, or to pass nil.
    pub is_optional: bool,
    /// Mark of a positional parameter. A function of `iam` takes the others by name, in a table
    /// after the positional ones.
    pub is_positional: bool,
    /// Description in a sentence or a few words; may be empty.
    pub doc: String,
    /// AWS's limits in words, without brackets; may be empty.
    pub limits: String,
    /// Allowed values, if its type lists them: `"table"|"json"`.
    pub values: Vec<String>,
}

/// Return value of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReturnDoc {
    /// Type in the notation of the Lua language server.
    pub ty: String,
    /// Name; may be empty.
    pub name: String,
    /// Description; may be empty.
    pub doc: String,
}

/// Piece of Lua that runs on the example account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// Code of the example.
    pub code: String,
    /// Command-line arguments of the example, such as `--owner ops`; most examples need none.
    pub args: String,
}

/// Item that a script can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Full name: `iam.profiles.tag`, `bulk.each`, `report`, `iam.Profile`, `task.Task:done`.
    pub name: String,
    /// Kind of the item.
    pub kind: ItemKind,
    /// Module of the item, or itself for a module: `iam.profiles`, `bulk`, `lua` for the globals of
    /// plain Lua, `testing` for the globals of tests.
    pub module: String,
    /// Call signature, such as `iam.profiles.tag(name, tags)`; only the name for an item that
    /// cannot be called.
    pub signature: String,
    /// Description in one sentence; may be empty for a class.
    pub summary: String,
    /// Further description as Markdown; may be empty.
    pub text: String,
    /// Parameters of a callable item, the positional ones first and in order.
    pub params: Vec<ParamDoc>,
    /// Fields of a class.
    pub fields: Vec<ParamDoc>,
    /// Mark of a class whose tables have no other fields; see [`Item::is_exact`].
    pub(super) is_marked_exact: bool,
    /// Values of an alias that lists them.
    pub values: Vec<String>,
    /// Return values of a call; for an iterator those of the iterator function.
    pub returns: Vec<ReturnDoc>,
    /// Examples in Lua.
    pub examples: Vec<Example>,
    /// AWS actions that it may call, the main one first.
    pub actions: Vec<Action>,
    /// Effect on the account; `None` outside of `iam`.
    pub effect: Option<Effect>,
    /// Type of an alias or a value, base class of a class; otherwise empty.
    pub ty: String,
    /// Type parameters, as in `T, R`; empty if there are none.
    pub generics: String,
    /// Further call signatures, as function types.
    pub overloads: Vec<String>,
}

impl Item {
    /// Item without documentation.
    pub(super) fn new(name: impl Into<String>, kind: ItemKind, module: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            kind,
            module: module.into(),
            signature: name.clone(),
            name,
            summary: String::new(),
            text: String::new(),
            params: Vec::new(),
            fields: Vec::new(),
            is_marked_exact: false,
            values: Vec::new(),
            returns: Vec::new(),
            examples: Vec::new(),
            actions: Vec::new(),
            effect: None,
            ty: String::new(),
            generics: String::new(),
            overloads: Vec::new(),
        }
    }

    /// Last part of the name: `tag`, `each`, `Profile`, `done`.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.name.rsplit(['.', ':']).next().unwrap_or(&self.name)
    }

    /// Check for an item that a script can call. Some modules are callable: `report(rows)`.
    #[must_use]
    pub fn is_callable(&self) -> bool {
        self.kind == ItemKind::Function
            || (self.kind == ItemKind::Module && !self.overloads.is_empty())
    }

    /// Check for a class whose tables can have no other fields. Options are such classes: functions
    /// refuse keys that they do not know.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.is_marked_exact
            || (self.kind == ItemKind::Class && self.short_name().ends_with("Options"))
    }

    /// Check for an item that is called on a value, as in `task:done()`.
    #[must_use]
    pub fn is_method(&self) -> bool {
        self.name.contains(':')
    }
}
