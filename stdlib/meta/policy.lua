---@meta policy
-- Generated; not to be edited. `IAMLUA_BLESS=1 cargo test` makes it again.

--- IAM policy documents: making them, reading them, and asking a role's trust policy who may assume
--- it.
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

--- A statement that allows actions on resources: `policy.allow("s3:GetObject",
--- "arn:aws:s3:::logs/*")`.
---
--- `Sid` and `Condition` can be set on the result. Raises an argument error for what is no action or resource.
---@param actions string|string[]
---@param resources string|string[]
---@return policy.Statement
function policy.allow(actions, resources) end

--- A statement that denies actions on resources; it wins over every one that allows.
---
--- Raises an argument error for what is no action or resource.
---@param actions string|string[]
---@param resources string|string[]
---@return policy.Statement
function policy.deny(actions, resources) end

--- A document of statements: an array of them, or one.
---
--- Raises an argument error for what is no statement.
---@param statements policy.Statement|policy.Statement[]
---@return policy.Document
function policy.document(statements) end

--- The trust policy of a role that AWS services may assume: `policy.trust("ec2.amazonaws.com")`.
---
--- Raises an argument error for what is no service.
---@param ... string services
---@return policy.Document
function policy.trust(...) end

--- Writes a document as JSON text without spaces, its keys sorted: the same document is always the
--- same text.
---
--- Raises an argument error for what is no document.
---@param document policy.Document
---@return string
function policy.encode(document) end

--- Reads a document from JSON text, such as a role's `assume_role_policy`.
---
--- Raises an argument error for what is no document.
---@param text string
---@return policy.Document
function policy.decode(text) end

--- Whether a service may assume a role, going by its trust policy: some statement allows
--- `sts:AssumeRole` to it and none denies it.
---
--- Conditions are not weighed: an Allow counts although it has one, a Deny with one does not.
--- Raises an argument error for what is neither a role nor a document.
---@param role_or_document iam.Role|policy.Document|string a role, a document, or its JSON text
---@param service string such as `"ec2.amazonaws.com"`
---@return boolean
function policy.trusts(role_or_document, service) end

return policy
