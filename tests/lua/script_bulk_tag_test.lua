-- Tests of scripts/bulk_tag.lua: sets tags on many profiles, and nothing else.

local run_script = require("script")
local SCRIPT = "scripts/bulk_tag.lua"

local function tags_of_all()
  local all = {}
  for _, profile in ipairs(account.export().profiles) do
    all[profile.name] = profile.tags
  end
  return all
end

local function same(a, b)
  return json.encode(a) == json.encode(b)
end

it("it sets the tags under a path and touches nothing else", function()
  local before = tags_of_all()
  local ran = run_script(
    SCRIPT,
    { "--owner", "ops", "--tag", "Stage=a=b", "--path", "/ec2/", "--output=json" }
  )
  assert(
    ran.code == 0 and ran.stderr:find("tag: 10 done, 1 skipped (protected 1) in ", 1, true),
    ran.stderr
  )
  assert(#json.decode(ran.stdout) == 10)
  for _, profile in ipairs(account.export().profiles) do
    local wanted = before[profile.name]
    if profile.path:sub(1, 5) == "/ec2/" and not wanted["iamlua:protected"] then
      wanted.Owner, wanted.Stage = "ops", "a=b"
    end
    assert(same(profile.tags, wanted), profile.name)
  end
end)

it("a second run changes nothing", function()
  run_script(SCRIPT, { "--owner=ops" })
  local ran = run_script(SCRIPT, { "--owner=ops", "--output=json" })
  assert(ran.code == 0 and ran.stdout == "[]\n", ran.stdout)
  assert(
    ran.stderr:find("tag: 0 done, 24 skipped (already right 23, protected 1) in ", 1, true),
    ran.stderr
  )
end)

it("only what differs is sent", function()
  iam.profiles.tag("bastion", { A = "1", B = "old" })
  local ran = run_script(SCRIPT, { "--tag=A=1", "--tag=B=2", "--path=/ec2/", "--output=json" })
  for _, row in ipairs(json.decode(ran.stdout)) do
    assert(same(row.set, row.name == "bastion" and { B = "2" } or { A = "1", B = "2" }), row.name)
  end
end)

it("--only-missing replaces no value", function()
  local before = tags_of_all()
  local ran = run_script(SCRIPT, { "--owner=ops", "--tag=Team=new", "--only-missing" })
  assert(ran.code == 0, ran.stderr)
  for name, tags in pairs(tags_of_all()) do
    -- Protected profiles are unchanged.
    local new = not before[name]["iamlua:protected"] and "new" or nil
    assert(
      tags.Owner == (before[name].Owner or "ops") and tags.Team == (before[name].Team or new),
      name
    )
  end
  assert(iam.profiles.tags("legacy-reports").Owner == "nobody@example.com")
end)

it("one profile that cannot take a tag does not stop the rest", function()
  local full = {}
  for i = 1, 50 do
    full["Key" .. i] = "x"
  end
  iam.profiles.tag("ci-sandbox", full)
  local ran = run_script(SCRIPT, { "--tag=Extra=1", "--path=/ci/", "--output=csv" })
  assert(ran.code == 1, ran.stderr)
  assert(
    ran.stdout == "name,path,set\nbuild-agent,/ci/,Extra=1\nbuild-agent-arm,/ci/,Extra=1\n",
    ran.stdout
  )
  assert(
    ran.stderr:find("LimitExceeded: The number of tags has reached the maximum limit", 1, true),
    ran.stderr
  )
  assert(ran.stderr:find("item=ci-sandbox", 1, true), ran.stderr)
  assert(ran.stderr:find("tag: 2 done, 1 failed in ", 1, true), ran.stderr)
  assert(ran.stderr:find("tag: 1 of 3 items failed: ci-sandbox", 1, true), ran.stderr)
  assert(
    iam.profiles.tags("build-agent-arm").Extra == "1"
      and iam.profiles.tags("ci-sandbox").Extra == nil
  )
end)

it("what AWS does not allow in a tag fails for each, and changes nothing", function()
  local before = tags_of_all()
  local ran = run_script(SCRIPT, { "--tag=Key=a*b" })
  assert(ran.code == 1 and ran.stderr:find("AWS allows letters, digits", 1, true), ran.stderr)
  assert(
    ran.stderr:find("tag: 24 of 24 items failed: ", 1, true)
      and ran.stderr:find(" and 14 more", 1, true),
    ran.stderr
  )
  assert(same(tags_of_all(), before))
end)

it("a wrong command line changes nothing", function()
  local before = tags_of_all()
  local function misused(problem, ...)
    local ran = run_script(SCRIPT, { ... })
    assert(ran.code == 2 and ran.stdout == "" and ran.stderr:find(problem, 1, true), ran.stderr)
  end
  misused("there is nothing to set")
  misused("different values", "--owner=a", "--tag=Owner=b")
  misused("must look like KEY=VALUE", "--tag", "Owner")
  misused("there is no option --tags", "--tags", "Owner=x")
  assert(same(tags_of_all(), before))
  local ran = run_script(SCRIPT, { "--owner=a", "--tag=Owner=a", "--path=/ci/" })
  assert(ran.code == 0, "the same value twice is no contradiction: " .. ran.stderr)
end)
