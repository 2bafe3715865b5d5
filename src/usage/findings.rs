//! Findings of a scan: the sources checked in each region, the gaps, and every resource that
//! references a profile or a role. Findings are added while the calls are made and queried
//! afterwards; `verdict.rs` derives the verdict on a profile.
//!
//! A reference takes about forty bytes: a large account has tens of thousands, which refer to the
//! same thousand profiles.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;

use super::matching::{Mention, ProfileIndex};
use super::reasons::summarize_gaps;
use super::sources::SOURCES;

/// Scope of a scan, known before its first call to a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanScope {
    /// Account number of 12 digits.
    pub account: String,
    /// Partition of the account: `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: String,
    /// Start of the scan, before the first call to a source.
    pub started: Timestamp,
    /// Time without use after which a role counts as unused. A role that was used within that time
    /// before the scan is in use, and so is its profile.
    pub role_unused_for: Duration,
    /// Regions of the partition, and their state in the scan.
    pub regions: Vec<Region>,
    /// Names of the sources to check.
    pub sources: Vec<String>,
}

/// Region, and its state in the scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Name, such as `eu-central-1`.
    pub name: String,
    /// State in the scan.
    pub standing: RegionState,
}

/// State of a region in a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionState {
    /// Checked by the scan.
    Asked,
    /// Enabled for the account but not checked, which is a gap.
    NotAsked,
    /// Not enabled for the account. This is no gap, unless [`Scan::miss`] reports one.
    NotEnabled,
}

impl RegionState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Asked, Self::NotAsked, Self::NotEnabled];

    /// Name in scripts and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::NotAsked => "not asked",
            Self::NotEnabled => "not enabled",
        }
    }
}

/// Category of the cause of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Access denied.
    Denied,
    /// Throttled, and retries timed out.
    Throttled,
    /// Any other failure.
    Failed,
    /// Truncated answer, or interrupted scan.
    CutOff,
    /// Region that is not enabled for the account.
    NotEnabled,
    /// Not part of the scan.
    NotAsked,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::Denied,
        Self::Throttled,
        Self::Failed,
        Self::CutOff,
        Self::NotEnabled,
        Self::NotAsked,
    ];

    /// Name in scripts and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
            Self::CutOff => "cut off",
            Self::NotEnabled => "not enabled",
            Self::NotAsked => "not asked",
        }
    }
}

/// Cause of a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapCause {
    /// Category.
    pub reason: Reason,
    /// AWS's code, such as `UnauthorizedOperation`; empty if the error is not from AWS.
    pub code: String,
    /// Message; may be empty.
    pub message: String,
}

impl From<Reason> for GapCause {
    fn from(reason: Reason) -> Self {
        Self { reason, code: String::new(), message: String::new() }
    }
}

/// Result of checking a source in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// All pages were read.
    Whole,
    /// The service does not exist in the region, so that no resource there can reference a profile.
    NotOffered,
    /// The source was not checked, or only in part.
    Gap(GapCause),
}

/// Check of a source in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Name of the source.
    pub source: Arc<str>,
    /// Region.
    pub region: Arc<str>,
    /// Time of the check, at the last page.
    pub at: Timestamp,
    /// Number of resources, with or without a profile.
    pub resources: u64,
    /// Result of the check.
    pub outcome: CheckOutcome,
}

/// Unchecked part of the scope. It rules out the verdict that a profile is unused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Source; `None` for all of them.
    pub source: Option<Arc<str>>,
    /// Region; `None` for all of them.
    pub region: Option<Arc<str>>,
    /// Cause of the gap.
    pub why: GapCause,
}

/// Formats as `ec2.instances could not be checked in eu-west-1: denied`.
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.why.reason;
        match (&self.source, &self.region, reason) {
            (None, Some(region), Reason::NotAsked) => write!(f, "{region} was not asked"),
            (None, Some(region), Reason::NotEnabled) => write!(f, "{region} is not enabled"),
            (Some(source), None, Reason::NotAsked) => write!(f, "{source} was not asked"),
            (Some(source), Some(region), Reason::NotAsked) => {
                write!(f, "{source} was not asked in {region}")
            }
            (source, region, _) => {
                let what = source.as_deref().or(region.as_deref()).unwrap_or("the scan");
                write!(f, "{what} could not be checked")?;
                if let (Some(_), Some(region)) = (source, region) {
                    write!(f, " in {region}")?;
                }
                write!(f, ": {}", reason.name())
            }
        }
    }
}

/// Resource that references a profile or a role.
#[derive(Clone, Copy, Debug)]
pub struct ReferencingResource<'a> {
    /// Name of the source.
    pub source: &'a Arc<str>,
    /// Region.
    pub region: &'a Arc<str>,
    /// Id of the resource, or several parts joined with `/`.
    pub resource: &'a str,
    /// State; empty for sources without states.
    pub state: &'a Arc<str>,
    /// Profiles and roles that it references.
    pub names: &'a [Mention],
}

/// Permission prefix of a source's service, such as `ec2`.
#[must_use]
pub fn service_of(source: &str) -> &str {
    source.split('.').next().unwrap_or(source)
}

/// Kind of a source's resources, such as `instance`; for an unknown source its name.
#[must_use]
pub fn kind_of(source: &str) -> &str {
    super::sources::source(source).map_or(source, |source| source.kind)
}

/// Compact form of a reference, with indexes of its texts.
#[derive(Clone, Copy, Debug)]
struct PackedReference {
    /// End of its id in the concatenation of all ids.
    end: u32,
    names: u32,
    source: u16,
    region: u16,
    state: u16,
}

/// Resources with the same mentions.
#[derive(Debug)]
struct MentionGroup {
    names: Arc<[Mention]>,
    references: Vec<u32>,
}

/// Findings of a scan.
#[derive(Debug)]
pub struct Scan {
    scope: ScanScope,
    ended: Option<Timestamp>,
    checks: Vec<Check>,
    missed: Vec<Gap>,
    strings: Interner,
    ids: String,
    references: Vec<PackedReference>,
    groups: Vec<MentionGroup>,
    by_names: HashMap<Arc<[Mention]>, u32>,
    index: ProfileIndex,
    /// Gaps, and their summary in a few sentences.
    gaps: OnceLock<(Arc<[Gap]>, Vec<String>)>,
}

/// Interned strings.
#[derive(Debug, Default)]
struct Interner {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u16>,
}

impl Interner {
    /// Index of a string; `None` if there are too many different ones.
    fn number(&mut self, text: &str) -> Option<u16> {
        if let Some(number) = self.numbers.get(text) {
            return Some(*number);
        }
        let number = u16::try_from(self.texts.len()).ok()?;
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        Some(number)
    }

    fn shared(&mut self, text: &str) -> Arc<str> {
        self.number(text)
            .map_or_else(|| text.into(), |number| Arc::clone(&self.texts[usize::from(number)]))
    }
}

impl Scan {
    /// Scan that has just begun. Every part of its scope is a gap until it is checked.
    #[must_use]
    pub fn new(scope: ScanScope) -> Self {
        Self {
            index: ProfileIndex::new(&scope.account, &scope.partition),
            scope,
            ended: None,
            checks: Vec::new(),
            missed: Vec::new(),
            strings: Interner::default(),
            ids: String::new(),
            references: Vec::new(),
            groups: Vec::new(),
            by_names: HashMap::new(),
            gaps: OnceLock::new(),
        }
    }

    /// Adds a resource and everything that it references; one without references is ignored.
    pub fn add(
        &mut self,
        source: &str,
        region: &str,
        resource: &str,
        state: &str,
        names: impl IntoIterator<Item = Mention>,
    ) {
        let mut names: Vec<_> =
            names.into_iter().filter(|named| !named.text().is_empty()).collect();
        if names.is_empty() {
            return;
        }
        names.sort_unstable();
        names.dedup();
        self.gaps.take();
        let kept = self.keep(source, region, resource, state, &names);
        if kept.is_none() {
            // The limits are billions of bytes of ids, and tens of thousands of states, which no
            // account on AWS reaches. References beyond them are a gap.
            let message = "there are more references than can be kept".to_owned();
            let why = GapCause { reason: Reason::Failed, code: String::new(), message };
            self.miss(Gap { source: Some(source.into()), region: Some(region.into()), why });
        }
    }

    fn keep(
        &mut self,
        source: &str,
        region: &str,
        resource: &str,
        state: &str,
        names: &[Mention],
    ) -> Option<()> {
        let source = self.strings.number(source)?;
        let region = self.strings.number(region)?;
        let state = self.strings.number(state)?;
        let number = u32::try_from(self.references.len()).ok()?;
        let end = u32::try_from(self.ids.len() + resource.len()).ok()?;
        let group = if let Some(group) = self.by_names.get(names) {
            *group
        } else {
            let group = u32::try_from(self.groups.len()).ok()?;
            let names: Arc<[Mention]> = names.into();
            self.index.add(group, &names);
            self.groups.push(MentionGroup { names: Arc::clone(&names), references: Vec::new() });
            self.by_names.insert(names, group);
            group
        };
        self.groups[group as usize].references.push(number);
        self.ids.push_str(resource);
        self.references.push(PackedReference { end, names: group, source, region, state });
        Some(())
    }

    /// Records the result of a check. Of several results for one check, the worst counts.
    pub fn checked(
        &mut self,
        source: &str,
        region: &str,
        at: Timestamp,
        resources: u64,
        outcome: CheckOutcome,
    ) {
        self.gaps.take();
        let (source, region) = (self.strings.shared(source), self.strings.shared(region));
        let earlier = |check: &&mut Check| check.source == source && check.region == region;
        match self.checks.iter_mut().find(earlier) {
            Some(check) => {
                check.at = at;
                check.resources += resources;
                if !matches!(check.outcome, CheckOutcome::Gap(_)) {
                    check.outcome = outcome;
                }
            }
            None => self.checks.push(Check { source, region, at, resources, outcome }),
        }
    }

    /// Records another gap, such as a requested region that is not enabled, or an unknown list of
    /// regions.
    pub fn miss(&mut self, gap: Gap) {
        self.gaps.take();
        if !self.missed.contains(&gap) {
            self.missed.push(gap);
        }
    }

    /// Ends the scan: everything in its scope was checked.
    pub fn end(&mut self, at: Timestamp) {
        self.gaps.take();
        self.ended = Some(at);
        let mut checks = std::mem::take(&mut self.checks);
        checks.sort_by(|a, b| {
            let place = |check: &Check| self.place_of(&check.source);
            place(a).cmp(&place(b)).then_with(|| a.region.cmp(&b.region))
        });
        self.checks = checks;
        self.ids.shrink_to_fit();
        self.references.shrink_to_fit();
    }

    /// Index of a source among those to check.
    pub(super) fn place_of(&self, source: &str) -> usize {
        let mut sources = self.scope.sources.iter();
        sources.position(|asked| asked == source).unwrap_or(usize::MAX)
    }

    /// Scope of the scan.
    #[must_use]
    pub const fn scope(&self) -> &ScanScope {
        &self.scope
    }

    /// End of the scan; `None` if it was interrupted, or is still running.
    #[must_use]
    pub const fn ended(&self) -> Option<Timestamp> {
        self.ended
    }

    /// Checks of sources in regions, sorted in that order once the scan has ended.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Gaps that were recorded, besides those that follow from the checks and the scope.
    pub(super) fn missed(&self) -> &[Gap] {
        &self.missed
    }

    /// All gaps. While there are any, no profile is `unused`.
    #[must_use]
    pub fn gaps(&self) -> &Arc<[Gap]> {
        &self.known_gaps().0
    }

    /// Summary of the gaps in a few sentences.
    #[must_use]
    pub fn told_gaps(&self) -> &[String] {
        &self.known_gaps().1
    }

    fn known_gaps(&self) -> &(Arc<[Gap]>, Vec<String>) {
        self.gaps.get_or_init(|| {
            let gaps = self.find_gaps();
            let told = summarize_gaps(&self.scope, &gaps);
            (gaps.into(), told)
        })
    }

    fn find_gaps(&self) -> Vec<Gap> {
        let gap = |source: Option<&str>, region: Option<&str>, why: GapCause| Gap {
            source: source.map(Arc::from),
            region: region.map(Arc::from),
            why,
        };
        let mut gaps = self.missed.clone();
        let of = |standing: RegionState| {
            let regions =
                self.scope.regions.iter().filter(move |region| region.standing == standing);
            regions.map(|region| region.name.as_str())
        };
        if of(RegionState::Asked).next().is_none() {
            gaps.push(gap(None, None, Reason::NotAsked.into()));
        }
        gaps.extend(
            of(RegionState::NotAsked).map(|name| gap(None, Some(name), Reason::NotAsked.into())),
        );
        let is_asked = |name: &str| self.scope.sources.iter().any(|asked| asked == name);
        let left_out = SOURCES.iter().filter(|source| !is_asked(source.name));
        gaps.extend(left_out.map(|source| gap(Some(source.name), None, Reason::NotAsked.into())));
        let checks: HashMap<_, _> =
            self.checks.iter().map(|check| ((&*check.source, &*check.region), check)).collect();
        for region in of(RegionState::Asked) {
            for source in &self.scope.sources {
                if !checks.contains_key(&(source, region)) {
                    let message = "the scan ended before".to_owned();
                    let why = GapCause { reason: Reason::CutOff, code: String::new(), message };
                    gaps.push(gap(Some(source), Some(region), why));
                }
            }
        }
        let first = gaps.len();
        for check in &self.checks {
            if let CheckOutcome::Gap(why) = &check.outcome {
                gaps.push(Gap {
                    source: Some(Arc::clone(&check.source)),
                    region: Some(Arc::clone(&check.region)),
                    why: why.clone(),
                });
            }
        }
        // Sorted, instead of in the order of the answers, so that equal scans give equal results.
        let place =
            |source: &Arc<str>| self.scope.sources.iter().position(|name| **name == **source);
        gaps[first..]
            .sort_by_cached_key(|gap| (gap.source.as_ref().map(place), gap.region.clone()));
        if gaps.is_empty() && self.ended.is_none() {
            let message = "the scan was interrupted".to_owned();
            gaps.push(gap(
                None,
                None,
                GapCause { reason: Reason::CutOff, code: String::new(), message },
            ));
        }
        gaps
    }

    /// True if there are no gaps.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.gaps().is_empty()
    }

    /// Number of resources that reference a profile or a role.
    #[must_use]
    pub fn len(&self) -> usize {
        self.references.len()
    }

    /// True if there are no such resources.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.references.is_empty()
    }

    /// Resource with an index, in the order in which they were found.
    #[must_use]
    pub fn found(&self, number: usize) -> Option<ReferencingResource<'_>> {
        let kept = self.references.get(number)?;
        let start = number.checked_sub(1).map_or(0, |before| self.references[before].end);
        let word = |number: u16| &self.strings.texts[usize::from(number)];
        Some(ReferencingResource {
            source: word(kept.source),
            region: word(kept.region),
            resource: &self.ids[start as usize..kept.end as usize],
            state: word(kept.state),
            names: &self.groups[kept.names as usize].names,
        })
    }

    pub(super) const fn index(&self) -> &ProfileIndex {
        &self.index
    }

    /// Mentions of a group of the index, and its resources.
    pub(super) fn group(
        &self,
        group: u32,
    ) -> (&[Mention], impl Iterator<Item = ReferencingResource<'_>>) {
        let group = &self.groups[group as usize];
        let found = group.references.iter().filter_map(|number| self.found(*number as usize));
        (&group.names, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Scan {
        /// Memory use in bytes.
        fn bytes(&self) -> usize {
            let names = |names: &Arc<[Mention]>| {
                let texts: usize = names.iter().map(|named| named.text().len()).sum();
                size_of_val(&**names) + texts
            };
            let groups = self.groups.iter().map(|group| {
                names(&group.names) + size_of::<MentionGroup>() + group.references.capacity() * 4
            });
            // A hash table is at most seven eighths full.
            let table = self.by_names.capacity() * (size_of::<(Arc<[Mention]>, u32)>() + 1) * 8 / 7;
            self.references.capacity() * size_of::<PackedReference>()
                + self.ids.capacity()
                + groups.sum::<usize>()
                + table
                + self.index.bytes()
        }
    }

    #[test]
    fn fifty_thousand_references_take_little_room() {
        let mut scan = Scan::new(ScanScope {
            account: "123456789012".into(),
            partition: "aws".into(),
            started: Timestamp::UNIX_EPOCH,
            role_unused_for: Duration::from_hours(90 * 24),
            regions: Vec::new(),
            sources: Vec::new(),
        });
        let mut peak = 0;
        for n in 0..50_000 {
            let profile = n % 1000;
            let name = format!("an-application-with-a-long-name-{profile:032}");
            let arn = format!("arn:aws:iam::123456789012:instance-profile/path/of/team/{name}");
            let texts = [arn, format!("AIPA{profile:017}")];
            let region = format!("region-{}", n % 17);
            let names = texts.map(|text| Mention::Profile(text.into()));
            scan.add("ec2.instances", &region, &format!("i-{n:017x}"), "running", names);
            if n % 1000 == 999 {
                peak = peak.max(scan.bytes());
            }
        }
        scan.end(Timestamp::UNIX_EPOCH);
        assert_eq!(scan.len(), 50_000);
        let found = scan.found(49_999).expect("the last one");
        assert_eq!((found.resource, &**found.region), ("i-0000000000000c34f", "region-2"));
        assert!(peak < 8 << 20, "{peak} bytes at most");
        assert!(scan.bytes() < 4 << 20, "{} bytes in the end", scan.bytes());
    }
}
