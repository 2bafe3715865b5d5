//! Changes in words: one line each, with the old and the new value, folded where many are alike.
//! Accounts are named if there are several. The text has ANSI styles, which the caller strips where
//! there is no terminal.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::path::Path;

use anstyle::{AnsiColor, Style};

use crate::app::run::quoted;
use crate::escape::{visible, visible_but};
use crate::iam;
use crate::iam::snapshot::{Difference, Field, Snapshot, Subject, differences};
use crate::session::destination::{
    AccountKey, Destination, Places, account_lines, describe_accounts,
};
use crate::session::journal::ChangeOutcome;
use crate::session::journal::records::RecordedChange;
use crate::session::outside::Outside;
use crate::session::plan::{Change, Plan};
use crate::ui::diff;
use crate::ui::format::{count, number};

/// Number of equal changes from which they are folded into one line.
const MIN_FOLD: usize = 6;
/// Number of changes of one action above which different ones are folded too.
const MIN_FOLD_ALL: usize = 40;
/// Maximum number of names of folded changes that are shown.
const MAX_NAMES: usize = 3;
/// Maximum number of characters of a command line that is not shown in full.
const MAX_COMMAND: usize = 200;
const UNKNOWN: &str = "(known after apply)";

/// Change to be put into words.
#[derive(Clone, Copy, Debug)]
pub struct ChangeText<'a> {
    action: &'a str,
    subject: Subject,
    name: &'a str,
    before: &'a Option<Snapshot>,
    after: &'a Option<Snapshot>,
    /// Account of the change, where the changes are in several.
    account: Option<&'a Destination>,
    /// Sign in place of the change's own.
    mark: Option<Sign>,
    /// Mark of a change that was tried and not made; its state before does not tell what it was to
    /// do.
    is_tried: bool,
}

impl<'a> ChangeText<'a> {
    /// Planned change. `account` is none where all changes are in one account.
    #[must_use]
    pub fn planned(change: &'a Change, account: Option<&'a Destination>) -> Self {
        let Change { action, subject, name, before, after, .. } = change;
        Self {
            action,
            subject: *subject,
            name,
            before,
            after,
            account,
            mark: None,
            is_tried: false,
        }
    }

    /// Change of a run; a failed one is described as tried. `account` is none where all changes are
    /// in one account.
    #[must_use]
    pub fn recorded(change: &'a RecordedChange, account: Option<&'a Destination>) -> Self {
        let RecordedChange { action, subject, name, before, after, .. } = change;
        let mark = None;
        let shown =
            Self { action, subject: *subject, name, before, after, account, mark, is_tried: false };
        if change.outcome == Some(ChangeOutcome::Failed) { shown.as_tried() } else { shown }
    }

    fn account_key(&self) -> Option<AccountKey<'a>> {
        self.account.map(Destination::account_key)
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

impl ChangeText<'_> {
    /// Marks the change as added in another plan: `+`.
    #[must_use]
    pub const fn as_new(self) -> Self {
        Self { mark: Some(Sign::Create), ..self }
    }

    /// Marks the change as removed from a plan: `-`.
    #[must_use]
    pub const fn as_gone(self) -> Self {
        Self { mark: Some(Sign::Delete), ..self }
    }

    /// Marks the change as different in another plan: `~`.
    #[must_use]
    pub const fn as_other(self) -> Self {
        Self { mark: Some(Sign::Change), ..self }
    }

    /// Marks the change as tried and failed.
    fn as_tried(self) -> Self {
        let mark = match iam::write(self.action) {
            Some((_, write)) if write.creates() => Sign::Create,
            Some((_, write)) if write.deletes() => Sign::Delete,
            Some(_) | None => Sign::Change,
        };
        Self { mark: Some(mark), is_tried: true, ..self }
    }

    /// Line for a change that differs from the one in another plan.
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

    /// Effect without the name: `Owner dev → ops`.
    fn detail(&self) -> String {
        match (self.before, self.after) {
            _ if self.is_tried && self.mark != Some(Sign::Change) => String::new(),
            (None, _) | (_, None) if self.is_tried => String::new(),
            (None, Some(image)) => {
                let mut parts = properties(image);
                parts.push(format!("id {}", image.id.as_deref().unwrap_or(UNKNOWN)));
                parts.join(", ")
            }
            (Some(image), None) => properties(image).join(", "),
            (before, after) => {
                let found = differences(before, after);
                if found.is_empty() {
                    return if self.is_tried { String::new() } else { "as it is already".into() };
                }
                found.iter().map(difference).collect::<Vec<_>>().join(", ")
            }
        }
    }

    /// Effect without the old values, which may differ between changes that are folded.
    fn outcome(&self) -> String {
        match (self.before, self.after) {
            (None, Some(image)) => properties(image).join(", "),
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

/// Properties of a resource in words: `path /ec2/, role web, tags Owner=ops`.
fn properties(image: &Snapshot) -> Vec<String> {
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
        other => visible(other.name()),
    }
}

fn difference(found: &Difference) -> String {
    match (&found.field, &found.from, &found.to) {
        (Field::Policy(arn), ..) => format!("policy {}", visible(arn)),
        // Two documents on one line are unreadable.
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
        // Quoted, because it could be taken for a missing value.
        Some(text) if text.contains([' ', ',']) || text == "(none)" => {
            format!("\"{}\"", visible(text.replace('"', "\\\"")))
        }
        Some(text) => visible(text),
    }
}

/// Lines of the changes, in order. Without `full`, changes that are alike are folded into one line;
/// with it, those of several accounts are grouped by account.
#[must_use]
pub fn lines(changes: &[ChangeText<'_>], full: bool) -> Vec<String> {
    folded_lines(changes, full).0
}

/// Lines of the changes, with the number of changes that share a line with another one.
fn folded_lines(changes: &[ChangeText<'_>], full: bool) -> (Vec<String>, usize) {
    if full {
        return (by_account(changes), 0);
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
    for (members, _) in groups.iter().filter(|(members, _)| members.len() < MIN_FOLD) {
        *singles.entry(changes[members[0]].action).or_default() += members.len();
    }
    // Each line is placed at the first of its changes.
    let mut lines: Vec<(usize, Vec<String>)> = Vec::new();
    let mut folded: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut count = 0;
    for (members, _) in &groups {
        let first = &changes[members[0]];
        if members.len() >= MIN_FOLD {
            count += members.len();
            lines.push((members[0], vec![fold(changes, members, None)]));
        } else if singles[first.action] > MIN_FOLD_ALL {
            folded.entry(first.action).or_default().extend(members);
        } else {
            lines.extend(members.iter().map(|at| (*at, with_details(&changes[*at]))));
        }
    }
    lines.extend(folded.into_values().map(|mut members| {
        members.sort_unstable();
        count += members.len();
        (members[0], vec![fold(changes, &members, Some("each its own"))])
    }));
    lines.sort_unstable_by_key(|(at, _)| *at);
    (lines.into_iter().flat_map(|(_, lines)| lines).collect(), count)
}

/// Line of a change, and the details below it.
fn with_details(change: &ChangeText<'_>) -> Vec<String> {
    let mut lines = vec![line(change)];
    lines.extend(trust_policy(change));
    lines
}

/// One change in a line, with its account where there are several.
#[must_use]
pub fn line(change: &ChangeText<'_>) -> String {
    let (sign, style) = (change.sign(), change.sign().style());
    let place = change.account.map_or(String::new(), |site| format!(" in {}", site.describe()));
    let detail = match change.detail() {
        detail if detail.is_empty() => detail,
        detail => format!(": {detail}"),
    };
    format!(
        "{style}{}{style:#} {} {} {}{place}{detail}",
        sign.letter(),
        change.words(),
        change.subject.name(),
        visible(change.name),
    )
}

/// Document with its keys in the order of another one, so that a diff shows only real differences.
fn in_order_of(model: &serde_json::Value, document: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match (model, document) {
        (Json::Object(model), Json::Object(mut document)) => {
            let mut ordered = serde_json::Map::new();
            for (key, value) in model {
                if let Some(own) = document.shift_remove(key) {
                    ordered.insert(key.clone(), in_order_of(value, own));
                }
            }
            ordered.extend(document);
            Json::Object(ordered)
        }
        (Json::Array(model), Json::Array(document)) => {
            let model = model.iter().map(Some).chain(std::iter::repeat(None));
            let items = document.into_iter().zip(model);
            let ordered = |(item, model): (Json, Option<&Json>)| match model {
                Some(model) => in_order_of(model, item),
                None => item,
            };
            items.map(ordered).collect()
        }
        (_, document) => document,
    }
}

/// Lines below a change: the trust policy that it sets, as a diff where it replaces one.
fn trust_policy(change: &ChangeText<'_>) -> Vec<String> {
    const INDENT: &str = "      ";
    if change.is_tried {
        return Vec::new();
    }
    let parsed = |state: &Option<Snapshot>| {
        let text = state.as_ref()?.assume_role_policy.clone()?;
        Some(serde_json::from_str::<serde_json::Value>(&text).unwrap_or(text.into()))
    };
    let (before, mut after) = (parsed(change.before), parsed(change.after));
    if let (Some(before), Some(after)) = (&before, &mut after) {
        *after = in_order_of(before, std::mem::take(after));
    }
    let pretty = |document: serde_json::Value| {
        let text = serde_json::to_string_pretty(&document).unwrap_or_default();
        visible_but(text.as_bytes(), |c| c == '\n')
    };
    let text = match (before.map(pretty), after.map(pretty)) {
        (Some(before), Some(after)) if before != after => {
            let is_same = differences(change.before, change.after)
                .iter()
                .all(|found| found.field != Field::TrustPolicy);
            if is_same {
                return Vec::new();
            }
            diff::lines(&before, &after)
        }
        (None, Some(after)) => format!("trust policy {after}"),
        _ => return Vec::new(),
    };
    text.lines().map(|line| format!("{INDENT}{line}")).collect()
}

/// A line for each change, grouped by account where there are several.
fn by_account(changes: &[ChangeText<'_>]) -> Vec<String> {
    let bold = Style::new().bold();
    let mut accounts: BTreeMap<_, (Option<&Destination>, Vec<String>)> = BTreeMap::new();
    for change in changes {
        let (_, lines) = accounts.entry(change.account_key()).or_insert((change.account, vec![]));
        let indent = if change.account.is_some() { "  " } else { "" };
        let own = with_details(&ChangeText { account: None, ..*change });
        lines.extend(own.into_iter().map(|line| format!("{indent}{line}")));
    }
    let mut all = Vec::new();
    for (account, lines) in accounts.into_values() {
        all.extend(account.map(|site| format!("{bold}{}{bold:#}", site.describe())));
        all.extend(lines);
    }
    all
}

fn fold(changes: &[ChangeText<'_>], members: &[usize], outcome: Option<&str>) -> String {
    let first = &changes[members[0]];
    let (sign, style) = (first.sign(), first.sign().style());
    let mut text = format!(
        "{style}{}{style:#} {} {}{}",
        sign.letter(),
        first.words(),
        count(members.len() as u64, first.subject.name()),
        in_places(members.iter().map(|at| &changes[*at])),
    );
    let outcome = match outcome {
        Some(outcome) => outcome.to_owned(),
        None => outcomes(changes, members),
    };
    if !outcome.is_empty() {
        let _ = write!(text, ": {outcome}");
    }
    let dim = Style::new().dimmed();
    let _ = write!(text, "  {dim}{}{dim:#}", names(changes, members));
    text
}

/// Effect of changes that are alike, with the numbers of new and replaced values: "Owner → ops: 2
/// new, 8 replace a value".
fn outcomes(changes: &[ChangeText<'_>], members: &[usize]) -> String {
    let first = &changes[members[0]];
    let (before, Some(_)) = (first.before, first.after) else { return String::new() };
    if before.is_none() {
        return first.outcome();
    }
    let all: Vec<_> = members.iter().flat_map(|at| found(&changes[*at])).collect();
    let of_first = found(first);
    let parts = of_first.iter().map(|one| {
        let name = field_name(&one.field);
        if matches!(one.field, Field::Policy(_)) {
            return name;
        }
        let Some(to) = &one.to else { return format!("{name} removed") };
        let to = match one.field {
            Field::TrustPolicy => format!("{name} replaced"),
            _ => format!("{name} → {}", shown(Some(to))),
        };
        let same = || all.iter().filter(|other| other.field == one.field);
        let new = same().filter(|other| other.from.is_none()).count() as u64;
        let replaced = same().count() as u64 - new;
        match (new, replaced) {
            (_, 0) => format!("{to}: all new"),
            (0, _) if one.field == Field::TrustPolicy => to,
            (0, _) => format!("{to}: all replace a value"),
            (1, 1) => format!("{to}: 1 new, 1 replaces a value"),
            (new, 1) => format!("{to}: {} new, 1 replaces a value", number(new)),
            (new, replaced) => {
                format!("{to}: {} new, {} replace a value", number(new), number(replaced))
            }
        }
    });
    parts.collect::<Vec<_>>().join("; ")
}

/// Differences that a change makes, except for ids.
fn found(change: &ChangeText<'_>) -> Vec<Difference> {
    let mut found = differences(change.before, change.after);
    found.retain(|found| found.field != Field::Id);
    found
}

/// Lines of the programs and files outside of the account, in order; those that are alike are
/// folded into one unless `full`.
#[must_use]
pub fn outside_lines(outside: &[Outside], full: bool) -> Vec<String> {
    if full {
        return outside.iter().map(|action| outside_line(action, full)).collect();
    }
    let mut groups: Vec<Vec<&Outside>> = Vec::new();
    let mut by_key: HashMap<(&str, &str), usize> = HashMap::new();
    for action in outside {
        let key = match action {
            Outside::Run { program, .. } => ("program", program.as_str()),
            Outside::Write { path, .. } => ("file", folder_of(path)),
            Outside::Mkdir { path } => ("folder", folder_of(path)),
            Outside::Request { method, url, .. } => (method.as_str(), url.as_str()),
        };
        let group = *by_key.entry(key).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(action);
    }
    let lines = groups.iter().flat_map(|group| {
        if group.len() < MIN_FOLD {
            return group.iter().map(|action| outside_line(action, full)).collect();
        }
        vec![outside_fold(group)]
    });
    lines.collect()
}

fn folder_of(path: &str) -> &str {
    Path::new(path).parent().and_then(Path::to_str).unwrap_or_default()
}

/// Words in shell syntax, harmless for a terminal.
fn command_line<'a>(words: impl Iterator<Item = &'a String>, full: bool) -> String {
    let text = words.map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    shortened(&text, full)
}

/// Text that is harmless for a terminal, cut unless `full`.
fn shortened(text: &str, full: bool) -> String {
    let cut = text.char_indices().nth(MAX_COMMAND).filter(|_| !full);
    match cut {
        Some((at, _)) => visible(&text[..at]) + "…",
        None => visible(text),
    }
}

fn outside_line(action: &Outside, full: bool) -> String {
    match action {
        Outside::Run { program, arguments } => {
            let words = std::iter::once(program).chain(arguments);
            format!("would run {}", command_line(words, full))
        }
        Outside::Write { path, bytes } => {
            let path = command_line(std::iter::once(path), true);
            format!("would write {path} ({})", count(*bytes, "byte"))
        }
        Outside::Mkdir { path } => {
            format!("would create the folder {}", command_line(std::iter::once(path), true))
        }
        Outside::Request { method, url, bytes } => {
            let bytes = count(*bytes, "byte");
            format!("would send {} {} ({bytes})", visible(method), shortened(url, full))
        }
    }
}

fn outside_fold(group: &[&Outside]) -> String {
    let mut bytes = 0;
    let mut names: Vec<String> = Vec::new();
    for action in group {
        match action {
            Outside::Run { arguments, .. } => names.push(command_line(arguments.iter(), false)),
            Outside::Write { path, bytes: own } => {
                bytes += own;
                let name = Path::new(path).file_name().unwrap_or_default();
                names.push(visible(name.as_encoded_bytes()));
            }
            Outside::Mkdir { path } => {
                let name = Path::new(path).file_name().unwrap_or_default();
                names.push(visible(name.as_encoded_bytes()));
            }
            Outside::Request { bytes: own, .. } => bytes += own,
        }
    }
    let all = number(group.len() as u64);
    let what = match group[0] {
        Outside::Run { program, .. } if names.iter().all(|name| *name == names[0]) => {
            let words = visible(quoted(program)) + " " + &names[0];
            return format!("would run {}, {all} times", words.trim_end());
        }
        Outside::Run { program, .. } => {
            format!("would run {}, {all} times", visible(quoted(program)))
        }
        Outside::Write { path, .. } => {
            let folder = visible(quoted(folder_of(path)));
            let place = if folder == "''" { String::new() } else { format!(" in {folder}") };
            format!("would write {all} files{place} ({})", count(bytes, "byte"))
        }
        Outside::Mkdir { path } => {
            let folder = visible(quoted(folder_of(path)));
            let place = if folder == "''" { String::new() } else { format!(" in {folder}") };
            format!("would create {all} folders{place}")
        }
        Outside::Request { method, url, .. } => {
            let (method, url) = (visible(method), shortened(url, false));
            return format!("would send {method} {url}, {all} times ({})", count(bytes, "byte"));
        }
    };
    let rest = number((names.len() - MAX_NAMES) as u64);
    let dim = Style::new().dimmed();
    format!("{what}  {dim}{} and {rest} more{dim:#}", names[..MAX_NAMES].join(", "))
}

/// Number of programs, files, folders and requests: `2 programs and 1 file`.
#[must_use]
pub fn outside_count(outside: &[Outside]) -> String {
    const WORDS: [&str; 4] = ["program", "file", "folder", "request"];
    let mut counts = [0; WORDS.len()];
    for action in outside {
        let at = match action {
            Outside::Run { .. } => 0,
            Outside::Write { .. } => 1,
            Outside::Mkdir { .. } => 2,
            Outside::Request { .. } => 3,
        };
        counts[at] += 1;
    }
    let parts = counts.into_iter().zip(WORDS).filter(|(n, _)| *n > 0);
    let parts: Vec<_> = parts.map(|(n, what)| count(n, what)).collect();
    match parts.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => parts.concat(),
    }
}

/// " in 3 accounts", or the one of several accounts that these changes are in; empty where there is
/// only one.
#[must_use]
pub fn places(changes: &[ChangeText<'_>]) -> String {
    in_places(changes.iter())
}

fn in_places<'a>(changes: impl Iterator<Item = &'a ChangeText<'a>>) -> String {
    let accounts: HashMap<_, _> =
        changes.filter_map(|change| Some((change.account_key()?, change.account?))).collect();
    match accounts.len() {
        0 => String::new(),
        1 => format!(" in {}", describe_accounts(accounts.into_values())),
        n => format!(" in {}", count(n as u64, "account")),
    }
}

/// First names of folded changes, the number of the others, and their accounts if there are
/// several.
fn names(changes: &[ChangeText<'_>], members: &[usize]) -> String {
    let accounts = members.iter().filter_map(|at| changes[*at].account);
    let keys: HashSet<_> = accounts.clone().map(Destination::account_key).collect();
    if keys.len() < 2 {
        let names: Vec<_> =
            members.iter().take(MAX_NAMES).map(|at| visible(changes[*at].name)).collect();
        let rest = members.len() - names.len();
        return format!("{} and {} more", names.join(", "), number(rest as u64));
    }
    // A name in several accounts is listed once.
    let mut seen = HashSet::new();
    let mut distinct = members.iter().map(|at| changes[*at].name);
    let first: Vec<_> =
        distinct.by_ref().filter(|name| seen.insert(*name)).take(MAX_NAMES).map(visible).collect();
    let more = match distinct.filter(|name| seen.insert(*name)).count() as u64 {
        0 => String::new(),
        n => format!(" and {}", count(n, "more name")),
    };
    format!("{}{more}; {}", first.join(", "), describe_accounts(accounts))
}

/// Existence of a profile or role before and after a plan.
#[derive(Clone, Copy, Debug)]
struct Ends {
    was: bool,
    is: bool,
    /// Absence in between.
    was_absent: bool,
}

/// Numbers of profiles and roles that are created, changed, deleted and replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of resources that do not exist before.
    pub create: u64,
    /// Number of resources that exist before and after.
    pub change: u64,
    /// Number of resources that do not exist after.
    pub delete: u64,
    /// Number of resources that are deleted and created again.
    pub replace: u64,
}

impl Totals {
    const fn add(&mut self, ends: Ends) {
        match (ends.was, ends.is) {
            (false, true) => self.create += 1,
            (true, true) if ends.was_absent => self.replace += 1,
            (true, true) => self.change += 1,
            (true, false) => self.delete += 1,
            (false, false) => {}
        }
    }

    fn parts(self) -> [(u64, &'static str); 4] {
        [
            (self.create, "create"),
            (self.change, "change"),
            (self.delete, "delete"),
            (self.replace, "replace"),
        ]
    }

    /// "0 to create, 10 to change, 0 to delete", and the number of replaced resources.
    #[must_use]
    pub fn all(self) -> String {
        let parts = self.parts().into_iter();
        let parts = parts.filter(|(n, what)| *n > 0 || *what != "replace");
        parts.map(|(n, what)| format!("{} to {what}", number(n))).collect::<Vec<_>>().join(", ")
    }

    /// "10 to change".
    fn some(self) -> String {
        let some = self.parts().into_iter().filter(|(n, _)| *n > 0);
        let some: Vec<_> = some.map(|(n, what)| format!("{} to {what}", number(n))).collect();
        if some.is_empty() { self.all() } else { some.join(", ") }
    }
}

/// Numbers by account.
pub type TotalsByAccount<'a> = BTreeMap<AccountKey<'a>, (&'a Destination, Totals)>;

/// Numbers of profiles and roles that are created, changed and deleted: in total, and in each
/// account that is named.
#[must_use]
pub fn totals<'a>(changes: &[ChangeText<'a>]) -> (Totals, TotalsByAccount<'a>) {
    let mut ends: HashMap<_, (Option<&Destination>, Ends)> = HashMap::new();
    for change in changes {
        let (was, is) = (change.before.is_some(), change.after.is_some());
        ends.entry((change.account_key(), change.subject, change.name.to_ascii_lowercase()))
            .and_modify(|(_, ends)| {
                ends.was_absent |= !ends.is;
                ends.is = is;
            })
            .or_insert((change.account, Ends { was, is, was_absent: false }));
    }
    let mut all = Totals::default();
    let mut accounts = TotalsByAccount::new();
    for (account, ends) in ends.into_values() {
        all.add(ends);
        if let Some(site) = account {
            accounts.entry(site.account_key()).or_insert((site, Totals::default())).1.add(ends);
        }
    }
    (all, accounts)
}

/// Totals in words, and a line for each account where there are several.
#[must_use]
pub fn summary(changes: &[ChangeText<'_>]) -> (String, Vec<String>) {
    let (all, accounts) = totals(changes);
    let text = format!("{}{}", all.all(), places(changes));
    let lines = if accounts.len() > 1 {
        account_lines(&accounts, |totals| totals.some())
    } else {
        Vec::new()
    };
    (text, lines)
}

/// Changes of a plan, to be put into words.
#[must_use]
pub fn of_plan<'a>(plan: &'a Plan, places: &Places<'a>) -> Vec<ChangeText<'a>> {
    plan.changes
        .iter()
        .map(|change| ChangeText::planned(change, places.account(change.site)))
        .collect()
}

/// Whole plan for people.
#[must_use]
pub fn plan(plan: &Plan, full: bool) -> String {
    let bold = Style::new().bold();
    let incomplete = plan.incomplete.as_ref().map_or(String::new(), |why| {
        let red = AnsiColor::Red.on_default();
        let cause = "The plan is incomplete: the script did not run to its end";
        match why.as_str() {
            "" => format!("{red}{cause}.{red:#}\n"),
            why => format!("{red}{cause}:{red:#} {}\n", visible(why)),
        }
    });
    let shown = of_plan(plan, &Places::of(&plan.sites));
    let (totals, accounts) = summary(&shown);
    let mut summary = if !shown.is_empty() {
        let calls = count(shown.len() as u64, "call");
        format!("{bold}Plan: {totals}{bold:#} ({calls} to make)")
    } else if plan.incomplete.is_some() {
        format!("{bold}Plan: no change so far{bold:#}")
    } else {
        format!("{bold}Plan: nothing to change{bold:#}")
    };
    if !plan.outside.is_empty() {
        let _ = write!(summary, "; outside of the account {}", outside_count(&plan.outside));
    }
    let mut left_out = String::new();
    for one in &plan.left_out {
        let _ = writeln!(left_out, "left out: {}", one.describe(&plan.sites));
    }
    if plan.is_empty() {
        return format!("{summary}\n{left_out}{incomplete}");
    }
    let place = match plan.sites.as_slice() {
        [] => String::new(),
        sites => format!(" for {}", describe_accounts(sites)),
    };
    let mut text = format!("{bold}Plan{place}{bold:#}\n\n");
    let (changes, folded) = folded_lines(&shown, full);
    for part in [changes, outside_lines(&plan.outside, full)] {
        for line in &part {
            let _ = writeln!(text, "  {line}");
        }
        if !part.is_empty() {
            text.push('\n');
        }
    }
    text.push_str(&summary);
    text.push_str(if folded > 0 { "; --full lists each\n" } else { "\n" });
    for account in accounts {
        let _ = writeln!(text, "  {account}");
    }
    text.push_str(&left_out);
    if let Some(why) = &plan.exceeds {
        let _ = writeln!(text, "Beyond its limit: {}", visible(why));
    }
    text.push_str(&incomplete);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::unnecessary_wraps, reason = "it is a state")]
    fn image(name: &str, owner: Option<&str>) -> Option<Snapshot> {
        Some(Snapshot {
            name: name.into(),
            path: "/ec2/".into(),
            tags: owner.map(|owner| ("Owner".to_owned(), owner.to_owned())).into_iter().collect(),
            ..Snapshot::default()
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
            .map(|(name, before, after)| ChangeText {
                action: "TagInstanceProfile",
                subject: Subject::Profile,
                name,
                before,
                after,
                account: None,
                mark: None,
                is_tried: false,
            })
            .collect();
        assert_eq!(
            plain(&lines(&shown, false)),
            [
                "~ tag 4,812 profiles: Owner → ops: 2,406 new, 2,406 replace a value  p0, p1, p2 and 4,809 more"
            ]
        );
        assert_eq!(lines(&shown, true).len(), 4812);
        assert_eq!(
            plain(&lines(&shown[..2], false)),
            ["~ tag profile p0: Owner dev → ops", "~ tag profile p1: Owner (none) → ops"]
        );
        assert_eq!(
            summary(&shown),
            ("0 to create, 4,812 to change, 0 to delete".to_owned(), vec![])
        );
    }

    fn site(account: usize) -> Destination {
        serde_json::from_value(
            serde_json::json!({ "target": "aws", "account": account.to_string() }),
        )
        .expect("a site")
    }

    /// Change of the same `names` in each of some accounts.
    fn over<'a>(
        sites: &'a [Destination],
        names: &'a [&str],
        (before, after): (&'a Option<Snapshot>, &'a Option<Snapshot>),
    ) -> Vec<ChangeText<'a>> {
        let places = Places::of(sites);
        let each = (0..sites.len()).flat_map(|site| {
            let account = places.account(site);
            names.iter().map(move |name| ChangeText {
                action: "TagInstanceProfile",
                subject: Subject::Profile,
                name,
                before,
                after,
                account,
                mark: None,
                is_tried: false,
            })
        });
        each.collect()
    }

    const NAMES_OF_TEN: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

    #[test]
    fn changes_in_several_accounts_are_counted_in_each_of_them() {
        let states = (&image("p", Some("dev")), &image("p", Some("ops")));
        let sites: Vec<_> = (1..=3).map(site).collect();
        let shown = over(&sites, &NAMES_OF_TEN, states);
        assert_eq!(
            plain(&lines(&shown, false)),
            [
                "~ tag 30 profiles in 3 accounts: Owner → ops: all replace a value  a, b, c and 7 more \
              names; AWS accounts 1, 2 and 3"
            ]
        );
        let (totals, accounts) = summary(&shown);
        assert_eq!(totals, "0 to create, 30 to change, 0 to delete in 3 accounts");
        assert_eq!(accounts[1], "AWS account 2: 10 to change");
        let full = plain(&lines(&shown, true));
        assert_eq!((full.len(), full[11].as_str()), (33, "AWS account 2"));
        assert_eq!(full[12], "  ~ tag profile a: Owner dev → ops");

        // Two destinations in one account are one account, which need not be named.
        let as_somebody = Destination { caller: Some("arn".into()), ..site(1) };
        let ways = [site(1), as_somebody];
        let shown = over(&ways, &NAMES_OF_TEN, states);
        assert_eq!(summary(&shown), ("0 to create, 10 to change, 0 to delete".to_owned(), vec![]));
        assert_eq!(
            plain(&lines(&shown, false)),
            ["~ tag 20 profiles: Owner → ops: all replace a value  a, b, c and 17 more"]
        );
    }

    #[test]
    fn what_goes_to_one_of_several_accounts_names_it_and_many_accounts_are_cut_short() {
        let states = (&image("p", Some("dev")), &image("p", Some("ops")));
        let sites: Vec<_> = (1..=8).map(site).collect();
        let shown = over(&sites[..2], &NAMES_OF_TEN, states);
        assert_eq!(
            plain(&lines(&shown[..10], false)),
            [
                "~ tag 10 profiles in AWS account 1: Owner → ops: all replace a value  a, b, c and 7 more"
            ]
        );
        assert_eq!(
            plain(&lines(&shown[9..11], false)),
            [
                "~ tag profile j in AWS account 1: Owner dev → ops",
                "~ tag profile a in AWS account 2: Owner dev → ops"
            ]
        );
        let shown = over(&sites, &NAMES_OF_TEN[..2], states);
        assert_eq!(
            plain(&lines(&shown, false)),
            [
                "~ tag 16 profiles in 8 accounts: Owner → ops: all replace a value  a, b; AWS accounts \
              1, 2, 3, 4, 5 and 3 more"
            ]
        );
        let (_, accounts) = summary(&shown);
        assert_eq!(accounts.len(), 6);
        assert_eq!(accounts[4..], ["AWS account 5: 2 to change", "and 3 more accounts"]);
    }

    #[test]
    fn changes_with_other_values_are_not_said_to_be_alike() {
        let before = image("p", Some("dev"));
        let ends = [image("p", Some("(none)")), image("p", None)];
        let sites = [site(1), site(2)];
        let shown: Vec<_> =
            ends.iter().flat_map(|after| over(&sites, &NAMES_OF_TEN, (&before, after))).collect();
        assert_eq!(
            plain(&lines(&shown, false)),
            [
                "~ tag 20 profiles in 2 accounts: Owner → \"(none)\": all replace a value  a, b, c \
                 and 7 more names; AWS accounts 1 and 2",
                "~ tag 20 profiles in 2 accounts: Owner removed  a, b, c and 7 more names; AWS \
                 accounts 1 and 2"
            ]
        );
    }

    #[test]
    fn programs_and_files_are_lines_too() {
        let run = |arguments: &[&str]| Outside::Run {
            program: "/usr/sbin/sendmail".into(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
        };
        let write = |path: &str, bytes| Outside::Write { path: path.into(), bytes };
        let mut outside = vec![
            run(&["-t", "it's \u{1b}[2J"]),
            write("report.csv", 1204),
            write("a b.csv", 1),
            run(&["-t", &"x".repeat(300)]),
        ];
        let cut = format!("would run /usr/sbin/sendmail -t {}…", "x".repeat(200 - 22));
        let lines = [
            r"would run /usr/sbin/sendmail -t 'it'\''s \x1b[2J'",
            &cut,
            "would write report.csv (1,204 bytes)",
            "would write 'a b.csv' (1 byte)",
        ];
        assert_eq!(plain(&outside_lines(&outside, false)), lines);
        assert_eq!(outside_count(&outside), "2 programs and 2 files");
        let url = "https://hooks.example.com/services/…";
        let request = Outside::Request { method: "POST".into(), url: url.into(), bytes: 34 };
        let others = [Outside::Mkdir { path: "out/a b".into() }, request.clone()];
        assert_eq!(
            plain(&outside_lines(&others, false)),
            [
                "would create the folder 'out/a b'",
                "would send POST https://hooks.example.com/services/… (34 bytes)"
            ]
        );
        outside.extend(others);
        assert_eq!(outside_count(&outside), "2 programs, 2 files, 1 folder and 1 request");
        outside.clear();
        outside.extend((0..9).map(|n| Outside::Mkdir { path: format!("out/{n}") }));
        outside.extend(std::iter::repeat_n(request, 9));
        assert_eq!(
            plain(&outside_lines(&outside, false)),
            [
                "would create 9 folders in out  0, 1, 2 and 6 more",
                "would send POST https://hooks.example.com/services/…, 9 times (306 bytes)",
            ]
        );
        outside.clear();
        outside.extend((0..300).map(|n| write(&format!("out/{n}.csv"), 10)));
        outside.extend((0..300).map(|n| run(&["-f", &n.to_string()])));
        assert_eq!(
            plain(&outside_lines(&outside, false)),
            [
                "would write 300 files in out (3,000 bytes)  0.csv, 1.csv, 2.csv and 297 more",
                "would run /usr/sbin/sendmail, 300 times  -f 0, -f 1, -f 2 and 297 more",
            ]
        );
        assert_eq!(outside_lines(&outside, true).len(), 600);
        let alike: Vec<_> = (0..300).map(|_| run(&["-t"])).collect();
        let line = "would run /usr/sbin/sendmail -t, 300 times";
        assert_eq!(plain(&outside_lines(&alike, false)), [line]);
    }

    #[test]
    fn an_account_cannot_write_on_the_terminal() {
        let (before, after) = (image("p", Some("a")), image("p", Some("\u{1b}[2Jx")));
        let shown = ChangeText {
            action: "TagInstanceProfile",
            subject: Subject::Profile,
            name: "p",
            before: &before,
            after: &after,
            account: None,
            mark: None,
            is_tried: false,
        };
        assert_eq!(plain(&lines(&[shown], false)), ["~ tag profile p: Owner a → \\x1b[2Jx"]);
    }
}
