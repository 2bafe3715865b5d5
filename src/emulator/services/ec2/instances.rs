//! Instances, and their associations with instance profiles.

use super::super::super::ChangeError;
use super::super::super::call::Call;
use super::super::super::clock::iso8601;
use super::super::super::constraints;
use super::super::super::import::{ImportObject, wrong};
use super::super::super::import_resources::{exact_profile, id};
use super::super::super::read_txn::ReadTxn;
use super::super::super::refusal::{ApiResult, CallFailure};
use super::super::super::resources::{KindRow, Resource, ResourceKind};
use super::super::super::synthetic::Synthetic;
use super::super::super::xml::Xml;
use super::super::{moment, synthetic};
use super::{Filters, NamedResource, paging, requested, write_resolved_profile, write_token};

pub(super) const INSTANCE: ResourceKind = ResourceKind::of(&KindRow {
    name: "ec2.instance",
    states: &["running", "pending", "shutting-down", "terminated", "stopping", "stopped"],
    state_key: Some("state"),
    new_id: Some(|synthetic| format!("i-0{}", synthetic.hex(16))),
    fields: &["id", "profile", "profile_id"],
    describe: describe_instance,
    answers_arn: true,
    ..KindRow::NAMED
});
pub(super) const ASSOCIATION: ResourceKind = ResourceKind::of(&KindRow {
    name: "ec2.association",
    states: &["associated", "associating", "disassociating", "disassociated"],
    state_key: Some("state"),
    new_id: Some(|synthetic| format!("iip-assoc-0{}", synthetic.hex(16))),
    fields: &["id", "instance_id", "profile", "profile_id"],
    describe: describe_association,
    answers_arn: true,
    ..KindRow::NAMED
});

const INSTANCES: NamedResource = NamedResource {
    kind: INSTANCE,
    ids: "InstanceId",
    code: "InvalidInstanceID.NotFound",
    noun: "instance ID",
};

/// `DescribeInstances`: 5 to 1000 a page; the default is 1000.
pub(in super::super::super) fn describe(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let known = [
        "instance-state-name",
        "iam-instance-profile.arn",
        "iam-instance-profile.id",
        "instance-id",
    ];
    let filters = Filters::of(call, &known)?;
    let value: for<'r> fn(&'r Resource, &str) -> Option<&'r str> = |instance, name| match name {
        "instance-state-name" => instance.state.as_deref(),
        "iam-instance-profile.arn" => instance.profile.as_deref(),
        "iam-instance-profile.id" => instance.profile_id.as_deref(),
        _ => Some(&instance.key),
    };
    let (found, token) =
        requested(view, call, &INSTANCES, &paging(5, 1000, 1000), (&filters, value))?;
    let account = view.account.id.as_str();
    xml.within("reservationSet", |xml| {
        for reservation in found.chunk_by(|one, other| launch(one) == launch(other)) {
            write_reservation(xml, account, reservation);
        }
        Ok::<(), CallFailure>(())
    })?;
    write_token(xml, token);
    Ok(())
}

/// Launch group of an instance: ids that differ only in the last digit.
fn launch(instance: &Resource) -> &str {
    let mut letters = instance.key.chars();
    letters.next_back();
    letters.as_str()
}

fn write_reservation(xml: &mut Xml, account: &str, instances: &[Resource]) {
    let Some(first) = instances.first() else { return };
    let of_region = |what| Synthetic::of(&[account, &first.region, what]).hex(16);
    let reservation = Synthetic::of(&[&first.region, launch(first), "reservation"]).hex(16);
    let (group, subnet, vpc) = (of_region("group"), of_region("subnet"), of_region("vpc"));
    xml.literal("<item><reservationId>r-0");
    xml.literal(&reservation);
    xml.literal("</reservationId>");
    xml.text("ownerId", account);
    xml.literal("<groupSet/><instancesSet>");
    for (index, instance) in instances.iter().enumerate() {
        write_instance(xml, account, instance, index, [&group, &subnet, &vpc]);
    }
    xml.literal("</instancesSet></item>");
}

/// Numeric code of a state in EC2.
fn state_code(state: &str) -> u8 {
    match state {
        "pending" => 0,
        "shutting-down" => 32,
        "terminated" => 48,
        "stopping" => 64,
        "stopped" => 80,
        _ => 16,
    }
}

fn write_instance(
    xml: &mut Xml,
    account: &str,
    instance: &Resource,
    index: usize,
    [group, subnet, vpc]: [&str; 3],
) {
    let Resource { region, key: id, created, .. } = instance;
    let synthetic = |what| synthetic(INSTANCE, instance, what);
    let (launched, state) = (iso8601(*created), instance.state());
    let is_gone = state == "terminated";
    let (third, fourth) = (synthetic("net").below(64), synthetic("host").below(250) + 4);
    let address = format!("10.0.{third}.{fourth}");
    let host = format!("ip-10-0-{third}-{fourth}.{region}.compute.internal");
    xml.literal("<item>");
    xml.text("instanceId", id);
    xml.literal("<imageId>ami-0");
    xml.literal(&Synthetic::of(&[region, "image"]).hex(16));
    xml.literal("</imageId><instanceState>");
    xml.plain("code", state_code(state));
    xml.text("name", state);
    xml.literal("</instanceState>");
    xml.text("privateDnsName", if is_gone { "" } else { &host });
    xml.literal("<dnsName/>");
    if state == "running" || state == "pending" {
        xml.literal("<reason/>");
    } else {
        xml.literal("<reason>User initiated</reason>");
    }
    xml.plain("amiLaunchIndex", index);
    xml.literal("<productCodes/><instanceType>m5.large</instanceType>");
    xml.text("launchTime", &moment(*created));
    xml.literal("<placement>");
    xml.text("availabilityZone", &format!("{region}a"));
    xml.literal("<groupName/><tenancy>default</tenancy></placement><monitoring><state>disabled</state></monitoring>");
    if !is_gone {
        xml.literal("<subnetId>subnet-0");
        xml.literal(subnet);
        xml.literal("</subnetId><vpcId>vpc-0");
        xml.literal(vpc);
        xml.literal("</vpcId>");
        xml.text("privateIpAddress", &address);
    }
    xml.literal("<sourceDestCheck>true</sourceDestCheck>");
    write_groups(xml, if is_gone { "" } else { group });
    if state != "running" && state != "pending" {
        xml.literal("<stateReason><code>Client.UserInitiatedShutdown</code><message>Client.UserInitiatedShutdown: User initiated shutdown</message></stateReason>");
    }
    xml.literal("<architecture>x86_64</architecture><rootDeviceType>ebs</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName>");
    if is_gone {
        xml.literal("<blockDeviceMapping/>");
    } else {
        xml.literal(
            "<blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-0",
        );
        xml.literal(&synthetic("volume").hex(16));
        xml.literal("</volumeId><status>attached</status><attachTime>");
        xml.literal(&launched);
        xml.literal("</attachTime><deleteOnTermination>true</deleteOnTermination></ebs></item></blockDeviceMapping>");
    }
    xml.literal("<virtualizationType>hvm</virtualizationType>");
    xml.text("clientToken", &synthetic("token").uuid());
    xml.literal("<tagSet/><hypervisor>xen</hypervisor>");
    if is_gone {
        xml.literal("<networkInterfaceSet/>");
    } else {
        write_interface(xml, account, instance, &address, [group, subnet, vpc]);
    }
    write_resolved_profile(xml, instance);
    xml.literal(
        "<ebsOptimized>false</ebsOptimized><enaSupport>true</enaSupport>\
         <cpuOptions><coreCount>1</coreCount><threadsPerCore>2</threadsPerCore></cpuOptions>\
         <capacityReservationSpecification><capacityReservationPreference>open</capacityReservationPreference></capacityReservationSpecification>\
         <hibernationOptions><configured>false</configured></hibernationOptions>\
         <enclaveOptions><enabled>false</enabled></enclaveOptions>\
         <metadataOptions><state>applied</state><httpTokens>required</httpTokens><httpPutResponseHopLimit>2</httpPutResponseHopLimit><httpEndpoint>enabled</httpEndpoint><httpProtocolIpv6>disabled</httpProtocolIpv6><instanceMetadataTags>disabled</instanceMetadataTags></metadataOptions>\
         <platformDetails>Linux/UNIX</platformDetails><usageOperation>RunInstances</usageOperation><usageOperationUpdateTime>",
    );
    xml.literal(&launched);
    xml.literal(
        "</usageOperationUpdateTime>\
         <privateDnsNameOptions><hostnameType>ip-name</hostnameType><enableResourceNameDnsARecord>false</enableResourceNameDnsARecord><enableResourceNameDnsAAAARecord>false</enableResourceNameDnsAAAARecord></privateDnsNameOptions>\
         <maintenanceOptions><autoRecovery>default</autoRecovery></maintenanceOptions><currentInstanceBootMode>legacy-bios</currentInstanceBootMode></item>",
    );
}

fn write_groups(xml: &mut Xml, group: &str) {
    if group.is_empty() {
        xml.literal("<groupSet/>");
    } else {
        xml.literal("<groupSet><item><groupId>sg-0");
        xml.literal(group);
        xml.literal("</groupId><groupName>default</groupName></item></groupSet>");
    }
}

fn write_interface(
    xml: &mut Xml,
    account: &str,
    instance: &Resource,
    address: &str,
    [group, subnet, vpc]: [&str; 3],
) {
    let synthetic = |what| synthetic(INSTANCE, instance, what);
    let mac = synthetic("mac").hex(10);
    xml.literal("<networkInterfaceSet><item><networkInterfaceId>eni-0");
    xml.literal(&synthetic("interface").hex(16));
    xml.literal("</networkInterfaceId><subnetId>subnet-0");
    xml.literal(subnet);
    xml.literal("</subnetId><vpcId>vpc-0");
    xml.literal(vpc);
    xml.literal("</vpcId><description/>");
    xml.text("ownerId", account);
    xml.literal("<status>in-use</status><macAddress>02");
    for at in [0, 2, 4, 6, 8] {
        xml.literal(":");
        xml.literal(&mac[at..at + 2]);
    }
    xml.literal("</macAddress>");
    xml.text("privateIpAddress", address);
    xml.literal("<sourceDestCheck>true</sourceDestCheck>");
    write_groups(xml, group);
    xml.literal("<attachment><attachmentId>eni-attach-0");
    xml.literal(&synthetic("attachment").hex(16));
    xml.literal("</attachmentId><deviceIndex>0</deviceIndex><status>attached</status>");
    xml.text("attachTime", &moment(instance.created));
    xml.literal("<deleteOnTermination>true</deleteOnTermination><networkCardIndex>0</networkCardIndex></attachment><privateIpAddressesSet><item>");
    xml.text("privateIpAddress", address);
    xml.literal("<primary>true</primary></item></privateIpAddressesSet><ipv6AddressesSet/><interfaceType>interface</interfaceType></item></networkInterfaceSet>");
}

const ASSOCIATIONS: NamedResource = NamedResource {
    kind: ASSOCIATION,
    ids: "AssociationId",
    code: "InvalidAssociationID.NotFound",
    noun: "association ID",
};

/// `DescribeIamInstanceProfileAssociations`: 5 to 1000 a page.
pub(in super::super::super) fn describe_associations(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let filters = Filters::of(call, &["instance-id", "state"])?;
    let value: for<'r> fn(&'r Resource, &str) -> Option<&'r str> = |association, name| match name {
        "state" => association.state.as_deref(),
        _ => association.text("instance_id"),
    };
    let (found, token) =
        requested(view, call, &ASSOCIATIONS, &paging(5, 1000, 1000), (&filters, value))?;
    xml.within("iamInstanceProfileAssociationSet", |xml| {
        for association in &found {
            let synthetic =
                || format!("i-0{}", synthetic(ASSOCIATION, association, "instance").hex(16));
            let instance = association.text("instance_id").map_or_else(synthetic, str::to_owned);
            xml.literal("<item>");
            xml.text("associationId", &association.key);
            xml.text("instanceId", &instance);
            write_resolved_profile(xml, association);
            xml.text("state", association.state());
            xml.text("timestamp", &moment(association.created));
            xml.literal("</item>");
        }
        Ok::<(), CallFailure>(())
    })?;
    write_token(xml, token);
    Ok(())
}

/// Reads an instance from an account file.
fn describe_instance(
    entry: &mut ImportObject,
    resource: &mut Resource,
) -> Result<Vec<Resource>, ChangeError> {
    id(entry, resource)?;
    resource.profile = exact_profile(entry)?;
    resource.profile_id = entry.held_to("profile_id", &constraints::ID)?;
    Ok(Vec::new())
}

/// Reads an association from an account file.
fn describe_association(
    entry: &mut ImportObject,
    resource: &mut Resource,
) -> Result<Vec<Resource>, ChangeError> {
    id(entry, resource)?;
    let instance = entry.short_text("instance_id")?;
    if let Some(instance) = instance {
        resource.more.insert("instance_id".to_owned(), instance.into());
    }
    resource.profile = exact_profile(entry)?;
    resource.profile_id = entry.held_to("profile_id", &constraints::ID)?;
    if resource.profile.is_none() {
        return Err(wrong(&entry.at("profile"), "is missing"));
    }
    Ok(Vec::new())
}
