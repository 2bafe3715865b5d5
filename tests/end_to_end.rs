//! Program as a process: arguments and files in; output and exit code out. Each test has its own
//! home and a cleared environment.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;

use crate::patience::{Gatekeeper, Running};

pub(crate) struct Home(tempfile::TempDir);

/// Variables with which `tests/busy.sh` sets the clock, which every program of a test must share.
pub(crate) fn clock_settings() -> Vec<(&'static str, std::ffi::OsString)> {
    let names = ["FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC", "LD_PRELOAD", "TZ"];
    let is_set = std::env::var_os("FAKETIME").is_some();
    let settings = names.into_iter().filter(|_| is_set);
    settings.filter_map(|name| Some((name, std::env::var_os(name)?))).collect()
}

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// Calls that are held in the local account.
    pub(crate) fn gatekeeper(&self) -> Gatekeeper {
        Gatekeeper::of(&self.path("state"))
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iamlua"));
        command
            .args(args)
            .env_clear()
            .envs(clock_settings())
            .env("IAMLUA_HOME", self.path("state"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().expect("the program starts"))
    }

    /// Runs with text on standard input.
    pub(crate) fn feed(&self, args: &[&str], input: &str) -> Ran {
        let mut child =
            self.command(args).stdin(Stdio::piped()).spawn().expect("the program starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        Ran::from(child.wait_with_output().expect("it ends"))
    }
}

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Ran {
    #[track_caller]
    pub(crate) fn ends(self, code: i32, err: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(err), "{err:?} is not in {self:?}");
        self
    }
}

#[test]
fn the_first_command_of_the_readme_lists_the_example_account() {
    let home = Home::new();
    let first = home.run(&["run", "scripts/inventory.lua"]).ends(0, "made a local example account");
    assert!(first.out.contains("web-frontend"), "{first:?}");
    let again = home.run(&["run", "scripts/inventory.lua", "--output", "json"]).ends(0, "");
    let rows: serde_json::Value = serde_json::from_str(&again.out).expect("JSON");
    assert_eq!(rows.as_array().map(Vec::len), Some(24));
    assert!(!again.err.contains("made a local"), "{again:?}");
}

#[test]
fn what_one_process_writes_the_next_one_reads() {
    let home = Home::new();
    home.run(&["account", "reset", "--empty"]).ends(0, "");
    home.run(&["-e", r#"iam.profiles.create { name = "a", tags = { Owner = "ops" } }"#])
        .ends(0, "");
    let read = home.run(&["-e", r#"print(iam.profiles.get("a").tags.Owner)"#]).ends(0, "");
    assert_eq!(read.out, "ops\n");
}

#[test]
fn many_processes_write_to_one_account_and_lose_nothing() {
    let home = Home::new();
    home.run(&["account", "reset", "--empty"]).ends(0, "");
    let code = |n: usize| format!("for i = 1, 25 do iam.profiles.create('p{n}-' .. i) end");
    let children: Vec<_> = (0..4)
        .map(|n| home.command(&["-e", &code(n)]).spawn().expect("the program starts"))
        .collect();
    for child in children {
        Ran::from(child.wait_with_output().expect("it ends")).ends(0, "");
    }
    let count = "local n = 0 for _ in iam.profiles.each {} do n = n + 1 end print(n)";
    assert_eq!(home.run(&["-e", count]).out, "100\n");
}

#[test]
fn scripts_that_cannot_be_run_say_why() {
    let home = Home::new();
    home.run(&["run", "scripts/inventry.lua"]).ends(2, "did you mean scripts/inventory.lua?");
    home.run(&["run", "scripts"]).ends(2, "is a folder");
    let binary = home.write("binary.lua", [0x7f, b'E', b'L', b'F', 0, 1, 2]);
    home.run(&["run", binary.to_str().expect("UTF-8")]).ends(1, "is a binary file");
    let bytecode = home.write("code.luac", b"\x1bLua\x54rest");
    home.run(&["run", bytecode.to_str().expect("UTF-8")]).ends(1, "is compiled Lua");
    let huge = home.write("huge.lua", vec![b' '; 33 << 20]);
    home.run(&["run", huge.to_str().expect("UTF-8")]).ends(1, "is larger than 32 MiB");
    home.run(&["rnu", "x.lua"]).ends(2, "unrecognized subcommand");
    home.run(&["run", "--no-such-option", "x.lua"]).ends(2, "--no-such-option");
}

#[test]
fn a_syntax_error_shows_the_place() {
    let home = Home::new();
    let script = home.write("bad.lua", "local a = 1\nlocal b = (a + = 2)\n");
    let ran = home.run(&["run", script.to_str().expect("UTF-8")]).ends(1, "bad.lua:2:");
    assert!(ran.err.contains("  2 | local b = (a + = 2)\n    |                ^\n"), "{}", ran.err);
}

#[test]
fn a_script_comes_from_standard_input_or_the_command_line() {
    let home = Home::new();
    assert_eq!(home.feed(&[], "print(1 + 1)").ends(0, "").out, "2\n");
    assert_eq!(
        home.feed(&["run", "-"], "#!/usr/bin/env iamlua\nprint(arg[0], ...)").out,
        "(standard input)\n"
    );
    assert_eq!(home.feed(&["run", "-", "a", "b"], "print(...)").out, "a\tb\n");
    assert_eq!(home.run(&["-e", "print(2)"]).out, "2\n");
}

#[test]
fn options_of_the_program_may_stand_after_the_script() {
    let home = Home::new();
    let script = home.write("args.lua", "print(table.concat({...}, ' '))");
    let script = script.to_str().expect("UTF-8");
    assert_eq!(
        home.run(&["run", script, "y", "--timeout", "5s", "x", "--", "--mine"]).ends(0, "").out,
        "y x --mine\n"
    );
    home.run(&["run", script, "--mine", "x"]).ends(2, "there is no option --mine");
    assert_eq!(
        home.run(&["run", script, "--", "--timeout", "5s"]).ends(0, "").out,
        "--timeout 5s\n"
    );
    let write = home.write("write.lua", "iam.profiles.create('x')");
    home.run(&["run", write.to_str().expect("UTF-8"), "--read-only"]).ends(4, "may only read");
}

#[test]
fn exit_codes_say_how_it_ended() {
    let home = Home::new();
    home.run(&["-e", "os.exit(9)"]).ends(9, "");
    home.run(&["-e", "pcall(os.exit, 3) print('never')"]).ends(3, "");
    home.run(&["-e", "error('no')"]).ends(1, "no");
    home.run(&["-e", "iam.profiles.get('nope')"]).ends(1, "NoSuchEntity");
    home.run(&["--timeout", "100ms", "-e", "while true do pcall(function() end) end"])
        .ends(1, "longer than");
    let close = "local co = coroutine.create(function() local _ <close> = setmetatable({}, { __close = function() while true do end end }) \
                 coroutine.yield() end) coroutine.resume(co) coroutine.close(co)";
    home.run(&["--timeout", "100ms", "-e", close]).ends(1, "longer than");
    home.run(&["--timeout", "100ms", "-e", "time.sleep('1h')"]).ends(1, "longer than");
    let other = "runbook { allow = { 'profiles.list' } } iam.connect { region = 'eu-west-1' }";
    home.run(&["-e", other]).ends(4, "iam.connect is not in");
    home.run(&["-e", "runbook { allow = { 'profiles.list' } } iam.profiles.create('x')"])
        .ends(4, "allow");
}

#[test]
fn an_interrupt_ends_any_script() {
    let home = Home::new();
    home.run(&["-e", ""]).ends(0, "");
    for code in [
        "while true do end",
        "while true do pcall(function() end) end",
        "local co = coroutine.wrap(function() while true do pcall(error) end end) while true do pcall(co) end",
        "task.spawn(function() while true do end end) time.sleep('1h')",
        "time.sleep('1h')",
        "local co = coroutine.create(function() local _ <close> = setmetatable({}, { __close = function() while true do end end }) coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
        "table.sort({ 1, 2, 3 }, function() while true do end end)",
        "local s = ('a'):rep(40) s:find(('a?'):rep(40) .. ('a*'):rep(40) .. 'b')",
        "setmetatable({}, { __close = function() end }) while true do local ok = xpcall(error, function() while true do end end) end",
    ] {
        let script = format!("time.sleep(0.01) io.stderr:write('up\\n') {code}");
        let mut child = Running::start(&mut home.command(&["-e", &script]));
        child.err().says("up");
        child.signal(Signal::INT);
        // A script that cannot be stopped fails the test.
        let ran = Ran::from(child.ends());
        assert_eq!(ran.code, Some(130), "{code}: {ran:?}");
    }
}

#[test]
fn an_interrupt_lets_a_change_in_flight_finish() {
    let home = Home::new();
    home.run(&["account", "reset", "--empty"]).ends(0, "");
    let code = "iam.profiles.create('in-flight') iam.profiles.create('after')";
    let args = ["--faults", "hold=iam:CreateInstanceProfile", "-e", code];
    let mut child = Running::start(&mut home.command(&args));
    let err = child.err();
    home.gatekeeper().holds(1);
    child.signal(Signal::INT);
    err.says("stopping: calls in flight are being finished");
    home.gatekeeper().releases();
    assert_eq!(child.ends().status.code(), Some(130));
    let said = err.all();
    assert!(said.contains("1 change made before that"), "{said}");
    let names = "for profile in iam.profiles.each {} do print(profile.name) end";
    assert_eq!(home.run(&["-e", names]).out, "in-flight\n");
}

#[test]
fn a_call_is_held_until_it_is_let_go_or_the_run_is_stopped() {
    let home = Home::new();
    home.run(&["account", "reset"]).ends(0, "");
    home.run(&["account", "release"]).ends(0, "no call waits");
    let start = |code: &str| {
        let args = ["--faults", "hold=iam:GetRole+iam:TagRole", "-e", code];
        Running::start(&mut home.command(&args))
    };
    // Released by another process.
    let child = start("print(iam.roles.get('worker').name)");
    home.gatekeeper().holds(1);
    let listed = home.run(&["account", "held"]).ends(0, "");
    assert_eq!(listed.out, "iam:GetRole@us-east-1\n");
    let released = home.run(&["account", "release"]).ends(0, "");
    assert_eq!(released.out, listed.out);
    assert_eq!(Ran::from(child.ends()).ends(0, "").out, "worker\n");
    // A read ends with its run.
    for signal in [Signal::INT, Signal::TERM] {
        let child = start("iam.roles.get('worker')");
        home.gatekeeper().holds(1);
        child.signal(signal);
        Ran::from(child.ends()).ends(130, "interrupted");
        assert_eq!(home.run(&["account", "held"]).ends(0, "").out, "");
    }
    // A change is a call in flight: a second signal ends it before it was made.
    let mut child = start("iam.roles.tag('worker', { Held = '1' })");
    let err = child.err();
    let mut held = home.gatekeeper().holds(1);
    while held == ["iam:GetRole@us-east-1"] {
        home.gatekeeper().releases();
        held = home.gatekeeper().holds(1);
    }
    assert_eq!(held, ["iam:TagRole@us-east-1"]);
    child.signal(Signal::INT);
    err.says("stopping: calls in flight are being finished");
    child.signal(Signal::INT);
    assert_eq!(child.ends().status.code(), Some(130));
    assert_eq!(home.run(&["account", "held"]).ends(0, "").out, "");
    let code = "print(iam.roles.get('worker').tags.Held)";
    assert_eq!(home.run(&["-e", code]).ends(0, "").out, "nil\n");
}

#[test]
fn a_closed_terminal_lets_what_is_in_flight_finish() {
    use std::io::{BufRead, BufReader};
    let code = "print('begun') iam.profiles.create('in-flight') iam.profiles.create('after')";
    // The tests themselves may run with the signal ignored, which child processes inherit.
    let probe = Command::new("sh").args(["-c", "kill -HUP $$; echo ignored"]).output();
    let is_heard = probe.expect("sh runs").stdout.is_empty();
    for ignores in if is_heard { &[false, true][..] } else { &[true] } {
        let ignores = *ignores;
        let home = Home::new();
        home.run(&["account", "reset", "--empty"]).ends(0, "");
        let run = home.command(&["--faults", "hold=iam:CreateInstanceProfile", "-e", code]);
        let mut command = Command::new("sh");
        // The way in which `nohup` starts a program.
        let ignore = if ignores { "trap '' HUP; " } else { "" };
        command.args(["-c", &format!("{ignore}exec \"$0\" \"$@\"")]);
        command.arg(run.get_program()).args(run.get_args()).env_clear();
        let variables = run.get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.envs(variables).current_dir(home.path("."));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut begun = String::new();
        out.read_line(&mut begun).expect("its first line");
        assert_eq!(begun, "begun\n");
        let gate = home.gatekeeper();
        gate.holds(1);
        // Both the system and the shell send it.
        for _ in 0..2 {
            let id = child.id().to_string();
            assert!(Command::new("kill").args(["-HUP", &id]).status().expect("kill").success());
        }
        let mut err = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut said = String::new();
        if !ignores {
            err.read_line(&mut said).expect("its first line");
            assert!(said.starts_with("stopping: calls in flight are being finished"), "{said}");
        }
        let _open = gate.opens();
        let status = child.wait().expect("it ended");
        err.read_to_string(&mut said).expect("its messages");
        assert_eq!(status.code(), Some(if ignores { 0 } else { 130 }), "{said}");
        let names = "for profile in iam.profiles.each {} do print(profile.name) end";
        let made = home.run(&["-e", names]).out;
        assert_eq!(made.contains("after"), ignores, "{made}");
        assert!(made.contains("in-flight"), "{made}");
    }
}

#[test]
fn a_relative_state_folder_of_xdg_is_ignored() {
    let home = Home::new();
    let mut command = home.command(&["-e", "iam.account()"]);
    command.env_remove("IAMLUA_HOME").env("XDG_STATE_HOME", "relative");
    command.env("HOME", home.path("home")).current_dir(home.path("."));
    Ran::from(command.output().expect("the program starts")).ends(0, "");
    assert!(home.path("home/.local/state/iamlua/local.db").exists());
    assert!(!home.path("relative").exists());
}

#[test]
fn a_quota_is_never_less_than_what_is_there() {
    let home = Home::new();
    let code = "for i = 1, 3 do iam.profiles.create('p' .. i) end
        local trust = policy.trust('ec2.amazonaws.com')
        iam.roles.create { name = 'r', assume_role_policy = trust }
        for _, name in ipairs { 'ReadOnlyAccess', 'AdministratorAccess' } do
            iam.roles.attach_policy('r', 'arn:aws:iam::aws:policy/' .. name)
        end";
    home.run(&["account", "reset", "--empty"]).ends(0, "");
    home.run(&["-e", code]).ends(0, "");
    let before = home.run(&["account", "quota"]).ends(0, "").out;
    for (set, why) in [
        ("profiles=2", "profiles=2 is too little: 3 are in the account"),
        ("roles=0", "roles=0 is too little: 1 are in the account"),
        ("policies-per-role=1", "policies-per-role=1 is too little: 2 are attached to one role"),
    ] {
        home.run(&["account", "quota", "profiles=9", set]).ends(2, why);
        assert_eq!(home.run(&["account", "quota"]).ends(0, "").out, before, "whole or not at all");
    }
    let set = ["account", "quota", "profiles=3", "roles=1", "policies-per-role=2"];
    home.run(&set).ends(0, "");
    home.run(&["-e", "iam.profiles.create('p4')"]).ends(1, "LimitExceeded");
}

#[test]
fn the_sandbox_opens_only_what_is_allowed() {
    let home = Home::new();
    let data = home.write("data/list.txt", "one\ntwo\n");
    let secret = home.write("secret.txt", "x");
    let folder = data.parent().expect("a folder").display().to_string();
    let read = format!("print(fs.read({:?}))", data.display().to_string());
    let refused = home.run(&["-e", &read]).ends(4, "may not read");
    assert!(refused.err.contains(&format!("--allow-read={folder}")), "{}", refused.err);
    assert_eq!(
        home.run(&[&format!("--allow-read={folder}"), "-e", &read]).ends(0, "").out,
        "one\ntwo\n\n"
    );
    let out = format!("fs.read({:?})", format!("{folder}/../secret.txt"));
    assert!(secret.is_file());
    home.run(&[&format!("--allow-read={folder}"), "-e", &out]).ends(4, "may not read");
    home.run(&["-e", "os.getenv('HOME')"]).ends(4, "--allow-env=HOME");
    home.run(&["-e", "process.run('true')"]).ends(4, "--allow-run=true");
    home.run(&["--allow-run=echo", "-e", "print(process.run('echo', { 'hi' }).stdout)"])
        .ends(0, "");
    home.run(&["-e", "io.open('/etc/passwd')"]).ends(4, "--allow-read=/etc");
    home.run(&["-e", "os.execute('true')"]).ends(4, "not available");
    for gone in ["debug.sethook", "string.dump", "dofile", "loadfile", "package.loadlib"] {
        let says = format!("{gone} is not available in scripts");
        home.run(&["-e", &format!("{gone}()")]).ends(4, &says);
    }
    home.run(&["-e", "assert(host == nil, 'still there')"]).ends(0, "");
    home.run(&["-e", "assert(load('\\27Lua') == nil) assert(load(('x'):rep(3), 'x', 'b') == nil)"])
        .ends(0, "");
}

#[test]
fn what_is_allowed_works() {
    let home = Home::new();
    let folder = home.path("data");
    std::fs::create_dir(&folder).expect("a folder");
    let folder = folder.display().to_string();
    let write = format!("--allow-write={folder}");
    let read = format!("--allow-read={folder}");
    let code = format!("fs.write({:?}, 'content')", format!("{folder}/new.txt"));
    home.run(&[&write, "-e", &code]).ends(0, "");
    home.run(&[&read, "-e", &code]).ends(4, "may not write");
    let list = format!("print(table.concat(fs.list({folder:?}), ' '))");
    assert_eq!(home.run(&[&read, "-e", &list]).ends(0, "").out, "new.txt\n");
    let lines =
        format!("for line in io.lines({:?}) do print(line) end", format!("{folder}/new.txt"));
    assert_eq!(home.run(&[&read, "-e", &lines]).ends(0, "").out, "content\n");
    let piped = "local r = process.run('cat', {}, { stdin = 'in' }) print(r.stdout, r.code)";
    assert_eq!(home.run(&["--allow-run=cat", "-e", piped]).ends(0, "").out, "in\t0\n");
    home.run(&["--allow-run", "-e", "process.run('no-such-program')"])
        .ends(1, "cannot run no-such-program");
    let wants = format!("runbook {{ permissions = {{ read = {{ {folder:?} }} }} }} {list}");
    let script = home.write("wants.lua", wants);
    let script = script.to_str().expect("UTF-8");
    // Without a terminal the run refuses instead of waiting.
    home.run(&["run", script]).ends(4, &format!("--allow-read={folder}"));
    // `--yes` answers questions, and grants nothing.
    home.run(&["run", script, "--yes"]).ends(4, &format!("--allow-read={folder}"));
    assert_eq!(home.run(&["run", script, &read]).ends(0, "").out, "new.txt\n");
}

#[test]
fn a_runbook_explains_itself_and_its_flags_are_checked() {
    let home = Home::new();
    let help = home.run(&["run", "scripts/bulk_tag.lua", "--help"]).ends(0, "");
    assert!(help.out.contains("--owner") && help.out.contains("May call:"), "{help:?}");
    let general = home.run(&["run", "--help"]).ends(0, "");
    assert!(general.out.contains("--allow-read"), "{general:?}");
    home.run(&["run", "scripts/bulk_tag.lua", "--ownr", "x"]).ends(2, "did you mean --owner?");
    home.run(&["run", "scripts/cleanup_orphans.lua", "--days", "soon"]).ends(2, "--days");
}

#[test]
fn a_failure_of_a_task_that_nobody_waits_for_fails_the_run() {
    let home = Home::new();
    home.run(&["-e", "task.spawn(function() error('lost') end)"]).ends(1, "lost");
    let fails = "task.spawn(function() time.sleep('1h') end) time.sleep(0.01) error('gave up')";
    home.run(&["-e", fails]).ends(1, "gave up");
    let waits = "local a, b a = task.spawn(function() task.wait(b) end) b = task.spawn(function() task.wait(a) end)";
    home.run(&["-e", waits]).ends(1, "every task waits for another one");
}

#[test]
fn bad_weather_is_what_was_asked_for() {
    let home = Home::new();
    home.run(&["--faults", "throtle=1/1", "-e", ""]).ends(2, "did you mean");
    let many = "for i = 1, 30 do iam.profiles.find('worker') end";
    let throttled = ["--faults", "throttle=100/5", "-e", many];
    home.run(&throttled).ends(0, "");
    // Explicit settings for the number of attempts are obeyed.
    for (variable, value) in [("AWS_MAX_ATTEMPTS", "1"), ("AWS_RETRY_MODE", "standard")] {
        let limited = ["--faults", "throttle=0/5", "-e", many];
        let ran = home.command(&limited).env(variable, value).output().expect("it starts");
        Ran::from(ran).ends(1, "Throttling: Rate exceeded");
    }
    home.run(&["--faults", "error=100%", "-e", "iam.profiles.get('worker')"])
        .ends(1, "ServiceFailure");
    // The run knows its own changes; only responses of AWS lag behind.
    let late = "iam.profiles.create('late') print(iam.profiles.find('late').name) print((try(iam.profiles.wait, 'late', { timeout = '0s' }))) print(iam.profiles.wait('late').name)";
    let ran = home.run(&["--faults", "lag=1s", "-e", late]).ends(0, "");
    assert_eq!(ran.out, "late\nnil\nlate\n");
    home.run(&["--faults", "lost=100%", "-e", "iam.account()"]).ends(1, "no answer");
}

#[test]
fn a_closed_pipe_ends_a_listing_quietly() {
    let home = Home::new();
    home.run(&["-e", ""]).ends(0, "");
    let script = format!(
        "{} -e 'for i = 1, 1e6 do print(i) end'; echo $? > {}",
        env!("CARGO_BIN_EXE_iamlua"),
        home.path("code").display()
    );
    let pipe = format!("{{ {script}; }} 2> {} | head -n 1", home.path("err").display());
    let out = Command::new("sh")
        .args(["-c", &pipe])
        .env("IAMLUA_HOME", home.path("state"))
        .output()
        .expect("sh");
    assert_eq!(String::from_utf8_lossy(&out.stdout), "1\n");
    assert_eq!(std::fs::read_to_string(home.path("code")).expect("the exit code"), "0\n");
    assert_eq!(std::fs::read_to_string(home.path("err")).expect("the messages"), "");
}

#[test]
fn a_standard_error_that_is_full_changes_nothing() {
    let home = Home::new();
    for args in [&["-e", "print(iam.account().profiles)"][..], &["account", "reset"][..]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let Ok(full) = full else { return };
        let ran = home.command(args).stderr(full).output().expect("it starts");
        Ran::from(ran).ends(0, "");
    }
}

#[test]
fn memory_is_limited() {
    let home = Home::new();
    let code = "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end";
    home.run(&["--max-memory", "32M", "-e", code]).ends(1, "not enough memory");
    home.run(&["--max-memory", "32M", "-e", &format!("print(pcall(function() {code} end))")])
        .ends(0, "");
    home.run(&["--max-memory", "1", "-e", ""]).ends(2, "at least 4M");
}

#[test]
fn without_a_home_or_with_a_broken_account_it_says_what_to_do() {
    let home = Home::new();
    let bare = home
        .command(&["-e", "iam.account()"])
        .env_remove("IAMLUA_HOME")
        .output()
        .expect("it starts");
    Ran::from(bare).ends(1, "set IAMLUA_HOME");
    let idle =
        home.command(&["-e", "print(1)"]).env_remove("IAMLUA_HOME").output().expect("it starts");
    assert_eq!(Ran::from(idle).ends(0, "").out, "1\n", "a script without calls needs no account");
    home.write(
        "state/local.db",
        "this is not a database, it is a text that is long enough to be read as a header of one",
    );
    let broken = home.run(&["-e", "iam.account()"]).ends(1, "local.db");
    assert!(broken.err.contains("hint:"), "{}", broken.err);
}

/// Starts the endpoint of the local account, which the caller must kill.
pub(crate) fn serve(home: &Home, args: &[&str]) -> (std::process::Child, String) {
    let args = [&["account", "serve", "--port", "0"], args].concat();
    let mut serve = home.command(&args).spawn().expect("the endpoint starts");
    let mut url = String::new();
    let mut out = std::io::BufReader::new(serve.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut out, &mut url).expect("its address");
    (serve, url.trim().to_owned())
}

#[test]
fn a_wrong_variable_about_retries_is_said_and_not_ignored() {
    let home = Home::new();
    for (variable, value, must) in [
        ("AWS_RETRY_MODE", "fast", "\"standard\", \"adaptive\" or \"legacy\""),
        ("AWS_MAX_ATTEMPTS", "0", "a whole number from 1 on"),
        ("AWS_MAX_ATTEMPTS", "many", "a whole number from 1 on"),
    ] {
        for target in [&["-e"][..], &["--aws", "-e"]] {
            let args = [target, &["iam.profiles.get('worker')"]].concat();
            let ran = home.command(&args).env(variable, value).output().expect("it starts");
            let ran = Ran::from(ran).ends(2, &format!("{variable} is {value:?}"));
            assert!(ran.err.contains(must) && !ran.err.contains("panicked"), "{ran:?}");
        }
    }
    let legacy = home
        .command(&["-e", "iam.profiles.get('worker')"])
        .env("AWS_RETRY_MODE", "legacy")
        .output();
    Ran::from(legacy.expect("it starts")).ends(0, "");
}

#[test]
fn an_endpoint_that_breaks_connections_off_fails_no_call() {
    let home = Home::new();
    let (mut serve, url) = serve(&home, &["--faults", "lost=8%,error=4%,seed=5"]);
    let script = "for i = 1, 40 do iam.profiles.get('worker') iam.profiles.tag('worker', { N = tostring(i) }) end print('all')";
    let ran = home
        .command(&["--stats", "--apply", "--endpoint-url", &url, "-e", script])
        .env("AWS_ACCESS_KEY_ID", "any")
        .env("AWS_SECRET_ACCESS_KEY", "any")
        .output()
        .expect("it starts");
    serve.kill().expect("it runs");
    let _ = serve.wait();
    assert_eq!(Ran::from(ran).ends(0, "TagInstanceProfile").out, "all\n");
}

#[test]
fn against_aws_it_reads_unless_told_to_write() {
    let home = Home::new();
    let (mut serve, url) = serve(&home, &[]);
    let url = url.as_str();
    let with_keys = |args: &[&str]| {
        let mut command = home.command(args);
        command.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", "any");
        Ran::from(command.output().expect("it starts"))
    };
    let listed = with_keys(&["run", "scripts/inventory.lua", "--endpoint-url", url]).ends(0, "");
    let local = home.run(&["run", "scripts/inventory.lua"]).ends(0, "");
    assert_eq!(listed.out, local.out, "the same script, the same output");
    let create = "iam.profiles.create('from-afar')";
    with_keys(&["--endpoint-url", url, "-e", create]).ends(0, "--apply");
    with_keys(&["--endpoint-url", url, "--read-only", "-e", create]).ends(4, "--read-only");
    assert_eq!(home.run(&["-e", "print(iam.profiles.find('from-afar'))"]).out, "nil\n");
    with_keys(&["--endpoint-url", url, "--apply", "-e", create]).ends(0, "");
    assert_eq!(home.run(&["-e", "print(iam.profiles.find('from-afar').name)"]).out, "from-afar\n");
    let nobody =
        home.run(&["--endpoint-url", url, "-e", "iam.account()"]).ends(1, "no AWS credentials");
    assert!(nobody.err.contains("AWS_ACCESS_KEY_ID"), "{}", nobody.err);
    serve.kill().expect("it ends");
    let _ = serve.wait();
    with_keys(&["--endpoint-url", "http://127.0.0.1:9", "-e", "iam.account()"])
        .ends(1, "no answer");
}

#[test]
fn an_export_can_be_imported_again() {
    let home = Home::new();
    let file = home.path("account.json");
    let file = file.to_str().expect("UTF-8");
    home.run(&["account", "export", file]).ends(0, "");
    let before = std::fs::read_to_string(file).expect("the export");
    home.run(&["account", "reset", "--empty"]).ends(0, "");
    home.run(&["account", "import", file]).ends(0, "24 profiles");
    assert_eq!(home.run(&["account", "export"]).out, before);
    let broken = home.write("broken.json", before.replace("\"web-frontend\"", "\"a/b\""));
    home.run(&["account", "import", broken.to_str().expect("UTF-8")]).ends(1, "");
    assert_eq!(home.run(&["account", "export"]).out, before, "an import is whole or not at all");
}

#[test]
fn a_question_is_shown_before_its_answer_is_read() {
    let home = Home::new();
    let script = home.write(
        "ask.lua",
        r#"
        io.write("Delete 3 profiles? [y/N] ")
        local answer = io.read()
        io.stdout:write("Really? ")
        for line in io.lines() do
          answer = answer .. line
          break
        end
        io.write("Sure? ")
        print(answer .. io.stdin:read("n"))
        "#,
    );
    let mut child = home
        .command(&["run", script.to_str().expect("UTF-8")])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let (mut input, mut output) =
        (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    for (question, answer) in
        [("Delete 3 profiles? [y/N] ", "y\n"), ("Really? ", "es\n"), ("Sure? ", "1\n")]
    {
        // Waits for ever if the question is not shown.
        let mut shown = vec![0; question.len()];
        output.read_exact(&mut shown).expect("the question");
        assert_eq!(String::from_utf8_lossy(&shown), question);
        input.write_all(answer.as_bytes()).expect("it reads");
    }
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, "yes1\n");
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn what_is_flushed_is_shown_at_once() {
    let home = Home::new();
    for code in [
        "io.write('one') io.flush() io.read()",
        "io.write('one') io.stdout:flush() io.read()",
        "io.stdout:setvbuf('no') io.write('one') time.sleep('1h')",
        "io.stdout:setvbuf('line') io.write('on', 'e\\n') while true do end",
    ] {
        let mut child =
            home.command(&["-e", code]).stdin(Stdio::piped()).spawn().expect("the program starts");
        let mut shown = [0; 3];
        child.stdout.take().expect("a pipe").read_exact(&mut shown).expect("what was written");
        assert_eq!(&shown, b"one", "{code}");
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
    }
}

#[test]
fn an_exit_can_close_the_variables_of_the_script() {
    let home = Home::new();
    let closing = "local x <close> = setmetatable({}, { __close = function() \
                   print(iam.profiles.get('worker').name) end })";
    for (exit, printed) in [
        ("os.exit(3, true)", "worker\n"),
        ("os.exit(3)", ""),
        ("coroutine.wrap(function() os.exit(3, true) end)()", "worker\n"),
        ("task.spawn(function() os.exit(3, true) end):wait()", "worker\n"),
        ("pcall(os.exit, 3, true)", "worker\n"),
    ] {
        let ran = home.run(&["-e", &format!("{closing} {exit} print('never')")]).ends(3, "");
        assert_eq!(ran.out, printed, "{exit}");
    }
    // A script that runs beneath a wait in place cannot be closed. It ends all the same, and
    // nothing catches that.
    for exit in [
        "local t = task.spawn(function() time.sleep(0.01) os.exit(3, true) end) \
         table.sort({ 3, 2, 1 }, function(a, b) t:wait() return a < b end)",
        "pcall(table.sort, { 3, 2, 1 }, function(a, b) \
         coroutine.wrap(function() os.exit(3, true) end)() return a < b end)",
        "local t = task.spawn(function() time.sleep(0.01) os.exit(3, true) end) \
         print(setmetatable({}, { __tostring = function() t:wait() return 'x' end }))",
        "local y <close> = setmetatable({}, { __close = function() \
         task.spawn(function() os.exit(3, true) end):wait() end }) os.exit(4, true)",
    ] {
        home.run(&["-e", &format!("{closing} {exit} print('never')")]).ends(3, "");
    }
    let failing = "local x <close> = setmetatable({}, { __close = function() error('no') end })";
    home.run(&["-e", &format!("{failing} os.exit(0, true)")]).ends(1, "no");
}

#[test]
fn modules_are_found_without_a_file_and_with_the_marks_of_editors() {
    let home = Home::new();
    home.write("marked.lua", "\u{feff}return 'marked'");
    home.write("script.lua", "#!/usr/bin/env iamlua\nreturn 'script'");
    home.write("broken.lua", "\u{feff}local x = = 1");
    let code = "print(require('marked') .. require('script'))";
    let run = |args: &[&str], input: &str| {
        let mut child = home
            .command(args)
            .current_dir(home.path("."))
            .stdin(Stdio::piped())
            .spawn()
            .expect("the program starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        Ran::from(child.wait_with_output().expect("it ends"))
    };
    assert_eq!(run(&["-e", code], "").ends(0, "").out, "markedscript\n");
    assert_eq!(run(&["run", "-"], code).ends(0, "").out, "markedscript\n");
    let refused = run(&["-e", "require 'broken'"], "").ends(1, "broken.lua:1:");
    assert!(refused.err.contains("1 | local x = = 1\n    |           ^"), "{}", refused.err);
}

#[test]
fn require_stays_within_memory_and_says_nothing_about_files_elsewhere() {
    let home = Home::new();
    home.write("w/x.lua", "return 1");
    let run = |code: &str| {
        let mut command = home.command(&["-e", code, "--max-memory", "16MB", "--timeout", "20s"]);
        Ran::from(command.current_dir(home.path("w")).output().expect("it runs"))
    };
    // Paths of gigabytes.
    run("package.path = ('?'):rep(50000) require(('a'):rep(50000))").ends(1, "not found");
    let there = run("package.path = '/etc/?' require 'passwd'").ends(4, "--allow-read=/etc");
    let gone = run("package.path = '/etc/?' require 'gone'").ends(4, "--allow-read=/etc");
    assert_eq!(there.err.replace("passwd", "gone"), gone.err);
    run("package.path = '../?.lua;./?.lua' assert(require 'x' == 1)").ends(0, "");
    let large = std::fs::File::create(home.path("w/large.lua")).expect("a file");
    large.set_len(1 << 36).expect("a file with a hole");
    run("require 'large'").ends(1, "larger than 32 MiB");
}

#[test]
fn a_new_file_needs_its_folder_before_anything_is_done() {
    let home = Home::new();
    let code = "local p = runbook { params = { page = { type = 'new_file' } } } print('never')";
    let script = home.write("book.lua", code);
    let script = script.to_str().expect("UTF-8");
    let ran = home.run(&["run", script, "--page", "/nowhere/x.html"]);
    assert_eq!(ran.ends(2, "there is no folder /nowhere").out, "");
}
