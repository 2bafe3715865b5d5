---@meta report
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Results on standard output, in the format chosen with `--output`: `table`, `json`, `jsonl` or
--- `csv`.
---
--- `report(rows)` writes rows: an array, or an iterator such as `iam.profiles.each()`. JSON, JSON
--- lines and CSV are streamed row by row, so memory use does not grow with the listing. A table is
--- collected first. Without rows the output is `[]`, only the heading, or a note on standard error.
---
--- Numbers can be drawn as bars, and rows can be grouped, one table per group. In the other formats
--- these are plain columns:
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
---@class report
---@field format report.Format the format chosen with `--output`
---@overload fun(rows: table[]|(fun(): table?), options?: report.Options)
report = {}

---@alias report.Format "table"|"json"|"jsonl"|"csv"

--- Options of a report.
---
--- Without `columns`, an iterator written as CSV has the keys of its first row. With `group`, a
--- table is split into one table per value, and the value is the heading of its first column.
---@class report.Options
---@field columns? (string|report.Column)[] the columns to show. Default: every key, `name` first
---@field format? report.Format overrides `--output`
---@field group? string the column whose value groups the rows

--- Column of a report.
---
--- A `key` with a dot is a field of a table in the row. Bars are scaled to the largest number of
--- the table, which gets the longest bar that fits.
---@class report.Column
---@field key? string the field of a row, such as `"tags.Owner"`; also the name in JSON and CSV
---@field title? string the heading in a table. Default: made from the key
---@field value? fun(row: table): any computes the value from the row
---@field align? "left"|"right" default: right if every value is a number
---@field bar? boolean a bar beside each number in a table

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

return report
