//! What is different from the last run: in the plan, and in what was printed.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;

use crate::diff;
use crate::plan_text::{Shown, lines};
use crate::session::plan::{Change, Plan};
use crate::words::count;

/// More changes that differ are not shown with what each was before.
const MOST: usize = 6;

/// What two plans differ in, one line each: `+` for changes that are new, `-` for those that are gone, `~` for those that do something else to the
/// same thing.
pub(super) fn plans(before: &Plan, now: &Plan) -> String {
    let mut gone: HashMap<_, VecDeque<&Change>> = HashMap::new();
    for change in in_order(before) {
        gone.entry(key(change)).or_default().push_back(change);
    }
    let (mut new, mut others, mut same) = (Vec::new(), Vec::new(), 0);
    for change in in_order(now) {
        match gone.get_mut(&key(change)).and_then(VecDeque::pop_front) {
            None => new.push(Shown::from(change).as_new()),
            Some(was) if is_same(was, change) => same += 1,
            Some(was) => others.push((Shown::from(change), Shown::from(was))),
        }
    }
    let mut gone: Vec<_> = gone.into_values().flatten().collect();
    gone.sort_by_key(|change| order(change));
    let gone: Vec<_> = gone.into_iter().map(|change| Shown::from(change).as_gone()).collect();
    if new.is_empty() && others.is_empty() && gone.is_empty() {
        return match same {
            0 => "the plan is as before: nothing to change\n".into(),
            n => format!("the plan is as before ({})\n", count(n, "change")),
        };
    }
    let mut text = String::from("what is different in the plan:\n");
    let shown = lines(&gone, false).into_iter().chain(lines(&new, false));
    let others: Vec<_> = if others.len() > MOST {
        let others: Vec<_> = others.iter().map(|(now, _)| now.as_other()).collect();
        lines(&others, false)
    } else {
        others.iter().map(|(now, was)| now.instead_of(was)).collect()
    };
    for line in shown.chain(others) {
        text.extend(["  ", &line, "\n"]);
    }
    let _ = writeln!(text, "the plan has {} now", count(now.changes.len() as u64, "change"));
    text
}

/// The changes by what they are about: which of several things comes first is another one each time where many are changed at once.
fn in_order(plan: &Plan) -> Vec<&Change> {
    let mut changes: Vec<_> = plan.changes.iter().collect();
    changes.sort_by_key(|change| order(change));
    changes
}

fn order(change: &Change) -> (&'static str, &str, u64) {
    (change.subject.name(), &change.name, change.number)
}

/// What a change is about.
fn key(change: &Change) -> (usize, &str, &'static str, &str) {
    (change.site, &change.action, change.subject.name(), &change.name)
}

fn is_same(one: &Change, other: &Change) -> bool {
    one.arguments == other.arguments && one.before == other.before && one.after == other.after
}

/// What a run has left behind.
#[derive(Clone, Debug, Default)]
pub(super) struct Remembered {
    /// What it has printed.
    pub(super) output: String,
    /// Its plan, one change a line.
    pub(super) plan: Vec<String>,
}

impl Remembered {
    pub(super) fn new(output: String, plan: Option<&Plan>) -> Self {
        let shown: Vec<_> = plan.into_iter().flat_map(in_order).map(Shown::from).collect();
        let without_styles = |line: &String| anstream::adapter::strip_str(line).to_string();
        Self { output, plan: lines(&shown, true).iter().map(without_styles).collect() }
    }

    /// In what this run differs from the one before.
    pub(super) fn against(&self, before: &Self) -> String {
        let mut text = String::new();
        let parts = [
            ("output", before.output.clone(), self.output.clone()),
            ("plan", before.plan.join("\n"), self.plan.join("\n")),
        ];
        for (what, before, now) in parts {
            if before != now {
                text.extend([what, ":\n", &diff::lines(&before, &now), "\n"]);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(changes: &[(&str, &str)]) -> Plan {
        let changes = changes.iter().enumerate().map(|(at, (name, owner))| {
            serde_json::json!({
                "number": at + 1, "site": 0, "action": "TagInstanceProfile", "subject": "profile", "name": name,
                "arguments": { "name": name, "tags": { "Owner": owner } },
                "before": { "name": name, "path": "/" },
                "after": { "name": name, "path": "/", "tags": { "Owner": owner } },
            })
        });
        let session = crate::session::Session::new(crate::session::Mode::Plan);
        let mut plan = session.recorder().plan(None, None, None, None);
        plan.changes =
            changes.map(|json| serde_json::from_value(json).expect("a change")).collect();
        plan
    }

    fn compared(before: &[(&str, &str)], now: &[(&str, &str)]) -> String {
        anstream::adapter::strip_str(&plans(&plan(before), &plan(now))).to_string()
    }

    #[test]
    fn a_plan_is_compared_change_by_change() {
        let before = [("a", "dev"), ("b", "dev"), ("c", "dev")];
        assert_eq!(compared(&before, &before), "the plan is as before (3 changes)\n");
        assert_eq!(
            compared(&before, &[("b", "ops"), ("c", "dev"), ("d", "dev")]),
            "what is different in the plan:\n\
             \x20 - tag profile a: Owner (none) → dev\n\
             \x20 + tag profile d: Owner (none) → dev\n\
             \x20 ~ tag profile b: Owner (none) → ops, before: Owner (none) → dev\n\
             the plan has 3 changes now\n"
        );
        assert_eq!(compared(&[], &[]), "the plan is as before: nothing to change\n");
    }

    #[test]
    fn the_order_of_the_changes_makes_no_difference_and_many_are_folded() {
        assert_eq!(
            compared(&[("a", "x"), ("b", "x")], &[("b", "x"), ("a", "x")]),
            "the plan is as before (2 changes)\n"
        );
        let names: Vec<_> = (0..10).map(|n| format!("p{n}")).collect();
        let all = |owner| names.iter().map(|name| (name.as_str(), owner)).collect::<Vec<_>>();
        let text = compared(&all("dev"), &all("ops"));
        assert!(
            text.contains("\n  ~ tag 10 profiles: Owner → ops  p0, p1, p2 and 7 more\n"),
            "{text}"
        );
        let one = Remembered::new(String::new(), Some(&plan(&[("a", "x"), ("b", "x")])));
        let other = Remembered::new(String::new(), Some(&plan(&[("b", "x"), ("a", "y")])));
        let difference = other.against(&one);
        let expected = "plan:\n- ~ tag profile a: Owner (none) → x\n+ ~ tag profile a: Owner (none) → y\n  ~ tag profile b: Owner (none) → x\n";
        assert_eq!(difference, expected);
    }

    #[test]
    fn the_same_change_twice_is_two_changes() {
        let text = compared(&[("a", "x"), ("a", "x")], &[("a", "x")]);
        assert!(text.contains("  - tag profile a: Owner (none) → x\n"), "{text}");
        assert!(text.ends_with("the plan has 1 change now\n"), "{text}");
    }
}
