//! Tests of failure notifications, with real programs and a real server.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use super::{check, command, tell};
use crate::lua::OnFailure;
use crate::lua::sandbox::{Access, Permissions};
use crate::schedule::log::{Format, Level, Log};
use crate::schedule::record::{Execution, ExecutionOutcome};
use crate::session::Mode;

const RETRY_INTERVAL: [Duration; 3] = [Duration::from_millis(1); 3];

fn execution() -> Execution {
    let at: Timestamp = "2026-11-24T03:00:00Z".parse().expect("a moment");
    Execution {
        run: "20261124-030000-417k7".into(),
        job: "cleanup".into(),
        path: PathBuf::from("/srv/runbooks/cleanup.lua"),
        due: Some(at),
        attempt: 3,
        started: at,
        ended: Some(at),
        outcome: Some(ExecutionOutcome::Failed),
        exit_code: Some(1),
        error: Some("no answer\0 came\n  at cleanup.lua:3".into()),
        account: Some("AWS account 123456789012".into()),
        mode: Mode::Apply,
        changes: 7,
        failed: 2,
        calls: BTreeMap::new(),
        throttled: 0,
        output: format!("{}the end", "ü".repeat(4000)),
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no test panics there").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn log(&self) -> Log {
        Log::new(Format::Text, Level::Debug, Box::new(self.clone()))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no test panics there").clone()).expect("UTF-8")
    }
}

/// Sends the notifications; returns true if all arrived, and the log.
fn notify_all(on_failure: &OnFailure) -> (bool, String) {
    let lines = Lines::default();
    let runtime = crate::app::run::runtime().expect("a runtime");
    let all = runtime.block_on(tell(on_failure, &execution(), &lines.log(), &RETRY_INTERVAL));
    (all, lines.text())
}

fn shell(script: &str) -> OnFailure {
    OnFailure { command: ["sh", "-c", script].map(str::to_owned).to_vec(), webhook: None }
}

/// Server that answers with these statuses in turn, and returns the requests.
fn server(statuses: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/services/s3cr3t", listener.local_addr().expect("bound"));
    let serve = std::thread::spawn(move || {
        let answer = |status: &&str| {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let n = stream.read(&mut buffer).expect("a request");
                request.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let length = text.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("content-length")
                        .then(|| value.trim().parse().ok())?
                });
                let body = text.find("\r\n\r\n").map(|at| request.len() - at - 4);
                if n == 0 || body.zip(length).is_some_and(|(has, length): (_, usize)| has >= length)
                {
                    break;
                }
            }
            let head = "Content-Length: 0\r\nConnection: close\r\nLocation: http://127.0.0.1:9/";
            write!(stream, "HTTP/1.1 {status}\r\n{head}\r\n\r\n").expect("an answer");
            String::from_utf8(request).expect("UTF-8")
        };
        statuses.iter().map(answer).collect()
    });
    (address, serve)
}

#[test]
fn a_program_is_told_all_that_is_known() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("told");
    let script = format!(
        "cat > {0}; printf '%s\\n' \"$IAMLUA_JOB\" \"$IAMLUA_RUN\" \"$IAMLUA_OUTCOME\" \"$IAMLUA_ERROR\" > {0}.env",
        file.display()
    );
    let (all, log) = notify_all(&shell(&script));
    assert!(all, "{log}");
    assert!(log.contains("INFO  [cleanup 20261124-030000-417k7 AWS account 123456789012] told the program sh of the failure"), "{log}");
    let body: Value =
        serde_json::from_slice(&std::fs::read(&file).expect("it was told")).expect("JSON");
    assert_eq!(body["job"], "cleanup");
    assert_eq!(body["due"], "2026-11-24T03:00:00Z");
    assert_eq!(
        (&body["attempt"], &body["changes"], &body["failed"]),
        (&3.into(), &7.into(), &2.into())
    );
    assert_eq!((&body["outcome"], &body["exit_code"]), (&"failed".into(), &1.into()));
    assert_eq!(body["error"], "no answer\0 came\n  at cleanup.lua:3");
    let output = body["output"].as_str().expect("text");
    assert!(output.len() <= 4096 && output.len() > 4090 && output.ends_with("üthe end"));
    assert!(!body["host"].as_str().expect("text").is_empty());
    let environment = std::fs::read_to_string(file.with_extension("env")).expect("it was told");
    assert_eq!(
        environment,
        "cleanup\n20261124-030000-417k7\nfailed\nno answer\\x00 came\n  at cleanup.lua:3\n"
    );
}

#[test]
fn what_fails_is_tried_four_times_and_said_each_time() {
    let (all, log) = notify_all(&shell("echo 'no such channel' >&2; exit 3"));
    assert!(!all);
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 4, "{log}");
    for line in &lines[..3] {
        assert!(line.contains(" WARN ") && line.contains("again_in=1ms"), "{line}");
        assert!(line.contains("it ended with exit status: 3; it said: no such channel"), "{line}");
    }
    assert!(lines[3].contains(" ERROR ") && lines[3].contains("gave up"), "{log}");
    let (all, log) =
        notify_all(&OnFailure { command: vec!["/no/such/program".into()], webhook: None });
    assert!(!all && log.contains("it cannot be run: No such file"), "{log}");
}

#[test]
fn a_program_that_does_not_end_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("pid");
    let script = format!("sleep 600 & echo $! > {}; wait", file.display());
    let words = shell(&script).command;
    let runtime = crate::app::run::runtime().expect("a runtime");
    let began = Instant::now();
    let why = runtime
        .block_on(command::run_for(&words, &execution(), b"{}", Duration::from_secs(1)))
        .expect_err("it does not end");
    assert!(why.contains("it was killed"), "{why}");
    assert!(began.elapsed() < Duration::from_mins(5));
    let pid = std::fs::read_to_string(&file).expect("it has begun");
    let stat = PathBuf::from(format!("/proc/{}/stat", pid.trim()));
    // The system may take a moment to remove it; a zombie counts as ended.
    let is_gone = || std::fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z "));
    while cfg!(target_os = "linux") && !is_gone() {
        assert!(began.elapsed() < Duration::from_mins(5), "{pid} still runs");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_program_that_leaves_something_behind_is_not_waited_for() {
    let began = Instant::now();
    let (all, log) = notify_all(&shell("sleep 600 & exit 0"));
    assert!(all && began.elapsed() < Duration::from_mins(5), "{log}");
    // Much output and unread input must not block either.
    let (all, log) = notify_all(&shell("head -c 1000000 /dev/zero; exit 0"));
    assert!(all, "{log}");
}

#[test]
fn a_webhook_gets_the_failure_as_json_until_it_takes_it() {
    let (address, serve) = server(&["500 Oh", "302 Elsewhere", "204 Taken"]);
    let on_failure = OnFailure { command: Vec::new(), webhook: Some(address) };
    let (all, log) = notify_all(&on_failure);
    let requests = serve.join().expect("served");
    assert!(all, "{log}");
    assert_eq!(log.lines().count(), 3, "{log}");
    assert!(log.contains("the answer was 500") && log.contains("the answer was 302"), "{log}");
    assert!(log.contains("told the webhook at 127.0.0.1:"), "{log}");
    assert!(!log.contains("s3cr3t"), "{log}");
    for request in requests {
        let (head, body) = request.split_once("\r\n\r\n").expect("a request");
        assert!(head.starts_with("POST /services/s3cr3t HTTP/1.1"), "{head}");
        assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
        let body: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["run"], "20261124-030000-417k7");
        let text = body["text"].as_str().expect("text");
        assert!(text.starts_with("cleanup on ") && text.contains(": failed: no answer"), "{text}");
    }
}

#[test]
fn nothing_that_is_said_of_a_webhook_has_more_of_it_than_its_host() {
    // The listener is dropped, so nothing listens on the port.
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("bound").port()
    };
    for scheme in ["http", "https"] {
        let address = format!("{scheme}://127.0.0.1:{port}/services/s3cr3t?token=s3cr3t");
        let (all, log) = notify_all(&OnFailure { command: Vec::new(), webhook: Some(address) });
        assert!(!all && log.lines().count() == 4, "{log}");
        assert!(log.to_lowercase().contains("refused"), "{log}");
        assert!(!log.contains("s3cr3t"), "{log}");
    }
}

#[test]
fn what_was_not_granted_is_said_with_the_flag_that_grants_it() {
    let nothing = Permissions::default();
    let why = |on_failure: &OnFailure, permissions: &Permissions| {
        check(on_failure, permissions).expect_err("it was not granted").describe()
    };
    let program = shell("true");
    assert!(why(&program, &nothing).contains("--allow-run=sh"));
    let mut some = Permissions::default();
    some.allow(Access::Run, "sh").expect("granted");
    check(&program, &some).expect("granted");

    let to = |address: &str| OnFailure { command: Vec::new(), webhook: Some(address.into()) };
    let text = why(&to("https://Hooks.example.com/s3cr3t"), &some);
    assert!(text.contains("--allow-net=hooks.example.com") && !text.contains("s3cr3t"), "{text}");
    assert!(why(&to("http://[::1]:8080/x"), &nothing).contains("--allow-net=[::1]:8080"));
    some.allow(Access::Net, "hooks.example.com:443").expect("granted");
    check(&to("https://hooks.example.com/s3cr3t"), &some).expect("granted");
    assert!(check(&to("https://hooks.example.com:8443/s3cr3t"), &some).is_err());
    assert!(check(&to("https://hooks.example.com.evil.example/s3cr3t"), &some).is_err());
    some.allow(Access::Net, "HOOKS.example.com").expect("granted");
    check(&to("https://hooks.example.com:8443/s3cr3t"), &some).expect("granted");
    assert!(some.allow(Access::Net, "https://hooks.example.com/").is_err());
    let mut all = Permissions::default();
    all.allow(Access::Net, "").expect("granted");
    check(&to("http://anywhere.example/"), &all).expect("granted");

    for address in ["https://", "https://user:s3cr3t@host/", "https://a b/s3cr3t", "ftp://x/s3cr3t"]
    {
        let text = why(&to(address), &all);
        assert!(text.contains("on_failure.webhook") && !text.contains("s3cr3t"), "{text}");
    }
}
