//! Order of the inverses of a run. What is made is there before what needs it, and what is deleted
//! is needed by nothing any more. The role of a profile is exchanged in one go.

use std::collections::{BTreeMap, HashSet};

use crate::iam::snapshot::{Snapshot, Subject};
use crate::session::overlay::roles_in;
use crate::session::read_cache::Key;

/// Trust policy of a role that is made before the roles that its own policy names.
pub const NOBODY: &str = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\
    \"Principal\":{\"AWS\":\"*\"},\"Action\":\"sts:AssumeRole\"}]}";

/// An inverse that is to be put in order.
#[derive(Clone, Debug)]
pub struct Inverted {
    /// Its subject.
    pub key: (usize, Key),
    /// State now.
    pub from: Option<Snapshot>,
    /// State after the undo.
    pub to: Option<Snapshot>,
}

/// A part of an inverse: from one state to another.
#[derive(Clone, Debug)]
pub struct Part {
    /// Place of the inverse among all.
    pub inverse: usize,
    /// State before it.
    pub from: Option<Snapshot>,
    /// State after it.
    pub to: Option<Snapshot>,
    /// End of the inverse.
    pub is_last: bool,
}

/// Steps of an undo, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    DeleteProfiles,
    Change,
    DeleteRoles,
    CreateRoles,
    ChangeNew,
    CreateProfiles,
    DeleteFreedRoles,
}

/// Puts inverses in order; those of a phase stay in the order in which they are given.
pub fn parts(all: &[Inverted]) -> Vec<Part> {
    let is_role = |inverted: &Inverted| match inverted.key.1.subject {
        Subject::Role => true,
        Subject::Profile => false,
    };
    let made: HashSet<_> = all
        .iter()
        .filter(|inverted| is_role(inverted) && inverted.to.is_some() && is_made(inverted))
        .map(|inverted| inverted.key.clone())
        .collect();
    // Roles that are named by what is changed only after others were made.
    let mut held = HashSet::new();
    let mut phases: BTreeMap<Phase, Vec<usize>> = BTreeMap::new();
    for (at, inverted) in all.iter().enumerate() {
        let needs_made = names(&inverted.to, &inverted.key).iter().any(|role| made.contains(role));
        let phase = match (&inverted.to, is_role(inverted)) {
            (None, true) => Phase::DeleteRoles,
            (None, false) => Phase::DeleteProfiles,
            (Some(_), true) if is_made(inverted) => Phase::CreateRoles,
            (Some(_), false) if is_made(inverted) => Phase::CreateProfiles,
            (Some(_), _) if needs_made => {
                held.extend(names(&inverted.from, &inverted.key));
                Phase::ChangeNew
            }
            (Some(_), _) => Phase::Change,
        };
        phases.entry(phase).or_default().push(at);
    }
    if let Some(deleted) = phases.remove(&Phase::DeleteRoles) {
        let (later, now) = deleted.into_iter().partition(|at| held.contains(&all[*at].key));
        phases.insert(Phase::DeleteRoles, now);
        phases.insert(Phase::DeleteFreedRoles, later);
    }
    let mut parts = Vec::new();
    for (phase, members) in phases {
        if phase == Phase::CreateRoles {
            parts.extend(create_roles(all, &made, members));
            continue;
        }
        for inverse in members {
            let Inverted { from, to, .. } = all[inverse].clone();
            parts.push(Part { inverse, from, to, is_last: true });
        }
    }
    parts
}

fn is_made(inverted: &Inverted) -> bool {
    match (&inverted.from, &inverted.to) {
        (None, Some(_)) => true,
        (Some(from), Some(to)) => is_other(from, to),
        (_, None) => false,
    }
}

/// Check for states between which it must be deleted and made again: a path cannot be changed, nor
/// the case of a name.
pub fn is_other(from: &Snapshot, to: &Snapshot) -> bool {
    from.path != to.path || from.name != to.name
}

/// Makes roles, those first that others name. One that names itself, or one that names it, gets its
/// own trust policy at the end.
fn create_roles(
    all: &[Inverted],
    made: &HashSet<(usize, Key)>,
    mut members: Vec<usize>,
) -> Vec<Part> {
    let (mut done, mut parts, mut later) = (HashSet::new(), Vec::new(), Vec::new());
    while !members.is_empty() {
        let is_ready = |at: &usize| {
            let inverted = &all[*at];
            let named = names(&inverted.to, &inverted.key);
            named.iter().all(|role| !made.contains(role) || done.contains(role))
        };
        let ready = members.iter().position(is_ready);
        let inverse = members.remove(ready.unwrap_or(0));
        let Inverted { key, from, to } = all[inverse].clone();
        done.insert(key);
        if ready.is_some() {
            parts.push(Part { inverse, from, to, is_last: true });
            continue;
        }
        let nobody = Some(NOBODY.to_owned());
        let first = to.clone().map(|image| Snapshot { assume_role_policy: nobody, ..image });
        parts.push(Part { inverse, from, to: first.clone(), is_last: false });
        later.push(Part { inverse, from: first, to, is_last: true });
    }
    parts.append(&mut later);
    parts
}

/// Roles that a state names: the role in a profile, the principals of a trust policy.
fn names(state: &Option<Snapshot>, (place, _): &(usize, Key)) -> Vec<(usize, Key)> {
    let Some(image) = state else { return Vec::new() };
    let policy = image.assume_role_policy.as_deref();
    let roles = policy.map(roles_in).unwrap_or_default();
    let all = image.role.iter().chain(&roles);
    all.map(|role| (*place, Key::new(Subject::Role, role))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::unnecessary_wraps, reason = "it is a state")]
    fn role(name: &str, trusts: &[&str]) -> Option<Snapshot> {
        let arns: Vec<_> =
            trusts.iter().map(|role| format!("arn:aws:iam::1:role/{role}")).collect();
        let policy = serde_json::json!({ "Principal": { "AWS": arns } }).to_string();
        let (name, assume_role_policy) = (name.to_owned(), Some(policy));
        Some(Snapshot { name, path: "/".into(), assume_role_policy, ..Snapshot::default() })
    }

    #[allow(clippy::unnecessary_wraps, reason = "it is a state")]
    fn profile(name: &str, role: Option<&str>) -> Option<Snapshot> {
        let (name, role) = (name.to_owned(), role.map(str::to_owned));
        Some(Snapshot { name, path: "/".into(), role, ..Snapshot::default() })
    }

    fn order(all: &[(Subject, Option<Snapshot>, Option<Snapshot>)]) -> Vec<String> {
        let all: Vec<_> = all
            .iter()
            .map(|(subject, from, to)| {
                let image = from.as_ref().or(to.as_ref()).expect("a state");
                let key = (0, Key::new(*subject, &image.name));
                Inverted { key, from: from.clone(), to: to.clone() }
            })
            .collect();
        let text = |part: &Part| {
            let sign = match (&part.from, &part.to) {
                (None, _) => '+',
                (_, None) => '-',
                _ => '~',
            };
            format!("{sign}{}", all[part.inverse].key.1.name)
        };
        parts(&all).iter().map(text).collect()
    }

    #[test]
    fn what_is_named_is_there() {
        use Subject::{Profile, Role};
        let all = [
            (Role, role("new", &[]), None),
            (Profile, profile("swapped", Some("new")), profile("swapped", Some("old"))),
            (Role, None, role("old", &["older"])),
            (Role, None, role("older", &[])),
            (Profile, None, profile("gone", Some("old"))),
            (Profile, profile("made", Some("new")), None),
            (Role, role("unheld", &[]), None),
            (Role, role("kept", &["new"]), role("kept", &["older"])),
        ];
        assert_eq!(
            order(&all),
            ["-made", "-unheld", "+older", "+old", "~swapped", "~kept", "+gone", "-new"]
        );
    }

    #[test]
    fn roles_that_name_each_other_are_made_first_and_trusted_later() {
        use Subject::Role;
        let all = [
            (Role, None, role("itself", &["itself"])),
            (Role, None, role("a", &["b"])),
            (Role, None, role("b", &["a"])),
        ];
        assert_eq!(order(&all), ["+itself", "+a", "+b", "~itself", "~a"]);
    }
}
