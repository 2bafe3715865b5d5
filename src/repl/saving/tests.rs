use mlua::chunk::ChunkMode;

use super::{EntryStatus, LoadedScript, Lua, SavedEntry, Script, script};

fn saved(entries: &[SavedEntry]) -> Script {
    let lua = mlua::Lua::new();
    script(
        entries,
        &Lua {
            compiles: &|text| lua.load(text).set_mode(ChunkMode::Text).into_function().is_ok(),
            is_global: &|name| ["print", "iam"].contains(&name),
        },
    )
}

/// Entry that stands; a lone expression has shown its value.
fn entry(text: &str) -> SavedEntry {
    let is_value = mlua::Lua::new().load(format!("return {text}")).into_function().is_ok();
    let values = usize::from(is_value && !text.starts_with("print("));
    SavedEntry { text: text.into(), values, ..SavedEntry::default() }
}

fn gone(text: &str, fate: EntryStatus, changes: usize, defined: &[&str]) -> SavedEntry {
    let defined = defined.iter().map(|name| (*name).to_owned()).collect();
    SavedEntry { fate, changes, defined, values: 0, ..entry(text) }
}

/// Script of these entries, without the function that prints values and blank lines.
fn text(entries: &[SavedEntry]) -> String {
    let text = saved(entries).text;
    let text = match text.split_once("  return ...\nend\n") {
        Some((_, rest)) => rest,
        None => &text,
    };
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.join("\n")
}

#[test]
fn a_name_stands_for_what_it_did_at_the_prompt() {
    for (entries, script) in [
        // Each entry is a statement, and a value is printed.
        (vec!["1 + 1", "= 2", "print('x')"], "show(1 + 1)\nshow(2)\nprint('x')"),
        (vec!["f() -- all"], "show(\nf() -- all\n)"),
        (vec!["x = f", "(x)()"], "x = f\nshow((x)())"),
        (
            vec!["iam.profiles.each()", "iam.roles.pages()"],
            "report(iam.profiles.each())\nshow(iam.roles.pages())",
        ),
        // `_`
        (vec!["f()", "_.name"], "local _ = show(f())\nshow(_.name)"),
        (vec!["f()", "_", "_ + 1"], "local _ = show(f())\n_ = show(_)\nshow(_ + 1)"),
        (
            vec!["f()", "for _, p in g() do print(_, p) end"],
            "show(f())\nfor _, p in g() do print(_, p) end",
        ),
        (
            vec!["f()", "print('a')", "t._ = { _ = 1 }", "x = _"],
            "local _ = show(f())\nprint('a')\nt._ = { _ = 1 }\nx = _",
        ),
        (vec!["f()", "local _, y = g()", "_"], "show(f())\nlocal _, y = g()\nshow(_)"),
        (
            vec!["function h() return _ end", "f()", "h()"],
            "function h() return _ end\n_ = show(f())\n_ = show(h())",
        ),
        // Locals.
        (vec!["local x = 1", "x"], "local x = 1\nshow(x)"),
        (vec!["local x = 1", "local x = x + 1", "x"], "local x = 1\nlocal x = x + 1\nshow(x)"),
        (
            vec!["local x = 1", "function f() return x end", "local x = 2"],
            "local x\nx = 1\nfunction f() return x end\nx = 2",
        ),
        (
            vec!["function f() return x end", "local x, y = 2"],
            "local x\nfunction f() return x end\nlocal y\nx, y = 2",
        ),
        (vec!["local f = function() return f() end"], "local f\nf = function() return f() end"),
        (vec!["local function f() return f() end"], "local function f() return f() end"),
        (
            vec!["local print = function(...) print(...) end"],
            "local print = print\nprint = function(...) print(...) end",
        ),
        (vec!["x = 1 local x = 2"], "local x\nx = 1 x = 2"),
        (vec!["local X <const> = 5", "X"], "local X <const> = 5\nshow(X)"),
        (vec!["local X <const> = 5", "X = 6"], "local X\nX = 5\nX = 6"),
        // Statements that would end the script, or are visible in all of it.
        (
            vec!["local x = 7 return x", "x"],
            "local x\nshow((function(...)\nx = 7 return x\nend)(...))\nshow(x)",
        ),
        (vec!["if a then return end f()"], ";(function(...)\nif a then return end f()\nend)(...)"),
        (vec!["::a:: f()", "::a:: g()"], "do\n::a:: f()\nend\ndo\n::a:: g()\nend"),
        (
            vec!["local f <close> = g() local y = f", "y"],
            "local y\ndo\nlocal f <close> = g() y = f\nend\nshow(y)",
        ),
    ] {
        let entries: Vec<_> = entries.into_iter().map(entry).collect();
        let entries: Vec<_> = (entries.into_iter())
            .map(|entry| {
                let values = usize::from(entry.text.contains(" return x")).max(entry.values);
                SavedEntry { values, ..entry }
            })
            .collect();
        assert_eq!(text(&entries), script);
    }
}

#[test]
fn what_does_not_stand_is_left_out() {
    let entries = [
        entry("local a = 1"),
        gone("error('no')", EntryStatus::Failed, 0, &[]),
        gone("iam.profiles.create('x')", EntryStatus::Undone, 1, &[]),
        gone("iam.profiles.create('y')", EntryStatus::Undone, 1, &[]),
        gone("iam.profiles.create('z')", EntryStatus::Discarded, 1, &[]),
        SavedEntry { changes: 1, ..entry("iam.profiles.create('a')") },
    ];
    assert_eq!(text(&entries), "local a = 1\niam.profiles.create('a')");
    let script = saved(&entries);
    assert_eq!(script.saved(), "2 entries");
    assert_eq!(script.left_out(), "1 that failed, 2 that were undone, 1 that was discarded");
    assert_eq!(saved(&entries[..1]).saved(), "1 entry");
}

#[test]
fn a_definition_that_changes_nothing_stays_where_it_is_used() {
    let names =
        "local names = { 'a', 'b' } for _, n in ipairs(names) do iam.profiles.create(n) end";
    for (first, second, script) in [
        (
            gone(names, EntryStatus::Undone, 2, &[]),
            "print(#names)",
            "local names = { 'a', 'b' }\nprint(#names)",
        ),
        (gone(names, EntryStatus::Undone, 2, &[]), "print(1)", "print(1)"),
        (
            gone(
                "local list = iam.profiles.list() iam.profiles.tag(list[1].name, t)",
                EntryStatus::Undone,
                1,
                &[],
            ),
            "print(#list)",
            "local list = iam.profiles.list()\nprint(#list)",
        ),
        (
            gone(
                "function f() return iam.profiles.create('x') end f()",
                EntryStatus::Undone,
                1,
                &[],
            ),
            "f()",
            "function f() return iam.profiles.create('x') end\nshow(f())",
        ),
        (
            gone(
                "local a = 1 local b = a + 1 iam.profiles.create('x')",
                EntryStatus::Discarded,
                1,
                &[],
            ),
            "b",
            "local a = 1\nlocal b = a + 1\nshow(b)",
        ),
        // A failed entry that changed nothing can call anything.
        (
            gone("local p = get() p.x.y()", EntryStatus::Failed, 0, &["p"]),
            "print(p)",
            "local p = get()\nprint(p)",
        ),
        // The error came before the definition.
        (gone("local p = get()", EntryStatus::Failed, 0, &[]), "print(p)", "print(p)"),
        (
            gone("local p = 1 error()", EntryStatus::Failed, 0, &["p"]),
            "for _, p in f() do g(p) end",
            "for _, p in f() do g(p) end",
        ),
    ] {
        assert_eq!(text(&[first, entry(second)]), script);
    }
}

#[test]
fn an_entry_that_needs_what_is_left_out_is_told() {
    let needs = "-- Left out, because it needs what an entry that is left out has defined:";
    let made = || gone("local p = iam.profiles.create('x')", EntryStatus::Undone, 1, &[]);
    let entries =
        [made(), entry("q = p.name"), entry("print(q)"), entry("local p = 2"), entry("print(p)")];
    assert_eq!(
        text(&entries),
        format!("{needs}\n-- q = p.name\n{needs}\n-- print(q)\nlocal p = 2\nprint(p)")
    );
    assert_eq!(saved(&entries).left_out(), "1 that was undone, 2 that need one of these");
    let shown =
        SavedEntry { values: 1, ..gone("iam.profiles.create('x')", EntryStatus::Undone, 1, &[]) };
    assert_eq!(text(&[shown, entry("print(_.name)")]), format!("{needs}\n-- print(_.name)"));
    // Through a function that stands.
    let entries = [entry("function f() return p end"), made(), entry("f()")];
    assert_eq!(text(&entries), format!("function f() return p end\n{needs}\n-- f()"));
    let failed = gone("iam.profiles.create('x')\nerror()", EntryStatus::Failed, 1, &[]);
    assert_eq!(
        text(&[failed]),
        "-- Left out, because it failed after 1 change:\n-- iam.profiles.create('x')\n-- error()"
    );
    let entries = [entry("print(_error.code)"), entry("local _error = 1"), entry("print(_error)")];
    assert_eq!(
        text(&entries),
        "-- Left out, because it needs `_error`:\n-- print(_error.code)\nlocal _error = 1\nprint(_error)"
    );
}

#[test]
fn scripts_that_were_loaded_are_part_of_it() {
    let load = |source: &str| SavedEntry {
        text: ".load lib.lua 'a b'".into(),
        loaded: Some(LoadedScript {
            name: "lib.lua".into(),
            source: source.into(),
            args: vec!["a \"b\"".into()],
        }),
        defined: vec!["greet".into()],
        ..SavedEntry::default()
    };
    assert_eq!(
        text(&[load("#!x\ngreet = t[t[1]]"), entry("greet()")]),
        "-- .load lib.lua 'a b'\nassert(load([=[\n--#!x\ngreet = t[t[1]]\n]=], \"@lib.lua\"))(\"a \\\"b\\\"\")\nshow(greet())"
    );
    let entries = [load("runbook {} greet = print"), entry("greet()")];
    assert!(!saved(&entries).text.contains("assert(load"));
    assert_eq!(saved(&entries).left_out(), "1 that needs one of these, 1 that loaded a runbook");
}

#[test]
fn more_locals_than_lua_takes_are_written_otherwise() {
    let lua = mlua::Lua::new();
    let again: Vec<_> = (0..300).map(|n| entry(&format!("local x = {n}"))).collect();
    let many: Vec<_> = (0..300).map(|n| entry(&format!("local x{n} = {n}"))).collect();
    for entries in [again, many] {
        let script = saved(&entries);
        assert_eq!(script.saved, 300);
        lua.load(&script.text).exec().expect("it runs");
    }
}
