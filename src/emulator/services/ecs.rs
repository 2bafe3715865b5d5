//! Amazon ECS: clusters and their capacity providers of managed instances.

use serde_json::{Value, json};

use super::super::ChangeError;
use super::super::actions::describe_json;
use super::super::call::Call;
use super::super::import::ImportObject;
use super::super::import_resources::exact_profile;
use super::super::read_txn::ReadTxn;
use super::super::refusal::{ApiResult, Refusal};
use super::super::resources::{self, KindRow, Resource, ResourceKind, ResourceScope};
use super::super::service::{Protocol, Service, ServiceRow};
use super::super::synthetic::Synthetic;
use super::listing::{Listing, Paging};
use super::{ServiceTable, name_of};

pub(in super::super) const SERVICE: Service = Service::of(&ServiceRow {
    name: "ecs",
    protocol: Protocol::Json { target: "AmazonEC2ContainerServiceV20141113" },
    throttled: (400, "ThrottlingException", "Rate exceeded"),
    invalid_token: (400, "InvalidParameterException", "Invalid token."),
    invalid_value: "InvalidParameterException",
    failure: "ServerException",
    is_regional: true,
});
const KIND: ResourceKind = ResourceKind::of(&KindRow {
    name: "ecs.capacity_provider",
    states: &["ACTIVE", "PROVISIONING", "DEPROVISIONING", "INACTIVE"],
    state_key: Some("status"),
    fields: &["name", "cluster", "profile"],
    describe: describe_provider,
    answers_arn: true,
    shows_profile_id: false,
    ..KindRow::NAMED
});

/// Part of the service in the account.
pub(super) static TABLE: ServiceTable = ServiceTable {
    service: SERVICE,
    actions: &[
        describe_json(SERVICE, "ListClusters", list_clusters),
        describe_json(SERVICE, "DescribeCapacityProviders", describe_capacity_providers),
    ],
    kinds: &[KIND],
};

const CLUSTERS: Paging =
    Paging { limit: "maxResults", min: 1, max: 100, default_limit: 100, token: "nextToken" };
const PROVIDERS: Paging =
    Paging { limit: "maxResults", min: 1, max: 10, default_limit: 10, token: "nextToken" };

/// `ListClusters`.
pub(in super::super) fn list_clusters(view: &ReadTxn<'_>, call: &Call<'_>) -> ApiResult<Value> {
    let (clusters, token) = Listing::of(view, call, &CLUSTERS, "")?.parents(view, KIND)?;
    let account = &view.account.id;
    let arns = clusters.iter().map(|name| cluster_arn(call.region, account, name));
    let mut answer = json!({"clusterArns": arns.collect::<Vec<_>>()});
    if let Some(token) = token {
        answer["nextToken"] = token.into();
    }
    Ok(answer)
}

/// `DescribeCapacityProviders`. Providers of managed instances are listed only for the cluster that
/// the call names. Without a cluster there are only the two that every account has.
pub(in super::super) fn describe_capacity_providers(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
) -> ApiResult<Value> {
    let names = call.json_texts("capacityProviders")?;
    let cluster = call.json_text("cluster")?.map(name_of).unwrap_or_default();
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|own| name_of(own) == name);
    let listing = Listing::of(view, call, &PROVIDERS, &format!("{cluster} {names:?}"))?;
    let account = &view.account.id;
    let (mut entries, mut token) = (Vec::new(), None);
    if cluster.is_empty() {
        listing.start()?;
        let fargate = ["FARGATE", "FARGATE_SPOT"].into_iter().filter(|name| is_wanted(name));
        entries.extend(fargate.map(|name| {
            json!({
                "capacityProviderArn": format!("arn:aws:ecs:{}:{account}:capacity-provider/{name}", call.region),
                "name": name, "status": "ACTIVE", "tags": [], "type": name,
            })
        }));
    } else {
        let place = ResourceScope { kind: KIND, region: call.region, parent: cluster };
        if resources::is_empty(view.connection, place)? {
            let message = "Cluster not found.";
            return Err(Refusal::not_there(400, "ClusterNotFoundException", message).into());
        }
        let found;
        (found, token) = listing.page(view, place, |provider| is_wanted(&provider.key))?;
        entries.extend(found.iter().map(|provider| shown(account, provider)));
    }
    let known = |name: &str| entries.iter().any(|entry| entry["name"] == name);
    let missing = names.iter().map(|name| name_of(name)).filter(|name| !known(name));
    let missing: Vec<_> = match token {
        None if !listing.is_continued() => {
            missing.map(|name| json!({"arn": name, "reason": "MISSING"})).collect()
        }
        _ => Vec::new(),
    };
    let mut answer = json!({"capacityProviders": entries, "failures": missing});
    if let Some(token) = token {
        answer["nextToken"] = token.into();
    }
    Ok(answer)
}

fn shown(account: &str, provider: &Resource) -> Value {
    let Resource { region, key: name, parent: cluster, profile, .. } = provider;
    let of_region = |what| Synthetic::of(&[account, region, what]);
    let mut template = json!({
        "networkConfiguration": {
            "subnets": [format!("subnet-0{}", of_region("subnet").hex(16))],
            "securityGroups": [format!("sg-0{}", of_region("group").hex(16))],
        },
        "storageConfiguration": {"storageSizeGiB": 80},
        "monitoring": "BASIC",
        "capacityOptionType": "ON_DEMAND",
    });
    if let Some(profile) = profile {
        template["ec2InstanceProfileArn"] = profile.as_str().into();
    }
    json!({
        "capacityProviderArn": format!("arn:aws:ecs:{region}:{account}:capacity-provider/{name}"),
        "name": name,
        "cluster": cluster_arn(region, account, cluster),
        "status": provider.state(),
        "managedInstancesProvider": {
            "infrastructureRoleArn": format!("arn:aws:iam::{account}:role/ecsInfrastructureRole"),
            "instanceLaunchTemplate": template,
            "propagateTags": "NONE",
        },
        "updateStatus": "CREATE_COMPLETE",
        "tags": [],
        "type": "MANAGED_INSTANCES",
    })
}

fn cluster_arn(region: &str, account: &str, name: &str) -> String {
    format!("arn:aws:ecs:{region}:{account}:cluster/{name}")
}

/// Reads a capacity provider from an account file.
fn describe_provider(
    entry: &mut ImportObject,
    resource: &mut Resource,
) -> Result<Vec<Resource>, ChangeError> {
    resource.key = entry.required_text("name")?;
    resource.parent = entry.required_text("cluster")?;
    resource.profile = exact_profile(entry)?;
    Ok(Vec::new())
}
