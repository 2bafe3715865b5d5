--- Results on standard output, in the format that the operator chose with `--output`: `table`, `json`, `jsonl` or `csv`.
---
--- `report(rows)` writes rows: an array, or an iterator such as `iam.profiles.each()`. JSON, JSON lines and CSV are written row by row, so that a
--- listing of any length needs no memory; a table has to be collected. No rows are `[]`, a lone heading, or a note on standard error.
---
--- ```lua
--- report(iam.profiles.each(), { columns = { "name", "role", { key = "tags.Owner", title = "OWNER" } } })
--- ```
---@class report
---@overload fun(rows: table[]|(fun(): table?), options?: report.Options)
local report = {}

local _, host = ...
local inspect = require("inspect")
local json = require("json")

---@alias report.Format "table"|"json"|"jsonl"|"csv"

---@class report.Options
---@field columns? (string|report.Column)[] what to show. Default: every key of the rows, `name` first; for an iterator as CSV, those of the first row.
---@field format? report.Format instead of the operator's

---@class report.Column
---@field key? string the field of a row, or of a table in it: `"tags.Owner"`; also the name in JSON and CSV
---@field title? string the heading of the table; the default is made of the key
---@field value? fun(row: table): any makes the value from the row
---@field align? "left"|"right" default: right if every value is a number

local FORMATS = { "table", "json", "jsonl", "csv" }
local COLUMN_KEYS = { "key", "title", "value", "align" }

local function check(condition, name, problem, hint)
  if not condition then
    host.fail("argument", name .. ": " .. problem, hint)
  end
end

----------------------------------------------------------------------------------------------------------------- Columns

-- The field of a row that a key names. The longest name wins, so that keys with dots in them are found too.
local function field(row, key)
  local value = row[key]
  if value ~= nil then
    return value
  end
  local from = 1
  while true do
    local dot = key:find(".", from, true)
    if not dot then
      return nil
    end
    local inner = row[key:sub(1, dot - 1)]
    if type(inner) == "table" then
      value = field(inner, key:sub(dot + 1))
      if value ~= nil then
        return value
      end
    end
    from = dot + 1
  end
end

local function heading(key)
  return (inspect.visible(key):upper():gsub("_", " "))
end

local function column_of(given, at, name)
  local where = "column " .. at
  local column = given
  if type(given) == "string" then
    column = { key = given }
  else
    check(type(given) == "table", name, where .. " must be a name or a table, got " .. type(given))
    host.check_options(name .. ": " .. where, given, COLUMN_KEYS)
  end
  local key, title, value, align = column.key, column.title, column.value, column.align
  check(key == nil or type(key) == "string", name, where .. ": key must be a string, got " .. type(key))
  check(title == nil or type(title) == "string", name, where .. ": title must be a string, got " .. type(title))
  check(value == nil or type(value) == "function", name, where .. ": value must be a function, got " .. type(value))
  check(
    align == nil or align == "left" or align == "right",
    name,
    where .. ': align must be "left" or "right", got ' .. inspect(align)
  )
  check(key or (value and title), name, where .. " needs a key, or a title and a value")
  return {
    key = key or title,
    title = title and inspect.visible(title) or heading(key),
    align = align,
    value = value or function(row)
      return field(row, key)
    end,
  }
end

local function columns_of(list, name)
  if list == nil then
    return nil
  end
  check(type(list) == "table", name, "columns must be an array, got " .. type(list))
  check(#list > 0, name, "columns must name at least one column")
  local columns = {}
  for at, given in ipairs(list) do
    columns[at] = column_of(given, at, name)
  end
  return columns
end

local function plain_columns(keys)
  table.sort(keys, function(a, b)
    if (a == "name") ~= (b == "name") then
      return a == "name"
    end
    return a < b
  end)
  local columns = {}
  for i, key in ipairs(keys) do
    -- Only the row's own field: these keys came from rows, dots and all.
    columns[i] = {
      key = key,
      title = heading(key),
      value = function(row)
        return row[key]
      end,
    }
  end
  return columns
end

local function add_keys(keys, seen, row)
  for key in next, row do
    if type(key) == "string" and not seen[key] then
      seen[key] = true
      keys[#keys + 1] = key
    end
  end
  return keys
end

local function columns_of_row(row)
  return plain_columns(add_keys({}, {}, row))
end

local function columns_of_rows(rows)
  local keys, seen = {}, {}
  for _, row in ipairs(rows) do
    add_keys(keys, seen, row)
  end
  return plain_columns(keys)
end

------------------------------------------------------------------------------------------------------------------- Cells

-- A value as text for a table or CSV; nil for nothing.
local function cell(value, depth)
  if value == nil or value == json.null then
    return nil
  elseif type(value) == "string" then
    return value
  elseif type(value) ~= "table" then
    return inspect(value)
  end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__tostring then
    return tostring(value)
  elseif depth > 3 then
    return inspect(value, { width = math.maxinteger })
  end
  local pieces = {}
  if rawlen(value) > 0 then
    for i = 1, rawlen(value) do
      pieces[i] = cell(value[i], depth + 1) or "-"
    end
  elseif type(value.name) == "string" then
    -- A record in a record, such as the role in a profile, is known by its name.
    return value.name
  else
    for key, inner in next, value do
      pieces[#pieces + 1] = tostring(key) .. "=" .. (cell(inner, depth + 1) or "-")
    end
    table.sort(pieces)
  end
  return #pieces > 0 and table.concat(pieces, ", ") or nil
end

local function cells_for_people(columns, row)
  local cells = {}
  for i, column in ipairs(columns) do
    local value = column.value(row)
    local text = cell(value, 0)
    column.is_number = column.is_number or type(value) == "number"
    column.is_text = column.is_text or (text ~= nil and type(value) ~= "number")
    cells[i] = text and text ~= "" and inspect.visible(text) or "-"
  end
  return cells
end

local function csv_line(columns, row)
  local cells = {}
  for i, column in ipairs(columns) do
    cells[i] = cell(column.value(row), 0) or ""
  end
  return host.csv_line(cells)
end

local function csv_heading(columns)
  local cells = {}
  for i, column in ipairs(columns) do
    cells[i] = column.key
  end
  return host.csv_line(cells)
end

-- One JSON object with the columns in their order.
local function json_object(columns, row, name)
  local fields = {}
  for i, column in ipairs(columns) do
    local ok, text = host.fallible.json_encode(column.value(row))
    check(ok, name, "column " .. inspect(column.key) .. ": " .. (ok and "" or text.message))
    fields[i] = json.encode(column.key) .. ":" .. text
  end
  return "{" .. table.concat(fields, ",") .. "}"
end

-------------------------------------------------------------------------------------------------------------------- Rows

-- An iterator over rows that holds each of them to be a table.
local function iterate(rows, name)
  local at = 0
  local next_row = rows
  if not host.is_callable(rows) then
    next_row = function()
      return rows[at]
    end
  end
  return function()
    at = at + 1
    local row = next_row()
    check(
      row == nil or type(row) == "table",
      name,
      "row " .. at .. " must be a table, got " .. type(row),
      "write { { name = … }, … }"
    )
    return row
  end
end

local function is_rows(rows)
  return host.is_callable(rows) or (type(rows) == "table" and (rawlen(rows) > 0 or next(rows) == nil))
end

local function render(columns, rows)
  local heads, right = {}, {}
  for i, column in ipairs(columns) do
    heads[i] = column.title
    right[i] = column.align == "right" or (column.align == nil and column.is_number and not column.is_text)
  end
  return host.render_table(heads, rows, right)
end

local function write_table(next_row, columns)
  local lines, raw = {}, {}
  local function collect()
    for row in next_row do
      if columns then
        lines[#lines + 1] = cells_for_people(columns, row)
      else
        raw[#raw + 1] = row
      end
    end
  end
  -- What was there before a failure is shown, as it is in the formats that stream.
  local ok, err = xpcall(collect, host.handler)
  if not columns then
    columns = columns_of_rows(raw)
    for i, row in ipairs(raw) do
      lines[i] = cells_for_people(columns, row)
    end
  end
  if #lines > 0 and #columns > 0 then
    host.write(render(columns, lines))
  elseif ok then
    report.note("nothing to report")
  end
  if not ok then
    error(err, 0)
  end
end

local function write_csv(next_row, columns, rows)
  local row = next_row()
  if not columns and row then
    columns = type(rows) == "table" and rawlen(rows) > 0 and columns_of_rows(rows) or columns_of_row(row)
  end
  if not columns or #columns == 0 then
    return
  end
  host.write(csv_heading(columns))
  while row do
    host.write(csv_line(columns, row))
    row = next_row()
  end
end

local function write_jsonl(next_row, columns, name)
  for row in next_row do
    host.write(json_object(columns or columns_of_row(row), row, name), "\n")
  end
end

local function write_json(next_row, columns, name)
  local before = "[\n  "
  for row in next_row do
    host.write(before, json_object(columns or columns_of_row(row), row, name))
    before = ",\n  "
  end
  -- Not written after a failure: a listing that is cut off must not pass for a whole one.
  host.write(before == "[\n  " and "[]\n" or "\n]\n")
end

local function format_of(options, name)
  local format = options.format
  if format == nil then
    return host.format
  end
  for _, known in ipairs(FORMATS) do
    if format == known then
      return format
    end
  end
  local near = type(format) == "string" and utf8.len(format) and host.nearest(format, FORMATS)
  local hint = near and "did you mean '" .. near .. "'?" or "there is " .. table.concat(FORMATS, ", ")
  return host.fail("argument", name .. ": there is no format " .. inspect(format), hint)
end

--------------------------------------------------------------------------------------------------------------- Functions

--- Writes one record: a line for each field in a table, one object in JSON. Raises an argument error for a wrong option.
---@param record table
---@param options? report.Options
function report.record(record, options)
  local name = "report.record"
  check(type(record) == "table", name, "the record must be a table, got " .. type(record))
  options = host.check_options(name, options, { "columns", "format" })
  local format = format_of(options, name)
  local columns = columns_of(options.columns, name) or columns_of_row(record)
  if format == "csv" then
    host.write(csv_heading(columns), csv_line(columns, record))
  elseif format ~= "table" then
    host.write(json_object(columns, record, name), "\n")
  else
    local width = 0
    for _, column in ipairs(columns) do
      width = math.max(width, utf8.len(column.title))
    end
    for i, text in ipairs(cells_for_people(columns, record)) do
      local title = columns[i].title
      host.write(title, (" "):rep(width - utf8.len(title) + 2), text, "\n")
    end
  end
end

--- Writes a line for people on standard error, whatever the format of the results. Line breaks in it are kept.
---@param text string
function report.note(text)
  check(type(text) == "string", "report.note", "the text must be a string, got " .. type(text))
  local lines = {}
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    lines[#lines + 1] = inspect.visible(line) .. "\n"
  end
  host.write_err(table.concat(lines))
end

local function call(_, rows, options)
  local name = "report"
  options = host.check_options(name, options, { "columns", "format" })
  check(
    is_rows(rows),
    name,
    "the rows must be an array or an iterator, got " .. (type(rows) == "table" and "one record" or type(rows)),
    type(rows) == "table" and "report.record writes one record" or nil
  )
  local format = format_of(options, name)
  local columns = columns_of(options.columns, name)
  local next_row = iterate(rows, name)
  if format == "table" then
    write_table(next_row, columns)
  elseif format == "csv" then
    write_csv(next_row, columns, rows)
  elseif format == "jsonl" then
    write_jsonl(next_row, columns, name)
  else
    write_json(next_row, columns, name)
  end
end

return setmetatable(report, { __call = call })
