-- iam.roles and iam itself.

local policy = require("policy")

local function fails(code, f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok, "it succeeded")
  assert((err.code or err.kind) == code, "expected " .. code .. ", got " .. tostring(err))
  return err
end

it("a role is read as it was created", function()
  local made = iam.roles.create {
    name = "r",
    path = "/app/",
    assume_role_policy = policy.trust("ec2.amazonaws.com"),
    description = "what for",
    max_session_duration = 7200,
    tags = { Team = "web" },
  }
  assert(made.id:match("^AROA") and #made.id == 21)
  local read = iam.roles.get("r")
  assert(read.description == "what for" and read.max_session_duration == 7200 and read.tags.Team == "web")
  assert(read.path == "/app/" and read.arn == made.arn)
  assert(policy.trusts(read, "ec2.amazonaws.com") and not policy.trusts(read, "lambda.amazonaws.com"))
  local text =
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
  iam.roles.create { name = "s", assume_role_policy = text }
  assert(iam.roles.get("s").assume_role_policy == text, "the document comes back as it was sent")
  fails("MalformedPolicyDocument", iam.roles.create, { name = "bad", assume_role_policy = "{" })
end)

it("listing", function()
  local count = 0
  for role in iam.roles.each { page_size = 3 } do
    count = count + 1
    assert(role.tags == nil and role.assume_role_policy)
  end
  local page = iam.roles.list { max_items = 2 }
  assert(#page == 2 and page.marker and count > 5)
  assert(iam.roles.find("nope") == nil)
end)

it("keys of tags ignore case", function()
  iam.roles.tag("worker", { Dept = "a" })
  iam.roles.tag("worker", { dept = "b" })
  local tags = iam.roles.get("worker").tags
  assert(tags.Dept == nil and tags.dept == "b")
  assert(#iam.roles.list_tags("worker") >= 1)
  iam.roles.untag("worker", { "dept" })
  assert(iam.roles.get("worker").tags.dept == nil)
end)

it("policies", function()
  local arn = "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess"
  iam.roles.attach_policy("bastion", arn)
  iam.roles.attach_policy("bastion", arn)
  local found = false
  for _, attached in ipairs(iam.roles.attached_policies("bastion")) do
    found = found or (attached.arn == arn and attached.name == "AmazonEC2ReadOnlyAccess")
  end
  assert(found)
  assert(#iam.roles.list_attached_policies("bastion", { max_items = 1 }) == 1)
  iam.roles.detach_policy("bastion", arn)
  fails("NoSuchEntity", iam.roles.detach_policy, "bastion", arn)
  fails("NoSuchEntity", iam.roles.attach_policy, "bastion", "arn:aws:iam::aws:policy/NoSuchPolicyAtAll")
end)

it("the trust policy can be replaced", function()
  iam.roles.set_assume_role_policy("worker", policy.trust("ecs.amazonaws.com"))
  assert(policy.trusts(iam.roles.get("worker"), "ecs.amazonaws.com"))
end)

it("ensure", function()
  local want = {
    name = "er",
    assume_role_policy = policy.trust("ec2.amazonaws.com"),
    policy_arns = { "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess" },
    tags = { A = "1" },
  }
  local _, changes = iam.roles.ensure(want)
  assert(#changes == 2, table.concat(changes, "; "))
  _, changes = iam.roles.ensure(want)
  assert(#changes == 0, table.concat(changes, "; "))
  want.assume_role_policy = policy.trust("ec2.amazonaws.com", "ssm.amazonaws.com")
  want.tags = { A = "2" }
  _, changes = iam.roles.ensure(want)
  assert(#changes == 2, table.concat(changes, "; "))
  assert(iam.roles.get("er").tags.A == "2")
end)

it("deleting", function()
  iam.roles.create { name = "gone", assume_role_policy = policy.trust("ec2.amazonaws.com") }
  iam.roles.delete("gone")
  fails("NoSuchEntity", iam.roles.delete, "gone")
  fails("DeleteConflict", iam.roles.delete, "web-frontend")
end)

it("the account says who and how full", function()
  local account_now = iam.account()
  assert(account_now.id == "123456789012" and account_now.arn:find(":user/", 1, true))
  assert(account_now.profiles == 24 and account_now.profiles_quota == 1000)
  iam.profiles.create("one-more")
  assert(iam.account().profiles == 25)
end)

it("connect gives another caller", function()
  local other = iam.connect { role_arn = iam.roles.get("reporting").arn, session_name = "tests" }
  assert(other.account().arn == "arn:aws:sts::123456789012:assumed-role/reporting/tests", other.account().arn)
  assert(#other.profiles.list {} > 0)
  local err = fails("AccessDenied", iam.connect({ role_arn = "arn:aws:iam::999999999999:role/worker" }).account)
  assert(err.message:find("sts:AssumeRole", 1, true), err.message)
  -- A role for EC2 only lets nobody else in.
  fails("AccessDenied", iam.connect({ role_arn = iam.roles.get("worker").arn }).account)
  fails("refused", iam.connect, { endpoint_url = "http://127.0.0.1:1" })
  fails("argument", iam.connect, { session_name = "x1" })
end)
