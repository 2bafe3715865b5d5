//! Errors and tables at a terminal: colours, and widths.

use std::process::Command;

use crate::end_to_end::Home;
use crate::patience::until_some;
use crate::terminal::Terminal;

/// Raw output of a command at a terminal of that width, to its end.
fn at_terminal(command: &mut Command, columns: u16) -> (Option<i32>, String) {
    let mut terminal = Terminal::start(command, 60, columns);
    let ended = until_some(|| terminal.ended(), || "it has not ended".to_owned());
    (ended.code(), terminal.raw())
}

const ERROR: &str = "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m";
const HINT: &str = "\u{1b}[32mhint:\u{1b}[0m";
const TIP: &str = "\u{1b}[32mtip:\u{1b}[0m";

/// Command lines that fail: in the parser, before a run, and in a script.
const FAILURES: [&[&str]; 3] =
    [&["undo", "last", "--aply"], &["undo", "20261128-000000-xxxxx"], &["-e", "error('boom')"]];

#[test]
fn all_errors_look_alike_at_a_terminal() {
    let home = Home::new();
    for args in FAILURES {
        let (_, raw) = at_terminal(home.command(args).env("TERM", "xterm-256color"), 80);
        assert!(raw.contains(ERROR), "{args:?}: {raw:?}");
        assert!(!raw.contains("hint:") || raw.contains(HINT), "{args:?}: {raw:?}");
        assert!(!raw.contains("tip:") || raw.contains(TIP), "{args:?}: {raw:?}");
    }
}

#[test]
fn errors_have_no_colour_where_none_is_wanted() {
    let home = Home::new();
    for args in FAILURES {
        let plain = home.run(args);
        assert!(plain.err.starts_with("error: ") && !plain.err.contains('\u{1b}'), "{plain:?}");
        for (name, value) in [("NO_COLOR", "1"), ("CLICOLOR", "0"), ("TERM", "dumb")] {
            let mut command = home.command(args);
            command.env("TERM", "xterm-256color").env(name, value);
            let (_, raw) = at_terminal(&mut command, 80);
            assert!(raw.contains("error: ") && !raw.contains('\u{1b}'), "{name}: {raw:?}");
        }
        let forced = home.command(args).env("CLICOLOR_FORCE", "1").output().expect("it runs");
        let forced = String::from_utf8_lossy(&forced.stderr).into_owned();
        assert!(forced.contains(ERROR), "{forced:?}");
    }
    // Progress events are JSON, and so is the error.
    let events = ["-e", "error('boom')", "--progress", "events"];
    let (_, raw) = at_terminal(home.command(&events).env("TERM", "xterm-256color"), 200);
    let event = raw.lines().find(|line| line.contains("boom")).expect("the error");
    let event: serde_json::Value = serde_json::from_str(event.trim()).expect("JSON");
    assert!(event["text"].as_str().is_some_and(|text| text.starts_with("error: ")), "{event}");
}

#[test]
fn tables_fit_the_terminal_and_pipes_get_everything() {
    let home = Home::new();
    let name = "a-name-that-goes-on-and-on-".repeat(4);
    let job = format!("jobs/{}.lua", &name[..60]);
    home.write(&job, format!("runbook {{ every = '1h', allow = {{}} }} error('{name} {name}')"));
    let script = home.write("a/long/path/to/a/script/that-creates.lua", "iam.profiles.create('a')");
    home.run(&["run", script.to_str().expect("text")]).ends(0, "1 change");
    let folder = home.path("jobs").display().to_string();
    home.run(&["schedule", "run", &name[..60], &folder, "--no-retry"]);
    let report = format!(
        "report({{ {{ name = '{name}', role = '{name}', path = '/a/', arn = '{name}' }} }},
            {{ columns = {{ 'name', 'role', 'path', 'arn' }} }})"
    );
    let list = ["schedule", "--list", &folder];
    let dry_run = ["schedule", "--dry-run", &folder];
    for args in [&["runs"][..], &["schedule", "history"], &list, &dry_run, &["-e", &report]] {
        let piped = home.run(args).out;
        let heads: Vec<_> = piped.lines().next().expect("headings").split("  ").collect();
        let heads: Vec<_> =
            heads.iter().map(|head| head.trim()).filter(|h| !h.is_empty()).collect();
        for width in [80, 60] {
            let (_, raw) = at_terminal(home.command(args).env("TERM", "dumb"), width);
            let (table, rest) = raw.split_once("note: the column").unwrap_or((&raw, ""));
            for line in table.lines() {
                assert!(line.trim_end().chars().count() <= width.into(), "{args:?} {width}: {raw}");
            }
            let left_out: Vec<_> = heads
                .iter()
                .filter(|head| !table.lines().next().unwrap_or("").contains(*head))
                .collect();
            assert_eq!(left_out.is_empty(), rest.is_empty(), "{args:?} {width}: {raw}");
            for head in left_out {
                assert!(rest.contains(*head) && rest.contains("--output json"), "{head}: {raw}");
            }
        }
    }
    let piped = home.run(&["-e", &report]);
    assert_eq!(piped.out.matches(&name).count(), 3, "{piped:?}");
}
