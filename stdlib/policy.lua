--- IAM policy documents: building, encoding and decoding them, and evaluating a role's trust
--- policy.
---
--- ```lua
--- iam.roles.create { name = "doc-worker", assume_role_policy = policy.trust("ec2.amazonaws.com") }
--- assert(policy.trusts(iam.roles.get("doc-worker"), "ec2.amazonaws.com"))
---
--- local logs = policy.allow({ "s3:GetObject", "s3:PutObject" }, "arn:aws:s3:::logs/*")
--- print(policy.encode(policy.document { logs, policy.deny("s3:DeleteObject", "*") }))
--- ```
---@class policy
local policy = {}

local _, host = ...
local inspect = require("inspect")
local json = require("json")

---@class policy.Document
---@field Version string
---@field Statement policy.Statement[]

---@class policy.Statement
---@field Effect "Allow"|"Deny"
---@field Action? string|string[]
---@field Resource? string|string[]
---@field Principal? string|table<string, string|string[]>
---@field Condition? table<string, table<string, string|string[]>>
---@field Sid? string

local VERSION = "2012-10-17"

local function fail(name, problem, hint)
  host.fail("argument", "policy." .. name .. ": " .. problem, hint)
end

-- Array of a value that AWS allows to be one string or an array of strings.
local function listed(value)
  if type(value) == "table" then
    return value
  end
  return { value }
end

-- String or array of strings, each checked by `is_right`. A single one loses its array.
local function strings(name, what, value, is_right, example)
  if type(value) ~= "string" and (type(value) ~= "table" or rawlen(value) == 0) then
    local got = type(value) == "table" and "a table that is none" or type(value)
    fail(name, what .. " must be a string or an array of strings, got " .. got)
  end
  local list = listed(value)
  for _, text in ipairs(list) do
    if type(text) ~= "string" then
      fail(name, what .. " must be strings, got " .. type(text))
    elseif not is_right(text) then
      fail(name, inspect.quote(text) .. " is not right for " .. what, "write it like " .. example)
    end
  end
  return #list == 1 and list[1] or json.array(table.move(list, 1, #list, 1, {}))
end

local function is_action(text)
  return text == "*" or string.find(text, "^[%w-]+:[%w*?]+$") ~= nil
end

local function is_resource(text)
  return text == "*" or string.find(text, "^arn:[^:]*:[^:]*:[^:]*:[^:]*:.") ~= nil
end

local function is_service(text)
  return string.find(text, "^%l[%w-]*%.[%w.-]*%w$") ~= nil
end

--- Returns a statement that allows actions on resources: `policy.allow("s3:GetObject",
--- "arn:aws:s3:::logs/*")`. Its `Sid` and `Condition` can be set on the result. Raises an argument
--- error for an invalid action or resource.
---@param actions string|string[]
---@param resources string|string[]
---@return policy.Statement
function policy.allow(actions, resources)
  return {
    Effect = "Allow",
    Action = strings("allow", "the actions", actions, is_action, '"s3:GetObject"'),
    Resource = strings(
      "allow",
      "the resources",
      resources,
      is_resource,
      '"arn:aws:s3:::logs/*" or "*"'
    ),
  }
end

--- Returns a statement that denies actions on resources. A denial overrides every statement that
--- allows. Raises an argument error for an invalid action or resource.
---@param actions string|string[]
---@param resources string|string[]
---@return policy.Statement
function policy.deny(actions, resources)
  return {
    Effect = "Deny",
    Action = strings("deny", "the actions", actions, is_action, '"s3:DeleteObject"'),
    Resource = strings(
      "deny",
      "the resources",
      resources,
      is_resource,
      '"arn:aws:s3:::logs/*" or "*"'
    ),
  }
end

--- Returns a document with one statement, or with an array of them. Raises an argument error for an
--- invalid statement.
---@param statements policy.Statement|policy.Statement[]
---@return policy.Document
function policy.document(statements)
  if type(statements) ~= "table" then
    fail("document", "an array of statements belongs here, got " .. type(statements))
  end
  local list = statements.Effect and { statements } or statements
  if rawlen(list) == 0 then
    fail("document", "there are no statements", "policy.allow and policy.deny make some")
  end
  for at, statement in ipairs(list) do
    if
      type(statement) ~= "table" or (statement.Effect ~= "Allow" and statement.Effect ~= "Deny")
    then
      fail("document", "statement " .. at .. ' must be a table with Effect = "Allow" or "Deny"')
    end
  end
  return { Version = VERSION, Statement = json.array(table.move(list, 1, #list, 1, {})) }
end

--- Returns a trust policy that lets AWS services assume a role:
--- `policy.trust("ec2.amazonaws.com")`. Raises an argument error for an invalid service name.
---@param ... string services
---@return policy.Document
function policy.trust(...)
  local services = { ... }
  if select("#", ...) == 0 then
    fail("trust", "no service is named", 'write policy.trust("ec2.amazonaws.com")')
  end
  for at = 1, select("#", ...) do
    local service = services[at]
    if type(service) ~= "string" then
      fail("trust", "the services must be strings, got " .. type(service))
    elseif not is_service(service) then
      local hint = string.find(service, "^[%l%d-]+$")
        and "did you mean " .. inspect.quote(service .. ".amazonaws.com") .. "?"
      fail(
        "trust",
        inspect.quote(service) .. " is no service principal",
        hint or 'write it like "ec2.amazonaws.com"'
      )
    end
  end
  return policy.document {
    Effect = "Allow",
    Principal = { Service = #services == 1 and services[1] or json.array(services) },
    Action = "sts:AssumeRole",
  }
end

-- Document from JSON text or a table; raises if it is none.
local function read(name, document)
  if type(document) == "string" then
    local ok, decoded = host.fallible.json_decode(document)
    if not ok then
      fail(name, "the text is not JSON: " .. string.gsub(decoded.message, "^json%.decode: ", ""))
    end
    document = decoded
  end
  if type(document) ~= "table" then
    fail(name, "the document must be a table or JSON text, got " .. type(document))
  elseif type(document.Statement) ~= "table" then
    fail(name, "the document has no Statement")
  end
  return document
end

--- Encodes a document as JSON text without spaces. The keys are sorted, so equal documents have
--- equal texts. Raises an argument error for an invalid document.
---@param document policy.Document
---@return string
function policy.encode(document)
  return json.encode(read("encode", document))
end

--- Decodes a document from JSON text, such as a role's `assume_role_policy`. Raises an argument
--- error for an invalid document.
---@param text string
---@return policy.Document
function policy.decode(text)
  if type(text) ~= "string" then
    fail("decode", "the text must be a string, got " .. type(text))
  end
  return read("decode", text)
end

-- Returns true if a pattern with `*` and `?` matches the whole text, ignoring case, as in actions.
local function matches(pattern, text)
  local lua_pattern = string.gsub(string.lower(pattern), "[^%w]", function(character)
    return character == "*" and ".*" or character == "?" and "." or "%" .. character
  end)
  return string.find(string.lower(text), "^" .. lua_pattern .. "$") ~= nil
end

local function any(list, test)
  for _, item in ipairs(listed(list)) do
    if type(item) == "string" and test(item) then
      return true
    end
  end
  return false
end

local function names_assume_role(statement)
  local function is_it(pattern)
    return matches(pattern, "sts:AssumeRole")
  end
  if statement.NotAction ~= nil then
    return not any(statement.NotAction, is_it)
  end
  return any(statement.Action, is_it)
end

local function holds_service(principal, service)
  local function is_everyone(item)
    return item == "*"
  end
  if type(principal) ~= "table" then
    return principal == "*"
  end
  return any(principal.AWS, is_everyone)
    or any(principal.Service, function(item)
      return item == "*" or string.lower(item) == string.lower(service)
    end)
end

local function names_service(statement, service)
  if statement.NotPrincipal ~= nil then
    return not holds_service(statement.NotPrincipal, service)
  end
  return holds_service(statement.Principal, service)
end

--- Returns true if a role's trust policy lets a service assume it: at least one statement allows
--- `sts:AssumeRole` to the service, and none denies it.
---
--- Conditions are not evaluated. An Allow with a condition counts; a Deny with a condition does
--- not. Raises an argument error for a value that is neither a role nor a document.
---@param role_or_document iam.Role|policy.Document|string a role, a document, or its JSON text
---@param service string such as `"ec2.amazonaws.com"`
---@return boolean
function policy.trusts(role_or_document, service)
  if type(service) ~= "string" then
    fail("trusts", "the service must be a string, got " .. type(service))
  end
  local document = role_or_document
  if type(document) == "table" and document.Statement == nil then
    document = document.assume_role_policy
    if type(document) ~= "string" and type(document) ~= "table" then
      fail(
        "trusts",
        "the table is neither a policy document nor a role with its assume_role_policy"
      )
    end
  end
  document = read("trusts", document)
  local statements = document.Statement
  local allowed = false
  for _, statement in ipairs(statements.Effect and { statements } or statements) do
    if
      type(statement) == "table"
      and names_assume_role(statement)
      and names_service(statement, service)
    then
      if statement.Effect == "Allow" then
        allowed = true
      elseif statement.Effect == "Deny" and statement.Condition == nil then
        return false
      end
    end
  end
  return allowed
end

return policy
