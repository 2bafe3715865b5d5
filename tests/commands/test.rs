//! `iamlua test`: passed and failed tests, their report, and control of account, clock and runbooks
//! by a test.

use std::io::{BufRead, BufReader, Read};

use quick_xml::Reader;
use quick_xml::events::Event;

use super::Desk;
use crate::end_to_end::Ran;
use crate::patience::{Running, until};

const RUNBOOK: &str = r#"
local p = runbook {
  params = { owner = { required = true }, dry_path = { type = "boolean" }, only = { type = "list" }, more = { type = "map" } },
  allow = { "profiles.each", "profiles.tag" },
  max_changes = 3,
}
print(p.owner, p.dry_path, table.concat(p.only, "+"), p.more.a, p.more.b)
for profile in iam.profiles.each {} do
  iam.profiles.tag(profile.name, { Owner = p.owner })
end
"#;

fn tests(code: &str) -> Ran {
    tests_with(code, &[])
}

/// Runs the code as a test file, with a runbook beside it.
fn tests_with(code: &str, args: &[&str]) -> Ran {
    let desk = Desk::new();
    desk.write("runbook.lua", RUNBOOK);
    desk.write("a_test.lua", code);
    desk.run(&[&["test"], args].concat())
}

#[track_caller]
fn passes(code: &str) {
    let ran = tests(code);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
}

/// Asserts that the only test of a file fails with that text.
#[track_caller]
fn fails(code: &str, said: &str) {
    let ran = tests(&format!("it('fails', function()\n{code}\nend)"));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains(said), "{said}\nis not in\n{}", ran.out);
}

#[test]
fn what_passes_takes_a_line_a_file_and_what_fails_is_shown_with_its_place() {
    let desk = Desk::new();
    desk.write("good_test.lua", "it('is', function() expect(1):to_equal(1) end)");
    desk.write(
        "deep/er/bad_test.lua",
        "describe('tags', function()\n it('are set', function()\n  print('hello')\n  expect({ a = 1, b = 2 }):to_equal { a = 1, b = 3 }\n end)\nit.skip('later', function() end) end)",
    );
    for ignored in [".hidden/x_test.lua", "target/x_test.lua", "test.lua", "helper.lua"] {
        desk.write(ignored, "error('it was run')");
    }
    let ran = desk.run(&["test"]).ends(1, "");
    let shown = "✗ deep/er/bad_test.lua  1 failed, 1 skipped\n\n  ✗ tags › are set\n    deep/er/bad_test.lua:4\n    \
        expected (-) and actual (+) differ\n      {\n        a = 1,\n    -   b = 3,\n    +   b = 2,\n      }\n    \
        printed:\n      hello\n\n✓ good_test.lua  1 passed\n1 passed, 1 failed, 1 skipped in ";
    assert!(ran.out.starts_with(shown), "{}", ran.out);
    let ran = desk.run(&["test", "good_test.lua"]).ends(0, "");
    assert!(ran.out.starts_with("✓ good_test.lua  1 passed\n1 passed in "), "{}", ran.out);
    // The local account of the operator is unchanged.
    assert_eq!(desk.account()["profiles"].as_array().map(Vec::len), Some(4));
}

#[test]
fn finding_nothing_is_a_failure_and_a_wrong_path_wrong_usage() {
    let desk = Desk::new();
    desk.run(&["test"]).ends(1, "there is no test in .");
    desk.write("a_test.lua", "describe('x', function() it('y', function() end) end)");
    desk.run(&["test", "--filter", "z"]).ends(1, "there is no test whose name has \"z\" in it");
    let ran = desk.run(&["test", "-f", "x › y"]).ends(0, "");
    assert!(ran.out.contains("1 passed"), "{ran:?}");
    desk.run(&["test", "none_test.lua"]).ends(2, "there is no file or folder none_test.lua");
    desk.run(&["test", "account.json"]).ends(2, "account.json is no Lua file");
    desk.run(&["test", "--timeout", "soon"]).ends(2, "--timeout");
    desk.write("b_test.lua", "local x = 1");
    let ran = desk.run(&["test", "b_test.lua"]).ends(1, "");
    assert!(ran.out.contains("there is no test in it"), "{ran:?}");
    let ran = desk.run(&["test", "--list", "a_test.lua"]).ends(0, "");
    assert_eq!(ran.out, "a_test.lua:1: x › y\n");
}

#[test]
fn a_file_that_cannot_be_read_fails_with_its_line_and_the_others_run() {
    let desk = Desk::new();
    desk.write("a_test.lua", "it('x', function()\n  local a = (1 + )\nend)");
    desk.write("b_test.lua", "it('x', function() end)\nerror('at the top')");
    desk.write("c_test.lua", "it('x', function() end)");
    let ran = desk.run(&["test"]).ends(1, "");
    assert!(
        ran.out.contains("a_test.lua:2\n    unexpected symbol near ')'\n      2 |   local a"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("b_test.lua:2\n    at the top\n"), "{}", ran.out);
    assert!(ran.out.contains("✓ c_test.lua  1 passed\n1 passed, 2 failed"), "{}", ran.out);
}

#[test]
fn what_fails_says_why() {
    fails("expect('a'):to_equal('b')", "a_test.lua:2\n    expected \"b\"\n    got      \"a\"\n");
    fails("expect('a\\nb'):to_equal('a\\nc')", "      a\n    - c\n    + b\n");
    fails("expect(nil):to_be(false)", "expected false\n    got      nil");
    fails("expect({}):to_be({})", "hint: to_equal compares what is in them");
    fails("expect('text'):to_contain('no')", "expected \"text\" to contain \"no\"");
    fails("expect({ 1, 2 }):to_contain(3)", "expected { 1, 2 } to contain 3");
    fails(
        "expect({ a = { b = 1 } }):to_have { a = { b = 2 } }",
        "    -     b = 2,\n    +     b = 1,\n",
    );
    fails("expect(1):never():to_equal(1)", "expected anything but 1");
    fails("expect(function() end):to_raise()", "expected an error, but none was raised");
    fails("expect(error):to_raise('NoSuchEntity')", "expected the error \"NoSuchEntity\"\n    got");
    fails("expect(1):to_eqal(1)", "hint: did you mean to_equal?");
    fails("expect(1)", "expect(…) alone says nothing about its value: a_test.lua:2");
    fails("assert(1 == 2, 'not so')", "a_test.lua:2\n    not so\n");
    fails(
        "local function f() error('deep') end\n f()",
        "traceback:\n      a_test.lua:2: in local 'f'\n      a_test.lua:3:",
    );
    fails(
        "iam.profiles.get('nobody')",
        "a_test.lua:2\n    NoSuchEntity: Instance Profile nobody cannot be found",
    );
    fails("account.import('none.json')", "account.import: cannot read none.json");
    fails("run_runbook('none.lua')", "run_runbook: there is no script none.lua");
    fails("it('inside', function() end)", "it cannot be called while a test runs");
    fails("os.exit(0)", "os.exit(0) was called");
    fails("task.spawn(error, 'in a task')", "in a task");
    fails("require('fs').write('x.txt', 'x')", "the script may not write x.txt");
}

#[test]
fn an_expectation_that_says_nothing_or_makes_no_sense_fails() {
    fails("expect({ changes = { 1 } }):to_have { changes = {} }", "    -   changes = {},\n");
    for never in ["", ":never()"] {
        for (of, said) in [
            ("expect(nil)N:to_contain('x')", "to_contain: is for texts and arrays, got nil"),
            ("expect(1)N:to_match('x')", "to_match: is for texts, got 1"),
            ("expect(nil)N:to_have { a = 1 }", "to_have: is for tables, got nil"),
            ("expect({})N:to_have {}", "there is no field in {}"),
            ("expect({})N:to_contain(nil)", "to_contain: what it should contain is nil"),
            ("expect(error)N:to_raise('')", "to_raise: \"\" says nothing about the error"),
            ("expect(1, 2)N:to_be(1)", "expect takes one value, got 2"),
            ("expect(1)N:to_be(1, 2)", "to_be takes one argument, got 2"),
            ("expect(nil)N:to_be_nil(1)", "to_be_nil takes no argument, got 1"),
            ("expect('text')N:to_match('[a')", "a_test.lua:2\n    to_match: \"[a\" is no pattern"),
            ("expect('text')N:to_match('%a%f')", "a_test.lua:2\n    to_match: \"%a%f\" is no p"),
            ("expect(1)N.to_be(1)", "a_test.lua:2\n    to_be needs a colon in front"),
        ] {
            fails(&of.replace('N', never), said);
        }
    }
    fails("expect(function() error('x') end):to_raise('test')", "expected the error \"test\"");
    fails("expect(0/0):to_be(0/0)", "expected 0/0, which is not equal to itself");
    fails("run_runbook('.')", "run_runbook: . is a folder");
    fails("account.reset()", "account.reset: what the account has must be a string, got nil");
    passes(
        r#"it("makes sense", function()
          expect({ changes = {}, more = 1 }):to_have { changes = {} }
          expect(function() error("a test") end):to_raise("a test")
          expect(function() error("a test") end):to_raise("^a %a+$")
          expect(function() error { message = "of a table" } end):to_raise("of a table")
          expect(function() iam.profiles.get("nobody") end):to_raise("^Instance Profile nobody")
          expect(function() iam.profiles.get("nobody") end):to_raise("aws")
          expect((("x"):gsub("x", "y"))):to_be("y")
        end)"#,
    );
}

#[test]
fn tables_that_are_large_or_inside_of_themselves_are_compared_and_shown_in_bounds() {
    let code = r#"
        local function shared(last)
          local t = { last }
          for _ = 1, 40 do t = { t, t } end
          return t
        end
        local function nested(depth)
          local t = {}
          for _ = 1, depth do t = { t } end
          return t
        end
        it("finds them equal", function()
          expect(shared(1)):to_equal(shared(1))
          expect({ a = shared(1), b = 2 }):to_have { a = shared(1) }
          local a, b = { n = 1 }, { n = 1 }
          a.own, b.own = a, b
          expect(a):to_have(b)
          expect({ a = nested(5000) }):to_have { a = nested(5000) }
        end)
        it("is not equal", function() expect(shared(1)):to_equal(shared(2)) end)
        it("has not", function() expect({ a = shared(1) }):to_have { a = shared(2) } end)
        it("is too deep", function() expect(nested(100000)):to_equal(nested(100000)) end)
        it("is too deep to have", function() expect({ nested(100000) }):to_have { nested(100000) } end)
        it("is long", function() expect(("ä"):rep(1 << 20)):to_contain("x") end)
        it("has many lines", function() expect(("a\n"):rep(5000)):to_equal(("b\n"):rep(5000)) end)
    "#;
    let ran = tests_with(code, &["--timeout", "10s"]).ends(1, "");
    assert!(ran.out.len() < 100_000, "{}", ran.out.len());
    assert!(ran.out.contains("1 passed, 6 failed"), "{}", ran.out);
    assert!(!ran.out.contains("took longer"), "{}", ran.out);
    assert_eq!(ran.out.matches("a_test.lua:23\n    the tables are nested deeper").count(), 1);
    assert_eq!(ran.out.matches("nested deeper than can be compared").count(), 2, "{}", ran.out);
    assert!(ran.out.contains("ä… and 2087155 bytes more"));
    assert!(ran.out.contains("  … and 9,800 lines more\n"), "{}", ran.out);
}

#[test]
fn bytes_that_are_no_text_are_for_files_and_elsewhere_their_place_is_named() {
    passes(
        r#"it("keeps them", function()
          local folder = temp_folder { ["a/b.bin"] = "\xff\0\xfe", ["c.txt"] = "" }
          expect(require("fs").read(folder .. "/c.txt")):to_equal("")
          local file <close> = assert(io.open(folder .. "/a/b.bin", "rb"))
          expect(file:read("a")):to_equal("\xff\0\xfe")
        end)"#,
    );
    for (code, said) in [
        (
            "run_runbook('runbook.lua', { owner = '\\xff' })",
            "the parameter owner must be UTF-8, got \"\\xff\"",
        ),
        (
            "run_runbook('runbook.lua', { more = { ['\\xff'] = 1 } })",
            "run_runbook: the parameter more: a name must be UTF-8",
        ),
        ("run_runbook('runbook.lua', {}, { mode = '\\xff' })", "run_runbook: mode must be UTF-8"),
        (
            "account.import { profiles = { { name = 'a', tags = { Owner = '\\xff' } } } }",
            "account.import: profiles[1].tags.Owner must be UTF-8, got \"\\xff\"",
        ),
        ("account.faults('\\xff')", "account.faults: the faults must be UTF-8"),
        ("temp_folder { ['\\xff'] = 'x' }", "temp_folder: the files: a name must be UTF-8"),
    ] {
        fails(code, said);
    }
}

#[test]
fn what_fails_after_a_test_is_said_beside_what_has_failed_in_it() {
    let code = "after_each(function() error('second') end)\nafter_each(function() iam.profiles.get('third') end)\n\
        it('x', function() error('first') end)";
    let ran = tests(code).ends(1, "");
    let said = "a_test.lua:3\n    first\n    and after it a_test.lua:1: second\n    and after it a_test.lua:2: ";
    assert!(ran.out.contains(said), "{}", ran.out);
    let code = "pcall(describe, 'lost', function() error() end)\nit('is outside', function() end)";
    let ran = tests_with(code, &["--list"]).ends(0, "");
    assert_eq!(ran.out, "a_test.lua:2: is outside\n");
}

#[test]
fn a_test_that_hangs_fails_and_those_after_it_run() {
    let code = r#"
        it("before", function() end)
        it("loops", function() while true do pcall(error) end end)
        it("is inside of one operation", function() return (("a"):rep(40)):find(("a-"):rep(40) .. "b") end)
        it("waits for a runbook", function() run_runbook(temp_folder { ["x.lua"] = "while true do end" } .. "/x.lua") end)
        it("after", function() end)
    "#;
    let ran = tests_with(code, &["--timeout", "4s"]);
    assert!(ran.code == Some(1) && ran.out.contains("2 passed, 3 failed"), "{ran:?}");
    assert_eq!(ran.out.matches("it took longer than 4.00 s\n").count(), 3, "{}", ran.out);
    assert!(!ran.out.contains("could not be stopped"), "{}", ran.out);
}

#[test]
fn an_interrupt_ends_it_with_what_there_is() {
    let desk = Desk::new();
    desk.write("a_test.lua", "it('is quick', function() end)");
    desk.write(
        "b_test.lua",
        "it('is quick', function() end) it('is not', function() time.sleep('1h') end)",
    );
    let mut child = desk.command(&["test", "--jobs", "1"]).spawn().expect("the program starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut first = String::new();
    out.read_line(&mut first).expect("a line");
    assert_eq!(first, "✓ a_test.lua  1 passed\n");
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("a signal");
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("text");
    Ran::from(child.wait_with_output().expect("it ends")).ends(130, "error: interrupted");
    assert!(rest.contains("interrupted: ") && rest.contains(" passed in "), "{rest}");
}

#[test]
fn an_interrupt_does_not_wait_for_one_long_operation_and_leaves_no_folder_behind() {
    let desk = Desk::new();
    desk.write("tmp/kept", "");
    let temporary = desk.0.path("tmp");
    let code = r#"it("hangs", function()
        local folder = temp_folder { a = "a" }
        print(folder)
        require("fs").write(folder .. "/ready", "")
        return ("x"):rep(50000):find((".-"):rep(40) .. "y")
    end)"#;
    desk.write("a_test.lua", code);
    let child = Running::start(desk.command(&["test"]).env("TMPDIR", &temporary));
    let folders = || -> Vec<_> {
        let entries = std::fs::read_dir(&temporary).expect("a folder").flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    };
    let is_ready = || folders().iter().any(|folder| folder.join("ready").exists());
    until(is_ready, || "it does not begin".into());
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("a signal");
    // The operation itself would take years.
    Ran::from(child.ends()).ends(130, "error: interrupted");
    assert!(folders().is_empty(), "{:?}", folders());
    desk.write("a_test.lua", "for n = 1, 3 do it('x' .. n, function() temp_folder {} end) end");
    let ran = desk.command(&["test"]).env("TMPDIR", &temporary).output().expect("it runs");
    Ran::from(ran).ends(0, "");
    assert!(folders().is_empty(), "{:?}", folders());
}

#[test]
fn of_what_a_test_prints_without_end_the_two_ends_are_shown() {
    let code = r#"
        it("prints", function()
          print("first")
          for n = 1, 20000 do print("a line of many: " .. n) end
          error("last of all")
        end)
        it("prints for ever", function() while true do print(("x"):rep(1000)) end end)
        it("has a runbook that prints for ever", function()
          local file = temp_folder { ["x.lua"] = "while true do print(('x'):rep(1 << 20)) end" } .. "/x.lua"
          local run = run_runbook(file, {}, { output = "csv" })
          expect(run.code):never():to_equal(0)
          expect(run.error):to_have { kind = "io" }
          expect(run.stderr):to_contain("a test keeps no more than 16 MiB of it")
        end)
    "#;
    let ran = tests_with(code, &["--timeout", "4s"]).ends(1, "");
    assert!(ran.out.contains("1 passed, 2 failed"), "{}", &ran.out[..ran.out.len().min(2000)]);
    assert!(ran.out.contains("      first\n") && ran.out.contains("of many: 20000\n"));
    assert_eq!(ran.out.matches(" bytes are left out …\n").count(), 2);
    assert!(ran.out.len() < 400_000, "{}", ran.out.len());
}

#[test]
fn standard_input_is_empty() {
    let desk = Desk::new();
    desk.write(
        "a_test.lua",
        r#"it("is", function()
          expect(io.read("a")):to_equal("")
          expect(io.lines()()):to_be_nil()
          local code = "print(io.stdin:read('a') == '', io.read())"
          expect(run_runbook(temp_folder { ["x.lua"] = code } .. "/x.lua").stdout):to_equal("true\tnil\n")
        end)"#,
    );
    let mut child = desk.command(&["test", "--timeout", "5s"]);
    // A pipe without a writer that is never closed.
    let mut child = child.stdin(std::process::Stdio::piped()).spawn().expect("it starts");
    let input = child.stdin.take();
    let mut out = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut out).expect("text");
    drop(input);
    assert!(child.wait().expect("it ends").success(), "{out}");
}

#[test]
fn what_is_no_file_is_no_test_file_and_a_folder_that_cannot_be_read_is_a_failure() {
    let desk = Desk::new();
    desk.write("a_test.lua", "it('x', function() end)");
    let mut pipe = std::process::Command::new("mkfifo");
    let made = pipe.arg("pipe_test.lua").current_dir(desk.0.path(".")).status();
    assert!(made.expect("mkfifo").success());
    let ran = desk.run(&["test"]).ends(0, "");
    assert!(ran.out.contains("1 passed in "), "{}", ran.out);
    desk.run(&["test", "pipe_test.lua"]).ends(2, "pipe_test.lua is no file, but a pipe");
    // The path is longer than the system allows, so not even the superuser can read it.
    let half = |name: &str| desk.0.path(name).join(vec!["0".repeat(250); 10].join("/"));
    for name in ["deep", "deeper"] {
        std::fs::create_dir_all(half(name)).expect("folders");
    }
    std::fs::rename(desk.0.path("deeper"), half("deep").join("er")).expect("one in the other");
    let ran = desk.run(&["test"]).ends(1, "");
    assert!(ran.out.contains("cannot read the folder ./deep/"), "{}", ran.out);
    assert!(ran.out.contains("✓ a_test.lua  1 passed\n"), "{}", ran.out);
    assert!(ran.out.contains("1 passed, 1 failed in "), "{}", ran.out);
}

#[test]
fn what_cannot_work_is_said_before_the_tests_run() {
    let desk = Desk::new();
    desk.write("a_test.lua", "it('x', function() end) it.skip('y', function() end)");
    let ran = desk.run(&["test", "--out", "none/r.xml"]).ends(1, "cannot write the results none/r");
    assert_eq!(ran.out, "");
    desk.run(&["test", "--timeout", "0s"]).ends(2, "no test can be done in no time");
    desk.run(&["test", "--timeout", "99999999h"]).ends(2, "it is longer than a year");
    desk.run(&["test", "--filter", "y"]).ends(1, "no test was run: all of them are skipped");
    desk.write("a_test.lua", "it.only('x', function() end) it('y', function() end)");
    let ran = desk.run(&["test", "--filter", "y"]).ends(0, "");
    assert!(ran.out.contains("1 passed in "), "{}", ran.out);
}

#[test]
fn a_terminal_obeys_nothing_that_a_test_says() {
    let ran = tests(
        "it('x', function() print('a\\27[2J\\tb\\r') error('\\27]0;x\\7\\u{9b}\\u{202e}') end)",
    );
    assert!(ran.out.contains("    \\x1b]0;x\\a\\u{9b}\\u{202e}\n"), "{}", ran.out);
    assert!(ran.out.contains("      a\\x1b[2J\tb\\r\n"), "{}", ran.out);
}

#[test]
fn hints_name_what_a_test_can_do() {
    fails("require('fs').write('x', '')", "hint: a test may read files beside it, and write in a");
    fails("os.getenv('HOME')", "hint: allow it with `iamlua test --allow-env=HOME`");
    passes(
        r#"it("is the option", function()
          local folder = temp_folder { ["x.lua"] = "print(require('fs').read(arg[0]))" }
          local run = run_runbook(folder .. "/x.lua")
          expect(run.error.hint):to_contain("the option allow_read = { \"" .. folder .. "\" } of run_runbook")
        end)"#,
    );
}

#[test]
fn results_are_in_the_order_of_the_files_whichever_ends_first() {
    let desk = Desk::new();
    for (n, wait) in [(1, "300ms"), (2, "0s"), (3, "100ms"), (4, "0s")] {
        let code = format!("it('waits', function() time.sleep('{wait}') end)");
        desk.write(&format!("{n}_test.lua"), code);
    }
    for jobs in ["1", "4"] {
        let ran = desk.run(&["test", "--jobs", jobs]).ends(0, "");
        let order: Vec<_> = ran.out.lines().filter_map(|line| line.strip_prefix("✓ ")).collect();
        let wanted = [1, 2, 3, 4].map(|n| format!("{n}_test.lua  1 passed"));
        assert_eq!(order, wanted);
    }
}

#[test]
fn tap_has_a_point_for_each_test_and_the_plan_at_the_end() {
    let code = "it('a # b', function() end) it.skip('s', function() end)\nit('f', function() error('no: \"x\"') end)";
    let ran = tests_with(code, &["--output", "tap"]).ends(1, "");
    let shown = "TAP version 13\nok 1 - a_test.lua › a \u{ff03} b\nok 2 - a_test.lua › s # SKIP it.skip\n\
        not ok 3 - a_test.lua › f\n  ---\n  message: \"no: \\\"x\\\"\"\n  severity: fail\n  at:\n    \
        file: \"a_test.lua\"\n    line: 2\n  duration_ms: ";
    assert!(ran.out.starts_with(shown) && ran.out.ends_with("  ...\n1..3\n"), "{}", ran.out);
    let nothing = tests_with(code, &["--output", "tap", "--filter", "none"]).ends(1, "no test");
    assert_eq!(nothing.out, "TAP version 13\n1..0 # SKIP no test was found\n");
}

#[test]
fn no_name_of_a_test_is_a_directive_of_tap() {
    let code =
        "it.skip('a # TODO b', print) it('# SKIP c', print) it('d {', print) it('e\\\\f', print)";
    let out = tests_with(code, &["--output", "tap"]).ends(0, "").out;
    let lines: Vec<_> = out.lines().collect();
    let wanted = [
        "TAP version 13",
        "ok 1 - a_test.lua › a ＃ TODO b # SKIP it.skip",
        "ok 2 - a_test.lua › ＃ SKIP c",
        "ok 3 - a_test.lua › d ｛",
        "ok 4 - a_test.lua › e\\f",
        "1..4",
    ];
    assert_eq!(lines, wanted);
}

#[test]
fn a_failed_expectation_of_a_run_shows_its_standard_error() {
    let desk = Desk::new();
    desk.write("bad.lua", "log.info('begins') iam.profiles.get('nope')");
    desk.write("good.lua", "log.warn('nothing to do') print('fine')");
    desk.write(
        "a_test.lua",
        r#"
        it("code", function() expect(run_runbook("bad.lua").code):to_equal(0) end)
        it("output", function()
          local good = run_runbook("good.lua")
          run_runbook("bad.lua")
          expect(good.stdout):to_contain("profiles")
        end)
        it("changes", function()
          local good = run_runbook("good.lua")
          expect(#good.changes):to_equal(2)
        end)
        it("something else", function()
          run_runbook("bad.lua")
          assert(false, "no expectation")
        end)
        it("unrelated", function()
          run_runbook("good.lua")
          expect("x"):to_equal("y")
        end)
        it("passes", function() run_runbook("bad.lua") end)
        "#,
    );
    let out = desk.run(&["test", "--output=junit"]).ends(1, "").out;
    let cases: Vec<_> = out.split("<testcase").skip(1).collect();
    let bad = "run_runbook(\"bad.lua\") ended with code 1; its standard error:";
    let good = "run_runbook(\"good.lua\") ended with code 0; its standard error:";
    for (at, shown, has) in [
        (0, bad, "error: bad.lua:1: NoSuchEntity"),
        (1, good, "nothing to do"),
        (2, good, "nothing to do"),
        (3, bad, "begins"),
    ] {
        let text = cases[at].replace("&quot;", "\"");
        assert!(text.contains(shown) && text.contains(has), "{text}");
        assert_eq!(text.matches("its standard error").count(), 1, "{text}");
    }
    for at in [4, 5] {
        assert!(!cases[at].contains("standard error"), "{}", cases[at]);
    }
}

/// Elements and attributes of `junit-10.xsd` of the xUnit plugin of Jenkins, as far as they are
/// used here.
const JUNIT: [(&str, &[&str]); 6] = [
    ("testsuites", &["name", "tests", "failures", "errors", "time"]),
    ("testsuite", &["name", "tests", "failures", "errors", "skipped", "time", "file"]),
    ("testcase", &["name", "classname", "time"]),
    ("failure", &["message", "type"]),
    ("error", &["message", "type"]),
    ("skipped", &["message"]),
];

#[test]
fn junit_has_a_case_for_each_test_and_is_xml_whatever_was_printed() {
    let desk = Desk::new();
    desk.write(
        "a_test.lua",
        "it('<&>', function() print('\\27[1m\\0 ]]> <b>') error('\\1 <no>\\n\\tline 2\\nline 3') end) it('is', function() end) it.skip('s', function() end)",
    );
    desk.write("b_test.lua", "syntax error");
    let ran = desk.run(&["test", "--output=junit", "--out", "r.xml"]).ends(1, "");
    assert!(ran.out.contains("1 passed, 2 failed, 1 skipped in "), "for people: {ran:?}");
    let text = desk.read("r.xml");
    assert_eq!(
        desk.run(&["test", "--output=junit"]).ends(1, "").out.lines().count(),
        text.lines().count()
    );
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = true;
    let (mut cases, mut names) = (0, Vec::new());
    loop {
        match reader.read_event().expect("XML") {
            Event::Start(tag) | Event::Empty(tag) => {
                let name = tag.name().as_ref().to_owned();
                cases += usize::from(name == "testcase");
                if name != "testcase" {
                    names.push(name);
                }
                let known = JUNIT.iter().find(|(known, _)| *known == tag.name().as_ref());
                let mut attributes = tag.attributes().map(|attribute| attribute.expect("XML"));
                assert!(
                    attributes.all(|attribute| {
                        let (_, known) = known.expect("a known element");
                        known.contains(&attribute.key.as_ref())
                    }),
                    "{tag:?}"
                );
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(cases, 4);
    let wanted =
        ["testsuites", "testsuite", "failure", "system-out", "skipped", "testsuite", "error"];
    assert_eq!(names, wanted);
    let all = "<testsuites name=\"iamlua test\" tests=\"4\" failures=\"1\" errors=\"1\" time=\"";
    assert!(text.contains(all), "{text}");
    let first = "name=\"a_test.lua\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\" time=\"";
    assert!(text.contains(first), "{text}");
    let times = regex::Regex::new(r#"time="[0-9]+\.[0-9]{3}""#).expect("a pattern");
    assert_eq!(times.find_iter(&text).count(), text.matches("time=").count(), "{text}");
    // The message is whole.
    assert!(text.contains("&lt;no&gt;&#10;&#9;line 2&#10;line 3\" type"), "{text}");
    assert!(!text.contains(['\u{1}', '\u{1b}', '\0']), "{text}");
    assert!(text.contains("classname=\"a_test\" name=\"&lt;&amp;&gt;\""), "{text}");
}

#[test]
fn no_test_sees_what_another_has_left_behind() {
    passes(
        r#"
        local count = 0
        for n = 1, 3 do
          it("begins anew " .. n, function()
            count = count + 1
            expect(count):to_equal(1)
            expect(leftover):to_be_nil()
            expect(#account.export().profiles):to_equal(24)
            expect(account.calls()):to_equal {}
            account.reset("empty")
            account.faults("error=100%")
            leftover = true
            clock.advance("90d")
            string.format = nil
          end)
        end
        it("has the same ids each time", function()
          expect(iam.profiles.create("x").id):to_match("^AIPA")
          local id = iam.profiles.get("x").id
          account.reset("example")
          expect(iam.profiles.create("x").id):never():to_equal(id)
        end)
        "#,
    );
    let code = "it('x', function() print(iam.profiles.create('x').id) end)";
    let ids =
        [0, 1].map(|_| tests_with(code, &["--show-output"]).out.lines().nth(4).map(str::to_owned));
    assert!(ids[0] == ids[1] && ids[0].as_ref().is_some_and(|id| id.contains("AIPA")), "{ids:?}");
}

#[test]
fn tests_that_are_others_each_time_the_file_is_read_fail() {
    let code = "it('is', function() end)\nit('is by chance ' .. math.random(), function() end)";
    let ran = tests(code).ends(1, "");
    assert!(ran.out.contains("1 passed, 1 failed"), "{ran:?}");
    assert!(ran.out.contains("the file does not define the same tests each time"), "{ran:?}");
    let ran = tests("it('a\\n\\27[31mb', function() error('x') end)").ends(1, "");
    assert!(ran.out.contains("✗ a\\n\\x1b[31mb\n    a_test.lua:1\n    x\n"), "{}", ran.out);
}

#[test]
fn what_surrounds_a_test_runs_from_the_outside_in_and_back() {
    let code = r#"
        local said = {}
        local function say(word) return function() said[#said + 1] = word end end
        before_each(say("A"))
        after_each(function() print(table.concat(said)) end)
        describe("outer", function()
          before_each(say("B"))
          describe("inner", function()
            before_each(say("C"))
            after_each(say("c"))
            after_each(function() error("after " .. table.concat(said)) end)
            it("passes", say("t"))
            it("fails", function() error("itself") end)
          end)
          after_each(say("b"))
        end)
    "#;
    let ran = tests(code).ends(1, "");
    assert!(ran.out.contains("✗ outer › inner › passes"), "{}", ran.out);
    assert!(ran.out.contains("after ABCtc\n") && ran.out.contains("ABCtcb\n"), "{}", ran.out);
    assert!(ran.out.contains("    itself\n") && ran.out.contains("ABCcb\n"), "{}", ran.out);
    let ran =
        tests("it.only('x', function() end) it('y', function() error('run') end)").ends(0, "");
    assert!(ran.out.contains("1 passed, 1 skipped"), "{}", ran.out);
}

#[test]
fn the_account_is_what_the_test_says() {
    passes(
        r#"
        it("has what a file says", function()
          account.import("account.json")
          expect(#account.export().profiles):to_equal(4)
          expect(iam.profiles.get("gamma").role):to_equal("web")
        end)
        it("has what a table says", function()
          account.import { profiles = { { name = "web", path = "/ec2/", tags = { Owner = "ops" } } }, roles = {} }
          expect(account.export().profiles[1]):to_have { name = "web", path = "/ec2/", tags = { Owner = "ops" } }
          local before = account.export()
          account.reset("empty")
          account.import(before)
          expect(account.export()):to_equal(before)
        end)
        it("is slow to show and to answer", function()
          account.faults("lag=1h")
          iam.profiles.create("late")
          expect(iam.profiles.find("late").name):to_equal("late")
          expect(function() iam.profiles.wait("late", { timeout = "0s" }) end):to_raise("NoSuchEntity")
          clock.advance("1h")
          expect(iam.profiles.wait("late", { timeout = "0s" }).name):to_equal("late")
          account.faults("throttle=1/1")
          iam.profiles.get("late")
          clock.advance("1h")
          iam.profiles.get("late")
          account.faults("error=100%")
          expect(function() iam.profiles.list() end):to_raise("ServiceFailure")
          account.faults()
          iam.profiles.list()
        end)
        it("counts calls, those of runbooks too", function()
          iam.profiles.get("bastion")
          run_runbook("runbook.lua", { owner = "ops" })
          expect(account.calls()):to_have { TagInstanceProfile = 3, ListInstanceProfiles = 1 }
          expect(account.calls().GetInstanceProfile):to_be_greater_than(3)
        end)
        "#,
    );
    fails("account.reset('full')", "\"empty\" or \"example\" belongs here, got \"full\"");
    fails("account.faults('lagg=1s')", "account.faults: there is no fault `lagg`");
    fails("account.import { profils = {} }", "did you mean `profiles`?");
}

#[test]
fn the_clock_stands_until_it_is_moved_or_slept_by() {
    passes(
        r#"
        it("stands", function()
          clock.set("2026-01-01T00:00:00Z")
          local run = run_runbook(temp_folder { ["now.lua"] = "print(time.now(), time.ago('1d')) time.sleep('1.2s')" } .. "/now.lua")
          expect(run.stdout):to_equal("2026-01-01T00:00:00Z\t2025-12-31T00:00:00Z\n")
          expect(clock.now()):to_equal("2026-01-01T00:00:01Z")
          expect(iam.profiles.create("x").create_date):to_equal(time.now())
          clock.set("2020-02-29")
          clock.advance("366d")
          expect(clock.now()):to_equal("2021-03-01T00:00:00Z")
          expect(os.time()):to_equal(time.parse("2021-03-01T00:00:00Z"))
          expect(os.date("!%Y-%m-%d")):to_equal("2021-03-01")
          expect(os.date("!*t").year):to_equal(2021)
          expect(os.date("!%F", 0)):to_equal("1970-01-01")
          local noon = { year = 2020, month = 1, day = 1, hour = 12 }
          expect(os.date("%H", os.time(noon))):to_equal("12")
        end)
        it("begins with the real time", function()
          expect(time.epoch() > 1764000000):to_equal(true)
        end)
        it("counts what several sleep at once as they do", function()
          local before = time.epoch()
          task.all { function() time.sleep("1s") end, function() time.sleep("1s") end }
          expect(time.epoch() - before):to_equal(1)
        end)
        "#,
    );
    fails("clock.set('soon')", "clock.set: \"soon\" is not a date");
    fails("clock.advance(-1)", "clock.advance: the duration must not be negative");
}

#[test]
fn a_runbook_runs_as_it_would_on_the_command_line() {
    passes(
        r#"
        before_each(function() account.import("account.json") end)
        it("gets typed parameters", function()
          local run = run_runbook("runbook.lua", { owner = "ops team", dry_path = true, only = { "a", "b" }, more = { b = "2", a = 1 } })
          expect(run.stdout):to_equal("ops team\ttrue\ta+b\t1\t2\n")
          run = run_runbook("runbook.lua", { owner = "x", dry_path = false }, { args = { "--only", "c" } })
          expect(run.stdout):to_equal("x\tfalse\tc\tnil\tnil\n")
        end)
        it("keeps its limit, and says what it has changed", function()
          local run = run_runbook("runbook.lua", { owner = "ops" })
          expect(run):to_have { code = 4, error = { kind = "refused" }, calls = { TagInstanceProfile = 3 } }
          expect(run.stderr):to_match("error: .*3 changes")
          expect(#run.changes):to_equal(3)
          expect(run.changes[3]):to_have {
            number = 3, action = "TagInstanceProfile", subject = "profile", name = "alpha", outcome = "done",
            before = { path = "/ec2/", tags = { Owner = "dev" } }, after = { tags = { Owner = "ops" } },
            text = "~ tag profile alpha: Owner dev → ops",
          }
          expect(iam.profiles.tags("alpha").Owner):to_equal("ops")
        end)
        it("plans", function()
          local run = run_runbook("runbook.lua", { owner = "ops" }, { mode = "plan", max_changes = 2 })
          expect(run.code):to_equal(4)
          expect(run.stderr):to_match("it makes 4 changes, and the run may make 2 changes")
          expect(#run.changes):to_equal(4)
          expect(run.changes[2]):to_have { outcome = "planned", name = "gamma" }
          expect(run.stderr):to_contain("~ tag profile gamma: Owner dev → ops")
          expect(iam.profiles.tags("alpha").Owner):to_equal("dev")
        end)
        it("reads only", function()
          local run = run_runbook("runbook.lua", { owner = "ops" }, { mode = "read-only" })
          expect(run.code):to_equal(4)
          expect(run.changes):to_equal {}
        end)
        it("is told of a wrong command line", function()
          local run = run_runbook("runbook.lua", { ownr = "ops" })
          expect(run):to_have { code = 2, error = { kind = "usage" }, stdout = "" }
          expect(run.stderr):to_contain("did you mean --owner?")
        end)
        it("may do what its manifest asks for, and no more", function()
          local folder = temp_folder {
            ["data/x.txt"] = "content",
            ["reads.lua"] = [[runbook { permissions = { read = { arg[0]:match(".*/") .. "data" } } }
              print(require("fs").read(arg[0]:match(".*/") .. "data/x.txt"))]],
            ["takes.lua"] = [[print(require("fs").read(arg[0]:match(".*/") .. "data/x.txt"))]],
          }
          expect(run_runbook(folder .. "/reads.lua").stdout):to_equal("content\n")
          expect(run_runbook(folder .. "/reads.lua", nil, { confirm = false }).code):to_equal(4)
          expect(run_runbook(folder .. "/takes.lua")):to_have { code = 4, error = { kind = "permission" } }
          expect(run_runbook(folder .. "/takes.lua", nil, { allow_read = { folder } }).code):to_equal(0)
        end)
        it("need not be a runbook", function()
          local folder = temp_folder {
            ["plain.lua"] = "local a, b = ... print(a, b) iam.profiles.delete('alpha') require('report')({ { n = 1 } })",
            ["fails.lua"] = "iam.profiles.get('nobody')",
            ["ends.lua"] = "os.exit(7)",
            ["broken.lua"] = "end",
          }
          local run = run_runbook(folder .. "/plain.lua", nil, { args = { "x", "--", "--y" } })
          expect(run.stdout):to_match("^x\t%-%-y\n")
          expect(run.changes[1].text):to_contain("- delete profile alpha")
          expect(run.changes[1].after):to_be_nil()
          run = run_runbook(folder .. "/fails.lua")
          expect(run):to_have { code = 1, error = { code = "NoSuchEntity", operation = "GetInstanceProfile" } }
          expect(tostring(run.error)):to_contain("NoSuchEntity: Instance Profile nobody")
          expect(run_runbook(folder .. "/ends.lua").code):to_equal(7)
          expect(run_runbook(folder .. "/broken.lua").stderr):to_contain("broken.lua:1:")
        end)
        it("is stopped in time", function()
          local run = run_runbook(temp_folder { ["x.lua"] = "while true do end" } .. "/x.lua", nil, { timeout = "100ms" })
          expect(run):to_have { code = 1, error = { kind = "timeout" } }
        end)
        it("runs beside others", function()
          local runs = task.all {
            function() return run_runbook("runbook.lua", { owner = "a" }).code end,
            function() return run_runbook("runbook.lua", { owner = "b" }).code end,
          }
          expect(#runs):to_equal(2)
        end)
        "#,
    );
    fails(
        "run_runbook('runbook.lua', { 'x' })",
        "hint: arguments without a name go into options.args",
    );
    fails("run_runbook('runbook.lua', nil, { mod = 'plan' })", "hint: did you mean 'mode'?");
    fails(
        "run_runbook('runbook.lua', nil, { mode = 'plann' })",
        "mode must be one of \"apply\", \"plan\", \"read-only\"",
    );
}

#[test]
fn nothing_of_it_is_there_in_scripts() {
    let desk = Desk::new();
    desk.run(&["-e", "assert(describe == nil and expect == nil and account == nil and fake == nil and clock == nil and testing == nil)"])
        .ends(0, "");
    desk.run(&["-e", "require('testing')"]).ends(1, "module 'testing' not found");
    desk.write("testing.lua", "return 'mine'");
    desk.write("main.lua", "print((require('testing')))");
    assert_eq!(desk.run(&["run", "main.lua"]).ends(0, "").out, "mine\n");
}

#[test]
fn the_example_of_the_documentation_passes() {
    let page = include_str!("../../docs/testing.md");
    let begin = page.find("-- tag_test.lua\n").expect("the example");
    let (code, _) = page[begin..].split_once("```").expect("its end");
    let desk = Desk::new();
    desk.write("tag_test.lua", code);
    desk.write("bulk_tag.lua", include_str!("../../scripts/bulk_tag.lua"));
    let ran = desk.run(&["test"]).ends(0, "");
    assert!(ran.out.contains("2 passed"), "{ran:?}");
}

#[test]
fn an_array_that_lacks_an_element_is_shown_briefly() {
    let ran = tests(
        "it('looks', function()
           local list = {}
           for profile in iam.profiles.each() do list[#list + 1] = profile end
           for i = 1, 300 do list[#list + 1] = { i, ('ä '):rep(1 << 20), list } end
           expect(list):to_contain('tag')
         end)
         it('has one', function() expect({ { ('x'):rep(200) } }):to_contain({}) end)",
    );
    let shown = ran.out.lines().skip_while(|line| !line.contains("expected an array"));
    let shown: Vec<_> = shown.take_while(|line| !line.contains("✗")).collect();
    assert!(shown[0].ends_with("elements to contain \"tag\"; it has"), "{}", ran.out);
    assert!(shown[1].contains("[1] {") && shown[1].ends_with('…'), "{}", ran.out);
    assert!(shown.iter().any(|line| line.ends_with("and 319 more")), "{}", ran.out);
    assert!(shown.iter().any(|line| line.contains("hint: an element must be")), "{}", ran.out);
    assert!(shown.len() < 12 && shown.iter().all(|line| line.len() < 200), "{}", ran.out);
    assert!(ran.out.contains("an array of 1 element to contain {}; it has"), "{}", ran.out);
}
