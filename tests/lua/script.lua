-- Runs a script with command line arguments, on the account of the test.

-- Replacement of a script that runs code before it.
local BEFORE = [[
local source = require("fs").read("%s")
%s
assert(load(source, "@%s"))(...)
]]

-- `args` are command line arguments. `files` are written to a folder that replaces `{dir}` in
-- `path` and `args`. `before` is Lua code that runs before the script.
return function(path, args, files, before)
  files = files or {}
  if before then
    files["before.lua"] = BEFORE:format(path, before, path)
  end
  local folder = temp_folder(files)
  local words, output = {}, nil
  for _, word in ipairs(args or {}) do
    local format = word:match("^%-%-output=(.+)$")
    if format then
      output = format
    else
      table.insert(words, (word:gsub("{dir}", folder)))
    end
  end
  local script = before and folder .. "/before.lua" or path:gsub("{dir}", folder)
  local options = { args = words, output = output, confirm = false }
  if before then
    options.allow_read = { path }
  end
  return run_runbook(script, nil, options)
end
