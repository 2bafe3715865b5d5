//! `DescribeRegions`.

use super::super::super::call::Call;
use super::super::super::read_txn::ReadTxn;
use super::super::super::refusal::{ApiResult, CallFailure, Refusal};
use super::super::super::regions;
use super::super::super::xml::Xml;
use super::{Filters, check_dry_run, texts};

/// `DescribeRegions`: the enabled ones, or all with `AllRegions`. It has no pages.
pub(in super::super::super) fn describe(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    check_dry_run(call)?;
    let filters = Filters::of(call, &["region-name", "opt-in-status"])?;
    let names = texts(call, "RegionName");
    let with_all = call.optional_text("AllRegions") == Some("true");
    let all = regions::all(view.connection)?;
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|region| region.name != **name))
    {
        let message = format!("Invalid region: {unknown}");
        return Err(Refusal::invalid_value(call.action.service, message).into());
    }
    xml.within("regionInfo", |xml| {
        let shown = all.iter().filter(|region| {
            (with_all || region.is_enabled())
                && (names.is_empty() || names.contains(&region.name.as_str()))
                && filters.pass(|name| match name {
                    "region-name" => Some(&region.name),
                    _ => Some(&region.status),
                })
        });
        for region in shown {
            xml.literal("<item>");
            xml.text("regionName", &region.name);
            xml.text("regionEndpoint", &format!("ec2.{}.amazonaws.com", region.name));
            xml.text("optInStatus", &region.status);
            xml.literal("</item>");
        }
        Ok::<(), CallFailure>(())
    })
}
