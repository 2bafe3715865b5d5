//! Random scripts: applying the plan leaves the account as the script itself does, the script reads
//! the same account on the way, and both can be undone.

use std::collections::BTreeMap;

use iamlua::iam::snapshot::Subject;
use iamlua::session::Mode;
use iamlua::session::journal::ChangeOutcome;
use serde_json::{Value, json};

use super::planned_reads::account;
use super::{World, script, scripts};

/// Random numbers with a fixed seed (`SplitMix64`).
pub(super) struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).expect("it is small")
    }

    pub fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// New names, names of the account, and some in another case.
const PROFILES: [&str; 8] = ["one", "two", "Two", "aaa", "quiet", "QUIET", "shared-a", "empty"];
const ROLES: [&str; 7] =
    ["new-role", "other-role", "quiet-role", "full", "spare", "bare", "nobody"];
const KEYS: [&str; 4] = ["Owner", "Stage", "owner", "Team"];
const VALUES: [&str; 3] = ["ops", "dev", ""];
const POLICIES: [&str; 5] = [
    "AWS .. 'AmazonS3ReadOnlyAccess'",
    "AWS .. 'ReadOnlyAccess'",
    "OWN .. 'own'",
    "OWN .. 'missing'",
    "AWS .. 'NoSuchPolicyOfAws'",
];

/// Prints all that a script can read, in the order in which it reads.
const LOOK: &str = r#"
local SCAN = usage.scan { regions = { "eu-west-1" } }
local function look()
  for profile in iam.profiles.each { page_size = 3, with_tags = true } do
    print(json.encode(profile))
    print(json.encode(SCAN:verdict(profile)))
    print(json.encode(iam.profiles.get(profile.name)))
  end
  for role in iam.roles.each { page_size = 2 } do
    print(json.encode(role))
    print(json.encode(iam.roles.get(role.name)))
    print(json.encode(iam.roles.attached_policies(role.name)))
    for profile in iam.profiles.each_for_role(role.name, { page_size = 2 }) do
      print(role.name, profile.name)
    end
  end
  local account = iam.account()
  print(account.id, account.profiles, account.roles)
end
local function trusting(role)
  local arn = "arn:" .. PARTITION .. ":iam::123456789012:role/" .. role
  return { Version = "2012-10-17", Statement = {
    { Effect = "Allow", Principal = { AWS = arn }, Action = "sts:AssumeRole" },
  } }
end
local function attempt(f, ...)
  local value, err = try(f, ...)
  local name = type(value) == "table" and value.name or ""
  print(err and (err.code or err.kind) or "ok", err and err.message or name)
end
"#;

/// Random call that changes something, or tries to.
fn random_call(dice: &mut Dice) -> String {
    let (name, role) = (dice.pick(&PROFILES), dice.pick(&ROLES));
    let (key, value, other) = (dice.pick(&KEYS), dice.pick(&VALUES), dice.pick(&KEYS));
    let (arn, boundary) = (dice.pick(&POLICIES), dice.pick(&POLICIES));
    let path = dice.pick(&["/", "/new/", "/ec2/"]);
    let seconds = dice.pick(&["3600", "7200"]);
    let trust = dice.pick(&[
        "policy.trust('ec2.amazonaws.com')",
        "policy.trust('ssm.amazonaws.com', 'ec2.amazonaws.com')",
        "trusting('spare')",
        "trusting('new-role')",
    ]);
    match dice.below(24) {
        0 | 1 => format!(
            "attempt(iam.profiles.create, {{ name = {name:?}, path = {path:?}, tags = {{ {key} = {value:?} }} }})"
        ),
        2 => format!("attempt(iam.profiles.delete, {name:?})"),
        3 => format!("attempt(iam.profiles.delete, {name:?}, {{ detach = true }})"),
        4 | 5 => format!("attempt(iam.profiles.add_role, {name:?}, {role:?})"),
        6 => format!("attempt(iam.profiles.remove_role, {name:?}, {role:?})"),
        7 => format!("attempt(iam.profiles.tag, {name:?}, {{ {key} = {value:?}, X = \"1\" }})"),
        8 => format!("attempt(iam.profiles.untag, {name:?}, {{ {key:?}, {other:?} }})"),
        9 => format!(
            "attempt(iam.profiles.ensure, {{ name = {name:?}, role = {role:?}, tags = {{ {key} = {value:?} }}, exact_tags = true }})"
        ),
        10 | 11 => format!(
            "attempt(iam.roles.create, {{ name = {role:?}, path = {path:?}, description = {value:?}, \
             max_session_duration = {seconds}, permissions_boundary = {boundary}, \
             assume_role_policy = {trust}, tags = {{ {key} = {value:?} }} }})"
        ),
        12 => format!("attempt(iam.roles.delete, {role:?})"),
        13 => format!(
            "for _, arn in ipairs(try(iam.roles.attached_policies, {role:?}) or {{}}) do \
             iam.roles.detach_policy({role:?}, arn.arn) end attempt(iam.roles.delete, {role:?})"
        ),
        14 => format!("attempt(iam.roles.tag, {role:?}, {{ {key} = {value:?} }})"),
        15 => format!("attempt(iam.roles.untag, {role:?}, {{ {key:?} }})"),
        16 => format!("attempt(iam.roles.attach_policy, {role:?}, {arn})"),
        17 => format!("attempt(iam.roles.detach_policy, {role:?}, {arn})"),
        18 => format!("attempt(iam.roles.set_assume_role_policy, {role:?}, {trust})"),
        19 => format!(
            "attempt(iam.roles.update, {role:?}, {{ description = {value:?}, max_session_duration = {seconds} }})"
        ),
        20 => format!("attempt(iam.roles.set_permissions_boundary, {role:?}, {boundary})"),
        21 => format!("attempt(iam.roles.remove_permissions_boundary, {role:?})"),
        22 => format!(
            "attempt(iam.roles.ensure, {{ name = {role:?}, description = {value:?}, \
             assume_role_policy = {trust}, policies = {{ {arn} }} }})"
        ),
        _ => format!(
            "for profile in iam.profiles.each {{ path_prefix = {path:?} }} do \
             local verdict = SCAN:verdict(profile).verdict \
             if verdict == 'unused' then attempt(iam.profiles.delete, profile.name, {{ detach = true }}) \
             else attempt(iam.profiles.tag, profile.name, {{ Found = verdict }}) end end"
        ),
    }
}

/// Script of random calls; with `looks` it prints what it reads.
pub(super) fn random_script(dice: &mut Dice, partition: &str, looks: bool) -> String {
    let mut text = format!(
        "local PARTITION = {partition:?}\n\
         local AWS, OWN = 'arn:{partition}:iam::aws:policy/', \
         'arn:{partition}:iam::123456789012:policy/'\n{LOOK}"
    );
    for _ in 0..4 + dice.below(12) {
        text.push_str(&random_call(dice));
        text.push('\n');
        if looks && dice.below(4) == 0 {
            text.push_str("look()\n");
        }
    }
    if looks {
        text.push_str("look()\n");
    }
    text
}

/// Output without values that only AWS can assign: ids that are not in the account, and the present
/// time.
fn without_new(output: &str, account: &str) -> String {
    let now = jiff::Timestamp::now().as_second();
    let new = regex::Regex::new(r"A(IPA|ROA)[A-Z2-7]{17}|\(known after apply\)|20\d\d-[0-9T:-]+Z");
    let masked = new.expect("a pattern").replace_all(output, |found: &regex::Captures<'_>| {
        let date = found[0].parse::<jiff::Timestamp>();
        let is_known = date.map_or_else(
            |_| account.contains(&found[0]),
            |date| now.abs_diff(date.as_second()) > 24 * 3600,
        );
        if is_known { found[0].to_owned() } else { "(new)".to_owned() }
    });
    masked.into_owned()
}

/// Asserts that a plan and a run print the same, except for ids and dates that are not in the
/// account before; names the first lines that differ.
pub(super) fn assert_same_output(plan: &str, run: &str, account: &str, source: &str) {
    let (plan, run) = (without_new(plan, account), without_new(run, account));
    if plan == run {
        return;
    }
    let mut lines = plan.lines().zip(run.lines());
    let differing = lines.find(|(plan, run)| plan != run);
    let counts = (plan.lines().count(), run.lines().count());
    panic!("plan and run differ: {differing:#?}, lines {counts:?}\n{source}");
}

/// Plans and applies on one account what runs directly on another, and undoes it.
fn check(account: Option<&str>, source: &str, name: &str, args: &[&str]) {
    let (planned, direct) = (World::new(), World::new());
    if let Some(account) = account {
        planned.account().import(account.as_bytes()).expect("an account");
    }
    let start = planned.bench.export();
    direct.account().import(start.as_bytes()).expect("the same account");
    let before = planned.contents();

    let (session, plan_ran) = planned.run_with(planned.rules(Mode::Plan), source, name, args);
    assert_eq!(planned.bench.export(), start, "a plan changed something: {source}");
    assert_eq!(planned.writes(), 0, "{source}");
    let plan = session.recorder().plan(None, None, None, None);

    let (_, direct_ran) = direct.run_with(direct.rules(Mode::Apply), source, name, args);
    assert_same_output(&plan_ran.stdout, &direct_ran.stdout, &start, source);
    assert_eq!(plan_ran.code(), direct_ran.code(), "{source}");

    let text = plan.to_file().expect("JSON");
    let plan =
        iamlua::session::plan::Plan::from_file("plan.json", &text).expect("it is as it was made");
    let (_, summary) = planned.apply(&plan, false).expect("the plan can be carried out");
    assert!(summary.stopped.is_none(), "{:?}: {source}", summary.stopped);
    assert_eq!(summary.done, plan.changes.len() as u64, "{source}");
    let held = |world: &World| without_new(&world.contents().to_string(), &start);
    assert_same_output(&held(&planned), &held(&direct), &start, source);
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
        assert!(undoing.left_out.is_empty(), "{:?}: {source}", undoing.left_out);
        let (_, summary) = world.apply(&back, false).expect("the way back can be gone");
        assert!(summary.stopped.is_none(), "{:?}: {source}", summary.stopped);
        assert_eq!(world.contents(), before, "undo of {source}");
        if !back.changes.is_empty() {
            assert_eq!(world.records().run(&run.id).expect("the run").counts.standing, 0);
        }
        // The undo is a run that can itself be undone.
        if back.changes.is_empty() {
            continue;
        }
        let (forth, undoing) = world.undo(&world.last_run(), &[]).expect("undo of the undo");
        assert!(undoing.left_out.is_empty(), "{:?}: {source}", undoing.left_out);
        let (_, summary) = world.apply(&forth, false).expect("it can be gone");
        assert!(summary.stopped.is_none(), "{:?}: {source}", summary.stopped);
        assert_eq!(world.contents(), after, "undo of the undo of {source}");
    }
}

/// Asserts that the account holds what the last change of each subject has left, by the journal.
fn the_journal_knows_what_is_there(world: &World) {
    let run = world.last_run();
    let held = world.contents();
    let mut left = BTreeMap::new();
    for change in world.records().changes(&run.id).expect("changes") {
        if change.outcome == Some(ChangeOutcome::Done) {
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
            let mut policies: Vec<_> = policies.iter().collect();
            policies.sort_unstable();
            assert_eq!(entry["attached_policies"], json!(policies), "{name}");
        }
    }
}

#[test]
fn a_plan_of_any_script_does_what_the_script_does_and_can_be_taken_back() {
    let seeds = std::env::var("IAMLUA_TEST_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    for seed in 0..seeds {
        let mut dice = Dice(seed);
        let partition = dice.pick(&["aws", "aws", "aws-cn", "aws-us-gov", "aws-iso"]);
        let source = random_script(&mut dice, partition, true);
        check(Some(&account(partition, [12, 12, 4])), &source, "random.lua", &[]);
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
        check(None, &script(path), path, &args);
    }
}
