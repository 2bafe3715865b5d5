--- Other programs, within the permissions granted by `--allow-run` or the runbook's manifest. Under
--- a plan no program runs; the plan lists them.
---
--- ```lua --allow-run=uname
--- local ran = process.run("uname", { "-s" }) -- with --allow-run=uname
--- if ran then -- nil under a plan
---   assert(ran.ok, ran.stderr)
---   print(ran.stdout)
--- end
--- ```
---@class process
local process = {}

local _, host = ...

---@class process.Options
---@field stdin? string the program's standard input. Default: empty
---@field plan? fun(program: string, args: string[]): any replacement of the program under a plan

---@class process.Result
---@field code? integer the exit code; nil if a signal ended it
---@field ok boolean true if the exit code is 0
---@field stdout string
---@field stderr string

--- Runs a program, without a shell, and waits for its end. Other tasks continue meanwhile. A
--- program that fails is a result, not an error. Raises an error of kind "permission" without the
--- permission to run it, and one of kind "io" if it cannot be started or prints more than 64 MiB.
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
--- ```lua --allow-run=uname
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
function process.run(program, args, options)
  options = host.check_options("process.run", options, { "stdin", "plan" })
  if args ~= nil and type(args) ~= "table" then
    host.fail(
      "argument",
      "process.run: the arguments must be an array of strings, got " .. type(args)
    )
  end
  local words, count = {}, 0
  for key, word in pairs(args or {}) do
    if math.type(key) ~= "integer" then
      host.fail(
        "argument",
        "process.run: the arguments must be an array, but there is a key "
          .. tostring(key)
          .. " in it"
      )
    elseif type(word) ~= "string" then
      host.fail(
        "argument",
        "process.run: argument " .. key .. " must be a string, got " .. type(word)
      )
    end
    words[key] = word
    count = count + 1
  end
  if #words ~= count then
    host.fail("argument", "process.run: the arguments have a hole: one of them is nil")
  end
  if options.stdin ~= nil and type(options.stdin) ~= "string" then
    host.fail("argument", "process.run: stdin must be a string, got " .. type(options.stdin))
  end
  if options.plan ~= nil and not host.is_callable(options.plan) then
    host.fail("argument", "process.run: plan must be a function, got " .. type(options.plan))
  end
  local running = host.run_program(program, words, options.stdin)
  if running then
    return host.await(running)
  elseif options.plan then
    return options.plan(program, words)
  end
  host.not_run = "process.run('" .. program .. "')"
  return nil, "not run: this is a plan"
end

return process
