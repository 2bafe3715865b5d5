//! Amazon EC2: regions, instances and their profiles, launch templates, Spot requests.

pub(in super::super) mod instances;
pub(in super::super) mod launch_templates;
pub(in super::super) mod regions;
pub(in super::super) mod spot;

use wildmatch::WildMatch;

use super::super::actions::describe;
use super::super::call::Call;
use super::super::read_txn::ReadTxn;
use super::super::refusal::{ApiResult, Refusal};
use super::super::resources::{self, Resource, ResourceKind};
use super::super::service::{Protocol, Service, ServiceRow};
use super::super::xml::Xml;
use super::listing::{Listing, Paging};
use super::{ServiceTable, place};

const SERVICE: Service = Service::of(&ServiceRow {
    name: "ec2",
    protocol: Protocol::Ec2 {
        version: "2016-11-15",
        namespace: "http://ec2.amazonaws.com/doc/2016-11-15/",
    },
    throttled: (503, "RequestLimitExceeded", "Request limit exceeded."),
    invalid_token: (400, "InvalidNextToken", "The specified NextToken is not valid."),
    invalid_value: "InvalidParameterValue",
    failure: "InternalError",
    is_regional: true,
});

/// Part of the service in the account.
pub(super) static TABLE: ServiceTable = ServiceTable {
    service: SERVICE,
    actions: &[
        describe(SERVICE, "DescribeRegions", regions::describe),
        describe(SERVICE, "DescribeInstances", instances::describe),
        describe(
            SERVICE,
            "DescribeIamInstanceProfileAssociations",
            instances::describe_associations,
        ),
        describe(SERVICE, "DescribeLaunchTemplates", launch_templates::describe),
        describe(SERVICE, "DescribeLaunchTemplateVersions", launch_templates::describe_versions),
        describe(SERVICE, "DescribeSpotFleetRequests", spot::describe_fleets),
        describe(SERVICE, "DescribeSpotInstanceRequests", spot::describe_requests),
    ],
    kinds: &[
        instances::INSTANCE,
        instances::ASSOCIATION,
        launch_templates::KIND,
        spot::FLEET,
        spot::REQUEST,
    ],
};

/// Paging parameters of EC2, with the given bounds.
const fn paging(min: i64, max: i64, default_limit: usize) -> Paging {
    Paging { limit: "MaxResults", min, max, default_limit, token: "NextToken" }
}

/// Filters of a call, each with its accepted values.
struct Filters(Vec<(String, Vec<WildMatch>)>);

impl Filters {
    /// Parses the filters; `known` are those that the action supports here.
    fn of(call: &Call<'_>, known: &[&str]) -> Result<Self, Refusal> {
        let mut filters = Vec::new();
        for filter in call.form.list_between("Filter", ".") {
            let name = filter.field("Name").unwrap_or_default();
            if !known.contains(&name) {
                let message = format!(
                    "The filter '{name}' is invalid (the local account knows {})",
                    known.join(", ")
                );
                return Err(Refusal::invalid_value(call.action.service, message));
            }
            let values = filter.list("Value", ".").into_iter().map(WildMatch::new).collect();
            filters.push((name.to_owned(), values));
        }
        Ok(Self(filters))
    }

    /// Match of an entity with all filters; `value` returns its value for a filter's name.
    fn pass<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|(name, wanted)| {
            value(name).is_some_and(|value| wanted.iter().any(|wanted| wanted.matches(value)))
        })
    }

    /// Scope of a filtered list, for page tokens.
    fn scope(&self) -> String {
        let texts = self.0.iter().map(|(name, wanted)| {
            let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
            format!("{name}={}", wanted.join("|"))
        });
        texts.collect::<Vec<_>>().join("&")
    }
}

/// Handles `DryRun`, which is answered before anything is read.
fn check_dry_run(call: &Call<'_>) -> ApiResult<()> {
    match call.optional_text("DryRun") {
        Some("true") => Err(Refusal::dry_run().into()),
        _ => Ok(()),
    }
}

/// Strings of a list parameter.
fn texts<'a>(call: &Call<'a>, name: &str) -> Vec<&'a str> {
    let members = call.form.list_between(name, ".");
    members.iter().filter_map(|member| member.field("")).collect()
}

/// Lookup of a kind by id.
struct NamedResource {
    kind: ResourceKind,
    /// List parameter with the ids.
    ids: &'static str,
    /// Error code for a missing resource.
    code: &'static str,
    /// Term for the resource in the error.
    noun: &'static str,
}

/// Requested resources: those with the given ids, or a page of all.
fn requested(
    view: &ReadTxn<'_>,
    call: &Call<'_>,
    named: &NamedResource,
    paging: &Paging,
    (filters, value): (&Filters, impl for<'r> Fn(&'r Resource, &str) -> Option<&'r str>),
) -> ApiResult<(Vec<Resource>, Option<String>)> {
    check_dry_run(call)?;
    let passes = |resource: &Resource| filters.pass(|name| value(resource, name));
    let ids = texts(call, named.ids);
    if ids.is_empty() {
        let listing = Listing::of(view, call, paging, &filters.scope())?;
        return listing.page(view, place(call, named.kind), passes);
    }
    if call.optional_text("MaxResults").is_some_and(|text| !text.is_empty()) {
        let message =
            format!("The parameter {} cannot be used with the parameter maxResults", named.ids);
        return Err(Refusal::not_there(400, "InvalidParameterCombination", message).into());
    }
    let mut found = Vec::new();
    for id in ids {
        let one = resources::find(view.connection, place(call, named.kind), id)?;
        let one = one.ok_or_else(|| {
            let message = format!("The {} '{id}' does not exist", named.noun);
            Refusal::not_there(400, named.code, message)
        })?;
        found.extend(Some(one).filter(&passes));
    }
    Ok((found, None))
}

fn write_token(xml: &mut Xml, token: Option<String>) {
    if let Some(token) = token {
        xml.text("nextToken", &token);
    }
}

/// `<iamInstanceProfile>` with the value as it was given: an ARN, or a name.
fn write_given_profile(xml: &mut Xml, profile: &str) {
    xml.literal("<iamInstanceProfile>");
    xml.text(if profile.starts_with("arn:") { "arn" } else { "name" }, profile);
    xml.literal("</iamInstanceProfile>");
}

/// `<iamInstanceProfile>` with both ARN and id.
fn write_resolved_profile(xml: &mut Xml, resource: &Resource) {
    let Some(profile) = &resource.profile else { return };
    xml.literal("<iamInstanceProfile>");
    xml.text("arn", profile);
    xml.text("id", resource.profile_id.as_deref().unwrap_or_default());
    xml.literal("</iamInstanceProfile>");
}
