-- Lua's own library as scripts have it. The official tests of Lua run by hand:
-- tests/clients/lua_suite.py.

local function message(f, ...)
  local ok, e = pcall(f, ...)
  expect(ok):to_equal(false)
  return type(e) == "table" and e.message or e
end

describe("messages", function()
  -- Functions that end the script, wait for input or only for their effect.
  local left_out = { ["os.exit"] = true, ["io.read"] = true, ["io.lines"] = true }

  it("name no function of the program's own", function()
    local arguments = { {}, "x", -1, 2 ^ 53, true, print, coroutine.create(print), io.stdout }
    local names = { "coroutine", "debug", "io", "math", "os", "package", "string", "table", "utf8" }
    local functions = {}
    for name, value in pairs(_G) do
      if type(value) == "function" and type(name) == "string" then
        functions[name] = value
      end
    end
    for _, module in ipairs(names) do
      for name, value in pairs(_G[module]) do
        if type(value) == "function" then
          functions[module .. "." .. name] = value
        end
      end
    end
    -- Functions of tests, which have tests of their own.
    for _, name in ipairs { "describe", "it", "expect", "run", "run_runbook", "before_each" } do
      functions[name] = nil
    end
    local count, leaks = 0, {}
    local function check(name, ...)
      local ok, e = pcall(functions[name], ...)
      local text = not ok and tostring(type(e) == "table" and e.message or e) or ""
      if text:find("[iamlua:", 1, true) or text:find("native_", 1, true) then
        leaks[#leaks + 1] = name .. ": " .. text
      end
      count = count + 1
    end
    for name in pairs(functions) do
      if not left_out[name] then
        check(name)
        for _, first in ipairs(arguments) do
          check(name, first)
          for _, second in ipairs(arguments) do
            -- Numbers that large take their time where they are meant.
            check(name, first, second)
          end
        end
      end
    end
    io.output(io.stdout)
    io.input(io.stdin)
    expect(leaks):to_equal {}
    expect(count > 1000):to_equal(true)
  end)

  it("are those of Lua for wrong arguments", function()
    for text, call in pairs {
      ["bad argument #1 to 'coroutine.wrap' (function expected, got number)"] = {
        coroutine.wrap, 1,
      },
      ["bad argument #1 to 'setmetatable' (table expected, got number)"] = { setmetatable, 1, {} },
      ["bad argument #2 to 'setmetatable' (nil or table expected, got number)"] = {
        setmetatable, {}, 1,
      },
      ["bad argument #1 to 'load' (function expected, got table)"] = { load, {} },
      ["bad argument #1 to 'warn' (string expected, got no value)"] = { warn },
      ["bad argument #2 to 'xpcall' (function expected, got no value)"] = { xpcall, print },
      ["resulting string too large"] = { string.rep, "ab", 1 << 40 },
      ["too many results to unpack"] = { table.unpack, {}, 1, 1e8 },
      ["attempt to yield from outside a coroutine"] = { coroutine.yield, 1 },
    } do
      local got = message(table.unpack(call))
      expect(got):to_contain(text)
    end
  end)
end)

describe("coroutines", function()
  it("nest as deep as in Lua", function()
    local depth = 0
    local function deeper()
      depth = depth + 1
      return coroutine.wrap(deeper)()
    end
    expect(message(deeper)):to_contain("C stack overflow")
    expect(depth > 150):to_equal(true)
  end)

  it("do not take a task's yield for their own", function()
    local yielding = coroutine.wrap(function()
      bulk.each({ 1, 2 }, { on_error = "stop" }, function(n)
        coroutine.yield(n)
      end)
    end)
    expect(message(yielding)):to_contain("attempt to yield from outside a coroutine")
  end)

  it("know the main one", function()
    local main, is_main = coroutine.running()
    expect(is_main):to_equal(true)
    expect(coroutine.isyieldable()):to_equal(false)
    coroutine.wrap(function()
      local inner, is_main_too = coroutine.running()
      expect(is_main_too):to_equal(false)
      expect(inner ~= main):to_equal(true)
      expect(coroutine.isyieldable()):to_equal(true)
      expect(coroutine.status(main)):to_equal("normal")
    end)()
  end)

  it("close their variables when a wrapped one fails", function()
    local closed
    local f = coroutine.wrap(function()
      local _ <close> = setmetatable({}, {
        __close = function()
          closed = iam.profiles.get("worker").name
        end,
      })
      error("gone")
    end)
    expect(message(f)):to_contain("gone")
    expect(closed):to_equal("worker")
  end)
end)

describe("files", function()
  it("are told apart", function()
    expect(io.type(io.stdout)):to_equal("file")
    expect(io.type(io.stdin)):to_equal("file")
    expect(io.type(3)):to_equal(nil)
    expect(tostring(io.stdout)):to_match("^file %(0x")
    local closed, why = io.stdout:close()
    expect(closed):to_equal(nil)
    expect(why):to_equal("cannot close standard file")
    expect((select(2, io.stdout:seek()))):to_equal("Illegal seek")
    expect(io.output() == io.stdout and io.input() == io.stdin):to_equal(true)
  end)

  it("are closed by io.lines at their end", function()
    local folder = temp_folder()
    fs.write(folder .. "/lines.txt", "a\nb\n")
    local all = {}
    for _ = 1, 3000 do
      for line in io.lines(folder .. "/lines.txt") do
        all[#all + 1] = line
      end
    end
    expect(#all):to_equal(6000)
    local next_line = io.lines(folder .. "/lines.txt")
    next_line()
    next_line()
    expect(next_line()):to_equal(nil)
    expect(message(next_line)):to_contain("file")
  end)

  it("can take the place of standard output and input", function()
    local folder = temp_folder()
    fs.write(folder .. "/in.txt", "one\n2\n")
    io.input(folder .. "/in.txt")
    expect(io.read()):to_equal("one")
    expect(io.read("n")):to_equal(2)
    io.close(io.input())
    io.input(io.stdin)
    local file = io.open(folder .. "/out.txt", "w")
    io.output(file)
    io.write("x", 1, "\n"):write("y")
    io.close()
    io.output(io.stdout)
    expect(fs.read(folder .. "/out.txt")):to_equal("x1\ny")
  end)
end)

describe("require", function()
  it("finds Lua's own modules", function()
    for _, name in ipairs { "string", "table", "math", "io", "os", "coroutine", "utf8", "debug" } do
      expect(require(name) == _G[name]):to_equal(true)
    end
    expect(package.config:sub(1, 1)):to_equal("/")
  end)

  it("asks package.preload, and package.path in the script's folder", function()
    package.preload.made = function(name, place)
      return { name = name, place = place }
    end
    local made, place = require("made")
    expect(made.name .. made.place .. place):to_equal("made:preload::preload:")
    package.preload.made, package.loaded.made = nil, nil
    local before = package.path
    package.path = "./nowhere/?.lua;" .. before
    expect(message(require, "nothing")):to_contain("module 'nothing' not found")
    package.path = 3
    expect(message(require, "nothing")):to_contain("package.path must be a string")
    package.path = before
  end)
end)

describe("what the sandbox removes", function()
  it("says so", function()
    for _, f in ipairs { dofile, loadfile, string.dump, io.popen, debug.sethook, package.loadlib } do
      expect(message(f, "x")):to_contain("is not available in scripts")
    end
  end)

  it("leaves information about functions", function()
    local info = debug.getinfo(1, "Sl")
    expect(info.short_src):to_match("lua_test.lua$")
    expect(info.func):to_equal(nil)
    -- A function of the program's own looks like one in C.
    expect(debug.getinfo(try, "S").what):to_equal("C")
    expect(debug.traceback("x")):to_match("^x\nstack traceback:\n\t.*lua_test.lua")
    expect((debug.traceback():find("[iamlua:", 1, true))):to_equal(nil)
  end)
end)
