-- Tests of usage: every reference is found, nothing else is taken for one, and any failed check
-- makes a profile `unknown`, never `unused`.

local REGION = "eu-central-1"
local ACCOUNT = "123456789012"

local function arn_of(name, account)
  return ("arn:aws:iam::%s:instance-profile/%s"):format(account or ACCOUNT, name)
end

-- For each source the only resource in the account, which names the profile `web`, and the calls
-- that find it.
local REFERENCES = {
  ["ec2.instances"] = { kind = "ec2.instance", id = "i-0aaaaaaaaaaaaaaaa", profile = "web" },
  ["ec2.associations"] = {
    kind = "ec2.association",
    id = "iip-assoc-0aaaaaaaaaaaaaaaa",
    instance_id = "i-0bbbbbbbbbbbbbbbb",
    profile = "web",
  },
  ["ec2.launch_templates"] = {
    kind = "ec2.launch_template",
    id = "lt-0aaaaaaaaaaaaaaaa",
    name = "t",
    versions = { { profile = "web" }, { number = 2 } },
  },
  ["ec2.spot_fleets"] = {
    kind = "ec2.spot_fleet",
    id = "sfr-0aaaaaaaa",
    profiles = { "other", arn_of("web") },
  },
  ["ec2.spot_requests"] = { kind = "ec2.spot_request", id = "sir-0aaaaaaa", profile = "web" },
  ["autoscaling.launch_configurations"] = {
    kind = "autoscaling.launch_configuration",
    name = "lc",
    profile = "web",
  },
  ["batch.compute_environments"] = {
    kind = "batch.compute_environment",
    name = "ce",
    profile = arn_of("web"),
  },
  ["ecs.capacity_providers"] = {
    kind = "ecs.capacity_provider",
    name = "cp",
    cluster = "c",
    profile = "web",
  },
  ["imagebuilder.infrastructure_configurations"] = {
    kind = "imagebuilder.infrastructure_configuration",
    name = "ic",
    profile = "web",
  },
  ["emr.clusters"] = { kind = "emr.cluster", id = "j-AAAAAAAAAAAAA", name = "e", profile = "web" },
  ["elasticbeanstalk.environments"] = {
    kind = "elasticbeanstalk.environment",
    id = "e-aaaaaaaaaa",
    name = "env",
    application = "app",
    profile = "web",
  },
  ["eks.node_groups"] = { kind = "eks.node_group", name = "ng", cluster = "k", role = "web-role" },
  ["rds.custom_instances"] = { kind = "rds.instance", id = "db", profile = "web" },
}

-- Account with one region and the old profiles `web` (with a role that was never used) and `web-2`.
local function open(resources, more)
  local old = time.ago("700d")
  local trust = require("policy").trust("ec2.amazonaws.com")
  local what = {
    regions = { [REGION] = "opt-in-not-required" },
    roles = { { name = "web-role", create_date = old, assume_role_policy = trust } },
    profiles = {
      { name = "web", path = "/ec2/", create_date = old, role = "web-role" },
      { name = "web-2", create_date = old },
    },
    resources = resources,
  }
  for _, resource in ipairs(resources) do
    resource.region = resource.region or REGION
  end
  for key, value in pairs(more or {}) do
    what[key] = value
  end
  account.import(what)
end

local function verdict(name, options)
  return iam.usage.scan(options):verdict(name)
end

it("a profile that nothing names is unused", function()
  open {}
  local v = verdict("web")
  expect(v.verdict):to_equal("unused")
  expect(#v.references + #v.gaps + #v.doubts):to_equal(0)
  expect(#v.checked):to_equal(#usage.sources())
  expect(v.role.name):to_equal("web-role")
  expect(json.encode { v.references, v.gaps, v.doubts }):to_equal("[[],[],[]]")
end)

for _, source in ipairs(usage.sources()) do
  it("a profile that only " .. source.name .. " names is used", function()
    local resource =
      assert(REFERENCES[source.name], "the test knows no resource of " .. source.name)
    open { resource }
    local scan = iam.usage.scan()
    local v = scan:verdict("web")
    expect(v.verdict):to_equal("used")
    expect(#v.references):to_equal(1)
    local reference = v.references[1]
    expect(reference.source):to_equal(source.name)
    expect(reference.region):to_equal(REGION)
    expect(reference.kind):to_equal(source.kind)
    expect(scan:verdict("web-2").verdict):to_equal("unused")
    expect(scan.complete):to_be_true()
  end)
end

-- Calls of a source, as the faults name them.
local function calls_of(source)
  return table.concat(source.actions, "+")
end

-- Calls that `work` has made, by action.
local function calls_made(work)
  local before, made = account.calls(), {}
  work()
  for action, count in pairs(account.calls()) do
    made[action] = count - (before[action] or 0)
  end
  return made
end

-- Scan with a fault of one call of a source. The clock advances once the calls of all other
-- sources, as counted in `whole`, are made, and that call was repeated.
local function impatient_scan(source, action, whole)
  local own, before = {}, account.calls()
  for _, name in ipairs(source.actions) do
    own[name] = true
  end
  local function made(name)
    return (account.calls()[name] or 0) - (before[name] or 0)
  end
  local function is_stuck()
    for name, count in pairs(whole) do
      if not own[name] and made(name) < count then
        return false
      end
    end
    return made(action) > 1
  end
  local scanning = task.spawn(iam.usage.scan)
  while not scanning:done() do
    if is_stuck() then
      -- Calls sent before the last repeat were answered before it.
      clock.advance("1h")
    end
    time.sleep("2ms")
  end
  return scanning:wait()
end

for _, fault in ipairs { "deny", "fail", "choke", "cut" } do
  it("nothing is unused where a source answers with " .. fault, function()
    for _, source in ipairs(usage.sources()) do
      open { REFERENCES[source.name] }
      -- The first scan also identifies the caller.
      iam.usage.scan()
      local whole = calls_made(iam.usage.scan)
      for _, action in ipairs(source.actions) do
        -- The second call needs the results of the first.
        open { REFERENCES[source.name] }
        account.faults(fault .. "=" .. action)
        local scan = impatient_scan(source, action, whole)
        local v = scan:verdict("web-2")
        expect(v.verdict .. " " .. action):to_equal("unknown " .. action)
        expect(#v.gaps):to_equal(1)
        expect(v.gaps[1].source):to_equal(source.name)
        expect(v.gaps[1].region):to_equal(REGION)
        local reasons = { deny = "denied", fail = "failed", choke = "throttled", cut = "cut off" }
        expect(v.gaps[1].reason):to_equal(reasons[fault])
        account.faults()
      end
    end
  end)
end

it("nothing is unused where a source or an enabled region was not asked", function()
  open({}, {
    regions = {
      [REGION] = "opt-in-not-required",
      ["af-south-1"] = "opted-in",
      ["me-south-1"] = "not-opted-in",
    },
  })
  expect(verdict("web-2").verdict):to_equal("unused")
  for _, source in ipairs(usage.sources()) do
    local v = verdict("web-2", { sources = source.name })
    expect(v.verdict):to_equal("unknown")
    expect(#v.gaps):to_equal(#usage.sources() - 1)
  end
  local v = verdict("web-2", { regions = { REGION } })
  expect(v.verdict):to_equal("unknown")
  expect(v.gaps):to_equal { { region = "af-south-1", reason = "not asked", text = v.gaps[1].text } }
  -- A region that is named must be checked.
  v = verdict("web-2", { regions = { REGION, "af-south-1", "me-south-1" } })
  expect(v.verdict):to_equal("unknown")
  expect(v.gaps[1].reason):to_equal("not enabled")
end)

it("a scan says in a few sentences what was not checked", function()
  open(
    {},
    { regions = { [REGION] = "opt-in-not-required", ["eu-west-1"] = "opt-in-not-required" } }
  )
  local scan = usage.scan()
  expect(scan:gap_summary()):to_equal {}
  expect(tostring(scan)):to_match("2 regions, 0 resources, everything was checked$")
  account.faults("deny=*:*@eu-west-1+batch")
  scan = usage.scan()
  expect(#scan:gaps()):to_equal(#usage.sources() + 1)
  expect(scan:gap_summary()):to_equal {
    "nothing could be checked in eu-west-1: denied",
    "batch.compute_environments could not be checked in eu-central-1: denied",
  }
  expect(tostring(scan)):to_contain("nothing could be checked in eu-west-1: denied")
end)

it("the role decides where nothing names the profile", function()
  local trust = require("policy").trust("ec2.amazonaws.com")
  local function role(fields)
    local made = { name = "web-role", create_date = time.ago("700d"), assume_role_policy = trust }
    for key, value in pairs(fields) do
      made[key] = value
    end
    open({}, { roles = { made } })
    return verdict("web")
  end
  expect(role({ last_used = { date = time.ago("91d"), region = REGION } }).verdict):to_equal(
    "unused"
  )
  local used = role { last_used = { date = time.ago("89d"), region = REGION } }
  expect(used.verdict):to_equal("used")
  expect(used.references[1].by):to_equal("role")
  expect(role({ create_date = time.ago("10d") }).verdict):to_equal("unknown")
  role {}
  account.faults("deny=iam:GetRole")
  local v = verdict("web")
  expect(v.verdict):to_equal("unknown")
  expect(v.gaps[1].reason):to_equal("denied")
end)

it("only profiles that nothing names cost a call, and each role one", function()
  local profiles, resources = {}, {}
  for i = 1, 40 do
    profiles[i] =
      { name = "p" .. i, create_date = time.ago("100d"), role = i % 2 == 0 and "web-role" or nil }
    if i <= 20 then
      resources[i] = { kind = "ec2.instance", id = ("i-%017x"):format(i), profile = "p" .. i }
    end
  end
  open(resources, { profiles = profiles })
  local scan = iam.usage.scan()
  local before = account.calls()
  local counts = {}
  bulk.each(iam.profiles.each(), {}, function(profile)
    local v = scan:verdict(profile)
    counts[v.verdict] = (counts[v.verdict] or 0) + 1
  end)
  expect(counts):to_equal { used = 20, unused = 20 }
  local after = account.calls()
  expect(after.GetRole - (before.GetRole or 0)):to_equal(1)
  expect(after.ListInstanceProfiles):to_equal(1)
  expect(after["ec2:DescribeInstances"]):to_equal(before["ec2:DescribeInstances"])
end)

it("what is over, another account's or only alike is no reference", function()
  open {
    { kind = "ec2.instance", id = "i-0aaaaaaaaaaaaaaaa", state = "terminated", profile = "web" },
    {
      kind = "ec2.association",
      id = "iip-assoc-0a",
      instance_id = "i-0b",
      state = "disassociated",
      profile = "web",
    },
    { kind = "ec2.spot_request", id = "sir-0aaaaaaa", state = "closed", profile = "web" },
    { kind = "ec2.spot_fleet", id = "sfr-0aaaaaaaa", state = "cancelled", profiles = { "web" } },
    {
      kind = "emr.cluster",
      id = "j-AAAAAAAAAAAAA",
      name = "e",
      state = "TERMINATED",
      profile = "web",
    },
    { kind = "autoscaling.launch_configuration", name = "lc", profile = "web-2" },
    { kind = "batch.compute_environment", name = "ce", profile = arn_of("web", "210987654321") },
    {
      kind = "ec2.launch_template",
      id = "lt-0a",
      name = "t",
      versions = { { profile = "my-web" }, { profile = "web.old" } },
    },
  }
  local scan = iam.usage.scan()
  expect(scan:verdict("web").verdict):to_equal("unused")
  expect(scan:verdict("web-2").verdict):to_equal("used")
end)

it("all pages are read", function()
  local resources = {}
  for i = 1, 2500 do
    resources[i] = { kind = "ec2.instance", id = ("i-%017x"):format(i), profile = "web" }
  end
  for i = 1, 250 do
    resources[#resources + 1] =
      { kind = "autoscaling.launch_configuration", name = "lc" .. i, profile = "web-2" }
    resources[#resources + 1] =
      { kind = "emr.cluster", id = ("j-%013d"):format(i), name = "e" .. i, profile = "web-2" }
  end
  open(resources)
  local scan = iam.usage.scan()
  expect(#scan:verdict("web").references):to_equal(2500)
  expect(#scan:verdict("web-2").references):to_equal(500)
  local calls = account.calls()
  expect(calls["ec2:DescribeInstances"]):to_equal(3)
  expect(calls["autoscaling:DescribeLaunchConfigurations"]):to_equal(3)
  expect(calls["elasticmapreduce:ListClusters"]):to_equal(5)
end)

it("a profile of another account, and one that was made after the scan, get no verdict", function()
  open {}
  local scan = iam.usage.scan()
  local other = iam.profiles.get("web")
  other.arn = arn_of("web", "210987654321")
  expect(function()
    scan:verdict(other)
  end):to_raise { kind = "argument" }
  clock.advance("5m")
  iam.profiles.create("new")
  expect(scan:verdict("new").verdict):to_equal("unknown")
end)

it("a scan in a file says the same, until it is too old", function()
  open { REFERENCES["ec2.instances"] }
  local folder = temp_folder()
  local path = folder .. "/scan.json"
  local scan = usage.scan()
  scan:save(path)
  local loaded = usage.load(path)
  expect(loaded:verdict("web").references):to_equal(scan:verdict("web").references)
  expect(loaded:verdict("web-2").verdict):to_equal("unused")
  expect(loaded.resources):to_equal(scan.resources)
  clock.advance("5h")
  usage.load(path)
  expect(function()
    usage.load(path, { max_age = "4h" })
  end):to_raise()
  expect(function()
    usage.load(path, { max_age = "soon" })
  end):to_raise("usage.load: max_age")
  clock.advance("2h")
  expect(function()
    usage.load(path)
  end):to_raise()
  expect(usage.load(path, { max_age = "8h" }):verdict("web").verdict):to_equal("used")
end)

it("wrong arguments are refused before anything is asked", function()
  open {}
  for _, options in ipairs {
    { regions = { "eu-west-9" } },
    { regions = {} },
    { regions = { "" } },
    { regions = { 1 } },
    { sources = "ec2.instance" },
    { sources = { "nothing like it" } },
    { role_unused_for = "401d" },
    { role_unused_for = -1 },
    { role_unused_for = "1h" },
    { concurrency = 0 },
    { timeout = "x" },
    { region = REGION },
  } do
    expect(function()
      usage.scan(options)
    end):to_raise { kind = "argument" }
  end
  local scan = usage.scan()
  for _, profile in ipairs { {}, { name = "web" }, 1, true } do
    expect(function()
      scan:verdict(profile)
    end):to_raise { kind = "argument" }
  end
  expect(function()
    scan:verdict("nobody")
  end):to_raise { code = "NoSuchEntity" }
  expect(function()
    scan.verdict("web")
  end):to_raise { kind = "argument" }
end)

it("without the regions there is no scan", function()
  open {}
  account.faults("deny=ec2:DescribeRegions")
  expect(function()
    usage.scan()
  end):to_raise { code = "UnauthorizedOperation" }
end)

it("two scans of the same account read the same", function()
  local function told()
    local scan = usage.scan()
    local lines = {}
    for profile in iam.profiles.each() do
      lines[#lines + 1] = tostring(scan:verdict(profile))
    end
    for _, list in ipairs { scan:gaps(), scan:checked() } do
      for _, one in ipairs(list) do
        lines[#lines + 1] = ("%s %s %s"):format(one.source, one.region, one.reason)
      end
    end
    return lines
  end
  account.faults("deny=batch+ec2:DescribeLaunchTemplates@eu-*")
  local first = told()
  expect(told()):to_equal(first)
end)
