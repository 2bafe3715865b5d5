//! Description of the functions of the Lua surface: name, AWS actions, parameters with AWS's own
//! constraints, result, effect, documentation and example. Arguments are checked against it.
//! Nothing here calls AWS or knows Lua; bindings, documentation and stubs are derived from it on
//! the floors above.

mod check;
mod service;
mod value;

use crate::error::{Error, Result};

pub use check::{check_role_arn, is_reserved_tag, parse_duration};
pub use service::{Protocol, Service, ServiceRow};
pub use value::{Args, Page, Value};

/// Type of a parameter, with AWS's limits from the service model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// The name of a profile (at most 128 characters) or role (64): `[\w+=,.@-]+`.
    Name {
        /// The most characters.
        max: usize,
    },
    /// A path: `/` or `/…/`, at most 512 printable characters.
    Path,
    /// The beginning of a path: starts with `/`, at most 512 printable characters.
    PathPrefix,
    /// Start of a page: text from an earlier page, 1 to 320 characters.
    Marker,
    /// An ARN, 20 to 2048 characters.
    Arn,
    /// The ARN of a role: `arn:PARTITION:iam::ACCOUNT:role/NAME`.
    RoleArn,
    /// The ARN of a managed policy, in any partition.
    PolicyArn,
    /// An array of such ARNs.
    PolicyArns,
    /// Free text of a length.
    Text {
        /// The fewest characters.
        min: usize,
        /// The most characters.
        max: usize,
    },
    /// A whole number in a range, both ends included.
    Int {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// `true` or `false`.
    Bool,
    /// Tags: a table of key = "value", at most 50. Keys have 1 to 128 characters, values 0 to 256.
    Tags,
    /// An array of tag keys.
    TagKeys,
    /// An array of texts, or one text.
    Texts,
    /// A policy document: a table or JSON text.
    Policy,
    /// A duration: `"90s"`, `"15m"`, `"2h"`, `"7d"`, or a number of seconds. It becomes whole
    /// milliseconds.
    Duration,
}

impl Type {
    /// The type in the notation of the Lua language server.
    #[must_use]
    pub const fn lua(self) -> &'static str {
        match self {
            Self::Name { .. }
            | Self::Path
            | Self::PathPrefix
            | Self::Marker
            | Self::Arn
            | Self::RoleArn
            | Self::PolicyArn
            | Self::Text { .. } => "string",
            Self::Int { .. } => "integer",
            Self::Bool => "boolean",
            Self::Tags => "table<string, string>",
            Self::TagKeys | Self::PolicyArns => "string[]",
            Self::Texts => "string|string[]",
            Self::Policy => "string|table",
            Self::Duration => "string|number",
        }
    }

    /// The limits in words, for documentation; empty when there are none.
    #[must_use]
    pub fn limits(self) -> String {
        match self {
            Self::Name { max } => format!("1-{max} characters of `[A-Za-z0-9_+=,.@-]`"),
            Self::Path => "`/` or `/…/`, at most 512 characters".into(),
            Self::PathPrefix => "begins with `/`, at most 512 characters".into(),
            Self::Marker => "1-320 characters".into(),
            Self::Arn | Self::PolicyArn => "20-2048 characters".into(),
            Self::RoleArn => "`arn:PARTITION:iam::ACCOUNT:role/NAME`".into(),
            Self::Text { min, max } => format!("{min}-{max} characters"),
            Self::Int { min, max } => format!("{min}-{max}"),
            Self::Tags => "at most 50; keys 1-128, values 0-256 characters".into(),
            Self::TagKeys => "keys of 1-128 characters".into(),
            Self::Duration => "`\"90s\"`, `\"15m\"`, `\"2h\"`, `\"7d\"` or seconds".into(),
            Self::Bool | Self::Policy | Self::PolicyArns | Self::Texts => String::new(),
        }
    }
}

/// A parameter of a function.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name in Lua, `snake_case`.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// True if it is required.
    pub required: bool,
    /// One sentence about it.
    pub doc: &'static str,
}

impl Param {
    /// A parameter that a call must give.
    #[must_use]
    pub const fn required(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self { name, ty, required: true, doc }
    }

    /// A parameter that may be left out.
    #[must_use]
    pub const fn optional(name: &'static str, ty: Type, doc: &'static str) -> Self {
        Self { name, ty, required: false, doc }
    }
}

/// A field of a record that functions return.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in Lua.
    pub name: &'static str,
    /// Its type in the notation of the Lua language server.
    pub ty: &'static str,
    /// One sentence about it.
    pub doc: &'static str,
}

/// A kind of table that functions return.
#[derive(Debug)]
pub struct Record {
    /// Its name in documentation and stubs.
    pub name: &'static str,
    /// One sentence about it.
    pub doc: &'static str,
    /// Its fields in order.
    pub fields: &'static [Field],
}

/// Result of a function.
#[derive(Clone, Copy, Debug)]
pub enum Returns {
    /// Nothing.
    Nothing,
    /// One record.
    One(&'static Record),
    /// One record, or nil.
    Maybe(&'static Record),
    /// An array of records, all pages of it.
    All(&'static Record),
    /// One page of records.
    Page(&'static Record),
    /// An iterator over records.
    Each(&'static Record),
    /// An iterator over pages of records.
    Pages(&'static Record),
    /// A table of text by text: tags.
    Tags,
    /// One page of tags.
    TagPage,
    /// A record and an array that names what changed.
    Ensured(&'static Record),
    /// Another `iam`.
    Module,
    /// Result of a usage scan.
    Scan,
}

/// Resource type that a policy can restrict an action to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Nothing: the action is about the whole account.
    All,
    /// Instance profiles.
    Profiles,
    /// Roles.
    Roles,
}

/// An AWS API action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Action {
    /// The service.
    pub service: Service,
    /// The action's name, such as `TagInstanceProfile`.
    pub name: &'static str,
    /// Resource type that a policy can restrict it to (AWS's Service Authorization Reference).
    pub resource: Resource,
}

impl Action {
    /// An IAM action on the whole account.
    #[must_use]
    pub const fn iam(name: &'static str) -> Self {
        Self { service: Service::IAM, name, resource: Resource::All }
    }

    /// An IAM action on an instance profile.
    #[must_use]
    pub const fn profile(name: &'static str) -> Self {
        Self { service: Service::IAM, name, resource: Resource::Profiles }
    }

    /// An IAM action on a role.
    #[must_use]
    pub const fn role(name: &'static str) -> Self {
        Self { service: Service::IAM, name, resource: Resource::Roles }
    }

    /// An STS action.
    #[must_use]
    pub const fn sts(name: &'static str) -> Self {
        Self::of(Service::STS, name)
    }

    /// An action of that service that cannot be narrowed down.
    #[must_use]
    pub const fn of(service: Service, name: &'static str) -> Self {
        Self { service, name, resource: Resource::All }
    }

    /// The page of AWS's API reference.
    #[must_use]
    pub fn reference(self) -> String {
        format!(
            "https://docs.aws.amazon.com/{}/API_{}.html",
            self.service.row().reference,
            self.name
        )
    }
}

/// Effect of a function on the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Only reads.
    Read,
    /// Can change the account.
    Write,
}

/// A function of the Lua surface.
#[derive(Debug)]
pub struct Function {
    /// The table below `iam` that it lives in: `profiles`, `roles`, or `""` for `iam` itself.
    pub module: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// The AWS actions that it may call, the main one first.
    pub actions: &'static [Action],
    /// Its effect on the account.
    pub effect: Effect,
    /// Its parameters.
    pub params: &'static [Param],
    /// The parameters that can be given by position, in order; the rest go in a table after them.
    pub positional: &'static [&'static str],
    /// Its result.
    pub returns: Returns,
    /// Summary of its effect, in one sentence.
    pub doc: &'static str,
    /// Further documentation: limits, errors, consequences. May be empty.
    pub long: &'static str,
    /// A piece of Lua that runs on the example account.
    pub example: &'static str,
}

impl Function {
    /// The name in a manifest's allow-list and in messages, such as `profiles.tag`.
    #[must_use]
    pub fn path(&self) -> String {
        if self.module.is_empty() {
            self.name.to_owned()
        } else {
            format!("{}.{}", self.module, self.name)
        }
    }

    /// The name that a script calls, such as `iam.profiles.tag`.
    #[must_use]
    pub fn lua_name(&self) -> String {
        format!("iam.{}", self.path())
    }

    /// Form of a call, such as `iam.profiles.tag(name, tags)`.
    #[must_use]
    pub fn signature(&self) -> String {
        let rest: Vec<_> = self
            .params
            .iter()
            .filter(|param| !self.positional.contains(&param.name))
            .map(|param| format!("{}=", param.name))
            .collect();
        let name = self.lua_name();
        match (self.positional.is_empty(), rest.is_empty()) {
            (true, true) => format!("{name}()"),
            (true, false) => format!("{name} {{ {} }}", rest.join(", ")),
            (false, true) => format!("{name}({})", self.positional.join(", ")),
            (false, false) => {
                format!("{name}({}, {{ {} }})", self.positional.join(", "), rest.join(", "))
            }
        }
    }

    /// The parameter of that name.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&'static Param> {
        self.params.iter().find(|param| param.name == name)
    }

    /// Checks the arguments of a call.
    ///
    /// # Errors
    /// An argument error that names the function and the parameter, for an unknown parameter (with
    /// the nearest known), a missing one, one of the wrong type or outside of AWS's limits.
    pub fn check(&self, given: Vec<(String, Value)>) -> Result<Args> {
        let fail = |why: String| {
            Error::argument(format!("{}: {why}", self.lua_name()))
                .hint(format!("it is called as {}", self.signature()))
        };
        let mut args = Args::default();
        for (name, value) in given {
            if value == Value::Nil {
                continue;
            }
            let Some(param) = self.param(&name) else {
                let known = self.params.iter().map(|param| param.name);
                let mut why = format!("there is no parameter {name:?}");
                let part = |known: &&str| name.len() > 3 && known.contains(&name);
                let near = nearest(&name, known.clone()).or_else(|| known.clone().find(part));
                if let Some(near) = near {
                    why = format!("{why}; did you mean {near:?}?");
                }
                return Err(fail(why));
            };
            let value = param.ty.check(value).map_err(|why| fail(format!("{name} {why}")))?;
            args.set(param.name, value);
        }
        for param in self.params.iter().filter(|param| param.required) {
            if !args.has(param.name) {
                return Err(fail(format!("{} is missing", param.name)));
            }
        }
        Ok(args)
    }
}

/// The known word nearest to a mistyped one, if one is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Nothing that long is a word that somebody has misspelt.
    const LONGEST: usize = 200;
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            *distance <= 1 + candidate.len().min(word.len()) / 4 || candidate.starts_with(&word)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
