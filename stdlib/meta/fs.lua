---@meta fs
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Files, within what was granted by `--allow-read`, `--allow-write` or the manifest of the
--- runbook.
---
--- Every function raises an error of kind "permission" that names the missing flag, and one of kind
--- "io" if the system refuses.
---
--- Under a plan nothing on the disk changes: what the script writes is listed as `would write …`,
--- and later reads of the same run see it. Only `/dev/stdout`, `/dev/stderr` and `/dev/null` are
--- written. In read-only mode, which is about the account, files are written.
---
--- ```lua
--- for _, name in ipairs(fs.list("scripts")) do -- with --allow-read=scripts
---   print(name, #fs.read("scripts/" .. name))
--- end
--- ```
---@class fs
fs = {}

--- Reads a whole file, pipe or device, of at most 64 MiB; `io.open` reads larger ones in pieces.
---@param path string
---@return string
function fs.read(path) end

--- Writes a whole file: it has either the old or the new contents, never a part.
---@param path string
---@param text string
function fs.write(path, text) end

--- The names in a folder, sorted.
---@param dir string
---@return string[]
function fs.list(dir) end

return fs
