//! Spot fleets and Spot Instance requests.

use serde_json::{Value, json};

use super::super::super::ChangeError;
use super::super::super::call::Call;
use super::super::super::import::ImportObject;
use super::super::super::import_resources::{id, with_id_and_profile};
use super::super::super::read_txn::ReadTxn;
use super::super::super::refusal::{ApiResult, CallFailure};
use super::super::super::resources::{KindRow, Resource, ResourceKind};
use super::super::super::synthetic::Synthetic;
use super::super::super::xml::Xml;
use super::super::{moment, synthetic};
use super::{Filters, NamedResource, paging, requested, write_given_profile, write_token};

pub(super) const FLEET: ResourceKind = ResourceKind::of(&KindRow {
    name: "ec2.spot_fleet",
    states: &[
        "active",
        "submitted",
        "cancelled",
        "failed",
        "cancelled_running",
        "cancelled_terminating",
        "modifying",
    ],
    state_key: Some("state"),
    new_id: Some(|synthetic| format!("sfr-{}", synthetic.uuid())),
    fields: &["id", "profiles"],
    describe: describe_fleet,
    ..KindRow::NAMED
});
pub(super) const REQUEST: ResourceKind = ResourceKind::of(&KindRow {
    name: "ec2.spot_request",
    states: &["open", "active", "closed", "cancelled", "failed", "disabled"],
    state_key: Some("state"),
    new_id: Some(|synthetic| format!("sir-{}", synthetic.hex(8))),
    fields: &["id", "profile"],
    describe: with_id_and_profile,
    ..KindRow::NAMED
});

const FLEETS: NamedResource = NamedResource {
    kind: FLEET,
    ids: "SpotFleetRequestId",
    code: "InvalidSpotFleetRequestId.NotFound",
    noun: "spot fleet request ID",
};
const REQUESTS: NamedResource = NamedResource {
    kind: REQUEST,
    ids: "SpotInstanceRequestId",
    code: "InvalidSpotInstanceRequestID.NotFound",
    noun: "spot instance request ID",
};

/// `DescribeSpotFleetRequests`: 1 to 1000 a page; EC2 has no filters for them.
pub(in super::super::super) fn describe_fleets(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let filters = Filters::of(call, &[])?;
    let value: for<'r> fn(&'r Resource, &str) -> Option<&'r str> = |_, _| None;
    let (found, token) = requested(view, call, &FLEETS, &paging(1, 1000, 1000), (&filters, value))?;
    xml.within("spotFleetRequestConfigSet", |xml| {
        for fleet in &found {
            write_fleet(xml, &view.account.id, fleet);
        }
        Ok::<(), CallFailure>(())
    })?;
    write_token(xml, token);
    Ok(())
}

fn write_fleet(xml: &mut Xml, account: &str, fleet: &Resource) {
    let created = moment(fleet.created);
    xml.literal("<item>");
    xml.text("spotFleetRequestId", &fleet.key);
    xml.text("spotFleetRequestState", fleet.state());
    xml.literal("<spotFleetRequestConfig><allocationStrategy>lowestPrice</allocationStrategy><onDemandAllocationStrategy>lowestPrice</onDemandAllocationStrategy>");
    xml.text("clientToken", &synthetic(FLEET, fleet, "token").uuid());
    xml.literal("<excessCapacityTerminationPolicy>default</excessCapacityTerminationPolicy><fulfilledCapacity>1.0</fulfilledCapacity><onDemandFulfilledCapacity>0.0</onDemandFulfilledCapacity>");
    xml.text(
        "iamFleetRole",
        &format!("arn:aws:iam::{account}:role/aws-ec2-spot-fleet-tagging-role"),
    );
    let profiles = fleet.more.get("profiles").and_then(Value::as_array);
    xml.literal("<launchSpecifications>");
    for profile in profiles.into_iter().flatten().filter_map(Value::as_str) {
        xml.literal("<item>");
        write_specification(xml, account, &fleet.region, Some(profile));
        xml.literal("</item>");
    }
    xml.literal("</launchSpecifications><launchTemplateConfigs/>");
    xml.literal("<targetCapacity>1</targetCapacity><onDemandTargetCapacity>0</onDemandTargetCapacity><terminateInstancesWithExpiration>false</terminateInstancesWithExpiration><type>maintain</type>");
    xml.text("validFrom", &created);
    xml.literal("<replaceUnhealthyInstances>false</replaceUnhealthyInstances><instanceInterruptionBehavior>terminate</instanceInterruptionBehavior></spotFleetRequestConfig>");
    xml.text("createTime", &created);
    if fleet.state() == "active" {
        xml.literal("<activityStatus>fulfilled</activityStatus>");
    }
    xml.literal("<tagSet/></item>");
}

/// Writes the common fields of a launch specification. The profile is returned as it was given.
fn write_specification(xml: &mut Xml, account: &str, region: &str, profile: Option<&str>) {
    let of_region = |what| Synthetic::of(&[account, region, what]).hex(16);
    xml.literal("<imageId>ami-0");
    xml.literal(&of_region("image"));
    xml.literal("</imageId><instanceType>m5.large</instanceType>");
    if let Some(profile) = profile {
        write_given_profile(xml, profile);
    }
    xml.literal("<groupSet><item><groupId>sg-0");
    xml.literal(&of_region("group"));
    xml.literal("</groupId><groupName>default</groupName></item></groupSet><subnetId>subnet-0");
    xml.literal(&of_region("subnet"));
    xml.literal("</subnetId><ebsOptimized>false</ebsOptimized><monitoring><enabled>false</enabled></monitoring>");
}

/// `DescribeSpotInstanceRequests`: 5 to 1000 a page.
pub(in super::super::super) fn describe_requests(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let filters = Filters::of(call, &["state", "spot-instance-request-id"])?;
    let value: for<'r> fn(&'r Resource, &str) -> Option<&'r str> = |request, name| match name {
        "state" => request.state.as_deref(),
        _ => Some(&request.key),
    };
    let (found, token) =
        requested(view, call, &REQUESTS, &paging(5, 1000, 1000), (&filters, value))?;
    xml.within("spotInstanceRequestSet", |xml| {
        for request in &found {
            write_request(xml, &view.account.id, request);
        }
        Ok::<(), CallFailure>(())
    })?;
    write_token(xml, token);
    Ok(())
}

fn write_request(xml: &mut Xml, account: &str, request: &Resource) {
    let created = moment(request.created);
    let (code, message) = match request.state() {
        "open" => (
            "pending-evaluation",
            "Your Spot request has been submitted for review, and is pending evaluation.",
        ),
        "active" => ("fulfilled", "Your spot request is fulfilled."),
        "cancelled" => {
            ("canceled-before-fulfillment", "Your Spot request is canceled before fulfillment.")
        }
        "failed" => ("bad-parameters", "Your Spot request failed due to bad parameters."),
        "disabled" => ("disabled", "Your Spot request is disabled."),
        _ => ("instance-terminated-by-user", "Your Spot Instance was terminated by the user."),
    };
    xml.literal("<item>");
    xml.text("spotInstanceRequestId", &request.key);
    xml.literal("<spotPrice>0.096000</spotPrice><type>persistent</type>");
    xml.text("state", request.state());
    xml.literal("<status>");
    xml.text("code", code);
    xml.text("updateTime", &created);
    xml.text("message", message);
    xml.literal("</status><launchSpecification>");
    write_specification(xml, account, &request.region, request.profile.as_deref());
    xml.literal("</launchSpecification>");
    if matches!(request.state(), "active" | "closed") {
        xml.text("instanceId", &format!("i-0{}", synthetic(REQUEST, request, "instance").hex(16)));
        xml.text("launchedAvailabilityZone", &format!("{}a", request.region));
    }
    xml.text("createTime", &created);
    xml.literal("<productDescription>Linux/UNIX</productDescription><tagSet/><instanceInterruptionBehavior>stop</instanceInterruptionBehavior></item>");
}

/// Reads a fleet from an account file.
fn describe_fleet(
    entry: &mut ImportObject,
    resource: &mut Resource,
) -> Result<Vec<Resource>, ChangeError> {
    id(entry, resource)?;
    let profiles = entry.texts("profiles")?;
    resource.more.insert("profiles".to_owned(), json!(profiles));
    Ok(Vec::new())
}
