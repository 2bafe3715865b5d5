//! `iamlua doc`: search in the documentation of the Lua API.

use std::fmt::Write;

use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use super::output::{is_styled, print, print_json, width};
use crate::docs::{self, Item, ParamDoc, SearchResult};
use crate::error::{Error, Kind, Result};
use crate::spec::Effect;

/// `iamlua doc`.
#[derive(Debug, Parser)]
pub struct DocCommand {
    /// Name (iam.profiles.tag, or tag), AWS action (`TagInstanceProfile`), or search words. Without
    /// it: an overview.
    #[arg(value_name = "NAME", add = super::complete::documented())]
    words: Vec<String>,
    /// Output format: text, or a JSON array of all matches.
    #[arg(long, value_enum, default_value_t = DocFormat::Text, value_name = "FORMAT")]
    output: DocFormat,
}

/// `--output`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DocFormat {
    Text,
    Json,
}

impl DocCommand {
    /// Prints the results.
    pub fn execute(self) -> Result<u8> {
        let query = self.words.join(" ");
        let found = if query.trim().is_empty() {
            if self.output == DocFormat::Text {
                return print(&overview());
            }
            docs::items().iter().collect()
        } else {
            match docs::find(&query) {
                SearchResult::One(item) => vec![item],
                SearchResult::Several(items) => items,
                SearchResult::Nothing(near) => return Err(nothing(&query, &near)),
            }
        };
        match (self.output, &found[..]) {
            (DocFormat::Json, _) => {
                let all: Vec<_> = found.into_iter().map(json_of).collect();
                print_json(&format!("{:#}\n", Value::from(all)))
            }
            (DocFormat::Text, [item]) => print(&docs::to_text(item, width(), is_styled())),
            (DocFormat::Text, several) => {
                let lines = docs::to_lines(several.iter().copied(), width(), is_styled());
                print(&format!("{lines}\n`iamlua doc NAME` shows one of them.\n"))
            }
        }
    }
}

fn nothing(query: &str, near: &[&str]) -> Error {
    let mut message = format!("there is nothing named {query:?}");
    if !near.is_empty() {
        let _ = write!(message, "; did you mean {}?", near.join(" or "));
    }
    Error::new(Kind::Argument, message)
        .hint("`iamlua doc` lists the modules; whole words, and beginnings of two letters or more, are looked for in all texts")
}

fn overview() -> String {
    let modules = docs::to_lines(docs::modules(), width(), is_styled());
    format!(
        "What a script can name:\n\n{modules}\n\
         `iamlua doc NAME` shows one of them, or what is in it: `iamlua doc iam.profiles.tag`, or `tag` for short.\n\
         An AWS action works too, `iamlua doc TagInstanceProfile`, and so do words: `iamlua doc trust policy`.\n"
    )
}

fn json_of(item: &Item) -> Value {
    let named = |list: &[ParamDoc]| -> Value {
        let one = |one: &ParamDoc| {
            json!({
                "name": one.name,
                "type": one.ty,
                "optional": one.is_optional,
                "positional": one.is_positional,
                "text": one.doc,
                "limits": one.limits,
                "values": one.values,
            })
        };
        list.iter().map(one).collect()
    };
    let returns: Value = item
        .returns
        .iter()
        .map(|one| json!({ "type": one.ty, "name": one.name, "text": one.doc }))
        .collect();
    let actions: Value = item
        .actions
        .iter()
        .map(|action| {
            json!({
                "service": action.service.prefix(),
                "name": action.name,
                "url": action.reference(),
            })
        })
        .collect();
    let examples: Value = item.examples.iter().map(|example| example.code.clone()).collect();
    json!({
        "name": item.name,
        "kind": item.kind.name(),
        "module": item.module,
        "signature": item.signature,
        "summary": item.summary,
        "text": item.text,
        "type": item.ty,
        "parameters": named(&item.params),
        "fields": named(&item.fields),
        "values": item.values,
        "returns": returns,
        "actions": actions,
        "changes_account": item.effect == Some(Effect::Write),
        "examples": examples,
    })
}
