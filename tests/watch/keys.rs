//! Watcher at a terminal.

use rustix::process::{Pid, Signal, kill_process};

use super::replace;
use crate::commands::Desk;
use crate::terminal::Terminal;

struct Seat {
    terminal: Terminal,
    desk: Desk,
}

impl Seat {
    fn new(desk: Desk, args: &[&str]) -> Self {
        let args: Vec<_> = ["watch"].iter().chain(args).copied().collect();
        let mut command = desk.command(&args);
        command.env("TERM", "xterm-256color");
        Self { terminal: Terminal::start(&mut command, 40, 100), desk }
    }

    fn tell(&self, signal: Signal) {
        let pid = Pid::from_raw(self.terminal.pid().try_into().expect("a process id"));
        kill_process(pid.expect("a process id"), signal).expect("it is there");
    }

    /// Waits until that many runs are done.
    #[track_caller]
    fn has_run(&self, times: usize) {
        self.terminal
            .wait(&format!("run {times}"), |screen| screen.matches(": done in ").count() >= times);
        assert_eq!(self.terminal.screen().matches(": done in ").count(), times);
    }
}

fn desk_with(script: &str) -> Desk {
    let desk = Desk::new();
    desk.write("a.lua", script);
    desk
}

#[test]
fn keys_run_pause_compare_and_quit() {
    let mut seat = Seat::new(desk_with("print 'one'\nprint 'same'"), &["a.lua"]);
    seat.has_run(1);
    seat.terminal.until("watching a.lua (h shows the keys)");
    assert!(!seat.terminal.is_canonical(), "keys are read as they are pressed");
    seat.terminal.keys("h");
    seat.terminal.until("r: run all again");
    seat.terminal.keys("d");
    seat.terminal.until("a.lua: it has run once, so there is nothing to compare it with");
    seat.terminal.keys("r");
    seat.has_run(2);
    seat.terminal.until("a.lua: run again");
    seat.terminal.keys("d");
    seat.terminal.until("a.lua: as in the run before (0 planned changes)");
    // Changes during a pause are checked afterwards.
    seat.terminal.keys("p");
    seat.terminal.until("paused: p goes on");
    replace(&seat.desk.path("a.lua"), "print 'two'\nprint 'same'");
    seat.terminal.keys("r");
    seat.terminal
        .wait("that it is paused", |screen| screen.matches("paused: p goes on").count() == 2);
    assert!(!seat.terminal.screen().contains("two"));
    seat.terminal.keys("p");
    seat.terminal.until("going on");
    seat.has_run(3);
    seat.terminal.keys("d");
    seat.terminal.until("+ two");
    let screen = seat.terminal.screen();
    assert!(screen.contains("output:\n- one\n+ two\n  same"), "{screen}");
    seat.terminal.keys("q");
    assert_eq!(seat.terminal.ends().code(), Some(0));
    assert!(seat.terminal.is_canonical(), "the terminal is as it was");
}

#[test]
fn the_terminal_is_as_it_was_however_it_ends() {
    for script in ["print 'ready'", "print 'ready' time.sleep('1h')"] {
        let start = || {
            let seat = Seat::new(desk_with(script), &["a.lua"]);
            seat.terminal.until("ready");
            seat
        };
        let mut seat = start();
        seat.terminal.keys("\x03");
        assert_eq!(seat.terminal.ends().code(), Some(130));
        assert!(seat.terminal.is_canonical());
        let mut seat = start();
        seat.tell(Signal::TERM);
        assert_eq!(seat.terminal.ends().code(), Some(130));
        assert!(seat.terminal.is_canonical());
        let mut seat = start();
        seat.terminal.keys("q");
        assert_eq!(seat.terminal.ends().code(), Some(0));
        assert!(seat.terminal.is_canonical());
    }
}

#[test]
fn after_a_stop_keys_are_read_as_before() {
    let mut seat = Seat::new(desk_with("print 'x'"), &["a.lua"]);
    seat.has_run(1);
    seat.tell(Signal::STOP);
    // Terminal mode as the shell leaves it.
    seat.terminal.be_canonical();
    seat.tell(Signal::CONT);
    seat.terminal.wait("keys as they are pressed", |_| !seat.terminal.is_canonical());
    seat.terminal.keys("r");
    seat.has_run(2);
}

const ASKS: &str =
    "runbook { description = 'x', allow = {}, permissions = { read = { 'data.txt' } } }
    print('read', require('fs').read('data.txt'))";

#[test]
fn a_question_is_answered_by_a_key_and_asked_once() {
    let desk = desk_with(ASKS);
    desk.write("data.txt", "one");
    let mut seat = Seat::new(desk, &["a.lua"]);
    seat.terminal.until("[y/N]");
    seat.terminal.keys("n");
    seat.terminal.until("a.lua: failed after");
    seat.terminal.keys("r");
    seat.terminal.wait("it asks again", |screen| screen.matches("[y/N]").count() == 2);
    // Other keys do not answer.
    seat.terminal.keys("xy");
    seat.has_run(1);
    replace(&seat.desk.path("data.txt"), "two");
    seat.has_run(2);
    let screen = seat.terminal.screen();
    assert!(screen.contains("two"), "{screen}");
    assert_eq!(screen.matches("[y/N]").count(), 2, "what was allowed is not asked again: {screen}");
    // The end is requested while it asks.
    let desk = desk_with(ASKS);
    let mut seat = Seat::new(desk, &["a.lua"]);
    seat.terminal.until("[y/N]");
    seat.terminal.keys("\x03");
    assert_eq!(seat.terminal.ends().code(), Some(130));
}

#[test]
fn the_screen_is_cleared_before_each_run_where_that_is_wanted() {
    let seat = Seat::new(desk_with("print 'before'"), &["a.lua", "--clear"]);
    seat.has_run(1);
    replace(&seat.desk.path("a.lua"), "print 'after'");
    seat.terminal.wait("the second run alone", |screen| {
        screen.starts_with("a.lua: a.lua changed") && screen.contains(": done in ")
    });
    let screen = seat.terminal.screen();
    assert!(screen.contains("after") && !screen.contains("before"), "{screen}");
}

#[test]
fn on_aws_it_asks_once_which_account_is_written_to() {
    let aws = Desk::new();
    let endpoint = aws.serve();
    let tag = |owner: &str| format!("iam.profiles.tag('alpha', {{ Owner = '{owner}' }})");
    let args = ["a.lua", "--apply", "--endpoint-url", &endpoint.url];
    let mut seat = Seat::new(desk_with(&tag("ops")), &args);
    seat.terminal.until("Make changes from now on in AWS account 123456789012? [y/N]");
    seat.terminal.keys("n\r");
    assert_eq!(seat.terminal.ends().code(), Some(4));
    assert_eq!(aws.profile("alpha")["tags"]["Owner"], "dev");
    let mut seat = Seat::new(desk_with(&tag("ops")), &args);
    seat.terminal.until("[y/N]");
    seat.terminal.keys("y\r");
    seat.has_run(1);
    seat.terminal.until("iamlua undo");
    assert_eq!(aws.profile("alpha")["tags"]["Owner"], "ops");
    replace(&seat.desk.path("a.lua"), &tag("web"));
    seat.has_run(2);
    assert_eq!(aws.profile("alpha")["tags"]["Owner"], "web");
    assert_eq!(seat.terminal.screen().matches("[y/N]").count(), 1);
    seat.terminal.keys("q");
    assert_eq!(seat.terminal.ends().code(), Some(0));
}
