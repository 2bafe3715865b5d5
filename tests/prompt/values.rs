//! Output of an entry, and its effect on the next.

use super::{HERE, Seat};

#[test]
fn an_expression_shows_its_value_and_a_statement_nothing() {
    let mut seat = Seat::new();
    seat.enter("1 + 1", "\n2\n");
    seat.enter("= 'old ' .. 'style'", "\n\"old style\"\n");
    seat.enter("nil", "\nnil\n");
    seat.enter("1, nil, 'x'", "\n1\nnil\n\"x\"\n");
    seat.enter("x = 7", HERE);
    seat.enter("_ .. ' is kept'", "\n\"1 is kept\"\n");
    seat.enter("_", "\n\"1 is kept\"\n");
    let screen = seat.enter("iam.profiles.tag('bastion', { A = '1' })", HERE);
    assert!(!screen.contains("nil"), "{screen}");
    seat.enter("print('said') -- and no value", "\nsaid\n");
    seat.enter("{ b = 2, a = { 1, 2 } }", "\n{ a = { 1, 2 }, b = 2 }\n");
    seat.enter("'\\27[31m\\n'", "\n\"\\x1b[31m\\n\"\n");
}

#[test]
fn a_value_that_says_what_it_is_may_say_it_in_several_lines() {
    let mut seat = Seat::with(&[], 40, 200, |_| {});
    seat.enter(
        "setmetatable({}, { __tostring = function() return 'one\\n\\27two' end })",
        "\none\n\\x1btwo\n",
    );
    seat.enter("setmetatable({}, { __tostring = function() error('no') end })", "__tostring fails");
    let screen =
        seat.enter("usage.scan({}):verdict('api-backend-canary')", "in eu-central-1, by name: ");
    assert!(screen.contains("is used: 1 reference") && !screen.contains("\\n"), "{screen}");
}

#[test]
fn profiles_are_a_table_that_fits_the_terminal() {
    for (columns, shown, left) in [
        (200, "NAME  ROLE  CREATE DATE  PATH", ""),
        (100, "NAME  ROLE  CREATE DATE  PATH", ""),
        (40, "NAME  PATH", "not shown, for want of room: role, create_date"),
    ] {
        let mut seat = Seat::with(&[], 60, columns, |_| {});
        let screen = seat.enter("iam.profiles.list { path_prefix = '/ec2/web/' }", "web-loadtest");
        let head = screen.lines().find(|line| line.starts_with("NAME")).expect("a heading");
        let words: Vec<_> =
            head.split("  ").filter(|word| !word.is_empty()).map(str::trim).collect();
        assert_eq!(words.join("  "), shown, "{screen}");
        seat.until(left);
        let is_row = |line: &&str| line.starts_with("web-");
        assert_eq!(screen.lines().filter(is_row).count(), 5, "{screen}");
    }
}

#[test]
fn what_is_long_comes_in_pages() {
    let mut seat = Seat::with(&[], 14, 100, |_| {});
    seat.enter("iam.profiles.list()", "… 14 more: .more shows the next ones");
    seat.enter(".more", "… 4 more");
    seat.enter(".more", "tmp-migration-2023");
    seat.enter(".more", "there is nothing more to show");
    seat.enter("t = {}; for i = 1, 100000 do t[i] = i end", HERE);
    seat.enter("t", "… 99,990 more");
    seat.enter("('x'):rep(20000)", "… cut after 10,000 of 20,000 bytes: print(_) shows all");
    seat.enter("iam.profiles.each()", "`_` is the iterator: it goes on after what was shown");
    seat.enter("_().name", "\"api-backend-canary\"");
}

#[test]
fn the_last_error_is_kept_and_ends_nothing() {
    let mut seat = Seat::new();
    seat.enter(
        "iam.profiles.get('nope')",
        "error: NoSuchEntity: Instance Profile nope cannot be found",
    );
    seat.enter("_error.code", "\n\"NoSuchEntity\"\n");
    seat.enter("error('boom')", "error: (prompt):1: boom");
    seat.enter("error({ a = 1 })", "error: (prompt):1: { a = 1 }");
    seat.enter("x = = 1", "unexpected symbol near '='");
    seat.enter("print('abc", "unfinished string");
    seat.enter("os.exit(300)", "error: bad argument #1 to 'exit'");
    seat.enter("local function f() error('deep') end f()", "deep");
    seat.enter("iam.profiles.gett", "did you mean iam.profiles.get?");
    seat.enter("rawget(iam.profiles, 'gett')", "\nnil\n");
    seat.enter("pritn(1)", "hint: did you mean print?");
    seat.enter("ls", "iam.profiles.each() lists the profiles");
    seat.enter("plan", "did you mean .plan?");
    seat.enter("help time.ago", "time.ago(");
    seat.enter("help", ".discard");
    seat.enter("('x'):rep(1e9, ',')", "not enough memory");
    seat.enter("'still ' .. 'here'", "\n\"still here\"\n");
    seat.enter("help = 'mine'", HERE);
    seat.enter("help", "\n\"mine\"\n");
    seat.keys("quit\r");
    assert_eq!(seat.ends().code(), Some(0));
}

#[test]
fn locals_live_on_and_share_what_functions_have_seen() {
    let mut seat = Seat::new();
    seat.enter("local n, step = 0, 2; local function inc() n = n + step end", HERE);
    seat.enter("inc() inc()", HERE);
    seat.enter("n", "\n4\n");
    seat.enter("step = 10; inc() ", HERE);
    seat.enter("n", "\n14\n");
    seat.enter("rawget(_G, 'n')", "\nnil\n");
    seat.enter("local print = print", HERE);
    seat.enter("print('mine')", "\nmine\n");
    seat.enter("y = 10", HERE);
    seat.enter("local y = 5", HERE);
    seat.enter("y = nil", HERE);
    seat.enter("y", "\nnil\n");
    seat.enter("local y = 7", HERE);
    seat.enter("local y", HERE);
    seat.enter("y", "\nnil\n");
    seat.enter("_G.y", "\n10\n");
    seat.enter("do local hidden = 1 end", HERE);
    seat.enter("hidden", "\nnil\n");
    seat.enter("local MAX <const> = 5", HERE);
    seat.enter("MAX + 1", "\n6\n");
}

#[test]
fn an_entry_of_several_lines_is_one() {
    let mut seat = Seat::new();
    seat.enter("for i = 1, 2 do\r  print('line', i)\rend", "\nline    2\n");
    // Recalled as one entry.
    seat.clear();
    seat.keys("\x1b[A");
    seat.until_line("end");
    seat.keys("\r");
    seat.until("\nend\nline    1\nline    2\nlocal");
    seat.enter("s = [[one\rtwo]]", HERE);
    seat.enter("s", "\n\"one\\ntwo\"\n");
}
