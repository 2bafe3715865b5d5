-- Tests of scripts/swap_role.lua: replaces one role by another everywhere, and leaves no profile
-- half done.

local run_script = require("script")
local policy = require("policy")
local SCRIPT = "scripts/swap_role.lua"

local function roles()
  local all = {}
  for _, profile in ipairs(account.export().profiles) do
    all[profile.name] = profile.role or "none"
  end
  return all
end

local function same(a, b)
  return json.encode(a) == json.encode(b)
end

-- Makes the swap of one profile remove the old role and then fail.
local function half(name, more)
  return ("local ensure = iam.profiles.ensure function iam.profiles.ensure(want) if want.name == '%s' then "):format(
    name
  ) .. "iam.profiles.remove_role(want.name, iam.profiles.find(want.name).role) error('the wire broke', 0) end " .. "return ensure(want) end " .. (more or "")
end

it("every profile with the role gets the other, and no other profile does", function()
  local before = roles()
  local ran = run_script(SCRIPT, { "--from", "build-agent", "--to", "worker", "--output=json" })
  assert(
    ran.code == 0
      and ran.stderr:find("build-agent replaced by worker in 2 of 2 profiles\n", 1, true),
    ran.stderr
  )
  for name, role in pairs(roles()) do
    assert(
      role == (before[name] == "build-agent" and "worker" or before[name]),
      name .. ": " .. role
    )
  end
  local rows = json.decode(ran.stdout)
  assert(#rows == 2 and rows[1].outcome == "swapped", ran.stdout)
end)

it("only under a path", function()
  iam.profiles.ensure { name = "elsewhere", path = "/other/", role = "build-agent" }
  local ran = run_script(SCRIPT, { "--from=build-agent", "--to=worker", "--path=/other/" })
  assert(ran.code == 0, ran.stderr)
  assert(roles().elsewhere == "worker" and roles()["build-agent"] == "build-agent")
end)

it("a role that no profile has is nothing to do", function()
  local ran = run_script(SCRIPT, { "--from=reporting", "--to=worker", "--output=json" })
  assert(
    ran.code == 0 and ran.stdout == "[]\n" and ran.stderr:find("in 0 of 0 profiles", 1, true),
    ran.stderr
  )
end)

it("names are found whatever their case", function()
  local ran = run_script(SCRIPT, { "--from=Build-Agent", "--to=WORKER" })
  assert(ran.code == 0 and roles()["build-agent-arm"] == "worker", ran.stderr)
end)

it("a new role that would not work is refused before anything changes", function()
  local before = roles()
  iam.roles.create { name = "lambda-only", assume_role_policy = policy.trust("lambda.amazonaws.com") }
  local ran = run_script(SCRIPT, { "--from=build-agent", "--to=lambda-only" })
  assert(
    ran.code == 1 and ran.stderr:find("lambda-only does not trust ec2.amazonaws.com", 1, true),
    ran.stderr
  )
  ran = run_script(SCRIPT, { "--from=build-agent", "--to=no-such-role" })
  assert(
    ran.code == 1 and ran.stderr:find("The role with name no-such-role cannot be found", 1, true),
    ran.stderr
  )
  ran = run_script(SCRIPT, { "--from=no-such-role", "--to=worker" })
  assert(
    ran.code == 1 and ran.stderr:find("The role with name no-such-role cannot be found", 1, true),
    ran.stderr
  )
  assert(same(roles(), before))
end)

it("if the new role cannot be put in, the old one is put back, and the rest goes on", function()
  local before = roles()
  local ran = run_script(
    SCRIPT,
    { "--from=build-agent", "--to=worker", "--output=csv" },
    {},
    half("build-agent")
  )
  assert(ran.code == 1, ran.stderr)
  before["build-agent-arm"] = "worker"
  assert(same(roles(), before), json.encode(roles()))
  assert(ran.stdout == "name,path,outcome\nbuild-agent-arm,/ci/,swapped\n", ran.stdout)
  assert(
    ran.stderr:find("WARN  put the old role back profile=build-agent role=build-agent", 1, true),
    ran.stderr
  )
  assert(
    ran.stderr:find("the wire broke", 1, true) and ran.stderr:find("in 1 of 2 profiles", 1, true),
    ran.stderr
  )
  assert(ran.stderr:find("swap: 1 of 2 items failed: build-agent", 1, true), ran.stderr)
end)

it("if not even that works, it is said as plainly as can be", function()
  local more = "function iam.profiles.add_role() error('nor that', 0) end"
  local ran = run_script(
    SCRIPT,
    { "--from=build-agent", "--to=worker" },
    {},
    half("build-agent", more)
  )
  assert(ran.code == 1 and roles()["build-agent"] == "none")
  assert(
    ran.stderr:find("HAS NO ROLE NOW", 1, true) and ran.stderr:find('error="nor that"', 1, true),
    ran.stderr
  )
  assert(ran.stderr:find("the wire broke", 1, true), ran.stderr)
end)

it("a profile that changed since it was listed is kept", function()
  local before = "local find = iam.profiles.find function iam.profiles.find(name) local profile = find(name) "
    .. "if name == 'build-agent' then profile.role = 'eks-node' elseif name == 'build-agent-arm' then return nil end "
    .. "return profile end"
  local ran = run_script(
    SCRIPT,
    { "--from=build-agent", "--to=worker", "--output=csv" },
    {},
    before
  )
  assert(ran.code == 0, ran.stderr)
  assert(ran.stdout:find("build-agent,/ci/,kept: its role is eks-node by now", 1, true), ran.stdout)
  assert(ran.stdout:find("build-agent-arm,/ci/,gone already", 1, true), ran.stdout)
  assert(roles()["build-agent"] == "build-agent")
end)

it("a wrong command line", function()
  local function misused(problem, ...)
    local ran = run_script(SCRIPT, { ... })
    assert(ran.code == 2 and ran.stdout == "" and ran.stderr:find(problem, 1, true), ran.stderr)
  end
  misused("missing: --from TEXT, --to TEXT")
  misused("name the same role", "--from=worker", "--to=Worker")
  misused("--to must match", "--from=worker", "--to=a/b")
end)
