-- scripts/cleanup_orphans.lua: finds profiles without a role, and deletes them only when told to and when they still are what was listed.

local run_script = require("script")
local SCRIPT = "scripts/cleanup_orphans.lua"
local ORPHANS = "batch-spot-trial ci-sandbox legacy-app-old legacy-reports test tmp-migration-2023 web-loadtest"

local function names()
  local all = {}
  for _, profile in ipairs(account.export().profiles) do
    all[profile.name] = true
  end
  return all
end

-- The rows by name, and the names in one sorted line.
local function run(args, before)
  table.insert(args, "--output=json")
  local ran = run_script(SCRIPT, args, {}, before)
  local rows, list = {}, {}
  for _, row in ipairs(json.decode(ran.stdout)) do
    rows[row.name] = row
    table.insert(list, row.name)
  end
  table.sort(list)
  return table.concat(list, " "), rows, ran
end

it("it lists what is old and has no role, and deletes nothing", function()
  local found, rows, ran = run {}
  assert(ran.code == 0 and found == ORPHANS, found)
  assert(rows.test.outcome == "would be deleted" and rows.test.age == "745d" and rows.test.path == "/")
  assert(
    ran.stderr:find("7 profiles have no role and are 30 days old or older; nothing was deleted.", 1, true),
    ran.stderr
  )
  assert(ran.stderr:find("no proof of having no use", 1, true), ran.stderr)
  local left = names()
  for name in ORPHANS:gmatch("%S+") do
    assert(left[name], name)
  end
end)

it("--delete deletes these, and nothing else", function()
  local before = names()
  local found, rows, ran = run { "--delete" }
  assert(ran.code == 0 and found == ORPHANS, ran.stderr)
  assert(ran.stderr:find("delete: 7 done, 1 skipped (protected 1) in ", 1, true), ran.stderr)
  local left = names()
  for name in pairs(before) do
    assert(left[name] == (not rows[name] or nil), name)
  end
  assert(rows.test.outcome == "deleted")
  assert(run {} == "", "nothing is left to delete")
end)

it("age, path and protection choose", function()
  assert(run { "--days", "1000" } == "legacy-app-old legacy-reports tmp-migration-2023")
  assert(
    run { "--days=0" }
      == "batch-spot-trial ci-sandbox legacy-app-old legacy-reports test tmp-migration-2023 web-canary "
        .. "web-loadtest worker-v2"
  )
  assert(run { "--path=/legacy/" } == "legacy-app-old legacy-reports tmp-migration-2023")
  assert(run { "--protect-path=/legacy/", "--protect-path=/ec2/" } == "batch-spot-trial ci-sandbox test")
  iam.profiles.tag("test", { ["iamlua:protected"] = "" })
  local _, rows = run {}
  assert(not rows.test and rows["ci-sandbox"], "the value of the tag does not matter")
  local found = run { "--protect-tag", "Ticket" }
  assert(found:find("disaster-recovery", 1, true) and not found:find("tmp-migration", 1, true), found)
end)

it("what changed since it was listed is kept", function()
  local before = [[
    local find = iam.profiles.find
    function iam.profiles.find(name)
      local profile = find(name)
      if name == "test" then profile.role = "worker"
      elseif name == "ci-sandbox" then profile.id = "AIPAANOTHERONE"
      elseif name == "legacy-reports" then profile.tags["iamlua:protected"] = "yes"
      elseif name == "web-loadtest" then return nil end
      return profile
    end ]]
  local _, rows, ran = run({ "--delete" }, (before:gsub("\n", " ")))
  local kept = "gone already 1, has a role by now 1, made anew since it was listed 1, protected 2"
  assert(ran.code == 0 and ran.stderr:find("delete: 3 done, 5 skipped (" .. kept .. ") in ", 1, true), ran.stderr)
  assert(rows["legacy-app-old"].outcome == "deleted" and not rows.test)
  local left = names()
  assert(left.test and left["ci-sandbox"] and left["legacy-reports"] and left["web-loadtest"])
  assert(not left["legacy-app-old"])
end)

it("one that cannot be deleted does not stop the rest", function()
  local before = "local delete = iam.profiles.delete function iam.profiles.delete(name) "
    .. "if name == 'ci-sandbox' then error('not this one', 0) end return delete(name) end"
  local _, rows, ran = run({ "--delete" }, before)
  assert(ran.code == 1 and not rows["ci-sandbox"] and rows.test.outcome == "deleted")
  assert(ran.stderr:find("delete: 1 of 8 items failed: ci-sandbox", 1, true), ran.stderr)
  assert(names()["ci-sandbox"] and not names()["tmp-migration-2023"])
end)

it("a profile whose tags cannot be read could be protected, so it is kept", function()
  local before = "local find = iam.profiles.find function iam.profiles.find(name) "
    .. "if name == 'test' then error('unreadable', 0) end return find(name) end"
  local _, rows, ran = run({ "--delete" }, before)
  assert(ran.code == 1 and not rows.test, ran.stdout)
  assert(names().test and not names()["ci-sandbox"])
end)

it("a wrong command line deletes nothing", function()
  for _, args in ipairs {
    { "--days=-1", "--delete" },
    { "--days=x", "--delete" },
    { "--delete", "--protect-path", "legacy" },
  } do
    local ran = run_script(SCRIPT, args)
    assert(ran.code == 2 and ran.stdout == "", ran.stderr)
  end
  assert(names().test)
end)
