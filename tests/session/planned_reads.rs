//! Reads of an account with planned changes: every field of every read is the same as after the
//! changes were made, in every partition.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use iamlua::iam::snapshot::{Field, Subject, differences};
use iamlua::iam::{self, Implementation};
use iamlua::session::Mode;
use serde_json::json;

use super::World;
use super::random_scripts::assert_same_output;

/// Calls of every function that changes the account, successful and failing.
const WRITES: &[(&str, &[&str])] = &[
    (
        "profiles.create",
        &[
            r#"{ name = "aaa" }"#,
            r#"{ name = "new", path = "/ec2/", tags = { Owner = "ops", Abc = "1" } }"#,
            r#"{ name = "QUIET" }"#,
        ],
    ),
    ("profiles.add_role", &[r#""empty", "spare""#, r#""quiet", "spare""#, r#""empty", "nobody""#]),
    ("profiles.remove_role", &[r#""quiet", "quiet-role""#, r#""empty", "spare""#]),
    (
        "profiles.delete",
        &[r#""empty""#, r#""quiet""#, r#""quiet", { detach = true }"#, r#""nobody""#],
    ),
    ("profiles.tag", &[r#""quiet", { Owner = "me", Aa = "1", zz = "" }"#, r#""empty", {}"#]),
    ("profiles.untag", &[r#""quiet", { "Owner", "nothing" }"#]),
    (
        "profiles.ensure",
        &[
            r#"{ name = "quiet", role = "spare", tags = { A = "1" }, exact_tags = true }"#,
            r#"{ name = "made", path = "/x/", role = "spare" }"#,
        ],
    ),
    (
        "roles.create",
        &[
            r#"{ name = "made", assume_role_policy = policy.trust("ec2.amazonaws.com") }"#,
            r#"{ name = "made", path = "/x/", description = "d", max_session_duration = 7200,
                permissions_boundary = AWS .. "ReadOnlyAccess", tags = { A = "1" },
                assume_role_policy = policy.trust("ssm.amazonaws.com", "ec2.amazonaws.com") }"#,
            r#"{ name = "made", description = "", assume_role_policy = policy.trust("ec2.amazonaws.com") }"#,
            r#"{ name = "made", permissions_boundary = OWN .. "missing",
                assume_role_policy = policy.trust("ec2.amazonaws.com") }"#,
        ],
    ),
    ("roles.delete", &[r#""spare""#, r#""quiet-role""#, r#""inline""#, r#""nobody""#]),
    (
        "roles.set_assume_role_policy",
        &[
            r#""quiet-role", policy.trust("ssm.amazonaws.com", "ec2.amazonaws.com")"#,
            r#""quiet-role", "{}""#,
        ],
    ),
    (
        "roles.update",
        &[
            r#""quiet-role", { description = "other" }"#,
            r#""quiet-role", { description = "", max_session_duration = 7200 }"#,
        ],
    ),
    (
        "roles.set_permissions_boundary",
        &[
            r#""quiet-role", AWS .. "ReadOnlyAccess""#,
            r#""spare", OWN .. "own""#,
            r#""spare", OWN .. "missing""#,
        ],
    ),
    ("roles.remove_permissions_boundary", &[r#""quiet-role""#, r#""spare""#]),
    ("roles.tag", &[r#""quiet-role", { owner = "me", Aa = "1" }"#]),
    ("roles.untag", &[r#""quiet-role", { "OWNER" }"#]),
    (
        "roles.attach_policy",
        &[
            r#""quiet-role", AWS .. "AmazonEC2ReadOnlyAccess""#,
            r#""quiet-role", OWN .. "own""#,
            r#""quiet-role", OWN .. "missing""#,
            r#""quiet-role", AWS .. "NoSuchPolicyOfAws""#,
            r#""full", AWS .. "AmazonEC2ReadOnlyAccess""#,
        ],
    ),
    (
        "roles.detach_policy",
        &[r#""quiet-role", AWS .. "ReadOnlyAccess""#, r#""quiet-role", OWN .. "own""#],
    ),
    (
        "roles.ensure",
        &[
            r#"{ name = "quiet-role", description = "x", policies = { AWS .. "ReadOnlyAccess" },
                assume_role_policy = policy.trust("ec2.amazonaws.com") }"#,
            r#"{ name = "made", assume_role_policy = policy.trust("ec2.amazonaws.com") }"#,
        ],
    ),
];

/// All reads, with all that they can show. `page(f, args)` reads all pages.
const READS: &[(&str, &[&str])] = &[
    ("profiles.get", &["each(PROFILES, iam.profiles.get)"]),
    ("profiles.find", &["each(PROFILES, iam.profiles.find)"]),
    (
        "profiles.list",
        &[
            "pages(iam.profiles.list, { max_items = 1 })",
            "pages(iam.profiles.list, { max_items = 3 })",
            "pages(iam.profiles.list, {})",
            "pages(iam.profiles.list, { path_prefix = '/ec2/', max_items = 2 })",
        ],
    ),
    (
        "profiles.each",
        &[
            "items(iam.profiles.each { page_size = 2 })",
            "items(iam.profiles.each { with_tags = true, page_size = 2 })",
        ],
    ),
    ("profiles.pages", &["items(iam.profiles.pages { page_size = 2 })"]),
    (
        "profiles.list_for_role",
        &[
            "each(ROLES, function(r) return pages(iam.profiles.list_for_role, { role = r, max_items = 1 }) end)",
            "each(ROLES, function(r) return pages(iam.profiles.list_for_role, { role = r }) end)",
        ],
    ),
    (
        "profiles.each_for_role",
        &["each(ROLES, function(r) return items(iam.profiles.each_for_role(r)) end)"],
    ),
    (
        "profiles.list_tags",
        &[
            "each(PROFILES, function(p) return pages(iam.profiles.list_tags, { name = p, max_items = 1 }) end)",
        ],
    ),
    ("profiles.tags", &["each(PROFILES, iam.profiles.tags)"]),
    ("profiles.wait", &["iam.profiles.wait('shared-a', { timeout = 1 })"]),
    ("roles.get", &["each(ROLES, iam.roles.get)"]),
    ("roles.find", &["each(ROLES, iam.roles.find)"]),
    (
        "roles.list",
        &[
            "pages(iam.roles.list, { max_items = 1 })",
            "pages(iam.roles.list, { max_items = 2 })",
            "pages(iam.roles.list, { path_prefix = '/x/' })",
        ],
    ),
    ("roles.each", &["items(iam.roles.each { page_size = 2 })"]),
    (
        "roles.list_tags",
        &[
            "each(ROLES, function(r) return pages(iam.roles.list_tags, { name = r, max_items = 1 }) end)",
        ],
    ),
    (
        "roles.list_attached_policies",
        &[
            "each(ROLES, function(r) return pages(iam.roles.list_attached_policies, { name = r, max_items = 1 }) end)",
            "each(ROLES, function(r) return pages(iam.roles.list_attached_policies, { name = r, path_prefix = '/x/' }) end)",
        ],
    ),
    ("roles.attached_policies", &["each(ROLES, iam.roles.attached_policies)"]),
    ("account", &["iam.account()"]),
    ("connect", &["iam.connect({}).account()"]),
    ("usage.scan", &["each(PROFILES, function(p) return SCAN:verdict(iam.profiles.get(p)) end)"]),
];

const PRELUDE: &str = r#"
local PROFILES = { "trusting", "aaa", "empty", "new", "quiet", "QUIET", "made", "shared-a", "shared-b" }
local ROLES = { "truster", "bare", "full", "inline", "made", "quiet-role", "Quiet-Role", "spare", "nobody" }
local SCAN = usage.scan { regions = { 'eu-west-1' } }
local function each(names, f)
  local all = {}
  for i, name in ipairs(names) do
    local value, err = try(f, name)
    all[i] = err and { err.code or err.kind, err.message } or value or "nil"
  end
  return all
end
local function pages(f, args)
  local all = {}
  repeat
    local page = f(args)
    all[#all + 1] = { items = { table.unpack(page) }, more = page.is_truncated }
    args.marker = page.marker
  until not page.marker
  return all
end
local function items(iterator)
  local all = {}
  for item in iterator do all[#all + 1] = item end
  return all
end
local function show(what, f)
  local value, err = try(f)
  print(what, err and json.encode { err.code or err.kind, err.message } or json.encode(value))
end
"#;

/// Account whose roles and profiles have everything that a read can show. The quotas are of
/// profiles, roles and policies of a role.
pub(super) fn account(partition: &str, quotas: [u32; 3]) -> String {
    let aws = |name: &str| format!("arn:{partition}:iam::aws:policy/{name}");
    let own = |name: &str| format!("arn:{partition}:iam::123456789012:policy/{name}");
    let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
        "Principal": { "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole" }] });
    let role = |name: &str, more: serde_json::Value| {
        let mut role = json!({
            "name": name, "create_date": "2023-01-01T00:00:00Z", "assume_role_policy": trust,
        });
        for (key, value) in more.as_object().expect("an object") {
            role[key] = value.clone();
        }
        role
    };
    let profile = |name: &str, path: &str, role: Option<&str>, tags: serde_json::Value| {
        json!({ "name": name, "path": path, "role": role, "tags": tags,
            "create_date": "2023-02-01T00:00:00Z" })
    };
    let used = json!({ "date": "2026-11-27T14:12:01Z", "region": "eu-west-1" });
    json!({
        "format": "iamlua-account", "version": 1,
        "account": {
            "id": "123456789012", "partition": partition,
            "quotas": {
                "profiles": quotas[0], "roles": quotas[1], "policies_per_role": quotas[2],
            },
        },
        "policies": [own("own")],
        "roles": [
            role("bare", json!({ "path": "/x/" })),
            role("full", json!({ "attached_policies":
                [aws("ReadOnlyAccess"), aws("AmazonS3ReadOnlyAccess"), own("own")] })),
            role("inline", json!({ "inline_policies": { "in": { "Version": "2012-10-17",
                "Statement": [{ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }] } } })),
            role("quiet-role", json!({
                "path": "/ec2/", "description": "does things", "max_session_duration": 4000,
                "last_used": used, "permissions_boundary": aws("PowerUserAccess"),
                "attached_policies": [aws("ReadOnlyAccess"), aws("AmazonS3ReadOnlyAccess")],
                "tags": { "Owner": "dev", "Stage": "prod" },
            })),
            role("spare", json!({ "last_used": used })),
            role("truster", json!({ "assume_role_policy": { "Version": "2012-10-17",
                "Statement": [{ "Effect": "Allow", "Action": "sts:AssumeRole", "Principal":
                    { "AWS": format!("arn:{partition}:iam::123456789012:role/spare") } }] } })),
        ],
        "profiles": [
            profile("empty", "/", None, json!({})),
            profile("quiet", "/ec2/", Some("quiet-role"), json!({ "Owner": "dev", "Zone": "a" })),
            profile("shared-a", "/ec2/", Some("full"), json!({ "Owner": "dev" })),
            profile("shared-b", "/zz/", Some("full"), json!({})),
            profile("trusting", "/zz/", Some("truster"), json!({})),
        ],
    })
    .to_string()
}

#[test]
fn every_read_after_a_planned_change_is_as_after_the_change() {
    for partition in ["aws", "aws-cn", "aws-us-gov", "aws-iso-b"] {
        let prelude = format!(
            "local AWS, OWN = 'arn:{partition}:iam::aws:policy/', \
             'arn:{partition}:iam::123456789012:policy/'\n{PRELUDE}"
        );
        let mut reads = String::new();
        for (path, ways) in READS {
            for way in *ways {
                let _ = writeln!(reads, "show({path:?}, function() return {way} end)");
            }
        }
        for (path, calls) in WRITES {
            for call in *calls {
                // In other partitions only values with ARNs can differ.
                if partition != "aws" && !call.contains("AWS") && !call.contains("OWN") {
                    continue;
                }
                let write = format!(
                    "{prelude}show('write', function() return iam.{path}({call}) end)\n{reads}"
                );
                let (planned, direct) = (World::new(), World::new());
                let account = account(partition, [7, 7, 3]);
                planned.account().import(account.as_bytes()).expect("an account");
                let start = planned.bench.export();
                direct.account().import(start.as_bytes()).expect("the same account");
                let (_, plan) = planned.run(Mode::Plan, &write);
                assert_eq!(planned.bench.export(), start, "a plan changed something: {write}");
                let (_, run) = direct.run(Mode::Apply, &write);
                assert_eq!(run.code(), 0, "{}: {:?}", run.stderr, run.result);
                let what = format!("{partition}: {path}({call})");
                assert_same_output(&plan.stdout, &run.stdout, &start, &what);
            }
        }
    }
}

/// The field of a record in which a read shows that something differs; `None` for what no record
/// has.
fn shown_as(field: &Field) -> Option<&'static [&'static str]> {
    match field {
        Field::Existence | Field::Id => Some(&["id", "create_date"]),
        Field::Path => Some(&["path"]),
        Field::Role => Some(&["role", "roles"]),
        Field::Tag(_) => Some(&["tags"]),
        Field::TrustPolicy => Some(&["assume_role_policy"]),
        Field::Description => Some(&["description"]),
        Field::MaxSessionDuration => Some(&["max_session_duration"]),
        Field::PermissionsBoundary => Some(&["permissions_boundary"]),
        Field::Policy(_) => None,
    }
}

/// The records in an answer by their ARNs, apart from those within others.
fn records_in(
    value: &serde_json::Value,
    is_within: bool,
    found: &mut BTreeMap<(String, bool), serde_json::Value>,
) {
    let is_record = value["arn"].is_string() && value["id"].is_string();
    if is_record {
        let key = (value["arn"].as_str().unwrap_or_default().to_owned(), is_within);
        found.entry(key).or_insert_with(|| value.clone());
    }
    match value {
        serde_json::Value::Array(items) => {
            for item in items {
                records_in(item, is_within, found);
            }
        }
        serde_json::Value::Object(fields) => {
            for value in fields.values() {
                records_in(value, is_within || is_record, found);
            }
        }
        _ => {}
    }
}

#[test]
fn a_planned_write_changes_no_answer_beyond_its_own_fields() {
    let prelude = format!(
        "local AWS, OWN = 'arn:aws:iam::aws:policy/', \
         'arn:aws:iam::123456789012:policy/'\n{PRELUDE}"
    );
    let mut reads = String::new();
    // The other ways differ in the sizes of pages, which the test above compares.
    for (path, ways) in READS {
        let _ = writeln!(reads, "show({path:?}, function() return {} end)", ways[0]);
    }
    let mut compared = 0;
    for (path, calls) in WRITES {
        for call in *calls {
            let script = format!(
                "{prelude}{reads}show('write', function() return iam.{path}({call}) end)\n{reads}"
            );
            let world = World::new();
            let account = account("aws", [9, 9, 9]);
            world.account().import(account.as_bytes()).expect("an account");
            let (session, ran) = world.run(Mode::Plan, &script);
            assert_eq!(ran.code(), 0, "{}: {:?}", ran.stderr, ran.result);
            let plan = session.recorder().plan(None, None, None, None);
            let mut changed: BTreeMap<(Subject, String), BTreeSet<Field>> = BTreeMap::new();
            for change in &plan.changes {
                let key = (change.subject, change.name.to_lowercase());
                let found = differences(&change.before, &change.after);
                changed.entry(key).or_default().extend(found.into_iter().map(|one| one.field));
            }
            let touches = |is_it: fn(&Field) -> bool| changed.values().flatten().any(is_it);
            let deletes = plan.changes.iter().any(|change| change.after.is_none());
            let exists = touches(|field| matches!(field, Field::Existence));
            let lines: Vec<_> =
                ran.stdout.lines().filter_map(|line| line.split_once('\t')).collect();
            let (before, after) = lines.split_at(lines.len() / 2);
            let after = &after[1..];
            assert_eq!(before.len(), after.len(), "{path}({call})");
            for ((read, before), (_, after)) in before.iter().zip(after) {
                let what = format!("{path}({call}), {read}:\n{before}\n{after}");
                let untouched = match *read {
                    "account" | "connect" => !exists,
                    "profiles.list_tags" | "profiles.tags" | "roles.list_tags" => {
                        !exists && !touches(|field| matches!(field, Field::Tag(_)))
                    }
                    "roles.list_attached_policies" | "roles.attached_policies" => {
                        !exists && !touches(|field| matches!(field, Field::Policy(_)))
                    }
                    _ => false,
                };
                assert!(!untouched || before == after, "{what}");
                let json = |text: &str| serde_json::from_str(text).expect("JSON");
                let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
                records_in(&json(before), false, &mut old);
                records_in(&json(after), false, &mut new);
                for (key @ (arn, _), old) in &old {
                    let Some(new) = new.get(key) else { continue };
                    let name = arn.rsplit('/').next().unwrap_or_default().to_lowercase();
                    let subject =
                        if arn.contains(":role/") { Subject::Role } else { Subject::Profile };
                    let own = changed.get(&(subject, name)).into_iter().flatten();
                    let mut may: BTreeSet<_> =
                        own.filter_map(shown_as).flatten().copied().collect();
                    // The role in a profile has a record of its own here.
                    may.insert("roles");
                    if *read == "usage.scan" && may.contains("role") {
                        // The verdict on a profile rests on its role.
                        continue;
                    }
                    if exists && ["account", "connect"].contains(read) {
                        may.insert("profiles");
                    }
                    if deletes {
                        // AWS puts its id in the place of the ARN of a role that is deleted.
                        may.insert("assume_role_policy");
                    }
                    let fields =
                        |value: &serde_json::Value| -> BTreeMap<String, serde_json::Value> {
                            let fields = value.as_object().into_iter().flatten();
                            fields.map(|(name, value)| (name.clone(), value.clone())).collect()
                        };
                    let (old, new) = (fields(old), fields(new));
                    for name in old.keys().chain(new.keys()) {
                        let is_same = old.get(name) == new.get(name);
                        assert!(is_same || may.contains(name.as_str()), "{name} of {arn}: {what}");
                        compared += 1;
                    }
                }
            }
        }
    }
    assert!(compared > 10_000, "{compared}");
}

#[test]
fn the_reads_and_writes_of_the_registry_are_all_tried() {
    let tried = |table: &[(&'static str, &[&str])]| -> BTreeSet<_> {
        table.iter().map(|(path, _)| (*path).to_owned()).collect()
    };
    let (writes, reads) = (tried(WRITES), tried(READS));
    for entry in iam::registry() {
        let path = entry.spec.path();
        let table = if entry.writes() { &writes } else { &reads };
        assert!(table.contains(&path), "{path} is not in the table of this test");
        if let Implementation::Write(write) = &entry.run {
            let creates = (write.after)(&iamlua::spec::Args::default(), None).is_some();
            assert!(!(creates && write.deletes()), "{path}");
        }
    }
}
