//! Amazon EKS: clusters and their managed node groups. A node group has a role; EKS creates the
//! instance profile for it.

use serde_json::{Value, json};

use super::super::ChangeError;
use super::super::actions::describe_json_at;
use super::super::call::Call;
use super::super::import::ImportObject;
use super::super::read_txn::ReadTxn;
use super::super::records::Role;
use super::super::refusal::{ApiResult, Refusal};
use super::super::resources::{self, KindRow, Resource, ResourceKind, ResourceScope};
use super::super::service::{Protocol, Service, ServiceRow};
use super::super::synthetic::Synthetic;
use super::ec2::launch_templates;
use super::listing::{Listing, Paging};
use super::{ServiceTable, seconds, synthetic};

const SERVICE: Service = Service::of(&ServiceRow {
    name: "eks",
    protocol: Protocol::RestJson,
    throttled: (429, "ThrottlingException", "Rate exceeded"),
    invalid_token: (400, "InvalidParameterException", "Invalid nextToken."),
    invalid_value: "InvalidParameterException",
    failure: "ServerException",
    is_regional: true,
});
const KIND: ResourceKind = ResourceKind::of(&KindRow {
    name: "eks.node_group",
    states: &[
        "ACTIVE",
        "CREATING",
        "UPDATING",
        "DELETING",
        "CREATE_FAILED",
        "DELETE_FAILED",
        "DEGRADED",
    ],
    state_key: Some("status"),
    fields: &["name", "cluster", "role", "launch_template"],
    describe: describe_entry,
    ..KindRow::NAMED
});

/// Part of the service in the account.
pub(super) static TABLE: ServiceTable = ServiceTable {
    service: SERVICE,
    actions: &[
        describe_json_at(SERVICE, "ListClusters", ("GET", "/clusters"), list_clusters),
        describe_json_at(
            SERVICE,
            "ListNodegroups",
            ("GET", "/clusters/{name}/node-groups"),
            list_node_groups,
        ),
        describe_json_at(
            SERVICE,
            "DescribeNodegroup",
            ("GET", "/clusters/{name}/node-groups/{nodegroupName}"),
            describe_node_group,
        ),
    ],
    kinds: &[KIND],
};

const PAGING: Paging =
    Paging { limit: "maxResults", min: 1, max: 100, default_limit: 100, token: "nextToken" };

/// `ListClusters`.
pub(in super::super) fn list_clusters(view: &ReadTxn<'_>, call: &Call<'_>) -> ApiResult<Value> {
    let (clusters, token) = Listing::of(view, call, &PAGING, "")?.parents(view, KIND)?;
    Ok(json!({"clusters": clusters, "nextToken": token}))
}

/// `ListNodegroups` of a cluster.
pub(in super::super) fn list_node_groups(view: &ReadTxn<'_>, call: &Call<'_>) -> ApiResult<Value> {
    let cluster = call.json_text("name")?.unwrap_or_default();
    let place = ResourceScope { kind: KIND, region: call.region, parent: cluster };
    require_cluster(view, place)?;
    let listing = Listing::of(view, call, &PAGING, cluster)?;
    let (found, token) = listing.page(view, place, |_| true)?;
    let names: Vec<_> = found.into_iter().map(|group| group.key).collect();
    Ok(json!({"nodegroups": names, "nextToken": token}))
}

/// `DescribeNodegroup`.
pub(in super::super) fn describe_node_group(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
) -> ApiResult<Value> {
    let cluster = call.json_text("name")?.unwrap_or_default();
    let name = call.json_text("nodegroupName")?.unwrap_or_default();
    let place = ResourceScope { kind: KIND, region: call.region, parent: cluster };
    require_cluster(view, place)?;
    let group = resources::find(view.connection, place, name)?;
    let group =
        group.ok_or_else(|| not_found(&format!("No node group found for name: {name}.")))?;
    Ok(json!({"nodegroup": shown(view, &group)?}))
}

fn require_cluster(view: &ReadTxn<'_>, place: ResourceScope<'_>) -> ApiResult<()> {
    if resources::is_empty(view.connection, place)? {
        return Err(not_found(&format!("No cluster found for name: {}.", place.parent)).into());
    }
    Ok(())
}

fn not_found(message: &str) -> Refusal {
    Refusal::not_there(404, "ResourceNotFoundException", message)
}

fn shown(view: &ReadTxn<'_>, group: &Resource) -> ApiResult<Value> {
    let account = &view.account.id;
    let Resource { region, key: name, parent: cluster, created, .. } = group;
    let uuid = synthetic(KIND, group, "arn").uuid();
    let of_region = |what| Synthetic::of(&[account, region, what]).hex(16);
    let mut entry = json!({
        "nodegroupName": name,
        "nodegroupArn": format!("arn:aws:eks:{region}:{account}:nodegroup/{cluster}/{name}/{uuid}"),
        "clusterName": cluster,
        "version": "1.31",
        "releaseVersion": "1.31.3-20250103",
        "createdAt": seconds(*created),
        "modifiedAt": seconds(created + 600),
        "status": group.state(),
        "capacityType": "ON_DEMAND",
        "scalingConfig": {"minSize": 1, "maxSize": 6, "desiredSize": 3},
        "instanceTypes": ["m5.large"],
        "subnets": [format!("subnet-0{}", of_region("subnet"))],
        "amiType": "AL2023_x86_64_STANDARD",
        "nodeRole": role_arn(view, group.text("role").unwrap_or_default())?,
        "labels": {},
        "resources": {"autoScalingGroups": [{"name": format!("eks-{name}-{uuid}")}]},
        "diskSize": 20,
        "health": {"issues": []},
        "updateConfig": {"maxUnavailable": 1},
        "tags": {},
    });
    if let Some(template) = group.text("launch_template") {
        let found = match resources::find(
            view.connection,
            ResourceScope { kind: launch_templates::KIND, region, parent: "" },
            template,
        )? {
            Some(found) => Some(found),
            None => {
                resources::named(view.connection, launch_templates::KIND, region, template)?.pop()
            }
        };
        entry["launchTemplate"] = match found {
            Some(found) => json!({"name": found.name(), "version": "1", "id": found.key}),
            None => {
                json!({"name": template, "version": "1", "id": format!("lt-0{}", Synthetic::of(&[region, template]).hex(16))})
            }
        };
    }
    Ok(entry)
}

/// ARN of a role. EKS always returns the ARN, in whatever form the import gave the role.
fn role_arn(view: &ReadTxn<'_>, role: &str) -> ApiResult<String> {
    if role.starts_with("arn:") {
        return Ok(role.to_owned());
    }
    let account = &view.account.id;
    let known: Option<Role> = view.find(role)?;
    Ok(known
        .map_or_else(|| format!("arn:aws:iam::{account}:role/{role}"), |known| known.arn(account)))
}

/// Reads a node group from an account file.
fn describe_entry(
    entry: &mut ImportObject,
    resource: &mut Resource,
) -> Result<Vec<Resource>, ChangeError> {
    resource.key = entry.required_text("name")?;
    resource.parent = entry.required_text("cluster")?;
    let role = entry.required_text("role")?;
    resource.more.insert("role".to_owned(), role.into());
    if let Some(template) = entry.short_text("launch_template")? {
        resource.more.insert("launch_template".to_owned(), template.into());
    }
    Ok(Vec::new())
}
