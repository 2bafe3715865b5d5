--- Finds unused instance profiles, and deletes them in reversible steps.
---
---   iamlua run scripts/cleanup_orphans.lua
---   iamlua run scripts/cleanup_orphans.lua --all --output csv
---   iamlua run scripts/cleanup_orphans.lua --quarantine
---   iamlua run scripts/cleanup_orphans.lua --quarantine --delete --days 180
---   iamlua run scripts/cleanup_orphans.lua --release web-canary
---
--- The scan covers every AWS resource that can name an instance profile, in every region, and the
--- last use of the profile's role; docs/usage.md lists the proof of each source. A profile is
--- `used`, `unused`, or `unknown` where a check could not be made. An unknown profile is never
--- deleted.
---
--- Without flags the script only reports. `--quarantine` records in the tags of each unused profile
--- since when and in how many scans it was unused. A scan counts only if it began 6 hours
--- (`--interval`) after the last one that counted. A profile that is used again, or protected, is
--- released from quarantine. `--delete` deletes a profile that was unused in 3 scans (`--scans`),
--- this one included, is older than 30 days (`--days`), and was the same profile in all of them. A
--- nightly job uses both flags together.
---
--- A profile with the tag `iamlua:protected` (another with `--protect-tag`), whatever its value, or
--- under a `--protect-path`, is left alone. Each profile is read again just before its deletion,
--- and left alone if the profile, its role or its tags have changed since the scan. A profile that
--- fails does not stop the others; the script then ends with exit code 1. It also does so if a
--- check could not be made while it was to act.

local p = runbook {
  description = "Reports which instance profiles nobody uses; puts them in quarantine, and deletes them after some scans.",
  params = {
    all = { default = false, help = "report the used and the protected ones, too" },
    quarantine = {
      default = false,
      help = "mark the unused ones by tags, count this scan, release what is used again",
    },
    delete = {
      default = false,
      help = "delete those whose quarantine has lasted; without it none is deleted",
    },
    release = {
      type = "list",
      pattern = "[A-Za-z0-9_+=,.@-]{1,128}",
      help = "only take this profile out of quarantine",
    },
    scans = {
      default = 3,
      min = 2,
      max = 100,
      help = "delete after so many scans that found it unused",
    },
    interval = {
      type = "duration",
      default = "6h",
      help = "count a scan so long after the last one, not sooner",
    },
    days = {
      default = 30,
      min = 0,
      max = 36500,
      help = "delete only what was created so many days ago or earlier",
    },
    role_unused_for = {
      type = "duration",
      default = "90d",
      min = "1d",
      max = "400d",
      help = "a role that was used within this time makes its profile used",
    },
    only_empty = { default = false, help = "only profiles without a role" },
    path = { default = "/", pattern = "/.*", help = "only profiles whose path begins with this" },
    protect_tag = {
      default = "iamlua:protected",
      pattern = ".+",
      help = "leave profiles with this tag alone",
    },
    protect_path = {
      type = "list",
      pattern = "/.*",
      help = "leave profiles alone whose path begins with this",
    },
  },
  allow = {
    "usage.scan",
    "profiles.each",
    "profiles.find",
    "profiles.tag",
    "profiles.untag",
    "profiles.delete",
  },
}

if #p.release > 0 and (p.quarantine or p.delete) then
  runbook.usage(
    "--release goes alone: it is not for a run that puts profiles in quarantine or deletes them"
  )
end

local acts = p.quarantine or p.delete

----------------------------------------------------------------------------------------- Quarantine

-- The state is stored in tags of the profile, so that everybody sees it, and it is journalled and
-- undone like any change. AWS allows few characters in them:
-- since=2026-11-28T05:00:00Z scans=2 last=2026-11-28T12:00:00Z id=AIPA…
local STATE_TAG, REASON_TAG = "iamlua:quarantine", "iamlua:quarantine-reason"
local MAX_TAGS, MAX_VALUE = 50, 256
-- Scans before a long gap prove nothing.
local STATE_LIFETIME = time.seconds("90d")
-- AWS refuses calls from a machine whose clock differs by more.
local MAX_CLOCK_SKEW = time.seconds("5m")

-- State in the tags of a profile. nil if there is none, or if it is unreadable, about an earlier
-- profile of that name, expired, or in the future.
local function state_of(profile)
  local fields = {}
  for key, value in (profile.tags[STATE_TAG] or ""):gmatch("(%a+)=(%S+)") do
    fields[key] = value
  end
  local scans = math.tointeger(tonumber(fields.scans))
  local since, last = try(time.parse, fields.since), try(time.parse, fields.last)
  if not (scans and since and last) or scans < 1 or last < since or fields.id ~= profile.id then
    return nil
  end
  local passed = time.epoch() - last
  if passed > STATE_LIFETIME or passed < -MAX_CLOCK_SKEW then
    return nil
  end
  -- Bounds the count by the number of scans that fit between the first and the last, whoever has
  -- written it.
  local possible = p.interval > 0 and (last - since) // p.interval + 1 or scans
  return { since = since, scans = math.tointeger(math.min(scans, possible)), last = last }
end

-- State after a scan that found the profile unused. Unchanged if that scan came too soon to count.
local function counted(state, at)
  if not state then
    return { since = at, scans = 1, last = at }
  elseif at - state.last >= p.interval then
    return { since = state.since, scans = state.scans + 1, last = at }
  end
  return state
end

local function state_text(state)
  return state
      and ("%d of %d scans since %s"):format(state.scans, p.scans, time.format(state.since))
    or nil
end

-- Text with only the characters that AWS allows in the value of a tag, cut to its maximum length.
local function tag_value(text)
  text = text:gsub("[^%w _.:/=+@-]+", " "):gsub("  +", " ")
  return text:sub(1, MAX_VALUE)
end

local function count_of(tags)
  local count = 0
  for _ in pairs(tags) do
    count = count + 1
  end
  return count
end

-- Tags that put a profile in quarantine; nil if there is no room for them. The reason may be
-- missing.
local function quarantine_tags(profile, state, reason)
  local room = MAX_TAGS - count_of(profile.tags)
  local tags = {}
  local function add(key, value)
    room = room - (profile.tags[key] and 0 or 1)
    if room >= 0 then
      tags[key] = value
    end
  end
  local since, last = time.format(state.since), time.format(state.last)
  add(STATE_TAG, ("since=%s scans=%d last=%s id=%s"):format(since, state.scans, last, profile.id))
  add(REASON_TAG, tag_value(reason))
  return tags[STATE_TAG] and tags or nil
end

local function is_in_quarantine(profile)
  return profile.tags[STATE_TAG] ~= nil or profile.tags[REASON_TAG] ~= nil
end

local function release(profile)
  iam.profiles.untag(profile.name, { STATE_TAG, REASON_TAG })
end

------------------------------------------------------------------------------------- Letting one go

local function report_released()
  local rows = bulk.stream(p.release, { label = "release" }, function(name)
    local profile = iam.profiles.get(name)
    if not is_in_quarantine(profile) then
      return { name = profile.name, path = profile.path, outcome = "was not in quarantine" }
    end
    release(profile)
    return { name = profile.name, path = profile.path, outcome = "released" }
  end)
  report(rows, { columns = { "name", "path", "outcome" } })
end

if #p.release > 0 then
  report_released()
  return
end

------------------------------------------------------------------------------------------- Deciding

-- Age from which on a scan is no basis for a deletion: instances may have started since.
local MAX_SCAN_AGE = time.seconds("1h")

local scan = usage.scan { role_unused_for = p.role_unused_for }
local scanned_at = time.parse(scan.started)
local oldest_kept = time.ago(p.days .. "d")
local was_too_old = false

local function is_protected(profile)
  for _, prefix in ipairs(p.protect_path) do
    if profile.path:sub(1, #prefix) == prefix then
      return true
    end
  end
  return profile.tags[p.protect_tag] ~= nil
end

-- Reason not to delete a profile that has been unused often enough; nil if there is none.
local function reason_to_wait(profile, state, before)
  if not before then
    return "not in quarantine before"
  elseif state.scans < p.scans then
    return ("unused in %d of %d scans"):format(state.scans, p.scans)
  elseif profile.create_date > oldest_kept then
    return ("younger than %d days"):format(p.days)
  elseif time.epoch() - scanned_at > MAX_SCAN_AGE then
    was_too_old = true
    return "the scan is too old by now"
  end
end

-- Handles an unused profile as the flags say. Returns the outcome, and the state afterwards.
local function handle_unused(profile, verdict)
  local before = state_of(profile)
  local state = counted(before, scanned_at)
  local wait = reason_to_wait(profile, state, before)
  if p.delete and not wait then
    iam.profiles.delete(profile.name, { detach = profile.role ~= nil })
    return "deleted", state
  elseif p.quarantine and state ~= before then
    local tags = quarantine_tags(profile, state, verdict.reason)
    if not tags then
      return "kept: it has 50 tags, no room for those of the quarantine", before
    end
    iam.profiles.tag(profile.name, tags)
    return before and "counted" or "quarantined", state
  elseif acts then
    return "kept: " .. (wait or "--delete was not given"), before
  end
  return "listed", before
end

-- Handles a profile in its current state.
local function handle(listed, profile, verdict)
  local in_quarantine = is_in_quarantine(profile)
  if profile.id ~= listed.id then
    return "kept: made anew since the scan"
  elseif profile.role ~= listed.role then
    return "kept: its role has changed since the scan", state_of(profile)
  elseif is_protected(profile) then
    if p.quarantine and in_quarantine then
      release(profile)
      return "released: protected"
    end
    return "kept: protected", state_of(profile)
  elseif verdict.verdict == "used" then
    if p.quarantine and in_quarantine then
      release(profile)
      return "released: used again"
    end
    return "kept: used", state_of(profile)
  elseif verdict.verdict ~= "unused" then
    -- An incomplete scan is evidence neither for nor against earlier counts.
    return "kept: unknown", state_of(profile)
  elseif p.only_empty and profile.role then
    return "kept: has a role", state_of(profile)
  end
  return handle_unused(profile, verdict)
end

-- Handles a profile, also where others change the account meanwhile or a call is denied.
local function try_to_handle(listed, profile, verdict)
  local outcome, state = nil, nil
  local _, err = try(function()
    outcome, state = handle(listed, profile, verdict)
  end)
  if not err then
    return outcome, state
  elseif err.kind == "protected" then
    -- The program refuses all changes to it, also to these tags.
    local kept = is_in_quarantine(profile) and "kept: protected, with its quarantine"
    return kept or "kept: protected", state_of(profile)
  elseif err.code == "NoSuchEntity" then
    return nil
  end
  error(err, 0)
end

local HIDDEN = {
  ["kept: used"] = "used",
  ["kept: protected"] = "protected",
  ["kept: has a role"] = "has a role",
}
local verdicts, outcomes = { used = 0, unused = 0, unknown = 0 }, {}

local unread, roles_unread = {}, 0

-- References to a profile: each one as it is for programs, one text for CSV.
local function evidence_of(verdict)
  if report.format ~= "csv" then
    return verdict.references
  end
  local texts = {}
  for i, reference in ipairs(verdict.references) do
    texts[i] = ("%s %s %s"):format(reference.source, reference.region or "-", reference.resource)
  end
  return table.concat(texts, "; ")
end

local function row_of(profile, verdict, outcome, state)
  return {
    id = profile.id,
    references = evidence_of(verdict),
    name = profile.name,
    path = profile.path,
    verdict = verdict.verdict,
    role = profile.role,
    age = time.age(profile.create_date),
    quarantine = state_text(state),
    outcome = outcome,
    reason = verdict.reason,
  }
end

local function clean_up(listed)
  local verdict = scan:verdict(listed)
  verdicts[verdict.verdict] = verdicts[verdict.verdict] + 1
  -- A gap that only this verdict has is an unread role.
  if verdict.verdict == "unknown" and #verdict.gaps > #scan:gaps() then
    roles_unread = roles_unread + 1
  end
  if verdict.verdict == "used" and not (p.all or p.quarantine) then
    return bulk.skip("used")
  end
  -- Listings have no tags, and are older than this read.
  local profile, err = try(iam.profiles.find, listed.name)
  if err and bulk.is_hopeless(err) then
    error(err, 0)
  elseif err then
    log.error("the tags cannot be read", { profile = listed.name, error = err.message })
    table.insert(unread, listed.name)
    return row_of(listed, verdict, "kept: its tags cannot be read")
  elseif not profile then
    return bulk.skip("gone already")
  end
  local outcome, state = try_to_handle(listed, profile, verdict)
  if not outcome then
    return bulk.skip("gone already")
  elseif HIDDEN[outcome] and not p.all then
    return bulk.skip(HIDDEN[outcome])
  end
  local short = outcome:match("^%a+")
  outcomes[short] = (outcomes[short] or 0) + 1
  return row_of(profile, verdict, outcome, state)
end

local profiles = iam.profiles.each { path_prefix = p.path }
local rows = bulk.stream(profiles, { label = acts and "clean up" or "look" }, clean_up)
local columns = { "name", "path", "verdict", "role", "age", "quarantine", "reason" }
if acts then
  table.insert(columns, 7, "outcome")
end
if report.format ~= "table" then
  table.insert(columns, 2, "id")
  table.insert(columns, "references")
end
report(rows, { columns = columns })

----------------------------------------------------------------------------------------- Summing up

local GAPS_SHOWN = 5

-- Remedies for gaps, by reason. Regions that were not asked for do not occur in this script.
local REMEDIES = {
  denied = "denied: `iamlua policy scripts/cleanup_orphans.lua` prints the permissions that are needed. Where a service control policy denies, "
    .. "use a role that it exempts",
  throttled = "throttled, failed, cut off: run it again",
}
REMEDIES.failed, REMEDIES["cut off"] = REMEDIES.throttled, REMEDIES.throttled

-- Gaps of the scan, and their remedies.
local function gaps_text()
  local lines, said = {}, {}
  local told = scan:gap_summary()
  for i = 1, math.min(#told, GAPS_SHOWN) do
    table.insert(lines, "  " .. told[i])
  end
  if #told > GAPS_SHOWN then
    table.insert(lines, ("  and %d more of the kind"):format(#told - GAPS_SHOWN))
  end
  for _, gap in ipairs(scan:gaps()) do
    local remedy = REMEDIES[gap.reason]
    if remedy and not said[remedy] then
      said[remedy] = true
      table.insert(lines, remedy)
    end
  end
  return table.concat(lines, "\n")
end

local found = ("%d used, %d unused, %d unknown"):format(
  verdicts.used,
  verdicts.unused,
  verdicts.unknown
)
if not acts then
  report.note(
    found
      .. "; nothing was changed.\n"
      .. "--quarantine marks the unused ones; --delete deletes them once "
      .. p.scans
      .. " scans have found them unused.\nThe tag "
      .. p.protect_tag
      .. " protects one."
  )
else
  local done = {}
  for _, outcome in ipairs { "deleted", "quarantined", "counted", "released" } do
    table.insert(done, outcomes[outcome] and ("%d %s"):format(outcomes[outcome], outcome) or nil)
  end
  report.note(found .. (#done > 0 and ": " .. table.concat(done, ", ") or "; nothing was changed"))
end
if p.interval < time.seconds("6h") and acts then
  report.note(
    "Scans less than 6 hours apart prove little: credentials that an instance has live so long."
  )
end

local problems = {}
if not scan.complete then
  table.insert(
    problems,
    "not everything could be checked, so that no profile can be called unused:\n" .. gaps_text()
  )
end
if roles_unread > 0 then
  local text =
    "the roles of %d profiles could not be asked when they were last used, so that these are not called unused"
  table.insert(problems, text:format(roles_unread))
end
if was_too_old then
  table.insert(
    problems,
    "the scan had become older than 1h before all could be deleted: run it again for the rest"
  )
end
if #unread > 0 then
  local names = table.concat(unread, ", ", 1, math.min(#unread, 10))
  table.insert(problems, ("the tags of %d profiles could not be read: %s"):format(#unread, names))
end
if #problems > 0 and (acts or #unread > 0) then
  error(table.concat(problems, "\n"), 0)
elseif #problems > 0 then
  report.note(table.concat(problems, "\n"))
end
