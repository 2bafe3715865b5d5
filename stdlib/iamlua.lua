--- Facts about the running program, such as its mode. The fields are read-only; an unknown name is
--- an error.
---
--- In the mode "plan" no program runs and no file is written either, unless `--plan-runs-programs`
--- is given; see `process.run` and `fs` for what they return then. At a prompt the mode is that of
--- the entry.
---
--- ```lua
--- if iamlua.mode == "plan" then
---   print("changes are listed, not made; so are programs and files")
--- end
--- ```
---@class iamlua
---@field mode "read-only"|"plan"|"apply" changes are refused, listed, or made
local iamlua = {}

local _, host = ...

local fields = setmetatable(host.facts, {
  __index = function(_, name)
    local near = type(name) == "string" and utf8.len(name) and host.nearest(name, { "mode" })
    host.fail(
      "argument",
      "iamlua: there is no field " .. require("inspect")(name),
      near and "did you mean '" .. near .. "'?" or "there is mode"
    )
  end,
})

return setmetatable(iamlua, {
  __index = fields,
  __newindex = function()
    host.fail("argument", "iamlua: its fields can only be read")
  end,
  __pairs = function()
    return next, { mode = fields.mode }
  end,
  __tostring = function()
    return require("inspect") { mode = fields.mode }
  end,
})
