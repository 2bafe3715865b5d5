//! Files in `examples/` that start runbooks from cron, systemd, Kubernetes and others: the program
//! accepts each command line, and each runbook exists. Here they run on the local account.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use crate::end_to_end::Home;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// Files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    let paths = entries.map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Arguments of the `iamlua` commands in a file.
fn commands(path: &Path) -> Vec<Vec<String>> {
    let text = read_to_string(path).expect("a file");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    match path.extension().and_then(|end| end.to_str()) {
        Some("service") => {
            let starts = text.lines().filter_map(|line| line.strip_prefix("ExecStart="));
            starts
                .map(|line| words(line.strip_prefix("/usr/local/bin/iamlua ").expect("ours")))
                .collect()
        }
        Some("yaml") => arguments(&text),
        // Usage lines in comments begin with the program too.
        Some("lua") => {
            let lines = text.lines().filter_map(|line| line.strip_prefix("---   iamlua "));
            lines.map(words).collect()
        }
        _ => {
            let lines = text.lines().filter_map(|line| {
                let at =
                    ["iamlua run ", "iamlua schedule "].iter().find_map(|name| line.find(name))?;
                Some(&line[at + "iamlua ".len()..])
            });
            lines.map(words).collect()
        }
    }
}

/// Lists of arguments in a Kubernetes manifest.
fn arguments(text: &str) -> Vec<Vec<String>> {
    let mut lists = Vec::new();
    let mut lines = text.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        if line == "args:" {
            let mut list = Vec::new();
            while let Some(item) = lines.next_if(|line| line.starts_with(['-', '#'])) {
                list.extend(item.strip_prefix("- ").map(|item| item.trim_matches('"').to_owned()));
            }
            lists.push(list);
        }
    }
    lists
}

/// Argument with the paths of an installation replaced by those of this repository.
fn here(word: &str) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    for (place, is) in [
        ("/usr/local/share/iamlua/scripts", "scripts"),
        ("/usr/share/iamlua/scripts", "scripts"),
        ("/etc/iamlua/runbooks", "examples/runbooks"),
        ("/runbooks", "examples/runbooks"),
        ("examples/runbooks", "examples/runbooks"),
    ] {
        if let Some(rest) = word.strip_prefix(place) {
            return format!("{root}/{is}{rest}");
        }
    }
    word.to_owned()
}

#[test]
fn each_command_in_them_is_one_that_the_program_takes() {
    let mut tried = 0;
    for path in files(&examples()) {
        for words in commands(&path) {
            let home = Home::new();
            let mut words: Vec<_> =
                words.iter().filter(|word| *word != "--aws").map(|word| here(word)).collect();
            // The command would not end.
            let stays = words[0] == "schedule" && words[1] != "run";
            if stays && !words.contains(&"--dry-run".into()) {
                words.push("--dry-run".into());
            }
            // The manifest reads the variable at once.
            let grant = "--allow-env=IAMLUA_WEBHOOK".to_owned();
            if words[0] == "schedule" && !words.contains(&grant) {
                words.push(grant);
            }
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            let ran = home.run(&words);
            assert_eq!(ran.code, Some(0), "{}: {words:?}\n{}", path.display(), ran.err);
            tried += 1;
        }
    }
    assert!(tried >= 8, "{tried}");
}

#[test]
fn the_program_has_time_to_end_before_it_is_killed() {
    let service =
        read_to_string(examples().join("systemd/iamlua-schedule.service")).expect("a file");
    let deployment = read_to_string(examples().join("kubernetes/deployment.yaml")).expect("a file");
    let number = |text: &str, before: &str| -> u32 {
        let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before}"));
        let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    assert!(number(&service, "TimeoutStopSec=") > number(&service, "--grace "));
    assert!(
        number(&deployment, "terminationGracePeriodSeconds:")
            > number(&deployment, "- --grace\n            - ")
    );
}

#[test]
fn every_example_is_explained() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = |name: &str| read_to_string(docs.join(name)).expect("a file");
    let manual = page("operations.md") + &page("embedding.md");
    for path in files(&examples()) {
        let name = path.strip_prefix(examples()).expect("below it").display().to_string();
        let is_explained =
            manual.contains(&format!("examples/{name})")) || name.ends_with(".dockerignore");
        assert!(is_explained, "neither page says anything of {name}");
    }
}
