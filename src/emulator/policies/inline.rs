//! Inline policies of roles. Their names are case-sensitive here: AWS documents case-insensitive
//! names for other entities, but not for these.

use super::super::call::Call;
use super::super::protected_roles;
use super::super::read_txn::ReadTxn;
use super::super::records::Role;
use super::super::refusal::{ApiResult, CallFailure, Refusal};
use super::super::roles::require_role;
use super::super::write_txn::WriteTxn;
use super::super::xml::Xml;
use super::document::{self, Kind};
use super::record::InlinePolicy;

/// Quota for all inline policies of a role together, in characters other than white space.
pub(in crate::emulator) const MAX_CHARACTERS: usize = 10_240;

pub(in crate::emulator) fn put(edit: &WriteTxn<'_>, call: &Call<'_>, _: &mut Xml) -> ApiResult<()> {
    let mut role: Role = require_role(edit.find(call.text("RoleName"))?, call.text("RoleName"))?;
    protected_roles::check(&role)?;
    let (name, document) = (call.text("PolicyName"), call.text("PolicyDocument"));
    document::check(document, Kind::Inline)?;
    let policy = InlinePolicy { name: name.to_owned(), document: document.to_owned() };
    let known = role.inline.iter_mut().find(|known| known.name == name);
    match known {
        Some(known) => *known = policy,
        None => role.inline.push(policy),
    }
    let size: usize = role.inline.iter().map(|policy| document::size(&policy.document)).sum();
    if size > MAX_CHARACTERS {
        return Err(Refusal::inline_policies_too_large(MAX_CHARACTERS, &role.name).into());
    }
    Ok(edit.update(&role)?)
}

pub(in crate::emulator) fn get(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let role: Role = require_role(view.find(call.text("RoleName"))?, call.text("RoleName"))?;
    let policy = role.inline.iter().find(|policy| policy.name == call.text("PolicyName"));
    let policy = policy.ok_or_else(|| Refusal::no_role_policy(call.text("PolicyName")))?;
    xml.text("RoleName", &role.name);
    xml.text("PolicyName", &policy.name);
    xml.document("PolicyDocument", &policy.document);
    Ok(())
}

pub(in crate::emulator) fn list(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let role: Role = require_role(view.find(call.text("RoleName"))?, call.text("RoleName"))?;
    let page = call.page(&view.account, &role.id);
    let mut found: Vec<_> = role.inline.after(page.place()?).take(page.limit + 1).collect();
    let end = page.finish_items(&mut found);
    xml.within("PolicyNames", |xml| {
        for (_, policy) in &found {
            xml.text("member", &policy.name);
        }
        Ok::<(), CallFailure>(())
    })?;
    xml.piece(&end);
    Ok(())
}

pub(in crate::emulator) fn delete(
    edit: &WriteTxn<'_>,
    call: &Call<'_>,
    _: &mut Xml,
) -> ApiResult<()> {
    let mut role: Role = require_role(edit.find(call.text("RoleName"))?, call.text("RoleName"))?;
    protected_roles::check(&role)?;
    let name = call.text("PolicyName");
    let before = role.inline.len();
    role.inline.retain(|policy| policy.name != name);
    if role.inline.len() == before {
        return Err(Refusal::no_role_policy(name).into());
    }
    Ok(edit.update(&role)?)
}
