---@meta iamlua
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- The program that runs the script, and its mode.
---
--- The fields can only be read; another name is an error.
---
--- In the mode "plan" no program runs and no file is written either, unless `--plan-runs-programs`
--- is given: `process.run` and `fs` say what a script finds instead. At a prompt the mode is that
--- of the entry.
---
--- ```lua
--- if iamlua.mode == "plan" then
---   print("changes are listed, not made; so are programs and files")
--- end
--- ```
---@class iamlua
---@field mode "read-only"|"plan"|"apply" what becomes of changes: they are refused, listed, or made
iamlua = {}

return iamlua
