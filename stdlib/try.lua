local _, host = ...

local function settle(ok, ...)
  if ok then
    return ...
  end
  local err = ...
  -- Errors for lack of memory do not pass through the handler.
  return nil, getmetatable(err) == host.Error and err or host.as_error(err, 2)
end

local function is_callable(f)
  local meta = getmetatable(f)
  return type(f) == "function" or (type(meta) == "table" and meta.__call ~= nil)
end

--- Calls a function and returns its results. If it raises an error, returns nil and the error: a
--- table with `kind`, `message`, `code`, `hint`, `traceback` and so on. A raised value that is not
--- an error of iamlua is in its field `value`.
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
local function try(f, ...)
  if not is_callable(f) then
    host.fail(
      "argument",
      "try: the first argument must be a function, got " .. type(f),
      "write try(f, x), not try(f(x))"
    )
  end
  return settle(xpcall(f, host.handler, ...))
end

return try
