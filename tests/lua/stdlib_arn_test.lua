-- Tests of arn: parsing and building ARNs.

local arn = require("arn")

local function refuses(part, f, ...)
  local value, err = try(f, ...)
  assert(value == nil and err, "it was accepted")
  assert(err.kind == "argument" and err.message:find(part, 1, true), tostring(err))
  return err
end

local function parts(text, wanted)
  local got = arn.parse(text)
  assert(tostring(got) == text, tostring(got))
  for key, value in pairs(wanted) do
    assert(
      got[key] == (value or nil),
      ("%s: %s is %s, not %s"):format(text, key, tostring(got[key]), tostring(value))
    )
  end
end

it("resources of IAM have type, path and name", function()
  parts("arn:aws:iam::123456789012:instance-profile/ec2/web/web-frontend", {
    partition = "aws",
    service = "iam",
    region = "",
    account = "123456789012",
    resource = "instance-profile/ec2/web/web-frontend",
    type = "instance-profile",
    path = "/ec2/web/",
    name = "web-frontend",
  })
  parts(
    "arn:aws-us-gov:iam::123456789012:role/R",
    { partition = "aws-us-gov", type = "role", path = "/", name = "R" }
  )
  parts(
    "arn:aws:iam::aws:policy/service-role/X",
    { account = "aws", type = "policy", path = "/service-role/", name = "X" }
  )
  parts("arn:aws:iam::123456789012:role/a:b/c//d", { path = "/a:b/c//", name = "d" })
  parts("arn:aws:iam::123456789012:root", { type = false, path = false, name = "root" })
  parts("arn:aws:iam::*:role/*", { account = "*", type = "role", name = "*" })
end)

it("resources of other services", function()
  parts(
    "arn:aws:sts::123456789012:assumed-role/R/session",
    { type = "assumed-role", name = "R", session = "session" }
  )
  parts(
    "arn:aws:ec2:eu-central-1:123456789012:instance/i-0abc",
    { region = "eu-central-1", type = "instance", name = "i-0abc" }
  )
  parts(
    "arn:aws:lambda:us-east-1:123456789012:function:f:3",
    { type = "function", name = "f:3", path = false }
  )
  parts("arn:aws:s3:::bucket/some key", { account = "", type = false, name = "bucket/some key" })
  parts("arn:aws:sns:us-east-1:123456789012:topic", { type = false, name = "topic" })
end)

it("every profile and role of the account has an ARN that fits it", function()
  local count = 0
  for profile in iam.profiles.each() do
    parts(profile.arn, { type = "instance-profile", path = profile.path, name = profile.name })
    count = count + 1
  end
  for role in iam.roles.each() do
    parts(role.arn, { type = "role", path = role.path, name = role.name })
  end
  assert(count == 24, count)
end)

it("garbage is refused with the reason", function()
  refuses("must look like arn:partition", arn.parse, "")
  refuses("must look like arn:partition", arn.parse, "arn:aws:iam::123456789012")
  refuses("must look like arn:partition", arn.parse, "ARN:aws:iam::123456789012:role/x")
  refuses("partition", arn.parse, "arn::iam::123456789012:role/x")
  refuses("service", arn.parse, "arn:aws:::123456789012:role/x")
  refuses("service", arn.parse, "arn:aws:I AM::123456789012:role/x")
  refuses("region", arn.parse, "arn:aws:ec2:Europe!:123456789012:instance/i")
  refuses("12 digits", arn.parse, "arn:aws:iam::12345:role/x")
  refuses("12 digits", arn.parse, "arn:aws:iam::1234567890123:role/x")
  refuses("12 digits", arn.parse, "arn:aws:iam::12345678901x:role/x")
  refuses("no resource", arn.parse, "arn:aws:iam::123456789012:")
  refuses("control characters", arn.parse, "arn:aws:iam::123456789012:role/x\n")
  refuses("looks like instance-profile/path/name", arn.parse, "arn:aws:iam::123456789012:role")
  refuses("name of the resource is missing", arn.parse, "arn:aws:iam::123456789012:role/")
  refuses("name of the resource is missing", arn.parse, "arn:aws:iam::123456789012:role/ec2/")
  refuses("must be a string, got nil", arn.parse, nil)
  refuses("must be a string, got table", arn.parse, {})
  assert(arn.is("arn:aws:iam::123456789012:role/x"))
  assert(
    not arn.is("arn:aws:iam::1:role/x") and not arn.is(nil) and not arn.is(12) and not arn.is {}
  )
end)

it("parts make an ARN", function()
  local text = arn.build {
    service = "iam",
    account = "123456789012",
    type = "instance-profile",
    path = "/ec2/",
    name = "web",
  }
  assert(text == "arn:aws:iam::123456789012:instance-profile/ec2/web", text)
  assert(
    arn
      .build({ service = "iam", account = "123456789012", type = "role", name = "web" })
      :find(":role/web$")
  )
  assert(
    arn.build { partition = "aws-cn", service = "s3", resource = "logs/*" }
      == "arn:aws-cn:s3:::logs/*"
  )
  assert(iam.profiles.get("web-frontend").arn == arn.build {
    service = "iam",
    account = iam.account().id,
    type = "instance-profile",
    path = "/ec2/web/",
    name = "web-frontend",
  })
end)

it("parts that make none are refused", function()
  assert(refuses("no option", arn.build, { servise = "iam" }).hint == "did you mean 'service'?")
  refuses("the service is missing", arn.build, { resource = "x" })
  refuses("the resource is missing", arn.build, { service = "iam" })
  refuses("the resource is missing", arn.build, { service = "iam", type = "role" })
  refuses(
    "either the resource, or",
    arn.build,
    { service = "iam", resource = "role/x", name = "x" }
  )
  refuses(
    "the path must begin and end with /",
    arn.build,
    { service = "iam", type = "role", path = "ec2", name = "x" }
  )
  refuses(
    "account must be a string, got number",
    arn.build,
    { service = "iam", account = 123456789012, resource = "root" }
  )
  refuses("12 digits", arn.build, { service = "iam", account = "1", type = "role", name = "x" })
  refuses("a table of parts", arn.build, "arn")
end)

it("two that say the same are equal, and join with text", function()
  local a, b = arn.parse("arn:aws:s3:::logs"), arn.parse("arn:aws:s3:::logs")
  assert(a == b and a ~= arn.parse("arn:aws:s3:::other"))
  assert(a .. "/*" == "arn:aws:s3:::logs/*")
  a.account = "123456789012"
  assert(tostring(a) == "arn:aws:s3::123456789012:logs")
end)
