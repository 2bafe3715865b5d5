--- Checks of data from outside, such as an input file or an answer, against a shape. All faults are
--- found at once, each with its place.
---
--- ```lua
--- local data = json.decode('{ "profiles": [{ "name": "web", "tags": { "Owner": 7 } }] }')
--- local problems = check.problems(data, {
---   profiles = { { name = "string", path = "string?", tags = { ["*"] = "string" } } },
--- })
--- assert(problems[1] == "profiles[1].tags.Owner must be a string, got number")
--- ```
---
--- A shape is one of these:
---
--- - `"string"`, or another type; `"string?"` is optional, and `"string|number"` has two types.
--- - A table with named fields: an object with these keys. The key `"*"` stands for all others.
--- - A table with one shape, such as `{ "string" }`: an array of it.
--- - A function that gets the value, and returns the problem as text, or nil.
--- - The result of `check.optional`, `check.one_of` or `check.all`.
---
--- The types are `string`, `number`, `integer`, `boolean`, `table`, `array`, `object`, `function`
--- and `any`. The text of a function is read behind the place: `"must not be empty"`.
---@class check
---@overload fun(value: any, shape: check.Shape, options?: check.Options): any
local check = {}

local _, host = ...
local inspect = require("inspect")
local json = require("json")

---@alias check.Shape string|table|fun(value: any): string?

--- Options of `check` and `check.problems`. With the name `"the file"` a problem reads
--- `the file.profiles[1] is missing`; with `"line 3:"` it reads `line 3: name is missing`.
---@class check.Options
---@field name? string the name of the value, before each place; a colon may be at its end
---@field limit? integer the largest number of problems. Default: 20

local MAX_PROBLEMS = 20
local MAX_NESTING = 100
-- Largest number of keys that are compared with a wrong one.
local MAX_NEAR = 1000
local MAX_SHOWN = 60

local TYPES = {
  "string",
  "number",
  "integer",
  "boolean",
  "table",
  "array",
  "object",
  "function",
  "any",
}
local KNOWN, ARTICLES = {}, {}
for _, name in ipairs(TYPES) do
  KNOWN[name] = true
  ARTICLES[name] = (string.find(name, "^[aeiou]") and "an " or "a ") .. name
end

-- Kinds of the shapes that functions of this module make, and their parts.
local made = setmetatable({}, { __mode = "k" })

local function make(kind, value)
  local shape = setmetatable({}, { __name = "shape" })
  made[shape] = { kind = kind, value = value }
  return shape
end

local function wrong(name, problem, hint)
  host.fail("argument", name .. ": " .. problem, hint)
end

-- Value in a message, on one line.
local function shown(value)
  local text = type(value) == "string" and '"' .. inspect.visible(string.sub(value, 1, 200)) .. '"'
    or tostring(value)
  if utf8.len(text) and utf8.len(text) > MAX_SHOWN then
    return string.sub(text, 1, utf8.offset(text, MAX_SHOWN) - 1) .. "…"
  end
  return text
end

-- Type of a value in a message.
local function type_of(value)
  if value == nil then
    return "nothing"
  elseif value == json.null then
    return "null"
  end
  return type(value) == "table" and json.is_array(value) and "array" or type(value)
end

local function place_of(place, key)
  if type(key) == "string" then
    if #key <= MAX_SHOWN and string.find(key, "^[%a_][%w_-]*$") then
      local is_heading = string.sub(place, -1) == ":"
      return place == "" and key or place .. (is_heading and " " or ".") .. key
    end
    return place .. "[" .. shown(key) .. "]"
  end
  return place .. "[" .. tostring(key) .. "]"
end

-- State of one check: `problems`, and how many may be found.
local function report(state, place, problem)
  local problems = state.problems
  if #problems >= state.limit then
    state.more = state.more + 1
  else
    problems[#problems + 1] = (place == "" and "the value" or place) .. " " .. problem
  end
end

local function is_type(value, name)
  local kind = type(value)
  if name == "any" then
    return value ~= nil
  elseif name == "integer" then
    return math.type(value) == "integer"
  elseif name == "array" then
    return kind == "table" and (json.is_array(value) or next(value) == nil)
  elseif name == "object" then
    return kind == "table" and not json.is_array(value)
  end
  return kind == name
end

-- Names of the types in a text such as "string|number?", and true if the value is optional.
local function types_of(text, where)
  local plain, optional = string.gsub(text, "%?$", "")
  local names = {}
  for name in string.gmatch(plain .. "|", "([^|]*)|") do
    if not KNOWN[name] then
      local near = utf8.len(name) and host.nearest(name, TYPES)
      wrong(
        where,
        "the shape has no type " .. inspect(name),
        near and "did you mean '" .. near .. "'?" or "there is " .. table.concat(TYPES, ", ")
      )
    end
    names[#names + 1] = name
  end
  return names, optional > 0
end

local look

local function look_at_types(state, value, shape, place)
  local names, optional = types_of(shape, state.where)
  if optional and value == nil then
    return
  end
  for _, name in ipairs(names) do
    if is_type(value, name) then
      return
    end
  end
  if value == nil then
    return report(state, place, "is missing")
  end
  for i, name in ipairs(names) do
    names[i] = name == "any" and "a value" or ARTICLES[name]
  end
  report(state, place, "must be " .. table.concat(names, " or ") .. ", got " .. type_of(value))
end

local function look_at_array(state, value, shape, place, depth)
  if value == nil then
    return report(state, place, "is missing")
  elseif type(value) ~= "table" then
    return report(state, place, "must be an array, got " .. type_of(value))
  end
  local count = rawlen(value)
  for key in next, value do
    if math.type(key) ~= "integer" or key < 1 or key > count then
      return report(state, place, "must be an array, but it has the key " .. shown(key))
    end
  end
  for at = 1, count do
    look(state, value[at], shape[1], place_of(place, at), depth)
  end
end

local function key_before(a, b)
  local kind, other = type(a), type(b)
  if kind ~= other then
    return kind < other
  elseif kind == "number" or kind == "string" then
    return a < b
  end
  return tostring(a) < tostring(b)
end

local function sorted_keys(t)
  local keys = {}
  for key in next, t do
    keys[#keys + 1] = key
  end
  table.sort(keys, key_before)
  return keys
end

local function look_at_object(state, value, shape, place, depth)
  if value == nil then
    return report(state, place, "is missing")
  elseif type(value) ~= "table" or json.is_array(value) then
    return report(state, place, "must be an object, got " .. type_of(value))
  end
  local names = {}
  for _, key in ipairs(sorted_keys(shape)) do
    if type(key) ~= "string" then
      wrong(state.where, "a shape has either named fields or one shape of an array")
    elseif key ~= "*" then
      names[#names + 1] = key
      look(state, value[key], shape[key], place_of(place, key), depth)
    end
  end
  local others = shape["*"]
  for _, key in ipairs(sorted_keys(value)) do
    if shape[key] == nil or key == "*" then
      if others ~= nil then
        look(state, value[key], others, place_of(place, key), depth)
      else
        local near = type(key) == "string" and #names <= MAX_NEAR and utf8.len(key)
          and host.nearest(key, names)
        local hint = near and "; did you mean " .. near .. "?" or ""
        report(state, place_of(place, key), "is not a known field" .. hint)
      end
    end
  end
end

-- Adds the problems of a value.
function look(state, value, shape, place, depth)
  if depth > MAX_NESTING then
    return report(state, place, "is nested more than " .. MAX_NESTING .. " levels deep")
  end
  depth = depth + 1
  local own = made[shape]
  if own then
    return own.kind(state, value, own.value, place, depth)
  elseif type(shape) == "string" then
    return look_at_types(state, value, shape, place)
  elseif type(shape) == "function" then
    local problem = shape(value)
    if type(problem) == "string" then
      report(state, place, problem)
    elseif problem ~= nil then
      wrong(
        state.where,
        "the function of a shape must return a string or nil, got " .. type(problem)
      )
    end
    return
  elseif type(shape) ~= "table" then
    wrong(state.where, "a shape must be a string, a table or a function, got " .. type(shape))
  elseif next(shape) == nil then
    wrong(state.where, "a shape is empty", 'write "table" for any table')
  elseif rawlen(shape) == 0 then
    return look_at_object(state, value, shape, place, depth)
  elseif rawlen(shape) > 1 or next(shape, next(shape)) ~= nil then
    wrong(
      state.where,
      "the shape of an array has one shape in it",
      "check.one_of names values, and check.all takes several shapes"
    )
  end
  look_at_array(state, value, shape, place, depth)
end

local function problems_of(where, value, shape, options)
  options = host.check_options(where, options, { "name", "limit" })
  local name, limit = options.name, options.limit
  if name ~= nil and type(name) ~= "string" then
    wrong(where, "name must be a string, got " .. type(name))
  elseif limit ~= nil and (math.type(limit) ~= "integer" or limit < 1) then
    wrong(where, "limit must be an integer from 1, got " .. inspect(limit))
  end
  local state = { problems = {}, more = 0, limit = limit or MAX_PROBLEMS, where = where }
  look(state, value, shape, name and inspect.visible(name) or "", 1)
  return state.problems, state.more
end

--- Returns the problems of a value, each with its place; none if it has the shape.
---
--- ```lua
--- local shape = { hosts = { "string" }, port = check.optional("integer") }
--- local problems = check.problems({ hosts = { "a", 5 }, prt = 80 }, shape)
--- assert(problems[1] == "hosts[2] must be a string, got number")
--- assert(problems[2] == "prt is not a known field; did you mean port?")
--- ```
---@param value any
---@param shape check.Shape
---@param options? check.Options
---@return string[] problems
---@return integer more the number of problems beyond the limit
function check.problems(value, shape, options)
  local problems, more = problems_of("check.problems", value, shape, options)
  return json.array(problems), more
end

--- Makes a shape optional: nil has it too. `"string?"` is shorter for types.
---@param shape check.Shape
---@return table shape
function check.optional(shape)
  if shape == nil then
    wrong("check.optional", "there is no shape")
  end
  return make(function(state, value, inner, place, depth)
    if value ~= nil then
      look(state, value, inner, place, depth)
    end
  end, shape)
end

--- Makes a shape of the values that are allowed.
---
--- ```lua
--- local problems = check.problems("stagin", check.one_of("staging", "prod"), { name = "stage" })
--- assert(problems[1] == 'stage must be one of "staging", "prod", got "stagin"')
--- ```
---@param ... string|number|boolean
---@return table shape
function check.one_of(...)
  local values, texts = table.pack(...), {}
  if values.n == 0 then
    wrong("check.one_of", "there is no value")
  end
  for i = 1, values.n do
    local kind = type(values[i])
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
      wrong("check.one_of", "value " .. i .. " must be text, a number or a boolean, got " .. kind)
    end
    texts[i] = shown(values[i])
  end
  return make(function(state, value, allowed, place)
    for i = 1, allowed.n do
      if value == allowed[i] then
        return
      end
    end
    if value == nil then
      return report(state, place, "is missing")
    end
    local got = type(value) == "table" and type_of(value) or shown(value)
    report(state, place, "must be one of " .. table.concat(texts, ", ") .. ", got " .. got)
  end, values)
end

--- Makes a shape of several: a value must have all of them. They are looked at in order, up to the
--- first one that it does not have.
---
--- ```lua
--- local port = check.all("integer", function(n)
---   return (n < 1 or n > 65535) and "must be a port, from 1 to 65535" or nil
--- end)
--- assert(check(443, port) == 443)
--- ```
---@param ... check.Shape
---@return table shape
function check.all(...)
  local shapes = table.pack(...)
  if shapes.n == 0 then
    wrong("check.all", "there is no shape")
  end
  return make(function(state, value, inner, place, depth)
    local before = #state.problems + state.more
    for i = 1, inner.n do
      look(state, value, inner[i], place, depth)
      if #state.problems + state.more > before then
        return
      end
    end
  end, shapes)
end

local function call(_, value, shape, options)
  local problems, more = problems_of("check", value, shape, options)
  if #problems == 0 then
    return value
  end
  local text = problems[1]
  if #problems > 1 then
    text = #problems + more .. " problems\n  " .. table.concat(problems, "\n  ")
    text = more > 0 and text .. "\n  and " .. more .. " more" or text
  end
  host.fail("argument", text)
end

return setmetatable(check, { __call = call })
