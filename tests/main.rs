//! Single test binary: each further one would link the whole SDK again.

mod attacks;
mod bulk;
mod commands;
mod console;
mod docs;
mod embed;
mod emulator;
mod end_to_end;
mod examples;
mod identity;
mod layers;
mod lua;
mod mistakes;
mod network;
mod patience;
mod prompt;
mod refusals;
mod registry;
mod schedule;
mod session;
mod style;
mod terminal;
mod usage;
mod watch;

/// Every file of `tests/` belongs to a module that is named above. A file without a module would
/// never run.
#[test]
fn every_test_file_is_part_of_this_binary() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).expect("the folder of this file").flatten() {
        let path = entry.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        if stem != "main"
            && (path.extension().is_some_and(|end| end == "rs") || path.join("mod.rs").is_file())
        {
            assert!(main.contains(&format!("mod {stem};")), "{} is in no module", path.display());
        }
    }
}
