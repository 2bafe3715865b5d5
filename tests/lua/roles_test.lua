-- Tests of iam.roles and of iam itself.

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
  assert(
    read.description == "what for" and read.max_session_duration == 7200 and read.tags.Team == "web"
  )
  assert(read.path == "/app/" and read.arn == made.arn)
  assert(
    policy.trusts(read, "ec2.amazonaws.com") and not policy.trusts(read, "lambda.amazonaws.com")
  )
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
  fails(
    "NoSuchEntity",
    iam.roles.attach_policy,
    "bastion",
    "arn:aws:iam::aws:policy/NoSuchPolicyAtAll"
  )
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

it("description, longest session and boundary can be changed and taken back", function()
  local arn = "arn:aws:iam::aws:policy/PowerUserAccess"
  iam.roles.create {
    name = "u",
    assume_role_policy = policy.trust("ec2.amazonaws.com"),
    description = "old",
    max_session_duration = 7200,
  }
  iam.roles.update("u", { description = "new" })
  local role = iam.roles.get("u")
  assert(
    role.description == "new" and role.max_session_duration == 7200,
    "AWS would set the session to an hour"
  )
  iam.roles.update("u", { max_session_duration = 3600 })
  assert(
    iam.roles.get("u").description == "new" and iam.roles.get("u").max_session_duration == 3600
  )
  iam.roles.update("u", { description = "" })
  assert((iam.roles.get("u").description or "") == "")
  fails("argument", iam.roles.update, "u")
  fails("argument", iam.roles.update, "u", { max_session_duration = 60 })
  fails("NoSuchEntity", iam.roles.update, "no-such-role", { description = "x" })
  iam.roles.set_permissions_boundary("u", arn)
  assert(iam.roles.get("u").permissions_boundary == arn)
  iam.roles.remove_permissions_boundary("u")
  assert(iam.roles.get("u").permissions_boundary == nil)
  fails("argument", iam.roles.set_permissions_boundary, "u", "PowerUserAccess")
end)

it("ensure brings every field of a role into its state, and only what differs", function()
  local arn = "arn:aws:iam::aws:policy/PowerUserAccess"
  local want = {
    name = "full",
    assume_role_policy = policy.trust("ec2.amazonaws.com"),
    permissions_boundary = arn,
  }
  local role, changes = iam.roles.ensure(want)
  assert(role.permissions_boundary == arn and #changes == 1)
  want.permissions_boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"
  want.description, want.max_session_duration = "new", 7200
  role, changes = iam.roles.ensure(want)
  expect(changes):to_equal {
    "permissions_boundary set: " .. arn .. " -> arn:aws:iam::aws:policy/ReadOnlyAccess",
    "description set: new",
    "max_session_duration set: 3600 -> 7200",
  }
  assert(role.description == "new" and role.max_session_duration == 7200)
  assert(role.permissions_boundary == "arn:aws:iam::aws:policy/ReadOnlyAccess")
  _, changes = iam.roles.ensure(want)
  assert(#changes == 0, table.concat(changes, "; "))
  -- Fields that are not named are unchanged.
  role, changes = iam.roles.ensure { name = "full", assume_role_policy = want.assume_role_policy }
  assert(#changes == 0 and role.description == "new" and role.permissions_boundary)
end)

it("a trust policy of which AWS makes the same is not sent again", function()
  local function trust(aws, action)
    return {
      Version = "2012-10-17",
      Statement = {
        { Effect = "Allow", Principal = { AWS = aws }, Action = action or "sts:AssumeRole" },
      },
    }
  end
  local function is_same(given)
    local _, changes = iam.roles.ensure { name = "cross", assume_role_policy = given }
    return #changes == 0
  end
  assert(not is_same(trust("210987654321")), "it is created")
  assert(is_same(trust("210987654321")))
  assert(is_same(trust("arn:aws:iam::210987654321:root")))
  assert(is_same(trust { "arn:aws:iam::210987654321:root" }))
  assert(is_same(trust("210987654321", { "STS:assumerole" })))
  assert(not is_same(trust { "210987654321", "333333333333" }))
  assert(is_same(trust { "333333333333", "arn:aws:iam::210987654321:root" }))
  local before = iam.roles.get("cross").assume_role_policy
  iam.roles.set_assume_role_policy("cross", trust { "333333333333", "210987654321" })
  assert(iam.roles.get("cross").assume_role_policy == before, "no call was made")
end)

it("ARNs of policies are held to the same rules everywhere", function()
  local trust = policy.trust("ec2.amazonaws.com")
  local id = iam.account().id
  local long = "arn:aws:iam::" .. id .. ":policy/" .. ("division/"):rep(12) .. "read-only"
  local comma = "arn:aws:iam::" .. id .. ":policy/read,write"
  assert(#long > 128)
  account.import {
    policies = { long, comma },
    roles = { { name = "arns", assume_role_policy = json.decode(policy.encode(trust)) } },
  }
  iam.roles.attach_policy("arns", long)
  local _, changes =
    iam.roles.ensure { name = "arns", assume_role_policy = trust, policy_arns = { long, comma } }
  expect(changes):to_equal { "policy " .. comma .. " attached" }
  local functions = {
    function(arn)
      iam.roles.attach_policy("arns", arn)
    end,
    function(arn)
      iam.roles.ensure { name = "arns", assume_role_policy = trust, policy_arns = { arn } }
    end,
    function(arn)
      iam.roles.set_permissions_boundary("arns", arn)
    end,
    function(arn)
      iam.roles.create { name = "other", assume_role_policy = trust, permissions_boundary = arn }
    end,
  }
  local wrong = {
    "AmazonSSMManagedInstanceCore",
    "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore ",
    "arn:aws:iam::aws:role/AmazonSSMManagedInstanceCore",
    "arn:gcp:iam::aws:policy/AmazonSSMManagedInstanceCore",
    "arn:aws:iam::12345:policy/AmazonSSMManagedInstanceCore",
    "arn:aws:iam::aws:policy//AmazonSSMManagedInstanceCore",
    "arn:aws:iam::aws:policy/" .. ("x"):rep(129),
  }
  -- An account has no policies of other partitions, but accepts their ARNs.
  local elsewhere = {
    "arn:aws-cn:iam::aws:policy/AmazonSSMManagedInstanceCore",
    "arn:aws-us-gov:iam::aws:policy/AmazonSSMManagedInstanceCore",
    "arn:aws-eusc:iam::aws:policy/AmazonSSMManagedInstanceCore",
  }
  for _, f in ipairs(functions) do
    for _, arn in ipairs(wrong) do
      fails("argument", f, arn)
    end
    for _, arn in ipairs(elsewhere) do
      local _, err = try(f, arn)
      assert(err.kind == "aws", arn .. ": " .. err.message)
    end
  end
end)

it("AWS's own tags are read, and neither set nor removed", function()
  account.import {
    profiles = {
      { name = "stacked", tags = { ["aws:cloudformation:stack-name"] = "web", Owner = "ops" } },
    },
    roles = {
      {
        name = "stacked",
        assume_role_policy = json.decode(policy.encode(policy.trust("ec2.amazonaws.com"))),
        tags = { ["aws:cloudformation:stack-name"] = "web", Dept = "a" },
      },
    },
  }
  assert(iam.profiles.get("stacked").tags["aws:cloudformation:stack-name"] == "web")
  local own = { ["aws:x"] = "y" }
  local trust = policy.trust("ec2.amazonaws.com")
  for _, f in ipairs {
    function()
      iam.profiles.tag("stacked", own)
    end,
    function()
      iam.profiles.create { name = "x", tags = own }
    end,
    function()
      iam.profiles.ensure { name = "stacked", tags = { ["AWS:x"] = "y" } }
    end,
    function()
      iam.profiles.untag("stacked", { "aws:cloudformation:stack-name" })
    end,
    function()
      iam.roles.tag("stacked", own)
    end,
    function()
      iam.roles.create { name = "x", assume_role_policy = trust, tags = own }
    end,
    function()
      iam.roles.ensure { name = "stacked", assume_role_policy = trust, tags = own }
    end,
    function()
      iam.roles.untag("stacked", { "Aws:cloudformation:stack-name" })
    end,
  } do
    assert(fails("argument", f).message:find("reserved", 1, true))
  end
  iam.profiles.ensure { name = "stacked", tags = { Team = "web" }, exact_tags = true }
  expect(iam.profiles.tags("stacked")):to_equal {
    ["aws:cloudformation:stack-name"] = "web",
    Team = "web",
  }
  -- Keys of the tags of a role ignore case: a key in another case replaces it.
  iam.roles.ensure {
    name = "stacked",
    assume_role_policy = trust,
    tags = { dept = "b" },
    exact_tags = true,
  }
  expect(iam.roles.get("stacked").tags):to_equal {
    ["aws:cloudformation:stack-name"] = "web",
    dept = "b",
  }
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
  -- The numbers of the summary come from AWS, and may or may not include recent changes.
  account.faults("lag=0")
  iam.profiles.create("one-more")
  assert(iam.account().profiles == 25)
end)

it("connect gives another caller", function()
  local other = iam.connect { role_arn = iam.roles.get("reporting").arn, session_name = "tests" }
  assert(
    other.account().arn == "arn:aws:sts::123456789012:assumed-role/reporting/tests",
    other.account().arn
  )
  assert(#other.profiles.list {} > 0)
  local err = fails(
    "AccessDenied",
    iam.connect({ role_arn = "arn:aws:iam::999999999999:role/worker" }).account
  )
  assert(err.message:find("sts:AssumeRole", 1, true), err.message)
  -- A role for EC2 trusts no other principal.
  fails("AccessDenied", iam.connect({ role_arn = iam.roles.get("worker").arn }).account)
  fails("refused", iam.connect, { endpoint_url = "http://127.0.0.1:1" })
  fails("refused", iam.connect, { profile = "ops" })
  fails("argument", iam.connect, { session_name = "x1" })
end)
