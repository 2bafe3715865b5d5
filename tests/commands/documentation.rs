//! Documentation commands and the project folder: `iamlua doc`, `init`, `completions`, `man`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::json_of;
use crate::end_to_end::{Home, Ran};

fn is_plain(text: &str) -> bool {
    !text.contains('\u{1b}')
}

#[test]
fn doc_without_a_name_lists_the_modules() {
    let ran = Home::new().run(&["doc"]).ends(0, "");
    for module in iamlua::stdlib::modules().into_iter().chain(["iam.profiles", "lua", "testing"]) {
        assert!(ran.out.contains(&format!("\n  {module} ")), "{module} is not in {}", ran.out);
    }
    assert!(is_plain(&ran.out) && ran.out.contains("iamlua doc NAME"));
}

#[test]
fn doc_shows_a_function_by_its_name_its_end_or_its_action() {
    let home = Home::new();
    let page = home.run(&["doc", "iam.profiles.add_role"]).ends(0, "");
    assert!(page.out.starts_with("iam.profiles.add_role(name, role)\n"), "{}", page.out);
    assert!(page.out.contains("API_AddRoleToInstanceProfile.html") && is_plain(&page.out));
    for name in ["add_role", "profiles.add_role", "AddRoleToInstanceProfile", "add_role()"] {
        assert_eq!(home.run(&["doc", name]).ends(0, "").out, page.out, "{name}");
    }
    let widest = page.out.lines().filter(|line| !line.contains("https://"));
    assert!(widest.map(|line| line.chars().count()).max() <= Some(80), "{}", page.out);
}

#[test]
fn doc_lists_what_several_names_and_words_can_mean() {
    let home = Home::new();
    let both = home.run(&["doc", "untag"]).ends(0, "");
    assert!(both.out.contains("  iam.profiles.untag  ") && both.out.contains("iam.roles.untag"));
    let found = home.run(&["doc", "trust", "policy"]).ends(0, "");
    assert!(found.out.contains("policy.trusts"), "{}", found.out);
    let json = home.run(&["doc", "trust", "policy", "--output", "json"]).ends(0, "");
    let names: Vec<_> = json_of(&json.out)
        .as_array()
        .expect("an array")
        .iter()
        .map(|item| item["name"].as_str().expect("a name").to_owned())
        .collect();
    assert!(names.iter().all(|name| found.out.contains(name)), "{names:?}");
}

#[test]
fn doc_as_json_has_what_a_page_has() {
    let ran = Home::new().run(&["doc", "iam.profiles.tag", "--output", "json"]).ends(0, "");
    let item = &json_of(&ran.out)[0];
    assert_eq!(item["signature"], "iam.profiles.tag(name, tags)");
    assert_eq!(item["parameters"][1]["type"], "table<string, string>");
    assert_eq!(item["actions"][0]["name"], "TagInstanceProfile");
    assert_eq!(item["changes_account"], true);
}

#[test]
fn doc_of_what_is_not_there_says_what_is_near() {
    let home = Home::new();
    let err = "there is nothing named \"iam.profiles.tga\"; did you mean iam.profiles.tag";
    home.run(&["doc", "iam.profiles.tga"]).ends(1, err);
    home.run(&["doc", "TagInstancProfile"]).ends(1, "did you mean iam.profiles.tag?");
    let ran = home.run(&["doc", "xyzzyplugh"]).ends(1, "there is nothing named \"xyzzyplugh\"");
    assert!(!ran.err.contains("did you mean") && ran.err.contains("iamlua doc"), "{ran:?}");
}

/// Runs in a folder that `iamlua init` has created.
fn run_in(home: &Home, folder: &Path, args: &[&str]) -> Ran {
    let output = home.command(args).current_dir(folder).output();
    Ran::from(output.expect("the program starts"))
}

#[test]
fn a_new_folder_has_a_runbook_whose_tests_pass() {
    let home = Home::new();
    let made = run_in(&home, &home.path(""), &["init", "new folder/books"]).ends(0, "");
    assert!(made.out.contains("  cd 'new folder/books'\n"), "{}", made.out);
    let folder = home.path("new folder/books");
    let tested = run_in(&home, &folder, &["test"]).ends(0, "");
    assert!(tested.out.contains("4 passed"), "{tested:?}");
    // Commands that the output suggests.
    let next: Vec<_> = made.out.lines().filter(|line| line.starts_with("  iamlua ")).collect();
    assert_eq!(next.len(), 4);
    for line in next {
        let command = line.split('#').next().unwrap_or_default();
        let args: Vec<_> = command.split_whitespace().skip(1).collect();
        run_in(&home, &folder, &args).ends(0, "");
    }
    let run = ["run", "runbooks/tag_owner.lua", "--owner", "ops", "--path", "/ec2/"];
    run_in(&home, &folder, &run).ends(0, "tag: 10 done, 1 skipped (protected 1)");
    run_in(&home, &folder, &run).ends(0, "already right 10");
    run_in(&home, &folder, &["policy", "runbooks/tag_owner.lua"]).ends(0, "");
}

#[test]
fn a_new_folder_declares_for_editors_what_scripts_and_tests_find() {
    let home = Home::new();
    run_in(&home, &home.path(""), &["init"]).ends(0, "");
    let settings = std::fs::read_to_string(home.path(".luarc.json")).expect("the settings");
    let library = &json_of(&settings)["workspace.library"];
    assert_eq!(library, &serde_json::json!([".iamlua/meta"]));
    let mut declared = String::new();
    for entry in std::fs::read_dir(home.path(".iamlua/meta")).expect("the declarations").flatten() {
        declared.push_str(&std::fs::read_to_string(entry.path()).expect("a declaration"));
    }
    for line in ["iam = {}", "bulk = {}", "function try(f, ...) end", "report = {}"] {
        assert!(declared.contains(&format!("\n{line}\n")), "{line}");
    }
    for line in [
        "function describe(name, f) end",
        "it = {}",
        "function before_each(f) end",
        "function expect(value) end",
        "function Expectation:to_equal(expected) end",
        "function run_runbook(path, params, options) end",
        "function account.import(what) end",
        "function clock.set(iso) end",
    ] {
        assert!(declared.contains(&format!("\n{line}\n")), "{line}");
    }
}

#[test]
fn init_replaces_nothing_of_anybodys_and_makes_its_declarations_anew() {
    let home = Home::new();
    home.write("runbooks/tag_owner.lua", "-- mine");
    home.write(".luarc.json", "{}");
    home.write(".iamlua/meta/bulk.lua", "-- of an older version");
    std::os::unix::fs::symlink("nowhere", home.path("iamlua.toml")).expect("a link");
    let folder = home.path("");
    let ran = run_in(&home, &folder, &["init", "."]).ends(0, "");
    let read = |name: &str| std::fs::read_to_string(home.path(name)).expect("a file");
    assert_eq!(read("runbooks/tag_owner.lua"), "-- mine");
    assert_eq!(read(".luarc.json"), "{}");
    assert!(home.path("iamlua.toml").is_symlink());
    assert!(read(".iamlua/meta/bulk.lua").contains("function bulk.each("));
    assert!(read("runbooks/tag_owner_test.lua").contains("describe("));
    for line in [
        "left      runbooks/tag_owner.lua, which was there already\n",
        "left      iamlua.toml, which",
        "made      .gitignore\n",
        "add \".iamlua/meta\" to workspace.library in .luarc.json",
    ] {
        assert!(ran.out.contains(line), "{line} is not in {}", ran.out);
    }
    let again = run_in(&home, &folder, &["init"]).ends(0, "");
    assert_eq!(again.out.matches("which was there already").count(), 5, "{}", again.out);
}

#[test]
fn init_says_why_it_cannot() {
    let home = Home::new();
    home.write("file", "");
    let folder = home.path("");
    run_in(&home, &folder, &["init", "file"]).ends(1, "file is a file, not a folder");
    run_in(&home, &folder, &["init", "file/below"]).ends(1, "cannot make the folder file/below");
    home.write("taken/.iamlua", "");
    let taken = "taken/.iamlua is a file, where a folder belongs, so nothing was made";
    run_in(&home, &folder, &["init", "taken"]).ends(1, taken);
}

#[test]
fn init_makes_nothing_where_something_is_in_the_way() {
    let home = Home::new();
    let folder = home.path("");
    let link = |to: &str, name: &str| {
        let path = home.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::os::unix::fs::symlink(to, path).expect("a link");
    };
    home.write("a/runbooks", "");
    link("nowhere", "b/.iamlua");
    home.write("c/iamlua.toml/file", "");
    home.write("d/.luarc.json/file", "");
    home.write("elsewhere/bulk.lua", "-- somebody's");
    link("../../elsewhere", "e/.iamlua/meta");
    link("../elsewhere", "f/.iamlua");
    for (at, err) in [
        ("a", "a/runbooks is a file"),
        ("b", "b/.iamlua is a link that leads nowhere"),
        ("c", "c/iamlua.toml is a folder, where a file belongs"),
        ("d", "d/.luarc.json is a folder, where a file belongs"),
        ("e", "e/.iamlua/meta is a link to another place"),
        ("f", "f/.iamlua is a link to another place"),
    ] {
        let ran = run_in(&home, &folder, &["init", at]).ends(1, err);
        assert!(ran.err.contains("so nothing was made\nhint: move it away"), "{ran:?}");
        let left = std::fs::read_dir(home.path(at)).expect("a folder").count();
        assert_eq!(left, 1, "{at}");
    }
    let theirs = std::fs::read_to_string(home.path("elsewhere/bulk.lua")).expect("a file");
    assert_eq!(theirs, "-- somebody's");
    // A link inside the folder is not followed to other files.
    home.write("g/stubs/file", "");
    link("../stubs", "g/.iamlua/meta");
    run_in(&home, &folder, &["init", "g"]).ends(0, "");
    assert!(home.path("g/stubs/bulk.lua").is_file());
}

/// Commands of the program; subcommands are separated by a space.
fn commands() -> BTreeSet<String> {
    let home = Home::new();
    let mut all = BTreeSet::new();
    let mut open = vec![Vec::<String>::new()];
    while let Some(path) = open.pop() {
        let mut args: Vec<&str> = path.iter().map(String::as_str).collect();
        args.push("-h");
        let help = home.run(&args).ends(0, "").out;
        let Some((_, list)) = help.split_once("Commands:\n") else { continue };
        for line in list.lines().take_while(|line| !line.is_empty()) {
            let is_name = line.starts_with("  ") && !line.starts_with("   ");
            let name = line.split_whitespace().next().unwrap_or_default();
            if is_name && name != "help" {
                let mut below = path.clone();
                below.push(name.to_owned());
                all.insert(below.join(" "));
                open.push(below);
            }
        }
    }
    assert!(all.contains("account export") && all.contains("doc"), "{all:?}");
    all
}

#[test]
fn every_command_has_a_manual_page() {
    let home = Home::new();
    let folder = home.path("share/man1");
    let shown = folder.to_str().expect("UTF-8");
    home.run(&["man", shown]).ends(0, "");
    for name in commands() {
        let page = folder.join(format!("iamlua-{}.1", name.replace(' ', "-")));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|e| panic!("{page:?}: {e}"));
        let title = format!("\n.TH IAMLUA-{} 1 ", name.replace(' ', "-").to_uppercase());
        assert!(text.contains(&title) && text.contains(".SH SYNOPSIS"), "{text}");
    }
    let page = home.run(&["man"]).ends(0, "");
    assert_eq!(page.out, std::fs::read_to_string(folder.join("iamlua.1")).expect("the page"));
    assert!(page.out.contains("Exit codes: 0 done;"));
    home.write("file", "");
    let file = home.path("file");
    home.run(&["man", file.to_str().expect("UTF-8")]).ends(1, "cannot write pages to");
}

#[test]
fn bash_completes_commands_options_and_values() {
    let home = Home::new();
    let script = home.run(&["completions", "bash"]).ends(0, "").out;
    home.write("completions", &script);
    let complete = |words: &[&str]| {
        let last = words.len();
        let line: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
        let ask = format!(
            "source completions; COMP_WORDS=(iamlua {}); COMP_CWORD={last}; \
             _iamlua_words iamlua \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{}]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            line.join(" "),
            last - 1,
        );
        let bash = Command::new("bash")
            .args(["-c", &ask])
            .current_dir(home.path(""))
            .env("IAMLUA_HOME", home.path("state"))
            .output();
        let ran = Ran::from(bash.expect("bash"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(
        script.contains("complete -F _iamlua_words -o nosort -o bashdefault -o default iamlua")
    );
    home.write("sub/tag.lua", "");
    assert_eq!(complete(&["run", "--output", "=", "j"]), ["json", "jsonl"]);
    assert_eq!(complete(&["doc", "--output", "="]), ["text", "json"]);
    home.write("sub/plan", r#"{"format": "iamlua-plan"}"#);
    for (command, found) in
        [("run", "tag.lua"), ("plan", "tag.lua"), ("show", "plan"), ("apply", "plan")]
    {
        assert!(complete(&[command, ""]).contains(&"sub/".to_owned()), "{command}");
        assert_eq!(complete(&[command, "sub/"]), [format!("sub/{found}")], "{command}");
    }
    assert!(complete(&[""]).contains(&"plan".to_owned()));
    assert!(complete(&["account", ""]).contains(&"export".to_owned()));
    assert_eq!(complete(&["pl"]), ["plan"]);
    assert_eq!(complete(&["account", "exp"]), ["export"]);
    assert_eq!(complete(&["run", "--read"]), ["--read-only"]);
    assert_eq!(complete(&["doc", "--output", ""]), ["text", "json"]);
    assert_eq!(complete(&["completions", "z"]), ["zsh"]);
    // Values are words for the shell, whatever a runbook or the name of a file contains.
    let choices = ["$(touch made)", "`touch made`", "a;touch made", "it's", "a b"];
    let listed = choices.map(|choice| format!("{choice:?}")).join(", ");
    let params = format!("{{ size = {{ choices = {{ {listed} }} }} }}");
    home.write("sub/a b.lua", format!("runbook {{ params = {params}, allow = {{}} }}"));
    let quoted =
        ["\\$\\(touch\\ made\\)", "\\`touch\\ made\\`", "a\\;touch\\ made", "it\\'s", "a\\ b"];
    assert_eq!(complete(&["run", "sub/a b.lua", "--size", ""]), quoted);
    assert_eq!(complete(&["run", "sub/a"]), ["sub/a\\ b.lua"]);
    // Where there are only options, an empty word lists them.
    assert_eq!(complete(&["account", "reset", ""]), ["--empty", "--help"]);
}

#[test]
fn there_are_completions_for_each_shell_and_no_other() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = home.run(&["completions", shell]).ends(0, "").out;
        assert!(script.contains("IAMLUA_COMPLETE"), "{shell}");
        let name = if shell == "zsh" { "zsh" } else { shell };
        let asked = home
            .command(&["--", "iamlua", "acc"])
            .env("IAMLUA_COMPLETE", name)
            .env("_CLAP_COMPLETE_INDEX", "1")
            .output()
            .expect("it runs");
        let offered = Ran::from(asked);
        assert!(offered.out.starts_with("account"), "{shell}: {offered:?}");
    }
    home.run(&["completions", "tcsh"]).ends(2, "invalid value 'tcsh'");
}
