---@meta log
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Log messages, one line each on standard error: `2026-01-02T03:04:05Z INFO tagged profile=web
--- count=3`.
---
--- A field whose name suggests a secret, such as `api_token`, is shown as `(secret)`, and so is the
--- value of a secret parameter.
---
--- ```lua
--- log.info("tagged", { profile = "bastion", count = 3 })
--- log.warn("there is no role in it", { profile = "bastion" })
--- ```
---@class log
---@field level "debug"|"info"|"warn"|"error" minimum severity (`--log-level`). Default: "info"
log = {}

--- Logs details for troubleshooting.
---
--- Raises an argument error if the fields are not a table.
---@param message any
---@param fields? table<string, any> printed after the message, sorted by key
function log.debug(message, fields) end

--- Logs normal progress.
---
--- Raises an argument error if the fields are not a table.
---@param message any
---@param fields? table<string, any> printed after the message, sorted by key
function log.info(message, fields) end

--- Logs a warning: a problem that does not stop the script.
---
--- Raises an argument error if the fields are not a table.
---@param message any
---@param fields? table<string, any> printed after the message, sorted by key
function log.warn(message, fields) end

--- Logs a failure.
---
--- Raises an argument error if the fields are not a table.
---@param message any
---@param fields? table<string, any> printed after the message, sorted by key
function log.error(message, fields) end

return log
