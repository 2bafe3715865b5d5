//! Formatting of verdicts as short, plain sentences.

use std::fmt::{self, Write};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::findings::{Gap, Reason, RegionState, Scan, ScanScope};
use super::matching::By;
use super::verdict::{Obstacle, ROLES, Reference, Verdict, VerdictSubject};
use crate::escape::visible;
use crate::ui::format::{count, number};

/// Maximum number of items named in a sentence; of the others only the number is given.
const MAX_NAMED: usize = 3;

/// Maximum number of items listed below the sentence.
const MAX_LISTED: usize = 20;

/// Reason that a profile is used.
pub(super) fn used(references: &[Reference], started: Timestamp) -> String {
    if let [role] = references
        && &*role.source == ROLES
    {
        let used = role.text.parse().map_or_else(|_| visible(&*role.text), |at| ago(at, started));
        return format!("its role {} was used {used}{}", visible(&*role.resource), place(role));
    }
    let named = list(references.iter().map(resource), references.len());
    format!("{}: {named}", count(references.len() as u64, "reference"))
}

/// Reason that a profile is unused; `rested` describes the use of its role.
pub(super) fn unused(scan: &Scan, rested: &str) -> String {
    let scope = scan.scope();
    let regions =
        scope.regions.iter().filter(|region| region.standing == RegionState::Asked).count();
    let kinds = scope.sources.len();
    let kinds = format!("{} kind{} of resources", kinds, if kinds == 1 { "" } else { "s" });
    let regions = count(regions as u64, "region");
    format!("no reference in {kinds} in {regions}, and {rested}")
}

/// Reason that the usage of a profile is unknown.
pub(super) fn unknown(
    scan: &Scan,
    subject: &VerdictSubject,
    obstacles: &[Obstacle],
    doubts: &[Reference],
) -> String {
    let wanted = scan.scope().role_unused_for;
    let mut why: Vec<_> =
        obstacles.iter().map(|obstacle| obstacle_text(subject, obstacle, wanted)).collect();
    if let Some(first) = doubts.first() {
        let what = format!("{} says {:?}", resource(first), visible(&*first.text));
        let others = match doubts.len() - 1 {
            0 => String::new(),
            n => format!(", as {} like it", count(n as u64, "other")),
        };
        why.push(format!("{what}, which may mean it{others}"));
    }
    let gaps = scan.told_gaps();
    why.extend(gaps.iter().take(shown(gaps.len())).cloned());
    let mut text = why.join("; ");
    if gaps.len() > shown(gaps.len()) {
        let _ = write!(text, " and {} more gaps", gaps.len() - shown(gaps.len()));
    }
    text
}

fn obstacle_text(subject: &VerdictSubject, obstacle: &Obstacle, wanted: Duration) -> String {
    let role = visible(subject.roles.first().map_or("", String::as_str));
    let wanted = length(SignedDuration::try_from(wanted).unwrap_or(SignedDuration::MAX));
    match obstacle {
        Obstacle::Profile(why) | Obstacle::Role(why) => (*why).to_owned(),
        Obstacle::TooNew => "it was made after the scan began, or just before".to_owned(),
        Obstacle::Roles(n) => format!("it holds {n} roles"),
        Obstacle::RoleUnreadable(why) => {
            let code = if why.code.is_empty() { String::new() } else { format!(" ({})", why.code) };
            format!("its role {role} could not be read: {}{}", why.reason.name(), visible(code))
        }
        Obstacle::RoleTooYoung(age) => format!(
            "its role is only {} old, so that nobody can say that it has not been used for {wanted}",
            length(*age)
        ),
        Obstacle::Forgotten => {
            format!("its role was not used for 400 days, and AWS does not remember for {wanted}")
        }
    }
}

/// Summary of gaps. Gaps of one source with the same cause share a sentence; gaps common to all
/// sources of a region are reported for the region.
pub(super) fn summarize_gaps(scope: &ScanScope, gaps: &[Gap]) -> Vec<String> {
    let regions =
        scope.regions.iter().filter(|region| region.standing == RegionState::Asked).count();
    let is_like = |a: &Gap, b: &Gap| {
        a.region == b.region && a.why.reason == b.why.reason && both(a) && both(b)
    };
    let is_whole = |gap: &Gap| {
        scope.sources.len() > 1
            && gaps.iter().filter(|other| is_like(gap, other)).count() == scope.sources.len()
    };
    let mut groups: Vec<(GapSubject, Reason, Vec<&str>, &Gap)> = Vec::new();
    for gap in gaps {
        let (what, place) = match (&gap.source, &gap.region) {
            (Some(_), Some(region)) if is_whole(gap) => (GapSubject::AllIn, &**region),
            (Some(source), Some(region)) => (GapSubject::In(source), &**region),
            (None, Some(region)) => (GapSubject::Regions, &**region),
            (Some(source), None) => (GapSubject::Sources, &**source),
            (None, None) => (GapSubject::Scan, ""),
        };
        let reason = gap.why.reason;
        match groups.iter_mut().find(|group| (&group.0, group.1) == (&what, reason)) {
            Some((_, _, places, _)) if places.contains(&place) => {}
            Some((_, _, places, _)) => places.push(place),
            None => groups.push((what, reason, vec![place], gap)),
        }
    }
    let say = |(what, reason, mut places, first): (GapSubject<'_>, Reason, Vec<&str>, &Gap)| {
        let (name, len) = (reason.name(), places.len());
        if !matches!(what, GapSubject::Sources) {
            places.sort_unstable();
        }
        let all = list(places.iter().copied().map(visible), len);
        let place = if len == regions && len > 1 { format!("any of {len} regions") } else { all };
        match what {
            GapSubject::AllIn => format!("nothing could be checked in {place}: {name}"),
            GapSubject::In(source) if len > 1 && reason != Reason::NotAsked => {
                format!("{} could not be checked in {place}: {name}", visible(source))
            }
            GapSubject::Regions | GapSubject::Sources if len > 1 => {
                let all = list(places.into_iter().map(visible), len);
                match reason {
                    Reason::NotAsked | Reason::NotEnabled => format!("{all} were {name}"),
                    _ => format!("{all} could not be checked: {name}"),
                }
            }
            _ => visible(first.to_string()),
        }
    };
    groups.into_iter().map(say).collect()
}

const fn both(gap: &Gap) -> bool {
    gap.source.is_some() && gap.region.is_some()
}

/// Subject of a sentence about gaps.
#[derive(PartialEq, Eq)]
enum GapSubject<'a> {
    /// All sources, in some regions.
    AllIn,
    /// One source, in some regions.
    In(&'a str),
    /// Regions as such.
    Regions,
    /// Sources as such.
    Sources,
    /// The whole scan.
    Scan,
}

/// First items of a list, and the number of the others.
fn list(things: impl Iterator<Item = String>, len: usize) -> String {
    let shown = shown(len);
    let mut text = things.take(shown).collect::<Vec<_>>().join(", ");
    if len > shown {
        let more = number((len - shown) as u64);
        let _ = write!(text, " and {more} more");
    }
    text
}

/// Number of items to name. If only one would be left out, it is named too.
const fn shown(len: usize) -> usize {
    if len == MAX_NAMED + 1 { len } else { MAX_NAMED }
}

/// Formats as `instance i-0abc (running) in eu-central-1`.
fn resource(reference: &Reference) -> String {
    let mut text = format!("{} {}", visible(reference.kind()), visible(&*reference.resource));
    if !reference.state.is_empty() {
        let _ = write!(text, " ({})", visible(&*reference.state));
    }
    text.push_str(&place(reference));
    if reference.by == By::Role && &*reference.source != ROLES {
        text.push_str(" with its role");
    }
    text
}

fn place(reference: &Reference) -> String {
    if reference.region.is_empty() {
        String::new()
    } else {
        format!(" in {}", visible(&*reference.region))
    }
}

/// Duration in whole days, or in hours or minutes if it is shorter.
pub(super) fn length(time: SignedDuration) -> String {
    let minutes = time.as_mins().max(0).unsigned_abs();
    match minutes {
        0..120 => count(minutes, "minute"),
        120..2880 => count(minutes / 60, "hour"),
        _ => count(minutes / 1440, "day"),
    }
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        "since the scan began".to_owned()
    } else {
        format!("{} ago", length(now.duration_since(at)))
    }
}

/// Writes the sentence, and the evidence below it.
pub(super) fn write_verdict(verdict: &Verdict, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let name = visible(&verdict.profile);
    match verdict.ruling {
        super::verdict::Ruling::Used => write!(f, "{name} is used: {}", verdict.reason)?,
        super::verdict::Ruling::Unused => write!(f, "{name} is unused: {}", verdict.reason)?,
        super::verdict::Ruling::Unknown => {
            write!(f, "nobody can say whether {name} is used: {}", verdict.reason)?;
        }
    }
    let named = |reference: &Reference| {
        let text = visible(&*reference.text);
        format!("{}, by {}: {text}", resource(reference), reference.by.name())
    };
    let references = verdict.references.iter().chain(&verdict.doubts).map(named);
    let gaps = verdict.gaps().map(|gap| {
        let mut text = visible(gap.to_string());
        for said in [&gap.why.code, &gap.why.message] {
            if !said.is_empty() {
                let _ = write!(text, ", {}", visible(said));
            }
        }
        text
    });
    let mut lines = references.chain(gaps);
    for line in lines.by_ref().take(MAX_LISTED) {
        write!(f, "\n  {line}")?;
    }
    match lines.count() {
        0 => Ok(()),
        more => write!(f, "\n  and {} more", number(more as u64)),
    }
}
