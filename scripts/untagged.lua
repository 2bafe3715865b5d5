--- Lists the instance profiles that lack tags which they should have.
---
---   iamlua run scripts/untagged.lua --require Owner
---   iamlua run scripts/untagged.lua --require Owner --require Team --path /ec2/ --output json
---
--- Tag keys of instance profiles are case-sensitive: `owner` is not `Owner`. A tag that is there with an empty value is not missing. The exit
--- code is 0 whether or not something is missing, and 1 if the tags of some profile could not be read.

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
  allow = { "profiles.each", "profiles.get" },
}

local sweep = require("lib.sweep")
local work = sweep.new()
local profiles = work:profiles { path = p.path, with_tags = true }
local found = 0

local function next_row()
  for profile in profiles do
    local missing = json.array()
    for _, key in ipairs(p.require) do
      if profile.tags[key] == nil then
        table.insert(missing, key)
      end
    end
    if #missing > 0 then
      found = found + 1
      return { name = profile.name, path = profile.path, missing = missing }
    end
  end
end

report(next_row, { columns = { "name", "path", "missing" } })
report.note(("%d of %d profiles lack a required tag"):format(found, work.total))

local problem = work:problem()
if problem then
  error(problem, 0)
end
