//! File format of a scan: JSON, whose last key is the checksum of the rest. It is written and read
//! as a stream, so that there is no second copy of the references. A file contains only the
//! findings of a scan. Verdicts and gaps are derived again when it is read.

use std::fmt;
use std::io::{BufReader, Read, Write};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::error::Category;
use sha2::{Digest, Sha256};

use super::findings::{
    Check, CheckOutcome, Gap, GapCause, Reason, ReferencingResource, Region, RegionState, Scan,
    ScanScope,
};
use super::matching::Mention;
use super::reasons::length;
use crate::error::{Error, Kind, Result};

const FORMAT: &str = "iamlua-scan";
const VERSION: u64 = 1;

/// Default maximum age of a scan in a file.
pub const MAX_AGE: Duration = Duration::from_hours(6);

/// Tolerance for the clock of another machine.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(1);

impl Scan {
    /// Writes the scan as JSON.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn save(&self, mut out: impl Write) -> std::io::Result<()> {
        let checksum = checksum(self)?;
        serde_json::to_writer(&mut out, &File::of(self, Some(&checksum)))?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// Reads a scan that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// If it is damaged, of another version, interrupted, older than `max_age`, or made in the
    /// future.
    pub fn load(input: impl Read, now: Timestamp, max_age: Duration) -> Result<Self> {
        let (scan, given) = read(input)?;
        let sum = checksum(&scan).map_err(|error| Error::io("cannot read the scan", error))?;
        if given != sum {
            return Err(refuse("the scan was changed after it was saved".to_owned()));
        }
        if scan.ended().is_none() {
            return Err(refuse(
                "the scan was interrupted, so that much of it is missing".to_owned(),
            ));
        }
        let age = now.duration_since(scan.scope().started);
        if age < -MAX_CLOCK_SKEW {
            let ahead = length(age.abs());
            return Err(refuse(format!("the scan was made in the future, {ahead} from now"))
                .hint("check the clocks of this machine and of the one that made it"));
        }
        let most = SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX);
        if age > most {
            let (age, most) = (length(age), length(most));
            return Err(refuse(format!("the scan was made {age} ago, and may be {most} old")));
        }
        Ok(scan)
    }

    /// Reads a scan of any age, without comparing its checksum.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn read(input: impl Read) -> Result<Self> {
        read(input).map(|(scan, _)| scan)
    }
}

fn refuse(why: String) -> Error {
    Error::new(Kind::Refused, why).hint("make the scan again")
}

/// Scan in a file, and the checksum stored in the file.
fn read(input: impl Read) -> Result<(Scan, String)> {
    let mut refused = None;
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(input));
    let read = Reader { refused: &mut refused }.deserialize(&mut json);
    let read = read.and_then(|read| json.end().map(|()| read));
    read.map_err(|error| match (refused, error.classify()) {
        (Some(why), _) => refuse(why),
        (None, Category::Eof) => refuse("the scan is cut short".to_owned()),
        (None, Category::Io) => Error::io("cannot read the scan", error.into()),
        (None, _) => refuse(format!("it is no scan of iamlua, or damaged: {error}")),
    })
}

/// Checksum of everything else in the file.
fn checksum(scan: &Scan) -> std::io::Result<String> {
    struct Sink(Sha256);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut sink = std::io::BufWriter::new(Sink(Sha256::new()));
    serde_json::to_writer(&mut sink, &File::of(scan, None))?;
    let sink = sink.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    let mut text = "sha256:".to_owned();
    for byte in sink.0.finalize() {
        use fmt::Write;
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// File, as it is written. The order of the keys matters: the scope comes before the references.
#[derive(Serialize)]
struct File<'a> {
    format: &'a str,
    version: u64,
    account: &'a str,
    partition: &'a str,
    started: Timestamp,
    ended: Option<Timestamp>,
    role_unused_for_ms: u64,
    regions: Vec<SavedRegion>,
    sources: &'a [String],
    checks: Vec<SavedCheck>,
    gaps: Vec<SavedGap>,
    #[serde(serialize_with = "references")]
    references: &'a Scan,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<&'a str>,
}

impl<'a> File<'a> {
    fn of(scan: &'a Scan, checksum: Option<&'a str>) -> Self {
        let scope = scan.scope();
        Self {
            format: FORMAT,
            version: VERSION,
            account: &scope.account,
            partition: &scope.partition,
            started: scope.started,
            ended: scan.ended(),
            role_unused_for_ms: u64::try_from(scope.role_unused_for.as_millis())
                .unwrap_or(u64::MAX),
            regions: scope.regions.iter().map(SavedRegion::of).collect(),
            sources: &scope.sources,
            checks: scan.checks().iter().map(SavedCheck::of).collect(),
            gaps: scan.missed().iter().map(SavedGap::of).collect(),
            references: scan,
            checksum,
        }
    }
}

fn references<S: Serializer>(scan: &Scan, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_seq(
        (0..scan.len())
            .filter_map(|number| scan.found(number))
            .map(|found| WrittenReference::of(&found)),
    )
}

/// Reference, as it is written.
#[derive(Serialize)]
struct WrittenReference<'a> {
    source: &'a str,
    region: &'a str,
    resource: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    state: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    profiles: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<&'a str>,
}

impl<'a> WrittenReference<'a> {
    fn of(found: &ReferencingResource<'a>) -> Self {
        let texts = |is_role: bool| {
            let is_meant = |named: &&Mention| matches!(named, Mention::Role(_)) == is_role;
            found.names.iter().filter(is_meant).map(Mention::text).collect()
        };
        Self {
            source: found.source,
            region: found.region,
            resource: found.resource,
            state: found.state,
            profiles: texts(false),
            roles: texts(true),
        }
    }
}

/// Reference, as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedReference {
    source: String,
    region: String,
    resource: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    profiles: Vec<Box<str>>,
    #[serde(default)]
    roles: Vec<Box<str>>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedRegion {
    name: String,
    standing: String,
}

impl SavedRegion {
    fn of(region: &Region) -> Self {
        Self { name: region.name.clone(), standing: region.standing.name().to_owned() }
    }

    fn restored<E: serde::de::Error>(self) -> std::result::Result<Region, E> {
        let known = RegionState::ALL.into_iter().find(|standing| standing.name() == self.standing);
        let standing =
            known.ok_or_else(|| E::custom(format!("a region cannot be {:?}", self.standing)))?;
        Ok(Region { name: self.name, standing })
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedCheck {
    source: String,
    region: String,
    at: Timestamp,
    resources: u64,
    outcome: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    code: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    message: String,
}

const CHECKED: &str = "checked";
const NOT_OFFERED: &str = "not offered";

impl SavedCheck {
    fn of(check: &Check) -> Self {
        let (outcome, code, message) = match &check.outcome {
            CheckOutcome::Whole => (CHECKED, "", ""),
            CheckOutcome::NotOffered => (NOT_OFFERED, "", ""),
            CheckOutcome::Gap(why) => (why.reason.name(), &*why.code, &*why.message),
        };
        Self {
            source: check.source.to_string(),
            region: check.region.to_string(),
            at: check.at,
            resources: check.resources,
            outcome: outcome.to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    fn restore<E: serde::de::Error>(self, scan: &mut Scan) -> std::result::Result<(), E> {
        let outcome = match self.outcome.as_str() {
            CHECKED => CheckOutcome::Whole,
            NOT_OFFERED => CheckOutcome::NotOffered,
            reason => CheckOutcome::Gap(why(reason, self.code, self.message)?),
        };
        scan.checked(&self.source, &self.region, self.at, self.resources, outcome);
        Ok(())
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedGap {
    source: Option<String>,
    region: Option<String>,
    reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    code: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    message: String,
}

impl SavedGap {
    fn of(gap: &Gap) -> Self {
        Self {
            source: gap.source.as_deref().map(str::to_owned),
            region: gap.region.as_deref().map(str::to_owned),
            reason: gap.why.reason.name().to_owned(),
            code: gap.why.code.clone(),
            message: gap.why.message.clone(),
        }
    }

    fn restore<E: serde::de::Error>(self, scan: &mut Scan) -> std::result::Result<(), E> {
        let why = why(&self.reason, self.code, self.message)?;
        let (source, region) = (self.source.map(Into::into), self.region.map(Into::into));
        scan.miss(Gap { source, region, why });
        Ok(())
    }
}

fn why<E: serde::de::Error>(
    reason: &str,
    code: String,
    message: String,
) -> std::result::Result<GapCause, E> {
    let known = Reason::ALL.into_iter().find(|known| known.name() == reason);
    let reason = known.ok_or_else(|| E::custom(format!("there is no reason {reason:?}")))?;
    Ok(GapCause { reason, code, message })
}

/// Reader of the file. If the contents are refused, it stores the reason.
struct Reader<'a> {
    refused: &'a mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = (Scan, String);

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

/// End of the scan; `null` if it was interrupted.
#[derive(Deserialize)]
struct Ended(Option<Timestamp>);

/// Keys before the references.
#[derive(Default)]
struct Head {
    format: Option<String>,
    version: Option<u64>,
    account: Option<String>,
    partition: Option<String>,
    started: Option<Timestamp>,
    ended: Option<Ended>,
    role_unused_for_ms: Option<u64>,
    regions: Option<Vec<SavedRegion>>,
    sources: Option<Vec<String>>,
    checks: Option<Vec<SavedCheck>>,
    gaps: Option<Vec<SavedGap>>,
}

/// Sets a value; an error if it is set already.
fn put<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    place: &mut Option<T>,
    name: &str,
    map: &mut A,
) -> std::result::Result<(), A::Error> {
    if place.is_some() {
        return Err(A::Error::custom(format!("{name:?} is there twice")));
    }
    *place = Some(map.next_value()?);
    Ok(())
}

impl Head {
    /// Scan with the properties in the head, without references.
    fn scan<E: serde::de::Error>(&mut self) -> std::result::Result<Scan, E> {
        fn need<T, E: serde::de::Error>(
            place: &mut Option<T>,
            name: &'static str,
        ) -> std::result::Result<T, E> {
            place.take().ok_or_else(|| E::missing_field(name))
        }
        let account: String = need(&mut self.account, "account")?;
        if account.len() != 12 || !account.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(E::custom(format!("{account:?} is no account")));
        }
        let regions = need(&mut self.regions, "regions")?;
        let regions: std::result::Result<_, E> =
            regions.into_iter().map(SavedRegion::restored).collect();
        let mut scan = Scan::new(ScanScope {
            account,
            partition: need(&mut self.partition, "partition")?,
            started: need(&mut self.started, "started")?,
            role_unused_for: Duration::from_millis(need(
                &mut self.role_unused_for_ms,
                "role_unused_for_ms",
            )?),
            regions: regions?,
            sources: need(&mut self.sources, "sources")?,
        });
        for check in need(&mut self.checks, "checks")? {
            check.restore(&mut scan)?;
        }
        for gap in need(&mut self.gaps, "gaps")? {
            gap.restore(&mut scan)?;
        }
        Ok(scan)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = (Scan, String);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scan")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut head = Head::default();
        let (mut scan, mut checksum) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "format" => put(&mut head.format, &key, &mut map)?,
                "version" => put(&mut head.version, &key, &mut map)?,
                "account" => put(&mut head.account, &key, &mut map)?,
                "partition" => put(&mut head.partition, &key, &mut map)?,
                "started" => put(&mut head.started, &key, &mut map)?,
                "ended" => put(&mut head.ended, &key, &mut map)?,
                "role_unused_for_ms" => put(&mut head.role_unused_for_ms, &key, &mut map)?,
                "regions" => put(&mut head.regions, &key, &mut map)?,
                "sources" => put(&mut head.sources, &key, &mut map)?,
                "checks" => put(&mut head.checks, &key, &mut map)?,
                "gaps" => put(&mut head.gaps, &key, &mut map)?,
                "checksum" => put(&mut checksum, &key, &mut map)?,
                "references" if scan.is_none() => {
                    let mut empty = head.scan()?;
                    map.next_value_seed(References(&mut empty))?;
                    scan = Some(empty);
                }
                _ => return Err(A::Error::custom(format!("{key:?} does not belong here"))),
            }
            // Format and version come first, so that the rest of an unknown file is not read.
            let wrong = match (head.format.as_deref(), head.version) {
                (Some(FORMAT), None | Some(VERSION)) => continue,
                (Some(FORMAT), Some(newer)) if newer > VERSION => format!(
                    "the scan was made by a newer iamlua (its version is {newer}, this program knows {VERSION})"
                ),
                (Some(FORMAT), Some(_)) => {
                    "the scan has no version that this program knows".to_owned()
                }
                _ => "it is no scan of iamlua".to_owned(),
            };
            *self.refused = Some(wrong);
            return Err(A::Error::custom("refused"));
        }
        if head.version.is_none() {
            return Err(A::Error::missing_field("version"));
        }
        let mut scan: Scan = scan.ok_or_else(|| A::Error::missing_field("references"))?;
        let Ended(ended) = head.ended.ok_or_else(|| A::Error::missing_field("ended"))?;
        if let Some(ended) = ended {
            scan.end(ended);
        }
        Ok((scan, checksum.ok_or_else(|| A::Error::missing_field("checksum"))?))
    }
}

/// Reader of the references, which adds them to a scan one by one.
struct References<'a>(&'a mut Scan);

impl<'de> DeserializeSeed<'de> for References<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for References<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("references")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        while let Some(reference) = seq.next_element::<SavedReference>()? {
            let SavedReference { source, region, resource, state, profiles, roles } = reference;
            let profiles = profiles.into_iter().map(Mention::Profile);
            let names = profiles.chain(roles.into_iter().map(Mention::Role));
            self.0.add(&source, &region, &resource, &state, names);
        }
        Ok(())
    }
}
