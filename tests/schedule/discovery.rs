//! Discovery of jobs in a folder, and of files that are ignored without a message.

use super::program::{Daemon, home, run};

#[test]
fn tests_and_modules_in_a_folder_are_passed_over_without_a_word() {
    let home = home();
    let job = "runbook { every = '1s' } local lib = require('lib') print(lib.greeting)";
    home.write("jobs/works.lua", job);
    home.write(
        "jobs/works_test.lua",
        "describe('works', function() it('runs', function() run_runbook 'works.lua' end) end)",
    );
    // The file contains the word, and would fail if it were run.
    home.write("jobs/lib.lua", "-- For every runbook here.\nlocal M = { greeting = 'hello' }\nfs.write('side', 'effect')\nreturn M");
    home.write("jobs/helpers.lua", "-- For every runbook here.\nerror('a helper is run')");
    let flags = ["--allow-read=.", "--allow-write=."];
    let mut daemon = Daemon::start(&home, &[&["jobs"][..], &flags].concat());
    daemon.says("schedules 1 job", 1);
    daemon.says("hello stream=out", 1);
    daemon.signal("-TERM");
    daemon.ends(0);
    let said = daemon.said();
    for word in ["broken", "works_test", "[lib]", "helpers"] {
        assert!(!said.contains(word), "{word}\n{said}");
    }
    for args in [&["--list", "jobs"][..], &["--dry-run", "jobs", "--until", "2s"]] {
        let ran = run(&home, args).ends(0, "");
        assert!(!ran.err.contains("broken") && !ran.out.contains("test"), "{ran:?}");
    }
    std::fs::remove_file(home.path("jobs/works.lua")).expect("it is there");
    run(&home, &["jobs"]).ends(2, "there is no job in jobs");
    // A file that is named explicitly must be a job.
    run(&home, &["jobs/helpers.lua"]).ends(2, "helpers: it does not declare itself");
    run(&home, &["jobs/works_test.lua"]).ends(2, "every job in jobs/works_test.lua is broken");
    home.write("jobs/load_test.lua", "runbook { every = '1s' } print('I test')");
    let daemon = Daemon::start(&home, &["jobs/load_test.lua"]);
    daemon.says("I test stream=out", 1);
}

#[test]
fn a_file_that_lua_does_not_take_is_told_where_it_names_runbook() {
    let home = home();
    home.write("jobs/works.lua", "runbook { every = '1h' }");
    home.write("jobs/typo.lua", "runbook { every = '1h' ");
    home.write("jobs/open.lua", "--[[ the header\nrunbook { every = '1h' }");
    let ran = run(&home, &["--dry-run", "jobs"]).ends(1, "typo is broken");
    assert!(ran.err.contains("open is broken: ") && !ran.err.contains("works"), "{ran:?}");
}
