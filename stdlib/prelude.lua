-- Layer between scripts and the program: waiting, errors, coroutines, `require`, the sandbox, and
-- `iam`. The program calls this file once for each VM with its table of functions; nothing in that
-- table is reachable from a script.
-- Returns the function that runs the chunk of a script.

--- Globals of Lua 5.4, as scripts have them. Files, programs and the environment need permissions.
--- Waiting works everywhere in Lua code.
---
--- All of `string`, `table`, `math`, `utf8` and `coroutine` is available. Calls to AWS,
--- `time.sleep` and all other waiting also work in coroutines, iterators, metamethods, `table.sort`
--- and `string.gsub`; other tasks continue meanwhile. The modules of iamlua are globals; `require`
--- finds them too.
---
--- The program's own metatables (errors, files, strings and JSON arrays) cannot be changed.
--- `getmetatable` returns `false` for them, or a stand-in that `setmetatable` accepts. A script may
--- replace globals and modules; the program keeps using the originals.
---
--- A coroutine that waits, or is a task, has the status "normal": it is in the middle of a call.
--- `coroutine.yield` in a task raises an error, because nothing has resumed it.
---
--- Not available: `dofile`, `loadfile`, `string.dump`, `io.popen`, `io.tmpfile`, `os.execute`,
--- `os.remove`, `os.rename`, `os.tmpname`, `package.loadlib`, and the functions of `debug` that
--- reach into other functions. They raise an error that says so.

local host = ...

local native_debug, getinfo, native_traceback = debug, debug.getinfo, debug.traceback
local native_load, native_open, collectgarbage = load, io.open, collectgarbage
local native_tmpfile = io.tmpfile
local native_date, native_time = os.date, os.time
-- Lua's own: those of `coroutine` are for scripts.
local yield, isyieldable = host.yield, host.isyieldable
local pack, unpack, concat = table.pack, table.unpack, table.concat
-- The raw metatable, whatever its `__metatable` shows to scripts.
local getmetatable, native_setmetatable, set_metatable =
  debug.getmetatable, setmetatable, debug.setmetatable
local type, tostring, error = type, tostring, error
local select, pcall, xpcall, pairs, ipairs, next, rawget, rawset =
  select, pcall, xpcall, pairs, ipairs, next, rawget, rawset
-- Not as methods: those are fields of the global `string`, which a script can replace.
local byte, find, sub, gsub, match, utf8_len =
  string.byte, string.find, string.sub, string.gsub, string.match, utf8.len
local string_format, string_gmatch = string.format, string.gmatch
local math_type, tointeger = math.type, math.tointeger
local globals = _G
local WAIT = host.marker

----------------------------------------------------------------------------------------- Metatables

-- The program calls the functions in a metatable, and a finalizer (`__gc`) even where Lua must not
-- be called. Therefore no script gets access to a metatable that the program has created or shares
-- with it. It sees `false`, or a stand-in if it may set the metatable on its own tables.
local function with_metatable(value, meta)
  if meta and rawget(meta, "__metatable") == nil then
    rawset(meta, "__metatable", false)
  end
  return set_metatable(value, meta)
end

local behind = {}

local function show_stand_in(meta, fields)
  local stand_in = with_metatable({}, {
    __index = fields,
    __newindex = function()
      error("this metatable is the program's own and cannot be changed", 2)
    end,
  })
  meta.__metatable = stand_in
  behind[stand_in] = meta
end

show_stand_in(getmetatable(""), { __index = string, __name = "string" })
show_stand_in(host.array_meta, { __name = "array" })
show_stand_in(host.error_meta, { __name = "error" })
getmetatable(io.stdin).__metatable = false

-- Stoppable versions of functions of Lua's library.
native_load(host.stdlib_source("stoppable"), "=[iamlua:stoppable]", "t")(host)

--------------------------------------------------------------------------------------------- Errors

local Error = host.error_meta
Error.__index = Error
Error.__name = "error"

function Error:__tostring()
  local text = self.message or "?"
  if self.code then
    text = self.code .. ": " .. text
  end
  if self.where then
    text = self.where .. ": " .. text
  end
  if self.operation and self.code then
    local id = self.request_id
    text = text .. " (" .. self.operation .. (id and ", request " .. id or "") .. ")"
  end
  return text
end

function Error.__concat(a, b)
  return tostring(a) .. tostring(b)
end

-- Frames of the program's own Lua code are useless to the author of a script.
local function is_own(info)
  return sub(info.source, 1, 9) == "=[iamlua:"
end

-- Script position nearest to `level`, such as "tag.lua:12", and its frame; nil outside of a
-- script.
local function where(level)
  while true do
    local info = getinfo(level, "Sl")
    if not info then
      return nil
    end
    if info.currentline > 0 and not is_own(info) then
      return info.short_src .. ":" .. info.currentline, info
    end
    level = level + 1
  end
end

-- Environment of the program's own modules: the globals before any script ran, and each other.
local pristine

-- Upper bound on the message of an error of Lua, with the position.
local MAX_PROBLEM = 1000

-- Adds a hint for a common mistake to an error of Lua, and the position if it has none.
local function add_hint(e, level)
  if #e.message > MAX_PROBLEM then
    return
  end
  local place, info = where(level + 1)
  -- An error that was caught and raised again names the line of the first time.
  local name, line, text = match(e.message, "^([^\n]-):(%d+): (.*)$")
  local is_here = name and place == name .. ":" .. line
  text = name and text or e.message
  -- `coroutine.wrap` puts the position of each call in front.
  while name do
    local inner_name, inner_line, inner_text = match(text, "^([^\n:]+):(%d+): (.*)$")
    if not inner_name then
      break
    end
    name, line, text, is_here = inner_name, inner_line, inner_text, false
  end
  if not (find(text, "^attempt to ") or find(text, "^bad ")) then
    return
  end
  local chunk = is_here and info.source or "@" .. (name or "")
  if not name then
    e.where = e.where or place
    chunk, line = info and info.source or "", info and info.currentline
  end
  -- All entries of a prompt have one name.
  if chunk == "=(prompt)" and info.what ~= "main" then
    line = nil
  end
  e.hint = host.hint_for(text, chunk, line and tointeger(line) or 0, globals, pristine or globals)
end

local function describe(info)
  if info.what == "main" then
    return "in main chunk"
  end
  if info.namewhat ~= "" and info.name then
    return "in " .. info.namewhat .. " '" .. info.name .. "'"
  end
  return "in function <" .. info.short_src .. ":" .. info.linedefined .. ">"
end

local function traceback(level)
  local lines = {}
  while #lines < 40 do
    local info = getinfo(level, "Sln")
    if not info then
      break
    end
    if info.what ~= "C" and not is_own(info) then
      lines[#lines + 1] = "  "
        .. info.short_src
        .. ":"
        .. info.currentline
        .. ": "
        .. describe(info)
    end
    level = level + 1
  end
  return concat(lines, "\n")
end

-- Converts a raised value into an error of the host, and keeps the value.
local function as_error(value, level)
  if getmetatable(value) == Error then
    value.traceback = value.traceback or traceback(level + 1)
    return value
  end
  local e = { kind = "script", retryable = false, traceback = traceback(level + 1) }
  if type(value) == "string" then
    -- Removes a leading position in the program's own Lua code.
    local own = find(value, "^%[iamlua:%w+%]:%d+: ") and find(value, ": ", 1, true)
    e.message = own and sub(value, own + 2) or value
    e.where = own and where(level + 1) or nil
    add_hint(e, level + 1)
    if host.not_run and find(value, "attempt to index a nil value", 1, true) then
      e.hint = "under a plan "
        .. host.not_run
        .. " returns nil; give it `plan = function … end`, or ask for iamlua.mode"
    end
    if find(value, "attempt to yield from outside a coroutine", 1, true) then
      e.hint = "the script itself, a task and a function of bulk.each have nobody to yield to; "
        .. "bulk.stream gives results one by one"
    end
    if value == "not enough memory" then
      e.hint =
        "the script holds more than --max-memory allows; iterate with each instead of collecting"
    end
  elseif type(value) == "nil" then
    e.message = "the script raised nil"
  else
    local meta = getmetatable(value)
    if type(value) == "table" and not (meta and meta.__tostring) then
      e.message = type(rawget(value, "message")) == "string" and value.message
        or require("inspect")(value)
    else
      e.message = tostring(value)
    end
    e.where = where(level + 1)
    e.value = value
  end
  return with_metatable(e, Error)
end

local function handler(value)
  return as_error(value, 3)
end

local function raise(e)
  e.where = e.where or where(3)
  e.traceback = e.traceback or traceback(3)
  error(e, 0)
end

-- Raises an error of that kind, at the position in the script.
function host.fail(kind, message, hint)
  raise(with_metatable({ kind = kind, message = message, hint = hint, retryable = false }, Error))
end

-- Options of the function `name`, or an empty table; raises if they are no table, or for a key that
-- is not in `known`.
function host.check_options(name, options, known)
  if options == nil then
    return {}
  elseif type(options) ~= "table" then
    host.fail("argument", name .. ": the options must be a table, got " .. type(options))
  end
  for key in next, options do
    local is_known = false
    for _, word in ipairs(known) do
      is_known = is_known or word == key
    end
    if not is_known then
      local near = type(key) == "string" and utf8_len(key) and host.nearest(key, known)
      host.fail(
        "argument",
        name .. ": there is no option " .. require("inspect")(key),
        near and "did you mean '" .. near .. "'?" or "there is " .. concat(known, ", ")
      )
    end
  end
  return options
end

-- Results of bulk work, which a script may hand on with the values that it was called for.
host.bulk_results = with_metatable({}, { __mode = "k" })

-- Array without its holes, if it counts its items in `n` as the results of `bulk.map` do.
function host.without_holes(list)
  local n = type(list) == "table" and rawget(list, "n")
  if math_type(n) ~= "integer" then
    return list
  end
  local is_array, all = getmetatable(list) == host.array_meta, {}
  for key in next, list do
    if math_type(key) == "integer" and key >= 1 and key <= n then
      is_array = true
    elseif key ~= "n" then
      return list
    end
  end
  if not is_array then
    return list
  end
  for i = 1, n do
    all[#all + 1] = rawget(list, i)
  end
  return all
end

-- Returns true if a value can be called: a function, or an iterator that is a table.
function host.is_callable(value)
  local meta = getmetatable(value)
  return type(value) == "function" or (type(meta) == "table" and meta.__call ~= nil)
end

local function settle(ok, ...)
  if ok then
    return ...
  end
  raise((...))
end

-- Ends the script if a task has failed that nothing can wait for any more.
function host.check_tasks()
  for _, state in ipairs(host.failures) do
    if not state.held[1] then
      host.failed = state
      host.end_by_task()
      -- The stop arrives before the next instruction, so this loop never ends normally.
      while true do
      end
    end
  end
end

for name, f in pairs(host.fallible) do
  host[name] = function(...)
    if host.failed then
      host.check_tasks()
    end
    return settle(f(...))
  end
end

host.Error, host.as_error, host.handler, host.settle, host.where =
  Error, as_error, handler, settle, where

-------------------------------------------------------------------------------------------- Waiting

local function wait_for(handle)
  if host.failed then
    host.check_tasks()
  end
  if host.ready(handle) then
    return
  end
  if isyieldable() then
    yield(WAIT, handle)
  else
    host.block(handle)
  end
end

local function await(handle)
  wait_for(handle)
  return settle(host.take(handle))
end

host.wait_for, host.await = wait_for, await

---------------------------------------------------------------------------------------- The sandbox

-- Function of Lua's library that is written in Lua: its errors name it, and the position in the
-- script.
local function library(name, f)
  local function finish(ok, ...)
    if ok then
      return ...
    end
    local e = ...
    if type(e) ~= "string" then
      error(e, 0)
    end
    e = gsub(e, "^%[iamlua:%w+%]:%d+: ", "")
    error(gsub(e, "^(bad argument #%d+ to )'[%w_%?]+'", "%1'" .. name .. "'"), 2)
  end
  return function(...)
    return finish(pcall(f, ...))
  end
end
local RUN_INSTEAD =
  'process.run("PROGRAM", { "ARGUMENT" }) runs a program, with --allow-run=PROGRAM'
local REMOVE_INSTEAD = 'process.run("rm", { path }), or "mv", does it, with --allow-run=rm'

local function no_access(name, instead)
  return function()
    host.fail("permission", name .. " is not available in scripts", instead)
  end
end

--- Prints values on standard output, separated by tabs. On a terminal, control characters other
--- than line breaks, tabs and colours are shown as `\x1b`; `io.write` writes bytes unchanged. For
--- results that other programs read, see `report`.
---@param ... any
print = host.c_function("print", host.raise_write_failure)

-- `io.open` with permissions; the file is Lua's own.
local function open(path, mode)
  if mode == nil then
    mode = "r"
  elseif type(mode) ~= "string" then
    error("bad argument #2 to 'open' (string expected, got " .. type(mode) .. ")", 2)
  end
  local is_valid = find(mode, "^[rwa]%+?b*$") ~= nil
  local writes = find(mode, "[wa+]") ~= nil
  local reads = find(mode, "r", 1, true) ~= nil or find(mode, "+", 1, true) ~= nil
  local real = path
  if reads then
    real = host.resolve("read", path)
  end
  if writes then
    real = host.resolve("write", path, find(mode, "^[wa]%+?b*$") ~= nil)
    -- Plain Lua refuses other modes.
    if is_valid then
      local planned = host.plan_file(path, mode)
      if type(planned) == "table" then
        return nil, path .. ": " .. planned.problem, planned.code
      end
      real = planned or real
    end
  end
  if type(real) == "table" then
    if is_valid then
      return nil, path .. ": " .. real.problem, real.code
    end
    real = path
  end
  local file, why, code = native_open(real, mode)
  if not file then
    why = path .. sub(why, #real + 1)
  end
  return file, why, code
end

-- Functions of Lua's own files.
local file_methods = getmetatable(io.stdin).__index
local native_io_type, native_input, native_read = io.type, io.input, io.read
local standard = {}

-- A standard file: its functions, which get the file and return them.
local function standard_file(make_methods)
  local file = host.new_file()
  local methods = make_methods(file)
  set_metatable(file, {
    __index = methods,
    __name = "FILE*",
    __metatable = false,
    __tostring = function()
      return string_format("file (%p)", file)
    end,
  })
  standard[file] = true
  return file
end

-- Type of a value in messages, as Lua names it there.
local function type_name(value)
  local meta = getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and name or value == nil and "no value" or type(value)
end

local function check_file(file, self, name)
  if not rawequal(file, self) then
    error("bad argument #1 to '" .. name .. "' (FILE* expected, got " .. type_name(self) .. ")", 3)
  end
end

-- Methods that all standard files share.
local function common(file)
  return {
    close = function(self)
      check_file(file, self, "close")
      return nil, "cannot close standard file"
    end,
    flush = function(self)
      check_file(file, self, "flush")
      host.flush()
      return self
    end,
    seek = function(self)
      check_file(file, self, "seek")
      return nil, "Illegal seek", 29
    end,
    read = function(self)
      check_file(file, self, "read")
      return nil, "Bad file descriptor", 9
    end,
    lines = function(self)
      check_file(file, self, "lines")
      return function()
        error("Bad file descriptor", 2)
      end
    end,
    setvbuf = function(self)
      check_file(file, self, "setvbuf")
      return true
    end,
  }
end

local stdout = standard_file(function(file)
  local methods = common(file)
  methods.write = host.c_function("write_out", file, host.raise_write_failure)
  function methods.setvbuf(self, mode)
    check_file(file, self, "setvbuf")
    if mode ~= "no" and mode ~= "full" and mode ~= "line" then
      error("bad argument #1 to 'setvbuf' (invalid option '" .. tostring(mode) .. "')", 2)
    end
    host.set_buffering(mode)
    return true
  end
  return methods
end)
local stderr = standard_file(function(file)
  local methods = common(file)
  methods.write = host.c_function("write_err", file, host.raise_write_failure)
  return methods
end)

-- An empty root has no /dev/null; an empty file reads alike.
local input = host.has_input and io.stdin
  or native_open("/dev/null", "r")
  or assert(native_tmpfile())
native_input(input)

-- Iterator over lines, which closes the file at its end if `closes`.
local function lines_of(file, closes, ...)
  if select("#", ...) > 240 then
    error("bad argument #242 to 'lines' (too many arguments)", 3)
  end
  return host.c_function("next_line", file_methods.read, file_methods.close, file, closes, ...)
end

local stdin = standard_file(function(file)
  local methods = common(file)
  methods.read = host.c_function("read_in", file, file_methods.read, input)
  function methods.lines(self, ...)
    check_file(file, self, "lines")
    return lines_of(input, false, ...)
  end
  function methods.seek(self, ...)
    check_file(file, self, "seek")
    return file_methods.seek(input, ...)
  end
  function methods.setvbuf(self, ...)
    check_file(file, self, "setvbuf")
    return file_methods.setvbuf(input, ...)
  end
  function methods.write(self)
    check_file(file, self, "write")
    return nil, "Bad file descriptor", 9
  end
  return methods
end)

local default_output = stdout

-- File that an argument of `io.input` or `io.output` names.
local function file_argument(name, file, mode)
  if type(file) == "string" then
    local opened, why = open(file, mode)
    if not opened then
      error(why, 3)
    end
    return opened
  elseif standard[file] or native_io_type(file) then
    return file
  end
  error("bad argument #1 to '" .. name .. "' (FILE* expected, got " .. type_name(file) .. ")", 3)
end

--- Standard input and output, and files within the permissions granted by `--allow-read`,
--- `--allow-write` or the runbook's manifest.
io = {
  --- Opens a file; the result has the methods of plain Lua. Raises an error of kind "permission"
  --- that names the missing flag. Under a plan, writes stay in the run: later reads see them, and
  --- the file on the disk is unchanged.
  ---@param path string
  ---@param mode? string as in plain Lua; default `"r"`
  ---@return file*? file nil if the system refuses
  ---@return string? problem
  ---@return integer? code
  open = library("open", open),
  --- Writes text and numbers on standard output, or on the file that was chosen with `io.output`.
  ---@param ... string|number
  ---@return file*
  write = host.c_function("write", stdout, host.raise_write_failure, library("write", function(...)
    return default_output:write(...)
  end)),
  --- Reads from standard input, or from the file that was chosen with `io.input`, as in plain Lua.
  --- Text that was written before is shown first.
  ---@param ... string|integer formats, such as `"l"` for a line and `"a"` for all; default `"l"`
  ---@return any ...
  read = host.c_function("read", native_read, input),
  --- Iterates over the lines of a file, which it closes at the end, or of standard input.
  ---@param path? string without it standard input
  ---@param ... string|integer formats, as in `io.read`
  ---@return fun(): any ...
  ---@return nil
  ---@return nil
  ---@return file*? file
  lines = library("lines", function(path, ...)
    if path == nil then
      return lines_of(native_input(), false, ...)
    end
    local file, why = open(path, "r")
    if not file then
      error(why, 2)
    end
    return lines_of(file, true, ...), nil, nil, file
  end),
  --- Returns `"file"` or `"closed file"`, or nil for a value that is not a file.
  ---@param value any
  ---@return "file"|"closed file"|nil kind
  type = library("type", function(...)
    local value = ...
    if value ~= nil and standard[value] then
      return "file"
    end
    return native_io_type(...)
  end),
  --- Closes a file; without an argument the one that was chosen with `io.output`. Standard files
  --- stay open.
  ---@param file? file*
  ---@return true? closed
  ---@return string? problem
  close = library("close", function(file)
    if file == nil then
      file = default_output
    end
    if not standard[file] and not native_io_type(file) then
      error("bad argument #1 to 'close' (FILE* expected, got " .. type_name(file) .. ")", 2)
    end
    return file:close()
  end),
  --- Shows what was written.
  ---@return file*
  flush = library("flush", function()
    return default_output:flush()
  end),
  --- Chooses the file that `io.read` and `io.lines()` read, by its path or opened, and returns it;
  --- without an argument, only returns it.
  ---@param file? string|file*
  ---@return file*
  input = library("input", function(file)
    if file ~= nil then
      file = file_argument("input", file, "r")
      if file == stdout or file == stderr then
        error("bad argument #1 to 'input' (the file cannot be read)", 2)
      end
      native_input(file == stdin and input or file)
    end
    local chosen = native_input()
    return chosen == input and stdin or chosen
  end),
  --- Chooses the file that `io.write` writes, by its path or opened, and returns it; without an
  --- argument, only returns it.
  ---@param file? string|file*
  ---@return file*
  output = library("output", function(file)
    if file ~= nil then
      default_output = file_argument("output", file, "w")
      host.redirect_output(default_output ~= stdout)
    end
    return default_output
  end),
  --- Standard input, with the methods of a file.
  ---@type file*
  stdin = stdin,
  --- Standard output, with the methods of a file that can only be written. It cannot be closed.
  ---@type file*
  stdout = stdout,
  --- Standard error, with the methods of a file that can only be written. It cannot be closed.
  ---@type file*
  stderr = stderr,
  --- Not available in scripts: it raises an error of kind "permission". `process.run` runs
  --- programs.
  ---@param ... any
  popen = no_access("io.popen", RUN_INSTEAD),
  --- Not available in scripts: it raises an error of kind "permission".
  ---@param ... any
  tmpfile = no_access("io.tmpfile", "io.open with --allow-write=FOLDER"),
}

--- Times, and environment variables within the permissions granted by `--allow-env` or the
--- runbook's manifest. In tests the time is that of `clock`.
os = {
  --- Returns the processor time in seconds, as in plain Lua.
  ---@return number
  clock = os.clock,
  --- Formats a date as text or a table, as in plain Lua. `time` has dates in AWS's format.
  ---@param format? string
  ---@param time? integer seconds since 1970; default now
  ---@return string|osdate
  date = library("date", function(format, time)
    return native_date(format, time or host.now() // 1000)
  end),
  --- Returns the seconds between two times, as in plain Lua.
  ---@param later integer
  ---@param earlier integer
  ---@return number
  difftime = os.difftime,
  --- Returns the seconds since 1970, now or of a table with `year`, `month`, `day` and so on.
  ---@param date? table
  ---@return integer
  time = host.c_function("time", library("time", native_time)),
  --- Returns an environment variable; nil if it is not set. Raises an error of kind "permission"
  --- that names the missing flag.
  ---@param name string
  ---@return string?
  getenv = host.getenv,
  --- Ends the script at once, with an exit code. Calls in progress are completed first, so the
  --- journal is complete.
  ---@param code? integer|boolean from 0 to 255; true is 0, false is 1; default 0
  ---@param close? boolean close the variables with `<close>` of the script itself first
  exit = function(code, close)
    if code == nil or code == true then
      code = 0
    elseif code == false then
      code = 1
    end
    if math_type(code) ~= "integer" or code < 0 or code > 255 then
      error("bad argument #1 to 'exit' (a code from 0 to 255 expected)", 2)
    end
    if close and isyieldable() then
      yield(host.exit_marker, code)
    end
    host.exit(code)
    -- The stop arrives before the next instruction, so this loop never ends normally.
    while true do
    end
  end,
  --- Not available in scripts: it raises an error of kind "permission". `process.run` runs
  --- programs.
  ---@param ... any
  execute = no_access("os.execute", RUN_INSTEAD),
  --- Not available in scripts: it raises an error of kind "permission".
  ---@param ... any
  remove = no_access("os.remove", REMOVE_INSTEAD),
  --- Not available in scripts: it raises an error of kind "permission".
  ---@param ... any
  rename = no_access("os.rename", REMOVE_INSTEAD),
  --- Not available in scripts: it raises an error of kind "permission".
  ---@param ... any
  tmpname = no_access("os.tmpname", "name the file; --allow-write=DIR allows its folder"),
  --- Returns `"C"`, the only locale; nil for another one.
  ---@param locale? string
  ---@param category? string
  ---@return string?
  setlocale = function(locale, category)
    local _ = category
    if locale == nil or locale == "" or locale == "C" or locale == "POSIX" then
      return "C"
    end
    return nil
  end,
}

-- What a script sees of the program's own functions and of C functions.
local function hide_own(info, is_given)
  if info.source and is_own(info) then
    info.source, info.short_src, info.what = "=[C]", "[C]", "C"
    info.linedefined, info.lastlinedefined = -1, -1
    info.currentline = info.currentline and -1
    info.activelines = nil
    if not is_given then
      info.func = nil
    end
  elseif info.what == "C" and not is_given then
    info.func = nil
  end
  return info
end

--- Information about running functions. What reaches into other functions, such as
--- `debug.getlocal` and `debug.sethook`, is not available and raises an error that says so.
debug = {
  --- Returns a traceback of the script's functions, as in plain Lua.
  ---@param ... any a coroutine, a message and a level, each optional
  ---@return any
  traceback = library("traceback", function(...)
    local co, message, level = nil, ...
    if type(co) ~= "thread" and type(message) == "thread" then
      co, message, level = ...
    end
    if message ~= nil and type(message) ~= "string" and type(message) ~= "number" then
      return message
    end
    if level ~= nil and math_type(level) ~= "integer" then
      error("bad argument #" .. (co and 3 or 2) .. " to 'traceback' (number expected, got "
        .. type(level) .. ")", 2)
    end
    local text
    if co then
      text = native_traceback(co, "", level or 0)
    else
      text = native_traceback("", (level or 1) + 3)
    end
    local lines = {}
    for line in string_gmatch(text, "[^\n]+") do
      local last = lines[#lines]
      if not find(line, "^\t%[iamlua:") then
        lines[#lines + 1] = line
      elseif last and find(last, "^\t%[C%]:") then
        -- Called by the program.
        lines[#lines] = nil
      end
    end
    return (message and message .. "\n" or "") .. concat(lines, "\n")
  end),
  --- Returns what plain Lua says about a function or a level of the call stack. Functions of the
  --- program look like functions in C; only for a function that was given there is `func`.
  ---@param ... any a coroutine, a function or level, and the kinds of information
  ---@return table?
  getinfo = function(...)
    local co, f, what = nil, ...
    if type(f) == "thread" then
      co, f, what = ...
    end
    local is_given = type(f) == "function"
    if what ~= nil and type(what) ~= "string" then
      error("bad argument #2 to 'getinfo' (string expected, got " .. type(what) .. ")", 2)
    end
    -- With its source, by which the program's own functions are known.
    local asked = what ~= nil and what .. (find(what, "S", 1, true) and "" or "S") or nil
    local ok, info
    if co then
      ok, info = pcall(getinfo, co, f, asked or "nSltufrL")
    else
      ok, info = pcall(getinfo, math_type(f) and f + 2 or f, asked or "nSltufrL")
    end
    if not ok then
      error(gsub(gsub(tostring(info), "^[^:]*:%d+: ", ""), "'%?'", "'getinfo'"), 2)
    elseif not info then
      return nil
    end
    hide_own(info, is_given)
    if what and asked ~= what then
      info.source, info.short_src, info.what = nil, nil, nil
      info.linedefined, info.lastlinedefined = nil, nil
    end
    return info
  end,
  --- As `getmetatable`: a metatable that is protected stays so.
  ---@param value any
  ---@return any
  getmetatable = _G.getmetatable,
}
for name in next, native_debug do
  if debug[name] == nil then
    debug[name] = no_access("debug." .. name)
  end
end

--- Not available in scripts: it raises an error of kind "permission", because bytecode can break
--- the VM.
---@param ... any
string.dump = no_access("string.dump", "only text can be loaded")

--- As in plain Lua, except that the handler is not called while the script is being stopped. `try`
--- is simpler, and converts every raised value into an error table.
---@param f function
---@param message_handler function
---@param ... any arguments of the function
---@return boolean ok
---@return any ...
_G.xpcall = host.xpcall

--- As in plain Lua, but a metatable cannot have a finalizer (`__gc`): use `__close`.
---@generic T: table
---@param value T
---@param meta? table
---@return T
setmetatable = host.setmetatable(_G, function(value, meta)
  if value == _G then
    -- A metatable that a script sets would not load modules on demand.
    host.load_all()
  end
  return native_setmetatable(value, meta and behind[meta] or meta)
end)

-- In Lua, so that it can be stopped even if a function of Lua's library calls it repeatedly.
--- As in plain Lua.
---@param what? string
---@param ... any
---@return any
_G.collectgarbage = library("collectgarbage", function(...)
  return collectgarbage(...)
end)

--- Not available in scripts: it raises an error of kind "permission". `require` runs files beside
--- the script.
---@param ... any
dofile = no_access("dofile", "require runs files beside the script")

--- Not available in scripts: it raises an error of kind "permission". `require` runs files beside
--- the script.
---@param ... any
loadfile = no_access("loadfile", "require runs files beside the script")

local warns = true

--- Writes a warning on standard error: the pieces of its text, joined. `warn("@off")` turns
--- warnings off, `warn("@on")` on again.
---@param ... string at least one
function warn(...)
  local pieces = pack(...)
  for i = 1, pieces.n < 1 and 1 or pieces.n do
    local kind = type(pieces[i])
    if kind ~= "string" and kind ~= "number" then
      local got = pieces[i] == nil and i > pieces.n and "no value" or kind
      error("bad argument #" .. i .. " to 'warn' (string expected, got " .. got .. ")", 2)
    end
  end
  local text = concat(pieces, "", 1, pieces.n)
  if pieces.n == 1 and sub(text, 1, 1) == "@" then
    if text == "@on" or text == "@off" then
      warns = text == "@on"
    end
  elseif warns then
    host.print_err("warning: " .. text .. "\n")
  end
end

-- A long text is loaded in pieces, so that loading can be stopped.
local PIECE = 1 << 20

local function in_pieces(text)
  local from = 1
  return function()
    local piece = sub(text, from, from + PIECE - 1)
    from = from + PIECE
    return piece
  end
end

-- Results of `load`. It runs in `pcall`, because Lua would otherwise call the script's message
-- handler for an error in it.
local function compiled(ok, f, why)
  if ok and f then
    return f
  elseif ok then
    return nil, why
  end
  error(f, 0)
end

-- Only text: bytecode can break the VM.
--- As in plain Lua, but only text can be loaded, no bytecode.
---@param chunk string|function
---@param name? string
---@param mode? string
---@param ... any the environment
---@return function?
---@return string? problem
function load(chunk, name, mode, ...)
  local kind = type(chunk)
  if kind ~= "string" and kind ~= "function" and kind ~= "number" then
    local got = kind == "nil" and "no value" or kind
    error("bad argument #1 to 'load' (function expected, got " .. got .. ")", 2)
  elseif name ~= nil and type(name) ~= "string" and type(name) ~= "number" then
    error("bad argument #2 to 'load' (string expected, got " .. type(name) .. ")", 2)
  elseif mode ~= nil and type(mode) ~= "string" then
    error("bad argument #3 to 'load' (string expected, got " .. type(mode) .. ")", 2)
  elseif mode ~= nil and not find(mode, "t", 1, true) then
    if kind == "string" and byte(chunk, 1) == 27 then
      return nil, "bytecode cannot be loaded"
    end
    return nil, "attempt to load a text chunk (mode is '" .. mode .. "')"
  end
  if type(chunk) == "string" and #chunk > PIECE then
    return compiled(pcall(native_load, in_pieces(chunk), name or chunk, "t", ...))
  elseif kind == "function" then
    -- Wrapped, so that it can be stopped between two pieces of a function of Lua's library.
    local given = chunk
    chunk = function()
      return (given())
    end
  end
  return compiled(pcall(native_load, chunk, name, "t", ...))
end

-------------------------------------------------------------------------------------------- require

-- Table in which Lua finds the names of functions for its messages.
local loaded = host.loaded
for name in pairs(loaded) do
  loaded[name] = nil
end
local loading = {}

local function run_module(name, chunk, ...)
  if loading[name] then
    host.fail(
      "script",
      "require: module '" .. name .. "' requires itself, directly or through another"
    )
  end
  loading[name] = true
  -- Cleanup that also runs if the module fails or is stopped.
  local _ <close> = with_metatable({}, {
    __close = function()
      loading[name] = nil
    end,
  })
  return chunk(name, ...)
end

-- Modules of the program for its own code.
local own = {}

local function copy_of(module)
  if type(module) ~= "table" then
    return module
  end
  local copy = {}
  for key, value in next, module do
    copy[key] = value
  end
  return set_metatable(copy, getmetatable(module))
end

-- Makes a module raise an error for a name that it does not have. Names that begin with `_` stay
-- nil, because serializers and test frameworks look for them in any table.
local function make_strict(module, name)
  local meta = getmetatable(module) or {}
  if type(module) ~= "table" or rawget(meta, "__index") ~= nil then
    return module
  end
  meta.__index = function(self, key)
    if type(key) ~= "string" or find(key, "^_") or not utf8_len(key) then
      return nil
    end
    local hint = host.missing_field(name, key, self)
      or "`iamlua doc " .. name .. "` lists what it has"
    host.fail("script", name .. " has no " .. pristine.require("inspect").visible(key), hint)
  end
  return with_metatable(module, meta)
end

-- Module of the program, for its own code. Scripts get another table of the same functions.
local function stdlib_module(name)
  if own[name] == nil then
    local source = host.stdlib_source(name)
    local chunk = assert(native_load(source, "=[iamlua:" .. name .. "]", "t", pristine))
    local module = run_module(name, chunk, host)
    own[name] = copy_of(module)
    make_strict(module, name)
    if loaded[name] == nil then
      loaded[name] = module
    end
  end
  return own[name]
end

-- Functions that the prompt shares with this file; not for scripts.
function host.load_prompt()
  local source = host.stdlib_source("prompt/prompt")
  return assert(native_load(source, "=[iamlua:prompt]", "t", pristine))("prompt", host)
end

-- Fields of the module `iamlua`. The mode of a prompt changes between two entries.
host.facts = { mode = host.mode() }

local is_stdlib = {}
for _, name in ipairs(host.modules) do
  is_stdlib[name] = true
end

-- Value of a module that has run, and where it was found.
local function finish_module(name, value, place)
  if value ~= nil then
    loaded[name] = value
  elseif loaded[name] == nil then
    loaded[name] = true
  end
  return loaded[name], place
end

--- Loads a module: one of iamlua's or Lua's, or a file beside the script. `require("lib.tags")`
--- runs `lib/tags.lua` in the script's folder, once; `package.path` has the places in that folder.
--- Raises an error of kind "script" if there is none.
---@param name string
---@return any module
---@return string? place
function require(name)
  if type(name) ~= "string" then
    error("bad argument #1 to 'require' (string expected, got " .. type(name) .. ")", 2)
  end
  if loaded[name] ~= nil then
    return loaded[name]
  end
  if is_stdlib[name] then
    stdlib_module(name)
    return loaded[name]
  end
  local preload = package.preload
  local loader = type(preload) == "table" and preload[name]
  if loader then
    return finish_module(name, run_module(name, loader, ":preload:"), ":preload:")
  end
  local path = package.path
  if type(path) ~= "string" then
    host.fail("script", "package.path must be a string, not " .. type(path))
  end
  local found = host.find_module(name, path)
  if not found then
    local file = gsub(name, "%.", "/")
    host.fail(
      "script",
      "module '" .. name .. "' not found: there is no " .. file .. ".lua beside the script",
      host.missing_module(name)
    )
  end
  return finish_module(name, run_module(name, found.chunk, found.path), found.path)
end

local script_require = require

--- Modules of the script. There are no modules in C.
package = {
  --- Modules by name.
  ---@type table<string, any>
  loaded = loaded,
  --- Functions that load a module of that name, before files are looked for.
  ---@type table<string, function>
  preload = {},
  --- Files that `require` looks for in the script's folder: templates in which `?` stands for the
  --- name. A file outside of the folder needs `--allow-read`.
  ---@type string
  path = "./?.lua;./?/init.lua",
  --- Empty: there are no modules in C.
  ---@type string
  cpath = "",
  --- Separators and marks of `package.path`, as in plain Lua.
  ---@type string
  config = "/\n;\n?\n!\n-\n",
  --- Not available in scripts: it raises an error of kind "permission".
  ---@param ... any
  loadlib = no_access("package.loadlib"),
  --- Returns the file of a module by the templates of a path, or nil and the files that are not
  --- there. Files that the script may not read are not there.
  ---@param name string
  ---@param path string
  ---@param separator? string part of the name that stands for the separator of folders; default `.`
  ---@param replacement? string separator of folders; default `/`
  ---@return string? file
  ---@return string? problem
  searchpath = library("searchpath", function(name, path, separator, replacement)
    for at, value in ipairs { name or false, path or false } do
      if type(value) ~= "string" then
        local got = value and type(value) or "no value"
        error("bad argument #" .. at .. " to 'searchpath' (string expected, got " .. got .. ")", 2)
      end
    end
    separator, replacement = separator or ".", replacement or "/"
    if separator ~= "" then
      name = gsub(name, gsub(separator, "%p", "%%%0"), (gsub(replacement, "%%", "%%%%")))
    end
    local missing = {}
    for template in string_gmatch(path .. ";", "([^;]*);") do
      local file = gsub(template, "%?", (gsub(name, "%%", "%%%%")))
      local ok, opened = pcall(open, file, "r")
      if ok and opened then
        opened:close()
        return file
      end
      missing[#missing + 1] = "no file '" .. file .. "'"
    end
    return nil, concat(missing, "\n\t")
  end),
}
for name in string_gmatch("_G coroutine debug io math os package string table utf8", "%S+") do
  loaded[name] = _G[name]
end

-- Resets state that an interrupted run has left.
function host.reset()
  loading = {}
  host.failed, host.failures, host.is_declared, host.not_run = nil, nil, nil, nil
  host.facts.mode = host.mode()
  for key in pairs(host.works) do
    host.works[key] = nil
  end
end

------------------------------------------------------------------------------------------------ iam

-- Iterator over the pages, or the entries, of a listing. After a failure it requests the same page
-- again: ending quietly would look like the end of the listing. Several tasks may share one.
local function iterator(pager, by_page)
  local page, at, count, ended = nil, 0, 0, false
  local fetching
  local function next_page()
    if fetching then
      wait_for(fetching)
      return
    end
    fetching = host.latch()
    local ok, result = pcall(await, host.fetch(pager))
    local latch = fetching
    fetching = nil
    host.release(latch)
    if not ok then
      error(result, 0)
    end
    page = result
    ended = page == nil or not page.is_truncated
    at, count = 0, page and #page or 0
    return page
  end
  if by_page then
    return function()
      while not ended do
        local own = next_page()
        if own then
          return own
        end
      end
    end
  end
  return function()
    while at >= count do
      if ended then
        page = nil
        return nil
      end
      next_page()
    end
    at = at + 1
    return page[at]
  end
end

-- Listings that scripts hold, so that a prompt can tell them from other functions.
host.is_listing = with_metatable({}, { __mode = "k" })

local function listing(...)
  local self = iterator(...)
  host.is_listing[self] = true
  return self
end

-- Functions of `iam` that scripts hold, by their names.
host.is_entry = with_metatable({}, { __mode = "k" })

-- Table of a connection for scripts, and another of the same functions for the program's own code.
local function module_of(gate)
  local iam, own_iam = {}, {}
  for _, entry in ipairs(host.entries) do
    local path, kind = entry.path, entry.kind
    local into = {}
    if kind == "call" then
      into[entry.name] = function(...)
        return await(host.start(gate, path, ...))
      end
    elseif kind == "connect" then
      into[entry.name] = function(...)
        return (module_of(host.connect(gate, path, ...)))
      end
    elseif kind == "scan" then
      into[entry.name] = function(...)
        -- The module defines the function called next.
        stdlib_module("usage")
        return host.usage_made(own_iam, gate, path, ...)
      end
    else
      into[entry.name] = function(...)
        return listing(host.open(gate, path, ...), kind == "pages")
      end
    end
    host.is_entry[into[entry.name]] = "iam." .. path
    for _, whole in ipairs { iam, own_iam } do
      local part = whole
      if entry.module ~= "" then
        part = whole[entry.module] or {}
        whole[entry.module] = part
      end
      part[entry.name] = into[entry.name]
    end
  end
  for name, part in next, iam do
    if type(part) == "table" then
      make_strict(part, "iam." .. name)
    end
  end
  make_strict(iam, "iam")
  return iam, own_iam
end

iam, own.iam = module_of(host.gate)
loaded.iam = iam

pristine = {}
for name, value in pairs(_G) do
  if type(value) == "table" and value ~= _G and value ~= iam and value ~= package then
    local copy = {}
    for key, inner in pairs(value) do
      copy[key] = inner
    end
    value = copy
  end
  pristine[name] = value
end
pristine.iam, pristine.getmetatable, pristine.setmetatable = own.iam, getmetatable, with_metatable
function pristine.require(name)
  return own[name] or stdlib_module(name)
end
with_metatable(pristine, {
  __index = function(_, name)
    return is_stdlib[name] and stdlib_module(name) or nil
  end,
})

-- Modules are globals that are loaded when a script first uses them, because most scripts need few.
local function load_all()
  for _, name in ipairs(host.modules) do
    if rawget(_G, name) == nil then
      rawset(_G, name, script_require(name))
    end
  end
end

host.load_all = load_all

native_setmetatable(_G, {
  __index = function(_, name)
    if is_stdlib[name] then
      local module = script_require(name)
      rawset(_G, name, module)
      return module
    end
  end,
  __pairs = function()
    load_all()
    return next, _G, nil
  end,
})

--- Arguments of the command line after the script, and the script itself at index 0. `runbook`
--- parses them as flags.
---@type string[]
arg = { [0] = host.script, unpack(host.args) }

-------------------------------------------------------------------------------------------- Running

-- Lua calls no handler when memory runs out.
local function outcome(ok, ...)
  if ok or getmetatable((...)) == Error then
    return ok, ...
  end
  return false, as_error((...), 1)
end

-- From here on this file uses the globals as it found them, whatever a script replaces.
local _ENV = pristine

-- Runs a chunk: true and its results, or false and an error.
return function(chunk, ...)
  return outcome(xpcall(chunk, handler, ...))
end
