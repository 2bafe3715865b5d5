--- Declaration of a runbook: `runbook { … }` at the beginning of a script states its purpose, its
--- parameters and its permissions. The parameters become flags of `iamlua run SCRIPT`, with
--- `--help`. Errors of the command line are reported before anything runs. Afterwards, functions of
--- `iam` outside of `allow` cannot be called.
---
--- A script without `params` and `args` gets its own options after `--`. With `args` they are not
--- checked, so a misspelt option of iamlua is passed to the script.
---
--- A parameter is secret if a word of its name suggests it, such as `password`, `db_token`,
--- `secret`, `credential`, `auth` or `api_key`. Not secret are `partition_key`, `sort_key` and
--- `public_key`, and parameters with `choices`, files, durations and booleans. `secret = true` or
--- `secret = false` overrides this.
---
--- ```lua --owner ops
--- local p = runbook {
---   description = "Tags every profile under a path with its owner.",
---   params = {
---     path = { default = "/", help = "path prefix" },
---     owner = { required = true, help = "value of the Owner tag" },
---   },
---   allow = { "profiles.each", "profiles.tag" },
---   max_changes = 500,
---   timeout = "30m",
--- }
--- bulk.each(iam.profiles.each { path_prefix = p.path }, { label = "tag" }, function(profile)
---   iam.profiles.tag(profile.name, { Owner = p.owner })
--- end)
--- ```
---@class runbook
---@overload fun(manifest: runbook.Manifest): table<string, any>
local runbook = {}

local _, host = ...
local inspect = require("inspect")

-- This file decides what a script may access, so it must not call anything that the script can
-- replace: neither globals nor methods of strings, which are fields of the global `string`.
local find, match, sub, gsub, rep, gmatch =
  string.find, string.match, string.sub, string.gsub, string.rep, string.gmatch
local concat, sort, move = table.concat, table.sort, table.move
local next, ipairs, type, tostring, tonumber = next, ipairs, type, tostring, tonumber
local math_type, huge, max, utf8_len = math.type, math.huge, math.max, utf8.len
local setmetatable = setmetatable
local quote, visible = inspect.quote, inspect.visible
local open, exit = io.open, os.exit

--- Manifest of a runbook.
---
--- `schedule` takes five cron fields, or `@daily` and its like. `every` runs at the multiples of
--- its duration since the beginning of 1970. `jitter` delays each start by up to that duration, so
--- that jobs do not all start at once; the delay of a given moment is always the same.
---
--- `catch_up` is the policy for missed runs and for a run that was killed: `"once"` makes one run
--- for all of them, `"skip"` none. The delay before a retry starts at `retry_delay` and doubles
--- each time. Without `allow`, every function of `iam` may be called.
---@class (exact) runbook.Manifest
---@field description? string the purpose of the script, for `--help`
---@field params? table<string, runbook.Param> by name, in snake_case; `dry_path` is `--dry-path`
---@field args? boolean true to read unchecked arguments from `...` instead. Default: false
---@field allow? string[] the functions of `iam` it may call, such as `"profiles.tag"`. Default: all
---@field max_changes? integer|string the change limit: a number, or a share of profiles as `"5%"`
---@field timeout? string|number the maximum duration of a run
---@field schedule? string the schedule as a job of `iamlua schedule`, in cron fields
---@field timezone? string the time zone of `schedule`, such as `"Europe/Berlin"`. Default: UTC
---@field every? string|number the interval between runs as a job, instead of `schedule`
---@field jitter? string|number the maximum delay of each start as a job
---@field catch_up? "once"|"skip" the policy for missed runs. Default: `"once"`
---@field retries? integer the maximum number of retries after a failure. Default: 0
---@field retry_delay? string|number the delay before the first retry. Default: `"1m"`
---@field on_failure? runbook.OnFailure the notification when retries are exhausted
---@field permissions? runbook.Permissions access outside of AWS; the operator is asked

---@class (exact) runbook.OnFailure
---@field command? string[] a program and its arguments; the failure is JSON on its standard input
---@field webhook? string the URL that receives the failure as a JSON POST request

---@class (exact) runbook.Permissions
---@field read? string[] files and folders
---@field write? string[] files and folders
---@field env? string[] environment variables
---@field run? string[] programs
---@field net? string[] `HOST` or `HOST:PORT`, other than AWS's hosts and the run's endpoint

--- Parameter of a runbook. Its default type is that of `default` or `choices`, else string.
---
--- A duration is converted to seconds. Naming a `file` on the command line permits the script to
--- read it. Naming a `new_file` permits the script to write it. A new file must not exist yet,
--- under a plan either, except for `-` (standard output), pipes and devices.
---@class (exact) runbook.Param
---@field type? "string"|"integer"|"number"|"boolean"|"duration"|"list"|"map"|"file"|"new_file"
---@field default? any
---@field required? boolean
---@field help? string
---@field pattern? string a regular expression for the whole value, or each item of a list
---@field min? number|string the minimum number, duration, or count of items
---@field max? number|string the maximum number, duration, or count of items
---@field choices? any[] the permitted values
---@field secret? boolean hides it in journal, plan file, log and errors. Default: by its name

-- The keys that a script may give are the fields that the classes above document.
local MANIFEST_KEYS = host.fields_of("runbook.Manifest")
local ON_FAILURE_KEYS = host.fields_of("runbook.OnFailure")
local PARAM_KEYS = host.fields_of("runbook.Param")
local PERMISSIONS = host.fields_of("runbook.Permissions")
local MAX_RETRIES = 100
local TYPES =
  { "string", "integer", "number", "boolean", "duration", "list", "map", "file", "new_file" }
local VALUE_NAMES = {
  string = "TEXT",
  integer = "N",
  number = "NUMBER",
  duration = "TIME",
  list = "ITEM",
  map = "KEY=VALUE",
  file = "FILE",
  new_file = "FILE",
}
local PERMISSION_TEXTS = {
  read = "read files: ",
  write = "write files: ",
  env = "read the environment variable ",
  run = "run the program ",
  net = "send requests to ",
}
-- Types with `min` and `max`.
local HAS_SIZE = { integer = true, number = true, duration = true, list = true, map = true }
-- Types of parameters that are secrets if their names suggest it.
local MAY_BE_SECRET = { string = true, integer = true, number = true, list = true, map = true }
local HELP_WIDTH = 80

------------------------------------------------------------------------------------------- Manifest

local function wrong(problem, hint)
  host.fail("argument", "runbook: " .. problem, hint)
end

local function contains(list, word)
  for _, item in ipairs(list) do
    if item == word then
      return true
    end
  end
  return false
end

local function nearest_hint(word, known)
  local near = type(word) == "string" and utf8_len(word) and host.nearest(word, known)
  return near and "did you mean " .. near .. "?" or nil
end

local function check_keys(t, known, where)
  for key in next, t do
    if not contains(known, key) then
      wrong(
        where .. " has no " .. inspect(key),
        nearest_hint(key, known) or "there is " .. concat(known, ", ")
      )
    end
  end
end

local function check_type(value, wanted, where)
  if value ~= nil and type(value) ~= wanted then
    local article = find(wanted, "^[aeiou]") and "an " or "a "
    wrong(where .. " must be " .. article .. wanted .. ", got " .. type(value))
  end
end

local function check_text(value, where)
  check_type(value, "string", where)
  if value ~= nil and not utf8_len(value) then
    wrong(where .. " is not UTF-8")
  end
end

-- Copies the list, so that the script cannot change it between check and use.
local function strings_of(list, where)
  check_type(list, "table", where)
  local copy, count = {}, 0
  for key, item in next, list or {} do
    if math_type(key) ~= "integer" then
      wrong(where .. " must be an array of strings, but has the key " .. inspect(key))
    end
    check_text(item, where .. "[" .. key .. "]")
    if item == "" then
      wrong(where .. "[" .. key .. "] is empty")
    end
    copy[key] = item
    count = count + 1
  end
  if #copy ~= count then
    wrong(where .. " has a hole: one of its items is nil")
  end
  return copy
end

-- Seconds of a duration, or nil and a problem.
local function seconds_of(value)
  local ok, result = host.fallible.seconds(value)
  if not ok then
    return nil, (gsub(result.message, "^the duration ", ""))
  elseif not (result >= 0 and result < huge) then
    return nil, "must not be negative or endless"
  end
  return result
end

local function duration_of(value, where)
  if value == nil then
    return nil
  end
  local seconds, why = seconds_of(value)
  if not seconds then
    wrong(where .. " " .. why)
  end
  return seconds
end

local function flag_of(name)
  return "--" .. gsub(name, "_", "-")
end

local function is_array(t)
  return #t > 0 or next(t) == nil
end

-- Type of a value.
local function type_of(value)
  if math_type(value) == "integer" then
    return "integer"
  elseif type(value) == "table" then
    return is_array(value) and "list" or "map"
  end
  return type(value)
end

-- Integer of a text, or nil: not hexadecimal, without spaces, within range.
local function integer_of(text)
  return find(text, "^[+-]?%d+$") and math_type(tonumber(text)) == "integer" and tonumber(text)
    or nil
end

local function number_of(text)
  return not find(text, "[xXnN%s]") and tonumber(text) or nil
end

-- Parsers by type: the value of a text, or nil and the expected form.
local PARSE = {
  string = function(text)
    return text
  end,
  file = function(text)
    if text == "" then
      return nil, "must name a file"
    end
    return text
  end,
  integer = function(text)
    return integer_of(text), "must be a whole number, got " .. quote(text)
  end,
  number = function(text)
    return number_of(text), "must be a number, got " .. quote(text)
  end,
  boolean = function(text)
    if text == "true" or text == "false" then
      return text == "true"
    end
    return nil, "must be true or false, got " .. quote(text)
  end,
  duration = seconds_of,
}
-- `-` is standard output, as everywhere.
PARSE.new_file = function(text)
  return PARSE.file(text == "-" and "/dev/stdout" or text)
end

-- Problem of a value of the right type; nil if there is none.
local function violation(param, value)
  local size = value
  if param.type == "list" or param.type == "map" then
    size = 0
    for _ in next, value do
      size = size + 1
    end
  end
  local unit = (param.type == "list" or param.type == "map") and " times" or ""
  if param.min and size < param.min then
    return (unit == "" and "must be at least " or "must be given at least ")
      .. tostring(param.shown.min)
      .. unit
  elseif param.max and size > param.max then
    return (unit == "" and "must be at most " or "must be given at most ")
      .. tostring(param.shown.max)
      .. unit
  end
  for _, item in ipairs(param.type == "list" and value or { value }) do
    if param.choices and not contains(param.choices, item) then
      local shown = {}
      for i, choice in ipairs(param.choices) do
        shown[i] = visible(tostring(choice))
      end
      return "must be one of " .. concat(shown, ", ") .. ", got " .. visible(tostring(item)),
        nearest_hint(item, shown)
    elseif param.pattern and not host.matches(param.pattern, item) then
      return "must match " .. param.pattern .. ", got " .. quote(item)
    end
  end
end

local function copy_of(value)
  if type(value) ~= "table" then
    return value
  end
  local copy = {}
  for key, item in next, value do
    copy[key] = item
  end
  return copy
end

-- Value in the manifest, checked against the type of the parameter.
local function manifest_value(param, value, where)
  local kind = param.type
  if kind == "duration" then
    return duration_of(value, where)
  elseif kind == "list" then
    return strings_of(value, where)
  elseif kind == "map" then
    check_type(value, "table", where)
    for key, item in next, value do
      check_text(key, where .. ": the key")
      check_text(item, where .. "." .. tostring(key))
    end
    return copy_of(value)
  elseif kind == "string" or kind == "file" or kind == "new_file" then
    check_text(value, where)
  elseif kind == "integer" and math_type(value) ~= "integer" then
    wrong(where .. " must be a whole number, got " .. inspect(value))
  elseif kind == "number" and type(value) ~= "number" then
    wrong(where .. " must be a number, got " .. inspect(value))
  elseif kind == "boolean" then
    check_type(value, "boolean", where)
  end
  return value
end

local function bound_of(param, value, where)
  if value == nil then
    return nil
  elseif not HAS_SIZE[param.type] then
    wrong(where .. " is for numbers, durations, lists and maps, and this is a " .. param.type)
  elseif param.type == "duration" then
    return duration_of(value, where)
  elseif type(value) ~= "number" then
    wrong(where .. " must be a number, got " .. type(value))
  end
  return value
end

local function choices_of(param, choices, where)
  if choices == nil then
    return nil
  end
  check_type(choices, "table", where)
  if #choices == 0 then
    wrong(where .. " must be an array with at least one value")
  elseif
    param.type ~= "string"
    and param.type ~= "integer"
    and param.type ~= "number"
    and param.type ~= "list"
  then
    wrong(where .. " are for strings, numbers and lists, and this is a " .. param.type)
  end
  local copy = {}
  for at, choice in ipairs(choices) do
    local one = param.type == "list" and { type = "string" } or param
    copy[at] = manifest_value(one, choice, where .. "[" .. at .. "]")
  end
  return copy
end

local function pattern_of(param, pattern, where)
  if pattern == nil then
    return nil
  end
  check_text(pattern, where)
  if param.type ~= "string" and param.type ~= "list" and not find(param.type, "file$") then
    wrong(where .. " is for strings, lists and files, and this is a " .. param.type)
  elseif host.matches(pattern, "") == nil then
    wrong(where .. " is no regular expression: " .. quote(pattern))
  end
  return pattern
end

local EMPTY = {
  boolean = function()
    return false
  end,
  list = function()
    return {}
  end,
  map = function()
    return {}
  end,
}

local function default_of(param, default, where)
  if default == nil then
    local empty = EMPTY[param.type]
    if empty and not param.required then
      return empty()
    end
    return nil
  elseif param.required then
    wrong(where .. " is never used, because the parameter is required")
  end
  local value = manifest_value(param, default, where)
  local why, hint = violation(param, value)
  if why then
    wrong(where .. " " .. why, hint)
  end
  return value
end

local function param_of(name, spec)
  if type(name) ~= "string" or not find(name, "^%l[%l%d_]*$") then
    wrong(
      "a parameter cannot be called " .. inspect(name),
      "names have small letters, digits and _, such as dry_path"
    )
  end
  local where = "params." .. name
  local flag = flag_of(name)
  if name == "help" or name == "version" or contains(host.reserved, sub(flag, 3)) then
    wrong(where .. " cannot be used: " .. flag .. " is an option of iamlua itself")
  elseif type(spec) ~= "table" then
    wrong(
      where .. " must be a table, got " .. type(spec),
      "write " .. name .. " = { default = … }"
    )
  end
  check_keys(spec, PARAM_KEYS, where)
  check_text(spec.type, where .. ".type")
  check_text(spec.help, where .. ".help")
  check_type(spec.required, "boolean", where .. ".required")
  check_type(spec.secret, "boolean", where .. ".secret")
  if spec.type and not contains(TYPES, spec.type) then
    local hint = nearest_hint(spec.type, TYPES) or "there is " .. concat(TYPES, ", ")
    wrong(where .. ".type: there is no type " .. quote(spec.type), hint)
  end
  local shown = spec.default
  if shown == nil and type(spec.choices) == "table" then
    shown = spec.choices[1]
  end
  local param = {
    name = name,
    flag = flag,
    type = spec.type or (shown ~= nil and type_of(shown)) or "string",
    help = spec.help,
    required = spec.required == true,
    secret = spec.secret,
    shown = { min = spec.min, max = spec.max, default = copy_of(spec.default) },
  }
  if not contains(TYPES, param.type) then
    wrong(where .. ": no parameter can hold a " .. param.type)
  end
  param.min = bound_of(param, spec.min, where .. ".min")
  param.max = bound_of(param, spec.max, where .. ".max")
  param.choices = choices_of(param, spec.choices, where .. ".choices")
  param.pattern = pattern_of(param, spec.pattern, where .. ".pattern")
  param.default = default_of(param, spec.default, where .. ".default")
  param.is_suspected = spec.secret == nil
    and not param.choices
    and MAY_BE_SECRET[param.type]
    and host.suggests_secret(name)
  param.secret = spec.secret or param.is_suspected
  param.is_plain = spec.secret == false
  return param
end

-- Parameters by name, and their names: required ones first, then alphabetically.
local function params_of(specs)
  check_type(specs, "table", "params")
  local params, names = {}, {}
  for name, spec in next, specs or {} do
    params[name] = param_of(name, spec)
    names[#names + 1] = name
  end
  sort(names, function(a, b)
    if params[a].required ~= params[b].required then
      return params[a].required
    end
    return a < b
  end)
  for _, name in ipairs(names) do
    local denied = match(name, "^no_(.+)$")
    if denied and params[denied] and params[denied].type == "boolean" then
      wrong("params." .. name .. ' would be mistaken for "not ' .. denied .. '"')
    end
  end
  return params, names
end

local function permissions_of(wanted, where)
  check_type(wanted, "table", where)
  check_keys(wanted or {}, PERMISSIONS, where)
  local list = {}
  for _, kind in ipairs(PERMISSIONS) do
    for _, what in ipairs(strings_of((wanted or {})[kind], where .. "." .. kind)) do
      list[#list + 1] = { kind = kind, what = what }
    end
  end
  return list
end

local function on_failure_of(given, where)
  check_type(given, "table", where)
  given = given or {}
  check_keys(given, ON_FAILURE_KEYS, where)
  local command = given.command ~= nil and strings_of(given.command, where .. ".command") or nil
  check_text(given.webhook, where .. ".webhook")
  if command and #command == 0 then
    wrong(where .. ".command must name a program")
  elseif given.webhook and not find(given.webhook, "^https?://.") then
    -- The URL may hold a secret, so it is not shown.
    wrong(where .. '.webhook must begin with "https://" or "http://"')
  end
  return { command = command, webhook = given.webhook }
end

local function text_of(text, where)
  check_text(text, where)
  return text
end

local function catch_up_of(word, where)
  check_text(word, where)
  if word ~= nil and word ~= "once" and word ~= "skip" then
    wrong(where .. ' must be "once" or "skip", got ' .. quote(word))
  end
  return word
end

local function retries_of(retries, where)
  if
    retries ~= nil and (math_type(retries) ~= "integer" or retries < 0 or retries > MAX_RETRIES)
  then
    wrong(
      where .. " must be a whole number from 0 to " .. MAX_RETRIES .. ", got " .. inspect(retries)
    )
  end
  return retries
end

local function max_changes_of(changes, where)
  local is_share = type(changes) == "string" and find(changes, "^[%d.]+%%$") ~= nil
  if changes ~= nil and not is_share and (math_type(changes) ~= "integer" or changes < 0) then
    wrong(
      where
        .. ' must be a whole number that is not negative, or a share such as "5%", got '
        .. inspect(changes)
    )
  end
  return changes
end

-- Readers of the manifest's fields: each takes value and name, and returns the checked value or
-- raises an error. A field has its documentation above and its row here or in JOB_FIELDS. It is
-- also a field of Rust's `Manifest` or `Job` if the program needs it.
local FIELDS = {
  description = text_of,
  params = function(specs)
    return { params_of(specs) }
  end,
  args = function(flag, where)
    check_type(flag, "boolean", where)
    return flag == true
  end,
  allow = function(names, where)
    return names ~= nil and strings_of(names, where) or nil
  end,
  max_changes = max_changes_of,
  timeout = function(time, where)
    local timeout = duration_of(time, where)
    if timeout and timeout <= 0 then
      wrong(where .. " must be longer than no time at all")
    end
    return timeout
  end,
  schedule = text_of,
  timezone = text_of,
  every = duration_of,
  permissions = permissions_of,
}
-- Fields that only jobs have.
local JOB_FIELDS = {
  jitter = duration_of,
  catch_up = catch_up_of,
  retries = retries_of,
  retry_delay = duration_of,
  on_failure = on_failure_of,
}

-- Job fields of the manifest; nil if the runbook is no job.
local function job_of(given, manifest)
  if given.schedule == nil and given.every == nil then
    for _, key in ipairs(MANIFEST_KEYS) do
      if JOB_FIELDS[key] and given[key] ~= nil then
        wrong(key .. " is for jobs, and this runbook has neither schedule nor every")
      end
    end
    return nil
  end
  local job = { schedule = manifest.schedule, timezone = manifest.timezone, every = manifest.every }
  for _, key in ipairs(MANIFEST_KEYS) do
    local read = JOB_FIELDS[key]
    if read then
      job[key] = read(given[key], key)
    end
  end
  host.check_job(job)
  return job
end

local function manifest_of(given)
  if type(given) ~= "table" then
    wrong(
      "a table belongs here, got " .. type(given),
      "write runbook { description = …, params = { … } }"
    )
  end
  check_keys(given, MANIFEST_KEYS, "the manifest")
  local manifest = {
    shown = {
      timeout = given.timeout,
      schedule = given.schedule,
      timezone = given.timezone,
      every = given.every,
    },
  }
  for _, key in ipairs(MANIFEST_KEYS) do
    if not JOB_FIELDS[key] then
      manifest[key] = FIELDS[key](given[key], key)
    end
  end
  if given.schedule and given.every ~= nil then
    wrong("schedule and every exclude each other")
  elseif given.timezone and not given.schedule then
    wrong("timezone is the time zone of schedule, which is missing")
  end
  manifest.job = job_of(given, manifest)
  manifest.params, manifest.names = manifest.params[1], manifest.params[2]
  if manifest.args and #manifest.names > 0 then
    wrong(
      "params and args exclude each other",
      "the parameters are all that such a command line has"
    )
  end
  manifest.required = {}
  for _, name in ipairs(manifest.names) do
    if manifest.params[name].required then
      manifest.required[#manifest.required + 1] = manifest.params[name].flag
    end
  end
  return manifest
end

----------------------------------------------------------------------------------------------- Help

-- Lines of at most `width` characters, broken at spaces.
local function wrap(text, width)
  local lines, line = {}, ""
  for word in gmatch(visible((gsub(text, "%s+", " "))), "%S+") do
    if line == "" then
      line = word
    elseif utf8_len(line) + 1 + utf8_len(word) <= width then
      line = line .. " " .. word
    else
      lines[#lines + 1] = line
      line = word
    end
  end
  if line ~= "" then
    lines[#lines + 1] = line
  end
  return lines
end

local function shown_value(value)
  if type(value) == "boolean" then
    return value and "yes" or "no"
  elseif type(value) ~= "table" then
    local text = tostring(value)
    return (text == "" or find(text, "[%s,;()]")) and quote(text) or visible(text)
  end
  local items = {}
  for key, item in next, value do
    items[#items + 1] = type(key) == "string" and key .. "=" .. item or item
  end
  sort(items)
  return visible(concat(items, ", "))
end

local function notes_on(param)
  local notes = {}
  if param.required then
    notes[#notes + 1] = "required"
  end
  if param.choices then
    local shown = {}
    for i, choice in ipairs(param.choices) do
      shown[i] = shown_value(choice)
    end
    notes[#notes + 1] = "one of " .. concat(shown, ", ")
  end
  local low, high = param.shown.min, param.shown.max
  if low and high then
    notes[#notes + 1] = "from " .. tostring(low) .. " to " .. tostring(high)
  elseif low or high then
    notes[#notes + 1] = (low and "at least " or "at most ") .. tostring(low or high)
  end
  if param.pattern then
    notes[#notes + 1] = "must match " .. param.pattern
  end
  if param.type == "list" or param.type == "map" then
    notes[#notes + 1] = "can be repeated"
  end
  local default = param.shown.default
  if
    default ~= nil
    and default ~= false
    and not (type(default) == "table" and next(default) == nil)
  then
    notes[#notes + 1] = "default " .. shown_value(default)
  end
  return #notes > 0 and "(" .. concat(notes, "; ") .. ")" or nil
end

local function usage_of(param)
  if param.type == "boolean" then
    return param.default and "--no-" .. sub(param.flag, 3) or param.flag
  end
  return param.flag .. " " .. VALUE_NAMES[param.type]
end

local function add_wrapped(lines, first, text, indent)
  local margin = rep(" ", indent)
  local wrapped = wrap(text, HELP_WIDTH - indent)
  -- The first column may be too long to share its line.
  if utf8_len(first) + 2 > indent then
    lines[#lines + 1] = first
    first = margin
  else
    first = first .. rep(" ", indent - utf8_len(first))
  end
  for i, line in ipairs(wrapped) do
    lines[#lines + 1] = (i == 1 and first or margin) .. line
  end
  if #wrapped == 0 and find(first, "%S") then
    lines[#lines + 1] = match(first, "^(.-)%s*$")
  end
end

local function add_options(lines, manifest)
  local indent = utf8_len("  -h, --help") + 2
  for _, name in ipairs(manifest.names) do
    indent = max(indent, utf8_len(usage_of(manifest.params[name])) + 4)
  end
  indent = indent > 30 and 30 or indent
  lines[#lines + 1] = "Options:"
  for _, name in ipairs(manifest.names) do
    local param = manifest.params[name]
    local texts = { param.help }
    texts[#texts + 1] = notes_on(param)
    add_wrapped(lines, "  " .. usage_of(param), concat(texts, " "), indent)
  end
  add_wrapped(lines, "  -h, --help", "show this", indent)
  add_wrapped(
    lines,
    "",
    "The options of iamlua itself, such as --aws, --apply and --output, can follow too.",
    2
  )
end

local function add_bounds(lines, manifest)
  local indent = 14
  local function add(title, text)
    if text then
      add_wrapped(lines, title, text, indent)
    end
  end
  if manifest.allow then
    add("May call:", #manifest.allow > 0 and concat(manifest.allow, ", ") or "nothing of iam")
  end
  local limits = {}
  if manifest.max_changes then
    limits[#limits + 1] = "at most "
      .. manifest.max_changes
      .. (manifest.max_changes == 1 and " change" or " changes")
  end
  if manifest.timeout then
    local given = manifest.shown.timeout
    limits[#limits + 1] = "at most "
      .. (type(given) == "string" and given or tostring(given) .. "s")
  end
  add("Limits:", #limits > 0 and concat(limits, ", ") or nil)
  local every = manifest.shown.every
  if manifest.shown.schedule then
    local zone = manifest.shown.timezone
    add("Schedule:", manifest.shown.schedule .. (zone and " (" .. zone .. ")" or ""))
  elseif every then
    add("Schedule:", "every " .. (type(every) == "string" and every or tostring(every) .. "s"))
  end
  for i, wanted in ipairs(manifest.permissions) do
    add(i == 1 and "Wants to:" or "", PERMISSION_TEXTS[wanted.kind] .. wanted.what)
  end
end

local function help_text(manifest)
  local lines = manifest.description and wrap(manifest.description, HELP_WIDTH) or {}
  if #lines > 0 then
    lines[#lines + 1] = ""
  end
  local usage = "Usage: iamlua run " .. visible(host.script)
  for _, name in ipairs(manifest.names) do
    local param = manifest.params[name]
    usage = usage .. (param.required and " " .. usage_of(param) or "")
  end
  lines[#lines + 1] = usage
    .. (manifest.args and " [options] [arguments of its own]" or " [options]")
  lines[#lines + 1] = ""
  add_options(lines, manifest)
  local bounds = {}
  add_bounds(bounds, manifest)
  if #bounds > 0 then
    lines[#lines + 1] = ""
    move(bounds, 1, #bounds, #lines + 1, lines)
  end
  return concat(lines, "\n") .. "\n"
end

--------------------------------------------------------------------------------------- Command line

local function wrong_usage(problem, hint)
  host.fail(
    "usage",
    problem,
    hint or "iamlua run " .. visible(host.script) .. " --help shows its options"
  )
end

-- Parameter of a flag, and whether it is negated, such as `--no-delete`.
local function find_param(manifest, flag)
  local name = gsub(sub(flag, 3), "-", "_")
  local param = manifest.params[name]
  if param then
    return param, false
  end
  param = manifest.params[match(name, "^no_(.+)$") or ""]
  if param and param.type == "boolean" then
    return param, true
  end
  local known = {}
  for _, other in ipairs(manifest.names) do
    known[#known + 1] = manifest.params[other].flag
  end
  for _, option in ipairs(host.reserved) do
    known[#known + 1] = "--" .. option
  end
  local near = utf8_len(flag) and host.similar_option(flag, known)
  wrong_usage("there is no option " .. visible(flag), near and "did you mean " .. near .. "?")
end

-- Splits "--owner=ops"; the second result is nil without "=".
local function split_flag(word)
  local at = find(word, "=", 1, true)
  if at then
    return sub(word, 1, at - 1), sub(word, at + 1)
  end
  return word, nil
end

-- Problem of a value, without the value if it is a secret.
local function without_value(param, why)
  return param.secret and gsub(why, ", got .*$", "") or why
end

local function add_to_map(param, map, text)
  local at = find(text, "=", 1, true)
  if not at or at == 1 then
    wrong_usage(
      param.flag .. " " .. without_value(param, "must look like KEY=VALUE, got " .. quote(text))
    )
  end
  local key = sub(text, 1, at - 1)
  if map[key] ~= nil then
    wrong_usage(param.flag .. " gives " .. quote(key) .. " twice")
  end
  map[key] = sub(text, at + 1)
end

-- Adds the text of one flag to the values.
local function take(param, values, text)
  if param.type == "list" then
    local list = values[param.name] or {}
    list[#list + 1] = text
    values[param.name] = list
    return
  elseif param.type == "map" then
    local map = values[param.name] or {}
    values[param.name] = map
    add_to_map(param, map, text)
    return
  elseif values[param.name] ~= nil then
    wrong_usage(param.flag .. " is given twice")
  end
  local value, why = PARSE[param.type](text)
  if value == nil then
    wrong_usage(param.flag .. " " .. without_value(param, why))
  end
  values[param.name] = value
end

-- Values on the command line, by name.
local function parse(manifest, args)
  local values = {}
  local at = args[1] == "--" and 2 or 1
  while at <= #args do
    local word = args[at]
    if sub(word, 1, 2) ~= "--" or word == "--" then
      local hint = #manifest.names == 0 and "the script takes no arguments" or nil
      wrong_usage("there is no use for the argument " .. quote(word), hint)
    end
    local flag, text = split_flag(word)
    local param, is_negated = find_param(manifest, flag)
    if is_negated and text then
      wrong_usage(visible(flag) .. " takes no value")
    elseif param.type == "boolean" then
      text = is_negated and "false" or text or "true"
    elseif not text then
      at = at + 1
      text = args[at]
      if not text or sub(text, 1, 2) == "--" then
        local hint = text and "if the value begins with --, write " .. param.flag .. "=VALUE"
        wrong_usage(param.flag .. " needs a value: " .. usage_of(param), hint)
      end
    end
    take(param, values, text)
    at = at + 1
  end
  return values
end

local function asks_for_help(args)
  return contains(args, "--help") or contains(args, "-h")
end

-- Adds the defaults, checks the bounds, and reports missing required parameters.
local function complete(manifest, values)
  local missing = {}
  for _, name in ipairs(manifest.names) do
    local param = manifest.params[name]
    if values[name] == nil then
      values[name] = copy_of(param.default)
      if param.required then
        missing[#missing + 1] = usage_of(param)
      end
    else
      local why, hint = violation(param, values[name])
      if why then
        wrong_usage(param.flag .. " " .. without_value(param, why), hint)
      end
    end
  end
  if #missing > 0 then
    wrong_usage("missing: " .. concat(missing, ", "))
  end
end

-- Grants access to files on the command line: the operator has chosen them, so the script may read
-- them, or write those that are to be created.
local function grant_files(manifest, given)
  for _, name in ipairs(manifest.names) do
    local param, path = manifest.params[name], given[name]
    if param.type == "file" and path then
      host.grant("read", path)
      local file, why = open(path, "r")
      if file then
        local _, problem = file:read(0)
        file:close()
        why = problem and path .. ": " .. problem
      end
      if why then
        wrong_usage(param.flag .. ": cannot read " .. visible(why))
      end
    elseif param.type == "new_file" and path then
      if host.is_file(path) then
        wrong_usage(
          param.flag .. ": " .. visible(path) .. " is there already",
          "remove it, or choose another name"
        )
      end
      local folder = match(path, "^(.*)/[^/]*$")
      if folder and folder ~= "" and not host.is_folder(folder) then
        wrong_usage(
          param.flag .. ": there is no folder " .. visible(folder),
          "make it, or choose another"
        )
      end
      host.grant("write", path)
    end
  end
end

local function ask_for_permissions(manifest)
  local refused, flags = {}, {}
  for _, wanted in ipairs(manifest.permissions) do
    if not host.is_granted(wanted.kind, wanted.what) then
      local text = PERMISSION_TEXTS[wanted.kind] .. visible(wanted.what)
      if host.confirm(visible(host.script) .. " wants to " .. text .. ". Allow it?") then
        host.grant(wanted.kind, wanted.what)
      else
        refused[#refused + 1] = text
        local flag = "--allow-" .. wanted.kind .. "=" .. visible(wanted.what)
        flags[#flags + 1] = find(flag, "^[%w/._=+:@-]+$") and flag
          or "'" .. gsub(flag, "'", "'\\''") .. "'"
      end
    end
  end
  if #refused > 0 then
    local problem = "the runbook was not allowed to " .. concat(refused, ", or to ")
    host.fail("refused", problem, "allow it with " .. concat(flags, " "))
  end
end

-- Values as a table that refuses reads of undeclared names.
local function guarded(manifest, values)
  return setmetatable(values, {
    __index = function(_, name)
      if not manifest.params[name] then
        local hint = nearest_hint(name, manifest.names)
        wrong("there is no parameter " .. inspect(name), hint or "declare it in params")
      end
    end,
  })
end

-- Values for the journal; secret values, declared and suspected; and the names of parameters that
-- are stored whatever their values.
local function shown_parameters(manifest, values)
  local shown, secrets, suspected, plain = {}, {}, {}, {}
  for _, name in ipairs(manifest.names) do
    local value = values[name]
    if manifest.params[name].is_plain then
      plain[#plain + 1] = name
    end
    if manifest.params[name].secret and value ~= nil then
      shown[name] = "(secret)"
      local hidden = manifest.params[name].is_suspected and suspected or secrets
      for _, item in next, type(value) == "table" and value or { value } do
        hidden[#hidden + 1] = tostring(item)
      end
    else
      shown[name] = value
    end
  end
  return shown, secrets, suspected, plain
end

-- Refuses a default path that the script must not use, before it has changed anything.
local function check_default_files(manifest, given, values)
  for _, name in ipairs(manifest.names) do
    local param, path = manifest.params[name], values[name]
    local access = param.type == "file" and "read" or param.type == "new_file" and "write"
    if access and path and not given[name] then
      local shown = visible(path)
      if not host.is_granted(access, path) then
        wrong_usage(
          param.flag .. ": the script may not " .. access .. " its default, " .. shown,
          "name it: " .. param.flag .. "=" .. shown .. "; only named files are allowed by themselves"
        )
      elseif access == "write" and host.is_file(path) then
        wrong_usage(
          param.flag .. ": " .. shown .. " is there already",
          "remove it, or choose another name"
        )
      end
    end
  end
end

local function declare(_, given)
  host.set_wrong_manifest(true)
  local manifest = manifest_of(given)
  if host.is_declared then
    wrong("the script has declared itself already", "one script is one runbook")
  end
  host.set_wrong_manifest(false)
  host.is_declared = true
  if host.declare(manifest) then
    exit(0)
  end
  if asks_for_help(host.args) then
    host.print(help_text(manifest))
    exit(0)
  end
  local values = manifest.args and {} or parse(manifest, host.args)
  local named = copy_of(values)
  complete(manifest, values)
  host.parameters(shown_parameters(manifest, values))
  host.limit(manifest.allow, manifest.max_changes, manifest.timeout)
  grant_files(manifest, named)
  ask_for_permissions(manifest)
  check_default_files(manifest, named, values)
  return guarded(manifest, values)
end

--- Reports a wrong command line that the declarations cannot express, such as two flags that
--- exclude each other. Always raises an error of kind "usage", which ends the script with exit code
--- 2.
---@param problem string
---@param hint? string
function runbook.usage(problem, hint)
  if type(problem) ~= "string" or (hint ~= nil and type(hint) ~= "string") then
    wrong("usage: the problem and the hint must be strings")
  end
  wrong_usage(problem, hint)
end

return setmetatable(runbook, { __call = declare })
