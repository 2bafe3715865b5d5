//! Requests that a mode, a limit or a protection prevents, and the number of calls of each.

use std::sync::{Arc, OnceLock};

use iamlua::config::MaxChanges;
use iamlua::error::Kind;
use iamlua::lua::Format;
use iamlua::session::{Mode, Session, SessionConfig};

use super::line::{self, Fate};
use super::{World, script, scripts};
use crate::lua::Bench;

const WRITES: &str = r#"
for _, f in ipairs {
  function() iam.profiles.create("new") end,
  function() iam.profiles.delete("ci-sandbox") end,
  function() iam.profiles.delete("web-frontend", { detach = true }) end,
  function() iam.profiles.tag("worker", { A = "1" }) end,
  function() iam.profiles.untag("worker", { "Owner" }) end,
  function() iam.profiles.remove_role("bastion", iam.profiles.get("bastion").role) end,
  function() iam.roles.create { name = "r", assume_role_policy = policy.trust("ec2.amazonaws.com") } end,
  function() iam.roles.tag("worker", { A = "1" }) end,
  function() iam.profiles.ensure { name = "worker", tags = { B = "2" } } end,
} do
  local _, err = try(f)
  print(err and err.kind or "ok")
end
"#;

#[test]
fn nothing_that_writes_leaves_a_run_that_plans_or_only_reads() {
    for (mode, said) in [(Mode::Plan, "ok\n"), (Mode::ReadOnly, "refused\n")] {
        let world = World::new();
        let before = world.bench.export();
        let (session, ran) = world.run(mode, WRITES);
        assert_eq!(ran.stdout, said.repeat(9), "{}", ran.stderr);
        assert_eq!(world.writes(), 0, "{:?}", world.counts);
        assert_eq!(world.bench.export(), before);
        assert!(session.journal().run().is_none(), "there is nothing to write down");
    }
    let world = World::new();
    let (_, ran) = world.run(Mode::Apply, WRITES);
    assert_eq!(ran.stdout, "ok\n".repeat(9), "{}", ran.stderr);
    // Detach and delete are two requests.
    assert_eq!(world.writes(), 10);
}

#[test]
fn a_plan_costs_no_more_calls_than_the_run() {
    for (path, args) in scripts().into_iter().filter(|(path, _)| !path.ends_with("ensure.lua")) {
        let (planned, run) = (World::new(), World::new());
        planned.run_with(planned.rules(Mode::Plan), &script(path), path, &args);
        run.run_with(run.rules(Mode::Apply), &script(path), path, &args);
        assert!(
            planned.total() <= run.total(),
            "{path}: {:?} and {:?}",
            planned.counts,
            run.counts
        );
    }
}

#[test]
fn what_was_just_read_need_not_be_read_again() {
    let world = World::new();
    let (_, ran) = world.run(
        Mode::Apply,
        "for profile in iam.profiles.each { path_prefix = '/ec2/web/', with_tags = true } do
           iam.profiles.tag(profile.name, { A = '1' })
           iam.profiles.tag(profile.name, { B = '2' })
         end
         iam.profiles.ensure { name = 'new', role = 'worker', tags = { A = '1' } }
         iam.profiles.delete('web-frontend', { detach = true })",
    );
    assert_eq!(ran.code(), 0, "{:?}", ran.result);
    assert!(world.count("TagInstanceProfile") >= 8);
    // `ensure` reads before and at the end, and `delete` reads what to detach; the journal reads
    // nothing.
    assert_eq!(world.count("GetInstanceProfile"), 3, "{:?}", world.counts);
    // A profile that was only listed without tags costs one read.
    let world = World::new();
    world.run(
        Mode::Apply,
        "iam.profiles.tag('worker', { A = '1' }) iam.profiles.tag('worker', { B = '1' })",
    );
    assert_eq!(world.count("GetInstanceProfile"), 1, "{:?}", world.counts);
}

const TAG_ALL: &str = "for profile in iam.profiles.each {} do try(iam.profiles.tag, profile.name, { A = '1' }) end print('end')";

#[test]
fn a_limit_of_changes_ends_the_changes_also_of_a_script_that_catches_the_refusal() {
    for mode in [Mode::Apply, Mode::Plan] {
        for (limit, most) in
            [(MaxChanges::Count(3), 3), (MaxChanges::Percent(10.0), 2), (MaxChanges::Count(0), 0)]
        {
            let world = World::new();
            let rules = SessionConfig { max_changes: vec![(limit, "a test")], ..world.rules(mode) };
            let (session, ran) = world.run_with(rules, TAG_ALL, "test.lua", &[]);
            assert_eq!(ran.stdout, "end\n");
            assert!(session.refusal().is_some());
            // A plan counts all changes that would be made.
            let (changed, sent) = if mode == Mode::Apply { (most, most) } else { (23, 0) };
            assert_eq!(session.changes(), changed, "{limit} of 24");
            assert_eq!(world.count("TagInstanceProfile"), sent);
        }
    }
    let world = World::new();
    let (session, _) = world.run(Mode::Apply, TAG_ALL);
    assert!(session.refusal().is_none());
}

#[test]
fn what_is_protected_is_not_changed_by_any_way() {
    let attempts = r#"
local before = json.encode(iam.profiles.get("disaster-recovery"))
for _, name in ipairs { "disaster-recovery", "DISASTER-recovery", "web-canary" } do
  for _, f in ipairs {
    function() iam.profiles.delete(name, { detach = true }) end,
    function() iam.profiles.delete(name) end,
    function() iam.profiles.tag(name, { A = "1" }) end,
    function() iam.profiles.untag(name, { "iamlua:protected" }) end,
    function() iam.profiles.add_role(name, "worker") end,
    function() iam.profiles.remove_role(name, "web-frontend") end,
    function() iam.profiles.ensure { name = name, role = "worker", tags = { A = "1" }, exact_tags = true } end,
  } do
    local _, err = try(f)
    print(err and err.kind)
  end
end
assert(json.encode(iam.profiles.get("disaster-recovery")) == before)
iam.profiles.tag("worker", { ["iamlua:protected"] = "" })
local _, err = try(iam.profiles.tag, "worker", { A = "1" })
print(err.kind)
"#;
    for mode in [Mode::Apply, Mode::Plan] {
        let world = World::new();
        let rules = SessionConfig { protect: vec!["web-c*".into()], ..world.rules(mode) };
        let (session, ran) = world.run_with(rules, attempts, "test.lua", &[]);
        assert_eq!(ran.stdout, "protected\n".repeat(22), "{:?}", ran.result);
        assert_eq!(session.changes(), 1, "what is refused does not count");
    }
    let world = World::new();
    let rules = SessionConfig { override_protection: true, ..world.rules(Mode::Apply) };
    let (_, ran) = world.run_with(
        rules,
        "iam.profiles.tag('disaster-recovery', { A = '1' })",
        "test.lua",
        &[],
    );
    assert_eq!(ran.code(), 0);
}

#[test]
fn a_plan_that_was_made_before_something_was_protected_leaves_it_alone() {
    let world = World::new();
    let (plan, _) = world.plan("iam.profiles.tag('worker', { A = '1' })");
    world.run(Mode::Apply, "iam.profiles.tag('worker', { ['iamlua:protected'] = 'yes' })");
    let (_, summary) = world.apply(&plan, false).expect("it starts");
    let stopped = summary.stopped.expect("it stops");
    assert!(matches!(stopped.kind, Kind::Refused | Kind::Protected), "{stopped}");
    assert_eq!(summary.done, 0);
}

#[test]
fn a_change_that_is_so_already_is_not_sent() {
    let world = World::new();
    let (session, ran) = world.run(
        Mode::Apply,
        r#"
iam.profiles.tag("worker", { A = "1" })
iam.profiles.tag("worker", { A = "1" })
iam.profiles.untag("worker", { "NotThere" })
for profile in iam.profiles.each { path_prefix = "/ci/", with_tags = true } do
  iam.profiles.tag(profile.name, profile.tags)
end
iam.profiles.tag("worker", { A = "2" })
local _, err = try(iam.profiles.tag, "nobody", { A = "1" })
print(err.code)
"#,
    );
    assert_eq!((ran.code(), ran.stdout.as_str()), (0, "NoSuchEntity\n"), "{:?}", ran.result);
    assert_eq!((world.count("TagInstanceProfile"), world.count("UntagInstanceProfile")), (3, 0));
    // One of the three profiles of /ci/ has no tags, so nothing is read.
    assert_eq!((session.changes(), session.noop_writes()), (3, 4));
}

#[test]
fn what_is_so_already_uses_nothing_of_the_limit_of_changes() {
    let world = World::new();
    let tag = r#"
local names = {}
for profile in iam.profiles.each { path_prefix = "/ec2/" } do
  if profile.name ~= "disaster-recovery" then names[#names + 1] = profile.name end
end
bulk.each(names, { concurrency = 16 }, function(name) iam.profiles.tag(name, { Limit = "x" }) end)
"#;
    let (_, ran) = world.run(Mode::Apply, tag);
    assert_eq!(ran.code(), 0, "{:?}", ran.result);
    world.run(Mode::Apply, "iam.profiles.untag('worker', { 'Limit' })");
    for mode in [Mode::Plan, Mode::Apply] {
        let max_changes = vec![(MaxChanges::Count(1), "a test")];
        let rules = SessionConfig { max_changes, ..world.rules(mode) };
        let (session, ran) = world.run_with(rules, tag, "test.lua", &[]);
        assert_eq!((ran.code(), session.changes()), (0, 1), "{mode:?}: {:?}", ran.result);
        assert!(session.refusal().is_none());
    }
}

#[test]
fn what_aws_refuses_uses_nothing_of_the_limit_of_changes() {
    let source = r#"
for _ = 1, 2 do
  local _, err = try(iam.profiles.create, "worker")
  assert(err.code == "EntityAlreadyExists", err)
end
iam.profiles.create("one")
iam.profiles.create("two")
print("both")
"#;
    for (mode, changes, failed) in [(Mode::Plan, 2, 0), (Mode::Apply, 4, 2)] {
        let world = World::new();
        let max_changes = vec![(MaxChanges::Count(2), "a test")];
        let rules = SessionConfig { max_changes, ..world.rules(mode) };
        let (session, ran) = world.run_with(rules, source, "test.lua", &[]);
        assert_eq!((ran.code(), ran.stdout.as_str()), (0, "both\n"), "{mode:?}: {:?}", ran.result);
        assert_eq!((session.changes(), session.failed()), (changes, failed), "{mode:?}");
        assert!(session.refusal().is_none(), "{mode:?}: {:?}", session.refusal());
    }
}

#[test]
fn a_limit_of_changes_is_used_up_whatever_else_is_in_flight() {
    let cases = [
        (2, 2, r#""worker", "bastion", "one", "two""#),
        (3, 5, r#""a", "worker", "b", "bastion", "c", "build-agent", "d", "e""#),
    ];
    for (limit, new, names) in cases {
        let source = format!(
            "bulk.each({{ {names} }}, {{ concurrency = 16 }}, function(name)
               try(iam.profiles.create, name)
             end)"
        );
        for mode in [Mode::Plan, Mode::Apply] {
            let world = World::new();
            let max_changes = vec![(MaxChanges::Count(limit), "a test")];
            let rules = SessionConfig { max_changes, ..world.rules(mode) };
            let (session, ran) = world.run_with(rules, &source, "test.lua", &[]);
            assert_eq!(ran.code(), 0, "{mode:?}: {:?}", ran.result);
            // A plan counts all changes that would be made.
            let made = if mode == Mode::Apply { limit } else { new };
            assert_eq!(session.made(), made, "{mode:?}: {names}");
        }
    }
}

#[test]
fn a_change_that_waits_for_the_limit_does_not_outlast_the_run() {
    let world = World::new();
    let max_changes = vec![(MaxChanges::Count(1), "a test")];
    let session = Session::with(SessionConfig { max_changes, ..world.rules(Mode::Apply) });
    let closes = Arc::new(OnceLock::<Arc<Session>>::new());
    closes.set(Arc::clone(&session)).expect("the first one");
    let connection = line::connection(world.account(), move |asked| {
        if asked.action == "CreateInstanceProfile" {
            closes.get().expect("a session").close();
        }
        Fate::Pass
    });
    let bench = Bench { session: Arc::clone(&session), ..world.bench.clone() };
    let source = r#"
local kinds = bulk.map({ "a", "b", "c" }, { concurrency = 3 }, function(name)
  local _, err = try(iam.profiles.create, name)
  return err and err.kind or "done"
end)
table.sort(kinds)
print(table.concat(kinds, " "))
"#;
    let ran = bench.run_through(connection, source, "test.lua", Vec::new(), Format::Table);
    assert_eq!(ran.stdout, "done interrupted interrupted\n", "{:?}", ran.result);
    assert!(session.refusal().is_none());
}
