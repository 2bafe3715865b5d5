//! Verdicts: a profile with a reference is used, and one with any doubt is never unused.

use iamlua::error::Kind;
use iamlua::usage::{
    By, CheckOutcome, Gap, GapCause, Judgement, Means, Mention, Reason, Region, RegionState,
    RoleKnown, RoleUse, Ruling, SOURCES, Scan, VerdictSubject,
};

use super::{
    ACCOUNT, REGION, STARTED, at, finished, judge, profile, rested, role, ruling, scope, subject,
    verdict, with,
};

/// Ways in which AWS names a profile in each source: the responses are described in the API
/// reference of each call.
fn texts(source: &str, profile: &VerdictSubject) -> Vec<Mention> {
    let VerdictSubject { name, id, arn, roles, .. } = profile;
    let texts = match source {
        "ec2.instances" | "ec2.associations" => vec![arn, id],
        "ec2.launch_templates" | "ec2.spot_fleets" | "ec2.spot_requests" => vec![arn, name],
        "autoscaling.launch_configurations"
        | "batch.compute_environments"
        | "emr.clusters"
        | "elasticbeanstalk.environments"
        | "rds.custom_instances" => vec![name, arn],
        "ecs.capacity_providers" => vec![arn],
        "imagebuilder.infrastructure_configurations" => vec![name],
        "eks.node_groups" => {
            let arn = format!("arn:aws:iam::{ACCOUNT}:role/{}", roles[0]);
            return vec![role(arn), role(roles[0].as_str())];
        }
        _ => panic!("how does {source} name a profile?"),
    };
    texts.into_iter().map(|text| self::profile(text.as_str())).collect()
}

#[test]
fn a_profile_that_only_one_source_names_is_used() {
    let web = subject("web");
    for source in SOURCES {
        for named in texts(source.name, &web) {
            let is_role = source.last().fields.iter().any(|field| field.means == Means::Role);
            assert_eq!(is_role, matches!(named, Mention::Role(_)), "{}", source.name);
            let mut scan = Scan::new(scope());
            scan.add(source.name, REGION, "it", "on", [named.clone()]);
            let scan = finished(scan);
            let v = verdict(&scan, "web");
            assert_eq!((v.ruling, v.references.len()), (Ruling::Used, 1), "{named:?}");
            let reference = &v.references[0];
            assert_eq!(
                (&*reference.source, &*reference.region, &*reference.resource, &*reference.state),
                (source.name, REGION, "it", "on")
            );
            assert_eq!(
                v.reason,
                format!(
                    "1 reference: {} it (on) in eu-central-1{}",
                    source.kind,
                    if is_role { " with its role" } else { "" }
                )
            );
            assert_eq!(ruling(&scan, "web-2"), Ruling::Unused, "{named:?}");
            // It is also used in a scan with gaps, and in an interrupted one.
            let mut scan = Scan::new(scope());
            scan.add(source.name, REGION, "it", "on", [named.clone()]);
            assert_eq!(ruling(&scan, "web"), Ruling::Used, "{named:?}");
        }
    }
}

#[test]
fn nothing_is_unused_where_a_source_was_not_checked() {
    assert_eq!(ruling(&finished(Scan::new(scope())), "web"), Ruling::Unused);
    for source in SOURCES {
        for reason in Reason::ALL {
            let mut scan = Scan::new(scope());
            scan.checked(source.name, REGION, at(STARTED), 3, CheckOutcome::Gap(reason.into()));
            let v = verdict(&finished(scan), "web");
            assert_eq!(v.ruling, Ruling::Unknown, "{} {reason:?}", source.name);
            let gap = v.gaps().next().expect("a gap");
            assert_eq!(gap.source.as_deref(), Some(source.name));
            assert_eq!((gap.region.as_deref(), gap.why.reason), (Some(REGION), reason));
            assert_eq!(v.gaps().count(), 1);
            let (name, reason) = (source.name, reason.name());
            let expected = if reason == "not asked" {
                format!("{name} was not asked in eu-central-1")
            } else {
                format!("{name} could not be checked in eu-central-1: {reason}")
            };
            assert_eq!(v.reason, expected);
        }
        // Later results do not close a gap.
        let mut scan = Scan::new(scope());
        let denied = CheckOutcome::Gap(Reason::Denied.into());
        scan.checked(source.name, REGION, at(STARTED), 0, denied.clone());
        scan.checked(source.name, REGION, at(STARTED), 0, CheckOutcome::Whole);
        assert_eq!(ruling(&finished(scan), "web"), Ruling::Unknown);
        let mut scan = Scan::new(scope());
        scan.checked(source.name, REGION, at(STARTED), 0, CheckOutcome::Whole);
        scan.checked(source.name, REGION, at(STARTED), 0, denied);
        assert_eq!(ruling(&finished(scan), "web"), Ruling::Unknown);
    }
}

#[test]
fn nothing_is_unused_where_a_source_was_not_asked() {
    for source in SOURCES {
        let mut scope = scope();
        scope.sources.retain(|name| name != source.name);
        let v = verdict(&finished(Scan::new(scope)), "web");
        assert_eq!(v.ruling, Ruling::Unknown, "{}", source.name);
        assert_eq!(v.reason, format!("{} was not asked", source.name));
        assert_eq!(v.gaps().count(), 1);
    }
}

#[test]
fn nothing_is_unused_where_nothing_was_heard_of_a_source() {
    for source in SOURCES {
        let mut scan = Scan::new(scope());
        for other in SOURCES.iter().filter(|other| other.name != source.name) {
            scan.checked(other.name, REGION, at(STARTED), 1, CheckOutcome::Whole);
        }
        scan.end(at("2026-11-28T12:03:00Z"));
        let v = verdict(&scan, "web");
        assert_eq!(v.ruling, Ruling::Unknown, "{}", source.name);
        assert_eq!(v.gaps().next().map(|gap| gap.why.reason), Some(Reason::CutOff));
    }
}

#[test]
fn nothing_is_unused_where_an_enabled_region_was_not_asked() {
    let with_region = |standing| {
        let mut scope = scope();
        scope.regions.push(Region { name: "eu-west-1".into(), standing });
        finished(Scan::new(scope))
    };
    assert_eq!(ruling(&with_region(RegionState::Asked), "web"), Ruling::Unused);
    assert_eq!(ruling(&with_region(RegionState::NotEnabled), "web"), Ruling::Unused);
    let v = verdict(&with_region(RegionState::NotAsked), "web");
    assert_eq!((v.ruling, v.gaps().count()), (Ruling::Unknown, 1));
    assert_eq!(v.reason, "eu-west-1 was not asked");

    let mut none = scope();
    none.regions.clear();
    assert_eq!(ruling(&finished(Scan::new(none)), "web"), Ruling::Unknown);

    let mut scan = Scan::new(scope());
    let why = GapCause::from(Reason::NotEnabled);
    scan.miss(Gap { source: None, region: Some("af-south-1".into()), why });
    let v = verdict(&finished(scan), "web");
    assert_eq!((v.ruling, &*v.reason), (Ruling::Unknown, "af-south-1 is not enabled"));
}

#[test]
fn nothing_is_unused_in_a_scan_that_did_not_end() {
    let mut scan = Scan::new(scope());
    assert_eq!(ruling(&scan, "web"), Ruling::Unknown);
    for source in SOURCES {
        assert_eq!(ruling(&scan, "web"), Ruling::Unknown, "before {}", source.name);
        scan.checked(source.name, REGION, at(STARTED), 1, CheckOutcome::Whole);
    }
    assert_eq!(ruling(&scan, "web"), Ruling::Unknown);
    assert!(!scan.is_complete());
    scan.end(at("2026-11-28T12:03:00Z"));
    assert_eq!(ruling(&scan, "web"), Ruling::Unused);
    assert!(scan.is_complete());
}

#[test]
fn a_service_that_a_region_does_not_have_is_no_gap() {
    let mut scan = Scan::new(scope());
    scan.checked("elasticbeanstalk.environments", REGION, at(STARTED), 0, CheckOutcome::NotOffered);
    assert_eq!(ruling(&finished(scan), "web"), Ruling::Unused);
}

/// The last use of the role decides if no resource refers to the profile.
#[test]
fn the_role_decides_where_nothing_names_the_profile() {
    let scan = finished(Scan::new(scope()));
    let web = subject("web");
    assert_eq!(
        scan.judge(&web, &RoleKnown::NotAsked).expect("a judgement"),
        Judgement::AskRole("web-role".into())
    );
    let use_of = |made: &str, used: Option<&str>| {
        RoleKnown::Read(RoleUse {
            name: "web-role".into(),
            create_date: made.into(),
            last_used: used.map(str::to_owned),
            region: used.map(|_| "us-east-1".to_owned()),
        })
    };
    let old = "2024-01-01T00:00:00Z";
    let nothing = "no reference in 13 kinds of resources in 1 region, and";
    for (made, used, expected, reason) in [
        // 90 days before the scan is 2026-08-30.
        (old, Some("2026-11-25T12:00:00Z"), Ruling::Used, "its role web-role was used 3 days ago in us-east-1".to_owned()),
        (old, Some("2026-11-28T11:30:00Z"), Ruling::Used, "its role web-role was used 30 minutes ago in us-east-1".into()),
        (old, Some("2026-11-28T12:30:00Z"), Ruling::Used, "its role web-role was used since the scan began in us-east-1".into()),
        (old, Some("2026-08-30T12:00:00Z"), Ruling::Used, "its role web-role was used 90 days ago in us-east-1".into()),
        (old, Some("2026-08-30T11:59:59Z"), Ruling::Unused, format!("{nothing} its role was not used for 90 days")),
        (old, Some("2025-11-05T09:00:00Z"), Ruling::Unused, format!("{nothing} its role was not used for 388 days")),
        (old, None, Ruling::Unused, format!("{nothing} its role was not used for 400 days")),
        ("2026-08-01T00:00:00Z", None, Ruling::Unused, format!("{nothing} its role was never used")),
        ("2026-11-16T12:00:00Z", None, Ruling::Unknown, "its role is only 12 days old, so that nobody can say that it has not been used for 90 days".into()),
        ("2027-01-01T00:00:00Z", None, Ruling::Unknown, "its role is only 0 minutes old, so that nobody can say that it has not been used for 90 days".into()),
        ("", None, Ruling::Unknown, "nobody can read when its role was made".into()),
        ("1970-01-01T00:00:00Z", None, Ruling::Unknown, "nobody can read when its role was made".into()),
        (old, Some("yesterday"), Ruling::Unknown, "nobody can read when its role was last used".into()),
    ] {
        let v = judge(&scan, &web, &use_of(made, used));
        assert_eq!((v.ruling, v.reason), (expected, reason), "{made} {used:?}");
        if expected == Ruling::Used {
            let reference = &v.references[0];
            assert_eq!((&*reference.source, reference.by), ("iam.roles", By::Role));
            assert_eq!((reference.kind(), reference.service()), ("role", "iam"));
        }
    }
    let other = RoleKnown::Read(RoleUse { name: "other".into(), ..RoleUse::default() });
    assert_eq!(judge(&scan, &web, &other).ruling, Ruling::Unknown);
    for reason in Reason::ALL {
        let code = "AccessDenied".to_owned();
        let why = GapCause { reason, code, message: "no".into() };
        let v = judge(&scan, &web, &RoleKnown::Unreadable(why));
        assert_eq!(v.ruling, Ruling::Unknown);
        let expected =
            format!("its role web-role could not be read: {} (AccessDenied)", reason.name());
        assert_eq!((v.reason.as_str(), v.gaps().count()), (expected.as_str(), 1));
    }
    let mut two = web.clone();
    two.roles.push("second".into());
    let v = judge(&scan, &two, &use_of(old, None));
    assert_eq!((v.ruling, &*v.reason), (Ruling::Unknown, "it holds 2 roles"));
    let mut none = web;
    none.roles.clear();
    let v = judge(&scan, &none, &RoleKnown::NotAsked);
    assert_eq!((v.ruling, v.reason), (Ruling::Unused, format!("{nothing} it holds no role")));
}

#[test]
fn what_aws_has_forgotten_is_not_taken_for_rest() {
    let mut longer = scope();
    longer.role_unused_for = std::time::Duration::from_hours(500 * 24);
    let scan = finished(Scan::new(longer));
    let web = subject("web");
    let never = RoleKnown::Read(RoleUse {
        name: "web-role".into(),
        create_date: "2020-01-01T00:00:00Z".into(),
        ..RoleUse::default()
    });
    let v = judge(&scan, &web, &never);
    assert_eq!(v.ruling, Ruling::Unknown);
    assert_eq!(
        v.reason,
        "its role was not used for 400 days, and AWS does not remember for 500 days"
    );
}

#[test]
fn a_role_is_not_asked_where_something_names_the_profile() {
    let scan = with(profile("web"));
    let v = judge(&scan, &subject("web"), &RoleKnown::NotAsked);
    assert_eq!((v.ruling, v.role), (Ruling::Used, None));
}

#[test]
fn a_profile_that_is_new_or_odd_is_not_unused() {
    let scan = finished(Scan::new(scope()));
    let web = subject("web");
    let arn = |arn: &str| VerdictSubject { arn: arn.into(), ..web.clone() };
    let made = |date: &str| VerdictSubject { create_date: date.into(), ..web.clone() };
    for odd in [
        made("2026-11-28T12:00:00Z"),
        made("2026-11-28T11:59:00Z"),
        made("2026-11-28T12:05:00Z"),
        made("2030-01-01T00:00:00Z"),
        made(""),
        made("2024-13-01"),
        made("1970-01-01T00:00:00Z"),
        VerdictSubject { id: String::new(), ..web.clone() },
        VerdictSubject { name: String::new(), ..web.clone() },
        arn(""),
        arn("web"),
        arn("arn:aws:iam::1:instance-profile/ec2/web"),
        arn(&format!("arn:aws:iam::{ACCOUNT}:instance-profile/ec2/web-2")),
        arn(&format!("arn:aws:iam::{ACCOUNT}:role/web")),
        VerdictSubject { roles: vec![String::new()], ..web.clone() },
        VerdictSubject::default(),
    ] {
        let ruling = match scan.judge(&odd, &RoleKnown::NotAsked).expect("a judgement") {
            Judgement::AskRole(_) => judge(&scan, &odd, &rested(&web)).ruling,
            Judgement::Given(verdict) => verdict.ruling,
        };
        assert_eq!(ruling, Ruling::Unknown, "{odd:?}");
    }
    let v = judge(&scan, &made("2026-11-28T11:58:59Z"), &rested(&web));
    assert_eq!(v.ruling, Ruling::Unused);
    let v = judge(&scan, &made("2026-11-28T12:01:00Z"), &rested(&web));
    assert_eq!(v.reason, "it was made after the scan began, or just before");
}

#[test]
fn a_profile_of_another_account_gets_no_verdict() {
    let scan = with(profile("web"));
    for arn in [
        "arn:aws:iam::210987654321:instance-profile/ec2/web".to_owned(),
        format!("arn:aws-cn:iam::{ACCOUNT}:instance-profile/ec2/web"),
    ] {
        let other = VerdictSubject { arn, ..subject("web") };
        let error = scan.judge(&other, &rested(&other)).expect_err("it is of another account");
        assert_eq!(error.kind, Kind::Argument);
    }
}

#[test]
fn a_doubt_is_weaker_than_a_reference_and_stronger_than_nothing() {
    let mut scan = Scan::new(scope());
    scan.add("ec2.launch_templates", REGION, "lt-1/1", "", [profile("web-${Env}")]);
    scan.add("ec2.launch_templates", REGION, "lt-1/2", "", [profile("web-prod")]);
    let scan = finished(scan);
    let v = verdict(&scan, "web-prod");
    assert_eq!((v.ruling, v.references.len(), v.doubts.len()), (Ruling::Used, 1, 1));
    let v = verdict(&scan, "web-test");
    assert_eq!((v.ruling, v.references.len(), v.doubts.len()), (Ruling::Unknown, 0, 1));
    assert_eq!(
        v.reason,
        "launch template version lt-1/1 in eu-central-1 says \"web-${Env}\", which may mean it"
    );
    assert_eq!(ruling(&scan, "app"), Ruling::Unused);
}

#[test]
fn a_resource_refers_to_a_profile_once() {
    let web = subject("web");
    let mut scan = Scan::new(scope());
    let both = [profile(web.arn.as_str()), profile(web.id.as_str())];
    scan.add("ec2.instances", REGION, "i-1", "running", both.clone());
    scan.add("ec2.instances", REGION, "i-1", "running", [profile("web")]);
    scan.add("ec2.instances", "us-east-1", "i-1", "running", both.clone());
    scan.add("ec2.associations", REGION, "i-1", "associated", both);
    // A fleet has a profile in each of its launch specifications.
    let fleet = [profile("web"), profile("other"), profile(web.arn.as_str()), profile("web-${x}")];
    scan.add("ec2.spot_fleets", REGION, "sfr-1", "active", fleet);
    let scan = finished(scan);
    let v = verdict(&scan, "web");
    assert_eq!((v.references.len(), v.doubts.len()), (4, 0));
    assert!(v.references.iter().all(|reference| reference.by == By::Arn));
    assert_eq!(ruling(&scan, "other"), Ruling::Used);
    assert_eq!(ruling(&scan, "web-1"), Ruling::Unknown);
    assert_eq!(scan.len(), 5);
    let names = scan.found(4).expect("the fleet").names;
    assert_eq!(names.len(), 4);
    assert!(scan.found(5).is_none());
}

#[test]
fn a_sentence_says_how_much_and_names_the_first() {
    let mut scan = Scan::new(scope());
    for n in 0..1204 {
        scan.add("ec2.instances", REGION, &format!("i-{n:04}"), "running", [profile("web")]);
    }
    for n in 0..4 {
        scan.add(
            "autoscaling.launch_configurations",
            REGION,
            &format!("lc {n}\n"),
            "",
            [profile("four")],
        );
    }
    let scan = finished(scan);
    assert_eq!(
        verdict(&scan, "web").reason,
        "1,204 references: instance i-0000 (running) in eu-central-1, instance i-0001 (running) in eu-central-1, instance i-0002 (running) in eu-central-1 and 1,201 more"
    );
    let four = verdict(&scan, "four");
    assert!(four.reason.ends_with("launch configuration lc 3\\n in eu-central-1"), "{four}");
    let text = verdict(&scan, "web").to_string();
    assert!(text.starts_with("web is used: 1,204 references: "), "{text}");
    assert!(text.ends_with("\n  and 1,184 more"), "{text}");

    let mut wide = scope();
    let names = ["eu-west-1", "eu-west-2", "us-east-1", "us-west-2"];
    let region = |name: &&str| Region { name: (*name).to_owned(), standing: RegionState::Asked };
    wide.regions.extend(names.iter().map(region));
    let mut scan = Scan::new(wide);
    for region in names.into_iter().chain([REGION]) {
        let denied = CheckOutcome::Gap(Reason::Denied.into());
        scan.checked("ec2.instances", region, at(STARTED), 0, denied);
    }
    scan.checked(
        "rds.custom_instances",
        REGION,
        at(STARTED),
        0,
        CheckOutcome::Gap(Reason::CutOff.into()),
    );
    let v = verdict(&finished(scan), "web");
    assert_eq!(
        v.reason,
        "ec2.instances could not be checked in any of 5 regions: denied; rds.custom_instances could not be checked in eu-central-1: cut off"
    );
    assert_eq!(v.gaps().count(), 6);

    // A region in which a policy denies everything is one sentence, whatever the calls and the
    // order of responses.
    let mut wide = scope();
    wide.regions.extend(names.iter().map(region));
    let sources = wide.sources.clone();
    let mut scan = Scan::new(wide);
    let gap = || CheckOutcome::Gap(Reason::Denied.into());
    for source in sources.iter().rev() {
        scan.checked(source, "us-east-1", at(STARTED), 0, gap());
        scan.checked(source, "eu-west-1", at(STARTED), 0, gap());
    }
    scan.checked("ec2.instances", "us-west-2", at(STARTED), 0, gap());
    scan.checked("ec2.instances", "eu-west-2", at(STARTED), 0, gap());
    assert_eq!(
        verdict(&finished(scan), "web").reason,
        "nothing could be checked in eu-west-1, us-east-1: denied; ec2.instances could not be checked in eu-west-2, us-west-2: denied"
    );
    let unused = verdict(&finished(Scan::new(scope())), "web");
    assert_eq!(
        unused.to_string(),
        "web is unused: no reference in 13 kinds of resources in 1 region, and its role was not used for 388 days"
    );
}
