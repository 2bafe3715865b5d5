//! Values that shells complete, asked for as the shells' scripts do.

use std::process::Command;

use crate::end_to_end::{Home, Ran};

/// Values and descriptions for the last word, as fish is told them.
fn complete(home: &Home, words: &[&str]) -> Vec<(String, String)> {
    let ran = Ran::from(request(home, "fish", words).output().expect("it runs"));
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{words:?}: {ran:?}");
    let split = |line: &str| match line.split_once('\t') {
        Some((value, help)) => (value.to_owned(), help.to_owned()),
        None => (line.to_owned(), String::new()),
    };
    ran.out.lines().map(split).collect()
}

fn values(home: &Home, words: &[&str]) -> Vec<String> {
    complete(home, words).into_iter().map(|(value, _)| value).collect()
}

fn request(home: &Home, shell: &str, words: &[&str]) -> Command {
    let mut command = home.command(&["--", "iamlua"]);
    command
        .args(words)
        .env("IAMLUA_COMPLETE", shell)
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .env("_CLAP_IFS", "\n")
        .current_dir(home.path(""));
    command
}

/// Ids of the runs, the latest first.
fn ids(home: &Home) -> Vec<String> {
    let listed = home.run(&["runs", "list", "--output", "csv"]).ends(0, "").out;
    let id = |line: &str| line.split(',').next().unwrap_or_default().to_owned();
    listed.lines().skip(1).map(id).collect()
}

#[test]
fn runs_are_offered_to_the_commands_that_can_use_them() {
    let home = Home::new();
    for command in [&["undo", ""][..], &["redo", ""], &["runs", "show", ""]] {
        assert_eq!(values(&home, command)[0], "last", "{command:?}");
    }
    assert!(!home.path("state").exists(), "completion creates nothing");
    for name in ["one", "two"] {
        let code = format!("iam.profiles.create('{name}')");
        home.run(&["-e", &code]).ends(0, "1 change");
    }
    let created = ids(&home);
    assert_eq!(values(&home, &["undo", "2"]), created);
    assert_eq!(values(&home, &["redo", "2"]), Vec::<String>::new());
    assert_eq!(values(&home, &["runs", "recover", "2"]), Vec::<String>::new());
    let (_, help) = &complete(&home, &["undo", "2"])[0];
    assert!(help.starts_with("run (command line), 20") && help.ends_with("Z, done"), "{help}");
    home.run(&["undo", &created[0], "--apply"]).ends(0, "");
    let all = ids(&home);
    assert_eq!(values(&home, &["undo", "2"]), created[1..]);
    assert_eq!(values(&home, &["redo", "2"]), all[..1]);
    for words in [&["runs", "show", "2"][..], &["runs", "export", "2"]] {
        assert_eq!(values(&home, words), all, "{words:?}");
    }
    assert_eq!(values(&home, &["undo", "--apply", "--max-changes", "5", "2"]), created[1..]);
}

#[test]
fn only_offers_what_the_named_run_has_changed() {
    let home = Home::new();
    let code = "iam.profiles.create('web'); iam.profiles.create('batch-1')
        iam.profiles.tag('web', { a = '1' })
        iam.roles.create('web', { trust = policy.trust('ec2.amazonaws.com') })";
    let ran = home.run(&["-e", code]);
    // The second run is the latest one.
    home.run(&["-e", "iam.profiles.create('later')"]).ends(0, "1 change");
    let runs = ids(&home);
    let only = |words: &[&str]| complete(&home, words);
    let names = |words: &[&str]| values(&home, words);
    assert_eq!(names(&["undo", &runs[0], "--only", ""])[0], "later", "{ran:?}");
    assert_eq!(names(&["undo", "last", "--only", "l"]), ["later"]);
    assert_eq!(names(&["undo", "--only", "l"]), ["later"]);
    let earlier = only(&["undo", &runs[1], "--apply", "--only", "b"]);
    assert_eq!(earlier, [("batch-1".to_owned(), "1 change".to_owned())]);
    assert_eq!(names(&["undo", &runs[1], "--only=ba"]), ["--only=batch-1"]);
    assert_eq!(
        names(&["undo", &runs[1], "--only", "profile/"]),
        ["profile/batch-1", "profile/web"]
    );
}

#[test]
fn profiles_and_regions_are_those_of_the_configuration_and_of_aws() {
    let home = Home::new();
    home.write("config", "[default]\nregion = eu-west-1\n[profile prod]\n[profile pre-prod]\n");
    home.write("credentials", "[legacy]\naws_access_key_id = a\naws_secret_access_key = b\n");
    let asked = |words: &[&str]| {
        let ran = request(&home, "zsh", words)
            .env("AWS_CONFIG_FILE", home.path("config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", home.path("credentials"))
            .output();
        Ran::from(ran.expect("it runs")).out
    };
    assert_eq!(
        asked(&["run", "--profile", ""]),
        "default:eu-west-1\nlegacy\npre-prod\nprod",
        "zsh has a colon before the description"
    );
    assert_eq!(asked(&["whoami", "--profile", "pr"]), "pre-prod\nprod");
    assert_eq!(asked(&["run", "--region", "eu-c"]), "eu-central-1\neu-central-2");
    home.write("config", "no section\n");
    assert_eq!(asked(&["run", "--profile", ""]), "");
}

const RUNBOOK: &str = r#"
local p = runbook {
    params = {
        owner = { required = true, help = "value of the Owner tag" },
        size = { choices = { "small", "large", "$(touch made)", "a\27[2Jb" } },
        count = { default = 3, choices = { 1, 2, 3 } },
        list = { type = "file" },
        quiet = { default = false },
        colour = { default = true },
    },
    allow = { "profiles.tag" },
}
io.open("made", "w")
"#;

#[test]
fn the_flags_of_a_runbook_are_those_of_its_manifest() {
    let home = Home::new();
    home.write("jobs/tag.lua", RUNBOOK);
    let script = "jobs/tag.lua";
    for command in ["run", "plan"] {
        assert_eq!(values(&home, &[command, "j"]), ["jobs/"]);
        assert_eq!(values(&home, &[command, "jobs/"]), [script]);
        let flags = ["--owner", "--no-colour", "--count", "--list", "--quiet", "--size", "--help"];
        assert_eq!(values(&home, &[command, script, ""]), flags);
        let all = complete(&home, &[command, script, "--"]);
        assert_eq!(all[0], ("--owner".to_owned(), "value of the Owner tag".to_owned()));
        assert!(all.iter().any(|(flag, _)| flag == "--apply" || flag == "--plan"), "{all:?}");
    }
    let given = |words: &[&str]| values(&home, &[&["run", script], words].concat());
    assert_eq!(given(&["--owner", "ops", "--c"]), ["--count", "--config"]);
    assert_eq!(given(&["--count", ""]), ["1", "2", "3"]);
    assert_eq!(given(&["--count=2"]), ["--count=2"]);
    assert_eq!(given(&["--list", "jobs/"]), [script]);
    // A value that acts on the terminal is not offered; one that acts on a shell is quoted by it.
    assert_eq!(given(&["--size", ""]), ["small", "large", "$(touch made)"]);
    assert!(!home.path("made").exists() && !home.path("state").exists());
    // A script that is named by an option before it, or by none.
    assert!(values(&home, &["run", "--apply", script, "--ow"]).contains(&"--owner".to_owned()));
    assert!(!values(&home, &["run", "--ow"]).contains(&"--owner".to_owned()));
}

#[test]
fn a_hostile_script_does_nothing_when_its_flags_are_asked_for() {
    let home = Home::new();
    let scripts = [
        ("endless.lua", "while true do end"),
        ("caught.lua", "while true do pcall(function() while true do end end) end"),
        ("memory.lua", "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end"),
        ("output.lua", "print('out') io.stderr:write('err') log.error('log') error('failed')"),
        ("files.lua", "pcall(io.open, 'made', 'w') pcall(os.execute, 'touch made') os.exit(3)"),
        ("account.lua", "pcall(iam.profiles.create, 'made') runbook { params = {} }"),
        ("input.lua", "io.read('a') io.read('a')"),
        ("broken.lua", "this is not Lua"),
        ("names.lua", "runbook { params = { ['a b'] = {} } }"),
        ("taken.lua", "runbook { params = { apply = {}, help = {}, output = {} } }"),
    ];
    for (name, script) in scripts {
        home.write(name, script);
        let found = values(&home, &["run", name, "--ap"]);
        assert_eq!(found, ["--apply"], "{name}");
    }
    let pipe = home.path("pipe.lua");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    assert_eq!(values(&home, &["run", "pipe.lua", "--ap"]), ["--apply"]);
    home.write("requires.lua", "require('pipe')");
    assert_eq!(values(&home, &["run", "requires.lua", "--ap"]), ["--apply"]);
    assert!(!home.path("made").exists() && !home.path("state").exists());
}

#[test]
fn files_are_plans_runbooks_or_folders() {
    let home = Home::new();
    home.write("one.lua", "iam.profiles.create('a')");
    home.write("notes.txt", "{}");
    home.write("jobs/two.lua", "");
    let plan = home.path("plan.json");
    home.run(&[
        "plan",
        &home.path("one.lua").display().to_string(),
        "-o",
        plan.to_str().expect("text"),
    ])
    .ends(0, "kept in");
    for command in ["apply", "show"] {
        let found = complete(&home, &[command, ""]);
        let found: Vec<_> = found.iter().map(|(value, _)| value.as_str()).collect();
        assert!(found.starts_with(&["plan.json", "jobs/", "state/"]), "{command}: {found:?}");
    }
    for command in [&["policy", ""][..], &["watch", ""], &["test", ""], &["schedule", "x", ""]] {
        let found = values(&home, command);
        assert!(found.contains(&"one.lua".to_owned()), "{command:?}: {found:?}");
        assert!(!found.contains(&"notes.txt".to_owned()), "{command:?}: {found:?}");
    }
}

#[test]
fn jobs_and_their_executions_are_offered_by_name() {
    let home = Home::new();
    let job = home.write("jobs/nightly.lua", "runbook { every = '1h', allow = {} }\nprint('ran')");
    let folder = job.parent().expect("a folder").display().to_string();
    home.run(&["schedule", "run", "nightly", &folder]).ends(0, "");
    assert_eq!(values(&home, &["schedule", "history", "n"]), ["nightly"]);
    let shown = complete(&home, &["schedule", "show", "2"]);
    assert!(shown.len() == 1 && shown[0].1.starts_with("nightly, 20"), "{shown:?}");
    assert!(shown[0].1.ends_with("Z, done"), "{shown:?}");
    assert_eq!(values(&home, &["doc", "iam.profiles.unt"]), ["iam.profiles.untag"]);
}

#[test]
fn short_help_fits_a_terminal_and_long_help_has_everything() {
    let home = Home::new();
    let help = |words: &[&str], flag| {
        let args = [words, &[flag]].concat();
        let ran = home.command(&args).env("COLUMNS", "80").output().expect("it runs");
        Ran::from(ran).ends(0, "").out
    };
    let mut commands: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = 0;
    while let Some(command) = commands.pop() {
        let words: Vec<_> = command.iter().map(String::as_str).collect();
        let (short, long) = (help(&words, "-h"), help(&words, "--help"));
        let lines = short.lines().count();
        assert!(lines <= 40, "{command:?} -h has {lines} lines:\n{short}");
        let widest = short.lines().map(|line| line.chars().count()).max().unwrap_or_default();
        assert!(widest <= 80, "{command:?} -h has {widest} columns:\n{short}");
        for option in short.split_whitespace().filter(|word| word.starts_with("--")) {
            assert!(long.contains(option.trim_end_matches([',', '.'])), "{command:?}: {option}");
        }
        seen += 1;
        let below = short.split("\nCommands:\n").nth(1).unwrap_or_default();
        let below = below.lines().take_while(|line| !line.is_empty());
        // Further lines of a description have a wider margin.
        let names = below.filter_map(|line| {
            line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split(' ').next()
        });
        for name in names.filter(|name| *name != "help") {
            commands.push([&command[..], &[name.to_owned()]].concat());
        }
    }
    assert!(seen > 30, "{seen} commands");
}
