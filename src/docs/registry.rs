//! Items from the registry of `iam`.

use super::item::{Example, Item, ItemKind, ParamDoc, ReturnDoc};
use super::records::{ERROR, MODULES, PAGE_FIELDS, RECORDS, TAG};
use super::types;
use crate::iam;
use crate::spec::{Field, Function, Param, Record, Returns};

/// Modules, records and functions, in the order of the documentation.
pub(super) fn items() -> Vec<Item> {
    let mut items = Vec::new();
    for (name, summary, text) in MODULES {
        let mut item = Item::new(name, ItemKind::Module, name);
        summary.clone_into(&mut item.summary);
        text.clone_into(&mut item.text);
        items.push(item);
    }
    for record in RECORDS {
        items.push(class(record));
        if is_paged(record) {
            items.push(page(record));
        }
    }
    items.extend([class(&TAG), page(&TAG), class(&ERROR)]);
    items.extend(iam::registry().map(|entry| function(&entry.spec)));
    items
}

/// Check that a function returns pages of a record.
fn is_paged(record: &Record) -> bool {
    iam::registry().any(|entry| match entry.spec.returns {
        Returns::Page(paged) | Returns::Pages(paged) => paged.name == record.name,
        _ => false,
    })
}

fn class(record: &Record) -> Item {
    let mut item = Item::new(record.name, ItemKind::Class, "iam");
    record.doc.clone_into(&mut item.summary);
    item.fields = record.fields.iter().map(field).collect();
    item
}

fn page(record: &Record) -> Item {
    let mut item = Item::new(format!("{}Page", record.name), ItemKind::Class, "iam");
    item.ty = format!("{{ [integer]: {} }}", record.name);
    "Page of a listing, with the entries as its array part.".clone_into(&mut item.summary);
    item.fields = PAGE_FIELDS.iter().map(field).collect();
    item
}

fn field(field: &Field) -> ParamDoc {
    ParamDoc {
        name: field.name.into(),
        ty: field.ty.into(),
        is_optional: field.ty.ends_with('?'),
        is_positional: false,
        doc: field.doc.into(),
        limits: String::new(),
        values: types::literals(field.ty),
    }
}

fn function(spec: &Function) -> Item {
    let module = if spec.module.is_empty() { "iam".into() } else { format!("iam.{}", spec.module) };
    let mut item = Item::new(spec.lua_name(), ItemKind::Function, module);
    item.signature = spec.signature();
    spec.doc.clone_into(&mut item.summary);
    spec.long.clone_into(&mut item.text);
    let positional = spec.positional.iter().filter_map(|name| spec.param(name)).map(|p| (p, true));
    let named = spec.params.iter().filter(|param| !spec.positional.contains(&param.name));
    item.params = positional
        .chain(named.map(|p| (p, false)))
        .map(|(param, by)| parameter(param, by))
        .collect();
    item.returns = returns(spec.returns);
    item.examples = vec![Example { code: spec.example.trim().to_owned(), args: String::new() }];
    item.actions = spec.actions.to_vec();
    item.effect = Some(spec.effect);
    item
}

fn parameter(param: &Param, is_positional: bool) -> ParamDoc {
    ParamDoc {
        name: param.name.into(),
        ty: param.ty.lua().into(),
        is_optional: !param.required,
        is_positional,
        doc: param.doc.into(),
        limits: param.ty.limits(),
        values: Vec::new(),
    }
}

/// Return values of a function. The nil at the end of an iterator is not in its type, because a
/// language server would warn about it in every function that `bulk.each` calls.
fn returns(returns: Returns) -> Vec<ReturnDoc> {
    let one = |ty: String| ReturnDoc { ty, ..ReturnDoc::default() };
    let iterator = |ty: String| ReturnDoc { ty, name: "iterator".into(), ..ReturnDoc::default() };
    match returns {
        Returns::Nothing => vec![],
        Returns::One(record) => vec![one(record.name.into())],
        Returns::Maybe(record) => vec![one(format!("{}?", record.name))],
        Returns::All(record) => vec![one(format!("{}[]", record.name))],
        Returns::Page(record) => vec![one(format!("{}Page", record.name))],
        Returns::Each(record) => vec![iterator(format!("fun(): {}", record.name))],
        Returns::Pages(record) => vec![iterator(format!("fun(): {}Page", record.name))],
        Returns::Tags => vec![one("table<string, string>".into())],
        Returns::TagPage => vec![one("iam.TagPage".into())],
        Returns::Ensured(record) => vec![
            one(record.name.into()),
            ReturnDoc {
                ty: "string[]".into(),
                name: "changes".into(),
                doc: "what was changed, in words".into(),
            },
        ],
        Returns::Module => vec![one("iam".into())],
        Returns::Scan => vec![one("usage.Scan".into())],
    }
}
