---@meta process
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Other programs, within what was granted by `--allow-run` or the manifest of the runbook.
---
--- ```lua
--- local ran = process.run("uname", { "-s" }) -- with --allow-run=uname
--- assert(ran.ok, ran.stderr)
--- print(ran.stdout)
--- ```
---@class process
process = {}

---@class process.Options
---@field stdin? string what the program reads from its standard input; without it there is none

---@class process.Result
---@field code? integer the exit code; nil if a signal ended it
---@field ok boolean whether the code is 0
---@field stdout string
---@field stderr string

--- Runs a program, without a shell, and waits for its end.
---
--- Other tasks go on meanwhile. A program that fails is a result, not an error; raises one of kind "permission" if it was not granted, and of kind "io" if it cannot be started.
---@param program string
---@param args? string[]
---@param options? process.Options
---@return process.Result
function process.run(program, args, options) end

return process
