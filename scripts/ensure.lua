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

local FIELDS =
  { name = "string", path = "string", role = "string", tags = "table", exact_tags = "boolean" }

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

local function name_problem(name, most)
  if name:find("^arn:") then
    return "is an ARN and must be a name: write " .. name:match("[^/:]*$")
  end
  return text_problem(name, most, "^[%w_+=,.@-]+$")
end

local function path_problem(path)
  if not path:find("^/") or not path:find("/$") then
    return "must begin and end with /"
  end
  return text_problem(path, 512, "^[!-~]+$")
end

local function tag_problem(key, value)
  -- Letters of other scripts are allowed, so non-ASCII characters are not checked here.
  local allowed = "^[%w _.:/=+@\x80-\xff-]*$"
  local problem = text_problem(key, 128, allowed)
  if problem then
    return "the key " .. problem
  elseif key:lower():find("^aws:") then
    return "keys that begin with aws: are reserved"
  elseif type(value) ~= "string" then
    return "the value must be a string"
  elseif utf8.len(value) > 256 then
    return ("the value has %d characters; AWS allows 256"):format(utf8.len(value))
  elseif not value:find(allowed) then
    return "the value has a character that AWS does not allow"
  end
end

local function tags_problem(tags)
  if json.is_array(tags) then
    return 'tags must be an object such as { "Owner": "ops" }'
  end
  local count = 0
  for key, value in pairs(tags) do
    count = count + 1
    local problem = tag_problem(key, value)
    if problem then
      return "tag " .. inspect(key) .. ": " .. problem
    end
  end
  return count > 50 and ("has %d tags; AWS allows 50"):format(count) or nil
end

-- Problem of an entry; nil if there is none.
local function entry_problem(entry)
  if type(entry) ~= "table" or json.is_array(entry) then
    return "must be an object"
  end
  for key, value in pairs(entry) do
    if not FIELDS[key] then
      return "has the unknown field " .. inspect(key)
    elseif type(value) ~= FIELDS[key] then
      local wanted = FIELDS[key] == "table" and "object" or FIELDS[key]
      return ("%s must be %s %s"):format(key, wanted == "object" and "an" or "a", wanted)
    end
  end
  if not entry.name then
    return "has no name"
  end
  for _, field in ipairs { { "name", 128 }, { "role", 64 } } do
    local key, most = table.unpack(field)
    local problem = entry[key] and name_problem(entry[key], most)
    if problem then
      return key .. " " .. problem
    end
  end
  local problem = entry.path and path_problem(entry.path)
  if problem then
    return "path " .. problem
  elseif entry.exact_tags and not entry.tags then
    return "has exact_tags, but no tags"
  end
  return entry.tags and tags_problem(entry.tags)
end

local function entry_name(at, entry)
  local name = type(entry) == "table" and type(entry.name) == "string" and entry.name
  return "entry " .. at .. (name and " (" .. inspect.visible(name) .. ")" or "")
end

-- Problems of all entries of the file, one per line.
local function entry_problems(entries)
  local problems, seen = {}, {}
  for at, entry in ipairs(entries) do
    local problem = entry_problem(entry)
    if not problem then
      -- Names ignore case.
      local name = entry.name:lower()
      problem = seen[name] and "names the same profile as entry " .. seen[name]
      seen[name] = seen[name] or at
    end
    if problem then
      table.insert(problems, entry_name(at, entry) .. ": " .. problem)
    end
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
      table.insert(problems, entry_name(at, entry) .. ": there is no role " .. entry.role)
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
