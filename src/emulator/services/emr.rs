//! Amazon EMR: clusters.

use serde_json::{Value, json};

use super::super::ChangeError;
use super::super::actions::describe_json;
use super::super::call::Call;
use super::super::import::ImportObject;
use super::super::import_resources::id;
use super::super::read_txn::ReadTxn;
use super::super::refusal::{ApiResult, Refusal};
use super::super::resources::{self, KindRow, Resource, ResourceKind};
use super::super::service::{Protocol, Service, ServiceRow};
use super::super::synthetic::Synthetic;
use super::listing::{Listing, Paging};
use super::{ServiceTable, place, seconds, synthetic};

const SERVICE: Service = Service::of(&ServiceRow {
    name: "elasticmapreduce",
    protocol: Protocol::Json { target: "ElasticMapReduce" },
    throttled: (400, "ThrottlingException", "Rate exceeded"),
    invalid_token: (400, "InvalidRequestException", "Marker is not valid."),
    invalid_value: "InvalidRequestException",
    failure: "InternalServerException",
    is_regional: true,
});
const KIND: ResourceKind = ResourceKind::of(&KindRow {
    name: "emr.cluster",
    states: &[
        "RUNNING",
        "STARTING",
        "BOOTSTRAPPING",
        "WAITING",
        "TERMINATING",
        "TERMINATED",
        "TERMINATED_WITH_ERRORS",
    ],
    state_key: Some("state"),
    new_id: Some(|synthetic| format!("j-{}", synthetic.capitals(13))),
    fields: &["id", "name", "profile"],
    describe: describe_entry,
    ..KindRow::NAMED
});

/// Part of the service in the account.
pub(super) static TABLE: ServiceTable = ServiceTable {
    service: SERVICE,
    actions: &[
        describe_json(SERVICE, "ListClusters", list_clusters),
        describe_json(SERVICE, "DescribeCluster", describe_cluster),
    ],
    kinds: &[KIND],
};

const PAGING: Paging = Paging { limit: "", min: 1, max: 50, default_limit: 50, token: "Marker" };

/// `ListClusters`: always 50 a page.
pub(in super::super) fn list_clusters(view: &ReadTxn<'_>, call: &Call<'_>) -> ApiResult<Value> {
    let states = call.json_texts("ClusterStates")?;
    if let Some(unknown) = states.iter().find(|state| !KIND.states().contains(state)) {
        let message = format!("ClusterStates: `{unknown}` is not a state of a cluster.");
        return Err(Refusal::invalid_value(call.action.service, message).into());
    }
    let (after, before) = (call.json_moment("CreatedAfter")?, call.json_moment("CreatedBefore")?);
    let within = format!("{states:?} {after:?} {before:?}");
    let listing = Listing::of(view, call, &PAGING, &within)?;
    let (found, token) = listing.page(view, place(call, KIND), |cluster| {
        (states.is_empty() || states.contains(&cluster.state()))
            && after.is_none_or(|after| cluster.created >= after)
            && before.is_none_or(|before| cluster.created <= before)
    })?;
    let entries = found.iter().map(|cluster| summary(&view.account.id, cluster));
    let mut answer = json!({"Clusters": entries.collect::<Value>()});
    if let Some(token) = token {
        answer["Marker"] = token.into();
    }
    Ok(answer)
}

/// `DescribeCluster`.
pub(in super::super) fn describe_cluster(view: &ReadTxn<'_>, call: &Call<'_>) -> ApiResult<Value> {
    let id = call.json_text("ClusterId")?.unwrap_or_default();
    let cluster = resources::find(view.connection, place(call, KIND), id)?;
    let cluster = cluster.ok_or_else(|| {
        let message = format!("Cluster id '{id}' is not valid.");
        Refusal::not_there(400, "InvalidRequestException", message)
    })?;
    Ok(json!({"Cluster": shown(&view.account.id, &cluster)}))
}

fn summary(account: &str, cluster: &Resource) -> Value {
    let Resource { region, key: id, created, .. } = cluster;
    let mut timeline = json!({"CreationDateTime": seconds(*created)});
    if !matches!(cluster.state(), "STARTING" | "BOOTSTRAPPING") {
        timeline["ReadyDateTime"] = seconds(created + 300);
    }
    let reason = match cluster.state() {
        "TERMINATED" | "TERMINATING" => {
            json!({"Code": "USER_REQUEST", "Message": "Terminated by user request"})
        }
        "TERMINATED_WITH_ERRORS" => {
            json!({"Code": "BOOTSTRAP_FAILURE", "Message": "On the master instance, bootstrap action 1 failed"})
        }
        _ => json!({}),
    };
    if cluster.state().starts_with("TERMINATED") {
        timeline["EndDateTime"] = seconds(created + 3600);
    }
    json!({
        "Id": id,
        "Name": cluster.name(),
        "Status": {
            "State": cluster.state(),
            "StateChangeReason": reason,
            "Timeline": timeline,
            "ErrorDetails": [],
        },
        "NormalizedInstanceHours": 0,
        "ClusterArn": format!("arn:aws:elasticmapreduce:{region}:{account}:cluster/{id}"),
    })
}

fn shown(account: &str, cluster: &Resource) -> Value {
    let region = &cluster.region;
    let of_region = |what| Synthetic::of(&[account, region, what]).hex(16);
    let mut attributes = json!({
        "Ec2SubnetId": format!("subnet-0{}", of_region("subnet")),
        "RequestedEc2SubnetIds": [format!("subnet-0{}", of_region("subnet"))],
        "Ec2AvailabilityZone": format!("{region}a"),
        "RequestedEc2AvailabilityZones": [],
        "EmrManagedMasterSecurityGroup": format!("sg-0{}", of_region("master")),
        "EmrManagedSlaveSecurityGroup": format!("sg-0{}", of_region("core")),
        "AdditionalMasterSecurityGroups": [],
        "AdditionalSlaveSecurityGroups": [],
    });
    if let Some(profile) = &cluster.profile {
        attributes["IamInstanceProfile"] = profile.as_str().into();
    }
    let (first, second) =
        (synthetic(KIND, cluster, "host").below(256), synthetic(KIND, cluster, "net").below(256));
    let mut entry = summary(account, cluster);
    let more = json!({
        "Ec2InstanceAttributes": attributes,
        "InstanceCollectionType": "INSTANCE_GROUP",
        "ReleaseLabel": "emr-7.5.0",
        "AutoTerminate": false,
        "TerminationProtected": false,
        "UnhealthyNodeReplacement": false,
        "VisibleToAllUsers": true,
        "Applications": [{"Name": "Spark", "Version": "3.5.2"}],
        "Tags": [],
        "ServiceRole": "EMR_DefaultRole",
        "MasterPublicDnsName": format!("ip-10-0-{second}-{first}.{region}.compute.internal"),
        "Configurations": [],
        "ScaleDownBehavior": "TERMINATE_AT_TASK_COMPLETION",
        "EbsRootVolumeSize": 15,
        "StepConcurrencyLevel": 1,
        "PlacementGroups": [],
        "OSReleaseLabel": "2023.6.20241121.0",
    });
    if let (Value::Object(entry), Value::Object(more)) = (&mut entry, more) {
        entry.extend(more);
    }
    entry
}

/// Reads a cluster from an account file.
fn describe_entry(
    entry: &mut ImportObject,
    resource: &mut Resource,
) -> Result<Vec<Resource>, ChangeError> {
    id(entry, resource)?;
    resource.name = Some(entry.required_text("name")?);
    resource.profile = entry.short_text("profile")?;
    Ok(Vec::new())
}
