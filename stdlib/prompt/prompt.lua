-- Lua part of the prompt: variables shared by its entries, and the display of values. The program
-- calls this file with its table of functions; scripts never see it. It must not depend on globals
-- that a script can replace.

local _, host = ...
local inspect, report = require("inspect"), require("report")
local next, type, rawget, rawset, rawlen, tostring = next, type, rawget, rawset, rawlen, tostring
local getmetatable, setmetatable, ipairs, pcall = getmetatable, setmetatable, ipairs, pcall
local pack, concat, sort, min, max = table.pack, table.concat, table.sort, math.min, math.max
local maxinteger = math.maxinteger
local sub, find, gmatch, utf8_len = string.sub, string.find, string.gmatch, utf8.len

local prompt = {}

------------------------------------------------------------------------------------------ Variables

-- Locals of earlier entries shadow the globals, in a table of their own. The environment itself
-- stays empty, so that every assignment is seen. A name that is declared reads as the global of
-- that name until it is assigned: `local print = print` must work.
local declared, is_nil = {}, {}

prompt.variables = setmetatable({}, {
  __index = function(_, name)
    if is_nil[name] then
      return nil
    end
    return _G[name]
  end,
})

prompt.environment = setmetatable({}, {
  __index = prompt.variables,
  __newindex = function(_, name, value)
    if not declared[name] then
      _G[name] = value
    else
      is_nil[name] = value == nil or nil
      rawset(prompt.variables, name, value)
    end
  end,
  -- Locked, because a replacement by a script would end the prompt's access to everything.
  __metatable = false,
})

function prompt.declare(name)
  declared[name] = true
end

--------------------------------------------------------------------------------------------- Values

-- Remaining output after the current screen; nil if there is none.
local pending
-- Lines and columns of the screen.
local height, width = 24, 80

-- Maximum length of a text, and number of keys of a table, that is shown.
local MOST_TEXT, MOST_KEYS = 10000, 200

local function line(text)
  host.write(text, "\n")
end

local function rest(count, what)
  local number = count and host.number(count) .. " more" or "there may be more"
  report.note("… " .. number .. ": .more shows " .. (what or "the next ones"))
end

local function page_size()
  return max(10, height - 4)
end

-- Shows text that may be longer than the screen.
local function show_text(text)
  local lines = {}
  for each in gmatch(text .. "\n", "(.-)\n") do
    lines[#lines + 1] = each
  end
  local at = 1
  local function page()
    local last = min(#lines, at + page_size() - 1)
    -- One line is not worth a hint.
    if #lines - last <= 1 then
      last = #lines
    end
    line(concat(lines, "\n", at, last))
    at = last + 1
    if at <= #lines then
      pending = page
      rest(#lines - last, "the next lines")
    end
  end
  page()
end

local function is_record(value)
  return type(value) == "table"
    and getmetatable(value) == nil
    and rawlen(value) == 0
    and type(next(value)) == "string"
end

-- Columns of profiles, roles and policies, most important first. The last ones are dropped on a
-- narrow terminal.
local COLUMNS = { "name", "role", "create_date", "path", "arn", "tags" }
local KNOWN = { name = true, path = true, arn = true }

local function is_known(row)
  for key in next, KNOWN do
    if type(rawget(row, key)) ~= "string" then
      return false
    end
  end
  return true
end

local function columns_of(rows)
  local keys, seen = {}, {}
  if is_known(rows[1]) then
    for _, key in ipairs(COLUMNS) do
      for _, row in ipairs(rows) do
        -- The ARN only repeats name and path, except for a policy.
        local is_said = key == "arn" and rawget(row, "create_date") ~= nil
        if rawget(row, key) ~= nil and not is_said then
          keys[#keys + 1] = key
          break
        end
      end
    end
    return keys
  end
  for _, row in ipairs(rows) do
    for key in next, row do
      if type(key) == "string" and not seen[key] then
        seen[key] = true
        keys[#keys + 1] = key
      end
    end
  end
  sort(keys, function(a, b)
    if (a == "name") ~= (b == "name") then
      return a == "name"
    end
    return a < b
  end)
  return keys
end

-- Leading columns that fit on the screen, and the others.
local function fitting(rows, keys)
  local shown, left, total = {}, {}, 0
  for i, key in ipairs(keys) do
    local widest = #key
    for _, row in ipairs(rows) do
      local value = rawget(row, key)
      local text = type(value) == "table" and inspect(value, { width = maxinteger })
        or tostring(value)
      widest = max(widest, utf8_len(text) or #text)
    end
    -- The widest column can shrink a little, but every column needs some room.
    if i > 1 and total + min(widest, 24) > width then
      left[#left + 1] = key
    else
      shown[#shown + 1] = key
      total = total + widest + 2
    end
  end
  return shown, left
end

-- Shows rows, possibly many. `take(n)` returns at most n further rows, and the number of rows after
-- them if that is known.
local function show_rows(take)
  local function page()
    local rows, after = take(page_size())
    if #rows > 0 then
      local columns, left = fitting(rows, columns_of(rows))
      report(rows, { columns = columns, format = "table" })
      if #left > 0 then
        report.note("not shown, for want of room: " .. concat(left, ", "))
      end
    end
    if after ~= 0 then
      pending = page
      rest(after)
    end
  end
  page()
end

local function are_records(list)
  for i = 1, min(rawlen(list), 100) do
    if not is_record(rawget(list, i)) then
      return false
    end
  end
  return rawlen(list) > 0
end

local function array_taker(list)
  local at = 0
  return function(n)
    local rows = {}
    while #rows < n and at < rawlen(list) do
      at = at + 1
      rows[#rows + 1] = rawget(list, at)
    end
    return rows, rawlen(list) - at
  end
end

local function show_records(list)
  show_rows(array_taker(list))
  local marker = rawget(list, "marker")
  if rawget(list, "is_truncated") and type(marker) == "string" then
    report.note(
      "the page ends here: the next one begins at its `marker`; each() goes through all of them"
    )
  end
end

-- Shows an array of other values, one screenful at a time.
local function show_array(list)
  local take = array_taker(list)
  local function page()
    local items, after = take(page_size())
    line(inspect(items, { width = width }))
    if after > 0 then
      pending = page
      rest(after)
    end
  end
  page()
end

local function show_iterator(listing)
  show_rows(function(n)
    local rows = {}
    for row in listing do
      -- Pages of a listing are arrays.
      if not is_record(row) then
        for _, inner in ipairs(row) do
          rows[#rows + 1] = inner
        end
        return rows
      end
      rows[#rows + 1] = row
      if #rows == n then
        return rows
      end
    end
    return rows, 0
  end)
  if pending then
    report.note("`_` is the iterator: it goes on after what was shown")
  end
end

local function show_table(value)
  local count = 0
  for _ in next, value do
    count = count + 1
  end
  if count <= MOST_KEYS then
    return show_text(inspect(value, { width = width }))
  end
  local keys = {}
  for key in next, value do
    keys[#keys + 1] = key
  end
  sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  local at = 0
  local function page()
    local part = {}
    local last = min(at + page_size(), count)
    for i = at + 1, last do
      part[keys[i]] = value[keys[i]]
    end
    at = last
    line(inspect(part, { width = width }))
    if at < count then
      pending = page
      rest(count - at)
    end
  end
  page()
end

-- Shows the text that a value defines for itself. It may have several lines: a verdict has one for
-- each reference.
local function show_text_of(value)
  local ok, text = pcall(tostring, value)
  if not ok then
    return line(inspect(value))
  end
  for each in gmatch(text .. "\n", "(.-)\n") do
    line(inspect.visible(each))
  end
end

local function show(value)
  local kind = type(value)
  local meta = getmetatable(value)
  if kind == "string" then
    if #value > MOST_TEXT then
      local cut = MOST_TEXT
      -- Cuts at a character boundary.
      while cut > 0 and find(sub(value, cut + 1, cut + 1), "[\128-\191]") do
        cut = cut - 1
      end
      line(inspect(sub(value, 1, cut)) .. " …")
      return report.note(
        "… cut after "
          .. host.number(cut)
          .. " of "
          .. host.number(#value)
          .. " bytes: print(_) shows all"
      )
    end
    line(inspect(value))
  elseif host.is_listing[value] then
    show_iterator(value)
  elseif meta == host.Error then
    line(tostring(value))
    if value.hint then
      report.note("hint: " .. value.hint)
    end
  elseif kind == "table" and type(meta) == "table" and meta.__tostring then
    show_text_of(value)
  elseif kind ~= "table" then
    line(inspect(value))
  elseif are_records(value) then
    show_records(value)
  elseif rawlen(value) > page_size() then
    show_array(value)
  else
    show_table(value)
  end
end

local function show_all(...)
  local values = pack(...)
  prompt.shown = values.n
  if values.n > 0 then
    rawset(_G, "_", values[1])
  end
  for i = 1, values.n do
    show(values[i])
  end
end

-- Runs an entry and shows its results. Further output waits for `.more`.
function prompt.run(lines, columns, chunk, ...)
  height, width, pending = lines, columns, nil
  prompt.shown = 0
  show_all(chunk(...))
end

function prompt.more(lines, columns)
  height, width = lines, columns
  local page = pending
  pending = nil
  if page then
    page()
  else
    report.note("there is nothing more to show")
  end
end

function prompt.set_error(err)
  rawset(_G, "_error", err)
end

return prompt
