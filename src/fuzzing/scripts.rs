//! Fuzz targets for manifests and schedules of runbooks.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Runtime;

use super::{assert_error, assert_plain, assert_styled, first_line};
use crate::aws::client::{Backend, Connection};
use crate::clock::Clock;
use crate::cron::{Timing, spelled};
use crate::error::{Error, Kind, Result};
use crate::files::read_set::ReadSet;
use crate::lint::{self, Rule};
use crate::lua::arguments::Arguments;
use crate::lua::cancel::Canceller;
use crate::lua::sandbox::Permissions;
use crate::lua::tokens::tokens;
use crate::lua::{self, Format, Manifest, Output, Show, Vm, VmConfig};
use crate::session::{Gate, Mode, Session};
use crate::spec::parse_duration;

/// Cron expression, a line feed, a time zone.
pub(super) fn cron(data: &[u8]) {
    let (text, zone) = first_line(data);
    check_duration(&text);
    let zone = String::from_utf8_lossy(zone);
    let zone = Some(zone.trim()).filter(|zone| !zone.is_empty());
    let timing = match Timing::cron(&text, zone) {
        Ok(timing) => timing,
        Err(why) => return assert_plain(&why),
    };
    assert_eq!(Timing::cron(&text, zone).as_ref(), Ok(&timing));
    let (words, _) =
        timing.words().split_once(" (").map(|(a, b)| (a.to_owned(), b.len())).expect("(");
    assert_eq!(Timing::cron(&words, zone).map(|again| again.words()), Ok(timing.words()));
    for start in ["1970-01-01T00:00:00Z", "2026-03-29T00:59:59.5Z", "2026-10-25T00:30:00Z"] {
        let mut at: Timestamp = start.parse().expect("a moment");
        for _ in 0..3 {
            let Some(next) = timing.after(at) else { break };
            assert!(next > at, "{next} is not after {at}");
            // Nothing is due between the two.
            let before = next.checked_sub(Duration::from_nanos(1)).expect("a moment");
            assert_eq!(timing.after(before), Some(next), "from {at}");
            at = next;
        }
    }
    let _ = timing.after(Timestamp::MAX);
    let _ = timing.after(Timestamp::MIN);
}

fn check_duration(text: &str) {
    match parse_duration(text) {
        Err(why) => assert_plain(&why),
        Ok(seconds) => {
            assert!(seconds >= 0.0, "{text:?} is {seconds}");
            let Ok(time) = Duration::try_from_secs_f64(seconds) else { return };
            let again = parse_duration(&spelled(time)).expect("what was written is read");
            assert!((again - seconds).abs() <= seconds * 1e-9 + 0.001, "{text:?}: {again}");
            if let Ok(timing) = Timing::every(time) {
                let next = timing.after(Timestamp::UNIX_EPOCH).expect("a moment");
                assert!(next > Timestamp::UNIX_EPOCH);
            }
        }
    }
}

/// VM without access to anything outside.
pub(super) fn vm(max_memory: usize) -> Result<Vm> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().expect("a runtime")
    });
    let _entered = runtime.enter();
    let nowhere =
        Backend::Local(Arc::new(|| Err(Error::new(Kind::Refused, "there is no account"))));
    let connection = Connection { target: nowhere, ..Connection::default() };
    let setup = VmConfig {
        gate: Gate::new(Session::new(Mode::ReadOnly), connection),
        runtime: runtime.handle().clone(),
        canceller: Canceller::default(),
        script: "a.lua".into(),
        folder: None,
        args: Arguments::default(),
        permissions: Permissions::default(),
        max_memory,
        format: Format::Table,
        show: Show::Nothing,
        width: None,
        reserved: Vec::new(),
        log_level: "error",
        confirm: Box::new(|_| None),
        clock: Clock::Real,
        has_input: false,
        seen: ReadSet::default(),
        log: Some(Box::new(|_, _, _| {})),
    };
    let sink = || Box::new(std::io::sink());
    Vm::new(setup, Output::new(sink(), sink()))
}

/// Script that is checked without a run. Every finding is a position in the text. What Lua compiles
/// is also understood by the parser, apart from text with control characters.
pub(super) fn check(data: &[u8]) {
    let report = lint::check_text(data, "a.lua").expect("a report");
    let text = String::from_utf8_lossy(data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data));
    let lines: Vec<_> = text.split('\n').collect();
    let is_plain = !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    let is_compiled = lua::check_syntax(data, 1 << 30).is_ok();
    for finding in &report.findings {
        let line = lines.get(finding.start.line - 1).expect("a line");
        assert!(finding.start.column <= line.chars().count() + 1, "{finding:?}");
        assert!(finding.start <= finding.end && finding.end.line <= lines.len(), "{finding:?}");
        assert!(!is_plain || finding.rule != Rule::NotChecked, "{finding:?}");
        assert_eq!(finding.rule == Rule::SyntaxError, !is_compiled, "{finding:?}");
    }
    assert_styled(&report.text());
    let findings: Vec<serde_json::Value> = serde_json::from_str(&report.json()).expect("JSON");
    let sarif: serde_json::Value = serde_json::from_str(&report.sarif()).expect("JSON");
    assert_eq!(findings.len(), report.findings.len());
    assert_eq!(sarif["runs"][0]["results"].as_array().map(Vec::len), Some(findings.len()));
}

/// Runbook. Inputs with loops are skipped, because an endless one is not a fault of the manifest's
/// reader.
pub(super) fn manifest(data: &[u8]) {
    const LOOPS: [&str; 5] = ["while", "for", "repeat", "goto", "function"];
    let text = String::from_utf8_lossy(data);
    if tokens(&text).iter().any(|token| LOOPS.contains(&token.text(&text))) {
        return;
    }
    let read = || -> Result<Option<Manifest>> {
        let vm = vm(64 << 20)?;
        let declared = Rc::new(RefCell::new(None));
        vm.ask_for_manifest(Rc::clone(&declared));
        vm.stop_after(Duration::from_secs(2));
        vm.run(data, "a.lua")?;
        Ok(declared.take())
    };
    let manifest = match read() {
        Ok(Some(manifest)) => manifest,
        Ok(None) => return,
        Err(error) => return assert_error(&error),
    };
    if let Some(job) = &manifest.job {
        let next = job.timing.after(Timestamp::UNIX_EPOCH);
        assert!(next.is_some_and(|next| next > Timestamp::UNIX_EPOCH), "{job:?}");
    }
}
