//! The public API: hosts inside of another program.

#[path = "../examples/embed_approval.rs"]
mod approval;
#[path = "../examples/embed_function.rs"]
mod function;
#[path = "../examples/embed_report.rs"]
mod report;

use std::error::Error as StdError;
use std::io::Write;
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use iamlua::{
    Access, AwsConfig, ChangeStatus, Clock, Error, Format, Host, HostBuilder, Journal, Kind, Mode,
    Outcome, Plan, Target,
};
use serde_json::json;

fn builder() -> HostBuilder {
    Host::builder().target(Target::in_memory())
}

fn planning() -> Host {
    builder().mode(Mode::Plan).build().expect("a host")
}

fn run(host: &Host, code: &str) -> Outcome {
    host.run_code(code, &[]).expect("it can be run")
}

fn value(host: &Host, code: &str) -> serde_json::Value {
    let outcome = run(host, code).into_result().expect("no error");
    outcome.value().cloned().unwrap_or_default()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Main function of an example.
type Example = fn(&mut dyn Write) -> Result<(), Box<dyn StdError>>;

/// Output of an example.
fn printed(example: Example) -> String {
    let mut out = Vec::new();
    example(&mut out).expect("the example runs");
    String::from_utf8(out).expect("text")
}

/// Output of the three examples.
const PRINTED: &str = r##"/ec2/: 2 without an owner
name,role
api-backend-canary,api-backend
web-loadtest,

/legacy/: 3 without an owner
name,role
legacy-app,legacy-app
legacy-app-old,
tmp-migration-2023,

/nothing/: 0 without an owner
name,role

---
Plan for the local account 123456789012

  ~ tag profile batch-compute: Owner data-team@example.com → data
  ~ tag profile batch-gpu: Owner data-team@example.com → data
  ~ tag profile batch-spot-trial: Owner (none) → data

Plan: 0 to create, 3 to change, 0 to delete (3 calls to make)
approved: 3 changes made
undone: 3 changes made
refused: CreateInstanceProfile mistake
---
nobody: no team owns "nobody"
told: {"channels":["#web","#oncall"],"lead":"ada","service":"web"}
told: {"channels":[],"lead":"alan","service":"search"}
"##;

#[test]
fn the_examples_print_what_they_say() {
    let all = [report::run, approval::run, function::run].map(printed);
    assert_eq!(all.join("---\n"), PRINTED);
}

#[test]
fn two_hosts_on_two_threads_do_not_meet() {
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            let host = builder()
                .mode(Mode::Apply)
                .clock(Clock::fixed(at(1_000_000_000)))
                .build()
                .expect("a host");
            host.function("who", |_| Ok(json!("first"))).expect("a function");
            let code = r#"
                for n = 1, 20 do iam.profiles.create("ours-" .. n) end
                local made = iam.profiles.get("ours-1")
                print(who())
                return { #iam.profiles.list(), os.time(), made.create_date:sub(1, 4) }
            "#;
            run(&host, code).into_result().expect("no error")
        });
        let second = scope.spawn(|| {
            let host = Host::builder()
                .target(Target::in_memory_empty())
                .mode(Mode::Plan)
                .clock(Clock::fixed(at(1_800_000_000)))
                .build()
                .expect("a host");
            let code = r#"
                for n = 1, 20 do iam.profiles.create("theirs-" .. n) end
                print(who)
                return { #iam.profiles.list(), os.time() }
            "#;
            run(&host, code).into_result().expect("no error")
        });
        (first.join().expect("no panic"), second.join().expect("no panic"))
    });
    assert_eq!(first.value(), Some(&json!([44, 1_000_000_000, "2001"])));
    assert_eq!(second.value(), Some(&json!([20, 1_800_000_000])));
    assert_eq!((first.stdout(), second.stdout()), ("first\n", "nil\n"));
    assert_eq!((first.changes().len(), second.changes().len()), (20, 0));
    assert!(first.plan().is_none() && first.run_id().is_some());
    assert_eq!(second.plan().map(|plan| plan.changes().len()), Some(20));
    assert!(second.run_id().is_none());
}

#[test]
fn a_plan_is_approved_applied_once_and_undone() {
    let folder = tempfile::tempdir().expect("a folder");
    let account = folder.path().join("account.db");
    for journal in [Journal::Memory, Journal::Folder(folder.path().join("state"))] {
        let host =
            builder().target(Target::file(&account)).journal(journal).build().expect("a host");
        let before = value(&host, "return iam.profiles.get('web-frontend').tags");
        let code = r#"
            iam.profiles.tag("web-frontend", { Squad = "web" })
            local trust = policy.trust "ec2.amazonaws.com"
            iam.roles.create { name = "fresh", assume_role_policy = trust }
            iam.profiles.create { name = "fresh" }
            iam.profiles.add_role("fresh", "fresh")
        "#;
        let planned = run(&host, code).into_result().expect("no error");
        let plan = planned.plan().expect("it plans");
        assert_eq!(plan.changes().len(), 4, "{plan}");
        assert!(plan.changes().iter().all(|change| change.status == ChangeStatus::Planned));
        assert!(plan.to_text(true).contains("fresh"), "{plan}");
        // Through a file, as an approval would be.
        let plan = Plan::from_json(&plan.to_json().expect("JSON")).expect("a plan");

        let applied = host.apply(&plan).expect("it begins").into_result().expect("no error");
        let changes = applied.changes();
        assert!(changes.iter().all(|change| change.status == ChangeStatus::Done));
        assert_eq!(changes.len(), 4);
        assert_eq!(changes[0].after["tags"]["Squad"], "web");
        let id = applied.run_id().expect("a run").to_owned();

        let again = host.apply(&plan).expect("it begins").into_result().expect("no error");
        assert!(again.changes().is_empty() && again.run_id().is_none());
        assert!(again.stderr().contains("4 done before"), "{}", again.stderr());

        let undo = host.plan_undo(&id).expect("a plan");
        assert!(undo.changes().len() >= 3, "{undo}");
        let undone = host.undo(&id).expect("it begins").into_result().expect("no error");
        assert_eq!(undone.changes().len(), undo.changes().len());
        let after = "return { iam.profiles.get('web-frontend').tags, iam.profiles.find('fresh') }";
        assert_eq!(value(&host, after), json!([before]));
        let nothing = host.undo(&id).expect("it begins").into_result().expect("no error");
        assert!(nothing.changes().is_empty());
    }
    let stranger = planning();
    assert_eq!(stranger.undo("no-such-run").expect_err("no run").kind, Kind::Usage);
}

#[test]
fn what_must_not_be_applied_is_refused() {
    let host = builder().max_changes(2).build().expect("a host");
    let make = |host: &Host, code: &str| run(host, code).plan().cloned().expect("it plans");
    let failed = make(&host, "iam.profiles.create('a') error('no')");
    let error = host.apply(&failed).expect_err("it is incomplete");
    assert!(error.message.contains("incomplete"), "{error}");
    let large = make(&host, "for n = 1, 3 do iam.profiles.create('a' .. n) end");
    assert_eq!(host.apply(&large).expect_err("too many").kind, Kind::Refused);
    let fine = make(&host, "iam.profiles.tag('web-frontend', { A = '1' })");
    let text = fine.to_json().expect("JSON").replace("\"1\"", "\"2\"");
    assert_eq!(Plan::from_json(&text).expect_err("changed").kind, Kind::Refused);

    let reads = builder().mode(Mode::ReadOnly).build().expect("a host");
    assert_eq!(reads.apply(&fine).expect_err("read-only").kind, Kind::Refused);
    let refused = run(&reads, "iam.profiles.create('a')");
    assert_eq!(refused.exit_code(), 4);
    assert_eq!(refused.error().map(|error| error.kind), Some(Kind::Refused));

    // Drift: somebody else was faster.
    let folder = tempfile::tempdir().expect("a folder");
    let account = folder.path().join("account.db");
    let planning = builder().target(Target::file(&account)).build().expect("a host");
    let plan = make(&planning, "iam.profiles.tag('web-frontend', { Squad = 'web' })");
    let other = builder().target(Target::file(&account)).mode(Mode::Apply).build().expect("one");
    let done = run(&other, "iam.profiles.tag('web-frontend', { Squad = 'ops' })");
    assert_eq!(done.changes().len(), 1, "{done:?}");
    std::thread::sleep(Duration::from_millis(10));
    let drifted = planning.apply(&plan).expect("it begins");
    assert!(drifted.changes().is_empty());
    assert_eq!(drifted.error().map(|error| error.kind), Some(Kind::Refused), "{drifted:?}");
}

#[test]
fn another_thread_cancels() {
    for code in [
        "while true do end",
        "while true do pcall(error, 'x') end",
        "time.sleep('1h')",
        "local co = coroutine.wrap(function() while true do end end) co()",
        "task.spawn(function() while true do end end)",
        "return ('x'):rep(1e9):find(('.-'):rep(40) .. 'y')",
    ] {
        let host = builder().max_memory(4 << 30).build().expect("a host");
        let (started, start) = mpsc::channel();
        let begins = move |_: &[_]| {
            started.send(()).expect("the test waits");
            Ok(json!(null))
        };
        host.function("begin", begins).expect("a function");
        let cancel = host.cancel_handle();
        let canceller = std::thread::spawn(move || {
            start.recv().expect("the script begins");
            cancel.cancel();
        });
        // None of them ends by itself.
        let outcome = run(&host, &format!("begin() {code}"));
        canceller.join().expect("no panic");
        let kind = outcome.error().map(|error| error.kind);
        assert_eq!((kind, outcome.exit_code()), (Some(Kind::Interrupted), 130), "{code}");

        // It stays cancelled until it is reset.
        assert!(host.cancel_handle().is_cancelled());
        assert!(run(&host, "while true do end").error().is_some());
        host.cancel_handle().reset();
        assert_eq!(value(&host, "return 1"), json!(1));
    }
}

#[test]
fn a_script_that_ends_itself_does_nothing_more() {
    let host = planning();
    host.function("reached", |_| Err(Error::new(Kind::Bug, "it went on"))).expect("a function");
    let outcome = run(&host, "print('a') os.exit(7) pcall(reached) print('b')");
    assert_eq!((outcome.exit_code(), outcome.stdout()), (7, "a\n"));
    assert!(outcome.error().is_none() && !outcome.is_success());
    let failed = "task.spawn(function() error('in a task') end) time.sleep(0.01) print('b')";
    let outcome = run(&host, failed);
    assert_eq!((outcome.exit_code(), outcome.stdout()), (1, ""), "{outcome:?}");
}

#[test]
fn time_and_memory_are_limited() {
    let host = builder().timeout(Duration::from_millis(200)).build().expect("a host");
    let outcome = run(&host, "while true do end");
    assert_eq!(outcome.error().map(|error| error.kind), Some(Kind::Timeout));
    let host = builder().max_memory(16 << 20).build().expect("a host");
    let outcome = run(&host, "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end");
    let error = outcome.error().expect("not enough memory");
    assert!(error.kind == Kind::Script && error.message.contains("memory"), "{error}");
    assert_eq!(value(&host, "return 'still there'"), json!("still there"));
}

/// Writer that somebody else reads.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn output_is_captured_or_goes_where_it_is_told() {
    let code = "print('result', 1) log.warn('careful') report({ { a = 1 } })";
    let host = builder().format(Format::Json).build().expect("a host");
    let outcome = run(&host, code);
    assert!(outcome.stdout().starts_with("result\t1\n["), "{:?}", outcome.stdout());
    assert!(outcome.stderr().contains("careful"), "{:?}", outcome.stderr());

    let (out, err) = (Kept::default(), Kept::default());
    let host = builder().stdout(out.clone()).stderr(err.clone()).build().expect("a host");
    let outcome = run(&host, code);
    assert_eq!((outcome.stdout(), outcome.stderr()), ("", ""));
    let text = |kept: &Kept| String::from_utf8(kept.0.lock().expect("no panic").clone());
    assert!(text(&out).expect("text").starts_with("result\t1\n"));
    assert!(text(&err).expect("text").contains("careful"));

    let host = builder().max_output(100).build().expect("a host");
    let outcome = run(&host, "for n = 1, 1e6 do print(n) end");
    assert_eq!(outcome.error().map(|error| error.kind), Some(Kind::Io), "{outcome:?}");
    assert!(outcome.stdout().len() <= 100);
}

#[test]
fn functions_take_and_give_json() {
    let host = planning();
    host.function("echo", |args| Ok(json!(args))).expect("a function");
    host.function("fail", |_| Err(Error::new(Kind::Argument, "it is wrong").hint("do better")))
        .expect("a function");
    host.function("panics", |_| panic!("on purpose")).expect("a function");
    let given = json!([1, "a", [1, 2], { "k": { "deep": [true, null] } }, 1.5, null]);
    let code = "return echo(1, 'a', { 1, 2 }, { k = { deep = { true, json.null } } }, 1.5, nil)";
    assert_eq!(value(&host, code), given);

    let code = "local ok, err = pcall(fail) return { ok, err.kind, err.message, err.hint }";
    assert_eq!(value(&host, code), json!([false, "argument", "it is wrong", "do better"]));
    let outcome = run(&host, "print('before')\nfail()");
    let error = outcome.error().expect("it fails");
    assert_eq!((error.kind, outcome.exit_code()), (Kind::Argument, 1));
    assert_eq!(error.to_string(), "(code):2: it is wrong");
    let outcome = run(&host, "panics()");
    assert!(outcome.error().is_some_and(|error| error.message.contains("panics")), "{outcome:?}");
    let outcome = run(&host, "echo(function() end)");
    assert_eq!(outcome.error().map(|error| error.kind), Some(Kind::Argument));

    for name in ["", "a b", "1a", "end", "a.b", "a-b", "--x"] {
        let error = host.function(name, |_| Ok(json!(null))).expect_err(name);
        assert_eq!(error.kind, Kind::Usage, "{name}");
    }
    host.function("iam", |_| Ok(json!(null))).expect("known at the run");
    let error = host.run_code("return 1", &[]).expect_err("it is taken");
    assert!(error.message.contains("iam"), "{error}");
}

#[test]
fn scripts_have_arguments_modules_and_the_permissions_that_they_were_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(path(name), text).expect("a file");
    write("lib.lua", "return { answer = 42 }");
    write("data.txt", "some data");
    write(
        "main.lua",
        r#"
        local p = runbook { params = { days = { type = "integer", default = 1 } } }
        return { p.days, require("lib").answer }
        "#,
    );
    let host = planning();
    let outcome = host.run_script(path("main.lua"), &["--days", "30"]).expect("it can be run");
    assert_eq!(outcome.into_result().expect("no error").value(), Some(&json!([30, 42])));
    let error = host.run_script(path("mian.lua"), &[""; 0]).expect_err("it is missing");
    assert!(error.describe().contains("main.lua"), "{error}");

    let data = path("data.txt").display().to_string();
    let code = "local f = assert(io.open((...))) return f:read('a')";
    let denied = host.run_code(code, &[&data]).expect("it can be run");
    assert_eq!(denied.error().map(|error| error.kind), Some(Kind::Permission));
    let host = builder().allow(Access::Read, &data).build().expect("a host");
    let read = host.run_code(code, &[&data]).expect("it can be run");
    assert_eq!(read.value(), Some(&json!("some data")));
    assert_eq!(value(&host, "return io.read('a')"), json!(""), "standard input is not theirs");
}

#[test]
fn hosts_work_inside_of_runtimes_of_tokio() {
    let one = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
    let many = tokio::runtime::Runtime::new().expect("a runtime");
    for runtime in [&one, &many] {
        runtime.block_on(async {
            let host = planning();
            // A direct call blocks, and does not panic.
            assert_eq!(value(&host, "return #iam.profiles.list()"), json!(24));
            let there = host.clone();
            let counted = tokio::task::spawn_blocking(move || value(&there, "return 1"));
            assert_eq!(counted.await.expect("no panic"), json!(1));
            // It is dropped here.
        });
    }
    let error = builder().runtime(one.handle().clone()).build().expect_err("one thread");
    assert_eq!(error.kind, Kind::Usage);
    let host = builder().runtime(many.handle().clone()).build().expect("a host");
    assert_eq!(value(&host, "return #iam.profiles.list()"), json!(24));
}

#[test]
fn the_public_api_is_small() {
    let library = include_str!("../src/lib.rs");
    let mut hidden = false;
    for line in library.lines() {
        assert!(!line.starts_with("pub mod") || hidden, "{line} is seen in the documentation");
        hidden = line == "#[doc(hidden)]";
    }
}

#[test]
fn a_host_can_be_sent_and_shared() {
    fn is_sync<T: Send + Sync>() {}
    is_sync::<Host>();
    is_sync::<Plan>();
    is_sync::<iamlua::CancelHandle>();
}

/// Signals that this process catches.
fn caught_signals() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("SigCgt:")).map(|mask| mask.trim().to_owned())
}

/// Body of the test below, in a process of its own.
fn in_a_hostile_environment() {
    let before = caught_signals();
    let host = planning();
    assert_eq!(value(&host, "return #iam.profiles.list()"), json!(24));
    let outcome = run(&host, "iam.profiles.create('a') log.info('x')").into_result().expect("ok");
    let applied = host.apply(outcome.plan().expect("a plan")).expect("it begins");
    let applied = applied.into_result().expect("no error");
    let undone = host.undo(applied.run_id().expect("a run")).expect("it begins");
    assert!(undone.is_success(), "{undone:?}");
    let denied = run(&host, "return os.getenv('HOME')");
    assert_eq!(denied.error().map(|error| error.kind), Some(Kind::Permission));

    // AWS, played by an emulator: neither keys nor region nor proxy of the variables are used.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let url = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(answer(listener));
        format!("http://{address}")
    });
    let config = AwsConfig::new().credentials("AKIDGIVEN", "secret", None).endpoint_url(url);
    let host = Host::builder().target(Target::aws(config)).build().expect("a host");
    let outcome = run(&host, "return iam.profiles.get('x')");
    let error = outcome.error().expect("the server refuses");
    assert!(error.message.contains("Credential=AKIDGIVEN/"), "{error}");
    assert!(error.message.contains("/us-east-1/iam/"), "{error}");
    assert_eq!(caught_signals(), before, "a host installs no signal handlers");
}

/// Refuses every request, in words that say by whom it was signed.
async fn answer(listener: tokio::net::TcpListener) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = vec![0; 16 << 10];
        let read = stream.read(&mut request).await.unwrap_or(0);
        let request = String::from_utf8_lossy(&request[..read]).into_owned();
        let signed = request.lines().find(|line| line.to_lowercase().starts_with("authorization"));
        let body = format!(
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>{}</Message></Error>\
             <RequestId>1</RequestId></ErrorResponse>",
            signed.unwrap_or("not signed")
        );
        let answer = format!(
            "HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

#[test]
fn variables_and_folders_of_the_process_are_not_used() {
    const CHILD: &str = "IAMLUA_TEST_IS_CHILD";
    const NAME: &str = "embed::variables_and_folders_of_the_process_are_not_used";
    if std::env::var_os(CHILD).is_some() {
        return in_a_hostile_environment();
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", NAME, "--nocapture", "--test-threads=1"]).current_dir(&folder);
    command.env(CHILD, "1").env("TMPDIR", folder.path()).env("HOME", folder.path());
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "AKIDWRONG"),
        ("AWS_SECRET_ACCESS_KEY", "wrong"),
        ("AWS_PROFILE", "no-such-profile"),
        ("AWS_REGION", "no such region"),
        ("AWS_DEFAULT_REGION", "xx"),
        ("AWS_ENDPOINT_URL", "no address"),
        ("AWS_ENDPOINT_URL_IAM", "http://127.0.0.1:1"),
        ("AWS_MAX_ATTEMPTS", "many"),
        ("AWS_CONFIG_FILE", "/proc/self/mem"),
        ("AWS_CA_BUNDLE", "/no/such/file"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("HTTPS_PROXY", "no address"),
        ("IAMLUA_HOME", "/dev/null/state"),
        ("IAMLUA_TARGET", "nowhere"),
        ("IAMLUA_CONFIG", "/no/such/file"),
        ("TZ", "Nowhere/Else"),
    ] {
        command.env(name, value);
    }
    let output = command.output().expect("it runs");
    let (out, err) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{err}", String::from_utf8_lossy(out));
    assert_eq!(err, "", "nothing is said there");
    let left: Vec<_> = std::fs::read_dir(&folder).expect("a folder").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
