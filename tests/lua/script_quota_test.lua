-- Tests of scripts/quota.lua: use of the quota by path, creator and month, and its growth; as a
-- table with bars, as data, as a page.

local run_script = require("script")
local SCRIPT = "scripts/quota.lua"

-- Rows of a run by count and name, and the run.
local function run(args)
  table.insert(args, "--output=json")
  local ran = run_script(SCRIPT, args)
  expect(ran.code):to_equal(0)
  local rows = {}
  for _, row in ipairs(json.decode(ran.stdout)) do
    rows[row.by] = rows[row.by] or {}
    rows[row.by][row.name] = row.profiles
  end
  return rows, ran
end

local function import(names, more)
  local profiles = {}
  for i, name in ipairs(names) do
    profiles[i] = { name = name, path = "/", create_date = "2026-01-15T00:00:00Z" }
    for key, value in pairs(more or {}) do
      profiles[i][key] = value
    end
  end
  account.import { profiles = profiles }
end

it("the quota, paths and months of the example account", function()
  clock.set("2026-11-28T05:00:00Z")
  account.import {
    profiles = {
      { name = "a", path = "/", create_date = "2026-11-01T00:00:00Z" },
      { name = "b", path = "/ec2/", create_date = "2026-11-27T00:00:00Z" },
      { name = "c", path = "/ec2/web/", create_date = "2026-09-30T23:59:59Z" },
      { name = "d", path = "/ec2/web/blue/", create_date = "2025-12-01T00:00:00Z" },
      { name = "e", path = "/ec2/", create_date = "2025-11-30T23:59:59Z" },
    },
  }
  local rows, ran = run {}
  expect(rows.quota):to_equal { used = 5, free = 995 }
  expect(rows.path):to_equal { ["/"] = 1, ["/ec2/"] = 4 }
  expect(rows.month["2026-11"]):to_equal(2)
  expect(rows.month["2026-10"]):to_equal(0)
  expect(rows.month["2026-09"]):to_equal(1)
  expect(rows.month["2025-12"]):to_equal(1)
  expect(rows.month.earlier):to_equal(1)
  expect(rows.cleanup):to_be_nil()
  expect(ran.stderr):to_contain(
    "5 of 1,000 instance profiles in account 123456789012: 0.5 % of the quota, 995 are free."
  )
  expect(run({ "--depth=2" }).path):to_equal { ["/"] = 1, ["/ec2/"] = 2, ["/ec2/web/"] = 2 }
  expect(run({ "--depth=0" }).path):to_equal { ["/"] = 5 }
  local short = run({ "--months=1" }).month
  expect(short):to_equal { earlier = 3, ["2026-11"] = 2 }
  -- One call for the quota, one for the listing.
  expect(ran.calls.ListInstanceProfiles):to_equal(1)
  expect(ran.calls.GetInstanceProfile):to_be_nil()
end)

it("tells by the name what has made a profile", function()
  -- Names as the tools create them. Each pattern is documented, or in the source of the tool.
  local cases = {
    ["AWS CloudFormation"] = {
      "acme-network-InstanceProfile-8R2MZ0T5LQWE",
      "shop-WebProfile1A2B3C4D-1HK7QJ2C9VXAB",
      "shop-Profile-aB3dE5fG7hJ9",
    },
    ["Amazon EKS"] = { "eks-8cb91a2f-1234-4e21-9a11-0123456789ab" },
    Karpenter = { "main_4067990795380418201", "KarpenterNodeInstanceProfile-main" },
    Terraform = { "terraform-20230517123456789000000001", "web-2026010112345678900000000a" },
    kOps = { "nodes.k8s.example.com", "masters.k8s.example.com", "control-plane.k8s.example.com" },
    Packer = { "packer-6530d8e5-9c2a-7b1d-8e4f-0123456789ab" },
    ["AWS Elastic Beanstalk"] = { "aws-elasticbeanstalk-ec2-role" },
    ["Amazon EMR"] = { "EMR_EC2_DefaultRole", "AmazonEMR-InstanceProfile-20230712T093052" },
    ["Amazon ECS, AWS Batch"] = { "ecsInstanceRole" },
    ["EC2 Image Builder"] = { "EC2InstanceProfileForImageBuilder" },
    Pulumi = { "web-2e3f4a1" },
    ["not recognised"] = {
      "web",
      "web-2",
      "tmp-migration-2023",
      "build_12345",
      "eks-nodes",
      "node-20230517",
      "a-b-lowercase1234",
      "web-frontend",
      "my-deadbee",
      "x-1234567",
    },
  }
  for creator, names in pairs(cases) do
    import(names)
    expect(run({}).creator):to_equal { [creator] = #names }
  end
  account.import {
    roles = {
      {
        name = "web",
        path = "/",
        assume_role_policy = {
          Version = "2012-10-17",
          Statement = {
            {
              Effect = "Allow",
              Principal = { Service = "ec2.amazonaws.com" },
              Action = "sts:AssumeRole",
            },
          },
        },
      },
    },
    profiles = {
      { name = "web", path = "/", role = "web" },
      { name = "web-2", path = "/", role = "web" },
    },
  }
  expect(run({}).creator):to_equal { ["the EC2 console, or by hand"] = 1, ["not recognised"] = 1 }
end)

it("patterns of one's own go first", function()
  import { "acme-ci-1", "acme-ci-2", "nodes.k8s.example.com" }
  expect(run({ "--creator", "Acme CI=^acme%-ci%-", "--creator", "Ours=^nodes%." }).creator):to_equal {
    ["Acme CI"] = 2,
    Ours = 1,
  }
  local ran = run_script(SCRIPT, { "--creator", "x=[" })
  expect(ran.code):to_equal(2)
  expect(ran.stderr):to_contain('"[" is no Lua pattern')
end)

it("says when the quota would be full, and what that rests on", function()
  clock.set("2026-11-28T05:00:00Z")
  local names = {}
  for i = 1, 120 do
    names[i] = "p" .. i
  end
  -- Account younger than the window: 120 in 272 days are 13.4 a month, and 880 are free.
  import(names, { create_date = "2026-03-01T00:00:00Z" })
  local _, ran = run {}
  expect(ran.stderr):to_contain("120 of them were made in the last 9 months, 13.4 a month.")
  expect(ran.stderr):to_contain(
    "If that goes on and nothing is deleted, the quota will be full in about 66 months."
  )
  expect(ran.stderr):to_contain("who makes and deletes many needs more room than it shows")
  -- An older one: 120 in 12 months are 10 a month, and 879 are free.
  table.insert(names, "old")
  local profiles = {}
  for i, name in ipairs(names) do
    local date = name == "old" and "2020-01-01T00:00:00Z" or "2026-03-01T00:00:00Z"
    profiles[i] = { name = name, path = "/", create_date = date }
  end
  account.import { profiles = profiles }
  _, ran = run {}
  expect(ran.stderr):to_contain("120 of them were made in the last 12 months, 10.0 a month.")
  expect(ran.stderr):to_contain("full in about 88 months.")
  import(names, { create_date = "2020-03-01T00:00:00Z" })
  _, ran = run {}
  expect(ran.stderr):to_contain("None of them was made in the last 12 months")
  account.import { profiles = {} }
  _, ran = run {}
  expect(ran.stderr):to_contain("0 of 1,000 instance profiles")
end)

it("draws bars that fit", function()
  import({ "a", "b", "c", "d" }, { create_date = time.now() })
  local ran = run_script(SCRIPT, { "--months=1" })
  expect(ran.code):to_equal(0)
  expect(ran.stdout):to_contain(
    "PATH      %  PROFILES\n/     100.0  4  " .. ("█"):rep(40) .. "\n"
  )
  for line in ran.stdout:gmatch("[^\n]+") do
    assert(utf8.len(line) <= 80, line)
  end
end)

it("writes a page that loads nothing, and escapes what it shows", function()
  import({ "evil" }, { path = "/<script>alert('1')&\"/" })
  local folder = temp_folder {}
  local ran = run_script(SCRIPT, { "--html", folder .. "/quota.html", "--creator", "<b>=^evil" })
  expect(ran.code):to_equal(0)
  local page = require("fs").read(folder .. "/quota.html")
  expect(page):to_contain("<!DOCTYPE html>")
  expect(page):to_contain("<title>Instance profiles of 123456789012 · iamlua</title>")
  expect(page):to_contain("default-src &#39;none&#39;; style-src &#39;sha256-")
  expect(page):to_contain("1 used (0.1 %)")
  expect(page):to_contain("999 free (99.9 %)")
  expect(page):to_contain("/&lt;script&gt;alert(&#39;1&#39;)&amp;&quot;/")
  expect(page):to_contain("&lt;b&gt;")
  expect(page):to_contain("prefers-color-scheme: dark")
  local outside = { "<script", "<b>", "http:", "https:", "src=", "url(", "@import", " style=" }
  for _, word in ipairs(outside) do
    expect(page):never():to_contain(word)
  end
end)

it("says with --scan what a cleanup would free, and scans only then", function()
  account.import {
    profiles = {
      { name = "web", path = "/", create_date = "2024-01-01T00:00:00Z" },
      { name = "web-2", path = "/", create_date = "2024-01-01T00:00:00Z" },
    },
    resources = { { kind = "ec2.instance", region = "eu-central-1", profile = "web" } },
  }
  local rows, ran = run { "--scan" }
  expect(rows.cleanup):to_equal { used = 1, unused = 1, unknown = 0 }
  expect(ran.calls["ec2:DescribeInstances"]):to_equal(17)
  expect(ran.stderr):to_contain("A cleanup could free up to 1:")
  account.faults("deny=ec2:DescribeInstances@us-west-1")
  rows, ran = run { "--scan" }
  expect(rows.cleanup):to_equal { used = 1, unused = 0, unknown = 1 }
  expect(ran.stderr):to_contain("A cleanup could free up to 0")
  expect(ran.stderr):to_contain("Of 1 nobody can say")
  rows, ran = run {}
  expect(rows.cleanup):to_be_nil()
  expect(ran.calls["ec2:DescribeInstances"]):to_be_nil()
end)
