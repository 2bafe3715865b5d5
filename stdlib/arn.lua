--- Parser and builder of Amazon Resource Names (ARNs).
---
--- ```lua
--- local role = arn.parse(iam.roles.get("web-frontend").arn)
--- assert(role.type == "role" and role.name == "web-frontend")
--- local parts = { service = "iam", account = role.account, type = "role", name = role.name }
--- assert(arn.build(parts) == "arn:aws:iam::" .. role.account .. ":role/" .. role.name)
--- ```
---@class arn
local arn = {}

local _, host = ...
local inspect = require("inspect")

---@class arn.Arn
---@field partition string `aws`, `aws-cn`, `aws-us-gov`, …
---@field service string such as `iam`
---@field region string empty for IAM
---@field account string 12 digits, `aws` for resources that AWS owns, or empty
---@field resource string everything after the account
---@field type? string the kind of resource, such as `instance-profile`
---@field path? string the path of an IAM resource, with `/` at both ends
---@field name? string the name of the resource
---@field session? string the session name, for `assumed-role`

local Arn = { __name = "arn" }

function Arn:__tostring()
  return table.concat(
    { "arn", self.partition, self.service, self.region, self.account, self.resource },
    ":"
  )
end

function Arn.__eq(a, b)
  return tostring(a) == tostring(b)
end

function Arn.__concat(a, b)
  return tostring(a) .. tostring(b)
end

-- Values of the account field besides 12 digits.
local ACCOUNTS = { [""] = true, ["aws"] = true, ["*"] = true }

-- Problem of the common parts of an ARN; nil if there is none.
local function problem(parts)
  if not string.find(parts.partition, "^[%a*][%w-]*$") then
    return "the partition must be a word such as aws"
  elseif not string.find(parts.service, "^[%l%d-]+$") then
    return "the service must be a word such as iam"
  elseif not string.find(parts.region, "^[%l%d*-]*$") then
    return "the region must be a word such as eu-central-1, or empty"
  elseif
    not (string.find(parts.account, "^%d%d%d%d%d%d%d%d%d%d%d%d$") or ACCOUNTS[parts.account])
  then
    return "the account must be 12 digits"
  elseif parts.resource == "" then
    return "there is no resource"
  elseif string.find(parts.resource, "%c") then
    return "the resource has control characters"
  end
end

-- Adds kind, path and name of the resource, for services that have them.
local function add_resource(parts)
  local resource = parts.resource
  if parts.service == "iam" then
    if resource == "root" or resource == "*" then
      parts.name = resource
      return nil
    end
    parts.type, parts.path = string.match(resource, "^([%l-]+)(/.*)$")
    if not parts.type then
      return "an IAM resource looks like instance-profile/path/name"
    end
    parts.path, parts.name = string.match(parts.path, "^(.*/)([^/]+)$")
    if not parts.name then
      return "the name of the resource is missing"
    end
  elseif parts.service == "sts" then
    parts.type, parts.name, parts.session =
      string.match(resource, "^(assumed%-role)/([^/]+)/([^/]+)$")
    if not parts.type then
      parts.type, parts.name = string.match(resource, "^([%l-]+)/(.+)$")
    end
  elseif parts.service == "s3" then
    -- A bucket name has no kind.
    parts.name = resource
  else
    parts.type, parts.name = string.match(resource, "^([%w-]+)[/:](.+)$")
    parts.name = parts.name or resource
  end
end

-- Parts of an ARN, or nil and a problem.
local function split(text)
  local parts = {}
  parts.partition, parts.service, parts.region, parts.account, parts.resource =
    string.match(text, "^arn:([^:]*):([^:]*):([^:]*):([^:]*):(.*)$")
  if not parts.partition then
    return nil, "it must look like arn:partition:service:region:account:resource"
  end
  local why = problem(parts) or add_resource(parts)
  if why then
    return nil, why
  end
  return setmetatable(parts, Arn)
end

--- Parses an ARN. `tostring` of the result is the original text. Raises an argument error for text
--- that is not an ARN.
---@param text string
---@return arn.Arn
function arn.parse(text)
  if type(text) ~= "string" then
    host.fail("argument", "arn.parse: the ARN must be a string, got " .. type(text))
  end
  local parts, why = split(text)
  if not parts then
    host.fail("argument", "arn.parse: " .. inspect.quote(text) .. " is not an ARN: " .. why)
  end
  return parts
end

--- Returns true if a value is the text of an ARN.
---@param value any
---@return boolean
function arn.is(value)
  return type(value) == "string" and split(value) ~= nil
end

---@class (exact) arn.Parts
---@field service string
---@field partition? string default `aws`
---@field region? string default empty
---@field account? string default empty
---@field resource? string the whole resource, instead of a type and a name
---@field type? string
---@field path? string default `/`
---@field name? string

local PARTS = { "partition", "service", "region", "account", "resource", "type", "path", "name" }

--- Builds the text of an ARN. Give either the whole resource, or its type and name. Raises an
--- argument error if the parts make no valid ARN.
---@param parts arn.Parts
---@return string
function arn.build(parts)
  if type(parts) ~= "table" then
    host.fail("argument", "arn.build: a table of parts belongs here, got " .. type(parts))
  end
  host.check_options("arn.build", parts, PARTS)
  for _, key in ipairs(PARTS) do
    if parts[key] ~= nil and type(parts[key]) ~= "string" then
      host.fail("argument", "arn.build: " .. key .. " must be a string, got " .. type(parts[key]))
    end
  end
  if not parts.service then
    host.fail("argument", "arn.build: the service is missing")
  end
  local resource = parts.resource
  if resource and (parts.type or parts.path or parts.name) then
    host.fail("argument", "arn.build: give either the resource, or its type, path and name")
  elseif not resource then
    local path = parts.path or "/"
    if not (parts.type and parts.name) then
      host.fail("argument", "arn.build: the resource is missing, or its type and name")
    elseif not string.find(path, "^/") or not string.find(path, "/$") then
      host.fail(
        "argument",
        "arn.build: the path must begin and end with /, got " .. inspect.quote(path)
      )
    end
    resource = parts.type .. path .. parts.name
  end
  local text = table.concat({
    "arn",
    parts.partition or "aws",
    parts.service,
    parts.region or "",
    parts.account or "",
    resource,
  }, ":")
  local ok, why = split(text)
  if not ok then
    host.fail("argument", "arn.build: " .. inspect.quote(text) .. " would be no ARN: " .. why)
  end
  return text
end

return arn
