//! Bursts of saves, in every way in which files are saved. `IAMLUA_TEST_SAVES=1000` sets the
//! number.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Watching, replace};
use crate::commands::Desk;

/// Saves in a burst. The number is odd, so that alternating contents end with a change.
const BURST: usize = 21;

/// Way to save a file, with a content that is given by a number.
type Style = fn(&Path, usize);

/// All ways to save a file.
const STYLES: [Style; 5] = [in_place, rename, delete_and_create, swap_link, check_out];

fn content(n: usize) -> String {
    format!("return 'content {n}'")
}

fn in_place(file: &Path, n: usize) {
    fs::write(file, content(n)).expect("a file");
}

fn rename(file: &Path, n: usize) {
    replace(file, &content(n));
}

fn delete_and_create(file: &Path, n: usize) {
    let _ = fs::remove_file(file);
    fs::write(file, content(n)).expect("a file");
}

fn swap_link(file: &Path, n: usize) {
    let (target, link) = (file.with_file_name(format!("v{n}.txt")), file.with_extension("link"));
    fs::write(&target, content(n)).expect("a file");
    symlink(&target, &link).expect("a link");
    fs::rename(&link, file).expect("a rename");
    let _ = fs::remove_file(file.with_file_name(format!("v{}.txt", n - 1)));
}

/// Checks out the branch with the content.
fn check_out(file: &Path, n: usize) {
    let folder = file.parent().expect("a folder");
    let branch = if n.is_multiple_of(2) { "even" } else { "odd" };
    git(folder, &["checkout", "-q", "-f", branch]);
}

fn git(folder: &Path, args: &[&str]) {
    let git = Command::new("git")
        .args(["-c", "user.name=tester", "-c", "user.email=tester@example.org"])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("git is there");
    assert!(git.success(), "git {args:?}");
}

/// Repository with the branches `even` and `odd`.
fn repository(file: &Path) {
    let folder = file.parent().expect("a folder");
    git(folder, &["init", "-q"]);
    for (branch, n) in [("even", 0), ("odd", 1)] {
        git(folder, &["checkout", "-q", "-B", branch]);
        fs::write(file, content(n)).expect("a file");
        git(folder, &["add", "value.lua"]);
        git(folder, &["commit", "-q", "-m", branch]);
    }
}

#[test]
fn every_burst_of_saves_ends_with_a_run_of_what_was_saved_last() {
    let saves = std::env::var("IAMLUA_TEST_SAVES").ok().and_then(|n| n.parse().ok());
    let bursts = saves.unwrap_or(10 * BURST).div_ceil(BURST).max(STYLES.len());
    let desk = Desk::new();
    fs::create_dir(desk.path("lib")).expect("a folder");
    let file = desk.path("lib/value.lua");
    repository(&file);
    desk.write("a.lua", "print((require('lib.value')))");
    // Longer than any pause within a burst, also on a busy machine.
    let watching = Watching::new(desk, &["a.lua", "--debounce", "300ms"]);
    watching.has_run(1);
    let mut n = 1;
    for burst in 0..bursts {
        let style = STYLES[burst % STYLES.len()];
        // The previous style has left a file of another kind.
        let mut last = 0;
        for _ in 0..BURST {
            n += 1;
            style(&file, n);
            last = n;
        }
        let shows = fs::read_to_string(&file).expect("a file");
        let shows = shows.trim_start_matches("return '").trim_end_matches('\'');
        watching.wait(&format!("{shows} (save {last})"), |watching| {
            watching.out().lines().last() == Some(shows)
        });
    }
    // The end of the last run is reported after its output.
    watching.wait("the end", |watching| watching.ends().len() > bursts);
    let runs = watching.ends().len() - 1;
    // One run per burst is needed. If the machine pauses in the middle of a burst, it is two.
    assert!((bursts..=bursts + bursts / 2 + 1).contains(&runs), "{runs} runs of {bursts} bursts");
    eprintln!("{} saves in {bursts} bursts: {runs} runs", bursts * BURST);
}
