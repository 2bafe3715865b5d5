-- Tests of scripts/inventory.lua: every profile, in every format, also if some tags cannot be read.

local run_script = require("script")
local SCRIPT = "scripts/inventory.lua"

local function rows(args, before)
  table.insert(args, "--output=json")
  local ran = run_script(SCRIPT, args, {}, before)
  return json.decode(ran.stdout), ran
end

-- Makes reading the tags of one profile fail with an error code.
local function tags_fail(name, code)
  return ([[
    local _, err = try(iam.profiles.get, "no-such-profile") err.code, err.message = "%s", "not today"
    local name, find = "%s", iam.profiles.find
    function iam.profiles.find(given)
      if given == name and err.code == "NoSuchEntity" then return nil elseif given == name then error(err) end
      return find(given)
    end
  ]]):format(code, name):gsub("\n", " ")
end

it("it lists what the account holds, in its order", function()
  local listed, ran = rows {}
  assert(ran.code == 0 and ran.stderr:find("^read tags: 24 done in "), ran.stderr)
  local held = account.export().profiles
  assert(#listed == 24 and #held == 24, #listed)
  for i, profile in ipairs(held) do
    local row = listed[i]
    assert(
      row.name == profile.name and row.path == profile.path and row.created == profile.create_date,
      row.name
    )
    assert(row.role == (profile.role or json.null), row.name)
    assert(json.encode(row.tags) == json.encode(profile.tags), row.name)
    assert(row.age == time.age(profile.create_date), row.age)
  end
end)

it("as a table and as CSV", function()
  local ran = run_script(SCRIPT)
  assert(ran.code == 0, ran.stderr)
  assert(ran.stdout:match("^NAME +PATH +ROLE +CREATED +AGE +TAGS\n"), ran.stdout)
  assert(ran.stdout:find("\nlegacy%-app%-old +/legacy/ +%- +2%S+Z +1824d +%-\n"), ran.stdout)
  assert(ran.stdout:find("\nbatch%-spot%-trial .* Team=data\n"), ran.stdout)
  ran = run_script(SCRIPT, { "--output=csv" })
  local _, lines = ran.stdout:gsub("\n", "\n")
  assert(ran.code == 0 and lines == 25, ran.stdout)
  assert(ran.stdout:match("^name,path,role,created,age,tags\n"), ran.stdout)
end)

it("only a path, and without tags", function()
  local listed = rows { "--path", "/ec2/web/", "--no-with-tags" }
  assert(#listed == 5, #listed)
  for _, row in ipairs(listed) do
    assert(row.path == "/ec2/web/" and row.tags == nil and row.created, json.encode(row))
  end
end)

it("an empty account is an empty list", function()
  account.reset("empty")
  local listed, ran = rows {}
  assert(#listed == 0 and ran.code == 0, ran.stderr)
  ran = run_script(SCRIPT)
  assert(
    ran.code == 0 and ran.stdout == "" and ran.stderr:find("nothing to report\n", 1, true),
    ran.stdout
  )
end)

it("hundreds are all there, in order, once each", function()
  local held = account.export()
  for i = 1, 400 do
    table.insert(
      held.profiles,
      { name = ("bulk-%04d"):format(i), path = "/bulk/", tags = { Number = tostring(i) } }
    )
  end
  account.import(held)
  local listed = rows { "--path", "/bulk/" }
  assert(#listed == 400, #listed)
  for i, row in ipairs(listed) do
    assert(row.name == ("bulk-%04d"):format(i) and row.tags.Number == tostring(i), row.name)
  end
end)

it(
  "a profile whose tags cannot be read is listed without them, and the script fails at the end",
  function()
    local listed, ran = rows({}, tags_fail("worker", "AccessDenied"))
    assert(ran.code == 1 and #listed == 24, #listed)
    for _, row in ipairs(listed) do
      assert((row.tags == json.null) == (row.name == "worker"), row.name)
    end
    assert(ran.stderr:find('ERROR the tags cannot be read error="not today"', 1, true), ran.stderr)
    assert(
      ran.stderr:find("the tags of 1 of 24 profiles could not be read: worker", 1, true),
      ran.stderr
    )
  end
)

it("a profile that is deleted meanwhile is no failure", function()
  local listed, ran = rows({}, tags_fail("worker", "NoSuchEntity"))
  assert(ran.code == 0 and #listed == 23, ran.stderr)
  for _, row in ipairs(listed) do
    assert(row.name ~= "worker")
  end
end)

it("what would fail for every profile ends it at once", function()
  local ran = run_script(SCRIPT, { "--output=jsonl" }, {}, tags_fail("bastion", "ExpiredToken"))
  assert(ran.code == 1 and ran.stderr:find("ExpiredToken: not today", 1, true), ran.stderr)
  local _, lines = ran.stdout:gsub("\n", "\n")
  assert(
    lines >= 11 and lines < 24,
    "the rows before it were written, and what was under way: " .. lines
  )
end)

it("a wrong command line", function()
  local ran = run_script(SCRIPT, { "--path", "ec2" })
  assert(
    ran.code == 2 and ran.stdout == "" and ran.stderr:find("--path must match /.*", 1, true),
    ran.stderr
  )
end)
