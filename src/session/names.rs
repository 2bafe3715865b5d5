//! Names of profiles and roles, and paths, that a session has seen, for completion. They are
//! sorted, so that prefix searches are fast among hundreds of thousands.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Gate;
use crate::error::Result;
use crate::iam::snapshot::Subject;
use crate::iam::{self, Entry, Implementation, Reads};
use crate::spec::{Args, Returns, Value};

/// Maximum number of names of a kind: more than any account on AWS may have, and less than 100 MiB.
pub const MAX_NAMES: usize = 500_000;

/// Cache of names; cheap to clone, and all clones share one state.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<RwLock<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    profiles: BTreeSet<Box<str>>,
    roles: BTreeSet<Box<str>>,
    paths: BTreeSet<Box<str>>,
    policies: BTreeSet<Box<str>>,
}

/// Kind of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// An instance profile.
    Profile,
    /// A role.
    Role,
    /// A path of either.
    Path,
    /// The ARN of a managed policy.
    Policy,
}

impl From<Subject> for Of {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Profile => Self::Profile,
            Subject::Role => Self::Role,
        }
    }
}

/// Names with a common prefix.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// First names in order; if there are more, the last element is the very last match.
    pub names: Vec<String>,
    /// Mark of an incomplete list.
    pub is_cut: bool,
}

impl Names {
    /// Names that begin with `prefix`, at most `most`. If there are more, the last element is the
    /// very last match, so that the longest common prefix of the list is that of all matches.
    #[must_use]
    pub fn beginning_with(&self, of: Of, prefix: &str, most: usize) -> Matches {
        let inner = self.read();
        let set = inner.set(of);
        let from = Bound::Included(prefix);
        let all = set.range::<str, _>((from, Bound::Unbounded));
        let mut names: Vec<String> = all
            .take_while(|name| name.starts_with(prefix))
            .take(most + 1)
            .map(ToString::to_string)
            .collect();
        if names.len() <= most {
            return Matches { names, is_cut: false };
        }
        names.truncate(most);
        // Every match sorts before the prefix followed by the greatest character.
        let end = format!("{prefix}{}", char::MAX);
        let last = set.range::<str, _>((from, Bound::Included(end.as_str()))).next_back();
        if let (Some(last), Some(place)) = (last, names.last_mut()) {
            *place = last.to_string();
        }
        Matches { names, is_cut: true }
    }

    /// Number of known names of a kind.
    #[must_use]
    pub fn len(&self, of: Of) -> usize {
        self.read().set(of).len()
    }

    /// Check that there is room for more names of a kind.
    #[must_use]
    pub fn has_room(&self, of: Of) -> bool {
        self.len(of) < MAX_NAMES
    }

    /// Learns the names in the answer to a call, and forgets the name of a deleted resource.
    pub(super) fn learn(&self, entry: &Entry, name: Option<&str>, answer: &Value) {
        match &entry.run {
            Implementation::Write(write) if write.deletes() => {
                if let Some(name) = name {
                    self.write().of(write.subject).remove(name);
                }
            }
            Implementation::Write(write) if matches!(entry.spec.returns, Returns::One(_)) => {
                self.learn_records(write.subject, answer);
            }
            Implementation::Read(reads, _) => match reads {
                Reads::One(subject) | Reads::Page(subject) => {
                    self.learn_records(*subject, answer);
                }
                Reads::Policies(_) => {
                    let mut inner = self.write();
                    records(answer, &mut |record| {
                        inner.policies.extend(record.field("arn").as_str().map(Into::into));
                    });
                }
                // These contain no names.
                Reads::Tags(_) | Reads::Account => {}
            },
            Implementation::Write(_)
            | Implementation::Compose(_)
            | Implementation::Iterate(_)
            | Implementation::Host => {}
        }
    }

    /// Learns the records of a page, or a single record.
    fn learn_records(&self, subject: Subject, answer: &Value) {
        let mut inner = self.write();
        if inner.of(subject).len() >= MAX_NAMES {
            return;
        }
        records(answer, &mut |record| {
            let text = |field| record.field(field).as_str().map(Box::<str>::from);
            inner.paths.extend(text("path"));
            if let Some(role) = text("role") {
                inner.roles.insert(role);
            }
            if let Some(name) = text("name") {
                inner.of(subject).insert(name);
            }
        });
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Gate {
    /// Reads the names of all profiles and roles, page by page, while there is room for them.
    ///
    /// # Errors
    /// The error of AWS; the caller may lack permission to list.
    pub async fn gather_names(&self, names: &Names) -> Result<()> {
        for subject in Subject::ALL {
            let (entry, of) = (iam::entry(subject.functions().list), Of::from(subject));
            let mut args = Args::of([("max_items", Value::Int(1000))]);
            while names.has_room(of) {
                let page = self.line().await?.read(entry, &args).await?;
                names.learn(entry, None, &page);
                let Value::Page(page) = page else { break };
                match page.marker {
                    Some(marker) if page.is_truncated => args.set("marker", Value::Str(marker)),
                    _ => break,
                }
            }
        }
        Ok(())
    }
}

impl Inner {
    fn set(&self, of: Of) -> &BTreeSet<Box<str>> {
        match of {
            Of::Profile => &self.profiles,
            Of::Role => &self.roles,
            Of::Path => &self.paths,
            Of::Policy => &self.policies,
        }
    }

    fn of(&mut self, subject: Subject) -> &mut BTreeSet<Box<str>> {
        match subject {
            Subject::Profile => &mut self.profiles,
            Subject::Role => &mut self.roles,
        }
    }
}

/// Every record of an answer.
fn records(answer: &Value, f: &mut impl FnMut(&Value)) {
    match answer {
        Value::Record(_) => f(answer),
        Value::Page(page) => page.items.iter().for_each(f),
        Value::List(list) => list.iter().for_each(f),
        _ => {}
    }
}
