//! Reads of profiles and roles, straight from AWS, for the gate's own purposes.

use super::retrying_client::RetryingClient;
use crate::error::Result;
use crate::iam::snapshot::{Snapshot, Subject};
use crate::iam::{self, Call, Entry, Markers, Run};
use crate::spec::{Args, Value};

/// Record and snapshot of a profile or role, with or without the policies attached to a role; `Nil`
/// and `None` if it does not exist.
///
/// # Errors
/// If AWS cannot be reached.
pub async fn read(
    line: &RetryingClient,
    subject: Subject,
    name: &str,
    with_policies: bool,
) -> Result<(Value, Option<Snapshot>)> {
    let args = Args::of([("name", Value::Str(name.to_owned()))]);
    let record = match call(line, subject.get(), args).await {
        Err(error) if error.code() == "NoSuchEntity" => return Ok((Value::Nil, None)),
        other => other?,
    };
    let mut state = Snapshot::of(&record);
    if with_policies && let Some(image) = &mut state {
        let attached = match policies(line, name).await {
            // One replica may know a role that was just created, and the next not yet.
            Err(error) if error.code() == "NoSuchEntity" => Vec::new(),
            other => other?,
        };
        image.policies = Some(attached.into_iter().collect());
    }
    Ok((record, state))
}

/// ARNs of the policies attached to a role.
///
/// # Errors
/// If AWS cannot be reached.
pub async fn policies(line: &RetryingClient, name: &str) -> Result<Vec<String>> {
    let mut args = Args::of([("name", Value::Str(name.to_owned()))]);
    let (mut found, mut markers) = (Vec::new(), Markers::default());
    loop {
        let page = call(line, "roles.list_attached_policies", args.clone()).await?;
        let Value::Page(page) = page else { return Ok(found) };
        found.extend(
            page.items.iter().filter_map(|item| item.field("arn").as_str()).map(str::to_owned),
        );
        match markers.after(&page)? {
            Some(marker) => args.set("marker", Value::Str(marker)),
            None => return Ok(found),
        }
    }
}

/// Makes a call that only reads.
///
/// # Errors
/// If AWS cannot be reached, or refuses the call.
pub async fn call(line: &RetryingClient, path: &'static str, args: Args) -> Result<Value> {
    let (entry, call) = read_of(path);
    line.read(entry, call, &args).await
}

/// Registry entry of that path, which only reads, and its call.
pub fn read_of(path: &'static str) -> (&'static Entry, Call) {
    let entry = iam::entry(path);
    match entry.run {
        Run::Read(_, call) => (entry, call),
        _ => unreachable!("{path} only reads"),
    }
}
