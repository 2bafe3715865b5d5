---@meta report
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Results on standard output, in the format that the operator chose with `--output`: `table`,
--- `json`, `jsonl` or `csv`.
---
--- `report(rows)` writes rows: an array, or an iterator such as `iam.profiles.each()`. JSON, JSON lines and CSV are written row by row, so that a listing of any length needs no memory; a table has to be collected. No rows are `[]`, a lone heading, or a note on standard error.
---
--- Numbers can be drawn as bars, and rows come in groups, each a table of its own; in the other
--- formats these are plain columns:
---
--- ```lua
--- report(iam.profiles.each(), { columns = { "name", "role", { key = "tags.Owner", title = "OWNER" } } })
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
---@field format report.Format what the operator chose
---@overload fun(rows: table[]|(fun(): table?), options?: report.Options)
report = {}

---@alias report.Format "table"|"json"|"jsonl"|"csv"

---@class report.Options
---@field columns? (string|report.Column)[] what to show. Default: every key of the rows, `name` first; for an iterator as CSV, those of the first row.
---@field format? report.Format instead of the operator's
---@field group? string the column by whose value rows belong together: in a table they are one of their own, and the value is the heading of its first column

---@class report.Column
---@field key? string the field of a row, or of a table in it: `"tags.Owner"`; also the name in JSON and CSV
---@field title? string the heading of the table; the default is made of the key
---@field value? fun(row: table): any makes the value from the row
---@field align? "left"|"right" default: right if every value is a number
---@field bar? boolean whether a bar stands beside each number of a table; the largest of the table has the longest that fits

--- Writes one record: a line for each field in a table, one object in JSON.
---
--- Raises an argument error for a wrong option.
---@param record table
---@param options? report.Options
function report.record(record, options) end

--- Writes a line for people on standard error, whatever the format of the results.
---
--- Line breaks in it are kept.
---@param text string
function report.note(text) end

return report
