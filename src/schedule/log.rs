//! Log of the scheduler: one line per event and per line of output of a job, as text or as JSON. A
//! line names its job, run and account, and is written by one call, so lines of concurrent jobs do
//! not mix.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::escape::{acts, visible, visible_but};
use crate::ui::format::number;

/// Bytes after which a line of output is truncated.
const MAX_LINE: usize = 16 << 10;

/// Keys of every JSON line.
const KEYS: [&str; 6] = ["time", "level", "job", "run", "account", "message"];

/// Format of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text: `2026-11-24T17:00:00Z INFO  [cleanup] message key=value`.
    #[default]
    Text,
    /// JSON: one object per line.
    Json,
}

/// Severity of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Details for debugging.
    Debug,
    /// Normal events.
    Info,
    /// Conditions to look at.
    Warn,
    /// Failures.
    Error,
}

impl Level {
    /// All levels, the least severe first.
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// Name in JSON and on the command line: `debug`, `info`, `warn`, `error`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// Level with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// Name in text lines, padded to the same width.
    const fn word(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO ",
            Self::Warn => "WARN ",
            Self::Error => "ERROR",
        }
    }
}

/// Job, run and account that a line belongs to. Clones are cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOrigin {
    /// Name of the job.
    pub job: Option<Arc<str>>,
    /// Id of the run.
    pub run: Option<Arc<str>>,
    /// Account, such as `AWS account 123456789012`.
    pub account: Option<Arc<str>>,
}

impl LogOrigin {
    /// Origin of lines that belong to a job, but to no run.
    #[must_use]
    pub fn job(name: &str) -> Self {
        Self { job: Some(name.into()), ..Self::default() }
    }
}

/// Output stream of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Value of the field `stream`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
        }
    }
}

/// Log. Clones write to the same sink, from any thread.
#[derive(Clone)]
pub struct Log(Arc<Inside>);

struct Inside {
    format: Format,
    least: Level,
    clock: Clock,
    sink: Mutex<Box<dyn Write + Send>>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("format", &self.0.format).finish_non_exhaustive()
    }
}

impl Log {
    /// Creates a log without lines less severe than `least`.
    #[must_use]
    pub fn new(format: Format, least: Level, sink: Box<dyn Write + Send>) -> Self {
        Self::with_clock(format, least, sink, Clock::Real)
    }

    /// Creates a log with the times of `clock`.
    #[must_use]
    pub fn with_clock(
        format: Format,
        least: Level,
        sink: Box<dyn Write + Send>,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Inside { format, least, clock, sink: Mutex::new(sink) }))
    }

    /// Writes one line. Errors are ignored: work continues without a log.
    pub fn line(
        &self,
        level: Level,
        origin: &LogOrigin,
        message: &str,
        fields: &[(String, Value)],
    ) {
        if level < self.0.least {
            return;
        }
        let now =
            Timestamp::from_millisecond(self.0.clock.milliseconds()).unwrap_or(Timestamp::MAX);
        let mut line = match self.0.format {
            Format::Text => text_line(now, level, origin, message, fields),
            Format::Json => json_line(now, level, origin, message, fields),
        };
        line.push('\n');
        let mut sink = self.0.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = sink.write_all(line.as_bytes());
        let _ = sink.flush();
    }

    /// Writer that logs each line of the output of a job.
    #[must_use]
    pub fn writer(&self, level: Level, origin: LogOrigin, stream: Stream) -> Printed {
        let fields = [("stream".to_owned(), stream.name().into())];
        Printed { log: self.clone(), level, origin, fields, line: Vec::new(), cut: 0 }
    }
}

/// Output stream of a job, logged line by line. Dropping it writes an unfinished line.
#[derive(Debug)]
pub struct Printed {
    log: Log,
    level: Level,
    origin: LogOrigin,
    fields: [(String, Value); 1],
    /// Line so far.
    line: Vec<u8>,
    /// Number of truncated bytes.
    cut: u64,
}

impl Printed {
    fn push(&mut self, bytes: &[u8]) {
        let (kept, rest) = bytes.split_at(bytes.len().min(MAX_LINE - self.line.len()));
        self.line.extend_from_slice(kept);
        self.cut += rest.len() as u64;
    }

    fn end_line(&mut self) {
        if self.cut == 0 && self.line.ends_with(b"\r") {
            self.line.pop();
        }
        if self.cut > 0 {
            // Truncate at a character boundary.
            let start = self.line.iter().rposition(|byte| byte & 0xC0 != 0x80).unwrap_or(0);
            if std::str::from_utf8(&self.line[start..]).is_err_and(|e| e.error_len().is_none()) {
                self.cut += (self.line.len() - start) as u64;
                self.line.truncate(start);
            }
        }
        // `print` separates its values with tabs.
        let mut text = visible_but(&self.line, |c| c == '\t');
        if self.cut > 0 {
            let _ = write!(text, "… ({} bytes more)", number(self.cut));
        }
        self.log.line(self.level, &self.origin, &text, &self.fields);
        self.line.clear();
        self.cut = 0;
    }
}

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        if let Some(first) = lines.next() {
            self.push(first);
        }
        for line in lines {
            self.end_line();
            self.push(line);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Printed {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}

fn text_line(
    now: Timestamp,
    level: Level,
    origin: &LogOrigin,
    message: &str,
    fields: &[(String, Value)],
) -> String {
    let mut line = format!("{now:.0} {} ", level.word());
    let job = origin.job.as_deref().map(word_text);
    let run = origin.run.as_deref().map(word_text);
    let parts: Vec<_> =
        [job, run, origin.account.as_deref().map(visible)].into_iter().flatten().collect();
    if !parts.is_empty() {
        let _ = write!(line, "[{}] ", parts.join(" "));
    }
    line += &visible_but(message.as_bytes(), |c| c == '\t');
    for (name, value) in fields {
        let value = match value {
            Value::String(text) => word_text(text),
            other => {
                let text = other.to_string();
                if text.contains(must_be_quoted) { quoted(&text) } else { text }
            }
        };
        let _ = write!(line, " {}={value}", word_text(name));
    }
    line
}

/// Value as it stands in a text line, quoted if it would be ambiguous.
fn word_text(text: &str) -> String {
    let shown = visible(text);
    if shown == text && !text.is_empty() && !text.contains(['\\']) && !text.contains(must_be_quoted)
    {
        return shown;
    }
    quoted(text)
}

fn must_be_quoted(c: char) -> bool {
    c.is_ascii_whitespace() || c == '"' || c == '='
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", visible(text.replace('\\', "\\\\").replace('"', "\\\"")))
}

fn json_line(
    now: Timestamp,
    level: Level,
    origin: &LogOrigin,
    message: &str,
    fields: &[(String, Value)],
) -> String {
    let text = |of: &Option<Arc<str>>| of.as_deref().map_or(Value::Null, Value::from);
    let values = [
        format!("{now:.3}").into(),
        level.name().into(),
        text(&origin.job),
        text(&origin.run),
        text(&origin.account),
        message.into(),
    ];
    let mut line: Map<String, Value> = KEYS.map(str::to_owned).into_iter().zip(values).collect();
    for (name, value) in fields {
        let mut name = name.clone();
        while line.contains_key(&name) {
            name.push('_');
        }
        line.insert(name, value.clone());
    }
    let plain = Value::Object(line).to_string();
    // Control characters occur only inside strings, so they can be escaped in the finished line.
    if !plain.contains(acts) {
        return plain;
    }
    plain.chars().fold(String::with_capacity(plain.len() + 16), |mut safe, c| {
        if acts(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
        safe
    })
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::{Format, Level, Log, LogOrigin, Stream};
    use crate::clock::{Clock, ManualClock};

    /// Sink that keeps each call of `write`.
    #[derive(Clone, Default)]
    struct Calls(Arc<Mutex<Vec<String>>>);

    impl Write for Calls {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(bytes.to_vec()).expect("a log is UTF-8");
            self.0.lock().expect("no test panics there").push(text);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Calls {
        fn log(&self, format: Format, least: Level) -> Log {
            let at: Timestamp = "2026-11-24T17:00:00.25Z".parse().expect("a moment");
            let clock = Clock::Manual(ManualClock::new(at));
            Log::with_clock(format, least, Box::new(self.clone()), clock)
        }

        fn taken(&self) -> Vec<String> {
            std::mem::take(&mut *self.0.lock().expect("no test panics there"))
        }
    }

    fn origin() -> LogOrigin {
        LogOrigin {
            job: Some("clean up".into()),
            run: Some("20261124-170000-417k7".into()),
            account: Some("AWS account 123456789012".into()),
        }
    }

    #[test]
    fn a_line_of_text_says_whose_it_is_and_can_be_read_by_its_parts() {
        let calls = Calls::default();
        let log = calls.log(Format::Text, Level::Info);
        let fields = [
            ("plain".to_owned(), json!("web-1")),
            ("odd".to_owned(), json!("a \"b\" \\ =\u{1b}[31m")),
            ("empty".to_owned(), json!("")),
            ("count".to_owned(), json!(3)),
            ("deep".to_owned(), json!({ "a": [1] })),
        ];
        log.line(Level::Warn, &origin(), "one\ntwo\u{9b}2J \u{202e}", &fields);
        log.line(Level::Info, &LogOrigin::default(), "started", &[]);
        log.line(Level::Debug, &LogOrigin::default(), "left out", &[]);
        let lines = calls.taken();
        assert_eq!(
            lines,
            [
                "2026-11-24T17:00:00Z WARN  [\"clean up\" 20261124-170000-417k7 AWS account 123456789012] \
                 one\\ntwo\\u{9b}2J \\u{202e} plain=web-1 odd=\"a \\\"b\\\" \\\\ =\\x1b[31m\" empty=\"\" \
                 count=3 deep=\"{\\\"a\\\":[1]}\"\n",
                "2026-11-24T17:00:00Z INFO  started\n",
            ]
        );
    }

    #[test]
    fn a_line_of_json_always_has_the_same_keys_and_loses_no_field() {
        let calls = Calls::default();
        let log = calls.log(Format::Json, Level::Debug);
        let fields = [
            ("run".to_owned(), json!("mine")),
            ("run_".to_owned(), json!("mine too")),
            ("run".to_owned(), json!("and mine")),
            ("n".to_owned(), json!(null)),
        ];
        log.line(Level::Error, &LogOrigin::job("x"), "bad \u{1b}[0m \u{9b} \u{202e} ü", &fields);
        let lines = calls.taken();
        assert!(!lines[0].trim_end().contains(crate::escape::acts), "{}", lines[0]);
        let line: Value = serde_json::from_str(&lines[0]).expect("JSON");
        assert_eq!(
            line,
            json!({
                "time": "2026-11-24T17:00:00.250Z", "level": "error", "job": "x", "run": null, "account": null,
                "message": "bad \u{1b}[0m \u{9b} \u{202e} ü",
                "run_": "mine", "run__": "mine too", "run___": "and mine", "n": null,
            })
        );
    }

    #[test]
    fn each_printed_line_is_one_line_of_the_log_and_one_write() {
        let calls = Calls::default();
        let log = calls.log(Format::Json, Level::Info);
        let mut out = log.writer(Level::Info, origin(), Stream::Out);
        out.write_all(b"a\tb\r\n\nha").expect("written");
        out.flush().expect("flushed");
        out.write_all(b"lf\xff\x1b[1m\nthe end").expect("written");
        drop(out);
        drop(log.writer(Level::Warn, origin(), Stream::Err));
        let lines: Vec<Value> =
            calls.taken().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let messages: Vec<_> = lines.iter().map(|line| line["message"].clone()).collect();
        assert_eq!(messages, ["a\tb", "", "half\\xff\\x1b[1m", "the end"]);
        assert!(lines.iter().all(|line| line["stream"] == "out" && line["job"] == "clean up"));
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_and_says_what_is_missing() {
        let calls = Calls::default();
        let log = calls.log(Format::Text, Level::Info);
        let mut out = log.writer(Level::Info, LogOrigin::default(), Stream::Out);
        // The limit falls into the middle of a character.
        out.write_all(b"x").expect("written");
        for _ in 0..10_000 {
            out.write_all("ü".repeat(100).as_bytes()).expect("written");
        }
        assert!(out.line.capacity() <= 32 << 10);
        out.write_all(b"\nnext\n").expect("written");
        let lines = calls.taken();
        assert!(
            lines[0].ends_with("ü… (1,983,618 bytes more) stream=out\n"),
            "{:?}",
            &lines[0][16_300..]
        );
        assert!(lines[1].ends_with(" next stream=out\n"));
    }

    #[test]
    fn lines_of_jobs_that_run_at_once_are_whole() {
        let calls = Calls::default();
        let log = calls.log(Format::Json, Level::Info);
        std::thread::scope(|scope| {
            for job in ["a", "b", "c"] {
                let mut out = log.writer(Level::Info, LogOrigin::job(job), Stream::Out);
                scope.spawn(move || {
                    for n in 0..200 {
                        writeln!(out, "{job} {n}").expect("written");
                    }
                });
            }
        });
        let lines = calls.taken();
        assert_eq!(lines.len(), 600);
        for job in ["a", "b", "c"] {
            let of_job: Vec<_> = lines
                .iter()
                .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
                .filter(|line| line["job"] == job)
                .map(|line| line["message"].as_str().expect("text").to_owned())
                .collect();
            assert_eq!(of_job, (0..200).map(|n| format!("{job} {n}")).collect::<Vec<_>>());
        }
    }
}
