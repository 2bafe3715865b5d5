use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::{Changed, PathWatcher};

/// Watched folder. A mark is a new file; once it is reported, all earlier changes have been
/// reported.
struct TestFolder {
    folder: tempfile::TempDir,
    following: PathWatcher,
    told: Receiver<Changed>,
    marks: usize,
}

impl TestFolder {
    fn new() -> Self {
        let (tell, told) = channel();
        let following = PathWatcher::new(move |changed| {
            let _ = tell.send(changed);
        });
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, following: following.expect("a thread"), told, marks: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().expect("a folder")).expect("a folder");
        fs::write(self.path(name), text).expect("a file");
    }

    fn follow(&mut self, files: &[&str], folders: &[&str]) {
        let paths = |names: &[&str]| names.iter().map(|name| self.path(name)).collect();
        let mut files: BTreeSet<PathBuf> = paths(files);
        files.extend((1..100).map(|n| self.path(&format!("{n}.mark"))));
        let folders = paths(folders);
        self.following.follow(files, folders);
    }

    /// Changes reported until now.
    fn told(&mut self) -> Changed {
        let mut all = Changed::Paths(BTreeSet::new());
        let mut mark = self.mark();
        loop {
            let told = self.told.recv_timeout(Duration::from_mins(1)).expect("the mark is told");
            let is_mark = match &told {
                Changed::Paths(paths) => paths.contains(&mark),
                Changed::All => {
                    // The mark may be included in a change of everything.
                    mark = self.mark();
                    false
                }
            };
            all = all.and(told);
            if is_mark {
                break;
            }
        }
        match all {
            Changed::Paths(mut paths) => {
                paths.retain(|path| path.extension().is_none_or(|extension| extension != "mark"));
                Changed::Paths(paths)
            }
            Changed::All => Changed::All,
        }
    }

    /// Creates a file that did not exist before.
    fn mark(&mut self) -> PathBuf {
        self.marks += 1;
        let mark = self.path(&format!("{}.mark", self.marks));
        fs::write(&mark, "").expect("a file");
        mark
    }

    fn is_told(&mut self, names: &[&str]) {
        let names = names.iter().map(|name| self.path(name)).collect();
        assert_eq!(self.told(), Changed::Paths(names));
    }
}

fn replace(from: &Path, to: &Path) {
    fs::rename(from, to).expect("a rename");
}

#[test]
fn a_file_is_followed_through_every_way_of_saving_it() {
    let mut place = TestFolder::new();
    place.write("a.lua", "1");
    place.follow(&["a.lua"], &[]);
    place.write("a.lua", "2");
    place.is_told(&["a.lua"]);
    // Twice each, because the second time it is another file.
    for _ in 0..2 {
        place.write(".a.lua.swp", "3");
        place.is_told(&[]);
        replace(&place.path(".a.lua.swp"), &place.path("a.lua"));
        place.is_told(&["a.lua"]);
        replace(&place.path("a.lua"), &place.path("a.lua~"));
        place.is_told(&["a.lua"]);
        place.write("a.lua", "4");
        place.is_told(&["a.lua"]);
        fs::remove_file(place.path("a.lua")).expect("a file");
        place.is_told(&["a.lua"]);
        place.write("a.lua", "5");
        place.is_told(&["a.lua"]);
    }
}

#[test]
fn reading_is_no_change_and_neither_is_another_file() {
    let mut place = TestFolder::new();
    place.write("a.lua", "1");
    place.follow(&["a.lua"], &[]);
    for n in 0..100 {
        assert_eq!(fs::read(place.path("a.lua")).expect("a file"), b"1");
        fs::read_dir(place.folder.path()).expect("a folder").for_each(drop);
        place.write(&format!("other{n}"), "x");
        place.write("sub/a.lua", "x");
    }
    place.is_told(&[]);
}

#[test]
fn a_file_that_is_not_there_is_told_when_it_comes_however_deep() {
    let mut place = TestFolder::new();
    place.follow(&["lib/deep/m.lua"], &[]);
    place.write("lib/other", "x");
    assert_eq!(place.told(), Changed::All);
    place.write("lib/other", "y");
    place.is_told(&[]);
    fs::create_dir(place.path("lib/deep")).expect("a folder");
    assert_eq!(place.told(), Changed::All);
    place.write("lib/deep/m.lua", "x");
    place.is_told(&["lib/deep/m.lua"]);
}

#[test]
fn a_folder_on_the_way_may_be_moved_away_and_another_come_instead() {
    let mut place = TestFolder::new();
    place.write("now/sub/a.lua", "1");
    place.follow(&["now/sub/a.lua"], &[]);
    for round in 0..5 {
        place.write("next/sub/a.lua", "2");
        place.is_told(&[]);
        replace(&place.path("now"), &place.path(&format!("old{round}")));
        replace(&place.path("next"), &place.path("now"));
        assert_eq!(place.told(), Changed::All);
        place.write("now/sub/a.lua", "3");
        place.is_told(&["now/sub/a.lua"]);
        // Folders that were moved away are no longer watched.
        place.write(&format!("old{round}/sub/a.lua"), "4");
        place.is_told(&[]);
        fs::remove_dir_all(place.path("now/sub")).expect("a folder");
        place.write("now/sub/a.lua", "5");
        assert_eq!(place.told(), Changed::All);
        place.write("now/sub/a.lua", "6");
        place.is_told(&["now/sub/a.lua"]);
    }
}

#[test]
fn links_are_followed_to_where_they_lead_and_when_they_are_swapped() {
    let mut place = TestFolder::new();
    // Layout of a ConfigMap mounted by Kubernetes.
    place.write("mount/..1/a.lua", "1");
    place.write("mount/..2/a.lua", "2");
    symlink("..1", place.path("mount/..data")).expect("a link");
    symlink("..data/a.lua", place.path("mount/a.lua")).expect("a link");
    place.follow(&["mount/a.lua"], &[]);
    place.write("mount/..2/a.lua", "2b");
    place.is_told(&[]);
    place.write("mount/..1/a.lua", "1b");
    place.is_told(&["mount/a.lua"]);
    symlink("..2", place.path("mount/..data_tmp")).expect("a link");
    replace(&place.path("mount/..data_tmp"), &place.path("mount/..data"));
    assert_eq!(place.told(), Changed::All);
    place.write("mount/..1/a.lua", "1c");
    place.is_told(&[]);
    place.write("mount/..2/a.lua", "2c");
    place.is_told(&["mount/a.lua"]);
    // A cyclic link has no target, and is watched all the same.
    symlink("b", place.path("circle")).expect("a link");
    symlink("circle", place.path("b")).expect("a link");
    place.follow(&["circle"], &[]);
    fs::remove_file(place.path("b")).expect("a link");
    place.is_told(&["circle"]);
    place.write("b", "x");
    place.is_told(&["circle"]);
}

#[test]
fn of_a_folder_the_scripts_matter_and_of_a_listing_the_names() {
    let mut place = TestFolder::new();
    place.write("jobs/a.lua", "1");
    place.write("list/x", "1");
    place.follow(&["list"], &["jobs"]);
    place.write("jobs/a.lua", "2");
    place.write("jobs/b.lua", "1");
    place.write("jobs/notes.txt", "1");
    place.write("jobs/deeper/c.lua", "1");
    place.is_told(&["jobs/a.lua", "jobs/b.lua"]);
    fs::remove_file(place.path("jobs/b.lua")).expect("a file");
    place.is_told(&["jobs/b.lua"]);
    place.write("list/x", "2");
    place.is_told(&[]);
    place.write("list/y", "1");
    place.is_told(&["list"]);
    fs::remove_dir_all(place.path("jobs")).expect("a folder");
    place.write("jobs/a.lua", "3");
    assert!(matches!(place.told(), Changed::All | Changed::Paths(_)));
    place.write("jobs/a.lua", "4");
    place.is_told(&["jobs/a.lua"]);
}

#[test]
fn what_is_not_followed_any_more_is_not_told() {
    let mut place = TestFolder::new();
    place.write("a", "1");
    place.write("sub/b", "1");
    place.follow(&["a", "sub/b"], &[]);
    place.follow(&["a"], &[]);
    place.write("sub/b", "2");
    place.is_told(&[]);
    place.write("a", "2");
    place.is_told(&["a"]);
}

#[test]
fn where_the_system_does_not_tell_files_are_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (tell, told) = channel();
    let following = PathWatcher::polling(move |changed| {
        let _ = tell.send(changed);
    });
    let mut following = following.expect("a thread");
    fs::create_dir(path("jobs")).expect("a folder");
    following.follow(BTreeSet::from([path("a")]), BTreeSet::from([path("jobs")]));
    let is_told = |wanted: PathBuf| loop {
        let Changed::Paths(paths) = told.recv_timeout(Duration::from_mins(1)).expect("a change")
        else {
            panic!("paths")
        };
        if paths.contains(&wanted) {
            break;
        }
    };
    fs::write(path("a"), "1").expect("a file");
    is_told(path("a"));
    fs::write(path("jobs/b.lua"), "1").expect("a file");
    is_told(path("jobs/b.lua"));
    fs::remove_file(path("jobs/b.lua")).expect("a file");
    is_told(path("jobs/b.lua"));
}
