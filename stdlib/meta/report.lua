---@meta report
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Results on standard output, in the format chosen with `--output`: `table`, `json`, `jsonl` or
--- `csv`.
---
--- `report(rows)` writes rows: an array, or an iterator such as `iam.profiles.each()`. JSON, JSON
--- lines and CSV are streamed row by row, so memory use does not grow with the listing. A table is
--- collected first. Without rows the output is `[]`, only the heading, or a note on standard error.
---
--- In a table, `bar = true` draws the numbers of a column as bars, and `group` makes one table per
--- value of a column. Other formats have plain columns.
---
--- `file` writes the results to a file, in the format of its ending. `html` is such a format, which
--- `--output` does not have: a page.
---
--- `report.page` makes an HTML page of tables and bars.
---
--- ```lua
--- local owner = { key = "tags.Owner", title = "OWNER" }
--- report(iam.profiles.each(), { columns = { "name", "role", owner } })
--- ```
---
--- ```lua
--- report({
---   { by = "path", name = "/ec2/", profiles = 10 },
---   { by = "path", name = "/batch/", profiles = 3 },
---   { by = "role", name = "none", profiles = 8 },
--- }, { group = "by", columns = { "by", "name", { key = "profiles", bar = true } } })
--- ```
---
--- ```lua
--- report(iam.profiles.each(), { file = "/tmp/iamlua-doc-profiles.html", title = "Profiles" })
--- ```
---@class report
---@field format report.Format the format chosen with `--output`
---@overload fun(rows: table[]|(fun(): table?), options?: report.Options)
report = {}

---@alias report.Format "table"|"json"|"jsonl"|"csv"

--- Options of a report.
---
--- Without `columns`, an iterator written as CSV has the keys of its first row. With `group`, a
--- table is split into one table per value, and the value is the heading of its first column.
---
--- A file is written at the end, as by `fs.write`: after a failure it is as before.
---@class (exact) report.Options
---@field columns? (string|report.Column)[] the columns to show. Default: every key, `name` first
---@field format? "table"|"json"|"jsonl"|"csv"|"html" overrides `--output`
---@field file? string the file to write. Without `format`, its ending is the format
---@field title? string the title of an HTML page. Default: "Report"
---@field group? string the column whose value groups the rows

--- Column of a report.
---
--- A `key` with a dot is a field of a table in the row. Bars are scaled to the largest number of
--- the table, which gets the longest bar that fits.
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

--- Quota and its use.
---
--- On a page it is one bar with a used and a free part, and the numbers as text.
---@class (exact) report.Quota
---@field used integer the number in use
---@field total integer the quota
---@field unit? string the name of the things that are counted. Default: `"instance profiles"`

--- Writes one record: a table with a line for each field, or one JSON object.
---
--- Raises an argument error for an invalid option.
---@param record table
---@param options? report.Options
function report.record(record, options) end

--- Writes a message on standard error, whatever the format of the results.
---
--- Its line breaks are kept.
---@param text string
function report.note(text) end

--- Returns an HTML page.
---
--- It is a whole document that loads nothing from elsewhere and runs no scripts, for light and dark
--- screens of any width. All text in it is escaped. `fs.write` writes it into a file.
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
function report.page(page) end

return report
