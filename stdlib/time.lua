--- Points in time and durations. A point in time is ISO 8601 text in UTC, such as
--- `2026-01-02T03:04:05Z`. Dates of profiles and roles have that form, to the second, so `<` orders
--- them: `profile.create_date < time.ago("90d")`. A duration is text such as `"90s"`, `"15m"`,
--- `"1h30m"`, `"7d"`, `"2w"`, or a number of seconds.
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
local time = {}

local _, host = ...

local MINUTE, HOUR, DAY = 60, 3600, 86400
local LAST = 253402300799 -- 9999-12-31T23:59:59Z

-- Days since 1970-01-01 in the Gregorian calendar. Years start in March, so the leap day is at the
-- end of a year.
local function days_of(year, month, day)
  local y = month <= 2 and year - 1 or year
  local day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
  return 365 * y + y // 4 - y // 100 + y // 400 + day_of_year - 719468
end

local function date_of(days)
  days = days + 719468
  local era = days // 146097
  local day_of_era = days % 146097
  local leap_days = day_of_era // 1460 - day_of_era // 36524 + day_of_era // 146096
  local year_of_era = (day_of_era - leap_days) // 365
  local day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
  local from_march = (5 * day_of_year + 2) // 153
  local month = (from_march + 2) % 12 + 1
  local day = day_of_year - (153 * from_march + 2) // 5 + 1
  return era * 400 + year_of_era + (month <= 2 and 1 or 0), month, day
end

local function month_length(year, month)
  return days_of(month == 12 and year + 1 or year, month % 12 + 1, 1) - days_of(year, month, 1)
end

-- Text of a number of seconds since 1970, or nil if it is out of range.
local function text_of(epoch)
  local seconds = math.tointeger(epoch // 1)
  if not seconds or seconds < 0 or seconds > LAST then
    return nil
  end
  local year, month, day = date_of(seconds // DAY)
  local rest = seconds % DAY
  return string.format(
    "%04d-%02d-%02dT%02d:%02d:%02dZ",
    year,
    month,
    day,
    rest // HOUR,
    rest % HOUR // MINUTE,
    rest % MINUTE
  )
end

-- Seconds of an offset such as "Z", "+02:00", "-0530" or nothing; nil if it is invalid.
local function offset_of(text)
  if text == "" or text == "Z" or text == "z" then
    return 0
  end
  local sign, hours, minutes = string.match(text, "^([+-])(%d%d):?(%d%d)$")
  if not sign then
    sign, hours, minutes = string.match(text, "^([+-])(%d%d)()$")
    minutes = 0
  end
  hours, minutes = tonumber(hours), tonumber(minutes)
  if not sign or hours > 23 or minutes > 59 then
    return nil
  end
  return (hours * HOUR + minutes * MINUTE) * (sign == "-" and -1 or 1)
end

-- Seconds since 1970, or nil and a problem.
local function epoch_of(text)
  local year, month, day, rest = string.match(text, "^(%d%d%d%d)-(%d%d)-(%d%d)(.*)$")
  if not year then
    return nil, 'must look like "2026-01-02T03:04:05Z" or "2026-01-02"'
  end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if month < 1 or month > 12 then
    return nil, "there is no month " .. month
  elseif day < 1 or day > month_length(year, month) then
    return nil, "that month has no day " .. day
  end
  local hour, minute, second, offset = 0, 0, 0, 0
  if rest ~= "" then
    local clock, after
    hour, minute, clock = string.match(rest, "^[Tt ](%d%d):(%d%d)(.*)$")
    if not hour then
      return nil, 'the time of day must look like "03:04:05"'
    end
    second, after = string.match(clock, "^:(%d%d)(.*)$")
    if second then
      local fraction = string.match(after, "^[.,]%d+")
      after = string.sub(after, #(fraction or "") + 1)
    else
      second, after = 0, clock
    end
    hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
    offset = offset_of(after)
    if hour > 23 or minute > 59 or second > 59 then
      return nil, "there is no such time of day"
    elseif not offset then
      return nil, 'the offset must look like "Z" or "+02:00"'
    end
  end
  local epoch = days_of(year, month, day) * DAY + hour * HOUR + minute * MINUTE + second - offset
  if epoch < 0 or epoch > LAST then
    return nil, "the years from 1970 to 9999 are known here"
  end
  return epoch
end

local function quoted(value)
  return type(value) == "string" and require("inspect").quote(value) or type(value)
end

local function parse(name, text)
  if type(text) ~= "string" then
    host.fail("argument", name .. ": the date must be a string, got " .. type(text))
  end
  local epoch, why = epoch_of(text)
  if not epoch then
    host.fail("argument", name .. ": " .. quoted(text) .. " is not a date: " .. why)
  end
  return epoch
end

-- Duration in seconds, as an integer if it is whole.
local function duration(name, value)
  local ok, seconds = host.fallible.seconds(value)
  if not ok then
    host.fail("argument", name .. ": " .. seconds.message)
  elseif not (seconds >= 0 and seconds < math.huge) then
    host.fail("argument", name .. ": the duration must not be negative or endless, got " .. seconds)
  end
  return math.tointeger(seconds) or seconds
end

local function moved(name, value, sign)
  local seconds = duration(name, value)
  local text = text_of(host.now() / 1000 + sign * seconds)
  if not text then
    host.fail(
      "argument",
      name .. ": " .. tostring(value) .. " reaches out of the years from 1970 to 9999"
    )
  end
  return text
end

--- Returns the current time as ISO 8601 text.
---@return string
function time.now()
  return text_of(host.now() // 1000)
end

--- Returns the current time in seconds since 1970, with a fraction.
---@return number
function time.epoch()
  return host.now() / 1000
end

--- Returns the time that lies a duration before now. Raises an argument error for an invalid
--- duration.
---@param length string|number
---@return string
function time.ago(length)
  return moved("time.ago", length, -1)
end

--- Returns the time that lies a duration after now. Raises an argument error for an invalid
--- duration.
---@param length string|number
---@return string
function time.after(length)
  return moved("time.after", length, 1)
end

--- Parses ISO 8601 text into whole seconds since 1970. A date alone, fractions (truncated) and
--- offsets are accepted; text without an offset is UTC. Raises an argument error for any other
--- text.
---@param iso string
---@return integer
function time.parse(iso)
  return parse("time.parse", iso)
end

--- Formats seconds since 1970 as ISO 8601 text, without the fraction. Raises an argument error
--- outside of the years 1970 to 9999.
---@param epoch number
---@return string
function time.format(epoch)
  if type(epoch) ~= "number" then
    host.fail("argument", "time.format: the seconds must be a number, got " .. type(epoch))
  end
  local text = text_of(epoch)
  if not text then
    host.fail("argument", "time.format: " .. epoch .. " is out of the years from 1970 to 9999")
  end
  return text
end

--- Returns the age of a date in whole seconds; negative for the future. Raises an argument error
--- for an invalid date.
---@param iso string
---@return integer
function time.since(iso)
  return host.now() // 1000 - parse("time.since", iso)
end

--- Returns the age of a date as short text: `45s`, `12m`, `3h` up to two days, then `412d`; `in 3h`
--- for the future. Raises an argument error for an invalid date.
---@param iso string
---@return string
function time.age(iso)
  local seconds = host.now() // 1000 - parse("time.age", iso)
  local length, prefix = math.abs(seconds), seconds < 0 and "in " or ""
  if length < MINUTE then
    return prefix .. length .. "s"
  elseif length < HOUR then
    return prefix .. length // MINUTE .. "m"
  elseif length < 2 * DAY then
    return prefix .. length // HOUR .. "h"
  end
  return prefix .. length // DAY .. "d"
end

--- Converts a duration such as `"90d"` or `"250ms"` into seconds. A number is unchanged. Raises an
--- argument error for any other value.
---@param length string|number
---@return number
function time.seconds(length)
  return duration("time.seconds", length)
end

--- Sleeps for a duration. Other tasks continue meanwhile. Raises an argument error for an invalid
--- duration.
---@param length string|number
function time.sleep(length)
  host.await(host.sleep(duration("time.sleep", length)))
end

return time
