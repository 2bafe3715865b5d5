---@meta time
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Points in time as ISO 8601 text in UTC, such as `2026-01-02T03:04:05Z`, and lengths of time.
---
--- Dates of profiles and roles have that form, to the second, so `<` orders them:
--- `profile.create_date < time.ago("90d")`. Durations are text such as `"90s"`, `"15m"`, `"1h30m"`,
--- `"7d"`, `"2w"`, or a number of seconds.
---
--- ```lua
--- for profile in iam.profiles.each() do
---   if profile.create_date < time.ago("365d") then
---     print(profile.name, time.age(profile.create_date))
---   end
--- end
--- assert(time.format(time.parse("2026-01-02T03:04:05+02:00")) == "2026-01-02T01:04:05Z")
--- ```
---@class time
time = {}

--- Now, as ISO 8601 text.
---@return string
function time.now() end

--- Seconds since 1970, with a fraction.
---@return number
function time.epoch() end

--- The point in time that far before now.
---
--- Raises an argument error for what is no duration.
---@param length string|number
---@return string
function time.ago(length) end

--- The point in time that far after now.
---
--- Raises an argument error for what is no duration.
---@param length string|number
---@return string
function time.after(length) end

--- Reads ISO 8601 text into whole seconds since 1970.
---
--- Takes a date alone, fractions (cut off) and offsets; without an offset it is UTC. Raises an
--- argument error for anything else.
---@param iso string
---@return integer
function time.parse(iso) end

--- Writes seconds since 1970 as ISO 8601 text; a fraction is cut off.
---
--- Raises an argument error out of the years from 1970 to 9999.
---@param epoch number
---@return string
function time.format(epoch) end

--- How many whole seconds ago that was; negative for the future.
---
--- Raises an argument error for what is no date.
---@param iso string
---@return integer
function time.since(iso) end

--- How long ago that was, short and for people: `45s`, `12m`, `3h` up to two days, then `412d`; `in
--- 3h` for the future.
---
--- Raises an argument error for what is no date.
---@param iso string
---@return string
function time.age(iso) end

--- The seconds of a duration such as `"90d"` or `"250ms"`; a number stays as it is.
---
--- Raises an argument error for anything else.
---@param length string|number
---@return number
function time.seconds(length) end

--- Waits.
---
--- Other tasks go on meanwhile. Raises an argument error for what is no duration.
---@param length string|number
function time.sleep(length) end

return time
