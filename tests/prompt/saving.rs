//! `.save`: the file repeats the effective entries, and runs.

use super::{HERE, Seat};

/// Session: entries with the expected screen, the message of `.save`, and the output of the script
/// as a plan, in this order.
struct Session {
    entries: &'static [(&'static str, &'static str)],
    says: &'static str,
    prints: &'static [&'static str],
}

const SESSIONS: &[Session] = &[
    Session {
        entries: &[
            ("iam.profiles.create('made').name", "plan+1> "),
            ("iam.profiles.tag(_, { A = '1' })", "plan+2> "),
            ("iam.profiles.tag('bastion', { A = '1' })", "plan+3> "),
            (".undo", "1 change no longer planned"),
            ("iam.profiles.tag('bastion', { B = '2' })", "plan+3> "),
            ("iam.profiles.get('nope')", "error: NoSuchEntity"),
            (".time", "from now on"),
        ],
        says: "3 entries saved in",
        prints: &["\"made\"\n", "create profile made", "tag profile bastion: B"],
    },
    Session {
        entries: &[
            ("iam.profiles.create('gone')", "plan+1> "),
            ("iam.profiles.create('too')", "plan+2> "),
            (".discard", "2 planned changes forgotten"),
            (
                "local names = { 'a', 'b' } for _, n in ipairs(names) do iam.profiles.create(n) end",
                "plan+2> ",
            ),
            (".undo", "2 changes no longer planned"),
            ("iam.profiles.create(names[1])", "plan+1> "),
            ("_.name .. '!'", "\n\"a!\"\n"),
        ],
        says: "2 entries saved in",
        prints: &["\"a!\"\n", "create profile a"],
    },
    Session {
        entries: &[
            ("iam.profiles.tag('bastion', { A = '1' })", "plan+1> "),
            (".commit", "1 done"),
            ("iam.profiles.tag('worker', { A = '1' })", "plan+1> "),
            (".commit", "1 done"),
            (".undo", "[y/N]"),
            ("y", "1 done"),
        ],
        // The account has it already, but the script contains it.
        says: "1 entry saved in",
        prints: &[],
    },
    Session {
        entries: &[
            ("local n = 20", "plan> "),
            ("local function twice() return n * 2 end", "plan> "),
            ("local n = 21", "plan> "),
            ("twice()", "\n42\n"),
            ("local list = iam.profiles.list { path_prefix = '/legacy/' }", "plan> "),
            (
                "for _, p in ipairs(list) do iam.profiles.tag(p.name, { N = tostring(n) }) end",
                "plan+4> ",
            ),
            ("local p = iam.profiles.get('bastion') p.nothing.at_all = 1", "error:"),
            ("p.name", "\n\"bastion\"\n"),
            ("1, nil, 'x'", "\n1\nnil\n\"x\"\n"),
            ("local x = 7 return x", "\n7\n"),
            ("(print)('called', x)", "\ncalled  7\n"),
            (
                "for i = 1, 3 do if i == 2 then goto go_on end print('i', i) ::go_on:: end",
                "\ni       3\n",
            ),
        ],
        says: "11 entries saved in",
        prints: &[
            "42\n",
            "\"bastion\"\n",
            "1\nnil\n\"x\"\n",
            "7\n",
            "called\t7\n",
            "i\t1\ni\t3\n",
            "4 to change",
        ],
    },
    Session {
        entries: &[
            ("iam.profiles.list { path_prefix = '/legacy/' }", "legacy-app"),
            ("#_", "\n4\n"),
            ("iam.profiles.get('nope')", "NoSuchEntity"),
            ("_error.code", "\n\"NoSuchEntity\"\n"),
            ("#iam.profiles.list() -- all", "\n24\n"),
        ],
        says: "3 entries saved in",
        prints: &["legacy-app-old", "4\n", "24\n"],
    },
];

#[test]
fn a_saved_session_runs_and_plans_what_stood_at_the_prompt() {
    for session in SESSIONS {
        let mut seat = Seat::with(&["--plan"], 60, 160, |_| {});
        for (entry, shows) in session.entries {
            seat.enter(entry, shows);
        }
        let planned = seat.enter(".changes", "");
        let planned = planned.lines().find(|line| line.starts_with("Plan: "));
        let planned = planned.unwrap_or_default().to_owned();
        let file = seat.home.path("saved.lua");
        let screen = seat.enter(&format!(".save {}", file.display()), session.says);
        assert!(screen.contains("runs it"), "{screen}");
        let file = file.to_str().expect("UTF-8");
        let ran = seat.home.run(&["run", "--plan", file]);
        let text = std::fs::read_to_string(file).expect("a script");
        assert_eq!(ran.code, Some(0), "{ran:?}\n{text}");
        let all = format!("{}{}", ran.out, ran.err);
        assert!(all.contains(&planned), "{planned:?} is not in {all}\n{text}");
        let mut from = 0;
        for printed in session.prints {
            let at = all[from..].find(printed);
            from += at.unwrap_or_else(|| panic!("{printed:?} is not next in {all}\n{text}"));
        }
        assert!(!text.contains("nope") && !text.contains("gone"), "{text}");
    }
}

#[test]
fn what_is_left_out_is_said_and_told_in_the_file_where_it_stands() {
    let mut seat = Seat::new();
    let file = seat.home.path("saved.lua");
    let save = format!(".save {}", file.display());
    seat.enter(&save, "nothing was entered yet");
    seat.enter("error('no')", "error:");
    seat.enter(&save, "no entry stands, so there is nothing to save: there was 1 that failed");
    assert!(!file.exists());
    seat.enter("iam.profiles.create('twice') iam.profiles.create('twice')", "EntityAlreadyExists");
    seat.enter("local p = iam.profiles.create('other')", HERE);
    seat.enter("p.name", "\n\"other\"\n");
    seat.enter("iam.profiles.tag('bastion', { A = '1' })", HERE);
    seat.enter(".undo", "1 done");
    seat.enter(".undo", "1 done");
    seat.enter("iam.profiles.tag('worker', { A = '1' })", HERE);
    let screen = seat.enter(&save, "1 entry saved in");
    let screen = screen.replace('\n', "");
    let left_out = "left out 2 that failed, 2 that were undone, 1 that needs one of these";
    assert!(screen.contains(left_out), "{screen}");
    let text = std::fs::read_to_string(&file).expect("a script");
    assert!(text.contains("\niam.profiles.tag('worker', { A = '1' })\n"), "{text}");
    assert!(text.contains("-- p.name\n") && !text.contains("bastion"), "{text}");
    assert!(text.contains("failed after 1 change:\n-- iam.profiles.create('twice')"), "{text}");
}

#[test]
fn what_was_undone_from_elsewhere_is_left_out_too() {
    let mut seat = Seat::with(&["--plan"], 40, 100, |_| {});
    seat.enter("iam.profiles.tag('bastion', { A = '1' })", "plan+1> ");
    seat.enter(".commit", "1 done");
    seat.home.run(&["undo", "last", "--apply"]).ends(0, "1 done");
    let save = format!(".save {}", seat.home.path("saved.lua").display());
    seat.enter(&save, "nothing to save: there was 1 that was undone");
}

#[test]
fn an_existing_file_is_only_replaced_when_that_was_said() {
    let mut seat = Seat::new();
    let file = seat.home.write("saved.lua", "-- mine\n");
    let read = || std::fs::read_to_string(&file).expect("a script");
    seat.enter("x = 1", HERE);
    seat.enter(&format!(".save {}", file.display()), "is there already. Replace it? [y/N]");
    seat.enter("", "was left as it is");
    assert_eq!(read(), "-- mine\n");
    seat.enter(&format!(".save {}", file.display()), "Replace it? [y/N]");
    seat.enter("y", "1 entry saved in");
    assert!(read().ends_with("\nx = 1\n"), "{}", read());
}

#[test]
fn a_script_that_was_loaded_is_part_of_the_file() {
    let mut seat = Seat::new();
    let (file, saved) = (seat.home.path("lib.lua"), seat.home.path("saved.lua"));
    seat.home.write("lib.lua", "local who = ...\nfunction greet() return 'hello ' .. who end\n");
    seat.enter(&format!(".load {} 'the ops'", file.display()), HERE);
    seat.enter("greet()", "\n\"hello the ops\"\n");
    seat.enter(&format!(".save {}", saved.display()), "2 entries saved in");
    std::fs::remove_file(&file).expect("it is there");
    let ran = seat.home.run(&["run", saved.to_str().expect("UTF-8")]).ends(0, "");
    assert_eq!(ran.out, "\"hello the ops\"\n");
}
