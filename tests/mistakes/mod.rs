//! Common mistakes of newcomers, in scripts and on the command line, through the program: each
//! message names the cause and the next step.

use serde_json::Value;
use toml::de::DeTable;

use crate::end_to_end::{Home, Ran};
use crate::identity::json_of_table;

struct Case {
    name: String,
    script: String,
    /// Command line; by default `run x.lua`.
    command: Vec<String>,
    /// Words that the message has.
    says: Vec<String>,
    /// Words that it has not, because they would be wrong.
    never: Vec<String>,
}

fn cases() -> Vec<Case> {
    let table = DeTable::parse(include_str!("cases.toml")).expect("TOML");
    let case = |value: &Value| {
        let case = value.as_object().expect("a table");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let texts = |key: &str| {
            let list = case.get(key).map(|value| value.as_array().expect("a list"));
            list.into_iter().flatten().map(text).collect()
        };
        for key in case.keys() {
            assert!(
                ["name", "script", "command", "says", "never"].contains(&key.as_str()),
                "{key}"
            );
        }
        Case {
            name: text(&case["name"]),
            script: case.get("script").map(text).unwrap_or_default(),
            command: texts("command"),
            says: texts("says"),
            never: texts("never"),
        }
    };
    json_of_table(table.get_ref())["mistake"].as_array().expect("a list").iter().map(case).collect()
}

/// Number of mistakes that are answered, at least.
const AT_LEAST: usize = 60;

#[test]
fn each_common_mistake_is_answered_by_its_cause_and_the_next_step() {
    let cases = cases();
    assert!(cases.iter().filter(|case| case.never.is_empty()).count() >= AT_LEAST);
    let home = Home::new();
    home.write("book.lua", "runbook { params = { owner = { type = 'string' } } }\n");
    home.write("tags.lua", "return {}\n");
    let mut wrong = Vec::new();
    for case in &cases {
        home.write("x.lua", &case.script);
        let command: Vec<_> = case.command.iter().map(String::as_str).collect();
        let command = if command.is_empty() { vec!["run", "x.lua"] } else { command };
        let ran = home.command(&command).current_dir(home.path(".")).output();
        let ran = ran.expect("the program starts");
        let text = String::from_utf8_lossy(&ran.stderr);
        let misses = case.says.iter().filter(|words| !text.contains(*words));
        let has = case.never.iter().filter(|words| text.contains(*words));
        let wrong_words: Vec<_> = misses.chain(has).collect();
        // A message of Lua alone, which a newcomer cannot act on.
        let steps = ["hint: ", "tip: ", "; did you mean", "; write ", " such as "];
        let is_bare = case.never.is_empty() && !steps.iter().any(|step| text.contains(step));
        let own_code = text.contains("[iamlua:");
        if ran.status.success() || !wrong_words.is_empty() || is_bare || own_code {
            wrong.push(format!("{}: {wrong_words:?}, bare: {is_bare}\n{text}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_script_runs_without_the_word_run() {
    let home = Home::new();
    home.write("x.lua", "runbook { params = { owner = { type = 'string' } } }\nprint(arg[0])");
    home.write("tool", "#!/usr/bin/env iamlua\nprint(arg[0], ..., iamlua.mode)");
    let run = |words: &[&str]| {
        let mut command = home.command(words);
        Ran::from(command.current_dir(home.path(".")).output().expect("it runs"))
    };
    for words in [&["x.lua"][..], &["x.lua", "--owner", "ops"], &["--plan", "x.lua"]] {
        assert_eq!(run(words).ends(0, "").out, "x.lua\n", "{words:?}");
    }
    // What comes after the script is a word of the script, or an option of the run.
    let planned = run(&["./tool", "test", "--plan"]).ends(0, "");
    assert_eq!(planned.out, "./tool\ttest\tplan\n");
    // A name without an ending and a folder is a command.
    run(&["tool"]).ends(2, "unrecognized subcommand 'tool'");
    run(&["-e", "print(1)", "x.lua"]).ends(2, "x.lua");
}

#[test]
fn modules_of_the_program_are_strict_and_remain_tables() {
    let home = Home::new();
    let code = r#"
        local names = {}
        for name in pairs(iam.profiles) do names[name] = true end
        assert(names.get and names.list and not names.lst)
        assert(rawget(iam.profiles, "lst") == nil and rawget(json, "parse") == nil)
        iam.profiles.lst = function() return "mine" end
        assert(iam.profiles.lst() == "mine")
        function time.tomorrow() return "soon" end
        assert(time.tomorrow() == "soon" and require("time").tomorrow() == "soon")
        local other = iam.connect { region = "eu-west-1" }
        local ok, err = pcall(function() return other.profiles.gett end)
        assert(not ok and err.hint == "did you mean iam.profiles.get?", err.hint)
        for _, key in ipairs { "__index", "_VERSION", 1, true } do assert(json[key] == nil) end
        local _, strange = pcall(function() return json["\27[31m"] end)
        assert(strange.message == "json has no \\x1b[31m", strange.message)
        assert(json["\255"] == nil)
        print("whole")
    "#;
    assert_eq!(home.run(&["-e", code]).ends(0, "").out, "whole\n");
}

#[test]
fn a_hostile_script_gets_an_error_as_any_other() {
    let home = Home::new();
    let run = |code: &str| home.run(&["-e", code]);
    // Names that are no text, very many names, and nothing of what the program uses.
    run("_G['\\255'] = 1 _G[1.5] = 1 _G[true] = {} pritn()").ends(1, "did you mean print?");
    run("for i = 1, 1e5 do _G['pri' .. i] = i end pritn()").ends(1, "(global 'pritn')");
    run("for name in pairs(_G) do if name ~= '_G' then _G[name] = nil end end pritn()")
        .ends(1, "attempt to call a nil value (global 'pritn')");
    run("_G, require, string, host = nil pritn()").ends(1, "did you mean print?");
    run("setmetatable(_G, { __index = function() error('no') end }) local x = json.parse")
        .ends(1, "");
    let long = "error('attempt to index a nil value (global \\'' .. ('x'):rep(1e7) .. '\\')', 0)";
    let ran =
        run(&format!("local ok, err = try(function() {long} end) print(#err.message, err.hint)"));
    assert_eq!(ran.out, "10000040\tnil\n");
    run("error('attempt to call a nil value (global \\'\\27[2J\\')', 0)").ends(1, "\\x1b[2J");
    // The metatables of modules cannot be reached.
    let closed = "assert(getmetatable(iam) == false and getmetatable(json) == false) \
                  assert(not pcall(setmetatable, iam, {}))";
    run(closed).ends(0, "");
    // An endless search of names can be stopped.
    let endless = "while true do try(function() return iam.profiles.nothing_of_that_name end) end";
    home.run(&["--timeout", "1s", "-e", endless]).ends(1, "timeout");
}

#[test]
fn a_caught_error_has_its_hint_and_a_hint_knows_modules_and_tasks() {
    let home = Home::new();
    home.write("lib.lua", "local M = {}\nfunction M.f(x)\n  return x.Tags.Owner\nend\nreturn M\n");
    home.write("bad.lua", "local x = 1\nx += 1\n");
    home.write(
        "x.lua",
        r#"
        local _, err = try(require("lib").f, {})
        print(err.hint)
        local _, syntax = try(require, "bad")
        print((syntax.hint:gsub(".*\n", "")))
        local co = coroutine.wrap(function() return ("x").y.z end)
        local _, inner = try(function() return co() end)
        print(inner.message)
        local t = task.spawn(function() return pritn(1) end)
        local _, failed = try(task.wait, t)
        print(failed.hint)
        "#,
    );
    let mut command = home.command(&["x.lua"]);
    let ran = command.current_dir(home.path(".")).output().expect("it runs");
    let out = String::from_utf8_lossy(&ran.stdout);
    let lines: Vec<_> = out.lines().collect();
    let [fields, syntax, inner, failed] = lines[..] else { panic!("{ran:?}") };
    assert_eq!(fields, "Tags is AWS's name; a profile or role has it as tags");
    assert_eq!(syntax, "Lua has no `+=`: x = x + …");
    assert!(inner.contains("attempt to index a nil value (field 'y')"), "{inner}");
    assert_eq!(failed, "did you mean print?");
}
