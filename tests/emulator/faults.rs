//! Fault injection: each fault by itself, repeatability by a seed, and the syntax.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use iamlua::emulator::{Answer, Clock, EmulatorSettings, Faults, ManualClock};
use iamlua::error::Kind;

use super::{Client, options, request, stopped_clock};
use crate::patience::until;

const PROFILE: &str = "InstanceProfileName";

fn under(faults: &str) -> (Client, ManualClock) {
    let clock = stopped_clock();
    let faults = faults.parse().expect("the faults are well written");
    let options = EmulatorSettings { clock: Clock::Manual(clock.clone()), faults, ..options() };
    (Client::with_options(options), clock)
}

fn statuses(client: &Client, calls: usize) -> Vec<u16> {
    (0..calls).map(|_| client.ask("ListRoles", &[]).status).collect()
}

#[test]
fn a_throttle_lets_a_burst_through_and_then_a_rate() {
    let (client, clock) = under("throttle=2/3");
    assert_eq!(statuses(&client, 4), [200, 200, 200, 400]);
    let refused = client.refused("ListRoles", &[]);
    assert_eq!(refused, (400, "Throttling".to_owned(), "Rate exceeded".to_owned()));
    clock.advance(Duration::from_millis(500));
    assert_eq!(statuses(&client, 2), [200, 400]);
    clock.advance(Duration::from_hours(1));
    assert_eq!(
        statuses(&client, 4),
        [200, 200, 200, 400],
        "the bucket holds no more than its burst"
    );
}

#[test]
fn latency_takes_time_but_not_from_a_throttled_call() {
    let (client, _) = under("latency=30ms");
    let start = std::time::Instant::now();
    assert_eq!(client.ask("ListRoles", &[]).status, 200);
    assert!(start.elapsed() >= Duration::from_millis(30));
    let (client, _) = under("latency=100000h,throttle=0/1");
    assert!(is_pending(&client, "ListRoles"), "it takes the token of the bucket and waits");
    assert_eq!(client.ask("ListRoles", &[]).status, 400, "this one does not wait");
}

/// Starts a call and abandons it; returns true if it was waiting.
fn is_pending(client: &Client, action: &str) -> bool {
    let emulator = client.emulator.clone();
    client.run(async move {
        let mut answer =
            std::pin::pin!(emulator.answer(request("AKIAIOSFODNN7EXAMPLE", action, &[])));
        std::future::poll_fn(|context| Poll::Ready(answer.as_mut().poll(context).is_pending()))
            .await
    })
}

#[test]
fn a_call_that_is_held_waits_until_it_is_let_go() {
    let (client, _) = under("hold=iam:Create*+iam:GetRole");
    let held = || client.emulator.held_calls().expect("memory");
    assert!(held().is_empty());
    assert_eq!(client.ask("ListRoles", &[]).status, 200, "others are not held");
    let create = |name: &'static str| {
        let client = client.with_access_key("AKIAIOSFODNN7EXAMPLE");
        std::thread::spawn(move || client.ask("CreateInstanceProfile", &[(PROFILE, name)]).status)
    };
    let names = || client.get("ListInstanceProfiles", &[]).texts("InstanceProfiles", PROFILE);
    let holds = |calls| until(|| held().len() == calls, || format!("{:?}", held()));
    let one = create("one");
    holds(1);
    assert_eq!(held(), ["iam:CreateInstanceProfile@us-east-1"]);
    assert!(names().is_empty(), "nothing happens before it is let go");
    assert_eq!(client.emulator.release_calls().expect("memory").len(), 1);
    assert_eq!(one.join().expect("no panic"), 200);
    assert_eq!((names(), held().len()), (vec!["one".to_owned()], 0));
    // Later calls are held as well, until other faults release them.
    let two = create("two");
    holds(1);
    client.emulator.set_faults("hold=iam:Create*,seed=1".parse().expect("faults"));
    assert_eq!(held().len(), 1, "it is still among them");
    client.emulator.set_faults("hold=iam:DeleteRole".parse().expect("faults"));
    assert_eq!(two.join().expect("no panic"), 200);
    // An abandoned call is held no longer, and had no effect.
    client.emulator.set_faults("hold=iam:ListRoles".parse().expect("faults"));
    assert!(is_pending(&client, "ListRoles"));
    assert!(held().is_empty());
    assert_eq!(names(), ["one", "two"]);
    assert!(client.emulator.release_calls().expect("memory").is_empty());
}

#[test]
fn an_error_happens_before_anything_else_does() {
    let (client, _) = under("error=100%");
    let reply = client.ask("CreateInstanceProfile", &[(PROFILE, "p")]);
    assert_eq!(reply.status, 500);
    assert!(reply.body.contains("<Type>Receiver</Type><Code>ServiceFailure</Code>"));
    let mut export = Vec::new();
    client.emulator.export(&mut export).expect("an export is no call");
    assert!(!String::from_utf8_lossy(&export).contains("\"p\""), "it was made all the same");
}

#[test]
fn a_lost_call_is_carried_out() {
    let (client, _) = under("lost=100%");
    assert_eq!(client.answer("CreateInstanceProfile", &[(PROFILE, "p")]), Answer::Lost);
    let mut export = Vec::new();
    client.emulator.export(&mut export).expect("an export is no call");
    assert!(String::from_utf8_lossy(&export).contains("\"name\":\"p\""), "it was not made");
}

#[test]
fn one_seed_is_one_weather() {
    let weather = |faults: &str| {
        let (client, _) = under(faults);
        let one = |_| match client.answer("ListRoles", &[]) {
            Answer::Lost | Answer::Cut(_) => 0,
            Answer::Reply(reply) => reply.status,
        };
        (0..200).map(one).collect::<Vec<_>>()
    };
    let seven = weather("error=20%,lost=20%,seed=7");
    assert_eq!(seven, weather("error=20%,lost=20%,seed=7"));
    assert_ne!(seven, weather("error=20%,lost=20%,seed=8"));
    for outcome in [0, 200, 500] {
        let count = seven.iter().filter(|status| **status == outcome).count();
        assert!(count > 15, "{outcome} happened {count} times of 200");
    }
}

#[test]
fn reads_lag_behind_in_every_way_and_all_alike() {
    let (client, clock) = under("lag=2s");
    let later = || clock.advance(Duration::from_millis(1_999));
    let names = || client.get("ListInstanceProfiles", &[]).texts("InstanceProfiles", PROFILE);
    let is_there = |name: &str| client.ask("GetInstanceProfile", &[(PROFILE, name)]).status == 200;
    let tag = |value: &str| {
        let tag = [("Tags.member.1.Key", "k"), ("Tags.member.1.Value", value)];
        client.get("TagInstanceProfile", &[(PROFILE, "b"), tag[0], tag[1]]);
    };
    let tags = || client.get("ListInstanceProfileTags", &[(PROFILE, "b")]).tags();
    let count = || {
        let summary = client.get("GetAccountSummary", &[]);
        let entries = &summary.child("SummaryMap").expect("a map").children;
        let profiles = entries.iter().find(|entry| entry.text("key") == "InstanceProfiles");
        profiles.expect("the count").text("value")
    };

    // A new profile is not visible yet, except to a write.
    for name in ["a", "b", "c"] {
        client.create_profile(name, "/");
    }
    client.create_role("r");
    later();
    assert!(names().is_empty() && !is_there("b"));
    assert_eq!(count(), "0");
    assert_eq!(client.refused("GetRole", &[("RoleName", "r")]).0, 404);
    assert_eq!(client.refused("CreateInstanceProfile", &[(PROFILE, "b")]).0, 409);
    clock.advance(Duration::from_millis(1));
    assert_eq!(names(), ["a", "b", "c"]);
    assert_eq!(count(), "3");

    // A change is not visible yet: in the profile, in its tags, in the list of the role.
    client.get("AddRoleToInstanceProfile", &[(PROFILE, "b"), ("RoleName", "r")]);
    tag("1");
    later();
    assert!(tags().is_empty());
    let of_role = || {
        let result = client.get("ListInstanceProfilesForRole", &[("RoleName", "r")]);
        result.texts("InstanceProfiles", PROFILE)
    };
    let roles_of_b = || {
        let result = client.get("GetInstanceProfile", &[(PROFILE, "b")]);
        result.texts("InstanceProfile/Roles", "RoleName")
    };
    assert!(of_role().is_empty() && roles_of_b().is_empty());
    tag("2");
    clock.advance(Duration::from_millis(1));
    assert_eq!(tags().get("k").map(String::as_str), Some("1"), "the first change, not the second");
    assert_eq!((of_role(), roles_of_b()), (vec!["b".to_owned()], vec!["r".to_owned()]));
    later();
    assert_eq!(tags().get("k").map(String::as_str), Some("2"));

    // A deleted profile is still visible, with its deleted role; its replacement is not.
    client.get("RemoveRoleFromInstanceProfile", &[(PROFILE, "b"), ("RoleName", "r")]);
    client.get("DeleteInstanceProfile", &[(PROFILE, "b")]);
    client.get("DeleteRole", &[("RoleName", "r")]);
    client.create_profile("B", "/moved/");
    later();
    assert_eq!((names(), count()), (vec!["a".into(), "b".into(), "c".into()], "3".into()));
    assert_eq!((of_role(), roles_of_b()), (vec!["b".to_owned()], vec!["r".to_owned()]));
    let paged = client.get("ListInstanceProfiles", &[("MaxItems", "2")]);
    assert_eq!(paged.texts("InstanceProfiles", PROFILE), ["a", "b"]);
    let rest = [("Marker", &*paged.text("Marker")), ("MaxItems", "2")];
    assert_eq!(client.get("ListInstanceProfiles", &rest).texts("InstanceProfiles", PROFILE), ["c"]);
    clock.advance(Duration::from_millis(1));
    assert_eq!(names(), ["a", "c", "B"]);
    assert!(is_there("b"), "names ignore case");
    assert_eq!(client.refused("GetRole", &[("RoleName", "r")]).0, 404);
}

#[test]
fn faults_are_written_one_after_the_other() {
    let text = "latency=20ms,throttle=50/100,error=1%,lost=0.5%,lag=2s,seed=7";
    let faults: Faults = text.parse().expect("the faults are well written");
    assert_eq!(faults.latency, Duration::from_millis(20));
    assert_eq!(faults.lag, Duration::from_secs(2));
    assert_eq!(
        faults.throttle.map(|throttle| (throttle.rate, throttle.burst)),
        Some((50.0, 100.0))
    );
    assert_eq!((faults.error, faults.lost, faults.seed), (0.01, 0.005, Some(7)));
    assert_eq!(faults.to_string().parse::<Faults>().expect("what it writes it reads"), faults);
    let text = "deny=ec2:Describe*@eu-west-1+batch,fail=eks@us-*,choke=*:ListClusters,cut=*,\
                hold=iam:TagRole";
    let faults: Faults = text.parse().expect("the faults are well written");
    assert_eq!(faults.to_string(), text);
    assert_eq!("".parse::<Faults>().expect("no faults"), Faults::default());
    assert_eq!(Faults::default().to_string(), "");
}

#[test]
fn a_wrong_fault_says_what_is_right() {
    for (text, message, hint) in [
        ("latencey=2ms", "there is no fault `latencey`", "did you mean `latency`?"),
        (
            "fire=1",
            "there is no fault `fire`",
            "the faults are latency, throttle, error, lost, lag, seed, deny, fail, choke, cut, hold",
        ),
        ("lag", "the fault `lag` cannot be ``: it must be a duration such as lag=2s", ""),
        ("lag=2", "the fault `lag` cannot be `2`: it must be a duration such as lag=2s", ""),
        (
            "latency=-1s",
            "the fault `latency` cannot be `-1s`: it must be a duration such as latency=20ms",
            "",
        ),
        (
            "error=1",
            "the fault `error` cannot be `1`: it must be a percentage such as error=1%",
            "",
        ),
        (
            "lost=101%",
            "the fault `lost` cannot be `101%`: it must be a percentage such as lost=0.5%",
            "",
        ),
        (
            "throttle=50",
            "the fault `throttle` cannot be `50`: it must be calls a second and burst, such as throttle=50/100",
            "",
        ),
        (
            "throttle=5/0",
            "the fault `throttle` cannot be `5/0`: it must be calls a second and burst, such as throttle=50/100",
            "",
        ),
        ("seed=x", "the fault `seed` cannot be `x`: it must be a whole number such as seed=7", ""),
        ("lag=1s,lag=2s", "the fault `lag` is given twice", ""),
        ("deny=ec3", "the fault `deny`: there is no service `ec3`", "did you mean `ec2`?"),
        (
            "cut=s3",
            "the fault `cut`: there is no service `s3`",
            "the services are iam, sts, ec2, autoscaling, batch, ecs, imagebuilder, elasticmapreduce, elasticbeanstalk, eks, rds",
        ),
        (
            "choke=ec2:DescribeInstance",
            "the fault `choke`: `ec2` has no action `DescribeInstance`",
            "did you mean `DescribeInstances`?",
        ),
        (
            "fail=ec2+",
            "the fault `fail`: `` is not SERVICE[:ACTION][@REGION], such as ec2:*@eu-west-1+batch",
            "",
        ),
        ("fail=ec2@eu/west", "the fault `fail`: `eu/west` is not a region such as eu-west-1", ""),
        ("cut", "the fault `cut` cannot be ``: it must be calls such as cut=*@eu-west-1", ""),
    ] {
        let error = text.parse::<Faults>().expect_err(text);
        assert_eq!((error.kind, error.message.as_str()), (Kind::Usage, message));
        assert_eq!(error.hints.concat(), hint, "{text}");
    }
}
