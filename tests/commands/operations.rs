//! Operation of the scheduler: log, status page, and failure notifications.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Desk;
use crate::patience::until_some;

/// Scheduler, with the lines of its log.
struct Scheduler {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    /// Output so far.
    said: String,
}

impl Scheduler {
    fn start(desk: &Desk, options: &[&str]) -> Self {
        let mut command = desk.command(&["schedule", "jobs", "--log-format", "json"]);
        let mut child = command.args(options).spawn().expect("it starts");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        Self { child, log, said: String::new() }
    }

    /// Reads the log up to a line that matches.
    #[track_caller]
    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let mut line = String::new();
            let n = self.log.read_line(&mut line).expect("a log");
            assert!(n > 0, "it has ended: {}", self.said);
            self.said += &line;
            let line: Value = serde_json::from_str(&line).expect("a line is JSON");
            for key in ["time", "level", "job", "run", "account", "message"] {
                assert!(line.get(key).is_some(), "{key} is missing in {line}");
            }
            if wanted(&line) {
                return line;
            }
        }
    }

    /// Host and port of the status page.
    fn address(&mut self) -> String {
        let line = self.until(|line| line["message"] == "the status page is up");
        let address = line["address"].as_str().expect("an address");
        address.strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')).expect("one").into()
    }

    /// Ends the scheduler as a service manager does, and returns its exit code and its output.
    fn end(mut self) -> (Option<i32>, String) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process")).expect("one");
        kill_process(pid, Signal::TERM).expect("it can be told");
        self.log.read_to_string(&mut self.said).expect("a log");
        let status = self.child.wait().expect("it ends");
        (status.code(), std::mem::take(&mut self.said))
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Page at a path, once it contains that text: the page may be later than the log.
#[track_caller]
fn shows(address: &str, path: &str, wanted: &str) -> String {
    until_some(
        || Some(get(address, path)).filter(|answer| answer.contains(wanted)),
        || format!("{wanted} is not in {}", get(address, path)),
    )
}

#[test]
fn what_the_scheduler_does_is_on_its_page_and_in_its_metrics() {
    let desk = Desk::new();
    desk.write(
        "jobs/tag.lua",
        "runbook { description = 'Tags.', every = '1s' }\niam.profiles.tag('alpha', { N = tostring(os.clock()) }) print('tagged <alpha>')",
    );
    desk.write("jobs/broken.lua", "runbook { every = '1s'");
    let mut scheduler = Scheduler::start(&desk, &["--listen", "0"]);
    let address = scheduler.address();
    let ended = scheduler.until(|line| line["job"] == "tag" && line["outcome"] == "done");
    let run = ended["run"].as_str().expect("a run");
    let overview = shows(&address, "/", "account 123456789012");
    assert!(overview.starts_with("HTTP/1.1 200"), "{overview}");
    for wanted in ["2 jobs", "1 broken", "every 1s", "href=\"/jobs/tag\""] {
        assert!(overview.contains(wanted), "{wanted}\n{overview}");
    }
    shows(&address, "/jobs/tag", &format!("/runs/{run}"));
    shows(&address, &format!("/runs/{run}"), "tagged &lt;alpha&gt;");
    shows(&address, &format!("/runs/{run}"), &format!("iamlua undo {run}"));
    shows(&address, "/metrics", "iamlua_instance_profiles_quota{account=");
    let metrics = shows(&address, "/metrics", "iamlua_job_broken{job=\"broken\"} 1.0");
    assert!(
        !metrics.contains("iamlua_job_runs_total{job=\"tag\",outcome=\"done\"} 0\n"),
        "{metrics}"
    );
    assert!(get(&address, "/healthz").ends_with("ok\n"));
    // The run has the same id in the journal.
    desk.run(&["runs", "show", run]).ends(0, "");
    // A second scheduler cannot use the same address.
    desk.run(&["schedule", "jobs", "--listen", &address]).ends(1, "choose another port");
    let (code, said) = scheduler.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(TcpStream::connect(&address).is_err(), "nobody listens any more");
}

#[test]
fn a_failure_is_told_to_whom_the_operator_allows_and_no_secret_is_said() {
    let desk = Desk::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    desk.write(
        "jobs/fails.lua",
        format!(
            "runbook {{ every = '1s', on_failure = {{ webhook = 'http://127.0.0.1:{port}/s3cr3t' }} }}\nprint('so far') error('no luck')"
        ),
    );
    desk.write("jobs/works.lua", "runbook { every = '1h' }");
    let mut scheduler = Scheduler::start(&desk, &["--listen", "0"]);
    let address = scheduler.address();
    let broken = scheduler.until(|line| line["level"] == "error");
    let flag = format!("--allow-net=127.0.0.1:{port}");
    assert!(broken["message"].as_str().is_some_and(|text| text.contains(&flag)), "{broken}");
    let page = shows(&address, "/", &flag);
    assert!(!page.contains("s3cr3t"), "{page}");
    let (code, said) = scheduler.end();
    assert!(code == Some(0) && !said.contains("s3cr3t"), "{said}");

    let mut scheduler = Scheduler::start(&desk, &[&flag]);
    let (mut stream, _) = listener.accept().expect("it is told");
    let mut request = BufReader::new(stream.try_clone().expect("the same connection"));
    let (mut length, mut line) = (0, String::new());
    while request.read_line(&mut line).expect("a request") > 2 {
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        line.clear();
    }
    let mut body = vec![0; length];
    request.read_exact(&mut body).expect("a body");
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("answered");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((&body["job"], &body["outcome"]), (&"fails".into(), &"failed".into()), "{body}");
    assert_eq!(body["output"], "so far\n");
    let told = scheduler.until(|line| {
        line["message"].as_str().is_some_and(|text| text.starts_with("told the webhook"))
    });
    assert_eq!(told["run"], body["run"]);
    let (_, said) = scheduler.end();
    assert!(!said.contains("s3cr3t"), "{said}");
}

#[test]
fn what_a_job_prints_and_logs_is_in_the_log_line_by_line() {
    let desk = Desk::new();
    desk.write(
        "jobs/speaks.lua",
        "runbook { every = '1s' }\nio.write('one\\ntw') io.write('o\\27[31m\\nthe end') io.stderr:write('oops\\n') log.warn('look', { job = 'mine', n = 3 })",
    );
    let mut scheduler = Scheduler::start(&desk, &[]);
    let begins = scheduler.until(|line| line["job"] == "speaks" && line["run"].is_string());
    let run = begins["run"].clone();
    scheduler.until(|line| line["run"] == run && line["outcome"] == "done");
    let lines: Vec<Value> = scheduler
        .said
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(|line: &Value| line["run"] == run)
        .collect();
    let of = |stream: &str| -> Vec<_> {
        let lines = lines.iter().filter(|line| line["stream"] == stream);
        lines.map(|line| line["message"].as_str().expect("text")).collect()
    };
    assert_eq!(of("out"), ["one", "two\\x1b[31m", "the end"]);
    assert_eq!(of("err"), ["oops"]);
    let logged = lines.iter().find(|line| line["message"] == "look").expect("its own message");
    assert_eq!(
        (&logged["level"], &logged["job_"], &logged["n"]),
        (&"warn".into(), &"mine".into(), &3.into())
    );
    scheduler.end();
}
