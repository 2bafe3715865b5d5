//! Changes while a script runs.

use rustix::process::Signal;

use super::Watching;
use crate::commands::Desk;

/// Prints the value of `m.lua`, and ends once there is a profile with that name.
const WAITS: &str = "local m = require 'm'
    print('start', m)
    while not iam.profiles.find('go-' .. m) do time.sleep('20ms') end
    print('end', m)";

fn waits(args: &[&str]) -> Watching {
    let desk = Desk::new();
    desk.write("a.lua", WAITS);
    desk.write("m.lua", "return 'one'");
    let watching = Watching::new(desk, &[&["a.lua"], args].concat());
    watching.wait("the start", |watching| watching.out() == "start\tone\n");
    watching
}

fn go(watching: &Watching, name: &str) {
    watching.desk.does(&format!("iam.profiles.create('go-{name}')"));
}

#[test]
fn a_change_is_followed_by_one_more_run() {
    let watching = waits(&[]);
    for n in 0..5 {
        watching.write("m.lua", &format!("return 'two{n}'"));
        // Saves are apart from each other, as by a person.
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    watching.printed("start\tone\n");
    go(&watching, "two4");
    go(&watching, "one");
    watching.has_run(2);
    watching.write("a.lua", "print 'new'");
    watching.has_run(3);
    watching.printed("start\tone\nend\tone\nstart\ttwo4\nend\ttwo4\nnew\n");
}

#[test]
fn a_change_stops_the_run_where_that_is_wanted() {
    let watching = waits(&["--on-busy", "restart"]);
    watching.write("m.lua", "return 'two'");
    watching.wait("the second start", |watching| watching.out().ends_with("start\ttwo\n"));
    watching.says("because m.lua changed");
    // A change of another file stops nothing.
    watching.write("other.lua", "return 1");
    watching.write("m.lua", "return 'three'");
    watching.wait("the third start", |watching| watching.out().ends_with("start\tthree\n"));
    go(&watching, "three");
    watching.has_run(1);
    watching.printed("start\tone\nstart\ttwo\nstart\tthree\nend\tthree\n");
    assert_eq!(watching.err().matches("a.lua: stopped after").count(), 2, "{}", watching.err());
}

#[test]
fn a_change_is_forgotten_where_that_is_wanted() {
    let watching = waits(&["--on-busy", "ignore"]);
    watching.write("m.lua", "return 'two'");
    go(&watching, "one");
    watching.has_run(1);
    go(&watching, "three");
    watching.write("m.lua", "return 'three'");
    watching.has_run(2);
    watching.printed("start\tone\nend\tone\nstart\tthree\nend\tthree\n");
}

#[test]
fn a_restart_lets_a_detach_and_delete_pair_be_done() {
    const ROUNDS: usize = 6;
    const HOLD: &str = "hold=iam:RemoveRoleFromInstanceProfile+iam:DeleteInstanceProfile";
    let desk = Desk::new();
    for n in 0..ROUNDS {
        desk.does(&format!("iam.profiles.ensure {{ name = 'p{n}', role = 'web' }}"));
    }
    desk.write("m.lua", "return 0");
    desk.write(
        "a.lua",
        "local n = require 'm'
         print('start', n)
         iam.profiles.delete('p' .. n, { detach = true })
         print('end', n)",
    );
    let mut watching = Watching::new(desk, &["a.lua", "--on-busy", "restart", "--faults", HOLD]);
    let gate = watching.desk.gatekeeper();
    for n in 1..=ROUNDS {
        let start = format!("start\t{}\n", n - 1);
        watching.wait(&start, |watching| watching.out().contains(&start));
        // In the first call of the two, in the second one, and after both.
        gate.passes(n % 3);
        if n % 3 < 2 {
            gate.holds(1);
        }
        watching.write("m.lua", &format!("return {}", n % ROUNDS));
        if n % 3 < 2 {
            // The script is told to stop before the call is released.
            let stops = "a.lua is being stopped: calls in flight are being finished";
            let told = (1..=n).filter(|n| n % 3 < 2).count();
            watching.wait(stops, |watching| watching.err().matches(stops).count() == told);
            gate.passes(2 - n % 3);
        }
    }
    let _open = gate.opens();
    watching.wait("the last start", |watching| watching.out().matches("start\t0\n").count() == 2);
    assert_eq!(watching.is_told(Signal::TERM).code(), Some(130));
    assert!(watching.err().contains("because m.lua changed"), "{}", watching.err());
    let account = watching.desk.account();
    for profile in account["profiles"].as_array().expect("a list") {
        let name = profile["name"].as_str().expect("a name");
        assert!(!name.starts_with('p') || profile["role"] == "web", "half a pair: {profile}");
    }
}

#[test]
fn an_interrupt_ends_the_watcher_once_its_calls_are_finished() {
    let mut idle = Watching::new(desk_with("print 'x'"), &["a.lua"]);
    idle.has_run(1);
    assert_eq!(idle.is_told(Signal::INT).code(), Some(130));
    let mut computing =
        Watching::new(desk_with("print 'x' time.sleep('10ms') while true do end"), &["a.lua"]);
    computing.wait("the start", |watching| watching.out() == "x\n");
    assert_eq!(computing.is_told(Signal::TERM).code(), Some(130));
    computing.says("a.lua: stopped after");
    let tag = |owner: &str| format!("iam.profiles.tag('alpha', {{ Owner = '{owner}' }})\n");
    let script = [tag("ops"), "print 'x'\n".into(), tag("web"), tag("db")].concat();
    let hold = ["a.lua", "--faults", "hold=iam:TagInstanceProfile"];
    let mut writing = Watching::new(desk_with(&script), &hold);
    let gate = writing.desk.gatekeeper();
    gate.passes(1);
    writing.wait("the start", |watching| watching.out() == "x\n");
    // In the middle of the second change.
    gate.holds(1);
    writing.tell(Signal::INT);
    writing.says("calls in flight are being finished");
    gate.releases();
    assert_eq!(writing.ends_with_status().code(), Some(130));
    let run = writing.desk.last();
    let changes = run["changes"].as_array().expect("a list");
    assert!(changes.iter().all(|change| change["outcome"] == "done"), "{run}");
    let last = &changes.last().expect("one was done before")["after"]["tags"]["Owner"];
    assert_eq!(&writing.desk.profile("alpha")["tags"]["Owner"], last, "{run}");
}

fn desk_with(script: &str) -> Desk {
    let desk = Desk::new();
    desk.write("a.lua", script);
    desk
}
