---@meta try
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Calls a function and returns its results.
---
--- If it raises an error, returns nil and the error: a table with `kind`, `message`, `code`,
--- `hint`, `traceback` and so on. A raised value that is not an error of iamlua is in its field
--- `value`.
---
--- Test the first result, not the second: a function may return two values.
---
--- ```lua
--- local profile, err = try(iam.profiles.get, "web")
--- if not profile and err.code == "NoSuchEntity" then
---   print("there is none: " .. err.message)
--- end
--- ```
---@param f function
---@param ... any arguments of the function
---@return any ...
function try(f, ...) end

return try
