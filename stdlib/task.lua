--- Concurrent tasks in one script: coroutines that run while others wait for AWS. For the same work
--- on many items use `bulk`.
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

--- Function that runs while others wait.
---@class task.Task
local Task = { __name = "task" }
Task.__index = Task

-- Tasks that the script does not hold any more are released.
local WEAK = { __mode = "v" }

-- Keeps the error of a task that nothing waits for yet. A garbage collection shows whether anything
-- still can. It takes time, so it does not run for each of many failures.
local function keep_failure(state)
  local failures = host.failures or {}
  host.failures = failures
  failures[#failures + 1] = state
  host.failed = failures[1]
  if #failures & (#failures - 1) == 0 then
    collectgarbage()
  end
  host.check_tasks()
end

-- Marks a task as awaited, so that its error is reported there.
local function await(state)
  state.is_awaited = true
  for at, failure in ipairs(host.failures or {}) do
    if failure == state then
      table.remove(host.failures, at)
      host.failed = host.failures[1]
      return
    end
  end
end

--- Starts a function as a task. It runs while the others wait.
---
--- An error of a task that nothing waits for ends the run. It does so at once if the script no
--- longer holds the task, otherwise at the end of the script.
---@param f function
---@param ... any arguments of the function
---@return task.Task
function task.spawn(f, ...)
  if type(f) ~= "function" then
    host.fail("argument", "task.spawn: the first argument must be a function, got " .. type(f))
  end
  local state = { is_done = false }
  local self = setmetatable({ state = state }, Task)
  state.held = setmetatable({ self }, WEAK)
  local co = coroutine.create(function(...)
    state.result = table.pack(xpcall(f, host.handler, ...))
    state.is_done = true
    host.finish(state.handle)
    if not state.result[1] and not state.is_awaited then
      keep_failure(state)
    end
  end)
  state.handle = host.spawn(co, ...)
  return self
end

local function check(t, name)
  if getmetatable(t) ~= Task then
    host.fail("argument", name .. ": a task belongs here, got " .. type(t))
  end
end

local function wait(t)
  local state = t.state
  await(state)
  if not state.is_done then
    host.wait_for(state.handle)
  end
  return state.result
end

--- Waits for the end of a task and returns the results of its function. Raises the task's error if
--- it failed.
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

--- Runs functions (or waits for tasks) concurrently and returns the first result of each, in order.
--- If any fails, the first error is raised after all have ended.
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
    host.fail(
      "argument",
      "task.all: an array of functions or tasks belongs here, got " .. type(list)
    )
  end
  local tasks = {}
  for i, item in ipairs(list) do
    if type(item) == "function" then
      item = task.spawn(item)
    end
    check(item, "task.all")
    -- Awaited below, so that an early failure is not reported twice.
    await(item.state)
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

--- Returns true if the task has ended.
---@return boolean
function Task:done()
  return self.state.is_done
end

--- Waits for the end of the task, as `task.wait` does.
---@return any ...
function Task:wait()
  return task.wait(self)
end

return task
