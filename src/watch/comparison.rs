//! Comparison with the last run: of the plans and of the output.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;

use crate::app::plan_text::{ChangeText, line, lines, outside_count, outside_lines};
use crate::session::destination::Places;
use crate::session::outside::Outside;
use crate::session::plan::{Change, Plan};
use crate::ui::diff;
use crate::ui::format::count;

/// Number of differing changes above which they are shown without their previous form.
const MAX_COMPARED: usize = 6;

/// Differences between two plans, one per line: `+` for new changes, `-` for removed ones, `~` for
/// changes that do something else to the same subject.
pub(super) fn plans(before: &Plan, now: &Plan) -> String {
    // Destinations of both plans, because each plan numbers its own.
    let places = Places::of(before.sites.iter().chain(&now.sites));
    let (was_at, is_at) =
        (|change: &Change| change.site, |change: &Change| before.sites.len() + change.site);
    let was_shown = |change| ChangeText::planned(change, places.account(was_at(change)));
    let is_shown = |change| ChangeText::planned(change, places.account(is_at(change)));
    let mut gone: HashMap<_, VecDeque<&Change>> = HashMap::new();
    for change in in_order(before) {
        let account = places.number(was_at(change));
        gone.entry(key(account, change)).or_default().push_back(change);
    }
    let (mut new, mut others, mut same) = (Vec::new(), Vec::new(), 0);
    for change in in_order(now) {
        let account = places.number(is_at(change));
        match gone.get_mut(&key(account, change)).and_then(VecDeque::pop_front) {
            None => new.push(is_shown(change).as_new()),
            Some(was) if is_same(was, change) => same += 1,
            Some(was) => others.push((is_shown(change), was_shown(was))),
        }
    }
    let mut gone: Vec<_> = gone.into_values().flatten().collect();
    gone.sort_by_key(|change| order(change));
    let gone: Vec<_> = gone.into_iter().map(|change| was_shown(change).as_gone()).collect();
    let (gone_outside, new_outside) =
        (without(&before.outside, &now.outside), without(&now.outside, &before.outside));
    let is_same_outside = gone_outside.is_empty() && new_outside.is_empty();
    if new.is_empty() && others.is_empty() && gone.is_empty() && is_same_outside {
        if now.is_empty() {
            return "the plan is as before: nothing to change\n".into();
        }
        let mut parts = vec![count(same, "change")];
        parts.extend((!now.outside.is_empty()).then(|| outside_count(&now.outside)));
        return format!("the plan is as before ({})\n", parts.join(", "));
    }
    let mut text = String::from("what is different in the plan:\n");
    let shown = lines(&gone, false).into_iter().chain(lines(&new, false));
    let others: Vec<_> = if others.len() > MAX_COMPARED {
        let others: Vec<_> = others.iter().map(|(now, _)| now.as_other()).collect();
        lines(&others, false)
    } else {
        others.iter().map(|(now, was)| now.instead_of(was)).collect()
    };
    for line in shown.chain(others) {
        text.extend(["  ", &line, "\n"]);
    }
    for (sign, outside) in [('-', gone_outside), ('+', new_outside)] {
        for line in outside_lines(&outside, false) {
            let _ = writeln!(text, "  {sign} {line}");
        }
    }
    let _ = writeln!(text, "the plan has {} now", count(now.changes.len() as u64, "change"));
    text
}

/// Actions of `list` that `other` lacks, with their multiplicity.
fn without(list: &[Outside], other: &[Outside]) -> Vec<Outside> {
    let mut left: HashMap<&Outside, usize> = HashMap::new();
    for action in other {
        *left.entry(action).or_default() += 1;
    }
    let is_missing = |action: &&Outside| match left.get_mut(*action) {
        Some(n) if *n > 0 => {
            *n -= 1;
            false
        }
        _ => true,
    };
    list.iter().filter(is_missing).cloned().collect()
}

/// Changes sorted by subject, because concurrent changes have no stable order.
fn in_order(plan: &Plan) -> Vec<&Change> {
    let mut changes: Vec<_> = plan.changes.iter().collect();
    changes.sort_by_key(|change| order(change));
    changes
}

fn order(change: &Change) -> (&'static str, &str, u64) {
    (change.subject.name(), &change.name, change.number)
}

/// Subject of a change, in the account with that number.
fn key(account: usize, change: &Change) -> (usize, &str, &'static str, &str) {
    (account, &change.action, change.subject.name(), &change.name)
}

fn is_same(one: &Change, other: &Change) -> bool {
    one.arguments == other.arguments && one.before == other.before && one.after == other.after
}

/// Results of a run that the next one is compared with.
#[derive(Clone, Debug, Default)]
pub(super) struct RunResults {
    /// Output.
    pub(super) output: String,
    /// Plan, one change per line.
    pub(super) plan: Vec<String>,
}

impl RunResults {
    pub(super) fn new(output: String, plan: Option<&Plan>) -> Self {
        let places = Places::of(plan.into_iter().flat_map(|plan| &plan.sites));
        let in_words = |change| {
            let text = line(&ChangeText::planned(change, places.account(change.site)));
            anstream::adapter::strip_str(&text).to_string()
        };
        let outside = plan.map(|plan| outside_lines(&plan.outside, true)).unwrap_or_default();
        let outside = outside.iter().map(|line| anstream::adapter::strip_str(line).to_string());
        let changes = plan.into_iter().flat_map(in_order).map(in_words);
        Self { output, plan: changes.chain(outside).collect() }
    }

    /// Differences from the run before.
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
    fn programs_and_files_are_compared_too() {
        let text = |before: &[Outside], now: &[Outside]| {
            let (mut one, mut other) = (plan(&[]), plan(&[]));
            (one.outside, other.outside) = (before.to_vec(), now.to_vec());
            plans(&one, &other)
        };
        let run = |program: &str| Outside::Run { program: program.into(), arguments: vec![] };
        let write = |bytes| Outside::Write { path: "a".into(), bytes };
        let before = [run("x"), run("x"), write(1)];
        assert_eq!(
            text(&before, &before),
            "the plan is as before (0 changes, 2 programs and 1 file)\n"
        );
        assert_eq!(
            text(&before, &[run("x"), write(2)]),
            "what is different in the plan:\n\
             \x20 - would run x\n\
             \x20 - would write a (1 byte)\n\
             \x20 + would write a (2 bytes)\n\
             the plan has 0 changes now\n"
        );
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
            text.contains("\n  ~ tag 10 profiles: Owner → ops: all new  p0, p1, p2 and 7 more\n"),
            "{text}"
        );
        let one = RunResults::new(String::new(), Some(&plan(&[("a", "x"), ("b", "x")])));
        let other = RunResults::new(String::new(), Some(&plan(&[("b", "x"), ("a", "y")])));
        let difference = other.against(&one);
        let expected = "plan:\n- ~ tag profile a: Owner (none) → x\n+ ~ tag profile a: Owner (none) → y\n  ~ tag profile b: Owner (none) → x\n";
        assert_eq!(difference, expected);
    }

    #[test]
    fn changes_in_several_accounts_are_compared_by_account() {
        let over = |accounts: &[&str], owner: &str| {
            let mut plan = plan(&[("a", "x"), ("a", owner)]);
            plan.sites = (accounts.iter())
                .map(|account| serde_json::json!({ "target": "aws", "account": account }))
                .map(|json| serde_json::from_value(json).expect("a site"))
                .collect();
            plan.changes[1].site = plan.sites.len() - 1;
            plan
        };
        let text = |before: &Plan, now: &Plan| {
            anstream::adapter::strip_str(&plans(before, now)).to_string()
        };
        let (one, both) = (over(&["1"], "x"), over(&["1", "2"], "x"));
        assert_eq!(text(&both, &over(&["2", "1"], "x")), "the plan is as before (2 changes)\n");
        assert_eq!(
            text(&both, &over(&["1", "2"], "y")),
            "what is different in the plan:\n\
             \x20 ~ tag profile a in AWS account 2: Owner (none) → y, before: Owner (none) → x\n\
             the plan has 2 changes now\n"
        );
        assert_eq!(
            text(&one, &both),
            "what is different in the plan:\n\
             \x20 - tag profile a in AWS account 1: Owner (none) → x\n\
             \x20 + tag profile a in AWS account 2: Owner (none) → x\n\
             the plan has 2 changes now\n"
        );
        let remembered = |plan: &Plan| RunResults::new(String::new(), Some(plan));
        let difference = remembered(&both).against(&remembered(&one));
        assert!(difference.contains("+ ~ tag profile a in AWS account 2: "), "{difference}");
    }

    #[test]
    fn the_same_change_twice_is_two_changes() {
        let text = compared(&[("a", "x"), ("a", "x")], &[("a", "x")]);
        assert!(text.contains("  - tag profile a: Owner (none) → x\n"), "{text}");
        assert!(text.ends_with("the plan has 1 change now\n"), "{text}");
    }
}
