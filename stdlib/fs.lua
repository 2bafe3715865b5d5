--- Files, within the permissions granted by `--allow-read`, `--allow-write` or the runbook's
--- manifest. Without a permission, every function raises an error of kind "permission" that names
--- the missing flag. A failure of the operating system is an error of kind "io".
---
--- Under a plan nothing on the disk changes. Writes are listed as `would write …`, and later reads
--- of the same run see them. Only `/dev/stdout`, `/dev/stderr` and `/dev/null` are written.
--- Read-only mode restricts only the account, so there files are written.
---
--- ```lua --allow-read=scripts
--- for _, name in ipairs(fs.list("scripts")) do -- with --allow-read=scripts
---   print(name, #fs.read("scripts/" .. name))
--- end
--- ```
---@class fs
local fs = {}

local _, host = ...

--- Reads a whole file, pipe or device, of at most 64 MiB; `io.open` reads larger ones in pieces.
---@param path string
---@return string
function fs.read(path)
  return host.fs_read(path)
end

--- Writes a whole file atomically: readers see either the old or the new contents, never a part.
---@param path string
---@param text string
function fs.write(path, text)
  host.fs_write(path, text)
end

--- Lists the names in a folder, sorted.
---@param dir string
---@return string[]
function fs.list(dir)
  return host.fs_list(dir)
end

return fs
