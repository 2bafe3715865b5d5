//! `iamlua test`: neither tests nor their runbooks reach the machine.

use crate::commands::Desk;

/// Content of a private file.
const PRIVATE: &str = "private text";

fn desk() -> Desk {
    let desk = Desk::new();
    std::fs::create_dir_all(desk.path("tests")).expect("a folder");
    std::fs::create_dir_all(desk.path("elsewhere")).expect("a folder");
    desk.write("elsewhere/private.txt", PRIVATE);
    desk.write("elsewhere/overwritten.txt", PRIVATE);
    desk.write("elsewhere/unlisted.txt", "");
    desk
}

/// Test whose runbook asks for all permissions and then runs `code`.
fn test_of(desk: &Desk, code: &str, options: &str) -> String {
    let folder = desk.path("elsewhere");
    let code = code.replace("{there}", &folder.display().to_string());
    format!(
        "it('runs', function()
           local folder = temp_folder {{ ['x.lua'] = [==[
             runbook {{ permissions = {{ read = {{ '/' }}, write = {{ '/' }}, env = {{ 'HOME' }},
               run = {{ 'touch', 'sh', 'cat', '/bin/sh' }} }} }}
             {code}
           ]==] }}
           local run = run_runbook(folder .. '/x.lua', nil, {options})
           print(run.stdout, run.stderr)
           {{expectation}}
         end)"
    )
}

#[test]
fn a_runbook_under_test_does_not_reach_the_machine() {
    let desk = desk();
    let options = "{ allow_run = { 'touch', 'sh', 'cat', '/bin/sh' }, allow_read = { '/' },
        allow_write = { '/' }, allow_env = { 'HOME', 'AWS_SECRET_ACCESS_KEY' },
        allow_net = { '127.0.0.1' }, confirm = true, mode = MODE }";
    for code in [
        "process.run('touch', { '{there}/made' })",
        "process.run('sh', { '-c', 'touch {there}/made' })",
        "process.run('/bin/sh', { '-c', 'touch {there}/made' })",
        "process.run('cat', { '{there}/private.txt' })",
        "print(fs.read('{there}/private.txt'))",
        "print(io.open('{there}/private.txt'):read('a'))",
        "for line in io.lines('{there}/private.txt') do print(line) end",
        "print(io.open('{there}/private.txt', 'r+'):read('a'))",
        "print(io.open('{there}/private.txt', 'a+'):read('a'))",
        "fs.write('{there}/made', 'x')",
        "fs.write('{there}/overwritten.txt', 'x')",
        "io.open('{there}/made', 'w'):write('x')",
        "io.open('{there}/overwritten.txt', 'w'):close()",
        "io.open('{there}/overwritten.txt', 'a'):write('x')",
        "print(table.concat(fs.list('{there}'), ' '))",
        "print(table.concat(fs.list('/'), ' '))",
        "print(os.getenv('HOME'), os.getenv('AWS_SECRET_ACCESS_KEY'))",
        "fs.write('{there}/made/deep/er', 'x')",
        "report.write({ { a = 1 } }, { file = '{there}/made' })",
        "usage.load('{there}/private.txt')",
        "iam.connect { profile = 'x' }.account()",
    ] {
        for mode in ["'apply'", "'plan'", "'read-only'"] {
            let test = test_of(&desk, code, &options.replace("MODE", mode));
            desk.write("tests/x_test.lua", test.replace("{expectation}", ""));
            // Also with all questions answered, and with grants for other things.
            let flags = [&["--allow-run=true"][..], &["--allow-read=tests", "--allow-env=PATH"]];
            // One of them is enough in the modes after the first.
            for flags in &flags[usize::from(mode != "'apply'")..] {
                let args = [&["test", "tests", "--show-output"][..], *flags].concat();
                let ran = desk.run(&args);
                let said = format!("{}{}", ran.out, ran.err);
                for secret in [PRIVATE, "the-secret-access-key", "unlisted.txt"] {
                    assert!(!said.contains(secret), "{code} in {mode}: {said}");
                }
            }
            assert!(!desk.path("elsewhere/made").exists(), "{code} in {mode}");
            assert_eq!(desk.read("elsewhere/overwritten.txt"), PRIVATE, "{code} in {mode}");
        }
    }
}

#[test]
fn a_test_itself_does_not_reach_the_machine() {
    let desk = desk();
    let there = desk.path("elsewhere").display().to_string();
    for (code, says) in [
        ("process.run('touch', { '{there}/made' })", "`iamlua test --allow-run=touch`"),
        ("fs.read('{there}/private.txt')", "`iamlua test --allow-read="),
        ("fs.read('../elsewhere/private.txt')", ""),
        ("io.open('{there}/private.txt')", "`iamlua test --allow-read="),
        ("fs.write('{there}/made', 'x')", "`iamlua test --allow-write="),
        ("fs.write('tests/made', 'x')", "`iamlua test --allow-write="),
        ("os.getenv('HOME')", "`iamlua test --allow-env=HOME`"),
        ("account.import('/etc/passwd')", "--allow-read=/etc"),
        ("account.import('../../../../../etc/passwd')", ""),
        ("runbook { permissions = { run = { 'touch' } } } process.run('touch')", "--allow-run"),
        ("iam.connect { endpoint_url = 'http://127.0.0.1:1' }", "leads out of it"),
        ("io.popen('true')", "process.run"),
        ("temp_folder { ['../made'] = 'x' }", "leads out of it"),
    ] {
        let code = code.replace("{there}", &there);
        desk.write("tests/x_test.lua", format!("it('runs', function() {code} end)"));
        let ran = desk.run(&["test", "tests"]).ends(1, "");
        assert!(ran.out.contains(says) && !ran.out.contains(PRIVATE), "{code}: {ran:?}");
        assert!(!desk.path("elsewhere/made").exists() && !desk.path("tests/made").exists());
    }
}

#[test]
fn what_the_operator_grants_is_real() {
    let desk = desk();
    let code = "print(fs.read('{there}/private.txt'))
        fs.write('{there}/made', 'x')
        print(process.run('cat', {}, { stdin = 'from cat' }).stdout)";
    let test = test_of(&desk, code, "{ allow_read = { '/' } }").replace(
        "{expectation}",
        "expect(run.code):to_equal(0)
         expect(run.processes):to_equal { { program = 'cat', args = {}, stdin = 'from cat' } }
         expect(run.files):to_equal {}",
    );
    desk.write("tests/x_test.lua", test);
    let flags = ["--allow-run=cat", "--allow-read=elsewhere", "--allow-write=elsewhere"];
    let ran = desk.run(&[&["test", "tests", "--show-output"][..], &flags].concat()).ends(0, "");
    assert!(ran.out.contains(PRIVATE) && ran.out.contains("from cat"), "{ran:?}");
    assert_eq!(desk.read("elsewhere/made"), "x");
}

#[test]
fn what_a_test_makes_up_is_found() {
    let desk = desk();
    desk.write(
        "tests/x_test.lua",
        r#"
        local function run(code, options)
          local folder = temp_folder { ["x.lua"] = [[
            runbook { permissions = { read = { "/etc/owners", "data" }, write = { "/var", "out.csv" },
              env = { "STAGE" }, run = { "git", "ping", "kubectl" } } }
            ]] .. code }
          return run_runbook(folder .. "/x.lua", nil, options)
        end
        it("finds programs", function()
          fake.process("git", { stdout = "any" })
          fake.process("git", { args = { "rev-parse", "HEAD" }, stdout = "0a1b\n" })
          fake.process("ping", { { code = 1, stderr = "no" }, { stdout = "yes" } })
          fake.process("kubectl", { error = "No such file or directory" })
          local ran = run [[
            print(process.run("git", { "rev-parse", "HEAD" }).stdout, process.run("git").stdout)
            local first = process.run("ping")
            print(first.code, first.ok, first.stderr, process.run("ping").stdout, process.run("ping").ok)
            local _, err = try(process.run, "kubectl", { "get" }, { stdin = "in" })
            print(err.kind, err.message)]]
          expect(ran.stdout):to_equal("0a1b\n\tany\n1\tfalse\tno\tyes\ttrue\n"
            .. "io\tcannot run kubectl: No such file or directory\n")
          expect(#ran.processes):to_equal(6)
          expect(ran.processes[6]):to_equal { program = "kubectl", args = { "get" }, stdin = "in" }
        end)
        it("finds files", function()
          fake.file("/etc/owners", "ops\n")
          fake.file("data/a.txt", "a")
          fake.file("data/none.txt")
          local ran = run [[
            print(fs.read("/etc/owners"), io.open("data/a.txt"):read("a"), io.open("data/none.txt"))
            print(table.concat(fs.list("data"), ","))
            fs.write("/var/new/report.txt", "one")
            local file = io.open("/var/new/report.txt", "a")
            file:write(" two") file:close()
            local out = io.open("out.csv", "w") out:write("a,b\n") out:close()]]
          expect(ran.stdout):to_equal("ops\n\ta\tnil\tdata/none.txt: No such file or directory\t2\na.txt\n")
          expect(ran.files):to_equal { ["/var/new/report.txt"] = "one two", ["out.csv"] = "a,b\n" }
          expect(ran.outside):to_equal {}
        end)
        it("finds variables", function()
          fake.env("STAGE", "prod")
          expect(run("print(os.getenv('STAGE'))").stdout):to_equal("prod\n")
        end)
        it("says what is missing", function()
          local ran = run("fs.read('/etc/owners')")
          expect(ran.error.hint):to_contain('fake.file("/etc/owners"')
          ran = run("process.run('git')")
          expect(ran.error.hint):to_contain('fake.process("git"')
          expect(ran.error.hint):to_contain("--allow-run=git")
        end)
        it("needs the permission all the same", function()
          fake.process("rm", {})
          fake.file("/etc/shadow", "x")
          expect(run("process.run('rm')").error.kind):to_equal("permission")
          expect(run("fs.read('/etc/shadow')").error.kind):to_equal("permission")
          expect(run("", { confirm = false }).code):to_equal(4)
        end)
        it("plans", function()
          local ran = run("fs.write('out.csv', 'x') print(process.run('git'))", { mode = "plan" })
          expect(ran.processes):to_equal {}
          expect(ran.outside):to_equal {
            { kind = "write", path = "out.csv", bytes = 1 },
            { kind = "run", program = "git", arguments = {} },
          }
          expect(ran.files["out.csv"]):to_equal("x")
        end)
        it("goes on with its own folder", function()
          local own = temp_folder { ["in.txt"] = "in" }
          local ran = run(("fs.write(%q, fs.read(%q))"):format(own .. "/out.txt", own .. "/in.txt"),
            { allow_read = { own }, allow_write = { own } })
          expect(ran.code):to_equal(0)
          expect(fs.read(own .. "/out.txt")):to_equal("in")
          expect(ran.files):to_equal {}
        end)
        it("refuses what it cannot be", function()
          for _, wrong in ipairs { { code = 256 }, { code = "1" }, { stdot = "x" }, { args = "x" } } do
            expect(function() fake.process("git", wrong) end):to_raise("argument")
          end
          expect(function() fake.file(1) end):to_raise("argument")
          expect(function() fake.env("A") end):to_raise("argument")
        end)"#,
    );
    let ran = desk.run(&["test", "tests"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(!desk.path("out.csv").exists());
}
