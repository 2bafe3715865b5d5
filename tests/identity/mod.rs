//! Comparison of the requests of this program, in every case of `cases.toml`, with those of the AWS
//! CLI in `expected.json`, which `oracle.py` writes. `cases.toml` describes the fields of a case.

mod connections;
mod endpoint;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

use crate::patience::PATIENCE;
use crate::terminal::Terminal;
use endpoint::Endpoint;

const CASES: &str = include_str!("cases.toml");
const EXPECTED: &str = include_str!("expected.json");

/// Calls that may be repeated without an effect. `AssumeRole` may use up a code, and a refresh a
/// token.
const REPEATABLE: [&str; 4] =
    ["connect", "container:credentials", "metadata:credentials", "sts:GetCallerIdentity"];

/// Placeholders of a case: the home folder and the endpoint.
struct Places<'a> {
    home: &'a str,
    endpoint: &'a str,
}

impl Places<'_> {
    fn fill(&self, text: &str) -> String {
        let soon = jiff::Timestamp::now() + Duration::from_mins(5);
        let port = self.endpoint.rsplit(':').next().unwrap_or_default();
        text.replace("{home}", self.home)
            .replace("{endpoint}", self.endpoint)
            .replace("{port}", port)
            .replace("{in_five_minutes}", &soon.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }
}

/// Required outcome of a case.
struct Expected {
    requests: Vec<Value>,
    /// Exit code, and texts of the message, if it must fail.
    refuses: Option<(i64, Vec<String>)>,
    /// Codes that are typed and must not be shown.
    secrets: Vec<String>,
}

/// Actual outcome of a case.
struct Outcome {
    requests: Vec<Value>,
    code: Option<i32>,
    said: String,
}

fn json_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => json!(number.as_str().parse::<i64>().expect("a number")),
        DeValue::Array(items) => items.iter().map(|item| json_of(item.get_ref())).collect(),
        DeValue::Table(table) => json_of_table(table),
        other => panic!("{other:?} is nothing that a case has"),
    }
}

pub(crate) fn json_of_table(table: &DeTable<'_>) -> Value {
    let pairs = table.iter();
    pairs.map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref()))).collect()
}

fn cases() -> Vec<Value> {
    let table = DeTable::parse(CASES).expect("cases.toml is TOML");
    json_of_table(table.get_ref())["case"].as_array().expect("cases").clone()
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| item.as_str().expect("a text").to_owned()).collect()
}

fn pairs(value: &Value) -> impl Iterator<Item = (&str, &str)> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(name, text)| (name.as_str(), text.as_str().expect("a text")))
}

/// Requests in a form that is independent of retries and irrelevant order. The region of an
/// instance may be requested at any time, and a call that failed at the proxy may be repeated.
fn normalized(requests: &[Value]) -> Vec<Value> {
    let (mut regions, mut others): (Vec<_>, Vec<_>) =
        requests.iter().cloned().partition(|request| request["call"] == "metadata:region");
    regions.truncate(1);
    let repeatable = |request: &Value| {
        let call = request["call"].as_str().unwrap_or_default();
        REPEATABLE.contains(&call)
    };
    others.dedup_by(|one, other| one == other && repeatable(one));
    regions.append(&mut others);
    regions
}

/// Required outcome: the answer of the AWS CLI, or that of `differs`.
fn expected(case: &Value, answers: &Map<String, Value>) -> Result<Expected, String> {
    let name = case["name"].as_str().expect("a name");
    let Some(answer) = answers.get(name) else {
        return Err("expected.json does not have it: run tests/identity/oracle.py".into());
    };
    let answer = &answer["v2"];
    let cli = answer["requests"].as_array().ok_or("no answer of version 2 of the AWS CLI")?;
    let refusal = |from: &Value| {
        let says = strings(&from["refuses"]["says"]);
        from["refuses"]["code"].as_i64().map(|code| (code, says))
    };
    let secrets: Vec<_> =
        strings(&case["types"]).into_iter().filter(|code| code.len() > 1).collect();
    let differs = &case["differs"];
    if differs.is_null() {
        let refuses = refusal(case);
        if answer["error"].is_string() != refuses.is_some() {
            return Err("`refuses` is for cases in which the AWS CLI fails, and only those".into());
        }
        return Ok(Expected { requests: normalized(cli), refuses, secrets });
    }
    let (requests, refuses) = (differs["requests"].as_array(), refusal(differs));
    if differs["reason"].as_str().is_none_or(str::is_empty)
        || (requests.is_none() && refuses.is_none())
    {
        return Err("`differs` needs a reason, and `requests` or `refuses`".into());
    }
    let requests = normalized(requests.map_or(&[], Vec::as_slice));
    Ok(Expected { requests, refuses, secrets })
}

fn lay_out(case: &Value, home: &Path, places: &Places<'_>) {
    let write = |name: &str, content: &[u8], mode: u32| {
        let path = home.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, content).expect("a file");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("a mode");
    };
    for name in ["config", "credentials"] {
        if let Some(text) = case[name].as_str() {
            write(&format!(".aws/{name}"), places.fill(text).as_bytes(), 0o600);
        }
    }
    for (name, text) in pairs(&case["files"]) {
        write(name, places.fill(text).as_bytes(), 0o600);
    }
    for (name, text) in pairs(&case["executables"]) {
        write(name, places.fill(text).as_bytes(), 0o755);
    }
    for (name, text) in pairs(&case["bytes"]) {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
        write(name, &bytes, 0o600);
    }
}

/// Whole environment of a case, the same as in `oracle.py`.
fn environment(case: &Value, places: &Places<'_>) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = [
        ("HOME", "{home}"),
        ("PATH", "/usr/bin:/bin"),
        ("LC_ALL", "C.UTF-8"),
        ("HTTPS_PROXY", "{endpoint}"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "{endpoint}/"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("AWS_PAGER", ""),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for service in ["STS", "IAM", "SSO", "SSO_OIDC", "SIGNIN"] {
        variables.insert(format!("AWS_ENDPOINT_URL_{service}"), "{endpoint}".to_owned());
    }
    for name in strings(&case["unset"]) {
        variables.remove(&name);
    }
    variables.extend(
        pairs(&case["environment"]).map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    variables.insert("IAMLUA_HOME".into(), "{home}/state".into());
    variables.into_iter().map(|(name, value)| (name, places.fill(&value))).collect()
}

/// Detaches a process from the terminal, also if the tests run at one.
fn detached(command: &mut Command) -> &mut Command {
    // SAFETY: one system call between fork and exec.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        })
    }
}

/// Runs this program in a case. Calls to IAM are left out: the AWS CLI makes none here.
fn run(case: &Value, endpoint: &Endpoint) -> (Outcome, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let home = folder.path().canonicalize().expect("a folder");
    let home_text = home.to_str().expect("UTF-8").to_owned();
    let places = Places { home: &home_text, endpoint: &endpoint.url };
    lay_out(case, &home, &places);
    let flags = strings(&case["flags"]).into_iter().map(|flag| places.fill(&flag));
    let mut command = Command::new(env!("CARGO_BIN_EXE_iamlua"));
    command
        .args(["whoami", "--aws"])
        .args(flags)
        .env_clear()
        .envs(crate::end_to_end::clock_settings())
        .envs(environment(case, &places))
        .current_dir(&home);
    let (code, said) = if case["types"].is_array() {
        at_terminal(&mut command, &strings(&case["types"]))
    } else {
        let input = case["input"].as_str().unwrap_or_default();
        without_terminal(&mut command, &home, input)
    };
    let is_iam = |request: &Value| {
        let starts =
            |field: &str, with| request[field].as_str().unwrap_or_default().starts_with(with);
        starts("call", "iam:") || starts("host", "iam.") || starts("host", "iam-fips.")
    };
    let mut made = endpoint.requests();
    made.retain(|request| !is_iam(request));
    (Outcome { requests: normalized(&made), code, said }, home_text)
}

fn without_terminal(command: &mut Command, home: &Path, input: &str) -> (Option<i32>, String) {
    let (stdin, stderr) = (home.join("stdin"), home.join("stderr"));
    std::fs::write(&stdin, input).expect("a file");
    let mut child = detached(command)
        .stdin(std::fs::File::open(&stdin).expect("a file"))
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&stderr).expect("a file"))
        .spawn()
        .expect("the program starts");
    let end = Instant::now() + PATIENCE;
    let code = loop {
        if let Some(status) = child.try_wait().expect("it is a child") {
            break status.code();
        }
        if Instant::now() > end {
            let _ = child.kill();
            break child.wait().expect("it is a child").code();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    (code, String::from_utf8_lossy(&std::fs::read(&stderr).expect("a file")).into_owned())
}

/// Types a line for each request of a code. Returns all output on the terminal.
fn at_terminal(command: &mut Command, types: &[String]) -> (Option<i32>, String) {
    let mut terminal = Terminal::start(command, 24, 200);
    let end = Instant::now() + PATIENCE;
    let mut answered = 0;
    let code = loop {
        let asked = terminal.raw().matches("MFA code").count();
        // Input before the echo is off may be discarded.
        if answered < types.len().min(asked) && !terminal.echoes() {
            terminal.keys(&format!("{}\r", types[answered]));
            answered += 1;
        }
        if let Some(status) = terminal.ended() {
            break status.code();
        }
        if Instant::now() > end {
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    (code, terminal.raw())
}

/// Differences between an outcome and the expected one.
fn faults(expected: &Expected, outcome: &Outcome, home: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = |requests: &[Value]| {
        let lines = requests.iter().map(|request| format!("\n        {request}"));
        if requests.is_empty() { " none".to_owned() } else { lines.collect() }
    };
    if expected.requests != outcome.requests {
        faults.push(format!(
            "requests expected:{}\n      requests made:{}",
            lines(&expected.requests),
            lines(&outcome.requests)
        ));
    }
    let code = expected.refuses.as_ref().map_or(0, |(code, _)| *code);
    if outcome.code.map(i64::from) != Some(code) {
        faults.push(format!("exit code expected: {code}, got: {:?}", outcome.code));
    }
    for text in expected.refuses.iter().flat_map(|(_, says)| says) {
        let text = text.replace("{home}", home);
        if !outcome.said.contains(&text) {
            faults.push(format!("the message lacks {text:?}"));
        }
    }
    // Neither secrets nor codes are shown.
    for secret in expected.secrets.iter().map(String::as_str).chain(["s3cr3t", "secret-of-"]) {
        if outcome.said.contains(secret) {
            faults.push(format!("it shows the secret {secret:?}"));
        }
    }
    if !faults.is_empty() {
        let said = outcome.said.trim_end().replace(home, "{home}").replace('\n', "\n        ");
        faults.push(format!("it said:\n        {said}"));
    }
    faults
}

/// Runs every case, several at once. The failure lists all cases that differ. `IAMLUA_TEST_CASES`
/// selects cases by a part of their names.
#[test]
fn identity_is_that_of_the_aws_cli() {
    let only = std::env::var("IAMLUA_TEST_CASES").unwrap_or_default();
    let cases = cases();
    let answers: Value = serde_json::from_str(EXPECTED).expect("expected.json is JSON");
    let answers = answers["cases"].as_object().expect("cases");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let chosen: Vec<_> = cases
        .iter()
        .filter(|case| case["name"].as_str().is_some_and(|name| name.contains(&only)))
        .collect();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, case)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    chosen.get(index).map(|case| (index, *case))
                } {
                    let found = match expected(case, answers) {
                        Err(fault) => vec![fault],
                        Ok(expected) => {
                            let endpoint = Endpoint::start(&runtime);
                            let (outcome, home) = run(case, &endpoint);
                            faults(&expected, &outcome, &home)
                        }
                    };
                    if !found.is_empty() {
                        let mut failed = failed.lock().expect("no thread has failed");
                        failed.insert(index, found);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no thread has failed");
    let mut report = String::new();
    for (index, found) in &failed {
        let _ = writeln!(report, "  {}", chosen[*index]["name"].as_str().unwrap_or_default());
        for fault in found {
            let _ = writeln!(report, "      {fault}");
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {} cases are not as they should be:\n{report}",
        failed.len(),
        chosen.len()
    );
}

/// Each answer in `expected.json` belongs to a case, and each case has one.
#[test]
fn every_identity_case_has_an_answer_of_the_aws_cli() {
    let answers: Value = serde_json::from_str(EXPECTED).expect("expected.json is JSON");
    let answers = answers["cases"].as_object().expect("cases");
    let cases = cases();
    let names: Vec<_> = cases.iter().filter_map(|case| case["name"].as_str()).collect();
    assert!(names.len() >= 80, "{} cases", names.len());
    assert_eq!(names, answers.keys().map(String::as_str).collect::<Vec<_>>());
    let wrong: Vec<_> = cases
        .iter()
        .filter_map(|case| expected(case, answers).err().map(|fault| (&case["name"], fault)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
