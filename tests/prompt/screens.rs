//! Terminals of all kinds, and unusual input.

use std::fmt::Write;

use super::{HERE, Seat};
use crate::end_to_end::Home;

#[test]
fn a_dumb_terminal_has_a_prompt_without_any_escape() {
    let mut seat = Seat::with(&[], 24, 80, |command| {
        command.env("TERM", "dumb");
    });
    seat.keys("1 + 1\r");
    seat.until("\n2\n");
    seat.keys("for i = 1, 1 do\r");
    seat.keys("print('x' .. i) end\r");
    seat.until("\nx1\n");
    seat.keys("iam.profiles.get('nope')\r");
    seat.until("error: NoSuchEntity");
    assert!(!seat.raw().contains('\x1b'), "{:?}", seat.raw());
    seat.keys("\x04");
    assert_eq!(seat.ends().code(), Some(0));
}

#[test]
fn no_color_means_no_colour() {
    let mut seat = Seat::with(&[], 24, 80, |command| {
        command.env("NO_COLOR", "1");
    });
    seat.enter("local x = 'text'", HERE);
    seat.enter("error('boom')", "error:");
    let colours = ["\x1b[3", "\x1b[1m", "\x1b[2m"];
    assert!(colours.iter().all(|colour| !seat.raw().contains(colour)), "{:?}", seat.raw());
    let mut seat = Seat::new();
    seat.enter("local x = 'text'", HERE);
    assert!(seat.raw().contains("\x1b[35mlocal"), "{:?}", seat.raw());
}

#[test]
fn input_from_a_pipe_is_a_script() {
    let ran = Home::new().feed(&[], "local n = 20\nprint(n + 1)\n").ends(0, "");
    assert_eq!(ran.out, "21\n");
}

#[test]
fn results_go_to_a_pipe_and_keys_come_from_the_terminal() {
    let home = Home::new();
    let file = std::fs::File::create(home.path("out")).expect("a file");
    let shell = format!("exec {} > {}", env!("CARGO_BIN_EXE_iamlua"), home.path("out").display());
    drop(file);
    let mut command = home.command(&[]);
    let mut through = std::process::Command::new("/bin/sh");
    through.args(["-c", &shell]).env_clear();
    for (name, value) in command.get_envs() {
        through.env(name, value.unwrap_or_default());
    }
    command.env("TERM", "xterm");
    through.env("TERM", "xterm");
    let mut terminal = crate::terminal::Terminal::start(&mut through, 24, 80);
    terminal.until("> ");
    terminal.enter("print('to the file')", "> ");
    terminal.keys("\x04");
    assert_eq!(terminal.ends().code(), Some(0));
    assert_eq!(std::fs::read_to_string(home.path("out")).expect("the results"), "to the file\n");
}

#[test]
fn text_of_all_languages_is_edited_and_broken_bytes_break_nothing() {
    let mut seat = Seat::new();
    seat.enter("'äöü 日本語 🦀'", "\n\"äöü 日本語 🦀\"\n");
    // One key deletes one character, whatever its number of bytes.
    seat.keys("'日本🦀\x7f\x7f語'\r");
    seat.until("\n\"日語\"\n");
    seat.clear();
    seat.bytes(b"'a\xff");
    seat.until("what was typed is not UTF-8");
    // The valid part of the input is still there.
    seat.keys("b'\r");
    seat.until("\n\"ab\"\n");
    seat.keys("\x1b[999~\x1b[?1;2c\x00");
    seat.keys("\x15");
    seat.enter("'and here'", "\n\"and here\"\n");
}

#[test]
fn a_paste_of_a_megabyte_is_one_entry() {
    let mut seat = Seat::new();
    let mut code = String::from("big = {\n");
    let mut lines = 0;
    while code.len() < 1 << 20 {
        lines += 1;
        let _ = writeln!(code, "  \"a line of data, number {lines}\",");
    }
    code.push('}');
    seat.keys(&format!("\x1b[200~{code}\x1b[201~\r"));
    seat.keys("#big\r");
    seat.until(&format!("\n{lines}\n"));
    // The entry is too large for the history.
    let mut next = Seat::at(std::mem::replace(&mut seat.home, Home::new()), &[], 24, 80, |_| {});
    next.keys("\x1b[A");
    next.until_line(&format!("{HERE}#big"));
}

#[test]
fn a_paste_of_more_lines_than_a_screen_can_count_is_refused() {
    let mut seat = Seat::new();
    let lines = "x = 1\n".repeat(70_000);
    seat.keys(&format!("\x1b[200~{lines}\x1b[201~"));
    seat.until("error: that is too long to be edited");
    seat.enter("'still here'", "\n\"still here\"\n");
}

#[test]
fn lines_that_arrive_at_once_are_all_entered() {
    let mut seat = Seat::new();
    // As a terminal without bracketed paste would paste.
    let lines: Vec<_> = (1..=15).map(|n| format!("print('line', {n})\r")).collect();
    seat.keys(&lines.concat());
    let screen = seat.until("\nline    15\n");
    for n in 1..=15 {
        assert!(screen.contains(&format!("\nline    {n}\n")), "{n}: {screen}");
    }
}

#[test]
fn a_terminal_that_changes_its_size_is_followed() {
    let mut seat = Seat::with(&[], 40, 100, |_| {});
    seat.enter("iam.profiles.list { path_prefix = '/ec2/web/' }", "PATH");
    seat.resize(40, 40);
    seat.keys("\x0c");
    seat.until_line("local acme-example APPLY>");
    seat.enter("iam.profiles.list { path_prefix = '/ec2/web/' }", "not shown, for want of room");
}

#[test]
fn the_history_is_shared_and_private_and_can_be_turned_off() {
    use std::os::unix::fs::PermissionsExt;
    let mut one = Seat::new();
    let home = std::mem::replace(&mut one.home, Home::new());
    let file = home.path("state/history.db");
    let mut other = Seat::at(home, &[], 24, 100, |_| {});
    one.enter("from_one = 1", HERE);
    one.enter(" secret = 'not kept'", HERE);
    for code in
        ["api_key = 'hunter2'", "x = { dbPassword = 'hunter2' }", "f = 'https://me:hunter2@h'"]
    {
        one.enter(code, HERE);
    }
    one.enter(".load missing.lua --token hunter2", "there is no script");
    // The prompt itself recalls it.
    one.keys("\x1b[A");
    one.until(".load missing.lua --token hunter2");
    one.keys("\x03");
    other.enter("from_other = 1", HERE);
    one.enter("1 + 1", "\n2\n");
    // Each prompt sees the entries of the other after its own next entry.
    other.enter("2 + 2", "\n4\n");
    other.keys("\x12from_one");
    other.until("(reverse-i-search)`from_one': from_one = 1");
    other.keys("\x03");
    other.clear();
    other.keys("\x12secret");
    other.until("(failed reverse-i-search)`secret'");
    let mode = file.metadata().expect("the history").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let kept = ["history.db", "history.db-wal"]
        .map(|name| std::fs::read(file.with_file_name(name)).unwrap_or_default())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(kept.concat().contains("from_one") && !kept.concat().contains("hunter2"));
    let mut off = Seat::with(&[], 24, 100, |command| {
        command.env("IAMLUA_HISTORY", "");
    });
    off.enter("x = 1", HERE);
    off.keys("\x1b[A");
    off.until_line(&format!("{HERE}x = 1"));
    assert!(!off.home.path("state/history.db").exists());
}

#[test]
fn a_prompt_without_a_place_for_its_state_says_so_and_goes_on() {
    let mut command = Home::new().command(&[]);
    command.env_remove("IAMLUA_HOME").env("TERM", "xterm");
    let mut terminal = crate::terminal::Terminal::start(&mut command, 24, 100);
    terminal.until("> ");
    terminal.until("error: there is no home directory");
    terminal.enter("1 + 1", "\n2\n");
    terminal.enter("iam.account()", "error: there is no home directory");
    terminal.keys("\x04");
    assert_eq!(terminal.ends().code(), Some(0));
}

#[test]
fn told_to_end_it_puts_the_terminal_back() {
    let mut seat = Seat::new();
    seat.enter("iam.profiles.tag('bastion', { A = '1' })", HERE);
    seat.clear();
    let pid =
        rustix::process::Pid::from_raw(i32::try_from(seat.pid()).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
    assert_eq!(seat.ends().code(), Some(130));
    assert!(seat.is_canonical());
    let runs = seat.home.run(&["runs"]);
    assert!(runs.out.contains("interrupted"), "{runs:?}");
}
