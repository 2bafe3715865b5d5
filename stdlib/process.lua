--- Other programs, within what was granted by `--allow-run` or the manifest of the runbook.
---
--- ```lua --allow-run=uname
--- local ran = process.run("uname", { "-s" }) -- with --allow-run=uname
--- assert(ran.ok, ran.stderr)
--- print(ran.stdout)
--- ```
---@class process
local process = {}

local _, host = ...

---@class process.Options
---@field stdin? string what the program reads from its standard input; without it there is none

---@class process.Result
---@field code? integer the exit code; nil if a signal ended it
---@field ok boolean whether the code is 0
---@field stdout string
---@field stderr string

--- Runs a program, without a shell, and waits for its end. Other tasks go on meanwhile. A program that fails is a result, not an error;
--- raises one of kind "permission" if it was not granted, and of kind "io" if it cannot be started.
---@param program string
---@param args? string[]
---@param options? process.Options
---@return process.Result
function process.run(program, args, options)
  options = host.check_options("process.run", options, { "stdin" })
  if args ~= nil and type(args) ~= "table" then
    host.fail("argument", "process.run: the arguments must be an array of strings, got " .. type(args))
  end
  local words, count = {}, 0
  for key, word in pairs(args or {}) do
    if math.type(key) ~= "integer" then
      host.fail(
        "argument",
        "process.run: the arguments must be an array, but there is a key " .. tostring(key) .. " in it"
      )
    elseif type(word) ~= "string" then
      host.fail("argument", "process.run: argument " .. key .. " must be a string, got " .. type(word))
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
  return host.await(host.run_program(program, words, options.stdin))
end

return process
