-- Tests of check: every fault of a value with its place, and shapes that are wrong themselves.

local function is(value, shape, ...)
  local problems = check.problems(value, shape)
  local wanted = json.array { ... }
  assert(json.encode(problems) == json.encode(wanted), json.encode(problems))
end

local function refuses(part, hint, f, ...)
  local value, err = try(f, ...)
  assert(value == nil and err, "it was accepted")
  assert(err.kind == "argument" and err.message:find(part, 1, true), tostring(err))
  assert(not hint or (err.hint and err.hint:find(hint, 1, true)), err.hint)
end

it("types, and their combinations", function()
  is("x", "string")
  is(1, "integer")
  is(1.5, "integer", "the value must be an integer, got number")
  is(1.5, "number")
  is(nil, "string?")
  is(nil, "string", "the value is missing")
  is(json.null, "string?", "the value must be a string, got null")
  is(true, "string|number", "the value must be a string or a number, got boolean")
  is(5, "string|number")
  is(nil, "any", "the value is missing")
  is({}, "array")
  is({}, "object")
  is(json.array(), "object", "the value must be an object, got array")
  is({ a = 1 }, "array", "the value must be an array, got table")
  is(print, "function")
end)

it("objects, maps and arrays name the place of each fault", function()
  local shape = {
    profiles = {
      { name = "string", path = "string?", tags = check.optional { ["*"] = "string" } },
    },
    stage = "string",
  }
  is({ stage = "x", profiles = { { name = "a", tags = { Owner = "b" } }, { name = "c" } } }, shape)
  is(
    {
      profiles = {
        { name = 1 },
        "x",
        { name = "a", pth = "/", tags = { ["a b"] = 2, Owner = {} } },
      },
    },
    shape,
    "profiles[1].name must be a string, got number",
    "profiles[2] must be an object, got string",
    "profiles[3].tags.Owner must be a string, got table",
    'profiles[3].tags["a b"] must be a string, got number',
    "profiles[3].pth is not a known field; did you mean path?",
    "stage is missing"
  )
  is(
    { profiles = { a = 1 }, stage = "x" },
    shape,
    "profiles must be an array, but it has the key \"a\""
  )
  is({ 1, nil, 3 }, { "number" }, "[2] is missing")
  is({ [1] = 1, [5] = 2 }, { "number" }, "the value must be an array, but it has the key 5")
  is({ [1] = "x" }, { a = "any?" }, "the value must be an object, got array")
  is({ [true] = 1 }, { a = "any?" }, "[true] is not a known field")
  is({ ["*"] = 1 }, { owner = "any?" }, '["*"] is not a known field')
end)

it("functions, choices, optional shapes and several", function()
  local not_empty = function(text)
    return text == "" and "must not be empty" or nil
  end
  is({ name = "" }, { name = check.all("string", not_empty) }, "name must not be empty")
  is({ name = 5 }, { name = check.all("string", not_empty) }, "name must be a string, got number")
  is("b", check.one_of("a", "b", 3, false))
  is(nil, check.one_of("a"), "the value is missing")
  is({}, check.one_of("a", 3), 'the value must be one of "a", 3, got table')
  is(nil, check.optional { a = "string" })
  is({}, check.optional { a = "string" }, "a is missing")
end)

it("check returns the value, or raises all problems", function()
  local value = { 1, 2 }
  assert(check(value, { "number" }) == value)
  refuses("config.port is missing", nil, check, {}, { port = "integer" }, { name = "config" })
  refuses("entry 2: port is missing", nil, check, {}, { port = "integer" }, { name = "entry 2:" })
  refuses("2 problems\n  a is missing\n  b is missing", nil, check, {}, { a = "any", b = "any" })
  local many = {}
  for i = 1, 100000 do
    many[i] = "x"
  end
  refuses("100000 problems\n  [1] must", nil, check, many, { "number" })
  local problems, more = check.problems(many, { "number" }, { limit = 3 })
  assert(#problems == 3 and more == 99997)
end)

it("hostile values end, and stay on their line", function()
  local loop, shape = {}, {}
  loop.next, shape.next = loop, shape
  local problems = check.problems(loop, shape)
  assert(#problems == 1 and problems[1]:find("is nested more than 100 levels deep"), problems[1])
  is({ ["a\nb\27"] = 1 }, { a = "any?" }, '["a\\nb\\x1b"] is not a known field')
  local long = check.problems({ [("k"):rep(100000)] = 1 }, { a = "any?" })[1]
  assert(#long < 200, #long)
  is("\xff", check.one_of("a"), 'the value must be one of "a", got "\\xff"')
end)

it("wrong shapes and options are refused", function()
  refuses('no type "strng"', "did you mean 'string'?", check, 1, "strng")
  refuses('no type "xyzzy"', "there is string", check, 1, "string|xyzzy")
  refuses("must be a string, a table or a function, got nil", nil, check, 1)
  refuses("a shape is empty", '"table"', check, {}, {})
  refuses("one shape in it", "check.one_of", check, {}, { "string", "number" })
  refuses("either named fields or one shape", nil, check, {}, { [true] = "string" })
  refuses("must return a string or nil, got boolean", nil, check, 1, function()
    return true
  end)
  refuses("limit must be an integer from 1, got 0", nil, check, 1, "any", { limit = 0 })
  refuses("no option", nil, check, 1, "any", { nam = "x" })
  refuses("check.one_of: there is no value", nil, check.one_of)
  refuses("value 1 must be text", nil, check.one_of, {})
  refuses("check.all: there is no shape", nil, check.all)
  refuses("check.optional: there is no shape", nil, check.optional)
end)
