//! EC2 Image Builder: infrastructure configurations.

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::clock::iso8601;
use super::super::read_txn::ReadTxn;
use super::super::refusal::{ApiResult, Refusal};
use super::super::resources::{Kind, Resource};
use super::super::synthetic::Synthetic;
use super::listing::{Listing, Paging};
use super::place;

const KIND: Kind = Kind::InfrastructureConfiguration;
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
