//! Verdicts in words: short, plain and true.

use std::fmt::{self, Write};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::findings::{Gap, Scan, Standing};
use super::matching::By;
use super::verdict::{Obstacle, ROLES, Reference, Subject, Verdict};
use crate::words::{count, number, visible};

/// So many things are named, and of the others it is said how many they are.
const NAMED: usize = 3;

/// So many are listed below the sentence.
const LISTED: usize = 20;

/// Why a profile is used.
pub(super) fn used(references: &[Reference], started: Timestamp) -> String {
    if let [role] = references
        && &*role.source == ROLES
    {
        let used = role.text.parse().map_or_else(|_| visible(&*role.text), |at| ago(at, started));
        return format!("its role {} was used {used}{}", visible(&*role.resource), place(role));
    }
    let named = list(references.iter().map(resource), references.len(), "");
    format!("{}: {named}", count(references.len() as u64, "reference"))
}

/// Why a profile is not used; `rested` says what is known of its role.
pub(super) fn unused(scan: &Scan, rested: &str) -> String {
    let scope = scan.scope();
    let regions = scope.regions.iter().filter(|region| region.standing == Standing::Asked).count();
    let kinds = scope.sources.len();
    let kinds = format!("{} kind{} of resources", kinds, if kinds == 1 { "" } else { "s" });
    let regions = count(regions as u64, "region");
    format!("no reference in {kinds} in {regions}, and {rested}")
}

/// Why nobody can say whether a profile is used.
pub(super) fn unknown(
    subject: &Subject,
    obstacles: &[Obstacle],
    doubts: &[Reference],
    gaps: &[Gap],
    wanted: Duration,
) -> String {
    let mut why: Vec<_> =
        obstacles.iter().map(|obstacle| hindrance(subject, obstacle, wanted)).collect();
    if let Some(first) = doubts.first() {
        let what = format!("{} says {:?}", resource(first), visible(&*first.text));
        let others = match doubts.len() - 1 {
            0 => String::new(),
            n => format!(", as {} like it", count(n as u64, "other")),
        };
        why.push(format!("{what}, which may mean it{others}"));
    }
    if !gaps.is_empty() {
        let groups = gathered(gaps);
        why.push(list(groups.iter().cloned(), groups.len(), " gaps"));
    }
    why.join("; ")
}

fn hindrance(subject: &Subject, obstacle: &Obstacle, wanted: Duration) -> String {
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

/// Gaps in words: those of one source for one reason in one.
fn gathered(gaps: &[Gap]) -> Vec<String> {
    let mut groups: Vec<(&Gap, Vec<&str>)> = Vec::new();
    for gap in gaps {
        let is_like = |(first, regions): &&mut (&Gap, Vec<&str>)| {
            !regions.is_empty() && first.source == gap.source && first.why.reason == gap.why.reason
        };
        match (&gap.source, &gap.region, groups.iter_mut().find(is_like)) {
            (Some(_), Some(region), Some((_, regions))) => regions.push(region),
            (Some(_), Some(region), None) => groups.push((gap, vec![region])),
            _ => groups.push((gap, Vec::new())),
        }
    }
    let say = |(first, regions): (&Gap, Vec<&str>)| match &first.source {
        Some(source) if regions.len() > 1 => {
            let places = list(regions.iter().map(visible), regions.len(), "");
            let reason = first.why.reason.name();
            format!("{} could not be checked in {places}: {reason}", visible(&**source))
        }
        _ => visible(first.to_string()),
    };
    groups.into_iter().map(say).collect()
}

/// The first few of some things, and how many more there are; `what` says what of.
fn list(things: impl Iterator<Item = String>, len: usize, what: &str) -> String {
    // One more is shorter than to say that there is one more.
    let shown = if len == NAMED + 1 { len } else { NAMED };
    let mut text = things.take(shown).collect::<Vec<_>>().join(", ");
    if len > shown {
        let more = number((len - shown) as u64);
        let _ = write!(text, " and {more} more{what}");
    }
    text
}

/// `instance i-0abc (running) in eu-central-1`.
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

/// A length of time in whole days, or hours or minutes if it is shorter.
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

/// The sentence, and below it what is known.
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
    for line in lines.by_ref().take(LISTED) {
        write!(f, "\n  {line}")?;
    }
    match lines.count() {
        0 => Ok(()),
        more => write!(f, "\n  and {} more", number(more as u64)),
    }
}
