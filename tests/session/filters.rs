//! Endpoints that differ from AWS: ignored filters, and markers without an end.

use iamlua::error::Kind;
use iamlua::lua::Format;
use iamlua::session::{Mode, Session};

use super::World;
use super::line::{self, Fate};
use crate::lua::{Bench, Ran};

/// Runs a script against an endpoint that answers an action with that result, whatever its
/// parameters.
fn against(action: &'static str, result: &str, script: &str) -> Ran {
    let body = format!(
        "<{action}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><{action}Result>{result}</{action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
    );
    let world = World::new();
    let connection = line::connection(world.account(), move |asked| {
        if asked.action == action { Fate::Answer(body.clone()) } else { Fate::Pass }
    });
    world.bench.run_through(connection, script, "test.lua", Vec::new(), iamlua::lua::Format::Table)
}

fn role(name: &str, path: &str) -> String {
    format!(
        "<member><Path>{path}</Path><RoleName>{name}</RoleName><RoleId>AROA{name}</RoleId><Arn>arn:aws:iam::123456789012:role{path}{name}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate></member>"
    )
}

fn profile(name: &str, path: &str, role_name: &str) -> String {
    let role = role(role_name, "/");
    format!(
        "<member><Path>{path}</Path><InstanceProfileName>{name}</InstanceProfileName><InstanceProfileId>AIPA{name}</InstanceProfileId><Arn>arn:aws:iam::123456789012:instance-profile{path}{name}</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate><Roles>{role}</Roles></member>"
    )
}

#[test]
fn what_an_endpoint_does_not_filter_is_filtered_here() {
    let profiles = format!(
        "<IsTruncated>false</IsTruncated><InstanceProfiles>{}{}{}</InstanceProfiles>",
        profile("a", "/service-role/", "web"),
        profile("b", "/", "web"),
        profile("c", "/service-role-other/", "other"),
    );
    let roles = format!(
        "<IsTruncated>false</IsTruncated><Roles>{}{}</Roles>",
        role("a", "/service-role/x/"),
        role("b", "/other/")
    );
    let policies = "<IsTruncated>false</IsTruncated><AttachedPolicies>\
        <member><PolicyName>a</PolicyName><PolicyArn>arn:aws:iam::aws:policy/service-role/a</PolicyArn></member>\
        <member><PolicyName>b</PolicyName><PolicyArn>arn:aws:iam::aws:policy/b</PolicyArn></member></AttachedPolicies>";
    for (action, result, listing, names) in [
        (
            "ListInstanceProfiles",
            &profiles,
            "profiles.each { path_prefix = '/service-role/' }",
            "a",
        ),
        (
            "ListInstanceProfiles",
            &profiles,
            "profiles.each { path_prefix = '/service-role' }",
            "a,c",
        ),
        ("ListInstanceProfiles", &profiles, "profiles.each()", "a,b,c"),
        ("ListInstanceProfilesForRole", &profiles, "profiles.each_for_role('Web')", "a,b"),
        ("ListRoles", &roles, "roles.each { path_prefix = '/service-role/' }", "a"),
    ] {
        let script = format!(
            "local names = {{}} for one in iam.{listing} do names[#names + 1] = one.name end print(table.concat(names, ','))"
        );
        let ran = against(action, result, &script);
        assert_eq!((ran.code(), ran.stdout.trim()), (0, names), "{listing}: {:?}", ran.result);
    }
    let script = "local page = iam.roles.list_attached_policies('worker', { path_prefix = '/service-role/' }) print(#page, page[1].name)";
    let ran = against("ListAttachedRolePolicies", policies, script);
    assert_eq!(ran.stdout, "1\ta\n", "{:?}", ran.result);
}

#[test]
fn a_marker_that_leads_nowhere_is_an_error_and_not_the_end() {
    let stuck = "<IsTruncated>true</IsTruncated><Marker>same</Marker>";
    let missing = "<IsTruncated>true</IsTruncated>";
    let answer = |name: &str, rest: &str| format!("{rest}<{name}></{name}>");
    for (action, list_name, script) in [
        ("ListInstanceProfiles", "InstanceProfiles", "for _ in iam.profiles.each() do end"),
        ("ListRoles", "Roles", "for _ in iam.roles.each() do end"),
        ("ListInstanceProfileTags", "Tags", "iam.profiles.tags('worker')"),
        ("ListAttachedRolePolicies", "AttachedPolicies", "iam.roles.attached_policies('worker')"),
        (
            "ListAttachedRolePolicies",
            "AttachedPolicies",
            "iam.roles.detach_policy('worker', 'arn:aws:iam::aws:policy/ReadOnlyAccess')",
        ),
    ] {
        for (rest, words) in
            [(stuck, "the same marker again"), (missing, "more pages, but not where")]
        {
            let ran = against(action, &answer(list_name, rest), script);
            let error = ran.result.as_ref().expect_err(script);
            assert!(error.to_string().contains(words), "{script}: {error}");
        }
    }
}

#[test]
fn markers_in_a_circle_are_an_error_in_every_listing() {
    let create = "iam.profiles.create { name = 'zz', tags = { Owner = 'ops' } } ";
    let role = "iam.roles.tag('worker', { Owner = 'ops' }) ";
    for (action, list_name, script) in [
        ("ListInstanceProfiles", "InstanceProfiles", "for _ in iam.profiles.each() do end"),
        (
            "ListInstanceProfilesForRole",
            "InstanceProfiles",
            "for _ in iam.profiles.each_for_role('worker') do end",
        ),
        ("ListRoles", "Roles", "for _ in iam.roles.each() do end"),
        ("ListInstanceProfileTags", "Tags", "iam.profiles.tags('web-frontend')"),
        ("ListAttachedRolePolicies", "AttachedPolicies", "iam.roles.attached_policies('worker')"),
        ("ListRolePolicies", "PolicyNames", "iam.roles.delete('worker')"),
    ] {
        for (mode, before) in
            [(Mode::Apply, ""), (Mode::Plan, ""), (Mode::Plan, create), (Mode::Plan, role)]
        {
            if action == "ListRolePolicies" && (mode == Mode::Apply || before == role) {
                continue;
            }
            for circle in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
                let world = World::new();
                let mut asked_for = circle.iter().cycle();
                let connection = line::connection(world.account(), move |asked| {
                    if asked.action != action {
                        return Fate::Pass;
                    }
                    let marker = asked_for.next().expect("it has no end");
                    Fate::Answer(format!(
                        "<{action}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">\
                         <{action}Result><IsTruncated>true</IsTruncated><Marker>{marker}</Marker>\
                         <{list_name}></{list_name}></{action}Result></{action}Response>"
                    ))
                });
                let session = Session::with(world.rules(mode));
                let bench = Bench { session, ..world.bench.clone() };
                let script = format!("{before}{script}");
                let format = Format::Table;
                let ran = bench.run_through(connection, &script, "test.lua", Vec::new(), format);
                let case = format!("{action} {mode:?} {circle:?} {before}");
                let error = ran.result.as_ref().expect_err(&case).to_string();
                assert!(error.contains("the same marker again"), "{case}: {error}");
            }
        }
    }
}

#[test]
fn an_account_other_than_that_of_the_credentials_is_not_changed() {
    let caller = "<Arn>arn:aws:iam::222222222222:user/jo</Arn><UserId>AIDA</UserId><Account>222222222222</Account>";
    for change in [
        "iam.profiles.tag('web-frontend', { Owner = 'other' })",
        "iam.profiles.delete('ci-sandbox')",
        "iam.roles.tag('worker', { Owner = 'other' })",
    ] {
        let ran = against("GetCallerIdentity", caller, change);
        let error = ran.result.as_ref().expect_err("a refusal");
        assert_eq!(error.kind, Kind::Refused, "{change}: {error}");
        let text = "and the credentials are of account 222222222222";
        assert!(error.message.ends_with(text), "{change}: {error}");
        assert!(error.message.starts_with("Get"), "nothing was sent before: {error}");
    }
}
