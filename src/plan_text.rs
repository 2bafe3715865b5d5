//! Changes in words: one line each, with what was and what will be, folded where many are alike. The text carries ANSI
//! styles; whoever prints it strips them where there is no terminal.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::iam;
use crate::iam::image::{Difference, Field, Image, State, Subject, differences};
use crate::session::journal::records::Recorded;
use crate::session::plan::{Change, Plan};
use crate::words::{count, number};

/// So many lines that say the same are folded into one.
const FOLD: usize = 6;
/// Above so many lines of one action, those that say different things are folded too.
const FOLD_ALL: usize = 40;
/// So many names are shown of what is folded.
const NAMES: usize = 3;
const UNKNOWN: &str = "(known after apply)";

/// A change to be put into words.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    action: &'a str,
    subject: Subject,
    name: &'a str,
    before: &'a State,
    after: &'a State,
    /// What stands before it instead of its own sign.
    mark: Option<Sign>,
}

impl<'a> From<&'a Change> for Shown<'a> {
    fn from(change: &'a Change) -> Self {
        let Change { action, subject, name, before, after, .. } = change;
        Self { action, subject: *subject, name, before, after, mark: None }
    }
}

impl<'a> From<&'a Recorded> for Shown<'a> {
    fn from(change: &'a Recorded) -> Self {
        let Recorded { action, subject, name, before, after, .. } = change;
        Self { action, subject: *subject, name, before, after, mark: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Create,
    Change,
    Delete,
}

impl Sign {
    const fn letter(self) -> char {
        match self {
            Self::Create => '+',
            Self::Change => '~',
            Self::Delete => '-',
        }
    }

    const fn style(self) -> Style {
        let color = match self {
            Self::Create => AnsiColor::Green,
            Self::Change => AnsiColor::Yellow,
            Self::Delete => AnsiColor::Red,
        };
        color.on_default()
    }
}

impl Shown<'_> {
    /// As a change that another plan does not have: with `+`.
    #[must_use]
    pub const fn as_new(self) -> Self {
        Self { mark: Some(Sign::Create), ..self }
    }

    /// As a change that a plan no longer has: with `-`.
    #[must_use]
    pub const fn as_gone(self) -> Self {
        Self { mark: Some(Sign::Delete), ..self }
    }

    /// As a change that is another one in another plan: with `~`.
    #[must_use]
    pub const fn as_other(self) -> Self {
        Self { mark: Some(Sign::Change), ..self }
    }

    /// The same in a line, with what it is in the other plan.
    #[must_use]
    pub fn instead_of(self, other: &Self) -> String {
        format!("{}, before: {}", line(&self.as_other()), other.detail())
    }

    fn sign(&self) -> Sign {
        if let Some(mark) = self.mark {
            return mark;
        }
        match (self.before, self.after) {
            (None, Some(_)) => Sign::Create,
            (Some(_), None) => Sign::Delete,
            _ => Sign::Change,
        }
    }

    fn words(&self) -> &'static str {
        iam::write(self.action).map_or("change", |(_, write)| write.words)
    }

    /// What it does, without the name: `Owner dev → ops`.
    fn detail(&self) -> String {
        match (self.before, self.after) {
            (None, Some(image)) => {
                let mut parts = looks(image);
                parts.push(format!("id {}", image.id.as_deref().unwrap_or(UNKNOWN)));
                parts.join(", ")
            }
            (Some(image), None) => looks(image).join(", "),
            (before, after) => {
                let found = differences(before, after);
                if found.is_empty() {
                    return "as it is already".into();
                }
                found.iter().map(difference).collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// The same without what differs between things that are treated alike: what was there before.
    fn outcome(&self) -> String {
        match (self.before, self.after) {
            (None, Some(image)) => looks(image).join(", "),
            (Some(_), None) => String::new(),
            (before, after) => differences(before, after)
                .iter()
                .filter(|found| found.field != Field::Id)
                .map(|found| format!("{} → {}", field_name(&found.field), shown(found.to.as_ref())))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}

/// What something has, in words: `path /ec2/, role web, tags Owner=ops`.
fn looks(image: &Image) -> Vec<String> {
    let mut parts = vec![format!("path {}", visible(&image.path))];
    parts.extend(image.role.as_ref().map(|role| format!("role {}", visible(role))));
    match image.tags.len() {
        0 => {}
        1..=5 => {
            let tags = image.tags.iter().map(|(k, v)| format!("{}={}", visible(k), visible(v)));
            parts.push(format!("tags {}", tags.collect::<Vec<_>>().join(" ")));
        }
        n => parts.push(format!("{n} tags")),
    }
    parts.extend(image.description.as_ref().map(|text| format!("description {}", visible(text))));
    let longer = image.max_session_duration.filter(|seconds| *seconds != 3600);
    parts.extend(longer.map(|seconds| format!("max session duration {seconds}")));
    let boundary = image.permissions_boundary.as_ref();
    parts.extend(boundary.map(|arn| format!("permissions boundary {}", visible(arn))));
    parts
}

fn field_name(field: &Field) -> String {
    match field {
        Field::Tag(key) => visible(key),
        other => visible(&other.name()),
    }
}

fn difference(found: &Difference) -> String {
    match (&found.field, &found.from, &found.to) {
        (Field::Policy(arn), ..) => format!("policy {}", visible(arn)),
        // Two documents side by side help nobody.
        (Field::TrustPolicy, ..) => "trust policy replaced".into(),
        (field, from, to) => {
            format!("{} {} → {}", field_name(field), shown(from.as_ref()), shown(to.as_ref()))
        }
    }
}

fn shown(value: Option<&String>) -> String {
    match value {
        None => "(none)".into(),
        Some(text) if text.is_empty() => "\"\"".into(),
        Some(text) if text.contains([' ', ',']) => format!("\"{}\"", visible(text)),
        Some(text) => visible(text),
    }
}

/// Text from an account, harmless for a terminal.
fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// The changes, one line each: in their order; those that are alike are folded into one unless `full`.
#[must_use]
pub fn lines(changes: &[Shown<'_>], full: bool) -> Vec<String> {
    if full {
        return changes.iter().map(line).collect();
    }
    let mut groups: Vec<(Vec<usize>, String)> = Vec::new();
    let mut by_key: HashMap<(&str, String), usize> = HashMap::new();
    for (at, change) in changes.iter().enumerate() {
        let outcome = change.outcome();
        let group = *by_key.entry((change.action, outcome.clone())).or_insert_with(|| {
            groups.push((Vec::new(), outcome));
            groups.len() - 1
        });
        groups[group].0.push(at);
    }
    let mut singles: HashMap<&str, usize> = HashMap::new();
    for (members, _) in groups.iter().filter(|(members, _)| members.len() < FOLD) {
        *singles.entry(changes[members[0]].action).or_default() += members.len();
    }
    // Each line stands where the first of its changes does.
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut folded: HashMap<&str, Vec<usize>> = HashMap::new();
    for (members, outcome) in &groups {
        let first = &changes[members[0]];
        if members.len() >= FOLD {
            lines.push((members[0], fold(changes, members, outcome)));
        } else if singles[first.action] > FOLD_ALL {
            folded.entry(first.action).or_default().extend(members);
        } else {
            lines.extend(members.iter().map(|at| (*at, line(&changes[*at]))));
        }
    }
    lines.extend(folded.into_values().map(|mut members| {
        members.sort_unstable();
        (members[0], fold(changes, &members, "each its own"))
    }));
    lines.sort_unstable_by_key(|(at, _)| *at);
    lines.into_iter().map(|(_, line)| line).collect()
}

fn line(change: &Shown<'_>) -> String {
    let (sign, style) = (change.sign(), change.sign().style());
    format!(
        "{style}{}{style:#} {} {} {}: {}",
        sign.letter(),
        change.words(),
        change.subject.name(),
        visible(change.name),
        change.detail()
    )
}

fn fold(changes: &[Shown<'_>], members: &[usize], outcome: &str) -> String {
    let first = &changes[members[0]];
    let (sign, style) = (first.sign(), first.sign().style());
    let names: Vec<_> = members.iter().take(NAMES).map(|at| visible(changes[*at].name)).collect();
    let rest = members.len() - names.len();
    let mut text = format!(
        "{style}{}{style:#} {} {}",
        sign.letter(),
        first.words(),
        count(members.len() as u64, first.subject.name()),
    );
    if !outcome.is_empty() {
        let _ = write!(text, ": {outcome}");
    }
    let dim = Style::new().dimmed();
    let _ = write!(text, "  {dim}{} and {} more{dim:#}", names.join(", "), number(rest as u64));
    text
}

/// How many profiles and roles are created, changed and deleted in all.
#[must_use]
pub fn summary(changes: &[Shown<'_>]) -> String {
    let mut ends: HashMap<(Subject, String), (bool, bool)> = HashMap::new();
    for change in changes {
        let there = (change.before.is_some(), change.after.is_some());
        ends.entry((change.subject, change.name.to_ascii_lowercase()))
            .and_modify(|ends| ends.1 = there.1)
            .or_insert(there);
    }
    let of = |was: bool, is: bool| ends.values().filter(|ends| **ends == (was, is)).count() as u64;
    format!(
        "{} to create, {} to change, {} to delete",
        number(of(false, true)),
        number(of(true, true)),
        number(of(true, false))
    )
}

/// A whole plan for people.
#[must_use]
pub fn plan(plan: &Plan, full: bool) -> String {
    let bold = Style::new().bold();
    let places: BTreeSet<_> = plan.sites.iter().map(crate::session::site::Site::describe).collect();
    let places = places.into_iter().collect::<Vec<_>>().join(" and ");
    let incomplete = plan.incomplete.as_ref().map_or(String::new(), |why| {
        let red = AnsiColor::Red.on_default();
        format!(
            "{red}The plan is not whole, because the script did not run to its end:{red:#} {}\n",
            visible(why)
        )
    });
    if plan.changes.is_empty() {
        let nothing =
            if plan.incomplete.is_some() { "no change so far" } else { "nothing to change" };
        return format!("{bold}Plan: {nothing}{bold:#}\n{incomplete}");
    }
    let shown: Vec<_> = plan.changes.iter().map(Shown::from).collect();
    let mut text = format!("{bold}Plan for {places}{bold:#}\n\n");
    for line in lines(&shown, full) {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(
        text,
        "\n{bold}Plan: {}{bold:#} ({} to make)",
        summary(&shown),
        count(plan.changes.len() as u64, "call")
    );
    text.push_str(&incomplete);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::unnecessary_wraps, reason = "it is a state")]
    fn image(name: &str, owner: Option<&str>) -> State {
        Some(Image {
            name: name.into(),
            path: "/ec2/".into(),
            tags: owner.map(|owner| ("Owner".to_owned(), owner.to_owned())).into_iter().collect(),
            ..Image::default()
        })
    }

    fn plain(lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    #[test]
    fn many_alike_are_one_line() {
        let states: Vec<_> = (0..4812)
            .map(|n| {
                let name = format!("p{n}");
                let before = image(&name, (n % 2 == 0).then_some("dev"));
                let after = image(&name, Some("ops"));
                (name, before, after)
            })
            .collect();
        let shown: Vec<_> = states
            .iter()
            .map(|(name, before, after)| Shown {
                action: "TagInstanceProfile",
                subject: Subject::Profile,
                name,
                before,
                after,
                mark: None,
            })
            .collect();
        assert_eq!(
            plain(&lines(&shown, false)),
            ["~ tag 4,812 profiles: Owner → ops  p0, p1, p2 and 4,809 more"]
        );
        assert_eq!(lines(&shown, true).len(), 4812);
        assert_eq!(
            plain(&lines(&shown[..2], false)),
            ["~ tag profile p0: Owner dev → ops", "~ tag profile p1: Owner (none) → ops"]
        );
        assert_eq!(summary(&shown), "0 to create, 4,812 to change, 0 to delete");
    }

    #[test]
    fn an_account_cannot_write_on_the_terminal() {
        let (before, after) = (image("p", Some("a")), image("p", Some("\u{1b}[2Jx")));
        let shown = Shown {
            action: "TagInstanceProfile",
            subject: Subject::Profile,
            name: "p",
            before: &before,
            after: &after,
            mark: None,
        };
        assert_eq!(plain(&lines(&[shown], false)), ["~ tag profile p: Owner a → \\u{1b}[2Jx"]);
    }
}
