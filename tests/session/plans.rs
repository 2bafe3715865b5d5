//! State that a script sees while it is planned, and conditions that prevent applying a plan.

use iamlua::error::Kind;
use iamlua::session::Mode;
use iamlua::session::plan::Plan;

use super::World;

#[test]
fn reads_see_what_is_planned_and_aws_says_no_where_it_would() {
    let world = World::new();
    let (plan, ran) = world.plan(
        r#"
local made = iam.profiles.create { name = "made", path = "/ec2/", tags = { A = "1" } }
assert(made.id == "(known after apply)" and made.arn:match("/ec2/made$") and made.create_date >= time.ago("1h"))
assert(iam.profiles.get("made").tags.A == "1" and iam.profiles.find("MADE"))
local count = 0
for profile in iam.profiles.each { path_prefix = "/ec2/", page_size = 4 } do
  if profile.name == "made" then count = count + 1 assert(profile.tags == nil) end
end
assert(count == 1, count)
iam.profiles.add_role("made", "web-frontend")
local found = false
for profile in iam.profiles.each_for_role("web-frontend", { page_size = 1 }) do found = found or profile.name == "made" end
assert(found)
local _, err = try(iam.profiles.add_role, "made", "worker")
assert(err.code == "LimitExceeded" and err.message:find("InstanceSessionsPerInstanceProfile: 1", 1, true), err.message)
_, err = try(iam.profiles.delete, "made")
assert(err.code == "DeleteConflict")
_, err = try(iam.profiles.create, "WEB-frontend")
assert(err.code == "EntityAlreadyExists")
iam.profiles.delete("worker", { detach = true })
_, err = try(iam.profiles.get, "worker")
assert(err.code == "NoSuchEntity" and err.message == "Instance Profile worker cannot be found", err.message)
for profile in iam.profiles.each {} do assert(profile.name ~= "worker") end
iam.profiles.tag("bastion", { New = "yes" })
assert(iam.profiles.tags("bastion").New == "yes" and iam.profiles.get("bastion").tags.Owner)
_, err = try(iam.roles.delete, "web-frontend")
assert(err.code == "DeleteConflict")
_, err = try(iam.profiles.add_role, "ci-sandbox", "no-such-role")
assert(err.code == "NoSuchEntity")
local before = iam.account()
assert(before.profiles == 24)
print("all as expected")
"#,
    );
    assert_eq!(ran.stdout, "all as expected\n", "{:?}", ran.result);
    let actions: Vec<_> = plan.changes.iter().map(|change| change.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "CreateInstanceProfile",
            "AddRoleToInstanceProfile",
            "RemoveRoleFromInstanceProfile",
            "DeleteInstanceProfile",
            "TagInstanceProfile"
        ]
    );
    assert!(plan.changes[0].before.is_none() && plan.changes[1].before.is_some());
}

#[test]
fn a_script_that_makes_one_for_each_that_it_meets_comes_to_an_end() {
    let world = World::new();
    let (plan, ran) = world.plan(
        "for profile in iam.profiles.each { page_size = 5 } do iam.profiles.create(profile.name .. '-copy') end",
    );
    assert_eq!(ran.code(), 0, "{:?}", ran.result);
    // Profiles that were created before the last page was read are read too, as on AWS.
    assert!((24..=48).contains(&plan.changes.len()), "{}", plan.changes.len());
}

#[test]
fn the_quota_of_the_account_holds_in_a_plan() {
    let world = World::new();
    let quota = iamlua::emulator::Quota::Profiles;
    world.account().set_quota(quota, 26).expect("a quota");
    let (plan, ran) = world.plan(
        "iam.profiles.tag('bastion', { A = '1' }) iam.profiles.create('a') iam.profiles.create('b')
         local _, err = try(iam.profiles.create, 'c') print(err.code, err.message)
         iam.profiles.delete('a') iam.profiles.create('c')",
    );
    assert_eq!(
        ran.stdout, "LimitExceeded\tCannot exceed quota for InstanceProfilesPerAccount: 26\n",
        "{:?}",
        ran.result
    );
    let (_, summary) = world.apply(&plan, false).expect("it starts");
    assert!(summary.stopped.is_none(), "{:?}", summary.stopped);
}

fn three_tags(world: &World) -> Plan {
    let source = "for _, name in ipairs { 'bastion', 'worker', 'web-frontend' } do iam.profiles.tag(name, { A = '1' }) end";
    world.plan(source).0
}

#[test]
fn a_change_whose_ground_has_moved_stops_the_plan() {
    for (meddle, said) in [
        ("iam.profiles.tag('worker', { Owner = 'x' })", "when planned and is now x"),
        ("iam.profiles.remove_role('worker', 'worker')", "role was worker when planned and is now none"),
        ("iam.profiles.delete('worker', { detach = true })", "it was there when planned and is not now"),
        (
            "local p = iam.profiles.get('worker') iam.profiles.delete('worker', { detach = true })
             iam.profiles.create { name = 'worker', path = p.path, tags = p.tags } iam.profiles.add_role('worker', p.role)",
            "it has a new id",
        ),
    ] {
        let world = World::new();
        let plan = three_tags(&world);
        assert_eq!(world.run(Mode::Apply, meddle).1.code(), 0);
        let (session, summary) = world.apply(&plan, false).expect("it starts");
        let stopped = summary.stopped.expect("it stops");
        assert_eq!(stopped.kind, Kind::Refused);
        assert!(stopped.message.contains(said), "{stopped}");
        assert_eq!((summary.done, summary.left), (1, 2), "{meddle}");
        assert_eq!(session.changes(), 1, "nothing after it is sent");
        let tags = "print(iam.profiles.tags('bastion').A, iam.profiles.tags('web-frontend').A)";
        assert_eq!(world.run(Mode::ReadOnly, tags).1.stdout, "1\tnil\n");

        let (_, summary) = world.apply(&plan, true).expect("it starts");
        assert_eq!((summary.done, summary.earlier, summary.skipped.len()), (1, 1, 1));
        assert_eq!(world.run(Mode::ReadOnly, tags).1.stdout, "1\t1\n");
    }
}

#[test]
fn a_plan_file_that_is_not_as_it_was_made_is_refused() {
    let world = World::new();
    let text = three_tags(&world).to_file().expect("JSON");
    Plan::from_file("p", &text).expect("as it was made");
    let compact: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    Plan::from_file("p", &compact.to_string()).expect("white space is no change");
    for (changed, said) in [
        (text.replace("\"worker\"", "\"web-canary\""), "was changed"),
        (text.replace("\"A\": \"1\"", "\"A\": \"2\""), "was changed"),
        (text[..text.len() / 2].to_owned(), "is cut short"),
        (text.replace("\"version\": 1", "\"version\": 2"), "newer iamlua"),
        (text.replace("\"checksum\"", "\"checksums\""), "was changed"),
        ("{}".to_owned(), "is not a plan of iamlua"),
        ("return 1".to_owned(), "is not a plan"),
        (String::new(), "is cut short"),
    ] {
        let error = Plan::from_file("p", &changed).expect_err(said);
        assert_eq!(error.kind, Kind::Refused);
        assert!(error.message.contains(said), "{error} has no {said:?}");
    }
}

#[test]
fn a_plan_for_another_account_is_refused_before_anything_is_sent() {
    let (world, other) = (World::new(), World::new());
    let plan = three_tags(&world);
    let export = other.bench.export().replace("123456789012", "210987654321");
    other.account().import(export.as_bytes()).expect("an account of another number");
    let error = other.apply(&plan, false).expect_err("it is refused");
    assert!(error.message.contains("210987654321"), "{error}");
    assert_eq!((error.kind, other.count("TagInstanceProfile")), (Kind::Refused, 0));
}

/// One account with two connections: each sees the planned changes of the other, and both apply the
/// plan.
#[test]
fn two_connections_to_one_account_share_a_plan() {
    let world = World::new();
    let (plan, ran) = world.plan(
        "local other = iam.connect { role_arn = iam.roles.get('reporting').arn }
         other.profiles.create('by-role')
         iam.profiles.tag('by-role', { A = '1' })
         assert(other.profiles.tags('by-role').A == '1')
         iam.profiles.add_role('by-role', 'worker')",
    );
    assert_eq!(ran.code(), 0, "{:?}", ran.result);
    assert_eq!((plan.sites.len(), plan.changes.len()), (2, 3));
    let (_, summary) = world.apply(&plan, false).expect("it starts");
    assert!(summary.stopped.is_none(), "{:?}", summary.stopped);
    let (back, undoing) = world.undo(&world.last_run(), &[]).expect("it can be planned");
    assert!(undoing.left_out.is_empty(), "{:?}", undoing.left_out);
    assert_eq!(back.changes.len(), 2);
}

#[test]
fn the_quota_of_policies_holds_in_a_plan() {
    let world = World::new();
    world.account().set_quota(iamlua::emulator::Quota::PoliciesPerRole, 12).expect("a quota");
    let (plan, ran) = world.plan(
        "local names = { 'AdministratorAccess', 'ReadOnlyAccess', 'AmazonS3FullAccess', 'AmazonS3ReadOnlyAccess', 'AmazonEC2FullAccess',
           'AmazonEC2ReadOnlyAccess', 'IAMFullAccess', 'IAMReadOnlyAccess', 'PowerUserAccess', 'SecurityAudit', 'AmazonSQSFullAccess',
           'AmazonSNSFullAccess', 'AmazonVPCFullAccess' }
         iam.roles.create { name = 'many', assume_role_policy = policy.trust('ec2.amazonaws.com') }
         for _, name in ipairs(names) do
           local _, err = try(iam.roles.attach_policy, 'many', 'arn:aws:iam::aws:policy/' .. name)
           if err then print(err.code, err.message) end
         end",
    );
    assert_eq!(ran.stdout, "LimitExceeded\tCannot exceed quota for PoliciesPerRole: 12\n");
    assert_eq!(plan.changes.len(), 13);
}

#[test]
fn an_empty_description_is_none() {
    let create = "iam.roles.create { name = 'quiet', description = '', \
                  assume_role_policy = policy.trust('ec2.amazonaws.com') }";
    let scripts = [
        create.to_owned(),
        format!("{create} iam.roles.tag('quiet', {{ A = '1' }})"),
        format!("{create} iam.roles.update('quiet', {{ max_session_duration = 7200 }})"),
        "iam.roles.update('loud', { description = '' })".to_owned(),
        "iam.roles.update('loud', { description = '' }) iam.roles.tag('loud', { A = '1' })"
            .to_owned(),
    ];
    for source in scripts {
        let world = World::new();
        let loud = create.replace("quiet", "loud").replace("''", "'x'");
        world.run(Mode::Apply, &loud);
        // AWS omits an empty description.
        let contents = || {
            let mut contents = world.contents();
            for role in contents["roles"].as_array_mut().expect("a list") {
                if role["description"] == "" {
                    role.as_object_mut().expect("a role").remove("description");
                }
            }
            contents
        };
        let before = contents();
        let (plan, ran) = world.plan(&source);
        assert_eq!(ran.code(), 0, "{source}: {:?}", ran.result);
        let (_, summary) = world.apply(&plan, false).expect("it starts");
        assert!(summary.stopped.is_none(), "{source}: {:?}", summary.stopped);
        let after = contents();
        assert_ne!(before, after, "{source}");
        for expected in [&before, &after, &before] {
            let (back, undoing) = world.undo(&world.last_run(), &[]).expect("it can be planned");
            assert!(undoing.left_out.is_empty(), "{source}: {:?}", undoing.left_out);
            let (_, summary) = world.apply(&back, false).expect("it starts");
            assert!(summary.stopped.is_none(), "{source}: {:?}", summary.stopped);
            assert_eq!(&contents(), expected, "{source}");
        }
        let (again, _) = world.plan(&source);
        assert_eq!(again.changes.len(), plan.changes.len(), "{source}");
    }
}
