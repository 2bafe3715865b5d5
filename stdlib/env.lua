--- Environment variables, within the permissions granted by `--allow-env` or the runbook's
--- manifest. Without a permission, every function raises an error of kind "permission" that names
--- the missing flag.
---
--- ```lua --allow-env=IAMLUA_DOC_STAGE
--- local stage = env.get("IAMLUA_DOC_STAGE", "test") -- with --allow-env=IAMLUA_DOC_STAGE
--- assert(stage == "test")
--- ```
---@class env
local env = {}

local _, host = ...

-- Value of a variable; nil if it is not set.
local function value_of(name, called)
  if type(name) ~= "string" then
    host.fail("argument", called .. ": the name must be a string, got " .. type(name))
  elseif name == "" or string.find(name, "[=\0]") then
    host.fail("argument", called .. ": no variable can have that name")
  end
  return host.getenv(name)
end

--- Returns an environment variable, or a default if it is not set or empty.
---@param name string
---@param default? any
---@return any value nil without a default
function env.get(name, default)
  local value = value_of(name, "env.get")
  if value == nil or (value == "" and default ~= nil) then
    return default
  end
  return value
end

--- Returns an environment variable. Raises an error of kind "configuration" if it is not set or
--- empty.
---
--- ```lua --allow-env=IAMLUA_DOC_TOKEN
--- local value, err = try(env.require, "IAMLUA_DOC_TOKEN") -- with --allow-env=IAMLUA_DOC_TOKEN
--- assert(not value and err.message == "the environment variable IAMLUA_DOC_TOKEN is not set")
--- ```
---@param name string
---@return string
function env.require(name)
  local value = value_of(name, "env.require")
  if value == nil or value == "" then
    local problem = value == nil and "is not set" or "is empty"
    host.fail("configuration", "the environment variable " .. name .. " " .. problem)
  end
  return value
end

return env
