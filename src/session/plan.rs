//! A plan: the changes that a script would make, with what they rest on, and the file that it is kept in.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::destination::Destination;
use super::journal::{LeftOut, is_id, new_id};
use super::locked;
use super::outside::{self, Outside};
use crate::error::{Error, Kind, Result};
use crate::iam::snapshot::{Snapshot, Subject, differences};
use crate::iam::{self, Entry, Write};
use crate::spec::{Args, Value};
use crate::ui::format;
use crate::usage::MAX_AGE;

const FORMAT: &str = "iamlua-plan";
const VERSION: u64 = 1;

/// A change that was planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Its number in the plan, from 1.
    pub number: u64,
    /// Where it goes: a place in [`Plan::sites`].
    pub site: usize,
    /// The AWS action.
    pub action: String,
    /// What it is about.
    pub subject: Subject,
    /// The name of that.
    pub name: String,
    /// The arguments, by the names that Lua has for them.
    pub arguments: Json,
    /// What is there before it: it is made only if that is so.
    pub before: Option<Snapshot>,
    /// What will be there after it.
    pub after: Option<Snapshot>,
    /// The change of an earlier run that it takes back: the run and the number there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<(String, u64)>,
}

impl Change {
    /// About as many bytes as it takes.
    fn bytes(&self) -> usize {
        const FIXED: usize = 400;
        const FIELD: usize = 100;
        let state = |state: &Option<Snapshot>| {
            state.as_ref().map_or(0, |image| {
                let tags = image.tags.iter().map(|(key, value)| FIELD + key.len() + value.len());
                let policies = image.policies.iter().flatten().map(|arn| FIELD + arn.len());
                let texts = [&image.id, &image.create_date, &image.role, &image.description];
                let texts = texts
                    .into_iter()
                    .chain([&image.assume_role_policy, &image.permissions_boundary]);
                let texts = texts.flatten().map(String::len);
                FIXED
                    + image.name.len()
                    + image.path.len()
                    + tags.chain(policies).chain(texts).sum::<usize>()
            })
        };
        FIXED
            + self.name.len()
            + json_bytes(&self.arguments)
            + state(&self.before)
            + state(&self.after)
    }

    /// The call that makes it, with its arguments checked.
    ///
    /// # Errors
    /// If this program knows no such action, or the arguments are wrong.
    pub fn call(&self) -> Result<(&'static Entry, &'static Write, Args)> {
        let (entry, write) = iam::write(&self.action).ok_or_else(|| {
            Error::argument(format!("change {}: there is no action {:?}", self.number, self.action))
        })?;
        let Value::Map(given) = Value::from(&self.arguments) else {
            return Err(Error::argument(format!("change {}: no arguments", self.number)));
        };
        let args = entry.spec.check(given.into_iter().collect())?;
        if args.text("name").as_deref() != Some(&self.name) || write.subject != self.subject {
            let wrong = format!("change {}: it does not belong to {}", self.number, self.name);
            return Err(Error::argument(wrong));
        }
        Ok((entry, write, args))
    }
}

/// A plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What the file calls itself.
    pub format: String,
    /// The version of the format.
    pub version: u64,
    /// Its id, by which the journal knows what of it is done.
    pub id: String,
    /// When it was made: ISO 8601, UTC.
    pub created: String,
    /// The script's path, and the SHA-256 of its text in hexadecimal.
    pub script: Option<(String, String)>,
    /// The script's parameters.
    pub parameters: Option<Json>,
    /// The run that it undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// The changes of that run of which nothing is left to take back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moot: Vec<u64>,
    /// Profiles and roles that the undo leaves as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Why it is not all of what the script would do, if it is not: the error that ended the script.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// The limit that it goes beyond, in words: "it makes 6 changes, and the run may make 2".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exceeds: Option<String>,
    /// When the oldest scan of who uses profiles began that the script has asked: ISO 8601, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned: Option<Timestamp>,
    /// The places that its changes go to.
    pub sites: Vec<Destination>,
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// Programs and files outside of the account, which applying the plan leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<Outside>,
}

impl Plan {
    /// Absence of anything to do, in the account and outside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.outside.is_empty()
    }

    /// Refuses a plan that deletes profiles on the word of a scan that is too old by `now`: they may be used since.
    ///
    /// # Errors
    /// [`Kind::Refused`].
    pub fn check_scan(&self, now: Timestamp) -> Result<()> {
        let deletes =
            self.changes.iter().any(|change| change.subject.is_scanned() && change.after.is_none());
        let Some(scanned) = self.scanned.filter(|_| deletes) else { return Ok(()) };
        let most = SignedDuration::try_from(MAX_AGE).unwrap_or(SignedDuration::MAX);
        let age = now.duration_since(scanned);
        if age <= most {
            return Ok(());
        }
        let hours = |time: SignedDuration| format::count(time.as_hours().unsigned_abs(), "hour");
        Err(Error::new(
            Kind::Refused,
            format!(
                "the plan deletes profiles by a scan that was made {} ago, and may be {} old: they may be used since",
                hours(age),
                hours(most)
            ),
        )
        .hint("make the plan again: `iamlua plan SCRIPT -o FILE`"))
    }

    /// What the file has in it: JSON, whose last key is the checksum of the rest.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn to_file(&self) -> Result<String> {
        let bug = |error| Error::new(Kind::Bug, format!("the plan is not JSON: {error}"));
        // Once for the checksum and once for the file: a plan can be larger than what holds it twice.
        let mut hashed = Hashed(Sha256::new());
        serde_json::to_writer(&mut hashed, self).map_err(bug)?;
        let mut text = serde_json::to_string_pretty(self).map_err(bug)?;
        // The checksum goes before the brace that ends the object.
        if text.ends_with("\n}") {
            text.truncate(text.len() - "\n}".len());
        }
        let checksum = hexadecimal(&hashed.0.finalize());
        text.push_str(",\n  \"checksum\": \"sha256:");
        text.push_str(&checksum);
        text.push_str("\"\n}\n");
        Ok(text)
    }

    /// Recognizes a plan file, also one that is damaged.
    #[must_use]
    pub fn is_file(content: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        let content = content.trim_ascii_start();
        if !content.starts_with(b"{") {
            return false;
        }
        let head = String::from_utf8_lossy(&content[..content.len().min(100)]);
        (head.contains("\"format\"") && head.contains(&format!("\"{FORMAT}\"")))
            || serde_json::from_slice::<Head>(content).is_ok_and(|head| head.format == FORMAT)
    }

    /// Reads a plan file; `name` is what it is called.
    ///
    /// # Errors
    /// If it is no plan, was cut short or changed, or was made by a newer program.
    pub fn from_file(name: &str, text: &str) -> Result<Self> {
        let again = "make the plan again: `iamlua plan SCRIPT -o FILE`";
        let refuse = |why: String| Error::new(Kind::Refused, format!("{name} {why}")).hint(again);
        let mut json: Json = serde_json::from_str(text).map_err(|error| {
            if error.is_eof() {
                refuse("is cut short".into())
            } else {
                refuse(format!("is not a plan: {error}"))
            }
        })?;
        if json["format"] != FORMAT {
            return Err(refuse("is not a plan of iamlua".into()));
        }
        match json["version"].as_u64() {
            Some(VERSION) => {}
            Some(newer) if newer > VERSION => {
                return Err(refuse(format!(
                    "was made by a newer iamlua (its version is {newer}, this program knows {VERSION})"
                ))
                .hint("or use the newer iamlua"));
            }
            _ => return Err(refuse("has no version that this program knows".into())),
        }
        let given = json.as_object_mut().and_then(|map| map.shift_remove("checksum"));
        if given.as_ref().and_then(Json::as_str) != Some(checksum(&json).as_str()) {
            return Err(refuse("was changed after it was made".into()));
        }
        let plan: Self =
            serde_json::from_value(json).map_err(|error| refuse(format!("is damaged: {error}")))?;
        // They name files and rows of the journal.
        if std::iter::once(&plan.id).chain(&plan.undoes).any(|id| !is_id(id)) {
            return Err(refuse("has an id that is none".into()));
        }
        for change in &plan.changes {
            let call = change.call();
            let (_, write, args) =
                call.map_err(|error| refuse(format!("cannot be carried out: {error}")))?;
            // The states are what people are shown and approve, the arguments what is done.
            let after = (write.after)(&args, change.before.clone());
            if !differences(&after, &change.after).is_empty() {
                return Err(refuse(format!("does not say what change {} does", change.number)));
            }
            if change.site >= plan.sites.len() {
                return Err(refuse(format!("does not say where change {} goes", change.number)));
            }
        }
        Ok(plan)
    }
}

/// About as many bytes as a JSON value takes.
fn json_bytes(json: &Json) -> usize {
    const VALUE: usize = 100;
    VALUE
        + match json {
            Json::String(text) => text.len(),
            Json::Array(items) => items.iter().map(json_bytes).sum(),
            Json::Object(map) => map.iter().map(|(key, value)| key.len() + json_bytes(value)).sum(),
            _ => 0,
        }
}

/// Bytes on their way into a checksum.
struct Hashed(Sha256);

impl std::io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Checksum of a plan, which is this without the checksum.
pub(crate) fn checksum(json: &Json) -> String {
    // Written without white space, so that a formatter does not count as a change.
    format!("sha256:{}", hexadecimal(&Sha256::digest(json.to_string())))
}

/// The SHA-256 of some bytes, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where a run that plans notes its changes.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Recorded>, outside::Recorder);

#[derive(Debug, Default)]
struct Recorded {
    scanned: Option<Timestamp>,
    sites: Vec<Destination>,
    changes: Vec<Change>,
    /// About as many bytes as they take.
    bytes: usize,
}

impl Recorder {
    /// Notes a change that goes there, and gives it its number.
    pub(super) fn record(&self, site: Destination, mut change: Change) {
        // What was read with a profile is no part of the change.
        for image in [&mut change.before, &mut change.after].into_iter().flatten() {
            image.role_record = None;
        }
        let mut recorded = locked(&self.0);
        let number = recorded.changes.len() as u64 + 1;
        let at = recorded.sites.iter().position(|known| *known == site).unwrap_or_else(|| {
            recorded.sites.push(site);
            recorded.sites.len() - 1
        });
        recorded.bytes += change.bytes();
        recorded.changes.push(Change { number, site: at, ..change });
    }

    /// About as many bytes as it holds.
    pub(super) fn held_bytes(&self) -> usize {
        locked(&self.0).bytes
    }

    /// Programs and files outside of the account.
    #[must_use]
    pub const fn outside(&self) -> &outside::Recorder {
        &self.1
    }

    /// Notes that what is planned may rest on a scan that began then.
    pub fn rests_on(&self, scanned: Timestamp) {
        let mut recorded = locked(&self.0);
        recorded.scanned = Some(recorded.scanned.map_or(scanned, |known| known.min(scanned)));
    }

    /// Forgets the changes, and not what is outside; says how many they were.
    pub(super) fn clear(&self) -> u64 {
        std::mem::take(&mut *locked(&self.0)).changes.len() as u64
    }

    /// How many changes were noted.
    #[must_use]
    pub fn len(&self) -> usize {
        locked(&self.0).changes.len()
    }

    /// Whether nothing was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The plan of what was noted; it is not noted any more, so that it need not be held twice.
    #[must_use]
    pub fn take_plan(
        &self,
        script: Option<(String, String)>,
        parameters: Option<Json>,
        incomplete: Option<String>,
    ) -> Plan {
        let changes = std::mem::take(&mut locked(&self.0).changes);
        Plan { changes, ..self.plan(script, parameters, None, incomplete) }
    }

    /// The plan of what was noted.
    #[must_use]
    pub fn plan(
        &self,
        script: Option<(String, String)>,
        parameters: Option<Json>,
        undoes: Option<String>,
        incomplete: Option<String>,
    ) -> Plan {
        let recorded = locked(&self.0);
        Plan {
            format: FORMAT.into(),
            version: VERSION,
            id: new_id(),
            created: Timestamp::from_second(Timestamp::now().as_second())
                .unwrap_or_default()
                .to_string(),
            script,
            parameters,
            undoes,
            moot: Vec::new(),
            left_out: Vec::new(),
            incomplete,
            exceeds: None,
            scanned: recorded.scanned,
            sites: recorded.sites.clone(),
            changes: recorded.changes.clone(),
            outside: self.1.actions(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Plan;

    #[test]
    fn a_number_of_many_digits_is_no_change_of_the_file() {
        let numbers =
            [117_918_703.671_061_05, 94.527_069_555_392_23, 0.009_221_885_624_698_875, 0.1];
        for number in numbers {
            let plan = json!({
                "format": "iamlua-plan", "version": 1, "id": "20261129-020424-9292p",
                "created": "2026-11-29T02:04:24Z", "script": null,
                "parameters": { "ratio": number }, "sites": [], "changes": [],
            });
            let plan: Plan = serde_json::from_value(plan).expect("a plan");
            let file = plan.to_file().expect("a file");
            let read = Plan::from_file("plan.json", &file).expect("the same");
            assert_eq!(read.parameters, plan.parameters);
        }
    }
}
