-- Tests of scripts/untagged.lua: profiles without required tags.

local run_script = require("script")
local SCRIPT = "scripts/untagged.lua"

local function missing(...)
  local args = { "--output=json", ... }
  local ran = run_script(SCRIPT, args)
  assert(ran.code == 0, ran.stderr)
  local found = {}
  for _, row in ipairs(json.decode(ran.stdout)) do
    found[row.name] = table.concat(row.missing, "+")
  end
  return found, ran
end

it("it finds exactly what lacks a tag", function()
  local found, ran = missing("--require", "Owner", "--require", "Team")
  local count = 0
  for _, profile in ipairs(account.export().profiles) do
    local lacks = {}
    for _, key in ipairs { "Owner", "Team" } do
      if not profile.tags[key] then
        table.insert(lacks, key)
      end
    end
    local wanted = #lacks > 0 and table.concat(lacks, "+") or nil
    assert(
      found[profile.name] == wanted,
      ("%s: %s"):format(profile.name, tostring(found[profile.name]))
    )
    count = count + (wanted and 1 or 0)
  end
  assert(
    count > 5 and found["api-backend-canary"] == "Owner" and found["legacy-app"] == "Owner+Team"
  )
  assert(ran.stderr:find(count .. " of 24 profiles lack a required tag\n", 1, true), ran.stderr)
end)

it("keys are case-sensitive, and an empty value is there", function()
  iam.profiles.tag("test", { owner = "x", Team = "" })
  local found = missing("--require", "Owner", "--require", "Team", "--path", "/")
  assert(found.test == "Owner", found.test)
end)

it("only a path, as a table", function()
  local ran = run_script(SCRIPT, { "--require=Owner", "--path=/ec2/web/" })
  assert(
    ran.code == 0
      and ran.stdout == "NAME          PATH       MISSING\nweb-loadtest  /ec2/web/  Owner\n",
    ran.stdout
  )
end)

it("nothing missing is nothing wrong", function()
  local found, ran = missing("--require=Owner", "--path=/ec2/web/web-f")
  assert(
    next(found) == nil and ran.stderr:find("0 of 0 profiles lack a required tag\n", 1, true),
    ran.stderr
  )
end)

it("a profile whose tags cannot be read is not said to lack any", function()
  local before = "local find = iam.profiles.find function iam.profiles.find(name) "
    .. "if name == 'legacy-app' then error('unreadable', 0) end return find(name) end"
  local ran = run_script(SCRIPT, { "--require=Owner", "--output=csv" }, {}, before)
  assert(ran.code == 1 and not ran.stdout:find("legacy-app,", 1, true), ran.stdout)
  assert(ran.stdout:find("legacy-app-old,", 1, true), ran.stdout)
  assert(ran.stderr:find("1 of 24 items failed: legacy-app", 1, true), ran.stderr)
end)

it("it needs to know what is required", function()
  local ran = run_script(SCRIPT)
  assert(ran.code == 2 and ran.stderr:find("missing: --require ITEM", 1, true), ran.stderr)
  ran = run_script(SCRIPT, { "--require=" })
  assert(ran.code == 2 and ran.stderr:find("--require must match", 1, true), ran.stderr)
end)
