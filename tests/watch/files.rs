//! Dependencies of a script: itself, its modules, the files that it reads; and the content of a
//! folder.

use std::fs;

use super::{Watching, replace};
use crate::commands::Desk;

#[test]
fn a_script_runs_again_when_what_it_depends_on_is_something_else() {
    let desk = Desk::new();
    desk.write("lib/m.lua", "return 'one'");
    desk.write("params.txt", "x");
    desk.write(
        "a.lua",
        "print('ran', require('lib.m'), io.open('params.txt'):read('a'), (pcall(require, 'later')))",
    );
    let watching = Watching::new(desk, &["a.lua", "--allow-read"]);
    watching.has_run(1);
    watching.write("lib/m.lua", "return 'two'");
    watching.has_run(2);
    watching.write("params.txt", "y");
    watching.has_run(3);
    // A missing module appears on the search path.
    watching.write("later.lua", "return 'here'");
    watching.has_run(4);
    // Unchanged content, and files that were not read.
    watching.write("lib/m.lua", "return 'two'");
    watching.write("lib/other.lua", "return 1");
    watching.write("other.txt", "z");
    replace(&watching.path("params.txt"), "y");
    replace(&watching.path("a.lua"), "print 'another'");
    watching.has_run(5);
    // Former dependencies.
    watching.write("params.txt", "z");
    watching.write("a.lua", "print 'a third'");
    watching.has_run(6);
    let reasons =
        ["first run", "lib/m.lua changed", "params.txt changed", "later.lua is there now"];
    assert_eq!(watching.reasons("a.lua")[..4], reasons);
    assert_eq!(watching.reasons("a.lua")[4..], ["a.lua changed", "a.lua changed"]);
    watching.wait("six lines", |watching| watching.out().lines().count() == 6);
    let lines: Vec<_> = watching.out().lines().map(str::to_owned).collect();
    assert_eq!(lines[1].split('\t').take(3).collect::<Vec<_>>(), ["ran", "two", "x"]);
    assert_eq!(lines[3].split('\t').take(5).collect::<Vec<_>>()[..4], ["ran", "two", "y", "true"]);
    assert_eq!(lines[4..], ["another", "a third"]);
}

#[test]
fn folders_may_be_moved_and_files_be_gone_for_a_while() {
    let desk = Desk::new();
    desk.write("now/m.lua", "return 'one'");
    desk.write("next/m.lua", "return 'two'");
    desk.write("a.lua", "print((require('now.m')))");
    let watching = Watching::new(desk, &["a.lua"]);
    watching.has_run(1);
    fs::rename(watching.path("now"), watching.path("old")).expect("a rename");
    fs::rename(watching.path("next"), watching.path("now")).expect("a rename");
    watching.wait("the other module", |watching| watching.out().ends_with("two\n"));
    let runs = watching.ends().len();
    watching.write("old/m.lua", "return 'not this one'");
    watching.write("now/m.lua", "return 'three'");
    watching.has_run(runs + 1);
    watching.wait("three\n", |watching| watching.out().ends_with("three\n"));
    // The script is removed, and comes back unchanged.
    fs::rename(watching.path("a.lua"), watching.path("away")).expect("a rename");
    watching.says("a.lua: is gone; it runs when it is back");
    fs::rename(watching.path("away"), watching.path("a.lua")).expect("a rename");
    watching.says("a.lua: is back, as it was");
    fs::remove_file(watching.path("a.lua")).expect("a file");
    watching
        .wait("that it is gone again", |watching| watching.err().matches("is gone").count() == 2);
    watching.write("a.lua", "print 'new'");
    watching.has_run(runs + 2);
    watching.wait("new\n", |watching| watching.out().ends_with("new\n"));
}

#[test]
fn what_a_script_writes_itself_does_not_start_it_again() {
    let desk = Desk::new();
    desk.write("count.txt", "1");
    desk.write(
        "a.lua",
        "local fs = require 'fs'
         local n = tonumber(fs.read('count.txt')) + 1
         fs.write('count.txt', tostring(n))
         print('wrote', n)",
    );
    let watching = Watching::new(desk, &["a.lua", "--allow-read", "--allow-write"]);
    watching.has_run(1);
    watching.write("count.txt", "10");
    watching.has_run(2);
    watching.write("a.lua", "print 'end'");
    watching.has_run(3);
    watching.printed("wrote\t2\nwrote\t11\nend\n");
}

#[test]
fn a_broken_script_is_reported_and_runs_when_it_is_mended() {
    let desk = Desk::new();
    desk.write("m.lua", "return {");
    desk.write("a.lua", "print((require('m')))");
    let watching = Watching::new(desk, &["a.lua"]);
    watching.has_run(1);
    watching.says("a.lua: failed after");
    watching.says("unexpected symbol");
    watching.write("m.lua", "return 'mended'");
    watching.has_run(2);
    watching.printed("mended\n");
}

const RUNBOOK: &str =
    "runbook { description = 'x', allow = {} }\nprint('NAME ran', (require('shared')))";

#[test]
fn the_runbooks_of_a_folder_run_each_on_its_own() {
    let desk = Desk::new();
    let runbook = |name: &str| RUNBOOK.replace("NAME", name);
    desk.write("jobs/a.lua", runbook("a"));
    desk.write("jobs/b.lua", runbook("b"));
    desk.write("jobs/shared.lua", "return 1");
    desk.write("jobs/words.lua", "-- no runbook, though it has the word\nreturn 2");
    desk.write("jobs/a_test.lua", "error('a test is no runbook')");
    desk.write("jobs/.hidden.lua", "error('hidden')");
    desk.write("jobs/broken.lua", "runbook {");
    desk.write("jobs/notes.txt", "");
    let watching = Watching::new(desk, &["jobs"]);
    watching.has_run(3);
    watching.says("note: jobs/shared.lua, jobs/words.lua are left alone, not being runbooks");
    watching.printed("a ran\t1\nb ran\t1\n");
    assert!(watching.err().contains("jobs/broken.lua: failed after"), "{}", watching.err());
    // One of them; a dependency of both; a new one; one that becomes a runbook; the broken one.
    watching.write("jobs/b.lua", &runbook("B"));
    watching.has_run(4);
    watching.write("jobs/shared.lua", "return 3");
    watching.has_run(6);
    watching.write("jobs/c.lua", &runbook("c"));
    watching.has_run(7);
    watching.write("jobs/words.lua", &runbook("words"));
    watching.has_run(8);
    watching.write("jobs/broken.lua", &runbook("mended"));
    watching.has_run(9);
    // A file that is no runbook any more.
    watching.write("jobs/c.lua", "return 'a module'");
    watching.says("note: jobs/c.lua is left alone, not being a runbook");
    watching.write("jobs/a.lua", &runbook("end"));
    watching.has_run(10);
    let expected = "a ran\t1\nb ran\t1\nB ran\t1\na ran\t3\nB ran\t3\nc ran\t3\nwords ran\t3\nmended ran\t3\nend ran\t3\n";
    watching.printed(expected);
}

#[test]
fn a_folder_without_runbooks_waits_for_one() {
    let desk = Desk::new();
    fs::create_dir(desk.path("jobs")).expect("a folder");
    let watching = Watching::new(desk, &["jobs"]);
    watching.says("note: there is no runbook in jobs yet");
    watching.write("jobs/shared.lua", "return 1");
    watching.write("jobs/a.lua", RUNBOOK);
    watching.has_run(1);
    // The folder itself is replaced.
    fs::rename(watching.path("jobs"), watching.path("old")).expect("a rename");
    watching.says("jobs/a.lua: is gone");
    watching.write("jobs/shared.lua", "return 2");
    watching.write("jobs/b.lua", &RUNBOOK.replace("NAME", "b"));
    watching.has_run(2);
    watching.printed("NAME ran\t1\nb ran\t2\n");
}

#[test]
fn paths_that_cannot_be_watched_say_why() {
    let desk = Desk::new();
    desk.write("tag.lua", "");
    desk.write("binary.lua", [0x7f, b'E', b'L', b'F', 0, 1, 2]);
    desk.run(&["watch", "tga.lua"]).ends(2, "did you mean tag.lua?");
    desk.run(&["watch", "tag.lua", "/dev/null"]).ends(2, "is no file");
    desk.run(&["watch", "binary.lua"]).ends(1, "binary");
    desk.run(&["watch"]).ends(2, "required");
    desk.run(&["watch", "tag.lua", "--out", "x"]).ends(2, "--out is for one plan");
    desk.run(&["watch", "tag.lua", "--debounce", "soon"]).ends(2, "--debounce");
    fs::create_dir(desk.path("jobs")).expect("a folder");
    desk.run(&["watch", "jobs", "--once"]).ends(1, "there is no runbook in jobs");
}
