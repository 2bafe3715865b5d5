---@meta env
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Environment variables, within the permissions granted by `--allow-env` or the runbook's
--- manifest.
---
--- Without a permission, every function raises an error of kind "permission" that names the missing
--- flag.
---
--- ```lua
--- local stage = env.get("IAMLUA_DOC_STAGE", "test") -- with --allow-env=IAMLUA_DOC_STAGE
--- assert(stage == "test")
--- ```
---@class env
env = {}

--- Returns an environment variable, or a default if it is not set or empty.
---@param name string
---@param default? any
---@return any value nil without a default
function env.get(name, default) end

--- Returns an environment variable.
---
--- Raises an error of kind "configuration" if it is not set or empty.
---
--- ```lua
--- local value, err = try(env.require, "IAMLUA_DOC_TOKEN") -- with --allow-env=IAMLUA_DOC_TOKEN
--- assert(not value and err.message == "the environment variable IAMLUA_DOC_TOKEN is not set")
--- ```
---@param name string
---@return string
function env.require(name) end

return env
