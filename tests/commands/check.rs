//! `iamlua check`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use iamlua::lint::{self, Input, Rule, Settings, Severity, check_text};
use serde_json::Value;

use super::Desk;
use crate::docs::{lua_blocks, pages};
use crate::registry::{lua_files, root};

/// Scripts and their findings: severity, line and column, rule, and a part of message or hint.
const FINDINGS: &[(&str, &[&str])] = &[
    // Syntax.
    ("local x = = 3", &["error 1:11 syntax-error unexpected symbol near '='"]),
    ("print('ä', = 1)", &["error 1:12 syntax-error unexpected symbol near '='"]),
    ("do ::a:: end\ngoto a", &["error 2:7 syntax-error no visible label 'a'"]),
    ("local x <const> = 1\nx = 2", &["error 2:6 syntax-error attempt to assign to const"]),
    ("f(\n", &["error 2:1 syntax-error unexpected symbol near <eof>"]),
    // Globals.
    ("prnt('x')", &["error 1:1 undefined-global did you mean `print`?"]),
    ("local x = nme", &["warning 1:11 undefined-global there is no global `nme`"]),
    ("return _G.prnt('x')", &["error 1:11 undefined-global did you mean `print`?"]),
    ("print(wgt.x)", &["error 1:7 undefined-global there is no global `wgt`"]),
    ("local function f() return f1() end\nprint(f())", &["error 1:27 undefined-global"]),
    ("do local a = 1 end print(a)", &["warning 1:26 undefined-global"]),
    ("repeat local done = true until done print(done)", &["warning 1:43 undefined-global"]),
    ("for i = 1, 2 do end print(i)", &["warning 1:27 undefined-global"]),
    ("expect(1):to_equal(1)", &["error 1:1 undefined-global in test files only"]),
    ("-- é🦀\nlocal a = 'é🦀' .. prnt('x')", &["error 2:19 undefined-global"]),
    // Habits of other languages, with the words of a run.
    ("import csv", &["error 1:8 syntax-error csv is there without `import`"]),
    ("local x = 1\nif x != 3 then print(x) end", &["error 2:6 syntax-error `~=` means"]),
    ("def main():\n  print(1)", &["error 1:5 syntax-error a function is written function main"]),
    ("if x then\nelif y then\nend", &["error 2:6 syntax-error `elif` is written `elseif`"]),
    ("// a comment", &["error 1:1 syntax-error a comment begins with `--`"]),
    ("local a = x ? 1 : 2", &["error 1:13 syntax-error Lua has no `a ? b : c`"]),
    ("local f = (x) => x", &["error 1:15 syntax-error function(x) return … end"]),
    ("f({ Owner: 'x' })", &["error 1:12 syntax-error a field is written Owner = …"]),
    ("local t = {}\nprint(len(t))", &["error 2:7 undefined-global #x is the length"]),
    ("sleep(1)", &["error 1:1 undefined-global time.sleep(\"1s\") waits"]),
    ("throw('x')", &["error 1:1 undefined-global error(\"text\") raises an error"]),
    ("raise('x')", &["error 1:1 undefined-global error(\"text\") raises an error"]),
    ("boto3.client('iam')", &["error 1:1 undefined-global the calls to AWS are in iam"]),
    ("print(f\"hi {x}\")", &["error 1:7 undefined-global string.format("]),
    ("print(f'hi')\nfs.f('x')", &["error 1:7", "error 2:4"]),
    ("try: print('x')", &["error 1:6 colon-call try(f, …)"]),
    ("log.warning('x')", &["error 1:5 undefined-field it is log.warn"]),
    ("csv.read('a')", &["error 1:5 undefined-field csv.decode(fs.read(path))"]),
    ("iam.list_instance_profiles()", &["error 1:5 undefined-field it is iam.profiles.list"]),
    ("table.append({}, 1)", &["error 1:7 undefined-field table.insert(list, value)"]),
    ("('a,b'):split(',')", &["error 1:9 undefined-field text.split(s, \",\")"]),
    (
        "for p in iam.profiles.each() do p.name:split('-') end",
        &["error 1:40 undefined-field text.split(s, \",\")"],
    ),
    (
        "for p in iam.profiles.each() do print(p.InstanceProfileName) end",
        &["warning 1:41 undefined-field InstanceProfileName is AWS's name"],
    ),
    (
        "print(iam.profiles.list().InstanceProfiles)",
        &["warning 1:27 undefined-field the page is the list itself"],
    ),
    ("local socket = require('socket')", &["error 1:24 module-not-found scripts have no sockets"]),
    ("require('s3')", &["error 1:9 module-not-found `iamlua doc` lists"]),
    // Values of other languages, which no test makes certain.
    ("done = True", &["warning 1:8 undefined-global in Lua it is true"]),
    ("while True do print(1) end", &["warning 1:7 undefined-global in Lua it is true"]),
    ("if not False then print(1) end", &["warning 1:8 undefined-global in Lua it is false"]),
    ("if 1 == None then print(1) end", &["warning 1:9 undefined-global in Lua it is nil"]),
    ("local y = 1 or null", &["warning 1:16 undefined-global in Lua it is nil"]),
    // What a run refuses too, with its words.
    (
        "for p in iam.profiles.each() do print(p.tags.Owner) end",
        &["error 1:41 need-check-nil with_tags"],
    ),
    (
        "for _, p in ipairs(iam.profiles.list { path_prefix = '/a/' }) do print(p.tags.Owner) end",
        &["error 1:74 need-check-nil a profile from a listing has no tags"],
    ),
    (
        "for p in iam.profiles.list() do print(p) end",
        &["error 1:10 not-iterable list() returns one page"],
    ),
    (
        "for i, row in { { name = 'a' } } do print(i, row) end",
        &["error 1:15 not-iterable ipairs(list)"],
    ),
    (
        "for _, p in ipairs(iam.profiles.each()) do end",
        &["error 1:20 param-type-mismatch ipairs takes a list"],
    ),
    ("print('a' + 'b')", &["error 1:7 invalid-operand .. joins texts"]),
    ("print(1 + 2 + 'b')", &["error 1:15 invalid-operand + adds numbers"]),
    ("print('%d of x' % 3)", &["error 1:7 invalid-operand tonumber(text)"]),
    ("for p in iam.profiles.each() do print('x' + p.name) end", &["error 1:39 invalid-operand"]),
    ("print(#iam.profiles.each())", &["error 1:8 invalid-operand a function has no length"]),
    ("time.ago('5x')", &["error 1:10 param-type-mismatch must be a duration such as"]),
    (
        "print(html.page { body = 'x' })",
        &["warning 1:17 missing-fields `html.page`: title is missing"],
    ),
    (
        "if iam.profiles.get('x') == nil then print(1) end",
        &["warning 1:4 constant-comparison iam.profiles.find returns nil"],
    ),
    // Fields of the library.
    ("local t = iam.profile", &["warning 1:15 undefined-field did you mean iam.profiles?"]),
    ("iam.profile.list()", &["error 1:5 undefined-field did you mean iam.profiles?"]),
    (
        "local p = iam.profiles\np.lst()",
        &["error 2:3 undefined-field did you mean iam.profiles.list?"],
    ),
    (
        "local tag = iam.profiles.tga",
        &["warning 1:26 undefined-field did you mean iam.profiles.tag?"],
    ),
    ("time.agoo('90d')", &["error 1:6 undefined-field did you mean time.ago?"]),
    ("string.formt('x')", &["error 1:8 undefined-field did you mean string.format?"]),
    ("string['formt']('x')", &["error 1:8 undefined-field did you mean string.format?"]),
    ("('x'):uper()", &["error 1:7 undefined-field did you mean string.upper?"]),
    ("require('time').agoo('1d')", &["error 1:17 undefined-field did you mean time.ago?"]),
    ("local i = iam.connect {}\ni.profiles.lst()", &["error 2:12 undefined-field"]),
    ("local f = function() return bulk.eech end\nprint(f)", &["warning 1:34 undefined-field"]),
    // Records and objects that the library returns.
    ("print(iam.profiles.get('x').nme)", &["warning 1:29 undefined-field did you mean `name`?"]),
    (
        "for p in iam.profiles.each() do print(p.tgas.Owner) end",
        &["error 1:41 undefined-field did you mean `tags`?"],
    ),
    (
        "for _, r in ipairs(iam.roles.list()) do print(r.arm) end",
        &["warning 1:49 undefined-field did you mean `arn`?"],
    ),
    (
        "bulk.each(iam.profiles.each(), nil, function(p) print(p.nmae) end)",
        &["warning 1:57 undefined-field did you mean `name`?"],
    ),
    ("task.spawn(print):dne()", &["error 1:19 undefined-field did you mean `done`?"]),
    ("usage.scan({}):verdct('x')", &["error 1:16 undefined-field did you mean `verdict`?"]),
    // What the sandbox removes.
    ("os.execute('ls')", &["error 1:1 unavailable always fails"]),
    ("io.popen('ls')", &["error 1:1 unavailable process.run"]),
    ("dofile('x.lua')", &["error 1:1 unavailable `dofile` always fails"]),
    ("string.dump(print)", &["error 1:1 unavailable `string.dump` always fails"]),
    // Calls.
    ("iam.profiles:get('x')", &["error 1:14 colon-call write `iam.profiles.get(…)`"]),
    ("log:info('x')", &["warning 1:5 colon-call"]),
    ("iam.profiles.get()", &["error 1:17 missing-parameter name is missing"]),
    ("iam.profiles.get {}", &["error 1:18 missing-parameter name is missing"]),
    ("iam.profiles.get('x', {}, 1)", &["error 1:27 redundant-parameter at most 1 argument"]),
    ("local a, b = ...\niam.profiles.tag(a, b, b)", &["warning 2:24 redundant-parameter"]),
    ("iam.profiles.delete('x', true)", &["error 1:26 param-type-mismatch got a boolean"]),
    ("iam.profiles.tag('x', { Owner = 5 })", &["error 1:23 param-type-mismatch write \"5\""]),
    ("iam.profiles.get('a b')", &["error 1:18 param-type-mismatch name"]),
    ("iam.profiles.get { name = 5 }", &["error 1:27 param-type-mismatch name must be a string"]),
    ("iam.profiles.get(print and function() end)", &[]),
    ("iam.profiles.get(function() end)", &["error 1:18 param-type-mismatch cannot be a function"]),
    (
        "iam.profiles.create('x', { name = 'y' })",
        &["error 1:28 redundant-parameter name is given twice"],
    ),
    (
        "iam.profiles.each { with_tag = true }",
        &["error 1:21 unknown-option did you mean `with_tags`?"],
    ),
    ("iam.profiles.list { 'x' }", &["error 1:21 param-type-mismatch got an array"]),
    ("time.ago('1d', 2)", &["warning 1:16 redundant-parameter takes 1 argument, got 2"]),
    ("fs.write('x')", &["warning 1:9 missing-parameter text is missing"]),
    ("json.decode(5)", &["warning 1:13 param-type-mismatch text must be a string"]),
    // Options.
    (
        "bulk.each({}, { concurency = 5 }, print)",
        &["error 1:17 unknown-option did you mean `concurrency`?"],
    ),
    (
        "bulk.each({}, { on_error = 'stp' }, print)",
        &["warning 1:28 assign-type-mismatch did you mean `stop`?"],
    ),
    ("process.run('ls', {}, { stdn = '' })", &["error 1:25 unknown-option did you mean `stdin`?"]),
    (
        "report({}, { columns = { { key = 'x', tilte = 'X' } } })",
        &["error 1:39 unknown-option `report`: columns[1] has no option `tilte`"],
    ),
    ("inspect({}, { zzz = 1 })", &["error 1:15 unknown-option there is depth, width, most"]),
    // Manifest.
    (
        "runbook { max_change = 5 }",
        &["error 1:11 unknown-option `runbook` has no option `max_change`"],
    ),
    (
        "runbook { params = { days = { tpye = 'integer' } } }",
        &["error 1:31 unknown-option params.days has no option `tpye`"],
    ),
    (
        "runbook { params = { days = { type = 'intger' } } }",
        &["error 1:38 assign-type-mismatch did you mean `integer`?"],
    ),
    ("runbook { params = { days = 5 } }", &["error 1:29 assign-type-mismatch must be a table"]),
    ("runbook { allow = 'profiles.list' }", &["error 1:19 assign-type-mismatch an array"]),
    ("runbook { args = 'yes' }", &["error 1:18 assign-type-mismatch true or false"]),
    (
        "runbook { on_failure = { hook = 'x' } }",
        &["error 1:26 unknown-option on_failure has no option `hook`"],
    ),
    ("require('runbook') { catch_up = 'twice' }", &["error 1:33 assign-type-mismatch once, skip"]),
    (
        "runbook { schedule = '99 * * * *' }",
        &["error 1:11 invalid-manifest the manifest: schedule"],
    ),
    (
        "runbook {\n  params = { days = { default = 5, max = 3 } },\n}",
        &["error 2:23 invalid-manifest must be at most 3"],
    ),
    ("runbook { retries = 3 }", &["error 1:11 invalid-manifest is for jobs"]),
    (
        "local p = runbook { params = { owner = {} } }\nprint(p.ownr)",
        &["error 2:9 undefined-field did you mean `owner`?"],
    ),
    // Allow-list.
    (
        "runbook { allow = { 'profiles.lst' } }",
        &["error 1:21 unknown-function did you mean \"profiles.list\"?"],
    ),
    (
        "runbook { allow = { 'roles.list' } }\niam.roles.list()\niam.profiles.delete('x')",
        &["error 3:1 not-allowed add \"profiles.delete\" to `allow`"],
    ),
    (
        "local t = iam.profiles.tag\nrunbook { allow = {} }\nt('x', { A = '1' })",
        &["error 3:1 not-allowed `iam.profiles.tag` is not in the runbook's `allow` list"],
    ),
    (
        "runbook { allow = { 'profiles.get', 'roles.list' } }\niam.profiles.get('x')",
        &["warning 1:37 unused-allow nothing in the script calls"],
    ),
    ("runbook { allow = {} }\niam.profiles.list()", &["error 2:1 not-allowed"]),
    // Modules.
    ("require('mising')", &["error 1:9 module-not-found no mising.lua"]),
    ("require('inspekt')", &["error 1:9 module-not-found did you mean \"inspect\"?"]),
    ("require('mising')\nprnt(1)", &["error 1:9 module-not-found", "error 2:1 undefined-global"]),
];

/// Scripts without findings, each of which a careless check would complain about.
const CLEAN: &[&str] = &[
    "",
    "#!/usr/bin/env iamlua\nprint(1);;\n;",
    "local a <const>, b <close> = 7 // 2, nil\ngoto done\n::done:: print('\\u{1F600}\\z\n  x', a, b)",
    "x = 1\nprint(x)",
    "print(later)\nfunction later() end",
    "_G.made = 1\nprint(made)",
    "rawset(_G, 'made', 1)\nprint(made)",
    "for k, v in pairs { a = 1 } do _G[k] = v end\nprint(a)",
    "load('made = 1')()\nprint(made)",
    "local _ENV = { print = print }\nprint(anything)",
    "setmetatable(_G, { __index = function() return 1 end })\nprint(anything)",
    "if DEBUG then print('x') end",
    "for p in iam.profiles.each() do if p.tags then print(p.tags.Owner) end end",
    "for p in iam.profiles.each { with_tags = true } do print(p.tags.Owner) end",
    "for p in iam.profiles.each(...) do print(p.tags.Owner) end",
    "for p in iam.profiles.each() do p.tags = {} print(p.tags.Owner) end",
    "for p in iam.profiles.each() do print((p.tags or {}).Owner) end",
    "print(iam.profiles.get('x').tags.Owner)",
    "for _, r in setmetatable({}, { __call = print }) do print(r) end",
    "for _, p in ipairs(iam.profiles.list()) do print(p.name) end",
    "local function f(a) return 'x' + a, a + 'x' end\nprint(f, '5' + '0x10', 'inf' .. 1)",
    "getmetatable('').__add = function(a, b) return a .. b end\nprint('a' + 'b')",
    "time.ago('1h30m')\ntime.ago(5)",
    "if iam.profiles.find('x') == nil then print(1) end",
    "True = true\nwhile True do break end",
    "local None\nif 1 == None then print(1) end",
    "function len(x) return #x end\nprint(len('x'))",
    "function string.split(s) return { s } end\nfor p in iam.profiles.each() do p.name:split() end",
    "try = { x = print }\ntry:x()",
    "if DEBUG then DEBUG.log() end",
    "local color = COLOR or 'red'\nprint(color)",
    "if OPTION == nil then print(type(OTHER)) end",
    "function string.trim(s) return s end\nprint(string.trim('x'), ('x'):trim())",
    "local s = string\ns.trim = print\nstring.trim('x')",
    "if table.move2 then table.move2() end",
    "local function extend(t) t['trim' .. 'x'] = print end\nextend(string)\nstring.trimx('x')",
    "iam = { mine = print }\niam.mine()",
    "local iam = { mine = print }\niam.mine()",
    "local iam\niam = { mine = print }\niam.mine()",
    "local function f(iam) iam.mine() end\nf {}",
    "local print = print\nprint(1, 2, 3)",
    "local p = iam.profiles.get('x')\np.note = 1\nprint(p.note)",
    "for p in iam.profiles.each() do rawset(p, 'note', 1) print(p.note) end",
    "local p = iam.profiles.get('x')\nif p.note then print(p.note) end",
    "local ok, lib = pcall(require, 'mising')\nprint(ok, lib)",
    "try(function() return require('mising') end)",
    "require(arg[1])\nprint(whatever)",
    "package.loaded.mine = {}\nrequire('mine')",
    "print(package.loaded.anything, arg.anything, arg[1])",
    "io.stdout:write('x')\nio.stderr:write('y')",
    "local f = io.open('x')\nif f then f:read('a') f:close() end",
    "iam.profiles.get(table.unpack { 'x' })",
    "iam.profiles.get(...)",
    "iam.profiles.list(nil)",
    "iam.profiles.get('x', nil, nil)",
    "local options = { detach = true }\niam.profiles.delete('x', options)",
    "local named = { name = 'x' }\niam.profiles.get(named)\niam.profiles.delete(named)",
    "iam.profiles.tag('x', { [('Owner')] = 'ops' })",
    "iam.profiles.create { name = 'x', path = nil }",
    "bulk.each({}, nil, print)\nbulk.map({}, { label = 'x' }, tostring)",
    "log.info('x', { anything = 1 })",
    "report({}, { columns = { 'name', { key = 'x', title = 'X' } } })",
    "policy.document { Effect = 'Allow', NotAction = 'x' }",
    "for row in report.rows or pairs {} do print(row) end",
    "local p = runbook { params = { a = {} } }\nprint(p.a)",
    "local params = { a = {} }\nlocal p = runbook { params = params }\nprint(p.b)",
    "runbook { description = 'x' .. 1, every = '1h', retries = 1 }",
    "runbook { allow = { 'profiles.list' } }\nfor _ in iam.profiles.each() do end",
    "runbook { allow = { 'iam.profiles.list' } }\niam.profiles.list()",
    "iam.profiles.list()\nrunbook { allow = {} }",
    "runbook { allow = { 'profiles.get' } }\nlocal f = iam.profiles.get\nf('x')",
    "runbook { allow = { 'profiles.get' } }\nlocal what = 'get'\niam.profiles[what]('x')",
    "runbook { allow = { 'profiles.get' } }\nlocal function f(i) i.profiles.get('x') end\nf(iam)",
    "runbook { allow = { 'usage.scan', 'profiles.get' } }\nusage.scan {}",
    "runbook { allow = { 'profiles.create', 'profiles.tag' } }\niam.profiles.ensure { name = 'x' }",
    "local M = { a = 1 }\nfunction M.b() end\nfunction M:c() return self.a end\nreturn M",
    "local global = 1\nglobal = global + 1\nlocal t = { global = global }\nprint(t.global)",
    "return require('runbook').usage",
    "local t = {}\nt.x, t.y = 1, 2\nprint(#t, -t.x, not t.y, ~1, 2 ^ 3)",
    "local s = [==[\n]] ]==]\n--[[ prnt() ]]\nprint(s, 'prnt()')",
];

/// Findings in a script, in the form of [`FINDINGS`].
fn findings(source: &str) -> Vec<String> {
    let report = check_text(source.as_bytes(), "a.lua").expect("a report");
    let shown = report.findings.iter().map(|finding| {
        format!(
            "{} {}:{} {} {} {}",
            finding.severity.name(),
            finding.start.line,
            finding.start.column,
            finding.rule.name(),
            finding.message,
            finding.hint
        )
    });
    shown.collect()
}

#[test]
fn each_mistake_is_found_at_its_place() {
    let mut wrong = String::new();
    let mut seen = BTreeSet::new();
    for (source, expected) in FINDINGS {
        let found = findings(source);
        let is_same = |(expected, found): (&&str, &String)| {
            let (head, text) = split(expected);
            found.strip_prefix(&head).is_some_and(|rest| rest.contains(&text))
        };
        seen.extend(expected.iter().filter_map(|one| one.split(' ').nth(2)));
        let same = found.len() == expected.len() && expected.iter().zip(&found).all(is_same);
        if !same {
            let _ = writeln!(wrong, "{source}\n  expected {expected:?}\n  found    {found:?}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    let elsewhere = [Rule::Unreadable, Rule::NotChecked, Rule::MissingFields];
    for rule in Rule::ALL.iter().filter(|rule| !elsewhere.contains(rule)) {
        assert!(seen.contains(rule.name()), "no script is wrong by {}", rule.name());
    }
}

/// Severity, position and rule, and the text after them.
fn split(expected: &str) -> (String, String) {
    let words: Vec<_> = expected.splitn(4, ' ').collect();
    (words[..words.len().min(3)].join(" "), words.get(3).copied().unwrap_or_default().to_owned())
}

#[test]
fn a_parameter_with_the_name_of_an_option_is_refused_as_by_the_run() {
    let home = Desk::new();
    for (params, is_refused) in [
        ("region = { default = 'x' }", true),
        ("allow_env = { default = 'x' }", true),
        ("yes = { type = 'boolean' }", true),
        ("out = { default = 'x' }", true),
        ("region = { default = os.getenv('R') }", true),
        ("help = { default = tostring(1) }", true),
        ("regions = { default = os.getenv('R') }, owner = { default = 'x' }", false),
    ] {
        home.write("book.lua", format!("runbook {{ params = {{ {params} }} }}\n"));
        let ran = home.run(&["check", "book.lua"]);
        assert_eq!(ran.code, Some(i32::from(is_refused)), "{params}: {}", ran.out);
        let says = "is an option of iamlua itself [invalid-manifest]";
        assert_eq!(ran.out.contains(says), is_refused, "{params}: {}", ran.out);
    }
}

#[test]
fn what_may_be_right_is_no_finding() {
    let mut wrong = String::new();
    for source in CLEAN {
        let found = findings(source);
        if !found.is_empty() {
            let _ = writeln!(wrong, "{source}\n  {found:?}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn an_option_without_a_needed_field_is_a_warning() {
    let found = findings("report.page { notes = {} }");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("warning 1:13 missing-fields"), "{found:?}");
}

/// Shipped scripts, and the examples in the documentation.
#[test]
fn what_ships_has_no_findings() {
    let mut inputs = Vec::new();
    for folder in ["scripts", "template", "examples", "stdlib/meta"] {
        inputs.extend(lua_files(&root().join(folder)).into_iter().map(Input::File));
    }
    assert!(inputs.len() > 25, "{inputs:?}");
    let report = lint::check(&inputs, &Settings::default()).expect("a report");
    assert!(report.findings.is_empty(), "{}", report.text());
    let sources = lua_files(&root().join("stdlib")).into_iter();
    let sources = sources.filter(|path| !path.starts_with(root().join("stdlib/meta")));
    let (mut wrong, mut count) = (String::new(), 0);
    for (place, code) in pages().into_iter().chain(sources).flat_map(|path| lua_blocks(&path)) {
        let is_test =
            ["it(", "expect(", "fake.", "account."].iter().any(|part| code.contains(part));
        let name = if is_test { "block_test.lua" } else { "block.lua" };
        let report = check_text(code.as_bytes(), name).expect("a report");
        count += 1;
        // What others may define or install is not certain.
        let is_certain = |rule| !matches!(rule, Rule::ModuleNotFound);
        if report.findings.iter().any(|finding| is_certain(finding.rule)) {
            let _ = writeln!(wrong, "{place}:\n{}", report.text());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 100, "{count}");
}

#[test]
fn modules_are_followed() {
    let home = Desk::new();
    home.write("lib/tags.lua", "local M = {}\nfunction M.set() counter = 1 end\nreturn M\n");
    home.write("lib/helper.lua", "return { same = function(a) return expect(a) end }\n");
    home.write("lib/user.lua", "return function() return require('lib.tags').st() end\n");
    home.write("main.lua", "local t = require('lib.tags')\nt.set()\nt.sett()\nprint(counter)\n");
    home.write("a_test.lua", "require('lib.helper').same(1)\n");
    home.write("target/x.lua", "prnt()");
    home.write(".hidden/x.lua", "prnt()");
    let ran = home.run(&["check", "--output", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    let found: Vec<Value> = serde_json::from_str(&ran.out).expect("JSON");
    let places: Vec<_> = found
        .iter()
        .map(|one| {
            format!("{}:{}:{}", one["path"].as_str().expect("text"), one["line"], one["column"])
        })
        .collect();
    assert_eq!(places, ["lib/user.lua:1:46", "main.lua:3:3"], "{}", ran.out);
    assert_eq!(found[1]["hint"], "did you mean `set`?");
    // The helper alone is no part of a test.
    let ran = home.run(&["check", "lib/helper.lua"]);
    assert!(ran.code == Some(1) && ran.out.contains("in test files only"), "{}", ran.out);
}

#[test]
fn the_allow_list_covers_the_modules_too() {
    let home = Desk::new();
    home.write("lib.lua", "return { list = function() return iam.profiles.list() end }\n");
    let with = |entry: &str| {
        home.write(
            "main.lua",
            format!("runbook {{ allow = {{ '{entry}' }} }}\nrequire('lib').list()\n"),
        );
        home.run(&["check", "main.lua"])
    };
    assert_eq!(with("profiles.list").code, Some(0));
    let ran = with("profiles.delete");
    assert!(ran.code == Some(0) && ran.out.contains("unused-allow"), "{}", ran.out);
}

#[test]
fn formats_and_exit_codes() {
    let home = Desk::new();
    home.write("ok.lua", "print('ok')\n");
    home.write("warn.lua", "print(nme)\n");
    home.write("dir with space/é.lua", "\tprnt('é', 1) -- \x1b[31m\n");
    let ran = home.run(&["check", "ok.lua"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "no findings in 1 file\n"));
    assert_eq!(home.run(&["check", "warn.lua"]).code, Some(0));
    assert_eq!(home.run(&["check", "--deny-warnings", "warn.lua"]).code, Some(1));
    assert_eq!(
        home.run(&["check", "missing.lua"]).ends(2, "no file or folder missing.lua").code,
        Some(2)
    );
    std::fs::create_dir(home.path("empty")).expect("a folder");
    assert_eq!(home.run(&["check", "empty"]).code, Some(2));
    let ran = home.run(&["check", "dir with space"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.out,
        "error: dir with space/é.lua:1:2: there is no global `prnt` [undefined-global]\n  \
         1 | prnt('é', 1) -- \\x1b[31m\n    | ^^^^\nhint: did you mean `print`?\n\n\
         1 error in 1 file\n"
    );
    let ran = home.0.feed(&["check", "-", "--stdin-name", "x/y.lua"], "prnt(1)");
    assert!(ran.code == Some(1) && ran.out.starts_with("error: x/y.lua:1:1: "), "{}", ran.out);
    let ran = home.run(&["check", "--global", "prnt", "dir with space"]);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
}

#[test]
fn sarif_has_what_code_scanning_needs() {
    let home = Desk::new();
    home.write("a b/é.lua", "local s = '🦀' .. prnt('é')\n");
    let ran = home.run(&["check", "--output", "sarif"]);
    assert_eq!(ran.code, Some(1));
    let log: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    assert_eq!(rules.len(), Rule::ALL.len());
    let result = &run["results"][0];
    let index = result["ruleIndex"].as_u64().and_then(|at| usize::try_from(at).ok());
    assert_eq!(rules[index.expect("a number")]["id"], result["ruleId"]);
    assert_eq!(result["ruleId"], "undefined-global");
    assert_eq!(result["level"], "error");
    assert!(result["message"]["text"].as_str().is_some_and(|text| text.contains("prnt")));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "a%20b/%C3%A9.lua");
    let region = serde_json::json!(
        { "startLine": 1, "startColumn": 18, "endLine": 1, "endColumn": 22 });
    assert_eq!(place["region"], region);
}

#[test]
fn the_default_is_the_project() {
    let home = Desk::new();
    home.write("iamlua.toml", "");
    home.write("runbooks/a.lua", "prnt(1)\n");
    home.write("other/b.lua", "print(1)\n");
    let mut command = home.command(&["check"]);
    let ran = command.current_dir(home.path("other")).output().expect("it runs");
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(ran.status.code(), Some(1), "{out}");
    assert!(out.starts_with("error: ../runbooks/a.lua:1:1: ") && out.contains("2 files"), "{out}");
}

#[test]
fn comments_suppress_findings() {
    let source = "---@diagnostic disable-next-line: undefined-global\nprnt(1)\nprnt(2)\n\
                  prnt(3) ---@diagnostic disable-line\n---@diagnostic disable: undefined-global\nprnt(4)\n";
    let found = findings(source);
    assert!(found.len() == 1 && found[0].starts_with("error 3:1 "), "{found:?}");
}

#[test]
fn hostile_files_are_bounded() {
    let nested = |open: &str, close: &str, count: usize| {
        format!("x = {}1{}", open.repeat(count), close.repeat(count))
    };
    let start = Instant::now();
    for (source, rule) in [
        (nested("(", ")", 100_000), Some(Rule::SyntaxError)),
        (nested("{", "}", 100_000), Some(Rule::SyntaxError)),
        (nested("(", ")", 150), None),
        (nested("function() return ", " end", 90), None),
        (format!("local x = {}1", "1 + ".repeat(100_000)), None),
        (format!("print{}", "()".repeat(100_000)), None),
        (format!("local t = {{}}\nprint(t{})", ".x".repeat(100_000)), None),
        ("print(1)\n".repeat(600_000), Some(Rule::NotChecked)),
        ("\0\x01binary".to_owned(), None),
    ] {
        let report = check_text(source.as_bytes(), "a.lua").expect("a report");
        let rules: Vec<_> = report.findings.iter().map(|finding| finding.rule).collect();
        if let Some(rule) = rule {
            assert_eq!(rules, [rule]);
        } else {
            assert!(!rules.contains(&Rule::NotChecked), "{rules:?}");
        }
        assert!(report.text().len() < 2_000);
    }
    let invalid = check_text(b"local s = '\xff\xfe'\nprnt(s)", "a.lua").expect("a report");
    assert_eq!(invalid.findings.len(), 1, "{}", invalid.text());
    // Far more than the work takes, and far less than something quadratic.
    assert!(start.elapsed() < Duration::from_mins(2), "{:?}", start.elapsed());
}

#[test]
fn files_that_are_no_scripts_are_said_to_be_so() {
    let home = Desk::new();
    home.write("plain.lua", "print(1)\n");
    home.write("binary.lua", b"a\0b");
    home.write("compiled.lua", b"\x1bLua\x54");
    std::os::unix::fs::symlink("loop.lua", home.path("loop.lua")).expect("a link");
    std::os::unix::fs::symlink(".", home.path("again")).expect("a link");
    std::fs::File::create(home.path("large.lua"))
        .and_then(|file| file.set_len(50 << 20))
        .expect("a file");
    let ran = home.run(&["check", "--output", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    let found: Vec<Value> = serde_json::from_str(&ran.out).expect("JSON");
    let names: Vec<_> = found.iter().filter_map(|one| one["path"].as_str()).collect();
    assert_eq!(names, ["binary.lua", "compiled.lua", "large.lua", "loop.lua"], "{}", ran.out);
    assert!(found.iter().all(|one| one["rule"] == "unreadable"), "{}", ran.out);
    // A device without an end.
    let ran = home.run(&["check", "/dev/zero"]);
    assert!(ran.code == Some(1) && ran.out.contains("MiB"), "{}", ran.out);
}

#[test]
fn the_page_lists_every_rule() {
    let page = crate::docs::read(&root().join("docs/check.md"));
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for rule in Rule::ALL {
        let begin = format!("| `{}` |", rule.name());
        let row = rows.iter().find(|row| row.starts_with(&begin));
        assert!(row.is_some(), "docs/check.md has no row for {}", rule.name());
    }
    assert_eq!(rows.len(), Rule::ALL.len());
    assert!(Path::new("docs/check.md").is_file());
    assert_eq!(Severity::Warning.name(), "warning");
}
