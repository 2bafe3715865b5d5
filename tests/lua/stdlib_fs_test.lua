-- Tests of fs: folders and patterns, on the disk of a temporary folder, under a plan, and on the
-- machine that a test makes up.

-- Runs code with files, and returns what it printed. `work` in the code is the folder.
local function run(code, files, options)
  local folder = temp_folder(files or {})
  options = options or {}
  options.allow_read, options.allow_write = { folder }, { folder }
  files = { ["main.lua"] = "local work = " .. ("%q"):format(folder) .. "\n" .. code }
  local ran = run_runbook(temp_folder(files) .. "/main.lua", nil, options)
  assert(ran.code == 0, ran.stderr)
  return ran.stdout, ran, folder
end

local SHOW = [[
  local function show(pattern)
    for _, path in ipairs(fs.glob(work .. "/" .. pattern)) do
      io.write(path:sub(#work + 2), " ")
    end
    print()
  end
]]

it("a pattern finds files and folders, sorted", function()
  local files = {}
  for _, name in ipairs(text.split("b.csv a.csv x.txt sub/c.csv sub/deep/d.csv .hidden.csv")) do
    files[name] = "x"
  end
  local out = run(
    SHOW .. [[
      for _, pattern in ipairs {
        "*.csv", "?.txt", "sub/*", "*/*.csv", "**/*.csv", "**", "sub/**/d.csv", ".*", "x.txt",
        "none", "none/*", "x.txt/*", "*//c.csv", "sub/", "**/**/**/d.csv",
      } do
        show(pattern)
      end
    ]],
    files
  )
  local wanted = {
    "a.csv b.csv ",
    "x.txt ",
    "sub/c.csv sub/deep ",
    "sub/c.csv ",
    "a.csv b.csv sub/c.csv sub/deep/d.csv ",
    "a.csv b.csv sub sub/c.csv sub/deep sub/deep/d.csv x.txt ",
    "sub/deep/d.csv ",
    ".hidden.csv ",
    "x.txt ",
    "",
    "",
    "",
    "sub/c.csv ",
    "sub ",
    "sub/deep/d.csv ",
  }
  assert(out == table.concat(wanted, "\n") .. "\n", out)
end)

it("folders are created with those that they are in, and exist then", function()
  for _, mode in ipairs { "apply", "plan" } do
    local code = [[
      local function kind(f, ...)
        local _, err = try(f, ...)
        return err and text.replace(err.message, work .. "/", "", { plain = true })
      end
      assert(not fs.exists(work .. "/a") and fs.exists(work) and fs.exists(work .. "/file"))
      fs.mkdir(work .. "/a/b/c")
      fs.mkdir(work .. "/a/b")
      fs.mkdir(work)
      assert(fs.exists(work .. "/a/b/c") and #fs.list(work .. "/a/b/c") == 0)
      fs.write(work .. "/a/b/new", "text")
      local file = io.open(work .. "/a/other", "w")
      file:write("x")
      file:close()
      assert(fs.exists(work .. "/a/b/new") and fs.read(work .. "/a/b/new") == "text")
      print(table.concat(fs.list(work .. "/a"), " "), table.concat(fs.list(work .. "/a/b"), " "))
      print(#fs.glob(work .. "/**/new"), #fs.glob(work .. "/a/*"))
      print((kind(fs.mkdir, work .. "/file")))
      print((kind(fs.mkdir, work .. "/file/x")))
      print((kind(fs.mkdir, work .. "/a/b/new")))
      print((kind(fs.write, work .. "/a/b", "x")))
      print((kind(fs.read, work .. "/a/b")))
      print((kind(fs.list, work .. "/none")))
      print(fs.exists(work .. "/file/x"), fs.exists(work .. "/none/x"))
    ]]
    local out, ran = run(code, { file = "x" }, { mode = mode })
    local not_folder = "cannot create the folder %s: Not a directory (os error 20)\n"
    local wanted = "b other\tc new\n1\t2\n"
      .. not_folder:format("file")
      .. "cannot write file/x: Not a directory (os error 20)\n"
      .. not_folder:format("a/b/new")
      .. "cannot write a/b: Is a directory (os error 21)\n"
      .. "cannot read a/b: Is a directory (os error 21)\n"
      .. "cannot list none: No such file or directory (os error 2)\n"
      .. "false\tfalse\n"
    assert(out == wanted, mode .. "\n" .. out .. ran.stderr)
    local listed = json.encode(ran.outside)
    if mode == "plan" then
      assert(#ran.outside == 3 and ran.outside[1].kind == "mkdir", listed)
    end
  end
end)

it("wrong arguments are refused", function()
  local function refuses(part, f, ...)
    local value, err = try(f, ...)
    assert(value == nil and err and err.kind == "argument", tostring(err))
    assert(err.message:find(part, 1, true), err.message)
  end
  refuses("fs.exists: the path must be a string, got nil", fs.exists, nil)
  refuses("fs.mkdir: the path must be a string, got table", fs.mkdir, {})
  refuses("fs.glob: the pattern must be a string, got boolean", fs.glob, true)
  refuses("fs.glob: the pattern is empty", fs.glob, "")
  refuses("fs.glob: the pattern has more than 4096 bytes", fs.glob, ("*/"):rep(3000))
  refuses("fs.exists: the path is not UTF-8", fs.exists, "\xff")
end)

it("a script without permission finds and creates nothing", function()
  local code = [[
    for _, call in ipairs { "exists", "glob", "mkdir" } do
      local path = call == "glob" and "/etc/*" or "/etc/x"
      local _, err = try(fs[call], path)
      print(call, err.kind, err.hint)
    end
  ]]
  local ran = run_runbook(temp_folder { ["main.lua"] = code } .. "/main.lua")
  local wanted = "exists\tpermission\tallow it with --allow-read=/etc\n"
    .. "glob\tpermission\tallow it with --allow-read=/etc\n"
    .. "mkdir\tpermission\tallow it with --allow-write=/etc\n"
  assert(ran.stdout == wanted, ran.stdout)
end)

it("files that a test makes up are found", function()
  fake.file("/made/up/a.csv", "x")
  fake.file("/made/up/none.csv")
  local code = [[
    assert(fs.exists("/made/up/a.csv") and fs.exists("/made/up"))
    assert(not fs.exists("/made/up/none.csv") and not fs.exists("/made/up/other"))
    fs.mkdir("/made/up/new/deep")
    fs.write("/made/up/new/deep/b.csv", "y")
    print(table.concat(fs.glob("/made/**/*.csv"), " "))
  ]]
  local path = temp_folder { ["main.lua"] = code } .. "/main.lua"
  local options = { allow_read = { "/made/up", "/made" }, allow_write = { "/made/up" } }
  local ran = run_runbook(path, nil, options)
  assert(ran.stdout == "/made/up/a.csv /made/up/new/deep/b.csv\n", ran.stdout .. ran.stderr)
  assert(ran.files["/made/up/new/deep/b.csv"] == "y", json.encode(ran.files))
end)
