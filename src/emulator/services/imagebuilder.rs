//! EC2 Image Builder: infrastructure configurations.

use serde_json::{Value, json};

use super::super::actions::describe_json_at;
use super::super::call::Call;
use super::super::clock::iso8601;
use super::super::read_txn::ReadTxn;
use super::super::refusal::{ApiResult, Refusal};
use super::super::resources::{KindRow, Resource, ResourceKind};
use super::super::service::{Protocol, Service, ServiceRow};
use super::super::synthetic::Synthetic;
use super::listing::{Listing, Paging};
use super::{ServiceTable, place};

const SERVICE: Service = Service::of(&ServiceRow {
    name: "imagebuilder",
    protocol: Protocol::RestJson,
    throttled: (
        429,
        "CallRateLimitExceededException",
        "You have exceeded the permitted request rate for the specific operation.",
    ),
    invalid_token: (
        400,
        "InvalidPaginationTokenException",
        "You have provided an invalid pagination token in your request.",
    ),
    invalid_value: "InvalidRequestException",
    failure: "ServiceException",
    is_regional: true,
});
const KIND: ResourceKind = ResourceKind::of(&KindRow {
    name: "imagebuilder.infrastructure_configuration",
    ..KindRow::NAMED
});

/// Part of the service in the account.
pub(super) static TABLE: ServiceTable = ServiceTable {
    service: SERVICE,
    actions: &[describe_json_at(
        SERVICE,
        "ListInfrastructureConfigurations",
        ("POST", "/ListInfrastructureConfigurations"),
        list_infrastructure_configurations,
    )],
    kinds: &[KIND],
};

const PAGING: Paging =
    Paging { limit: "maxResults", min: 1, max: 100, default_limit: 25, token: "nextToken" };

/// `ListInfrastructureConfigurations`.
pub(in super::super) fn list_infrastructure_configurations(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
) -> ApiResult<Value> {
    if call.json.get("filters").and_then(Value::as_array).is_some_and(|all| !all.is_empty()) {
        let message = "The local account knows no filters of infrastructure configurations.";
        return Err(Refusal::invalid_value(call.action.service, message).into());
    }
    let listing = Listing::of(view, call, &PAGING, "")?;
    let (found, token) = listing.page(view, place(call, KIND), |_| true)?;
    let account = &view.account.id;
    let entries = found.iter().map(|configuration| shown(account, configuration));
    let request = Synthetic::of(&[call.region, "request", &found.len().to_string()]).uuid();
    let mut answer = json!({
        "requestId": request,
        "infrastructureConfigurationSummaryList": entries.collect::<Value>(),
    });
    if let Some(token) = token {
        answer["nextToken"] = token.into();
    }
    Ok(answer)
}

fn shown(account: &str, configuration: &Resource) -> Value {
    let Resource { region, key: name, created, profile, .. } = configuration;
    // The ARN has the name in lower case, with hyphens for spaces.
    let slug = name.to_lowercase().replace([' ', '_'], "-");
    let mut entry = json!({
        "arn": format!("arn:aws:imagebuilder:{region}:{account}:infrastructure-configuration/{slug}"),
        "name": name,
        "dateCreated": iso8601(*created),
        "resourceTags": {},
        "tags": {},
        "instanceTypes": ["m5.large"],
    });
    if let Some(profile) = profile {
        entry["instanceProfileName"] = profile.as_str().into();
    }
    entry
}
