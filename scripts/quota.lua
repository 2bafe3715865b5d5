--- Shows the use of the account's quota of instance profiles, its main consumers, and its growth.
---
---   iamlua run scripts/quota.lua
---   iamlua run scripts/quota.lua --depth 2 --months 24 --output csv
---   iamlua run scripts/quota.lua --creator 'Acme CI=^acme%-ci%-' --html quota.html
---   iamlua run scripts/quota.lua --scan
---
--- Profiles are counted by the first part of the path, by the tool that probably created them, and
--- by the month of creation. IAM does not record the creator: it is guessed from the names that
--- tools generate. `--creator NAME=PATTERN` adds names of your own (Lua patterns), which are tried
--- first.
---
--- With `--scan` the script also determines the usage of the profiles, in every region, and reports
--- how many a cleanup would free; see docs/usage.md. The number of calls grows with the account, so
--- a scan is off by default.
---
--- `--html FILE` writes the whole report as one page without external resources. On AWS this needs
--- `--read-only` (or `--apply`), because a plan writes no file.

local p = runbook {
  description = "Shows how full the quota of instance profiles is, what fills it, and how fast.",
  params = {
    depth = { default = 1, min = 0, max = 20, help = "count by so many parts of the path" },
    months = { default = 12, min = 1, max = 120, help = "growth over so many months" },
    creator = { type = "map", help = "a Lua pattern of names, and what makes such" },
    scan = {
      default = false,
      help = "look who uses the profiles, and say what a cleanup would free",
    },
    html = { type = "new_file", help = "write a page into this file, too" },
  },
  allow = { "account", "profiles.each", "usage.scan" },
}

local fs = require("fs")

---------------------------------------------------------------------------------------- Who made it

-- Tools, with patterns of the names of their profiles. The first match counts. `find` is a Lua
-- pattern or a function of the profile.
local CREATORS = {
  -- Documented names, used by people and tools.
  { "AWS Elastic Beanstalk", "^aws%-elasticbeanstalk%-ec2%-role" },
  { "Amazon EMR", "^EMR_EC2_DefaultRole" },
  { "Amazon EMR", "^AmazonEMR%-InstanceProfile%-" },
  { "Amazon ECS, AWS Batch", "^ecsInstanceRole" },
  { "EC2 Image Builder", "^EC2InstanceProfileForImageBuilder" },
  { "AWS Systems Manager", "^AmazonSSMRoleForInstancesQuickSetup" },
  { "AWS Cloud9", "^AWSCloud9SSMInstanceProfile" },
  -- Node group: eks- and a GUID.
  {
    "Amazon EKS",
    "^eks%-%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$",
  },
  -- Cluster and a hash of 64 bits. The guide of Karpenter creates another one by hand.
  { "Karpenter", "^KarpenterNodeInstanceProfile%-" },
  { "Karpenter", "^[%w-]+_%d%d%d%d%d%d%d%d%d%d+$" },
  { "kOps", "^nodes%.[%w-]+%." },
  { "kOps", "^masters%.[%w-]+%." },
  { "kOps", "^control%-plane%.[%w-]+%." },
  { "kOps", "^bastions%.[%w-]+%." },
  { "Packer", "^packer%-%x%x%x%x%x%x%x%x%-%x%x%x%x%-" },
  -- `name_prefix`, or no name at all: time to a tenth of a millisecond, and a counter in
  -- hexadecimal.
  { "Terraform", "20%d%d[01]%d[0-3]%d[0-2]%d[0-5]%d[0-6]%d%d%d%d%d%x%x%x%x%x%x%x%x$" },
  -- Stack, logical id, and 12 or 13 letters and digits.
  {
    "AWS CloudFormation",
    function(profile)
      local suffix = profile.name:match("^%a[%w-]*%-%w+%-(%w+)$")
      return suffix and (#suffix == 12 or #suffix == 13) and suffix:find("%d") and suffix:find("%u")
    end,
  },
  -- Seven hexadecimal digits after the name.
  {
    "Pulumi",
    function(profile)
      local suffix = profile.name:match("%-([%da-f]+)$")
      return suffix and #suffix == 7 and suffix:find("%d") and suffix:find("%a")
    end,
  },
  -- The console creates the profile of a role with the name of the role. People do the same.
  {
    "the EC2 console, or by hand",
    function(profile)
      return profile.role == profile.name
    end,
  },
}
local UNKNOWN = "not recognised"

-- Patterns of the command line. Checked here, because an invalid pattern would fail later.
local function own_creators()
  local own = {}
  for name, pattern in pairs(p.creator) do
    local ok, why = pcall(string.find, "", pattern)
    if not ok then
      runbook.usage(
        ("--creator %s: %s is no Lua pattern: %s"):format(
          name,
          inspect(pattern),
          why:gsub("^.-: ", "")
        )
      )
    end
    table.insert(own, { name, pattern })
  end
  table.sort(own, function(a, b)
    return a[1] < b[1]
  end)
  return own
end

local creators = own_creators()
table.move(CREATORS, 1, #CREATORS, #creators + 1, creators)

local function creator_of(profile)
  for _, creator in ipairs(creators) do
    local name, fits = table.unpack(creator)
    if
      type(fits) == "string" and profile.name:find(fits)
      or type(fits) == "function" and fits(profile)
    then
      return name
    end
  end
  return UNKNOWN
end

------------------------------------------------------------------------------------------- Counting

local function path_of(profile)
  local kept, from = "/", 1
  for _ = 1, p.depth do
    local slash = profile.path:find("/", from + 1, true)
    if not slash then
      break
    end
    kept, from = profile.path:sub(1, slash), slash
  end
  return kept
end

-- Month that lies `count` months before that of a date.
local function month_before(date, count)
  local year, month = tonumber(date:sub(1, 4)) or 0, tonumber(date:sub(6, 7)) or 0
  local months = year * 12 + month - 1 - count
  return ("%04d-%02d"):format(months // 12, months % 12 + 1)
end

local NOW = time.now()
local FIRST_MONTH = month_before(NOW, p.months - 1)
local EARLIER = "earlier"

local function month_of(profile)
  local month = profile.create_date:sub(1, 7)
  return month < FIRST_MONTH and EARLIER or month
end

local function add(counts, name)
  counts[name] = (counts[name] or 0) + 1
end

local function largest_first(counts)
  local names = {}
  for name in pairs(counts) do
    table.insert(names, name)
  end
  table.sort(names, function(a, b)
    if counts[a] ~= counts[b] then
      return counts[a] > counts[b]
    end
    return a < b
  end)
  return names
end

local function months_in_order()
  local names = { EARLIER }
  for count = p.months - 1, 0, -1 do
    table.insert(names, month_before(NOW, count))
  end
  return names
end

local account = iam.account()
local quota = assert(
  account.profiles_quota,
  "the quota cannot be read: allow iam:GetAccountSummary to the caller"
)
---@type usage.Scan?
local scan = p.scan and usage.scan {} or nil
local total, recent, oldest = 0, 0, NOW
---@type table<string, table<string, integer>>
local counts = { path = {}, creator = {}, month = {}, verdict = {} }
-- Whole months of equal length. The current month is incomplete, and would look like a decrease.
local MONTH = 365.25 / 12 * 86400
local window_start = time.ago(p.months * MONTH)

local function count(profile)
  total = total + 1
  add(counts.path, path_of(profile))
  add(counts.creator, creator_of(profile))
  add(counts.month, month_of(profile))
  if profile.create_date >= window_start then
    recent = recent + 1
  end
  if profile.create_date < oldest then
    oldest = profile.create_date
  end
  if scan then
    -- A verdict may read a role, so several are computed concurrently.
    add(counts.verdict, scan:verdict(profile).verdict)
  end
end

if scan then
  bulk.each(iam.profiles.each(), { label = "judge" }, count)
else
  for profile in iam.profiles.each() do
    count(profile)
  end
end

----------------------------------------------------------------------------------------- The result

local function percent(part, whole)
  return whole > 0 and math.floor(part / whole * 1000 + 0.5) / 10 or nil
end

local rows = {}

local function add_rows(by, names, of)
  for _, name in ipairs(names) do
    local profiles = of[name] or 0
    local share = percent(profiles, total)
    table.insert(rows, { by = by, name = name, profiles = profiles, percent = share })
  end
end

local free = math.max(0, quota - total)
table.insert(
  rows,
  { by = "quota", name = "used", profiles = total, percent = percent(total, quota) }
)
table.insert(rows, { by = "quota", name = "free", profiles = free, percent = percent(free, quota) })
add_rows("path", largest_first(counts.path), counts.path)
add_rows("creator", largest_first(counts.creator), counts.creator)
add_rows("month", months_in_order(), counts.month)
if scan then
  add_rows("cleanup", { "used", "unknown", "unused" }, counts.verdict)
end

-- Formats 1234567 as "1,234,567".
local function number(value)
  local text = tostring(value):reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (text:gsub("^,", ""))
end

local function usage_text()
  local alias = account.alias and " (" .. account.alias .. ")" or ""
  return ("%s of %s instance profiles in account %s%s: %s %% of the quota, %s are free."):format(
    number(total),
    number(quota),
    account.id,
    alias,
    percent(total, quota) or "-",
    number(free)
  )
end

local FULL_IN = "If that goes on and nothing is deleted, the quota will be full in about %d %s."

local function growth_text()
  -- An account younger than the window counts from its first profile.
  local months = math.max(1, math.min(p.months, time.since(oldest) / MONTH))
  local span = months >= 1.5 and ("the last %d months"):format(math.floor(months + 0.5))
    or "the last month"
  if recent == 0 then
    return ("None of them was made in %s, so there is nothing to foretell from."):format(span)
  end
  local rate = recent / months
  local left = free / rate
  local when
  if free == 0 then
    when = "The quota is full."
  elseif left > 1200 then
    when = "If that goes on, the quota will not be full within a hundred years."
  elseif left > 120 then
    when = FULL_IN:format(math.floor(left / 12 + 0.5), "years")
  elseif left < 1 then
    when = "If that goes on and nothing is deleted, the quota will be full within a month."
  else
    local n = math.floor(left + 0.5)
    when = FULL_IN:format(n, n == 1 and "month" or "months")
  end
  return ("%s of them were made in %s, %.1f a month. %s\n"):format(number(recent), span, rate, when)
    .. "This is the pace of those that are still there: who makes and deletes many needs more room than it shows."
end

local function cleanup_text()
  local unused, unknown = counts.verdict.unused or 0, counts.verdict.unknown or 0
  local text = "A cleanup could free up to %s: nothing that was looked at uses them "
    .. "(scripts/cleanup_orphans.lua)."
  text = text:format(number(unused))
  if unknown > 0 then
    local rest =
      "Of %s nobody can say: `cleanup_orphans.lua` names the reasons, and never deletes them."
    text = text .. "\n" .. rest:format(number(unknown))
  end
  return text
end

local notes = { usage_text(), growth_text(), scan and cleanup_text() or nil }

------------------------------------------------------------------------------------------ As a page

local TITLES = {
  path = "By path",
  creator = "By creator, guessed from the names",
  month = "By month of creation",
  cleanup = "Usage",
}
local HEADINGS = { path = "Path", creator = "Creator", month = "Month", cleanup = "Verdict" }

local function section(by)
  local of_it = {}
  for _, row in ipairs(rows) do
    if row.by == by then
      table.insert(of_it, row)
    end
  end
  local share = {
    title = "Share",
    align = "right",
    value = function(row)
      return row.percent and row.percent .. " %"
    end,
  }
  return {
    title = TITLES[by],
    rows = of_it,
    columns = {
      { key = "name", title = HEADINGS[by] },
      share,
      { key = "profiles", title = "Profiles", bar = true },
    },
  }
end

local function html_page()
  local lines = {}
  for line in table.concat(notes, "\n"):gmatch("[^\n]+") do
    table.insert(lines, line)
  end
  ---@type report.Section[]
  local sections = { { title = "Quota", quota = { used = total, total = quota } } }
  for _, by in ipairs { "path", "creator", "month", scan and "cleanup" or nil } do
    table.insert(sections, section(by))
  end
  return report.page {
    title = "Instance profiles of " .. (account.alias or account.id),
    notes = lines,
    sections = sections,
  }
end

report(rows, {
  group = "by",
  columns = { "by", "name", { key = "percent", title = "%" }, { key = "profiles", bar = true } },
})
if p.html then
  fs.write(p.html, html_page())
  if iamlua.mode == "plan" then
    log.warn("a plan does not write the page; with --read-only it is written", { file = p.html })
  end
end
for _, note in ipairs(notes) do
  report.note(note)
end
