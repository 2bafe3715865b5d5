---@meta log
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Messages about what a script does, one line each on standard error: `2026-01-02T03:04:05Z INFO
--- tagged profile=web count=3`.
---
--- A field whose name suggests a secret, such as `api_token`, shows `(secret)`, and so does the
--- value of a secret parameter.
---
--- ```lua
--- log.info("tagged", { profile = "bastion", count = 3 })
--- log.warn("there is no role in it", { profile = "bastion" })
--- ```
---@class log
---@field level "debug"|"info"|"warn"|"error" the least severe messages that are shown; `--log-level` sets it, "info" by default
log = {}

--- Details for whoever looks for a fault.
---
--- Raises an argument error if the fields are no table.
---@param message any
---@param fields? table<string, any> printed after the message, sorted by key
function log.debug(message, fields) end

--- What the script does.
---
--- Raises an argument error if the fields are no table.
---@param message any
---@param fields? table<string, any> printed after the message, sorted by key
function log.info(message, fields) end

--- Logs a warning: worth a look, but no reason to stop.
---
--- Raises an argument error if the fields are no table.
---@param message any
---@param fields? table<string, any> printed after the message, sorted by key
function log.warn(message, fields) end

--- What failed.
---
--- Raises an argument error if the fields are no table.
---@param message any
---@param fields? table<string, any> printed after the message, sorted by key
function log.error(message, fields) end

return log
