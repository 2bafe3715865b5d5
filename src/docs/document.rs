//! Construction of items from documentation comments.

use super::comments::{Comment, Tagged};
use super::item::{Item, ItemKind, ParamDoc, ReturnDoc};
use super::{markdown, types};

/// Function item. `called` is the name in its signature, `declared` the parameters in the code, if
/// known.
pub(super) fn function(
    name: &str,
    called: &str,
    comment: Option<&Comment>,
    declared: Option<&[String]>,
    module: &str,
) -> Result<Item, String> {
    let comment = comment.ok_or_else(|| format!("{name} has no documentation"))?;
    only(comment, &["param", "return", "overload", "generic"])?;
    if let Some(declared) = declared {
        let documented: Vec<_> = comment.params.iter().map(|param| param.name.clone()).collect();
        if documented != declared {
            return Err(format!(
                "{name} takes ({}), but documents ({})",
                declared.join(", "),
                documented.join(", ")
            ));
        }
    }
    let mut item = Item::new(name, ItemKind::Function, module);
    describe(&mut item, comment)?;
    if item.summary.is_empty() {
        return Err(format!("{name} has no description"));
    }
    item.params = comment.params.iter().map(|param| described(param, true)).collect();
    let result = |one: &Tagged| ReturnDoc {
        ty: one.ty.clone(),
        name: one.name.clone(),
        doc: one.doc.clone(),
    };
    item.returns = comment.returns.iter().map(result).collect();
    item.signature = call(called, &item.params);
    item.generics = comment.generics.clone().unwrap_or_default();
    item.overloads.clone_from(&comment.overloads);
    Ok(item)
}

/// Item of a value in a table: a value if the comment gives its type, else a function.
pub(super) fn value(name: &str, comment: &Comment, module: &str) -> Result<Item, String> {
    let Some(ty) = &comment.ty else { return function(name, name, Some(comment), None, module) };
    only(comment, &["type"])?;
    let mut item = Item::new(name, ItemKind::Value, module);
    describe(&mut item, comment)?;
    item.ty.clone_from(ty);
    item.values = types::literals(ty);
    Ok(item)
}

/// Table of functions without a class.
pub(super) fn table(name: &str, comment: &Comment, module: &str) -> Result<Item, String> {
    only(comment, &[])?;
    let mut item = Item::new(name, ItemKind::Module, module);
    describe(&mut item, comment)?;
    Ok(item)
}

/// Class, followed by its values if it is a module.
pub(super) fn class(comment: &Comment, kind: ItemKind, module: &str) -> Result<Vec<Item>, String> {
    only(comment, &["class", "field", "overload"])?;
    let (name, parent, doc) = comment.class.as_ref().ok_or("there is no class")?;
    let mut item = Item::new(name, kind, module);
    describe(&mut item, comment)?;
    if item.summary.is_empty() {
        item.summary.clone_from(doc);
    }
    if kind == ItemKind::Module && item.summary.is_empty() {
        return Err(format!("the module {name} has no description"));
    }
    item.ty = parent.clone().unwrap_or_default();
    item.fields = comment.fields.iter().map(|field| described(field, false)).collect();
    item.is_marked_exact = comment.is_exact;
    item.overloads.clone_from(&comment.overloads);
    let mut items = vec![item];
    if kind == ItemKind::Module {
        make_callable(&mut items[0]);
        let values: Vec<_> = items[0].fields.iter().map(|field| member(&items[0], field)).collect();
        items.extend(values);
    }
    Ok(items)
}

/// Alias of a type.
pub(super) fn alias(comment: &Comment, module: &str) -> Result<Item, String> {
    only(comment, &["alias"])?;
    let (name, ty) = comment.alias.as_ref().ok_or("there is no alias")?;
    let mut item = Item::new(name, ItemKind::Alias, module);
    describe(&mut item, comment)?;
    item.values = types::literals(ty);
    item.ty.clone_from(ty);
    Ok(item)
}

/// Uses the first overload of a module as its call signature.
fn make_callable(module: &mut Item) {
    let Some(ty) = module.overloads.first().cloned() else { return };
    let Some((params, result)) = types::function(&ty) else { return };
    let parameter = |(name, ty): (&str, &str)| {
        let bare = name.trim_end_matches('?');
        let is_optional = bare != name;
        described(
            &Tagged { name: bare.into(), ty: ty.into(), is_optional, doc: String::new() },
            true,
        )
    };
    module.params = params.into_iter().map(parameter).collect();
    if !result.is_empty() {
        module.returns = vec![ReturnDoc { ty: result.into(), ..ReturnDoc::default() }];
    }
    module.signature = call(&module.name, &module.params);
}

/// Field of a module, as a value that a script can name.
fn member(module: &Item, field: &ParamDoc) -> Item {
    let name = format!("{}.{}", module.name, field.name);
    let mut item = Item::new(name, ItemKind::Value, &module.module);
    let (summary, text) = markdown::first_sentence(&field.doc);
    summary.clone_into(&mut item.summary);
    text.clone_into(&mut item.text);
    item.ty.clone_from(&field.ty);
    item.values.clone_from(&field.values);
    item
}

/// Refuses annotations that do not apply to the documented item.
fn only(comment: &Comment, allowed: &[&str]) -> Result<(), String> {
    let parts = [
        ("class", comment.class.is_some()),
        ("alias", comment.alias.is_some()),
        ("field", !comment.fields.is_empty()),
        ("param", !comment.params.is_empty()),
        ("return", !comment.returns.is_empty()),
        ("overload", !comment.overloads.is_empty()),
        ("generic", comment.generics.is_some()),
        ("type", comment.ty.is_some()),
    ];
    match parts.into_iter().find(|(part, is_there)| *is_there && !allowed.contains(part)) {
        Some((part, _)) => Err(format!("@{part} does not belong to what follows")),
        None => Ok(()),
    }
}

fn describe(item: &mut Item, comment: &Comment) -> Result<(), String> {
    let parts = markdown::parts(&comment.text)?;
    item.summary = parts.summary;
    item.text = parts.text;
    item.examples = parts.examples;
    Ok(())
}

fn described(one: &Tagged, is_positional: bool) -> ParamDoc {
    ParamDoc {
        name: one.name.clone(),
        ty: one.ty.clone(),
        is_optional: one.is_optional,
        is_positional,
        doc: one.doc.clone(),
        limits: String::new(),
        values: types::literals(&one.ty),
    }
}

fn call(name: &str, params: &[ParamDoc]) -> String {
    let params: Vec<_> = params
        .iter()
        .map(|param| format!("{}{}", param.name, if param.is_optional { "?" } else { "" }))
        .collect();
    format!("{name}({})", params.join(", "))
}
