//! Eventual consistency: a run knows its own changes before AWS shows them, and retries a refusal
//! that is caused by the lag. The texts are recorded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use iamlua::emulator::EmulatorSettings;
use iamlua::lua::Format;
use iamlua::session::journal::JournalLocation;
use iamlua::session::{Mode, RecentChanges, Session, SessionConfig};

use super::World;
use super::line::{self, Fate};
use crate::lua::{Bench, Ran};

/// Runs a script whose first two requests for an action are refused; returns the number of requests
/// that arrived.
fn refused(
    action: &'static str,
    (status, code, message): (u16, &'static str, &'static str),
    script: &str,
) -> (u32, Ran) {
    let world = World::new();
    let arrived = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&arrived);
    let connection = line::connection(world.account(), move |asked| {
        if asked.action == action && count.fetch_add(1, Ordering::SeqCst) < 2 {
            Fate::RefuseSaying(status, code, message)
        } else {
            Fate::Pass
        }
    });
    let session = Session::with(world.rules(Mode::Apply));
    let bench = Bench { session: Arc::clone(&session), ..world.bench.clone() };
    let ran = bench.run_through(connection, script, "test.lua", Vec::new(), Format::Table);
    (arrived.load(Ordering::SeqCst), ran)
}

const NO_ROLE: (u16, &str, &str) =
    (404, "NoSuchEntity", "The role with name made cannot be found.");
const NO_PROFILE: (u16, &str, &str) =
    (404, "NoSuchEntity", "Instance Profile made cannot be found.");
const HAS_ROLE: (u16, &str, &str) =
    (409, "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.");
const HAS_POLICIES: (u16, &str, &str) =
    (409, "DeleteConflict", "Cannot delete entity, must detach all policies first.");
const IS_FULL: (u16, &str, &str) =
    (409, "LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1");
const IS_THERE: (u16, &str, &str) =
    (409, "EntityAlreadyExists", "Instance Profile ci-sandbox already exists.");
const NO_PRINCIPAL: (u16, &str, &str) = (
    400,
    "MalformedPolicyDocument",
    "Invalid principal in policy: \"AWS\":\"arn:aws:iam::123456789012:role/made\"",
);

const MAKE_ROLE: &str =
    "iam.roles.create { name = 'made', assume_role_policy = policy.trust('ec2.amazonaws.com') } ";

#[test]
fn a_refusal_that_comes_of_our_own_change_not_being_seen_is_tried_again() {
    for (action, refusal, script) in [
        (
            "AddRoleToInstanceProfile",
            NO_ROLE,
            format!("{MAKE_ROLE} iam.profiles.add_role('ci-sandbox', 'made')"),
        ),
        (
            "AttachRolePolicy",
            NO_ROLE,
            format!(
                "{MAKE_ROLE} iam.roles.attach_policy('made', 'arn:aws:iam::aws:policy/ReadOnlyAccess')"
            ),
        ),
        (
            "TagInstanceProfile",
            NO_PROFILE,
            "iam.profiles.create('made') iam.profiles.tag('made', { A = '1' })".into(),
        ),
        (
            "DeleteInstanceProfile",
            HAS_ROLE,
            "iam.profiles.delete('worker', { detach = true })".into(),
        ),
        (
            "DeleteRole",
            HAS_ROLE,
            format!(
                "{MAKE_ROLE} iam.profiles.add_role('ci-sandbox', 'made') iam.profiles.remove_role('ci-sandbox', 'made') iam.roles.delete('made')"
            ),
        ),
        (
            "DeleteRole",
            HAS_POLICIES,
            format!(
                "{MAKE_ROLE} local arn = 'arn:aws:iam::aws:policy/ReadOnlyAccess' iam.roles.attach_policy('made', arn) iam.roles.detach_policy('made', arn) iam.roles.delete('made')"
            ),
        ),
        (
            "AddRoleToInstanceProfile",
            IS_FULL,
            "iam.profiles.ensure { name = 'worker', role = 'bastion' }".into(),
        ),
        (
            "CreateInstanceProfile",
            IS_THERE,
            "iam.profiles.delete('ci-sandbox') iam.profiles.create('ci-sandbox')".into(),
        ),
        (
            "UpdateAssumeRolePolicy",
            NO_PRINCIPAL,
            format!(
                "{MAKE_ROLE} iam.roles.set_assume_role_policy('worker', {{ Version = '2012-10-17', Statement = {{ {{ Effect = 'Allow', Principal = {{ AWS = 'arn:aws:iam::123456789012:role/made' }}, Action = 'sts:AssumeRole' }} }} }})"
            ),
        ),
    ] {
        let (arrived, ran) = refused(action, refusal, &script);
        assert_eq!((ran.code(), arrived), (0, 3), "{action} {}: {:?}", refusal.2, ran.result);
    }
}

#[test]
fn a_refusal_that_somebody_else_is_behind_is_one() {
    for (action, refusal, script) in [
        // None of it is our change.
        ("AddRoleToInstanceProfile", NO_ROLE, "iam.profiles.add_role('ci-sandbox', 'worker')".to_owned()),
        ("DeleteInstanceProfile", HAS_ROLE, "iam.profiles.delete('ci-sandbox')".into()),
        ("CreateInstanceProfile", IS_THERE, "iam.profiles.create('made')".into()),
        // Our change is to another role, or another policy.
        (
            "AttachRolePolicy",
            (404, "NoSuchEntity", "Policy arn:aws:iam::123456789012:policy/made does not exist or is not attachable."),
            format!("{MAKE_ROLE} iam.roles.attach_policy('made', 'arn:aws:iam::123456789012:policy/made')"),
        ),
        // The role is still in another profile, which a read shows.
        (
            "DeleteRole",
            HAS_ROLE,
            "iam.profiles.remove_role('build-agent', 'build-agent') iam.roles.delete('build-agent')".into(),
        ),
    ] {
        let (arrived, ran) = refused(action, refusal, &script);
        assert_eq!((ran.code(), arrived), (1, 1), "{action} {}: {:?}", refusal.2, ran.result);
    }
}

#[test]
fn a_run_is_taken_back_at_once_although_reads_lag_behind() {
    let faults = "lag=1s".parse().expect("a fault");
    let world = World::with(EmulatorSettings { faults, ..EmulatorSettings::default() });
    let before = world.contents();
    let (_, ran) = world.run(
        Mode::Apply,
        "iam.profiles.create('new') iam.profiles.add_role('new', 'worker') iam.profiles.tag('worker', { Owner = 'x' }) \
         iam.profiles.ensure { name = 'build-agent', role = 'bastion' } iam.profiles.delete('ci-sandbox') \
         iam.roles.update('worker', { description = 'new', max_session_duration = 7200 }) \
         iam.roles.set_permissions_boundary('worker', 'arn:aws:iam::aws:policy/PowerUserAccess')",
    );
    assert_eq!(ran.code(), 0, "{:?}", ran.result);
    let run = world.last_run();
    let (plan, undoing) = world.undo(&run, &[]).expect("a plan");
    assert!(undoing.left_out.is_empty() && undoing.back.is_empty(), "{undoing:?}");
    let (_, summary) = world.apply(&plan, false).expect("it is taken back");
    assert!(summary.stopped.is_none() && summary.failed.is_empty(), "{summary:?}");
    assert_eq!(world.contents(), before);
}

#[test]
fn what_somebody_has_set_back_just_now_is_no_lag() {
    let world = World::new();
    let recent = RecentChanges::default();
    let rules = |mode| SessionConfig { recent: recent.clone(), ..world.rules(mode) };
    let (plan, _) = world.plan("iam.profiles.tag('worker', { Owner = 'first' })");
    assert_eq!(world.apply_with(rules(Mode::Apply), &plan, false).expect("applied").1.done, 1);
    let (plan, _) = world.plan("iam.profiles.tag('worker', { Owner = 'second' })");
    let somebody = SessionConfig { journal: JournalLocation::Memory, ..world.rules(Mode::Apply) };
    let back = "iam.profiles.untag('worker', { 'Owner' })";
    world.run_with(somebody, back, "test.lua", &[]);
    let (_, summary) = world.apply_with(rules(Mode::Apply), &plan, false).expect("it is tried");
    let why = summary.stopped.expect("it has drifted").to_string();
    assert!(why.contains("tag Owner was first when planned and is now none"), "{why}");
}
