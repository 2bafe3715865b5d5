--- Tags every instance profile under a path with its owner.
---
---   iamlua plan runbooks/tag_owner.lua --owner ops --path /ec2/
---   iamlua run runbooks/tag_owner.lua --owner ops --path /ec2/
---
--- A profile that already has the tag is left alone, so a second run changes nothing.

local p = runbook {
  description = "Tags every instance profile under a path with its owner.",
  params = {
    owner = {
      type = "string",
      required = true,
      pattern = ".+",
      help = "the value of the tag Owner",
    },
    path = { default = "/", pattern = "/.*", help = "only profiles whose path begins with this" },
  },
  -- Every other function of iam is refused, and so is the 501st change.
  allow = { "profiles.each", "profiles.tags", "profiles.tag" },
  max_changes = 500,
  timeout = "30m",
}

bulk.each(iam.profiles.each { path_prefix = p.path }, { label = "tag" }, function(profile)
  -- A listing has no tags.
  if iam.profiles.tags(profile.name).Owner == p.owner then
    return bulk.skip("already right")
  end
  iam.profiles.tag(profile.name, { Owner = p.owner })
end)
