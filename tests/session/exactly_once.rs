//! Exactly-once changes: each change is made once and reported correctly, whatever happens to the
//! responses.

use std::sync::Arc;
use std::time::Duration;

use iamlua::emulator::EmulatorSettings;
use iamlua::lua::Format;
use iamlua::session::journal::{ChangeOutcome, RunStatus};
use iamlua::session::recover::recover;
use iamlua::session::{Mode, Session};

use super::World;
use super::line::{self, Asked, Fate};
use crate::lua::{Bench, Ran};

/// Responses are lost and calls fail, so rarely that no call fails four times in a row, which would
/// be final. The script prints the results, which must agree with the account.
#[test]
fn with_lost_answers_and_failures_nothing_is_said_that_is_not_so() {
    let faults = "lost=3%,error=0.5%,seed=11".parse().expect("faults");
    let world = World::with(EmulatorSettings { faults, ..EmulatorSettings::default() });
    world.account().set_quota(iamlua::emulator::Quota::Profiles, 5000).expect("a quota");
    let (_, ran) = world.run(
        Mode::Apply,
        r#"
local workers = {}
for worker = 1, 40 do
  workers[worker] = function()
    for n = 1, 5 do
      local name = ("p-%d-%d"):format(worker, n)
      local function step(what, f, ...)
        local _, err = try(f, ...)
        print(name, what, err and err.code or err and err.kind or "ok")
      end
      step("create", iam.profiles.create, { name = name, tags = { A = "1" } })
      step("add_role", iam.profiles.add_role, name, "worker")
      step("tag", iam.profiles.tag, name, { B = "2" })
      step("untag", iam.profiles.untag, name, { "A" })
      if n % 2 == 0 then
        step("remove_role", iam.profiles.remove_role, name, "worker")
        step("delete", iam.profiles.delete, name)
      end
    end
  end
end
task.all(workers)
"#,
    );
    assert_eq!(ran.code(), 0, "{:?}", ran.result);
    let unlike: Vec<_> = ran.stdout.lines().filter(|line| !line.ends_with("\tok")).collect();
    assert!(unlike.is_empty(), "{unlike:?}");
    let said = ran.stdout.lines().count();
    assert_eq!(said, 40 * (5 * 4 + 2 * 2));
    let held = world.contents();
    let ours: Vec<_> = held["profiles"]
        .as_array()
        .expect("profiles")
        .iter()
        .filter(|profile| profile["name"].as_str().is_some_and(|name| name.starts_with("p-")))
        .collect();
    assert_eq!(ours.len(), 40 * 3);
    for profile in ours {
        assert_eq!(profile["role"], "worker", "{profile}");
        assert_eq!(profile["tags"].to_string(), r#"{"B":"2"}"#, "{profile}");
    }
    let run = world.last_run();
    assert_eq!(usize::try_from(run.counts.done), Ok(said), "one change each in the journal");
    assert_eq!((run.counts.failed, run.counts.in_doubt), (0, 0));
    let settled = world.records().changes(&run.id).expect("changes");
    let settled = settled.iter().filter(|change| change.note.is_some()).count();
    assert!(settled > 2, "only {settled} answers of changes got lost");
}

/// Runs a script on the account, with a connection on which `decide` chooses the fate of each
/// request.
fn run_on(
    world: &World,
    decide: impl FnMut(&Asked<'_>) -> Fate + Send + 'static,
    source: &str,
) -> Ran {
    let connection = line::connection(world.account(), decide);
    let session = Session::with(world.rules(Mode::Apply));
    let bench = Bench { session: Arc::clone(&session), ..world.bench.clone() };
    let ran = bench.run_through(connection, source, "test.lua", Vec::new(), Format::Table);
    world
        .bench
        .runtime
        .block_on(session.end(RunStatus::Done, None))
        .expect("the journal is written");
    ran
}

/// Loses the response to the first request of an action.
fn losing(action: &'static str) -> impl FnMut(&Asked<'_>) -> Fate + Send + 'static {
    let mut lost = false;
    move |asked| {
        if asked.action == action && !std::mem::replace(&mut lost, true) {
            Fate::Lose
        } else {
            Fate::Pass
        }
    }
}

#[test]
fn a_repeat_that_meets_our_own_first_try_succeeds() {
    for (action, source) in [
        (
            "CreateInstanceProfile",
            "local p = iam.profiles.create { name = 'new', path = '/a/', tags = { A = '1' } } assert(p.name == 'new' and p.id:match('^AIPA') and p.tags.A == '1')",
        ),
        ("DeleteInstanceProfile", "iam.profiles.delete('ci-sandbox')"),
        ("AddRoleToInstanceProfile", "iam.profiles.add_role('ci-sandbox', 'worker')"),
        ("RemoveRoleFromInstanceProfile", "iam.profiles.remove_role('worker', 'worker')"),
        ("TagInstanceProfile", "iam.profiles.tag('worker', { A = '1' })"),
        (
            "CreateRole",
            "local r = iam.roles.create { name = 'new', assume_role_policy = policy.trust('ec2.amazonaws.com'), tags = { A = '1' } } assert(r.id:match('^AROA'))",
        ),
        (
            "DetachRolePolicy",
            "iam.roles.attach_policy('worker', 'arn:aws:iam::aws:policy/job-function/Billing') iam.roles.detach_policy('worker', 'arn:aws:iam::aws:policy/job-function/Billing')",
        ),
        (
            "DeleteRole",
            "iam.roles.create { name = 'new', assume_role_policy = policy.trust('ec2.amazonaws.com') } iam.roles.delete('new')",
        ),
    ] {
        let world = World::new();
        let ran = run_on(&world, losing(action), source);
        assert_eq!(ran.code(), 0, "{action}: {:?}", ran.result);
        let changes = world.records().changes(&world.last_run().id);
        assert!(
            changes
                .expect("changes")
                .iter()
                .all(|change| change.outcome == Some(ChangeOutcome::Done)),
            "{action}"
        );
    }
}

/// IAM is eventually consistent: a read just after a change may return the earlier state.
#[test]
fn it_succeeds_also_where_what_is_read_lags_behind() {
    for (action, source) in [
        ("CreateInstanceProfile", "iam.profiles.create('new')"),
        (
            "AddRoleToInstanceProfile",
            "iam.profiles.create('new') iam.profiles.add_role('new', 'worker')",
        ),
        (
            "RemoveRoleFromInstanceProfile",
            "iam.profiles.create('new') iam.profiles.add_role('new', 'worker') iam.profiles.remove_role('new', 'worker')",
        ),
        ("DeleteInstanceProfile", "iam.profiles.create('new') iam.profiles.delete('new')"),
    ] {
        let faults = "lag=700ms".parse().expect("a fault");
        let world = World::with(EmulatorSettings { faults, ..EmulatorSettings::default() });
        let ran = run_on(&world, losing(action), source);
        assert_eq!(ran.code(), 0, "{action}: {:?}", ran.result);
    }
}

#[test]
fn what_somebody_else_has_done_fails_as_aws_says() {
    // Our first attempt fails before it has an effect, then somebody else makes the change, then
    // ours is repeated.
    let meddled = |world: &World, action: &'static str, contents: serde_json::Value| {
        let mut tries = 0;
        let emulator = world.account().clone();
        move |asked: &Asked<'_>| {
            if asked.action != action {
                return Fate::Pass;
            }
            tries += 1;
            if tries > 1 {
                return Fate::Pass;
            }
            emulator.absorb(&contents).expect("somebody else's change");
            Fate::Fail
        }
    };
    let account = |profile: serde_json::Value| serde_json::json!({ "format": "iamlua-account", "version": 1, "profiles": [profile] });
    let world = World::new();
    let theirs = account(serde_json::json!({ "name": "new", "tags": { "Owner": "somebody" } }));
    let ran = run_on(
        &world,
        meddled(&world, "CreateInstanceProfile", theirs),
        "iam.profiles.create { name = 'new', tags = { Owner = 'us' } }",
    );
    assert!(
        ran.result.as_ref().is_err_and(|error| error.code() == "EntityAlreadyExists"),
        "{:?}",
        ran.result
    );
    assert_eq!(world.last_run().counts.failed, 1);

    // Equal in everything, but created long before our attempt.
    let world = World::new();
    let theirs =
        account(serde_json::json!({ "name": "new", "create_date": "2020-01-01T00:00:00Z" }));
    let ran = run_on(
        &world,
        meddled(&world, "CreateInstanceProfile", theirs),
        "iam.profiles.create('new')",
    );
    assert!(
        ran.result.as_ref().is_err_and(|error| error.code() == "EntityAlreadyExists"),
        "{:?}",
        ran.result
    );

    let world = World::new();
    let theirs = account(serde_json::json!({ "name": "ci-sandbox", "role": "web-frontend" }));
    let ran = run_on(
        &world,
        meddled(&world, "AddRoleToInstanceProfile", theirs),
        "iam.profiles.add_role('ci-sandbox', 'worker')",
    );
    assert!(
        ran.result.as_ref().is_err_and(|error| error.code() == "LimitExceeded"),
        "{:?}",
        ran.result
    );
}

#[test]
fn what_was_so_before_fails_as_aws_says_also_when_an_answer_was_lost() {
    for (action, source, code) in [
        ("CreateInstanceProfile", "iam.profiles.create('worker')", "EntityAlreadyExists"),
        ("DeleteInstanceProfile", "iam.profiles.delete('nobody')", "NoSuchEntity"),
        ("DeleteInstanceProfile", "iam.profiles.delete('worker')", "DeleteConflict"),
        (
            "AddRoleToInstanceProfile",
            "iam.profiles.add_role('worker', 'web-frontend')",
            "LimitExceeded",
        ),
        ("AddRoleToInstanceProfile", "iam.profiles.add_role('worker', 'worker')", "LimitExceeded"),
        (
            "RemoveRoleFromInstanceProfile",
            "iam.profiles.remove_role('ci-sandbox', 'worker')",
            "NoSuchEntity",
        ),
        ("TagInstanceProfile", "iam.profiles.tag('nobody', { A = '1' })", "NoSuchEntity"),
        ("UntagInstanceProfile", "iam.profiles.untag('nobody', { 'A' })", "NoSuchEntity"),
        ("TagRole", "iam.roles.tag('nobody', { A = '1' })", "NoSuchEntity"),
        (
            "DetachRolePolicy",
            "iam.roles.detach_policy('worker', 'arn:aws:iam::aws:policy/job-function/Billing')",
            "NoSuchEntity",
        ),
    ] {
        let world = World::new();
        let before = world.bench.export();
        let ran = run_on(&world, losing(action), source);
        assert!(
            ran.result.as_ref().is_err_and(|error| error.code() == code),
            "{action}: {:?}",
            ran.result
        );
        assert_eq!(world.bench.export(), before);
        let counts = world.last_run().counts;
        assert_eq!((counts.done, counts.failed, counts.in_doubt), (0, 1, 0), "{action}");
    }
}

#[test]
fn a_change_of_which_nobody_knows_is_in_doubt_until_it_is_settled() {
    // The connection breaks at the change, and stays broken.
    for arrives in [true, false] {
        let world = World::new();
        let mut broken = false;
        let ran = run_on(
            &world,
            move |asked| {
                let is_change = asked.action == "TagInstanceProfile";
                let first = is_change && !broken;
                broken |= is_change;
                match (broken, first && arrives) {
                    (false, _) => Fate::Pass,
                    (true, true) => Fate::Lose,
                    (true, false) => Fate::Fail,
                }
            },
            "iam.profiles.tag('worker', { A = '1' })",
        );
        let error = ran.result.expect_err("nobody answers");
        assert!(error.hints.iter().any(|hint| hint.contains("iamlua runs recover")), "{error:?}");
        assert_eq!(world.last_run().counts.in_doubt, 1);

        let run = world.last_run();
        let session = Session::new(Mode::ReadOnly);
        let gates = world.gates(&session, run.sites.len());
        let records = world.records();
        let found = recover(&records, &run, &gates, Duration::ZERO);
        let found = world.bench.runtime.block_on(found).expect("it can be settled");
        assert_eq!(found.len(), 1);
        let counts = world.last_run().counts;
        let expected = if arrives { (1, 0, 0) } else { (0, 1, 0) };
        assert_eq!((counts.done, counts.failed, counts.in_doubt), expected);
    }
}
