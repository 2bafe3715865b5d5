--- Finds instance profiles without a role that are older than some days, and deletes them when told to.
---
---   iamlua run scripts/cleanup_orphans.lua
---   iamlua run scripts/cleanup_orphans.lua --days 180 --protect-path /ec2/ --output csv
---   iamlua run scripts/cleanup_orphans.lua --days 180 --delete
---
--- Having no role is no proof of having no use: a profile may be between two roles, or named by a launch template, an Auto Scaling launch
--- configuration or an instance, and AWS deletes it without asking any of them. Look at the list before you give `--delete`. A deleted
--- profile that is made again under its name has another id.
---
--- A profile with the tag `iamlua:protected` (another with `--protect-tag`), whatever its value, or under a `--protect-path`, is left alone.
--- Just before it is deleted each profile is read again, and left alone if it got a role, was made anew, or is protected by now. One that
--- fails does not stop the rest and is not in the list; the script ends with exit code 1 then.

local p = runbook {
  description = "Lists, or with --delete deletes, instance profiles that have no role and are older than some days.",
  params = {
    days = { default = 30, min = 0, max = 36500, help = "only profiles that were created so many days ago or earlier" },
    path = { default = "/", pattern = "/.*", help = "only profiles whose path begins with this" },
    protect_tag = { default = "iamlua:protected", pattern = ".+", help = "leave profiles with this tag alone" },
    protect_path = { type = "list", pattern = "/.*", help = "leave profiles alone whose path begins with this" },
    delete = { default = false, help = "delete what is found; without it, it is only listed" },
  },
  allow = { "profiles.each", "profiles.find", "profiles.delete" },
}

local oldest_kept = time.ago(p.days .. "d")

local function is_protected_path(path)
  for _, prefix in ipairs(p.protect_path) do
    if path:sub(1, #prefix) == prefix then
      return true
    end
  end
  return false
end

local function is_protected(profile)
  return profile.tags[p.protect_tag] ~= nil or is_protected_path(profile.path)
end

local function may_be_orphan(profile)
  return #profile.roles == 0 and profile.create_date <= oldest_kept and not is_protected_path(profile.path)
end

local listing = iam.profiles.each { path_prefix = p.path }

local function next_candidate()
  for profile in listing do
    if may_be_orphan(profile) then
      return profile
    end
  end
end

-- What keeps a profile, as it is now, from being deleted; nil if nothing does.
local function reason_to_keep(listed, now)
  if not now then
    return "gone already"
  elseif now.id ~= listed.id then
    return "made anew since it was listed"
  elseif now.role then
    return "has a role by now"
  elseif is_protected(now) then
    return "protected"
  end
end

local rows = bulk.stream(next_candidate, { label = p.delete and "delete" or "find" }, function(listed)
  -- A listing has no tags, and is older than this.
  local now = iam.profiles.find(listed.name)
  local reason = reason_to_keep(listed, now)
  if reason then
    return bulk.skip(reason)
  elseif p.delete then
    iam.profiles.delete(now.name)
  end
  return {
    name = now.name,
    path = now.path,
    created = now.create_date,
    age = time.age(now.create_date),
    outcome = p.delete and "deleted" or "would be deleted",
  }
end)

report(rows, { columns = { "name", "path", "created", "age", "outcome" } })
if rows.result.ok > 0 and not p.delete then
  report.note(
    ("%d profiles have no role and are %d days old or older; nothing was deleted.\n"):format(rows.result.ok, p.days)
      .. "Having no role is no proof of having no use: launch templates, launch configurations and instances may name\n"
      .. "them, and AWS does not ask. --delete deletes them; the tag "
      .. p.protect_tag
      .. " protects one."
  )
end
