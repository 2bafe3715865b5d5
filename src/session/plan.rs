//! A plan: the changes that a script would make, the states that they rest on, and the plan file.

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

/// A planned change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Number in the plan, from 1.
    pub number: u64,
    /// Index of its destination in [`Plan::sites`].
    pub site: usize,
    /// The AWS action.
    pub action: String,
    /// Kind of the changed resource.
    pub subject: Subject,
    /// Name of the resource.
    pub name: String,
    /// Arguments, by their names in Lua.
    pub arguments: Json,
    /// State before the change, which is a condition of making it.
    pub before: Option<Snapshot>,
    /// State after the change.
    pub after: Option<Snapshot>,
    /// Change of an earlier run that it undoes: the run and the number there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<(String, u64)>,
}

impl Change {
    /// Approximate size in bytes.
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

    /// Call that makes the change, with its arguments checked.
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
    /// Name of the file format.
    pub format: String,
    /// Version of the format.
    pub version: u64,
    /// Id, by which the journal records the changes that were made.
    pub id: String,
    /// Time of creation: ISO 8601, UTC.
    pub created: String,
    /// Path of the script, and the SHA-256 of its text in hexadecimal.
    pub script: Option<(String, String)>,
    /// Parameters of the script.
    pub parameters: Option<Json>,
    /// Id of the run that it undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// Changes of that run that have no remaining effect to undo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moot: Vec<u64>,
    /// Profiles and roles that the undo leaves unchanged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// Error that ended the script early, if the plan is incomplete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// Limit that the plan exceeds, in words: "it makes 6 changes, and the run may make 2".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exceeds: Option<String>,
    /// Start of the oldest usage scan that the script has used: ISO 8601, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scanned: Option<Timestamp>,
    /// Destinations of the changes.
    pub sites: Vec<Destination>,
    /// Changes, in order.
    pub changes: Vec<Change>,
    /// Programs and files outside of the account, which applying the plan leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<Outside>,
}

impl Plan {
    /// Check that there is nothing to do, in the account and outside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.outside.is_empty()
    }

    /// Refuses a plan that deletes profiles on the basis of a scan that is too old by `now`: the
    /// profiles may be in use since.
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

    /// Content of the plan file: JSON, whose last key is the checksum of the rest.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn to_file(&self) -> Result<String> {
        let bug = |error| Error::new(Kind::Bug, format!("the plan is not JSON: {error}"));
        // Serialized twice, once for the checksum and once for the file, because a large plan
        // should not be held twice in memory.
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

    /// Recognizes a plan file, even a damaged one.
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

    /// Reads a plan file; `name` is its name in messages.
    ///
    /// # Errors
    /// If it is no plan, was truncated or changed, or was made by a newer program.
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
        // Ids are used as file names and as keys in the journal.
        if std::iter::once(&plan.id).chain(&plan.undoes).any(|id| !is_id(id)) {
            return Err(refuse("has an id that is none".into()));
        }
        for change in &plan.changes {
            let call = change.call();
            let (_, write, args) =
                call.map_err(|error| refuse(format!("cannot be carried out: {error}")))?;
            // People approve the states, but the arguments are executed: they must agree.
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

/// Approximate size of a JSON value in bytes.
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

/// Writer that feeds a checksum.
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

/// Checksum of a plan; `json` is the plan without it.
pub(crate) fn checksum(json: &Json) -> String {
    // Serialized without white space, so that formatting does not count as a change.
    format!("sha256:{}", hexadecimal(&Sha256::digest(json.to_string())))
}

/// SHA-256 of bytes, in hexadecimal.
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

/// Recorder of the changes of a run that plans.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<RecordedPlan>, outside::Recorder);

#[derive(Debug, Default)]
struct RecordedPlan {
    scanned: Option<Timestamp>,
    sites: Vec<Destination>,
    changes: Vec<Change>,
    /// Approximate size of the changes in bytes.
    bytes: usize,
}

impl Recorder {
    /// Records a change with its destination, and assigns its number.
    pub(super) fn record(&self, site: Destination, mut change: Change) {
        // The role record that was read with a profile is not part of the change.
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

    /// Approximate size in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        locked(&self.0).bytes + self.1.held_bytes()
    }

    /// Programs and files outside of the account.
    #[must_use]
    pub const fn outside(&self) -> &outside::Recorder {
        &self.1
    }

    /// Records that the plan may rest on a usage scan that began at that time.
    pub fn rests_on(&self, scanned: Timestamp) {
        let mut recorded = locked(&self.0);
        recorded.scanned = Some(recorded.scanned.map_or(scanned, |known| known.min(scanned)));
    }

    /// Forgets the changes, but not the programs and files; returns their number.
    pub(super) fn clear(&self) -> u64 {
        std::mem::take(&mut *locked(&self.0)).changes.len() as u64
    }

    /// Number of recorded changes.
    #[must_use]
    pub fn len(&self) -> usize {
        locked(&self.0).changes.len()
    }

    /// Check that no change was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Plan of the recorded changes, which leave the recorder so that they are not held twice.
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

    /// Plan of the recorded changes.
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
