--- Results on standard output, in the format chosen with `--output`: `table`, `json`, `jsonl` or
--- `csv`.
---
--- `report(rows)` writes rows: an array, or an iterator such as `iam.profiles.each()`. JSON, JSON
--- lines and CSV are streamed row by row, so memory use does not grow with the listing. A table is
--- collected first. Without rows the output is `[]`, only the heading, or a note on standard error.
---
--- ```lua
--- local owner = { key = "tags.Owner", title = "OWNER" }
--- report(iam.profiles.each(), { columns = { "name", "role", owner } })
--- ```
---
--- In a table, `bar = true` draws the numbers of a column as bars, and `group` makes one table per
--- value of a column. Other formats have plain columns.
---
--- ```lua
--- report({
---   { by = "path", name = "/ec2/", profiles = 10 },
---   { by = "path", name = "/batch/", profiles = 3 },
---   { by = "role", name = "none", profiles = 8 },
--- }, { group = "by", columns = { "by", "name", { key = "profiles", bar = true } } })
--- ```
---
--- `file` writes the results to a file, in the format of its ending. `html` is such a format, which
--- `--output` does not have: a page.
---
--- ```lua --allow-write=/tmp
--- report(iam.profiles.each(), { file = "/tmp/iamlua-doc-profiles.html", title = "Profiles" })
--- ```
---
--- `report.page` makes an HTML page of tables and bars.
---@class report
---@field format report.Format the format chosen with `--output`
---@overload fun(rows: table[]|(fun(): table?), options?: report.Options)
local report = {}

local _, host = ...
local inspect = require("inspect")
local json = require("json")

---@alias report.Format "table"|"json"|"jsonl"|"csv"

--- Options of a report. Without `columns`, an iterator written as CSV has the keys of its first
--- row. With `group`, a table is split into one table per value, and the value is the heading of
--- its first column.
---
--- A file is written at the end, as by `fs.write`: after a failure it is as before.
---@class report.Options
---@field columns? (string|report.Column)[] the columns to show. Default: every key, `name` first
---@field format? "table"|"json"|"jsonl"|"csv"|"html" overrides `--output`
---@field file? string the file to write. Without `format`, its ending is the format
---@field title? string the title of an HTML page. Default: "Report"
---@field group? string the column whose value groups the rows

--- Column of a report. A `key` with a dot is a field of a table in the row. Bars are scaled to the
--- largest number of the table, which gets the longest bar that fits.
---@class (exact) report.Column
---@field key? string the field of a row, such as `"tags.Owner"`; also the name in JSON and CSV
---@field title? string the heading in a table. Default: made from the key
---@field value? fun(row: table): any computes the value from the row
---@field align? "left"|"right" default: right if every value is a number
---@field bar? boolean a bar beside each number in a table

--- HTML page: a title, paragraphs and sections.
---@class (exact) report.Page
---@field title string the title, and first heading
---@field notes? string[] the paragraphs below the title
---@field sections? report.Section[] the sections, each with a heading

--- Section of a page: the use of a quota as a bar, a table, or both.
---@class (exact) report.Section
---@field title string the heading
---@field quota? report.Quota the quota to draw
---@field rows? table[]|(fun(): table?) the rows of the table
---@field columns? (string|report.Column)[] the columns. Default: every key, `name` first

--- Quota and its use. On a page it is one bar with a used and a free part, and the numbers as text.
---@class (exact) report.Quota
---@field used integer the number in use
---@field total integer the quota
---@field unit? string the name of the things that are counted. Default: `"instance profiles"`

local COLUMN_KEYS = { "key", "title", "value", "align", "bar" }
local OPTIONS = { "columns", "format", "group", "file", "title" }
-- The formats of one report, which `--output` does not have.
local ALL_FORMATS = { "table", "json", "jsonl", "csv", "html" }

local function check(condition, name, problem, hint)
  if not condition then
    host.fail("argument", name .. ": " .. problem, hint)
  end
end

-------------------------------------------------------------------------------------------- Columns

-- Field of a row for a key. The longest name wins, so that keys with dots are found too.
local function field(row, key)
  local value = row[key]
  if value ~= nil then
    return value
  end
  local from = 1
  while true do
    local dot = string.find(key, ".", from, true)
    if not dot then
      return nil
    end
    local inner = row[string.sub(key, 1, dot - 1)]
    if type(inner) == "table" then
      value = field(inner, string.sub(key, dot + 1))
      if value ~= nil then
        return value
      end
    end
    from = dot + 1
  end
end

local function heading(key)
  return (string.gsub(string.upper(inspect.visible(key)), "_", " "))
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
  check(
    key == nil or type(key) == "string",
    name,
    where .. ": key must be a string, got " .. type(key)
  )
  check(
    title == nil or type(title) == "string",
    name,
    where .. ": title must be a string, got " .. type(title)
  )
  check(
    value == nil or type(value) == "function",
    name,
    where .. ": value must be a function, got " .. type(value)
  )
  check(
    align == nil or align == "left" or align == "right",
    name,
    where .. ': align must be "left" or "right", got ' .. inspect(align)
  )
  check(
    column.bar == nil or type(column.bar) == "boolean",
    name,
    where .. ": bar must be true or false, got " .. inspect(column.bar)
  )
  check(key or (value and title), name, where .. " needs a key, or a title and a value")
  return {
    key = key or title,
    title = title and inspect.visible(title) or heading(key),
    align = align,
    bar = column.bar,
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
    -- Only fields of the row itself: these keys came from rows, with their dots.
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

---------------------------------------------------------------------------------------------- Cells

-- Upper bound on the values in a cell; `…` stands for the others.
local MAX_VALUES = 100000

-- Value as text for a table or CSV; nil for nothing.
local function cell(value, depth, state)
  state = state or { left = MAX_VALUES }
  if state.left == 0 then
    return "…"
  end
  state.left = state.left - 1
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
    local text = inspect(value, { width = math.maxinteger, most = state.left })
    state.left = math.max(0, state.left - #text // 4)
    return text
  end
  local pieces = {}
  if rawlen(value) > 0 then
    for i = 1, rawlen(value) do
      pieces[i] = cell(value[i], depth + 1, state) or "-"
      if state.left == 0 then
        break
      end
    end
  elseif type(value.name) == "string" then
    -- A nested record, such as the role in a profile, is shown by its name.
    return value.name
  else
    for key, inner in next, value do
      pieces[#pieces + 1] = tostring(key) .. "=" .. (cell(inner, depth + 1, state) or "-")
      if state.left == 0 then
        break
      end
    end
    table.sort(pieces)
  end
  return #pieces > 0 and table.concat(pieces, ", ") or nil
end

-- Cells of a row. `numbers` has the values of columns with bars.
local function cells_for_people(columns, row)
  local cells, numbers = {}, {}
  for i, column in ipairs(columns) do
    local value = column.value(row)
    local text = cell(value, 0)
    column.is_number = column.is_number or type(value) == "number"
    column.is_text = column.is_text or (text ~= nil and type(value) ~= "number")
    cells[i] = text and text ~= "" and inspect.visible(text) or "-"
    numbers[i] = column.bar and type(value) == "number" and value or nil
  end
  return cells, numbers
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

-- JSON object with the columns in their order.
local function json_object(columns, row, name)
  local fields = {}
  for i, column in ipairs(columns) do
    local ok, text = host.fallible.json_encode(column.value(row))
    check(ok, name, "column " .. inspect(column.key) .. ": " .. (ok and "" or text.message))
    fields[i] = json.encode(column.key) .. ":" .. text
  end
  return "{" .. table.concat(fields, ",") .. "}"
end

----------------------------------------------------------------------------------------------- Rows

-- Iterator over rows that checks that each is a table.
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
  return host.is_callable(rows)
    or (type(rows) == "table" and (rawlen(rows) > 0 or next(rows) == nil))
end

----------------------------------------------------------------------------------------------- Bars

-- Width for bars without a terminal.
local DEFAULT_WIDTH = 80
local MAX_BAR, MIN_BAR = 40, 4
local EIGHTHS = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }

-- Bar of that many characters, to an eighth. A value above zero is always visible.
local function bar_of(share, length)
  local eighths = share > 0 and math.max(1, math.floor(share * length * 8 + 0.5)) or 0
  return string.rep("█", eighths // 8) .. (EIGHTHS[eighths % 8] or "")
end

-- Width of a table without its bars, in columns of the screen. `widths` receives those of the
-- cells.
local function width_without_bars(columns, rows, widths)
  -- Two spaces between columns, and none after the last.
  local sum = -2
  for i, column in ipairs(columns) do
    widths[i] = 0
    for _, cells in ipairs(rows) do
      widths[i] = math.max(widths[i], utf8.len(cells[i]) or #cells[i])
    end
    sum = sum + math.max(widths[i], utf8.len(column.title)) + 2
  end
  return sum
end

-- Draws the bars beside their numbers. Several columns with bars share the free width.
local function draw_bars(columns, rows, numbers)
  local count, widths = 0, {}
  for _, column in ipairs(columns) do
    count = count + (column.bar and 1 or 0)
  end
  if count == 0 then
    return
  end
  local free = ((host.width() or DEFAULT_WIDTH) - width_without_bars(columns, rows, widths))
    // count
  for i, column in ipairs(columns) do
    if column.bar then
      -- Below a heading wider than the numbers, the bar uses the rest of the heading's width.
      local length = math.min(free + math.max(0, utf8.len(column.title) - widths[i]) - 2, MAX_BAR)
      local most = 0
      for at = 1, #rows do
        most = math.max(most, numbers[at][i] or 0)
      end
      for at, cells in ipairs(rows) do
        local number = string.rep(" ", widths[i] - utf8.len(cells[i])) .. cells[i]
        local share = most > 0 and math.max(0, numbers[at][i] or 0) / most or 0
        cells[i] = length >= MIN_BAR and number .. "  " .. bar_of(share, length) or number
      end
    end
  end
end

--------------------------------------------------------------------------------------------- Tables

-- Text of a table, and a note if the terminal is too narrow for all columns.
local function render(columns, rows)
  local heads, right = {}, {}
  for i, column in ipairs(columns) do
    heads[i] = column.title
    right[i] = column.align == "right"
      or (column.align == nil and column.is_number and not column.is_text)
    right[i] = right[i] and not column.bar
  end
  return host.render_table(heads, rows, right)
end

-- Columns without the one that groups. The first has the name of the group as its heading.
local function columns_in_group(columns, group, key)
  local kept = {}
  for _, column in ipairs(columns) do
    if column.key ~= key then
      kept[#kept + 1] = setmetatable(
        { title = #kept == 0 and heading(group) or nil },
        { __index = column }
      )
    end
  end
  return kept
end

-- Adds a row to the last table, or starts a new one for it.
local function add_to_tables(tables, columns, row, key)
  local group = key and (cell(field(row, key), 0) or "-")
  local last = tables[#tables]
  if not last or last.group ~= group then
    last = { group = group, columns = columns, rows = {}, numbers = {} }
    last.columns = key and columns_in_group(columns, group, key) or columns
    tables[#tables + 1] = last
  end
  local at = #last.rows + 1
  last.rows[at], last.numbers[at] = cells_for_people(last.columns, row)
end

local function write_table(emit, next_row, columns, key)
  local tables, raw = {}, {}
  local function collect()
    for row in next_row do
      if columns then
        add_to_tables(tables, columns, row, key)
      else
        raw[#raw + 1] = row
      end
    end
  end
  -- Rows before a failure are shown, as in the streaming formats.
  local ok, err = xpcall(collect, host.handler)
  if not columns then
    columns = columns_of_rows(raw)
    for _, row in ipairs(raw) do
      add_to_tables(tables, columns, row, key)
    end
  end
  local note
  for i, t in ipairs(tables) do
    if #t.columns > 0 then
      draw_bars(t.columns, t.rows, t.numbers)
      local text, problem = render(t.columns, t.rows)
      emit(i > 1 and "\n" or "", text)
      note = note or problem
    end
  end
  if note then
    report.note(note)
  end
  if ok and (#tables == 0 or #columns == 0) then
    report.note("nothing to report")
  end
  if not ok then
    error(err, 0)
  end
end

local function write_csv(emit, next_row, columns, rows)
  local row = next_row()
  if not columns and row then
    columns = type(rows) == "table" and rawlen(rows) > 0 and columns_of_rows(rows)
      or columns_of_row(row)
  end
  if not columns or #columns == 0 then
    return
  end
  emit(csv_heading(columns))
  while row do
    emit(csv_line(columns, row))
    row = next_row()
  end
end

local function write_jsonl(emit, next_row, columns, name)
  for row in next_row do
    emit(json_object(columns or columns_of_row(row), row, name), "\n")
  end
end

local function write_json(emit, next_row, columns, name)
  local before = "[\n  "
  for row in next_row do
    emit(before, json_object(columns or columns_of_row(row), row, name))
    before = ",\n  "
  end
  -- Not written after a failure: a truncated listing must not look complete.
  emit(before == "[\n  " and "[]\n" or "\n]\n")
end

-- Format by the ending of a file; the one chosen with `--output` if it is of another kind.
local function format_of_file(file)
  local ending = string.lower(string.match(file, "%.([%w]+)$") or "")
  for _, known in ipairs(ALL_FORMATS) do
    if ending == known and ending ~= "table" then
      return known
    end
  end
  return ending == "htm" and "html" or host.format
end

local function format_of(options, name)
  local format, file, title = options.format, options.file, options.title
  check(file == nil or type(file) == "string", name, "file must be a string, got " .. type(file))
  check(
    title == nil or type(title) == "string",
    name,
    "title must be a string, got " .. type(title)
  )
  if format == nil then
    return file and format_of_file(file) or host.format
  end
  for _, known in ipairs(ALL_FORMATS) do
    if format == known then
      return format
    end
  end
  local near = type(format) == "string" and utf8.len(format) and host.nearest(format, ALL_FORMATS)
  local hint = near and "did you mean '" .. near .. "'?"
    or "there is " .. table.concat(ALL_FORMATS, ", ")
  return host.fail("argument", name .. ": there is no format " .. inspect(format), hint)
end

-- Function that writes texts, and one to call at the end: to standard output, or to a file.
local function sink(file)
  if file == nil then
    return host.print, function() end
  end
  if not host.is_granted("write", file) then
    -- Refused here, before the rows are read.
    host.fs_write(file, "")
  end
  local texts = {}
  local function emit(...)
    for i = 1, select("#", ...) do
      texts[#texts + 1] = (select(i, ...))
    end
  end
  return emit, function()
    host.fs_write(file, table.concat(texts))
  end
end

--------------------------------------------------------------------------------------------- Pages

local function capitalised(key)
  local text = string.gsub(inspect.visible(key), "_", " ")
  return string.upper(string.sub(text, 1, 1)) .. string.sub(text, 2)
end

-- Title of a column on a page. Capital letters are for tables at a terminal.
local function page_title(column)
  return column.title == heading(column.key) and capitalised(column.key) or column.title
end

local function table_of(columns, rows)
  local cells, shares, most = {}, {}, {}
  for at, row in ipairs(rows) do
    cells[at], shares[at] = cells_for_people(columns, row)
    for i, number in pairs(shares[at]) do
      most[i] = math.max(most[i] or 0, number)
    end
  end
  for at, numbers in ipairs(shares) do
    for i, number in pairs(numbers) do
      if math.type(number) == "integer" and number >= 0 then
        cells[at][i] = host.number(number)
      end
      numbers[i] = most[i] > 0 and math.max(0, number) / most[i] or 0
    end
  end
  local titles, right = {}, {}
  for i, column in ipairs(columns) do
    titles[i] = page_title(column)
    right[i] = column.align == "right"
      or (column.align == nil and not column.bar and column.is_number and not column.is_text)
      or false
  end
  return { titles = titles, right = right, rows = cells, shares = shares }
end

local function page_table(section, name)
  check(
    is_rows(section.rows),
    name,
    "the rows must be an array or an iterator, got " .. type(section.rows)
  )
  local rows = {}
  for row in iterate(section.rows, name) do
    rows[#rows + 1] = row
  end
  return table_of(columns_of(section.columns, name) or columns_of_rows(rows), rows)
end

local function page_of(title, sections)
  return host.html_page(title, {}, sections, require("time").now())
end

-- Page with a line for each field of a record.
local function record_page(record, columns, title)
  local rows = {}
  for i, column in ipairs(columns) do
    rows[i] = { field = page_title(column), value = column.value(record) }
  end
  title = title or "Report"
  local fields = columns_of({ "field", "value" }, "report.record")
  return page_of(title, { { title = title, table = table_of(fields, rows) } })
end

-- Page with a table, or one for each group.
local function write_page(emit, next_row, columns, options)
  local title, key = options.title or "Report", options.group
  local rows, groups = {}, {}
  for row in next_row do
    rows[#rows + 1] = row
  end
  columns = columns or columns_of_rows(rows)
  for _, row in ipairs(rows) do
    local name = key and (cell(field(row, key), 0) or "-") or title
    local last = groups[#groups]
    if not last or last.name ~= name then
      last = { name = name, rows = {} }
      groups[#groups + 1] = last
    end
    last.rows[#last.rows + 1] = row
  end
  local sections = {}
  for i, group in ipairs(groups) do
    local kept = {}
    for _, column in ipairs(columns) do
      if column.key ~= key then
        kept[#kept + 1] = setmetatable({}, { __index = column })
      end
    end
    sections[i] = { title = group.name, table = table_of(kept, group.rows) }
  end
  if #sections == 0 then
    sections[1] = { title = title, table = table_of({}, {}) }
  end
  emit(page_of(title, sections))
end

------------------------------------------------------------------------------------------ Functions

--- Writes one record: a table with a line for each field, or one JSON object. Raises an argument
--- error for an invalid option.
---@param record table
---@param options? report.Options
function report.record(record, options)
  local name = "report.record"
  check(type(record) == "table", name, "the record must be a table, got " .. type(record))
  options = host.check_options(name, options, { "columns", "format", "file", "title" })
  local format = format_of(options, name)
  local columns = columns_of(options.columns, name) or columns_of_row(record)
  local emit, finish = sink(options.file)
  if format == "csv" then
    emit(csv_heading(columns), csv_line(columns, record))
  elseif format == "html" then
    emit(record_page(record, columns, options.title))
  elseif format ~= "table" then
    emit(json_object(columns, record, name), "\n")
  else
    local width = 0
    for _, column in ipairs(columns) do
      width = math.max(width, utf8.len(column.title))
    end
    for i, text in ipairs(cells_for_people(columns, record)) do
      local title = columns[i].title
      emit(title, string.rep(" ", width - utf8.len(title) + 2), text, "\n")
    end
  end
  finish()
end

--- Writes a message on standard error, whatever the format of the results. Its line breaks are
--- kept.
---@param text string
function report.note(text)
  check(type(text) == "string", "report.note", "the text must be a string, got " .. type(text))
  local lines = {}
  for line in string.gmatch(text .. "\n", "(.-)\r?\n") do
    lines[#lines + 1] = inspect.visible(line) .. "\n"
  end
  host.print_err(table.concat(lines))
end

local function page_quota(quota, name)
  check(type(quota) == "table", name, "quota must be a table, got " .. type(quota))
  host.check_options(name .. ": quota", quota, { "used", "total", "unit" })
  for _, key in ipairs { "used", "total" } do
    local number = quota[key]
    check(
      math.type(number) == "integer" and number >= 0,
      name,
      "quota: " .. key .. " must be an integer from 0, got " .. inspect(number)
    )
  end
  local unit = quota.unit == nil and "instance profiles" or quota.unit
  check(type(unit) == "string", name, "quota: unit must be a string, got " .. type(unit))
  return { used = quota.used, total = quota.total, unit = unit }
end

--- Returns an HTML page. It is a whole document that loads nothing from elsewhere and runs no
--- scripts, for light and dark screens of any width. All text in it is escaped. `fs.write` writes
--- it into a file.
---
--- ```lua
--- local page = report.page {
---   title = "Instance profiles",
---   sections = {
---     { title = "Quota", quota = { used = 24, total = 1000 } },
---     {
---       title = "By path",
---       rows = { { path = "/ec2/", profiles = 10 }, { path = "/batch/", profiles = 3 } },
---       columns = { "path", { key = "profiles", bar = true } },
---     },
---   },
--- }
--- print(page:match("<title>.-</title>")) --> <title>Instance profiles · iamlua</title>
--- ```
---@param page report.Page
---@return string html the document
function report.page(page)
  local name = "report.page"
  check(type(page) == "table", name, "the page must be a table, got " .. type(page))
  host.check_options(name, page, { "title", "notes", "sections" })
  check(type(page.title) == "string", name, "title must be a string, got " .. type(page.title))
  local notes, sections = page.notes or {}, page.sections or {}
  check(type(notes) == "table", name, "notes must be an array, got " .. type(notes))
  for at, note in ipairs(notes) do
    check(
      type(note) == "string",
      name,
      "note " .. at .. " must be a string, got " .. type(note)
    )
  end
  check(type(sections) == "table", name, "sections must be an array, got " .. type(sections))
  local made = {}
  for at, section in ipairs(sections) do
    local where = name .. ": section " .. at
    check(type(section) == "table", where, "it must be a table, got " .. type(section))
    host.check_options(where, section, { "title", "quota", "rows", "columns" })
    check(
      type(section.title) == "string",
      where,
      "title must be a string, got " .. type(section.title)
    )
    made[at] = {
      title = section.title,
      quota = section.quota ~= nil and page_quota(section.quota, where) or nil,
      table = section.rows ~= nil and page_table(section, where) or nil,
    }
  end
  return host.html_page(page.title, notes, made, require("time").now())
end

report.format = host.format

local function call(_, rows, options)
  local name = "report"
  if options ~= nil and host.bulk_results[options] then
    options = nil
  end
  rows = host.without_holes(rows)
  options = host.check_options(name, options, OPTIONS)
  local group = options.group
  check(
    group == nil or type(group) == "string",
    name,
    "group must name a column, got " .. type(group)
  )
  check(
    is_rows(rows),
    name,
    "the rows must be an array or an iterator, got "
      .. (type(rows) == "table" and "one record" or type(rows)),
    type(rows) == "table" and "report.record writes one record" or nil
  )
  local format = format_of(options, name)
  local columns = columns_of(options.columns, name)
  local next_row = iterate(rows, name)
  local emit, finish = sink(options.file)
  if format == "table" then
    write_table(emit, next_row, columns, group)
  elseif format == "csv" then
    write_csv(emit, next_row, columns, rows)
  elseif format == "jsonl" then
    write_jsonl(emit, next_row, columns, name)
  elseif format == "html" then
    write_page(emit, next_row, columns, options)
  else
    write_json(emit, next_row, columns, name)
  end
  finish()
end

return setmetatable(report, { __call = call })
