//! Documentation made from the registry: the stub for the Lua language server and the table of functions in the README. Both
//! are committed; a test fails when they differ from what is made here.

use std::fmt::Write;

use crate::iam::{self, Entry};
use crate::spec::{Field, Function, Record, Returns};

/// The records that functions return, in the order of the documentation.
const RECORDS: [&Record; 4] = [&iam::PROFILE, &iam::ROLE, &iam::POLICY, &iam::ACCOUNT];

/// The stub `stdlib/meta/iam.lua`: declarations and documentation for editors.
#[must_use]
pub fn lua_stub() -> String {
    let mut out = String::from(
        "---@meta iam\n\
         -- Made from the registry; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.\n",
    );
    for record in RECORDS {
        let _ = write!(out, "\n--- {}\n---@class {}\n", record.doc, record.name);
        for Field { name, ty, doc } in record.fields {
            let _ = writeln!(out, "---@field {name} {ty} {doc}");
        }
        let _ = write!(
            out,
            "\n--- One page of a listing: the entries are its array part.\n---@class {0}Page: {{ [integer]: {0} }}\n\
             ---@field is_truncated boolean Whether there is a next page.\n\
             ---@field marker string? Where the next page starts.\n",
            record.name
        );
    }
    out.push_str(
        "\n---@class iam.Tag\n---@field key string\n---@field value string\n\n\
         --- One page of tags: the entries are its array part.\n---@class iam.TagPage: { [integer]: iam.Tag }\n\
         ---@field is_truncated boolean Whether there is a next page.\n\
         ---@field marker string? Where the next page starts.\n\n\
         --- What every function raises, also readable as text by `tostring`.\n---@class iam.Error\n\
         ---@field kind string `aws`, `connection`, `credentials`, `argument`, `permission`, `refused`, `protected`, `script`, …\n\
         ---@field code string? AWS's error code, such as `NoSuchEntity`.\n\
         ---@field message string What failed.\n\
         ---@field operation string? The AWS action.\n\
         ---@field status integer? The HTTP status.\n\
         ---@field request_id string? The id to give to AWS support.\n\
         ---@field retryable boolean Whether the same call may succeed later.\n\
         ---@field hint string? What to do next.\n\
         ---@field where string? The position in the script.\n\
         ---@field traceback string? Where it was raised, and from where that was called.\n\n\
         --- AWS IAM instance profiles, and the roles in them.\n---@class iam\niam = {}\n\
         \n--- Instance profiles.\n---@class iam.profiles\niam.profiles = {}\n\
         \n--- The roles that profiles need.\n---@class iam.roles\niam.roles = {}\n",
    );
    for entry in iam::registry() {
        stub_function(&mut out, &entry.spec);
    }
    out.push_str("\nreturn iam\n");
    out
}

fn stub_function(out: &mut String, spec: &Function) {
    let options = options_of(spec);
    if !options.is_empty() {
        let _ = write!(out, "\n---@class {}.Options\n", spec.lua_name());
        for param in &options {
            let mark = if param.required { "" } else { "?" };
            let _ = writeln!(
                out,
                "---@field {}{mark} {} {}",
                param.name,
                param.ty.lua(),
                describe(param.doc, param.ty)
            );
        }
    }
    let _ = write!(out, "\n--- {}\n", spec.doc);
    if !spec.long.is_empty() {
        let _ = write!(out, "---\n--- {}\n", spec.long);
    }
    let _ = write!(out, "---\n--- {}\n---\n--- ```lua\n", sources(spec));
    for line in spec.example.trim().lines() {
        let _ = writeln!(out, "--- {line}");
    }
    out.push_str("--- ```\n");
    for name in spec.positional {
        if let Some(param) = spec.param(name) {
            let _ = writeln!(
                out,
                "---@param {name} {} {}",
                param.ty.lua(),
                describe(param.doc, param.ty)
            );
        }
    }
    let mut params: Vec<&str> = spec.positional.to_vec();
    if !options.is_empty() {
        let mark = if options.iter().any(|param| param.required) { "" } else { "?" };
        let _ = writeln!(out, "---@param options{mark} {}.Options", spec.lua_name());
        params.push("options");
    }
    for line in returns(spec.returns) {
        let _ = writeln!(out, "---@return {line}");
    }
    if !spec.positional.is_empty() {
        let fields: Vec<_> = spec
            .params
            .iter()
            .map(|param| {
                let mark = if param.required { "" } else { "?" };
                format!("{}{mark}: {}", param.name, param.ty.lua())
            })
            .collect();
        let result = returns(spec.returns)
            .into_iter()
            .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
            .join(", ");
        let result = if result.is_empty() { String::new() } else { format!(": {result}") };
        let _ = writeln!(out, "---@overload fun(named: {{ {} }}){result}", fields.join(", "));
    }
    let _ = writeln!(out, "function {}({}) end", spec.lua_name(), params.join(", "));
}

/// The parameters that go into the table after those by position.
fn options_of(spec: &Function) -> Vec<&'static crate::spec::Param> {
    spec.params.iter().filter(|param| !spec.positional.contains(&param.name)).collect()
}

fn describe(doc: &str, ty: crate::spec::Type) -> String {
    let limits = ty.limits();
    if limits.is_empty() { doc.to_owned() } else { format!("{doc} ({limits})") }
}

fn sources(spec: &Function) -> String {
    let links: Vec<_> = spec
        .actions
        .iter()
        .map(|action| format!("[{}]({})", action.name, action.reference()))
        .collect();
    format!("AWS: {}", links.join(", "))
}

fn returns(returns: Returns) -> Vec<String> {
    match returns {
        Returns::Nothing => vec![],
        Returns::One(record) => vec![record.name.to_owned()],
        Returns::Maybe(record) => vec![format!("{}?", record.name)],
        Returns::All(record) => vec![format!("{}[]", record.name)],
        Returns::Page(record) => vec![format!("{}Page", record.name)],
        Returns::Each(record) => vec![format!("fun():{}? iterator", record.name)],
        Returns::Pages(record) => vec![format!("fun():{}Page? iterator", record.name)],
        Returns::Tags => vec!["table<string, string>".to_owned()],
        Returns::TagPage => vec!["iam.TagPage".to_owned()],
        Returns::Ensured(record) => {
            vec![record.name.to_owned(), "string[] changes what was changed, in words".to_owned()]
        }
        Returns::Module => vec!["iam".to_owned()],
    }
}

/// The table of functions for the README, as Markdown.
#[must_use]
pub fn function_table() -> String {
    let mut out = String::from("| Lua | AWS | what it does |\n| --- | --- | --- |\n");
    for Entry { spec, .. } in iam::registry() {
        let action = spec.actions[0];
        let more = if spec.actions.len() > 1 { " …" } else { "" };
        let _ = writeln!(
            out,
            "| `{}` | [{}]({}){more} | {} |",
            spec.signature(),
            action.name,
            action.reference(),
            spec.doc
        );
    }
    out
}
