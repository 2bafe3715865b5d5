---@meta iamlua
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Facts about the running program, such as its mode.
---
--- The fields are read-only; an unknown name is an error.
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
iamlua = {}

return iamlua
