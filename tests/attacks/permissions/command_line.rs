//! Misspelt limits: an unknown option is an error before anything runs.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::commands::Desk;
use crate::end_to_end::Ran;

/// Script without a manifest that changes the account and prints.
const PLAIN: &str = "print('ran')\niam.profiles.tag('alpha', { Done = 'yes' })\n";
/// Script with a manifest that changes the account and prints.
const RUNBOOK: &str = "local p = runbook { params = { owner = { default = 'x' } } }
    print('ran')\niam.profiles.tag('alpha', { Done = 'yes' })\n";
/// Script with its manifest in a module.
const BY_MODULE: &str = "local p = require('declared')\nprint('ran')
    iam.profiles.tag('alpha', { Done = 'yes' })\n";
/// Script that only seems to have a manifest, and continues after the refusal.
const STUBBORN: &str = "local function never() runbook { args = true } end
    print('begun')
    pcall(print, pcall(iam.profiles.tag, 'alpha', { Done = 'yes' }))
    pcall(process.run, 'touch', { 'made' })
    pcall(fs.write, 'made', 'x')
    pcall(io.open, 'made', 'w')
    pcall(function() for _ in iam.profiles.each() do end end)
    pcall(usage.scan, {})
    os.exit(0)\n";
/// Script that calls `require` without a module, where nothing may be printed either.
const SILENT: &str = "pcall(require, 'nothing') pcall(print, 'ran')
    pcall(io.write, 'ran') pcall(iam.profiles.tag, 'alpha', { Done = 'yes' })\n";

fn desk() -> Desk {
    let desk = Desk::new();
    for (name, content) in [
        ("plain.lua", PLAIN),
        ("runbook.lua", RUNBOOK),
        ("by_module.lua", BY_MODULE),
        ("declared.lua", "return runbook { params = { owner = { default = 'x' } } }"),
        ("stubborn.lua", STUBBORN),
        ("silent.lua", SILENT),
        ("words.lua", "print(table.concat({ ... }, '|'), #arg)"),
        ("own.lua", "runbook { args = true } print(table.concat({ ... }, '|'))"),
        ("comment.lua", "-- runbook { args = true }\nprint('ran')"),
    ] {
        desk.write(name, content);
    }
    desk
}

/// Runs the program with standard input.
fn fed(desk: &Desk, args: &[&str], input: &str) -> Ran {
    let mut child = desk.command(args).stdin(Stdio::piped()).spawn().expect("the program starts");
    // A usage error is reported before anything is read.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    Ran::from(child.wait_with_output().expect("it ends"))
}

#[test]
fn an_option_that_nobody_knows_ends_the_run_before_it_begins() {
    let desk = desk();
    let before = desk.account();
    let grants = ["--allow-run", "--allow-write", "--allow-read"];
    for (words, says) in [
        ("run plain.lua --dry-run", "did you mean --plan?"),
        ("run plain.lua --dryrun", "did you mean --plan?"),
        ("run plain.lua --noop", "did you mean --plan?"),
        ("run plain.lua --Dry-Run", "did you mean --plan?"),
        ("run plain.lua --max-chnages 1", "did you mean --max-changes?"),
        ("run plain.lua --max-chnages=1", "did you mean --max-changes?"),
        ("run plain.lua --max_changes 1", "did you mean --max-changes?"),
        ("run plain.lua --red-only", "did you mean --read-only?"),
        ("run plain.lua --readonly", "did you mean --read-only?"),
        ("run plain.lua -read-only", "did you mean --read-only?"),
        ("run plain.lua --timout 1s", "did you mean --timeout?"),
        ("run plain.lua --plan=yes", ""),
        ("run plain.lua -x", "there is no option -x"),
        ("run plain.lua -n", "there is no option -n"),
        ("run plain.lua web --dry-run", "did you mean --plan?"),
        ("run plain.lua --owner ops", "there is no option --owner"),
        ("run --dry-run plain.lua", "--dry-run"),
        ("run --max-chnages 1 plain.lua", "--max-chnages"),
        ("run plain.lua --apply --dry-run", "did you mean --plan?"),
        ("run plain.lua —read-only --\u{2014}x", "there is no option --"),
        ("plan plain.lua --dry-run", "did you mean --plan?"),
        ("plan plain.lua --fulll", "did you mean --full?"),
        ("run comment.lua --dry-run", "did you mean --plan?"),
        ("run runbook.lua --dry-run", "did you mean --plan?"),
        ("run runbook.lua --max-chnages 1", "did you mean --max-changes?"),
        ("run runbook.lua --red-only", "did you mean --read-only?"),
        ("run runbook.lua --ownr ops", "did you mean --owner?"),
        ("run runbook.lua -x", "there is no use for the argument \"-x\""),
        ("run runbook.lua -- --red-only", "did you mean --read-only?"),
        ("run by_module.lua --dry-run", "did you mean --plan?"),
        ("run stubborn.lua --dry-run", "did you mean --plan?"),
        ("run stubborn.lua --max-chnages 1", "did you mean --max-changes?"),
        ("run silent.lua --dry-run", "did you mean --plan?"),
        ("watch --once plain.lua --dry-run", "--dry-run"),
        ("watch --once --dryrun plain.lua", "--dryrun"),
        ("schedule run plain.lua --dry-runn", "--dry-runn"),
        ("schedule --max-chnages 1 .", "--max-chnages"),
        ("test --allow-rum plain.lua", "--allow-rum"),
        ("apply plan.json --dry-run", "--dry-run"),
        ("undo last --dry-run", "--dry-run"),
        ("--dry-run -e print('ran')", "--dry-run"),
        ("-e print('ran') --red-only", "--red-only"),
        ("-e print('ran') web", "web"),
    ] {
        let mut words: Vec<_> = words.split(' ').collect();
        // Everything else is allowed, so that only the misspelt word can be refused.
        let is_script = Path::new(words[1]).extension().is_some_and(|ending| ending == "lua");
        let is_run = ["run", "plan"].contains(&words[0]) && is_script;
        words.extend(grants.iter().filter(|_| is_run));
        let ran = desk.run(&words).ends(2, says);
        assert!(!ran.out.contains("ran"), "{words:?} has run: {ran:?}");
    }
    for (args, input) in [
        (&["--dry-run"][..], PLAIN),
        (&["run", "-", "--dry-run"], PLAIN),
        (&["run", "-", "--red-only"], "require('x')"),
        (&["plan", "-", "-x"], PLAIN),
    ] {
        let ran = fed(&desk, args, input).ends(2, "");
        assert!(ran.out.is_empty(), "{args:?}: {ran:?}");
    }
    assert_eq!(desk.account(), before);
    assert!(!desk.path("made").exists());
}

#[test]
fn what_is_meant_for_the_script_gets_there() {
    let desk = desk();
    for (words, printed) in [
        ("run words.lua web api", "web|api\t2\n"),
        ("run words.lua -- --dry-run -x", "--dry-run|-x\t2\n"),
        ("run words.lua a -- -b -- c", "a|-b|--|c\t4\n"),
        ("run -- words.lua --dry-run", "--dry-run\t1\n"),
        ("run words.lua - -1 -0.5", "-|-1|-0.5\t3\n"),
        ("run own.lua --dry-run -x web", "--dry-run|-x|web\n"),
        ("run own.lua --plan --dry-run", "--dry-run\n"),
        ("run own.lua a -- --plan", "a|--plan\n"),
        ("run runbook.lua --owner ops --plan", "ran\n"),
        ("run runbook.lua -- --owner ops", "ran\n"),
        ("run by_module.lua --owner=ops --plan", "ran\n"),
        ("watch --once words.lua -- --dry-run", "--dry-run\t1\n"),
    ] {
        let ran = desk.run(&words.split(' ').collect::<Vec<_>>()).ends(0, "");
        assert_eq!(ran.out, printed, "{words}");
    }
    desk.run(&["run", "own.lua", "--help"]).ends(0, "");
    desk.write("both.lua", "runbook { args = true, params = { a = {} } }");
    desk.run(&["run", "both.lua"]).ends(1, "params and args exclude each other");
}

#[test]
fn a_test_and_an_interpreter_line_know_no_other_options() {
    let desk = desk();
    desk.write(
        "words_test.lua",
        "it('passes words on', function()
           local refused = run_runbook('words.lua', { dry_run = true })
           expect(refused.code):to_equal(2)
           expect(refused.error.hint):to_contain('did you mean --plan?')
           local passed = run_runbook('words.lua', nil, { args = { 'web', '--', '--dry-run' } })
           expect(passed.stdout):to_equal('web|--dry-run\\t2\\n')
         end)",
    );
    desk.run(&["test", "words_test.lua"]).ends(0, "");
    let program = env!("CARGO_BIN_EXE_iamlua");
    desk.write("direct.lua", format!("#!/usr/bin/env -S {program} run\n{PLAIN}"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(desk.path("direct.lua"), mode).expect("it is ours");
    let like = desk.command(&[]);
    let mut direct = std::process::Command::new(desk.path("direct.lua"));
    direct.arg("--dry-run").env_clear();
    direct.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    direct.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let ran = Ran::from(direct.output().expect("it starts")).ends(2, "did you mean --plan?");
    assert!(ran.out.is_empty(), "{ran:?}");
}
