//! Scans in files: they give the same verdicts as before, and an error in a file is never
//! overlooked.

use std::time::Duration;

use iamlua::error::Kind;
use iamlua::usage::{CheckOutcome, Gap, GapCause, MAX_AGE, Mention, Reason, Ruling, SOURCES, Scan};
use jiff::Timestamp;

use super::{REGION, STARTED, at, finished, profile, role, ruling, scope, verdict};

fn saved(scan: &Scan) -> String {
    let mut bytes = Vec::new();
    scan.save(&mut bytes).expect("it is written to memory");
    String::from_utf8(bytes).expect("JSON")
}

fn load(text: &str) -> iamlua::error::Result<Scan> {
    Scan::load(text.as_bytes(), at("2026-11-28T13:00:00Z"), MAX_AGE)
}

fn refused(text: &str) -> String {
    let error = load(text).expect_err("it is refused");
    assert_eq!(error.kind, Kind::Refused, "{error}");
    error.message
}

/// Scan with one of everything.
fn full() -> Scan {
    let mut scope = scope();
    scope.sources.push("later.things".into());
    let mut scan = Scan::new(scope);
    let names = [profile("web"), profile("web-${x}"), role("node \"1\"\u{7}"), profile("")];
    scan.add("ec2.instances", REGION, "i-1", "running", names);
    scan.add("ec2.associations", REGION, "iip/i-1", "", [profile("web")]);
    scan.add("later.things", "mars-1", "", "ö", [Mention::Role("web-role".into())]);
    scan.checked(
        "ec2.instances",
        REGION,
        at("2026-11-28T12:01:02.5Z"),
        50_000,
        CheckOutcome::Whole,
    );
    scan.checked("rds.custom_instances", REGION, at(STARTED), 0, CheckOutcome::NotOffered);
    let why =
        GapCause { reason: Reason::Throttled, code: "Throttling".into(), message: "Rate".into() };
    scan.checked("eks.node_groups", REGION, at(STARTED), 1, CheckOutcome::Gap(why.clone()));
    scan.miss(Gap { source: None, region: Some("af-south-1".into()), why });
    finished(scan)
}

#[test]
fn a_loaded_scan_says_the_same() {
    let scan = full();
    let text = saved(&scan);
    let loaded = load(&text).expect("a scan");
    assert_eq!(loaded.scope(), scan.scope());
    assert_eq!((loaded.ended(), loaded.checks()), (scan.ended(), scan.checks()));
    assert_eq!(loaded.gaps(), scan.gaps());
    assert_eq!(loaded.len(), scan.len());
    for name in ["web", "web-1", "app"] {
        assert_eq!(verdict(&loaded, name), verdict(&scan, name));
    }
    assert_eq!(saved(&loaded), text);
    assert!(text.starts_with(r#"{"format":"iamlua-scan","version":1,"account":"123456789012","#));

    let whole = finished(Scan::new(scope()));
    assert_eq!(ruling(&load(&saved(&whole)).expect("a scan"), "web"), Ruling::Unused);
}

#[test]
fn white_space_and_the_order_of_keys_in_a_reference_do_not_matter() {
    let json: serde_json::Value = serde_json::from_str(&saved(&full())).expect("JSON");
    let pretty = serde_json::to_string_pretty(&json).expect("JSON");
    assert_eq!(load(&pretty).expect("a scan").len(), 3);
}

#[test]
fn a_file_that_breaks_off_anywhere_is_refused() {
    let text = saved(&full());
    let text = text.trim_end();
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        assert!(refused(&text[..end]).contains("is cut short"), "{end}");
    }
    assert!(load(text).is_ok());
    assert!(refused(&format!("{text}x")).contains("damaged"));
}

#[test]
fn a_file_that_was_changed_is_refused() {
    let text = saved(&full());
    for (old, new) in [
        ("\"web\"", "\"wob\""),
        ("throttled", "denied"),
        ("\"outcome\":\"throttled\"", "\"outcome\":\"checked\""),
        ("12:00:00Z", "12:30:00Z"),
        ("running", "stopped"),
        ("123456789012", "210987654321"),
        ("\"later.things\"", "\"later.thing\""),
    ] {
        assert!(text.contains(old), "{old}");
        assert!(refused(&text.replacen(old, new, 1)).contains("was changed"), "{old}");
    }
    for (old, new, why) in [
        ("\"asked\"", "\"answered\"", "a region cannot be \"answered\""),
        ("\"outcome\":\"checked\"", "\"outcome\":\"fine\"", "there is no reason \"fine\""),
        ("\"account\":\"123456789012\"", "\"account\":\"1\"", "\"1\" is no account"),
        ("\"gaps\":", "\"more\":1,\"gaps\":", "\"more\" does not belong here"),
        ("\"gaps\":", "\"regions\":[],\"gaps\":", "\"regions\" is there twice"),
        ("\"state\":", "\"status\":", "unknown field `status`"),
        ("\"checks\":", "\"references\":[],\"checks\":", "missing field `checks`"),
        ("50000", "-1", "line 1 column"),
    ] {
        let message = refused(&text.replacen(old, new, 1));
        assert!(message.contains("damaged") && message.contains(why), "{message}");
        assert!(message.contains("line 1 column"), "{message}");
    }
    let without = text.split(",\"checksum\"").next().expect("the rest");
    assert!(refused(&format!("{without}}}")).contains("missing field `checksum`"));
}

#[test]
fn what_is_no_scan_or_of_another_version_is_refused() {
    let text = saved(&full());
    let newer = text.replacen("\"version\":1", "\"version\":2,\"new\":{}", 1);
    assert!(refused(&newer).contains("newer iamlua (its version is 2, this program knows 1)"));
    let older = text.replacen("\"version\":1", "\"version\":0", 1);
    assert!(refused(&older).contains("no version"));
    for other in
        ["[]", "1", "{\"format\":\"iamlua-plan\",\"version\":1}", "{\"version\":1}", "<html>"]
    {
        assert!(refused(other).contains("no scan of iamlua"), "{other}");
    }
    assert!(refused("{}").contains("missing field"));
}

#[test]
fn a_scan_that_is_too_old_of_the_future_or_interrupted_is_refused() {
    let text = saved(&full());
    let at_time = |now: &str, hours| {
        let now: Timestamp = now.parse().expect("a moment");
        Scan::load(text.as_bytes(), now, Duration::from_hours(hours)).map_err(|error| error.message)
    };
    assert!(at_time("2026-11-28T18:00:00Z", 6).is_ok());
    assert_eq!(
        at_time("2026-11-28T19:00:00Z", 6).expect_err("it is old"),
        "the scan was made 7 hours ago, and may be 6 hours old"
    );
    assert!(at_time("2026-11-28T19:00:00Z", 8).is_ok());
    assert!(at_time("2026-11-28T11:59:30Z", 6).is_ok());
    assert_eq!(
        at_time("2026-11-26T12:00:00Z", 6).expect_err("it is of the future"),
        "the scan was made in the future, 2 days from now"
    );
    let mut scan = Scan::new(scope());
    for source in SOURCES {
        scan.checked(source.name, REGION, at(STARTED), 0, CheckOutcome::Whole);
    }
    assert!(refused(&saved(&scan)).contains("was interrupted"));
}

/// A source that a program of another version lacks is a gap; one that only the other version has
/// counts.
#[test]
fn sources_of_another_version_are_gaps_or_kept() {
    for source in SOURCES {
        let mut fewer = scope();
        fewer.sources.retain(|name| name != source.name);
        let loaded = load(&saved(&finished(Scan::new(fewer)))).expect("a scan");
        let v = verdict(&loaded, "web");
        assert_eq!((v.ruling, v.gaps().count()), (Ruling::Unknown, 1));
        assert_eq!(v.reason, format!("{} was not asked", source.name));
    }
    let mut more = scope();
    more.sources.push("later.things".into());
    let mut scan = Scan::new(more.clone());
    scan.add("later.things", REGION, "x-1", "", [profile("web")]);
    let loaded = load(&saved(&finished(scan))).expect("a scan");
    let v = verdict(&loaded, "web");
    assert_eq!(v.reason, "1 reference: later.things x-1 in eu-central-1");
    assert_eq!(v.references[0].service(), "later");
    let mut scan = Scan::new(more);
    let denied = CheckOutcome::Gap(Reason::Denied.into());
    scan.checked("later.things", REGION, at(STARTED), 0, denied);
    assert_eq!(ruling(&load(&saved(&finished(scan))).expect("a scan"), "web"), Ruling::Unknown);
}
