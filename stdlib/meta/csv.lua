---@meta csv
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

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
csv = {}

---@class (exact) csv.DecodeOptions
---@field header? boolean the first row names the columns. Default: false
---@field separator? string one character between fields. Default: `","`

---@class (exact) csv.EncodeOptions
---@field columns? string[] the columns, in order. Default: every key, `name` first
---@field header? boolean a heading line with the names of the columns. Default: true
---@field separator? string one character between fields. Default: `","`

--- Decodes CSV text.
---
--- With `header`, each row is a table by the names of the columns. Without it, each row is an
--- array. All values are text. Fields can be in quotes (RFC 4180), lines can end in LF or CRLF, and
--- empty lines are skipped.
---
--- Raises an argument error that names the line: for a row with more or fewer fields than the first
--- one, a column without a name or with that of another column, and a quote that is not closed.
---
--- ```lua
--- local rows = csv.decode("name;size\nweb;3\n", { header = true, separator = ";" })
--- assert(rows[1].size == "3")
--- assert(csv.decode("a,b\nc,d\n")[2][1] == "c")
--- ```
---@param text string
---@param options? csv.DecodeOptions
---@return table<string, string>[]|string[][] rows
function csv.decode(text, options) end

---@class (exact) csv.ColumnsOptions
---@field separator? string one character between fields. Default: `","`

--- Returns the names of the columns of CSV text, in their order.
---
--- Raises the errors of `csv.decode` for the heading.
---
--- ```lua
--- local input = "name,team\nweb,ops\n"
--- local rows = csv.decode(input, { header = true })
--- assert(csv.encode(rows, { columns = csv.columns(input) }) == input)
--- ```
---@param text string
---@param options? csv.ColumnsOptions
---@return string[]
function csv.columns(text, options) end

--- Encodes rows as CSV text, with a heading line.
---
--- Rows are tables by the names of the columns, or arrays, which have no heading. nil and
--- `json.null` become empty fields.
---
--- Raises an argument error that names the row for a value that is not text, a number or a boolean.
--- `report` writes such values too, and long listings row by row.
---
--- ```lua
--- local rows = { { name = "web", port = 80 }, { name = 'a "quoted" one' } }
--- assert(csv.encode(rows) == 'name,port\nweb,80\n"a ""quoted"" one",\n')
--- assert(csv.encode({ { 1, 2 } }, { separator = ";" }) == "1;2\n")
--- ```
---@param rows table[]
---@param options? csv.EncodeOptions
---@return string
function csv.encode(rows, options) end

return csv
