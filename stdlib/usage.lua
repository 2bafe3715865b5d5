--- Who uses an instance profile: verdicts with evidence. A scan asks every service that can name a profile, in every enabled region; a verdict
--- says what follows for one profile. What could not be checked makes it `unknown`, never `unused`.
---
--- ```lua
--- local scan = usage.scan {}
--- for profile in iam.profiles.each() do
---   local v = scan:verdict(profile)
---   print(profile.name, v.verdict, v.reason)
--- end
--- ```
---
--- `unused` means that nothing on AWS that iamlua knows of names the profile, and that its role was not used. docs/usage.md says what each source proves
--- and what lies outside AWS.
---@class usage
local usage = {}

local _, host = ...

local inspect = require("inspect")
local json = require("json")

--- What a scan has found, and what it could not check.
---@class usage.Scan
---@field account string the account's 12 digits
---@field started string when it began: ISO 8601, UTC, seconds
---@field ended string when it ended
---@field complete boolean whether everything was checked; if not, no profile is `unused`
---@field regions string[] the regions that were asked
---@field resources integer how many resources were looked at
local Scan = { __name = "usage.Scan" }
Scan.__index = Scan

-- Scope of the scan, and its gaps.
function Scan:__tostring()
  local found = string.format("scan of account %s at %s: %d regions, %d resources, ", self.account, self.started, #self.regions, self.resources)
  local gaps = Scan.gap_summary(self)
  return found .. (#gaps == 0 and "everything was checked" or "not everything could be checked\n  " .. table.concat(gaps, "\n  "))
end

--- Whether one profile is used, and why.
---@class usage.Verdict
---@field verdict "used"|"unused"|"unknown"
---@field reason string why, in one sentence
---@field profile string its name
---@field id string its unique id
---@field arn string its ARN
---@field references usage.Reference[] what refers to it
---@field doubts usage.Reference[] what may refer to it, such as a text with placeholders; one makes `unknown`
---@field gaps usage.Gap[] what was not checked
---@field checked usage.Check[] what was asked, where and when; the same table for all verdicts of a scan
---@field role? usage.Role what its role says, if nothing else refers to the profile
---@field at string when the scan began

--- A resource that names a profile.
---@class usage.Reference
---@field source string the source, such as `ec2.instances`; `iam.roles` for a role that was used lately
---@field service string the service's prefix in IAM policies, such as `ec2`
---@field region? string
---@field kind string what it is, such as `instance`
---@field resource string its id or name; several parts are joined with `/`
---@field state? string its state, in AWS's words
---@field by "arn"|"name"|"id"|"role"|"pattern" by what it means the profile
---@field text string the text that does

--- Something that was not checked.
---@class usage.Gap
---@field source? string the source; nil if it is all of them
---@field region? string the region; nil if it is all of them
---@field reason "denied"|"throttled"|"failed"|"cut off"|"not enabled"|"not asked"
---@field code? string AWS's error code
---@field message? string what AWS said
---@field text string all of it in words

--- That a source was asked in a region.
---@class usage.Check
---@field source string
---@field region string
---@field at string when: ISO 8601, UTC, seconds
---@field resources integer how many resources were looked at
---@field outcome string `checked`, `not offered` (the region does not have the service), or the reason of a gap

--- What a profile's role says.
---@class usage.Role
---@field name string
---@field create_date string
---@field last_used? string when it was last used; nil if it was not, in the 400 days that AWS remembers
---@field region? string where that was

--- A kind of resource that can name a profile.
---@class usage.Source
---@field name string such as `ec2.instances`
---@field service string the service's prefix in IAM policies
---@field kind string what one of its resources is, such as `instance`
---@field actions string[] the calls that find out, which are also the permissions needed
---@field doc string what a reference means
---@field reference_url string the page of AWS's documentation

---@class usage.LoadOptions
---@field max_age? string|number how old the scan may be, such as `"6h"`, which is the default

---@class usage.ScanOptions
---@field regions? string|string[] the regions to ask; default: all that are enabled
---@field sources? string|string[] the sources to ask; default: all
---@field role_unused_for? string|number a profile whose role was used in that time is used; default `"90d"`
---@field concurrency? integer how many calls at once; default 16
---@field timeout? string|number when a call is given up; default `"5m"`

local Verdict = { __name = "usage.Verdict" }

function Verdict:__tostring()
  return host.verdict_texts[self]
end

host.verdict_texts = setmetatable({}, { __mode = "k" })

local function new(raw, iam, gate)
  local self = host.usage_summary(raw)
  -- State that scripts do not see.
  host.scans[self] = { raw = raw, iam = iam, gate = gate, asked = {} }
  return setmetatable(self, Scan)
end

host.scans = setmetatable({}, { __mode = "k" })

local function of(scan, name)
  local own = host.scans[scan]
  if not own then
    host.fail("argument", "scan:" .. name .. ": called on a " .. type(scan), "it is called as scan:" .. name .. "(…), with a colon")
  end
  return own
end

-- Implements `iam.usage.scan`.
function host.usage_made(iam, gate, path, ...)
  local begun = host.usage_scan(gate, path, ...)
  local summary = host.await(begun.handle)
  if summary then
    host.write_err(summary .. "\n")
  end
  return new(begun.raw, iam, gate)
end

--- Asks every source in every region: `iam.usage.scan` of the run's own account.
---
--- It makes no call per profile, and shows how it gets on. A denied or failing call is a gap of the scan and no error. Raises an error if nobody can say
--- which regions are enabled, or the credentials are not valid.
---@param options? usage.ScanOptions
---@return usage.Scan
function usage.scan(options)
  return require("iam").usage.scan(options or {})
end

--- Reads a scan that `scan:save` wrote; needs `--allow-read`. Raises an error for one that is older than `max_age`, damaged, or of another version.
---
--- What is asked of roles is asked anew.
---@param path string
---@param options? usage.LoadOptions
---@return usage.Scan
function usage.load(path, options)
  options = host.check_options("usage.load", options, { "max_age" })
  local max_age = options.max_age ~= nil and host.seconds(options.max_age, "usage.load: max_age") or nil
  local iam = require("iam")
  return new(host.usage_load(path, max_age), iam, host.gate)
end

--- The sources that a scan asks.
---
--- ```lua
--- for _, source in ipairs(usage.sources()) do
---   print(source.name, table.concat(source.actions, ", "))
--- end
--- ```
---@return usage.Source[]
function usage.sources()
  return host.usage_sources()
end

-- Reads a role, once for all verdicts that need it.
local function ask_role(own, role)
  local handle = own.asked[role]
  if handle then
    host.wait_for(handle)
    return
  end
  handle = host.usage_ask_role(own.raw, own.gate, role)
  own.asked[role] = handle
  local _ <close> = setmetatable({}, {
    __close = function()
      own.asked[role] = nil
    end,
  })
  host.await(handle)
end

--- Whether a profile is used.
---
--- A profile that nothing refers to costs one call, for its role, once per role. The profile must be of the scan's account.
---@param profile iam.Profile|string a profile of `iam.profiles.each`, `list` or `get`; of a name, the profile is read
---@return usage.Verdict
function Scan:verdict(profile)
  local own = of(self, "verdict")
  if type(profile) == "string" then
    profile = own.iam.profiles.get(profile)
  elseif type(profile) ~= "table" then
    host.fail("argument", "scan:verdict: the profile must be a table or a name, got " .. inspect(profile))
  end
  local verdict = host.usage_judge(own.raw, profile)
  while type(verdict) == "string" do
    ask_role(own, verdict)
    verdict = host.usage_judge(own.raw, profile)
  end
  local gaps = Scan.gaps(self)
  if verdict.role_gap then
    gaps = json.array(table.move(gaps, 1, #gaps, 1, {}))
    gaps[#gaps + 1] = verdict.role_gap
  end
  verdict.role_gap = nil
  verdict.gaps, verdict.checked = gaps, Scan.checked(self)
  verdict.references, verdict.doubts = json.array(verdict.references), json.array(verdict.doubts)
  local text = verdict.text
  verdict.text = nil
  host.verdict_texts[verdict] = text
  return setmetatable(verdict, Verdict)
end

--- What was not checked; empty if the scan is complete.
---@return usage.Gap[]
function Scan:gaps()
  local own = of(self, "gaps")
  own.gaps = own.gaps or json.array(host.usage_gaps(own.raw))
  return own.gaps
end

--- The same in a few sentences for people: gaps that belong together, such as a source that is denied in every region, are one.
---@return string[]
function Scan:gap_summary()
  return host.usage_told_gaps(of(self, "gap_summary").raw)
end

--- What was asked, where and when.
---@return usage.Check[]
function Scan:checked()
  local own = of(self, "checked")
  own.checks = own.checks or json.array(host.usage_checks(own.raw))
  return own.checks
end

--- Everything that names a profile or a role, also of profiles that do not exist: an iterator. `names` are the texts, as AWS has them.
---@return fun(): table iterator
function Scan:references()
  local own = of(self, "references")
  local at = -1
  return function()
    at = at + 1
    return host.usage_found(own.raw, at)
  end
end

--- Writes the scan into a file, for `usage.load`; needs `--allow-write`.
---@param path string
function Scan:save(path)
  host.usage_save(of(self, "save").raw, path)
end

return usage
