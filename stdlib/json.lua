--- Conversion between JSON text and Lua values.
---
--- ```lua
--- local decoded = json.decode('{ "tags": {}, "owner": null }')
--- assert(decoded.owner == json.null)
--- assert(json.encode { names = json.array {}, count = 0 } == '{"count":0,"names":[]}')
--- ```
---@class json
local json = {}

local _, host = ...

--- Representation of JSON's `null`, because a nil in a table would vanish. `json.encode` writes it
--- as `null` again. It is true in a condition: compare with `== json.null`.
---@type lightuserdata
json.null = host.null

---@class json.Options
---@field pretty? boolean several lines, indented by two spaces

--- Encodes a value as JSON text. A table with values at 1…n becomes an array, any other an object
--- with sorted keys. `json.array` makes an empty table an array.
---
--- Raises an argument error for values that JSON cannot represent: functions, NaN, text that is not
--- UTF-8, a table with both array entries and other keys, and a table that contains itself.
---@param value any
---@param options? json.Options
---@return string
function json.encode(value, options)
  if options ~= nil and host.bulk_results[options] then
    options = nil
  end
  options = host.check_options("json.encode", options, { "pretty" })
  if options.pretty ~= nil and type(options.pretty) ~= "boolean" then
    host.fail("argument", "json.encode: pretty must be true or false, got " .. type(options.pretty))
  end
  local ok, result = host.fallible.json_encode(value, options.pretty == true)
  if not ok then
    host.fail(result.kind, "json.encode: " .. result.message, result.hint)
  end
  return result
end

--- Decodes JSON text. Objects become tables, `null` becomes `json.null`. Arrays become tables that
--- `json.encode` writes as arrays again. Raises an argument error with the position of the fault.
---@param text string
---@return any
function json.decode(text)
  return host.json_decode(text)
end

--- Marks a table as an array, so that it is encoded as one even when it is empty.
---@generic T: table
---@param items? T
---@return T
function json.array(items)
  if items == nil then
    items = {}
  elseif type(items) ~= "table" then
    host.fail("argument", "json.array: a table belongs here, got " .. type(items))
  end
  local meta = getmetatable(items)
  if meta ~= nil and meta ~= host.array_meta then
    host.fail("argument", "json.array: the table has a metatable already")
  end
  return setmetatable(items, host.array_meta)
end

--- Returns true if `json.encode` treats a value as an array: a table whose length is not 0, or one
--- that `json.array` marked.
---
--- Gaps and other keys are not checked here. `json.encode` refuses a table that has them.
---@param value any
---@return boolean
function json.is_array(value)
  return type(value) == "table" and (rawlen(value) > 0 or getmetatable(value) == host.array_meta)
end

return json
