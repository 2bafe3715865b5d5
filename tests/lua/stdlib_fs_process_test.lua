-- Tests of fs and process: both need permissions, and a refusal names the flag.

local run_script = require("script")
local fs = require("fs")
local process = require("process")

-- Runs a call in its own script, which has no permission, and returns kind, message and hint of its
-- error.
local function failure(call)
  local code = "local _, err = try("
    .. call
    .. ") print(err.kind) print(err.message) print(err.hint)"
  local ran = run_script("{dir}/main.lua", {}, { ["main.lua"] = code })
  assert(ran.code == 0, ran.stderr)
  return ran.stdout
end

it("a script without permission reads, writes, lists and runs nothing", function()
  local text = failure('require("fs").read, "/etc/hostname"')
  assert(
    text:match("^permission\nthe script may not read /etc/hostname\n.*%-%-allow%-read=/etc\n$"),
    text
  )
  text = failure('require("fs").write, "/etc/made-by-iamlua", "x"')
  assert(
    text:match(
      "^permission\nthe script may not write /etc/made%-by%-iamlua\n.*%-%-allow%-write=/etc\n$"
    ),
    text
  )
  text = failure('require("fs").list, "/etc"')
  assert(text:match("^permission\n.*/etc\n.*%-%-allow%-read=/etc\n$"), text)
  text = failure('require("process").run, "ls", { "/" }')
  assert(text:match("^permission\nthe script may not run ls\n.*%-%-allow%-run=ls\n$"), text)
end)

it("wrong arguments are refused before anything is touched", function()
  local function refuses(part, hint, f, ...)
    local value, err = try(f, ...)
    assert(value == nil and err, "it was accepted")
    assert(
      err.kind == "argument" and err.message:find(part, 1, true),
      err.kind .. ": " .. tostring(err)
    )
    assert(not hint or (err.hint and err.hint:find(hint, 1, true)), err.hint)
  end
  refuses("fs.read: the path must be a string, got nil", nil, fs.read, nil)
  refuses("fs.list: the path must be a string, got table", nil, fs.list, {})
  refuses("fs.write: the path must be a string", nil, fs.write, 1)
  refuses("process.run: the program must be a string, got nil", nil, process.run, nil)
  refuses("must be an array of strings, got string", nil, process.run, "ls", "-l")
  refuses("argument 2 must be a string, got number", nil, process.run, "ls", { "-l", 1 })
  refuses("there is a key all in it", nil, process.run, "ls", { all = "yes" })
  refuses("hole", nil, process.run, "ls", { "a", nil, "b" })
  refuses("no option", "did you mean 'stdin'?", process.run, "ls", {}, { stdn = "x" })
  refuses("plan must be a function, got string", nil, process.run, "ls", {}, { plan = "x" })
  refuses("stdin must be a string", nil, process.run, "ls", {}, { stdin = 1 })
end)
