//! Tests of the pages over real sockets, with a synthetic snapshot.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::{ChangeGroup, Changes, ExecutionHistory, Listen, Status, bind, serve};
use crate::cron::Timing;
use crate::error::{Error, Kind, Result};
use crate::schedule::log::{Format, Level, Log};
use crate::schedule::record::{Execution, ExecutionOutcome, JobStatus, Quota, Snapshot};
use crate::session::Mode;

const EVIL: &str = "<img src=x onerror=alert(1)>&\"'\u{202e}\u{1b}[2J";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

fn execution(run: &str, outcome: Option<ExecutionOutcome>) -> Execution {
    Execution {
        run: run.into(),
        job: "prod/clean up".into(),
        path: PathBuf::from("/srv/prod/clean up.lua"),
        due: Some(at("2026-11-24T02:00:00Z")),
        attempt: 2,
        started: at("2026-11-24T02:00:01Z"),
        ended: outcome.map(|_| at("2026-11-24T02:01:06Z")),
        outcome,
        exit_code: outcome.map(|_| 1),
        error: outcome.map(|_| format!("no answer came {EVIL}")),
        account: Some("AWS account 123456789012".into()),
        mode: Mode::Apply,
        changes: 4812,
        failed: 3,
        calls: BTreeMap::from([("TagInstanceProfile".into(), 4815)]),
        throttled: 12,
        output: format!("one\ttwo\nthree {EVIL}"),
    }
}

fn job(name: &str) -> JobStatus {
    JobStatus {
        name: name.into(),
        path: PathBuf::from(format!("/srv/{name}.lua")),
        description: Some(format!("Cleans up. {EVIL}")),
        timing: Timing::cron("0 3 * * *", Some("Europe/Berlin")).ok(),
        next: Some(at("2026-11-25T02:00:00Z")),
        running: None,
        last: None,
        last_success: Some(at("2026-11-23T02:01:00Z")),
        broken: None,
    }
}

fn snapshot() -> Snapshot {
    let mut cleanup = job("prod/clean up");
    cleanup.last = Some(execution("20261124-020001-417k7", Some(ExecutionOutcome::Failed)));
    cleanup.running = Some(execution("20261124-170000-aaaaa", None));
    let mut broken = job(EVIL);
    (broken.timing, broken.next) = (None, None);
    broken.broken = Some(format!("line 3: unexpected symbol near {EVIL}"));
    Snapshot {
        now: at("2026-11-24T17:00:00Z"),
        last_iteration: Instant::now(),
        started: at("2026-11-20T08:00:00Z"),
        mode: Some(Mode::Apply),
        account: Some("AWS account 123456789012".into()),
        jobs: vec![cleanup, broken, job("idle")],
        ended: BTreeMap::from([
            (("prod/clean up".into(), ExecutionOutcome::Done), 3),
            (("prod/clean up".into(), ExecutionOutcome::Failed), 1),
        ]),
        seconds: BTreeMap::from([("prod/clean up".into(), 260.5)]),
        changes: BTreeMap::from([("prod/clean up".into(), 4812)]),
        calls: BTreeMap::from([
            ("TagInstanceProfile".into(), 4815),
            ("GetAccountSummary".into(), 2),
        ]),
        throttled: 12,
        quota: Some(Quota {
            account: "AWS account 123456789012".into(),
            profiles: 950,
            quota: Some(1000),
        }),
        is_ending: false,
    }
}

struct FakeHistory;

impl ExecutionHistory for FakeHistory {
    fn executions(&self, path: &Path, _: u32) -> Result<Vec<Execution>> {
        match path.to_str() {
            Some("/srv/prod/clean up.lua") => {
                Ok(vec![execution("20261124-020001-417k7", Some(ExecutionOutcome::Failed))])
            }
            Some("/srv/idle.lua") => Ok(Vec::new()),
            _ => Err(Error::new(Kind::State, "schedule.db is locked")),
        }
    }

    fn execution(&self, run: &str) -> Result<Option<Execution>> {
        Ok((run == "20261124-020001-417k7").then(|| execution(run, Some(ExecutionOutcome::Failed))))
    }

    fn changes(&self, run: &str) -> Result<Option<Changes>> {
        let group =
            |title: &str, line: String| ChangeGroup { title: title.into(), lines: vec![line] };
        Ok((run == "20261124-020001-417k7").then(|| Changes {
            groups: vec![
                group("Done: 4,809 changes", format!("~ tag profile a: {EVIL}")),
                group("Failed: 3 changes", "~ tag profile b\n    it is full".into()),
            ],
            stands: true,
            undone_by: vec!["20261124-090000-undo1".into()],
        }))
    }
}

/// Status page that is served until this is dropped.
struct Up {
    address: SocketAddr,
    /// Current snapshot.
    now: Arc<Mutex<Snapshot>>,
    _runtime: Runtime,
    _stop: oneshot::Sender<()>,
}

impl Up {
    fn new() -> Self {
        Self::on("0")
    }

    fn on(listen: &str) -> Self {
        let runtime = crate::app::run::runtime().expect("a runtime");
        let log = Log::new(Format::Text, Level::Debug, Box::new(std::io::sink()));
        let listen: Listen = listen.parse().expect("an address");
        let listener = runtime.block_on(bind(listen, &log)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let now = Arc::new(Mutex::new(snapshot()));
        let source = Arc::clone(&now);
        let snapshot = move || source.lock().expect("no test panics there").clone();
        let status = Arc::new(Status::new(snapshot, FakeHistory));
        let (stop, stopped) = oneshot::channel();
        runtime.spawn(serve(status, listener, async {
            let _ = stopped.await;
        }));
        Self { address, now, _runtime: runtime, _stop: stop }
    }

    /// Sends a raw request, and returns head and body of the answer.
    fn send(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).expect("connected");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer, and the connection is closed");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        (head.to_owned(), body.to_owned())
    }

    fn get(&self, path: &str) -> (String, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    fn status(&self, request: &str) -> u16 {
        let (head, _) = self.send(request);
        head[9..12].parse().expect("a status")
    }
}

#[test]
fn the_overview_has_all_that_an_operator_looks_for_and_no_markup_of_others() {
    let up = Up::new();
    let (head, body) = up.get("/");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    for wanted in [
        "<html lang=\"en\">",
        "<title>1 failing, 1 broken · Scheduler · iamlua schedule</title>",
        "<a class=\"skip\" href=\"#main\">",
        "<main id=\"main\"",
        "<a href=\"/?live\">Refresh every 15 s</a>",
        "<p role=\"status\">3 jobs, 1 failing, 1 broken, 1 running</p>",
        "<dt>Mode</dt><dd><strong>apply</strong>: jobs make their changes</dd>",
        "<dt>Account</dt><dd>AWS account 123456789012</dd>",
        "<h2>Failing jobs</h2>",
        "<pre>no answer came &lt;img",
        ", attempt 2; next run ",
        "0 3 * * * (Europe/Berlin)",
        "<time datetime=\"2026-11-25T02:00:00Z\">2026-11-25 03:00:00 CET</time>",
        "(in 9 h)",
        "<a href=\"/jobs/prod%2Fclean%20up\">prod/clean up</a>",
        "<a href=\"/runs/20261124-020001-417k7\"><span class=\"failed\">failed</span><span class=\"spoken\">, run 20261124-020001-417k7</span></a>",
        "1m 05s",
        "4,812 (3 failed)",
        "line 3: unexpected symbol near &lt;img",
        "950 of 1,000 instance profiles are used",
        "950 used (95.0 %)",
        "50 free (5.0 %)",
        "<rect class=\"used high\" width=\"950\"",
        "4,817 calls since the scheduler started, 12 of them throttled",
        "<th scope=\"row\"",
    ] {
        assert!(body.contains(wanted), "{wanted}\n{body}");
    }
    for unwanted in ["<img", "<script", "\u{202e}", "\u{1b}", "http", " style=", "javascript:"] {
        assert!(!body.contains(unwanted), "{unwanted:?}\n{body}");
    }
    {
        let mut now = up.now.lock().expect("no test panics there");
        now.jobs[0].next = Some(at("2026-11-24T16:00:00Z"));
    }
    let top = |text: &str| body.find(text).unwrap_or(usize::MAX);
    assert!(top("Failing jobs") < top("Broken runbooks"), "{body}");
    let (_, late) = up.get("/");
    assert!(late.contains("when this run ends"), "{late}");
    let (_, live) = up.get("/?live");
    assert!(live.contains("http-equiv=\"refresh\" content=\"15\""), "{live}");
    assert!(live.contains("<a href=\"/\">Stop refreshing</a>"), "{live}");
}

#[test]
fn trouble_comes_first_on_the_overview() {
    let up = Up::new();
    {
        let mut now = up.now.lock().expect("no test panics there");
        let mut first = job("a first one");
        first.running = Some(execution("20261124-170000-bbbbb", None));
        now.jobs.insert(0, first);
        now.jobs.insert(0, job("a done one"));
    }
    let (_, body) = up.get("/");
    let at = |text: &str| body.find(text).unwrap_or_else(|| panic!("{text}\n{body}"));
    let order = [
        "role=\"status\"",
        "<dt>Mode</dt>",
        "<dt>Account</dt>",
        "<h2>Failing jobs</h2>",
        "<h2>Broken runbooks</h2>",
        "<h2>Running</h2>",
        "<h2>Jobs</h2>",
        "<h2>Quota of instance profiles</h2>",
        "<h2>Calls</h2>",
    ];
    assert!(order.is_sorted_by_key(|text| at(text)), "{body}");
    // The rows of the table of all jobs.
    let (_, table) = body.split_once("All jobs, failing ones first").expect("the table");
    let at = |text: &str| table.find(text).unwrap_or_else(|| panic!("{text}\n{table}"));
    let order = ["prod%2Fclean%20up", "%3Cimg", "a%20first%20one", "a%20done%20one", "idle"];
    assert!(order.is_sorted_by_key(|text| at(text)), "{table}");
    {
        let mut now = up.now.lock().expect("no test panics there");
        now.jobs.retain(|job| job.name == "idle");
        now.quota = None;
    }
    let (_, body) = up.get("/");
    assert!(body.contains("<title>Scheduler · iamlua schedule</title>"), "{body}");
    assert!(body.contains("<p role=\"status\">1 job, 0 running</p>"), "{body}");
    for unwanted in ["Failing", "Broken", "Quota", "class=\"alert\""] {
        assert!(!body.contains(unwanted), "{unwanted}\n{body}");
    }
    up.now.lock().expect("no test panics there").jobs.clear();
    let (_, body) = up.get("/");
    assert!(body.contains("No jobs. A runbook is a job if its manifest has"), "{body}");
}

#[test]
fn every_answer_forbids_a_browser_all_that_the_page_does_not_need() {
    let up = Up::new();
    for path in ["/", "/nothing", "/metrics", "/healthz"] {
        let (head, _) = up.get(path);
        let head = head.to_lowercase();
        for header in [
            "content-security-policy: default-src 'none'; style-src 'sha256-",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
            "connection: close",
        ] {
            assert!(head.contains(header), "{path}: {header}\n{head}");
        }
    }
}

#[test]
fn the_pages_of_a_job_and_of_a_run_are_found_by_their_links() {
    let up = Up::new();
    let (head, body) = up.get("/jobs/prod%2Fclean%20up");
    assert!(head.starts_with("HTTP/1.1 200") && body.contains("<h1>prod/clean up</h1>"), "{body}");
    assert!(body.contains("/runs/20261124-020001-417k7"), "{body}");
    let (_, body) = up.get("/jobs/idle");
    assert!(body.contains("No run yet."), "{body}");
    let (_, body) = up.get("/runs/20261124-020001-417k7");
    assert!(body.contains("one\ttwo\nthree &lt;img src=x") && !body.contains("<img"), "{body}");
    assert!(body.contains("iamlua undo 20261124-020001-417k7"), "{body}");
    let changes = body.find("<h3>Done: 4,809 changes</h3>").expect("its changes");
    assert!(changes < body.find("<h2>Output</h2>").expect("its output"), "{body}");
    for wanted in [
        "~ tag profile a: &lt;img",
        "<h3>Failed: 3 changes</h3>",
        "    it is full",
        "Undone by run <code>20261124-090000-undo1",
    ] {
        assert!(body.contains(wanted), "{wanted}\n{body}");
    }
    assert!(!body.contains("http-equiv"), "what has ended does not change: {body}");
    assert!(!body.contains("?live"), "{body}");
    let (_, body) = up.get("/runs/20261124-020001-417k7?live");
    assert!(!body.contains("http-equiv"), "what has ended does not change: {body}");
    let (_, body) = up.get("/runs/20261124-170000-aaaaa?live");
    assert!(body.contains(">running<") && body.contains("http-equiv"), "{body}");
    assert!(body.contains("<h2>Changes</h2><p>No changes yet.</p>"), "{body}");
    assert!(body.contains("<title>prod/clean up running · Run 20261124-170000-aaaaa"), "{body}");
    // A read error is shown with its reason.
    let (head, body) =
        up.get("/jobs/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E%26%22'%E2%80%AE%1B%5B2J");
    assert!(head.starts_with("HTTP/1.1 500") && body.contains("schedule.db is locked"), "{body}");
    for path in ["/jobs/none", "/jobs/", "/runs/none", "/etc/passwd", "/jobs/../metrics", "/%ff"] {
        let (head, body) = up.get(path);
        assert!(head.starts_with("HTTP/1.1 404") && body.contains("<h1>Not found</h1>"), "{path}");
        assert!(body.contains("<a href=\"/\">All jobs</a>"), "{path}: {body}");
    }
    let (_, body) = up.get("/runs/%3Cimg%20src=x%3E%1B");
    assert!(body.contains("No run &lt;img src=x&gt;\\x1b in the history"), "{body}");
    assert!(body.contains("`iamlua runs show &lt;img src=x&gt;\\x1b` lists them"), "{body}");
    let (_, body) = up.get("/jobs/none");
    assert!(body.contains("No job has this name. It may have been renamed"), "{body}");
}

#[test]
fn metrics_are_the_text_of_prometheus() {
    let up = Up::new();
    let (head, body) = up.get("/metrics");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    for line in [
        "# TYPE iamlua_job_runs_total counter",
        "iamlua_job_runs_total{job=\"prod/clean up\",outcome=\"done\"} 3",
        "iamlua_job_runs_total{job=\"idle\",outcome=\"failed\"} 0",
        "iamlua_job_run_seconds_total{job=\"prod/clean up\"} 260.5",
        "iamlua_job_last_run_timestamp_seconds{job=\"prod/clean up\"} 1795485666.0",
        "iamlua_job_last_success_timestamp_seconds{job=\"idle\"} 1795399260.0",
        "iamlua_job_next_run_timestamp_seconds{job=\"idle\"} 1795572000.0",
        "iamlua_job_running{job=\"prod/clean up\"} 1.0",
        "iamlua_job_broken{job=\"idle\"} 0.0",
        "iamlua_changes_total{job=\"prod/clean up\"} 4812",
        "iamlua_calls_total{action=\"TagInstanceProfile\"} 4815",
        "iamlua_throttled_total 12",
        "iamlua_instance_profiles{account=\"AWS account 123456789012\"} 950.0",
        "iamlua_instance_profiles_quota{account=\"AWS account 123456789012\"} 1000.0",
        "process_start_time_seconds 1795161600.0",
    ] {
        assert!(body.lines().any(|known| known == line), "{line}\n{body}");
    }
    assert!(body.contains("onerror=alert(1)>&\\\"'"), "a quote in a label is escaped: {body}");
}

#[test]
fn health_is_that_of_the_scheduler() {
    let up = Up::new();
    let (head, body) = up.get("/healthz");
    assert!(head.starts_with("HTTP/1.1 200") && body == "ok\n", "{head}");
    up.now.lock().expect("no test panics there").is_ending = true;
    let (head, body) = up.get("/healthz");
    assert!(head.starts_with("HTTP/1.1 503") && body.contains("is ending"), "{body}");
    {
        let mut now = up.now.lock().expect("no test panics there");
        now.is_ending = false;
        // The machine may have been started less than that ago.
        let Some(then) = Instant::now().checked_sub(Duration::from_secs(121)) else { return };
        now.last_iteration = then;
    }
    let (head, body) = up.get("/healthz");
    assert!(head.starts_with("HTTP/1.1 503") && body.contains("has not come round"), "{body}");
}

#[test]
fn only_reading_is_answered_and_only_by_a_name_of_this_machine() {
    let up = Up::new();
    for (request, status) in [
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405),
        ("DELETE /jobs/idle HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        ("GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", 421),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1.evil.example:9464\r\n\r\n", 421),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 421),
        ("GET / HTTP/1.1\r\nHost: a@localhost\r\n\r\n", 421),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: LOCALHOST:80\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.2\r\n\r\n", 200),
    ] {
        assert_eq!(up.status(request), status, "{request}");
    }
    let (head, body) = up.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{body}");
    let (head, _) = up.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert!(head.to_lowercase().contains("allow: get, head"), "{head}");
}

#[test]
fn whoever_says_nothing_does_not_keep_others_waiting() {
    let up = Up::new();
    let silent: Vec<_> =
        (0..200).map(|_| TcpStream::connect(up.address).expect("connected")).collect();
    let (head, _) = up.get("/healthz");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    drop(silent);
}

#[test]
fn where_it_listens_is_said_and_a_taken_port_too() {
    let up = Up::new();
    let runtime = crate::app::run::runtime().expect("a runtime");
    let log = Log::new(Format::Text, Level::Debug, Box::new(std::io::sink()));
    let taken = runtime.block_on(bind(Listen(up.address), &log)).expect_err("it is taken");
    assert!(taken.describe().contains("choose another port with --listen"), "{}", taken.describe());
    let listen = |text: &str| text.parse::<Listen>().map(|listen| listen.0.to_string());
    assert_eq!(listen("9464").as_deref(), Ok("127.0.0.1:9464"));
    assert_eq!(listen("localhost:0").as_deref(), Ok("127.0.0.1:0"));
    assert_eq!(listen("[::1]:9464").as_deref(), Ok("[::1]:9464"));
    assert_eq!(listen("0.0.0.0:9464").as_deref(), Ok("0.0.0.0:9464"));
    for wrong in ["", "127.0.0.1", "example.com:80", "99999", "localhost"] {
        assert!(listen(wrong).expect_err("it is wrong").contains("127.0.0.1:9464"), "{wrong}");
    }
}
