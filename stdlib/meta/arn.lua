---@meta arn
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Parser and builder of Amazon Resource Names (ARNs).
---
--- ```lua
--- local role = arn.parse(iam.roles.get("web-frontend").arn)
--- assert(role.type == "role" and role.name == "web-frontend")
--- local parts = { service = "iam", account = role.account, type = "role", name = role.name }
--- assert(arn.build(parts) == "arn:aws:iam::" .. role.account .. ":role/" .. role.name)
--- ```
---@class arn
arn = {}

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

--- Parses an ARN.
---
--- `tostring` of the result is the original text. Raises an argument error for text that is not an
--- ARN.
---@param text string
---@return arn.Arn
function arn.parse(text) end

--- Returns true if a value is the text of an ARN.
---@param value any
---@return boolean
function arn.is(value) end

---@class (exact) arn.Parts
---@field service string
---@field partition? string default `aws`
---@field region? string default empty
---@field account? string default empty
---@field resource? string the whole resource, instead of a type and a name
---@field type? string
---@field path? string default `/`
---@field name? string

--- Builds the text of an ARN.
---
--- Give either the whole resource, or its type and name. Raises an argument error if the parts make
--- no valid ARN.
---@param parts arn.Parts
---@return string
function arn.build(parts) end

return arn
