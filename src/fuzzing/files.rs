//! Fuzz targets for files: plans, scans, accounts, configurations, the journal.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::types::Value as Sql;
use serde_json::Value as Json;

use super::{assert_error, assert_plain, assert_styled};
use crate::app::{plan_markdown, plan_text};
use crate::aws::config_file::{ConfigFile, Value};
use crate::cli;
use crate::config::{Config, DefaultMode};
use crate::emulator::{Clock, Emulator, EmulatorSettings, ManualClock};
use crate::error::Result;
use crate::iam::snapshot::steps;
use crate::session::journal::records::Records;
use crate::session::plan::{Plan, checksum};
use crate::usage::Scan;

fn now() -> Timestamp {
    "2026-11-24T17:00:00Z".parse().expect("a moment")
}

/// Plan: as it is, and with the right checksum, without which the code behind the check is not
/// reached.
pub(super) fn plan(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    check_plan(&text);
    let Ok(Json::Object(mut fields)) = serde_json::from_str(&text) else { return };
    fields.shift_remove("checksum");
    let mut sealed = Json::Object(fields);
    sealed["checksum"] = checksum(&sealed).into();
    let sealed = sealed.to_string();
    if let Err(error) = Plan::from_file("plan.json", &sealed) {
        assert!(!error.message.contains("was changed"), "{error}: {sealed}");
    }
    check_plan(&sealed);
}

fn check_plan(text: &str) {
    let plan = match Plan::from_file("plan.json", text) {
        Ok(plan) => plan,
        Err(error) => return assert_error(&error),
    };
    assert!(Plan::is_file(text.as_bytes()), "{text}");
    let written = plan.to_file().expect("a plan");
    assert!(Plan::is_file(written.as_bytes()), "{written}");
    let again = Plan::from_file("again.json", &written);
    let again = again.unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(again.to_file().expect("a plan"), written);
    let _ = plan.check_scan(now()).inspect_err(assert_error);
    for full in [false, true] {
        assert_styled(&plan_text::plan(&plan, full));
        assert_plain(&plan_markdown::plan(&plan, "sha", full));
    }
}

/// Usage scan, with any checksum.
pub(super) fn scan(data: &[u8]) {
    let forever = Duration::from_hours(24 * 365 * 100);
    let _ = Scan::load(data, now(), forever).inspect_err(assert_error);
    let Ok(scan) = Scan::read(data).inspect_err(assert_error) else { return };
    let save = |scan: &Scan| {
        let mut out = Vec::new();
        scan.save(&mut out).expect("memory");
        out
    };
    let saved = save(&scan);
    let again = Scan::read(&*saved).unwrap_or_else(|error| panic!("{error}: {saved:?}"));
    assert_eq!(save(&again), saved);
    let _ = Scan::load(&*saved, now(), forever).inspect_err(assert_error);
}

/// Contents of a local account.
pub(super) fn account(data: &[u8]) {
    thread_local! {
        static ACCOUNT: Emulator = {
            let clock = Clock::Manual(ManualClock::new(now()));
            let options = EmulatorSettings { clock, seed: Some(1), ..EmulatorSettings::default() };
            Emulator::in_memory(options).expect("memory")
        };
    }
    ACCOUNT.with(|account| {
        let export = || {
            let mut out = Vec::new();
            account.export(&mut out).expect("memory");
            out
        };
        if let Err(error) = account.import(data) {
            return assert_error(&error);
        }
        let exported = export();
        let again = account.import(&*exported);
        again.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&exported)));
        assert_eq!(String::from_utf8_lossy(&export()), String::from_utf8_lossy(&exported));
    });
}

/// The user's `iamlua.toml` and that of a project, separated by a line `---`.
pub(super) fn config(data: &[u8]) {
    let text = data.windows(5).position(|part| part == b"\n---\n");
    let (user, project) = match text {
        Some(at) => (&data[..=at], Some(&data[at + 5..])),
        None => (data, None),
    };
    let mut own = Config::default();
    if let Err(error) = own.take(Path::new("/home/user/iamlua.toml"), user) {
        return assert_error(&error);
    }
    let Some(project) = project else { return };
    let merged = match own.clone().tightened_by(Path::new("/project/iamlua.toml"), project) {
        Ok(merged) => merged,
        Err(error) => return assert_error(&error),
    };
    // A project may come from anybody: it must not remove any of the user's guards.
    if own.mode == Some(DefaultMode::ReadOnly) {
        assert_eq!(merged.mode, Some(DefaultMode::ReadOnly));
    }
    assert!(own.accounts.is_empty() || !merged.accounts.is_empty());
    if !own.accounts.is_empty() {
        assert!(merged.accounts.iter().all(|account| own.accounts.contains(account)));
    }
    assert!(own.max_changes.iter().all(|limit| merged.max_changes.contains(limit)));
    assert!(own.protect.iter().all(|name| merged.protect.contains(name)));
    assert!(own.timeout.is_none_or(|own| merged.timeout.is_some_and(|merged| merged <= own)));
    if !own.require_signature.is_empty() {
        assert_eq!(merged.require_signature, own.require_signature);
    }
}

/// `~/.aws/config`.
pub(super) fn aws_config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let file = match ConfigFile::parse(Path::new("/home/user/.aws/config"), &text) {
        Ok(file) => file,
        Err(error) => return assert_error(&error),
    };
    let lines = text.lines().count().max(text.split(['\n', '\r']).count());
    for section in &file.sections {
        assert!((1..=lines).contains(&section.line), "{section:?}");
        for property in &section.properties {
            assert!((1..=lines).contains(&property.line), "{property:?}");
            if let Value::Nested(inner) = &property.value {
                assert!(inner.iter().all(|(.., line)| (1..=lines).contains(line)), "{property:?}");
            }
        }
    }
}

/// Header of a `SQLite` file.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Journal: the whole file, or else modifications of the one in `fuzz/`. Either lines with a table,
/// a column and a value; or three bytes each, two for an offset and one for the byte there.
pub(super) fn journal(data: &[u8]) {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sets_values = data.starts_with(b"run ") || data.starts_with(b"change ");
    let mut content = data.to_vec();
    if !data.starts_with(MAGIC) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/journal.db");
        content.clone_from(SOUND.get_or_init(|| std::fs::read(path).expect("the journal")));
        for change in data.chunks_exact(3).filter(|_| !sets_values) {
            let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % content.len();
            content[at] = change[2];
        }
    }
    let path = folder.path().join("journal.db");
    std::fs::write(&path, content).expect("a temporary file");
    if sets_values {
        set_values(&path, &String::from_utf8_lossy(data));
    }
    let _ = show(folder.path()).inspect_err(assert_error);
}

/// Sets columns of all rows of a journal.
fn set_values(path: &Path, lines: &str) {
    let connection = Connection::open(path).expect("a sound journal");
    for line in lines.lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(table), Some(column)) = (words.next(), words.next()) else { continue };
        let value = words.next().unwrap_or_default();
        let is_word = |word: &str| word.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
        if !is_word(table) || !is_word(column) {
            continue;
        }
        let value = match (value.parse::<i64>(), value.parse::<f64>(), value) {
            (Ok(whole), ..) => Sql::Integer(whole),
            (_, Ok(number), _) => Sql::Real(number),
            (.., "null") => Sql::Null,
            (.., bytes) if bytes.starts_with("x'") => Sql::Blob(bytes.as_bytes().to_vec()),
            (.., text) => Sql::Text(text.to_owned()),
        };
        // The column may not exist, or may need unique values.
        let _ = connection.execute(&format!("UPDATE {table} SET {column} = ?1"), [value]);
    }
}

fn show(folder: &Path) -> Result<()> {
    let Some(records) = Records::open(folder)? else { return Ok(()) };
    assert_styled(&cli::everything_shown(&records)?);
    let runs = records.runs(1000)?;
    for run in &runs {
        for change in records.changes(&run.id)? {
            for (from, to) in [(&change.before, &change.after), (&change.after, &change.before)] {
                let _ = steps(change.subject, from, to);
            }
        }
        let _ = records.runs_that_undo(&run.id)?;
        let _ = records.unsettled_runs(run.script.as_deref().unwrap_or_default())?;
    }
    records.run("last")?;
    records.recent_changes()?;
    records.last_to_redo()?;
    records.last_to_undo()?;
    records.runs_before(i64::MAX)?;
    Ok(())
}
