//! Reading what is there of a profile or role, straight from AWS, for the gate's own purposes.

use std::time::Duration;

use crate::error::Result;
use crate::iam::client::Clients;
use crate::iam::image::{Image, State, Subject};
use crate::iam::{self, Run};
use crate::spec::{Args, Value};

/// The record of a profile or role and its image, with or without the policies that are attached to a role; `Nil` and `None` where there
/// is none.
///
/// # Errors
/// If AWS cannot be asked.
pub async fn read(
    clients: &Clients,
    subject: Subject,
    name: &str,
    with_policies: bool,
) -> Result<(Value, State)> {
    let args = Args::of([("name", Value::Str(name.to_owned()))]);
    let record = match call(clients, subject.get(), args).await {
        Err(error) if error.code() == "NoSuchEntity" => return Ok((Value::Nil, None)),
        other => other?,
    };
    let mut state = Image::of(&record);
    if with_policies && let Some(image) = &mut state {
        image.policies = Some(policies(clients, name).await?.into_iter().collect());
    }
    Ok((record, state))
}

/// The same, made anew some times when it fails in a way that passes: what a change rests on should not fail it.
///
/// # Errors
/// If AWS cannot be asked.
pub async fn read_patiently(
    clients: &Clients,
    subject: Subject,
    name: &str,
    with_policies: bool,
) -> Result<(Value, State)> {
    let mut pause = Duration::from_millis(500);
    for _ in 0..3 {
        match read(clients, subject, name, with_policies).await {
            Err(error) if error.aws.as_ref().is_some_and(|aws| aws.retryable) => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            other => return other,
        }
    }
    read(clients, subject, name, with_policies).await
}

/// The ARNs of the policies that are attached to a role.
///
/// # Errors
/// If AWS cannot be asked.
pub async fn policies(clients: &Clients, name: &str) -> Result<Vec<String>> {
    let mut args = Args::of([("name", Value::Str(name.to_owned()))]);
    let mut found = Vec::new();
    loop {
        let page = call(clients, "roles.list_attached_policies", args.clone()).await?;
        let Value::Page(page) = page else { return Ok(found) };
        found.extend(
            page.items.iter().filter_map(|item| item.field("arn").as_str()).map(str::to_owned),
        );
        match page.marker {
            Some(marker) => args.set("marker", Value::Str(marker)),
            None => return Ok(found),
        }
    }
}

/// Makes a call that only reads.
///
/// # Errors
/// If AWS cannot be asked, or says no.
pub async fn call(clients: &Clients, path: &'static str, args: Args) -> Result<Value> {
    match &iam::entry(path).run {
        Run::Read(call) => call(clients.clone(), args).await,
        _ => unreachable!("{path} only reads"),
    }
}
