---@meta arn
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- Amazon Resource Names, taken apart and put together.
---
--- ```lua
--- local role = arn.parse(iam.roles.get("web-frontend").arn)
--- assert(role.type == "role" and role.name == "web-frontend")
--- assert(arn.build { service = "iam", account = role.account, type = "role", name = role.name }:find(role.account, 1, true))
--- ```
---@class arn
arn = {}

---@class arn.Arn
---@field partition string `aws`, `aws-cn`, `aws-us-gov`, …
---@field service string such as `iam`
---@field region string empty for IAM
---@field account string 12 digits, `aws` for what AWS made, or empty
---@field resource string everything after the account
---@field type? string the kind of resource, such as `instance-profile`
---@field path? string the path of an IAM resource, with `/` at both ends
---@field name? string the name of the resource
---@field session? string of `assumed-role`, the name of the session

--- Takes an ARN apart.
---
--- `tostring` of the result is the text again. Raises an argument error for what is no ARN.
---@param text string
---@return arn.Arn
function arn.parse(text) end

--- Whether a value is the text of an ARN.
---@param value any
---@return boolean
function arn.is(value) end

---@class arn.Parts
---@field service string
---@field partition? string default `aws`
---@field region? string default empty
---@field account? string default empty
---@field resource? string either this, or a type and a name
---@field type? string
---@field path? string default `/`
---@field name? string

--- Puts the text of an ARN together.
---
--- Give either the whole resource, or its type and name. Raises an argument error if the parts make
--- no ARN.
---@param parts arn.Parts
---@return string
function arn.build(parts) end

return arn
