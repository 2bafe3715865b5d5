---@meta time
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Points in time and durations.
---
--- A point in time is ISO 8601 text in UTC, such as `2026-01-02T03:04:05Z`. Dates of profiles and
--- roles have that form, to the second, so `<` orders them: `profile.create_date <
--- time.ago("90d")`. A duration is text such as `"90s"`, `"15m"`, `"1h30m"`, `"7d"`, `"2w"`, or a
--- number of seconds.
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

--- Returns the current time as ISO 8601 text.
---@return string
function time.now() end

--- Returns the current time in seconds since 1970, with a fraction.
---@return number
function time.epoch() end

--- Returns the time that lies a duration before now.
---
--- Raises an argument error for an invalid duration.
---@param length string|number
---@return string
function time.ago(length) end

--- Returns the time that lies a duration after now.
---
--- Raises an argument error for an invalid duration.
---@param length string|number
---@return string
function time.after(length) end

--- Parses ISO 8601 text into whole seconds since 1970.
---
--- A date alone, fractions (truncated) and offsets are accepted; text without an offset is UTC.
--- Raises an argument error for any other text.
---@param iso string
---@return integer
function time.parse(iso) end

--- Formats seconds since 1970 as ISO 8601 text, without the fraction.
---
--- Raises an argument error outside of the years 1970 to 9999.
---@param epoch number
---@return string
function time.format(epoch) end

--- Returns the age of a date in whole seconds; negative for the future.
---
--- Raises an argument error for an invalid date.
---@param iso string
---@return integer
function time.since(iso) end

--- Returns the age of a date as short text: `45s`, `12m`, `3h` up to two days, then `412d`; `in 3h`
--- for the future.
---
--- Raises an argument error for an invalid date.
---@param iso string
---@return string
function time.age(iso) end

--- Converts a duration such as `"90d"` or `"250ms"` into seconds.
---
--- A number is unchanged. Raises an argument error for any other value.
---@param length string|number
---@return number
function time.seconds(length) end

--- Sleeps for a duration.
---
--- Other tasks continue meanwhile. Raises an argument error for an invalid duration.
---@param length string|number
function time.sleep(length) end

return time
