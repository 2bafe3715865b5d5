--- Sets tags on many instance profiles.
---
---   iamlua run scripts/bulk_tag.lua --owner ops --path /ec2/
---   iamlua run scripts/bulk_tag.lua --tag Owner=ops --tag CostCenter=4100 --only-missing
---   iamlua run scripts/bulk_tag.lua --owner ops --aws --apply
---
--- Other tags are not touched. A tag that a profile already has is not sent again, so a second run
--- changes nothing. With `--only-missing` an existing tag keeps its value. A profile that fails,
--- such as one with 50 tags, does not stop the others; the script then ends with exit code 1.

local p = runbook {
  description = "Sets tags on all instance profiles under a path.",
  params = {
    tag = { type = "map", max = 50, help = "a tag to set" },
    owner = { type = "string", help = "the value of the tag Owner: short for --tag Owner=…" },
    path = { default = "/", pattern = "/.*", help = "only profiles whose path begins with this" },
    only_missing = {
      default = false,
      help = "set only tags that a profile does not have, and replace no value",
    },
  },
  allow = { "profiles.each", "profiles.find", "profiles.tag" },
}

local wanted = p.tag
if p.owner then
  if wanted.Owner and wanted.Owner ~= p.owner then
    runbook.usage("--owner and --tag Owner=… give different values")
  end
  wanted.Owner = p.owner
end
if next(wanted) == nil then
  runbook.usage("there is nothing to set: give --tag KEY=VALUE or --owner TEXT")
end

-- Tags that a profile is to get; nil if it has them.
local function difference(profile)
  local set = {}
  for key, value in pairs(wanted) do
    local present = profile.tags[key]
    if present == nil or (present ~= value and not p.only_missing) then
      set[key] = value
    end
  end
  return next(set) and set
end

report(
  bulk.stream(iam.profiles.each { path_prefix = p.path }, { label = "tag" }, function(listed)
    -- Listings have no tags.
    local profile = iam.profiles.find(listed.name)
    if not profile then
      return bulk.skip("gone already")
    end
    local set = difference(profile)
    if not set then
      return bulk.skip("already right")
    end
    iam.profiles.tag(profile.name, set)
    return { name = profile.name, path = profile.path, set = set }
  end),
  { columns = { "name", "path", "set" } }
)
