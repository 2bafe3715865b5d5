//! The one user of the account: the operator, whom every access key stands for that is not a
//! session's.

use super::call::{Call, Caller};
use super::clock::iso8601;
use super::refusal::{ApiResult, Failure, Refusal};
use super::view::{Account, ReadTxn};
use super::xml::Xml;

/// The operator's name.
pub(super) const NAME: &str = "local-operator";

const PATH: &str = "/";
/// The operator's creation date, in seconds since 1970: the first second of 2015.
const CREATED: i64 = 1_420_070_400;

/// `GetUser`: without a name it is the caller, who must be a user then.
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
                Ok::<(), Failure>(())
            })?;
        }
        Ok::<(), Failure>(())
    })?;
    xml.piece(&page.finish_items::<()>(&mut Vec::new()));
    Ok(())
}

fn write(xml: &mut Xml, account: &Account) {
    xml.text("Path", PATH);
    xml.text("UserName", NAME);
    xml.text("UserId", &Caller::Operator.user_id());
    xml.text("Arn", &Caller::Operator.arn(account));
    xml.text("CreateDate", &iso8601(CREATED));
}
