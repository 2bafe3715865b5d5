--- Text: splitting, trimming, globs and regular expressions.
---
--- ```lua
--- local owner, stage = text.match("ops-prod-web", "^(\\w+)-(\\w+)")
--- assert(owner == "ops" and stage == "prod")
--- assert(table.concat(text.split("a,b,c", ","), " ") == "a b c")
--- assert(text.glob("web-prod-1", "web-*"))
--- ```
---
--- Regular expressions are those of Rust's `regex`: Perl's syntax without look-around and back
--- references. They take linear time. A backslash is written twice in quotes, and once in long
--- brackets: `[[\d+]]`. `(?i)` at the beginning ignores case, `(?m)` makes `^` and `$` match at
--- each line. Lua's own patterns are in `string`.
---@class text
local text = {}

local _, host = ...
local inspect = require("inspect")

local function check(name, what, value)
  if type(value) ~= "string" then
    host.fail("argument", name .. ": " .. what .. " must be a string, got " .. type(value))
  end
end

local function check_limit(name, limit)
  if limit ~= nil and (math.type(limit) ~= "integer" or limit < 1) then
    host.fail(
      "argument",
      name .. ": limit must be an integer from 1, got " .. inspect(limit)
    )
  end
  return limit or math.maxinteger
end

----------------------------------------------------------------------------------------- Plain text

---@class text.SplitOptions
---@field limit? integer the largest number of pieces; the last one has the rest

local function trimmed(s)
  local first = string.find(s, "%S")
  if not first then
    return ""
  end
  local last = #s
  while string.find(s, "^%s", last) do
    last = last - 1
  end
  return string.sub(s, first, last)
end

-- Pieces between white space.
local function words(s, limit)
  local pieces, from = {}, 1
  while true do
    local first = string.find(s, "%S", from)
    if not first then
      return pieces
    elseif #pieces + 1 == limit then
      pieces[limit] = trimmed(string.sub(s, first))
      return pieces
    end
    local after = string.find(s, "%s", first) or #s + 1
    pieces[#pieces + 1] = string.sub(s, first, after - 1)
    from = after
  end
end

--- Splits text at each separator, which is plain text. Without a separator it splits at white
--- space, and no piece is empty.
---
--- ```lua
--- assert(#text.split("a,,b", ",") == 3)
--- assert(#text.split("  web   ops ") == 2)
--- assert(text.split("key=a=b", "=", { limit = 2 })[2] == "a=b")
--- ```
---@param s string
---@param separator? string default: white space
---@param options? text.SplitOptions
---@return string[]
function text.split(s, separator, options)
  local name = "text.split"
  check(name, "the text", s)
  options = host.check_options(name, options, { "limit" })
  local limit = check_limit(name, options.limit)
  if separator == nil then
    return words(s, limit)
  end
  check(name, "the separator", separator)
  if separator == "" then
    host.fail("argument", name .. ": the separator is empty", "utf8.codes iterates characters")
  end
  local pieces, from = {}, 1
  while #pieces + 1 < limit do
    local first, last = string.find(s, separator, from, true)
    if not first then
      break
    end
    pieces[#pieces + 1] = string.sub(s, from, first - 1)
    from = last + 1
  end
  pieces[#pieces + 1] = string.sub(s, from)
  return pieces
end

--- Removes white space at both ends.
---@param s string
---@return string
function text.trim(s)
  check("text.trim", "the text", s)
  return trimmed(s)
end

--- Splits text into its lines, without their ends (LF or CRLF). A line break at the end of the text
--- begins no further line.
---
--- ```lua
--- for at, line in ipairs(text.lines("web\nbatch\n")) do
---   print(at, line)
--- end
--- ```
---@param s string
---@return string[]
function text.lines(s)
  check("text.lines", "the text", s)
  local lines, from = {}, 1
  while from <= #s do
    local at = string.find(s, "\n", from, true) or #s + 1
    local last = at - 1
    if last >= from and at <= #s and string.byte(s, last) == 13 then
      last = last - 1
    end
    lines[#lines + 1] = string.sub(s, from, last)
    from = at + 1
  end
  return lines
end

--- Returns true if text begins with a prefix.
---@param s string
---@param prefix string
---@return boolean
function text.starts_with(s, prefix)
  check("text.starts_with", "the text", s)
  check("text.starts_with", "the prefix", prefix)
  return string.sub(s, 1, #prefix) == prefix
end

--- Returns true if text ends with a suffix.
---@param s string
---@param suffix string
---@return boolean
function text.ends_with(s, suffix)
  check("text.ends_with", "the text", s)
  check("text.ends_with", "the suffix", suffix)
  return suffix == "" or string.sub(s, -#suffix) == suffix
end

--- Returns true if text has another one in it.
---@param s string
---@param part string
---@return boolean
function text.contains(s, part)
  check("text.contains", "the text", s)
  check("text.contains", "the part", part)
  return string.find(s, part, 1, true) ~= nil
end

---@class text.GlobOptions
---@field ignore_case? boolean upper and lower case are the same. Default: false

--- Returns true if a glob matches the whole text. `*` stands for any text, `?` for one character.
---
--- ```lua
--- assert(text.glob("web-prod-1", "web-*-?"))
--- assert(text.glob("Web", "web", { ignore_case = true }))
--- ```
---@param s string
---@param pattern string
---@param options? text.GlobOptions
---@return boolean
function text.glob(s, pattern, options)
  local name = "text.glob"
  check(name, "the text", s)
  check(name, "the pattern", pattern)
  options = host.check_options(name, options, { "ignore_case" })
  local ignore_case = options.ignore_case
  if ignore_case ~= nil and type(ignore_case) ~= "boolean" then
    host.fail(
      "argument",
      name .. ": ignore_case must be true or false, got " .. type(ignore_case)
    )
  end
  return host.glob_matches(s, pattern, ignore_case)
end

-------------------------------------------------------------------------------- Regular expressions

local function escaped(s)
  return (string.gsub(s, "[\\.+*?()|%[%]{}^$#&%-~]", "\\%0"))
end

-- Names of the groups of a pattern, and the places of up to `most` matches.
local function find(name, s, pattern, most)
  check(name, "the text", s)
  check(name, "the pattern", pattern)
  local found = host.regex_find(s, pattern, most, name)
  if type(found) == "userdata" then
    found = host.await(found)
  end
  return found.names, found.at
end

local function are_named(names)
  for _, name in ipairs(names) do
    if name ~= "" then
      return true
    end
  end
  return false
end

-- Text of the group `group` of the match whose places begin behind `from`; nil if it is not in it.
local function group_text(s, at, from, group)
  local first = at[from + 2 * group + 1]
  return first > 0 and string.sub(s, first, at[from + 2 * group + 2]) or nil
end

local function named_groups(s, at, from, names)
  local groups = {}
  for i, name in ipairs(names) do
    if name ~= "" then
      groups[name] = group_text(s, at, from, i)
    end
  end
  return groups
end

-- Groups of a match as values; the whole match if there are none.
local function groups_of(s, at, from, names)
  if #names == 0 then
    return group_text(s, at, from, 0)
  end
  local groups = { n = #names }
  for i = 1, #names do
    groups[i] = group_text(s, at, from, i)
  end
  return table.unpack(groups, 1, groups.n)
end

--- Searches for the first match of a regular expression. Returns its groups, or the whole match if
--- there are none; nil if nothing matches. A group that is not in the match is nil. If groups have
--- names, as in `(?P<year>\d+)`, the result is one table by these names.
---
--- ```lua
--- local year, month = text.match("created 2026-11-02", "(\\d{4})-(\\d{2})")
--- assert(year == "2026" and month == "11")
--- assert(text.match("web-12", "[0-9]+") == "12")
--- assert(text.match("web:80", "(?P<host>\\w+):(?P<port>\\d+)").port == "80")
--- ```
---@param s string
---@param pattern string
---@return any ... the groups, the match, or nil
function text.match(s, pattern)
  local names, at = find("text.match", s, pattern, 1)
  if #at == 0 then
    return nil
  elseif are_named(names) then
    return named_groups(s, at, 0, names)
  end
  return groups_of(s, at, 0, names)
end

--- Returns all matches of a regular expression that do not overlap: an array of texts. If the
--- pattern has groups, it is an array of arrays of their texts, and empty text stands for a group
--- that is not in the match. If groups have names, it is an array of tables by these names.
---
--- ```lua
--- assert(#text.match_all("a1 b22", "[0-9]+") == 2)
--- for _, pair in ipairs(text.match_all("a=1 b=2", "(\\w)=(\\d)")) do
---   print(pair[1], pair[2])
--- end
--- ```
---@param s string
---@param pattern string
---@return any[]
function text.match_all(s, pattern)
  local names, at = find("text.match_all", s, pattern, math.maxinteger)
  local is_named = are_named(names)
  local matches, step = {}, 2 * #names + 2
  for from = 0, #at - step, step do
    if is_named then
      matches[#matches + 1] = named_groups(s, at, from, names)
    elseif #names == 0 then
      matches[#matches + 1] = group_text(s, at, from, 0)
    else
      local groups = {}
      for i = 1, #names do
        groups[i] = group_text(s, at, from, i) or ""
      end
      matches[#matches + 1] = groups
    end
  end
  return matches
end

-- Replacement as an array of texts and of numbers of groups.
local function parts_of(with, names)
  local parts, from = {}, 1
  while true do
    local at = string.find(with, "$", from, true)
    if not at then
      parts[#parts + 1] = string.sub(with, from)
      return parts
    end
    parts[#parts + 1] = string.sub(with, from, at - 1)
    local _, last, group = string.find(with, "^([%w_]+)", at + 1)
    if not last then
      _, last, group = string.find(with, "^{([^{}]*)}", at + 1)
    end
    if string.sub(with, at + 1, at + 1) == "$" then
      parts[#parts + 1] = "$"
      from = at + 2
    elseif not last then
      host.fail(
        "argument",
        "text.replace: in the replacement, $ must be followed by a group",
        "write $1 or ${name} for a group, and $$ for a dollar sign"
      )
    else
      local number = math.tointeger(tonumber(group))
      for i, name in ipairs(names) do
        if not number and name ~= "" and name == group then
          number = i
        end
      end
      if not number or number < 0 or number > #names then
        host.fail(
          "argument",
          "text.replace: the pattern has no group " .. inspect(group),
          "write ${1}x for a group before a letter, and $$ for a dollar sign"
        )
      end
      parts[#parts + 1] = number
      from = last + 1
    end
  end
end

---@class text.ReplaceOptions
---@field limit? integer the largest number of replacements. Default: all
---@field plain? boolean the pattern and the replacement are plain text. Default: false

--- Replaces the matches of a regular expression. In the replacement, `$1` and `${name}` stand for
--- groups, `$0` for the match, and `$$` for a dollar sign. A function gets what `text.match`
--- returns; if it returns nil, the match stays.
---
--- ```lua
--- assert(text.replace("2026-11-02", "(\\d+)-(\\d+)-(\\d+)", "$3.$2.$1") == "02.11.2026")
--- assert(text.replace("a.b.c", ".", "/", { plain = true }) == "a/b/c")
--- assert(text.replace("web ops", "\\w+", string.upper) == "WEB OPS")
--- ```
---@param s string
---@param pattern string
---@param with string|fun(...: any): string?
---@param options? text.ReplaceOptions
---@return string
function text.replace(s, pattern, with, options)
  local name = "text.replace"
  options = host.check_options(name, options, { "limit", "plain" })
  local limit, plain = check_limit(name, options.limit), options.plain
  if plain ~= nil and type(plain) ~= "boolean" then
    host.fail("argument", name .. ": plain must be true or false, got " .. type(plain))
  end
  local is_function = host.is_callable(with)
  if not is_function and type(with) ~= "string" then
    host.fail(
      "argument",
      name .. ": the replacement must be a string or a function, got " .. type(with)
    )
  end
  if plain then
    check(name, "the pattern", pattern)
    if pattern == "" then
      host.fail("argument", name .. ": the text to replace is empty")
    end
    pattern = escaped(pattern)
  end
  local names, at = find(name, s, pattern, limit)
  local is_named, step = are_named(names), 2 * #names + 2
  local parts
  if not is_function then
    parts = plain and { with } or parts_of(with, names)
  end
  local pieces, last = {}, 0
  for from = 0, #at - step, step do
    pieces[#pieces + 1] = string.sub(s, last + 1, at[from + 1] - 1)
    last = at[from + 2]
    if is_function then
      local made
      if is_named then
        made = with(named_groups(s, at, from, names))
      else
        made = with(groups_of(s, at, from, names))
      end
      if made ~= nil and type(made) ~= "string" and type(made) ~= "number" then
        host.fail(
          "argument",
          name .. ": the function must return a string or nil, got " .. type(made)
        )
      end
      pieces[#pieces + 1] = made or group_text(s, at, from, 0)
    else
      for _, part in ipairs(parts) do
        pieces[#pieces + 1] = type(part) == "string" and part
          or group_text(s, at, from, part)
      end
    end
  end
  pieces[#pieces + 1] = string.sub(s, last + 1)
  return table.concat(pieces)
end

--- Makes a regular expression of plain text, in which no character is special.
---
--- ```lua
--- assert(text.match("a.b", "^" .. text.escape("a.b") .. "$"))
--- ```
---@param s string
---@return string
function text.escape(s)
  check("text.escape", "the text", s)
  return escaped(s)
end

return text
