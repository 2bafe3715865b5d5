//! Bulk work of the program: progress, summary, and interruption.

use std::io::Read;
use std::process::Stdio;

use rustix::process::Signal;

use crate::end_to_end::{Home, Ran};
use crate::patience::Running;

/// Creates profiles at the speed of the endpoint.
const MAKE: &str = r#"
local names = {}
for i = 1, 4000 do names[i] = "p" .. i end
bulk.each(names, { label = "make", concurrency = 4 }, function(name)
  iam.profiles.create(name)
  if name == "p5" then log.info("in between") end
end)
print("not reached")
"#;

#[test]
fn an_interrupt_says_what_is_done_and_what_is_not() {
    let home = Home::new();
    let args = ["--faults", "hold=iam:CreateInstanceProfile", "-e", MAKE];
    let mut child = Running::start(&mut home.command(&args));
    let err = child.err();
    // The second calls of all four workers.
    home.gatekeeper().holds(4);
    home.gatekeeper().releases();
    home.gatekeeper().holds(4);
    child.signal(Signal::INT);
    err.says("calls in flight are being finished");
    let open = home.gatekeeper().opens();
    let ran = Ran::from(child.ends());
    drop(open);
    let ran = Ran { err: err.all(), ..ran }.ends(130, "make: stopped after ");
    assert_eq!(ran.out, "");
    let line = ran.err.lines().find(|line| line.starts_with("make: stopped")).expect("a line");
    let numbers: Vec<u64> = line
        .split(|c: char| !c.is_ascii_digit() && c != ',')
        .filter_map(|word| word.replace(',', "").parse().ok())
        .collect();
    // Done, in flight, not started.
    let [done, under_way, left] = numbers[..] else { panic!("{line}") };
    assert!(done > 0 && under_way <= 4 && done + under_way + left == 4000, "{line}");
    assert!(ran.err.contains("under way when it was stopped: p"), "{}", ran.err);
    // Calls in flight were finished or not started: the account has the profiles that are reported
    // as done, and at most those in flight.
    let count = home
        .run(&["-e", "local n = 0 for p in iam.profiles.each() do n = n + 1 end print(n - 24)"]);
    let made: u64 = count.ends(0, "").out.trim().parse().expect("a number");
    assert!((done..=done + under_way).contains(&made), "{made}: {line}");
    home.run(&["runs", "show", "last"]).ends(0, "");
}

#[test]
fn without_a_terminal_there_are_lines_and_a_summary() {
    let home = Home::new();
    // The third item ends once the progress of the first two was seen.
    let script = "bulk.each({ 1, 2, 3 }, { label = 'nap', concurrency = 1 }, function(n)
        while n == 3 and not iam.profiles.find('go') do time.sleep('50ms') end
    end)";
    let nap = |args: &[&str], two: &str| {
        let mut child = Running::start(&mut home.command(&[args, &["-e", script]].concat()));
        let err = child.err();
        err.says(two);
        home.run(&["-e", "iam.profiles.create('go')"]).ends(0, "");
        let ran = Ran { err: String::new(), ..Ran::from(child.ends()) }.ends(0, "");
        home.run(&["-e", "iam.profiles.delete('go')"]).ends(0, "");
        Ran { err: err.all(), ..ran }
    };
    home.run(&["-e", "iam.account()"]).ends(0, "");
    nap(&[], "INFO  nap: 2 of 3, ").ends(0, "nap: 3 done in ");
    let ran = nap(&["--output", "jsonl"], "\"done\":2");
    let events: Vec<serde_json::Value> =
        ran.err.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let two = events.iter().find(|event| event["done"] == 2).expect("two are done");
    assert_eq!((&two["event"], &two["total"]), (&"progress".into(), &3.into()));
    let last = events.last().expect("an event");
    assert_eq!(
        (&last["event"], &last["label"], &last["done"]),
        (&"summary".into(), &"nap".into(), &3.into())
    );
    // Messages, output and errors must be JSON too.
    let talks =
        "log.info('hello') io.stderr:write('half') io.stderr:write(' a line') report.note('note')
        bulk.each({ 1 }, { label = 'nap' }, function() error('oh \"no\"') end)";
    for args in
        [&["--output", "jsonl", "--plan"][..], &["--progress", "events", "--plan", "--stats"]]
    {
        let plans = format!("iam.profiles.create('planned') {talks}");
        let ran = home.run(&[args, &["-e", &plans]].concat()).ends(1, "half a line");
        let events: Vec<serde_json::Value> = ran
            .err
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
            .collect();
        let last = events.last().expect("an event")["text"].as_str().expect("a message");
        assert!(ran.err.contains("hello") && ran.err.contains("error: "), "{last}: {}", ran.err);
    }
    let quiet = home.run(&["--progress", "none", "-e", "bulk.each({ 1 }, {}, function() end)"]);
    assert_eq!(quiet.ends(0, "").err, "");
}

#[test]
fn the_cost_of_a_run_is_said_where_it_is_asked_for() {
    let home = Home::new();
    let script = "for i = 1, 3 do iam.profiles.get('worker') end iam.profiles.tag('worker', { Owner = 'x' }) iam.profiles.tag('worker', { Owner = 'x' })";
    let ran = home.run(&["--stats", "-e", script]).ends(0, "5 calls in ");
    for part in [
        "GetInstanceProfile 3",
        "TagInstanceProfile 1",
        "; 1 change not sent, because all was so already",
    ] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    let shown = home.run(&["runs", "show", "last"]).ends(0, "").out;
    assert!(shown.contains("GetInstanceProfile 3"), "{shown}");
    let throttled = [
        "--stats",
        "--faults",
        // Slower than any machine, after a burst that does not suffice for all.
        "throttle=1/20",
        "-e",
        "bulk.each(iam.profiles.each(), {}, function(p) iam.profiles.get(p.name) end)",
    ];
    home.run(&throttled).ends(0, "; throttled ");
}

#[test]
fn on_a_terminal_there_is_a_bar_that_messages_do_not_tear() {
    // Results elsewhere, and on the same terminal.
    for is_all in [false, true] {
        let home = Home::new();
        let (terminal, theirs) = crate::terminal::pair(24, 80);
        let script =
            MAKE.replace("4000", "400").replace("\"p5\" then", "\"p200\" then print('a result')");
        let mut command = home.command(&["--faults", "latency=20ms", "-e", &script]);
        if is_all {
            command.stdout(Stdio::from(theirs.try_clone().expect("another handle")));
        }
        command.env("TERM", "xterm-256color").stderr(Stdio::from(theirs));
        let child = Running::start(&mut command);
        drop(command);
        let reader = std::thread::spawn(move || {
            let (mut terminal, mut seen) = (terminal, Vec::new());
            // A terminal whose other end is closed returns an error.
            let _ = terminal.read_to_end(&mut seen);
            String::from_utf8_lossy(&seen).into_owned()
        });
        let ran = Ran::from(child.ends()).ends(0, "");
        let seen = reader.join().expect("it reads");
        assert!(
            seen.contains("make: ") && seen.contains(" of 400 [") && seen.contains(" left"),
            "{seen}"
        );
        // The bar is cleared before a message, which has its own line.
        for message in ["INFO  in between\r\n", "a result\r\n"] {
            if !is_all && message.starts_with('a') {
                assert!(ran.out.starts_with("a result\n"), "{ran:?}");
                continue;
            }
            let at = seen.find(message).expect("the message");
            let begin = seen[..at].rfind(['\r', '\n', 'K']).expect("the beginning of the line");
            assert!(!seen[begin..at].contains("make:"), "{seen}");
        }
        // The summary replaces the bar at the end.
        let last = seen.rsplit("\x1b[2K").next().expect("the end");
        assert!(last.starts_with("make: 400 done in "), "{last}");
    }
}
