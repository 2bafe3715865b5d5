--- Readable text of any value: `print(inspect(value))`. The format resembles Lua, with sorted keys
--- and short tables on one line. Terminal control characters are escaped.
---
--- ```lua
--- print(inspect(iam.profiles.get("bastion")))
--- assert(inspect({ b = 2, a = { 1, 2 } }) == "{ a = { 1, 2 }, b = 2 }")
--- ```
---@class inspect
---@overload fun(value: any, options?: inspect.Options): string
local inspect = {}

local _, host = ...

---@class inspect.Options
---@field depth? integer maximum depth of tables; deeper ones are printed as `{…}`. Default: 20
---@field width? integer columns before a table is split into several lines. Default: 100
---@field most? integer maximum number of values; `…` stands for the rest. Default: a million

-- The questions that `runbook` asks the operator pass through here, so nothing here may depend on
-- globals that a script can replace.
local find, gsub = string.find, string.gsub
local concat, utf8_len, type = table.concat, utf8.len, type

-- A table inside several others is printed in each, so the output of a small table can be endless.
local DEPTH, WIDTH, MAX_VALUES = 20, 100, 1000000

local WORDS = [[
and break do else elseif end false for function goto if in local nil not or repeat return then
true until while]]
local KEYWORDS = {}
for word in string.gmatch(WORDS, "%a+") do
  KEYWORDS[word] = true
end

-- From the host, so that there is one list of terminal control characters.
local visible = host.visible

local function quote(text)
  if find(text, '[\\"]') then
    text = gsub(text, '[\\"]', "\\%0")
  end
  return '"' .. visible(text) .. '"'
end

--- Escapes control characters, bytes that are not UTF-8, invisible characters and those that change
--- the direction of text, as in a Lua string (`\n`, `\x1b`, `\u{202e}`). All other text is
--- unchanged. Raises an argument error for a value that is not text.
---@param text string
---@return string
function inspect.visible(text)
  if type(text) ~= "string" then
    host.fail("argument", "inspect.visible: the text must be a string, got " .. type(text))
  end
  return visible(text)
end

--- Quotes text as a Lua string literal on one line, with all special characters escaped as by
--- `inspect.visible`. Raises an argument error for a value that is not text.
---@param text string
---@return string
function inspect.quote(text)
  if type(text) ~= "string" then
    host.fail("argument", "inspect.quote: the text must be a string, got " .. type(text))
  end
  return quote(text)
end

local function number_text(value)
  if value ~= value then
    return "0/0"
  elseif value == math.huge then
    return "math.huge"
  elseif value == -math.huge then
    return "-math.huge"
  elseif value == math.mininteger and math.type(value) == "integer" then
    return "math.mininteger"
  end
  return tostring(value)
end

local RANK = { number = 1, string = 2, boolean = 3 }

local function comes_before(a, b)
  local rank_a, rank_b = RANK[type(a)] or 4, RANK[type(b)] or 4
  if rank_a ~= rank_b then
    return rank_a < rank_b
  elseif rank_a <= 2 then
    return a < b
  end
  return tostring(a) < tostring(b)
end

-- Text that a value defines for itself, such as that of an error; nil for a plain table.
local function own_text(value)
  local meta = getmetatable(value)
  if type(meta) ~= "table" or not rawget(meta, "__tostring") then
    return nil
  end
  local ok, text = pcall(tostring, value)
  return visible(ok and text or "<" .. type(value) .. " whose __tostring fails>")
end

local render

local function key_text(key, state)
  if type(key) == "string" and find(key, "^[%a_][%w_]*$") and not KEYWORDS[key] then
    return key
  end
  return "[" .. render(key, 0, 0, state) .. "]"
end

-- `taken` is the width that the key before and the comma after need on the first line.
local function render_table(value, indent, taken, state)
  if state.open[value] then
    return "<cycle>"
  elseif next(value) == nil then
    return "{}"
  elseif state.level >= state.depth then
    return "{…}"
  end
  state.open[value] = true
  state.level = state.level + 1
  local items, used, is_long = {}, 2, false
  local function add(text)
    items[#items + 1] = text
    used = used + utf8_len(text) + 2
    is_long = is_long or find(text, "\n", 1, true) ~= nil
  end
  local length = rawlen(value)
  for i = 1, length do
    if state.left == 0 then
      break
    end
    state.left = state.left - 1
    add(render(rawget(value, i), indent + 2, 1, state))
  end
  local keys = {}
  for key in next, value do
    if not (math.type(key) == "integer" and key >= 1 and key <= length) then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys, comes_before)
  for _, key in ipairs(keys) do
    if state.left == 0 then
      break
    end
    state.left = state.left - 1
    local before = key_text(key, state) .. " = "
    add(before .. render(rawget(value, key), indent + 2, utf8_len(before) + 1, state))
  end
  if state.left == 0 then
    add("…")
  end
  state.open[value] = nil
  state.level = state.level - 1
  if not is_long and indent + taken + used <= state.width then
    return "{ " .. concat(items, ", ") .. " }"
  end
  local margin = string.rep(" ", indent)
  return "{\n" .. margin .. "  " .. concat(items, ",\n" .. margin .. "  ") .. ",\n" .. margin .. "}"
end

function render(value, indent, taken, state)
  local kind = type(value)
  if kind == "string" then
    return quote(value)
  elseif kind == "number" then
    return number_text(value)
  elseif kind == "nil" or kind == "boolean" then
    return tostring(value)
  elseif value == host.null then
    return "json.null"
  end
  local text = own_text(value)
  if text then
    return text
  elseif kind == "table" then
    return render_table(value, indent, taken, state)
  end
  -- An address would differ from run to run, and says nothing to a reader.
  return "<" .. (kind == "thread" and "coroutine" or kind) .. ">"
end

local function whole(options, key, default)
  local value = options[key]
  if value == nil then
    return default
  elseif math.type(value) ~= "integer" or value < 0 then
    host.fail(
      "argument",
      "inspect: "
        .. key
        .. " must be a whole number that is not negative, got "
        .. visible(tostring(value))
    )
  end
  return value
end

return setmetatable(inspect, {
  __call = function(_, value, options)
    options = host.check_options("inspect", options, { "depth", "width", "most" })
    local state = {
      depth = whole(options, "depth", DEPTH),
      width = whole(options, "width", WIDTH),
      left = whole(options, "most", MAX_VALUES),
      level = 0,
      open = {},
    }
    return render(value, 0, 0, state)
  end,
})
