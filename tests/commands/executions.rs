//! History and output of jobs, as an operator looks them up.

use serde_json::Value;

use super::Desk;

const TAGS: &str = r#"runbook { every = "1h", allow = { "profiles.tag" } }
    print("tagging")
    iam.profiles.tag("alpha", { Owner = "ops" })"#;
const LOOKS: &str = r#"runbook { every = "1h", allow = { "profiles.each" } }
    print("looking")
    log.warn("not much here")"#;

#[test]
fn what_a_job_did_and_printed_is_kept_with_its_run() {
    let desk = Desk::new();
    desk.write("jobs/tags.lua", TAGS);
    desk.write("jobs/looks.lua", LOOKS);
    desk.run(&["schedule", "history"]).ends(0, "nothing was run yet");
    desk.run(&["schedule", "run", "tags", "jobs"]).ends(0, "1 change");
    let shown = desk.run(&["schedule", "show", "last"]).ends(0, "");
    let run = desk.last_id();
    for part in
        [&run, "tagging", "1; `iamlua runs show", "TagInstanceProfile 1", "when a person ran it"]
    {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let of_the_run = desk.run(&["runs", "show", "last"]).ends(0, "");
    assert!(
        of_the_run.out.contains(&format!("`iamlua schedule show {run}`")),
        "{}",
        of_the_run.out
    );

    desk.run(&["schedule", "run", "jobs/looks.lua", "jobs"]).ends(0, "0 changes");
    let history = desk.run(&["schedule", "history", "--output", "json"]).ends(0, "");
    let history: Vec<Value> = serde_json::from_str(&history.out).expect("JSON");
    let jobs: Vec<_> = history.iter().map(|execution| &execution["job"]).collect();
    assert_eq!(jobs, ["looks", "tags"], "the latest first");
    let of_one = desk.run(&["schedule", "history", "tags", "--output", "csv"]).ends(0, "");
    assert_eq!(of_one.out.lines().count(), 2, "{}", of_one.out);

    let looked = history[0]["run"].as_str().expect("an id");
    let shown = desk.run(&["schedule", "show", looked, "--output", "json"]).ends(0, "");
    let shown: Value = serde_json::from_str(&shown.out).expect("JSON");
    let output = shown["output"].as_str().expect("what it printed");
    assert!(output.contains("looking") && output.contains("not much here"), "{output}");
    desk.run(&["runs", "show", looked]).ends(2, &format!("iamlua schedule show {looked}"));
}

#[test]
fn a_name_that_nobody_has_is_said() {
    let desk = Desk::new();
    desk.write("tags.lua", TAGS);
    desk.run(&["schedule", "run", "tags", "tags.lua"]).ends(0, "1 change");
    desk.run(&["schedule", "history", "tgas"]).ends(2, "did you mean tags?");
    desk.run(&["schedule", "show", "1999"]).ends(2, "no job has run as");
}

#[test]
fn what_a_job_says_does_nothing_to_the_terminal() {
    let desk = Desk::new();
    desk.write(
        "odd.lua",
        r#"runbook { every = "1h" } print("\27[2Jgone\tÜ") error("\27]0;title\7")"#,
    );
    desk.run(&["schedule", "run", "odd", "odd.lua"]).ends(1, "");
    for args in [&["schedule", "history"][..], &["schedule", "show", "last"]] {
        let shown = desk.run(args).ends(0, "");
        assert!(!shown.out.contains('\x1b') && !shown.out.contains('\x07'), "{:?}", shown.out);
        assert!(shown.out.contains("\\x1b]0;title\\a"), "{}", shown.out);
    }
    let shown = desk.run(&["schedule", "show", "last"]).ends(0, "");
    assert!(shown.out.contains("\\x1b[2Jgone\tÜ\n"), "{}", shown.out);
}
