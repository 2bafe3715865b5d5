-- Tests of eventual consistency: a run knows its changes before AWS shows them.

local policy = require("policy")

local ROLE, OTHER = "worker", "bastion"
local ARN = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"

before_each(function()
  account.faults("lag=1h")
end)

local function names(iterator)
  local found = {}
  for one in iterator do
    found[#found + 1] = one.name
  end
  table.sort(found)
  return found
end

local function has(list, name)
  local count = 0
  for _, other in ipairs(list) do
    count = count + (other == name and 1 or 0)
  end
  return count
end

it("a profile is there as soon as it was made, in every read", function()
  local made = iam.profiles.create("new", { path = "/ec2/", tags = { Owner = "ops" } })
  local read = iam.profiles.get("new")
  expect(read):to_equal(made)
  iam.profiles.add_role("new", ROLE)
  read = iam.profiles.get("new")
  assert(
    read.role == ROLE and read.roles[1].arn == iam.roles.get(ROLE).arn and read.roles[1].tags == nil
  )
  expect(iam.profiles.tags("new")):to_equal { Owner = "ops" }
  assert(has(names(iam.profiles.each()), "new") == 1)
  assert(has(names(iam.profiles.each { page_size = 2 }), "new") == 1)
  assert(has(names(iam.profiles.each { path_prefix = "/ec2/" }), "new") == 1)
  assert(has(names(iam.profiles.each { path_prefix = "/batch/" }), "new") == 0)
  assert(has(names(iam.profiles.each_for_role(ROLE)), "new") == 1)
  for profile in iam.profiles.each { path_prefix = "/ec2/", with_tags = true } do
    assert(profile.name ~= "new" or profile.tags.Owner == "ops")
  end
  local page = iam.profiles.list { path_prefix = "/ec2/", max_items = 1 }
  local seen = { page[1].name }
  while page.is_truncated do
    page = iam.profiles.list { path_prefix = "/ec2/", max_items = 1, marker = page.marker }
    assert(#page <= 1)
    seen[#seen + 1] = page[1] and page[1].name
  end
  assert(has(seen, "new") == 1)
end)

it("a profile is gone as soon as it was deleted", function()
  local old = iam.profiles.get("worker")
  iam.profiles.delete("worker", { detach = true })
  assert(iam.profiles.find("worker") == nil)
  local _, err = try(iam.profiles.get, "worker")
  assert(
    err.code == "NoSuchEntity" and err.message == "Instance Profile worker cannot be found",
    err.message
  )
  _, err = try(iam.profiles.tags, "worker")
  assert(err.code == "NoSuchEntity")
  assert(has(names(iam.profiles.each()), "worker") == 0)
  assert(has(names(iam.profiles.each_for_role(old.role)), "worker") == 0)
  -- A profile that is created again is another one.
  local new = iam.profiles.create("worker")
  local read = iam.profiles.get("worker")
  assert(read.id == new.id and read.id ~= old.id and read.role == nil)
  expect(iam.profiles.tags("worker")):to_equal {}
  assert(has(names(iam.profiles.each()), "worker") == 1)
end)

it("ensure says what is so, and does what is left", function()
  local want = { name = "lag-min", role = ROLE, tags = { Owner = "ops" } }
  local profile, changes = iam.profiles.ensure(want)
  assert(profile.role == ROLE and profile.tags.Owner == "ops" and #changes == 2)
  profile, changes = iam.profiles.ensure(want)
  assert(profile.role == ROLE and #changes == 0)
  -- A second and a third swap within the lag.
  for _, role in ipairs { OTHER, ROLE, OTHER } do
    want.role = role
    profile, changes = iam.profiles.ensure(want)
    assert(profile.role == role and #changes == 2, json.encode(changes))
  end
  clock.advance("1h")
  assert(iam.profiles.wait("lag-min").role == OTHER)
end)

it("tags that were set and removed are so, others stay", function()
  iam.profiles.tag("bastion", { Owner = "a" })
  iam.profiles.tag("bastion", { Owner = "b", New = "1" })
  iam.profiles.untag("bastion", { "New", "Environment" })
  local tags = iam.profiles.get("bastion").tags
  assert(tags.Owner == "b" and tags.New == nil and tags.Environment == nil)
  expect(iam.profiles.tags("bastion")):to_equal(tags)
  clock.advance("1h")
  expect(iam.profiles.tags("bastion")):to_equal(tags)
end)

it("roles: made, changed, and deleted", function()
  iam.roles.create {
    name = "rr",
    path = "/app/",
    assume_role_policy = policy.trust("ec2.amazonaws.com"),
  }
  iam.roles.tag("rr", { A = "b" })
  iam.roles.set_assume_role_policy("rr", policy.trust("ssm.amazonaws.com"))
  iam.roles.update("rr", { description = "new", max_session_duration = 7200 })
  iam.roles.set_permissions_boundary("rr", ARN)
  local role = iam.roles.get("rr")
  assert(role.tags.A == "b" and role.description == "new" and role.max_session_duration == 7200)
  assert(role.permissions_boundary == ARN and policy.trusts(role, "ssm.amazonaws.com"))
  assert(role.arn:match(":role/app/rr$") and role.id:match("^AROA") and role.create_date)
  assert(has(names(iam.roles.each { path_prefix = "/app/" }), "rr") == 1)
  assert(iam.roles.list_tags("rr")[1].value == "b")
  iam.roles.attach_policy("rr", ARN)
  assert(iam.roles.attached_policies("rr")[1].arn == ARN)
  iam.roles.detach_policy("rr", ARN)
  assert(#iam.roles.attached_policies("rr") == 0)
  assert(#names(iam.profiles.each_for_role("rr")) == 0)
  iam.profiles.create("with-rr")
  iam.profiles.add_role("with-rr", "rr")
  assert(policy.trusts(iam.profiles.get("with-rr").roles[1], "ssm.amazonaws.com"))
  iam.profiles.delete("with-rr", { detach = true })
  iam.roles.delete("rr")
  assert(iam.roles.find("rr") == nil and has(names(iam.roles.each()), "rr") == 0)
end)

it("a trust policy shows in the profiles that have the role, too", function()
  iam.roles.set_assume_role_policy("worker", policy.trust("ssm.amazonaws.com"))
  assert(policy.trusts(iam.profiles.get("worker").roles[1], "ssm.amazonaws.com"))
  for profile in iam.profiles.each_for_role("worker") do
    assert(policy.trusts(profile.roles[1], "ssm.amazonaws.com"))
  end
end)

it("a script that makes one thing for each that it meets comes to an end", function()
  local made = 0
  for profile in iam.profiles.each { page_size = 5 } do
    made = made + 1
    iam.profiles.create("copy-of-" .. profile.name)
  end
  assert(made == 24, made)
end)

it("wait waits for AWS", function()
  iam.profiles.create("late")
  local _, err = try(iam.profiles.wait, "late", { timeout = "0s" })
  assert(err.code == "NoSuchEntity", err.message)
  clock.advance("1h")
  iam.profiles.wait("late", { timeout = "0s" })
  iam.profiles.tag("late", { A = "1" })
  _, err = try(iam.profiles.wait, "late", { timeout = "0s" })
  assert(err.kind == "timeout" and err.message:find("does not show yet", 1, true), err.message)
  clock.advance("1h")
  assert(iam.profiles.wait("late").tags.A == "1")
end)

it("what others have changed is not hidden by what the run has", function()
  iam.profiles.tag("bastion", { Owner = "ours" })
  account.faults("lag=0")
  -- Imported, so that this run does not know of the change.
  local other = account.export()
  for _, profile in ipairs(other.profiles) do
    if profile.name == "bastion" then
      profile.tags.Owner = "theirs"
    end
  end
  account.import(other)
  assert(iam.profiles.tags("bastion").Owner == "theirs")
end)

it("what is up to date costs no call", function()
  account.faults("lag=0")
  iam.profiles.create("new")
  iam.profiles.add_role("new", ROLE)
  local before = account.calls()
  iam.profiles.get("new")
  names(iam.profiles.each())
  iam.profiles.tags("new")
  local after = account.calls()
  assert(after.GetInstanceProfile == (before.GetInstanceProfile or 0) + 1)
  assert(after.GetRole == before.GetRole and after.GetCallerIdentity == before.GetCallerIdentity)
end)
