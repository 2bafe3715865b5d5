//! Checks of the documentation: generated files are current, documented names exist in scripts,
//! every Lua block runs, and every link has a target.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use iamlua::docs::{self, ItemKind};
use iamlua::lua::Format;
use iamlua::lua::sandbox::Access;
use iamlua::testing;
use iamlua::testing::report::human;

use crate::lua::Bench;
use crate::registry::{lua_files, root};

/// Compares a committed file, or writes it with `IAMLUA_BLESS=1`.
fn matches_committed(path: &Path, made: &str) {
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    if committed == made {
        return;
    }
    if std::env::var_os("IAMLUA_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("its folder");
        std::fs::write(path, made).expect("the blessed file");
        return;
    }
    let differs = committed.lines().zip(made.lines()).position(|(old, new)| old != new);
    panic!(
        "{}:{} is not what is made from the registry and stdlib/ now; IAMLUA_BLESS=1 cargo test writes it anew",
        path.display(),
        differs.map_or(committed.lines().count().min(made.lines().count()), |line| line) + 1
    );
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Markdown files of the project.
pub(crate) fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders: Vec<_> =
        ["", "docs", "scripts", "benches"].map(|folder| root().join(folder)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "md") {
                pages.push(path);
            } else if path.is_dir() && folder.starts_with(root().join("docs")) {
                folders.push(path);
            }
        }
    }
    pages.sort();
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

#[test]
fn the_stubs_for_editors_are_up_to_date() {
    let folder = root().join("stdlib/meta");
    let made: BTreeMap<_, _> = docs::stubs().into_iter().collect();
    for (name, text) in &made {
        matches_committed(&folder.join(name), text);
    }
    for path in lua_files(&folder) {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(made.contains_key(name), "nothing makes {}: delete it", path.display());
    }
}

#[test]
fn the_reference_is_up_to_date() {
    matches_committed(&root().join("docs/reference.md"), &docs::reference());
}

/// Compares the part of a page between two comments with the generated text.
fn section_matches(page: &str, name: &str, source: &str, made: &str) {
    let (begin, end) =
        (format!("<!-- {name}: made from the {source} -->\n"), format!("<!-- end of {name} -->"));
    let path = root().join(page);
    let text = read(&path);
    let (before, rest) = text.split_once(&begin).expect("the beginning of the section");
    let (_, after) = rest.split_once(&end).expect("the end of the section");
    matches_committed(&path, &format!("{before}{begin}{made}{end}{after}"));
}

#[test]
fn the_table_of_functions_is_up_to_date() {
    section_matches("docs/functions.md", "functions", "registry", &docs::function_table());
}

#[test]
fn the_actions_of_the_local_account_are_those_that_it_answers() {
    section_matches("docs/account.md", "actions", "emulator", &docs::action_table());
}

#[test]
fn the_commands_of_the_prompt_are_those_that_it_has() {
    section_matches("docs/prompt.md", "commands", "program", &iamlua::repl::commands::table());
}

/// Names in a script, with their types: globals, their fields, and the fields of those.
fn names_in_scripts() -> BTreeMap<String, String> {
    let walk = r#"
        local seen = { [_G] = true, [package.loaded] = true }
        local function walk(prefix, t)
          for name, value in pairs(t) do
            print(prefix .. tostring(name), type(value))
            if type(value) == "table" and not seen[value] then
              seen[value] = true
              walk(prefix .. name .. ".", value)
            end
          end
        end
        seen[arg] = true
        walk("", _G)
    "#;
    let ran = Bench::new().run(walk, "walk.lua");
    assert!(ran.result.is_ok(), "{}", ran.result.unwrap_err());
    let pair = |line: &str| line.split_once('\t').map(|(name, ty)| (name.into(), ty.into()));
    ran.stdout.lines().filter_map(pair).collect()
}

/// Names in plain Lua.
fn names_in_plain_lua() -> BTreeSet<String> {
    let lua = mlua::Lua::new();
    let mut names = BTreeSet::new();
    for pair in lua.globals().pairs::<String, mlua::Value>() {
        let (name, value) = pair.expect("a global");
        if let (mlua::Value::Table(table), true) = (&value, name != "_G" && name != "package") {
            for inner in table.pairs::<String, mlua::Value>() {
                names.insert(format!("{name}.{}", inner.expect("a field").0));
            }
        }
        names.insert(name);
    }
    assert!(names.contains("string.format"), "{names:?}");
    names
}

#[test]
fn what_a_script_finds_is_documented() {
    let plain = names_in_plain_lua();
    let undocumented: Vec<_> = names_in_scripts()
        .into_keys()
        .filter(|name| !plain.contains(name) && docs::item(name).is_none())
        .filter(|name| !name.starts_with("debug.") && !name.starts_with("package."))
        .filter(|name| !name.starts_with("io.std"))
        .collect();
    assert!(undocumented.is_empty(), "{undocumented:?}");
}

#[test]
fn what_is_documented_is_what_a_script_finds() {
    let found = names_in_scripts();
    // Names of tests exist only there.
    for item in docs::items().iter().filter(|item| item.module != "testing") {
        let expected = match item.kind {
            ItemKind::Function if item.is_method() => continue,
            ItemKind::Function => "function",
            ItemKind::Module if item.name == "lua" => continue,
            ItemKind::Module => "table",
            ItemKind::Value => match item.ty.as_str() {
                ty if ty.starts_with("table") || ty == "file*" => "",
                "lightuserdata" | "string[]" => "",
                _ => "string",
            },
            ItemKind::Class | ItemKind::Alias => continue,
        };
        let ty = found.get(&item.name).unwrap_or_else(|| panic!("no script finds {}", item.name));
        assert!(expected.is_empty() || ty == expected, "{} is a {ty}", item.name);
    }
}

#[test]
fn what_only_tests_find_is_documented() {
    let known: Vec<_> = docs::items().iter().map(|item| format!("{:?}", item.name)).collect();
    let plain: Vec<_> = names_in_scripts().into_keys().map(|name| format!("{name:?}")).collect();
    let own = docs::items().iter().filter(|item| {
        let is_named = matches!(item.kind, ItemKind::Function | ItemKind::Module);
        item.module == "testing" && item.name != "testing" && is_named && !item.is_method()
    });
    let own: Vec<_> = own.map(|item| item.name.as_str()).collect();
    assert!(own.contains(&"run_runbook") && own.contains(&"account.import"), "{own:?}");
    let code = format!(
        r#"
local known, found = {{}}, {{ {} }}
for _, name in ipairs {{ {} }} do
  known[name] = true
end
local function check(prefix, t)
  for name, value in pairs(t) do
    assert(known[prefix .. name], "nobody documents " .. prefix .. name)
    if prefix == "" and type(value) == "table" and value ~= _G and value ~= arg and not package.loaded[name] then
      check(name .. ".", value)
    end
  end
end
it("finds what is documented, and nothing else", function()
  check("", _G)
  for i = 1, #found do
    assert(found[i], i)
  end
end)
"#,
        own.join(", "),
        known.into_iter().chain(plain).collect::<Vec<_>>().join(", ")
    );
    run_tests(&[Block { place: "names".into(), args: vec![], code }]);
}

#[test]
fn what_plain_lua_has_and_scripts_have_not_is_said() {
    let found = names_in_scripts();
    let text = &docs::item("lua").expect("the module").text;
    let (_, text) = text.split_once("Not available: ").expect("what is not available");
    let missing: Vec<_> =
        names_in_plain_lua().into_iter().filter(|name| !found.contains_key(name)).collect();
    assert!(missing.is_empty(), "scripts would find nil, and no error that says why: {missing:?}");
    for name in found.keys().filter(|name| name.as_str() != "os.exit") {
        // Functions that wait for input or for ever are not called.
        if found[name] != "function" || !names_in_plain_lua().contains(name) {
            continue;
        }
        let is_said = text.contains(&format!("`{name}`"))
            || (name.starts_with("debug.")
                && !matches!(&name[6..], "traceback" | "getinfo" | "getmetatable"));
        let code = format!(
            "local ok, e = pcall({name}) print(not ok and type(e) == 'table' and e.kind == 'permission')"
        );
        let ran = Bench::new().run(&code, "call.lua");
        assert_eq!(ran.stdout.trim(), is_said.to_string(), "{name}: {:?}", ran.stdout);
    }
}

/// Lua block of the documentation.
struct Block {
    place: String,
    /// Words behind `lua` in the fence.
    args: Vec<String>,
    code: String,
}

/// Lua blocks in Markdown, or in the comments of a Lua file.
fn blocks(path: &Path) -> Vec<Block> {
    let is_lua = path.extension().is_some_and(|end| end == "lua");
    let shown = path.strip_prefix(root()).expect("a file of the project").display().to_string();
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in read(path).lines().enumerate() {
        let line = match (is_lua, line.trim_start().strip_prefix("---")) {
            (true, Some(text)) => text.strip_prefix(' ').unwrap_or(text),
            (true, None) => continue,
            (false, _) => line,
        };
        if let Some(block) = &mut open {
            if line.trim_end() == "```" {
                blocks.extend(open.take());
            } else {
                block.code.push_str(line);
                block.code.push('\n');
            }
        } else if let Some(info) = line.strip_prefix("```lua") {
            open = Some(Block {
                place: format!("{shown}:{}", at + 1),
                args: info.split_whitespace().map(str::to_owned).collect(),
                code: String::new(),
            });
        }
    }
    assert!(open.is_none(), "{shown}: a fence has no end");
    blocks
}

/// Lua blocks that run, with their places.
pub(crate) fn lua_blocks(path: &Path) -> Vec<(String, String)> {
    let blocks = blocks(path).into_iter().filter(|block| block.args != ["no-run"]);
    blocks.map(|block| (block.place, block.code)).collect()
}

/// Runs a block as a script, with the options of its fence.
fn run_script(block: &Block) {
    let mut bench = Bench::new();
    let mut args = Vec::new();
    for arg in &block.args {
        let access = Access::ALL
            .into_iter()
            .find_map(|access| arg.strip_prefix(&access.flag("")).map(|what| (access, what)));
        match access {
            Some((access, what)) => bench.permissions.allow(access, what).expect("a permission"),
            None => args.push(arg.clone()),
        }
    }
    let ran = bench.run_with(&block.code, &block.place, args, Format::Table);
    assert_eq!(ran.code(), 0, "{}: {:?}\n{}", block.place, ran.result, ran.stderr);
}

/// Runs blocks as tests of scripts, beside the runbooks of the project.
fn run_tests(blocks: &[Block]) {
    let folder = tempfile::tempdir().expect("a folder");
    for path in lua_files(&root().join("scripts")) {
        let name = path.file_name().expect("a name").to_owned();
        std::fs::copy(&path, folder.path().join(name)).expect("a copy");
    }
    let mut files = Vec::new();
    for Block { place, code, .. } in blocks {
        let file = folder.path().join(format!("{}_test.lua", place.replace(['/', ':', '.'], "_")));
        let has_test = code.contains("it(");
        let test =
            if has_test { code.clone() } else { format!("it('runs', function()\n{code}end)\n") };
        std::fs::write(&file, test).expect("a file");
        files.push(file);
    }
    let mut failures = String::new();
    let options = testing::TestSettings::default();
    let report = testing::run(&files, &options, &testing::Interrupt::default(), |file| {
        let counts = file.counts();
        if counts.failed > 0 || counts.passed == 0 {
            failures.push_str(&human::file(file, false));
        }
        Ok(())
    });
    assert!(report.expect("the tests run").counts().passed >= blocks.len(), "{failures}");
    assert!(failures.is_empty(), "{failures}");
}

/// Returns true if the code calls a function that only tests have.
fn is_test(code: &str) -> bool {
    docs::items()
        .iter()
        .filter(|item| item.module == "testing" && item.is_callable() && !item.is_method())
        .any(|item| {
            code.match_indices(&item.name).any(|(at, name)| {
                let before = code[..at].chars().next_back();
                let after = code[at + name.len()..].trim_start().chars().next();
                before.is_none_or(|c| !c.is_alphanumeric() && !"_.:".contains(c))
                    && after.is_some_and(|c| "({".contains(c))
            })
        })
}

/// Returns true for a block `-- NAME.lua` that a command of its page names; `console.rs` runs it.
fn is_run_by_a_command(page: &Path, block: &Block) -> bool {
    let name = block.code.lines().next().and_then(|line| line.strip_prefix("-- "));
    name.is_some_and(|name| {
        let commands = read(page);
        let mut commands = commands.lines().filter(|line| line.starts_with("$ iamlua "));
        Path::new(name).extension().is_some_and(|end| end == "lua")
            && commands.any(|line| line.split(' ').any(|word| word == name))
    })
}

#[test]
fn every_piece_of_lua_in_the_documentation_runs() {
    let sources = lua_files(&root().join("stdlib")).into_iter();
    let sources = sources.filter(|path| !path.starts_with(root().join("stdlib/meta")));
    let (mut ran, mut idle, mut tests) = (0, Vec::new(), Vec::new());
    let every = pages().into_iter().chain(sources);
    for (path, block) in
        every.flat_map(|path| blocks(&path).into_iter().map(move |b| (path.clone(), b)))
    {
        if block.args == ["no-run"] {
            if !is_run_by_a_command(&path, &block) {
                idle.push(block.place);
            }
        } else if is_test(&block.code) {
            tests.push(block);
        } else {
            run_script(&block);
            ran += 1;
        }
    }
    run_tests(&tests);
    println!("{ran} scripts and {} tests", tests.len());
    assert!(ran > 50 && tests.len() > 20, "only {ran} and {}", tests.len());
    assert!(idle.len() <= 1, "too many do not run: {idle:?}");
}

#[test]
fn every_source_of_a_scan_is_explained() {
    let page = read(&root().join("docs/usage.md"));
    for source in iamlua::usage::SOURCES {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", source.name)));
        let row = row.unwrap_or_else(|| panic!("docs/usage.md has no row for {}", source.name));
        for action in source.actions() {
            assert!(
                row.contains(&format!("`{}`", action.name)),
                "{}: {}",
                source.name,
                action.name
            );
        }
    }
}

#[test]
fn every_module_has_an_example() {
    for module in docs::modules().filter(|module| module.name != "lua") {
        let mut own = docs::items().iter().filter(|item| item.module == module.name);
        assert!(
            own.any(|item| !item.examples.is_empty()) || module.name == "iam",
            "{} has none",
            module.name
        );
    }
}

/// Links of a page: `](…)`, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        }
        if is_code || line.starts_with("    ") {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let target = &line[at + 2..];
            links.push(target[..target.find(')').expect("the end of a link")].to_owned());
        }
    }
    links
}

/// Anchors of a page.
fn anchors(text: &str) -> Vec<String> {
    let mut is_code = false;
    text.lines()
        .filter(|line| {
            is_code ^= line.starts_with("```");
            !is_code && line.starts_with('#')
        })
        .map(|line| docs::anchor(line.trim_start_matches('#').trim()))
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut checked = 0;
    for path in pages() {
        let text = read(&path);
        for link in links(&text) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                path.clone()
            } else {
                path.parent().expect("a folder").join(file)
            };
            assert!(target.exists(), "{}: there is no {file}", path.display());
            if !anchor.is_empty() {
                let there = anchors(&read(&target)).contains(&anchor.to_owned());
                assert!(there, "{}: {link} leads nowhere", path.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked}");
}

#[test]
fn the_readme_is_short() {
    let lines = read(&root().join("README.md")).lines().count();
    assert!(lines <= 150, "{lines} lines: details belong to docs/");
}

#[test]
fn the_index_lists_every_page() {
    let index = links(&read(&root().join("docs/README.md")));
    let docs = root().join("docs");
    for page in pages() {
        let Ok(name) = page.strip_prefix(&docs) else { continue };
        let name = name.to_str().expect("UTF-8");
        assert!(name == "README.md" || index.iter().any(|link| link == name), "{name} is missing");
    }
}

#[test]
fn no_two_headings_of_the_reference_share_an_anchor() {
    let mut seen = BTreeSet::new();
    for anchor in anchors(&docs::reference()) {
        assert!(seen.insert(anchor.clone()), "{anchor} is there twice");
    }
}
