//! The services whose resources may name an instance profile: one file for each, with the answers to the calls that look at them.
//! An answer has what AWS always sends, not only the profile; what no import says is made up.

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
use super::resources::{Kind, Resource, ResourceScope};
use super::service::Service;
use super::synthetic::MadeUp;

/// What the file of a service has for the account.
#[derive(Debug)]
pub(super) struct ServiceTable {
    /// The service and how it is spoken to.
    pub(super) service: Service,
    /// The actions that it answers.
    pub(super) actions: &'static [Action],
    /// The kinds of its resources that stand by themselves in an account file.
    pub(super) kinds: &'static [Kind],
}

/// The tables of all of them, in the order of the documentation.
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

/// What an id, address or number of that resource is made from; `what` tells several of one resource apart.
fn made_up(kind: Kind, resource: &Resource, what: &str) -> MadeUp {
    MadeUp::of(&[kind.name(), &resource.region, &resource.parent, &resource.key, what])
}

/// Where the resources of that kind are that a call is about.
fn place<'a>(call: &'a Call<'_>, kind: Kind) -> ResourceScope<'a> {
    ResourceScope { kind, region: call.region, parent: "" }
}

/// The name in an ARN such as that of a cluster, or what is a name already.
fn name_of(name_or_arn: &str) -> &str {
    match name_or_arn.strip_prefix("arn:") {
        Some(arn) => arn.rsplit('/').next().unwrap_or_default(),
        None => name_or_arn,
    }
}

/// A moment as JSON services write it: seconds since 1970, with a fraction.
fn seconds(seconds: i64) -> serde_json::Value {
    #[allow(
        clippy::cast_precision_loss,
        reason = "a double holds every second of the next million years"
    )]
    let seconds = seconds as f64;
    seconds.into()
}

/// A moment as XML services write it: with milliseconds.
fn moment(seconds: i64) -> String {
    super::clock::iso8601(seconds).replace('Z', ".000Z")
}

/// A parameter's name as messages write it: `MaxResults` is `maxResults`.
fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
