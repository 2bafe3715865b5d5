--- What the scripts of this folder share: going through many profiles so that one that fails does not stop the rest.
---@class sweep
---@field failed string[] the names of what failed
---@field protected integer how many were left alone because they are protected
---@field total integer how many there were
local sweep = {}
sweep.__index = sweep

-- Tags are read for so many profiles at once.
local AT_ONCE = 16
-- So many failed names are repeated at the end.
local NAMES_SHOWN = 10

-- What would fail the same way for every other profile.
local HOPELESS_KINDS =
  { refused = true, credentials = true, permission = true, interrupted = true, timeout = true, bug = true }
local HOPELESS_CODES = {
  ExpiredToken = true,
  ExpiredTokenException = true,
  InvalidClientTokenId = true,
  SignatureDoesNotMatch = true,
  UnrecognizedClientException = true,
}

--- A sweep over nothing yet.
---@return sweep
function sweep.new()
  return setmetatable({ failed = {}, protected = 0, total = 0 }, sweep)
end

--- Notes that something failed, and says so on standard error; what is protected is left alone, which is no failure. Raises the error again if
--- the rest would fail like it.
---@param name string
---@param err table
function sweep:fail(name, err)
  if err.kind == "protected" then
    self.protected = self.protected + 1
    log.warn("left alone", { profile = name, because = err.message })
    return
  end
  if HOPELESS_KINDS[err.kind] or HOPELESS_CODES[err.code] then
    error(err, 0)
  end
  self.failed[#self.failed + 1] = name
  log.error("failed", {
    profile = name,
    error = (err.code and err.code .. ": " or "") .. err.message,
    request = err.request_id,
    hint = err.hint,
  })
end

--- Calls a function; if it raises, notes the failure and goes on.
---@param name string the profile that it is about
---@param f fun(): any
---@return boolean is_done
---@return any result what the function returned
function sweep:attempt(name, f)
  local result
  local _, err = try(function()
    result = f()
  end)
  if err then
    self:fail(name, err)
    return false
  end
  return true, result
end

-- The profile with its tags; without them, or nil, if they could not be read; nil if it is gone.
local function with_tags(self, profile, keep_unread)
  -- One call, as the tags alone would take; and what is read whole need not be read again before it is changed.
  local whole, err = try(iam.profiles.get, profile.name)
  if whole then
    return whole
  elseif err.code == "NoSuchEntity" then
    -- Deleted since it was listed.
    self.total = self.total - 1
    return nil
  end
  self:fail(profile.name, err)
  return keep_unread and profile or nil
end

---@class sweep.Options
---@field path? string only profiles under that path
---@field only? fun(profile: iam.Profile): boolean only those, and tags are read for no others
---@field with_tags? boolean with their tags, read for several at once
---@field keep_unread? boolean also those whose tags could not be read, with `tags` nil

--- Iterates over profiles, in order. One whose tags cannot be read is noted as a failure.
---@param options sweep.Options
---@return fun(): iam.Profile?
function sweep:profiles(options)
  local listed = iam.profiles.each { path_prefix = options.path }
  local function next_listed()
    for profile in listed do
      if not options.only or options.only(profile) then
        self.total = self.total + 1
        return profile
      end
    end
  end
  if not options.with_tags then
    return next_listed
  end
  -- Reads ahead while the script works on what is there.
  local reading, first, last, is_listed = {}, 1, 0, false
  return function()
    while true do
      while not is_listed and last - first + 1 < AT_ONCE do
        local profile = next_listed()
        if profile then
          last = last + 1
          reading[last] = task.spawn(with_tags, self, profile, options.keep_unread)
        else
          is_listed = true
        end
      end
      if first > last then
        return nil
      end
      local current = reading[first]
      reading[first] = nil
      first = first + 1
      local profile = current:wait()
      if profile then
        return profile
      end
    end
  end
end

--- How many are protected, in words for a summary, such as `"protected 2, "`; empty if none are.
---@return string
function sweep:left_alone()
  return self.protected > 0 and ("protected %d, "):format(self.protected) or ""
end

--- What failed, in words; nil if nothing did. A script ends with it: `local problem = work:problem()`, `if problem then error(problem, 0) end`.
---@return string?
function sweep:problem()
  local count = #self.failed
  if count == 0 then
    return nil
  end
  local names = table.concat(self.failed, ", ", 1, math.min(count, NAMES_SHOWN))
  local more = count > NAMES_SHOWN and (" and %d more"):format(count - NAMES_SHOWN) or ""
  return ("%d of %d profile%s failed: %s%s"):format(count, self.total, self.total == 1 and "" or "s", names, more)
end

return sweep
