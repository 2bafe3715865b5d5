//! AWS Batch: compute environments.

use serde_json::{Value, json};

use super::super::actions::describe_json_at;
use super::super::call::Call;
use super::super::read_txn::ReadTxn;
use super::super::refusal::ApiResult;
use super::super::resources::{self, KindRow, Resource, ResourceKind};
use super::super::service::{Protocol, Service, ServiceRow};
use super::super::synthetic::Synthetic;
use super::listing::{Listing, Paging};
use super::{ServiceTable, name_of, place, synthetic};

pub(in super::super) const SERVICE: Service = Service::of(&ServiceRow {
    name: "batch",
    protocol: Protocol::RestJson,
    throttled: (429, "TooManyRequestsException", "Too Many Requests"),
    invalid_token: (400, "ClientException", "Invalid nextToken."),
    invalid_value: "ClientException",
    failure: "ServerException",
    is_regional: true,
});
const KIND: ResourceKind = ResourceKind::of(&KindRow {
    name: "batch.compute_environment",
    states: &["VALID", "CREATING", "UPDATING", "DELETING", "DELETED", "INVALID"],
    state_key: Some("status"),
    ..KindRow::NAMED
});

/// Part of the service in the account.
pub(super) static TABLE: ServiceTable = ServiceTable {
    service: SERVICE,
    actions: &[describe_json_at(
        SERVICE,
        "DescribeComputeEnvironments",
        ("POST", "/v1/describecomputeenvironments"),
        describe_compute_environments,
    )],
    kinds: &[KIND],
};

const PAGING: Paging =
    Paging { limit: "maxResults", min: 1, max: 100, default_limit: 100, token: "nextToken" };

/// `DescribeComputeEnvironments`: all, or those given by name or ARN. Unknown ones are ignored.
pub(in super::super) fn describe_compute_environments(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
) -> ApiResult<Value> {
    let names = call.json_texts("computeEnvironments")?;
    let (found, token) = if names.is_empty() {
        Listing::of(view, call, &PAGING, "")?.page(view, place(call, KIND), |_| true)?
    } else {
        let mut found = Vec::new();
        for name in names {
            found.extend(resources::find(view.connection, place(call, KIND), name_of(name))?);
        }
        (found, None)
    };
    let account = &view.account.id;
    let entries = found.iter().map(|environment| shown(account, environment));
    let mut answer = json!({"computeEnvironments": entries.collect::<Value>()});
    if let Some(token) = token {
        answer["nextToken"] = token.into();
    }
    Ok(answer)
}

fn shown(account: &str, environment: &Resource) -> Value {
    let Resource { region, key: name, profile, .. } = environment;
    let synthetic = |what| synthetic(KIND, environment, what);
    let of_region = |what| Synthetic::of(&[account, region, what]);
    let (uuid, cluster) = (synthetic("uuid").uuid(), synthetic("cluster").uuid());
    let mut entry = json!({
        "computeEnvironmentName": name,
        "computeEnvironmentArn": format!("arn:aws:batch:{region}:{account}:compute-environment/{name}"),
        "ecsClusterArn": format!("arn:aws:ecs:{region}:{account}:cluster/AWSBatch-{name}-{cluster}"),
        "tags": {},
        "type": "MANAGED",
        "state": "ENABLED",
        "status": environment.state(),
        "statusReason": "ComputeEnvironment Healthy",
        "computeResources": {
            "type": "EC2",
            "allocationStrategy": "BEST_FIT_PROGRESSIVE",
            "minvCpus": 0,
            "maxvCpus": 256,
            "desiredvCpus": 0,
            "instanceTypes": ["optimal"],
            "subnets": [format!("subnet-0{}", of_region("subnet").hex(16))],
            "securityGroupIds": [format!("sg-0{}", of_region("group").hex(16))],
            "tags": {},
            "ec2Configuration": [{"imageType": "ECS_AL2"}],
        },
        "serviceRole": format!("arn:aws:iam::{account}:role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"),
        "updatePolicy": {"terminateJobsOnUpdate": false, "jobExecutionTimeoutMinutes": 30},
        "containerOrchestrationType": "ECS",
        "uuid": uuid,
    });
    if let Some(profile) = profile {
        entry["computeResources"]["instanceRole"] = profile.as_str().into();
    }
    entry
}
