//! Parameters of documented functions, for completion: by position and by name, with their possible
//! values.

use crate::docs::{self, Item, ItemKind, ParamDoc};
use crate::iam;
use crate::session::names::Of;
use crate::spec::Type;

/// Possible values of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterValues {
    /// Anything.
    Any,
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Words(Vec<String>),
    /// A name in the account.
    Names(Of),
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name of the parameter.
    pub name: String,
    /// Possible values.
    pub values: ParameterValues,
}

/// Parameters of a call.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// Parameters by position.
    pub positional: Vec<Parameter>,
    /// Parameters by name, in the table at the cursor.
    pub named: Vec<Parameter>,
}

impl Parameters {
    /// Parameters of a function, by its full name; `position` is that of the table at the cursor,
    /// if there is one. `None` for an undocumented function.
    #[must_use]
    pub fn of(function: &str, position: usize) -> Option<Self> {
        let item = docs::item(function).filter(|item| item.is_callable())?;
        let is_positional = |param: &&ParamDoc| param.is_positional;
        let positional: Vec<_> =
            item.params.iter().filter(is_positional).map(|param| parameter(item, param)).collect();
        let named = if item.name.starts_with("iam.") {
            // All of them in one table, or the rest in a table after the positional ones.
            item.params
                .iter()
                .filter(|param| position == 0 || !param.is_positional)
                .map(|param| parameter(item, param))
                .collect()
        } else {
            item.params
                .get(position)
                .and_then(|param| docs::item(param.ty.trim_end_matches('?')))
                .filter(|class| class.kind == ItemKind::Class)
                .map(|class| class.fields.iter().map(|field| parameter(class, field)).collect())
                .unwrap_or_default()
        };
        Some(Self { positional, named })
    }
}

/// Names of all documented items.
pub fn documented() -> Vec<String> {
    docs::items().iter().map(|item| item.name.clone()).collect()
}

fn parameter(item: &Item, param: &ParamDoc) -> Parameter {
    let values = match in_account(&item.name, &param.name) {
        Some(of) => ParameterValues::Names(of),
        None if !param.values.is_empty() => ParameterValues::Words(param.values.clone()),
        None if !alias(&param.ty).is_empty() => ParameterValues::Words(alias(&param.ty).to_vec()),
        None if param.ty.trim_end_matches('?') == "boolean" => ParameterValues::Bool,
        None => ParameterValues::Any,
    };
    Parameter { name: param.name.clone(), values }
}

/// Values of a named type.
fn alias(ty: &str) -> &'static [String] {
    docs::item(ty.trim_end_matches('?')).map_or(&[], |alias| &alias.values)
}

/// Kind of name in the account that a parameter of a function of `iam` takes.
fn in_account(function: &str, parameter: &str) -> Option<Of> {
    let spec = &iam::find(function.strip_prefix("iam.")?)?.spec;
    match (spec.param(parameter)?.ty, parameter) {
        (Type::Name { .. }, "role") => Some(Of::Role),
        (Type::Name { .. }, _) if spec.module == "roles" => Some(Of::Role),
        (Type::Name { .. }, _) => Some(Of::Profile),
        (Type::Path | Type::PathPrefix, _) => Some(Of::Path),
        (Type::PolicyArn, "policy_arn" | "permissions_boundary") => Some(Of::Policy),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(function: &str, position: usize, name: &str) -> Option<ParameterValues> {
        let parameters = Parameters::of(function, position)?;
        let found = parameters.named.into_iter().find(|parameter| parameter.name == name);
        found.map(|parameter| parameter.values)
    }

    #[test]
    fn what_a_parameter_can_be_follows_from_the_registry_and_the_comments() {
        let get = Parameters::of("iam.profiles.get", 0).expect("it is documented");
        assert_eq!(get.positional[0].values, ParameterValues::Names(Of::Profile));
        let add = Parameters::of("iam.profiles.add_role", 0).expect("it is documented");
        assert_eq!(add.positional[1].values, ParameterValues::Names(Of::Role));
        assert_eq!(values("iam.roles.tag", 0, "name"), Some(ParameterValues::Names(Of::Role)));
        assert_eq!(
            values("iam.profiles.each", 0, "path_prefix"),
            Some(ParameterValues::Names(Of::Path))
        );
        assert_eq!(values("iam.profiles.each", 0, "with_tags"), Some(ParameterValues::Bool));
        assert_eq!(values("iam.profiles.delete", 1, "detach"), Some(ParameterValues::Bool));
        assert_eq!(values("iam.profiles.delete", 1, "name"), None);
        assert_eq!(values("bulk.each", 1, "label"), Some(ParameterValues::Any));
        let words = |words: &[&str]| {
            Some(ParameterValues::Words(words.iter().map(ToString::to_string).collect()))
        };
        assert_eq!(values("bulk.each", 1, "on_error"), words(&["continue", "stop"]));
        assert_eq!(
            values("report", 1, "format"),
            words(&["table", "json", "jsonl", "csv", "html"])
        );
        assert!(Parameters::of("print_nothing", 0).is_none());
    }
}
