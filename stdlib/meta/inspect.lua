---@meta inspect
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Readable text of any value: `print(inspect(value))`.
---
--- The format resembles Lua, with sorted keys and short tables on one line. Terminal control
--- characters are escaped.
---
--- ```lua
--- print(inspect(iam.profiles.get("bastion")))
--- assert(inspect({ b = 2, a = { 1, 2 } }) == "{ a = { 1, 2 }, b = 2 }")
--- ```
---@class inspect
---@overload fun(value: any, options?: inspect.Options): string
inspect = {}

---@class (exact) inspect.Options
---@field depth? integer maximum depth of tables; deeper ones are printed as `{…}`. Default: 20
---@field width? integer columns before a table is split into several lines. Default: 100
---@field most? integer maximum number of values; `…` stands for the rest. Default: a million

--- Escapes control characters, bytes that are not UTF-8, invisible characters and those that change
--- the direction of text, as in a Lua string (`\n`, `\x1b`, `\u{202e}`).
---
--- All other text is unchanged. Raises an argument error for a value that is not text.
---@param text string
---@return string
function inspect.visible(text) end

--- Quotes text as a Lua string literal on one line, with all special characters escaped as by
--- `inspect.visible`.
---
--- Raises an argument error for a value that is not text.
---@param text string
---@return string
function inspect.quote(text) end

return inspect
