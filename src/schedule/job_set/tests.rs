use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Asking, JobSet, Mention, SETTLED, mention, names, wait_until_settled};
use crate::lua::sandbox::{Access, Permissions};

/// Job set of a folder, refreshed on demand.
struct Desk {
    place: tempfile::TempDir,
    job_set: JobSet,
    manifest_settings: Asking,
    _runtime: tokio::runtime::Runtime,
}

impl Desk {
    fn new(files: &[(&str, &str)]) -> Self {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("jobs");
        std::fs::create_dir(&folder).expect("a folder");
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("a file");
        }
        let runtime = crate::app::run::runtime().expect("a runtime");
        let manifest_settings = Asking {
            permissions: Permissions::default(),
            is_planned: false,
            runtime: runtime.handle().clone(),
        };
        let job_set = JobSet::new(&[folder]).expect("a roster");
        let mut desk = Self { place, job_set, manifest_settings, _runtime: runtime };
        assert!(desk.look(0).0, "the first look waits for nothing");
        desk
    }

    /// Refreshes at that many milliseconds; returns whether jobs have changed, and whether a file
    /// is still changing.
    fn look(&mut self, at: u64) -> (bool, bool) {
        let looked = self.job_set.look(&self.manifest_settings, Duration::from_millis(at));
        (looked.has_changed, looked.is_changing)
    }

    /// Jobs, with the reasons of broken ones.
    fn jobs(&self) -> Vec<(String, Option<String>)> {
        self.job_set.jobs().into_iter().map(|job| (job.name, job.what.err())).collect()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.place.path().join("jobs").join(name), text).expect("a file");
    }
}

#[test]
fn a_new_file_is_read_once_it_has_been_left_alone() {
    let mut desk = Desk::new(&[("a.lua", "runbook { every = '1h' }")]);
    desk.write("b.lua", "runbook { every = ");
    assert_eq!(desk.look(1000), (false, true), "half of it is no broken runbook");
    desk.write("b.lua", "runbook { every = '2h' }");
    assert_eq!(desk.look(1100), (false, true));
    assert_eq!(desk.look(1399), (false, true));
    assert_eq!(desk.look(1400), (true, false));
    assert_eq!(desk.jobs(), [("a".to_owned(), None), ("b".to_owned(), None)]);
    desk.write("c.lua", "runbook {");
    assert_eq!(desk.look(2000), (false, true));
    std::fs::remove_file(desk.place.path().join("jobs/c.lua")).expect("it is there");
    desk.look(2100);
    assert_eq!(desk.look(2500), (false, false), "it came and went");
    assert_eq!(desk.jobs().len(), 2);
}

#[test]
fn a_folder_that_is_away_is_missed_until_it_is_back() {
    let mut desk = Desk::new(&[("a.lua", "runbook { every = '1h' }")]);
    let (here, away) = (desk.place.path().join("jobs"), desk.place.path().join("away"));
    std::fs::rename(&here, &away).expect("it is there");
    assert_eq!(desk.look(1000), (false, true));
    std::fs::rename(&away, &here).expect("it is there");
    assert_eq!(desk.look(1200), (false, false), "it was replaced, as a deployment does it");
    std::fs::rename(&here, &away).expect("it is there");
    desk.look(2000);
    assert_eq!(desk.look(2400), (true, false));
    assert_eq!(desk.jobs(), [("jobs".to_owned(), Some("it is gone".to_owned()))]);
    std::fs::rename(&away, &here).expect("it is there");
    assert!(desk.look(3000).0);
    desk.look(3400);
    assert_eq!(desk.jobs(), [("a".to_owned(), None)]);
}

#[test]
fn nothing_is_run_that_was_written_just_now() {
    let place = tempfile::tempdir().expect("a folder");
    let path = place.path().join("a.lua");
    std::fs::write(&path, "runbook {").expect("a file");
    wait_until_settled(&path);
    let changed = path.metadata().and_then(|about| about.modified()).expect("it is there");
    let age = SystemTime::now().duration_since(changed).expect("it was written before");
    assert!(age >= SETTLED, "{age:?}");
    wait_until_settled(&place.path().join("there is none"));
}

#[test]
fn a_name_has_as_much_of_the_path_as_tells_it_from_others() {
    let paths = ["/jobs/a.lua", "/jobs/x/b.lua", "/jobs/y/b.lua", "/old/y/b.lua"].map(Path::new);
    assert_eq!(names(&paths), ["a", "x/b", "jobs/y/b", "old/y/b"]);
}

#[test]
fn tests_and_files_that_never_call_runbook_are_passed_over() {
    let job = "runbook { every = '1h' }";
    let desk = Desk::new(&[
        ("a.lua", job),
        ("a_test.lua", "describe('a', function() run_runbook('a.lua') end)"),
        ("b_test.lua", job),
        (
            "lib.lua",
            "-- For the runbooks.\nlocal M = { runbook = 1 }\nerror('it is run')\nreturn M",
        ),
        ("common.lua", "local M = {} function M.declare(t) return runbook(t) end return M"),
        ("fails.lua", "-- the runbook of\nx = = 1"),
        ("open.lua", "--[[ a header\nrunbook { every = '1h' }"),
        ("late.lua", "local function main() runbook { every = '2h' } end main()"),
        ("rare.lua", "if false then runbook { every = '1h' } end"),
    ]);
    let jobs = desk.jobs();
    let names: Vec<_> = jobs.iter().map(|(name, why)| (name.as_str(), why.is_none())).collect();
    assert_eq!(names, [("a", true), ("fails", false), ("late", true), ("open", false)], "{jobs:?}");
    let folder = desk.place.path().join("jobs");
    let given = ["b_test.lua", "lib.lua", "common.lua"].map(|name| folder.join(name));
    let mut job_set = JobSet::new(&given).expect("a roster");
    job_set.look(&desk.manifest_settings, Duration::ZERO);
    let of = |name: &str| {
        let jobs = job_set.jobs();
        let job = jobs.into_iter().find(|job| job.name == name).expect("it is named");
        job.what.err().unwrap_or_default()
    };
    assert_eq!(of("b_test"), "");
    assert!(of("lib").starts_with("it does not declare itself"), "{}", of("lib"));
    assert!(of("common").starts_with("it does not call runbook"), "{}", of("common"));
}

#[test]
fn what_may_be_a_module_writes_nothing_when_it_is_asked() {
    let place = tempfile::tempdir().expect("a folder");
    let (written, path) = (place.path().join("written"), place.path().join("lib.lua"));
    let text = format!(
        "fs.write({:?}, 'x') return {{ declare = function(t) return runbook(t) end }}",
        written.display().to_string()
    );
    std::fs::write(&path, text).expect("a file");
    let runtime = crate::app::run::runtime().expect("a runtime");
    let mut permissions = Permissions::default();
    permissions.allow(Access::Write, &place.path().display().to_string()).expect("a folder");
    let manifest_settings =
        Asking { permissions, is_planned: false, runtime: runtime.handle().clone() };
    let mut job_set = JobSet::new(&[path]).expect("a roster");
    job_set.look(&manifest_settings, Duration::ZERO);
    let why = job_set.jobs().remove(0).what.expect_err("it is no job");
    assert!(why.starts_with("it does not call runbook"), "{why}");
    assert!(!written.exists());
}

#[test]
fn a_file_says_by_its_text_whether_it_may_declare_itself() {
    for (text, shown) in [
        ("runbook { every = '1h' }", Mention::Direct),
        ("#!/usr/bin/env iamlua\nrunbook { every = '1h' }", Mention::Direct),
        ("local p = runbook({})", Mention::Direct),
        ("local declare = runbook", Mention::Direct),
        ("local r = require('runbook') r {}", Mention::Direct),
        ("_G.runbook {}", Mention::Direct),
        ("runbook {", Mention::Direct),
        ("x = 'runbook", Mention::Direct),
        ("function f() runbook {} end", Mention::InFunctions),
        ("-- runbook {}", Mention::None),
        ("x = 'a runbook'", Mention::None),
        ("local M = {} function M.runbook() end M.runbook()", Mention::None),
        ("for _, runbook in ipairs(all) do runbook() end", Mention::None),
        ("runbooks()", Mention::None),
        ("", Mention::None),
    ] {
        assert_eq!(mention(text.as_bytes()), shown, "{text}");
    }
}

#[test]
fn a_runbook_that_cannot_be_stopped_is_broken_after_a_time() {
    let mut desk = Desk::new(&[("a.lua", "runbook { every = '1h' }")]);
    // A limit of zero makes the test independent of time.
    desk.write("b.lua", "while true do end runbook { every = '1h' }");
    desk.job_set.asked.hanging = Duration::ZERO;
    desk.look(1000);
    let looked = desk.look(2000);
    assert_eq!(looked, (true, false));
    let jobs = desk.jobs();
    let why = jobs[1].1.as_ref().expect("it is broken");
    assert!(why.starts_with("it does not come to its manifest"), "{why}");
}
