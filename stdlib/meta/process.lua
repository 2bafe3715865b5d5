---@meta process
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Other programs, within the permissions granted by `--allow-run` or the runbook's manifest.
---
--- Under a plan no program runs; the plan lists them.
---
--- ```lua
--- local ran = process.run("uname", { "-s" }) -- with --allow-run=uname
--- if ran then -- nil under a plan
---   assert(ran.ok, ran.stderr)
---   print(ran.stdout)
--- end
--- ```
---@class process
process = {}

---@class (exact) process.Options
---@field stdin? string the program's standard input. Default: empty
---@field plan? fun(program: string, args: string[]): any replacement of the program under a plan

---@class process.Result
---@field code? integer the exit code; nil if a signal ended it
---@field ok boolean true if the exit code is 0
---@field stdout string
---@field stderr string

--- Runs a program, without a shell, and waits for its end.
---
--- Other tasks continue meanwhile. A program that fails is a result, not an error. Raises an error
--- of kind "permission" without the permission to run it, and one of kind "io" if it cannot be
--- started or prints more than 64 MiB.
---
--- The program runs in its own process group, without the terminal. When the run is stopped or its
--- timeout expires, the program is asked to end. The whole group is killed after at most two more
--- seconds.
---
--- Under a plan the program is not run, and the plan lists it as `would run …`. Instead, `plan` is
--- called and its result is returned. Without `plan` the result is nil, with a note that explains
--- it. A script that uses the result at once, as in `process.run(…).ok`, then fails with "attempt
--- to index a nil value": pass a `plan`, or check `iamlua.mode`. `--plan-runs-programs` runs
--- programs under a plan too. Read-only mode restricts only the account, so there programs run.
---
--- ```lua
--- local ran = process.run("uname", { "-s" }, {
---   plan = function(program, args)
---     return { code = 0, ok = true, stdout = "(from " .. program .. ")\n", stderr = "" }
---   end,
--- })
--- assert(ran.ok, ran.stderr)
---
--- if iamlua.mode ~= "plan" then
---   print(process.run("uname", { "-m" }).stdout)
--- end
--- ```
---@param program string
---@param args? string[]
---@param options? process.Options
---@return process.Result? ran nil under a plan without `plan`
---@return string? note under a plan, the reason why there is no result
function process.run(program, args, options) end

return process
