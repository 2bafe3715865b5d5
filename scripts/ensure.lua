--- Brings instance profiles into the state that a JSON file describes. Only differences are
--- changed.
---
---   iamlua run scripts/ensure.lua --file desired.json
---   iamlua run scripts/ensure.lua --file desired.json --aws --apply
---
--- The file is an array of profiles. Only `name` is required; fields that are left out stay
--- unchanged:
---
---   [
---     { "name": "web", "path": "/ec2/", "role": "web-frontend", "tags": { "Owner": "ops" } },
---     { "name": "batch", "tags": { "Owner": "data" }, "exact_tags": true }
---   ]
---
--- A missing profile is created, a different role in it is replaced, and tags are set. With
--- `exact_tags` all other tags are removed. Profiles that are not in the file are not touched. A
--- different path is a failure, because AWS cannot move a profile. The whole file and the existence
--- of its roles are checked before any change. A profile that fails does not stop the others; the
--- script then ends with exit code 1, and can be run again.

local p = runbook {
  description = "Brings instance profiles into the state that a JSON file describes.",
  params = {
    file = {
      type = "file",
      required = true,
      help = "the JSON file: an array of { name, path, role, tags, exact_tags }",
    },
  },
  allow = { "profiles.ensure", "roles.find" },
}

local fs = require("fs")

local PROBLEMS_SHOWN = 20

------------------------------------------------------------------------------------------- The file

local function text_problem(text, most, pattern)
  local length = utf8.len(text)
  if text == "" then
    return "is empty"
  elseif length > most then
    return ("has %d characters; AWS allows %d"):format(length, most)
  elseif not text:find(pattern) then
    return "has a character that AWS does not allow"
  end
end

-- Shape of a name with at most that many characters.
local function name_of(most)
  return check.all("string", function(name)
    if text.starts_with(name, "arn:") then
      return "is an ARN and must be a name: write " .. name:match("[^/:]*$")
    end
    return text_problem(name, most, "^[%w_+=,.@-]+$")
  end)
end

local function path_problem(path)
  if not text.starts_with(path, "/") or not text.ends_with(path, "/") then
    return "must begin and end with /"
  end
  return text_problem(path, 512, "^[!-~]+$")
end

-- Letters of other scripts are allowed in tags, so non-ASCII characters are not checked here.
local IN_TAGS = "^[%w _.:/=+@\x80-\xff-]*$"

local function tags_problem(tags)
  local count = 0
  for key in pairs(tags) do
    count = count + 1
    local problem = text_problem(key, 128, IN_TAGS)
    if problem then
      return "has a wrong key: " .. inspect(key) .. " " .. problem
    elseif text.starts_with(key:lower(), "aws:") then
      return "has the key " .. inspect(key) .. "; keys that begin with aws: are reserved"
    end
  end
  return count > 50 and ("has %d tags; AWS allows 50"):format(count) or nil
end

local function tag_problem(value)
  return value ~= "" and text_problem(value, 256, IN_TAGS) or nil
end

local ENTRY = check.all({
  name = name_of(128),
  path = check.optional(check.all("string", path_problem)),
  role = check.optional(name_of(64)),
  tags = check.optional(
    check.all("object", tags_problem, { ["*"] = check.all("string", tag_problem) })
  ),
  exact_tags = "boolean?",
}, function(entry)
  return entry.exact_tags and not entry.tags and "has exact_tags, but no tags" or nil
end)

-- Beginning of a line about an entry.
local function entry_name(at, entry)
  local name = type(entry) == "table" and type(entry.name) == "string" and entry.name
  return "entry " .. at .. (name and " (" .. name .. ")" or "") .. ":"
end

-- Problems of all entries of the file, one per line.
local function entry_problems(entries)
  local problems, seen = {}, {}
  for at, entry in ipairs(entries) do
    local found = check.problems(entry, ENTRY, { name = entry_name(at, entry) })
    if #found == 0 then
      -- Names ignore case.
      local name = entry.name:lower()
      if seen[name] then
        found[1] = entry_name(at, entry) .. " names the same profile as entry " .. seen[name]
      end
      seen[name] = seen[name] or at
    end
    table.move(found, 1, #found, #problems + 1, problems)
  end
  return problems
end

-- Entries with a role that does not exist, one per line.
local function role_problems(entries)
  local problems, exists = {}, {}
  for at, entry in ipairs(entries) do
    -- Names ignore case.
    local role = entry.role and entry.role:lower()
    if role and exists[role] == nil then
      exists[role] = iam.roles.find(entry.role) ~= nil
    end
    if role and not exists[role] then
      table.insert(problems, entry_name(at, entry) .. " there is no role " .. entry.role)
    end
  end
  return problems
end

-- Entries of the file, or nil and a problem.
local function read_file()
  -- Some editors write a byte-order mark (RFC 8259, section 8.1, allows a reader to ignore it).
  local text = fs.read(p.file):gsub("^\u{FEFF}", "")
  local entries, err = try(json.decode, text)
  if err then
    return nil, { "it is not JSON: " .. err.message:gsub("^json%.decode: ", "") }
  elseif not json.is_array(entries) then
    return nil, { "it must be an array of profiles" }
  end
  local problems = entry_problems(entries)
  if #problems == 0 then
    problems = role_problems(entries)
  end
  if #problems > 0 then
    return nil, problems
  end
  return entries
end

local function refusal(problems)
  local count = #problems
  local more = count > PROBLEMS_SHOWN and ("\n  and %d more"):format(count - PROBLEMS_SHOWN) or ""
  local text = table.concat(problems, "\n  ", 1, math.min(count, PROBLEMS_SHOWN))
  return ("%s: nothing was changed, because\n  %s%s"):format(p.file, text, more)
end

---------------------------------------------------------------------------------------- The account

local entries, problems = read_file()
if not entries then
  error(refusal(problems), 0)
end

report(
  bulk.stream(entries, { label = "ensure" }, function(entry)
    local _, changes = iam.profiles.ensure(entry)
    return #changes > 0 and { name = entry.name, changes = json.array(changes) }
      or bulk.skip("already right")
  end),
  { columns = { "name", "changes" } }
)
