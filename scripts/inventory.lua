--- Lists all instance profiles: path, role, tags, when each was created and how long ago.
---
---   iamlua run scripts/inventory.lua
---   iamlua run scripts/inventory.lua --path /ec2/ --output csv > profiles.csv
---   iamlua run scripts/inventory.lua --no-with-tags --aws
---
--- Listing costs one call for 1,000 profiles; tags cost one more for each profile, 16 at once. A profile whose tags cannot be read is
--- listed without them, and the script ends with exit code 1.

local p = runbook {
  description = "Lists all instance profiles with role, tags and age.",
  params = {
    path = { default = "/", pattern = "/.*", help = "only profiles whose path begins with this" },
    with_tags = { default = true, help = "leave the tags out, which saves a call for each profile" },
  },
  allow = { "profiles.each", "profiles.get" },
}

local sweep = require("lib.sweep")

local columns = {
  "name",
  "path",
  "role",
  {
    key = "created",
    title = "CREATED",
    value = function(profile)
      return profile.create_date
    end,
  },
  {
    key = "age",
    title = "AGE",
    value = function(profile)
      return time.age(profile.create_date)
    end,
  },
}
if p.with_tags then
  table.insert(columns, "tags")
end

local work = sweep.new()
report(work:profiles { path = p.path, with_tags = p.with_tags, keep_unread = true }, { columns = columns })

local problem = work:problem()
if problem then
  error(problem, 0)
end
