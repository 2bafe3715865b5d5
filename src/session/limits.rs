//! Limits of a run: its allow-list of functions, its maximum number of changes, protected
//! resources, and the permitted accounts.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Notify, OnceCell};
use wildmatch::WildMatch;

use crate::config::MaxChanges;
use crate::error::{Error, Kind, Result};
use crate::iam::snapshot::{Snapshot, Subject};
use crate::iam::{self, Entry};
use crate::spec::Action;
use crate::ui::format::count;

/// The tag that protects a profile, whatever its value.
pub const PROTECTED: &str = "iamlua:protected";

/// Source of a manifest's limit, for messages.
const MANIFEST_SOURCE: &str = "`max_changes` in the manifest";

/// Limits that a runbook's manifest sets.
#[derive(Clone, Debug, Default)]
pub struct ManifestLimits {
    /// Functions that it may call; all of them if unset.
    pub allow: Option<Vec<String>>,
    /// Maximum number of changes.
    pub max_changes: Option<MaxChanges>,
}

/// Limits of a run, in the form that calls are checked against.
#[derive(Debug, Default)]
pub struct Limits {
    inner: Mutex<Inner>,
    /// Wakes changes that wait until another one has settled.
    settled: Notify,
    /// Number of profiles in the account, for a limit in percent.
    profiles: OnceCell<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    actions: Option<BTreeSet<Action>>,
    /// Limits, each with its source.
    max_changes: Vec<(MaxChanges, &'static str)>,
    /// Changes that were made or planned, or are in doubt.
    made: u64,
    /// Admitted changes that have not settled.
    in_flight: u64,
    /// Changes that were begun and that AWS has refused.
    refused: u64,
    /// Refusal, once the limit was reached.
    reached: Option<String>,
    /// Limit that a plan exceeds, in numbers and in words.
    exceeded: Option<(u64, String)>,
}

/// Admission of a change, which settles when it is dropped.
#[derive(Debug)]
pub struct Admitted<'a> {
    bounds: &'a Limits,
    end: ChangeEnd,
}

/// Outcome of an admitted change, as the limit counts it.
#[derive(Clone, Copy, Debug)]
enum ChangeEnd {
    /// Never begun.
    NotBegun,
    /// Made, planned, or in doubt.
    Counts,
    /// Refused by AWS.
    Refused,
}

impl Admitted<'_> {
    /// Marks the change as begun, so that it counts.
    pub const fn begin(&mut self) {
        self.end = ChangeEnd::Counts;
    }

    /// Marks the change as refused by AWS, so that it does not count.
    pub const fn refuse(&mut self) {
        self.end = ChangeEnd::Refused;
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let mut inner = self.bounds.lock();
        inner.in_flight -= 1;
        match self.end {
            ChangeEnd::NotBegun => {}
            ChangeEnd::Counts => inner.made += 1,
            ChangeEnd::Refused => inner.refused += 1,
        }
        drop(inner);
        self.bounds.settled.notify_waiters();
    }
}

impl Limits {
    /// Adds a limit; the strictest applies. `source` names its origin in messages.
    pub fn limit(&self, max: MaxChanges, source: &'static str) {
        self.lock().max_changes.push((max, source));
    }

    /// Sets the limits of a manifest.
    ///
    /// # Errors
    /// An argument error if `allow` names an unknown function.
    pub fn manifest(&self, limits: &ManifestLimits) -> Result<()> {
        if let Some(allow) = &limits.allow {
            let mut actions = BTreeSet::new();
            for entry in allowed(allow)? {
                actions.extend(entry.spec.actions);
            }
            self.lock().actions = Some(actions);
        }
        if let Some(max) = limits.max_changes {
            self.limit(max, MANIFEST_SOURCE);
        }
        Ok(())
    }

    /// Checks that the manifest allows a function.
    ///
    /// # Errors
    /// A refusal that names the function.
    pub fn allows(&self, entry: &Entry) -> Result<()> {
        let is_allowed = |allowed: &BTreeSet<Action>| allowed.contains(&entry.spec.actions[0]);
        if self.lock().actions.as_ref().is_none_or(is_allowed) {
            return Ok(());
        }
        let refusal = format!("{} is not in the runbook's `allow` list", entry.spec.lua_name());
        Err(Error::new(Kind::Refused, refusal)
            .hint(format!("add {:?} to `allow` in the manifest", entry.spec.path())))
    }

    /// Number of changes that were begun or planned, including those that AWS has refused.
    pub fn begun(&self) -> u64 {
        let inner = self.lock();
        inner.made + inner.in_flight + inner.refused
    }

    /// Refusal that ended the run's changes, if its limit was reached.
    pub fn reached(&self) -> Option<String> {
        self.lock().reached.clone()
    }

    /// Limit that a plan exceeds, in words.
    pub fn exceeded(&self) -> Option<String> {
        let inner = self.lock();
        let (_, limit) = inner.exceeded.as_ref().filter(|(most, _)| inner.made > *most)?;
        let made = count(inner.made, "change");
        Some(format!("it makes {made}, and the run may make {limit}"))
    }

    /// Admits one change, or refuses it because the limit is reached. Where the answer depends on
    /// changes in flight, waits until one of them has settled. A plan counts on beyond the limit.
    /// `count` returns the number of profiles.
    ///
    /// # Errors
    /// A refusal, or that of `count`.
    pub async fn admit(
        &self,
        entry: &Entry,
        is_plan: bool,
        profiles: impl Future<Output = Result<Option<u64>>>,
    ) -> Result<Admitted<'_>> {
        let profiles = self.profiles(profiles).await?;
        if is_plan {
            return Ok(self.admit_planned(profiles));
        }
        loop {
            // Registered before the check below, so that no notification is missed.
            let mut settled = std::pin::pin!(self.settled.notified());
            settled.as_mut().enable();
            if let Some(admitted) = self.admit_now(entry, profiles)? {
                return Ok(admitted);
            }
            settled.await;
        }
    }

    /// Admits a planned change, and records the limit that it may exceed.
    fn admit_planned(&self, profiles: u64) -> Admitted<'_> {
        let mut inner = self.lock();
        if let Some((most, max, source)) = inner.strictest(profiles) {
            inner.exceeded = Some((most, describe(max, most, profiles, source)));
        }
        inner.in_flight += 1;
        Admitted { bounds: self, end: ChangeEnd::NotBegun }
    }

    /// Admits one change, or refuses it; `None` while the answer depends on changes in flight.
    fn admit_now(&self, entry: &Entry, profiles: u64) -> Result<Option<Admitted<'_>>> {
        let mut inner = self.lock();
        let strictest = inner.strictest(profiles);
        if let Some((most, max, source)) = strictest
            && inner.made >= most
        {
            let refusal = format!(
                "{} refused: the run may make {}",
                entry.spec.lua_name(),
                describe(max, most, profiles, source)
            );
            inner.reached.get_or_insert_with(|| refusal.clone());
            return Err(Error::new(Kind::Refused, refusal).hint("raise the limit to go on"));
        }
        if strictest.is_some_and(|(most, ..)| inner.made + inner.in_flight >= most) {
            return Ok(None);
        }
        inner.in_flight += 1;
        Ok(Some(Admitted { bounds: self, end: ChangeEnd::NotBegun }))
    }

    /// Refuses a number of changes before the first of them, if the limit does not allow them all.
    ///
    /// # Errors
    /// A refusal, or that of `count`.
    pub async fn admits(
        &self,
        changes: u64,
        count: impl Future<Output = Result<Option<u64>>>,
    ) -> Result<()> {
        let profiles = self.profiles(count).await?;
        let (strictest, made) = {
            let inner = self.lock();
            (inner.strictest(profiles), inner.made)
        };
        match strictest {
            Some((most, max, source)) if most < made + changes => Err(Error::new(
                Kind::Refused,
                format!(
                    "there are {changes} changes to make, and the run may make {}",
                    describe(max, most, profiles, source)
                ),
            )
            .hint("nothing was done; raise the limit to go on")),
            _ => Ok(()),
        }
    }

    /// Number of profiles, if a limit depends on it.
    async fn profiles(&self, count: impl Future<Output = Result<Option<u64>>>) -> Result<u64> {
        let is_share = |(max, _): &(MaxChanges, _)| matches!(max, MaxChanges::Percent(_));
        if !self.lock().max_changes.iter().any(is_share) {
            return Ok(0);
        }
        let counted = async {
            count.await?.ok_or_else(|| {
                Error::new(
                    Kind::Refused,
                    "a limit in percent needs the number of profiles, which the caller may not see",
                )
                .hint("allow iam:GetAccountSummary, or give the limit as a number")
            })
        };
        self.profiles.get_or_try_init(|| counted).await.copied()
    }

    /// Subtracts planned changes that were counted and are forgotten.
    pub fn uncount(&self, changes: u64) {
        let mut inner = self.lock();
        inner.made = inner.made.saturating_sub(changes);
    }

    /// Removes the limits of a manifest, and the record that a limit was reached.
    pub fn lift_manifest(&self) {
        let mut inner = self.lock();
        inner.actions = None;
        inner.max_changes.retain(|(_, source)| *source != MANIFEST_SOURCE);
        inner.reached = None;
        inner.exceeded = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Strictest limit in numbers, as it was given, and its source.
    fn strictest(&self, profiles: u64) -> Option<(u64, MaxChanges, &'static str)> {
        self.max_changes
            .iter()
            .map(|(max, source)| (in_numbers(*max, profiles), *max, *source))
            .min_by_key(|(number, ..)| *number)
    }
}

/// Limit in words: "3 changes (`max_changes` in the manifest)".
fn describe(max: MaxChanges, most: u64, profiles: u64, source: &str) -> String {
    let changes = match most {
        0 => "no change".to_owned(),
        1 => "1 change".to_owned(),
        n => format!("{n} changes"),
    };
    match max {
        MaxChanges::Count(_) => format!("{changes} ({source})"),
        MaxChanges::Percent(_) => format!("{changes} ({source}: {max} of {profiles} profiles)"),
    }
}

fn in_numbers(max: MaxChanges, profiles: u64) -> u64 {
    match max {
        MaxChanges::Count(count) => count,
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a share from 0 to 100 of far fewer than 2^53 profiles"
        )]
        MaxChanges::Percent(percent) => (profiles as f64 * percent / 100.0).floor() as u64,
    }
}

/// Functions that an allow-list names.
///
/// # Errors
/// An argument error if a name matches no function.
pub fn allowed(allow: &[String]) -> Result<Vec<&'static Entry>> {
    allow
        .iter()
        .map(|path| {
            let path = path.strip_prefix("iam.").unwrap_or(path);
            iam::find(path).ok_or_else(|| unknown_function(path))
        })
        .collect()
}

fn unknown_function(path: &str) -> Error {
    let known: Vec<_> = iam::registry().map(|entry| entry.spec.path()).collect();
    let near = crate::spec::nearest(path, known.iter().map(String::as_str));
    let error =
        Error::argument(format!("runbook: `allow` names {path:?}, which is no function of iam"));
    match near {
        Some(near) => error.hint(format!("did you mean {near:?}?")),
        None => error.hint("it takes names such as \"profiles.list\" and \"profiles.tag\""),
    }
}

/// Resources that no run may change.
#[derive(Debug, Default)]
pub struct Protection {
    patterns: Vec<WildMatch>,
    is_lifted: bool,
}

impl Protection {
    /// Protects the profiles whose name matches a pattern (`*` and `?`, ignoring case), and those
    /// with the tag; or none, if protection is lifted.
    pub fn new(patterns: &[String], is_lifted: bool) -> Self {
        let patterns = patterns.iter().map(|pattern| WildMatch::new_case_insensitive(pattern));
        Self { patterns: patterns.collect(), is_lifted }
    }

    /// Check that protection is lifted for the run.
    pub const fn is_lifted(&self) -> bool {
        self.is_lifted
    }

    /// Checks that a resource with that name and state may be changed.
    ///
    /// # Errors
    /// A refusal that names the protection.
    pub fn check(&self, subject: Subject, name: &str, state: &Option<Snapshot>) -> Result<()> {
        if self.is_lifted || !subject.can_be_protected() {
            return Ok(());
        }
        let by = if self.patterns.iter().any(|pattern| pattern.matches(name)) {
            "the `protect` patterns of the configuration".to_owned()
        } else if state.as_ref().is_some_and(|image| image.tags.contains_key(PROTECTED)) {
            format!("its tag {PROTECTED}")
        } else {
            return Ok(());
        };
        Err(Error::new(Kind::Protected, format!("profile {name} is protected by {by}"))
            .hint("--override-protection lets this run change it all the same"))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    fn entry() -> &'static Entry {
        iam::entry("profiles.create")
    }

    fn no_count() -> std::future::Ready<Result<Option<u64>>> {
        std::future::ready(Ok(None))
    }

    fn bounds(most: u64) -> Limits {
        let bounds = Limits::default();
        bounds.limit(MaxChanges::Count(most), "a test");
        bounds
    }

    #[tokio::test]
    async fn a_change_that_meets_the_limit_waits_for_those_in_flight() {
        let bounds = bounds(1);
        let mut first = bounds.admit(entry(), false, no_count()).await.expect("it is admitted");
        first.begin();
        let (mut second, mut third) = (
            pin!(bounds.admit(entry(), false, no_count())),
            pin!(bounds.admit(entry(), false, no_count())),
        );
        assert!(
            second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none()
        );
        first.refuse();
        drop(first);
        let mut second = second.await.expect("the first one does not count");
        assert!(third.as_mut().now_or_never().is_none());
        second.begin();
        drop(second);
        third.await.expect_err("the second one counts");
        assert_eq!(bounds.begun(), 2);
        assert!(bounds.reached().is_some());
    }

    #[tokio::test]
    async fn a_change_that_is_given_up_before_it_begins_leaves_its_room_to_others() {
        let bounds = bounds(1);
        let first = bounds.admit(entry(), false, no_count()).await.expect("it is admitted");
        let mut second = pin!(bounds.admit(entry(), false, no_count()));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        assert_eq!(bounds.begun(), 0);
        second.await.expect("there is room");
        assert!(bounds.reached().is_none());
    }

    #[tokio::test]
    async fn a_plan_counts_on_beyond_the_limit_and_says_so() {
        let bounds = bounds(2);
        for made in 1..=3 {
            bounds.admit(entry(), true, no_count()).await.expect("it is planned").begin();
            assert_eq!(bounds.exceeded().is_some(), made > 2);
        }
        let refusal = bounds.exceeded().expect("a refusal");
        assert!(refusal.contains("it makes 3 changes, and the run may make 2 changes (a test)"));
        bounds.uncount(1);
        assert!(bounds.exceeded().is_none());
    }

    #[tokio::test]
    async fn what_was_made_counts_against_what_is_to_be_made() {
        let bounds = bounds(2);
        bounds.admit(entry(), false, no_count()).await.expect("it is admitted").begin();
        bounds.admits(1, no_count()).await.expect("one more may be made");
        bounds.admits(2, no_count()).await.expect_err("two more may not");
    }
}
