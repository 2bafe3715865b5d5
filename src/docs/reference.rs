//! `docs/reference.md`: all items that a script can name, as Markdown.

use std::fmt::Write;

use super::item::{Item, ItemKind, ParamDoc, ReturnDoc};
use super::{items, members, modules};
use crate::spec::Effect;

const INTRODUCTION: &str = "\
# Reference

Everything that a script can name: `iam`, the modules, and what is different from plain Lua. All of them are globals; `require` finds the modules too.
At the prompt `.doc NAME` shows the same, on the command line `iamlua doc NAME`.

<!-- Generated from the registry and the comments in stdlib/; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again. -->

- **Calls.** `iam.profiles.tag(name, tags)` takes its arguments by position. Those in braces are given by name, in one table: `{ path=, tags= }`. Every function of `iam`
  takes all of its arguments by name too: `iam.profiles.tag { name = \"web\", tags = { Owner = \"ops\" } }`.
- **Types** are written as the Lua language server writes them: `string[]` is an array of text, `table<string, string>` a table of text by text, `integer?` can be
  nil, `fun(item: T): any` is a function, and `\"left\"|\"right\"` one of these two.
- **Errors.** A function that fails raises an [`iam.Error`](#iamerror-class); [`try`](#try) returns it instead. Arguments are checked before anything is sent: what is wrong with
  one is an error of kind `argument`. A function that calls AWS can raise whatever AWS answers, of kind `aws` with AWS's `code`, or of kind `connection` or `credentials`; one that
  changes the account also `refused` (a limit, the allow-list, `--read-only`) and `protected`. The page of the action at AWS lists its codes.
";

/// Text of the reference.
#[must_use]
pub fn reference() -> String {
    let mut out = INTRODUCTION.to_owned();
    contents(&mut out);
    for module in modules() {
        let _ = write!(out, "\n## {}\n", module.name);
        about(&mut out, module);
        for item in below(module) {
            let _ = write!(out, "\n### {}\n", heading(item));
            about(&mut out, item);
        }
    }
    out
}

/// Link target of a heading, as GitHub generates it.
#[must_use]
pub fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// Heading of an item. The class `iam.Account` and the function `iam.account` need different
/// anchors.
fn heading(item: &Item) -> String {
    match item.kind {
        ItemKind::Class | ItemKind::Alias => format!("{} ({})", item.name, item.kind.name()),
        _ => item.name.clone(),
    }
}

/// Items below the heading of a module, functions before the types that they take and return.
fn below(module: &Item) -> Vec<&'static Item> {
    let mut all: Vec<_> = items()
        .iter()
        .filter(|item| item.module == module.name && item.name != module.name)
        .collect();
    all.sort_by_key(|item| {
        matches!(item.kind, ItemKind::Class | ItemKind::Alias) && !has_methods(item)
    });
    all
}

/// Check for a class with methods, which keeps its position in the file, in front of its methods.
fn has_methods(item: &Item) -> bool {
    members(&item.name).next().is_some()
}

fn contents(out: &mut String) {
    out.push_str("\n## Contents\n\n");
    for module in modules() {
        let _ = writeln!(
            out,
            "- [`{0}`](#{1}): {2}",
            module.name,
            anchor(&module.name),
            module.summary
        );
        let links: Vec<_> = below(module)
            .into_iter()
            .map(|item| format!("[`{}`](#{})", short(item, module), anchor(&heading(item))))
            .collect();
        if !links.is_empty() {
            let _ = writeln!(out, "  {}", links.join(", "));
        }
    }
}

/// Name of an item without its module.
fn short<'a>(item: &'a Item, module: &Item) -> &'a str {
    item.name.strip_prefix(&format!("{}.", module.name)).unwrap_or(&item.name)
}

fn about(out: &mut String, item: &Item) {
    if item.is_callable() {
        let _ = write!(out, "\n```text\n{}\n```\n", item.signature);
    } else if !item.ty.is_empty() {
        let _ = write!(out, "\nType: {}\n", type_link(&item.ty));
    }
    for text in [&item.summary, &item.text] {
        if !text.is_empty() {
            let _ = write!(out, "\n{text}\n");
        }
    }
    if item.kind == ItemKind::Module && item.name == item.module {
        list(out, item);
    }
    let is_mixed = item.params.iter().any(|param| param.is_positional)
        && item.params.iter().any(|param| !param.is_positional);
    table(out, "parameter", &item.params, is_mixed);
    if item.kind == ItemKind::Class {
        table(out, "field", &item.fields, false);
    }
    returns(out, &item.returns);
    if !item.actions.is_empty() {
        let link =
            |action: &crate::spec::Action| format!("[{}]({})", action.name, action.reference());
        let links: Vec<_> = item.actions.iter().map(link).collect();
        let writes = match item.effect {
            Some(Effect::Write) => ". It can change the account.",
            _ => "",
        };
        let _ = write!(out, "\n**AWS**: {}{writes}\n", links.join(", "));
    }
    for example in &item.examples {
        let args =
            if example.args.is_empty() { String::new() } else { format!(" {}", example.args) };
        let _ = write!(out, "\n```lua{args}\n{}\n```\n", example.code);
    }
}

/// Items of a module, a line each.
fn list(out: &mut String, module: &Item) {
    let list: Vec<_> = below(module)
        .into_iter()
        .filter(|item| !matches!(item.kind, ItemKind::Class | ItemKind::Alias))
        .collect();
    if list.is_empty() {
        return;
    }
    out.push_str("\n| name | what it does |\n| --- | --- |\n");
    for item in list {
        let signature = cell(&item.signature);
        let _ = writeln!(
            out,
            "| [`{signature}`](#{}) | {} |",
            anchor(&heading(item)),
            cell(&item.summary)
        );
    }
}

fn table(out: &mut String, what: &str, rows: &[ParamDoc], is_mixed: bool) {
    if rows.is_empty() {
        return;
    }
    let _ = write!(out, "\n| {what} | type | what it is |\n| --- | --- | --- |\n");
    for row in rows {
        let mut words = Vec::new();
        if is_mixed && !row.is_positional {
            words.push("by name".to_owned());
        }
        if row.is_optional {
            let can_be_nil = row.ty.ends_with('?');
            words.push(if can_be_nil { "may be nil" } else { "optional" }.to_owned());
        }
        if !row.limits.is_empty() {
            words.push(row.limits.clone());
        }
        let notes =
            if words.is_empty() { String::new() } else { format!(" ({})", words.join("; ")) };
        let ty = if row.is_optional { row.ty.trim_end_matches('?') } else { &row.ty };
        let says = cell(format!("{}{notes}", row.doc).trim());
        let _ = writeln!(out, "| `{}` | {} | {says} |", row.name, cell(&type_link(ty)));
    }
}

fn returns(out: &mut String, returns: &[ReturnDoc]) {
    let one = |one: &ReturnDoc| {
        let mut text = type_link(&one.ty);
        let name = Some(&one.name).filter(|name| !["", "iterator", "..."].contains(&name.as_str()));
        for word in name.into_iter().map(|name| format!("`{name}`")).chain([one.doc.clone()]) {
            if !word.is_empty() {
                text.push(' ');
                text.push_str(&word);
            }
        }
        match one.name.as_str() {
            "..." => format!("{text}, any number of them"),
            "iterator" => format!("{text}, an iterator"),
            _ => text,
        }
    };
    if !returns.is_empty() {
        let all: Vec<_> = returns.iter().map(one).collect();
        let _ = write!(out, "\n**Returns** {}\n", all.join("; then "));
    }
}

/// Type as code, with a link to the class or alias in it, if there is exactly one.
fn type_link(ty: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let mut named: Vec<_> = ty
        .split(|c| !is_part(c))
        .filter_map(|word| items().iter().find(|item| item.name == word))
        .filter(|item| item.name.contains('.') || item.name == "iam")
        .collect();
    named.dedup_by(|a, b| a.name == b.name);
    match named[..] {
        [item] => format!("[`{ty}`](#{})", anchor(&heading(item))),
        _ => format!("`{ty}`"),
    }
}

/// Text in a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
