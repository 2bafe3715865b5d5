--- Log messages, one line each on standard error: `2026-01-02T03:04:05Z INFO tagged profile=web
--- count=3`. A field whose name suggests a secret, such as `api_token`, is shown as `(secret)`, and
--- so is the value of a secret parameter.
---
--- ```lua
--- log.info("tagged", { profile = "bastion", count = 3 })
--- log.warn("there is no role in it", { profile = "bastion" })
--- ```
---@class log
---@field level "debug"|"info"|"warn"|"error" minimum severity (`--log-level`). Default: "info"
local log = {}

local _, host = ...
local inspect = require("inspect")
local time = require("time")

local LEVELS = { "debug", "info", "warn", "error" }
local SEVERITY = {}
for severity, level in ipairs(LEVELS) do
  SEVERITY[level] = severity
end

-- Replacement for a value whose name suggests a secret.
local SECRET = "(secret)"

log.level = host.log_level or "info"

-- Value after `key=`, quoted if it would be ambiguous.
local function value_text(value)
  if type(value) == "string" then
    local visible = inspect.visible(value)
    if visible == value and value ~= "" and not string.find(value, '[%s"\\=]') then
      return value
    end
    return inspect.quote(value)
  end
  local text = inspect(value, { width = math.maxinteger })
  return string.find(text, '[%s"=]') and inspect.quote(text) or text
end

local function message_text(message)
  if type(message) == "string" then
    return inspect.visible(message)
  end
  return inspect(message, { width = math.maxinteger })
end

local function write(level, message, fields)
  local name = "log." .. level
  if fields ~= nil and type(fields) ~= "table" then
    host.fail(
      "argument",
      name .. ": the fields must be a table, got " .. type(fields),
      "write " .. name .. '("…", { key = value })'
    )
  elseif not SEVERITY[log.level] then
    local wrong = inspect(log.level)
    host.fail(
      "argument",
      "log.level is " .. wrong,
      "it must be one of " .. table.concat(LEVELS, ", ")
    )
  elseif SEVERITY[level] < SEVERITY[log.level] then
    return
  end
  if host.has_log then
    local named = {}
    for key, value in pairs(fields or {}) do
      local name = tostring(key)
      named[name] = host.suggests_secret(name) and SECRET or value
    end
    host.log(level, host.without_secrets(message_text(message)), named)
    return
  end
  local words = { time.now(), string.format("%-5s", string.upper(level)), message_text(message) }
  local pairs_of_text = {}
  for key, value in pairs(fields or {}) do
    local name = type(key) == "string" and key or tostring(key)
    local shown = utf8.len(name) and host.suggests_secret(name) and SECRET or value
    pairs_of_text[#pairs_of_text + 1] = value_text(name) .. "=" .. value_text(shown)
  end
  table.sort(pairs_of_text)
  table.move(pairs_of_text, 1, #pairs_of_text, #words + 1, words)
  host.print_err(host.without_secrets(table.concat(words, " ")) .. "\n")
end

--- Logs details for troubleshooting. Raises an argument error if the fields are not a table.
---@param message any
---@param fields? table<string, any> printed after the message, sorted by key
function log.debug(message, fields)
  write("debug", message, fields)
end

--- Logs normal progress. Raises an argument error if the fields are not a table.
---@param message any
---@param fields? table<string, any> printed after the message, sorted by key
function log.info(message, fields)
  write("info", message, fields)
end

--- Logs a warning: a problem that does not stop the script. Raises an argument error if the fields
--- are not a table.
---@param message any
---@param fields? table<string, any> printed after the message, sorted by key
function log.warn(message, fields)
  write("warn", message, fields)
end

--- Logs a failure. Raises an argument error if the fields are not a table.
---@param message any
---@param fields? table<string, any> printed after the message, sorted by key
function log.error(message, fields)
  write("error", message, fields)
end

return log
