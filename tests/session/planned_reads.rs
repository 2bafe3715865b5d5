//! Reads of an account with planned changes: every field of every read is the same as after the
//! changes were made, in every partition.

use std::collections::BTreeSet;
use std::fmt::Write;

use iamlua::iam::{self, Run};
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
        if let Run::Write(write) = &entry.run {
            let creates = (write.after)(&iamlua::spec::Args::default(), None).is_some();
            assert!(!(creates && write.deletes()), "{path}");
        }
    }
}
