-- Replacements for functions of Lua's library that could run endlessly in one call, which cannot be
-- stopped: the same in Lua, or in pieces. `host.guard` wraps the library's function and each
-- replacement; the library's is called if its arguments make the call short.

local host = ...

local native_match, find_plain = host.match_from, host.find_plain
local concat, move, sort, rep, unpack =
  table.concat, table.move, table.sort, string.rep, table.unpack
local pack, sub, byte, char = table.pack, string.sub, string.byte, string.char
local type, tostring, error, next, select = type, tostring, error, next, select
local maxinteger, tointeger = math.maxinteger, math.tointeger

-- Number of elements that one call of the library moves, or of strings that it joins.
local PIECE = 10000

local slow = {}

----------------------------------------------------------------------------------------------- Text

local function checked(from, ...)
  if from == false then
    error((...), 0)
  end
  return from, ...
end

-- Place of the first match from a position on, and its captures; false and a problem of the
-- pattern.
local function match_from(...)
  return checked(native_match(...))
end

local function start_of(text, init)
  init = init or 1
  if init < 0 then
    init = #text + init + 1
  end
  return init < 1 and 1 or init
end

function slow.find(text, pattern, init, plain)
  text, pattern, init = tostring(text), tostring(pattern), start_of(text, init)
  if init > #text + 1 then
    return nil
  elseif plain then
    return find_plain(text, pattern, init)
  end
  return match_from(text, pattern, init, 0, true)
end

-- Captures of a match; the whole match if the pattern has none.
local function caught(text, from, to, ...)
  if not from then
    return nil
  elseif select("#", ...) == 0 then
    return sub(text, from, to)
  end
  return ...
end

function slow.match(text, pattern, init)
  text, pattern, init = tostring(text), tostring(pattern), start_of(text, init)
  if init > #text + 1 then
    return nil
  end
  return caught(text, match_from(text, pattern, init, 0, true))
end

function slow.gmatch(text, pattern, init)
  text, pattern = tostring(text), tostring(pattern)
  local at, last = start_of(text, init), 0
  local function advance(from, to, ...)
    if not from then
      at = #text + 2
      return nil
    end
    at, last = to + 1, to + 1
    return caught(text, from, to, ...)
  end
  return function()
    if at > #text + 1 then
      return nil
    end
    return advance(match_from(text, pattern, at, last, false))
  end
end

-- Replacement of a match, from a template with `%0` to `%9` and `%%`.
local function filled(template, text, found)
  local pieces, from = {}, 1
  while true do
    local at = find_plain(template, "%", from)
    if not at then
      pieces[#pieces + 1] = sub(template, from)
      return concat(pieces)
    end
    pieces[#pieces + 1] = sub(template, from, at - 1)
    local sign = byte(template, at + 1)
    if sign == 37 then
      pieces[#pieces + 1] = "%"
    elseif sign == 48 then
      pieces[#pieces + 1] = sub(text, found[1], found[2])
    elseif sign and sign >= 49 and sign <= 57 then
      local capture = found[sign - 46]
      if capture == nil and sign == 49 and found.n == 2 then
        capture = sub(text, found[1], found[2])
      elseif capture == nil then
        error("invalid capture index %" .. char(sign) .. " in replacement string", 3)
      end
      pieces[#pieces + 1] = tostring(capture)
    else
      error("invalid use of '%' in replacement string", 3)
    end
    from = at + 2
  end
end

local function replacement(with, text, found)
  local whole = sub(text, found[1], found[2])
  local value
  if type(with) == "string" then
    return filled(with, text, found)
  elseif type(with) == "table" then
    value = with[found.n > 2 and found[3] or whole]
  elseif found.n > 2 then
    value = with(unpack(found, 3, found.n))
  else
    value = with(whole)
  end
  if not value then
    return whole
  elseif type(value) ~= "string" and type(value) ~= "number" then
    error("invalid replacement value (a " .. type(value) .. ")", 3)
  end
  return tostring(value)
end

function slow.gsub(text, pattern, with, most)
  text, pattern = tostring(text), tostring(pattern)
  if type(with) == "number" then
    with = tostring(with)
  end
  local pieces, at, last, count = {}, 1, 0, 0
  local is_anchored = byte(pattern, 1) == 94
  while at <= #text + 1 and (not most or count < most) do
    local found = pack(match_from(text, pattern, at, last, true))
    local from, to = found[1], found[2]
    if not from then
      break
    end
    pieces[#pieces + 1] = sub(text, at, from - 1)
    count = count + 1
    pieces[#pieces + 1] = replacement(with, text, found)
    at, last = to + 1, to + 1
    if is_anchored then
      break
    end
  end
  pieces[#pieces + 1] = sub(text, at)
  return slow.concat(pieces), count
end

function slow.rep(text, n, separator)
  text, separator = tostring(text), separator and tostring(separator) or ""
  local unit = text .. separator
  if unit == "" or n <= 0 then
    return ""
  end
  local most = (1 << 20) // #unit
  if most < 2 or n < most then
    return rep(text, n, separator)
  end
  local block = rep(unit, most)
  local whole = rep(block, (n - 1) // most)
  return whole .. rep(unit, (n - 1) % most) .. text
end

--------------------------------------------------------------------------------------------- Tables

local function length_of(list)
  local length = tointeger(#list)
  if not length then
    error("object length is not an integer", 3)
  end
  return length
end

function slow.concat(list, separator, i, j)
  separator = separator and tostring(separator) or ""
  i, j = i or 1, j or length_of(list)
  local pieces, part, count = {}, {}, 0
  for at = i, j do
    local value = list[at]
    if type(value) ~= "string" and type(value) ~= "number" then
      error("invalid value (at index " .. at .. ") in table for 'concat'", 2)
    end
    count = count + 1
    part[count] = value
    if count == PIECE then
      pieces[#pieces + 1] = concat(part, separator)
      part, count = {}, 0
    end
  end
  if count > 0 then
    pieces[#pieces + 1] = concat(part, separator, 1, count)
  end
  if #pieces <= PIECE then
    return concat(pieces, separator)
  end
  return slow.concat(pieces, separator)
end

function slow.move(from, first, last, at, to)
  to = to or from
  if last < first then
    return to
  elseif not (first > 0 or last < maxinteger + first) then
    error("bad argument #3 to 'move' (too many elements to move)", 2)
  elseif at > maxinteger - (last - first + 1) + 1 then
    error("bad argument #4 to 'move' (destination wrap around)", 2)
  end
  if at > last or at <= first or to ~= from then
    for i = 0, last - first do
      to[at + i] = from[first + i]
    end
  else
    for i = last - first, 0, -1 do
      to[at + i] = from[first + i]
    end
  end
  return to
end

function slow.insert(list, ...)
  local count = select("#", ...)
  local length = length_of(list)
  if count == 1 then
    list[length + 1] = (...)
    return
  elseif count ~= 2 then
    error("wrong number of arguments to 'insert'", 2)
  end
  local at, value = ...
  at = tointeger(at)
  if not at or at < 1 or at > length + 1 then
    error("bad argument #2 to 'insert' (position out of bounds)", 2)
  end
  for i = length, at, -1 do
    list[i + 1] = list[i]
  end
  list[at] = value
end

function slow.remove(list, at)
  local length = length_of(list)
  if at == nil then
    at = length
  else
    at = tointeger(at)
    if not at or (at ~= length and (at < 1 or at > length + 1)) then
      error("bad argument #2 to 'remove' (position out of bounds)", 2)
    end
  end
  local value = list[at]
  for i = at, length - 1 do
    list[i] = list[i + 1]
  end
  list[at < length and length or at] = nil
  return value
end

-- Comparison in Lua, so that it can be stopped.
function slow.sort(list, comes_before)
  if comes_before then
    sort(list, function(a, b)
      return comes_before(a, b)
    end)
  else
    sort(list, function(a, b)
      return a < b
    end)
  end
end

function slow.unpack(list, i, j)
  i, j = i or 1, j or length_of(list)
  if i > j then
    return
  elseif j - i >= 1000000 or j - i < 0 then
    error("too many results to unpack", 2)
  end
  local copy = {}
  for at = i, j do
    copy[at - i + 1] = list[at]
  end
  return unpack(copy, 1, j - i + 1)
end

-- The library's own function refuses invalid arguments first.
for name, instead in next, slow do
  local library = string[name] and string or table
  library[name] = host.guard(name, library[name], instead)
end
