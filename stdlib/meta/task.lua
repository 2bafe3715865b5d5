---@meta task
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Several things at once in one script: coroutines that run while others wait for AWS.
---
--- For the same work on many items there is `bulk`.
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

--- A function that runs while others wait.
---@class task.Task
local Task = {}

--- Starts a function as a task.
---
--- It runs while the others wait.
---
--- An error of a task that nobody waits for ends the run: at once if the script does not hold the
--- task any more, so that nobody can wait for it, else when the script ends.
---@param f function
---@param ... any arguments of the function
---@return task.Task
function task.spawn(f, ...) end

--- Waits until a task has ended and returns what its function returned; raises its error if it
--- failed.
---@param t task.Task
---@return any ...
function task.wait(t) end

--- Runs functions (or waits for tasks) at once and returns the first result of each, in order.
---
--- All of them end before the first error, if there is one, is raised.
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

--- Whether the task has ended.
---@return boolean
function Task:done() end

--- Waits until it has ended: the same as `task.wait`.
---@return any ...
function Task:wait() end

return task
