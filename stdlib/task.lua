--- Several things at once in one script: coroutines that run while others wait for AWS. For the same work on many items there is
--- `bulk`.
---
--- ```lua
--- local roles = task.spawn(function()
---   return #iam.roles.list()
--- end)
--- local profiles = #iam.profiles.list()
--- print(profiles, roles:wait())
--- ```
---@class task
local task = {}

local _, host = ...

--- A function that runs while others wait.
---@class task.Task
local Task = { __name = "task" }
Task.__index = Task

--- Starts a function as a task. It runs while the others wait. An error of a task that nobody waits for ends the run.
---@param f function
---@param ... any arguments of the function
---@return task.Task
function task.spawn(f, ...)
  if type(f) ~= "function" then
    host.fail("argument", "task.spawn: the first argument must be a function, got " .. type(f))
  end
  local self = setmetatable({ is_done = false }, Task)
  local co = coroutine.create(function(...)
    self.result = table.pack(xpcall(f, host.handler, ...))
    self.is_done = true
    host.finish(self.handle)
    if not self.result[1] and not self.is_awaited then
      host.failed = host.failed or self
    end
  end)
  self.handle = host.spawn(co, ...)
  return self
end

local function check(t, name)
  if getmetatable(t) ~= Task then
    host.fail("argument", name .. ": a task belongs here, got " .. type(t))
  end
end

local function wait(t)
  t.is_awaited = true
  if host.failed == t then
    host.failed = nil
  end
  if not t.is_done then
    host.wait_for(t.handle)
  end
  return t.result
end

--- Waits until a task has ended and returns what its function returned; raises its error if it failed.
---@param t task.Task
---@return any ...
function task.wait(t)
  check(t, "task.wait")
  local result = wait(t)
  if not result[1] then
    error(result[2], 0)
  end
  return table.unpack(result, 2, result.n)
end

--- Runs functions (or waits for tasks) at once and returns the first result of each, in order. All of them end before the first error,
--- if there is one, is raised.
---
--- ```lua
--- local found = task.all {
---   function() return iam.profiles.get("web-frontend") end,
---   function() return iam.roles.get("web-frontend") end,
--- }
--- assert(found[1].role == found[2].name)
--- ```
---@param list (function|task.Task)[]
---@return any[]
function task.all(list)
  if type(list) ~= "table" then
    host.fail("argument", "task.all: an array of functions or tasks belongs here, got " .. type(list))
  end
  local tasks = {}
  for i, item in ipairs(list) do
    if type(item) == "function" then
      item = task.spawn(item)
    end
    check(item, "task.all")
    -- Waited for below, so that an early failure is not reported twice.
    item.is_awaited = true
    tasks[i] = item
  end
  local results, failure = {}, nil
  for i, t in ipairs(tasks) do
    local result = wait(t)
    if result[1] then
      results[i] = result[2]
    else
      failure = failure or result[2]
    end
  end
  if failure then
    error(failure, 0)
  end
  return results
end

--- Whether the task has ended.
---@return boolean
function Task:done()
  return self.is_done
end

--- Waits until it has ended: the same as `task.wait`.
---@return any ...
function Task:wait()
  return task.wait(self)
end

return task
