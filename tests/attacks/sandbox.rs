//! Attacks of a script on its host: memory, decisions and output of the host, time, and files
//! without permission.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use iamlua::emulator::{Emulator, EmulatorSettings, bind, serve};
use iamlua::error::Kind;
use iamlua::lua::sandbox::Access;

use crate::end_to_end::{Home, Ran};
use crate::lua::Bench;

/// Script, its exit code, and the expected text.
type Attack = (&'static str, i32, &'static str);

/// Text of a script that ends by itself, whatever it tried.
const HOLDS: &str = "held";

/// Metatables and finalizers: no code of a script runs in a finalizer, and none changes what the
/// program shares with it.
const METATABLES: &[Attack] = &[
    ("getmetatable(io.stdin).__gc = function() print(1) end", 1, "attempt to index"),
    ("getmetatable(io.stdin).__index.read = print", 1, "attempt to index"),
    ("rawset(getmetatable(io.stdin), '__gc', print)", 1, "table expected"),
    ("getmetatable('').__gc = print", 1, "cannot be changed"),
    ("getmetatable('').__index = function() return print end", 1, "cannot be changed"),
    ("getmetatable('').__add = function() return 1 end", 1, "cannot be changed"),
    (
        "rawset(getmetatable(''), '__index', nil) assert(('x'):rep(2) == 'xx') print('held')",
        0,
        HOLDS,
    ),
    ("rawset(getmetatable(''), '__gc', print) collectgarbage() print('held')", 0, HOLDS),
    ("table.move({ __gc = print }, 1, 1, 1, getmetatable(''))", 1, "cannot be changed"),
    ("setmetatable({}, { __gc = print })", 1, "finalizers (__gc) are not available"),
    ("setmetatable({}, { __gc = true })", 1, "finalizers (__gc) are not available"),
    ("setmetatable({}, { __gc = false })", 1, "finalizers (__gc) are not available"),
    (
        "local m = setmetatable({}, { __index = { __gc = print } }) setmetatable({}, m) collectgarbage() print('held')",
        0,
        HOLDS,
    ),
    (
        "local m = {} local t = setmetatable({}, m) m.__gc = function() print('ran') end t = nil collectgarbage() collectgarbage() print('held')",
        0,
        HOLDS,
    ),
    (
        "local m = {} setmetatable({}, m) rawset(m, '__gc', function() print('ran') end) collectgarbage() print('held')",
        0,
        HOLDS,
    ),
    (
        "local _, e = pcall(iam.profiles.get, 'nope') getmetatable(e).__gc = print",
        1,
        "cannot be changed",
    ),
    (
        "local _, e = pcall(iam.profiles.get, 'nope') getmetatable(e).__tostring = function() return 'forged' end",
        1,
        "cannot be changed",
    ),
    (
        "local _, e = pcall(iam.profiles.get, 'nope') rawset(getmetatable(e), '__gc', function() print('ran') end) for i = 1, 100 do pcall(iam.profiles.get, 'nope') end collectgarbage() print('held')",
        0,
        HOLDS,
    ),
    (
        "local _, e = pcall(iam.profiles.get, 'nope') assert(getmetatable(e).__index == nil) print('held')",
        0,
        HOLDS,
    ),
    ("getmetatable(json.array {}).__gc = print", 1, "cannot be changed"),
    (
        "rawset(getmetatable(json.decode('[]')), '__gc', function() print('ran') end) for i = 1, 100 do json.decode('[[]]') end collectgarbage() print('held')",
        0,
        HOLDS,
    ),
    (
        "local m = getmetatable(json.array {}) assert(json.is_array(setmetatable({}, m))) rawset(m, '__gc', print) setmetatable({}, m)",
        1,
        "finalizers",
    ),
    ("assert(getmetatable(task.spawn(function() end)) == false) print('held')", 0, HOLDS),
    (
        "assert(getmetatable(inspect) == false and getmetatable(report) == false and getmetatable(runbook) == false) print('held')",
        0,
        HOLDS,
    ),
    ("assert(getmetatable(iamlua) == false) print('held')", 0, HOLDS),
    ("setmetatable(json.array {}, {})", 1, "protected metatable"),
    ("setmetatable(iamlua, nil)", 1, "protected metatable"),
    ("setmetatable(inspect, { __call = print })", 1, "protected metatable"),
    (
        "local f = coroutine.wrap(function() local x <close> = setmetatable({}, { __close = function() print('held') end }) error('x') end) pcall(f)",
        0,
        HOLDS,
    ),
    (
        "local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = print }) coroutine.yield() end) coroutine.resume(co) co = nil collectgarbage() print('held')",
        0,
        HOLDS,
    ),
    (
        "collectgarbage('generational') for i = 1, 1e5 do local t = { {} } setmetatable(t, { __mode = 'k' }) end collectgarbage() print('held')",
        0,
        HOLDS,
    ),
    (
        "for i = 1, 50 do local e = select(2, pcall(error, setmetatable({}, { __tostring = function() error('again') end }))) try(error, e) end print('held')",
        0,
        HOLDS,
    ),
    ("error(setmetatable({}, { __tostring = function() error('again') end }))", 1, "error"),
    ("error(setmetatable({}, { __index = function() error('again') end }))", 1, "error"),
    (
        "assert(not pcall(string.dump, print) and not pcall(string.dump, load 'return 1')) print('held')",
        0,
        HOLDS,
    ),
    ("assert(load('\\27Lua') == nil) print('held')", 0, HOLDS),
    ("assert(load(function() return nil end, 'x', 'b') == nil) print('held')", 0, HOLDS),
    (
        "for _, name in ipairs { 'getregistry', 'getupvalue', 'setupvalue', 'getlocal', 'setlocal', 'sethook', 'setmetatable', 'upvalueid', 'upvaluejoin', 'getuservalue' } do local ok, e = pcall(debug[name], print, 1, {}) assert(not ok and e.kind == 'permission', name) end print('held')",
        0,
        HOLDS,
    ),
    (
        "assert(not pcall(package.loadlib, 'libc.so.6', '*') and not package.searchers and not package.loaders) print('held')",
        0,
        HOLDS,
    ),
    ("assert(not pcall(dofile, 'x') and not pcall(loadfile, 'x')) print('held')", 0, HOLDS),
    (
        "assert(not pcall(require, '../x') and not pcall(require, '/etc/passwd') and not pcall(require, 'a..b')) print('held')",
        0,
        HOLDS,
    ),
];

/// Forged library functions: decisions and output of the host use its own code.
const FORGERIES: &[Attack] = &[
    (
        "package.loaded.inspect = setmetatable({ visible = function() return 'date' end }, { __call = function() return 'date' end }) runbook { permissions = { run = { 'sh' } } }",
        4,
        "not allowed to run the program sh",
    ),
    (
        "inspect.visible = function() return 'date' end inspect.quote = inspect.visible runbook { permissions = { run = { 'sh' } } }",
        4,
        "run the program sh",
    ),
    (
        "package.loaded.runbook = function() return {} end runbook = nil package.loaded.runbook = nil runbook { permissions = { run = { 'sh' } } }",
        4,
        "run the program sh",
    ),
    (
        "string.find = function() return 1 end string.gsub = function() return 'date' end string.rep, string.sub, string.format = string.gsub, string.gsub, string.gsub runbook { permissions = { run = { 'sh' } } }",
        4,
        "run the program sh",
    ),
    (
        "tostring = function() return 'date' end type = function() return 'string' end next = function() end pairs, ipairs = next, next runbook { permissions = { run = { 'sh' } } }",
        4,
        "run the program sh",
    ),
    (
        "table.concat = function() return 'date' end table.sort = table.concat runbook { permissions = { run = { 'sh' } } }",
        4,
        "run the program sh",
    ),
    (
        "utf8.len = function() return nil end math.type = utf8.len runbook { permissions = { run = { 'sh' } } }",
        4,
        "run the program sh",
    ),
    (
        "string = nil table = nil utf8 = nil math = nil runbook { permissions = { run = { 'sh' } } }",
        4,
        "run the program sh",
    ),
    (
        "require = function() return setmetatable({}, { __index = function() return function() return 'date' end end }) end runbook { permissions = { run = { 'sh' } } }",
        4,
        "run the program sh",
    ),
    (
        "pcall, xpcall, error = print, print, print runbook { permissions = { run = { 'sh' } } }",
        4,
        "run the program sh",
    ),
    (
        "getmetatable = function() return {} end setmetatable = getmetatable rawget = getmetatable rawset = getmetatable runbook { permissions = { run = { 'sh' } } }",
        4,
        "run the program sh",
    ),
    (
        "setmetatable(_G, { __index = function() return function() return 'date' end end }) runbook { permissions = { run = { 'sh' } } }",
        4,
        "run the program sh",
    ),
    (
        "runbook { permissions = setmetatable({}, { __index = function() return {} end, __pairs = function() return next, {} end, run = { 'sh' } }) } print('held') process.run('sh', { '-c', 'exit 0' })",
        4,
        "may not run sh",
    ),
    (
        "local list = setmetatable({ 'sh' }, { __len = function() return 0 end, __index = function() return 'date' end }) runbook { permissions = { run = list } }",
        4,
        "run the program sh",
    ),
    ("package.loaded.process = { run = function() print('own') end } process.run('sh')", 0, "own"),
    (
        "local ok, e = pcall(process.run, 'sh') assert(e.kind == 'permission') print('held')",
        0,
        HOLDS,
    ),
    ("host = {} _ENV.host = host process.run('sh')", 4, "may not run sh"),
    (
        "io.open = function() end runbook { params = { x = { type = 'file', default = '/etc/passwd' } } } fs.read('/etc/passwd')",
        2,
        "may not read its default",
    ),
    (
        "iam.profiles.get = function() return { name = 'x' } end iam.usage.scan = nil print('held')",
        0,
        HOLDS,
    ),
    ("iamlua.mode = 'apply'", 1, "can only be read"),
    (
        "rawset(iamlua, 'mode', 'plan') assert(not pcall(fs.write, 'x', 'y')) print('held')",
        0,
        HOLDS,
    ),
    (
        "local r = runbook { allow = { 'profiles.get' } } iam.profiles.delete('ci-sandbox')",
        4,
        "allow",
    ),
    ("runbook { allow = {} } iam.connect {}.profiles.get('ci-sandbox')", 4, "allow"),
    ("runbook { max_changes = 0 } iam.profiles.tag('ci-sandbox', { a = 'b' })", 4, "change"),
    ("runbook {} runbook { max_changes = 10 }", 1, "declared itself already"),
    (
        "log.info = print log.info('x') inspect = print runbook { params = { ['bad name'] = {} } }",
        1,
        "cannot be called",
    ),
    ("arg[1] = '--help' table.insert(arg, '--apply') runbook {} print('held')", 0, HOLDS),
];

/// Coroutines that wait, or that the driver runs, are in the middle of a call.
const COROUTINES: &[Attack] = &[
    (
        "local co = coroutine.create(function() time.sleep('1h') end) task.spawn(function() coroutine.resume(co) end) task.spawn(function() coroutine.close(co) end):wait()",
        1,
        "cannot close a",
    ),
    (
        "local co = coroutine.create(function() time.sleep('1h') end) task.spawn(function() coroutine.resume(co) end) task.spawn(function() print(coroutine.resume(co)) print('held') os.exit(0) end):wait()",
        0,
        "cannot resume non-suspended coroutine",
    ),
    (
        "local co = coroutine.create(function() time.sleep('1h') end) task.spawn(function() coroutine.resume(co) end) task.spawn(function() assert(coroutine.status(co) == 'normal') print('held') os.exit(0) end):wait()",
        0,
        HOLDS,
    ),
    (
        "local main = coroutine.running() task.spawn(function() print(coroutine.resume(main)) end):wait() print('held')",
        0,
        HOLDS,
    ),
    (
        "local main = coroutine.running() task.spawn(function() coroutine.close(main) end):wait()",
        1,
        "cannot close a normal coroutine",
    ),
    (
        "local co local t = task.spawn(function() co = coroutine.running() time.sleep(0.05) return 1 end) task.spawn(function() time.sleep(0) print(coroutine.resume(co)) end):wait() assert(t:wait() == 1) print('held')",
        0,
        HOLDS,
    ),
    (
        "local co local t = task.spawn(function() co = coroutine.running() time.sleep(0.01) return 1 end) task.spawn(function() print(coroutine.resume(co)) end):wait() assert(t:wait() == 1) print('held')",
        0,
        HOLDS,
    ),
    (
        "local f = coroutine.wrap(function() time.sleep('1h') end) task.spawn(function() f() end) task.spawn(function() print(pcall(f)) print('held') os.exit(0) end):wait()",
        0,
        HOLDS,
    ),
    ("coroutine.close(coroutine.running())", 1, "cannot close a running coroutine"),
    ("print(coroutine.resume(coroutine.running())) print('held')", 0, HOLDS),
    (
        "local co = coroutine.create(function() end) assert(coroutine.close(co)) print(coroutine.resume(co)) print('held')",
        0,
        "cannot resume dead coroutine",
    ),
    ("coroutine.resume(1)", 1, "coroutine expected"),
    (
        "local co co = coroutine.create(function() coroutine.close(co) end) print(coroutine.resume(co)) print('held')",
        0,
        HOLDS,
    ),
    (
        "local co = coroutine.create(function() iam.profiles.tag('ci-sandbox', { held = 'yes' }) end) local t = task.spawn(function() coroutine.resume(co) end) task.spawn(function() print(pcall(coroutine.close, co)) end):wait() t:wait() print(iam.profiles.get('ci-sandbox').tags.held)",
        0,
        "yes",
    ),
    (
        "local function deep() return coroutine.wrap(deep)() end print(pcall(deep)) print('held')",
        0,
        HOLDS,
    ),
    (
        "assert(not pcall(coroutine.yield, nil) and not pcall(coroutine.yield, 1, 2)) print('held')",
        0,
        HOLDS,
    ),
];

/// Values that contain themselves, or more than they show.
const VALUES: &[Attack] = &[
    ("local t = {} t.a = t t.b = t iam.profiles.get(t)", 1, "table that holds itself"),
    ("local t = {} t.name = t iam.profiles.get(t)", 1, "table that holds itself"),
    (
        "local t = { 'x' } for i = 1, 60 do t = { t, t } end iam.profiles.get { name = t }",
        1,
        "100,000 values",
    ),
    (
        "local t = {} for i = 1, 60 do t = { a = t, b = t } end iam.profiles.tag('x', t)",
        1,
        "100,000 values",
    ),
    ("iam.profiles.get { name = ('x'):rep(20 << 20) }", 1, "16 MiB"),
    ("local t = {} t.t = t json.encode(t)", 1, "table that holds itself"),
    ("local t = {} for i = 1, 60 do t = { t, t } end json.encode(t)", 1, "1,000,000 values"),
    (
        "local t, s = {}, ('x'):rep(1 << 20) for i = 1, 1000 do t[i] = s end json.encode(t)",
        1,
        "not enough memory",
    ),
    ("local t = {} for i = 1, 200 do t = { t } end json.encode(t)", 1, "nested this deep"),
    ("json.decode(('['):rep(1e6))", 1, "recursion limit"),
    (
        "local t = {} for i = 1, 60 do t = { t, t } end assert(#inspect(t, { most = 1000 }) < 1e6) print('held')",
        0,
        HOLDS,
    ),
    ("local t = {} t.t = t assert(inspect(t):find('cycle')) print('held')", 0, HOLDS),
    (
        "local t = {} for i = 1, 15 do t = { t, t, t, t, t, t, t, t, t, t } end report({ { a = t } }, { format = 'csv' }) print('held')",
        0,
        HOLDS,
    ),
    (
        "local s = ('x'):rep(1 << 20) local rows = {} for i = 1, 300 do rows[i] = { a = s } end report(rows)",
        1,
        "not enough memory",
    ),
    (
        "local rows = { { a = ('x'):rep(1 << 20) } } for i = 2, 20000 do rows[i] = { a = 'y' } end report(rows)",
        1,
        "not enough memory",
    ),
    ("local t = {} t.t = t report({ t }, { format = 'json' })", 1, "table that holds itself"),
    ("local t = {} t.t = t log.info('x', t) print('held')", 0, HOLDS),
    ("local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end", 1, "not enough memory"),
    ("print(pcall(string.rep, 'x', 1 << 40)) print('held')", 0, HOLDS),
    ("assert((''):rep(1 << 60) == '') print('held')", 0, HOLDS),
    ("print(pcall(string.format, '%99999d', 1)) print('held')", 0, "invalid conversion"),
    ("print(pcall(table.unpack, {}, 1, 1e8)) print('held')", 0, "too many results"),
    (
        "print(pcall(string.rep, 'x', -1)) print(pcall(table.concat, {}, 'x', 1, 2)) print('held')",
        0,
        "invalid value",
    ),
    ("local f = 'return ' .. ('('):rep(1e5) print(load(f)) print('held')", 0, HOLDS),
    (
        "local s = ('x'):rep(250) print(pcall(string.find, s, ('(x'):rep(40))) print('held')",
        0,
        "too many captures",
    ),
    ("bulk.each({ 1, 2, 3 }, { at_once = 1e9 }, print)", 1, "at_once"),
    ("time.sleep(-1)", 1, "time.sleep"),
    ("require(('x'):rep(1e6))", 1, "not found"),
    ("runbook { params = { [('x'):rep(1e6)] = {} } } print('held')", 0, HOLDS),
    ("runbook { no_such_key = 1, [('y'):rep(1e6)] = 2 }", 1, "the manifest has no"),
    ("csv.decode((','):rep(20000))", 1, "more than 16384 fields"),
    ("csv.decode(('a,b\\n'):rep(4e6))", 1, "not enough memory"),
    ("csv.decode('\"' .. ('x'):rep(1.4e8))", 1, "not enough memory"),
    ("text.replace(('x'):rep(1e4), 'x', ('y'):rep(1e6))", 1, "not enough memory"),
    ("text.match_all(('x'):rep(3e7), '')", 1, "not enough memory"),
    ("text.match('x', '((a{100}){100}){100}')", 1, "is too large"),
    ("text.match('x', ('(a'):rep(30000))", 1, "is not a regular expression"),
    ("html.escape(('\\1'):rep(1e8))", 1, "not enough memory"),
    ("local t = {} t[1] = t html.element('p', t)", 1, "holds itself"),
    ("local t = {} t.t = t csv.encode({ t })", 1, "is a table"),
    ("local t, s = {}, {} t.a, s.a = t, s check(t, s)", 1, "is nested more than 100 levels deep"),
];

/// Endless operations without a Lua instruction in between. Each must end at its timeout, in the
/// same process.
const ENDLESS: &[&str] = &[
    "while true do end",
    "while true do pcall(error) end",
    "local function f() return pcall(f) end while true do f() end",
    "repeat until xpcall(error, function() while true do end end)",
    "for i = 1, math.maxinteger do end",
    "table.move({}, 1, 1 << 60, 2)",
    "table.move({}, 1, 1 << 60, 2, setmetatable({}, { __newindex = rawequal }))",
    "table.insert(setmetatable({}, { __len = function() return 1 << 60 end, __index = rawlen, __newindex = rawequal }), 1, 1)",
    "table.remove(setmetatable({}, { __len = function() return 1 << 60 end }), 1)",
    "table.concat(setmetatable({}, { __index = rawlen }), '', 1, 1 << 60)",
    "table.sort(setmetatable({}, { __len = function() return 1 << 30 end, __index = function() return 1 end, __newindex = rawequal }))",
    "local t = {} for i = 1, 3e5 do t[i] = i % 7 end while true do table.sort(t) end",
    "local n = 0 table.sort({ 3, 1, 2, 5, 4 }, function() while true do end end)",
    "('a'):rep(3e4):find('.-.-.-.-.-b')",
    "('a'):rep(3e4):match('(.-)(.-)(.-)b')",
    "for _ in ('a'):rep(3e4):gmatch('.-.-.-.-b') do end",
    "('a'):rep(3e4):gsub('.-.-.-.-b', '')",
    "('('):rep(1e6):find('%b()')",
    "('a'):rep(3e4):find('(.*)(.*)%1%2b')",
    "while true do ('x'):rep(1e6):gsub('', string.len) end",
    "local s = ('a'):rep(1e6) while true do s:find(('a'):rep(5e5) .. 'b', 1, true) end",
    "load(collectgarbage)",
    "load(function() return ' ' end)",
    "local s = (' '):rep(1e7) while true do load(s) end",
    "table.unpack(setmetatable({}, { __index = function() while true do end end }), 1, 10)",
    "time.sleep('1h')",
    "task.spawn(function() time.sleep('1h') end):wait()",
    "local t t = task.spawn(function() while true do time.sleep(0) end end) t:wait()",
    "while true do task.spawn(function() end):wait() end",
    "for _ in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end",
    "local co = coroutine.wrap(function() pcall(function() while true do end end) while true do end end) co()",
    "local x <close> = setmetatable({}, { __close = function() while true do end end }) while true do end",
    "setmetatable({}, { __index = function(t, k) return t[k + 1] end })[1] = nil while true do end",
    "print(setmetatable({}, { __tostring = function() while true do end end }))",
    "inspect(setmetatable({}, { __tostring = function() while true do end end }))",
    "error(setmetatable({}, { __tostring = function() while true do end end }))",
    "json.encode(setmetatable({}, { __index = function() while true do end end })) while true do end",
    "local t = {} for i = 1, 40 do t = { t, t } end while true do pcall(inspect, t, { most = 1e6 }) end",
    "table.sort({ 1, 2, 3 }, function() time.sleep('1h') end)",
    "('x'):gsub('x', function() time.sleep('1h') end)",
    "bulk.each(function() return 1 end, { label = 'x', concurrency = 1 }, function() end)",
    "process.run('sleep', { '3600' })",
    "process.run('sh', { '-c', 'sleep 3600 & sleep 3600' })",
    "process.run('sh', { '-c', 'trap \"\" TERM; sleep 3600' })",
    "fs.read(PIPE)",
    "io.open(PIPE):read('a')",
    "for line in io.lines(PIPE) do end",
    "fs.write(PIPE, 'x') while true do end",
    "local s = ('a,b,c\\n'):rep(1e6) while true do csv.decode(s) end",
    "local s = ('\\n'):rep(1e7) while true do csv.decode(s) end",
    "local rows = { { ('x'):rep(1e6) } } while true do csv.encode(rows) end",
    "while true do text.split(('x,'):rep(1e6), ',') end",
    "while true do text.trim((' '):rep(1e7) .. 'x' .. (' '):rep(1e6)) end",
    "local s = ('a'):rep(1e6) while true do text.match(s, '(a*)*b') end",
    "text.match(('a'):rep(2e7), '(?:a?){900}b') while true do end",
    "while true do text.match_all(('a'):rep(4000), '(?:.*){50}[^a]|a') end",
    "text.replace('x', 'x', function() while true do end end)",
    "check({}, function() while true do end end)",
    "local t, s = {}, {} for i = 1, 9 do t[i], s[1] = t, s end check(t, s)",
    "while true do try(fs.glob, '**') end",
    "html.element('p', setmetatable({ 1 }, { __index = rawlen })) while true do end",
];

/// Runs attacks as the program does, several at once.
fn each(attacks: &[Attack], args: &[&str]) {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let home = Home::new();
                while let Some((script, code, says)) =
                    attacks.get(next.fetch_add(1, Ordering::SeqCst))
                {
                    let ran = attack(&home, args, script);
                    let said = format!("{}{}", ran.out, ran.err);
                    if ran.code != Some(*code) || !said.contains(says) {
                        failed.lock().expect("nobody panics").push(format!("{script}\n  {ran:?}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panicked");
    assert!(
        failed.is_empty(),
        "{} attacks of {}:\n{}",
        failed.len(),
        attacks.len(),
        failed.join("\n")
    );
}

fn attack(home: &Home, args: &[&str], script: &str) -> Ran {
    let args = [args, &["--timeout", "5m", "-e", script]].concat();
    let own = home.command(&args);
    let Ok(under) = std::env::var("IAMLUA_TEST_UNDER") else {
        return Ran::from({ own }.output().expect("the program starts"));
    };
    let mut words = under.split_whitespace();
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).arg(own.get_program()).args(own.get_args());
    for (name, value) in own.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null());
    Ran::from(command.output().expect("it starts"))
}

#[test]
fn no_script_gets_at_a_metatable_of_the_program_or_into_a_finalizer() {
    each(METATABLES, &[]);
}

#[test]
fn nothing_that_a_script_replaces_changes_what_the_host_decides() {
    each(FORGERIES, &[]);
}

/// Methods of strings are fields of the global `string`, which a script can replace.
#[test]
fn the_program_calls_no_methods_of_strings() {
    let method = regex::Regex::new(
        r":(byte|find|format|gmatch|gsub|len|lower|match|rep|reverse|sub|upper|pack|unpack)\(",
    );
    let method = method.expect("a regular expression");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
    for folder in [folder.clone(), folder.join("prompt")] {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
            for (at, line) in text.lines().enumerate() {
                let is_comment = line.trim_start().starts_with("--");
                let place = format!("{}:{}", entry.path().display(), at + 1);
                assert!(is_comment || !method.is_match(line), "{place}: {line}");
            }
        }
    }
}

#[test]
fn a_coroutine_that_waits_is_left_alone() {
    each(COROUTINES, &[]);
}

#[test]
fn values_without_end_cost_no_more_than_was_allowed() {
    each(VALUES, &["--max-memory", "256M"]);
}

#[test]
fn every_script_without_end_ends_when_its_time_is_over() {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(script) = ENDLESS.get(next.fetch_add(1, Ordering::SeqCst)) {
                    // The pipe has no writer.
                    let home = Home::new();
                    let pipe = home.path("pipe");
                    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
                    assert!(made.success());
                    let mut bench = Bench::new();
                    bench.timeout = Some(Duration::from_millis(300));
                    for access in Access::ALL {
                        bench.permissions.allow(access, "").expect("granted");
                    }
                    let source = format!("local PIPE = {pipe:?} {script}");
                    let ran = bench.run(&source, "endless.lua");
                    let ended = ran.result.as_ref().map_err(|error| error.kind);
                    if ended != Err(Kind::Timeout) {
                        let told = format!("{script}\n  {ended:?} {} {}", ran.stdout, ran.stderr);
                        failed.lock().expect("nobody panics").push(told);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panicked");
    assert!(failed.is_empty(), "{} scripts:\n{}", failed.len(), failed.join("\n"));
}

/// Endpoint in front of an account that answers one action with HTTP status 200 and an error in the
/// body.
fn contradicting(account: SocketAddr, action: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut requests = BufReader::new(stream.try_clone().expect("a socket"));
                while let Some((head, body)) = message(&mut requests) {
                    let form = String::from_utf8_lossy(&body).into_owned();
                    let mut to = TcpStream::connect(account).expect("the account listens");
                    let answer = if form.contains(&format!("Action={action}&")) {
                        let error = "<?xml version=\"1.0\"?>\n<ErrorResponse><Error><Type>Receiver</Type>\
                            <Code>ServiceFailure</Code><Message>it broke inside</Message></Error></ErrorResponse>";
                        let length = error.len();
                        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{error}")
                            .into_bytes()
                    } else {
                        to.write_all(&[head.as_bytes(), &body].concat()).expect("it reads");
                        let (head, body) = message(&mut BufReader::new(to)).expect("an answer");
                        [head.into_bytes(), body].concat()
                    };
                    if stream.write_all(&answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

/// Head and body of the next message.
fn message(from: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
    let mut body = vec![0; length.map_or(0, |length| length.trim().parse().expect("a number"))];
    from.read_exact(&mut body).ok()?;
    Some((head, body))
}

#[test]
fn an_answer_that_says_all_went_well_and_has_an_error_in_it_is_that_error() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let account = runtime.block_on(async {
        let emulator = Emulator::in_memory(EmulatorSettings::default()).expect("memory");
        let listener = bind(0).await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        tokio::spawn(serve(emulator, listener, std::future::pending()));
        address
    });
    let home = Home::new();
    let run = |action, code: &str| {
        let url = contradicting(account, action);
        let mut command = home.command(&[
            "--aws",
            "--apply",
            "-y",
            "--region",
            "us-east-1",
            "--endpoint-url",
            &url,
            "-e",
            code,
        ]);
        command.env("AWS_ACCESS_KEY_ID", "AKIAOPERATOR").env("AWS_SECRET_ACCESS_KEY", "x");
        Ran::from(command.output().expect("the program starts"))
    };
    let read = run("GetInstanceProfile", "iam.profiles.get('ci-sandbox')");
    assert!(read.err.contains("ServiceFailure: it broke inside"), "{read:?}");
    assert!(
        read.err.contains("HTTP status 200") && read.err.contains("nothing was changed"),
        "{read:?}"
    );
    let write = run("TagInstanceProfile", "iam.profiles.tag('ci-sandbox', { a = 'b' })");
    assert!(write.err.contains("ServiceFailure: it broke inside"), "{write:?}");
    assert!(write.err.contains("may have been carried out"), "{write:?}");
}
