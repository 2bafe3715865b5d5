-- Tests of env: variables of a machine that the test defines, and refusals without a permission.

local run_script = require("script")

local function refuses(kind, message, f, ...)
  local value, err = try(f, ...)
  assert(value == nil and err, "it was accepted")
  assert(err.kind == kind and err.message:find(message, 1, true), tostring(err))
end

it("a script without permission reads no variable", function()
  for _, call in ipairs { "get", "require" } do
    local code = "local _, err = try(env." .. call .. ", 'HOME') print(err.kind, err.hint)"
    local ran = run_script("{dir}/main.lua", {}, { ["main.lua"] = code })
    assert(ran.stdout == "permission\tallow it with --allow-env=HOME\n", ran.stdout)
  end
end)

it("variables are read, with a default for those that are not set", function()
  fake.env("STAGE", "prod")
  fake.env("EMPTY", "")
  local code = [[
    print(env.get("STAGE"), env.get("STAGE", "test"), env.require("STAGE"))
    print(env.get("NONE"), env.get("NONE", "test"), env.get("EMPTY") == "", env.get("EMPTY", 1))
    for _, name in ipairs { "NONE", "EMPTY" } do
      local _, err = try(env.require, name)
      print(err.kind, err.message)
    end
  ]]
  local folder = temp_folder { ["main.lua"] = code }
  local names = { "STAGE", "NONE", "EMPTY" }
  local ran = run_runbook(folder .. "/main.lua", nil, { allow_env = names })
  assert(
    ran.stdout
      == "prod\tprod\tprod\nnil\ttest\ttrue\t1\n"
        .. "configuration\tthe environment variable NONE is not set\n"
        .. "configuration\tthe environment variable EMPTY is empty\n",
    ran.stdout .. ran.stderr
  )
end)

it("wrong names are refused", function()
  refuses("argument", "env.get: the name must be a string, got nil", env.get)
  refuses("argument", "env.require: the name must be a string, got table", env.require, {})
  for _, name in ipairs { "", "a=b", "a\0b" } do
    refuses("argument", "no variable can have that name", env.get, name)
  end
end)
