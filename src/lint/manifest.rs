//! Manifest of a runbook as it is written, and the check of its allow-list.

use std::collections::BTreeSet;

use super::findings::{Draft, Rule};
use super::syntax::{Expr, ExprKind, Item, Operator, Span};
use crate::iam::{self, Entry, Implementation};
use crate::session::allowed;
use crate::spec::{Action, Effect};

/// Manifest of a runbook, as far as it is certain.
#[derive(Debug)]
pub(super) struct Manifest {
    /// Position of the call.
    pub span: Span,
    /// Names of the parameters, if all of them are certain.
    pub params: Option<BTreeSet<String>>,
    /// Entries of `allow`, if all of them are certain.
    allow: Option<Vec<(String, Span)>>,
    /// Text of a manifest of constants.
    pub text: Option<String>,
    /// Positions of the keys, by their paths: `params.owner.type`.
    keys: Vec<(String, Span)>,
}

/// Reads a manifest. `text` is that of its table.
pub(super) fn read(items: &[Item], text: &str, span: Span) -> Manifest {
    let field = |wanted: &str| {
        items.iter().find_map(|item| match item {
            Item::Named(name, value) if name.text == wanted => Some(value),
            _ => None,
        })
    };
    let is_named = |items: &[Item]| items.iter().all(|item| matches!(item, Item::Named(..)));
    let params = match field("params").map(|params| &params.kind) {
        None if is_named(items) => Some(BTreeSet::new()),
        Some(ExprKind::Table(params)) if is_named(params) => {
            let name = |item: &Item| match item {
                Item::Named(name, _) => Some(name.text.to_owned()),
                _ => None,
            };
            params.iter().map(name).collect()
        }
        _ => None,
    };
    let allow = field("allow").and_then(|allow| match &allow.kind {
        ExprKind::Table(items) => items.iter().map(text_of).collect(),
        _ => None,
    });
    let mut keys = Vec::new();
    collect_keys(items, "", &mut keys);
    let text = items.iter().all(is_constant_item).then(|| text.to_owned());
    Manifest { span, params, allow, text, keys }
}

fn text_of(item: &Item) -> Option<(String, Span)> {
    match item {
        Item::Positional(Expr { kind: ExprKind::Text(Some(text)), span }) => {
            Some(((*text).to_owned(), span.clone()))
        }
        _ => None,
    }
}

fn collect_keys(items: &[Item], prefix: &str, keys: &mut Vec<(String, Span)>) {
    for item in items {
        if let Item::Named(name, value) = item {
            let path = format!("{prefix}{}", name.text);
            if let ExprKind::Table(inner) = &value.kind {
                collect_keys(inner, &format!("{path}."), keys);
            }
            keys.push((path, name.span.clone()));
        }
    }
}

fn is_constant_item(item: &Item) -> bool {
    match item {
        Item::Named(_, value) | Item::Positional(value) => is_constant(value),
        Item::Keyed(key, value) => is_constant(key) && is_constant(value),
    }
}

fn is_constant(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Nil | ExprKind::Boolean(_) | ExprKind::Number(_) | ExprKind::Text(_) => true,
        ExprKind::Paren(inner) => is_constant(inner),
        ExprKind::Table(items) => items.iter().all(is_constant_item),
        ExprKind::Operation(Operator::Minus, operands) => operands.iter().all(is_constant),
        _ => false,
    }
}

fn entry_of(path: &str) -> Option<&'static Entry> {
    iam::find(path.strip_prefix("iam.").unwrap_or(path))
}

impl Manifest {
    /// Findings about the allow-list: names that are no functions, and calls that it lacks.
    pub fn check(&self, calls: &[(&'static str, Span)]) -> Vec<Draft> {
        let Some(allow) = &self.allow else { return Vec::new() };
        let mut drafts = Vec::new();
        let mut actions: BTreeSet<Action> = BTreeSet::new();
        for (name, span) in allow {
            match allowed(std::slice::from_ref(name)) {
                Ok(entries) => actions.extend(entries.iter().flat_map(|entry| entry.spec.actions)),
                Err(error) => {
                    let message = format!("`allow` names `{name}`, which is no function of iam");
                    let draft = Draft::error(Rule::UnknownFunction, span.clone(), message);
                    drafts.push(draft.hint(error.hints.join("; ")));
                }
            }
        }
        if !drafts.is_empty() {
            return drafts;
        }
        // What is called before the manifest is not limited by it.
        for (path, span) in calls.iter().filter(|(_, span)| span.start >= self.span.end) {
            let Some(entry) = iam::find(path) else { continue };
            let is_refused = match entry.run {
                // It makes at least one of its calls.
                Implementation::Compose(_) => {
                    entry.spec.actions.iter().all(|action| !actions.contains(action))
                }
                _ => !actions.contains(&entry.spec.actions[0]),
            };
            if is_refused {
                let message = format!("`iam.{path}` is not in the runbook's `allow` list");
                let hint = format!("add \"{path}\" to `allow` in the manifest");
                drafts.push(Draft::error(Rule::NotAllowed, span.clone(), message).hint(hint));
            }
        }
        drafts
    }

    /// Entries of the allow-list that no function among those that the script names needs.
    pub fn unused(&self, mentioned: &BTreeSet<&'static str>, library_reads: bool) -> Vec<Draft> {
        let named: Vec<_> = mentioned.iter().filter_map(|path| iam::find(path)).collect();
        let is_used = |entry: &Entry| {
            (library_reads && entry.spec.effect == Effect::Read)
                || named.iter().any(|other| {
                    other.spec.actions.iter().any(|action| entry.spec.actions.contains(action))
                })
        };
        let mut drafts = Vec::new();
        for (name, span) in self.allow.iter().flatten() {
            if entry_of(name).is_some_and(|entry| !is_used(entry)) {
                let message = format!("`allow` has `{name}`, which nothing in the script calls");
                let draft = Draft::warning(Rule::UnusedAllow, span.clone(), message);
                drafts.push(draft.hint("remove it: the runbook's policy grants it too"));
            }
        }
        drafts
    }

    /// Table of the names of the parameters alone, if those are all that is certain.
    pub fn only_params(&self) -> Option<String> {
        let params = self.params.as_ref().filter(|params| !params.is_empty())?;
        let params: Vec<_> = params.iter().map(|name| format!("{name} = {{}}")).collect();
        Some(format!("{{ params = {{ {} }} }}", params.join(", ")))
    }

    /// Finding for the error with which the runbook refuses the manifest.
    pub fn refused(&self, message: &str, hints: &[String]) -> Draft {
        let message = message.strip_prefix("runbook: ").unwrap_or(message);
        let is_at = |path: &str| {
            message
                .strip_prefix(path)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        };
        let keys = self.keys.iter().filter(|(path, _)| is_at(path));
        let key = keys.max_by_key(|(path, _)| path.len());
        let span = key
            .map_or(self.span.start..self.span.start + "runbook".len(), |(_, span)| span.clone());
        let hints: Vec<_> = hints.iter().filter(|hint| !hint.starts_with('\n')).cloned().collect();
        Draft::error(Rule::InvalidManifest, span, format!("the manifest: {message}"))
            .hint(hints.join("; "))
    }
}
