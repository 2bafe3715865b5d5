--- Conversion between CSV text and rows.
---
--- ```lua
--- local rows = csv.decode("name,team\nweb,ops\n\"a, b\",data\n", { header = true })
--- assert(rows[2].name == "a, b" and rows[2].team == "data")
---
--- local text = csv.encode(rows, { columns = { "team", "name" } })
--- assert(text == 'team,name\nops,web\ndata,"a, b"\n')
--- ```
---@class csv
local csv = {}

local _, host = ...
local inspect = require("inspect")
local json = require("json")

---@class csv.DecodeOptions
---@field header? boolean the first row names the columns. Default: false
---@field separator? string one character between fields. Default: `","`

---@class csv.EncodeOptions
---@field columns? string[] the columns, in order. Default: every key, `name` first
---@field header? boolean a heading line with the names of the columns. Default: true
---@field separator? string one character between fields. Default: `","`

-- Maximum number of fields in a row.
local MAX_FIELDS = 16384

local SEPARATORS = "it takes one character, such as ',', ';' or '\\t'"

local function separator_of(options, name)
  local separator = options.separator
  if separator == nil then
    return ","
  elseif type(separator) ~= "string" then
    host.fail("argument", name .. ": separator must be a string, got " .. type(separator))
  elseif #separator ~= 1 or string.find(separator, '["\r\n\x80-\xff]') then
    host.fail(
      "argument",
      name .. ": separator cannot be " .. inspect(separator),
      SEPARATORS
    )
  end
  return separator
end

local function check_flag(options, key, name)
  local value = options[key]
  if value ~= nil and type(value) ~= "boolean" then
    host.fail("argument", name .. ": " .. key .. " must be true or false, got " .. type(value))
  end
  return value
end

--- Decodes CSV text. With `header`, each row is a table by the names of the columns. Without it,
--- each row is an array. All values are text. Fields can be in quotes (RFC 4180), lines can end in
--- LF or CRLF, and empty lines are skipped.
---
--- Raises an argument error that names the line: for a row with more or fewer fields than the
--- first one, a column without a name or with that of another column, and a quote that is not
--- closed.
---
--- ```lua
--- local rows = csv.decode("name;size\nweb;3\n", { header = true, separator = ";" })
--- assert(rows[1].size == "3")
--- assert(csv.decode("a,b\nc,d\n")[2][1] == "c")
--- ```
---@param text string
---@param options? csv.DecodeOptions
---@return table<string, string>[]|string[][] rows
function csv.decode(text, options)
  local name = "csv.decode"
  options = host.check_options(name, options, { "header", "separator" })
  local header = check_flag(options, "header", name) or false
  local decoded = host.csv_decode(text, header, separator_of(options, name))
  return json.array(decoded.rows)
end

---@class csv.ColumnsOptions
---@field separator? string one character between fields. Default: `","`

--- Returns the names of the columns of CSV text, in their order. Raises the errors of `csv.decode`
--- for the heading.
---
--- ```lua
--- local input = "name,team\nweb,ops\n"
--- local rows = csv.decode(input, { header = true })
--- assert(csv.encode(rows, { columns = csv.columns(input) }) == input)
--- ```
---@param text string
---@param options? csv.ColumnsOptions
---@return string[]
function csv.columns(text, options)
  local name = "csv.columns"
  options = host.check_options(name, options, { "separator" })
  if type(text) ~= "string" then
    host.fail("argument", name .. ": the text must be a string, got " .. type(text))
  end
  return json.array(host.csv_decode(text, true, separator_of(options, name), true).columns)
end

local function by_name(a, b)
  if (a == "name") ~= (b == "name") then
    return a == "name"
  end
  return a < b
end

-- Names of the columns, from the keys of all rows; nil for rows that are arrays.
local function keys_of(rows, name)
  local keys, seen, arrays = {}, {}, 0
  for at, row in ipairs(rows) do
    if type(row) ~= "table" then
      host.fail("argument", name .. ": row " .. at .. " must be a table, got " .. type(row))
    end
    arrays = arrays + (rawlen(row) > 0 and 1 or 0)
    for key in next, row do
      if type(key) == "string" and not seen[key] then
        seen[key] = true
        keys[#keys + 1] = key
      end
    end
  end
  if arrays > 0 then
    if #keys > 0 then
      host.fail("argument", name .. ": some rows are arrays, and others have named fields")
    end
    return nil
  end
  if #keys > MAX_FIELDS then
    host.fail("argument", name .. ": there are more than " .. MAX_FIELDS .. " columns")
  end
  table.sort(keys, by_name)
  return keys
end

local function columns_of(columns, name)
  if type(columns) ~= "table" then
    host.fail("argument", name .. ": columns must be an array of names, got " .. type(columns))
  elseif rawlen(columns) == 0 then
    host.fail("argument", name .. ": columns must name at least one column")
  elseif rawlen(columns) > MAX_FIELDS then
    host.fail("argument", name .. ": there are more than " .. MAX_FIELDS .. " columns")
  end
  local list, seen = {}, {}
  for at = 1, rawlen(columns) do
    local column = columns[at]
    if type(column) ~= "string" then
      host.fail(
        "argument",
        name .. ": column " .. at .. " must be a name, got " .. type(column)
      )
    elseif column == "" or seen[column] then
      local problem = column == "" and "has no name" or "is there twice: " .. inspect(column)
      host.fail("argument", name .. ": column " .. at .. " " .. problem)
    end
    seen[column] = true
    list[at] = column
  end
  return list
end

-- Field as text.
local function field(value, at, key, name)
  local kind = type(value)
  if value == nil or value == json.null then
    return ""
  elseif kind == "string" then
    return value
  elseif kind == "number" or kind == "boolean" then
    return tostring(value)
  end
  host.fail(
    "argument",
    name .. ": row " .. at .. ": " .. inspect(key) .. " is a " .. kind,
    "a field is text, a number, true or false; json.encode makes text of a table"
  )
end

--- Encodes rows as CSV text, with a heading line. Rows are tables by the names of the columns, or
--- arrays, which have no heading. nil and `json.null` become empty fields.
---
--- Raises an argument error that names the row for a value that is not text, a number or a
--- boolean. `report` writes such values too, and long listings row by row.
---
--- ```lua
--- local rows = { { name = "web", port = 80 }, { name = 'a "quoted" one' } }
--- assert(csv.encode(rows) == 'name,port\nweb,80\n"a ""quoted"" one",\n')
--- assert(csv.encode({ { 1, 2 } }, { separator = ";" }) == "1;2\n")
--- ```
---@param rows table[]
---@param options? csv.EncodeOptions
---@return string
function csv.encode(rows, options)
  local name = "csv.encode"
  if options ~= nil and host.bulk_results[options] then
    options = nil
  end
  rows = host.without_holes(rows)
  options = host.check_options(name, options, { "columns", "header", "separator" })
  if type(rows) ~= "table" then
    host.fail("argument", name .. ": the rows must be an array of tables, got " .. type(rows))
  elseif rawlen(rows) == 0 and next(rows) ~= nil then
    host.fail(
      "argument",
      name .. ": the rows must be an array of tables, got one record",
      "put it into an array: csv.encode({ row })"
    )
  end
  local separator = string.byte(separator_of(options, name))
  local header = check_flag(options, "header", name)
  local keys = keys_of(rows, name)
  if options.columns ~= nil then
    local columns = columns_of(options.columns, name)
    if not keys then
      host.fail("argument", name .. ": columns name fields, but the rows are arrays")
    end
    keys = columns
  end
  local lines = {}
  if keys and #keys > 0 and header ~= false then
    lines[1] = host.csv_line(keys, separator)
  end
  for at, row in ipairs(rows) do
    local fields = {}
    if keys then
      for i, key in ipairs(keys) do
        fields[i] = field(row[key], at, key, name)
      end
    else
      if rawlen(row) == 0 or rawlen(row) > MAX_FIELDS then
        host.fail("argument", name .. ": row " .. at .. " has " .. rawlen(row) .. " fields")
      end
      for i = 1, rawlen(row) do
        fields[i] = field(row[i], at, i, name)
      end
    end
    lines[#lines + 1] = host.csv_line(fields, separator)
  end
  return table.concat(lines)
end

return csv
