--- Functions for test files that `iamlua test` runs. They exist only there, in addition to
--- everything that scripts have.
---
--- Every test runs in a separate Lua state, on a fresh account in memory. That is the example
--- account, unless the test changes it. The file is loaded again for each test, so code at its top
--- level or in a `describe` runs before every test, and tests cannot affect each other.
---
--- Test code may change its account freely, and read files beside the test file. Failed items of
--- `bulk` do not fail a test by themselves. Further permissions are given by the same flags as for
--- `iamlua run`, such as `--allow-run=git`. The output of a test is shown if it fails, with the
--- standard error of the run that a failed expectation is about. `iamlua.toml` is ignored.
---
--- Runbooks under test run no programs and touch no files of this machine, whatever their manifests
--- ask for. They see the programs and files that `fake` defines. Their use of them is in the result
--- of `run_runbook`.
---
--- ```lua
--- describe("bulk_tag.lua", function()
---   before_each(function()
---     account.import { profiles = { { name = "web", path = "/ec2/" } } }
---   end)
---
---   it("sets the owner everywhere", function()
---     local run = run_runbook("bulk_tag.lua", { owner = "ops" })
---     expect(run.code):to_equal(0)
---     expect(run.changes[1]):to_have { action = "TagInstanceProfile", name = "web" }
---     expect(iam.profiles.tags("web")):to_equal { Owner = "ops" }
---   end)
--- end)
--- ```

local host, offers = ...

-- Tests may replace globals, to test a module with them; the code here must keep working.
local type, tostring, ipairs, next, select = type, tostring, ipairs, next, select
local pcall, xpcall, error = pcall, xpcall, error
local setmetatable, getmetatable = setmetatable, getmetatable
local rawget, rawlen, rawequal = rawget, rawlen, rawequal
local find, sub, gsub, gmatch, match =
  string.find, string.sub, string.gsub, string.gmatch, string.match
local utf8_len, utf8_offset, open_file = utf8.len, utf8.offset, io.open
local concat, sort, unpack, table_remove = table.concat, table.sort, table.unpack, table.remove
local math_type, tointeger, huge = math.type, math.tointeger, math.huge
local require = require

local function array(list)
  return setmetatable(list, host.array_meta)
end

local function offer(name, ...)
  return host.settle(offers[name](...))
end

-- Upper bound on the values that are shown.
local MAX_VALUES = 5000

local function inspect(value, width, most)
  return require("inspect")(value, { width = width, most = most or MAX_VALUES })
end

local function wrong(problem, hint)
  host.fail("argument", problem, hint)
end

local function check_bytes(what, value)
  if type(value) ~= "string" then
    wrong(what .. " must be a string, got " .. type(value))
  end
end

local function check_text(what, value)
  check_bytes(what, value)
  if not utf8_len(value) then
    wrong(what .. " must be UTF-8, got " .. inspect(value))
  end
end

local function check_function(what, value)
  if not host.is_callable(value) then
    wrong(what .. " must be a function, got " .. type(value))
  end
end

----------------------------------------------------------------------------------- Tests and suites

local tests = {}
local suite = { names = {}, before = {}, after = {} }
-- Running test, and its expectations without an assertion.
local running, open_expectations = nil, {}
-- Runs of runbooks in it, and the run that a failed expectation is about.
local runs, suspect = {}, nil

local function no_definition(what)
  if running then
    host.fail(
      "script",
      what .. " cannot be called while a test runs",
      "put it beside the test, not into it"
    )
  end
end

--- Groups tests under a name. Groups can be nested; the full name of a test has all of their names,
--- joined by ` › `.
---
--- ```lua
--- describe("profiles without an owner", function()
---   it("are reported", function()
---     expect(run_runbook("untagged.lua", { require = "Owner" }).stdout):to_contain("legacy-app")
---   end)
--- end)
--- ```
---@param name string
---@param f fun()
function describe(name, f)
  check_text("describe: the name", name)
  check_function("describe: what follows the name", f)
  no_definition("describe")
  local outer = suite
  local names = { unpack(outer.names) }
  names[#names + 1] = name
  suite = { names = names, before = {}, after = {}, outer = outer }
  -- Cleanup that also runs after an error that is caught.
  local _ <close> = setmetatable({}, {
    __close = function()
      suite = outer
    end,
  })
  f()
end

local function define(what, mode, name, f)
  check_text(what .. ": the name", name)
  check_function(what .. ": what follows the name", f)
  no_definition(what)
  local names = { unpack(suite.names) }
  names[#names + 1] = name
  tests[#tests + 1] =
    { name = concat(names, " › "), mode = mode, place = host.where(2), f = f, suite = suite }
end

--- Defines a test. It passes if its function returns, and fails if the function raises an error, as
--- `expect`, `assert`, `error` and a failing call of `iam` do.
---
--- ```lua
--- it("makes a profile at the root", function()
---   expect(iam.profiles.create("new").path):to_equal("/")
--- end)
--- ```
---@class it
---@overload fun(name: string, f: fun())
it = setmetatable({}, {
  __call = function(_, name, f)
    define("it", "run", name, f)
  end,
})

--- Defines a test that is skipped.
---@param name string
---@param f fun()
function it.skip(name, f)
  define("it.skip", "skip", name, f)
end

--- Defines a test that runs alone: other tests of the file are skipped, except those defined in the
--- same way. For use while working on it.
---@param name string
---@param f fun()
function it.only(name, f)
  define("it.only", "only", name, f)
end

--- Registers a function to run before each test of the group, or of the file. Functions of outer
--- groups run first. The account is fresh at that time.
---@param f fun()
function before_each(f)
  check_function("before_each: what it is given", f)
  no_definition("before_each")
  suite.before[#suite.before + 1] = f
end

--- Registers a function to run after each test of the group, or of the file, also after a failed
--- one. Functions of inner groups run first. Temporary folders and the account need no cleanup.
---@param f fun()
function after_each(f)
  check_function("after_each: what it is given", f)
  no_definition("after_each")
  suite.after[#suite.after + 1] = f
end

local function set_up(of)
  if of.outer then
    set_up(of.outer)
  end
  for _, f in ipairs(of.before) do
    f()
  end
end

-- Runs all `after` functions, whatever fails; adds to the failures.
local function tear_down(of, failures)
  while of do
    for _, f in ipairs(of.after) do
      local ok, err = xpcall(f, host.handler)
      if not ok then
        failures[#failures + 1] = err
      end
    end
    of = of.outer
  end
end

-- First failure, with the others in its message.
local function combined(failures)
  local first = failures[1]
  for at = 2, #failures do
    local other = failures[at]
    local message, place = tostring(other.message), other.where
    if place and sub(message, 1, #place) ~= place then
      message = place .. ": " .. message
    end
    first.message = tostring(first.message) .. "\nand after it " .. message
  end
  return first
end

-- Reports expectations without an assertion: they test nothing.
local function check_open_expectations()
  local places = {}
  for _, place in next, open_expectations do
    places[#places + 1] = place
  end
  sort(places)
  if #places > 0 then
    local message = "expect(…) alone says nothing about its value: " .. concat(places, ", ")
    local err = {
      kind = "script",
      message = message,
      where = places[1],
      hint = "add what is expected, such as :to_equal(…)",
      traceback = "",
    }
    error(setmetatable(err, host.Error), 0)
  end
end

-- Name of a test in one line, without terminal control characters.
local function name_of(test)
  return find(test.name, "%c") and require("inspect").visible(test.name) or test.name
end

-- Reports the tests of the file.
local function list()
  local known = {}
  for at, test in ipairs(tests) do
    known[at] = { name = name_of(test), mode = test.mode, place = test.place }
  end
  offer("defined", array(known))
end

-- Number of runs that are remembered, and upper bounds on the values of a result that are compared
-- with the value of an expectation, and on the standard error that is shown.
local MAX_RUNS, MAX_COMPARED, MAX_STDERR = 16, 2000, 4000

-- Returns true if a value is in the result of a run, or the length of an array there.
local function is_in(result, value)
  local seen, left = {}, MAX_COMPARED
  local function holds(inner)
    left = left - 1
    if left < 0 or rawequal(inner, value) then
      return left >= 0
    elseif type(inner) ~= "table" or seen[inner] then
      return false
    end
    seen[inner] = true
    if rawlen(inner) == value then
      return true
    end
    for _, field in next, inner do
      if holds(field) then
        return true
      end
    end
    return false
  end
  return type(value) ~= "nil" and type(value) ~= "boolean" and holds(result)
end

-- Notes the run that a failed expectation is about.
local function suspect_run_of(value)
  for at = #runs, 1, -1 do
    if is_in(runs[at].result, value) then
      suspect = runs[at]
      return
    end
  end
end

-- Shows the standard error of the run that has probably failed the test.
local function show_stderr()
  local run = suspect or runs[#runs]
  if not run or (run ~= suspect and run.result.code == 0) or run.stderr == "" then
    return
  end
  local text = match(run.stderr, "^(.-)\n*$")
  if #text > MAX_STDERR then
    local from = utf8_offset(text, 0, #text - MAX_STDERR)
    text = "… " .. sub(text, from)
  end
  local said = "run_runbook(" .. inspect(run.path) .. ") ended with code " .. run.code
  host.print_err(said .. "; its standard error:\n  " .. gsub(text, "\n(.)", "\n  %1") .. "\n")
end

-- Runs one of them. An equal count and an equal name confirm that it is the requested one.
local function run(index, name, count)
  local test = tests[index]
  if #tests ~= count or name_of(test) ~= name then
    host.fail(
      "script",
      "the file does not define the same tests each time it is read",
      "which tests there are must not depend on chance, on the account, or on what ran before"
    )
  end
  running, open_expectations, runs, suspect = test, {}, {}, nil
  local ok, err = xpcall(function()
    set_up(test.suite)
    test.f()
    check_open_expectations()
  end, host.handler)
  local failures = { not ok and err or nil }
  tear_down(test.suite, failures)
  running = nil
  if #failures > 0 then
    show_stderr()
    error(combined(failures), 0)
  end
end

------------------------------------------------------------------------------------------ Comparing

-- Upper bound on nesting. Deeper tables are a mistake, and exceed Lua's stack.
local MAX_DEPTH = 10000

local function check_depth(depth)
  if depth > MAX_DEPTH then
    wrong(
      "the tables are nested deeper than can be compared: more than "
        .. MAX_DEPTH
        .. " are inside of each other"
    )
  end
end

local function is_equal(a, b, seen, depth)
  if a == b or (a ~= a and b ~= b) then
    return true
  elseif type(a) ~= "table" or type(b) ~= "table" then
    return false
  end
  seen, depth = seen or {}, depth or 0
  check_depth(depth)
  local partners = seen[a] or {}
  if partners[b] then
    return true
  end
  partners[b], seen[a] = true, partners
  for key, value in next, a do
    local other = rawget(b, key)
    if other == nil or not is_equal(value, other, seen, depth + 1) then
      return false
    end
  end
  for key in next, b do
    if rawget(a, key) == nil then
      return false
    end
  end
  return true
end

-- Part of a value that `fields` describes, to be shown beside them. The second result is true if it
-- matches.
local function picked(value, fields, seen, depth)
  if type(value) ~= "table" or type(fields) ~= "table" then
    return value, is_equal(value, fields)
  end
  seen, depth = seen or {}, depth or 0
  check_depth(depth)
  local partners = seen[fields] or {}
  seen[fields] = partners
  local known = partners[value]
  if known then
    return known.part, known.agrees
  end
  -- While a value is compared, a reference to itself counts as a match.
  known = { part = {}, agrees = true }
  partners[value] = known
  local part, agrees = known.part, true
  for key, field in next, fields do
    local inner, is_so = picked(value[key], field, seen, depth + 1)
    part[key], agrees = inner, agrees and is_so
  end
  -- An array must match as a whole, and so must an empty table.
  if next(fields) == nil then
    for key, inner in next, value do
      part[key], agrees = inner, false
    end
  elseif rawlen(fields) > 0 then
    for at = rawlen(fields) + 1, #value do
      part[at], agrees = value[at], false
    end
  end
  known.agrees = agrees
  return part, agrees
end

local SHORT = 100
-- Length from which on a text is cut.
local LONG = 10000

local function is_short(text)
  return #text <= SHORT and not find(text, "\n", 1, true)
end

local function indented(text)
  return "  " .. gsub(text, "\n", "\n  ")
end

local function cut(text)
  if #text <= LONG then
    return text
  end
  local kept = utf8_offset(text, 0, LONG) - 1
  return sub(text, 1, kept) .. "… and " .. #text - kept .. " bytes more"
end

-- Value in the middle of a sentence.
local function shown(value)
  local text = cut(inspect(value))
  return is_short(text) and text or "\n" .. indented(text) .. "\n"
end

-- Lines of a text, with control characters made visible.
local function visible_lines(text)
  local lines = {}
  for line in gmatch(text .. "\n", "([^\n]*)\n") do
    lines[#lines + 1] = require("inspect").visible(line)
  end
  return concat(lines, "\n")
end

-- Expected and actual value, as far as they differ.
local function difference(expected, actual)
  local is_text = type(expected) == "string" and type(actual) == "string"
  local before, after = inspect(expected), inspect(actual)
  local is_brief = is_short(before)
    and is_short(after)
    and (type(expected) ~= "table" or type(actual) ~= "table")
  if is_brief and not (is_text and (find(expected, "\n") or find(actual, "\n"))) then
    return "expected " .. before .. "\ngot      " .. after
  elseif is_text then
    before, after = visible_lines(expected), visible_lines(actual)
  elseif not is_brief then
    -- Every field has its own line, so that a field that differs is a line that differs.
    before, after = inspect(expected, 0), inspect(actual, 0)
  end
  if before == after then
    return "the two look the same, but are not equal:\n" .. indented(cut(before))
  end
  return "expected (-) and actual (+) differ\n" .. offer("diff", before, after)
end

--------------------------------------------------------------------------------------- Expectations

--- Expectations of a value. An unmet expectation raises an error that names the line of the test
--- and shows the difference.
---@class Expectation
local Expectation = {}

local function fail(message, hint)
  host.fail("script", message, hint)
end

-- Records an assertion. `problem` describes its failure, `opposite` that of its negation.
local function judge(self, is_so, problem, opposite)
  open_expectations[self] = nil
  if self.is_negated then
    is_so, problem = not is_so, opposite
  end
  if not is_so then
    suspect_run_of(self.value)
    fail(problem())
  end
end

--- Negates the next expectation. The usual name `not` is a keyword of Lua.
---
--- ```lua
--- expect(iam.profiles.tags("bastion")):never():to_have { Owner = "nobody" }
--- ```
---@return Expectation
function Expectation:never()
  self.is_negated = not self.is_negated
  return self
end

--- Expects a value that is equal to another. Tables are compared by their fields, at any depth.
---
--- ```lua
--- iam.profiles.create { name = "web", tags = { Owner = "ops", Stage = "prod" } }
--- expect(iam.profiles.tags("web")):to_equal { Owner = "ops", Stage = "prod" }
--- ```
---@param expected any
function Expectation:to_equal(expected)
  judge(self, is_equal(self.value, expected), function()
    return difference(expected, self.value)
  end, function()
    return "expected anything but " .. shown(expected)
  end)
end

--- Expects the identical value, as `==` compares it: a table only matches itself.
---@param expected any
function Expectation:to_be(expected)
  judge(self, self.value == expected, function()
    if expected ~= expected and self.value ~= self.value then
      return "expected 0/0, which is not equal to itself", "to_equal takes it for equal"
    elseif is_equal(self.value, expected) then
      return "the two tables are equal, but not the same one: " .. shown(expected),
        "to_equal compares what is in them"
    end
    return difference(expected, self.value)
  end, function()
    return "expected anything but " .. shown(expected)
  end)
end

local function expect_that(self, is_so, what)
  judge(self, is_so, function()
    return "expected " .. what .. "\ngot      " .. shown(self.value)
  end, function()
    return "expected anything but " .. what .. ", got " .. shown(self.value)
  end)
end

--- Expects nil.
function Expectation:to_be_nil()
  expect_that(self, self.value == nil, "nil")
end

--- Expects exactly `true`, not only a truthy value.
function Expectation:to_be_true()
  expect_that(self, self.value == true, "true")
end

--- Expects exactly `false`, not nil.
function Expectation:to_be_false()
  expect_that(self, self.value == false, "false")
end

--- Expects a truthy value: neither false nor nil.
function Expectation:to_be_truthy()
  expect_that(self, self.value, "what counts as true")
end

--- Expects a falsy value: false or nil.
function Expectation:to_be_falsy()
  expect_that(self, not self.value, "false or nil")
end

--- Expects a smaller value: a number, or text such as a date.
---@param limit number|string
function Expectation:to_be_less_than(limit)
  if type(limit) ~= type(self.value) or (type(limit) ~= "number" and type(limit) ~= "string") then
    wrong("to_be_less_than: cannot compare " .. inspect(self.value) .. " with " .. inspect(limit))
  end
  expect_that(self, self.value < limit, "less than " .. inspect(limit))
end

--- Expects a greater value: a number, or text such as a date.
---@param limit number|string
function Expectation:to_be_greater_than(limit)
  if type(limit) ~= type(self.value) or (type(limit) ~= "number" and type(limit) ~= "string") then
    wrong(
      "to_be_greater_than: cannot compare " .. inspect(self.value) .. " with " .. inspect(limit)
    )
  end
  expect_that(self, self.value > limit, "greater than " .. inspect(limit))
end

-- Asserts that a text or table has, or lacks, a part.
-- Number of elements of an array that are shown, and more values than fit into a short text.
local MAX_ELEMENTS, MANY = 5, 50

-- Value on one short line.
local function brief(value)
  local text, is_cut = inspect(value, LONG, MANY), false
  if #text > SHORT then
    text, is_cut = sub(text, 1, utf8_offset(text, 0, SHORT) - 1), true
  end
  return gsub(text, "\n *", " ") .. (is_cut and "…" or "")
end

-- Sentence about an array: whole if it is short, else with its first elements below.
local function about_array(value, predicate)
  local text = inspect(value, nil, MANY)
  if is_short(text) then
    return "expected " .. text .. predicate
  end
  local count = #value
  local what = "an array of " .. count .. (count == 1 and " element" or " elements")
  local lines = { "expected " .. what .. predicate .. "; it has" }
  for at = 1, count < MAX_ELEMENTS and count or MAX_ELEMENTS do
    lines[at + 1] = "[" .. at .. "] " .. brief(value[at])
  end
  if count > MAX_ELEMENTS then
    lines[#lines + 1] = "and " .. count - MAX_ELEMENTS .. " more"
  end
  return concat(lines, "\n  ")
end

local function judge_part(self, is_so, verb, part)
  judge(self, is_so, function()
    return "expected " .. shown(self.value) .. " to " .. verb .. " " .. shown(part)
  end, function()
    return "expected " .. shown(self.value) .. " not to " .. verb .. " " .. shown(part)
  end)
end

--- Expects text that contains a text, or an array that contains an element equal to a value.
---
--- ```lua
--- expect("3 profiles tagged"):to_contain("3 profiles")
--- expect({ "api", "web" }):to_contain("web")
--- ```
---@param part any
function Expectation:to_contain(part)
  local value = self.value
  local is_so = false
  if part == nil then
    wrong(
      "to_contain: what it should contain is nil, and nothing contains that",
      "to_be_nil is for that"
    )
  elseif type(value) == "string" then
    check_bytes("to_contain: what the text should contain", part)
    is_so = find(value, part, 1, true) ~= nil
  elseif type(value) == "table" and (#value > 0 or next(value) == nil) then
    for _, item in ipairs(value) do
      is_so = is_so or is_equal(item, part)
    end
  elseif type(value) == "table" then
    wrong(
      "to_contain: is for texts and arrays, and this table has names: " .. shown(value),
      "to_have is for those"
    )
  else
    wrong("to_contain: is for texts and arrays, got " .. shown(value))
  end
  if type(value) == "string" then
    return judge_part(self, is_so, "contain", part)
  end
  judge(self, is_so, function()
    local message = about_array(value, " to contain " .. brief(part))
    local hint = type(value[1]) == "table"
        and "an element must be equal as a whole; expect(list[1]):to_have { … } compares fields"
      or nil
    return message, hint
  end, function()
    return about_array(value, " not to contain " .. brief(part))
  end)
end

--- Expects text that matches a Lua pattern, anywhere in it.
---
--- ```lua
--- local run = run_runbook("bulk_tag.lua", { owner = "ops" })
--- expect(run.stderr):to_match("tag: %d+ done")
--- ```
---@param pattern string
function Expectation:to_match(pattern)
  check_bytes("to_match: the pattern", pattern)
  if type(self.value) ~= "string" then
    wrong("to_match: is for texts, got " .. shown(self.value))
  end
  local ok, at = pcall(find, self.value, pattern)
  if not ok then
    wrong("to_match: " .. inspect(pattern) .. " is no pattern: " .. tostring(at))
  end
  judge_part(self, at ~= nil, "match", pattern)
end

--- Expects a table with these fields and equal values. The table, and the tables in it, may have
--- further fields. An array must have the same number of elements, and an empty table must be
--- empty.
---
--- ```lua
--- local run = run_runbook("bulk_tag.lua", { owner = "ops" })
--- local after = { tags = { Owner = "ops" } }
--- expect(run.changes[1]):to_have { action = "TagInstanceProfile", after = after }
--- ```
---@param fields table
function Expectation:to_have(fields)
  if type(fields) ~= "table" then
    wrong("to_have: the fields must be a table, got " .. type(fields))
  elseif next(fields) == nil then
    wrong("to_have: there is no field in {}", "to_equal {} says that a table is empty")
  elseif type(self.value) ~= "table" then
    wrong("to_have: is for tables, got " .. shown(self.value))
  end
  local part, agrees = picked(self.value, fields)
  judge(self, agrees, function()
    return difference(fields, part)
  end, function()
    return "expected " .. shown(self.value) .. " not to have " .. shown(fields)
  end)
end

-- Message of an error, without the leading place, which has the name of the test file.
local function message_of(err)
  local text = type(err) == "table" and rawget(err, "message")
  text = type(text) == "string" and text or tostring(err)
  return match(text, "^[^\n]-%.lua:%d+: (.*)$") or match(text, "^%[iamlua:%l+%]:%d+: (.*)$") or text
end

local function raises_as(err, expected)
  if expected == nil then
    return true
  elseif type(expected) == "table" then
    local _, agrees = picked(err, expected)
    return type(err) == "table" and agrees
  end
  local fields = type(err) == "table" and err or {}
  local text = message_of(err)
  if fields.code == expected or fields.kind == expected or find(text, expected, 1, true) then
    return true
  end
  local ok, at = pcall(find, text, expected)
  return ok and at ~= nil
end

--- Expects a function that raises an error: any, or one with a given code (`"NoSuchEntity"`) or
--- kind (`"refused"`), with a message that contains or matches a text, or with given fields.
--- Returns the error.
---
--- ```lua
--- local err = expect(function()
---   iam.profiles.get("no-such-profile")
--- end):to_raise("NoSuchEntity")
--- expect(err.operation):to_equal("GetInstanceProfile")
--- ```
---@param expected? string|table
---@return any error
function Expectation:to_raise(expected)
  check_function("to_raise: the value of expect(…)", self.value)
  if expected ~= nil and type(expected) ~= "string" and type(expected) ~= "table" then
    wrong("to_raise: a code, a kind, a pattern or fields belong here, got " .. type(expected))
  elseif expected == "" or (type(expected) == "table" and next(expected) == nil) then
    wrong(
      "to_raise: " .. inspect(expected) .. " says nothing about the error",
      "to_raise() is for any error"
    )
  end
  local ok, err = pcall(self.value)
  local what = expected == nil and "an error" or "the error " .. shown(expected)
  judge(self, not ok and raises_as(err, expected), function()
    if ok then
      return "expected " .. what .. ", but none was raised"
    end
    return "expected " .. what .. "\ngot      " .. tostring(err)
  end, function()
    return "expected anything but " .. what .. ", got " .. tostring(err)
  end)
  return err
end

local EXPECTATIONS = {}
for name in next, Expectation do
  EXPECTATIONS[#EXPECTATIONS + 1] = name
end
sort(EXPECTATIONS)

local expectation_meta
-- Number of arguments of each assertion. Further ones are refused, because they would have no
-- effect.
local ARGUMENTS = {
  to_equal = 1,
  to_be = 1,
  to_be_less_than = 1,
  to_be_greater_than = 1,
  to_contain = 1,
  to_match = 1,
  to_have = 1,
  to_raise = 1,
}

for _, name in ipairs(EXPECTATIONS) do
  local f, most = Expectation[name], ARGUMENTS[name] or 0
  Expectation[name] = function(self, ...)
    if type(self) ~= "table" or getmetatable(self) ~= expectation_meta then
      wrong(name .. " needs a colon in front", "write expect(…):" .. name .. "(…)")
    elseif select("#", ...) > most then
      local takes = most == 0 and "no argument" or "one argument"
      wrong(name .. " takes " .. takes .. ", got " .. select("#", ...))
    end
    return f(self, ...)
  end
end

expectation_meta = {
  __name = "expectation",
  __index = function(_, name)
    local known = rawget(Expectation, name)
    -- The value may be nil.
    if known == nil and name ~= "value" then
      local near = type(name) == "string" and host.nearest(name, EXPECTATIONS)
      wrong(
        "expect(…) has no " .. tostring(name),
        near and "did you mean " .. near .. "?" or "there is " .. concat(EXPECTATIONS, ", ")
      )
    end
    return known
  end,
}

--- Starts an expectation: `expect(value):to_equal(…)`, with a colon. A test with an `expect` that
--- has no assertion fails.
---@param value any
---@return Expectation
function expect(value)
  local self = setmetatable({ value = value, is_negated = false }, expectation_meta)
  open_expectations[self] = host.where(2)
  return self
end

local expect_one = expect
expect = function(...)
  if select("#", ...) > 1 then
    local problem = "expect takes one value, got " .. select("#", ...)
    wrong(
      problem,
      "a call that returns several stands in parentheses of its own for the first: expect((f()))"
    )
  end
  return expect_one((...))
end

---------------------------------------------------------------------------------------- The account

--- Account of the test. It is in memory, fresh for each test, and discarded afterwards.
---@class account
account = {}

-- Upper bound on nesting; no account is nested deeper.
local MAX_ACCOUNT_DEPTH = 100

-- Checks that all texts in a table are UTF-8, as in JSON.
local function check_texts(value, before, path, depth)
  if type(value) == "string" then
    check_text(before .. path, value)
  elseif type(value) == "table" and depth < MAX_ACCOUNT_DEPTH then
    for key, inner in next, value do
      local name = "[" .. inspect(key) .. "]"
      if type(key) == "string" then
        check_text(before .. "the key " .. path .. name, key)
        name = find(key, "^[%a_][%w_]*$") and (path == "" and key or "." .. key) or name
      end
      check_texts(inner, before, path .. name, depth + 1)
    end
  end
end

--- Replaces the whole account by the contents of a file from `iamlua account export`, or by a table
--- of the same shape. The file is searched for beside the test file, then in the current folder. In
--- a table `format` and `version` are optional.
---
--- ```lua
--- account.import { profiles = { { name = "web", path = "/ec2/", tags = { Owner = "ops" } } } }
--- expect(iam.profiles.get("web").path):to_equal("/ec2/")
--- ```
---@param what string|table
function account.import(what)
  if type(what) == "string" then
    check_text("account.import: the file", what)
  elseif type(what) ~= "table" then
    wrong("account.import: a file or a table belongs here, got " .. type(what))
  else
    check_texts(what, "account.import: ", "", 0)
  end
  offer("import", what)
end

--- Returns the whole account, as `iamlua account export` writes it: `.profiles`, `.roles`,
--- `.policies`, `.account`.
---@return table
function account.export()
  return offer("export")
end

--- Resets the account to the empty or the example account.
---@param contents "empty"|"example"
function account.reset(contents)
  check_text("account.reset: what the account has", contents)
  offer("reset", contents)
end

--- Injects faults into the account, as `--faults` does: delay, throttling, errors, eventual
--- consistency. `""` or nil removes them.
---
--- ```lua
--- account.faults("throttle=50/100,error=1%,lag=2s,seed=7")
--- ```
---
--- Calls held by `hold=…` wait until the faults are changed:
---
--- ```lua
--- account.faults("hold=iam:GetRole")
--- local reading = task.spawn(iam.roles.get, "worker")
--- time.sleep("20ms")
--- expect(reading:done()):to_be_false()
--- account.faults()
--- ```
---
--- The lag of `iamlua test --lag` stays unless `lag=` is given; `lag=0` removes it.
---@param faults? string
function account.faults(faults)
  if faults ~= nil then
    check_text("account.faults: the faults", faults)
  end
  offer("faults", faults or "")
end

--- Returns the number of requests that the test has sent so far, by AWS action. Requests of its
--- runbooks and retries are included.
---
--- ```lua
--- iam.profiles.tag("bastion", { Stage = "prod" })
--- expect(account.calls().TagInstanceProfile):to_equal(1)
--- ```
---@return table<string, integer>
function account.calls()
  return offer("calls")
end

------------------------------------------------------------------------------------------ The clock

--- Clock of the test. It applies to the account, and to `time.now()` and `time.ago()` in the test
--- and in the runbooks that it runs. It starts at the real time and stands still, so dates are
--- predictable. `clock.set`, `clock.advance` and a `time.sleep` of a script move it; the sleep also
--- takes its real time. Delayed consistency and throttling wait for real time, or for
--- `clock.advance`.
---@class clock
clock = {}

local function retold(name, f, ...)
  local ok, result = pcall(f, ...)
  if not ok then
    wrong(
      name
        .. ": "
        .. gsub(type(result) == "table" and result.message or tostring(result), "^time%.%w+: ", "")
    )
  end
  return result
end

--- Sets the clock to a time, later or earlier.
---
--- ```lua
--- clock.set("2026-01-01T00:00:00Z")
--- expect(iam.profiles.create("new").create_date):to_equal("2026-01-01T00:00:00Z")
--- ```
---@param iso string
function clock.set(iso)
  offer("clock_set", retold("clock.set", require("time").parse, iso))
end

--- Advances the clock by a duration.
---
--- ```lua
--- local profile = iam.profiles.create("new")
--- clock.advance("90d")
--- expect(time.age(profile.create_date)):to_equal("90d")
--- ```
---@param length string|number
function clock.advance(length)
  offer("clock_advance", retold("clock.advance", require("time").seconds, length))
end

--- Returns the time of the clock as ISO 8601 text.
---@return string
function clock.now()
  return require("time").now()
end

---------------------------------------------------------------------------------------- The machine

--- Fake programs, files, environment variables and web servers for the runbooks of a test. A
--- runbook still needs the permission, by its manifest or by an option of `run_runbook`. Everything
--- that is neither fake nor granted to `iamlua test` by a flag such as `--allow-run=git` does not
--- exist; its use raises an error.
---
--- ```lua
--- fake.process("date", { stdout = "2026-01-01\n" })
--- fake.file("/etc/owners", "ops\n")
--- local folder = temp_folder { ["tag.lua"] = [[
---   runbook {
---     permissions = { run = { "date" }, read = { "/etc/owners" }, write = { "/var/log" } },
---   }
---   local owner = fs.read("/etc/owners"):match("%a+")
---   local today = process.run("date").stdout:match("%S+")
---   iam.profiles.tag("bastion", { Owner = owner, Checked = today })
---   fs.write("/var/log/tagged.txt", "bastion")
--- ]] }
--- local run = run_runbook(folder .. "/tag.lua")
--- expect(run.changes[1].after.tags):to_have { Owner = "ops", Checked = "2026-01-01" }
--- expect(run.processes):to_equal { { program = "date", args = {} } }
--- expect(run.files["/var/log/tagged.txt"]):to_equal("bastion")
--- ```
---@class fake
fake = {}

---@class (exact) fake.End
---@field code? integer the exit code, from 0 to 255. Default: 0.
---@field stdout? string the standard output. Default: empty
---@field stderr? string the standard error. Default: empty
---@field args? string[] the arguments of the call that this result is for. Default: any
---@field error? string failure to start: `process.run` raises it, as an error of kind "io"

local END_FIELDS = { "code", "stdout", "stderr", "args", "error" }

local function end_of(given)
  given = host.check_options("fake.process", given, END_FIELDS)
  local code = given.code
  if code ~= nil and (math_type(code) ~= "integer" or code < 0 or code > 255) then
    wrong("fake.process: code must be a whole number from 0 to 255, got " .. inspect(code))
  end
  for _, name in ipairs { "stdout", "stderr", "error" } do
    if given[name] ~= nil then
      check_text("fake.process: " .. name, given[name])
    end
  end
  return { code = code, stdout = given.stdout, stderr = given.stderr, error = given.error }
end

--- Fakes a program: `process.run` of a runbook returns the result, and nothing runs. The results of
--- an array are used one after the other; the last one is repeated. A result with the same `args`
--- as the call takes precedence over one without, and a later definition over an earlier one.
---
--- ```lua
--- fake.process("git", { args = { "rev-parse", "HEAD" }, stdout = "0a1b2c\n" })
--- fake.process("ping", { { code = 1, stderr = "unreachable" }, { stdout = "1 received" } })
--- fake.process("kubectl", { error = "No such file or directory" })
--- ```
---@param program string its name or path, as the runbook gives it
---@param result? fake.End|fake.End[] default: exit code 0 and no output
function fake.process(program, result)
  check_text("fake.process: the program", program)
  if result ~= nil and type(result) ~= "table" then
    wrong("fake.process: the result must be a table, got " .. type(result))
  end
  local results = result and #result > 0 and result or { result or {} }
  local ends, args = {}, nil
  for at, given in ipairs(results) do
    ends[at] = end_of(given)
    args = args or given.args
  end
  local words
  if args ~= nil then
    if type(args) ~= "table" then
      wrong("fake.process: args must be an array of strings, got " .. type(args))
    end
    words = array {}
    for at, word in ipairs(args) do
      check_text("fake.process: args[" .. at .. "]", word)
      words[at] = word
    end
  end
  offer("fake_process", { program = program, args = words, ends = array(ends) })
end

--- Fakes a file: runbooks read that text, even if the machine has a file of that name. Without a
--- text, the file does not exist, to test a runbook in that case.
---
--- Files that runbooks write are kept in `files` of the result of `run_runbook`, unless
--- `temp_folder` or a flag of `iamlua test` has made their path real.
---
--- ```lua
--- fake.file("config.json", '{ "owner": "ops" }')
--- fake.file("/etc/missing")
--- ```
---@param path string as the runbook gives it
---@param text? string
function fake.file(path, text)
  check_text("fake.file: the path", path)
  if text ~= nil then
    check_text("fake.file: the text", text)
  end
  offer("fake_file", path, text)
end

--- Fakes an environment variable for `os.getenv` in runbooks. All others are nil there.
---
--- ```lua
--- fake.env("STAGE", "prod")
--- ```
---@param name string
---@param value string
function fake.env(name, value)
  check_text("fake.env: the name", name)
  check_text("fake.env: the value", value)
  offer("fake_env", name, value)
end

local function sorted_names(map, what)
  local names = {}
  for name in next, map do
    if type(name) ~= "string" then
      local problem = what .. " must have names, but there is the key " .. inspect(name)
      wrong(problem, "arguments without a name go into options.args")
    end
    check_text(what .. ": a name", name)
    names[#names + 1] = name
  end
  sort(names)
  return names
end

---@class fake.Answer
---@field status? integer the status, from 100 to 599. Default: 200
---@field body? string the body. Default: empty
---@field json? any a value whose JSON is the body
---@field headers? table<string, string>
---@field error? string no answer: `http` raises it, as an error of kind "connection"

local ANSWER_FIELDS = { "status", "body", "json", "headers", "error" }

local function answer_of(given)
  given = host.check_options("fake.http", given, ANSWER_FIELDS)
  local status, body = given.status, given.body
  if status ~= nil and (math_type(status) ~= "integer" or status < 100 or status > 599) then
    wrong("fake.http: status must be a whole number from 100 to 599, got " .. inspect(status))
  end
  for _, name in ipairs { "body", "error" } do
    if given[name] ~= nil then
      check_text("fake.http: " .. name, given[name])
    end
  end
  local headers = {}
  if given.headers ~= nil and type(given.headers) ~= "table" then
    wrong("fake.http: headers must be a table, got " .. type(given.headers))
  end
  for _, name in ipairs(sorted_names(given.headers or {}, "fake.http: the headers")) do
    check_text("fake.http: the header " .. name, given.headers[name])
    headers[name] = given.headers[name]
  end
  if given.json ~= nil then
    body = require("json").encode(given.json)
    headers["content-type"] = "application/json"
  end
  return { status = status, body = body, headers = headers, error = given.error }
end

--- Fakes a web server: requests of runbooks by `http` get the answer, and nothing is sent. In the
--- address `*` stands for any text, and a method may stand before it. The answers of an array are
--- used one after the other; the last one is repeated. A later definition takes precedence over an
--- earlier one. The requests are in `requests` of the result of `run_runbook`.
---
--- ```lua
--- fake.http("https://api.example.com/owners*", { json = { owner = "ops" } })
--- fake.http("POST https://hooks.example.com/*", { { status = 503 }, { status = 200 } })
--- fake.http("https://down.example.com/", { error = "connection refused" })
--- ```
---@param url string
---@param answer? fake.Answer|fake.Answer[] default: status 200 and no body
function fake.http(url, answer)
  check_text("fake.http: the address", url)
  if answer ~= nil and type(answer) ~= "table" then
    wrong("fake.http: the answer must be a table, got " .. type(answer))
  end
  local _, after, method = find(url, "^(%u+) +")
  url = after and sub(url, after + 1) or url
  if not find(url, "^https?://") then
    wrong("fake.http: the address must begin with https:// or http://, got " .. inspect(url))
  end
  local answers = {}
  for at, given in ipairs(answer and #answer > 0 and answer or { answer or {} }) do
    answers[at] = answer_of(given)
  end
  offer("fake_http", { method = method, url = url, answers = array(answers) })
end

------------------------------------------------------------------------------------------- Runbooks

--- Options of a test run of a runbook.
---@class run_runbook.Options
---@field mode? "apply"|"plan"|"read-only" make, list or refuse changes. Default: "apply"
---@field output? "table"|"json"|"jsonl"|"csv" the format, as `--output`. Default: "table"
---@field args? string[] further arguments of the command line
---@field max_changes? integer|string as `--max-changes`
---@field timeout? string|number as `--timeout`
---@field confirm? boolean the answer to the question for `permissions`. Default: true
---@field allow_read? string[] as `--allow-read`
---@field allow_write? string[] as `--allow-write`
---@field allow_env? string[] as `--allow-env`
---@field allow_run? string[] as `--allow-run`
---@field allow_net? string[] as `--allow-net`

--- Change of a run. `before` and `after` have the fields `name`, `path`, `id`, `create_date`,
--- `role` and `tags`.
---@class run_runbook.Change
---@field number integer the number of the change in the run, from 1
---@field action string the AWS action, such as "TagInstanceProfile"
---@field subject "profile"|"role"
---@field name string the name of the profile or role
---@field arguments table the arguments of the call
---@field before? table the profile or role before the change; nil if it did not exist
---@field after? table the profile or role after the change; nil if it was deleted
---@field outcome "done"|"failed"|"in_doubt"|"planned"
---@field error? string AWS's message, for a failed change
---@field text string the change as a plan shows it: `~ tag profile web: Owner → ops`

--- Action outside of the account that a plan lists: a program, a file write, a folder or a request.
---@class run_runbook.Outside
---@field kind "run"|"write"|"mkdir"|"request"
---@field program? string of a program
---@field arguments? string[] of a program
---@field path? string of a file or folder
---@field method? string of a request
---@field url? string of a request, without its possible secrets
---@field bytes? integer size of a file, or of the body of a request

--- Program that a run started, real or fake.
---@class run_runbook.Process
---@field program string name or path, as the runbook gives it
---@field args string[]
---@field stdin? string its standard input

--- Request that a run sent by `http`, to a real or a fake server.
---@class run_runbook.Request
---@field method string
---@field url string the address, with the query
---@field headers table<string, string> the headers that the runbook set, by names in lower case
---@field body? string

--- Result of a test run. `stderr` has everything but the results: `log`, summaries, the plan, and
--- the error that ended the run. Runs under test have no journal, so it names none.
---@class run_runbook.Result
---@field code integer the exit code
---@field stdout string the results on standard output
---@field stderr string the messages on standard error
---@field changes run_runbook.Change[] changes that were made or planned, in order
---@field processes run_runbook.Process[] programs that were run, real or fake; none under a plan
---@field requests run_runbook.Request[] requests that were sent by `http`
---@field files table<string, string> fake files that were written or planned, by path
---@field outside run_runbook.Outside[] actions outside of the account that a plan lists
---@field calls table<string, integer> the number of requests, by AWS action
---@field error? table the error that ended it: `kind`, `message`, `code`, `hint` and so on

local OPTIONS = {
  "mode",
  "output",
  "args",
  "max_changes",
  "timeout",
  "confirm",
  "allow_read",
  "allow_write",
  "allow_env",
  "allow_run",
  "allow_net",
}

local function word_of(what, value)
  if math_type(value) == "float" and value == value and value ~= huge and value ~= -huge then
    value = tointeger(value) or value
  end
  if type(value) ~= "string" and type(value) ~= "number" and type(value) ~= "boolean" then
    wrong(what .. " cannot be " .. inspect(value) .. " on a command line")
  elseif type(value) == "string" then
    check_text(what, value)
  end
  return tostring(value)
end

-- Command line arguments for parameters.
local function words_of(params, more)
  local words = {}
  local function add(word)
    words[#words + 1] = word
  end
  for _, name in ipairs(sorted_names(params, "run_runbook: the parameters")) do
    local value, flag, what =
      params[name], "--" .. gsub(name, "_", "-"), "run_runbook: the parameter " .. name
    if not find(name, "^%l[%l%d_]*$") then
      local hint = "names have small letters, digits and _, such as dry_path"
      wrong(what .. " has a name that no parameter can have", hint)
    elseif type(value) == "boolean" then
      add(value and flag or "--no-" .. sub(flag, 3))
    elseif type(value) ~= "table" then
      add(flag .. "=" .. word_of(what, value))
    elseif #value > 0 then
      for _, item in ipairs(value) do
        add(flag .. "=" .. word_of(what, item))
      end
    else
      for _, key in ipairs(sorted_names(value, what)) do
        add(flag .. "=" .. key .. "=" .. word_of(what, value[key]))
      end
    end
  end
  for _, word in ipairs(more) do
    add(word_of("run_runbook: an argument", word))
  end
  return words
end

-- List of texts of an option, which may also be a single text.
local function texts_of(name, value)
  if value == nil then
    return {}
  elseif type(value) ~= "table" then
    value = { value }
  end
  local list = {}
  for at, item in ipairs(value) do
    list[at] = word_of("run_runbook: " .. name, item)
  end
  return list
end

--- Runs a runbook, or a script without a manifest, on the account of the test, as `iamlua run`
--- would. It runs in a separate Lua state, with the permissions of its manifest and no others, on
--- the machine that `fake` defines.
---
--- Parameters become flags: `dry_path = true` is `--dry-path`, false is `--no-dry-path`, a list
--- repeats its flag, and a map becomes `KEY=VALUE`. The file is searched for beside the test file,
--- then in the current folder. A failure of the runbook is a result, not an error.
---
--- ```lua
--- local run = run_runbook("bulk_tag.lua", { owner = "ops", path = "/ec2/" }, { mode = "plan" })
--- expect(run.code):to_equal(0)
--- expect(#run.changes):to_equal(10)
--- ```
---@param path string
---@param params? table<string, any>
---@param options? run_runbook.Options
---@return run_runbook.Result
function run_runbook(path, params, options)
  check_text("run_runbook: the file", path)
  if params ~= nil and type(params) ~= "table" then
    wrong("run_runbook: the parameters must be a table, got " .. type(params))
  end
  options = host.check_options("run_runbook", options, OPTIONS)
  if options.confirm ~= nil and type(options.confirm) ~= "boolean" then
    wrong("run_runbook: confirm must be true or false, got " .. type(options.confirm))
  end
  for _, name in ipairs { "mode", "output", "max_changes" } do
    if type(options[name]) == "string" then
      check_text("run_runbook: " .. name, options[name])
    end
  end
  local timeout = options.timeout ~= nil
    and retold("run_runbook: timeout", require("time").seconds, options.timeout)
  local given = {
    mode = options.mode,
    output = options.output,
    max_changes = options.max_changes ~= nil and tostring(options.max_changes) or nil,
    timeout = timeout or nil,
    confirm = options.confirm,
  }
  for _, name in ipairs { "read", "write", "env", "run", "net" } do
    given["allow_" .. name] = array(texts_of("allow_" .. name, options["allow_" .. name]))
  end
  local words = array(words_of(params or {}, texts_of("args", options.args)))
  local result = host.await(offer("runbook", path, words, given))
  if result.error then
    setmetatable(result.error, host.Error)
  end
  if #runs == MAX_RUNS then
    table_remove(runs, 1)
  end
  runs[#runs + 1] = { path = path, code = result.code, stderr = result.stderr, result = result }
  return result
end

--- Creates a temporary folder with files, and returns its path. It is removed after the test. The
--- test may read and write there. A runbook may do so if it is given the folder or a file in it, in
--- the ways in which operators do that. A key such as `a/b.txt` creates a subfolder.
---
--- ```lua
--- local folder = temp_folder { ["profiles.json"] = '[{ "name": "made", "path": "/new/" }]' }
--- run_runbook("ensure.lua", { file = folder .. "/profiles.json" })
--- expect(iam.profiles.get("made").path):to_equal("/new/")
--- ```
---@param files? table<string, string> contents of the files, by name
---@return string path
function temp_folder(files)
  if files ~= nil and type(files) ~= "table" then
    wrong("temp_folder: the files must be a table, got " .. type(files))
  end
  local names = sorted_names(files or {}, "temp_folder: the files")
  for _, name in ipairs(names) do
    check_bytes("temp_folder: what is in " .. name, files[name])
  end
  local path = offer("temp_folder", array(names))
  host.grant("read", path)
  host.grant("write", path)
  for _, name in ipairs(names) do
    local file <close>, why = open_file(path .. "/" .. name, "wb")
    local ok
    if file then
      ok, why = file:write(files[name])
      ok = ok and file:flush()
    end
    if not ok then
      host.fail("io", "temp_folder: cannot write " .. name .. ": " .. tostring(why))
    end
  end
  return path
end

-- Entry point for the program after the file was loaded: lists the tests without a number, runs one
-- with its number.
return function(index, ...)
  if index then
    run(index, ...)
  else
    list()
  end
end
