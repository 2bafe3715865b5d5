//! Services whose resources may reference an instance profile, one file for each service. An answer
//! has the fields that AWS always sends, not only the profile. Values that no import has set are
//! synthetic.

mod autoscaling;
pub(super) mod batch;
mod ec2;
pub(super) mod ecs;
mod eks;
mod elasticbeanstalk;
mod emr;
mod imagebuilder;
mod listing;
mod rds;

use super::actions::Action;
use super::call::Call;
use super::resources::{Resource, ResourceKind, ResourceScope};
use super::service::Service;
use super::synthetic::Synthetic;

/// Parts of a service in the account, from the file of the service.
#[derive(Debug)]
pub(super) struct ServiceTable {
    /// Service and its protocol.
    pub(super) service: Service,
    /// Supported actions.
    pub(super) actions: &'static [Action],
    /// Kinds of its resources that are entries of their own in an account file.
    pub(super) kinds: &'static [ResourceKind],
}

/// Tables of all services, in the order of the documentation.
pub(super) static SERVICES: [&ServiceTable; 9] = [
    &ec2::TABLE,
    &autoscaling::TABLE,
    &batch::TABLE,
    &ecs::TABLE,
    &imagebuilder::TABLE,
    &emr::TABLE,
    &elasticbeanstalk::TABLE,
    &eks::TABLE,
    &rds::TABLE,
];

/// Source of a synthetic id, address or number of a resource; `what` distinguishes several of one
/// resource.
fn synthetic(kind: ResourceKind, resource: &Resource, what: &str) -> Synthetic {
    Synthetic::of(&[kind.name(), &resource.region, &resource.parent, &resource.key, what])
}

/// Scope of a call's resources of a kind.
fn place<'a>(call: &'a Call<'_>, kind: ResourceKind) -> ResourceScope<'a> {
    ResourceScope { kind, region: call.region, parent: "" }
}

/// Name in an ARN such as that of a cluster; a plain name is returned unchanged.
fn name_of(name_or_arn: &str) -> &str {
    match name_or_arn.strip_prefix("arn:") {
        Some(arn) => arn.rsplit('/').next().unwrap_or_default(),
        None => name_or_arn,
    }
}

/// Timestamp in JSON services: seconds since 1970, as a floating-point number.
fn seconds(seconds: i64) -> serde_json::Value {
    #[allow(
        clippy::cast_precision_loss,
        reason = "a double holds every second of the next million years"
    )]
    let seconds = seconds as f64;
    seconds.into()
}

/// Timestamp in XML services: with milliseconds.
fn moment(seconds: i64) -> String {
    super::clock::iso8601(seconds).replace('Z', ".000Z")
}

/// Parameter name as in AWS messages: `MaxResults` becomes `maxResults`.
fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
