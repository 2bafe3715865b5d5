---@meta check
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Checks of data from outside, such as an input file or an answer, against a shape.
---
--- All faults are found at once, each with its place.
---
--- A shape is one of these:
--- - `"string"`, or another type; `"string?"` is optional, and `"string|number"` has two types.
--- - A table with named fields: an object with these keys. The key `"*"` stands for all others.
--- - A table with one shape, such as `{ "string" }`: an array of it.
--- - A function that gets the value, and returns the problem as text, or nil.
--- - The result of `check.optional`, `check.one_of` or `check.all`.
---
--- The types are `string`, `number`, `integer`, `boolean`, `table`, `array`, `object`, `function`
--- and `any`. The text of a function is read behind the place: `"must not be empty"`.
---
--- ```lua
--- local data = json.decode('{ "profiles": [{ "name": "web", "tags": { "Owner": 7 } }] }')
--- local problems = check.problems(data, {
---   profiles = { { name = "string", path = "string?", tags = { ["*"] = "string" } } },
--- })
--- assert(problems[1] == "profiles[1].tags.Owner must be a string, got number")
--- ```
---@class check
---@overload fun(value: any, shape: check.Shape, options?: check.Options): any
check = {}

---@alias check.Shape string|table|fun(value: any): string?

--- Options of `check` and `check.problems`.
---
--- With the name `"the file"` a problem reads `the file.profiles[1] is missing`; with `"line 3:"`
--- it reads `line 3: name is missing`.
---@class (exact) check.Options
---@field name? string the name of the value, before each place; a colon may be at its end
---@field limit? integer the largest number of problems. Default: 20

--- Returns the problems of a value, each with its place; none if it has the shape.
---
--- ```lua
--- local shape = { hosts = { "string" }, port = check.optional("integer") }
--- local problems = check.problems({ hosts = { "a", 5 }, prt = 80 }, shape)
--- assert(problems[1] == "hosts[2] must be a string, got number")
--- assert(problems[2] == "prt is not a known field; did you mean port?")
--- ```
---@param value any
---@param shape check.Shape
---@param options? check.Options
---@return string[] problems
---@return integer more the number of problems beyond the limit
function check.problems(value, shape, options) end

--- Makes a shape optional: nil has it too.
---
--- `"string?"` is shorter for types.
---@param shape check.Shape
---@return table shape
function check.optional(shape) end

--- Makes a shape of the values that are allowed.
---
--- ```lua
--- local problems = check.problems("stagin", check.one_of("staging", "prod"), { name = "stage" })
--- assert(problems[1] == 'stage must be one of "staging", "prod", got "stagin"')
--- ```
---@param ... string|number|boolean
---@return table shape
function check.one_of(...) end

--- Makes a shape of several: a value must have all of them.
---
--- They are looked at in order, up to the first one that it does not have.
---
--- ```lua
--- local port = check.all("integer", function(n)
---   return (n < 1 or n > 65535) and "must be a port, from 1 to 65535" or nil
--- end)
--- assert(check(443, port) == 443)
--- ```
---@param ... check.Shape
---@return table shape
function check.all(...) end

return check
