//! Arguments of a call and tables of options, held against the documentation and the registry.

use std::collections::BTreeMap;

use super::analysis::{Analysis, Value, fields_of};
use super::findings::{Doubt, Draft, Rule};
use super::syntax::{Expr, ExprKind, Item, Number, Operator, Span};
use super::types::{self, Shape};
use crate::docs;
use crate::iam::{self, Entry};
use crate::lua::mistakes;
use crate::spec::{self, Param, nearest};

impl<'s> Analysis<'s> {
    /// Checks the arguments of a function of the library.
    pub(super) fn check_arguments(
        &mut self,
        name: &'static str,
        args: &[Expr<'s>],
        values: &[Value<'s>],
        span: &Span,
    ) {
        let mut drafts = Vec::new();
        let entry = name.strip_prefix("iam.").and_then(iam::find);
        if let Some(entry) = entry {
            Call { entry, name, args, values, span, drafts: &mut drafts }.check();
        } else if let Some(item) = self.names.item(name).filter(|item| item.is_callable()) {
            check_documented(item, args, values, span, &mut drafts);
        }
        if matches!(name, "ipairs" | "pairs")
            && let (Some(arg), Some(Value::Typed(ty))) = (args.first(), values.first())
            && types::is_function(ty)
        {
            let message = format!("`{name}` takes a table, got a function");
            let draft = Draft::error(Rule::ParamTypeMismatch, arg.span.clone(), message);
            drafts.push(draft.hint(mistakes::IPAIRS_OF_ITERATOR));
        }
        let root = name.split('.').next().unwrap_or(name);
        let (table, short) = name.rsplit_once('.').unwrap_or(("", name));
        for draft in drafts {
            // A script may have replaced the function.
            let draft = draft
                .unless(Doubt::Replaced(root.to_owned()))
                .unless(Doubt::Table(table.to_owned()))
                .unless(Doubt::Table(root.to_owned()));
            let draft =
                if table.is_empty() { draft } else { draft.unless(Doubt::Field(short.to_owned())) };
            self.report(draft);
        }
    }
}

/// Check for a last argument that stands for any number of values.
fn is_open_end(args: &[Expr]) -> bool {
    let last = args.last().map(|arg| &arg.kind);
    match last {
        Some(ExprKind::Vararg) => true,
        Some(ExprKind::Chain(_, links)) => matches!(
            links.last(),
            Some(super::syntax::Link::Call(..) | super::syntax::Link::Method(..))
        ),
        _ => false,
    }
}

/// Shape of an expression by itself.
pub(super) fn shape<'s>(expr: &Expr<'s>) -> Shape<'s> {
    match &expr.kind {
        ExprKind::Nil => Shape::Nil,
        ExprKind::Boolean(_) => Shape::Boolean,
        ExprKind::Number(Number::Integer(_)) => Shape::Integer,
        ExprKind::Number(Number::Float(_)) => Shape::Float,
        ExprKind::Text(text) => Shape::Text(*text),
        ExprKind::Table(_) => Shape::Table,
        ExprKind::Function(_) => Shape::Function,
        ExprKind::Paren(inner) => shape(inner),
        ExprKind::Operation(Operator::Concat, _) => Shape::Text(None),
        ExprKind::Operation(Operator::Not | Operator::Equality | Operator::Order, _) => {
            Shape::Boolean
        }
        ExprKind::Operation(Operator::Minus, operands) => match operands.first().map(shape) {
            Some(number @ (Shape::Integer | Shape::Float)) => number,
            _ => Shape::Unknown,
        },
        _ => Shape::Unknown,
    }
}

/// Check for a function whose text is a duration.
fn takes_duration(name: &str) -> bool {
    matches!(name, "time.ago" | "time.after" | "time.sleep")
}

/// Number of arguments in words.
fn arguments(count: usize) -> String {
    match count {
        0 => "no arguments".into(),
        1 => "1 argument".into(),
        count => format!("{count} arguments"),
    }
}

/// Checks a call of a function that is documented in `stdlib/`.
fn check_documented(
    item: &'static docs::Item,
    args: &[Expr],
    values: &[Value],
    span: &Span,
    drafts: &mut Vec<Draft>,
) {
    let takes_any = item.params.last().is_some_and(|param| param.name == "...");
    let most = item.params.len();
    // Overloads leave parameters out. With all of them there is no doubt what was meant.
    let is_overloaded = item.kind == docs::ItemKind::Function && !item.overloads.is_empty();
    if is_overloaded && (args.len() != most || is_open_end(args)) {
        return;
    }
    if !takes_any && args.len() > most {
        let from = args[most].span.start;
        let message = format!("`{}` takes {}, got {}", item.name, arguments(most), args.len());
        let draft =
            Draft::warning(Rule::RedundantParameter, from..span.end.max(from + 1) - 1, message);
        drafts.push(draft.hint(format!("it is called as `{}`", item.signature)));
    }
    for (param, (arg, value)) in item.params.iter().zip(args.iter().zip(values)) {
        let found = match value {
            Value::Literal(shape) => shape.clone(),
            Value::Typed(ty) if types::is_function(ty) => Shape::Function,
            _ => shape(arg),
        };
        if param.name == "..." {
            break;
        }
        let is_nil = found == Shape::Nil && param.is_optional;
        if !is_nil && !types::accepts(&param.ty, &found) {
            let message = mismatch(&format!("`{}`: {}", item.name, param.name), &param.ty, &found);
            let draft = Draft::warning(Rule::ParamTypeMismatch, arg.span.clone(), message);
            drafts.push(hint_for(draft, &param.ty, &found));
        } else if let (true, Shape::Text(Some(text))) = (takes_duration(&item.name), &found)
            && let Err(why) = spec::parse_duration(text)
        {
            let message = format!("`{}`: {} {why}", item.name, param.name);
            drafts.push(Draft::error(Rule::ParamTypeMismatch, arg.span.clone(), message));
        } else if let ExprKind::Table(items) = &arg.kind {
            let owner = Owner { function: &item.name, path: String::new() };
            check_table(items, &param.ty, &owner, &arg.span, drafts);
        }
    }
    let is_certain = !is_open_end(args);
    let needed = item.params.iter().filter(|param| param.name != "...");
    let missing = needed.skip(args.len()).find(|param| {
        !param.is_optional && !param.ty.ends_with('?') && param.ty != "any" && param.ty != "T"
    });
    if let Some(missing) = missing.filter(|_| is_certain) {
        let message = format!("`{}`: {} is missing", item.name, missing.name);
        let draft = Draft::warning(Rule::MissingParameter, span.clone(), message);
        drafts.push(draft.hint(format!("it is called as `{}`", item.signature)));
    }
}

/// Message for a value of the wrong type.
fn mismatch(what: &str, ty: &str, found: &Shape) -> String {
    match found {
        Shape::Text(Some(text)) if !types::literals(ty).is_empty() => {
            format!("{what} must be {}, got {text:?}", types::words(ty))
        }
        _ => format!("{what} must be {}, got {}", types::words(ty), found.name()),
    }
}

/// Adds "did you mean" for a word that a type does not list.
fn hint_for(draft: Draft, ty: &str, found: &Shape) -> Draft {
    match found {
        Shape::Text(Some(text)) => draft.near(nearest(text, types::literals(ty))),
        _ => draft,
    }
}

/// Name of a table in messages.
struct Owner<'a> {
    /// Function that takes it.
    function: &'a str,
    /// Keys that lead to it from the argument of the function; empty for the argument itself.
    path: String,
}

impl<'a> Owner<'a> {
    fn within(&self, key: &str) -> Owner<'a> {
        let separator = if self.path.is_empty() || key.starts_with('[') { "" } else { "." };
        Owner { function: self.function, path: format!("{}{separator}{key}", self.path) }
    }

    /// Name for a statement about the table.
    fn shown(&self) -> String {
        if self.path.is_empty() {
            format!("`{}`", self.function)
        } else {
            format!("`{}`: {}", self.function, self.path)
        }
    }

    /// Name for a statement about one of its values.
    fn value(&self, key: &str) -> String {
        self.within(key).shown()
    }
}

/// Checks a table against a documented type.
fn check_table(items: &[Item], ty: &str, owner: &Owner, span: &Span, drafts: &mut Vec<Draft>) {
    if let Some(class) = types::class_of(ty) {
        let is_list =
            !items.is_empty() && items.iter().all(|item| matches!(item, Item::Positional(_)));
        if !is_list {
            check_class(items, class, owner, span, drafts);
            return;
        }
    }
    for (at, item) in items.iter().enumerate() {
        let (value, ty, key) = match item {
            Item::Positional(value) => (value, types::values_of(ty, true), format!("[{}]", at + 1)),
            Item::Named(name, value) => (value, types::values_of(ty, false), name.text.to_owned()),
            Item::Keyed(..) => continue,
        };
        let Some(ty) = ty else { continue };
        let is_exact = types::class_of(&ty).is_some_and(docs::Item::is_exact);
        check_value(value, &ty, owner, &key, is_exact, drafts);
    }
}

fn check_value(
    value: &Expr,
    ty: &str,
    owner: &Owner,
    key: &str,
    is_certain: bool,
    drafts: &mut Vec<Draft>,
) {
    let found = shape(value);
    if !types::accepts(ty, &found) {
        let message = mismatch(&owner.value(key), ty, &found);
        let draft = Draft::of(is_certain, Rule::AssignTypeMismatch, value.span.clone(), message);
        drafts.push(hint_for(draft, ty, &found));
    } else if let ExprKind::Table(items) = &value.kind {
        check_table(items, ty, &owner.within(key), &value.span, drafts);
    }
}

fn check_class(
    items: &[Item],
    class: &'static docs::Item,
    owner: &Owner,
    span: &Span,
    drafts: &mut Vec<Draft>,
) {
    let fields = fields_of(class);
    // The manifest refuses every value of the wrong type; other functions may convert some.
    let is_strict = class.module == "runbook";
    let mut is_open = false;
    let mut given = Vec::new();
    for item in items {
        match item {
            Item::Named(name, value) => {
                given.push(name.text);
                let Some(field) = fields.iter().find(|field| field.name == name.text) else {
                    if class.is_exact() {
                        let known = fields.iter().map(|field| field.name.as_str());
                        let message = format!("{} has no option `{}`", owner.shown(), name.text);
                        let draft = Draft::error(Rule::UnknownOption, name.span.clone(), message);
                        drafts.push(near_or_all(draft, name.text, &known.collect::<Vec<_>>()));
                    }
                    continue;
                };
                if shape(value) != Shape::Nil || !field.is_optional {
                    check_value(value, &field.ty, owner, name.text, is_strict, drafts);
                }
            }
            Item::Keyed(..) => is_open = true,
            Item::Positional(value) => {
                is_open |= !class.is_exact() || shape(value) == Shape::Unknown;
            }
        }
    }
    let missing = fields.iter().find(|field| {
        !field.is_optional && !field.ty.ends_with('?') && !given.contains(&field.name.as_str())
    });
    if let Some(missing) = missing.filter(|_| class.is_exact() && !is_open) {
        let message = format!("{} is missing", owner.value(&missing.name));
        drafts.push(Draft::warning(Rule::MissingFields, span.start..span.start + 1, message));
    }
}

/// Adds the similar word, or all of them.
fn near_or_all(draft: Draft, word: &str, known: &[&str]) -> Draft {
    match nearest(word, known.iter().copied()) {
        Some(near) => draft.near(Some(near)),
        None => draft.hint(format!("there is {}", known.join(", "))),
    }
}

/// Call of a function of `iam`, whose arguments are checked as at run time.
struct Call<'a, 's> {
    entry: &'static Entry,
    name: &'static str,
    args: &'a [Expr<'s>],
    values: &'a [Value<'s>],
    span: &'a Span,
    drafts: &'a mut Vec<Draft>,
}

impl<'s> Call<'_, 's> {
    fn push(&mut self, draft: Draft) {
        let signature = self.entry.spec.signature();
        let draft = if draft.hint.is_empty() {
            draft.hint(format!("it is called as `{signature}`"))
        } else {
            draft
        };
        self.drafts.push(draft);
    }

    fn check(mut self) {
        let spec = &self.entry.spec;
        // A nil at the end is as good as nothing.
        let count = self.args.iter().rposition(|arg| shape(arg) != Shape::Nil);
        let args = &self.args[..count.map_or(0, |at| at + 1)];
        // Positions of what is given, by parameter.
        let mut given: BTreeMap<&str, Span> = BTreeMap::new();
        let mut is_open = is_open_end(args);
        let mut at = 0;
        let is_named = self.shape(0) == Shape::Table;
        if !is_named {
            for name in spec.positional {
                let (Some(arg), Some(param)) = (args.get(at), spec.param(name)) else { break };
                if self.shape(at) == Shape::Table && !takes_table(param) {
                    break;
                }
                given.insert(name, arg.span.clone());
                self.value(param, arg);
                // A table in a variable may be the options.
                is_open |= self.shape(at) == Shape::Unknown;
                at += 1;
            }
        }
        let has_options = spec.params.len() > spec.positional.len();
        if let Some(arg) = args.get(at) {
            match &arg.kind {
                ExprKind::Table(items) => self.options(items, &mut given, &mut is_open),
                _ => match self.shape(at) {
                    Shape::Nil => {}
                    Shape::Table | Shape::Unknown => is_open = true,
                    found if has_options => {
                        let message =
                            format!("`{}` got {} where a table belongs", self.name, found.name());
                        let rule = Rule::ParamTypeMismatch;
                        self.push(Draft::error(rule, arg.span.clone(), message));
                    }
                    _ => {}
                },
            }
            at += usize::from(is_named || has_options || self.shape(at) == Shape::Table);
        }
        if let Some(extra) = args.get(at) {
            let from = extra.span.start;
            let most = spec.positional.len() + usize::from(has_options);
            let most = if is_named { 1 } else { most };
            let is_certain =
                args[at..].iter().any(|arg| !matches!(shape(arg), Shape::Unknown | Shape::Nil));
            let message =
                format!("`{}` takes at most {}, got {}", self.name, arguments(most), args.len());
            let span = from..self.span.end.max(from + 1) - 1;
            self.push(Draft::of(is_certain, Rule::RedundantParameter, span, message));
        }
        if !is_open {
            let missing =
                spec.params.iter().find(|param| param.required && !given.contains_key(param.name));
            if let Some(missing) = missing {
                let message = format!("`{}`: {} is missing", self.name, missing.name);
                let span = self.span.clone();
                self.push(Draft::error(Rule::MissingParameter, span, message));
            }
        }
    }

    /// Shape of an argument.
    fn shape(&self, at: usize) -> Shape<'s> {
        match self.values.get(at) {
            Some(Value::Literal(shape)) => shape.clone(),
            Some(Value::Typed(ty)) if &**ty == "string" => Shape::Text(None),
            _ => self.args.get(at).map_or(Shape::Nil, shape),
        }
    }

    fn options(
        &mut self,
        items: &[Item<'s>],
        given: &mut BTreeMap<&'s str, Span>,
        is_open: &mut bool,
    ) {
        let spec = &self.entry.spec;
        for item in items {
            let (name, value) = match item {
                Item::Named(name, value) => (name, value),
                Item::Keyed(..) => {
                    *is_open = true;
                    continue;
                }
                Item::Positional(value) => {
                    *is_open = true;
                    if shape(value) != Shape::Unknown {
                        let message =
                            format!("`{}` got an array where named arguments belong", self.name);
                        let rule = Rule::ParamTypeMismatch;
                        self.push(Draft::error(rule, value.span.clone(), message));
                        return;
                    }
                    continue;
                }
            };
            if shape(value) == Shape::Nil {
                continue;
            }
            let Some(param) = spec.param(name.text) else {
                let known: Vec<_> = spec.params.iter().map(|param| param.name).collect();
                let message = format!("`{}` has no option `{}`", self.name, name.text);
                let draft = Draft::error(Rule::UnknownOption, name.span.clone(), message);
                if spec.params.is_empty() {
                    self.push(draft);
                } else {
                    self.push(near_or_all(draft, name.text, &known));
                }
                continue;
            };
            if given.insert(param.name, name.span.clone()).is_some() {
                let message = format!("`{}`: {} is given twice", self.name, param.name);
                let rule = Rule::RedundantParameter;
                self.push(Draft::error(rule, name.span.clone(), message));
            }
            self.value(param, value);
        }
    }

    /// Checks a value that is written in the call.
    fn value(&mut self, param: &'static Param, arg: &Expr<'s>) {
        let Some(value) = constant(arg) else {
            let found = shape(arg);
            if found == Shape::Function {
                let message = format!("`{}`: {} cannot be a function", self.name, param.name);
                let rule = Rule::ParamTypeMismatch;
                self.push(Draft::error(rule, arg.span.clone(), message));
            }
            return;
        };
        if value == spec::Value::Nil {
            return;
        }
        if let Err(why) = param.ty.check(value) {
            let message = format!("`{}`: {} {why}", self.name, param.name);
            self.push(Draft::error(Rule::ParamTypeMismatch, arg.span.clone(), message));
        }
    }
}

fn takes_table(param: &Param) -> bool {
    param.ty.lua().contains("table") || param.ty.lua().ends_with("[]")
}

/// Value of an expression of literals; `None` if it has anything else.
fn constant(expr: &Expr) -> Option<spec::Value> {
    Some(match &expr.kind {
        ExprKind::Nil => spec::Value::Nil,
        ExprKind::Boolean(value) => spec::Value::Bool(*value),
        ExprKind::Number(Number::Integer(value)) => spec::Value::Int(*value),
        ExprKind::Number(Number::Float(value)) => spec::Value::Num(*value),
        ExprKind::Text(text) => spec::Value::Str((*text)?.to_owned()),
        ExprKind::Paren(inner) => constant(inner)?,
        ExprKind::Table(items) => table(items)?,
        _ => return None,
    })
}

fn table(items: &[Item]) -> Option<spec::Value> {
    let mut list = Vec::new();
    let mut map = BTreeMap::new();
    for item in items {
        match item {
            Item::Positional(value) => match constant(value)? {
                spec::Value::Nil => return None,
                value => list.push(value),
            },
            Item::Named(name, value) => {
                map.insert(name.text.to_owned(), constant(value)?);
            }
            Item::Keyed(key, value) => {
                let spec::Value::Str(key) = constant(key)? else { return None };
                map.insert(key, constant(value)?);
            }
        }
    }
    // Lua keeps no nil.
    map.retain(|_, value| *value != spec::Value::Nil);
    match (list.is_empty(), map.is_empty()) {
        (true, _) => Some(spec::Value::Map(map)),
        (false, true) => Some(spec::Value::List(list)),
        (false, false) => None,
    }
}
