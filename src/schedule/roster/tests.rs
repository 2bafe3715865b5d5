use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Asking, Roster, SETTLED, names, wait_until_settled};
use crate::lua::sandbox::Permissions;

/// A roster of a folder, that is looked at when a test says so.
struct Desk {
    place: tempfile::TempDir,
    roster: Roster,
    asking: Asking,
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
        let runtime = crate::run::runtime().expect("a runtime");
        let asking = Asking {
            permissions: Permissions::default(),
            is_planned: false,
            runtime: runtime.handle().clone(),
        };
        let roster = Roster::new(&[folder]).expect("a roster");
        let mut desk = Self { place, roster, asking, _runtime: runtime };
        assert!(desk.look(0).0, "the first look waits for nothing");
        desk
    }

    /// Looks at so many milliseconds; whether something has changed, and whether something is changing.
    fn look(&mut self, at: u64) -> (bool, bool) {
        let looked = self.roster.look(&self.asking, Duration::from_millis(at));
        (looked.has_changed, looked.is_changing)
    }

    /// The jobs, and what is broken.
    fn jobs(&self) -> Vec<(String, Option<String>)> {
        self.roster.jobs().into_iter().map(|job| (job.name, job.what.err())).collect()
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
