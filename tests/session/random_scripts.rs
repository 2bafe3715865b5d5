//! Whatever a script does: its plan, carried out, leaves the account as the script itself does, shows it the same account on
//! the way, and can be taken back.

use std::collections::BTreeMap;
use std::fmt::Write;

use iamlua::iam::image::Subject;
use iamlua::session::Mode;
use iamlua::session::journal::Outcome;
use serde_json::{Value, json};

use super::{World, script, scripts};

/// Numbers that are the same every time (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).expect("it is small")
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// New names, names of the example account, and one in another case.
const PROFILES: [&str; 9] = [
    "one",
    "two",
    "three",
    "Two",
    "web-frontend",
    "worker",
    "ci-sandbox",
    "legacy-reports",
    "bastion",
];
const ROLES: [&str; 6] =
    ["new-role", "other-role", "web-frontend", "worker", "no-such-role", "web-frontend-staging"];
const KEYS: [&str; 4] = ["Owner", "Stage", "owner", "Team"];
const VALUES: [&str; 3] = ["ops", "dev", ""];
const POLICIES: [&str; 2] =
    ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess", "arn:aws:iam::aws:policy/ReadOnlyAccess"];

/// Prints what a script can see, in an order of its own and without ids.
const LOOK: &str = r#"
local function look()
  local seen = {}
  for profile in iam.profiles.each { page_size = 3, with_tags = true } do
    seen[#seen + 1] = json.encode { profile.name, profile.path, profile.role or "-", inspect(profile.tags) }
  end
  for role in iam.roles.each { page_size = 2 } do
    local whole = iam.roles.get(role.name)
    local policies = {}
    for _, policy in ipairs(iam.roles.attached_policies(role.name)) do policies[#policies + 1] = policy.name end
    table.sort(policies)
    local inside = {}
    for profile in iam.profiles.each_for_role(role.name, { page_size = 2 }) do inside[#inside + 1] = profile.name end
    table.sort(inside)
    seen[#seen + 1] = json.encode { role.name, role.path, whole.assume_role_policy, inspect(whole.tags), policies, inside }
  end
  table.sort(seen)
  print(table.concat(seen, "\n"))
  local account = iam.account()
  print(account.profiles, account.roles)
end
local function attempt(f, ...)
  local value, err = try(f, ...)
  print(err and (err.code or err.kind) or "ok", err and err.message or type(value) == "table" and value.name or "")
end
"#;

fn random_script(dice: &mut Dice) -> String {
    let mut text = LOOK.to_owned();
    for _ in 0..4 + dice.below(14) {
        let (name, role) = (dice.pick(&PROFILES), dice.pick(&ROLES));
        let (key, value, other) = (dice.pick(&KEYS), dice.pick(&VALUES), dice.pick(&KEYS));
        let policy = dice.pick(&POLICIES);
        let path = dice.pick(&["/", "/new/", "/ec2/"]);
        let _ = match dice.below(18) {
            0 | 1 => writeln!(
                text,
                "attempt(iam.profiles.create, {{ name = {name:?}, path = {path:?}, tags = {{ {key} = {value:?} }} }})"
            ),
            2 => writeln!(text, "attempt(iam.profiles.delete, {name:?})"),
            3 => writeln!(text, "attempt(iam.profiles.delete, {name:?}, {{ detach = true }})"),
            4 | 5 => writeln!(text, "attempt(iam.profiles.add_role, {name:?}, {role:?})"),
            6 => writeln!(text, "attempt(iam.profiles.remove_role, {name:?}, {role:?})"),
            7 => writeln!(
                text,
                "attempt(iam.profiles.tag, {name:?}, {{ {key} = {value:?}, X = \"1\" }})"
            ),
            8 => writeln!(text, "attempt(iam.profiles.untag, {name:?}, {{ {key:?}, {other:?} }})"),
            9 => writeln!(
                text,
                "attempt(iam.profiles.ensure, {{ name = {name:?}, role = {role:?}, tags = {{ {key} = {value:?} }}, exact_tags = true }})"
            ),
            10 => writeln!(
                text,
                "attempt(iam.roles.create, {{ name = {role:?}, path = {path:?}, assume_role_policy = policy.trust('ec2.amazonaws.com'), tags = {{ {key} = {value:?} }} }})"
            ),
            11 => writeln!(text, "attempt(iam.roles.delete, {role:?})"),
            12 => writeln!(text, "attempt(iam.roles.tag, {role:?}, {{ {key} = {value:?} }})"),
            13 => writeln!(text, "attempt(iam.roles.untag, {role:?}, {{ {key:?} }})"),
            14 => writeln!(text, "attempt(iam.roles.attach_policy, {role:?}, {policy:?})"),
            15 => writeln!(text, "attempt(iam.roles.detach_policy, {role:?}, {policy:?})"),
            16 => writeln!(
                text,
                "attempt(iam.roles.set_assume_role_policy, {role:?}, policy.trust('ec2.amazonaws.com', 'ssm.amazonaws.com'))"
            ),
            _ => writeln!(
                text,
                "for profile in iam.profiles.each {{ path_prefix = {path:?} }} do if profile.role == {role:?} then attempt(iam.profiles.tag, profile.name, {{ Found = {value:?} }}) end end"
            ),
        };
        if dice.below(3) == 0 {
            text.push_str("look()\n");
        }
    }
    text.push_str("look()\n");
    text
}

/// Plans and applies on one account what is run directly on another, and takes it back.
fn check(source: &str, name: &str, args: &[&str]) {
    let (planned, direct) = (World::new(), World::new());
    let start = planned.bench.export();
    direct.account().import(start.as_bytes()).expect("the same account");
    let before = planned.contents();

    let (session, plan_ran) = planned.run_with(planned.rules(Mode::Plan), source, name, args);
    assert_eq!(planned.bench.export(), start, "a plan changed something: {source}");
    assert_eq!(planned.writes(), 0, "{source}");
    let plan = session.recorder().plan(None, None, None, None);

    let (_, direct_ran) = direct.run_with(direct.rules(Mode::Apply), source, name, args);
    assert_eq!(plan_ran.stdout, direct_ran.stdout, "the plan shows another account: {source}");
    assert_eq!(plan_ran.code(), direct_ran.code(), "{source}");

    let text = plan.to_file().expect("JSON");
    let plan =
        iamlua::session::plan::Plan::from_file("plan.json", &text).expect("it is as it was made");
    let (_, summary) = planned.apply(&plan, false).expect("the plan can be carried out");
    assert!(summary.stopped.is_none(), "{:?}: {source}", summary.stopped);
    assert_eq!(summary.done, plan.changes.len() as u64, "{source}");
    assert_eq!(planned.contents(), direct.contents(), "{source}");
    let (_, again) = planned.apply(&plan, false).expect("a second time does nothing");
    assert_eq!((again.done, again.earlier), (0, plan.changes.len() as u64), "{source}");

    if !plan.changes.is_empty() {
        the_journal_knows_what_is_there(&direct);
    }
    for world in [&planned, &direct] {
        if plan.changes.is_empty() {
            continue;
        }
        let after = world.contents();
        let run = world.last_run();
        let (back, undoing) = world.undo(&run, &[]).expect("it can be taken back");
        assert!(undoing.conflicts.is_empty(), "{:?}: {source}", undoing.conflicts);
        let (_, summary) = world.apply(&back, false).expect("the way back can be gone");
        assert!(summary.stopped.is_none(), "{:?}: {source}", summary.stopped);
        assert_eq!(world.contents(), before, "undo of {source}");
        if !back.changes.is_empty() {
            assert_eq!(world.records().run(&run.id).expect("the run").counts.standing, 0);
        }
        // And the way back is a run that can itself be taken back.
        if back.changes.is_empty() {
            continue;
        }
        let (forth, undoing) = world.undo(&world.last_run(), &[]).expect("undo of the undo");
        assert!(undoing.conflicts.is_empty(), "{:?}: {source}", undoing.conflicts);
        let (_, summary) = world.apply(&forth, false).expect("it can be gone");
        assert!(summary.stopped.is_none(), "{:?}: {source}", summary.stopped);
        assert_eq!(world.contents(), after, "undo of the undo of {source}");
    }
}

/// What the journal says that the last change of each thing has left is what the account holds.
fn the_journal_knows_what_is_there(world: &World) {
    let run = world.last_run();
    let held = world.contents();
    let mut left = BTreeMap::new();
    for change in world.records().changes(&run.id).expect("changes") {
        if change.outcome == Some(Outcome::Done) {
            left.insert((change.subject, change.name.to_lowercase()), change.after);
        }
    }
    for ((subject, name), after) in left {
        let section = if subject == Subject::Role { "roles" } else { "profiles" };
        let is_it = |entry: &&Value| {
            entry["name"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(&name))
        };
        let entry = held[section].as_array().expect("a list").iter().find(is_it);
        let (Some(after), Some(entry)) = (&after, entry) else {
            assert!(after.is_none() && entry.is_none(), "{name}: {after:?} and {entry:?}");
            continue;
        };
        assert_eq!(entry["path"], *after.path);
        assert_eq!(entry["tags"], json!(after.tags), "{name}");
        if subject == Subject::Profile {
            let role = after.role.as_ref().map(|role| role.to_lowercase());
            assert_eq!(entry["role"].as_str().map(str::to_lowercase), role, "{name}");
        } else if let Some(policies) = &after.policies {
            assert_eq!(entry["attached_policies"], json!(policies), "{name}");
        }
    }
}

#[test]
fn a_plan_of_any_script_does_what_the_script_does_and_can_be_taken_back() {
    let seeds = std::env::var("IAMLUA_TEST_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(24);
    for seed in 0..seeds {
        let source = random_script(&mut Dice(seed));
        check(&source, "random.lua", &[]);
    }
}

#[test]
fn so_does_every_script_of_the_project() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let desired = r#"[{ "name": "web-frontend", "role": "worker", "tags": { "Owner": "x" }, "exact_tags": true },
        { "name": "brand-new", "path": "/new/", "role": "web-frontend", "tags": { "A": "1" } }]"#;
    std::fs::write(folder.path().join("profiles.json"), desired).expect("a file");
    let known: Vec<_> = scripts().into_iter().map(|(path, _)| path.to_owned()).collect();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts"))
        .expect("scripts")
        .flatten()
    {
        let name = format!("scripts/{}", entry.file_name().to_string_lossy());
        if entry.path().extension().is_some_and(|end| end == "lua") {
            assert!(known.contains(&name), "{name} is not tested here");
        }
    }
    for (path, args) in scripts() {
        let place = folder.path().display().to_string();
        let args: Vec<_> = args.iter().map(|arg| arg.replace("{dir}", &place)).collect();
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        check(&script(path), path, &args);
    }
}
