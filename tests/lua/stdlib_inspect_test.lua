-- Tests of inspect: readable, sorted, on one line if it fits, and without terminal control
-- characters.

local function shows(value, text, options)
  local got = inspect(value, options)
  assert(got == text, ("%s\nis not\n%s"):format(got, text))
end

it("plain values look like Lua", function()
  shows(nil, "nil")
  shows(true, "true")
  shows(1, "1")
  shows(1.0, "1.0")
  shows(0.1, "0.1")
  shows(math.huge, "math.huge")
  shows(-math.huge, "-math.huge")
  shows(0 / 0, "0/0")
  shows(math.mininteger, "math.mininteger")
  shows(json.null, "json.null")
  shows("x", '"x"')
  shows(print, "<function>")
  shows(coroutine.create(print), "<coroutine>")
  shows(io.stdin, inspect.visible(tostring(io.stdin)))
end)

it("tables are sorted: items, then numbers, names, the rest", function()
  shows({}, "{}")
  shows({ 3, 1, 2 }, "{ 3, 1, 2 }")
  shows({ b = 1, a = { c = 2 }, "x" }, '{ "x", a = { c = 2 }, b = 1 }')
  shows({ [10] = 1, [2.5] = 2, [true] = 3, z = 4 }, "{ [2.5] = 2, [10] = 1, z = 4, [true] = 3 }")
  shows({ ["end"] = 1, ["a-b"] = 2, _x1 = 3 }, '{ _x1 = 3, ["a-b"] = 2, ["end"] = 1 }')
end)

it("what does not fit goes on several lines", function()
  shows(
    { name = "web", tags = { Owner = "ops" } },
    '{\n  name = "web",\n  tags = { Owner = "ops" },\n}',
    { width = 35 }
  )
  shows({ 1, 2 }, "{\n  1,\n  2,\n}", { width = 5 })
  shows({ { 1, { 2 } } }, "{\n  {\n    1,\n    { 2 },\n  },\n}", { width = 12 })
  local text = inspect(iam.profiles.get("web-frontend"))
  for line in text:gmatch("[^\n]+") do
    assert(
      utf8.len(line) <= 100 or line:find("assume_role_policy", 1, true) or line:find("arn", 1, true),
      line
    )
  end
end)

it("what is printed can be read back by Lua", function()
  local value = {
    'a\n\t"\\\0\u{e9}',
    x = { 1, 2.5, math.huge },
    ["not a name"] = { ["while"] = false },
    [7] = "\xff\27\u{202e}",
  }
  local copy = assert(load("return " .. inspect(value)))()
  assert(inspect(copy) == inspect(value))
  assert(copy[1] == value[1] and copy[7] == value[7] and copy["not a name"]["while"] == false)
end)

it("tables in themselves end", function()
  local loop = { name = "loop" }
  loop.self = loop
  shows(loop, '{ name = "loop", self = <cycle> }')
  local twice = { 1 }
  shows({ twice, twice }, "{ { 1 }, { 1 } }")
  local deep = {}
  for _ = 1, 1000 do
    deep = { deep }
  end
  assert(inspect(deep, { width = 1000 }):find("{…}", 1, true))
  shows({ a = { b = { c = 1 } } }, "{ a = { b = {…} } }", { depth = 2 })
  shows({ a = { b = {} } }, "{ a = {…} }", { depth = 1 })
end)

it("a value that has a text shows it", function()
  local _, err = try(iam.profiles.get, "no-such-profile")
  assert(
    inspect(err):find("NoSuchEntity: Instance Profile no-such-profile cannot be found", 1, true),
    inspect(err)
  )
  shows(
    { require("arn").parse("arn:aws:iam::123456789012:role/web") },
    "{ arn:aws:iam::123456789012:role/web }"
  )
  local broken = setmetatable({}, {
    __tostring = function()
      error("no")
    end,
  })
  shows(broken, "<table whose __tostring fails>")
  shows(
    setmetatable({ 1 }, {
      __index = { hidden = 1 },
      __pairs = function()
        error("no")
      end,
    }),
    "{ 1 }"
  )
end)

it("nothing reaches a terminal", function()
  shows("\27[2J\r\127\0", [["\x1b[2J\r\x7f\x00"]])
  shows("\u{9b}31m \u{2028} \u{202e} \u{2066}", [["\u{9b}31m \u{2028} \u{202e} \u{2066}"]])
  shows(
    "o\u{200b}\u{ad}ps \u{200e}\u{61c}\u{feff}\u{e0041}\u{fe0f}",
    [["o\u{200b}\u{ad}ps \u{200e}\u{61c}\u{feff}\u{e0041}\u{fe0f}"]]
  )
  shows("ok \xc3\xa9 \xff\xc3 \xed\xa0\x80", '"ok \u{e9} \\xff\\xc3 \\xed\\xa0\\x80"')
  assert(inspect.visible("Grüße – 日本 👍 \t") == "Grüße – 日本 👍 \\t")
  assert(inspect.visible("C:\\new") == "C:\\new" and inspect.quote("C:\\new") == [["C:\\new"]])
  assert(inspect.visible("") == "" and inspect.quote('"') == [["\""]])
end)

it("wrong arguments are refused", function()
  local function refuses(part, ...)
    local _, err = try(...)
    assert(err and err.kind == "argument" and err.message:find(part, 1, true), tostring(err))
    return err
  end
  assert(refuses("no option", inspect, {}, { dept = 1 }).hint == "did you mean 'depth'?")
  refuses("depth must be a whole number", inspect, {}, { depth = -1 })
  refuses("width must be a whole number", inspect, {}, { width = "80" })
  refuses("options must be a table", inspect, {}, 80)
  refuses("inspect.visible: the text must be a string", inspect.visible, 1)
  refuses("inspect.quote: the text must be a string", inspect.quote, nil)
end)
