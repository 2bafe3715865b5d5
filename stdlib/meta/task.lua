---@meta task
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Concurrent tasks in one script: coroutines that run while others wait for AWS.
---
--- For the same work on many items use `bulk`.
---
--- ```lua
--- local roles = task.spawn(function()
---   return #iam.roles.list()
--- end)
--- local profiles = #iam.profiles.list()
--- print(profiles, roles:wait())
--- ```
---@class task
task = {}

--- Function that runs while others wait.
---@class task.Task
local Task = {}

--- Starts a function as a task.
---
--- It runs while the others wait.
---
--- An error of a task that nothing waits for ends the run. It does so at once if the script no
--- longer holds the task, otherwise at the end of the script.
---@param f function
---@param ... any arguments of the function
---@return task.Task
function task.spawn(f, ...) end

--- Waits for the end of a task and returns the results of its function.
---
--- Raises the task's error if it failed.
---@param t task.Task
---@return any ...
function task.wait(t) end

--- Runs functions (or waits for tasks) concurrently and returns the first result of each, in order.
---
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
function task.all(list) end

--- Returns true if the task has ended.
---@return boolean
function Task:done() end

--- Waits for the end of the task, as `task.wait` does.
---@return any ...
function Task:wait() end

return task
