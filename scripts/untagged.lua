--- Lists the instance profiles that lack required tags.
---
---   iamlua run scripts/untagged.lua --require Owner
---   iamlua run scripts/untagged.lua --require Owner --require Team --path /ec2/ --output json
---
--- Tag keys of instance profiles are case-sensitive: `owner` is not `Owner`. A tag with an empty
--- value is not missing. The exit code is 0 with or without findings, and 1 if the tags of some
--- profile could not be read.

local p = runbook {
  description = "Lists the instance profiles that lack required tags.",
  params = {
    require = {
      type = "list",
      required = true,
      min = 1,
      pattern = ".+",
      help = "the key of a tag that must be there",
    },
    path = { default = "/", pattern = "/.*", help = "only profiles whose path begins with this" },
  },
  allow = { "profiles.each", "profiles.find" },
}

local rows = bulk.stream(
  iam.profiles.each { path_prefix = p.path },
  { label = "read tags" },
  function(listed)
    -- Listings have no tags.
    local profile = iam.profiles.find(listed.name)
    if not profile then
      return bulk.skip("gone already")
    end
    local tags, missing = profile.tags or {}, json.array()
    for _, key in ipairs(p.require) do
      if tags[key] == nil then
        table.insert(missing, key)
      end
    end
    return #missing > 0 and { name = profile.name, path = profile.path, missing = missing }
      or bulk.skip("has them")
  end
)

report(rows, { columns = { "name", "path", "missing" } })
local lacking, right = rows.result.ok, rows.result.skips["has them"] or 0
report.note(("%d of %d profiles lack a required tag"):format(lacking, lacking + right))
