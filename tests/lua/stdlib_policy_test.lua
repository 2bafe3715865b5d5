-- Tests of policy: documents built, parsed, and checked for who may assume a role.

local policy = require("policy")
local EC2 = "ec2.amazonaws.com"

local function refuses(part, f, ...)
  local value, err = try(f, ...)
  assert(value == nil and err, "it was accepted")
  assert(err.kind == "argument" and err.message:find(part, 1, true), tostring(err))
  return err
end

local function trusts(statements, service)
  return policy.trusts(
    json.encode { Version = "2012-10-17", Statement = statements },
    service or EC2
  )
end

it("a trust policy is what AWS's guide has", function()
  local text = policy.encode(policy.trust(EC2))
  assert(
    text
      == '{"Statement":[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"}}],'
        .. '"Version":"2012-10-17"}',
    text
  )
  local two = policy.trust(EC2, "ssm.amazonaws.com")
  assert(two.Statement[1].Principal.Service[2] == "ssm.amazonaws.com")
  assert(policy.trusts(two, EC2) and policy.trusts(two, "ssm.amazonaws.com"))
end)

it("AWS takes it, and gives it back", function()
  local role =
    iam.roles.create { name = "made", assume_role_policy = policy.trust(EC2, "ssm.amazonaws.com") }
  assert(
    policy.encode(policy.decode(role.assume_role_policy))
      == policy.encode(policy.trust(EC2, "ssm.amazonaws.com"))
  )
  assert(policy.trusts(role, EC2) and policy.trusts(iam.roles.get("made"), "ssm.amazonaws.com"))
  assert(not policy.trusts(role, "lambda.amazonaws.com"))
end)

it("services that are none are refused", function()
  assert(
    refuses('"ec2" is no service principal', policy.trust, "ec2").hint
      == 'did you mean "ec2.amazonaws.com"?'
  )
  refuses("no service principal", policy.trust, EC2, "arn:aws:iam::123456789012:root")
  refuses("no service principal", policy.trust, "")
  refuses("no service is named", policy.trust)
  refuses("must be strings, got nil", policy.trust, EC2, nil)
  refuses("must be strings, got table", policy.trust, { EC2 })
end)

it("statements and documents", function()
  local allow = policy.allow({ "s3:GetObject", "s3:List*" }, "arn:aws:s3:::logs/*")
  local deny = policy.deny("*", { "*" })
  local text = policy.encode(policy.document { allow, deny })
  assert(
    text
      == '{"Statement":[{"Action":["s3:GetObject","s3:List*"],"Effect":"Allow","Resource":"arn:aws:s3:::logs/*"},'
        .. '{"Action":"*","Effect":"Deny","Resource":"*"}],"Version":"2012-10-17"}',
    text
  )
  assert(
    policy.encode(policy.document(deny)):find('"Statement":[{', 1, true),
    "one statement is in an array too"
  )
end)

it("statements that are none are refused", function()
  refuses('"GetObject" is not right for the actions', policy.allow, "GetObject", "*")
  refuses("is not right for the resources", policy.allow, "s3:*", "my-bucket")
  refuses("policy.deny: the resources must be a string or an array", policy.deny, "s3:*")
  refuses("the actions must be strings, got number", policy.allow, { 1 }, "*")
  refuses("policy.allow: the actions", policy.allow, {}, "*")
  refuses("there are no statements", policy.document, {})
  refuses("an array of statements", policy.document, "x")
  refuses(
    "statement 2 must be a table with Effect",
    policy.document,
    { policy.allow("*", "*"), { Action = "*" } }
  )
end)

it("documents are read", function()
  assert(policy.decode('{"Statement":[]}').Statement)
  refuses("policy.decode: the text is not JSON: ", policy.decode, "{")
  refuses("no Statement", policy.decode, "{}")
  refuses("must be a table or JSON text", policy.decode, "1")
  refuses("must be a string, got table", policy.decode, {})
  refuses("no Statement", policy.encode, {})
end)

it("one or many statements, services and actions", function()
  assert(trusts { Effect = "Allow", Principal = { Service = EC2 }, Action = "sts:AssumeRole" })
  assert(trusts {
    {
      Effect = "Allow",
      Principal = { Service = "lambda.amazonaws.com" },
      Action = "sts:AssumeRole",
    },
    {
      Effect = "Allow",
      Principal = { Service = { "ssm.amazonaws.com", EC2 } },
      Action = { "sts:TagSession", "sts:AssumeRole" },
    },
  })
  assert(not trusts { Effect = "Allow", Principal = { Service = EC2 }, Action = "sts:TagSession" })
  assert(not trusts {
    Effect = "Allow",
    Principal = { AWS = "arn:aws:iam::123456789012:root" },
    Action = "sts:AssumeRole",
  })
  assert(not trusts(json.array()))
end)

it("wildcards and case", function()
  for _, action in ipairs { "*", "sts:*", "sts:Assume*", "STS:assumerole", "sts:AssumeRol?" } do
    assert(trusts { Effect = "Allow", Principal = { Service = EC2 }, Action = action }, action)
  end
  for _, action in ipairs {
    "sts:AssumeRole?",
    "sts:AssumeRoleWithSAML",
    "iam:*",
    "",
    "sts.AssumeRole",
  } do
    assert(not trusts { Effect = "Allow", Principal = { Service = EC2 }, Action = action }, action)
  end
  assert(trusts { Effect = "Allow", Principal = "*", Action = "sts:AssumeRole" })
  assert(trusts { Effect = "Allow", Principal = { AWS = "*" }, Action = "sts:AssumeRole" })
end)

it("a denial wins wherever it stands, but not with a condition", function()
  local allow = { Effect = "Allow", Principal = { Service = EC2 }, Action = "sts:AssumeRole" }
  local deny = { Effect = "Deny", Principal = "*", Action = "sts:*" }
  assert(not trusts { allow, deny } and not trusts { deny, allow })
  assert(trusts {
    allow,
    { Effect = "Deny", Principal = { Service = "lambda.amazonaws.com" }, Action = "*" },
  })
  deny.Condition = { Bool = { ["aws:SecureTransport"] = "false" } }
  assert(trusts { allow, deny })
  allow.Condition = { StringEquals = { ["aws:SourceAccount"] = "123456789012" } }
  assert(trusts { allow })
end)

it("what is left out of a statement", function()
  local allow = { Effect = "Allow", Principal = { Service = EC2 }, Action = "sts:AssumeRole" }
  assert(not trusts {
    allow,
    { Effect = "Deny", NotPrincipal = { Service = "ssm.amazonaws.com" }, Action = "*" },
  })
  assert(trusts { allow, { Effect = "Deny", NotPrincipal = { Service = EC2 }, Action = "*" } })
  assert(trusts { Effect = "Allow", Principal = { Service = EC2 }, NotAction = "sts:TagSession" })
  assert(not trusts { Effect = "Allow", Principal = { Service = EC2 }, NotAction = "sts:Assume*" })
end)

it(
  "every role of the example account that is in a profile trusts EC2, from a listing too",
  function()
    local count = 0
    for profile in iam.profiles.each() do
      for _, role in ipairs(profile.roles) do
        assert(policy.trusts(role, EC2), role.name)
        count = count + 1
      end
    end
    assert(count > 5, count)
  end
)

it("what is neither role nor document is refused", function()
  refuses("neither a policy document nor a role", policy.trusts, {}, EC2)
  refuses("neither a policy document nor a role", policy.trusts, { name = "x" }, EC2)
  refuses("must be a table or JSON text, got nil", policy.trusts, nil, EC2)
  refuses("the text is not JSON", policy.trusts, "web-server", EC2)
  refuses("the service must be a string", policy.trusts, policy.trust(EC2))
end)
