//! Verdicts on a profile after a scan, also from a file. No call is made;
//! `tests/lua/usage_test.lua` tests the scans themselves.

mod files;
mod judging;
mod matching;
mod speed;

use std::time::Duration;

use iamlua::usage::{
    CheckOutcome, Judgement, Mention, Region, RegionState, RoleKnown, RoleUse, Ruling, SOURCES,
    Scan, ScanScope, Verdict, VerdictSubject,
};
use jiff::Timestamp;

const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-central-1";
const STARTED: &str = "2026-11-28T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

/// Scan of one region, with every source.
fn scope() -> ScanScope {
    ScanScope {
        account: ACCOUNT.into(),
        partition: "aws".into(),
        started: at(STARTED),
        role_unused_for: Duration::from_hours(90 * 24),
        regions: vec![
            Region { name: REGION.into(), standing: RegionState::Asked },
            Region { name: "af-south-1".into(), standing: RegionState::NotEnabled },
        ],
        sources: SOURCES.iter().map(|source| source.name.to_owned()).collect(),
    }
}

/// Completes a scan: all missing sources succeed without a reference.
fn finished(mut scan: Scan) -> Scan {
    let scope = scan.scope().clone();
    for region in scope.regions.iter().filter(|region| region.standing == RegionState::Asked) {
        for source in &scope.sources {
            let is_known = scan
                .checks()
                .iter()
                .any(|check| (&*check.source, &*check.region) == (source, &region.name));
            if !is_known {
                scan.checked(source, &region.name, at(STARTED), 7, CheckOutcome::Whole);
            }
        }
    }
    scan.end(at("2026-11-28T12:03:00Z"));
    scan
}

/// Scan without a gap that has found a resource with that mention.
fn with(named: Mention) -> Scan {
    let mut scan = Scan::new(scope());
    scan.add("ec2.launch_templates", REGION, "lt-1/2", "", [named]);
    finished(scan)
}

fn profile(text: impl Into<Box<str>>) -> Mention {
    Mention::Profile(text.into())
}

fn role(text: impl Into<Box<str>>) -> Mention {
    Mention::Role(text.into())
}

/// Old profile with a path, and with a role of the same name and `-role`.
fn subject(name: &str) -> VerdictSubject {
    // Different names give different ids.
    let letter = |c: char| match c {
        'a'..='z' | 'A'..='Z' => c.to_ascii_uppercase().to_string(),
        _ => format!("2{}", u32::from(c)),
    };
    let id: String = name.chars().map(letter).collect();
    VerdictSubject {
        name: name.into(),
        id: format!("AIPA{id:7>17}"),
        arn: format!("arn:aws:iam::{ACCOUNT}:instance-profile/ec2/{name}"),
        create_date: "2024-01-01T00:00:00Z".into(),
        roles: vec![format!("{name}-role")],
    }
}

/// Result of `GetRole` for a role that was last used 388 days before the scan.
fn rested(subject: &VerdictSubject) -> RoleKnown {
    RoleKnown::Read(RoleUse {
        name: subject.roles.first().cloned().unwrap_or_default(),
        create_date: "2024-01-01T00:00:00Z".into(),
        last_used: Some("2025-11-05T09:00:00Z".into()),
        region: Some(REGION.into()),
    })
}

fn judge(scan: &Scan, subject: &VerdictSubject, role: &RoleKnown) -> Verdict {
    match scan.judge(subject, role).expect("a judgement") {
        Judgement::Given(verdict) => *verdict,
        Judgement::AskRole(role) => panic!("{role} must be asked"),
    }
}

/// Verdict if the role was not used recently.
fn verdict(scan: &Scan, name: &str) -> Verdict {
    let subject = subject(name);
    judge(scan, &subject, &rested(&subject))
}

fn ruling(scan: &Scan, name: &str) -> Ruling {
    verdict(scan, name).ruling
}
