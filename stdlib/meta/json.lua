---@meta json
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- JSON text to Lua values and back.
---
--- ```lua
--- local decoded = json.decode('{ "tags": {}, "owner": null }')
--- assert(decoded.owner == json.null)
--- assert(json.encode { names = json.array {}, count = 0 } == '{"count":0,"names":[]}')
--- ```
---@class json
json = {}

--- What `null` becomes, because a nil in a table would vanish.
---
--- `json.encode` writes it as `null` again. It is true in a condition: compare with `== json.null`.
---@type lightuserdata
json.null = nil

---@class json.Options
---@field pretty? boolean over several lines, indented by two spaces

--- Writes a value as JSON text.
---
--- A table with values at 1…n is an array, any other an object with its keys sorted; `json.array`
--- makes an empty one an array. Raises an argument error for what JSON has not: functions, NaN,
--- text that is not UTF-8, a table that is array and object at once or holds itself.
---@param value any
---@param options? json.Options
---@return string
function json.encode(value, options) end

--- Reads JSON text.
---
--- Objects become tables, arrays become tables that `json.encode` writes as arrays again, `null`
--- becomes `json.null`. Raises an argument error that says where the text is wrong.
---@param text string
---@return any
function json.decode(text) end

--- Marks a table as an array, so that it is written as one even when it is empty.
---@generic T: table
---@param items? T
---@return T
function json.array(items) end

--- Whether `json.encode` takes a value for an array: a table whose length is not 0, or one that
--- `json.array` marked.
---
--- It does not look further: `json.encode` refuses such a table all the same if an entry between is
--- missing, or if it has other keys too.
---@param value any
---@return boolean
function json.is_array(value) end

return json
