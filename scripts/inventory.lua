--- Lists all instance profiles: path, role, tags, date of creation and age.
---
---   iamlua run scripts/inventory.lua
---   iamlua run scripts/inventory.lua --path /ec2/ --output csv > profiles.csv
---   iamlua run scripts/inventory.lua --no-with-tags --aws
---
--- Listing costs one call for 1,000 profiles; tags cost one more for each profile. A profile whose
--- tags cannot be read is listed without them, and the script then ends with exit code 1.

local p = runbook {
  description = "Lists all instance profiles with role, tags and age.",
  params = {
    path = { default = "/", pattern = "/.*", help = "only profiles whose path begins with this" },
    with_tags = { default = true, help = "leave the tags out, which saves a call for each profile" },
  },
  allow = { "profiles.each", "profiles.find" },
}

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

local profiles = iam.profiles.each { path_prefix = p.path }
local unread = {}

-- Profile with its tags; without them if only these cannot be read.
local function read_with_tags(listed)
  local profile, err = try(iam.profiles.find, listed.name)
  if err and bulk.is_hopeless(err) then
    error(err, 0)
  elseif err then
    table.insert(unread, listed.name)
    log.error("the tags cannot be read", { profile = listed.name, error = err.message })
    return listed
  end
  return profile or bulk.skip("gone already")
end

if p.with_tags then
  profiles = bulk.stream(profiles, { label = "read tags" }, read_with_tags)
end
report(profiles, { columns = columns })

if #unread > 0 then
  ---@cast profiles bulk.Stream
  local names = table.concat(unread, ", ", 1, math.min(#unread, 10))
  error(
    ("the tags of %d of %d profiles could not be read: %s"):format(
      #unread,
      profiles.result.ok,
      names
    ),
    0
  )
end
