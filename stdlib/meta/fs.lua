---@meta fs
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Files, within the permissions granted by `--allow-read`, `--allow-write` or the runbook's
--- manifest.
---
--- Without a permission, every function raises an error of kind "permission" that names the missing
--- flag. A failure of the operating system is an error of kind "io".
---
--- Under a plan nothing on the disk changes. Writes are listed as `would write …`, new folders as
--- `would create the folder …`, and later reads of the same run see them. Only `/dev/stdout`,
--- `/dev/stderr` and `/dev/null` are written. Read-only mode restricts only the account, so there
--- files are written.
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

--- Writes a whole file atomically: readers see either the old or the new contents, never a part.
---@param path string
---@param text string
function fs.write(path, text) end

--- Lists the names in a folder, sorted.
---@param dir string
---@return string[]
function fs.list(dir) end

--- Returns true if there is a file, a folder or anything else at a path.
---
--- ```lua
--- assert(fs.exists("scripts") and not fs.exists("scripts/none.lua")) -- with --allow-read=scripts
--- ```
---@param path string
---@return boolean
function fs.exists(path) end

--- Creates a folder, and the folders that it is in.
---
--- An existing folder is left as it is.
---@param dir string
function fs.mkdir(dir) end

--- Returns the paths that match a pattern, sorted.
---
--- `*` stands for any text in a name and `?` for one character, but not for a dot at its beginning;
--- `**` stands for any number of folders. Folders outside of the permissions, and those that cannot
--- be read, have no matches. `**` does not follow symbolic links.
---
--- ```lua
--- for _, path in ipairs(fs.glob("scripts/*.lua")) do -- with --allow-read=scripts
---   print(path)
--- end
--- ```
---@param pattern string
---@return string[]
function fs.glob(pattern) end

return fs
