//! All keys in the help, and further ones.

use super::{HERE, Seat};
use crate::patience::until;

const LEFT: &str = "\x1b[D";
const RIGHT: &str = "\x1b[C";
const UP: &str = "\x1b[A";

#[test]
fn tab_completes_names_fields_parameters_and_what_is_in_the_account() {
    let mut seat = Seat::new();
    seat.knows_names();
    let mut typed = |keys: &str, becomes: &str| {
        seat.keys(keys);
        seat.until_line(&format!("{HERE}{becomes}"));
        seat.keys("\x15");
        seat.until_line(HERE);
    };
    typed("iam.profiles.ens\t", "iam.profiles.ensure");
    typed("iam.prof\t.add\t", "iam.profiles.add_role");
    typed("bul\t.ea\t", "bulk.each");
    typed("loc\t", "local");
    typed("('x'):for\t", "('x'):for");
    typed("s = 'x'; s.le\t", "s = 'x'; s.le");
    typed("iam.profiles.get('legacy-r\t", "iam.profiles.get('legacy-reports'");
    typed("iam.profiles.get 'legacy-r\t", "iam.profiles.get 'legacy-reports'");
    typed(
        "iam.profiles.add_role('x', \"web-frontend-s\t",
        "iam.profiles.add_role('x', \"web-frontend-staging\"",
    );
    typed("iam.profiles.list { path_p\t", "iam.profiles.list { path_prefix =");
    typed(
        "iam.profiles.list { path_prefix = '/leg\t",
        "iam.profiles.list { path_prefix = '/legacy/",
    );
    typed("iam.profiles.each { with_tags = t\t", "iam.profiles.each { with_tags = true");
    typed("iam.profiles.delete('x', { de\t", "iam.profiles.delete('x', { detach =");
    typed("iam.roles.get('build\t", "iam.roles.get('build-agent'");
    typed("bulk.each({}, { on_error = 'st\t", "bulk.each({}, { on_error = 'stop'");
    typed("report({}, { format = 'js\t", "report({}, { format = 'json");
    typed(".rea\t", ".read-only");
    typed(".doc iam.profiles.ens\t", ".doc iam.profiles.ensure");
    // Completion runs no code, and offers nothing in comments.
    typed("x = 1 -- ia\t", "x = 1 -- ia");
}

#[test]
fn completion_sees_what_the_session_has_made_and_runs_no_code() {
    let mut seat = Seat::new();
    seat.knows_names();
    seat.enter("iam.profiles.create('zebra') .name", "\"zebra\"");
    seat.keys("iam.profiles.get('zeb\t");
    seat.until_line(&format!("{HERE}iam.profiles.get('zebra'"));
    seat.keys("\x15");
    seat.enter("iam.profiles.delete('zebra')", HERE);
    seat.keys("iam.profiles.get('zeb\t");
    seat.until_line(&format!("{HERE}iam.profiles.get('zeb"));
    seat.keys("\x15");
    seat.enter("t = setmetatable({ plain = 1 }, { __index = function() error('run') end })", HERE);
    seat.keys("t.pl\t");
    seat.until_line(&format!("{HERE}t.plain"));
    seat.keys("\x15");
    seat.enter("local p = iam.profiles", HERE);
    seat.keys("p.get('legacy-r\t");
    seat.until_line(&format!("{HERE}p.get('legacy-reports'"));
}

#[test]
fn two_tabs_list_what_there_is() {
    let mut seat = Seat::new();
    seat.knows_names();
    seat.keys("iam.profiles.get('web-\t\t");
    let screen = seat.until("web-loadtest");
    assert!(screen.contains("web-canary") && screen.contains("web-frontend-staging"), "{screen}");
    seat.until_line(&format!("{HERE}iam.profiles.get('web-"));
}

#[test]
fn the_keys_of_emacs_edit_a_line() {
    let mut seat = Seat::new();
    // Ctrl-A, Ctrl-K, Ctrl-Y, Ctrl-E, Ctrl-W, Ctrl-T, Alt-B, Ctrl-D.
    seat.keys("world\x01hello \x05!");
    seat.until_line(&format!("{HERE}hello world!"));
    seat.keys("\x01\x0b");
    seat.until_line(HERE);
    seat.keys("\x19");
    seat.until_line(&format!("{HERE}hello world!"));
    seat.keys("\x1bb\x04W");
    seat.until_line(&format!("{HERE}hello World!"));
    seat.keys("\x05\x17");
    seat.until_line(&format!("{HERE}hello"));
    seat.keys("ab\x14");
    seat.until_line(&format!("{HERE}hello ba"));
    seat.keys(&format!("{LEFT}{LEFT}x{RIGHT}y"));
    seat.until_line(&format!("{HERE}hello xbya"));
    // Ctrl-_ undoes.
    seat.keys("\x1f\x1f");
    seat.wait("less", |screen| !screen.lines().last().is_some_and(|line| line.contains("xby")));
}

/// Presses Escape, which in vi mode ends the insertion and moves the cursor one column back.
fn escape(seat: &mut Seat) {
    let column = seat.column();
    seat.keys("\x1b");
    until(|| seat.column() + 1 == column, || "Escape does nothing".into());
}

#[test]
fn the_keys_of_vi_edit_a_line() {
    let mut seat = Seat::with(&["--vi"], 24, 100, |_| {});
    seat.keys("hello world");
    seat.until_line(&format!("{HERE}hello world"));
    escape(&mut seat);
    seat.keys("0dwA!");
    seat.until_line(&format!("{HERE}world!"));
    escape(&mut seat);
    seat.keys("cc1 + 2\r");
    seat.until("\n3\n");
}

#[test]
fn hints_and_search_come_from_the_history() {
    let mut seat = Seat::new();
    seat.enter("first = 'one'", HERE);
    seat.enter("second = 'two'", HERE);
    seat.clear();
    seat.keys("fi");
    seat.until_line(&format!("{HERE}first = 'one'"));
    seat.keys(&format!("{RIGHT} .. '!'\r"));
    seat.until_line(HERE);
    seat.enter("first", "\n\"one!\"\n");
    seat.keys("\x12sec");
    seat.until("(reverse-i-search)`sec': second = 'two'");
    seat.keys("\r");
    seat.until("local acme-example APPLY> second = 'two'");
    seat.keys(UP);
    seat.until_line(&format!("{HERE}second = 'two'"));
    seat.keys("\x03");
    seat.until_line(HERE);
}

#[test]
fn ctrl_c_clears_the_line_then_leaves_and_ctrl_d_leaves() {
    let mut seat = Seat::new();
    seat.keys("half a line");
    seat.until("half a line");
    seat.keys("\x03");
    seat.until_line(HERE);
    seat.keys("\x03");
    seat.until("(Ctrl-C again, or Ctrl-D, leaves)");
    // After another entry, Ctrl-C counts as the first one again.
    seat.enter("1", "\n1\n");
    seat.keys("\x03");
    seat.until("(Ctrl-C again, or Ctrl-D, leaves)");
    seat.keys("\x03");
    assert_eq!(seat.ends().code(), Some(0));
    let mut seat = Seat::new();
    seat.keys("\x04");
    assert_eq!(seat.ends().code(), Some(0));
    let mut seat = Seat::new();
    seat.keys("os.exit(7)\r");
    assert_eq!(seat.ends().code(), Some(7));
    let mut seat = Seat::new();
    seat.keys(".exit\r");
    assert_eq!(seat.ends().code(), Some(0));
}

#[test]
fn ctrl_c_stops_what_runs_and_the_prompt_goes_on() {
    let mut seat = Seat::new();
    for code in [
        "while true do end",
        "while true do pcall(error) end",
        "time.sleep(600)",
        "coroutine.wrap(function() while true do end end)()",
        "table.sort({ 1, 2, 3 }, function() time.sleep(600) end)",
    ] {
        seat.clear();
        seat.keys(&format!("print('it ' .. 'runs') {code}\r"));
        seat.until_line("it runs");
        seat.keys("\x03");
        seat.until("error: interrupted");
        // Everything works as before, concurrency too.
        seat.enter(
            "#task.all { function() return iam.account().id end, function() return 2 end }",
            "\n2\n",
        );
        seat.enter("iam.profiles.get('bastion').role", "\n\"bastion\"\n");
    }
}

#[test]
fn calls_in_flight_are_finished_and_journalled() {
    let mut seat = Seat::with(&["--faults", "hold=iam:TagInstanceProfile"], 40, 100, |_| {});
    let gate = seat.home.gatekeeper();
    let open = gate.opens();
    seat.enter("iam.profiles.tag('bastion', { A = '0' })", HERE);
    drop(open);
    // The change of another process is known before the second call is sent.
    seat.clear();
    let change = "iam.profiles.tag('bastion', { A = '1' })";
    seat.keys(&format!("iam.profiles.get('bastion') print('read') {change} while true do end\r"));
    seat.until_line("read");
    gate.holds(1);
    seat.keys("\x03");
    seat.until("calls in flight are being finished");
    gate.releases();
    seat.until("error: interrupted");
    seat.enter("iam.profiles.tags('bastion').A", "\n\"1\"\n");
    seat.enter(".changes", "~ tag profile bastion: A 0 → 1");
    seat.keys(".exit\r");
    seat.ends();
    let shown = seat.home.run(&["runs", "show", "last", "--output", "json"]);
    assert!(shown.out.contains("\"outcome\": \"done\""), "{shown:?}");
    assert!(shown.out.contains("\"command\": \"prompt\""), "{shown:?}");
}
