//! Stubs for the Lua language server: declarations and documentation for editors.

use std::fmt::Write;

use super::item::{Item, ItemKind, ParamDoc, ReturnDoc};
use super::{items, members};

const HEAD: &str = "-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.\n";

/// The stub of `iam`.
#[must_use]
pub fn lua_stub() -> String {
    let mut out = format!("---@meta iam\n{HEAD}");
    for item in members("iam").filter(|item| item.kind == ItemKind::Class) {
        out.push('\n');
        class(&mut out, item);
    }
    for item in items().iter().filter(|item| item.kind == ItemKind::Module && is_iam(item)) {
        let _ = write!(out, "\n--- {}\n", item.summary);
        if !item.text.is_empty() {
            let _ = write!(out, "---\n--- {}\n", item.text);
        }
        let _ = write!(out, "---@class {0}\n{0} = {{}}\n", item.name);
    }
    for item in items().iter().filter(|item| item.kind == ItemKind::Function && is_iam(item)) {
        out.push('\n');
        registry_function(&mut out, item);
    }
    out.push_str("\nreturn iam\n");
    out
}

fn is_iam(item: &Item) -> bool {
    item.module == "iam" || item.module.starts_with("iam.")
}

fn class(out: &mut String, item: &Item) {
    if !item.summary.is_empty() {
        let _ = writeln!(out, "--- {}", item.summary);
    }
    let extends = if item.ty.is_empty() { String::new() } else { format!(": {}", item.ty) };
    let _ = writeln!(out, "---@class {}{extends}", item.name);
    for field in &item.fields {
        tagged(out, "field", field);
    }
}

fn tagged(out: &mut String, tag: &str, one: &ParamDoc) {
    let mark = if one.is_optional && !one.ty.ends_with('?') { "?" } else { "" };
    let line = format!("---@{tag} {}{mark} {} {}", one.name, one.ty, describe(one));
    let _ = writeln!(out, "{}", line.trim_end());
}

fn describe(one: &ParamDoc) -> String {
    if one.limits.is_empty() { one.doc.clone() } else { format!("{} ({})", one.doc, one.limits) }
}

fn registry_function(out: &mut String, item: &Item) {
    let options: Vec<_> = item.params.iter().filter(|param| !param.is_positional).collect();
    let class = format!("{}.Options", item.name);
    if !options.is_empty() {
        let _ = writeln!(out, "---@class {class}");
        for param in &options {
            tagged(out, "field", param);
        }
        out.push('\n');
    }
    let _ = writeln!(out, "--- {}", item.summary);
    if !item.text.is_empty() {
        let _ = write!(out, "---\n--- {}\n", item.text);
    }
    let links: Vec<_> = item
        .actions
        .iter()
        .map(|action| format!("[{}]({})", action.name, action.reference()))
        .collect();
    let _ = write!(out, "---\n--- AWS: {}\n", links.join(", "));
    examples(out, item);
    let positional: Vec<_> = item.params.iter().filter(|param| param.is_positional).collect();
    for param in &positional {
        tagged(out, "param", param);
    }
    let mut params: Vec<&str> = positional.iter().map(|param| param.name.as_str()).collect();
    if !options.is_empty() {
        let mark = if options.iter().any(|param| !param.is_optional) { "" } else { "?" };
        let _ = writeln!(out, "---@param options{mark} {class}");
        params.push("options");
    }
    returns(out, &item.returns);
    if !positional.is_empty() {
        let _ = writeln!(out, "---@overload {}", by_name(item));
    }
    let _ = writeln!(out, "function {}({}) end", item.name, params.join(", "));
}

/// The type of a function of the registry that is called with everything in one table.
fn by_name(item: &Item) -> String {
    let fields: Vec<_> = item
        .params
        .iter()
        .map(|param| {
            let mark = if param.is_optional { "?" } else { "" };
            format!("{}{mark}: {}", param.name, param.ty)
        })
        .collect();
    let result: Vec<_> = item.returns.iter().map(|one| one.ty.as_str()).collect();
    let colon = if result.is_empty() { "" } else { ": " };
    format!("fun(named: {{ {} }}){colon}{}", fields.join(", "), result.join(", "))
}

fn examples(out: &mut String, item: &Item) {
    for example in &item.examples {
        out.push_str("---\n--- ```lua\n");
        for line in example.lines() {
            let _ = writeln!(out, "{}", format!("--- {line}").trim_end());
        }
        out.push_str("--- ```\n");
    }
}

fn returns(out: &mut String, returns: &[ReturnDoc]) {
    for one in returns {
        let line = format!("---@return {} {} {}", one.ty, one.name, one.doc);
        let _ = writeln!(out, "{}", line.trim_end());
    }
}
