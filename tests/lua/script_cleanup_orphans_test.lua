-- Tests of scripts/cleanup_orphans.lua: reports the use of each profile, and deletes only those
-- that several scans have found unused, step by step.

local run_script = require("script")
local SCRIPT = "scripts/cleanup_orphans.lua"
local STATE, REASON = "iamlua:quarantine", "iamlua:quarantine-reason"
local TRUST = {
  Version = "2012-10-17",
  Statement = {
    { Effect = "Allow", Principal = { Service = "ec2.amazonaws.com" }, Action = "sts:AssumeRole" },
  },
}

local function role(name, last_used)
  return {
    name = name,
    path = "/",
    create_date = "2024-01-01T00:00:00Z",
    assume_role_policy = TRUST,
    last_used = last_used,
  }
end

-- Account with one profile for each outcome. `idle` is the one that is deleted in the end.
local function contents(resources)
  local function profile(name, more)
    local made =
      { name = name, path = "/", create_date = "2024-06-01T00:00:00Z", tags = { Owner = "ops" } }
    for key, value in pairs(more or {}) do
      made[key] = value
    end
    return made
  end
  local regions = {}
  for _, region in ipairs { "eu-central-1", "eu-west-1" } do
    regions[region] = "opt-in-not-required"
  end
  return {
    regions = regions,
    roles = {
      role("old"),
      role("busy", { date = "2026-11-01T00:00:00Z", region = "eu-central-1" }),
    },
    profiles = {
      profile("idle", { path = "/ec2/" }),
      profile("idle-with-role", { role = "old" }),
      profile("busy", { role = "busy" }),
      profile("web"),
      profile("web-2"),
      profile("guarded", { tags = { ["iamlua:protected"] = "" } }),
      profile("kept", { path = "/keep/" }),
      profile("young", { create_date = "2026-11-20T00:00:00Z" }),
    },
    resources = resources or {
      {
        kind = "ec2.instance",
        region = "eu-central-1",
        id = "i-0123456789abcdef0",
        profile = "web",
      },
    },
  }
end

before_each(function()
  clock.set("2026-11-28T05:00:00Z")
  account.import(contents())
end)

-- Rows by name, the names in one sorted line, and the run.
local function run(args, before)
  args = { table.unpack(args) }
  table.insert(args, "--output=json")
  local ran = run_script(SCRIPT, args, {}, before)
  local rows, list = {}, {}
  for _, row in ipairs(json.decode(ran.stdout ~= "" and ran.stdout or "[]")) do
    rows[row.name] = row
    table.insert(list, row.name)
  end
  table.sort(list)
  return table.concat(list, " "), rows, ran
end

local function tags(name)
  return iam.profiles.tags(name)
end

local function is_there(name)
  return iam.profiles.find(name) ~= nil
end

-- Runs `count` scans that count, six hours apart, the first one now.
local function quarantine(count)
  for i = 1, count do
    local _, _, ran = run { "--quarantine" }
    expect(ran.code):to_equal(0)
    if i < count then
      clock.advance("6h")
    end
  end
end

describe("the report", function()
  it("has verdict and evidence, and changes nothing", function()
    local found, rows, ran = run {}
    expect(ran.code):to_equal(0)
    expect(found):to_equal("idle idle-with-role kept web-2 young")
    expect(rows.idle):to_have { path = "/ec2/", verdict = "unused", age = "910d" }
    expect(rows["idle-with-role"].role):to_equal("old")
    expect(#rows.idle.reason):to_be_greater_than(10)
    expect(#ran.changes):to_equal(0)
    -- One page for each region; for each profile only the role, if nothing refers to it, and the
    -- tags.
    expect(ran.calls["ec2:DescribeInstances"]):to_equal(2)
    expect(ran.calls.GetRole):to_equal(2)
    expect(ran.stderr):to_contain("2 used, 6 unused, 0 unknown; nothing was changed.")
  end)

  it("has the used and the protected ones with --all", function()
    local found, rows = run { "--all" }
    expect(found):to_equal("busy guarded idle idle-with-role kept web web-2 young")
    expect(rows.web.verdict):to_equal("used")
    expect(rows.web.reason):to_contain("i-0123456789abcdef0")
    expect(rows.web.references[1]):to_have {
      source = "ec2.instances",
      region = "eu-central-1",
      resource = "i-0123456789abcdef0",
    }
    expect(json.encode(rows["web-2"].references)):to_equal("[]")
    expect(rows.busy.verdict):to_equal("used")
  end)

  it("is narrowed by path, protection and --only-empty", function()
    expect((run { "--path=/ec2/" })):to_equal("idle")
    expect((run { "--protect-path=/keep/" })):to_equal("idle idle-with-role web-2 young")
    expect((run { "--only-empty" })):to_equal("idle kept web-2 young")
    expect((run { "--protect-tag=Owner" })):to_equal("guarded")
  end)

  it("says unknown where something could not be checked, and why", function()
    account.faults("deny=ec2:DescribeInstances@eu-west-1")
    local found, rows, ran = run {}
    expect(ran.code):to_equal(0)
    expect(found):to_equal("idle idle-with-role kept web-2 young")
    for _, row in pairs(rows) do
      expect(row.verdict):to_equal("unknown")
    end
    expect(ran.stderr):to_contain("not everything could be checked")
    expect(ran.stderr):to_contain("eu-west-1")
    -- A policy that denies a region is reported in one line, with a remedy.
    account.faults("deny=*:*@eu-west-1+batch")
    _, _, ran = run {}
    expect(ran.stderr):to_contain(
      "\n  nothing could be checked in eu-west-1: denied\n  batch.compute_environments could not be"
    )
    expect(ran.stderr):to_contain("iamlua policy scripts/cleanup_orphans.lua")
  end)
end)

describe("--quarantine", function()
  it("marks by tags what is unused, with date and reason", function()
    local found, rows, ran = run { "--quarantine" }
    expect(ran.code):to_equal(0)
    expect(found):to_equal("idle idle-with-role kept web-2 young")
    expect(rows.idle):to_have {
      outcome = "quarantined",
      quarantine = "1 of 3 scans since 2026-11-28T05:00:00Z",
    }
    local id = iam.profiles.get("idle").id
    expect(tags("idle")[STATE]):to_equal(
      ("since=2026-11-28T05:00:00Z scans=1 last=2026-11-28T05:00:00Z id=%s"):format(id)
    )
    -- Characters that AWS allows in the value of a tag.
    expect(tags("idle")[REASON]):to_match("^[%w _.:/=+@-]+$")
    expect(tags("idle").Owner):to_equal("ops")
    for _, name in ipairs { "web", "busy", "guarded" } do
      expect(tags(name)[STATE]):to_be_nil()
    end
  end)

  it("counts a scan only when six hours have passed", function()
    run { "--quarantine" }
    clock.advance("5h59m59s")
    local _, rows, ran = run { "--quarantine" }
    expect(rows.idle.outcome):to_equal("kept: unused in 1 of 3 scans")
    expect(#ran.changes):to_equal(0)
    clock.advance("1s")
    _, rows = run { "--quarantine" }
    expect(rows.idle):to_have {
      outcome = "counted",
      quarantine = "2 of 3 scans since 2026-11-28T05:00:00Z",
    }
    expect(tags("idle")[STATE]):to_contain("scans=2 last=2026-11-28T11:00:00Z")
    clock.advance("1h")
    _, rows = run { "--quarantine", "--interval=1h" }
    expect(rows.idle.quarantine):to_equal("3 of 3 scans since 2026-11-28T05:00:00Z")
  end)

  it("lets go what is used again or protected by now", function()
    run { "--quarantine" }
    account.import(contents()) -- ids are new
    run { "--quarantine" }
    local export = account.export()
    export.resources = {
      {
        kind = "ec2.launch_template",
        region = "eu-west-1",
        id = "lt-0a",
        name = "t",
        versions = { { profile = "idle" } },
      },
    }
    account.import(export)
    local _, rows, ran = run { "--quarantine", "--protect-path=/keep/", "--all" }
    expect(ran.code):to_equal(0)
    expect(rows.idle):to_have { verdict = "used", outcome = "released: used again" }
    expect(rows.kept.outcome):to_equal("released: protected")
    for _, name in ipairs { "idle", "kept" } do
      expect(tags(name)):to_equal { Owner = "ops" }
    end
    expect(tags("web-2")[STATE]):never():to_be_nil()
  end)

  it("changes nothing in what iamlua itself protects", function()
    run { "--quarantine" }
    iam.profiles.tag("idle", { ["iamlua:protected"] = "yes" })
    local _, rows, ran = run { "--quarantine" }
    expect(ran.code):to_equal(0)
    expect(rows.idle.outcome):to_equal("kept: protected, with its quarantine")
    expect(tags("idle")[STATE]):never():to_be_nil()
  end)

  it("keeps what was counted while nobody can say, and counts nothing", function()
    run { "--quarantine" }
    local before = tags("idle")[STATE]
    clock.advance("6h")
    account.faults("fail=rds@eu-west-1")
    local _, rows, ran = run { "--quarantine", "--delete" }
    expect(ran.code):to_equal(1)
    expect(rows.idle):to_have { verdict = "unknown", outcome = "kept: unknown" }
    expect(ran.stderr):to_contain("not everything could be checked")
    expect(#ran.changes):to_equal(0)
    expect(tags("idle")[STATE]):to_equal(before)
  end)

  it("begins anew for a profile that was made anew, and for a state that cannot be read", function()
    local state = "since=2026-11-01T00:00:00Z scans=9 last=2026-11-27T00:00:00Z id="
    iam.profiles.tag("idle", { [STATE] = state .. "AIPA2222222222222222Q" })
    iam.profiles.tag("web-2", { [STATE] = "nonsense" })
    iam.profiles.tag(
      "kept",
      { [STATE] = state:gsub("2026%-11", "2026-02") .. iam.profiles.get("kept").id }
    )
    local _, rows = run { "--quarantine", "--delete" }
    for _, name in ipairs { "idle", "web-2", "kept" } do
      expect(rows[name].outcome):to_equal("quarantined")
      expect(rows[name].quarantine):to_equal("1 of 3 scans since 2026-11-28T05:00:00Z")
    end
  end)

  it("says where there is no room for its tags", function()
    local many = {}
    for i = 1, 49 do
      many["t" .. i] = ""
    end
    iam.profiles.tag("idle", many) -- with Owner, 50
    iam.profiles.untag("web-2", { "Owner" })
    iam.profiles.tag("web-2", many)
    local _, rows, ran = run { "--quarantine" }
    expect(ran.code):to_equal(0)
    expect(rows.idle.outcome):to_equal("kept: it has 50 tags, no room for those of the quarantine")
    expect(rows["web-2"].outcome):to_equal("quarantined")
    expect(tags("web-2")[STATE]):never():to_be_nil()
    expect(tags("web-2")[REASON]):to_be_nil()
  end)
end)

describe("--delete", function()
  it("deletes nothing that was not in quarantine, however old and unused", function()
    local _, rows, ran = run { "--delete", "--days=0" }
    expect(ran.code):to_equal(0)
    expect(#ran.changes):to_equal(0)
    expect(rows.idle.outcome):to_equal("kept: not in quarantine before")
    run { "--quarantine", "--delete", "--days=0" }
    expect(is_there("idle")):to_be_true()
  end)

  it("deletes after three scans with this one, what is old enough", function()
    quarantine(2)
    clock.advance("5h")
    local _, rows = run { "--delete" }
    expect(rows.idle.outcome):to_equal("kept: unused in 2 of 3 scans")
    clock.advance("1h")
    local found, ran
    found, rows, ran = run { "--quarantine", "--delete" }
    expect(ran.code):to_equal(0)
    expect(found):to_equal("idle idle-with-role kept web-2 young")
    for _, name in ipairs { "idle", "idle-with-role", "kept", "web-2" } do
      expect(rows[name].outcome):to_equal("deleted")
      expect(is_there(name)):to_be_false()
    end
    -- Unused as often, but 8 days old.
    expect(rows.young.outcome):to_equal("counted")
    expect(is_there("young") and is_there("web") and is_there("busy") and is_there("guarded")):to_be_true()
    expect(iam.roles.find("old")):never():to_be_nil()
    _, rows = run { "--delete" }
    expect(rows.young.outcome):to_equal("kept: younger than 30 days")
    _, rows = run { "--delete", "--days=7" }
    expect(rows.young.outcome):to_equal("deleted")
  end)

  it("--scans asks for more of them", function()
    quarantine(3)
    local _, rows = run { "--delete", "--scans=4" }
    expect(rows.idle.outcome):to_equal("kept: unused in 3 of 4 scans")
    expect(run_script(SCRIPT, { "--delete", "--scans=1" }).code):to_equal(2)
  end)

  it("believes no number of scans for which there was no time", function()
    local id = iam.profiles.get("idle").id
    iam.profiles.tag(
      "idle",
      { [STATE] = "since=2026-11-28T00:00:00Z scans=99 last=2026-11-28T04:00:00Z id=" .. id }
    )
    local _, rows = run { "--delete" }
    expect(rows.idle.outcome):to_equal("kept: unused in 1 of 3 scans")
  end)

  it("believes no scan of a time that has not come", function()
    local id = iam.profiles.get("idle").id
    for _, since in ipairs { "2026-01-01T00:00:00Z", "2098-01-01T00:00:00Z" } do
      iam.profiles.tag(
        "idle",
        { [STATE] = ("since=%s scans=9 last=2099-01-01T00:00:00Z id=%s"):format(since, id) }
      )
      local _, rows = run { "--quarantine", "--delete" }
      expect(rows.idle.outcome):to_equal("quarantined")
      expect(tags("idle")[STATE]):to_contain("scans=1 last=2026-11-28T05:00:00Z")
    end
  end)

  it("is stopped by each single fault", function()
    quarantine(3)
    clock.advance("6h")
    local export = account.export()
    for _, fault in ipairs {
      "deny=ec2:DescribeInstances@eu-central-1",
      "deny=batch@eu-west-1",
      "fail=elasticbeanstalk@eu-west-1",
      "cut=ecs@eu-west-1",
      "deny=iam:GetInstanceProfile",
    } do
      account.import(export)
      account.faults(fault)
      local _, _, ran = run { "--quarantine", "--delete", "--days=0" }
      expect(ran.code):to_equal(1)
      account.faults("")
      for _, profile in ipairs(export.profiles) do
        expect(is_there(profile.name)):to_be_true()
      end
    end
    -- Only roles are denied: a profile without one is still known to be unused.
    account.import(export)
    account.faults("deny=iam:GetRole")
    local _, _, ran = run { "--delete" }
    expect(ran.code):to_equal(1)
    expect(ran.stderr):to_contain("the roles of 2 profiles could not be asked")
    account.faults("")
    expect(is_there("idle")):to_be_false()
    expect(is_there("idle-with-role")):to_be_true()
  end)

  it("leaves alone what changed since the scan", function()
    quarantine(3)
    local before = [[
      local find = iam.profiles.find
      function iam.profiles.find(name)
        local profile = find(name)
        if name == "idle" then profile.role = "busy"
        elseif name == "idle-with-role" then profile.role = nil
        elseif name == "web-2" then profile.id = "AIPAANOTHERONE"
        elseif name == "kept" then return nil end
        return profile
      end ]]
    local _, rows, ran = run({ "--delete", "--all" }, (before:gsub("\n", " ")))
    expect(ran.code):to_equal(0)
    expect(#ran.changes):to_equal(0)
    expect(rows.idle.outcome):to_equal("kept: its role has changed since the scan")
    expect(rows["idle-with-role"].outcome):to_equal("kept: its role has changed since the scan")
    expect(rows["web-2"].outcome):to_equal("kept: made anew since the scan")
    expect(ran.stderr):to_contain("gone already 1")
  end)

  it("ends when the scan has become old", function()
    quarantine(3)
    local before = "local epoch = time.epoch function time.epoch() return epoch() + 3601 end"
    local _, rows, ran = run({ "--delete" }, before)
    expect(ran.code):to_equal(1)
    expect(#ran.changes):to_equal(0)
    expect(rows.idle.outcome):to_equal("kept: the scan is too old by now")
    expect(ran.stderr):to_contain("run it again for the rest")
  end)

  it("goes on after one that cannot be deleted, and says so", function()
    quarantine(3)
    account.faults("deny=iam:RemoveRoleFromInstanceProfile")
    local _, rows, ran = run { "--delete" }
    expect(ran.code):to_equal(1)
    expect(rows["idle-with-role"]):to_be_nil()
    expect(rows.idle.outcome):to_equal("deleted")
    expect(ran.stderr):to_contain("idle-with-role")
  end)

  it("keeps to the limit of changes", function()
    quarantine(3)
    local ran = run_runbook(SCRIPT, nil, { args = { "--delete" }, max_changes = 2 })
    expect(ran.code):to_equal(4)
    expect(#ran.changes):to_equal(2)
  end)

  it("is only a plan in a plan", function()
    quarantine(3)
    local ran = run_runbook(SCRIPT, nil, { args = { "--delete" }, mode = "plan" })
    expect(ran.code):to_equal(0)
    expect(ran.changes[1].outcome):to_equal("planned")
    expect(is_there("idle")):to_be_true()
  end)
end)

describe("--release", function()
  it("takes the tags away, and needs no scan", function()
    run { "--quarantine" }
    local _, rows, ran = run { "--release", "idle", "--release=web" }
    expect(ran.code):to_equal(0)
    expect(rows.idle.outcome):to_equal("released")
    expect(rows.web.outcome):to_equal("was not in quarantine")
    expect(ran.calls["ec2:DescribeInstances"]):to_be_nil()
    expect(tags("idle")):to_equal { Owner = "ops" }
    expect(tags("web-2")[STATE]):never():to_be_nil()
  end)

  it("fails for one that there is not, and goes alone", function()
    local _, _, ran = run { "--release=none", "--release=idle" }
    expect(ran.code):to_equal(1)
    expect(ran.stderr):to_contain("none")
    expect(run_script(SCRIPT, { "--release=idle", "--delete" }).code):to_equal(2)
  end)
end)

it("a profile whose tags cannot be read is reported, and kept", function()
  quarantine(3)
  local before = "local find = iam.profiles.find function iam.profiles.find(name) "
    .. "if name == 'idle' then error('unreadable', 0) end return find(name) end"
  local _, rows, ran = run({ "--delete" }, before)
  expect(ran.code):to_equal(1)
  expect(rows.idle):to_have { verdict = "unused", outcome = "kept: its tags cannot be read" }
  expect(ran.stderr):to_contain("the tags of 1 profiles could not be read: idle")
  expect(is_there("idle") and not is_there("web-2")):to_be_true()
end)

it("a wrong command line changes nothing", function()
  for _, args in ipairs {
    { "--days=-1", "--delete" },
    { "--days=x", "--delete" },
    { "--delete", "--protect-path", "keep" },
    { "--quarantine", "--interval=soon" },
    { "--release=a b" },
  } do
    local ran = run_script(SCRIPT, args)
    expect(ran.code):to_equal(2)
    expect(ran.stdout):to_equal("")
  end
end)
