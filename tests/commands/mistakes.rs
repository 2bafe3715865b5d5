//! Command lines that are nearly right, and what is said about them.

use super::Desk;
use crate::terminal::Terminal;

const RUNBOOK: &str = "runbook { params = { owner = { default = 'ops' } } } print('ran')";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("a.lua", RUNBOOK);
    desk
}

#[test]
fn a_permission_with_a_blank_is_told_of_the_equals_sign() {
    let desk = desk();
    let lines: [(&[&str], &str); 8] = [
        (&["run", "a.lua", "--allow-net", "127.0.0.1:8099"], "--allow-net=127.0.0.1:8099;"),
        (&["run", "--allow-net", "127.0.0.1:8099", "a.lua"], "--allow-net=127.0.0.1:8099;"),
        (&["plan", "a.lua", "--allow-write", "."], "--allow-write=.;"),
        (&["run", "--allow-write", ".", "a.lua"], "--allow-write=.;"),
        (&["run", "a.lua", "--allow-read", "my files"], "--allow-read='my files';"),
        (&["-e", "print('ran')", "--allow-env", "HOME"], "--allow-env=HOME;"),
        (&["--allow-env", "HOME"], "--allow-env=HOME;"),
        (&["test", "--allow-run", "git"], "--allow-run=git;"),
    ];
    for (args, advice) in lines {
        let ran = desk.run(args).ends(2, &format!("write {advice} a word after a blank"));
        assert!(!ran.out.contains("ran"), "{args:?}: {}", ran.out);
        assert!(!ran.err.contains("shows its options"), "{ran:?}");
    }
}

#[test]
fn a_word_that_is_no_value_of_a_permission_gets_no_such_advice() {
    let desk = desk();
    for args in [
        &["run", "a.lua", "--allow-net", "--owner", "x", "word"][..],
        &["run", "--allow-net", "--", "none.lua"],
        &["run", "none.lua", "--allow-net=none.lua"],
        &["run", "a.lua", "word", "--allow-net"],
    ] {
        let ran = desk.run(args).ends(2, "");
        assert!(!ran.err.contains("write --allow"), "{args:?}: {}", ran.err);
    }
    // A script may take the word.
    desk.write("plain.lua", "print(...)");
    let ran = desk.run(&["run", "plain.lua", "--allow-net", "127.0.0.1"]).ends(0, "");
    assert_eq!(ran.out, "127.0.0.1\n");
}

#[test]
fn options_and_commands_of_other_programs_are_translated() {
    let desk = desk();
    let lines: [(&[&str], &str); 14] = [
        (&["check", "--sarif"], "tip: did you mean '--output sarif'?"),
        (&["check", "-q", "a.lua"], "tip: only findings are printed"),
        (&["check", "a.lua", "--fix"], "tip: iamlua check changes no files"),
        (&["check", "--json"], "tip: did you mean '--output json'?"),
        (&["check", "--deny-warning"], "did you mean '--deny-warnings'?"),
        (&["test", "--junit"], "tip: did you mean '--output junit'?"),
        (&["lint", "a.lua"], "'check'"),
        (&["undo"], "tip: `last` is the latest run; `iamlua runs` lists"),
        (&["runs", "show"], "tip: `last` is the latest run; `iamlua runs` lists"),
        (&["schedule", "show"], "tip: `last` is the latest run; `iamlua schedule history`"),
        (&["apply", "--yes"], "tip: `iamlua plan SCRIPT -o FILE` makes a plan"),
        (&["-c", "print(1)"], "tip: `iamlua -e CODE` runs code"),
        (&["--eval", "print(1)"], "tip: `iamlua -e CODE` runs code"),
        (&["run", "-c", "print(1)"], "tip: `iamlua -e CODE` runs code"),
    ];
    for (args, advice) in lines {
        let ran = desk.run(args).ends(2, advice);
        assert!(!ran.err.contains("as a value"), "{ran:?}");
    }
    // No advice is better than a wrong one.
    for args in [["check", "--xyzzy"], ["run", "--xyzzy"], ["test", "-x"]] {
        let ran = desk.run(&args).ends(2, "unexpected argument");
        assert!(!ran.err.contains("tip:"), "{ran:?}");
    }
}

#[test]
fn a_script_in_place_of_a_plan_is_called_one() {
    let desk = desk();
    for command in ["apply", "show"] {
        let ran = desk.run(&[command, "a.lua"]).ends(4, "a.lua is a script, not a plan");
        assert!(ran.err.contains("`iamlua plan a.lua -o FILE` makes a plan of it"), "{ran:?}");
    }
    // The content counts, not the name alone.
    desk.run(&["plan", "a.lua", "-o", "plan.lua"]).ends(0, "");
    desk.run(&["show", "plan.lua"]).ends(0, "");
    desk.write("none.json", "nothing");
    desk.run(&["show", "none.json"]).ends(4, "none.json is not a plan");
}

#[test]
fn a_runbook_in_place_of_tests_is_called_one_and_does_not_run() {
    let desk = desk();
    let ran = desk.run(&["test", "a.lua"]).ends(1, "");
    assert!(ran.out.contains("it is a runbook, and has no test"), "{ran:?}");
    assert!(ran.out.contains("its tests belong into a_test.lua"), "{ran:?}");
    assert!(!ran.out.contains("printed:"), "{ran:?}");
    // Comments and texts do not count, nor does a file that has tests.
    for code in [
        "-- runbook\nprint('loaded')",
        "print('runbook')",
        "it('has a test', function() runbook {} end)",
    ] {
        desk.write("b.lua", code);
        let ran = desk.run(&["test", "b.lua"]);
        assert!(!ran.out.contains("it is a runbook"), "{code}: {ran:?}");
    }
}

/// Screen after Ctrl-D at the question of a script.
fn after_ctrl_d(desk: &Desk, args: &[&str], answers: &str) -> String {
    let mut terminal = Terminal::start(&mut desk.command(args), 24, 100);
    terminal.until("[y/N]");
    terminal.keys(answers);
    terminal.keys("\u{4}");
    terminal.ends();
    terminal.screen().lines().map(str::trim_end).flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn what_follows_ctrl_d_at_a_question_is_on_a_line_of_its_own() {
    let desk = desk();
    for read in ["io.read()", "io.stdin:read('l')"] {
        let code = format!("io.write('Delete 3 profiles? [y/N] ') {read}:lower()");
        let screen = after_ctrl_d(&desk, &["-e", &code], "");
        assert!(screen.contains("[y/N]\nerror: "), "{screen}");
    }
    // An answer ends the line itself.
    let code = "io.write('Sure? [y/N] ') io.read() print(io.read())";
    let screen = after_ctrl_d(&desk, &["-e", code], "y\r");
    assert!(screen.contains("[y/N] y\nnil"), "{screen}");
    // A file is read without a word on the screen.
    let read_file = "io.write('[y/N] ') io.input('a.lua') io.read('a') io.read() io.write('end') \
                     io.stdin:read()";
    let screen = after_ctrl_d(&desk, &["-e", read_file, "--allow-read"], "");
    assert!(screen.contains("[y/N] end"), "{screen}");
    // The program's own question.
    desk.write("c.lua", "runbook { permissions = { read = { 'a.lua' } } }");
    let screen = after_ctrl_d(&desk, &["run", "c.lua"], "");
    assert!(screen.contains("[y/N]\nerror: "), "{screen}");
}
