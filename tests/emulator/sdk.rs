//! Local account with the AWS SDK's own clients.

use std::time::Duration;

use aws_sdk_iam::Client as Iam;
use aws_sdk_iam::config::retry::RetryConfig;
use aws_sdk_iam::config::timeout::TimeoutConfig;
use aws_sdk_iam::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_iam::operation::RequestId;
use aws_sdk_iam::types::Tag;
use iamlua::emulator::{Clock, Contents, Emulator, EmulatorSettings};

use super::options;

fn iam(faults: &str, attempts: u32) -> (Emulator, Iam) {
    iam_with_timeout(faults, attempts, crate::patience::PATIENCE)
}

fn iam_with_timeout(faults: &str, attempts: u32, timeout: Duration) -> (Emulator, Iam) {
    let faults = faults.parse().expect("the faults are well written");
    let options = EmulatorSettings { faults, clock: Clock::Real, ..options() };
    let emulator = Emulator::in_memory(options).expect("memory");
    emulator.reset(Contents::Empty).expect("memory can be written");
    let retries = RetryConfig::standard()
        .with_max_attempts(attempts)
        .with_initial_backoff(Duration::from_millis(1));
    let config = aws_sdk_iam::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
        .retry_config(retries)
        .timeout_config(TimeoutConfig::builder().read_timeout(timeout).build())
        .http_client(emulator.http_client())
        .build();
    (emulator, Iam::from_conf(config))
}

#[tokio::test]
async fn a_client_sees_results_and_errors_as_from_aws() {
    let (_, iam) = iam("", 1);
    let tag = Tag::builder().key("Team").value("web @ ops").build().expect("a tag");
    let made = iam.create_instance_profile().instance_profile_name("p").tags(tag);
    let made = made.send().await.expect("it is free");
    let profile = made.instance_profile().expect("a profile");
    assert_eq!(profile.arn(), "arn:aws:iam::123456789012:instance-profile/p");
    assert!(profile.create_date().secs() > 1_767_323_045);
    assert_eq!(profile.tags()[0].value(), "web @ ops");

    let error = iam.get_instance_profile().instance_profile_name("q").send().await;
    let error = error.expect_err("there is none");
    assert!(error.request_id().is_some());
    let error = error.into_service_error();
    assert!(error.is_no_such_entity_exception());
    assert_eq!(error.message(), Some("Instance Profile q cannot be found."));

    let mut pages = iam.list_instance_profiles().into_paginator().page_size(1).send();
    let page = pages.next().await.expect("a page").expect("it can be listed");
    assert_eq!(page.instance_profiles().len(), 1);
    assert!(pages.next().await.is_none());
}

/// Half of the responses are lost: the client retries, and finds the effect of its own call.
#[tokio::test]
async fn a_lost_answer_is_tried_again() {
    let (_, iam) = iam("lost=50%,seed=3", 10);
    let mut again = 0;
    for number in 0..20 {
        let name = format!("p{number}");
        let made = iam.create_instance_profile().instance_profile_name(&name).send().await;
        if let Err(error) = made {
            let error = error.into_service_error();
            assert!(error.is_entity_already_exists_exception(), "{error:?}");
            again += 1;
        }
        iam.get_instance_profile().instance_profile_name(&name).send().await.expect("it was made");
    }
    assert!((3..18).contains(&again), "{again} of 20 answers to a create got lost");
}

#[tokio::test]
async fn throttling_and_failures_are_retried_too() {
    let (_, iam) = iam("error=50%,throttle=500/1,seed=5", 20);
    for _ in 0..10 {
        iam.list_roles().send().await.expect("one of twenty attempts gets through");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    let (_, iam) = iam("cut=iam:ListRoles", 1);
    let error = iam.list_roles().send().await.expect_err("half of it came");
    assert!(
        matches!(error, SdkError::ResponseError(_) | SdkError::DispatchFailure(_)),
        "{error:?}"
    );
    iam.list_instance_profiles().send().await.expect("other calls are well");
}

#[tokio::test]
async fn the_clients_own_timeout_holds() {
    let (_, iam) = iam_with_timeout("latency=1000h", 1, Duration::from_millis(200));
    let error = iam.list_roles().send().await.expect_err("it does not wait that long");
    assert!(
        matches!(&error, SdkError::DispatchFailure(failure) if failure.is_timeout()),
        "{error:?}"
    );
}
