//! The only user of the account: the operator. Every access key that does not belong to a session
//! stands for it.

use super::call::{Call, Caller};
use super::clock::iso8601;
use super::read_txn::{AccountRow, ReadTxn};
use super::refusal::{ApiResult, CallFailure, Refusal};
use super::xml::Xml;

/// Name of the operator.
pub(super) const NAME: &str = "local-operator";

const PATH: &str = "/";
/// Creation date of the operator, in seconds since 1970: the first second of 2015.
const CREATED: i64 = 1_420_070_400;

/// `GetUser`. Without a name it returns the caller, who must be a user.
pub(super) fn get(view: &ReadTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    match (call.optional_text("UserName"), &call.caller) {
        (Some(name), _) if !name.eq_ignore_ascii_case(NAME) => {
            return Err(Refusal::no_user(name).into());
        }
        (None, Caller::Session { .. }) => return Err(Refusal::not_a_user().into()),
        _ => {}
    }
    xml.within("User", |xml| {
        write(xml, &view.account);
        Ok(())
    })
}

/// `ListUsers`.
pub(super) fn list(view: &ReadTxn<'_>, call: &Call<'_>, xml: &mut Xml) -> ApiResult<()> {
    let prefix = call.optional_text("PathPrefix").unwrap_or("/");
    let page = call.page(&view.account, prefix);
    page.place()?;
    xml.within("Users", |xml| {
        if PATH.starts_with(prefix) {
            xml.within("member", |xml| {
                write(xml, &view.account);
                Ok::<(), CallFailure>(())
            })?;
        }
        Ok::<(), CallFailure>(())
    })?;
    xml.piece(&page.finish_items::<()>(&mut Vec::new()));
    Ok(())
}

fn write(xml: &mut Xml, account: &AccountRow) {
    xml.text("Path", PATH);
    xml.text("UserName", NAME);
    xml.text("UserId", &Caller::Operator.user_id());
    xml.text("Arn", &Caller::Operator.arn(account));
    xml.text("CreateDate", &iso8601(CREATED));
}
