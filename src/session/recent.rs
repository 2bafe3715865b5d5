//! Recent changes of this process. IAM is eventually consistent: for some time after a change, its
//! answers may alternate between the old and the new state. A stale record is told from one that
//! somebody else has changed: it equals a state that the resource had before our own last change.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indexmap::IndexSet;
use tokio::sync::Notify;

use super::read_cache::Key;
use crate::iam::snapshot::{Field, Snapshot, Subject, differences};
use crate::spec::Value;

/// Time for which an older answer is completed. A change is mostly visible within seconds.
/// Terraform's AWS provider waits for up to two minutes (`propagationTimeout` of its IAM service).
/// A state that stays the same for a minute may as well have been set back by somebody.
pub const PROPAGATION: Duration = Duration::from_mins(1);
/// Time after a change for which, once a read has shown the change, older answers are attributed to
/// another replica of IAM. After that they are attributed to somebody who has set it back.
const CONFIRMED: Duration = Duration::from_secs(15);
/// Time for which a decision reads again when an answer predates a change of ours. Only time can
/// tell such an answer from a change back by others.
pub const SETTLING: Duration = Duration::from_secs(10);
/// Time for which a refusal that contradicts our own change is attributed to propagation.
pub const REFUSALS: Duration = Duration::from_secs(30);
/// Maximum number of profiles and roles that are kept.
const MAX_RESOURCES: usize = 16_384;
/// Maximum number of states of each.
const MAX_STATES: usize = 32;
/// Maximum number of listings in progress, and of their rests.
const MAX_LISTINGS: usize = 256;

/// Recent changes of a process; cheap to clone, and all clones share one state. Successive sessions
/// share them.
#[derive(Clone, Debug, Default)]
pub struct RecentChanges(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    /// Notified whenever a page of a listing has been read to its end.
    page_ended: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// Histories by account and by resource.
    of: HashMap<Arc<str>, HashMap<Key, StateHistory>>,
    order: VecDeque<(Instant, Arc<str>, Key)>,
    listings: Listings,
}

/// States of one resource, the oldest first.
#[derive(Clone, Debug)]
pub struct StateHistory {
    /// States; the last is the one after our last change.
    states: Vec<Option<Snapshot>>,
    /// Time of our last change.
    at: Instant,
    /// Confirmation by a read.
    is_confirmed: bool,
    /// Mark of changes that were all made by an earlier run.
    is_earlier: bool,
}

/// Age of an answer compared to the changes of this process.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
pub enum Freshness {
    /// No older than our last change.
    Current,
    /// Older than our last change; the value is the current state.
    Stale(Option<Snapshot>),
    /// From before a recent change of an earlier run.
    Unsettled,
}

impl StateHistory {
    fn new(before: &Option<Snapshot>, at: Instant) -> Self {
        Self {
            states: vec![before.clone().map(Snapshot::bare)],
            at,
            is_confirmed: false,
            is_earlier: false,
        }
    }

    /// State after our last change.
    pub fn last(&self) -> &Option<Snapshot> {
        self.states.last().unwrap_or(&None)
    }

    /// Time of our last change.
    pub const fn at(&self) -> Instant {
        self.at
    }

    fn add(&mut self, before: &Option<Snapshot>, after: &Option<Snapshot>, at: Instant) {
        if !differences(self.last(), before).is_empty() {
            self.push(before);
        }
        self.push(after);
        self.at = self.at.max(at);
        self.is_confirmed = false;
        self.is_earlier = false;
    }

    fn push(&mut self, state: &Option<Snapshot>) {
        let mut state = state.clone().map(Snapshot::bare);
        // A field that one change has not read is as the change before has left it.
        if let (Some(image), Some(last)) = (&mut state, self.last())
            && image.policies.is_none()
        {
            image.policies.clone_from(&last.policies);
        }
        self.states.push(state);
        if self.states.len() > MAX_STATES {
            self.states.remove(0);
        }
    }

    fn older(&self) -> &[Option<Snapshot>] {
        &self.states[..self.states.len().saturating_sub(1)]
    }

    /// States since the resource was last created.
    fn life(&self) -> impl Iterator<Item = &Snapshot> {
        let made = self.states.iter().rposition(Option::is_none).map_or(0, |at| at + 1);
        self.states[made..].iter().flatten()
    }

    /// Check for a record of a resource that existed before our last change.
    fn is_older_one(&self, image: &Snapshot) -> bool {
        self.older().iter().flatten().any(|older| match (&older.id, &image.id) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        })
    }

    /// Compares an answer with our changes. Each changed field is compared by itself, so that
    /// changes by others are kept.
    pub fn compare(&self, shown: &Option<Snapshot>) -> Freshness {
        match (shown, self.last()) {
            (None, None) => Freshness::Current,
            (None, Some(last)) => {
                if self.older().iter().any(Option::is_none) {
                    Freshness::Stale(Some(last.clone()))
                } else {
                    Freshness::Current
                }
            }
            (Some(now), None) => {
                if self.is_older_one(now) {
                    Freshness::Stale(None)
                } else {
                    Freshness::Current
                }
            }
            (Some(now), Some(last)) if !Field::Id.is_same(now, last) => {
                if self.is_older_one(now) {
                    Freshness::Stale(Some(last.clone()))
                } else {
                    Freshness::Current
                }
            }
            (Some(now), Some(last)) => {
                let mut completed = now.clone();
                for field in self.changed_fields() {
                    let is_old = !field.is_same(now, last)
                        && self.life().any(|older| field.is_same(now, older));
                    if is_old {
                        completed.take(&field, last);
                    }
                }
                if completed == *now {
                    Freshness::Current
                } else {
                    Freshness::Stale(Some(completed))
                }
            }
        }
    }

    /// Fields that our changes since its creation have touched.
    fn changed_fields(&self) -> BTreeSet<Field> {
        let life: Vec<_> = self.life().collect();
        let mut fields = BTreeSet::new();
        for pair in life.windows(2) {
            let (from, to) = (Some(pair[0].clone()), Some(pair[1].clone()));
            fields.extend(differences(&from, &to).into_iter().map(|found| found.field));
        }
        fields.remove(&Field::Id);
        fields
    }

    /// Tags that were changed: the value after the last change, and the values before.
    pub fn tags(&self) -> BTreeMap<String, SeenValues> {
        let of = |image: &Snapshot, key: &String| image.tags.get(key).cloned();
        let keys = self.states.iter().flatten().flat_map(|image| image.tags.keys().cloned());
        keys.collect::<BTreeSet<_>>()
            .into_iter()
            .map(|key| {
                let value =
                    |state: &Option<Snapshot>| state.as_ref().and_then(|image| of(image, &key));
                let last = value(self.last());
                let older = self.older().iter().map(value).collect();
                (key, SeenValues { last, older })
            })
            .filter(|(_, values)| values.older.iter().any(|older| *older != values.last))
            .collect()
    }

    /// Policies that were attached or detached: the ARN as the value, or none.
    pub fn policies(&self) -> BTreeMap<String, SeenValues> {
        let known: Vec<Option<&IndexSet<String>>> = self
            .states
            .iter()
            .filter_map(|state| match state {
                None => Some(None),
                Some(image) => image.policies.as_ref().map(Some),
            })
            .collect();
        let arns: BTreeSet<_> = known.iter().copied().flatten().flatten().cloned().collect();
        arns.into_iter()
            .map(|arn| {
                let mut values = known
                    .iter()
                    .map(|all| all.is_some_and(|all| all.contains(&arn)).then(|| arn.clone()));
                let last = values.next_back().flatten();
                let older = values.collect();
                (arn, SeenValues { last, older })
            })
            .filter(|(_, values)| values.older.iter().any(|older| *older != values.last))
            .collect()
    }

    /// Check that a listing may lack the resource although it belongs there: some earlier state did
    /// not belong there.
    pub fn is_new_to(&self, belongs: impl Fn(&Snapshot) -> bool) -> bool {
        let is_there = |state: &Option<Snapshot>| state.as_ref().is_some_and(&belongs);
        is_there(self.last()) && self.older().iter().any(|older| !is_there(older))
    }
}

/// Earlier and current value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenValues {
    /// Value after our last change.
    pub last: Option<String>,
    /// Values before.
    pub older: Vec<Option<String>>,
}

impl SeenValues {
    /// Check for an answer with a value from before our last change.
    pub fn is_stale(&self, shown: Option<&str>) -> bool {
        shown != self.last.as_deref() && self.older.iter().any(|older| older.as_deref() == shown)
    }

    /// Check that an answer may lack the value although it exists.
    pub fn is_new(&self) -> bool {
        self.last.is_some() && self.older.contains(&None)
    }
}

impl RecentChanges {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Check that there are no recent changes.
    pub(super) fn is_empty(&self) -> bool {
        self.inner().order.is_empty()
    }

    /// Records a change that was just made in that account.
    pub(super) fn note(
        &self,
        place: &str,
        key: &Key,
        before: &Option<Snapshot>,
        after: &Option<Snapshot>,
    ) {
        let now = Instant::now();
        let mut inner = self.inner();
        inner.forget_old(now);
        inner.note(place, key, before, after, now);
    }

    /// Records changes of an earlier run, except on resources of which more is known. `ago` is the
    /// age of each change.
    pub(super) fn note_earlier<'a>(
        &self,
        changes: impl IntoIterator<
            Item = (Arc<str>, Key, &'a Option<Snapshot>, &'a Option<Snapshot>, Duration),
        >,
    ) {
        let now = Instant::now();
        let mut inner = self.inner();
        inner.forget_old(now);
        let mut ours = HashSet::new();
        for (place, key, before, after, ago) in changes {
            let Some(at) = now.checked_sub(ago).filter(|_| ago < PROPAGATION) else { continue };
            let id = (place, key);
            if ours.contains(&id) || inner.history(&id.0, &id.1).is_none() {
                inner.note(&id.0, &id.1, before, after, at);
                let all = inner.of.get_mut(&id.0);
                if let Some(history) = all.and_then(|all| all.get_mut(&id.1)) {
                    history.is_earlier = true;
                }
                ours.insert(id);
            }
        }
    }

    /// Recent changes of a resource.
    pub(super) fn history(&self, place: &str, key: &Key) -> Option<StateHistory> {
        let mut inner = self.inner();
        inner.forget_old(Instant::now());
        inner.history(place, key).filter(|history| !history.is_earlier).cloned()
    }

    /// Compares an answer with our changes, and records that it shows the last one.
    pub(super) fn compare(&self, place: &str, key: &Key, shown: &Option<Snapshot>) -> Freshness {
        let now = Instant::now();
        let mut inner = self.inner();
        inner.forget_old(now);
        let Some(history) = inner.of.get_mut(place).and_then(|all| all.get_mut(key)) else {
            return Freshness::Current;
        };
        if history.is_confirmed && now.duration_since(history.at) > CONFIRMED {
            return Freshness::Current;
        }
        let compared = history.compare(shown);
        history.is_confirmed |= compared == Freshness::Current;
        match compared {
            Freshness::Stale(_) if history.is_earlier => {
                let is_new = now.duration_since(history.at) < SETTLING;
                if is_new { Freshness::Unsettled } else { Freshness::Current }
            }
            compared => compared,
        }
    }

    /// Check for a state that predates a change so recent that AWS may not show it.
    pub(super) fn is_unsettled(&self, place: &str, key: &Key, shown: &Option<Snapshot>) -> bool {
        let now = Instant::now();
        let mut inner = self.inner();
        inner.forget_old(now);
        inner.history(place, key).is_some_and(|history| {
            now.duration_since(history.at) < SETTLING
                && matches!(history.compare(shown), Freshness::Stale(_))
        })
    }

    /// Entries that a listing may lack, by changes from before it began.
    pub(super) fn new_to(
        &self,
        place: &str,
        subject: Subject,
        began: Instant,
        belongs: impl Fn(&Snapshot) -> bool,
    ) -> BTreeMap<Key, Snapshot> {
        let mut inner = self.inner();
        inner.forget_old(Instant::now());
        let all = inner.of.get(place).into_iter().flatten();
        all.filter(|(key, history)| {
            key.subject == subject
                && !history.is_earlier
                && history.at <= began
                && history.is_new_to(&belongs)
        })
        .filter_map(|(key, history)| Some((key.clone(), history.last().clone()?)))
        .collect()
    }

    /// Time at which a role was last removed from a profile, or a profile with it was deleted.
    pub(super) fn freed(&self, place: &str, role: &str) -> Option<Instant> {
        let has_it = |state: &Option<Snapshot>| {
            let own = state.as_ref().and_then(|image| image.role.as_ref());
            own.is_some_and(|own| own.eq_ignore_ascii_case(role))
        };
        let mut inner = self.inner();
        inner.forget_old(Instant::now());
        let all = inner.of.get(place).into_iter().flatten();
        all.filter(|(_, history)| !has_it(history.last()) && history.older().iter().any(has_it))
            .map(|(_, history)| history.at)
            .max()
    }

    /// Forgets everything, because the account was changed by hand.
    pub(super) fn clear(&self) {
        let mut inner = self.inner();
        inner.of.clear();
        inner.order.clear();
    }

    /// Forgets the changes of a resource, because the account contradicts them.
    pub(super) fn forget(&self, place: &str, key: &Key) {
        if let Some(all) = self.inner().of.get_mut(place) {
            all.remove(key);
        }
    }
}

impl Inner {
    fn note(
        &mut self,
        place: &str,
        key: &Key,
        before: &Option<Snapshot>,
        after: &Option<Snapshot>,
        at: Instant,
    ) {
        let place = match self.of.get_key_value(place) {
            Some((known, _)) => Arc::clone(known),
            None => place.into(),
        };
        let all = self.of.entry(Arc::clone(&place)).or_default();
        let history = all.entry(key.clone()).or_insert_with(|| StateHistory::new(before, at));
        history.add(before, after, at);
        self.order.push_back((at, place, key.clone()));
        if self.order.len() > MAX_RESOURCES {
            self.forget_first();
        }
    }

    fn history(&self, place: &str, key: &Key) -> Option<&StateHistory> {
        self.of.get(place)?.get(key)
    }

    fn forget_old(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(at, ..)| now.duration_since(*at) >= PROPAGATION) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((at, place, key)) = self.order.pop_front() else { return };
        let Some(all) = self.of.get_mut(&place) else { return };
        // A later change of it is further back in the queue.
        if all.get(&key).is_some_and(|history| history.at <= at) {
            all.remove(&key);
        }
        if all.is_empty() {
            self.of.remove(&place);
        }
    }
}

/// Listings in progress, for as long as entries may be missing in them.
#[derive(Debug, Default)]
struct Listings {
    last: u64,
    /// Pages that are being read.
    reading: BTreeSet<u64>,
    /// Entries of the pages before a marker, by account, function and marker.
    pages: VecDeque<(String, PageChain)>,
    /// Entries after the last page, by marker.
    rests: VecDeque<(String, Vec<Value>)>,
}

/// Pages of a listing that were read.
#[derive(Clone, Debug)]
pub struct PageChain {
    /// Time of the first page's request.
    pub began: Instant,
    /// Entries of these pages, of those that may be missing.
    pub seen: HashSet<String>,
}

/// A page that is being read.
#[derive(Debug)]
pub struct PageRead {
    changes: RecentChanges,
    number: u64,
}

impl Drop for PageRead {
    fn drop(&mut self) {
        self.changes.inner().listings.reading.remove(&self.number);
        self.changes.0.page_ended.notify_waiters();
    }
}

/// Prefix of a marker that leads to the entries that a listing lacks.
const MARKER: &str = "iamlua-recent.";

impl RecentChanges {
    /// Begins to read a page.
    pub(super) fn begin_page(&self) -> PageRead {
        let mut inner = self.inner();
        inner.listings.last += 1;
        let number = inner.listings.last;
        inner.listings.reading.insert(number);
        PageRead { changes: self.clone(), number }
    }

    /// Entries of the pages before a marker; `None` if unknown. Waits for pages that were begun
    /// earlier, because a prefetched page may arrive before the page in front of it was read.
    pub(super) async fn chain(&self, own: &PageRead, id: &str) -> Option<PageChain> {
        loop {
            let ended = self.0.page_ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            {
                let inner = self.inner();
                let mut pages = inner.listings.pages.iter();
                if let Some((_, chain)) = pages.find(|(other, _)| other == id) {
                    return Some(chain.clone());
                }
                if inner.listings.reading.iter().all(|other| *other >= own.number) {
                    return None;
                }
            }
            ended.await;
        }
    }

    /// Keeps the entries of the pages before a marker.
    pub(super) fn keep_chain(&self, id: String, chain: PageChain) {
        let pages = &mut self.inner().listings.pages;
        pages.retain(|(other, _)| *other != id);
        pages.push_back((id, chain));
        if pages.len() > MAX_LISTINGS {
            pages.pop_front();
        }
    }

    /// Keeps the end of a listing that does not fit into its last page; returns the marker that
    /// leads there.
    pub(super) fn keep_rest(&self, rest: Vec<Value>) -> String {
        let listings = &mut self.inner().listings;
        listings.last += 1;
        let marker = format!("{MARKER}{}", listings.last);
        listings.rests.push_back((marker.clone(), rest));
        if listings.rests.len() > MAX_LISTINGS {
            listings.rests.pop_front();
        }
        marker
    }

    /// End of a listing after such a marker; `None` for AWS's own markers.
    pub(super) fn rest(&self, marker: &str) -> Option<Vec<Value>> {
        if !marker.starts_with(MARKER) {
            return None;
        }
        let inner = self.inner();
        let mut rests = inner.listings.rests.iter();
        rests.find(|(other, _)| other == marker).map(|(_, rest)| rest.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(role: Option<&str>, tags: &[(&str, &str)]) -> Snapshot {
        Snapshot {
            name: "web".into(),
            path: "/".into(),
            id: Some("AIPA1".into()),
            role: role.map(str::to_owned),
            tags: tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Snapshot::default()
        }
    }

    fn history(states: &[Option<Snapshot>]) -> StateHistory {
        let now = Instant::now();
        let mut history = StateHistory::new(&states[0], now);
        for pair in states.windows(2) {
            history.add(&pair[0], &pair[1], now);
        }
        history
    }

    #[test]
    fn an_older_answer_is_completed() {
        let (bare, with_a, with_b) =
            (image(None, &[]), image(Some("a"), &[]), image(Some("b"), &[]));
        let swapped = history(&[Some(with_a.clone()), Some(bare.clone()), Some(with_b.clone())]);
        for older in [&with_a, &bare] {
            let stale = Freshness::Stale(Some(with_b.clone()));
            assert_eq!(swapped.compare(&Some(older.clone())), stale);
        }
        assert_eq!(swapped.compare(&Some(with_b.clone())), Freshness::Current);
        let made = history(&[None, Some(bare.clone()), Some(with_b.clone())]);
        assert_eq!(made.compare(&None), Freshness::Stale(Some(with_b.clone())));
        assert_eq!(made.compare(&Some(bare.clone())), Freshness::Stale(Some(with_b)));
        let deleted = history(&[Some(with_a.clone()), Some(bare), None]);
        assert_eq!(deleted.compare(&Some(with_a)), Freshness::Stale(None));
        assert_eq!(deleted.compare(&None), Freshness::Current);
    }

    #[test]
    fn what_others_have_changed_stays() {
        let (before, after) = (
            image(Some("a"), &[("A", "1"), ("B", "1")]),
            image(Some("a"), &[("A", "2"), ("B", "1")]),
        );
        let tagged = history(&[Some(before.clone()), Some(after.clone())]);
        // Our tag is not visible yet; somebody else's tag is.
        let both = Snapshot { role: Some("x".into()), ..before.clone() };
        let completed = Snapshot { role: Some("x".into()), ..after.clone() };
        assert_eq!(tagged.compare(&Some(both)), Freshness::Stale(Some(completed)));
        // Somebody has set it to a value that it never had for us.
        let other = image(Some("a"), &[("A", "3"), ("B", "9")]);
        assert_eq!(tagged.compare(&Some(other)), Freshness::Current);
        // Somebody has deleted it, or created another with that name.
        assert_eq!(tagged.compare(&None), Freshness::Current);
        let anew = Snapshot { id: Some("AIPA2".into()), ..before };
        assert_eq!(tagged.compare(&Some(anew.clone())), Freshness::Current);
        let deleted = history(&[Some(after), None]);
        assert_eq!(deleted.compare(&Some(anew)), Freshness::Current);
    }

    #[test]
    fn one_that_is_made_again_is_not_taken_for_the_old_one() {
        let old = image(Some("a"), &[("A", "1")]);
        let new = Snapshot { id: Some("AIPA2".into()), ..image(None, &[]) };
        let again = history(&[Some(old.clone()), None, Some(new.clone())]);
        for older in [Some(old), None] {
            assert_eq!(again.compare(&older), Freshness::Stale(Some(new.clone())));
        }
        assert_eq!(
            again.tags()["A"],
            SeenValues { last: None, older: vec![Some("1".into()), None] }
        );
    }

    #[test]
    fn attached_policies_are_carried_over_changes_that_do_not_look_at_them() {
        let with = |arns: &[&str]| Snapshot {
            policies: Some(arns.iter().map(|arn| (*arn).to_owned()).collect()),
            ..image(None, &[])
        };
        let tagged = Snapshot { policies: None, ..image(None, &[("A", "1")]) };
        let untouched = Snapshot { policies: None, ..image(None, &[]) };
        let mut changed = history(&[Some(with(&[])), Some(with(&["p"]))]);
        changed.add(&Some(untouched), &Some(tagged), Instant::now());
        assert_eq!(changed.policies()["p"].last.as_deref(), Some("p"));
        assert!(changed.policies()["p"].is_new());
        let shown = Snapshot { tags: [("A".to_owned(), "1".to_owned())].into(), ..with(&[]) };
        let Freshness::Stale(Some(now)) = changed.compare(&Some(shown)) else { panic!("stale") };
        assert!(now.policies.is_some_and(|policies| policies.contains("p")));
    }

    #[test]
    fn changes_are_forgotten_in_their_order() {
        let recent = RecentChanges::default();
        let key = |name: &str| Key::new(Subject::Profile, name);
        let (before, after) = (Some(image(None, &[])), Some(image(None, &[("A", "1")])));
        recent.note("here", &key("web"), &before, &after);
        assert!(recent.history("there", &key("web")).is_none());
        let stale = Freshness::Stale(after.clone());
        assert_eq!(recent.compare("here", &key("WEB"), &before), stale);
        assert_eq!(recent.compare("here", &key("web"), &after), Freshness::Current);
        assert_eq!(recent.compare("here", &key("web"), &before), stale, "another copy of IAM's");
        let older = |seconds| {
            let mut inner = recent.inner();
            let all = inner.of.get_mut("here").expect("the account");
            let history = all.get_mut(&key("web")).expect("the profile");
            history.at = history.at.checked_sub(Duration::from_secs(seconds)).expect("a moment");
        };
        older(20);
        assert_eq!(recent.compare("here", &key("web"), &before), Freshness::Current, "set back");
        recent.inner().forget_old(Instant::now() + PROPAGATION);
        assert!(recent.is_empty() && recent.inner().of.is_empty());
    }

    #[test]
    fn what_an_earlier_run_has_changed_is_waited_for() {
        let recent = RecentChanges::default();
        let key = |name: &str| Key::new(Subject::Profile, name);
        let (before, after) = (Some(image(None, &[])), Some(image(None, &[("A", "1")])));
        let ago = |seconds| Duration::from_secs(seconds);
        recent.note("here", &key("ours"), &before, &after);
        recent.note_earlier([
            ("here".into(), key("old"), &before, &after, ago(200)),
            ("here".into(), key("settled"), &before, &after, ago(11)),
            ("here".into(), key("web"), &before, &after, ago(1)),
            // The recorded history of it is newer.
            ("here".into(), key("ours"), &None, &before, ago(1)),
        ]);
        for (name, shown) in [
            ("old", Freshness::Current),
            ("settled", Freshness::Current),
            ("web", Freshness::Unsettled),
            ("ours", Freshness::Stale(after.clone())),
        ] {
            assert_eq!(recent.compare("here", &key(name), &before), shown, "{name}");
            assert_eq!(recent.compare("here", &key(name), &after), Freshness::Current, "{name}");
        }
    }
}
