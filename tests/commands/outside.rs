//! Programs and files outside of the account, which a plan lists and does not touch.

use serde_json::{Value, json};

use super::{Desk, json_of};

/// Ways to write, from a folder with `old` (`before`) and `sub/`: name, code, planned content by
/// file, and lines of the plan.
type Way =
    (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

const WAYS: &[Way] = &[
    (
        "fs.write, new",
        "fs.write('new', 'planned')",
        &[("new", "planned"), ("old", "before")],
        &["would write new (7 bytes)"],
    ),
    ("fs.write, old", "fs.write('old', '')", &[("old", "")], &["would write old (0 bytes)"]),
    (
        "fs.write, twice",
        "fs.write('new', 'longer') fs.write('./new', 'x')",
        &[("new", "x")],
        &["would write new (1 byte)"],
    ),
    (
        "io.open w",
        "local f = io.open('old', 'w') f:write('now') f:close()",
        &[("old", "now")],
        &["would write old (3 bytes)"],
    ),
    (
        "io.open wb",
        "local f = io.open('sub/new', 'wb') f:write('\\0') f:close()",
        &[("sub/new", "\0")],
        &["would write sub/new (1 byte)"],
    ),
    (
        "io.open a, old",
        "local f = io.open('old', 'a') f:write('!') f:close()",
        &[("old", "before!")],
        &["would write old (7 bytes)"],
    ),
    (
        "io.open a, new",
        "for i = 1, 3 do local f = io.open('new', 'a') f:write(i) f:close() end",
        &[("new", "123")],
        &["would write new (3 bytes)"],
    ),
    (
        "io.open r+",
        "local f = io.open('old', 'r+') assert(f:read(2) == 'be') f:seek('set', 0) f:write('BE') f:close()",
        &[("old", "BEfore")],
        &["would write old (6 bytes)"],
    ),
    (
        "io.open w+",
        "local f = io.open('old', 'w+') f:write('a\\nb\\n') f:seek('set') assert(f:read('l', 'L') == 'a') f:close()",
        &[("old", "a\nb\n")],
        &["would write old (4 bytes)"],
    ),
    (
        "io.open a+",
        "local f = io.open('old', 'a+') f:write('!') f:seek('set') assert(f:read('a') == 'before!') f:close()",
        &[("old", "before!")],
        &["would write old (7 bytes)"],
    ),
    (
        "fs.write, then io.open a",
        "fs.write('new', 'a') local f = io.open('new', 'a') f:write('b') f:close()",
        &[("new", "ab")],
        &["would write new (2 bytes)"],
    ),
    (
        "never closed",
        "file = io.open('new', 'w') file:write('left open')",
        &[],
        &["would write new (9 bytes)"],
    ),
    (
        "scan:save",
        "usage.scan({}):save('new') assert(usage.load('new'))",
        &[],
        &["would write new ("],
    ),
];

/// Desk with the files of the table.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("old", "before");
    std::fs::create_dir(desk.path("sub")).expect("a folder");
    desk
}

/// Lua code that compares each file with its content, in every way to read.
fn checks(contents: &[(&str, &str)]) -> String {
    let check = |(path, content): &(&str, &str)| {
        let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
        format!(
            "assert(fs.read({path:?}) == {content:?}, fs.read({path:?}))
             local f = assert(io.open({path:?})) assert(f:read('a') == {content:?}) f:close()
             local lines = '' for line in io.lines({path:?}, 'L') do lines = lines .. line end
             assert(lines == {content:?})
             assert((' ' .. table.concat(fs.list({folder:?}), ' ') .. ' '):find(' {name} ', 1, true))\n"
        )
        .replace("\\0", "\\x00")
    };
    contents.iter().map(check).collect()
}

fn files(desk: &Desk) -> Vec<(String, String)> {
    ["old", "new", "sub/new"]
        .iter()
        .filter(|name| desk.path(name).exists())
        .map(|name| ((*name).to_owned(), desk.read(name)))
        .collect()
}

#[test]
fn no_way_to_write_touches_the_disk_under_a_plan_and_all_are_read_back() {
    for (name, code, contents, lines) in WAYS {
        let desk = desk();
        desk.write("work.lua", format!("{code}\n{}", checks(contents)));
        let before = files(&desk);
        let options = ["--allow-read=.", "--allow-write=."];
        let planned = desk.run(&[&["plan", "work.lua"][..], &options].concat()).ends(0, "");
        assert_eq!(files(&desk), before, "{name}");
        for line in *lines {
            assert!(planned.out.contains(line), "{name}: {line:?} is not in {planned:?}");
        }
        let summary = "Plan: nothing to change; outside of the account 1 file\n";
        assert!(planned.out.ends_with(summary), "{name}: {planned:?}");
        // In a run of the same script, its own checks hold too, and the files are written.
        let flag = [&["run", "work.lua", "--plan", "--plan-runs-programs"][..], &options].concat();
        let ran = desk.run(&flag).ends(0, "");
        assert!(!ran.err.contains("would write"), "{name}: {ran:?}");
        assert_ne!(files(&desk), before, "{name}");
        for (path, content) in *contents {
            assert_eq!(desk.read(path), *content, "{name}");
        }
    }
}

#[test]
fn what_cannot_be_written_is_refused_under_a_plan_as_in_a_run() {
    let tries = r"
        local function show(...)
            local value, err = try(...)
            print(value == nil and err and err.kind, err and err.message:match('^[^:]*'))
        end
        for _, path in ipairs { 'sub', 'missing/new', 'old/child', ('x'):rep(300), '/elsewhere/new' } do
            show(fs.write, path, 'x')
            show(fs.read, path)
            for _, mode in ipairs { 'w', 'a', 'r+', 'w+', 'a+', 'rw', 'x', '' } do
                local ok, file, why, code = pcall(io.open, path, mode)
                print(path:sub(1, 9), mode, ok, tostring(file), why, code)
            end
        end
        print(io.open('missing', 'r+'))
        show(os.remove, 'old')
        show(os.rename, 'old', 'new')
        show(os.tmpname)
        print(io.open('locked', 'w'))
        show(fs.write, 'closed/new', 'x')
        fs.write('made', 'x')
        show(fs.read, 'made/child')
        show(fs.write, 'made/child', 'x')
        show(fs.list, 'made')
        show(process.run, 'uname')
        show(process.run, 'iamlua-no-such-program')
        show(process.run, './old')
        show(process.run, 'true', { 'a\0b' })
    ";
    let print = |mode: &str| {
        use std::os::unix::fs::PermissionsExt;
        let desk = desk();
        desk.write("work.lua", tries);
        desk.write("locked", "");
        std::fs::create_dir(desk.path("closed")).expect("a folder");
        for name in ["locked", "closed"] {
            let permissions = std::fs::Permissions::from_mode(0o500);
            std::fs::set_permissions(desk.path(name), permissions).expect("it is ours");
        }
        let allowed =
            ["--allow-read=.", "--allow-write=.", "--allow-run=true", "--allow-run=./old"];
        let more = ["run", "work.lua", "--allow-run=iamlua-no-such-program", mode];
        desk.run(&[&more[..], &allowed].concat()).ends(0, "").out
    };
    let (planned, made) = (print("--plan"), print("--apply"));
    assert!(planned.contains("permission") && planned.contains("No such file"), "{planned}");
    // Functions and files print addresses.
    let plain = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("0x").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(plain(&planned), plain(&made));
}

#[test]
fn a_program_is_listed_and_its_stand_in_is_used() {
    let desk = desk();
    let code = r#"
        local ran, note = process.run("touch", { "made", "it's" })
        print(ran, note)
        print(process.run("touch", { "made" }, {
            stdin = "x",
            plan = function(program, args) return { ok = true, stdout = program .. " " .. args[1] } end,
        }).stdout)
        print(iamlua.mode)
        iam.profiles.tag("alpha", { Owner = "ops" })
    "#;
    desk.write("work.lua", code);
    let run = ["run", "work.lua", "--allow-run=touch"];
    let planned = desk.run(&[&run[..], &["--plan"]].concat()).ends(0, "Plan only.");
    assert_eq!(planned.out, "nil\tnot run: this is a plan\ntouch made\nplan\n");
    let text = "Plan for the local account 123456789012

  ~ tag profile alpha: Owner dev → ops

  would run touch made 'it'\\''s'
  would run touch made

Plan: 0 to create, 1 to change, 0 to delete (1 call to make); outside of the account 2 programs
";
    assert!(planned.err.contains(text), "{}", planned.err);
    assert!(!desk.path("made").exists());
    desk.run(&["run", "work.lua", "--plan"]).ends(4, "--allow-run=touch");
    let really = desk.run(&[&run[..], &["--plan", "--plan-runs-programs"]].concat()).ends(0, "");
    assert!(really.out.starts_with("table: ") && desk.path("made").exists(), "{really:?}");
}

#[test]
fn who_goes_on_with_a_result_that_is_not_there_is_told_why() {
    let desk = Desk::new();
    let code = "print(process.run('true').ok)";
    let flags = ["--allow-run=true", "-e", code];
    let failed = desk.run(&[&["--plan"][..], &flags].concat()).ends(1, "index a nil value");
    assert!(failed.err.contains("under a plan process.run('true') returns nil"), "{failed:?}");
    for mode in ["--apply", "--read-only"] {
        assert_eq!(desk.run(&[&[mode][..], &flags].concat()).ends(0, "").out, "true\n");
    }
}

#[test]
fn the_mode_can_be_read() {
    let desk = Desk::new();
    for mode in ["read-only", "plan", "apply"] {
        let flag = format!("--{mode}");
        let ran = desk.run(&[&flag, "-e", "print(iamlua.mode, require('iamlua').mode)"]);
        assert_eq!(ran.ends(0, "").out, format!("{mode}\t{mode}\n"));
    }
    desk.run(&["-e", "print(iamlua.mod)"]).ends(1, "did you mean 'mode'?");
    desk.run(&["-e", "iamlua.mode = 'plan'"]).ends(1, "can only be read");
}

#[test]
fn the_plan_file_has_them_and_apply_says_that_it_leaves_them_out() {
    let desk = desk();
    let code = r#"
        fs.write("report.csv", "12")
        process.run("true", { "a b" })
        process.run("true")
        iam.profiles.tag("alpha", { Owner = "ops" })
    "#;
    desk.write("work.lua", code);
    let flags = ["--allow-write=.", "--allow-run=true"];
    let plan = |more: &[&str]| desk.run(&[&["plan", "work.lua"], &flags[..], more].concat());
    plan(&["-o", "plan.json"]).ends(0, "kept in plan.json");
    let outside = json!([
        { "kind": "write", "path": "report.csv", "bytes": 2 },
        { "kind": "run", "program": "true", "arguments": ["a b"] },
        { "kind": "run", "program": "true", "arguments": [] },
    ]);
    assert_eq!(json_of(&desk.read("plan.json"))["outside"], outside);
    let lines = plan(&["--output", "jsonl"]).ends(0, "");
    let lines: Vec<Value> = lines.out.lines().map(json_of).collect();
    assert_eq!(json!(lines[1..]), outside);
    desk.run(&["apply", "plan.json"]).ends(
        0,
        "2 programs and 1 file of the plan are not part of apply: run the script with --apply",
    );
    assert!(!desk.path("report.csv").exists());
    assert_eq!(desk.profile("alpha")["tags"]["Owner"], "ops");
    // A plan without such actions has no such key, and the actions do not count as changes.
    desk.plans("iam.profiles.tag('alpha', { Owner = 'dev' })");
    assert_eq!(json_of(&desk.read("plan.json"))["outside"], Value::Null);
    desk.write("work.lua", "fs.write('report.csv', '')");
    plan(&["--detailed-exitcode"]).ends(0, "");
}

#[test]
fn many_are_folded_and_secrets_are_not_shown() {
    let desk = desk();
    let code = r#"
        local p = runbook { params = { token = { secret = true, required = true } } }
        process.run("true", { "--token", p.token, "\27[2J" })
        fs.write(p.token .. ".txt", "")
        for i = 1, 300 do fs.write(i .. ".txt", "12") end
    "#;
    desk.write("work.lua", code);
    let flags = ["--allow-write=.", "--allow-run=true", "-o", "plan.json", "--token=hush-hush"];
    let planned = desk.run(&[&["plan", "work.lua"], &flags[..]].concat()).ends(0, "");
    assert!(planned.out.contains(r"would run true --token '(secret)' '\x1b[2J'"), "{planned:?}");
    let folded = "would write 301 files (600 bytes)  (secret).txt, 1.txt, 2.txt and 298 more";
    assert!(planned.out.contains(folded), "{planned:?}");
    assert!(!desk.read("plan.json").contains("hush"), "{}", desk.read("plan.json"));
    let full = desk.run(&[&["plan", "work.lua", "--full"], &flags[..]].concat()).ends(0, "");
    assert_eq!(full.out.matches("would write").count(), 301);
}

#[test]
fn the_operators_own_output_is_written() {
    let desk = desk();
    let code =
        "local f = io.open('/dev/stdout', 'w') f:write('out') f:close() fs.write('/dev/null', 'x')";
    let out = std::fs::File::create(desk.path("out")).expect("a file");
    let ran = desk
        .command(&["--plan", "--allow-write", "-e", code])
        .stdout(out)
        .output()
        .expect("the program starts");
    assert!(ran.status.success(), "{ran:?}");
    assert_eq!(desk.read("out"), "out");
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(!err.contains("would write"), "{err}");
}

#[test]
fn no_temporary_files_are_left_or_seen() {
    let desk = desk();
    std::fs::create_dir(desk.path("tmp")).expect("a folder");
    let code = "fs.write('new', 'x') print(#fs.list('tmp')) os.exit(3)";
    let mut command = desk.command(&["--plan", "--allow-write=.", "--allow-read=.", "-e", code]);
    let ran = command.env("TMPDIR", desk.path("tmp")).output().expect("the program starts");
    assert_eq!((ran.status.code(), &*ran.stdout), (Some(3), &b"0\n"[..]), "{ran:?}");
    assert_eq!(std::fs::read_dir(desk.path("tmp")).expect("the folder").count(), 0);
}

#[test]
fn a_module_that_was_planned_can_be_required() {
    let desk = desk();
    desk.write("work.lua", "fs.write('made.lua', 'return 42') print((require('made')))");
    let ran = desk.run(&["run", "work.lua", "--plan", "--allow-write=."]).ends(0, "made.lua");
    assert_eq!(ran.out, "42\n");
    assert!(!desk.path("made.lua").exists());
}

#[test]
fn watch_schedule_and_test_plan_alike() {
    let desk = desk();
    let code = r#"
        process.run("touch", { "early" })
        runbook { description = "Writes.", every = "1h" }
        process.run("touch", { "made" })
        fs.write("report.csv", "12")
        print(iamlua.mode)
    "#;
    desk.write("jobs/work.lua", code);
    let lines =
        ["would run touch early", "would run touch made", "would write report.csv (2 bytes)"];
    let flags = ["--plan", "--allow-write=.", "--allow-run=touch"];
    for command in [&["watch", "--once", "jobs"][..], &["schedule", "run", "work", "jobs"]] {
        let ran = desk.run(&[command, &flags[..]].concat()).ends(0, "Plan only.");
        for line in lines {
            assert!(ran.err.contains(line), "{command:?}: {line:?} is not in {ran:?}");
        }
        assert!(ran.out.contains("plan\n"), "{ran:?}");
    }
    let test = r#"
        it("plans", function()
          local options = { mode = "plan", allow_write = ".", allow_run = "touch" }
          local run = run_runbook("jobs/work.lua", nil, options)
          expect(run.code):to_equal(0)
          expect(run.stderr):to_contain("would run touch made")
          expect(run.outside[3]):to_equal { kind = "write", path = "report.csv", bytes = 2 }
        end)
    "#;
    desk.write("work_test.lua", test);
    desk.run(&["test", "work_test.lua"]).ends(0, "");
    for name in ["early", "made", "report.csv"] {
        assert!(!desk.path(name).exists(), "{name}");
    }
}
