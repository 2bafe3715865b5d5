---@meta try
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Calls a function and returns what it returns; if it raises, returns nil and the error: a table
--- with `kind`, `message`, `code`, `hint`, `traceback` and so on, whatever was raised.
---
--- What was raised is in its `value` if that was not an error of ours. Test the first result: the
--- second one of a function that returns two is no error.
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
