-- Tests of runbook: manifests, command lines, and the permissions of the script.

local run_script = require("script")
local PRINT = " print(inspect(p, { width = 1000 }))"

local function run(manifest, args, rest)
  return run_script(
    "{dir}/book.lua",
    args,
    { ["book.lua"] = "local p = runbook " .. manifest .. (rest or PRINT) }
  )
end

-- Asserts the parameters of a command line, as text.
local function gives(manifest, args, wanted)
  local ran = run(manifest, args)
  assert(ran.code == 0, ran.stderr)
  assert(ran.stdout == wanted .. "\n", ran.stdout .. "is not\n" .. wanted)
end

-- Asserts that a command line is refused before the script runs.
local function misused(manifest, args, problem, hint)
  local ran = run(manifest, args)
  assert(ran.code == 2, ("code %d: %s%s"):format(ran.code, ran.stdout, ran.stderr))
  assert(ran.stdout == "", "the script ran: " .. ran.stdout)
  assert(ran.stderr:find(problem, 1, true), ran.stderr)
  assert(not hint or ran.stderr:find("hint: " .. hint, 1, true), ran.stderr)
  assert(
    not ran.stderr:find("book.lua:%d"),
    "a wrong command line has no place in the script: " .. ran.stderr
  )
end

-- Asserts that a manifest is refused.
local function refuses(manifest, problem, hint)
  local _, err = try(runbook, manifest)
  assert(err, "it was accepted")
  assert(err.kind == "argument", err.kind)
  assert(err.message:find(problem, 1, true), err.message)
  assert(not hint or (err.hint and err.hint:find(hint, 1, true)), err.hint)
end

local ALL = [[{ params = {
  owner = { required = true },
  path = { default = "/" },
  count = { type = "integer" },
  ratio = { default = 0.5 },
  delete = { default = false },
  dry_run = { default = true },
  older = { type = "duration", default = "90d" },
  require = { type = "list" },
  tag = { type = "map", default = { Team = "web" } },
} }]]

it("defaults fill what the command line leaves out", function()
  gives(
    ALL,
    { "--owner", "ops" },
    '{ delete = false, dry_run = true, older = 7776000.0, owner = "ops", path = "/", ratio = 0.5, require = {}, '
      .. 'tag = { Team = "web" } }'
  )
end)

it("flags of every type, in both spellings", function()
  gives(
    ALL,
    {
      "--owner=a=b",
      "--path",
      "-x",
      "--count",
      "-5",
      "--ratio=1e2",
      "--delete",
      "--no-dry_run",
      "--older",
      "1h30m",
      "--require",
      "A",
      "--require=B b",
      "--tag",
      "K=V=W",
      "--tag=E=",
    },
    '{ count = -5, delete = true, dry_run = false, older = 5400.0, owner = "a=b", path = "-x", ratio = 100.0, '
      .. 'require = { "A", "B b" }, tag = { E = "", K = "V=W" } }'
  )
  gives("{ params = { dry_run = { default = true } } }", { "--no-dry-run" }, "{ dry_run = false }")
  gives(
    "{ params = { dry_run = { default = true } } }",
    { "--dry_run=false" },
    "{ dry_run = false }"
  )
  gives(
    '{ params = { on = { required = true, type = "boolean" } } }',
    { "--no-on" },
    "{ on = false }"
  )
  gives('{ params = { n = { type = "number" } } }', { "--n", "3" }, "{ n = 3 }")
  gives("{ params = { s = {} } }", { "--s=" }, '{ s = "" }')
  gives("{}", {}, "{}")
end)

it("types are taken from the default or the choices", function()
  gives(
    '{ params = { a = { default = { "x" } }, b = { default = { X = "y" } }, c = { choices = { 1, 2 } }, d = { default = {} } } }',
    { "--c", "2", "--d", "z" },
    '{ a = { "x" }, b = { X = "y" }, c = 2, d = { "z" } }'
  )
end)

it("a wrong command line is refused before anything runs", function()
  misused(ALL, {}, "missing: --owner TEXT", "iamlua run ")
  misused(ALL, { "--ownr", "x" }, "there is no option --ownr", "did you mean --owner?")
  misused(ALL, { "ops" }, 'there is no use for the argument "ops"')
  misused("{}", { "x" }, "no use", "the script takes no arguments")
  misused(ALL, { "-v" }, 'there is no use for the argument "-v"')
  misused(ALL, { "--owner" }, "--owner needs a value")
  misused(
    ALL,
    { "--owner", "--path", "/" },
    "--owner needs a value",
    "if the value begins with --, write --owner=VALUE"
  )
  misused(ALL, { "--owner", "a", "--owner", "b" }, "--owner is given twice")
  misused(ALL, { "--owner", "a", "--delete", "--no-delete" }, "--delete is given twice")
  misused(ALL, { "--owner", "a", "--no-owner" }, "there is no option --no-owner")
  misused(ALL, { "--owner", "a", "--no-delete=true" }, "--no-delete takes no value")
  misused(ALL, { "--owner", "a", "--delete=yes" }, '--delete must be true or false, got "yes"')
  misused(ALL, { "--owner", "a", "--delete", "true" }, 'no use for the argument "true"')
  for _, count in ipairs { "4x", "1.5", "", " 1", "0x10", "9223372036854775808", "one" } do
    misused(ALL, { "--owner", "a", "--count=" .. count }, "--count must be a whole number")
  end
  for _, ratio in ipairs { "1,5", "nan", "inf", "0x1p4", "", "1 " } do
    misused(ALL, { "--owner", "a", "--ratio=" .. ratio }, "--ratio must be a number")
  end
  misused(ALL, { "--owner", "a", "--older", "90" }, "--older must be a duration")
  misused(ALL, { "--owner", "a", "--tag", "novalue" }, "--tag must look like KEY=VALUE")
  misused(ALL, { "--owner", "a", "--tag", "=x" }, "--tag must look like KEY=VALUE")
  misused(ALL, { "--owner", "a", "--tag", "A=1", "--tag", "A=2" }, '--tag gives "A" twice')
  misused(ALL, { "--owner\27[31m", "a" }, "there is no option --owner\\x1b[31m")
end)

it("values are held to bounds, choices and patterns", function()
  local bounded = [[{ params = {
    n = { default = 5, min = 1, max = 9 },
    wait = { type = "duration", default = "5m", min = "1m", max = "1h" },
    keys = { type = "list", max = 2, choices = { "a", "b" } },
    tags = { type = "map", min = 1 },
    stage = { choices = { "dev", "prod" } },
    id = { pattern = "[a-z]{2,3}" },
  } }]]
  gives(
    bounded,
    { "--n=9", "--wait=60s", "--id=abc", "--stage=prod", "--tags=a=b" },
    '{ id = "abc", keys = {}, n = 9, ' .. 'stage = "prod", tags = { a = "b" }, wait = 60.0 }'
  )
  misused(bounded, { "--n", "0" }, "--n must be at least 1")
  misused(bounded, { "--n", "10" }, "--n must be at most 9")
  misused(bounded, { "--wait", "59s" }, "--wait must be at least 1m")
  misused(bounded, { "--wait", "2h" }, "--wait must be at most 1h")
  misused(bounded, { "--keys=a", "--keys=b", "--keys=a" }, "--keys must be given at most 2 times")
  misused(bounded, { "--keys=c" }, "--keys must be one of a, b, got c")
  misused(
    bounded,
    { "--stage=prd" },
    "--stage must be one of dev, prod, got prd",
    "did you mean prod?"
  )
  misused(bounded, { "--id=abcd" }, '--id must match [a-z]{2,3}, got "abcd"')
  misused(bounded, { "--id=xab\n" }, "--id must match")
end)

it("help says everything and runs nothing", function()
  local ran = run(
    [[{
    description = "Tags profiles. A longer description than one line of a terminal of eighty columns can ever hold.",
    params = {
      owner = { required = true, help = "value of the Owner tag" },
      stage = { choices = { "dev", "prod" }, default = "dev", help = "which stage" },
      days = { default = 30, min = 1, max = 90 },
      delete = { default = false, help = "really delete" },
      with_tags = { default = true },
      tag = { type = "map" },
    },
    allow = { "profiles.list", "profiles.tag" }, max_changes = 1, timeout = "30m",
    schedule = "0 3 * * *", timezone = "Europe/Berlin",
    permissions = { read = { "data" }, env = { "STAGE" } },
  }]],
    { "--bad", "-h" },
    " error('it ran')"
  )
  assert(ran.code == 0 and ran.stderr == "", ran.stderr)
  local text = ran.stdout:gsub("run %S+book.lua", "run book.lua")
  local wanted = [[
Tags profiles. A longer description than one line of a terminal of eighty
columns can ever hold.

Usage: iamlua run book.lua --owner TEXT [options]

Options:
  --owner TEXT     value of the Owner tag (required)
  --days N         (from 1 to 90; default 30)
  --delete         really delete
  --stage TEXT     which stage (one of dev, prod; default dev)
  --tag KEY=VALUE  (can be repeated)
  --no-with-tags   (default yes)
  -h, --help       show this
  The options of iamlua itself, such as --aws, --apply and --output, can follow
  too.

May call:     profiles.list, profiles.tag
Limits:       at most 1 change, at most 30m
Schedule:     0 3 * * * (Europe/Berlin)
Wants to:     read files: data
              read the environment variable STAGE
]]
  assert(text == wanted, text)
end)

it("calls outside of the allow list are refused", function()
  local body = [[ iam.profiles.list() print("listed") iam.profiles.create("x") print("created")]]
  local ran = run('{ allow = { "profiles.list" } }', {}, body)
  assert(ran.code == 4 and ran.stdout == "listed\n", ran.stdout)
  assert(ran.stderr:find('add "profiles.create" to `allow`', 1, true), ran.stderr)
  assert(iam.profiles.find("x") == nil)
  ran = run("{ allow = {} }", {}, body)
  assert(ran.code == 4 and ran.stdout == "", ran.stdout)
  ran = run('{ allow = { "profiles.lst" } }', {}, body)
  assert(ran.code == 1 and ran.stderr:find("profiles.list", 1, true), ran.stderr)
end)

it("no more changes than the limit", function()
  local ran = run(
    "{ max_changes = 2 }",
    {},
    " for i = 1, 5 do iam.profiles.create('made-' .. i) print(i) end"
  )
  assert(ran.code == 4 and ran.stdout == "1\n2\n", ran.stdout)
  assert(iam.profiles.find("made-2") and not iam.profiles.find("made-3"))
  ran = run("{ max_changes = 0 }", {}, " print(#iam.profiles.list()) iam.profiles.create('none')")
  assert(ran.code == 4 and ran.stdout == "26\n", ran.stdout)
  assert(not iam.profiles.find("none"))
end)

it("no longer than the timeout", function()
  local ran = run('{ timeout = "100ms" }', {}, " while true do pcall(time.sleep, 1) end")
  assert(ran.code == 1 and ran.stderr:find("timeout", 1, true), ran.stderr)
end)

it("a file that the command line names can be read, and no other", function()
  local code = [[local p = runbook { params = { file = { type = "file" } } }
    print(p.file and require("fs").read(p.file))
    print(select(2, try(require("fs").read, (arg[0]:gsub("book", "other")))).kind)]]
  local files = { ["book.lua"] = code, ["data.txt"] = "hello", ["other.lua"] = "secret" }
  local ran = run_script("{dir}/book.lua", { "--file", "{dir}/data.txt" }, files)
  assert(ran.code == 0 and ran.stdout == "hello\npermission\n", ran.stdout .. ran.stderr)
  ran = run_script("{dir}/book.lua", {}, files)
  assert(ran.code == 0 and ran.stdout == "nil\npermission\n", ran.stdout .. ran.stderr)
  local manifest = '{ params = { file = { type = "file" } } }'
  misused(manifest, { "--file", "{dir}/none" }, "--file: cannot read")
  misused(manifest, { "--file", "{dir}" }, "Is a directory")
  misused(manifest, { "--file=" }, "--file must name a file")
end)

it(
  "a new file that the command line names can be written, and neither read before nor any other",
  function()
    local code =
      [[local p = runbook { params = { page = { type = "new_file", default = "{dir}/other.txt" } } }
    local fs = require("fs")
    print(pcall(fs.write, p.page, "mine"))
    print(select(2, try(fs.read, (arg[0]:gsub("book.lua", "other.txt")))).kind)
    print(select(2, try(fs.write, (arg[0]:gsub("book.lua", "other.txt")), "")).kind)]]
    local folder = temp_folder { ["other.txt"] = "secret" }
    local files = { ["book.lua"] = code:gsub("{dir}", folder) }
    local ran = run_script("{dir}/book.lua", { "--page", folder .. "/new.txt" }, files)
    assert(
      ran.code == 0 and ran.stdout == "true\npermission\npermission\n",
      ran.stdout .. ran.stderr
    )
    assert(require("fs").read(folder .. "/new.txt") == "mine")
    -- A file that only the manifest names is not granted, which is said before anything is done.
    ran = run_script("{dir}/book.lua", {}, files)
    assert(ran.code == 2 and ran.stdout == "", ran.stdout .. ran.stderr)
    assert(ran.stderr:find("may not write its default", 1, true), ran.stderr)
    misused(
      '{ params = { page = { type = "new_file" } } }',
      { "--page=" },
      "--page must name a file"
    )
  end
)

it("a new file is never one that is there, in a plan either", function()
  local manifest = '{ params = { page = { type = "new_file" } } }'
  local write = " require('fs').write(p.page, 'mine') print('written')"
  local folder = temp_folder { ["old.txt"] = "old" }
  local function tries(page, mode)
    local code = "local p = runbook " .. manifest .. write
    local book = temp_folder { ["book.lua"] = code } .. "/book.lua"
    return run_runbook(book, nil, { args = { "--page", page }, mode = mode, confirm = false })
  end
  for _, mode in ipairs { "apply", "plan" } do
    for _, page in ipairs { folder .. "/old.txt", folder } do
      local ran = tries(page, mode)
      assert(ran.code == 2 and ran.stdout == "", ran.stdout .. ran.stderr)
      assert(ran.stderr:find("--page: " .. page .. " is there already", 1, true), ran.stderr)
      assert(ran.stderr:find("hint: remove it, or choose another name", 1, true), ran.stderr)
    end
    -- Standard output replaces no file.
    for _, page in ipairs { "-", "/dev/stdout" } do
      local ran = tries(page, mode)
      assert(ran.code == 0 and ran.stdout == "minewritten\n", ran.stdout .. ran.stderr)
    end
    assert(tries("/dev/null", mode).code == 0)
  end
  assert(require("fs").read(folder .. "/old.txt") == "old")
end)

it("a file that only the manifest names is not granted", function()
  local ran = run(
    '{ params = { file = { type = "file", default = "/etc/hostname" } } }',
    {},
    " print(p.file)"
  )
  assert(ran.code == 2 and ran.stdout == "", ran.stdout .. ran.stderr)
  assert(ran.stderr:find("name it: --file=/etc/hostname", 1, true), ran.stderr)
end)

it("a wrong manifest is said, not that it declares no options", function()
  local ran = run('{ params = { input = { type = "path" } } }', { "--input", "x" })
  assert(ran.stderr:find('there is no type "path"', 1, true), ran.stderr)
  ran = run('{ params = { input = { type = "path" } } }', { "--help" })
  assert(ran.stderr:find('there is no type "path"', 1, true), ran.stderr)
end)

it("what the manifest wants to touch is refused with its flags when nobody can be asked", function()
  local ran =
    run([[{ permissions = { read = { "/etc" }, env = { "HOME" }, run = { "my tool" } } }]], {})
  assert(ran.code == 4 and ran.stdout == "", ran.stdout)
  assert(ran.stderr:find("not allowed to read files: /etc", 1, true), ran.stderr)
  assert(
    ran.stderr:find("--allow-read=/etc --allow-env=HOME '--allow-run=my tool'", 1, true),
    ran.stderr
  )
end)

it("a script cannot put something else in place of what decides", function()
  local ran = run_script("{dir}/book.lua", { "--file", "{dir}/data.txt", "--name", "x" }, {
    ["data.txt"] = "mine",
    ["book.lua"] = [[
      local function evil() return "/etc/hostname", "/etc/hostname" end
      for _, name in ipairs { "sub", "match", "find", "gsub", "gmatch", "rep", "format" } do string[name] = evil end
      table.concat, ipairs, pairs, next, tostring, type, setmetatable = evil, nil, nil, nil, evil, nil, nil
      local open = io.open
      io.open, os.exit = nil, nil
      local p = runbook { params = { file = { type = "file" }, name = {} } }
      print(p.name, require("fs").read(p.file))
      local _, err = pcall(require("fs").read, "/etc/hostname")
      print(err.kind)
      _, err = pcall(open, p.file, "w")
      print(err.kind)
    ]],
  })
  assert(
    ran.code == 0 and ran.stdout == "x\tmine\npermission\npermission\n",
    ran.stdout .. ran.stderr
  )
end)

it("a parameter that was not declared is a mistake of the script", function()
  local ran = run("{ params = { owner = {} } }", {}, " print(p.owner) print(p.onwer)")
  assert(ran.code == 1 and ran.stdout == "nil\n", ran.stdout)
  assert(ran.stderr:find('there is no parameter "onwer"', 1, true), ran.stderr)
  assert(ran.stderr:find("did you mean owner?", 1, true), ran.stderr)
end)

it("one script is one runbook", function()
  local ran = run("{}", {}, " runbook {}")
  assert(ran.code == 1 and ran.stderr:find("declared itself already", 1, true), ran.stderr)
end)

it("a script can say that its flags do not fit together", function()
  local ran =
    run("{}", {}, " print('on') runbook.usage('--a and --b exclude each other', 'give one')")
  assert(ran.code == 2 and ran.stdout == "on\n", ran.stdout)
  assert(
    ran.stderr:find("--a and --b exclude each other", 1, true)
      and ran.stderr:find("hint: give one", 1, true)
  )
  local _, err = try(runbook.usage)
  assert(err.kind == "argument")
end)

it("a wrong manifest is refused", function()
  refuses(nil, "a table belongs here, got nil")
  refuses("x", "a table belongs here, got string")
  refuses({ desciption = "x" }, 'the manifest has no "desciption"', "did you mean description?")
  refuses({ description = 1 }, "description must be a string, got number")
  refuses({ description = "\xff" }, "description is not UTF-8")
  refuses(
    { max_changes = -1 },
    'max_changes must be a whole number that is not negative, or a share such as "5%", got -1'
  )
  refuses({ max_changes = 1.5 }, "max_changes must be a whole number")
  refuses({ timeout = "soon" }, "timeout must be a duration")
  refuses({ timeout = -1 }, "timeout must not be negative")
  refuses({ every = {} }, "every must be")
  refuses({ schedule = "0 3 * * *", every = "1d" }, "schedule and every exclude each other")
  refuses({ timezone = "UTC" }, "timezone is the time zone of schedule, which is missing")
  refuses({ schedule = 5 }, "schedule must be a string")
  refuses({ allow = "profiles.list" }, "allow must be a table, got string")
  refuses({ allow = { 1 } }, "allow[1] must be a string, got number")
  refuses({ allow = { "a", nil, "b" } }, "allow has a hole")
  refuses({ allow = { a = true } }, "allow must be an array of strings")
  refuses({ permissions = { red = {} } }, 'permissions has no "red"', "did you mean read?")
  refuses({ permissions = { read = { "" } } }, "permissions.read[1] is empty")
  refuses({ permissions = { "read" } }, "permissions has no 1")
  refuses({ params = "x" }, "params must be a table, got string")
end)

it("a manifest of a job that is wrong is refused, with what to write instead", function()
  refuses({ schedule = 3 }, "schedule must be a string, got number")
  refuses(
    { schedule = "0 3 * *" },
    "schedule must have five fields (minute, hour, day of month, month, day of week)"
  )
  refuses({ schedule = "61 3 * * *" }, 'schedule "61 3 * * *" is no cron expression')
  refuses({ schedule = "0 0 30 2 *" }, 'schedule "0 0 30 2 *" never comes')
  refuses(
    { schedule = "@daily", timezone = "Europe/Berln" },
    'timezone "Europe/Berln" is not known'
  )
  refuses({ timezone = "UTC" }, "timezone is the time zone of schedule, which is missing")
  refuses({ schedule = "@daily", every = "1h" }, "schedule and every exclude each other")
  refuses({ every = "often" }, "every must be a duration")
  refuses({ every = "10ms" }, "every must be at least a second and at most a year")
  refuses({ every = "1h", timeout = "0s" }, "timeout must be longer than no time at all")
  refuses({ every = "1h", jitter = "soon" }, "jitter must be a duration")
  refuses({ every = "1h", catch_up = "twice" }, 'catch_up must be "once" or "skip", got "twice"')
  refuses({ every = "1h", retries = -1 }, "retries must be a whole number from 0 to")
  refuses({ every = "1h", retries = 1.5 }, "retries must be a whole number from 0 to")
  refuses({ every = "1h", retry_delay = true }, "retry_delay must be text such as")
  refuses({ every = "1h", on_failure = "mail" }, "on_failure must be a table, got string")
  refuses({ every = "1h", on_failure = { mail = "ops" } }, 'on_failure has no "mail"')
  refuses({ every = "1h", on_failure = { command = {} } }, "on_failure.command must name a program")
  refuses(
    { every = "1h", on_failure = { command = "mail" } },
    "on_failure.command must be a table, got string"
  )
  refuses(
    { every = "1h", on_failure = { webhook = "hooks.example.com" } },
    'on_failure.webhook must begin with "https://"'
  )
  refuses({ evry = "1h" }, 'the manifest has no "evry"', "did you mean every?")
  for key, value in pairs {
    jitter = "1m",
    catch_up = "once",
    retries = 1,
    retry_delay = "1m",
    on_failure = {},
  } do
    refuses(
      { [key] = value },
      key .. " is for jobs, and this runbook has neither schedule nor every"
    )
  end
end)

it("a job runs by hand too, and its help says when it runs by itself", function()
  local manifest =
    [[{ description = "Works.", schedule = "30 2 * * 1-5", timezone = "Europe/Berlin", jitter = "10m", catch_up = "skip",
    retries = 3, retry_delay = "1m", on_failure = { command = { "mail", "ops" }, webhook = "https://hooks.example.com/x" } }]]
  gives(manifest, {}, "{}")
  local help = run(manifest, { "--help" })
  assert(help.code == 0 and help.stdout:find("30 2 * * 1-5 (Europe/Berlin)", 1, true), help.stdout)
  local often = run("{ every = '15m' }", { "--help" })
  assert(often.stdout:find("every 15m", 1, true), often.stdout)
end)

it("a wrong parameter is refused", function()
  local function refuses_param(spec, problem, hint, name)
    refuses({ params = { [name or "x"] = spec } }, problem, hint)
  end
  refuses_param("/", "params.x must be a table, got string", "write x = { default = … }")
  refuses_param({ defualt = 1 }, 'params.x has no "defualt"', "did you mean default?")
  refuses_param({}, 'cannot be called "dry-path"', "small letters", "dry-path")
  refuses_param({}, "cannot be called 1", nil, 1)
  refuses_param({}, "--output is an option of iamlua itself", nil, "output")
  refuses_param({}, "--help is an option of iamlua itself", nil, "help")
  refuses_param({ type = "int" }, 'there is no type "int"', "integer")
  refuses_param({ type = 1 }, "params.x.type must be a string")
  refuses_param({ default = print }, "no parameter can hold a function")
  refuses_param(
    { type = "integer", default = "5" },
    'params.x.default must be a whole number, got "5"'
  )
  refuses_param({ type = "number", default = "5" }, "params.x.default must be a number")
  refuses_param({ type = "boolean", default = 1 }, "params.x.default must be a boolean, got number")
  refuses_param({ type = "duration", default = "often" }, "params.x.default must be a duration")
  refuses_param({ type = "list", default = { 1 } }, "params.x.default[1] must be a string")
  refuses_param({ type = "list", default = { a = "b" } }, "must be an array of strings")
  refuses_param({ type = "map", default = { a = 1 } }, "params.x.default.a must be a string")
  refuses_param({ type = "map", default = { "a" } }, "params.x.default: the key must be a string")
  refuses_param({ default = 1, required = true }, "never used, because the parameter is required")
  refuses_param({ required = 1 }, "params.x.required must be a boolean")
  refuses_param({ default = 0, min = 1 }, "params.x.default must be at least 1")
  refuses_param({ default = "x", choices = { "a" } }, "params.x.default must be one of a, got x")
  refuses_param({ default = "x", pattern = "y+" }, 'params.x.default must match y+, got "x"')
  refuses_param({ min = 1 }, "params.x.min is for numbers, durations, lists and maps")
  refuses_param({ default = 1, min = "1" }, "params.x.min must be a number, got string")
  refuses_param({ type = "duration", max = "x" }, "params.x.max must be a duration")
  refuses_param({ choices = {} }, "params.x.choices must be an array with at least one value")
  refuses_param({ choices = { "a", 1 } }, "params.x.choices[2] must be a string")
  refuses_param(
    { type = "map", choices = { "a" } },
    "params.x.choices are for strings, numbers and lists"
  )
  refuses_param({ pattern = "(" }, 'params.x.pattern is no regular expression: "("')
  refuses_param({ default = 1, pattern = "x" }, "params.x.pattern is for strings, lists and files")
  refuses(
    { params = { delete = { default = false }, no_delete = {} } },
    'would be mistaken for "not delete"'
  )
end)
