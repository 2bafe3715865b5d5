//! Amazon EC2 Auto Scaling: launch configurations.

use super::super::actions::describe;
use super::super::call::Call;
use super::super::read_txn::ReadTxn;
use super::super::refusal::{ApiResult, CallFailure};
use super::super::resources::{self, KindRow, Resource, ResourceKind};
use super::super::service::{Protocol, Service, ServiceRow};
use super::super::synthetic::Synthetic;
use super::super::xml::Xml;
use super::listing::{Listing, Paging};
use super::{ServiceTable, moment, place, synthetic};

const SERVICE: Service = Service::of(&ServiceRow {
    name: "autoscaling",
    protocol: Protocol::Query {
        version: "2011-01-01",
        namespace: "http://autoscaling.amazonaws.com/doc/2011-01-01/",
    },
    throttled: (400, "Throttling", "Rate exceeded"),
    invalid_token: (400, "InvalidNextToken", "The token is not valid."),
    invalid_value: "ValidationError",
    failure: "InternalFailure",
    is_regional: true,
});
const KIND: ResourceKind =
    ResourceKind::of(&KindRow { name: "autoscaling.launch_configuration", ..KindRow::NAMED });

/// Part of the service in the account.
pub(super) static TABLE: ServiceTable = ServiceTable {
    service: SERVICE,
    actions: &[describe(SERVICE, "DescribeLaunchConfigurations", describe_launch_configurations)],
    kinds: &[KIND],
};

const PAGING: Paging =
    Paging { limit: "MaxRecords", min: 1, max: 100, default_limit: 50, token: "NextToken" };

/// `DescribeLaunchConfigurations`: all, or those that are named. Unknown names are ignored.
pub(in super::super) fn describe_launch_configurations(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    xml: &mut Xml,
) -> ApiResult<()> {
    let names = call.form.list("LaunchConfigurationNames").unwrap_or_default();
    let (found, token) = if names.is_empty() {
        Listing::of(view, call, &PAGING, "")?.page(view, place(call, KIND), |_| true)?
    } else {
        let mut found = Vec::new();
        for name in names.iter().filter_map(|name| name.field("")) {
            found.extend(resources::find(view.connection, place(call, KIND), name)?);
        }
        (found, None)
    };
    xml.within("LaunchConfigurations", |xml| {
        found.iter().try_for_each(|configuration| {
            xml.within("member", |xml| {
                write(xml, &view.account.id, configuration);
                Ok::<(), CallFailure>(())
            })
        })
    })?;
    if let Some(token) = token {
        xml.text("NextToken", &token);
    }
    Ok(())
}

fn write(xml: &mut Xml, account: &str, configuration: &Resource) {
    let Resource { region, key: name, created, profile, .. } = configuration;
    let synthetic = |what| synthetic(KIND, configuration, what);
    let of_region = |what| Synthetic::of(&[account, region, what]);
    let uuid = synthetic("arn").uuid();
    xml.text(
        "LaunchConfigurationARN",
        &format!(
            "arn:aws:autoscaling:{region}:{account}:launchConfiguration:{uuid}:\
             launchConfigurationName/{name}"
        ),
    );
    xml.text("LaunchConfigurationName", name);
    xml.text("ImageId", &format!("ami-0{}", synthetic("image").hex(16)));
    xml.literal("<InstanceType>m5.large</InstanceType><KeyName/>");
    xml.literal("<SecurityGroups><member>sg-0");
    xml.literal(&of_region("group").hex(16));
    xml.literal("</member></SecurityGroups><ClassicLinkVPCSecurityGroups/><UserData/><KernelId/><RamdiskId/>");
    xml.literal(
        "<BlockDeviceMappings/><InstanceMonitoring><Enabled>true</Enabled></InstanceMonitoring>",
    );
    if let Some(profile) = profile {
        xml.text("IamInstanceProfile", profile);
    }
    xml.text("CreatedTime", &moment(*created));
    xml.literal("<EbsOptimized>false</EbsOptimized>");
}
