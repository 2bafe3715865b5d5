//! Progress of `bulk.each` and similar functions: counting of outcomes, display, and the final
//! summary. Scheduling of the items is in `stdlib/bulk.lua`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use mlua::UserData;
use serde_json::json;

use crate::error::{Error, Kind};
use crate::session::Session;
use crate::ui::format::{count, number, time};
use crate::ui::terminal::{self, Bar};

/// Maximum number of failed items that are named at the end.
const MAX_NAMED: u64 = 10;
/// Maximum number of actions whose calls a summary lists separately.
const MAX_ACTIONS: usize = 8;
/// Delay before a bar appears; short work needs none.
const BAR_DELAY: Duration = Duration::from_millis(500);
/// Interval of updates of a bar.
const TICK: Duration = Duration::from_millis(200);
/// Interval of progress lines, where there is no bar.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Time window of the rate.
const WINDOW: Duration = Duration::from_secs(10);

/// Display of bulk work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// None.
    #[default]
    Nothing,
    /// A summary at the end only.
    AtEnd,
    /// A bar.
    Bar,
    /// A line every few seconds.
    Lines,
    /// The lines as JSON.
    Events,
}

/// Outcomes of the items of one bulk operation so far.
#[derive(Debug)]
pub struct Tally {
    label: String,
    total: Option<u64>,
    began: Instant,
    begun: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
    /// Mark of an operation inside of an item of another one, which is shown instead.
    is_inner: bool,
    calls: BTreeMap<String, u64>,
    throttled: u64,
}

/// Tally as a Lua value.
pub struct Tallied(pub Arc<Tally>);

impl UserData for Tallied {}

/// Outcome of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemOutcome {
    Begun,
    Done,
    Failed,
    Skipped,
}

impl Tally {
    /// Counts an item.
    pub fn count(&self, outcome: ItemOutcome) {
        let counter = match outcome {
            ItemOutcome::Begun => &self.begun,
            ItemOutcome::Done => &self.done,
            ItemOutcome::Failed => &self.failed,
            ItemOutcome::Skipped => &self.skipped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self) -> u64 {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        of(&self.done) + of(&self.failed) + of(&self.skipped)
    }
}

/// All bulk operations of a run.
#[derive(Debug)]
pub struct ProgressBoard {
    show: Show,
    session: Arc<Session>,
    open: Mutex<Vec<Arc<Tally>>>,
    /// Failures in words.
    failures: Mutex<Vec<String>>,
    is_watched: AtomicBool,
    shown: Mutex<Vec<BulkProgress>>,
}

impl ProgressBoard {
    /// Board for one run.
    pub fn new(show: Show, session: Arc<Session>) -> Arc<Self> {
        Arc::new(Self {
            show,
            session,
            open: Mutex::default(),
            failures: Mutex::default(),
            is_watched: AtomicBool::new(false),
            shown: Mutex::default(),
        })
    }

    /// Begins to count.
    pub fn begin(
        self: &Arc<Self>,
        label: String,
        total: Option<u64>,
        is_inner: bool,
    ) -> Arc<Tally> {
        let tally = Arc::new(Tally {
            label,
            total,
            began: Instant::now(),
            begun: AtomicU64::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            is_inner,
            calls: self.session.calls(),
            throttled: self.session.throttled(),
        });
        self.open().push(Arc::clone(&tally));
        if !is_inner {
            self.shown().push(BulkProgress::new(&tally));
        }
        let goes_on = !matches!(self.show, Show::Nothing | Show::AtEnd);
        if goes_on && !self.is_watched.swap(true, Ordering::SeqCst) {
            let board = Arc::downgrade(self);
            // Without the thread only the display is missing.
            let _ = std::thread::Builder::new()
                .name("iamlua-progress".into())
                .spawn(move || watch(&board));
        }
        tally
    }

    /// Ends the count. `names` are the first failed items, if their failures were not reported;
    /// `skips` are the reasons of skipped items. Returns the summary, if one is to be shown.
    pub fn end(&self, tally: &Arc<Tally>, names: Option<&str>, skips: &str) -> Option<String> {
        self.open().retain(|open| !Arc::ptr_eq(open, tally));
        self.shown().retain(|shown| !Arc::ptr_eq(&shown.tally, tally));
        if let Some((names, mut failure)) = names.zip(failure(tally)) {
            let failed = tally.failed.load(Ordering::Relaxed);
            let _ = write!(failure, ": {names}");
            if failed > MAX_NAMED {
                let _ = write!(failure, " and {} more", number(failed - MAX_NAMED));
            }
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
        }
        if tally.is_inner {
            return None;
        }
        match self.show {
            Show::Nothing => None,
            Show::Events => Some(self.event("summary", tally, None)),
            Show::AtEnd | Show::Bar | Show::Lines => Some(self.summary(tally, skips)),
        }
    }

    /// Error of a run with failed items, including those of a stream that was not read to its end.
    pub fn failure(&self) -> Option<Error> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failures.extend(self.open().iter().filter_map(|tally| failure(tally)));
        (!failures.is_empty()).then(|| Error::new(Kind::Script, failures.join("; ")))
    }

    /// Clears the state of an earlier run of the VM.
    pub fn reset(&self) {
        self.open().clear();
        self.shown().clear();
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Completed and remaining items of the operations that were stopped.
    pub fn stopped(&self) -> Vec<String> {
        let open = std::mem::take(&mut *self.open());
        self.shown().clear();
        open.iter()
            .filter(|tally| !tally.is_inner)
            .map(|tally| {
                if self.show == Show::Events {
                    return self.event("stopped", tally, None);
                }
                let (begun, ended) = (tally.begun.load(Ordering::Relaxed), tally.ended());
                let mut text = format!("{}: stopped after {}", tally.label, counts(tally));
                if begun > ended {
                    let _ = write!(text, "; {} were under way", number(begun - ended));
                }
                if let Some(total) = tally.total {
                    let _ = write!(text, "; {} not begun", number(total.saturating_sub(begun)));
                } else {
                    text.push_str("; the rest was not begun");
                }
                text
            })
            .collect()
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Tally>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Vec<BulkProgress>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn summary(&self, tally: &Tally, skips: &str) -> String {
        let seconds = tally.began.elapsed().as_secs_f64();
        let skips = if skips.is_empty() { String::new() } else { format!(" ({skips})") };
        let mut text = format!("{}: {}{skips} in {}", tally.label, counts(tally), time(seconds));
        let calls = self.calls_of(tally);
        match calls.len() {
            0 => {}
            1..=MAX_ACTIONS => {
                let _ = write!(text, "; calls: {}", calls_text(&calls));
            }
            actions => {
                let all = number(calls.values().sum());
                let _ = write!(text, "; {all} calls of {actions} actions");
            }
        }
        text.push_str(&throttled_text(&self.session, self.session.throttled() - tally.throttled));
        text
    }

    fn calls_of(&self, tally: &Tally) -> BTreeMap<String, u64> {
        let mut calls = self.session.calls();
        for (action, before) in &tally.calls {
            if let Some(n) = calls.get_mut(action) {
                *n -= before;
            }
        }
        calls.retain(|_, n| *n > 0);
        calls
    }

    fn event(&self, kind: &str, tally: &Tally, rate: Option<f64>) -> String {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut event = json!({
            "event": kind,
            "time": now(),
            "label": tally.label,
            "done": of(&tally.done),
            "failed": of(&tally.failed),
            "skipped": of(&tally.skipped),
            "total": tally.total,
            "throttled": self.session.throttled() - tally.throttled,
        });
        if let Some(rate) = rate {
            event["rate"] = rounded(rate).into();
        } else {
            event["calls"] = json!(self.calls_of(tally));
            event["seconds"] = rounded(tally.began.elapsed().as_secs_f64()).into();
        }
        event.to_string()
    }
}

/// Numbers of calls by action, in words.
#[must_use]
pub fn calls_text(calls: &BTreeMap<String, u64>) -> String {
    let words: Vec<_> =
        calls.iter().map(|(action, n)| format!("{action} {}", number(*n))).collect();
    words.join(", ")
}

/// Number of throttled calls, and the measured rate of the account, as a suffix; empty if none were
/// throttled.
#[must_use]
pub fn throttled_text(session: &Session, throttled: u64) -> String {
    if throttled == 0 {
        return String::new();
    }
    let rates: Vec<_> = session
        .rates()
        .measured()
        .iter()
        .map(|(action, rate)| format!("{action} about {rate:.1}/s"))
        .collect();
    let rates = if rates.is_empty() { String::new() } else { format!(" ({})", rates.join(", ")) };
    format!("; throttled {}{rates}", number(throttled))
}

/// Number of failed items, in words; none if no item has failed.
fn failure(tally: &Tally) -> Option<String> {
    let failed = tally.failed.load(Ordering::Relaxed);
    let begun = count(tally.begun.load(Ordering::Relaxed), "item");
    (failed > 0).then(|| format!("{}: {} of {begun} failed", tally.label, number(failed)))
}

fn counts(tally: &Tally) -> String {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mut text = format!("{} done", number(of(&tally.done)));
    for (word, n) in [("failed", of(&tally.failed)), ("skipped", of(&tally.skipped))] {
        if n > 0 {
            let _ = write!(text, ", {} {word}", number(n));
        }
    }
    text
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// One bulk operation on display.
#[derive(Debug)]
struct BulkProgress {
    tally: Arc<Tally>,
    bar: Option<Bar>,
    samples: VecDeque<(Instant, u64)>,
    told: Instant,
}

impl BulkProgress {
    fn new(tally: &Arc<Tally>) -> Self {
        Self {
            tally: Arc::clone(tally),
            bar: None,
            samples: VecDeque::from([(tally.began, 0)]),
            told: tally.began,
        }
    }

    /// Recent rate in items per second.
    #[allow(clippy::cast_precision_loss, reason = "what is shown has three digits")]
    fn rate(&mut self, ended: u64) -> f64 {
        let now = Instant::now();
        self.samples.push_back((now, ended));
        while self.samples.len() > 2 && now - self.samples[0].0 > WINDOW {
            self.samples.pop_front();
        }
        let (since, before) = self.samples[0];
        (ended - before) as f64 / (now - since).as_secs_f64().max(1e-3)
    }
}

/// Updates the display until the run has ended.
fn watch(board: &Weak<ProgressBoard>) {
    loop {
        std::thread::sleep(TICK);
        let Some(board) = board.upgrade() else { return };
        for shown in board.shown().iter_mut() {
            update(&board, shown);
        }
    }
}

fn update(board: &ProgressBoard, shown: &mut BulkProgress) {
    let tally = Arc::clone(&shown.tally);
    let ended = tally.ended();
    let rate = shown.rate(ended);
    if board.show == Show::Bar {
        if tally.began.elapsed() >= BAR_DELAY {
            let bar = shown.bar.get_or_insert_with(|| Bar::new(&tally.label, tally.total));
            bar.show(ended, words(board, &tally, ended, rate));
        }
    } else if shown.told.elapsed() >= LINE_INTERVAL {
        shown.told = Instant::now();
        if board.show == Show::Events {
            terminal::say(&board.event("progress", &tally, Some(rate)));
        } else {
            let of = tally.total.map_or_else(String::new, |total| format!(" of {}", number(total)));
            let words = words(board, &tally, ended, rate);
            let done = number(ended);
            terminal::say(&format!("{} INFO  {}: {done}{of}, {words}", now(), tally.label));
        }
    }
}

/// Rate, throttled, failed, skipped, and remaining time.
fn words(board: &ProgressBoard, tally: &Tally, ended: u64, rate: f64) -> String {
    let mut words = format!("{rate:.1}/s");
    let throttled = board.session.throttled() - tally.throttled;
    let failed = tally.failed.load(Ordering::Relaxed);
    let skipped = tally.skipped.load(Ordering::Relaxed);
    for (word, n) in [("throttled", throttled), ("failed", failed), ("skipped", skipped)] {
        if n > 0 {
            let _ = write!(words, ", {word} {}", number(n));
        }
    }
    if let Some(total) = tally.total.filter(|_| rate > 0.0) {
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let left = total.saturating_sub(ended) as f64 / rate;
        let _ = write!(words, ", {} left", time(left));
    }
    words
}
