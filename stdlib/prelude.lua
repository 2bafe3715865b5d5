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
--- Not there: `dofile`, `loadfile`, `string.dump`, all of `package` but `package.loaded`, all of
--- `debug` but `debug.traceback`, `io.close`, `io.flush`, `io.input`, `io.output`, `io.tmpfile` and
--- `os.setlocale`.

local host, native_resume, native_close = ...

local getinfo, native_traceback = debug.getinfo, debug.traceback
local native_load, native_open, collectgarbage = load, io.open, collectgarbage
local native_tmpfile = io.tmpfile
local native_date, native_time = os.date, os.time
local create, yield, isyieldable, native_status, running =
  coroutine.create, coroutine.yield, coroutine.isyieldable, coroutine.status, coroutine.running
local pack, unpack, concat = table.pack, table.unpack, table.concat
-- The raw metatable, whatever its `__metatable` shows to scripts.
local getmetatable, native_setmetatable, set_metatable =
  debug.getmetatable, setmetatable, debug.setmetatable
local type, tostring, error = type, tostring, error
local select, pcall, xpcall, pairs, ipairs, next, rawget, rawset =
  select, pcall, xpcall, pairs, ipairs, next, rawget, rawset
-- Not as methods: those are fields of the global `string`, which a script can replace.
local find, sub, gsub, utf8_len = string.find, string.sub, string.gsub, utf8.len
local math_type = math.type
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

-- Script position nearest to `level`, such as "tag.lua:12"; nil outside of a script.
local function where(level)
  while true do
    local info = getinfo(level, "Sl")
    if not info then
      return nil
    end
    if info.currentline > 0 and not is_own(info) then
      return info.short_src .. ":" .. info.currentline
    end
    level = level + 1
  end
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
    if host.not_run and find(value, "attempt to index a nil value", 1, true) then
      e.hint = "under a plan "
        .. host.not_run
        .. " returns nil; give it `plan = function … end`, or ask for iamlua.mode"
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

-- Above zero while a coroutine was resumed from where Lua cannot yield. Nothing below it may yield
-- to the driver then.
local blocked = 0

-- Coroutines that wait for the driver, or belong to it: only the driver resumes them. For scripts
-- they are in the middle of a call.
local waits, owned = with_metatable({}, { __mode = "k" }), with_metatable({}, { __mode = "k" })

local function yield_to_driver(handle)
  local co = running()
  waits[co] = true
  yield(WAIT, handle)
  waits[co] = nil
end

local function wait_for(handle)
  if host.failed then
    host.check_tasks()
  end
  if host.ready(handle) then
    return
  end
  if blocked == 0 and isyieldable() then
    yield_to_driver(handle)
  else
    host.block(handle)
  end
end

local function status(co)
  local state = native_status(co)
  return state == "suspended" and (waits[co] or owned[co]) and "normal" or state
end

-- Makes a coroutine a task of the driver.
local native_spawn = host.spawn
function host.spawn(co, ...)
  owned[co] = true
  return native_spawn(co, ...)
end

local function await(handle)
  wait_for(handle)
  return settle(host.take(handle))
end

host.wait_for, host.await = wait_for, await

-- A waiting coroutine of the script passes its wait to the driver, and continues with the result.
local function pass_up(co, ...)
  local _, mark, handle = ...
  if mark ~= WAIT then
    return ...
  end
  yield_to_driver(handle)
  return pass_up(co, native_resume(co))
end

local function unblock(...)
  blocked = blocked - 1
  return ...
end

local function resume(co, ...)
  if type(co) ~= "thread" then
    error("bad argument #1 to 'resume' (coroutine expected)", 2)
  end
  local state = status(co)
  if state ~= "suspended" then
    return false,
      "cannot resume " .. (state == "dead" and "dead" or "non-suspended") .. " coroutine"
  end
  if blocked == 0 and isyieldable() then
    return pass_up(co, native_resume(co, ...))
  end
  blocked = blocked + 1
  return unblock(native_resume(co, ...))
end

-- Closing runs `__close` handlers. Lua cannot yield there, although `isyieldable` says that it can.
local function close(co)
  if type(co) ~= "thread" then
    error("bad argument #1 to 'close' (coroutine expected)", 2)
  end
  local state = status(co)
  if state ~= "suspended" and state ~= "dead" then
    error("cannot close a " .. state .. " coroutine", 2)
  end
  blocked = blocked + 1
  return unblock(native_close(co))
end

local function unwrap(co, ok, ...)
  if ok then
    return ...
  end
  local e = ...
  if status(co) == "dead" then
    local closed, why = close(co)
    if not closed then
      e = why
    end
  end
  error(e, 0)
end

coroutine.resume, coroutine.close = resume, close

--- As in plain Lua, except that a coroutine that waits, or is a task, is "normal": it is in the
--- middle of a call, and cannot be resumed or closed.
---@param co thread
---@return "running"|"suspended"|"normal"|"dead"
function coroutine.status(co)
  if type(co) ~= "thread" then
    error("bad argument #1 to 'status' (coroutine expected)", 2)
  end
  return status(co)
end

--- As in plain Lua. Waiting inside the coroutine is not visible to its caller.
---@param f function
---@return fun(...: any): any ...
function coroutine.wrap(f)
  local co = create(f)
  return function(...)
    return unwrap(co, resume(co, ...))
  end
end

---------------------------------------------------------------------------------------- The sandbox

local function no_access(name, instead)
  return function()
    host.fail("permission", name .. " is not available in scripts", instead)
  end
end

--- Prints values on standard output, separated by tabs. On a terminal, control characters other
--- than line breaks, tabs and colours are shown as `\x1b`; `io.write` writes bytes unchanged. For
--- results that other programs read, see `report`.
---@param ... any
function print(...)
  local words = pack(...)
  for i = 1, words.n do
    words[i] = tostring(words[i])
  end
  host.print(concat(words, "\t"), "\n")
end

local function stream(write)
  local self = {}
  function self:write(...)
    for i = 1, select("#", ...) do
      local value = (select(i, ...))
      if type(value) ~= "string" and type(value) ~= "number" then
        error(
          "bad argument #" .. i .. " to 'write' (string expected, got " .. type(value) .. ")",
          2
        )
      end
      write(tostring(value))
    end
    return self
  end
  function self:flush()
    return self
  end
  function self:setvbuf()
    return true
  end
  return self
end

-- `io.open` with permissions; the file is Lua's own.
local function open(path, mode)
  mode = mode or "r"
  local writes = find(mode, "[wa+]") ~= nil
  local reads = find(mode, "r", 1, true) ~= nil or find(mode, "+", 1, true) ~= nil
  local real = path
  if reads then
    real = host.resolve("read", path)
  end
  if writes then
    real = host.resolve("write", path, find(mode, "^[wa]%+?b*$") ~= nil)
    -- Plain Lua refuses other modes.
    if find(mode, "^[rwa]%+?b*$") then
      local planned = host.plan_file(path, mode)
      if type(planned) == "table" then
        return nil, path .. ": " .. planned.problem, planned.code
      end
      real = planned or real
    end
  end
  if type(real) == "table" then
    if find(mode, "^[rwa]%+?b*$") then
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

-- An empty root has no /dev/null; an empty file reads alike.
local stdin = host.has_input and io.stdin or native_open("/dev/null", "r") or assert(native_tmpfile())
local stdout, stderr = stream(host.write), stream(host.write_err)
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
  open = open,
  --- Writes text and numbers on standard output.
  ---@param ... string|number
  ---@return file*
  write = function(...)
    return stdout:write(...)
  end,
  --- Reads from standard input, as in plain Lua.
  ---@param ... string|integer formats, such as `"l"` for a line and `"a"` for all; default `"l"`
  ---@return any ...
  read = function(...)
    return stdin:read(...)
  end,
  --- Iterates over the lines of a file, or of standard input.
  ---@param path? string without it standard input
  ---@param ... string|integer formats, as in `io.read`
  ---@return fun(): any ...
  lines = function(path, ...)
    if path == nil then
      return stdin:lines(...)
    end
    local file, why = open(path, "r")
    if not file then
      error(why, 2)
    end
    return file:lines(...)
  end,
  --- Returns `"file"` or `"closed file"`, or nil for a value that is not a file.
  ---@param value any
  ---@return "file"|"closed file"|nil kind
  type = io.type,
  --- Standard input, with the methods of a file.
  ---@type file*
  stdin = stdin,
  --- Standard output; it has only `write`, `flush` and `setvbuf`.
  ---@type file*
  stdout = stdout,
  --- Standard error; it has only `write`, `flush` and `setvbuf`.
  ---@type file*
  stderr = stderr,
  --- Not available in scripts: it raises an error of kind "permission". `process.run` runs
  --- programs.
  ---@param ... any
  popen = no_access("io.popen", "process.run, with --allow-run"),
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
  date = function(format, time)
    return native_date(format, time or host.now() // 1000)
  end,
  --- Returns the seconds between two times, as in plain Lua.
  ---@param later integer
  ---@param earlier integer
  ---@return number
  difftime = os.difftime,
  --- Returns the seconds since 1970, now or of a table with `year`, `month`, `day` and so on.
  ---@param date? table
  ---@return integer
  time = function(date)
    if date == nil then
      return host.now() // 1000
    end
    return native_time(date)
  end,
  --- Returns an environment variable; nil if it is not set. Raises an error of kind "permission"
  --- that names the missing flag.
  ---@param name string
  ---@return string?
  getenv = host.getenv,
  --- Ends the script at once, with an exit code. Calls in progress are completed first, so the
  --- journal is complete.
  ---@param code? integer|boolean from 0 to 255; true is 0, false is 1; default 0
  exit = function(code)
    if code == nil or code == true then
      code = 0
    elseif code == false then
      code = 1
    end
    if math_type(code) ~= "integer" or code < 0 or code > 255 then
      error("bad argument #1 to 'exit' (a code from 0 to 255 expected)", 2)
    end
    host.exit(code)
    -- The stop arrives before the next instruction, so this loop never ends normally.
    while true do
    end
  end,
  --- Not available in scripts: it raises an error of kind "permission". `process.run` runs
  --- programs.
  ---@param ... any
  execute = no_access("os.execute", "process.run, with --allow-run"),
  --- Not available in scripts: it raises an error of kind "permission".
  ---@param ... any
  remove = no_access("os.remove"),
  --- Not available in scripts: it raises an error of kind "permission".
  ---@param ... any
  rename = no_access("os.rename"),
  --- Not available in scripts: it raises an error of kind "permission".
  ---@param ... any
  tmpname = no_access("os.tmpname"),
}

--- Only `debug.traceback` is there.
---@type table
debug = { traceback = native_traceback }
string.dump = nil

-- Lua runs message handlers without hooks, so a script could not be stopped in one.
local STOPPED = host.stopped

--- As in plain Lua, except that the handler is not called while the script is being stopped. `try`
--- is simpler, and converts every raised value into an error table.
---@param f function
---@param message_handler function
---@param ... any arguments of the function
---@return boolean ok
---@return any ...
function _G.xpcall(f, message_handler, ...)
  return xpcall(f, function(e)
    if e == STOPPED then
      return e
    end
    return message_handler(e)
  end, ...)
end

-- Finalizers run without hooks too.
--- As in plain Lua, but a metatable cannot have a finalizer (`__gc`): use `__close`.
---@generic T: table
---@param value T
---@param meta? table
---@return T
function _G.setmetatable(value, meta)
  if type(meta) == "table" and rawget(meta, "__gc") ~= nil then
    error("finalizers (__gc) are not available in scripts; use __close", 2)
  elseif value == _G then
    -- A metatable that a script sets would not load modules on demand.
    host.load_all()
  end
  -- A stand-in is a table of the program, so `meta` is nil or a table here.
  return native_setmetatable(value, meta and behind[meta] or meta)
end

-- In Lua, so that it can be stopped even if a function of Lua's library calls it repeatedly.
--- As in plain Lua.
---@param what? string
---@param ... any
---@return any
function _G.collectgarbage(what, ...)
  return collectgarbage(what, ...)
end

dofile, loadfile = nil, nil

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

-- Only text: bytecode can break the VM.
--- As in plain Lua, but only text can be loaded, no bytecode.
---@param chunk string|function
---@param name? string
---@param mode? string
---@param ... any the environment
---@return function?
---@return string? problem
function load(chunk, name, mode, ...)
  if mode ~= nil and not find(tostring(mode), "t", 1, true) then
    return nil, "bytecode cannot be loaded"
  end
  if type(chunk) == "string" and #chunk > PIECE then
    return native_load(in_pieces(chunk), name or chunk, "t", ...)
  elseif type(chunk) == "function" then
    -- Wrapped, so that it can be stopped between two pieces of a function of Lua's library.
    local given = chunk
    chunk = function()
      return (given())
    end
  end
  return native_load(chunk, name, "t", ...)
end

-------------------------------------------------------------------------------------------- require

local loaded = {}
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

-- Environment of the program's own modules: the globals before any script ran, and each other.
local pristine
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

-- Module of the program, for its own code. Scripts get another table of the same functions.
local function stdlib_module(name)
  if own[name] == nil then
    local source = host.stdlib_source(name)
    local chunk = assert(native_load(source, "=[iamlua:" .. name .. "]", "t", pristine))
    local module = run_module(name, chunk, host)
    own[name] = copy_of(module)
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

--- Loads a module: one of iamlua's, or a file beside the script. `require("lib.tags")` runs
--- `lib/tags.lua` in the script's folder, once. Raises an error of kind "script" if neither exists.
---@param name string
---@return any
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
  local found = host.module_source(name)
  if not found then
    local near = host.nearest(name, host.modules)
    local file = gsub(name, "%.", "/")
    host.fail(
      "script",
      "module '" .. name .. "' not found: there is no " .. file .. ".lua beside the script",
      near and "did you mean '" .. near .. "'?" or nil
    )
  end
  local chunk, why = native_load(found.source, "@" .. found.path, "t")
  if not chunk then
    host.fail("script", why)
  end
  local value = run_module(name, chunk, found.path)
  if value == nil then
    value = loaded[name] == nil and true or loaded[name]
  end
  loaded[name] = value
  return value
end

local script_require = require

--- Only `package.loaded` is there: the modules by name.
---@type table
package = { loaded = loaded }

-- Resets state that an interrupted run has left.
function host.reset()
  blocked = 0
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
    for _, whole in ipairs { iam, own_iam } do
      local part = whole
      if entry.module ~= "" then
        part = whole[entry.module] or {}
        whole[entry.module] = part
      end
      part[entry.name] = into[entry.name]
    end
  end
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
  owned[running()] = true
  return outcome(xpcall(chunk, handler, ...))
end
