//! What is known of one thing that a script can name.

use crate::spec::{Action, Effect};

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A function.
    Function,
    /// A table of functions; some can be called themselves.
    Module,
    /// A kind of table: a record that functions return, or the options that they take.
    Class,
    /// A name for a type.
    Alias,
    /// Something else: a value.
    Value,
}

impl ItemKind {
    /// The word for it.
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
    /// Its name; `...` for any number of them.
    pub name: String,
    /// Its type in the notation of the Lua language server.
    pub ty: String,
    /// Whether it may be left out, or be nil.
    pub is_optional: bool,
    /// Whether it is given by position. A function of `iam` takes the others by name, in a table after those.
    pub is_positional: bool,
    /// What it is, in a sentence or a few words; may be empty.
    pub doc: String,
    /// AWS's limits in words, without brackets; may be empty.
    pub limits: String,
    /// The only values, if its type names them: `"table"|"json"`.
    pub values: Vec<String>,
}

/// Something that a function returns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReturnDoc {
    /// Its type in the notation of the Lua language server.
    pub ty: String,
    /// A name for it; may be empty.
    pub name: String,
    /// What it is; may be empty.
    pub doc: String,
}

/// A piece of Lua that runs on the example account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Example {
    /// The code.
    pub code: String,
    /// What its command line says behind the script, such as `--owner ops`; most examples need nothing.
    pub args: String,
}

/// Something that a script can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The whole name: `iam.profiles.tag`, `bulk.each`, `report`, `iam.Profile`, `task.Task:done`.
    pub name: String,
    /// What it is.
    pub kind: ItemKind,
    /// The module that it belongs to, itself for a module: `iam.profiles`, `bulk`, `lua` for the globals of plain Lua, `testing` for those that
    /// only tests have.
    pub module: String,
    /// How a call looks, such as `iam.profiles.tag(name, tags)`; the name alone for what cannot be called.
    pub signature: String,
    /// What it does or is, in one sentence; may be empty for a class.
    pub summary: String,
    /// The rest, as Markdown; may be empty.
    pub text: String,
    /// The parameters of what can be called, those by position first and in order.
    pub params: Vec<ParamDoc>,
    /// The fields of a class.
    pub fields: Vec<ParamDoc>,
    /// The values of an alias that names them.
    pub values: Vec<String>,
    /// What a call returns; for an iterator the function that it is.
    pub returns: Vec<ReturnDoc>,
    /// Pieces of Lua that show it.
    pub examples: Vec<Example>,
    /// The AWS actions that it may call, the main one first.
    pub actions: Vec<Action>,
    /// Whether it can change the account; `None` for what is no function of `iam`.
    pub effect: Option<Effect>,
    /// Of an alias or a value its type, of a class what it extends; else empty.
    pub ty: String,
    /// The names of types that stand for any, as in `T, R`; empty if there are none.
    pub generics: String,
    /// Further ways to call it, as function types.
    pub overloads: Vec<String>,
}

impl Item {
    /// An item of which nothing more is known yet.
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

    /// The last part of the name: `tag`, `each`, `Profile`, `done`.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.name.rsplit(['.', ':']).next().unwrap_or(&self.name)
    }

    /// Whether a script can call it. Some modules can be called themselves: `report(rows)`.
    #[must_use]
    pub fn is_callable(&self) -> bool {
        self.kind == ItemKind::Function
            || (self.kind == ItemKind::Module && !self.overloads.is_empty())
    }

    /// Whether it is called on a value, as in `task:done()`.
    #[must_use]
    pub fn is_method(&self) -> bool {
        self.name.contains(':')
    }
}
