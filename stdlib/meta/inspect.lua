---@meta inspect
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Readable printing of any value, for people: `print(inspect(value))`.
---
--- Looks like Lua, with keys in order, short tables on one line, and without anything that a
--- terminal would obey.
---
--- ```lua
--- print(inspect(iam.profiles.get("bastion")))
--- assert(inspect({ b = 2, a = { 1, 2 } }) == "{ a = { 1, 2 }, b = 2 }")
--- ```
---@class inspect
---@overload fun(value: any, options?: inspect.Options): string
inspect = {}

---@class inspect.Options
---@field depth? integer how many tables deep to go; deeper ones are printed as `{…}`. Default 20.
---@field width? integer the width to fill before a table is put on several lines. Default 100.
---@field most? integer values in tables to print; `…` stands for the rest. Default: a million

--- Makes control characters, bytes that are not UTF-8, and characters that cannot be seen or turn
--- the direction of writing visible, as Lua would write them in a string (`\n`, `\x1b`,
--- `\u{202e}`); all other text stays as it is.
---
--- Raises an argument error for what is no text.
---@param text string
---@return string
function inspect.visible(text) end

--- Puts text into double quotes, with everything in it visible: a Lua string literal on one line.
---
--- Raises an argument error for what is no text.
---@param text string
---@return string
function inspect.quote(text) end

return inspect
