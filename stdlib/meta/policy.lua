---@meta policy
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

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
policy = {}

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

--- Returns a statement that allows actions on resources: `policy.allow("s3:GetObject",
--- "arn:aws:s3:::logs/*")`.
---
--- Its `Sid` and `Condition` can be set on the result. Raises an argument error for an invalid
--- action or resource.
---@param actions string|string[]
---@param resources string|string[]
---@return policy.Statement
function policy.allow(actions, resources) end

--- Returns a statement that denies actions on resources.
---
--- A denial overrides every statement that allows. Raises an argument error for an invalid action
--- or resource.
---@param actions string|string[]
---@param resources string|string[]
---@return policy.Statement
function policy.deny(actions, resources) end

--- Returns a document with one statement, or with an array of them.
---
--- Raises an argument error for an invalid statement.
---@param statements policy.Statement|policy.Statement[]
---@return policy.Document
function policy.document(statements) end

--- Returns a trust policy that lets AWS services assume a role:
--- `policy.trust("ec2.amazonaws.com")`.
---
--- Raises an argument error for an invalid service name.
---@param ... string services
---@return policy.Document
function policy.trust(...) end

--- Encodes a document as JSON text without spaces.
---
--- The keys are sorted, so equal documents have equal texts. Raises an argument error for an
--- invalid document.
---@param document policy.Document
---@return string
function policy.encode(document) end

--- Decodes a document from JSON text, such as a role's `assume_role_policy`.
---
--- Raises an argument error for an invalid document.
---@param text string
---@return policy.Document
function policy.decode(text) end

--- Returns true if a role's trust policy lets a service assume it: at least one statement allows
--- `sts:AssumeRole` to the service, and none denies it.
---
--- Conditions are not evaluated. An Allow with a condition counts; a Deny with a condition does
--- not. Raises an argument error for a value that is neither a role nor a document.
---@param role_or_document iam.Role|policy.Document|string a role, a document, or its JSON text
---@param service string such as `"ec2.amazonaws.com"`
---@return boolean
function policy.trusts(role_or_document, service) end

return policy
