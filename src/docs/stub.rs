//! Stubs for the Lua language server: declarations and documentation for editors.

use std::fmt::Write;

use super::item::{Item, ItemKind, ParamDoc, ReturnDoc};
use super::{items, members, modules};

const HEAD: &str = "-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.\n";
/// Maximum number of columns of a comment line. URLs may be longer.
const WIDTH: usize = 100;
/// Module whose functions the language server knows already.
const PLAIN_LUA: &str = "lua";

/// Stubs, each with the name of its file. They declare `iam` and the modules as globals, and for
/// `require`.
#[must_use]
pub fn stubs() -> Vec<(String, String)> {
    let own = modules().filter(|module| module.name != PLAIN_LUA && !module.name.contains('.'));
    own.map(|module| {
        let text = if module.name == "iam" { iam() } else { library(module) };
        (format!("{}.lua", module.name), text)
    })
    .collect()
}

fn iam() -> String {
    let mut out = format!("---@meta iam\n{HEAD}");
    for item in members("iam").filter(|item| item.kind == ItemKind::Class) {
        out.push('\n');
        class(&mut out, item);
        if let Some(field) = tags_of(item) {
            let _ = writeln!(out, "\n--- The same, loaded with its tags.");
            let _ = writeln!(out, "---@class {}: {}", with_tags(&item.name), item.name);
            let _ = writeln!(out, "---@field tags {}", field.ty.trim_end_matches('?'));
        }
    }
    // Separate tables, because not every language server finds the fields of `iam.profiles = {}`.
    for table in members("iam").filter(|item| item.kind == ItemKind::Module) {
        out.push('\n');
        describe(&mut out, table);
        let short = table.short_name();
        let _ = write!(out, "---@class {}\nlocal {short} = {{}}\n", table.name);
        for item in members(&table.name) {
            out.push('\n');
            registry_function(&mut out, item, short);
        }
    }
    if let Some(module) = super::item("iam") {
        out.push('\n');
        describe(&mut out, module);
    }
    out.push_str("---@class iam\n");
    for table in members("iam").filter(|item| item.kind == ItemKind::Module) {
        let _ = writeln!(out, "---@field {} {}", table.short_name(), table.name);
    }
    out.push_str("iam = {}\n");
    for item in members("iam").filter(|item| item.kind == ItemKind::Function) {
        out.push('\n');
        registry_function(&mut out, item, "iam");
    }
    out.push_str("\nreturn iam\n");
    out
}

/// Option that loads the tags of a listing's entries.
const WITH_TAGS: &str = "with_tags";

/// Field with the tags of a record, which a listing leaves out.
fn tags_of(class: &Item) -> Option<&ParamDoc> {
    class.fields.iter().find(|field| field.name == "tags" && field.ty.ends_with('?'))
}

/// Name of a record with its tags: `iam.TaggedProfile`.
fn with_tags(class: &str) -> String {
    class.replacen("iam.", "iam.Tagged", 1)
}

/// Result of a listing whose entries have their tags; `None` if it has no such option.
fn tagged_result(item: &Item) -> Option<String> {
    item.params.iter().find(|param| param.name == WITH_TAGS)?;
    let ty = &item.returns.first()?.ty;
    let class = members("iam").find(|class| {
        tags_of(class).is_some() && ty.split([' ', '[', '?']).any(|part| part == class.name)
    })?;
    Some(ty.replace(&class.name, &with_tags(&class.name)))
}

fn library(module: &Item) -> String {
    let name = &module.name;
    // A file of globals is no module for `require`, and has no table of its own.
    let is_module = module.kind == ItemKind::Function || !items_of(module).any(is_global);
    let mut out = format!("---@meta {}\n{HEAD}", if is_module { name } else { "_" });
    if name == "runbook" {
        let _ = write!(out, "\n{VALUES}");
    }
    for item in items_of(module) {
        out.push('\n');
        declare(&mut out, item);
    }
    if is_module {
        let _ = write!(out, "\nreturn {name}\n");
    }
    out
}

/// All items of a module, including itself.
fn items_of(module: &Item) -> impl Iterator<Item = &'static Item> {
    let name = module.name.clone();
    items().iter().filter(move |item| item.module == name)
}

/// Check for a global of a module with another name.
fn is_global(item: &Item) -> bool {
    item.kind != ItemKind::Class && !item.name.contains(['.', ':']) && item.name != item.module
}

fn declare(out: &mut String, item: &Item) {
    match item.kind {
        ItemKind::Function => library_function(out, item),
        ItemKind::Module if items_of(item).any(is_global) => {
            // The comment on a file of globals documents none of them.
            for line in comment_of(item).lines() {
                let _ = writeln!(out, "{}", line.replacen("---", "--", 1));
            }
        }
        ItemKind::Module => {
            class(out, item);
            let _ = writeln!(out, "{} = {{}}", item.name);
        }
        ItemKind::Class => {
            class(out, item);
            if members(&item.name).any(Item::is_method) {
                let _ = writeln!(out, "local {} = {{}}", item.short_name());
            }
        }
        ItemKind::Alias => {
            describe(out, item);
            let _ = writeln!(out, "---@alias {} {}", item.name, item.ty);
        }
        // A field of the class is declared there.
        ItemKind::Value if super::item(&item.module).is_some_and(|m| has_field(m, item)) => {
            out.pop();
        }
        ItemKind::Value => {
            describe(out, item);
            let _ = write!(out, "---@type {}\n{} = nil\n", item.ty, item.name);
        }
    }
}

fn has_field(module: &Item, value: &Item) -> bool {
    module.fields.iter().any(|field| field.name == value.short_name())
}

fn library_function(out: &mut String, item: &Item) {
    describe(out, item);
    if !item.generics.is_empty() {
        let _ = writeln!(out, "---@generic {}", item.generics);
    }
    params(out, &item.params.iter().collect::<Vec<_>>());
    returns(out, &item.returns);
    for overload in &item.overloads {
        let _ = writeln!(out, "---@overload {overload}");
    }
    let names: Vec<_> = item.params.iter().map(|param| param.name.as_str()).collect();
    // Methods are declared on the local table of their class.
    let name = match item.name.split_once(':') {
        Some((class, method)) => format!("{}:{method}", class.rsplit('.').next().unwrap_or(class)),
        None => item.name.clone(),
    };
    let _ = writeln!(out, "function {name}({}) end", names.join(", "));
}

fn describe(out: &mut String, item: &Item) {
    out.push_str(&comment_of(item));
}

/// Writes text as comment lines of at most [`WIDTH`] columns. Code and tables are unchanged.
fn write_text(out: &mut String, text: &str) {
    let whole_words = textwrap::Options::new(WIDTH - "--- ".len())
        .break_words(false)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let mut is_code = false;
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        if is_code || line.starts_with("```") || line.starts_with(['|', ' ', '-']) {
            let _ = writeln!(out, "{}", format!("--- {line}").trim_end());
            continue;
        }
        for part in textwrap::wrap(line, &whole_words) {
            let _ = writeln!(out, "{}", format!("--- {part}").trim_end());
        }
    }
}

/// Comment with the documentation of an item, and its examples.
fn comment_of(item: &Item) -> String {
    let mut out = String::new();
    if !item.summary.is_empty() {
        write_text(&mut out, &item.summary);
    }
    if !item.text.is_empty() {
        out.push_str("---\n");
        write_text(&mut out, &item.text);
    }
    if !item.actions.is_empty() {
        // Without a title: with it most of these lines would be too long.
        out.push_str("---\n--- AWS:\n");
        for action in &item.actions {
            let _ = writeln!(out, "--- - {}", action.reference());
        }
    }
    for example in &item.examples {
        out.push_str("---\n--- ```lua\n");
        for line in example.code.lines() {
            let _ = writeln!(out, "{}", format!("--- {line}").trim_end());
        }
        out.push_str("--- ```\n");
    }
    out
}

fn class(out: &mut String, item: &Item) {
    describe(out, item);
    let extends = if item.ty.is_empty() { String::new() } else { format!(": {}", item.ty) };
    let exact = if item.is_exact() { "(exact) " } else { "" };
    let _ = writeln!(out, "---@class {exact}{}{extends}", item.name);
    for one in &item.fields {
        field(out, one);
    }
    declared_names(out, item);
    for overload in &item.overloads {
        let _ = writeln!(out, "---@overload {overload}");
    }
}

/// Alias for a table with the keys of another.
const VALUES: &str = "---@alias runbook.Values<T> { [K in keyof T]: any }\n";

/// Overload of `runbook` whose result has the parameters that the manifest declares. The analyzer
/// of `EmmyLua` understands it; the Lua language server takes the overload after it.
fn declared_names(out: &mut String, item: &Item) {
    let Some(manifest) = super::item("runbook.Manifest").filter(|_| item.name == "runbook") else {
        return;
    };
    out.push_str("---@overload fun<P>(manifest: {\n");
    for field in &manifest.fields {
        if field.name == "params" {
            out.push_str("---  params: P,\n");
        } else {
            let _ = writeln!(out, "---  {}?: {},", field.name, field.ty);
        }
    }
    out.push_str("---}): runbook.Values<P>\n");
}

/// Writes a field. Language servers show comment lines above it as its description, so a text that
/// is too long for its line is there.
fn field(out: &mut String, one: &ParamDoc) {
    let line = tag_line("field", one, &with_limits(one));
    if line.chars().count() <= WIDTH {
        let _ = writeln!(out, "{line}");
    } else {
        write_text(out, &with_limits(one));
        let _ = writeln!(out, "{}", tag_line("field", one, ""));
    }
}

/// Writes parameters. Texts that are too long for their line are paragraphs of the function.
fn params(out: &mut String, params: &[&ParamDoc]) {
    let is_long =
        |one: &ParamDoc| tag_line("param", one, &with_limits(one)).chars().count() > WIDTH;
    for one in params.iter().filter(|one| is_long(one)) {
        out.push_str("---\n");
        write_text(out, &format!("`{}`: {}", one.name, with_limits(one)));
    }
    for one in params {
        let text = if is_long(one) { String::new() } else { with_limits(one) };
        let _ = writeln!(out, "{}", tag_line("param", one, &text));
    }
}

fn tag_line(tag: &str, one: &ParamDoc, text: &str) -> String {
    let mark = if one.is_optional && !one.ty.ends_with('?') { "?" } else { "" };
    format!("---@{tag} {}{mark} {} {text}", one.name, one.ty).trim_end().to_owned()
}

fn with_limits(one: &ParamDoc) -> String {
    if one.limits.is_empty() { one.doc.clone() } else { format!("{} ({})", one.doc, one.limits) }
}

/// Function of `iam`, declared in the table of that name.
fn registry_function(out: &mut String, item: &Item, table: &str) {
    let options: Vec<_> = item.params.iter().filter(|param| !param.is_positional).collect();
    let class = format!("{}.Options", item.name);
    let overload = format!("---@overload {}", by_name(item));
    let is_overload_long =
        overload.chars().count() > WIDTH && item.params.iter().any(|one| one.is_positional);
    if !options.is_empty() {
        let _ = writeln!(out, "---@class (exact) {class}");
        for param in &options {
            field(out, param);
        }
        out.push('\n');
    }
    let tagged = tagged_result(item);
    if tagged.is_some() {
        let _ = writeln!(out, "---@class (exact) {}.WithTags: {class}", item.name);
        let _ = writeln!(out, "---@field {WITH_TAGS} true\n");
    }
    let positional: Vec<_> = item.params.iter().filter(|param| param.is_positional).collect();
    if is_overload_long {
        let extends = if options.is_empty() { String::new() } else { format!(": {class}") };
        let _ = writeln!(out, "---@class (exact) {}.Named{extends}", item.name);
        for param in &positional {
            field(out, param);
        }
        out.push('\n');
    }
    describe(out, item);
    params(out, &positional);
    let mut names: Vec<&str> = positional.iter().map(|param| param.name.as_str()).collect();
    if !options.is_empty() {
        let mark = if options.iter().any(|param| !param.is_optional) { "" } else { "?" };
        let _ = writeln!(out, "---@param options{mark} {class}");
        names.push("options");
    }
    returns(out, &item.returns);
    if let Some(result) = tagged {
        let mut params: Vec<_> =
            positional.iter().map(|param| format!("{}: {}", param.name, param.ty)).collect();
        params.push(format!("options: {}.WithTags", item.name));
        let _ = writeln!(out, "---@overload fun({}): {result}", params.join(", "));
    }
    if is_overload_long {
        let _ = writeln!(out, "---@overload fun(named: {}.Named){}", item.name, results(item));
    } else if !positional.is_empty() {
        let _ = writeln!(out, "{overload}");
    }
    let _ = writeln!(out, "function {table}.{}({}) end", item.short_name(), names.join(", "));
}

/// Type of a registry function that is called with all arguments in one table.
fn by_name(item: &Item) -> String {
    let fields: Vec<_> = item
        .params
        .iter()
        .map(|param| {
            let mark = if param.is_optional { "?" } else { "" };
            format!("{}{mark}: {}", param.name, param.ty)
        })
        .collect();
    format!("fun(named: {{ {} }}){}", fields.join(", "), results(item))
}

/// Types of the results of a function type, with the colon before them.
fn results(item: &Item) -> String {
    let types: Vec<_> = item.returns.iter().map(|one| one.ty.as_str()).collect();
    if types.is_empty() { String::new() } else { format!(": {}", types.join(", ")) }
}

fn returns(out: &mut String, returns: &[ReturnDoc]) {
    for one in returns {
        let line = format!("---@return {} {} {}", one.ty, one.name, one.doc);
        let _ = writeln!(out, "{}", line.trim_end());
    }
}
