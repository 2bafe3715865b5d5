--- Replaces a role by another one in every instance profile that has it.
---
---   iamlua run scripts/swap_role.lua --from web-frontend --to web-frontend-staging
---   iamlua run scripts/swap_role.lua --from web-frontend --to web-frontend-v2 --aws --apply
---
--- The new role must exist and trust ec2.amazonaws.com; this is checked before any change. A
--- profile holds one role, so the old one is removed first; if the new one cannot be added, the old
--- one is restored. Running instances keep the old role's credentials until these expire, after up
--- to some hours. A profile that fails does not stop the others; the script then ends with exit
--- code 1.

local p = runbook {
  description = "Replaces one role by another in every instance profile that has it.",
  params = {
    from = {
      type = "string",
      required = true,
      pattern = "[A-Za-z0-9_+=,.@-]{1,64}",
      help = "the role to take out",
    },
    to = {
      type = "string",
      required = true,
      pattern = "[A-Za-z0-9_+=,.@-]{1,64}",
      help = "the role to put in",
    },
    path = { default = "/", pattern = "/.*", help = "only profiles whose path begins with this" },
  },
  allow = {
    "profiles.each_for_role",
    "profiles.find",
    "profiles.ensure",
    "profiles.add_role",
    "roles.get",
  },
}

-- Names of roles ignore case.
if p.from:lower() == p.to:lower() then
  runbook.usage("--from and --to name the same role")
end
local new_role = iam.roles.get(p.to)
if
  not (
    policy.trusts(new_role, "ec2.amazonaws.com") or policy.trusts(new_role, "ec2.amazonaws.com.cn")
  )
then
  error(
    ("the role %s does not trust ec2.amazonaws.com, so instances could not use it"):format(
      new_role.name
    ),
    0
  )
end
local old_role = iam.roles.get(p.from)

-- Lists all of them first, because the listing would change during the swaps.
local profiles = {}
for profile in iam.profiles.each_for_role(old_role.name) do
  if profile.path:sub(1, #p.path) == p.path then
    table.insert(profiles, profile)
  end
end

-- Restores the old role if there is none. Raises the reason why the new one could not be added, and
-- whether the profile is left without a role.
local function restore_role(name, err)
  local _, trouble = try(function()
    local now = iam.profiles.find(name)
    if now and not now.role then
      iam.profiles.add_role(name, old_role.name)
      log.warn("put the old role back", { profile = name, role = old_role.name })
    end
  end)
  if trouble then
    log.error("HAS NO ROLE NOW: the old one could not be put back", {
      profile = name,
      role = old_role.name,
      error = trouble.message,
    })
  end
  error(err, 0)
end

local function swap(name)
  local now = iam.profiles.find(name)
  if not now then
    return "gone already"
  elseif now.role ~= old_role.name then
    return "kept: its role is " .. (now.role or "none") .. " by now"
  end
  -- One call of the program, which finishes both parts even if the script is stopped between them.
  local profile, err = try(iam.profiles.ensure, { name = name, role = new_role.name })
  if not profile then
    restore_role(name, err)
  end
  return "swapped"
end

local swapped = 0

local rows = bulk.stream(profiles, { label = "swap" }, function(profile)
  local outcome = swap(profile.name)
  if outcome == "swapped" then
    swapped = swapped + 1
  end
  return { name = profile.name, path = profile.path, outcome = outcome }
end)

report(rows, { columns = { "name", "path", "outcome" } })
report.note(
  ("%s replaced by %s in %d of %d profiles"):format(
    old_role.name,
    new_role.name,
    swapped,
    #profiles
  )
)
