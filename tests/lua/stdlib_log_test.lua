-- Tests of log: one line per message on standard error, without terminal control characters.

local run_script = require("script")

local function lines_of(code)
  local ran = run_script("{dir}/main.lua", {}, { ["main.lua"] = code })
  assert(ran.code == 0, ran.stderr)
  assert(ran.stdout == "", "log wrote to standard output: " .. ran.stdout)
  local lines = {}
  for line in ran.stderr:gmatch("[^\n]+") do
    table.insert(lines, (line:gsub("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ ", "NOW ")))
  end
  return lines
end

local function expect(code, ...)
  local lines, wanted = lines_of(code), { ... }
  assert(
    #lines == #wanted,
    ("%d lines, not %d: %s"):format(#lines, #wanted, table.concat(lines, " | "))
  )
  for i, line in ipairs(wanted) do
    assert(lines[i] == line, lines[i] .. " is not " .. line)
  end
end

it("a message has time, level, text and sorted fields", function()
  expect(
    'log.info("tagged", { profile = "web", count = 3, ok = true }) log.warn("slow") log.error("failed")',
    "NOW INFO  tagged count=3 ok=true profile=web",
    "NOW WARN  slow",
    "NOW ERROR failed"
  )
end)

it("values that could be mistaken are quoted", function()
  expect(
    [[log.info("x", { a = "two words", b = "", c = 'say "hi"', d = "k=v", e = "back\\slash" })]],
    [[NOW INFO  x a="two words" b="" c="say \"hi\"" d="k=v" e="back\\slash"]]
  )
end)

it("nothing breaks the line or reaches the terminal", function()
  expect(
    [[log.info("one\ntwo\27[31m", { text = "a\r\nb", bytes = "\xff", flip = "\u{202e}" })]],
    [[NOW INFO  one\ntwo\x1b[31m bytes="\xff" flip="\u{202e}" text="a\r\nb"]]
  )
end)

it("any value can be logged", function()
  expect(
    [[log.info({ a = 1 }) log.info(nil) log.info("x", { list = { 1, 2 }, f = print, err = select(2, try(error, "no")) })]],
    "NOW INFO  { a = 1 }",
    "NOW INFO  nil",
    'NOW INFO  x err=no f=<function> list="{ 1, 2 }"'
  )
end)

it("the level decides what is shown", function()
  expect('log.debug("hidden") log.info("shown")', "NOW INFO  shown")
  expect('log.level = "debug" log.debug("shown")', "NOW DEBUG shown")
  expect('log.level = "error" log.warn("hidden") log.error("shown")', "NOW ERROR shown")
end)

it("wrong arguments are refused", function()
  local function refuses(part, f, ...)
    local _, err = try(f, ...)
    assert(err and err.kind == "argument" and err.message:find(part, 1, true), tostring(err))
    return err
  end
  refuses("log.info: the fields must be a table, got string", log.info, "x", "y")
  refuses("log.debug: the fields must be a table", log.debug, "x", 1)
  local level = log.level
  log.level = "loud"
  refuses('log.level is "loud"', log.info, "x")
  log.level = level
end)
